/* SPDX-License-Identifier: BSD-2-Clause */
/* The program's end of a lane: received packets in a ring mapped into the process.
 *
 * One consumer: callers serialise all but lane_poll_fd themselves. No call but open and close makes a system call or
 * allocates. Source of the layout: the kernel's BPF_MAP_TYPE_RINGBUF. */
#ifndef LOCKSTEP_DIVERT_LANE_H
#define LOCKSTEP_DIVERT_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "divert/divert_abi.h"

struct lane;

/* Maps the ring (ring_bytes: its max_entries, a power of two) and the control page. Takes over both descriptors,
 * also when it fails. The mappings are not inherited by fork. Negated errno on failure. */
int lane_open(struct lane **out, int ring_fd, size_t ring_bytes, int control_fd);
void lane_close(struct lane *lane);

/* The next packet or NULL. It stays valid until lane_release. */
const struct lane_record *lane_next(struct lane *lane);
/* Gives everything that lane_next returned so far back to the divert; awake, not before an eighth of the ring. */
void lane_release(struct lane *lane);
/* The same for the packets before the one that `inside` points into: one that lane_next returned and that was not given
 * back. */
void lane_release_before(struct lane *lane, const void *inside);
/* True if a packet waits or is just being written (then lane_next may still return NULL for a moment); cheap, callable
 * without the caller's lock. */
bool lane_ready(const struct lane *lane);
/* Bytes of the ring in use for packets that lane_next has not returned yet, for the high-water mark. */
size_t lane_backlog(const struct lane *lane);
/* Bytes of the ring in use: waiting, or returned and not given back. */
size_t lane_occupied(const struct lane *lane);

/* While sleeping is set a new packet wakes whoever waits for lane_poll_fd to be readable (POLLIN). Before sleeping:
 * release what was taken, set it, then check lane_ready once more. A burst causes one wake-up: poll, or an epoll_wait
 * on a level-triggered entry, finds what came meanwhile. */
void lane_set_sleeping(struct lane *lane, bool sleeping);
void lane_heartbeat(struct lane *lane, uint64_t now_ns);
int lane_poll_fd(const struct lane *lane);
const struct lane_control *lane_control(const struct lane *lane);

#endif
