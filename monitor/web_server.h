/* SPDX-License-Identifier: BSD-2-Clause */
/* The HTTP server: routes, rights, limits, answers. Its threads are its own. */
#ifndef LOCKSTEP_MONITOR_WEB_SERVER_H
#define LOCKSTEP_MONITOR_WEB_SERVER_H

#include <stdint.h>

#include "monitor/gatherer.h"
#include "monitor/web_config.h"

struct web_server;

/* Reads certificate, key and token and listens. config and gatherer are kept. 0, or a negative code after a line in the
 * log. */
int web_server_start(struct web_server **out, const struct web_config *config, struct gatherer *gatherer);
/* Ends all connections. May be NULL. */
void web_server_stop(struct web_server *server);
/* Once a second: ends connections that are too slow. */
void web_server_tick(struct web_server *server, uint64_t now_ns);

#endif
