/* SPDX-License-Identifier: BSD-2-Clause */
/* The lane's statistics page: a sealed memfd made by the service, written by the program without system calls, read by
 * the service. The service trusts nothing in it: it only displays it, and bounds-checks what it uses. Fields are
 * written with relaxed atomics by one thread at a time (under the stack's lock); 64-bit fields are aligned. A program
 * and the service may be of different versions: the layout only grows at its end. */
#ifndef LOCKSTEP_SERVICE_LANE_STATS_H
#define LOCKSTEP_SERVICE_LANE_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "base/net_addr.h"

#define LANE_STATS_MAGIC        0x4c535431u /* "LST1" */
#define LANE_STATS_SLOTS        32768
#define LANE_STATS_BUCKETS      512 /* log-linear, see base/histogram.h: index by histogram_index() */
/* A socket's own histogram is coarser: index by histogram_index() >> 2, four buckets to a power of two. */
#define LANE_STATS_SLOT_BUCKETS 128

/* One socket: TCP connection, listener or UDP socket. Slot i belongs to the flow that was registered with slot i. */
struct lane_stats_slot {
    uint32_t in_use;
    uint8_t protocol;
    uint8_t tcp_state; /* TCP_ESTABLISHED ... as in linux/tcp_states (1..11), 0 for UDP */
    uint8_t connected; /* TCP: the handshake was completed */
    uint8_t pad;
    struct net_addr local, remote;
    uint16_t local_port, remote_port; /* host order */
    uint32_t snd_nxt, rcv_nxt;        /* for resetting the peer when the program dies */
    uint32_t srtt_us;
    uint32_t cwnd;
    uint32_t snd_wnd;
    uint64_t rx_bytes, tx_bytes;
    uint64_t rx_packets, tx_packets;
    uint32_t retransmissions;
    uint32_t drops;     /* UDP receive buffer full */
    uint64_t opened_ns; /* CLOCK_MONOTONIC */
};

struct lane_stats {
    uint32_t magic;
    uint32_t size;
    uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes;
    uint64_t bad_packets;     /* failed checksum or malformed */
    uint64_t ring_high_water; /* bytes */
    uint64_t sleeps, wakeups, spins_empty;
    uint64_t send_failures;
    uint64_t latency_ns[LANE_STATS_BUCKETS]; /* kernel stamp to the program taking it from the ring */
    struct lane_stats_slot slots[LANE_STATS_SLOTS];
    /* From here on: not in the pages of an older service, nor filled in by an older program. */
    uint64_t spin_ns;    /* processor time that waiting threads have spun away */
    uint32_t slots_used; /* none behind these has ever been used */
    uint32_t pad;
    /* Of each slot, kernel stamp to the program taking the packet from the ring; index by histogram_index() >> 2. */
    _Alignas(64) uint32_t latency[LANE_STATS_SLOTS][LANE_STATS_SLOT_BUCKETS];
    /* Messages about the end of a connection (FLOW_CLOSED) are numbered: those that a service which dies has not come
     * to are told to the next one, and the others are not told twice. */
    uint64_t ends_heard;                 /* the last one that the service has acted upon: the service writes this */
    uint64_t end_told[LANE_STATS_SLOTS]; /* of each slot, the number under which its end was told; 0: not yet */
};

/* Every page has at least this; whether there is more is seen from the memfd's size. */
#define LANE_STATS_BASE_BYTES offsetof(struct lane_stats, spin_ns)
_Static_assert(LANE_STATS_BASE_BYTES == 3674200, "the first part never changes: programs outlive the service");

#endif
