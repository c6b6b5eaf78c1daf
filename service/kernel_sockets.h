/* SPDX-License-Identifier: BSD-2-Clause */
/* The last sockets that programs left with the kernel, and why: for people to read. */
#ifndef LOCKSTEP_SERVICE_KERNEL_SOCKETS_H
#define LOCKSTEP_SERVICE_KERNEL_SOCKETS_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/net_addr.h"
#include "service/control.h"

#define KERNEL_SOCKETS_KEPT 1024

struct kernel_socket {
    pid_t pid;
    uid_t uid;
    char program[CONTROL_NAME_MAX];
    uint8_t protocol;
    struct net_endpoint local, remote;
    char reason[CONTROL_TEXT_MAX];
    time_t since;
};

struct kernel_sockets {
    struct kernel_socket item[KERNEL_SOCKETS_KEPT];
    uint64_t total; /* item[total % KEPT] is the oldest */
};

void kernel_sockets_add(struct kernel_sockets *sockets, const struct kernel_socket *item);
/* i-th oldest of those kept; NULL behind the last. */
const struct kernel_socket *kernel_sockets_get(const struct kernel_sockets *sockets, unsigned i);

#endif
