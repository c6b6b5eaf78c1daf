/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/controller.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "platform/platform.h"
#include "testbed/controller_private.h"
#include "testbed/json_look.h"

#define CONNECT_MS   15000
#define FACTS_MS     15000
#define STEP_MS      100
#define CLOCK_ASK_MS 200
#define QUIET_LINE_S 10 /* without a terminal: a line so often */

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

bool controller_interrupted(void)
{
    return interrupted != 0;
}

bool controller_wait(struct controller *controller, bool (*done)(struct controller *controller), int64_t timeout_ms)
{
    int64_t deadline = platform_now_ms() + timeout_ms;

    while (!done(controller)) {
        int64_t left = deadline - platform_now_ms();

        if (left <= 0 || interrupted)
            return false;
        fleet_work(controller->fleet, left < STEP_MS ? (int)left : STEP_MS);
    }
    return true;
}

bool controller_answered(const struct controller *controller, enum node_answer answer)
{
    for (unsigned i = 0; i < controller->inventory.node_count; i++) {
        if (fleet_present(controller->fleet, i) && !(controller->nodes[i].answers & answer))
            return false;
    }
    return true;
}

static bool awaited_answered(struct controller *controller)
{
    return controller_answered(controller, controller->awaited);
}

bool controller_wait_answers(struct controller *controller, enum node_answer answer, int64_t timeout_ms)
{
    controller->awaited = answer;
    return controller_wait(controller, awaited_answered, timeout_ms);
}

void controller_ask(struct controller *controller, const char *type, enum node_answer answer)
{
    for (unsigned i = 0; i < controller->inventory.node_count; i++) {
        controller->nodes[i].answers &= ~(unsigned)answer;
        fleet_say(controller->fleet, i, fleet_message(type));
    }
}

void controller_note(struct controller *controller, struct json_object *object)
{
    if (controller->lines) {
        fprintf(controller->lines, "%s\n", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
        fflush(controller->lines);
    }
    json_object_put(object);
}

/* ---- messages ---- */

static struct remote_process *find_process(struct controller *controller, struct json_object *message)
{
    for (size_t i = 0; i < controller->process_count; i++) {
        if (strcmp(controller->processes[i].job->process, json_look_text(message, "process")) == 0)
            return &controller->processes[i];
    }
    return NULL;
}

static void show_progress(struct controller *controller, int64_t elapsed_ms)
{
    int64_t messages = 0, lost = 0, late = 0,
            total = (int64_t)(controller->options->warmup_ns + controller->options->duration_ns);

    if (controller->options->quiet || (!controller->terminal && elapsed_ms / 1000 % QUIET_LINE_S))
        return;
    for (size_t i = 0; i < controller->process_count; i++) {
        const struct remote_process *process = &controller->processes[i];

        messages += process->job->role == JOB_RECEIVE ? process->messages : 0;
        lost += process->lost;
        late += process->late;
    }
    fprintf(stderr, "%s%s  %3" PRId64 "/%" PRId64 " s  %" PRId64 " messages, %" PRId64 " lost, %" PRId64 " late",
            controller->terminal ? "\r" : "", controller->heading, elapsed_ms / 1000, total / 1000000000, messages,
            lost, late);
    if (controller->worst.limit_ns)
        fprintf(stderr, "; worst %s %.3f of %.0f ms", controller->worst.name,
                (double)controller->worst.latency_ns / 1e6, (double)controller->worst.limit_ns / 1e6);
    fputs(controller->terminal ? "\x1b[K" : "\n", stderr);
}

static void take_progress(struct controller *controller, struct remote_process *process, struct json_object *event)
{
    struct json_object *worst = json_look_member(event, "worst");
    int64_t latency = json_look_number(worst, "latency_ns", 0), limit = json_look_number(worst, "limit_ns", 0);

    process->messages = json_look_number(event, "messages", 0);
    process->lost = json_look_number(event, "lost", 0);
    process->late = json_look_number(event, "late", 0);
    if (limit > 0 &&
        (controller->worst.limit_ns == 0 ||
         (double)latency / (double)limit > (double)controller->worst.latency_ns / (double)controller->worst.limit_ns)) {
        snprintf(controller->worst.name, sizeof controller->worst.name, "%s", json_look_text(worst, "name"));
        controller->worst.latency_ns = latency;
        controller->worst.limit_ns = limit;
    }
    if (process == &controller->processes[0])
        show_progress(controller, json_look_number(event, "elapsed_ms", 0));
}

static void take_event(struct controller *controller, unsigned node, struct json_object *message)
{
    struct remote_process *process = find_process(controller, message);
    struct json_object *event = json_look_member(message, "event");
    const char *kind = json_look_text(event, "event");

    if (!process || process->node != node)
        return;
    if (strcmp(kind, "ready") == 0 && process->state < PROCESS_READY)
        process->state = PROCESS_READY;
    else if (strcmp(kind, "progress") == 0)
        take_progress(controller, process, event);
    else if (strcmp(kind, "problem") == 0 || strcmp(kind, "done") == 0)
        snprintf(process->words, sizeof process->words, "%s",
                 json_look_text(event, strcmp(kind, "done") ? "text" : "problem"));
    if (strcmp(kind, "problem") == 0 && process->words[0])
        log_warning("testbed: %s: %s", process->job->process, process->words);
}

static void take_state(struct controller *controller, struct json_object *message, const char *type)
{
    struct remote_process *process = find_process(controller, message);

    if (!process)
        return;
    if (strcmp(type, "spawned") == 0 && process->state < PROCESS_SPAWNED) {
        process->state = PROCESS_SPAWNED;
    } else if (strcmp(type, "exited") == 0) {
        process->state = PROCESS_ENDED;
        if (!process->words[0])
            snprintf(process->words, sizeof process->words, "exit status %" PRId64,
                     json_look_number(message, "status", -1));
    } else if (strcmp(type, "said") == 0) {
        snprintf(process->words, sizeof process->words, "%s", json_look_text(message, "text"));
    } else if (strcmp(type, "error") == 0) {
        snprintf(process->words, sizeof process->words, "%s", json_look_text(message, "text"));
        if (strcmp(json_look_text(message, "about"), "spawn") == 0)
            process->state = PROCESS_ENDED;
    }
}

static void take_clock(struct remote_node *node, struct json_object *message)
{
    snprintf(node->clock_status, sizeof node->clock_status, "%s", json_look_text(message, "status"));
    node->bound_ns = json_look_number(message, "bound_ns", INT64_MAX);
    node->tai_ns = json_look_number(message, "tai_ns", 0);
    node->answers |= ANSWER_CLOCK;
}

static void replace(struct json_object **place, struct json_object *object)
{
    json_object_put(*place);
    *place = json_object_get(object);
}

static void take_message(void *context, unsigned number, const char *type, struct json_object *message)
{
    struct controller *controller = context;
    struct remote_node *node = &controller->nodes[number];

    json_object_object_add(message, "node", json_object_new_string(controller->inventory.nodes[number].name));
    if (strcmp(type, "clock") != 0 && strcmp(type, "counters") != 0)
        controller_note(controller, json_object_get(message));
    if (strcmp(type, "event") == 0) {
        take_event(controller, number, message);
    } else if (strcmp(type, "clock") == 0) {
        take_clock(node, message);
    } else if (strcmp(type, "facts") == 0) {
        replace(&node->facts, json_look_member(message, "facts"));
        replace(&node->findings, json_look_member(message, "findings"));
        node->answers |= ANSWER_FACTS;
    } else if (strcmp(type, "counters") == 0) {
        replace(&node->counters, message);
        node->answers |= ANSWER_COUNTERS;
    } else if (strcmp(type, "ended") == 0) {
        node->answers |= ANSWER_ENDED;
    } else {
        take_state(controller, message, type);
        if (strcmp(type, "error") == 0 && !json_look_text(message, "process")[0])
            log_warning("testbed: node %s: %s", controller->inventory.nodes[number].name,
                        json_look_text(message, "text"));
    }
}

/* ---- getting ready ---- */

static bool all_present(struct controller *controller)
{
    for (unsigned i = 0; i < controller->inventory.node_count; i++) {
        if (!fleet_present(controller->fleet, i) && !fleet_lost(controller->fleet, i))
            return false;
    }
    return true;
}

/* Every node, and what it is. False after messages that name those which do not answer. */
static bool meet_nodes(struct controller *controller)
{
    bool good = true;

    controller_wait(controller, all_present, CONNECT_MS);
    for (unsigned i = 0; i < controller->inventory.node_count; i++) {
        const struct inventory_node *node = &controller->inventory.nodes[i];
        char address[NET_ADDR_TEXT_MAX];
        struct json_object *message;

        if (!fleet_present(controller->fleet, i)) {
            log_error("testbed: node %s: %s", node->name,
                      fleet_problem(controller->fleet, i)[0] ? fleet_problem(controller->fleet, i) : "does not answer");
            good = false;
            continue;
        }
        message = fleet_message("facts");
        json_object_object_add(message, "address", json_object_new_string(net_addr_format(&node->address, address)));
        json_object_object_add(message, "mtu", json_object_new_int64(controller->inventory.mtu));
        fleet_say(controller->fleet, i, message);
    }
    controller_wait_answers(controller, ANSWER_FACTS, FACTS_MS);
    return good && !interrupted;
}

/* The first node whose clock is not good enough; -1: none. */
static int clock_not_ready(const struct controller *controller)
{
    for (unsigned i = 0; i < controller->inventory.node_count; i++) {
        const struct remote_node *node = &controller->nodes[i];

        if (!(node->answers & ANSWER_CLOCK) || strcmp(node->clock_status, "good") != 0 ||
            (controller->options->clock_limit_ns && node->bound_ns > (int64_t)controller->options->clock_limit_ns))
            return (int)i;
    }
    return -1;
}

void controller_ask_clocks(struct controller *controller)
{
    for (unsigned i = 0; i < controller->inventory.node_count; i++) {
        struct json_object *message = fleet_message("clock");

        controller->nodes[i].answers &= ~(unsigned)ANSWER_CLOCK;
        json_object_object_add(message, "clock",
                               json_object_new_string(node_clock_kind_names[controller->options->clock]));
        fleet_say(controller->fleet, i, message);
    }
}

static void watch_clocks(struct controller *controller)
{
    int64_t until = platform_now_ms() + CLOCK_ASK_MS;

    controller_ask_clocks(controller);
    while (platform_now_ms() < until && !interrupted)
        fleet_work(controller->fleet, (int)(until - platform_now_ms()));
}

/* Waits until all clocks are within the limit. With the system's clocks there is nothing to wait for. */
static bool wait_for_clocks(struct controller *controller, char problem[JOB_PROBLEM_MAX])
{
    int64_t deadline = platform_now_ms() + (int64_t)controller->options->clock_patience_ns / 1000000;
    int late;

    if (controller->options->clock == NODE_CLOCK_SYSTEM)
        return true;
    do
        watch_clocks(controller);
    while ((late = clock_not_ready(controller)) >= 0 && platform_now_ms() < deadline && !interrupted);
    if (late < 0)
        return true;
    if (interrupted)
        snprintf(problem, JOB_PROBLEM_MAX, "interrupted");
    else if (!(controller->nodes[late].answers & ANSWER_CLOCK))
        snprintf(problem, JOB_PROBLEM_MAX, "node %s does not say what its clock does",
                 controller->inventory.nodes[late].name);
    else
        snprintf(problem, JOB_PROBLEM_MAX,
                 "the clock of node %s is not good enough: %s, bound %" PRId64 " ns, wanted %" PRIu64 " ns",
                 controller->inventory.nodes[late].name, controller->nodes[late].clock_status,
                 controller->nodes[late].bound_ns == INT64_MAX ? -1 : controller->nodes[late].bound_ns,
                 controller->options->clock_limit_ns);
    return false;
}

/* ---- all rounds ---- */

static int index_of(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], name) == 0)
            return i;
    }
    return -1;
}

static bool plan_programme(const struct controller_options *options, struct programme *programme)
{
    static const char *const both[] = {"kernel", "lockstep", NULL}, *const one[] = {"synchronised", NULL};
    const char *stacks[CONTROLLER_STACKS + 1] = {0}, *phases[CONTROLLER_PHASES + 1] = {0};

    for (int i = 0; i < CONTROLLER_STACKS; i++)
        stacks[i] = options->stacks[0][0] ? (options->stacks[i][0] ? options->stacks[i] : NULL) : both[i];
    for (int i = 0; i < CONTROLLER_PHASES; i++)
        phases[i] = options->phases[0][0] ? (options->phases[i][0] ? options->phases[i] : NULL) : (i ? NULL : one[0]);
    for (int i = 0; i < CONTROLLER_PHASES && phases[i]; i++) {
        int phase = index_of(schedule_mode_names, phases[i]);

        if (phase < 0) {
            log_error("testbed: --phase %s: neither synchronised, staggered nor random", phases[i]);
            return false;
        }
        for (int j = 0; j < CONTROLLER_STACKS && stacks[j]; j++) {
            struct series_of_rounds *series = &programme->series[programme->count++];

            if (index_of(both, stacks[j]) < 0) {
                log_error("testbed: --stack %s: neither kernel nor lockstep", stacks[j]);
                return false;
            }
            *series = (struct series_of_rounds){.stack = stacks[j], .phase = (enum schedule_mode)phase};
            series->rounds = calloc((size_t)options->rounds, sizeof *series->rounds);
            series->offload = json_object_new_object();
            if (!series->rounds)
                return false;
            programme->stack_count = (size_t)j + 1;
        }
    }
    return true;
}

static void free_programme(struct programme *programme)
{
    for (size_t i = 0; i < programme->count; i++) {
        for (size_t j = 0; j < programme->series[i].count; j++)
            round_free(programme->series[i].rounds[j]);
        free(programme->series[i].rounds);
        json_object_put(programme->series[i].offload);
    }
}

static void tell_round(struct controller *controller, const struct series_of_rounds *series, const struct round *round,
                       const char *problem)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "type", json_object_new_string("round"));
    json_object_object_add(object, "stack", json_object_new_string(series->stack));
    json_object_object_add(object, "phase", json_object_new_string(schedule_mode_names[series->phase]));
    json_object_object_add(object, "verdict", json_object_new_string(round ? verdict_names[round->verdict] : "none"));
    json_object_object_add(object, "reason", json_object_new_string(problem[0] || !round ? problem : round->reason));
    controller_note(controller, object);
    if (!controller->options->quiet)
        fprintf(stderr, "%s%s  %s%s%s%s\n", controller->terminal ? "\r" : "", controller->heading,
                round ? verdict_names[round->verdict] : "did not take place",
                problem[0] || (round && round->reason[0]) ? ": " : "", problem[0] || !round ? problem : round->reason,
                controller->terminal ? "\x1b[K" : "");
}

/* False when nothing more can be run. */
static bool run_one(struct controller *controller, struct programme *programme, struct series_of_rounds *series,
                    unsigned number)
{
    size_t types = controller->pattern.count;
    int64_t *phase_ns = calloc(types, sizeof *phase_ns);
    struct schedule_prediction *predictions = calloc(types, sizeof *predictions);
    char problem[JOB_PROBLEM_MAX] = "";
    struct round *round = NULL;

    controller->phase = schedule_mode_names[series->phase];
    snprintf(controller->heading, sizeof controller->heading, "round %u of %" PRId64 ", %s, %s", number + 1,
             controller->options->rounds, series->stack, controller->phase);
    if (phase_ns && predictions && wait_for_clocks(controller, problem)) {
        bool predicted;

        schedule_phases(&controller->pattern, controller->placement, &controller->network, series->phase,
                        (uint64_t)controller->options->seed + number, phase_ns);
        predicted = schedule_predict(&controller->pattern, controller->placement, &controller->network, phase_ns, 0,
                                     predictions, &series->outlook) == 0;
        series->has_outlook = predicted;
        round = controller_round(controller, series->stack, phase_ns, predicted ? predictions : NULL, number,
                                 series->offload, problem);
    }
    tell_round(controller, series, round, problem);
    if (round)
        series->rounds[series->count++] = round;
    if (problem[0])
        snprintf(programme->trouble, sizeof programme->trouble, "%s", problem);
    free(phase_ns);
    free(predictions);
    return !problem[0] && !interrupted;
}

/* A B, B A, A B ...: so that a slow drift of the machine favours neither. */
static void run_all(struct controller *controller, struct programme *programme)
{
    size_t stacks = programme->stack_count;

    for (unsigned number = 0; number < controller->options->rounds; number++) {
        for (size_t i = 0; i < programme->count; i++) {
            size_t phase = i / stacks, stack = number % 2 ? stacks - 1 - i % stacks : i % stacks;

            if (!run_one(controller, programme, &programme->series[phase * stacks + stack], number))
                return;
        }
    }
}

/* ---- from beginning to end ---- */

void controller_catch_signals(void)
{
    struct sigaction action = {.sa_handler = interrupt};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int open_output(struct controller *controller)
{
    char path[256];

    if (mkdir(controller->options->output, 0755) < 0 && errno != EEXIST) {
        log_error("testbed: cannot make %s: %s", controller->options->output, strerror(errno));
        return -errno;
    }
    snprintf(path, sizeof path, "%s/progress.jsonl", controller->options->output);
    controller->lines = fopen(path, "we");
    if (!controller->lines) {
        log_error("testbed: cannot write %s: %s", path, strerror(errno));
        return -errno;
    }
    return 0;
}

static int load(struct controller *controller)
{
    const struct controller_options *options = controller->options;
    struct channel_files files;
    char problem[CONFIG_PROBLEM_MAX + JOB_PROBLEM_MAX];

    if (inventory_load(options->inventory, &controller->inventory, problem) < 0) {
        log_error("testbed: %s", problem);
        return -EINVAL;
    }
    files = (struct channel_files){controller->inventory.key_file[0] ? controller->inventory.key_file : NULL,
                                   controller->inventory.certificate, controller->inventory.certificate_key,
                                   controller->inventory.authority};
    if (channel_credentials_load(&files, &controller->credentials, problem) < 0) {
        log_error("testbed: %s", problem);
        return -EINVAL;
    }
    inventory_network(&controller->inventory, &controller->network);
    controller->fleet = fleet_create(&controller->inventory, controller->credentials, take_message, controller);
    return controller->fleet ? 0 : -ENOMEM;
}

static int load_pattern(struct controller *controller)
{
    char problem[PATTERN_PROBLEM_MAX + SCHEDULE_PROBLEM_MAX];

    if (pattern_load(controller->options->pattern, &controller->pattern, problem) < 0) {
        log_error("testbed: %s", problem);
        return -EINVAL;
    }
    controller->placement = calloc(controller->pattern.count, sizeof *controller->placement);
    if (!controller->placement)
        return -ENOMEM;
    if (schedule_place(&controller->pattern, &controller->network, controller->placement, problem) < 0) {
        log_error("testbed: %s", problem);
        return -EINVAL;
    }
    return 0;
}

static void unload(struct controller *controller)
{
    fleet_destroy(controller->fleet);
    for (unsigned i = 0; i < SCHEDULE_NODES_MAX; i++) {
        json_object_put(controller->nodes[i].facts);
        json_object_put(controller->nodes[i].findings);
        json_object_put(controller->nodes[i].counters);
    }
    channel_credentials_free(controller->credentials);
    free(controller->placement);
    pattern_free(&controller->pattern);
    if (controller->lines)
        fclose(controller->lines);
}

int controller_main(const struct controller_options *options, struct json_object **report)
{
    static struct controller controller;
    static struct programme programme;
    int exit_status = 3;

    *report = NULL;
    controller = (struct controller){.options = options, .terminal = isatty(STDERR_FILENO)};
    programme = (struct programme){.count = 0};
    controller_catch_signals();
    if (load(&controller) == 0 && load_pattern(&controller) == 0 && plan_programme(options, &programme) &&
        open_output(&controller) == 0 && meet_nodes(&controller)) {
        run_all(&controller, &programme);
        *report = controller_make_report(&controller, &programme);
    }
    if (*report && controller_write_reports(&controller, *report) == 0 && !interrupted)
        exit_status = programme.trouble[0] ? 3 : verdict_exit_status(report_verdict(*report));
    free_programme(&programme);
    unload(&controller);
    return exit_status;
}

static bool has_problem(const struct remote_node *node)
{
    for (size_t i = 0; node->findings && i < json_object_array_length(node->findings); i++) {
        if (strcmp(json_look_text(json_object_array_get_idx(node->findings, i), "state"), "problem") == 0)
            return true;
    }
    return false;
}

int controller_check(const struct controller_options *options, struct json_object **report)
{
    static struct controller controller;
    int exit_status = 3;

    *report = NULL;
    controller = (struct controller){.options = options};
    controller_catch_signals();
    if (load(&controller) == 0) {
        exit_status = meet_nodes(&controller) ? 0 : 3;
        for (unsigned i = 0; i < controller.inventory.node_count; i++) {
            if (exit_status == 0 && has_problem(&controller.nodes[i]))
                exit_status = 1;
        }
        *report = json_object_new_object();
        json_object_object_add(*report, "nodes", controller_nodes_json(&controller));
    }
    unload(&controller);
    return exit_status;
}
