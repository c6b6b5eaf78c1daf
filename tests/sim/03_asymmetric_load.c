/* SPDX-License-Identifier: BSD-2-Clause */
/* Queues only on the way back. Then they come and go. */
#include "tests/sim/scenario.h"

static void set_load(struct world *world, double out_ns, double back_ns)
{
    world_server(world, 0)->out.queue_ns = out_ns;
    world_server(world, 0)->back.queue_ns = back_ns;
}

void scenario(uint64_t seed)
{
    struct world *world = scenario_world(seed, WANDER_PPB, POLL_16_S);

    set_load(world, 2000, 20000);
    world_run(world, 2 * HOURS);
    expect_coverage(world, "start under load");
    world_measure(world);
    world_run(world, 12 * HOURS);
    expect_figures(world, "steady load", 850);
    world_measure(world);
    for (int i = 0; i < 12; i++) {
        set_load(world, 2000, 2000);
        world_run(world, 0.5 * HOURS);
        if (i % 2 == 0)
            set_load(world, 2000, 200000);
        else
            set_load(world, 200000, 2000);
        world_run(world, 0.5 * HOURS);
    }
    expect_figures(world, "load comes and goes", 3000);
    world_destroy(world);
}
