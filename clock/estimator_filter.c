/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/estimator_filter.h"

#include <math.h>
#include <string.h>

#include "clock/estimator_moments.h"

/* Hypotheses. Wander: random walk of the rate, ns/s per root second, in steps of a factor of sqrt(10). Tilt: the mean
 * queue on the way out as a share of the sum of both. */
static const double wanders[FILTER_WANDERS] = {0.01, 0.0316, 0.1, 0.316, 1, 3.16, 10, 31.6, 100};
static const double out_shares[FILTER_TILTS] = {0.08, 0.25, 0.5, 0.75, 0.92};
static const double wander_prior[FILTER_WANDERS] = {0.15, 0.15, 0.15, 0.15, 0.15, 0.15, 0.08, 0.018, 0.002};
static const double tilt_prior[FILTER_TILTS] = {0.1, 0.15, 0.5, 0.15, 0.1};

/* Chances, at each stamp, that the truth has moved to a neighbouring hypothesis, or to any; that of another wander is
 * less where stamps come in quick succession. */
#define MOVE_WANDER  0.0003
#define MOVE_TILT    0.001
#define MOVE_SECONDS 16
#define MOVE_ANY     2e-6

/* Queues are no exact exponentials and the baseline is no exact minimum: the box's edges are softened by this share of
 * the mean excess, and those of the tilted hypotheses, which rest on one edge, by more. */
#define SOFTNESS        0.01
#define SOFTNESS_TILTED 0.065

#define TILT_EXCESS_MAX 4 /* times the mean */

/* An outlier says nothing; its chance, and how thinly it is spread against the stamp's own scale. */
#define OUTLIER_CHANCE 1e-4

#define BOUND_STEPS      12
#define BOUND_LOG_ENOUGH 0.005
#define BOUND_SIGMAS_MAX 5

static unsigned member_at(unsigned wander, unsigned tilt)
{
    return wander * FILTER_TILTS + tilt;
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
        for (unsigned t = 0; t < FILTER_TILTS; t++)
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
        for (unsigned t = 0; t < FILTER_TILTS; t++) {
            double out = out_shares[t] * out_shares[t], back = (1 - out_shares[t]) * (1 - out_shares[t]);

            slope += filter->weight[member_at(w, t)] * (back - out) / (back + out) / 2;
        }
    return slope;
}

void filter_init(struct filter *filter, double offset_sigma, double rate, double rate_sigma)
{
    const struct filter_state start = {.rate = rate, .oo = offset_sigma * offset_sigma, .ff = rate_sigma * rate_sigma};

    filter->since_update = 0;
    for (unsigned w = 0; w < FILTER_WANDERS; w++)
        for (unsigned t = 0; t < FILTER_TILTS; t++) {
            filter->weight[member_at(w, t)] = wander_prior[w] * tilt_prior[t];
            filter->member[member_at(w, t)] = start;
        }
}

/* What flows into hypothesis (w, t) from its neighbours and from all. Sources of a target: itself and up to five. */
struct source {
    const struct filter_state *state;
    double weight;
};

static unsigned sources_of(const struct filter *filter, const struct filter_state *all, unsigned w, unsigned t,
                           struct source sources[6])
{
    const unsigned neighbours[4] = {member_at(w - 1, t), member_at(w + 1, t), member_at(w, t - 1), member_at(w, t + 1)};
    const bool there[4] = {w > 0, w + 1 < FILTER_WANDERS, t > 0, t + 1 < FILTER_TILTS};
    const unsigned self = member_at(w, t);
    double leaving = MOVE_ANY, move_wander = MOVE_WANDER * fmin(1, filter->since_update / MOVE_SECONDS);
    unsigned count = 0;

    for (unsigned i = 0; i < 4; i++) {
        double chance = i < 2 ? move_wander : MOVE_TILT;

        if (!there[i])
            continue;
        leaving += chance;
        sources[count++] = (struct source){&filter->member[neighbours[i]], chance * filter->weight[neighbours[i]]};
    }
    sources[count++] = (struct source){all, MOVE_ANY / FILTER_MEMBERS};
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
        for (unsigned t = 0; t < FILTER_TILTS; t++) {
            struct source sources[6];
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
        double q = wanders[i / FILTER_TILTS] * wanders[i / FILTER_TILTS];

        s->offset += dt * (s->rate - reference_rate);
        s->oo += dt * (2 * s->of + dt * s->ff) + q * dt * dt * dt / 3;
        s->of += dt * s->ff + q * dt * dt / 2;
        s->ff += q * dt;
        s->ob += dt * s->fb;
    }
}

static double seen_variance(const struct filter_state *state, const struct filter_box *box, unsigned tilt)
{
    double softness = (SOFTNESS + SOFTNESS_TILTED * fabs(1 - 2 * out_shares[tilt])) * box->mean_excess;

    return state->oo + 2 * state->ob + state->bb + box->noise * box->noise + softness * softness;
}

double filter_distance(const struct filter *filter, const struct filter_box *box)
{
    double least = INFINITY;

    for (unsigned i = 0; i < FILTER_MEMBERS; i++) {
        const struct filter_state *state = &filter->member[i];
        double beyond = fabs(state->offset + state->bias - box->middle) - (box->width + box->doubt) / 2;

        least = fmin(least, fmax(beyond, 0) / sqrt(seen_variance(state, box, i % FILTER_TILTS)));
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

double filter_update(struct filter *filter, const struct filter_box *box)
{
    double log_likelihood[FILTER_MEMBERS], unbelieved[FILTER_MEMBERS];
    double outlier = 0, largest = -INFINITY, sum = 0, width = box->width + box->doubt;

    interact(filter);
    for (unsigned i = 0; i < FILTER_MEMBERS; i++) {
        struct filter_state *state = &filter->member[i];
        double share = out_shares[i % FILTER_TILTS];
        /* The queues are tilted, the doubt is not. An excess far above the mean comes from something else. */
        double scale = fmax(box->mean_excess, box->width / TILT_EXCESS_MAX);
        double tilt = (1 / share - 1 / (1 - share)) / scale * box->width / width;
        double variance = seen_variance(state, box, i % FILTER_TILTS);
        struct moments m = moments_in_box(state->offset + state->bias, variance, box->middle - width / 2,
                                          box->middle + width / 2, tilt);
        double log_outlier = log(OUTLIER_CHANCE) - log(width + box->mean_excess + 2 * sqrt(variance));
        double believed = 1 / (1 + exp(log_outlier - m.log_likelihood));

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
