/* SPDX-License-Identifier: BSD-2-Clause */
/* poll and select over accelerated sockets and the kernel's descriptors together. Results or negated errnos.
 * Thread-safe; called without the stack lock. */
#ifndef LOCKSTEP_STACK_POLLING_H
#define LOCKSTEP_STACK_POLLING_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/select.h>

/* Whether accelerated sockets are among them; if not, the caller makes the system call. No lock. */
bool poll_concerns(struct pollfd *fds, nfds_t count);
/* deadline_ns: CLOCK_MONOTONIC, UINT64_MAX: none, 0: do not wait. mask: as ppoll's. */
int poll_wait(struct pollfd *fds, nfds_t count, uint64_t deadline_ns, const sigset_t *mask);
bool poll_select_concerns(int count, const fd_set *readable, const fd_set *writable, const fd_set *exceptional);
/* SOCK_PASS: no accelerated socket is among them any more. The sets are changed on success only; the caller keeps the
 * time. */
int poll_select(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, uint64_t deadline_ns,
                const sigset_t *mask);

#endif
