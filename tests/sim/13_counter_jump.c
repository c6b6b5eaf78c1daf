/* SPDX-License-Identifier: BSD-2-Clause */
/* The counter jumps: by 20 ms with notice, and without any. Found and announced; then all is well again. */
#include "tests/sim/scenario.h"

static void jump(uint64_t seed, bool told, const char *name)
{
    struct world *world = scenario_world(seed, WANDER_PPB, POLL_16_S);
    uint32_t disruptions;

    world_run(world, 3 * HOURS);
    disruptions = world_disruptions(world);
    world_jump_counter(world, 20e6, told);
    if (told) {
        expect(world_status(world) == LOCKSTEP_CLOCK_DISRUPTED, "%s: announced at once", name);
        world_run(world, 10);
    } else {
        world_run(world, 600);
    }
    expect(world_disruptions(world) > disruptions, "%s: counted", name);
    expect_time(world, name);
    world_measure(world);
    world_run(world, 4 * HOURS);
    expect_figures(world, name, 700);
    world_destroy(world);
}

void scenario(uint64_t seed)
{
    jump(seed, true, "with notice");
    jump(seed, false, "without notice");
}
