/* SPDX-License-Identifier: BSD-2-Clause */
/* A divert in memory: remembers what the service told it. For tests that link no eBPF. */
#ifndef LOCKSTEP_TESTS_DIVERT_FAKE_H
#define LOCKSTEP_TESTS_DIVERT_FAKE_H

#include "divert/divert.h"

#define FAKE_MAX 4096

struct divert {
    struct {
        struct divert_flow_key key;
        struct divert_flow flow;
    } flows[FAKE_MAX];
    unsigned flow_count, flow_changes, removed_flows;
    struct guard_key guards[FAKE_MAX];
    unsigned guard_count;
    struct {
        uint32_t mode;
        uint32_t lanes[DIVERT_MAX_MEMBERS];
        size_t lane_count;
    } groups[DIVERT_MAX_GROUPS];
    int fail_guard_after, fail_flow_after; /* calls that still succeed, -1: all */
};

/* Everything forgotten, nothing fails. */
void divert_fake_reset(struct divert *divert);
const struct divert_flow *divert_fake_find(const struct divert *divert, const char *local, uint16_t local_port,
                                           const char *remote, uint16_t remote_port, uint8_t protocol, uint16_t vlan);

#endif
