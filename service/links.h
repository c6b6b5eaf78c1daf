/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel says about interfaces, addresses, neighbours and routes: a copy of the first two that follows
 * rtnetlink messages, and parsers for the others. Pure: messages in, structures out; any bytes are safe as input
 * (rtnetlink(7), linux/if_link.h, linux/if_addr.h, linux/neighbour.h, linux/rtnetlink.h). Single-threaded. */
#ifndef LOCKSTEP_SERVICE_LINKS_H
#define LOCKSTEP_SERVICE_LINKS_H

#include <linux/netlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/net_addr.h"

/* mnl_nlmsg_ok takes lengths beyond INT_MAX for negative ones, and a walk over such a message never ends. */
static inline bool netlink_message_ok(const struct nlmsghdr *message, int left)
{
    return left >= (int)sizeof(*message) && message->nlmsg_len >= sizeof(*message) &&
           message->nlmsg_len <= (unsigned)left;
}

struct link {
    unsigned ifindex;
    unsigned parent; /* ifindex of the device below, if it is in this namespace; 0: none */
    unsigned flags;  /* IFF_UP ... */
    uint32_t mtu;
    uint16_t vlan;        /* 802.1Q id, 0: not a VLAN */
    bool is_virtual;      /* made by software (has a link kind): may carry unfinished checksums */
    bool other_namespace; /* the parent lives elsewhere */
    uint8_t mac[6];
    char name[IFNAMSIZ];
    char kind[16];
};

struct link_address {
    unsigned ifindex;
    uint8_t prefix;
    bool usable; /* not tentative, not a duplicate */
    bool has_broadcast;
    struct net_addr address;
    struct net_addr broadcast;
};

struct links {
    struct link *link;
    size_t link_count;
    struct link_address *address;
    size_t address_count;
};

enum {
    LINKS_CHANGED_LINK = 1 << 0,
    LINKS_CHANGED_ADDRESS = 1 << 1,
};

void links_fini(struct links *links);
/* Forgets everything (before a new dump). */
void links_clear(struct links *links);
/* Applies one message; returns LINKS_CHANGED bits (0: nothing of interest), or -ENOMEM. */
int links_apply(struct links *links, const struct nlmsghdr *message);

const struct link *links_find(const struct links *links, unsigned ifindex);
const struct link *links_find_name(const struct links *links, const char *name);

struct neighbour_info {
    unsigned ifindex;
    struct net_addr address;
    uint8_t mac[6];
    bool has_mac;
    bool removed;
    uint16_t state; /* NUD_... */
};
/* RTM_NEWNEIGH and RTM_DELNEIGH. 0 or LOCKSTEP_E_BAD_FORMAT. */
int neighbour_parse(const struct nlmsghdr *message, struct neighbour_info *out);

struct route_info {
    uint8_t type; /* RTN_UNICAST ... */
    bool has_gateway, has_source;
    unsigned ifindex;
    uint32_t mtu; /* 0: the link's */
    struct net_addr gateway;
    struct net_addr source;
};
/* RTM_NEWROUTE, as the answer to RTM_GETROUTE or as an event, and RTM_DELROUTE. 0 or LOCKSTEP_E_BAD_FORMAT. */
int route_parse(const struct nlmsghdr *message, struct route_info *out);

/* Ethernet addresses of multicast groups (RFC 1112 6.4, RFC 2464 7). */
void multicast_mac(const struct net_addr *group, uint8_t mac[6]);

#endif
