/* SPDX-License-Identifier: BSD-2-Clause */
/* The figures over a span of time: the memory's (series.h) as far as it reaches, the history's before that. Any thread.
 */
#ifndef LOCKSTEP_MONITOR_TIMELINE_H
#define LOCKSTEP_MONITOR_TIMELINE_H

#include "monitor/series.h"
#include "monitor/snapshot.h"
#include "monitor/web_request.h"

struct timeline;

/* history: the database's file, or "none"; series stays the caller's. NULL: no memory. */
struct timeline *timeline_create(const char *history, struct series *series);
void timeline_destroy(struct timeline *timeline);

/* {"span_s", "history": {"available", "problem"}, "time_ms": [...], "offset_ns": [...] ...}: a held body; NULL: no
 * memory. The history is read again when what is known of it is old, by one asker at a time. */
struct body *timeline_write(struct timeline *timeline, enum series_span span, int64_t now_ms);

#endif
