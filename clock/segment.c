/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/segment.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "clock/segment_layout.h"
#include "platform/counters.h"
#include "platform/platform.h"
#include "platform/shared_file.h"

#define PERIOD_MIN_NS 1e-3
#define PERIOD_MAX_NS 1e6
#define LIFT_MAX_NS   100e3
#define BOUND_MAX_NS  (INT64_MAX / 8)
#define GROWTH_MAX    0x1p62
#define LIFT_SLOWNESS 2048 /* a lift is worn off at 1/2048, 488 ppm, in addition to what is being slewed */

struct clock_segment {
    struct segment_layout *layout;
    struct counter counter;
    int fd, lock_fd;
};

/* --- from values to the line -------------------------------------------------------------------------------- */

static uint64_t double_bits(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double bits_double(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static bool period_sound(double period)
{
    return period >= PERIOD_MIN_NS && period <= PERIOD_MAX_NS; /* not NaN either */
}

static bool values_sound(const struct clock_values *values)
{
    return period_sound(values->slew_period_ns) && period_sound(values->period_ns) &&
           period_sound(values->difference_period_ns) && values->fraction >= 0 && values->fraction < 1 &&
           values->bound_ns >= 0 && values->bound_ns <= BOUND_MAX_NS;
}

static uint64_t fixed_period(double period, unsigned shift)
{
    return (uint64_t)ldexp(period, 64 - (int)shift);
}

/* The smallest that keeps the multipliers below 2^63. */
static unsigned fixed_shift(const struct clock_values *values)
{
    double largest = fmax(fmax(values->slew_period_ns, values->period_ns), values->difference_period_ns);
    unsigned shift = 0;

    while (ldexp(largest, -(int)shift) >= 0.5)
        shift++;
    return shift;
}

/* The second piece begins exactly where the first one is at the switch. */
static void continue_piece(const struct segment_piece *first, unsigned shift, uint64_t counter,
                           struct segment_piece *second)
{
    unsigned __int128 total =
        (unsigned __int128)((counter - first->counter) << shift) * first->multiplier + first->fraction;

    second->counter = counter;
    second->time_ns = segment_add(first->time_ns, (int64_t)(total >> 64));
    second->fraction = (uint64_t)total;
}

static void make_line(const struct clock_values *values, struct segment_line *line)
{
    struct segment_piece *piece = line->piece;
    bool sound = values_sound(values);

    memset(line, 0, sizeof *line);
    line->status = (uint8_t)(values->status + 1);
    if (!sound && segment_gives_time(values->status))
        line->status = LOCKSTEP_CLOCK_UNSYNCHRONISED + 1;
    line->disruptions = values->disruptions;
    line->tai_utc_s = values->tai_utc_s;
    line->leap = (int8_t)values->leap;
    line->leap_at_ns = values->leap ? values->leap_at_ns : INT64_MAX;
    line->void_after = values->void_after;
    line->holdover_after = values->holdover_after ? values->holdover_after : values->void_after;
    line->bound_ns = values->bound_ns;
    line->counter_switch = values->counter_switch > values->counter ? values->counter_switch : values->counter;
    piece[0].counter = values->counter;
    piece[0].time_ns = values->time_ns;
    if (!sound)
        return;
    line->shift = (uint8_t)fixed_shift(values);
    piece[0].fraction = (uint64_t)ldexp(values->fraction, 64);
    piece[0].multiplier = fixed_period(values->slew_period_ns, line->shift);
    piece[1].multiplier = fixed_period(values->period_ns, line->shift);
    continue_piece(&piece[0], line->shift, line->counter_switch, &piece[1]);
    line->growth = (uint64_t)fmin(ceil((double)piece[1].multiplier * values->bound_growth_ppb * 1e-9), GROWTH_MAX);
}

static void make_record(const struct clock_values *values, unsigned shift, uint64_t updates,
                        struct segment_record *record)
{
    *record = (struct segment_record){
        .fraction = double_bits(values->fraction),
        .slew_period_ns = double_bits(values->slew_period_ns),
        .period_ns = double_bits(values->period_ns),
        .difference_period_ns = double_bits(values->difference_period_ns),
        .utc_distance_ns = values->utc_distance_ns,
        .difference_multiplier = values_sound(values) ? fixed_period(values->difference_period_ns, shift) : 0,
        .bound_growth_ppb = values->bound_growth_ppb,
        .updates = updates,
    };
}

int clock_values_at(const struct clock_values *values, uint64_t counter, enum lockstep_timescale scale,
                    struct lockstep_time *time)
{
    struct segment_line line;

    make_line(values, &line);
    return segment_time_at(&line, counter, scale, time);
}

/* --- never backwards ---------------------------------------------------------------------------------------- */

/* TAI at a counter value as the first piece or the second gives it, in whole and broken ns. */
struct moment {
    int64_t ns;
    double fraction;
};

static struct moment line_moment(const struct segment_line *line, uint64_t counter)
{
    const struct segment_piece *piece = &line->piece[counter >= line->counter_switch];
    __int128 total =
        (__int128)(int64_t)((counter - piece->counter) << line->shift) * (int64_t)piece->multiplier + piece->fraction;

    return (struct moment){piece->time_ns + (int64_t)(total >> 64), ldexp((double)(uint64_t)total, -64)};
}

/* If the time of `line` at `counter` is less than that of the published one, changes values so that it begins there and
 * meets what they meant later. */
static bool lift(const struct segment_line *published, const struct segment_line *line, uint64_t counter,
                 struct clock_values *values)
{
    struct moment from, to;
    uint64_t meet_from = line->counter_switch > counter ? line->counter_switch : counter, extra, meet;
    double lift_ns, way_ns;

    if (!segment_gives_time((enum lockstep_clock_status)(published->status - 1u)) ||
        !segment_gives_time((enum lockstep_clock_status)(line->status - 1u)) ||
        published->disruptions != line->disruptions || counter < line->piece[0].counter)
        return false;
    from = line_moment(published, counter);
    to = line_moment(line, counter);
    if (llabs(from.ns - to.ns) > (int64_t)LIFT_MAX_NS)
        return false;
    lift_ns = (double)(from.ns - to.ns) + from.fraction - to.fraction;
    if (lift_ns <= 0)
        return false;
    extra = (uint64_t)(lift_ns * LIFT_SLOWNESS / values->period_ns) + 1;
    meet = meet_from + extra;
    way_ns = (double)(meet_from - counter) * values->slew_period_ns + (double)extra * values->period_ns - lift_ns;
    values->bound_ns += (int64_t)ceil(lift_ns + (double)(counter - values->counter) * values->period_ns *
                                                    values->bound_growth_ppb * 1e-9);
    values->counter = counter;
    values->time_ns = from.ns;
    values->fraction = from.fraction;
    values->slew_period_ns = way_ns / (double)(meet - counter);
    values->counter_switch = meet;
    return true;
}

/* --- publishing --------------------------------------------------------------------------------------------- */

static void store_piece(struct segment_piece *to, const struct segment_piece *from)
{
    SEGMENT_STORE(to->counter, from->counter);
    SEGMENT_STORE(to->time_ns, from->time_ns);
    SEGMENT_STORE(to->fraction, from->fraction);
    SEGMENT_STORE(to->multiplier, from->multiplier);
}

static void store_line(struct segment_line *to, const struct segment_line *from)
{
    SEGMENT_STORE(to->status, from->status);
    SEGMENT_STORE(to->shift, from->shift);
    SEGMENT_STORE(to->leap, from->leap);
    SEGMENT_STORE(to->counter_kind, from->counter_kind);
    SEGMENT_STORE(to->disruptions, from->disruptions);
    SEGMENT_STORE(to->tai_utc_s, from->tai_utc_s);
    SEGMENT_STORE(to->counter_switch, from->counter_switch);
    SEGMENT_STORE(to->holdover_after, from->holdover_after);
    SEGMENT_STORE(to->void_after, from->void_after);
    SEGMENT_STORE(to->bound_ns, from->bound_ns);
    SEGMENT_STORE(to->growth, from->growth);
    SEGMENT_STORE(to->leap_at_ns, from->leap_at_ns);
    store_piece(&to->piece[0], &from->piece[0]);
    store_piece(&to->piece[1], &from->piece[1]);
}

static void store_record(struct segment_record *to, const struct segment_record *from)
{
    SEGMENT_STORE(to->fraction, from->fraction);
    SEGMENT_STORE(to->slew_period_ns, from->slew_period_ns);
    SEGMENT_STORE(to->period_ns, from->period_ns);
    SEGMENT_STORE(to->difference_period_ns, from->difference_period_ns);
    SEGMENT_STORE(to->utc_distance_ns, from->utc_distance_ns);
    SEGMENT_STORE(to->difference_multiplier, from->difference_multiplier);
    SEGMENT_STORE(to->bound_growth_ppb, from->bound_growth_ppb);
    SEGMENT_STORE(to->updates, from->updates);
}

/* Only this thread writes; so it may read as it likes. */
void segment_publish(struct clock_segment *segment, const struct clock_values *meant)
{
    struct segment_layout *layout = segment->layout;
    struct clock_values values = *meant;
    struct segment_line line, published = layout->line;
    struct segment_record record;
    bool torn = published.sequence & 1;
    uint32_t events;

    segment_tick(segment);
    make_line(&values, &line);
    /* Readers are shut out before the counter is read (an exchange, because a mere store could still be on its way
     * then): none can have gone on along the old line. */
    __atomic_exchange_n(&layout->line.sequence, published.sequence | 1, __ATOMIC_SEQ_CST);
    if (!torn && lift(&published, &line, segment->counter.read(segment->counter.context), &values))
        make_line(&values, &line);
    line.counter_kind = (uint8_t)segment->counter.kind;
    make_record(&values, line.shift, layout->record.updates + 1, &record);
    store_line(&layout->line, &line);
    store_record(&layout->record, &record);
    SEGMENT_STORE(layout->line.sequence, (published.sequence | 1) + 1);
    if (torn || line.status != published.status || line.disruptions != published.disruptions) {
        events = layout->events + 1;
        shared_file_poke(segment->fd, &events, sizeof events, offsetof(struct segment_layout, events));
    }
}

void segment_tick(struct clock_segment *segment)
{
    if (segment->counter.kind == COUNTER_SIMULATED)
        SEGMENT_STORE(segment->layout->simulated, segment->counter.read(segment->counter.context));
}

bool segment_last(const struct clock_segment *segment, struct clock_values *values)
{
    const struct segment_line *line = &segment->layout->line;
    const struct segment_record *record = &segment->layout->record;

    memset(values, 0, sizeof *values);
    if (line->sequence & 1 || line->status == 0)
        return false;
    *values = (struct clock_values){
        .status = (enum lockstep_clock_status)(line->status - 1),
        .disruptions = line->disruptions,
        .counter = line->piece[0].counter,
        .time_ns = line->piece[0].time_ns,
        .fraction = bits_double(record->fraction),
        .slew_period_ns = bits_double(record->slew_period_ns),
        .period_ns = bits_double(record->period_ns),
        .difference_period_ns = bits_double(record->difference_period_ns),
        .counter_switch = line->counter_switch,
        .void_after = line->void_after,
        .holdover_after = line->holdover_after,
        .bound_ns = line->bound_ns,
        .bound_growth_ppb = record->bound_growth_ppb,
        .utc_distance_ns = record->utc_distance_ns,
        .tai_utc_s = line->tai_utc_s,
        .leap = line->leap,
        .leap_at_ns = line->leap_at_ns,
    };
    return true;
}

uint32_t segment_disruptions(const struct clock_segment *segment)
{
    return segment->layout->line.disruptions;
}

/* --- the file ----------------------------------------------------------------------------------------------- */

static int make_head(const struct counter *counter, struct segment_head *head)
{
    *head = (struct segment_head){
        .magic = SEGMENT_MAGIC,
        .abi = SEGMENT_ABI,
        .size = sizeof(struct segment_layout),
        .counter_kind = counter->kind,
        .nominal_hz = counter->nominal_hz,
    };
    return platform_boot_id(head->boot_id);
}

static bool same_head(const struct segment_head *a, const struct segment_head *b)
{
    return a->magic == b->magic && a->abi == b->abi && a->size == b->size && a->counter_kind == b->counter_kind &&
           memcmp(a->boot_id, b->boot_id, sizeof a->boot_id) == 0;
}

/* A descriptor of the file that is there if it is this boot's, this counter's and this user's, else negative. */
static int open_sound(const char *path, const struct segment_head *head)
{
    struct segment_head found;
    uint64_t size;
    int fd = shared_file_open(path, true);

    if (fd < 0)
        return fd;
    if (shared_file_private(fd) && shared_file_peek(fd, &found, sizeof found, &size) == sizeof found &&
        size >= SEGMENT_FILE_BYTES && same_head(&found, head))
        return fd;
    shared_file_close(fd);
    return LOCKSTEP_E_BAD_FORMAT;
}

/* A new segment's sequence begins anywhere, so that a reader whose mapping is replaced does not take it for the old
 * one. */
static int replace(const char *path, const struct segment_head *head)
{
    union {
        struct segment_layout layout;
        char bytes[SEGMENT_FILE_BYTES];
    } file = {0};
    uint32_t sequence;
    int err = platform_random(&sequence, sizeof sequence);

    if (err < 0)
        return err;
    file.layout.head = *head;
    file.layout.line.sequence = sequence & ~1u;
    return shared_file_replace(path, &file, sizeof file);
}

int segment_create(const char *path, const struct counter *counter, struct clock_segment **out)
{
    struct clock_segment *segment = calloc(1, sizeof *segment);
    struct segment_head head;
    void *mapping;
    int err;

    if (!segment)
        return -ENOMEM;
    *segment = (struct clock_segment){.counter = *counter, .fd = -1, .lock_fd = -1};
    err = make_head(counter, &head);
    if (err < 0)
        goto fail;
    err = segment->lock_fd = shared_file_lock(path);
    if (err < 0)
        goto fail;
    segment->fd = open_sound(path, &head);
    if (segment->fd < 0)
        err = segment->fd = replace(path, &head);
    if (err < 0)
        goto fail;
    err = shared_file_map(segment->fd, SEGMENT_FILE_BYTES, true, NULL, &mapping);
    if (err < 0)
        goto fail;
    segment->layout = mapping;
    *out = segment;
    return 0;

fail:
    shared_file_close(segment->fd);
    shared_file_close(segment->lock_fd);
    free(segment);
    return err == -EWOULDBLOCK ? LOCKSTEP_E_CONFLICT : err;
}

void segment_close(struct clock_segment *segment)
{
    if (!segment)
        return;
    shared_file_unmap(segment->layout, SEGMENT_FILE_BYTES);
    shared_file_close(segment->fd);
    shared_file_close(segment->lock_fd);
    free(segment);
}
