/* SPDX-License-Identifier: BSD-2-Clause */
/* Watches lockstep-netd: its journal, which no record is left out of, and samples of its connections and counters. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "monitor/binary_report.h"
#include "monitor/historyd.h"
#include "monitor/historyd_sample.h"
#include "monitor/historyd_traffic.h"
#include "monitor/json_report.h"
#include "platform/platform.h"
#include "stack/netd_client.h"

#define LOOK_NS     50000000ull   /* between two looks at the journal */
#define CONNECT_NS  1000000000ull /* between two tries */
#define TABLE_CHUNK 500           /* rows that are written in one transaction */

struct watch {
    struct historyd *historyd;
    struct netd_client *client;
    struct journal_reader reader; /* page NULL: none */
    bool complained;
    struct counter_sampler *sampler;
    struct traffic_sampler *traffic;
    struct historyd_samples samples;
    uint64_t next_connect_ns, next_status_ns, next_table_ns, next_check_ns;
    struct history_table *table; /* waits for the journal's records up to its time */
    bool held;                   /* a record that has not been put yet */
    union {
        struct journal_record record;
        char bytes[JOURNAL_RECORD_MAX];
    } next;
};

static void pause_ns(uint64_t ns)
{
    const struct timespec time = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};

    nanosleep(&time, NULL);
}

void historyd_put_sample(struct historyd *historyd, struct historyd_samples *samples, struct history_item *item)
{
    struct history_item *gap;

    if (samples->missed && history_queue_has_room(&historyd->queue)) {
        gap = history_item_create(HISTORY_ITEM_GAP);
        if (gap) {
            gap->gap.from_ns = samples->missed_since_ns;
            gap->gap.lost = samples->missed;
            snprintf(gap->gap.what, sizeof gap->gap.what, "samples");
            snprintf(gap->gap.text, sizeof gap->gap.text, "there was no room for samples that waited to be written");
            if (history_queue_push(&historyd->queue, gap))
                samples->missed = 0;
            else
                history_item_free(gap);
        }
    }
    if (history_queue_push(&historyd->queue, item))
        return;
    if (samples->missed++ == 0)
        samples->missed_since_ns = item->at_ns;
    history_item_free(item);
}

static void put_event(struct watch *watch, const char *text)
{
    struct history_item *item = history_item_create(HISTORY_ITEM_EVENT);

    if (!item)
        return;
    snprintf(item->note.subject, sizeof item->note.subject, "recorder");
    snprintf(item->note.text, sizeof item->note.text, "%s", text);
    historyd_put_sample(watch->historyd, &watch->samples, item);
}

/* --- the table ---------------------------------------------------------------------------------------------- */

static void free_table(struct history_table *shared)
{
    if (!shared)
        return;
    table_free(&shared->table);
    free(shared);
}

static bool put_rows(struct watch *watch, struct history_table *shared, uint32_t from, uint32_t to, bool last)
{
    struct history_item *item = history_item_create(HISTORY_ITEM_TABLE);

    if (!item)
        return false;
    __atomic_add_fetch(&shared->references, 1, __ATOMIC_RELAXED);
    item->table.shared = shared;
    item->table.from = from;
    item->table.to = to;
    item->table.last = last;
    item->bytes += (to - from) * shared->table.header.connection_size;
    if (history_queue_push(&watch->historyd->queue, item))
        return true;
    history_item_free(item);
    return false;
}

static void sample_traffic(struct watch *watch, const struct connection_table *table)
{
    struct history_item *item = traffic_sampler_take(watch->traffic, table);

    if (item)
        historyd_put_sample(watch->historyd, &watch->samples, item);
}

/* All records from before it have been put: now the table, in parts. When the queue is full, the rest is left out. */
static void put_table(struct watch *watch)
{
    struct history_table *shared = watch->table;
    uint32_t count = shared->table.header.connection_count, from = 0, to;
    bool room = true;

    watch->table = NULL;
    sample_traffic(watch, &shared->table);
    do {
        to = count - from < TABLE_CHUNK ? count : from + TABLE_CHUNK;
        room = put_rows(watch, shared, from, to, to == count);
        from = to;
    } while (room && to < count);
    if (!room && watch->samples.missed++ == 0)
        watch->samples.missed_since_ns = shared->table.header.realtime_ns;
    if (__atomic_sub_fetch(&shared->references, 1, __ATOMIC_ACQ_REL) == 0)
        free_table(shared);
}

static void fetch_table(struct watch *watch)
{
    struct history_table *shared;
    int err;

    shared = calloc(1, sizeof *shared);
    err = shared ? table_ask(watch->client, true, &shared->table) : -ENOMEM;
    if (err < 0) {
        log_debug("no connection table: %s", error_text(err));
        free(shared);
        return;
    }
    shared->references = 1;
    free_table(watch->table);
    watch->table = shared;
}

/* --- the journal -------------------------------------------------------------------------------------------- */

/* Records from the ring to the queue until one of them has no more. A table takes its place among them. */
static void read_journal(struct watch *watch)
{
    uint64_t lost = 0; /* told by the sequence numbers, too */

    while (watch->reader.page && history_queue_has_room(&watch->historyd->queue)) {
        struct history_item *item;

        if (!watch->held && !journal_next(&watch->reader, &watch->next.record, &lost)) {
            if (watch->table)
                put_table(watch);
            return;
        }
        watch->held = true;
        if (watch->table && watch->next.record.monotonic_ns > watch->table->table.header.monotonic_ns)
            put_table(watch);
        item = history_item_of_record(&watch->next.record);
        if (!item)
            return;
        if (!history_queue_push(&watch->historyd->queue, item)) {
            history_item_free(item);
            return;
        }
        watch->held = false;
        traffic_sampler_record(watch->traffic, &watch->next.record);
    }
}

/* The item that says whose the following records are must not be left out. */
static int put_beginning(struct watch *watch)
{
    for (;;) {
        struct history_item *item = history_item_create(HISTORY_ITEM_JOURNAL);

        if (item) {
            item->journal.instance = watch->reader.instance;
            item->journal.first = watch->reader.sequence;
            if (history_queue_push(&watch->historyd->queue, item))
                return 0;
            history_item_free(item);
        }
        if (historyd_stopping(watch->historyd))
            return -ECANCELED;
        pause_ns(LOOK_NS);
    }
}

static int open_journal(struct watch *watch)
{
    int err = journal_ask(watch->client, &watch->reader);

    return err < 0 ? err : put_beginning(watch);
}

/* --- the connection to the service -------------------------------------------------------------------------- */

static void connect_service(struct watch *watch, uint64_t now_ns)
{
    int err = client_connect(&watch->client, watch->historyd->config.runtime_dir, "lockstep-historyd", 0, NULL);

    watch->next_connect_ns = now_ns + CONNECT_NS;
    if (err < 0) {
        watch->client = NULL;
    } else {
        err = open_journal(watch);
        watch->next_status_ns = watch->next_table_ns = watch->next_check_ns = now_ns;
    }
    if (err == 0)
        log_info("recording the service at %s", client_runtime_dir(watch->historyd->config.runtime_dir));
    else if (!watch->complained)
        log_warning("the service at %s gives no journal yet: %s",
                    client_runtime_dir(watch->historyd->config.runtime_dir), error_text(err));
    watch->complained = err < 0;
    if (err < 0 && watch->client) {
        client_close(watch->client);
        watch->client = NULL;
    }
}

/* Its journal's memory lives on until we let go of it: what is in it is read to the end. */
static void leave_service(struct watch *watch)
{
    while (watch->reader.page && !historyd_stopping(watch->historyd)) {
        read_journal(watch);
        if (history_queue_has_room(&watch->historyd->queue) && !watch->held)
            break;
        pause_ns(LOOK_NS);
    }
    journal_reader_close(&watch->reader);
    watch->held = false;
    free_table(watch->table);
    watch->table = NULL;
    client_close(watch->client);
    watch->client = NULL;
    if (historyd_stopping(watch->historyd))
        return;
    log_info("the service is gone");
    put_event(watch, "the service is gone");
}

static void sample_counters(struct watch *watch)
{
    struct json_object *status;
    struct history_item *item;

    if (report_ask(watch->client, CONTROL_REPORT_STATUS, &status) < 0)
        return;
    item = counter_sampler_take(watch->sampler, status);
    json_object_put(status);
    if (item)
        historyd_put_sample(watch->historyd, &watch->samples, item);
}

static void look(struct watch *watch, uint64_t now_ns)
{
    const struct historyd_config *config = &watch->historyd->config;

    read_journal(watch);
    if (now_ns >= watch->next_status_ns) {
        sample_counters(watch);
        watch->next_status_ns = now_ns + config->interval_ns;
    }
    if (now_ns >= watch->next_table_ns) {
        fetch_table(watch);
        read_journal(watch);
        watch->next_table_ns = now_ns + config->connections_interval_ns;
    }
    if (now_ns >= watch->next_check_ns) {
        watch->next_check_ns = now_ns + CONNECT_NS / 2;
        if (client_check(watch->client) < 0)
            leave_service(watch);
    }
}

void *historyd_watch_service(void *argument)
{
    static struct watch watch;

    watch.historyd = argument;
    watch.sampler = counter_sampler_create();
    watch.traffic = traffic_sampler_create();
    while (watch.sampler && watch.traffic && !historyd_stopping(watch.historyd)) {
        uint64_t now_ns = platform_now_ns();

        if (!watch.client && now_ns >= watch.next_connect_ns)
            connect_service(&watch, now_ns);
        if (watch.client)
            look(&watch, now_ns);
        pause_ns(LOOK_NS);
    }
    if (watch.client)
        leave_service(&watch);
    counter_sampler_destroy(watch.sampler);
    traffic_sampler_destroy(watch.traffic);
    return NULL;
}
