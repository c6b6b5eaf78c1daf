/* SPDX-License-Identifier: BSD-2-Clause */
/* The process's stack: lane, injector, engine and connection to the service, behind one lock; how threads drive it and
 * wait for it. One instance a process, made on first need. */
#ifndef LOCKSTEP_STACK_STACK_H
#define LOCKSTEP_STACK_STACK_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "stack/engine.h"

struct netd_client;

struct stack {
    const struct engine_ops *ops;
    struct engine *engine;
    struct netd_client *client; /* control channel */
    struct lane_stats *stats;
    uint32_t lane;
};

/* The stack, opened if it is not yet (connects to the service, opens the lane, starts the helper thread). NULL: not
 * available; *why gets a static phrase. Tries again at most once a second. Thread-safe. */
struct stack *stack_get(const char **why);
/* The stack if it is open already, else NULL. No side effect. */
struct stack *stack_current(void);

void stack_lock(void);
void stack_unlock(void);

/* Enter and leave a socket call: while some thread is inside, the helper leaves the stack alone. Leave runs what the call
 * left to do. */
void stack_enter(void);
void stack_leave(void);

/* Drains the lane and runs due timers. Lock held. True if anything was done. */
bool stack_poll(void);

/* A blocking wait: drives the stack until ready(arg) (called with the lock held) says true; 1 then, 0 when deadline_ns
 * (CLOCK_MONOTONIC; UINT64_MAX: never) has passed, -EINTR when a signal handler ran. Spins for the profile's budget, then
 * sleeps in ppoll together with `kernel` descriptors (may be NULL); a kernel descriptor that becomes ready ends the wait
 * with 1 (their revents are filled in). mask: as ppoll's. Called without the lock. */
int stack_wait(bool (*ready)(void *arg), void *arg, struct pollfd *kernel, nfds_t kernel_count, uint64_t deadline_ns,
               const sigset_t *mask);
/* Wakes sleeping waiters so that they evaluate ready() again. Lock held. */
void stack_wake(void);

/* fork: prepare/parent/child handlers; the child starts without a stack. */
void stack_fork_prepare(void);
void stack_fork_parent(void);
void stack_fork_child(void);

#endif
