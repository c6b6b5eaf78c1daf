/* SPDX-License-Identifier: BSD-2-Clause */
/* UDP: ports, shared ones too, and both families. */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

static void bind_errors(void)
{
    int fd = udp_bound(), other = udp_socket();
    union address self = to_self(local_port(fd)), server = to_server(0);

    FAILS(bind(other, SA(&self)), EADDRINUSE);
    FAILS(bind(other, SA(&server)), EADDRNOTAVAIL);
    FAILS(bind(fd, SA(&self)), EINVAL);
    close(fd);
    OK(bind(other, SA(&self)));
    peer("udp 1");
    connect_to(other, peer("bind 1 %s 0", api.server));
    datagrams_both_ways(other);
}

static void reuse_port(void)
{
    int fd[2] = {udp_socket(), udp_socket()}, got[2] = {0};
    union address self = to_self(0);

    for (int i = 0; i < 2; i++) {
        set_option(fd[i], SOL_SOCKET, SO_REUSEPORT, 1);
        OK(bind(fd[i], SA(&self)));
        self = to_self(local_port(fd[i]));
    }
    for (int i = 1; i <= 40; i++) {
        struct pollfd wait[2] = {{fd[0], POLLIN, 0}, {fd[1], POLLIN, 0}};
        peer("udp %d", i);
        peer("sendto %d 30 0 %s %u", i, api.self, address_port(&self));
        EQUAL(poll(wait, 2, 3000), 1);
        int which = wait[1].revents ? 1 : 0;
        EQUAL(receive_datagram(fd[which], 0), 30);
        got[which]++;
    }
    CHECK(got[0] > 0 && got[1] > 0);
}

/* Of two sockets that share a port by SO_REUSEADDR, a connected one gets its peer's datagrams. */
static void connected_beside_bound(void)
{
    int bound = udp_socket(), own = udp_socket();
    union address self = to_self(0);

    set_option(bound, SOL_SOCKET, SO_REUSEADDR, 1);
    set_option(own, SOL_SOCKET, SO_REUSEADDR, 1);
    OK(bind(bound, SA(&self)));
    self = to_self(local_port(bound));
    OK(bind(own, SA(&self)));
    peer("udp 1");
    connect_to(own, peer("bind 1 %s 0", api.server));
    peer("udp 2");
    peer("bind 2 %s 0", api.server);
    for (int i = 0; i < 5; i++) {
        peer("sendto 1 10 0 %s %u", api.self, address_port(&self));
        EQUAL(receive_datagram(own, 0), 10);
        peer("sendto 2 20 0 %s %u", api.self, address_port(&self));
        EQUAL(receive_datagram(bound, 0), 20);
    }
}

/* A socket of IPv6 talks to IPv4 as well. */
static void dual_stack(void)
{
    int fd = OK(socket(AF_INET6, SOCK_DGRAM, 0));
    struct sockaddr_in6 any = {.sin6_family = AF_INET6}, from;
    socklen_t length = sizeof(from);
    char buffer[100];

    OK(bind(fd, (struct sockaddr *)&any, sizeof(any)));
    peer("udp 1");
    peer("bind 1 %s 0", api.server);
    peer("sendto 1 60 0 %s %u", api.self, local_port(fd));
    EQUAL(recvfrom(fd, buffer, 100, 0, (struct sockaddr *)&from, &length), 60);
    EQUAL(length, sizeof(from));
    EQUAL(!!IN6_IS_ADDR_V4MAPPED(&from.sin6_addr), api.family == AF_INET);
    EQUAL(sendto(fd, buffer, 60, 0, (struct sockaddr *)&from, sizeof(from)), 60);
    EQUAL(peer("datagram 1 0"), 60);
    OK(connect(fd, (struct sockaddr *)&from, sizeof(from)));
    datagrams_both_ways(fd);
}

static void many_sockets(void)
{
    int fd[100];

    peer("udp 1");
    uint16_t port = peer("bind 1 %s 0", api.server);
    peer("bg 1 udpecho 1");
    for (int i = 0; i < 100; i++) {
        fd[i] = udp_bound();
        connect_to(fd[i], port);
        EQUAL(send_datagram(fd[i], 10 + i, i), 10 + i);
    }
    for (int i = 0; i < 100; i++)
        EQUAL(receive_datagram(fd[i], i), 10 + i);
}

const struct api_case udp_port_cases[] = {
    {"udp.bind_errors", bind_errors},
    {"udp.reuse_port", reuse_port},
    {"udp.connected_beside_bound", connected_beside_bound},
    {"udp.dual_stack", dual_stack},
    {"udp.many_sockets", many_sockets},
    {0},
};
