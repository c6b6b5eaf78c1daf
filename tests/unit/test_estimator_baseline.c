/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/estimator_baseline.h"

#include <math.h>
#include <string.h>

#include "tests/sim/random.h"
#include "tests/unit/unit.h"

#define FLOOR 50.0

struct fixture {
    struct baseline baseline;
    struct random random;
    double time;
};

static int set_up(void **state)
{
    static struct fixture fixture;

    memset(&fixture, 0, sizeof fixture);
    fixture.random.state = 7;
    baseline_init(&fixture.baseline, 0, FLOOR);
    *state = &fixture;
    return 0;
}

static enum baseline_event add(struct fixture *f, double low, double queue)
{
    double excess = random_exponential(&f->random, queue) + random_exponential(&f->random, queue);

    f->time += 16;
    return baseline_add(&f->baseline, low + excess, f->time, FLOOR);
}

static void expect_no_shift(struct fixture *f, double low, double queue, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        enum baseline_event event = add(f, low, queue);

        assert_true(event == BASELINE_SAME || event == BASELINE_RUN);
    }
}

/* Feeds until the event comes and enters the path; returns the number of stamps that it took. */
static unsigned expect_shift(struct fixture *f, double low, double queue, enum baseline_event wanted, bool known,
                             struct baseline_path *path)
{
    for (unsigned i = 1; i < 100; i++) {
        enum baseline_event event = add(f, low, queue);

        if (event != BASELINE_UP && event != BASELINE_DOWN)
            continue;
        assert_int_equal(event, wanted);
        assert_int_equal(baseline_change_path(&f->baseline, 0, 0, f->time, FLOOR, path), known);
        return i;
    }
    fail_msg("no shift");
    return 0;
}

static void follows_the_minimum(void **state)
{
    struct fixture *f = *state;

    expect_no_shift(f, 60000, 5000, 2000);
    assert_true(f->baseline.now >= 60000 && f->baseline.now < 60600);
    assert_true(fabs(f->baseline.mean_excess - 10000) < 3000);
    assert_true(baseline_doubt(&f->baseline) < 500);
}

static void forgets_an_old_minimum(void **state)
{
    struct fixture *f = *state;

    expect_no_shift(f, 60000, 5000, 300);
    /* Too little for a shift; the window forgets the old minimum. */
    expect_no_shift(f, 63000, 5000, 1100);
    assert_true(f->baseline.now >= 63000);
}

static void finds_another_path_and_the_old_one_again(void **state)
{
    struct fixture *f = *state;
    struct baseline_path path;

    expect_no_shift(f, 60000, 5000, 200);
    assert_in_range(expect_shift(f, 560000, 5000, BASELINE_UP, false, &path), 8, 12);
    assert_true(fabs(f->baseline.now - 560000) < 12000);
    assert_false(baseline_is_lowest(&f->baseline));
    expect_no_shift(f, 560000, 5000, 200);
    assert_int_equal(expect_shift(f, 60000, 5000, BASELINE_DOWN, true, &path), 1);
    assert_true(f->baseline.now < 61000);
    assert_true(baseline_is_lowest(&f->baseline));
    assert_in_range(expect_shift(f, 560000, 5000, BASELINE_UP, true, &path), 8, 12);
}

static void tells_load_from_a_path(void **state)
{
    struct fixture *f = *state;

    expect_no_shift(f, 60000, 2000, 500);
    expect_no_shift(f, 60000, 150000, 500);
    assert_true(f->baseline.now < 60600);
}

static void a_suspect_path_is_believed_sooner(void **state)
{
    struct fixture *f = *state;
    struct baseline_path path;

    expect_no_shift(f, 60000, 1000, 200);
    f->baseline.suspect = true;
    assert_in_range(expect_shift(f, 560000, 1000, BASELINE_UP, false, &path), 3, 6);
    assert_false(f->baseline.suspect);
}

static void starts_from_a_hint(void **state)
{
    struct fixture *f = *state;

    baseline_init(&f->baseline, 59000, FLOOR);
    expect_no_shift(f, 60000, 5000, 10);
    assert_true(f->baseline.now == 59000);
    assert_in_range((unsigned)f->baseline.mean_excess, 4000, 20000);
}

static void remembers_four_paths(void **state)
{
    struct fixture *f = *state;
    struct baseline_path path;

    expect_no_shift(f, 100000, 500, 50);
    for (int i = 1; i < BASELINE_PATHS; i++) {
        expect_shift(f, 100000 + i * 200000, 500, BASELINE_UP, false, &path);
        expect_no_shift(f, 100000 + i * 200000, 500, 50);
    }
    for (int i = BASELINE_PATHS - 2; i >= 0; i--)
        expect_shift(f, 100000 + i * 200000, 500, BASELINE_DOWN, true, &path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(follows_the_minimum, set_up),
        cmocka_unit_test_setup(forgets_an_old_minimum, set_up),
        cmocka_unit_test_setup(finds_another_path_and_the_old_one_again, set_up),
        cmocka_unit_test_setup(tells_load_from_a_path, set_up),
        cmocka_unit_test_setup(a_suspect_path_is_believed_sooner, set_up),
        cmocka_unit_test_setup(starts_from_a_hint, set_up),
        cmocka_unit_test_setup(remembers_four_paths, set_up),
    };

    return cmocka_run_group_tests_name("estimator_baseline", tests, NULL, NULL);
}
