/* SPDX-License-Identifier: BSD-2-Clause */
/* What a descriptor that a program passed really is: authorisation rests on this and on nothing that the program says.
 * No call here can block, whatever the descriptor is. */
#ifndef LOCKSTEP_SERVICE_SOCKET_INFO_H
#define LOCKSTEP_SERVICE_SOCKET_INFO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/net_addr.h"

struct socket_info {
    int family;   /* AF_INET or AF_INET6 */
    int protocol; /* IPPROTO_TCP or IPPROTO_UDP */
    bool listening;
    bool dual_stack;   /* IPv6 socket that takes IPv4 too */
    bool shared_port;  /* SO_REUSEADDR or SO_REUSEPORT: others may hold the port as well */
    uint8_t tcp_state; /* TCP_CLOSE ... */
    uint32_t ifindex;  /* SO_BINDTODEVICE, 0: none */
    uint64_t cookie;
    uint64_t inode;
    struct net_endpoint local; /* port 0: not bound */
};

/* SO_NETNS_COOKIE of this process's namespace, taken from a socket made for it. */
int socket_namespace(uint64_t *cookie);
/* LOCKSTEP_E_DENIED when fd is not an IPv4 or IPv6, TCP or UDP socket of the given namespace. */
int socket_info_read(int fd, uint64_t namespace_cookie, struct socket_info *out);

#endif
