/* SPDX-License-Identifier: BSD-2-Clause */
/* The state of one node in a line: for `lockstep top` and for `lockstep status` of several nodes. Pure. */
#ifndef LOCKSTEP_TOOLS_TOP_NODE_H
#define LOCKSTEP_TOOLS_TOP_NODE_H

#include <json-c/json.h>
#include <stdint.h>

#define TOP_NODE_NAME_MAX    64
#define TOP_NODE_PROBLEM_MAX 200

/* Numbers that are not known are NAN, texts "". */
struct top_node {
    uint64_t key; /* its place among the nodes */
    char name[TOP_NODE_NAME_MAX];
    char problem[TOP_NODE_PROBLEM_MAX]; /* why it, or a part of it, cannot be asked */
    /* the clock */
    char clock[16]; /* "synchronised" ... of clock/report.h */
    char source[TOP_NODE_NAME_MAX];
    double offset_ns; /* what the source says it is off by */
    double bound_ns, rate_ppm;
    /* the path */
    char version[24];
    char interfaces[128]; /* "eth0 xdp-native, eth1 tc down" */
    double uptime_s, programs, sockets, kernel_sockets;
    double diverted, lost;     /* packets since the service started */
    double at_ns;              /* when it said so, on its own clock */
    double diverted_s, lost_s; /* and a second, set by top_node_compare */
};

/* From the service's status (service/report.h), and an object with the clock daemon's reports "status" and "sources"
 * (clock/report.h); either may be NULL. Leaves key, name and problem alone. */
void top_node_fill(struct top_node *node, struct json_object *status, struct json_object *clock);
/* Sets the problem from what is wrong with each ("": nothing). */
void top_node_explain(struct top_node *node, const char *path, const char *clock);
/* Sets the changes a second from how it was before; of the same moment they are what they were. */
void top_node_compare(struct top_node *node, const struct top_node *before);

#endif
