/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/histogram.h"

#include <string.h>

#define SUB_BUCKETS (1u << HISTOGRAM_SUB_BITS)
#define MILLION     1000000

uint64_t histogram_bucket_low(unsigned index)
{
    unsigned shift;

    if (index < SUB_BUCKETS)
        return index;
    shift = index / SUB_BUCKETS - 1;
    return (uint64_t)(SUB_BUCKETS + index % SUB_BUCKETS) << shift;
}

uint64_t histogram_bucket_high(unsigned index)
{
    return index >= HISTOGRAM_BUCKETS - 1 ? UINT64_MAX : histogram_bucket_low(index + 1) - 1;
}

static uint64_t bucket_count(const uint64_t *buckets, unsigned index)
{
    return __atomic_load_n(&buckets[index], __ATOMIC_RELAXED);
}

void histogram_merge(uint64_t *into, const uint64_t *from)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        into[i] += bucket_count(from, i);
}

uint64_t histogram_count(const uint64_t *buckets)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += bucket_count(buckets, i);
    return count;
}

/* The value of the rank-th (from 1) of `count` values between low and high, which are taken as evenly spread. */
static uint64_t value_between(uint64_t low, uint64_t high, uint64_t rank, uint64_t count)
{
    return low + (uint64_t)((unsigned __int128)(high - low) * rank / count);
}

static uint64_t value_of_rank(const uint64_t *buckets, uint64_t rank)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (rank <= buckets[i])
            return value_between(histogram_bucket_low(i), histogram_bucket_high(i), rank, buckets[i]);
        rank -= buckets[i];
    }
    return UINT64_MAX;
}

/* From 1 to count. */
static uint64_t rank_of(uint64_t count, uint32_t per_million)
{
    uint64_t rank = (uint64_t)(((unsigned __int128)count * per_million + MILLION - 1) / MILLION);

    return rank < 1 ? 1 : rank > count ? count : rank;
}

/* buckets must not change meanwhile. */
static uint64_t stable_quantile(const uint64_t *buckets, uint64_t count, uint32_t per_million)
{
    return count == 0 ? 0 : value_of_rank(buckets, rank_of(count, per_million));
}

static uint64_t value_in_coarse(const uint32_t *buckets, unsigned index, uint64_t rank)
{
    unsigned first = index << HISTOGRAM_COARSE_SHIFT, last = first + (1u << HISTOGRAM_COARSE_SHIFT) - 1;

    return value_between(histogram_bucket_low(first), histogram_bucket_high(last), rank, buckets[index]);
}

uint64_t histogram_coarse_quantiles(const uint32_t *buckets, const uint32_t *per_million, size_t quantiles,
                                    uint64_t *out)
{
    uint64_t count = 0, below = 0;
    unsigned index = 0;

    for (unsigned i = 0; i < HISTOGRAM_COARSE_BUCKETS; i++)
        count += buckets[i];
    for (size_t i = 0; i < quantiles; i++) {
        uint64_t rank = count == 0 ? 0 : rank_of(count, per_million[i]);

        while (rank > below + buckets[index])
            below += buckets[index++];
        out[i] = count == 0 ? 0 : value_in_coarse(buckets, index, rank - below);
    }
    return count;
}

uint64_t histogram_quantile(const uint64_t *buckets, uint32_t per_million)
{
    uint64_t copy[HISTOGRAM_BUCKETS] = {0};

    histogram_merge(copy, buckets);
    return stable_quantile(copy, histogram_count(copy), per_million);
}

void histogram_summarise(const uint64_t *buckets, struct histogram_summary *out)
{
    uint64_t copy[HISTOGRAM_BUCKETS] = {0};

    histogram_merge(copy, buckets);
    out->count = histogram_count(copy);
    out->p50 = stable_quantile(copy, out->count, 500000);
    out->p90 = stable_quantile(copy, out->count, 900000);
    out->p99 = stable_quantile(copy, out->count, 990000);
    out->p99_9 = stable_quantile(copy, out->count, 999000);
    out->p99_99 = stable_quantile(copy, out->count, 999900);
    out->p99_999 = stable_quantile(copy, out->count, 999990);
    out->max = stable_quantile(copy, out->count, MILLION);
}
