/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/history_recorder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "monitor/history_value.h"

#define HISTOGRAM_BYTES (LANE_STATS_SLOT_BUCKETS * sizeof(uint32_t))
#define STEP_LEAST_NS   1000000000ll /* of the wall clock, to be worth a note */
#define NOT_WATCHED_NS  30000000000ll

struct history_recorder {
    struct history_store *store;
    struct history_connections *connections;
    struct history_position position;  /* with what the transaction at hand will have written */
    struct history_position committed; /* survives the loss of the database */
    bool reading;                      /* of position.instance's journal, without a break in this process */
    int64_t clock_offset_ns;           /* wall clock minus monotonic; 0: not known */
    bool begun;                        /* something has been written */
    int64_t away_since_ns;             /* the last transaction of the recorder before; 0: none */
    struct history_recorder_counts counts, counts_committed;
};

struct history_recorder *history_recorder_create(void)
{
    struct history_recorder *recorder = calloc(1, sizeof *recorder);

    if (!recorder)
        return NULL;
    recorder->connections = history_connections_create();
    if (!recorder->connections) {
        free(recorder);
        return NULL;
    }
    return recorder;
}

void history_recorder_destroy(struct history_recorder *recorder)
{
    if (!recorder)
        return;
    history_connections_destroy(recorder->connections);
    free(recorder);
}

void history_recorder_get_counts(const struct history_recorder *recorder, struct history_recorder_counts *out)
{
    *out = recorder->counts_committed;
}

int history_recorder_attach(struct history_recorder *recorder, struct history_store *store,
                            const struct history_moment *now)
{
    struct history_position found = {0};
    int result = history_store_position(store, &found);

    recorder->store = store;
    recorder->counts = recorder->counts_committed;
    if (!recorder->begun)
        recorder->away_since_ns = found.realtime_ns;
    /* A database that knows nothing yet, since the one before was lost, does not make us begin anew. */
    recorder->position = found.instance ? found : recorder->committed;
    return result < 0 ? result : history_connections_attach(recorder->connections, store, now);
}

/* --- gaps and events ---------------------------------------------------------------------------------------- */

static int add_event(struct history_recorder *recorder, int64_t at_ns, const char *subject, const char *text)
{
    return history_sql_run(history_store_sql(recorder->store),
                           "INSERT INTO events(line_s, at_ns, subject, text) VALUES(?, ?, ?, ?)", "iitt",
                           history_store_line_s(recorder->store), at_ns, subject, text);
}

/* lost: negative: not known. */
static int add_gap(struct history_recorder *recorder, int64_t from_ns, int64_t to_ns, const char *what, int64_t lost,
                   const char *text)
{
    recorder->counts.gaps++;
    recorder->counts.lost += lost > 0 ? (uint64_t)lost : 0;
    log_limited(LOG_LEVEL_WARNING, LOG_SUBJECT(.event = LOG_EVENT_RECORDER_GAP), "gap in the history: %s: %s", what,
                text ? text : "records were lost");
    return history_sql_run(history_store_sql(recorder->store),
                           "INSERT INTO gaps(line_s, from_ns, to_ns, what, lost, text)"
                           " VALUES(?, ?, ?, ?, iif(?5 < 0, NULL, ?5), ?)",
                           "iiitit", history_store_line_s(recorder->store), from_ns, to_ns, what, lost, text);
}

/* --- the journal -------------------------------------------------------------------------------------------- */

/* Records between the last one written and `next` were overwritten before they were read. */
static int note_lost(struct history_recorder *recorder, uint64_t next, int64_t at_ns)
{
    uint64_t expected = recorder->position.sequence + 1;

    if (next <= expected)
        return 0;
    return add_gap(recorder, recorder->position.journal_ns ? recorder->position.journal_ns : at_ns, at_ns, "journal",
                   (int64_t)(next - expected),
                   "records of the service were overwritten before they could be written here");
}

static int begin_journal(struct history_recorder *recorder, const struct history_item *item)
{
    struct history_position *position = &recorder->position;
    bool first_ever = position->instance == 0, was_reading = recorder->reading;
    int result = 0;

    recorder->reading = true;
    if (position->instance == item->journal.instance)
        return note_lost(recorder, item->journal.first, item->at_ns);
    if (!first_ever && !was_reading)
        result = add_gap(recorder, position->journal_ns, item->at_ns, "journal", -1,
                         "the service was restarted while nothing was recorded");
    position->instance = item->journal.instance;
    position->sequence = 0;
    position->journal_ns = 0;
    if (result == 0 && !first_ever)
        result = note_lost(recorder, item->journal.first, item->at_ns);
    position->sequence = item->journal.first - 1;
    position->journal_ns = item->at_ns;
    return result;
}

static int add_kernel(struct history_recorder *recorder, const struct journal_record *record)
{
    const struct journal_kernel_socket *socket = journal_body(record);
    char program[sizeof socket->program + 1], reason[sizeof socket->reason + 1];
    struct history_address local = history_address_pack(&socket->local.addr);
    struct history_address remote = history_address_pack(&socket->remote.addr);

    recorder->counts.kernel++;
    return history_sql_run(
        history_store_sql(recorder->store),
        "INSERT INTO kernel(line_s, at_ns, program, pid, uid, protocol, local, local_port, remote, remote_port, reason)"
        " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "iitiiibibit", history_store_line_s(recorder->store), record->realtime_ns,
        history_text_copy(program, socket->program, sizeof socket->program), (int64_t)socket->pid, (int64_t)socket->uid,
        (int64_t)socket->protocol, (const void *)local.bytes, local.length, (int64_t)socket->local.port,
        (const void *)remote.bytes, remote.length, (int64_t)socket->remote.port,
        history_text_copy(reason, socket->reason, sizeof socket->reason));
}

static int add_text(struct history_recorder *recorder, const struct journal_record *record)
{
    const struct journal_text *text = journal_body(record);
    char subject[sizeof text->subject + 1], words[sizeof text->text + 1];

    return add_event(recorder, record->realtime_ns, history_text_copy(subject, text->subject, sizeof text->subject),
                     history_text_copy(words, text->text, sizeof text->text));
}

/* The histogram is the end of the body, whatever a newer service has put before it. */
static const uint32_t *histogram_of(const struct journal_record *record)
{
    if (record->size < sizeof *record + HISTOGRAM_BYTES)
        return NULL;
    return (const uint32_t *)((const char *)record + record->size - HISTOGRAM_BYTES);
}

static int write_connection(struct history_recorder *recorder, const struct journal_record *record)
{
    const struct history_sighting seen = {recorder->position.instance, record->monotonic_ns, record->realtime_ns};
    const struct connection_row *body = journal_body(record);
    struct connection_row row = {0};
    size_t size = record->size - sizeof *record;

    if (record->type == JOURNAL_CONNECTION_OPENED) {
        recorder->counts.connections++;
        memcpy(&row, body, size < sizeof row ? size : sizeof row);
        return history_connections_opened(recorder->connections, &row, &seen);
    }
    if (!histogram_of(record))
        return 0; /* of no service that there ever was */
    size -= HISTOGRAM_BYTES;
    memcpy(&row, body, size < sizeof row ? size : sizeof row);
    return history_connections_closed(recorder->connections, &row, histogram_of(record), &seen);
}

static int write_body(struct history_recorder *recorder, const struct journal_record *record)
{
    size_t size = record->size - sizeof *record;

    switch (record->type) {
    case JOURNAL_SERVICE:
    case JOURNAL_INTERFACE:
        return size >= sizeof(struct journal_text) ? add_text(recorder, record) : 0;
    case JOURNAL_CONNECTION_OPENED:
    case JOURNAL_CONNECTION_CLOSED:
        return write_connection(recorder, record);
    case JOURNAL_KERNEL_SOCKET:
        return size >= sizeof(struct journal_kernel_socket) ? add_kernel(recorder, record) : 0;
    default:
        return 0;
    }
}

static int write_record(struct history_recorder *recorder, const struct journal_record *record)
{
    int result;

    if (record->sequence <= recorder->position.sequence) /* it is in the database already */
        return 0;
    result = note_lost(recorder, record->sequence, record->realtime_ns);
    if (result == 0)
        result = write_body(recorder, record);
    recorder->counts.records++;
    recorder->position.sequence = record->sequence;
    recorder->position.journal_ns = record->realtime_ns;
    return result;
}

/* --- samples ------------------------------------------------------------------------------------------------ */

static int write_table(struct history_recorder *recorder, const struct history_item *item)
{
    const struct connection_table *table = &item->table.shared->table;
    const struct history_sighting seen = {table->header.instance, table->header.monotonic_ns,
                                          table->header.realtime_ns};

    if (table->header.instance != recorder->position.instance) /* another service than the journal's */
        return 0;
    return history_connections_table(recorder->connections, table, item->table.from, item->table.to, item->table.last,
                                     &seen);
}

static int write_counters(struct history_recorder *recorder, const struct history_item *item)
{
    struct history_sql *sql = history_store_sql(recorder->store);
    int result = 0;

    for (size_t i = 0; i < item->counters.count && result == 0; i++) {
        const struct history_counter *counter = &item->counters.list[i];

        result = history_sql_run(sql, "INSERT OR IGNORE INTO series(name) VALUES(?)", "t", counter->name);
        if (result == 0)
            result = history_sql_run(sql,
                                     "INSERT INTO counters(line_s, at_ns, series, value, change)"
                                     " VALUES(?, ?, (SELECT id FROM series WHERE name = ?), ?, ?)",
                                     "iitii", history_store_line_s(recorder->store), item->at_ns, counter->name,
                                     counter->value, counter->change);
    }
    return result;
}

static const char *text_or_null(const char *text)
{
    return *text ? text : NULL;
}

static int write_source(struct history_recorder *recorder, int64_t at_ns, const struct history_source *source)
{
    return history_sql_run(history_store_sql(recorder->store),
                           "INSERT INTO sources(line_s, at_ns, name, state, stratum, reach, offset_ns, bound_ns,"
                           " round_trip_ns) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
                           "iittddddd", history_store_line_s(recorder->store), at_ns, source->name, source->state,
                           source->stratum, source->reach, source->offset_ns, source->bound_ns, source->round_trip_ns);
}

static int write_clock(struct history_recorder *recorder, const struct history_item *item)
{
    const struct history_clock *clock = item->clock;
    int result = 0;

    for (unsigned i = 0; i < clock->source_count && result == 0; i++)
        result = write_source(recorder, item->at_ns, &clock->sources[i]);
    if (result < 0)
        return result;
    return history_sql_run(
        history_store_sql(recorder->store),
        "INSERT INTO clock(line_s, at_ns, status, selected, stratum, offset_ns, bound_ns, bound_utc_ns, frequency_ppm,"
        " frequency_sigma_ppb, system_offset_ns, root_delay_ns, root_dispersion_ns, disruptions)"
        " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "iittdddddddddd", history_store_line_s(recorder->store), item->at_ns, clock->status,
        text_or_null(clock->selected), clock->stratum, clock->offset_ns, clock->bound_ns, clock->bound_utc_ns,
        clock->frequency_ppm, clock->frequency_sigma_ppb, clock->system_offset_ns, clock->root_delay_ns,
        clock->root_dispersion_ns, clock->disruptions);
}

static int write_run(struct history_recorder *recorder, const struct history_item *item,
                     const struct history_moment *now)
{
    int result = history_run_add(recorder->store, item->run.run, now->realtime_ns);

    return result < 0 ? result : 0;
}

/* --- batches ------------------------------------------------------------------------------------------------ */

static int write_item(struct history_recorder *recorder, const struct history_item *item,
                      const struct history_moment *now)
{
    switch (item->type) {
    case HISTORY_ITEM_JOURNAL:
        return begin_journal(recorder, item);
    case HISTORY_ITEM_RECORD:
        return write_record(recorder, item->record);
    case HISTORY_ITEM_TABLE:
        return write_table(recorder, item);
    case HISTORY_ITEM_COUNTERS:
        return write_counters(recorder, item);
    case HISTORY_ITEM_CLOCK:
        return write_clock(recorder, item);
    case HISTORY_ITEM_RUN:
        return write_run(recorder, item, now);
    case HISTORY_ITEM_EVENT:
        return add_event(recorder, item->at_ns, item->note.subject, item->note.text);
    case HISTORY_ITEM_GAP:
        return add_gap(recorder, item->gap.from_ns, item->at_ns, item->gap.what, item->gap.lost, item->gap.text);
    }
    return 0;
}

/* Whoever reads times in the history must know when the wall clock was stepped. */
static int note_step(struct history_recorder *recorder, const struct history_moment *now, int64_t *offset_ns)
{
    int64_t before_ns = recorder->clock_offset_ns, step_ns;
    char text[100];

    *offset_ns = now->realtime_ns - (int64_t)now->boottime_ns;
    step_ns = *offset_ns - before_ns;
    if (before_ns == 0 || llabs(step_ns) < STEP_LEAST_NS)
        return 0;
    snprintf(text, sizeof text, "the system clock was stepped by %+.3f s", (double)step_ns / 1e9);
    return add_event(recorder, now->realtime_ns, "clock", text);
}

static int note_absence(struct history_recorder *recorder, const struct history_moment *now)
{
    if (recorder->begun || recorder->away_since_ns == 0 || now->realtime_ns - recorder->away_since_ns < NOT_WATCHED_NS)
        return 0;
    return add_gap(recorder, recorder->away_since_ns, now->realtime_ns, "recorder", -1, "nothing was recorded");
}

static int write_all(struct history_recorder *recorder, struct list *items, const struct history_moment *now,
                     int64_t *offset_ns)
{
    int result = note_step(recorder, now, offset_ns);

    if (result == 0)
        result = note_absence(recorder, now);
    list_for_each(link, items)
    {
        if (result < 0)
            return result;
        result = write_item(recorder, list_entry(link, struct history_item, link), now);
    }
    return result < 0 ? result : history_store_set_position(recorder->store, &recorder->position);
}

int history_recorder_write(struct history_recorder *recorder, struct list *items, const struct history_moment *now)
{
    int64_t offset_ns = 0;
    int result = history_store_begin(recorder->store, now);

    if (result < 0)
        return result;
    result = write_all(recorder, items, now, &offset_ns);
    if (result < 0)
        history_store_rollback(recorder->store);
    else
        result = history_store_commit(recorder->store);
    if (result < 0)
        return result;
    recorder->clock_offset_ns = offset_ns;
    recorder->begun = true;
    recorder->committed = recorder->position;
    recorder->counts_committed = recorder->counts;
    return 0;
}
