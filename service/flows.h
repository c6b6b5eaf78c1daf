/* SPDX-License-Identifier: BSD-2-Clause */
/* The flow database: which lane gets which packets and may send from which addresses, kept in step with the divert's
 * flow table, groups and guard. It keeps the kernel sockets that reserve the ports. Authorisation is the caller's
 * business. Single-threaded. */
#ifndef LOCKSTEP_SERVICE_FLOWS_H
#define LOCKSTEP_SERVICE_FLOWS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/net_addr.h"
#include "divert/divert.h"
#include "service/closer.h"
#include "service/control.h"
#include "service/netlink.h"
#include "service/table.h"

struct flows;

/* Whose flows these are: part of a lane. */
struct flow_owner {
    uint32_t lane;
    uid_t uid;
    struct closer_account *closer; /* for the kernel sockets */
    unsigned count;
    struct list flows;
};
void flow_owner_init(struct flow_owner *owner, uint32_t lane, uid_t uid, struct closer_account *closer);

#define FLOW_CLIENT_ID (1u << 31) /* ids that the program chose, for accepted connections */

struct flow {
    uint32_t id;  /* the service's, or the program's with FLOW_CLIENT_ID */
    uint64_t key; /* chosen by flows_add, never used again */
    enum control_flow_kind kind;
    uint8_t protocol;
    bool accepted;
    bool dual_stack;
    bool bulk;
    uint32_t slot;
    uint32_t ifindex;                  /* bound to this device, 0: any */
    struct net_endpoint local, remote; /* local.addr of a multicast flow: the group */
    struct net_addr guard;             /* what it may send from: an address, or any */
    uint64_t inode, cookie;            /* of the kernel socket, 0: unknown */
    bool cookie_verified;              /* read from the socket; else it is what the program says */
    int64_t since_ns;                  /* CLOCK_REALTIME */
    /* The database's own. */
    int fd; /* kernel socket kept as reservation, -1: none */
    struct flow_owner *owner;
    struct list of_owner;
    struct list members;
    struct table_node by_id, by_inode, by_cookie;
};

int flows_create(struct flows **out, struct divert *divert, struct netlink *netlink);
/* Flows that are left stay in the divert, for the next instance. */
void flows_destroy(struct flows *flows);

/* Takes a copy of *wanted (its id is chosen here unless it has FLOW_CLIENT_ID) and, on success, takes fd over.
 * LOCKSTEP_E_CONFLICT: another flow has this connection; LOCKSTEP_E_EXHAUSTED: too many flows or members of a group. */
int flows_add(struct flows *flows, struct flow_owner *owner, const struct flow *wanted, int fd, struct flow **out);
/* A key for what was a flow only for a moment. */
uint64_t flows_new_key(struct flows *flows);
/* Which socket stands behind it, as the program says. */
void flows_set_cookie(struct flows *flows, struct flow *flow, uint64_t cookie);
/* Removes it from the divert and closes the reservation. */
void flows_remove(struct flows *flows, struct flow *flow);
/* In a forked child, whose copies keep ports taken that the service gives up meanwhile. */
void flows_close_copies(struct flows *flows);
/* By id or client id, among the owner's. */
struct flow *flows_find(const struct flows *flows, const struct flow_owner *owner, uint32_t id);
/* Does a bound flow of the owner's cover this local address? */
struct flow *flows_covering(const struct flows *flows, const struct flow_owner *owner, uint8_t protocol,
                            const struct net_endpoint *local);
/* The flow of this connection, whoever has it. */
struct flow *flows_find_connection(const struct flows *flows, uint8_t protocol, const struct net_endpoint *local,
                                   const struct net_endpoint *remote);

/* The flow behind which this kernel socket (SO_COOKIE), which user uid shows, stands. */
struct flow *flows_find_socket(const struct flows *flows, uint64_t cookie, uid_t uid);
/* Is the flow's cookie to be believed by this user? What a program says binds its own user, root's everybody. */
bool flow_cookie_counts(const struct flow *flow, uid_t uid);

/* Had an earlier instance of the service a flow of the lane's like this one (kind, protocol, local, remote)? Of
 * listeners, UDP sockets and groups also if several lanes share the port. Until the divert is replaced. */
bool flows_had(const struct flows *flows, unsigned ifindex, uint32_t lane, const struct flow *wanted);

/* A local address has come or gone. While it is not there nothing is diverted to it and nothing may be sent from it;
 * its flows stay, for it may come back. */
void flows_address_changed(struct flows *flows, const struct net_addr *address, bool present);

/* VLANs of the interfaces in use: id and the VLAN device's index; untagged traffic is always included. Flows follow. */
struct flow_vlan {
    uint16_t id;
    unsigned ifindex;
};
int flows_set_vlans(struct flows *flows, const struct flow_vlan *vlans, size_t count);

/* Looks which multicast groups kernel sockets listen to as well. Call every second. */
void flows_check_kernel_listeners(struct flows *flows);

/* The divert's counters of a flow, summed over its keys. */
void flows_counters(const struct flows *flows, const struct flow *flow, struct divert_flow *out);
unsigned flows_count(const struct flows *flows);
/* Entries of the divert's table that they take: a flow may take several, and share them with others. */
unsigned flows_entries(const struct flows *flows);

#endif
