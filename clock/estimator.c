/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/estimator.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clock/estimator_baseline.h"
#include "clock/estimator_filter.h"

#define NOISE_DEFAULT_NS     50
#define ROUND_TRIP_MAX_NS    1e10
#define RATE_SIGMA_PPB       200000 /* of an unknown counter */
#define RATE_SIGMA_SLEPT_PPB 100    /* what a disruption may do to it */
#define RATE_SIGMA_STEP_PPB  500000
#define GATE_SIGMAS          5
#define HELD_STAMPS          6    /* consistent outliers that are believed */
#define HELD_MAX             18   /* outliers that are believed in any case */
#define BACKWARD_MAX         8    /* exchanges before the previous one until the counter counts as reset */
#define BOUND_CHANCE         5e-5 /* that the truth is outside, if the model holds */
#define BOUND_ONE_SIDED                                                                                                \
    0.08 /* where queues of one direction make the errors one-sided: so much more, times the slope */
#define FAR_SECONDS       50000
#define BOUND_SIGMAS_MIN  4    /* at least, for the growth */
#define RELAX_SECONDS     7200 /* in which a shorter path becomes the measure of symmetry */
#define FORGET_SECONDS    86400
#define LONG_RATE_SECONDS 1000

/* The reference line that the filter's offsets are counted from; it is moved to the best estimate after each stamp. */
struct line {
    uint64_t counter;
    int64_t time_ns;
    double fraction, rate; /* ns; ns/s above nominal */
};

struct judged {
    struct line line;
    struct filter filter;
};

struct estimator {
    struct estimator_config config;
    double nominal_period_ns;
    bool any, offset_known;
    struct judged state;
    struct baseline baseline;
    double seconds; /* since the first stamp */
    double long_rate, noise_variance, disagreement;
    struct exchange last;
    unsigned backward;
    struct exchange held[HELD_MAX];
    double held_offset[HELD_MAX], held_width[HELD_MAX], held_seconds[HELD_MAX];
    unsigned held_count;
    struct judged before_run;
    struct exchange run[BASELINE_RUN_MAX];
    unsigned run_count;
    double residual, excess, round_trip;
    struct estimator_counts counts;
};

/* What one exchange says, seen from the reference line after it has been moved to the exchange. */
struct seen {
    double round_trip, noise;
    struct filter_box box;
};

static double noise_floor(const struct estimator *estimator)
{
    return estimator->config.s0_ns > 0 ? estimator->config.s0_ns : NOISE_DEFAULT_NS;
}

static double period_ns(const struct estimator *estimator, double rate)
{
    return estimator->nominal_period_ns * (1 + rate * 1e-9);
}

static uint64_t middle(const struct exchange *exchange)
{
    return exchange->ta + (exchange->tf - exchange->ta) / 2;
}

static void add_ns(struct line *line, double ns)
{
    double whole = floor(ns + line->fraction);

    line->fraction = ns + line->fraction - whole;
    line->time_ns += (int64_t)whole;
}

static double round_trip_of(const struct estimator *estimator, const struct exchange *exchange)
{
    return (double)(exchange->tf - exchange->ta) * period_ns(estimator, estimator->state.line.rate) -
           (double)(exchange->te - exchange->tb);
}

/* Ticks since the line's reference as ns on the line. Negative for a counter before it. */
static double elapsed_ns(const struct estimator *estimator, uint64_t counter)
{
    const struct line *line = &estimator->state.line;

    return (double)(int64_t)(counter - line->counter) * period_ns(estimator, line->rate);
}

static void advance(struct estimator *estimator, uint64_t counter)
{
    struct line *line = &estimator->state.line;
    double ns = elapsed_ns(estimator, counter), dt = ns * 1e-9;

    line->counter = counter;
    add_ns(line, ns);
    filter_advance(&estimator->state.filter, dt, line->rate);
}

static struct seen look(const struct estimator *estimator, const struct exchange *exchange)
{
    const struct line *line = &estimator->state.line;
    const struct baseline *baseline = &estimator->baseline;
    double odd_tick = (double)((exchange->tf - exchange->ta) & 1) / 2 * period_ns(estimator, line->rate);
    double offset = (double)(exchange->tb - line->time_ns) + (double)(exchange->te - exchange->tb) / 2 -
                    line->fraction - odd_tick - estimator->config.asymmetry_ns / 2;
    struct seen seen = {.round_trip = round_trip_of(estimator, exchange)};

    seen.noise = hypot(noise_floor(estimator), exchange->stamp_error_ns / 2.0);
    seen.box = (struct filter_box){
        .middle = offset,
        .width = fmax(seen.round_trip - baseline->now, 0),
        .doubt = baseline_doubt(baseline),
        .noise = seen.noise,
        .mean_excess = baseline->mean_excess,
    };
    return seen;
}

/* Moves the line to the filter's best estimate. */
static void settle(struct estimator *estimator, double dt)
{
    struct filter_state mix;

    filter_mix(&estimator->state.filter, &mix);
    add_ns(&estimator->state.line, mix.offset);
    filter_shift_offset(&estimator->state.filter, -mix.offset);
    estimator->state.line.rate = mix.rate;
    estimator->disagreement *= exp(-dt / FORGET_SECONDS);
    if (baseline_is_lowest(&estimator->baseline))
        estimator->disagreement = fmax(estimator->disagreement, fabs(mix.bias));
    if (estimator->counts.accepted < 2)
        estimator->long_rate = mix.rate;
    estimator->long_rate += (mix.rate - estimator->long_rate) * -expm1(-dt / LONG_RATE_SECONDS);
}

static void relax(struct estimator *estimator, double dt)
{
    if (baseline_is_lowest(&estimator->baseline))
        filter_relax_bias(&estimator->state.filter, -expm1(-dt / RELAX_SECONDS));
}

/* Takes one exchange into the filter without asking whether it is an outlier. */
static double believe(struct estimator *estimator, const struct exchange *exchange)
{
    double dt = elapsed_ns(estimator, middle(exchange)) * 1e-9, outlier;
    struct seen seen;

    advance(estimator, middle(exchange));
    relax(estimator, dt);
    seen = look(estimator, exchange);
    outlier = filter_update(&estimator->state.filter, &seen.box);
    settle(estimator, dt);
    return outlier;
}

static void hold_back(struct estimator *estimator, const struct exchange *exchange, const struct filter_box *box)
{
    unsigned n = estimator->held_count++;

    estimator->held[n] = *exchange;
    estimator->held_offset[n] = box->middle;
    estimator->held_width[n] = box->width + box->doubt + 2 * GATE_SIGMAS * box->noise;
    estimator->held_seconds[n] = estimator->seconds;
}

/* The line through the first and the last of the stamps held back; true if the ones between lie on it. */
static bool held_agree(const struct estimator *estimator, double *rate, double *rate_doubt)
{
    unsigned last = estimator->held_count - 1;
    const double *offset = estimator->held_offset, *width = estimator->held_width, *at = estimator->held_seconds;
    double span = fmax(at[last] - at[0], 1e-3);

    *rate = (offset[last] - offset[0]) / span;
    *rate_doubt = (width[last] + width[0]) / 2 / span;
    for (unsigned i = 1; i < last; i++) {
        double expected = offset[0] + *rate * (at[i] - at[0]);

        if (fabs(offset[i] - expected) > (width[i] + width[0] + width[last]) / 2)
            return false;
    }
    return true;
}

/* Believes the stamps held back: sets the line anew from the first of them. */
static bool restart(struct estimator *estimator)
{
    struct exchange held[HELD_MAX];
    unsigned count = estimator->held_count;
    double rate = 0, rate_doubt = 0;
    bool agree = count >= HELD_STAMPS && held_agree(estimator, &rate, &rate_doubt);

    if (!agree && count < HELD_MAX)
        return false;
    memcpy(held, estimator->held, sizeof held);
    advance(estimator, middle(&held[agree ? 0 : count - 1]));
    filter_forget_offset(&estimator->state.filter, estimator->held_offset[agree ? 0 : count - 1],
                         estimator->held_width[0] + estimator->round_trip,
                         fmin(fabs(rate) + rate_doubt, RATE_SIGMA_STEP_PPB));
    estimator->held_count = 0;
    for (unsigned i = agree ? 0 : count - 1; i < count; i++)
        believe(estimator, &held[i]);
    estimator->counts.restarts++;
    return true;
}

static enum estimator_verdict judge(struct estimator *estimator, const struct exchange *exchange)
{
    struct judged ahead = estimator->state;
    struct seen seen;

    advance(estimator, middle(exchange));
    seen = look(estimator, exchange);
    estimator->residual = seen.box.middle;
    estimator->excess = seen.round_trip - estimator->baseline.now;
    if (filter_distance(&estimator->state.filter, &seen.box) > GATE_SIGMAS) {
        hold_back(estimator, exchange, &seen.box);
        estimator->state = ahead;
        if (restart(estimator))
            return ESTIMATOR_RESTARTED;
        estimator->counts.held_back++;
        return ESTIMATOR_HELD_BACK;
    }
    estimator->state = ahead;
    estimator->held_count = 0;
    estimator->noise_variance += (seen.box.middle * seen.box.middle - estimator->noise_variance) / 64;
    if (believe(estimator, exchange) > 0.5) {
        estimator->counts.held_back++;
        return ESTIMATOR_HELD_BACK;
    }
    estimator->counts.accepted++;
    return ESTIMATOR_ACCEPTED;
}

/* Enters another path. The bias that the filter finds there keeps the clock continuous. */
static void change_path(struct estimator *estimator, double from, double to)
{
    struct baseline_path path;
    struct filter_state mix;

    filter_mix(&estimator->state.filter, &mix);
    if (baseline_change_path(&estimator->baseline, mix.bias, mix.bb, estimator->seconds, noise_floor(estimator), &path))
        /* What was found then is not independent of what is known now: it counts for half. */
        filter_set_bias(&estimator->state.filter, path.bias, 2 * path.bias_variance);
    else
        filter_doubt_bias(&estimator->state.filter, (to - from) * (to - from) / 12);
}

static enum estimator_verdict shift_up(struct estimator *estimator)
{
    enum estimator_verdict verdict = ESTIMATOR_ACCEPTED;

    if (estimator->run_count > 0)
        estimator->state = estimator->before_run;
    change_path(estimator, estimator->baseline.now, estimator->baseline.run_low);
    estimator->counts.shifts_up++;
    for (unsigned i = 0; i < estimator->run_count; i++)
        verdict = judge(estimator, &estimator->run[i]);
    estimator->run_count = 0;
    return verdict;
}

static enum estimator_verdict take(struct estimator *estimator, const struct exchange *exchange)
{
    double floor_ns = noise_floor(estimator) + exchange->stamp_error_ns / 2.0, from = estimator->baseline.now;
    enum baseline_event event;

    estimator->round_trip = round_trip_of(estimator, exchange);
    event = baseline_add(&estimator->baseline, estimator->round_trip, estimator->seconds, floor_ns);
    if (event == BASELINE_RUN) {
        estimator->before_run = estimator->state;
        estimator->run_count = 0;
    }
    if (estimator->baseline.run == 0)
        estimator->run_count = 0;
    else if (estimator->run_count < BASELINE_RUN_MAX)
        estimator->run[estimator->run_count++] = *exchange;
    if (event == BASELINE_UP && estimator->run_count > 0)
        return shift_up(estimator);
    if (event == BASELINE_UP)
        shift_up(estimator);
    if (event == BASELINE_DOWN) {
        change_path(estimator, from, estimator->baseline.run_low);
        estimator->counts.shifts_down++;
    }
    return judge(estimator, exchange);
}

static void start(struct estimator *estimator, const struct exchange *exchange)
{
    const struct estimator_config *config = &estimator->config;
    bool hinted = isfinite(config->rate_hint_ppb) && config->rate_hint_sigma_ppb > 0;
    struct line *line = &estimator->state.line;

    line->counter = middle(exchange);
    line->time_ns = exchange->tb + (exchange->te - exchange->tb) / 2;
    line->fraction = 0;
    line->rate = hinted ? config->rate_hint_ppb : 0;
    estimator->round_trip = round_trip_of(estimator, exchange);
    filter_init(&estimator->state.filter, estimator->round_trip, line->rate,
                hinted ? hypot(config->rate_hint_sigma_ppb, RATE_SIGMA_SLEPT_PPB) : RATE_SIGMA_PPB);
    estimator->any = estimator->offset_known = true;
}

/* After a disruption the offset is as unknown as at the start; the rest is kept. */
static void find_again(struct estimator *estimator, const struct exchange *exchange)
{
    struct line *line = &estimator->state.line;
    double asleep_s = fabs((double)exchange->tb - (double)line->time_ns) * 1e-9;
    double wandered = filter_wander(&estimator->state.filter) * sqrt(asleep_s);

    line->counter = middle(exchange);
    line->time_ns = exchange->tb + (exchange->te - exchange->tb) / 2;
    line->fraction = 0;
    filter_forget_offset(&estimator->state.filter, 0, round_trip_of(estimator, exchange),
                         fmin(hypot(RATE_SIGMA_SLEPT_PPB, wandered), RATE_SIGMA_STEP_PPB));
    estimator->offset_known = true;
}

static bool is_possible(const struct estimator *estimator, const struct exchange *exchange)
{
    double round_trip;

    if (exchange->tf <= exchange->ta || exchange->te < exchange->tb || exchange->tb <= 0)
        return false;
    round_trip = round_trip_of(estimator, exchange);
    return round_trip > 0 && round_trip <= ROUND_TRIP_MAX_NS;
}

static bool follows(struct estimator *estimator, const struct exchange *exchange)
{
    const struct exchange *last = &estimator->last;

    if (!estimator->any || !estimator->offset_known)
        return true;
    if (exchange->tb == last->tb && exchange->te == last->te)
        return false;
    if (exchange->ta > last->ta && exchange->tf > last->tf)
        return true;
    if (++estimator->backward < BACKWARD_MAX)
        return false;
    estimator_disrupt(estimator);
    return true;
}

enum estimator_verdict estimator_add(struct estimator *estimator, const struct exchange *exchange)
{
    if (!is_possible(estimator, exchange) || !follows(estimator, exchange)) {
        estimator->counts.refused++;
        return ESTIMATOR_REFUSED;
    }
    estimator->backward = 0;
    if (!estimator->any)
        start(estimator, exchange);
    else if (!estimator->offset_known)
        find_again(estimator, exchange);
    else
        estimator->seconds += (double)(exchange->ta - estimator->last.ta) * estimator->nominal_period_ns * 1e-9;
    estimator->last = *exchange;
    return take(estimator, exchange);
}

static double sigma_after(const struct filter_state *mix, double wander, double t)
{
    return sqrt(fmax(0, mix->oo + t * (2 * mix->of + t * mix->ff) + wander * wander * t * t * t / 3));
}

void estimator_get(const struct estimator *estimator, uint64_t counter, struct estimate *out)
{
    const struct filter *filter = &estimator->state.filter;
    struct line line = estimator->state.line;
    struct filter_state mix;
    double elapsed, wander, t, bound, factor, far;

    memset(out, 0, sizeof *out);
    if (!estimator->any || !estimator->offset_known)
        return;
    elapsed = elapsed_ns(estimator, counter);
    t = fmax(elapsed * 1e-9, 0);
    add_ns(&line, elapsed);
    filter_mix(filter, &mix);
    wander = filter_wander(filter);
    out->valid = true;
    out->counter = counter;
    out->time_ns = line.time_ns;
    out->fraction = line.fraction;
    out->period_ns = period_ns(estimator, line.rate);
    out->difference_period_ns = period_ns(estimator, estimator->long_rate);
    out->sigma_ns = sigma_after(&mix, wander, t);
    out->rate_sigma_ppb = sqrt(mix.ff + wander * wander * t);
    bound = filter_bound(filter, t, line.rate, BOUND_CHANCE);
    factor = fmax(bound / fmax(out->sigma_ns, 1e-3), BOUND_SIGMAS_MIN);
    /* A sum of standard deviations is never below the root of the sum of their squares. Far ahead, unlikely but wilder
     * oscillators count for more. */
    out->bound_growth_ppb = factor * out->rate_sigma_ppb;
    far = filter_bound(filter, t + FAR_SECONDS, line.rate, BOUND_CHANCE) - bound - FAR_SECONDS * out->bound_growth_ppb;
    out->wander_ppb = fmax(factor * wander * sqrt(1000 / 3.0), far / (FAR_SECONDS * sqrt(FAR_SECONDS / 1000.0)));
    out->asymmetry = filter_slope(filter);
    out->bound_ns =
        bound * (1 + BOUND_ONE_SIDED * 2 * fabs(out->asymmetry)) + noise_floor(estimator) / 4 + estimator->disagreement;
    out->baseline_ns = estimator->baseline.now;
    out->noise_ns = sqrt(estimator->noise_variance);
}

struct estimator_counts estimator_get_counts(const struct estimator *estimator)
{
    return estimator->counts;
}

void estimator_last(const struct estimator *estimator, double *residual_ns, double *excess_ns, double *round_trip_ns)
{
    *residual_ns = estimator->residual;
    *excess_ns = estimator->excess;
    *round_trip_ns = estimator->round_trip;
}

void estimator_disrupt(struct estimator *estimator)
{
    estimator->offset_known = false;
    estimator->held_count = estimator->run_count = 0;
    estimator->baseline.run = 0;
    estimator->backward = 0;
}

void estimator_suspect_path(struct estimator *estimator)
{
    estimator->baseline.suspect = true;
}

struct estimator *estimator_create(const struct estimator_config *config)
{
    struct estimator *estimator = calloc(1, sizeof *estimator);

    if (!estimator)
        return NULL;
    estimator->config = *config;
    estimator->nominal_period_ns = 1e9 / config->nominal_hz;
    baseline_init(&estimator->baseline, config->baseline_hint_ns, noise_floor(estimator));
    return estimator;
}

void estimator_destroy(struct estimator *estimator)
{
    free(estimator);
}
