/* SPDX-License-Identifier: BSD-2-Clause */
/* The history database's schema and its versions (PRAGMA user_version), docs/history.md describes its tables. */
#ifndef LOCKSTEP_MONITOR_HISTORY_SCHEMA_H
#define LOCKSTEP_MONITOR_HISTORY_SCHEMA_H

#include <sqlite3.h>

#define HISTORY_SCHEMA_VERSION 3

/* What the tables hold, each with a retention of its own. */
enum history_kind {
    HISTORY_CONNECTIONS,
    HISTORY_KERNEL,
    HISTORY_COUNTERS,
    HISTORY_CLOCK,
    HISTORY_SOURCES,
    HISTORY_RUNS,
    HISTORY_EVENTS,
    HISTORY_GAPS,
    HISTORY_KINDS
};

/* How a connection's row ended. */
enum history_ending {
    HISTORY_OPEN,
    HISTORY_CLOSED,
    HISTORY_UNSEEN,       /* its end was not seen: closed between two looks, the last of which gave the counters */
    HISTORY_SERVICE_GONE, /* it did not come back when the service had restarted */
};

#define HISTORY_NOT_CLOSED INT64_MAX /* closed_ns of a connection that is open */

/* Brings an open database from its version, which may be 0 (empty), to HISTORY_SCHEMA_VERSION, each step in a
 * transaction. An SQLite result code, or LOCKSTEP_E_BAD_VERSION when the database is newer: it is untouched then.
 * *version: what it was. */
int history_schema_upgrade(sqlite3 *db, int *version);
int history_schema_version(sqlite3 *db, int *version);

#endif
