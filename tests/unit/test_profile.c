/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "base/error.h"
#include "stack/profile.h"
#include "tests/unit/unit.h"

static int parse(const char *text, struct profile *out, char *error)
{
    error[0] = '\0';
    return profile_parse("p", text, strlen(text), out, error, 256);
}

static void knows_the_built_in_ones(void **state)
{
    struct profile latency, balanced, frugal;

    (void)state;
    assert_int_equal(profile_builtin("latency", &latency), 0);
    assert_int_equal(profile_builtin("balanced", &balanced), 0);
    assert_int_equal(profile_builtin("frugal", &frugal), 0);
    assert_true(latency.spin_us > balanced.spin_us);
    assert_true(balanced.spin_us > frugal.spin_us);
    assert_int_equal(frugal.spin_us, 0);
    assert_true(latency.helper_tick_us > 0 && balanced.helper_tick_us > 0 && frugal.helper_tick_us > 0);
    assert_int_equal(profile_builtin("fast", &latency), LOCKSTEP_E_UNKNOWN_NAME);
}

static void an_empty_file_is_balanced(void **state)
{
    struct profile profile, balanced;
    char error[256];

    (void)state;
    profile_builtin("balanced", &balanced);
    assert_int_equal(parse("", &profile, error), 0);
    assert_memory_equal(&profile, &balanced, sizeof profile);
}

static void reads_all_keys(void **state)
{
    struct profile profile;
    char error[256];

    (void)state;
    assert_int_equal(parse("# a comment\n\nspin = 1ms\nspin_backoff=no\r\n  core = 3\ndelayed_ack = 500us\n"
                           "coalesce = 20us\nrto_min = 30ms\nhelper_tick = 4ms",
                           &profile, error),
                     0);
    assert_int_equal(profile.spin_us, 1000);
    assert_false(profile.spin_backoff);
    assert_int_equal(profile.core, 3);
    assert_int_equal(profile.delayed_ack_us, 500);
    assert_int_equal(profile.coalesce_us, 20);
    assert_int_equal(profile.rto_min_us, 30000);
    assert_int_equal(profile.helper_tick_us, 4000);
}

static void starts_from_another_profile(void **state)
{
    struct profile profile, frugal;
    char error[256];

    (void)state;
    profile_builtin("frugal", &frugal);
    assert_int_equal(parse("base = frugal\nspin = forever\n", &profile, error), 0);
    assert_int_equal(profile.spin_us, UINT32_MAX);
    assert_int_equal(profile.delayed_ack_us, frugal.delayed_ack_us);
    assert_int_not_equal(parse("spin = 0\nbase = frugal\n", &profile, error), 0);
    assert_string_equal(error, "p:2: base: must come before all other keys");
}

static void names_the_mistake(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"spin\n", "p:1: spin: is not \"key = value\""},
        {"\nspeed = 1us\n", "p:2: speed: unknown key"},
        {"base = fast\n", "p:1: base: is not a built-in profile"},
        {"helper_tick = 0\n", "p:1: helper_tick: must be at least 1us"},
    };
    struct profile profile, before;
    char error[256];

    (void)state;
    memset(&before, 0x5a, sizeof before);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        profile = before;
        assert_true(parse(cases[i].text, &profile, error) < 0);
        assert_string_equal(error, cases[i].error);
        assert_memory_equal(&profile, &before, sizeof profile);
    }
    assert_true(parse("core = -2\n", &profile, error) < 0);
    assert_non_null(strstr(error, "p:1: core: "));
    assert_true(parse("spin = soon\n", &profile, error) < 0);
    assert_true(parse("delayed_ack = 1h\n", &profile, error) < 0);
}

static void refuses_what_is_not_text(void **state)
{
    struct profile profile;
    char error[256], line[400];

    (void)state;
    assert_int_equal(profile_parse("p", "spin\0= 1us\n", 11, &profile, error, sizeof error), LOCKSTEP_E_BAD_FORMAT);
    memset(line, 'x', sizeof line);
    assert_int_equal(profile_parse("p", line, sizeof line, &profile, error, sizeof error), LOCKSTEP_E_BAD_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_built_in_ones), cmocka_unit_test(an_empty_file_is_balanced),
        cmocka_unit_test(reads_all_keys),          cmocka_unit_test(starts_from_another_profile),
        cmocka_unit_test(names_the_mistake),       cmocka_unit_test(refuses_what_is_not_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
