/* SPDX-License-Identifier: BSD-2-Clause */
/* The nodes that are watched from here, through the lockstep-web of each: nodes.conf(5). */
#ifndef LOCKSTEP_TOOLS_NODES_H
#define LOCKSTEP_TOOLS_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"

#define NODES_FILE    "/etc/lockstep/nodes.conf"
#define NODES_MAX     256
#define NODE_NAME_MAX 64
#define NODE_URL_MAX  200
#define NODE_PATH_MAX 200

struct node_config {
    char name[NODE_NAME_MAX];
    char url[NODE_URL_MAX];                                 /* without a '/' at its end */
    char token_file[NODE_PATH_MAX], ca_file[NODE_PATH_MAX]; /* "": none; the system's authorities */
    uint64_t timeout_ns;
};

struct nodes_config {
    struct node_config common; /* of nodes that say nothing else: token_file, ca_file, timeout_ns */
    size_t count;
    struct node_config nodes[NODES_MAX];
};

/* Pure. 0, or a negative code with problem (CONFIG_PROBLEM_MAX bytes) that names file, line and key. */
int nodes_parse(const char *file_name, const char *text, size_t length, struct nodes_config *out, char *problem);
/* path NULL or "": NODES_FILE, which need not be there. */
int nodes_load(const char *path, struct nodes_config *out, char *problem);

/* The node that is meant by a name of the file or by a URL; one that is not in the file gets what is common. 0, or a
 * negative code with problem (VALUE_PROBLEM_MAX bytes). */
int nodes_find(const struct nodes_config *config, const char *name_or_url, struct node_config *out, char *problem);

#define NODES_CHOSEN_MAX 32

/* What options of a command say: the nodes chosen by name or URL (the first empty one ends the list), or, if none is,
 * all of the file. Complains on stderr. *nodes: the caller frees it. Returns how many, or -1. */
long nodes_choose(const char *path, const char chosen[NODES_CHOSEN_MAX][NODE_URL_MAX], struct node_config **nodes);

/* Whether what is sent to the URL stays within this machine or is encrypted (pure). */
bool node_url_is_private(const char *url);

#endif
