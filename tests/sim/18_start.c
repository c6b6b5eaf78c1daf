/* SPDX-License-Identifier: BSD-2-Clause */
/* Many starts, with any rate within 200 ppm and with jitter: a time within 5 s, and an honest bound from the first
 * reading on. */
#include "tests/sim/scenario.h"

void scenario(uint64_t seed)
{
    unsigned late = 0;

    for (uint64_t i = 0; i < 100; i++) {
        struct random random = {seed * 1000 + i};
        struct world_config config = {.seed = seed * 1000 + i,
                                      .wander_ppb = WANDER_PPB,
                                      .rate_ppb = 400000 * (random_uniform(&random) - 0.5),
                                      .read_interval_s = 0.5};
        struct world *world = world_create(&config);

        world_add_server(world, random_exponential(&random, 10000), POLL_16_S, POLL_16_S);
        world_run(world, 5);
        late += world_status(world) != LOCKSTEP_CLOCK_SYNCHRONISED;
        world_measure(world);
        world_run(world, 200);
        expect_coverage(world, "start");
        world_destroy(world);
    }
    expect(late == 0, "synchronised within 5 s");
}
