/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/top_ui.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void top_ui_init(struct top_ui *ui, uint64_t interval_ns)
{
    *ui = (struct top_ui){.view = TOP_CONNECTIONS, .interval_ns = interval_ns, .list_rows = 1};
    for (int i = 0; i < TOP_VIEWS; i++)
        ui->lists[i].order = (struct top_order){top_views[i].sort, top_views[i].descending};
}

void top_ui_free(struct top_ui *ui)
{
    free(ui->rows);
    ui->rows = NULL;
}

/* --- the list ----------------------------------------------------------------------------------------------- */

struct sorting {
    const struct top_view *view;
    const struct top_order *order;
};

static int compare_rows(const void *a, const void *b, void *context)
{
    const struct sorting *sorting = context;
    const void *first = *(const void *const *)a, *second = *(const void *const *)b;
    const struct top_column *column = &sorting->view->columns[sorting->order->column];
    int order = top_compare(column, sorting->order->descending, first, second);
    uint64_t first_key, second_key;

    if (order != 0)
        return order;
    first_key = sorting->view->key(first);
    second_key = sorting->view->key(second);
    return (first_key > second_key) - (first_key < second_key);
}

size_t top_list(const struct top_view *view, const void *first, size_t count, const struct top_order *order,
                const char *filter, const void **rows)
{
    struct sorting sorting = {view, order};
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        const void *row = (const char *)first + i * view->row_size;

        if (!*filter || top_matches(view, row, filter))
            rows[used++] = row;
    }
    qsort_r(rows, used, sizeof *rows, compare_rows, &sorting);
    return used;
}

const void *top_data_rows(const struct top_data *data, enum top_view_id view, size_t *count)
{
    switch (view) {
    case TOP_NODES:
        *count = data->node_count;
        return data->nodes;
    case TOP_PROGRAMS:
        return top_model_programs(data->model, count);
    default:
        return top_model_connections(data->model, count);
    }
}

/* What the user has selected stays so wherever it is now; if it has gone, its place is. */
static void find_selected(struct top_ui *ui)
{
    struct top_list_state *list = top_ui_list(ui);

    for (size_t i = 0; list->has_selected && i < ui->row_count; i++) {
        if (top_views[ui->view].key(ui->rows[i]) == list->selected) {
            list->position = i;
            return;
        }
    }
    if (list->position >= ui->row_count)
        list->position = ui->row_count ? ui->row_count - 1 : 0;
    if (list->has_selected && ui->row_count)
        list->selected = top_views[ui->view].key(ui->rows[list->position]);
}

static void scroll_to_selected(struct top_ui *ui)
{
    struct top_list_state *list = top_ui_list(ui);
    size_t rows = ui->list_rows > 0 ? (size_t)ui->list_rows : 1, last = ui->row_count > rows ? ui->row_count - rows : 0;

    if (list->position < list->scroll)
        list->scroll = list->position;
    if (list->position >= list->scroll + rows)
        list->scroll = list->position - rows + 1;
    if (list->scroll > last)
        list->scroll = last;
}

int top_ui_refresh(struct top_ui *ui, const struct top_data *data)
{
    const struct top_view *view = &top_views[ui->view];
    size_t count;
    const void *first = top_data_rows(data, ui->view, &count);

    if (count > ui->row_room) {
        const void **longer = reallocarray(ui->rows, count, sizeof *ui->rows);

        if (!longer) {
            ui->row_count = 0;
            return -ENOMEM;
        }
        ui->rows = longer;
        ui->row_room = count;
    }
    ui->row_count =
        top_list(view, first, count, &top_ui_list(ui)->order, ui->editing ? ui->edited : ui->filter, ui->rows);
    find_selected(ui);
    scroll_to_selected(ui);
    return 0;
}

void top_ui_resize(struct top_ui *ui, int list_rows)
{
    ui->list_rows = list_rows;
    scroll_to_selected(ui);
}

const void *top_ui_selected(const struct top_ui *ui)
{
    size_t position = ui->lists[ui->view].position;

    return position < ui->row_count ? ui->rows[position] : NULL;
}

/* --- keys --------------------------------------------------------------------------------------------------- */

/* Moves by some rows, not beyond the ends. */
static void move(struct top_ui *ui, long rows)
{
    struct top_list_state *list = top_ui_list(ui);
    long position = (long)list->position + rows, last = (long)ui->row_count - 1;

    if (last < 0)
        return;
    list->position = (size_t)(position < 0 ? 0 : position > last ? last : position);
    list->selected = top_views[ui->view].key(ui->rows[list->position]);
    list->has_selected = true;
    scroll_to_selected(ui);
}

static void scroll_page(struct top_ui *ui, long lines)
{
    long scroll = (long)ui->page_scroll + lines;

    ui->page_scroll = (size_t)(scroll < 0 ? 0 : scroll);
}

/* How far a key moves; 0: it is none of those. */
static long movement(const struct top_ui *ui, int key)
{
    const long page = ui->list_rows > 1 ? ui->list_rows - 1 : 1, far = 1000000000;

    switch (key) {
    case TOP_KEY_UP:
    case 'k':
        return -1;
    case TOP_KEY_DOWN:
    case 'j':
        return 1;
    case TOP_KEY_PAGE_UP:
        return -page;
    case TOP_KEY_PAGE_DOWN:
    case ' ':
        return page;
    case TOP_KEY_HOME:
    case 'g':
        return -far;
    case TOP_KEY_END:
    case 'G':
        return far;
    default:
        return 0;
    }
}

static void sort_by(struct top_ui *ui, size_t column)
{
    const struct top_view *view = &top_views[ui->view];

    /* Texts from A on, numbers from the largest on. */
    top_ui_list(ui)->order = (struct top_order){column, !top_is_text(&view->columns[column])};
}

static void sort_by_next(struct top_ui *ui, size_t step)
{
    size_t count = top_views[ui->view].column_count;

    sort_by(ui, (top_ui_list(ui)->order.column + step) % count);
}

static void open_page(struct top_ui *ui, enum top_page page)
{
    ui->page = page;
    ui->page_scroll = 0;
}

static void open_details(struct top_ui *ui)
{
    if (!top_ui_selected(ui))
        return;
    move(ui, 0); /* the row that the page is about stays selected */
    ui->detail_key = top_ui_list(ui)->selected;
    open_page(ui, TOP_PAGE_DETAILS);
}

static void change_view(struct top_ui *ui, enum top_view_id view)
{
    ui->view = view;
    open_page(ui, TOP_PAGE_LIST);
}

static enum top_action enter(struct top_ui *ui)
{
    const struct top_node *node = top_ui_selected(ui);

    if (ui->view != TOP_NODES) {
        open_details(ui);
        return TOP_ACT_FETCH; /* of what only the page shows */
    }
    if (!node)
        return TOP_ACT_DRAW;
    ui->node = (size_t)node->key;
    change_view(ui, TOP_CONNECTIONS);
    return TOP_ACT_NODE;
}

static void change_interval(struct top_ui *ui, bool longer)
{
    static const uint64_t steps_ms[] = {100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000};
    const size_t count = sizeof steps_ms / sizeof *steps_ms;
    size_t i = 0;

    if (longer) {
        while (i < count - 1 && steps_ms[i] * 1000000 <= ui->interval_ns)
            i++;
    } else {
        i = count - 1;
        while (i > 0 && steps_ms[i] * 1000000 >= ui->interval_ns)
            i--;
    }
    ui->interval_ns = steps_ms[i] * 1000000;
}

static void edit_filter(struct top_ui *ui, int key)
{
    size_t length = strlen(ui->edited);

    if (key == TOP_KEY_ENTER) {
        memcpy(ui->filter, ui->edited, sizeof ui->filter);
        ui->editing = false;
    } else if (key == TOP_KEY_ESCAPE) {
        ui->editing = false;
    } else if (key == TOP_KEY_BACKSPACE && length > 0) {
        ui->edited[length - 1] = '\0';
    } else if (key >= ' ' && key <= '~' && length + 1 < sizeof ui->edited) {
        ui->edited[length] = (char)key;
        ui->edited[length + 1] = '\0';
    }
}

static void begin_filter(struct top_ui *ui)
{
    memcpy(ui->edited, ui->filter, sizeof ui->edited);
    ui->editing = true;
    open_page(ui, TOP_PAGE_LIST);
}

static enum top_action page_key(struct top_ui *ui, int key)
{
    if (movement(ui, key) != 0)
        scroll_page(ui, movement(ui, key));
    else
        open_page(ui, TOP_PAGE_LIST);
    return TOP_ACT_DRAW;
}

static enum top_action list_key(struct top_ui *ui, int key)
{
    struct top_list_state *list = top_ui_list(ui);

    switch (key) {
    case TOP_KEY_ENTER:
        return enter(ui);
    case 'd':
        open_details(ui);
        return TOP_ACT_FETCH;
    case TOP_KEY_ESCAPE:
        ui->filter[0] = '\0';
        return TOP_ACT_DRAW;
    case TOP_KEY_RIGHT:
    case '>':
        sort_by_next(ui, 1);
        return TOP_ACT_DRAW;
    case TOP_KEY_LEFT:
    case '<':
        sort_by_next(ui, top_views[ui->view].column_count - 1);
        return TOP_ACT_DRAW;
    case 'r':
        list->order.descending = !list->order.descending;
        return TOP_ACT_DRAW;
    default:
        if (movement(ui, key) != 0)
            move(ui, movement(ui, key));
        return TOP_ACT_DRAW;
    }
}

/* Keys that do the same on all pages. False: it is none of those. */
static bool common_key(struct top_ui *ui, int key, enum top_action *action)
{
    *action = TOP_ACT_DRAW;
    switch (key) {
    case 'q':
        *action = ui->page == TOP_PAGE_LIST ? TOP_ACT_QUIT : TOP_ACT_DRAW;
        open_page(ui, TOP_PAGE_LIST);
        return true;
    case '?':
    case 'h':
        open_page(ui, TOP_PAGE_HELP);
        return true;
    case '1':
    case '2':
    case '3':
        change_view(ui, (enum top_view_id)(key - '1'));
        return true;
    case TOP_KEY_TAB:
        change_view(ui, (ui->view + 1) % TOP_VIEWS);
        return true;
    case TOP_KEY_BACK_TAB:
        change_view(ui, (ui->view + TOP_VIEWS - 1) % TOP_VIEWS);
        return true;
    case '/':
        begin_filter(ui);
        return true;
    case 'p':
        ui->paused = !ui->paused;
        *action = ui->paused ? TOP_ACT_DRAW : TOP_ACT_FETCH;
        return true;
    case '+':
    case '-':
        change_interval(ui, key == '+');
        return true;
    case 'f':
        *action = TOP_ACT_FETCH;
        return true;
    case TOP_KEY_REDRAW:
        *action = TOP_ACT_REDRAW;
        return true;
    default:
        return false;
    }
}

enum top_action top_ui_key(struct top_ui *ui, const struct top_data *data, int key)
{
    enum top_action action = TOP_ACT_DRAW;

    if (ui->editing)
        edit_filter(ui, key);
    else if (!common_key(ui, key, &action))
        action = ui->page == TOP_PAGE_LIST ? list_key(ui, key) : page_key(ui, key);
    top_ui_refresh(ui, data);
    return action;
}
