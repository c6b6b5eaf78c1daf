/* SPDX-License-Identifier: BSD-2-Clause */
/* The signals that ask a daemon to end, as a descriptor for its loop. */
#ifndef LOCKSTEP_PLATFORM_STOP_SIGNALS_H
#define LOCKSTEP_PLATFORM_STOP_SIGNALS_H

/* Blocks SIGTERM and SIGINT in the calling thread (call it before others are made) and ignores SIGPIPE. A non-blocking,
 * close-on-exec descriptor, the caller's, that is readable when one of them has come; or a negated errno. */
int platform_stop_signals(void);

#endif
