/* SPDX-License-Identifier: BSD-2-Clause */
/* Control messages: packet information, time stamps, TTL and class of service. */
#include <time.h>

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

/* A datagram received with its control messages. */
struct received {
    char data[2000];
    char control[512];
    struct msghdr header;
    ssize_t size;
};

static void receive(int fd, struct received *out, size_t control_size, int flags)
{
    static struct iovec part;

    part = (struct iovec){out->data, sizeof(out->data)};
    memset(out->control, 0, sizeof(out->control));
    out->header =
        (struct msghdr){.msg_iov = &part, .msg_iovlen = 1, .msg_control = out->control, .msg_controllen = control_size};
    out->size = OK(recvmsg(fd, &out->header, flags));
}

/* The data of a control message of at least size bytes; NULL: there is none. */
static void *find(struct received *received, int level, int type, size_t size)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&received->header); c; c = CMSG_NXTHDR(&received->header, c))
        if (c->cmsg_level == level && c->cmsg_type == type && c->cmsg_len >= CMSG_LEN(size))
            return CMSG_DATA(c);
    return NULL;
}

static int find_int(struct received *received, int level, int type)
{
    int *value = find(received, level, type, sizeof(int));

    CHECK(value);
    return *value;
}

/* Sends with one control message. */
static ssize_t send_with(int fd, const union address *to, int level, int type, const void *data, size_t size)
{
    char bytes[100], control[CMSG_SPACE(64)] = {0};
    struct iovec part = {bytes, sizeof(bytes)};
    struct msghdr message = {.msg_name = (void *)&to->any,
                             .msg_namelen = to ? address_length(to) : 0,
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = CMSG_SPACE(size)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    if (!to)
        message.msg_name = NULL;
    data_fill(bytes, sizeof(bytes), 0);
    *header = (struct cmsghdr){.cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(size)};
    memcpy(CMSG_DATA(header), data, size);
    return sendmsg(fd, &message, 0);
}

static bool six(void)
{
    return api.family == AF_INET6;
}

static void check_packet_info(struct received *received)
{
    union address self = to_self(0);

    EQUAL(received->size, 100);
    if (six()) {
        struct in6_pktinfo *info = find(received, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(*info));
        CHECK(info);
        CHECK(!memcmp(&info->ipi6_addr, &self.v6.sin6_addr, 16));
        EQUAL(info->ipi6_ifindex, if_nametoindex(api.interface));
    } else {
        struct in_pktinfo *info = find(received, IPPROTO_IP, IP_PKTINFO, sizeof(*info));
        CHECK(info);
        CHECK(info->ipi_addr.s_addr == self.v4.sin_addr.s_addr);
        CHECK(info->ipi_spec_dst.s_addr == self.v4.sin_addr.s_addr);
        EQUAL(info->ipi_ifindex, if_nametoindex(api.interface));
    }
}

static void want_packet_info(int fd)
{
    set_option(fd, ip_level(), six() ? IPV6_RECVPKTINFO : IP_PKTINFO, 1);
}

static void packet_info(void)
{
    int fd = udp_pair();
    struct received received;

    want_packet_info(fd);
    peer("sendto 1 100 0");
    receive(fd, &received, 512, 0);
    check_packet_info(&received);
}

static void packet_info_wildcard(void)
{
    int fd = udp_socket();
    union address any = to_any(0);
    struct received received;

    want_packet_info(fd);
    OK(bind(fd, SA(&any)));
    peer("udp 1");
    peer("sendto 1 100 0 %s %u", api.self, local_port(fd));
    receive(fd, &received, 512, 0);
    check_packet_info(&received);
    int local = udp_socket(); /* and over loopback */
    union address here = to_loopback(local_port(fd));
    EQUAL(sendto(local, "12345", 5, 0, SA(&here)), 5);
    receive(fd, &received, 512, 0);
    EQUAL(received.size, 5);
    if (six()) {
        struct in6_pktinfo *info = find(&received, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(*info));
        CHECK(info && info->ipi6_ifindex == if_nametoindex("lo"));
    } else {
        struct in_pktinfo *info = find(&received, IPPROTO_IP, IP_PKTINFO, sizeof(*info));
        CHECK(info && info->ipi_ifindex == (int)if_nametoindex("lo"));
    }
}

/* The answer leaves from the address that is asked for. */
static void packet_info_send(void)
{
    int fd = udp_socket();
    union address any = to_any(0), self = to_self(0);

    OK(bind(fd, SA(&any)));
    peer("udp 1");
    union address server = to_server(peer("bind 1 %s 0", api.server));
    if (six()) {
        struct in6_pktinfo info = {self.v6.sin6_addr, if_nametoindex(api.interface)};
        EQUAL(send_with(fd, &server, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info)), 100);
    } else {
        struct in_pktinfo info = {.ipi_spec_dst = self.v4.sin_addr};
        EQUAL(send_with(fd, &server, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info)), 100);
        info = (struct in_pktinfo){.ipi_ifindex = if_nametoindex(api.interface)};
        EQUAL(send_with(fd, &server, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info)), 100);
        EQUAL(peer("datagram 1 0"), 100);
        info = (struct in_pktinfo){.ipi_spec_dst.s_addr = htonl(0xc0000201)};
        CHECK(send_with(fd, &server, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info)) == -1);
    }
    EQUAL(peer("datagram 1 0"), 100);
    EQUAL(peer("sender"), local_port(fd));
    peer("sendto 1 10 0");
    EQUAL(poll_one(fd, POLLIN, 3000), POLLIN);
}

static int64_t to_ns(const struct timespec *time)
{
    return time->tv_sec * 1000000000LL + time->tv_nsec;
}

static void check_stamp(int64_t stamp_ns, int64_t *last_ns)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    CHECK(llabs(to_ns(&now) - stamp_ns) < 1000000000);
    CHECK(stamp_ns >= *last_ns);
    *last_ns = stamp_ns;
}

static void stamps_us(void)
{
    int fd = udp_pair();
    struct received received;
    int64_t last = 0;

    set_option(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
    EQUAL(get_option(fd, SOL_SOCKET, SO_TIMESTAMP), 1);
    for (int i = 0; i < 20; i++) {
        peer("sendto 1 100 0");
        receive(fd, &received, 512, 0);
        struct timeval *stamp = find(&received, SOL_SOCKET, SCM_TIMESTAMP, sizeof(*stamp));
        CHECK(stamp);
        check_stamp(stamp->tv_sec * 1000000000LL + stamp->tv_usec * 1000LL, &last);
    }
    set_option(fd, SOL_SOCKET, SO_TIMESTAMP, 0);
    peer("sendto 1 100 0");
    receive(fd, &received, 512, 0);
    CHECK(!CMSG_FIRSTHDR(&received.header));
}

static void stamps_ns(void)
{
    int fd = udp_pair();
    struct received received;
    int64_t last = 0;

    set_option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    for (int i = 0; i < 20; i++) {
        peer("sendto 1 100 0");
        receive(fd, &received, 512, 0);
        struct timespec *stamp = find(&received, SOL_SOCKET, SCM_TIMESTAMPNS, sizeof(*stamp));
        CHECK(stamp);
        check_stamp(to_ns(stamp), &last);
    }
}

static void stamps_software(void)
{
    int fd = udp_pair();
    struct received received;
    int64_t last = 0;

    set_option(fd, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
    do { /* the kernel's stamping may take a moment to begin */
        peer("sendto 1 100 0");
        receive(fd, &received, 512, 0);
    } while (!find(&received, SOL_SOCKET, SCM_TIMESTAMPING, sizeof(struct scm_timestamping)));
    for (int i = 0; i < 20; i++) {
        peer("sendto 1 100 0");
        receive(fd, &received, 512, 0);
        struct scm_timestamping *stamps = find(&received, SOL_SOCKET, SCM_TIMESTAMPING, sizeof(*stamps));
        CHECK(stamps);
        check_stamp(to_ns(&stamps->ts[0]), &last);
        EQUAL(to_ns(&stamps->ts[2]), 0);
    }
}

/* A stamp tells when the datagram came, not when it is read. */
static void stamp_of_arrival(void)
{
    int fd = udp_pair();
    struct received received;
    struct timespec now;

    set_option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    sleep_ms(100); /* the kernel's stamping may take a moment to begin */
    peer("sendto 1 100 0");
    EQUAL(poll_one(fd, POLLIN, 3000), POLLIN);
    sleep_ms(300);
    receive(fd, &received, 512, 0);
    struct timespec *stamp = find(&received, SOL_SOCKET, SCM_TIMESTAMPNS, sizeof(*stamp));
    CHECK(stamp);
    clock_gettime(CLOCK_REALTIME, &now);
    CHECK(to_ns(&now) - to_ns(stamp) > 200000000);
}

static void stamp_transmit(void)
{
    int fd = udp_pair();
    struct received received;

    set_option(fd, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
    EQUAL(send(fd, "hello", 5, 0), 5);
    EQUAL(peer("read 1 10"), 5);
    CHECK(poll_one(fd, 0, 3000) & POLLERR);
    receive(fd, &received, 512, MSG_ERRQUEUE);
    CHECK(received.header.msg_flags & MSG_ERRQUEUE);
    struct scm_timestamping *stamps = find(&received, SOL_SOCKET, SCM_TIMESTAMPING, sizeof(*stamps));
    CHECK(stamps);
    int64_t last = 0;
    check_stamp(to_ns(&stamps->ts[0]), &last);
}

static void hops_and_class(void)
{
    int fd = udp_pair();
    struct received received;

    set_option(fd, ip_level(), six() ? IPV6_RECVHOPLIMIT : IP_RECVTTL, 1);
    set_option(fd, ip_level(), six() ? IPV6_RECVTCLASS : IP_RECVTOS, 1);
    EQUAL(get_option(fd, ip_level(), six() ? IPV6_RECVTCLASS : IP_RECVTOS), 1);
    peer("option 1 %d %d 33", ip_level(), six() ? IPV6_UNICAST_HOPS : IP_TTL);
    peer("option 1 %d %d 0x48", ip_level(), six() ? IPV6_TCLASS : IP_TOS);
    peer("sendto 1 100 0");
    receive(fd, &received, 512, 0);
    if (six()) {
        EQUAL(find_int(&received, IPPROTO_IPV6, IPV6_HOPLIMIT), 33);
        EQUAL(find_int(&received, IPPROTO_IPV6, IPV6_TCLASS), 0x48);
    } else {
        EQUAL(find_int(&received, IPPROTO_IP, IP_TTL), 33);
        unsigned char *tos = find(&received, IPPROTO_IP, IP_TOS, 1);
        CHECK(tos && *tos == 0x48);
    }
}

/* What we set is on the wire: the kernel or stack at the other end passes it on. */
static void hops_and_class_send(void)
{
    int fd = udp_pair();

    set_option(fd, ip_level(), six() ? IPV6_UNICAST_HOPS : IP_TTL, 7);
    EQUAL(get_option(fd, ip_level(), six() ? IPV6_UNICAST_HOPS : IP_TTL), 7);
    set_option(fd, ip_level(), six() ? IPV6_TCLASS : IP_TOS, 0x20);
    peer("option 1 %d %d 1", ip_level(), six() ? IPV6_RECVHOPLIMIT : IP_RECVTTL);
    peer("option 1 %d %d 1", ip_level(), six() ? IPV6_RECVTCLASS : IP_RECVTOS);
    EQUAL(send(fd, "hello", 5, 0), 5);
    EQUAL(peer("control 1 %d %d", ip_level(), six() ? IPV6_HOPLIMIT : IP_TTL), 7);
    EQUAL(send(fd, "hello", 5, 0), 5);
    EQUAL(peer("control 1 %d %d", ip_level(), six() ? IPV6_TCLASS : IP_TOS), 0x20);
    int hops = 11; /* for one datagram */
    EQUAL(send_with(fd, NULL, ip_level(), six() ? IPV6_HOPLIMIT : IP_TTL, &hops, sizeof(hops)), 100);
    EQUAL(peer("control 1 %d %d", ip_level(), six() ? IPV6_HOPLIMIT : IP_TTL), 11);
    int class = 0x60;
    EQUAL(send_with(fd, NULL, ip_level(), six() ? IPV6_TCLASS : IP_TOS, &class, sizeof(class)), 100);
    EQUAL(peer("control 1 %d %d", ip_level(), six() ? IPV6_TCLASS : IP_TOS), 0x60);
    EQUAL(send(fd, "hello", 5, 0), 5);
    EQUAL(peer("control 1 %d %d", ip_level(), six() ? IPV6_HOPLIMIT : IP_TTL), 7);
    int wrong = 3000;
    FAILS(setsockopt(fd, ip_level(), six() ? IPV6_UNICAST_HOPS : IP_TTL, &wrong, sizeof(wrong)), EINVAL);
}

static void all_at_once(void)
{
    int fd = udp_pair();
    struct received received;

    want_packet_info(fd);
    set_option(fd, ip_level(), six() ? IPV6_RECVHOPLIMIT : IP_RECVTTL, 1);
    set_option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    set_option(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
    peer("sendto 1 100 0");
    receive(fd, &received, 512, 0);
    check_packet_info(&received);
    EQUAL(find_int(&received, ip_level(), six() ? IPV6_HOPLIMIT : IP_TTL), 64);
    CHECK(find(&received, SOL_SOCKET, SCM_TIMESTAMPNS, sizeof(struct timespec)));
    CHECK(!(received.header.msg_flags & MSG_CTRUNC));
}

/* An option that only the kernel has moves the socket, with datagrams in its queue and on their way: each comes once,
 * in order. */
static void moves_without_loss(void)
{
    enum { COUNT = 200 };
    int fd = udp_pair();

    peer("bg 1 flood 1 %d 100 %s %u 200", COUNT, api.self, local_port(fd));
    sleep_ms(10);
    set_option(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
    for (int i = 0; i < COUNT; i++) {
        CHECK(poll_one(fd, POLLIN, 3000) & POLLIN);
        EQUAL(receive_datagram(fd, i * 100), 100);
    }
    peer("fin 1");
    EQUAL(poll_one(fd, POLLIN, 20), 0);
    EQUAL(send(fd, "hello", 5, 0), 5);
    EQUAL(peer("read 1 10"), 5);
}

static void no_room(void)
{
    int fd = udp_pair();
    struct received received;

    want_packet_info(fd);
    set_option(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    peer("sendto 1 100 0");
    receive(fd, &received, CMSG_SPACE(sizeof(struct timespec)), 0);
    EQUAL(received.size, 100);
    CHECK(received.header.msg_flags & MSG_CTRUNC);
    CHECK(find(&received, SOL_SOCKET, SCM_TIMESTAMPNS, sizeof(struct timespec)));
    peer("sendto 1 100 0");
    receive(fd, &received, 0, 0);
    EQUAL(received.size, 100);
    CHECK(received.header.msg_flags & MSG_CTRUNC);
    EQUAL(received.header.msg_controllen, 0);
}

static void drops_are_told(void)
{
    int fd = udp_pair();
    struct received received;

    set_option(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
    set_option(fd, SOL_SOCKET, SO_RCVBUF, 20000);
    peer("flood 1 300 1000 %s %u", api.self, local_port(fd));
    sleep_ms(50);
    while (recv(fd, received.data, sizeof(received.data), MSG_DONTWAIT) > 0)
        ;
    peer("sendto 1 100 0");
    receive(fd, &received, 512, 0);
    CHECK(find_int(&received, SOL_SOCKET, SO_RXQ_OVFL) > 50);
}

/* ICMP errors in the error queue. */
static void error_queue(void)
{
    int fd = udp_bound();
    struct received received;

    peer("udp 1");
    union address server = to_server(peer("bind 1 %s 0", api.server));
    peer("close 1");
    set_option(fd, ip_level(), six() ? IPV6_RECVERR : IP_RECVERR, 1);
    EQUAL(sendto(fd, "hello", 5, 0, SA(&server)), 5);
    CHECK(poll_one(fd, POLLIN, 3000) & POLLERR);
    receive(fd, &received, 512, MSG_ERRQUEUE);
    EQUAL(received.size, 5);
    CHECK(!memcmp(received.data, "hello", 5));
    struct sock_extended_err *error = find(&received, ip_level(), six() ? IPV6_RECVERR : IP_RECVERR, sizeof(*error));
    CHECK(error);
    EQUAL(error->ee_errno, ECONNREFUSED);
    EQUAL(error->ee_origin, six() ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP);
}

const struct api_case udp_control_cases[] = {
    {"udp.control.packet_info", packet_info},
    {"udp.control.packet_info_wildcard", packet_info_wildcard},
    {"udp.control.packet_info_send", packet_info_send},
    {"udp.control.stamps_us", stamps_us},
    {"udp.control.stamps_ns", stamps_ns},
    {"udp.control.stamps_software", stamps_software},
    {"udp.control.stamp_of_arrival", stamp_of_arrival},
    {"udp.control.stamp_transmit", stamp_transmit},
    {"udp.control.hops_and_class", hops_and_class},
    {"udp.control.hops_and_class_send", hops_and_class_send},
    {"udp.control.all_at_once", all_at_once},
    {"udp.control.moves_without_loss", moves_without_loss},
    {"udp.control.no_room", no_room},
    {"udp.control.drops_are_told", drops_are_told},
    {"udp.control.error_queue", error_queue},
    {0},
};
