/* SPDX-License-Identifier: BSD-2-Clause */
/* The smallest round trip of the path in use: a minimum over a window that slides by halves, level shifts, and a memory
 * of earlier paths. Pure; a plain value. Units: ns, s. */
#ifndef LOCKSTEP_CLOCK_ESTIMATOR_BASELINE_H
#define LOCKSTEP_CLOCK_ESTIMATOR_BASELINE_H

#include <stdbool.h>

#define BASELINE_PATHS   4
#define BASELINE_RUN_MAX 64 /* stamps above the baseline that a caller may have to judge anew */

/* A path that was in use, and what its asymmetry was found to be against the lowest one. */
struct baseline_path {
    double low; /* smallest round trip ever; 0: none */
    double bias, bias_variance;
    double last_used;
};

struct baseline {
    bool any;
    double now;                    /* in force */
    double mean_excess;            /* of round trips above it, robust */
    unsigned long stamps, ever;    /* since the beginning of the path in use; since that of all */
    double half_low, previous_low; /* minima of the present half of the window and of the one before */
    unsigned half_stamps;
    double half_since;
    unsigned run; /* successive stamps above the threshold */
    double run_low, run_sum, run_since;
    bool suspect;
    unsigned path; /* in use */
    struct baseline_path paths[BASELINE_PATHS];
};

enum baseline_event {
    BASELINE_SAME,
    BASELINE_RUN,  /* a run above the threshold begins with this stamp */
    BASELINE_UP,   /* the run is long enough: another path with a longer round trip, since the run began */
    BASELINE_DOWN, /* another path with a shorter round trip, from this stamp on */
};

/* floor: noise of a stamp; hint: a baseline from a saved state, 0: none. */
void baseline_init(struct baseline *baseline, double hint, double floor);
enum baseline_event baseline_add(struct baseline *baseline, double round_trip, double time, double floor);
/* How much the minimum may still be above the true one: as long as the path is new, and little is known of its queues.
 */
double baseline_doubt(const struct baseline *baseline);
/* True if the path in use has the shortest round trip of those remembered. */
bool baseline_is_lowest(const struct baseline *baseline);

/* Called at an event UP or DOWN, with the bias that was found for the path that is left. Changes the path in use; true
 * if the new one is known from before: then *path is what is remembered of it. */
bool baseline_change_path(struct baseline *baseline, double bias, double bias_variance, double time, double floor,
                          struct baseline_path *path);

#endif
