/* SPDX-License-Identifier: BSD-2-Clause */
/* Where `lockstep top` has its data from: a thread that looks at this node's services and at other nodes' endpoints, so
 * that the screen never waits for one that does not answer. */
#ifndef LOCKSTEP_TOOLS_TOP_SOURCE_H
#define LOCKSTEP_TOOLS_TOP_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/connection_table.h"
#include "tools/nodes.h"
#include "tools/top_node.h"

/* What is wanted. Node 0 is this one. */
struct top_wish {
    size_t node; /* whose connections and programs */
    uint64_t interval_ns;
    bool paused;
    bool details;       /* of a connection of this node: */
    uint32_t pid, flow; /* its histogram, and what its program says */
};

/* What has come. */
struct top_news {
    struct top_node *nodes; /* all of them, as last seen: the caller's array */
    bool has_table;
    struct connection_table table;      /* the wished node's; the caller's to free */
    char problem[TOP_NODE_PROBLEM_MAX]; /* why there is no newer one, else "" */
    struct json_object *dump; /* what its program says of the wished connection; the caller's to put, or NULL: */
    const char *dump_problem; /* why it does not, or NULL */
    uint64_t rounds;          /* looks at all nodes that are complete */
};

struct top_source;

/* runtime_dir: of this node's services; nodes: others. 0, or a negative errno. */
int top_source_open(struct top_source **out, const char *runtime_dir, const struct node_config *nodes, size_t count,
                    const struct top_wish *wish);
/* At the program's end. */
void top_source_close(struct top_source *source);
/* This one and the others. */
size_t top_source_node_count(const struct top_source *source);

/* The thread acts on it at once; now: it is to look at once. */
void top_source_wish(struct top_source *source, const struct top_wish *wish, bool now);
/* Readable when there are news. */
int top_source_fd(const struct top_source *source);
/* Takes the news; nodes has room for top_source_node_count. False: there are none. */
bool top_source_take(struct top_source *source, struct top_news *news);

#endif
