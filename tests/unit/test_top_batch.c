/* SPDX-License-Identifier: BSD-2-Clause */
/* What scripts get: names that stay, raw numbers, quoting. */
#include "tests/unit/unit.h"

#include <json-c/json.h>

#include "tests/unit/top_rig.h"
#include "tools/top_batch.h"

struct rig {
    struct top_model *model;
    struct top_node node;
    struct top_data data;
    struct top_ui ui;
    char *text;
};

static void look(struct rig *rig, double second)
{
    struct connection_table table = rig_table(1, 2, second);
    struct connection_row *row = rig_fill(&table, 0, "a \"b\", c", 1);

    row->rx_bytes = 9007199254740991;
    row->tx_bytes = (uint64_t)(1000 * second);
    rig_fill(&table, 1, "plain", 2)->since_ns = RIG_REALTIME_NS;
    rig_fill_lane(&table, 0, "plain", 1002)->spin_ns = (uint64_t)(second * 25e7);
    assert_int_equal(top_model_update(rig->model, &table), 0);
    rig->data.realtime_ns = RIG_REALTIME_NS + (int64_t)(second * 1e9);
}

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);

    rig->model = top_model_create();
    top_node_fill(&rig->node, NULL, NULL);
    strcpy(rig->node.name, "daq1");
    rig->data = (struct top_data){.model = rig->model, .nodes = &rig->node, .node_count = 1};
    top_ui_init(&rig->ui, 1000000000);
    rig->ui.lists[TOP_CONNECTIONS].order = (struct top_order){0, false};
    look(rig, 0);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;

    top_ui_free(&rig->ui);
    top_model_destroy(rig->model);
    free(rig->text);
    free(rig);
    return 0;
}

static const char *print(struct rig *rig, enum top_view_id view, enum top_form form, size_t limit, bool first)
{
    size_t size;
    FILE *out;

    free(rig->text);
    out = open_memstream(&rig->text, &size);
    rig->ui.view = view;
    top_ui_refresh(&rig->ui, &rig->data);
    top_batch_print(&rig->ui, &rig->data, form, limit, first, out);
    fclose(out);
    return rig->text;
}

/* Scripts know columns by name: none may go or change its unit; new ones may come. */
static void columns_keep_their_names(void **state)
{
    struct rig *rig = *state;
    static const char *const names[TOP_VIEWS] = {
        [TOP_NODES] = "node clock clock_offset_ns clock_bound_ns clock_rate_ppm clock_source interfaces programs"
                      " sockets kernel_sockets diverted_per_s lost uptime_s version problem",
        [TOP_CONNECTIONS] = "program pid protocol local remote state interface rx_bytes_per_s tx_bytes_per_s"
                            " rx_packets_per_s tx_packets_per_s latency_p50_ns latency_p90_ns latency_p99_ns"
                            " latency_p999_ns latency_max_ns retransmissions drops program_spin_percent srtt_ns"
                            " cwnd_bytes rx_bytes tx_bytes lane since_ns",
        [TOP_PROGRAMS] = "program pid uid connections rx_bytes_per_s tx_bytes_per_s rx_packets_per_s"
                         " tx_packets_per_s spin_percent wakeups_per_s sleeps_per_s ring_high_water_percent"
                         " ring_bytes overruns bad_packets guard_drops send_failures injector device lane since_ns"};

    for (int view = 0; view < TOP_VIEWS; view++) {
        char head[1000], wanted[1000], *rest = wanted, *name;

        print(rig, (enum top_view_id)view, TOP_FORM_CSV, 0, true);
        snprintf(head, sizeof head, "%.*s,", (int)strcspn(rig->text, "\r"), rig->text);
        assert_int_equal(strncmp(head, "time_ns,", 8), 0);
        strcpy(wanted, names[view]);
        while ((name = strtok_r(rest, " ", &rest))) {
            char cell[60];

            snprintf(cell, sizeof cell, ",%s,", name);
            if (!strstr(head, cell))
                fail_msg("no column %s", name);
        }
    }
}

static void csv_quotes_and_leaves_unknown_empty(void **state)
{
    struct rig *rig = *state;
    static const char row[] =
        "1800000000000000000,\"a \"\"b\"\", c\",1001,tcp,10.0.0.1:7001,10.0.0.3:40001,established,eth0,";

    assert_non_null(strstr(print(rig, TOP_CONNECTIONS, TOP_FORM_CSV, 0, true), row));
    assert_non_null(strstr(rig->text, ",eth0,,,,,,,,,,0,0,,,0,9007199254740991,0,0,"));
    look(rig, 2);
    print(rig, TOP_CONNECTIONS, TOP_FORM_CSV, 1, false); /* no head again */
    assert_int_equal(strncmp(rig->text, "1800000002000000000,\"a ", 23), 0);
    assert_non_null(strstr(rig->text, ",eth0,0,1000,0,0,"));
    assert_null(strstr(rig->text, "plain"));
}

static void json_has_a_document_a_look(void **state)
{
    struct rig *rig = *state;
    struct json_object *document, *rows, *row, *value;

    look(rig, 2);
    document = json_tokener_parse(print(rig, TOP_CONNECTIONS, TOP_FORM_JSON, 0, true));
    assert_int_equal(strcspn(rig->text, "\n") + 1, strlen(rig->text));
    assert_true(json_object_object_get_ex(document, "connections", &rows));
    assert_int_equal(json_object_array_length(rows), 2);
    row = json_object_array_get_idx(rows, 1);
    assert_true(json_object_object_get_ex(row, "program_spin_percent", &value));
    assert_true(json_object_get_double(value) == 25);
    assert_true(json_object_object_get_ex(row, "latency_p99_ns", &value) && !value); /* null: not known */
    assert_true(json_object_object_get_ex(row, "since_ns", &value));
    assert_string_equal(json_object_to_json_string(value), "1800000000000000000");
    assert_true(json_object_object_get_ex(document, "problem", &value) && !value);
    json_object_put(document);
}

static void a_table_has_a_line_each(void **state)
{
    struct rig *rig = *state;
    print(rig, TOP_PROGRAMS, TOP_FORM_TABLE, 0, true);
    assert_non_null(strstr(rig->text, "  1 programs\nPROGRAM "));
    print(rig, TOP_PROGRAMS, TOP_FORM_TABLE, 0, false);
    assert_int_equal(rig->text[0], '\n'); /* apart from the one before */
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(columns_keep_their_names),
        RIG_TEST(csv_quotes_and_leaves_unknown_empty),
        RIG_TEST(json_has_a_document_a_look),
        RIG_TEST(a_table_has_a_line_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
