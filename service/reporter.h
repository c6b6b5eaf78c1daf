/* SPDX-License-Identifier: BSD-2-Clause */
/* Long reports are written by a forked child, so that the service goes on meanwhile; the reply follows when it is done.
 */
#ifndef LOCKSTEP_SERVICE_REPORTER_H
#define LOCKSTEP_SERVICE_REPORTER_H

#include "service/netd.h"

/* Starts a report for a client's request; it is answered later. -EAGAIN when too many are being written. */
int reporter_start(struct netd *netd, struct client *client, uint32_t sequence, uint32_t kind);
/* The client has gone: nobody waits for its reports. */
void reporter_forget_client(struct netd *netd, const struct client *client);

#endif
