/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/leap.h"
#include "tests/unit/unit.h"

#define S        1000000000ll
#define YEAR_END (1798761600 * S) /* 2027-01-01 00:00:00 UTC */
#define JULY     (1814400000 * S) /* 2027-07-01 00:00:00 UTC */

static struct leap_table table_of(int leap)
{
    return (struct leap_table){.tai_utc_s = 37, .leap = leap, .leap_at_ns = leap ? leap_moment(37, YEAR_END, leap) : 0};
}

static void ends_of_months(void **state)
{
    (void)state;
    assert_true(leap_month_end(YEAR_END - 1) == YEAR_END);
    assert_true(leap_month_end(YEAR_END - 31 * 86400 * S) == YEAR_END);
    assert_true(leap_month_end(YEAR_END - 31 * 86400 * S - 1) == INT64_MAX); /* November */
    assert_true(leap_month_end(YEAR_END) == INT64_MAX);
    assert_true(leap_month_end(JULY - 30 * 86400 * S) == JULY);
    assert_true(leap_month_end(JULY - 30 * 86400 * S - 1) == INT64_MAX);
    assert_true(leap_month_end(-5) == INT64_MAX);
}

/* An inserted second repeats 23:59:59, a deleted one leaves it out. */
static void utc_around_the_moment(void **state)
{
    struct leap_table insert = table_of(1), remove = table_of(-1), none = table_of(0);

    (void)state;
    assert_true(leap_to_utc(&insert, YEAR_END + 37 * S - 1) == YEAR_END - 1);
    assert_true(leap_to_utc(&insert, YEAR_END + 37 * S) == YEAR_END - S);
    assert_true(leap_to_utc(&insert, YEAR_END + 38 * S) == YEAR_END);
    assert_true(leap_to_utc(&remove, YEAR_END + 36 * S - 1) == YEAR_END - S - 1);
    assert_true(leap_to_utc(&remove, YEAR_END + 36 * S) == YEAR_END);
    assert_true(leap_to_utc(&none, YEAR_END + 37 * S) == YEAR_END);
    assert_int_equal(leap_offset(&insert, YEAR_END + 37 * S), 38);
}

static void tai_of_utc(void **state)
{
    (void)state;
    for (int leap = -1; leap <= 1; leap++) {
        struct leap_table table = table_of(leap);

        for (int64_t tai_ns = YEAR_END; tai_ns < YEAR_END + 80 * S; tai_ns += S / 4) {
            int64_t back_ns = leap_to_tai(&table, leap_to_utc(&table, tai_ns));

            /* The second time round, the name of the second stands for the first one. */
            if (leap > 0 && tai_ns >= table.leap_at_ns && tai_ns < table.leap_at_ns + S)
                assert_true(back_ns == tai_ns - S);
            else
                assert_true(back_ns == tai_ns);
        }
    }
}

static void nearest_to_what_is_known(void **state)
{
    struct leap_table table = table_of(1), none = table_of(0);
    int64_t at_ns = table.leap_at_ns;
    int shift;

    (void)state;
    /* A server that follows, one that does not, both right after the moment. */
    assert_true(leap_to_tai_near(&table, YEAR_END - S / 2, at_ns + S / 2 + 1000, &shift) == at_ns + S / 2);
    assert_int_equal(shift, 1);
    assert_true(leap_to_tai_near(&table, YEAR_END + S / 2, at_ns + S / 2 - 1000, &shift) == at_ns + S / 2);
    assert_int_equal(shift, 0);
    assert_true(leap_to_tai_near(&none, YEAR_END - S / 2, at_ns + S / 2, &shift) == at_ns + S / 2);
    assert_int_equal(shift, 1);
    assert_true(leap_to_tai_near(&none, YEAR_END + 3 * S / 2, at_ns + S / 2, &shift) == at_ns + S / 2);
    assert_int_equal(shift, -1);
    /* Neither: what the table says. */
    assert_true(leap_to_tai_near(&table, YEAR_END + 100 * S, at_ns + 2 * S, &shift) == YEAR_END + 138 * S);
    assert_int_equal(shift, 0);
    /* Far from any moment a second is an error like any other. */
    at_ns -= 60 * S;
    assert_true(leap_to_tai_near(&table, at_ns - 38 * S, at_ns, &shift) == at_ns - S);
    assert_int_equal(shift, 0);
    at_ns += 60 * S + LEAP_SETTLE_NS;
    assert_true(leap_to_tai_near(&table, at_ns - 37 * S, at_ns, &shift) == at_ns + S);
    assert_int_equal(shift, 0);
}

static void what_is_over_counts_for_the_past_only(void **state)
{
    struct leap_table insert = table_of(1);
    struct leap_table during = leap_present(&insert, insert.leap_at_ns + S);
    struct leap_table after = leap_present(&insert, insert.leap_at_ns + LEAP_SETTLE_NS);

    (void)state;
    assert_memory_equal(&during, &insert, sizeof during);
    assert_int_equal(after.tai_utc_s, 38);
    assert_int_equal(after.leap, 0);
    assert_true(leap_is_pending(&insert, 0));
    assert_false(leap_is_pending(&after, 0));
}

static void near_only_where_one_can_be(void **state)
{
    struct leap_table none = table_of(0), insert = table_of(1);
    int64_t moment_ns = YEAR_END + 37 * S;

    (void)state;
    assert_false(leap_is_near(&none, moment_ns - 3 * S));
    assert_true(leap_is_near(&none, moment_ns - S));
    assert_true(leap_is_near(&none, moment_ns + LEAP_SETTLE_NS - 1));
    assert_false(leap_is_near(&none, moment_ns + LEAP_SETTLE_NS));
    assert_false(leap_is_near(&none, moment_ns - 31 * 86400 * S));
    assert_true(leap_is_near(&insert, moment_ns + LEAP_SETTLE_NS - 1));
    assert_false(leap_is_near(&insert, moment_ns + LEAP_SETTLE_NS)); /* it has been dealt with */
    assert_true(leap_near_moment(&insert, JULY + 38 * S) == JULY + 38 * S);
    insert.leap_at_ns += 40 * 86400 * S; /* told by a table for another month */
    assert_true(leap_is_near(&insert, insert.leap_at_ns));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_of_months),
        cmocka_unit_test(utc_around_the_moment),
        cmocka_unit_test(tai_of_utc),
        cmocka_unit_test(nearest_to_what_is_known),
        cmocka_unit_test(what_is_over_counts_for_the_past_only),
        cmocka_unit_test(near_only_where_one_can_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
