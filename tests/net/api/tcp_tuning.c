/* SPDX-License-Identifier: BSD-2-Clause */
/* Options that change how TCP behaves: they do so, or the socket is the kernel's. */
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

static void gives_up(int option, int value, int64_t at_least_ms, int64_t at_most_ms)
{
    union address nowhere = to_blackhole(5);
    int fd = tcp_socket();
    int64_t begin = now_ms();

    set_option(fd, IPPROTO_TCP, option, value);
    FAILS(connect(fd, SA(&nowhere)), ETIMEDOUT);
    CHECK(now_ms() - begin >= at_least_ms);
    CHECK(now_ms() - begin <= at_most_ms);
    close(fd);
}

static void syn_count(void)
{
    gives_up(TCP_SYNCNT, 1, 2500, 6000);
}

static void user_timeout_of_connect(void)
{
    gives_up(TCP_USER_TIMEOUT, 400, 350, 4000);
}

static void user_timeout(void)
{
    int fd = tcp_pair();
    int64_t begin = now_ms();

    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 500);
    while (send(fd, (char[4096]){0}, 4096, MSG_DONTWAIT) > 0 || !(poll_one(fd, POLLERR, 20) & POLLERR))
        CHECK(now_ms() - begin < 8000); /* the peer's window closes, and nothing moves any more */
    FAILS(send(fd, "x", 1, MSG_NOSIGNAL), ETIMEDOUT);
}

static int unsent(int fd)
{
    int bytes;

    OK(ioctl(fd, SIOCOUTQNSD, &bytes));
    return bytes;
}

/* Until nothing has been taken for a while: the peer's window is full too. */
static size_t fill(int fd)
{
    static char buffer[100000];
    size_t total = 0;
    ssize_t sent;

    do {
        data_fill(buffer, sizeof(buffer), total);
        sent = send(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        total += sent > 0 ? sent : 0;
    } while (sent > 0 || poll_one(fd, POLLOUT, 100));
    return total;
}

static void unsent_low_water(void)
{
    int fd = tcp_pair();

    set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 20000);
    size_t total = fill(fd);
    CHECK(unsent(fd) > 0 && unsent(fd) < 20000 + 2 * 65536);
    EQUAL(poll_one(fd, POLLOUT, 20), 0);
    EQUAL(peer("receive 1 %zu 0", total), total);
    EQUAL(poll_one(fd, POLLOUT, 3000), POLLOUT);
    EQUAL(unsent(fd), 0);
    EQUAL(send(fd, "x", 1, 0), 1);
}

/* A small window carries all data, also while nobody reads. */
static void window_clamp(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    int fd = tcp_socket();

    set_option(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, 8000);
    connect_to(fd, port);
    peer("accept 0 1");
    EQUAL(peer("send 1 40000 0"), 40000);
    EVENTUALLY(peer("unsent 1") == 0);
    peer("bg 1 send 1 500000 40000");
    EQUAL(data_receive(fd, 540000, 0, 0), 540000);
    EQUAL(peer("fin 1"), 500000);
}

static void deferred_accept(void)
{
    uint16_t port;
    int listener = tcp_listener(&port);

    set_option(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
    peer("dial 1 %s %u", api.self, port);
    peer("dial 2 %s %u", api.self, port);
    EQUAL(poll_one(listener, POLLIN, 50), 0);
    set_nonblocking(listener, true);
    FAILS(accept(listener, NULL, NULL), EAGAIN);
    peer("send 2 100 0");
    CHECK(poll_one(listener, POLLIN, 3000) & POLLIN);
    int fd = OK(accept(listener, NULL, NULL)); /* the second one: it has said something */
    EQUAL(data_receive(fd, 100, 0, 0), 100);
    FAILS(accept(listener, NULL, NULL), EAGAIN);
    peer("send 1 50 0");
    CHECK(poll_one(listener, POLLIN, 3000) & POLLIN);
    EQUAL(data_receive(OK(accept(listener, NULL, NULL)), 50, 0, 0), 50);
}

static void fast_open(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    int fd = tcp_socket();

    set_option(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
    connect_to(fd, port);
    EQUAL(data_send(fd, 100, 0, 0), 100);
    peer("accept 0 1");
    EQUAL(peer("receive 1 100 0"), 100);
}

/* An option that only the kernel has, while the handshake is still under way. */
static void too_early(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    union address server = to_server(port);
    int fd = tcp_socket();
    char buffer[10];

    set_nonblocking(fd, true);
    FAILS(connect(fd, SA(&server)), EINPROGRESS);
    set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);
    EQUAL(poll_one(fd, POLLOUT, 3000), POLLOUT);
    peer("accept 0 1");
    set_nonblocking(fd, false);
    EQUAL(data_send(fd, 100, 0, 0), 100);
    EQUAL(peer("receive 1 100 0"), 100);
    peer("oob 1");
    EQUAL(recv(fd, buffer, 10, 0), 1);
    EQUAL(buffer[0], '!');
}

const struct api_case tcp_tuning_cases[] = {
    {"tcp.tuning.syn_count", syn_count},
    {"tcp.tuning.user_timeout_of_connect", user_timeout_of_connect},
    {"tcp.tuning.user_timeout", user_timeout, CASE_PAIR},
    {"tcp.tuning.unsent_low_water", unsent_low_water, CASE_PAIR},
    {"tcp.tuning.window_clamp", window_clamp},
    {"tcp.tuning.deferred_accept", deferred_accept},
    {"tcp.tuning.fast_open", fast_open},
    {"tcp.tuning.too_early", too_early},
    {0},
};
