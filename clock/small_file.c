/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_LENGTH_MAX 512

ssize_t small_file_read(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    size_t length = 0;
    ssize_t got = 0;
    int error;

    if (fd < 0)
        return -errno;
    while (length < size && (got = read(fd, text + length, size - length)) > 0)
        length += (size_t)got;
    error = errno;
    close(fd);
    if (got < 0)
        return -error;
    if (length == size)
        return -EFBIG;
    text[length] = 0;
    return (ssize_t)length;
}

static int write_all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, text, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        text += written;
        length -= (size_t)written;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

int small_file_replace(const char *path, const char *text, size_t length)
{
    char beside[PATH_LENGTH_MAX];
    int fd, result;

    if (snprintf(beside, sizeof(beside), "%s.new", path) >= (int)sizeof(beside))
        return -ENAMETOOLONG;
    fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return -errno;
    result = write_all(fd, text, length);
    if (close(fd) < 0 && result == 0)
        result = -errno;
    if (result == 0 && rename(beside, path) < 0)
        result = -errno;
    if (result < 0)
        unlink(beside);
    return result;
}
