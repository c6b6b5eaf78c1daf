/* SPDX-License-Identifier: BSD-2-Clause */
/* One way changes between two routes, 250 us apart, every ten minutes. */
#include "tests/sim/scenario.h"

void scenario(uint64_t seed)
{
    struct world *world = scenario_world(seed, WANDER_PPB, POLL_16_S);

    world_run(world, 2 * HOURS);
    world_measure(world);
    for (int i = 0; i < 60; i++) {
        world_server(world, 0)->back.base_ns += i % 2 == 0 ? 250000 : -250000;
        world_run(world, 600);
    }
    expect_figures(world, "flapping route", 2500);
    expect(world_source(world, 0).counts.restarts == 0, "without a restart");
    world_destroy(world);
}
