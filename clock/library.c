/* SPDX-License-Identifier: BSD-2-Clause */
/* liblockstep-clock: opening and reading. */
#include "clock/library_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "clock/counter.h"
#include "platform/counters.h"
#include "platform/shared_file.h"

/* The writer is at it for a tenth of a microsecond; some milliseconds mean that it has died there. */
#define TRIES 100000

#define LIKELY(x) __builtin_expect(!!(x), 1)

const char *lockstep_clock_error_text(int error)
{
    switch (error) {
    case LOCKSTEP_CLOCK_E_FOREIGN:
        return "not a clock segment of this machine since its boot";
    case LOCKSTEP_CLOCK_E_VERSION:
        return "clock segment of another version";
    case LOCKSTEP_CLOCK_E_TRUNCATED:
        return "clock segment is truncated";
    case LOCKSTEP_CLOCK_E_TORN:
        return "clock segment is torn: its daemon died in the middle of an update";
    case LOCKSTEP_CLOCK_E_NO_TIME:
        return "the clock has no time";
    case LOCKSTEP_CLOCK_E_RANGE:
        return "counter value is too far from the clock's reference";
    default:
        return error_text(error);
    }
}

/* --- opening ------------------------------------------------------------------------------------------------ */

static int check_file(int fd)
{
    struct segment_layout head;
    uint8_t boot_id[16];
    uint64_t file_size;
    int length = shared_file_peek(fd, &head, sizeof head, &file_size);

    if (length < 0)
        return length;
    return segment_check(&head, (size_t)length, file_size, platform_boot_id(boot_id) == 0 ? boot_id : NULL);
}

int library_map(struct lockstep_clock *clock)
{
    int err, fd = shared_file_open(clock->path, false);
    void *mapping;

    if (fd < 0)
        return fd == -EINVAL ? LOCKSTEP_CLOCK_E_FOREIGN : fd;
    err = check_file(fd);
    if (err == 0)
        err = shared_file_identity(fd, clock->file);
    if (err == 0)
        err = shared_file_map(fd, SEGMENT_FILE_BYTES, false, (void *)(uintptr_t)clock->segment, &mapping);
    if (err == 0)
        clock->segment = mapping;
    shared_file_close(fd);
    return err;
}

int lockstep_clock_open(const char *path, struct lockstep_clock **out)
{
    struct lockstep_clock *clock;
    const char *named = secure_getenv(SEGMENT_PATH_ENV);
    int err = -ENOMEM;

    if (!path)
        path = named && *named ? named : SEGMENT_DEFAULT_PATH;
    clock = calloc(1, sizeof *clock);
    if (clock)
        clock->path = strdup(path);
    if (clock && clock->path)
        err = library_map(clock);
    if (err == 0) {
        *out = clock;
        return 0;
    }
    if (clock)
        free(clock->path);
    free(clock);
    return err;
}

void lockstep_clock_close(struct lockstep_clock *clock)
{
    if (!clock)
        return;
    library_watch_close(clock);
    shared_file_unmap((void *)(uintptr_t)clock->segment, SEGMENT_FILE_BYTES);
    free(clock->path);
    free(clock);
}

/* --- the counter -------------------------------------------------------------------------------------------- */

static inline uint64_t read_counter(const struct segment_layout *segment, uint32_t kind, bool ordered)
{
    if (LIKELY(kind == COUNTER_TSC))
        return ordered ? platform_tsc_ordered() : platform_tsc();
    if (kind == COUNTER_MONOTONIC_RAW)
        return platform_monotonic_raw_ns();
    return kind == COUNTER_SIMULATED ? SEGMENT_LOAD(segment->simulated) : 0;
}

uint64_t lockstep_clock_counter(const struct lockstep_clock *clock)
{
    return read_counter(clock->segment, clock->segment->head.counter_kind, true);
}

/* --- reading ------------------------------------------------------------------------------------------------ */

/* A reading is good if the writer was not at it before, and has not been meanwhile. */
static inline bool read_begin(const struct segment_line *line, uint32_t *sequence)
{
    *sequence = SEGMENT_LOAD(line->sequence);
    return LIKELY(!(*sequence & 1));
}

static inline bool read_end(const struct segment_line *line, uint32_t sequence)
{
    return LIKELY(SEGMENT_LOAD(line->sequence) == sequence);
}

/* For each attempt at a reading: ends when the block leaves by return. */
#define READ_ATTEMPTS(attempt) for (unsigned attempt = 0; attempt < TRIES; attempt++, platform_relax())

static __attribute__((noinline, cold)) int no_time(enum lockstep_clock_status status, int err,
                                                   struct lockstep_time *time)
{
    memset(time, 0, sizeof *time);
    time->status = status;
    return err;
}

static inline int read_now(const struct lockstep_clock *clock, bool ordered, enum lockstep_timescale scale,
                           struct lockstep_time *time)
{
    const struct segment_layout *segment = clock->segment;
    const struct segment_line *line = &segment->line;
    uint32_t sequence;

    READ_ATTEMPTS(attempt)
    {
        int err;

        if (!read_begin(line, &sequence))
            continue;
        err = segment_time(line, read_counter(segment, SEGMENT_LOAD(line->counter_kind), ordered), scale, time);
        if (read_end(line, sequence))
            return LIKELY(err == 0) ? 0 : no_time(time->status, err, time);
    }
    return no_time(LOCKSTEP_CLOCK_UNSYNCHRONISED, LOCKSTEP_CLOCK_E_TORN, time);
}

int lockstep_clock_now(const struct lockstep_clock *clock, enum lockstep_timescale scale, struct lockstep_time *time)
{
    return read_now(clock, false, scale, time);
}

int lockstep_clock_now_ordered(const struct lockstep_clock *clock, enum lockstep_timescale scale,
                               struct lockstep_time *time)
{
    return read_now(clock, true, scale, time);
}

int lockstep_clock_at(const struct lockstep_clock *clock, uint64_t counter, enum lockstep_timescale scale,
                      struct lockstep_time *time)
{
    const struct segment_line *line = &clock->segment->line;
    uint32_t sequence;

    READ_ATTEMPTS(attempt)
    {
        int err;

        if (!read_begin(line, &sequence))
            continue;
        err = segment_time_at(line, counter, scale, time);
        if (read_end(line, sequence))
            return err == 0 ? 0 : no_time(time->status, err, time);
    }
    return no_time(LOCKSTEP_CLOCK_UNSYNCHRONISED, LOCKSTEP_CLOCK_E_TORN, time);
}

static int64_t clamp(double value)
{
    return value >= (double)INT64_MAX ? INT64_MAX : value <= (double)INT64_MIN ? INT64_MIN : (int64_t)value;
}

static int difference(const struct segment_layout *segment, uint64_t from, uint64_t to, int64_t *ns, int64_t *error_ns)
{
    const struct segment_line *line = &segment->line;
    uint64_t multiplier = SEGMENT_LOAD(segment->record.difference_multiplier);
    unsigned shift = SEGMENT_LOAD(line->shift) & 63;
    uint64_t ticks = to > from ? to - from : from - to;
    int64_t size;

    if (!segment_gives_time(segment_status(line, SEGMENT_LOAD(line->piece[0].counter))))
        return LOCKSTEP_CLOCK_E_NO_TIME;
    if (ticks > (uint64_t)INT64_MAX >> shift)
        return LOCKSTEP_CLOCK_E_RANGE;
    size = segment_multiply((int64_t)ticks, shift, multiplier, 1ull << 63); /* rounded */
    *ns = to < from ? -size : size;
    *error_ns = clamp((double)size * SEGMENT_LOAD(segment->record.bound_growth_ppb) * 1e-9 + 1);
    return 0;
}

int lockstep_clock_difference(const struct lockstep_clock *clock, uint64_t from, uint64_t to, int64_t *difference_ns,
                              int64_t *error_ns)
{
    const struct segment_layout *segment = clock->segment;
    int64_t unwanted;
    uint32_t sequence;

    READ_ATTEMPTS(attempt)
    {
        int err;

        if (!read_begin(&segment->line, &sequence))
            continue;
        err = difference(segment, from, to, difference_ns, error_ns ? error_ns : &unwanted);
        if (read_end(&segment->line, sequence))
            return err;
    }
    return LOCKSTEP_CLOCK_E_TORN;
}

/* --- information -------------------------------------------------------------------------------------------- */

static double period_ns(const struct segment_line *line)
{
    return (double)SEGMENT_LOAD(line->piece[1].multiplier) * (double)(1ull << (SEGMENT_LOAD(line->shift) & 63)) *
           0x1p-64;
}

static void fill_info(const struct segment_layout *segment, struct lockstep_clock_info *info)
{
    const struct segment_line *line = &segment->line;
    uint64_t now = read_counter(segment, segment->head.counter_kind, true);
    double period = period_ns(line);
    struct lockstep_time time;
    int64_t distance = SEGMENT_LOAD(segment->record.utc_distance_ns);

    info->bound_ns = info->bound_utc_ns = INT64_MAX;
    info->disruptions = SEGMENT_LOAD(line->disruptions);
    info->updates = SEGMENT_LOAD(segment->record.updates);
    info->status = segment_status(line, now);
    if (SEGMENT_LOAD(line->status) == 0 || period == 0)
        return;
    info->counter_hz = 1e9 / period;
    info->age_ns = clamp((double)(int64_t)(now - SEGMENT_LOAD(line->piece[0].counter)) * period);
    info->void_in_ns = clamp((double)(int64_t)(SEGMENT_LOAD(line->void_after) - now) * period);
    info->tai_utc_s = SEGMENT_LOAD(line->tai_utc_s);
    info->leap = SEGMENT_LOAD(line->leap);
    if (segment_time(line, now, LOCKSTEP_TAI, &time) < 0)
        return;
    if (time.ns >= SEGMENT_LOAD(line->leap_at_ns)) {
        info->tai_utc_s += info->leap;
        info->leap = 0;
    }
    info->bound_ns = segment_add(time.latest_ns, -time.ns);
    if (__builtin_add_overflow(info->bound_ns, distance, &info->bound_utc_ns))
        info->bound_utc_ns = INT64_MAX;
}

int lockstep_clock_get_info(const struct lockstep_clock *clock, struct lockstep_clock_info *info)
{
    const struct segment_layout *segment = clock->segment;
    uint32_t sequence;

    READ_ATTEMPTS(attempt)
    {
        if (!read_begin(&segment->line, &sequence))
            continue;
        memset(info, 0, sizeof *info);
        fill_info(segment, info);
        if (!read_end(&segment->line, sequence))
            continue;
        strcpy(info->counter, counter_name((enum counter_kind)segment->head.counter_kind));
        return 0;
    }
    memset(info, 0, sizeof *info);
    return LOCKSTEP_CLOCK_E_TORN;
}
