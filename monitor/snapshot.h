/* SPDX-License-Identifier: BSD-2-Clause */
/* What the gatherer knew at one moment. Made by one thread; then immutable but for its count of holders and its cache
 * of documents, and read by any. */
#ifndef LOCKSTEP_MONITOR_SNAPSHOT_H
#define LOCKSTEP_MONITOR_SNAPSHOT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "monitor/tracker.h"
#include "monitor/web_request.h"
#include "service/connection_table.h"

/* A text that several hold. */
struct body {
    unsigned holders;
    size_t length;
    char *text;
};
/* Takes text over (malloc); NULL: no memory, text is freed. */
struct body *body_create(char *text, size_t length);
/* A body that is written to a stream: out, from body_begin (false: no memory) to body_end, which closes it (NULL: no
 * memory). The writer must not move between them. */
struct body_writer {
    FILE *out;
    char *text;
    size_t length;
};
bool body_begin(struct body_writer *writer);
struct body *body_end(struct body_writer *writer);
struct body *body_hold(struct body *body);
void body_release(struct body *body);

#define SNAPSHOT_CACHE 16

struct snapshot {
    unsigned holders;
    uint64_t sequence; /* of the snapshot, from 1 */
    int64_t realtime_ns;
    /* Documents; status is NULL without netd. */
    struct body *summary, *status, *clock, *metrics, *events, *runs;
    struct connection_table table; /* of no rows without netd */
    struct connection_rate *rates; /* one a connection */
    /* Documents that were made of it on demand, by what was asked for. */
    pthread_mutex_t lock;
    struct {
        char *name;
        struct body *body;
    } cache[SNAPSHOT_CACHE];
    unsigned cached;
};

struct snapshot *snapshot_create(void); /* NULL: no memory */
struct snapshot *snapshot_hold(struct snapshot *snapshot);
void snapshot_release(struct snapshot *snapshot); /* may be NULL */

/* {"sequence", "summary", "connections"} and {"total", "matching", "connections": [...]}, for many askers made once. A
 * held body; NULL: no memory. */
struct body *snapshot_live(struct snapshot *snapshot, const struct list_query *query);
struct body *snapshot_connections(struct snapshot *snapshot, const struct list_query *query);
/* One connection with its histogram: *out is NULL if there is none of that key. 0 or -ENOMEM. */
int snapshot_connection(const struct snapshot *snapshot, uint64_t key, struct body **out);

#endif
