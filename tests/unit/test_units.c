/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/units.h"

#include "tests/unit/unit.h"

static void nanoseconds(void **state)
{
    char text[UNITS_TEXT_MAX];

    (void)state;
    assert_string_equal(units_format_ns(0, text), "0 ns");
    assert_string_equal(units_format_ns(999, text), "999 ns");
    assert_string_equal(units_format_ns(1000, text), "1.000 us");
    assert_string_equal(units_format_ns(1234567, text), "1.235 ms");
    assert_string_equal(units_format_ns(12345678901, text), "12.35 s");
    assert_string_equal(units_format_ns(3600000000000, text), "3600 s");
}

static void rounding_never_shows_a_thousand(void **state)
{
    char text[UNITS_TEXT_MAX];

    (void)state;
    assert_string_equal(units_format_ns(999949, text), "999.9 us");
    assert_string_equal(units_format_ns(999950, text), "1.000 ms");
    assert_string_equal(units_format_ns(9999600, text), "10.00 ms");
    assert_string_equal(units_format_ns(99996000, text), "100.0 ms");
}

static void bytes_counts_and_rates(void **state)
{
    char text[UNITS_TEXT_MAX];

    (void)state;
    assert_string_equal(units_format_bytes(1023, text), "1023 B");
    assert_string_equal(units_format_bytes(1536, text), "1.500 KiB");
    assert_string_equal(units_format_bytes(UINT64_MAX, text), "16.00 EiB");
    assert_string_equal(units_format_count(999, text), "999");
    assert_string_equal(units_format_count(45600, text), "45.60 k");
    assert_string_equal(units_format_bits_per_s(21.84e9, text), "21.84 Gb/s");
    assert_string_equal(units_format_bits_per_s(-1, text), "0 b/s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nanoseconds),
        cmocka_unit_test(rounding_never_shows_a_thousand),
        cmocka_unit_test(bytes_counts_and_rates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
