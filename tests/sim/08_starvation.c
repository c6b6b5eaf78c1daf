/* SPDX-License-Identifier: BSD-2-Clause */
/* No server for a day: holdover, with a bound that grows and holds. When the server is back, no step. */
#include "tests/sim/scenario.h"

void scenario(uint64_t seed)
{
    struct world *world = scenario_world(seed, WANDER_PPB, POLL_16_S);
    struct world_figures figures;
    uint32_t disruptions;

    world_run(world, 12 * HOURS);
    disruptions = world_disruptions(world);
    world_server(world, 0)->silent = true;
    world_run(world, 0.5 * HOURS);
    expect(world_status(world) == LOCKSTEP_CLOCK_HOLDOVER, "holdover is announced");
    world_measure(world);
    world_run(world, 1 * DAYS);
    expect_coverage(world, "starvation");
    figures = world_figures(world);
    expect(figures.holdover == figures.readings, "holdover all the time");
    expect(figures.most_bound_ns < 200e6, "the bound stays below 200 ms: %.3f ms", figures.most_bound_ns / 1e6);
    expect(figures.max_ns > figures.most_bound_ns / 1000, "the bound is not senselessly large: error %.3f ms",
           figures.max_ns / 1e6);
    world_server(world, 0)->silent = false;
    world_run(world, 2 * HOURS);
    expect(world_status(world) == LOCKSTEP_CLOCK_SYNCHRONISED, "synchronised again");
    expect(world_disruptions(world) == disruptions || figures.max_ns > 1e6, "without a step of less than 10 ms");
    world_measure(world);
    world_run(world, 6 * HOURS);
    expect_figures(world, "afterwards", 700);
    world_destroy(world);
}
