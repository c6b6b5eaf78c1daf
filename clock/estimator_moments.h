/* SPDX-License-Identifier: BSD-2-Clause */
/* The measurement of one stamp. With a round trip of `excess` above the baseline, queueing of u on the way out and
 * excess - u on the way back, the server's time lies anywhere in a box of that width around the midpoint; with
 * exponential queues of unlike means the density in the box is tilted: proportional to exp(tilt y). Pure. */
#ifndef LOCKSTEP_CLOCK_ESTIMATOR_MOMENTS_H
#define LOCKSTEP_CLOCK_ESTIMATOR_MOMENTS_H

struct moments {
    double log_likelihood; /* of the box under the prior, as a density */
    double mean, variance; /* posterior of y */
};

/* Normal prior of y, measured by a box [low, high] (low < high). Exact up to rounding, for any distance between the
 * two. Source: moments of the doubly truncated normal distribution. */
struct moments moments_in_box(double mean, double variance, double low, double high, double tilt);

#endif
