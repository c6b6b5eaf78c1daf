/* SPDX-License-Identifier: BSD-2-Clause */
/* The connections' rows in the history database: which are open, what was last written of them, and how what the
 * service says (journal records and tables, in their order) becomes rows. All but attach is done in a transaction of
 * the store; after one that failed, attach again: memory follows the database. Single-threaded. */
#ifndef LOCKSTEP_MONITOR_HISTORY_CONNECTIONS_H
#define LOCKSTEP_MONITOR_HISTORY_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "monitor/history_store.h"
#include "service/connection_table.h"

struct history_connections;

/* NULL: no memory. */
struct history_connections *history_connections_create(void);
void history_connections_destroy(struct history_connections *connections);

/* Reads the open ones from the database. Those of an earlier boot are closed as last seen (a transaction of its own).
 * 0 or a negative code. */
int history_connections_attach(struct history_connections *connections, struct history_store *store,
                               const struct history_moment *now);

/* When something was seen, and of which instance of the service. */
struct history_sighting {
    uint64_t instance, monotonic_ns;
    int64_t realtime_ns;
};

/* A connection that was opened; or taken over from an earlier instance of the service: then its row goes on. */
int history_connections_opened(struct history_connections *connections, const struct connection_row *row,
                               const struct history_sighting *seen);
/* buckets: LANE_STATS_SLOT_BUCKETS, or NULL. A row of its own if the opening was not seen. */
int history_connections_closed(struct history_connections *connections, const struct connection_row *row,
                               const uint32_t *buckets, const struct history_sighting *seen);
/* Rows from..to of a table that was made at `seen`; with `last`, which comes after all others of the table, the
 * connections that were missing in it and in the one before are closed. Rows without a change are not written. */
int history_connections_table(struct history_connections *connections, const struct connection_table *table,
                              uint32_t from, uint32_t to, bool last, const struct history_sighting *seen);

#endif
