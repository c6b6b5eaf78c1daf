/* SPDX-License-Identifier: BSD-2-Clause */
/* Random numbers that are the same everywhere for one seed (splitmix64; Steele, Lea, Flood, OOPSLA 2014). */
#ifndef LOCKSTEP_TESTS_SIM_RANDOM_H
#define LOCKSTEP_TESTS_SIM_RANDOM_H

#include <math.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_u64(struct random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* In (0, 1). */
static inline double random_uniform(struct random *random)
{
    return ((double)(random_u64(random) >> 11) + 0.5) * 0x1p-53;
}

static inline double random_exponential(struct random *random, double mean)
{
    return -mean * log(random_uniform(random));
}

static inline double random_normal(struct random *random)
{
    double radius = sqrt(-2 * log(random_uniform(random)));

    return radius * cos(2 * M_PI * random_uniform(random));
}

#endif
