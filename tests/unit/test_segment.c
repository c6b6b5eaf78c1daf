/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/segment.h"

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <string.h>

#include "tests/unit/unit.h"

/* Ones' complement sum; over data with a right checksum it is 0xffff. */
static uint32_t sum(const void *data, size_t length, uint32_t start)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < length; i++)
        start += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    while (start >> 16)
        start = (start & 0xffff) + (start >> 16);
    return start;
}

static struct segment make(const char *from, const char *to)
{
    struct segment segment = {
        .sequence = 0x01020304, .acknowledgement = 0xfffefdfc, .window = 99, .flags = SEGMENT_RST | SEGMENT_ACK};

    assert_int_equal(net_addr_parse(from, &segment.from.addr), 0);
    assert_int_equal(net_addr_parse(to, &segment.to.addr), 0);
    segment.from.port = 80;
    segment.to.port = 40000;
    return segment;
}

static void check_tcp(const struct tcphdr *tcp)
{
    assert_int_equal(ntohs(tcp->source), 80);
    assert_int_equal(ntohs(tcp->dest), 40000);
    assert_int_equal(ntohl(tcp->seq), 0x01020304);
    assert_int_equal(ntohl(tcp->ack_seq), 0xfffefdfc);
    assert_true(tcp->rst && tcp->ack && !tcp->fin && !tcp->syn);
    assert_int_equal(ntohs(tcp->window), 99);
}

static void test_ipv4(void **unused)
{
    struct segment segment = make("192.0.2.1", "198.51.100.7");
    uint8_t packet[SEGMENT_MAX];
    struct iphdr ip;
    struct tcphdr tcp;

    (void)unused;
    assert_int_equal(segment_build(&segment, packet), 40);
    memcpy(&ip, packet, sizeof(ip));
    memcpy(&tcp, packet + 20, sizeof(tcp));
    assert_int_equal(sum(packet, 20, 0), 0xffff);
    assert_int_equal(ip.saddr, inet_addr("192.0.2.1"));
    assert_int_equal(ip.daddr, inet_addr("198.51.100.7"));
    assert_int_equal(ntohs(ip.tot_len), 40);
    check_tcp(&tcp);
    assert_int_equal(sum(packet + 12, 28, IPPROTO_TCP + 20), 0xffff);
}

static void test_ipv6(void **unused)
{
    struct segment segment = make("2001:db8::1", "2001:db8::ffff:7");
    uint8_t packet[SEGMENT_MAX];
    struct ip6_hdr ip;
    struct tcphdr tcp;

    (void)unused;
    assert_int_equal(segment_build(&segment, packet), 60);
    memcpy(&ip, packet, sizeof(ip));
    memcpy(&tcp, packet + 40, sizeof(tcp));
    assert_int_equal(ip.ip6_vfc >> 4, 6);
    assert_int_equal(ntohs(ip.ip6_plen), 20);
    assert_memory_equal(&ip.ip6_src, segment.from.addr.byte, 16);
    check_tcp(&tcp);
    assert_int_equal(sum(packet + 8, 52, IPPROTO_TCP + 20), 0xffff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ipv4), cmocka_unit_test(test_ipv6)};

    return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
