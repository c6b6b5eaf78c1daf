/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep clock: the subcommands, and those of them that are short. */
#include "tools/clock.h"
#include "monitor/clock_metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "platform/platform.h"
#include "tools/command.h"
#include "tools/report.h"
#include "tools/text_table.h"

#define CLOCK_HELP       "The clock's segment. Default: $LOCKSTEP_CLOCK, else /run/lockstep/clock."
#define RUNTIME_DIR_HELP "The daemon's directory. Default: $LOCKSTEP_RUNTIME_DIR, else /run/lockstep."

struct lockstep_clock *clock_open_segment(const char *path)
{
    const char *named = path && *path ? path : getenv("LOCKSTEP_CLOCK");
    struct lockstep_clock *clock = NULL;
    int err = lockstep_clock_open(path && *path ? path : NULL, &clock);

    if (err == 0)
        return clock;
    fprintf(stderr, "lockstep: clock %s: %s%s\n", named && *named ? named : "/run/lockstep/clock",
            lockstep_clock_error_text(err), err == -ENOENT ? ": is lockstep-clockd running?" : "");
    return NULL;
}

/* --- wait --------------------------------------------------------------------------------------------------- */

struct wait_options {
    char clock[PATH_MAX];
    uint64_t bound_ns, timeout_ns;
};

static const struct option_entry wait_entries[] = {
    {"clock", 'c', CLOCK_HELP, {VALUE_TEXT(struct wait_options, clock)}, "FILE"},
    {"bound",
     'b',
     "Wait until the error bound is at most this. 0: any.",
     {VALUE_DURATION(struct wait_options, bound_ns), .initial = "0"},
     NULL},
    {"timeout",
     't',
     "Give up after this time. 0: never.",
     {VALUE_DURATION(struct wait_options, timeout_ns), .initial = "0", .min = 0, .max = 2000000000000000},
     NULL},
    {0},
};

static const struct option_program wait_program = {
    .name = "lockstep clock wait",
    .summary = "Wait until the clock is synchronised.",
    .entries = wait_entries,
};

static int timeout_ms(const struct wait_options *options, uint64_t start_ns)
{
    uint64_t gone_ns = platform_now_ns() - start_ns;

    if (options->timeout_ns == 0)
        return -1;
    return options->timeout_ns > gone_ns ? (int)((options->timeout_ns - gone_ns + 999999) / 1000000) : 0;
}

/* A daemon that is not started yet is waited for, too. */
static struct lockstep_clock *wait_for_segment(const struct wait_options *options, uint64_t start_ns)
{
    struct lockstep_clock *clock;

    while (lockstep_clock_open(*options->clock ? options->clock : NULL, &clock) == -ENOENT &&
           timeout_ms(options, start_ns) != 0)
        usleep(50000);
    return clock_open_segment(options->clock);
}

static int wait_main(int argc, char **argv)
{
    static struct wait_options options;
    uint64_t start_ns = platform_now_ns();
    struct lockstep_clock *clock;
    int err, exit_status;

    if (option_run(&wait_program, argc, argv, &options, &exit_status) < 0)
        return exit_status;
    clock = wait_for_segment(&options, start_ns);
    if (!clock)
        return 1;
    err = lockstep_clock_wait(clock, (int64_t)options.bound_ns, timeout_ms(&options, start_ns));
    lockstep_clock_close(clock);
    if (err < 0)
        fprintf(stderr, "lockstep: the clock is not synchronised: %s\n", lockstep_clock_error_text(err));
    return err < 0 ? 1 : 0;
}

/* --- sources, stats ----------------------------------------------------------------------------------------- */

struct report_options {
    char runtime_dir[90], output[PATH_MAX];
    bool json, prometheus;
};

#define REPORT_ENTRIES                                                                                                 \
    {"runtime-dir", 'd', RUNTIME_DIR_HELP, {VALUE_TEXT(struct report_options, runtime_dir)}, "DIR"},                   \
    {                                                                                                                  \
        "json", 'j', "Print the daemon's report as a JSON document.", {VALUE_BOOL(struct report_options, json)}, NULL  \
    }

static const struct option_entry sources_entries[] = {REPORT_ENTRIES, {0}};

static const struct option_entry stats_entries[] = {
    REPORT_ENTRIES,
    {"prometheus",
     'p',
     "Print all figures in the text format of Prometheus.",
     {VALUE_BOOL(struct report_options, prometheus)},
     NULL},
    {"output",
     'o',
     "Write to a file, at once (for the node exporter's textfile collector), instead of to the terminal.",
     {VALUE_TEXT(struct report_options, output)},
     "FILE"},
    {0},
};

static const struct option_program sources_program = {
    .name = "lockstep clock sources",
    .summary = "Show the servers that the clock follows.",
    .entries = sources_entries,
};

static const struct option_program stats_program = {
    .name = "lockstep clock stats",
    .summary = "Show the statistics of each server.",
    .entries = stats_entries,
};

static int sources_main(int argc, char **argv)
{
    static struct report_options options;
    struct json_object *report;
    int exit_status;

    if (option_run(&sources_program, argc, argv, &options, &exit_status) < 0)
        return exit_status;
    report = clock_fetch(options.runtime_dir, "sources", false);
    if (!report)
        return 1;
    if (options.json)
        report_print_json(report, stdout);
    else
        clock_print_sources(report, stdout, text_table_terminal_width());
    json_object_put(report);
    return 0;
}

static int print_prometheus(const char *dir, struct json_object *stats, FILE *out)
{
    struct json_object *status = clock_fetch(dir, "status", false), *sources = NULL;

    if (status)
        sources = clock_fetch(dir, "sources", false);
    if (sources)
        clock_print_prometheus(status, sources, stats, out);
    json_object_put(status);
    json_object_put(sources);
    return sources ? 0 : 1;
}

static int print_stats(const struct report_options *options, struct json_object *stats, FILE *out)
{
    if (options->prometheus)
        return print_prometheus(options->runtime_dir, stats, out);
    if (options->json)
        report_print_json(stats, out);
    else
        clock_print_stats(stats, out, *options->output ? 0 : text_table_terminal_width());
    return 0;
}

static int write_stats(const struct report_options *options, struct json_object *stats)
{
    size_t length = 0;
    char *text = NULL;
    FILE *out = open_memstream(&text, &length);
    int exit_status = out ? print_stats(options, stats, out) : 1, err = -ENOMEM;

    if (out && fclose(out) == 0)
        err = exit_status == 0 ? file_write(options->output, text, length) : 0;
    if (err < 0)
        fprintf(stderr, "lockstep: cannot write %s: %s\n", options->output, error_text(err));
    free(text);
    return err < 0 ? 1 : exit_status;
}

static int stats_main(int argc, char **argv)
{
    static struct report_options options;
    struct json_object *stats;
    int exit_status;

    if (option_run(&stats_program, argc, argv, &options, &exit_status) < 0)
        return exit_status;
    stats = clock_fetch(options.runtime_dir, "stats", false);
    if (!stats)
        return 1;
    exit_status = *options.output ? write_stats(&options, stats) : print_stats(&options, stats, stdout);
    json_object_put(stats);
    return exit_status;
}

/* --- record ------------------------------------------------------------------------------------------------- */

struct record_options {
    char runtime_dir[90], output[PATH_MAX];
    int64_t count;
    uint64_t duration_ns;
};

static const struct option_entry record_entries[] = {
    {"runtime-dir", 'd', RUNTIME_DIR_HELP, {VALUE_TEXT(struct record_options, runtime_dir)}, "DIR"},
    {"output", 'o', "Write to a file. Default: standard output.", {VALUE_TEXT(struct record_options, output)}, "FILE"},
    {"count",
     'n',
     "End after so many exchanges. 0: never.",
     {VALUE_INT(struct record_options, count), .initial = "0", .min = 0, .max = INT64_MAX},
     NULL},
    {"duration",
     't',
     "End after this time. 0: never.",
     {VALUE_DURATION(struct record_options, duration_ns), .initial = "0"},
     NULL},
    {0},
};

static const struct option_program record_program = {
    .name = "lockstep clock record",
    .summary = "Record the exchanges with the servers, for \"lockstep clock replay\".",
    .entries = record_entries,
};

/* Copies as many whole lines of exchanges as are still wanted; the head's lines do not count. Returns how many bytes.
 */
static size_t wanted_bytes(const char *text, size_t length, uint64_t *lines, uint64_t wanted)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n' && ++*lines == wanted)
            return i + 1;
    }
    return length;
}

/* Until enough lines or enough time have passed, or the daemon ends. */
static int copy_stream(int fd, FILE *out, const struct record_options *options)
{
    uint64_t lines = 0, wanted = options->count > 0 ? (uint64_t)options->count + 2 : UINT64_MAX;
    uint64_t end_ns = options->duration_ns ? platform_now_ns() + options->duration_ns : UINT64_MAX;
    struct pollfd pollfd = {fd, POLLIN, 0};
    char text[16384];

    while (lines < wanted) {
        uint64_t now_ns = platform_now_ns();
        uint64_t left_ms = end_ns == UINT64_MAX ? 3600000 : now_ns < end_ns ? (end_ns - now_ns) / 1000000 + 1 : 0;
        ssize_t length;

        if (left_ms == 0)
            return 0;
        if (poll(&pollfd, 1, left_ms < 3600000 ? (int)left_ms : 3600000) <= 0)
            continue;
        length = recv(fd, text, sizeof text, 0);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0) {
            fprintf(stderr, "lockstep: the clock daemon has ended the recording\n");
            return 1;
        }
        if (fwrite(text, 1, wanted_bytes(text, (size_t)length, &lines, wanted), out) == 0 || fflush(out) != 0) {
            fprintf(stderr, "lockstep: cannot write: %s\n", error_text(-errno));
            return 1;
        }
    }
    return 0;
}

static int record_main(int argc, char **argv)
{
    static struct record_options options;
    int fd, exit_status;
    FILE *out = stdout;

    if (option_run(&record_program, argc, argv, &options, &exit_status) < 0)
        return exit_status;
    fd = clock_ask(options.runtime_dir, "record", false);
    if (fd < 0)
        return 1;
    if (*options.output)
        out = fopen(options.output, "we");
    if (!out) {
        fprintf(stderr, "lockstep: cannot write %s: %s\n", options.output, error_text(-errno));
        close(fd);
        return 1;
    }
    exit_status = copy_stream(fd, out, &options);
    if (out != stdout && fclose(out) != 0)
        exit_status = 1;
    close(fd);
    return exit_status;
}

/* --- the commands ------------------------------------------------------------------------------------------- */

static const struct command clock_sources = {"sources", &sources_program, sources_main, NULL};
static const struct command clock_stats = {"stats", &stats_program, stats_main, NULL};
static const struct command clock_wait = {"wait", &wait_program, wait_main, NULL};
static const struct command clock_record = {"record", &record_program, record_main, NULL};

static const struct command *const subcommands[] = {&clock_status,  &clock_sources, &clock_stats,  &clock_wait,
                                                    &clock_compare, &clock_record,  &clock_replay, NULL};

static const struct option_program program = {
    .name = "lockstep clock",
    .summary = "Show and compare the clock: status, sources, stats, wait, compare, record, replay.",
    .arguments = "COMMAND [OPTION...]",
    .entries = command_no_options,
};

const struct command command_clock = {"clock", &program, NULL, subcommands};
