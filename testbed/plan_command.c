/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/plan_command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "platform/platform.h"
#include "testbed/plan.h"
#include "testbed/round.h"

#define NODES_MAX     16
#define NODE_TEXT_MAX 96 /* NAME=ADDRESS */
#define US_PER_NS     1000.0

struct options {
    char senders[NODES_MAX][NODE_TEXT_MAX], receivers[NODES_MAX][NODE_TEXT_MAX];
    int phase;
    int64_t seed, rate_mbps, mtu, run, assume_bound;
    uint64_t duration_ns, warmup_ns, late_ns, spin_ns, bound_limit_ns;
    int clock, split;
    bool busy, raw;
    char clock_path[JOB_PATH_MAX], stack[JOB_STACK_MAX], jobs[JOB_PATH_MAX - 64];
};

/* What plan and judge have in common: they must be told the same to speak of the same. */
#define COMMON_OPTIONS                                                                                                 \
    {"sender", 's', "A node that sends: NAME or NAME=ADDRESS.", {VALUE_TEXTS(struct options, senders)}, "NODE"},       \
        {"receiver", 'r', "A node that receives.", {VALUE_TEXTS(struct options, receivers)}, "NODE"},                  \
        {"phase",                                                                                                      \
         'p',                                                                                                          \
         "When messages of different types leave.",                                                                    \
         {VALUE_ENUM(struct options, phase, schedule_mode_names), .initial = "synchronised"},                          \
         NULL},                                                                                                        \
        {"seed", 0, "Of random phases.", {VALUE_INT(struct options, seed), .initial = "1"}, NULL},                     \
        {"rate",                                                                                                       \
         0,                                                                                                            \
         "Of every link, Mb/s.",                                                                                       \
         {VALUE_INT(struct options, rate_mbps), .min = 1, .max = 1000000, .initial = "1000"},                          \
         "MBPS"},                                                                                                      \
    {                                                                                                                  \
        "mtu", 0, "Of every link.", {VALUE_INT(struct options, mtu), .min = 576, .max = 65535, .initial = "1500"},     \
            NULL                                                                                                       \
    }

static const struct option_entry plan_entries[] = {
    COMMON_OPTIONS,
    {"jobs",
     'j',
     "Write each process's job to DIR/PROCESS.job; its result will be DIR/PROCESS.json.",
     {VALUE_TEXT(struct options, jobs)},
     "DIR"},
    {"run",
     0,
     "Number of the run; 0: a random one.",
     {VALUE_INT(struct options, run), .min = 0, .max = UINT32_MAX, .initial = "0"},
     NULL},
    {"stack", 0, "Name of the stack, for the results.", {VALUE_TEXT(struct options, stack), .initial = "kernel"}, NULL},
    {"duration", 'd', "Measured time.", {VALUE_DURATION(struct options, duration_ns), .initial = "10s"}, NULL},
    {"warmup", 0, "Before it.", {VALUE_DURATION(struct options, warmup_ns), .initial = "1s"}, NULL},
    {"late",
     0,
     "A send is late when it is this much after its planned time.",
     {VALUE_DURATION(struct options, late_ns), .initial = "1ms"},
     NULL},
    {"spin",
     0,
     "Senders spin this long before a planned time.",
     {VALUE_DURATION(struct options, spin_ns), .initial = "0"},
     NULL},
    {"busy", 0, "Receivers poll without sleeping.", {VALUE_BOOL(struct options, busy)}, NULL},
    {"raw", 0, "Write raw logs, too.", {VALUE_BOOL(struct options, raw)}, NULL},
    {"split",
     0,
     "One process for each node and role, or one for each class, too.",
     {VALUE_ENUM(struct options, split, plan_split_names), .initial = "node"},
     NULL},
    {"clock",
     0,
     "Clock of all nodes.",
     {VALUE_ENUM(struct options, clock, node_clock_kind_names), .initial = "lockstep"},
     NULL},
    {"clock-path", 0, "Its segment; %s stands for the node's name.", {VALUE_TEXT(struct options, clock_path)}, "FILE"},
    {"bound-limit",
     0,
     "Mark the run when a clock's bound exceeds this.",
     {VALUE_DURATION(struct options, bound_limit_ns), .initial = "0"},
     NULL},
    {"assume-bound",
     0,
     "Bound of the system's clock in ns, if you know; -1: unknown.",
     {VALUE_INT(struct options, assume_bound), .min = -1, .max = 1000000000, .initial = "-1"},
     "NS"},
    {0},
};

static const struct option_entry judge_entries[] = {COMMON_OPTIONS, {0}};

const struct option_program plan_program = {
    .name = "lockstep-testbench plan",
    .summary = "Show who sends what when, and how long messages will wait for others; write the jobs.",
    .arguments = "PATTERN",
    .entries = plan_entries,
};

const struct option_program judge_program = {
    .name = "lockstep-testbench judge",
    .summary = "Put the results of one round together and show them against the limits.",
    .arguments = "PATTERN RESULT...",
    .entries = judge_entries,
};

/* The pattern on the network: what plan and judge work with. */
struct setting {
    struct options options;
    struct pattern pattern;
    struct schedule_network network;
    struct net_addr addresses[SCHEDULE_NODES_MAX];
    struct schedule_placement placement[PATTERN_TYPES_MAX];
    int64_t phase_ns[PATTERN_TYPES_MAX];
    int64_t gap_ns;
    struct schedule_prediction predictions[PATTERN_TYPES_MAX];
    struct schedule_outlook outlook;
    char clock_paths[SCHEDULE_NODES_MAX][JOB_PATH_MAX];
};

static int complain(const char *what)
{
    fprintf(stderr, "lockstep-testbench: %s\n", what);
    return LOCKSTEP_E_BAD_VALUE;
}

static int add_node(struct setting *setting, const char *text, bool receives)
{
    struct schedule_node *node = &setting->network.nodes[setting->network.count];
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : strlen(text);

    if (!length || length >= sizeof node->name)
        return complain("a node's name has 1 to 31 letters");
    memcpy(node->name, text, length);
    node->sends = !receives;
    node->receives = receives;
    node->uplink_bits_per_s = node->port_bits_per_s = (double)setting->options.rate_mbps * 1e6;
    if (equals && net_addr_parse(equals + 1, &setting->addresses[setting->network.count]))
        return complain("a node's address is no Internet address");
    setting->network.count++;
    return 0;
}

static int make_network(struct setting *setting)
{
    const struct options *options = &setting->options;
    int err = 0;

    setting->network.mtu = (uint32_t)options->mtu;
    for (int i = 0; i < NODES_MAX && *options->senders[i] && !err; i++)
        err = add_node(setting, options->senders[i], false);
    for (int i = 0; i < NODES_MAX && *options->receivers[i] && !err; i++)
        err = add_node(setting, options->receivers[i], true);
    setting->network.ipv6 =
        setting->network.count && !net_addr_is_any(&setting->addresses[0]) && !net_addr_is_v4(&setting->addresses[0]);
    return err;
}

static int make_setting(struct setting *setting, const char *pattern)
{
    const struct options *options = &setting->options;
    char problem[PATTERN_PROBLEM_MAX];
    int err = make_network(setting);

    if (err)
        return err;
    err = pattern_load(pattern, &setting->pattern, problem);
    if (!err)
        err = schedule_place(&setting->pattern, &setting->network, setting->placement, problem);
    if (err) {
        complain(problem);
        return err;
    }
    setting->gap_ns = schedule_phases(&setting->pattern, setting->placement, &setting->network,
                                      (enum schedule_mode)options->phase, (uint64_t)options->seed, setting->phase_ns);
    return schedule_predict(&setting->pattern, setting->placement, &setting->network, setting->phase_ns, 0,
                            setting->predictions, &setting->outlook);
}

/* ---- plan ---- */

static void print_receivers(const struct setting *setting, size_t type)
{
    const char *separator = "";

    for (size_t node = 0; node < setting->network.count; node++) {
        if (!(setting->placement[type].receivers >> node & 1))
            continue;
        printf("%s%s", separator, setting->network.nodes[node].name);
        separator = "+";
    }
}

static void print_plan(const struct setting *setting)
{
    const struct schedule_outlook *outlook = &setting->outlook;

    printf("%-12s %8s %9s %12s %10s %10s %10s  %s\n", "type", "bytes", "period ms", "phase us", "alone us", "queued us",
           "own us", "way");
    for (size_t i = 0; i < setting->pattern.count; i++) {
        const struct pattern_type *type = &setting->pattern.types[i];
        const struct schedule_prediction *prediction = &setting->predictions[i];

        printf("%-12s %8" PRIu32 " %9g %12.1f %10.1f %10.1f %10.1f  %s > ", type->name, type->size,
               (double)type->period_ns / 1e6, (double)setting->phase_ns[i] / US_PER_NS,
               (double)prediction->alone_ns / US_PER_NS, (double)prediction->worst_queueing_ns / US_PER_NS,
               (double)prediction->worst_uplink_ns / US_PER_NS,
               setting->network.nodes[setting->placement[i].sender].name);
        print_receivers(setting, i);
        putchar('\n');
    }
    for (size_t i = 0; i < setting->network.count; i++)
        printf("%s: uplink %.1f %%, port %.1f %%, at most %" PRIu64 " bytes wait at the port\n",
               setting->network.nodes[i].name, outlook->uplink_load[i] * 100, outlook->port_load[i] * 100,
               outlook->worst_queue_bytes[i]);
    if (setting->gap_ns >= 0)
        printf("gap between messages: at least %.1f us\n", (double)setting->gap_ns / US_PER_NS);
    if (!outlook->complete)
        printf("only the first %.3f s were simulated\n", (double)outlook->simulated_ns / 1e9);
    if (outlook->overloaded)
        printf("a link is asked for more than its rate: queues grow without limit\n");
}

static int write_job(const struct options *options, const struct job *job)
{
    char path[JOB_PATH_MAX + JOB_PROCESS_MAX];
    char *text = job_to_json(job);
    int err;

    snprintf(path, sizeof path, "%s/%s.job", options->jobs, job->process);
    err = text ? file_write(path, text, strlen(text)) : -ENOMEM;
    if (err)
        fprintf(stderr, "lockstep-testbench: cannot write %s: %s\n", path, error_text(err));
    else
        printf("%s %s %s\n", job_role_names[job->role], job->node, path);
    free(text);
    return err;
}

/* "/run/%s/clock" and so on; nothing but the first %s is replaced. */
static void set_clock_path(struct setting *setting, size_t node)
{
    const char *path = setting->options.clock_path, *mark = strstr(path, "%s");

    if (mark)
        snprintf(setting->clock_paths[node], JOB_PATH_MAX, "%.*s%s%s", (int)(mark - path), path,
                 setting->network.nodes[node].name, mark + 2);
    else
        snprintf(setting->clock_paths[node], JOB_PATH_MAX, "%s", path);
}

static int write_jobs(struct setting *setting)
{
    const struct options *options = &setting->options;
    const char *clock_paths[SCHEDULE_NODES_MAX];
    struct plan_settings settings;
    char problem[JOB_PROBLEM_MAX];
    struct plan plan;
    int err;

    plan_settings_init(&settings);
    settings.run = (uint32_t)options->run;
    while (!settings.run)
        platform_random(&settings.run, sizeof settings.run);
    for (size_t i = 0; i < setting->network.count; i++) {
        set_clock_path(setting, i);
        clock_paths[i] = setting->clock_paths[i];
        if (net_addr_is_any(&setting->addresses[i]))
            return complain("jobs need an address for each node: NAME=ADDRESS");
    }
    settings.stack = options->stack;
    settings.addresses = setting->addresses;
    settings.clock_paths = clock_paths;
    settings.warmup_ns = (int64_t)options->warmup_ns;
    settings.duration_ns = (int64_t)options->duration_ns;
    settings.late_ns = (int64_t)options->late_ns;
    settings.spin_ns = (int64_t)options->spin_ns;
    settings.busy = options->busy;
    settings.raw = options->raw;
    settings.split = (enum plan_split)options->split;
    settings.clock = (enum node_clock_kind)options->clock;
    settings.clock_bound_limit_ns = (int64_t)options->bound_limit_ns;
    settings.clock_assumed_bound_ns =
        options->assume_bound < 0 ? NODE_CLOCK_BOUND_UNKNOWN : (uint32_t)options->assume_bound;
    settings.directory = options->jobs;
    err = plan_create(&setting->pattern, setting->placement, &setting->network, setting->phase_ns, &settings, &plan,
                      problem);
    if (err)
        return complain(problem);
    for (size_t i = 0; i < plan.count && !err; i++)
        err = write_job(options, &plan.jobs[i]);
    plan_free(&plan);
    return err;
}

int plan_main(int argc, char **argv)
{
    struct setting *setting = calloc(1, sizeof *setting);
    int exit_status = 2, first, err;

    if (!setting)
        return 3;
    first = option_run(&plan_program, argc, argv, &setting->options, &exit_status);
    if (first >= 0 && first + 1 != argc) {
        complain("plan: wants one PATTERN");
        exit_status = 2;
    } else if (first >= 0) {
        err = make_setting(setting, argv[first]);
        if (!err && *setting->options.jobs)
            err = write_jobs(setting);
        else if (!err)
            print_plan(setting);
        exit_status = err ? 2 : 0;
    }
    pattern_free(&setting->pattern);
    free(setting);
    return exit_status;
}

/* ---- judge ---- */

static double us(int64_t ns)
{
    return (double)ns / US_PER_NS;
}

static void print_round(const struct round *round)
{
    printf("%-12s %9s %6s %5s %9s %9s %9s %9s %9s %10s  %s\n", "type", "received", "lost", "late", "min us", "p50 us",
           "p99 us", "max us", "bound us", "limit us", "verdict");
    for (size_t i = 0; i < round->type_count; i++) {
        const struct round_type *type = &round->types[i];
        const struct latency *latency = &type->received.planned_last;
        char bound[24] = "unknown";

        if (type->bound_ns != NODE_CLOCK_BOUND_UNKNOWN)
            snprintf(bound, sizeof bound, "%.1f", us(type->bound_ns));
        printf("%-12s %9" PRIu64 " %6" PRIu64 " %5" PRIu64 " %9.1f %9.1f %9.1f %9.1f %9s %10.1f  %s%s%s\n",
               type->type->name, type->received.received, type->lost, type->sent.late, us(latency->min_ns),
               us(latency_quantile(latency, 500000)), us(latency_quantile(latency, 990000)), us(latency->max_ns), bound,
               us(type->type->limit_ns), verdict_names[type->verdict], *type->reason ? ": " : "", type->reason);
    }
    printf("%s%s%s\n", verdict_names[round->verdict], *round->reason ? ": " : "", round->reason);
}

static int load_result(const char *path, struct result **out)
{
    char problem[RESULT_PROBLEM_MAX];
    size_t length;
    char *text;
    int err = file_read(path, RESULT_BYTES_MAX, &text, &length);

    if (err) {
        fprintf(stderr, "lockstep-testbench: cannot read %s: %s\n", path, error_text(err));
        return err;
    }
    err = result_parse(text, length, out, problem);
    if (err)
        fprintf(stderr, "lockstep-testbench: %s: %s\n", path, problem);
    free(text);
    return err;
}

static int judge_results(struct setting *setting, char **paths, size_t count)
{
    const struct round_input input = {.pattern = &setting->pattern,
                                      .placement = setting->placement,
                                      .network = &setting->network,
                                      .phase_ns = setting->phase_ns,
                                      .predictions = setting->predictions};
    struct result **results = calloc(count + 1, sizeof(struct result *));
    struct round *round = NULL;
    size_t loaded = 0;
    int exit_status = 3;

    while (results && loaded < count && load_result(paths[loaded], &results[loaded]) == 0)
        loaded++;
    if (results && loaded == count && round_create(&input, results, count, &round) == 0) {
        print_round(round);
        exit_status = verdict_exit_status(round->verdict);
        round_free(round);
    } else {
        for (size_t i = 0; i < loaded && loaded < count; i++)
            result_free(results[i]);
    }
    free(results);
    return exit_status;
}

int judge_main(int argc, char **argv)
{
    struct setting *setting = calloc(1, sizeof *setting);
    int exit_status = 3, first;

    if (!setting)
        return 3;
    first = option_run(&judge_program, argc, argv, &setting->options, &exit_status);
    if (first >= 0 && first + 2 > argc)
        complain("judge: wants PATTERN and results");
    else if (first >= 0 && make_setting(setting, argv[first]) == 0)
        exit_status = judge_results(setting, argv + first + 1, (size_t)(argc - first - 1));
    else if (first >= 0)
        exit_status = 3;
    pattern_free(&setting->pattern);
    free(setting);
    return exit_status;
}
