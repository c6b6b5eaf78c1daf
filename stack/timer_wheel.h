/* SPDX-License-Identifier: BSD-2-Clause */
/* Hierarchical timer wheel: ticks of a millisecond, four levels of 256 slots (49 days). Arming and cancelling are O(1);
 * expiry is amortised O(1). A timer that is due far off moves down a level when its time comes near.
 *
 * Not thread-safe. Timers are embedded in their owners; a zeroed timer is idle. */
#ifndef LOCKSTEP_STACK_TIMER_WHEEL_H
#define LOCKSTEP_STACK_TIMER_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_LEVELS  4
#define WHEEL_SLOTS   256
#define WHEEL_TICK_NS 1000000ull

struct wheel_timer {
    struct wheel_timer *next, **link; /* link: whatever points here; NULL: idle */
    uint64_t tick;                    /* expiry */
    uint16_t place;                   /* level * WHEEL_SLOTS + slot */
};

struct timer_wheel {
    uint64_t tick; /* every timer up to here has expired */
    struct wheel_timer *slots[WHEEL_LEVELS][WHEEL_SLOTS];
    uint64_t used[WHEEL_LEVELS][WHEEL_SLOTS / 64];
};

void wheel_init(struct timer_wheel *wheel, uint64_t now_ns);
/* (Re)arms: expires at the first wheel_expire with now_ns >= at_ns (rounded up to a tick). */
void wheel_arm(struct timer_wheel *wheel, struct wheel_timer *timer, uint64_t at_ns);
void wheel_cancel(struct timer_wheel *wheel, struct wheel_timer *timer);

static inline bool wheel_armed(const struct wheel_timer *timer)
{
    return timer->link != 0;
}

/* Takes one timer that is due at now_ns off the wheel, or NULL. Call until it returns NULL. */
struct wheel_timer *wheel_expire(struct timer_wheel *wheel, uint64_t now_ns);
/* A time not later than the next expiry (earlier only when a far timer moves down a level); UINT64_MAX: none armed. */
uint64_t wheel_next(const struct timer_wheel *wheel);

#endif
