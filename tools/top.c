/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep top: a live view of nodes, connections and programs. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "platform/platform.h"
#include "service/control.h"
#include "tools/command.h"
#include "tools/top_batch.h"
#include "tools/top_draw.h"
#include "tools/top_screen.h"
#include "tools/top_source.h"

#define NOTE_NS 5000000000u /* how long a note is shown */

struct top_options {
    char runtime_dir[90], nodes_file[PATH_MAX], sort[40], filter[TOP_FILTER_MAX];
    char nodes[NODES_CHOSEN_MAX][NODE_URL_MAX];
    int view;
    bool batch, json, csv, monochrome;
    int64_t count, limit;
    uint64_t delay_ns;
};

static const char *const view_names[] = {"nodes", "connections", "programs", NULL};

static const struct option_entry entries[] = {
    {"view",
     'v',
     "What to show (first).",
     {VALUE_ENUM(struct top_options, view, view_names), .initial = "connections"},
     NULL},
    {"sort",
     's',
     "Column to sort by, by its title or its name in CSV; with - before it, the other way round.",
     {VALUE_TEXT(struct top_options, sort)},
     "COLUMN"},
    {"filter",
     'f',
     "Show rows only that have all these words in their texts: program, addresses, state ...",
     {VALUE_TEXT(struct top_options, filter)},
     "WORDS"},
    {"delay",
     'd',
     "Time between two looks.",
     {VALUE_DURATION(struct top_options, delay_ns), .initial = "1s", .min = TOP_INTERVAL_MIN_NS,
      .max = TOP_INTERVAL_MAX_NS},
     NULL},
    {"batch",
     'b',
     "Print plain tables, one a look, instead of drawing.",
     {VALUE_BOOL(struct top_options, batch)},
     NULL},
    {"csv", 0, "The same as CSV, with raw numbers.", {VALUE_BOOL(struct top_options, csv)}, NULL},
    {"json", 'j', "The same as JSON, one document a line.", {VALUE_BOOL(struct top_options, json)}, NULL},
    {"count",
     'n',
     "End after so many. 0: never.",
     {VALUE_INT(struct top_options, count), .initial = "0", .min = 0, .max = INT64_MAX / 2},
     NULL},
    {"limit",
     'l',
     "Print only the first rows of each. 0: all.",
     {VALUE_INT(struct top_options, limit), .initial = "0", .min = 0, .max = INT64_MAX / 2},
     NULL},
    {"node",
     'N',
     "Other node to watch, too, and to show first: a name of the nodes' file, or the URL of its lockstep-web.",
     {VALUE_TEXTS(struct top_options, nodes)},
     "NODE"},
    {"nodes-file",
     0,
     "The nodes; all of them are watched without --node. Default: " NODES_FILE ".",
     {VALUE_TEXT(struct top_options, nodes_file)},
     "FILE"},
    {"runtime-dir",
     0,
     "This node's services' directory. Default: $LOCKSTEP_RUNTIME_DIR, else " CONTROL_DEFAULT_DIR ".",
     {VALUE_TEXT(struct top_options, runtime_dir)},
     "DIR"},
    {"no-colour",
     0,
     "Use no colours, also if the terminal has them. So it is when NO_COLOR is set.",
     {VALUE_BOOL(struct top_options, monochrome)},
     NULL},
    {0},
};

static const struct option_program program = {
    .name = "lockstep top",
    .summary = "Watch nodes, connections and programs live.",
    .entries = entries,
};

struct app {
    const struct top_options *options;
    struct top_source *source;
    struct top_wish wish;
    struct top_model *model;
    struct top_node *nodes;
    struct top_data data;
    struct top_ui ui;
    struct canvas canvas;
    struct json_object *dump;
    const char *dump_problem;
    char note[TOP_NODE_PROBLEM_MAX];
    uint64_t note_end_ns, rounds;
};

/* --- data --------------------------------------------------------------------------------------------------- */

static void say(struct app *app, const char *note)
{
    snprintf(app->note, sizeof app->note, "%s", note);
    app->note_end_ns = platform_now_ns() + NOTE_NS;
}

/* A restart of the service is said: rates begin anew, and programs may have come late. */
static void notice_restart(struct app *app, const struct top_news *news)
{
    const struct table_header *before = top_model_header(app->model);

    if (before && before->instance != news->table.header.instance)
        say(app, "The service was started anew: connected again");
    else if (before && app->data.problem[0])
        say(app, "Connected again");
}

/* True: there was something new. */
static bool take_news(struct app *app)
{
    struct top_news news = {.nodes = app->nodes};

    if (!top_source_take(app->source, &news))
        return false;
    if (news.has_table) {
        notice_restart(app, &news);
        if (top_model_update(app->model, &news.table) < 0)
            table_free(&news.table);
        json_object_put(app->dump);
        app->dump = news.dump;
        app->dump_problem = news.dump_problem;
    } else {
        json_object_put(news.dump);
    }
    app->rounds = news.rounds;
    snprintf(app->data.problem, sizeof app->data.problem, "%s", news.problem);
    app->data.dump = app->wish.details ? app->dump : NULL;
    app->data.dump_problem = app->wish.details ? app->dump_problem : NULL;
    app->data.realtime_ns = (int64_t)platform_now_ns() + platform_realtime_offset_ns();
    top_ui_refresh(&app->ui, &app->data);
    return true;
}

/* What the screen needs now; the source is told if that has changed, or is to look at once. */
static void wish(struct app *app, bool now)
{
    const struct top_ui *ui = &app->ui;
    const struct top_connection *connection = NULL;
    struct top_wish wished = {.node = ui->node, .interval_ns = ui->interval_ns, .paused = ui->paused};

    if (ui->page == TOP_PAGE_DETAILS && ui->view == TOP_CONNECTIONS && ui->node == 0)
        connection = top_model_find(app->model, ui->detail_key);
    if (connection) {
        wished.details = true;
        wished.pid = connection->row->pid;
        wished.flow = connection->row->flow;
    }
    if (wished.flow != app->wish.flow || wished.pid != app->wish.pid) {
        json_object_put(app->dump);
        app->dump = app->data.dump = NULL;
        app->dump_problem = app->data.dump_problem = NULL;
    }
    if (!now && memcmp(&wished, &app->wish, sizeof wished) == 0)
        return;
    app->wish = wished;
    top_source_wish(app->source, &wished, now);
}

static void show_node(struct app *app)
{
    top_model_clear(app->model);
    app->data.node = app->ui.node;
    app->data.problem[0] = '\0';
    top_ui_refresh(&app->ui, &app->data);
}

/* --- the screen --------------------------------------------------------------------------------------------- */

static void draw(struct app *app, bool whole)
{
    char problem[TOP_NODE_PROBLEM_MAX];
    int width, height;

    top_screen_size(&width, &height);
    if (canvas_resize(&app->canvas, width, height) < 0)
        return;
    /* A note has the problem's place. */
    memcpy(problem, app->data.problem, sizeof problem);
    if (!problem[0] && platform_now_ns() < app->note_end_ns)
        memcpy(app->data.problem, app->note, sizeof app->data.problem);
    top_ui_resize(&app->ui, top_draw_list_rows(height));
    top_draw(&app->ui, &app->data, &app->canvas);
    memcpy(app->data.problem, problem, sizeof problem);
    top_screen_draw(&app->canvas, whole);
}

/* False: the user wants to leave. */
static bool act_on_keys(struct app *app, bool *whole)
{
    int key;

    while ((key = top_screen_key())) {
        enum top_action action = top_ui_key(&app->ui, &app->data, key);

        if (action == TOP_ACT_QUIT)
            return false;
        *whole |= action == TOP_ACT_REDRAW;
        if (action == TOP_ACT_NODE)
            show_node(app);
        wish(app, action == TOP_ACT_FETCH || action == TOP_ACT_NODE);
    }
    return true;
}

static bool has_colour(const struct top_options *options)
{
    const char *none = getenv("NO_COLOR");

    return !options->monochrome && !(none && *none);
}

static int run_screen(struct app *app)
{
    bool whole = false, alive = true;
    int64_t looks = 0;

    while (!top_screen_stopped() && alive) {
        uint64_t rounds = app->rounds;

        draw(app, whole);
        whole = false;
        alive = top_screen_wait(top_source_fd(app->source), app->note_end_ns > platform_now_ns() ? 1000 : -1);
        take_news(app);
        looks += app->rounds > rounds;
        if (!act_on_keys(app, &whole) || (app->options->count && looks > app->options->count))
            break;
    }
    return alive ? 0 : 1;
}

/* --- batch -------------------------------------------------------------------------------------------------- */

/* Until all nodes have answered once more, or have not in time. */
static void wait_for_round(struct app *app)
{
    struct pollfd pollfd = {.fd = top_source_fd(app->source), .events = POLLIN};
    uint64_t rounds = app->rounds;

    while (app->rounds == rounds) {
        poll(&pollfd, 1, -1);
        take_news(app);
    }
}

/* Whether something is not answered; it is said. Rows of a node that does not answer would be lies. */
static bool has_problem(struct app *app)
{
    bool found = false;

    if (app->ui.view != TOP_NODES) {
        if (app->data.problem[0]) {
            fprintf(stderr, "lockstep: %s\n", app->data.problem);
            top_model_clear(app->model);
            top_ui_refresh(&app->ui, &app->data);
        }
        return app->data.problem[0];
    }
    for (size_t i = 0; i < app->data.node_count; i++) {
        if (app->nodes[i].problem[0])
            fprintf(stderr, "lockstep: %s: %s\n", app->nodes[i].name, app->nodes[i].problem);
        found |= app->nodes[i].problem[0];
    }
    return found;
}

static int run_batch(struct app *app)
{
    const struct top_options *options = app->options;
    enum top_form form = options->json ? TOP_FORM_JSON : options->csv ? TOP_FORM_CSV : TOP_FORM_TABLE;
    bool problem;

    wait_for_round(app); /* what the rates of the first one count from */
    if (app->ui.view != TOP_NODES && has_problem(app))
        return 1;
    for (int64_t i = 0;; i++) {
        wait_for_round(app);
        problem = has_problem(app);
        top_batch_print(&app->ui, &app->data, form, (size_t)options->limit, i == 0, stdout);
        if (fflush(stdout) != 0) {
            fprintf(stderr, "lockstep: cannot write: %s\n", strerror(errno));
            return 1;
        }
        if (options->count && i + 1 >= options->count)
            return problem;
    }
}

/* --- the command -------------------------------------------------------------------------------------------- */

/* "P99", "latency_p99_ns", "-program". */
static int choose_order(struct top_ui *ui, const char *sort)
{
    const struct top_view *view = &top_views[ui->view];
    bool other = *sort == '-';

    for (size_t i = 0; *sort && i < view->column_count; i++) {
        const struct top_column *column = &view->columns[i];

        if (strcasecmp(column->title, sort + other) != 0 && strcmp(column->name, sort + other) != 0)
            continue;
        ui->lists[ui->view].order = (struct top_order){i, !top_is_text(column) != other};
        return 0;
    }
    if (!*sort)
        return 0;
    fprintf(stderr, "lockstep top: there is no column \"%s\" of %s:", sort + other, view->title);
    for (size_t i = 0; i < view->column_count; i++)
        fprintf(stderr, " %s", view->columns[i].title);
    fputc('\n', stderr);
    return -1;
}

static int open_app(struct app *app, const struct node_config *nodes, size_t count)
{
    int err;

    app->model = top_model_create();
    app->nodes = calloc(count + 1, sizeof *app->nodes);
    if (!app->model || !app->nodes)
        return -ENOMEM;
    for (size_t i = 0; i <= count; i++) {
        top_node_fill(&app->nodes[i], NULL, NULL);
        strcpy(app->nodes[i].problem, "not asked yet");
    }
    app->ui.node = app->options->nodes[0][0] ? 1 : 0;
    app->wish = (struct top_wish){.node = app->ui.node, .interval_ns = app->ui.interval_ns};
    app->data =
        (struct top_data){.model = app->model, .nodes = app->nodes, .node_count = count + 1, .node = app->ui.node};
    err = top_source_open(&app->source, app->options->runtime_dir, nodes, count, &app->wish);
    return err;
}

static void close_app(struct app *app)
{
    top_source_close(app->source);
    top_ui_free(&app->ui);
    top_model_destroy(app->model);
    canvas_free(&app->canvas);
    free(app->nodes);
    json_object_put(app->dump);
}

/* A signal that came while the screen was ours does what it does. */
static void end_by_signal(int number)
{
    sigset_t only;

    if (number == 0 || number == SIGINT)
        return;
    signal(number, SIG_DFL);
    raise(number);
    sigemptyset(&only);
    sigaddset(&only, number);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
}

static int run(struct app *app, const struct node_config *nodes, size_t count)
{
    const struct top_options *options = app->options;
    bool batch = options->batch || options->json || options->csv;
    char problem[100];
    int exit_status, err;

    if (!batch && top_screen_open(has_colour(options), problem) < 0) {
        fprintf(stderr, "lockstep top: %s\n", problem);
        return 2;
    }
    err = open_app(app, nodes, count);
    exit_status = err < 0 ? 1 : batch ? run_batch(app) : run_screen(app);
    if (!batch)
        top_screen_close();
    if (err < 0)
        fprintf(stderr, "lockstep top: cannot begin: %s\n", error_text(err));
    close_app(app);
    return exit_status;
}

static int top_main(int argc, char **argv)
{
    static struct top_options options;
    static struct app app;
    struct node_config *nodes = NULL;
    long count;
    int exit_status;

    if (option_run(&program, argc, argv, &options, &exit_status) < 0)
        return exit_status;
    app.options = &options;
    top_ui_init(&app.ui, options.delay_ns);
    app.ui.view = (enum top_view_id)options.view;
    memcpy(app.ui.filter, options.filter, sizeof app.ui.filter);
    if (choose_order(&app.ui, options.sort) < 0)
        return 2;
    count = nodes_choose(options.nodes_file, options.nodes, &nodes);
    exit_status = count < 0 ? 2 : run(&app, nodes, (size_t)count);
    free(nodes);
    end_by_signal(top_screen_stopped());
    return exit_status;
}

const struct command command_top = {"top", &program, top_main, NULL};
