/* SPDX-License-Identifier: BSD-2-Clause */
/* A run of the test bed as the history keeps it: what its report (report.json of `lockstep testbed run`,
 * testbed/report.h) says of verdicts and latencies, without histograms and courses over time. */
#ifndef LOCKSTEP_MONITOR_HISTORY_RUN_H
#define LOCKSTEP_MONITOR_HISTORY_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "monitor/history_store.h"

#define HISTORY_RUN_BYTES_MAX   (32u << 20)
#define HISTORY_RUN_RESULTS_MAX 20000
#define HISTORY_RUN_PROBLEM_MAX 256

enum history_run_level { HISTORY_RUN_STACK, HISTORY_RUN_CLASS, HISTORY_RUN_TYPE };

/* Of one stack in one phase mode: as a whole, of a class, or of a type of messages. Numbers that are not known are
 * negative. */
struct history_run_result {
    enum history_run_level level;
    char stack[16], phase[16], name[32], class_name[32], verdict[16];
    int64_t received, lost, limit_ns, bound_ns, p50_ns, p99_ns, p99_9_ns, max_ns;
};

struct history_run {
    int64_t ended_ns;     /* CLOCK_REALTIME, good to a second */
    char fingerprint[33]; /* of the document: the same one is taken once */
    char title[256], pattern[512], version[32], verdict[16], reason[256];
    int64_t nodes, rounds;
    double duration_s;
    size_t count;
    struct history_run_result *results;
};

/* Reads a report (pure). 0, or a negative code with problem (HISTORY_RUN_PROBLEM_MAX) that names the member. The caller
 * frees *out with history_run_free. */
int history_run_parse(const char *text, size_t length, struct history_run **out, char *problem);
/* The same from a file, which must be a regular one. */
int history_run_read(const char *path, struct history_run **out, char *problem);
void history_run_free(struct history_run *run);

/* Puts a report into the directory that the recorder watches, whole or not at all, for its group to read. 0 or a
 * negative errno; -ENOENT: there is no such directory. */
int history_run_leave(const char *directory, const char *text, size_t length);

/* In a transaction of the store. 1: added, 0: it is there already, or a negative code. */
int history_run_add(struct history_store *store, const struct history_run *run, int64_t now_ns);

#endif
