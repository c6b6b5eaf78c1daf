/* SPDX-License-Identifier: BSD-2-Clause */
/* What leaves through packet sockets (lanes with the direct injector do that, past the guard): the kernel shows it to
 * other packet sockets, among all else that leaves. Whose a frame is shows in its source address and port. A frame of
 * an unknown port waits until the service has been asked again. Single-threaded. */
#ifndef LOCKSTEP_TOOLS_CAPTURE_DIRECT_H
#define LOCKSTEP_TOOLS_CAPTURE_DIRECT_H

#include <stddef.h>
#include <stdint.h>

#include "divert/capture.h"
#include "tools/capture_owners.h"

struct capture_direct;

/* 0 or a negative code. The handler gets the frames of direct lanes, as CAPTURE_INJECTED. owners stay the caller's. */
int capture_direct_open(struct capture_direct **out, uint32_t snap_length, struct capture_owners *owners,
                        capture_handler handler, void *context);
void capture_direct_close(struct capture_direct *direct);
int capture_direct_fd(const struct capture_direct *direct); /* readable when there are frames */
/* Hands over what is certain by now. */
void capture_direct_read(struct capture_direct *direct);
/* The time of the first frame that is not (CLOCK_MONOTONIC; UINT64_MAX: none). */
uint64_t capture_direct_undecided_ns(const struct capture_direct *direct);
/* Frames that found the socket full. */
uint64_t capture_direct_lost(struct capture_direct *direct);

#endif
