/* SPDX-License-Identifier: BSD-2-Clause */
/* How packets leave: both injectors towards the peer's kernel, and all that the guard must not let through. As root;
 * skipped otherwise. */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/error.h"
#include "divert/inject.h"
#include "divert_rig.h"

#define PORT        5000
#define PEER_PORT   6000
#define NEXTHOP4    1
#define NEXTHOP6    2
#define UNRESOLVED4 3
#define UNRESOLVED6 4
#define MSS         1448

static struct rig rig;
static int tap_fd, tap_raw_fd; /* the injector's and a second descriptor of the same device, for raw frames */
static char tap_name[IFNAMSIZ];
static struct injector *guarded, *direct;

/* ---- set-up ---- */

static void set_nexthop(uint16_t index, const char *gateway, bool resolved)
{
    struct divert_nexthop nexthop = {.gateway = rig_addr(gateway), .ifindex = rig.ifindex, .resolved = resolved};

    if (resolved) {
        memcpy(nexthop.destination_mac, rig.peer_mac, ETH_ALEN);
        memcpy(nexthop.source_mac, rig.own_mac, ETH_ALEN);
    }
    assert_int_equal(divert_nexthop_set(rig.divert, index, &nexthop), 0);
}

static struct guard_key guard_key(uint32_t lane, int protocol, const char *local, uint16_t port)
{
    return (struct guard_key){
        .local = rig_addr(local), .lane = lane, .local_port = htons(port), .protocol = (uint8_t)protocol};
}

static void allow(int protocol, const char *local, uint16_t port)
{
    struct guard_key key = guard_key(0, protocol, local, port);

    assert_int_equal(divert_guard_allow(rig.divert, &key), 0);
}

static uint32_t nexthop_ifindex;

static bool lookup(void *context, uint16_t nexthop, struct injector_nexthop *out)
{
    (void)context;
    out->ifindex = nexthop_ifindex;
    out->resolved = nexthop == NEXTHOP4 || nexthop == NEXTHOP6;
    memcpy(out->destination_mac, rig.peer_mac, ETH_ALEN);
    memcpy(out->source_mac, rig.own_mac, ETH_ALEN);
    return nexthop <= UNRESOLVED6;
}

static int setup(void **state)
{
    int packet_fd;

    (void)state;
    rig_open(&rig, DIVERT_MODE_TC);
    rig_lane(&rig, 0, RIG_RING);
    assert_int_equal(divert_tap_create(rig.divert, 0, tap_name, &tap_fd), 0);
    tap_raw_fd = dup(tap_fd);
    assert_int_equal(injector_open_guarded(&guarded, tap_fd), 0);
    assert_int_equal(divert_packet_socket_create(rig.ifindex, &packet_fd), 0);
    assert_int_equal(injector_open_direct(&direct, packet_fd, lookup, NULL), 0);
    nexthop_ifindex = rig.ifindex;
    set_nexthop(NEXTHOP4, PEER4, true);
    set_nexthop(NEXTHOP6, PEER6, true);
    set_nexthop(UNRESOLVED4, PEER4, false);
    set_nexthop(UNRESOLVED6, PEER6, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    injector_close(guarded);
    injector_close(direct);
    close(tap_raw_fd);
    rig_close(&rig);
    return 0;
}

/* ---- packets ---- */

struct outgoing {
    struct frame frame; /* the link layer's 14 bytes are there for the checksum helpers' sake */
    struct iovec iov[3];
    struct inject_packet packet;
};

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)sum);
}

static uint32_t sum_bytes(const uint8_t *at, size_t bytes)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < bytes; i += 2)
        sum += (uint32_t)at[i] << 8 | at[i + 1];
    return sum;
}

/* Headers in one part, payload in another, checksum left to the kernel: as the engine sends. The frame is as large as
 * a datagram can be only in its length fields. */
static void make_packet(struct outgoing *out, int protocol, const char *source, uint16_t port, const char *destination,
                        uint8_t *payload, size_t bytes)
{
    bool v6 = strchr(destination, ':') != NULL;
    size_t ip_bytes = v6 ? 40 : 20, transport_bytes = protocol == IPPROTO_TCP ? 20 : 8;
    uint8_t *ip = out->frame.bytes + ETH_HLEN, *transport = ip + ip_bytes;
    uint16_t check;

    frame_udp(&rig, &out->frame, source, port, destination, PEER_PORT, "", 0);
    *(uint16_t *)(ip + (v6 ? 4 : 2)) = htons((uint16_t)((v6 ? 0 : ip_bytes) + transport_bytes + bytes));
    ip[v6 ? 6 : 9] = (uint8_t)protocol;
    check = fold(sum_bytes(ip + (v6 ? 8 : 12), v6 ? 32 : 8) + (uint32_t)protocol + (uint32_t)(transport_bytes + bytes));
    if (protocol == IPPROTO_TCP)
        *(struct tcphdr *)transport =
            (struct tcphdr){.source = htons(port), .dest = htons(PEER_PORT), .doff = 5, .ack = 1, .check = check};
    else
        *(struct udphdr *)transport = (struct udphdr){
            .source = htons(port), .dest = htons(PEER_PORT), .check = check, .len = htons((uint16_t)(8 + bytes))};
    if (!v6)
        frame_checksum(&out->frame);
    out->iov[1] = (struct iovec){ip, ip_bytes + transport_bytes};
    out->iov[2] = (struct iovec){payload, bytes};
    out->packet = (struct inject_packet){.iov = out->iov,
                                         .iov_count = 3,
                                         .nexthop = v6 ? NEXTHOP6 : NEXTHOP4,
                                         .checksum_start = (uint16_t)ip_bytes,
                                         .checksum_offset = protocol == IPPROTO_TCP ? 16 : 6,
                                         .header_bytes = (uint16_t)(ip_bytes + transport_bytes),
                                         .protocol = (uint8_t)protocol,
                                         .ipv6 = v6};
}

static int send_udp(struct injector *injector, const char *source, uint16_t port, const char *destination,
                    const char *text, uint16_t nexthop)
{
    struct outgoing out;

    make_packet(&out, IPPROTO_UDP, source, port, destination, (uint8_t *)text, strlen(text));
    out.packet.nexthop = nexthop;
    return injector_send(injector, &out.packet);
}

static struct guard_counters counters(void)
{
    struct guard_counters out;

    assert_int_equal(divert_guard_counters(rig.divert, 0, &out), 0);
    return out;
}

static void assert_arrives(int socket_fd, const char *text)
{
    char got[64] = {0};

    assert_int_equal(rig_receive(socket_fd, got, sizeof(got)), strlen(text));
    assert_string_equal(got, text);
}

/* ---- what must leave ---- */

static void datagrams_leave(void **state)
{
    int peer = rig_udp(1, PEER4, PEER_PORT), peer6 = rig_udp(1, PEER6, PEER_PORT);
    struct sockaddr_in from;
    socklen_t length = sizeof(from);
    char text[16];

    (void)state;
    allow(IPPROTO_UDP, OWN4, PORT);
    allow(IPPROTO_UDP, OWN6, PORT);
    assert_int_equal(send_udp(guarded, OWN4, PORT, PEER4, "guarded", NEXTHOP4), 0);
    assert_int_equal(recvfrom(peer, text, sizeof(text), 0, (struct sockaddr *)&from, &length), 7);
    assert_int_equal(ntohs(from.sin_port), PORT);
    assert_int_equal(send_udp(direct, OWN4, PORT, PEER4, "direct", NEXTHOP4), 0);
    assert_arrives(peer, "direct");
    assert_int_equal(send_udp(guarded, OWN6, PORT, PEER6, "guarded6", NEXTHOP6), 0);
    assert_arrives(peer6, "guarded6");
    assert_int_equal(send_udp(direct, OWN6, PORT, PEER6, "direct6", NEXTHOP6), 0);
    assert_arrives(peer6, "direct6");
    assert_int_equal(counters().packets, 2);
    close(peer);
    close(peer6);
}

static void unresolved_next_hops(void **state)
{
    int peer = rig_udp(1, PEER4, PEER_PORT), peer6 = rig_udp(1, PEER6, PEER_PORT);

    (void)state;
    allow(IPPROTO_UDP, OWN4, PORT);
    allow(IPPROTO_UDP, OWN6, PORT);
    rig_shell(0, "ip neigh flush dev v0");
    assert_int_equal(send_udp(guarded, OWN4, PORT, PEER4, "resolve", UNRESOLVED4), 0);
    assert_arrives(peer, "resolve");
    assert_int_equal(send_udp(guarded, OWN6, PORT, PEER6, "resolve6", UNRESOLVED6), 0);
    assert_arrives(peer6, "resolve6");
    assert_int_equal(send_udp(direct, OWN4, PORT, PEER4, "x", UNRESOLVED4), -EHOSTUNREACH);
    assert_int_equal(send_udp(direct, OWN4, PORT, PEER4, "x", 99), -EHOSTUNREACH);
    close(peer);
    close(peer6);
}

static void large_datagram(struct injector *injector, const char *own, const char *peer_address, size_t bytes)
{
    static uint8_t data[65507], got[65536];
    int peer = rig_udp(1, peer_address, PEER_PORT);
    struct outgoing out;
    size_t header = strchr(own, ':') ? 48 : 20;

    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(i * 31 >> 3);
    memset(got, 0, sizeof(got));
    make_packet(&out, IPPROTO_UDP, own, PORT, peer_address, data, bytes);
    out.packet.segment_size = (uint16_t)((1500 - header) & ~7u);
    assert_int_equal(injector_send(injector, &out.packet), 0);
    assert_int_equal(rig_receive(peer, got, sizeof(got)), bytes);
    assert_memory_equal(got, data, bytes);
    close(peer);
}

/* Up to 64 KB, in fragments that the kernel makes; one that needs none is not cut. */
static void large_datagrams_are_fragmented(void **state)
{
    static const size_t sizes[] = {100, 1452, 1473, 4000, 30000, 65487, 65507};

    (void)state;
    allow(IPPROTO_UDP, OWN4, PORT);
    allow(IPPROTO_UDP, OWN6, PORT);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        large_datagram(guarded, OWN4, PEER4, sizes[i]);
        large_datagram(direct, OWN4, PEER4, sizes[i]);
        large_datagram(guarded, OWN6, PEER6, sizes[i]);
        large_datagram(direct, OWN6, PEER6, sizes[i]);
    }
    assert_int_equal(counters().packets, 2 * sizeof(sizes) / sizeof(sizes[0]));
}

static int capture_open(void)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)rig.peer_ifindex};
    int on = 1, bytes = 4 << 20, fd;

    rig_enter(1);
    fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    rig_enter(0);
    assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* The peer's interface sees segments, or one packet that the kernel still knows how to cut. */
static void large_segment(struct injector *injector, const char *own, const char *peer_address)
{
    static uint8_t data[60000], got[70000];
    bool v6 = strchr(own, ':') != NULL;
    size_t headers = v6 ? 60 : 40, total = 0;
    struct outgoing out;
    int capture;

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 17 >> 2);
    make_packet(&out, IPPROTO_TCP, own, PORT, peer_address, data, sizeof(data));
    out.packet.segment_size = MSS;
    capture = capture_open();
    assert_int_equal(injector_send(injector, &out.packet), 0);
    while (total < sizeof(data)) {
        const struct virtio_net_hdr *header = (const struct virtio_net_hdr *)got;
        struct sockaddr_ll from;
        socklen_t length = sizeof(from);
        struct pollfd wait = {.fd = capture, .events = POLLIN};
        const uint8_t *ip = got + 10 + ETH_HLEN;
        long bytes;

        assert_int_equal(poll(&wait, 1, 1000), 1);
        bytes = recvfrom(capture, got, sizeof(got), 0, (struct sockaddr *)&from, &length);
        assert_true(bytes > 10 + ETH_HLEN);
        if (from.sll_pkttype == PACKET_OUTGOING || ip[v6 ? 6 : 9] != IPPROTO_TCP || ip[v6 ? 40 : 20] != PORT >> 8)
            continue;
        bytes -= 10 + ETH_HLEN + (long)headers;
        assert_memory_equal(ip + headers, data + total, bytes);
        total += (size_t)bytes;
        if (bytes > MSS)
            assert_int_equal(header->gso_size, MSS);
    }
    assert_int_equal(total, sizeof(data));
    close(capture);
}

static void large_segments_leave_as_one(void **state)
{
    (void)state;
    allow(IPPROTO_TCP, OWN4, PORT);
    allow(IPPROTO_TCP, OWN6, PORT);
    large_segment(guarded, OWN4, PEER4);
    large_segment(direct, OWN4, PEER4);
    large_segment(guarded, OWN6, PEER6);
    large_segment(direct, OWN6, PEER6);
}

/* A direct injector's socket is bound to one interface, its packets go where their next hop is. */
static void next_hops_name_the_interface(void **state)
{
    int packet_fd, peer = rig_udp(1, PEER4, PEER_PORT);
    struct injector *elsewhere;

    (void)state;
    rig_shell(0, "ip link add other type veth peer name otherp; ip link set other up");
    assert_int_equal(divert_packet_socket_create(if_nametoindex("other"), &packet_fd), 0);
    assert_int_equal(injector_open_direct(&elsewhere, packet_fd, lookup, NULL), 0);
    assert_int_equal(send_udp(elsewhere, OWN4, PORT, PEER4, "there", NEXTHOP4), 0);
    assert_arrives(peer, "there");
    large_datagram(elsewhere, OWN4, PEER4, 100);
    large_datagram(elsewhere, OWN4, PEER4, 30000);
    nexthop_ifindex = if_nametoindex("other");
    send_udp(elsewhere, OWN4, PORT, PEER4, "here", NEXTHOP4);
    assert_true(rig_silent(peer));
    injector_close(elsewhere);
    close(peer);
    rig_shell(0, "ip link del other");
}

static void multicast_leaves_with_its_own_address(void **state)
{
    struct divert_nexthop nexthop = {.gateway = rig_addr("239.1.2.3"),
                                     .ifindex = rig.ifindex,
                                     .multicast = 1,
                                     .destination_mac = {0x01, 0x00, 0x5e, 0x01, 0x02, 0x03}};
    int peer = rig_udp(1, "0.0.0.0", PEER_PORT);
    struct ip_mreqn join = {.imr_ifindex = (int)rig.peer_ifindex};

    (void)state;
    memcpy(nexthop.source_mac, rig.own_mac, ETH_ALEN);
    inet_pton(AF_INET, "239.1.2.3", &join.imr_multiaddr);
    assert_int_equal(setsockopt(peer, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof(join)), 0);
    assert_int_equal(divert_nexthop_set(rig.divert, 9, &nexthop), 0);
    allow(IPPROTO_UDP, OWN4, PORT);
    assert_int_equal(send_udp(guarded, OWN4, PORT, "239.1.2.3", "group", 9), 0);
    assert_arrives(peer, "group");
    close(peer);
}

/* ---- what must not ---- */

static void only_registered_sources_leave(void **state)
{
    static const struct {
        const char *local;
        uint16_t port;
    } forged[] = {{PEER4, PORT}, {"10.77.0.9", PORT}, {OWN4, PORT + 1}, {"0.0.0.0", PORT}, {"127.0.0.1", PORT}};
    int peer = rig_udp(1, PEER4, PEER_PORT);
    struct outgoing tcp = {0};
    uint8_t payload[4] = "tcp";

    (void)state;
    allow(IPPROTO_UDP, OWN4, PORT);
    for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++)
        send_udp(guarded, forged[i].local, forged[i].port, PEER4, "forged", NEXTHOP4);
    make_packet(&tcp, IPPROTO_TCP, OWN4, PORT, PEER4, payload, sizeof(payload));
    injector_send(guarded, &tcp.packet); /* the port is the lane's for UDP only */
    assert_true(rig_silent(peer));
    assert_int_equal(counters().drops[GUARD_DROP_SOURCE], sizeof(forged) / sizeof(forged[0]) + 1);
    assert_int_equal(counters().packets, 0);
    close(peer);
}

static void any_means_own_addresses(void **state)
{
    int peer = rig_udp(1, PEER4, PEER_PORT), peer6 = rig_udp(1, PEER6, PEER_PORT);

    (void)state;
    allow(IPPROTO_UDP, "0.0.0.0", PORT);
    send_udp(guarded, OWN4, PORT, PEER4, "own", NEXTHOP4);
    assert_arrives(peer, "own");
    send_udp(guarded, "10.77.0.255", PORT, PEER4, "broadcast", NEXTHOP4); /* local, but nobody's own */
    send_udp(guarded, "10.77.0.9", PORT, PEER4, "other", NEXTHOP4);
    send_udp(guarded, OWN6, PORT, PEER6, "other family", NEXTHOP6);
    assert_true(rig_silent(peer));
    assert_true(rig_silent(peer6));
    assert_int_equal(counters().drops[GUARD_DROP_SOURCE], 3);
    allow(IPPROTO_UDP, "::", PORT);
    send_udp(guarded, OWN6, PORT, PEER6, "own6", NEXTHOP6);
    assert_arrives(peer6, "own6");
    close(peer);
    close(peer6);
}

static void revoked_sources_leave_no_more(void **state)
{
    struct guard_key key = guard_key(0, IPPROTO_UDP, OWN4, PORT);
    int peer = rig_udp(1, PEER4, PEER_PORT);

    (void)state;
    allow(IPPROTO_UDP, OWN4, PORT);
    allow(IPPROTO_UDP, OWN4, PORT);
    assert_int_equal(divert_guard_revoke(rig.divert, &key), 0);
    send_udp(guarded, OWN4, PORT, PEER4, "still", NEXTHOP4);
    assert_arrives(peer, "still");
    assert_int_equal(divert_guard_revoke(rig.divert, &key), 0);
    send_udp(guarded, OWN4, PORT, PEER4, "no more", NEXTHOP4);
    assert_true(rig_silent(peer));
    close(peer);
}

static void lanes_keep_to_their_own(void **state)
{
    int peer = rig_udp(1, PEER4, PEER_PORT), other_fd;
    struct injector *other;
    char name[IFNAMSIZ];
    struct guard_key key = guard_key(1, IPPROTO_UDP, OWN4, PORT + 1);

    (void)state;
    rig_lane(&rig, 1, RIG_RING);
    assert_int_equal(divert_tap_create(rig.divert, 1, name, &other_fd), 0);
    assert_int_equal(injector_open_guarded(&other, other_fd), 0);
    allow(IPPROTO_UDP, OWN4, PORT);
    assert_int_equal(divert_guard_allow(rig.divert, &key), 0);
    send_udp(other, OWN4, PORT, PEER4, "forged", NEXTHOP4);
    send_udp(guarded, OWN4, PORT + 1, PEER4, "forged", NEXTHOP4);
    assert_true(rig_silent(peer));
    send_udp(other, OWN4, PORT + 1, PEER4, "own", NEXTHOP4);
    assert_arrives(peer, "own");
    injector_close(other);
    close(peer);
}

static void write_frame(const struct frame *frame)
{
    struct virtio_net_hdr none = {0};
    struct iovec iov[2] = {{&none, sizeof(none)}, {(void *)frame->bytes, frame->length}};

    /* The device itself refuses some. */
    (void)!writev(tap_raw_fd, iov, 2);
}

/* A good frame as the injector would make it, for the tests to spoil. */
static void good_frame(struct frame *frame, const char *own, const char *peer_address)
{
    frame_udp(&rig, frame, own, PORT, peer_address, PEER_PORT, "spoilt", 6);
    memcpy(frame->bytes, NEXTHOP_MAC_PREFIX "\x00\x01", ETH_ALEN);
    allow(IPPROTO_UDP, own, PORT);
}

static void fragments_are_dropped(void **state)
{
    static const uint8_t extension[8] = {IPPROTO_UDP, 0, 0, 1};
    int capture = capture_open();
    struct frame frame;

    (void)state;
    good_frame(&frame, OWN4, PEER4);
    frame.bytes[14 + 6] = 0x20; /* more fragments */
    frame_checksum(&frame);
    write_frame(&frame);
    frame.bytes[14 + 6] = 0;
    frame.bytes[14 + 7] = 5; /* offset */
    frame_checksum(&frame);
    write_frame(&frame);
    good_frame(&frame, OWN6, PEER6);
    frame_insert(&frame, 54, extension, sizeof(extension));
    frame.bytes[14 + 6] = IPPROTO_FRAGMENT;
    frame.bytes[14 + 5] += 8;
    write_frame(&frame);
    assert_int_equal(counters().drops[GUARD_DROP_FRAGMENT], 3);
    assert_int_equal(counters().packets, 0);
    close(capture);
}

static void all_else_is_dropped(void **state)
{
    static const uint8_t tag[4] = {0x81, 0x00, 0x00, 5};
    int peer = rig_udp(1, PEER4, PEER_PORT);
    struct frame good, frame;
    uint64_t dropped = 0;

    (void)state;
    good_frame(&good, OWN4, PEER4);
    for (size_t cut = 14; cut < good.length; cut++, dropped++) {
        frame = good;
        frame.length = cut;
        write_frame(&frame);
    }
    frame = good;
    frame.length += 10; /* more than the IP header says */
    write_frame(&frame);
    frame = good;
    frame.bytes[12] = 0x08; /* ARP */
    frame.bytes[13] = 0x06;
    write_frame(&frame);
    frame = good;
    frame.bytes[14] = 0x46; /* options */
    frame_checksum(&frame);
    write_frame(&frame);
    frame = good;
    frame.bytes[14 + 9] = IPPROTO_ICMP;
    frame_checksum(&frame);
    write_frame(&frame);
    frame = good;
    memcpy(frame.bytes + 14 + 16, "\x7f\x00\x00\x01", 4); /* to loopback */
    frame_checksum(&frame);
    write_frame(&frame);
    frame = good;
    frame_insert(&frame, 12, tag, sizeof(tag));
    write_frame(&frame);
    good_frame(&frame, OWN6, "::1");
    write_frame(&frame);
    good_frame(&frame, OWN6, "::ffff:10.77.0.2");
    write_frame(&frame);
    dropped += 8;
    assert_true(rig_silent(peer));
    assert_int_equal(counters().packets, 0);
    assert_in_range(counters().drops[GUARD_DROP_MALFORMED], dropped - 8, dropped);
    write_frame(&good); /* nothing broke */
    assert_arrives(peer, "spoilt");
    close(peer);
}

static void unknown_next_hops_are_dropped(void **state)
{
    int peer = rig_udp(1, PEER4, PEER_PORT);
    struct frame frame;

    (void)state;
    good_frame(&frame, OWN4, PEER4);
    frame.bytes[5] = 77; /* not in use */
    write_frame(&frame);
    frame.bytes[4] = 0xff; /* beyond the table */
    write_frame(&frame);
    memcpy(frame.bytes, rig.peer_mac, ETH_ALEN); /* an address of its own choice */
    write_frame(&frame);
    assert_true(rig_silent(peer));
    assert_int_equal(counters().drops[GUARD_DROP_NEXTHOP], 3);
    close(peer);
}

static void descriptors_never_receive(void **state)
{
    int broadcaster = rig_udp(0, "0.0.0.0", 7000), raw, on = 1, peer = rig_udp(1, PEER4, PEER_PORT);
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7001), .sin_addr.s_addr = INADDR_BROADCAST};
    uint8_t got[2048], frame[64] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    (void)state;
    assert_int_equal(setsockopt(broadcaster, SOL_SOCKET, SO_BINDTODEVICE, tap_name, strlen(tap_name)), 0);
    assert_int_equal(setsockopt(broadcaster, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)), 0);
    (void)!sendto(broadcaster, "x", 1, 0, (struct sockaddr *)&to, sizeof(to));
    raw = socket(AF_PACKET, SOCK_RAW, 0);
    address.sll_ifindex = (int)if_nametoindex(tap_name);
    (void)!sendto(raw, frame, sizeof(frame), 0, (struct sockaddr *)&address, sizeof(address));
    rig_send(peer, OWN4, PORT, "to packet socket", 16);
    usleep(50000);
    assert_int_equal(read(injector_fd(guarded), got, sizeof(got)), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(read(injector_fd(direct), got, sizeof(got)), -1);
    assert_int_equal(errno, EAGAIN);
    close(broadcaster);
    close(raw);
    close(peer);
}

/* ---- life and death ---- */

/* Whatever a program does to its device, it goes with the lane. */
static void device_goes_with_its_lane(void **state)
{
    int peer = rig_udp(1, PEER4, PEER_PORT);

    (void)state;
    allow(IPPROTO_UDP, OWN4, PORT);
    assert_int_equal(ioctl(tap_raw_fd, TUNSETPERSIST, 1), 0);
    divert_lane_destroy(rig.divert, 0);
    send_udp(guarded, OWN4, PORT, PEER4, "x", NEXTHOP4); /* the device may be there still, but leads nowhere */
    lane_close(rig.lanes[0]);
    rig_lane(&rig, 0, RIG_RING); /* waits for the old lane's end */
    assert_int_equal(if_nametoindex(tap_name), 0);
    assert_true(send_udp(guarded, OWN4, PORT, PEER4, "x", NEXTHOP4) < 0);
    assert_true(rig_silent(peer));
    close(peer);
}

static void taken_names_are_avoided(void **state)
{
    char name[IFNAMSIZ];
    int fd;

    (void)state;
    rig_lane(&rig, 2, RIG_RING);
    rig_shell(0, "ip link add ls2 type veth peer name ls2p");
    assert_int_equal(divert_tap_create(rig.divert, 2, name, &fd), 0);
    assert_string_not_equal(name, "ls2");
    close(fd);
    rig_shell(0, "ip link del ls2");
}

static void restart_takes_devices_over(void **state)
{
    int peer = rig_udp(1, PEER4, PEER_PORT), pipes[2];
    struct guard_key key = guard_key(5, IPPROTO_UDP, OWN4, PORT);
    struct divert *next;
    struct divert *first = rig.divert;

    (void)state;
    assert_int_equal(divert_open(&next), 0);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(divert_tap_adopt(next, 5, pipes[0]), LOCKSTEP_E_BAD_FORMAT);
    assert_int_equal(divert_tap_adopt(next, 5, injector_fd(direct)), LOCKSTEP_E_BAD_FORMAT);
    allow(IPPROTO_UDP, OWN4, PORT);
    assert_int_equal(divert_tap_adopt(next, 5, tap_raw_fd), 0);
    assert_int_equal(divert_tap_adopt(next, 6, tap_raw_fd), LOCKSTEP_E_CONFLICT);
    send_udp(guarded, OWN4, PORT, PEER4, "new guard", NEXTHOP4);
    assert_true(rig_silent(peer)); /* what the old one allowed is void */
    rig.divert = next;
    set_nexthop(NEXTHOP4, PEER4, true);
    assert_int_equal(divert_guard_allow(next, &key), 0);
    send_udp(guarded, OWN4, PORT, PEER4, "allowed", NEXTHOP4);
    assert_arrives(peer, "allowed");
    rig.divert = first;
    divert_close(next, true);
    close(pipes[0]);
    close(pipes[1]);
    close(peer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(datagrams_leave),
        TEST(unresolved_next_hops),
        TEST(large_datagrams_are_fragmented),
        TEST(large_segments_leave_as_one),
        TEST(next_hops_name_the_interface),
        TEST(multicast_leaves_with_its_own_address),
        TEST(only_registered_sources_leave),
        TEST(any_means_own_addresses),
        TEST(revoked_sources_leave_no_more),
        TEST(lanes_keep_to_their_own),
        TEST(fragments_are_dropped),
        TEST(all_else_is_dropped),
        TEST(unknown_next_hops_are_dropped),
        TEST(descriptors_never_receive),
        TEST(device_goes_with_its_lane),
        TEST(taken_names_are_avoided),
        TEST(restart_takes_devices_over),
    };

    if (!rig_possible()) {
        puts("1..0 # SKIP needs root and network namespaces");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
