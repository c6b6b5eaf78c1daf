/* SPDX-License-Identifier: BSD-2-Clause */
/* A leap second is inserted, and one is deleted: TAI goes on evenly, UTC has it at the right moment. */
#include <math.h>

#include "tests/sim/scenario.h"

static void run(uint64_t seed, int leap, const char *name)
{
    struct world *world = scenario_world(seed, WANDER_PPB, POLL_16_S);
    double error_ns, bound_ns, worst = 0;

    /* Midnight of the second day, less the second that a negative leap takes away. */
    world_set_leap(world, leap, 2 * DAYS - (leap < 0 ? 1 : 0));
    world_run(world, 2 * DAYS - 7200);
    world_measure(world);
    world_run(world, 7200 - 5.05);
    for (int i = 0; i < 100; i++) {
        world_run(world, 0.1);
        if (!world_read(world, LOCKSTEP_UTC, &error_ns, &bound_ns))
            error_ns = INFINITY;
        worst = fmax(worst, fabs(error_ns) - bound_ns);
    }
    expect(worst <= 0, "%s: UTC is right before, at and after it", name);
    world_run(world, 2 * HOURS);
    expect_figures(world, name, 700);
    expect(world_read(world, LOCKSTEP_UTC, &error_ns, &bound_ns) && fabs(error_ns) <= bound_ns,
           "%s: UTC is right two hours later", name);
    world_destroy(world);
}

void scenario(uint64_t seed)
{
    run(seed, 1, "inserted");
    run(seed, -1, "deleted");
}
