/* SPDX-License-Identifier: BSD-2-Clause */
/* Sockets over fork. Connections stay with the parent; the child's first use of one asks for it, and from then on both use
 * the kernel's. Listeners are registered again by the child, with a lane of its own. */
#include <string.h>

#include "base/error.h"
#include "stack/sock_private.h"

void sock_fork_parent(void)
{
    stack_lock();
    list_for_each(link, sock_all())
        list_entry(link, struct sock, link)->shared = true;
    stack_unlock();
}

/* In the child: what the parent's engine has is out of reach. */
static void inherit(struct sock *sock)
{
    if (sock->life == LIFE_CONNECTION || sock->life == LIFE_LISTENER || sock->life == LIFE_DATAGRAM) {
        sock->was_listener = sock->life == LIFE_LISTENER;
        sock->was_datagram = sock->life == LIFE_DATAGRAM;
        sock->life = LIFE_INHERITED;
    }
    for (struct membership *m = sock->memberships; m; m = m->next)
        m->flow = NULL;
    sock->conn = NULL;
    sock->flow = NULL;
    sock->shared = true;
    sock->route_known = false;
    list_init(&sock->watches); /* epoll sets are the epoll layer's to rebuild */
}

/* References held by calls of other threads, which the child does not have, are left over: such a sock is never freed. */
void sock_fork_child(void)
{
    sock_table_fork_child();
    flows_fork_child();
    list_for_each(link, sock_all())
        inherit(list_entry(link, struct sock, link));
}

/* The parent's lane holds it: the service has the parent move it to the kernel. */
static int claim(struct sock *sock, int fd)
{
    struct control_claim request = {.local = sock->local,
                                    .remote = sock->remote,
                                    .protocol = sock->stream ? IPPROTO_TCP : IPPROTO_UDP};
    int err = LOCKSTEP_E_NO_SERVICE;

    if (stack_get(NULL)) {
        stack_busy_begin();
        err = client_claim(stack_state.pub.client, fd, &request);
        stack_busy_end();
    }
    (void)err; /* whether it came or is gone: the kernel's socket tells now */
    sock_leave(sock, true);
    return SOCK_PASS;
}

/* A listener or an unconnected datagram socket becomes this process's own, too. */
static int register_again(struct sock *sock, int fd)
{
    stack_lock();
    sock->life = LIFE_UNDECIDED;
    stack_unlock();
    if (sock->was_listener)
        tcp_sock_listen(sock, fd, sock->backlog);
    else
        udp_sock_register(sock, fd);
    return sock_is_kernel(sock) ? SOCK_PASS : 0;
}

int sock_touch(struct sock *sock, int fd)
{
    if (__builtin_expect(sock->life != LIFE_INHERITED, 1))
        return sock->life == LIFE_KERNEL ? SOCK_PASS : 0;
    if (sock->was_listener)
        return register_again(sock, fd);
    return claim(sock, fd);
}
