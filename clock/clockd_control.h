/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket: one line in, one report out (report.h). Clients that do not fetch theirs are dropped. */
#ifndef LOCKSTEP_CLOCK_CLOCKD_CONTROL_H
#define LOCKSTEP_CLOCK_CLOCKD_CONTROL_H

#include "clock/clockd.h"

/* Creates RUNTIME_DIR/clockd.sock; whoever holds the segment may replace an old one. 0 or a negative code after a line
 * in the log. */
int clockd_control_create(struct clockd *clockd);
/* Removes the socket. */
void clockd_control_destroy(struct clockd *clockd);
/* Drops slow clients; once a second. */
void clockd_control_tick(struct clockd *clockd, int64_t now_ns);

#endif
