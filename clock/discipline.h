/* SPDX-License-Identifier: BSD-2-Clause */
/* Steers the system clock (CLOCK_REALTIME) after the Lockstep clock: only on request, and only while nobody else does.
 * The Lockstep clock itself never depends on it. One thread. */
#ifndef LOCKSTEP_CLOCK_DISCIPLINE_H
#define LOCKSTEP_CLOCK_DISCIPLINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/timex.h>

#include "clock/counter.h"
#include "clock/segment.h"

struct discipline;

/* The kernel's interface, for tests a fake one: as adjtimex(2), but a negated errno on failure. */
struct discipline_kernel {
    void *context;
    int (*adjust)(void *context, struct timex *request);
};

/* NULL kernel: the real one. While another program steers (the kernel's clock counts as synchronised, or its frequency
 * is not what was set here) nothing is done but to look again every minute. 0 or a negative code. */
int discipline_create(const struct discipline_kernel *kernel, struct discipline **discipline);
int discipline_open(struct discipline **discipline);
/* Leaves the frequency as it is and tells the kernel that nobody steers any more. NULL is harmless. */
void discipline_close(struct discipline *discipline);

/* Once a second. values: NULL while there is no time. */
void discipline_run(struct discipline *discipline, const struct counter *counter, const struct clock_values *values);
/* The same with what was measured: offset_ns: system clock minus Lockstep clock; bound_ns: of the latter. */
void discipline_steer(struct discipline *discipline, int64_t now_ns, int64_t offset_ns, int64_t bound_ns);
bool discipline_active(const struct discipline *discipline);

#endif
