/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection's latency histogram (LANE_STATS_SLOT_BUCKETS counters) in few bytes, as the database keeps it: for each
 * bucket in use the number of empty ones before it and its count, as variable-length numbers (seven bits a byte, the
 * least significant first, the top bit set in all but the last). Pure. */
#ifndef LOCKSTEP_MONITOR_HISTORY_HISTOGRAM_H
#define LOCKSTEP_MONITOR_HISTORY_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "service/lane_stats.h"

#define HISTORY_HISTOGRAM_MAX (LANE_STATS_SLOT_BUCKETS * 6) /* a gap takes one byte, a count up to five */

/* Returns how many bytes of out (HISTORY_HISTOGRAM_MAX) it took; 0: nothing was counted. */
size_t history_histogram_pack(const uint32_t buckets[LANE_STATS_SLOT_BUCKETS], uint8_t *out);
/* Sets all buckets. LOCKSTEP_E_BAD_FORMAT: the bytes are something else (all buckets are then zero). */
int history_histogram_unpack(const void *bytes, size_t length, uint32_t buckets[LANE_STATS_SLOT_BUCKETS]);

#endif
