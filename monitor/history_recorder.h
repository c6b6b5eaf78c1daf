/* SPDX-License-Identifier: BSD-2-Clause */
/* Items (history_item.h) become rows: a batch at a time, each in one transaction, with the position in the service's
 * journal, so that a recorder that was killed goes on where it was, with nothing lost and nothing twice as long as the
 * journal still has it. Records that nobody has read are found by their sequence numbers and noted as a gap.
 * Single-threaded. */
#ifndef LOCKSTEP_MONITOR_HISTORY_RECORDER_H
#define LOCKSTEP_MONITOR_HISTORY_RECORDER_H

#include "monitor/history_connections.h"
#include "monitor/history_item.h"

struct history_recorder;

/* NULL: no memory. */
struct history_recorder *history_recorder_create(void);
void history_recorder_destroy(struct history_recorder *recorder);

/* Begins, or goes on, with a database that was opened. 0 or a negative code. */
int history_recorder_attach(struct history_recorder *recorder, struct history_store *store,
                            const struct history_moment *now);
/* Writes all items or none. After a failure, attach and try again with the same ones. */
int history_recorder_write(struct history_recorder *recorder, struct list *items, const struct history_moment *now);

/* Since it was created. */
struct history_recorder_counts {
    uint64_t records, connections, kernel, lost, gaps;
};
void history_recorder_get_counts(const struct history_recorder *recorder, struct history_recorder_counts *out);

#endif
