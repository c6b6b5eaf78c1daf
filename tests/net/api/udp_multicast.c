/* SPDX-License-Identifier: BSD-2-Clause */
/* UDP to many: broadcast and multicast. */
#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

static bool six(void)
{
    return api.family == AF_INET6;
}

/* A group of our own in each case. */
static const char *group_text(int number)
{
    static char text[4][64];

    snprintf(text[number], sizeof(text[0]), six() ? "ff15::7733:%d" : "239.77.33.%d", number);
    return text[number];
}

static unsigned interface(void)
{
    return if_nametoindex(api.interface);
}

static int membership(int fd, int option, const char *group, const char *source)
{
    struct group_source_req request = {.gsr_interface = interface()};
    struct group_req any = {.gr_interface = interface()};
    union address address = to_text(group, 0);

    if (!source) {
        memcpy(&any.gr_group, &address, sizeof(address));
        return setsockopt(fd, ip_level(), option, &any, sizeof(any));
    }
    memcpy(&request.gsr_group, &address, sizeof(address));
    address = to_text(source, 0);
    memcpy(&request.gsr_source, &address, sizeof(address));
    return setsockopt(fd, ip_level(), option, &request, sizeof(request));
}

/* A receiver at the wildcard address and a port that others share. */
static int receiver(uint16_t *port)
{
    int fd = udp_socket();
    union address any = to_any(*port);

    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    OK(bind(fd, SA(&any)));
    *port = local_port(fd);
    return fd;
}

static void expect(int fd, int size)
{
    char buffer[100];

    EQUAL(poll_one(fd, POLLIN, 3000), POLLIN);
    EQUAL(recv(fd, buffer, sizeof(buffer), 0), size);
    CHECK(data_is(buffer, size, 0));
}

/* The peer's datagram to a group, out of its only interface. */
static void peer_sends(int size, const char *group, uint16_t port)
{
    peer("udp 8");
    peer("option 8 %d %d 3", ip_level(), six() ? IPV6_MULTICAST_HOPS : IP_MULTICAST_TTL);
    peer("bind 8 %s 0", api.server);
    if (six())
        peer("option 8 %d %d 2", IPPROTO_IPV6, IPV6_MULTICAST_IF); /* the veth is device 2 in its namespace */
    peer("sendto 8 %d 0 %s %u", size, group, port);
    peer("close 8");
}

static void choose_interface(int fd)
{
    if (six()) {
        set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, interface());
        return;
    }
    struct ip_mreqn request = {.imr_ifindex = interface()};
    OK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof(request)));
}

static ssize_t send_to(int fd, const char *text, uint16_t port, size_t size)
{
    char buffer[100];
    union address to = to_text(text, port);

    data_fill(buffer, size, 0);
    return sendto(fd, buffer, size, 0, SA(&to));
}

static void broadcast_needs_option(void)
{
    int fd = udp_bound();
    union address all = to_text("10.77.0.255", 5000);

    FAILS(send_to(fd, "10.77.0.255", 5000, 10), EACCES);
    FAILS(send_to(fd, "255.255.255.255", 5000, 10), EACCES);
    FAILS(connect(fd, SA(&all)), EACCES);
    set_option(fd, SOL_SOCKET, SO_BROADCAST, 1);
    OK(connect(fd, SA(&all)));
}

static void broadcast_send(void)
{
    int fd = udp_bound();

    set_option(fd, SOL_SOCKET, SO_BROADCAST, 1);
    peer("udp 1");
    uint16_t port = peer("bind 1 * 0");
    EQUAL(send_to(fd, "10.77.0.255", port, 50), 50);
    EQUAL(peer("datagram 1 0"), 50);
    EQUAL(peer("sender"), local_port(fd));
    choose_interface(fd);
    EQUAL(send_to(fd, "10.77.0.255", port, 60), 60);
    EQUAL(peer("datagram 1 0"), 60);
}

static void broadcast_receive(void)
{
    uint16_t port = 0;
    int fd = receiver(&port), second = receiver(&port), narrow = udp_bound();

    peer("udp 1");
    peer("option 1 %d %d 1", SOL_SOCKET, SO_BROADCAST);
    peer("sendto 1 50 0 10.77.0.255 %u", port);
    expect(fd, 50); /* a copy each */
    expect(second, 50);
    peer("sendto 1 60 0 10.77.0.255 %u", local_port(narrow));
    EQUAL(poll_one(narrow, POLLIN, 50), 0); /* bound to one address: no broadcasts */
}

static void any_source(void)
{
    uint16_t port = 0;
    int fd = receiver(&port);

    peer_sends(10, group_text(1), port);
    EQUAL(poll_one(fd, POLLIN, 50), 0);
    OK(membership(fd, MCAST_JOIN_GROUP, group_text(1), NULL));
    FAILS(membership(fd, MCAST_JOIN_GROUP, group_text(1), NULL), EADDRINUSE);
    for (int i = 20; i < 30; i++) {
        peer_sends(i, group_text(1), port);
        expect(fd, i);
    }
    peer_sends(30, group_text(2), port); /* another group */
    EQUAL(poll_one(fd, POLLIN, 50), 0);
    OK(membership(fd, MCAST_LEAVE_GROUP, group_text(1), NULL));
    FAILS(membership(fd, MCAST_LEAVE_GROUP, group_text(1), NULL), EADDRNOTAVAIL);
    peer_sends(40, group_text(1), port);
    EQUAL(poll_one(fd, POLLIN, 50), 0);
}

/* The older options for the same. */
static void any_source_classic(void)
{
    uint16_t port = 0;
    int fd = receiver(&port);
    union address group = to_text(group_text(1), 0), self = to_self(0);
    struct ipv6_mreq request6 = {.ipv6mr_interface = interface()};
    struct ip_mreq request4 = {0};
    void *request = six() ? (void *)&request6 : (void *)&request4;
    socklen_t length = six() ? sizeof(request6) : sizeof(request4);

    request6.ipv6mr_multiaddr = group.v6.sin6_addr;
    request4.imr_multiaddr = group.v4.sin_addr;
    request4.imr_interface = self.v4.sin_addr;
    OK(setsockopt(fd, ip_level(), six() ? IPV6_JOIN_GROUP : IP_ADD_MEMBERSHIP, request, length));
    peer_sends(20, group_text(1), port);
    expect(fd, 20);
    OK(setsockopt(fd, ip_level(), six() ? IPV6_LEAVE_GROUP : IP_DROP_MEMBERSHIP, request, length));
    peer_sends(30, group_text(1), port);
    EQUAL(poll_one(fd, POLLIN, 50), 0);
}

static void one_source(void)
{
    uint16_t port = 0;
    int fd = receiver(&port), other = receiver(&port);

    OK(membership(fd, MCAST_JOIN_SOURCE_GROUP, group_text(1), api.server));
    OK(membership(other, MCAST_JOIN_SOURCE_GROUP, group_text(1), api.blackhole));
    peer_sends(20, group_text(1), port);
    expect(fd, 20);
    EQUAL(poll_one(other, POLLIN, 50), 0);
    OK(membership(other, MCAST_JOIN_SOURCE_GROUP, group_text(1), api.server));
    peer_sends(30, group_text(1), port);
    expect(fd, 30);
    expect(other, 30);
    OK(membership(other, MCAST_LEAVE_SOURCE_GROUP, group_text(1), api.server));
    peer_sends(40, group_text(1), port);
    expect(fd, 40);
    EQUAL(poll_one(other, POLLIN, 50), 0);
}

static void one_source_classic(void)
{
    uint16_t port = 0;
    int fd = receiver(&port);
    union address group = to_text(group_text(1), 0), self = to_self(0), server = to_server(0);
    struct ip_mreq_source request = {
        .imr_multiaddr = group.v4.sin_addr, .imr_interface = self.v4.sin_addr, .imr_sourceaddr = server.v4.sin_addr};

    OK(setsockopt(fd, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &request, sizeof(request)));
    peer_sends(20, group_text(1), port);
    expect(fd, 20);
    OK(setsockopt(fd, IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, &request, sizeof(request)));
    peer_sends(30, group_text(1), port);
    EQUAL(poll_one(fd, POLLIN, 50), 0);
}

static void blocked_source(void)
{
    uint16_t port = 0;
    int fd = receiver(&port);

    OK(membership(fd, MCAST_JOIN_GROUP, group_text(1), NULL));
    OK(membership(fd, MCAST_BLOCK_SOURCE, group_text(1), api.server));
    peer_sends(20, group_text(1), port);
    EQUAL(poll_one(fd, POLLIN, 50), 0);
    OK(membership(fd, MCAST_UNBLOCK_SOURCE, group_text(1), api.server));
    peer_sends(30, group_text(1), port);
    expect(fd, 30);
}

static void two_receivers(void)
{
    uint16_t port = 0;
    int fd = receiver(&port), second = receiver(&port);

    OK(membership(fd, MCAST_JOIN_GROUP, group_text(1), NULL));
    OK(membership(second, MCAST_JOIN_GROUP, group_text(1), NULL));
    for (int i = 20; i < 30; i++) {
        peer_sends(i, group_text(1), port);
        expect(fd, i);
        expect(second, i);
    }
    close(second);
    peer_sends(40, group_text(1), port);
    expect(fd, 40);
}

static void several_groups(void)
{
    uint16_t port = 0;
    int fd = receiver(&port);

    for (int i = 0; i < 3; i++)
        OK(membership(fd, MCAST_JOIN_GROUP, group_text(i), NULL));
    for (int i = 0; i < 3; i++) {
        peer_sends(20 + i, group_text(i), port);
        expect(fd, 20 + i);
    }
    peer("udp 1");
    peer("sendto 1 50 0 %s %u", api.self, port); /* unicast as well */
    expect(fd, 50);
}

/* Bound to the group's address: nothing else comes. */
static void bound_to_group(void)
{
    union address group = to_text(group_text(1), 0);
    int fd = udp_socket();

    OK(bind(fd, SA(&group)));
    uint16_t port = local_port(fd);
    OK(membership(fd, MCAST_JOIN_GROUP, group_text(1), NULL));
    peer_sends(20, group_text(1), port);
    expect(fd, 20);
    peer("udp 1");
    peer("sendto 1 30 0 %s %u", api.self, port);
    EQUAL(poll_one(fd, POLLIN, 50), 0);
}

static void send_out(void)
{
    int fd = udp_bound();

    choose_interface(fd);
    peer("udp 1");
    uint16_t port = peer("bind 1 * 0");
    peer("join 1 %s 2", group_text(1));
    EQUAL(send_to(fd, group_text(1), port, 50), 50);
    EQUAL(peer("datagram 1 0"), 50);
    EQUAL(peer("sender"), local_port(fd));
    union address group = to_text(group_text(1), port);
    OK(connect(fd, SA(&group)));
    char buffer[60];
    data_fill(buffer, 60, 0);
    EQUAL(send(fd, buffer, 60, 0), 60);
    EQUAL(peer("datagram 1 0"), 60);
    peer("leave 1 %s 2", group_text(1));
    EQUAL(send(fd, buffer, 60, 0), 60);
    EQUAL(peer("wait 1 %d 50", POLLIN), 0);
}

static void hops(void)
{
    int fd = udp_bound(), option = six() ? IPV6_MULTICAST_HOPS : IP_MULTICAST_TTL;
    int wanted = six() ? IPV6_RECVHOPLIMIT : IP_RECVTTL, given = six() ? IPV6_HOPLIMIT : IP_TTL;

    choose_interface(fd);
    peer("udp 1");
    uint16_t port = peer("bind 1 * 0");
    peer("join 1 %s 2", group_text(1));
    peer("option 1 %d %d 1", ip_level(), wanted);
    EQUAL(get_option(fd, ip_level(), option), 1);
    EQUAL(send_to(fd, group_text(1), port, 50), 50);
    EQUAL(peer("control 1 %d %d", ip_level(), given), 1);
    set_option(fd, ip_level(), option, 5);
    EQUAL(get_option(fd, ip_level(), option), 5);
    EQUAL(send_to(fd, group_text(1), port, 50), 50);
    EQUAL(peer("control 1 %d %d", ip_level(), given), 5);
    unsigned char byte = 9; /* IPv4 takes a byte as well */
    if (!six()) {
        OK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &byte, 1));
        EQUAL(send_to(fd, group_text(1), port, 50), 50);
        EQUAL(peer("control 1 %d %d", ip_level(), given), 9);
    }
}

/* What we send comes back to receivers here, unless that is switched off. */
static void loop(void)
{
    uint16_t port = 0;
    int fd = receiver(&port), sender = udp_bound(), option = six() ? IPV6_MULTICAST_LOOP : IP_MULTICAST_LOOP;

    OK(membership(fd, MCAST_JOIN_GROUP, group_text(1), NULL));
    choose_interface(sender);
    EQUAL(get_option(sender, ip_level(), option), 1);
    EQUAL(send_to(sender, group_text(1), port, 20), 20);
    expect(fd, 20);
    EQUAL(poll_one(fd, POLLIN, 20), 0); /* once */
    set_option(sender, ip_level(), option, 0);
    EQUAL(get_option(sender, ip_level(), option), 0);
    EQUAL(send_to(sender, group_text(1), port, 30), 30);
    EQUAL(poll_one(fd, POLLIN, 50), 0);
    set_option(sender, ip_level(), option, 1);
    EQUAL(send_to(sender, group_text(1), port, 40), 40);
    expect(fd, 40);
}

/* A socket that sends to its own group. */
static void loop_same_socket(void)
{
    uint16_t port = 0;
    int fd = receiver(&port);

    OK(membership(fd, MCAST_JOIN_GROUP, group_text(1), NULL));
    choose_interface(fd);
    EQUAL(send_to(fd, group_text(1), port, 20), 20);
    expect(fd, 20);
    peer_sends(30, group_text(1), port);
    expect(fd, 30);
}

static void interface_option(void)
{
    int fd = udp_bound();

    choose_interface(fd);
    if (six()) {
        EQUAL(get_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF), interface());
        FAILS(setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, (&(int){9999}), sizeof(int)), ENODEV);
        return;
    }
    struct in_addr address = to_self(0).v4.sin_addr, value = {0};
    socklen_t length = sizeof(value);
    OK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &address, sizeof(address)));
    OK(getsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &value, &length));
    CHECK(value.s_addr == address.s_addr);
    address.s_addr = htonl(0xc0000201);
    FAILS(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &address, sizeof(address)), EADDRNOTAVAIL);
}

static void join_errors(void)
{
    int fd = udp_bound();

    FAILS(membership(fd, MCAST_JOIN_GROUP, api.server, NULL), EINVAL);
    FAILS(membership(fd, MCAST_LEAVE_GROUP, group_text(1), NULL), EADDRNOTAVAIL);
    FAILS(setsockopt(fd, ip_level(), MCAST_JOIN_GROUP, "x", 1), EINVAL);
    OK(membership(fd, MCAST_JOIN_GROUP, group_text(1), NULL));
}

/* Without IP_MULTICAST_ALL a socket gets only groups that it joined itself. */
static void only_own_groups(void)
{
    uint16_t port = 0;
    int fd = receiver(&port), other = receiver(&port), option = six() ? 29 : IP_MULTICAST_ALL; /* IPV6_MULTICAST_ALL */

    EQUAL(get_option(fd, ip_level(), option), 1);
    set_option(fd, ip_level(), option, 0);
    OK(membership(fd, MCAST_JOIN_GROUP, group_text(1), NULL));
    OK(membership(other, MCAST_JOIN_GROUP, group_text(2), NULL));
    peer_sends(20, group_text(2), port);
    expect(other, 20);
    EQUAL(poll_one(fd, POLLIN, 50), 0);
    peer_sends(30, group_text(1), port);
    expect(fd, 30);
}

/* By default a socket also gets groups that another socket of this host joined. */
static void groups_of_others(void)
{
    uint16_t port = 0;
    int fd = receiver(&port), other = receiver(&port);

    OK(membership(other, MCAST_JOIN_GROUP, group_text(1), NULL));
    peer_sends(20, group_text(1), port);
    expect(other, 20);
    expect(fd, 20);
}

static void packet_info(void)
{
    uint16_t port = 0;
    int fd = receiver(&port);
    char data[100], control[256];
    struct iovec part = {data, sizeof(data)};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    union address group = to_text(group_text(1), 0);

    set_option(fd, ip_level(), six() ? IPV6_RECVPKTINFO : IP_PKTINFO, 1);
    OK(membership(fd, MCAST_JOIN_GROUP, group_text(1), NULL));
    peer_sends(20, group_text(1), port);
    EQUAL(recvmsg(fd, &message, 0), 20);
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    CHECK(c);
    if (six()) {
        struct in6_pktinfo *info = (void *)CMSG_DATA(c);
        EQUAL(info->ipi6_ifindex, interface());
        CHECK(!memcmp(&info->ipi6_addr, &group.v6.sin6_addr, 16));
    } else {
        struct in_pktinfo *info = (void *)CMSG_DATA(c);
        EQUAL(info->ipi_ifindex, interface());
        CHECK(info->ipi_addr.s_addr == group.v4.sin_addr.s_addr);
    }
}

const struct api_case udp_multicast_cases[] = {
    {"udp.broadcast.needs_option", broadcast_needs_option, CASE_V4},
    {"udp.broadcast.send", broadcast_send, CASE_V4},
    {"udp.broadcast.receive", broadcast_receive, CASE_V4},
    {"udp.multicast.any_source", any_source},
    {"udp.multicast.any_source_classic", any_source_classic},
    {"udp.multicast.one_source", one_source},
    {"udp.multicast.one_source_classic", one_source_classic, CASE_V4},
    {"udp.multicast.blocked_source", blocked_source},
    {"udp.multicast.two_receivers", two_receivers},
    {"udp.multicast.several_groups", several_groups},
    {"udp.multicast.bound_to_group", bound_to_group},
    {"udp.multicast.send", send_out},
    {"udp.multicast.hops", hops},
    {"udp.multicast.loop", loop},
    {"udp.multicast.loop_same_socket", loop_same_socket},
    {"udp.multicast.interface_option", interface_option},
    {"udp.multicast.join_errors", join_errors},
    {"udp.multicast.only_own_groups", only_own_groups},
    {"udp.multicast.groups_of_others", groups_of_others},
    {"udp.multicast.packet_info", packet_info},
    {0},
};
