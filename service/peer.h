/* SPDX-License-Identifier: BSD-2-Clause */
/* Who is at the other end of a connection of the control socket. User and groups are those that it had when it
 * connected, and can be relied on. The executable is a hint: a program can be copied, and start another one. */
#ifndef LOCKSTEP_SERVICE_PEER_H
#define LOCKSTEP_SERVICE_PEER_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct peer_groups {
    uint32_t *list; /* the effective one, then the supplementary ones */
    size_t count;
};

/* 0 or a negated errno; then there is the effective group only (or none, for want of memory). Free with free(list). */
int peer_groups(int fd, gid_t effective, struct peer_groups *out);
/* A descriptor of the process: SO_PEERPIDFD (Linux 6.5), or by its number. A negated errno if there is none. */
int peer_pidfd(int fd, pid_t pid);
/* The absolute path of its executable; "" if it cannot be told. The process of pid_fd still ran when it was read, so
 * that it is not that of a later process with the same number. */
void peer_program(pid_t pid, int pid_fd, char path[PATH_MAX]);

#endif
