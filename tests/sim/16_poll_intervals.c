/* SPDX-License-Identifier: BSD-2-Clause */
/* From 1 s to 1024 s; and adapted by itself between the two. */
#include <stdio.h>

#include "tests/sim/scenario.h"

void scenario(uint64_t seed)
{
    static const struct {
        int poll_log2;
        double hours, rms_ns_max;
    } runs[] = {{0, 2, 150}, {2, 6, 300}, {6, 24, 1300}, {10, 96, 12000}};
    struct world *world;

    for (unsigned i = 0; i < sizeof runs / sizeof *runs; i++) {
        char name[32];

        snprintf(name, sizeof name, "poll %d s", 1 << runs[i].poll_log2);
        world = scenario_world(seed, WANDER_PPB, runs[i].poll_log2);
        world_run(world, runs[i].hours * HOURS / 2);
        expect_coverage(world, "start");
        world_measure(world);
        world_run(world, runs[i].hours * HOURS);
        expect_figures(world, name, runs[i].rms_ns_max);
        world_destroy(world);
    }
    world = world_create(&(struct world_config){.seed = seed, .wander_ppb = 0.1, .rate_ppb = 1000});
    world_add_server(world, QUEUE_NS, 0, 10);
    world_run(world, 12 * HOURS);
    world_measure(world);
    world_server(world, 0)->requests = 0;
    world_run(world, 24 * HOURS);
    expect_figures(world, "adapted poll", 6000);
    expect(world_server(world, 0)->requests < 86400 / 16, "adapted poll: %u requests a day",
           (unsigned)world_server(world, 0)->requests);
    world_destroy(world);
}
