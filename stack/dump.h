/* SPDX-License-Identifier: BSD-2-Clause */
/* The stack's whole state as one JSON document, for `lockstep dump`: written by the helper thread into a socket, in
 * pieces of a few sockets under the lock, without allocating; who does not read holds up nobody but himself.
 *
 * All but dump_forget by the helper thread only, without the stack lock. */
#ifndef LOCKSTEP_STACK_DUMP_H
#define LOCKSTEP_STACK_DUMP_H

#include <stdbool.h>

#include "base/json_emit.h"
#include "service/control.h"

struct sock;
struct sock_watch;

/* Takes fd over (a stream socket, the stack's own descriptor): the document goes there. One at a time; a few more wait
 * their turn, others are closed at once. filter: which socket; all zero: everything. */
void dump_request(int fd, const struct control_dump *filter);
/* Writes some more. True: there is more to do at once; else dump_fd says what to wait for. */
bool dump_step(void);
int dump_fd(void); /* to be polled for POLLOUT, or -1 */
/* In a forked child, which has copies of the descriptors. */
void dump_forget(void);

/* sock_describe.c: members of an object that the caller has begun; at most 16 KB. Lock held. */
void sock_describe(const struct sock *sock, struct emitter *out);

/* What epoll knows, which is not beneath this layer: set by the preload. Lock held. */
struct dump_epoll {
    /* A socket's membership in a set, as an object; nothing if the watch is somebody else's. */
    void (*watch)(const struct sock_watch *watch, struct emitter *out);
    /* An object for each of up to `count` sets from the one with this index on; false: those were the last. */
    bool (*sets)(unsigned from, unsigned count, struct emitter *out);
};
extern const struct dump_epoll *dump_epoll;

#endif
