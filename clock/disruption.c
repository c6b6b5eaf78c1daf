/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/disruption.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/units.h"

#define JUMP_NS      1000000 /* suspends take longer; interrupted readings are wider and told apart by that */
#define RATE_MAX_PPM 1000    /* between the counter's nominal rate and the kernel's idea of it */
#define READ_TRIES   4
#define READ_WIDE_NS 20000

void disruption_init(struct disruption *disruption, double nominal_hz)
{
    *disruption = (struct disruption){.nominal_hz = nominal_hz};
}

static int read_clock(clockid_t id, int64_t *ns)
{
    struct timespec time;

    if (clock_gettime(id, &time) < 0)
        return -errno;
    *ns = (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
    return 0;
}

static int read_once(const struct counter *counter, struct disruption_reading *out)
{
    int64_t raw_after = 0;
    int result = read_clock(CLOCK_MONOTONIC_RAW, &out->raw_ns);

    out->counter = counter->read(counter->context);
    if (result == 0)
        result = read_clock(CLOCK_BOOTTIME, &out->boottime_ns);
    if (result == 0)
        result = read_clock(CLOCK_MONOTONIC, &out->monotonic_ns);
    if (result == 0)
        result = read_clock(CLOCK_MONOTONIC_RAW, &raw_after);
    out->width_ns = raw_after - out->raw_ns;
    return result;
}

int disruption_read(const struct counter *counter, struct disruption_reading *out)
{
    int result = read_once(counter, out);

    for (unsigned i = 1; i < READ_TRIES && result == 0 && out->width_ns > READ_WIDE_NS; i++) {
        struct disruption_reading again;

        result = read_once(counter, &again);
        if (result == 0 && again.width_ns < out->width_ns)
            *out = again;
    }
    return result;
}

bool disruption_check(struct disruption *disruption, const struct disruption_reading *now, char why[160])
{
    struct disruption_reading last = disruption->last;
    bool valid = disruption->valid;
    double counted, raw, suspended, slack;
    char amount[UNITS_TEXT_MAX];

    disruption->last = *now;
    disruption->valid = true;
    if (!valid)
        return false;
    slack = JUMP_NS + (double)(now->width_ns + last.width_ns);
    counted = (double)(int64_t)(now->counter - last.counter) * 1e9 / disruption->nominal_hz;
    raw = (double)(now->raw_ns - last.raw_ns);
    suspended = (double)((now->boottime_ns - now->monotonic_ns) - (last.boottime_ns - last.monotonic_ns));
    if (suspended > slack) {
        snprintf(why, 160, "the machine was suspended for %s", units_format_ns((uint64_t)suspended, amount));
        return true;
    }
    if (__builtin_fabs(counted - raw) > slack + __builtin_fabs(raw) * RATE_MAX_PPM * 1e-6) {
        snprintf(why, 160, "the counter moved by %.6f s while the kernel counted %.6f s", counted / 1e9, raw / 1e9);
        return true;
    }
    return false;
}
