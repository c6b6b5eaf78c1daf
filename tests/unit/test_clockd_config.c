/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/clockd_config.h"

#include <stdio.h>
#include <string.h>

#include "clock/report.h"
#include "tests/unit/unit.h"

static struct clockd_config config;
static char problem[CONFIG_PROBLEM_MAX];

static int parse(const char *text)
{
    return clockd_config_parse("c.conf", text, strlen(text), &config, problem);
}

static void refused(const char *text, const char *because)
{
    assert_true(parse(text) < 0);
    if (!strstr(problem, because))
        fail_msg("'%s' is not in '%s'", because, problem);
    assert_int_equal(strncmp(problem, "c.conf:", 7), 0);
}

static void test_defaults(void **unused)
{
    (void)unused;
    assert_int_equal(parse("[source a]\n[serve]\n"), 0);
    assert_int_equal(config.counter, COUNTER_AUTO);
    assert_int_equal(config.source_count, 1);
    assert_string_equal(config.sources[0].address, "a");
    assert_int_equal(config.sources[0].port, 123);
    assert_int_equal(clockd_poll_log2(config.sources[0].poll_min), 0);
    assert_int_equal(clockd_poll_log2(config.sources[0].poll_max), 6);
    assert_true(config.sources[0].burst && config.sources[0].interleaved && !config.sources[0].prefer);
    assert_true(config.serve.enabled && config.sandbox && !config.discipline);
    assert_int_equal(config.serve.clients, 4096);
    assert_int_equal(config.serve.network_count, 0);
    assert_int_equal(parse(""), 0);
    assert_false(config.serve.enabled);
}

static void test_polls(void **unused)
{
    (void)unused;
    assert_int_equal(parse("[source a]\npoll-min = 62.5ms\npoll-max = 131072s\n"), 0);
    assert_int_equal(clockd_poll_log2(config.sources[0].poll_min), -4);
    assert_int_equal(clockd_poll_log2(config.sources[0].poll_max), 17);
    refused("[source a]\npoll-min = 3s\n", "c.conf:2: [source a] poll-min");
    refused("[source a]\npoll-min = 8s\npoll-max = 4s\n", "[source a] poll-min");
}

static void test_none(void **unused)
{
    (void)unused;
    assert_int_equal(parse("[clockd]\nleap-file = none\nstate-file = none\n"), 0);
    assert_int_equal(config.leap_file[0] | config.state_file[0], 0);
}

static void test_sources(void **unused)
{
    char text[64 * 20] = "";

    (void)unused;
    refused("[source a]\n[source b]\n[source a]\n", "c.conf:3");
    refused("[source]\n", "c.conf:1");
    refused("[source a]\nkey = 5\n", "key-file");
    refused("[clockd]\nkey-file = /x\n[source a]\nkey = 5\nnts = yes\n", "only one of them");
    for (int i = 0; i < CORE_SOURCES_MAX + 1; i++)
        sprintf(text + strlen(text), "[source s%d]\n", i);
    refused(text, "c.conf:17");
}

static void test_networks(void **unused)
{
    struct ntp_server_network networks[2];

    (void)unused;
    assert_int_equal(clockd_parse_network("10.0.0.0/8", true, networks), 1);
    assert_int_equal(networks[0].network.prefix, 8);
    assert_true(networks[0].allow && net_addr_is_v4(&networks[0].network.address));
    assert_int_equal(clockd_parse_network("2001:db8::/32", false, networks), 1);
    assert_int_equal(networks[0].network.prefix, 32);
    assert_int_equal(clockd_parse_network("::1", true, networks), 1);
    assert_int_equal(networks[0].network.prefix, 128);
    assert_int_equal(clockd_parse_network("all", true, networks), 2);
    for (const char *const *bad = (const char *const[]){"", "x", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129",
                                                        "10.0.0.0/8x", "/8", "all/8", NULL};
         *bad; bad++)
        assert_true(clockd_parse_network(*bad, true, networks) < 0);
    assert_int_equal(parse("[serve]\nallow = all\ndeny = 10.0.0.0/8\n"), 0);
    assert_int_equal(config.serve.network_count, 3);
    refused("[serve]\nallow = everybody\n", "allow: everybody");
    refused("[serve]\nclients = 1000\n", "power of two");
    refused("[serve]\naddress = here\n", "address");
    refused("[serve]\nnts-key = /x\n", "both or neither");
    refused("[serve]\n[serve]\n", "c.conf:2");
}

static void test_requests(void **unused)
{
    (void)unused;
    assert_int_equal(report_parse_request("status"), REPORT_STATUS);
    assert_int_equal(report_parse_request("record"), REPORT_RECORD);
    assert_true(report_parse_request("statu") < 0);
    assert_true(report_parse_request("") < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_polls),    cmocka_unit_test(test_none),
        cmocka_unit_test(test_sources),  cmocka_unit_test(test_networks), cmocka_unit_test(test_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
