/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep dump: the whole state of a program's stack, as the program itself tells it. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "monitor/dump_client.h"
#include "tools/command.h"
#include "tools/report.h"

#define STEP 2 /* blanks a level */

struct dump_options {
    char runtime_dir[90];
    char connection[2 * NET_ENDPOINT_TEXT_MAX];
    int64_t flow;
    uint64_t timeout_ns;
    bool json, text;
};

static const struct option_entry entries[] = {
    {"runtime-dir",
     'd',
     "The service's directory. Default: $LOCKSTEP_RUNTIME_DIR, else " CONTROL_DEFAULT_DIR ".",
     {VALUE_TEXT(struct dump_options, runtime_dir)},
     "DIR"},
    {"connection",
     'c',
     "Only the sockets with these addresses, as `lockstep connections` shows them; without REMOTE with every peer.",
     {VALUE_TEXT(struct dump_options, connection)},
     "LOCAL[-REMOTE]"},
    {"flow",
     'f',
     "Only the socket with this flow id.",
     {VALUE_INT(struct dump_options, flow), .min = 1, .max = UINT32_MAX},
     "ID"},
    {"timeout",
     't',
     "Give up when the program says nothing for so long.",
     {VALUE_DURATION(struct dump_options, timeout_ns), .initial = "3s", .min = 1000000, .max = 3600000000000},
     NULL},
    {"json",
     'j',
     "Print the document as the program wrote it: JSON in one line. So it is when the output is no terminal.",
     {VALUE_BOOL(struct dump_options, json)},
     NULL},
    {"text",
     'T',
     "Print it for people, also when the output is no terminal.",
     {VALUE_BOOL(struct dump_options, text)},
     NULL},
    {0},
};

static const struct option_program program = {
    .name = "lockstep dump",
    .summary = "Show the whole state of a program's stack.",
    .arguments = "PID",
    .entries = entries,
};

/* ---- For people ---- */

struct printer {
    FILE *out;
    unsigned width, column;
};

/* Text that a program gave may hold anything. */
static void print_safely(const char *text, FILE *out)
{
    for (; *text; text++)
        fputc(*text >= ' ' && *text <= '~' ? *text : '?', out);
}

static bool is_group(struct json_object *value)
{
    if (json_object_is_type(value, json_type_array))
        return json_object_array_length(value) > 0 &&
               json_object_is_type(json_object_array_get_idx(value, 0), json_type_object);
    return json_object_is_type(value, json_type_object);
}

/* Of a value that is no group. */
static const char *value_text(struct json_object *value)
{
    if (!value)
        return "-";
    if (json_object_is_type(value, json_type_boolean))
        return json_object_get_boolean(value) ? "yes" : "no";
    if (json_object_is_type(value, json_type_array) && json_object_array_length(value) == 0)
        return "none";
    return json_object_get_string(value);
}

static void print_pair(struct printer *printer, const char *key, struct json_object *value, unsigned indent)
{
    const char *text = value_text(value);
    unsigned length = (unsigned)(strlen(key) + 1 + strlen(text));

    if (printer->column > indent && printer->width > 0 && printer->column + 2 + length > printer->width) {
        fputc('\n', printer->out);
        printer->column = 0;
    }
    fprintf(printer->out, "%*s", printer->column == 0 ? (int)indent : 2, "");
    printer->column += (printer->column == 0 ? indent : 2) + length;
    print_safely(key, printer->out);
    fputc(' ', printer->out);
    print_safely(text, printer->out);
}

static void print_members(struct printer *printer, struct json_object *object, unsigned indent);

static void print_group(struct printer *printer, const char *key, struct json_object *value, unsigned indent)
{
    size_t count = json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 1;

    for (size_t i = 0; i < count; i++) {
        struct json_object *one =
            json_object_is_type(value, json_type_array) ? json_object_array_get_idx(value, i) : value;

        fprintf(printer->out, "%*s", (int)indent, "");
        print_safely(key, printer->out);
        fputs(":\n", printer->out);
        print_members(printer, one, indent + STEP);
    }
}

/* Plain values first, in lines; then what has members of its own. */
static void print_members(struct printer *printer, struct json_object *object, unsigned indent)
{
    if (!json_object_is_type(object, json_type_object))
        return;
    printer->column = 0;
    json_object_object_foreach(object, key, value)
    {
        if (!is_group(value))
            print_pair(printer, key, value, indent);
    }
    if (printer->column > 0)
        fputc('\n', printer->out);
    json_object_object_foreach(object, group, members)
    {
        if (is_group(members))
            print_group(printer, group, members, indent);
    }
}

static void print_list(struct printer *printer, struct json_object *document, const char *key, const char *title)
{
    for (size_t i = 0; i < report_count(document, key); i++) {
        fprintf(printer->out, "\n%s %zu\n", title, i + 1);
        print_members(printer, report_element(document, key, i), STEP);
    }
}

void dump_print_sockets(struct json_object *document, FILE *out, unsigned width)
{
    struct printer printer = {out, width, 0};

    print_list(&printer, document, "sockets", "socket");
    print_list(&printer, document, "closing", "connection without a socket");
}

void dump_print(struct json_object *document, FILE *out, unsigned width)
{
    struct printer printer = {out, width, 0};

    fputs("process ", out);
    fprintf(out, "%" PRIu64 " (", report_number(document, "pid"));
    print_safely(report_text(document, "program"), out);
    fputs("), Lockstep ", out);
    print_safely(report_text(document, "lockstep_version"), out);
    fputs("\n\nstack\n", out);
    print_members(&printer, report_member(document, "stack"), STEP);
    dump_print_sockets(document, out, width);
    print_list(&printer, document, "epoll_sets", "epoll set");
    print_list(&printer, document, "routes", "route");
}

/* ---- The command ---- */

/* "LOCAL-REMOTE" or "LOCAL". */
static int parse_connection(const char *text, struct control_dump *request)
{
    char local[2 * NET_ENDPOINT_TEXT_MAX];
    const char *minus = strchr(text, '-');

    snprintf(local, sizeof local, "%.*s", (int)(minus ? minus - text : (long)strlen(text)), text);
    if (net_endpoint_parse(local, &request->local) < 0 || request->local.port == 0)
        return LOCKSTEP_E_BAD_FORMAT;
    if (minus && (net_endpoint_parse(minus + 1, &request->remote) < 0 || request->remote.port == 0))
        return LOCKSTEP_E_BAD_FORMAT;
    return 0;
}

static int bad_line(const char *what, const char *text)
{
    fprintf(stderr, "lockstep dump: %s: %.100s\nTry \"lockstep help dump\".\n", what, text);
    return 2;
}

static int make_request(const struct dump_options *options, int argc, char **argv, int first,
                        struct control_dump *request)
{
    char *end;
    unsigned long pid;

    *request = (struct control_dump){.flow_id = (uint32_t)options->flow};
    if (argc - first != 1)
        return bad_line("give one process id", argc - first == 0 ? "there is none" : argv[first + 1]);
    pid = strtoul(argv[first], &end, 10);
    if (argv[first][0] < '0' || argv[first][0] > '9' || *end || pid == 0 || pid > INT32_MAX)
        return bad_line("not a process id", argv[first]);
    request->pid = (uint32_t)pid;
    if (options->connection[0] && options->flow)
        return bad_line("--connection and --flow exclude each other", options->connection);
    if (options->connection[0] && parse_connection(options->connection, request) < 0)
        return bad_line("--connection: not LOCAL-REMOTE (addresses with ports)", options->connection);
    return 0;
}

/* Exit status. */
static int show(const struct dump_options *options, const struct control_dump *request, struct json_object *document,
                const char *text)
{
    size_t found = report_count(document, "sockets") + report_count(document, "closing");

    if (options->json || (!options->text && !isatty(STDOUT_FILENO)))
        puts(text);
    else
        dump_print(document, stdout, text_table_terminal_width());
    if (fflush(stdout) != 0) {
        fprintf(stderr, "lockstep dump: cannot write: %s\n", strerror(errno));
        return 1;
    }
    if (found == 0 && (request->flow_id || request->local.port)) {
        fprintf(stderr, "lockstep: process %" PRIu32 " has no such socket\n", request->pid);
        return 1;
    }
    return 0;
}

/* The service does not tell those that have ended from those that were never accelerated. */
static const char *problem_of(uint32_t pid, int err)
{
    if (err == LOCKSTEP_E_GONE && kill((pid_t)pid, 0) < 0 && errno == ESRCH)
        return "does not exist (any more)";
    return dump_problem(err);
}

static int dump_main(int argc, char **argv)
{
    static struct dump_options options;
    struct control_dump request;
    struct json_object *document;
    struct netd_client *client;
    int exit_status, err, first = option_run(&program, argc, argv, &options, &exit_status);
    char *text;

    if (first < 0)
        return exit_status;
    exit_status = make_request(&options, argc, argv, first, &request);
    if (exit_status != 0)
        return exit_status;
    client = report_connect(options.runtime_dir);
    if (!client)
        return 1;
    err = dump_ask(client, &request, options.timeout_ns, &document, &text);
    client_close(client);
    if (err < 0) {
        fprintf(stderr, "lockstep: process %" PRIu32 " %s\n", request.pid, problem_of(request.pid, err));
        return 1;
    }
    exit_status = show(&options, &request, document, text);
    json_object_put(document);
    free(text);
    return exit_status;
}

const struct command command_dump = {"dump", &program, dump_main, NULL};
