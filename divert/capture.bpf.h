/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Copies of packets for who captures. While nobody does, this costs a packet one look at a word. */
#ifndef LOCKSTEP_DIVERT_CAPTURE_BPF_H
#define LOCKSTEP_DIVERT_CAPTURE_BPF_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "divert/capture_abi.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct capture_control);
} capture SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
    __uint(key_size, sizeof(__u32));
    __uint(value_size, sizeof(__u32));
} captured SEC(".maps");

static __always_inline struct capture_control *capture_control_get(void)
{
    __u32 zero = 0;

    return bpf_map_lookup_elem(&capture, &zero);
}

/* To be asked before anything is prepared. */
static __always_inline int capture_wants(__u32 verdict)
{
    const struct capture_control *control = capture_control_get();

    return control && __builtin_expect(control->wanted >> verdict & 1, 0);
}

/* Who was killed leaves the bits set. */
static __always_inline int capture_begin(struct capture_event *event, __u32 length)
{
    const struct capture_control *control = capture_control_get();

    event->time_ns = bpf_ktime_get_ns();
    if (!control || event->time_ns > control->until_ns)
        return 0;
    event->length = length;
    event->captured = length < control->snap_length ? length : control->snap_length;
    return 1;
}

/* The flags' upper half says how much of the packet is to follow. The buffer tells of losses only when there is room
 * again, which may be never. */
static __always_inline void capture_output(void *ctx, struct capture_event *event)
{
    __u64 flags = (__u64)event->captured << 32 | BPF_F_CURRENT_CPU;
    struct capture_control *control;

    if (bpf_perf_event_output(ctx, &captured, flags, event, sizeof(*event)) == 0)
        return;
    control = capture_control_get();
    if (control)
        __sync_fetch_and_add(&control->lost, 1);
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
