/* SPDX-License-Identifier: BSD-2-Clause */
/* Sockets over fork. Connections stay with the parent; the child's first use of one asks for it, and from then on both
 * use the kernel's. Listeners are registered again by the child, with a lane of its own. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "stack/sock_private.h"

static bool in_child; /* of a fork */
static uint64_t forked_ns;

void sock_note_fork(void)
{
    forked_ns = platform_now_ns();
}

uint64_t sock_forked_ns(void)
{
    return forked_ns;
}

void sock_fork_parent(void)
{
    stack_lock();
    list_for_each(link, sock_all()) list_entry(link, struct sock, link)->shared = true;
    stack_unlock();
}

/* In the child: what the parent's engine has is out of reach. */
static void inherit(struct sock *sock)
{
    if (sock->life == LIFE_LISTENER) {
        sock->life = LIFE_UNDECIDED;
        sock->listening = true;
    } else if (sock->life == LIFE_CONNECTION || sock->life == LIFE_DATAGRAM) {
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

/* References held by calls of other threads, which the child does not have, are left over: such a sock is never freed.
 */
void sock_fork_child(void)
{
    in_child = true;
    forked_ns = 0;
    flows_fork_child();
    list_for_each(link, sock_all()) inherit(list_entry(link, struct sock, link));
}

/* Asks the service on a connection of this process's own if there is one, else on one for this request. */
static int ask_for(const struct sock *sock, int fd)
{
    const struct control_claim request = {
        .local = sock->local, .remote = sock->remote, .protocol = sock->stream ? IPPROTO_TCP : IPPROTO_UDP};
    struct netd_client *client = stack_current() ? stack_state.pub.client : NULL, *own = NULL;
    int err = 0;

    stack_busy_begin();
    if (!client) {
        err = stack_connect(&own);
        client = own;
    }
    if (err == 0)
        err = client_claim(client, fd, &request);
    client_close(own);
    stack_busy_end();
    return err;
}

/* ---- Taking over ---- */

/* The parent's lane holds it: the service has the parent move it to the kernel. Whether it came or is gone, the
 * kernel's socket tells from now on. */
static int claim(struct sock *sock, int fd)
{
    int err = ask_for(sock, fd);

    if (err < 0 && err != LOCKSTEP_E_GONE)
        return SOCK_PASS; /* another call may have more luck */
    if (sock->leftovers) {
        stack_lock();
        sock->life = LIFE_LEFTOVERS;
        stack_unlock();
        return 0;
    }
    sock_leave(sock, true);
    return SOCK_PASS;
}

void sock_claim_inherited(bool for_exec)
{
    if (!in_child)
        return;
    list_for_each(link, sock_all())
    {
        struct sock *sock = list_entry(link, struct sock, link);
        int fd = sock_descriptor(sock);

        if (sock->life == LIFE_INHERITED && fd >= 0 && !(for_exec && sys_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC))
            claim(sock, fd);
    }
}

int sock_claimed(struct sock *sock, int fd)
{
    if (__builtin_expect(sock->life != LIFE_INHERITED, 1))
        return sock->life == LIFE_KERNEL ? SOCK_PASS : 0;
    return claim(sock, fd);
}

/* A child's listener becomes its own this way, with its own lane. */
int sock_touch(struct sock *sock, int fd)
{
    if (__builtin_expect(sock->life == LIFE_UNDECIDED && sock->listening, 0))
        tcp_sock_register_listener(sock, fd);
    return sock_claimed(sock, fd);
}
