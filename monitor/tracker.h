/* SPDX-License-Identifier: BSD-2-Clause */
/* What becomes of connections from one table to the next: rates of each, and totals of each program that never fall
 * while the service lives, also when connections come and go between two tables (the journal tells of those).
 *
 * Totals count from the first table of a service's instance on: connections that are in it count from there. A new
 * instance begins at 0 again, as Prometheus expects of a counter after a restart. Single-threaded. */
#ifndef LOCKSTEP_MONITOR_TRACKER_H
#define LOCKSTEP_MONITOR_TRACKER_H

#include <stdbool.h>

#include "service/connection_table.h"
#include "service/journal.h"

#define TRACKER_PROGRAMS 16 /* programs that have totals of their own; the others share the last one, "other" */

struct program_totals {
    char program[CONTROL_NAME_MAX];
    uint64_t connections; /* open now */
    uint64_t opened;
    uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets, ring_drops, drops, retransmissions;
    uint64_t latency[LANE_STATS_SLOT_BUCKETS];
};

struct connection_rate {
    float rx_bytes, tx_bytes; /* a second, since the table before; 0 for a new connection */
};

struct tracker;

/* latencies: of histograms, too; without them a connection takes a fifth of the memory. NULL: no memory. */
struct tracker *tracker_create(bool latencies);
void tracker_destroy(struct tracker *tracker);

/* Takes the next table in; rates has an element for each connection, or is NULL. 0 or -ENOMEM (then some are missing).
 */
int tracker_table(struct tracker *tracker, const struct connection_table *table, struct connection_rate *rates);
/* A connection has been closed (JOURNAL_CONNECTION_CLOSED): its last row and histogram. Call it after the table that
 * was fetched before the journal was read. */
void tracker_closed(struct tracker *tracker, uint64_t monotonic_ns, const struct connection_row *row,
                    const uint32_t *histogram);

/* The same of a record of the journal; others are passed over. It may be changed (texts are ended). */
void tracker_record(struct tracker *tracker, struct journal_record *record);

/* *count of them; valid until the next call of the above. */
const struct program_totals *tracker_totals(const struct tracker *tracker, size_t *count);

/* Sums of all programs. */
struct tracker_traffic {
    uint64_t rx_bytes, tx_bytes, drops, retransmissions;
};
struct tracker_traffic tracker_traffic(const struct tracker *tracker);
/* The latency histogram of all programs. */
void tracker_latency(const struct tracker *tracker, uint64_t latency[LANE_STATS_SLOT_BUCKETS]);

#endif
