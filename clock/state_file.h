/* SPDX-License-Identifier: BSD-2-Clause */
/* What is worth knowing at the next start: the counter's rate and the servers' round-trip baselines. Text, a line each:
 *
 *     lockstep clock state 1
 *     counter tsc 2995198123.471 40.2 1763900000      name, Hz, its uncertainty in ppb, when (UTC, s)
 *     baseline 104500 ntp1.example.org                 ns, source
 *     end                                              what lacks it is truncated */
#ifndef LOCKSTEP_CLOCK_STATE_FILE_H
#define LOCKSTEP_CLOCK_STATE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "clock/core.h"

#define STATE_FILE_PROBLEM_MAX 160
#define STATE_FILE_TEXT_MAX    4096

struct clock_state {
    char counter[16]; /* "": nothing is known */
    double hz, sigma_ppb;
    int64_t utc_s;
    unsigned baseline_count;
    struct {
        char source[64];
        double ns;
    } baselines[CORE_SOURCES_MAX];
};

/* Pure. 0, or LOCKSTEP_E_BAD_FORMAT / _BAD_VERSION / _BAD_VALUE with *state empty and problem "line 2: ...". */
int state_file_parse(const char *text, size_t length, struct clock_state *state, char problem[STATE_FILE_PROBLEM_MAX]);
/* Pure. The length, as snprintf. */
int state_file_format(const struct clock_state *state, char *text, size_t size);

/* A file that is not there is an empty state; one that cannot be used is said and ignored. */
void state_file_load(const char *path, struct clock_state *state);
/* 0 or a negated errno. */
int state_file_save(const char *path, const struct clock_state *state);

/* 0: not known. */
double state_file_baseline(const struct clock_state *state, const char *source);
/* The saved rate as a deviation from the nominal one, and its doubt now: rates change with temperature and time. False:
 * of another counter, or nothing is known. */
bool state_file_rate(const struct clock_state *state, const char *counter, double nominal_hz, int64_t now_utc_s,
                     double *rate_ppb, double *sigma_ppb);

#endif
