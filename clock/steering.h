/* SPDX-License-Identifier: BSD-2-Clause */
/* From the selected server's line to what readers get: continuous, corrected by slewing within a stated rate; a step
 * only above a stated limit, and counted as a disruption. The bound covers what is not yet corrected. Pure. */
#ifndef LOCKSTEP_CLOCK_STEERING_H
#define LOCKSTEP_CLOCK_STEERING_H

#include <stdbool.h>
#include <stdint.h>

#include "clock/segment.h"

struct steering_config {
    double nominal_period_ns;
    double slew_ppm;
    double step_limit_ns, holdover_limit_ns;
    double drift_ppb; /* what the bound grows by at least */
};

/* A line with its bound at `counter`. */
struct steering_line {
    uint64_t counter;
    int64_t time_ns; /* TAI */
    double fraction;
    double period_ns, difference_period_ns;
    double bound_ns, growth_ppb; /* the growth as of `counter` */
    double wander_ppb;           /* what the growth itself may grow by in 1000 s, with the square root of the time */
    double slew_within_ns;       /* corrections should take no longer than this, if the slew rate allows it */
};

enum steering_result {
    STEERING_FOLLOWED,
    STEERING_FIRST,   /* the time is known for the first time, or again after it was void or disrupted */
    STEERING_STEPPED, /* a disruption was counted */
    STEERING_HELD,    /* the line at hand is still the better one; it goes on in holdover */
};

struct steering {
    struct steering_config config;
    struct clock_values values; /* to be published; time scales and leap seconds are the caller's */
    bool has_line;              /* there is a time */
    bool was_void;              /* there was one, it ended by its bound: base tells how it went on */
    bool holding;
    uint64_t wait_since;       /* since when a worse line has been waiting; 0: none is */
    struct steering_line base; /* the line followed last */
};

void steering_init(struct steering *steering, const struct steering_config *config);
/* Goes on with published values, in holdover. False: there is no time in them at this counter; the disruption count is
 * taken over in any case. */
bool steering_resume(struct steering *steering, const struct clock_values *values, uint64_t counter);
/* Follows a line; counter is now, and the line's. */
enum steering_result steering_follow(struct steering *steering, const struct steering_line *line);
/* No line to follow: the last one goes on. False: there is none, or it has become void. */
bool steering_hold(struct steering *steering, uint64_t counter);
/* This node is the reference: the last line, or `first` if there never was one, goes on as the truth. */
void steering_be_reference(struct steering *steering, uint64_t counter, const struct steering_line *first);
/* The counter jumped: no time until the next line. */
void steering_disrupt(struct steering *steering, uint64_t counter);

/* The published time of a counter value; false: none. */
bool steering_time(const struct steering *steering, uint64_t counter, int64_t *time_ns, double *fraction);
/* What is still to be corrected then. */
double steering_remaining(const struct steering *steering, uint64_t counter);
/* The line's time at a counter minus (time_ns + fraction). */
double steering_line_offset(const struct steering_line *line, uint64_t counter, int64_t time_ns, double fraction);

#endif
