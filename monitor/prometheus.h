/* SPDX-License-Identifier: BSD-2-Clause */
/* Prometheus' text exposition format, version 0.0.4. Pure. */
#ifndef LOCKSTEP_MONITOR_PROMETHEUS_H
#define LOCKSTEP_MONITOR_PROMETHEUS_H

#include <stdio.h>

#define PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* HELP and TYPE: once for each name, before its samples. type: "counter", "gauge", "histogram". */
void prometheus_head(FILE *out, const char *name, const char *type, const char *help);
/* One sample, with pairs of a label's name and value (any text; bytes that are not printable ASCII become '?'), then
 * NULL. What is not finite is left out. */
void prometheus_put(FILE *out, const char *name, double value, const char *const *labels);
#define prometheus_sample(out, name, value, ...) prometheus_put(out, name, value, (const char *const[]){__VA_ARGS__})
/* Both, for a name with one sample and no label. Nothing if the value is not finite. */
void prometheus_single(FILE *out, const char *name, const char *type, const char *help, double value);

#endif
