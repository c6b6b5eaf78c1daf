/* SPDX-License-Identifier: BSD-2-Clause */
/* The bytes of the segment, and what a reader computes from them. Private to segment.c and the library; the layout is
 * in lockstep-clock-segment(5) for programs that read it by themselves. All numbers are in the machine's byte order.
 *
 * Writer and readers are different processes: every field behind the head is read and written as an atomic of its own.
 * A reader loads with acquire and the writer stores with release, so that whoever sees one new value also sees that the
 * sequence is odd or has moved on: no fences are needed, and on x86 these are plain moves. */
#ifndef LOCKSTEP_CLOCK_SEGMENT_LAYOUT_H
#define LOCKSTEP_CLOCK_SEGMENT_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lockstep/clock.h"

#define SEGMENT_MAGIC        0x4b434f4c43534cull /* "LSCLOCK" and a zero byte, on little-endian machines */
#define SEGMENT_ABI          1
#define SEGMENT_FILE_BYTES   4096 /* one page: while it is not truncated to nothing, reading it cannot fault */
#define SEGMENT_DEFAULT_PATH "/run/lockstep/clock"
#define SEGMENT_PATH_ENV     "LOCKSTEP_CLOCK"

#define SEGMENT_PAST_NS     1000000000000 /* how far before the reference counter values are converted */
#define SEGMENT_NS_PER_S    1000000000
#define SEGMENT_LOAD(x)     __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define SEGMENT_STORE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELEASE)

/* Set once, before anybody sees the file. */
struct segment_head {
    uint64_t magic;
    uint32_t abi;
    uint32_t size;         /* of struct segment_layout */
    uint32_t counter_kind; /* enum counter_kind */
    uint32_t reserved;
    double nominal_hz;
    uint8_t boot_id[16];
    uint8_t unused[16];
};

/* A straight line: time(T) = time_ns + (((T - counter) << shift) * multiplier + fraction) / 2^64, rounded down. */
struct segment_piece {
    uint64_t counter;
    int64_t time_ns;     /* TAI */
    uint64_t fraction;   /* 2^-64 ns */
    uint64_t multiplier; /* below 2^63; period in ns = multiplier << shift / 2^64 */
};

/* Two cache lines that a reader needs. */
struct segment_line {
    uint32_t sequence; /* odd while the writer is at it */
    uint8_t status;    /* enum lockstep_clock_status + 1; 0: nothing was published yet */
    uint8_t shift;     /* of both pieces and the growth */
    int8_t leap;       /* +1, -1: TAI - UTC changes by this at leap_at_ns */
    uint8_t counter_kind;
    uint32_t disruptions;
    int32_t tai_utc_s;       /* before leap_at_ns */
    uint64_t counter_switch; /* from here on the second piece holds */
    uint64_t holdover_after; /* counter: no update by then means that the daemon is gone */
    uint64_t void_after;     /* counter */
    int64_t bound_ns;        /* at the reference, the first piece's counter */
    uint64_t growth;         /* of the bound: 2^-64 ns for each (tick << shift) */
    int64_t leap_at_ns;      /* TAI */
    struct segment_piece piece[2];
};

/* What the second half of a reader's calls and the next daemon need. Doubles as their bits. */
struct segment_record {
    uint64_t fraction, slew_period_ns, period_ns, difference_period_ns; /* double */
    int64_t utc_distance_ns;
    uint64_t difference_multiplier; /* with the line's shift */
    uint32_t bound_growth_ppb;
    uint32_t reserved;
    uint64_t updates;
};

struct segment_layout {
    struct segment_head head __attribute__((aligned(64)));
    struct segment_line line __attribute__((aligned(64)));
    struct segment_record record __attribute__((aligned(64)));
    uint64_t simulated __attribute__((aligned(64))); /* the counter itself, for COUNTER_SIMULATED */
    uint32_t events __attribute__((aligned(64)));    /* status changes; written by a system call, see segment_publish */
};

_Static_assert(sizeof(struct segment_head) == 64, "layout");
_Static_assert(sizeof(struct segment_line) == 128, "layout");
_Static_assert(sizeof(struct segment_record) == 64, "layout");
_Static_assert(offsetof(struct segment_layout, line) == 64, "layout");
_Static_assert(offsetof(struct segment_layout, record) == 192, "layout");
_Static_assert(offsetof(struct segment_layout, simulated) == 256, "layout");
_Static_assert(offsetof(struct segment_layout, events) == 320, "layout");
_Static_assert(sizeof(struct segment_layout) == 384, "layout");

static inline int64_t segment_multiply(int64_t ticks, unsigned shift, uint64_t multiplier, uint64_t fraction)
{
    int64_t scaled = (int64_t)((uint64_t)ticks << (shift & 63));

    return (int64_t)(((__int128)scaled * (int64_t)multiplier + fraction) >> 64);
}

/* Wraps, because a segment that somebody has scribbled in must not be undefined behaviour. */
static inline int64_t segment_add(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

/* TAI at a counter value by one of the pieces. */
static inline int64_t segment_piece_ns(const struct segment_piece *piece, unsigned shift, uint64_t counter)
{
    return segment_add(SEGMENT_LOAD(piece->time_ns),
                       segment_multiply((int64_t)(counter - SEGMENT_LOAD(piece->counter)), shift,
                                        SEGMENT_LOAD(piece->multiplier), SEGMENT_LOAD(piece->fraction)));
}

static inline int64_t segment_to_utc(const struct segment_line *line, int64_t tai_ns)
{
    int64_t offset_s = SEGMENT_LOAD(line->tai_utc_s);

    if (__builtin_expect(tai_ns >= SEGMENT_LOAD(line->leap_at_ns), 0))
        offset_s += SEGMENT_LOAD(line->leap);
    return segment_add(tai_ns, -offset_s * SEGMENT_NS_PER_S);
}

/* The status at a counter value not before the reference. */
static inline enum lockstep_clock_status segment_status(const struct segment_line *line, uint64_t counter)
{
    unsigned status = SEGMENT_LOAD(line->status) - 1u;

    if (status > LOCKSTEP_CLOCK_DISRUPTED)
        return LOCKSTEP_CLOCK_UNSYNCHRONISED;
    if (status != LOCKSTEP_CLOCK_SYNCHRONISED && status != LOCKSTEP_CLOCK_HOLDOVER)
        return (enum lockstep_clock_status)status;
    if (counter > SEGMENT_LOAD(line->void_after))
        return LOCKSTEP_CLOCK_UNSYNCHRONISED;
    return counter > SEGMENT_LOAD(line->holdover_after) ? LOCKSTEP_CLOCK_HOLDOVER : (enum lockstep_clock_status)status;
}

static inline bool segment_gives_time(enum lockstep_clock_status status)
{
    return status == LOCKSTEP_CLOCK_SYNCHRONISED || status == LOCKSTEP_CLOCK_HOLDOVER;
}

static inline void segment_set_time(const struct segment_line *line, int64_t tai_ns, int64_t growth_ns,
                                    enum lockstep_timescale scale, struct lockstep_time *time)
{
    int64_t bound = segment_add(segment_add(SEGMENT_LOAD(line->bound_ns), 1), growth_ns);
    int64_t ns = scale == LOCKSTEP_UTC ? segment_to_utc(line, tai_ns) : tai_ns;

    time->ns = ns;
    time->earliest_ns = segment_add(ns, (int64_t)(0 - (uint64_t)bound));
    time->latest_ns = segment_add(ns, bound);
    time->disruptions = SEGMENT_LOAD(line->disruptions);
}

/* The time at a counter value that is not before the reference but by what cores differ. Whether it is valid shows only
 * when the sequence has not changed. 0 or LOCKSTEP_CLOCK_E_NO_TIME. */
static inline int segment_time(const struct segment_line *line, uint64_t counter, enum lockstep_timescale scale,
                               struct lockstep_time *time)
{
    unsigned shift = SEGMENT_LOAD(line->shift);
    int64_t ticks = (int64_t)(counter - SEGMENT_LOAD(line->piece[0].counter)), ns;

    time->status = segment_status(line, counter);
    if (__builtin_expect(!segment_gives_time(time->status), 0))
        return LOCKSTEP_CLOCK_E_NO_TIME;
    if (__builtin_expect(counter < SEGMENT_LOAD(line->counter_switch), 0))
        ns = segment_piece_ns(&line->piece[0], shift, counter);
    else
        ns = segment_piece_ns(&line->piece[1], shift, counter);
    segment_set_time(line, ns, segment_multiply(ticks, shift, SEGMENT_LOAD(line->growth), 0), scale, time);
    return 0;
}

/* The time at any counter value: before the reference the line goes on with the second piece's rate, as far as
 * SEGMENT_PAST_NS. 0, LOCKSTEP_CLOCK_E_NO_TIME, or LOCKSTEP_CLOCK_E_RANGE. */
int segment_time_at(const struct segment_line *line, uint64_t counter, enum lockstep_timescale scale,
                    struct lockstep_time *time);

/* Whether these first bytes of a file are a segment that this program can read: 0, or LOCKSTEP_CLOCK_E_FOREIGN,
 * _VERSION, _TRUNCATED. boot_id: this boot's, NULL: not known. */
int segment_check(const void *bytes, size_t length, uint64_t file_size, const uint8_t *boot_id);

#endif
