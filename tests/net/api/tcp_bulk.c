/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP: a lot of data, many connections, slow readers. */
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

#define BULK (64 << 20)

struct transfer {
    int fd;
    size_t length;
    ssize_t result;
};

static void *send_transfer(void *argument)
{
    struct transfer *transfer = argument;

    transfer->result = data_send(transfer->fd, transfer->length, 0, 0);
    return NULL;
}

/* 64 MiB in both directions at once. */
static void both_directions(void)
{
    struct transfer transfer = {tcp_pair(), BULK, 0};
    pthread_t thread;

    peer("bg 1 send 1 %d 99", BULK);
    peer("bg 2 receive 1 %d 0", BULK);
    EQUAL(pthread_create(&thread, NULL, send_transfer, &transfer), 0);
    EQUAL(data_receive(transfer.fd, BULK, 99, 0), BULK);
    EQUAL(pthread_join(thread, NULL), 0);
    EQUAL(transfer.result, BULK);
    EQUAL(peer("fin 1"), BULK);
    EQUAL(peer("fin 2"), BULK);
}

static void out(void)
{
    int fd = tcp_pair();

    peer("bg 1 receive 1 %d 0", BULK);
    EQUAL(data_send(fd, BULK, 0, 1 << 20), BULK);
    EQUAL(peer("fin 1"), BULK);
}

static void in(void)
{
    int fd = tcp_pair();

    peer("bg 1 send 1 %d 0", BULK);
    EQUAL(data_receive(fd, BULK, 0, 1 << 20), BULK);
    EQUAL(peer("fin 1"), BULK);
}

/* Sizes of calls that fit no buffer. */
static void odd_sizes(void)
{
    int fd = tcp_pair();
    size_t offset = 0;

    peer("bg 1 receive 1 9000000 0 1777");
    srandom(1);
    while (offset < 9000000) {
        size_t size = 1 + random() % (random() % 20 ? 3000 : 100000);
        size = size < 9000000 - offset ? size : 9000000 - offset;
        EQUAL(data_send(fd, size, offset, 0), size);
        offset += size;
    }
    EQUAL(peer("fin 1"), 9000000);
    peer("bg 1 send 1 3000000 0 977");
    for (offset = 0; offset < 3000000;) {
        size_t size = 1 + random() % 5000;
        size = size < 3000000 - offset ? size : 3000000 - offset;
        EQUAL(data_receive(fd, size, offset, 0), size);
        offset += size;
    }
    EQUAL(peer("fin 1"), 3000000);
}

static void small_writes(int no_delay)
{
    int fd = tcp_pair();

    set_option(fd, IPPROTO_TCP, TCP_NODELAY, no_delay);
    peer("option 1 %d %d %d", IPPROTO_TCP, TCP_NODELAY, no_delay);
    peer("bg 1 receive 1 200000 0");
    peer("bg 2 send 1 200000 5 13");
    EQUAL(data_send(fd, 200000, 0, 7), 200000);
    EQUAL(peer("fin 1"), 200000);
    EQUAL(data_receive(fd, 200000, 5, 11), 200000);
    peer("fin 2");
}

static void small_writes_nagle(void)
{
    small_writes(0);
}

static void small_writes_no_delay(void)
{
    small_writes(1);
}

/* The peer stops reading until nothing more fits, and goes on later. */
static void peer_reads_late(void)
{
    int fd = tcp_pair();
    char buffer[10000];
    size_t total = 0;
    ssize_t count;

    do {
        data_fill(buffer, sizeof(buffer), total);
        count = send(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        total += count > 0 ? count : 0;
    } while (count > 0 || poll_one(fd, POLLOUT, 300));
    peer("bg 1 receive 1 %zu 0", total + 3000000);
    EQUAL(data_send(fd, 3000000, total, 0), 3000000);
    EQUAL(peer("fin 1"), total + 3000000);
}

static void we_read_late(void)
{
    int fd = tcp_pair(), before = -1, now = 0;

    peer("bg 1 send 1 20000000 0");
    while (now != before) { /* until our buffer is full */
        before = now;
        sleep_ms(200);
        OK(ioctl(fd, FIONREAD, &now));
    }
    CHECK(now > 1000 && now < 20000000);
    EQUAL(data_receive(fd, 20000000, 0, 0), 20000000);
    EQUAL(peer("fin 1"), 20000000);
}

/* A reader that takes little at a time makes the window open and close all the time. */
static void slow_reader(void)
{
    int fd = tcp_pair();

    set_option(fd, SOL_SOCKET, SO_RCVBUF, 8192);
    peer("bg 1 send 1 1000000 0");
    for (size_t offset = 0; offset < 1000000; offset += 20000) {
        EQUAL(data_receive(fd, 20000, offset, 500), 20000);
        sleep_ms(2);
    }
    EQUAL(peer("fin 1"), 1000000);
}

static void small_buffers(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    int fd = tcp_socket();

    set_option(fd, SOL_SOCKET, SO_SNDBUF, 4096);
    set_option(fd, SOL_SOCKET, SO_RCVBUF, 4096);
    connect_to(fd, port);
    peer("accept 0 1");
    peer("bg 1 echo 1");
    for (size_t offset = 0; offset < 300000; offset += 3000) {
        EQUAL(data_send(fd, 3000, offset, 0), 3000);
        EQUAL(data_receive(fd, 3000, offset, 0), 3000);
    }
    OK(shutdown(fd, SHUT_WR));
    EQUAL(peer("fin 1"), 300000);
}

static void ping_pong(void)
{
    int fd = tcp_pair();

    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    peer("option 1 %d %d 1", IPPROTO_TCP, TCP_NODELAY);
    peer("bg 1 echo 1");
    for (int i = 0; i < 2000; i++) {
        EQUAL(data_send(fd, 64, i * 64, 0), 64);
        EQUAL(data_receive(fd, 64, i * 64, 0), 64);
    }
    OK(shutdown(fd, SHUT_WR));
    EQUAL(peer("fin 1"), 128000);
}

/* Both halves of a message in a write of their own: Nagle against delayed acknowledgement. */
static void two_writes_per_message(void)
{
    int fd = tcp_pair();
    int64_t begin = now_ms();

    peer("bg 1 echo 1");
    for (int i = 0; i < 10; i++) {
        EQUAL(data_send(fd, 64, i * 64, 32), 64);
        EQUAL(data_receive(fd, 64, i * 64, 0), 64);
    }
    CHECK(now_ms() - begin < 4000);
    OK(shutdown(fd, SHUT_WR));
    EQUAL(peer("fin 1"), 640);
}

#define MANY 1000

/* A thousand connections to the peer at once, and a message over each. */
static void many_connections(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    static int fd[MANY];

    peer("bg 1 serve 0");
    for (int i = 0; i < MANY; i++) {
        fd[i] = tcp_socket();
        connect_to(fd[i], port);
    }
    for (int i = 0; i < MANY; i++)
        EQUAL(data_send(fd[i], 64, i * 64, 0), 64);
    for (int i = 0; i < MANY; i++)
        EQUAL(data_receive(fd[i], 64, i * 64, 0), 64);
    for (int i = 0; i < MANY; i++)
        EQUAL(close(fd[i]), 0);
}

static void many_connects_in_progress(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    union address server = to_server(port);
    static int fd[MANY];

    peer("bg 1 serve 0");
    for (int i = 0; i < MANY; i++) {
        fd[i] = tcp_socket();
        set_nonblocking(fd[i], true);
        FAILS(connect(fd[i], SA(&server)), EINPROGRESS);
    }
    for (int i = 0; i < MANY; i++) {
        EQUAL(poll_one(fd[i], POLLOUT, 5000), POLLOUT);
        EQUAL(get_option(fd[i], SOL_SOCKET, SO_ERROR), 0);
        set_nonblocking(fd[i], false);
        EQUAL(data_send(fd[i], 64, i * 64, 0), 64);
    }
    for (int i = 0; i < MANY; i++)
        EQUAL(data_receive(fd[i], 64, i * 64, 0), 64);
}

/* A thousand connections from the peer, served with epoll. */
static void many_accepted(void)
{
    uint16_t port;
    int listener = tcp_listener(&port), epoll = OK(epoll_create1(0)), accepted = 0, answered = 0, ended = 0;
    struct epoll_event events[50], event = {.events = EPOLLIN, .data.fd = listener};
    char buffer[100];

    OK(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event));
    peer("bg 1 dialall 0 %d %s %u", MANY, api.self, port);
    while (ended < MANY) {
        int count = OK(epoll_wait(epoll, events, 50, 5000));
        CHECK(count > 0);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener) {
                event.data.fd = OK(accept(listener, NULL, NULL));
                OK(epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event));
                accepted++;
                continue;
            }
            ssize_t length = recv(events[i].data.fd, buffer, sizeof(buffer), 0);
            if (length > 0)
                EQUAL(send(events[i].data.fd, buffer, length, 0), length);
            answered += length > 0 ? length : 0;
            ended += length == 0;
            EQUAL(length == 0 ? close(events[i].data.fd) : 0, 0);
        }
        if (accepted == MANY && answered == 0) {
            EQUAL(peer("fin 1"), MANY);
            peer("bg 2 askall 0 %d", MANY);
            answered = 1;
        }
        if (answered == MANY * 64 + 1) {
            EQUAL(peer("fin 2"), MANY);
            for (int i = 0; i < MANY; i++)
                peer("close %d", i);
            answered++;
        }
    }
}

const struct api_case tcp_bulk_cases[] = {
    {"tcp.bulk.both_directions", both_directions, CASE_PAIR, 20},
    {"tcp.bulk.out", out, CASE_PAIR, 20},
    {"tcp.bulk.in", in, CASE_PAIR, 20},
    {"tcp.bulk.odd_sizes", odd_sizes, CASE_PAIR},
    {"tcp.bulk.small_writes_nagle", small_writes_nagle, CASE_PAIR},
    {"tcp.bulk.small_writes_no_delay", small_writes_no_delay, CASE_PAIR},
    {"tcp.bulk.peer_reads_late", peer_reads_late, CASE_PAIR},
    {"tcp.bulk.we_read_late", we_read_late, CASE_PAIR},
    {"tcp.bulk.slow_reader", slow_reader, CASE_PAIR},
    {"tcp.bulk.small_buffers", small_buffers, 0, 20},
    {"tcp.bulk.ping_pong", ping_pong, CASE_PAIR},
    {"tcp.bulk.two_writes_per_message", two_writes_per_message, CASE_PAIR},
    {"tcp.bulk.many_connections", many_connections},
    {"tcp.bulk.many_connects_in_progress", many_connects_in_progress},
    {"tcp.bulk.many_accepted", many_accepted},
    {0},
};
