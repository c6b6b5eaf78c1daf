/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/discipline.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "platform/platform.h"

#define FREQUENCY_MAX_PPM 500.0         /* the kernel's limit */
#define STEP_NS           100000000     /* a larger offset is stepped */
#define PULL_S            4.0           /* an offset is taken away within about this time */
#define SMOOTHING         0.25          /* of the frequency */
#define LOOK_AGAIN_NS     60000000000ll /* whether the other program has gone */
#define STRANGE_NS        1000000       /* nobody but a setter moves the clock like that in a second */
#define STRANGE_LIMIT     3
#define INTERVAL_MAX_NS   10000000000ll /* after a longer gap the rate of change means nothing */

struct discipline {
    struct discipline_kernel kernel;
    bool active, has_last;
    int64_t look_at_ns;
    long frequency;    /* as set last, the kernel's unit: 2^-16 ppm */
    double wanted_ppm; /* frequency that would keep the offset as it is */
    int64_t last_ns, last_offset_ns;
    unsigned strange;
};

static int real_adjust(void *context, struct timex *request)
{
    (void)context;
    return adjtimex(request) < 0 ? -errno : 0;
}

bool discipline_active(const struct discipline *discipline)
{
    return discipline->active;
}

static long to_kernel(double ppm)
{
    return lround(ppm * 65536);
}

/* Takes the clock over, if nobody else has it. */
static bool acquire(struct discipline *discipline, int64_t now_ns)
{
    struct timex state = {0};
    int result = discipline->kernel.adjust(discipline->kernel.context, &state);

    discipline->look_at_ns = now_ns + LOOK_AGAIN_NS;
    if (result == 0 && !(state.status & STA_UNSYNC))
        result = LOCKSTEP_E_CONFLICT;
    if (result < 0) {
        log_warning("discipline: the system clock is not steered: %s",
                    result == LOCKSTEP_E_CONFLICT ? "another program does" : error_text(result));
        return false;
    }
    discipline->active = true;
    discipline->has_last = false;
    discipline->strange = 0;
    discipline->frequency = state.freq;
    discipline->wanted_ppm = (double)state.freq / 65536;
    log_info("discipline: the system clock is steered");
    return true;
}

static void give_up(struct discipline *discipline, int64_t now_ns, const char *why)
{
    discipline->active = false;
    discipline->look_at_ns = now_ns + LOOK_AGAIN_NS;
    log_error("discipline: the system clock is not steered any more: %s", why);
}

static bool still_ours(struct discipline *discipline, int64_t now_ns)
{
    struct timex state = {0};
    int result = discipline->kernel.adjust(discipline->kernel.context, &state);

    if (result < 0)
        give_up(discipline, now_ns, error_text(result));
    else if (state.freq != discipline->frequency)
        give_up(discipline, now_ns, "another program has changed its frequency");
    return discipline->active;
}

/* What the offset did since the last time tells the frequency that it needs. */
static bool learn(struct discipline *discipline, int64_t now_ns, int64_t offset_ns)
{
    double seconds = (double)(now_ns - discipline->last_ns) / 1e9;
    double moved_ns = (double)(offset_ns - discipline->last_offset_ns), seen_ppm;

    if (!discipline->has_last || now_ns - discipline->last_ns > INTERVAL_MAX_NS || seconds <= 0)
        return true;
    if (fabs(moved_ns) > STRANGE_NS * seconds) {
        if (++discipline->strange < STRANGE_LIMIT)
            return true;
        give_up(discipline, now_ns, "another program sets it");
        return false;
    }
    discipline->strange = 0;
    seen_ppm = (double)discipline->frequency / 65536 - moved_ns / seconds / 1000;
    discipline->wanted_ppm += SMOOTHING * (seen_ppm - discipline->wanted_ppm);
    return true;
}

static int set_frequency(struct discipline *discipline, int64_t offset_ns, int64_t bound_ns)
{
    double ppm = discipline->wanted_ppm - (double)offset_ns / PULL_S / 1000;
    int64_t bound_us = bound_ns / 1000 + llabs(offset_ns) / 1000 + 1;
    struct timex request = {.modes = ADJ_FREQUENCY | ADJ_STATUS | ADJ_MAXERROR | ADJ_ESTERROR};
    int result;

    ppm = fmin(fmax(ppm, -FREQUENCY_MAX_PPM), FREQUENCY_MAX_PPM);
    request.freq = to_kernel(ppm);
    request.maxerror = request.esterror = bound_us;
    result = discipline->kernel.adjust(discipline->kernel.context, &request);
    if (result == 0)
        discipline->frequency = request.freq; /* as the kernel rounds it */
    return result;
}

static int step(struct discipline *discipline, int64_t offset_ns)
{
    struct timex request = {.modes = ADJ_SETOFFSET | ADJ_NANO};
    int64_t by_ns = -offset_ns, seconds = by_ns / 1000000000, rest = by_ns % 1000000000;

    if (rest < 0) {
        rest += 1000000000;
        seconds--;
    }
    request.time.tv_sec = seconds;
    request.time.tv_usec = rest; /* nanoseconds, by ADJ_NANO */
    log_warning("discipline: the system clock is set by %+.6f s", (double)by_ns / 1e9);
    return discipline->kernel.adjust(discipline->kernel.context, &request);
}

void discipline_steer(struct discipline *discipline, int64_t now_ns, int64_t offset_ns, int64_t bound_ns)
{
    int result;

    if (!discipline->active && (now_ns < discipline->look_at_ns || !acquire(discipline, now_ns)))
        return;
    if (!still_ours(discipline, now_ns) || !learn(discipline, now_ns, offset_ns))
        return;
    if (llabs(offset_ns) > STEP_NS) {
        result = step(discipline, offset_ns);
        discipline->has_last = false;
    } else {
        result = set_frequency(discipline, offset_ns, bound_ns);
        discipline->has_last = true;
        discipline->last_ns = now_ns;
        discipline->last_offset_ns = offset_ns;
    }
    if (result < 0)
        give_up(discipline, now_ns, error_text(result));
}

void discipline_run(struct discipline *discipline, const struct counter *counter, const struct clock_values *values)
{
    struct counter_bracket bracket;
    struct lockstep_time time;

    if (!values || counter_bracket(counter, CLOCK_REALTIME, &bracket) < 0 ||
        clock_values_at(values, bracket.before + (bracket.after - bracket.before) / 2, LOCKSTEP_UTC, &time) < 0)
        return;
    discipline_steer(discipline, (int64_t)platform_now_ns(), bracket.clock_ns - time.ns, time.latest_ns - time.ns);
}

int discipline_create(const struct discipline_kernel *kernel, struct discipline **discipline)
{
    static const struct discipline_kernel real = {NULL, real_adjust};

    *discipline = calloc(1, sizeof(**discipline));
    if (!*discipline)
        return -ENOMEM;
    (*discipline)->kernel = kernel ? *kernel : real;
    return 0;
}

int discipline_open(struct discipline **discipline)
{
    return discipline_create(NULL, discipline);
}

void discipline_close(struct discipline *discipline)
{
    struct timex request = {.modes = ADJ_STATUS, .status = STA_UNSYNC};

    if (!discipline)
        return;
    if (discipline->active)
        discipline->kernel.adjust(discipline->kernel.context, &request);
    free(discipline);
}
