/* SPDX-License-Identifier: BSD-2-Clause */
/* The shared segment: a file on a tmpfs that clockd writes and any process maps read-only. Layout and its check are
 * pure; the library (library.c) and the daemon build on them. */
#ifndef LOCKSTEP_CLOCK_SEGMENT_H
#define LOCKSTEP_CLOCK_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock/counter.h"
#include "lockstep/clock.h"

/* What the daemon publishes. The line has two pieces, so that a correction which is slewed ends by itself:
 * until counter_switch the clock runs with slew_period_ns, from then on with period_ns. */
struct clock_values {
    enum lockstep_clock_status status;
    uint32_t disruptions;
    uint64_t counter;                                       /* reference */
    int64_t time_ns;                                        /* TAI at the reference */
    double fraction;                                        /* of a nanosecond */
    double slew_period_ns, period_ns, difference_period_ns; /* ns a tick */
    uint64_t counter_switch;
    uint64_t void_after;     /* counter value */
    uint64_t holdover_after; /* counter value: no newer update by then means that the daemon is gone, and readers say
                                HOLDOVER by themselves; 0: not before void_after */
    int64_t bound_ns;        /* at the reference, with all that is not yet corrected */
    uint32_t bound_growth_ppb;
    int64_t utc_distance_ns; /* what to add for the bound to UTC; INT64_MAX: unknown */
    int32_t tai_utc_s;       /* before leap_at_ns */
    int32_t leap;            /* +1, -1, 0 */
    int64_t leap_at_ns;      /* TAI of the moment when TAI - UTC changes by leap */
};

struct clock_segment; /* the layout: segment_layout.h, private to segment.c and library.c */

/* Writer, one thread. Takes an existing segment over if it is sound (readers keep their mapping; the disruption count
 * goes on; what was published stays until the first segment_publish), else replaces it atomically by a new file.
 * LOCKSTEP_E_CONFLICT: another daemon lives on it (it holds PATH.lock). The counter is copied. */
int segment_create(const char *path, const struct counter *counter, struct clock_segment **segment);
/* Publishes (one sequence lock cycle) and notifies readers if status or disruption count changed: by pwrite64 on a
 * descriptor opened at creation, the only system call, so it works after privileges were dropped. If the time would go
 * back by less than 100 us against what readers see now (the writer was held up between its reading and this call), the
 * line begins where readers are and runs slower until it has met the one that was meant. Values that make no sense
 * (rates that are not positive and finite) are published as UNSYNCHRONISED. */
void segment_publish(struct clock_segment *segment, const struct clock_values *values);
/* What was published last, also by an earlier daemon of the same boot. false: nothing yet, or its writer died at it. */
bool segment_last(const struct clock_segment *segment, struct clock_values *values);
/* The disruption count in the segment, also when segment_last has nothing. */
uint32_t segment_disruptions(const struct clock_segment *segment);
void segment_close(struct clock_segment *segment); /* leaves the file: readers go to holdover, then void */

/* For tests: readers of a simulated counter find its value in the segment; this reads the counter anew. */
void segment_tick(struct clock_segment *segment);

/* The time of a counter value by published values: what a reader computes. Pure; for the daemon's own use and tests. */
int clock_values_at(const struct clock_values *values, uint64_t counter, enum lockstep_timescale scale,
                    struct lockstep_time *time);

#endif
