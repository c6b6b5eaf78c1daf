/* SPDX-License-Identifier: BSD-2-Clause */
/* The inventory: the nodes of a test bed and how the controller reaches them. docs/testbed.md describes the file. Pure
 * but for inventory_load. */
#ifndef LOCKSTEP_TESTBED_INVENTORY_H
#define LOCKSTEP_TESTBED_INVENTORY_H

#include "base/config.h"
#include "base/net_addr.h"
#include "testbed/schedule.h"

#define INVENTORY_PATH_MAX 200

struct inventory_node {
    char name[PATTERN_NODE_MAX];
    char control[80]; /* host or address of the listener; "": as address */
    int64_t control_port;
    char address_text[64];
    struct net_addr address;  /* in the tested network */
    uint64_t rate_bits_per_s; /* of its link, both ways; 0: without limit */
    bool sends, receives;
    char clock_path[INVENTORY_PATH_MAX]; /* "": the usual one */
};

struct inventory {
    char key_file[INVENTORY_PATH_MAX];
    char certificate[INVENTORY_PATH_MAX], certificate_key[INVENTORY_PATH_MAX], authority[INVENTORY_PATH_MAX];
    int64_t mtu;
    unsigned node_count;
    struct inventory_node nodes[SCHEDULE_NODES_MAX];
};

/* 0, or a negative code with problem (CONFIG_PROBLEM_MAX), which names file, line and key. */
int inventory_parse(const char *file_name, const char *text, size_t length, struct inventory *out, char *problem);
int inventory_load(const char *path, struct inventory *out, char *problem);

/* For the planner. */
void inventory_network(const struct inventory *inventory, struct schedule_network *out);

#endif
