/* SPDX-License-Identifier: BSD-2-Clause */
/* The thread that asks lockstep-netd and lockstep-clockd, once a second while somebody looks and every five seconds
 * otherwise, so that the services have the same work however many look. It goes on when they come and go. */
#ifndef LOCKSTEP_MONITOR_GATHERER_H
#define LOCKSTEP_MONITOR_GATHERER_H

#include "monitor/series.h"
#include "monitor/snapshot.h"

struct gatherer;

/* runtime_dir: "" is the usual place. history: the database's file, or "none". 0, -ENOMEM, or why there is no thread.
 * The first snapshot is there when it returns. */
int gatherer_start(struct gatherer **out, const char *runtime_dir, const char *history);
/* Waits for the thread. */
void gatherer_stop(struct gatherer *gatherer);

/* The latest snapshot, held for the caller (any thread). look: somebody will look again soon. */
struct snapshot *gatherer_snapshot(struct gatherer *gatherer, bool look);
/* The last hour; the gatherer's. */
struct series *gatherer_series(struct gatherer *gatherer);

#endif
