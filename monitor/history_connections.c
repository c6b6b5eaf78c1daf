/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/history_connections.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "monitor/history_histogram.h"
#include "monitor/history_value.h"

#define HEADS        16384 /* a power of two */
#define CLOSED_RING  1024
#define SINCE_SLACK  2000000000ll /* ns between what two instances of the service say of the same opening */
#define STRIKES_MOST 2

/* An open connection. */
struct entry {
    struct entry *next_of_key, *next_of_ends;
    int64_t id;
    uint64_t instance, key;
    uint32_t pid;
    uint8_t protocol;
    struct net_endpoint local, remote;
    int64_t since_ns;
    uint64_t opened_monotonic_ns;
    uint64_t written;                       /* sum of what can change, as it is in the row: a hint that nothing has */
    uint64_t ring_drops, ring_drops_before; /* of this instance of the service, and of those before */
    uint64_t table_ns;                      /* of the last table that had it */
    unsigned strikes;
};

struct history_connections {
    struct history_store *store;
    struct entry *by_key[HEADS], *by_ends[HEADS];
    uint64_t closed_keys[CLOSED_RING]; /* the latest, for tables that are a moment older than their time says */
    unsigned closed_next;
    char boot[40];
};

static const struct hash_key hash_key = {{0x9ae16a3b2f90404full, 0xc949d7c7509e6557ull}};

struct history_connections *history_connections_create(void)
{
    return calloc(1, sizeof(struct history_connections));
}

static void forget_all(struct history_connections *connections)
{
    for (unsigned i = 0; i < HEADS; i++) {
        while (connections->by_key[i]) {
            struct entry *entry = connections->by_key[i];

            connections->by_key[i] = entry->next_of_key;
            free(entry);
        }
        connections->by_ends[i] = NULL;
    }
}

void history_connections_destroy(struct history_connections *connections)
{
    if (connections)
        forget_all(connections);
    free(connections);
}

/* --- the open ones ------------------------------------------------------------------------------------------ */

static struct entry **head_of_key(struct history_connections *connections, uint64_t instance, uint64_t key)
{
    return &connections->by_key[hash_u64(&hash_key, instance ^ key * HASH_ROOT_3) & (HEADS - 1)];
}

static struct entry **head_of_ends(struct history_connections *connections, const struct net_endpoint *local,
                                   const struct net_endpoint *remote, uint32_t pid)
{
    uint64_t hash = hash_bytes(&hash_key, local->addr.byte, sizeof local->addr.byte);

    hash = hash * HASH_ROOT_5 + hash_bytes(&hash_key, remote->addr.byte, sizeof remote->addr.byte);
    hash = hash * HASH_ROOT_5 + ((uint64_t)local->port << 16 | remote->port | (uint64_t)pid << 32);
    return &connections->by_ends[hash_u64(&hash_key, hash) & (HEADS - 1)];
}

static void link_key(struct history_connections *connections, struct entry *entry)
{
    struct entry **head = head_of_key(connections, entry->instance, entry->key);

    entry->next_of_key = *head;
    *head = entry;
}

static void link_entry(struct history_connections *connections, struct entry *entry)
{
    struct entry **head = head_of_ends(connections, &entry->local, &entry->remote, entry->pid);

    link_key(connections, entry);
    entry->next_of_ends = *head;
    *head = entry;
}

static void unlink_key(struct history_connections *connections, struct entry *entry)
{
    struct entry **link = head_of_key(connections, entry->instance, entry->key);

    while (*link != entry)
        link = &(*link)->next_of_key;
    *link = entry->next_of_key;
}

static void forget(struct history_connections *connections, struct entry *entry)
{
    struct entry **link = head_of_ends(connections, &entry->local, &entry->remote, entry->pid);

    unlink_key(connections, entry);
    while (*link != entry)
        link = &(*link)->next_of_ends;
    *link = entry->next_of_ends;
    free(entry);
}

static struct entry *find(struct history_connections *connections, uint64_t instance, uint64_t key)
{
    struct entry *entry = *head_of_key(connections, instance, key);

    while (entry && (entry->instance != instance || entry->key != key))
        entry = entry->next_of_key;
    return entry;
}

/* The same connection, as an earlier instance of the service saw it. */
static struct entry *find_earlier(struct history_connections *connections, const struct connection_row *row,
                                  uint64_t instance)
{
    struct entry *entry = *head_of_ends(connections, &row->local, &row->remote, row->pid);

    for (; entry; entry = entry->next_of_ends) {
        if (entry->instance != instance && entry->pid == row->pid && entry->protocol == row->protocol &&
            net_endpoint_equal(&entry->local, &row->local) && net_endpoint_equal(&entry->remote, &row->remote) &&
            llabs(entry->since_ns - row->since_ns) < SINCE_SLACK)
            return entry;
    }
    return NULL;
}

static bool recently_closed(const struct history_connections *connections, uint64_t key)
{
    for (unsigned i = 0; i < CLOSED_RING; i++) {
        if (connections->closed_keys[i] == key)
            return true;
    }
    return false;
}

/* --- rows --------------------------------------------------------------------------------------------------- */

static uint64_t sum_of(const struct connection_row *row)
{
    return row->rx_bytes + row->tx_bytes + row->rx_packets + row->tx_packets + row->ring_drops + row->drops +
           row->retransmissions + row->latency_count + row->tcp_state * HASH_ROOT_2;
}

/* Latencies are NULL where nothing was measured. */
static double latency(const struct connection_row *row, uint32_t ns)
{
    return row->latency_count ? ns : (double)NAN;
}

/* What of a row can change after it was opened. */
static int write_counts(struct history_connections *connections, int64_t id, uint64_t ring_drops_before,
                        const struct connection_row *row, const uint32_t *buckets, int64_t seen_ns)
{
    uint8_t histogram[HISTORY_HISTOGRAM_MAX];
    size_t length = buckets ? history_histogram_pack(buckets, histogram) : 0;

    return history_sql_run(
        history_store_sql(connections->store),
        "UPDATE connections SET state = ?2, rx_bytes = ?3, tx_bytes = ?4, rx_packets = ?5, tx_packets = ?6,"
        " ring_drops = ?7, drops = ?8, retransmissions = ?9, srtt_us = ?10, latency_count = ?11, p50_ns = ?12,"
        " p90_ns = ?13, p99_ns = ?14, p99_9_ns = ?15, max_ns = ?16, seen_ns = ?17,"
        " histogram = ifnull(?18, histogram) WHERE id = ?1",
        "iiiiiiiiiiidddddib", id, (int64_t)row->tcp_state, (int64_t)row->rx_bytes, (int64_t)row->tx_bytes,
        (int64_t)row->rx_packets, (int64_t)row->tx_packets, (int64_t)(row->ring_drops + ring_drops_before),
        (int64_t)row->drops, (int64_t)row->retransmissions, (int64_t)row->srtt_us, (int64_t)row->latency_count,
        latency(row, row->latency_p50_ns), latency(row, row->latency_p90_ns), latency(row, row->latency_p99_ns),
        latency(row, row->latency_p999_ns), latency(row, row->latency_max_ns), seen_ns, (const void *)histogram,
        length);
}

static int write_end(struct history_connections *connections, int64_t id, int64_t closed_ns, int64_t duration_ns,
                     enum history_ending ending)
{
    return history_sql_run(history_store_sql(connections->store),
                           "UPDATE connections SET closed_ns = ?2, closed_line_s = ?3, duration_ns = ?4, ending = ?5"
                           " WHERE id = ?1",
                           "iiiii", id, closed_ns, history_store_line_s(connections->store),
                           duration_ns < 0 ? 0 : duration_ns, (int64_t)ending);
}

static int insert_row(struct history_connections *connections, const struct connection_row *row,
                      const struct history_sighting *seen, uint64_t opened_monotonic_ns, int64_t *id)
{
    struct history_sql *sql = history_store_sql(connections->store);
    struct history_address local = history_address_pack(&row->local.addr);
    struct history_address remote = history_address_pack(&row->remote.addr);
    char program[sizeof row->program + 1], interface[sizeof row->interface + 1];
    int result = history_sql_run(
        sql,
        "INSERT INTO connections(line_s, opened_ns, closed_ns, ending, program, pid, uid, interface, protocol, kind,"
        " accepted, state, local, local_port, remote, remote_port, rx_bytes, tx_bytes, rx_packets, tx_packets,"
        " ring_drops, drops, retransmissions, srtt_us, latency_count, seen_ns, boot, opened_monotonic_ns, instance, "
        "key,"
        " ring_drops_before) VALUES(?, ?, 9223372036854775807, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
        " 0, 0, 0, 0, 0, 0, 0, 0, 0, ?, ?, ?, ?, ?, 0)",
        "iitiitiiiibibiitiii", history_store_line_s(connections->store), row->since_ns,
        history_text_copy(program, row->program, sizeof row->program), (int64_t)row->pid, (int64_t)row->uid,
        history_text_copy(interface, row->interface, sizeof row->interface), (int64_t)row->protocol, (int64_t)row->kind,
        (int64_t)row->accepted, (int64_t)row->tcp_state, (const void *)local.bytes, local.length,
        (int64_t)row->local.port, (const void *)remote.bytes, remote.length, (int64_t)row->remote.port,
        seen->realtime_ns, connections->boot, (int64_t)opened_monotonic_ns, (int64_t)seen->instance, (int64_t)row->key);

    *id = sqlite3_last_insert_rowid(sql->db);
    return result;
}

/* A moment of the wall clock on the monotonic one, as far as it can be known. */
static uint64_t monotonic_of(int64_t realtime_ns, const struct history_sighting *seen)
{
    int64_t ago_ns = seen->realtime_ns - realtime_ns;

    if (ago_ns < 0)
        ago_ns = 0;
    return (uint64_t)ago_ns < seen->monotonic_ns ? seen->monotonic_ns - (uint64_t)ago_ns : 0;
}

static int add_entry(struct history_connections *connections, const struct connection_row *row,
                     const struct history_sighting *seen)
{
    struct entry *entry = calloc(1, sizeof *entry);
    int result;

    if (!entry)
        return -ENOMEM;
    entry->instance = seen->instance;
    entry->key = row->key;
    entry->pid = row->pid;
    entry->protocol = row->protocol;
    entry->local = row->local;
    entry->remote = row->remote;
    entry->since_ns = row->since_ns;
    entry->opened_monotonic_ns = monotonic_of(row->since_ns, seen);
    result = insert_row(connections, row, seen, entry->opened_monotonic_ns, &entry->id);
    if (result < 0) {
        free(entry);
        return result;
    }
    link_entry(connections, entry);
    return 0;
}

/* The row goes on under a new key. */
static int take_over(struct history_connections *connections, struct entry *entry, const struct connection_row *row,
                     const struct history_sighting *seen)
{
    unlink_key(connections, entry);
    entry->instance = seen->instance;
    entry->key = row->key;
    link_key(connections, entry);
    entry->ring_drops_before += entry->ring_drops;
    entry->ring_drops = 0;
    entry->strikes = 0;
    return history_sql_run(history_store_sql(connections->store),
                           "UPDATE connections SET instance = ?2, key = ?3, ring_drops_before = ?4 WHERE id = ?1",
                           "iiii", entry->id, (int64_t)entry->instance, (int64_t)entry->key,
                           (int64_t)entry->ring_drops_before);
}

/* --- what the service says ---------------------------------------------------------------------------------- */

static int update(struct history_connections *connections, struct entry *entry, const struct connection_row *row,
                  const uint32_t *buckets, int64_t seen_ns)
{
    uint64_t sum = sum_of(row);

    entry->strikes = 0;
    if (sum == entry->written)
        return 0;
    entry->written = sum;
    entry->ring_drops = row->ring_drops;
    return write_counts(connections, entry->id, entry->ring_drops_before, row, buckets, seen_ns);
}

int history_connections_opened(struct history_connections *connections, const struct connection_row *row,
                               const struct history_sighting *seen)
{
    struct entry *entry = find(connections, seen->instance, row->key);

    if (entry) /* a table had it first */
        return 0;
    entry = find_earlier(connections, row, seen->instance);
    return entry ? take_over(connections, entry, row, seen) : add_entry(connections, row, seen);
}

int history_connections_closed(struct history_connections *connections, const struct connection_row *row,
                               const uint32_t *buckets, const struct history_sighting *seen)
{
    struct entry *entry = find(connections, seen->instance, row->key);
    int result = 0;

    if (!entry) {
        result = history_connections_opened(connections, row, seen);
        entry = find(connections, seen->instance, row->key);
    }
    if (result < 0)
        return result;
    result = write_counts(connections, entry->id, entry->ring_drops_before, row, buckets, seen->realtime_ns);
    if (result == 0)
        result = write_end(connections, entry->id, seen->realtime_ns,
                           (int64_t)(seen->monotonic_ns - entry->opened_monotonic_ns), HISTORY_CLOSED);
    connections->closed_keys[connections->closed_next++ % CLOSED_RING] = row->key;
    forget(connections, entry);
    return result;
}

static int table_row(struct history_connections *connections, const struct connection_table *table, uint32_t i,
                     const struct history_sighting *seen)
{
    struct connection_row row = {0};
    size_t size = table->header.connection_size - table->header.histogram_buckets * sizeof(uint32_t);
    struct entry *entry;
    int result;

    memcpy(&row, table_connection(table, i), size < sizeof row ? size : sizeof row);
    entry = find(connections, seen->instance, row.key);
    if (!entry && recently_closed(connections, row.key))
        return 0;
    if (!entry) {
        result = history_connections_opened(connections, &row, seen);
        if (result < 0)
            return result;
        entry = find(connections, seen->instance, row.key);
    }
    entry->table_ns = seen->monotonic_ns;
    return update(connections, entry, &row, table_histogram(table, i), seen->realtime_ns);
}

/* Missing twice: it is gone, and its end was lost. */
static int strike(struct history_connections *connections, struct entry *entry, const struct history_sighting *seen)
{
    enum history_ending ending = entry->instance == seen->instance ? HISTORY_UNSEEN : HISTORY_SERVICE_GONE;
    int result;

    if (++entry->strikes < STRIKES_MOST)
        return 0;
    result = history_sql_run(history_store_sql(connections->store),
                             "UPDATE connections SET closed_ns = max(seen_ns, opened_ns), closed_line_s = ?2,"
                             " duration_ns = max(seen_ns - opened_ns, 0), ending = ?3 WHERE id = ?1",
                             "iii", entry->id, history_store_line_s(connections->store), (int64_t)ending);
    forget(connections, entry);
    return result;
}

static int strike_missing(struct history_connections *connections, const struct history_sighting *seen)
{
    int result = 0;

    for (unsigned i = 0; i < HEADS && result == 0; i++) {
        struct entry *next;

        for (struct entry *entry = connections->by_key[i]; entry && result == 0; entry = next) {
            next = entry->next_of_key;
            if (entry->table_ns != seen->monotonic_ns && entry->opened_monotonic_ns < seen->monotonic_ns)
                result = strike(connections, entry, seen);
        }
    }
    return result;
}

int history_connections_table(struct history_connections *connections, const struct connection_table *table,
                              uint32_t from, uint32_t to, bool last, const struct history_sighting *seen)
{
    int result = 0;

    for (uint32_t i = from; i < to && result == 0; i++)
        result = table_row(connections, table, i, seen);
    return result == 0 && last ? strike_missing(connections, seen) : result;
}

/* --- after a start ------------------------------------------------------------------------------------------ */

static struct net_addr column_address(sqlite3_stmt *statement, int column)
{
    return history_address_unpack(sqlite3_column_blob(statement, column),
                                  (size_t)sqlite3_column_bytes(statement, column));
}

static int load_entry(struct history_connections *connections, sqlite3_stmt *statement)
{
    struct entry *entry = calloc(1, sizeof *entry);

    if (!entry)
        return -ENOMEM;
    entry->id = sqlite3_column_int64(statement, 0);
    entry->instance = (uint64_t)sqlite3_column_int64(statement, 1);
    entry->key = (uint64_t)sqlite3_column_int64(statement, 2);
    entry->pid = (uint32_t)sqlite3_column_int64(statement, 3);
    entry->protocol = (uint8_t)sqlite3_column_int(statement, 4);
    entry->local.addr = column_address(statement, 5);
    entry->local.port = (uint16_t)sqlite3_column_int(statement, 6);
    entry->remote.addr = column_address(statement, 7);
    entry->remote.port = (uint16_t)sqlite3_column_int(statement, 8);
    entry->since_ns = sqlite3_column_int64(statement, 9);
    entry->opened_monotonic_ns = (uint64_t)sqlite3_column_int64(statement, 10);
    entry->ring_drops_before = (uint64_t)sqlite3_column_int64(statement, 11);
    entry->ring_drops = (uint64_t)sqlite3_column_int64(statement, 12) - entry->ring_drops_before;
    link_entry(connections, entry);
    return 0;
}

static int close_earlier_boots(struct history_connections *connections, const struct history_moment *now)
{
    struct history_store *store = connections->store;
    int result = history_store_begin(store, now);

    if (result < 0)
        return result;
    result = history_sql_run(history_store_sql(store),
                             "UPDATE connections SET closed_ns = max(seen_ns, opened_ns), closed_line_s = ?1,"
                             " duration_ns = max(seen_ns - opened_ns, 0), ending = ?2 WHERE ending = 0 AND boot <> ?3",
                             "iit", history_store_line_s(store), (int64_t)HISTORY_SERVICE_GONE, now->boot);
    if (result < 0) {
        history_store_rollback(store);
        return result;
    }
    return history_store_commit(store);
}

int history_connections_attach(struct history_connections *connections, struct history_store *store,
                               const struct history_moment *now)
{
    sqlite3_stmt *statement;
    int code, result;

    forget_all(connections);
    connections->store = store;
    memcpy(connections->boot, now->boot, sizeof connections->boot);
    result = close_earlier_boots(connections, now);
    if (result < 0)
        return result;
    statement = history_sql_query(history_store_sql(store),
                                  "SELECT id, instance, key, pid, protocol, local, local_port, remote, remote_port,"
                                  " opened_ns, opened_monotonic_ns, ring_drops_before, ring_drops FROM connections"
                                  " WHERE ending = 0",
                                  "");
    if (!statement)
        return history_sql_error(history_store_sql(store));
    while ((code = sqlite3_step(statement)) == SQLITE_ROW && result == 0)
        result = load_entry(connections, statement);
    sqlite3_reset(statement);
    return result < 0 ? result : history_sql_code(code);
}
