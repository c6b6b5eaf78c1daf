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

/* Makes the calling thread one that pthread_cancel can wake from a wait for sockets, and is a cancellation point. */
void preload_cancellation_point(void);

/* The accelerated socket behind fd for a call that may block (a cancellation point), or NULL. */
static inline struct sock *preload_blocking(int fd)
{
    if (!sock_known(fd))
        return NULL;
    preload_cancellation_point();
    return sock_get(fd);
}

/* One message without control data; to and from may be NULL. Result, negated errno or SOCK_PASS. */
ssize_t preload_send(int fd, const struct iovec *iov, size_t count, const struct sockaddr *to, socklen_t to_length,
                     int flags);
ssize_t preload_receive(int fd, const struct iovec *iov, size_t count, struct sockaddr *from, socklen_t *from_length,
                        int flags);

/* Moves the socket behind fd to the kernel if it is accelerated: 0, or the negated errno. */
int preload_to_kernel(int fd, const char *why);

/* Lets go of what a descriptor meant before it is closed or replaced by the kernel. */
void preload_forget(int fd);

/* In a forked child. */
void preload_threads_fork_child(void);

/* Whether this process ever had a socket or epoll descriptor of its own making: before that, nothing here has state
 * that a child could spoil. */
bool preload_sockets_used(void);

#endif
