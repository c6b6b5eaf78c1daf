/* SPDX-License-Identifier: BSD-2-Clause */
/* Another node's connections, which come as JSON (lockstep-web), as the table that a node itself has. Pure. */
#ifndef LOCKSTEP_TOOLS_TOP_REMOTE_H
#define LOCKSTEP_TOOLS_TOP_REMOTE_H

#include <json-c/json.h>

#include "service/connection_table.h"

/* status: the service's, with its lanes, or NULL. monotonic_ns, realtime_ns: when the answers came. The table has what
 * the documents say, and zeros. 0 or -ENOMEM; free with table_free. */
int top_remote_table(struct json_object *connections, struct json_object *status, uint64_t monotonic_ns,
                     int64_t realtime_ns, struct connection_table *out);

#endif
