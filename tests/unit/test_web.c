/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep-web's pure parts: requests, tokens, totals, lists, metrics. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/histogram.h"
#include "monitor/connection_list.h"
#include "monitor/prometheus.h"
#include "monitor/snapshot.h"
#include "monitor/web_config.h"
#include "monitor/web_token.h"
#include "tests/unit/unit.h"

static void paths_are_routes_or_nothing(void **state)
{
    static const char *const nothing[] = {"",
                                          "/etc/passwd",
                                          "/..",
                                          "/page.css/",
                                          "/api/v1/connections/",
                                          "/metrics/",
                                          "/page.html",
                                          "//login",
                                          "/api/v1/connections/1x",
                                          "/api/v1/connections/-1",
                                          "/api/v1/connections/18446744073709551616"};
    uint64_t key;

    (void)state;
    assert_int_equal(web_route("/", &key), WEB_ROUTE_PAGE);
    assert_int_equal(web_route("/metrics", &key), WEB_ROUTE_METRICS);
    assert_int_equal(web_route("/uplot.js", &key), WEB_ROUTE_ASSET);
    assert_int_equal(web_route("/api/v1/connections/18446744073709551615", &key), WEB_ROUTE_CONNECTION);
    assert_true(key == UINT64_MAX);
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        assert_int_equal(web_route(nothing[i], &key), WEB_ROUTE_UNKNOWN);
}

static void hosts_of_others_are_refused(void **state)
{
    static const char *const good[] = {"localhost", "LOCALHOST:1", "127.0.0.1:9480",
                                       "[::1]:80",  "[::1]",       "127.0.0.9:1"};
    static const char *const bad[] = {NULL,
                                      "",
                                      "evil.example",
                                      "localhost.evil.example",
                                      "127.0.0.1.evil",
                                      "127.0.0.1:",
                                      "localhost:1x",
                                      "localhost:99999",
                                      "127.0.0.",
                                      "[::1",
                                      "localhost:80:80"};
    struct net_endpoint listen;

    (void)state;
    assert_int_equal(net_endpoint_parse("127.0.0.9:9480", &listen), 0);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(web_host_is_local(good[i], &listen));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(web_host_is_local(bad[i], &listen));
}

static void tokens_are_compared_whole(void **state)
{
    static const char text[] = "0123456789abcdef0123456789abcdef\n";
    struct web_token token;
    const char *problem;

    (void)state;
    assert_int_equal(web_token_parse(text, strlen(text), &token, &problem), 0);
    assert_true(web_token_bearer(&token, "bearer 0123456789abcdef0123456789abcdef"));
    assert_false(web_token_bearer(&token, "Bearer 0123456789abcdef0123456789abcde"));
    assert_false(web_token_bearer(&token, "Bearer 0123456789abcdef0123456789abcdeF"));
    assert_false(web_token_bearer(&token, "0123456789abcdef0123456789abcdef"));
    assert_false(web_token_bearer(&token, NULL));
    assert_true(web_token_cookie(&token, token.cookie));
    assert_false(web_token_cookie(&token, "0123456789abcdef0123456789abcdef"));
    assert_int_equal(web_token_parse(text, 31, &token, &problem), LOCKSTEP_E_BAD_VALUE);
    assert_int_equal(web_token_parse("0123456789abcdef 123456789abcdef0", 33, &token, &problem), LOCKSTEP_E_BAD_VALUE);
    assert_false(web_token_equal(&token, "")); /* none was loaded */
}

static int configure(const char *text, char *problem)
{
    struct web_config config;

    return web_config_parse("web.conf", text, strlen(text), &config, problem);
}

static void other_machines_need_tls_and_token(void **state)
{
    char problem[CONFIG_PROBLEM_MAX];

    (void)state;
    assert_int_equal(configure("", problem), 0);
    assert_int_equal(configure("[web]\nlisten = [::1]:0\n", problem), 0);
    assert_true(configure("[web]\nlisten = 0.0.0.0:80\n", problem) < 0);
    assert_non_null(strstr(problem, "TLS"));
    assert_true(configure("[web]\nlisten = [::]:80\ncertificate = a\nkey = b\n", problem) < 0);
    assert_non_null(strstr(problem, "token"));
    assert_int_equal(configure("[web]\nlisten = [::]:80\ncertificate = a\nkey = b\ntoken-file = c\n", problem), 0);
    assert_true(configure("[web]\nkey = b\n", problem) < 0);
    assert_true(configure("[web]\nlisten = 127.0.0.1\n", problem) < 0);
    assert_true(configure("[web]\nlisten = somewhere:80\n", problem) < 0);
}

/* --- a table ------------------------------------------------------------------------------------------------ */

#define ROWS 3
static struct {
    struct table_header header;
    struct {
        struct connection_row row;
        uint32_t histogram[LANE_STATS_SLOT_BUCKETS];
    } connections[ROWS];
} made;
static struct connection_table table;
static struct connection_rate rates[ROWS];

static int make(void **state)
{
    (void)state;
    memset(&made, 0, sizeof made);
    made.header = (struct table_header){TABLE_MAGIC,
                                        TABLE_VERSION,
                                        LANE_STATS_SLOT_BUCKETS,
                                        sizeof(struct lane_row),
                                        sizeof made.connections[0],
                                        0,
                                        ROWS,
                                        1,
                                        1000000000,
                                        5};
    for (uint32_t i = 0; i < ROWS; i++) {
        struct connection_row *row = &made.connections[i].row;

        row->key = i + 1;
        row->protocol = IPPROTO_TCP;
        row->tcp_state = 1;
        snprintf(row->program, sizeof row->program, i < 2 ? "daq" : "o\"th\ner");
        row->rx_bytes = 100 * (i + 1);
        row->latency_count = 10;
        row->latency_p99_ns = 3000 - 1000 * i;
        made.connections[i].histogram[histogram_index(1000) >> HISTOGRAM_COARSE_SHIFT] = 10;
    }
    return table_parse(&made, sizeof made, &table);
}

static const struct program_totals *totals_of(const struct tracker *tracker, const char *program)
{
    size_t count;
    const struct program_totals *totals = tracker_totals(tracker, &count);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(totals[i].program, program) == 0)
            return &totals[i];
    }
    fail();
    return NULL;
}

static void totals_outlive_connections(void **state)
{
    struct tracker *tracker = tracker_create(true);
    struct connection_row closed;

    (void)state;
    assert_int_equal(tracker_table(tracker, &table, rates), 0);
    assert_int_equal(totals_of(tracker, "daq")->rx_bytes, 0); /* they count from the first table on */
    made.connections[0].row.rx_bytes += 50;
    made.header.monotonic_ns = 2000000000;
    assert_int_equal(table_parse(&made, sizeof made, &table), 0);
    tracker_table(tracker, &table, rates);
    assert_int_equal(totals_of(tracker, "daq")->rx_bytes, 50);
    assert_int_equal((int)rates[0].rx_bytes, 50);
    /* It goes on, and ends; a table from before its end comes late. */
    closed = made.connections[0].row;
    closed.rx_bytes += 7;
    made.connections[0].histogram[3] = 4;
    tracker_closed(tracker, 2500000000, &closed, made.connections[0].histogram);
    tracker_closed(tracker, 2500000000, &closed, made.connections[0].histogram);
    tracker_table(tracker, &table, rates);
    assert_int_equal(totals_of(tracker, "daq")->rx_bytes, 57);
    assert_int_equal(totals_of(tracker, "daq")->latency[3], 4);
    assert_int_equal(totals_of(tracker, "daq")->connections, 1);
    /* One that no table has seen. */
    closed.key = 77;
    closed.rx_bytes = 1000;
    tracker_closed(tracker, 2600000000, &closed, made.connections[1].histogram);
    assert_int_equal(totals_of(tracker, "daq")->rx_bytes, 1057);
    assert_int_equal(totals_of(tracker, "daq")->opened, 1);
    /* Another instance begins anew. */
    made.header.instance = 2;
    assert_int_equal(table_parse(&made, sizeof made, &table), 0);
    tracker_table(tracker, &table, rates);
    assert_int_equal(totals_of(tracker, "daq")->rx_bytes, 0);
    tracker_destroy(tracker);
}

/* However many programs come and go, metrics have few names of them. */
static void many_programs_share_totals(void **state)
{
    struct tracker *tracker = tracker_create(false);
    struct connection_row row = {.protocol = IPPROTO_TCP};
    struct tracker_traffic sums;
    size_t count;

    (void)state;
    assert_int_equal(tracker_table(tracker, &table, NULL), 0);
    for (int i = 0; i < 1000; i++) {
        row.key = (uint64_t)(1000 + i);
        row.rx_bytes = 10;
        snprintf(row.program, sizeof row.program, "program-%d", i);
        tracker_closed(tracker, 2000000000, &row, NULL);
    }
    tracker_totals(tracker, &count);
    assert_int_equal(count, TRACKER_PROGRAMS);
    assert_true(totals_of(tracker, "other")->rx_bytes > 9000);
    sums = tracker_traffic(tracker);
    assert_int_equal(sums.rx_bytes, 10000);
    tracker_destroy(tracker);
}

/* As the service appends it to its journal. */
static void ends_of_connections_are_taken_from_the_journal(void **state)
{
    struct {
        struct journal_record record;
        struct connection_row row;
        uint32_t histogram[LANE_STATS_SLOT_BUCKETS];
    } closed = {.record = {.size = sizeof closed, .type = JOURNAL_CONNECTION_CLOSED, .monotonic_ns = 2000000000}};
    struct tracker *tracker = tracker_create(true);
    uint64_t latency[LANE_STATS_SLOT_BUCKETS];

    (void)state;
    assert_int_equal(tracker_table(tracker, &table, NULL), 0);
    closed.row.key = 50;
    closed.row.rx_bytes = 70;
    closed.histogram[5] = 3;
    memset(closed.row.program, 'x', sizeof closed.row.program); /* no end */
    tracker_record(tracker, &closed.record);
    assert_int_equal(tracker_traffic(tracker).rx_bytes, 70);
    tracker_latency(tracker, latency);
    assert_int_equal(latency[5], 3);
    closed.row.key = 51;
    closed.record.size = sizeof closed.record + sizeof closed.row; /* cut */
    tracker_record(tracker, &closed.record);
    closed.record.type = JOURNAL_CONNECTION_OPENED;
    closed.record.size = sizeof closed;
    tracker_record(tracker, &closed.record);
    assert_int_equal(tracker_traffic(tracker).rx_bytes, 70);
    tracker_destroy(tracker);
}

static void lists_are_sorted_filtered_and_cut(void **state)
{
    struct list_query query;
    const char *problem = NULL;
    uint32_t *rows, count, matching;

    (void)state;
    list_query_init(&query);
    assert_int_equal(list_query_set(&query, "sort", "-p99", &problem), 0);
    assert_int_equal(list_query_set(&query, "limit", "1", &problem), 0);
    assert_int_equal(list_query_set(&query, "filter", "DAQ  established", &problem), 0);
    assert_int_equal(connection_list_select(&table, rates, &query, &rows, &count, &matching), 0);
    assert_int_equal(count, 1);
    assert_int_equal(matching, 2);
    assert_int_equal(rows[0], 0);
    free(rows);
    assert_int_equal(list_query_set(&query, "offset", "1", &problem), 0);
    assert_int_equal(connection_list_select(&table, rates, &query, &rows, &count, &matching), 0);
    assert_int_equal(count, 1);
    assert_int_equal(rows[0], 1);
    free(rows);
    assert_int_equal(list_query_set(&query, "offset", "2", &problem), 0);
    assert_int_equal(connection_list_select(&table, rates, &query, &rows, &count, &matching), 0);
    assert_int_equal(count, 0);
    assert_int_equal(matching, 2);
    free(rows);
    assert_null(problem);
    assert_int_equal(list_query_set(&query, "offset", "-1", &problem), LOCKSTEP_E_BAD_VALUE);
    assert_int_equal(list_query_set(&query, "sort", "nonsense", &problem), LOCKSTEP_E_BAD_VALUE);
    assert_int_equal(list_query_set(&query, "limit", "10001", &problem), LOCKSTEP_E_BAD_VALUE);
    assert_int_equal(list_query_set(&query, "limit", NULL, &problem), LOCKSTEP_E_BAD_VALUE);
    assert_int_equal(list_query_set(&query, "other", "1", &problem), LOCKSTEP_E_UNKNOWN_NAME);
}

static void lists_are_json_whatever_a_program_is_called(void **state)
{
    struct list_query query;
    struct snapshot *snapshot = snapshot_create();
    struct body *one, *again;

    (void)state;
    list_query_init(&query);
    snapshot->table = table;
    snapshot->rates = calloc(ROWS, sizeof *snapshot->rates);
    one = snapshot_connections(snapshot, &query);
    again = snapshot_connections(snapshot, &query);
    assert_ptr_equal(one, again); /* made once */
    assert_non_null(strstr(one->text, "\"program\":\"o\\\"th?er\""));
    assert_non_null(strstr(one->text, "\"total\":3,\"matching\":3"));
    body_release(one);
    body_release(again);
    assert_int_equal(snapshot_connection(snapshot, 2, &one), 0);
    assert_non_null(strstr(one->text, "\"key\":2"));
    body_release(one);
    assert_int_equal(snapshot_connection(snapshot, 99, &one), 0);
    assert_null(one);
    snapshot_release(snapshot);
}

static void labels_are_escaped(void **state)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    (void)state;
    prometheus_sample(out, "a", 12345678901234.0, "b", "x\"\\\n\xff", "c", "", NULL);
    prometheus_single(out, "d", "gauge", "Help.", (double)__builtin_nan(""));
    fclose(out);
    assert_string_equal(text, "a{b=\"x\\\"\\\\\\n?\",c=\"\"} 12345678901234\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_routes_or_nothing),
        cmocka_unit_test(hosts_of_others_are_refused),
        cmocka_unit_test(tokens_are_compared_whole),
        cmocka_unit_test(other_machines_need_tls_and_token),
        cmocka_unit_test_setup(totals_outlive_connections, make),
        cmocka_unit_test_setup(many_programs_share_totals, make),
        cmocka_unit_test_setup(ends_of_connections_are_taken_from_the_journal, make),
        cmocka_unit_test_setup(lists_are_sorted_filtered_and_cut, make),
        cmocka_unit_test_setup(lists_are_json_whatever_a_program_is_called, make),
        cmocka_unit_test(labels_are_escaped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
