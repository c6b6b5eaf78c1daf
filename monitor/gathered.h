/* SPDX-License-Identifier: BSD-2-Clause */
/* What was gathered from the services at one moment, and the documents that are made of it. Pure. */
#ifndef LOCKSTEP_MONITOR_GATHERED_H
#define LOCKSTEP_MONITOR_GATHERED_H

#include <json-c/json.h>
#include <stdint.h>

#include "monitor/json_stream.h"
#include "monitor/past.h"
#include "monitor/runs.h"
#include "monitor/series.h"
#include "monitor/tracker.h"

struct gathered {
    const char *node; /* this machine's name */
    int64_t realtime_ns;
    int netd_error;             /* 0, or why there is no status */
    int table_error;            /* 0, or why there is no table */
    struct json_object *status; /* netd's; NULL: none */
    const struct connection_table *table;
    const struct tracker *tracker;
    /* clockd's reports; NULL: none */
    struct json_object *clock_status, *clock_sources, *clock_stats;
    const struct runs *runs;
    const struct past_health *history;
    struct series_point point;
};

/* What the clock says, into point (pure); NAN without a daemon. */
void gathered_clock_point(struct json_object *status, struct json_object *sources, struct json_object *stats,
                          struct series_point *point);

/* The document's object. */
void gathered_write_summary(struct json_stream *json, const struct gathered *gathered);
/* {"status", "sources", "stats"}: clockd's reports, or null. */
void gathered_write_clock(FILE *out, const struct gathered *gathered);
/* Text exposition format: the path's metrics, then the clock's. */
void gathered_write_metrics(FILE *out, const struct gathered *gathered);

#endif
