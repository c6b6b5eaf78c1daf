/* SPDX-License-Identifier: BSD-2-Clause */
/* Which lanes were alive when the service ended: a small file in the runtime directory, so that the next instance knows
 * whom to wait for before it replaces the attached programs. */
#ifndef LOCKSTEP_SERVICE_SURVIVORS_H
#define LOCKSTEP_SERVICE_SURVIVORS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "divert/divert_abi.h"

struct survivors {
    pid_t owner[DIVERT_MAX_LANES]; /* 0: lane not in use */
    unsigned count;
};

/* Reads DIR/lanes and keeps the lanes whose process still runs. A missing file is an empty list. */
void survivors_load(struct survivors *survivors, const char *dir);
/* Writes the file anew; owner[lane] 0 means free. Best effort: failure is logged. */
void survivors_store(const char *dir, const pid_t owner[DIVERT_MAX_LANES]);
/* The lane was adopted, or its process has ended. */
void survivors_remove(struct survivors *survivors, uint32_t lane);

#endif
