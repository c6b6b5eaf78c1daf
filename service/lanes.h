/* SPDX-License-Identifier: BSD-2-Clause */
/* A lane's life: made or adopted, limits, and its end, when flows go and peers are reset. */
#ifndef LOCKSTEP_SERVICE_LANES_H
#define LOCKSTEP_SERVICE_LANES_H

#include "service/netd.h"

/* Descriptors for the program, in the order of CONTROL_LANE_OPEN's reply; the caller closes them. */
#define LANE_FDS 5

/* A new lane for the client. LOCKSTEP_E_DENIED, LOCKSTEP_E_EXHAUSTED (limit of the user or of all), LOCKSTEP_E_CONFLICT
 * (it has one). */
int lanes_open(struct netd *netd, struct client *client, const struct control_lane_open *request,
               struct control_lane_reply *reply, int fds[LANE_FDS]);
/* Takes a lane over that an earlier instance made. fds: ring, control page, injector, statistics; they stay the
 * caller's. *event_fd: for the program, the caller closes it. */
int lanes_adopt(struct netd *netd, struct client *client, const struct control_lane_adopt *request, const int fds[4],
                int *event_fd);
/* Removes the flows, resets TCP peers if reset is true, frees the lane. */
void lanes_close(struct netd *netd, struct lane *lane, bool reset);

/* Its statistics page has all that this version knows: it is not of an older service. */
bool lanes_stats_whole(const struct lane *lane);
/* Copies a slot of the lane's statistics page; false if the number is wild or the slot not in use. */
bool lanes_read_slot(const struct lane *lane, uint32_t slot, struct lane_stats_slot *out);
/* Copies a slot's histogram; zeros if there is none. */
void lanes_read_histogram(const struct lane *lane, uint32_t slot, uint32_t out[LANE_STATS_SLOT_BUCKETS]);
/* No slot from this number on has been used; 0: unknown. */
uint32_t lanes_slots_used(const struct lane *lane);
/* CLOCK_REALTIME when a socket was opened of which the program says this (CLOCK_MONOTONIC); now, if that is wild. */
/* The program's FLOW_CLOSED of this number has been acted upon; whether the one about this slot has. */
void lanes_hear_end(struct lane *lane, uint64_t number);
bool lanes_end_heard(const struct lane *lane, uint32_t slot);
int64_t lanes_since(uint64_t opened_ns);
/* The same, of the socket with this slot; a slot that is not in use: now. */
int64_t lanes_slot_since(const struct lane *lane, uint32_t slot);

#endif
