/* SPDX-License-Identifier: BSD-2-Clause */
/* What the services report as samples for the history. Single-threaded. */
#ifndef LOCKSTEP_MONITOR_HISTORYD_SAMPLE_H
#define LOCKSTEP_MONITOR_HISTORYD_SAMPLE_H

#include "monitor/history_item.h"

struct counter_sampler;

/* NULL: no memory. */
struct counter_sampler *counter_sampler_create(void);
void counter_sampler_destroy(struct counter_sampler *sampler);
/* The counters that have changed since the sample before, from the service's status report and the kernel's counters of
 * its interfaces: "divert/passed", "guard/drops/source", "interface/eth0/rx_bytes", "service/flows". A counter that is
 * smaller than before has begun anew. NULL: nothing has changed, or no memory. */
struct history_item *counter_sampler_take(struct counter_sampler *sampler, struct json_object *status);

/* From the clock daemon's reports (clock/report.h); sources may be NULL. NULL: no memory. */
struct history_item *clock_sample(struct json_object *status, struct json_object *sources);

#endif
