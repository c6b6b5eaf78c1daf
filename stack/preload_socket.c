/* SPDX-License-Identifier: BSD-2-Clause */
/* Interposed: making, naming, connecting and configuring sockets. */
#include <sys/socket.h>

#include "stack/epoll.h"
#include "stack/preload.h"
#include "stack/sys.h"

int __connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len);

static bool used;

bool preload_sockets_used(void)
{
    return __atomic_load_n(&used, __ATOMIC_RELAXED) || epoll_used();
}

int socket(int domain, int type, int protocol)
{
    int result;

    if (!preload_usable())
        return (int)preload_result(sys_socket(domain, type, protocol));
    stack_busy_begin();
    result = sock_socket(domain, type, protocol);
    if (result >= 0 && sock_known(result))
        __atomic_store_n(&used, true, __ATOMIC_RELAXED);
    stack_busy_end();
    return (int)preload_result(result);
}

int bind(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
    struct sock *sock = preload_enter(fd);
    int result = sock ? sock_bind(sock, fd, addr.__sockaddr__, len) : SOCK_PASS;

    preload_leave(sock);
    return result == SOCK_PASS ? libc_real()->bind(fd, addr, len) : (int)preload_result(result);
}

int listen(int fd, int backlog)
{
    struct sock *sock = preload_enter(fd);
    int result = sock ? sock_listen(sock, fd, backlog) : SOCK_PASS;

    preload_leave(sock);
    return result == SOCK_PASS ? libc_real()->listen(fd, backlog) : (int)preload_result(result);
}

int accept4(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len, int flags)
{
    struct sock *sock;
    int result;

    do {
        sock = preload_enter_blocking(fd);
        result = sock ? sock_accept(sock, fd, addr.__sockaddr__, len, flags) : SOCK_PASS;
    } while (preload_again(sock, result));
    return result == SOCK_PASS ? libc_real()->accept4(fd, addr, len, flags) : (int)preload_result(result);
}

int accept(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len)
{
    return sock_known(fd) ? accept4(fd, addr, len, 0) : libc_real()->accept(fd, addr, len);
}

int connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
    struct sock *sock;
    int result;

    do {
        sock = preload_enter_blocking(fd);
        result = sock ? sock_connect(sock, fd, addr.__sockaddr__, len) : SOCK_PASS;
    } while (preload_again(sock, result));
    return result == SOCK_PASS ? libc_real()->connect(fd, addr, len) : (int)preload_result(result);
}

int __connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len) __attribute__((alias("connect")));

int shutdown(int fd, int how)
{
    struct sock *sock = preload_enter(fd);
    int result = sock ? sock_shutdown(sock, fd, how) : SOCK_PASS;

    preload_leave(sock);
    return result == SOCK_PASS ? libc_real()->shutdown(fd, how) : (int)preload_result(result);
}

int getsockname(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len)
{
    struct sock *sock = preload_enter(fd);
    int result = sock ? sock_getsockname(sock, fd, addr.__sockaddr__, len) : SOCK_PASS;

    preload_leave(sock);
    return result == SOCK_PASS ? libc_real()->getsockname(fd, addr, len) : (int)preload_result(result);
}

int getpeername(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len)
{
    struct sock *sock = preload_enter(fd);
    int result = sock ? sock_getpeername(sock, fd, addr.__sockaddr__, len) : SOCK_PASS;

    preload_leave(sock);
    return result == SOCK_PASS ? libc_real()->getpeername(fd, addr, len) : (int)preload_result(result);
}

int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict len)
{
    struct sock *sock = preload_enter(fd);
    int result = sock ? sock_getsockopt(sock, fd, level, name, value, len) : SOCK_PASS;

    preload_leave(sock);
    return result == SOCK_PASS ? libc_real()->getsockopt(fd, level, name, value, len) : (int)preload_result(result);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    struct sock *sock = preload_enter(fd);
    int result = sock ? sock_setsockopt(sock, fd, level, name, value, len) : SOCK_PASS;

    preload_leave(sock);
    return result == SOCK_PASS ? libc_real()->setsockopt(fd, level, name, value, len) : (int)preload_result(result);
}

/* Urgent data is the kernel's business, so no accelerated socket is ever at the mark. */
int sockatmark(int fd)
{
    return sock_known(fd) ? 0 : libc_real()->sockatmark(fd);
}
