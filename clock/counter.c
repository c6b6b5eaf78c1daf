/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/counter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "platform/counters.h"

#define NS_PER_S       1e9
#define CORE_LIMIT_NS  1000 /* cores whose TSCs are farther apart do not agree */
#define BRACKETS       5
#define RATE_DOUBT     500e-6        /* a steered clock of the kernel against the nominal rate of the counter */
#define CARRY_LIMIT_NS 3600000000000 /* a stamp farther from the bracket is not carried over with any sense */
#define WHY_MAX        192
#define RAW_HZ         1e9

static uint64_t read_tsc(void *context)
{
    (void)context;
    return platform_tsc_ordered();
}

static uint64_t read_raw(void *context)
{
    (void)context;
    return platform_monotonic_raw_ns();
}

const char *counter_name(enum counter_kind kind)
{
    static const char *const names[] = {"auto", "tsc", "monotonic_raw", "simulated"};

    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "unknown";
}

void counter_simulated(struct counter *out, double nominal_hz, uint64_t (*read)(void *context), void *context)
{
    *out = (struct counter){COUNTER_SIMULATED, nominal_hz, read, context};
}

/* --- whether the TSC can be trusted ------------------------------------------------------------------------- */

static const char *verdict_text(enum platform_tsc_verdict verdict, const char *clock_source, char text[96])
{
    switch (verdict) {
    case PLATFORM_TSC_USED:
        return "the kernel keeps its time by it";
    case PLATFORM_TSC_AVAILABLE:
        snprintf(text, 96, "the kernel accepts it (but uses %s)", clock_source);
        return text;
    case PLATFORM_TSC_REJECTED:
        snprintf(text, 96, "the kernel rejects it (and uses %s)", clock_source);
        return text;
    case PLATFORM_TSC_UNKNOWN:
        break;
    }
    return "the kernel says nothing of it";
}

/* True if the cores' TSCs agree as far as could be seen. */
static bool cores_agree(double hz, char text[64])
{
    double ns = NS_PER_S / hz;
    struct platform_tsc_skew skew;
    int err = platform_tsc_compare((uint64_t)(CORE_LIMIT_NS / ns), &skew);

    if (err < 0)
        snprintf(text, 64, "cores could not be compared (%s)", error_text(err));
    else if (skew.cores == 0)
        snprintf(text, 64, "one core");
    else if (skew.apart)
        snprintf(text, 64, "cores differ by %.0f ns", (double)skew.skew_ticks * ns);
    else if (skew.failed)
        snprintf(text, 64, "%u of %u cores too busy to compare", skew.failed, skew.cores + 1);
    else
        snprintf(text, 64, "%u cores agree within %.0f ns", skew.cores + 1,
                 (double)(skew.skew_ticks + skew.doubt_ticks) * ns);
    return err < 0 || !skew.apart;
}

/* Sets *hz and why; true if all that could be checked speaks for the TSC. */
static bool examine_tsc(double *hz, char why[WHY_MAX])
{
    char clock_source[32], kernel[96], cores[64];
    enum platform_tsc_verdict verdict = platform_tsc_verdict(clock_source);
    bool invariant = platform_tsc_invariant(), agree;

    *hz = platform_tsc_hz();
    if (*hz < 1e6) {
        snprintf(why, WHY_MAX, "this machine has no TSC");
        return false;
    }
    agree = cores_agree(*hz, cores);
    snprintf(why, WHY_MAX, "TSC at %u kHz: %s, %.56s, %.60s", (unsigned)(*hz / 1e3),
             invariant ? "invariant" : "not invariant", verdict_text(verdict, clock_source, kernel), cores);
    return invariant && agree && verdict != PLATFORM_TSC_REJECTED;
}

int counter_open(enum counter_kind kind, struct counter *out, char why[192])
{
    char tsc[WHY_MAX];
    double hz = 0;
    bool trusted;

    if (kind == COUNTER_SIMULATED || (unsigned)kind > COUNTER_SIMULATED)
        return LOCKSTEP_E_BAD_VALUE;
    if (kind == COUNTER_MONOTONIC_RAW) {
        snprintf(why, WHY_MAX, "CLOCK_MONOTONIC_RAW, as configured");
    } else {
        trusted = examine_tsc(&hz, tsc);
        if (kind == COUNTER_TSC && hz < 1e6) {
            snprintf(why, WHY_MAX, "%s", tsc);
            return LOCKSTEP_E_NOT_SUPPORTED;
        }
        if (kind == COUNTER_TSC || trusted) {
            snprintf(why, WHY_MAX, "%.160s%s", tsc, trusted ? "" : "; used as configured");
            *out = (struct counter){COUNTER_TSC, hz, read_tsc, NULL};
            return 0;
        }
        snprintf(why, WHY_MAX, "CLOCK_MONOTONIC_RAW, because of: %.150s", tsc);
    }
    *out = (struct counter){COUNTER_MONOTONIC_RAW, RAW_HZ, read_raw, NULL};
    return 0;
}

/* --- carrying stamps over ----------------------------------------------------------------------------------- */

int counter_bracket(const struct counter *counter, int clock_id, struct counter_bracket *out)
{
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < BRACKETS; i++) {
        struct counter_bracket bracket;
        int err;

        bracket.before = counter->read(counter->context);
        err = platform_clock_ns(clock_id, &bracket.clock_ns);
        bracket.after = counter->read(counter->context);
        if (err < 0)
            return err;
        if (bracket.after - bracket.before < best) {
            best = bracket.after - bracket.before;
            *out = bracket;
        }
    }
    return 0;
}

uint64_t counter_carry_over(const struct counter *counter, const struct counter_bracket *bracket, int64_t stamp_ns,
                            uint32_t *error_ns)
{
    const double ns_per_tick = NS_PER_S / counter->nominal_hz;
    double half_width = (double)(bracket->after - bracket->before) / 2, ticks, error;
    int64_t distance;

    if (__builtin_sub_overflow(stamp_ns, bracket->clock_ns, &distance) || distance > CARRY_LIMIT_NS ||
        distance < -CARRY_LIMIT_NS) {
        *error_ns = UINT32_MAX;
        return bracket->before;
    }
    ticks = half_width + (double)distance / ns_per_tick;
    error = half_width * ns_per_tick + (double)(distance < 0 ? -distance : distance) * RATE_DOUBT + 1;
    *error_ns = error < UINT32_MAX ? (uint32_t)error : UINT32_MAX;
    return bracket->before + (uint64_t)(int64_t)(ticks < 0 ? ticks - 0.5 : ticks + 0.5);
}
