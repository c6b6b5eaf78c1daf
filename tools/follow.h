/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep connections --follow: netd's journal as it is written. */
#ifndef LOCKSTEP_TOOLS_FOLLOW_H
#define LOCKSTEP_TOOLS_FOLLOW_H

#include <stdbool.h>

/* Prints what happens from now on at the service of dir ("": the usual place), a line an event or a JSON document a
 * line, until SIGINT or SIGTERM comes or nobody reads any more; when the service ends it waits for the next one and
 * goes on with that one's first event. The exit status. Once a process. */
int follow_events(const char *dir, bool json);

#endif
