/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep connections: the accelerated sockets and, on request, those that stayed with the kernel. */
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/units.h"
#include "tools/command.h"
#include "tools/follow.h"
#include "tools/report.h"

struct connections_options {
    char runtime_dir[90];
    bool json, all, follow;
};

static const struct option_entry entries[] = {
    {"runtime-dir",
     'd',
     "The service's directory. Default: $LOCKSTEP_RUNTIME_DIR, else " CONTROL_DEFAULT_DIR ".",
     {VALUE_TEXT(struct connections_options, runtime_dir)},
     "DIR"},
    {"all",
     'a',
     "Also the sockets that stayed with the kernel, and why (the latest of them).",
     {VALUE_BOOL(struct connections_options, all)},
     NULL},
    {"follow",
     'f',
     "Print what happens from now on, as it happens, until interrupted; also across restarts of the service.",
     {VALUE_BOOL(struct connections_options, follow)},
     NULL},
    {"json",
     'j',
     "Print the service's report as a JSON document; it always has all sockets. With --follow a document a line.",
     {VALUE_BOOL(struct connections_options, json)},
     NULL},
    {0},
};

static const struct option_program program = {
    .name = "lockstep connections",
    .summary = "Show the accelerated sockets.",
    .entries = entries,
};

static const char *endpoint(struct json_object *socket, const char *key)
{
    const char *text = report_text(socket, key);

    return *text ? text : "*";
}

static void add_ends(struct text_table *table, struct json_object *socket)
{
    text_table_add(table, "%s", report_text(socket, "protocol"));
    text_table_add(table, "%s", endpoint(socket, "local"));
    text_table_add(table, "%s", endpoint(socket, "remote"));
}

static void add_program(struct text_table *table, struct json_object *socket)
{
    text_table_add(table, "%" PRIu64 "/%s", report_number(socket, "pid"), report_text(socket, "program"));
}

static void add_accelerated(struct text_table *table, struct json_object *socket)
{
    char received[UNITS_TEXT_MAX], sent[UNITS_TEXT_MAX];

    add_ends(table, socket);
    text_table_add(table, "%s", report_text(socket, "state"));
    add_program(table, socket);
    text_table_add(table, "%s", units_format_bytes(report_number(socket, "rx_bytes"), received));
    text_table_add(table, "%s", units_format_bytes(report_number(socket, "tx_bytes"), sent));
    text_table_add(table, "%" PRIu64, report_number(socket, "drops") + report_number(socket, "ring_drops"));
    text_table_add(table, "%" PRIu64, report_number(socket, "retransmissions"));
}

static void add_kernel(struct text_table *table, struct json_object *socket)
{
    add_ends(table, socket);
    add_program(table, socket);
    text_table_add(table, "%s", report_text(socket, "reason"));
}

static const struct table_column accelerated_columns[] = {
    {"PROTO", false, 0}, {"LOCAL", false, 0}, {"REMOTE", false, 0}, {"STATE", false, 0}, {"PROGRAM", false, 8},
    {"RX", true, 0},     {"TX", true, 0},     {"LOST", true, 0},    {"RETR", true, 0}};
static const struct table_column kernel_columns[] = {{"PROTO", false, 0},
                                                     {"LOCAL", false, 0},
                                                     {"REMOTE", false, 0},
                                                     {"PROGRAM", false, 8},
                                                     {"WHY IT STAYED WITH THE KERNEL", false, 29}};
static const struct report_table accelerated_table = {
    .key = "flows",
    .empty = "No socket is accelerated at present.",
    .columns = accelerated_columns,
    .column_count = sizeof accelerated_columns / sizeof *accelerated_columns,
    .add_row = add_accelerated,
};
static const struct report_table kernel_table = {
    .key = "kernel",
    .empty = "No socket has stayed with the kernel.",
    .columns = kernel_columns,
    .column_count = sizeof kernel_columns / sizeof *kernel_columns,
    .add_row = add_kernel,
};

void connections_print(struct json_object *connections, bool all, FILE *out, unsigned width)
{
    report_print_table(connections, &accelerated_table, out, width);
    if (all) {
        fputc('\n', out);
        report_print_table(connections, &kernel_table, out, width);
    }
}

static int connections_main(int argc, char **argv)
{
    static struct connections_options options;
    struct json_object *report;
    struct netd_client *client;
    int exit_status;

    if (option_run(&program, argc, argv, &options, &exit_status) < 0)
        return exit_status;
    if (options.follow)
        return follow_events(options.runtime_dir, options.json);
    client = report_connect(options.runtime_dir);
    if (!client)
        return 1;
    report = report_fetch(client, CONTROL_REPORT_CONNECTIONS);
    client_close(client);
    if (!report)
        return 1;
    if (options.json)
        report_print_json(report, stdout);
    else
        connections_print(report, options.all, stdout, text_table_terminal_width());
    json_object_put(report);
    return 0;
}

const struct command command_connections = {"connections", &program, connections_main, NULL};
