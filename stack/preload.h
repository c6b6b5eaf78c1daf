/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of interposed functions (preload_*.c) share. Each such function asks the socket layer first; SOCK_PASS
 * means that the descriptor is the kernel's, and libc's own function goes on.
 *
 * Only the names in liblockstep.map leave the library. */
#ifndef LOCKSTEP_STACK_PRELOAD_H
#define LOCKSTEP_STACK_PRELOAD_H

#include <errno.h>
#include <pthread.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "stack/libc_real.h"
#include "stack/sock.h"
#include "stack/stack_private.h"

/* A result or negated errno as libc's functions return it. A wait that was cut short may have been cancelled. */
static inline ssize_t preload_result(ssize_t result)
{
    if (result >= 0)
        return result;
    if (result == -EINTR)
        pthread_testcancel();
    errno = (int)-result;
    return -1;
}

/* ---- Calls on a descriptor ----
 *
 *     do {
 *         sock = preload_enter(fd);
 *         result = sock ? sock_something(sock, fd, ...) : SOCK_PASS;
 *     } while (preload_again(sock, result));
 *
 * Signal handlers are put off from enter on, and run in again: nothing is held there, so they may use sockets or jump
 * away. Then the call is made again if it was cut short (-ERESTART) by handlers with SA_RESTART only. */

/* Set in a child that was forked by a handler of a fault inside the stack: everything is the kernel's. */
extern bool preload_disabled;

/* Whether the stack may be entered. Not by a handler that interrupted it, which is one of a fault: the thread may hold
 * the lock, and what the program does now (report, end, start another) it does with the kernel alone. */
static inline bool preload_usable(void)
{
    return stack_busy == 0 && !preload_disabled;
}

/* The accelerated socket behind fd, or NULL: the kernel's. */
static inline struct sock *preload_enter(int fd)
{
    struct sock *sock;

    if (!sock_known(fd) || !preload_usable())
        return NULL;
    stack_busy_begin();
    sock = sock_get(fd);
    if (!sock)
        stack_busy_end();
    return sock;
}

/* Makes the calling thread one that pthread_cancel can wake from a wait for sockets, and is a cancellation point. */
void preload_cancellation_point(void);

/* For calls that may block. */
static inline struct sock *preload_enter_blocking(int fd)
{
    if (!sock_known(fd))
        return NULL;
    preload_cancellation_point();
    return preload_enter(fd);
}

static inline void preload_leave(struct sock *sock)
{
    if (!sock)
        return;
    sock_put(sock);
    stack_busy_end();
}

static inline bool preload_again(struct sock *sock, ssize_t result)
{
    preload_leave(sock);
    return result == -ERESTART;
}

/* Calls on several descriptors are not restarted. only_cancelled: pthread_cancel alone has cut the call short, of a
 * thread that does not let itself be cancelled, so it is to be made again. */
struct preload_interruptions {
    unsigned signals, cancels;
};
struct preload_interruptions preload_interruptions(void);
bool preload_only_cancelled(struct preload_interruptions before, ssize_t result);

/* One message without control data; to and from may be NULL. Result, negated errno or SOCK_PASS. */
ssize_t preload_send(int fd, const struct iovec *iov, size_t count, const struct sockaddr *to, socklen_t to_length,
                     int flags);
ssize_t preload_receive(int fd, const struct iovec *iov, size_t count, struct sockaddr *from, socklen_t *from_length,
                        int flags);

/* Moves the socket behind fd to the kernel if it is accelerated: 0, or the negated errno. */
int preload_to_kernel(int fd, const char *why);

/* In a forked child. */
void preload_threads_fork_child(void);
void preload_signals_fork_child(void);

/* Whether this process ever had a socket or epoll descriptor of its own making: before that, nothing here has state
 * that a child could spoil. */
bool preload_sockets_used(void);

#endif
