/* SPDX-License-Identifier: BSD-2-Clause */
/* The socket calls: each goes to the stream or datagram side, or back to the kernel. */
#include <string.h>

#include "stack/cursor.h"
#include "stack/memory.h"
#include "stack/sock_private.h"

#define SENDFILE_BYTES 32768

int sock_bind(struct sock *sock, int fd, const struct sockaddr *addr, socklen_t len)
{
    struct net_endpoint asked;
    int err;

    if (sock->life != LIFE_UNDECIDED || sock->stream)
        return SOCK_PASS; /* a stream decides at listen or connect; a second bind fails there */
    err = sys_bind(fd, addr, len);
    if (err < 0)
        return err;
    sock->bound_by_program = true;
    sock->explicit_port = net_endpoint_from_sockaddr(addr, len, &asked) == 0 && asked.port != 0;
    udp_sock_register(sock, fd);
    return 0; /* bound it is, also as the kernel's */
}

int sock_listen(struct sock *sock, int fd, int backlog)
{
    if (!sock->stream || sock->life == LIFE_CONNECTION)
        return sock->stream ? -EINVAL : SOCK_PASS;
    return tcp_sock_listen(sock, fd, backlog);
}

int sock_connect(struct sock *sock, int fd, const struct sockaddr *addr, socklen_t len)
{
    if (sock_claimed(sock, fd) == SOCK_PASS)
        return SOCK_PASS;
    if (sock->life == LIFE_LEFTOVERS || len > sizeof(struct sockaddr_storage))
        return SOCK_PASS;
    if (addr && !memory_readable(addr, len))
        return -EFAULT;
    return sock->stream ? tcp_sock_connect(sock, fd, addr, len) : udp_sock_connect(sock, fd, addr, len);
}

static bool is_sendable(const struct msghdr *message)
{
    return memory_readable_all(message->msg_iov, message->msg_iovlen) &&
           (!message->msg_name || memory_readable(message->msg_name, message->msg_namelen)) &&
           (!message->msg_control || memory_readable(message->msg_control, message->msg_controllen));
}

/* discards: the data does not go into the buffers. */
static bool is_fillable(const struct msghdr *message, bool discards)
{
    return (discards || memory_writable_all(message->msg_iov, message->msg_iovlen)) &&
           (!message->msg_name || memory_writable(message->msg_name, message->msg_namelen)) &&
           (!message->msg_control || memory_writable(message->msg_control, message->msg_controllen));
}

/* A connection that could not move when an option asked for it (it was not established yet). */
static void move_late(struct sock *sock, int fd)
{
    if (sock->life == LIFE_CONNECTION)
        sock_to_kernel(sock, fd, sock->kernel_reason);
}

static ssize_t send_message(struct sock *sock, int fd, const struct msghdr *message, int flags)
{
    if (!is_sendable(message))
        return -EFAULT;
    if (__builtin_expect(sock->kernel_bound, 0))
        move_late(sock, fd);
    if (sock->stream) {
        if (sock->life == LIFE_UNDECIDED && (flags & MSG_FASTOPEN))
            return sock_stay(sock, fd, NULL, "TCP fast open");
        if (sock->life != LIFE_CONNECTION)
            return SOCK_PASS;
        if (flags & MSG_OOB) {
            sock_to_kernel(sock, fd, "urgent data");
            return SOCK_PASS;
        }
        return tcp_sock_send(sock, fd, message->msg_iov, message->msg_iovlen, flags);
    }
    return sock->life == LIFE_DATAGRAM || sock->life == LIFE_UNDECIDED ? udp_sock_send(sock, fd, message, flags)
                                                                       : SOCK_PASS;
}

ssize_t sock_sendmsg(struct sock *sock, int fd, const struct msghdr *message, int flags)
{
    if (sock_claimed(sock, fd) == SOCK_PASS)
        return SOCK_PASS;
    return send_message(sock, fd, message, flags);
}

static ssize_t receive_message(struct sock *sock, int fd, struct msghdr *message, int flags)
{
    if (!is_fillable(message, sock->stream && flags & MSG_TRUNC))
        return -EFAULT;
    if (__builtin_expect(sock->kernel_bound, 0))
        move_late(sock, fd);
    if (sock->stream && sock->life == LIFE_CONNECTION && (flags & MSG_OOB))
        sock_to_kernel(sock, fd, "urgent data");
    if (sock->stream)
        return sock->life == LIFE_CONNECTION ? tcp_sock_receive(sock, fd, message, flags) : SOCK_PASS;
    return sock->life == LIFE_KERNEL ? SOCK_PASS : udp_sock_receive(sock, fd, message, flags);
}

ssize_t sock_recvmsg(struct sock *sock, int fd, struct msghdr *message, int flags)
{
    if (sock_claimed(sock, fd) == SOCK_PASS)
        return SOCK_PASS;
    return receive_message(sock, fd, message, flags);
}

int sock_sendmmsg(struct sock *sock, int fd, struct mmsghdr *vector, unsigned count, int flags)
{
    unsigned done = 0;

    if (sock_claimed(sock, fd) == SOCK_PASS)
        return SOCK_PASS;
    count = count < CURSOR_IOV_MAX ? count : CURSOR_IOV_MAX;
    while (done < count) {
        ssize_t sent = send_message(sock, fd, &vector[done].msg_hdr, flags);

        if (sent == SOCK_PASS && done > 0)
            break; /* the rest is a call to the kernel */
        if (sent < 0)
            return done > 0 ? (int)done : (int)sent;
        vector[done++].msg_len = (unsigned)sent;
    }
    return (int)done;
}

int sock_recvmmsg(struct sock *sock, int fd, struct mmsghdr *vector, unsigned count, int flags,
                  struct timespec *timeout)
{
    uint64_t deadline_ns = UINT64_MAX;
    unsigned done = 0;

    if (sock_claimed(sock, fd) == SOCK_PASS)
        return SOCK_PASS;
    if (timeout)
        deadline_ns = platform_now_ns() + (uint64_t)timeout->tv_sec * NS_PER_S + (uint64_t)timeout->tv_nsec;
    while (done < count) {
        int wait_flags = done > 0 && (flags & MSG_WAITFORONE) ? MSG_DONTWAIT : 0;
        ssize_t received = receive_message(sock, fd, &vector[done].msg_hdr, (flags & ~MSG_WAITFORONE) | wait_flags);

        if (received < 0)
            return done > 0 ? (int)done : (int)received;
        vector[done++].msg_len = (unsigned)received;
        /* As in the kernel the timeout is looked at after each datagram. */
        if (timeout && platform_now_ns() >= deadline_ns)
            break;
    }
    return (int)done;
}

/* Copies through a buffer: *position moves on by what was sent. */
static ssize_t copy_file(struct sock *sock, int fd, int in_fd, off_t *position, size_t count)
{
    char buffer[SENDFILE_BYTES];
    size_t total = 0;
    off_t size = sys_regular_size(in_fd);

    /* What comes last must not be held back for more: count may reach beyond the end. */
    if (size >= 0 && (off_t)count > size - *position)
        count = size > *position ? (size_t)(size - *position) : 0;

    while (total < count) {
        size_t wanted = count - total < sizeof buffer ? count - total : sizeof buffer;
        ssize_t length = sys_pread(in_fd, buffer, wanted, *position);
        struct iovec iov = {buffer, length > 0 ? (size_t)length : 0};
        ssize_t sent;

        if (length < 0)
            return total > 0 ? (ssize_t)total : (length == -ESPIPE ? -EINVAL : length);
        if (length == 0)
            break;
        sent = tcp_sock_send(sock, fd, &iov, 1, size >= 0 && total + iov.iov_len < count ? MSG_MORE : 0);
        if (sent < 0)
            return total > 0 ? (ssize_t)total : sent;
        *position += sent;
        total += (size_t)sent;
        if ((size_t)sent < iov.iov_len)
            break;
    }
    return (ssize_t)total;
}

ssize_t sock_sendfile(struct sock *sock, int fd, int in_fd, off_t *offset, size_t count)
{
    off_t position;
    ssize_t sent;

    if (sock_claimed(sock, fd) == SOCK_PASS)
        return SOCK_PASS;
    if (!sock->stream || sock->life != LIFE_CONNECTION)
        return SOCK_PASS;
    position = offset ? *offset : sys_lseek(in_fd, 0, SEEK_CUR);
    if (position < 0)
        return offset || position != -ESPIPE ? (position == -EBADF ? -EBADF : -EINVAL) : -EINVAL;
    sent = copy_file(sock, fd, in_fd, &position, count < INT_MAX ? count : INT_MAX);
    if (sent > 0 && offset)
        *offset = position;
    else if (sent > 0)
        sys_lseek(in_fd, position, SEEK_SET);
    return sent;
}
