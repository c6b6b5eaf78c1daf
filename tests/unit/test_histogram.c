/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/histogram.h"

#include <string.h>

#include "tests/unit/unit.h"

static uint64_t buckets[HISTOGRAM_BUCKETS];

static int clear(void **state)
{
    (void)state;
    memset(buckets, 0, sizeof buckets);
    return 0;
}

static void every_value_has_its_bucket(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        assert_int_equal(histogram_index(histogram_bucket_low(i)), i);
        assert_int_equal(histogram_index(histogram_bucket_high(i)), i);
        assert_true(i == 0 || histogram_bucket_low(i) == histogram_bucket_high(i - 1) + 1);
    }
    for (unsigned exponent = 0; exponent < 64; exponent++)
        assert_true(histogram_index((1ull << exponent) - 1) <= histogram_index(1ull << exponent));
    assert_int_equal(histogram_index(1ull << 35), HISTOGRAM_BUCKETS - 1);
    assert_int_equal(histogram_index(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void buckets_are_at_most_a_sixteenth_wide(void **state)
{
    (void)state;
    for (unsigned i = 16; i < HISTOGRAM_BUCKETS - 1; i++)
        assert_true(histogram_bucket_high(i) - histogram_bucket_low(i) + 1 <= histogram_bucket_low(i) / 16);
    assert_in_range(histogram_bucket_low(HISTOGRAM_BUCKETS - 1), 30000000000, 35000000000);
}

static void empty_has_zero_quantiles(void **state)
{
    struct histogram_summary summary;

    (void)state;
    histogram_summarise(buckets, &summary);
    assert_int_equal(summary.count, 0);
    assert_int_equal(summary.p50, 0);
    assert_int_equal(summary.max, 0);
}

static void quantiles_of_a_uniform_spread_are_near_the_true_ones(void **state)
{
    static const uint32_t per_million[] = {1, 10000, 500000, 900000, 990000, 999000, 999990, 1000000};

    (void)state;
    for (uint64_t value = 1; value <= 1000000; value++)
        histogram_record(buckets, value);
    assert_int_equal(histogram_count(buckets), 1000000);
    for (size_t i = 0; i < sizeof per_million / sizeof *per_million; i++) {
        uint64_t got = histogram_quantile(buckets, per_million[i]);

        /* The top bucket is not full: there the spread inside it is a guess within its width. */
        assert_in_range(got, per_million[i] - per_million[i] / 16, per_million[i] + per_million[i] / 16);
    }
}

static void ranks_are_exact(void **state)
{
    (void)state;
    /* 99,999 small values and one large: p99.999 is the last small one, the maximum the large one. */
    for (int i = 0; i < 99999; i++)
        histogram_record(buckets, 3);
    histogram_record(buckets, 5000000);
    assert_int_equal(histogram_quantile(buckets, 999990), 3);
    assert_in_range(histogram_quantile(buckets, 999991), 4700000, 5300000);
    /* One more large value lifts p99.999. */
    histogram_record(buckets, 5000000);
    assert_in_range(histogram_quantile(buckets, 999990), 4700000, 5300000);
}

static void merge_adds_counts(void **state)
{
    static uint64_t other[HISTOGRAM_BUCKETS];
    struct histogram_summary summary;

    (void)state;
    histogram_record(buckets, 5);
    histogram_record(other, 5);
    histogram_record(other, 7);
    histogram_merge(buckets, other);
    histogram_summarise(buckets, &summary);
    assert_int_equal(summary.count, 3);
    assert_int_equal(summary.p50, 5);
    assert_int_equal(summary.max, 7);
    assert_int_equal(histogram_count(other), 2);
}

static void huge_counts_do_not_overflow(void **state)
{
    (void)state;
    buckets[1] = UINT64_MAX / 2;
    buckets[400] = 1;
    assert_int_equal(histogram_quantile(buckets, 999999), 1);
    assert_int_equal(histogram_index(histogram_quantile(buckets, 1000000)), 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_has_its_bucket),
        cmocka_unit_test(buckets_are_at_most_a_sixteenth_wide),
        cmocka_unit_test_setup(empty_has_zero_quantiles, clear),
        cmocka_unit_test_setup(quantiles_of_a_uniform_spread_are_near_the_true_ones, clear),
        cmocka_unit_test_setup(ranks_are_exact, clear),
        cmocka_unit_test_setup(merge_adds_counts, clear),
        cmocka_unit_test_setup(huge_counts_do_not_overflow, clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
