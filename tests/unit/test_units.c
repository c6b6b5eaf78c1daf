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

static void short_forms_have_three_digits(void **state)
{
    char text[UNITS_TEXT_MAX];

    (void)state;
    assert_string_equal(units_format_short(0, text), "0");
    assert_string_equal(units_format_short(999, text), "999");
    assert_string_equal(units_format_short(1000, text), "1.00k");
    assert_string_equal(units_format_short(99949, text), "99.9k");
    assert_string_equal(units_format_short(99951, text), "100k");
    assert_string_equal(units_format_short(999600, text), "1.00M");
    assert_string_equal(units_format_short(1e21, text), "1000E");
    assert_string_equal(units_format_short(-5, text), "0");
    assert_string_equal(units_format_short_ns(850, text), "850ns");
    assert_string_equal(units_format_short_ns(12345, text), "12.3us");
    assert_string_equal(units_format_short_ns(4.2e9, text), "4.20s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nanoseconds),
        cmocka_unit_test(rounding_never_shows_a_thousand),
        cmocka_unit_test(bytes_counts_and_rates),
        cmocka_unit_test(short_forms_have_three_digits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
