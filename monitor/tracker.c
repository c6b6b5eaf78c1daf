/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/tracker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define FIRST_ROOM 256 /* a power of two */

/* What was last seen of a connection. */
struct entry {
    uint64_t key;
    uint64_t table;     /* number of the last table that it was in */
    uint64_t closed_ns; /* 0: open. Kept until a table that is younger has been seen */
    unsigned program;
    uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets, ring_drops;
    uint32_t drops, retransmissions;
    uint32_t latency[]; /* LANE_STATS_SLOT_BUCKETS, or none */
};

struct tracker {
    struct entry **entries; /* open addressing: linear probing */
    size_t room, count;     /* room: a power of two */
    bool latencies;
    uint64_t instance, tables, first_ns, last_ns;
    struct program_totals programs[TRACKER_PROGRAMS];
    size_t program_count;
};

/* Keys are the service's, counted up: nobody chooses them. */
static size_t place_of(const struct tracker *tracker, uint64_t key)
{
    static const struct hash_key seed = {{HASH_ROOT_3, HASH_ROOT_5}};
    size_t place = hash_u64(&seed, key) & (tracker->room - 1);

    while (tracker->entries[place] && tracker->entries[place]->key != key)
        place = (place + 1) & (tracker->room - 1);
    return place;
}

struct tracker *tracker_create(bool latencies)
{
    struct tracker *tracker = calloc(1, sizeof *tracker);

    if (!tracker)
        return NULL;
    tracker->latencies = latencies;
    tracker->room = FIRST_ROOM;
    tracker->entries = calloc(tracker->room, sizeof(struct entry *));
    if (!tracker->entries) {
        free(tracker);
        return NULL;
    }
    return tracker;
}

static void forget_all(struct tracker *tracker)
{
    for (size_t i = 0; i < tracker->room; i++) {
        free(tracker->entries[i]);
        tracker->entries[i] = NULL;
    }
    tracker->count = 0;
}

void tracker_destroy(struct tracker *tracker)
{
    if (!tracker)
        return;
    forget_all(tracker);
    free(tracker->entries);
    free(tracker);
}

/* Puts those that are worth keeping into an array of another size. */
static int rebuild(struct tracker *tracker, size_t room)
{
    struct entry **old = tracker->entries, **entries = calloc(room, sizeof *entries);
    size_t old_room = tracker->room;

    if (!entries)
        return -ENOMEM;
    tracker->entries = entries;
    tracker->room = room;
    for (size_t i = 0; i < old_room; i++) {
        if (old[i])
            entries[place_of(tracker, old[i]->key)] = old[i];
    }
    free(old);
    return 0;
}

static unsigned find_program(struct tracker *tracker, const char *name)
{
    size_t i = 0;

    while (i < tracker->program_count && strcmp(tracker->programs[i].program, name) != 0)
        i++;
    if (i == tracker->program_count && i < TRACKER_PROGRAMS) {
        tracker->program_count++;
        snprintf(tracker->programs[i].program, sizeof tracker->programs[i].program, "%s",
                 i + 1 < TRACKER_PROGRAMS ? name : "other");
    }
    return (unsigned)(i < TRACKER_PROGRAMS ? i : TRACKER_PROGRAMS - 1);
}

static struct entry *add_entry(struct tracker *tracker, const struct connection_row *row)
{
    struct entry *entry;

    if (tracker->count * 2 >= tracker->room && rebuild(tracker, tracker->room * 2) < 0)
        return NULL;
    entry = calloc(1, sizeof *entry + (tracker->latencies ? LANE_STATS_SLOT_BUCKETS * sizeof *entry->latency : 0));
    if (!entry)
        return NULL;
    entry->key = row->key;
    entry->program = find_program(tracker, row->program);
    tracker->entries[place_of(tracker, row->key)] = entry;
    tracker->count++;
    return entry;
}

/* What the counter has grown by; one that has fallen (never of a service that keeps its word) counts nothing. */
static uint64_t grown(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

static void take_histogram(struct entry *entry, struct program_totals *totals, const uint32_t *histogram, bool count)
{
    for (unsigned i = 0; histogram && i < LANE_STATS_SLOT_BUCKETS; i++) {
        /* 32 bits that may have gone round once. */
        if (count)
            totals->latency[i] += (uint32_t)(histogram[i] - entry->latency[i]);
        entry->latency[i] = histogram[i];
    }
}

/* Adds what is new to the program's totals, if it counts, and remembers the rest. */
static void take(struct tracker *tracker, struct entry *entry, const struct connection_row *row,
                 const uint32_t *histogram, bool count)
{
    struct program_totals *totals = &tracker->programs[entry->program];

    if (count) {
        totals->rx_bytes += grown(row->rx_bytes, entry->rx_bytes);
        totals->tx_bytes += grown(row->tx_bytes, entry->tx_bytes);
        totals->rx_packets += grown(row->rx_packets, entry->rx_packets);
        totals->tx_packets += grown(row->tx_packets, entry->tx_packets);
        totals->ring_drops += grown(row->ring_drops, entry->ring_drops);
        totals->drops += grown(row->drops, entry->drops);
        totals->retransmissions += grown(row->retransmissions, entry->retransmissions);
    }
    entry->rx_bytes = row->rx_bytes;
    entry->tx_bytes = row->tx_bytes;
    entry->rx_packets = row->rx_packets;
    entry->tx_packets = row->tx_packets;
    entry->ring_drops = row->ring_drops;
    entry->drops = row->drops;
    entry->retransmissions = row->retransmissions;
    if (tracker->latencies)
        take_histogram(entry, totals, histogram, count);
}

/* Removes those that are in no table any more (also if the journal has lost their end). */
static void drop_old(struct tracker *tracker, uint64_t table_ns)
{
    size_t kept = 0, room = tracker->room;

    for (size_t i = 0; i < tracker->room; i++) {
        struct entry *entry = tracker->entries[i];

        if (!entry)
            continue;
        if (entry->table != tracker->tables && entry->closed_ns < table_ns) {
            free(entry);
            tracker->entries[i] = NULL;
        } else {
            kept++;
        }
    }
    if (kept == tracker->count)
        return;
    tracker->count = kept;
    while (room > FIRST_ROOM && kept * 8 < room)
        room /= 2;
    if (rebuild(tracker, room) < 0)
        forget_all(tracker); /* holes would hide entries: begin anew */
}

static void begin_instance(struct tracker *tracker, const struct table_header *header)
{
    forget_all(tracker);
    memset(tracker->programs, 0, sizeof tracker->programs);
    tracker->program_count = 0;
    tracker->instance = header->instance;
    tracker->first_ns = header->monotonic_ns;
    tracker->tables = 0;
}

static void take_row(struct tracker *tracker, const struct connection_table *table, uint32_t i, double seconds,
                     struct connection_rate *rate)
{
    const struct connection_row *row = table_connection(table, i);
    struct entry *entry = tracker->entries[place_of(tracker, row->key)];
    const bool known = entry;

    if (rate)
        *rate = (struct connection_rate){0};
    if (!known)
        entry = add_entry(tracker, row);
    if (!entry)
        return;
    entry->table = tracker->tables;
    if (entry->closed_ns)
        return; /* the table is older than its end */
    if (rate && known && seconds > 0) {
        rate->rx_bytes = (float)((double)grown(row->rx_bytes, entry->rx_bytes) / seconds);
        rate->tx_bytes = (float)((double)grown(row->tx_bytes, entry->tx_bytes) / seconds);
    }
    take(tracker, entry, row, table_histogram(table, i), known || tracker->tables > 1);
    tracker->programs[entry->program].connections++;
    tracker->programs[entry->program].opened += !known && tracker->tables > 1;
}

int tracker_table(struct tracker *tracker, const struct connection_table *table, struct connection_rate *rates)
{
    const struct table_header *header = &table->header;
    double seconds;

    if (header->instance != tracker->instance)
        begin_instance(tracker, header);
    seconds = tracker->tables > 0 ? (double)grown(header->monotonic_ns, tracker->last_ns) / 1e9 : 0;
    tracker->tables++;
    for (size_t i = 0; i < tracker->program_count; i++)
        tracker->programs[i].connections = 0;
    for (uint32_t i = 0; i < header->connection_count; i++)
        take_row(tracker, table, i, seconds, rates ? &rates[i] : NULL);
    drop_old(tracker, header->monotonic_ns);
    tracker->last_ns = header->monotonic_ns;
    return tracker->count < header->connection_count ? -ENOMEM : 0;
}

void tracker_closed(struct tracker *tracker, uint64_t monotonic_ns, const struct connection_row *row,
                    const uint32_t *histogram)
{
    struct entry *entry = tracker->entries[place_of(tracker, row->key)];
    const bool known = entry;

    if (tracker->tables == 0 || monotonic_ns < tracker->first_ns || (entry && entry->closed_ns))
        return;
    if (!known)
        entry = add_entry(tracker, row);
    if (!entry)
        return;
    take(tracker, entry, row, histogram, true);
    if (known && tracker->programs[entry->program].connections > 0)
        tracker->programs[entry->program].connections--;
    tracker->programs[entry->program].opened += !known;
    entry->closed_ns = monotonic_ns;
}

void tracker_record(struct tracker *tracker, struct journal_record *record)
{
    struct connection_row *row = (struct connection_row *)(record + 1);
    const size_t histogram = LANE_STATS_SLOT_BUCKETS * sizeof(uint32_t);

    if (record->type != JOURNAL_CONNECTION_CLOSED || record->size < sizeof *record + sizeof *row + histogram)
        return;
    row->program[sizeof row->program - 1] = '\0';
    tracker_closed(tracker, record->monotonic_ns, row,
                   (const uint32_t *)((const char *)record + record->size - histogram));
}

const struct program_totals *tracker_totals(const struct tracker *tracker, size_t *count)
{
    *count = tracker->program_count;
    return tracker->programs;
}

struct tracker_traffic tracker_traffic(const struct tracker *tracker)
{
    struct tracker_traffic sum = {0};

    for (size_t i = 0; i < tracker->program_count; i++) {
        const struct program_totals *totals = &tracker->programs[i];

        sum.rx_bytes += totals->rx_bytes;
        sum.tx_bytes += totals->tx_bytes;
        sum.drops += totals->ring_drops + totals->drops;
        sum.retransmissions += totals->retransmissions;
    }
    return sum;
}

void tracker_latency(const struct tracker *tracker, uint64_t latency[LANE_STATS_SLOT_BUCKETS])
{
    memset(latency, 0, LANE_STATS_SLOT_BUCKETS * sizeof *latency);
    for (size_t i = 0; i < tracker->program_count; i++) {
        for (unsigned k = 0; k < LANE_STATS_SLOT_BUCKETS; k++)
            latency[k] += tracker->programs[i].latency[k];
    }
}
