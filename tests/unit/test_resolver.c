/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/resolver.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static struct resolver resolver;
static struct resolver_answer answer;

static int set_up(void **unused)
{
    (void)unused;
    return resolver_open(&resolver, 0, 0);
}

static int tear_down(void **unused)
{
    (void)unused;
    resolver_close(&resolver);
    resolver_close(&resolver); /* harmless */
    return 0;
}

static void wait_for_answer(void)
{
    struct pollfd ready = {resolver.fd, POLLIN, 0};

    assert_int_equal(poll(&ready, 1, 10000), 1);
}

static void test_numeric(void **unused)
{
    (void)unused;
    assert_int_equal(resolver_numeric("192.0.2.7", &answer), 0);
    assert_int_equal(answer.count, 1);
    assert_true(net_addr_is_v4(&answer.addresses[0]));
    assert_int_equal(resolver_numeric("::1", &answer), 0);
    assert_true(net_addr_is_loopback(&answer.addresses[0]));
    assert_int_equal(resolver_numeric("fe80::1%lo", &answer), 0);
    assert_int_equal(answer.scope_ids[0], 1);
    assert_true(resolver_numeric("localhost", &answer) < 0);
    assert_true(resolver_numeric("", &answer) < 0);
    assert_true(resolver_numeric("192.0.2.256", &answer) < 0);
}

static void test_names(void **unused)
{
    (void)unused;
    assert_int_equal(resolver_answer(&resolver, &answer), -EAGAIN);
    assert_int_equal(resolver_ask(&resolver, 7, "localhost"), 0);
    assert_int_equal(resolver_ask(&resolver, 8, "192.0.2.9"), 0);
    wait_for_answer();
    assert_int_equal(resolver_answer(&resolver, &answer), 0);
    assert_int_equal(answer.id, 7);
    assert_int_equal(answer.error, 0);
    assert_true(answer.count > 0 && net_addr_is_loopback(&answer.addresses[0]));
    wait_for_answer();
    assert_int_equal(resolver_answer(&resolver, &answer), 0);
    assert_int_equal(answer.id, 8);
    assert_int_equal(answer.count, 1);
}

static void test_no_such_name(void **unused)
{
    (void)unused;
    assert_int_equal(resolver_ask(&resolver, 9, "a b"), 0);
    wait_for_answer();
    assert_int_equal(resolver_answer(&resolver, &answer), 0);
    assert_int_equal(answer.id, 9);
    assert_true(answer.error < 0);
    assert_int_equal(answer.count, 0);
}

/* The child is gone: said, and no end of the caller. */
static void test_child_dies(void **unused)
{
    (void)unused;
    kill(resolver.child, SIGKILL);
    wait_for_answer();
    assert_int_not_equal(resolver_answer(&resolver, &answer), 0);
    assert_int_not_equal(resolver_answer(&resolver, &answer), -EAGAIN);
    assert_true(resolver_ask(&resolver, 1, "localhost") < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numeric),
        cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_such_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_child_dies, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
