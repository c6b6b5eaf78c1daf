/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep history: rows as a table, as CSV, as lines of JSON; one connection's histogram. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/histogram.h"
#include "base/units.h"
#include "service/connection_table.h"
#include "tools/csv.h"
#include "tools/history.h"
#include "tools/text_table.h"

#define COLUMNS_MAX 40
#define CELL_MAX    400

/* --- values ------------------------------------------------------------------------------------------------- */

static bool is_null(sqlite3_stmt *statement, int i, const struct history_column *column)
{
    return sqlite3_column_type(statement, i) == SQLITE_NULL ||
           (column->type == HISTORY_COLUMN_TIME && sqlite3_column_int64(statement, i) <= 0);
}

static const char *signed_ns(double ns, char *cell)
{
    uint64_t size = (uint64_t)(fabs(ns) + 0.5);
    char text[UNITS_TEXT_MAX];

    snprintf(cell, CELL_MAX, "%s%s", ns < 0 && size ? "-" : "", units_format_ns(size, text));
    return cell;
}

/* For people. */
static const char *show(sqlite3_stmt *statement, int i, const struct history_column *column, char *cell)
{
    int64_t number = sqlite3_column_int64(statement, i);

    if (is_null(statement, i, column))
        return "-";
    switch (column->type) {
    case HISTORY_COLUMN_TEXT:
        snprintf(cell, CELL_MAX, "%s", (const char *)sqlite3_column_text(statement, i));
        return cell;
    case HISTORY_COLUMN_COUNT:
        snprintf(cell, CELL_MAX, "%" PRId64, number);
        return cell;
    case HISTORY_COLUMN_BYTES:
        return units_format_bytes((uint64_t)number, cell);
    case HISTORY_COLUMN_TIME:
        return history_time_local(number, cell);
    case HISTORY_COLUMN_DURATION:
    case HISTORY_COLUMN_NS:
        return signed_ns(sqlite3_column_double(statement, i), cell);
    default:
        snprintf(cell, CELL_MAX, "%.6g", sqlite3_column_double(statement, i));
        return cell;
    }
}

/* For programs: all digits, base units, UTC. */
static const char *exact(sqlite3_stmt *statement, int i, const struct history_column *column, char *cell)
{
    if (is_null(statement, i, column))
        return "";
    switch (column->type) {
    case HISTORY_COLUMN_TIME:
        return history_time_utc(sqlite3_column_int64(statement, i), cell);
    case HISTORY_COLUMN_DURATION:
        snprintf(cell, CELL_MAX, "%.9f", (double)sqlite3_column_int64(statement, i) / 1e9);
        return cell;
    case HISTORY_COLUMN_NS:
    case HISTORY_COLUMN_REAL:
        if (sqlite3_column_type(statement, i) != SQLITE_INTEGER) {
            snprintf(cell, CELL_MAX, "%.9g", sqlite3_column_double(statement, i));
            return cell;
        }
        /* fall through */
    default:
        snprintf(cell, CELL_MAX, "%s", (const char *)sqlite3_column_text(statement, i));
        return cell;
    }
}

/* --- CSV, JSON ---------------------------------------------------------------------------------------------- */

static void print_csv_head(const struct history_column *columns, FILE *out)
{
    for (int i = 0; columns[i].name; i++)
        fprintf(out, "%s%s", i ? "," : "", columns[i].name);
    fputc('\n', out);
}

static void print_csv(sqlite3_stmt *statement, const struct history_column *columns, FILE *out)
{
    char cell[CELL_MAX];

    for (int i = 0; columns[i].name; i++) {
        if (i)
            fputc(',', out);
        csv_print_field(exact(statement, i, &columns[i], cell), out);
    }
    fputc('\n', out);
}

static void print_json(sqlite3_stmt *statement, const struct history_column *columns, FILE *out)
{
    struct json_object *object = json_object_new_object();

    for (int i = 0; columns[i].name; i++) {
        char cell[CELL_MAX];
        const char *text = exact(statement, i, &columns[i], cell);
        bool quoted = columns[i].type == HISTORY_COLUMN_TEXT || columns[i].type == HISTORY_COLUMN_TIME;
        struct json_object *value = NULL;

        if (!is_null(statement, i, &columns[i]))
            value = quoted ? json_object_new_string(text) : json_object_new_double_s(0, text);
        json_object_object_add(object, columns[i].name, value);
    }
    fprintf(out, "%s\n",
            json_object_to_json_string_ext(object, JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
}

static void copy(FILE *from, FILE *out)
{
    char bytes[65536];
    size_t length;

    rewind(from);
    while ((length = fread(bytes, 1, sizeof bytes, from)) > 0 && fwrite(bytes, 1, length, out) == length) {
    }
}

/* By way of a file without a name: the database is let go of before anybody reads. */
static int print_lines(sqlite3_stmt *statement, const struct history_column *columns, bool csv, FILE *out)
{
    FILE *buffer = tmpfile();
    int code, rows = 0;

    if (!buffer)
        return -errno;
    if (csv)
        print_csv_head(columns, buffer);
    for (; (code = sqlite3_step(statement)) == SQLITE_ROW; rows++)
        (csv ? print_csv : print_json)(statement, columns, buffer);
    sqlite3_reset(statement);
    if (code == SQLITE_DONE && fflush(buffer) == 0)
        copy(buffer, out);
    code = ferror(buffer) ? -ENOSPC : history_sql_code(code);
    fclose(buffer);
    return code < 0 ? code : rows;
}

/* --- tables ------------------------------------------------------------------------------------------------- */

static bool is_number(const struct history_column *column)
{
    return column->type != HISTORY_COLUMN_TEXT && column->type != HISTORY_COLUMN_TIME;
}

static int print_table(sqlite3_stmt *statement, const struct history_column *columns, FILE *out, unsigned width)
{
    struct table_column shown[COLUMNS_MAX];
    struct text_table *table;
    size_t count = 0, rows;
    int code;

    for (int i = 0; columns[i].name; i++) {
        const unsigned least = columns[i].type == HISTORY_COLUMN_TEXT ? 8 : 0;

        if (columns[i].title)
            shown[count++] = (struct table_column){columns[i].title, is_number(&columns[i]), least};
    }
    table = text_table_create(shown, count);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        for (int i = 0; columns[i].name; i++) {
            char cell[CELL_MAX];

            if (columns[i].title)
                text_table_add(table, "%s", show(statement, i, &columns[i], cell));
        }
    }
    sqlite3_reset(statement);
    rows = text_table_rows(table);
    if (code == SQLITE_DONE && rows > 0)
        text_table_print(table, out, width);
    else if (code == SQLITE_DONE)
        fputs("Nothing of the kind is in the history.\n", out);
    text_table_destroy(table);
    code = history_sql_code(code);
    return code < 0 ? code : (int)rows;
}

int history_print_rows(sqlite3_stmt *statement, const struct history_column *columns, enum history_form form, FILE *out,
                       unsigned width)
{
    if (form == HISTORY_TABLE)
        return print_table(statement, columns, out, width);
    return print_lines(statement, columns, form == HISTORY_CSV, out);
}

/* --- one connection ----------------------------------------------------------------------------------------- */

void history_print_row(sqlite3_stmt *statement, const struct history_column *columns, FILE *out)
{
    char cell[CELL_MAX];

    for (int i = 0; columns[i].name; i++)
        fprintf(out, "%-16s: %s\n", columns[i].name, show(statement, i, &columns[i], cell));
}

void history_print_histogram(const uint32_t *buckets, FILE *out)
{
    static const struct {
        const char *name;
        uint32_t per_million;
    } quantiles[] = {{"50 %", 500000},   {"90 %", 900000},    {"99 %", 990000},
                     {"99.9 %", 999000}, {"99.99 %", 999900}, {"Largest", 1000000}};
    char low[UNITS_TEXT_MAX], high[UNITS_TEXT_MAX];
    uint32_t most = 0;

    for (unsigned i = 0; i < LANE_STATS_SLOT_BUCKETS; i++)
        most = buckets[i] > most ? buckets[i] : most;
    if (most == 0) {
        fputs("\nNo latency was measured.\n", out);
        return;
    }
    fputs("\nLatency from the kernel's stamp to the program, at most:\n", out);
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
        fprintf(out, "%-8s %s\n", quantiles[i].name,
                units_format_ns(connection_quantile(buckets, quantiles[i].per_million), low));
    fputc('\n', out);
    for (unsigned i = 0; i < LANE_STATS_SLOT_BUCKETS; i++) {
        int length = (int)((uint64_t)buckets[i] * 50 / most);

        if (buckets[i])
            fprintf(out, "%11s - %-11s %10" PRIu32 " %.*s\n", units_format_ns(histogram_bucket_low(i * 4), low),
                    units_format_ns(histogram_bucket_high(i * 4 + 3), high), buckets[i], length ? length : 1,
                    "##################################################");
    }
}
