/* SPDX-License-Identifier: BSD-2-Clause */
/* Notices what makes the counter's time useless: suspend, a counter that jumped or stood still while the kernel's
 * clocks went on (or the reverse, as after a pause or a move of a virtual machine). Pure but for disruption_read. */
#ifndef LOCKSTEP_CLOCK_DISRUPTION_H
#define LOCKSTEP_CLOCK_DISRUPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "clock/counter.h"

/* One look at all clocks, taken together. */
struct disruption_reading {
    uint64_t counter;
    int64_t raw_ns, monotonic_ns, boottime_ns; /* CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC, CLOCK_BOOTTIME */
    int64_t width_ns;                          /* how long the look took */
};

struct disruption {
    double nominal_hz;
    bool valid;
    struct disruption_reading last;
};

void disruption_init(struct disruption *disruption, double nominal_hz);
/* 0 or a negated errno. */
int disruption_read(const struct counter *counter, struct disruption_reading *out);
/* Compares with the reading before, which it replaces. True: the time has to be found again; why says what happened, a
 * sentence for the log. */
bool disruption_check(struct disruption *disruption, const struct disruption_reading *now, char why[160]);

#endif
