/* SPDX-License-Identifier: BSD-2-Clause */
/* Interposed: send and recv in all their forms. */
#include <string.h>
#include <sys/socket.h>

#include "stack/memory.h"
#include "stack/preload.h"

void __chk_fail(void) __attribute__((noreturn));
ssize_t __recv_chk(int fd, void *buffer, size_t length, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *restrict buffer, size_t length, size_t room, int flags, __SOCKADDR_ARG from,
                       socklen_t *restrict from_length);
ssize_t __send(int fd, const void *buffer, size_t length, int flags);

ssize_t preload_send(int fd, const struct iovec *iov, size_t count, const struct sockaddr *to, socklen_t to_length,
                     int flags)
{
    const struct msghdr message = {
        .msg_name = (void *)to, .msg_namelen = to_length, .msg_iov = (struct iovec *)iov, .msg_iovlen = count};
    struct sock *sock;
    ssize_t result;

    do {
        sock = preload_enter_blocking(fd);
        result = sock ? sock_sendmsg(sock, fd, &message, flags) : SOCK_PASS;
    } while (preload_again(sock, result));
    return result;
}

ssize_t preload_receive(int fd, const struct iovec *iov, size_t count, struct sockaddr *from, socklen_t *from_length,
                        int flags)
{
    struct msghdr message;
    struct sock *sock;
    ssize_t result;

    do {
        sock = preload_enter_blocking(fd);
        if (sock && from && !memory_writable(from_length, sizeof *from_length)) {
            result = -EFAULT;
            continue;
        }
        message = (struct msghdr){.msg_name = from,
                                  .msg_namelen = sock && from ? *from_length : 0,
                                  .msg_iov = (struct iovec *)iov,
                                  .msg_iovlen = count};
        result = sock ? sock_recvmsg(sock, fd, &message, flags) : SOCK_PASS;
    } while (preload_again(sock, result));
    if (result >= 0 && from)
        *from_length = message.msg_namelen;
    return result;
}

ssize_t send(int fd, const void *buffer, size_t length, int flags)
{
    const struct iovec iov = {(void *)buffer, length};
    ssize_t result = preload_send(fd, &iov, 1, NULL, 0, flags);

    return result == SOCK_PASS ? libc_real()->send(fd, buffer, length, flags) : preload_result(result);
}

ssize_t __send(int fd, const void *buffer, size_t length, int flags) __attribute__((alias("send")));

ssize_t sendto(int fd, const void *buffer, size_t length, int flags, __CONST_SOCKADDR_ARG to, socklen_t to_length)
{
    const struct iovec iov = {(void *)buffer, length};
    ssize_t result = preload_send(fd, &iov, 1, to.__sockaddr__, to.__sockaddr__ ? to_length : 0, flags);

    return result == SOCK_PASS ? libc_real()->sendto(fd, buffer, length, flags, to, to_length) : preload_result(result);
}

/* Descriptors that leave for another process must be the kernel's. */
static int release_passed(const struct msghdr *message)
{
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg; cmsg = CMSG_NXTHDR((struct msghdr *)message, cmsg)) {
        size_t count = cmsg->cmsg_len < CMSG_LEN(0) ? 0 : (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < count; i++) {
            int fd, err;

            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof fd, sizeof fd);
            err = preload_to_kernel(fd, "passed to another process");
            if (err)
                return err;
        }
    }
    return 0;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct sock *sock;
    ssize_t result;

    do {
        sock = preload_enter_blocking(fd);
        result = !sock                                       ? SOCK_PASS
                 : memory_readable(message, sizeof *message) ? sock_sendmsg(sock, fd, message, flags)
                                                             : -EFAULT;
    } while (preload_again(sock, result));
    if (result == SOCK_PASS && message && message->msg_controllen)
        result = release_passed(message) ?: SOCK_PASS;
    return result == SOCK_PASS ? libc_real()->sendmsg(fd, message, flags) : preload_result(result);
}

int sendmmsg(int fd, struct mmsghdr *vector, unsigned count, int flags)
{
    struct sock *sock;
    int result;

    do {
        sock = preload_enter_blocking(fd);
        result = sock ? sock_sendmmsg(sock, fd, vector, count, flags) : SOCK_PASS;
    } while (preload_again(sock, result));
    for (unsigned i = 0; vector && i < count && result == SOCK_PASS; i++)
        if (vector[i].msg_hdr.msg_controllen)
            result = release_passed(&vector[i].msg_hdr) ?: SOCK_PASS;
    return result == SOCK_PASS ? libc_real()->sendmmsg(fd, vector, count, flags) : (int)preload_result(result);
}

ssize_t recv(int fd, void *buffer, size_t length, int flags)
{
    const struct iovec iov = {buffer, length};
    ssize_t result = preload_receive(fd, &iov, 1, NULL, NULL, flags);

    return result == SOCK_PASS ? libc_real()->recv(fd, buffer, length, flags) : preload_result(result);
}

ssize_t __recv_chk(int fd, void *buffer, size_t length, size_t room, int flags)
{
    if (length > room)
        __chk_fail();
    return recv(fd, buffer, length, flags);
}

ssize_t recvfrom(int fd, void *restrict buffer, size_t length, int flags, __SOCKADDR_ARG from,
                 socklen_t *restrict from_length)
{
    const struct iovec iov = {buffer, length};
    ssize_t result = preload_receive(fd, &iov, 1, from.__sockaddr__, from_length, flags);

    return result == SOCK_PASS ? libc_real()->recvfrom(fd, buffer, length, flags, from, from_length)
                               : preload_result(result);
}

ssize_t __recvfrom_chk(int fd, void *restrict buffer, size_t length, size_t room, int flags, __SOCKADDR_ARG from,
                       socklen_t *restrict from_length)
{
    if (length > room)
        __chk_fail();
    return recvfrom(fd, buffer, length, flags, from, from_length);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    struct sock *sock;
    ssize_t result;

    do {
        sock = preload_enter_blocking(fd);
        result = !sock                                       ? SOCK_PASS
                 : memory_writable(message, sizeof *message) ? sock_recvmsg(sock, fd, message, flags)
                                                             : -EFAULT;
    } while (preload_again(sock, result));
    return result == SOCK_PASS ? libc_real()->recvmsg(fd, message, flags) : preload_result(result);
}

int recvmmsg(int fd, struct mmsghdr *vector, unsigned count, int flags, struct timespec *timeout)
{
    struct sock *sock;
    int result;

    do {
        sock = preload_enter_blocking(fd);
        result = sock ? sock_recvmmsg(sock, fd, vector, count, flags, timeout) : SOCK_PASS;
    } while (preload_again(sock, result));
    return result == SOCK_PASS ? libc_real()->recvmmsg(fd, vector, count, flags, timeout) : (int)preload_result(result);
}
