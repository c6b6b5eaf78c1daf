/* SPDX-License-Identifier: BSD-2-Clause */
/* The counters that a clock can be built on, behind one interface. */
#ifndef LOCKSTEP_CLOCK_COUNTER_H
#define LOCKSTEP_CLOCK_COUNTER_H

#include <stdint.h>

enum counter_kind { COUNTER_AUTO, COUNTER_TSC, COUNTER_MONOTONIC_RAW, COUNTER_SIMULATED };

struct counter {
    enum counter_kind kind;
    double nominal_hz;
    uint64_t (*read)(void *context); /* never decreases; the TSC is read after earlier loads */
    void *context;
};

/* AUTO takes the TSC if it can be trusted (invariant, the kernel's clock source or at least not marked unstable, cores
 * agree to 1 us), else MONOTONIC_RAW. why (192 bytes): what was found, a sentence for the log. Takes a tenth of a
 * second and starts threads that have ended when it returns. 0; LOCKSTEP_E_NOT_SUPPORTED: no TSC here;
 * LOCKSTEP_E_BAD_VALUE: SIMULATED cannot be opened. */
int counter_open(enum counter_kind kind, struct counter *out, char why[192]);
/* For tests and the simulator. */
void counter_simulated(struct counter *out, double nominal_hz, uint64_t (*read)(void *context), void *context);
const char *counter_name(enum counter_kind kind);

/* A reading of a clock of the kernel between two of the counter: the tightest of a few. */
struct counter_bracket {
    uint64_t before, after; /* counter */
    int64_t clock_ns;       /* the kernel's clock */
};
/* clock_id as for clock_gettime (CLOCK_REALTIME, CLOCK_MONOTONIC, a PHC's). 0 or a negated errno. */
int counter_bracket(const struct counter *counter, int clock_id, struct counter_bracket *out);
/* Carries a stamp of that clock, taken close to the bracket, over to the counter. *error_ns: half the bracket's width
 * plus what the rate's doubt (500 ppm, as much as the kernel steers a clock) adds over the distance. UINT32_MAX: more
 * than an hour apart, not carried over. */
uint64_t counter_carry_over(const struct counter *counter, const struct counter_bracket *bracket, int64_t stamp_ns,
                            uint32_t *error_ns);

#endif
