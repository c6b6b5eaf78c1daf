/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of `lockstep history` share. Single-threaded. */
#ifndef LOCKSTEP_TOOLS_HISTORY_H
#define LOCKSTEP_TOOLS_HISTORY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "monitor/history_query.h"

/* A point in time as people write it, in ns since 1970 (pure but for the time zone): "now", "today", "yesterday", "2h"
 * and "1h30min" (ago; s, min, h, d, w), "10:30", "2026-11-23", "2026-11-23 10:30:15" (local time; with Z at its end
 * UTC; T instead of the blank), "@1795428000". LOCKSTEP_E_BAD_FORMAT. */
int history_time_parse(const char *text, int64_t now_ns, int64_t *out);
/* "2026-11-23T10:30:15.123456789Z" */
#define HISTORY_TIME_TEXT_MAX 40
const char *history_time_utc(int64_t ns, char *text);
/* "2026-11-23 10:30:15", local */
const char *history_time_local(int64_t ns, char *text);

enum history_form { HISTORY_TABLE, HISTORY_CSV, HISTORY_JSON };

/* Prints the statement's rows; what is to be shown of them is complete before this returns, so that nothing waits for
 * the reader of `out`. How many, or a negative code. */
int history_print_rows(sqlite3_stmt *statement, const struct history_column *columns, enum history_form form, FILE *out,
                       unsigned width);
/* All of the row at hand, a line each. */
void history_print_row(sqlite3_stmt *statement, const struct history_column *columns, FILE *out);
/* Percentiles and bars (LANE_STATS_SLOT_BUCKETS). */
void history_print_histogram(const uint32_t *buckets, FILE *out);

#endif
