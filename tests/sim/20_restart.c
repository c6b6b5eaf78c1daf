/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon is killed and comes back, after a second and after ten minutes, with and without servers: it goes on from
 * what it published, without a step. */
#include "tests/sim/scenario.h"

static void restart(struct world *world, double seconds, bool alone, const char *name)
{
    uint32_t disruptions = world_disruptions(world);

    world_server(world, 0)->silent = alone;
    world_measure(world);
    expect(world_restart(world, seconds), "%s: it goes on with what was published", name);
    expect_time(world, name);
    world_run(world, 600);
    world_server(world, 0)->silent = false;
    world_run(world, 2 * HOURS);
    expect(world_disruptions(world) == disruptions, "%s: no disruption", name);
    expect_coverage(world, name);
    expect(world_figures(world).given == world_figures(world).readings, "%s: the time is always given", name);
    expect(world_status(world) == LOCKSTEP_CLOCK_SYNCHRONISED, "%s: synchronised at the end", name);
}

void scenario(uint64_t seed)
{
    struct world *world = scenario_world(seed, WANDER_PPB, POLL_16_S);

    world_run(world, 2 * HOURS);
    restart(world, 1, false, "after a second");
    restart(world, 600, false, "after ten minutes");
    restart(world, 60, true, "without servers at first");
    world_measure(world);
    world_run(world, 4 * HOURS);
    expect_figures(world, "afterwards", 700);
    world_destroy(world);
}
