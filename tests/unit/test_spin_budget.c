/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/spin_budget.h"

#include "tests/unit/unit.h"

#define US 10 /* cycles */

static struct spin_budget budget;

static void spin_for_us(uint64_t us, uint64_t gap_us)
{
    static uint64_t now;

    for (uint64_t spun = 0; spun < us; spun += gap_us) {
        now += gap_us * US;
        spin_budget_gap(&budget, now, gap_us * US);
    }
}

/* Waits, each answered after so many microseconds of spinning; how many were in time. */
static unsigned waits(unsigned count, uint64_t answer_us)
{
    unsigned in_time = 0;

    for (unsigned i = 0; i < count; i++) {
        uint64_t limit = spin_budget_next(&budget);

        if (limit == 0)
            continue;
        spin_budget_result(&budget, answer_us * US <= limit);
        in_time += answer_us * US <= limit;
    }
    return in_time;
}

static void keeps_what_pays(void **state)
{
    (void)state;
    spin_budget_init(&budget, 50 * US, US, true);
    assert_int_equal(waits(1000, 6), 1000);
    assert_int_equal(spin_budget_next(&budget), 50 * US);
}

static void sleeps_when_nothing_comes_in_time(void **state)
{
    (void)state;
    spin_budget_init(&budget, 50 * US, US, true);
    assert_int_equal(waits(8, 10000), 0);
    assert_int_equal(spin_budget_next(&budget), 0);
    waits(100000, 10000);
    assert_true(budget.resting);
    assert_int_equal(budget.interval, 1024);
}

static void tries_again(void **state)
{
    (void)state;
    spin_budget_init(&budget, 50 * US, US, true);
    waits(8, 10000);
    assert_true(waits(40, 6) > 0);
    assert_false(budget.resting);
    assert_int_equal(waits(10, 6), 10);
}

static void survives_single_late_answers(void **state)
{
    (void)state;
    spin_budget_init(&budget, 50 * US, US, true);
    for (int i = 0; i < 100; i++) {
        waits(2, 6);
        waits(3, 10000);
    }
    assert_false(budget.resting);
}

static void shrinks_when_cores_are_short(void **state)
{
    uint64_t full = 1000000ull * US;

    (void)state;
    spin_budget_init(&budget, full, US, true);
    spin_for_us(11000, 3000);
    assert_int_equal(budget.limit, 200 * US);
    for (int i = 0; i < 10; i++)
        spin_for_us(11000, 3000);
    assert_int_equal(budget.limit, 2 * US);
    spin_for_us(11000, 1);
    assert_int_equal(budget.limit, 2 * US); /* not at once */
    for (int i = 0; i < 400; i++)
        spin_for_us(11000, 1);
    assert_int_equal(budget.limit, full);
}

/* A message every 1.5 ms, and a budget of a second: after a disturbance spinning comes back, though there is never
 * enough of it for a window. */
static void comes_back_for_rare_messages(void **state)
{
    const uint64_t full = 1000000ull * US;
    uint64_t now = 0;

    (void)state;
    spin_budget_init(&budget, full, US, true);
    for (int i = 0; i < 10; i++) {
        now += 11000 * US;
        spin_budget_gap(&budget, now, 11000 * US); /* somebody else has the core */
    }
    assert_int_equal(budget.limit, 2 * US);
    for (int i = 0; i < 40000; i++) { /* a minute */
        uint64_t limit = spin_budget_next(&budget), spun = limit < 1500 * US ? limit : 1500 * US;

        now += 1500 * US;
        for (uint64_t done = 0; done < spun; done += 2 * US)
            spin_budget_gap(&budget, now - spun + done, 2 * US);
        if (limit)
            spin_budget_result(&budget, limit >= 1500 * US);
    }
    assert_true(spin_budget_next(&budget) >= 1500 * US);
    assert_false(budget.resting);
}

static void rests_and_returns_with_the_traffic(void **state)
{
    const uint64_t full = 1000000ull * US;

    (void)state;
    spin_budget_init(&budget, full, US, true);
    waits(8, 2000000);
    assert_true(budget.resting);
    assert_true(waits(60, 1500) >= 3);
    assert_false(budget.resting);
}

static void does_not_adapt_unasked(void **state)
{
    (void)state;
    spin_budget_init(&budget, 50 * US, US, false);
    waits(100, 10000);
    spin_for_us(110000, 3000);
    assert_int_equal(spin_budget_next(&budget), 50 * US);
    spin_budget_init(&budget, 0, US, true);
    assert_int_equal(spin_budget_next(&budget), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_pays),
        cmocka_unit_test(sleeps_when_nothing_comes_in_time),
        cmocka_unit_test(tries_again),
        cmocka_unit_test(survives_single_late_answers),
        cmocka_unit_test(shrinks_when_cores_are_short),
        cmocka_unit_test(comes_back_for_rare_messages),
        cmocka_unit_test(rests_and_returns_with_the_traffic),
        cmocka_unit_test(does_not_adapt_unasked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
