/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/timer_wheel.h"

#include <string.h>

#define SLOT_BITS 8

void wheel_init(struct timer_wheel *wheel, uint64_t now_ns)
{
    memset(wheel, 0, sizeof(*wheel));
    wheel->tick = now_ns / WHEEL_TICK_NS;
}

/* Level by distance; a timer sits in the slot of its own tick's digit, so that it is met exactly when the wheel gets
 * there. */
static void place(struct timer_wheel *wheel, struct wheel_timer *timer)
{
    uint64_t distance = timer->tick - wheel->tick;
    unsigned level = 0;
    uint64_t tick = timer->tick;
    while (level + 1 < WHEEL_LEVELS && distance >= (1ull << (SLOT_BITS * (level + 1))))
        level++;
    if (distance >= 1ull << (SLOT_BITS * WHEEL_LEVELS))
        tick = wheel->tick + (1ull << (SLOT_BITS * WHEEL_LEVELS)) - 1;
    unsigned slot = (unsigned)(tick >> (SLOT_BITS * level)) & (WHEEL_SLOTS - 1);
    struct wheel_timer **head = &wheel->slots[level][slot];
    timer->next = *head;
    if (timer->next)
        timer->next->link = &timer->next;
    timer->link = head;
    *head = timer;
    timer->place = (uint16_t)(level * WHEEL_SLOTS + slot);
    wheel->used[level][slot / 64] |= 1ull << (slot % 64);
}

static void take_off(struct timer_wheel *wheel, struct wheel_timer *timer)
{
    unsigned level = timer->place / WHEEL_SLOTS, slot = timer->place % WHEEL_SLOTS;
    *timer->link = timer->next;
    if (timer->next)
        timer->next->link = timer->link;
    timer->link = NULL;
    if (!wheel->slots[level][slot])
        wheel->used[level][slot / 64] &= ~(1ull << (slot % 64));
}

void wheel_arm(struct timer_wheel *wheel, struct wheel_timer *timer, uint64_t at_ns)
{
    if (timer->link)
        take_off(wheel, timer);
    uint64_t tick = at_ns / WHEEL_TICK_NS + (at_ns % WHEEL_TICK_NS != 0);
    timer->tick = tick > wheel->tick ? tick : wheel->tick + 1;
    place(wheel, timer);
}

void wheel_cancel(struct timer_wheel *wheel, struct wheel_timer *timer)
{
    if (timer->link)
        take_off(wheel, timer);
}

/* First used slot at or after from, cyclically: its distance from `from`, or WHEEL_SLOTS. */
static unsigned next_used(const uint64_t *used, unsigned from)
{
    for (unsigned distance = 0; distance < WHEEL_SLOTS;) {
        unsigned slot = (from + distance) % WHEEL_SLOTS;
        uint64_t word = used[slot / 64] >> (slot % 64);
        if (word != 0) {
            distance += (unsigned)__builtin_ctzll(word);
            return distance < WHEEL_SLOTS ? distance : WHEEL_SLOTS;
        }
        distance += 64 - slot % 64;
    }
    return WHEEL_SLOTS;
}

/* The next tick after the present at which some slot comes up: a level-0 expiry or a higher slot that must move down.
 */
static uint64_t next_tick(const struct timer_wheel *wheel)
{
    uint64_t best = UINT64_MAX;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        uint64_t unit = wheel->tick >> (SLOT_BITS * level);
        unsigned distance = next_used(wheel->used[level], (unsigned)(unit + 1) & (WHEEL_SLOTS - 1));
        if (distance == WHEEL_SLOTS)
            continue;
        uint64_t tick = (unit + 1 + distance) << (SLOT_BITS * level);
        if (tick < best)
            best = tick;
    }
    return best;
}

/* The wheel has come to a tick: slots of higher levels that begin there move down. */
static void cascade(struct timer_wheel *wheel)
{
    for (unsigned level = 1; level < WHEEL_LEVELS; level++) {
        if ((wheel->tick & ((1ull << (SLOT_BITS * level)) - 1)) != 0)
            return;
        unsigned slot = (unsigned)(wheel->tick >> (SLOT_BITS * level)) & (WHEEL_SLOTS - 1);
        struct wheel_timer *timer = wheel->slots[level][slot];
        wheel->slots[level][slot] = NULL;
        wheel->used[level][slot / 64] &= ~(1ull << (slot % 64));
        while (timer) {
            struct wheel_timer *next = timer->next;
            place(wheel, timer);
            timer = next;
        }
    }
}

struct wheel_timer *wheel_expire(struct timer_wheel *wheel, uint64_t now_ns)
{
    uint64_t now = now_ns / WHEEL_TICK_NS;
    for (;;) {
        struct wheel_timer *due = wheel->slots[0][wheel->tick & (WHEEL_SLOTS - 1)];
        if (due) {
            take_off(wheel, due);
            return due;
        }
        uint64_t tick = next_tick(wheel);
        if (tick > now) {
            if (now > wheel->tick)
                wheel->tick = now;
            return NULL;
        }
        wheel->tick = tick;
        cascade(wheel);
    }
}

uint64_t wheel_next(const struct timer_wheel *wheel)
{
    if (wheel->slots[0][wheel->tick & (WHEEL_SLOTS - 1)])
        return wheel->tick * WHEEL_TICK_NS;
    uint64_t tick = next_tick(wheel);
    return tick == UINT64_MAX ? UINT64_MAX : tick * WHEEL_TICK_NS;
}
