/* SPDX-License-Identifier: BSD-2-Clause */
/* Usage: clock_read [ROUNDS]
 * What one reading of the clock costs, beside a bare RDTSC and clock_gettime: rounds of 1000 readings of each kind in
 * turn, medians over the rounds, ratios. The library is the shared one, as programs use it; the segment is this
 * program's own. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "clock/segment.h"
#include "lockstep/clock.h"
#include "platform/counters.h"

#define READS      1000
#define ROUNDS_MAX 100000

enum { BARE, BARE_ORDERED, NOW_TAI, NOW_UTC, NOW_ORDERED, AT, COUNTER, REALTIME, MONOTONIC_RAW, KINDS };

static const char *const names[KINDS] = {"rdtsc",
                                         "lfence; rdtsc",
                                         "lockstep_clock_now, TAI",
                                         "lockstep_clock_now, UTC",
                                         "lockstep_clock_now_ordered, UTC",
                                         "lockstep_clock_at, UTC",
                                         "lockstep_clock_counter",
                                         "clock_gettime, REALTIME",
                                         "clock_gettime, MONOTONIC_RAW"};

static struct lockstep_clock *lockstep;
static volatile uint64_t sink;

static void read_once(int kind, uint64_t counter)
{
    struct lockstep_time time;
    struct timespec kernel;

    switch (kind) {
    case BARE:
        sink = platform_tsc();
        break;
    case BARE_ORDERED:
        sink = platform_tsc_ordered();
        break;
    case NOW_TAI:
        lockstep_clock_now(lockstep, LOCKSTEP_TAI, &time);
        break;
    case NOW_UTC:
        lockstep_clock_now(lockstep, LOCKSTEP_UTC, &time);
        break;
    case NOW_ORDERED:
        lockstep_clock_now_ordered(lockstep, LOCKSTEP_UTC, &time);
        break;
    case AT:
        lockstep_clock_at(lockstep, counter, LOCKSTEP_UTC, &time);
        break;
    case COUNTER:
        sink = lockstep_clock_counter(lockstep);
        break;
    case REALTIME:
        clock_gettime(CLOCK_REALTIME, &kernel);
        break;
    case MONOTONIC_RAW:
        clock_gettime(CLOCK_MONOTONIC_RAW, &kernel);
        break;
    }
}

/* The switch is outside of the loop after inlining: one loop a kind. */
static inline __attribute__((always_inline)) double time_kind(int kind, uint64_t counter)
{
    uint64_t start = platform_monotonic_raw_ns();

    for (int i = 0; i < READS; i++)
        read_once(kind, counter);
    return (double)(platform_monotonic_raw_ns() - start) / READS;
}

static int by_value(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;

    return (first > second) - (first < second);
}

static struct clock_segment *make_segment(const char *path, struct counter *counter)
{
    struct clock_segment *segment;
    struct clock_values values = {.status = LOCKSTEP_CLOCK_SYNCHRONISED, .void_after = UINT64_MAX, .tai_utc_s = 37};
    char why[192];
    int err = counter_open(COUNTER_AUTO, counter, why);

    if (err == 0)
        err = segment_create(path, counter, &segment);
    if (err < 0) {
        fprintf(stderr, "clock_read: cannot make a segment at %s: %d\n", path, err);
        exit(1);
    }
    printf("%s\n", why);
    values.counter = counter->read(counter->context);
    values.time_ns = 1800000000000000000;
    values.slew_period_ns = values.period_ns = values.difference_period_ns = 1e9 / counter->nominal_hz;
    values.bound_ns = 1000;
    values.bound_growth_ppb = 100;
    segment_publish(segment, &values);
    return segment;
}

static void measure(double (*costs)[ROUNDS_MAX], unsigned rounds, uint64_t counter)
{
    for (unsigned i = 0; i < rounds; i++) {
        costs[BARE][i] = time_kind(BARE, counter);
        costs[BARE_ORDERED][i] = time_kind(BARE_ORDERED, counter);
        costs[NOW_TAI][i] = time_kind(NOW_TAI, counter);
        costs[NOW_UTC][i] = time_kind(NOW_UTC, counter);
        costs[NOW_ORDERED][i] = time_kind(NOW_ORDERED, counter);
        costs[AT][i] = time_kind(AT, counter);
        costs[COUNTER][i] = time_kind(COUNTER, counter);
        costs[REALTIME][i] = time_kind(REALTIME, counter);
        costs[MONOTONIC_RAW][i] = time_kind(MONOTONIC_RAW, counter);
    }
}

static void print(double (*costs)[ROUNDS_MAX], unsigned rounds)
{
    double median[KINDS];
    struct utsname system;

    for (int kind = 0; kind < KINDS; kind++) {
        qsort(costs[kind], rounds, sizeof **costs, by_value);
        median[kind] = costs[kind][rounds / 2];
    }
    uname(&system);
    printf("Linux %s, %ld cores, %u rounds of %d readings each, in turn\n\n", system.release,
           sysconf(_SC_NPROCESSORS_ONLN), rounds, READS);
    printf("%-34s %9s %9s %9s %8s %15s\n", "", "median ns", "10 % ns", "90 % ns", "/ rdtsc", "/ clock_gettime");
    for (int kind = 0; kind < KINDS; kind++)
        printf("%-34s %9.2f %9.2f %9.2f %8.2f %15.2f\n", names[kind], median[kind], costs[kind][rounds / 10],
               costs[kind][rounds - 1 - rounds / 10], median[kind] / median[BARE], median[kind] / median[REALTIME]);
}

int main(int argc, char **argv)
{
    static double costs[KINDS][ROUNDS_MAX];
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 2000;
    char directory[] = "/tmp/lockstep-clock-read-XXXXXX", path[64], command[64];
    struct clock_segment *segment;
    struct counter counter;
    int err;

    if (rounds < 1 || rounds > ROUNDS_MAX || !mkdtemp(directory)) {
        fprintf(stderr, "Usage: clock_read [ROUNDS], 1 to %d\n", ROUNDS_MAX);
        return 2;
    }
    snprintf(path, sizeof path, "%s/clock", directory);
    segment = make_segment(path, &counter);
    err = lockstep_clock_open(path, &lockstep);
    if (err < 0) {
        fprintf(stderr, "clock_read: %s: %s\n", path, lockstep_clock_error_text(err));
        return 1;
    }
    measure(costs, rounds, counter.read(counter.context));
    print(costs, rounds);
    lockstep_clock_close(lockstep);
    segment_close(segment);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}
