/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/peer.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#define GROUPS_FIRST 32 /* room at the first try */

int peer_groups(int fd, gid_t effective, struct peer_groups *out)
{
    socklen_t room = GROUPS_FIRST * sizeof(uint32_t);

    _Static_assert(sizeof(gid_t) == sizeof(uint32_t), "groups are read into an array of these");
    *out = (struct peer_groups){NULL, 0};
    for (;;) {
        socklen_t bytes = room;
        uint32_t *list = realloc(out->list, room + sizeof(*list));

        if (!list)
            return -ENOMEM;
        out->list = list;
        list[0] = effective;
        out->count = 1;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, list + 1, &bytes) == 0) {
            out->count += bytes / sizeof(*list);
            return 0;
        }
        if (errno != ERANGE || bytes <= room)
            return -errno;
        room = bytes;
    }
}

int peer_pidfd(int fd, pid_t pid)
{
    int pid_fd = -1;
    socklen_t length = sizeof(pid_fd);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pid_fd, &length) == 0)
        return pid_fd;
    if (errno != ENOPROTOOPT) /* it has ended: its number may be another one's by now */
        return -errno;
    pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return pid_fd < 0 ? -errno : pid_fd;
}

void peer_program(pid_t pid, int pid_fd, char path[PATH_MAX])
{
    static const char deleted[] = " (deleted)"; /* what the kernel adds when the file has been replaced */
    struct pollfd ended = {.fd = pid_fd, .events = POLLIN};
    char link[40];
    ssize_t length;

    path[0] = '\0';
    if (pid_fd < 0)
        return;
    snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
    length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = '\0';
    if (path[0] != '/' || poll(&ended, 1, 0) != 0)
        path[0] = '\0';
    length -= (ssize_t)sizeof(deleted) - 1;
    if (path[0] && length > 0 && strcmp(path + length, deleted) == 0)
        path[length] = '\0';
}
