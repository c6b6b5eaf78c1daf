/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/file_lock.h"

#include <errno.h>
#include <poll.h>
#include <sys/file.h>

#define TRIES    50
#define PAUSE_MS 20

int file_lock_take(int fd)
{
    for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; tries++) {
        if (errno != EWOULDBLOCK || tries == TRIES)
            return -errno;
        poll(0, 0, PAUSE_MS);
    }
    return 0;
}
