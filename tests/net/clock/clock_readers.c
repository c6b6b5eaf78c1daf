/* SPDX-License-Identifier: BSD-2-Clause */
/* clock_readers SEGMENT PROCESSES THREADS SECONDS: that many threads in that many processes read the segment, now and
 * then, and in bursts; whatever is not right in a reading (out of its own bound, backwards, far from what the counter
 * says since the first one, an error other than "no time") is counted. Prints one JSON object. */
#include <err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lockstep/clock.h"

#define BURST       20
#define PAUSE_NS    20000000
#define FAR_NS      1000000 /* a torn reading is off by far more */
#define THREADS_MAX 1000

struct counts {
    atomic_ullong readings, no_time, torn, strange, backwards, far, holdover, unsynchronised, failed;
};

static struct counts *counts;
static const char *path;
static double seconds;

static int64_t steady_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC_RAW, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void judge(const struct lockstep_time *time, int result, struct lockstep_time *last, int64_t *apart_ns)
{
    int64_t apart = time->ns - steady_ns();

    counts->readings++;
    counts->holdover += time->status == LOCKSTEP_CLOCK_HOLDOVER;
    counts->unsynchronised += time->status == LOCKSTEP_CLOCK_UNSYNCHRONISED;
    if (result < 0) {
        counts->no_time += result == LOCKSTEP_CLOCK_E_NO_TIME;
        counts->torn += result == LOCKSTEP_CLOCK_E_TORN;
        counts->strange += result != LOCKSTEP_CLOCK_E_NO_TIME && result != LOCKSTEP_CLOCK_E_TORN;
        return;
    }
    counts->strange += time->earliest_ns > time->ns || time->latest_ns < time->ns;
    if (last->ns && last->disruptions == time->disruptions) {
        counts->backwards += time->ns < last->ns;
        /* A thread may have been put aside between the two clocks: only what comes early is impossible. */
        counts->far += apart > *apart_ns + FAR_NS || (apart < *apart_ns - FAR_NS && time->ns < last->ns);
    } else {
        *apart_ns = apart;
    }
    *last = *time;
}

static void *reader(void *argument)
{
    struct lockstep_clock *clock = argument;
    struct lockstep_time last = {0};
    int64_t end_ns = steady_ns() + (int64_t)(seconds * 1e9), apart_ns = 0;

    while (steady_ns() < end_ns) {
        struct timespec pause = {0, PAUSE_NS + (long)(steady_ns() % PAUSE_NS)};

        for (int i = 0; i < BURST; i++) {
            struct lockstep_time time;
            int result = lockstep_clock_now(clock, LOCKSTEP_TAI, &time);

            judge(&time, result, &last, &apart_ns);
        }
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void run_process(int threads)
{
    static pthread_t handles[THREADS_MAX];
    struct lockstep_clock *clock;
    pthread_attr_t attributes;

    if (lockstep_clock_open(path, &clock) < 0) {
        counts->failed++;
        _exit(1);
    }
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 65536);
    for (int i = 0; i < threads; i++) {
        if (pthread_create(&handles[i], &attributes, reader, clock))
            errx(1, "cannot start thread %d", i);
    }
    for (int i = 0; i < threads; i++)
        pthread_join(handles[i], NULL);
    lockstep_clock_close(clock);
    _exit(0);
}

int main(int argc, char **argv)
{
    int processes, threads, status, bad = 0;

    if (argc != 5)
        errx(2, "usage: clock_readers SEGMENT PROCESSES THREADS SECONDS");
    path = argv[1];
    processes = atoi(argv[2]);
    threads = atoi(argv[3]);
    seconds = atof(argv[4]);
    if (threads < 1 || threads > THREADS_MAX)
        errx(2, "1 to %d threads", THREADS_MAX);
    counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counts == MAP_FAILED)
        err(1, "mmap");
    for (int i = 0; i < processes; i++) {
        pid_t child = fork();

        if (child < 0)
            err(1, "fork");
        if (child == 0)
            run_process(threads);
    }
    printf("started\n");
    fflush(stdout);
    while (wait(&status) > 0)
        bad += status != 0;
    printf("{\"readings\": %llu, \"no_time\": %llu, \"torn\": %llu, \"strange\": %llu, \"backwards\": %llu, "
           "\"far\": %llu, \"holdover\": %llu, \"unsynchronised\": %llu, \"failed\": %llu, \"bad\": %d}\n",
           counts->readings, counts->no_time, counts->torn, counts->strange, counts->backwards, counts->far,
           counts->holdover, counts->unsynchronised, counts->failed, bad);
    return bad > 0;
}
