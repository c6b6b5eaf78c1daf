/* SPDX-License-Identifier: BSD-2-Clause */
/* An attacker beside the path repeats replies, changes their times, and sends kisses of death with a wrong origin. */
#include <string.h>

#include "tests/sim/scenario.h"

static void attack(struct world *world, struct random *random)
{
    const struct world_server *server = world_server(world, 0);
    uint8_t packet[NTP_PACKET_MAX];
    size_t length = server->last_reply_length;

    memcpy(packet, server->last_reply, length);
    switch (random_u64(random) % 4) {
    case 0: /* as it was */
        break;
    case 1: /* another time */
        packet[32] ^= 1;
        packet[40] ^= 1;
        break;
    case 2: /* a guess of the origin */
        packet[24 + random_u64(random) % 8] ^= (uint8_t)(1 + random_u64(random) % 255);
        packet[43] ^= 0x10;
        break;
    case 3: /* stratum 0, DENY */
        packet[1] = 0;
        memcpy(packet + 12, "DENY", 4);
        packet[24] ^= 0x55;
        break;
    }
    world_inject(world, 0, packet, length);
}

void scenario(uint64_t seed)
{
    struct world *world = scenario_world(seed, WANDER_PPB, POLL_16_S);
    struct random random = {seed ^ 0xbad};
    struct core_source_report report;
    uint64_t dropped = 0;

    world_run(world, 1 * HOURS);
    world_measure(world);
    for (int i = 0; i < 4000; i++) {
        world_run(world, random_exponential(&random, 5));
        attack(world, &random);
    }
    report = world_source(world, 0);
    for (unsigned i = 0; i < DROP_KINDS; i++)
        dropped += report.dropped[i];
    expect_figures(world, "under attack", 700);
    expect(dropped == 4000, "each of the attacker's packets was dropped and counted");
    expect(report.state == SOURCE_SELECTED && report.counts.restarts == 0, "the server is used on");
    world_destroy(world);
}
