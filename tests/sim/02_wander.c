/* SPDX-License-Identifier: BSD-2-Clause */
/* A poor oscillator (5e-9 per root second) and a very good one (1e-11), which the filter must tell apart by itself. */
#include "tests/sim/scenario.h"

static void run(uint64_t seed, const char *name, double wander_ppb, double rms_ns_max)
{
    struct world *world = scenario_world(seed, wander_ppb, POLL_16_S);

    world_run(world, 6 * HOURS);
    world_measure(world);
    world_run(world, 18 * HOURS);
    expect_figures(world, name, rms_ns_max);
    world_destroy(world);
}

void scenario(uint64_t seed)
{
    run(seed, "poor oscillator", 5, 2500);
    run(seed, "good oscillator", 0.01, 150);
}
