/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "base/error.h"

#define NS_PER_S       1000000000
#define CALIBRATION_NS 2000000
#define LOCK_SPINS     50 /* of a few tens of cycles each: about a microsecond */
#define MAX_CORES      4096

enum lock_state { LOCK_FREE, LOCK_TAKEN, LOCK_CONTENDED /* taken, and somebody may sleep */ };

/* System calls by number, because the preload library puts itself in front of libc's fcntl, close and others. */
#define SYSTEM_CALL(...)                                                                                               \
    ({                                                                                                                 \
        int saved_errno_ = errno;                                                                                      \
        long result_ = syscall(__VA_ARGS__);                                                                           \
        if (result_ < 0)                                                                                               \
            result_ = -errno;                                                                                          \
        errno = saved_errno_;                                                                                          \
        result_;                                                                                                       \
    })

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t platform_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t platform_realtime_offset_ns(void)
{
    uint64_t best_width = UINT64_MAX;
    int64_t offset = 0;

    /* Of a few readings the one that was interrupted least. */
    for (int i = 0; i < 5; i++) {
        uint64_t before = clock_ns(CLOCK_MONOTONIC);
        uint64_t realtime = clock_ns(CLOCK_REALTIME);
        uint64_t width = clock_ns(CLOCK_MONOTONIC) - before;

        if (width < best_width) {
            best_width = width;
            offset = (int64_t)(realtime - before - width / 2);
        }
    }
    return offset;
}

uint64_t platform_cycles(void)
{
#if defined(__x86_64__)
    return __rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;

    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return platform_now_ns();
#endif
}

struct clock_pair {
    uint64_t ns, cycles;
};

/* Both clocks at one moment: of a few readings the one that was interrupted least. */
static struct clock_pair read_clock_pair(void)
{
    uint64_t best_width = UINT64_MAX;
    struct clock_pair pair = {0, 0};

    for (int i = 0; i < 5; i++) {
        uint64_t before = platform_cycles();
        uint64_t ns = platform_now_ns();
        uint64_t width = platform_cycles() - before;

        if (width < best_width) {
            best_width = width;
            pair = (struct clock_pair){ns, before + width / 2};
        }
    }
    return pair;
}

static uint64_t measure_cycles_per_us(void)
{
    struct clock_pair start = read_clock_pair(), end;
    uint64_t elapsed_ns;

    while (platform_now_ns() - start.ns < CALIBRATION_NS)
        platform_relax();
    end = read_clock_pair();
    elapsed_ns = end.ns - start.ns;
    return ((end.cycles - start.cycles) * 1000 + elapsed_ns / 2) / elapsed_ns;
}

uint64_t platform_cycles_per_us(void)
{
    static uint64_t measured;
    uint64_t rate = __atomic_load_n(&measured, __ATOMIC_RELAXED);

    if (rate == 0) {
        rate = measure_cycles_per_us();
        rate = rate ? rate : 1;
        __atomic_store_n(&measured, rate, __ATOMIC_RELAXED);
    }
    return rate;
}

int platform_pin_thread(int core)
{
    unsigned long mask[MAX_CORES / (8 * sizeof(long))] = {0};
    const int bits = 8 * sizeof *mask;

    if (core < 0 || core >= MAX_CORES)
        return -EINVAL;
    mask[core / bits] = 1ul << core % bits;
    return (int)SYSTEM_CALL(SYS_sched_setaffinity, 0, sizeof mask, mask);
}

int platform_core_count(void)
{
    unsigned long mask[MAX_CORES / (8 * sizeof(long))] = {0};
    long bytes = SYSTEM_CALL(SYS_sched_getaffinity, 0, sizeof mask, mask);
    int count = 0;

    for (long i = 0; i < bytes / (long)sizeof *mask; i++)
        count += __builtin_popcountl(mask[i]);
    return count > 0 ? count : 1;
}

void platform_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

int platform_random(void *buffer, size_t length)
{
    char *next = buffer;

    while (length > 0) {
        long got = SYSTEM_CALL(SYS_getrandom, next, length, 0);

        if (got < 0 && got != -EINTR)
            return (int)got;
        if (got > 0) {
            next += got;
            length -= (size_t)got;
        }
    }
    return 0;
}

int platform_futex_wait(const uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
    struct timespec timeout = {.tv_sec = timeout_ns / NS_PER_S, .tv_nsec = timeout_ns % NS_PER_S};

    return (int)SYSTEM_CALL(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_ns < 0 ? NULL : &timeout, NULL, 0);
}

int platform_futex_wake(const uint32_t *word, int count)
{
    return (int)SYSTEM_CALL(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

void platform_lock_init(struct platform_lock *lock)
{
    __atomic_store_n(&lock->state, LOCK_FREE, __ATOMIC_RELAXED);
}

bool platform_lock_try(struct platform_lock *lock)
{
    uint32_t expected = LOCK_FREE;

    return __atomic_compare_exchange_n(&lock->state, &expected, LOCK_TAKEN, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* Three states, after U. Drepper, "Futexes are tricky": a thread that has slept always leaves LOCK_CONTENDED behind,
 * because it cannot know whether others sleep. */
static __attribute__((noinline)) void acquire_contended(struct platform_lock *lock)
{
    for (int i = 0; i < LOCK_SPINS; i++) {
        platform_relax();
        if (__atomic_load_n(&lock->state, __ATOMIC_RELAXED) == LOCK_FREE && platform_lock_try(lock))
            return;
    }
    while (__atomic_exchange_n(&lock->state, LOCK_CONTENDED, __ATOMIC_ACQUIRE) != LOCK_FREE)
        platform_futex_wait(&lock->state, LOCK_CONTENDED, -1);
}

void platform_lock_acquire(struct platform_lock *lock)
{
    if (!platform_lock_try(lock))
        acquire_contended(lock);
}

void platform_lock_release(struct platform_lock *lock)
{
    if (__atomic_exchange_n(&lock->state, LOCK_FREE, __ATOMIC_RELEASE) == LOCK_CONTENDED)
        platform_futex_wake(&lock->state, 1);
}

bool platform_lock_held(const struct platform_lock *lock)
{
    return __atomic_load_n(&lock->state, __ATOMIC_RELAXED) != LOCK_FREE;
}

static int map_shared(int fd, size_t size, int protection, void **mapping)
{
    int saved_errno = errno;
    int err;

    *mapping = mmap(NULL, size, protection, MAP_SHARED, fd, 0);
    err = *mapping == MAP_FAILED ? -errno : 0;
    errno = saved_errno;
    return err;
}

int platform_memfd_sealed(const char *name, size_t size, bool read_only_for_others, void **mapping)
{
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | (read_only_for_others ? F_SEAL_FUTURE_WRITE : 0);
    int fd = (int)SYSTEM_CALL(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int err;

    if (fd < 0)
        return fd;
    err = (int)SYSTEM_CALL(SYS_ftruncate, fd, size);
    if (err)
        goto close_fd;
    err = map_shared(fd, size, PROT_READ | PROT_WRITE, mapping);
    if (err)
        goto close_fd;
    /* FUTURE_WRITE leaves the mapping that exists already alone. */
    err = (int)SYSTEM_CALL(SYS_fcntl, fd, F_ADD_SEALS, seals);
    if (err)
        goto unmap;
    return fd;

unmap:
    munmap(*mapping, size);
close_fd:
    SYSTEM_CALL(SYS_close, fd);
    return err;
}

int platform_memfd_map(int fd, size_t size, bool writable, void **mapping)
{
    long seals = SYSTEM_CALL(SYS_fcntl, fd, F_GET_SEALS);
    int saved_errno = errno;
    struct stat status;
    int failed = fstat(fd, &status);

    errno = saved_errno;
    if (failed || seals < 0 || !(seals & F_SEAL_SHRINK) || (uint64_t)status.st_size < size)
        return LOCKSTEP_E_BAD_FORMAT;
    return map_shared(fd, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, mapping);
}
