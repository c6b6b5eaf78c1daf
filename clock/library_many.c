/* SPDX-License-Identifier: BSD-2-Clause */
/* liblockstep-clock: many counter values at once, by one state of the clock. */
#include <string.h>

#include "clock/library_private.h"
#include "clock/segment_layout.h"
#include "platform/platform.h"

/* As for the other calls: some milliseconds, then the writer has died in the middle of an update. */
#define TRIES 100000

static void copy_piece(const struct segment_piece *from, struct segment_piece *to)
{
    to->counter = SEGMENT_LOAD(from->counter);
    to->time_ns = SEGMENT_LOAD(from->time_ns);
    to->fraction = SEGMENT_LOAD(from->fraction);
    to->multiplier = SEGMENT_LOAD(from->multiplier);
}

static void copy_line(const struct segment_line *from, struct segment_line *to)
{
    memset(to, 0, sizeof *to);
    to->status = SEGMENT_LOAD(from->status);
    to->shift = SEGMENT_LOAD(from->shift);
    to->leap = SEGMENT_LOAD(from->leap);
    to->counter_kind = SEGMENT_LOAD(from->counter_kind);
    to->disruptions = SEGMENT_LOAD(from->disruptions);
    to->tai_utc_s = SEGMENT_LOAD(from->tai_utc_s);
    to->counter_switch = SEGMENT_LOAD(from->counter_switch);
    to->holdover_after = SEGMENT_LOAD(from->holdover_after);
    to->void_after = SEGMENT_LOAD(from->void_after);
    to->bound_ns = SEGMENT_LOAD(from->bound_ns);
    to->growth = SEGMENT_LOAD(from->growth);
    to->leap_at_ns = SEGMENT_LOAD(from->leap_at_ns);
    copy_piece(&from->piece[0], &to->piece[0]);
    copy_piece(&from->piece[1], &to->piece[1]);
}

/* The line as it was at one moment. False: its writer died in the middle of an update. */
static bool read_line(const struct segment_line *line, struct segment_line *copy)
{
    for (unsigned attempt = 0; attempt < TRIES; attempt++, platform_relax()) {
        uint32_t sequence = SEGMENT_LOAD(line->sequence);

        if (sequence & 1)
            continue;
        copy_line(line, copy);
        if (SEGMENT_LOAD(line->sequence) == sequence)
            return true;
    }
    return false;
}

int lockstep_clock_at_many(const struct lockstep_clock *clock, const uint64_t *counters, size_t count,
                           enum lockstep_timescale scale, int64_t *ns, int64_t *bound_ns, uint32_t *disruptions)
{
    struct segment_line line;
    int result = 0;

    if (!read_line(&clock->segment->line, &line))
        return LOCKSTEP_CLOCK_E_TORN;
    if (!segment_gives_time(segment_status(&line, line.piece[0].counter)))
        return LOCKSTEP_CLOCK_E_NO_TIME;
    for (size_t i = 0; i < count; i++) {
        struct lockstep_time time;
        int err = segment_time_at(&line, counters[i], scale, &time);

        ns[i] = err == 0 ? time.ns : INT64_MIN;
        if (bound_ns)
            bound_ns[i] = err == 0 ? segment_add(time.latest_ns, (int64_t)(0 - (uint64_t)time.ns)) : INT64_MAX;
        if (err < 0)
            result = LOCKSTEP_CLOCK_E_RANGE;
    }
    if (disruptions)
        *disruptions = line.disruptions;
    return result;
}
