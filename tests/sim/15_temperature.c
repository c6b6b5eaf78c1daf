/* SPDX-License-Identifier: BSD-2-Clause */
/* The rate swings by 1 ppm in two hours, and ramps by 3 ppm in ten minutes. */
#include <math.h>

#include "tests/sim/scenario.h"

#define SWING_PPB 1000.0
#define PERIOD_S  7200.0
#define RAMP_FROM (12 * HOURS)
#define RAMP_S    600.0
#define RAMP_PPB  3000.0

static double phase(double seconds)
{
    double ramp = fmin(fmax(seconds - RAMP_FROM, 0), RAMP_S), after = fmax(seconds - RAMP_FROM - RAMP_S, 0);

    return SWING_PPB * PERIOD_S / (2 * M_PI) * (1 - cos(2 * M_PI * seconds / PERIOD_S)) +
           RAMP_PPB * (ramp * ramp / (2 * RAMP_S) + after);
}

void scenario(uint64_t seed)
{
    struct world *world = scenario_world(seed, WANDER_PPB, POLL_16_S);

    world_oscillator(world)->extra_phase_ns = phase;
    world_run(world, 4 * HOURS);
    expect_coverage(world, "start");
    world_measure(world);
    world_run(world, RAMP_FROM - 4 * HOURS);
    expect_figures(world, "swing", 3000);
    world_measure(world);
    world_run(world, 4 * HOURS);
    expect_figures(world, "ramp", 5000);
    expect(world_source(world, 0).counts.restarts == 0, "without a restart");
    world_destroy(world);
}
