/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/private_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

static long read_open(int fd, mode_t forbidden, char *data, size_t size)
{
    struct stat status;
    size_t length = 0;

    if (fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return LOCKSTEP_E_BAD_VALUE;
    if (status.st_mode & forbidden)
        return LOCKSTEP_E_DENIED;
    while (length < size) {
        ssize_t got = read(fd, data + length, size - length);

        if (got < 0)
            return -errno;
        if (got == 0)
            return (long)length;
        length += (size_t)got;
    }
    return -EFBIG;
}

long private_file_read(const char *path, mode_t forbidden, void *data, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    long length;

    if (fd < 0)
        return -errno;
    length = read_open(fd, forbidden, data, size);
    close(fd);
    return length;
}

static int write_open(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t put = write(fd, data, length);

        if (put < 0)
            return -errno;
        data += put;
        length -= (size_t)put;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

int private_file_write(const char *path, const void *data, size_t length)
{
    char temporary[PATH_MAX];
    int fd, err;

    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary)
        return -ENAMETOOLONG;
    /* One that is left over may have other permissions. */
    if (unlink(temporary) < 0 && errno != ENOENT)
        return -errno;
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    err = write_open(fd, data, length);
    if (close(fd) < 0 && err == 0)
        err = -errno;
    if (err == 0 && rename(temporary, path) < 0)
        err = -errno;
    if (err < 0)
        unlink(temporary);
    return err;
}
