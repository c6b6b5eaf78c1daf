/* SPDX-License-Identifier: BSD-2-Clause */
/* Asking lockstep-clockd (clock/report.h). Any thread. */
#ifndef LOCKSTEP_MONITOR_CLOCK_CLIENT_H
#define LOCKSTEP_MONITOR_CLOCK_CLIENT_H

#include <json-c/json.h>
#include <stdbool.h>

#include "lockstep/clock.h"

/* Connects to RUNTIME_DIR/clockd.sock ("": the usual place) and sends the request, a line's text. A descriptor;
 * negative: an error, after a message on stderr unless quiet. */
int clock_ask(const char *dir, const char *request, bool quiet);
/* The document that is the answer; the caller puts it. NULL: an error, as above. */
struct json_object *clock_fetch(const char *dir, const char *request, bool quiet);

/* "synchronised" and so on. */
const char *clock_status_name(enum lockstep_clock_status status);

#endif
