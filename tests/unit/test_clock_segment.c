/* SPDX-License-Identifier: BSD-2-Clause */
/* The writer's side of the clock's segment, with a simulated counter. */
#include "clock/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "clock/segment_layout.h"
#include "tests/unit/clock_rig.h"
#include "tests/unit/unit.h"

/* --- the line ----------------------------------------------------------------------------------------------- */

static void two_pieces_meet(void **state)
{
    struct clock_values values = rig_values();
    struct lockstep_time time, before, after;

    (void)state;
    assert_int_equal(clock_values_at(&values, values.counter, LOCKSTEP_TAI, &time), 0);
    assert_int_equal(time.ns, values.time_ns);
    assert_int_equal(time.latest_ns - time.ns, 5001);
    assert_int_equal(time.ns - time.earliest_ns, 5001);
    assert_int_equal(time.disruptions, 3);
    /* One second by the slewed rate: 100 us more. */
    assert_int_equal(clock_values_at(&values, values.counter_switch, LOCKSTEP_TAI, &time), 0);
    assert_in_range(time.ns - values.time_ns, SECOND + 100000 - 1, SECOND + 100000 + 1);
    clock_values_at(&values, values.counter_switch - 1, LOCKSTEP_TAI, &before);
    clock_values_at(&values, values.counter_switch + 1, LOCKSTEP_TAI, &after);
    assert_in_range(after.ns - before.ns, 0, 1);
    /* Then by the other: one second more is one second. Of the bound's growth a microsecond a second. */
    assert_int_equal(clock_values_at(&values, values.counter_switch + 2500000000, LOCKSTEP_TAI, &time), 0);
    assert_in_range(time.ns - values.time_ns, 2 * SECOND + 100000 - 1, 2 * SECOND + 100000 + 1);
    assert_in_range(time.latest_ns - time.ns, 5001 + 2000, 5001 + 2001);
}

static void precise_for_an_hour(void **state)
{
    static const double periods[] = {0.4, 0.2, 1 / 2.596146, 1, 1.3, 40, 1000};
    const double elapsed_ns = 3600e9;

    (void)state;
    for (size_t i = 0; i < sizeof periods / sizeof *periods; i++) {
        struct clock_values values = rig_values();
        uint64_t ticks = (uint64_t)(elapsed_ns / periods[i]);
        struct lockstep_time time;
        double wanted = (double)ticks * periods[i];

        values.slew_period_ns = values.period_ns = values.difference_period_ns = periods[i];
        values.fraction = 0;
        values.void_after = values.holdover_after = UINT64_MAX;
        values.counter_switch = 0;
        assert_int_equal(clock_values_at(&values, values.counter + ticks, LOCKSTEP_TAI, &time), 0);
        assert_true(fabs((double)(time.ns - values.time_ns) - wanted) <= 1.5);
    }
}

static void the_past_goes_on_with_the_unslewed_rate(void **state)
{
    struct clock_values values = rig_values();
    struct lockstep_time time;

    (void)state;
    assert_int_equal(clock_values_at(&values, values.counter - 2500000000, LOCKSTEP_TAI, &time), 0);
    assert_in_range(values.time_ns - time.ns, SECOND - 1, SECOND + 1);
    assert_in_range(time.latest_ns - time.ns, 5001 + 1000, 5001 + 1001);
    assert_int_equal(time.status, LOCKSTEP_CLOCK_SYNCHRONISED);
    assert_int_equal(clock_values_at(&values, values.counter - 999 * 2500000000, LOCKSTEP_TAI, &time), 0);
    assert_int_equal(clock_values_at(&values, values.counter - 1001 * 2500000000, LOCKSTEP_TAI, &time),
                     LOCKSTEP_CLOCK_E_RANGE);
    assert_int_equal(clock_values_at(&values, 0, LOCKSTEP_TAI, &time), LOCKSTEP_CLOCK_E_RANGE);
    values.counter = UINT64_MAX - 10;
    values.void_after = values.holdover_after = UINT64_MAX;
    assert_int_equal(clock_values_at(&values, 0, LOCKSTEP_TAI, &time), LOCKSTEP_CLOCK_E_RANGE);
}

static void status_changes_with_age(void **state)
{
    struct clock_values values = rig_values();
    struct lockstep_time time;

    (void)state;
    assert_int_equal(clock_values_at(&values, values.holdover_after, LOCKSTEP_TAI, &time), 0);
    assert_int_equal(time.status, LOCKSTEP_CLOCK_SYNCHRONISED);
    assert_int_equal(clock_values_at(&values, values.holdover_after + 1, LOCKSTEP_TAI, &time), 0);
    assert_int_equal(time.status, LOCKSTEP_CLOCK_HOLDOVER);
    assert_int_equal(clock_values_at(&values, values.void_after, LOCKSTEP_TAI, &time), 0);
    assert_int_equal(clock_values_at(&values, values.void_after + 1, LOCKSTEP_TAI, &time), LOCKSTEP_CLOCK_E_RANGE);
    values.holdover_after = 0;
    assert_int_equal(clock_values_at(&values, values.void_after, LOCKSTEP_TAI, &time), 0);
    assert_int_equal(time.status, LOCKSTEP_CLOCK_SYNCHRONISED);
    values.status = LOCKSTEP_CLOCK_DISRUPTED;
    assert_int_equal(clock_values_at(&values, values.counter, LOCKSTEP_TAI, &time), LOCKSTEP_CLOCK_E_NO_TIME);
    assert_int_equal(time.status, LOCKSTEP_CLOCK_DISRUPTED);
    assert_int_equal(time.ns, 0);
}

/* TAI second by second around a leap: what UTC shows. */
static void leap_seconds(void **state)
{
    struct clock_values values = rig_values();
    struct lockstep_time time;
    const int64_t midnight = 1798761600 * SECOND; /* 2027-01-01 00:00:00 */

    (void)state;
    values.slew_period_ns = values.period_ns;
    values.fraction = 0;
    values.leap = 1;
    values.leap_at_ns = midnight + 37 * SECOND;
    values.time_ns = values.leap_at_ns - 2 * SECOND;
    for (int half = 0; half < 8; half++) {
        static const double utc[] = {-2, -1.5, -1, -0.5, -1, -0.5, 0, 0.5};
        uint64_t at = values.counter + (uint64_t)half * 1250000000;

        assert_int_equal(clock_values_at(&values, at, LOCKSTEP_UTC, &time), 0);
        assert_true(llabs(time.ns - midnight - (int64_t)(utc[half] * 1e9)) <= 1);
        assert_int_equal(time.latest_ns - time.ns, time.ns - time.earliest_ns);
        assert_int_equal(clock_values_at(&values, at, LOCKSTEP_TAI, &time), 0);
        assert_true(llabs(time.ns - values.time_ns - half * SECOND / 2) <= 1);
    }
    /* One left out: 23:59:59 is not shown. */
    values.leap = -1;
    values.leap_at_ns = midnight - SECOND + 37 * SECOND;
    values.time_ns = values.leap_at_ns - SECOND / 2;
    clock_values_at(&values, values.counter, LOCKSTEP_UTC, &time);
    assert_int_equal(time.ns, midnight - SECOND - SECOND / 2);
    clock_values_at(&values, values.counter + 1250000000, LOCKSTEP_UTC, &time);
    assert_true(llabs(time.ns - midnight) <= 1);
}

static void senseless_values_give_no_time(void **state)
{
    static const double periods[] = {0, -0.4, (double)NAN, (double)INFINITY, 1e30};
    struct lockstep_time time;

    (void)state;
    for (size_t i = 0; i < sizeof periods / sizeof *periods; i++) {
        struct clock_values values = rig_values();

        values.period_ns = periods[i];
        assert_int_equal(clock_values_at(&values, values.counter, LOCKSTEP_TAI, &time), LOCKSTEP_CLOCK_E_NO_TIME);
        assert_int_equal(time.status, LOCKSTEP_CLOCK_UNSYNCHRONISED);
    }
}

/* --- the file ----------------------------------------------------------------------------------------------- */

static ino_t inode(void)
{
    struct stat status;

    assert_int_equal(stat(rig_path, &status), 0);
    return status.st_ino;
}

static void a_new_file_is_readable_by_all(void **state)
{
    mode_t mask = umask(077);
    struct clock_segment *segment = rig_create();
    struct clock_values values;
    struct stat status;

    (void)state;
    umask(mask);
    assert_int_equal(stat(rig_path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0644);
    assert_int_equal(status.st_size, SEGMENT_FILE_BYTES);
    assert_false(segment_last(segment, &values));
    assert_int_equal(segment_disruptions(segment), 0);
    segment_close(segment);
    assert_int_equal(access(rig_path, R_OK), 0);
}

static void what_was_published_is_found_again(void **state)
{
    struct clock_segment *segment = rig_create();
    struct clock_values values = rig_values(), found;
    ino_t first = inode();

    (void)state;
    segment_publish(segment, &values);
    segment_close(segment);
    segment = rig_create();
    assert_int_equal(inode(), first);
    assert_true(segment_last(segment, &found));
    assert_int_equal(found.status, values.status);
    assert_int_equal(found.counter, values.counter);
    assert_int_equal(found.time_ns, values.time_ns);
    assert_true(found.fraction == values.fraction && found.slew_period_ns == values.slew_period_ns);
    assert_true(found.period_ns == values.period_ns && found.difference_period_ns == values.difference_period_ns);
    assert_int_equal(found.void_after, values.void_after);
    assert_int_equal(found.holdover_after, values.holdover_after);
    assert_int_equal(found.utc_distance_ns, values.utc_distance_ns);
    assert_int_equal(found.tai_utc_s, 37);
    assert_int_equal(segment_disruptions(segment), 3);
    segment_close(segment);
}

static void a_second_daemon_is_refused(void **state)
{
    struct clock_segment *segment = rig_create(), *second = NULL;

    (void)state;
    assert_int_equal(segment_create(rig_path, &rig_counter, &second), LOCKSTEP_E_CONFLICT);
    segment_close(segment);
    segment = rig_create();
    segment_close(segment);
}

static void change_head(size_t offset, uint8_t by)
{
    int fd = open(rig_path, O_RDWR);
    uint8_t byte;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= by;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
    close(fd);
}

static void unsound_files_are_replaced(void **state)
{
    static const size_t offsets[] = {offsetof(struct segment_head, magic), offsetof(struct segment_head, abi),
                                     offsetof(struct segment_head, size), offsetof(struct segment_head, counter_kind),
                                     offsetof(struct segment_head, boot_id)};
    struct clock_values values = rig_values();
    struct clock_segment *segment;

    (void)state;
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets + 4; i++) {
        ino_t before;

        segment = rig_create();
        segment_publish(segment, &values);
        segment_close(segment);
        before = inode();
        if (i < sizeof offsets / sizeof *offsets)
            change_head(offsets[i], 1);
        else if (i == sizeof offsets / sizeof *offsets)
            assert_int_equal(truncate(rig_path, 100), 0);
        else if (i == sizeof offsets / sizeof *offsets + 1)
            assert_int_equal(truncate(rig_path, 0), 0);
        else if (i == sizeof offsets / sizeof *offsets + 2)
            assert_int_equal(chmod(rig_path, 0666), 0);
        else {
            assert_int_equal(unlink(rig_path), 0);
            assert_int_equal(symlink("/etc/hostname", rig_path), 0);
            before = inode();
        }
        segment = rig_create();
        assert_int_not_equal(inode(), before);
        assert_false(segment_last(segment, &values));
        segment_close(segment);
        values = rig_values();
    }
}

static void a_place_that_cannot_be_written_is_an_error(void **state)
{
    struct clock_segment *segment;

    (void)state;
    assert_int_equal(segment_create("/nowhere/at/all/clock", &rig_counter, &segment), -ENOENT);
    assert_int_equal(mkdir(rig_path, 0755), 0);
    assert_int_equal(segment_create(rig_path, &rig_counter, &segment), -EISDIR);
}

static void a_torn_segment_is_mended(void **state)
{
    struct clock_segment *segment = rig_create();
    struct clock_values values = rig_values(), found;
    uint32_t sequence;
    int fd;

    (void)state;
    segment_publish(segment, &values);
    segment_close(segment);
    fd = open(rig_path, O_RDWR);
    assert_int_equal(pread(fd, &sequence, 4, offsetof(struct segment_layout, line)), 4);
    sequence++;
    assert_int_equal(pwrite(fd, &sequence, 4, offsetof(struct segment_layout, line)), 4);
    segment = rig_create();
    assert_false(segment_last(segment, &found));
    assert_int_equal(segment_disruptions(segment), 3);
    segment_publish(segment, &values);
    assert_true(segment_last(segment, &found));
    assert_int_equal(pread(fd, &sequence, 4, offsetof(struct segment_layout, line)), 4);
    assert_int_equal(sequence & 1, 0);
    close(fd);
    segment_close(segment);
}

/* --- never backwards ---------------------------------------------------------------------------------------- */

static int64_t tai(const struct clock_segment *segment)
{
    struct clock_values values;
    struct lockstep_time time;

    assert_true(segment_last(segment, &values));
    assert_int_equal(clock_values_at(&values, rig_now, LOCKSTEP_TAI, &time), 0);
    return time.ns;
}

/* The daemon was held up for 20 ms between its reading of the counter and the publication of a slower line. */
static void a_late_publication_does_not_go_back(void **state)
{
    struct clock_segment *segment = rig_create();
    struct clock_values values = rig_values();
    const int64_t bound = values.bound_ns;
    struct clock_values found;
    uint64_t update;
    int64_t last;

    (void)state;
    values.slew_period_ns = 0.4 * (1 + 400e-6);
    segment_publish(segment, &values);
    update = rig_now += 250000000;
    values.time_ns = tai(segment) - 1;
    values.counter = update;
    values.slew_period_ns = 0.4 * (1 - 400e-6);
    values.counter_switch = update + 10000000; /* 4 ms */
    rig_now += 50000000;                       /* 20 ms: the lines are 800 ppm apart for 4 ms, then 400 */
    last = tai(segment);
    segment_publish(segment, &values);
    assert_true(tai(segment) >= last);
    assert_true(segment_last(segment, &found));
    assert_true(found.bound_ns >= bound + 9000);
    for (int i = 0; i < 100; i++) {
        int64_t this = tai(segment);

        assert_true(this >= last);
        last = this;
        rig_now += 1000000;
    }
    /* It has met the line that was meant. */
    struct lockstep_time meant;

    assert_int_equal(clock_values_at(&values, rig_now, LOCKSTEP_TAI, &meant), 0);
    assert_in_range(last = tai(segment), meant.ns - 1, meant.ns + 1);
    segment_close(segment);
}

static void an_announced_step_may_go_back(void **state)
{
    struct clock_segment *segment = rig_create();
    struct clock_values values = rig_values();

    (void)state;
    segment_publish(segment, &values);
    values.time_ns -= 1000;
    values.disruptions++;
    segment_publish(segment, &values);
    assert_int_equal(tai(segment), values.time_ns);
    values.time_ns += 5000;
    segment_publish(segment, &values);
    assert_int_equal(tai(segment), values.time_ns);
    segment_close(segment);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_pieces_meet, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(precise_for_an_hour, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(the_past_goes_on_with_the_unslewed_rate, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(status_changes_with_age, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(leap_seconds, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(senseless_values_give_no_time, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_new_file_is_readable_by_all, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(what_was_published_is_found_again, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_second_daemon_is_refused, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(unsound_files_are_replaced, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_place_that_cannot_be_written_is_an_error, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_torn_segment_is_mended, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(a_late_publication_does_not_go_back, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(an_announced_step_may_go_back, rig_setup, rig_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
