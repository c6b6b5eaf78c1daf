/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/text_table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define GAP            2 /* blanks between columns */
#define COLUMNS_MAX    32
#define TERMINAL_LEAST 80

struct text_table {
    const struct table_column *columns;
    size_t column_count;
    char **cells;
    size_t cell_count, cell_room;
};

static void *check_memory(void *memory)
{
    if (!memory) {
        fputs("lockstep: out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

struct text_table *text_table_create(const struct table_column *columns, size_t column_count)
{
    struct text_table *table = check_memory(calloc(1, sizeof *table));

    table->columns = columns;
    table->column_count = column_count < COLUMNS_MAX ? column_count : COLUMNS_MAX;
    return table;
}

void text_table_destroy(struct text_table *table)
{
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

static void mask(char *text)
{
    for (; *text; text++) {
        if (*text < ' ' || *text > '~')
            *text = '?';
    }
}

void text_table_add(struct text_table *table, const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    int length;

    va_start(arguments, format);
    length = vasprintf(&text, format, arguments);
    va_end(arguments);
    check_memory(length < 0 ? NULL : text);
    mask(text);
    if (table->cell_count == table->cell_room) {
        table->cell_room = table->cell_room ? table->cell_room * 2 : 64;
        table->cells = check_memory(reallocarray(table->cells, table->cell_room, sizeof *table->cells));
    }
    table->cells[table->cell_count++] = text;
}

size_t text_table_rows(const struct text_table *table)
{
    return (table->cell_count + table->column_count - 1) / table->column_count;
}

static void measure(const struct text_table *table, size_t widths[COLUMNS_MAX])
{
    for (size_t i = 0; i < table->column_count; i++)
        widths[i] = strlen(table->columns[i].title);
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t length = strlen(table->cells[i]), *width = &widths[i % table->column_count];

        if (length > *width)
            *width = length;
    }
}

/* Takes the excess from the widest columns that may be cut. */
static void shrink(const struct text_table *table, size_t widths[COLUMNS_MAX], size_t wanted)
{
    size_t total = GAP * (table->column_count - 1);

    for (size_t i = 0; i < table->column_count; i++)
        total += widths[i];
    for (; total > wanted; total--) {
        size_t *widest = NULL;

        for (size_t i = 0; i < table->column_count; i++) {
            unsigned least = table->columns[i].least_width;

            if (least > 0 && widths[i] > least && (!widest || widths[i] > *widest))
                widest = &widths[i];
        }
        if (!widest)
            return;
        (*widest)--;
    }
}

static void print_cell(FILE *out, const char *text, size_t width, bool right, bool last)
{
    size_t length = strlen(text), shown = length <= width ? length : width - 1, blanks = 0;
    bool cut = shown < length;

    if (!cut && (right || !last))
        blanks = width - length;
    fprintf(out, "%*s%.*s%s%*s%s", right ? (int)blanks : 0, "", (int)shown, text, cut ? "~" : "",
            right || last ? 0 : (int)blanks, "", last ? "\n" : "  ");
}

void text_table_print(const struct text_table *table, FILE *out, unsigned width)
{
    size_t widths[COLUMNS_MAX], last = table->column_count - 1;

    measure(table, widths);
    if (width > 0)
        shrink(table, widths, width);
    for (size_t i = 0; i <= last; i++)
        print_cell(out, table->columns[i].title, widths[i], table->columns[i].right, i == last);
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t column = i % table->column_count;

        print_cell(out, table->cells[i], widths[column], table->columns[column].right,
                   column == last || i + 1 == table->cell_count);
    }
}

unsigned text_table_terminal_width(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
        return 0;
    return size.ws_col > TERMINAL_LEAST ? size.ws_col : TERMINAL_LEAST;
}
