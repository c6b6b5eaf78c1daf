/* SPDX-License-Identifier: BSD-2-Clause */
/* 5 % and 50 % of all packets are lost. */
#include "tests/sim/scenario.h"

static void run(uint64_t seed, const char *name, double loss, double rms_ns_max)
{
    struct world *world = scenario_world(seed, WANDER_PPB, POLL_16_S);
    struct world_server *server = world_server(world, 0);
    struct core_source_report report;

    server->out.loss = server->back.loss = loss;
    world_run(world, 6 * HOURS);
    expect_coverage(world, "start");
    world_measure(world);
    world_run(world, 18 * HOURS);
    expect_figures(world, name, rms_ns_max);
    report = world_source(world, 0);
    expect((double)report.used < (1 - loss) * (double)report.sent, "%s: packets were lost", name);
    world_destroy(world);
}

void scenario(uint64_t seed)
{
    run(seed, "5 %", 0.05, 650);
    run(seed, "50 %", 0.5, 2500);
}
