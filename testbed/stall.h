/* SPDX-License-Identifier: BSD-2-Clause */
/* Host noise during a run: a thread sleeps a fixed period again and again, and notes how late it wakes up (as
 * cyclictest does). What it finds late happened to every program of the node at that time. */
#ifndef LOCKSTEP_TESTBED_STALL_H
#define LOCKSTEP_TESTBED_STALL_H

#include <stdbool.h>
#include <stdint.h>

#include "testbed/node_clock.h"
#include "testbed/record.h"

#define STALLS_MAX 512

struct stall {
    int64_t at_ns;       /* TAI, when the thread should have run */
    int64_t duration_ns; /* until it ran */
};

struct stall_report {
    int64_t period_ns, threshold_ns;
    uint64_t wakeups;
    uint64_t stalls; /* above the threshold; the longest STALLS_MAX are in list */
    struct latency lateness;
    struct stall list[STALLS_MAX]; /* in order of time */
    unsigned list_count;
    uint64_t steal_ms; /* of all cores, taken by the hypervisor (/proc/stat) */
};

struct stall_detector;
/* Starts the thread. NULL: not possible (errno). */
struct stall_detector *stall_start(const struct node_clock *clock, int64_t period_ns, int64_t threshold_ns);
/* Ends it; the report is complete then. Frees the detector. */
void stall_stop(struct stall_detector *detector, struct stall_report *out);

/* The stall that overlaps [from, to], the longest of them; NULL if none does. */
const struct stall *stall_find(const struct stall_report *report, int64_t from_ns, int64_t to_ns);

#endif
