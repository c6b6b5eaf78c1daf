/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables for people: columns as wide as their cells need, numbers to the right. Bytes that could drive a terminal or
 * break the columns (control characters, non-ASCII) print as '?', because cells may hold names from untrusted programs.
 * Ends the program when memory is short. Single-threaded. */
#ifndef LOCKSTEP_TOOLS_TEXT_TABLE_H
#define LOCKSTEP_TOOLS_TEXT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct table_column {
    const char *title;
    bool right;           /* numbers */
    unsigned least_width; /* may be cut down to this when the table is too wide ('~' marks the cut); 0: never cut */
};

struct text_table;

/* columns: kept, not copied. */
struct text_table *text_table_create(const struct table_column *columns, size_t column_count);
void text_table_destroy(struct text_table *table);

/* The next cell, row by row. */
void text_table_add(struct text_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
size_t text_table_rows(const struct text_table *table);

/* width: 0 is without limit. */
void text_table_print(const struct text_table *table, FILE *out, unsigned width);

/* Columns of the terminal that stdout is, at least 80; 0 when it is none. */
unsigned text_table_terminal_width(void);

#endif
