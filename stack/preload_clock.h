/* SPDX-License-Identifier: BSD-2-Clause */
/* What liblockstep-time.so (preload_clock.c) offers to liblockstep.so, which works without it. */
#ifndef LOCKSTEP_STACK_PRELOAD_CLOCK_H
#define LOCKSTEP_STACK_PRELOAD_CLOCK_H

#include <sys/socket.h>

/* Moves the kernel's stamps among the control messages (SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING) to the Lockstep
 * clock. NULL when the library is not loaded. */
void lockstep_move_stamps(struct msghdr *message) __attribute__((weak, visibility("default")));

#endif
