/* SPDX-License-Identifier: BSD-2-Clause */
/* Which lanes were alive when the service ended: a small file in the runtime directory, so that the next instance knows
 * whom to wait for before it replaces the attached programs. */
#ifndef LOCKSTEP_SERVICE_SURVIVORS_H
#define LOCKSTEP_SERVICE_SURVIVORS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "divert/divert_abi.h"

/* A process: its number, and when it started, which tells it from a later one with the same number. */
struct survivor {
    pid_t pid; /* 0: none */
    unsigned long long started;
    unsigned device; /* its lane's: interface index, 0: none (direct injector) */
};

struct survivors {
    struct survivor owner[DIVERT_MAX_LANES];
    unsigned count;
};

/* Reads the start time of a process; 0 when there is no such process. */
unsigned long long survivors_start_time(pid_t pid);

/* Reads DIR/lanes and keeps the lanes whose process still runs. A missing file is an empty list. */
void survivors_load(struct survivors *survivors, const char *dir);
/* Writes the file anew; owner[lane].pid 0 means free. Best effort: failure is logged. */
void survivors_store(const char *dir, const struct survivor owner[DIVERT_MAX_LANES]);
/* Is the lane in the list, and this process its owner? */
bool survivors_owns(const struct survivors *survivors, uint32_t lane, const struct survivor *process);
/* The lane was adopted, or its process has ended. */
void survivors_remove(struct survivors *survivors, uint32_t lane);
/* Removes those whose process has ended. */
void survivors_prune(struct survivors *survivors);

#endif
