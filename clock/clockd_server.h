/* SPDX-License-Identifier: BSD-2-Clause */
/* Sockets of the NTP and NTS key server around ntp_server.h: kernel stamps, in batches. */
#ifndef LOCKSTEP_CLOCK_CLOCKD_SERVER_H
#define LOCKSTEP_CLOCK_CLOCKD_SERVER_H

#include "clock/clockd.h"

/* Binds everything; while it still may. 0 or a negative code after a line in the log. On failure call
 * clockd_server_destroy, too. */
int clockd_server_create(struct clockd *clockd);
void clockd_server_destroy(struct clockd *clockd);
/* The key server's and the cookies' deadlines. Returns the next one. */
int64_t clockd_server_run(struct clockd *clockd, int64_t now_ns);
/* The clock or what it says of itself is new. */
void clockd_server_update(struct clockd *clockd);
void clockd_server_get_counts(const struct clockd_server *server, struct ntp_server_counts *out);

#endif
