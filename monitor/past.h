/* SPDX-License-Identifier: BSD-2-Clause */
/* What the history knows of the quantities of series.h: of the time before lockstep-web was started, and of spans that
 * are too long for its memory. The database is read only, while its recorder may be writing, and need not be there. */
#ifndef LOCKSTEP_MONITOR_PAST_H
#define LOCKSTEP_MONITOR_PAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "monitor/history_query.h"
#include "monitor/series.h"

/* Opens the database for reading; "none" is never there. 1; 0: there is none; or a negative code with problem. Whoever
 * asks waits for a quarter of a second at most if it is locked. */
int past_open(const char *path, struct history_sql *sql, char problem[HISTORY_QUERY_PROBLEM_MAX]);

#define PAST_POINTS     720
#define PAST_STEP_LEAST 60000 /* ms; samples are about half as far apart */

struct past {
    bool available;
    char problem[HISTORY_QUERY_PROBLEM_MAX]; /* "": no database, else why it cannot be read */
    int64_t step_ms;                         /* from one point to the next */
    size_t count;
    /* The oldest first. A time of which nothing is known has one point of which nothing is known, at its beginning.
     * A point's time is that of the first sample in its step. Clock: the step's largest offset and bound; traffic: its
     * mean. */
    struct series_point point[PAST_POINTS];
};

/* Reads what lies between the two times into *out. */
void past_read(const char *path, int64_t from_ms, int64_t to_ms, struct past *out);

/* How the recorder does. */
struct past_health {
    bool available;
    int64_t bytes;      /* of the database with its log */
    int64_t written_ns; /* when it was last written to; 0: never */
    int64_t gaps, lost; /* that it has noted, and the records that were lost in them */
    int64_t runs;       /* of the test bed */
};
void past_read_health(const char *path, struct past_health *out);

#endif
