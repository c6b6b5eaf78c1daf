/* SPDX-License-Identifier: BSD-2-Clause */
/* The database within its ages and its size. */
#include <inttypes.h>
#include <stdio.h>

#include "monitor/history_private.h"

static const struct {
    const char *table;
    unsigned bytes;   /* of a row with its part of the indexes, about */
    const char *also; /* rows that may not go */
} kinds[HISTORY_KINDS] = {
    [HISTORY_CONNECTIONS] = {"connections", 400, " AND ending <> 0"},
    [HISTORY_KERNEL] = {"kernel", 200, ""},
    [HISTORY_COUNTERS] = {"counters", 60, ""},
    [HISTORY_CLOCK] = {"clock", 150, ""},
    [HISTORY_SOURCES] = {"sources", 120, ""},
    [HISTORY_RUNS] = {"runs", 20000, ""},
    [HISTORY_EVENTS] = {"events", 120, ""},
    [HISTORY_GAPS] = {"gaps", 120, ""},
};

static int64_t query_number(struct history_store *store, const char *text, int64_t otherwise)
{
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(store->sql.db, text, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_type(statement, 0) != SQLITE_NULL)
        otherwise = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return otherwise;
}

/* min or max of its ids. */
static int64_t number_of(struct history_store *store, enum history_kind kind, const char *which)
{
    char text[80];

    snprintf(text, sizeof text, "SELECT %s(id) FROM %s", which, kinds[kind].table);
    return query_number(store, text, 0);
}

/* Rows that may go, about: counting them would take long. */
static int64_t rows_of(struct history_store *store, enum history_kind kind)
{
    char text[120];
    int64_t first;

    snprintf(text, sizeof text, "SELECT min(id) FROM %s WHERE 1%s", kinds[kind].table, kinds[kind].also);
    first = query_number(store, text, -1);
    return first < 0 ? 0 : number_of(store, kind, "max") - first + 1;
}

/* The first id whose row was made at `line_s` or later: ids grow with the line. One past the last if there is none. */
static int64_t first_since(struct history_store *store, enum history_kind kind, int64_t line_s)
{
    int64_t low = number_of(store, kind, "min"), high = number_of(store, kind, "max") + 1;

    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        char text[120];

        snprintf(text, sizeof text, "SELECT line_s FROM %s WHERE id >= %" PRId64 " ORDER BY id LIMIT 1",
                 kinds[kind].table, middle);
        if (query_number(store, text, INT64_MAX) < line_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Removes rows with smaller ids; how many, or a negative code. */
static int remove_before(struct history_store *store, enum history_kind kind, int64_t id, const char *condition)
{
    char text[300];
    int result;

    snprintf(text, sizeof text,
             "DELETE FROM %s WHERE id IN (SELECT id FROM %s WHERE id < %" PRId64 "%s%s ORDER BY id LIMIT %u)",
             kinds[kind].table, kinds[kind].table, id, kinds[kind].also, condition,
             history_store_batch(&store->limits));
    result = history_sql_exec(&store->sql, text);
    if (result < 0)
        return result;
    result = sqlite3_changes(store->sql.db);
    if (kind == HISTORY_RUNS && result > 0) {
        int err = history_sql_exec(&store->sql, "DELETE FROM run_results WHERE run NOT IN (SELECT id FROM runs)");

        result = err < 0 ? err : result;
    }
    return result;
}

static int remove_old(struct history_store *store, enum history_kind kind)
{
    int64_t since_s = store->line_ns / 1000000000 - store->limits.keep_s[kind];
    char condition[60] = "";
    int64_t id;

    if (store->limits.keep_s[kind] == 0 || since_s <= 0)
        return 0;
    id = first_since(store, kind, since_s);
    if (kind == HISTORY_CONNECTIONS)
        snprintf(condition, sizeof condition, " AND closed_line_s < %" PRId64, since_s);
    return remove_before(store, kind, id, condition);
}

static int64_t pages_in_use(struct history_store *store)
{
    return history_sql_number(&store->sql, "PRAGMA page_count", 0) -
           history_sql_number(&store->sql, "PRAGMA freelist_count", 0);
}

/* A sixteenth stays free, for the rows of the next transactions. */
static bool too_large(struct history_store *store)
{
    return (uint64_t)pages_in_use(store) * HISTORY_PAGE > store->data_max / 16 * 15;
}

/* Of the kinds in `among` (bits) that which takes most. */
static enum history_kind largest_kind(struct history_store *store, unsigned among)
{
    enum history_kind largest = HISTORY_CONNECTIONS;
    int64_t most = -1;

    for (enum history_kind kind = 0; kind < HISTORY_KINDS; kind++) {
        int64_t bytes = among >> kind & 1 ? rows_of(store, kind) * kinds[kind].bytes : -1;

        if (bytes > most) {
            most = bytes;
            largest = kind;
        }
    }
    return largest;
}

static int remove_for_space(struct history_store *store)
{
    int removed = 0;

    if (!too_large(store))
        return 0;
    for (unsigned among = (1u << HISTORY_KINDS) - 1; among && removed == 0;) {
        enum history_kind kind = largest_kind(store, among);

        removed = remove_before(store, kind, INT64_MAX, "");
        among &= ~(1u << kind);
    }
    return removed;
}

/* Free pages are used again; they are given back only if there are many. */
static int give_back(struct history_store *store)
{
    int64_t pages = history_sql_number(&store->sql, "PRAGMA page_count", 0);
    int64_t unused = history_sql_number(&store->sql, "PRAGMA freelist_count", 0);

    int result;

    if (unused < 256 || unused < pages / 8)
        return 0;
    result = history_sql_exec(&store->sql, "PRAGMA incremental_vacuum(256)");
    return result < 0 ? result : history_sql_number(&store->sql, "PRAGMA freelist_count", 0) < unused;
}

/* One kind after the other, until one has something to remove. */
static int remove_any_old(struct history_store *store)
{
    for (unsigned i = 0; i < HISTORY_KINDS; i++) {
        int removed = remove_old(store, store->next_kind);

        if (removed)
            return removed;
        store->next_kind = (store->next_kind + 1) % HISTORY_KINDS;
    }
    return 0;
}

int history_store_prune(struct history_store *store, const struct history_moment *now)
{
    int removed, result = history_store_begin(store, now);

    if (result < 0)
        return result;
    removed = remove_any_old(store);
    if (removed == 0)
        removed = remove_for_space(store);
    if (removed == 0)
        removed = give_back(store);
    if (removed < 0) {
        history_store_rollback(store);
        return removed;
    }
    result = history_store_commit(store);
    return result < 0 ? result : removed > 0;
}
