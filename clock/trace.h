/* SPDX-License-Identifier: BSD-2-Clause */
/* Recorded exchanges as text, one to a line, to be replayed through the estimator:
 *
 *     # lockstep clock trace 1, counter tsc, nominal_hz 2995200000
 *     source,ta,tf,tb_ns,te_ns,stamp_error_ns
 *     0,81726354,81899900,1700000000000000000,1700000000000004000,120
 *
 * Further lines that begin with '#' and empty lines are skipped. Pure; any thread. */
#ifndef LOCKSTEP_CLOCK_TRACE_H
#define LOCKSTEP_CLOCK_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "clock/exchange.h"

#define TRACE_SOURCES_MAX  16
#define TRACE_LINE_MAX     160
#define TRACE_PROBLEM_MAX  128
#define TRACE_COUNTER_NAME 16

struct trace_header {
    char counter[TRACE_COUNTER_NAME];
    double nominal_hz;
};

/* Reads over a whole file in memory, which stays the caller's. */
struct trace_reader {
    const char *text;
    size_t length, position;
    unsigned line; /* number of the line read last */
    struct trace_header header;
    char problem[TRACE_PROBLEM_MAX]; /* set with each negative code: "line 7: tf is not a number" */
};

/* Reads the two head lines. 0; LOCKSTEP_E_BAD_FORMAT; LOCKSTEP_E_BAD_VERSION. */
int trace_open(struct trace_reader *reader, const char *text, size_t length);
/* 1 with the next exchange; 0 at the end; LOCKSTEP_E_BAD_FORMAT, LOCKSTEP_E_BAD_VALUE. */
int trace_next(struct trace_reader *reader, unsigned *source, struct exchange *out);

/* Writes the two head lines, or one line; returns the length as snprintf does. */
int trace_write_header(char *text, size_t size, const struct trace_header *header);
int trace_write_exchange(char *text, size_t size, unsigned source, const struct exchange *exchange);

#endif
