/* SPDX-License-Identifier: BSD-2-Clause */
/* From a pattern, the nodes and the settings of a round to the jobs of all processes. Pure. */
#ifndef LOCKSTEP_TESTBED_PLAN_H
#define LOCKSTEP_TESTBED_PLAN_H

#include "testbed/job.h"
#include "testbed/schedule.h"

enum plan_split { PLAN_BY_NODE, PLAN_BY_CLASS }; /* one process for each node and role, or one for each class, too */
extern const char *const plan_split_names[];     /* "node", "class", NULL */

struct plan_settings {
    uint32_t run;
    const char *stack;
    const struct net_addr *addresses; /* of each node of the network */
    struct net_addr group_base;       /* types get the groups after it; any: 239.192.77.0 or ff15::4d:0 */
    uint16_t port_base;               /* types get port_base + index, echo port_base - 1 - process; 0: 20000 */
    int64_t warmup_ns, duration_ns, grace_ns;
    enum node_clock_kind clock;
    const char *const *clock_paths; /* of each node; NULL: the usual one everywhere */
    uint32_t clock_assumed_bound_ns;
    int64_t clock_bound_limit_ns;
    int64_t late_ns, spin_ns;
    bool busy;
    int64_t stall_period_ns, stall_threshold_ns;
    int64_t echo_period_ns;
    bool raw;              /* write raw logs */
    const char *directory; /* of results and raw logs, on every node: DIR/PROCESS.json, DIR/PROCESS.raw */
    enum plan_split split;
};
/* Sensible ones for all but run, stack, addresses and directory. */
void plan_settings_init(struct plan_settings *settings);

struct plan {
    struct job *jobs; /* receivers first */
    size_t count;
};

/* 0, or a negative code with problem (JOB_PROBLEM_MAX). */
int plan_create(const struct pattern *pattern, const struct schedule_placement *placement,
                const struct schedule_network *network, const int64_t *phase_ns, const struct plan_settings *settings,
                struct plan *out, char *problem);
void plan_free(struct plan *plan);

#endif
