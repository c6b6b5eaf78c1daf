/* SPDX-License-Identifier: BSD-2-Clause */
/* The way out becomes longer for good, all at once: by 500 us, then by another 40 us. The clock goes on as before. */
#include "tests/sim/scenario.h"

void scenario(uint64_t seed)
{
    struct world *world = scenario_world(seed, WANDER_PPB, POLL_16_S);

    world_run(world, 4 * HOURS);
    world_measure(world);
    world_server(world, 0)->out.base_ns += 500000;
    world_run(world, 8 * HOURS);
    expect_figures(world, "up by 500 us", 2500);
    expect(world_source(world, 0).counts.shifts_up == 1, "one shift was found");
    world_measure(world);
    world_server(world, 0)->back.base_ns += 40000;
    world_run(world, 8 * HOURS);
    expect_figures(world, "up by 40 us", 2500);
    expect(world_source(world, 0).counts.shifts_up == 2, "the second shift was found");
    expect(world_source(world, 0).counts.restarts == 0, "without a restart");
    world_destroy(world);
}
