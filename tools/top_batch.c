/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/top_batch.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "tools/csv.h"
#include "tools/text_table.h"

/* What a script gets for a number: all its digits, and no exponent for whole ones. */
static void print_number(double number, char *text, size_t size)
{
    bool whole = fabs(number) < 1e19 && number == floor(number);

    snprintf(text, size, whole ? "%.0f" : "%.9g", number);
}

/* --- CSV ---------------------------------------------------------------------------------------------------- */

static void print_csv_row(const struct top_view *view, const void *row, int64_t realtime_ns, FILE *out)
{
    struct top_value value;
    char text[40];

    fprintf(out, "%" PRId64, realtime_ns);
    for (size_t i = 0; i < view->column_count; i++) {
        view->columns[i].get(row, &value);
        fputc(',', out);
        if (top_is_text(&view->columns[i])) {
            csv_print_field(value.text, out);
        } else if (isfinite(value.number)) {
            print_number(value.number, text, sizeof text);
            fputs(text, out);
        }
    }
    fputs("\r\n", out);
}

static void print_csv_head(const struct top_view *view, FILE *out)
{
    fputs("time_ns", out);
    for (size_t i = 0; i < view->column_count; i++)
        fprintf(out, ",%s", view->columns[i].name);
    fputs("\r\n", out);
}

/* --- JSON --------------------------------------------------------------------------------------------------- */

static struct json_object *json_row(const struct top_view *view, const void *row)
{
    struct json_object *object = json_object_new_object();
    struct top_value value;
    char text[40];

    for (size_t i = 0; i < view->column_count; i++) {
        const struct top_column *column = &view->columns[i];
        struct json_object *member = NULL;

        column->get(row, &value);
        if (top_is_text(column)) {
            member = json_object_new_string(value.text);
        } else if (isfinite(value.number)) {
            print_number(value.number, text, sizeof text);
            member = json_object_new_double_s(value.number, text);
        }
        json_object_object_add(object, column->name, member);
    }
    return object;
}

static void print_json(const struct top_ui *ui, const struct top_data *data, size_t count, FILE *out)
{
    struct json_object *document = json_object_new_object(), *rows = json_object_new_array();

    json_object_object_add(document, "time_ns", json_object_new_int64(data->realtime_ns));
    if (data->node < data->node_count)
        json_object_object_add(document, "node", json_object_new_string(data->nodes[data->node].name));
    json_object_object_add(document, "problem", data->problem[0] ? json_object_new_string(data->problem) : NULL);
    json_object_object_add(document, top_views[ui->view].title, rows);
    for (size_t i = 0; i < count; i++)
        json_object_array_add(rows, json_row(&top_views[ui->view], ui->rows[i]));
    fprintf(out, "%s\n",
            json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(document);
}

/* --- tables ------------------------------------------------------------------------------------------------- */

static void print_table(const struct top_ui *ui, const struct top_data *data, size_t count, FILE *out)
{
    const struct top_view *view = &top_views[ui->view];
    struct table_column columns[TOP_COLUMNS_MAX];
    struct text_table *table;
    char text[TOP_TEXT_MAX], date[32] = "";
    time_t seconds = (time_t)(data->realtime_ns / 1000000000);
    struct tm parts;

    if (localtime_r(&seconds, &parts))
        strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &parts);
    fprintf(out, "%s  %zu %s\n", date, ui->row_count, view->title);
    for (size_t i = 0; i < view->column_count; i++)
        columns[i] = (struct table_column){view->columns[i].title, !top_is_text(&view->columns[i]), 0};
    table = text_table_create(columns, view->column_count);
    for (size_t row = 0; row < count; row++) {
        for (size_t i = 0; i < view->column_count; i++)
            text_table_add(table, "%s", top_format(&view->columns[i], ui->rows[row], data->realtime_ns, text));
    }
    text_table_print(table, out, 0);
    text_table_destroy(table);
}

void top_batch_print(const struct top_ui *ui, const struct top_data *data, enum top_form form, size_t limit, bool first,
                     FILE *out)
{
    size_t count = limit && limit < ui->row_count ? limit : ui->row_count;

    if (form == TOP_FORM_JSON) {
        print_json(ui, data, count, out);
    } else if (form == TOP_FORM_CSV) {
        if (first)
            print_csv_head(&top_views[ui->view], out);
        for (size_t i = 0; i < count; i++)
            print_csv_row(&top_views[ui->view], ui->rows[i], data->realtime_ns, out);
    } else {
        if (!first)
            fputc('\n', out);
        print_table(ui, data, count, out);
    }
}
