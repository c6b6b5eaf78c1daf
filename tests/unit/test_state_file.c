/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/state_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "tests/unit/unit.h"

#define GOOD                                                                                                           \
    "lockstep clock state 1\ncounter tsc 2596146123.456789 40.250 1763900000\nbaseline 104500.0 ntp1\n"                \
    "baseline 20.5 a name with spaces\nend\n"

static struct clock_state state;
static char problem[STATE_FILE_PROBLEM_MAX];

static int parse(const char *text)
{
    return state_file_parse(text, strlen(text), &state, problem);
}

static void test_round_trip(void **unused)
{
    char text[STATE_FILE_TEXT_MAX];

    (void)unused;
    assert_int_equal(parse(GOOD), 0);
    assert_string_equal(state.counter, "tsc");
    assert_int_equal(state.utc_s, 1763900000);
    assert_int_equal(state.baseline_count, 2);
    assert_float_equal(state_file_baseline(&state, "a name with spaces"), 20.5, 0);
    assert_float_equal(state_file_baseline(&state, "ntp1"), 104500, 0);
    assert_float_equal(state_file_baseline(&state, "ntp"), 0, 0);
    assert_int_equal(state_file_format(&state, text, sizeof(text)), strlen(GOOD));
    assert_string_equal(text, GOOD);
}

/* Cut anywhere, it is refused; what was read is forgotten. */
static void test_truncated(void **unused)
{
    (void)unused;
    for (size_t length = 0; length < strlen(GOOD); length++) {
        assert_true(state_file_parse(GOOD, length, &state, problem) < 0);
        assert_int_equal(state.counter[0], 0);
        assert_int_equal(state.baseline_count, 0);
        assert_non_null(strstr(problem, "line "));
    }
}

static void test_refused(void **unused)
{
    (void)unused;
    assert_int_equal(parse("lockstep clock state 2\nend\n"), LOCKSTEP_E_BAD_VERSION);
    assert_int_equal(parse("something else\nend\n"), LOCKSTEP_E_BAD_FORMAT);
    assert_true(parse("lockstep clock state 1\ncounter tsc nan 1 1\nend\n") < 0);
    assert_true(parse("lockstep clock state 1\ncounter tsc 1e30 1 1\nend\n") < 0);
    assert_true(parse("lockstep clock state 1\ncounter tsc 2e9 -1 1\nend\n") < 0);
    assert_true(parse("lockstep clock state 1\nbaseline inf x\nend\n") < 0);
    assert_true(parse("lockstep clock state 1\ncolour red\nend\n") < 0);
    assert_string_equal(problem, "line 2: not understood");
    assert_true(parse("lockstep clock state 1\nend\nend\n") < 0);
    assert_true(state_file_parse("lockstep clock state 1\ncounter\0\nend\n", 36, &state, problem) < 0);
}

static void test_rate(void **unused)
{
    double rate, sigma;

    (void)unused;
    assert_int_equal(parse(GOOD), 0);
    assert_true(state_file_rate(&state, "tsc", 2596146000, 1763900000, &rate, &sigma));
    assert_float_equal(rate, 123.456789 / 2.596146, 0.001);
    assert_true(sigma > 40.25 && sigma < 200);
    /* Doubt grows with age until nothing is left; another counter's rate says nothing; nor does an impossible one. */
    assert_true(state_file_rate(&state, "tsc", 2596146000, 1763900000 + 20 * 86400, &rate, &sigma));
    assert_true(sigma > 1000);
    assert_false(state_file_rate(&state, "tsc", 2596146000, 1763900000 + 1000 * 86400, &rate, &sigma));
    assert_false(state_file_rate(&state, "monotonic_raw", 1e9, 1763900000, &rate, &sigma));
    assert_false(state_file_rate(&state, "tsc", 2400000000, 1763900000, &rate, &sigma));
}

static void test_files(void **unused)
{
    char path[] = "/tmp/lockstep-test-state-XXXXXX";
    int fd = mkstemp(path);

    (void)unused;
    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    state_file_load(path, &state); /* not there: empty, without a word */
    assert_int_equal(state.counter[0], 0);
    assert_int_equal(parse(GOOD), 0);
    assert_int_equal(state_file_save(path, &state), 0);
    memset(&state, 0, sizeof(state));
    state_file_load(path, &state);
    assert_string_equal(state.counter, "tsc");
    assert_int_equal(truncate(path, 30), 0);
    state_file_load(path, &state);
    assert_int_equal(state.counter[0], 0);
    unlink(path);
    assert_true(state_file_save("/nonexistent/state", &state) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_truncated), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_rate),       cmocka_unit_test(test_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
