/* SPDX-License-Identifier: BSD-2-Clause */
/* One descriptor that polls as readable after a shared file (shared_file.h) was poked or replaced, or at a moment that
 * was set. Callers serialise; the descriptor may be polled by anybody meanwhile. Failures are negated errno. */
#ifndef LOCKSTEP_PLATFORM_SHARED_WATCH_H
#define LOCKSTEP_PLATFORM_SHARED_WATCH_H

#include <stdint.h>

struct shared_watch {
    int fd; /* to poll; close-on-exec */
    int changes, timer;
};

/* Of the file that is at `path` now. */
int shared_watch_open(struct shared_watch *watch, const char *path);
void shared_watch_close(struct shared_watch *watch);
/* Makes the descriptor quiet, and watches what is at `path` now. */
int shared_watch_clear(struct shared_watch *watch, const char *path);
/* Readable in so many nanoseconds (also if the machine sleeps meanwhile), until it is set anew or cleared; negative:
 * never. */
int shared_watch_alarm(struct shared_watch *watch, int64_t in_ns);

#endif
