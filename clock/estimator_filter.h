/* SPDX-License-Identifier: BSD-2-Clause */
/* Offset and rate of a clock from boxes that its offset lies in: a bank of Kalman filters over hypotheses about the
 * oscillator's wander and the delays' nature, mixed by their likelihood (interacting multiple models; Blom and
 * Bar-Shalom, IEEE TAC 33(8), 1988). Pure; a plain value, copied to keep a state. Units: ns, ns/s (ppb), s.
 *
 * All offsets are against a reference line, which the caller moves. The third state is the bias of the present path:
 * what is seen is offset + bias. */
#ifndef LOCKSTEP_CLOCK_ESTIMATOR_FILTER_H
#define LOCKSTEP_CLOCK_ESTIMATOR_FILTER_H

#include <stdbool.h>

#define FILTER_WANDERS 9
#define FILTER_DELAYS  8
#define FILTER_MEMBERS (FILTER_WANDERS * FILTER_DELAYS)

struct filter_state {
    double offset, rate, bias;
    double oo, of, ob, ff, fb, bb; /* covariance */
};

struct filter {
    double since_update; /* seconds */
    double weight[FILTER_MEMBERS];
    struct filter_state member[FILTER_MEMBERS];
};

/* One stamp: offset + bias, with normal noise of `noise`, lies in a box of this width around `middle`. */
struct filter_box {
    double middle, width; /* width: the excess of the round trip */
    double doubt;         /* about the baseline; makes the box wider still */
    double noise;
    double mean_excess; /* of the round trips: the scale of the queues */
};

void filter_init(struct filter *filter, double offset_sigma, double rate, double rate_sigma);

/* Forward by dt seconds; reference_rate: of the reference line, which moved along. */
void filter_advance(struct filter *filter, double dt, double reference_rate);
/* How many standard deviations the box's edge is from what is expected, for the most tolerant hypothesis: 0 inside. */
double filter_distance(const struct filter *filter, const struct filter_box *box);
/* Returns the probability that the stamp was an outlier. */
double filter_update(struct filter *filter, const struct filter_box *box);

/* Mean and covariance over the bank. */
void filter_mix(const struct filter *filter, struct filter_state *out);
/* Expected wander (ns/s per root second) and slope (-0.5 to 0.5: how much of the excess is the reply's). */
double filter_wander(const struct filter *filter);
double filter_slope(const struct filter *filter);

/* How far the offset may be from the reference line, t seconds on, but for this chance: over all hypotheses, so that an
 * unlikely wilder oscillator still counts. */
double filter_bound(const struct filter *filter, double t, double reference_rate, double chance);

void filter_shift_offset(struct filter *filter, double by);
/* The offset is known to sigma only; the rate to at most rate_sigma better than now. */
void filter_forget_offset(struct filter *filter, double offset, double sigma, double rate_sigma);
/* Another path: its bias is known from before, or by `variance` worse than that of the present one. */
void filter_set_bias(struct filter *filter, double bias, double variance);
void filter_doubt_bias(struct filter *filter, double variance);
/* Moves the clock by this share of the bias towards what is seen. */
void filter_relax_bias(struct filter *filter, double share);

#endif
