/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/core.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/probe.h"
#include "clock/core_private.h"

#define POLL_LOG2_LEAST   (-4)
#define POLL_LOG2_MOST    17
#define TOLD_FOR_NS       (2 * 86400 * NS_PER_S)
#define SURPRISE_SIGMAS   4
#define LEARNED_EXCHANGES 16    /* until a source's rate is worth keeping when its server moves */
#define LEARNED_DOUBT_PPB 100.0 /* of such a rate at least */

void core_write_log(const struct core *core, const struct log_site *site, enum log_level level,
                    const struct log_subject *subject, const char *format, ...)
{
    char message[256];
    va_list arguments;

    if (!core->env.log)
        return;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    core->env.log(core->env.context, site, (int)level, subject, message);
}

struct core *core_create(const struct core_config *config, const struct core_env *env)
{
    struct core *core = calloc(1, sizeof *core);
    struct steering_config steering = {
        .nominal_period_ns = 1e9 / config->nominal_hz,
        .slew_ppm = config->slew_ppm,
        .step_limit_ns = (double)config->step_limit_ns,
        .holdover_limit_ns = (double)config->holdover_limit_ns,
        .drift_ppb = config->drift_ppb,
    };

    if (!core)
        return NULL;
    core->config = *config;
    core->env = *env;
    core->created_ns = core->known_at_ns = core_now(core);
    core->utc_distance_ns = INT64_MAX;
    core->leap.tai_utc_s = config->tai_utc_s;
    core->known_tai_ns = leap_to_tai(&core->leap, config->initial_time_ns);
    selection_init(&core->selection);
    steering_init(&core->steering, &steering);
    if (isfinite(config->rate_hint_ppb)) {
        /* A counter that is too fast has periods that are too short, which is how the estimator counts. */
        core->config.rate_hint_ppb = (1 / (1 + config->rate_hint_ppb * 1e-9) - 1) * 1e9;
        core->steering.values.period_ns *= 1 + core->config.rate_hint_ppb * 1e-9;
    }
    core->steering.values.slew_period_ns = core->steering.values.difference_period_ns = core->steering.values.period_ns;
    return core;
}

void core_destroy(struct core *core)
{
    if (!core)
        return;
    for (unsigned i = 0; i < core->source_end; i++) {
        association_destroy(core->sources[i].association);
        estimator_destroy(core->sources[i].estimator);
    }
    free(core);
}

bool core_resume(struct core *core, const struct clock_values *values)
{
    uint64_t counter = core_counter(core);

    bool resumed = steering_resume(&core->steering, values, counter);
    if (values->leap >= -1 && values->leap <= 1 && values->tai_utc_s != 0) {
        core->leap = (struct leap_table){
            .tai_utc_s = values->tai_utc_s,
            .leap = values->leap,
            .leap_at_ns = values->leap_at_ns,
        };
    }
    if (!resumed)
        return false;
    core->utc_distance_ns = values->utc_distance_ns;
    core_log(core, LOG_LEVEL_INFO, "goes on with the time published before, within %.1f us",
             (double)core->steering.values.bound_ns / 1000);
    return true;
}

/* ---- sources ---- */

static struct source *source_at(struct core *core, unsigned source)
{
    return source < core->source_end && core->sources[source].association ? &core->sources[source] : NULL;
}

static struct estimator *new_estimator(const struct core *core, const struct source *source, double rate_ppb,
                                       double rate_sigma_ppb, double baseline_ns)
{
    struct estimator_config config = {
        .nominal_hz = core->config.nominal_hz,
        .asymmetry_ns = source->config.asymmetry_ns,
        .rate_hint_ppb = rate_ppb,
        .rate_hint_sigma_ppb = rate_sigma_ppb,
        .baseline_hint_ns = baseline_ns,
    };

    return estimator_create(&config);
}

static bool polls_are_valid(const struct core_source_config *config)
{
    return config->poll_min_log2 >= POLL_LOG2_LEAST && config->poll_max_log2 <= POLL_LOG2_MOST &&
           config->poll_min_log2 <= config->poll_max_log2;
}

/* Takes config->auth over, or destroys it. */
static int fill_source(struct core *core, struct source *source, const struct core_source_config *config)
{
    struct association_config association = {
        .poll_min_log2 = config->poll_min_log2,
        .poll_max_log2 = config->poll_max_log2,
        .burst = config->burst,
        .interleaved = config->interleaved,
        .auth = config->auth,
    };

    *source = (struct source){.config = *config};
    source->association = association_create(&association, core_now(core));
    source->estimator = new_estimator(core, source, core->config.rate_hint_ppb, core->config.rate_hint_sigma_ppb,
                                      config->baseline_hint_ns);
    if (source->association && source->estimator)
        return 0;
    association_destroy(source->association);
    estimator_destroy(source->estimator);
    *source = (struct source){0};
    return LOCKSTEP_E_EXHAUSTED;
}

int core_add_source(struct core *core, const struct core_source_config *config)
{
    unsigned free_place = 0;
    int result;

    while (free_place < CORE_SOURCES_MAX && core->sources[free_place].association)
        free_place++;
    if (free_place == CORE_SOURCES_MAX || !polls_are_valid(config)) {
        if (config->auth)
            config->auth->ops->destroy(config->auth);
        return free_place == CORE_SOURCES_MAX ? LOCKSTEP_E_EXHAUSTED : LOCKSTEP_E_BAD_VALUE;
    }
    result = fill_source(core, &core->sources[free_place], config);
    if (result != 0)
        return result;
    if (free_place >= core->source_end)
        core->source_end = free_place + 1;
    return (int)free_place;
}

/* What is selected, and what is known of a place, must not outlive its source. */
static void deselect(struct core *core, unsigned source)
{
    core->selection.verdicts[source] = SELECTION_UNUSABLE;
    core->selection.challenger = -1;
    if (core->selection.selected == (int)source)
        core->selection.selected = -1;
}

void core_remove_source(struct core *core, unsigned number)
{
    struct source *source = source_at(core, number);

    if (!source)
        return;
    association_destroy(source->association);
    estimator_destroy(source->estimator);
    *source = (struct source){0};
    deselect(core, number);
    while (core->source_end > 0 && !core->sources[core->source_end - 1].association)
        core->source_end--;
    if (core->ran)
        core_steer(core, -1);
}

void core_source_moved(struct core *core, unsigned number)
{
    struct source *source = source_at(core, number);
    double rate_ppb = core->config.rate_hint_ppb, sigma_ppb = core->config.rate_hint_sigma_ppb;
    struct estimator *estimator;
    struct estimate estimate;

    if (!source)
        return;
    estimator_get(source->estimator, core_counter(core), &estimate);
    if (estimate.valid && estimator_get_counts(source->estimator).accepted >= LEARNED_EXCHANGES) {
        rate_ppb = (estimate.period_ns * core->config.nominal_hz * 1e-9 - 1) * 1e9;
        sigma_ppb = fmax(estimate.rate_sigma_ppb, LEARNED_DOUBT_PPB);
    }
    estimator = new_estimator(core, source, rate_ppb, sigma_ppb, 0);
    if (!estimator) {
        core_log(core, LOG_LEVEL_ERROR, "server %s: no memory to start anew", source->config.name);
        return;
    }
    estimator_destroy(source->estimator);
    source->estimator = estimator;
    source->samples = 0;
    source->confirmed = false;
    association_restart(source->association, core_now(core), true);
    deselect(core, number);
    core_log(core, LOG_LEVEL_INFO, "server %s: has moved", source->config.name);
    if (core->ran)
        core_steer(core, -1);
}

/* ---- exchanges ---- */

/* Whether the poll interval may grow (if it can): the noise of a sample outweighs what the line will drift in twice the
 * interval.
 */
static struct association_feedback feedback_of(const struct core *core, const struct source *source,
                                               const struct exchange *exchange, enum estimator_verdict verdict)
{
    struct association_feedback feedback = {
        .refused = verdict == ESTIMATOR_REFUSED,
        .restart = verdict == ESTIMATOR_RESTARTED,
        .surprise = verdict == ESTIMATOR_HELD_BACK,
    };
    struct association_status status;
    struct estimate estimate;
    double residual, excess, round_trip;

    if (verdict != ESTIMATOR_ACCEPTED || source->config.poll_min_log2 == source->config.poll_max_log2)
        return feedback;
    association_get(source->association, &status);
    estimator_last(source->estimator, &residual, &excess, &round_trip);
    estimator_get(source->estimator, exchange->tf + (uint64_t)(ldexp(2, status.poll_log2) * core->config.nominal_hz),
                  &estimate);
    feedback.surprise = fabs(residual) > SURPRISE_SIGMAS * estimate.noise_ns + excess / 2;
    feedback.quiet = !feedback.surprise && estimate.sigma_ns < estimate.noise_ns;
    return feedback;
}

static void probe_sample(const struct source *source, enum estimator_verdict verdict)
{
    double residual, excess, round_trip;

    estimator_last(source->estimator, &residual, &excess, &round_trip);
    PROBE(clock_sample, source->config.name, verdict, (int64_t)residual, (int64_t)round_trip);
}

static void take_sample(struct core *core, unsigned number, const struct association_sample *sample)
{
    struct source *source = &core->sources[number];
    struct exchange exchange = {
        .ta = sample->ta,
        .tf = sample->tf,
        .tb = core_to_tai(core, source, sample->tb_utc_ns, sample->tf),
        .te = core_to_tai(core, source, sample->te_utc_ns, sample->tf),
        .stamp_error_ns = sample->error_ns,
    };
    struct association_feedback feedback;
    enum estimator_verdict verdict;

    if (sample->suspect_path)
        estimator_suspect_path(source->estimator);
    verdict = estimator_add(source->estimator, &exchange);
    feedback = feedback_of(core, source, &exchange, verdict);
    association_feedback(source->association, &feedback);
    if (core->observer) {
        struct estimate estimate;

        estimator_get(source->estimator, exchange.tf, &estimate);
        core->observer(core->observer_context, number, &exchange, verdict, &estimate);
    }
    probe_sample(source, verdict);
    if (verdict == ESTIMATOR_RESTARTED)
        core_log(core, LOG_LEVEL_WARNING, "server %s: its time or its path has changed; started anew",
                 source->config.name);
    if (verdict == ESTIMATOR_REFUSED)
        return;
    source->samples++;
    if (verdict != ESTIMATOR_HELD_BACK)
        source->confirmed = true;
    core_steer(core, (int)number);
}

static void take_event(struct core *core, unsigned number, enum association_event event,
                       const struct association_sample *sample)
{
    const char *name = core->sources[number].config.name;

    switch (event) {
    case ASSOCIATION_NOTHING:
        break;
    case ASSOCIATION_SAMPLE:
        take_sample(core, number, sample);
        break;
    case ASSOCIATION_SLOWED:
        core_log(core, LOG_LEVEL_WARNING, "server %s: asks to be polled less often", name);
        break;
    case ASSOCIATION_STOPPED:
        core_tell(core, LOG_LEVEL_ERROR, LOG_SUBJECT(.event = LOG_EVENT_SOURCE_LOST, .source = name),
                  "server %s: refuses service; it is asked no more", name);
        core_steer(core, -1);
        break;
    }
}

void core_sent(struct core *core, unsigned number, uint64_t ticket, uint64_t ta, uint32_t error_ns)
{
    struct source *source = source_at(core, number);
    struct association_sample sample;

    if (source)
        take_event(core, number, association_stamped(source->association, ticket, ta, error_ns, &sample), &sample);
}

/* UTC for the era of NTP stamps. Not from the servers: one that lies by a century would decide what others say. */
static int64_t about_utc(const struct core *core)
{
    return core->config.initial_time_ns + (core_now(core) - core->created_ns);
}

void core_received(struct core *core, unsigned number, const uint8_t *packet, size_t length, uint64_t tf,
                   uint32_t error_ns, unsigned ttl)
{
    struct source *source = source_at(core, number);
    struct association_sample sample;

    if (source)
        take_event(core, number,
                   association_received(source->association, core_now(core), about_utc(core), packet, length, tf,
                                        error_ns, ttl, &sample),
                   &sample);
}

void core_unreachable(struct core *core, unsigned number)
{
    struct source *source = source_at(core, number);
    struct association_status before, after;

    if (!source)
        return;
    association_get(source->association, &before);
    association_unreachable(source->association);
    association_get(source->association, &after);
    if (before.reach != 0 && after.reach == 0)
        core_steer(core, -1);
}

/* ---- time passes ---- */

static void send_request(struct core *core, unsigned number)
{
    struct association *association = core->sources[number].association;
    double period_ns = core->steering.values.period_ns;
    uint8_t packet[NTP_PACKET_MAX], random[24];
    uint64_t ticket, before;
    size_t length;

    core->env.random(core->env.context, random, sizeof random);
    length = association_request(association, core_now(core), random, packet, &ticket);
    if (length == 0)
        return;
    before = core_counter(core);
    if (core->env.send(core->env.context, number, packet, length, ticket) < 0)
        association_not_sent(association, ticket);
    else
        association_sent(association, ticket, before, core_counter(core), period_ns);
}

static void run_source(struct core *core, unsigned number)
{
    struct association *association = core->sources[number].association;
    struct association_status before, after;
    struct association_sample sample;
    enum association_event event;

    if (core_now(core) < association_deadline(association))
        return;
    while ((event = association_expire(association, core_now(core), &sample)) != ASSOCIATION_NOTHING)
        take_event(core, number, event, &sample);
    association_get(association, &before);
    if (core_now(core) >= association_deadline(association))
        send_request(core, number);
    association_get(association, &after);
    if (before.reach != 0 && after.reach == 0)
        core_steer(core, -1);
}

int64_t core_run(struct core *core)
{
    int64_t deadline;

    if (!core->ran) {
        core->ran = true;
        core_begin_settling(core);
        core_steer(core, -1);
    }
    for (unsigned i = 0; i < core->source_end; i++)
        if (core->sources[i].association)
            run_source(core, i);
    if (core_now(core) >= core->publish_at_ns)
        core_steer(core, -1);
    deadline = core->publish_at_ns;
    for (unsigned i = 0; i < core->source_end; i++) {
        int64_t due;

        if (!core->sources[i].association)
            continue;
        due = association_deadline(core->sources[i].association);
        if (due < deadline)
            deadline = due;
    }
    return deadline;
}

void core_disrupt(struct core *core, const char *why)
{
    core_tell(core, LOG_LEVEL_WARNING, LOG_SUBJECT(.event = LOG_EVENT_CLOCK_DISRUPTED), "disrupted: %s", why);
    PROBE(clock_disrupted, why);
    core->disruptions++;
    core->local_reference = false;
    selection_init(&core->selection);
    for (unsigned i = 0; i < core->source_end; i++) {
        struct source *source = &core->sources[i];

        if (!source->association)
            continue;
        estimator_disrupt(source->estimator);
        association_restart(source->association, core_now(core), false);
        source->samples = 0;
        source->confirmed = false;
    }
    core_begin_settling(core);
    steering_disrupt(&core->steering, core_counter(core));
    core_publish(core);
    core->publish_at_ns = core_now(core);
}

void core_set_leap(struct core *core, int32_t tai_utc_s, int32_t leap, int64_t leap_at_ns)
{
    int64_t tai_ns = core->known_tai_ns + (core_now(core) - core->known_at_ns);
    struct leap_table told = {
        .tai_utc_s = tai_utc_s,
        .leap = leap,
        .leap_at_ns = leap ? leap_at_ns : 0,
        .told_ns = tai_ns + TOLD_FOR_NS,
    };

    if (leap < -1 || leap > 1) {
        core_log(core, LOG_LEVEL_ERROR, "leap second: %d at once is impossible", (int)leap);
        return;
    }
    if (core->steering.has_line && leap_offset(&told, tai_ns) != leap_offset(&core->leap, tai_ns)) {
        core_log(core, LOG_LEVEL_WARNING, "leap second: TAI - UTC is told to be %d s, but stays %d s: TAI goes on",
                 (int)leap_offset(&told, tai_ns), (int)leap_offset(&core->leap, tai_ns));
        return;
    }
    /* The last one stays known, for times before it. */
    if (leap == 0 && core->leap.leap != 0 && tai_ns >= core->leap.leap_at_ns)
        core->leap.told_ns = told.told_ns;
    else
        core->leap = told;
    if (core->ran)
        core_steer(core, -1);
}

/* ---- reports ---- */

void core_observe(struct core *core, core_observer *observer, void *context)
{
    core->observer = observer;
    core->observer_context = context;
}

void core_get_report(const struct core *core, struct core_report *out)
{
    const struct steering *steering = &core->steering;

    *out = (struct core_report){
        .values = steering->values,
        .selected = core->selection.selected,
        .remaining_ns = steering->has_line ? steering_remaining(steering, core_counter(core)) : 0,
        .frequency_ppm = (steering->config.nominal_period_ns / steering->values.period_ns - 1) * 1e6,
        .disruptions = core->disruptions,
        .local_reference = core->local_reference,
    };
    for (unsigned i = 0; i < core->source_end; i++)
        out->source_count += core->sources[i].association != NULL;
}

static void report_line(const struct core *core, const struct source *source, struct core_source_report *out)
{
    uint64_t counter = core_counter(core);
    int64_t time_ns;
    double fraction;

    estimator_get(source->estimator, counter, &out->estimate);
    out->counts = estimator_get_counts(source->estimator);
    out->offset_ns = out->bound_ns = NAN;
    if (!out->estimate.valid)
        return;
    estimator_last(source->estimator, &out->residual_ns, &out->excess_ns, &out->round_trip_ns);
    out->bound_ns = out->estimate.bound_ns;
    if (steering_time(&core->steering, counter, &time_ns, &fraction))
        out->offset_ns = (double)(out->estimate.time_ns - time_ns) + (out->estimate.fraction - fraction);
}

bool core_get_source(const struct core *core, unsigned number, struct core_source_report *out)
{
    struct association_status status;
    const struct source *source;

    if (number >= core->source_end || !core->sources[number].association)
        return false;
    source = &core->sources[number];
    association_get(source->association, &status);
    *out = (struct core_source_report){
        .state = source->state,
        .reach = status.reach,
        .stratum = status.stratum,
        .leap = status.leap,
        .reference_id = status.reference_id,
        .poll_log2 = status.poll_log2,
        .interleaved = status.interleaved,
        .authenticated = status.authenticated,
        .last_reply_ns = status.last_reply_ns,
        .root_delay_ns = status.root_delay_ns,
        .root_dispersion_ns = status.root_dispersion_ns,
        .sent = status.sent,
        .received = status.received,
        .used = status.used,
        .unstamped = status.unstamped,
    };
    memcpy(out->name, source->config.name, sizeof out->name);
    memcpy(out->dropped, status.dropped, sizeof out->dropped);
    report_line(core, source, out);
    return true;
}
