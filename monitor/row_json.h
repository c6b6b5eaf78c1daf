/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection's row (service/connection_table.h) in words and as members of a JSON object. Texts of the row must have
 * their ends. Pure. */
#ifndef LOCKSTEP_MONITOR_ROW_JSON_H
#define LOCKSTEP_MONITOR_ROW_JSON_H

#include "monitor/json_stream.h"
#include "service/connection_table.h"

/* "10.0.0.1:80", or "*" when there is none. text: NET_ENDPOINT_TEXT_MAX bytes. */
const char *row_endpoint(const struct net_endpoint *endpoint, char *text);
/* "tcp", "udp", "other": of IPPROTO_*. */
const char *row_protocol(unsigned protocol);

/* All that it holds as members of the object that is open. */
void row_write(struct json_stream *json, const struct connection_row *row);

#endif
