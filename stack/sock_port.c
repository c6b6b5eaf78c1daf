/* SPDX-License-Identifier: BSD-2-Clause */
/* Which ports the kernel's sockets behind connections have. */
#include <stdlib.h>

#include "stack/sock_private.h"

#define PORT_TRIES   64
#define LINGERING_NS (120 * NS_PER_S) /* longer than TIME_WAIT */

/* ---- Accepted connections: while their listener is open its kernel's socket holds the port for all of them, and
 * theirs cannot be bound to it; afterwards they can. */

static bool was_accepted_at(const struct sock *sock, const struct net_endpoint *listened)
{
    bool accepted;

    stack_lock();
    accepted = sock->life == LIFE_CONNECTION && sock->flow && sock->flow->accepted &&
               sock->local.port == listened->port &&
               (net_addr_is_any(&listened->addr) || net_addr_equal(&sock->local.addr, &listened->addr));
    stack_unlock();
    return accepted;
}

/* Several connections share the port, which takes SO_REUSEADDR while they are bound. Fails as long as somebody else
 * listens there. */
static void bind_behind(const struct sock *sock, int fd)
{
    const int on = 1, off = 0;
    bool reuse = options_int(fd, SOL_SOCKET, SO_REUSEADDR, 0);
    struct sockaddr_storage addr;
    struct net_endpoint bound;
    socklen_t len;

    if (sock_endpoint(fd, false, &bound) < 0 || bound.port != 0)
        return;
    len = net_endpoint_to_sockaddr(&sock->local, sock->family, sock->scope_id, &addr);
    if (!reuse)
        sys_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sys_bind(fd, (struct sockaddr *)&addr, len);
    if (!reuse)
        sys_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &off, sizeof off);
}

void port_hold(const struct net_endpoint *listened)
{
    struct sock **socks;
    size_t count = sock_collect(LIFE_CONNECTION, false, &socks);

    for (size_t i = 0; i < count; i++) {
        int fd = sock_descriptor(socks[i]);

        if (fd >= 0 && was_accepted_at(socks[i], listened))
            bind_behind(socks[i], fd);
        sock_put(socks[i]);
    }
    free(socks);
}

/* ---- Connections that the program has closed and that linger in the lane: the service reserves their ports, but not
 * since it was away. The packets of a new connection of the kernel's from such a port would come to the lane. */

static bool are_reserved(void)
{
    uint64_t lost_ns = __atomic_load_n(&stack_state.service_lost_ns, __ATOMIC_RELAXED);

    if (client_check(stack_state.pub.client) < 0)
        return false;
    return lost_ns == 0 || platform_now_ns() - lost_ns > LINGERING_NS;
}

/* One that the kernel would choose; 0: none. */
static uint16_t free_port(int family, uint32_t scope, const struct net_endpoint *local)
{
    struct net_endpoint bound = {.port = 0};
    struct sockaddr_storage addr;
    socklen_t len = net_endpoint_to_sockaddr(local, family, scope, &addr);
    int fd = sys_socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return 0;
    if (sys_bind(fd, (struct sockaddr *)&addr, len) < 0 || sock_endpoint(fd, false, &bound) < 0)
        bound.port = 0;
    sys_close(fd);
    return bound.port;
}

uint16_t port_beside_lingering(int family, uint32_t scope, const struct net_endpoint *local,
                               const struct net_endpoint *remote)
{
    struct net_endpoint candidate = *local;
    bool held;

    if (are_reserved())
        return 0;
    for (int i = 0; i < PORT_TRIES; i++) {
        candidate.port = free_port(family, scope, local);
        stack_lock();
        held = flow_holds(&candidate, remote);
        stack_unlock();
        if (!held)
            return candidate.port;
    }
    return 0;
}
