/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of `lockstep clock` share. Single-threaded. */
#ifndef LOCKSTEP_TOOLS_CLOCK_H
#define LOCKSTEP_TOOLS_CLOCK_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/units.h"
#include "clock/counter.h"
#include "lockstep/clock.h"
#include "monitor/clock_client.h"
#include "monitor/json_report.h"
#include "tools/command.h"

#define CLOCK_TEXT_MAX 40

extern const struct command clock_status, clock_compare, clock_replay;

/* --- the segment --- */

/* Opens it ("": the usual place). NULL after a message on stderr. */
struct lockstep_clock *clock_open_segment(const char *path);
/* Its counter, for brackets of other clocks' readings. */
void clock_as_counter(struct lockstep_clock *clock, struct counter *out);

/* --- numbers --- */

/* "+1.234 us", "-" if not finite; text has CLOCK_TEXT_MAX bytes and is returned. clock_ns is without a plus. */
const char *clock_signed_ns(double ns, char *text);
const char *clock_ns(double ns, char *text);
/* "2026-11-23 06:47:11.123456789" of a time in ns since 1970. */
const char *clock_date(int64_t ns, char *text);
/* "3 h 12 min" of a duration. */
const char *clock_duration(int64_t ns, char *text);
/* A number of a JSON document: null if it is not finite. */
void clock_add_number(struct json_object *object, const char *key, double number);

/* --- the human form of the daemon's reports (pure) --- */

void clock_print_sources(struct json_object *sources, FILE *out, unsigned width);
void clock_print_stats(struct json_object *stats, FILE *out, unsigned width);

/* --- a series of differences --- */

struct clock_sample {
    double at_s;       /* since the first one */
    double offset_ns;  /* other clock minus the Lockstep clock */
    double reading_ns; /* half the width of the reading: its own error */
    double bound_ns;   /* of the Lockstep clock */
    bool valid;        /* false: the Lockstep clock had no time */
};

struct clock_series {
    struct clock_sample *samples;
    size_t count;
    const char *other; /* "the system clock" */
};

#define CLOCK_BINS 15

struct clock_summary {
    size_t count, invalid;
    double min_ns, max_ns, mean_ns, std_ns, median_ns, p1_ns, p99_ns, bound_max_ns, reading_max_ns;
    double bin_low_ns, bin_width_ns; /* histogram of CLOCK_BINS bins from bin_low_ns on */
    size_t bins[CLOCK_BINS];
};

/* Pure; all zero but `invalid` when no sample is valid. 0 or -ENOMEM. */
int clock_summarise(const struct clock_series *series, struct clock_summary *out);
/* A self-contained SVG of the series, the bound as a band (pure). */
void clock_plot(const struct clock_series *series, const struct clock_summary *summary, FILE *out);

#endif
