/* SPDX-License-Identifier: BSD-2-Clause */
/* The handle of liblockstep-clock, shared by library.c (reading) and library_wait.c (waiting, following). */
#ifndef LOCKSTEP_CLOCK_LIBRARY_PRIVATE_H
#define LOCKSTEP_CLOCK_LIBRARY_PRIVATE_H

#include <stdbool.h>

#include "clock/segment_layout.h"
#include "lockstep/clock.h"
#include "platform/platform.h"
#include "platform/shared_watch.h"

struct lockstep_clock {
    /* The mapping stays at its address; another file may take its place (library_follow). */
    const struct segment_layout *segment;
    char *path;
    struct platform_lock lock; /* of what is below */
    uint64_t file[2];          /* which one is mapped */
    bool watching;
    struct shared_watch watch;
};

/* Maps the file that is at clock->path, in place of another if one is mapped. Under the lock, or alone. */
int library_map(struct lockstep_clock *clock);
/* If another file is there now, maps that. 0 or why the new one cannot be used (the old mapping stays). */
int library_follow(struct lockstep_clock *clock);
void library_watch_close(struct lockstep_clock *clock);

#endif
