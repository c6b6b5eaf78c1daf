/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/job.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "testbed/json_read.h"
#include "testbed/json_write.h"

#define SCHEMA          "lockstep-testbench-job"
#define DURATION_MAX_NS (86400ll * 1000000000) /* a day */
#define RAW_ENTRIES_MAX (1ll << 28)
#define CPU_MAX         4095
#define TIME_MAX_NS     (INT64_MAX / 2)

const char *const job_role_names[] = {"send", "receive", NULL};
/* Of node_clock.h; here, because jobs and results name clocks without opening any. */
const char *const node_clock_kind_names[] = {"lockstep", "system", NULL};

/* ---- reading ---- */

static void read_address(struct json_reader *reader, struct json_object *object, const char *key, struct net_addr *out)
{
    char text[NET_ADDR_TEXT_MAX];

    json_read_text(reader, object, key, text, sizeof text);
    if (!reader->err && net_addr_parse(text, out))
        json_read_fail(reader, LOCKSTEP_E_BAD_FORMAT, key, "is not an Internet address");
}

static void read_endpoint(struct json_reader *reader, struct json_object *object, struct net_endpoint *out)
{
    read_address(reader, object, "address", &out->addr);
    out->port = (uint16_t)json_read_int(reader, object, "port", 1, UINT16_MAX);
}

static uint32_t read_bound(struct json_reader *reader, struct json_object *object, const char *key)
{
    int64_t bound = json_read_int(reader, object, key, -1, NODE_CLOCK_BOUND_UNKNOWN - 1);

    return bound < 0 ? NODE_CLOCK_BOUND_UNKNOWN : (uint32_t)bound;
}

static void check_type(struct json_reader *reader, const struct job_type *type)
{
    if (!pattern_is_stream(type->transport) && type->size > PATTERN_DATAGRAM_MAX)
        json_read_fail(reader, LOCKSTEP_E_BAD_VALUE, type->name, "too large for a datagram");
    if (type->phase_ns >= type->period_ns)
        json_read_fail(reader, LOCKSTEP_E_BAD_VALUE, type->name, "the phase is not less than the period");
    if ((type->transport == PATTERN_MULTICAST) != net_addr_is_multicast(&type->endpoint.addr))
        json_read_fail(reader, LOCKSTEP_E_BAD_VALUE, type->name, "transport and address do not fit");
}

static void read_type(struct json_reader *reader, struct json_object *object, struct job_type *type)
{
    type->index = (uint16_t)json_read_int(reader, object, "index", 0, PATTERN_TYPES_MAX - 1);
    json_read_text(reader, object, "name", type->name, sizeof type->name);
    type->transport = (enum pattern_transport)json_read_enum(reader, object, "transport", pattern_transport_names);
    type->size = (uint32_t)json_read_int(reader, object, "size", PATTERN_SIZE_MIN, PATTERN_SIZE_MAX);
    type->period_ns = json_read_int(reader, object, "period_ns", PATTERN_PERIOD_MIN_NS, PATTERN_PERIOD_MAX_NS);
    type->limit_ns = json_read_int(reader, object, "limit_ns", 1, PATTERN_PERIOD_MAX_NS);
    type->phase_ns = json_read_int(reader, object, "phase_ns", 0, PATTERN_PERIOD_MAX_NS);
    type->burst = (uint32_t)json_read_int(reader, object, "burst", 1, PATTERN_BURST_MAX);
    type->count = (uint64_t)json_read_int(reader, object, "count", 0, UINT32_MAX);
    type->dscp = (uint8_t)json_read_int(reader, object, "dscp", 0, 63);
    read_endpoint(reader, object, &type->endpoint);
    if (!reader->err)
        check_type(reader, type);
}

static void read_types(struct json_reader *reader, struct json_object *document, struct job *job)
{
    bool seen[PATTERN_TYPES_MAX] = {false};
    struct json_object *array = json_read_array(reader, document, "types", PATTERN_TYPES_MAX, &job->type_count);

    job->types = calloc(job->type_count ? job->type_count : 1, sizeof *job->types);
    if (!job->types) {
        json_read_fail(reader, -ENOMEM, "types", "out of memory");
        return;
    }
    if (!job->type_count)
        json_read_fail(reader, LOCKSTEP_E_BAD_VALUE, "types", "there is none");
    for (size_t i = 0; i < job->type_count && !reader->err; i++) {
        read_type(reader, json_object_array_get_idx(array, i), &job->types[i]);
        if (!reader->err && seen[job->types[i].index])
            json_read_fail(reader, LOCKSTEP_E_CONFLICT, job->types[i].name, "its index is given twice");
        seen[job->types[i].index] = true;
    }
}

static void read_peers(struct json_reader *reader, struct json_object *document, struct job *job)
{
    struct json_object *array = json_read_array(reader, document, "peers", JOB_PEERS_MAX, &job->peer_count);

    for (size_t i = 0; i < job->peer_count && !reader->err; i++) {
        struct json_object *peer = json_object_array_get_idx(array, i);

        json_read_text(reader, peer, "node", job->peers[i].node, sizeof job->peers[i].node);
        read_endpoint(reader, peer, &job->peers[i].endpoint);
    }
}

static void read_clock(struct json_reader *reader, struct json_object *document, struct job *job)
{
    struct json_object *clock = json_read_object(reader, document, "clock");

    job->clock = (enum node_clock_kind)json_read_enum(reader, clock, "kind", node_clock_kind_names);
    json_read_text(reader, clock, "path", job->clock_path, sizeof job->clock_path);
    job->clock_assumed_bound_ns = read_bound(reader, clock, "assumed_bound_ns");
    job->clock_bound_limit_ns = json_read_int(reader, clock, "bound_limit_ns", 0, TIME_MAX_NS);
}

static void read_times(struct json_reader *reader, struct json_object *document, struct job *job)
{
    job->start_tai_ns = json_read_int(reader, document, "start_tai_ns", 0, TIME_MAX_NS);
    job->warmup_ns = json_read_int(reader, document, "warmup_ns", 0, DURATION_MAX_NS);
    job->duration_ns = json_read_int(reader, document, "duration_ns", 1000000, DURATION_MAX_NS);
    job->grace_ns = json_read_int(reader, document, "grace_ns", 0, DURATION_MAX_NS);
    job->late_ns = json_read_int(reader, document, "late_ns", 1, DURATION_MAX_NS);
    job->spin_ns = json_read_int(reader, document, "spin_ns", 0, 1000000000);
    job->stall_period_ns = json_read_int(reader, document, "stall_period_ns", 0, 1000000000);
    job->stall_threshold_ns = json_read_int(reader, document, "stall_threshold_ns", 0, 1000000000);
    job->echo_period_ns = json_read_int(reader, document, "echo_period_ns", 0, DURATION_MAX_NS);
    if (job->stall_period_ns && job->stall_period_ns < 50000)
        json_read_fail(reader, LOCKSTEP_E_BAD_VALUE, "stall_period_ns", "is less than 50 us");
    if (job->echo_period_ns && job->echo_period_ns < 1000000)
        json_read_fail(reader, LOCKSTEP_E_BAD_VALUE, "echo_period_ns", "is less than 1 ms");
}

static void read_job(struct json_reader *reader, struct json_object *document, struct job *job)
{
    job->run = (uint32_t)json_read_int(reader, document, "run", 1, UINT32_MAX);
    job->role = (enum job_role)json_read_enum(reader, document, "role", job_role_names);
    json_read_text(reader, document, "node", job->node, sizeof job->node);
    json_read_text(reader, document, "process", job->process, sizeof job->process);
    json_read_text(reader, document, "stack", job->stack, sizeof job->stack);
    read_address(reader, document, "address", &job->address);
    read_times(reader, document, job);
    read_clock(reader, document, job);
    job->busy = json_read_bool(reader, document, "busy");
    job->cpu = (int)json_read_int(reader, document, "cpu", -1, CPU_MAX);
    job->echo_port = (uint16_t)json_read_int(reader, document, "echo_port", 0, UINT16_MAX);
    read_peers(reader, document, job);
    job->raw_entries = (uint64_t)json_read_int(reader, document, "raw_entries", 0, RAW_ENTRIES_MAX);
    json_read_text(reader, document, "raw_path", job->raw_path, sizeof job->raw_path);
    json_read_text(reader, document, "result_path", job->result_path, sizeof job->result_path);
    if (!reader->err && !*job->result_path)
        json_read_fail(reader, LOCKSTEP_E_BAD_VALUE, "result_path", "is empty");
    read_types(reader, document, job);
}

int job_parse(const char *text, size_t length, struct job *out, char *problem)
{
    struct json_reader reader = {.what = "job", .problem = problem, .problem_size = JOB_PROBLEM_MAX};
    struct json_object *document;

    memset(out, 0, sizeof *out);
    if (length > JOB_BYTES_MAX)
        return json_read_fail(&reader, LOCKSTEP_E_EXHAUSTED, "document", "is larger than 2 MiB");
    document = json_read_document(&reader, text, length, SCHEMA, JOB_VERSION);
    if (document)
        read_job(&reader, document, out);
    json_object_put(document);
    if (reader.err)
        job_free(out);
    return reader.err;
}

void job_free(struct job *job)
{
    free(job->types);
    memset(job, 0, sizeof *job);
}

/* ---- writing ---- */

static void add_endpoint(struct json_object *object, const struct net_endpoint *endpoint)
{
    char text[NET_ADDR_TEXT_MAX];

    json_write_text(object, "address", net_addr_format(&endpoint->addr, text));
    json_write_int(object, "port", endpoint->port);
}

static struct json_object *type_to_json(const struct job_type *type)
{
    struct json_object *object = json_object_new_object();

    json_write_int(object, "index", type->index);
    json_write_text(object, "name", type->name);
    json_write_text(object, "transport", pattern_transport_names[type->transport]);
    json_write_int(object, "size", type->size);
    json_write_int(object, "period_ns", type->period_ns);
    json_write_int(object, "limit_ns", type->limit_ns);
    json_write_int(object, "phase_ns", type->phase_ns);
    json_write_int(object, "burst", type->burst);
    json_write_int(object, "count", (int64_t)type->count);
    json_write_int(object, "dscp", type->dscp);
    add_endpoint(object, &type->endpoint);
    return object;
}

static struct json_object *clock_to_json(const struct job *job)
{
    struct json_object *object = json_object_new_object();
    bool unknown = job->clock_assumed_bound_ns == NODE_CLOCK_BOUND_UNKNOWN;

    json_write_text(object, "kind", node_clock_kind_names[job->clock]);
    json_write_text(object, "path", job->clock_path);
    json_write_int(object, "assumed_bound_ns", unknown ? -1 : (int64_t)job->clock_assumed_bound_ns);
    json_write_int(object, "bound_limit_ns", job->clock_bound_limit_ns);
    return object;
}

static struct json_object *peers_to_json(const struct job *job)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < job->peer_count; i++) {
        struct json_object *peer = json_object_new_object();

        json_write_text(peer, "node", job->peers[i].node);
        add_endpoint(peer, &job->peers[i].endpoint);
        json_object_array_add(array, peer);
    }
    return array;
}

static void add_times(struct json_object *object, const struct job *job)
{
    json_write_int(object, "start_tai_ns", job->start_tai_ns);
    json_write_int(object, "warmup_ns", job->warmup_ns);
    json_write_int(object, "duration_ns", job->duration_ns);
    json_write_int(object, "grace_ns", job->grace_ns);
    json_write_int(object, "late_ns", job->late_ns);
    json_write_int(object, "spin_ns", job->spin_ns);
    json_write_int(object, "stall_period_ns", job->stall_period_ns);
    json_write_int(object, "stall_threshold_ns", job->stall_threshold_ns);
    json_write_int(object, "echo_period_ns", job->echo_period_ns);
}

char *job_to_json(const struct job *job)
{
    struct json_object *object = json_object_new_object(), *types = json_object_new_array();
    char address[NET_ADDR_TEXT_MAX];
    char *text;

    json_write_text(object, "schema", SCHEMA);
    json_write_int(object, "version", JOB_VERSION);
    json_write_int(object, "run", job->run);
    json_write_text(object, "role", job_role_names[job->role]);
    json_write_text(object, "node", job->node);
    json_write_text(object, "process", job->process);
    json_write_text(object, "stack", job->stack);
    json_write_text(object, "address", net_addr_format(&job->address, address));
    add_times(object, job);
    json_object_object_add(object, "clock", clock_to_json(job));
    json_object_object_add(object, "busy", json_object_new_boolean(job->busy));
    json_write_int(object, "cpu", job->cpu);
    json_write_int(object, "echo_port", job->echo_port);
    json_object_object_add(object, "peers", peers_to_json(job));
    json_write_int(object, "raw_entries", (int64_t)job->raw_entries);
    json_write_text(object, "raw_path", job->raw_path);
    json_write_text(object, "result_path", job->result_path);
    for (size_t i = 0; i < job->type_count; i++)
        json_object_array_add(types, type_to_json(&job->types[i]));
    json_object_object_add(object, "types", types);
    text = strdup(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY));
    json_object_put(object);
    return text;
}

/* ---- what follows from it ---- */

uint64_t job_messages_until(const struct job_type *type, int64_t until_ns)
{
    uint64_t periods, messages;

    if (until_ns <= type->phase_ns)
        return 0;
    periods = (uint64_t)((until_ns - type->phase_ns - 1) / type->period_ns) + 1;
    messages = periods * type->burst;
    return type->count && type->count < messages ? type->count : messages;
}

struct message_schedule job_message_schedule(const struct job *job, const struct job_type *type)
{
    return (struct message_schedule){.run = job->run,
                                     .type = type->index,
                                     .length = type->size,
                                     .first_planned_ns = job->start_tai_ns + type->phase_ns,
                                     .period_ns = type->period_ns,
                                     .burst = type->burst};
}
