/* SPDX-License-Identifier: BSD-2-Clause */
/* epoll over accelerated sockets and the kernel's descriptors together.
 *
 * The program's epoll descriptor is a real one: the kernel's members are in it, and it can be duplicated, passed on and
 * inherited. Accelerated members are kept here. Where such a socket must be watched in the kernel as well (listeners),
 * its kernel side is in a second epoll descriptor, so that both sources can be told apart and merged into one event.
 * When a set is itself watched (by poll, or as member of another set), an eventfd and that second descriptor in
 * the program's one make it ready for the kernel as well.
 *
 * Functions named like system calls return results or negated errnos, or SOCK_PASS: let the kernel do it. Thread-safe;
 * called without the stack lock. */
#ifndef LOCKSTEP_STACK_EPOLL_H
#define LOCKSTEP_STACK_EPOLL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* A descriptor that epoll_create just made. Without memory for it, the set only ever holds kernel members. */
void epoll_set_created(int epfd);
/* epfd is about to be closed or overwritten. Harmless on any other descriptor. */
void epoll_set_closed(int epfd);
/* copy now refers to what fd refers to. Harmless on any other descriptor. */
void epoll_set_duplicated(int fd, int copy);
/* Whether fd is known to be an epoll descriptor. No lock. */
bool epoll_known(int fd);

/* Whether any was ever known. No lock. */
bool epoll_used(void);

/* On SOCK_PASS the caller makes the system call and tells what came of it. */
int epoll_set_ctl(int epfd, int op, int fd, struct epoll_event *event);
void epoll_set_ctl_passed(int epfd, int op, int fd);

/* deadline_ns: CLOCK_MONOTONIC, UINT64_MAX: none, 0: do not wait. SOCK_PASS: the set has only kernel members (now). */
int epoll_set_wait(int epfd, struct epoll_event *events, int max, uint64_t deadline_ns, const sigset_t *mask);

/* Around the kernel's epoll_wait on a set with only kernel members: begin is false if it has others. end takes the
 * system call's result and returns what is left of it; SOCK_PASS: the set has become a mixed one meanwhile, so go on
 * with epoll_set_wait. abort instead of end: the thread is cancelled. *set may be NULL (not known). */
struct epoll_set;
bool epoll_kernel_wait_begin(int epfd, struct epoll_set **set);
int epoll_kernel_wait_end(struct epoll_set *set, struct epoll_event *events, int count);
void epoll_kernel_wait_abort(struct epoll_set *set);

/* Before fd is watched by poll or select: makes the kernel's readiness of an epoll descriptor tell the whole truth.
 * True: epoll_refresh must be called under the stack lock before each look at it. */
bool epoll_expose(int fd);
/* Brings exposed sets up to date. True if one became ready since the last time. Stack lock held. */
bool epoll_refresh(void);

/* In a forked child, after stack_fork_child and sock_fork_child. Kernel members work on; accelerated ones move to the
 * kernel when the child first uses the set. */
void epoll_fork_child(void);

#endif
