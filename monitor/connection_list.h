/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections of a table chosen, sorted and written as JSON. Pure. */
#ifndef LOCKSTEP_MONITOR_CONNECTION_LIST_H
#define LOCKSTEP_MONITOR_CONNECTION_LIST_H

#include "monitor/json_stream.h"
#include "monitor/tracker.h"
#include "monitor/web_request.h"
#include "service/connection_table.h"

/* Latency buckets of the JSON documents: two to a power of two from 256 ns to 8.6 s; the first holds what is below, the
 * last what is above. */
#define LIST_BUCKETS 52

/* Indexes of the connections that match, sorted, at most the query's limit; *matching counts all that do. The caller
 * frees *rows. 0 or -ENOMEM. */
int connection_list_select(const struct connection_table *table, const struct connection_rate *rates,
                           const struct list_query *query, uint32_t **rows, uint32_t *count, uint32_t *matching);

/* The members "total", "matching", "sort", "bucket_edges_ns" (lower edges but the first bucket's, which is 0) and
 * "connections". 0 or -ENOMEM. */
int connection_list_write(struct json_stream *json, const struct connection_table *table,
                          const struct connection_rate *rates, const struct list_query *query);
/* The document of one connection, with its lane. False: no such key. */
bool connection_write_one(struct json_stream *json, const struct connection_table *table,
                          const struct connection_rate *rates, uint64_t key);

#endif
