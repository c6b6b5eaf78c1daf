/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The divert: looks packets up in the flow table and copies registered ones into the ring of the lane that owns the
 * flow. The default is to pass. One implementation behind four programs:
 *
 *   lockstep_tc    at tc ingress, alone
 *   lockstep_xdp   at XDP, leaves bulk flows, merged packets and tags that the device took off to
 *   lockstep_bulk  at tc ingress behind it
 *   lockstep_xdp1  at XDP where tc cannot be attached
 *
 * A packet that is both copied and passed must not be copied again by lockstep_bulk: see hook_owns(). */
#include "divert/capture.bpf.h"
#include "divert/packet.bpf.h"

#include <linux/pkt_cls.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* linux/if_packet.h */
#define PACKET_HOST        0
#define PACKET_OTHERHOST   3 /* seen in promiscuous mode */
#define PACKET_LOOPBACK    5 /* the host's own multicast, coming back: the kernel's sockets have it */
#define FRAGMENTS_TRACKED  4096
#define HANDSHAKES_TRACKED 8192
#define TCP_FLAGS_OFFSET   13
#define TCP_FLAG_SYN       0x02

enum hook { HOOK_XDP, HOOK_XDP_ALONE, HOOK_TC, HOOK_TC_BULK };
enum verdict { VERDICT_PASS, VERDICT_TAKEN, VERDICT_BOTH };

/* ---- maps ---- */

/* A byte for each protocol and port: which kinds of entries there are (enum divert_port_kind), eight to a word. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, DIVERT_PORT_WORDS);
    __type(key, __u32);
    __type(value, __u64);
} ports SEC(".maps");

/* Not preallocated: 9 MB less, and as fast with one entry as with 50,000. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, DIVERT_MAX_FLOWS);
    __type(key, struct divert_flow_key);
    __type(value, struct divert_flow);
} flows SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, DIVERT_MAX_GROUPS);
    __type(key, __u32);
    __type(value, struct divert_group);
} groups SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, DIVERT_MAX_LOCALS);
    __type(key, struct divert_addr);
    __type(value, __u32); /* enum divert_local_kind */
} locals SEC(".maps");

struct ring_map {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096); /* each lane's has its own size */
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, DIVERT_MAX_LANES);
    __type(key, __u32);
    __array(values, struct ring_map);
} lanes SEC(".maps");

struct control_map {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __uint(key_size, sizeof(__u32));
    __uint(value_size, sizeof(struct lane_control));
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, DIVERT_MAX_LANES);
    __type(key, __u32);
    __array(values, struct control_map);
} controls SEC(".maps");

/* First fragments that were diverted, for the later ones, which carry no ports. */
struct fragment_key {
    struct divert_addr source;
    struct divert_addr destination;
    __u32 identification;
    __u16 vlan;
    __u8 protocol;
    __u8 pad;
};

struct fragment_flow {
    struct divert_flow_key key;
    __u32 hash; /* of the remote endpoint, for groups */
};

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, FRAGMENTS_TRACKED);
    __type(key, struct fragment_key);
    __type(value, struct fragment_flow);
} fragments SEC(".maps");

/* TCP connections that were opened towards a lane and have no entry of their own yet: the rest of the handshake is for
 * the same lane, also when others join or leave the port's group meanwhile. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, HANDSHAKES_TRACKED);
    __type(key, struct divert_flow_key);
    __type(value, __u32); /* lane */
} handshakes SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, DIVERT_STAT_COUNT);
    __type(key, __u32);
    __type(value, __u64);
} stats SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64); /* CLOCK_MONOTONIC of the service's last sign of life */
} heartbeat SEC(".maps");

/* ---- look-up ---- */

static __always_inline void stat_count(__u32 which)
{
    __u64 *value = bpf_map_lookup_elem(&stats, &which);

    if (value)
        (*value)++;
}

static __always_inline __u8 port_kinds(const struct divert_flow_key *key)
{
    __u32 index = DIVERT_PORT_INDEX(key->protocol == IPPROTO_TCP, bpf_ntohs(key->local_port));
    __u32 word = index / 8;
    __u64 *kinds = bpf_map_lookup_elem(&ports, &word);

    return kinds ? *kinds >> (index % 8 * 8) : 0;
}

/* A TCP connection that the kernel has although its port is a lane's: accepted before the port was registered, or moved
 * to the kernel later. (The kernel sockets behind a lane's own connections are not connected: they are never found.) */
static __always_inline int kernel_has_connection(void *ctx, const struct divert_flow_key *key)
{
    const __u32 *local = (const __u32 *)key->local.byte, *remote = (const __u32 *)key->remote.byte;
    struct bpf_sock_tuple tuple = {};
    struct bpf_sock *sock;
    int has;

    if (addr_is_mapped(&key->local)) {
        tuple.ipv4.saddr = remote[3];
        tuple.ipv4.daddr = local[3];
        tuple.ipv4.sport = key->remote_port;
        tuple.ipv4.dport = key->local_port;
        sock = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
    } else {
        __builtin_memcpy(tuple.ipv6.saddr, remote, sizeof(tuple.ipv6.saddr));
        __builtin_memcpy(tuple.ipv6.daddr, local, sizeof(tuple.ipv6.daddr));
        tuple.ipv6.sport = key->remote_port;
        tuple.ipv6.dport = key->local_port;
        sock = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
    }
    if (!sock)
        return 0;
    has = sock->state != BPF_TCP_LISTEN;
    bpf_sk_release(sock);
    return has;
}

/* Global functions, because the verifier looks at each of them once. */
__noinline int kernel_has_connection_xdp(struct xdp_md *ctx, struct packet *packet)
{
    return packet && kernel_has_connection(ctx, &packet->key);
}

__noinline int kernel_has_connection_tc(struct __sk_buff *ctx, struct packet *packet)
{
    return packet && kernel_has_connection(ctx, &packet->key);
}

/* Finds the packet's entry: exact, then bound, then any address. Leaves the entry's key in key. */
static __always_inline struct divert_flow *flow_lookup(void *ctx, const int xdp, struct packet *packet, __u8 kinds)
{
    struct divert_flow_key *key = &packet->key;
    struct divert_flow *flow;
    __u32 *local;

    if (kinds & DIVERT_PORT_EXACT) {
        flow = bpf_map_lookup_elem(&flows, key);
        if (flow)
            return flow;
    }
    if (key->protocol == IPPROTO_TCP &&
        (xdp ? kernel_has_connection_xdp(ctx, packet) : kernel_has_connection_tc(ctx, packet)))
        return 0;
    __builtin_memset(&key->remote, 0, sizeof(key->remote));
    key->remote_port = 0;
    if (kinds & DIVERT_PORT_BOUND) {
        flow = bpf_map_lookup_elem(&flows, key);
        if (flow)
            return flow;
    }
    if (!(kinds & DIVERT_PORT_ANY))
        return 0;
    local = bpf_map_lookup_elem(&locals, &key->local);
    if (!local)
        return 0;
    if (addr_is_mapped(&key->local))
        addr_map_v4(&key->local, 0);
    else
        __builtin_memset(&key->local, 0, sizeof(key->local));
    return bpf_map_lookup_elem(&flows, key);
}

/* Spreads remote endpoints over a group's buckets. The same in every instance, so that a restart moves nobody. */
static __always_inline __u32 endpoint_hash(const struct divert_flow_key *key)
{
    const __u32 *word = (const __u32 *)key->remote.byte;
    __u32 hash = word[0] ^ word[1] ^ word[2] ^ word[3];

    hash = (hash ^ (__u32)key->remote_port << 16 ^ key->remote_port) * 0x9e3779b1;
    return hash ^ hash >> 16;
}

/* ---- delivery ---- */

enum delivered { DELIVERED, DELIVERED_LOST, DELIVERED_NO_LANE };

static __always_inline int heartbeat_is_stale(__u64 beat_ns, __u64 now_ns)
{
    __s64 age = now_ns - beat_ns;

    return age > (__s64)DIVERT_HEARTBEAT_LIMIT_NS || age < -(__s64)DIVERT_HEARTBEAT_LIMIT_NS;
}

static __always_inline int service_is_stale(__u64 now_ns)
{
    __u32 zero = 0;
    __u64 *service = bpf_map_lookup_elem(&heartbeat, &zero);

    return !service || heartbeat_is_stale(*service, now_ns);
}

/* Nobody is left to take packets: neither the program nor the service has shown life for long. */
static __always_inline int lane_is_stale(const struct lane_control *control, __u64 now_ns)
{
    return heartbeat_is_stale(control->heartbeat_ns, now_ns) && service_is_stale(now_ns);
}

/* Hands the filled record over. The atomic addition orders the record's reservation before the look at `sleeping`; the
 * program sets `sleeping` before it looks for reserved records. So one of the two always sees the other. Without
 * flags the kernel wakes only if the program has taken all earlier packets: one wake-up for a burst. */
static __always_inline void record_submit(struct lane_record *record, const struct packet *packet, void *ring,
                                          struct lane_control *control)
{
    __u32 length = packet->length;
    __u64 pending;

    record->stamp_ns = packet->now_ns;
    record->length = length;
    record->ifindex = packet->ifindex;
    record->flow_id = packet->flow_id;
    record->vlan = packet->key.vlan;
    record->flags = packet->flags;
    record->segment_size = packet->segment_size;
    record->pad[0] = record->pad[1] = record->pad[2] = 0;
    __sync_fetch_and_add(&control->bytes, length);
    __sync_fetch_and_add(&control->packets, 1);
    if (!*(volatile __u32 *)&control->sleeping) {
        bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
        return;
    }
    pending = bpf_ringbuf_query(ring, BPF_RB_PROD_POS) - bpf_ringbuf_query(ring, BPF_RB_CONS_POS);
    if (pending <= length * 2 + 256) /* this one alone, whatever its size class */
        __sync_fetch_and_add(&control->wakeups, 1);
    bpf_ringbuf_submit(record, 0);
}

/* Ring records have constant sizes for the verifier's sake: one of these classes. What a record does not fill is not
 * touched, it only makes the ring shorter. */
#define DELIVER_CLASS(size)                                                                                            \
    if (length <= (size)) {                                                                                            \
        struct lane_record *record = bpf_ringbuf_reserve(ring, sizeof(*record) + (size), 0);                           \
                                                                                                                       \
        if (!record)                                                                                                   \
            goto lost;                                                                                                 \
        if (frame_load(ctx, xdp, packet->offset, record->data, length)) {                                              \
            bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);                                                             \
            goto lost;                                                                                                 \
        }                                                                                                              \
        record_submit(record, packet, ring, control);                                                                  \
        return DELIVERED;                                                                                              \
    }

static __always_inline int lane_deliver(void *ctx, const int xdp, __u32 lane, const struct packet *packet)
{
    struct lane_control *control;
    void *ring, *page;
    __u32 zero = 0;
    __u64 length;

    ring = bpf_map_lookup_elem(&lanes, &lane);
    page = bpf_map_lookup_elem(&controls, &lane);
    if (!ring || !page || !packet)
        return DELIVERED_NO_LANE;
    control = bpf_map_lookup_elem(page, &zero);
    if (!control)
        return DELIVERED_NO_LANE;
    if (lane_is_stale(control, packet->now_ns)) {
        stat_count(DIVERT_STAT_STALE);
        return DELIVERED_NO_LANE;
    }
    length = packet->length;
    if (length == 0)
        return DELIVERED_NO_LANE;
    DELIVER_CLASS(128)
    DELIVER_CLASS(256)
    DELIVER_CLASS(512)
    DELIVER_CLASS(1024)
    DELIVER_CLASS(1536)
    DELIVER_CLASS(3072)
    DELIVER_CLASS(6144)
    DELIVER_CLASS(12288)
    DELIVER_CLASS(24576)
    DELIVER_CLASS(40960)
    DELIVER_CLASS(DIVERT_PACKET_MAX)
lost:
    __sync_fetch_and_add(&control->overruns, 1);
    return DELIVERED_LOST;
}

/* Global functions, because the verifier looks at each of them once. */
__noinline int lane_deliver_xdp(struct xdp_md *ctx, __u32 lane, struct packet *packet)
{
    return lane_deliver(ctx, 1, lane, packet);
}

__noinline int lane_deliver_tc(struct __sk_buff *ctx, __u32 lane, struct packet *packet)
{
    return lane_deliver(ctx, 0, lane, packet);
}

static __always_inline int deliver_one(void *ctx, const int xdp, __u32 lane, struct packet *packet)
{
    packet->lane = lane;
    return xdp ? lane_deliver_xdp(ctx, lane, packet) : lane_deliver_tc(ctx, lane, packet);
}

/* A copy for each member. Delivered if any member got it; lost if all who are there had no room. */
static __always_inline int deliver_copies(void *ctx, const int xdp, const struct divert_group *group,
                                          struct packet *packet)
{
    int best = DELIVERED_NO_LANE;

    for (__u32 i = 0; i < DIVERT_MAX_MEMBERS; i++) {
        int result;

        if (i >= group->member_count)
            break;
        result = deliver_one(ctx, xdp, group->members[i], packet);
        if (result < best)
            best = result;
    }
    return best;
}

/* Does the packet open a TCP connection? */
static __always_inline int packet_is_syn(void *ctx, const int xdp, const struct packet *packet)
{
    __u32 transport = packet->offset;
    __u8 byte;

    if (packet->kind != PACKET_WHOLE || frame_load(ctx, xdp, packet->offset, &byte, sizeof(byte)))
        return 0;
    transport += byte >> 4 == 4 ? (byte & 0xf) * 4 : sizeof(struct ipv6hdr);
    return !frame_load(ctx, xdp, transport + TCP_FLAGS_OFFSET, &byte, sizeof(byte)) && (byte & TCP_FLAG_SYN);
}

static __always_inline int group_has(const struct divert_group *group, __u32 lane)
{
    for (__u32 i = 0; i < DIVERT_MAX_MEMBERS; i++) {
        if (i >= group->member_count)
            break;
        if (group->members[i] == lane)
            return 1;
    }
    return 0;
}

/* The lane that an unregistered connection's packet is for; group: NULL if the port is that one lane's. */
static __always_inline __u32 handshake_lane(void *ctx, const int xdp, const struct divert_group *group, __u32 lane,
                                            const struct packet *packet, const struct divert_flow_key *connection)
{
    __u32 *known = 0;

    if (group) {
        known = bpf_map_lookup_elem(&handshakes, connection);
        if (known && group_has(group, *known))
            return *known;
    }
    if (packet_is_syn(ctx, xdp, packet))
        bpf_map_update_elem(&handshakes, connection, &lane, BPF_ANY);
    return lane;
}

/* connection: the key that the packet came with, if it is of a TCP connection without an entry of its own; else NULL.
 */
static __always_inline int deliver(void *ctx, const int xdp, const struct divert_flow *flow, __u32 hash,
                                   struct packet *packet, const struct divert_flow_key *connection)
{
    struct divert_group *group = 0;
    __u32 target = flow->target;

    if (flow->flags & DIVERT_FLOW_GROUP) {
        group = bpf_map_lookup_elem(&groups, &target);
        if (!group)
            return DELIVERED_NO_LANE;
        if (group->mode == DIVERT_GROUP_COPY)
            return deliver_copies(ctx, xdp, group, packet);
        target = group->buckets[hash % DIVERT_GROUP_BUCKETS];
    }
    if (connection)
        target = handshake_lane(ctx, xdp, group, target, packet, connection);
    return deliver_one(ctx, xdp, target, packet);
}

/* ---- one packet ---- */

/* Packets that the kernel gets as well: errors, broadcasts, and multicasts that it has listeners for. */
static __always_inline int packet_is_shared(const struct packet *packet, const struct divert_flow *flow)
{
    if (packet->kind == PACKET_ERROR || (flow->flags & DIVERT_FLOW_ALSO_KERNEL))
        return 1;
    return (packet->flags & LANE_RECORD_MULTICAST) && !packet->group_multicast;
}

/* Which of two hooks in a row handles a packet. XDP sees inline VLAN tags, but not those that the device took off, and
 * (generic XDP) merged packets, but not how to cut them; tc sees all. What is not shared with the kernel tc sees only
 * if XDP let it through. So tagged packets that are shared, which tc would see again, and merged ones that are not
 * shared are left to tc. */
static __always_inline int hook_owns(__u32 hook, const struct packet *packet, const struct divert_flow *flow)
{
    int bulk = flow->flags & DIVERT_FLOW_BULK, shared = packet_is_shared(packet, flow);
    int merged = (packet->flags & LANE_RECORD_MERGED) && !shared;

    if (hook == HOOK_XDP)
        return !bulk && !merged && !(packet->key.vlan && shared);
    if (hook == HOOK_TC_BULK)
        return bulk || merged || packet->key.vlan;
    return 1;
}

static __always_inline void flow_count(struct divert_flow *flow, const struct packet *packet, int result)
{
    if (result == DELIVERED_LOST) {
        __sync_fetch_and_add(&flow->drops, 1);
        stat_count(DIVERT_STAT_OVERRUN);
        return;
    }
    __sync_fetch_and_add(&flow->packets, 1);
    __sync_fetch_and_add(&flow->bytes, packet->length);
    flow->last_ns = packet->now_ns;
}

/* Delivers to the entry's lanes and says what becomes of the packet itself. */
static __always_inline int flow_divert(void *ctx, const int xdp, __u32 hook, struct divert_flow *flow, __u32 hash,
                                       struct packet *packet, const struct divert_flow_key *connection)
{
    int result;

    if (!hook_owns(hook, packet, flow))
        return VERDICT_PASS;
    /* TCP knows no groups: whoever sends a segment to one is to be ignored, which the kernel does. */
    if (packet->key.protocol == IPPROTO_TCP && (packet->flags & LANE_RECORD_MULTICAST))
        return VERDICT_PASS;
    packet->now_ns = bpf_ktime_get_ns();
    /* Without a service the program may not know the way to who connects; its listener in the kernel does. */
    if (connection && service_is_stale(packet->now_ns) && packet_is_syn(ctx, xdp, packet)) {
        stat_count(DIVERT_STAT_STALE);
        return VERDICT_PASS;
    }
    packet->flow_id = flow->flow_id;
    result = deliver(ctx, xdp, flow, hash, packet, connection);
    packet->outcome = (__u32)result + 1;
    if (result == DELIVERED_NO_LANE)
        return VERDICT_PASS;
    flow_count(flow, packet, result);
    return packet_is_shared(packet, flow) ? VERDICT_BOTH : VERDICT_TAKEN;
}

static __always_inline void fragment_key_of(const struct packet *packet, struct fragment_key *out)
{
    out->source = packet->key.remote;
    out->destination = packet->key.local;
    out->identification = packet->identification;
    out->vlan = packet->key.vlan;
    out->protocol = packet->key.protocol;
    out->pad = 0;
}

static __always_inline int later_fragment_divert(void *ctx, const int xdp, __u32 hook, struct packet *packet)
{
    struct fragment_flow *first;
    struct fragment_key key;
    struct divert_flow *flow;

    fragment_key_of(packet, &key);
    first = bpf_map_lookup_elem(&fragments, &key);
    if (!first)
        return VERDICT_PASS;
    flow = bpf_map_lookup_elem(&flows, &first->key);
    if (!flow)
        return VERDICT_PASS;
    return flow_divert(ctx, xdp, hook, flow, first->hash, packet, 0);
}

/* Remembers where the rest of a datagram goes, or forgets it, for identifications come again. */
static __always_inline void first_fragment_note(const struct fragment_key *key, const struct packet *packet,
                                                const struct divert_flow *flow, __u32 hash)
{
    struct fragment_flow value = {.hash = hash};

    if (!flow) {
        bpf_map_delete_elem(&fragments, key);
        return;
    }
    value.key = packet->key;
    bpf_map_update_elem(&fragments, key, &value, BPF_ANY);
}

static __always_inline int packet_divert(void *ctx, const int xdp, __u32 hook, struct packet *packet)
{
    union { /* as the packet came: the look-up leaves the entry's key */
        struct fragment_key fragment;
        struct divert_flow_key connection;
    } saved;
    struct divert_flow *flow = 0;
    __u32 hash;
    int first, unregistered;
    __u8 kinds;

    if (packet->kind == PACKET_LATER_FRAGMENT)
        return later_fragment_divert(ctx, xdp, hook, packet);
    first = packet->kind == PACKET_FIRST_FRAGMENT;
    kinds = port_kinds(&packet->key);
    if (!kinds && !first)
        return VERDICT_PASS;
    if (first)
        fragment_key_of(packet, &saved.fragment);
    else
        saved.connection = packet->key;
    hash = endpoint_hash(&packet->key);
    if (kinds)
        flow = flow_lookup(ctx, xdp, packet, kinds);
    if (first)
        first_fragment_note(&saved.fragment, packet, flow, hash);
    if (!flow)
        return VERDICT_PASS;
    unregistered = packet->key.protocol == IPPROTO_TCP && packet->kind == PACKET_WHOLE && !packet->key.remote_port;
    return flow_divert(ctx, xdp, hook, flow, hash, packet, unregistered ? &saved.connection : 0);
}

static __always_inline void verdict_count(int verdict)
{
    if (verdict == VERDICT_PASS)
        stat_count(DIVERT_STAT_PASSED);
    else
        stat_count(verdict == VERDICT_BOTH ? DIVERT_STAT_BOTH : DIVERT_STAT_DIVERTED);
}

/* ---- for who captures ---- */

static __always_inline __u32 capture_verdict_of(int verdict, const struct packet *packet)
{
    if (packet->outcome == DELIVERED_LOST + 1)
        return CAPTURE_LOST;
    if (verdict != VERDICT_PASS)
        return verdict == VERDICT_BOTH ? CAPTURE_BOTH : CAPTURE_DIVERTED;
    return packet->outcome == DELIVERED_NO_LANE + 1 ? CAPTURE_STALE : CAPTURE_PASSED;
}

static __always_inline __u32 capture_lane_of(const struct packet *packet)
{
    return packet->outcome ? packet->lane : CAPTURE_LANE_UNKNOWN;
}

__noinline int capture_xdp(struct xdp_md *ctx, __u32 verdict, __u32 lane)
{
    struct capture_event event = {.ifindex = ctx->ingress_ifindex, .lane = lane, .verdict = verdict};

    if (capture_begin(&event, (__u32)bpf_xdp_get_buff_len(ctx)))
        capture_output(ctx, &event);
    return 0;
}

__noinline int capture_tc(struct __sk_buff *skb, __u32 verdict, __u32 lane, __u32 bare)
{
    struct capture_event event = {
        .ifindex = skb->ifindex, .lane = lane, .verdict = verdict, .flags = bare ? CAPTURE_BARE : 0};

    capture_skb(skb, &event);
    return 0;
}

/* ---- programs ----
 *
 * Global functions, because the verifier looks at each of them only once. */

__noinline int frame_parse_xdp(struct xdp_md *ctx, __u32 frame_length, struct packet *packet)
{
    return packet ? parse_frame(ctx, 1, frame_length, 0, packet) : PARSE_OTHER;
}

__noinline int frame_parse_tc(struct __sk_buff *ctx, __u32 frame_length, __u32 protocol, struct packet *packet)
{
    return packet ? parse_frame(ctx, 0, frame_length, protocol, packet) : PARSE_OTHER;
}

__noinline int packet_divert_xdp(struct xdp_md *ctx, __u32 hook, struct packet *packet)
{
    return packet ? packet_divert(ctx, 1, hook, packet) : VERDICT_PASS;
}

__noinline int packet_divert_tc(struct __sk_buff *ctx, __u32 hook, struct packet *packet)
{
    return packet ? packet_divert(ctx, 0, hook, packet) : VERDICT_PASS;
}

/* Most packets are nobody's: found out with one look, before anything else. */
static __always_inline int packet_is_foreign(const struct packet *packet)
{
    return (packet->kind == PACKET_WHOLE || packet->kind == PACKET_ERROR) && !port_kinds(&packet->key);
}

static __always_inline int xdp_parse(struct xdp_md *ctx, struct packet *packet)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    __u32 frame_length = bpf_xdp_get_buff_len(ctx);
    int result = parse_plain(data, end, frame_length, packet);

    if (result != PARSE_UNUSUAL)
        return result;
    __builtin_memset(packet, 0, sizeof(*packet));
    return frame_parse_xdp(ctx, frame_length, packet);
}

/* Behind generic XDP the kernel may have forgotten the link layer's length, and the frame starts at the IP header. Then
 * what would be the link layer's protocol is not the frame's. */
static __always_inline int tc_is_bare(struct __sk_buff *skb)
{
    void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
    struct ethhdr *ethernet = data;

    if ((void *)(ethernet + 1) > end || ethernet->h_proto == skb->protocol)
        return 0;
    if (skb->protocol == bpf_htons(ETH_P_IP))
        return *(__u8 *)data >> 4 == 4;
    return skb->protocol == bpf_htons(ETH_P_IPV6) && *(__u8 *)data >> 4 == 6;
}

static __always_inline int tc_parse(struct __sk_buff *skb, struct packet *packet)
{
    void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
    __u16 vlan = skb->vlan_present ? skb->vlan_tci & VLAN_ID_MASK : 0;
    int bare = tc_is_bare(skb), result;

    if (skb->pkt_type == PACKET_OTHERHOST || skb->pkt_type == PACKET_LOOPBACK)
        return PARSE_OTHER;
    packet->key.vlan = vlan;
    result = bare ? PARSE_UNUSUAL : parse_plain(data, end, skb->len, packet);
    if (result != PARSE_UNUSUAL)
        return result;
    __builtin_memset(packet, 0, sizeof(*packet));
    packet->key.vlan = vlan;
    if (bare && skb->pkt_type != PACKET_HOST)
        packet->flags = LANE_RECORD_MULTICAST;
    return frame_parse_tc(skb, skb->len, bare ? skb->protocol : 0, packet);
}

/* Generic XDP sees packets that GRO has merged already. */
static __always_inline int xdp_is_merged(struct xdp_md *ctx, const struct packet *packet)
{
    __u32 mtu = 0;

    if (packet->length <= ETH_DATA_LEN || packet->kind != PACKET_WHOLE)
        return 0;
    return bpf_check_mtu(ctx, 0, &mtu, 0, 0) && packet->length > mtu;
}

static __always_inline int xdp_handle(struct xdp_md *ctx, __u32 hook)
{
    struct packet packet = {};
    int verdict = VERDICT_PASS;

    if (xdp_parse(ctx, &packet) == PARSE_OK && !packet_is_foreign(&packet)) {
        packet.ifindex = ctx->ingress_ifindex;
        if (xdp_is_merged(ctx, &packet))
            packet.flags |= LANE_RECORD_MERGED;
        verdict = packet_divert_xdp(ctx, hook, &packet);
    }
    /* What lockstep_bulk sees again is counted there. */
    if (verdict != VERDICT_PASS || hook == HOOK_XDP_ALONE) {
        verdict_count(verdict);
        if (capture_wants_any())
            capture_xdp(ctx, capture_verdict_of(verdict, &packet), capture_lane_of(&packet));
    }
    return verdict == VERDICT_TAKEN ? XDP_DROP : XDP_PASS;
}

static __always_inline int tc_handle(struct __sk_buff *skb, __u32 hook)
{
    struct packet packet = {};
    int verdict = VERDICT_PASS;

    if (tc_parse(skb, &packet) == PARSE_OK && !packet_is_foreign(&packet)) {
        packet.ifindex = skb->ifindex;
        packet.segment_size = skb->gso_size;
        if (packet.segment_size)
            packet.flags |= LANE_RECORD_MERGED;
        verdict = packet_divert_tc(skb, hook, &packet);
    }
    verdict_count(verdict);
    if (capture_wants_any())
        capture_tc(skb, capture_verdict_of(verdict, &packet), capture_lane_of(&packet), (__u32)tc_is_bare(skb));
    return verdict == VERDICT_TAKEN ? TC_ACT_STOLEN : TC_ACT_UNSPEC;
}

SEC("xdp.frags")
int lockstep_xdp(struct xdp_md *ctx)
{
    return xdp_handle(ctx, HOOK_XDP);
}

SEC("xdp.frags")
int lockstep_xdp1(struct xdp_md *ctx)
{
    return xdp_handle(ctx, HOOK_XDP_ALONE);
}

SEC("tc")
int lockstep_tc(struct __sk_buff *skb)
{
    return tc_handle(skb, HOOK_TC);
}

SEC("tc")
int lockstep_bulk(struct __sk_buff *skb)
{
    return tc_handle(skb, HOOK_TC_BULK);
}
