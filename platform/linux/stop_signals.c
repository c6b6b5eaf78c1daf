/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/stop_signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

static int block_and_open(const sigset_t *set)
{
    int fd;

    sigprocmask(SIG_BLOCK, set, NULL);
    fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int platform_stop_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* who starts it may ignore it, and then children end without leaving a status */
    return block_and_open(&set);
}

int platform_reload_signal(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    return block_and_open(&set);
}

bool platform_signal_take(int fd)
{
    struct signalfd_siginfo info;

    return read(fd, &info, sizeof info) == sizeof info;
}
