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

/* A whole number of at most five digits without a sign. */
static bool parse_number(const char *text, unsigned max, unsigned *out)
{
    size_t digits = strspn(text, "0123456789");

    *out = 0;
    for (size_t i = 0; i < digits && i < 6; i++)
        *out = *out * 10 + (unsigned)(text[i] - '0');
    return digits > 0 && digits < 6 && text[digits] == '\0' && *out <= max;
}

/* The first `length` bytes of text as an address. */
static int parse_part(const char *text, size_t length, struct net_addr *out)
{
    char part[NET_ADDR_TEXT_MAX];

    if (length >= sizeof part)
        return LOCKSTEP_E_BAD_FORMAT;
    memcpy(part, text, length);
    part[length] = '\0';
    return net_addr_parse(part, out);
}

int net_endpoint_parse(const char *text, struct net_endpoint *out)
{
    const char *end, *address = text;
    unsigned port = 0;

    if (*text == '[') {
        address++;
        end = strchr(text, ']');
        if (!end || (end[1] != '\0' && end[1] != ':'))
            return LOCKSTEP_E_BAD_FORMAT;
        text = end + 1;
    } else { /* of several colons none is the port's */
        end = strchr(text, ':') == strrchr(text, ':') ? strchr(text, ':') : NULL;
        text = end ? end : text + strlen(text);
        end = text;
    }
    if (*text == ':' && !parse_number(text + 1, UINT16_MAX, &port))
        return LOCKSTEP_E_BAD_FORMAT;
    out->port = (uint16_t)port;
    return parse_part(address, (size_t)(end - address), &out->addr);
}

int net_network_parse(const char *text, struct net_network *out)
{
    size_t length = strcspn(text, "/");
    unsigned bits, prefix;

    if (parse_part(text, length, &out->address) < 0)
        return LOCKSTEP_E_BAD_FORMAT;
    bits = prefix = net_addr_is_v4(&out->address) ? 32 : 128;
    if (text[length] && !parse_number(text + length + 1, bits, &prefix))
        return LOCKSTEP_E_BAD_FORMAT;
    out->prefix = (uint8_t)prefix;
    return 0;
}

/* Of the form of 16 bytes. */
static unsigned whole_prefix(const struct net_network *network)
{
    return network->prefix + (net_addr_is_v4(&network->address) ? 8 * V4_OFFSET : 0);
}

struct net_addr net_network_first(const struct net_network *network)
{
    unsigned prefix = whole_prefix(network);
    struct net_addr first = network->address;

    for (unsigned i = prefix / 8; i < sizeof first.byte; i++)
        first.byte[i] &= i == prefix / 8 ? (uint8_t)(0xff00 >> prefix % 8) : 0;
    return first;
}

bool net_network_contains(const struct net_network *network, const struct net_addr *addr)
{
    unsigned whole = whole_prefix(network) / 8, bits = network->prefix % 8;

    return net_addr_is_v4(&network->address) == net_addr_is_v4(addr) &&
           memcmp(network->address.byte, addr->byte, whole) == 0 &&
           (bits == 0 || (network->address.byte[whole] ^ addr->byte[whole]) >> (8 - bits) == 0);
}

const char *net_network_format(const struct net_network *network, char *text)
{
    char addr_text[NET_ADDR_TEXT_MAX];

    snprintf(text, NET_NETWORK_TEXT_MAX, "%s/%u", net_addr_format(&network->address, addr_text), network->prefix);
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
