/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/histogram.h"
#include "monitor/json_report.h"
#include "tools/top_remote.h"

static const char connections_text[] =
    "{\"monotonic_ns\": 1000, \"bucket_edges_ns\": [64, 128, 256], \"time_ns\": 2000, \"total\": 2, \"connections\": "
    "[{\"key\": 77, \"program\": \"redis\", "
    "\"pid\": 12, \"protocol\": \"tcp\","
    " \"local\": \"10.0.0.1:6379\", \"remote\": \"[fd00::2]:40000\", \"state\": \"close-wait\", \"since_ms\": "
    "1700000000123,"
    " \"rx_bytes\": 1000, \"tx_bytes\": 2000, \"drops\": 5, \"ring_drops\": 3, \"buffer_drops\": 2, \"uid\": 7, "
    "\"interface\": \"eth1\", \"rx_packets\": 8,"
    " \"tx_packets\": 6, \"congestion_window\": 14600, \"send_window\": 65536, \"retransmissions\": 4, \"rtt_us\": 55, "
    "\"messages\": 9, \"histogram\": [1, 5, 3, 1, 9, 9],"
    " \"p50_ns\": 1, \"p90_ns\": 2, \"p99_ns\": 3, \"p999_ns\": 4, \"max_ns\": 99999999999},"
    " {\"key\": 78, \"protocol\": \"udp\", \"local\": \"10.0.0.1:9\", \"remote\": \"*\", \"state\": \"open\"}]}";
static const char status_text[] =
    "{\"pid\": 5, \"lanes\": [{\"lane\": 1, \"pid\": 12, \"uid\": 0, \"program\": \"redis\", \"injector\": \"direct\","
    " \"device\": \"\", \"since\": 1700000000, \"flows\": 2, \"ring_bytes\": 4096, \"rx_packets\": 10, \"overruns\": 6,"
    " \"guard_drops\": {\"malformed\": 1, \"source\": 2}, \"spin_ns\": 1000}]}";

static struct json_object *parse(const char *text)
{
    return text ? report_parse(text, strlen(text)) : NULL;
}

static void make(const char *connections, const char *status, struct connection_table *table)
{
    struct json_object *first = parse(connections), *second = parse(status);

    assert_int_equal(top_remote_table(first, second, table), 0);
    json_object_put(first);
    json_object_put(second);
}

static void documents_become_a_table(void **state)
{
    struct connection_table table;
    const struct connection_row *row;
    const struct lane_row *lane;
    char text[NET_ENDPOINT_TEXT_MAX];

    (void)state;
    make(connections_text, status_text, &table);
    assert_int_equal(table.header.connection_count, 2);
    assert_int_equal(table.header.lane_count, 1);
    assert_true(table.header.instance == 5 && table.header.monotonic_ns == 1000 && table.header.realtime_ns == 2000);
    row = table_connection(&table, 0);
    assert_true(row->key == 77 && row->pid == 12 && row->rx_bytes == 1000 && row->tx_bytes == 2000);
    assert_string_equal(row->program, "redis");
    assert_string_equal(connection_state_name(row), "close-wait");
    assert_string_equal(net_endpoint_format(&row->remote, text), "[fd00::2]:40000");
    assert_true(row->since_ns == 1700000000123000000);
    assert_true(row->uid == 7 && row->rx_packets == 8 && row->tx_packets == 6 && row->drops == 2);
    assert_true(row->cwnd == 14600 && row->snd_wnd == 65536);
    assert_string_equal(row->interface, "eth1");
    assert_true(row->ring_drops == 3 && row->retransmissions == 4 && row->srtt_us == 55 && row->latency_count == 9);
    assert_true(row->latency_p999_ns == 4 && row->latency_max_ns == UINT32_MAX);
    assert_int_equal(table_histogram(&table, 0)[histogram_index(64) >> HISTOGRAM_COARSE_SHIFT], 5);
    assert_int_equal(table_histogram(&table, 0)[histogram_index(128) >> HISTOGRAM_COARSE_SHIFT], 3);
    assert_int_equal(table_histogram(&table, 0)[histogram_index(256) >> HISTOGRAM_COARSE_SHIFT], 1);
    assert_int_equal(connection_quantile(table_histogram(&table, 1), 500000), 0);
    row = table_connection(&table, 1);
    assert_int_equal(row->protocol, IPPROTO_UDP);
    assert_string_equal(connection_state_name(row), "open");
    assert_int_equal(row->remote.port, 0);
    lane = table_lane(&table, 0);
    assert_true(lane->lane == 1 && lane->pid == 12 && lane->injector == CONTROL_INJECTOR_DIRECT);
    assert_true(lane->guard_drops == 3 && lane->overruns == 6 && lane->spin_ns == 1000 && lane->flows == 2);
    table_free(&table);
}

static void lanes_are_of_the_same_moment(void **state)
{
    struct json_object *connections = parse("{\"monotonic_ns\": 5000000000, \"connections\": []}");
    struct json_object *early = parse("{\"monotonic_ns\": 4000000000, \"lanes\": [{}]}");
    struct json_object *close = parse("{\"monotonic_ns\": 5001000000, \"lanes\": [{}]}");
    struct connection_table table;

    (void)state;
    assert_int_equal(top_remote_table(connections, early, &table), -EAGAIN);
    assert_int_equal(top_remote_table(connections, close, &table), 0);
    assert_int_equal(table.header.lane_count, 1);
    table_free(&table);
    json_object_put(connections);
    json_object_put(early);
    json_object_put(close);
}

static void every_state_is_found_again(void **state)
{
    struct connection_row row = {.protocol = IPPROTO_TCP};
    struct connection_table table;
    char text[200];

    (void)state;
    for (row.tcp_state = 1; row.tcp_state <= 11; row.tcp_state++) {
        snprintf(text, sizeof text, "{\"connections\": [{\"protocol\": \"tcp\", \"state\": \"%s\"}]}",
                 connection_state_name(&row));
        make(text, NULL, &table);
        assert_string_equal(connection_state_name(table_connection(&table, 0)), connection_state_name(&row));
        table_free(&table);
    }
}

static void strange_documents_do_no_harm(void **state)
{
    static const char *const strange[] = {
        "{}",
        "{\"connections\": 5}",
        "{\"connections\": [1, null, [], {}]}",
        "{\"connections\": [{\"key\": \"x\", \"pid\": -1, \"local\": 5, \"remote\": \"::::\"}]}",
        "{\"connections\": [{\"since_ms\": 18446744073709551615, \"p50_ns\": 1e99, \"program\": \"\\u0000a\"}]}",
        "{\"lanes\": [{\"guard_drops\": []}]}",
        "{\"bucket_edges_ns\": [18446744073709551615, \"x\", []], \"connections\": [{\"histogram\": [2, -5, 1, 1]}]}",
        "{\"bucket_edges_ns\": [1], \"connections\": [{\"histogram\": [-1, 1]}, {\"histogram\": 5}]}",
    };
    struct connection_table table;

    (void)state;
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        make(strange[i], strange[i], &table);
        table_free(&table);
    }
    make(NULL, NULL, &table);
    assert_int_equal(table.header.connection_count, 0);
    table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_become_a_table),
        cmocka_unit_test(lanes_are_of_the_same_moment),
        cmocka_unit_test(every_state_is_found_again),
        cmocka_unit_test(strange_documents_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
