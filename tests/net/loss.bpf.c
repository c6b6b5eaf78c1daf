/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A bad wire for tests: drops TCP and UDP packets on a device's way in, at random or in bursts. Everything else
 * (neighbour discovery, ICMP) passes, so that what a test sees is the transport's answer to loss and nothing else. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* Set by loss.c. */
__u32 drop_share;    /* of 2^32: chance of each packet to be dropped; 0: never */
__u32 burst_packets; /* so many in a row ... */
__u32 burst_period;  /* ... after so many */
__u32 least_bytes;   /* shorter packets pass without being counted */

#define BURST_NS                                                                                                       \
    5000000 /* a burst ends after this, full or not: it is not to eat every repetition of one lone packet */

static __u32 burst_left;
static __u64 burst_end_ns;

__u64 packets_seen;
__u64 packets_dropped;

static bool is_transport(struct __sk_buff *skb)
{
    __u8 protocol = 0;
    if (skb->protocol == bpf_htons(ETH_P_IP))
        bpf_skb_load_bytes(skb, ETH_HLEN + 9, &protocol, 1);
    else if (skb->protocol == bpf_htons(ETH_P_IPV6))
        bpf_skb_load_bytes(skb, ETH_HLEN + 6, &protocol, 1);
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

/* A burst comes at a period's end: connections get their handshake through. (The counters of a burst are not exact when
 * packets come in on several cores at once; that does no harm.) */
static bool in_burst(__u64 number)
{
    if (burst_period == 0)
        return false;
    if (number % burst_period == burst_period - 1) {
        burst_left = burst_packets;
        burst_end_ns = bpf_ktime_get_ns() + BURST_NS;
    }
    if (burst_left == 0 || bpf_ktime_get_ns() > burst_end_ns)
        return false;
    burst_left--;
    return true;
}

static bool is_lost(__u64 number)
{
    return (drop_share != 0 && bpf_get_prandom_u32() < drop_share) || in_burst(number);
}

SEC("tc")
int lose(struct __sk_buff *skb)
{
    if (!is_transport(skb) || skb->len < least_bytes)
        return TC_ACT_UNSPEC;
    __u64 number = __sync_fetch_and_add(&packets_seen, 1);
    if (!is_lost(number))
        return TC_ACT_UNSPEC;
    __sync_fetch_and_add(&packets_dropped, 1);
    return TC_ACT_SHOT;
}

char _license[] SEC("license") = "Dual BSD/GPL";
