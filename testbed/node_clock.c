/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/node_clock.h"

#include <errno.h>
#include <lockstep/clock.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "platform/platform.h"

#define NS_PER_S 1000000000

struct node_clock {
    enum node_clock_kind kind;
    uint32_t assumed_bound_ns;
    struct lockstep_clock *lockstep;
    _Atomic int64_t ahead_ns; /* of CLOCK_MONOTONIC, when the time was last known */
};

static void system_now(uint32_t bound_ns, enum node_clock_status status, struct node_time *time)
{
    struct timespec now;

    clock_gettime(CLOCK_TAI, &now);
    *time = (struct node_time){(int64_t)now.tv_sec * NS_PER_S + now.tv_nsec, bound_ns, 0, status};
}

int node_clock_open(enum node_clock_kind kind, const char *path, uint32_t assumed_bound_ns, struct node_clock **clock,
                    char problem[192])
{
    struct node_clock *opened = calloc(1, sizeof *opened);
    struct node_time now;
    int err;

    if (!opened) {
        snprintf(problem, 192, "clock: out of memory");
        return -ENOMEM;
    }
    opened->kind = kind;
    opened->assumed_bound_ns = assumed_bound_ns;
    if (kind == NODE_CLOCK_LOCKSTEP) {
        path = path && *path ? path : NULL;
        err = lockstep_clock_open(path, &opened->lockstep);
        if (err) {
            snprintf(problem, 192, "clock: cannot open %.100s: %s", path ? path : "the usual segment",
                     lockstep_clock_error_text(err));
            free(opened);
            return err;
        }
    }
    system_now(0, NODE_CLOCK_GOOD, &now);
    opened->ahead_ns = now.tai_ns - (int64_t)platform_now_ns();
    node_clock_refresh(opened);
    *clock = opened;
    return 0;
}

void node_clock_close(struct node_clock *clock)
{
    if (clock && clock->kind == NODE_CLOCK_LOCKSTEP)
        lockstep_clock_close(clock->lockstep);
    free(clock);
}

enum node_clock_kind node_clock_get_kind(const struct node_clock *clock)
{
    return clock->kind;
}

/* The larger side of a bound that need not be symmetric. */
static uint32_t bound_of(const struct lockstep_time *time)
{
    int64_t above = time->latest_ns - time->ns, below = time->ns - time->earliest_ns;
    int64_t bound = above > below ? above : below;

    return bound >= 0 && bound < NODE_CLOCK_BOUND_UNKNOWN ? (uint32_t)bound : NODE_CLOCK_BOUND_UNKNOWN;
}

void node_clock_now(const struct node_clock *clock, struct node_time *time)
{
    struct lockstep_time now;

    if (clock->kind == NODE_CLOCK_SYSTEM) {
        system_now(clock->assumed_bound_ns, NODE_CLOCK_GOOD, time);
        return;
    }
    if (lockstep_clock_now(clock->lockstep, LOCKSTEP_TAI, &now) != 0) {
        *time = (struct node_time){(int64_t)platform_now_ns() +
                                       atomic_load_explicit(&clock->ahead_ns, memory_order_relaxed),
                                   NODE_CLOCK_BOUND_UNKNOWN, now.disruptions, NODE_CLOCK_NO_TIME};
        return;
    }
    *time = (struct node_time){now.ns, bound_of(&now), now.disruptions,
                               now.status == LOCKSTEP_CLOCK_HOLDOVER ? NODE_CLOCK_HOLDOVER : NODE_CLOCK_GOOD};
}

void node_clock_refresh(struct node_clock *clock)
{
    struct node_time now;

    node_clock_now(clock, &now);
    if (now.status != NODE_CLOCK_NO_TIME)
        atomic_store_explicit(&clock->ahead_ns, now.tai_ns - (int64_t)platform_now_ns(), memory_order_relaxed);
}

int node_clock_wait(struct node_clock *clock, int64_t bound_ns, int timeout_ms)
{
    struct node_time now;

    if (clock->kind == NODE_CLOCK_LOCKSTEP)
        return lockstep_clock_wait(clock->lockstep, bound_ns, timeout_ms);
    system_now(clock->assumed_bound_ns, NODE_CLOCK_GOOD, &now);
    if (!bound_ns || (now.bound_ns != NODE_CLOCK_BOUND_UNKNOWN && now.bound_ns <= bound_ns))
        return 0;
    return -ETIMEDOUT; /* it will not get better by waiting */
}
