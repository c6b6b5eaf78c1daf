/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/history_sql.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>

#include "base/error.h"

int history_sql_code(int sqlite_code)
{
    switch (sqlite_code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EAGAIN;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_IOERR:
        return -EIO;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return LOCKSTEP_E_BAD_FORMAT;
    default:
        return -EINVAL;
    }
}

int history_sql_error(const struct history_sql *sql)
{
    int code = history_sql_code(sqlite3_errcode(sql->db));

    return code < 0 ? code : -EINVAL;
}

void history_sql_release(struct history_sql *sql)
{
    for (unsigned i = 0; i < HISTORY_SQL_STATEMENTS && sql->cache[i].text; i++) {
        sqlite3_finalize(sql->cache[i].statement);
        sql->cache[i].statement = NULL;
        sql->cache[i].text = NULL;
    }
}

static sqlite3_stmt *prepare(struct history_sql *sql, const char *text)
{
    unsigned i = 0;

    while (i < HISTORY_SQL_STATEMENTS && sql->cache[i].text && sql->cache[i].text != text)
        i++;
    if (i == HISTORY_SQL_STATEMENTS) {
        history_sql_release(sql);
        i = 0;
    }
    if (!sql->cache[i].text) {
        if (sqlite3_prepare_v3(sql->db, text, -1, SQLITE_PREPARE_PERSISTENT, &sql->cache[i].statement, NULL) !=
            SQLITE_OK)
            return NULL;
        sql->cache[i].text = text;
    }
    sqlite3_reset(sql->cache[i].statement);
    return sql->cache[i].statement;
}

/* Needs the arguments to live until the statement is reset. */
static int bind(sqlite3_stmt *statement, const char *types, va_list values)
{
    int result = SQLITE_OK;

    for (int i = 1; *types && result == SQLITE_OK; types++, i++) {
        double number;

        switch (*types) {
        case 'i':
            result = sqlite3_bind_int64(statement, i, va_arg(values, int64_t));
            break;
        case 'd':
            number = va_arg(values, double);
            result = isfinite(number) ? sqlite3_bind_double(statement, i, number) : sqlite3_bind_null(statement, i);
            break;
        case 't':
            result = sqlite3_bind_text(statement, i, va_arg(values, const char *), -1, SQLITE_STATIC);
            break;
        default: {
            const void *bytes = va_arg(values, const void *);
            size_t length = va_arg(values, size_t);

            /* No bytes at all are NULL for SQLite. */
            result = sqlite3_bind_blob64(statement, i, length ? bytes : NULL, length, SQLITE_STATIC);
        }
        }
    }
    return result;
}

int history_sql_run(struct history_sql *sql, const char *text, const char *types, ...)
{
    sqlite3_stmt *statement = prepare(sql, text);
    va_list values;
    int result;

    if (!statement)
        return history_sql_error(sql);
    va_start(values, types);
    result = bind(statement, types, values);
    va_end(values);
    if (result == SQLITE_OK) {
        do
            result = sqlite3_step(statement);
        while (result == SQLITE_ROW);
    }
    sqlite3_reset(statement);
    return history_sql_code(result);
}

sqlite3_stmt *history_sql_query(struct history_sql *sql, const char *text, const char *types, ...)
{
    sqlite3_stmt *statement = prepare(sql, text);
    va_list values;
    int result;

    if (!statement)
        return NULL;
    va_start(values, types);
    result = bind(statement, types, values);
    va_end(values);
    return result == SQLITE_OK ? statement : NULL;
}

int64_t history_sql_number(struct history_sql *sql, const char *text, int64_t otherwise)
{
    sqlite3_stmt *statement = prepare(sql, text);

    if (!statement)
        return otherwise;
    if (sqlite3_step(statement) == SQLITE_ROW)
        otherwise = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return otherwise;
}

int history_sql_exec(struct history_sql *sql, const char *text)
{
    return history_sql_code(sqlite3_exec(sql->db, text, NULL, NULL, NULL));
}
