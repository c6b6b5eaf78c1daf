/* SPDX-License-Identifier: BSD-2-Clause */
/* The connection and statistics databases as JSON documents, for `lockstep status` and `lockstep connections`. */
#ifndef LOCKSTEP_SERVICE_REPORT_H
#define LOCKSTEP_SERVICE_REPORT_H

#include <stdint.h>

#include "service/netd.h"

/* kind: enum control_report_kind. A sealed memfd (the caller closes it), or a negative code. */
int report_make(struct netd *netd, uint32_t kind);

#endif
