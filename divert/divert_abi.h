/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the eBPF programs, the service and the programs' lanes share: map keys and values, ring records,
 * the lane's control page. Plain fixed-width fields, no pointers; included by BPF and user code alike.
 *
 * Addresses are 16 bytes, IPv4 as the IPv4-mapped IPv6 address; ports are in network byte order. */
#ifndef LOCKSTEP_DIVERT_ABI_H
#define LOCKSTEP_DIVERT_ABI_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#define DIVERT_MAX_LANES    1024  /* lane ids are 0 .. DIVERT_MAX_LANES - 1 */
#define DIVERT_MAX_FLOWS    65536 /* exact, bound and any entries together */
#define DIVERT_MAX_GROUPS   1024
#define DIVERT_MAX_MEMBERS  64 /* lanes that share one port or multicast group */
#define DIVERT_MAX_NEXTHOPS 4096
#define DIVERT_PACKET_MAX   65536 /* largest L3 packet a lane carries */
#define DIVERT_MAX_LOCALS   4096  /* local addresses */

/* Index of a port's byte in the table of ports in use: UDP's ports, then TCP's. */
#define DIVERT_PORT_INDEX(is_tcp, port) ((__u32)(!!(is_tcp)) << 16 | (port))
#define DIVERT_PORT_WORDS               (2 * 65536 / 8)

/* Which kinds of entries a port has: spares the divert useless look-ups. */
enum divert_port_kind { DIVERT_PORT_EXACT = 1 << 0, DIVERT_PORT_BOUND = 1 << 1, DIVERT_PORT_ANY = 1 << 2 };
enum divert_local_kind { DIVERT_LOCAL_UNICAST = 1, DIVERT_LOCAL_BROADCAST = 2 };

struct divert_addr {
    __u8 byte[16];
};

/* One flow as seen by this host. An exact flow has all fields; a bound port has remote and remote_port zero; a
 * wildcard has in addition local = 0.0.0.0 (mapped) or ::, and matches only addresses in the `locals` map.
 * vlan: the VLAN id the packet carries where the divert is attached (0: untagged). */
struct divert_flow_key {
    struct divert_addr local;
    struct divert_addr remote;
    __u16 local_port;
    __u16 remote_port;
    __u16 vlan;
    __u8 protocol; /* IPPROTO_TCP or IPPROTO_UDP */
    __u8 pad;
};

enum {
    DIVERT_FLOW_ALSO_KERNEL = 1 << 0, /* copy to the lane and pass to the kernel as well (multicast) */
    DIVERT_FLOW_GROUP = 1 << 1,       /* target is an index into the group table, not a lane */
    DIVERT_FLOW_BULK = 1 << 2,        /* XDP leaves it to the tc hook, where packets arrive merged */
};

struct divert_flow {
    __u32 target; /* lane id or group index */
    __u32 flags;
    __u32 flow_id; /* the service's id, copied into each record */
    __u32 pad;
    __u64 packets; /* counters, updated atomically by the divert */
    __u64 bytes;
    __u64 drops; /* ring full */
    __u64 last_ns;
};

enum { DIVERT_GROUP_HASH, DIVERT_GROUP_COPY };

/* Lanes that share a flow: by hash of the remote endpoint over a fixed bucket table (so that members joining and
 * leaving move few connections), or a copy to each (multicast). */
#define DIVERT_GROUP_BUCKETS 256
struct divert_group {
    __u32 mode;
    __u32 member_count;
    __u32 members[DIVERT_MAX_MEMBERS];   /* DIVERT_GROUP_COPY */
    __u16 buckets[DIVERT_GROUP_BUCKETS]; /* DIVERT_GROUP_HASH: lane id */
};

/* Per-lane page shared between the divert and one process (BPF_F_MMAPABLE array of one element). The process
 * writes the first line, the divert the second. */
struct lane_control {
    __u32 sleeping; /* not 0: the process wants a wake-up for the next packet */
    __u32 pad0;
    __u64 heartbeat_ns; /* CLOCK_MONOTONIC, at least every second while the process lives */
    __u64 pad1[6];
    __u64 packets; /* by the divert */
    __u64 bytes;
    __u64 overruns; /* packets lost because the ring was full */
    __u64 wakeups;
    __u64 pad2[4];
};

/* With the service's and the lane's heartbeats both older than this, the divert passes packets to the kernel. */
#define DIVERT_HEARTBEAT_LIMIT_NS 3000000000ull

enum {
    LANE_RECORD_ICMP = 1 << 0,     /* an ICMP error about one of the lane's flows; data starts at the outer IP header */
    LANE_RECORD_FRAGMENT = 1 << 1, /* part of a fragmented datagram */
    LANE_RECORD_MERGED = 1 << 2, /* merged by GRO or not yet cut by a virtual peer: the checksum needs no verification.
                                    UDP: a datagram for each segment_size bytes of payload (small ones that generic XDP
                                    sees come without this flag, as one). */
    LANE_RECORD_MULTICAST = 1 << 3,
};

/* Ring record: this header, then `length` bytes from the IP header on (no link-layer header). */
struct lane_record {
    __u64 stamp_ns; /* CLOCK_MONOTONIC when the divert saw it */
    __u32 length;
    __u32 ifindex; /* where it arrived */
    __u32 flow_id;
    __u16 vlan;
    __u16 flags;
    __u16 segment_size; /* of a merged packet, 0 otherwise or unknown */
    __u16 pad[3];
    __u8 data[];
};

/* Guard: what a lane may send from. local = any address allows every local unicast address. */
struct guard_key {
    struct divert_addr local;
    __u32 lane;
    __u16 local_port;
    __u8 protocol;
    __u8 pad;
};

enum {
    GUARD_DROP_MALFORMED, /* not an IPv4/IPv6 TCP/UDP packet, or truncated */
    GUARD_DROP_SOURCE,    /* address or port not registered by this lane */
    GUARD_DROP_FRAGMENT,
    GUARD_DROP_NEXTHOP, /* no such next hop */
    GUARD_DROP_REASONS
};

struct guard_counters {
    __u64 packets;
    __u64 bytes;
    __u64 drops[GUARD_DROP_REASONS];
};

/* Next hop table, kept by the service. A program names a next hop by its index in the destination MAC address of
 * the frame: 02:4c:53:00:hh:ll. The guard fills in both MACs; while `resolved` is 0 it lets the kernel resolve
 * (bpf_redirect_neigh). */
struct divert_nexthop {
    struct divert_addr gateway; /* next hop's address (the destination itself when on-link) */
    __u32 ifindex;              /* egress interface, 0: unused entry */
    __u8 destination_mac[6];
    __u8 source_mac[6];
    __u8 resolved;
    __u8 multicast; /* MAC is derived from the destination address: already filled in */
    __u16 pad;
};

#define NEXTHOP_MAC_PREFIX "\x02\x4c\x53\x00"

enum {
    DIVERT_STAT_PASSED,
    DIVERT_STAT_DIVERTED,
    DIVERT_STAT_OVERRUN,
    DIVERT_STAT_BOTH,
    DIVERT_STAT_STALE,
    DIVERT_STAT_COUNT
};

#endif
