/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/endpoint.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG             16
#define RECEIVE_BUFFER_SIZE (4 << 20)

static int family_of(const struct net_addr *addr)
{
    return net_addr_is_v4(addr) ? AF_INET : AF_INET6;
}

static int create(const struct net_addr *addr, int type)
{
    int fd = socket(family_of(addr), type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    return fd;
}

/* Closes the descriptor and returns the negated errno of what failed. */
static int give_up(int fd)
{
    int err = -errno;

    close(fd);
    return err;
}

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value);
}

/* The kernel leaves the two lowest bits to congestion notification. */
static int set_dscp(int fd, int family, uint8_t dscp)
{
    if (!dscp)
        return 0;
    return family == AF_INET ? set_option(fd, IPPROTO_IP, IP_TOS, dscp << 2)
                             : set_option(fd, IPPROTO_IPV6, IPV6_TCLASS, dscp << 2);
}

static int bind_to(int fd, const struct net_endpoint *local)
{
    struct sockaddr_storage address;
    socklen_t length = net_endpoint_to_sockaddr(local, family_of(&local->addr), 0, &address);

    return bind(fd, (const struct sockaddr *)&address, length);
}

static int connect_to(int fd, const struct net_endpoint *remote)
{
    struct sockaddr_storage address;
    socklen_t length = net_endpoint_to_sockaddr(remote, family_of(&remote->addr), 0, &address);

    return connect(fd, (const struct sockaddr *)&address, length);
}

/* ---- streams ---- */

int endpoint_listen(const struct net_endpoint *local)
{
    int fd = create(&local->addr, SOCK_STREAM);

    if (fd < 0)
        return fd;
    if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) || bind_to(fd, local) || listen(fd, BACKLOG))
        return give_up(fd);
    return fd;
}

int endpoint_connect(const struct job_type *type)
{
    int fd = create(&type->endpoint.addr, SOCK_STREAM);

    if (fd < 0)
        return fd;
    if (type->transport == PATTERN_LOW_LATENCY && set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1))
        return give_up(fd);
    if (set_dscp(fd, family_of(&type->endpoint.addr), type->dscp) ||
        (connect_to(fd, &type->endpoint) && errno != EINPROGRESS))
        return give_up(fd);
    return fd;
}

int endpoint_connected(int fd)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer, error_length = sizeof(int);
    int error = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_length))
        return -errno;
    if (error)
        return -error;
    if (getpeername(fd, (struct sockaddr *)&peer, &length))
        return errno == ENOTCONN ? -EINPROGRESS : -errno;
    return 0;
}

int endpoint_accept(int listener)
{
    /* cppcheck-suppress nullPointer */
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* ---- datagrams ---- */

/* The interface with this address; 0 if there is none. */
static unsigned interface_of(const struct net_addr *own)
{
    struct ifaddrs *all, *at;
    struct net_endpoint endpoint;
    unsigned index = 0;

    if (getifaddrs(&all))
        return 0;
    for (at = all; at && !index; at = at->ifa_next) {
        socklen_t length = sizeof(struct sockaddr_in6);

        if (at->ifa_addr && net_endpoint_from_sockaddr(at->ifa_addr, length, &endpoint) == 0 &&
            net_addr_equal(&endpoint.addr, own))
            index = if_nametoindex(at->ifa_name);
    }
    freeifaddrs(all);
    return index;
}

static int join(int fd, const struct net_addr *group, const struct net_addr *own)
{
    struct ipv6_mreq six = {.ipv6mr_interface = interface_of(own)};
    struct ip_mreqn four = {.imr_multiaddr.s_addr = net_addr_to_v4(group), .imr_address.s_addr = net_addr_to_v4(own)};

    if (net_addr_is_v4(group))
        return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &four, sizeof four);
    memcpy(&six.ipv6mr_multiaddr, group->byte, sizeof group->byte);
    return setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &six, sizeof six);
}

/* As large as the system lets it be. */
static void widen_receive_buffer(int fd)
{
    if (set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_SIZE))
        (void)set_option(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER_SIZE);
}

int endpoint_datagram_in(const struct job_type *type, const struct net_addr *own)
{
    bool multicast = type->transport == PATTERN_MULTICAST;
    int fd = create(&type->endpoint.addr, SOCK_DGRAM);

    if (fd < 0)
        return fd;
    widen_receive_buffer(fd);
    if ((multicast && set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1)) || bind_to(fd, &type->endpoint) ||
        (multicast && join(fd, &type->endpoint.addr, own)))
        return give_up(fd);
    return fd;
}

static int leave_from(int fd, const struct net_addr *own)
{
    struct ip_mreqn four = {.imr_address.s_addr = net_addr_to_v4(own)};

    if (net_addr_is_v4(own))
        return setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &four, sizeof four) ||
               set_option(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
    return set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)interface_of(own)) ||
           set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
}

int endpoint_datagram_out(const struct job_type *type, const struct net_addr *own)
{
    int fd = create(&type->endpoint.addr, SOCK_DGRAM);

    if (fd < 0)
        return fd;
    if ((type->transport == PATTERN_MULTICAST && leave_from(fd, own)) ||
        set_dscp(fd, family_of(&type->endpoint.addr), type->dscp) || connect_to(fd, &type->endpoint))
        return give_up(fd);
    return fd;
}

int endpoint_echo_in(const struct net_endpoint *local)
{
    int fd = create(&local->addr, SOCK_DGRAM);

    if (fd < 0)
        return fd;
    return bind_to(fd, local) ? give_up(fd) : fd;
}

int endpoint_echo_out(const struct net_endpoint *peer)
{
    int fd = create(&peer->addr, SOCK_DGRAM);

    if (fd < 0)
        return fd;
    return connect_to(fd, peer) ? give_up(fd) : fd;
}
