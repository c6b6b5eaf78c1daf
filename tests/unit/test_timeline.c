/* SPDX-License-Identifier: BSD-2-Clause */
/* Series from the history and from memory, joined. */
#include "monitor/timeline.h"

#include <json-c/json.h>
#include <math.h>

#include "monitor/past.h"
#include "monitor/runs.h"
#include "tests/unit/history_case.h"

#define BEGIN_MS  1800000000000ll /* a whole number of minutes */
#define MINUTE_MS 60000ll

static struct past past;

static void add_clock(int64_t at_ms, double offset_ns, int64_t bound_ns)
{
    assert_int_equal(history_sql_run(history_store_sql(case_store),
                                     "INSERT INTO clock(line_s, at_ns, status, offset_ns, bound_ns)"
                                     " VALUES(0, ?, 'synchronised', ?, ?)",
                                     "idi", at_ms * 1000000, offset_ns, bound_ns),
                     0);
}

static void add_traffic(int64_t at_ms, const char *name, int64_t value, int64_t change)
{
    struct history_sql *sql = history_store_sql(case_store);

    assert_int_equal(history_sql_run(sql, "INSERT OR IGNORE INTO series(name) VALUES(?)", "t", name), 0);
    assert_int_equal(history_sql_run(sql,
                                     "INSERT INTO counters(line_s, at_ns, series, value, change)"
                                     " VALUES(0, ?, (SELECT id FROM series WHERE name = ?), ?, ?)",
                                     "itii", at_ms * 1000000, name, value, change),
                     0);
}

/* Ten minutes of samples, twenty of nothing, ten more. */
static void fill(void)
{
    assert_int_equal(case_open(), 0);
    assert_int_equal(history_store_begin(case_store, &case_now), 0);
    for (int64_t at = 0; at < 40 * MINUTE_MS; at += 10000) {
        if (at >= 10 * MINUTE_MS && at < 30 * MINUTE_MS)
            continue;
        add_clock(BEGIN_MS + at, at % MINUTE_MS == 30000 ? -70.5 : 20, at % MINUTE_MS == 40000 ? 900 : 500);
        if (at % 30000 == 0)
            add_traffic(BEGIN_MS + at, "traffic/rx_bytes", at, at ? 30000 : 0);
    }
    assert_int_equal(history_store_commit(case_store), 0);
}

static void steps_keep_the_worst_of_the_clock_and_the_mean_of_the_traffic(void **state)
{
    (void)state;
    fill();
    past_read(case_path, BEGIN_MS - 5 * MINUTE_MS, BEGIN_MS + 40 * MINUTE_MS, &past);
    assert_true(past.available);
    assert_string_equal(past.problem, "");
    assert_int_equal(past.step_ms, MINUTE_MS);
    assert_int_equal(past.count, 21); /* and one between that says that nothing is known */
    assert_true(past.point[0].time_ms == BEGIN_MS);
    assert_true(past.point[3].offset_ns == -70.5);
    assert_true(past.point[3].bound_ns == 900);
    assert_int_equal(lround(past.point[3].rx_bits), 8000);
    assert_true(isnan(past.point[3].drops));
    assert_true(isnan(past.point[3].p50_ns));
    assert_true(isnan(past.point[10].bound_ns) && isnan(past.point[10].rx_bits));
    assert_true(past.point[10].time_ms == BEGIN_MS + 10 * MINUTE_MS);
    assert_true(past.point[20].time_ms == BEGIN_MS + 39 * MINUTE_MS);
    /* What the first sample after the gap says of the time before it is not taken for that of a minute. */
    assert_int_equal(lround(past.point[11].rx_bits), 8000);
}

static void a_restart_of_the_recorder_leaves_a_gap(void **state)
{
    (void)state;
    assert_int_equal(case_open(), 0);
    assert_int_equal(history_store_begin(case_store, &case_now), 0);
    for (int64_t at = 0; at < 3; at++)
        add_traffic(BEGIN_MS + at * MINUTE_MS, "traffic/rx_bytes", at * 600, at ? 600 : 0);
    for (int64_t at = 6; at < 9; at++) /* anew */
        add_traffic(BEGIN_MS + at * MINUTE_MS, "traffic/rx_bytes", (at - 6) * 600, at > 6 ? 600 : 0);
    assert_int_equal(history_store_commit(case_store), 0);
    past_read(case_path, BEGIN_MS, BEGIN_MS + 8 * MINUTE_MS, &past);
    assert_int_equal(past.count, 5);
    assert_int_equal(lround(past.point[1].rx_bits), 80);
    assert_true(isnan(past.point[2].rx_bits));
    assert_true(past.point[3].time_ms == BEGIN_MS + 6 * MINUTE_MS);
    assert_int_equal(lround(past.point[3].rx_bits), 80);
}

static void long_spans_have_few_points(void **state)
{
    (void)state;
    fill();
    past_read(case_path, BEGIN_MS - 30ll * 86400000, BEGIN_MS + 40 * MINUTE_MS, &past);
    assert_true(past.available);
    assert_in_range(past.count, 1, 2);
    assert_int_equal(lround(past.point[0].bound_ns), 900);
    past_read(case_path, BEGIN_MS, BEGIN_MS, &past);
    assert_int_equal(past.count, 0);
}

static void a_database_that_is_not_there_or_damaged_is_told(void **state)
{
    struct past_health health;
    struct runs runs;
    FILE *file;

    (void)state;
    past_read("none", 0, BEGIN_MS, &past);
    assert_false(past.available);
    assert_string_equal(past.problem, "");
    past_read(case_path, 0, BEGIN_MS, &past);
    assert_string_equal(past.problem, "");
    file = fopen(case_path, "w");
    for (int i = 0; i < 1000; i++)
        fputs("This is no database. ", file);
    fclose(file);
    past_read(case_path, 0, BEGIN_MS, &past);
    assert_false(past.available);
    assert_non_null(strstr(past.problem, "is damaged, or no database"));
    runs_read(case_path, &runs);
    assert_false(runs.available);
    assert_non_null(strstr(runs.problem, "is damaged, or no database"));
    past_read_health(case_path, &health);
    assert_false(health.available);
}

static void a_locked_database_is_told_and_not_waited_for_long(void **state)
{
    sqlite3 *db;

    (void)state;
    fill();
    case_close();
    assert_int_equal(sqlite3_open(case_path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; DELETE FROM gaps", NULL, NULL, NULL),
        SQLITE_OK);
    past_read(case_path, BEGIN_MS, BEGIN_MS + MINUTE_MS, &past);
    assert_false(past.available);
    assert_non_null(strstr(past.problem, "is locked by another program"));
    sqlite3_close(db);
    past_read(case_path, BEGIN_MS, BEGIN_MS + MINUTE_MS, &past);
    assert_true(past.available);
}

static void health_is_that_of_the_recorder(void **state)
{
    struct past_health health;

    (void)state;
    fill();
    assert_int_equal(history_store_begin(case_store, &case_now), 0);
    case_exec("INSERT INTO gaps(line_s, from_ns, to_ns, what, lost, text) VALUES(0, 1, 2, 'journal', 7, ''),"
              " (0, 3, 4, 'journal', NULL, '')");
    assert_int_equal(history_store_commit(case_store), 0);
    past_read_health(case_path, &health);
    assert_true(health.available);
    assert_true(health.bytes > 4096);
    assert_true(health.written_ns == case_now.realtime_ns);
    assert_int_equal(health.gaps, 2);
    assert_int_equal(health.lost, 7);
    assert_int_equal(health.runs, 0);
}

static struct json_object *ask(struct timeline *timeline, enum series_span span, int64_t now_ms)
{
    struct body *body = timeline_write(timeline, span, now_ms);
    struct json_object *document;

    assert_non_null(body);
    document = json_tokener_parse(body->text);
    assert_non_null(document);
    body_release(body);
    return document;
}

static double number_at(struct json_object *document, const char *column, size_t i)
{
    struct json_object *element = json_object_array_get_idx(json_object_object_get(document, column), i);

    return element ? json_object_get_double(element) : (double)NAN;
}

static void memory_goes_on_where_the_history_ends(void **state)
{
    const int64_t now_ms = BEGIN_MS + 45 * MINUTE_MS;
    struct series *series = series_create();
    struct timeline *timeline = timeline_create(case_path, series);
    struct series_point point = series_unknown(now_ms - 2 * MINUTE_MS);
    struct json_object *document;
    size_t count;

    (void)state;
    fill();
    point.bound_ns = 1234;
    point.p99_ns = 5678;
    series_add(series, &point);
    document = ask(timeline, SERIES_HOUR, now_ms);
    assert_true(
        json_object_get_boolean(json_object_object_get(json_object_object_get(document, "history"), "available")));
    count = json_object_array_length(json_object_object_get(document, "time_ms"));
    assert_int_equal(count, 23);
    assert_true(number_at(document, "time_ms", 0) == (double)BEGIN_MS);
    assert_true(isnan(number_at(document, "bound_ns", count - 2))); /* two minutes of which nobody knows */
    assert_true(number_at(document, "bound_ns", count - 1) == 1234);
    assert_true(number_at(document, "p99_ns", count - 1) == 5678);
    json_object_put(document);
    /* It is not read again for each who asks. */
    case_exec("DELETE FROM clock");
    document = ask(timeline, SERIES_HOUR, now_ms + 1000);
    assert_true(number_at(document, "bound_ns", 1) == 900);
    json_object_put(document);
    document = ask(timeline, SERIES_HOUR, now_ms + 31000);
    assert_true(isnan(number_at(document, "bound_ns", 1)));
    json_object_put(document);
    timeline_destroy(timeline);
    series_destroy(series);
}

static void spans_are_of_a_list(void **state)
{
    enum series_span span = SERIES_HOUR;
    const char *problem = NULL;

    (void)state;
    assert_int_equal(series_span_set(&span, "span", "604800", &problem), 0);
    assert_int_equal(span, SERIES_WEEK);
    assert_null(problem);
    assert_true(series_span_set(&span, "span", "604801", &problem) < 0);
    assert_non_null(problem);
    assert_true(series_span_set(&span, "span", NULL, &problem) < 0);
    assert_true(series_span_set(&span, "spam", "3600", &problem) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(steps_keep_the_worst_of_the_clock_and_the_mean_of_the_traffic, case_begin,
                                        case_end),
        cmocka_unit_test_setup_teardown(a_restart_of_the_recorder_leaves_a_gap, case_begin, case_end),
        cmocka_unit_test_setup_teardown(long_spans_have_few_points, case_begin, case_end),
        cmocka_unit_test_setup_teardown(a_database_that_is_not_there_or_damaged_is_told, case_begin, case_end),
        cmocka_unit_test_setup_teardown(a_locked_database_is_told_and_not_waited_for_long, case_begin, case_end),
        cmocka_unit_test_setup_teardown(health_is_that_of_the_recorder, case_begin, case_end),
        cmocka_unit_test_setup_teardown(memory_goes_on_where_the_history_ends, case_begin, case_end),
        cmocka_unit_test(spans_are_of_a_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
