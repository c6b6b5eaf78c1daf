/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/net_addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/error.h"
#include "tests/unit/unit.h"

static struct net_addr parsed(const char *text)
{
    struct net_addr addr;

    assert_int_equal(net_addr_parse(text, &addr), 0);
    return addr;
}

static void text_form_round_trips(void **state)
{
    static const char *const texts[] = {
        "0.0.0.0", "192.0.2.1",   "255.255.255.255",   "::",
        "::1",     "2001:db8::1", "ff02::1:ff00:1234", "2001:db8:1111:2222:3333:4444:5555:6666"};
    char text[NET_ADDR_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct net_addr addr = parsed(texts[i]);

        assert_string_equal(net_addr_format(&addr, text), texts[i]);
    }
}

static void malformed_text_is_refused(void **state)
{
    static const char *const texts[] = {"",    "1.2.3", "1.2.3.4.5",    "256.1.1.1",         " 1.2.3.4", "1.2.3.4 ",
                                        "::g", ":::",   "fe80::1%eth0", "1:2:3:4:5:6:7:8:9", "localhost"};
    struct net_addr addr;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(net_addr_parse(texts[i], &addr), LOCKSTEP_E_BAD_FORMAT);
}

static void mapped_form_is_v4(void **state)
{
    struct net_addr mapped = parsed("::ffff:192.0.2.1"), plain = parsed("192.0.2.1");
    struct net_addr v6 = parsed("::fffe:192.0.2.1");

    (void)state;
    assert_true(net_addr_equal(&mapped, &plain));
    assert_true(net_addr_is_v4(&mapped));
    assert_false(net_addr_is_v4(&v6));
    assert_false(net_addr_equal(&mapped, &v6));
    assert_int_equal(net_addr_to_v4(&plain), inet_addr("192.0.2.1"));
}

enum { ANY = 1, LOOPBACK = 2, MULTICAST = 4, LINK_LOCAL = 8 };

static int kind(const char *text)
{
    struct net_addr addr = parsed(text);

    return (net_addr_is_any(&addr) ? ANY : 0) | (net_addr_is_loopback(&addr) ? LOOPBACK : 0) |
           (net_addr_is_multicast(&addr) ? MULTICAST : 0) | (net_addr_is_link_local(&addr) ? LINK_LOCAL : 0);
}

static void kinds_of_addresses(void **state)
{
    struct net_addr any4 = net_addr_any(true), any6 = net_addr_any(false);

    (void)state;
    assert_int_equal(kind("0.0.0.0"), ANY);
    assert_int_equal(kind("::"), ANY);
    assert_int_equal(kind("127.255.0.1"), LOOPBACK);
    assert_int_equal(kind("::1"), LOOPBACK);
    assert_int_equal(kind("224.0.0.1"), MULTICAST);
    assert_int_equal(kind("239.255.255.255"), MULTICAST);
    assert_int_equal(kind("ff05::2"), MULTICAST);
    assert_int_equal(kind("fe80::1"), LINK_LOCAL);
    assert_int_equal(kind("febf::1"), LINK_LOCAL);
    assert_int_equal(kind("fec0::1"), 0);
    assert_int_equal(kind("240.0.0.1"), 0);
    assert_int_equal(kind("223.255.255.255"), 0);
    assert_int_equal(kind("169.254.1.1"), 0);
    assert_int_equal(kind("::2"), 0);
    assert_true(net_addr_is_any(&any4) && net_addr_is_v4(&any4));
    assert_true(net_addr_is_any(&any6) && !net_addr_is_v4(&any6));
}

static void endpoints_print_with_port(void **state)
{
    char text[NET_ENDPOINT_TEXT_MAX];
    struct net_endpoint v4 = {parsed("255.255.255.255"), 65535};
    struct net_endpoint v6 = {parsed("2001:db8:1111:2222:3333:4444:5555:6666"), 65535};

    (void)state;
    assert_string_equal(net_endpoint_format(&v4, text), "255.255.255.255:65535");
    assert_string_equal(net_endpoint_format(&v6, text), "[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
}

static void endpoints_are_read(void **state)
{
    static const struct {
        const char *text, *addr;
        uint16_t port;
    } good[] = {{"192.0.2.1:80", "192.0.2.1", 80},   {"192.0.2.1", "192.0.2.1", 0},     {"[::1]:65535", "::1", 65535},
                {"[2001:db8::1]", "2001:db8::1", 0}, {"2001:db8::1", "2001:db8::1", 0}, {"::", "::", 0}};
    static const char *const bad[] = {"",         ":80",      "192.0.2.1:",  "192.0.2.1:65536", "192.0.2.1:-1", "[::1",
                                      "[::1]80",  "[::1]:",   "[::1]:99999", "[::1]:1 ",        "x:1",          "[]:1",
                                      "1.2.3:80", "[1.2.3.4", "::1]:80",     "192.0.2.1:000080"};
    struct net_endpoint out;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct net_addr addr = parsed(good[i].addr);

        assert_int_equal(net_endpoint_parse(good[i].text, &out), 0);
        assert_true(net_addr_equal(&out.addr, &addr));
        assert_int_equal(out.port, good[i].port);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(net_endpoint_parse(bad[i], &out), LOCKSTEP_E_BAD_FORMAT);
}

static void networks_contain_what_shares_their_prefix(void **state)
{
    static const struct {
        const char *network, *addr;
        bool inside;
    } cases[] = {
        {"192.0.2.0/24", "192.0.2.255", true},
        {"192.0.2.0/24", "192.0.3.0", false},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"0.0.0.0/0", "255.255.255.255", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "192.0.2.1", false},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"2001:db8::1/128", "2001:db8::1", true},
        {"2001:db8::1", "2001:db8::", false},
    };
    static const char *const bad[] = {"",       "/8",   "10.0.0.0/",    "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x",
                                      "::/129", "10/8", "10.0.0.0/8/8", "10.0.0.0/ 8"};
    char text[NET_NETWORK_TEXT_MAX];
    struct net_network network;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct net_addr addr = parsed(cases[i].addr);

        assert_int_equal(net_network_parse(cases[i].network, &network), 0);
        assert_int_equal(net_network_contains(&network, &addr), cases[i].inside);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(net_network_parse(bad[i], &network), LOCKSTEP_E_BAD_FORMAT);
    assert_int_equal(net_network_parse("192.0.2.77/26", &network), 0);
    network.address = net_network_first(&network);
    assert_string_equal(net_network_format(&network, text), "192.0.2.64/26");
    assert_int_equal(net_network_parse("2001:db8:ffff::1/35", &network), 0);
    network.address = net_network_first(&network);
    assert_string_equal(net_network_format(&network, text), "2001:db8:e000::/35");
}

static void socket_addresses_round_trip(void **state)
{
    struct net_endpoint v4 = {parsed("192.0.2.1"), 80}, v6 = {parsed("fe80::1"), 443}, out;
    struct sockaddr_storage sa;
    struct sockaddr_in6 *sa6 = (struct sockaddr_in6 *)&sa;
    socklen_t length = net_endpoint_to_sockaddr(&v4, AF_INET, 0, &sa);

    (void)state;
    assert_int_equal(length, sizeof(struct sockaddr_in));
    assert_int_equal(net_endpoint_from_sockaddr((struct sockaddr *)&sa, length, &out), 0);
    assert_memory_equal(&out, &v4, sizeof out);

    length = net_endpoint_to_sockaddr(&v4, AF_INET6, 0, &sa);
    assert_true(IN6_IS_ADDR_V4MAPPED(&sa6->sin6_addr));
    assert_int_equal(net_endpoint_from_sockaddr((struct sockaddr *)&sa, length, &out), 0);
    assert_memory_equal(&out, &v4, sizeof out);

    length = net_endpoint_to_sockaddr(&v6, AF_INET6, 7, &sa);
    assert_int_equal(sa6->sin6_scope_id, 7);
    assert_int_equal(net_endpoint_from_sockaddr((struct sockaddr *)&sa, length, &out), 0);
    assert_memory_equal(&out, &v6, sizeof out);
    /* Without the scope, as the kernel takes it. */
    assert_int_equal(net_endpoint_from_sockaddr((struct sockaddr *)&sa, 24, &out), 0);
}

static void short_and_foreign_socket_addresses_are_refused(void **state)
{
    struct sockaddr_storage sa = {.ss_family = AF_INET};
    struct net_endpoint out;

    (void)state;
    for (socklen_t length = 0; length < sizeof(struct sockaddr_in); length++)
        assert_int_equal(net_endpoint_from_sockaddr((struct sockaddr *)&sa, length, &out), LOCKSTEP_E_BAD_FORMAT);
    sa.ss_family = AF_INET6;
    assert_int_equal(net_endpoint_from_sockaddr((struct sockaddr *)&sa, 23, &out), LOCKSTEP_E_BAD_FORMAT);
    sa.ss_family = AF_UNIX;
    assert_int_equal(net_endpoint_from_sockaddr((struct sockaddr *)&sa, sizeof sa, &out), LOCKSTEP_E_BAD_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_form_round_trips),
        cmocka_unit_test(malformed_text_is_refused),
        cmocka_unit_test(mapped_form_is_v4),
        cmocka_unit_test(kinds_of_addresses),
        cmocka_unit_test(endpoints_print_with_port),
        cmocka_unit_test(endpoints_are_read),
        cmocka_unit_test(networks_contain_what_shares_their_prefix),
        cmocka_unit_test(socket_addresses_round_trip),
        cmocka_unit_test(short_and_foreign_socket_addresses_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
