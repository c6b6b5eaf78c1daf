/* SPDX-License-Identifier: BSD-2-Clause */
/* A round: one run of the whole pattern on one stack, put together from its processes' results, and judged. Pure. */
#ifndef LOCKSTEP_TESTBED_ROUND_H
#define LOCKSTEP_TESTBED_ROUND_H

#include "testbed/plan.h"
#include "testbed/result.h"
#include "testbed/schedule.h"

enum verdict {
    VERDICT_PASS,
    VERDICT_INCONCLUSIVE, /* a bound straddles the limit, or is unknown, or too little was measured */
    VERDICT_FAIL,         /* a limit broken for sure, or a message lost or corrupt */
    VERDICT_INVALID,      /* the figures cannot be believed (clock check failed), or the run did not take place */
};
extern const char *const verdict_names[]; /* "PASS", "INCONCLUSIVE", "FAIL", "INVALID", NULL */
/* 0 pass, 1 limit failed, 2 inconclusive, 3 could not run. */
int verdict_exit_status(enum verdict verdict);

#define ROUND_REASON_MAX 200

struct round_type {
    const struct pattern_type *type; /* the pattern must live as long */
    struct schedule_placement placement;
    int64_t phase_ns;
    struct send_record sent;
    struct type_record received; /* all receivers together */
    uint64_t expected;           /* messages sent times receivers */
    uint64_t lost;
    bool sender_known;                      /* else expected is what the schedule says */
    double requested_per_s, achieved_per_s; /* messages received by each receiver, in the measured time */
    uint32_t bound_ns;                      /* of both ends, at worst; NODE_CLOCK_BOUND_UNKNOWN */
    struct schedule_prediction predicted;
    bool has_prediction;
    enum verdict verdict;
    char reason[ROUND_REASON_MAX]; /* why it is not PASS */
};

struct round_outlier {
    unsigned type; /* index */
    struct arrival arrival;
    const struct stall *stall; /* of a node that took part, while the message was under way; NULL */
    const char *stalled_node;
};
#define ROUND_OUTLIERS 10

struct round {
    const char *stack;
    struct round_type *types;
    size_t type_count;
    struct result **results; /* owned */
    size_t result_count;
    struct round_outlier outliers[ROUND_OUTLIERS]; /* the worst by latency / limit, of all types */
    unsigned outlier_count;
    bool stalled; /* some node stalled for longer than its threshold */
    enum verdict verdict;
    char reason[ROUND_REASON_MAX];
};

struct round_input {
    const struct pattern *pattern;
    const struct schedule_placement *placement;
    const struct schedule_network *network;
    const int64_t *phase_ns;
    const struct schedule_prediction *predictions; /* NULL: none */
    const struct plan *plan;                       /* to see whose result is missing; NULL: not checked */
    const char *stack;
};

/* Takes the results over (also on failure). 0 or -ENOMEM. */
int round_create(const struct round_input *input, struct result **results, size_t result_count, struct round **out);
void round_free(struct round *round);

#endif
