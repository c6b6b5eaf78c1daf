/* SPDX-License-Identifier: BSD-2-Clause */
/* The flow database against a divert in memory. */
#include "service/flows.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "tests/unit/divert_fake.h"
#include "tests/unit/unit.h"

static struct divert fake;
static struct flows *flows;
static struct flow_owner lanes[100];

static int set_up(void **unused)
{
    (void)unused;
    divert_fake_reset(&fake);
    for (uint32_t i = 0; i < 100; i++)
        flow_owner_init(&lanes[i], i, i / 10, NULL);
    return flows_create(&flows, &fake, NULL);
}

static int tear_down(void **unused)
{
    (void)unused;
    for (int i = 0; i < 100; i++) {
        list_for_each(link, &lanes[i].flows) flows_remove(flows, list_entry(link, struct flow, of_owner));
    }
    assert_int_equal(flows_count(flows), 0);
    assert_int_equal(fake.flow_count, 0);
    assert_int_equal(fake.guard_count, 0);
    flows_destroy(flows);
    return 0;
}

static struct net_endpoint endpoint(const char *text, uint16_t port)
{
    struct net_endpoint out = {.port = port};

    assert_int_equal(net_addr_parse(text, &out.addr), 0);
    return out;
}

static struct flow bound(const char *local, uint16_t port, uint8_t protocol)
{
    struct flow flow = {.kind = CONTROL_FLOW_BOUND, .protocol = protocol, .local = endpoint(local, port)};

    flow.guard = flow.local.addr;
    return flow;
}

static struct flow connected(const char *local, uint16_t port, const char *remote, uint16_t remote_port)
{
    struct flow flow = bound(local, port, IPPROTO_TCP);

    flow.kind = CONTROL_FLOW_CONNECT;
    flow.remote = endpoint(remote, remote_port);
    return flow;
}

static struct flow *add(int lane, struct flow wanted)
{
    struct flow *flow = NULL;

    assert_int_equal(flows_add(flows, &lanes[lane], &wanted, -1, &flow), 0);
    return flow;
}

static int add_fails(int lane, struct flow wanted)
{
    struct flow *flow = NULL;

    return flows_add(flows, &lanes[lane], &wanted, -1, &flow);
}

static const struct divert_flow *entry(const char *local, uint16_t port, uint8_t protocol)
{
    return divert_fake_find(&fake, local, port, "", 0, protocol, 0);
}

static void test_01_single_lane(void **unused)
{
    struct flow *flow = add(3, bound("0.0.0.0", 53, IPPROTO_UDP));
    const struct divert_flow *found = entry("0.0.0.0", 53, IPPROTO_UDP);

    (void)unused;
    assert_non_null(found);
    assert_int_equal(found->target, 3);
    assert_int_equal(found->flow_id, flow->id);
    assert_int_equal(found->flags, 0);
    assert_ptr_equal(flows_find(flows, &lanes[3], flow->id), flow);
    assert_null(flows_find(flows, &lanes[4], flow->id));
    assert_int_equal(fake.guard_count, 1);
    assert_int_equal(fake.guards[0].lane, 3);
    flows_remove(flows, flow);
    assert_null(entry("0.0.0.0", 53, IPPROTO_UDP));
    assert_int_equal(fake.guard_count, 0);
}

static void test_02_sharing_makes_a_group_and_ends_it(void **unused)
{
    struct flow *first = add(1, bound("0.0.0.0", 80, IPPROTO_TCP)), *second = add(2, bound("0.0.0.0", 80, IPPROTO_TCP));
    const struct divert_flow *found = entry("0.0.0.0", 80, IPPROTO_TCP);
    uint32_t group;

    (void)unused;
    assert_int_equal(found->flags, DIVERT_FLOW_GROUP);
    assert_int_equal(found->flow_id, 0);
    group = found->target;
    assert_int_equal(fake.groups[group].mode, DIVERT_GROUP_HASH);
    assert_int_equal(fake.groups[group].lane_count, 2);
    add(1, bound("0.0.0.0", 80, IPPROTO_TCP)); /* a second socket of the same lane */
    assert_int_equal(fake.groups[group].lane_count, 2);
    flows_remove(flows, first);
    assert_int_equal(fake.groups[group].lane_count, 2);
    flows_remove(flows, second);
    assert_int_equal(found->flags, 0);
    assert_int_equal(found->target, 1);
    assert_int_equal(fake.removed_flows, 0); /* never a moment without an entry */
    add(5, bound("10.0.0.1", 80, IPPROTO_TCP));
    add(6, bound("10.0.0.1", 80, IPPROTO_TCP));
    assert_int_not_equal(entry("10.0.0.1", 80, IPPROTO_TCP)->target, group); /* not reused at once */
}

static void test_03_groups_are_bounded(void **unused)
{
    (void)unused;
    for (int i = 0; i < DIVERT_MAX_MEMBERS; i++)
        add(i, bound("::", 443, IPPROTO_TCP));
    assert_int_equal(add_fails(DIVERT_MAX_MEMBERS, bound("::", 443, IPPROTO_TCP)), LOCKSTEP_E_EXHAUSTED);
    assert_int_equal(fake.groups[entry("::", 443, IPPROTO_TCP)->target].lane_count, DIVERT_MAX_MEMBERS);
    assert_int_equal(lanes[DIVERT_MAX_MEMBERS].count, 0);
    assert_int_equal(fake.guard_count, DIVERT_MAX_MEMBERS);
}

static void test_04_connections_are_not_shared(void **unused)
{
    struct flow *flow = add(1, connected("10.0.0.1", 40000, "10.0.0.2", 80));
    struct net_endpoint local = endpoint("10.0.0.1", 40000), remote = endpoint("10.0.0.2", 80);

    (void)unused;
    assert_int_equal(add_fails(1, connected("10.0.0.1", 40000, "10.0.0.2", 80)), LOCKSTEP_E_CONFLICT);
    assert_int_equal(add_fails(2, connected("10.0.0.1", 40000, "10.0.0.2", 80)), LOCKSTEP_E_CONFLICT);
    add(2, connected("10.0.0.1", 40000, "10.0.0.2", 81));
    assert_ptr_equal(flows_find_connection(flows, IPPROTO_TCP, &local, &remote), flow);
    assert_null(flows_find_connection(flows, IPPROTO_UDP, &local, &remote));
    assert_int_equal(fake.flow_count, 2);
}

static void test_05_guards_are_counted(void **unused)
{
    struct flow *first = add(1, connected("10.0.0.1", 80, "10.0.0.2", 1)),
                *second = add(1, connected("10.0.0.1", 80, "10.0.0.2", 2));

    (void)unused;
    assert_int_equal(fake.guard_count, 1);
    assert_int_equal(flows_entries(flows), 2);
    flows_remove(flows, first);
    assert_int_equal(fake.guard_count, 1);
    flows_remove(flows, second);
    assert_int_equal(fake.guard_count, 0);
}

static void test_06_dual_stack(void **unused)
{
    struct flow wanted = bound("::", 8080, IPPROTO_TCP);
    struct net_endpoint v4 = endpoint("10.0.0.1", 8080), v6 = endpoint("fd00::1", 8080);
    struct flow *flow;

    (void)unused;
    assert_null(flows_covering(flows, &lanes[1], IPPROTO_TCP, &v4));
    flow = add(1, wanted);
    assert_null(entry("0.0.0.0", 8080, IPPROTO_TCP));
    assert_null(flows_covering(flows, &lanes[1], IPPROTO_TCP, &v4));
    assert_ptr_equal(flows_covering(flows, &lanes[1], IPPROTO_TCP, &v6), flow);
    flows_remove(flows, flow);
    wanted.dual_stack = true;
    flow = add(1, wanted);
    assert_non_null(entry("0.0.0.0", 8080, IPPROTO_TCP));
    assert_non_null(entry("::", 8080, IPPROTO_TCP));
    assert_int_equal(fake.guard_count, 2);
    assert_ptr_equal(flows_covering(flows, &lanes[1], IPPROTO_TCP, &v4), flow);
    assert_null(flows_covering(flows, &lanes[2], IPPROTO_TCP, &v4));
    v4.port++;
    assert_null(flows_covering(flows, &lanes[1], IPPROTO_TCP, &v4));
}

/* Whatever fails half-way leaves nothing behind. */
static void test_07_failures_are_undone(void **unused)
{
    struct flow wanted = bound("::", 8080, IPPROTO_TCP);

    (void)unused;
    wanted.dual_stack = true;
    for (int i = 0; i < 2; i++) {
        fake.fail_guard_after = i;
        assert_int_equal(add_fails(1, wanted), LOCKSTEP_E_EXHAUSTED);
        fake.fail_guard_after = -1;
        fake.fail_flow_after = i;
        assert_int_equal(add_fails(1, wanted), LOCKSTEP_E_EXHAUSTED);
        fake.fail_flow_after = -1;
        assert_int_equal(fake.guard_count, 0);
        assert_int_equal(fake.flow_count, 0);
        assert_int_equal(lanes[1].count, 0);
    }
    add(1, wanted);
}

static void test_08_vlans(void **unused)
{
    const struct flow_vlan vlans[] = {{7, 70}, {8, 80}};
    struct flow wanted = bound("0.0.0.0", 90, IPPROTO_UDP);
    unsigned changes;

    (void)unused;
    add(1, wanted);
    wanted.local.port = 91;
    wanted.ifindex = 70; /* bound to the device of VLAN 7 */
    assert_int_equal(flows_set_vlans(flows, vlans, 2), 0);
    assert_non_null(divert_fake_find(&fake, "0.0.0.0", 90, "", 0, IPPROTO_UDP, 7));
    assert_non_null(divert_fake_find(&fake, "0.0.0.0", 90, "", 0, IPPROTO_UDP, 8));
    add(1, wanted);
    assert_null(entry("0.0.0.0", 91, IPPROTO_UDP));
    assert_non_null(divert_fake_find(&fake, "0.0.0.0", 91, "", 0, IPPROTO_UDP, 7));
    assert_null(divert_fake_find(&fake, "0.0.0.0", 91, "", 0, IPPROTO_UDP, 8));
    wanted.local.port = 92;
    wanted.ifindex = 4; /* bound to the untagged interface */
    add(1, wanted);
    assert_non_null(entry("0.0.0.0", 92, IPPROTO_UDP));
    assert_null(divert_fake_find(&fake, "0.0.0.0", 92, "", 0, IPPROTO_UDP, 7));
    changes = fake.flow_changes;
    assert_int_equal(flows_set_vlans(flows, vlans, 2), 0);
    assert_int_equal(fake.flow_changes, changes);
    fake.removed_flows = 0;
    assert_int_equal(flows_set_vlans(flows, vlans, 1), 0);
    assert_null(divert_fake_find(&fake, "0.0.0.0", 90, "", 0, IPPROTO_UDP, 8));
    assert_int_equal(fake.removed_flows, 1); /* the others were left alone */
}

static void test_09_ids(void **unused)
{
    struct flow wanted = connected("10.0.0.1", 80, "10.0.0.2", 1);
    struct flow *mine, *theirs;

    (void)unused;
    wanted.id = FLOW_CLIENT_ID | 5;
    mine = add(1, wanted);
    wanted.remote.port = 2;
    theirs = add(2, wanted); /* each program counts for itself */
    assert_ptr_equal(flows_find(flows, &lanes[1], FLOW_CLIENT_ID | 5), mine);
    assert_ptr_equal(flows_find(flows, &lanes[2], FLOW_CLIENT_ID | 5), theirs);
    assert_null(flows_find(flows, &lanes[3], FLOW_CLIENT_ID | 5));
}

static void test_10_multicast_is_copied(void **unused)
{
    struct flow wanted = bound("239.0.0.1", 5000, IPPROTO_UDP);
    const struct divert_flow *found;

    (void)unused;
    wanted.kind = CONTROL_FLOW_MULTICAST;
    add(1, wanted);
    found = entry("239.0.0.1", 5000, IPPROTO_UDP);
    assert_int_equal(found->flags, DIVERT_FLOW_ALSO_KERNEL); /* until the kernel's sockets have been looked at */
    add(2, wanted);
    assert_int_equal(found->flags, DIVERT_FLOW_ALSO_KERNEL | DIVERT_FLOW_GROUP);
    assert_int_equal(fake.groups[found->target].mode, DIVERT_GROUP_COPY);
}

static void test_11_sockets_are_found_by_cookie(void **unused)
{
    struct flow wanted = bound("0.0.0.0", 1000, IPPROTO_UDP);
    struct flow *flow;

    (void)unused;
    wanted.cookie = 77;
    wanted.inode = 88;
    wanted.cookie_verified = true;
    flow = add(1, wanted);
    assert_ptr_equal(flows_find_socket(flows, 77, 5), flow);
    assert_null(flows_find_socket(flows, 88, 5));
    flows_remove(flows, flow);
    assert_null(flows_find_socket(flows, 77, 5));
}

/* A program may say whose socket a connection stands for, but nobody else has to believe it. */
static void test_14_cookies_that_programs_say(void **unused)
{
    struct flow wanted = connected("10.0.0.1", 80, "10.0.0.2", 1);
    struct flow *users, *roots, *verified;

    (void)unused;
    wanted.cookie = 77;
    users = add(10, wanted); /* of user 1 */
    assert_ptr_equal(flows_find_socket(flows, 77, 1), users);
    assert_null(flows_find_socket(flows, 77, 0));
    assert_null(flows_find_socket(flows, 77, 2));
    wanted.remote.port = 2;
    roots = add(1, wanted);
    assert_ptr_equal(flows_find_socket(flows, 77, 0), roots);
    assert_ptr_equal(flows_find_socket(flows, 77, 2), roots);
    wanted.remote.port = 3;
    wanted.cookie_verified = true;
    verified = add(20, wanted);
    wanted.remote.port = 4;
    wanted.cookie_verified = false;
    add(30, wanted);
    for (uid_t uid = 0; uid < 4; uid++)
        assert_ptr_equal(flows_find_socket(flows, 77, uid), verified);
}

/* An address that goes takes its entries with it, and brings them back. */
static void test_13_addresses_come_and_go(void **unused)
{
    struct net_addr address = endpoint("10.0.0.1", 0).addr, other = endpoint("10.0.0.9", 0).addr;
    struct flow *flow;

    (void)unused;
    flow = add(1, bound("10.0.0.1", 80, IPPROTO_TCP));
    add(1, connected("10.0.0.1", 80, "10.0.0.2", 1));
    add(1, bound("0.0.0.0", 80, IPPROTO_TCP));
    flows_address_changed(flows, &other, false);
    flows_address_changed(flows, &address, true); /* it was there */
    assert_int_equal(fake.flow_count, 3);
    assert_int_equal(fake.guard_count, 2);
    flows_address_changed(flows, &address, false);
    flows_address_changed(flows, &address, false);
    assert_int_equal(fake.flow_count, 1);
    assert_int_equal(fake.guard_count, 1);
    add(2, bound("10.0.0.1", 80, IPPROTO_TCP)); /* joins the first */
    assert_int_equal(fake.flow_count, 1);
    flows_remove(flows, flow);
    assert_int_equal(fake.flow_count, 1);
    flows_address_changed(flows, &address, true);
    assert_int_equal(fake.flow_count, 3);
    assert_int_equal(entry("10.0.0.1", 80, IPPROTO_TCP)->target, 2);
    assert_int_equal(fake.guard_count, 3);
    flows_address_changed(flows, &address, false); /* and so the test ends */
}

static void test_12_thousands(void **unused)
{
    (void)unused;
    for (int i = 0; i < 3000; i++)
        add(i % 7, connected("10.0.0.1", 80, "10.0.0.2", (uint16_t)(1 + i)));
    for (int i = 0; i < 3000; i++) {
        struct net_endpoint local = endpoint("10.0.0.1", 80), remote = endpoint("10.0.0.2", (uint16_t)(1 + i));

        assert_ptr_equal(flows_find_connection(flows, IPPROTO_TCP, &local, &remote)->owner, &lanes[i % 7]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_01_single_lane, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_02_sharing_makes_a_group_and_ends_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_03_groups_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_04_connections_are_not_shared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_05_guards_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_06_dual_stack, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_07_failures_are_undone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_08_vlans, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_09_ids, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_10_multicast_is_copied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_11_sockets_are_found_by_cookie, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_12_thousands, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_13_addresses_come_and_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_14_cookies_that_programs_say, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("flows", tests, NULL, NULL);
}
