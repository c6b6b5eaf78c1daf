/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "clock/steering.h"
#include "tests/unit/unit.h"

#define HZ     2e9
#define PERIOD 0.5
#define SECOND ((uint64_t)HZ)
#define START  (1000 * SECOND)

static const struct steering_config config = {
    .nominal_period_ns = PERIOD,
    .slew_ppm = 100,
    .step_limit_ns = 1e6,
    .holdover_limit_ns = 50000,
    .drift_ppb = 50,
};

/* The line of the truth (0 at START, exactly PERIOD a tick) put wrong by offset_ns. */
static struct steering_line line_at(uint64_t counter, double offset_ns, double bound_ns)
{
    double ns = (double)(counter - START) * PERIOD + offset_ns;

    return (struct steering_line){
        .counter = counter,
        .time_ns = (int64_t)floor(ns),
        .fraction = ns - floor(ns),
        .period_ns = PERIOD,
        .difference_period_ns = PERIOD * (1 + 1e-9),
        .bound_ns = bound_ns,
        .growth_ppb = 10,
        .slew_within_ns = 250e6,
    };
}

static double error_at(const struct steering *steering, uint64_t counter)
{
    int64_t time_ns;
    double fraction;

    assert_true(steering_time(steering, counter, &time_ns, &fraction));
    assert_true(fraction >= 0 && fraction < 1);
    return (double)time_ns - (double)(counter - START) * PERIOD + fraction;
}

static struct steering followed(double offset_ns, double bound_ns)
{
    struct steering steering;
    struct steering_line line = line_at(START, offset_ns, bound_ns);

    steering_init(&steering, &config);
    assert_int_equal(steering_follow(&steering, &line), STEERING_FIRST);
    return steering;
}

static void nothing_before_the_first_line(void **state)
{
    struct steering steering;
    double fraction;
    int64_t time_ns;

    (void)state;
    steering_init(&steering, &config);
    assert_int_equal(steering.values.status, LOCKSTEP_CLOCK_UNSYNCHRONISED);
    assert_false(steering_time(&steering, START, &time_ns, &fraction));
    assert_false(steering_hold(&steering, START));
    steering_disrupt(&steering, START);
    assert_int_equal(steering.values.status, LOCKSTEP_CLOCK_UNSYNCHRONISED);
    assert_int_equal(steering.values.disruptions, 1);
    assert_true(steering.values.period_ns > 0 && steering.values.slew_period_ns > 0);
}

static void corrections_are_continuous_and_within_the_rate(void **state)
{
    static const double offsets[] = {0, 0.3, -0.3, 77.7, -500, 30000, -30000, 999999, -999999};

    (void)state;
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        struct steering steering = followed(0, 1000);
        uint64_t counter = START + SECOND + 12345;
        struct steering_line line = line_at(counter, offsets[i], 800);
        const struct clock_values *values = &steering.values;
        double rate;

        assert_int_equal(steering_follow(&steering, &line), STEERING_FOLLOWED);
        assert_int_equal(values->status, LOCKSTEP_CLOCK_SYNCHRONISED);
        assert_true(values->counter == counter);
        assert_true(fabs(error_at(&steering, counter)) < 1e-3);
        assert_true(fabs(steering_remaining(&steering, counter) - offsets[i]) < 1e-3);
        rate = values->slew_period_ns / values->period_ns - 1;
        assert_true(fabs(rate) <= 100.0001e-6);
        if (fabs(offsets[i]) < 200) /* gently, if there is time */
            assert_true(fabs(rate) <= 1.0001e-6);
        assert_true(fabs(error_at(&steering, values->counter_switch) - offsets[i]) < 1e-3);
        assert_true(fabs(error_at(&steering, counter + 100 * SECOND) - offsets[i]) < 1e-3);
        assert_true((double)values->bound_ns >= 800 + fabs(offsets[i]));
        assert_true((double)values->bound_ns <= 802 + fabs(offsets[i]));
        assert_true((double)(values->counter_switch - counter) * PERIOD <=
                    fmax(250e6, fabs(offsets[i]) / 100e-6) + 1000);
        assert_int_equal(values->disruptions, 0);
    }
}

static void corrections_may_be_corrected(void **state)
{
    struct steering steering = followed(0, 1000);
    double last = 0;

    (void)state;
    for (uint64_t i = 1; i <= 200; i++) {
        uint64_t counter = START + i * SECOND / 10;
        struct steering_line line = line_at(counter, i % 3 == 0 ? 90000 : -40000, 500);
        double before = error_at(&steering, counter);

        steering_follow(&steering, &line);
        assert_true(fabs(error_at(&steering, counter) - before) < 1e-3);
        assert_true(fabs(before - last) <= 100e6 * 100e-6 + 1);
        last = before;
    }
    assert_int_equal(steering.values.disruptions, 0);
}

static void large_corrections_are_steps(void **state)
{
    struct steering steering = followed(0, 1000);
    struct steering_line line = line_at(START + SECOND, 1000001, 700);

    (void)state;
    assert_int_equal(steering_follow(&steering, &line), STEERING_STEPPED);
    assert_int_equal(steering.values.disruptions, 1);
    assert_true(fabs(error_at(&steering, START + SECOND) - 1000001) < 1e-3);
    assert_true(steering.values.counter_switch == steering.values.counter);
    assert_true(steering.values.bound_ns <= 701);
}

static void holdover_goes_on_and_ends(void **state)
{
    struct steering steering = followed(0, 1000);
    struct steering_line line = line_at(START + SECOND, 300, 1000);
    uint64_t counter, void_after;
    double bound = 0;

    (void)state;
    line.wander_ppb = 30;
    steering_follow(&steering, &line);
    void_after = steering.values.void_after;
    for (counter = START + 2 * SECOND; steering_hold(&steering, counter); counter += 10 * SECOND) {
        assert_int_equal(steering.values.status, LOCKSTEP_CLOCK_HOLDOVER);
        assert_true((double)steering.values.bound_ns > bound);
        bound = (double)steering.values.bound_ns;
        assert_true(counter < START + 2 * SECOND + SECOND || fabs(error_at(&steering, counter) - 300) < 1e-3);
        /* The end was foreseen, and stays where it was. */
        assert_true(fabs((double)(int64_t)(steering.values.void_after - void_after)) <
                    0.08 * (double)(void_after - START));
    }
    assert_int_equal(steering.values.status, LOCKSTEP_CLOCK_UNSYNCHRONISED);
    assert_true(fabs((double)(int64_t)(counter - void_after)) < 11e0 * HZ);
    assert_true(bound > 45000);
    assert_true((double)(counter - START) > 500 * HZ);
    /* Back where it would have been: nothing has jumped. */
    line = line_at(counter, 500, 1000);
    assert_int_equal(steering_follow(&steering, &line), STEERING_FIRST);
    assert_int_equal(steering.values.disruptions, 0);
}

static void time_that_was_void_and_moved_is_a_disruption(void **state)
{
    struct steering steering = followed(0, 1000);
    struct steering_line line = line_at(START + 5000 * SECOND, 2e6, 1000);

    (void)state;
    assert_false(steering_hold(&steering, START + 5000 * SECOND));
    assert_int_equal(steering_follow(&steering, &line), STEERING_FIRST);
    assert_int_equal(steering.values.disruptions, 1);
}

static void the_bound_growth_covers_a_reader_alone(void **state)
{
    struct steering steering = followed(0, 1000);
    struct steering_line line = line_at(START + SECOND, 0, 1000);

    (void)state;
    line.wander_ppb = 80;
    steering_follow(&steering, &line);
    for (double age_s = 1; age_s < 1000; age_s *= 1.5) {
        double true_bound = 1000 + age_s * (50 + 80 * sqrt(age_s / 1000));
        double shown = (double)steering.values.bound_ns + age_s * steering.values.bound_growth_ppb;

        if ((double)(steering.values.void_after - steering.values.counter) / HZ > age_s)
            assert_true(shown >= true_bound);
    }
}

static void holds_what_is_better_than_the_new_line(void **state)
{
    struct steering steering = followed(0, 1000);
    struct steering_line line;

    (void)state;
    assert_true(steering_hold(&steering, START + SECOND));
    line = line_at(START + SECOND, 15000, 20000);
    assert_int_equal(steering_follow(&steering, &line), STEERING_HELD);
    assert_int_equal(steering.values.status, LOCKSTEP_CLOCK_HOLDOVER);
    line = line_at(START + 20 * SECOND, 25000, 20000); /* contradicts it */
    assert_int_equal(steering_follow(&steering, &line), STEERING_FOLLOWED);
    steering = followed(0, 1000);
    steering_hold(&steering, START + SECOND);
    line = line_at(START + SECOND, 500, 900); /* better */
    assert_int_equal(steering_follow(&steering, &line), STEERING_FOLLOWED);
    /* But not for ever. */
    steering = followed(0, 1000);
    steering_hold(&steering, START + SECOND);
    for (uint64_t i = 1; i <= 60; i++) {
        line = line_at(START + i * SECOND, 15000, 20000);
        assert_int_equal(steering_follow(&steering, &line), STEERING_HELD);
    }
    line = line_at(START + 62 * SECOND, 15000, 20000);
    assert_int_equal(steering_follow(&steering, &line), STEERING_FOLLOWED);
}

static void resumes_in_the_middle_of_a_correction(void **state)
{
    struct steering steering = followed(0, 1000), next;
    struct steering_line line = line_at(START + SECOND, 40000, 900);
    struct clock_values published;

    (void)state;
    steering_follow(&steering, &line);
    published = steering.values;
    published.disruptions = 5;
    for (int i = 0; i < 20; i++) {
        uint64_t counter = START + SECOND + (uint64_t)i * SECOND / 20;

        steering_init(&next, &config);
        assert_true(steering_resume(&next, &published, counter));
        assert_int_equal(next.values.disruptions, 5);
        assert_int_equal(next.values.status, LOCKSTEP_CLOCK_HOLDOVER);
        assert_true(fabs(error_at(&next, counter) - error_at(&steering, counter)) < 1e-3);
        assert_true(fabs(error_at(&next, counter + 10 * SECOND) - 40000) < 1e-2);
        assert_true((double)next.values.bound_ns + 1 >= 900 + fabs(error_at(&next, counter) - 40000));
    }
    steering_init(&next, &config);
    assert_false(steering_resume(&next, &published, published.void_after + 1));
    assert_int_equal(next.values.status, LOCKSTEP_CLOCK_UNSYNCHRONISED);
}

static void its_own_reference(void **state)
{
    struct steering steering;
    struct steering_line first = line_at(START, 0, 0);

    (void)state;
    steering_init(&steering, &config);
    for (uint64_t i = 0; i < 100; i++) {
        steering_be_reference(&steering, START + i * 60 * SECOND, &first);
        assert_int_equal(steering.values.status, LOCKSTEP_CLOCK_SYNCHRONISED);
        assert_true(fabs(error_at(&steering, START + i * 60 * SECOND)) < 1e-3);
        assert_true(steering.values.bound_ns <= 2);
        assert_true((int64_t)(steering.values.void_after - steering.values.counter) > (int64_t)(500 * SECOND));
    }
}

static void disruption_takes_the_time_away(void **state)
{
    struct steering steering = followed(0, 1000);
    struct steering_line line = line_at(START + 9 * SECOND, 5e9, 1000);
    double fraction;
    int64_t time_ns;

    (void)state;
    steering_disrupt(&steering, START + SECOND);
    assert_int_equal(steering.values.status, LOCKSTEP_CLOCK_DISRUPTED);
    assert_false(steering_time(&steering, START + SECOND, &time_ns, &fraction));
    assert_false(steering_hold(&steering, START + 2 * SECOND));
    assert_int_equal(steering.values.status, LOCKSTEP_CLOCK_DISRUPTED);
    assert_int_equal(steering_follow(&steering, &line), STEERING_FIRST);
    assert_int_equal(steering.values.disruptions, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_before_the_first_line),
        cmocka_unit_test(corrections_are_continuous_and_within_the_rate),
        cmocka_unit_test(corrections_may_be_corrected),
        cmocka_unit_test(large_corrections_are_steps),
        cmocka_unit_test(holdover_goes_on_and_ends),
        cmocka_unit_test(time_that_was_void_and_moved_is_a_disruption),
        cmocka_unit_test(the_bound_growth_covers_a_reader_alone),
        cmocka_unit_test(holds_what_is_better_than_the_new_line),
        cmocka_unit_test(resumes_in_the_middle_of_a_correction),
        cmocka_unit_test(its_own_reference),
        cmocka_unit_test(disruption_takes_the_time_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
