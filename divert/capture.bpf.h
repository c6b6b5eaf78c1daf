/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Copies of packets for who captures. While nobody does, this costs a packet one look at a word. */
#ifndef LOCKSTEP_DIVERT_CAPTURE_BPF_H
#define LOCKSTEP_DIVERT_CAPTURE_BPF_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "divert/capture_abi.h"

/* A section of its own is a map, which who captures finds by that name and maps; and which is read without a look-up.
 */
volatile struct capture_control capture SEC(CAPTURE_CONTROL_MAP);

struct {
    __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
    __uint(key_size, sizeof(__u32));
    __uint(value_size, sizeof(__u32));
} captured SEC(".maps");

/* To be asked before anything is prepared: a load and a branch. */
static __always_inline int capture_wants_any(void)
{
    return __builtin_expect(capture.wanted != 0, 0);
}

/* Is it wanted? Who was killed leaves the bits set. */
static __always_inline int capture_begin(struct capture_event *event, __u32 length)
{
    __u32 snap_length = capture.snap_length;

    event->time_ns = bpf_ktime_get_ns();
    if (!(capture.wanted >> event->verdict & 1) || event->time_ns > capture.until_ns)
        return 0;
    event->length = length;
    event->captured = length < snap_length ? length : snap_length;
    return 1;
}

/* The flags' upper half says how much of the packet is to follow. The buffer tells of losses only when there is room
 * again, which may be never. */
static __always_inline void capture_output(void *ctx, struct capture_event *event)
{
    __u64 flags = (__u64)event->captured << 32 | BPF_F_CURRENT_CPU;

    if (bpf_perf_event_output(ctx, &captured, flags, event, sizeof(*event)) != 0)
        __sync_fetch_and_add(&capture.lost, 1);
}

static __always_inline void capture_skb(struct __sk_buff *skb, struct capture_event *event)
{
    if (!capture_begin(event, skb->len))
        return;
    if (skb->vlan_present) {
        event->vlan_tci = (__u16)skb->vlan_tci;
        event->vlan_protocol = (__u16)skb->vlan_proto;
    }
    capture_output(skb, event);
}

#endif
