/* SPDX-License-Identifier: BSD-2-Clause */
/* Many counter values at once, as programs see it. */
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "clock/segment_layout.h"
#include "lockstep/clock.h"
#include "tests/unit/clock_rig.h"
#include "tests/unit/unit.h"

#define COUNT 1000

static struct clock_segment *publish(const struct clock_values *values, struct lockstep_clock **clock)
{
    struct clock_segment *segment = rig_create();

    segment_publish(segment, values);
    assert_int_equal(lockstep_clock_open(rig_path, clock), 0);
    return segment;
}

static void each_is_as_if_alone(void **state)
{
    struct clock_values values = rig_values();
    static uint64_t counters[COUNT];
    static int64_t ns[COUNT], bound[COUNT];
    struct lockstep_clock *clock;
    struct clock_segment *segment = publish(&values, &clock);
    uint32_t disruptions = 0;

    (void)state;
    /* From 900 s before the reference to 2000 s after it, unordered: 7 has no divisor with 1000 in common. */
    for (uint64_t i = 0; i < COUNT; i++)
        counters[i] = rig_now - 900 * 2500000000ull + (i * 7 % COUNT) * 2900 * 2500000ull + i;
    for (int scale = LOCKSTEP_TAI; scale <= LOCKSTEP_UTC; scale++) {
        assert_int_equal(lockstep_clock_at_many(clock, counters, COUNT, scale, ns, bound, &disruptions), 0);
        for (size_t i = 0; i < COUNT; i++) {
            struct lockstep_time time;

            assert_int_equal(lockstep_clock_at(clock, counters[i], scale, &time), 0);
            assert_int_equal(ns[i], time.ns);
            assert_int_equal(bound[i], time.latest_ns - time.ns);
        }
    }
    assert_int_equal(disruptions, 3);
    assert_int_equal(lockstep_clock_at_many(clock, counters, COUNT, LOCKSTEP_TAI, ns, NULL, NULL), 0);
    assert_int_equal(lockstep_clock_at_many(clock, NULL, 0, LOCKSTEP_TAI, NULL, NULL, NULL), 0);
    lockstep_clock_close(clock);
    segment_close(segment);
}

static void what_is_out_of_range_has_no_time_and_the_rest_has(void **state)
{
    struct clock_values values = rig_values();
    const uint64_t counters[] = {rig_now,    values.void_after + 1, rig_now - 1001 * 2500000000ull, 0,
                                 UINT64_MAX, values.void_after};
    int64_t ns[6], bound[6];
    struct lockstep_clock *clock;
    struct clock_segment *segment = publish(&values, &clock);

    (void)state;
    assert_int_equal(lockstep_clock_at_many(clock, counters, 6, LOCKSTEP_TAI, ns, bound, NULL), LOCKSTEP_CLOCK_E_RANGE);
    assert_int_equal(ns[0], values.time_ns);
    assert_int_equal(bound[0], 5001);
    for (int i = 1; i < 5; i++) {
        assert_int_equal(ns[i], INT64_MIN);
        assert_int_equal(bound[i], INT64_MAX);
    }
    assert_true(ns[5] > ns[0]);
    lockstep_clock_close(clock);
    segment_close(segment);
}

static void nothing_is_written_without_time(void **state)
{
    struct clock_values values = rig_values();
    int64_t ns = 1, bound = 2;
    uint32_t disruptions = 4, odd = 1;
    struct lockstep_clock *clock;
    struct clock_segment *segment;
    int fd;

    (void)state;
    values.status = LOCKSTEP_CLOCK_DISRUPTED;
    segment = publish(&values, &clock);
    assert_int_equal(lockstep_clock_at_many(clock, &rig_now, 1, LOCKSTEP_TAI, &ns, &bound, &disruptions),
                     LOCKSTEP_CLOCK_E_NO_TIME);
    fd = open(rig_path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, &odd, sizeof odd, offsetof(struct segment_layout, line.sequence)), sizeof odd);
    close(fd);
    assert_int_equal(lockstep_clock_at_many(clock, &rig_now, 1, LOCKSTEP_TAI, &ns, &bound, &disruptions),
                     LOCKSTEP_CLOCK_E_TORN);
    assert_true(ns == 1 && bound == 2 && disruptions == 4);
    lockstep_clock_close(clock);
    segment_close(segment);
}

/* ---- while the daemon publishes ---- */

static struct clock_segment *busy;
static bool done;

/* One line after another, each a second ahead of the one before. */
static void *publish_often(void *unused)
{
    struct clock_values values = rig_values();

    (void)unused;
    while (!__atomic_load_n(&done, __ATOMIC_RELAXED)) {
        values.time_ns += SECOND;
        values.disruptions++;
        segment_publish(busy, &values);
        usleep(10);
    }
    return NULL;
}

static void all_are_of_one_state(void **state)
{
    struct clock_values values = rig_values();
    static uint64_t counters[COUNT];
    static int64_t ns[COUNT];
    struct lockstep_clock *clock;
    pthread_t thread;
    unsigned states = 0;
    uint32_t disruptions, last = 0;

    (void)state;
    busy = publish(&values, &clock);
    done = false;
    for (size_t i = 0; i < COUNT; i++)
        counters[i] = rig_now;
    assert_int_equal(pthread_create(&thread, NULL, publish_often, NULL), 0);
    while (states < 20) {
        int err = lockstep_clock_at_many(clock, counters, COUNT, LOCKSTEP_TAI, ns, NULL, &disruptions);

        if (err == LOCKSTEP_CLOCK_E_TORN)
            continue; /* the writer was put to sleep in the middle */
        assert_int_equal(err, 0);
        assert_int_equal(ns[0], values.time_ns + (int64_t)(disruptions - values.disruptions) * SECOND);
        for (size_t j = 1; j < COUNT; j++)
            assert_int_equal(ns[j], ns[0]);
        states += disruptions != last;
        last = disruptions;
    }
    __atomic_store_n(&done, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    lockstep_clock_close(clock);
    segment_close(busy);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(each_is_as_if_alone),
        RIG_TEST(what_is_out_of_range_has_no_time_and_the_rest_has),
        RIG_TEST(nothing_is_written_without_time),
        RIG_TEST(all_are_of_one_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
