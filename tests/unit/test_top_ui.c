/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/unit.h"

#include <math.h>

#include "base/histogram.h"
#include "tests/unit/top_rig.h"
#include "tools/top_draw.h"
#include "tools/top_page.h"

struct rig {
    struct top_model *model;
    struct top_node nodes[2];
    struct top_data data;
    struct top_ui ui;
    struct canvas canvas;
};

/* Three connections: redis (fast), nginx (slow, has lost), udp without a peer. */
static struct connection_table make_table(double second)
{
    struct connection_table table = rig_table(2, 3, second);
    struct connection_row *row = rig_fill(&table, 0, "redis-server", 1);
    struct lane_row *lane;

    row->rx_bytes = (uint64_t)(second * 125e6);
    row->cwnd = 10240;
    row->latency_count = 10;
    row->latency_p50_ns = 2500;
    row->latency_p99_ns = 12345;
    row->latency_max_ns = 4000000;
    row = rig_fill(&table, 1, "nginx", 2);
    row->tx_bytes = (uint64_t)(second * 100);
    row->rx_bytes = (uint64_t)(second * 10);
    row->retransmissions = 17;
    row->drops = 3;
    row = rig_fill(&table, 2, "daq-sender", 3);
    row->protocol = IPPROTO_UDP;
    row->kind = CONTROL_FLOW_BOUND;
    row->remote = (struct net_endpoint){0};
    lane = rig_fill_lane(&table, 0, "redis-server", 1001);
    lane->spin_ns = (uint64_t)(second * 5e8);
    lane->ring_high_water = 1 << 20;
    rig_fill_lane(&table, 1, "nginx", 1002)->overruns = 9;
    return table;
}

static void look(struct rig *rig, double second)
{
    struct connection_table table = make_table(second);

    assert_int_equal(top_model_update(rig->model, &table), 0);
    rig->data.realtime_ns = RIG_REALTIME_NS + (int64_t)(second * 1e9);
    top_ui_refresh(&rig->ui, &rig->data);
}

static void draw(struct rig *rig, int width, int height)
{
    assert_int_equal(canvas_resize(&rig->canvas, width, height), 0);
    top_ui_resize(&rig->ui, top_draw_list_rows(height));
    top_draw(&rig->ui, &rig->data, &rig->canvas);
}

static enum top_action key(struct rig *rig, int code)
{
    return top_ui_key(&rig->ui, &rig->data, code);
}

static void type(struct rig *rig, const char *text)
{
    for (; *text; text++)
        key(rig, *text);
}

/* A line without the blanks at its end; valid until the next call. */
static const char *line(const struct rig *rig, int row)
{
    static char text[1024];
    int length = rig->canvas.width;

    assert_in_range(row, 0, rig->canvas.height - 1);
    memcpy(text, rig->canvas.text + (size_t)row * (size_t)rig->canvas.width, (size_t)length);
    while (length > 0 && text[length - 1] == ' ')
        length--;
    text[length] = '\0';
    return text;
}

static bool shown(const struct rig *rig, const char *text)
{
    for (int i = 0; i < rig->canvas.height; i++) {
        if (strstr(line(rig, i), text))
            return true;
    }
    return false;
}

static const char *program_at(const struct rig *rig, size_t row)
{
    assert_true(row < rig->ui.row_count);
    return ((const struct top_connection *)rig->ui.rows[row])->row->program;
}

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);

    setenv("TZ", "UTC", 1);
    rig->model = top_model_create();
    for (size_t i = 0; i < 2; i++) {
        top_node_fill(&rig->nodes[i], NULL, NULL);
        rig->nodes[i].key = i;
        snprintf(rig->nodes[i].name, sizeof rig->nodes[i].name, "daq%zu", i + 1);
    }
    strcpy(rig->nodes[0].clock, "synchronised");
    strcpy(rig->nodes[0].source, "reference");
    strcpy(rig->nodes[0].interfaces, "eth0 xdp-native");
    rig->nodes[0].offset_ns = -120;
    rig->nodes[0].bound_ns = 1500;
    rig->nodes[0].rate_ppm = 3.2144;
    rig->nodes[0].programs = 2;
    rig->nodes[0].sockets = 3;
    rig->nodes[0].kernel_sockets = 0;
    strcpy(rig->nodes[1].problem, "no route to host");
    rig->data = (struct top_data){.model = rig->model, .nodes = rig->nodes, .node_count = 2};
    top_ui_init(&rig->ui, 1000000000);
    look(rig, 0);
    look(rig, 1);
    draw(rig, 80, 24);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;

    top_ui_free(&rig->ui);
    top_model_destroy(rig->model);
    canvas_free(&rig->canvas);
    free(rig);
    return 0;
}

/* --- what is drawn ------------------------------------------------------------------------------------------- */

static void a_usual_terminal_shows_all_that_matters(void **state)
{
    static const char *const expected[] = {
        "daq1  1 nodes  [2 connections]  3 programs  08:00:01  every 1.00s",
        "Clock: synchronised to reference, offset -120ns, bound 1.50us, rate +3.214 ppm",
        "Path:  eth0 xdp-native; 2 programs, 3 sockets, 0 kernel sockets",
        "Rates: in 0b/s 0p/s, out 800b/s 0p/s, spinning 0.50 cores",
        "3 connections by RXb/s, descending",
    };
    const struct rig *rig = *state;

    for (int i = 0; i < 5; i++)
        assert_string_equal(line(rig, i), expected[i]);
    assert_string_equal(line(rig, 5),
                        "PROGRAM     LOCAL     REMOTE          STATE  RXb/s TXb/s    P50    P99 RETR DROP");
    assert_string_equal(line(rig, 6),
                        "redis-serv~ ~0.1:7001 10.0.0.3:40001  estab~ 1.00G     0 2.50us 12.3us    0    0");
    assert_string_equal(line(rig, 7),
                        "nginx       ~0.1:7001 10.0.0.4:40002  estab~    80   800      -      -   17    3");
    assert_string_equal(line(rig, 8),
                        "daq-sender  ~0.1:7001 *               open       0     0      -      -    -    0");
    assert_string_equal(line(rig, 9), "");
    assert_true(strncmp(line(rig, 23), "q quit  ? help", 14) == 0);
}

static void wide_terminals_show_every_column(void **state)
{
    struct rig *rig = *state;
    size_t count = top_views[TOP_CONNECTIONS].column_count;
    uint8_t widths[TOP_COLUMNS_MAX];

    top_draw_layout(&top_views[TOP_CONNECTIONS], 0, rig->ui.rows, 3, rig->data.realtime_ns, 400, widths);
    for (size_t i = 0; i < count; i++)
        assert_true(widths[i] > 0);
}

static void the_sorted_column_is_always_shown(void **state)
{
    struct rig *rig = *state;
    const struct top_view *view = &top_views[TOP_CONNECTIONS];
    uint8_t widths[TOP_COLUMNS_MAX];

    for (size_t i = 0; i < view->column_count; i++) {
        top_draw_layout(view, i, rig->ui.rows, 3, rig->data.realtime_ns, 20, widths);
        assert_true(widths[i] > 0);
    }
}

static void columns_fit_into_any_width(void **state)
{
    struct rig *rig = *state;
    uint8_t widths[TOP_COLUMNS_MAX];

    for (int view = 0; view < TOP_VIEWS; view++) {
        for (int width = 60; width < 300; width++) {
            int total = -1;

            top_draw_layout(&top_views[view], 0, rig->ui.rows, 0, rig->data.realtime_ns, width, widths);
            for (size_t i = 0; i < top_views[view].column_count; i++)
                total += widths[i] ? widths[i] + 1 : 0;
            assert_in_range(total, 1, width);
        }
    }
}

static void every_size_is_drawn(void **state)
{
    struct rig *rig = *state;

    for (int page = 0; page < 3; page++) {
        for (int height = 0; height < 40; height++) {
            for (int width = 0; width < 100; width += 3)
                draw(rig, width, height);
        }
        key(rig, page == 0 ? '?' : TOP_KEY_ESCAPE);
        if (page == 1)
            key(rig, TOP_KEY_ENTER);
    }
}

static void a_low_screen_has_rows_first(void **state)
{
    struct rig *rig = *state;

    draw(rig, 20, 5);
    assert_true(strncmp(line(rig, 0), "daq1", 4) == 0);
    assert_true(strncmp(line(rig, 2), "redis", 5) == 0);
    draw(rig, 20, 2);
    assert_true(strncmp(line(rig, 1), "redis", 5) == 0);
    draw(rig, 20, 1);
    assert_true(strncmp(line(rig, 0), "redis", 5) == 0);
}

static void a_problem_is_said_instead_of_the_summary(void **state)
{
    struct rig *rig = *state;

    strcpy(rig->data.problem, "the service does not answer");
    draw(rig, 80, 24);
    assert_string_equal(line(rig, 4), "the service does not answer");
    draw(rig, 40, 5);
    assert_string_equal(line(rig, 0), "the service does not answer");
}

static void names_cannot_drive_the_terminal(void **state)
{
    struct rig *rig = *state;

    strcpy(rig->nodes[0].name, "a\x1b[2J\n\xc2\x9b");
    draw(rig, 80, 24);
    assert_true(strncmp(line(rig, 0), "a?[2J??? ", 9) == 0);
}

/* --- sorting and filtering ----------------------------------------------------------------------------------- */

static void rows_are_sorted_and_unknown_numbers_come_last(void **state)
{
    struct rig *rig = *state;
    const struct top_view *view = &top_views[TOP_CONNECTIONS];

    assert_string_equal(program_at(rig, 0), "redis-server");
    assert_string_equal(program_at(rig, 1), "nginx");
    key(rig, 'r');
    assert_string_equal(program_at(rig, 0), "daq-sender");
    assert_string_equal(program_at(rig, 2), "redis-server");
    while (strcmp(view->columns[rig->ui.lists[TOP_CONNECTIONS].order.column].title, "P99") != 0)
        key(rig, '>');
    assert_string_equal(program_at(rig, 0), "redis-server");
    key(rig, 'r'); /* only one has a latency: it stays first */
    assert_string_equal(program_at(rig, 0), "redis-server");
}

static void every_column_sorts_in_both_directions(void **state)
{
    struct rig *rig = *state;

    for (int view = 0; view < TOP_VIEWS; view++) {
        key(rig, '1' + view);
        for (size_t i = 0; i < top_views[view].column_count; i++) {
            for (int direction = 0; direction < 2; direction++) {
                const struct top_order *order = &rig->ui.lists[view].order;

                for (size_t row = 1; row < rig->ui.row_count; row++)
                    assert_true(top_compare(&top_views[view].columns[order->column], order->descending,
                                            rig->ui.rows[row - 1], rig->ui.rows[row]) <= 0);
                key(rig, 'r');
            }
            key(rig, TOP_KEY_RIGHT);
        }
        assert_int_equal(rig->ui.lists[view].order.column, top_views[view].sort);
        key(rig, TOP_KEY_LEFT);
        assert_int_equal(rig->ui.lists[view].order.column,
                         (top_views[view].sort + top_views[view].column_count - 1) % top_views[view].column_count);
    }
}

static void addresses_sort_by_number(void **state)
{
    struct rig *rig = *state;
    const struct top_column *remote = &top_views[TOP_CONNECTIONS].columns[4];
    struct connection_row rows[2] = {{.remote = {net_addr_from_v4(htonl(0x0a000002)), 9}},
                                     {.remote = {net_addr_from_v4(htonl(0x0a00000a)), 1}}};
    struct top_connection first = {.row = &rows[0]}, second = {.row = &rows[1]};

    (void)rig;
    assert_string_equal(remote->title, "REMOTE");
    assert_true(top_compare(remote, false, &first, &second) < 0);
    assert_true(top_compare(remote, true, &first, &second) > 0);
}

static void the_filter_wants_all_its_words_in_any_text(void **state)
{
    struct rig *rig = *state;

    key(rig, '/');
    type(rig, "REDIS");
    assert_int_equal(rig->ui.row_count, 1); /* while it is typed */
    type(rig, " :7001 nonsense");
    assert_int_equal(rig->ui.row_count, 0);
    for (int i = 0; i < 9; i++)
        key(rig, TOP_KEY_BACKSPACE);
    assert_int_equal(rig->ui.row_count, 1);
    draw(rig, 80, 24);
    assert_string_equal(line(rig, 23), "Filter: REDIS :7001_");
    key(rig, TOP_KEY_ENTER);
    draw(rig, 80, 24);
    assert_string_equal(line(rig, 4), "1 of 3 connections by RXb/s, descending, filter \"REDIS :7001\"");
    key(rig, '/');
    type(rig, "xyz");
    key(rig, TOP_KEY_ESCAPE); /* what was typed is forgotten */
    assert_int_equal(rig->ui.row_count, 1);
    key(rig, TOP_KEY_ESCAPE); /* no filter */
    assert_int_equal(rig->ui.row_count, 3);
}

static void a_filter_can_be_of_any_length(void **state)
{
    struct rig *rig = *state;

    key(rig, '/');
    for (int i = 0; i < 500; i++)
        key(rig, 'x');
    assert_int_equal(strlen(rig->ui.edited), TOP_FILTER_MAX - 1);
    key(rig, TOP_KEY_ENTER);
    draw(rig, 80, 24);
    assert_int_equal(rig->ui.row_count, 0);
}

/* --- moving -------------------------------------------------------------------------------------------------- */

static void the_selected_row_stays_selected(void **state)
{
    struct rig *rig = *state;

    key(rig, TOP_KEY_DOWN);
    assert_string_equal(program_at(rig, rig->ui.lists[TOP_CONNECTIONS].position), "nginx");
    key(rig, 'r');
    assert_int_equal(rig->ui.lists[TOP_CONNECTIONS].position, 1);
    key(rig, TOP_KEY_HOME);
    assert_string_equal(program_at(rig, 0), "daq-sender");
    key(rig, 'r');
    assert_int_equal(rig->ui.lists[TOP_CONNECTIONS].position, 2);
    look(rig, 2);
    assert_int_equal(rig->ui.lists[TOP_CONNECTIONS].position, 2);
    key(rig, '/');
    type(rig, "nginx"); /* the selected one is no longer listed */
    assert_int_equal(rig->ui.lists[TOP_CONNECTIONS].position, 0);
}

static void who_has_not_moved_stays_at_the_top(void **state)
{
    struct rig *rig = *state;

    key(rig, 'r');
    assert_int_equal(rig->ui.lists[TOP_CONNECTIONS].position, 0);
    assert_false(rig->ui.lists[TOP_CONNECTIONS].has_selected);
}

static void moving_stops_at_the_ends_and_scrolls(void **state)
{
    struct rig *rig = *state;
    struct top_list_state *list = &rig->ui.lists[TOP_CONNECTIONS];

    draw(rig, 80, 4); /* two rows */
    assert_int_equal(rig->ui.list_rows, 2);
    key(rig, TOP_KEY_UP);
    assert_int_equal(list->position, 0);
    key(rig, TOP_KEY_END);
    assert_int_equal(list->position, 2);
    assert_int_equal(list->scroll, 1);
    key(rig, TOP_KEY_DOWN);
    assert_int_equal(list->position, 2);
    key(rig, TOP_KEY_PAGE_UP);
    assert_int_equal(list->position, 1);
    key(rig, TOP_KEY_HOME);
    assert_int_equal(list->scroll, 0);
    draw(rig, 80, 24);
    assert_int_equal(list->scroll, 0);
}

/* --- other keys ---------------------------------------------------------------------------------------------- */

static void keys_change_the_view_the_interval_and_pause(void **state)
{
    struct rig *rig = *state;

    key(rig, '3');
    draw(rig, 80, 24);
    assert_true(shown(rig, "[3 programs]"));
    assert_true(shown(rig, "redis-s"));
    key(rig, TOP_KEY_TAB);
    assert_int_equal(rig->ui.view, TOP_NODES);
    key(rig, TOP_KEY_BACK_TAB);
    assert_int_equal(rig->ui.view, TOP_PROGRAMS);
    key(rig, '+');
    assert_true(rig->ui.interval_ns == 2000000000);
    for (int i = 0; i < 20; i++)
        key(rig, '-');
    assert_true(rig->ui.interval_ns == TOP_INTERVAL_MIN_NS);
    assert_int_equal(key(rig, 'p'), TOP_ACT_DRAW);
    draw(rig, 80, 24);
    assert_true(shown(rig, "PAUSED"));
    assert_int_equal(key(rig, 'p'), TOP_ACT_FETCH);
    assert_int_equal(key(rig, 'q'), TOP_ACT_QUIT);
}

static void enter_at_a_node_shows_its_connections(void **state)
{
    struct rig *rig = *state;

    key(rig, '1');
    draw(rig, 80, 24);
    assert_true(shown(rig, "no route to host"));
    key(rig, TOP_KEY_DOWN);
    assert_int_equal(key(rig, TOP_KEY_ENTER), TOP_ACT_NODE);
    assert_int_equal(rig->ui.node, 1);
    assert_int_equal(rig->ui.view, TOP_CONNECTIONS);
}

static void details_say_all_that_is_known(void **state)
{
    struct rig *rig = *state;

    rig->data.dump = json_tokener_parse("{\"sockets\": [{\"descriptor_count\": 4711}]}");
    key(rig, TOP_KEY_ENTER);
    draw(rig, 100, 40);
    assert_true(shown(rig, "tcp 10.0.0.1:7001 - 10.0.0.3:40001, established"));
    assert_true(shown(rig, "1.000 Gb/s"));
    assert_true(shown(rig, "99 % 12.35 us"));
    assert_true(shown(rig, "50.0 % of a core"));
    assert_true(shown(rig, "congestion 10.00 KiB")); /* of the table, since the dump does not say */
    assert_true(shown(rig, "All that its program says (lockstep dump 1001)"));
    assert_true(shown(rig, "  descriptor_count 4711"));
    json_object_put(rig->data.dump);
    rig->data.dump = NULL;
    rig->data.dump_problem = "does not answer";
    draw(rig, 100, 40);
    assert_true(shown(rig, "  process 1001 does not answer"));
    key(rig, TOP_KEY_ESCAPE);
    draw(rig, 80, 24);
    assert_true(shown(rig, "PROGRAM"));
}

static void details_scroll_and_end_with_their_row(void **state)
{
    struct rig *rig = *state;
    struct connection_table empty = rig_table(0, 0, 5);

    key(rig, TOP_KEY_ENTER);
    draw(rig, 80, 10);
    key(rig, TOP_KEY_END);
    draw(rig, 80, 10);
    assert_true(shown(rig, "worst"));
    key(rig, TOP_KEY_UP); /* not beyond the end */
    draw(rig, 80, 10);
    key(rig, TOP_KEY_HOME);
    draw(rig, 80, 10);
    assert_true(shown(rig, "tcp 10.0.0.1:7001"));
    assert_int_equal(top_model_update(rig->model, &empty), 0);
    top_ui_refresh(&rig->ui, &rig->data);
    draw(rig, 80, 10);
    assert_true(shown(rig, "This connection has gone."));
}

static void a_histogram_is_drawn_in_powers_of_two(void **state)
{
    struct rig *rig = *state;
    uint32_t buckets[LANE_STATS_SLOT_BUCKETS] = {0};
    struct top_connection *connection = (struct top_connection *)(uintptr_t)rig->ui.rows[0];

    buckets[histogram_index(1100) >> 2] = 40;
    buckets[histogram_index(1900) >> 2] = 40;
    buckets[histogram_index(4500) >> 2] = 1;
    connection->histogram = buckets;
    key(rig, TOP_KEY_ENTER);
    draw(rig, 80, 40);
    assert_true(shown(rig, "  from  1.02us  ######################################## 80"));
    assert_true(shown(rig, "  from  2.05us                                           0"));
    assert_true(shown(rig, "  from  4.10us  #                                        1"));
}

static void help_names_keys_and_columns(void **state)
{
    struct rig *rig = *state;
    char *text;

    key(rig, '?');
    draw(rig, 80, 24);
    assert_true(shown(rig, "Keys"));
    key(rig, 'q'); /* leaves the help only */
    assert_int_equal(rig->ui.page, TOP_PAGE_LIST);
    for (int view = 0; view < TOP_VIEWS; view++) {
        text = top_page_help((enum top_view_id)view);
        for (size_t i = 0; i < top_views[view].column_count; i++)
            assert_non_null(strstr(text, top_views[view].columns[i].help));
        free(text);
    }
}

static void keys_do_no_harm_without_rows(void **state)
{
    struct rig *rig = *state;

    top_model_clear(rig->model);
    rig->data.node_count = 0;
    top_ui_refresh(&rig->ui, &rig->data);
    for (int code = 0; code < 300; code++) {
        key(rig, code);
        draw(rig, 80, 24);
    }
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_usual_terminal_shows_all_that_matters),
        RIG_TEST(wide_terminals_show_every_column),
        RIG_TEST(the_sorted_column_is_always_shown),
        RIG_TEST(columns_fit_into_any_width),
        RIG_TEST(every_size_is_drawn),
        RIG_TEST(a_low_screen_has_rows_first),
        RIG_TEST(a_problem_is_said_instead_of_the_summary),
        RIG_TEST(names_cannot_drive_the_terminal),
        RIG_TEST(rows_are_sorted_and_unknown_numbers_come_last),
        RIG_TEST(every_column_sorts_in_both_directions),
        RIG_TEST(addresses_sort_by_number),
        RIG_TEST(the_filter_wants_all_its_words_in_any_text),
        RIG_TEST(a_filter_can_be_of_any_length),
        RIG_TEST(the_selected_row_stays_selected),
        RIG_TEST(who_has_not_moved_stays_at_the_top),
        RIG_TEST(moving_stops_at_the_ends_and_scrolls),
        RIG_TEST(keys_change_the_view_the_interval_and_pause),
        RIG_TEST(enter_at_a_node_shows_its_connections),
        RIG_TEST(details_say_all_that_is_known),
        RIG_TEST(details_scroll_and_end_with_their_row),
        RIG_TEST(a_histogram_is_drawn_in_powers_of_two),
        RIG_TEST(help_names_keys_and_columns),
        RIG_TEST(keys_do_no_harm_without_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
