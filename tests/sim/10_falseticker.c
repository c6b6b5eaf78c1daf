/* SPDX-License-Identifier: BSD-2-Clause */
/* One of three servers lies: by 5 ms, by a drift that begins slowly, and by years. Nothing of it reaches the clock. */
#include "tests/sim/scenario.h"

void scenario(uint64_t seed)
{
    const struct world_config config = {.seed = seed, .wander_ppb = WANDER_PPB, .rate_ppb = 3210, .minimum_sources = 1};
    struct world *world = world_create(&config);
    struct world_server *liar;

    for (int i = 0; i < 3; i++)
        world_add_server(world, QUEUE_NS, POLL_16_S, POLL_16_S);
    liar = world_server(world, seed % 3);
    world_run(world, 1 * HOURS);
    world_measure(world);
    liar->offset_ns = 5000000;
    world_run(world, 4 * HOURS);
    expect(world_source(world, seed % 3).state == SOURCE_FALSETICKER, "5 ms: shown as a falseticker");
    liar->offset_ns = 0;
    world_run(world, 1 * HOURS);
    expect(world_source(world, seed % 3).state >= SOURCE_CANDIDATE, "a candidate again when it tells the truth");
    expect_figures(world, "5 ms", 1200);
    world_measure(world);
    liar->drift_ppb = 500;
    liar->drift_since_ns = (int64_t)(world_seconds(world) * 1e9);
    world_run(world, 4 * HOURS);
    expect(world_source(world, seed % 3).state == SOURCE_FALSETICKER, "drift: shown as a falseticker");
    expect_figures(world, "drift", 50000);
    world_measure(world);
    liar->drift_ppb = 0;
    liar->offset_ns = -5ll * 365 * 86400 * 1000000000;
    world_run(world, 4 * HOURS);
    expect(world_source(world, seed % 3).state == SOURCE_FALSETICKER, "years: shown as a falseticker");
    expect_figures(world, "years", 1200);
    world_destroy(world);
}
