/* SPDX-License-Identifier: BSD-2-Clause */
/* The latest runs of the test bed, from the history database (which its recorder may be writing meanwhile, and which
 * need not be there). */
#ifndef LOCKSTEP_MONITOR_RUNS_H
#define LOCKSTEP_MONITOR_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "monitor/history_query.h"
#include "monitor/json_stream.h"

#define RUNS_MAX 100

/* A run on one stack in one phase mode. What is not known is negative. */
struct run {
    int64_t ended_ns;
    double duration_s;
    char title[64], pattern[64], verdict[16], stack[16], phase[16];
    int64_t received, lost;
    int64_t p50_ns, p99_ns, max_ns; /* the largest of its classes of messages */
};

struct runs {
    bool available;
    char problem[HISTORY_QUERY_PROBLEM_MAX]; /* "": no database, else why it cannot be read */
    size_t count;
    struct run run[RUNS_MAX]; /* the latest first */
};

/* Reads the database at path, never writes. Blocks for a quarter of a second at most. */
void runs_read(const char *path, struct runs *out);

/* {"available", "problem", "runs": [...]} (pure). */
void runs_write(const struct runs *runs, struct json_stream *json);
/* Metrics of the latest run, if there is one (pure). */
void runs_write_metrics(const struct runs *runs, FILE *out);

#endif
