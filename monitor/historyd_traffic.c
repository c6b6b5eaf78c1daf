/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/historyd_traffic.h"

#include <stdio.h>
#include <stdlib.h>

#include "monitor/tracker.h"

#define SUMS 4

static const char *const names[SUMS] = {"rx_bytes", "tx_bytes", "drops", "retransmissions"};

struct traffic_sampler {
    struct tracker *tracker;
    bool begun;
    uint64_t before[SUMS];
};

struct traffic_sampler *traffic_sampler_create(void)
{
    struct traffic_sampler *sampler = calloc(1, sizeof *sampler);

    if (!sampler)
        return NULL;
    sampler->tracker = tracker_create(false);
    if (sampler->tracker)
        return sampler;
    free(sampler);
    return NULL;
}

void traffic_sampler_destroy(struct traffic_sampler *sampler)
{
    if (!sampler)
        return;
    tracker_destroy(sampler->tracker);
    free(sampler);
}

void traffic_sampler_record(struct traffic_sampler *sampler, struct journal_record *record)
{
    tracker_record(sampler->tracker, record);
}

/* A sum that is smaller than before has begun anew, with the service. */
static void set(struct traffic_sampler *sampler, struct history_counter *counter, int i, uint64_t sum)
{
    uint64_t before = sampler->before[i];

    snprintf(counter->name, sizeof counter->name, "traffic/%s", names[i]);
    counter->value = (int64_t)sum;
    if (sampler->begun)
        counter->change = (int64_t)(sum < before ? sum : sum - before);
    sampler->before[i] = sum;
}

struct history_item *traffic_sampler_take(struct traffic_sampler *sampler, const struct connection_table *table)
{
    struct history_item *item = history_item_create(HISTORY_ITEM_COUNTERS);
    struct history_counter *list = calloc(SUMS, sizeof *list);
    struct tracker_traffic sums;

    tracker_table(sampler->tracker, table, NULL);
    if (!item || !list) {
        free(item);
        free(list);
        return NULL;
    }
    sums = tracker_traffic(sampler->tracker);
    set(sampler, &list[0], 0, sums.rx_bytes);
    set(sampler, &list[1], 1, sums.tx_bytes);
    set(sampler, &list[2], 2, sums.drops);
    set(sampler, &list[3], 3, sums.retransmissions);
    sampler->begun = true;
    item->at_ns = table->header.realtime_ns;
    item->counters.list = list;
    item->counters.count = SUMS;
    item->bytes += SUMS * sizeof *list;
    return item;
}
