/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>

#include "clock/core_private.h"

#define ANNOUNCED_BEFORE_NS (86400 * NS_PER_S) /* servers' announcements count on the last day of the month only */
#define FROZEN_BEFORE_NS    (10 * NS_PER_S)    /* and no more so shortly before */
#define VOTE_AFTER_NS       (2 * NS_PER_S)
#define SURE_NS             2e8 /* a time with a smaller bound tells the sides of a leap second apart */

/* The time as this clock has it, from the source's own line or the published one. */
static bool predict(const struct core *core, const struct source *source, uint64_t counter, int64_t *tai_ns)
{
    struct estimate estimate;
    double fraction;

    estimator_get(source->estimator, counter, &estimate);
    if (estimate.valid && estimate.bound_ns < SURE_NS) {
        *tai_ns = estimate.time_ns;
        return true;
    }
    return steering_time(&core->steering, counter, tai_ns, &fraction) &&
           (double)core->steering.values.bound_ns < SURE_NS;
}

int64_t core_to_tai(struct core *core, struct source *source, int64_t utc_ns, uint64_t tf)
{
    int64_t predicted_ns, tai_ns;

    double fraction;

    source->voted = false;
    if (steering_time(&core->steering, tf, &predicted_ns, &fraction) && !leap_is_near(&core->leap, predicted_ns))
        return leap_to_tai(&core->leap, utc_ns);
    if (!predict(core, source, tf, &predicted_ns))
        return leap_to_tai(&core->leap, utc_ns);
    tai_ns = leap_to_tai_near(&core->leap, utc_ns, predicted_ns, &source->shift);
    source->voted = leap_is_near(&core->leap, predicted_ns);
    source->voted_ns = tai_ns;
    return tai_ns;
}

static bool is_heard(const struct core *core, unsigned i)
{
    return core->sources[i].association && core->selection.verdicts[i] == SELECTION_TRUECHIMER &&
           !core->sources[i].config.no_select;
}

/* The sign of the leap second that more than half of the trusted servers announce. */
static int announced(const struct core *core)
{
    int count[3] = {0}, heard = 0;

    for (unsigned i = 0; i < core->source_end; i++) {
        struct association_status status;

        if (!is_heard(core, i))
            continue;
        association_get(core->sources[i].association, &status);
        count[status.leap == NTP_LEAP_INSERT ? 2 : status.leap == NTP_LEAP_DELETE ? 0 : 1]++;
        heard++;
    }
    return 2 * count[2] > heard ? 1 : 2 * count[0] > heard ? -1 : 0;
}

static void take_announcement(struct core *core, int64_t tai_ns)
{
    struct leap_table present = leap_present(&core->leap, tai_ns);
    int64_t utc_ns = leap_to_utc(&core->leap, tai_ns), end_ns = leap_month_end(utc_ns);
    int leap;

    if (tai_ns < core->leap.told_ns || end_ns == INT64_MAX || utc_ns < end_ns - ANNOUNCED_BEFORE_NS ||
        utc_ns > end_ns - FROZEN_BEFORE_NS)
        return;
    leap = announced(core);
    if (leap == present.leap)
        return;
    core->leap = present;
    core->leap.leap = leap;
    core->leap.leap_at_ns = leap ? leap_moment(present.tai_utc_s, end_ns, leap) : 0;
    core_log(core, LOG_LEVEL_INFO, "leap second: %s",
             leap > 0   ? "one will be inserted at the end of the day"
             : leap < 0 ? "one will be deleted at the end of the day"
                        : "no longer announced");
}

/* After the moment: what did most of the trusted servers do? */
static void count_votes(struct core *core, int64_t tai_ns, int64_t moment_ns)
{
    struct leap_table present = leap_present(&core->leap, tai_ns);
    int count[3] = {0}, votes = 0, heard = 0, shift = present.leap;

    for (unsigned i = 0; i < core->source_end; i++) {
        const struct source *source = &core->sources[i];

        if (!is_heard(core, i))
            continue;
        heard++;
        if (!source->voted || source->voted_ns < moment_ns + VOTE_AFTER_NS)
            continue;
        count[source->shift + 1]++;
        votes++;
    }
    for (int i = -1; i <= 1; i++)
        if (2 * count[i + 1] > heard)
            shift = i;
    if (votes == 0 || shift == present.leap)
        return;
    core_log(core, LOG_LEVEL_WARNING, "leap second: the servers made %s, not %s: UTC follows them",
             shift > 0   ? "one"
             : shift < 0 ? "a deleted one"
                         : "none",
             present.leap ? "what was announced" : "none as expected");
    core->leap = present;
    core->leap.leap = shift;
    core->leap.leap_at_ns = shift ? moment_ns : 0;
    core->leap.told_ns = 0;
}

void core_leap_update(struct core *core, uint64_t counter)
{
    bool pending;
    int64_t tai_ns, moment_ns;
    double fraction;

    if (!steering_time(&core->steering, counter, &tai_ns, &fraction))
        return;
    pending = leap_is_pending(&core->leap, tai_ns);
    if (core->leap_pending && !pending && core->leap.leap != 0)
        core_log(core, LOG_LEVEL_INFO, "leap second: over, TAI - UTC is %" PRId32 " s",
                 leap_offset(&core->leap, tai_ns));
    core->leap_pending = pending;
    take_announcement(core, tai_ns);
    moment_ns = leap_near_moment(&core->leap, tai_ns);
    if (moment_ns != INT64_MAX && tai_ns >= moment_ns + VOTE_AFTER_NS)
        count_votes(core, tai_ns, moment_ns);
}
