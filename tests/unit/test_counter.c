/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/counter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "platform/counters.h"
#include "tests/unit/unit.h"

static void auto_says_what_it_took_and_why(void **state)
{
    struct counter counter;
    char why[192] = "", source[32];

    (void)state;
    assert_int_equal(counter_open(COUNTER_AUTO, &counter, why), 0);
    print_message("# %s\n", why);
    assert_true(counter.kind == COUNTER_TSC || counter.kind == COUNTER_MONOTONIC_RAW);
    assert_non_null(strstr(why, counter.kind == COUNTER_TSC ? "TSC at" : "CLOCK_MONOTONIC_RAW, because of"));
    if (counter.kind == COUNTER_TSC) {
        assert_true(platform_tsc_invariant());
        assert_int_not_equal(platform_tsc_verdict(source), PLATFORM_TSC_REJECTED);
    }
    assert_string_equal(counter_name(counter.kind), counter.kind == COUNTER_TSC ? "tsc" : "monotonic_raw");
}

/* What the daemon takes as nominal must be near the truth (500 ppm is what the estimator copes with) and the same again
 * after a restart. */
static void tsc_frequency_is_right_and_steady(void **state)
{
    double first = platform_tsc_hz(), second = platform_tsc_hz();
    struct timespec pause = {0, 200000000};
    uint64_t ns, ticks;

    (void)state;
    if (first == 0)
        skip();
    ns = platform_monotonic_raw_ns();
    ticks = platform_tsc_ordered();
    nanosleep(&pause, NULL);
    ns = platform_monotonic_raw_ns() - ns;
    ticks = platform_tsc_ordered() - ticks;
    print_message("# %.6f MHz, %.6f MHz\n", first / 1e6, second / 1e6);
    assert_true(labs((long)(first - second)) <= (long)(first * 5e-6));
    assert_true((double)ticks / first * 1e9 > (double)ns * 0.9995 && (double)ticks / first * 1e9 < (double)ns * 1.0005);
}

static void cores_are_compared(void **state)
{
    struct platform_tsc_skew skew;

    (void)state;
    if (!platform_tsc_invariant())
        skip();
    assert_int_equal(platform_tsc_compare(2000, &skew), 0);
    print_message("# %u cores compared, %u failed, skew %llu, doubt %llu ticks\n", skew.cores, skew.failed,
                  (unsigned long long)skew.skew_ticks, (unsigned long long)skew.doubt_ticks);
    assert_false(skew.apart);
    assert_true(skew.failed <= skew.cores);
}

static void only_known_kinds_open(void **state)
{
    struct counter counter;
    char why[192];

    (void)state;
    assert_int_equal(counter_open(COUNTER_SIMULATED, &counter, why), LOCKSTEP_E_BAD_VALUE);
    assert_int_equal(counter_open((enum counter_kind)17, &counter, why), LOCKSTEP_E_BAD_VALUE);
    assert_string_equal(counter_name((enum counter_kind)17), "unknown");
    assert_int_equal(counter_open(COUNTER_MONOTONIC_RAW, &counter, why), 0);
    assert_int_equal(counter.kind, COUNTER_MONOTONIC_RAW);
    assert_true(counter.nominal_hz == 1e9);
}

static void never_decreases(void **state)
{
    static const enum counter_kind kinds[] = {COUNTER_TSC, COUNTER_MONOTONIC_RAW};
    struct counter counter;
    char why[192];

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        uint64_t last = 0;

        if (counter_open(kinds[i], &counter, why) < 0)
            continue;
        for (int j = 0; j < 200000; j++) {
            uint64_t now = counter.read(counter.context);

            assert_true(now >= last);
            last = now;
        }
    }
}

static void a_bracket_holds_the_clock(void **state)
{
    struct counter_bracket first, second;
    struct counter counter;
    char why[192];
    double elapsed_ns;

    (void)state;
    assert_int_equal(counter_open(COUNTER_AUTO, &counter, why), 0);
    assert_int_equal(counter_bracket(&counter, CLOCK_MONOTONIC_RAW, &first), 0);
    assert_int_equal(counter_bracket(&counter, CLOCK_MONOTONIC_RAW, &second), 0);
    assert_true(first.before <= first.after && first.after <= second.before);
    assert_true(first.clock_ns <= second.clock_ns);
    elapsed_ns = (double)(second.after - first.before) * 1e9 / counter.nominal_hz;
    assert_true((double)(second.clock_ns - first.clock_ns) <= elapsed_ns * 1.001 + 100);
    assert_int_equal(counter_bracket(&counter, 77, &first), -EINVAL);
}

static uint64_t simulated_value;

static uint64_t simulated(void *context)
{
    return *(uint64_t *)context;
}

static void stamps_are_carried_over(void **state)
{
    struct counter counter;
    const struct counter_bracket bracket = {1000000, 1000040, 5000000000};
    uint32_t error_ns;

    (void)state;
    counter_simulated(&counter, 2e9, simulated, &simulated_value); /* half a ns a tick */
    assert_int_equal(counter_carry_over(&counter, &bracket, 5000000000, &error_ns), 1000020);
    assert_in_range(error_ns, 10, 12);
    assert_int_equal(counter_carry_over(&counter, &bracket, 5000000100, &error_ns), 1000220);
    assert_int_equal(counter_carry_over(&counter, &bracket, 4999999900, &error_ns), 999820);
    /* A millisecond away: 500 ppm of it are in doubt. */
    assert_int_equal(counter_carry_over(&counter, &bracket, 5001000000, &error_ns), 3000020);
    assert_in_range(error_ns, 510, 512);
    counter_carry_over(&counter, &bracket, 4000000000, &error_ns);
    assert_in_range(error_ns, 500000, 500020);
}

static void far_stamps_are_not(void **state)
{
    static const int64_t stamps[] = {INT64_MIN, INT64_MAX, 0, 5000000000 + 3600000000001};
    const struct counter_bracket bracket = {1000000, 1000040, 5000000000};
    struct counter counter;
    uint32_t error_ns;

    (void)state;
    counter_simulated(&counter, 2e9, simulated, &simulated_value);
    for (size_t i = 0; i < sizeof stamps / sizeof *stamps; i++) {
        counter_carry_over(&counter, &bracket, stamps[i], &error_ns);
        if (stamps[i] != 0)
            assert_int_equal(error_ns, UINT32_MAX);
    }
}

/* A real clock's stamp, taken between two brackets, lands between them. */
static void a_stamp_lands_where_it_was_taken(void **state)
{
    struct counter counter;
    struct counter_bracket bracket;
    char why[192];
    int64_t stamp;
    uint64_t before, after, carried;
    uint32_t error_ns;

    (void)state;
    assert_int_equal(counter_open(COUNTER_AUTO, &counter, why), 0);
    for (int i = 0; i < 100; i++) {
        double slack;

        before = counter.read(counter.context);
        assert_int_equal(platform_clock_ns(CLOCK_REALTIME, &stamp), 0);
        after = counter.read(counter.context);
        assert_int_equal(counter_bracket(&counter, CLOCK_REALTIME, &bracket), 0);
        carried = counter_carry_over(&counter, &bracket, stamp, &error_ns);
        slack = (double)error_ns * counter.nominal_hz / 1e9 + 1;
        assert_true((double)carried > (double)before - slack && (double)carried < (double)after + slack);
    }
}

static void boot_is_named(void **state)
{
    static const uint8_t nothing[16];
    uint8_t first[16], second[16];

    (void)state;
    assert_int_equal(platform_boot_id(first), 0);
    assert_int_equal(platform_boot_id(second), 0);
    assert_memory_equal(first, second, 16);
    assert_memory_not_equal(first, nothing, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auto_says_what_it_took_and_why),
        cmocka_unit_test(tsc_frequency_is_right_and_steady),
        cmocka_unit_test(cores_are_compared),
        cmocka_unit_test(only_known_kinds_open),
        cmocka_unit_test(never_decreases),
        cmocka_unit_test(a_bracket_holds_the_clock),
        cmocka_unit_test(stamps_are_carried_over),
        cmocka_unit_test(far_stamps_are_not),
        cmocka_unit_test(a_stamp_lands_where_it_was_taken),
        cmocka_unit_test(boot_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
