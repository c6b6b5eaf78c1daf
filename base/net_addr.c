/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/net_addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define V4_OFFSET 12 /* of the IPv4 address in the mapped form */

static const uint8_t v4_prefix[V4_OFFSET] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
static const uint8_t zeros[16];

bool net_addr_is_v4(const struct net_addr *addr)
{
    return memcmp(addr->byte, v4_prefix, sizeof v4_prefix) == 0;
}

bool net_addr_is_any(const struct net_addr *addr)
{
    return memcmp(addr->byte, zeros, 16) == 0 || (net_addr_is_v4(addr) && net_addr_to_v4(addr) == 0);
}

bool net_addr_is_loopback(const struct net_addr *addr)
{
    if (net_addr_is_v4(addr))
        return addr->byte[V4_OFFSET] == 127;
    return memcmp(addr->byte, zeros, 15) == 0 && addr->byte[15] == 1;
}

bool net_addr_is_multicast(const struct net_addr *addr)
{
    if (net_addr_is_v4(addr))
        return addr->byte[V4_OFFSET] >> 4 == 0xe;
    return addr->byte[0] == 0xff;
}

bool net_addr_is_link_local(const struct net_addr *addr)
{
    return addr->byte[0] == 0xfe && (addr->byte[1] & 0xc0) == 0x80;
}

bool net_addr_equal(const struct net_addr *a, const struct net_addr *b)
{
    return memcmp(a->byte, b->byte, sizeof a->byte) == 0;
}

struct net_addr net_addr_from_v4(uint32_t network_order)
{
    struct net_addr addr;

    memcpy(addr.byte, v4_prefix, sizeof v4_prefix);
    memcpy(addr.byte + V4_OFFSET, &network_order, sizeof network_order);
    return addr;
}

uint32_t net_addr_to_v4(const struct net_addr *addr)
{
    uint32_t network_order;

    memcpy(&network_order, addr->byte + V4_OFFSET, sizeof network_order);
    return network_order;
}

struct net_addr net_addr_any(bool v4)
{
    return v4 ? net_addr_from_v4(0) : (struct net_addr){{0}};
}

int net_addr_parse(const char *text, struct net_addr *out)
{
    struct in_addr v4;

    if (inet_pton(AF_INET, text, &v4) == 1) {
        *out = net_addr_from_v4(v4.s_addr);
        return 0;
    }
    return inet_pton(AF_INET6, text, out->byte) == 1 ? 0 : LOCKSTEP_E_BAD_FORMAT;
}

const char *net_addr_format(const struct net_addr *addr, char *text)
{
    if (net_addr_is_v4(addr))
        inet_ntop(AF_INET, addr->byte + V4_OFFSET, text, NET_ADDR_TEXT_MAX);
    else
        inet_ntop(AF_INET6, addr->byte, text, NET_ADDR_TEXT_MAX);
    return text;
}

const char *net_endpoint_format(const struct net_endpoint *endpoint, char *text)
{
    char addr_text[NET_ADDR_TEXT_MAX];

    net_addr_format(&endpoint->addr, addr_text);
    snprintf(text, NET_ENDPOINT_TEXT_MAX, net_addr_is_v4(&endpoint->addr) ? "%s:%u" : "[%s]:%u", addr_text,
             endpoint->port);
    return text;
}

static struct net_endpoint from_sockaddr_in(const struct sockaddr *sa)
{
    struct sockaddr_in v4;

    memcpy(&v4, sa, sizeof v4);
    return (struct net_endpoint){net_addr_from_v4(v4.sin_addr.s_addr), ntohs(v4.sin_port)};
}

static struct net_endpoint from_sockaddr_in6(const struct sockaddr *sa)
{
    struct net_endpoint endpoint;
    struct sockaddr_in6 v6;

    memcpy(&v6, sa, offsetof(struct sockaddr_in6, sin6_scope_id));
    memcpy(endpoint.addr.byte, &v6.sin6_addr, sizeof endpoint.addr.byte);
    endpoint.port = ntohs(v6.sin6_port);
    return endpoint;
}

int net_endpoint_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct net_endpoint *out)
{
    sa_family_t family;

    if (len < offsetof(struct sockaddr, sa_family) + sizeof family)
        return LOCKSTEP_E_BAD_FORMAT;
    memcpy(&family, (const char *)sa + offsetof(struct sockaddr, sa_family), sizeof family);
    /* The kernel, too, takes an IPv6 address without the scope (RFC 2133). */
    if (family == AF_INET && len >= sizeof(struct sockaddr_in))
        *out = from_sockaddr_in(sa);
    else if (family == AF_INET6 && len >= offsetof(struct sockaddr_in6, sin6_scope_id))
        *out = from_sockaddr_in6(sa);
    else
        return LOCKSTEP_E_BAD_FORMAT;
    return 0;
}

socklen_t net_endpoint_to_sockaddr(const struct net_endpoint *endpoint, int family, uint32_t scope_id,
                                   struct sockaddr_storage *out)
{
    if (family == AF_INET) {
        struct sockaddr_in v4 = {
            .sin_family = AF_INET,
            .sin_port = htons(endpoint->port),
            .sin_addr.s_addr = net_addr_to_v4(&endpoint->addr),
        };
        memcpy(out, &v4, sizeof v4);
        return sizeof v4;
    }
    struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6,
        .sin6_port = htons(endpoint->port),
        .sin6_scope_id = scope_id,
    };
    memcpy(&v6.sin6_addr, endpoint->addr.byte, sizeof v6.sin6_addr);
    memcpy(out, &v6, sizeof v6);
    return sizeof v6;
}
