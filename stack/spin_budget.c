/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/spin_budget.h"

#define LOST_GAP_US     50    /* a longer gap: another thread had the core */
#define WINDOW_US       10000 /* of spinning */
#define WINDOW_LIMIT_US 50000 /* of time, */
#define WINDOW_MIN_US   2000  /* with so much spinning in it */
#define SHORT_BUDGET_US 200   /* after the first sign of short cores */
#define MIN_BUDGET_US   2
#define CLEAN_MAX       16 /* windows */
#define FAILURES_MAX    8
#define FAILURE_WEIGHT  2      /* one success makes up for so many failures */
#define TRIAL_US        100    /* at least; */
#define TRIAL_PART      8      /* else this part of the full budget */
#define SCARCE_US       250000 /* so long without enough spinning to tell: try more */
#define INTERVAL_MIN    16     /* waits */
#define INTERVAL_MAX    1024
#define SUCCESSES       3

void spin_budget_init(struct spin_budget *budget, uint64_t full, uint64_t cycles_per_us, bool adapts)
{
    *budget = (struct spin_budget){
        .full = full, .limit = full, .cycles_per_us = cycles_per_us, .adapts = adapts, .interval = INTERVAL_MIN};
}

/* Long enough for an answer from somebody who sleeps; not longer than cores allow. */
static uint64_t trial(const struct spin_budget *budget)
{
    uint64_t least = TRIAL_US * budget->cycles_per_us, cycles = budget->full / TRIAL_PART;

    if (cycles > budget->limit)
        cycles = budget->limit;
    if (cycles < least)
        cycles = least;
    return budget->full < cycles ? budget->full : cycles;
}

uint64_t spin_budget_next(struct spin_budget *budget)
{
    if (!budget->resting)
        return budget->limit;
    if (budget->trial_in > 0) {
        budget->trial_in--;
        return 0;
    }
    return trial(budget);
}

static void rest(struct spin_budget *budget)
{
    budget->resting = true;
    budget->successes = 0;
    budget->trial_in = budget->interval;
}

void spin_budget_result(struct spin_budget *budget, bool in_time)
{
    if (!budget->adapts)
        return;
    if (!budget->resting) {
        if (in_time)
            budget->failures -= budget->failures < FAILURE_WEIGHT ? budget->failures : FAILURE_WEIGHT;
        else if (budget->limit == budget->full && ++budget->failures >= FAILURES_MAX)
            rest(budget); /* what outlasts a budget that was cut proves nothing */
    } else if (!in_time) {
        budget->interval = budget->interval < INTERVAL_MAX ? 2 * budget->interval : INTERVAL_MAX;
        rest(budget);
    } else if (++budget->successes >= SUCCESSES) {
        budget->resting = false;
        if (budget->limit < trial(budget))
            budget->limit = trial(budget);
        budget->failures = 0;
        budget->interval = INTERVAL_MIN;
    }
}

/* A window of spinning is over: adapts the limit to how much of it was lost to other threads. scarce: there was too
 * little spinning to cut the limit by, for long. */
static void judge_window(struct spin_budget *budget, bool scarce)
{
    uint64_t limit = budget->limit;

    if (!scarce && budget->window_lost * 5 > budget->window_spun) {
        budget->clean_windows = 0;
        budget->clean_wanted = budget->clean_wanted < CLEAN_MAX ? 2 * budget->clean_wanted + 1 : CLEAN_MAX;
        limit /= 4;
        if (limit > SHORT_BUDGET_US * budget->cycles_per_us)
            limit = SHORT_BUDGET_US * budget->cycles_per_us;
        if (limit < MIN_BUDGET_US * budget->cycles_per_us)
            limit = MIN_BUDGET_US * budget->cycles_per_us;
    } else if (budget->window_lost * 20 < budget->window_spun) {
        budget->clean_windows += scarce ? CLEAN_MAX : 1;
        if (budget->clean_windows >= budget->clean_wanted) {
            limit *= 2;
            budget->clean_windows = 0;
            if (limit >= budget->full)
                budget->clean_wanted /= 2;
        }
    }
    budget->limit = limit < budget->full ? limit : budget->full;
}

void spin_budget_gap(struct spin_budget *budget, uint64_t now, uint64_t gap)
{
    uint64_t spun = __atomic_load_n(&budget->window_spun, __ATOMIC_RELAXED) + gap, us = budget->cycles_per_us;
    bool scarce = spun <= WINDOW_MIN_US * us;
    uint64_t elapsed;

    if (budget->window_start == 0)
        budget->window_start = now;
    elapsed = now - budget->window_start;
    __atomic_store_n(&budget->window_spun, spun, __ATOMIC_RELAXED);
    if (gap > LOST_GAP_US * us)
        budget->window_lost += gap;
    if (spun <= WINDOW_US * us && elapsed <= (scarce ? SCARCE_US : WINDOW_LIMIT_US) * us)
        return;
    if (budget->adapts)
        judge_window(budget, scarce);
    budget->window_start = now;
    budget->window_spun = 0;
    budget->window_lost = 0;
}
