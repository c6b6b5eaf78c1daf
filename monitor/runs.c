/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/runs.h"

#include <string.h>

#include "monitor/past.h"
#include "monitor/prometheus.h"

/* Level 0 is the stack as a whole, which has no latency of its own; level 1 are its classes (monitor/history_run.h). */
static const char query[] =
    "SELECT a.at_ns, a.duration_s, a.title, a.pattern, a.verdict, a.stack, a.phase, a.received, a.lost,"
    " max(c.p50_ns), max(c.p99_ns), max(c.max_ns)"
    " FROM (SELECT r.at_ns, r.duration_s, r.title, r.pattern, s.* FROM runs r JOIN run_results s ON s.run = r.id"
    " WHERE s.level = 0 ORDER BY r.at_ns DESC, r.id DESC, s.id LIMIT ?1) a"
    " LEFT JOIN run_results c ON c.run = a.run AND c.level = 1 AND c.stack = a.stack AND c.phase = a.phase"
    " GROUP BY a.id ORDER BY a.at_ns DESC, a.run DESC, a.id";

/* --- reading ------------------------------------------------------------------------------------------------ */

static void read_text(sqlite3_stmt *statement, int column, char *out, size_t size)
{
    const unsigned char *text = sqlite3_column_text(statement, column);

    snprintf(out, size, "%s", text ? (const char *)text : "");
}

static int64_t read_number(sqlite3_stmt *statement, int column)
{
    return sqlite3_column_type(statement, column) == SQLITE_NULL ? -1 : sqlite3_column_int64(statement, column);
}

static void read_run(sqlite3_stmt *statement, struct run *run)
{
    run->ended_ns = read_number(statement, 0);
    run->duration_s = sqlite3_column_double(statement, 1);
    read_text(statement, 2, run->title, sizeof run->title);
    read_text(statement, 3, run->pattern, sizeof run->pattern);
    read_text(statement, 4, run->verdict, sizeof run->verdict);
    read_text(statement, 5, run->stack, sizeof run->stack);
    read_text(statement, 6, run->phase, sizeof run->phase);
    run->received = read_number(statement, 7);
    run->lost = read_number(statement, 8);
    run->p50_ns = read_number(statement, 9);
    run->p99_ns = read_number(statement, 10);
    run->max_ns = read_number(statement, 11);
}

void runs_read(const char *path, struct runs *out)
{
    struct history_sql sql;
    sqlite3_stmt *statement;
    int result;

    memset(out, 0, sizeof *out);
    if (past_open(path, &sql, out->problem) <= 0)
        return;
    statement = history_sql_query(&sql, query, "i", (int64_t)RUNS_MAX);
    while ((result = statement ? sqlite3_step(statement) : SQLITE_ERROR) == SQLITE_ROW && out->count < RUNS_MAX)
        read_run(statement, &out->run[out->count++]);
    out->available = result == SQLITE_ROW || result == SQLITE_DONE;
    if (!out->available)
        snprintf(out->problem, sizeof out->problem, "%.160s: %.100s", path, sqlite3_errmsg(sql.db));
    history_query_close(&sql);
}

/* --- writing ------------------------------------------------------------------------------------------------ */

static void write_known(struct json_stream *json, const char *key, int64_t number)
{
    if (number < 0)
        json_put_raw(json, key, NULL);
    else
        json_put_int(json, key, number);
}

static void write_run(const struct run *run, struct json_stream *json)
{
    json_begin(json, NULL, '{');
    json_put_int(json, "ended_ms", run->ended_ns / 1000000);
    json_put_real(json, "took_s", run->duration_s);
    json_put_text(json, "title", run->title);
    json_put_text(json, "pattern", run->pattern);
    json_put_text(json, "verdict", run->verdict);
    json_put_text(json, "stack", run->stack);
    json_put_text(json, "phase", run->phase);
    write_known(json, "received", run->received);
    write_known(json, "lost", run->lost);
    write_known(json, "p50_ns", run->p50_ns);
    write_known(json, "p99_ns", run->p99_ns);
    write_known(json, "max_ns", run->max_ns);
    json_end(json, '}');
}

void runs_write(const struct runs *runs, struct json_stream *json)
{
    json_begin(json, NULL, '{');
    json_put_bool(json, "available", runs->available);
    json_put_text(json, "problem", runs->problem);
    json_begin(json, "runs", '[');
    for (size_t i = 0; i < runs->count; i++)
        write_run(&runs->run[i], json);
    json_end(json, ']');
    json_end(json, '}');
}

/* Those of the latest run stand first and end at the same time. */
static size_t count_latest(const struct runs *runs)
{
    size_t count = 0;

    while (count < runs->count && runs->run[count].ended_ns == runs->run[0].ended_ns)
        count++;
    return count;
}

static void print_each(const struct runs *runs, FILE *out, const char *name, const char *help, size_t offset,
                       double scale)
{
    prometheus_head(out, name, "gauge", help);
    for (size_t i = 0; i < count_latest(runs); i++) {
        const struct run *run = &runs->run[i];
        int64_t number = *(const int64_t *)((const char *)run + offset);

        if (number >= 0)
            prometheus_sample(out, name, (double)number * scale, "stack", run->stack, "phase", run->phase, NULL);
    }
}

static void print_verdict(const struct runs *runs, FILE *out)
{
    static const char name[] = "lockstep_testbed_verdict";

    prometheus_head(out, name, "gauge", "1 for the verdict of the latest run of the test bed.");
    for (size_t i = 0; i < count_latest(runs); i++)
        prometheus_sample(out, name, 1, "stack", runs->run[i].stack, "phase", runs->run[i].phase, "verdict",
                          runs->run[i].verdict, NULL);
}

void runs_write_metrics(const struct runs *runs, FILE *out)
{
    if (runs->count == 0)
        return;
    prometheus_single(out, "lockstep_testbed_run_timestamp_seconds", "gauge",
                      "When the latest run of the test bed ended.", (double)runs->run[0].ended_ns * 1e-9);
    print_verdict(runs, out);
    print_each(runs, out, "lockstep_testbed_received_messages", "Messages received in the latest run.",
               offsetof(struct run, received), 1);
    print_each(runs, out, "lockstep_testbed_lost_messages", "Messages lost in the latest run.",
               offsetof(struct run, lost), 1);
    print_each(runs, out, "lockstep_testbed_latency_median_seconds",
               "Median latency of the slowest class of the latest run.", offsetof(struct run, p50_ns), 1e-9);
    print_each(runs, out, "lockstep_testbed_latency_p99_seconds",
               "99 % of the messages of the slowest class of the latest run were faster.", offsetof(struct run, p99_ns),
               1e-9);
    print_each(runs, out, "lockstep_testbed_latency_max_seconds", "Largest latency of the latest run.",
               offsetof(struct run, max_ns), 1e-9);
}
