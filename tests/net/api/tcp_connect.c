/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP: making connections. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

/* A port at the peer where nothing listens. */
static uint16_t closed_port(void)
{
    uint16_t port = peer("server 9 %s", api.server);

    peer("close 9");
    return port;
}

static int connect_nonblocking(uint16_t port)
{
    union address server = to_server(port);
    int fd = tcp_socket();

    set_nonblocking(fd, true);
    FAILS(connect(fd, SA(&server)), EINPROGRESS);
    return fd;
}

static void blocking(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    int fd = tcp_socket();

    connect_to(fd, port);
    peer("accept 0 1");
    EQUAL(peer("peerport 1"), local_port(fd));
    EQUAL(data_send(fd, 100, 0, 0), 100);
    EQUAL(peer("receive 1 100 0"), 100);
    EQUAL(close(fd), 0);
    EQUAL(peer("eof 1"), 0);
}

static void nonblocking(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    int fd = connect_nonblocking(port);
    union address server = to_server(port);

    EQUAL(poll_one(fd, POLLOUT, 3000), POLLOUT);
    EQUAL(get_option(fd, SOL_SOCKET, SO_ERROR), 0);
    EQUAL(connect(fd, SA(&server)), 0); /* the first call after completion tells so */
    FAILS(connect(fd, SA(&server)), EISCONN);
    peer("accept 0 1");
    set_nonblocking(fd, false);
    EQUAL(data_send(fd, 1000, 0, 0), 1000);
    EQUAL(peer("receive 1 1000 0"), 1000);
}

static void socket_nonblock_flag(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    union address server = to_server(port);
    int fd = OK(socket(api.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));

    CHECK(OK(fcntl(fd, F_GETFL)) & O_NONBLOCK);
    CHECK(OK(fcntl(fd, F_GETFD)) & FD_CLOEXEC);
    FAILS(connect(fd, SA(&server)), EINPROGRESS);
    EQUAL(poll_one(fd, POLLOUT, 3000), POLLOUT);
}

static void in_progress(void)
{
    union address nowhere = to_blackhole(5);
    int fd = tcp_socket();
    char byte = 0;

    set_nonblocking(fd, true);
    FAILS(connect(fd, SA(&nowhere)), EINPROGRESS);
    FAILS(connect(fd, SA(&nowhere)), EALREADY);
    EQUAL(poll_one(fd, POLLIN | POLLOUT, 100), 0);
    EQUAL(get_option(fd, SOL_SOCKET, SO_ERROR), 0);
    FAILS(send(fd, &byte, 1, MSG_NOSIGNAL), EAGAIN);
    FAILS(recv(fd, &byte, 1, 0), EAGAIN);
    EQUAL(close(fd), 0);
}

static void refused(void)
{
    union address server = to_server(closed_port());
    int fd = tcp_socket();

    FAILS(connect(fd, SA(&server)), ECONNREFUSED);
    EQUAL(get_option(fd, SOL_SOCKET, SO_ERROR), 0);
}

static void refused_nonblocking(void)
{
    int fd = connect_nonblocking(closed_port());
    int events = poll_one(fd, POLLIN | POLLOUT, 3000);
    char byte;

    CHECK(events & POLLERR);
    CHECK(events & POLLHUP);
    EQUAL(get_option(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    EQUAL(get_option(fd, SOL_SOCKET, SO_ERROR), 0);
    EQUAL(recv(fd, &byte, 1, 0), 0);
    FAILS(send(fd, &byte, 1, MSG_NOSIGNAL), EPIPE);
}

static void refused_told_by_recv(void)
{
    int fd = connect_nonblocking(closed_port());
    char byte;

    CHECK(poll_one(fd, POLLIN, 3000) & POLLERR);
    FAILS(recv(fd, &byte, 1, 0), ECONNREFUSED);
    EQUAL(recv(fd, &byte, 1, 0), 0);
}

static void refused_then_again(void)
{
    union address server = to_server(closed_port());
    int fd = tcp_socket();

    FAILS(connect(fd, SA(&server)), ECONNREFUSED);
    FAILS(connect(fd, SA(&server)), ECONNREFUSED);
    uint16_t port = peer("server 0 %s", api.server);
    connect_to(fd, port);
    peer("accept 0 1");
    EQUAL(data_send(fd, 10, 0, 0), 10);
    EQUAL(peer("receive 1 10 0"), 10);
}

static void send_timeout(void)
{
    union address nowhere = to_blackhole(5);
    struct timeval limit = {0, 200000};
    int fd = tcp_socket();

    OK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)));
    int64_t begin = now_ms();
    FAILS(connect(fd, SA(&nowhere)), EINPROGRESS);
    CHECK(now_ms() - begin >= 190);
    FAILS(connect(fd, SA(&nowhere)), EALREADY);
}

static void on_alarm(int number)
{
    (void)number;
}

static void interrupted(void)
{
    union address nowhere = to_blackhole(5);
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval often = {{0, 100000}, {0, 100000}};
    int fd = tcp_socket();

    OK(sigaction(SIGALRM, &action, NULL));
    OK(setitimer(ITIMER_REAL, &often, NULL));
    FAILS(connect(fd, SA(&nowhere)), EINTR);
    set_nonblocking(fd, true);
    FAILS(connect(fd, SA(&nowhere)), EALREADY);
}

static void no_route(void)
{
    union address far = to_text(api.family == AF_INET6 ? "2001:db8::1" : "192.0.2.1", 80);
    int fd = tcp_socket();

    FAILS(connect(fd, SA(&far)), ENETUNREACH);
    close(fd);
    fd = tcp_socket();
    set_nonblocking(fd, true);
    FAILS(connect(fd, SA(&far)), ENETUNREACH);
}

static void twice(void)
{
    int fd = tcp_pair();
    union address server = to_server(9);

    FAILS(connect(fd, SA(&server)), EISCONN);
}

static void wrong_addresses(void)
{
    union address server = to_server(9), other = {.any.sa_family = AF_UNIX};
    int fd = tcp_socket();

    FAILS(connect(fd, &other.any, sizeof(other.v6)), EAFNOSUPPORT);
    FAILS(connect(fd, &server.any, sizeof(server.any.sa_family)), EINVAL);
    FAILS(connect(fd, &server.any, 1), EINVAL);
}

static void not_connected(void)
{
    int fd = tcp_socket();
    union address address;
    socklen_t length = sizeof(address);
    char byte = 0;

    EQUAL(poll_one(fd, POLLIN | POLLOUT | POLLRDHUP, 0), POLLOUT | POLLHUP);
    FAILS(getpeername(fd, &address.any, &length), ENOTCONN);
    FAILS(recv(fd, &byte, 1, 0), ENOTCONN);
    FAILS(read(fd, &byte, 1), ENOTCONN);
    FAILS(send(fd, &byte, 1, MSG_NOSIGNAL), EPIPE);
    FAILS(shutdown(fd, SHUT_WR), ENOTCONN);
    FAILS(shutdown(fd, SHUT_RD), ENOTCONN);
    EQUAL(local_port(fd), 0);
}

static void from_bound_port(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    union address self = to_self(0);
    int fd = tcp_socket();

    OK(bind(fd, SA(&self)));
    uint16_t own = local_port(fd);
    CHECK(own);
    connect_to(fd, port);
    EQUAL(local_port(fd), own);
    peer("accept 0 1");
    EQUAL(peer("peerport 1"), own);
}

static void from_bound_wildcard(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    union address any = to_any(0), self = to_self(0), name;
    socklen_t length = sizeof(name);
    int fd = tcp_socket();

    OK(bind(fd, SA(&any)));
    uint16_t own = local_port(fd);
    connect_to(fd, port);
    OK(getsockname(fd, &name.any, &length));
    EQUAL(length, address_length(&self));
    EQUAL(address_port(&name), own);
    if (api.family == AF_INET)
        CHECK(name.v4.sin_addr.s_addr == self.v4.sin_addr.s_addr);
    else
        CHECK(!memcmp(&name.v6.sin6_addr, &self.v6.sin6_addr, 16));
}

static void names(void)
{
    int fd = tcp_pair();
    union address name, server = to_server(0), self = to_self(0);
    socklen_t length = sizeof(name);

    memset(&name, 0xff, sizeof(name));
    OK(getpeername(fd, &name.any, &length));
    EQUAL(length, address_length(&server));
    EQUAL(address_port(&name), peer("port 1"));
    EQUAL(name.any.sa_family, api.family);
    if (api.family == AF_INET)
        CHECK(name.v4.sin_addr.s_addr == server.v4.sin_addr.s_addr);
    else
        CHECK(!memcmp(&name.v6.sin6_addr, &server.v6.sin6_addr, 16) && name.v6.sin6_scope_id == 0);
    length = sizeof(name);
    OK(getsockname(fd, &name.any, &length));
    EQUAL(length, address_length(&self));
    EQUAL(address_port(&name), peer("peerport 1"));
    length = 4; /* cut to what fits, and the full length told */
    memset(&name, 0xff, sizeof(name));
    OK(getpeername(fd, &name.any, &length));
    EQUAL(length, address_length(&self));
    EQUAL(ntohs(name.v4.sin_port), peer("port 1"));
    CHECK(((unsigned char *)&name)[4] == 0xff);
}

static void disconnect(void)
{
    int fd = tcp_pair();
    union address nobody = {.any.sa_family = AF_UNSPEC};
    char byte = 0;

    OK(connect(fd, &nobody.any, sizeof(nobody.any)));
    EQUAL(peer_try("eof 1"), -ECONNRESET);
    EQUAL(send(fd, &byte, 1, MSG_NOSIGNAL), -1); /* ECONNRESET once on the kernel */
    FAILS(send(fd, &byte, 1, MSG_NOSIGNAL), EPIPE);
    uint16_t port = peer("server 2 %s", api.server);
    connect_to(fd, port);
    peer("accept 2 3");
    EQUAL(data_send(fd, 10, 0, 0), 10);
    EQUAL(peer("receive 3 10 0"), 10);
}

static void one_after_the_other(void)
{
    uint16_t port = peer("server 0 %s", api.server);

    for (int i = 0; i < 100; i++) {
        int fd = tcp_socket();
        connect_to(fd, port);
        peer("accept 0 1");
        EQUAL(data_send(fd, 33, i, 0), 33);
        EQUAL(peer("receive 1 33 %d", i), 33);
        EQUAL(close(fd), 0);
        EQUAL(peer("eof 1"), 0);
        peer("close 1");
    }
}

static void close_in_progress(void)
{
    union address nowhere = to_blackhole(5);

    for (int i = 0; i < 20; i++) {
        int fd = tcp_socket();
        set_nonblocking(fd, true);
        FAILS(connect(fd, SA(&nowhere)), EINPROGRESS);
        EQUAL(close(fd), 0);
    }
    int fd = tcp_pair();
    EQUAL(data_send(fd, 10, 0, 0), 10);
    EQUAL(peer("receive 1 10 0"), 10);
}

/* Data may be there before accept is called. */
static void data_before_accept(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    int fd = tcp_socket();

    connect_to(fd, port);
    EQUAL(data_send(fd, 5000, 0, 0), 5000);
    EQUAL(close(fd), 0);
    peer("sleep 20");
    peer("accept 0 1");
    EQUAL(peer("receive 1 6000 0"), 5000);
}

const struct api_case tcp_connect_cases[] = {
    {"tcp.connect.blocking", blocking},
    {"tcp.connect.nonblocking", nonblocking},
    {"tcp.connect.socket_nonblock_flag", socket_nonblock_flag},
    {"tcp.connect.in_progress", in_progress},
    {"tcp.connect.refused", refused},
    {"tcp.connect.refused_nonblocking", refused_nonblocking},
    {"tcp.connect.refused_told_by_recv", refused_told_by_recv},
    {"tcp.connect.refused_then_again", refused_then_again},
    {"tcp.connect.send_timeout", send_timeout},
    {"tcp.connect.interrupted", interrupted},
    {"tcp.connect.no_route", no_route},
    {"tcp.connect.twice", twice, CASE_PAIR},
    {"tcp.connect.wrong_addresses", wrong_addresses},
    {"tcp.connect.not_connected", not_connected},
    {"tcp.connect.from_bound_port", from_bound_port},
    {"tcp.connect.from_bound_wildcard", from_bound_wildcard},
    {"tcp.connect.names", names, CASE_PAIR},
    {"tcp.connect.disconnect", disconnect, CASE_PAIR},
    {"tcp.connect.one_after_the_other", one_after_the_other},
    {"tcp.connect.close_in_progress", close_in_progress},
    {"tcp.connect.data_before_accept", data_before_accept},
    {0},
};
