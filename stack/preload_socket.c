/* SPDX-License-Identifier: BSD-2-Clause */
/* Interposed: making, naming, connecting and configuring sockets. */
#include <sys/socket.h>

#include "stack/epoll.h"
#include "stack/preload.h"

int __connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len);

static bool used;

bool preload_sockets_used(void)
{
    return __atomic_load_n(&used, __ATOMIC_RELAXED) || epoll_used();
}

int socket(int domain, int type, int protocol)
{
    int result = sock_socket(domain, type, protocol);

    if (result >= 0 && sock_known(result))
        __atomic_store_n(&used, true, __ATOMIC_RELAXED);
    return (int)preload_result(result);
}

int bind(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
    struct sock *sock = sock_get(fd);
    int result = SOCK_PASS;

    if (sock) {
        result = sock_bind(sock, fd, addr.__sockaddr__, len);
        sock_put(sock);
    }
    return result == SOCK_PASS ? libc_real()->bind(fd, addr, len) : (int)preload_result(result);
}

int listen(int fd, int backlog)
{
    struct sock *sock = sock_get(fd);
    int result = SOCK_PASS;

    if (sock) {
        result = sock_listen(sock, fd, backlog);
        sock_put(sock);
    }
    return result == SOCK_PASS ? libc_real()->listen(fd, backlog) : (int)preload_result(result);
}

int accept4(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len, int flags)
{
    struct sock *sock = preload_blocking(fd);
    int result = SOCK_PASS;

    if (sock) {
        result = sock_accept(sock, fd, addr.__sockaddr__, len, flags);
        sock_put(sock);
    }
    return result == SOCK_PASS ? libc_real()->accept4(fd, addr, len, flags) : (int)preload_result(result);
}

int accept(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len)
{
    return sock_known(fd) ? accept4(fd, addr, len, 0) : libc_real()->accept(fd, addr, len);
}

int connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
    struct sock *sock = preload_blocking(fd);
    int result = SOCK_PASS;

    if (sock) {
        result = sock_connect(sock, fd, addr.__sockaddr__, len);
        sock_put(sock);
    }
    return result == SOCK_PASS ? libc_real()->connect(fd, addr, len) : (int)preload_result(result);
}

int __connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len) __attribute__((alias("connect")));

int shutdown(int fd, int how)
{
    struct sock *sock = sock_get(fd);
    int result = SOCK_PASS;

    if (sock) {
        result = sock_shutdown(sock, fd, how);
        sock_put(sock);
    }
    return result == SOCK_PASS ? libc_real()->shutdown(fd, how) : (int)preload_result(result);
}

int getsockname(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len)
{
    struct sock *sock = sock_get(fd);
    int result = SOCK_PASS;

    if (sock) {
        result = sock_getsockname(sock, fd, addr.__sockaddr__, len);
        sock_put(sock);
    }
    return result == SOCK_PASS ? libc_real()->getsockname(fd, addr, len) : (int)preload_result(result);
}

int getpeername(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len)
{
    struct sock *sock = sock_get(fd);
    int result = SOCK_PASS;

    if (sock) {
        result = sock_getpeername(sock, fd, addr.__sockaddr__, len);
        sock_put(sock);
    }
    return result == SOCK_PASS ? libc_real()->getpeername(fd, addr, len) : (int)preload_result(result);
}

int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict len)
{
    struct sock *sock = sock_get(fd);
    int result = SOCK_PASS;

    if (sock) {
        result = sock_getsockopt(sock, fd, level, name, value, len);
        sock_put(sock);
    }
    return result == SOCK_PASS ? libc_real()->getsockopt(fd, level, name, value, len) : (int)preload_result(result);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    struct sock *sock = sock_get(fd);
    int result = SOCK_PASS;

    if (sock) {
        result = sock_setsockopt(sock, fd, level, name, value, len);
        sock_put(sock);
    }
    return result == SOCK_PASS ? libc_real()->setsockopt(fd, level, name, value, len) : (int)preload_result(result);
}

/* Urgent data is the kernel's business, so no accelerated socket is ever at the mark. */
int sockatmark(int fd)
{
    return sock_known(fd) ? 0 : libc_real()->sockatmark(fd);
}
