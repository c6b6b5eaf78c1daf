/* SPDX-License-Identifier: BSD-2-Clause */
/* Gives reports out. A long one is written by a child process, a copy of the service at that moment, so that nobody
 * waits for thousands of lines about others. Users other than root share reports, which then are up to a quarter of a
 * second old: however many they ask for, few are written. Such a report is emptied after some seconds, so that keeping
 * its descriptor keeps no memory. */
#ifndef LOCKSTEP_SERVICE_REPORTER_H
#define LOCKSTEP_SERVICE_REPORTER_H

#include "service/netd.h"

/* Answers the client's REPORT request, now or when the report is there. LOCKSTEP_E_EXHAUSTED: its user waits for too
 * many, -EAGAIN: too many are being written; then there is no answer. */
int reporter_request(struct netd *netd, struct client *client, uint32_t sequence, uint32_t kind);
/* A client has gone: nobody waits for its reports. */
void reporter_forget_client(struct netd *netd, const struct client *client);
/* Shared reports that are too old are dropped. */
void reporter_tick(struct netd *netd, uint64_t now_ns);

#endif
