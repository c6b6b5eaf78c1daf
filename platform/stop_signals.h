/* SPDX-License-Identifier: BSD-2-Clause */
/* The signals that ask a daemon to end, or to read its configuration again, as a descriptor for its loop. */
#ifndef LOCKSTEP_PLATFORM_STOP_SIGNALS_H
#define LOCKSTEP_PLATFORM_STOP_SIGNALS_H

#include <stdbool.h>

/* Blocks SIGTERM and SIGINT in the calling thread (call it before others are made) and ignores SIGPIPE; SIGCHLD is as
 * usual again, however the process was started. A non-blocking, close-on-exec descriptor, the caller's, that is
 * readable when one of the first two has come; or a negated errno. */
int platform_stop_signals(void);

/* The same for SIGHUP, which asks a daemon to read its configuration again. */
int platform_reload_signal(void);
/* Takes one signal off such a descriptor. False: there is none. */
bool platform_signal_take(int fd);

#endif
