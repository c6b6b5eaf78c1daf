/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep history: what has been, from the database that lockstep-historyd records. */
#include "tools/history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "monitor/history_run.h"
#include "tools/command.h"
#include "tools/text_table.h"

struct history_options {
    char database[HISTORY_PATH_MAX], since[40], until[40], program[64], name[96], connection[64];
    int64_t limit, run;
    bool table, csv, json;
};

#define DATABASE_ENTRY                                                                                                 \
    {                                                                                                                  \
        "database", 'D', "The database.",                                                                              \
            {VALUE_TEXT(struct history_options, database), .initial = HISTORY_DEFAULT_FILE}, "FILE"                    \
    }

#define TIME_ENTRIES                                                                                                   \
    DATABASE_ENTRY,                                                                                                    \
        {"since",                                                                                                      \
         's',                                                                                                          \
         "From this time on: 2h (ago; s, min, h, d, w), today, yesterday, 10:30, 2026-11-23, \"2026-11-23 10:30:15\" " \
         "(local; with Z at the end UTC), @SECONDS.",                                                                  \
         {VALUE_TEXT(struct history_options, since)},                                                                  \
         "TIME"},                                                                                                      \
    {                                                                                                                  \
        "until", 'u', "Up to this time.", {VALUE_TEXT(struct history_options, until)}, "TIME"                          \
    }

#define FORM_ENTRIES                                                                                                   \
    {"limit",                                                                                                          \
     'n',                                                                                                              \
     "The newest so many; 0: all.",                                                                                    \
     {VALUE_INT(struct history_options, limit), .initial = "100", .min = 0, .max = INT64_MAX},                         \
     "N"},                                                                                                             \
        {"table", 't', "Print a table (the default).", {VALUE_BOOL(struct history_options, table)}, NULL},             \
        {"csv", 'c', "Print CSV, with a line of names.", {VALUE_BOOL(struct history_options, csv)}, NULL},             \
    {                                                                                                                  \
        "json", 'j', "Print a JSON object a line.", {VALUE_BOOL(struct history_options, json)}, NULL                   \
    }

static const struct option_entry socket_entries[] = {
    TIME_ENTRIES,
    {"program",
     'p',
     "Of this program; * stands for any characters.",
     {VALUE_TEXT(struct history_options, program)},
     "NAME"},
    {"connection",
     'C',
     "With this address, :PORT, or ADDRESS:PORT, local or remote.",
     {VALUE_TEXT(struct history_options, connection)},
     "END"},
    FORM_ENTRIES,
    {0},
};

static const struct option_entry named_entries[] = {
    TIME_ENTRIES,
    {"name", 0, "Of this name; * stands for any characters.", {VALUE_TEXT(struct history_options, name)}, "NAME"},
    FORM_ENTRIES,
    {0},
};

static const struct option_entry time_entries[] = {TIME_ENTRIES, FORM_ENTRIES, {0}};

static const struct option_entry result_entries[] = {
    DATABASE_ENTRY,
    {"run",
     'r',
     "The run's ID. Default: the latest.",
     {VALUE_INT(struct history_options, run), .initial = "0", .min = 0, .max = INT64_MAX},
     "ID"},
    {"name",
     0,
     "Of this class or type of messages; * stands for any characters.",
     {VALUE_TEXT(struct history_options, name)},
     "NAME"},
    FORM_ENTRIES,
    {0},
};

static const struct option_entry database_entries[] = {DATABASE_ENTRY, {0}};

static const struct option_program programs[HISTORY_VIEWS] = {
    [HISTORY_VIEW_CONNECTIONS] = {"lockstep history connections", "Accelerated sockets that were open in the time.",
                                  NULL, socket_entries},
    [HISTORY_VIEW_KERNEL] = {"lockstep history kernel", "Sockets that stayed with the kernel, and why.", NULL,
                             socket_entries},
    [HISTORY_VIEW_COUNTERS] = {"lockstep history counters",
                               "Counters of interfaces, divert, guard and service, whenever they changed.", NULL,
                               named_entries},
    [HISTORY_VIEW_CLOCK] = {"lockstep history clock", "The clock's state, error, bound and rate.", NULL, time_entries},
    [HISTORY_VIEW_SOURCES] = {"lockstep history sources", "The clock's sources.", NULL, named_entries},
    [HISTORY_VIEW_RUNS] = {"lockstep history runs", "Runs of the test bed.", NULL, time_entries},
    [HISTORY_VIEW_RESULTS] = {"lockstep history results", "What a run of the test bed has measured.", NULL,
                              result_entries},
    [HISTORY_VIEW_EVENTS] = {"lockstep history events", "What happened to the service, its interfaces, the time.", NULL,
                             time_entries},
    [HISTORY_VIEW_GAPS] = {"lockstep history gaps", "When something was not recorded, and how much.", NULL,
                           time_entries},
};

/* --- the rows of a kind ------------------------------------------------------------------------------------- */

static int64_t now_ns(void)
{
    struct history_moment moment;

    history_moment_now(&moment);
    return moment.realtime_ns;
}

static int take_time(const char *option, const char *text, int64_t *ns)
{
    if (*text && history_time_parse(text, now_ns(), ns) < 0) {
        fprintf(stderr, "lockstep: --%s: \"%s\" is not a time like 2h, yesterday, 10:30 or \"2026-11-23 10:30\"\n",
                option, text);
        return -EINVAL;
    }
    return 0;
}

static int take_filter(const struct history_options *options, struct history_filter *filter)
{
    *filter = (struct history_filter){.since_ns = INT64_MIN,
                                      .until_ns = INT64_MAX,
                                      .program = options->program,
                                      .name = options->name,
                                      .run = options->run,
                                      .limit = options->limit};
    if (take_time("since", options->since, &filter->since_ns) < 0 ||
        take_time("until", options->until, &filter->until_ns) < 0)
        return -EINVAL;
    if (filter->since_ns > filter->until_ns) {
        fprintf(stderr, "lockstep: --since is later than --until\n");
        return -EINVAL;
    }
    if (*options->connection && history_filter_connection(filter, options->connection) < 0) {
        fprintf(stderr, "lockstep: --connection: \"%s\" is not ADDRESS, :PORT or ADDRESS:PORT\n", options->connection);
        return -EINVAL;
    }
    if (options->table + options->csv + options->json > 1) {
        fprintf(stderr, "lockstep: only one of --table, --csv and --json\n");
        return -EINVAL;
    }
    return 0;
}

static int complain(const char *problem)
{
    fprintf(stderr, "lockstep: %s\n", problem);
    return 1;
}

static int print_view(enum history_view view, const struct history_options *options,
                      const struct history_filter *filter)
{
    enum history_form form = options->csv ? HISTORY_CSV : options->json ? HISTORY_JSON : HISTORY_TABLE;
    char problem[HISTORY_QUERY_PROBLEM_MAX];
    sqlite3_stmt *statement = NULL;
    struct history_sql sql;
    int err;

    if (history_query_open(options->database, &sql, problem) < 0)
        return complain(problem);
    err = history_query_prepare(&sql, view, filter, &statement, problem);
    if (err == 0) {
        err = history_print_rows(statement, history_view_columns(view), form, stdout, text_table_terminal_width());
        if (err < 0)
            snprintf(problem, sizeof problem, "%.200s: %s", options->database, error_text(err));
        else if (form == HISTORY_TABLE && filter->limit > 0 && err >= filter->limit)
            printf("Only the newest %" PRId64 ": --limit shows more.\n", filter->limit);
    }
    sqlite3_finalize(statement);
    history_query_close(&sql);
    return err < 0 ? complain(problem) : 0;
}

static enum history_view view_of(const char *name)
{
    enum history_view view = 0;

    while (strcmp(history_view_names[view], name) != 0)
        view++;
    return view;
}

static int view_main(int argc, char **argv)
{
    enum history_view view = view_of(argv[0]);
    static struct history_options options;
    struct history_filter filter;
    int exit_status;

    if (option_run(&programs[view], argc, argv, &options, &exit_status) < 0)
        return exit_status;
    if (take_filter(&options, &filter) < 0)
        return 2;
    return print_view(view, &options, &filter);
}

/* --- one connection ----------------------------------------------------------------------------------------- */

static const struct option_program connection_program = {
    .name = "lockstep history connection",
    .summary = "One connection with all its counters, percentiles and histogram.",
    .arguments = "ID",
    .entries = database_entries,
};

static int print_connection(struct history_sql *sql, int64_t id, char *problem)
{
    struct history_filter filter = {.id = id};
    uint32_t buckets[LANE_STATS_SLOT_BUCKETS];
    sqlite3_stmt *statement = NULL;
    int err = history_query_prepare(sql, HISTORY_VIEW_CONNECTIONS, &filter, &statement, problem);

    if (err < 0)
        return err;
    err = history_query_histogram(sql, id, buckets);
    if (err == 0 && sqlite3_step(statement) == SQLITE_ROW) {
        history_print_row(statement, history_view_columns(HISTORY_VIEW_CONNECTIONS), stdout);
        history_print_histogram(buckets, stdout);
    } else {
        snprintf(problem, HISTORY_QUERY_PROBLEM_MAX, "connection %" PRId64 ": %s", id,
                 error_text(err ? err : LOCKSTEP_E_GONE));
        err = -ENOENT;
    }
    sqlite3_finalize(statement);
    return err;
}

static int connection_main(int argc, char **argv)
{
    static struct history_options options;
    char problem[HISTORY_QUERY_PROBLEM_MAX], *end = NULL;
    int exit_status, err, first = option_run(&connection_program, argc, argv, &options, &exit_status);
    struct history_sql sql;
    int64_t id;

    if (first < 0)
        return exit_status;
    id = first == argc - 1 ? strtoll(argv[first], &end, 10) : 0;
    if (!end || *end || id <= 0) {
        fprintf(stderr,
                "lockstep: which connection? One ID after the options; \"lockstep history connections\" has it\n");
        return 2;
    }
    if (history_query_open(options.database, &sql, problem) < 0)
        return complain(problem);
    err = print_connection(&sql, id, problem);
    history_query_close(&sql);
    return err < 0 ? complain(problem) : 0;
}

/* --- import ------------------------------------------------------------------------------------------------- */

#define IMPORT_BUSY_MS 10000

static const struct option_program import_program = {
    .name = "lockstep history import",
    .summary = "Put reports of the test bed (report.json) into the history.",
    .arguments = "FILE...",
    .entries = database_entries,
};

static int import_run(struct history_store *store, const struct history_run *run)
{
    struct history_moment now;
    int added, err;

    history_moment_now(&now);
    err = history_store_begin(store, &now);
    if (err < 0)
        return err;
    added = history_run_add(store, run, now.realtime_ns);
    if (added < 0) {
        history_store_rollback(store);
        return added;
    }
    err = history_store_commit(store);
    return err < 0 ? err : added;
}

static int import_file(struct history_store *store, const char *path)
{
    char problem[HISTORY_RUN_PROBLEM_MAX];
    struct history_run *run;
    int added;

    if (history_run_read(path, &run, problem) < 0) {
        fprintf(stderr, "lockstep: %s: %s\n", path, problem);
        return 1;
    }
    added = import_run(store, run);
    history_run_free(run);
    if (added < 0)
        fprintf(stderr, "lockstep: %s: cannot be written into the history: %s\n", path, error_text(added));
    else
        printf("%s: %s\n", path, added ? "is in the history now" : "was in the history already");
    return added < 0;
}

static int import_main(int argc, char **argv)
{
    const struct history_limits limits = {.size_max = UINT64_C(1) << 40, .busy_ms = IMPORT_BUSY_MS};
    static struct history_options options;
    int err, exit_status, first = option_run(&import_program, argc, argv, &options, &exit_status);
    struct history_store *store;

    if (first < 0)
        return exit_status;
    if (first == argc) {
        fprintf(stderr, "lockstep: which file? The test bed writes its report to DIR/report.json\n");
        return 2;
    }
    umask(0027);
    err = history_store_open(options.database, &limits, &store);
    if (err < 0) {
        fprintf(stderr, "lockstep: %s: %s\n", options.database,
                err == LOCKSTEP_E_BAD_FORMAT ? "is damaged, or no database" : error_text(err));
        return 1;
    }
    for (; first < argc; first++)
        exit_status |= import_file(store, argv[first]);
    history_store_close(store);
    return exit_status;
}

/* --- dispatch ----------------------------------------------------------------------------------------------- */

#define VIEW(view, name) static const struct command history_##name = {#name, &programs[view], view_main, NULL}
VIEW(HISTORY_VIEW_CONNECTIONS, connections);
VIEW(HISTORY_VIEW_KERNEL, kernel);
VIEW(HISTORY_VIEW_COUNTERS, counters);
VIEW(HISTORY_VIEW_CLOCK, clock);
VIEW(HISTORY_VIEW_SOURCES, sources);
VIEW(HISTORY_VIEW_RUNS, runs);
VIEW(HISTORY_VIEW_RESULTS, results);
VIEW(HISTORY_VIEW_EVENTS, events);
VIEW(HISTORY_VIEW_GAPS, gaps);
static const struct command history_connection = {"connection", &connection_program, connection_main, NULL};
static const struct command history_import = {"import", &import_program, import_main, NULL};

static const struct command *const subcommands[] = {
    &history_connections, &history_connection, &history_kernel, &history_counters, &history_clock,  &history_sources,
    &history_runs,        &history_results,    &history_events, &history_gaps,     &history_import, NULL};

static const struct option_program program = {
    .name = "lockstep history",
    .summary = "Show what has been: connections, decisions, counters, clock, runs of the test bed.",
    .arguments = "COMMAND",
    .entries = command_no_options,
};

const struct command command_history = {"history", &program, NULL, subcommands};
