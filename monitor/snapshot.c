/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/connection_list.h"

#define NAME_MAX_LENGTH (LIST_FILTER_MAX + 96)

/* --- bodies ------------------------------------------------------------------------------------------------- */

struct body *body_create(char *text, size_t length)
{
    struct body *body = text ? malloc(sizeof *body) : NULL;

    if (!body) {
        free(text);
        return NULL;
    }
    *body = (struct body){1, length, text};
    return body;
}

bool body_begin(struct body_writer *writer)
{
    *writer = (struct body_writer){0};
    writer->out = open_memstream(&writer->text, &writer->length);
    return writer->out;
}

struct body *body_end(struct body_writer *writer)
{
    if (fclose(writer->out) != 0) {
        free(writer->text);
        return NULL;
    }
    return body_create(writer->text, writer->length);
}

struct body *body_hold(struct body *body)
{
    if (body)
        __atomic_add_fetch(&body->holders, 1, __ATOMIC_RELAXED);
    return body;
}

void body_release(struct body *body)
{
    if (!body || __atomic_sub_fetch(&body->holders, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    free(body->text);
    free(body);
}

/* --- snapshots ---------------------------------------------------------------------------------------------- */

struct snapshot *snapshot_create(void)
{
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);

    if (!snapshot)
        return NULL;
    snapshot->holders = 1;
    pthread_mutex_init(&snapshot->lock, NULL);
    return snapshot;
}

struct snapshot *snapshot_hold(struct snapshot *snapshot)
{
    __atomic_add_fetch(&snapshot->holders, 1, __ATOMIC_RELAXED);
    return snapshot;
}

void snapshot_release(struct snapshot *snapshot)
{
    if (!snapshot || __atomic_sub_fetch(&snapshot->holders, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    body_release(snapshot->summary);
    body_release(snapshot->status);
    body_release(snapshot->clock);
    body_release(snapshot->metrics);
    body_release(snapshot->events);
    body_release(snapshot->runs);
    for (unsigned i = 0; i < snapshot->cached; i++) {
        free(snapshot->cache[i].name);
        body_release(snapshot->cache[i].body);
    }
    table_free(&snapshot->table);
    free(snapshot->rates);
    pthread_mutex_destroy(&snapshot->lock);
    free(snapshot);
}

/* --- documents on demand ------------------------------------------------------------------------------------ */

/* {SUMMARY, connections}: with the summary, or the list alone. */
static struct body *write_list(const struct snapshot *snapshot, const struct list_query *query, bool live)
{
    struct json_stream json = {0};
    struct body_writer writer;
    struct body *body;
    int err;

    if (!body_begin(&writer))
        return NULL;
    json.out = writer.out;
    json_begin(&json, NULL, '{');
    if (live) {
        json_put_uint(&json, "sequence", snapshot->sequence);
        json_put_raw(&json, "summary", snapshot->summary ? snapshot->summary->text : NULL);
    }
    err = connection_list_write(&json, &snapshot->table, snapshot->rates, query);
    json_end(&json, '}');
    body = body_end(&writer);
    if (err < 0) {
        body_release(body);
        body = NULL;
    }
    return body;
}

static struct body *find(const struct snapshot *snapshot, const char *name)
{
    for (unsigned i = 0; i < snapshot->cached; i++) {
        if (strcmp(snapshot->cache[i].name, name) == 0)
            return body_hold(snapshot->cache[i].body);
    }
    return NULL;
}

/* Keeps it for the next who asks; beyond SNAPSHOT_CACHE different ones nothing is kept. */
static void keep(struct snapshot *snapshot, const char *name, struct body *body)
{
    char *copy = body && snapshot->cached < SNAPSHOT_CACHE ? strdup(name) : NULL;

    if (!copy)
        return;
    snapshot->cache[snapshot->cached].name = copy;
    snapshot->cache[snapshot->cached++].body = body_hold(body);
}

/* Whoever asks for another list waits while one is made: thousands would gain nothing from being made at once. */
static struct body *list(struct snapshot *snapshot, const struct list_query *query, bool live)
{
    char name[NAME_MAX_LENGTH] = "connections ";
    struct body *body;

    if (live)
        strcpy(name, "live ");
    list_query_text(query, name + strlen(name));
    pthread_mutex_lock(&snapshot->lock);
    body = find(snapshot, name);
    if (!body) {
        body = write_list(snapshot, query, live);
        keep(snapshot, name, body);
    }
    pthread_mutex_unlock(&snapshot->lock);
    return body;
}

struct body *snapshot_live(struct snapshot *snapshot, const struct list_query *query)
{
    return list(snapshot, query, true);
}

struct body *snapshot_connections(struct snapshot *snapshot, const struct list_query *query)
{
    return list(snapshot, query, false);
}

int snapshot_connection(const struct snapshot *snapshot, uint64_t key, struct body **out)
{
    struct json_stream json = {0};
    struct body_writer writer;
    bool found;

    *out = NULL;
    if (!body_begin(&writer))
        return -ENOMEM;
    json.out = writer.out;
    found = connection_write_one(&json, &snapshot->table, snapshot->rates, key);
    *out = body_end(&writer);
    if (found)
        return *out ? 0 : -ENOMEM;
    body_release(*out);
    *out = NULL;
    return 0;
}
