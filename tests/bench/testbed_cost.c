/* SPDX-License-Identifier: BSD-2-Clause */
/* testbed_cost [CLOCK_SEGMENT]: what the test bed spends on each message, stamping and recording (the aim: below
 * 200 ns), by the system's clock and, where it runs, by the Lockstep clock. */
#include <stdio.h>

#include "testbed/cost.h"

#define ROUNDS 1000000

static int measure(enum node_clock_kind kind, const char *path)
{
    struct node_clock *clock;
    struct node_time now;
    struct cost cost;
    char problem[192];

    if (node_clock_open(kind, path, NODE_CLOCK_BOUND_UNKNOWN, &clock, problem)) {
        printf("%-9s %s\n", node_clock_kind_names[kind], problem);
        return 1;
    }
    node_clock_now(clock, &now);
    if (cost_measure(clock, ROUNDS, &cost) == 0)
        printf("%-9s stamp %u ns, stamp and record %u ns a message of 100 bytes%s\n", node_clock_kind_names[kind],
               cost.stamp_ns, cost.record_ns,
               now.status == NODE_CLOCK_NO_TIME ? " (gives no time: not the usual path)" : "");
    node_clock_close(clock);
    return 0;
}

int main(int argc, char **argv)
{
    (void)measure(NODE_CLOCK_LOCKSTEP, argc > 1 ? argv[1] : NULL);
    return measure(NODE_CLOCK_SYSTEM, NULL);
}
