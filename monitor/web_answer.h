/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers of the web server, each with the headers that all have. The functions below give NULL when memory is short.
 * Any thread. */
#ifndef LOCKSTEP_MONITOR_WEB_ANSWER_H
#define LOCKSTEP_MONITOR_WEB_ANSWER_H

#include <microhttpd.h>

#include "monitor/snapshot.h"
#include "monitor/web_assets.h"

#define WEB_JSON "application/json"
#define WEB_TEXT "text/plain; charset=utf-8"

/* Takes the hold on body over; NULL gives NULL. */
struct MHD_Response *web_answer_body(struct body *body, const char *type);
struct MHD_Response *web_answer_asset(const struct web_asset *asset);
/* A sentence; as {"error": sentence} with json. */
struct MHD_Response *web_answer_text(const char *text, bool json);
/* To another path. cookie: NULL, or the Set-Cookie header's value. */
struct MHD_Response *web_answer_redirect(const char *path, const char *cookie);
/* False, and the answer is destroyed: no memory. */
bool web_answer_header(struct MHD_Response **answer, const char *name, const char *value);

#endif
