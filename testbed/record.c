/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/record.h"

#include <stdlib.h>
#include <string.h>

#include "testbed/node_clock.h"

#define MILLION                       1000000
#define SERIES_LEAST_NS               100000000
#define WINDOW_BIT(sequence)          (1ull << ((sequence) % 64))
#define WINDOW_WORD(record, sequence) ((record)->window[(sequence) / 64 % RECORD_WINDOW_U64])

/* ---- distributions ---- */

void latency_record(struct latency *latency, int64_t ns)
{
    if (ns >= 0)
        histogram_record(latency->buckets, (uint64_t)ns);
    else
        histogram_record(latency->negative, 0 - (uint64_t)ns);
    if (!latency->count || ns < latency->min_ns)
        latency->min_ns = ns;
    if (!latency->count || ns > latency->max_ns)
        latency->max_ns = ns;
    latency->count++;
    latency->sum_ns += ns;
}

void latency_merge(struct latency *into, const struct latency *from)
{
    if (!from->count)
        return;
    histogram_merge(into->buckets, from->buckets);
    histogram_merge(into->negative, from->negative);
    if (!into->count || from->min_ns < into->min_ns)
        into->min_ns = from->min_ns;
    if (!into->count || from->max_ns > into->max_ns)
        into->max_ns = from->max_ns;
    into->count += from->count;
    into->sum_ns += from->sum_ns;
}

static int64_t within(const struct latency *latency, int64_t ns)
{
    if (ns < latency->min_ns)
        return latency->min_ns;
    return ns > latency->max_ns ? latency->max_ns : ns;
}

/* The rank-th smallest value, from 1. */
static int64_t value_of_rank(const struct latency *latency, uint64_t rank)
{
    uint64_t below = histogram_count(latency->negative), count = latency->count - below;
    /* The rank-th smallest of the negative ones is the (below - rank + 1)-th smallest magnitude. */
    uint64_t of = rank <= below ? below : count;
    uint64_t place = rank <= below ? below - rank + 1 : rank - below;
    uint32_t per_million = (uint32_t)((unsigned __int128)place * MILLION / of);
    const uint64_t *buckets = rank <= below ? latency->negative : latency->buckets;
    uint64_t magnitude = histogram_quantile(buckets, per_million ? per_million : 1);

    if (magnitude > INT64_MAX)
        magnitude = INT64_MAX;
    return rank <= below ? -(int64_t)magnitude : (int64_t)magnitude;
}

int64_t latency_quantile(const struct latency *latency, uint32_t per_million)
{
    uint64_t rank;

    if (!latency->count)
        return 0;
    rank = (uint64_t)(((unsigned __int128)latency->count * per_million + MILLION - 1) / MILLION);
    if (rank <= 1)
        return latency->min_ns;
    if (rank >= latency->count)
        return latency->max_ns;
    return within(latency, value_of_rank(latency, rank));
}

uint64_t latency_count_above(const struct latency *latency, int64_t limit_ns)
{
    uint64_t above = 0;

    if (limit_ns >= 0) {
        for (unsigned i = HISTOGRAM_BUCKETS; i-- > 0 && histogram_bucket_low(i) > (uint64_t)limit_ns;)
            above += latency->buckets[i];
        return above;
    }
    above = histogram_count(latency->buckets);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && histogram_bucket_high(i) < 0 - (uint64_t)limit_ns; i++)
        above += latency->negative[i];
    return above;
}

/* ---- courses over time ---- */

void series_init(struct series *series, int64_t start_ns, int64_t duration_ns, int64_t least_width_ns)
{
    memset(series, 0, sizeof *series);
    series->start_ns = start_ns;
    series->width_ns = duration_ns / SERIES_SLOTS + 1;
    if (series->width_ns < least_width_ns)
        series->width_ns = least_width_ns;
}

static void slot_record(struct series_slot *slot, int64_t value)
{
    if (!slot->count || value < slot->min)
        slot->min = value;
    if (!slot->count || value > slot->max)
        slot->max = value;
    slot->sum += value;
    slot->count++;
}

void series_record(struct series *series, int64_t at_ns, int64_t value)
{
    int64_t index = series->width_ns > 0 ? (at_ns - series->start_ns) / series->width_ns : 0;

    if (index < 0)
        index = 0;
    if (index >= SERIES_SLOTS)
        index = SERIES_SLOTS - 1;
    slot_record(&series->slots[index], value);
}

void series_merge(struct series *into, const struct series *from)
{
    for (unsigned i = 0; i < SERIES_SLOTS; i++) {
        const struct series_slot *slot = &from->slots[i];
        struct series_slot *sum = &into->slots[i];

        if (!slot->count)
            continue;
        if (!sum->count) {
            *sum = *slot;
            continue;
        }
        sum->min = slot->min < sum->min ? slot->min : sum->min;
        sum->max = slot->max > sum->max ? slot->max : sum->max;
        sum->sum += slot->sum;
        sum->count += slot->count;
    }
}

/* ---- arrivals ---- */

void record_init(struct type_record *record, int64_t start_ns, int64_t duration_ns)
{
    memset(record, 0, sizeof *record);
    series_init(&record->series, start_ns, duration_ns, SERIES_LEAST_NS);
}

/* Marks the sequences between the highest so far and this one as not seen. */
static void open_window(struct type_record *record, uint32_t sequence)
{
    uint32_t from = record->next_sequence;

    if (sequence - from >= RECORD_WINDOW) {
        memset(record->window, 0, sizeof record->window);
    } else {
        for (; from != sequence; from++)
            WINDOW_WORD(record, from) &= ~WINDOW_BIT(from);
    }
    WINDOW_WORD(record, sequence) |= WINDOW_BIT(sequence);
    record->next_sequence = sequence + 1;
}

/* Whether the sequence was not seen before. */
static enum record_outcome note_sequence(struct type_record *record, uint32_t sequence)
{
    if (sequence >= record->next_sequence) {
        open_window(record, sequence);
        return RECORD_MEASURED;
    }
    if (record->next_sequence - sequence > RECORD_WINDOW) {
        record->before_window++;
        return RECORD_OLD;
    }
    if (WINDOW_WORD(record, sequence) & WINDOW_BIT(sequence)) {
        record->duplicates++;
        return RECORD_DUPLICATE;
    }
    WINDOW_WORD(record, sequence) |= WINDOW_BIT(sequence);
    record->reordered++;
    return RECORD_MEASURED;
}

int64_t arrival_latency_ns(const struct arrival *arrival)
{
    return arrival->last_ns - arrival->planned_ns;
}

/* Both ends' together; UNKNOWN if either is. */
static uint32_t both_bounds(const struct arrival *arrival, const struct record_limits *limits)
{
    uint32_t sender =
        arrival->sender_bound_ns != NODE_CLOCK_BOUND_UNKNOWN ? arrival->sender_bound_ns : limits->sender_bound_ns;
    uint64_t sum = (uint64_t)sender + arrival->receiver_bound_ns;

    if (sender == NODE_CLOCK_BOUND_UNKNOWN || arrival->receiver_bound_ns == NODE_CLOCK_BOUND_UNKNOWN ||
        sum >= NODE_CLOCK_BOUND_UNKNOWN)
        return NODE_CLOCK_BOUND_UNKNOWN;
    return (uint32_t)sum;
}

static void judge(struct type_record *record, int64_t over_ns, uint32_t bound)
{
    if (bound > record->bound_max_ns)
        record->bound_max_ns = bound;
    if (over_ns > (int64_t)bound)
        record->over_limit++;
    else if (over_ns > -(int64_t)bound)
        record->near_limit++;
}

static void find_least_of_worst(struct type_record *record)
{
    record->worst_least_ns = INT64_MAX;
    for (unsigned i = 0; i < record->worst_count; i++) {
        int64_t latency = arrival_latency_ns(&record->worst[i]);

        record->worst_least_ns = latency < record->worst_least_ns ? latency : record->worst_least_ns;
    }
}

static void keep_worst(struct type_record *record, const struct arrival *arrival)
{
    unsigned place = 0;

    if (record->worst_count < RECORD_WORST) {
        record->worst[record->worst_count++] = *arrival;
        find_least_of_worst(record);
        return;
    }
    if (arrival_latency_ns(arrival) <= record->worst_least_ns)
        return;
    while (place < RECORD_WORST - 1 && arrival_latency_ns(&record->worst[place]) != record->worst_least_ns)
        place++;
    record->worst[place] = *arrival;
    find_least_of_worst(record);
}

enum record_outcome record_arrival(struct type_record *record, const struct record_limits *limits,
                                   const struct arrival *arrival)
{
    int64_t latency = arrival_latency_ns(arrival);
    enum record_outcome outcome = note_sequence(record, arrival->sequence);

    if (outcome != RECORD_MEASURED)
        return outcome;
    if (arrival->planned_ns < limits->measured_from_ns) {
        record->received_warmup++;
        return RECORD_WARMUP;
    }
    record->received++;
    latency_record(&record->planned_last, latency);
    latency_record(&record->planned_first, arrival->first_ns - arrival->planned_ns);
    latency_record(&record->sent_last, arrival->last_ns - arrival->sent_ns);
    latency_record(&record->sent_first, arrival->first_ns - arrival->sent_ns);
    judge(record, latency - limits->limit_ns, both_bounds(arrival, limits));
    keep_worst(record, arrival);
    series_record(&record->series, arrival->planned_ns, latency);
    return RECORD_MEASURED;
}

static int worse_first(const void *a, const void *b)
{
    int64_t left = arrival_latency_ns(a), right = arrival_latency_ns(b);

    return (left < right) - (left > right);
}

void record_finish(struct type_record *record)
{
    qsort(record->worst, record->worst_count, sizeof *record->worst, worse_first);
}

void record_merge(struct type_record *into, const struct type_record *from)
{
    latency_merge(&into->planned_last, &from->planned_last);
    latency_merge(&into->planned_first, &from->planned_first);
    latency_merge(&into->sent_last, &from->sent_last);
    latency_merge(&into->sent_first, &from->sent_first);
    for (unsigned i = 0; i < from->worst_count; i++)
        keep_worst(into, &from->worst[i]);
    record_finish(into);
    series_merge(&into->series, &from->series);
    into->received += from->received;
    into->received_warmup += from->received_warmup;
    into->duplicates += from->duplicates;
    into->reordered += from->reordered;
    into->corrupt += from->corrupt;
    into->before_window += from->before_window;
    into->bytes += from->bytes;
    into->over_limit += from->over_limit;
    into->near_limit += from->near_limit;
    if (from->bound_max_ns > into->bound_max_ns)
        into->bound_max_ns = from->bound_max_ns;
    if (from->next_sequence > into->next_sequence)
        into->next_sequence = from->next_sequence;
}

void send_record_merge(struct send_record *into, const struct send_record *from)
{
    into->planned += from->planned;
    into->sent += from->sent;
    into->sent_warmup += from->sent_warmup;
    into->late += from->late;
    into->errors += from->errors;
    into->unsent += from->unsent;
    into->blocked += from->blocked;
    into->bytes += from->bytes;
    latency_merge(&into->lateness, &from->lateness);
    latency_merge(&into->handover, &from->handover);
}
