/* SPDX-License-Identifier: BSD-2-Clause */
/* The only server steps by 50 ms, and back by 3 s. The clock follows, and announces it. */
#include <math.h>

#include "tests/sim/scenario.h"

static void step(struct world *world, int64_t ns, const char *name)
{
    struct world_server *server = world_server(world, 0);
    uint32_t disruptions = world_disruptions(world);
    double error_ns = NAN, bound_ns = NAN;

    server->offset_ns += ns;
    world_run(world, 600);
    expect(world_disruptions(world) > disruptions, "%s: announced", name);
    world_run(world, 600);
    expect(world_read(world, LOCKSTEP_TAI, &error_ns, &bound_ns) &&
               fabs(error_ns - (double)server->offset_ns) <= bound_ns,
           "%s: the clock agrees with the server within %.3f us", name, bound_ns / 1e3);
}

void scenario(uint64_t seed)
{
    struct world *world = scenario_world(seed, WANDER_PPB, POLL_16_S);

    world_run(world, 2 * HOURS);
    expect_coverage(world, "before");
    step(world, 50000000, "50 ms");
    step(world, -3000000000, "-3 s");
    step(world, 2950000000, "to the truth");
    world_measure(world);
    world_run(world, 4 * HOURS);
    expect_figures(world, "afterwards", 700);
    world_destroy(world);
}
