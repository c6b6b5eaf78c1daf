/* SPDX-License-Identifier: BSD-2-Clause */
/* The last hour in memory: a ring of points. Any thread. */
#ifndef LOCKSTEP_MONITOR_SERIES_H
#define LOCKSTEP_MONITOR_SERIES_H

#include <stddef.h>
#include <stdint.h>

#include "monitor/json_stream.h"

#define SERIES_POINTS      1900
#define SERIES_INTERVAL_MS 1900 /* points that come sooner after the last one are left out */

/* What is not known is NAN. */
struct series_point {
    int64_t time_ms;               /* CLOCK_REALTIME */
    double measured_ns;            /* the selected source's last exchange: how far it was from what was expected */
    double offset_ns, bound_ns;    /* of the clock: selected source minus clock; error bound */
    double rx_bits, tx_bits;       /* a second, of all connections */
    double drops, retransmissions; /* a second */
    double connections;
    double p50_ns, p99_ns; /* latency of the packets since the point before */
};

/* Of which nothing is known. */
struct series_point series_unknown(int64_t time_ms);

struct series;

struct series *series_create(void); /* NULL: no memory */
void series_destroy(struct series *series);
void series_add(struct series *series, const struct series_point *point);

/* Copies those from a time on, the oldest first, into out (SERIES_POINTS); returns how many. */
size_t series_copy(struct series *series, int64_t from_ms, struct series_point *out);

/* The members of an object: "time_ms", "offset_ns" ...: an array each. */
void series_write(const struct series_point *points, size_t count, struct json_stream *json);
/* The members of one point as an object. */
void series_write_point(const struct series_point *point, struct json_stream *json, const char *key);

#endif
