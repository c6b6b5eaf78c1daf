/* SPDX-License-Identifier: BSD-2-Clause */
/* What a node is, and whether it is ready to be measured. Reads files of the system and asks the driver and
 * `lockstep status`; changes nothing. */
#ifndef LOCKSTEP_TESTBED_NODE_CHECK_H
#define LOCKSTEP_TESTBED_NODE_CHECK_H

#include <json-c/json.h>

#include "base/net_addr.h"

struct node_check_input {
    struct net_addr address;      /* in the tested network */
    unsigned mtu;                 /* wanted; 0: any */
    const char *clock_path;       /* "": the usual one */
    const char *lockstep_program; /* "lockstep" */
    const char *runtime_dir;      /* of lockstep-netd; "": the usual one */
};

/* {"facts": {name: text or number}, "findings": [{"check", "state": "ok" | "warning" | "problem", "finding",
 * "remedy"}]}. The caller puts it; NULL: no memory. */
struct json_object *node_check(const struct node_check_input *input);

#endif
