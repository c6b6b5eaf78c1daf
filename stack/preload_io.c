/* SPDX-License-Identifier: BSD-2-Clause */
/* Interposed: file-like input and output, which sockets share with files, and what moves data between descriptors. */
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "stack/preload.h"

void __chk_fail(void) __attribute__((noreturn));
ssize_t __read(int fd, void *buffer, size_t length);
ssize_t __write(int fd, const void *buffer, size_t length);
ssize_t __read_chk(int fd, void *buffer, size_t length, size_t room);

ssize_t read(int fd, void *buffer, size_t length)
{
    const struct iovec iov = {buffer, length};
    ssize_t result = length ? preload_receive(fd, &iov, 1, NULL, NULL, 0) : SOCK_PASS;

    return result == SOCK_PASS ? libc_real()->read(fd, buffer, length) : preload_result(result);
}

ssize_t __read(int fd, void *buffer, size_t length) __attribute__((alias("read")));

ssize_t __read_chk(int fd, void *buffer, size_t length, size_t room)
{
    if (length > room)
        __chk_fail();
    return read(fd, buffer, length);
}

ssize_t write(int fd, const void *buffer, size_t length)
{
    const struct iovec iov = {(void *)buffer, length};
    ssize_t result = preload_send(fd, &iov, 1, NULL, 0, 0);

    return result == SOCK_PASS ? libc_real()->write(fd, buffer, length) : preload_result(result);
}

ssize_t __write(int fd, const void *buffer, size_t length) __attribute__((alias("write")));

/* The kernel's answer to a count out of range is the same for every descriptor. */
static bool vector_valid(int count)
{
    return count >= 0 && count <= IOV_MAX;
}

static ssize_t read_vector(int fd, const struct iovec *iov, int count, int flags)
{
    return vector_valid(count) ? preload_receive(fd, iov, (size_t)count, NULL, NULL, flags) : SOCK_PASS;
}

static ssize_t write_vector(int fd, const struct iovec *iov, int count, int flags)
{
    return vector_valid(count) ? preload_send(fd, iov, (size_t)count, NULL, 0, flags) : SOCK_PASS;
}

ssize_t readv(int fd, const struct iovec *iov, int count)
{
    ssize_t result = read_vector(fd, iov, count, 0);

    return result == SOCK_PASS ? libc_real()->readv(fd, iov, count) : preload_result(result);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
    ssize_t result = write_vector(fd, iov, count, 0);

    return result == SOCK_PASS ? libc_real()->writev(fd, iov, count) : preload_result(result);
}

/* With the offset -1 these are readv and writev with flags; with any other, the kernel refuses a socket. */
ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    ssize_t result = offset == -1 ? read_vector(fd, iov, count, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0) : SOCK_PASS;

    return result == SOCK_PASS ? libc_real()->preadv2(fd, iov, count, offset, flags) : preload_result(result);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    ssize_t result = offset == -1 ? write_vector(fd, iov, count, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0) : SOCK_PASS;

    return result == SOCK_PASS ? libc_real()->pwritev2(fd, iov, count, offset, flags) : preload_result(result);
}

ssize_t preadv64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags)
    __attribute__((alias("preadv2")));
ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags)
    __attribute__((alias("pwritev2")));

/* Moves both ends of an operation that only the kernel can do. 0 or the negated errno. */
static int ends_to_kernel(int a, int b, const char *why)
{
    int err = preload_to_kernel(a, why);

    return err ? err : preload_to_kernel(b, why);
}

ssize_t sendfile(int out, int in, off_t *offset, size_t count)
{
    ssize_t result = preload_to_kernel(in, "sendfile from a socket");
    struct sock *sock;

    if (result < 0)
        return preload_result(result);
    do {
        sock = preload_enter_blocking(out);
        result = sock ? sock_sendfile(sock, out, in, offset, count) : SOCK_PASS;
    } while (preload_again(sock, result));
    return result == SOCK_PASS ? libc_real()->sendfile(out, in, offset, count) : preload_result(result);
}

ssize_t sendfile64(int out, int in, off64_t *offset, size_t count) __attribute__((alias("sendfile")));

ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t length, unsigned flags)
{
    int err = ends_to_kernel(in, out, "splice");

    return err ? preload_result(err) : libc_real()->splice(in, in_offset, out, out_offset, length, flags);
}
