/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/estimator_filter.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "clock/estimator_moments.h"

/* Hypotheses about the oscillator: random walk of the rate, ns/s per root second, in steps of a factor of sqrt(10). */
static const double wanders[FILTER_WANDERS] = {0.01, 0.0316, 0.1, 0.316, 1, 3.16, 10, 31.6, 100};
static const double wander_prior[FILTER_WANDERS] = {0.15, 0.15, 0.15, 0.15, 0.15, 0.15, 0.08, 0.018, 0.002};

/* Hypotheses about delays. `share`: the mean queue on the way out as part of the sum of both. `softness`: how blurred
 * the edges of the box are, in mean excesses: queues are no exact exponentials, the baseline is no exact minimum, and
 * stamps have noise; the tilted hypotheses, which rest on one edge, need more of it. `noise_excess`: how much of the
 * excess (in mean ones) is noise of the stamps, which says nothing of the offset: a box is made of the rest only. */
struct delays {
    double share, softness, noise_excess, prior;
    unsigned neighbour[3], neighbours;
};
static const struct delays delays[FILTER_DELAYS] = {
    {0.08, 0.065, 0, 0.05, {1}, 1},    {0.25, 0.043, 0, 0.08, {0, 2}, 2}, {0.5, 0.01, 0, 0.34, {1, 3, 5}, 3},
    {0.75, 0.043, 0, 0.08, {2, 4}, 2}, {0.92, 0.065, 0, 0.05, {3}, 1},    {0.5, 0.05, 0, 0.14, {2, 6}, 2},
    {0.5, 0.15, 0, 0.13, {5, 7}, 2},   {0.5, 0.2, 2, 0.13, {6}, 1},
};

/* Chances, at each stamp, that the truth has moved to a neighbouring hypothesis, or to any; that of another wander is
 * less where stamps come in quick succession. */
#define MOVE_WANDER  0.0003
#define MOVE_DELAYS  0.001
#define MOVE_SECONDS 16
#define MOVE_ANY     2e-6

#define TILT_EXCESS_MAX 4 /* times the mean */

/* An outlier says nothing; its chance, and how thinly it is spread against the stamp's own scale. */
#define OUTLIER_CHANCE 1e-4

#define BOUND_STEPS      12
#define BOUND_LOG_ENOUGH 0.005
#define BOUND_SIGMAS_MAX 5

static unsigned member_at(unsigned wander, unsigned delay)
{
    return wander * FILTER_DELAYS + delay;
}

static void add_state(struct filter_state *sum, const struct filter_state *state, double weight)
{
    sum->offset += weight * state->offset;
    sum->rate += weight * state->rate;
    sum->bias += weight * state->bias;
}

/* Adds the covariance of state seen from centre. */
static void add_spread(struct filter_state *centre, const struct filter_state *state, double weight)
{
    double offset = state->offset - centre->offset, rate = state->rate - centre->rate,
           bias = state->bias - centre->bias;

    centre->oo += weight * (state->oo + offset * offset);
    centre->of += weight * (state->of + offset * rate);
    centre->ob += weight * (state->ob + offset * bias);
    centre->ff += weight * (state->ff + rate * rate);
    centre->fb += weight * (state->fb + rate * bias);
    centre->bb += weight * (state->bb + bias * bias);
}

void filter_mix(const struct filter *filter, struct filter_state *out)
{
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < FILTER_MEMBERS; i++)
        add_state(out, &filter->member[i], filter->weight[i]);
    for (unsigned i = 0; i < FILTER_MEMBERS; i++)
        add_spread(out, &filter->member[i], filter->weight[i]);
}

double filter_wander(const struct filter *filter)
{
    double variance = 0;

    for (unsigned w = 0; w < FILTER_WANDERS; w++)
        for (unsigned t = 0; t < FILTER_DELAYS; t++)
            variance += filter->weight[member_at(w, t)] * wanders[w] * wanders[w];
    return sqrt(variance);
}

/* What the hypotheses of one wander say of the offset some seconds on. */
struct level {
    double weight, offset, sigma;
};

static struct level level_after(const struct filter *filter, unsigned wander, double t)
{
    struct filter_state sum = {0};
    struct level level = {0};

    for (unsigned i = member_at(wander, 0); i < member_at(wander + 1, 0); i++)
        level.weight += filter->weight[i];
    if (level.weight <= 0)
        return level;
    for (unsigned i = member_at(wander, 0); i < member_at(wander + 1, 0); i++)
        add_state(&sum, &filter->member[i], filter->weight[i] / level.weight);
    for (unsigned i = member_at(wander, 0); i < member_at(wander + 1, 0); i++)
        add_spread(&sum, &filter->member[i], filter->weight[i] / level.weight);
    level.offset = sum.offset + t * sum.rate;
    level.sigma =
        sqrt(fmax(0, sum.oo + t * (2 * sum.of + t * sum.ff) + wanders[wander] * wanders[wander] * t * t * t / 3));
    return level;
}

static double chance_beyond(const struct level levels[FILTER_WANDERS], double bound)
{
    double chance = 0;

    for (unsigned w = 0; w < FILTER_WANDERS; w++) {
        const struct level *level = &levels[w];

        if (level->sigma > 0)
            chance += level->weight / 2 *
                      (erfc((bound - level->offset) / level->sigma * M_SQRT1_2) +
                       erfc((bound + level->offset) / level->sigma * M_SQRT1_2));
    }
    return chance;
}

/* Where log(chance_beyond / chance) becomes negative. For one normal it is nearly straight in the square of the bound,
 * so regula falsi (with the Illinois change) in the square is there after a few steps. */
static double find_bound(const struct level levels[FILTER_WANDERS], double high, double chance)
{
    double low_square = 0, high_square = high * high, low_log = -log(chance);
    double high_log = log(chance_beyond(levels, high) / chance);

    for (unsigned i = 0; i < BOUND_STEPS && high_log < -BOUND_LOG_ENOUGH; i++) {
        double square = low_square + (high_square - low_square) * low_log / (low_log - high_log);
        double found = log(chance_beyond(levels, sqrt(square)) / chance);

        if (found > 0) {
            low_square = square;
            low_log = found;
            high_log /= 2;
        } else {
            high_square = square;
            high_log = found;
            low_log /= 2;
        }
    }
    return sqrt(high_square);
}

double filter_bound(const struct filter *filter, double t, double reference_rate, double chance)
{
    struct level levels[FILTER_WANDERS];
    double high = 0;

    for (unsigned w = 0; w < FILTER_WANDERS; w++) {
        levels[w] = level_after(filter, w, t);
        levels[w].offset -= t * reference_rate;
        if (levels[w].weight > chance / FILTER_WANDERS)
            high = fmax(high, fabs(levels[w].offset) + BOUND_SIGMAS_MAX * levels[w].sigma);
        else
            levels[w].sigma = 0;
    }
    return find_bound(levels, high, chance);
}

double filter_slope(const struct filter *filter)
{
    double slope = 0;

    for (unsigned w = 0; w < FILTER_WANDERS; w++)
        for (unsigned t = 0; t < FILTER_DELAYS; t++) {
            double share = delays[t].share, out = share * share, back = (1 - share) * (1 - share);

            slope += filter->weight[member_at(w, t)] * (back - out) / (back + out) / 2;
        }
    return slope;
}

void filter_init(struct filter *filter, double offset_sigma, double rate, double rate_sigma)
{
    const struct filter_state start = {.rate = rate, .oo = offset_sigma * offset_sigma, .ff = rate_sigma * rate_sigma};

    filter->since_update = 0;
    for (unsigned w = 0; w < FILTER_WANDERS; w++)
        for (unsigned t = 0; t < FILTER_DELAYS; t++) {
            filter->weight[member_at(w, t)] = wander_prior[w] * delays[t].prior;
            filter->member[member_at(w, t)] = start;
        }
}

/* What flows into hypothesis (w, t) from its neighbours and from all. */
struct source {
    const struct filter_state *state;
    double weight;
};
#define SOURCES_MAX 7

static unsigned sources_of(const struct filter *filter, const struct filter_state *all, unsigned w, unsigned t,
                           struct source sources[SOURCES_MAX])
{
    const unsigned self = member_at(w, t);
    const double slow = fmin(1, filter->since_update / MOVE_SECONDS);
    double leaving = MOVE_ANY * slow;
    unsigned from[SOURCES_MAX], wander_moves = 0, count = 0;

    if (w > 0)
        from[wander_moves++] = member_at(w - 1, t);
    if (w + 1 < FILTER_WANDERS)
        from[wander_moves++] = member_at(w + 1, t);
    for (unsigned i = 0; i < delays[t].neighbours; i++)
        from[wander_moves + i] = member_at(w, delays[t].neighbour[i]);
    for (; count < wander_moves + delays[t].neighbours; count++) {
        double chance = (count < wander_moves ? MOVE_WANDER : MOVE_DELAYS) * slow;

        leaving += chance;
        sources[count] = (struct source){&filter->member[from[count]], chance * filter->weight[from[count]]};
    }
    sources[count++] = (struct source){all, MOVE_ANY * slow / FILTER_MEMBERS + 1e-30};
    sources[count++] = (struct source){&filter->member[self], (1 - leaving) * filter->weight[self]};
    return count;
}

static void interact(struct filter *filter)
{
    struct filter mixed;
    struct filter_state all;

    filter_mix(filter, &all);
    mixed.since_update = 0;
    for (unsigned w = 0; w < FILTER_WANDERS; w++)
        for (unsigned t = 0; t < FILTER_DELAYS; t++) {
            struct source sources[SOURCES_MAX];
            unsigned count = sources_of(filter, &all, w, t, sources);
            struct filter_state *state = &mixed.member[member_at(w, t)];
            double sum = 0;

            memset(state, 0, sizeof *state);
            for (unsigned i = 0; i < count; i++)
                sum += sources[i].weight;
            for (unsigned i = 0; i < count; i++)
                add_state(state, sources[i].state, sources[i].weight / sum);
            for (unsigned i = 0; i < count; i++)
                add_spread(state, sources[i].state, sources[i].weight / sum);
            mixed.weight[member_at(w, t)] = sum;
        }
    *filter = mixed;
}

void filter_advance(struct filter *filter, double dt, double reference_rate)
{
    filter->since_update += dt;
    for (unsigned i = 0; i < FILTER_MEMBERS; i++) {
        struct filter_state *s = &filter->member[i];
        double q = wanders[i / FILTER_DELAYS] * wanders[i / FILTER_DELAYS];

        s->offset += dt * (s->rate - reference_rate);
        s->oo += dt * (2 * s->of + dt * s->ff) + q * dt * dt * dt / 3;
        s->of += dt * s->ff + q * dt * dt / 2;
        s->ff += q * dt;
        s->ob += dt * s->fb;
    }
}

static double seen_variance(const struct filter_state *state, const struct filter_box *box, unsigned delay)
{
    double softness = delays[delay].softness * box->mean_excess;

    /* Rounding may take a little too much away from what is known of the sum. */
    return fmax(state->oo + 2 * state->ob + state->bb, 0) + box->noise * box->noise + softness * softness;
}

double filter_distance(const struct filter *filter, const struct filter_box *box)
{
    double least = INFINITY;

    for (unsigned i = 0; i < FILTER_MEMBERS; i++) {
        const struct filter_state *state = &filter->member[i];
        double beyond = fabs(state->offset + state->bias - box->middle) - (box->width + box->doubt) / 2;

        least = fmin(least, fmax(beyond, 0) / sqrt(seen_variance(state, box, i % FILTER_DELAYS)));
    }
    return least;
}

/* Moves state by a measurement whose posterior is m; `believed`: the chance that it is one. */
static void move_state(struct filter_state *s, double variance, const struct moments *m, double believed)
{
    double to_offset = (s->oo + s->ob) / variance, to_rate = (s->of + s->fb) / variance,
           to_bias = (s->ob + s->bb) / variance;
    double innovation = m->mean - (s->offset + s->bias);
    double shrink = believed * (variance - m->variance) - believed * (1 - believed) * innovation * innovation;

    s->offset += believed * innovation * to_offset;
    s->rate += believed * innovation * to_rate;
    s->bias += believed * innovation * to_bias;
    s->oo -= shrink * to_offset * to_offset;
    s->of -= shrink * to_offset * to_rate;
    s->ob -= shrink * to_offset * to_bias;
    s->ff -= shrink * to_rate * to_rate;
    s->fb -= shrink * to_rate * to_bias;
    s->bb -= shrink * to_bias * to_bias;
}

/* What the stamp says if the delays are of this nature. */
static struct moments measure(const struct filter_state *state, double variance, const struct filter_box *box,
                              const struct delays *nature)
{
    double queued = fmax(box->width - nature->noise_excess * box->mean_excess, 0), width = queued + box->doubt;
    /* The queues are tilted, the doubt is not. An excess far above the mean comes from something else. */
    double scale = fmax(box->mean_excess, box->width / TILT_EXCESS_MAX);
    double tilt = (1 / nature->share - 1 / (1 - nature->share)) / scale * queued / width;

    return moments_in_box(state->offset + state->bias, variance, box->middle - width / 2, box->middle + width / 2,
                          tilt);
}

double filter_update(struct filter *filter, const struct filter_box *box)
{
    double log_likelihood[FILTER_MEMBERS], unbelieved[FILTER_MEMBERS];
    double outlier = 0, largest = -INFINITY, sum = 0, scale = box->width + box->doubt + box->mean_excess;

    interact(filter);
    for (unsigned i = 0; i < FILTER_MEMBERS; i++) {
        struct filter_state *state = &filter->member[i];
        double variance = seen_variance(state, box, i % FILTER_DELAYS);
        struct moments m = measure(state, variance, box, &delays[i % FILTER_DELAYS]);
        double log_outlier = log(OUTLIER_CHANCE) - log(scale + 2 * sqrt(variance));
        /* So far out in the tail that it cannot be computed: an outlier. */
        bool computed = isfinite(m.log_likelihood) && isfinite(m.mean) && isfinite(m.variance);
        double believed = computed ? 1 / (1 + exp(log_outlier - m.log_likelihood)) : 0;

        if (believed > 0)
            move_state(state, variance, &m, believed);
        log_likelihood[i] = believed > 0.5 ? m.log_likelihood - log(believed) : log_outlier - log1p(-believed);
        largest = fmax(largest, log_likelihood[i]);
        unbelieved[i] = 1 - believed;
    }
    for (unsigned i = 0; i < FILTER_MEMBERS; i++) {
        filter->weight[i] = filter->weight[i] * exp(log_likelihood[i] - largest);
        sum += filter->weight[i];
    }
    for (unsigned i = 0; i < FILTER_MEMBERS; i++) {
        filter->weight[i] /= sum;
        outlier += filter->weight[i] * unbelieved[i];
    }
    return outlier;
}

void filter_shift_offset(struct filter *filter, double by)
{
    for (unsigned i = 0; i < FILTER_MEMBERS; i++)
        filter->member[i].offset += by;
}

void filter_forget_offset(struct filter *filter, double offset, double sigma, double rate_sigma)
{
    for (unsigned i = 0; i < FILTER_MEMBERS; i++) {
        struct filter_state *s = &filter->member[i];

        s->offset = offset;
        s->oo = sigma * sigma;
        s->of = s->ob = 0;
        s->ff += rate_sigma * rate_sigma;
    }
}

void filter_set_bias(struct filter *filter, double bias, double variance)
{
    for (unsigned i = 0; i < FILTER_MEMBERS; i++) {
        struct filter_state *s = &filter->member[i];

        s->bias = bias;
        s->ob = s->fb = 0;
        s->bb = variance;
    }
}

void filter_doubt_bias(struct filter *filter, double variance)
{
    for (unsigned i = 0; i < FILTER_MEMBERS; i++)
        filter->member[i].bb += variance;
}

void filter_relax_bias(struct filter *filter, double share)
{
    for (unsigned i = 0; i < FILTER_MEMBERS; i++) {
        double by = filter->member[i].bias * share;

        filter->member[i].bias -= by;
        filter->member[i].offset += by;
    }
}
