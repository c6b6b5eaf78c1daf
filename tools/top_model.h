/* SPDX-License-Identifier: BSD-2-Clause */
/* What `lockstep top` knows of one node's path: its newest table (service/connection_table.h) and what has changed
 * since the one before. Pure; single-threaded. */
#ifndef LOCKSTEP_TOOLS_TOP_MODEL_H
#define LOCKSTEP_TOOLS_TOP_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/connection_table.h"

/* Changes a second; NAN until two tables have shown the connection (or the first one it was opened after). */
struct top_connection {
    const struct connection_row *row; /* of the newest table */
    const uint32_t *histogram;        /* its LANE_STATS_SLOT_BUCKETS counters, or NULL */
    double rx_bytes, tx_bytes, rx_packets, tx_packets, retransmissions, drops;
    double spin_percent; /* of its program */
};

struct top_program {
    const struct lane_row *row;
    double rx_bytes, tx_bytes, rx_packets, tx_packets, overruns, wakeups, sleeps;
    double spin_percent; /* of one core */
};

/* Of all programs: sums of what is known. */
struct top_totals {
    double rx_bytes, tx_bytes, rx_packets, tx_packets, retransmissions, drops;
    double spin_percent;
    bool known;
};

struct top_model;

/* NULL: no memory. */
struct top_model *top_model_create(void);
void top_model_destroy(struct top_model *model);

/* Takes the table over: it becomes the newest one. A table of the same moment as the newest is dropped, and one of
 * another instance of the service begins anew. 0 or -ENOMEM: the model is as it was. */
int top_model_update(struct top_model *model, struct connection_table *table);
/* Forgets all tables: those to come are another node's. */
void top_model_clear(struct top_model *model);

/* NULL before the first update. */
const struct table_header *top_model_header(const struct top_model *model);
/* Valid until the next update. */
const struct top_connection *top_model_connections(const struct top_model *model, size_t *count);
const struct top_program *top_model_programs(const struct top_model *model, size_t *count);
const struct top_totals *top_model_totals(const struct top_model *model);
/* NULL: there is none of this key. */
const struct top_connection *top_model_find(const struct top_model *model, uint64_t key);

/* Packets lost because the ring or the receive buffer was full, since it was opened. */
static inline uint64_t top_connection_drops(const struct connection_row *row)
{
    return row->ring_drops + row->drops;
}
/* Of a lane's packets: because the ring was full; not let out by the guard. */
static inline uint64_t top_program_drops(const struct lane_row *row)
{
    return row->overruns + row->guard_drops + row->send_failures;
}

#endif
