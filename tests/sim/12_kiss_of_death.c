/* SPDX-License-Identifier: BSD-2-Clause */
/* RATE slows the client down, DENY and RSTR stop it; the clock goes on with what it has. */
#include "tests/sim/scenario.h"

void scenario(uint64_t seed)
{
    const struct world_config config = {.seed = seed, .wander_ppb = WANDER_PPB, .rate_ppb = -7000};
    struct world *world = world_create(&config);
    struct world_server *server;
    uint64_t requests;

    world_add_server(world, QUEUE_NS, 0, 10);
    world_add_server(world, QUEUE_NS, POLL_16_S, POLL_16_S);
    server = world_server(world, 0);
    world_run(world, 20);
    server->kiss = KISS_RATE;
    world_run(world, 60);
    server->kiss = KISS_NONE;
    requests = server->requests;
    world_run(world, 120);
    expect(server->requests - requests < 60, "RATE: %u requests in two minutes, instead of one a second",
           (unsigned)(server->requests - requests));
    expect(server->requests - requests > 0, "RATE: it is asked on");
    world_run(world, 1 * HOURS);
    server->kiss = seed % 2 ? KISS_DENY : KISS_RSTR;
    world_run(world, 1 * HOURS);
    requests = server->requests;
    expect(world_source(world, 0).state == SOURCE_STOPPED, "DENY, RSTR: shown as stopped");
    world_run(world, 4 * HOURS);
    expect(server->requests == requests, "DENY, RSTR: asked no more");
    world_measure(world);
    world_run(world, 4 * HOURS);
    expect_figures(world, "with the other server", 700);
    world_destroy(world);
}
