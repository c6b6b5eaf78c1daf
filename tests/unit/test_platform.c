/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "platform/file_lock.h"
#include "tests/unit/unit.h"

#define MS     1000000ull
#define ROUNDS 200000

static void time_moves_on_and_is_the_systems(void **state)
{
    struct timespec now;
    uint64_t before = platform_now_ns(), system_ns;

    (void)state;
    clock_gettime(CLOCK_MONOTONIC, &now);
    system_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    assert_true(before <= system_ns && system_ns <= platform_now_ns());
}

static void realtime_offset_leads_to_realtime(void **state)
{
    struct timespec now;
    int64_t difference_ns;

    (void)state;
    clock_gettime(CLOCK_REALTIME, &now);
    difference_ns =
        (int64_t)platform_now_ns() + platform_realtime_offset_ns() - (now.tv_sec * 1000000000 + now.tv_nsec);
    /* Wide, because the thread may be suspended in between. */
    assert_true(difference_ns >= -1000000 && difference_ns < 1000000000);
}

/* Brackets the clock between readings of the counter, so that a suspended thread does not matter. */
static void counter_agrees_with_the_clock(void **state)
{
    uint64_t rate = platform_cycles_per_us();
    uint64_t outer_start = platform_cycles(), start_ns = platform_now_ns(), inner_start = platform_cycles();
    uint64_t inner_end, end_ns, outer_end;

    (void)state;
    while (platform_now_ns() - start_ns < 20 * MS)
        platform_relax();
    inner_end = platform_cycles();
    end_ns = platform_now_ns();
    outer_end = platform_cycles();
    assert_true((inner_end - inner_start) / rate <= (end_ns - start_ns) / 1000 * 11 / 10);
    assert_true((outer_end - outer_start) / rate >= (end_ns - start_ns) / 1000 * 9 / 10);
    assert_int_equal(platform_cycles_per_us(), rate);
}

static void *pin_and_count(void *result)
{
    cpu_set_t allowed;
    int core = 0;

    sched_getaffinity(0, sizeof allowed, &allowed);
    while (!CPU_ISSET(core, &allowed))
        core++;
    if (platform_pin_thread(core) == 0 && sched_getcpu() == core)
        *(int *)result = platform_core_count();
    return NULL;
}

static void pinned_thread_has_one_core(void **state)
{
    int count = platform_core_count(), pinned_count = 0;
    pthread_t thread;

    (void)state;
    assert_true(count >= 1);
    assert_int_equal(pthread_create(&thread, NULL, pin_and_count, &pinned_count), 0);
    pthread_join(thread, NULL);
    assert_int_equal(pinned_count, 1);
    assert_int_equal(platform_core_count(), count);
    assert_int_equal(platform_pin_thread(-1), -EINVAL);
    assert_int_equal(platform_pin_thread(100000), -EINVAL);
    assert_int_equal(platform_pin_thread(4095), -EINVAL);
}

static void random_bytes_fill_the_buffer(void **state)
{
    unsigned char a[4096] = {0}, b[4096] = {0};
    unsigned zeros = 0;

    (void)state;
    assert_int_equal(platform_random(a, sizeof a - 1), 0);
    assert_int_equal(platform_random(b, sizeof b), 0);
    assert_int_equal(a[sizeof a - 1], 0);
    assert_memory_not_equal(a, b, sizeof a - 1);
    for (size_t i = 0; i < sizeof b; i++)
        zeros += b[i] == 0;
    assert_true(zeros < 100); /* expected: 16 */
}

static void futex_waits_only_for_the_expected_value(void **state)
{
    uint32_t word = 5;
    uint64_t start_ns = platform_now_ns();

    (void)state;
    errno = ENOTTY;
    assert_int_equal(platform_futex_wait(&word, 4, -1), -EAGAIN);
    assert_int_equal(platform_futex_wait(&word, 5, 5 * MS), -ETIMEDOUT);
    assert_true(platform_now_ns() - start_ns >= 5 * MS);
    assert_int_equal(platform_futex_wake(&word, 1), 0);
    assert_int_equal(errno, ENOTTY);
}

static void *wait_for_change(void *word)
{
    while (__atomic_load_n((uint32_t *)word, __ATOMIC_ACQUIRE) == 0)
        platform_futex_wait(word, 0, -1);
    return NULL;
}

static void futex_wake_wakes(void **state)
{
    uint32_t word = 0;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_change, &word), 0);
    while (platform_futex_wake(&word, 1) == 0) /* until it sleeps; it goes back to sleep, as word is still 0 */
        sched_yield();
    __atomic_store_n(&word, 1, __ATOMIC_RELEASE);
    platform_futex_wake(&word, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

struct counter {
    struct platform_lock lock;
    uint64_t count; /* not atomic: the lock protects it */
};

static void *count_up(void *context)
{
    struct counter *counter = context;

    for (int i = 0; i < ROUNDS; i++) {
        platform_lock_acquire(&counter->lock);
        counter->count++;
        if (i % 10000 == 0)
            sched_yield(); /* others run into the lock and sleep */
        platform_lock_release(&counter->lock);
    }
    return NULL;
}

static void lock_excludes_other_threads(void **state)
{
    struct counter counter = {.count = 0};
    pthread_t threads[4];

    (void)state;
    platform_lock_init(&counter.lock);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, &counter), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(counter.count, 4 * ROUNDS);
    assert_false(platform_lock_held(&counter.lock));
}

static void *acquire_once(void *lock)
{
    platform_lock_acquire(lock);
    platform_lock_release(lock);
    return NULL;
}

static void every_sleeper_gets_the_lock_in_turn(void **state)
{
    struct platform_lock lock = {0};
    struct timespec while_they_fall_asleep = {.tv_nsec = 20 * MS};
    pthread_t threads[3];

    (void)state;
    platform_lock_acquire(&lock);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, acquire_once, &lock), 0);
    while (platform_futex_wake(&lock.state, 3) < 3)
        sched_yield();
    nanosleep(&while_they_fall_asleep, NULL);
    platform_lock_release(&lock); /* wakes one; the others depend on its release and on the next one's */
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_false(platform_lock_held(&lock));
}

static void lock_can_be_tried(void **state)
{
    struct platform_lock lock = {0};

    (void)state;
    assert_true(platform_lock_try(&lock));
    assert_true(platform_lock_held(&lock));
    assert_false(platform_lock_try(&lock));
    platform_lock_release(&lock);
    assert_true(platform_lock_try(&lock));
}

static void sealed_memory_keeps_its_size(void **state)
{
    void *mine, *theirs;
    int fd = platform_memfd_sealed("test", 8192, false, &mine);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(ftruncate(fd, 4096), -1);
    assert_int_equal(ftruncate(fd, 16384), -1);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
    assert_int_equal(platform_memfd_map(fd, 8192, true, &theirs), 0);
    strcpy(theirs, "hello");
    assert_string_equal(mine, "hello");
    assert_int_equal(platform_memfd_map(fd, 8193, false, &theirs), LOCKSTEP_E_BAD_FORMAT);
    munmap(mine, 8192);
    munmap(theirs, 8192);
    close(fd);
}

static void read_only_memory_cannot_be_written_by_others(void **state)
{
    void *mine, *theirs;
    int fd = platform_memfd_sealed("test", 4096, true, &mine);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(platform_memfd_map(fd, 4096, true, &theirs), -EPERM);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(platform_memfd_map(fd, 4096, false, &theirs), 0);
    strcpy(mine, "hello");
    assert_string_equal(theirs, "hello");
    munmap(mine, 4096);
    munmap(theirs, 4096);
    close(fd);
}

static void unsealed_memory_is_not_mapped(void **state)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *mapping;

    (void)state;
    assert_int_equal(ftruncate(fd, 4096), 0);
    assert_int_equal(platform_memfd_map(fd, 4096, false, &mapping), LOCKSTEP_E_BAD_FORMAT);
    assert_int_equal(platform_memfd_map(-1, 4096, false, &mapping), LOCKSTEP_E_BAD_FORMAT);
    close(fd);
}

/* A copy of the descriptor holds the lock as well. */
static void a_lock_that_is_about_to_end_is_waited_for(void **state)
{
    char path[] = "/tmp/file_lock_test.XXXXXX";
    int first = mkstemp(path), second = open(path, O_RDWR | O_CLOEXEC);
    pid_t child;

    (void)state;
    unlink(path);
    assert_int_equal(file_lock_take(first), 0);
    assert_int_equal(file_lock_take(second), -EWOULDBLOCK);
    child = fork();
    if (child == 0) {
        usleep(200000);
        _exit(0);
    }
    close(first);
    assert_int_equal(file_lock_take(second), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(second);
    assert_int_equal(file_lock_take(second), -EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_moves_on_and_is_the_systems),
        cmocka_unit_test(realtime_offset_leads_to_realtime),
        cmocka_unit_test(counter_agrees_with_the_clock),
        cmocka_unit_test(pinned_thread_has_one_core),
        cmocka_unit_test(random_bytes_fill_the_buffer),
        cmocka_unit_test(futex_waits_only_for_the_expected_value),
        cmocka_unit_test(futex_wake_wakes),
        cmocka_unit_test(lock_excludes_other_threads),
        cmocka_unit_test(every_sleeper_gets_the_lock_in_turn),
        cmocka_unit_test(lock_can_be_tried),
        cmocka_unit_test(sealed_memory_keeps_its_size),
        cmocka_unit_test(read_only_memory_cannot_be_written_by_others),
        cmocka_unit_test(unsealed_memory_is_not_mapped),
        cmocka_unit_test(a_lock_that_is_about_to_end_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
