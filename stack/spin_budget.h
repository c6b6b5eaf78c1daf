/* SPDX-License-Identifier: BSD-2-Clause */
/* How long a waiting thread spins. Two things are watched.
 *
 * Whether cores are short: the time that spinning threads lose to others (gaps between two looks at the clock). Above a
 * fifth in a window (10 ms of spinning, or less in 50 ms) the budget is cut to a quarter, at most 200 us; below a
 * twentieth it doubles again, the later (up to 16 windows) the more often it had to be cut. A second with too little
 * spinning to tell doubles it, too.
 *
 * Whether spinning pays: when most of the latest waits outlasted the full budget (nothing comes, or who should answer
 * waits for this very core) threads sleep at once, and one wait in 16 tries spinning again, for an eighth of the full
 * budget and 100 us at least (each failure doubles that interval, up to 1024 waits; three successes in a row end it).
 *
 * Times are cycles. Pure; callers serialise next and result, gap may race (it only hints). */
#ifndef LOCKSTEP_STACK_SPIN_BUDGET_H
#define LOCKSTEP_STACK_SPIN_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct spin_budget {
    uint64_t full;  /* the profile's */
    uint64_t limit; /* at most full: less while cores are short */
    uint64_t cycles_per_us;
    bool adapts;
    uint64_t window_start, window_spun, window_lost;
    uint32_t clean_windows, clean_wanted;
    bool resting; /* spinning does not pay */
    uint32_t failures, successes;
    uint32_t interval, trial_in;
};

/* full: 0 never spins. adapts: as profile.spin_backoff. */
void spin_budget_init(struct spin_budget *budget, uint64_t full, uint64_t cycles_per_us, bool adapts);
/* For the wait that begins; 0: sleep at once. */
uint64_t spin_budget_next(struct spin_budget *budget);
/* How a wait ended that had a budget: in time, or not. */
void spin_budget_result(struct spin_budget *budget, bool in_time);
/* Between two looks at the clock of a spinning thread. */
void spin_budget_gap(struct spin_budget *budget, uint64_t now, uint64_t gap);

#endif
