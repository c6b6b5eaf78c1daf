/* SPDX-License-Identifier: BSD-2-Clause */
/* The round-trip cross-check: small datagrams go from a sender's node to each receiver's and back, with four stamps of
 * the two nodes' common clock (t1 departure, t2 arrival there, t3 departure there, t4 arrival) and four of each node's
 * CLOCK_MONOTONIC_RAW, which nobody steers. Two things must hold, or the clocks' bounds are a lie:
 *   - neither way takes less than nothing: t2 - t1 and t4 - t3 are not below minus the sum of both bounds;
 *   - (t2 - t1) + (t4 - t3), by the common clock, is the round trip by MONOTONIC_RAW, but for the bounds.
 * Half the difference of the two ways estimates the clocks' disagreement, to half the round trip. Pure. */
#ifndef LOCKSTEP_TESTBED_ECHO_H
#define LOCKSTEP_TESTBED_ECHO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "testbed/node_clock.h"
#include "testbed/pattern.h"
#include "testbed/record.h"

#define ECHO_SIZE 80 /* of request and reply */

struct echo_stamp {
    int64_t tai_ns;
    int64_t raw_ns;
    uint32_t bound_ns;
};
struct echo {
    uint32_t run;
    uint16_t from, to; /* indexes in the sender's list of peers; opaque to the receiver */
    uint32_t sequence;
    bool reply;
    struct echo_stamp t1, t2, t3;
};
void echo_encode(const struct echo *echo, uint8_t bytes[ECHO_SIZE]);
/* 0 or LOCKSTEP_E_BAD_FORMAT. */
int echo_decode(const uint8_t *bytes, size_t length, struct echo *out);

/* What is known of one pair of nodes. */
struct echo_record {
    char peer[PATTERN_NODE_MAX];
    uint64_t sent, received, without_time; /* without_time: a clock gave no time or no bound */
    uint64_t impossible;                   /* a way that took less than nothing by more than the bounds */
    uint64_t inconsistent;                 /* sums that do not fit the round trip */
    struct latency round_trip;             /* by MONOTONIC_RAW, without the peer's own time */
    struct latency forward, backward;      /* signed */
    int64_t disagreement_ns;               /* peer's clock minus own, at the shortest round trip */
    int64_t disagreement_round_trip_ns;
    uint32_t bound_max_ns;      /* of both together */
    struct series disagreement; /* over time: the estimate of each exchange */
    struct series round_trips;
};
void echo_record_init(struct echo_record *record, const char *peer, int64_t start_ns, int64_t duration_ns);
void echo_record_exchange(struct echo_record *record, const struct echo *reply, const struct echo_stamp *t4);
/* Whether the check failed; text (160 bytes) says why. */
bool echo_failed(const struct echo_record *record, char text[160]);

#endif
