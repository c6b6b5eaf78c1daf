/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep testbed: controller, listener, virtual LAN. */
#include "tools/testbed.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "monitor/history_run.h"
#include "testbed/controller.h"
#include "testbed/listener.h"
#include "testbed/node_clock.h"
#include "testbed/plan.h"
#include "testbed/report.h"
#include "testbed/virtual_lan.h"
#include "tools/command.h"
#include "tools/program.h"
#include "tools/report.h"
#include "tools/text_table.h"

struct run_options {
    struct controller_options controller;
    struct virtual_lan_options lan;
    char history[HISTORY_PATH_MAX];
    bool json;
};

/* Of run and virtual. */
#define RUN_ENTRIES                                                                                                    \
    {"pattern",                                                                                                        \
     'p',                                                                                                              \
     "The traffic pattern (CSV).",                                                                                     \
     {VALUE_TEXT(struct run_options, controller.pattern), .initial = LOCKSTEP_PATTERN},                                \
     "FILE"},                                                                                                          \
        {"output",                                                                                                     \
         'o',                                                                                                          \
         "Directory of the report; it is made if it is not there.",                                                    \
         {VALUE_TEXT(struct run_options, controller.output), .initial = "testbed-report"},                             \
         "DIR"},                                                                                                       \
        {"stack",                                                                                                      \
         's',                                                                                                          \
         "Stack to run on, kernel or lockstep; may be repeated. Default: both, interleaved.",                          \
         {VALUE_TEXTS(struct run_options, controller.stacks)},                                                         \
         "STACK"},                                                                                                     \
        {"phase",                                                                                                      \
         0,                                                                                                            \
         "When the types' messages leave: synchronised (all at once), staggered (planned so that they do not meet), "  \
         "random; may be repeated. Default: synchronised.",                                                            \
         {VALUE_TEXTS(struct run_options, controller.phases)},                                                         \
         "MODE"},                                                                                                      \
        {"rounds",                                                                                                     \
         'r',                                                                                                          \
         "Rounds on each stack.",                                                                                      \
         {VALUE_INT(struct run_options, controller.rounds), .initial = "3", .min = 1, .max = 64},                      \
         "N"},                                                                                                         \
        {"duration",                                                                                                   \
         'd',                                                                                                          \
         "Measured time of a round.",                                                                                  \
         {VALUE_DURATION(struct run_options, controller.duration_ns), .initial = "10s", .min = 1000000000,             \
          .max = 86400000000000},                                                                                      \
         NULL},                                                                                                        \
        {"warm-up",                                                                                                    \
         0,                                                                                                            \
         "Time before that, not measured.",                                                                            \
         {VALUE_DURATION(struct run_options, controller.warmup_ns), .initial = "1s", .max = 3600000000000},            \
         NULL},                                                                                                        \
        {"grace",                                                                                                      \
         0,                                                                                                            \
         "Time after it, for messages that are still under way.",                                                      \
         {VALUE_DURATION(struct run_options, controller.grace_ns), .initial = "1s", .min = 1000000,                    \
          .max = 3600000000000},                                                                                       \
         NULL},                                                                                                        \
        {"seed",                                                                                                       \
         0,                                                                                                            \
         "Seed of random phases.",                                                                                     \
         {VALUE_INT(struct run_options, controller.seed), .initial = "1", .min = 0, .max = INT64_MAX / 2},             \
         "N"},                                                                                                         \
        {"clock-limit",                                                                                                \
         0,                                                                                                            \
         "Error bound that every node's clock must be within.",                                                        \
         {VALUE_DURATION(struct run_options, controller.clock_limit_ns), .initial = "100us", .max = 1000000000},       \
         NULL},                                                                                                        \
        {"clock-patience",                                                                                             \
         0,                                                                                                            \
         "How long to wait for that.",                                                                                 \
         {VALUE_DURATION(struct run_options, controller.clock_patience_ns), .initial = "60s", .max = 3600000000000},   \
         NULL},                                                                                                        \
        {"late",                                                                                                       \
         0,                                                                                                            \
         "A message is sent late when it leaves so much after its planned time.",                                      \
         {VALUE_DURATION(struct run_options, controller.late_ns), .initial = "1ms", .max = 1000000000},                \
         NULL},                                                                                                        \
        {"spin",                                                                                                       \
         0,                                                                                                            \
         "Senders spin so long before a planned time instead of sleeping to it.",                                      \
         {VALUE_DURATION(struct run_options, controller.spin_ns), .initial = "0", .max = 1000000000},                  \
         NULL},                                                                                                        \
        {"busy",                                                                                                       \
         0,                                                                                                            \
         "Receivers poll without sleeping.",                                                                           \
         {VALUE_BOOL(struct run_options, controller.busy), .initial = "no"},                                           \
         NULL},                                                                                                        \
        {"echo",                                                                                                       \
         0,                                                                                                            \
         "Interval of the round trips that check the clocks; 0: none.",                                                \
         {VALUE_DURATION(struct run_options, controller.echo_period_ns), .initial = "50ms", .max = 60000000000},       \
         NULL},                                                                                                        \
        {"split",                                                                                                      \
         0,                                                                                                            \
         "Processes: one for each node and role, or one for each class, too.",                                         \
         {VALUE_ENUM(struct run_options, controller.split, plan_split_names), .initial = "node"},                      \
         NULL},                                                                                                        \
        {"confidence",                                                                                                 \
         0,                                                                                                            \
         "Level of the intervals in the comparison, per cent.",                                                        \
         {VALUE_INT(struct run_options, controller.level_percent), .initial = "95", .min = 50, .max = 99},             \
         "N"},                                                                                                         \
        {"history",                                                                                                    \
         0,                                                                                                            \
         "Directory of reports for lockstep-historyd(8), if it is there; none: no.",                                   \
         {VALUE_TEXT(struct run_options, history), .initial = HISTORY_DEFAULT_RUNS},                                   \
         "DIR"},                                                                                                       \
        {"title", 0, "Title of the report.", {VALUE_TEXT(struct run_options, controller.title)}, "TEXT"},              \
        {"raw",                                                                                                        \
         0,                                                                                                            \
         "Keep a log of every message, too.",                                                                          \
         {VALUE_BOOL(struct run_options, controller.raw), .initial = "no"},                                            \
         NULL},                                                                                                        \
        {"json", 'j', "Print the report as JSON instead of a table.", {VALUE_BOOL(struct run_options, json)}, NULL},   \
    {                                                                                                                  \
        "quiet", 'q', "No progress.", {VALUE_BOOL(struct run_options, controller.quiet), .initial = "no"}, NULL        \
    }

static const struct option_entry run_entries[] = {
    {"inventory",
     'i',
     "The nodes.",
     {VALUE_TEXT(struct run_options, controller.inventory), .initial = "/etc/lockstep/testbed.conf"},
     "FILE"},
    {"clock",
     0,
     "Time to stamp with: the Lockstep clock, or the system's.",
     {VALUE_ENUM(struct run_options, controller.clock, node_clock_kind_names), .initial = "lockstep"},
     NULL},
    {"assumed-bound",
     0,
     "What you state about the error of the system's clocks; 0: unknown, no type can pass.",
     {VALUE_DURATION(struct run_options, controller.assumed_bound_ns), .initial = "0", .max = 4000000000},
     NULL},
    RUN_ENTRIES,
    {0},
};

static const struct option_entry virtual_entries[] = {
    {"senders",
     0,
     "Sending nodes.",
     {VALUE_INT(struct run_options, lan.senders), .initial = "2", .min = 1, .max = 8},
     "N"},
    {"receivers",
     0,
     "Receiving nodes.",
     {VALUE_INT(struct run_options, lan.receivers), .initial = "1", .min = 1, .max = 7},
     "N"},
    {"rate",
     0,
     "Bits a second of each port (suffixes count by 1024); 0: without limit.",
     {VALUE_SIZE(struct run_options, lan.rate_bits_per_s), .initial = "1000000000"},
     NULL},
    {"queue",
     0,
     "Bytes that a port of the switch can hold; more is dropped.",
     {VALUE_SIZE(struct run_options, lan.queue_bytes), .initial = "1M", .min = 16384, .max = 1 << 30},
     NULL},
    {"profile",
     0,
     "Profile of accelerated senders (lockstep-profile(5)).",
     {VALUE_TEXT(struct run_options, lan.profile), .initial = "frugal"},
     "NAME"},
    {"receiver-profile",
     0,
     "Profile of accelerated receivers. Default: latency, without backing off, for receivers have cores of their own.",
     {VALUE_TEXT(struct run_options, lan.receiver_profile)},
     "NAME"},
    {"load",
     0,
     "Add a bulk stream of half the rate (iperf3, on the kernel's stack) and a busy process.",
     {VALUE_BOOL(struct run_options, lan.load), .initial = "no"},
     NULL},
    {"verbose",
     'v',
     "Show what the daemons say.",
     {VALUE_BOOL(struct run_options, lan.verbose), .initial = "no"},
     NULL},
    RUN_ENTRIES,
    {0},
};

static const struct option_entry check_entries[] = {
    {"inventory",
     'i',
     "The nodes.",
     {VALUE_TEXT(struct run_options, controller.inventory), .initial = "/etc/lockstep/testbed.conf"},
     "FILE"},
    {"json", 'j', "Print it as JSON.", {VALUE_BOOL(struct run_options, json)}, NULL},
    {0},
};

static const struct option_entry listener_entries[] = {
    {"listen", 'l', "Address to listen on. Default: all.", {VALUE_TEXT(struct listener_options, address)}, "ADDRESS"},
    {"port",
     'p',
     "Port to listen on.",
     {VALUE_INT(struct listener_options, port), .initial = "4077", .min = 1, .max = 65535},
     NULL},
    {"name",
     'n',
     "This node's name in the inventory. Default: the host's.",
     {VALUE_TEXT(struct listener_options, name)},
     "NAME"},
    {"key",
     'k',
     "File with the key that is shared with the controller.",
     {VALUE_TEXT(struct listener_options, key)},
     "FILE"},
    {"certificate",
     0,
     "Or: this node's certificate (PEM),",
     {VALUE_TEXT(struct listener_options, certificate)},
     "FILE"},
    {"certificate-key", 0, "its private key,", {VALUE_TEXT(struct listener_options, certificate_key)}, "FILE"},
    {"authority", 0, "and the certificates to trust.", {VALUE_TEXT(struct listener_options, authority)}, "FILE"},
    {"directory",
     'd',
     "For jobs and results, while a run lasts.",
     {VALUE_TEXT(struct listener_options, directory), .initial = "/var/lib/lockstep/testbed"},
     "DIR"},
    {"clock-path",
     0,
     "Segment of the Lockstep clock. Default: the usual one.",
     {VALUE_TEXT(struct listener_options, clock_path)},
     "FILE"},
    {"runtime-dir",
     0,
     "Directory of lockstep-netd. Default: the usual one.",
     {VALUE_TEXT(struct listener_options, runtime_dir)},
     "DIR"},
    {"profile",
     0,
     "Profile of accelerated processes (lockstep-profile(5)).",
     {VALUE_TEXT(struct listener_options, profile), .initial = "balanced"},
     "NAME"},
    {"testbench",
     0,
     "The program that sends and receives. Default: found beside this one.",
     {VALUE_TEXT(struct listener_options, testbench)},
     "FILE"},
    {0},
};

static const struct option_program run_program = {
    .name = "lockstep testbed run",
    .summary = "Play a pattern on the nodes of an inventory, and report.",
    .entries = run_entries,
};
static const struct option_program virtual_program = {
    .name = "lockstep testbed virtual",
    .summary = "Make a LAN of network namespaces, play a pattern on it, report, and take it down.",
    .entries = virtual_entries,
};
static const struct option_program check_program = {
    .name = "lockstep testbed check",
    .summary = "Tell what is not ready on the nodes of an inventory, and how to mend it.",
    .entries = check_entries,
};
static const struct option_program listener_program = {
    .name = "lockstep testbed listener",
    .summary = "Wait on a node for the controller.",
    .entries = listener_entries,
};

/* ---- the commands ---- */

/* For the history, which may not be there. */
static void leave_report(const char *directory, struct json_object *report)
{
    const char *text = json_object_to_json_string_ext(report, JSON_C_TO_STRING_PLAIN);
    int err;

    if (!*directory || strcmp(directory, "none") == 0)
        return;
    err = history_run_leave(directory, text, strlen(text));
    if (err < 0 && err != -ENOENT)
        log_info("testbed: the report is not in the history: cannot write to %s: %s", directory, error_text(err));
}

static int show_report(const struct run_options *options, struct json_object *report, int exit_status)
{
    if (!report)
        return exit_status;
    leave_report(options->history, report);
    if (options->json)
        report_print_json(report, stdout);
    else
        testbed_print_report(report, stdout, text_table_terminal_width());
    if (!options->json)
        printf("Report: %s/report.html (also report.json, report.csv, progress.jsonl)\n", options->controller.output);
    json_object_put(report);
    return exit_status;
}

static int run_main(int argc, char **argv)
{
    static struct run_options options;
    struct json_object *report;
    int exit_status;

    if (option_run(&run_program, argc, argv, &options, &exit_status) < 0)
        return exit_status ? 3 : 0;
    log_init("lockstep", LOG_LEVEL_INFO);
    exit_status = controller_main(&options.controller, &report);
    return show_report(&options, report, exit_status);
}

static bool accelerates(const struct run_options *options)
{
    return !options->controller.stacks[0][0] || strcmp(options->controller.stacks[0], "lockstep") == 0 ||
           strcmp(options->controller.stacks[1], "lockstep") == 0;
}

static int virtual_main(int argc, char **argv)
{
    static struct run_options options;
    char problem[VIRTUAL_PROBLEM_MAX];
    struct json_object *report = NULL;
    struct virtual_lan *lan;
    int exit_status;

    if (option_run(&virtual_program, argc, argv, &options, &exit_status) < 0)
        return exit_status ? 3 : 0;
    log_init("lockstep", LOG_LEVEL_INFO);
    options.lan.accelerated = accelerates(&options);
    options.controller.clock = NODE_CLOCK_LOCKSTEP;
    program_own_directory(options.lan.program_directory, sizeof options.lan.program_directory);
    snprintf(options.controller.note[0], sizeof *options.controller.note,
             "A virtual LAN: %" PRId64
             " nodes in network namespaces share this machine's %ld cores; receivers run on the upper half of "
             "them, all else on the lower.",
             options.lan.senders + options.lan.receivers + 1, sysconf(_SC_NPROCESSORS_ONLN));
    if (options.lan.load)
        snprintf(options.controller.note[1], sizeof *options.controller.note,
                 "With background load: a bulk stream of half the rate from send1 to recv1, and a busy process on the "
                 "senders' cores.");
    controller_catch_signals();
    if (virtual_lan_create(&options.lan, &lan, problem) < 0) {
        log_error("testbed: %s", problem);
        return 3;
    }
    snprintf(options.controller.inventory, sizeof options.controller.inventory, "%s", virtual_lan_inventory(lan));
    exit_status = virtual_lan_enter(lan) < 0 ? 3 : controller_main(&options.controller, &report);
    virtual_lan_destroy(lan);
    return show_report(&options, report, exit_status);
}

static int check_main(int argc, char **argv)
{
    static struct run_options options;
    struct json_object *report;
    int exit_status;

    if (option_run(&check_program, argc, argv, &options, &exit_status) < 0)
        return exit_status ? 3 : 0;
    log_init("lockstep", LOG_LEVEL_INFO);
    exit_status = controller_check(&options.controller, &report);
    if (report && options.json)
        report_print_json(report, stdout);
    else if (report)
        testbed_print_check(report, stdout, text_table_terminal_width());
    json_object_put(report);
    return exit_status;
}

static int listen_main(int argc, char **argv)
{
    static struct listener_options options;
    static const char *const places[] = {"lockstep-testbench", "../testbed/lockstep-testbench"};
    char directory[200], path[256];
    int exit_status;

    if (option_run(&listener_program, argc, argv, &options, &exit_status) < 0)
        return exit_status;
    log_init("lockstep-listener", LOG_LEVEL_INFO);
    program_own_directory(directory, sizeof directory);
    snprintf(options.lockstep_program, sizeof options.lockstep_program, "%.180slockstep", directory);
    for (size_t i = 0; i < sizeof places / sizeof *places && !options.testbench[0]; i++) {
        snprintf(path, sizeof path, "%s%s", directory, places[i]);
        if (access(path, X_OK) == 0)
            snprintf(options.testbench, sizeof options.testbench, "%.199s", path);
    }
    if (!options.testbench[0])
        snprintf(options.testbench, sizeof options.testbench, "lockstep-testbench");
    if (!options.name[0])
        gethostname(options.name, sizeof options.name - 1);
    return listener_main(&options);
}

static const struct command testbed_run = {"run", &run_program, run_main, NULL};
static const struct command testbed_virtual = {"virtual", &virtual_program, virtual_main, NULL};
static const struct command testbed_check = {"check", &check_program, check_main, NULL};
static const struct command testbed_listener = {"listener", &listener_program, listen_main, NULL};

static const struct command *const subcommands[] = {&testbed_run, &testbed_virtual, &testbed_check, &testbed_listener,
                                                    NULL};

static const struct option_program program = {
    .name = "lockstep testbed",
    .summary = "Play a LAN's real traffic and measure every message's latency: run, virtual, check, listener.",
    .arguments = "COMMAND [OPTION...]",
    .entries = command_no_options,
};

const struct command command_testbed = {"testbed", &program, NULL, subcommands};
