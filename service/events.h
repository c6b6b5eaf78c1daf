/* SPDX-License-Identifier: BSD-2-Clause */
/* What the service puts into its journal (service/journal.h). */
#ifndef LOCKSTEP_SERVICE_EVENTS_H
#define LOCKSTEP_SERVICE_EVENTS_H

#include "service/netd.h"

/* JOURNAL_SERVICE, JOURNAL_INTERFACE: printf-like. */
__attribute__((format(printf, 4, 5))) void events_text(struct journal *journal, enum journal_type type,
                                                       const char *subject, const char *format, ...);

void events_lane_opened(const struct netd *netd, struct lane *lane);
/* Before its parts go; nothing if it was never opened. */
void events_lane_closed(const struct netd *netd, const struct lane *lane);

void events_connection_opened(const struct netd *netd, const struct flow *flow);
/* Before the flow goes; final: its state at the end as the program tells it, NULL: as the statistics page has it. */
void events_connection_closed(const struct netd *netd, const struct flow *flow,
                              const struct control_flow_closed *final);

void events_kernel_socket(const struct netd *netd, const struct kernel_socket *item);

#endif
