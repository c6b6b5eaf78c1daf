/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports of accepted connections. While their listener is open its kernel's socket holds the port for all of them, and
 * theirs cannot be bound to it; afterwards they can. */
#include <stdlib.h>

#include "stack/sock_private.h"

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
