/* SPDX-License-Identifier: BSD-2-Clause */
/* Whose lanes and ports they are, as the service says. Without a service nobody's. Single-threaded. */
#ifndef LOCKSTEP_TOOLS_CAPTURE_OWNERS_H
#define LOCKSTEP_TOOLS_CAPTURE_OWNERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/net_addr.h"

struct capture_owners;

struct capture_owner {
    uint32_t lane;
    uint32_t pid;
    bool direct; /* its packets go past the guard */
    char program[64];
};

struct capture_owners *capture_owners_create(const char *runtime_dir); /* NULL: no memory */
void capture_owners_destroy(struct capture_owners *owners);
/* Asks again. False: the service cannot be asked; what was known stays. */
bool capture_owners_refresh(struct capture_owners *owners);
/* NULL: unknown, also after asking again (at most every 50 ms). Valid until the next call. */
const struct capture_owner *capture_owners_lane(struct capture_owners *owners, uint32_t lane);
/* When it was asked last (CLOCK_MONOTONIC). */
uint64_t capture_owners_asked_ns(const struct capture_owners *owners);
/* Which lane with the direct injector has this port. NULL: none. */
const struct capture_owner *capture_owners_port(const struct capture_owners *owners, uint8_t protocol,
                                                const struct net_endpoint *local);

#endif
