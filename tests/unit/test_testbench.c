/* SPDX-License-Identifier: BSD-2-Clause */
/* What senders and receivers stand on: files, the node's clock, the stall detector, the measured costs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "testbed/cost.h"
#include "testbed/node_clock.h"
#include "testbed/stall.h"
#include "tests/unit/unit.h"

static char directory[] = "/tmp/testbench_XXXXXX";
static char path[64], temporary[64];

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/file", directory);
    snprintf(temporary, sizeof temporary, "%s/file.new", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    rmdir(directory);
    return 0;
}

static void files_come_back_whole(void **state)
{
    static char large[300000];
    char *text;
    size_t length;

    (void)state;
    memset(large, 'x', sizeof large);
    assert_int_equal(file_write(path, large, sizeof large), 0);
    assert_int_equal(file_read(path, sizeof large, &text, &length), 0);
    assert_int_equal(length, sizeof large);
    assert_memory_equal(text, large, sizeof large);
    assert_int_equal(text[length], 0);
    free(text);
    assert_int_equal(file_read(path, sizeof large - 1, &text, &length), LOCKSTEP_E_EXHAUSTED);
    assert_null(text);
    assert_int_equal(file_write(path, "", 0), 0); /* the new one takes the old one's place */
    assert_int_equal(file_read(path, 10, &text, &length), 0);
    assert_int_equal(length, 0);
    free(text);
    assert_int_equal(access(temporary, F_OK), -1);
}

static void files_that_cannot_be_are_told(void **state)
{
    char *text;
    size_t length;

    (void)state;
    assert_int_equal(file_read("/nonexistent/file", 10, &text, &length), -ENOENT);
    assert_int_equal(file_write("/nonexistent/file", "x", 1), -ENOENT);
}

static struct node_clock *open_system(uint32_t bound_ns)
{
    struct node_clock *clock;
    char problem[192];

    assert_int_equal(node_clock_open(NODE_CLOCK_SYSTEM, NULL, bound_ns, &clock, problem), 0);
    return clock;
}

static void the_systems_clock_is_clock_tai(void **state)
{
    struct node_clock *clock = open_system(NODE_CLOCK_BOUND_UNKNOWN);
    struct timespec before, after;
    struct node_time now;

    (void)state;
    clock_gettime(CLOCK_TAI, &before);
    node_clock_now(clock, &now);
    clock_gettime(CLOCK_TAI, &after);
    assert_in_range(now.tai_ns, before.tv_sec * 1000000000 + before.tv_nsec, after.tv_sec * 1000000000 + after.tv_nsec);
    assert_int_equal(now.bound_ns, NODE_CLOCK_BOUND_UNKNOWN);
    assert_int_equal(now.status, NODE_CLOCK_GOOD);
    assert_int_equal(node_clock_wait(clock, 0, 1000), 0);
    assert_int_equal(node_clock_wait(clock, 1000000, 0), -ETIMEDOUT); /* an unknown bound is never good enough */
    node_clock_close(clock);
    clock = open_system(500);
    node_clock_now(clock, &now);
    assert_int_equal(now.bound_ns, 500);
    assert_int_equal(node_clock_wait(clock, 500, 0), 0);
    assert_int_equal(node_clock_wait(clock, 499, 0), -ETIMEDOUT);
    node_clock_close(clock);
}

static void a_clock_that_is_not_there_is_named(void **state)
{
    struct node_clock *clock;
    char problem[192];

    (void)state;
    assert_int_equal(node_clock_open(NODE_CLOCK_LOCKSTEP, "/nonexistent/clock", 0, &clock, problem), -ENOENT);
    assert_string_equal(problem, "clock: cannot open /nonexistent/clock: No such file or directory");
}

static void the_detector_wakes_up_again_and_again(void **state)
{
    static struct stall_report report;
    struct node_clock *clock = open_system(0);
    struct node_time from, to;
    struct stall_detector *detector;

    (void)state;
    node_clock_now(clock, &from);
    detector = stall_start(clock, 1000000, 0); /* with a threshold of nothing, every wake-up is a stall */
    assert_non_null(detector);
    do {
        usleep(10000);
        node_clock_now(clock, &to);
    } while (to.tai_ns - from.tai_ns < 100000000);
    stall_stop(detector, &report);
    node_clock_now(clock, &to);
    assert_true(report.wakeups > 0);
    assert_int_equal(report.lateness.count, report.wakeups);
    assert_true(report.lateness.min_ns >= 0);
    assert_int_equal(report.stalls, report.wakeups);
    assert_int_equal(report.list_count, report.stalls < STALLS_MAX ? report.stalls : STALLS_MAX);
    for (unsigned i = 0; i < report.list_count; i++) {
        assert_true(report.list[i].at_ns >= from.tai_ns && report.list[i].at_ns <= to.tai_ns);
        assert_true(i == 0 || report.list[i].at_ns > report.list[i - 1].at_ns);
    }
    node_clock_close(clock);
}

static void costs_are_measured(void **state)
{
    struct node_clock *clock = open_system(0);
    struct cost cost = {0};

    (void)state;
    assert_int_equal(cost_measure(clock, 1000, &cost), 0);
    assert_true(cost.stamp_ns > 0);
    assert_true(cost.record_ns > 0);
    node_clock_close(clock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_come_back_whole),
        cmocka_unit_test(files_that_cannot_be_are_told),
        cmocka_unit_test(the_systems_clock_is_clock_tai),
        cmocka_unit_test(a_clock_that_is_not_there_is_named),
        cmocka_unit_test(the_detector_wakes_up_again_and_again),
        cmocka_unit_test(costs_are_measured),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
