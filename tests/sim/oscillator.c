/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/oscillator.h"

#include <stddef.h>

void oscillator_advance(struct oscillator *oscillator, int64_t to_ns)
{
    double dt = (double)(to_ns - oscillator->time_ns) * 1e-9;
    double first, second, step;

    if (to_ns <= oscillator->time_ns)
        return;
    first = random_normal(&oscillator->random);
    second = random_normal(&oscillator->random);
    step = oscillator->wander * sqrt(dt);
    oscillator->phase_ns += oscillator->rate * dt + step * dt * (first / 2 + second / sqrt(12));
    oscillator->rate += step * first;
    oscillator->time_ns = to_ns;
}

uint64_t oscillator_read(const struct oscillator *oscillator, double later_ns)
{
    double ticks_per_ns = oscillator->hz * 1e-9, seconds = (double)oscillator->time_ns * 1e-9;
    double phase = oscillator->phase_ns + later_ns * (1 + oscillator->rate * 1e-9);

    if (oscillator->extra_phase_ns)
        phase += oscillator->extra_phase_ns(seconds + later_ns * 1e-9);
    /* Whole hertz of any size: the product of time and rate needs more than 64 bits. */
    return oscillator->offset + (uint64_t)((__int128)oscillator->time_ns * (int64_t)oscillator->hz / 1000000000) +
           (uint64_t)(int64_t)floor(phase * ticks_per_ns);
}
