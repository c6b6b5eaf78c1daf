/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define PORT_BASE       20000
#define GROUPS_BASE_V4  "239.192.77.0"
#define GROUPS_BASE_V6  "ff15::4d:0"
#define RAW_SLACK       1024 /* duplicates and corrupt ones have entries, too */
#define RAW_ENTRIES_MAX 4000000

const char *const plan_split_names[] = {"node", "class", NULL};

void plan_settings_init(struct plan_settings *settings)
{
    *settings = (struct plan_settings){
        .port_base = PORT_BASE,
        .warmup_ns = 1000000000,
        .duration_ns = 10000000000,
        .grace_ns = 2000000000,
        .clock_assumed_bound_ns = NODE_CLOCK_BOUND_UNKNOWN,
        .late_ns = 1000000,
        .stall_period_ns = 1000000,
        .stall_threshold_ns = 500000,
        .echo_period_ns = 50000000,
    };
}

/* What all steps need. */
struct planning {
    const struct pattern *pattern;
    const struct schedule_placement *placement;
    const struct schedule_network *network;
    const int64_t *phase_ns;
    const struct plan_settings *settings;
    struct net_endpoint endpoints[PATTERN_TYPES_MAX];
    uint16_t port_base;
    char *problem;
};

/* ---- endpoints ---- */

static int fail(struct planning *planning, int err, const struct pattern_type *type, const char *what)
{
    snprintf(planning->problem, JOB_PROBLEM_MAX, "%s (line %u): %s", type->name, type->line, what);
    return err;
}

static struct net_addr nth_group(const struct planning *planning, size_t index)
{
    const struct net_addr *base = &planning->settings->group_base;
    struct net_addr group = *base;
    unsigned carry = (unsigned)index + 1;

    if (net_addr_is_any(base))
        net_addr_parse(planning->network->ipv6 ? GROUPS_BASE_V6 : GROUPS_BASE_V4, &group);
    for (int i = 15; carry && i > 0; i--) {
        carry += group.byte[i];
        group.byte[i] = (uint8_t)carry;
        carry >>= 8;
    }
    return group;
}

/* Two types that a receiver could not tell apart. */
static bool collide(const struct planning *planning, size_t a, size_t b)
{
    const struct pattern_type *types = planning->pattern->types;

    return planning->endpoints[a].port == planning->endpoints[b].port &&
           pattern_is_stream(types[a].transport) == pattern_is_stream(types[b].transport) &&
           planning->placement[a].receivers & planning->placement[b].receivers &&
           net_addr_equal(&planning->endpoints[a].addr, &planning->endpoints[b].addr);
}

/* The index-th port, unless the pattern gives it to somebody: then another. */
static uint16_t free_port(const struct planning *planning, size_t index)
{
    const struct pattern *pattern = planning->pattern;
    size_t port = planning->port_base + index;

    for (size_t i = 0; i < pattern->count; i++) {
        if (pattern->types[i].port != port || port + pattern->count > UINT16_MAX)
            continue;
        port += pattern->count;
        i = (size_t)-1; /* look at all again */
    }
    return (uint16_t)port;
}

static int give_endpoints(struct planning *planning)
{
    for (size_t i = 0; i < planning->pattern->count; i++) {
        const struct pattern_type *type = &planning->pattern->types[i];
        struct net_endpoint *endpoint = &planning->endpoints[i];
        unsigned receiver = (unsigned)__builtin_ctzll(planning->placement[i].receivers);

        endpoint->addr = planning->settings->addresses[receiver];
        if (type->transport == PATTERN_MULTICAST)
            endpoint->addr = net_addr_is_any(&type->group) ? nth_group(planning, i) : type->group;
        endpoint->port = type->port ? type->port : free_port(planning, i);
        if (type->transport == PATTERN_MULTICAST && net_addr_is_v4(&endpoint->addr) == planning->network->ipv6)
            return fail(planning, LOCKSTEP_E_BAD_VALUE, type, "its group is of the other Internet protocol");
        for (size_t other = 0; other < i; other++) {
            if (collide(planning, i, other))
                return fail(planning, LOCKSTEP_E_CONFLICT, type, "its port is another type's, too");
        }
    }
    return 0;
}

/* Below the types' ports. */
static uint16_t echo_port(const struct planning *planning, unsigned process)
{
    return (uint16_t)(planning->port_base - 1 - process);
}

/* ---- jobs ---- */

static bool takes_part(const struct planning *planning, size_t type, size_t node, enum job_role role)
{
    const struct schedule_placement *placement = &planning->placement[type];

    return role == JOB_SEND ? placement->sender == node : placement->receivers >> node & 1;
}

static int join_path(struct planning *planning, const char *process, const char *ending, char *out)
{
    int length = snprintf(out, JOB_PATH_MAX, "%s/%s.%s", planning->settings->directory, process, ending);

    if (length < JOB_PATH_MAX)
        return 0;
    snprintf(planning->problem, JOB_PROBLEM_MAX, "directory: the path is too long");
    return LOCKSTEP_E_EXHAUSTED;
}

static void set_settings(const struct planning *planning, size_t node, struct job *job)
{
    const struct plan_settings *settings = planning->settings;

    job->run = settings->run;
    snprintf(job->node, sizeof job->node, "%s", planning->network->nodes[node].name);
    snprintf(job->stack, sizeof job->stack, "%s", settings->stack);
    job->address = settings->addresses[node];
    job->warmup_ns = settings->warmup_ns;
    job->duration_ns = settings->duration_ns;
    job->grace_ns = settings->grace_ns;
    job->clock = settings->clock;
    if (settings->clock_paths)
        snprintf(job->clock_path, sizeof job->clock_path, "%s", settings->clock_paths[node]);
    job->clock_assumed_bound_ns = settings->clock_assumed_bound_ns;
    job->clock_bound_limit_ns = settings->clock_bound_limit_ns;
    job->late_ns = settings->late_ns;
    job->spin_ns = job->role == JOB_SEND ? settings->spin_ns : 0;
    job->busy = job->role == JOB_RECEIVE && settings->busy;
    job->cpu = -1;
}

static void set_type(const struct planning *planning, size_t index, struct job_type *out)
{
    const struct pattern_type *type = &planning->pattern->types[index];

    *out = (struct job_type){
        .index = (uint16_t)index,
        .transport = type->transport,
        .size = type->size,
        .period_ns = type->period_ns,
        .limit_ns = type->limit_ns,
        .phase_ns = planning->phase_ns[index],
        .burst = type->burst,
        .count = type->count,
        .dscp = type->dscp,
        .endpoint = planning->endpoints[index],
    };
    memcpy(out->name, type->name, sizeof out->name);
}

/* The receivers that this sender has types for. */
static void set_peers(const struct planning *planning, const struct plan *plan, struct job *job)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct job *receiver = &plan->jobs[i];
        bool wanted = false;

        if (receiver->role != JOB_RECEIVE || !receiver->echo_port || job->peer_count == JOB_PEERS_MAX)
            continue;
        for (size_t a = 0; a < job->type_count && !wanted; a++) {
            for (size_t b = 0; b < receiver->type_count && !wanted; b++)
                wanted = job->types[a].index == receiver->types[b].index;
        }
        for (size_t a = 0; a < job->peer_count && wanted; a++)
            wanted = strcmp(job->peers[a].node, receiver->node) != 0;
        if (!wanted)
            continue;
        memcpy(job->peers[job->peer_count].node, receiver->node, sizeof receiver->node);
        job->peers[job->peer_count++].endpoint = (struct net_endpoint){receiver->address, receiver->echo_port};
    }
    job->echo_period_ns = job->peer_count ? planning->settings->echo_period_ns : 0;
}

/* Every message, duplicates aside, that the process can see. */
static uint64_t raw_entries(const struct job *job)
{
    uint64_t entries = RAW_SLACK;

    for (size_t i = 0; i < job->type_count; i++)
        entries += job_messages_until(&job->types[i], job->warmup_ns + job->duration_ns);
    return entries < RAW_ENTRIES_MAX ? entries : RAW_ENTRIES_MAX;
}

/* class_name: NULL takes all classes. Adds no job if no type is for it. */
static int add_job(struct planning *planning, struct plan *plan, size_t node, enum job_role role,
                   const char *class_name)
{
    const struct pattern *pattern = planning->pattern;
    const char *node_name = planning->network->nodes[node].name;
    struct job *job = &plan->jobs[plan->count];
    bool first_of_node = true;
    int err;

    job->role = role;
    job->types = calloc(pattern->count, sizeof *job->types);
    if (!job->types)
        return -ENOMEM;
    for (size_t i = 0; i < pattern->count; i++) {
        if (takes_part(planning, i, node, role) &&
            (!class_name || strcmp(pattern->types[i].class_name, class_name) == 0))
            set_type(planning, i, &job->types[job->type_count++]);
    }
    if (!job->type_count) {
        job_free(job);
        return 0;
    }
    set_settings(planning, node, job);
    snprintf(job->process, sizeof job->process, "%s.%s%s%s", node_name, job_role_names[role], class_name ? "." : "",
             class_name ? class_name : "");
    for (size_t i = 0; i < plan->count; i++)
        first_of_node &= strcmp(plan->jobs[i].node, job->node) != 0;
    job->stall_period_ns = first_of_node ? planning->settings->stall_period_ns : 0;
    job->stall_threshold_ns = planning->settings->stall_threshold_ns;
    plan->count++;
    if (role == JOB_SEND)
        set_peers(planning, plan, job);
    else if (planning->settings->echo_period_ns)
        job->echo_port = echo_port(planning, (unsigned)plan->count - 1);
    err = join_path(planning, job->process, "json", job->result_path);
    if (!err && role == JOB_RECEIVE && planning->settings->raw) {
        job->raw_entries = raw_entries(job);
        err = join_path(planning, job->process, "raw", job->raw_path);
    }
    return err;
}

/* The first type of its class stands for the class. */
static bool first_of_class(const struct pattern *pattern, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(pattern->types[i].class_name, pattern->types[index].class_name) == 0)
            return false;
    }
    return true;
}

static int add_jobs(struct planning *planning, struct plan *plan, enum job_role role)
{
    const struct pattern *pattern = planning->pattern;
    int err = 0;

    for (size_t node = 0; node < planning->network->count && !err; node++) {
        if (planning->settings->split == PLAN_BY_NODE)
            err = add_job(planning, plan, node, role, NULL);
        for (size_t i = 0; i < pattern->count && !err && planning->settings->split == PLAN_BY_CLASS; i++) {
            if (first_of_class(pattern, i))
                err = add_job(planning, plan, node, role, pattern->types[i].class_name);
        }
    }
    return err;
}

static size_t class_count(const struct pattern *pattern)
{
    size_t count = 0;

    for (size_t i = 0; i < pattern->count; i++)
        count += first_of_class(pattern, i);
    return count;
}

static int check_ports(struct planning *planning, size_t processes)
{
    if (planning->port_base + planning->pattern->count <= 65536 && planning->port_base > processes + 1024)
        return 0;
    snprintf(planning->problem, JOB_PROBLEM_MAX, "port_base: %u leaves no room for the types' ports",
             planning->port_base);
    return LOCKSTEP_E_BAD_VALUE;
}

int plan_create(const struct pattern *pattern, const struct schedule_placement *placement,
                const struct schedule_network *network, const int64_t *phase_ns, const struct plan_settings *settings,
                struct plan *out, char *problem)
{
    struct planning planning = {.pattern = pattern,
                                .placement = placement,
                                .network = network,
                                .phase_ns = phase_ns,
                                .settings = settings,
                                .port_base = settings->port_base ? settings->port_base : PORT_BASE,
                                .problem = problem};
    size_t most = 2 * network->count * (settings->split == PLAN_BY_CLASS ? class_count(pattern) : 1);
    int err;

    *out = (struct plan){calloc(most + 1, sizeof *out->jobs), 0};
    snprintf(problem, JOB_PROBLEM_MAX, "plan: out of memory");
    if (!out->jobs)
        return -ENOMEM;
    err = check_ports(&planning, most);
    if (!err)
        err = give_endpoints(&planning);
    if (!err)
        err = add_jobs(&planning, out, JOB_RECEIVE);
    if (!err)
        err = add_jobs(&planning, out, JOB_SEND);
    if (err)
        plan_free(out);
    return err;
}

void plan_free(struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        job_free(&plan->jobs[i]);
    free(plan->jobs);
    *plan = (struct plan){NULL, 0};
}
