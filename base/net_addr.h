/* SPDX-License-Identifier: BSD-2-Clause */
/* Internet addresses in one form: 16 bytes, IPv4 as the IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2). */
#ifndef LOCKSTEP_BASE_NET_ADDR_H
#define LOCKSTEP_BASE_NET_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

struct net_addr {
    uint8_t byte[16];
};

/* An address with a port; the port is in host byte order. */
struct net_endpoint {
    struct net_addr addr;
    uint16_t port;
};

/* The addresses whose first bits are these. */
struct net_network {
    struct net_addr address;
    uint8_t prefix; /* bits: 0 to 32 of an IPv4 address, 0 to 128 of an IPv6 address; it holds that family only */
};

#define NET_ADDR_TEXT_MAX     48 /* "::ffff:255.255.255.255" never printed: IPv4 prints as IPv4 */
#define NET_ENDPOINT_TEXT_MAX 56 /* "[v6]:port" */
#define NET_NETWORK_TEXT_MAX  52 /* "v6/128" */

bool net_addr_is_v4(const struct net_addr *addr);
bool net_addr_is_any(const struct net_addr *addr); /* 0.0.0.0 or :: */
bool net_addr_is_loopback(const struct net_addr *addr);
bool net_addr_is_multicast(const struct net_addr *addr);
bool net_addr_is_link_local(const struct net_addr *addr); /* IPv6 fe80::/10 */
bool net_addr_equal(const struct net_addr *a, const struct net_addr *b);
/* Inline for the sake of the engine's tables. */
static inline bool net_endpoint_equal(const struct net_endpoint *a, const struct net_endpoint *b)
{
    return a->port == b->port && memcmp(&a->addr, &b->addr, sizeof a->addr) == 0;
}

struct net_addr net_addr_from_v4(uint32_t network_order);
uint32_t net_addr_to_v4(const struct net_addr *addr); /* network byte order */
struct net_addr net_addr_any(bool v4);

/* Parses "192.0.2.1" or "2001:db8::1". 0 or LOCKSTEP_E_BAD_FORMAT. */
int net_addr_parse(const char *text, struct net_addr *out);
/* Writes the shortest text form into text (NET_ADDR_TEXT_MAX / NET_ENDPOINT_TEXT_MAX bytes); returns text. */
const char *net_addr_format(const struct net_addr *addr, char *text);
const char *net_endpoint_format(const struct net_endpoint *endpoint, char *text);

/* "192.0.2.1:80", "[2001:db8::1]:80"; without a port (then the IPv6 address may do without brackets) it is 0. 0 or
 * LOCKSTEP_E_BAD_FORMAT. */
int net_endpoint_parse(const char *text, struct net_endpoint *out);

/* "192.0.2.0/24", "2001:db8::/32", or one address; bits behind the prefix are kept. 0 or LOCKSTEP_E_BAD_FORMAT. */
int net_network_parse(const char *text, struct net_network *out);
bool net_network_contains(const struct net_network *network, const struct net_addr *addr);
/* Its first address: all bits behind the prefix are zero. */
struct net_addr net_network_first(const struct net_network *network);
/* text: NET_NETWORK_TEXT_MAX bytes; returns it. */
const char *net_network_format(const struct net_network *network, char *text);

/* AF_INET and AF_INET6 socket addresses to an endpoint. LOCKSTEP_E_BAD_FORMAT for a short or foreign one. */
int net_endpoint_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct net_endpoint *out);
/* The reverse, for a socket of the given family (AF_INET6 shows IPv4 as mapped). scope_id: IPv6 link-local
 * interface index or 0. Returns the length used. */
socklen_t net_endpoint_to_sockaddr(const struct net_endpoint *endpoint, int family, uint32_t scope_id,
                                   struct sockaddr_storage *out);

#endif
