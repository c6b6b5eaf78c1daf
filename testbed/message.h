/* SPDX-License-Identifier: BSD-2-Clause */
/* A message's first bytes on the wire (big-endian). The format's version is in the first byte; what follows the header
 * is filler that the checksum covers too. A receiver knows the type's size and schedule from its job.
 *
 * full, 40 bytes, for messages of 40 bytes and more:      compact, 10 bytes, for smaller ones:
 *    0  u8   0xb1                                           0  u8   0xa1
 *    1  u8   0                                              1  u16  type
 *    2  u16  type                                           3  u24  sequence, low bits
 *    4  u32  run                                            6  u16  sent - planned, as a short float (see below)
 *    8  u32  sequence                                       8  u16  CRC-32C of the message without these two bytes
 *   12  u32  length of the message                                  and of the run, folded
 *   16  i64  planned time, TAI ns
 *   24  i64  sent time, TAI ns
 *   32  u16  sender's clock bound, short float
 *   34  u16  0
 *   36  u32  CRC-32C: first the filler, then bytes 0 to 35
 *
 * Short float: 5 bits of exponent, 11 of fraction (values are rounded to 1/2048 or better, up to 2^42 ns); 0xffff is
 * "unknown". Pure, no allocation. */
#ifndef LOCKSTEP_TESTBED_MESSAGE_H
#define LOCKSTEP_TESTBED_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_COMPACT_SIZE 10
#define MESSAGE_FULL_SIZE    40
#define MESSAGE_HEADER_MAX   MESSAGE_FULL_SIZE
#define MESSAGE_UNKNOWN      UINT32_MAX

/* Bytes of the header of a message of this size (at least MESSAGE_COMPACT_SIZE). */
static inline uint32_t message_header_size(uint32_t message_size)
{
    return message_size < MESSAGE_FULL_SIZE ? MESSAGE_COMPACT_SIZE : MESSAGE_FULL_SIZE;
}

struct message {
    uint32_t run;
    uint16_t type;
    uint32_t sequence;
    uint32_t length;
    int64_t planned_ns;
    int64_t sent_ns;          /* compact: planned_ns plus what the short float says; never before planned_ns */
    uint32_t sender_bound_ns; /* MESSAGE_UNKNOWN */
};

/* Writes the header of a message of message->length bytes. filler_crc: crc32c of the filler. Returns its size. */
size_t message_encode(const struct message *message, uint32_t filler_crc, uint8_t *header);

/* What a receiver expects of a type: to tell a compact message's planned time and full sequence. */
struct message_schedule {
    uint32_t run;
    uint16_t type;
    uint32_t length;
    int64_t first_planned_ns; /* of sequence 0 */
    int64_t period_ns;
    uint32_t burst;
};
int64_t message_planned_ns(const struct message_schedule *schedule, uint32_t sequence);

/* Reads a header of message_header_size(schedule->length) bytes. near_sequence: a compact message's sequence is the one
 * closest to it. 0, LOCKSTEP_E_BAD_VERSION, or LOCKSTEP_E_BAD_FORMAT if it is not a header of this run, type, length.
 */
int message_decode(const struct message_schedule *schedule, const uint8_t *header, uint32_t near_sequence,
                   struct message *out);
/* Whether the checksum in the header fits the header and the filler's. */
bool message_intact(const struct message_schedule *schedule, const uint8_t *header, uint32_t filler_crc);
/* The type a datagram claims; a negative code if it is no message. */
int message_peek_type(const uint8_t *bytes, size_t length);

uint16_t message_short_float(uint64_t value);
uint64_t message_from_short_float(uint16_t value);

/* ---- messages in a stream of bytes ---- */

/* A stream carries the messages of one type, all of one length, one behind the other: so where a message begins is
 * known even after a damaged one. Only message_stream_feed changes the structure. */
struct message_stream {
    const struct message_schedule *schedule;
    uint32_t filled; /* bytes of the message at hand */
    uint32_t filler_crc;
    int64_t first_ns; /* when its first byte arrived */
    uint8_t header[MESSAGE_HEADER_MAX];
    uint32_t next_sequence;
};
void message_stream_init(struct message_stream *stream, const struct message_schedule *schedule);

enum message_outcome {
    MESSAGE_MORE,    /* all bytes used, no message complete */
    MESSAGE_WHOLE,   /* *out and *first_ns are a message */
    MESSAGE_CORRUPT, /* the length of a message, but no message of this run and type, or a wrong checksum */
};
/* Takes bytes that arrived at now_ns; *used tells how many. Call again with the rest after WHOLE and CORRUPT. */
enum message_outcome message_stream_feed(struct message_stream *stream, const uint8_t *bytes, size_t length,
                                         int64_t now_ns, size_t *used, struct message *out, int64_t *first_ns);

#endif
