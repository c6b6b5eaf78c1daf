/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine sleeps for an hour, the counter stands still. */
#include "tests/sim/scenario.h"

void scenario(uint64_t seed)
{
    struct world *world = scenario_world(seed, WANDER_PPB, POLL_16_S);
    uint32_t disruptions;

    world_run(world, 3 * HOURS);
    disruptions = world_disruptions(world);
    world_suspend(world, 1 * HOURS);
    expect(world_status(world) == LOCKSTEP_CLOCK_DISRUPTED, "no time is given at first");
    world_run(world, 10);
    expect(world_disruptions(world) > disruptions, "counted");
    expect_time(world, "ten seconds later");
    world_measure(world);
    world_run(world, 4 * HOURS);
    expect_figures(world, "afterwards", 700);
    world_destroy(world);
}
