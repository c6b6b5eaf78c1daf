/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/unit.h"

#include <math.h>

#include "monitor/json_report.h"
#include "tests/unit/top_rig.h"
#include "tools/top_model.h"
#include "tools/top_node.h"

static void close_to(double value, double expected)
{
    assert_true(fabs(value - expected) <= 1e-9 * fabs(expected));
}

static const struct top_connection *find(const struct top_model *model, uint64_t key)
{
    const struct top_connection *found = top_model_find(model, key);

    assert_non_null(found);
    return found;
}

static void update(struct top_model *model, struct connection_table table)
{
    assert_int_equal(top_model_update(model, &table), 0);
}

static void rates_are_the_difference_by_the_time_between(void **state)
{
    struct top_model *model = top_model_create();
    struct connection_table first = rig_table(0, 1, 0), second = rig_table(0, 1, 2);
    struct connection_row *row;

    (void)state;
    row = rig_fill(&first, 0, "a", 7);
    row->rx_bytes = 1000;
    row->retransmissions = 5;
    row = rig_fill(&second, 0, "a", 7);
    row->rx_bytes = 5000;
    row->tx_packets = 10;
    row->retransmissions = 6;
    row->drops = 1;
    row->ring_drops = 3;
    update(model, first);
    assert_true(isnan(find(model, 7)->rx_bytes));
    assert_false(top_model_totals(model)->known);
    update(model, second);
    close_to(find(model, 7)->rx_bytes, 2000);
    close_to(find(model, 7)->tx_packets, 5);
    close_to(find(model, 7)->retransmissions, 0.5);
    close_to(find(model, 7)->drops, 2);
    assert_true(top_model_totals(model)->known);
    close_to(top_model_totals(model)->drops, 2);
    top_model_destroy(model);
}

static void rows_are_found_by_key_wherever_they_are(void **state)
{
    enum { COUNT = 1000 };
    struct top_model *model = top_model_create();
    struct connection_table first = rig_table(0, COUNT, 0), second = rig_table(0, COUNT, 1);

    (void)state;
    for (uint32_t i = 0; i < COUNT; i++) {
        rig_fill(&first, i, "a", 1 + i)->rx_bytes = i;
        rig_fill(&second, COUNT - 1 - i, "a", 1 + i)->rx_bytes = 3 * i;
    }
    update(model, first);
    update(model, second);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_true(find(model, 1 + i)->rx_bytes == 2 * i);
    assert_null(top_model_find(model, COUNT + 1));
    top_model_destroy(model);
}

static void a_connection_that_is_new_has_a_rate_at_once(void **state)
{
    struct top_model *model = top_model_create();
    struct connection_table first = rig_table(0, 1, 0), second = rig_table(0, 3, 1);
    struct connection_row *row;

    (void)state;
    rig_fill(&first, 0, "a", 1);
    rig_fill(&second, 0, "a", 1);
    row = rig_fill(&second, 1, "new", 2);
    row->since_ns = RIG_REALTIME_NS + 500000000;
    row->tx_bytes = 100;
    rig_fill(&second, 2, "missed before", 3)->tx_bytes = 100;
    update(model, first);
    update(model, second);
    close_to(find(model, 2)->tx_bytes, 100);
    assert_true(isnan(find(model, 3)->tx_bytes));
    top_model_destroy(model);
}

static void a_counter_that_went_back_counts_from_zero(void **state)
{
    struct top_model *model = top_model_create();
    struct connection_table first = rig_table(0, 1, 0), second = rig_table(0, 1, 1);

    (void)state;
    rig_fill(&first, 0, "a", 1)->rx_bytes = 1000;
    rig_fill(&second, 0, "a", 1)->rx_bytes = 10;
    update(model, first);
    update(model, second);
    close_to(find(model, 1)->rx_bytes, 10);
    top_model_destroy(model);
}

static void another_instance_begins_anew(void **state)
{
    struct top_model *model = top_model_create();
    struct connection_table first = rig_table(0, 1, 0), second = rig_table(0, 1, 1);

    (void)state;
    rig_fill(&first, 0, "a", 1)->rx_bytes = 1000;
    rig_fill(&second, 0, "b", 1)->rx_bytes = 2000;
    second.header.instance++;
    update(model, first);
    update(model, second);
    assert_true(isnan(find(model, 1)->rx_bytes));
    assert_string_equal(find(model, 1)->row->program, "b");
    top_model_destroy(model);
}

static void the_same_moment_again_changes_nothing(void **state)
{
    struct top_model *model = top_model_create();
    struct connection_table tables[3] = {rig_table(0, 1, 0), rig_table(0, 1, 1), rig_table(0, 1, 1)};

    (void)state;
    for (uint32_t i = 0; i < 3; i++)
        rig_fill(&tables[i], 0, "a", 1)->rx_bytes = 1000 * i;
    for (uint32_t i = 0; i < 3; i++)
        update(model, tables[i]);
    close_to(find(model, 1)->rx_bytes, 1000);
    top_model_destroy(model);
}

static void programs_spin_in_per_cent_of_a_core(void **state)
{
    struct top_model *model = top_model_create();
    struct connection_table first = rig_table(2, 0, 0), second = rig_table(2, 0, 2);
    const struct top_program *programs;
    size_t count;

    (void)state;
    rig_fill_lane(&first, 0, "a", 10)->spin_ns = 1000000000;
    rig_fill_lane(&second, 0, "a", 10)->spin_ns = 2500000000;
    rig_fill_lane(&first, 1, "b", 11)->spin_ns = 7;
    rig_fill_lane(&second, 1, "another process in the same lane", 12)->spin_ns = 1000;
    update(model, first);
    update(model, second);
    programs = top_model_programs(model, &count);
    assert_int_equal(count, 2);
    close_to(programs[0].spin_percent, 75);
    assert_true(isnan(programs[1].spin_percent));
    close_to(top_model_totals(model)->spin_percent, 75);
    top_model_destroy(model);
}

static void a_cleared_model_knows_nothing(void **state)
{
    struct top_model *model = top_model_create();
    struct connection_table first = rig_table(1, 1, 0);
    size_t count;

    (void)state;
    rig_fill(&first, 0, "a", 1);
    rig_fill_lane(&first, 0, "a", 10);
    update(model, first);
    assert_non_null(top_model_header(model));
    top_model_clear(model);
    assert_null(top_model_header(model));
    assert_null(top_model_find(model, 1));
    top_model_connections(model, &count);
    assert_int_equal(count, 0);
    top_model_programs(model, &count);
    assert_int_equal(count, 0);
    top_model_destroy(model);
}

/* --- nodes --------------------------------------------------------------------------------------------------- */

static struct json_object *parse(const char *text)
{
    struct json_object *object = report_parse(text, strlen(text));

    assert_non_null(object);
    return object;
}

static void a_node_is_what_its_reports_say(void **state)
{
    struct json_object *status =
        parse("{\"version\": \"0.1.0\", \"monotonic_ns\": 7000000000, \"uptime_s\": 60, \"interfaces\": ["
              "{\"name\": \"eth0\", \"mode\": \"tc\", \"ifindex\": 2, \"up\": true},"
              "{\"name\": \"eth1\", \"mode\": \"xdp-native\", \"ifindex\": 3, \"up\": false},"
              "{\"name\": \"eth2\", \"mode\": \"not attached\"}],"
              "\"totals\": {\"lanes\": 2, \"flows\": 7, \"kernel_sockets\": 1},"
              "\"divert\": {\"diverted\": 1000, \"overrun\": 5}}");
    struct json_object *clock = parse("{\"status\": {\"status\": \"synchronised\", \"selected\": \"ref\","
                                      "\"bound_ns\": 1500, \"frequency_ppm\": 3.2}, \"sources\": {\"sources\": ["
                                      "{\"state\": \"candidate\", \"offset_ns\": 1},"
                                      "{\"state\": \"selected\", \"offset_ns\": -120.5}]}, \"stats\": null}");
    struct top_node before = {.diverted = 400, .lost = 5, .uptime_s = 58, .at_ns = 5e9}, node = {.name = "daq1"};

    (void)state;
    top_node_fill(&node, status, clock);
    assert_string_equal(node.interfaces, "eth0 tc, eth1 xdp-native down, eth2 missing");
    assert_string_equal(node.clock, "synchronised");
    assert_string_equal(node.source, "ref");
    close_to(node.offset_ns, -120.5);
    close_to(node.programs, 2);
    assert_true(isnan(node.diverted_s));
    top_node_compare(&node, &before);
    close_to(node.diverted_s, 300);
    assert_true(node.lost_s == 0);
    before.uptime_s = 100; /* it has been started anew */
    node.diverted_s = NAN;
    top_node_compare(&node, &before);
    assert_true(isnan(node.diverted_s));
    before.diverted_s = 17;
    before.at_ns = node.at_ns; /* nothing new */
    top_node_compare(&node, &before);
    close_to(node.diverted_s, 17);
    json_object_put(status);
    json_object_put(clock);
}

static void a_node_without_reports_is_not_known(void **state)
{
    struct top_node node = {.name = "daq1", .problem = "no answer"};

    (void)state;
    top_node_fill(&node, NULL, NULL);
    assert_string_equal(node.clock, "");
    assert_true(isnan(node.bound_ns) && isnan(node.programs) && isnan(node.lost));
    assert_string_equal(node.problem, "no answer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_the_difference_by_the_time_between),
        cmocka_unit_test(rows_are_found_by_key_wherever_they_are),
        cmocka_unit_test(a_connection_that_is_new_has_a_rate_at_once),
        cmocka_unit_test(a_counter_that_went_back_counts_from_zero),
        cmocka_unit_test(another_instance_begins_anew),
        cmocka_unit_test(the_same_moment_again_changes_nothing),
        cmocka_unit_test(programs_spin_in_per_cent_of_a_core),
        cmocka_unit_test(a_cleared_model_knows_nothing),
        cmocka_unit_test(a_node_is_what_its_reports_say),
        cmocka_unit_test(a_node_without_reports_is_not_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
