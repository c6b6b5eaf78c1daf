/* SPDX-License-Identifier: BSD-2-Clause */
/* Another node's connections, which come as JSON (lockstep-web), as the table that a node itself has. Pure. */
#ifndef LOCKSTEP_TOOLS_TOP_REMOTE_H
#define LOCKSTEP_TOOLS_TOP_REMOTE_H

#include <json-c/json.h>

#include "service/connection_table.h"

/* status: the service's, with its lanes, or NULL. The table has what the documents say, and zeros. 0, -ENOMEM, or
 * -EAGAIN: they are of different moments, so that rates of connections and lanes would not be either's. Free with
 * table_free. */
int top_remote_table(struct json_object *connections, struct json_object *status, struct connection_table *out);

#endif
