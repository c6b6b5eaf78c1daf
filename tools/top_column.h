/* SPDX-License-Identifier: BSD-2-Clause */
/* The views of `lockstep top` as tables of columns: what they are called, how a cell's value is found and written. One
 * table serves the screen, the sorting, the filter, and the batch output. Pure; any thread. */
#ifndef LOCKSTEP_TOOLS_TOP_COLUMN_H
#define LOCKSTEP_TOOLS_TOP_COLUMN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum top_view_id { TOP_NODES, TOP_CONNECTIONS, TOP_PROGRAMS, TOP_VIEWS };

enum top_unit {
    TOP_TEXT,
    TOP_ENDPOINT, /* a text of which the end matters most */
    TOP_COUNT,
    TOP_PLAIN, /* a number that is a name: a process */
    TOP_BYTES,
    TOP_BYTES_PER_S, /* people get bits */
    TOP_PER_S,
    TOP_NS,
    TOP_SIGNED_NS,
    TOP_PPM,
    TOP_PERCENT,
    TOP_SECONDS, /* a duration */
    TOP_SINCE,   /* CLOCK_REALTIME, ns; people get the duration since then */
};

#define TOP_TEXT_MAX    208
#define TOP_COLUMNS_MAX 32
#define TOP_RANK_EXTRA  50 /* columns from this rank on are shown if all others have the width they want */

struct top_value {
    double number;           /* NAN: not known; of texts 0 */
    char text[TOP_TEXT_MAX]; /* of texts only */
};

struct top_column {
    const char *title; /* for people */
    const char *name;  /* for scripts, with the unit */
    const char *help;
    enum top_unit unit;
    uint8_t least, most; /* characters on the screen */
    uint8_t rank;        /* the highest ranks leave a narrow screen first */
    void (*get)(const void *row, struct top_value *value);
    int (*compare)(const void *a, const void *b); /* NULL: by value */
};

struct top_view {
    const char *title; /* "connections" */
    const char *row;   /* "connection" */
    const struct top_column *columns;
    size_t column_count;
    size_t row_size;                  /* of the model's arrays */
    size_t sort;                      /* at first, by this column */
    bool descending;                  /* at first */
    uint64_t (*key)(const void *row); /* stays with the row */
    /* May be NULL. Why nothing is known but the first column, else NULL. */
    const char *(*unknown)(const void *row);
};

extern const struct top_view top_views[TOP_VIEWS];

static inline bool top_is_text(const struct top_column *column)
{
    return column->unit == TOP_TEXT || column->unit == TOP_ENDPOINT;
}
/* The cell for people; realtime_ns: now. text has TOP_TEXT_MAX bytes and is returned. */
const char *top_format(const struct top_column *column, const void *row, int64_t realtime_ns, char *text);
/* -1, 0, 1: numbers that are not known come last in either direction. */
int top_compare(const struct top_column *column, bool descending, const void *a, const void *b);
/* Whether each word of the filter is in one of the row's texts, whatever the case. */
bool top_matches(const struct top_view *view, const void *row, const char *filter);

#endif
