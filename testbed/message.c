/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/message.h"

#include <endian.h>
#include <string.h>

#include "base/error.h"
#include "testbed/crc32c.h"

#define FORMAT_FULL       0xb1
#define FORMAT_COMPACT    0xa1
#define SEQUENCE_LOW_BITS 24
#define SEQUENCE_LOW      (1u << SEQUENCE_LOW_BITS)

#define FULL_CRC_AT    36
#define COMPACT_CRC_AT 8

#define FRACTION_BITS 11
#define SHORT_UNKNOWN 0xffff
#define SHORT_LARGEST 0xfffe

/* ---- numbers ---- */

static void put16(uint8_t *at, uint16_t value)
{
    value = htobe16(value);
    memcpy(at, &value, sizeof value);
}

static void put32(uint8_t *at, uint32_t value)
{
    value = htobe32(value);
    memcpy(at, &value, sizeof value);
}

static void put64(uint8_t *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof value);
}

static uint16_t get16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof value);
    return be16toh(value);
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return be32toh(value);
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return be64toh(value);
}

/* Exponent 0 holds the values below 2^11 as they are; exponent e > 0: (2^11 + fraction) << (e - 1). */
uint16_t message_short_float(uint64_t value)
{
    unsigned shift = 0;

    if (value < 1u << FRACTION_BITS)
        return (uint16_t)value;
    shift = 63 - (unsigned)__builtin_clzll(value) - FRACTION_BITS;
    if (shift && value <= UINT64_MAX - (1ull << (shift - 1)))
        value += 1ull << (shift - 1); /* rounds to nearest */
    shift = 63 - (unsigned)__builtin_clzll(value) - FRACTION_BITS;
    if (shift > 30)
        return SHORT_LARGEST;
    return (uint16_t)((shift + 1) << FRACTION_BITS | (value >> shift & ((1u << FRACTION_BITS) - 1)));
}

uint64_t message_from_short_float(uint16_t value)
{
    unsigned exponent = value >> FRACTION_BITS;
    uint64_t fraction = value & ((1u << FRACTION_BITS) - 1);

    return exponent ? (fraction | 1u << FRACTION_BITS) << (exponent - 1) : fraction;
}

static uint16_t put_bound(uint32_t bound_ns)
{
    return bound_ns == MESSAGE_UNKNOWN ? SHORT_UNKNOWN : message_short_float(bound_ns);
}

static uint32_t get_bound(uint16_t value)
{
    uint64_t bound = message_from_short_float(value);

    return value == SHORT_UNKNOWN || bound >= MESSAGE_UNKNOWN ? MESSAGE_UNKNOWN : (uint32_t)bound;
}

/* ---- headers ---- */

int64_t message_planned_ns(const struct message_schedule *schedule, uint32_t sequence)
{
    return schedule->first_planned_ns + (int64_t)(sequence / schedule->burst) * schedule->period_ns;
}

static uint32_t full_crc(const uint8_t *header, uint32_t filler_crc)
{
    return crc32c(filler_crc, header, FULL_CRC_AT);
}

/* The run's number takes part, for the header has no room for it. */
static uint16_t compact_crc(const uint8_t *header, uint32_t filler_crc, uint32_t run)
{
    uint8_t bytes[4];
    uint32_t crc;

    put32(bytes, run);
    crc = crc32c(crc32c(filler_crc, bytes, sizeof bytes), header, COMPACT_CRC_AT);
    return (uint16_t)(crc ^ crc >> 16);
}

static size_t encode_compact(const struct message *message, uint32_t filler_crc, uint8_t *header)
{
    int64_t after = message->sent_ns - message->planned_ns;

    header[0] = FORMAT_COMPACT;
    put16(header + 1, message->type);
    put32(header + 3, message->sequence << 8);
    put16(header + 6, message_short_float(after > 0 ? (uint64_t)after : 0));
    put16(header + COMPACT_CRC_AT, compact_crc(header, filler_crc, message->run));
    return MESSAGE_COMPACT_SIZE;
}

size_t message_encode(const struct message *message, uint32_t filler_crc, uint8_t *header)
{
    if (message->length < MESSAGE_FULL_SIZE)
        return encode_compact(message, filler_crc, header);
    header[0] = FORMAT_FULL;
    header[1] = 0;
    put16(header + 2, message->type);
    put32(header + 4, message->run);
    put32(header + 8, message->sequence);
    put32(header + 12, message->length);
    put64(header + 16, (uint64_t)message->planned_ns);
    put64(header + 24, (uint64_t)message->sent_ns);
    put16(header + 32, put_bound(message->sender_bound_ns));
    put16(header + 34, 0);
    put32(header + FULL_CRC_AT, full_crc(header, filler_crc));
    return MESSAGE_FULL_SIZE;
}

/* The number with these low bits that is closest to near. */
static uint32_t widen_sequence(uint32_t low, uint32_t near)
{
    uint32_t distance = (low - near) & (SEQUENCE_LOW - 1);
    bool below = distance > SEQUENCE_LOW / 2;

    if (below && near >= SEQUENCE_LOW - distance)
        return near - (SEQUENCE_LOW - distance);
    return near + distance;
}

static int decode_compact(const struct message_schedule *schedule, const uint8_t *header, uint32_t near_sequence,
                          struct message *out)
{
    if (header[0] != FORMAT_COMPACT)
        return LOCKSTEP_E_BAD_VERSION;
    if (get16(header + 1) != schedule->type)
        return LOCKSTEP_E_BAD_FORMAT;
    *out = (struct message){.run = schedule->run, .type = schedule->type, .length = schedule->length};
    out->sequence = widen_sequence(get32(header + 3) >> 8, near_sequence);
    out->planned_ns = message_planned_ns(schedule, out->sequence);
    out->sent_ns = out->planned_ns + (int64_t)message_from_short_float(get16(header + 6));
    out->sender_bound_ns = MESSAGE_UNKNOWN;
    return 0;
}

int message_decode(const struct message_schedule *schedule, const uint8_t *header, uint32_t near_sequence,
                   struct message *out)
{
    if (schedule->length < MESSAGE_FULL_SIZE)
        return decode_compact(schedule, header, near_sequence, out);
    if (header[0] != FORMAT_FULL)
        return LOCKSTEP_E_BAD_VERSION;
    out->type = get16(header + 2);
    out->run = get32(header + 4);
    out->sequence = get32(header + 8);
    out->length = get32(header + 12);
    out->planned_ns = (int64_t)get64(header + 16);
    out->sent_ns = (int64_t)get64(header + 24);
    out->sender_bound_ns = get_bound(get16(header + 32));
    if (header[1] || get16(header + 34) || out->type != schedule->type || out->run != schedule->run ||
        out->length != schedule->length || out->planned_ns != message_planned_ns(schedule, out->sequence))
        return LOCKSTEP_E_BAD_FORMAT;
    return 0;
}

bool message_intact(const struct message_schedule *schedule, const uint8_t *header, uint32_t filler_crc)
{
    if (schedule->length < MESSAGE_FULL_SIZE)
        return get16(header + COMPACT_CRC_AT) == compact_crc(header, filler_crc, schedule->run);
    return get32(header + FULL_CRC_AT) == full_crc(header, filler_crc);
}

int message_peek_type(const uint8_t *bytes, size_t length)
{
    if (length >= MESSAGE_FULL_SIZE && bytes[0] == FORMAT_FULL)
        return get16(bytes + 2);
    if (length >= MESSAGE_COMPACT_SIZE && length < MESSAGE_FULL_SIZE && bytes[0] == FORMAT_COMPACT)
        return get16(bytes + 1);
    return LOCKSTEP_E_BAD_FORMAT;
}

/* ---- streams ---- */

void message_stream_init(struct message_stream *stream, const struct message_schedule *schedule)
{
    *stream = (struct message_stream){.schedule = schedule};
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Bytes of the header, then of the filler, that are there. */
static size_t take_bytes(struct message_stream *stream, const uint8_t *bytes, size_t length)
{
    uint32_t header_size = message_header_size(stream->schedule->length);
    size_t used = 0, part;

    if (stream->filled < header_size) {
        used = least(length, header_size - stream->filled);
        memcpy(stream->header + stream->filled, bytes, used);
        stream->filled += (uint32_t)used;
    }
    part = least(length - used, stream->schedule->length - stream->filled);
    if (part)
        stream->filler_crc = crc32c(stream->filler_crc, bytes + used, part);
    stream->filled += (uint32_t)part;
    return used + part;
}

enum message_outcome message_stream_feed(struct message_stream *stream, const uint8_t *bytes, size_t length,
                                         int64_t now_ns, size_t *used, struct message *out, int64_t *first_ns)
{
    const struct message_schedule *schedule = stream->schedule;
    int err;

    *used = 0;
    if (!length)
        return MESSAGE_MORE;
    if (!stream->filled) {
        stream->first_ns = now_ns;
        stream->filler_crc = 0;
    }
    *used = take_bytes(stream, bytes, length);
    if (stream->filled < schedule->length)
        return MESSAGE_MORE;
    stream->filled = 0;
    *first_ns = stream->first_ns;
    memset(out, 0, sizeof *out);
    err = message_decode(schedule, stream->header, stream->next_sequence, out);
    if (err || !message_intact(schedule, stream->header, stream->filler_crc))
        return MESSAGE_CORRUPT;
    stream->next_sequence = out->sequence + 1;
    return MESSAGE_WHOLE;
}
