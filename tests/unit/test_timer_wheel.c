/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit.h"

#include "stack/timer_wheel.h"

#include <stdbool.h>
#include <string.h>

#define MS WHEEL_TICK_NS

static struct timer_wheel wheel;

static void test_expires_in_time(void **state)
{
    (void)state;
    struct wheel_timer timer = {0};
    wheel_init(&wheel, 12345 * MS);
    assert_int_equal(wheel_next(&wheel), UINT64_MAX);
    wheel_arm(&wheel, &timer, 12350 * MS);
    assert_true(wheel_armed(&timer));
    assert_int_equal(wheel_next(&wheel), 12350 * MS);
    assert_null(wheel_expire(&wheel, 12350 * MS - 1));
    assert_ptr_equal(wheel_expire(&wheel, 12350 * MS), &timer);
    assert_false(wheel_armed(&timer));
    assert_null(wheel_expire(&wheel, 12350 * MS));
    assert_int_equal(wheel_next(&wheel), UINT64_MAX);
}

static void test_rounds_up(void **state)
{
    (void)state;
    struct wheel_timer timer = {0};
    wheel_init(&wheel, 0);
    wheel_arm(&wheel, &timer, 3 * MS + 1);
    assert_null(wheel_expire(&wheel, 3 * MS + 1));
    assert_ptr_equal(wheel_expire(&wheel, 4 * MS), &timer);
    wheel_arm(&wheel, &timer, 0); /* past: the next tick */
    assert_null(wheel_expire(&wheel, 4 * MS));
    assert_ptr_equal(wheel_expire(&wheel, 5 * MS), &timer);
}

static void test_cancel_and_rearm(void **state)
{
    (void)state;
    struct wheel_timer a = {0}, b = {0};
    wheel_init(&wheel, 0);
    wheel_arm(&wheel, &a, 10 * MS);
    wheel_arm(&wheel, &b, 10 * MS);
    wheel_cancel(&wheel, &a);
    wheel_cancel(&wheel, &a);
    assert_ptr_equal(wheel_expire(&wheel, 20 * MS), &b);
    assert_null(wheel_expire(&wheel, 20 * MS));
    wheel_arm(&wheel, &a, 30 * MS);
    wheel_arm(&wheel, &a, 25 * MS);
    assert_int_equal(wheel_next(&wheel), 25 * MS);
    assert_ptr_equal(wheel_expire(&wheel, 25 * MS), &a);
    assert_null(wheel_expire(&wheel, 30 * MS));
}

/* Far beyond the wheel's span. */
static void test_far(void **state)
{
    (void)state;
    struct wheel_timer timer = {0};
    uint64_t far = (1ull << 33) * MS;
    wheel_init(&wheel, 0);
    wheel_arm(&wheel, &timer, far);
    uint64_t now = 0;
    int steps = 0;
    while (!wheel_expire(&wheel, now)) {
        uint64_t next = wheel_next(&wheel);
        assert_true(next > now && next <= far);
        now = next;
        assert_true(++steps < 100);
    }
    assert_int_equal(now, far);
}

/* Thousands of random timers against a plain list: each expires in the step that reaches its time, none is lost. */
static void test_against_model(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    static struct wheel_timer timers[COUNT];
    static uint64_t due[COUNT];
    uint64_t random = 1, now = 1000 * MS;
    memset(timers, 0, sizeof(timers));
    memset(due, 0, sizeof(due));
    wheel_init(&wheel, now);
    for (int round = 0; round < 20000; round++) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        unsigned i = (unsigned)(random >> 33) % COUNT;
        unsigned bits = (unsigned)(random >> 20) % 28;
        switch ((random >> 50) % 4) {
        case 0:
        case 1:
            due[i] = now + 1 + ((random >> 5) & ((1ull << bits) - 1)) * MS;
            wheel_arm(&wheel, &timers[i], due[i]);
            break;
        case 2:
            wheel_cancel(&wheel, &timers[i]);
            due[i] = 0;
            break;
        default:
            now += (random >> 7) % ((1ull << (bits % 20)) * MS);
            for (struct wheel_timer *timer; (timer = wheel_expire(&wheel, now)) != NULL;) {
                long index = timer - timers;
                assert_true(due[index] != 0 && due[index] <= now);
                due[index] = 0;
            }
            for (int k = 0; k < COUNT; k++) {
                /* A tick is a millisecond, rounded up. */
                assert_true(due[k] == 0 || (due[k] + MS - 1) / MS * MS > now || now / MS * MS < due[k]);
                assert_int_equal(due[k] != 0, wheel_armed(&timers[k]));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expires_in_time),  cmocka_unit_test(test_rounds_up),
        cmocka_unit_test(test_cancel_and_rearm), cmocka_unit_test(test_far),
        cmocka_unit_test(test_against_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
