/* SPDX-License-Identifier: BSD-2-Clause */
/* Interleaved mode (RFC 9769) through loss; the server's late stamps are put to the right exchange. */
#include "tests/sim/scenario.h"

void scenario(uint64_t seed)
{
    const struct world_config config = {
        .seed = seed, .wander_ppb = WANDER_PPB, .rate_ppb = 99000, .interleaved = true, .stamp_noise_ns = 50};
    struct world *world = world_create(&config);

    world_add_server(world, QUEUE_NS, 0, POLL_16_S);
    world_server(world, 0)->out.loss = world_server(world, 0)->back.loss = 0.05;
    world_server(world, 0)->turnaround_ns = 50000;
    world_run(world, 4 * HOURS);
    expect_coverage(world, "start");
    expect(world_source(world, 0).interleaved, "in interleaved mode");
    world_measure(world);
    world_run(world, 12 * HOURS);
    expect_figures(world, "interleaved", 700);
    world_destroy(world);
}
