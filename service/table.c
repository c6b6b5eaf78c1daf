/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/platform.h"

#define INITIAL_BUCKETS 64

int table_init(struct table *table)
{
    memset(table, 0, sizeof(*table));
    table->buckets = calloc(INITIAL_BUCKETS, sizeof(*table->buckets));
    if (!table->buckets)
        return -ENOMEM;
    table->bucket_count = INITIAL_BUCKETS;
    return platform_random(&table->key, sizeof(table->key));
}

void table_fini(struct table *table)
{
    free(table->buckets);
    memset(table, 0, sizeof(*table));
}

uint64_t table_hash(const struct table *table, const void *key, size_t length)
{
    return hash_bytes(&table->key, key, length);
}

static struct table_node **bucket_of(const struct table *table, uint64_t hash)
{
    return &table->buckets[hash & (table->bucket_count - 1)];
}

struct table_node *table_first(const struct table *table, uint64_t hash)
{
    struct table_node *node = *bucket_of(table, hash);

    while (node && node->hash != hash)
        node = node->next;
    return node;
}

struct table_node *table_next(const struct table_node *node)
{
    struct table_node *next = node->next;

    while (next && next->hash != node->hash)
        next = next->next;
    return next;
}

static void grow(struct table *table)
{
    struct table larger = *table;

    larger.bucket_count *= 2;
    larger.buckets = calloc(larger.bucket_count, sizeof(*larger.buckets));
    if (!larger.buckets)
        return;
    for (size_t i = 0; i < table->bucket_count; i++) {
        struct table_node *node = table->buckets[i];

        while (node) {
            struct table_node *next = node->next;
            struct table_node **bucket = bucket_of(&larger, node->hash);

            node->next = *bucket;
            *bucket = node;
            node = next;
        }
    }
    free(table->buckets);
    *table = larger;
}

void table_insert(struct table *table, struct table_node *node, uint64_t hash)
{
    struct table_node **bucket;

    if (table->count >= table->bucket_count)
        grow(table);
    bucket = bucket_of(table, hash);
    node->hash = hash;
    node->next = *bucket;
    *bucket = node;
    table->count++;
}

void table_remove(struct table *table, struct table_node *node)
{
    struct table_node **link = bucket_of(table, node->hash);

    while (*link && *link != node)
        link = &(*link)->next;
    if (!*link)
        return;
    *link = node->next;
    table->count--;
}

void table_each(struct table *table, void (*visit)(struct table_node *node, void *context), void *context)
{
    for (size_t i = 0; i < table->bucket_count; i++) {
        struct table_node *node = table->buckets[i];

        while (node) {
            struct table_node *next = node->next;

            visit(node, context);
            node = next;
        }
    }
}
