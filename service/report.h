/* SPDX-License-Identifier: BSD-2-Clause */
/* The connection and statistics databases as JSON documents, for `lockstep status` and `lockstep connections`. */
#ifndef LOCKSTEP_SERVICE_REPORT_H
#define LOCKSTEP_SERVICE_REPORT_H

#include <stdint.h>

#include "service/netd.h"

/* An empty memfd for a report; the caller closes it. */
int report_create(void);
/* Writes a report (kind: enum control_report_kind) and seals it. Takes milliseconds for a thousand flows. */
int report_write(const struct netd *netd, uint32_t kind, int fd);

#endif
