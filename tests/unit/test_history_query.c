/* SPDX-License-Identifier: BSD-2-Clause */
/* What `lockstep history` asks of a database, how it reads times and prints rows. */
#include "monitor/history_query.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <time.h>

#include "base/error.h"
#include "monitor/history_histogram.h"
#include "tests/unit/history_case.h"
#include "tools/history.h"

#define T0      INT64_C(1795428000) /* 2026-11-23T10:00:00Z, s */
#define AT(s)   ((int64_t)((T0 + (s)) * SECOND_NS))
#define ROW_MAX 4096

static struct history_sql sql;
static char problem[HISTORY_QUERY_PROBLEM_MAX];
static const struct history_filter all = {.since_ns = INT64_MIN, .until_ns = INT64_MAX};

static void insert(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void insert(const char *format, ...)
{
    char text[ROW_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    case_exec(text);
}

/* From 10.0.0.1 at `port` to 10.0.0.2 at 7001; closed_s < 0: open. */
static void insert_connection(int64_t opened_s, int64_t closed_s, const char *program, int port)
{
    const bool open = closed_s < 0;

    insert("INSERT INTO connections(line_s, opened_ns, closed_ns, duration_ns, ending, program, pid, uid, interface,"
           " protocol, kind, accepted, state, local, local_port, remote, remote_port, rx_bytes, tx_bytes, rx_packets,"
           " tx_packets, ring_drops, drops, retransmissions, srtt_us, latency_count, p50_ns, p99_ns, seen_ns, boot,"
           " opened_monotonic_ns, instance, key, ring_drops_before)"
           " VALUES(%" PRId64 ", %" PRId64 ", %" PRId64 ", %s, %d, '%s', 100, 1000, 'eth0', 6, 0, 0, 1, x'0a000001',"
           " %d, x'0a000002', 7001, 1024, 2048, 3, 4, 0, 0, 5, 6, 9, 250, 1500, %" PRId64 ", 'b', 0, 1, %d, 0)",
           opened_s, AT(opened_s), open ? (int64_t)INT64_MAX : AT(closed_s), open ? "NULL" : "1500000000", open ? 0 : 1,
           program, port, AT(opened_s), port);
}

static void insert_others(void)
{
    insert("INSERT INTO kernel(line_s, at_ns, program, pid, uid, protocol, local, local_port, remote, remote_port,"
           " reason) VALUES(0, %" PRId64 ", 'daq', 1, 0, 17, x'7f000001', 9, x'00000000', 0, 'loopback'),"
           " (0, %" PRId64 ", 'web', 2, 0, 6, x'0a000001', 80, x'0a000009', 5555, 'policy: rule \"office\"')",
           AT(10), AT(20));
    insert("INSERT INTO series(id, name) VALUES(1, 'divert/passed'), (2, 'guard/packets'), (3, 'interface/eth0/rx')");
    insert("INSERT INTO counters(line_s, at_ns, series, value, change) VALUES(0, %" PRId64 ", 1, 10, 10),"
           " (0, %" PRId64 ", 2, 20, 5), (0, %" PRId64 ", 3, 30, 1)",
           AT(1), AT(2), AT(3));
    insert("INSERT INTO clock(line_s, at_ns, status, selected, stratum, offset_ns, bound_ns, frequency_ppm)"
           " VALUES(0, %" PRId64 ", 'unsynchronised', NULL, NULL, NULL, NULL, NULL),"
           " (0, %" PRId64 ", 'synchronised', 'ntp1', 2, -0.2, 900, 1.25)",
           AT(1), AT(2));
    insert("INSERT INTO sources(line_s, at_ns, name, state, stratum, reach, offset_ns, bound_ns, round_trip_ns)"
           " VALUES(0, %" PRId64 ", 'ntp1', 'selected', 1, 255, -3.5, 800, 1e5),"
           " (0, %" PRId64 ", 'ntp2', 'falseticker', 1, 255, 1e6, 900, 1e5)",
           AT(2), AT(2));
    insert("INSERT INTO runs VALUES(1, 0, %" PRId64 ", 'f1', %" PRId64 ", 'first', 'p', '0.1', 2, 3, 10, 'PASS', ''),"
           " (2, 0, %" PRId64 ", 'f2', %" PRId64 ", 'second, \"quoted\"', 'p', '0.1', 2, 3, 10, 'FAIL', 'late')",
           AT(1), AT(1), AT(2), AT(2));
    insert("INSERT INTO run_results(run, level, stack, phase, name, class, verdict, received, lost, p99_ns)"
           " VALUES(1, 0, 'kernel', 'random', '', '', 'PASS', 10, 0, 77),"
           " (2, 0, 'lockstep', 'random', '', '', 'FAIL', 20, 1, 88), (2, 1, 'lockstep', 'random', 'tcp1', '', 'PASS',"
           " 20, 1, 99)");
    insert("INSERT INTO events(line_s, at_ns, subject, text) VALUES(0, %" PRId64 ", 'eth0', 'attached')", AT(5));
    insert("INSERT INTO gaps(line_s, from_ns, to_ns, what, lost, text) VALUES(0, %" PRId64 ", %" PRId64
           ", 'journal', NULL, 'x')",
           AT(5), AT(7));
}

static int begin(void **state)
{
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    if (case_begin(state) || case_open() < 0)
        return 1;
    case_exec("BEGIN");
    insert_connection(0, 5, "daq", 1001);
    insert_connection(10, 30, "daq", 1002);
    insert_connection(20, -1, "daq-reader", 1003);
    insert_connection(40, 45, "nginx", 1004);
    insert_others();
    insert("UPDATE recorder SET realtime_ns = %" PRId64, AT(60));
    case_exec("COMMIT");
    return history_query_open(case_path, &sql, problem) < 0;
}

static int end(void **state)
{
    history_query_close(&sql);
    return case_end(state);
}

/* What a view prints of a filter, in `form`. */
static const char *printed(enum history_view view, const struct history_filter *filter, enum history_form form)
{
    static char text[65536];
    sqlite3_stmt *statement = NULL;
    FILE *file = fmemopen(text, sizeof text, "w");

    memset(text, 0, sizeof text);
    assert_int_equal(history_query_prepare(&sql, view, filter, &statement, problem), 0);
    assert_true(history_print_rows(statement, history_view_columns(view), form, file, 0) >= 0);
    sqlite3_finalize(statement);
    fclose(file);
    return text;
}

/* The values of a column, one after the other with blanks between. */
static const char *values(enum history_view view, const struct history_filter *filter, const char *column)
{
    static char text[2000];
    const char *line = printed(view, filter, HISTORY_JSON);

    *text = 0;
    while (*line) {
        size_t length = strcspn(line, "\n");
        char *copy = strndup(line, length);
        struct json_object *row = json_tokener_parse(copy), *value = NULL;

        assert_non_null(row);
        assert_true(json_object_object_get_ex(row, column, &value));
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", *text ? " " : "",
                 value ? json_object_get_string(value) : "null");
        json_object_put(row);
        free(copy);
        line += length + (line[length] == '\n');
    }
    return text;
}

#define assert_values(view, filter, column, expected) assert_string_equal(values(view, &(filter), column), expected)
#define assert_has(text, part)                                                                                         \
    do {                                                                                                               \
        const char *text_ = (text);                                                                                    \
        if (!strstr(text_, part))                                                                                      \
            fail_msg("no \"%s\" in \"%s\"", part, text_);                                                              \
    } while (0)

/* --- connections -------------------------------------------------------------------------------------------- */

static void connections_are_those_alive_in_the_time(void **state)
{
    struct history_filter filter = all;

    (void)state;
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "1001 1002 1003 1004");
    filter.since_ns = AT(6);
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "1002 1003 1004");
    filter.since_ns = AT(31); /* the third is still open */
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "1003 1004");
    filter.until_ns = AT(39);
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "1003");
    filter.since_ns = INT64_MIN;
    filter.until_ns = AT(15);
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "1001 1002");
}

static void a_limit_takes_the_newest_in_order(void **state)
{
    struct history_filter filter = all;

    (void)state;
    filter.limit = 2;
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "1003 1004");
    filter.since_ns = AT(6); /* both halves of the query */
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "1003 1004");
    filter.since_ns = AT(25);
    filter.limit = 3;
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "1002 1003 1004");
    filter.limit = 1;
    assert_values(HISTORY_VIEW_COUNTERS, filter, "name", "");
}

static void a_program_is_chosen_by_name_or_pattern(void **state)
{
    struct history_filter filter = all;

    (void)state;
    filter.program = "daq";
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "1001 1002");
    assert_values(HISTORY_VIEW_KERNEL, filter, "reason", "loopback");
    filter.program = "daq*";
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "1001 1002 1003");
    filter.since_ns = AT(25);
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "1002 1003");
    filter.program = "'; DROP TABLE connections; --";
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "");
    assert_int_equal(case_number("SELECT count(*) FROM connections"), 4);
}

static void a_connection_is_chosen_by_either_end(void **state)
{
    struct history_filter filter = all;

    (void)state;
    assert_int_equal(history_filter_connection(&filter, ":1002"), 0);
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local", "10.0.0.1:1002");
    assert_int_equal(history_filter_connection(&filter, "10.0.0.2:7001"), 0);
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "1001 1002 1003 1004");
    filter.until_ns = AT(1);
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "1001");
    filter.until_ns = INT64_MAX;
    filter.program = "nginx";
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "1004");
    filter.program = "";
    assert_int_equal(history_filter_connection(&filter, "10.0.0.2:1002"), 0); /* that is the other end's */
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "");
    assert_int_equal(history_filter_connection(&filter, "10.0.0.9"), 0);
    assert_values(HISTORY_VIEW_KERNEL, filter, "reason", "policy: rule \"office\"");
}

/* More rows than are looked up by their end. */
static void a_port_of_very_many_is_chosen_by_time(void **state)
{
    struct history_filter filter = all;

    (void)state;
    case_exec("BEGIN");
    for (int i = 0; i < 5100; i++)
        insert_connection(100 + i, 100 + i, "load", 2000 + i);
    case_exec("COMMIT");
    assert_int_equal(history_filter_connection(&filter, ":7001"), 0);
    filter.since_ns = AT(44);
    filter.until_ns = AT(102);
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "1003 1004 2000 2001 2002");
    filter.limit = 2;
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "2001 2002");
}

/* Filters together; a pattern that means more programs than are looked up one by one. */
static void filters_hold_together_however_many_rows_they_have(void **state)
{
    struct history_filter filter = all;
    char program[40];

    (void)state;
    case_exec("BEGIN");
    for (int i = 0; i < 5100; i++) {
        snprintf(program, sizeof program, "load%d", i % 30);
        insert_connection(100 + i, 100 + i, program, 2000 + i);
    }
    case_exec("COMMIT");
    filter.program = "load*";
    filter.limit = 2;
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "7098 7099");
    filter.program = "load2*"; /* eleven of them */
    filter.until_ns = AT(131);
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "2028 2029");
    assert_int_equal(history_filter_connection(&filter, ":7001"), 0); /* the port of all */
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "2028 2029");
    filter.program = "daq";
    filter.since_ns = AT(29);
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "local_port", "1002");
    filter.program = "load*";
    assert_int_equal(history_filter_connection(&filter, "10.0.0.1:2003"), 0);
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "program", "load3");
}

static void an_end_is_an_address_a_port_or_both(void **state)
{
    static const char *const wrong[] = {"",     ":",          ":x",     ":70000", ":1x",
                                        "host", "10.0.0.1:x", "10.0.0", "[::1",   "::1]:2"};
    struct history_filter filter;

    (void)state;
    assert_int_equal(history_filter_connection(&filter, "[fd00::1]:7001"), 0);
    assert_true(filter.has_address && filter.has_port && filter.port == 7001);
    assert_int_equal(history_filter_connection(&filter, "fd00::1"), 0);
    assert_true(filter.has_address && !filter.has_port);
    assert_int_equal(history_filter_connection(&filter, ":0"), 0);
    assert_true(!filter.has_address && filter.has_port);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(history_filter_connection(&filter, wrong[i]), LOCKSTEP_E_BAD_FORMAT);
}

static void an_open_connection_lasts_until_the_last_record(void **state)
{
    struct history_filter filter = all;

    (void)state;
    filter.program = "daq-reader";
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "duration_s", "40.000000000");
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "closed", "null");
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "ending", "open");
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "state", "established");
    filter.program = "nginx";
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "duration_s", "1.500000000");
    assert_values(HISTORY_VIEW_CONNECTIONS, filter, "closed", "2026-11-23T10:00:45.000000000Z");
}

static void a_histogram_is_found_by_the_rows_id(void **state)
{
    uint32_t buckets[LANE_STATS_SLOT_BUCKETS] = {[50] = 7, [60] = 1}, found[LANE_STATS_SLOT_BUCKETS];
    uint8_t packed[HISTORY_HISTOGRAM_MAX];
    size_t length = history_histogram_pack(buckets, packed);
    char text[4000] = "";
    FILE *file = fmemopen(text, sizeof text, "w");

    (void)state;
    assert_int_equal(history_sql_run(history_store_sql(case_store), "UPDATE connections SET histogram = ? WHERE id = 2",
                                     "b", (const void *)packed, length),
                     0);
    assert_int_equal(history_query_histogram(&sql, 2, found), 0);
    assert_memory_equal(found, buckets, sizeof found);
    history_print_histogram(found, file);
    fclose(file);
    assert_has(text, "50 %");
    assert_has(text, " 7 ####");
    assert_int_equal(history_query_histogram(&sql, 1, found), 0);
    assert_int_equal(found[50], 0);
    assert_int_equal(history_query_histogram(&sql, 99, found), LOCKSTEP_E_GONE);
}

/* --- the other views ---------------------------------------------------------------------------------------- */

static void each_view_has_its_rows(void **state)
{
    struct history_filter filter = all;

    (void)state;
    assert_values(HISTORY_VIEW_KERNEL, filter, "reason", "loopback policy: rule \"office\"");
    assert_values(HISTORY_VIEW_KERNEL, filter, "protocol", "udp tcp");
    assert_values(HISTORY_VIEW_KERNEL, filter, "remote", "* 10.0.0.9:5555");
    assert_values(HISTORY_VIEW_COUNTERS, filter, "name", "divert/passed guard/packets interface/eth0/rx");
    assert_values(HISTORY_VIEW_COUNTERS, filter, "change", "10 5 1");
    assert_values(HISTORY_VIEW_CLOCK, filter, "status", "unsynchronised synchronised");
    assert_values(HISTORY_VIEW_CLOCK, filter, "bound_ns", "null 900");
    assert_values(HISTORY_VIEW_CLOCK, filter, "frequency_ppm", "null 1.25");
    assert_values(HISTORY_VIEW_SOURCES, filter, "state", "selected falseticker");
    assert_values(HISTORY_VIEW_RUNS, filter, "verdict", "PASS FAIL");
    assert_values(HISTORY_VIEW_EVENTS, filter, "text", "attached");
    assert_values(HISTORY_VIEW_GAPS, filter, "what", "journal");
    assert_values(HISTORY_VIEW_GAPS, filter, "lost", "null");
}

static void each_view_keeps_to_the_time(void **state)
{
    struct history_filter filter = all;

    (void)state;
    filter.since_ns = AT(2);
    filter.until_ns = AT(5);
    assert_values(HISTORY_VIEW_KERNEL, filter, "reason", "");
    assert_values(HISTORY_VIEW_COUNTERS, filter, "name", "guard/packets interface/eth0/rx");
    assert_values(HISTORY_VIEW_CLOCK, filter, "status", "synchronised");
    assert_values(HISTORY_VIEW_RUNS, filter, "id", "2");
    assert_values(HISTORY_VIEW_EVENTS, filter, "subject", "eth0");
    assert_values(HISTORY_VIEW_GAPS, filter, "what", "");
}

static void names_choose_counters_sources_and_results(void **state)
{
    struct history_filter filter = all;

    (void)state;
    filter.name = "guard/*";
    assert_values(HISTORY_VIEW_COUNTERS, filter, "value", "20");
    filter.name = "ntp2";
    assert_values(HISTORY_VIEW_SOURCES, filter, "offset_ns", "1000000");
    filter.name = "";
    assert_values(HISTORY_VIEW_RESULTS, filter, "p99_ns", "88 99"); /* of the latest run */
    filter.run = 1;
    assert_values(HISTORY_VIEW_RESULTS, filter, "p99_ns", "77");
    filter.run = 2;
    filter.name = "tcp*";
    assert_values(HISTORY_VIEW_RESULTS, filter, "p99_ns", "99");
}

static void a_filter_that_a_view_does_not_know_is_refused(void **state)
{
    struct history_filter filter = all;
    sqlite3_stmt *statement = NULL;

    (void)state;
    filter.program = "daq";
    assert_int_equal(history_query_prepare(&sql, HISTORY_VIEW_CLOCK, &filter, &statement, problem),
                     LOCKSTEP_E_NOT_SUPPORTED);
    assert_string_equal(problem, "clock cannot be chosen by program");
}

/* --- files that are none ------------------------------------------------------------------------------------ */

static void refused(const char *path, const char *expected)
{
    struct history_sql none;

    assert_true(history_query_open(path, &none, problem) < 0);
    assert_has(problem, path);
    assert_has(problem, expected);
}

static void what_is_wrong_with_a_file_is_said(void **state)
{
    char path[100];
    FILE *file;

    (void)state;
    snprintf(path, sizeof path, "%s/none", case_directory);
    refused(path, "No such file or directory: has lockstep-historyd been started?");
    file = fopen(path, "w");
    fputs("certainly not a database, whatever its name may be", file);
    fclose(file);
    refused(path, "is damaged, or no database");
    case_exec("PRAGMA user_version = 99");
    refused(case_path, "is of another version");
}

/* --- forms -------------------------------------------------------------------------------------------------- */

static void csv_quotes_and_has_a_head(void **state)
{
    const char *text = printed(HISTORY_VIEW_RUNS, &all, HISTORY_CSV);

    (void)state;
    assert_has(text, "id,ended,verdict,nodes,rounds,duration_s,title,pattern,version,reason,imported,fingerprint\n");
    assert_has(text, "\n1,2026-11-23T10:00:01.000000000Z,PASS,2,3,10,first,");
    assert_has(text, ",\"second, \"\"quoted\"\"\",");
}

static void a_table_has_times_and_units_for_people(void **state)
{
    struct history_filter filter = all;
    const char *text = printed(HISTORY_VIEW_CLOCK, &all, HISTORY_TABLE);

    (void)state;
    assert_has(text, "2026-11-23 11:00:02  synchronised"); /* local */
    assert_has(text, " 0 ns  900 ns ");                    /* not -0 */
    text = printed(HISTORY_VIEW_CONNECTIONS, &all, HISTORY_TABLE);
    assert_has(text, "1.000 KiB  2.000 KiB");
    assert_has(text, "1.500 s");
    assert_has(text, "10.0.0.1:1004");
    filter.since_ns = AT(1000000);
    assert_string_equal(printed(HISTORY_VIEW_CLOCK, &filter, HISTORY_TABLE),
                        "Nothing of the kind is in the history.\n");
    assert_string_equal(printed(HISTORY_VIEW_CLOCK, &filter, HISTORY_JSON), "");
}

/* --- times -------------------------------------------------------------------------------------------------- */

static void assert_time(const char *text, int64_t expected_s)
{
    int64_t ns = -1;

    if (history_time_parse(text, AT(1800), &ns) < 0 || ns != expected_s * SECOND_NS)
        fail_msg("\"%s\": %" PRId64 " instead of %" PRId64 " s", text, (int64_t)(ns / SECOND_NS), expected_s);
}

/* It is 10:30 UTC, 11:30 here. */
static void times_are_read_as_people_write_them(void **state)
{
    (void)state;
    assert_time("now", T0 + 1800);
    assert_time("90s", T0 + 1710);
    assert_time("30min", T0);
    assert_time("1h30min", T0 - 3600);
    assert_time("0.5h", T0);
    assert_time("2d", T0 + 1800 - 2 * 86400);
    assert_time("1w", T0 + 1800 - 7 * 86400);
    assert_time("today", T0 - 11 * 3600);
    assert_time("yesterday", T0 - 35 * 3600);
    assert_time("11:00", T0);
    assert_time("11:00:05", T0 + 5);
    assert_time("10:00Z", T0);
    assert_time("2026-11-23", T0 - 11 * 3600);
    assert_time("2026-11-23Z", T0 - 10 * 3600);
    assert_time("2026-11-23 11:00", T0);
    assert_time("2026-11-23 11:00:30", T0 + 30);
    assert_time("2026-11-23T10:00:00Z", T0);
    assert_time("2026-07-01 12:00", 1782900000); /* in summer */
    assert_time("@1795428000", T0);
}

/* The 29th of March 2026 has 23 hours here. */
static void a_day_of_another_length_begins_at_its_midnight(void **state)
{
    int64_t ns;

    (void)state;
    assert_int_equal(history_time_parse("yesterday", 1774864800 * SECOND_NS, &ns), 0); /* the 30th, 12:00 */
    assert_int_equal(ns / SECOND_NS, 1774738800);
    assert_int_equal(history_time_parse("today", 1774864800 * SECOND_NS, &ns), 0);
    assert_int_equal(ns / SECOND_NS, 1774738800 + 23 * 3600);
}

static void what_is_no_time_is_refused(void **state)
{
    static const char *const wrong[] = {"",          "never",      "h",          "1",          "1y",
                                        "1h30",      "-1h",        "25:00",      "10:61",      "10:30x",
                                        "10:30ZZ",   "2026-13-01", "2026-02-30", "1969-01-01", "2026-11-23 10",
                                        "@",         "@x",         "@-1",        "@1e300",     "999999999999999h",
                                        "1e999999h", "nanh",       "todayish",   "10:30 Z2",   "2026-11-23T"};
    int64_t ns;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (history_time_parse(wrong[i], AT(1800), &ns) != LOCKSTEP_E_BAD_FORMAT)
            fail_msg("\"%s\" is taken as a time", wrong[i]);
    }
}

static void times_are_printed_in_utc_and_here(void **state)
{
    char text[HISTORY_TIME_TEXT_MAX];

    (void)state;
    assert_string_equal(history_time_utc(AT(0) + 5, text), "2026-11-23T10:00:00.000000005Z");
    assert_string_equal(history_time_utc(-1, text), "1969-12-31T23:59:59.999999999Z");
    assert_string_equal(history_time_utc(INT64_MAX, text), "2262-04-11T23:47:16.854775807Z");
    assert_string_equal(history_time_local(AT(0), text), "2026-11-23 11:00:00");
}

#define T(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(connections_are_those_alive_in_the_time),
        T(a_limit_takes_the_newest_in_order),
        T(a_program_is_chosen_by_name_or_pattern),
        T(a_connection_is_chosen_by_either_end),
        T(a_port_of_very_many_is_chosen_by_time),
        T(filters_hold_together_however_many_rows_they_have),
        T(an_end_is_an_address_a_port_or_both),
        T(an_open_connection_lasts_until_the_last_record),
        T(a_histogram_is_found_by_the_rows_id),
        T(each_view_has_its_rows),
        T(each_view_keeps_to_the_time),
        T(names_choose_counters_sources_and_results),
        T(a_filter_that_a_view_does_not_know_is_refused),
        T(what_is_wrong_with_a_file_is_said),
        T(csv_quotes_and_has_a_head),
        T(a_table_has_times_and_units_for_people),
        T(times_are_read_as_people_write_them),
        T(a_day_of_another_length_begins_at_its_midnight),
        T(what_is_no_time_is_refused),
        T(times_are_printed_in_utc_and_here),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
