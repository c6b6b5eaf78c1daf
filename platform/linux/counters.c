/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#if PLATFORM_HAS_TSC
#include <cpuid.h>
#endif

#include "base/error.h"
#include "platform/platform.h"

#define CLOCK_SOURCES      "/sys/devices/system/clocksource/clocksource0/"
#define BOOT_ID            "/proc/sys/kernel/random/boot_id"
#define NS_PER_S           1000000000
#define CALIBRATION_NS     100000000
#define BRACKETS           15
#define COMPARE_ROUNDS     500
#define COMPARE_SPINS      200000 /* of a wait for the other core: some milliseconds */
#define CORES_MAX          1024
#define CPUID_POWER        0x80000007u
#define CPUID_INVARIANT    (1u << 8)
#define CPUID_TSC_RATIO    0x15u
#define CPUID_HYPERVISOR   0x40000000u
#define CPUID_HYPERVISOR_1 0x40000010u /* TSC kHz, where a hypervisor says so */

uint64_t platform_monotonic_raw_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int platform_clock_ns(int clock_id, int64_t *ns)
{
    struct timespec now;

    if (clock_gettime(clock_id, &now) < 0)
        return -errno;
    *ns = (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
    return 0;
}

/* The first line of a small file, without its end. */
static int read_line(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length;

    if (fd < 0)
        return -errno;
    length = read(fd, text, size - 1);
    if (length < 0)
        length = -errno;
    close(fd);
    if (length < 0)
        return (int)length;
    text[length] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return 0;
}

int platform_boot_id(uint8_t id[16])
{
    char text[64];
    int err = read_line(BOOT_ID, text, sizeof text);
    unsigned count = 0;

    if (err < 0)
        return err;
    for (const char *next = text; *next && count < 16; next += *next == '-' ? 1 : 2) {
        unsigned value;

        if (*next == '-')
            continue;
        if (sscanf(next, "%2x", &value) != 1)
            return LOCKSTEP_E_BAD_FORMAT;
        id[count++] = (uint8_t)value;
    }
    return count == 16 ? 0 : LOCKSTEP_E_BAD_FORMAT;
}

bool platform_tsc_invariant(void)
{
#if PLATFORM_HAS_TSC
    unsigned a, b, c, d;

    return __get_cpuid(CPUID_POWER, &a, &b, &c, &d) && d & CPUID_INVARIANT;
#else
    return false;
#endif
}

static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (list += strspn(list, " "); *list; list += strspn(list, " ")) {
        size_t this = strcspn(list, " ");

        if (this == length && memcmp(list, word, length) == 0)
            return true;
        list += this;
    }
    return false;
}

/* A clock source that was marked unstable is no longer among those that can be chosen. */
enum platform_tsc_verdict platform_tsc_verdict(char clock_source[32])
{
    char available[256];

    clock_source[0] = '\0';
    if (read_line(CLOCK_SOURCES "current_clocksource", clock_source, 32) < 0)
        return PLATFORM_TSC_UNKNOWN;
    if (strcmp(clock_source, "tsc") == 0)
        return PLATFORM_TSC_USED;
    if (read_line(CLOCK_SOURCES "available_clocksource", available, sizeof available) < 0)
        return PLATFORM_TSC_UNKNOWN;
    return has_word(available, "tsc") ? PLATFORM_TSC_AVAILABLE : PLATFORM_TSC_REJECTED;
}

/* --- frequency ---------------------------------------------------------------------------------------------- */

/* As the CPU or the hypervisor states it, else 0. */
static double stated_hz(void)
{
#if PLATFORM_HAS_TSC
    unsigned a, b, c, d;

    if (__get_cpuid(CPUID_TSC_RATIO, &a, &b, &c, &d) && a && b && c)
        return (double)c * b / a;
    if (__get_cpuid(1, &a, &b, &c, &d) && c >> 31) { /* under a hypervisor */
        __cpuid(CPUID_HYPERVISOR, a, b, c, d);
        if (a >= CPUID_HYPERVISOR_1) {
            __cpuid(CPUID_HYPERVISOR_1, a, b, c, d);
            if (a)
                return a * 1e3;
        }
    }
#endif
    return 0;
}

struct pair {
    uint64_t ticks, ns;
};

/* Both at one moment: of a few readings the one that was interrupted least. */
static struct pair read_pair(void)
{
    uint64_t best = UINT64_MAX;
    struct pair pair = {0, 0};

    for (int i = 0; i < BRACKETS; i++) {
        uint64_t before = platform_tsc_ordered();
        uint64_t ns = platform_monotonic_raw_ns();
        uint64_t width = platform_tsc_ordered() - before;

        if (width < best) {
            best = width;
            pair = (struct pair){before + width / 2, ns};
        }
    }
    return pair;
}

static double measured_hz(void)
{
    struct timespec left = {0, CALIBRATION_NS};
    struct pair start = read_pair(), end;
    double khz;

    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        continue;
    end = read_pair();
    if (end.ticks <= start.ticks || end.ns <= start.ns)
        return 0;
    khz = (double)(end.ticks - start.ticks) * 1e6 / (double)(end.ns - start.ns);
    return 1e3 * (double)(uint64_t)(khz + 0.5);
}

double platform_tsc_hz(void)
{
    double stated = stated_hz(), measured;

    if (!PLATFORM_HAS_TSC)
        return 0;
    measured = measured_hz();
    /* What is stated may be a nominal figure that the machine does not keep. */
    return stated > measured * (1 - 100e-6) && stated < measured * (1 + 100e-6) ? stated : measured;
}

/* --- the cores against each other --------------------------------------------------------------------------- */

/* One answers with its TSC whenever the other asks. */
struct comparison {
    int asker_core, answerer_core;
    uint32_t asked __attribute__((aligned(64)));
    uint32_t answered __attribute__((aligned(64)));
    uint64_t answer;
    bool found;
    int64_t skew;   /* answerer's TSC - asker's */
    uint64_t doubt; /* half the round trip */
};

static bool wait_for(const uint32_t *word, uint32_t value)
{
    for (unsigned i = 0; i < COMPARE_SPINS; i++) {
        if (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
            return true;
        platform_relax();
    }
    return false;
}

static void *answer(void *argument)
{
    struct comparison *comparison = argument;

    if (platform_pin_thread(comparison->answerer_core) < 0)
        return NULL;
    for (uint32_t i = 1; i <= COMPARE_ROUNDS; i++) {
        if (!wait_for(&comparison->asked, i))
            return NULL;
        comparison->answer = platform_tsc_ordered();
        __atomic_store_n(&comparison->answered, i, __ATOMIC_RELEASE);
    }
    return NULL;
}

static void *ask(void *argument)
{
    struct comparison *comparison = argument;

    comparison->doubt = UINT64_MAX;
    if (platform_pin_thread(comparison->asker_core) < 0)
        return NULL;
    for (uint32_t i = 1; i <= COMPARE_ROUNDS; i++) {
        uint64_t before = platform_tsc_ordered(), width;

        __atomic_store_n(&comparison->asked, i, __ATOMIC_RELEASE);
        if (!wait_for(&comparison->answered, i))
            return NULL;
        width = platform_tsc_ordered() - before;
        if (width / 2 < comparison->doubt) {
            comparison->doubt = width / 2;
            comparison->skew = (int64_t)(comparison->answer - before - width / 2);
            comparison->found = true;
        }
    }
    return NULL;
}

/* Both threads are new, so that the caller's own binding stays as it is. */
static int compare_cores(struct comparison *comparison)
{
    pthread_t asker, answerer;
    int err = pthread_create(&answerer, NULL, answer, comparison);

    if (err)
        return -err;
    err = pthread_create(&asker, NULL, ask, comparison);
    if (!err)
        pthread_join(asker, NULL);
    pthread_join(answerer, NULL);
    return -err;
}

static void judge(const struct comparison *comparison, uint64_t limit_ticks, struct platform_tsc_skew *out)
{
    uint64_t skew = (uint64_t)llabs(comparison->skew);

    if (!comparison->found) {
        out->failed++;
        return;
    }
    if (skew > out->skew_ticks)
        out->skew_ticks = skew;
    if (comparison->doubt > out->doubt_ticks)
        out->doubt_ticks = comparison->doubt;
    if (skew > limit_ticks && skew - limit_ticks > comparison->doubt)
        out->apart = true;
}

int platform_tsc_compare(uint64_t limit_ticks, struct platform_tsc_skew *out)
{
    cpu_set_t *allowed = CPU_ALLOC(CORES_MAX);
    size_t size = CPU_ALLOC_SIZE(CORES_MAX);
    int first = -1, err = 0;

    memset(out, 0, sizeof *out);
    if (!allowed)
        return -ENOMEM;
    if (sched_getaffinity(0, size, allowed) < 0)
        err = -errno;
    for (int core = 0; core < CORES_MAX && err == 0; core++) {
        struct comparison comparison = {.asker_core = first, .answerer_core = core};

        if (!CPU_ISSET_S((size_t)core, size, allowed))
            continue;
        if (first < 0) {
            first = core;
            continue;
        }
        out->cores++;
        err = compare_cores(&comparison);
        if (err == 0)
            judge(&comparison, limit_ticks, out);
    }
    CPU_FREE(allowed);
    return err;
}
