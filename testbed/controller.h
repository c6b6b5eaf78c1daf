/* SPDX-License-Identifier: BSD-2-Clause */
/* The controller: plays a pattern on the nodes of an inventory, round after round, and writes the report. */
#ifndef LOCKSTEP_TESTBED_CONTROLLER_H
#define LOCKSTEP_TESTBED_CONTROLLER_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#define CONTROLLER_STACKS 2
#define CONTROLLER_PHASES 3

struct controller_options {
    char inventory[200], pattern[200];
    char output[200];                       /* directory of the report */
    char stacks[CONTROLLER_STACKS + 1][16]; /* "kernel", "lockstep"; none: both */
    char phases[CONTROLLER_PHASES + 1][16]; /* none: synchronised */
    int64_t rounds;                         /* of each stack and phase */
    uint64_t duration_ns, warmup_ns, grace_ns;
    int64_t seed;
    int clock;                  /* enum node_clock_kind */
    uint64_t clock_limit_ns;    /* bound that each node must be within, before and during each round */
    uint64_t clock_patience_ns; /* how long to wait for that */
    uint64_t assumed_bound_ns;  /* of the system's clocks; 0: unknown */
    uint64_t late_ns, spin_ns, echo_period_ns;
    int split; /* enum plan_split */
    bool busy, raw, quiet;
    int64_t level_percent; /* of confidence intervals */
    char title[80];
    char note[6][200]; /* for the report's top */
};

/* From now on SIGINT and SIGTERM are remembered instead of ending the program; the calls below do it, too. */
void controller_catch_signals(void);

/* Runs all rounds and writes the report. The exit status: 0 pass, 1 a limit was broken, 2 inconclusive, 3 could not run
 * (or was interrupted; what was measured is in the report). *report: the document, the caller's; NULL if nothing was
 * measured. Ends soon after SIGINT or SIGTERM. */
int controller_main(const struct controller_options *options, struct json_object **report);

/* Only asks the nodes what is not ready. 0: all is, 1: something is not, 3: a node does not answer. *report: {"nodes":
 * [{"name", "facts", "findings"}]}, the caller's; NULL if none answers. */
int controller_check(const struct controller_options *options, struct json_object **report);

#endif
