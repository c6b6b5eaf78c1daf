/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/message.h"

#include <string.h>

#include "base/error.h"
#include "testbed/crc32c.h"
#include "tests/unit/unit.h"

#define START 1800000000000000000

static const struct message_schedule small = {
    .run = 77, .type = 3, .length = 17, .first_planned_ns = START, .period_ns = 250000, .burst = 2};
static const struct message_schedule large = {
    .run = 77, .type = 4, .length = 3000, .first_planned_ns = START + 5, .period_ns = 1000000, .burst = 1};

/* Writes a whole message with its filler. */
static void compose(const struct message_schedule *schedule, uint32_t sequence, int64_t late_ns, uint8_t *bytes)
{
    uint32_t header = message_header_size(schedule->length);
    struct message message = {.run = schedule->run,
                              .type = schedule->type,
                              .sequence = sequence,
                              .length = schedule->length,
                              .planned_ns = message_planned_ns(schedule, sequence),
                              .sender_bound_ns = 1500};

    message.sent_ns = message.planned_ns + late_ns;
    for (uint32_t i = header; i < schedule->length; i++)
        bytes[i] = (uint8_t)(i * 7 + sequence);
    assert_int_equal(message_encode(&message, crc32c(0, bytes + header, schedule->length - header), bytes), header);
}

static bool intact(const struct message_schedule *schedule, const uint8_t *bytes)
{
    uint32_t header = message_header_size(schedule->length);

    return message_intact(schedule, bytes, crc32c(0, bytes + header, schedule->length - header));
}

static void crc_is_castagnolis(void **state)
{
    uint8_t bytes[100];

    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c_portable(0, "123456789", 9), 0xe3069283);
    memset(bytes, 0, 32);
    assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa); /* RFC 3720, B.4 */
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * i + 3);
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        assert_int_equal(crc32c(crc32c(0, bytes, cut), bytes + cut, sizeof bytes - cut),
                         crc32c(0, bytes, sizeof bytes));
        assert_int_equal(crc32c_portable(0, bytes, cut), crc32c(0, bytes, cut));
    }
}

static void short_floats_are_close(void **state)
{
    (void)state;
    for (uint64_t value = 0; value < 1ull << 41; value = value * 9 / 8 + 1) {
        uint64_t back = message_from_short_float(message_short_float(value));
        uint64_t error = back > value ? back - value : value - back;

        assert_true(error <= value / 2048);
        assert_true(message_short_float(value) != 0xffff);
        assert_true(message_short_float(value + 1) >= message_short_float(value));
    }
    assert_int_equal(message_from_short_float(message_short_float(2047)), 2047);
    assert_int_equal(message_short_float(UINT64_MAX), 0xfffe);
}

static void full_header_comes_back(void **state)
{
    uint8_t bytes[3000];
    struct message message;

    (void)state;
    compose(&large, 123456, 7777, bytes);
    assert_int_equal(message_peek_type(bytes, sizeof bytes), 4);
    assert_int_equal(message_decode(&large, bytes, 0, &message), 0);
    assert_int_equal(message.run, 77);
    assert_int_equal(message.sequence, 123456);
    assert_int_equal(message.length, 3000);
    assert_int_equal(message.planned_ns, START + 5 + 123456000000);
    assert_int_equal(message.sent_ns, message.planned_ns + 7777);
    assert_int_equal(message.sender_bound_ns, 1500);
    assert_true(intact(&large, bytes));
}

static void compact_header_comes_back(void **state)
{
    uint8_t bytes[17];
    struct message message;

    (void)state;
    compose(&small, 5, 1800, bytes);
    assert_int_equal(message_peek_type(bytes, sizeof bytes), 3);
    assert_int_equal(message_decode(&small, bytes, 0, &message), 0);
    assert_int_equal(message.sequence, 5);
    assert_int_equal(message.planned_ns, START + 2 * 250000); /* bursts of two: 4 and 5 are the third */
    assert_int_equal(message.sent_ns, message.planned_ns + 1800);
    assert_int_equal(message.sender_bound_ns, MESSAGE_UNKNOWN);
    assert_true(intact(&small, bytes));
    compose(&small, 6, -50, bytes);
    assert_int_equal(message_decode(&small, bytes, 0, &message), 0);
    assert_int_equal(message.sent_ns, message.planned_ns);
}

static void compact_sequences_widen_around_the_last(void **state)
{
    static const uint32_t sequences[] = {0, 1, 0xffffff, 0x1000000, 0x1000001, 0x17fffff, 0x2000000, 0xfffffffe};
    uint8_t bytes[17];
    struct message message;

    (void)state;
    for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++) {
        for (int off = -3000; off <= 3000; off += 1500) {
            uint32_t near = sequences[i] + (uint32_t)off;

            if ((off < 0 && near > sequences[i]) || (off > 0 && near < sequences[i]))
                continue;
            compose(&small, sequences[i], 0, bytes);
            assert_int_equal(message_decode(&small, bytes, near, &message), 0);
            assert_int_equal(message.sequence, sequences[i]);
        }
    }
}

/* Every single bit. */
static void damage_is_seen(const struct message_schedule *schedule)
{
    uint8_t bytes[3000];
    struct message message;

    compose(schedule, 9, 100, bytes);
    for (uint32_t bit = 0; bit < schedule->length * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(message_decode(schedule, bytes, 9, &message) != 0 || !intact(schedule, bytes));
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(intact(schedule, bytes));
}

static void any_damaged_bit_is_seen(void **state)
{
    (void)state;
    damage_is_seen(&small);
    damage_is_seen(&large);
}

static void messages_of_another_run_are_refused(void **state)
{
    struct message_schedule other_small = small, other_large = large;
    uint8_t bytes[3000];
    struct message message;

    (void)state;
    other_small.run = other_large.run = 78;
    compose(&small, 1, 0, bytes);
    assert_int_equal(message_decode(&other_small, bytes, 1, &message), 0);
    assert_false(intact(&other_small, bytes));
    compose(&large, 1, 0, bytes);
    assert_int_equal(message_decode(&other_large, bytes, 1, &message), LOCKSTEP_E_BAD_FORMAT);
    bytes[0] = 0xb2;
    assert_int_equal(message_decode(&large, bytes, 1, &message), LOCKSTEP_E_BAD_VERSION);
}

/* A stream of messages, cut into pieces of every size up to `most`. */
static void feed_in_pieces(const struct message_schedule *schedule, size_t piece)
{
    static uint8_t bytes[5 * 3000];
    struct message_stream stream;
    struct message message;
    uint32_t whole = 0;
    size_t length = schedule->length * 5;

    for (uint32_t i = 0; i < 5; i++)
        compose(schedule, i, 10, bytes + i * schedule->length);
    bytes[2 * schedule->length + schedule->length - 1] ^= 1; /* the third one is damaged */
    message_stream_init(&stream, schedule);
    for (size_t at = 0; at < length;) {
        size_t end = at + piece < length ? at + piece : length;

        for (int64_t now = (int64_t)at + 1000; at < end;) {
            size_t used;
            int64_t first = 0;
            enum message_outcome outcome =
                message_stream_feed(&stream, bytes + at, end - at, now, &used, &message, &first);

            at += used;
            if (outcome == MESSAGE_MORE)
                continue;
            assert_int_equal(at % schedule->length, 0);
            assert_int_equal(outcome, whole == 2 ? MESSAGE_CORRUPT : MESSAGE_WHOLE);
            if (outcome == MESSAGE_WHOLE)
                assert_int_equal(message.sequence, whole);
            /* The first byte came with the piece that it lies in. */
            assert_int_equal(first, 1000 + (int64_t)(whole * schedule->length / piece * piece));
            whole++;
        }
    }
    assert_int_equal(whole, 5);
}

static void streams_are_put_together_from_any_pieces(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= small.length * 5; piece++)
        feed_in_pieces(&small, piece);
    for (size_t piece = 1; piece <= large.length * 5; piece = piece * 4 / 3 + 1)
        feed_in_pieces(&large, piece);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc_is_castagnolis),
        cmocka_unit_test(short_floats_are_close),
        cmocka_unit_test(full_header_comes_back),
        cmocka_unit_test(compact_header_comes_back),
        cmocka_unit_test(compact_sequences_widen_around_the_last),
        cmocka_unit_test(any_damaged_bit_is_seen),
        cmocka_unit_test(messages_of_another_run_are_refused),
        cmocka_unit_test(streams_are_put_together_from_any_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
