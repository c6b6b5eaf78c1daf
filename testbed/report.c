/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "testbed/json_write.h"

#define SCHEMA      "lockstep-testbed-report"
#define SERIES_ROOM 600 /* points of a course over time, of all rounds of a run together */

/* JSON knows no infinity. */
static void add_real(struct json_object *object, const char *key, double number)
{
    json_object_object_add(object, key, isfinite(number) ? json_object_new_double(number) : NULL);
}

static void add_bound(struct json_object *object, const char *key, uint32_t bound_ns)
{
    json_object_object_add(object, key, bound_ns == NODE_CLOCK_BOUND_UNKNOWN ? NULL : json_object_new_int64(bound_ns));
}

static struct json_object *add_array(struct json_object *object, const char *key)
{
    struct json_object *array = json_object_new_array();

    json_object_object_add(object, key, array);
    return array;
}

static void add_pair(struct json_object *array, int64_t first, int64_t second)
{
    struct json_object *pair = json_object_new_array_ext(2);

    json_object_array_add(pair, json_object_new_int64(first));
    json_object_array_add(pair, json_object_new_int64(second));
    json_object_array_add(array, pair);
}

/* ---- distributions ---- */

static struct json_object *latency_json(const struct latency *latency)
{
    static const struct {
        const char *key;
        uint32_t per_million;
    } quantiles[] = {
        {"p50_ns", 500000}, {"p90_ns", 900000}, {"p99_ns", 990000}, {"p99_9_ns", 999000}, {"p99_99_ns", 999900}};
    struct json_object *object = json_object_new_object();

    json_write_int(object, "count", (int64_t)latency->count);
    if (latency->count == 0)
        return object;
    json_write_int(object, "min_ns", latency->min_ns);
    json_write_int(object, "mean_ns", latency->sum_ns / (int64_t)latency->count);
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
        json_write_int(object, quantiles[i].key, latency_quantile(latency, quantiles[i].per_million));
    json_write_int(object, "max_ns", latency->max_ns);
    return object;
}

/* [lower end, count] for each bucket in use, in order of time. */
static void add_histogram(struct json_object *object, const struct latency *latency)
{
    struct json_object *array = add_array(object, "histogram");

    for (unsigned i = HISTOGRAM_BUCKETS; i-- > 0;) {
        if (latency->negative[i])
            add_pair(array, -(int64_t)histogram_bucket_low(i), (int64_t)latency->negative[i]);
    }
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (latency->buckets[i])
            add_pair(array, (int64_t)histogram_bucket_low(i), (int64_t)latency->buckets[i]);
    }
}

/* ---- courses over time ---- */

static int64_t first_start(const struct report_input *input)
{
    int64_t first = INT64_MAX;

    for (size_t i = 0; i < input->run_count; i++) {
        for (size_t j = 0; j < input->runs[i].round_count; j++) {
            const struct round *round = input->runs[i].rounds[j];

            if (round->result_count > 0 && round->results[0]->start_tai_ns < first)
                first = round->results[0]->start_tai_ns;
        }
    }
    return first;
}

/* The slots of a round that hold anything at all: those of its length. */
static unsigned slots_of(const struct round *round, const struct series *series)
{
    int64_t length = round->results[0]->warmup_ns + round->results[0]->duration_ns;
    int64_t slots = series->width_ns > 0 ? (length + series->width_ns - 1) / series->width_ns : 0;

    return slots > SERIES_SLOTS ? SERIES_SLOTS : (unsigned)slots;
}

/* Calls visit for each group of slots, so that no course of a run has more points than SERIES_ROOM. */
static void each_group(const struct report_run *run, unsigned type,
                       void (*visit)(void *context, const struct series *series, unsigned from, unsigned to),
                       void *context)
{
    unsigned room = run->round_count ? (unsigned)(SERIES_ROOM / run->round_count) : 0;

    for (size_t i = 0; i < run->round_count; i++) {
        const struct round *round = run->rounds[i];
        const struct series *series;
        unsigned slots, step;

        if (type >= round->type_count || round->result_count == 0)
            continue;
        series = &round->types[type].received.series;
        slots = slots_of(round, series);
        step = room ? (slots + room - 1) / room : slots;
        for (unsigned from = 0; step && from < slots; from += step)
            visit(context, series, from, from + step < slots ? from + step : slots);
    }
}

struct times {
    struct json_object *array;
    int64_t origin_ns;
};

static void visit_time(void *context, const struct series *series, unsigned from, unsigned to)
{
    struct times *times = context;
    double middle = 0.5 * (from + to) * (double)series->width_ns;

    json_object_array_add(
        times->array,
        json_object_new_double(round(((double)(series->start_ns - times->origin_ns) + middle) / 1e4) / 1e5));
}

static void visit_worst(void *context, const struct series *series, unsigned from, unsigned to)
{
    bool any = false;
    int64_t worst = INT64_MIN;

    for (unsigned i = from; i < to; i++) {
        if (series->slots[i].count == 0)
            continue;
        any = true;
        if (series->slots[i].max > worst)
            worst = series->slots[i].max;
    }
    json_object_array_add(context, any ? json_object_new_int64(worst) : NULL);
}

/* A short series as it is: [seconds since the report's origin, least, largest] for each slot in use. */
static struct json_object *series_json(const struct series *series, int64_t origin_ns)
{
    struct json_object *array = json_object_new_array();

    for (unsigned i = 0; i < SERIES_SLOTS; i++) {
        const struct series_slot *slot = &series->slots[i];
        struct json_object *point;

        if (slot->count == 0)
            continue;
        point = json_object_new_array_ext(3);
        json_object_array_add(
            point, json_object_new_double((double)(series->start_ns - origin_ns + series->width_ns * i) / 1e9));
        json_object_array_add(point, json_object_new_int64(slot->min));
        json_object_array_add(point, json_object_new_int64(slot->max));
        json_object_array_add(array, point);
    }
    return array;
}

/* ---- types ---- */

/* A type over all rounds of a run. */
struct type_sum {
    struct type_record received;
    struct send_record sent;
    uint64_t expected, lost;
    double requested_per_s, achieved_per_s;
    uint32_t bound_ns;
    int64_t worst_round_ns, best_round_ns; /* largest latency of the worst and of the best round */
    enum verdict verdict;
    const char *reason;
    const struct round_type *last;
};

static void sum_round(struct type_sum *sum, const struct round_type *type, size_t rounds)
{
    int64_t worst = type->received.planned_last.max_ns;

    if (!sum->last)
        sum->received = type->received;
    else
        record_merge(&sum->received, &type->received);
    send_record_merge(&sum->sent, &type->sent);
    sum->expected += type->expected;
    sum->lost += type->lost;
    sum->requested_per_s += type->requested_per_s / (double)rounds;
    sum->achieved_per_s += type->achieved_per_s / (double)rounds;
    if (type->bound_ns > sum->bound_ns)
        sum->bound_ns = type->bound_ns;
    if (!sum->last || worst > sum->worst_round_ns)
        sum->worst_round_ns = worst;
    if (!sum->last || worst < sum->best_round_ns)
        sum->best_round_ns = worst;
    if (!sum->last || type->verdict > sum->verdict) {
        sum->verdict = type->verdict;
        sum->reason = type->reason;
    }
    sum->last = type;
}

static struct type_sum *sum_type(const struct report_run *run, unsigned index)
{
    struct type_sum *sum = calloc(1, sizeof *sum);

    for (size_t i = 0; sum && i < run->round_count; i++) {
        if (index < run->rounds[i]->type_count)
            sum_round(sum, &run->rounds[i]->types[index], run->round_count);
    }
    if (sum && !sum->last) {
        free(sum);
        sum = NULL;
    }
    return sum;
}

static void add_arrival(struct json_object *array, const struct arrival *arrival, int64_t origin_ns)
{
    struct json_object *object = json_object_new_object();

    json_write_int(object, "sequence", arrival->sequence);
    add_real(object, "at_s", (double)(arrival->planned_ns - origin_ns) / 1e9);
    json_write_int(object, "planned_tai_ns", arrival->planned_ns);
    json_write_int(object, "sent_ns", arrival->sent_ns - arrival->planned_ns);
    json_write_int(object, "first_byte_ns", arrival->first_ns - arrival->planned_ns);
    json_write_int(object, "latency_ns", arrival->last_ns - arrival->planned_ns);
    add_bound(object, "sender_bound_ns", arrival->sender_bound_ns);
    add_bound(object, "receiver_bound_ns", arrival->receiver_bound_ns);
    json_object_array_add(array, object);
}

static void add_places(struct json_object *object, const struct report_input *input,
                       const struct schedule_placement *placement)
{
    struct json_object *receivers;

    json_write_text(object, "sender", input->network->nodes[placement->sender].name);
    receivers = add_array(object, "receivers");
    for (size_t i = 0; i < input->network->count; i++) {
        if (placement->receivers >> i & 1)
            json_object_array_add(receivers, json_object_new_string(input->network->nodes[i].name));
    }
}

static void add_description(struct json_object *object, const struct pattern_type *type)
{
    json_write_text(object, "name", type->name);
    json_write_text(object, "class", type->class_name);
    json_write_text(object, "transport", pattern_transport_names[type->transport]);
    json_write_int(object, "size_bytes", type->size);
    json_write_int(object, "period_ns", type->period_ns);
    json_write_int(object, "limit_ns", type->limit_ns);
    json_write_int(object, "dscp", type->dscp);
    json_write_int(object, "burst", type->burst);
}

static void add_counts(struct json_object *object, const struct type_sum *sum)
{
    json_write_int(object, "planned", (int64_t)sum->sent.planned);
    json_write_int(object, "sent", (int64_t)sum->sent.sent);
    json_write_int(object, "late", (int64_t)sum->sent.late);
    json_write_int(object, "unsent", (int64_t)sum->sent.unsent);
    json_write_int(object, "blocked", (int64_t)sum->sent.blocked);
    json_write_int(object, "send_errors", (int64_t)sum->sent.errors);
    json_write_int(object, "expected", (int64_t)sum->expected);
    json_write_int(object, "received", (int64_t)sum->received.received);
    json_write_int(object, "bytes", (int64_t)sum->received.bytes);
    json_write_int(object, "lost", (int64_t)sum->lost);
    json_write_int(object, "duplicates", (int64_t)sum->received.duplicates);
    json_write_int(object, "reordered", (int64_t)sum->received.reordered);
    json_write_int(object, "corrupt", (int64_t)sum->received.corrupt);
    json_write_int(object, "over_limit", (int64_t)sum->received.over_limit);
    json_write_int(object, "near_limit", (int64_t)sum->received.near_limit);
    add_real(object, "requested_per_s", sum->requested_per_s);
    add_real(object, "achieved_per_s", sum->achieved_per_s);
}

static void add_verdict(struct json_object *object, enum verdict verdict, const char *reason)
{
    json_write_text(object, "verdict", verdict_names[verdict]);
    json_write_text(object, "reason", reason);
}

static struct json_object *type_json(const struct report_input *input, const struct report_run *run, unsigned index,
                                     struct type_sum *sum, int64_t origin_ns)
{
    struct json_object *object = json_object_new_object();
    struct json_object *worst;

    add_description(object, sum->last->type);
    add_places(object, input, &sum->last->placement);
    json_write_int(object, "phase_ns", sum->last->phase_ns);
    add_counts(object, sum);
    add_bound(object, "bound_ns", sum->bound_ns);
    json_object_object_add(object, "latency", latency_json(&sum->received.planned_last));
    json_object_object_add(object, "latency_first_byte", latency_json(&sum->received.planned_first));
    json_object_object_add(object, "sent_to_last_byte", latency_json(&sum->received.sent_last));
    json_object_object_add(object, "sent_to_first_byte", latency_json(&sum->received.sent_first));
    json_object_object_add(object, "send_lateness", latency_json(&sum->sent.lateness));
    json_write_int(object, "worst_of_worst_round_ns", sum->worst_round_ns);
    json_write_int(object, "worst_of_best_round_ns", sum->best_round_ns);
    if (sum->last->has_prediction) {
        json_write_int(object, "alone_ns", sum->last->predicted.alone_ns);
        json_write_int(object, "predicted_queueing_ns", sum->last->predicted.worst_queueing_ns);
    }
    add_histogram(object, &sum->received.planned_last);
    each_group(run, index, visit_worst, add_array(object, "worst_over_time_ns"));
    record_finish(&sum->received);
    worst = add_array(object, "worst");
    for (unsigned i = 0; i < sum->received.worst_count; i++)
        add_arrival(worst, &sum->received.worst[i], origin_ns);
    add_verdict(object, sum->verdict, sum->reason);
    return object;
}

/* ---- classes ---- */

struct class_sum {
    const char *name;
    struct latency latency;
    uint64_t types, received, lost;
    enum verdict verdict;
};

static void sum_class(struct class_sum *classes, size_t *count, const struct type_sum *sum)
{
    struct class_sum *found = NULL;

    for (size_t i = 0; i < *count; i++) {
        if (strcmp(classes[i].name, sum->last->type->class_name) == 0)
            found = &classes[i];
    }
    if (!found) {
        found = &classes[(*count)++];
        memset(found, 0, sizeof *found);
        found->name = sum->last->type->class_name;
    }
    latency_merge(&found->latency, &sum->received.planned_last);
    found->types++;
    found->received += sum->received.received;
    found->lost += sum->lost;
    if (sum->verdict > found->verdict)
        found->verdict = sum->verdict;
}

static void add_class(struct json_object *array, const struct class_sum *class)
{
    struct json_object *object = json_object_new_object();

    json_write_text(object, "name", class->name);
    json_write_int(object, "types", (int64_t) class->types);
    json_write_int(object, "received", (int64_t) class->received);
    json_write_int(object, "lost", (int64_t) class->lost);
    json_object_object_add(object, "latency", latency_json(&class->latency));
    add_histogram(object, &class->latency);
    json_write_text(object, "verdict", verdict_names[class->verdict]);
    json_object_array_add(array, object);
}

static bool add_types(struct json_object *object, const struct report_input *input, const struct report_run *run,
                      int64_t origin_ns)
{
    struct class_sum *classes = calloc(input->pattern->count ? input->pattern->count : 1, sizeof *classes);
    struct json_object *array = add_array(object, "types"), *class_array = add_array(object, "classes");
    struct times times = {add_array(object, "times_s"), origin_ns};
    size_t class_count = 0;

    if (!classes)
        return false;
    each_group(run, 0, visit_time, &times);
    for (unsigned i = 0; i < input->pattern->count; i++) {
        struct type_sum *sum = sum_type(run, i);

        if (!sum)
            continue;
        json_object_array_add(array, type_json(input, run, i, sum, origin_ns));
        sum_class(classes, &class_count, sum);
        free(sum);
    }
    for (size_t i = 0; i < class_count; i++)
        add_class(class_array, &classes[i]);
    free(classes);
    return true;
}

/* ---- nodes, clocks, stalls ---- */

static void add_clock(struct json_object *array, const struct result *result, size_t round, int64_t origin_ns)
{
    struct json_object *object = json_object_new_object();

    json_write_text(object, "node", result->node);
    json_write_text(object, "process", result->process);
    json_write_int(object, "round", (int64_t)round);
    json_write_text(object, "clock", node_clock_kind_names[result->clock.kind]);
    json_object_object_add(object, "assumed", json_object_new_boolean(result->clock.assumed));
    add_bound(object, "bound_max_ns", result->clock.bound_max_ns);
    json_write_int(object, "disruptions", result->clock.disruptions);
    json_write_int(object, "samples", (int64_t)result->clock.samples);
    json_write_int(object, "holdover", (int64_t)result->clock.holdover);
    json_write_int(object, "no_time", (int64_t)result->clock.no_time);
    json_write_int(object, "over_limit", (int64_t)result->clock.over_limit);
    json_object_object_add(object, "bounds", series_json(&result->clock.bounds, origin_ns));
    json_object_array_add(array, object);
}

static void add_echo(struct json_object *array, const struct result *result, const struct echo_record *echo,
                     size_t round, int64_t origin_ns)
{
    struct json_object *object = json_object_new_object();
    char text[160] = "";

    json_write_text(object, "node", result->node);
    json_write_text(object, "peer", echo->peer);
    json_write_int(object, "round", (int64_t)round);
    json_write_int(object, "received", (int64_t)echo->received);
    json_write_int(object, "impossible", (int64_t)echo->impossible);
    json_write_int(object, "inconsistent", (int64_t)echo->inconsistent);
    json_object_object_add(object, "failed", json_object_new_boolean(echo_failed(echo, text)));
    json_write_text(object, "reason", text);
    add_bound(object, "bound_max_ns", echo->bound_max_ns);
    json_write_int(object, "disagreement_ns", echo->disagreement_ns);
    json_write_int(object, "disagreement_round_trip_ns", echo->disagreement_round_trip_ns);
    json_object_object_add(object, "round_trip", latency_json(&echo->round_trip));
    json_object_object_add(object, "disagreement", series_json(&echo->disagreement, origin_ns));
    json_object_array_add(array, object);
}

static void add_stalls(struct json_object *array, const struct result *result, size_t round, int64_t origin_ns)
{
    struct json_object *object, *list;

    if (!result->has_stalls || !result->stalls)
        return;
    object = json_object_new_object();
    json_write_text(object, "node", result->node);
    json_write_int(object, "round", (int64_t)round);
    json_write_int(object, "threshold_ns", result->stalls->threshold_ns);
    json_write_int(object, "wakeups", (int64_t)result->stalls->wakeups);
    json_write_int(object, "stalls", (int64_t)result->stalls->stalls);
    json_write_int(object, "steal_ms", (int64_t)result->stalls->steal_ms);
    json_object_object_add(object, "lateness", latency_json(&result->stalls->lateness));
    list = add_array(object, "list"); /* [seconds, duration in ns] */
    for (unsigned i = 0; i < result->stalls->list_count; i++) {
        struct json_object *stall = json_object_new_array_ext(2);

        json_object_array_add(stall, json_object_new_double((double)(result->stalls->list[i].at_ns - origin_ns) / 1e9));
        json_object_array_add(stall, json_object_new_int64(result->stalls->list[i].duration_ns));
        json_object_array_add(list, stall);
    }
    json_object_array_add(array, object);
}

static void add_cost(struct json_object *array, const struct result *result, size_t round)
{
    struct json_object *object = json_object_new_object();

    json_write_text(object, "process", result->process);
    json_write_int(object, "round", (int64_t)round);
    json_write_text(object, "ending", result_ending_names[result->ending]);
    json_write_text(object, "problem", result->problem);
    json_write_int(object, "stamp_ns", result->stamp_cost_ns);
    json_write_int(object, "record_ns", result->record_cost_ns);
    json_write_int(object, "cpu_user_us", (int64_t)result->cpu_user_us);
    json_write_int(object, "cpu_system_us", (int64_t)result->cpu_system_us);
    json_write_int(object, "foreign", (int64_t)result->foreign);
    json_object_array_add(array, object);
}

static void add_outliers(struct json_object *array, const struct round *round, size_t number, int64_t origin_ns)
{
    for (unsigned i = 0; i < round->outlier_count; i++) {
        const struct round_outlier *outlier = &round->outliers[i];
        struct json_object *object;

        add_arrival(array, &outlier->arrival, origin_ns);
        object = json_object_array_get_idx(array, json_object_array_length(array) - 1);
        json_write_text(object, "type", round->types[outlier->type].type->name);
        json_write_int(object, "round", (int64_t)number);
        json_write_text(object, "stalled_node", outlier->stall ? outlier->stalled_node : "");
        json_write_int(object, "stall_ns", outlier->stall ? outlier->stall->duration_ns : 0);
    }
}

static void add_processes(struct json_object *object, const struct report_run *run, int64_t origin_ns)
{
    struct json_object *clocks = add_array(object, "clocks"), *echoes = add_array(object, "clock_checks");
    struct json_object *stalls = add_array(object, "stalls"), *processes = add_array(object, "processes");
    struct json_object *outliers = add_array(object, "outliers"), *rounds = add_array(object, "rounds");

    for (size_t i = 0; i < run->round_count; i++) {
        const struct round *round = run->rounds[i];
        struct json_object *verdict = json_object_new_object();

        add_verdict(verdict, round->verdict, round->reason);
        json_object_object_add(verdict, "stalled", json_object_new_boolean(round->stalled));
        json_object_array_add(rounds, verdict);
        add_outliers(outliers, round, i, origin_ns);
        for (size_t j = 0; j < round->result_count; j++) {
            const struct result *result = round->results[j];

            add_clock(clocks, result, i, origin_ns);
            add_stalls(stalls, result, i, origin_ns);
            add_cost(processes, result, i);
            for (size_t k = 0; k < result->echo_count; k++)
                add_echo(echoes, result, &result->echoes[k], i, origin_ns);
        }
    }
}

static void add_outlook(struct json_object *object, const struct report_input *input,
                        const struct schedule_outlook *outlook)
{
    struct json_object *parent = json_object_new_object(), *ports;

    json_object_object_add(object, "outlook", parent);
    json_object_object_add(parent, "complete", json_object_new_boolean(outlook->complete));
    json_object_object_add(parent, "overloaded", json_object_new_boolean(outlook->overloaded));
    ports = add_array(parent, "nodes");
    for (size_t i = 0; i < input->network->count; i++) {
        struct json_object *node = json_object_new_object();

        json_write_text(node, "name", input->network->nodes[i].name);
        add_real(node, "port_load", outlook->port_load[i]);
        add_real(node, "uplink_load", outlook->uplink_load[i]);
        json_write_int(node, "worst_queue_bytes", (int64_t)outlook->worst_queue_bytes[i]);
        json_object_array_add(ports, node);
    }
}

static enum verdict run_verdict(const struct report_run *run, const char **reason)
{
    enum verdict worst = VERDICT_PASS;

    *reason = "";
    if (run->round_count == 0) {
        *reason = "no round took place";
        return VERDICT_INVALID;
    }
    for (size_t i = 0; i < run->round_count; i++) {
        if (run->rounds[i]->verdict > worst) {
            worst = run->rounds[i]->verdict;
            *reason = run->rounds[i]->reason;
        }
    }
    return worst;
}

static struct json_object *run_json(const struct report_input *input, const struct report_run *run, int64_t origin_ns)
{
    struct json_object *object = json_object_new_object();
    const char *reason;
    enum verdict verdict = run_verdict(run, &reason);

    json_write_text(object, "stack", run->stack);
    json_write_text(object, "phase", schedule_mode_names[run->phase]);
    add_verdict(object, verdict, reason);
    if (run->outlook)
        add_outlook(object, input, run->outlook);
    if (run->offload)
        json_object_object_add(object, "offload", json_object_get(run->offload));
    add_processes(object, run, origin_ns);
    if (!add_types(object, input, run, origin_ns)) {
        json_object_put(object);
        return NULL;
    }
    return object;
}

/* ---- comparisons ---- */

static void add_rows(struct json_object *parent, const char *key, const struct compare_row *rows, size_t count)
{
    struct json_object *array = add_array(parent, key);

    for (size_t i = 0; i < count; i++) {
        struct json_object *row = json_object_new_object();

        json_write_text(row, "name", rows[i].name);
        for (int j = 0; j < COMPARE_FIGURES; j++) {
            const struct compare_interval *interval = &rows[i].figures[j];
            struct json_object *figure = json_object_new_object();

            json_write_int(figure, "pairs", interval->pairs);
            add_real(figure, "ratio", interval->ratio);
            add_real(figure, "low", interval->low);
            add_real(figure, "high", interval->high);
            add_real(figure, "confidence", interval->confidence);
            add_real(figure, "p_value", interval->p_value);
            json_object_object_add(row, compare_figure_names[j], figure);
        }
        json_object_array_add(array, row);
    }
}

static struct json_object *comparison_json(const struct report_comparison *comparison)
{
    struct json_object *object = json_object_new_object();

    json_write_int(object, "a", (int64_t)comparison->a);
    json_write_int(object, "b", (int64_t)comparison->b);
    add_real(object, "level", comparison->level);
    add_rows(object, "classes", comparison->comparison->classes, comparison->comparison->class_count);
    add_rows(object, "types", comparison->comparison->types, comparison->comparison->type_count);
    return object;
}

/* ---- the document ---- */

static enum verdict worst_verdict(const struct report_input *input, const char **reason)
{
    enum verdict worst = VERDICT_PASS;

    *reason = "";
    if (input->run_count == 0) {
        *reason = "nothing was run";
        return VERDICT_INVALID;
    }
    for (size_t i = 0; i < input->run_count; i++) {
        const char *why;
        enum verdict verdict = run_verdict(&input->runs[i], &why);

        if (verdict > worst) {
            worst = verdict;
            *reason = why;
        }
    }
    return worst;
}

struct json_object *report_create(const struct report_input *input)
{
    struct json_object *report = json_object_new_object(), *array;
    int64_t origin_ns = first_start(input);
    char fingerprint[20];
    const char *reason;
    enum verdict verdict = worst_verdict(input, &reason);

    snprintf(fingerprint, sizeof fingerprint, "%016llx", (unsigned long long)input->pattern->fingerprint);
    json_write_text(report, "schema", SCHEMA);
    json_write_int(report, "version", REPORT_VERSION);
    add_verdict(report, verdict, reason);
    json_write_text(report, "pattern", input->pattern_name);
    json_write_text(report, "pattern_fingerprint", fingerprint);
    json_write_int(report, "origin_tai_ns", origin_ns == INT64_MAX ? 0 : origin_ns);
    json_object_object_add(report, "header", json_object_get(input->header));
    array = add_array(report, "runs");
    for (size_t i = 0; i < input->run_count; i++) {
        struct json_object *run = run_json(input, &input->runs[i], origin_ns);

        if (!run) {
            json_object_put(report);
            return NULL;
        }
        json_object_array_add(array, run);
    }
    array = add_array(report, "comparisons");
    for (size_t i = 0; i < input->comparison_count; i++)
        json_object_array_add(array, comparison_json(&input->comparisons[i]));
    return report;
}

enum verdict report_verdict(struct json_object *report)
{
    struct json_object *text;

    if (json_object_object_get_ex(report, "verdict", &text)) {
        for (int i = 0; verdict_names[i]; i++) {
            if (strcmp(json_object_get_string(text), verdict_names[i]) == 0)
                return (enum verdict)i;
        }
    }
    return VERDICT_INVALID;
}
