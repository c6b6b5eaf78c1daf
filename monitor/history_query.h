/* SPDX-License-Identifier: BSD-2-Clause */
/* The history database as its readers see it: opened for reading only, also while its recorder writes, and asked by
 * kind, time, program, addresses. Single-threaded.
 *
 * A reader that stays in a transaction for long keeps the recorder from emptying its log: fetch the rows, then print.
 */
#ifndef LOCKSTEP_MONITOR_HISTORY_QUERY_H
#define LOCKSTEP_MONITOR_HISTORY_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/net_addr.h"
#include "monitor/history_store.h"
#include "service/lane_stats.h"

#define HISTORY_QUERY_PROBLEM_MAX 300

enum history_column_type {
    HISTORY_COLUMN_TEXT,
    HISTORY_COLUMN_COUNT,
    HISTORY_COLUMN_BYTES,
    HISTORY_COLUMN_TIME,     /* CLOCK_REALTIME in ns; not positive: none */
    HISTORY_COLUMN_DURATION, /* ns */
    HISTORY_COLUMN_NS,       /* a latency, an offset: may be negative and have a fraction */
    HISTORY_COLUMN_REAL,
};

struct history_column {
    const char *name;  /* "rx_bytes" */
    const char *title; /* of the table's column; NULL: not in the table */
    enum history_column_type type;
    const char *sql;
};

enum history_view {
    HISTORY_VIEW_CONNECTIONS,
    HISTORY_VIEW_KERNEL,
    HISTORY_VIEW_COUNTERS,
    HISTORY_VIEW_CLOCK,
    HISTORY_VIEW_SOURCES,
    HISTORY_VIEW_RUNS,
    HISTORY_VIEW_RESULTS, /* of runs */
    HISTORY_VIEW_EVENTS,
    HISTORY_VIEW_GAPS,
    HISTORY_VIEWS
};
extern const char *const history_view_names[]; /* "connections" ..., NULL */

/* The columns; ends with a NULL name. */
const struct history_column *history_view_columns(enum history_view view);

struct history_filter {
    int64_t since_ns, until_ns; /* INT64_MIN, INT64_MAX: no limit */
    const char *program;        /* "": any; "*" stands for any characters */
    const char *name;           /* of a counter or a source, in the same way */
    bool has_address, has_port;
    struct net_addr address; /* local or remote */
    uint16_t port;
    int64_t run;   /* of results; 0: the latest */
    int64_t id;    /* of a row; 0: any */
    int64_t limit; /* the newest so many; 0: all */
};

/* "10.0.0.1", ":7001", "10.0.0.1:7001", "[fd00::1]:7001", "fd00::1". LOCKSTEP_E_BAD_FORMAT. */
int history_filter_connection(struct history_filter *filter, const char *text);

/* 0, or a negative code with problem (HISTORY_QUERY_PROBLEM_MAX), which names the file. A call waits for two seconds at
 * most for somebody's lock. */
int history_query_open(const char *path, struct history_sql *out, char *problem);
/* The same with another patience. */
int history_query_open_within(const char *path, int busy_ms, struct history_sql *out, char *problem);
void history_query_close(struct history_sql *sql);

/* A statement whose rows, the oldest first, have the view's columns. The caller steps and finalises it.
 * LOCKSTEP_E_NOT_SUPPORTED: the view knows no such filter. */
int history_query_prepare(struct history_sql *sql, enum history_view view, const struct history_filter *filter,
                          sqlite3_stmt **out, char *problem);

/* The histogram of a connection (all zero if nothing was measured). LOCKSTEP_E_GONE: there is no such connection. */
int history_query_histogram(struct history_sql *sql, int64_t id, uint32_t buckets[LANE_STATS_SLOT_BUCKETS]);

#endif
