/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/history_schema.h"

#include <stdio.h>

#include "base/error.h"

/* Times that end in _ns are CLOCK_REALTIME. Since that may be stepped, rows are in order by their id, and `line_s` says
 * when they were made on the recorder's own time line, which only grows: retention goes by it (history_store.c).
 * Addresses are 4 or 16 bytes; protocol, kind and state as in service/connection_table.h. */
static const char version_1[] =
    "CREATE TABLE recorder(one INTEGER PRIMARY KEY CHECK(one = 1),"
    " boot TEXT NOT NULL, boottime_ns INTEGER NOT NULL, realtime_ns INTEGER NOT NULL, line_ns INTEGER NOT NULL,"
    " instance INTEGER NOT NULL, sequence INTEGER NOT NULL, journal_ns INTEGER NOT NULL);"
    "INSERT INTO recorder VALUES(1, '', 0, 0, 0, 0, 0, 0);"
    "CREATE TABLE connections(id INTEGER PRIMARY KEY, line_s INTEGER NOT NULL, closed_line_s INTEGER,"
    " opened_ns INTEGER NOT NULL, closed_ns INTEGER NOT NULL, duration_ns INTEGER, ending INTEGER NOT NULL,"
    " program TEXT NOT NULL, pid INTEGER NOT NULL, uid INTEGER NOT NULL, interface TEXT NOT NULL,"
    " protocol INTEGER NOT NULL, kind INTEGER NOT NULL, accepted INTEGER NOT NULL, state INTEGER NOT NULL,"
    " local BLOB NOT NULL, local_port INTEGER NOT NULL, remote BLOB NOT NULL, remote_port INTEGER NOT NULL,"
    " rx_bytes INTEGER NOT NULL, tx_bytes INTEGER NOT NULL, rx_packets INTEGER NOT NULL, tx_packets INTEGER NOT NULL,"
    " ring_drops INTEGER NOT NULL, drops INTEGER NOT NULL, retransmissions INTEGER NOT NULL, srtt_us INTEGER NOT NULL,"
    " latency_count INTEGER NOT NULL, p50_ns INTEGER, p90_ns INTEGER, p99_ns INTEGER, p99_9_ns INTEGER, max_ns INTEGER,"
    " seen_ns INTEGER NOT NULL, boot TEXT NOT NULL, opened_monotonic_ns INTEGER NOT NULL,"
    " instance INTEGER NOT NULL, key INTEGER NOT NULL, ring_drops_before INTEGER NOT NULL, histogram BLOB);"
    "CREATE INDEX connections_open ON connections(id) WHERE ending = 0;"
    "CREATE INDEX connections_opened ON connections(opened_ns);"
    "CREATE INDEX connections_closed ON connections(closed_ns, opened_ns);"
    "CREATE INDEX connections_program ON connections(program, opened_ns);"
    "CREATE INDEX connections_local ON connections(local, local_port);"
    "CREATE INDEX connections_remote ON connections(remote, remote_port);"
    "CREATE INDEX connections_local_port ON connections(local_port);"
    "CREATE INDEX connections_remote_port ON connections(remote_port);"
    "CREATE TABLE kernel(id INTEGER PRIMARY KEY, line_s INTEGER NOT NULL, at_ns INTEGER NOT NULL,"
    " program TEXT NOT NULL, pid INTEGER NOT NULL, uid INTEGER NOT NULL, protocol INTEGER NOT NULL,"
    " local BLOB NOT NULL, local_port INTEGER NOT NULL, remote BLOB NOT NULL, remote_port INTEGER NOT NULL,"
    " reason TEXT NOT NULL);"
    "CREATE INDEX kernel_at ON kernel(at_ns);"
    "CREATE INDEX kernel_program ON kernel(program, at_ns);"
    "CREATE TABLE series(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE counters(id INTEGER PRIMARY KEY, line_s INTEGER NOT NULL, at_ns INTEGER NOT NULL,"
    " series INTEGER NOT NULL, value INTEGER NOT NULL, change INTEGER NOT NULL);"
    "CREATE INDEX counters_at ON counters(at_ns);"
    "CREATE INDEX counters_series ON counters(series, at_ns);"
    "CREATE TABLE clock(id INTEGER PRIMARY KEY, line_s INTEGER NOT NULL, at_ns INTEGER NOT NULL,"
    " status TEXT NOT NULL, selected TEXT, stratum INTEGER, offset_ns REAL, bound_ns INTEGER, bound_utc_ns INTEGER,"
    " frequency_ppm REAL, frequency_sigma_ppb REAL, system_offset_ns INTEGER, root_delay_ns INTEGER,"
    " root_dispersion_ns INTEGER, disruptions INTEGER);"
    "CREATE INDEX clock_at ON clock(at_ns);"
    "CREATE TABLE runs(id INTEGER PRIMARY KEY, line_s INTEGER NOT NULL, at_ns INTEGER NOT NULL,"
    " fingerprint TEXT NOT NULL UNIQUE, imported_ns INTEGER NOT NULL, title TEXT NOT NULL, pattern TEXT NOT NULL,"
    " version TEXT NOT NULL, nodes INTEGER NOT NULL, rounds INTEGER NOT NULL, duration_s REAL NOT NULL,"
    " verdict TEXT NOT NULL, reason TEXT NOT NULL);"
    "CREATE INDEX runs_at ON runs(at_ns);"
    "CREATE TABLE run_results(id INTEGER PRIMARY KEY, run INTEGER NOT NULL, level INTEGER NOT NULL,"
    " stack TEXT NOT NULL, phase TEXT NOT NULL, name TEXT NOT NULL, class TEXT NOT NULL, verdict TEXT NOT NULL,"
    " received INTEGER NOT NULL, lost INTEGER NOT NULL, limit_ns INTEGER, bound_ns INTEGER, p50_ns INTEGER,"
    " p99_ns INTEGER, p99_9_ns INTEGER, max_ns INTEGER);"
    "CREATE INDEX run_results_run ON run_results(run);"
    "CREATE TABLE events(id INTEGER PRIMARY KEY, line_s INTEGER NOT NULL, at_ns INTEGER NOT NULL,"
    " subject TEXT NOT NULL, text TEXT NOT NULL);"
    "CREATE INDEX events_at ON events(at_ns);"
    "CREATE TABLE gaps(id INTEGER PRIMARY KEY, line_s INTEGER NOT NULL, from_ns INTEGER NOT NULL,"
    " to_ns INTEGER NOT NULL, what TEXT NOT NULL, lost INTEGER, text TEXT NOT NULL);"
    "CREATE INDEX gaps_to ON gaps(to_ns);";

static const char version_2[] =
    "CREATE TABLE sources(id INTEGER PRIMARY KEY, line_s INTEGER NOT NULL, at_ns INTEGER NOT NULL, name TEXT NOT NULL,"
    " state TEXT NOT NULL, stratum INTEGER, reach INTEGER, offset_ns REAL, bound_ns REAL, round_trip_ns REAL);"
    "CREATE INDEX sources_at ON sources(at_ns);";

/* The newest rows of an address or port are found at once. */
static const char version_3[] = "DROP INDEX connections_local; DROP INDEX connections_remote;"
                                "DROP INDEX connections_local_port; DROP INDEX connections_remote_port;"
                                "CREATE INDEX connections_local ON connections(local, opened_ns);"
                                "CREATE INDEX connections_remote ON connections(remote, opened_ns);"
                                "CREATE INDEX connections_local_port ON connections(local_port, opened_ns);"
                                "CREATE INDEX connections_remote_port ON connections(remote_port, opened_ns);";

/* migrations[i] leads from version i to i + 1. */
static const char *const migrations[HISTORY_SCHEMA_VERSION] = {version_1, version_2, version_3};

int history_schema_version(sqlite3 *db, int *version)
{
    sqlite3_stmt *statement;
    int result = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL);

    if (result == SQLITE_OK)
        result = sqlite3_step(statement);
    if (result == SQLITE_ROW) {
        *version = sqlite3_column_int(statement, 0);
        result = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return result;
}

static int migrate(sqlite3 *db, int from)
{
    char set_version[60];
    int result = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), version = from;

    /* Another process may have done it meanwhile. */
    if (result == SQLITE_OK)
        result = history_schema_version(db, &version);
    if (result == SQLITE_OK && version == from)
        result = sqlite3_exec(db, migrations[from], NULL, NULL, NULL);
    snprintf(set_version, sizeof set_version, "PRAGMA user_version = %d", from + 1);
    if (result == SQLITE_OK && version == from)
        result = sqlite3_exec(db, set_version, NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (result != SQLITE_OK && !sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return result;
}

int history_schema_upgrade(sqlite3 *db, int *version)
{
    int result = history_schema_version(db, version);

    if (result == SQLITE_OK && *version > HISTORY_SCHEMA_VERSION)
        return LOCKSTEP_E_BAD_VERSION;
    for (int from = *version; result == SQLITE_OK && from < HISTORY_SCHEMA_VERSION; from++)
        result = migrate(db, from < 0 ? 0 : from);
    return result;
}
