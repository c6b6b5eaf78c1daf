/* SPDX-License-Identifier: BSD-2-Clause */
/* What is kept of each message while a run lasts: distributions, counts, the worst ones, a course over time. Nothing
 * here allocates, waits or makes a system call. One thread records. All times are TAI ns. */
#ifndef LOCKSTEP_TESTBED_RECORD_H
#define LOCKSTEP_TESTBED_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"

/* A distribution of signed times: nothing is clamped, negative ones have a histogram of their magnitudes. Mergeable. */
struct latency {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t negative[HISTOGRAM_BUCKETS];
    uint64_t count;
    int64_t min_ns, max_ns; /* exact; 0 when nothing was counted */
    int64_t sum_ns;
};
void latency_record(struct latency *latency, int64_t ns);
void latency_merge(struct latency *into, const struct latency *from);
/* As histogram_quantile, over negative and other values together; the ends are exact. */
int64_t latency_quantile(const struct latency *latency, uint32_t per_million);
/* How many values are above limit_ns for sure: to the width of a bucket. */
uint64_t latency_count_above(const struct latency *latency, int64_t limit_ns);

/* A course over time: the run in equal slots. */
#define SERIES_SLOTS 600
struct series_slot {
    int64_t min, max;
    int64_t sum;
    uint64_t count; /* 0: nothing in this slot */
};
struct series {
    int64_t start_ns, width_ns;
    struct series_slot slots[SERIES_SLOTS];
};
/* width: the larger of duration / SERIES_SLOTS and least_width_ns. */
void series_init(struct series *series, int64_t start_ns, int64_t duration_ns, int64_t least_width_ns);
void series_record(struct series *series, int64_t at_ns, int64_t value); /* times outside go to the end slots */
/* Both have the same start and width. */
void series_merge(struct series *into, const struct series *from);

/* One message as it was received; also the raw log's content. */
struct arrival {
    uint32_t sequence;
    int64_t planned_ns, sent_ns;
    int64_t first_ns, last_ns; /* when the program had its first and its last byte */
    uint32_t sender_bound_ns;  /* NODE_CLOCK_BOUND_UNKNOWN if the message does not carry it */
    uint32_t receiver_bound_ns;
};

/* Planned -> last byte. */
int64_t arrival_latency_ns(const struct arrival *arrival);

#define RECORD_WORST      10
#define RECORD_WINDOW     4096 /* sequences in which duplicates are told from late ones */
#define RECORD_WINDOW_U64 (RECORD_WINDOW / 64)

/* What one receiver knows of one type. Warm-up messages are counted and checked, but not timed. */
struct type_record {
    struct latency planned_last;  /* planned -> last byte: the figure that the limit is for */
    struct latency planned_first; /* the same, first byte */
    struct latency sent_last, sent_first;
    struct arrival worst[RECORD_WORST]; /* by planned -> last byte, not sorted until record_finish */
    unsigned worst_count;
    int64_t worst_least_ns; /* the least of the worst */
    struct series series;   /* planned -> last byte, by planned time */
    uint64_t received;      /* good, not seen before, after the warm-up */
    uint64_t received_warmup;
    uint64_t duplicates, reordered;
    uint64_t corrupt;       /* counted by the caller, like bytes */
    uint64_t before_window; /* too old to tell duplicates from late ones: counted nowhere else */
    uint64_t bytes;
    uint64_t over_limit;    /* latency above the limit by more than both bounds */
    uint64_t near_limit;    /* the bounds straddle the limit */
    uint32_t bound_max_ns;  /* largest sum of both bounds seen; UNKNOWN if any was */
    uint32_t next_sequence; /* highest seen + 1 */
    uint64_t window[RECORD_WINDOW_U64];
};

struct record_limits {
    int64_t limit_ns;
    int64_t measured_from_ns; /* planned times before this are warm-up */
    uint32_t sender_bound_ns; /* where messages do not carry it */
};

enum record_outcome { RECORD_MEASURED, RECORD_WARMUP, RECORD_DUPLICATE, RECORD_OLD };

void record_init(struct type_record *record, int64_t start_ns, int64_t duration_ns);
enum record_outcome record_arrival(struct type_record *record, const struct record_limits *limits,
                                   const struct arrival *arrival);
/* Sorts the worst, the worst first. */
void record_finish(struct type_record *record);
/* Two receivers' records of one type (not their windows). */
void record_merge(struct type_record *into, const struct type_record *from);

/* What one sender knows of one type. Counts are of messages planned after the warm-up, if not said otherwise. */
struct send_record {
    uint64_t planned, sent;
    uint64_t sent_warmup;
    uint64_t late;    /* handed over more than the job's late_ns after the planned time, or never */
    uint64_t errors;  /* refused by the stack */
    uint64_t unsent;  /* planned, but not (fully) handed over at the end */
    uint64_t blocked; /* found the connection backed up */
    uint64_t bytes;
    struct latency lateness; /* planned -> first byte handed over */
    struct latency handover; /* first byte handed over -> last byte handed over */
};
void send_record_merge(struct send_record *into, const struct send_record *from);

#endif
