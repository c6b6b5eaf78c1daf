/* SPDX-License-Identifier: BSD-2-Clause */
/* What one testbench process measured, in memory and as JSON ("schema": "lockstep-testbench-result", "version": 1). The
 * JSON carries whole histograms, so that results can be merged later. */
#ifndef LOCKSTEP_TESTBED_RESULT_H
#define LOCKSTEP_TESTBED_RESULT_H

#include "testbed/echo.h"
#include "testbed/job.h"
#include "testbed/record.h"
#include "testbed/stall.h"

#define RESULT_VERSION     1
#define RESULT_BYTES_MAX   (64 << 20)
#define RESULT_PROBLEM_MAX 256

enum result_ending {
    RESULT_COMPLETE,
    RESULT_STOPPED, /* by command, signal, or because whoever started it is gone; what was measured is here */
    RESULT_FAILED,  /* could not run: see problem */
};
extern const char *const result_ending_names[]; /* "complete", "stopped", "failed", NULL */

struct result_type {
    uint16_t index;
    char name[PATTERN_NAME_MAX];
    struct send_record *sent;     /* of senders */
    struct type_record *received; /* of receivers */
    bool connected;               /* streams: was there ever a connection */
    bool cut;                     /* streams: it broke before the end */
};

struct result {
    uint32_t run;
    enum job_role role;
    char node[PATTERN_NODE_MAX], process[JOB_PROCESS_MAX], stack[JOB_STACK_MAX];
    enum result_ending ending;
    char problem[RESULT_PROBLEM_MAX]; /* "" or what went wrong */
    int64_t start_tai_ns, warmup_ns, duration_ns, limit_bound_ns;
    int64_t ended_tai_ns;
    struct {
        enum node_clock_kind kind;
        bool assumed; /* the bound is the user's word */
        uint32_t bound_start_ns, bound_max_ns, bound_end_ns;
        uint32_t disruptions;                            /* during the run */
        uint64_t samples, holdover, no_time, over_limit; /* of the samples */
        struct series bounds;                            /* ns */
    } clock;
    uint32_t stamp_cost_ns;  /* one reading of the clock, measured before the run */
    uint32_t record_cost_ns; /* receivers: stamp, check and record one small message, measured before the run */
    uint64_t cpu_user_us, cpu_system_us;
    uint64_t foreign; /* datagrams that are no messages of this run */
    uint64_t raw_entries, raw_missing;
    bool has_stalls;
    struct stall_report *stalls; /* NULL unless has_stalls */
    struct echo_record *echoes;  /* of senders */
    size_t echo_count;
    struct result_type *types;
    size_t type_count;
};

/* An empty result for a job, with all the records; NULL when memory is short. */
struct result *result_create(const struct job *job);
void result_free(struct result *result);
/* Fits the records to job->start_tai_ns, when that is told after the result was made. What they held is gone. */
void result_set_start(struct result *result, const struct job *job);

/* 0, or a negative code with problem (RESULT_PROBLEM_MAX). Pure. */
int result_parse(const char *text, size_t length, struct result **out, char *problem);
/* The caller frees it; NULL when memory is short. */
char *result_to_json(const struct result *result);

#endif
