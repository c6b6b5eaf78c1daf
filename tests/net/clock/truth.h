/* SPDX-License-Identifier: BSD-2-Clause */
/* The true time of the clock's tests: a known function of the CPU's time-stamp counter, which all namespaces of a
 * machine share. Its parameters lie in a file that the servers and the checkers map; steps may be added while they run.
 * Shares no code with the clock. */
#ifndef LOCKSTEP_TESTS_TRUTH_H
#define LOCKSTEP_TESTS_TRUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRUTH_MAGIC     0x6c6f636b74727574ull
#define TRUTH_STEPS_MAX 16

struct truth_file {
    uint64_t magic;
    uint64_t tsc0;
    int64_t utc0_ns;    /* at tsc0 */
    double ns_per_tick; /* before skew and wander */
    double skew_ppb;
    double wander; /* random walk of the rate, per square root of a second: 1e-9 is a poor crystal in a draught */
    uint64_t seed;
    uint64_t step_count;
    struct {
        uint64_t tsc;
        int64_t ns;
    } steps[TRUTH_STEPS_MAX];
};

struct truth {
    struct truth_file *file;
    /* The walk, second by second, as far as it was needed. */
    size_t count, size;
    double *rate, *offset_ns;
    uint64_t state;
};

static inline uint64_t truth_tsc(void)
{
    return __builtin_ia32_rdtsc();
}

/* Maps the file; makes it from *initial if it is not there (initial NULL: must be there). Ends the program on failure.
 */
void truth_open(struct truth *truth, const char *path, const struct truth_file *initial);
/* UTC in ns; what is left of a nanosecond goes to *fraction (may be NULL). */
int64_t truth_at(struct truth *truth, uint64_t tsc, double *fraction);
/* Adds a step at the present time. */
void truth_step(struct truth *truth, int64_t ns);
/* Ticks of a number of nanoseconds of true time, nearly. */
int64_t truth_ticks(const struct truth *truth, double ns);
/* Measures the counter for a tenth of a second. */
double truth_ns_per_tick(void);

/* CLOCK_REALTIME and the counter at the same moment. */
struct truth_bracket {
    uint64_t tsc, width;
    int64_t realtime_ns;
};
struct truth_bracket truth_bracket(void);
/* The counter at a kernel stamp close to the bracket. */
uint64_t truth_stamp_tsc(const struct truth *truth, const struct truth_bracket *bracket, int64_t stamp_ns);

/* Pseudo-random numbers with a state of one's own. */
uint64_t truth_random(uint64_t *state);
double truth_uniform(uint64_t *state); /* (0, 1) */
double truth_exponential(uint64_t *state, double mean);

/* NTP stamps of the 32.32 format. */
uint64_t truth_to_ntp(int64_t utc_ns, double fraction);
double truth_ntp_difference_ns(uint64_t a, uint64_t b); /* a - b, less than 68 years */

#endif
