/* SPDX-License-Identifier: BSD-2-Clause */
/* A log-linear histogram (after HdrHistogram) as a plain array of counters, so that it can lie in shared memory: one
 * writer, any readers. Values below 16 have a bucket each, larger ones 16 buckets for each power of two (6.25 % wide);
 * from 2^35 (34 s in nanoseconds) on all values share the last bucket. */
#ifndef LOCKSTEP_BASE_HISTOGRAM_H
#define LOCKSTEP_BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BUCKETS        512
#define HISTOGRAM_SUB_BITS       4
/* A coarser one, four buckets to a power of two, has 32-bit counters: index by histogram_index() >>
 * HISTOGRAM_COARSE_SHIFT. */
#define HISTOGRAM_COARSE_SHIFT   2
#define HISTOGRAM_COARSE_BUCKETS (HISTOGRAM_BUCKETS >> HISTOGRAM_COARSE_SHIFT)

static inline unsigned histogram_index(uint64_t value)
{
    unsigned exponent;

    if (value < 1u << HISTOGRAM_SUB_BITS)
        return (unsigned)value;
    exponent = 63 - (unsigned)__builtin_clzll(value);
    if (exponent >= HISTOGRAM_BUCKETS / (1u << HISTOGRAM_SUB_BITS) + HISTOGRAM_SUB_BITS - 1)
        return HISTOGRAM_BUCKETS - 1;
    /* The shifted value keeps its leading one: it adds the missing 1 << HISTOGRAM_SUB_BITS. */
    return ((exponent - HISTOGRAM_SUB_BITS) << HISTOGRAM_SUB_BITS) +
           (unsigned)(value >> (exponent - HISTOGRAM_SUB_BITS));
}

/* Counts one value. Callers serialise; readers may look at any time. */
static inline void histogram_record(uint64_t *buckets, uint64_t value)
{
    uint64_t *bucket = &buckets[histogram_index(value)];

    __atomic_store_n(bucket, *bucket + 1, __ATOMIC_RELAXED);
}

/* Smallest and largest value of a bucket (the last one's largest is UINT64_MAX). */
uint64_t histogram_bucket_low(unsigned index);
uint64_t histogram_bucket_high(unsigned index);

void histogram_merge(uint64_t *into, const uint64_t *from);
uint64_t histogram_count(const uint64_t *buckets);

/* The value that per_million of 1,000,000 counted values do not exceed (nearest rank, ranks spread evenly over their
 * bucket); 0 if nothing was counted. 1,000,000 gives the top of the highest bucket in use. */
uint64_t histogram_quantile(const uint64_t *buckets, uint32_t per_million);

/* Several of a coarse histogram, in ascending order; returns how many values were counted. It must not change
 * meanwhile. */
uint64_t histogram_coarse_quantiles(const uint32_t *buckets, const uint32_t *per_million, size_t quantiles,
                                    uint64_t *out);

struct histogram_summary {
    uint64_t count;
    uint64_t p50, p90, p99, p99_9, p99_99, p99_999;
    uint64_t max;
};
void histogram_summarise(const uint64_t *buckets, struct histogram_summary *out);

#endif
