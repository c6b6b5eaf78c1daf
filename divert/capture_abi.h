/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the eBPF programs and who captures agree upon. */
#ifndef LOCKSTEP_DIVERT_CAPTURE_ABI_H
#define LOCKSTEP_DIVERT_CAPTURE_ABI_H

#include <linux/types.h>

#define CAPTURE_CONTROL_MAP  ".data.capture" /* one struct capture_control */
#define CAPTURE_LANE_UNKNOWN 0xffffffffu
#define CAPTURE_BYTES_MAX    65000u /* a perf record's length is a 16-bit number */

enum capture_verdict {
    CAPTURE_DIVERTED, /* to a lane */
    CAPTURE_BOTH,     /* to a lane and to the kernel */
    CAPTURE_LOST,     /* the lane's ring was full */
    CAPTURE_PASSED,   /* to the kernel: nobody's */
    CAPTURE_STALE,    /* to the kernel, because its lane is gone or has stopped, and the service too */
    CAPTURE_INJECTED, /* accepted by the guard */
    CAPTURE_REFUSED,  /* not let out by the guard: reason is GUARD_DROP_*, or GUARD_DROP_REASONS: of no lane */
    CAPTURE_VERDICTS
};

/* Of one service's divert and guard; written by who captures, but for the last. */
struct capture_control {
    __u32 wanted; /* bits by enum capture_verdict; 0: nobody captures */
    __u32 snap_length;
    __u64 until_ns; /* CLOCK_MONOTONIC: who captures is alive until then */
    __u32 owner;    /* its process id */
    __u32 lost;     /* counted by the eBPF programs: copies that there was no room for */
};

enum { CAPTURE_BARE = 1 << 0 }; /* the frame begins at the IP header */

struct capture_event {
    __u64 time_ns;       /* CLOCK_MONOTONIC */
    __u32 ifindex;       /* where it came in or is to leave; of what was refused, the lane's device */
    __u32 lane;          /* or CAPTURE_LANE_UNKNOWN */
    __u32 length;        /* of the frame */
    __u32 captured;      /* bytes of it that follow this structure */
    __u16 vlan_tci;      /* a tag that the device took off */
    __u16 vlan_protocol; /* network byte order; 0: there was none */
    __u8 verdict;
    __u8 reason;
    __u8 flags;
    __u8 pad;
};

#endif
