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
    struct netd_client *client; /* control channel; may be replaced when the service restarts */
    struct lane_stats *stats;
    uint32_t lane;
};

/* The stack, opened if it is not yet (connects to the service, opens the lane, starts the helper thread). NULL: not
 * available; *why gets a static phrase. Tries again at most once a second. Thread-safe. */
struct stack *stack_get(const char **why);
/* The stack if it is open already, else NULL. No side effect. */
struct stack *stack_current(void);

/* Whether fd is one of the stack's own descriptors: the preload shields them from the program's close, close_range and
 * dup2. No lock. */
bool stack_owns_fd(int fd);

/* The lock around the engine and all sockets' state. Unlocking wakes sleepers whose wait has come true meanwhile. */
void stack_lock(void);
void stack_unlock(void);

/* Drains the lane and runs due timers. Lock held. True if anything was done. */
bool stack_poll(void);
/* The same at the start of a call that is not going to wait: takes and releases the lock only if there is something to
 * do. Lock not held. */
void stack_progress(void);

/* A blocking wait: drives the stack until ready(arg) says true; 1 then, 0 when deadline_ns (CLOCK_MONOTONIC;
 * UINT64_MAX: never) has passed, -EINTR when a signal handler ran. ready is called with the lock held, by any thread
 * that drives the stack: it must not block, lock, or use thread-local state. Spins for the profile's budget, then
 * sleeps in ppoll together with `kernel` descriptors (may be NULL); a kernel descriptor that becomes ready ends the
 * wait with 1 (their revents are filled in; while spinning they are looked at every 25 us). mask: as ppoll's, or NULL.
 * Called without the lock. Works without an open stack too: then only the kernel's descriptors, stack_wake and the
 * deadline end it. */
int stack_wait(bool (*ready)(void *arg), void *arg, struct pollfd *kernel, nfds_t kernel_count, uint64_t deadline_ns,
               const sigset_t *mask);
/* Makes waiters evaluate ready() again. Lock held. */
void stack_wake(void);

/* Signals. Spinning must end when a handler has run, so the preload wraps handlers: its wrapper adds one to
 * stack_signal_count before it calls the program's handler, and one to stack_signal_restart_count too if that was
 * installed with SA_RESTART. stack_signals_handled is set for good when the first handler is installed. */
extern __thread volatile unsigned stack_signal_count __attribute__((tls_model("initial-exec")));
extern __thread volatile unsigned stack_signal_restart_count __attribute__((tls_model("initial-exec")));
extern bool stack_signals_handled;
/* The eventfd that ends the thread's sleep, or -1. Who adds to the counts writes it: the thread itself in its handler;
 * others with the stack lock held, under which it stays open. */
extern __thread volatile int stack_sleeping_fd __attribute__((tls_model("initial-exec")));
/* A handler may use sockets itself, and may jump away, so it must not run while its thread is inside a socket call
 * (stack_busy is not 0, which the interposed functions see to): the wrapper notes the signal, blocks all others, sets
 * stack_signal_deferred and returns; stack_run_deferred, which the preload sets, is called as soon as the thread is no
 * longer busy, and runs the handler. Until then stack_signal_mask is the mask to go back to. */
extern __thread volatile unsigned stack_busy __attribute__((tls_model("initial-exec")));
extern __thread volatile bool stack_signal_deferred __attribute__((tls_model("initial-exec")));
extern __thread sigset_t stack_signal_mask __attribute__((tls_model("initial-exec")));
extern void (*stack_run_deferred)(void);

/* fork: prepare before it, then parent or child; the child starts without a stack, and its sockets must be told next
 * (sock_fork_parent, sock_fork_child). */
void stack_fork_prepare(void);
void stack_fork_parent(void);
void stack_fork_child(void);

#endif
