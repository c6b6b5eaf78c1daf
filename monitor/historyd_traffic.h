/* SPDX-License-Identifier: BSD-2-Clause */
/* What all connections together have carried, as samples for the history. Single-threaded. */
#ifndef LOCKSTEP_MONITOR_HISTORYD_TRAFFIC_H
#define LOCKSTEP_MONITOR_HISTORYD_TRAFFIC_H

#include "monitor/history_item.h"

struct traffic_sampler;

struct traffic_sampler *traffic_sampler_create(void); /* NULL: no memory */
void traffic_sampler_destroy(struct traffic_sampler *sampler);
/* A record of the journal, after the table that is older than it; those that are no ends of connections are passed
 * over. It may be changed (texts are ended). */
void traffic_sampler_record(struct traffic_sampler *sampler, struct journal_record *record);
/* The counters "traffic/rx_bytes", "traffic/tx_bytes", "traffic/drops" and "traffic/retransmissions", always all of
 * them, so that a time without traffic differs from one that was not watched. NULL: no memory. */
struct history_item *traffic_sampler_take(struct traffic_sampler *sampler, const struct connection_table *table);

#endif
