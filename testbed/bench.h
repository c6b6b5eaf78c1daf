/* SPDX-License-Identifier: BSD-2-Clause */
/* What senders and receivers have in common: one epoll loop on the node's clock, commands on standard input, progress
 * on standard output, samples of the clock. One thread (besides the stall detector's). */
#ifndef LOCKSTEP_TESTBED_BENCH_H
#define LOCKSTEP_TESTBED_BENCH_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "testbed/job.h"
#include "testbed/node_clock.h"
#include "testbed/result.h"
#include "testbed/stall.h"

struct bench;

/* Something that waits in the epoll set; lies in the structure that it serves. */
struct bench_source {
    void (*ready)(struct bench *bench, struct bench_source *source, uint32_t events);
    int fd;
};

/* What the progress line tells of the last second. */
struct bench_progress {
    uint64_t messages, bytes, lost, late; /* since the start */
    const struct job_type *worst_type;    /* of this second: closest to its limit; NULL: none */
    int64_t worst_ns;
};

struct bench {
    struct job *job;
    struct result *result;
    struct node_clock *clock;
    int epoll;
    bool stop; /* end as soon as possible, keep what was measured */
    struct bench_progress progress;
    void (*refresh)(struct bench *bench); /* brings progress up to date; NULL: it is */
    void *role;                           /* the sender's or receiver's own */
    struct bench_private *private;
};

/* Opens the clock and takes over standard input and signals. 0, or a negative code; the result's problem says why. */
int bench_open(struct bench *bench, struct job *job, struct result *result);
void bench_close(struct bench *bench);

/* Adds or changes a source. 0 or a negative errno. */
int bench_watch(struct bench *bench, struct bench_source *source, uint32_t events);
int bench_rewatch(struct bench *bench, struct bench_source *source, uint32_t events);
/* Takes it out and closes its descriptor. */
void bench_drop(struct bench *bench, struct bench_source *source);

/* Says "ready", and waits until the start is told, if the job does not have it. 0, or -ECANCELED when stopped. */
int bench_ready(struct bench *bench);

/* Serves what is ready, and sleeps until something is or the time has come; also does the housekeeping. Returns the
 * time. spin_ns: the last bit before the time is spent without sleeping. */
int64_t bench_wait(struct bench *bench, int64_t until_tai_ns, int64_t spin_ns);
int64_t bench_now(const struct bench *bench);
/* Both scales for the echo check. */
struct echo_stamp bench_echo_stamp(const struct bench *bench);

/* Planned time 0, the first moment that is measured, the end of the schedule. */
int64_t bench_start_ns(const struct bench *bench);
int64_t bench_measured_ns(const struct bench *bench);
int64_t bench_end_ns(const struct bench *bench);

/* A line for the operator; the run goes on. */
void bench_problem(struct bench *bench, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Notes why the run failed, for the result; the first reason stays. Returns err. */
int bench_fail(struct bench *bench, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The last line, when the result is written. */
void bench_say_done(const struct job *job, const struct result *result);

/* The roles. 0 when the run took place (also when it was stopped), or a negative code. */
int sender_run(struct bench *bench);
int receiver_run(struct bench *bench);

#endif
