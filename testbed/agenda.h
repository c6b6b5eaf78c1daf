/* SPDX-License-Identifier: BSD-2-Clause */
/* Whose turn is next: periodic types in the order of their planned times; at the same time the smaller message first,
 * then the lower index. The planner and the senders share it, so that they agree. Pure. */
#ifndef LOCKSTEP_TESTBED_AGENDA_H
#define LOCKSTEP_TESTBED_AGENDA_H

#include <stddef.h>
#include <stdint.h>

struct agenda_entry {
    int64_t planned_ns; /* since the start */
    uint64_t sequence;  /* first of the burst */
    uint32_t size;
    uint32_t index; /* the caller's */
    uint32_t burst;
    int64_t period_ns;
    uint64_t count; /* 0: without end */
};

struct agenda;

/* Room for `types`. NULL: no memory. */
struct agenda *agenda_create(size_t types);
void agenda_destroy(struct agenda *agenda);
/* entry: planned_ns is the phase, sequence 0. */
void agenda_add(struct agenda *agenda, const struct agenda_entry *entry);
/* The next one; NULL when there is none left. Valid until the next call. */
const struct agenda_entry *agenda_peek(const struct agenda *agenda);
/* Moves that one on to its next period, or drops it when its count is reached. */
void agenda_advance(struct agenda *agenda);

#endif
