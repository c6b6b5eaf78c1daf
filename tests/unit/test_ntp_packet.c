/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "base/error.h"
#include "clock/ntp_bytes.h"
#include "clock/ntp_packet.h"
#include "tests/unit/unit.h"

#define NS_PER_S 1000000000ll

static const struct ntp_header example = {
    .leap = NTP_LEAP_INSERT,
    .version = 4,
    .mode = NTP_MODE_SERVER,
    .stratum = 2,
    .poll = -3,
    .precision = -23,
    .root_delay = 0x00010203,
    .root_dispersion = 0x04050607,
    .reference_id = 0x7f000001,
    .reference = 0x0123456789abcdef,
    .origin = 0xfedcba9876543210,
    .receive = 0x1122334455667788,
    .transmit = 0x8877665544332211,
};

static void header_goes_there_and_back(void **state)
{
    uint8_t bytes[NTP_HEADER_LEN];
    struct ntp_packet packet;

    (void)state;
    ntp_encode(&example, bytes);
    assert_int_equal(bytes[0], 1 << 6 | 4 << 3 | 4);
    assert_int_equal(bytes[1], 2);
    assert_memory_equal(bytes + 12, "\x7f\0\0\x01", 4);
    assert_int_equal(bytes[47], 0x11);
    assert_int_equal(ntp_decode(bytes, sizeof bytes, &packet), 0);
    assert_memory_equal(&packet.header, &example, sizeof example);
    assert_int_equal(packet.field_count, 0);
    assert_int_equal(packet.mac_length, 0);
}

static void refuses_what_is_no_packet(void **state)
{
    uint8_t bytes[NTP_PACKET_MAX + 4] = {0};
    struct ntp_packet packet;

    (void)state;
    ntp_encode(&example, bytes);
    for (size_t length = 0; length < NTP_HEADER_LEN; length++)
        assert_int_equal(ntp_decode(bytes, length, &packet), LOCKSTEP_E_BAD_FORMAT);
    assert_int_equal(ntp_decode(bytes, sizeof bytes, &packet), LOCKSTEP_E_BAD_FORMAT);
    for (unsigned version = 0; version < 8; version++) {
        bytes[0] = (uint8_t)(version << 3 | 4);
        assert_int_equal(ntp_decode(bytes, NTP_HEADER_LEN, &packet),
                         version == 3 || version == 4 ? 0 : LOCKSTEP_E_BAD_VERSION);
    }
}

static void tells_mac_from_fields(void **state)
{
    static const struct {
        size_t rest;
        uint16_t field; /* length written in the first field; 0: random bytes of a MAC */
        int result;
        unsigned fields;
        size_t mac;
    } cases[] = {
        {4, 0, 0, 0, 4},    {20, 0, 0, 0, 20},  {24, 0, 0, 0, 24},  {24, 24, 0, 0, 24}, {36, 0, 0, 0, 36},
        {52, 0, 0, 0, 52},  {68, 0, 0, 0, 68},  {16, 16, 0, 1, 0},  {28, 28, 0, 1, 0},  {36, 36, 0, 1, 0},
        {48, 28, 0, 1, 20}, {52, 28, 0, 1, 24}, {32, 28, 0, 1, 4},  {64, 28, 0, 1, 36}, {28, 0, -1, 0, 0},
        {8, 0, -1, 0, 0},   {28, 32, -1, 0, 0}, {40, 12, -1, 0, 0}, {40, 30, -1, 0, 0}, {30, 28, -1, 0, 0},
        {5, 0, -1, 0, 0},   {12, 12, -1, 0, 0}, {28, 8, -1, 0, 0},  {56, 28, -1, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[NTP_HEADER_LEN + 68];
        struct ntp_packet packet;

        memset(bytes, 0xff, sizeof bytes);
        ntp_encode(&example, bytes);
        if (cases[i].field > 0)
            ntp_put_u16(bytes + NTP_HEADER_LEN + 2, cases[i].field);
        assert_int_equal(ntp_decode(bytes, NTP_HEADER_LEN + cases[i].rest, &packet),
                         cases[i].result ? LOCKSTEP_E_BAD_FORMAT : 0);
        if (cases[i].result)
            continue;
        assert_int_equal(packet.field_count, cases[i].fields);
        assert_int_equal(packet.mac_length, cases[i].mac);
        if (cases[i].mac)
            assert_int_equal(packet.mac_offset + packet.mac_length, NTP_HEADER_LEN + cases[i].rest);
    }
}

static void version_3_has_no_fields(void **state)
{
    uint8_t bytes[NTP_HEADER_LEN + 68] = {0};
    struct ntp_packet packet;
    struct ntp_header header = example;

    (void)state;
    header.version = 3;
    ntp_encode(&header, bytes);
    assert_int_equal(ntp_append_field(bytes, NTP_HEADER_LEN, sizeof bytes, 0x104, "x", 1), 64);
    assert_int_equal(ntp_decode(bytes, 64, &packet), LOCKSTEP_E_BAD_FORMAT);
    assert_int_equal(ntp_decode(bytes, NTP_HEADER_LEN + 20, &packet), 0);
    assert_int_equal(packet.mac_length, 20);
}

static void appended_fields_are_found_again(void **state)
{
    uint8_t bytes[NTP_PACKET_MAX], body[64];
    struct ntp_packet packet;
    size_t length = NTP_HEADER_LEN;

    (void)state;
    memset(bytes, 0xee, sizeof bytes);
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)(i + 1);
    ntp_encode(&example, bytes);
    for (size_t i = 0; i < NTP_FIELDS_MAX; i++) {
        size_t before = length;

        length = ntp_append_field(bytes, length, sizeof bytes, (uint16_t)(0x100 + i), body, i * 4 - i % 4);
        assert_int_equal(length - before, i < 3 ? 16 : 4 + (i * 4 - i % 4 + 3) / 4 * 4);
    }
    assert_int_equal(ntp_decode(bytes, length, &packet), 0);
    assert_int_equal(packet.field_count, NTP_FIELDS_MAX);
    for (size_t i = 0; i < NTP_FIELDS_MAX; i++) {
        size_t used = i * 4 - i % 4;

        assert_int_equal(packet.fields[i].type, 0x100 + i);
        assert_true(packet.fields[i].length >= used);
        assert_memory_equal(bytes + packet.fields[i].offset, body, used);
        for (size_t pad = used; pad < packet.fields[i].length; pad++)
            assert_int_equal(bytes[packet.fields[i].offset + pad], 0);
    }
    length = ntp_append_field(bytes, length, sizeof bytes, 1, body, 60);
    assert_int_equal(ntp_decode(bytes, length, &packet), LOCKSTEP_E_EXHAUSTED);
}

static void append_keeps_to_the_room(void **state)
{
    uint8_t bytes[NTP_HEADER_LEN + 32] = {0}, body[70000] = {0};

    (void)state;
    assert_int_equal(ntp_append_field(bytes, NTP_HEADER_LEN, sizeof bytes, 1, body, 28), sizeof bytes);
    assert_int_equal(ntp_append_field(bytes, NTP_HEADER_LEN, sizeof bytes, 1, body, 29), 0);
    assert_int_equal(ntp_append_field(bytes, NTP_HEADER_LEN, NTP_HEADER_LEN + 12, 1, body, 0), 0);
    assert_int_equal(ntp_append_field(bytes, NTP_HEADER_LEN, NTP_HEADER_LEN + 16, 1, NULL, 0), 64);
    assert_int_equal(ntp_append_field(bytes, NTP_HEADER_LEN + 1, sizeof bytes, 1, body, 4), 0);
    assert_int_equal(ntp_append_field(bytes, sizeof bytes + 4, sizeof bytes, 1, body, 4), 0);
    assert_int_equal(ntp_append_field(bytes, NTP_HEADER_LEN, sizeof bytes, 1, body, sizeof body), 0);
}

static void stamps_go_over_era_boundaries(void **state)
{
    const int64_t turn = 2085978496 * NS_PER_S; /* 2036-02-07 06:28:16 UTC */
    const int64_t times[] = {
        0, -1, 1, -2208988800 * NS_PER_S, turn - 1, turn, turn + 1, 1795000000123456789, turn + (1ll << 32) * NS_PER_S};

    (void)state;
    assert_true(ntp_from_utc_ns(turn) == 0);
    assert_true(ntp_from_utc_ns(0) == 2208988800ull << 32);
    assert_true(ntp_from_utc_ns(-NS_PER_S / 4) == (2208988799ull << 32 | 0xc0000000));
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        for (int years = -60; years <= 60; years += 20) {
            uint64_t stamp = ntp_from_utc_ns(times[i]);

            assert_true(ntp_to_utc_ns(stamp, times[i] + years * 31557600 * NS_PER_S) == times[i]);
        }
    }
    /* Nearest to 2026: 1900 + 1 s is 2036. */
    assert_true(ntp_to_utc_ns(1ull << 32, 1795000000 * NS_PER_S) == turn + NS_PER_S);
    assert_true(ntp_to_utc_ns(1ull << 32, -2000000000 * NS_PER_S) == -2208988799 * NS_PER_S);
    /* No overflow at the ends. */
    assert_true(ntp_to_utc_ns(ntp_from_utc_ns(INT64_MAX) + (1ull << 62), INT64_MAX) == INT64_MAX);
    assert_true(ntp_to_utc_ns(ntp_from_utc_ns(INT64_MIN) - (1ull << 62), INT64_MIN) == INT64_MIN);
}

static void short_format(void **state)
{
    (void)state;
    assert_int_equal(ntp_short_to_ns(0x10000), NS_PER_S);
    assert_int_equal(ntp_short_to_ns(1), 15258);
    assert_true(ntp_short_to_ns(UINT32_MAX) == 65535999984741);
    assert_int_equal(ntp_short_from_ns(NS_PER_S), 0x10000);
    assert_int_equal(ntp_short_from_ns(1), 1);
    assert_int_equal(ntp_short_from_ns(0), 0);
    assert_int_equal(ntp_short_from_ns(-5), 0);
    assert_int_equal(ntp_short_from_ns(INT64_MAX), UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_goes_there_and_back),      cmocka_unit_test(refuses_what_is_no_packet),
        cmocka_unit_test(tells_mac_from_fields),           cmocka_unit_test(version_3_has_no_fields),
        cmocka_unit_test(appended_fields_are_found_again), cmocka_unit_test(append_keeps_to_the_room),
        cmocka_unit_test(stamps_go_over_era_boundaries),   cmocka_unit_test(short_format),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
