/* SPDX-License-Identifier: BSD-2-Clause */
/* Sockets over fork. Connections stay with the parent; the child's first use of one asks for it, and from then on both
 * use the kernel's. Listeners are registered again by the child, with a lane of its own. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "stack/sock_private.h"

static bool in_child; /* of a fork */

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

/* ---- Queued datagrams ---- */

#define LEFTOVERS_MAX 64

static struct leftover *take_datagram(struct sock *sock, void *buffer, size_t size)
{
    const struct iovec iov = {buffer, size};
    struct engine_datagram info;
    struct leftover *leftover;
    ssize_t length = sock_ops()->udp_recv(sock->udp, &iov, 1, false, &info);

    leftover = length >= 0 ? malloc(sizeof *leftover + (size_t)length) : NULL;
    if (!leftover)
        return NULL;
    leftover->next = NULL;
    leftover->info = info;
    memcpy(leftover->data, buffer, (size_t)length);
    return leftover;
}

/* The kernel's queue would be shared; the engine's is the parent's. A child that takes the socket over (the parent then
 * drops its queue) starts with its copy of what was queued at the fork. */
void sock_save_leftovers(void)
{
    static uint8_t buffer[65536];

    list_for_each(link, sock_all())
    {
        struct sock *sock = list_entry(link, struct sock, link);
        struct leftover **at = &sock->leftovers;

        if (sock->life != LIFE_DATAGRAM)
            continue;
        for (int i = 0; i < LEFTOVERS_MAX && (*at = take_datagram(sock, buffer, sizeof buffer)); i++)
            at = &(*at)->next;
    }
}

void sock_drop_leftovers(struct sock *sock)
{
    while (sock->leftovers) {
        struct leftover *leftover = sock->leftovers;

        sock->leftovers = leftover->next;
        free(leftover);
    }
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
