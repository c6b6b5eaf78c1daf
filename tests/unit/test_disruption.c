/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/disruption.h"

#include <string.h>

#include "tests/unit/unit.h"

#define SECOND 1000000000ll
#define HZ     2e9

static struct disruption disruption;
static struct disruption_reading now;
static char why[192];

static int set_up(void **unused)
{
    (void)unused;
    now = (struct disruption_reading){
        .counter = 1000000, .raw_ns = SECOND, .monotonic_ns = SECOND, .boottime_ns = 5 * SECOND, .width_ns = 300};
    disruption_init(&disruption, HZ);
    assert_false(disruption_check(&disruption, &now, why));
    return 0;
}

static void advance(double seconds, double counter_seconds, double suspended_s)
{
    now.counter += (uint64_t)(int64_t)(counter_seconds * HZ);
    now.raw_ns += (int64_t)(seconds * 1e9);
    now.monotonic_ns += (int64_t)(seconds * 1e9);
    now.boottime_ns += (int64_t)((seconds + suspended_s) * 1e9);
}

/* Steady running, a nominal rate that is off, short and long intervals. */
static void test_steady(void **unused)
{
    (void)unused;
    for (int i = 0; i < 100; i++) {
        advance(1, 1 + 400e-6, 0);
        assert_false(disruption_check(&disruption, &now, why));
    }
    advance(1e-6, 1e-6, 0);
    assert_false(disruption_check(&disruption, &now, why));
    advance(3600, 3600 * (1 - 400e-6), 0);
    assert_false(disruption_check(&disruption, &now, why));
}

/* The kernel steers CLOCK_MONOTONIC: no disruption. */
static void test_steered(void **unused)
{
    (void)unused;
    advance(10, 10, 0);
    now.monotonic_ns += 5000000;
    now.boottime_ns += 5000000;
    assert_false(disruption_check(&disruption, &now, why));
}

static void test_suspend(void **unused)
{
    (void)unused;
    advance(1, 1, 30);
    assert_true(disruption_check(&disruption, &now, why));
    assert_non_null(strstr(why, "suspended for 30"));
    advance(1, 1, 0);
    assert_false(disruption_check(&disruption, &now, why));
    /* A counter that stopped meanwhile is a suspend all the same. */
    advance(1, -20, 30);
    assert_true(disruption_check(&disruption, &now, why));
    assert_non_null(strstr(why, "suspended"));
}

static void test_counter_jumps(void **unused)
{
    static const double jumps[] = {10, -10, 0.005, -0.005, -1};

    (void)unused;
    for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        advance(1, 1 + jumps[i], 0);
        assert_true(disruption_check(&disruption, &now, why));
        assert_non_null(strstr(why, "counter moved"));
        advance(1, 1, 0);
        assert_false(disruption_check(&disruption, &now, why));
    }
}

/* The program itself was stopped while it took the reading: wide, and no proof of anything. */
static void test_wide_reading(void **unused)
{
    (void)unused;
    advance(1, 1.003, 0);
    now.width_ns = 5000000;
    assert_false(disruption_check(&disruption, &now, why));
}

static void test_reading(void **unused)
{
    struct disruption_reading reading;
    struct counter counter;

    (void)unused;
    assert_int_equal(counter_open(COUNTER_MONOTONIC_RAW, &counter, why), 0);
    disruption_init(&disruption, counter.nominal_hz);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(disruption_read(&counter, &reading), 0);
        assert_false(disruption_check(&disruption, &reading, why));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_steady, set_up),       cmocka_unit_test_setup(test_steered, set_up),
        cmocka_unit_test_setup(test_suspend, set_up),      cmocka_unit_test_setup(test_counter_jumps, set_up),
        cmocka_unit_test_setup(test_wide_reading, set_up), cmocka_unit_test(test_reading),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
