/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads the configuration again while the service runs. The file is read by a thread (names of users may come from a
 * server that is slow) and applied by the loop as a whole, or not at all: after any mistake the old configuration
 * stays. What exists already is left alone; new lanes and sockets are decided on by the new rules. */
#ifndef LOCKSTEP_SERVICE_RELOAD_H
#define LOCKSTEP_SERVICE_RELOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/config.h"

struct client;
struct netd;

/* For the status report. */
struct reload_result {
    time_t at; /* CLOCK_REALTIME; 0: not since the start */
    bool failed;
    uint64_t count;                /* readings since the start */
    char text[CONFIG_PROBLEM_MAX]; /* what has changed, or the mistake */
};

int reload_open(struct netd *netd);
void reload_close(struct netd *netd);
/* Begins, or begins again when the one under way is done. client: gets a CONTROL_RELOAD reply then; NULL: none waits.
 */
int reload_begin(struct netd *netd, struct client *client, uint32_t sequence);
void reload_forget_client(struct netd *netd, const struct client *client);

#endif
