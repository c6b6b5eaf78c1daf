/* SPDX-License-Identifier: BSD-2-Clause */
/* SQL statements on one SQLite connection, prepared once each. Single-threaded.
 *
 *     history_sql_run(&sql, "INSERT INTO gaps VALUES(?, ?)", "it", id, text);
 *
 * Values by the letters of `types`: i int64_t, d double (what is not finite becomes NULL), t text (NULL becomes NULL),
 * b two arguments, bytes and their size_t number. Texts and bytes need to live during the call only (until the next
 * history_sql_query of the same text for a query). */
#ifndef LOCKSTEP_MONITOR_HISTORY_SQL_H
#define LOCKSTEP_MONITOR_HISTORY_SQL_H

#include <sqlite3.h>
#include <stdint.h>

#define HISTORY_SQL_STATEMENTS 48

struct history_sql {
    sqlite3 *db;
    struct {
        const char *text;
        sqlite3_stmt *statement;
    } cache[HISTORY_SQL_STATEMENTS];
};

/* Finalises the statements; db stays open. */
void history_sql_release(struct history_sql *sql);

/* text: a literal, or at least the same pointer with the same text for as long as sql lives. Runs it to its end: 0, or
 * a negative code (history_sql_code). */
int history_sql_run(struct history_sql *sql, const char *text, const char *types, ...);
/* To be stepped by the caller, who resets it (and never finalises it). NULL: see history_sql_error. */
sqlite3_stmt *history_sql_query(struct history_sql *sql, const char *text, const char *types, ...);
/* The first column of the first row, or `otherwise` when there is no row, or on failure. */
int64_t history_sql_number(struct history_sql *sql, const char *text, int64_t otherwise);
/* A statement that is not kept. 0 or a negative code. */
int history_sql_exec(struct history_sql *sql, const char *text);

/* An SQLite result code as one of ours: -EAGAIN locked, -ENOSPC, -EIO, -EROFS, -EACCES (cannot be opened), -ENOMEM,
 * LOCKSTEP_E_BAD_FORMAT: the file is damaged; anything else is -EINVAL. */
int history_sql_code(int sqlite_code);
/* Of the last failure on this connection. */
int history_sql_error(const struct history_sql *sql);

#endif
