/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/top_draw.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/units.h"
#include "tools/top_page.h"

#define NODE_LINES 3 /* clock, path, rates */

/* The first lines of the screen's parts; -1: none. The least important ones leave a low screen first. */
struct frame {
    int heading, node, summary, titles, rows, keys;
    int row_count;
};

static struct frame make_frame(int height)
{
    struct frame frame = {-1, -1, -1, -1, 0, -1, 0};
    int line = 0, end = height;

    if (height >= 3)
        frame.heading = line++;
    if (height >= 16) {
        frame.node = line;
        line += NODE_LINES;
    }
    if (height >= 8)
        frame.summary = line++;
    if (height >= 2)
        frame.titles = line++;
    if (height >= 8)
        frame.keys = --end;
    frame.rows = line;
    frame.row_count = end > line ? end - line : 0;
    return frame;
}

int top_draw_list_rows(int height)
{
    return make_frame(height).row_count;
}

/* --- columns ------------------------------------------------------------------------------------------------ */

/* How wide the columns are together, with the blanks between them. */
static int total_width(const uint8_t *widths, size_t count)
{
    int total = -1;

    for (size_t i = 0; i < count; i++)
        total += widths[i] ? widths[i] + 1 : 0;
    return total;
}

/* The shown column that is to leave first, but for the sorted one; the last of equals. count: there is none. */
static size_t least_important(const struct top_view *view, size_t sorted, const uint8_t *widths)
{
    size_t found = view->column_count;

    for (size_t i = 0; i < view->column_count; i++) {
        if (widths[i] && i != sorted &&
            (found == view->column_count || view->columns[i].rank >= view->columns[found].rank))
            found = i;
    }
    return found;
}

static size_t longest_cell(const struct top_column *column, const void *const *rows, size_t count, int64_t realtime_ns)
{
    size_t longest = strlen(column->title);
    char text[TOP_TEXT_MAX];

    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(top_format(column, rows[i], realtime_ns, text));

        longest = length > longest ? length : longest;
    }
    return longest < column->most ? longest : column->most;
}

/* Columns that are not shown and may be: the one of the lowest rank, the first of equals. count: there is none. */
static size_t next_extra(const struct top_view *view, const uint8_t *widths, const bool *tried)
{
    size_t found = view->column_count;

    for (size_t i = 0; i < view->column_count; i++) {
        if (!widths[i] && !tried[i] &&
            (found == view->column_count || view->columns[i].rank < view->columns[found].rank))
            found = i;
    }
    return found;
}

/* Lets columns grow to what their cells want, each by one in turn. */
static void grow(const struct top_view *view, const size_t *wanted, int width, uint8_t *widths)
{
    bool grown = true;

    while (grown) {
        grown = false;
        for (size_t i = 0; i < view->column_count; i++) {
            if (widths[i] && widths[i] < wanted[i] && total_width(widths, view->column_count) < width) {
                widths[i]++;
                grown = true;
            }
        }
    }
}

void top_draw_layout(const struct top_view *view, size_t sorted, const void *const *rows, size_t count,
                     int64_t realtime_ns, int width, uint8_t widths[TOP_COLUMNS_MAX])
{
    size_t wanted[TOP_COLUMNS_MAX] = {0}, column;
    bool tried[TOP_COLUMNS_MAX] = {false};

    for (size_t i = 0; i < view->column_count; i++) {
        widths[i] = i == sorted || view->columns[i].rank < TOP_RANK_EXTRA ? view->columns[i].least : 0;
        wanted[i] = longest_cell(&view->columns[i], rows, count, realtime_ns);
    }
    while (total_width(widths, view->column_count) > width &&
           (column = least_important(view, sorted, widths)) < view->column_count) {
        widths[column] = 0;
        tried[column] = true;
    }
    grow(view, wanted, width, widths);
    while ((column = next_extra(view, widths, tried)) < view->column_count) {
        widths[column] = view->columns[column].least;
        if (total_width(widths, view->column_count) > width)
            widths[column] = 0;
        tried[column] = true;
    }
    grow(view, wanted, width, widths);
}

/* What does not fit loses its end; an endpoint its beginning. */
static void cut_cell(const struct top_column *column, char *text, size_t width)
{
    size_t length = strlen(text);

    if (length <= width)
        return;
    if (column->unit == TOP_ENDPOINT)
        memmove(text, text + length - width, width + 1);
    text[column->unit == TOP_ENDPOINT ? 0 : width - 1] = '~';
    text[width] = '\0';
}

/* Texts to the left, numbers to the right. Returns the column after the cell and its blank. */
static int draw_cell(struct canvas *canvas, int line, int at, enum canvas_style style, const struct top_column *column,
                     char *text, size_t width)
{
    cut_cell(column, text, width);
    canvas_put(canvas, line, at + (top_is_text(column) ? 0 : (int)(width - strlen(text))), style, text);
    return at + (int)width + 1;
}

static void draw_titles(const struct top_ui *ui, struct canvas *canvas, int line, const uint8_t *widths)
{
    const struct top_view *view = &top_views[ui->view];
    char text[TOP_TEXT_MAX];
    int at = 0;

    canvas_paint(canvas, line, CANVAS_TITLE);
    for (size_t i = 0; i < view->column_count; i++) {
        bool sorted = i == ui->lists[ui->view].order.column;

        if (!widths[i])
            continue;
        snprintf(text, sizeof text, "%s", view->columns[i].title);
        at = draw_cell(canvas, line, at, sorted ? CANVAS_SELECTED : CANVAS_TITLE, &view->columns[i], text, widths[i]);
    }
}

static void draw_row(const struct top_ui *ui, int64_t realtime_ns, struct canvas *canvas, int line, size_t row,
                     const uint8_t *widths)
{
    const struct top_view *view = &top_views[ui->view];
    enum canvas_style style = row == ui->lists[ui->view].position ? CANVAS_SELECTED : CANVAS_PLAIN;
    const char *unknown = view->unknown ? view->unknown(ui->rows[row]) : NULL;
    char text[TOP_TEXT_MAX];
    int at = 0;

    canvas_paint(canvas, line, style);
    for (size_t i = 0; i < view->column_count && !(unknown && at > 0); i++) {
        if (!widths[i])
            continue;
        top_format(&view->columns[i], ui->rows[row], realtime_ns, text);
        at = draw_cell(canvas, line, at, style, &view->columns[i], text, widths[i]);
    }
    if (unknown)
        canvas_put(canvas, line, at, style == CANVAS_SELECTED ? style : CANVAS_BAD, unknown);
}

static void draw_list(const struct top_ui *ui, const struct top_data *data, struct canvas *canvas,
                      const struct frame *frame)
{
    const struct top_list_state *list = &ui->lists[ui->view];
    size_t room = (size_t)frame->row_count, first = list->scroll < ui->row_count ? list->scroll : 0;
    size_t count = ui->row_count - first < room ? ui->row_count - first : room;
    uint8_t widths[TOP_COLUMNS_MAX] = {0};

    top_draw_layout(&top_views[ui->view], list->order.column, ui->rows + first, count, data->realtime_ns, canvas->width,
                    widths);
    if (frame->titles >= 0)
        draw_titles(ui, canvas, frame->titles, widths);
    for (size_t i = 0; i < count; i++)
        draw_row(ui, data->realtime_ns, canvas, frame->rows + (int)i, first + i, widths);
}

/* --- the lines above ---------------------------------------------------------------------------------------- */

static const struct top_node *shown_node(const struct top_data *data)
{
    return data->node < data->node_count ? &data->nodes[data->node] : NULL;
}

static void draw_heading(const struct top_ui *ui, const struct top_data *data, struct canvas *canvas, int line)
{
    const struct top_node *node = shown_node(data);
    time_t seconds = (time_t)(data->realtime_ns / 1000000000);
    char clock[16] = "", interval[UNITS_TEXT_MAX];
    struct tm parts;
    int at;

    if (localtime_r(&seconds, &parts))
        strftime(clock, sizeof clock, "%H:%M:%S", &parts);
    units_format_short_ns((double)ui->interval_ns, interval);
    at = canvas_put(canvas, line, 0, CANVAS_BOLD, node ? node->name : "lockstep top");
    if (ui->paused)
        at = canvas_put(canvas, line, at + 1, CANVAS_SELECTED, "PAUSED");
    for (int i = 0; i < TOP_VIEWS; i++) {
        bool shown = (int)ui->view == i;

        at = canvas_printf(canvas, line, at + 1, shown ? CANVAS_BOLD : CANVAS_PLAIN, "%s%d %s%s", shown ? "[" : " ",
                           i + 1, top_views[i].title, shown ? "]" : " ");
    }
    canvas_printf(canvas, line, at + 1, CANVAS_PLAIN, "%s  every %s", clock, interval);
}

static void draw_clock(const struct top_node *node, struct canvas *canvas, int line)
{
    bool good = strcmp(node->clock, "synchronised") == 0;
    int at = canvas_put(canvas, line, 0, CANVAS_PLAIN, "Clock: ");
    char text[UNITS_TEXT_MAX];

    if (!node->clock[0]) {
        canvas_put(canvas, line, at, CANVAS_PLAIN, "no clock daemon");
        return;
    }
    at = canvas_put(canvas, line, at, good ? CANVAS_GOOD : CANVAS_BAD, node->clock);
    if (node->source[0])
        at = canvas_printf(canvas, line, at, CANVAS_PLAIN, " to %s", node->source);
    if (isfinite(node->offset_ns))
        at = canvas_printf(canvas, line, at, CANVAS_PLAIN, ", offset %c%s", node->offset_ns < 0 ? '-' : '+',
                           units_format_short_ns(fabs(node->offset_ns), text));
    if (isfinite(node->bound_ns))
        at = canvas_printf(canvas, line, at, CANVAS_PLAIN, ", bound %s", units_format_short_ns(node->bound_ns, text));
    if (isfinite(node->rate_ppm))
        canvas_printf(canvas, line, at, CANVAS_PLAIN, ", rate %+.3f ppm", node->rate_ppm);
}

static void draw_path(const struct top_node *node, struct canvas *canvas, int line)
{
    int at = canvas_put(canvas, line, 0, CANVAS_PLAIN, "Path:  ");

    if (!isfinite(node->programs)) {
        canvas_put(canvas, line, at, CANVAS_BAD, node->problem[0] ? node->problem : "not known");
        return;
    }
    at = canvas_printf(canvas, line, at, CANVAS_PLAIN, "%s; %.0f programs, %.0f sockets, %.0f kernel sockets",
                       node->interfaces[0] ? node->interfaces : "no interface", node->programs, node->sockets,
                       node->kernel_sockets);
    if (node->lost > 0)
        canvas_printf(canvas, line, at, CANVAS_BAD, ", %.0f lost", node->lost);
}

static void draw_rates(const struct top_totals *totals, struct canvas *canvas, int line)
{
    char rx[UNITS_TEXT_MAX], tx[UNITS_TEXT_MAX], rx_packets[UNITS_TEXT_MAX], tx_packets[UNITS_TEXT_MAX];
    int at = canvas_put(canvas, line, 0, CANVAS_PLAIN, "Rates: ");

    if (!totals->known) {
        canvas_put(canvas, line, at, CANVAS_PLAIN, "with the next look");
        return;
    }
    at = canvas_printf(canvas, line, at, CANVAS_PLAIN, "in %sb/s %sp/s, out %sb/s %sp/s, spinning %.2f cores",
                       units_format_short(totals->rx_bytes * 8, rx), units_format_short(totals->rx_packets, rx_packets),
                       units_format_short(totals->tx_bytes * 8, tx), units_format_short(totals->tx_packets, tx_packets),
                       totals->spin_percent / 100);
    if (totals->retransmissions > 0)
        at = canvas_printf(canvas, line, at, CANVAS_BAD, ", sent again %s/s",
                           units_format_short(totals->retransmissions, rx));
    if (totals->drops > 0)
        canvas_printf(canvas, line, at, CANVAS_BAD, ", lost %s/s", units_format_short(totals->drops, rx));
}

/* What is listed, or what is wrong. */
static void draw_summary(const struct top_ui *ui, const struct top_data *data, struct canvas *canvas, int line)
{
    const struct top_view *view = &top_views[ui->view];
    const struct top_order *order = &ui->lists[ui->view].order;
    const char *filter = ui->editing ? ui->edited : ui->filter;
    size_t all;
    int at;

    if (data->problem[0]) {
        canvas_paint(canvas, line, CANVAS_BAD);
        canvas_put(canvas, line, 0, CANVAS_BAD, data->problem);
        return;
    }
    top_data_rows(data, ui->view, &all);
    at = canvas_printf(canvas, line, 0, CANVAS_PLAIN, "%zu ", ui->row_count);
    if (*filter)
        at = canvas_printf(canvas, line, at, CANVAS_PLAIN, "of %zu ", all);
    at = canvas_printf(canvas, line, at, CANVAS_PLAIN, "%s%s by %s, %s", view->row, all == 1 ? "" : "s",
                       view->columns[order->column].title, order->descending ? "descending" : "ascending");
    if (*filter)
        canvas_printf(canvas, line, at, CANVAS_BOLD, ", filter \"%s\"", filter);
}

static void draw_keys(const struct top_ui *ui, struct canvas *canvas, int line)
{
    if (ui->editing)
        canvas_printf(canvas, line, 0, CANVAS_BOLD, "Filter: %s_", ui->edited);
    else
        canvas_put(canvas, line, 0, CANVAS_PLAIN,
                   ui->page == TOP_PAGE_LIST
                       ? "q quit  ? help  / filter  < > sort  r reverse  Enter details  p pause  Tab view"
                       : "q back  ? help  arrows scroll");
}

static void draw_above(const struct top_ui *ui, const struct top_data *data, struct canvas *canvas,
                       const struct frame *frame)
{
    const struct top_node *node = shown_node(data);

    if (frame->heading >= 0)
        draw_heading(ui, data, canvas, frame->heading);
    if (frame->node >= 0 && node) {
        draw_clock(node, canvas, frame->node);
        draw_path(node, canvas, frame->node + 1);
        draw_rates(top_model_totals(data->model), canvas, frame->node + 2);
    }
    if (frame->summary >= 0)
        draw_summary(ui, data, canvas, frame->summary);
    /* On a low screen these two take the place of the heading. */
    else if (frame->heading >= 0 && (ui->editing || data->problem[0])) {
        canvas_printf(canvas, frame->heading, 0, CANVAS_BOLD, "%s%-*s", ui->editing ? "/" : "", canvas->width,
                      ui->editing ? ui->edited : data->problem);
    }
}

/* --- details and help --------------------------------------------------------------------------------------- */

static void draw_page(struct top_ui *ui, const struct top_data *data, struct canvas *canvas, const struct frame *frame)
{
    char *text = ui->page == TOP_PAGE_HELP ? top_page_help(ui->view) : top_page_details(ui, data);
    int first = frame->titles >= 0 ? frame->titles : 0, room = frame->rows + frame->row_count - first;
    size_t lines = 0, scroll = ui->page_scroll, last;

    for (const char *c = text; c && *c; c++)
        lines += *c == '\n';
    last = lines > (size_t)room ? lines - (size_t)room : 0;
    ui->page_scroll = scroll = scroll < last ? scroll : last;
    for (char *line = text, *end; line && (end = strchr(line, '\n')) && room > 0; line = end + 1) {
        *end = '\0';
        if (scroll > 0) {
            scroll--;
            continue;
        }
        canvas_put(canvas, first++, 0, line[0] && line[0] != ' ' ? CANVAS_BOLD : CANVAS_PLAIN, line);
        room--;
    }
    free(text);
}

void top_draw(struct top_ui *ui, const struct top_data *data, struct canvas *canvas)
{
    struct frame frame = make_frame(canvas->height);

    draw_above(ui, data, canvas, &frame);
    if (ui->page == TOP_PAGE_LIST)
        draw_list(ui, data, canvas, &frame);
    else
        draw_page(ui, data, canvas, &frame);
    if (frame.keys >= 0)
        draw_keys(ui, canvas, frame.keys);
}
