/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>

#include "base/probe.h"
#include "clock/core_private.h"

#define SETTLED_SAMPLES    4
#define SETTLE_NS          (3 * NS_PER_S)
#define RETURN_NS          (64 * NS_PER_S)
#define LOCAL_AFTER_NS     (10 * NS_PER_S) /* a node that is its own reference gives its servers so long at the start */
#define REPUBLISH_PART     0.05            /* of the bound: a correction whose end is worth a new bound */
#define SLEW_WITHIN_MAX_NS 1e9
#define PUBLISH_SOONEST_NS 1000000ll
#define GONE_AFTER_NS      (4.0 * CORE_PUBLISH_INTERVAL_NS)

/* ---- which server ---- */

static bool is_settled(const struct source *source)
{
    struct association_status status;

    association_get(source->association, &status);
    return source->samples >= SETTLED_SAMPLES || status.stopped ||
           (!status.bursting && (source->samples > 0 || status.unanswered > 1));
}

void core_begin_settling(struct core *core)
{
    core->settle_by_ns = core_now(core) + SETTLE_NS;
}

static bool all_settled(const struct core *core)
{
    if (core_now(core) >= core->settle_by_ns)
        return true;
    for (unsigned i = 0; i < core->source_end; i++)
        if (core->sources[i].association && !is_settled(&core->sources[i]))
            return false;
    return true;
}

static double root_distance(const struct association_status *status)
{
    return (double)status->root_delay_ns / 2 + (double)status->root_dispersion_ns;
}

static void look_at(struct core *core, struct source *source, uint64_t counter, int64_t *common_ns,
                    struct selection_source *out)
{
    struct association_status status;

    *out = (struct selection_source){0};
    if (!source->association)
        return;
    association_get(source->association, &status);
    estimator_get(source->estimator, counter, &source->estimate);
    if (status.reach == 0)
        source->confirmed = false;
    out->usable = source->estimate.valid && source->confirmed && !status.stopped &&
                  source->estimate.bound_ns < (double)core->config.holdover_limit_ns;
    if (!out->usable)
        return;
    if (*common_ns == INT64_MIN)
        *common_ns = source->estimate.time_ns;
    out->prefer = source->config.prefer;
    out->no_select = source->config.no_select;
    out->offset_ns = (double)(source->estimate.time_ns - *common_ns) + source->estimate.fraction;
    out->bound_ns = source->estimate.bound_ns;
    out->half_ns = source->estimate.bound_ns + source->estimate.baseline_ns / 2 + root_distance(&status);
}

static enum core_source_state state_of(const struct core *core, unsigned i)
{
    const struct source *source = &core->sources[i];
    struct association_status status;

    association_get(source->association, &status);
    if (status.stopped)
        return SOURCE_STOPPED;
    if (status.reach == 0)
        return SOURCE_UNREACHABLE;
    if (core->selection.verdicts[i] == SELECTION_FALSETICKER)
        return SOURCE_FALSETICKER;
    if (core->selection.verdicts[i] == SELECTION_UNUSABLE || source->config.no_select)
        return SOURCE_MEASURING;
    return core->selection.selected == (int)i ? SOURCE_SELECTED : SOURCE_CANDIDATE;
}

static void tell_states(struct core *core)
{
    for (unsigned i = 0; i < core->source_end; i++) {
        struct source *source = &core->sources[i];
        enum core_source_state before = source->state;

        if (!source->association)
            continue;
        source->state = state_of(core, i);
        if (source->state == before)
            continue;
        PROBE(clock_source_state, source->config.name, source->state, before);
        if (source->state == SOURCE_SELECTED)
            core_tell(core, LOG_LEVEL_INFO, LOG_SUBJECT(.source = source->config.name), "server %s: selected",
                      source->config.name);
        else if (source->state == SOURCE_FALSETICKER)
            core_tell(core, LOG_LEVEL_WARNING,
                      LOG_SUBJECT(.event = LOG_EVENT_SOURCE_LOST, .source = source->config.name),
                      "server %s: falseticker, %s", source->config.name,
                      core->selection.truechimers > 0 ? "its time does not agree with the majority's"
                                                      : "it disagrees with others, and none has a majority");
        else if (source->state == SOURCE_UNREACHABLE)
            core_tell(core, LOG_LEVEL_WARNING,
                      LOG_SUBJECT(.event = LOG_EVENT_SOURCE_LOST, .source = source->config.name),
                      "server %s: does not answer", source->config.name);
    }
}

static unsigned voters(const struct core *core)
{
    unsigned count = 0;

    for (unsigned i = 0; i < core->source_end; i++)
        count += core->sources[i].association && !core->sources[i].config.no_select;
    return count;
}

/* After an outage the first servers that return may be the wrong ones: while they are no majority of those configured
 * and contradict the time that was held, the others are given a while to return, too. */
static bool is_premature(struct core *core, int selected, const struct selection_source *source, double published_ns)
{
    double held_ns = (double)core->steering.values.bound_ns;

    if (selected < 0 || !core->steering.holding) {
        core->returned_at_ns = 0;
        return false;
    }
    if (core->returned_at_ns == 0)
        core->returned_at_ns = core_now(core);
    return 2 * core->selection.truechimers <= voters(core) &&
           fabs(source->offset_ns - published_ns) > source->half_ns + held_ns &&
           core_now(core) - core->returned_at_ns < RETURN_NS;
}

static int select_source(struct core *core, uint64_t counter, int fresh)
{
    struct selection_source sources[CORE_SOURCES_MAX];
    int64_t common_ns = INT64_MIN;
    double fraction;
    int selected = -1;

    if (!steering_time(&core->steering, counter, &common_ns, &fraction)) {
        common_ns = INT64_MIN;
        fraction = 0;
    }
    for (unsigned i = 0; i < core->source_end; i++)
        look_at(core, &core->sources[i], counter, &common_ns, &sources[i]);
    if (core->selection.selected >= 0 || core->selection.truechimers > 0 || all_settled(core))
        selected = selection_update(&core->selection, sources, core->source_end, core->config.minimum_sources, fresh);
    if (is_premature(core, selected, &sources[selected < 0 ? 0 : selected], fraction))
        selected = core->selection.selected = -1;
    tell_states(core);
    return selected;
}

/* ---- the line ---- */

static struct steering_line line_of(const struct source *source)
{
    const struct estimate *estimate = &source->estimate;
    struct association_status status;

    association_get(source->association, &status);
    return (struct steering_line){
        .counter = estimate->counter,
        .time_ns = estimate->time_ns,
        .fraction = estimate->fraction,
        .period_ns = estimate->period_ns,
        .difference_period_ns = estimate->difference_period_ns,
        .bound_ns = estimate->bound_ns,
        .growth_ppb = estimate->bound_growth_ppb,
        .wander_ppb = estimate->wander_ppb,
        .slew_within_ns = fmin(ldexp(1e9, status.poll_log2) / 4, SLEW_WITHIN_MAX_NS),
    };
}

void core_publish(struct core *core)
{
    struct clock_values *values = &core->steering.values;
    struct leap_table leap;

    if (core->steering.has_line) {
        core->known_tai_ns = values->time_ns;
        core->known_at_ns = core_now(core);
    }
    leap = leap_present(&core->leap, core->known_tai_ns);
    values->tai_utc_s = leap.tai_utc_s;
    values->leap = leap.leap;
    values->leap_at_ns = leap.leap_at_ns;
    values->utc_distance_ns = core->utc_distance_ns;
    values->holdover_after = values->counter + (uint64_t)(GONE_AFTER_NS / values->period_ns);
    core->env.publish(core->env.context, values);
}

/* The next update without a new sample: the bound grows faster than it was told, the end of a correction lowers it, or
 * the time becomes void. */
static void plan_publication(struct core *core)
{
    const struct clock_values *values = &core->steering.values;
    double slew_ns = (double)(values->counter_switch - values->counter) * values->period_ns;
    double left_ns = fmax((double)(int64_t)(values->void_after - values->counter) * values->period_ns, 0);
    double remaining = fabs(steering_remaining(&core->steering, values->counter));
    int64_t in_ns = CORE_PUBLISH_INTERVAL_NS;

    if (core->steering.has_line && remaining > REPUBLISH_PART * (double)values->bound_ns && slew_ns < (double)in_ns)
        in_ns = (int64_t)slew_ns + PUBLISH_SOONEST_NS;
    if (core->steering.has_line && left_ns < (double)in_ns)
        in_ns = (int64_t)left_ns + PUBLISH_SOONEST_NS;
    core->publish_at_ns = core_now(core) + in_ns;
}

static void follow(struct core *core, struct source *source)
{
    struct steering_line line = line_of(source);
    double offset, fraction;
    int64_t time_ns;
    bool known = steering_time(&core->steering, line.counter, &time_ns, &fraction);
    struct association_status status;

    offset = known ? steering_line_offset(&line, line.counter, time_ns, fraction) : 0;
    association_get(source->association, &status);
    core->utc_distance_ns = (int64_t)(root_distance(&status) + source->estimate.baseline_ns / 2);
    core->local_reference = false;
    switch (steering_follow(&core->steering, &line)) {
    case STEERING_FIRST:
        core_tell(core, LOG_LEVEL_INFO,
                  LOG_SUBJECT(.event = LOG_EVENT_CLOCK_SYNCHRONISED, .source = source->config.name),
                  "synchronised with server %s, within %.1f us", source->config.name, line.bound_ns / 1000);
        break;
    case STEERING_STEPPED:
        core->disruptions++;
        PROBE(clock_stepped, source->config.name, (int64_t)(offset > -9e18 && offset < 9e18 ? offset : 0));
        core_tell(core, LOG_LEVEL_WARNING,
                  LOG_SUBJECT(.event = LOG_EVENT_CLOCK_DISRUPTED, .source = source->config.name),
                  "the time steps by %+.6f s to that of server %s", offset * 1e-9, source->config.name);
        break;
    case STEERING_FOLLOWED:
    case STEERING_HELD:
        break;
    }
}

static bool has_sources(const struct core *core)
{
    for (unsigned i = 0; i < core->source_end; i++)
        if (core->sources[i].association)
            return true;
    return false;
}

static void be_reference(struct core *core, uint64_t counter)
{
    struct steering_line first = {
        .counter = counter,
        .time_ns = core->known_tai_ns + (core_now(core) - core->known_at_ns),
        .period_ns = core->steering.values.period_ns,
        .difference_period_ns = core->steering.values.difference_period_ns,
    };

    if (!core->local_reference)
        core_tell(core, LOG_LEVEL_WARNING, LOG_SUBJECT(.event = LOG_EVENT_CLOCK_LOST),
                  "no server to follow: this node is the reference");
    core->local_reference = true;
    core->utc_distance_ns = INT64_MAX;
    steering_be_reference(&core->steering, counter, &first);
}

/* Nobody can be followed. */
static void go_on_alone(struct core *core, uint64_t counter)
{
    bool may_be_reference =
        core->config.local_reference && (!has_sources(core) || core_now(core) - core->created_ns >= LOCAL_AFTER_NS);

    if (core->local_reference || (may_be_reference && !has_sources(core)))
        be_reference(core, counter);
    else if (!steering_hold(&core->steering, counter) && may_be_reference)
        be_reference(core, counter);
}

static void tell_status(const struct core *core, enum lockstep_clock_status before)
{
    const struct clock_values *values = &core->steering.values;

    if (values->status == before)
        return;
    if (values->status == LOCKSTEP_CLOCK_HOLDOVER)
        core_tell(core, LOG_LEVEL_WARNING, LOG_SUBJECT(.event = LOG_EVENT_CLOCK_LOST),
                  "holdover: no server to follow; the bound is %.1f us and grows", (double)values->bound_ns / 1000);
    else if (values->status == LOCKSTEP_CLOCK_UNSYNCHRONISED)
        core_tell(core, LOG_LEVEL_ERROR, LOG_SUBJECT(.event = LOG_EVENT_CLOCK_LOST),
                  "the time is void: no server for too long");
    else if (values->status == LOCKSTEP_CLOCK_SYNCHRONISED && before == LOCKSTEP_CLOCK_HOLDOVER)
        core_tell(core, LOG_LEVEL_INFO, LOG_SUBJECT(.event = LOG_EVENT_CLOCK_SYNCHRONISED), "synchronised again");
}

void core_steer(struct core *core, int fresh)
{
    enum lockstep_clock_status before = core->steering.values.status;
    uint64_t counter = core_counter(core);
    int selected_before = core->selection.selected;
    int selected = select_source(core, counter, fresh);

    core_leap_update(core, counter);
    /* What another server says does not move the line. */
    if (fresh >= 0 && selected >= 0 && fresh != selected && selected == selected_before &&
        core_now(core) < core->publish_at_ns)
        return;
    if (selected >= 0)
        follow(core, &core->sources[selected]);
    else
        go_on_alone(core, counter);
    tell_status(core, before);
    plan_publication(core);
    core_publish(core);
}
