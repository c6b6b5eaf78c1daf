/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/stall.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "platform/platform.h"

#define NS_PER_S 1000000000

struct stall_detector {
    const struct node_clock *clock;
    pthread_t thread;
    atomic_bool ended;
    uint64_t steal_ticks; /* at the start */
    struct stall_report report;
};

/* Clock ticks that the hypervisor took from this machine, all cores. 0 where it does not say. */
static uint64_t steal_ticks(void)
{
    unsigned long long ticks = 0;
    FILE *file = fopen("/proc/stat", "re");

    if (!file)
        return 0;
    if (fscanf(file, "cpu %*u %*u %*u %*u %*u %*u %*u %llu", &ticks) != 1)
        ticks = 0;
    fclose(file);
    return ticks;
}

/* Room is made by dropping the shortest. */
static void keep(struct stall_report *report, struct stall stall)
{
    unsigned shortest = 0;

    report->stalls++;
    if (report->list_count < STALLS_MAX) {
        report->list[report->list_count++] = stall;
        return;
    }
    for (unsigned i = 1; i < STALLS_MAX; i++) {
        if (report->list[i].duration_ns < report->list[shortest].duration_ns)
            shortest = i;
    }
    if (report->list[shortest].duration_ns >= stall.duration_ns)
        return;
    memmove(&report->list[shortest], &report->list[shortest + 1], (STALLS_MAX - 1 - shortest) * sizeof *report->list);
    report->list[STALLS_MAX - 1] = stall;
}

static void note_wakeup(struct stall_detector *detector, int64_t late_ns)
{
    struct stall_report *report = &detector->report;
    struct node_time now;

    report->wakeups++;
    latency_record(&report->lateness, late_ns);
    if (late_ns <= report->threshold_ns)
        return;
    node_clock_now(detector->clock, &now);
    keep(report, (struct stall){now.tai_ns - late_ns, late_ns});
}

static void *watch(void *argument)
{
    struct stall_detector *detector = argument;
    int64_t next = (int64_t)platform_now_ns();

    while (!atomic_load_explicit(&detector->ended, memory_order_relaxed)) {
        struct timespec until;
        int64_t now;

        next += detector->report.period_ns;
        until = (struct timespec){next / NS_PER_S, next % NS_PER_S};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
            ;
        now = (int64_t)platform_now_ns();
        note_wakeup(detector, now - next);
        if (now > next)
            next = now; /* what was missed is one stall, not many */
    }
    return NULL;
}

struct stall_detector *stall_start(const struct node_clock *clock, int64_t period_ns, int64_t threshold_ns)
{
    struct stall_detector *detector = calloc(1, sizeof *detector);
    sigset_t all, before;
    int err;

    if (!detector)
        return NULL;
    detector->clock = clock;
    detector->report.period_ns = period_ns;
    detector->report.threshold_ns = threshold_ns;
    detector->steal_ticks = steal_ticks();
    sigfillset(&all); /* signals are for the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&detector->thread, NULL, watch, detector);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!err)
        return detector;
    free(detector);
    errno = err;
    return NULL;
}

void stall_stop(struct stall_detector *detector, struct stall_report *out)
{
    long per_s = sysconf(_SC_CLK_TCK);

    atomic_store(&detector->ended, true);
    pthread_join(detector->thread, NULL);
    *out = detector->report;
    out->steal_ms = (steal_ticks() - detector->steal_ticks) * 1000 / (uint64_t)(per_s > 0 ? per_s : 100);
    free(detector);
}
