/* SPDX-License-Identifier: BSD-2-Clause */
/* The example in plain Python gives what the library gives. LOCKSTEP_EXAMPLES names its directory. */
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "lockstep/clock.h"
#include "tests/unit/clock_rig.h"
#include "tests/unit/unit.h"

/* Runs the example for a counter value; the first line of what it says, and its exit status. */
static int run_example(uint64_t counter, char line[256])
{
    char command[512];
    FILE *output;
    int status;

    snprintf(command, sizeof command, "python3 %s/lockstep_clock.py --segment %s %" PRIu64 " 2>&1",
             getenv("LOCKSTEP_EXAMPLES"), rig_path, counter);
    output = popen(command, "r");
    assert_non_null(output);
    if (!fgets(line, 256, output))
        line[0] = '\0';
    status = pclose(output);
    line[strcspn(line, "\n")] = '\0';
    return status;
}

static void python_agrees_with_the_library(void **state)
{
    static const int64_t ticks[] = {0, 1, -1, 12345, -987654321, 2499999999, 2500000000, 2500000001, 300000000000};
    struct clock_values values = rig_values();
    struct clock_segment *segment = rig_create();
    struct lockstep_clock *clock;

    (void)state;
    values.leap = 1;
    values.leap_at_ns = values.time_ns + 60 * SECOND;
    segment_publish(segment, &values);
    assert_int_equal(lockstep_clock_open(rig_path, &clock), 0);
    for (size_t i = 0; i < sizeof ticks / sizeof *ticks; i++) {
        uint64_t counter = values.counter + (uint64_t)ticks[i];
        struct lockstep_time tai, utc;
        char line[256], expected[256];

        assert_int_equal(lockstep_clock_at(clock, counter, LOCKSTEP_TAI, &tai), 0);
        assert_int_equal(lockstep_clock_at(clock, counter, LOCKSTEP_UTC, &utc), 0);
        snprintf(expected, sizeof expected, "%" PRIu64 " %" PRId64 " %" PRId64 " %" PRId64 " %s", counter, tai.ns,
                 utc.ns, tai.latest_ns - tai.ns,
                 tai.status == LOCKSTEP_CLOCK_SYNCHRONISED ? "synchronised" : "holdover");
        assert_int_equal(run_example(counter, line), 0);
        assert_string_equal(line, expected);
    }
    lockstep_clock_close(clock);
    segment_close(segment);
}

static void python_says_what_is_wrong(void **state)
{
    struct clock_values values = rig_values();
    struct clock_segment *segment;
    char line[256];

    (void)state;
    assert_int_not_equal(run_example(1, line), 0);
    assert_non_null(strstr(line, "No such file"));
    segment = rig_create();
    assert_int_not_equal(run_example(1, line), 0);
    assert_non_null(strstr(line, "has no time"));
    segment_publish(segment, &values);
    assert_int_not_equal(run_example(1, line), 0);
    assert_non_null(strstr(line, "more than 1000 s"));
    assert_int_not_equal(run_example(UINT64_MAX, line), 0);
    assert_non_null(strstr(line, "void"));
    assert_int_equal(truncate(rig_path, 100), 0);
    assert_int_not_equal(run_example(1, line), 0);
    assert_non_null(strstr(line, "truncated"));
    segment_close(segment);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(python_agrees_with_the_library, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(python_says_what_is_wrong, rig_setup, rig_teardown),
    };

    if (!getenv("LOCKSTEP_EXAMPLES") || system("python3 -c pass") != 0) {
        puts("1..0 # SKIP no LOCKSTEP_EXAMPLES, or no python3");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
