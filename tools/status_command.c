/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep status: of this node (tools/status.c), or of several in a line each. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tools/command.h"
#include "tools/endpoint.h"
#include "tools/report.h"
#include "tools/top_draw.h"
#include "tools/top_node.h"

struct status_options {
    char runtime_dir[90], nodes_file[PATH_MAX];
    char chosen[NODES_CHOSEN_MAX][NODE_URL_MAX];
    bool json, nodes;
};

static const struct option_entry entries[] = {
    {"runtime-dir",
     'd',
     "The service's directory. Default: $LOCKSTEP_RUNTIME_DIR, else " CONTROL_DEFAULT_DIR ".",
     {VALUE_TEXT(struct status_options, runtime_dir)},
     "DIR"},
    {"json", 'j', "Print the reports as a JSON document.", {VALUE_BOOL(struct status_options, json)}, NULL},
    {"node",
     'N',
     "Show another node instead: a name of the nodes' file, or the URL of its lockstep-web.",
     {VALUE_TEXTS(struct status_options, chosen)},
     "NODE"},
    {"nodes", 'a', "Show all nodes of the nodes' file.", {VALUE_BOOL(struct status_options, nodes)}, NULL},
    {"nodes-file",
     0,
     "The nodes: nodes.conf(5). Default: " NODES_FILE ".",
     {VALUE_TEXT(struct status_options, nodes_file)},
     "FILE"},
    {0},
};

static const struct option_program program = {
    .name = "lockstep status",
    .summary = "Show the service, its interfaces and the accelerated programs; or several nodes.",
    .entries = entries,
};

/* --- this node ---------------------------------------------------------------------------------------------- */

static int show_here(const struct status_options *options)
{
    struct json_object *status, *connections = NULL;
    struct netd_client *client = report_connect(options->runtime_dir);

    if (!client)
        return 1;
    status = report_fetch(client, CONTROL_REPORT_STATUS);
    if (status && !options->json)
        connections = report_fetch(client, CONTROL_REPORT_CONNECTIONS);
    client_close(client);
    if (!status)
        return 1;
    if (options->json)
        report_print_json(status, stdout);
    else
        status_print(status, connections, stdout, text_table_terminal_width());
    json_object_put(status);
    json_object_put(connections);
    return 0;
}

/* --- several nodes ------------------------------------------------------------------------------------------ */

/* What one has answered. */
struct answer {
    struct json_object *status, *clock;
    char status_problem[ENDPOINT_PROBLEM_MAX], clock_problem[ENDPOINT_PROBLEM_MAX];
};

/* All are asked at once; the slowest one's time-out is how long this can take. */
static int fetch_all(const struct node_config *nodes, size_t count, struct answer *answers)
{
    struct endpoints *endpoints = endpoints_create(nodes, count);

    if (!endpoints)
        return -1;
    for (size_t i = 0; i < count; i++) {
        endpoints_ask(endpoints, i, ENDPOINT_STATUS);
        endpoints_ask(endpoints, i, ENDPOINT_CLOCK);
    }
    while (endpoints_run(endpoints, 100) > 0)
        ;
    for (size_t i = 0; i < count; i++) {
        endpoints_take(endpoints, i, ENDPOINT_STATUS, &answers[i].status, answers[i].status_problem);
        endpoints_take(endpoints, i, ENDPOINT_CLOCK, &answers[i].clock, answers[i].clock_problem);
    }
    endpoints_destroy(endpoints);
    return 0;
}

static struct json_object *text_or_null(const char *text)
{
    return *text ? json_object_new_string(text) : NULL;
}

static void print_json(const struct node_config *nodes, size_t count, const struct answer *answers)
{
    struct json_object *document = json_object_new_object(), *list = json_object_new_array();

    json_object_object_add(document, "nodes", list);
    for (size_t i = 0; i < count; i++) {
        struct json_object *node = json_object_new_object();

        json_object_array_add(list, node);
        json_object_object_add(node, "node", json_object_new_string(nodes[i].name));
        json_object_object_add(node, "url", json_object_new_string(nodes[i].url));
        json_object_object_add(node, "status", json_object_get(answers[i].status));
        json_object_object_add(node, "status_problem", text_or_null(answers[i].status_problem));
        json_object_object_add(node, "clock", json_object_get(answers[i].clock));
        json_object_object_add(node, "clock_problem", text_or_null(answers[i].clock_problem));
    }
    report_print_json(document, stdout);
    json_object_put(document);
}

/* The view of nodes without what needs two looks, and without problems: they are sentences. */
static void choose_columns(struct top_column *columns, struct top_view *view)
{
    const struct top_view *all = &top_views[TOP_NODES];

    *view = *all;
    view->columns = columns;
    view->column_count = 0;
    for (size_t i = 0; i < all->column_count; i++) {
        if (all->columns[i].unit != TOP_PER_S && strcmp(all->columns[i].name, "problem") != 0)
            columns[view->column_count++] = all->columns[i];
    }
}

/* As many columns as the terminal is wide enough for. */
static void print_nodes(const struct top_node *const *rows, size_t count, unsigned width)
{
    struct top_column chosen[TOP_COLUMNS_MAX];
    struct table_column columns[TOP_COLUMNS_MAX];
    uint8_t widths[TOP_COLUMNS_MAX];
    struct top_view view;
    struct text_table *table;
    size_t shown = 0;

    choose_columns(chosen, &view);
    memset(widths, 1, sizeof widths);
    if (width > 0) /* the table has two blanks between columns */
        top_draw_layout(&view, 0, (const void *const *)rows, count, 0, (int)(width - view.column_count), widths);
    for (size_t i = 0; i < view.column_count; i++) {
        const struct top_column *column = &view.columns[i];
        bool text = top_is_text(column);

        if (widths[i])
            columns[shown++] = (struct table_column){column->title, !text, text ? column->least : 0};
    }
    table = text_table_create(columns, shown);
    for (size_t cell = 0; cell < count * view.column_count; cell++) {
        size_t column = cell % view.column_count;
        char text[TOP_TEXT_MAX];

        if (!widths[column])
            continue;
        top_format(&view.columns[column], rows[cell / view.column_count], 0, text);
        text_table_add(table, "%s", *text ? text : "-");
    }
    text_table_print(table, stdout, width);
    text_table_destroy(table);
}

/* Those that could not be asked, or not for everything, and why. */
static void print_problems(const struct top_node *const *rows, size_t count)
{
    bool some = false;

    for (size_t i = 0; i < count; i++) {
        if (rows[i]->problem[0])
            printf("%s%s: %s\n", some ? "" : "\n", rows[i]->name, rows[i]->problem);
        some |= rows[i]->problem[0];
    }
}

static int print_table(const struct node_config *nodes, size_t count, const struct answer *answers)
{
    struct top_node *rows = calloc(count, sizeof *rows);
    const struct top_node **pointers = calloc(count, sizeof *pointers);
    int err = rows && pointers ? 0 : -1;

    for (size_t i = 0; err == 0 && i < count; i++) {
        top_node_fill(&rows[i], answers[i].status, answers[i].clock);
        top_node_explain(&rows[i], answers[i].status_problem, answers[i].clock_problem);
        memcpy(rows[i].name, nodes[i].name, sizeof rows[i].name);
        pointers[i] = &rows[i];
    }
    if (err == 0) {
        print_nodes(pointers, count, text_table_terminal_width());
        print_problems(pointers, count);
    }
    free(pointers);
    free(rows);
    return err;
}

/* Exit status. */
static int show_nodes(const struct node_config *nodes, size_t count, bool json)
{
    struct answer *answers = calloc(count, sizeof *answers);
    int err = answers ? fetch_all(nodes, count, answers) : -1, exit_status = 0;

    if (err == 0 && json)
        print_json(nodes, count, answers);
    else if (err == 0)
        err = print_table(nodes, count, answers);
    if (err < 0)
        fprintf(stderr, "lockstep: no memory\n");
    for (size_t i = 0; answers && i < count; i++) {
        if (!answers[i].status || !answers[i].clock)
            exit_status = 1;
        json_object_put(answers[i].status);
        json_object_put(answers[i].clock);
    }
    free(answers);
    return err < 0 ? 1 : exit_status;
}

/* --- the command -------------------------------------------------------------------------------------------- */

static int status_main(int argc, char **argv)
{
    static struct status_options options;
    struct node_config *nodes;
    int exit_status;
    long count;

    if (option_run(&program, argc, argv, &options, &exit_status) < 0)
        return exit_status;
    if (!options.nodes && !options.chosen[0][0])
        return show_here(&options);
    count = nodes_choose(options.nodes_file, options.chosen, &nodes);
    if (count == 0)
        fprintf(stderr, "lockstep: %s names no nodes\n", *options.nodes_file ? options.nodes_file : NODES_FILE);
    exit_status = count > 0 ? show_nodes(nodes, (size_t)count, options.json) : 2;
    free(nodes);
    return exit_status;
}

const struct command command_status = {"status", &program, status_main, NULL};
