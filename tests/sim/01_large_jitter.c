/* SPDX-License-Identifier: BSD-2-Clause */
/* Queues of 200 us on average, and a tenth of all packets delayed by another 3 ms. */
#include "tests/sim/scenario.h"

void scenario(uint64_t seed)
{
    struct world *world = scenario_world(seed, WANDER_PPB, POLL_16_S);
    struct world_server *server = world_server(world, 0);

    server->out.queue_ns = server->back.queue_ns = 200000;
    server->out.spike_chance = server->back.spike_chance = 0.1;
    server->out.spike_ns = server->back.spike_ns = 3e6;
    world_run(world, 4 * HOURS);
    expect_coverage(world, "start");
    world_measure(world);
    world_run(world, 20 * HOURS);
    expect_figures(world, "jitter", 10000);
    world_destroy(world);
}
