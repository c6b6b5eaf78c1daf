/* SPDX-License-Identifier: BSD-2-Clause */
/* UDP: sending and receiving. */
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

static void connected(void)
{
    int fd = udp_bound();

    peer("udp 1");
    connect_to(fd, peer("bind 1 %s 0", api.server));
    datagrams_both_ways(fd);
    EQUAL(peer("sender"), local_port(fd));
}

static void not_bound(void)
{
    int fd = udp_socket();
    union address name, self = to_self(0);
    socklen_t length = sizeof(name);

    EQUAL(local_port(fd), 0);
    peer("udp 1");
    connect_to(fd, peer("bind 1 %s 0", api.server));
    OK(getsockname(fd, &name.any, &length));
    CHECK(address_port(&name));
    if (api.family == AF_INET)
        CHECK(name.v4.sin_addr.s_addr == self.v4.sin_addr.s_addr);
    else
        CHECK(!memcmp(&name.v6.sin6_addr, &self.v6.sin6_addr, 16));
    datagrams_both_ways(fd);
}

static void unconnected(void)
{
    int fd = udp_socket();
    char buffer[2000];
    union address from;
    socklen_t length = sizeof(from);

    peer("udp 1");
    uint16_t port = peer("bind 1 %s 0", api.server);
    union address server = to_server(port);
    data_fill(buffer, 100, 0);
    EQUAL(sendto(fd, buffer, 100, 0, SA(&server)), 100);
    CHECK(local_port(fd)); /* bound by sending */
    EQUAL(peer("datagram 1 0"), 100);
    EQUAL(peer("sender"), local_port(fd));
    peer("sendto 1 300 5");
    memset(&from, 0xff, sizeof(from));
    EQUAL(recvfrom(fd, buffer, sizeof(buffer), 0, &from.any, &length), 300);
    CHECK(data_is(buffer, 300, 5));
    EQUAL(length, address_length(&server));
    CHECK(!memcmp(&from, &server, length));
    length = 4;
    peer("sendto 1 300 5");
    memset(&from, 0xff, sizeof(from));
    EQUAL(recvfrom(fd, buffer, sizeof(buffer), 0, &from.any, &length), 300);
    EQUAL(length, address_length(&server));
    CHECK(((unsigned char *)&from)[4] == 0xff);
}

static void wildcard(void)
{
    union address any = to_any(0);
    int fd = udp_socket();

    OK(bind(fd, SA(&any)));
    peer("udp 1");
    uint16_t port = peer("bind 1 %s 0", api.server);
    EQUAL(peer("sendto 1 100 0 %s %u", api.self, local_port(fd)), 100);
    EQUAL(receive_datagram(fd, 0), 100);
    union address server = to_server(port), here = to_loopback(local_port(fd));
    EQUAL(sendto(fd, "hello", 5, 0, SA(&server)), 5);
    EQUAL(peer("read 1 10"), 5);
    int local = udp_socket(); /* the same socket is reached over loopback */
    EQUAL(sendto(local, "hello", 5, 0, SA(&here)), 5);
    char buffer[10];
    EQUAL(recv(fd, buffer, 10, 0), 5);
    connect_to(fd, port);
    datagrams_both_ways(fd);
}

/* A connected socket takes datagrams of its peer only. */
static void others_are_ignored(void)
{
    int fd = udp_pair();

    peer("udp 2");
    peer("bind 2 %s 0", api.server);
    peer("sendto 2 50 0 %s %u", api.self, local_port(fd));
    peer("send 1 60 3");
    EQUAL(receive_datagram(fd, 3), 60);
    FAILS(recv(fd, NULL, 0, MSG_DONTWAIT), EAGAIN);
}

static void connect_again(void)
{
    int first = udp_bound(), fd = udp_socket();
    uint16_t own = local_port(first);
    union address server, nobody = {.any.sa_family = AF_UNSPEC}, self = to_self(own);

    close(first);
    OK(bind(fd, SA(&self)));
    peer("udp 1");
    connect_to(fd, peer("bind 1 %s 0", api.server));
    datagrams_both_ways(fd);
    peer("udp 2");
    uint16_t port = peer("bind 2 %s 0", api.server);
    connect_to(fd, port);
    EQUAL(send_datagram(fd, 10, 0), 10);
    EQUAL(peer("datagram 2 0"), 10);
    EQUAL(peer("sendto 1 10 0"), 10); /* the first peer is a stranger now */
    EQUAL(peer("sendto 2 20 0"), 20);
    EQUAL(receive_datagram(fd, 0), 20);
    OK(connect(fd, &nobody.any, sizeof(nobody.any)));
    EQUAL(local_port(fd), own); /* as bind asked for it */
    FAILS(send_datagram(fd, 10, 0), EDESTADDRREQ);
    socklen_t length = sizeof(server);
    FAILS(getpeername(fd, &server.any, &length), ENOTCONN);
    peer("sendto 1 30 0 %s %u", api.self, own);
    EQUAL(receive_datagram(fd, 0), 30);
    peer("sendto 2 40 0 %s %u", api.self, own);
    EQUAL(receive_datagram(fd, 0), 40);
    server = to_server(port);
    EQUAL(sendto(fd, "12345", 5, 0, SA(&server)), 5);
    EQUAL(peer("read 2 10"), 5);
}

/* The kernel gives up a port that was not asked for, when the connection is dissolved: it may be another one then. */
static void disconnect(void)
{
    int fd = udp_pair();
    union address nobody = {.any.sa_family = AF_UNSPEC};

    datagrams_both_ways(fd);
    OK(connect(fd, &nobody.any, sizeof(nobody.any)));
    FAILS(send_datagram(fd, 10, 0), EDESTADDRREQ);
    connect_to(fd, peer("port 1"));
    CHECK(local_port(fd));
    peer("connect 1 %s %u", api.self, local_port(fd));
    datagrams_both_ways(fd);
}

static void address_overrides(void)
{
    int fd = udp_pair();

    peer("udp 2");
    union address server = to_server(peer("bind 2 %s 0", api.server));
    EQUAL(sendto(fd, "12345", 5, 0, SA(&server)), 5);
    EQUAL(peer("read 2 10"), 5);
    datagrams_both_ways(fd);
}

static uint16_t closed_port(void)
{
    peer("udp 9");
    uint16_t port = peer("bind 9 %s 0", api.server);
    peer("close 9");
    return port;
}

/* "Port unreachable" comes back to a connected socket. */
static void refused(void)
{
    int fd = udp_bound();
    char byte;

    connect_to(fd, closed_port());
    EQUAL(send_datagram(fd, 10, 0), 10);
    FAILS(recv(fd, &byte, 1, 0), ECONNREFUSED);
    EQUAL(send_datagram(fd, 10, 0), 10);
    CHECK(poll_one(fd, POLLIN, 3000) & POLLERR);
    FAILS(send_datagram(fd, 10, 0), ECONNREFUSED);
    EQUAL(send_datagram(fd, 10, 0), 10);
    CHECK(poll_one(fd, POLLIN, 3000) & POLLERR);
    EQUAL(get_option(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    EQUAL(get_option(fd, SOL_SOCKET, SO_ERROR), 0);
    FAILS(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
}

static void refused_unconnected(void)
{
    int fd = udp_bound();
    union address server = to_server(closed_port());
    char byte;

    EQUAL(sendto(fd, "x", 1, 0, SA(&server)), 1);
    EQUAL(poll_one(fd, POLLIN, 50), 0);
    FAILS(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
    EQUAL(sendto(fd, "x", 1, 0, SA(&server)), 1);
}

static void destination_errors(void)
{
    int fd = udp_bound();
    union address zero = to_server(0), far = to_text(api.family == AF_INET6 ? "2001:db8::1" : "192.0.2.1", 80);
    char byte = 0;

    FAILS(send(fd, &byte, 1, 0), EDESTADDRREQ);
    FAILS(write(fd, &byte, 1), EDESTADDRREQ);
    FAILS(sendto(fd, &byte, 1, 0, SA(&zero)), EINVAL);
    FAILS(sendto(fd, &byte, 1, 0, &zero.any, 3), EINVAL);
    FAILS(sendto(fd, &byte, 1, 0, SA(&far)), ENETUNREACH);
    FAILS(connect(fd, SA(&far)), ENETUNREACH);
}

static void empty(void)
{
    int fd = udp_pair();
    char byte;
    int length = -1;

    EQUAL(send(fd, NULL, 0, 0), 0);
    EQUAL(peer("datagram 1 0"), 0);
    EQUAL(peer("send 1 0 0"), 0);
    EQUAL(peer("sendto 1 0 0"), 0);
    EQUAL(poll_one(fd, POLLIN, 3000), POLLIN);
    OK(ioctl(fd, FIONREAD, &length));
    EQUAL(length, 0);
    EQUAL(recv(fd, &byte, 1, 0), 0);
    FAILS(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
}

static void sizes(void)
{
    int fd = udp_pair(), largest = api.family == AF_INET6 ? 65527 : 65507;
    int list[] = {1, 1400, 1452, 1453, 1472, 1473, 2000, 9000, 20000, 40000, largest};

    set_option(fd, SOL_SOCKET, SO_SNDBUF, 300000);
    peer("option 1 %d %d 300000", SOL_SOCKET, SO_SNDBUF);
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        EQUAL(send_datagram(fd, list[i], i), list[i]);
        EQUAL(peer("datagram 1 %zu", i), list[i]);
        EQUAL(peer("sendto 1 %d %zu", list[i], i), list[i]);
        EQUAL(receive_datagram(fd, i), list[i]);
    }
    FAILS(send_datagram(fd, largest + 1, 0), EMSGSIZE);
    FAILS(send_datagram(fd, 66000, 0), EMSGSIZE);
    datagrams_both_ways(fd);
}

static void truncated(void)
{
    int fd = udp_pair();
    char buffer[100];
    struct iovec part = {buffer, 40};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    for (int i = 0; i < 4; i++)
        EQUAL(peer("sendto 1 100 %d", i), 100);
    EQUAL(recv(fd, buffer, 30, 0), 30); /* the rest is lost */
    CHECK(data_is(buffer, 30, 0));
    EQUAL(recv(fd, buffer, 30, MSG_TRUNC), 100);
    CHECK(data_is(buffer, 30, 1));
    EQUAL(recvmsg(fd, &message, 0), 40);
    CHECK(message.msg_flags & MSG_TRUNC);
    EQUAL(recvmsg(fd, &message, MSG_TRUNC | MSG_PEEK), 100);
    EQUAL(recv(fd, buffer, 100, 0), 100);
    CHECK(data_is(buffer, 100, 3));
}

static void peek(void)
{
    int fd = udp_pair();
    char buffer[100];

    peer("sendto 1 10 0");
    peer("sendto 1 20 1");
    for (int i = 0; i < 3; i++)
        EQUAL(recv(fd, buffer, 100, MSG_PEEK), 10);
    EQUAL(receive_datagram(fd, 0), 10);
    EQUAL(recv(fd, buffer, 100, MSG_PEEK), 20);
    EQUAL(receive_datagram(fd, 1), 20);
}

static void queue_lengths(void)
{
    int fd = udp_pair(), length = -1;

    OK(ioctl(fd, FIONREAD, &length));
    EQUAL(length, 0);
    peer("sendto 1 10 0");
    peer("sendto 1 20 1");
    EQUAL(poll_one(fd, POLLIN, 3000), POLLIN);
    EVENTUALLY((OK(ioctl(fd, FIONREAD, &length)), length == 10)); /* of the first datagram */
    EQUAL(receive_datagram(fd, 0), 10);
    EVENTUALLY((OK(ioctl(fd, FIONREAD, &length)), length == 20));
    OK(ioctl(fd, SIOCOUTQ, &length));
    EQUAL(length, 0);
}

static void receive_timeout(void)
{
    int fd = udp_pair();
    struct timeval limit = {0, 100000};
    char byte;

    OK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
    int64_t begin = now_ms();
    FAILS(recv(fd, &byte, 1, 0), EAGAIN);
    CHECK(now_ms() - begin >= 95);
    datagrams_both_ways(fd);
    set_nonblocking(fd, true);
    FAILS(recv(fd, &byte, 1, 0), EAGAIN);
}

static void several_messages(void)
{
    int fd = udp_pair();
    static char buffer[20][100];
    struct iovec part[20];
    struct mmsghdr messages[20] = {0};

    for (int i = 0; i < 20; i++) {
        data_fill(buffer[i], 10 + i, i);
        part[i] = (struct iovec){buffer[i], 10 + i};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &part[i], .msg_iovlen = 1};
    }
    EQUAL(sendmmsg(fd, messages, 20, 0), 20);
    for (int i = 0; i < 20; i++) {
        EQUAL(messages[i].msg_len, 10 + i);
        EQUAL(peer("datagram 1 %d", i), 10 + i);
    }
    peer("flood 1 10 50 %s %u", api.self, local_port(fd));
    for (int i = 0; i < 20; i++)
        part[i].iov_len = 100;
    EQUAL(poll_one(fd, POLLIN, 3000), POLLIN);
    int got = 0;
    while (got < 10)
        got += OK(recvmmsg(fd, messages + got, 20 - got, MSG_WAITFORONE, NULL));
    EQUAL(got, 10);
    for (int i = 0; i < 10; i++) {
        EQUAL(messages[i].msg_len, 50);
        CHECK(data_is(buffer[i], 50, i * 50));
    }
    FAILS(recvmmsg(fd, messages, 20, MSG_DONTWAIT, NULL), EAGAIN);
    peer("bg 1 later 100 flood 1 3 50 %s %u", api.self, local_port(fd));
    EQUAL(recvmmsg(fd, messages, 3, 0, NULL), 3);
    struct timespec limit = {0, 50000000}; /* looked at after each datagram only */
    peer("bg 2 later 100 sendto 1 50 0");
    EQUAL(recvmmsg(fd, messages, 3, 0, &limit), 1);
}

static void scattered(void)
{
    int fd = udp_pair();
    char data[100], in[3][40];
    struct iovec out_parts[4] = {{data, 1}, {data + 1, 0}, {data + 1, 60}, {data + 61, 39}};
    struct iovec in_parts[3] = {{in[0], 40}, {in[1], 40}, {in[2], 40}};

    data_fill(data, 100, 0);
    EQUAL(writev(fd, out_parts, 4), 100);
    EQUAL(peer("datagram 1 0"), 100);
    peer("sendto 1 100 0");
    EQUAL(readv(fd, in_parts, 3), 100);
    CHECK(data_is(in[0], 40, 0) && data_is(in[1], 40, 40) && data_is(in[2], 20, 80));
    EQUAL(write(fd, data, 100), 100);
    EQUAL(peer("datagram 1 0"), 100);
    peer("sendto 1 30 0");
    EQUAL(read(fd, data, 100), 30);
}

static void corked(void)
{
    int fd = udp_pair();

    EQUAL(send(fd, "12345", 5, MSG_MORE), 5);
    EQUAL(send(fd, "678", 3, 0), 3);
    EQUAL(peer("read 1 100"), 8);
    set_option(fd, IPPROTO_UDP, UDP_CORK, 1);
    EQUAL(send(fd, "12345", 5, 0), 5);
    EQUAL(send(fd, "6789", 4, 0), 4);
    EQUAL(peer("wait 1 %d 30", POLLIN), 0);
    set_option(fd, IPPROTO_UDP, UDP_CORK, 0);
    EQUAL(peer("read 1 100"), 9);
}

/* More than the buffer takes is lost, but what is there is right, and it goes on afterwards. */
static void overflow(void)
{
    int fd = udp_pair(), count = 0;

    set_option(fd, SOL_SOCKET, SO_RCVBUF, 20000);
    peer("flood 1 500 1000 %s %u", api.self, local_port(fd));
    sleep_ms(50);
    char buffer[2000];
    while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) == 1000) {
        CHECK(data_is(buffer, 1000, count * 1000));
        count++;
    }
    CHECK(count >= 5 && count < 500);
    datagrams_both_ways(fd);
}

static void in_order(void)
{
    int fd = udp_pair();

    set_option(fd, SOL_SOCKET, SO_RCVBUF, 2000000);
    for (int round = 0; round < 20; round++) {
        peer("flood 1 100 200 %s %u", api.self, local_port(fd));
        for (int i = 0; i < 100; i++)
            EQUAL(receive_datagram(fd, i * 200), 200);
    }
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 50; i++)
            EQUAL(send_datagram(fd, 100, i * 100), 100);
        for (int i = 0; i < 50; i++)
            EQUAL(peer("datagram 1 %d", i * 100), 100);
    }
}

static void ping_pong(void)
{
    int fd = udp_pair();

    peer("bg 1 udpecho 1");
    for (int i = 0; i < 3000; i++) {
        EQUAL(send_datagram(fd, 64, i), 64);
        EQUAL(receive_datagram(fd, i), 64);
    }
}

static void shut_down(void)
{
    int fd = udp_pair(), plain = udp_socket();
    char byte;

    FAILS(shutdown(plain, SHUT_RD), ENOTCONN);
    OK(shutdown(fd, SHUT_RD));
    EQUAL(recv(fd, &byte, 1, 0), 0);
    EQUAL(send_datagram(fd, 10, 0), 10);
    EQUAL(peer("datagram 1 0"), 10);
    OK(shutdown(fd, SHUT_WR));
    FAILS(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
}

static void events(void)
{
    int fd = udp_pair(), all = POLLIN | POLLOUT | POLLRDHUP | POLLPRI;

    EQUAL(poll_one(fd, all, 0), POLLOUT);
    EQUAL(poll_one(fd, POLLIN, 20), 0);
    peer("sendto 1 10 0");
    EQUAL(poll_one(fd, POLLIN, 3000), POLLIN);
    EQUAL(poll_one(fd, all, 0), POLLIN | POLLOUT);
    EQUAL(receive_datagram(fd, 0), 10);
    EQUAL(poll_one(fd, all, 0), POLLOUT);
}

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO     104
#endif

static void segmented(void)
{
    int fd = udp_pair();

    set_option(fd, IPPROTO_UDP, UDP_SEGMENT, 1000);
    EQUAL(get_option(fd, IPPROTO_UDP, UDP_SEGMENT), 1000);
    EQUAL(send_datagram(fd, 2500, 0), 2500);
    EQUAL(peer("datagram 1 0"), 1000);
    EQUAL(peer("datagram 1 1000"), 1000);
    EQUAL(peer("datagram 1 2000"), 500);
    set_option(fd, IPPROTO_UDP, UDP_GRO, 1);
    EQUAL(peer("sendto 1 100 0"), 100);
    EQUAL(receive_datagram(fd, 0), 100);
}

const struct api_case udp_cases[] = {
    {"udp.connected", connected},
    {"udp.not_bound", not_bound},
    {"udp.unconnected", unconnected},
    {"udp.wildcard", wildcard},
    {"udp.others_are_ignored", others_are_ignored},
    {"udp.connect_again", connect_again},
    {"udp.disconnect", disconnect},
    {"udp.address_overrides", address_overrides},
    {"udp.refused", refused},
    {"udp.refused_unconnected", refused_unconnected},
    {"udp.destination_errors", destination_errors},
    {"udp.empty", empty},
    {"udp.sizes", sizes},
    {"udp.truncated", truncated},
    {"udp.peek", peek},
    {"udp.queue_lengths", queue_lengths},
    {"udp.receive_timeout", receive_timeout},
    {"udp.several_messages", several_messages},
    {"udp.scattered", scattered},
    {"udp.corked", corked},
    {"udp.overflow", overflow},
    {"udp.in_order", in_order},
    {"udp.ping_pong", ping_pong},
    {"udp.shut_down", shut_down},
    {"udp.events", events},
    {"udp.segmented", segmented},
    {0},
};
