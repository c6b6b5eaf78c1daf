/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/inventory.h"

#include <string.h>

#include "base/error.h"
#include "tests/unit/unit.h"

static struct inventory inventory;
static char problem[CONFIG_PROBLEM_MAX];

static int parse(const char *text)
{
    return inventory_parse("testbed.conf", text, strlen(text), &inventory, problem);
}

static void refused(const char *text, const char *expected)
{
    assert_true(parse(text) < 0);
    assert_string_equal(problem, expected);
}

#define HEAD "[testbed]\nkey = /etc/key\n"
#define TWO  "[node a]\naddress = 10.0.0.1\n[node b]\naddress = 10.0.0.2\n"

static void an_inventory_has_nodes(void **state)
{
    struct schedule_network network;

    (void)state;
    assert_int_equal(
        parse(HEAD "mtu = 9000\n[node a]\naddress = 10.0.0.1\ncontrol = a.example\nrate = 1000000000\nsends = no\n"
                   "[node b]\naddress = 10.0.0.2\ncontrol-port = 5000\nclock = /run/b/clock\n"),
        0);
    assert_int_equal(inventory.node_count, 2);
    assert_string_equal(inventory.nodes[0].control, "a.example");
    assert_string_equal(inventory.nodes[1].control, "10.0.0.2");
    assert_int_equal(inventory.nodes[1].control_port, 5000);
    inventory_network(&inventory, &network);
    assert_int_equal(network.count, 2);
    assert_int_equal(network.mtu, 9000);
    assert_string_equal(network.nodes[1].name, "b");
    assert_false(network.nodes[0].sends);
    assert_true(network.nodes[0].receives);
    assert_true(network.nodes[0].port_bits_per_s == 1e9 && network.nodes[1].port_bits_per_s == 0);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    refused("[testbed]\n" TWO, "testbed.conf: [testbed] needs key, or certificate, certificate-key and authority");
    refused(HEAD "[node a]\naddress = 10.0.0.1\n", "testbed.conf: a test bed needs two [node NAME] sections at least");
    refused(HEAD TWO "[node c]\n", "testbed.conf: c: address: missing");
    refused(HEAD TWO "[node c]\naddress = somewhere\n", "testbed.conf: c: address: not an address of a host");
    refused(HEAD TWO "[node c]\naddress = 239.1.1.1\n", "testbed.conf: c: address: not an address of a host");
    refused(HEAD TWO "[node c]\naddress = fd00::1\n", "testbed.conf: c: address: IPv4 and IPv6 are mixed");
    assert_true(parse(HEAD TWO "[node a]\naddress = 10.0.0.3\n") < 0);
    assert_non_null(strstr(problem, "testbed.conf:7"));
    assert_true(parse(HEAD TWO "[node ../x]\naddress = 10.0.0.3\n") < 0);
    assert_true(parse(HEAD "mtu = 5\n" TWO) < 0);
    assert_non_null(strstr(problem, "testbed.conf:3: [testbed] mtu"));
}

static void certificates_do_instead_of_a_key(void **state)
{
    (void)state;
    assert_int_equal(parse("[testbed]\ncertificate = c.pem\ncertificate-key = k.pem\nauthority = ca.pem\n" TWO), 0);
    refused("[testbed]\ncertificate = c.pem\n" TWO,
            "testbed.conf: [testbed] needs key, or certificate, certificate-key and authority");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_inventory_has_nodes),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(certificates_do_instead_of_a_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
