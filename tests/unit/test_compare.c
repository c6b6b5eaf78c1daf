/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/compare.h"

#include <math.h>

#include "tests/unit/unit.h"

#define CLOSE(a, b) assert_true(fabs((a) - (b)) < 1e-9)

static double a[COMPARE_PAIRS_MAX], b[COMPARE_PAIRS_MAX];

static void equal_ratios_leave_no_doubt(void **state)
{
    struct compare_interval interval;

    (void)state;
    for (int i = 0; i < 6; i++) {
        a[i] = 100 + i;
        b[i] = a[i] / 2;
    }
    interval = compare_pairs(a, b, 6, 0.95);
    assert_int_equal(interval.pairs, 6);
    CLOSE(interval.ratio, 0.5);
    CLOSE(interval.low, 0.5);
    CLOSE(interval.high, 0.5);
    CLOSE(interval.confidence, 1 - 2.0 / 64);
    CLOSE(interval.p_value, 2.0 / 64);
}

/* Ten differences of logarithms 1 to 10: of their 55 averages 8 are left out at either end (25/1024 each). */
static void the_interval_is_wilcoxons(void **state)
{
    struct compare_interval interval;

    (void)state;
    for (int i = 0; i < 10; i++) {
        a[i] = 1;
        b[i] = exp(i + 1);
    }
    interval = compare_pairs(a, b, 10, 0.95);
    CLOSE(interval.confidence, 1 - 2 * 25.0 / 1024);
    CLOSE(log(interval.ratio), 5.5);
    /* The averages in order: 1, 1.5, 2, 2, 2.5, 2.5, 3, 3, 3, ...: the ninth is 3; and symmetric from above. */
    CLOSE(log(interval.low), 3);
    CLOSE(log(interval.high), 8);
    CLOSE(interval.p_value, 2.0 / 1024);
}

/* By hand: differences -1, 2, 3: ranks 1, 2, 3; the positive ones sum up to 5. Of the eight sums 0 1 2 3 3 4 5 6, two
 * are at least 5. */
static void few_pairs_say_little(void **state)
{
    struct compare_interval interval;

    (void)state;
    for (int i = 0; i < 3; i++)
        a[i] = 1;
    b[0] = exp(-1);
    b[1] = exp(2);
    b[2] = exp(3);
    interval = compare_pairs(a, b, 3, 0.95);
    CLOSE(interval.p_value, 0.5);
    CLOSE(interval.confidence, 0.75);
    CLOSE(log(interval.low), -1);
    CLOSE(log(interval.high), 3);
    CLOSE(log(interval.ratio), 1.5); /* of -1, 0.5, 1, 2, 2.5, 3 the middle two */
    interval = compare_pairs(a, b, 1, 0.95);
    CLOSE(interval.confidence, 0);
    assert_true(isinf(interval.high));
    CLOSE(interval.low, 0);
    interval = compare_pairs(a, b, 0, 0.95);
    assert_int_equal(interval.pairs, 0);
    CLOSE(interval.ratio, 0);
}

static void ties_share_their_rank(void **state)
{
    static const double differences[] = {1, 1, -1, 2};
    struct compare_interval interval;

    (void)state;
    for (int i = 0; i < 4; i++) {
        a[i] = 1;
        b[i] = exp2(differences[i]);
    }
    /* Ranks 2, 2, 2, 4; positive: 8. Sums of at least 8 among the 16: 2+2+4 three times, and 2+2+2+4: 4/16. */
    interval = compare_pairs(a, b, 4, 0.9);
    CLOSE(interval.p_value, 0.5);
}

static void no_difference_is_no_difference(void **state)
{
    struct compare_interval interval;

    (void)state;
    for (int i = 0; i < 8; i++)
        a[i] = b[i] = i + 1;
    interval = compare_pairs(a, b, 8, 0.95);
    CLOSE(interval.ratio, 1);
    CLOSE(interval.p_value, 1);
}

static void pairs_without_a_logarithm_are_left_out(void **state)
{
    struct compare_interval interval;

    (void)state;
    for (int i = 0; i < 6; i++) {
        a[i] = 10;
        b[i] = 20;
    }
    a[2] = 0;
    b[4] = -3;
    interval = compare_pairs(a, b, 6, 0.95);
    assert_int_equal(interval.pairs, 4);
    CLOSE(interval.ratio, 2);
}

static void many_pairs_are_fine(void **state)
{
    struct compare_interval interval;

    (void)state;
    for (int i = 0; i < COMPARE_PAIRS_MAX; i++) {
        a[i] = 100;
        b[i] = 70 + i % 7;
    }
    interval = compare_pairs(a, b, COMPARE_PAIRS_MAX, 0.95);
    assert_true(interval.low <= interval.ratio && interval.ratio <= interval.high);
    assert_true(interval.low >= 0.7 && interval.high <= 0.76);
    assert_true(interval.confidence >= 0.95 && interval.confidence < 0.96);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_ratios_leave_no_doubt),
        cmocka_unit_test(the_interval_is_wilcoxons),
        cmocka_unit_test(few_pairs_say_little),
        cmocka_unit_test(ties_share_their_rank),
        cmocka_unit_test(no_difference_is_no_difference),
        cmocka_unit_test(pairs_without_a_logarithm_are_left_out),
        cmocka_unit_test(many_pairs_are_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
