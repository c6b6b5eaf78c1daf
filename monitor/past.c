/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/past.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/history_query.h"

#define PATIENCE_MS    250
#define NS_A_MS        1000000
#define LONGEST_GAP_MS 900000 /* samples further apart say nothing of the time between them */

/* What falls into one step. */
struct step {
    int64_t first_ms;           /* of which something is known; 0: none */
    double offset_ns, bound_ns; /* NAN: none */
    double sum[4];              /* of traffic_names */
    double covered_ms[4];
};

static const char *const traffic_names[4] = {"traffic/rx_bytes", "traffic/tx_bytes", "traffic/drops",
                                             "traffic/retransmissions"};

struct reading {
    struct history_sql sql;
    int64_t from_ms, to_ms, step_ms;
    size_t count;
    struct step step[PAST_POINTS];
};

/* --- opening ------------------------------------------------------------------------------------------------ */

int past_open(const char *path, struct history_sql *sql, char problem[HISTORY_QUERY_PROBLEM_MAX])
{
    int err;

    if (strcmp(path, "none") == 0 || (access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR)))
        return 0;
    err = history_query_open_within(path, PATIENCE_MS, sql, problem);
    return err < 0 ? err : 1;
}

/* --- the clock ---------------------------------------------------------------------------------------------- */

static struct step *step_at(struct reading *reading, int64_t at_ms)
{
    int64_t i = (at_ms - reading->from_ms) / reading->step_ms;

    return at_ms < reading->from_ms || i >= (int64_t)reading->count ? NULL : &reading->step[i];
}

static void see(struct step *step, int64_t at_ms)
{
    if (!step->first_ms || at_ms < step->first_ms)
        step->first_ms = at_ms;
}

/* The one that is further from 0. */
static double further(double one, double other)
{
    return isnan(one) || fabs(other) > fabs(one) ? other : one;
}

static double real_of(sqlite3_stmt *statement, int column)
{
    return sqlite3_column_type(statement, column) == SQLITE_NULL ? (double)NAN
                                                                 : sqlite3_column_double(statement, column);
}

static int read_clock(struct reading *reading)
{
    sqlite3_stmt *statement =
        history_sql_query(&reading->sql, "SELECT at_ns, offset_ns, bound_ns FROM clock WHERE at_ns BETWEEN ? AND ?",
                          "ii", reading->from_ms * NS_A_MS, reading->to_ms * NS_A_MS);
    int result = SQLITE_ERROR;

    while (statement && (result = sqlite3_step(statement)) == SQLITE_ROW) {
        int64_t at_ms = sqlite3_column_int64(statement, 0) / NS_A_MS;
        struct step *step = step_at(reading, at_ms);

        if (!step)
            continue;
        see(step, at_ms);
        step->offset_ns = further(step->offset_ns, real_of(statement, 1));
        step->bound_ns = further(step->bound_ns, real_of(statement, 2));
    }
    sqlite3_reset(statement);
    return result == SQLITE_DONE ? 0 : -1;
}

/* --- traffic ------------------------------------------------------------------------------------------------ */

/* The change belongs to the whole time since the sample before. */
static void spread(struct reading *reading, int k, int64_t from_ms, int64_t to_ms, double change)
{
    int64_t at = from_ms;

    while (at < to_ms) {
        struct step *step = step_at(reading, at);
        int64_t end = at < reading->from_ms
                          ? reading->from_ms
                          : reading->from_ms + ((at - reading->from_ms) / reading->step_ms + 1) * reading->step_ms;

        if (end > to_ms)
            end = to_ms;
        if (step) {
            step->sum[k] += change * (double)(end - at) / (double)(to_ms - from_ms);
            step->covered_ms[k] += (double)(end - at);
            see(step, at);
        }
        at = end;
    }
}

/* A sample that does not go on from the one before (the recorder or the service was restarted) says nothing of the time
 * between them. */
static int read_traffic(struct reading *reading, int k)
{
    sqlite3_stmt *statement = history_sql_query(
        &reading->sql,
        "SELECT at_ns, value, change FROM counters WHERE series = (SELECT id FROM series WHERE name = ?)"
        " AND at_ns BETWEEN ? AND ? ORDER BY at_ns",
        "tii", traffic_names[k], (reading->from_ms - LONGEST_GAP_MS) * NS_A_MS, reading->to_ms * NS_A_MS);
    int64_t before_ms = 0, before = 0;
    int result = SQLITE_ERROR;

    while (statement && (result = sqlite3_step(statement)) == SQLITE_ROW) {
        int64_t at_ms = sqlite3_column_int64(statement, 0) / NS_A_MS;
        int64_t value = sqlite3_column_int64(statement, 1), change = sqlite3_column_int64(statement, 2);

        if (before_ms && value - change == before && at_ms - before_ms <= LONGEST_GAP_MS)
            spread(reading, k, before_ms, at_ms, (double)change);
        before_ms = at_ms;
        before = value;
    }
    sqlite3_reset(statement);
    return result == SQLITE_DONE ? 0 : -1;
}

/* --- points ------------------------------------------------------------------------------------------------- */

/* A second, in the time that is known; NAN: none. */
static double rate_of(const struct step *step, int k)
{
    return step->covered_ms[k] > 0 ? step->sum[k] / step->covered_ms[k] * 1000 : (double)NAN;
}

static struct series_point point_of(const struct reading *reading, size_t i)
{
    const struct step *step = &reading->step[i];
    int64_t begin_ms = reading->from_ms + (int64_t)i * reading->step_ms;
    struct series_point point = series_unknown(step->first_ms ? step->first_ms : begin_ms);

    point.offset_ns = step->offset_ns;
    point.bound_ns = step->bound_ns;
    point.rx_bits = 8 * rate_of(step, 0);
    point.tx_bits = 8 * rate_of(step, 1);
    point.drops = rate_of(step, 2);
    point.retransmissions = rate_of(step, 3);
    return point;
}

/* The last step has hardly begun: what it does not know yet is no gap. */
static void make_points(const struct reading *reading, struct past *out)
{
    bool known = false;

    for (size_t i = 0; i < reading->count; i++) {
        struct series_point point = point_of(reading, i);
        bool now_known = !isnan(point.bound_ns) || !isnan(point.rx_bits);

        if (now_known || (known && i + 1 < reading->count))
            out->point[out->count++] = point;
        known = now_known;
    }
}

static struct reading *begin_reading(int64_t from_ms, int64_t to_ms)
{
    struct reading *reading = calloc(1, sizeof *reading);
    int64_t least = (to_ms - from_ms + PAST_POINTS - 2) / (PAST_POINTS - 1);

    if (!reading)
        return NULL;
    reading->step_ms = least < PAST_STEP_LEAST ? PAST_STEP_LEAST : least;
    /* Steps begin at multiples of their length, so that a point stays what it was from one reading to the next. */
    reading->from_ms = from_ms / reading->step_ms * reading->step_ms;
    reading->to_ms = to_ms;
    reading->count = (size_t)((to_ms - reading->from_ms + reading->step_ms - 1) / reading->step_ms);
    for (size_t i = 0; i < reading->count; i++)
        reading->step[i].offset_ns = reading->step[i].bound_ns = (double)NAN;
    return reading;
}

static int read_all(struct reading *reading)
{
    int err = read_clock(reading);

    for (int k = 0; k < 4 && err == 0; k++)
        err = read_traffic(reading, k);
    return err;
}

void past_read(const char *path, int64_t from_ms, int64_t to_ms, struct past *out)
{
    struct reading *reading;

    memset(out, 0, sizeof *out);
    reading = to_ms > from_ms ? begin_reading(from_ms, to_ms) : NULL;
    if (!reading)
        return;
    out->step_ms = reading->step_ms;
    if (past_open(path, &reading->sql, out->problem) > 0) {
        out->available = read_all(reading) == 0;
        if (!out->available)
            snprintf(out->problem, sizeof out->problem, "%.160s: %.100s", path, sqlite3_errmsg(reading->sql.db));
        history_query_close(&reading->sql);
    }
    if (out->available)
        make_points(reading, out);
    free(reading);
}

/* --- health ------------------------------------------------------------------------------------------------- */

static int64_t file_bytes(const char *path, const char *suffix)
{
    char name[HISTORY_PATH_MAX + 8];
    struct stat status;

    snprintf(name, sizeof name, "%.500s%s", path, suffix);
    return stat(name, &status) == 0 ? status.st_size : 0;
}

void past_read_health(const char *path, struct past_health *out)
{
    char problem[HISTORY_QUERY_PROBLEM_MAX];
    struct history_sql sql;

    memset(out, 0, sizeof *out);
    if (past_open(path, &sql, problem) <= 0)
        return;
    out->bytes = file_bytes(path, "") + file_bytes(path, "-wal");
    out->written_ns = history_sql_number(&sql, "SELECT realtime_ns FROM recorder", 0);
    out->gaps = history_sql_number(&sql, "SELECT count(*) FROM gaps", 0);
    out->lost = history_sql_number(&sql, "SELECT ifnull(sum(lost), 0) FROM gaps", 0);
    out->runs = history_sql_number(&sql, "SELECT count(*) FROM runs", -1);
    out->available = out->runs >= 0;
    history_query_close(&sql);
}
