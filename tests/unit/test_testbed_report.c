/* SPDX-License-Identifier: BSD-2-Clause */
/* From rounds to the report and its forms. */
#include "testbed/report.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

#define START 1800000000000000000
#define MS    1000000
#define BOUND 1000

static const char pattern_text[] = "class,row,size_bytes,period_ms,limit_ms\nudp,1,100,10,5\n";

static struct pattern pattern;
static struct schedule_network network = {
    .nodes = {{.name = "a", .sends = true}, {.name = "b", .receives = true}}, .count = 2, .mtu = 1500};
static struct schedule_placement placement[1];
static struct json_object *header;

static int set_up(void **state)
{
    char problem[PATTERN_PROBLEM_MAX];

    (void)state;
    assert_int_equal(pattern_parse("p", pattern_text, sizeof pattern_text - 1, &pattern, problem), 0);
    assert_int_equal(schedule_place(&pattern, &network, placement, problem), 0);
    header = json_object_new_object();
    json_object_object_add(header, "title", json_object_new_string("</script><script>alert(1)</script>"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_object_put(header);
    pattern_free(&pattern);
    return 0;
}

static void measure(struct result *result, int64_t latency_ns)
{
    const struct record_limits limits = {.limit_ns = 5 * MS, .measured_from_ns = START, .sender_bound_ns = BOUND};

    for (uint32_t i = 0; i < 100; i++) {
        int64_t planned = START + (int64_t)i * 10 * MS;
        struct arrival arrival = {i, planned, planned + 1000, planned + latency_ns, planned + latency_ns, BOUND, BOUND};

        record_arrival(result->types[0].received, &limits, &arrival);
    }
}

/* A round in which every message took latency_ns. */
static struct round *play(const char *stack, int64_t latency_ns)
{
    const int64_t phase_ns[1] = {0};
    const struct schedule_prediction predicted[1] = {{.worst_queueing_ns = 123}};
    struct net_addr addresses[2] = {net_addr_from_v4(0x0100000a), net_addr_from_v4(0x0200000a)};
    struct plan_settings settings;
    struct result *results[2];
    char problem[JOB_PROBLEM_MAX];
    struct round *round = NULL;
    struct plan plan;

    plan_settings_init(&settings);
    settings.run = 7;
    settings.stack = stack;
    settings.addresses = addresses;
    settings.directory = "/tmp";
    settings.warmup_ns = 0;
    settings.duration_ns = 1000 * MS;
    assert_int_equal(plan_create(&pattern, placement, &network, phase_ns, &settings, &plan, problem), 0);
    assert_int_equal(plan.count, 2);
    for (size_t i = 0; i < 2; i++) {
        plan.jobs[i].start_tai_ns = START;
        results[i] = result_create(&plan.jobs[i]);
        results[i]->clock.bound_max_ns = results[i]->clock.bound_start_ns = results[i]->clock.bound_end_ns = BOUND;
        results[i]->clock.samples = 100;
        results[i]->ending = RESULT_COMPLETE;
        results[i]->start_tai_ns = START;
        if (plan.jobs[i].role == JOB_RECEIVE) {
            measure(results[i], latency_ns);
        } else {
            results[i]->types[0].sent->planned = results[i]->types[0].sent->sent = 100;
        }
    }
    assert_int_equal(
        round_create(&(struct round_input){&pattern, placement, &network, phase_ns, predicted, NULL, stack}, results, 2,
                     &round),
        0);
    plan_free(&plan);
    return round;
}

static struct json_object *at(struct json_object *object, const char *path)
{
    char name[40];
    size_t length = strcspn(path, "/");
    struct json_object *next;

    snprintf(name, sizeof name, "%.*s", (int)length, path);
    next = json_object_is_type(object, json_type_array) ? json_object_array_get_idx(object, strtoul(name, NULL, 10))
                                                        : json_object_object_get(object, name);
    if (!next)
        fail_msg("no %s", path);
    return path[length] ? at(next, path + length + 1) : next;
}

/* Two rounds on each stack. */
static struct json_object *make(int64_t kernel_ns, int64_t lockstep_ns)
{
    struct round *kernel[2] = {play("kernel", kernel_ns), play("kernel", kernel_ns + MS)};
    struct round *lockstep[2] = {play("lockstep", lockstep_ns), play("lockstep", lockstep_ns)};
    struct comparison comparison;
    struct report_comparison row = {0, 1, &comparison, 0.95};
    struct report_run runs[2] = {{"kernel", SCHEDULE_SYNCHRONISED, kernel, 2, NULL, NULL},
                                 {"lockstep", SCHEDULE_SYNCHRONISED, lockstep, 2, NULL, NULL}};
    struct report_input input = {.pattern = &pattern,
                                 .pattern_name = "p",
                                 .network = &network,
                                 .runs = runs,
                                 .run_count = 2,
                                 .comparisons = &row,
                                 .comparison_count = 1,
                                 .header = header};
    struct json_object *report;

    assert_int_equal(compare_rounds(kernel, lockstep, 2, 0.95, &comparison), 0);
    report = report_create(&input);
    assert_non_null(report);
    comparison_free(&comparison);
    for (int i = 0; i < 2; i++) {
        round_free(kernel[i]);
        round_free(lockstep[i]);
    }
    return report;
}

static void rounds_of_a_run_are_summed(void **state)
{
    struct json_object *report = make(2 * MS, MS);

    (void)state;
    assert_int_equal(json_object_get_int64(at(report, "version")), REPORT_VERSION);
    assert_int_equal(json_object_get_int64(at(report, "runs/0/types/0/received")), 200);
    assert_int_equal(json_object_get_int64(at(report, "runs/0/types/0/latency/max_ns")), 3 * MS);
    assert_int_equal(json_object_get_int64(at(report, "runs/0/types/0/latency/min_ns")), 2 * MS);
    assert_int_equal(json_object_get_int64(at(report, "runs/0/types/0/worst_of_best_round_ns")), 2 * MS);
    assert_int_equal(json_object_get_int64(at(report, "runs/0/types/0/bound_ns")), 2 * BOUND);
    assert_int_equal(json_object_get_int64(at(report, "runs/0/types/0/predicted_queueing_ns")), 123);
    assert_int_equal(json_object_get_int64(at(report, "runs/1/classes/0/latency/max_ns")), MS);
    assert_int_equal(json_object_get_int64(at(report, "comparisons/0/types/0/median/pairs")), 2);
    assert_true(json_object_get_double(at(report, "comparisons/0/types/0/median/ratio")) < 0.6);
    assert_int_equal(json_object_array_length(at(report, "runs/0/times_s")),
                     json_object_array_length(at(report, "runs/0/types/0/worst_over_time_ns")));
    json_object_put(report);
}

static void the_verdict_is_the_worst_of_all(void **state)
{
    struct json_object *good = make(2 * MS, MS), *bad = make(2 * MS, 7 * MS);

    (void)state;
    assert_int_equal(report_verdict(bad), VERDICT_FAIL);
    assert_string_equal(json_object_get_string(at(bad, "runs/1/types/0/verdict")), "FAIL");
    assert_string_not_equal(json_object_get_string(at(good, "runs/1/types/0/verdict")), "FAIL");
    assert_int_equal(report_verdict(header), VERDICT_INVALID); /* no report at all */
    json_object_put(good);
    json_object_put(bad);
}

static char *written(void (*write)(struct json_object *report, FILE *out), struct json_object *report)
{
    static char *text; /* a local one would mislead the compiler's analysis */
    static size_t length;
    FILE *out = open_memstream(&text, &length);

    write(report, out);
    fclose(out);
    return text;
}

static void the_table_has_a_line_for_each_type_of_each_run(void **state)
{
    struct json_object *report = make(2 * MS, MS);
    char *text = written(report_write_csv, report), *line = strchr(text, '\n') + 1;
    unsigned lines = 0, commas[2] = {0};

    (void)state;
    assert_memory_equal(text, "stack,phase,name,class,", 23);
    assert_memory_equal(line, "kernel,synchronised,udp.1,udp,udp,100,10000000,5000000,a,", 56);
    for (const char *c = text; *c; c++) {
        if (*c == ',' && lines < 2)
            commas[lines]++;
        lines += *c == '\n';
    }
    assert_int_equal(lines, 3);
    assert_int_equal(commas[0], commas[1]);
    free(text);
    json_object_put(report);
}

static void nothing_in_the_document_ends_its_element(void **state)
{
    struct json_object *report = make(2 * MS, MS);
    char *text = written(report_write_html, report), *data = strstr(text, "id=\"data\">"), *end;

    (void)state;
    assert_non_null(data);
    end = strstr(data, "</script>");
    assert_non_null(strstr(data, "\\u003c"));
    assert_null(memmem(data, (size_t)(end - data), "alert(1)<", 9));
    assert_true(end - data > 2000); /* the whole document comes before its end */
    assert_non_null(strstr(end, "uPlot"));
    assert_null(strstr(text, "src="));
    free(text);
    json_object_put(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rounds_of_a_run_are_summed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_verdict_is_the_worst_of_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_table_has_a_line_for_each_type_of_each_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_in_the_document_ends_its_element, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
