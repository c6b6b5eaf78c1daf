/* SPDX-License-Identifier: BSD-2-Clause */
/* One round: jobs to the listeners, a common start, progress, and results back. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "platform/platform.h"
#include "testbed/controller_private.h"
#include "testbed/json_look.h"

#define SPAWN_MS   10000
#define READY_MS   20000
#define LEAD_NS    1000000000 /* from the order to the start */
#define SLACK_MS   10000      /* for results to be written */
#define FETCH_MS   30000
#define COUNT_MS   3000
#define COUNT_LEAD 500 /* ms before the end of the measured time */

static unsigned node_of(const struct controller *controller, const char *name)
{
    for (unsigned i = 0; i < controller->inventory.node_count; i++) {
        if (strcmp(controller->inventory.nodes[i].name, name) == 0)
            return i;
    }
    return 0; /* the plan takes its names from the inventory */
}

/* ---- conditions ---- */

static bool gone(const struct controller *controller, const struct remote_process *process)
{
    return process->state == PROCESS_ENDED || !fleet_present(controller->fleet, process->node);
}

static bool all_reached(struct controller *controller, enum process_state state, bool senders)
{
    for (size_t i = 0; i < controller->process_count; i++) {
        const struct remote_process *process = &controller->processes[i];

        if ((senders || process->job->role == JOB_RECEIVE) && process->state < state && !gone(controller, process))
            return false;
    }
    return true;
}

static bool receivers_ready(struct controller *controller)
{
    return all_reached(controller, PROCESS_READY, false);
}

static bool all_ready(struct controller *controller)
{
    return all_reached(controller, PROCESS_READY, true);
}

static bool all_ended(struct controller *controller)
{
    return all_reached(controller, PROCESS_ENDED, true);
}

static bool any_gone(struct controller *controller)
{
    for (size_t i = 0; i < controller->process_count; i++) {
        if (gone(controller, &controller->processes[i]))
            return true;
    }
    return false;
}

/* ---- orders ---- */

static void order(struct controller *controller, const struct remote_process *process, const char *type, int64_t tai_ns)
{
    struct json_object *message = fleet_message(type);

    json_object_object_add(message, "process", json_object_new_string(process->job->process));
    if (tai_ns)
        json_object_object_add(message, "tai_ns", json_object_new_int64(tai_ns));
    fleet_say(controller->fleet, process->node, message);
}

static void stop_all(struct controller *controller)
{
    for (size_t i = 0; i < controller->process_count; i++) {
        if (!gone(controller, &controller->processes[i]))
            order(controller, &controller->processes[i], "stop", 0);
    }
}

static void spawn(struct controller *controller, struct remote_process *process, const char *stack)
{
    struct json_object *message = fleet_message("spawn");
    char *text = job_to_json(process->job);

    json_object_object_add(message, "stack", json_object_new_string(stack));
    json_object_object_add(message, "job", text ? json_tokener_parse(text) : NULL);
    free(text);
    fleet_say(controller->fleet, process->node, message);
}

/* Names the first process that is not where it should be. */
static void name_missing(const struct controller *controller, enum process_state wanted, const char *what,
                         char *problem)
{
    for (size_t i = 0; i < controller->process_count; i++) {
        const struct remote_process *process = &controller->processes[i];
        const char *node = controller->inventory.nodes[process->node].name;

        if (!fleet_present(controller->fleet, process->node))
            snprintf(problem, JOB_PROBLEM_MAX, "node %s was lost: %.150s", node,
                     fleet_problem(controller->fleet, process->node));
        else if (process->state == PROCESS_ENDED && wanted != PROCESS_ENDED)
            snprintf(problem, JOB_PROBLEM_MAX, "process %.40s on node %s ended: %.150s", process->job->process, node,
                     process->words);
        else if (process->state < wanted)
            snprintf(problem, JOB_PROBLEM_MAX, "process %.40s on node %s %s%s%.130s", process->job->process, node, what,
                     process->words[0] ? ": " : "", process->words);
        else
            continue;
        return;
    }
    if (controller_interrupted())
        snprintf(problem, JOB_PROBLEM_MAX, "interrupted");
}

/* Receivers first, for senders connect to them. */
static bool start_processes(struct controller *controller, const char *stack, char *problem)
{
    for (int senders = 0; senders < 2; senders++) {
        for (size_t i = 0; i < controller->process_count; i++) {
            if ((controller->processes[i].job->role == JOB_SEND) == (senders == 1))
                spawn(controller, &controller->processes[i], stack);
        }
        if (!controller_wait(controller, senders ? all_ready : receivers_ready, READY_MS) || any_gone(controller)) {
            name_missing(controller, senders ? PROCESS_READY : PROCESS_SPAWNED, "does not get ready", problem);
            if (!problem[0])
                snprintf(problem, JOB_PROBLEM_MAX, "not all processes got ready");
            return false;
        }
    }
    return true;
}

/* A moment that all clocks have still before them. 0: no clock says what time it is. */
static int64_t common_start(struct controller *controller)
{
    int64_t latest = 0;

    controller_ask_clocks(controller);
    controller_wait_answers(controller, ANSWER_CLOCK, SPAWN_MS);
    for (unsigned i = 0; i < controller->inventory.node_count; i++) {
        if ((controller->nodes[i].answers & ANSWER_CLOCK) && controller->nodes[i].tai_ns > latest)
            latest = controller->nodes[i].tai_ns;
    }
    return latest ? latest + LEAD_NS : 0;
}

/* ---- proof of offload ---- */

static void take_counts(struct controller *controller, struct json_object *out[SCHEDULE_NODES_MAX])
{
    controller_ask(controller, "counters", ANSWER_COUNTERS);
    controller_wait_answers(controller, ANSWER_COUNTERS, COUNT_MS);
    for (unsigned i = 0; i < controller->inventory.node_count; i++) {
        out[i] = controller->nodes[i].counters;
        controller->nodes[i].counters = NULL;
    }
}

static int64_t count_of(struct json_object *counters, const char *part, const char *way)
{
    return json_look_number(json_look_member(counters, part), way, 0);
}

static void add_to(struct json_object *object, const char *key, int64_t number)
{
    json_object_object_add(object, key, json_object_new_int64(json_look_number(object, key, 0) + number));
}

/* What went through the kernel's IP is counted in octets with headers, lanes in payload. */
static void sum_counts(const struct controller *controller, struct json_object *const *before,
                       struct json_object *const *after, struct json_object *offload)
{
    for (unsigned i = 0; i < controller->inventory.node_count; i++) {
        const char *name = controller->inventory.nodes[i].name;
        struct json_object *node;

        if (!json_object_object_get_ex(offload, name, &node)) {
            node = json_object_new_object();
            json_object_object_add(offload, name, node);
        }
        add_to(node, "kernel_received_octets",
               count_of(after[i], "kernel", "in") - count_of(before[i], "kernel", "in"));
        add_to(node, "kernel_sent_octets", count_of(after[i], "kernel", "out") - count_of(before[i], "kernel", "out"));
        add_to(node, "lane_received_bytes", count_of(after[i], "lanes", "in"));
        add_to(node, "lane_sent_bytes", count_of(after[i], "lanes", "out"));
    }
}

static void put_counts(struct controller *controller, struct json_object **counts)
{
    for (unsigned i = 0; i < controller->inventory.node_count; i++)
        json_object_put(counts[i]);
}

/* ---- results ---- */

static uint8_t *fetch(struct controller *controller, const struct remote_process *process, const char *file,
                      size_t *length)
{
    struct json_object *message = fleet_message("fetch");
    int64_t deadline = platform_now_ms() + FETCH_MS;
    uint8_t *bytes = NULL;

    json_object_object_add(message, "process", json_object_new_string(process->job->process));
    json_object_object_add(message, "file", json_object_new_string(file));
    fleet_say(controller->fleet, process->node, message);
    while (!bytes && platform_now_ms() < deadline && fleet_present(controller->fleet, process->node)) {
        fleet_work(controller->fleet, 50);
        bytes = fleet_take_file(controller->fleet, process->node, length);
    }
    return bytes;
}

static struct result *fetch_result(struct controller *controller, const struct remote_process *process)
{
    char problem[RESULT_PROBLEM_MAX] = "it did not come";
    struct result *result = NULL;
    size_t length = 0;
    uint8_t *text = fetch(controller, process, "result", &length);

    if (!text || result_parse((const char *)text, length, &result, problem) < 0) {
        log_warning("testbed: no result of process %s: %s", process->job->process, problem);
        result = NULL;
    }
    free(text);
    return result;
}

static void fetch_raw(struct controller *controller, const struct remote_process *process, const char *stack,
                      unsigned number)
{
    char path[400];
    size_t length = 0;
    uint8_t *bytes = fetch(controller, process, "raw", &length);
    FILE *file;

    snprintf(path, sizeof path, "%s/raw-%u-%s-%s-%s.log", controller->options->output, number + 1, stack,
             controller->phase, process->job->process);
    file = bytes ? fopen(path, "we") : NULL;
    if (!file || fwrite(bytes, 1, length, file) != length)
        log_warning("testbed: no raw log of process %s", process->job->process);
    if (file)
        fclose(file);
    free(bytes);
}

static size_t gather(struct controller *controller, const char *stack, unsigned number, struct result **results)
{
    size_t count = 0;

    for (size_t i = 0; i < controller->process_count; i++) {
        const struct remote_process *process = &controller->processes[i];

        if (!fleet_present(controller->fleet, process->node))
            continue;
        results[count] = fetch_result(controller, process);
        count += results[count] != NULL;
        if (controller->options->raw && process->job->raw_path[0])
            fetch_raw(controller, process, stack, number);
    }
    return count;
}

/* Not to be interrupted. */
static void clear_nodes(struct controller *controller)
{
    controller_ask(controller, "end", ANSWER_ENDED);
    for (int64_t deadline = platform_now_ms() + SPAWN_MS;
         !controller_answered(controller, ANSWER_ENDED) && platform_now_ms() < deadline;)
        fleet_work(controller->fleet, 50);
}

/* ---- the round ---- */

/* Whether the round runs to its end; anything that goes missing ends it for all. */
static void play(struct controller *controller, int64_t length_ms, struct json_object **before,
                 struct json_object *offload)
{
    struct json_object *after[SCHEDULE_NODES_MAX] = {0};
    int64_t begun = platform_now_ms();

    controller_wait(controller, any_gone, LEAD_NS / 1000000 + length_ms - COUNT_LEAD);
    if (!any_gone(controller) && !controller_interrupted()) {
        take_counts(controller, after);
        sum_counts(controller, before, after, offload);
        put_counts(controller, after);
    }
    if (!controller_interrupted() && !any_gone(controller))
        controller_wait(controller, all_ended,
                        begun + length_ms + (int64_t)controller->options->grace_ns / 1000000 + SLACK_MS -
                            platform_now_ms());
    if (!all_ended(controller)) {
        stop_all(controller);
        for (int64_t deadline = platform_now_ms() + SLACK_MS; !all_ended(controller) && platform_now_ms() < deadline;)
            fleet_work(controller->fleet, 50);
    }
}

static bool prepare(struct controller *controller, const char *stack, const int64_t *phase_ns, struct plan *plan,
                    char *problem)
{
    const struct controller_options *options = controller->options;
    struct net_addr addresses[SCHEDULE_NODES_MAX];
    struct plan_settings settings;

    plan_settings_init(&settings);
    for (unsigned i = 0; i < controller->inventory.node_count; i++)
        addresses[i] = controller->inventory.nodes[i].address;
    platform_random(&settings.run, sizeof settings.run);
    settings.run |= 1;
    settings.stack = stack;
    settings.addresses = addresses;
    settings.directory = "/"; /* the listeners choose */
    settings.warmup_ns = (int64_t)options->warmup_ns;
    settings.duration_ns = (int64_t)options->duration_ns;
    settings.grace_ns = (int64_t)options->grace_ns;
    settings.clock = (enum node_clock_kind)options->clock;
    settings.clock_assumed_bound_ns =
        options->assumed_bound_ns ? (uint32_t)options->assumed_bound_ns : NODE_CLOCK_BOUND_UNKNOWN;
    settings.clock_bound_limit_ns = (int64_t)options->clock_limit_ns;
    settings.late_ns = (int64_t)options->late_ns;
    settings.spin_ns = (int64_t)options->spin_ns;
    settings.echo_period_ns = (int64_t)options->echo_period_ns;
    settings.busy = options->busy;
    settings.raw = options->raw;
    settings.split = (enum plan_split)options->split;
    if (plan_create(&controller->pattern, controller->placement, &controller->network, phase_ns, &settings, plan,
                    problem) < 0)
        return false;
    controller->processes = calloc(plan->count ? plan->count : 1, sizeof *controller->processes);
    controller->process_count = controller->processes ? plan->count : 0;
    for (size_t i = 0; i < controller->process_count; i++) {
        controller->processes[i].job = &plan->jobs[i];
        controller->processes[i].node = node_of(controller, plan->jobs[i].node);
    }
    return controller->processes != NULL;
}

struct round *controller_round(struct controller *controller, const char *stack, const int64_t *phase_ns,
                               const struct schedule_prediction *predictions, unsigned number,
                               struct json_object *offload, char problem[JOB_PROBLEM_MAX])
{
    struct json_object *before[SCHEDULE_NODES_MAX] = {0};
    struct round_input input = {
        &controller->pattern, controller->placement, &controller->network, phase_ns, predictions, NULL, stack};
    struct result **results = NULL;
    struct round *round = NULL;
    struct plan plan = {0};
    int64_t start;
    size_t count = 0;

    problem[0] = '\0';
    memset(&controller->worst, 0, sizeof controller->worst);
    if (!prepare(controller, stack, phase_ns, &plan, problem)) {
        plan_free(&plan);
        return NULL;
    }
    input.plan = &plan;
    results = calloc(plan.count ? plan.count : 1, sizeof *results);
    problem[0] = '\0';
    if (results && start_processes(controller, stack, problem)) {
        take_counts(controller, before);
        start = common_start(controller);
        if (!start)
            snprintf(problem, JOB_PROBLEM_MAX, "no node says what time it is");
        for (size_t i = 0; start && i < controller->process_count; i++)
            order(controller, &controller->processes[i], "start", start);
        if (start)
            play(controller, (int64_t)(controller->options->warmup_ns + controller->options->duration_ns) / 1000000,
                 before, offload);
        if (start)
            name_missing(controller, PROCESS_ENDED, "did not end", problem);
        count = gather(controller, stack, number, results);
        put_counts(controller, before);
    }
    clear_nodes(controller);
    if (count > 0 && round_create(&input, results, count, &round) < 0)
        round = NULL;
    free(results);
    free(controller->processes);
    controller->processes = NULL;
    controller->process_count = 0;
    plan_free(&plan);
    return round;
}
