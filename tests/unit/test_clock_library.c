/* SPDX-License-Identifier: BSD-2-Clause */
/* liblockstep-clock as programs see it. */
#include "lockstep/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock/segment_layout.h"
#include "platform/counters.h"
#include "platform/platform.h"
#include "tests/unit/clock_rig.h"
#include "tests/unit/unit.h"

static struct lockstep_clock *open_clock(void)
{
    struct lockstep_clock *clock = NULL;

    assert_int_equal(lockstep_clock_open(rig_path, &clock), 0);
    return clock;
}

/* The machine's own counter from here on. */
static void use_machine_counter(void)
{
    char why[192];

    assert_int_equal(counter_open(COUNTER_AUTO, &rig_counter, why), 0);
}

static struct clock_segment *publish(const struct clock_values *values)
{
    struct clock_segment *segment = rig_create();

    segment_publish(segment, values);
    return segment;
}

/* --- opening ------------------------------------------------------------------------------------------------ */

static int try_open(const char *path)
{
    struct lockstep_clock *clock = NULL;
    int err = lockstep_clock_open(path, &clock);

    if (err == 0)
        lockstep_clock_close(clock);
    return err;
}

static int open_changed(size_t offset, uint8_t by)
{
    struct clock_values values = rig_values();
    struct clock_segment *segment = publish(&values);
    int fd = open(rig_path, O_RDWR);
    uint8_t byte;

    segment_close(segment);
    assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= by;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
    close(fd);
    return try_open(rig_path);
}

static void what_is_no_segment_says_so(void **state)
{
    static const off_t sizes[] = {0, 1, 8, 63, 64, 383};
    struct clock_segment *segment;

    (void)state;
    assert_int_equal(try_open(rig_path), -ENOENT);
    assert_int_equal(try_open(rig_directory), LOCKSTEP_CLOCK_E_FOREIGN);
    assert_int_equal(try_open("/proc/self/exe"), LOCKSTEP_CLOCK_E_FOREIGN);
    assert_int_equal(try_open("/dev/zero"), LOCKSTEP_CLOCK_E_FOREIGN);
    assert_int_equal(open_changed(offsetof(struct segment_head, magic), 1), LOCKSTEP_CLOCK_E_FOREIGN);
    assert_int_equal(open_changed(offsetof(struct segment_head, abi), 2), LOCKSTEP_CLOCK_E_VERSION);
    assert_int_equal(open_changed(offsetof(struct segment_head, size) + 3, 1), LOCKSTEP_CLOCK_E_TRUNCATED);
    assert_int_equal(open_changed(offsetof(struct segment_head, boot_id), 1), LOCKSTEP_CLOCK_E_FOREIGN);
    assert_int_equal(open_changed(offsetof(struct segment_head, counter_kind), 64), LOCKSTEP_CLOCK_E_FOREIGN);
    for (size_t i = sizeof sizes / sizeof *sizes; i-- > 0;) {
        segment = rig_create();
        segment_close(segment);
        assert_int_equal(truncate(rig_path, sizes[i]), 0);
        assert_int_equal(try_open(rig_path), LOCKSTEP_CLOCK_E_TRUNCATED);
    }
    segment_close(rig_create());
    assert_int_equal(try_open(rig_path), 0);
}

static void path_comes_from_the_environment(void **state)
{
    (void)state;
    segment_close(rig_create());
    setenv("LOCKSTEP_CLOCK", rig_path, 1);
    assert_int_equal(try_open(NULL), 0);
    setenv("LOCKSTEP_CLOCK", "/nowhere/at/all", 1);
    assert_int_equal(try_open(NULL), -ENOENT);
    unsetenv("LOCKSTEP_CLOCK");
}

static void every_error_has_a_text(void **state)
{
    (void)state;
    for (int error = LOCKSTEP_CLOCK_E_RANGE - 1; error <= LOCKSTEP_CLOCK_E_FOREIGN + 1; error++)
        assert_true(strlen(lockstep_clock_error_text(error)) > 3);
    assert_string_not_equal(lockstep_clock_error_text(LOCKSTEP_CLOCK_E_TORN),
                            lockstep_clock_error_text(LOCKSTEP_CLOCK_E_TRUNCATED));
    assert_string_equal(lockstep_clock_error_text(-ENOENT), "No such file or directory");
}

/* --- reading ------------------------------------------------------------------------------------------------ */

static void now_is_what_was_published(void **state)
{
    struct clock_values values = rig_values();
    struct clock_segment *segment = publish(&values);
    struct lockstep_clock *clock = open_clock();
    struct lockstep_time tai, utc, at;

    (void)state;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(lockstep_clock_now(clock, LOCKSTEP_TAI, &tai), 0);
        assert_int_equal(lockstep_clock_now_ordered(clock, LOCKSTEP_UTC, &utc), 0);
        assert_int_equal(lockstep_clock_counter(clock), rig_now);
        assert_int_equal(clock_values_at(&values, rig_now, LOCKSTEP_TAI, &at), 0);
        assert_memory_equal(&tai, &at, sizeof at);
        assert_int_equal(lockstep_clock_at(clock, rig_now, LOCKSTEP_TAI, &at), 0);
        assert_memory_equal(&tai, &at, sizeof at);
        assert_int_equal(tai.ns - utc.ns, 37 * SECOND);
        assert_int_equal(tai.latest_ns - utc.latest_ns, 37 * SECOND);
        assert_int_equal(utc.disruptions, 3);
        rig_now += 2500000000 / 7;
        segment_tick(segment);
    }
    lockstep_clock_close(clock);
    segment_close(segment);
}

static void expect_no_time(struct lockstep_clock *clock, enum lockstep_clock_status status)
{
    struct lockstep_time time = {1, 2, 3, LOCKSTEP_CLOCK_HOLDOVER, 4}, nothing = {.status = status};
    int64_t ns;

    assert_int_equal(lockstep_clock_now(clock, LOCKSTEP_UTC, &time), LOCKSTEP_CLOCK_E_NO_TIME);
    assert_memory_equal(&time, &nothing, sizeof time);
    assert_int_equal(lockstep_clock_now_ordered(clock, LOCKSTEP_UTC, &time), LOCKSTEP_CLOCK_E_NO_TIME);
    if (status == LOCKSTEP_CLOCK_DISRUPTED) {
        assert_int_equal(lockstep_clock_at(clock, rig_now, LOCKSTEP_UTC, &time), LOCKSTEP_CLOCK_E_NO_TIME);
        assert_memory_equal(&time, &nothing, sizeof time);
        assert_int_equal(lockstep_clock_difference(clock, 0, 1, &ns, NULL), LOCKSTEP_CLOCK_E_NO_TIME);
    }
}

static void no_time_is_given_without_one(void **state)
{
    struct clock_segment *segment = rig_create();
    struct lockstep_clock *clock = open_clock();
    struct clock_values values = rig_values();
    struct lockstep_clock_info info;
    struct lockstep_time time;

    (void)state;
    expect_no_time(clock, LOCKSTEP_CLOCK_UNSYNCHRONISED);
    assert_int_equal(lockstep_clock_get_info(clock, &info), 0);
    assert_int_equal(info.status, LOCKSTEP_CLOCK_UNSYNCHRONISED);
    assert_true(info.bound_ns == INT64_MAX && info.counter_hz == 0);
    values.status = LOCKSTEP_CLOCK_DISRUPTED;
    segment_publish(segment, &values);
    expect_no_time(clock, LOCKSTEP_CLOCK_DISRUPTED);
    values.status = LOCKSTEP_CLOCK_SYNCHRONISED;
    segment_publish(segment, &values);
    assert_int_equal(lockstep_clock_now(clock, LOCKSTEP_UTC, &time), 0);
    values.status = LOCKSTEP_CLOCK_UNSYNCHRONISED;
    segment_publish(segment, &values);
    expect_no_time(clock, LOCKSTEP_CLOCK_UNSYNCHRONISED);
    lockstep_clock_close(clock);
    segment_close(segment);
}

/* The daemon is gone: holdover with a growing bound, then void. */
static void the_clock_ages_by_itself(void **state)
{
    struct clock_values values = rig_values();
    struct lockstep_clock_info info;
    struct lockstep_time time;
    struct clock_segment *segment = publish(&values);
    struct lockstep_clock *clock = open_clock();

    (void)state;
    rig_now += 101 * 2500000000;
    segment_tick(segment);
    assert_int_equal(lockstep_clock_now(clock, LOCKSTEP_TAI, &time), 0);
    assert_int_equal(time.status, LOCKSTEP_CLOCK_HOLDOVER);
    assert_in_range(time.latest_ns - time.ns, 5000 + 101000, 5002 + 101000);
    assert_int_equal(lockstep_clock_get_info(clock, &info), 0);
    assert_int_equal(info.status, LOCKSTEP_CLOCK_HOLDOVER);
    assert_in_range(info.age_ns, 101 * SECOND - 10, 101 * SECOND + 10);
    assert_in_range(info.void_in_ns, 3499 * SECOND - 10, 3499 * SECOND + 10);
    assert_int_equal(info.bound_utc_ns, info.bound_ns + 200000);
    assert_true(info.counter_hz > 2.5e9 - 1 && info.counter_hz < 2.5e9 + 1);
    assert_string_equal(info.counter, "simulated");
    assert_int_equal(info.updates, 1);
    rig_now += 3500 * 2500000000ull;
    segment_tick(segment);
    expect_no_time(clock, LOCKSTEP_CLOCK_UNSYNCHRONISED);
    assert_int_equal(lockstep_clock_get_info(clock, &info), 0);
    assert_true(info.void_in_ns < 0 && info.status == LOCKSTEP_CLOCK_UNSYNCHRONISED);
    /* A stamp that was taken in time still has one. */
    assert_int_equal(lockstep_clock_at(clock, values.counter, LOCKSTEP_TAI, &time), 0);
    assert_int_equal(time.ns, values.time_ns);
    assert_int_equal(lockstep_clock_at(clock, rig_now, LOCKSTEP_TAI, &time), LOCKSTEP_CLOCK_E_RANGE);
    assert_int_equal(lockstep_clock_at(clock, values.counter - 1001 * 2500000000, LOCKSTEP_TAI, &time),
                     LOCKSTEP_CLOCK_E_RANGE);
    lockstep_clock_close(clock);
    segment_close(segment);
}

static void differences_do_not_jump(void **state)
{
    struct clock_values values = rig_values();
    struct clock_segment *segment = publish(&values);
    struct lockstep_clock *clock = open_clock();
    int64_t ns, error_ns;

    (void)state;
    assert_int_equal(lockstep_clock_difference(clock, 1000, 1000 + 2500000000, &ns, &error_ns), 0);
    assert_int_equal(ns, SECOND - 1); /* its rate is 1 ppb less */
    assert_in_range(error_ns, 1000, 1002);
    assert_int_equal(lockstep_clock_difference(clock, 1000 + 2500000000, 1000, &ns, NULL), 0);
    assert_int_equal(ns, -SECOND + 1);
    assert_int_equal(lockstep_clock_difference(clock, 7, 7, &ns, &error_ns), 0);
    assert_int_equal(ns, 0);
    values.time_ns += 1000000; /* a correction */
    segment_publish(segment, &values);
    assert_int_equal(lockstep_clock_difference(clock, 1000, 1000 + 2500000000, &ns, &error_ns), 0);
    assert_int_equal(ns, SECOND - 1);
    assert_int_equal(lockstep_clock_difference(clock, 0, UINT64_MAX, &ns, &error_ns), LOCKSTEP_CLOCK_E_RANGE);
    lockstep_clock_close(clock);
    segment_close(segment);
}

static void a_leap_shows_in_the_information(void **state)
{
    struct clock_values values = rig_values();
    struct clock_segment *segment;
    struct lockstep_clock *clock;
    struct lockstep_clock_info info;

    (void)state;
    values.leap = 1;
    values.leap_at_ns = values.time_ns + 10 * SECOND;
    segment = publish(&values);
    clock = open_clock();
    assert_int_equal(lockstep_clock_get_info(clock, &info), 0);
    assert_int_equal(info.leap, 1);
    assert_int_equal(info.tai_utc_s, 37);
    rig_now += 11 * 2500000000ull;
    segment_tick(segment);
    assert_int_equal(lockstep_clock_get_info(clock, &info), 0);
    assert_int_equal(info.leap, 0);
    assert_int_equal(info.tai_utc_s, 38);
    lockstep_clock_close(clock);
    segment_close(segment);
}

/* --- no system call, no allocation -------------------------------------------------------------------------- */

static void read_everything(struct lockstep_clock *clock)
{
    struct lockstep_clock_info info;
    struct lockstep_time time;
    int64_t ns, error_ns;

    for (int i = 0; i < 1000; i++) {
        uint64_t counter = lockstep_clock_counter(clock);

        if (lockstep_clock_now(clock, LOCKSTEP_TAI, &time) < 0 ||
            lockstep_clock_now_ordered(clock, LOCKSTEP_UTC, &time) < 0 ||
            lockstep_clock_at(clock, counter - 1000, LOCKSTEP_UTC, &time) < 0 ||
            lockstep_clock_difference(clock, counter, counter + 5, &ns, &error_ns) < 0 ||
            lockstep_clock_get_info(clock, &info) < 0)
            abort();
    }
}

/* From here on the kernel kills the process at any system call but exit. (Not the strict mode: that forbids RDTSC.) */
static void forbid_system_calls(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    const struct sock_fprog program = {sizeof filter / sizeof *filter, filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        _exit(2);
}

static int status_of_child(struct lockstep_clock *clock, void (*act)(struct lockstep_clock *clock))
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        forbid_system_calls();
        act(clock);
        syscall(SYS_exit, 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void call_the_kernel(struct lockstep_clock *clock)
{
    (void)clock;
    syscall(SYS_getppid);
}

static void reading_makes_no_system_call(void **state)
{
    struct clock_segment *segment;
    struct lockstep_clock *clock;
    struct clock_values values;

    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* its runtime makes calls of its own */
#endif
    use_machine_counter();
    values = rig_values();
    segment = publish(&values);
    clock = open_clock();
    assert_int_equal(status_of_child(clock, read_everything), 0);
    assert_true(WIFSIGNALED(status_of_child(clock, call_the_kernel))); /* the filter is at work */
    lockstep_clock_close(clock);
    segment_close(segment);
}

static void reading_allocates_nothing(void **state)
{
    struct clock_segment *segment;
    struct lockstep_clock *clock;
    struct clock_values values;
    struct mallinfo2 before, after;

    (void)state;
    use_machine_counter();
    values = rig_values();
    segment = publish(&values);
    clock = open_clock();
    before = mallinfo2();
    read_everything(clock);
    after = mallinfo2();
    assert_int_equal(before.uordblks, after.uordblks);
    lockstep_clock_close(clock);
    segment_close(segment);
}

/* --- faults ------------------------------------------------------------------------------------------------- */

static void file_under_the_reader_shrinks(void **state)
{
    struct clock_values values = rig_values();
    struct clock_segment *segment = publish(&values);
    struct lockstep_clock *clock = open_clock();
    struct lockstep_time time;

    (void)state;
    assert_int_equal(lockstep_clock_now(clock, LOCKSTEP_TAI, &time), 0);
    for (off_t size = 400; size > 0; size--) {
        assert_int_equal(truncate(rig_path, size), 0);
        lockstep_clock_now(clock, LOCKSTEP_TAI, &time);
        lockstep_clock_at(clock, values.counter - 5, LOCKSTEP_TAI, &time);
    }
    expect_no_time(clock, LOCKSTEP_CLOCK_UNSYNCHRONISED);
    lockstep_clock_close(clock);
    segment_close(segment);
}

/* A process that publishes without end, killed at some moment. */
static void kill_a_writer(useconds_t after_us)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct clock_values values = rig_values();
        struct clock_segment *segment = rig_create();

        for (;;)
            segment_publish(segment, &values);
    }
    usleep(after_us);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void a_writer_killed_in_the_middle(void **state)
{
    struct clock_segment *segment;
    struct lockstep_clock *clock;
    struct lockstep_clock_info info;
    struct clock_values values;
    struct lockstep_time time;
    uint64_t start;
    int64_t ns;
    int err = 0, kills = 0;

    (void)state;
    use_machine_counter();
    values = rig_values();
    segment = publish(&values);
    clock = open_clock();
    segment_close(segment);
    while (err != LOCKSTEP_CLOCK_E_TORN && kills < 2000) {
        kill_a_writer(2000 + (useconds_t)kills % 97 * 31);
        kills++;
        err = lockstep_clock_now(clock, LOCKSTEP_TAI, &time);
        assert_true(err == 0 || err == LOCKSTEP_CLOCK_E_TORN);
    }
    print_message("# torn after %d kills\n", kills);
    assert_int_equal(err, LOCKSTEP_CLOCK_E_TORN);
    assert_int_equal(time.status, LOCKSTEP_CLOCK_UNSYNCHRONISED);
    assert_int_equal(time.ns, 0);
    start = platform_now_ns();
    assert_int_equal(lockstep_clock_now_ordered(clock, LOCKSTEP_UTC, &time), LOCKSTEP_CLOCK_E_TORN);
    assert_true(platform_now_ns() - start < 2000000000); /* the tries are bounded */
    assert_int_equal(lockstep_clock_at(clock, values.counter, LOCKSTEP_UTC, &time), LOCKSTEP_CLOCK_E_TORN);
    assert_int_equal(lockstep_clock_difference(clock, 0, 1, &ns, NULL), LOCKSTEP_CLOCK_E_TORN);
    assert_int_equal(lockstep_clock_get_info(clock, &info), LOCKSTEP_CLOCK_E_TORN);
    /* The next daemon mends it under the reader. */
    values = rig_values();
    segment = publish(&values);
    assert_int_equal(lockstep_clock_now(clock, LOCKSTEP_TAI, &time), 0);
    lockstep_clock_close(clock);
    segment_close(segment);
}

/* --- threads ------------------------------------------------------------------------------------------------ */

#define RUN_NS 400000000

static struct lockstep_clock *shared_clock;
static bool stop;
static int64_t latest; /* the latest time that any thread has read */

static void keep_latest(int64_t ns)
{
    int64_t seen = __atomic_load_n(&latest, __ATOMIC_RELAXED);

    while (seen < ns && !__atomic_compare_exchange_n(&latest, &seen, ns, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        continue;
}

struct reader {
    pthread_t thread;
    int core;
    uint64_t reads, own_back, others_back, failed;
};

/* This writer is at it without a pause: put to sleep in the middle now and then, it leaves a torn segment for so long.
 */
static bool failed(int err)
{
    return err < 0 && err != LOCKSTEP_CLOCK_E_TORN;
}

/* Back-to-back on each core, and against what the others have read already. */
static void *read_on_core(void *argument)
{
    struct reader *reader = argument;
    int64_t own = 0;

    platform_pin_thread(reader->core);
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        struct lockstep_time time;
        int64_t others;

        for (int i = 0; i < 20; i++) {
            int err = lockstep_clock_now(shared_clock, LOCKSTEP_TAI, &time);

            reader->failed += failed(err);
            reader->own_back += err == 0 && time.ns < own;
            own = err == 0 ? time.ns : own;
        }
        others = __atomic_load_n(&latest, __ATOMIC_ACQUIRE);
        if (lockstep_clock_now_ordered(shared_clock, LOCKSTEP_TAI, &time) < 0)
            continue;
        reader->others_back += time.ns < others;
        reader->own_back += time.ns < own;
        own = time.ns;
        keep_latest(own);
        reader->reads += 21;
    }
    return NULL;
}

/* Faster and slower by turns, 400 ppm, as if a correction changed its mind with each update. */
static void publish_zigzag(struct clock_segment *segment)
{
    uint64_t end = platform_now_ns() + RUN_NS;
    struct clock_values values;
    int turn = 0;

    while (platform_now_ns() < end) {
        struct lockstep_time time;
        uint64_t counter = rig_counter.read(rig_counter.context);

        assert_true(segment_last(segment, &values));
        assert_int_equal(clock_values_at(&values, counter, LOCKSTEP_TAI, &time), 0);
        values.counter = counter;
        values.time_ns = time.ns;
        values.bound_ns = 5000;
        values.slew_period_ns = 1e9 / rig_counter.nominal_hz * (turn++ % 2 ? 1 + 400e-6 : 1 - 400e-6);
        values.counter_switch = counter + (uint64_t)rig_counter.nominal_hz;
        if (turn % 16 == 0)
            sched_yield(); /* now and then late */
        segment_publish(segment, &values);
    }
}

static void time_never_goes_back(void **state)
{
    enum { READERS = 4 };
    struct reader readers[READERS] = {0};
    struct clock_segment *segment;
    struct clock_values values;
    int cores = platform_core_count();

    (void)state;
    use_machine_counter();
    values = rig_values();
    segment = publish(&values);
    shared_clock = open_clock();
    stop = false;
    latest = 0;
    for (int i = 0; i < READERS; i++) {
        readers[i].core = i % cores;
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_on_core, &readers[i]), 0);
    }
    publish_zigzag(segment);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < READERS; i++) {
        pthread_join(readers[i].thread, NULL);
        print_message("# core %d: %llu reads\n", readers[i].core, (unsigned long long)readers[i].reads);
        assert_int_equal(readers[i].own_back, 0);
        assert_int_equal(readers[i].others_back, 0);
        assert_int_equal(readers[i].failed, 0);
        assert_true(readers[i].reads > 0);
    }
    lockstep_clock_close(shared_clock);
    segment_close(segment);
}

/* Each published line is another way to say time = 2 * counter + 10^18: a reading that mixes two of them shows. */
static struct clock_values same_line(uint64_t counter, unsigned variant)
{
    struct clock_values values = rig_values();

    values.counter = counter;
    values.time_ns = 1000000000000000000 + (int64_t)(2 * counter);
    values.fraction = 0;
    values.slew_period_ns = values.period_ns = values.difference_period_ns = 2;
    values.counter_switch = counter + variant % 5 * 1000;
    values.disruptions = variant;
    values.bound_ns = variant;
    values.bound_growth_ppb = 0;
    values.void_after = values.holdover_after = UINT64_MAX;
    return values;
}

static void *read_lines(void *argument)
{
    uint64_t *wrong = argument;

    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        uint64_t counter = 1000000000 + (uint64_t)rand() % 100000;
        struct lockstep_time time;
        int err = lockstep_clock_at(shared_clock, counter, LOCKSTEP_TAI, &time);

        if (err == 0)
            *wrong += time.ns != 1000000000000000000 + (int64_t)(2 * counter) ||
                      time.latest_ns - time.ns != (int64_t)time.disruptions + 1;
        else
            *wrong += failed(err);
    }
    return NULL;
}

static void readings_are_never_mixed(void **state)
{
    struct clock_values values = same_line(1000000000, 0);
    struct clock_segment *segment = publish(&values);
    uint64_t end = platform_now_ns() + RUN_NS, wrong[3] = {0}, updates = 0;
    pthread_t readers[3];

    (void)state;
    shared_clock = open_clock();
    stop = false;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_lines, &wrong[i]), 0);
    while (platform_now_ns() < end) {
        values = same_line(1000000000 + updates * 7919 % 100000, (unsigned)(updates % 1000));
        segment_publish(segment, &values);
        updates++;
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++) {
        pthread_join(readers[i], NULL);
        assert_int_equal(wrong[i], 0);
    }
    print_message("# %llu updates\n", (unsigned long long)updates);
    lockstep_clock_close(shared_clock);
    segment_close(segment);
}

/* --- waiting and notification ------------------------------------------------------------------------------- */

static void *publish_later(void *argument)
{
    struct clock_segment *segment = argument;
    struct clock_values values = rig_values();

    usleep(50000);
    values.bound_ns = 1000000;
    segment_publish(segment, &values);
    usleep(50000);
    values.bound_ns = 1000;
    segment_publish(segment, &values);
    return NULL;
}

static void waits_for_synchronisation(void **state)
{
    struct clock_segment *segment = rig_create();
    struct lockstep_clock *clock = open_clock();
    struct lockstep_time time;
    pthread_t thread;

    (void)state;
    assert_int_equal(lockstep_clock_wait(clock, 0, 0), -ETIMEDOUT);
    assert_int_equal(lockstep_clock_wait(clock, 0, 30), -ETIMEDOUT);
    assert_int_equal(pthread_create(&thread, NULL, publish_later, segment), 0);
    assert_int_equal(lockstep_clock_wait(clock, 0, 20000), 0);
    assert_int_equal(lockstep_clock_wait(clock, 2000, -1), 0);
    assert_int_equal(lockstep_clock_now(clock, LOCKSTEP_TAI, &time), 0);
    assert_true(time.latest_ns - time.ns <= 2000);
    assert_int_equal(lockstep_clock_wait(clock, 100, 20), -ETIMEDOUT);
    pthread_join(thread, NULL);
    lockstep_clock_close(clock);
    segment_close(segment);
}

static bool readable(int fd, int timeout_ms)
{
    struct pollfd pollfd = {fd, POLLIN, 0};

    return poll(&pollfd, 1, timeout_ms) == 1;
}

static void status_changes_are_notified(void **state)
{
    struct clock_segment *segment = rig_create();
    struct lockstep_clock *clock = open_clock();
    struct clock_values values = rig_values();
    int fd = lockstep_clock_fd(clock);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(lockstep_clock_fd(clock), fd);
    assert_false(readable(fd, 20));
    segment_publish(segment, &values);
    assert_true(readable(fd, 1000));
    assert_int_equal(lockstep_clock_acknowledge(clock), LOCKSTEP_CLOCK_SYNCHRONISED);
    assert_false(readable(fd, 20));
    values.time_ns += 100;
    segment_publish(segment, &values);
    assert_false(readable(fd, 20));
    values.disruptions++;
    segment_publish(segment, &values);
    assert_true(readable(fd, 1000));
    assert_int_equal(lockstep_clock_acknowledge(clock), LOCKSTEP_CLOCK_SYNCHRONISED);
    values.status = LOCKSTEP_CLOCK_DISRUPTED;
    segment_publish(segment, &values);
    assert_true(readable(fd, 1000));
    assert_int_equal(lockstep_clock_acknowledge(clock), LOCKSTEP_CLOCK_DISRUPTED);
    assert_false(readable(fd, 20));
    lockstep_clock_close(clock);
    segment_close(segment);
}

/* Nobody writes any more: the descriptor tells of holdover and of the void. */
static void age_is_notified(void **state)
{
    struct clock_segment *segment;
    struct lockstep_clock *clock;
    struct clock_values values;
    int fd;

    (void)state;
    use_machine_counter();
    values = rig_values();
    values.holdover_after = values.counter + (uint64_t)(rig_counter.nominal_hz / 10);
    values.void_after = values.counter + (uint64_t)(rig_counter.nominal_hz / 5);
    segment = publish(&values);
    clock = open_clock();
    segment_close(segment);
    fd = lockstep_clock_fd(clock);
    assert_true(readable(fd, 5000));
    assert_int_not_equal(lockstep_clock_acknowledge(clock), LOCKSTEP_CLOCK_SYNCHRONISED);
    while (lockstep_clock_acknowledge(clock) == LOCKSTEP_CLOCK_HOLDOVER)
        assert_true(readable(fd, 5000));
    assert_int_equal(lockstep_clock_acknowledge(clock), LOCKSTEP_CLOCK_UNSYNCHRONISED);
    assert_false(readable(fd, 20));
    lockstep_clock_close(clock);
}

static void a_replaced_segment_is_followed(void **state)
{
    struct clock_values values = rig_values();
    struct clock_segment *segment = publish(&values);
    struct lockstep_clock *clock = open_clock();
    struct lockstep_clock_info info;
    int fd = lockstep_clock_fd(clock);

    (void)state;
    lockstep_clock_acknowledge(clock);
    assert_false(readable(fd, 20));
    segment_close(segment);
    use_machine_counter(); /* a segment of another counter */
    values = rig_values();
    segment = rig_create();
    assert_true(readable(fd, 1000));
    lockstep_clock_acknowledge(clock);
    assert_int_equal(lockstep_clock_get_info(clock, &info), 0);
    assert_string_equal(info.counter, counter_name(rig_counter.kind));
    segment_publish(segment, &values);
    assert_true(readable(fd, 1000));
    assert_int_equal(lockstep_clock_acknowledge(clock), LOCKSTEP_CLOCK_SYNCHRONISED);
    segment_close(segment);
    /* Gone, and then there again. */
    assert_int_equal(unlink(rig_path), 0);
    assert_true(readable(fd, 1000));
    assert_int_equal(lockstep_clock_acknowledge(clock), LOCKSTEP_CLOCK_SYNCHRONISED);
    segment = rig_create();
    assert_true(readable(fd, 3000));
    assert_int_equal(lockstep_clock_acknowledge(clock), LOCKSTEP_CLOCK_UNSYNCHRONISED);
    segment_publish(segment, &values);
    assert_true(readable(fd, 1000));
    assert_int_equal(lockstep_clock_acknowledge(clock), LOCKSTEP_CLOCK_SYNCHRONISED);
    lockstep_clock_close(clock);
    segment_close(segment);
}

/* Threads go on reading while another one follows to a new file again and again. */
static void *read_any(void *argument)
{
    uint64_t *wrong = argument;

    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        struct lockstep_time time;
        int err = lockstep_clock_now(shared_clock, LOCKSTEP_TAI, &time);

        *wrong += err == 0 ? llabs(time.ns - 1800000000 * SECOND) > 3600 * SECOND : err != LOCKSTEP_CLOCK_E_NO_TIME;
    }
    return NULL;
}

static void following_disturbs_no_reader(void **state)
{
    const struct counter simulated = rig_counter;
    struct clock_values values = rig_values();
    struct clock_segment *segment = publish(&values);
    pthread_t readers[2];
    uint64_t wrong[2] = {0};

    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* takes the new mapping for an unprotected write */
#endif
    shared_clock = open_clock();
    assert_true(lockstep_clock_fd(shared_clock) >= 0);
    stop = false;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_any, &wrong[i]), 0);
    for (int i = 0; i < 100; i++) {
        segment_close(segment);
        if (i % 2)
            rig_counter = simulated;
        else
            assert_int_equal(counter_open(COUNTER_MONOTONIC_RAW, &rig_counter, (char[192]){0}), 0);
        values = rig_values();
        segment = publish(&values);
        assert_int_equal(lockstep_clock_acknowledge(shared_clock), LOCKSTEP_CLOCK_SYNCHRONISED);
        usleep(500);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++) {
        pthread_join(readers[i], NULL);
        assert_int_equal(wrong[i], 0);
    }
    lockstep_clock_close(shared_clock);
    segment_close(segment);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(what_is_no_segment_says_so),
        RIG_TEST(path_comes_from_the_environment),
        RIG_TEST(every_error_has_a_text),
        RIG_TEST(now_is_what_was_published),
        RIG_TEST(no_time_is_given_without_one),
        RIG_TEST(the_clock_ages_by_itself),
        RIG_TEST(differences_do_not_jump),
        RIG_TEST(a_leap_shows_in_the_information),
        RIG_TEST(reading_makes_no_system_call),
        RIG_TEST(reading_allocates_nothing),
        RIG_TEST(file_under_the_reader_shrinks),
        RIG_TEST(a_writer_killed_in_the_middle),
        RIG_TEST(time_never_goes_back),
        RIG_TEST(readings_are_never_mixed),
        RIG_TEST(waits_for_synchronisation),
        RIG_TEST(status_changes_are_notified),
        RIG_TEST(age_is_notified),
        RIG_TEST(a_replaced_segment_is_followed),
        RIG_TEST(following_disturbs_no_reader),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
