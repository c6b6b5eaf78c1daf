/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/result.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "testbed/json_read.h"
#include "testbed/json_write.h"

#define SCHEMA          "lockstep-testbench-result"
#define SERIES_LEAST_NS 100000000

const char *const result_ending_names[] = {"complete", "stopped", "failed", NULL};

/* ---- memory ---- */

static int allocate_type(const struct job *job, const struct job_type *type, struct result_type *out)
{
    out->index = type->index;
    memcpy(out->name, type->name, sizeof out->name);
    if (job->role == JOB_SEND) {
        out->sent = calloc(1, sizeof *out->sent);
        return out->sent ? 0 : -ENOMEM;
    }
    out->received = calloc(1, sizeof *out->received);
    return out->received ? 0 : -ENOMEM;
}

static int allocate(const struct job *job, struct result *result)
{
    result->types = calloc(job->type_count ? job->type_count : 1, sizeof *result->types);
    result->echoes = calloc(job->peer_count ? job->peer_count : 1, sizeof *result->echoes);
    result->has_stalls = job->stall_period_ns > 0;
    result->stalls = result->has_stalls ? calloc(1, sizeof *result->stalls) : NULL;
    if (!result->types || !result->echoes || (result->has_stalls && !result->stalls))
        return -ENOMEM;
    for (; result->type_count < job->type_count; result->type_count++) {
        int err = allocate_type(job, &job->types[result->type_count], &result->types[result->type_count]);

        if (err)
            return err;
    }
    return 0;
}

void result_set_start(struct result *result, const struct job *job)
{
    int64_t all_ns = job->warmup_ns + job->duration_ns;

    result->start_tai_ns = job->start_tai_ns;
    series_init(&result->clock.bounds, job->start_tai_ns, all_ns, SERIES_LEAST_NS);
    for (size_t i = 0; i < result->type_count; i++) {
        if (result->types[i].received)
            record_init(result->types[i].received, job->start_tai_ns, all_ns);
    }
    result->echo_count = job->peer_count;
    for (size_t i = 0; i < job->peer_count; i++)
        echo_record_init(&result->echoes[i], job->peers[i].node, job->start_tai_ns, all_ns);
}

struct result *result_create(const struct job *job)
{
    struct result *result = calloc(1, sizeof *result);

    if (!result || allocate(job, result)) {
        result_free(result);
        return NULL;
    }
    result->run = job->run;
    result->role = job->role;
    memcpy(result->node, job->node, sizeof result->node);
    memcpy(result->process, job->process, sizeof result->process);
    memcpy(result->stack, job->stack, sizeof result->stack);
    result->warmup_ns = job->warmup_ns;
    result->duration_ns = job->duration_ns;
    result->limit_bound_ns = job->clock_bound_limit_ns;
    result->clock.kind = job->clock;
    result->clock.assumed = job->clock == NODE_CLOCK_SYSTEM && job->clock_assumed_bound_ns != NODE_CLOCK_BOUND_UNKNOWN;
    result_set_start(result, job);
    return result;
}

void result_free(struct result *result)
{
    if (!result)
        return;
    for (size_t i = 0; result->types && i < result->type_count; i++) {
        free(result->types[i].sent);
        free(result->types[i].received);
    }
    free(result->types);
    free(result->echoes);
    free(result->stalls);
    free(result);
}

/* ---- members that are plain counts: one table serves reading and writing ---- */

struct count_member {
    const char *key;
    size_t offset; /* of an uint64_t */
};

#define COUNT(object, member)                                                                                          \
    {                                                                                                                  \
#member, offsetof(struct object, member)                                                                       \
    }

static const struct count_member send_counts[] = {
    COUNT(send_record, planned), COUNT(send_record, sent),   COUNT(send_record, sent_warmup),
    COUNT(send_record, late),    COUNT(send_record, errors), COUNT(send_record, unsent),
    COUNT(send_record, blocked), COUNT(send_record, bytes),  {NULL, 0},
};

static const struct count_member receive_counts[] = {
    COUNT(type_record, received),   COUNT(type_record, received_warmup),
    COUNT(type_record, duplicates), COUNT(type_record, reordered),
    COUNT(type_record, corrupt),    COUNT(type_record, before_window),
    COUNT(type_record, bytes),      COUNT(type_record, over_limit),
    COUNT(type_record, near_limit), {NULL, 0},
};

static const struct count_member echo_counts[] = {
    COUNT(echo_record, sent),       COUNT(echo_record, received),     COUNT(echo_record, without_time),
    COUNT(echo_record, impossible), COUNT(echo_record, inconsistent), {NULL, 0},
};

static const struct count_member stall_counts[] = {
    COUNT(stall_report, wakeups),
    COUNT(stall_report, stalls),
    COUNT(stall_report, steal_ms),
    {NULL, 0},
};

static const struct count_member result_counts[] = {
    COUNT(result, cpu_user_us), COUNT(result, cpu_system_us), COUNT(result, foreign),
    COUNT(result, raw_entries), COUNT(result, raw_missing),   {NULL, 0},
};

static const struct count_member clock_counts[] = {
    {"samples", offsetof(struct result, clock.samples)},
    {"holdover", offsetof(struct result, clock.holdover)},
    {"no_time", offsetof(struct result, clock.no_time)},
    {"over_limit", offsetof(struct result, clock.over_limit)},
    {NULL, 0},
};

static uint64_t *count_at(void *object, size_t offset)
{
    return (uint64_t *)(void *)((char *)object + offset);
}

/* ---- writing ---- */

static void add_bound(struct json_object *object, const char *key, uint32_t bound_ns)
{
    json_write_int(object, key, bound_ns == NODE_CLOCK_BOUND_UNKNOWN ? -1 : (int64_t)bound_ns);
}

static void add_counts(struct json_object *object, const struct count_member *members, const void *from)
{
    for (; members->key; members++)
        json_write_int(object, members->key, (int64_t)*count_at((void *)from, members->offset));
}

static void append(struct json_object *array, int64_t value)
{
    json_object_array_add(array, json_object_new_int64(value));
}

/* [bucket, count, bucket, count, ...] of those that are not empty. */
static struct json_object *buckets_to_json(const uint64_t *buckets)
{
    struct json_object *array = json_object_new_array();

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (!buckets[i])
            continue;
        append(array, i);
        append(array, (int64_t)buckets[i]);
    }
    return array;
}

static struct json_object *latency_to_json(const struct latency *latency)
{
    struct json_object *object = json_object_new_object();

    json_write_int(object, "count", (int64_t)latency->count);
    json_write_int(object, "min_ns", latency->min_ns);
    json_write_int(object, "max_ns", latency->max_ns);
    json_write_int(object, "sum_ns", latency->sum_ns);
    json_object_object_add(object, "buckets", buckets_to_json(latency->buckets));
    json_object_object_add(object, "negative", buckets_to_json(latency->negative));
    return object;
}

/* "slots": [slot, min, max, sum, count, ...] of those that are not empty. */
static struct json_object *series_to_json(const struct series *series)
{
    struct json_object *object = json_object_new_object(), *slots = json_object_new_array();

    json_write_int(object, "start_ns", series->start_ns);
    json_write_int(object, "width_ns", series->width_ns);
    for (unsigned i = 0; i < SERIES_SLOTS; i++) {
        const struct series_slot *slot = &series->slots[i];

        if (!slot->count)
            continue;
        append(slots, i);
        append(slots, slot->min);
        append(slots, slot->max);
        append(slots, slot->sum);
        append(slots, (int64_t)slot->count);
    }
    json_object_object_add(object, "slots", slots);
    return object;
}

static struct json_object *arrival_to_json(const struct arrival *arrival)
{
    struct json_object *object = json_object_new_object();

    json_write_int(object, "sequence", arrival->sequence);
    json_write_int(object, "planned_ns", arrival->planned_ns);
    json_write_int(object, "sent_ns", arrival->sent_ns);
    json_write_int(object, "first_ns", arrival->first_ns);
    json_write_int(object, "last_ns", arrival->last_ns);
    add_bound(object, "sender_bound_ns", arrival->sender_bound_ns);
    add_bound(object, "receiver_bound_ns", arrival->receiver_bound_ns);
    return object;
}

static struct json_object *sent_to_json(const struct send_record *record)
{
    struct json_object *object = json_object_new_object();

    add_counts(object, send_counts, record);
    json_object_object_add(object, "lateness", latency_to_json(&record->lateness));
    json_object_object_add(object, "handover", latency_to_json(&record->handover));
    return object;
}

static struct json_object *received_to_json(const struct type_record *record)
{
    struct json_object *object = json_object_new_object(), *worst = json_object_new_array();

    add_counts(object, receive_counts, record);
    add_bound(object, "bound_max_ns", record->bound_max_ns);
    json_write_int(object, "next_sequence", record->next_sequence);
    json_object_object_add(object, "planned_last", latency_to_json(&record->planned_last));
    json_object_object_add(object, "planned_first", latency_to_json(&record->planned_first));
    json_object_object_add(object, "sent_last", latency_to_json(&record->sent_last));
    json_object_object_add(object, "sent_first", latency_to_json(&record->sent_first));
    json_object_object_add(object, "series", series_to_json(&record->series));
    for (unsigned i = 0; i < record->worst_count; i++)
        json_object_array_add(worst, arrival_to_json(&record->worst[i]));
    json_object_object_add(object, "worst", worst);
    return object;
}

static struct json_object *types_to_json(const struct result *result)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < result->type_count; i++) {
        const struct result_type *type = &result->types[i];
        struct json_object *object = json_object_new_object();

        json_write_int(object, "index", type->index);
        json_write_text(object, "name", type->name);
        json_object_object_add(object, "connected", json_object_new_boolean(type->connected));
        json_object_object_add(object, "cut", json_object_new_boolean(type->cut));
        if (type->sent)
            json_object_object_add(object, "sent", sent_to_json(type->sent));
        if (type->received)
            json_object_object_add(object, "received", received_to_json(type->received));
        json_object_array_add(array, object);
    }
    return array;
}

static struct json_object *echoes_to_json(const struct result *result)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < result->echo_count; i++) {
        const struct echo_record *record = &result->echoes[i];
        struct json_object *object = json_object_new_object();

        json_write_text(object, "peer", record->peer);
        add_counts(object, echo_counts, record);
        json_object_object_add(object, "round_trip", latency_to_json(&record->round_trip));
        json_object_object_add(object, "forward", latency_to_json(&record->forward));
        json_object_object_add(object, "backward", latency_to_json(&record->backward));
        json_write_int(object, "disagreement_ns", record->disagreement_ns);
        json_write_int(object, "disagreement_round_trip_ns", record->disagreement_round_trip_ns);
        add_bound(object, "bound_max_ns", record->bound_max_ns);
        json_object_object_add(object, "disagreement", series_to_json(&record->disagreement));
        json_object_object_add(object, "round_trips", series_to_json(&record->round_trips));
        json_object_array_add(array, object);
    }
    return array;
}

static struct json_object *stalls_to_json(const struct stall_report *report)
{
    struct json_object *object = json_object_new_object(), *list = json_object_new_array();

    add_counts(object, stall_counts, report);
    json_write_int(object, "period_ns", report->period_ns);
    json_write_int(object, "threshold_ns", report->threshold_ns);
    json_object_object_add(object, "lateness", latency_to_json(&report->lateness));
    for (unsigned i = 0; i < report->list_count; i++) {
        append(list, report->list[i].at_ns);
        append(list, report->list[i].duration_ns);
    }
    json_object_object_add(object, "list", list); /* [at, duration, ...] */
    return object;
}

static struct json_object *clock_to_json(const struct result *result)
{
    struct json_object *object = json_object_new_object();

    json_write_text(object, "kind", node_clock_kind_names[result->clock.kind]);
    json_object_object_add(object, "assumed", json_object_new_boolean(result->clock.assumed));
    add_bound(object, "bound_start_ns", result->clock.bound_start_ns);
    add_bound(object, "bound_max_ns", result->clock.bound_max_ns);
    add_bound(object, "bound_end_ns", result->clock.bound_end_ns);
    json_write_int(object, "disruptions", result->clock.disruptions);
    add_counts(object, clock_counts, result);
    json_object_object_add(object, "bounds", series_to_json(&result->clock.bounds));
    return object;
}

char *result_to_json(const struct result *result)
{
    struct json_object *object = json_object_new_object();
    char *text;

    json_write_text(object, "schema", SCHEMA);
    json_write_int(object, "version", RESULT_VERSION);
    json_write_int(object, "run", result->run);
    json_write_text(object, "role", job_role_names[result->role]);
    json_write_text(object, "node", result->node);
    json_write_text(object, "process", result->process);
    json_write_text(object, "stack", result->stack);
    json_write_text(object, "ending", result_ending_names[result->ending]);
    json_write_text(object, "problem", result->problem);
    json_write_int(object, "start_tai_ns", result->start_tai_ns);
    json_write_int(object, "warmup_ns", result->warmup_ns);
    json_write_int(object, "duration_ns", result->duration_ns);
    json_write_int(object, "limit_bound_ns", result->limit_bound_ns);
    json_write_int(object, "ended_tai_ns", result->ended_tai_ns);
    json_write_int(object, "stamp_cost_ns", result->stamp_cost_ns);
    json_write_int(object, "record_cost_ns", result->record_cost_ns);
    add_counts(object, result_counts, result);
    json_object_object_add(object, "clock", clock_to_json(result));
    if (result->has_stalls)
        json_object_object_add(object, "stalls", stalls_to_json(result->stalls));
    json_object_object_add(object, "echoes", echoes_to_json(result));
    json_object_object_add(object, "types", types_to_json(result));
    text = strdup(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
    json_object_put(object);
    return text;
}

/* ---- reading ---- */

static uint32_t read_bound(struct json_reader *reader, struct json_object *object, const char *key)
{
    int64_t bound = json_read_int(reader, object, key, -1, NODE_CLOCK_BOUND_UNKNOWN - 1);

    return bound < 0 ? NODE_CLOCK_BOUND_UNKNOWN : (uint32_t)bound;
}

static int64_t read_time(struct json_reader *reader, struct json_object *object, const char *key)
{
    return json_read_int(reader, object, key, INT64_MIN, INT64_MAX);
}

static void read_counts(struct json_reader *reader, struct json_object *object, const struct count_member *members,
                        void *to)
{
    for (; members->key; members++)
        *count_at(to, members->offset) = (uint64_t)json_read_int(reader, object, members->key, 0, INT64_MAX);
}

/* Returns how many values the buckets hold. */
static uint64_t read_buckets(struct json_reader *reader, struct json_object *object, const char *key, uint64_t *buckets)
{
    uint64_t sum = 0;
    int64_t least = 0;
    size_t count;
    struct json_object *array = json_read_array(reader, object, key, (size_t)HISTOGRAM_BUCKETS * 2, &count);

    for (size_t i = 0; i + 1 < count && !reader->err; i += 2) {
        int64_t index = json_read_element(reader, array, key, i, least, HISTOGRAM_BUCKETS - 1);

        least = index + 1; /* none comes twice */
        if (reader->err)
            break;
        buckets[index] = (uint64_t)json_read_element(reader, array, key, i + 1, 0, INT64_MAX / HISTOGRAM_BUCKETS);
        sum += buckets[index];
    }
    return sum;
}

static void read_latency(struct json_reader *reader, struct json_object *parent, const char *key, struct latency *out)
{
    struct json_object *object = json_read_object(reader, parent, key);
    uint64_t sum;

    out->count = (uint64_t)json_read_int(reader, object, "count", 0, INT64_MAX);
    out->min_ns = read_time(reader, object, "min_ns");
    out->max_ns = read_time(reader, object, "max_ns");
    out->sum_ns = read_time(reader, object, "sum_ns");
    sum = read_buckets(reader, object, "buckets", out->buckets);
    sum += read_buckets(reader, object, "negative", out->negative);
    if (!reader->err && (sum != out->count || out->min_ns > out->max_ns))
        json_read_fail(reader, LOCKSTEP_E_BAD_VALUE, key, "its count and its buckets do not agree");
}

static void read_series(struct json_reader *reader, struct json_object *parent, const char *key, struct series *out)
{
    struct json_object *object = json_read_object(reader, parent, key);
    int64_t least = 0;
    size_t count;
    struct json_object *slots;

    out->start_ns = read_time(reader, object, "start_ns");
    out->width_ns = json_read_int(reader, object, "width_ns", 1, INT64_MAX);
    slots = json_read_array(reader, object, "slots", (size_t)SERIES_SLOTS * 5, &count);
    for (size_t i = 0; i + 4 < count && !reader->err; i += 5) {
        int64_t index = json_read_element(reader, slots, key, i, least, SERIES_SLOTS - 1);
        struct series_slot *slot = &out->slots[index < SERIES_SLOTS ? index : 0];

        least = index + 1;
        slot->min = json_read_element(reader, slots, key, i + 1, INT64_MIN, INT64_MAX);
        slot->max = json_read_element(reader, slots, key, i + 2, INT64_MIN, INT64_MAX);
        slot->sum = json_read_element(reader, slots, key, i + 3, INT64_MIN, INT64_MAX);
        slot->count = (uint64_t)json_read_element(reader, slots, key, i + 4, 0, INT64_MAX);
    }
}

static void read_arrival(struct json_reader *reader, struct json_object *object, struct arrival *out)
{
    out->sequence = (uint32_t)json_read_int(reader, object, "sequence", 0, UINT32_MAX);
    out->planned_ns = json_read_int(reader, object, "planned_ns", 0, INT64_MAX / 2);
    out->sent_ns = json_read_int(reader, object, "sent_ns", 0, INT64_MAX / 2);
    out->first_ns = json_read_int(reader, object, "first_ns", 0, INT64_MAX / 2);
    out->last_ns = json_read_int(reader, object, "last_ns", 0, INT64_MAX / 2);
    out->sender_bound_ns = read_bound(reader, object, "sender_bound_ns");
    out->receiver_bound_ns = read_bound(reader, object, "receiver_bound_ns");
}

static void read_sent(struct json_reader *reader, struct json_object *object, struct send_record *out)
{
    read_counts(reader, object, send_counts, out);
    read_latency(reader, object, "lateness", &out->lateness);
    read_latency(reader, object, "handover", &out->handover);
}

static void read_received(struct json_reader *reader, struct json_object *object, struct type_record *out)
{
    struct json_object *worst;
    size_t count;

    read_counts(reader, object, receive_counts, out);
    out->bound_max_ns = read_bound(reader, object, "bound_max_ns");
    out->next_sequence = (uint32_t)json_read_int(reader, object, "next_sequence", 0, UINT32_MAX);
    read_latency(reader, object, "planned_last", &out->planned_last);
    read_latency(reader, object, "planned_first", &out->planned_first);
    read_latency(reader, object, "sent_last", &out->sent_last);
    read_latency(reader, object, "sent_first", &out->sent_first);
    read_series(reader, object, "series", &out->series);
    worst = json_read_array(reader, object, "worst", RECORD_WORST, &count);
    for (; out->worst_count < count && !reader->err; out->worst_count++)
        read_arrival(reader, json_object_array_get_idx(worst, out->worst_count), &out->worst[out->worst_count]);
    record_finish(out);
}

static void read_type(struct json_reader *reader, struct json_object *object, enum job_role role,
                      struct result_type *out)
{
    out->index = (uint16_t)json_read_int(reader, object, "index", 0, PATTERN_TYPES_MAX - 1);
    json_read_text(reader, object, "name", out->name, sizeof out->name);
    out->connected = json_read_bool(reader, object, "connected");
    out->cut = json_read_bool(reader, object, "cut");
    if (role == JOB_SEND && (out->sent = calloc(1, sizeof *out->sent)) != NULL)
        read_sent(reader, json_read_object(reader, object, "sent"), out->sent);
    if (role == JOB_RECEIVE && (out->received = calloc(1, sizeof *out->received)) != NULL)
        read_received(reader, json_read_object(reader, object, "received"), out->received);
    if (!out->sent && !out->received)
        json_read_fail(reader, -ENOMEM, "types", "out of memory");
}

static void read_types(struct json_reader *reader, struct json_object *document, struct result *result)
{
    size_t count;
    struct json_object *array = json_read_array(reader, document, "types", PATTERN_TYPES_MAX, &count);

    result->types = calloc(count ? count : 1, sizeof *result->types);
    if (!result->types)
        json_read_fail(reader, -ENOMEM, "types", "out of memory");
    while (!reader->err && result->type_count < count) {
        size_t index = result->type_count++;

        read_type(reader, json_object_array_get_idx(array, index), result->role, &result->types[index]);
    }
}

static void read_echo(struct json_reader *reader, struct json_object *object, struct echo_record *out)
{
    json_read_text(reader, object, "peer", out->peer, sizeof out->peer);
    read_counts(reader, object, echo_counts, out);
    read_latency(reader, object, "round_trip", &out->round_trip);
    read_latency(reader, object, "forward", &out->forward);
    read_latency(reader, object, "backward", &out->backward);
    out->disagreement_ns = read_time(reader, object, "disagreement_ns");
    out->disagreement_round_trip_ns = read_time(reader, object, "disagreement_round_trip_ns");
    out->bound_max_ns = read_bound(reader, object, "bound_max_ns");
    read_series(reader, object, "disagreement", &out->disagreement);
    read_series(reader, object, "round_trips", &out->round_trips);
}

static void read_echoes(struct json_reader *reader, struct json_object *document, struct result *result)
{
    size_t count;
    struct json_object *array = json_read_array(reader, document, "echoes", JOB_PEERS_MAX, &count);

    result->echoes = calloc(count ? count : 1, sizeof *result->echoes);
    if (!result->echoes)
        json_read_fail(reader, -ENOMEM, "echoes", "out of memory");
    for (; !reader->err && result->echo_count < count; result->echo_count++)
        read_echo(reader, json_object_array_get_idx(array, result->echo_count), &result->echoes[result->echo_count]);
}

static void read_stalls(struct json_reader *reader, struct json_object *document, struct result *result)
{
    struct json_object *object, *list;
    struct stall_report *report;
    size_t count;

    result->has_stalls = json_object_object_get_ex(document, "stalls", NULL);
    if (!result->has_stalls)
        return;
    report = result->stalls = calloc(1, sizeof *report);
    if (!report) {
        json_read_fail(reader, -ENOMEM, "stalls", "out of memory");
        return;
    }
    object = json_read_object(reader, document, "stalls");
    read_counts(reader, object, stall_counts, report);
    report->period_ns = read_time(reader, object, "period_ns");
    report->threshold_ns = read_time(reader, object, "threshold_ns");
    read_latency(reader, object, "lateness", &report->lateness);
    list = json_read_array(reader, object, "list", (size_t)STALLS_MAX * 2, &count);
    for (size_t i = 0; i + 1 < count && !reader->err; i += 2) {
        struct stall *stall = &report->list[report->list_count++];

        stall->at_ns = json_read_element(reader, list, "list", i, 0, INT64_MAX / 2);
        stall->duration_ns = json_read_element(reader, list, "list", i + 1, 0, INT64_MAX / 2);
    }
}

static void read_clock(struct json_reader *reader, struct json_object *document, struct result *result)
{
    struct json_object *object = json_read_object(reader, document, "clock");

    result->clock.kind = (enum node_clock_kind)json_read_enum(reader, object, "kind", node_clock_kind_names);
    result->clock.assumed = json_read_bool(reader, object, "assumed");
    result->clock.bound_start_ns = read_bound(reader, object, "bound_start_ns");
    result->clock.bound_max_ns = read_bound(reader, object, "bound_max_ns");
    result->clock.bound_end_ns = read_bound(reader, object, "bound_end_ns");
    result->clock.disruptions = (uint32_t)json_read_int(reader, object, "disruptions", 0, UINT32_MAX);
    read_counts(reader, object, clock_counts, result);
    read_series(reader, object, "bounds", &result->clock.bounds);
}

static void read_result(struct json_reader *reader, struct json_object *document, struct result *result)
{
    result->run = (uint32_t)json_read_int(reader, document, "run", 1, UINT32_MAX);
    result->role = (enum job_role)json_read_enum(reader, document, "role", job_role_names);
    json_read_text(reader, document, "node", result->node, sizeof result->node);
    json_read_text(reader, document, "process", result->process, sizeof result->process);
    json_read_text(reader, document, "stack", result->stack, sizeof result->stack);
    result->ending = (enum result_ending)json_read_enum(reader, document, "ending", result_ending_names);
    json_read_text(reader, document, "problem", result->problem, sizeof result->problem);
    result->start_tai_ns = read_time(reader, document, "start_tai_ns");
    result->warmup_ns = json_read_int(reader, document, "warmup_ns", 0, INT64_MAX / 4);
    result->duration_ns = json_read_int(reader, document, "duration_ns", 0, INT64_MAX / 4);
    result->limit_bound_ns = read_time(reader, document, "limit_bound_ns");
    result->ended_tai_ns = read_time(reader, document, "ended_tai_ns");
    result->stamp_cost_ns = (uint32_t)json_read_int(reader, document, "stamp_cost_ns", 0, UINT32_MAX);
    result->record_cost_ns = (uint32_t)json_read_int(reader, document, "record_cost_ns", 0, UINT32_MAX);
    read_counts(reader, document, result_counts, result);
    read_clock(reader, document, result);
    read_stalls(reader, document, result);
    read_echoes(reader, document, result);
    read_types(reader, document, result);
}

int result_parse(const char *text, size_t length, struct result **out, char *problem)
{
    struct json_reader reader = {.what = "result", .problem = problem, .problem_size = RESULT_PROBLEM_MAX};
    struct result *result = calloc(1, sizeof *result);
    struct json_object *document;

    *out = NULL;
    if (!result)
        return json_read_fail(&reader, -ENOMEM, "document", "out of memory");
    if (length > RESULT_BYTES_MAX)
        json_read_fail(&reader, LOCKSTEP_E_EXHAUSTED, "document", "is larger than 64 MiB");
    document = reader.err ? NULL : json_read_document(&reader, text, length, SCHEMA, RESULT_VERSION);
    if (document)
        read_result(&reader, document, result);
    json_object_put(document);
    if (reader.err)
        result_free(result);
    else
        *out = result;
    return reader.err;
}
