/* SPDX-License-Identifier: BSD-2-Clause */
/* Applies the policy to programs and their sockets, in the service, where no program can get around it, and records
 * what it denies. Asked when a lane or a flow is set up, never for a packet. */
#ifndef LOCKSTEP_SERVICE_ADMISSION_H
#define LOCKSTEP_SERVICE_ADMISSION_H

#include "service/netd.h"

/* May this program have a lane, and of which kind? 0 with *out, or LOCKSTEP_E_DENIED, which is recorded. */
int admission_lane(struct netd *netd, const struct client *client, struct policy_lane *out);
/* What admission_lane would say of this user with a program of this path ("": not known); records nothing. reason:
 * POLICY_REASON_MAX bytes. */
bool admission_allows(const struct netd *netd, const struct client *client, const char *program, char *reason);
/* May this socket be accelerated? 0 or LOCKSTEP_E_DENIED: the reason is kept for the program's report. Flows that a
 * lane brings back after a restart of the service are not asked about. */
int admission_flow(struct netd *netd, struct client *client, const struct flow *wanted);
/* The reason of the latest denial, if it was of this socket; else NULL. */
const char *admission_reason(const struct client *client, uint32_t protocol, const struct net_endpoint *local);

#endif
