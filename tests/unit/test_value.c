/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/value.h"

#include <string.h>

#include "base/error.h"
#include "tests/unit/unit.h"

struct object {
    bool flag;
    int64_t number;
    uint64_t size;
    uint64_t time_ns;
    char text[8];
    char texts[3][8];
    int choice;
};

static const char *const choices[] = {"auto", "xdp", "tc", NULL};
static const struct value_spec flag_spec = {VALUE_BOOL(struct object, flag), .initial = "yes"};
static const struct value_spec number_spec = {VALUE_INT(struct object, number), .min = -5, .max = 64};
static const struct value_spec free_number_spec = {VALUE_INT(struct object, number)};
static const struct value_spec size_spec = {VALUE_SIZE(struct object, size), .min = 4096, .max = 1 << 30};
static const struct value_spec free_size_spec = {VALUE_SIZE(struct object, size)};
static const struct value_spec time_spec = {VALUE_DURATION(struct object, time_ns)};
static const struct value_spec text_spec = {VALUE_TEXT(struct object, text)};
static const struct value_spec texts_spec = {VALUE_TEXTS(struct object, texts)};
static const struct value_spec choice_spec = {VALUE_ENUM(struct object, choice, choices), .initial = "tc"};

static struct object object;
static char problem[VALUE_PROBLEM_MAX];

static int parse(const struct value_spec *spec, const char *text)
{
    return value_parse(spec, text, &object, problem);
}

static int64_t number(const char *text)
{
    assert_int_equal(parse(&free_number_spec, text), 0);
    return object.number;
}

static uint64_t size(const char *text)
{
    assert_int_equal(parse(&free_size_spec, text), 0);
    return object.size;
}

static uint64_t time_ns(const char *text)
{
    assert_int_equal(parse(&time_spec, text), 0);
    return object.time_ns;
}

static void refused(const struct value_spec *spec, const char *text, int err, const char *expected)
{
    struct object before = object;

    problem[0] = '\0';
    assert_int_equal(parse(spec, text), err);
    assert_string_equal(problem, expected);
    assert_memory_equal(&object, &before, sizeof object);
}

static void whole_numbers(void **state)
{
    (void)state;
    assert_int_equal(number("0"), 0);
    assert_int_equal(number("-17"), -17);
    assert_true(number("9223372036854775807") == INT64_MAX);
    assert_true(number("-9223372036854775808") == INT64_MIN);
    refused(&free_number_spec, "9223372036854775808", LOCKSTEP_E_BAD_VALUE, "is too large");
    refused(&number_spec, "65", LOCKSTEP_E_BAD_VALUE, "must be -5 to 64");
    refused(&number_spec, "-6", LOCKSTEP_E_BAD_VALUE, "must be -5 to 64");
    refused(&number_spec, "99999999999999999999", LOCKSTEP_E_BAD_VALUE, "must be -5 to 64");
}

static void sizes_with_suffix(void **state)
{
    (void)state;
    assert_int_equal(size("4096"), 4096);
    assert_int_equal(size("64K"), 65536);
    assert_int_equal(size("1.5M"), 1536 * 1024);
    assert_true(size("2T") == 2ull << 40);
    refused(&free_size_spec, "8388608T", LOCKSTEP_E_BAD_VALUE, "is too large");
    refused(&size_spec, "4095", LOCKSTEP_E_BAD_VALUE, "must be 4K to 1G");
    refused(&size_spec, "1.1G", LOCKSTEP_E_BAD_FORMAT, "is not a size (a number with K, M, G, T or nothing)");
}

static void durations_with_unit(void **state)
{
    (void)state;
    assert_int_equal(time_ns("0"), 0);
    assert_int_equal(time_ns("250ns"), 250);
    assert_int_equal(time_ns("20us"), 20000);
    assert_int_equal(time_ns("1.5ms"), 1500000);
    assert_true(time_ns("2s") == 2000000000);
    assert_true(time_ns("1min") == 60000000000);
    assert_true(time_ns("0.5h") == 1800000000000);
    assert_true(time_ns("9223372036.854775807s") == INT64_MAX);
    refused(&time_spec, "9223372036.854775808s", LOCKSTEP_E_BAD_VALUE, "is too large");
}

static void malformed_numbers_are_refused(void **state)
{
    static const char *const texts[] = {"",   " 1", "1 ",     "+1",  "-",  "--1", "0x10", "1,5", "1e3",          "K",
                                        ".5", "5.", "1.5.5K", "1KK", "1k", "1.5", "five", "-1K", "1.0000000001G"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        refused(&free_number_spec, texts[i], LOCKSTEP_E_BAD_FORMAT, "is not a whole number");
        refused(&free_size_spec, texts[i], LOCKSTEP_E_BAD_FORMAT,
                "is not a size (a number with K, M, G, T or nothing)");
        refused(&time_spec, texts[i], LOCKSTEP_E_BAD_FORMAT,
                "is not a duration (a number with ns, us, ms, s, min or h)");
    }
    refused(&time_spec, "5", LOCKSTEP_E_BAD_FORMAT, "is not a duration (a number with ns, us, ms, s, min or h)");
    refused(&time_spec, "0.5ns", LOCKSTEP_E_BAD_FORMAT, "is not a duration (a number with ns, us, ms, s, min or h)");
}

static void truth_values_and_names(void **state)
{
    (void)state;
    assert_int_equal(parse(&flag_spec, "on"), 0);
    assert_true(object.flag);
    assert_int_equal(parse(&flag_spec, "false"), 0);
    assert_false(object.flag);
    refused(&flag_spec, "maybe", LOCKSTEP_E_BAD_FORMAT, "must be yes or no");
    assert_int_equal(parse(&choice_spec, "xdp"), 0);
    assert_int_equal(object.choice, 1);
    refused(&choice_spec, "xd", LOCKSTEP_E_UNKNOWN_NAME, "must be auto|xdp|tc");
}

static void texts_must_fit(void **state)
{
    (void)state;
    assert_int_equal(parse(&text_spec, "1234567"), 0);
    assert_string_equal(object.text, "1234567");
    refused(&text_spec, "12345678", LOCKSTEP_E_BAD_VALUE, "is longer than 7 characters");
    assert_int_equal(parse(&text_spec, ""), 0);
    assert_string_equal(object.text, "");
}

static void lists_take_one_value_after_the_other(void **state)
{
    (void)state;
    value_set_initial(&texts_spec, &object);
    assert_int_equal(parse(&texts_spec, "eth0"), 0);
    assert_int_equal(parse(&texts_spec, "eth1"), 0);
    refused(&texts_spec, "", LOCKSTEP_E_BAD_VALUE, "must not be empty");
    assert_string_equal(object.texts[1], "eth1");
    assert_string_equal(object.texts[2], "");
    assert_int_equal(parse(&texts_spec, "eth2"), 0);
    refused(&texts_spec, "eth3", LOCKSTEP_E_EXHAUSTED, "is one too many (at most 3)");
}

static void defaults_are_set_or_zero(void **state)
{
    (void)state;
    memset(&object, 0x55, sizeof object);
    value_set_initial(&flag_spec, &object);
    value_set_initial(&choice_spec, &object);
    value_set_initial(&free_size_spec, &object);
    value_set_initial(&texts_spec, &object);
    assert_true(object.flag);
    assert_int_equal(object.choice, 2);
    assert_int_equal(object.size, 0);
    assert_string_equal(object.texts[2], "");
    assert_int_equal(object.text[0], 0x55);
}

static void descriptions_say_what_may_be_written(void **state)
{
    char text[64];

    (void)state;
    assert_string_equal(value_describe(&size_spec, text, sizeof text), "4K to 1G");
    assert_string_equal(value_describe(&choice_spec, text, sizeof text), "auto|xdp|tc");
    assert_string_equal(value_describe(&free_number_spec, text, sizeof text), "");
    assert_string_equal(value_describe(&choice_spec, text, 6), "auto|");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(sizes_with_suffix),
        cmocka_unit_test(durations_with_unit),
        cmocka_unit_test(malformed_numbers_are_refused),
        cmocka_unit_test(truth_values_and_names),
        cmocka_unit_test(texts_must_fit),
        cmocka_unit_test(lists_take_one_value_after_the_other),
        cmocka_unit_test(defaults_are_set_or_zero),
        cmocka_unit_test(descriptions_say_what_may_be_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
