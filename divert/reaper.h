/* SPDX-License-Identifier: BSD-2-Clause */
/* Takes lanes and devices down in a thread of its own: the kernel waits tens of milliseconds for each, and the service
 * has other programs to serve. */
#ifndef LOCKSTEP_DIVERT_REAPER_H
#define LOCKSTEP_DIVERT_REAPER_H

#include <stdbool.h>
#include <stdint.h>

struct reaper;

/* The maps must live as long as the reaper. The thread works in the network namespace of the caller. */
int reaper_start(struct reaper **out, int lanes_map_fd, int controls_map_fd);
/* Finishes what is queued. NULL is allowed. */
void reaper_stop(struct reaper *reaper);
/* Queues a lane: its maps leave the tables, its device (0: none) is deleted. */
void reaper_add(struct reaper *reaper, uint32_t lane, unsigned tap_ifindex);
/* Waits until nothing of the lane is queued any more. */
void reaper_wait(struct reaper *reaper, uint32_t lane);

#endif
