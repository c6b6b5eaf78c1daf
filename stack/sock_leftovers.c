/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams that outlive the engine's socket: what it held when the process forked, or when the socket moved to the
 * kernel, stays readable first. */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "stack/cursor.h"
#include "stack/sock_private.h"

/* A datagram that the engine's socket held. */
struct leftover {
    struct leftover *next;
    struct engine_datagram info;
    uint8_t data[];
};

/* ---- Keeping ---- */

static struct leftover *take_datagram(struct sock *sock, uint64_t since_ns)
{
    static uint8_t buffer[65536]; /* under the lock */
    const struct iovec iov = {buffer, sizeof buffer};
    struct engine_datagram info;
    struct leftover *leftover;
    ssize_t length;

    do
        length = sock_ops()->udp_recv(sock->udp, &iov, 1, false, &info);
    while (length >= 0 && info.stamp_ns < since_ns);
    leftover = length >= 0 ? malloc(sizeof *leftover + (size_t)length) : NULL;
    if (!leftover)
        return NULL;
    leftover->next = NULL;
    leftover->info = info;
    memcpy(leftover->data, buffer, (size_t)length);
    return leftover;
}

void leftovers_discard(struct sock *sock, uint64_t before_ns)
{
    struct engine_datagram info;

    sock_ops()->udp_error(sock->udp);
    while (sock_ops()->udp_recv(sock->udp, NULL, 0, true, &info) >= 0 && info.stamp_ns < before_ns)
        sock_ops()->udp_recv(sock->udp, NULL, 0, false, &info);
}

void leftovers_keep(struct sock *sock, uint64_t since_ns)
{
    struct leftover **at = &sock->leftovers;

    sock_ops()->udp_error(sock->udp); /* it would come before the datagrams */
    while ((*at = take_datagram(sock, since_ns)))
        at = &(*at)->next;
}

/* The kernel's queue would be shared; the engine's is the parent's. A child that takes the socket over (the parent then
 * drops its queue) starts with its copy of what was queued at the fork. */
void sock_save_leftovers(void)
{
    list_for_each(link, sock_all())
    {
        struct sock *sock = list_entry(link, struct sock, link);

        if (sock->life == LIFE_DATAGRAM)
            leftovers_keep(sock, 0);
    }
}

void leftovers_drop(struct sock *sock)
{
    while (sock->leftovers) {
        struct leftover *leftover = sock->leftovers;

        sock->leftovers = leftover->next;
        free(leftover);
    }
}

/* ---- Reading ---- */

static size_t copy_out(const struct leftover *leftover, struct cursor *cursor)
{
    struct iovec slices[CURSOR_SLICES];
    size_t taken, done = 0;

    while (cursor->left > 0 && done < leftover->info.length) {
        int count = cursor_slices(cursor, leftover->info.length - done, slices, &taken);

        for (int i = 0; i < count; i++) {
            memcpy(slices[i].iov_base, leftover->data + done, slices[i].iov_len);
            done += slices[i].iov_len;
        }
        cursor_advance(cursor, taken);
    }
    return done;
}

/* The oldest one. Lock held; *last: there is no other. */
static ssize_t receive_oldest(struct sock *sock, struct msghdr *message, struct cursor *cursor, int flags, bool *last)
{
    struct leftover *leftover = sock->leftovers;
    size_t done;

    *last = !leftover;
    if (!leftover)
        return SOCK_PASS;
    done = copy_out(leftover, cursor);
    udp_sock_describe(sock, message, &leftover->info);
    if (done < leftover->info.length)
        message->msg_flags |= MSG_TRUNC;
    if (flags & MSG_TRUNC)
        done = leftover->info.length;
    if (flags & MSG_PEEK)
        return (ssize_t)done;
    sock->leftovers = leftover->next;
    free(leftover);
    *last = !sock->leftovers;
    return (ssize_t)done;
}

ssize_t leftovers_receive(struct sock *sock, struct msghdr *message, int flags)
{
    struct cursor cursor;
    ssize_t received;
    bool last;

    if (cursor_begin(&cursor, message->msg_iov, message->msg_iovlen) < 0)
        return -EMSGSIZE;
    stack_lock();
    received = receive_oldest(sock, message, &cursor, flags, &last);
    stack_unlock();
    if (last)
        sock_leave(sock, true);
    return received;
}

int leftovers_next_bytes(const struct sock *sock)
{
    return sock->leftovers ? (int)sock->leftovers->info.length : 0;
}
