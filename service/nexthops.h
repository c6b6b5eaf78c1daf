/* SPDX-License-Identifier: BSD-2-Clause */
/* The next hop table and the state page that programs map: one entry a (interface, gateway) pair, its MAC address kept
 * up to date from the kernel's neighbour table and kept alive there. Entry 0 is never used. Single-threaded. */
#ifndef LOCKSTEP_SERVICE_NEXTHOPS_H
#define LOCKSTEP_SERVICE_NEXTHOPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/net_addr.h"
#include "divert/divert.h"
#include "service/control.h"
#include "service/links.h"
#include "service/netlink.h"

struct nexthops;

int nexthops_create(struct nexthops **out, struct divert *divert, struct netlink *netlink);
void nexthops_destroy(struct nexthops *nexthops);

/* Descriptor of the state page, for programs; stays the table's. */
int nexthops_state_fd(const struct nexthops *nexthops);
const struct state_page *nexthops_state(const struct nexthops *nexthops);
/* Addresses, routes, links or MTUs have changed: what programs have cached is void. */
void nexthops_raise_generation(struct nexthops *nexthops, uint64_t now_ns);
void nexthops_heartbeat(struct nexthops *nexthops, uint64_t now_ns);

enum nexthop_kind { NEXTHOP_UNICAST, NEXTHOP_MULTICAST, NEXTHOP_BROADCAST };

/* The entry for this gateway (or on-link destination), made if there is none (*made); starts to resolve it.
 * LOCKSTEP_E_EXHAUSTED when the table is full (raises the generation, so that unused entries become free). */
int nexthops_get(struct nexthops *nexthops, enum nexthop_kind kind, const struct link *link,
                 const struct net_addr *gateway, uint64_t now_ns, uint16_t *index, bool *made);

void nexthops_neighbour(struct nexthops *nexthops, const struct neighbour_info *info);
/* An interface's own MAC may have changed. */
void nexthops_link(struct nexthops *nexthops, const struct link *link);
/* Somebody uses the entry, or no longer does. A new entry is used by nobody; what nobody uses is not looked after and
 * is given up before long. */
void nexthops_hold(struct nexthops *nexthops, uint16_t index);
void nexthops_release(struct nexthops *nexthops, uint16_t index, uint64_t now_ns);
/* Every half second: keeps neighbours in use fresh and tries unresolved ones again, ever more seldom. */
void nexthops_tick(struct nexthops *nexthops, uint64_t now_ns);

void nexthops_count(const struct nexthops *nexthops, unsigned *used, unsigned *unresolved);

#endif
