/* SPDX-License-Identifier: BSD-2-Clause */
/* Asks the lockstep-web of other nodes for their reports, all nodes at once: no node waits for another, and none longer
 * than its time-out. One thread, but for endpoints_wake. */
#ifndef LOCKSTEP_TOOLS_ENDPOINT_H
#define LOCKSTEP_TOOLS_ENDPOINT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "tools/nodes.h"

enum endpoint_part {
    ENDPOINT_STATUS,      /* the service's (service/report.h) */
    ENDPOINT_CLOCK,       /* the members "status", "sources", "stats": the clock daemon's reports (clock/report.h) */
    ENDPOINT_CONNECTIONS, /* the member "connections" */
    ENDPOINT_PARTS
};

#define ENDPOINT_PROBLEM_MAX 200
#define ENDPOINT_BYTES_MAX   (64u << 20) /* of an answer */

struct endpoints;

/* NULL: no memory. Tokens are read now; a node whose token cannot be read answers so. */
struct endpoints *endpoints_create(const struct node_config *nodes, size_t count);
void endpoints_destroy(struct endpoints *endpoints);

/* Begins to fetch, unless this is under way. */
void endpoints_ask(struct endpoints *endpoints, size_t node, enum endpoint_part part);
/* Goes on until an answer has come, timeout_ms has passed, or endpoints_wake was called. Returns how many answers are
 * still to come. */
size_t endpoints_run(struct endpoints *endpoints, int timeout_ms);
/* Ends endpoints_run at once. Any thread. */
void endpoints_wake(struct endpoints *endpoints);
/* True: an answer has come since it was last taken. *document is the caller's to put; NULL: there is a problem
 * (ENDPOINT_PROBLEM_MAX bytes) instead. */
bool endpoints_take(struct endpoints *endpoints, size_t node, enum endpoint_part part, struct json_object **document,
                    char *problem);

#endif
