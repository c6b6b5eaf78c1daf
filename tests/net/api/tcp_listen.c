/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP: listening and accepting; the peer connects. */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

static void works(int fd, int number)
{
    EQUAL(data_send(fd, 5000, number, 0), 5000);
    EQUAL(peer("receive %d 5000 %d", number, number), 5000);
    EQUAL(peer("send %d 5000 %d", number, number), 5000);
    EQUAL(data_receive(fd, 5000, number, 0), 5000);
}

static int bound_listener(union address *address, int reuse_port)
{
    int fd = tcp_socket();

    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set_option(fd, SOL_SOCKET, SO_REUSEPORT, reuse_port);
    OK(bind(fd, SA(address)));
    listen_now(fd, 16);
    return fd;
}

static void accept_one(void)
{
    uint16_t port;
    int listener = tcp_listener(&port);

    peer("bg 1 dial 1 %s %u", api.self, port);
    int fd = OK(accept(listener, NULL, NULL));
    peer("fin 1");
    EQUAL(local_port(fd), port);
    works(fd, 1);
    EQUAL(local_port(listener), port);
}

static void accept_address(void)
{
    uint16_t port;
    int listener = tcp_listener(&port);
    union address from, server = to_server(0);
    socklen_t length = sizeof(from);

    peer("dial 1 %s %u", api.self, port);
    memset(&from, 0xff, sizeof(from));
    OK(accept(listener, &from.any, &length));
    EQUAL(length, address_length(&server));
    EQUAL(from.any.sa_family, api.family);
    EQUAL(address_port(&from), peer("port 1"));
    if (api.family == AF_INET)
        CHECK(from.v4.sin_addr.s_addr == server.v4.sin_addr.s_addr);
    else
        CHECK(!memcmp(&from.v6.sin6_addr, &server.v6.sin6_addr, 16));
    peer("dial 2 %s %u", api.self, port);
    length = 4;
    memset(&from, 0xff, sizeof(from));
    OK(accept(listener, &from.any, &length));
    EQUAL(length, address_length(&server));
    CHECK(((unsigned char *)&from)[4] == 0xff);
}

static void accept_flags(void)
{
    uint16_t port;
    int listener = tcp_listener(&port);

    set_nonblocking(listener, true);
    OK(fcntl(listener, F_SETFD, FD_CLOEXEC));
    for (int i = 1; i <= 4; i++)
        peer("dial %d %s %u", i, api.self, port);
    for (int i = 0; i < 4; i++) {
        int flags = (i & 1 ? SOCK_NONBLOCK : 0) | (i & 2 ? SOCK_CLOEXEC : 0);
        CHECK(poll_one(listener, POLLIN, 3000) == POLLIN);
        int fd = OK(accept4(listener, NULL, NULL, flags));
        EQUAL(!!(OK(fcntl(fd, F_GETFL)) & O_NONBLOCK), i & 1);
        EQUAL(OK(fcntl(fd, F_GETFD)) & FD_CLOEXEC, i >> 1);
    }
    FAILS(accept4(listener, NULL, NULL, 0x1000), EINVAL);
}

static void accept_inherits(void)
{
    uint16_t port;
    int listener = tcp_listener(&port);

    set_option(listener, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(listener, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(listener, IPPROTO_TCP, TCP_KEEPIDLE, 55);
    set_option(listener, SOL_SOCKET, SO_SNDBUF, 30000);
    set_option(listener, SOL_SOCKET, SO_RCVBUF, 20000);
    peer("dial 1 %s %u", api.self, port);
    int fd = OK(accept(listener, NULL, NULL));
    EQUAL(get_option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    EQUAL(get_option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    EQUAL(get_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 55);
    EQUAL(get_option(fd, SOL_SOCKET, SO_SNDBUF), 60000);
    EQUAL(get_option(fd, SOL_SOCKET, SO_RCVBUF), 40000);
    works(fd, 1);
}

static void nonblocking(void)
{
    uint16_t port;
    int listener = tcp_listener(&port);

    set_nonblocking(listener, true);
    FAILS(accept(listener, NULL, NULL), EAGAIN);
    EQUAL(poll_one(listener, POLLIN, 0), 0);
    peer("dial 1 %s %u", api.self, port);
    EQUAL(poll_one(listener, POLLIN | POLLOUT, 3000), POLLIN);
    int fd = OK(accept(listener, NULL, NULL));
    FAILS(accept(listener, NULL, NULL), EAGAIN);
    EQUAL(poll_one(listener, POLLIN, 0), 0);
    works(fd, 1);
}

static void timeout(void)
{
    uint16_t port;
    int listener = tcp_listener(&port);
    struct timeval limit = {0, 100000};
    int64_t begin = now_ms();

    OK(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
    FAILS(accept(listener, NULL, NULL), EAGAIN);
    CHECK(now_ms() - begin >= 95);
    peer("dial 1 %s %u", api.self, port);
    works(OK(accept(listener, NULL, NULL)), 1);
}

static void errors(void)
{
    uint16_t port;
    int listener = tcp_listener(&port), plain = tcp_socket(), udp = udp_socket(), pair = tcp_pair();
    union address server = to_server(9);
    char byte = 0;

    FAILS(accept(plain, NULL, NULL), EINVAL);
    FAILS(accept(udp, NULL, NULL), EOPNOTSUPP);
    FAILS(listen(udp, 5), EOPNOTSUPP);
    FAILS(accept(pair, NULL, NULL), EINVAL);
    FAILS(listen(pair, 5), EINVAL);
    FAILS(recv(listener, &byte, 1, 0), ENOTCONN);
    FAILS(send(listener, &byte, 1, MSG_NOSIGNAL), EPIPE);
    FAILS(connect(listener, SA(&server)), EISCONN);
    union address name;
    socklen_t length = sizeof(name);
    FAILS(getpeername(listener, &name.any, &length), ENOTCONN);
    OK(listen(listener, 100)); /* again: another backlog */
    peer("dial 2 %s %u", api.self, port);
    works(OK(accept(listener, NULL, NULL)), 2);
}

static void without_bind(void)
{
    int listener = tcp_socket();

    listen_now(listener, 5);
    uint16_t port = local_port(listener);
    CHECK(port);
    peer("dial 1 %s %u", api.self, port);
    works(OK(accept(listener, NULL, NULL)), 1);
}

static void bind_errors(void)
{
    uint16_t port;
    int listener = tcp_listener(&port), fd = tcp_socket();
    union address self = to_self(port), any = to_any(port), server = to_server(0), zero = to_self(0);

    FAILS(bind(fd, SA(&self)), EADDRINUSE);
    FAILS(bind(fd, SA(&any)), EADDRINUSE);
    FAILS(bind(fd, SA(&server)), EADDRNOTAVAIL);
    FAILS(bind(fd, &zero.any, 3), EINVAL);
    zero.any.sa_family = AF_UNIX;
    FAILS(bind(fd, &zero.any, sizeof(zero)), EAFNOSUPPORT);
    zero.any.sa_family = api.family;
    OK(bind(fd, SA(&zero)));
    FAILS(bind(fd, SA(&zero)), EINVAL);
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    close(fd);
    fd = tcp_socket(); /* SO_REUSEADDR does not help against a listener */
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set_option(listener, SOL_SOCKET, SO_REUSEADDR, 1);
    FAILS(bind(fd, SA(&self)), EADDRINUSE);
}

static void rebind_after_close(void)
{
    uint16_t port;
    int listener = tcp_listener(&port);
    union address self = to_self(port);

    peer("dial 1 %s %u", api.self, port);
    int fd = OK(accept(listener, NULL, NULL));
    close(listener);
    EQUAL(peer_try("dial 2 %s %u", api.self, port), -ECONNREFUSED);
    works(fd, 1);
    int plain = tcp_socket(); /* the connection holds the port */
    FAILS(bind(plain, SA(&self)), EADDRINUSE);
    close(plain);
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    listener = bound_listener(&self, 0);
    peer("dial 3 %s %u", api.self, port);
    works(OK(accept(listener, NULL, NULL)), 3);
    works(fd, 1);
    close(fd); /* ours goes to TIME_WAIT */
    EQUAL(peer("eof 1"), 0);
    peer("close 1");
    close(listener);
    listener = bound_listener(&self, 0);
    peer("dial 4 %s %u", api.self, port);
    works(OK(accept(listener, NULL, NULL)), 4);
}

static void reuse_port(void)
{
    union address self = to_self(0);
    int listener[2] = {0}, got[2] = {0};

    listener[0] = bound_listener(&self, 1);
    self = to_self(local_port(listener[0]));
    listener[1] = bound_listener(&self, 1);
    for (int i = 0; i < 2; i++)
        set_nonblocking(listener[i], true);
    for (int i = 0; i < 40; i++) {
        peer("dial %d %s %u", i, api.self, address_port(&self));
        struct pollfd wait[2] = {{listener[0], POLLIN, 0}, {listener[1], POLLIN, 0}};
        EQUAL(poll(wait, 2, 3000), 1);
        int which = wait[1].revents ? 1 : 0;
        int fd = OK(accept(listener[which], NULL, NULL));
        set_nonblocking(fd, false);
        works(fd, i);
        close(fd);
        got[which]++;
    }
    CHECK(got[0] > 0);
    CHECK(got[1] > 0);
    close(listener[0]);
    for (int i = 0; i < 10; i++) {
        peer("dial %d %s %u", i, api.self, address_port(&self));
        EQUAL(poll_one(listener[1], POLLIN, 3000), POLLIN);
        OK(accept(listener[1], NULL, NULL));
    }
}

static void wildcard(void)
{
    union address any = to_any(0);
    int listener = bound_listener(&any, 0);
    uint16_t port = local_port(listener);

    peer("dial 1 %s %u", api.self, port);
    int fd = OK(accept(listener, NULL, NULL));
    union address name, self = to_self(0);
    socklen_t length = sizeof(name);
    OK(getsockname(fd, &name.any, &length));
    if (api.family == AF_INET)
        CHECK(name.v4.sin_addr.s_addr == self.v4.sin_addr.s_addr);
    else
        CHECK(!memcmp(&name.v6.sin6_addr, &self.v6.sin6_addr, 16));
    works(fd, 1);
    int local = tcp_socket(); /* and connections from here, over loopback */
    union address here = to_loopback(port);
    OK(connect(local, SA(&here)));
    int other = OK(accept(listener, NULL, NULL));
    EQUAL(data_send(local, 1000, 0, 0), 1000);
    EQUAL(data_receive(other, 1000, 0, 0), 1000);
    works(fd, 1);
}

/* A listener of IPv6 takes IPv4 connections too, and shows them as mapped addresses. */
static void dual_stack(void)
{
    int listener = OK(socket(AF_INET6, SOCK_STREAM, 0)), off = 0;
    struct sockaddr_in6 any = {.sin6_family = AF_INET6}, name;
    socklen_t length = sizeof(name);

    OK(setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)));
    OK(bind(listener, (struct sockaddr *)&any, sizeof(any)));
    listen_now(listener, 5);
    peer("dial 1 %s %u", api.self, local_port(listener));
    int fd = OK(accept(listener, (struct sockaddr *)&name, &length));
    EQUAL(length, sizeof(name));
    EQUAL(name.sin6_family, AF_INET6);
    EQUAL(!!IN6_IS_ADDR_V4MAPPED(&name.sin6_addr), api.family == AF_INET);
    EQUAL(ntohs(name.sin6_port), peer("port 1"));
    OK(getsockname(fd, (struct sockaddr *)&name, &length));
    EQUAL(!!IN6_IS_ADDR_V4MAPPED(&name.sin6_addr), api.family == AF_INET);
    OK(getpeername(fd, (struct sockaddr *)&name, &length));
    EQUAL(!!IN6_IS_ADDR_V4MAPPED(&name.sin6_addr), api.family == AF_INET);
    EQUAL(get_option(fd, SOL_SOCKET, SO_DOMAIN), AF_INET6);
    works(fd, 1);
}

static void v6_only(void)
{
    int listener = OK(socket(AF_INET6, SOCK_STREAM, 0));
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};

    set_option(listener, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    OK(bind(listener, (struct sockaddr *)&any, sizeof(any)));
    listen_now(listener, 5);
    long result = peer_try("dial 1 %s %u", api.self, local_port(listener));
    EQUAL(result, api.family == AF_INET ? -ECONNREFUSED : 0);
}

/* A socket of IPv6 connects to an IPv4 address. */
static void mapped_connect(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    char text[64];
    union address mapped, name;
    socklen_t length = sizeof(name);
    int fd = OK(socket(AF_INET6, SOCK_STREAM, 0));

    snprintf(text, sizeof(text), "::ffff:%s", api.server);
    CHECK(address_parse(&mapped, AF_INET6, text, port));
    OK(connect(fd, SA(&mapped)));
    peer("accept 0 1");
    works(fd, 1);
    OK(getpeername(fd, &name.any, &length));
    EQUAL(length, sizeof(name.v6));
    CHECK(!memcmp(&name.v6.sin6_addr, &mapped.v6.sin6_addr, 16));
    OK(getsockname(fd, &name.any, &length));
    CHECK(IN6_IS_ADDR_V4MAPPED(&name.v6.sin6_addr));
}

static void peer_gone_before_accept(void)
{
    uint16_t port;
    int listener = tcp_listener(&port);
    char byte;

    peer("dial 1 %s %u", api.self, port);
    peer("send 1 1000 0");
    peer("close 1");
    peer("dial 2 %s %u", api.self, port);
    peer("reset 2");
    sleep_ms(30);
    int fd = OK(accept(listener, NULL, NULL));
    EQUAL(data_receive(fd, 2000, 0, 0), 1000);
    close(fd);
    fd = OK(accept(listener, NULL, NULL));
    FAILS(recv(fd, &byte, 1, 0), ECONNRESET);
    close(fd);
    peer("dial 3 %s %u", api.self, port);
    works(OK(accept(listener, NULL, NULL)), 3);
}

static void backlog_overflow(void)
{
    union address self = to_self(0);
    int listener = tcp_socket();

    OK(bind(listener, SA(&self)));
    listen_now(listener, 2);
    peer("bg 1 dialall 0 12 %s %u", api.self, local_port(listener));
    sleep_ms(200);
    for (int i = 0; i < 12; i++) {
        int fd = OK(accept(listener, NULL, NULL));
        EQUAL(data_send(fd, 100, 0, 0), 100);
        OK(shutdown(fd, SHUT_WR));
    }
    EQUAL(peer("fin 1"), 12);
    for (int i = 0; i < 12; i++)
        EQUAL(peer("receive %d 101 0", i), 100);
}

static void close_resets_pending(void)
{
    uint16_t port;
    int listener = tcp_listener(&port);

    peer("dial 1 %s %u", api.self, port);
    peer("dial 2 %s %u", api.self, port);
    EQUAL(poll_one(listener, POLLIN, 3000), POLLIN);
    sleep_ms(20);
    EQUAL(close(listener), 0);
    EQUAL(peer_try("eof 1"), -ECONNRESET);
    EQUAL(peer_try("eof 2"), -ECONNRESET);
    EQUAL(peer_try("dial 3 %s %u", api.self, port), -ECONNREFUSED);
}

static void shut_down(void)
{
    uint16_t port;
    int listener = tcp_listener(&port);

    OK(shutdown(listener, SHUT_RD));
    FAILS(accept(listener, NULL, NULL), EINVAL);
    EQUAL(peer_try("dial 1 %s %u", api.self, port), -ECONNREFUSED);
    listen_now(listener, 5);
    peer("dial 1 %s %u", api.self, local_port(listener)); /* another port, as bind did not ask for one */
    works(OK(accept(listener, NULL, NULL)), 1);
}

static void deferred(void)
{
    uint16_t port;
    int listener = tcp_listener(&port);

    set_option(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 2);
    CHECK(get_option(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT) > 0);
    peer("dial 1 %s %u", api.self, port);
    peer("send 1 100 0");
    int fd = OK(accept(listener, NULL, NULL));
    EQUAL(data_receive(fd, 100, 0, 0), 100);
    works(fd, 1);
}

static void two_ports(void)
{
    uint16_t port[2];
    int listener[2] = {tcp_listener(&port[0]), tcp_listener(&port[1])};

    for (int i = 0; i < 20; i++)
        peer("dial %d %s %u", i, api.self, port[i % 2]);
    for (int i = 0; i < 20; i++) {
        int fd = OK(accept(listener[i % 2], NULL, NULL));
        EQUAL(local_port(fd), port[i % 2]);
        works(fd, i);
        close(fd);
    }
}

const struct api_case tcp_listen_cases[] = {
    {"tcp.listen.accept_one", accept_one},
    {"tcp.listen.accept_address", accept_address},
    {"tcp.listen.accept_flags", accept_flags},
    {"tcp.listen.accept_inherits", accept_inherits},
    {"tcp.listen.nonblocking", nonblocking},
    {"tcp.listen.timeout", timeout},
    {"tcp.listen.errors", errors},
    {"tcp.listen.without_bind", without_bind},
    {"tcp.listen.bind_errors", bind_errors},
    {"tcp.listen.rebind_after_close", rebind_after_close},
    {"tcp.listen.reuse_port", reuse_port},
    {"tcp.listen.wildcard", wildcard},
    {"tcp.listen.dual_stack", dual_stack},
    {"tcp.listen.v6_only", v6_only},
    {"tcp.listen.mapped_connect", mapped_connect, CASE_V4},
    {"tcp.listen.peer_gone_before_accept", peer_gone_before_accept},
    {"tcp.listen.backlog_overflow", backlog_overflow},
    {"tcp.listen.close_resets_pending", close_resets_pending},
    {"tcp.listen.shut_down", shut_down},
    {"tcp.listen.deferred", deferred},
    {"tcp.listen.two_ports", two_ports},
    {0},
};
