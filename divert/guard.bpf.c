/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The guard: what a program writes to its lane's TAP device arrives here, at tc ingress. Whole TCP and UDP packets that
 * come from an address and port which the lane registered get their MAC addresses and leave by the next hop's
 * interface; everything else is counted and dropped. lockstep_mute, at the device's egress, drops what the kernel would
 * send to the program. Only headers are looked at, so 64 KB packets cost no more than small ones. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "divert/capture.bpf.h"
#include "divert/divert_abi.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define FAMILY_V4   2  /* AF_INET */
#define FAMILY_V6   10 /* AF_INET6 */
#define HEADERS_MAX (sizeof(struct ethhdr) + sizeof(struct ipv6hdr) + sizeof(struct tcphdr))

/* Which lane a TAP device belongs to, by interface index. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, DIVERT_MAX_LANES);
    __type(key, __u32);
    __type(value, __u32);
} taps SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, DIVERT_MAX_FLOWS);
    __type(key, struct guard_key);
    __type(value, __u32); /* how often allowed */
} allowed SEC(".maps");

/* The divert's map. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, DIVERT_MAX_LOCALS);
    __type(key, struct divert_addr);
    __type(value, __u32);
} locals SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, DIVERT_MAX_NEXTHOPS);
    __type(key, __u32);
    __type(value, struct divert_nexthop);
} nexthops SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, DIVERT_MAX_LANES);
    __type(key, __u32);
    __type(value, struct guard_counters);
} counters SEC(".maps");

struct outgoing {
    struct guard_key source; /* lane is filled in later */
    __u32 nexthop;
    __u32 v6;
    __u32 egress;
};

#define GUARD_ACCEPT (-1)

static __always_inline int addr_v4_is_allowed(__be32 destination)
{
    return destination != 0 && (destination & bpf_htonl(0xff000000)) != bpf_htonl(0x7f000000);
}

/* Neither ::, ::1 nor an IPv4 address in IPv6 clothes. */
static __always_inline int addr_v6_is_allowed(const struct in6_addr *addr)
{
    const __be32 *word = addr->in6_u.u6_addr32;

    if (word[0] || word[1])
        return 1;
    if (word[2] == bpf_htonl(0xffff))
        return 0;
    return word[2] || bpf_ntohl(word[3]) > 1;
}

/* The transport header must be there; ports come first in both. */
static __always_inline int read_transport(void *transport, void *end, __u8 protocol, struct outgoing *out)
{
    if (protocol == IPPROTO_TCP) {
        struct tcphdr *tcp = transport;

        if ((void *)(tcp + 1) > end)
            return GUARD_DROP_MALFORMED;
        out->source.local_port = tcp->source;
    } else if (protocol == IPPROTO_UDP) {
        struct udphdr *udp = transport;

        if ((void *)(udp + 1) > end)
            return GUARD_DROP_MALFORMED;
        out->source.local_port = udp->source;
    } else {
        return GUARD_DROP_MALFORMED;
    }
    out->source.protocol = protocol;
    return GUARD_ACCEPT;
}

/* No options: the engine sends none, and some steer packets. */
static __always_inline int read_ipv4(struct iphdr *ip, void *end, __u32 length, struct outgoing *out)
{
    __u32 *word = (__u32 *)out->source.local.byte;

    if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl != 5)
        return GUARD_DROP_MALFORMED;
    if (ip->frag_off & bpf_htons(0x3fff))
        return GUARD_DROP_FRAGMENT;
    if (bpf_ntohs(ip->tot_len) != length || !addr_v4_is_allowed(ip->daddr))
        return GUARD_DROP_MALFORMED;
    word[2] = bpf_htonl(0xffff);
    word[3] = ip->saddr;
    return read_transport(ip + 1, end, ip->protocol, out);
}

static __always_inline int read_ipv6(struct ipv6hdr *ip, void *end, __u32 length, struct outgoing *out)
{
    if ((void *)(ip + 1) > end || ip->version != 6)
        return GUARD_DROP_MALFORMED;
    if (ip->nexthdr == IPPROTO_FRAGMENT)
        return GUARD_DROP_FRAGMENT;
    if (bpf_ntohs(ip->payload_len) + sizeof(*ip) != length)
        return GUARD_DROP_MALFORMED;
    if (!addr_v6_is_allowed(&ip->daddr) || !addr_v6_is_allowed(&ip->saddr))
        return GUARD_DROP_MALFORMED;
    __builtin_memcpy(out->source.local.byte, &ip->saddr, sizeof(out->source.local));
    out->v6 = 1;
    return read_transport(ip + 1, end, ip->nexthdr, out);
}

static __always_inline int read_frame(struct __sk_buff *skb, struct outgoing *out)
{
    void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
    struct ethhdr *ethernet = data;

    if ((void *)(ethernet + 1) > end || skb->vlan_present)
        return GUARD_DROP_MALFORMED;
    if (__builtin_memcmp(ethernet->h_dest, NEXTHOP_MAC_PREFIX, 4))
        return GUARD_DROP_NEXTHOP;
    out->nexthop = ethernet->h_dest[4] << 8 | ethernet->h_dest[5];
    if (ethernet->h_proto == bpf_htons(ETH_P_IP))
        return read_ipv4(data + sizeof(*ethernet), end, skb->len - sizeof(*ethernet), out);
    if (ethernet->h_proto == bpf_htons(ETH_P_IPV6))
        return read_ipv6(data + sizeof(*ethernet), end, skb->len - sizeof(*ethernet), out);
    return GUARD_DROP_MALFORMED;
}

/* Registered as this address, or as any address if this one is the host's. */
static __always_inline int source_is_allowed(struct outgoing *out)
{
    __u32 *kind;

    if (bpf_map_lookup_elem(&allowed, &out->source))
        return 1;
    kind = bpf_map_lookup_elem(&locals, &out->source.local);
    if (!kind || *kind != DIVERT_LOCAL_UNICAST)
        return 0;
    if (out->v6)
        __builtin_memset(&out->source.local, 0, sizeof(out->source.local));
    else
        *(__u32 *)(out->source.local.byte + 12) = 0;
    return bpf_map_lookup_elem(&allowed, &out->source) != 0;
}

static __always_inline int redirect_by_kernel(const struct divert_nexthop *nexthop, __u32 v6)
{
    struct bpf_redir_neigh params = {};

    if (v6) {
        params.nh_family = FAMILY_V6;
        __builtin_memcpy(params.ipv6_nh, nexthop->gateway.byte, sizeof(params.ipv6_nh));
    } else {
        params.nh_family = FAMILY_V4;
        params.ipv4_nh = *(const __u32 *)(nexthop->gateway.byte + 12);
    }
    return bpf_redirect_neigh(nexthop->ifindex, &params, sizeof(params), 0);
}

/* Sends the frame on its way, or returns the reason why not, negated and less GUARD_ACCEPT's value. */
static __always_inline int frame_redirect(struct __sk_buff *skb, struct outgoing *out, int *action)
{
    __u32 index = out->nexthop;
    struct divert_nexthop *nexthop = bpf_map_lookup_elem(&nexthops, &index);
    void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
    struct ethhdr *ethernet = data;

    if (!nexthop || !nexthop->ifindex || (void *)(ethernet + 1) > end)
        return GUARD_DROP_NEXTHOP;
    out->egress = nexthop->ifindex;
    if (!nexthop->resolved && !nexthop->multicast) {
        *action = redirect_by_kernel(nexthop, out->v6);
        return GUARD_ACCEPT;
    }
    __builtin_memcpy(ethernet->h_dest, nexthop->destination_mac, ETH_ALEN);
    __builtin_memcpy(ethernet->h_source, nexthop->source_mac, ETH_ALEN);
    *action = bpf_redirect(nexthop->ifindex, 0);
    return GUARD_ACCEPT;
}

/* ---- for who captures ---- */

__noinline int capture_guard(struct __sk_buff *skb, __u32 reason, __u32 lane, __u32 egress)
{
    struct capture_event event = {.ifindex = egress ? egress : skb->ifindex,
                                  .lane = lane,
                                  .verdict = egress ? CAPTURE_INJECTED : CAPTURE_REFUSED,
                                  .reason = reason};

    capture_skb(skb, &event);
    return 0;
}

SEC("tc")
int lockstep_guard(struct __sk_buff *skb)
{
    __u32 ifindex = skb->ifindex, length = skb->len;
    struct guard_counters *counts;
    struct outgoing out = {};
    int action = TC_ACT_SHOT;
    __u32 *lane;
    int reason;

    lane = bpf_map_lookup_elem(&taps, &ifindex);
    if (!lane)
        return TC_ACT_SHOT;
    out.source.lane = *lane;
    counts = bpf_map_lookup_elem(&counters, &out.source.lane);
    if (!counts)
        return TC_ACT_SHOT;
    if (skb->data_end - skb->data < HEADERS_MAX)
        bpf_skb_pull_data(skb, length < HEADERS_MAX ? length : HEADERS_MAX);
    reason = read_frame(skb, &out);
    if (reason == GUARD_ACCEPT && !source_is_allowed(&out))
        reason = GUARD_DROP_SOURCE;
    if (reason == GUARD_ACCEPT)
        reason = frame_redirect(skb, &out, &action);
    if (reason == GUARD_ACCEPT) {
        __sync_fetch_and_add(&counts->packets, 1);
        __sync_fetch_and_add(&counts->bytes, length);
    } else if (reason < GUARD_DROP_REASONS) {
        __sync_fetch_and_add(&counts->drops[reason & 3], 1);
    }
    if (capture_wants_any())
        capture_guard(skb, (__u32)reason, out.source.lane, reason == GUARD_ACCEPT ? out.egress : 0);
    return action;
}

SEC("tc")
int lockstep_mute(struct __sk_buff *skb)
{
    (void)skb;
    return TC_ACT_SHOT;
}
