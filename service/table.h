/* SPDX-License-Identifier: BSD-2-Clause */
/* Intrusive hash table: nodes live in the caller's structures, nothing is owned. The hash is keyed, so that remote
 * peers and programs, who choose the keys, cannot pile them up in one bucket. Single-threaded. */
#ifndef LOCKSTEP_SERVICE_TABLE_H
#define LOCKSTEP_SERVICE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

struct table_node {
    struct table_node *next;
    uint64_t hash;
};

struct table {
    struct table_node **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
    struct hash_key key;
};

/* The structure that holds a node. */
#define table_entry(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

/* 0 or -ENOMEM. fini leaves the nodes alone. */
int table_init(struct table *table);
void table_fini(struct table *table);

uint64_t table_hash(const struct table *table, const void *key, size_t length);

/* Candidates with this hash: the caller compares keys. NULL: no more. */
struct table_node *table_first(const struct table *table, uint64_t hash);
struct table_node *table_next(const struct table_node *node);

/* The table grows as needed; when there is no memory for that it only becomes slower. */
void table_insert(struct table *table, struct table_node *node, uint64_t hash);
void table_remove(struct table *table, struct table_node *node);

/* Calls visit for each node; it may remove the node it is given and no other. */
void table_each(struct table *table, void (*visit)(struct table_node *node, void *context), void *context);

#endif
