/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/steering.h"

#include <math.h>
#include <string.h>

#define NS_PER_S     1e9
/* Corrections are slewed no faster than needed: between an update's counter reading and its publication a reader may
 * see the old line, so a small change of slope keeps readers monotonic even if the daemon is interrupted just there. */
#define GENTLE_PPM   1.0
/* The published growth covers readers for so long if the daemon dies. */
#define UNATTENDED_S 1000.0
/* A worse line is followed after this time, even if the one at hand still has the smaller bound. */
#define WAIT_MAX_NS  60e9

static double ticks(uint64_t from, uint64_t to)
{
    return (double)(int64_t)(to - from);
}

static void advance(int64_t *time_ns, double *fraction, double by_ns)
{
    double sum = *fraction + by_ns, whole = floor(sum);

    *time_ns += (int64_t)whole;
    *fraction = sum - whole;
}

double steering_line_offset(const struct steering_line *line, uint64_t counter, int64_t time_ns, double fraction)
{
    return (double)(line->time_ns - time_ns) + (line->fraction - fraction) +
           ticks(line->counter, counter) * line->period_ns;
}

void steering_init(struct steering *steering, const struct steering_config *config)
{
    memset(steering, 0, sizeof *steering);
    steering->config = *config;
    steering->values.status = LOCKSTEP_CLOCK_UNSYNCHRONISED;
    steering->values.period_ns = steering->values.slew_period_ns = steering->values.difference_period_ns =
        config->nominal_period_ns;
    steering->values.utc_distance_ns = INT64_MAX;
}

bool steering_time(const struct steering *steering, uint64_t counter, int64_t *time_ns, double *fraction)
{
    const struct clock_values *values = &steering->values;
    double slewed = ticks(values->counter, counter), straight = ticks(values->counter_switch, counter);

    *time_ns = values->time_ns;
    *fraction = values->fraction;
    if (straight > 0)
        slewed = ticks(values->counter, values->counter_switch);
    advance(time_ns, fraction, slewed * values->slew_period_ns + (straight > 0 ? straight * values->period_ns : 0));
    return steering->has_line;
}

double steering_remaining(const struct steering *steering, uint64_t counter)
{
    double left = ticks(counter, steering->values.counter_switch);

    return left > 0 ? left * (steering->values.slew_period_ns - steering->values.period_ns) : 0;
}

/* ---- bounds ---- */

static double growth(const struct steering *steering)
{
    return fmax(fmax(steering->base.growth_ppb, steering->config.drift_ppb), 0);
}

static double held_bound(const struct steering *steering, uint64_t counter)
{
    double age_s = fmax(ticks(steering->base.counter, counter) * steering->base.period_ns / NS_PER_S, 0);

    return steering->base.bound_ns + age_s * (growth(steering) + steering->base.wander_ppb * sqrt(age_s / 1000));
}

/* Seconds until a bound of now reaches the limit: the root of bound + g t + w t sqrt(t / 1000) - limit, which is
 * convex, so that Newton's steps from the right side of it converge. */
static double seconds_left(const struct steering *steering, double bound_ns, double growth_ppb, double wander_ppb)
{
    double room = steering->config.holdover_limit_ns - bound_ns, left;

    if (room <= 0)
        return 0;
    left = room / fmax(growth_ppb, 1e-3);
    for (int i = 0; i < 12; i++) {
        double root = sqrt(left / 1000);
        double excess = left * (growth_ppb + wander_ppb * root) - room;

        left -= excess / fmax(growth_ppb + 1.5 * wander_ppb * root, 1e-3);
    }
    return fmin(left, 1e8);
}

/* Bound, its growth, and the end of it. */
static void set_bound(struct steering *steering, uint64_t counter, double bound_ns, double growth_ppb)
{
    struct clock_values *values = &steering->values;
    double wander_ppb = fmax(steering->base.wander_ppb, 0);
    double left_s = seconds_left(steering, bound_ns, growth_ppb, wander_ppb);

    values->bound_ns = (int64_t)ceil(fmin(bound_ns, 9e18));
    values->bound_growth_ppb =
        (uint32_t)ceil(fmin(growth_ppb + wander_ppb * sqrt(fmin(left_s, UNATTENDED_S) / 1000), UINT32_MAX));
    values->void_after = counter + (uint64_t)(left_s * NS_PER_S / steering->base.period_ns);
}

/* ---- the line ---- */

/* The published line from `counter` on: from where it is to the base line. */
static void set_pieces(struct steering *steering, uint64_t counter, int64_t time_ns, double fraction)
{
    const struct steering_line *base = &steering->base;
    struct clock_values *values = &steering->values;
    double correction = steering_line_offset(base, counter, time_ns, fraction), duration_ns, ticks_needed;

    values->counter = values->counter_switch = counter;
    values->time_ns = time_ns;
    values->fraction = fraction;
    values->period_ns = values->slew_period_ns = base->period_ns;
    values->difference_period_ns = base->difference_period_ns;
    duration_ns = fmin(fabs(correction) / (GENTLE_PPM * 1e-6), base->slew_within_ns);
    duration_ns = fmax(duration_ns, fabs(correction) / (steering->config.slew_ppm * 1e-6));
    ticks_needed = ceil(duration_ns / base->period_ns);
    if (ticks_needed < 1)
        return;
    values->counter_switch = counter + (uint64_t)ticks_needed;
    values->slew_period_ns = base->period_ns + correction / ticks_needed;
}

static void step_to_base(struct steering *steering, uint64_t counter)
{
    struct steering_line *base = &steering->base;
    int64_t time_ns = base->time_ns;
    double fraction = base->fraction;

    advance(&time_ns, &fraction, ticks(base->counter, counter) * base->period_ns);
    set_pieces(steering, counter, time_ns, fraction);
    steering->values.counter_switch = counter;
    steering->values.slew_period_ns = base->period_ns;
}

static void no_time(struct steering *steering, uint64_t counter, enum lockstep_clock_status status)
{
    steering->values.status = status;
    steering->values.counter = steering->values.counter_switch = steering->values.void_after = counter;
    steering->values.slew_period_ns = steering->values.period_ns;
    steering->has_line = steering->holding = false;
}

static enum steering_result take_first(struct steering *steering, const struct steering_line *line)
{
    /* The time was void: readers that compare with what they read before must know if it has moved meanwhile. */
    if (steering->was_void && fabs(steering_line_offset(&steering->base, line->counter, line->time_ns,
                                                        line->fraction)) > steering->config.step_limit_ns)
        steering->values.disruptions++;
    steering->was_void = false;
    steering->has_line = true;
    steering->base = *line;
    step_to_base(steering, line->counter);
    return STEERING_FIRST;
}

/* In holdover, a line that knows less than the one at hand and agrees with it can wait. */
static bool can_wait(struct steering *steering, const struct steering_line *line, double correction)
{
    double held = held_bound(steering, line->counter) + fabs(steering_remaining(steering, line->counter));

    if (!steering->holding || line->bound_ns <= held || fabs(correction) > held + line->bound_ns) {
        steering->wait_since = 0;
        return false;
    }
    if (steering->wait_since == 0)
        steering->wait_since = line->counter;
    return ticks(steering->wait_since, line->counter) * line->period_ns < WAIT_MAX_NS;
}

enum steering_result steering_follow(struct steering *steering, const struct steering_line *line)
{
    enum steering_result result = STEERING_FOLLOWED;
    double fraction, correction = 0;
    int64_t time_ns;

    if (!steering_time(steering, line->counter, &time_ns, &fraction)) {
        result = take_first(steering, line);
    } else {
        correction = steering_line_offset(line, line->counter, time_ns, fraction);
        if (can_wait(steering, line, correction) && steering_hold(steering, line->counter))
            return STEERING_HELD;
        steering->base = *line;
        if (fabs(correction) > steering->config.step_limit_ns) {
            steering->values.disruptions++;
            step_to_base(steering, line->counter);
            result = STEERING_STEPPED;
            correction = 0;
        } else {
            set_pieces(steering, line->counter, time_ns, fraction);
        }
    }
    steering->holding = false;
    steering->wait_since = 0;
    steering->values.status = LOCKSTEP_CLOCK_SYNCHRONISED;
    set_bound(steering, line->counter, line->bound_ns + fabs(correction), growth(steering));
    return result;
}

bool steering_hold(struct steering *steering, uint64_t counter)
{
    double fraction, bound_ns, age_s;
    int64_t time_ns;

    if (!steering_time(steering, counter, &time_ns, &fraction)) {
        if (steering->values.status != LOCKSTEP_CLOCK_DISRUPTED)
            no_time(steering, counter, LOCKSTEP_CLOCK_UNSYNCHRONISED);
        return false;
    }
    bound_ns = held_bound(steering, counter) + fabs(steering_remaining(steering, counter));
    if (bound_ns >= steering->config.holdover_limit_ns) {
        steering->was_void = true;
        no_time(steering, counter, LOCKSTEP_CLOCK_UNSYNCHRONISED);
        return false;
    }
    steering->holding = true;
    steering->values.status = LOCKSTEP_CLOCK_HOLDOVER;
    set_pieces(steering, counter, time_ns, fraction);
    age_s = fmax(ticks(steering->base.counter, counter) * steering->base.period_ns / NS_PER_S, 0);
    set_bound(steering, counter, bound_ns, growth(steering) + 1.5 * steering->base.wander_ppb * sqrt(age_s / 1000));
    return true;
}

void steering_be_reference(struct steering *steering, uint64_t counter, const struct steering_line *first)
{
    double fraction;
    int64_t time_ns;

    if (!steering_time(steering, counter, &time_ns, &fraction)) {
        if (!steering->was_void)
            steering->base = *first;
        steering->has_line = true;
        steering->was_void = false;
        step_to_base(steering, counter);
    } else {
        set_pieces(steering, counter, time_ns, fraction);
    }
    steering->holding = false;
    steering->wait_since = 0;
    steering->base.bound_ns = steering->base.growth_ppb = steering->base.wander_ppb = 0;
    steering->values.status = LOCKSTEP_CLOCK_SYNCHRONISED;
    set_bound(steering, counter, 1 + fabs(steering_remaining(steering, counter)), growth(steering));
}

void steering_disrupt(struct steering *steering, uint64_t counter)
{
    bool never = !steering->has_line && steering->values.status == LOCKSTEP_CLOCK_UNSYNCHRONISED;

    steering->values.disruptions++;
    steering->was_void = false;
    no_time(steering, counter, never ? LOCKSTEP_CLOCK_UNSYNCHRONISED : LOCKSTEP_CLOCK_DISRUPTED);
}

bool steering_resume(struct steering *steering, const struct clock_values *values, uint64_t counter)
{
    bool sane = values->period_ns > 0 && fabs(values->period_ns / steering->config.nominal_period_ns - 1) < 1e-3 &&
                isfinite(values->fraction) && values->bound_ns >= 0;

    steering->values.disruptions = values->disruptions;
    if (!sane || (values->status != LOCKSTEP_CLOCK_SYNCHRONISED && values->status != LOCKSTEP_CLOCK_HOLDOVER) ||
        (int64_t)(counter - values->counter) < 0 || (int64_t)(values->void_after - counter) <= 0)
        return false;
    steering->values = *values;
    steering->has_line = true;
    /* The base is where the published line ends up after its switch. */
    steering->base = (struct steering_line){
        .counter = values->counter,
        .time_ns = values->time_ns,
        .fraction = values->fraction,
        .period_ns = values->period_ns,
        .difference_period_ns = values->difference_period_ns,
        .bound_ns = fmax((double)values->bound_ns - fabs(steering_remaining(steering, values->counter)), 0),
        .growth_ppb = values->bound_growth_ppb,
    };
    advance(&steering->base.time_ns, &steering->base.fraction, steering_remaining(steering, values->counter));
    return steering_hold(steering, counter);
}
