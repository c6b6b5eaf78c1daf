/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's network as the service sees it: the interfaces it was told to accelerate and how they are attached, local
 * addresses, VLANs, routes, next hops; follows the kernel's changes. Single-threaded. */
#ifndef LOCKSTEP_SERVICE_NETWORK_H
#define LOCKSTEP_SERVICE_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "divert/divert.h"
#include "service/control.h"
#include "service/flows.h"
#include "service/journal.h"
#include "service/links.h"
#include "service/netlink.h"
#include "service/nexthops.h"
#include "service/policy.h"

struct network;

struct network_interface {
    char name[IFNAMSIZ];
    unsigned ifindex; /* 0: not there at present */
    bool attached;
    enum divert_mode mode;
    const char *why;
};

/* Reads links, addresses and neighbours. flows: told about VLANs; journal: about interfaces. LOCKSTEP_E_UNKNOWN_NAME
 * when an interface of the policy does not exist (logged). */
int network_create(struct network **out, const struct policy *policy, struct divert *divert, struct netlink *netlink,
                   struct flows *flows, struct journal *journal);
void network_destroy(struct network *network);

/* One more interface: attached now, if the others are. LOCKSTEP_E_UNKNOWN_NAME: there is none of this name. */
int network_interface_add(struct network *network, const char *name);
/* Detaches it. Nothing may use it any more: its connections would be lost. */
void network_interface_remove(struct network *network, const char *name);

/* Attaches the divert to every interface that is there, and from now on to those that come. */
int network_attach(struct network *network);
bool network_attached(const struct network *network);

/* For epoll: netlink_event_fd of the netlink given; calls this when it is readable. */
void network_handle_events(struct network *network, uint64_t now_ns);
/* Every half second. */
void network_tick(struct network *network, uint64_t now_ns);

/* Where would a packet go? LOCKSTEP_E_NO_ROUTE with reply->reason when the kernel is to carry it. May resolve a new
 * next hop: *made_nexthop tells. */
int network_route(struct network *network, const struct control_route *request, uint32_t uid, uint64_t now_ns,
                  struct control_route_reply *reply, bool *made_nexthop);
/* Is this a unicast address of an interface of this host, other than loopback? */
bool network_is_local(const struct network *network, const struct net_addr *address);
/* Is it the limited broadcast address, or a subnet's? */
bool network_is_broadcast(const struct network *network, const struct net_addr *address);
/* The interface that has this address, 0: none. */
unsigned network_interface_of(const struct network *network, const struct net_addr *address);
/* The interface by which packets from one address to another leave, 0: none. */
unsigned network_interface_to(const struct network *network, const struct net_addr *from, const struct net_addr *to,
                              uint32_t uid);
/* The accelerated interface that carries this one's packets: itself, or the one below a VLAN; 0: none. */
unsigned network_carrier(const struct network *network, unsigned ifindex);
/* Does this interface, or the one below it, carry accelerated traffic? */
bool network_is_accelerated(const struct network *network, unsigned ifindex);

const struct network_interface *network_interfaces(const struct network *network, size_t *count);
const struct links *network_links(const struct network *network);
struct nexthops *network_nexthops(const struct network *network);

#endif
