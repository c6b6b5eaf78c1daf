/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "clock/counter.h"
#include "clock/segment_layout.h"
#include "platform/counters.h"

/* Going back from the reference. What was slewed away since then is not known any more: it is part of the bound there.
 */
static int time_before(const struct segment_line *line, uint64_t counter, enum lockstep_timescale scale,
                       struct lockstep_time *time)
{
    struct segment_piece back = {.counter = SEGMENT_LOAD(line->piece[0].counter),
                                 .time_ns = SEGMENT_LOAD(line->piece[0].time_ns),
                                 .fraction = SEGMENT_LOAD(line->piece[0].fraction),
                                 .multiplier = SEGMENT_LOAD(line->piece[1].multiplier)};
    unsigned shift = SEGMENT_LOAD(line->shift) & 63;
    uint64_t ticks = back.counter - counter;
    int64_t ns;

    if (ticks > (uint64_t)INT64_MAX >> shift)
        return LOCKSTEP_CLOCK_E_RANGE;
    ns = segment_piece_ns(&back, shift, counter);
    if (ns < segment_add(back.time_ns, -SEGMENT_PAST_NS))
        return LOCKSTEP_CLOCK_E_RANGE;
    segment_set_time(line, ns, segment_multiply((int64_t)ticks, shift, SEGMENT_LOAD(line->growth), 0), scale, time);
    return 0;
}

int segment_time_at(const struct segment_line *line, uint64_t counter, enum lockstep_timescale scale,
                    struct lockstep_time *time)
{
    uint64_t reference = SEGMENT_LOAD(line->piece[0].counter);
    enum lockstep_clock_status published = segment_status(line, reference);
    int err;

    memset(time, 0, sizeof *time);
    if (!segment_gives_time(published)) {
        time->status = published;
        return LOCKSTEP_CLOCK_E_NO_TIME;
    }
    time->status = published;
    if (counter > SEGMENT_LOAD(line->void_after))
        err = LOCKSTEP_CLOCK_E_RANGE;
    else if (counter < reference)
        err = time_before(line, counter, scale, time);
    else
        err = segment_time(line, counter, scale, time);
    if (err == 0 || err == LOCKSTEP_CLOCK_E_RANGE)
        return err;
    time->status = LOCKSTEP_CLOCK_UNSYNCHRONISED;
    return err;
}

int segment_check(const void *bytes, size_t length, uint64_t file_size, const uint8_t *boot_id)
{
    struct segment_head head = {0};

    memcpy(&head, bytes, length < sizeof head ? length : sizeof head);
    if (length >= sizeof head.magic && head.magic != SEGMENT_MAGIC)
        return LOCKSTEP_CLOCK_E_FOREIGN;
    if (length < sizeof head)
        return LOCKSTEP_CLOCK_E_TRUNCATED;
    if (head.abi != SEGMENT_ABI)
        return LOCKSTEP_CLOCK_E_VERSION;
    if (head.size < sizeof(struct segment_layout))
        return LOCKSTEP_CLOCK_E_FOREIGN;
    if (file_size < head.size)
        return LOCKSTEP_CLOCK_E_TRUNCATED;
    if (boot_id && memcmp(head.boot_id, boot_id, sizeof head.boot_id) != 0)
        return LOCKSTEP_CLOCK_E_FOREIGN;
    if (head.counter_kind == COUNTER_TSC)
        return PLATFORM_HAS_TSC ? 0 : LOCKSTEP_CLOCK_E_FOREIGN;
    return head.counter_kind == COUNTER_MONOTONIC_RAW || head.counter_kind == COUNTER_SIMULATED
               ? 0
               : LOCKSTEP_CLOCK_E_FOREIGN;
}
