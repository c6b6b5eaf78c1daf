/* SPDX-License-Identifier: BSD-2-Clause */
/* A counter that runs off: its rate is a constant, a random walk, and a given function of time. Time goes forward only,
 * by exact steps of the random walk, so that a run does not depend on when it is looked at closely. */
#ifndef LOCKSTEP_TESTS_SIM_OSCILLATOR_H
#define LOCKSTEP_TESTS_SIM_OSCILLATOR_H

#include <stdint.h>

#include "tests/sim/random.h"

struct oscillator {
    double hz;
    double wander;                            /* ns/s per root second */
    double rate;                              /* ns/s (ppb) above nominal, without the ramp */
    double (*extra_phase_ns)(double seconds); /* what a ramp of the rate adds; NULL: none */
    int64_t time_ns;                          /* true time, from 0 */
    double phase_ns;                          /* counter / hz - true time */
    uint64_t offset;                          /* ticks, moved by a jump */
    struct random random;
};

void oscillator_advance(struct oscillator *oscillator, int64_t to_ns);
/* The counter now, or a little later (within which the rate does not change). */
uint64_t oscillator_read(const struct oscillator *oscillator, double later_ns);

#endif
