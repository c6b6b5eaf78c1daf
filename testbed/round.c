/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/round.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S  1000000000.0
#define NS_PER_MS 1000000.0

const char *const verdict_names[] = {"PASS", "INCONCLUSIVE", "FAIL", "INVALID", NULL};

int verdict_exit_status(enum verdict verdict)
{
    switch (verdict) {
    case VERDICT_PASS:
        return 0;
    case VERDICT_FAIL:
        return 1;
    case VERDICT_INCONCLUSIVE:
        return 2;
    default:
        return 3;
    }
}

/* A worse verdict takes the place of a better one, with its reason; of equals the first stays. */
static void judge(enum verdict *verdict, char *reason, enum verdict new_verdict, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void judge(enum verdict *verdict, char *reason, enum verdict new_verdict, const char *format, ...)
{
    va_list arguments;

    if (new_verdict <= *verdict)
        return;
    *verdict = new_verdict;
    va_start(arguments, format);
    vsnprintf(reason, ROUND_REASON_MAX, format, arguments);
    va_end(arguments);
}

/* ---- putting together ---- */

/* What is known of one type beyond its record. */
struct gathered {
    unsigned receivers; /* whose results are here */
    bool stopped;       /* some process ended early */
    bool cut;           /* some connection broke */
    uint32_t sender_bound_ns, receiver_bound_ns;
    int64_t measured_ns; /* the shortest of the processes */
};

static const struct result_type *find_type(const struct result *result, size_t index)
{
    for (size_t i = 0; i < result->type_count; i++) {
        if (result->types[i].index == index)
            return &result->types[i];
    }
    return NULL;
}

static void raise_bound(uint32_t *bound, uint32_t other)
{
    if (other > *bound)
        *bound = other;
}

static void gather_from(struct round_type *out, const struct result *result, const struct result_type *type,
                        struct gathered *gathered)
{
    int64_t measured_ns = result->ended_tai_ns - result->start_tai_ns - result->warmup_ns;

    if (measured_ns > result->duration_ns)
        measured_ns = result->duration_ns;
    if (measured_ns < gathered->measured_ns)
        gathered->measured_ns = measured_ns;
    gathered->stopped |= result->ending != RESULT_COMPLETE;
    gathered->cut |= type->cut;
    if (type->sent) {
        out->sender_known = true;
        send_record_merge(&out->sent, type->sent);
        raise_bound(&gathered->sender_bound_ns, result->clock.bound_max_ns);
    }
    if (type->received) {
        if (!gathered->receivers)
            out->received.series = (struct series){.start_ns = type->received->series.start_ns,
                                                   .width_ns = type->received->series.width_ns};
        record_merge(&out->received, type->received);
        raise_bound(&gathered->receiver_bound_ns, result->clock.bound_max_ns);
        gathered->receivers++;
    }
}

/* Both ends' bounds at their worst, from the messages or, where these do not carry the sender's, from the results. */
static uint32_t bound_of(const struct round_type *type, const struct gathered *gathered)
{
    uint64_t sum = (uint64_t)gathered->sender_bound_ns + gathered->receiver_bound_ns;

    if (type->type->size >= MESSAGE_FULL_SIZE && type->received.received)
        return type->received.bound_max_ns;
    if (!type->sender_known || gathered->sender_bound_ns == NODE_CLOCK_BOUND_UNKNOWN ||
        gathered->receiver_bound_ns == NODE_CLOCK_BOUND_UNKNOWN || sum >= NODE_CLOCK_BOUND_UNKNOWN)
        return NODE_CLOCK_BOUND_UNKNOWN;
    return (uint32_t)sum;
}

static void gather(const struct round_input *input, const struct round *round, size_t index, struct round_type *out,
                   struct gathered *gathered)
{
    for (size_t i = 0; i < round->result_count; i++) {
        const struct result_type *type = find_type(round->results[i], index);

        if (type)
            gather_from(out, round->results[i], type, gathered);
    }
    out->type = &input->pattern->types[index];
    out->placement = input->placement[index];
    out->phase_ns = input->phase_ns[index];
    out->bound_ns = bound_of(out, gathered);
    out->has_prediction = input->predictions != NULL;
    if (input->predictions)
        out->predicted = input->predictions[index];
}

/* Messages that the schedule has in the measured time. */
static uint64_t scheduled(const struct round_type *type, const struct result *any)
{
    struct job_type schedule = {.period_ns = type->type->period_ns,
                                .phase_ns = type->phase_ns,
                                .burst = type->type->burst,
                                .count = type->type->count};

    return job_messages_until(&schedule, any->warmup_ns + any->duration_ns) -
           job_messages_until(&schedule, any->warmup_ns);
}

static void count(const struct round *round, struct round_type *type, const struct gathered *gathered)
{
    uint64_t here = type->received.received + type->received.corrupt;
    uint64_t planned = type->sender_known    ? type->sent.planned
                       : round->result_count ? scheduled(type, round->results[0])
                                             : 0;

    type->expected = (type->sender_known ? type->sent.sent : planned) * gathered->receivers;
    type->lost = type->expected > here ? type->expected - here : 0;
    if (gathered->measured_ns > 0 && gathered->measured_ns != INT64_MAX) {
        double seconds = (double)gathered->measured_ns / NS_PER_S;

        type->requested_per_s = (double)planned / seconds;
        if (gathered->receivers)
            type->achieved_per_s = (double)type->received.received / seconds / gathered->receivers;
    }
}

/* ---- judging a type ---- */

static void judge_counts(struct round_type *type, const struct gathered *gathered, unsigned receivers)
{
    /* What was under way when a run was stopped is nobody's fault. */
    enum verdict missing = gathered->stopped ? VERDICT_INCONCLUSIVE : VERDICT_FAIL;

    if (type->received.corrupt)
        judge(&type->verdict, type->reason, VERDICT_FAIL, "%" PRIu64 " corrupt", type->received.corrupt);
    if (type->lost && type->sender_known)
        judge(&type->verdict, type->reason, missing, "%" PRIu64 " of %" PRIu64 " lost%s", type->lost, type->expected,
              gathered->stopped ? " (stopped early)"
              : gathered->cut   ? " (connection broke)"
                                : "");
    if (type->sent.unsent || type->sent.errors)
        judge(&type->verdict, type->reason, missing, "%" PRIu64 " of %" PRIu64 " could not be sent%s",
              type->sent.unsent + type->sent.errors, type->sent.planned,
              gathered->stopped ? " (stopped early)"
              : gathered->cut   ? " (connection broke)"
                                : "");
    if (!type->sender_known)
        judge(&type->verdict, type->reason, VERDICT_INCONCLUSIVE, "no result of its sender");
    if (gathered->receivers < receivers)
        judge(&type->verdict, type->reason, VERDICT_INCONCLUSIVE, "results of %u of %u receivers", gathered->receivers,
              receivers);
    if (!type->received.received)
        judge(&type->verdict, type->reason, VERDICT_INCONCLUSIVE, "no message measured");
    if (gathered->stopped)
        judge(&type->verdict, type->reason, VERDICT_INCONCLUSIVE, "stopped early");
}

static void judge_latency(struct round_type *type)
{
    int64_t worst = type->received.planned_last.max_ns, limit = type->type->limit_ns;
    int64_t bound = type->bound_ns;

    if (!type->received.received)
        return;
    if (type->bound_ns == NODE_CLOCK_BOUND_UNKNOWN)
        judge(&type->verdict, type->reason, VERDICT_INCONCLUSIVE,
              "the clocks' bound is unknown (worst latency %.3f ms, limit %.3f ms)", (double)worst / NS_PER_MS,
              (double)limit / NS_PER_MS);
    else if (worst - bound > limit)
        judge(&type->verdict, type->reason, VERDICT_FAIL, "worst latency %.3f ms, limit %.3f ms",
              (double)worst / NS_PER_MS, (double)limit / NS_PER_MS);
    else if (worst + bound > limit)
        judge(&type->verdict, type->reason, VERDICT_INCONCLUSIVE,
              "worst latency %.3f ms, limit %.3f ms: within the clocks' bound of %.3f ms", (double)worst / NS_PER_MS,
              (double)limit / NS_PER_MS, (double)bound / NS_PER_MS);
    /* Messages that carry their exact sending time cannot arrive before it. */
    if (type->type->size >= MESSAGE_FULL_SIZE && type->bound_ns != NODE_CLOCK_BOUND_UNKNOWN &&
        type->received.sent_first.min_ns < -bound)
        judge(&type->verdict, type->reason, VERDICT_INVALID,
              "a message took %" PRId64 " ns: less than nothing by more than the clocks' bound of %" PRId64 " ns",
              type->received.sent_first.min_ns, bound);
}

static void create_type(const struct round_input *input, const struct round *round, size_t index)
{
    struct round_type *type = &round->types[index];
    struct gathered gathered = {.measured_ns = INT64_MAX};

    gather(input, round, index, type, &gathered);
    count(round, type, &gathered);
    judge_counts(type, &gathered, (unsigned)__builtin_popcountll(type->placement.receivers));
    judge_latency(type);
}

/* ---- judging the round ---- */

static void judge_clock(struct round *round, const struct result *result)
{
    if (result->clock.disruptions)
        judge(&round->verdict, round->reason, VERDICT_INCONCLUSIVE, "%s: the clock was disrupted during the run",
              result->process);
    if (result->clock.no_time)
        judge(&round->verdict, round->reason, VERDICT_INCONCLUSIVE, "%s: the clock gave no time for a while",
              result->process);
    if (result->clock.over_limit)
        judge(&round->verdict, round->reason, VERDICT_INCONCLUSIVE, "%s: the clock's bound was above its limit",
              result->process);
}

static void judge_result(struct round *round, const struct result *result)
{
    char text[160];

    if (result->ending == RESULT_FAILED)
        judge(&round->verdict, round->reason, VERDICT_INVALID, "%s: %.120s", result->process, result->problem);
    if (result->ending == RESULT_STOPPED)
        judge(&round->verdict, round->reason, VERDICT_INCONCLUSIVE, "%s: stopped early%s%.100s", result->process,
              *result->problem ? ": " : "", result->problem);
    judge_clock(round, result);
    for (size_t i = 0; i < result->echo_count; i++) {
        if (echo_failed(&result->echoes[i], text))
            judge(&round->verdict, round->reason, VERDICT_INVALID, "clock check failed: %.40s %s", result->node, text);
        else if (!result->echoes[i].received && result->echoes[i].sent)
            judge(&round->verdict, round->reason, VERDICT_INCONCLUSIVE, "%s: no echo came back from %s",
                  result->process, result->echoes[i].peer);
    }
}

static void judge_missing(struct round *round, const struct plan *plan)
{
    for (size_t i = 0; plan && i < plan->count; i++) {
        bool here = false;

        for (size_t k = 0; k < round->result_count && !here; k++)
            here = strcmp(round->results[k]->process, plan->jobs[i].process) == 0;
        if (!here)
            judge(&round->verdict, round->reason, VERDICT_INCONCLUSIVE, "%s: no result", plan->jobs[i].process);
    }
}

static void judge_round(const struct round_input *input, struct round *round)
{
    if (!round->result_count)
        judge(&round->verdict, round->reason, VERDICT_INVALID, "no results");
    for (size_t i = 0; i < round->result_count; i++)
        judge_result(round, round->results[i]);
    for (size_t i = 0; i < round->type_count; i++)
        judge(&round->verdict, round->reason, round->types[i].verdict, "%s: %.170s", round->types[i].type->name,
              round->types[i].reason);
    judge_missing(round, input->plan);
    for (size_t i = 0; i < round->result_count; i++)
        round->stalled |= round->results[i]->has_stalls && round->results[i]->stalls->stalls;
}

/* ---- outliers ---- */

static double severity(const struct round *round, const struct round_outlier *outlier)
{
    return (double)arrival_latency_ns(&outlier->arrival) / (double)round->types[outlier->type].type->limit_ns;
}

/* Keeps the list sorted, the worst first. */
static void add_outlier(struct round *round, struct round_outlier outlier)
{
    unsigned at = round->outlier_count;

    if (at == ROUND_OUTLIERS) {
        if (severity(round, &round->outliers[at - 1]) >= severity(round, &outlier))
            return;
        at--;
    } else {
        round->outlier_count++;
    }
    for (; at && severity(round, &round->outliers[at - 1]) < severity(round, &outlier); at--)
        round->outliers[at] = round->outliers[at - 1];
    round->outliers[at] = outlier;
}

static void find_stall(const struct round_input *input, const struct round *round, struct round_outlier *outlier)
{
    const struct schedule_placement *placement = &round->types[outlier->type].placement;

    for (size_t i = 0; i < round->result_count; i++) {
        const struct result *result = round->results[i];
        const struct stall *stall;
        bool involved = false;

        for (size_t node = 0; node < input->network->count; node++)
            involved |= (placement->sender == node || placement->receivers >> node & 1) &&
                        strcmp(input->network->nodes[node].name, result->node) == 0;
        if (!involved || !result->has_stalls)
            continue;
        stall = stall_find(result->stalls, outlier->arrival.planned_ns, outlier->arrival.last_ns);
        if (stall && (!outlier->stall || stall->duration_ns > outlier->stall->duration_ns)) {
            outlier->stall = stall;
            outlier->stalled_node = result->node;
        }
    }
}

static void find_outliers(const struct round_input *input, struct round *round)
{
    for (size_t i = 0; i < round->type_count; i++) {
        const struct type_record *record = &round->types[i].received;

        for (unsigned k = 0; k < record->worst_count; k++)
            add_outlier(round, (struct round_outlier){.type = (unsigned)i, .arrival = record->worst[k]});
    }
    for (unsigned i = 0; i < round->outlier_count; i++)
        find_stall(input, round, &round->outliers[i]);
}

/* ---- interface ---- */

int round_create(const struct round_input *input, struct result **results, size_t result_count, struct round **out)
{
    struct round *round = calloc(1, sizeof *round);

    if (round) {
        round->results = calloc(result_count ? result_count : 1, sizeof *round->results);
        round->types = calloc(input->pattern->count, sizeof *round->types);
    }
    if (!round || !round->results || !round->types) {
        for (size_t i = 0; i < result_count; i++)
            result_free(results[i]);
        round_free(round);
        return -ENOMEM;
    }
    memcpy(round->results, results, result_count * sizeof(struct result *));
    round->result_count = result_count;
    round->stack = input->stack;
    round->type_count = input->pattern->count;
    for (size_t i = 0; i < round->type_count; i++)
        create_type(input, round, i);
    judge_round(input, round);
    find_outliers(input, round);
    *out = round;
    return 0;
}

void round_free(struct round *round)
{
    if (!round)
        return;
    for (size_t i = 0; round->results && i < round->result_count; i++)
        result_free(round->results[i]);
    free(round->results);
    free(round->types);
    free(round);
}
