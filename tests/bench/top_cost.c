/* SPDX-License-Identifier: BSD-2-Clause */
/* What a refresh of `lockstep top` costs with the connections that a service has: its own code from the service's
 * answers to the terminal, which is a pseudo-terminal that is read. tests/bench/top_refresh makes the connections.
 * Usage: top_cost RUNTIME-DIR [ROUNDS [WIDTH HEIGHT]] */
#include <errno.h>
#include <pthread.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "monitor/json_report.h"
#include "platform/platform.h"
#include "tools/top_draw.h"
#include "tools/top_screen.h"

enum step { FETCH, COMPARE, LIST, DRAW, WHOLE, STEPS };

static const char *const step_names[STEPS] = {"fetch", "rates", "sort", "draw", "refresh"};

/* One way to show connections, and what each round took, ms. */
struct view {
    const char *name, *sort, *filter;
    bool details; /* of the first one, with its histogram */
    double *ms[STEPS];
    size_t rows;
};

static struct view views[] = {{.name = "by rate", .sort = "rx_bytes_per_s", .filter = ""},
                              {.name = "by p99", .sort = "latency_p99_ns", .filter = ""},
                              {.name = "by program", .sort = "program", .filter = ""},
                              {.name = "by address", .sort = "remote", .filter = ""},
                              {.name = "by state, filter", .sort = "state", .filter = "idle 10. estab"},
                              {.name = "details of one", .sort = "rx_bytes_per_s", .filter = "", .details = true}};

static void die(const char *what, int err)
{
    fprintf(stderr, "top_cost: %s: %s\n", what, strerror(-err));
    exit(1);
}

/* Reads what is drawn, so that the terminal never is what is waited for. */
static void *read_terminal(void *context)
{
    char bytes[65536];

    while (read(*(const int *)context, bytes, sizeof bytes) > 0)
        ;
    return NULL;
}

/* A terminal of this size takes the places of stdin and stdout; what stdout was is returned. */
static FILE *open_terminal(unsigned short width, unsigned short height)
{
    static int leader;
    struct winsize size = {.ws_col = width, .ws_row = height};
    FILE *out = fdopen(dup(STDOUT_FILENO), "w");
    pthread_t thread;
    int follower;

    if (!out || openpty(&leader, &follower, NULL, NULL, &size) < 0 || dup2(follower, STDIN_FILENO) < 0 ||
        dup2(follower, STDOUT_FILENO) < 0 || pthread_create(&thread, NULL, read_terminal, &leader) != 0)
        die("no terminal", -errno);
    setenv("TERM", "xterm-256color", 0);
    return out;
}

static size_t column_of(const char *name)
{
    const struct top_view *view = &top_views[TOP_CONNECTIONS];
    size_t i = 0;

    while (i + 1 < view->column_count && strcmp(view->columns[i].name, name) != 0)
        i++;
    return i;
}

static void fetch(struct netd_client *client, bool details, struct top_node *node, struct connection_table *table)
{
    struct json_object *status;
    int fd, err = report_ask(client, CONTROL_REPORT_STATUS, &status);

    if (err == 0)
        err = client_report(client, details ? CONTROL_REPORT_HISTOGRAMS : CONTROL_REPORT_TABLE, &fd);
    if (err == 0) {
        err = table_read(fd, table);
        close(fd);
    }
    if (err < 0)
        die("the service gives no report", err);
    top_node_fill(node, status, NULL);
    json_object_put(status);
}

static void draw(struct top_ui *ui, const struct top_data *data)
{
    static struct canvas canvas;
    int width, height;

    top_screen_size(&width, &height);
    if (canvas_resize(&canvas, width, height) < 0)
        die("canvas", -ENOMEM);
    top_ui_resize(ui, top_draw_list_rows(height));
    top_draw(ui, data, &canvas);
    top_screen_draw(&canvas, false);
}

static double ms_since(uint64_t *then_ns)
{
    uint64_t now_ns = platform_now_ns();
    double ms = (double)(now_ns - *then_ns) * 1e-6;

    *then_ns = now_ns;
    return ms;
}

static void refresh(struct netd_client *client, struct top_ui *ui, struct top_data *data, struct top_model *model,
                    struct top_node *node, struct view *view, unsigned round)
{
    struct connection_table table = {0};
    uint64_t began_ns = platform_now_ns(), then_ns = began_ns;

    fetch(client, view->details, node, &table);
    view->ms[FETCH][round] = ms_since(&then_ns);
    if (top_model_update(model, &table) < 0)
        die("model", -ENOMEM);
    view->ms[COMPARE][round] = ms_since(&then_ns);
    data->realtime_ns = (int64_t)platform_now_ns() + platform_realtime_offset_ns();
    ui->lists[TOP_CONNECTIONS].order = (struct top_order){column_of(view->sort), true};
    snprintf(ui->filter, sizeof ui->filter, "%s", view->filter);
    top_ui_refresh(ui, data);
    view->rows = ui->row_count;
    view->ms[LIST][round] = ms_since(&then_ns);
    if (view->details && ui->page == TOP_PAGE_LIST)
        top_ui_key(ui, data, TOP_KEY_ENTER);
    draw(ui, data);
    view->ms[DRAW][round] = ms_since(&then_ns);
    view->ms[WHOLE][round] = ms_since(&began_ns);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void print(FILE *out, unsigned rounds)
{
    struct rusage usage;

    fprintf(out, "%-18s %6s", "ms: median, 99 %", "rows");
    for (int step = 0; step < STEPS; step++)
        fprintf(out, " %15s", step_names[step]);
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        fprintf(out, "\n%-18s %6zu", views[i].name, views[i].rows);
        for (int step = 0; step < STEPS; step++) {
            double *ms = views[i].ms[step];

            qsort(ms, rounds, sizeof *ms, by_size);
            fprintf(out, "  %6.2f %7.2f", ms[rounds / 2], ms[rounds * 99 / 100]);
        }
    }
    getrusage(RUSAGE_SELF, &usage);
    fprintf(out, "\nprocessor time a refresh: top %.1f ms; %ld KiB at most\n",
            ((double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
             (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-3) /
                (rounds * (double)(sizeof views / sizeof *views)),
            usage.ru_maxrss);
}

int main(int argc, char **argv)
{
    const unsigned rounds = argc > 2 && atoi(argv[2]) > 0 ? (unsigned)atoi(argv[2]) : 100;
    FILE *out =
        open_terminal(argc > 4 ? (unsigned short)atoi(argv[3]) : 200, argc > 4 ? (unsigned short)atoi(argv[4]) : 60);
    struct top_model *model = top_model_create();
    struct top_node node = {.name = "bench"};
    struct top_data data = {.model = model, .nodes = &node, .node_count = 1};
    struct netd_client *client;
    struct top_ui ui;
    char problem[100];
    int err = client_connect(&client, argc > 1 ? argv[1] : NULL, "top_cost", 0, NULL);

    if (err < 0)
        die("no service", err);
    if (top_screen_open(true, problem) < 0)
        die(problem, -ENOTTY);
    top_ui_init(&ui, 1000000000);
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        for (int step = 0; step < STEPS; step++)
            views[i].ms[step] = calloc(rounds, sizeof(double));
        for (unsigned round = 0; round < rounds; round++)
            refresh(client, &ui, &data, model, &node, &views[i], round);
    }
    top_screen_close();
    print(out, rounds);
    client_close(client);
    top_ui_free(&ui);
    top_model_destroy(model);
    return 0;
}
