/* SPDX-License-Identifier: BSD-2-Clause */
/* Bare TCP segments (no data, no options) in the name of connections that have lost their program, or of a peer. Needs
 * CAP_NET_RAW. Single-threaded. */
#ifndef LOCKSTEP_SERVICE_SEGMENT_H
#define LOCKSTEP_SERVICE_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/net_addr.h"

enum { SEGMENT_FIN = 1, SEGMENT_RST = 4, SEGMENT_ACK = 16 };

struct segment {
    struct net_endpoint from, to; /* both of one family */
    uint32_t sequence;
    uint32_t acknowledgement;
    uint16_t window;
    uint8_t flags;
};

#define SEGMENT_MAX 60

/* The packet from its IP header on, checksums complete; its length (pure). */
size_t segment_build(const struct segment *segment, uint8_t packet[SEGMENT_MAX]);

struct segment_sender {
    int v4, v6; /* raw sockets, -1: not open */
};
int segment_sender_open(struct segment_sender *sender);
void segment_sender_close(struct segment_sender *sender);
/* The kernel routes it, without delay. scope_id: for link-local destinations. Negated errno on failure. */
int segment_send(const struct segment_sender *sender, const struct segment *segment, uint32_t scope_id);

#endif
