/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/estimator.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/random.h"
#include "tests/unit/unit.h"

#define HZ        2500000000.0
#define EPOCH_NS  1700000000000000000
#define DELAY_NS  30000
#define QUEUE_NS  5000
#define SERVER_NS 10000 /* between the server's two stamps */

/* A counter of constant rate and a server, both exact. */
struct fixture {
    struct estimator *estimator;
    struct random random;
    double skew;     /* of the counter */
    int64_t now_ns;  /* true time */
    int64_t jump_ns; /* of the server's time */
    uint64_t ticks;  /* of the counter, added to */
    double asymmetry_ns;
};

static uint64_t counter_at(const struct fixture *f, double ns)
{
    return f->ticks + 1000000 + (uint64_t)((long double)ns * (long double)(HZ * 1e-9 * (1 + f->skew)));
}

static struct exchange exchange_now(struct fixture *f)
{
    double out = DELAY_NS + f->asymmetry_ns + random_exponential(&f->random, QUEUE_NS);
    double back = DELAY_NS + random_exponential(&f->random, QUEUE_NS), now = (double)f->now_ns;
    struct exchange exchange = {.ta = counter_at(f, now), .tf = counter_at(f, now + out + SERVER_NS + back)};

    exchange.tb = EPOCH_NS + f->jump_ns + f->now_ns + (int64_t)out;
    exchange.te = exchange.tb + SERVER_NS;
    return exchange;
}

static enum estimator_verdict add(struct fixture *f, double seconds)
{
    struct exchange exchange;

    f->now_ns += (int64_t)(seconds * 1e9);
    exchange = exchange_now(f);
    return estimator_add(f->estimator, &exchange);
}

static void add_many(struct fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(add(f, 16), ESTIMATOR_ACCEPTED);
}

/* The line's error against the server, some seconds on. */
static double error_after(const struct fixture *f, double seconds, struct estimate *estimate)
{
    double at = (double)f->now_ns + seconds * 1e9;

    estimator_get(f->estimator, counter_at(f, at), estimate);
    return (double)(estimate->time_ns - EPOCH_NS - f->jump_ns) - at + estimate->fraction;
}

static void expect_right(const struct fixture *f, double within_ns)
{
    struct estimate estimate;
    double error = error_after(f, 1, &estimate);

    assert_true(estimate.valid);
    assert_true(fabs(error) <= estimate.bound_ns);
    assert_true(estimate.bound_ns <= within_ns);
}

static int set_up(void **state)
{
    static struct fixture fixture;
    const struct estimator_config config = {.nominal_hz = HZ, .rate_hint_ppb = NAN};

    memset(&fixture, 0, sizeof fixture);
    fixture.random.state = 3;
    fixture.skew = 41e-6;
    fixture.now_ns = 1000000000;
    fixture.estimator = estimator_create(&config);
    *state = &fixture;
    return fixture.estimator ? 0 : -1;
}

static int tear_down(void **state)
{
    estimator_destroy(((struct fixture *)*state)->estimator);
    return 0;
}

static void configure(struct fixture *f, const struct estimator_config *config)
{
    estimator_destroy(f->estimator);
    f->estimator = estimator_create(config);
    assert_non_null(f->estimator);
}

static void knows_nothing_at_first(void **state)
{
    struct fixture *f = *state;
    struct estimate estimate;

    estimator_get(f->estimator, 1, &estimate);
    assert_false(estimate.valid);
    add(f, 1);
    expect_right(f, 2e6);
}

static void finds_rate_and_offset(void **state)
{
    struct fixture *f = *state;
    struct estimate estimate;

    add_many(f, 400);
    expect_right(f, 3000);
    error_after(f, 0, &estimate);
    assert_true(fabs(estimate.period_ns / (1e9 / HZ / (1 + f->skew)) - 1) < 5e-9);
    assert_true(fabs(estimate.difference_period_ns / (1e9 / HZ / (1 + f->skew)) - 1) < 5e-9);
    assert_true(fabs(estimate.baseline_ns - 2 * DELAY_NS) < 1500);
    assert_true(fabs(estimate.asymmetry) < 0.1);
    assert_true(estimate.rate_sigma_ppb < 20 && estimate.sigma_ns < 1000 && estimate.wander_ppb < 200);
    assert_int_equal(estimator_get_counts(f->estimator).accepted, 400);
}

static void the_bound_grows(void **state)
{
    struct fixture *f = *state;
    struct estimate now, later;
    double before = 0;

    add_many(f, 100);
    error_after(f, 0, &now);
    for (double after = 1; after < 1e6; after *= 4) {
        double error = error_after(f, after, &later);

        assert_true(fabs(error) <= later.bound_ns);
        assert_true(later.bound_ns > before);
        before = later.bound_ns;
        assert_true(now.bound_ns + after * (now.bound_growth_ppb + now.wander_ppb * sqrt(after / 1000)) >=
                    later.bound_ns * 0.9);
    }
}

static void refuses_the_impossible(void **state)
{
    struct fixture *f = *state;
    struct exchange good, bad;

    add_many(f, 10);
    f->now_ns += 16000000000;
    good = exchange_now(f);
    bad = good;
    bad.tf = bad.ta;
    assert_int_equal(estimator_add(f->estimator, &bad), ESTIMATOR_REFUSED);
    bad = good;
    bad.te = bad.tb - 1;
    assert_int_equal(estimator_add(f->estimator, &bad), ESTIMATOR_REFUSED);
    bad = good;
    bad.te = bad.tb + 1000000;
    assert_int_equal(estimator_add(f->estimator, &bad), ESTIMATOR_REFUSED);
    bad = good;
    bad.tf = bad.ta + (uint64_t)(11 * HZ);
    assert_int_equal(estimator_add(f->estimator, &bad), ESTIMATOR_REFUSED);
    bad = good;
    bad.tb = bad.te = INT64_MIN;
    assert_int_equal(estimator_add(f->estimator, &bad), ESTIMATOR_REFUSED);
    assert_int_equal(estimator_add(f->estimator, &good), ESTIMATOR_ACCEPTED);
    assert_int_equal(estimator_add(f->estimator, &good), ESTIMATOR_REFUSED);
    bad = good;
    bad.tb++;
    assert_int_equal(estimator_add(f->estimator, &bad), ESTIMATOR_REFUSED);
    assert_int_equal(estimator_get_counts(f->estimator).refused, 7);
    expect_right(f, 20000);
}

static void an_outlier_moves_nothing(void **state)
{
    struct fixture *f = *state;
    struct estimate before, after;

    add_many(f, 200);
    error_after(f, 20, &before);
    f->jump_ns = 3000000;
    assert_int_equal(add(f, 16), ESTIMATOR_HELD_BACK);
    f->jump_ns = 0;
    error_after(f, 4, &after);
    assert_true(llabs(before.time_ns - after.time_ns) < 5);
    add_many(f, 10);
    expect_right(f, 3000);
}

static void a_step_is_believed_after_some_stamps(void **state)
{
    struct fixture *f = *state;
    enum estimator_verdict verdict = ESTIMATOR_HELD_BACK;
    unsigned taken = 0;

    add_many(f, 200);
    f->jump_ns = -7000000000;
    for (; verdict == ESTIMATOR_HELD_BACK; taken++)
        verdict = add(f, 16);
    assert_int_equal(verdict, ESTIMATOR_RESTARTED);
    assert_in_range(taken, 4, 8);
    expect_right(f, 20000);
    add_many(f, 100);
    expect_right(f, 4000);
}

static void a_new_rate_is_believed(void **state)
{
    struct fixture *f = *state;
    uint64_t before;

    add_many(f, 100);
    /* As after the move of a virtual machine: 80 ppm, without a jump of the counter. */
    before = counter_at(f, (double)f->now_ns);
    f->skew += 80e-6;
    f->ticks += before - counter_at(f, (double)f->now_ns);
    for (unsigned i = 0; i < 60; i++)
        add(f, 16);
    assert_true(estimator_get_counts(f->estimator).restarts >= 1);
    expect_right(f, 20000);
}

static void stamps_that_agree_on_nothing_do_not_lock_out(void **state)
{
    struct fixture *f = *state;
    unsigned restarts = 0;

    add_many(f, 100);
    for (unsigned i = 0; i < 60; i++) {
        f->jump_ns = (int64_t)(random_uniform(&f->random) * 1e12);
        restarts += add(f, 16) == ESTIMATOR_RESTARTED;
    }
    assert_in_range(restarts, 1, 10);
    f->jump_ns = 0;
    for (unsigned i = 0; i < 60; i++)
        add(f, 16);
    expect_right(f, 20000);
}

static void a_disruption_keeps_rate_and_baseline(void **state)
{
    struct fixture *f = *state;
    struct estimate before, after;

    add_many(f, 200);
    error_after(f, 0, &before);
    estimator_disrupt(f->estimator);
    estimator_get(f->estimator, counter_at(f, (double)f->now_ns), &after);
    assert_false(after.valid);
    f->ticks -= 4000000000; /* even backwards */
    assert_int_equal(add(f, 16), ESTIMATOR_ACCEPTED);
    expect_right(f, 150000);
    error_after(f, 0, &after);
    assert_true(fabs(after.period_ns / before.period_ns - 1) < 1e-7);
    assert_true(after.baseline_ns == before.baseline_ns);
    add_many(f, 30);
    expect_right(f, 5000);
}

static void a_counter_that_went_back_is_noticed(void **state)
{
    struct fixture *f = *state;
    unsigned refused = 0;

    add_many(f, 50);
    f->ticks -= (uint64_t)(500 * HZ);
    while (add(f, 16) == ESTIMATOR_REFUSED)
        assert_true(++refused < 20);
    add_many(f, 50);
    expect_right(f, 5000);
}

static void a_known_asymmetry_is_taken_out(void **state)
{
    struct fixture *f = *state;
    const struct estimator_config config = {.nominal_hz = HZ, .rate_hint_ppb = NAN, .asymmetry_ns = 80000};

    configure(f, &config);
    f->asymmetry_ns = 80000;
    add_many(f, 200);
    expect_right(f, 4000);
}

static void a_saved_rate_gives_a_narrow_bound_soon(void **state)
{
    struct fixture *f = *state;
    const struct estimator_config config = {
        .nominal_hz = HZ, .rate_hint_ppb = -41e3, .rate_hint_sigma_ppb = 50, .baseline_hint_ns = 2 * DELAY_NS};
    struct estimate estimate;

    configure(f, &config);
    for (unsigned i = 0; i < 4; i++)
        add(f, 0.25);
    error_after(f, 100, &estimate);
    assert_true(estimate.bound_ns < 150000);
    expect_right(f, 100000);
    add_many(f, 50);
    expect_right(f, 5000);
}

static void stamp_errors_widen_the_bound(void **state)
{
    struct fixture *f = *state;
    struct estimate narrow, wide;

    add_many(f, 100);
    error_after(f, 1, &narrow);
    tear_down(state);
    set_up(state);
    for (unsigned i = 0; i < 100; i++) {
        struct exchange exchange;

        f->now_ns += 16000000000;
        exchange = exchange_now(f);
        exchange.stamp_error_ns = 40000;
        estimator_add(f->estimator, &exchange);
    }
    error_after(f, 1, &wide);
    assert_true(wide.bound_ns > 2 * narrow.bound_ns);
}

static void times_near_the_ends_of_their_range_are_harmless(void **state)
{
    struct fixture *f = *state;
    struct exchange exchange = {.ta = UINT64_MAX - 500000, .tf = UINT64_MAX - 200000, .tb = 1, .te = 2};
    struct estimate estimate;

    estimator_add(f->estimator, &exchange);
    exchange = (struct exchange){.ta = UINT64_MAX - 100000,
                                 .tf = UINT64_MAX,
                                 .tb = INT64_MAX - 1,
                                 .te = INT64_MAX,
                                 .stamp_error_ns = UINT32_MAX};
    estimator_add(f->estimator, &exchange);
    for (unsigned i = 0; i < 40; i++) {
        exchange.ta += 10;
        exchange.tf += 10;
        exchange.tb = i % 2 ? 5 : INT64_MAX - 1000;
        exchange.te = exchange.tb + 1;
        estimator_add(f->estimator, &exchange);
    }
    estimator_get(f->estimator, 0, &estimate);
    assert_false(isnan(estimate.bound_ns));
}

/* A server that lies by anything from a microsecond to centuries, again and again: whatever the filter makes of it, its
 * numbers stay numbers. */
static void no_lie_leaves_the_numbers(void **state)
{
    struct fixture *f = *state;
    struct estimate estimate;

    add_many(f, 20);
    for (unsigned i = 0; i < 3000; i++) {
        if (i % 5 == 0)
            f->jump_ns = (int64_t)((random_uniform(&f->random) - 0.5) * pow(10, 4 + 15 * random_uniform(&f->random)));
        add(f, pow(10, 5 * random_uniform(&f->random) - 2));
        estimator_get(f->estimator, counter_at(f, (double)f->now_ns + 1e9), &estimate);
        assert_true(isfinite(estimate.period_ns) && estimate.period_ns > 0);
        assert_true(isfinite(estimate.sigma_ns) && isfinite(estimate.bound_ns));
        assert_true(estimate.fraction >= 0 && estimate.fraction < 1);
    }
    f->jump_ns = 0;
    for (unsigned i = 0; i < 100; i++)
        add(f, 16);
    expect_right(f, 1e6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(knows_nothing_at_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finds_rate_and_offset, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_bound_grows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_the_impossible, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_outlier_moves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_step_is_believed_after_some_stamps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_new_rate_is_believed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stamps_that_agree_on_nothing_do_not_lock_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_disruption_keeps_rate_and_baseline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_counter_that_went_back_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_known_asymmetry_is_taken_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_saved_rate_gives_a_narrow_bound_soon, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stamp_errors_widen_the_bound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(times_near_the_ends_of_their_range_are_harmless, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_lie_leaves_the_numbers, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("estimator", tests, NULL, NULL);
}
