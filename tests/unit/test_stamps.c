/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/stamps.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define SECOND 1000000000ll

static uint64_t unused_read(void *context)
{
    (void)context;
    return 0;
}

/* A counter of 2 GHz. */
static struct counter two_ghz(void)
{
    struct counter counter;

    counter_simulated(&counter, 2e9, unused_read, NULL);
    return counter;
}

/* A reading 40 ticks (20 ns) wide around the given counter value. */
static struct counter_bracket bracket_at(uint64_t counter, int64_t clock_ns)
{
    return (struct counter_bracket){counter - 20, counter + 20, clock_ns};
}

static void test_carries_between(void **unused)
{
    struct counter counter = two_ghz();
    struct counter_bracket before = bracket_at(1000000, 5 * SECOND), after = bracket_at(3000000, 5 * SECOND + 1000000);
    struct stamp stamp;

    (void)unused;
    assert_true(stamp_carry(&counter, &before, &after, 5 * SECOND + 250000, &stamp));
    assert_int_equal(stamp.counter, 1500000);
    assert_in_range(stamp.error_ns, 10, 12);
    assert_true(stamp_carry(&counter, &before, &after, 5 * SECOND, &stamp));
    assert_int_equal(stamp.counter, 1000000);
    assert_true(stamp_carry(&counter, &before, &after, 5 * SECOND + 1000000, &stamp));
    assert_int_equal(stamp.counter, 3000000);
    /* Outside, by what the brackets' width explains, and by more. */
    assert_true(stamp_carry(&counter, &before, &after, 5 * SECOND - 50, &stamp));
    assert_int_equal(stamp.counter, 1000000 - 100);
    assert_true(stamp_carry(&counter, &before, &after, 5 * SECOND + 1000050, &stamp));
    assert_int_equal(stamp.counter, 3000000 + 100);
    assert_false(stamp_carry(&counter, &before, &after, 5 * SECOND - 1000, &stamp));
    assert_false(stamp_carry(&counter, &before, &after, 5 * SECOND + 1001000, &stamp));
}

/* Somebody slews the kernel's clock by 500 ppm: its own rate between the brackets counts, not the counter's nominal
 * one. */
static void test_slewed_clock(void **unused)
{
    struct counter counter = two_ghz();
    struct counter_bracket before = bracket_at(1000000, SECOND), after = bracket_at(201000000, SECOND + 100050000);
    struct stamp stamp;

    (void)unused;
    assert_true(stamp_carry(&counter, &before, &after, SECOND + 50025000, &stamp));
    assert_int_equal(stamp.counter, 101000000);
}

/* Somebody steps it, by an hour or by a little, forwards or back: the stamp is not used. */
static void test_stepped_clock(void **unused)
{
    static const int64_t steps[] = {3600 * SECOND, -3600 * SECOND, 100000, -100000, 2000, -2000};
    struct counter counter = two_ghz();
    struct counter_bracket before = bracket_at(1000000, 7200 * SECOND);
    struct stamp stamp;

    (void)unused;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        /* A round trip of 100 us. */
        struct counter_bracket after = bracket_at(1200000, 7200 * SECOND + 100000 + steps[i]);

        assert_false(stamp_brackets_agree(&counter, &before, &after));
        assert_false(stamp_carry(&counter, &before, &after, 7200 * SECOND + 50000, &stamp));
        assert_false(stamp_carry(&counter, &before, &after, 7200 * SECOND + 50000 + steps[i], &stamp));
    }
}

/* The counter went back: not a rate. */
static void test_reversed(void **unused)
{
    struct counter counter = two_ghz();
    struct counter_bracket before = bracket_at(1000000, SECOND), after = bracket_at(900000, SECOND + 50000);

    (void)unused;
    assert_false(stamp_brackets_agree(&counter, &before, &after));
}

static int bind_loopback(int family, struct net_endpoint *local)
{
    struct sockaddr_storage address;
    struct net_endpoint any = {.port = 0};
    socklen_t length;
    int fd = socket(family, SOCK_DGRAM, 0);

    net_addr_parse(family == AF_INET ? "127.0.0.1" : "::1", &any.addr);
    length = net_endpoint_to_sockaddr(&any, family, 0, &address);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0)
        skip();
    length = sizeof(address);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(net_endpoint_from_sockaddr((struct sockaddr *)&address, length, local), 0);
    return fd;
}

static void wait_readable(int fd)
{
    struct pollfd ready = {fd, POLLIN, 0};

    assert_int_equal(poll(&ready, 1, 2000), 1);
}

/* A request and its reply over loopback: both stamped by the kernel, in order, close to each other. */
static void exchange(int family)
{
    struct counter counter;
    char why[192], data[64];
    struct net_endpoint server;
    int fd = bind_loopback(family, &server);
    struct stamp_socket client;
    struct stamp departure, arrival;
    struct sockaddr_storage from;
    socklen_t length = sizeof(from);
    uint64_t ticket, before, after;
    unsigned ttl;

    assert_int_equal(counter_open(COUNTER_MONOTONIC_RAW, &counter, why), 0);
    assert_int_equal(stamp_socket_open(&client, &counter, &server, 0, NULL, 0), 0);
    assert_int_equal(stamp_socket_sent(&client, &ticket, &departure), -EAGAIN);
    before = counter.read(counter.context);
    assert_int_equal(stamp_socket_send(&client, "request", 7, 4711), 0);
    wait_readable(fd);
    assert_int_equal(recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &length), 7);
    assert_int_equal(sendto(fd, "reply!", 6, 0, (struct sockaddr *)&from, length), 6);
    wait_readable(client.fd);
    assert_int_equal(stamp_socket_sent(&client, &ticket, &departure), 0);
    assert_int_equal(stamp_socket_receive(&client, data, sizeof(data), &arrival, &ttl), 6);
    after = counter.read(counter.context);
    assert_int_equal(ticket, 4711);
    assert_int_equal(departure.kind, STAMP_KERNEL);
    assert_int_equal(arrival.kind, STAMP_KERNEL);
    assert_true(before <= departure.counter && departure.counter < arrival.counter && arrival.counter <= after);
    assert_int_not_equal(ttl, 0);
    assert_int_equal(stamp_socket_receive(&client, data, sizeof(data), &arrival, &ttl), -EAGAIN);
    /* The server goes away: ICMP tells. */
    close(fd);
    assert_int_equal(stamp_socket_send(&client, "request", 7, 4712), 0);
    assert_int_equal(stamp_socket_sent(&client, &ticket, &departure), 0);
    assert_int_equal(ticket, 4712);
    assert_int_equal(stamp_socket_receive(&client, data, sizeof(data), &arrival, &ttl), -ECONNREFUSED);
    stamp_socket_close(&client);
}

static void test_exchange(void **unused)
{
    (void)unused;
    exchange(AF_INET);
}

static void test_exchange_v6(void **unused)
{
    (void)unused;
    exchange(AF_INET6);
}

/* Foreign control data of any length must not be read past its end. */
static void test_short_control(void **unused)
{
    _Alignas(struct cmsghdr) char bytes[CMSG_SPACE(1)] = {0};
    struct msghdr message = {.msg_control = bytes, .msg_controllen = sizeof(bytes)};
    static const int types[][2] = {
        {SOL_SOCKET, SO_TIMESTAMPING}, {SOL_IP, IP_TTL},         {SOL_IP, IP_PKTINFO},     {SOL_IP, IP_RECVERR},
        {SOL_IPV6, IPV6_HOPLIMIT},     {SOL_IPV6, IPV6_PKTINFO}, {SOL_IPV6, IPV6_RECVERR}, {SOL_SOCKET, 99},
    };
    struct stamp_control control;

    (void)unused;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);

        cmsg->cmsg_len = CMSG_LEN(1);
        cmsg->cmsg_level = types[i][0];
        cmsg->cmsg_type = types[i][1];
        stamp_control_read(&message, &control);
        assert_int_equal(control.kernel_ns, 0);
        assert_int_equal(control.ttl, 0);
        assert_int_equal(control.error, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_carries_between), cmocka_unit_test(test_slewed_clock),
        cmocka_unit_test(test_stepped_clock),   cmocka_unit_test(test_reversed),
        cmocka_unit_test(test_exchange),        cmocka_unit_test(test_exchange_v6),
        cmocka_unit_test(test_short_control),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
