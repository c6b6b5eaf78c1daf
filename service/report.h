/* SPDX-License-Identifier: BSD-2-Clause */
/* The connection and statistics databases as documents: JSON for `lockstep status` and `lockstep connections`, binary
 * for those who look often. */
#ifndef LOCKSTEP_SERVICE_REPORT_H
#define LOCKSTEP_SERVICE_REPORT_H

#include <stdint.h>

#include "service/netd.h"

/* An empty memfd for a report; the caller closes it. */
int report_create(void);
/* Writes a report (kind: enum control_report_kind). A thousand flows take milliseconds in JSON and less
 * than one in binary. */
int report_write(const struct netd *netd, uint32_t kind, int fd);
/* Nobody can change it any more. */
int report_seal(int fd);
/* Another descriptor of it, read-only: others who get it cannot write. The report can then be made empty again
 * (report_empty), whoever has it, so that it does not take memory for as long as they like. Negative: a code. */
int report_reader(int fd);
void report_empty(int fd);

#endif
