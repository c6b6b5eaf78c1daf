/* SPDX-License-Identifier: BSD-2-Clause */
/* The servers that the daemon asks: names, sockets, stamps, NTS key establishment. */
#ifndef LOCKSTEP_CLOCK_CLOCKD_SOURCES_H
#define LOCKSTEP_CLOCK_CLOCKD_SOURCES_H

#include "clock/clockd.h"
#include "clock/state_file.h"

/* Adds all sources of the configuration to the core; state: saved baselines. 0 or a negative code after a line in the
 * log. On failure call clockd_sources_destroy, too. */
int clockd_sources_create(struct clockd *clockd, const struct clock_state *state);
void clockd_sources_destroy(struct clockd *clockd);

/* For core_env.send; the context is the clockd. */
int clockd_sources_send(void *context, unsigned source, const uint8_t *packet, size_t length, uint64_t ticket);
/* Names that are due, NTS, servers that do not answer. Returns the next deadline. */
int64_t clockd_sources_run(struct clockd *clockd, int64_t now_ns);

/* For reports. text: NET_ENDPOINT_TEXT_MAX bytes, "" if no address is known. */
const struct clockd_source_config *clockd_sources_config(const struct clockd *clockd, unsigned source);
enum stamp_kind clockd_sources_describe(const struct clockd *clockd, unsigned source, char *text);
/* The server's address as a reference identifier (RFC 5905, 7.3): of IPv6 the beginning of its MD5 digest. */
uint32_t clockd_sources_reference(const struct clockd *clockd, unsigned source);

#endif
