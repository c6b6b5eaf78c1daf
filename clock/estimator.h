/* SPDX-License-Identifier: BSD-2-Clause */
/* Rate and offset of the counter against one server, from stamped exchanges. Pure: no input or output, no time but what
 * it is given; one thread. The structure is RADclock's (Veitch, Ridoux, Korada, IEEE/ACM ToN 17(2), 2009): an
 * uncorrected clock, a difference clock, a round-trip baseline with level shifts; offset and rate come from a two-state
 * Kalman filter with adaptive process noise. */
#ifndef LOCKSTEP_CLOCK_ESTIMATOR_H
#define LOCKSTEP_CLOCK_ESTIMATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "clock/exchange.h"

struct estimator;

struct estimator_config {
    double nominal_hz;    /* of the counter; the true rate is within 500 ppm */
    double asymmetry_ns;  /* known: (delay to the server) - (delay from it); 0 if unknown */
    double s0_ns;         /* noise of a stamp without queueing; 0: the default */
    double rate_hint_ppb; /* known before: deviation of a tick from 1 / nominal_hz; NAN: none */
    double rate_hint_sigma_ppb;
    double baseline_hint_ns; /* saved round-trip baseline; 0: none */
};

enum estimator_verdict {
    ESTIMATOR_ACCEPTED,
    ESTIMATOR_HELD_BACK, /* outlier; may be believed later */
    ESTIMATOR_RESTARTED, /* earlier outliers are believed: the line was set anew (a step, or a new rate) */
    ESTIMATOR_REFUSED,   /* impossible: not after the previous one, Tf < Ta, Te < Tb, round trip <= 0 or > 10 s */
};

/* The line through (counter, time): time(T) = time_ns + fraction + (T - counter) * period_ns. */
struct estimate {
    bool valid; /* at least one exchange */
    uint64_t counter;
    int64_t time_ns;             /* TAI */
    double fraction;             /* of a nanosecond, 0 to 1 */
    double period_ns;            /* absolute clock: local rate, ns a tick */
    double difference_period_ns; /* difference clock: long-term rate */
    double sigma_ns;             /* standard deviation of the offset at `counter` */
    double rate_sigma_ppb;       /* of the local rate */
    double wander_ppb;           /* what the rate may do: the bound grows by this, too, times sqrt(t / 1000 s) */
    double bound_ns;             /* to the server at `counter`: k sigma and the doubt about the path; not RTT/2 */
    double bound_growth_ppb;     /* t seconds on it is at most bound + t (growth + wander sqrt(t / 1000)) */
    double baseline_ns;          /* round-trip minimum in force */
    double noise_ns;             /* recent rms of the accepted residuals */
    double asymmetry;            /* slope in force, -0.5 to 0.5 */
};

struct estimator_counts {
    uint64_t accepted, held_back, refused, restarts, shifts_up, shifts_down;
};

/* NULL: no memory. */
struct estimator *estimator_create(const struct estimator_config *config);
void estimator_destroy(struct estimator *estimator);

enum estimator_verdict estimator_add(struct estimator *estimator, const struct exchange *exchange);
/* The line at any counter value not before the last exchange; bounds grown accordingly. */
void estimator_get(const struct estimator *estimator, uint64_t counter, struct estimate *out);
struct estimator_counts estimator_get_counts(const struct estimator *estimator);

/* Residual of the last exchange (ns, server - clock, before it was used) and its round trip above the baseline. */
void estimator_last(const struct estimator *estimator, double *residual_ns, double *excess_ns, double *round_trip_ns);

/* The counter stopped or jumped (suspend, VM pause): keeps rate and baseline, forgets the offset. */
void estimator_disrupt(struct estimator *estimator);
/* A path that looks different (stratum, refid or TTL changed): the next shifts are believed sooner. */
void estimator_suspect_path(struct estimator *estimator);

#endif
