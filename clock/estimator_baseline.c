/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/estimator_baseline.h"

#include <math.h>
#include <string.h>

#define HALF_STAMPS        512u  /* the window slides after so many, */
#define HALF_STAMPS_MIN    64u   /* or after fewer, */
#define HALF_SECONDS       43200 /* if these have passed */
#define EXCESS_MEMORY      64    /* stamps that mean_excess looks back */
#define EXCESS_PRIOR       8     /* part of the round trip that mean_excess is taken for at first, */
#define EXCESS_STAMPS      4     /* with the weight of so many stamps */
#define EXCESS_WILD        4     /* times the mean: counts as no more; */
#define EXCESS_WILD_FIRST  16    /* while the mean is young */
#define RUN_FACTOR         3     /* times mean_excess: what is above may be another path */
#define RUN_STAMPS         8
#define RUN_CERTAINTY      14 /* nepers */
#define RUN_SECONDS        10
#define RUN_STAMPS_SUSPECT 3

static double threshold(const struct baseline *baseline, double floor)
{
    return RUN_FACTOR * baseline->mean_excess + 4 * floor;
}

/* Minima that differ by less belong to one path. */
static double tolerance(const struct baseline *baseline, double floor)
{
    return 0.75 * baseline->mean_excess + 2 * floor;
}

static void restart_window(struct baseline *baseline, double low, double time)
{
    baseline->now = baseline->half_low = baseline->previous_low = low;
    baseline->half_stamps = 0;
    baseline->half_since = time;
    baseline->stamps = baseline->run > 0 ? baseline->run : 1;
}

void baseline_init(struct baseline *baseline, double hint, double floor)
{
    memset(baseline, 0, sizeof *baseline);
    baseline->mean_excess = 2 * floor;
    if (hint > 0) {
        baseline->any = true;
        restart_window(baseline, hint, 0);
        baseline->paths[0].low = hint;
        baseline->mean_excess = fmax(baseline->mean_excess, hint / EXCESS_PRIOR);
    }
}

static void slide(struct baseline *baseline, double round_trip, double time)
{
    baseline->half_low = fmin(baseline->half_low, round_trip);
    baseline->half_stamps++;
    if (baseline->half_stamps >= HALF_STAMPS ||
        (baseline->half_stamps >= HALF_STAMPS_MIN && time - baseline->half_since > HALF_SECONDS)) {
        baseline->previous_low = baseline->half_low;
        baseline->half_low = INFINITY;
        baseline->half_stamps = 0;
        baseline->half_since = time;
    }
    baseline->now = fmin(baseline->previous_low, baseline->half_low);
}

/* The mean follows quickly at first, then slowly; a wild value counts as a few times the mean. */
static void follow_excess(struct baseline *baseline, double excess, double floor)
{
    double memory = fmin((double)baseline->ever + EXCESS_STAMPS, EXCESS_MEMORY);

    excess = fmin(excess, (baseline->ever < EXCESS_MEMORY ? EXCESS_WILD_FIRST : EXCESS_WILD) * baseline->mean_excess +
                              4 * floor);
    baseline->mean_excess = fmax(floor, baseline->mean_excess + (excess - baseline->mean_excess) / memory);
}

/* A load makes queues whose round trips spread from the baseline on: that n of them all begin as far above it as they
 * do has the chance (1 + raised / spread)^(1 - n) for exponential ones. Another path's begin well above. */
static bool run_is_a_path(const struct baseline *baseline, double time, double floor)
{
    double spread = baseline->run_sum / baseline->run - baseline->run_low + floor;
    double certainty = (baseline->run - 1) * log1p((baseline->run_low - baseline->now) / spread);

    if (baseline->suspect)
        return baseline->run >= RUN_STAMPS_SUSPECT && certainty > RUN_CERTAINTY / 2;
    return baseline->run >= RUN_STAMPS && time - baseline->run_since >= RUN_SECONDS && certainty > RUN_CERTAINTY;
}

/* What a run that was none says of the queues. */
static void learn_from_run(struct baseline *baseline, double floor)
{
    double excess = baseline->run_sum / baseline->run - baseline->now;

    for (unsigned i = 0; i < baseline->run && i < EXCESS_MEMORY; i++)
        follow_excess(baseline, excess, floor);
    baseline->run = 0;
}

static enum baseline_event follow_run(struct baseline *baseline, double round_trip, double time, double floor)
{
    if (round_trip - baseline->now <= threshold(baseline, floor)) {
        if (baseline->run > 0)
            learn_from_run(baseline, floor);
        return BASELINE_SAME;
    }
    if (baseline->run++ == 0) {
        baseline->run_low = baseline->run_sum = round_trip;
        baseline->run_since = time;
        return BASELINE_RUN;
    }
    baseline->run_low = fmin(baseline->run_low, round_trip);
    baseline->run_sum += round_trip;
    return baseline->ever > EXCESS_STAMPS + RUN_STAMPS && run_is_a_path(baseline, time, floor) ? BASELINE_UP
                                                                                               : BASELINE_SAME;
}

enum baseline_event baseline_add(struct baseline *baseline, double round_trip, double time, double floor)
{
    struct baseline_path *path = &baseline->paths[baseline->path];
    enum baseline_event event;

    baseline->ever++;
    if (!baseline->any) {
        baseline->any = true;
        restart_window(baseline, round_trip, time);
        path->low = round_trip;
        baseline->mean_excess = fmax(baseline->mean_excess, round_trip / EXCESS_PRIOR);
        return BASELINE_SAME;
    }
    if (baseline->now - round_trip > tolerance(baseline, floor) + floor && baseline->stamps > RUN_STAMPS) {
        baseline->run = 0;
        baseline->run_low = round_trip;
        return BASELINE_DOWN;
    }
    baseline->stamps++;
    event = follow_run(baseline, round_trip, time, floor);
    if (event == BASELINE_UP)
        return event;
    slide(baseline, round_trip, time);
    path->low = fmin(path->low, baseline->now);
    if (baseline->run == 0 || baseline->ever < EXCESS_MEMORY)
        follow_excess(baseline, round_trip - baseline->now, floor);
    if (baseline->now - path->low > tolerance(baseline, floor)) {
        baseline->run_low = baseline->now;
        return BASELINE_UP;
    }
    return event;
}

double baseline_doubt(const struct baseline *baseline)
{
    double stamps = fmin((double)baseline->stamps, HALF_STAMPS), ever = (double)baseline->ever;

    /* The mean minimum of that many sums of two exponentials; at first, what one of them may be. */
    return baseline->mean_excess * (0.6 / sqrt(stamps) * (1 + 24 / ever) + 3 / (stamps * stamps)) +
           baseline->now / 2 / (ever * sqrt(ever));
}

bool baseline_is_lowest(const struct baseline *baseline)
{
    for (unsigned i = 0; i < BASELINE_PATHS; i++)
        if (baseline->paths[i].low > 0 && baseline->paths[i].low < baseline->paths[baseline->path].low)
            return false;
    return true;
}

/* The remembered path that round trips from `low` on may belong to, the nearest; or the one unused for longest. A
 * single stamp (that came down) has an excess of its own. */
static unsigned find_path(const struct baseline *baseline, double low, double floor, bool *known)
{
    double above = (baseline->run > 0 ? 1 : RUN_FACTOR) * tolerance(baseline, floor), nearest = INFINITY;
    unsigned best = (baseline->path + 1) % BASELINE_PATHS;

    *known = false;
    for (unsigned i = 0; i < BASELINE_PATHS; i++) {
        const struct baseline_path *path = &baseline->paths[i];

        if (i == baseline->path)
            continue;
        if (path->low > 0 && low - path->low <= above && path->low - low <= tolerance(baseline, floor) &&
            fabs(low - path->low) < nearest) {
            nearest = fabs(low - path->low);
            best = i;
            *known = true;
        } else if (!*known && path->last_used < baseline->paths[best].last_used) {
            best = i;
        }
    }
    return best;
}

bool baseline_change_path(struct baseline *baseline, double bias, double bias_variance, double time, double floor,
                          struct baseline_path *path)
{
    struct baseline_path *left = &baseline->paths[baseline->path], *entered;
    bool known;

    left->bias = bias;
    left->bias_variance = bias_variance;
    left->last_used = time;
    baseline->path = find_path(baseline, baseline->run_low, floor, &known);
    entered = &baseline->paths[baseline->path];
    *path = *entered;
    if (!known)
        *entered = (struct baseline_path){.low = baseline->run_low};
    restart_window(baseline, baseline->run_low, time);
    if (known) {
        baseline->now = baseline->half_low = baseline->previous_low = fmin(entered->low, baseline->run_low);
        baseline->stamps = HALF_STAMPS;
    }
    baseline->run = 0;
    baseline->suspect = false;
    return known;
}
