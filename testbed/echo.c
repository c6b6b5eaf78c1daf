/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/echo.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define FORMAT                0xe1
#define SERIES_LEAST_NS       100000000
/* Two clocks read one after the other, and the difference in rate of MONOTONIC_RAW and true time over a round trip:
 * what the sum may be off besides the bounds. */
#define SUM_SLACK_NS          2000
#define SUM_SLACK_PER_MILLION 500

/* ---- on the wire: u8 format, u8 reply, u16 from, u16 to, u16 0, u32 run, u32 sequence, three stamps of i64 TAI, i64
 * raw, u32 bound; u32 0 ---- */

struct wire_stamp {
    uint64_t tai, raw;
    uint32_t bound;
} __attribute__((packed));

struct wire {
    uint8_t format, reply;
    uint16_t from, to, zero;
    uint32_t run, sequence;
    struct wire_stamp stamps[3];
    uint32_t end;
} __attribute__((packed));
_Static_assert(sizeof(struct wire) == ECHO_SIZE, "as the header says");

static struct wire_stamp put_stamp(const struct echo_stamp *stamp)
{
    return (struct wire_stamp){htobe64((uint64_t)stamp->tai_ns), htobe64((uint64_t)stamp->raw_ns),
                               htobe32(stamp->bound_ns)};
}

static struct echo_stamp get_stamp(const struct wire_stamp *wire)
{
    return (struct echo_stamp){(int64_t)be64toh(wire->tai), (int64_t)be64toh(wire->raw), be32toh(wire->bound)};
}

void echo_encode(const struct echo *echo, uint8_t bytes[ECHO_SIZE])
{
    struct wire wire = {.format = FORMAT,
                        .reply = echo->reply,
                        .from = htobe16(echo->from),
                        .to = htobe16(echo->to),
                        .run = htobe32(echo->run),
                        .sequence = htobe32(echo->sequence),
                        .stamps = {put_stamp(&echo->t1), put_stamp(&echo->t2), put_stamp(&echo->t3)}};

    memcpy(bytes, &wire, sizeof wire);
}

int echo_decode(const uint8_t *bytes, size_t length, struct echo *out)
{
    struct wire wire;

    if (length != sizeof wire)
        return LOCKSTEP_E_BAD_FORMAT;
    memcpy(&wire, bytes, sizeof wire);
    if (wire.format != FORMAT || wire.reply > 1 || wire.zero || wire.end)
        return LOCKSTEP_E_BAD_FORMAT;
    *out = (struct echo){.run = be32toh(wire.run),
                         .from = be16toh(wire.from),
                         .to = be16toh(wire.to),
                         .sequence = be32toh(wire.sequence),
                         .reply = wire.reply,
                         .t1 = get_stamp(&wire.stamps[0]),
                         .t2 = get_stamp(&wire.stamps[1]),
                         .t3 = get_stamp(&wire.stamps[2])};
    return 0;
}

/* ---- the check ---- */

void echo_record_init(struct echo_record *record, const char *peer, int64_t start_ns, int64_t duration_ns)
{
    memset(record, 0, sizeof *record);
    snprintf(record->peer, sizeof record->peer, "%s", peer);
    record->disagreement_round_trip_ns = INT64_MAX;
    series_init(&record->disagreement, start_ns, duration_ns, SERIES_LEAST_NS);
    series_init(&record->round_trips, start_ns, duration_ns, SERIES_LEAST_NS);
}

static int64_t magnitude(int64_t value)
{
    return value < 0 ? -value : value;
}

/* Stamps come from another machine: too large ones must not overflow. */
static bool plausible(const struct echo_stamp *stamp)
{
    return magnitude(stamp->tai_ns / 4) < INT64_MAX / 16 && magnitude(stamp->raw_ns / 4) < INT64_MAX / 16;
}

static bool bound_known(const struct echo_stamp *stamp)
{
    return stamp->bound_ns != NODE_CLOCK_BOUND_UNKNOWN;
}

static void judge(struct echo_record *record, int64_t forward, int64_t backward, int64_t round_trip, int64_t bound)
{
    int64_t slack = 2 * bound + SUM_SLACK_NS + round_trip * SUM_SLACK_PER_MILLION / 1000000;

    if (bound > record->bound_max_ns)
        record->bound_max_ns = bound < NODE_CLOCK_BOUND_UNKNOWN ? (uint32_t)bound : NODE_CLOCK_BOUND_UNKNOWN;
    record->impossible += forward < -bound || backward < -bound;
    record->inconsistent += magnitude(forward + backward - round_trip) > slack;
}

void echo_record_exchange(struct echo_record *record, const struct echo *reply, const struct echo_stamp *t4)
{
    int64_t forward, backward, round_trip, disagreement;

    record->received++;
    if (!plausible(&reply->t1) || !plausible(&reply->t2) || !plausible(&reply->t3) || !plausible(t4)) {
        record->without_time++;
        return;
    }
    forward = reply->t2.tai_ns - reply->t1.tai_ns;
    backward = t4->tai_ns - reply->t3.tai_ns;
    round_trip = t4->raw_ns - reply->t1.raw_ns - (reply->t3.raw_ns - reply->t2.raw_ns);
    disagreement = (forward - backward) / 2;
    latency_record(&record->forward, forward);
    latency_record(&record->backward, backward);
    latency_record(&record->round_trip, round_trip);
    series_record(&record->disagreement, reply->t1.tai_ns, disagreement);
    series_record(&record->round_trips, reply->t1.tai_ns, round_trip);
    if (round_trip < record->disagreement_round_trip_ns) {
        record->disagreement_round_trip_ns = round_trip;
        record->disagreement_ns = disagreement;
    }
    if (bound_known(&reply->t1) && bound_known(&reply->t2) && bound_known(&reply->t3) && bound_known(t4)) {
        uint32_t own = reply->t1.bound_ns > t4->bound_ns ? reply->t1.bound_ns : t4->bound_ns;
        uint32_t other = reply->t2.bound_ns > reply->t3.bound_ns ? reply->t2.bound_ns : reply->t3.bound_ns;

        judge(record, forward, backward, round_trip, (int64_t)own + other);
    } else {
        record->without_time++;
    }
}

bool echo_failed(const struct echo_record *record, char text[160])
{
    if (record->impossible)
        snprintf(text, 160, "to %s: %" PRIu64 " of %" PRIu64 " echoes took less than nothing by more than the bounds",
                 record->peer, record->impossible, record->received);
    else if (record->inconsistent)
        snprintf(text, 160, "to %s: %" PRIu64 " of %" PRIu64 " round trips differ from the sum of both ways",
                 record->peer, record->inconsistent, record->received);
    return record->impossible || record->inconsistent;
}
