/* SPDX-License-Identifier: BSD-2-Clause */
/* Two network namespaces of the test process's own, joined by a veth pair, for tests that need the real kernel and
 * root. They vanish with the process. */
#ifndef LOCKSTEP_TESTS_NAMESPACES_H
#define LOCKSTEP_TESTS_NAMESPACES_H

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Namespace 0 has 10.77.0.1/24 and fd00:77::1/64 on v0, namespace 1 has .2 and ::2 on v1. */
static int namespace_fd[2];

static inline void enter(int which)
{
    if (setns(namespace_fd[which], CLONE_NEWNET) < 0) {
        perror("setns");
        abort();
    }
}

static inline void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline void shell(const char *format, ...)
{
    char command[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    if (system(command) != 0) {
        fprintf(stderr, "failed: %s\n", command);
        abort();
    }
}

static inline bool namespaces_possible(void)
{
    return geteuid() == 0 && unshare(CLONE_NEWNET) == 0;
}

/* The pair of devices with their addresses; leaves the process in namespace 0. */
static inline void namespaces_link(void)
{
    enter(0);
    shell("ip link add v0 type veth peer name v1 netns /proc/%d/fd/%d", (int)getpid(), namespace_fd[1]);
    for (int i = 0; i < 2; i++) {
        enter(i);
        shell("ip addr add 10.77.0.%d/24 dev v%d; ip addr add fd00:77::%d/64 dev v%d nodad; ip link set v%d up", i + 1,
              i, i + 1, i, i);
    }
    enter(0);
    for (int i = 0; i < 100; i++) {
        if (system("ip link show dev v0 up | grep -q 'state UP'") == 0)
            return;
        usleep(20000);
    }
}

static inline void namespaces_create(void)
{
    for (int i = 0; i < 2; i++) {
        if (unshare(CLONE_NEWNET) < 0)
            abort();
        namespace_fd[i] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        shell("ip link set lo up; sysctl -qw net.ipv6.conf.default.accept_dad=0");
    }
    namespaces_link();
}

#endif
