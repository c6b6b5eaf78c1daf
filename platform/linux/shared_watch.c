/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/shared_watch.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000
/* IN_ATTRIB comes when the file loses its name, too. */
#define EVENTS   (IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF)

static int add(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int shared_watch_open(struct shared_watch *watch, const char *path)
{
    int err = 0;

    watch->fd = epoll_create1(EPOLL_CLOEXEC);
    watch->changes = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    watch->timer = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (watch->fd < 0 || watch->changes < 0 || watch->timer < 0)
        err = -errno;
    if (err == 0)
        err = add(watch->fd, watch->changes);
    if (err == 0)
        err = add(watch->fd, watch->timer);
    if (err == 0 && inotify_add_watch(watch->changes, path, EVENTS) < 0)
        err = -errno;
    if (err < 0)
        shared_watch_close(watch);
    return err;
}

void shared_watch_close(struct shared_watch *watch)
{
    int *const fds[] = {&watch->fd, &watch->changes, &watch->timer};

    for (int i = 0; i < 3; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

/* Adding a watch of the same file again changes nothing; that of a file that is gone goes with it. */
int shared_watch_clear(struct shared_watch *watch, const char *path)
{
    char events[16 * (sizeof(struct inotify_event) + NAME_MAX + 1)];

    while (read(watch->changes, events, sizeof events) > 0)
        continue;
    if (shared_watch_alarm(watch, -1) < 0)
        return -errno;
    return inotify_add_watch(watch->changes, path, EVENTS) < 0 ? -errno : 0;
}

int shared_watch_alarm(struct shared_watch *watch, int64_t in_ns)
{
    struct itimerspec setting = {0};

    if (in_ns >= 0) {
        setting.it_value.tv_sec = in_ns / NS_PER_S;
        setting.it_value.tv_nsec = in_ns % NS_PER_S;
        if (in_ns == 0)
            setting.it_value.tv_nsec = 1;
    }
    return timerfd_settime(watch->timer, 0, &setting, NULL) < 0 ? -errno : 0;
}
