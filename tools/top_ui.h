/* SPDX-License-Identifier: BSD-2-Clause */
/* The state of `lockstep top`'s screen and what keys do to it: which view, how it is sorted and filtered, which row is
 * selected. Pure; single-threaded. */
#ifndef LOCKSTEP_TOOLS_TOP_UI_H
#define LOCKSTEP_TOOLS_TOP_UI_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/top_column.h"
#include "tools/top_model.h"
#include "tools/top_node.h"

#define TOP_FILTER_MAX      64
#define TOP_INTERVAL_MIN_NS 100000000u
#define TOP_INTERVAL_MAX_NS 3600000000000u

/* What there is to show, from the source of data. */
struct top_data {
    const struct top_model *model; /* of the node shown */
    const struct top_node *nodes;
    size_t node_count, node;            /* the one whose connections and programs are shown */
    char problem[TOP_NODE_PROBLEM_MAX]; /* "": the newest table is current */
    int64_t realtime_ns;                /* now */
    struct json_object *dump; /* what its program says of the connection that the details are about, or NULL: */
    const char *dump_problem; /* why it does not, or NULL */
};

enum top_key {
    TOP_KEY_UP = 256,
    TOP_KEY_DOWN,
    TOP_KEY_LEFT,
    TOP_KEY_RIGHT,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
    TOP_KEY_ENTER,
    TOP_KEY_ESCAPE,
    TOP_KEY_BACKSPACE,
    TOP_KEY_TAB,
    TOP_KEY_BACK_TAB,
    TOP_KEY_REDRAW,
};

enum top_action {
    TOP_ACT_DRAW, /* nothing else */
    TOP_ACT_QUIT,
    TOP_ACT_FETCH,  /* now */
    TOP_ACT_NODE,   /* another node's path is wanted: ui.node */
    TOP_ACT_REDRAW, /* the whole terminal */
};

enum top_page { TOP_PAGE_LIST, TOP_PAGE_DETAILS, TOP_PAGE_HELP };

struct top_order {
    size_t column;
    bool descending;
};

struct top_list_state {
    struct top_order order;
    bool has_selected; /* the user has moved */
    uint64_t selected; /* key */
    size_t position, scroll;
};

struct top_ui {
    enum top_view_id view;
    enum top_page page;
    size_t page_scroll; /* first line shown of details or help */
    struct top_list_state lists[TOP_VIEWS];
    char filter[TOP_FILTER_MAX];
    bool editing; /* the filter */
    char edited[TOP_FILTER_MAX];
    bool paused;
    uint64_t interval_ns;
    size_t node;
    int list_rows; /* lines there are for rows */
    uint64_t detail_key;
    const void **rows; /* of the current view, filtered and sorted */
    size_t row_count, row_room;
};

void top_ui_init(struct top_ui *ui, uint64_t interval_ns);
void top_ui_free(struct top_ui *ui);

/* The rows of a view that match the filter, sorted, equal ones by key. *rows has room for all. Returns how many. */
size_t top_list(const struct top_view *view, const void *first, size_t count, const struct top_order *order,
                const char *filter, const void **rows);
/* The unsorted rows of a view. */
const void *top_data_rows(const struct top_data *data, enum top_view_id view, size_t *count);

/* Makes the list of the current view anew: after new data and after keys. 0 or -ENOMEM: it is empty. */
int top_ui_refresh(struct top_ui *ui, const struct top_data *data);
/* list_rows: the lines that the screen has for rows. */
void top_ui_resize(struct top_ui *ui, int list_rows);
/* A character or enum top_key. */
enum top_action top_ui_key(struct top_ui *ui, const struct top_data *data, int key);

static inline struct top_list_state *top_ui_list(struct top_ui *ui)
{
    return &ui->lists[ui->view];
}
/* The selected row, or NULL. */
const void *top_ui_selected(const struct top_ui *ui);

#endif
