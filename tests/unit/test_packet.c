/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "stack/packet.h"

static uint8_t bytes[2048];

static void put16(size_t at, uint16_t value)
{
    value = htons(value);
    memcpy(bytes + at, &value, 2);
}

static void ip_checksum(void)
{
    memset(bytes + 10, 0, 2);
    uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, bytes, (bytes[0] & 15u) * 4));
    memcpy(bytes + 10, &sum, 2);
}

/* IPv4 from 192.0.2.1 to 192.0.2.2; payload: what follows the header. */
static size_t ipv4(uint8_t protocol, size_t payload)
{
    memset(bytes, 0, 20);
    bytes[0] = 0x45;
    put16(2, (uint16_t)(20 + payload));
    bytes[8] = 61;
    bytes[9] = protocol;
    memcpy(bytes + 12, "\300\0\2\1\300\0\2\2", 8);
    ip_checksum();
    return 20 + payload;
}

static size_t udp_in_ipv4(size_t payload)
{
    put16(20, 1111);
    put16(22, 2222);
    put16(24, (uint16_t)(8 + payload));
    put16(26, 0);
    for (size_t i = 0; i < payload; i++)
        bytes[28 + i] = (uint8_t)(i * 7);
    size_t length = ipv4(IPPROTO_UDP, 8 + payload);
    return length;
}

static void test_udp_v4(void **state)
{
    (void)state;
    struct packet packet;
    char text[NET_ADDR_TEXT_MAX];
    size_t length = udp_in_ipv4(11);
    assert_int_equal(packet_parse(bytes, length + 3, &packet), 0); /* a padded frame */
    assert_string_equal(net_addr_format(&packet.source, text), "192.0.2.1");
    assert_string_equal(net_addr_format(&packet.destination, text), "192.0.2.2");
    assert_int_equal(packet.source_port, 1111);
    assert_int_equal(packet.destination_port, 2222);
    assert_int_equal(packet.transport_length, 19);
    assert_int_equal(packet.ttl, 61);
    assert_false(packet.ipv6 || packet.fragment);
    assert_true(packet_checksum_ok(&packet, false)); /* none */
}

static void test_udp_checksums(void **state)
{
    (void)state;
    struct packet packet;
    for (size_t payload = 0; payload < 70; payload++) {
        size_t length = udp_in_ipv4(payload);
        assert_int_equal(packet_parse(bytes, length, &packet), 0);
        uint64_t pseudo =
            checksum_pseudo(&packet.source, &packet.destination, false, IPPROTO_UDP, (uint32_t)(8 + payload));
        uint16_t partial = checksum_fold(pseudo);
        uint16_t full = (uint16_t)~checksum_fold(checksum_add(pseudo, bytes + 20, 8 + payload));
        memcpy(bytes + 26, &partial, 2);
        assert_true(packet_checksum_ok(&packet, true));
        assert_false(packet_checksum_ok(&packet, false));
        memcpy(bytes + 26, &full, 2);
        assert_true(packet_checksum_ok(&packet, true));
        assert_true(packet_checksum_ok(&packet, false));
        bytes[length - 1] ^= 4;
        assert_false(packet_checksum_ok(&packet, true));
    }
}

/* A sum over odd and even lengths against the definition in RFC 1071. */
static void test_checksum_definition(void **state)
{
    (void)state;
    for (size_t length = 0; length < 100; length++) {
        uint32_t sum = 0;
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (uint8_t)(i * 31 + 200);
            sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
        }
        while (sum >> 16)
            sum = (sum & 0xffff) + (sum >> 16);
        assert_int_equal(ntohs(checksum_fold(checksum_add(0, bytes, length))), sum);
    }
}

static void test_malformed_v4(void **state)
{
    (void)state;
    struct packet packet;
    size_t length = udp_in_ipv4(8);
    for (size_t cut = 0; cut < length; cut++)
        assert_int_equal(packet_parse(bytes, cut, &packet), LOCKSTEP_E_BAD_FORMAT);
    bytes[8] ^= 1; /* header checksum */
    assert_int_equal(packet_parse(bytes, length, &packet), LOCKSTEP_E_BAD_FORMAT);
    bytes[8] ^= 1;
    put16(24, 100); /* UDP length beyond the packet */
    assert_int_equal(packet_parse(bytes, length, &packet), LOCKSTEP_E_BAD_FORMAT);
    put16(24, 7);
    assert_int_equal(packet_parse(bytes, length, &packet), LOCKSTEP_E_BAD_FORMAT);
    udp_in_ipv4(8);
    bytes[0] = 0x44;
    ip_checksum();
    assert_int_equal(packet_parse(bytes, length, &packet), LOCKSTEP_E_BAD_FORMAT);
    ipv4(47, 16);
    assert_int_equal(packet_parse(bytes, length, &packet), LOCKSTEP_E_BAD_FORMAT);
}

static void test_fragment_v4(void **state)
{
    (void)state;
    struct packet packet;
    size_t length = ipv4(IPPROTO_UDP, 64);
    put16(4, 0xbeef);
    put16(6, 0x2000 | 185);
    ip_checksum();
    assert_int_equal(packet_parse(bytes, length, &packet), 0);
    assert_true(packet.fragment && packet.more_fragments);
    assert_int_equal(packet.fragment_offset, 1480);
    assert_int_equal(packet.fragment_id, 0xbeef);
    assert_int_equal(packet.transport_length, 64);
}

static size_t ipv6(uint8_t next, size_t payload)
{
    memset(bytes, 0, 40);
    bytes[0] = 0x6b;
    bytes[1] = 0x80;
    put16(4, (uint16_t)payload);
    bytes[6] = next;
    bytes[7] = 60;
    bytes[8] = 0xfd;
    bytes[23] = 1;
    bytes[24] = 0xfd;
    bytes[39] = 2;
    return 40 + payload;
}

static void test_extension_headers(void **state)
{
    (void)state;
    struct packet packet;
    size_t length = ipv6(IPPROTO_HOPOPTS, 8 + 16 + 8 + 4);
    memset(bytes + 40, 0, 40);
    bytes[40] = IPPROTO_DSTOPTS;
    bytes[48] = IPPROTO_UDP;
    bytes[49] = 1;
    put16(64, 5);
    put16(66, 6);
    put16(68, 12);
    assert_int_equal(packet_parse(bytes, length, &packet), 0);
    assert_int_equal(packet.protocol, IPPROTO_UDP);
    assert_int_equal(packet.destination_port, 6);
    assert_int_equal(packet.header_length, 64);
    assert_int_equal(packet.tos, 0xb8);
    assert_true(packet.ipv6);
    assert_false(packet_checksum_ok(&packet, false)); /* IPv6 has no zero checksum */
    bytes[49] = 200;                                  /* beyond the end */
    assert_int_equal(packet_parse(bytes, length, &packet), LOCKSTEP_E_BAD_FORMAT);
    /* An endless chain. */
    length = ipv6(IPPROTO_DSTOPTS, 160);
    memset(bytes + 40, 0, 160);
    for (size_t i = 40; i < 200; i += 8)
        bytes[i] = IPPROTO_DSTOPTS;
    assert_int_equal(packet_parse(bytes, length, &packet), LOCKSTEP_E_BAD_FORMAT);
}

static void test_fragment_v6(void **state)
{
    (void)state;
    struct packet packet;
    size_t length = ipv6(IPPROTO_FRAGMENT, 8 + 24);
    memset(bytes + 40, 0, 32);
    bytes[40] = IPPROTO_UDP;
    put16(42, 1448 | 1);
    put16(46, 77);
    assert_int_equal(packet_parse(bytes, length, &packet), 0);
    assert_true(packet.fragment && packet.more_fragments);
    assert_int_equal(packet.fragment_offset, 1448);
    assert_int_equal(packet.fragment_id, 77);
    put16(42, 0); /* atomic: whole */
    put16(48 + 4, 24);
    assert_int_equal(packet_parse(bytes, length, &packet), 0);
    assert_false(packet.fragment);
}

static void tcp_header(size_t at, size_t header, const void *options, size_t length)
{
    memset(bytes + at, 0, header);
    put16(at, 80);
    put16(at + 2, 9000);
    put16(at + 6, 1000);
    put16(at + 10, 2000);
    bytes[at + 12] = (uint8_t)(header / 4 << 4);
    bytes[at + 13] = SEGMENT_ACK | SEGMENT_PSH;
    put16(at + 14, 555);
    memcpy(bytes + at + 20, options, length);
}

static void test_tcp_options(void **state)
{
    (void)state;
    static const uint8_t usual[] = {1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6};
    static const uint8_t sack[] = {1, 1, 5, 18, 0, 0, 0, 1,  0, 0, 0, 2, 0, 0, 0, 3,
                                   0, 0, 0, 4,  1, 1, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6};
    static const uint8_t bad[] = {8, 10, 0, 0, 0, 5, 0, 0, 0, 6, 5, 90};
    struct packet packet;
    struct tcp_segment segment;
    tcp_header(20, 32, usual, sizeof(usual));
    memcpy(bytes + 52, "abc", 3);
    assert_int_equal(packet_parse(bytes, ipv4(IPPROTO_TCP, 35), &packet), 0);
    assert_int_equal(packet_parse_tcp(&packet, &segment), 0);
    assert_int_equal(segment.sequence, 1000);
    assert_int_equal(segment.acknowledgement, 2000);
    assert_int_equal(segment.window, 555);
    assert_true(segment.has_timestamp);
    assert_int_equal(segment.timestamp, 5);
    assert_int_equal(segment.timestamp_echo, 6);
    assert_int_equal(segment.payload_length, 3);
    assert_memory_equal(segment.payload, "abc", 3);
    tcp_header(20, 52, sack, sizeof(sack));
    assert_int_equal(packet_parse(bytes, ipv4(IPPROTO_TCP, 52), &packet), 0);
    assert_int_equal(packet_parse_tcp(&packet, &segment), 0);
    assert_int_equal(segment.sack_count, 2);
    assert_int_equal(segment.sack[1].right, 4);
    assert_int_equal(segment.timestamp, 5);
    tcp_header(20, 32, bad, sizeof(bad));
    assert_int_equal(packet_parse(bytes, ipv4(IPPROTO_TCP, 32), &packet), 0);
    assert_int_equal(packet_parse_tcp(&packet, &segment), 0); /* what is readable counts */
    assert_int_equal(segment.timestamp, 5);
    assert_int_equal(segment.sack_count, 0);
    bytes[32] = 4 << 4;
    assert_int_equal(packet_parse_tcp(&packet, &segment), LOCKSTEP_E_BAD_FORMAT);
    bytes[32] = 15 << 4;
    assert_int_equal(packet_parse_tcp(&packet, &segment), LOCKSTEP_E_BAD_FORMAT);
}

static void icmp_about_tcp(uint8_t type, uint8_t code, uint16_t mtu)
{
    /* The quoted packet is built first, then moved behind the outer headers. */
    tcp_header(20, 20, "", 0);
    ipv4(IPPROTO_TCP, 1480);
    memmove(bytes + 28, bytes, 28);
    memset(bytes + 20, 0, 8);
    bytes[20] = type;
    bytes[21] = code;
    put16(26, mtu);
    ipv4(IPPROTO_ICMP, 8 + 28);
}

static void test_icmp_v4(void **state)
{
    (void)state;
    struct packet packet;
    struct icmp_error error;
    icmp_about_tcp(3, 4, 1400);
    assert_int_equal(packet_parse(bytes, 56, &packet), 0);
    assert_int_equal(packet_parse_icmp_error(&packet, &error), 0);
    assert_true(error.too_big && !error.fatal);
    assert_int_equal(error.mtu, 1400);
    assert_int_equal(error.protocol, IPPROTO_TCP);
    assert_int_equal(error.local.port, 80);
    assert_int_equal(error.remote.port, 9000);
    assert_true(error.has_sequence);
    assert_int_equal(error.sequence, 1000);
    static const struct {
        uint8_t type, code;
        int error;
        bool fatal;
    } cases[] = {{3, 0, ENETUNREACH, false},
                 {3, 1, EHOSTUNREACH, false},
                 {3, 3, ECONNREFUSED, true},
                 {3, 13, EHOSTUNREACH, true},
                 {11, 0, EHOSTUNREACH, false}};
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        icmp_about_tcp(cases[i].type, cases[i].code, 0);
        assert_int_equal(packet_parse(bytes, 56, &packet), 0);
        assert_int_equal(packet_parse_icmp_error(&packet, &error), 0);
        assert_int_equal(error.error, cases[i].error);
        assert_int_equal(error.fatal, cases[i].fatal);
    }
    icmp_about_tcp(8, 0, 0); /* an echo request */
    assert_int_equal(packet_parse(bytes, 56, &packet), 0);
    assert_int_equal(packet_parse_icmp_error(&packet, &error), LOCKSTEP_E_BAD_FORMAT);
    icmp_about_tcp(3, 3, 0);
    for (size_t payload = 0; payload < 36; payload++) { /* quoted less and less */
        ipv4(IPPROTO_ICMP, payload);
        assert_int_equal(packet_parse(bytes, 20 + payload, &packet), payload < 8 ? LOCKSTEP_E_BAD_FORMAT : 0);
        if (payload >= 8)
            assert_int_equal(packet_parse_icmp_error(&packet, &error), LOCKSTEP_E_BAD_FORMAT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_udp_v4),
        cmocka_unit_test(test_udp_checksums),
        cmocka_unit_test(test_checksum_definition),
        cmocka_unit_test(test_malformed_v4),
        cmocka_unit_test(test_fragment_v4),
        cmocka_unit_test(test_extension_headers),
        cmocka_unit_test(test_fragment_v6),
        cmocka_unit_test(test_tcp_options),
        cmocka_unit_test(test_icmp_v4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
