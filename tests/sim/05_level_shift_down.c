/* SPDX-License-Identifier: BSD-2-Clause */
/* The path becomes shorter: back to what it was, and then shorter than ever on both ways. And a start on a path that is
 * loaded on one way only: the error that this brings goes once the load does. */
#include "tests/sim/scenario.h"

static void shifts(uint64_t seed)
{
    struct world *world = scenario_world(seed, WANDER_PPB, POLL_16_S);
    struct world_server *server = world_server(world, 0);

    world_run(world, 3 * HOURS);
    server->out.base_ns += 300000;
    world_run(world, 3 * HOURS);
    world_measure(world);
    server->out.base_ns -= 300000;
    world_run(world, 6 * HOURS);
    expect_figures(world, "back down", 2000);
    world_measure(world);
    server->out.base_ns -= 20000;
    server->back.base_ns -= 20000;
    world_run(world, 8 * HOURS);
    /* What the new path may differ by is part of the bound. */
    expect_coverage(world, "shorter than ever");
    expect(world_figures(world).rms_ns < 2500, "shorter than ever: rms %.3f us", world_figures(world).rms_ns / 1e3);
    expect(world_source(world, 0).counts.shifts_down == 2, "two shifts were found");
    world_destroy(world);
}

static void wrong_start(uint64_t seed)
{
    struct world *world = scenario_world(seed, WANDER_PPB, POLL_16_S);

    world_server(world, 0)->out.base_ns += 100000;
    world_run(world, 2 * HOURS);
    world_server(world, 0)->out.base_ns -= 100000;
    world_run(world, 10 * HOURS);
    world_measure(world);
    world_run(world, 6 * HOURS);
    /* The two paths disagreed by 50 us: that stays part of the bound. */
    expect(world_figures(world).rms_ns < 2000, "loaded at the start: rms %.3f us afterwards",
           world_figures(world).rms_ns / 1e3);
    expect_coverage(world, "loaded at the start");
    world_destroy(world);
}

void scenario(uint64_t seed)
{
    shifts(seed);
    wrong_start(seed);
}
