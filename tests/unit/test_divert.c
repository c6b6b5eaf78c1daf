/* SPDX-License-Identifier: BSD-2-Clause */
/* Which packets the divert takes, to which lane, and which it leaves to the kernel: in each way of attachment, with the
 * kernel's sockets as the peer. As root; skipped otherwise. */
#include "unit.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "divert_rig.h"

#define IP4_BYTES 20
#define UDP_BYTES 8
#define PORT      5000
#define PEER_PORT 6000

static enum divert_mode mode;
static struct rig rig;

static int setup(void **state)
{
    mode = *(enum divert_mode *)*state;
    rig_open(&rig, mode);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static void assert_payload(const struct lane_record *record, size_t header, const void *data, size_t bytes)
{
    assert_non_null(record);
    assert_int_equal(record->length, header + bytes);
    assert_memory_equal(record->data + header, data, bytes);
}

static void exact_flow_goes_to_its_lane(void **state)
{
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN4, PORT, PEER4, PEER_PORT);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    int own = rig_udp(0, OWN4, PORT), peer = rig_udp(1, PEER4, PEER_PORT), other = rig_udp(1, PEER4, PEER_PORT + 1);
    const struct lane_record *record;
    struct divert_flow flow;
    uint64_t before = rig_now_ns();
    char text[16];

    (void)state;
    rig_flow(&rig, &key, 0, 0, 77);
    rig_send(peer, OWN4, PORT, "hello", 5);
    record = rig_take(lane);
    assert_payload(record, IP4_BYTES + UDP_BYTES, "hello", 5);
    assert_int_equal(record->flow_id, 77);
    assert_int_equal(record->ifindex, rig.ifindex);
    assert_int_equal(record->flags, 0);
    assert_true(record->stamp_ns >= before && record->stamp_ns <= rig_now_ns());
    assert_true(rig_silent(own));
    /* Another remote port is another flow: the kernel's. */
    rig_send(other, OWN4, PORT, "kernel", 6);
    assert_int_equal(rig_receive(own, text, sizeof(text)), 6);
    assert_true(rig_nothing(lane));
    assert_int_equal(divert_flow_get(rig.divert, &key, &flow), 0);
    assert_int_equal(flow.packets, 1);
    assert_int_equal(flow.bytes, 33);
    close(own);
    close(peer);
    close(other);
}

static void removed_flow_goes_to_the_kernel(void **state)
{
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN4, PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    int own = rig_udp(0, OWN4, PORT), peer = rig_udp(1, PEER4, PEER_PORT);
    struct divert_flow flow = {0};
    char text[16];

    (void)state;
    rig_flow(&rig, &key, 0, 0, 1);
    assert_int_equal(divert_flow_add(rig.divert, &key, &flow), LOCKSTEP_E_CONFLICT);
    assert_int_equal(divert_flow_remove(rig.divert, &key), 0);
    rig_send(peer, OWN4, PORT, "kernel", 6);
    assert_int_equal(rig_receive(own, text, sizeof(text)), 6);
    assert_true(rig_nothing(lane));
    close(own);
    close(peer);
}

static void exact_beats_bound_beats_any(void **state)
{
    struct divert_flow_key exact = rig_key(IPPROTO_UDP, OWN4, PORT, PEER4, PEER_PORT);
    struct divert_flow_key bound = rig_key(IPPROTO_UDP, OWN4, PORT, NULL, 0);
    struct divert_flow_key any = rig_key(IPPROTO_UDP, "0.0.0.0", PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    int peer = rig_udp(1, PEER4, PEER_PORT);

    (void)state;
    rig_flow(&rig, &any, 0, 0, 3);
    rig_send(peer, OWN4, PORT, "a", 1);
    assert_int_equal(rig_take(lane)->flow_id, 3);
    rig_flow(&rig, &bound, 0, 0, 2);
    rig_send(peer, OWN4, PORT, "a", 1);
    assert_int_equal(rig_take(lane)->flow_id, 2);
    rig_flow(&rig, &exact, 0, 0, 1);
    rig_send(peer, OWN4, PORT, "a", 1);
    assert_int_equal(rig_take(lane)->flow_id, 1);
    assert_int_equal(divert_flow_update(rig.divert, &exact, 0, 0, 9), 0);
    rig_send(peer, OWN4, PORT, "a", 1);
    assert_int_equal(rig_take(lane)->flow_id, 9);
    close(peer);
}

/* What is only forwarded here belongs to nobody here. */
static void any_matches_local_addresses_only(void **state)
{
    struct divert_flow_key any = rig_key(IPPROTO_UDP, "0.0.0.0", PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    struct divert_addr second = rig_addr("10.79.0.1");
    struct frame frame;

    (void)state;
    rig_flow(&rig, &any, 0, 0, 1);
    frame_udp(&rig, &frame, PEER4, PEER_PORT, "10.79.0.2", PORT, "x", 1);
    frame_send(&rig, &frame, NULL);
    assert_true(rig_nothing(lane));
    frame_udp(&rig, &frame, PEER4, PEER_PORT, "10.79.0.1", PORT, "x", 1);
    frame_send(&rig, &frame, NULL);
    assert_payload(rig_take(lane), IP4_BYTES + UDP_BYTES, "x", 1);
    assert_int_equal(divert_local_remove(rig.divert, &second), 0);
    frame_send(&rig, &frame, NULL);
    assert_true(rig_nothing(lane));
}

static void ipv6_flows(void **state)
{
    struct divert_flow_key exact = rig_key(IPPROTO_UDP, OWN6, PORT, PEER6, PEER_PORT);
    struct divert_flow_key any = rig_key(IPPROTO_UDP, "::", PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    int peer = rig_udp(1, PEER6, PEER_PORT), other = rig_udp(1, PEER6, PEER_PORT + 1);

    (void)state;
    rig_flow(&rig, &exact, 0, 0, 1);
    rig_flow(&rig, &any, 0, 0, 2);
    rig_send(peer, OWN6, PORT, "six", 3);
    assert_payload(rig_take(lane), 48, "six", 3);
    rig_send(other, OWN6, PORT, "other", 5);
    assert_int_equal(rig_take(lane)->flow_id, 2);
    close(peer);
    close(other);
}

static void ipv6_extension_headers_are_walked(void **state)
{
    static const uint8_t hop_by_hop[8] = {IPPROTO_DSTOPTS, 0, 1, 4}, destination[16] = {IPPROTO_UDP, 1, 1, 12};
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN6, PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    struct frame frame;

    (void)state;
    rig_flow(&rig, &key, 0, 0, 1);
    frame_udp(&rig, &frame, PEER6, PEER_PORT, OWN6, PORT, "ext", 3);
    frame_insert(&frame, 54, destination, sizeof(destination));
    frame_insert(&frame, 54, hop_by_hop, sizeof(hop_by_hop));
    frame.bytes[14 + 6] = IPPROTO_HOPOPTS;
    frame.bytes[14 + 5] = 8 + 3 + 24;
    frame_send(&rig, &frame, NULL);
    assert_payload(rig_take(lane), 48 + 24, "ext", 3);
}

/* ::ffff:10.77.0.1 on the wire is not 10.77.0.1. */
static void mapped_addresses_on_the_wire_pass(void **state)
{
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN4, PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    struct frame frame;

    (void)state;
    rig_flow(&rig, &key, 0, 0, 1);
    frame_udp(&rig, &frame, PEER6, PEER_PORT, "::ffff:10.77.0.1", PORT, "x", 1);
    frame_send(&rig, &frame, NULL);
    assert_true(rig_nothing(lane));
}

static void ipv4_options_and_padding(void **state)
{
    static const uint8_t options[4] = {1, 1, 1, 0};
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN4, PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    struct frame frame;

    (void)state;
    rig_flow(&rig, &key, 0, 0, 1);
    frame_udp(&rig, &frame, PEER4, PEER_PORT, OWN4, PORT, "x", 1);
    frame_insert(&frame, 34, options, sizeof(options));
    frame.bytes[14] = 0x46;
    frame.bytes[17] += sizeof(options);
    frame_checksum(&frame);
    frame.length = 60; /* Ethernet's smallest frame */
    frame_send(&rig, &frame, NULL);
    assert_payload(rig_take(lane), 24 + UDP_BYTES, "x", 1);
}

/* Nothing of all this may be taken, and the last packet shows that nothing broke. */
static void malformed_packets_pass(void **state)
{
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN4, PORT, NULL, 0);
    struct divert_flow_key key6 = rig_key(IPPROTO_UDP, OWN6, PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    struct frame good, frame;

    (void)state;
    rig_flow(&rig, &key, 0, 0, 1);
    rig_flow(&rig, &key6, 0, 0, 1);
    frame_udp(&rig, &good, PEER4, PEER_PORT, OWN4, PORT, "0123456789", 10);
    for (size_t cut = 14; cut < good.length; cut++) { /* truncated anywhere */
        frame = good;
        frame.length = cut;
        frame_send(&rig, &frame, NULL);
    }
    frame = good;
    frame.bytes[14] = 0x44; /* header of 16 bytes */
    frame_send(&rig, &frame, NULL);
    frame.bytes[14] = 0x55; /* version 5 */
    frame_send(&rig, &frame, NULL);
    frame = good;
    frame.bytes[16] = 0; /* total length below the header's */
    frame.bytes[17] = 19;
    frame_send(&rig, &frame, NULL);
    frame_udp(&rig, &frame, PEER6, PEER_PORT, OWN6, PORT, "x", 1);
    frame.bytes[14 + 4] = 0xff; /* longer than the frame */
    frame_send(&rig, &frame, NULL);
    frame_udp(&rig, &frame, PEER6, PEER_PORT, OWN6, PORT, "x", 1);
    frame.bytes[14 + 6] = IPPROTO_HOPOPTS; /* chain of headers that leads out of the packet */
    frame.bytes[54 + 1] = 0xff;
    frame_send(&rig, &frame, NULL);
    assert_true(rig_nothing(lane));
    frame_send(&rig, &good, NULL);
    assert_payload(rig_take(lane), IP4_BYTES + UDP_BYTES, "0123456789", 10);
}

/* Makes v1 tag what it sends, as a VLAN device with hardware tagging does: the tag travels beside the frame. */
static void peer_tags(bool on)
{
    const struct bpf_insn program[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = htons(ETH_P_8021Q)},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 7},
        {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_skb_vlan_push},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0},
        {.code = BPF_JMP | BPF_EXIT},
    };
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)rig.peer_ifindex, .attach_point = BPF_TC_EGRESS);
    LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = 1);

    rig_enter(1);
    bpf_tc_hook_create(&hook);
    if (on) {
        opts.prog_fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "tag", "GPL", program, 5, NULL);
        assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
        close(opts.prog_fd);
    } else {
        assert_int_equal(bpf_tc_detach(&hook, &opts), 0);
    }
    rig_enter(0);
}

static void vlan_flows(void **state)
{
    struct divert_flow_key tagged = rig_key(IPPROTO_UDP, "10.79.0.1", PORT, NULL, 0);
    struct divert_flow_key plain = rig_key(IPPROTO_UDP, OWN4, PORT, NULL, 0);
    static const uint8_t tag[4] = {0x81, 0x00, 0x60, 7};
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    const struct lane_record *record;
    struct frame frame, inner;

    (void)state;
    tagged.vlan = 7;
    rig_flow(&rig, &tagged, 0, 0, 7);
    rig_flow(&rig, &plain, 0, 0, 1);
    for (int beside = 0; beside < 2; beside++) { /* the tag in the frame, the tag beside it */
        frame_udp(&rig, &frame, PEER4, PEER_PORT, "10.79.0.1", PORT, "tagged", 6);
        frame_udp(&rig, &inner, PEER4, PEER_PORT, OWN4, PORT, "x", 1);
        if (beside) {
            peer_tags(true);
        } else {
            frame_insert(&frame, 12, tag, sizeof(tag));
            frame_insert(&inner, 12, tag, sizeof(tag));
        }
        frame_send(&rig, &frame, NULL);
        record = rig_take(lane);
        assert_payload(record, IP4_BYTES + UDP_BYTES, "tagged", 6);
        assert_int_equal(record->vlan, 7);
        assert_int_equal(record->flow_id, 7);
        assert_true(rig_nothing(lane));
        /* Shared with the kernel: one copy and no more, however the hooks follow each other. */
        assert_int_equal(divert_flow_update(rig.divert, &tagged, 0, DIVERT_FLOW_ALSO_KERNEL, 7), 0);
        frame_send(&rig, &frame, NULL);
        assert_int_equal(rig_count(lane), 1);
        assert_int_equal(divert_flow_update(rig.divert, &tagged, 0, 0, 7), 0);
        if (!beside) { /* the untagged flow does not match in the VLAN, nor does a frame with two tags */
            frame_send(&rig, &inner, NULL);
            frame_insert(&frame, 12, tag, sizeof(tag));
            frame_send(&rig, &frame, NULL);
            assert_true(rig_nothing(lane));
        }
    }
    peer_tags(false);
}

/* All fragments of a diverted datagram, none of another with the same identification. */
static void fragments_follow_the_first(const char *own, const char *peer_address, size_t header)
{
    struct divert_flow_key key = rig_key(IPPROTO_UDP, own, PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    int peer = rig_udp(1, peer_address, PEER_PORT), kernel = rig_udp(0, own, PORT + 1);
    static uint8_t data[4000], got[5000];
    const struct lane_record *record;
    size_t total = 0, fragments = 0;

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7);
    rig_flow(&rig, &key, 0, 0, 1);
    rig_send(peer, own, PORT, data, sizeof(data));
    while (total < sizeof(data) + UDP_BYTES && (record = rig_take(lane))) {
        assert_int_equal(record->flags, LANE_RECORD_FRAGMENT);
        memcpy(got + total, record->data + header, record->length - header);
        total += record->length - header;
        fragments++;
    }
    assert_int_equal(fragments, 3);
    assert_int_equal(total, sizeof(data) + UDP_BYTES);
    assert_memory_equal(got + UDP_BYTES, data, sizeof(data));
    /* A datagram to another port is the kernel's, whole. */
    rig_send(peer, own, PORT + 1, data, sizeof(data));
    assert_int_equal(rig_receive(kernel, got, sizeof(got)), sizeof(data));
    assert_true(rig_nothing(lane));
    close(peer);
    close(kernel);
}

static void ipv4_fragments_follow_the_first(void **state)
{
    (void)state;
    fragments_follow_the_first(OWN4, PEER4, IP4_BYTES);
}

static void ipv6_fragments_follow_the_first(void **state)
{
    (void)state;
    fragments_follow_the_first(OWN6, PEER6, 48);
}

/* The same identification again, this time for a datagram that is the kernel's: its rest must not come to the lane. */
static void fragment_identifications_come_again(void **state)
{
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN4, PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    struct frame first, later;
    uint8_t data[64] = {0};

    (void)state;
    rig_flow(&rig, &key, 0, 0, 1);
    frame_udp(&rig, &first, PEER4, PEER_PORT, OWN4, PORT, data, sizeof(data));
    memcpy(first.bytes + 14 + 4, "\x12\x34\x20\x00", 4); /* identification, more fragments */
    later = first;
    memcpy(later.bytes + 14 + 6, "\x00\x09", 2); /* at byte 72 */
    frame_checksum(&first);
    frame_checksum(&later);
    frame_send(&rig, &later, NULL);
    assert_true(rig_nothing(lane)); /* nothing known of it */
    frame_send(&rig, &first, NULL);
    frame_send(&rig, &later, NULL);
    assert_int_equal(rig_count(lane), 2);
    first.bytes[14 + 20 + 3] ^= 1; /* another destination port */
    frame_send(&rig, &first, NULL);
    frame_send(&rig, &later, NULL);
    assert_true(rig_nothing(lane));
}

/* An error goes to the lane whose packet it quotes, and to the kernel. */
static void icmp_errors_go_to_both(void **state)
{
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN4, PORT, PEER4, PEER_PORT);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    int own = rig_udp(0, OWN4, PORT);
    const struct lane_record *record;
    struct icmp icmp;
    int error = 0;
    socklen_t length = sizeof(error);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PEER_PORT)};

    (void)state;
    rig_flow(&rig, &key, 0, 0, 5);
    inet_pton(AF_INET, PEER4, &to.sin_addr);
    assert_int_equal(connect(own, (struct sockaddr *)&to, sizeof(to)), 0);
    /* Nobody listens there: the peer's kernel answers port unreachable. */
    assert_int_equal(send(own, "x", 1, 0), 1);
    record = rig_take(lane);
    assert_non_null(record);
    assert_int_equal(record->flags, LANE_RECORD_ICMP);
    assert_int_equal(record->flow_id, 5);
    memcpy(&icmp, record->data + IP4_BYTES, sizeof(icmp));
    assert_int_equal(icmp.icmp_type, ICMP_DEST_UNREACH);
    assert_int_equal(icmp.icmp_code, ICMP_PORT_UNREACH);
    assert_true(rig_nothing(lane));
    assert_int_equal(getsockopt(own, SOL_SOCKET, SO_ERROR, &error, &length), 0);
    assert_int_equal(error, ECONNREFUSED);
    close(own);
}

static void icmpv6_errors_go_to_both(void **state)
{
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN6, PORT, PEER6, PEER_PORT);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    int own = rig_udp(0, OWN6, PORT);
    const struct lane_record *record;
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(PEER_PORT)};
    int error = 0;
    socklen_t length = sizeof(error);

    (void)state;
    rig_flow(&rig, &key, 0, 0, 6);
    inet_pton(AF_INET6, PEER6, &to.sin6_addr);
    assert_int_equal(connect(own, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(send(own, "x", 1, 0), 1);
    record = rig_take(lane);
    assert_non_null(record);
    assert_int_equal(record->flags, LANE_RECORD_ICMP);
    assert_int_equal(record->flow_id, 6);
    assert_int_equal(record->data[40], ICMP6_DST_UNREACH);
    assert_true(rig_nothing(lane));
    assert_int_equal(getsockopt(own, SOL_SOCKET, SO_ERROR, &error, &length), 0);
    assert_int_equal(error, ECONNREFUSED);
    close(own);
}

static void multicast_goes_to_both_when_asked(void **state)
{
    struct divert_flow_key key = rig_key(IPPROTO_UDP, "239.1.2.3", PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    int own = rig_udp(0, "0.0.0.0", PORT), peer = rig_udp(1, PEER4, PEER_PORT);
    struct ip_mreqn join = {.imr_ifindex = (int)rig.ifindex};
    struct ip_mreqn out = {.imr_ifindex = (int)rig.peer_ifindex};
    const struct lane_record *record;
    char text[16];

    (void)state;
    inet_pton(AF_INET, "239.1.2.3", &join.imr_multiaddr);
    assert_int_equal(setsockopt(own, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof(join)), 0);
    assert_int_equal(setsockopt(peer, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof(out)), 0);
    rig_flow(&rig, &key, 0, DIVERT_FLOW_ALSO_KERNEL, 1);
    rig_send(peer, "239.1.2.3", PORT, "both", 4);
    record = rig_take(lane);
    assert_payload(record, IP4_BYTES + UDP_BYTES, "both", 4);
    assert_int_equal(record->flags, LANE_RECORD_MULTICAST);
    assert_true(rig_nothing(lane));
    assert_int_equal(rig_receive(own, text, sizeof(text)), 4);
    assert_int_equal(divert_flow_update(rig.divert, &key, 0, 0, 1), 0);
    rig_send(peer, "239.1.2.3", PORT, "lane", 4);
    assert_payload(rig_take(lane), IP4_BYTES + UDP_BYTES, "lane", 4);
    assert_true(rig_silent(own));
    close(own);
    close(peer);
}

/* A wildcard's owner is not the only one who may listen for broadcasts. */
static void broadcast_goes_to_both(void **state)
{
    struct divert_flow_key any = rig_key(IPPROTO_UDP, "0.0.0.0", PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    int own = rig_udp(0, "0.0.0.0", PORT), peer = rig_udp(1, PEER4, PEER_PORT);
    int on = 1;
    char text[16];

    (void)state;
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)), 0);
    rig_flow(&rig, &any, 0, 0, 1);
    rig_send(peer, "10.77.0.255", PORT, "all", 3);
    assert_int_equal(rig_take(lane)->flags, LANE_RECORD_MULTICAST);
    assert_true(rig_nothing(lane));
    assert_int_equal(rig_receive(own, text, sizeof(text)), 3);
    close(own);
    close(peer);
}

static void group_splits_by_remote_endpoint(void **state)
{
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN4, PORT, NULL, 0);
    const uint32_t ids[3] = {0, 1, 2};
    struct lane *lanes[3];
    size_t got[3] = {0}, total = 0;
    struct frame frame;

    (void)state;
    for (uint32_t i = 0; i < 3; i++)
        lanes[i] = rig_lane(&rig, i, RIG_RING);
    assert_int_equal(divert_group_set(rig.divert, 4, DIVERT_GROUP_HASH, ids, 3), 0);
    rig_flow(&rig, &key, 4, DIVERT_FLOW_GROUP, 1);
    for (uint16_t port = 20000; port < 20090; port++) { /* twice the same: twice the same lane */
        frame_udp(&rig, &frame, PEER4, port, OWN4, PORT, "x", 1);
        frame_send(&rig, &frame, NULL);
        frame_send(&rig, &frame, NULL);
    }
    for (int i = 0; i < 3; i++) {
        got[i] = rig_count(lanes[i]);
        total += got[i];
        assert_int_equal(got[i] % 2, 0);
        assert_in_range(got[i], 20, 110);
    }
    assert_int_equal(total, 180);
    /* One leaves: the others keep what they had. */
    assert_int_equal(divert_group_set(rig.divert, 4, DIVERT_GROUP_HASH, ids, 2), 0);
    for (uint16_t port = 20000; port < 20090; port++) {
        frame_udp(&rig, &frame, PEER4, port, OWN4, PORT, "x", 1);
        frame_send(&rig, &frame, NULL);
    }
    for (int i = 0; i < 2; i++) {
        size_t now = rig_count(lanes[i]);

        assert_true(now >= got[i] / 2);
        total -= now;
    }
    assert_int_equal(total, 90);
    assert_true(rig_nothing(lanes[2]));
}

/* A TCP header and nothing else, from the peer; v6: over IPv6 instead of IPv4. */
static void send_tcp(bool v6, uint16_t port, uint8_t flags)
{
    uint8_t *ip, *tcp;
    struct frame frame;

    frame_udp(&rig, &frame, v6 ? PEER6 : PEER4, port, v6 ? OWN6 : OWN4, PORT, "sequence numbers", 12);
    ip = frame.bytes + 14;
    tcp = ip + (v6 ? 40 : IP4_BYTES);
    ip[v6 ? 6 : 9] = IPPROTO_TCP;
    tcp[12] = 5 << 4;
    tcp[13] = flags;
    if (!v6)
        frame_checksum(&frame);
    frame_send(&rig, &frame, NULL);
}

#define TCP_FLAG_SYN 0x02
#define TCP_FLAG_ACK 0x10

/* A connection whose handshake is under way stays where it began, whoever joins or leaves the group. */
static void handshakes_stay_with_their_lane(void **state)
{
    const uint32_t ids[3] = {2, 1, 0};
    struct lane *lanes[3];
    size_t first, second;

    (void)state;
    for (uint32_t i = 0; i < 3; i++)
        lanes[i] = rig_lane(&rig, i, RIG_RING);
    for (int v6 = 0; v6 < 2; v6++) {
        struct divert_flow_key key = rig_key(IPPROTO_TCP, v6 ? OWN6 : OWN4, PORT, NULL, 0);

        rig_flow(&rig, &key, 2, 0, 1);
        for (uint16_t port = 20000; port < 20040; port++)
            send_tcp(v6, port, TCP_FLAG_SYN);
        assert_int_equal(rig_count(lanes[2]), 40);
        /* Another joins what was one lane's. */
        assert_int_equal(divert_group_set(rig.divert, 4, DIVERT_GROUP_HASH, ids, 2), 0);
        assert_int_equal(divert_flow_update(rig.divert, &key, 4, DIVERT_FLOW_GROUP, 0), 0);
        for (uint16_t port = 20000; port < 20040; port++)
            send_tcp(v6, port, TCP_FLAG_ACK);
        assert_int_equal(rig_count(lanes[2]), 40);
        for (uint16_t port = 20040; port < 20080; port++)
            send_tcp(v6, port, TCP_FLAG_SYN);
        first = rig_count(lanes[2]);
        second = rig_count(lanes[1]);
        assert_int_equal(first + second, 40);
        assert_true(first > 8 && second > 8);
        /* A third joins a group; what the second began stays the second's. */
        assert_int_equal(divert_group_set(rig.divert, 4, DIVERT_GROUP_HASH, ids, 3), 0);
        for (uint16_t port = 20040; port < 20080; port++) {
            send_tcp(v6, port, TCP_FLAG_SYN); /* repeated */
            send_tcp(v6, port, TCP_FLAG_ACK);
        }
        assert_int_equal(rig_count(lanes[2]), first * 2);
        assert_int_equal(rig_count(lanes[1]), second * 2);
        assert_true(rig_nothing(lanes[0]));
        /* The first leaves: nobody gets less than before, and it gets nothing. */
        assert_int_equal(divert_group_set(rig.divert, 4, DIVERT_GROUP_HASH, ids + 1, 2), 0);
        for (uint16_t port = 20040; port < 20080; port++)
            send_tcp(v6, port, TCP_FLAG_ACK);
        assert_true(rig_nothing(lanes[2]));
        assert_in_range(rig_count(lanes[1]), second, 40);
        rig_count(lanes[0]);
        assert_int_equal(divert_flow_remove(rig.divert, &key), 0);
    }
}

static void group_copies_to_each(void **state)
{
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN4, PORT, NULL, 0);
    const uint32_t ids[4] = {0, 1, 2, 1000}; /* the last one does not exist */
    int own = rig_udp(0, OWN4, PORT), peer = rig_udp(1, PEER4, PEER_PORT);
    struct lane *lanes[3];
    char text[16];

    (void)state;
    for (uint32_t i = 0; i < 3; i++)
        lanes[i] = rig_lane(&rig, i, RIG_RING);
    assert_int_equal(divert_group_set(rig.divert, 4, DIVERT_GROUP_COPY, ids, 4), 0);
    rig_flow(&rig, &key, 4, DIVERT_FLOW_GROUP, 1);
    rig_send(peer, OWN4, PORT, "copy", 4);
    for (int i = 0; i < 3; i++) {
        assert_payload(rig_take(lanes[i]), IP4_BYTES + UDP_BYTES, "copy", 4);
        assert_true(rig_nothing(lanes[i]));
    }
    assert_true(rig_silent(own));
    /* Nobody in the group: the kernel's again. */
    assert_int_equal(divert_group_set(rig.divert, 4, DIVERT_GROUP_COPY, NULL, 0), 0);
    rig_send(peer, OWN4, PORT, "none", 4);
    assert_int_equal(rig_receive(own, text, sizeof(text)), 4);
    close(own);
    close(peer);
}

static bool readable(struct lane *lane)
{
    struct pollfd wait = {.fd = lane_poll_fd(lane), .events = POLLIN};

    return poll(&wait, 1, 0) == 1;
}

static void only_sleepers_are_woken(void **state)
{
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN4, PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    int peer = rig_udp(1, PEER4, PEER_PORT);
    struct pollfd wait = {.fd = lane_poll_fd(lane), .events = POLLIN};

    (void)state;
    rig_flow(&rig, &key, 0, 0, 1);
    rig_send(peer, OWN4, PORT, "x", 1);
    assert_non_null(rig_take(lane));
    assert_int_equal(lane_control(lane)->wakeups, 0);
    lane_release(lane);
    lane_set_sleeping(lane, true);
    assert_false(readable(lane));
    for (int i = 0; i < 5; i++)
        rig_send(peer, OWN4, PORT, "x", 1);
    assert_int_equal(poll(&wait, 1, 1000), 1);
    assert_int_equal(rig_count(lane), 5);
    assert_int_equal(lane_control(lane)->wakeups, 1); /* one for the burst */
    lane_release(lane);
    assert_false(readable(lane));
    rig_send(peer, OWN4, PORT, "x", 1); /* again without setting the flag anew */
    assert_int_equal(poll(&wait, 1, 1000), 1);
    assert_non_null(rig_take(lane));
    assert_int_equal(lane_control(lane)->wakeups, 2);
    lane_set_sleeping(lane, false);
    rig_send(peer, OWN4, PORT, "x", 1);
    assert_non_null(rig_take(lane));
    assert_int_equal(lane_control(lane)->wakeups, 2);
    close(peer);
}

/* A process that sleeps in poll is really woken, thousands of times, without a packet forgotten. */
static void no_wakeup_is_lost(void **state)
{
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN4, PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    struct pollfd wait = {.fd = lane_poll_fd(lane), .events = POLLIN};
    const int rounds = 3000;
    int pipes[2];
    pid_t child;

    (void)state;
    rig_flow(&rig, &key, 0, 0, 1);
    assert_int_equal(pipe(pipes), 0);
    child = fork();
    if (child == 0) { /* sends one packet for each byte in the pipe */
        int peer = rig_udp(1, PEER4, PEER_PORT);
        char byte;

        close(pipes[1]);
        while (read(pipes[0], &byte, 1) == 1)
            rig_send(peer, OWN4, PORT, "x", 1);
        _exit(0);
    }
    for (int i = 0; i < rounds; i++) {
        const struct lane_record *record;

        assert_int_equal(write(pipes[1], "x", 1), 1);
        for (volatile int spin = 0; spin < i % 500 * 20; spin++) {
        }
        while (!(record = lane_next(lane))) {
            lane_set_sleeping(lane, true);
            if (!lane_ready(lane))
                assert_int_equal(poll(&wait, 1, 2000), 1);
            lane_set_sleeping(lane, false);
        }
        lane_release(lane);
    }
    close(pipes[1]);
    close(pipes[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void full_ring_is_counted_and_recovers(void **state)
{
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN4, PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, 4096);
    int own = rig_udp(0, OWN4, PORT), peer = rig_udp(1, PEER4, PEER_PORT);
    uint64_t before[DIVERT_STAT_COUNT], stats[DIVERT_STAT_COUNT];
    struct divert_flow flow;
    size_t got;

    (void)state;
    rig_flow(&rig, &key, 0, 0, 1);
    assert_int_equal(divert_stats(rig.divert, before), 0);
    for (int i = 0; i < 100; i++)
        rig_send(peer, OWN4, PORT, "x", 1);
    got = rig_count(lane);
    assert_in_range(got, 10, 40);
    assert_int_equal(lane_control(lane)->overruns, 100 - got);
    assert_int_equal(divert_flow_get(rig.divert, &key, &flow), 0);
    assert_int_equal(flow.drops, 100 - got);
    assert_int_equal(divert_stats(rig.divert, stats), 0);
    assert_int_equal(stats[DIVERT_STAT_OVERRUN] - before[DIVERT_STAT_OVERRUN], 100 - got);
    assert_true(rig_silent(own)); /* lost, not the kernel's */
    lane_release(lane);
    rig_send(peer, OWN4, PORT, "again", 5);
    assert_payload(rig_take(lane), IP4_BYTES + UDP_BYTES, "again", 5);
    close(own);
    close(peer);
}

/* A lane whose ring is never drained is no other lane's trouble. */
static void full_ring_harms_nobody_else(void **state)
{
    struct divert_flow_key lazy = rig_key(IPPROTO_UDP, OWN4, PORT, NULL, 0);
    struct divert_flow_key busy = rig_key(IPPROTO_UDP, OWN4, PORT + 1, NULL, 0);
    struct lane *lane;
    int peer = rig_udp(1, PEER4, PEER_PORT);

    (void)state;
    rig_lane(&rig, 0, 4096);
    lane = rig_lane(&rig, 1, RIG_RING);
    rig_flow(&rig, &lazy, 0, 0, 1);
    rig_flow(&rig, &busy, 1, 0, 2);
    for (int i = 0; i < 100; i++) {
        rig_send(peer, OWN4, PORT, "x", 1);
        rig_send(peer, OWN4, PORT + 1, "y", 1);
    }
    assert_int_equal(rig_count(lane), 100);
    close(peer);
}

static void dead_lanes_pass(void **state)
{
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN4, PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    int own = rig_udp(0, OWN4, PORT), peer = rig_udp(1, PEER4, PEER_PORT);
    uint64_t stats[DIVERT_STAT_COUNT];
    char text[16];

    (void)state;
    rig_flow(&rig, &key, 0, 0, 1);
    lane_heartbeat(lane, rig_now_ns() - DIVERT_HEARTBEAT_LIMIT_NS - 1000000000);
    rig_send(peer, OWN4, PORT, "x", 1); /* the service lives: it would have removed a dead program's lane */
    assert_non_null(rig_take(lane));
    divert_heartbeat(rig.divert, rig_now_ns() - DIVERT_HEARTBEAT_LIMIT_NS - 1000000000);
    rig_send(peer, OWN4, PORT, "kernel", 6);
    assert_int_equal(rig_receive(own, text, sizeof(text)), 6);
    assert_true(rig_nothing(lane));
    assert_int_equal(divert_stats(rig.divert, stats), 0);
    assert_true(stats[DIVERT_STAT_STALE] >= 1);
    lane_heartbeat(lane, rig_now_ns() + 3600000000000ull); /* nor does a date in the future keep it alive */
    rig_send(peer, OWN4, PORT, "kernel", 6);
    assert_int_equal(rig_receive(own, text, sizeof(text)), 6);
    lane_heartbeat(lane, rig_now_ns());
    rig_send(peer, OWN4, PORT, "x", 1);
    assert_non_null(rig_take(lane));
    close(own);
    close(peer);
}

/* A segment of 20,000 bytes as GRO, or a peer on the same machine, makes them. */
static void merged_packets_arrive_whole(void **state)
{
    struct divert_flow_key key = rig_key(IPPROTO_TCP, OWN4, PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, 1 << 20);
    const size_t payload = 8000, headers = IP4_BYTES + 20;
    struct virtio_net_hdr vnet = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                  .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                                  .hdr_len = 54,
                                  .gso_size = 1000,
                                  .csum_start = 34,
                                  .csum_offset = 16};
    static uint8_t data[8000];
    const struct lane_record *record;
    struct frame frame;
    struct tcphdr *tcp;
    size_t total = 0;
    bool merged = false;

    (void)state;
    for (size_t i = 0; i < payload; i++)
        data[i] = (uint8_t)(i * 13);
    rig_flow(&rig, &key, 0, DIVERT_FLOW_BULK, 1);
    frame_udp(&rig, &frame, PEER4, PEER_PORT, OWN4, PORT, data, payload);
    frame_insert(&frame, 42, data, 12); /* room for TCP's header */
    frame.bytes[14 + 9] = IPPROTO_TCP;
    frame.bytes[14 + 2] = (uint8_t)((payload + headers) >> 8);
    frame.bytes[14 + 3] = (uint8_t)(payload + headers);
    frame_checksum(&frame);
    tcp = (struct tcphdr *)(frame.bytes + 34);
    *tcp = (struct tcphdr){.source = htons(PEER_PORT), .dest = htons(PORT), .doff = 5, .ack = 1, .seq = htonl(1)};
    frame_send(&rig, &frame, &vnet);
    while (total < payload && (record = rig_take(lane))) {
        memcpy(&frame, record->data + headers, record->length - headers);
        assert_memory_equal(&frame, data + total, record->length - headers);
        total += record->length - headers;
        if (record->flags & LANE_RECORD_MERGED) {
            assert_int_equal(record->segment_size, 1000);
            merged = true;
        }
    }
    assert_int_equal(total, payload);
    if (rig.mode == DIVERT_MODE_TC)
        assert_true(merged);
}

/* A peer on this machine that sends with UDP_SEGMENT: four datagrams, or one packet that says how to cut it. */
static void segmented_datagrams_tell_their_size(void **state)
{
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN4, PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    int peer = rig_udp(1, PEER4, PEER_PORT), segment = 500;
    static uint8_t data[2000];
    const struct lane_record *record;
    size_t total = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 19);
    assert_int_equal(setsockopt(peer, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
    rig_flow(&rig, &key, 0, 0, 1);
    rig_send(peer, OWN4, PORT, data, sizeof(data));
    while (total < sizeof(data) && (record = rig_take(lane))) {
        size_t bytes = record->length - IP4_BYTES - UDP_BYTES;

        assert_memory_equal(record->data + IP4_BYTES + UDP_BYTES, data + total, bytes);
        total += bytes;
        if (record->flags & LANE_RECORD_MERGED)
            assert_int_equal(record->segment_size, segment);
        else
            assert_int_equal(bytes, segment);
    }
    assert_int_equal(total, sizeof(data));
    assert_true(rig_nothing(lane));
    close(peer);
}

/* Large datagrams of all ring classes. */
static void all_sizes_arrive_unchanged(void **state)
{
    static const size_t sizes[] = {0, 1, 99, 100, 101, 228, 484, 996, 1400, 1472, 1473, 3000, 3044, 6000, 6116, 8900};
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN4, PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    static uint8_t data[9000];
    int peer;

    (void)state;
    if (rig.mode != DIVERT_MODE_XDP_NATIVE) { /* native XDP on veth keeps to a page */
        rig_shell(0, "ip link set v0 mtu 9000");
        rig_shell(1, "ip link set v1 mtu 9000");
    }
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 11);
    peer = rig_udp(1, PEER4, PEER_PORT);
    rig_flow(&rig, &key, 0, 0, 1);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (rig.mode == DIVERT_MODE_XDP_NATIVE && sizes[i] > 1472)
            break;
        rig_send(peer, OWN4, PORT, data, sizes[i]);
        assert_payload(rig_take(lane), IP4_BYTES + UDP_BYTES, data, sizes[i]);
    }
    close(peer);
    rig_shell(0, "ip link set v0 mtu 1500");
    rig_shell(1, "ip link set v1 mtu 1500");
}

/* The next instance takes lanes and interface over while the first one's programs still run. */
static void restart_takes_lanes_over(void **state)
{
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN4, PORT, NULL, 0);
    int peer = rig_udp(1, PEER4, PEER_PORT);
    struct divert_flow flow = {.flow_id = 2};
    struct divert_lane_fds fds, copy;
    enum divert_mode chosen;
    struct divert *next;
    struct lane *lane;
    const char *why;

    (void)state;
    assert_int_equal(divert_lane_create(rig.divert, 0, RIG_RING, &fds), 0);
    copy = (struct divert_lane_fds){dup(fds.ring), dup(fds.control)};
    assert_int_equal(lane_open(&lane, fds.ring, RIG_RING, fds.control), 0);
    lane_heartbeat(lane, rig_now_ns());
    rig_flow(&rig, &key, 0, 0, 1);
    divert_close(rig.divert, false); /* the service is gone, its programs stay */
    rig_send(peer, OWN4, PORT, "old", 3);
    assert_payload(rig_take(lane), IP4_BYTES + UDP_BYTES, "old", 3);
    assert_int_equal(divert_open(&next), 0);
    divert_heartbeat(next, rig_now_ns());
    assert_int_equal(divert_lane_adopt(next, 3, &(struct divert_lane_fds){copy.control, copy.ring}),
                     LOCKSTEP_E_BAD_FORMAT);
    assert_int_equal(divert_lane_adopt(next, 3, &copy), 0);
    flow.target = 3;
    assert_int_equal(divert_flow_add(next, &key, &flow), 0);
    rig_send(peer, OWN4, PORT, "old", 3); /* not attached yet */
    assert_int_equal(rig_take(lane)->flow_id, 1);
    assert_int_equal(divert_attach(next, rig.ifindex, rig.mode, &chosen, &why), 0);
    rig_send(peer, OWN4, PORT, "new", 3);
    assert_int_equal(rig_take(lane)->flow_id, 2);
    assert_true(rig_nothing(lane)); /* once: the old program is gone */
    close(copy.ring);
    close(copy.control);
    close(peer);
    rig.divert = next;
    lane_close(lane);
}

static void detach_leaves_nothing_behind(void **state)
{
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN4, PORT, NULL, 0);
    struct lane *lane = rig_lane(&rig, 0, RIG_RING);
    int own = rig_udp(0, OWN4, PORT), peer = rig_udp(1, PEER4, PEER_PORT);
    enum divert_mode chosen;
    const char *why;
    char text[16];

    (void)state;
    rig_flow(&rig, &key, 0, 0, 1);
    assert_int_equal(divert_detach(rig.divert, rig.ifindex), 0);
    rig_send(peer, OWN4, PORT, "kernel", 6);
    assert_int_equal(rig_receive(own, text, sizeof(text)), 6);
    assert_true(rig_nothing(lane));
    rig_shell(0, "! ip -d link show dev v0 | grep -q xdp; ! tc filter show dev v0 ingress | grep -q lockstep");
    assert_int_equal(divert_attach(rig.divert, rig.ifindex, DIVERT_MODE_AUTO, &chosen, &why), 0);
    assert_int_equal(chosen, DIVERT_MODE_TC); /* on veth */
    rig_send(peer, OWN4, PORT, "x", 1);
    assert_non_null(rig_take(lane));
    close(own);
    close(peer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define MODES      3

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(exact_flow_goes_to_its_lane),
        TEST(removed_flow_goes_to_the_kernel),
        TEST(exact_beats_bound_beats_any),
        TEST(any_matches_local_addresses_only),
        TEST(ipv6_flows),
        TEST(ipv6_extension_headers_are_walked),
        TEST(mapped_addresses_on_the_wire_pass),
        TEST(ipv4_options_and_padding),
        TEST(malformed_packets_pass),
        TEST(vlan_flows),
        TEST(ipv4_fragments_follow_the_first),
        TEST(ipv6_fragments_follow_the_first),
        TEST(fragment_identifications_come_again),
        TEST(icmp_errors_go_to_both),
        TEST(icmpv6_errors_go_to_both),
        TEST(multicast_goes_to_both_when_asked),
        TEST(broadcast_goes_to_both),
        TEST(group_splits_by_remote_endpoint),
        TEST(handshakes_stay_with_their_lane),
        TEST(group_copies_to_each),
        TEST(only_sleepers_are_woken),
        TEST(no_wakeup_is_lost),
        TEST(full_ring_is_counted_and_recovers),
        TEST(full_ring_harms_nobody_else),
        TEST(dead_lanes_pass),
        TEST(merged_packets_arrive_whole),
        TEST(segmented_datagrams_tell_their_size),
        TEST(all_sizes_arrive_unchanged),
        TEST(restart_takes_lanes_over),
        TEST(detach_leaves_nothing_behind),
    };
    static enum divert_mode modes[MODES] = {DIVERT_MODE_TC, DIVERT_MODE_XDP_GENERIC, DIVERT_MODE_XDP_NATIVE};
    enum { COUNT = sizeof(tests) / sizeof(tests[0]) };
    static struct CMUnitTest all[MODES * COUNT];
    static char names[MODES * COUNT][96];

    if (!rig_possible()) {
        puts("1..0 # SKIP needs root and network namespaces");
        return 0;
    }
    for (size_t i = 0; i < MODES * COUNT; i++) {
        all[i] = tests[i % COUNT];
        all[i].initial_state = &modes[i / COUNT];
        snprintf(names[i], sizeof(names[i]), "%s: %s", divert_mode_name(modes[i / COUNT]), all[i].name);
        all[i].name = names[i];
    }
    return cmocka_run_group_tests(all, NULL, NULL);
}
