/* SPDX-License-Identifier: BSD-2-Clause */
/* What `lockstep clock` prints, from reports as lockstep-clockd makes them. */
#include "tools/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/clock_metrics.h"
#include "tests/unit/unit.h"
#include "tools/report.h"

static const char status_text[] =
    "{\"status\": \"holdover\", \"bound_ns\": 2500, \"bound_utc_ns\": null, \"updates\": 17,"
    " \"disruptions\": 2, \"frequency_ppm\": -1.25, \"stratum\": 2}";

static const char sources_text[] =
    "{\"sources\": [{\"name\": \"ntp\\\"1\\\\\", \"state\": \"selected\", \"prefer\": true, \"reach\": 255, "
    "\"stratum\": 1,"
    " \"poll_log2\": -2, \"last_reply_ago_ns\": 61000000000, \"offset_ns\": -1234.5, \"bound_ns\": 2500.0,"
    " \"round_trip_ns\": 60100, \"stamps\": \"kernel\", \"authentication\": \"nts\"},"
    " {\"name\": \"liar\", \"state\": \"falseticker\", \"reach\": 7, \"stratum\": 2, \"poll_log2\": 4,"
    " \"last_reply_ago_ns\": null, \"offset_ns\": 5000000000, \"bound_ns\": null}]}";

static const char stats_text[] =
    "{\"sources\": [{\"name\": \"ntp1\", \"frequency_ppm\": 0.5, \"frequency_sigma_ppb\": 12.5, \"sigma_ns\": 300,"
    " \"noise_ns\": 80, \"baseline_ns\": 60000, \"residual_ns\": 12, \"excess_ns\": 100, \"used\": 41, \"held_back\": "
    "3,"
    " \"shifts_up\": 1, \"shifts_down\": 2, \"restarts\": 0, \"sent\": 44, \"received\": 43,"
    " \"dropped\": {\"late\": 2, \"origin\": 5}}], \"server\": {\"requests\": 9, \"replies\": 8, \"denied\": 1}}";

static struct json_object *parse(const char *text)
{
    struct json_object *object = report_parse(text, strlen(text));

    assert_non_null(object);
    return object;
}

static char *printed;
static size_t printed_length;

static FILE *begin_print(void)
{
    FILE *out = open_memstream(&printed, &printed_length);

    assert_non_null(out);
    return out;
}

static char *end_print(FILE *out)
{
    fclose(out);
    assert_non_null(printed);
    return printed;
}

/* What `print` writes to `out`; the caller frees it. */
#define PRINTED(print)                                                                                                 \
    ({                                                                                                                 \
        FILE *out = begin_print();                                                                                     \
        print;                                                                                                         \
        end_print(out);                                                                                                \
    })

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part))
        return;
    print_error("\"%s\" is not in:\n", part);
    print_error("%s", text);
    fail();
}

static void numbers_are_for_people(void **state)
{
    char text[CLOCK_TEXT_MAX];

    (void)state;
    assert_string_equal(clock_signed_ns(0, text), "+0.0 ns");
    assert_string_equal(clock_signed_ns(-42.25, text), "-42.2 ns");
    assert_string_equal(clock_signed_ns(999.4, text), "+999 ns");
    assert_string_equal(clock_signed_ns(-1234.5, text), "-1.235 us");
    assert_string_equal(clock_ns(37e9, text), "37.00 s");
    assert_string_equal(clock_ns((double)NAN, text), "-");
    assert_string_equal(clock_signed_ns((double)INFINITY, text), "-");
    assert_string_equal(clock_date(1798761600000000001, text), "2027-01-01 00:00:00.000000001");
    assert_string_equal(clock_date(-1, text), "1969-12-31 23:59:59.999999999");
    assert_string_equal(clock_duration(1500000000, text), "1.5 s");
    assert_string_equal(clock_duration(7260000000000, text), "2 h 1 min");
}

static void sources_as_a_table(void **state)
{
    struct json_object *sources = parse(sources_text);
    char *text = PRINTED(clock_print_sources(sources, out, 0));

    (void)state;
    assert_has(text, "*  ntp\"1\\");
    assert_has(text, "-2    377  1 min 1 s  -1.235 us  2.500 us    60.10 us  kernel  nts  selected, preferred");
    assert_has(text, "x  liar");
    assert_has(text, "+5.000 s         -           -");
    free(text);
    json_object_put(sources);
}

static void stats_as_a_table(void **state)
{
    struct json_object *stats = parse(stats_text);
    char *text = PRINTED(clock_print_stats(stats, out, 0));

    (void)state;
    assert_has(text,
               "ntp1      41     3        7   +0.5000    12.5  300 ns  80.0 ns  +12.0 ns  60.00 us  100 ns     1/2");
    assert_has(text, "ntp1: not used: 2 late, 5 origin\n");
    assert_has(text, "Serving: 9 requests, 8 replies (0 interleaved), 1 denied");
    free(text);
    json_object_put(stats);
}

static void another_daemons_report_does_no_harm(void **state)
{
    static const char *const texts[] = {
        "{}", "{\"sources\": 3}", "{\"sources\": [1, null, {\"dropped\": []}]}", "{\"server\": []}",
        "{\"sources\": [{\"name\": 7, \"offset_ns\": \"x\", \"dropped\": {\"a\": \"b\"}}]}"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct json_object *report = parse(texts[i]);

        free(PRINTED(clock_print_sources(report, out, 80)));
        free(PRINTED(clock_print_stats(report, out, 80)));
        free(PRINTED(clock_print_prometheus(report, report, report, out)));
        json_object_put(report);
    }
}

static void prometheus_text(void **state)
{
    struct json_object *status = parse(status_text), *sources = parse(sources_text), *stats = parse(stats_text);
    char *text = PRINTED(clock_print_prometheus(status, sources, stats, out));

    (void)state;
    assert_has(text, "lockstep_clock_status{status=\"holdover\"} 1\n");
    assert_has(text, "lockstep_clock_status{status=\"synchronised\"} 0\n");
    assert_has(text, "# TYPE lockstep_clock_bound_seconds gauge\nlockstep_clock_bound_seconds 2.5e-06\n");
    assert_null(strstr(text, "bound_utc_seconds"));
    assert_has(text, "lockstep_clock_updates_total 17\n");
    assert_has(text, "lockstep_clock_source_offset_seconds{source=\"ntp\\\"1\\\\\"} -1.2345e-06\n");
    assert_has(text, "lockstep_clock_source_state{source=\"liar\",state=\"falseticker\"} 1\n");
    assert_has(text, "lockstep_clock_source_dropped_total{source=\"ntp1\",reason=\"origin\"} 5\n");
    assert_has(text, "lockstep_clock_server_requests_total 9\n");
    free(text);
    json_object_put(status);
    json_object_put(sources);
    json_object_put(stats);
}

static struct clock_sample samples[1000];

static struct clock_series ramp(size_t count)
{
    for (size_t i = 0; i < count; i++)
        samples[i] = (struct clock_sample){(double)i * 0.1, (double)i - 100, 20, 500, true};
    return (struct clock_series){samples, count, "CLOCK_<X> & co"};
}

static void series_in_figures(void **state)
{
    struct clock_series series = ramp(1000);
    struct clock_summary summary;
    size_t sum = 0;

    (void)state;
    samples[0].valid = false;
    assert_int_equal(clock_summarise(&series, &summary), 0);
    assert_int_equal(summary.count, 999);
    assert_int_equal(summary.invalid, 1);
    assert_true(summary.min_ns == -99 && summary.max_ns == 899 && summary.mean_ns == 400 && summary.median_ns == 400);
    assert_true(summary.p1_ns == -90 && summary.p99_ns == 890);
    assert_true(fabs(summary.std_ns - 288.386) < 0.01);
    for (int i = 0; i < CLOCK_BINS; i++)
        sum += summary.bins[i];
    assert_int_equal(sum, 999);
    assert_in_range(summary.bins[0], 66, 67);
    series.count = 1;
    assert_int_equal(clock_summarise(&series, &summary), 0);
    assert_int_equal(summary.count, 0);
    samples[0].valid = true;
    assert_int_equal(clock_summarise(&series, &summary), 0);
    assert_true(summary.std_ns == 0 && summary.bins[0] == 1);
}

static void the_picture(void **state)
{
    struct clock_series series = ramp(100);
    struct clock_summary summary;
    char *text;

    (void)state;
    samples[50].valid = false; /* a gap: two runs */
    assert_int_equal(clock_summarise(&series, &summary), 0);
    text = PRINTED(clock_plot(&series, &summary, out));
    assert_has(text, "<svg xmlns=");
    assert_has(text, "CLOCK_&#60;X&#62; &#38; co minus the Lockstep clock");
    assert_has(text, "offset, ns");
    assert_has(text, "time since the first reading, s");
    assert_has(text, "min -100 ns");
    assert_non_null(strstr(strstr(text, "<polyline") + 1, "<polyline"));
    assert_null(strstr(text, "nan"));
    assert_string_equal(text + strlen(text) - 7, "</svg>\n");
    free(text);
    /* Nothing to draw, or a single point. */
    for (size_t count = 0; count < 2; count++) {
        series.count = count;
        clock_summarise(&series, &summary);
        text = PRINTED(clock_plot(&series, &summary, out));
        assert_null(strstr(text, "nan"));
        assert_null(strstr(text, "inf"));
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_for_people),
        cmocka_unit_test(sources_as_a_table),
        cmocka_unit_test(stats_as_a_table),
        cmocka_unit_test(another_daemons_report_does_no_harm),
        cmocka_unit_test(prometheus_text),
        cmocka_unit_test(series_in_figures),
        cmocka_unit_test(the_picture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
