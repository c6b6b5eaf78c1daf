/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/trace.h"

#include <string.h>

#include "base/error.h"
#include "tests/unit/unit.h"

#define HEAD "# lockstep clock trace 1, counter tsc, nominal_hz 2995200000\nsource,ta,tf,tb_ns,te_ns,stamp_error_ns\n"

static void reads_exchanges_and_skips_comments(void **state)
{
    static const char text[] = HEAD "0,10,20,1700000000000000000,1700000000000004000,120\n# a remark\n\n"
                                    "3,18446744073709551615,30,9223372036854775807,0,4294967295\r\n7,1,2,3,4,5";
    struct trace_reader reader;
    struct exchange exchange;
    unsigned source;

    (void)state;
    assert_int_equal(trace_open(&reader, text, sizeof text - 1), 0);
    assert_string_equal(reader.header.counter, "tsc");
    assert_true(reader.header.nominal_hz == 2995200000.0);
    assert_int_equal(trace_next(&reader, &source, &exchange), 1);
    assert_int_equal(source, 0);
    assert_true(exchange.ta == 10 && exchange.tf == 20 && exchange.stamp_error_ns == 120);
    assert_true(exchange.tb == 1700000000000000000 && exchange.te == 1700000000000004000);
    assert_int_equal(trace_next(&reader, &source, &exchange), 1);
    assert_true(source == 3 && exchange.ta == UINT64_MAX && exchange.tb == INT64_MAX);
    assert_int_equal(trace_next(&reader, &source, &exchange), 1);
    assert_true(source == 7 && exchange.stamp_error_ns == 5);
    assert_int_equal(trace_next(&reader, &source, &exchange), 0);
}

static void expect_problem(const char *text, int code, const char *problem)
{
    struct trace_reader reader;
    struct exchange exchange;
    unsigned source;
    int got = trace_open(&reader, text, strlen(text));

    while (got >= 0 && (got = trace_next(&reader, &source, &exchange)) > 0)
        ;
    assert_int_equal(got, code);
    assert_string_equal(reader.problem, problem);
}

static void names_what_is_wrong_and_where(void **state)
{
    (void)state;
    expect_problem("", LOCKSTEP_E_BAD_FORMAT, "line 0: the file is empty");
    expect_problem("ta,tf\n", LOCKSTEP_E_BAD_FORMAT,
                   "line 1: not a clock trace (\"# lockstep clock trace 1, ...\" expected)");
    expect_problem("# lockstep clock trace 12, counter\n", LOCKSTEP_E_BAD_VERSION,
                   "line 1: trace of version 12, not 1");
    expect_problem("# lockstep clock trace 1, counter x, nominal_hz nan\n", LOCKSTEP_E_BAD_VALUE,
                   "line 1: nominal_hz must be a number from 1e3 to 1e12");
    expect_problem("# lockstep clock trace 1, counter a_very_long_name_, nominal_hz 1e9\n", LOCKSTEP_E_BAD_FORMAT,
                   "line 1: no counter's name");
    expect_problem("# lockstep clock trace 1, counter x, nominal_hz 1e9\n", LOCKSTEP_E_BAD_FORMAT,
                   "line 1: \"source,ta,tf,tb_ns,te_ns,stamp_error_ns\" expected");
    expect_problem(HEAD "0,1,2,3,4,5\n16,1,2,3,4,5\n", LOCKSTEP_E_BAD_VALUE, "line 4: source is above 15");
    expect_problem(HEAD "0,1,-2,3,4,5\n", LOCKSTEP_E_BAD_FORMAT, "line 3: tf is not a number");
    expect_problem(HEAD "0,1,2,3,4\n", LOCKSTEP_E_BAD_FORMAT, "line 3: no comma after te_ns");
    expect_problem(HEAD "0,1,2,3,4,5,6\n", LOCKSTEP_E_BAD_FORMAT, "line 3: more after stamp_error_ns");
    expect_problem(HEAD "0,1,2,9223372036854775808,4,5\n", LOCKSTEP_E_BAD_VALUE,
                   "line 3: tb_ns is above 9223372036854775807");
    expect_problem(HEAD "0,1,99999999999999999999999,3,4,5\n", LOCKSTEP_E_BAD_VALUE,
                   "line 3: tf is above 18446744073709551615");
}

static void a_long_line_and_a_zero_byte_are_refused(void **state)
{
    char text[sizeof HEAD + 2 * TRACE_LINE_MAX] = HEAD;
    struct trace_reader reader;
    struct exchange exchange;
    unsigned source;

    (void)state;
    memset(text + sizeof HEAD - 1, '1', 2 * TRACE_LINE_MAX);
    expect_problem(text, LOCKSTEP_E_BAD_FORMAT, "line 3: longer than 159 bytes");
    assert_int_equal(trace_open(&reader, HEAD "0,1\0,2,3,4,5\n", sizeof HEAD + 12), 0);
    assert_int_equal(trace_next(&reader, &source, &exchange), LOCKSTEP_E_BAD_FORMAT);
    assert_string_equal(reader.problem, "line 3: holds a zero byte");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_exchanges_and_skips_comments),
        cmocka_unit_test(names_what_is_wrong_and_where),
        cmocka_unit_test(a_long_line_and_a_zero_byte_are_refused),
    };

    return cmocka_run_group_tests_name("clock_trace", tests, NULL, NULL);
}
