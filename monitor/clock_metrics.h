/* SPDX-License-Identifier: BSD-2-Clause */
/* The clock daemon's reports as metrics, for `lockstep clock stats --prometheus` and lockstep-web. Pure. */
#ifndef LOCKSTEP_MONITOR_CLOCK_METRICS_H
#define LOCKSTEP_MONITOR_CLOCK_METRICS_H

#include <json-c/json.h>
#include <stdio.h>

/* The reports "status", "sources" and "stats" of clock/report.h; any may be NULL. */
void clock_print_prometheus(struct json_object *status, struct json_object *sources, struct json_object *stats,
                            FILE *out);

#endif
