/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/estimator_moments.h"

#include <math.h>

#include "tests/unit/unit.h"

/* The same by adding up slices: of the box, relative to its largest value. */
static struct moments by_slices(double mean, double variance, double low, double high, double tilt)
{
    enum { SLICES = 200000 };
    double largest = -INFINITY, sum = 0, first = 0, second = 0, boxes = 0, step = (high - low) / SLICES;

    for (int i = 0; i < SLICES; i++) {
        double y = low + (i + 0.5) * step;

        largest = fmax(largest, tilt * (y - low) - (y - mean) * (y - mean) / (2 * variance));
    }
    for (int i = 0; i < SLICES; i++) {
        double y = low + (i + 0.5) * step;
        double density = exp(tilt * (y - low) - (y - mean) * (y - mean) / (2 * variance) - largest);

        sum += density;
        first += density * (y - low);
        second += density * (y - low) * (y - low);
        boxes += exp(tilt * (y - low) - fmax(tilt * (high - low), 0));
    }
    first /= sum;
    return (struct moments){log(sum / boxes) + largest - fmax(tilt * (high - low), 0) - log(2 * M_PI * variance) / 2,
                            low + first, second / sum - first * first};
}

static void compare(double mean, double variance, double low, double high, double tilt)
{
    struct moments fast = moments_in_box(mean, variance, low, high, tilt);
    struct moments slow = by_slices(mean, variance, low, high, tilt);

    assert_true(fabs(fast.log_likelihood - slow.log_likelihood) < 2e-3 + 1e-6 * fabs(slow.log_likelihood));
    assert_true(fabs(fast.mean - slow.mean) < 2e-3 * sqrt(slow.variance) + 1e-9);
    assert_true(fabs(fast.variance / slow.variance - 1) < 5e-3);
}

static void agrees_with_a_sum_over_slices(void **state)
{
    static const double distances[] = {-900, -40, -8, -3, -1, 0, 0.3, 2, 7, 30, 900};
    static const double widths[] = {0.001, 0.03, 0.5, 3, 20};
    static const double tilts[] = {-30, -2, -0.1, 0, 0.1, 2, 30};

    (void)state;
    for (unsigned d = 0; d < sizeof distances / sizeof *distances; d++)
        for (unsigned w = 0; w < sizeof widths / sizeof *widths; w++)
            for (unsigned t = 0; t < sizeof tilts / sizeof *tilts; t++)
                compare(10, 1, 10 + distances[d], 10 + distances[d] + widths[w], tilts[t]);
}

static void a_box_far_wider_than_the_prior_says_nothing(void **state)
{
    struct moments m = moments_in_box(5, 4, -1e6, 1e6, 0);

    (void)state;
    assert_true(fabs(m.mean - 5) < 1e-6 && fabs(m.variance - 4) < 1e-6);
    assert_true(fabs(m.log_likelihood + log(2e6)) < 1e-6);
}

static void a_prior_far_wider_than_the_box_leaves_the_box(void **state)
{
    struct moments m = moments_in_box(1e9, 1e20, 100, 112, 0);

    (void)state;
    assert_true(fabs(m.mean - 106) < 1e-3 && fabs(m.variance - 12) < 1e-3);
}

static void results_stay_finite_for_extreme_arguments(void **state)
{
    static const double means[] = {-1e15, -1e3, 0, 1e15};
    static const double variances[] = {1e-6, 1, 1e18};
    static const double widths[] = {1e-3, 1e4, 1e12};
    static const double tilts[] = {-10, 0, 1e-9, 10};

    (void)state;
    for (unsigned i = 0; i < 4 * 3 * 3 * 4; i++) {
        double low = 50, width = widths[i / 12 % 3];
        struct moments m = moments_in_box(means[i % 4], variances[i / 4 % 3], low, low + width, tilts[i / 36 % 4]);

        assert_true(isfinite(m.log_likelihood) && isfinite(m.mean) && isfinite(m.variance) && m.variance > 0);
        assert_true(m.mean >= low - 1e-6 * width - 1e-6 && m.mean <= low + width * 1.000001 + 1e-6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_sum_over_slices),
        cmocka_unit_test(a_box_far_wider_than_the_prior_says_nothing),
        cmocka_unit_test(a_prior_far_wider_than_the_box_leaves_the_box),
        cmocka_unit_test(results_stay_finite_for_extreme_arguments),
    };

    return cmocka_run_group_tests_name("estimator_moments", tests, NULL, NULL);
}
