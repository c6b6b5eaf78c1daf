/* SPDX-License-Identifier: BSD-2-Clause */
/* The service's netlink sockets: one that listens to changes, one that asks (the kernel answers a query before sendmsg
 * returns, so no call here waits). Single-threaded. */
#ifndef LOCKSTEP_SERVICE_NETLINK_H
#define LOCKSTEP_SERVICE_NETLINK_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/net_addr.h"
#include "service/links.h"

struct netlink;

typedef void (*netlink_message_fn)(void *context, const struct nlmsghdr *message);

int netlink_open(struct netlink **out);
void netlink_close(struct netlink *netlink);

/* For epoll: readable when something changed. */
int netlink_event_fd(const struct netlink *netlink);
/* Delivers what has arrived; -ENOBUFS when messages were lost (the caller dumps everything again). */
int netlink_read_events(struct netlink *netlink, netlink_message_fn handle, void *context);

/* All links, addresses, neighbours: type is RTM_GETLINK, RTM_GETADDR or RTM_GETNEIGH. */
int netlink_dump(struct netlink *netlink, uint16_t type, netlink_message_fn handle, void *context);

struct route_query {
    struct net_addr destination;
    struct net_addr source; /* any: choose */
    unsigned ifindex;       /* 0: any */
    uint32_t mark;
    uint32_t uid;
};
/* The kernel's own decision, policy routing included. Negated errno: -ENETUNREACH and so on. */
int netlink_route(struct netlink *netlink, const struct route_query *query, struct route_info *out);

int netlink_neighbour_get(struct netlink *netlink, unsigned ifindex, const struct net_addr *address,
                          struct neighbour_info *out);
/* Makes the kernel resolve a neighbour, or probe one that it has not heard of lately. */
int netlink_neighbour_use(struct netlink *netlink, unsigned ifindex, const struct net_addr *address);

/* All kernel UDP sockets of this namespace. An IPv6 wildcard socket may take IPv4 as well. */
typedef void (*netlink_socket_fn)(void *context, const struct net_endpoint *local, uint64_t inode);
int netlink_udp_sockets(struct netlink *netlink, netlink_socket_fn handle, void *context);
/* All kernel TCP connections of this namespace. */
int netlink_tcp_connections(struct netlink *netlink, netlink_socket_fn handle, void *context);
/* Is there a connected kernel TCP socket with these ends and another inode? */
int netlink_tcp_connected(struct netlink *netlink, const struct net_endpoint *local, const struct net_endpoint *remote,
                          uint64_t inode, bool *found);

#endif
