/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/shared_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODE      0644
#define LOCK_MODE 0600

/* O_NONBLOCK: a FIFO of that name is not waited for. */
int shared_file_open(const char *path, bool writing)
{
    int fd = open(path, (writing ? O_RDWR | O_NOFOLLOW : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    int err;

    if (fd < 0)
        return -errno;
    err = fstat(fd, &status) < 0 ? -errno : S_ISREG(status.st_mode) ? 0 : -EINVAL;
    if (err == 0)
        return fd;
    close(fd);
    return err;
}

bool shared_file_private(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && status.st_uid == geteuid() && !(status.st_mode & (S_IWGRP | S_IWOTH));
}

int shared_file_peek(int fd, void *head, size_t size, uint64_t *file_size)
{
    struct stat status;
    ssize_t length;

    if (fstat(fd, &status) < 0)
        return -errno;
    *file_size = (uint64_t)status.st_size;
    length = pread(fd, head, size, 0);
    return length < 0 ? -errno : (int)length;
}

static int identify(int failed, const struct stat *status, uint64_t identity[2])
{
    if (failed)
        return -errno;
    identity[0] = status->st_dev;
    identity[1] = status->st_ino;
    return 0;
}

int shared_file_identity(int fd, uint64_t identity[2])
{
    struct stat status;

    return identify(fstat(fd, &status), &status, identity);
}

int shared_file_path_identity(const char *path, uint64_t identity[2])
{
    struct stat status;

    return identify(stat(path, &status), &status, identity);
}

int shared_file_map(int fd, size_t size, bool writing, void *at, void **mapping)
{
    void *mapped =
        mmap(at, size, writing ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | (at ? MAP_FIXED : 0), fd, 0);

    if (mapped == MAP_FAILED)
        return -errno;
    *mapping = mapped;
    return 0;
}

void shared_file_unmap(void *mapping, size_t size)
{
    munmap(mapping, size);
}

void shared_file_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

int shared_file_lock(const char *path)
{
    char name[PATH_MAX];
    int fd, err;

    if ((size_t)snprintf(name, sizeof name, "%s.lock", path) >= sizeof name)
        return -ENAMETOOLONG;
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, LOCK_MODE);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    err = -errno;
    close(fd);
    return err;
}

static int write_new(const char *name, const void *bytes, size_t size)
{
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, MODE);
    ssize_t length;
    int err;

    if (fd < 0)
        return -errno;
    length = pwrite(fd, bytes, size, 0);
    if (length == (ssize_t)size && fchmod(fd, MODE) == 0) /* whatever the umask is */
        return fd;
    err = length >= 0 && length != (ssize_t)size ? -ENOSPC : -errno;
    close(fd);
    unlink(name);
    return err;
}

int shared_file_replace(const char *path, const void *bytes, size_t size)
{
    char name[PATH_MAX];
    int fd, err;

    if ((size_t)snprintf(name, sizeof name, "%s.new", path) >= sizeof name)
        return -ENAMETOOLONG;
    fd = write_new(name, bytes, size);
    if (fd == -EEXIST && unlink(name) == 0) /* of a process that died here */
        fd = write_new(name, bytes, size);
    if (fd < 0 || rename(name, path) == 0)
        return fd;
    err = -errno;
    close(fd);
    unlink(name);
    return err;
}

int shared_file_poke(int fd, const void *bytes, size_t length, size_t offset)
{
    return pwrite(fd, bytes, length, (off_t)offset) < 0 ? -errno : 0;
}
