/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/scenario.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS        2
#define NAMES_MAX    16
#define COVERAGE_MIN 0.9999
#define BOUND_FACTOR 8.0 /* the median bound against the rms error; below 5.5 in steady state (lockstep-clocksim) */

struct pool {
    char name[64];
    double rms_ns_max;
    uint64_t readings, given, outside, backward;
    double squares, most_ns, bounds; /* bounds: of the medians, weighted */
};

static struct pool pools[NAMES_MAX];
static unsigned pool_count, expectations, failures;

void expect(bool held, const char *format, ...)
{
    va_list arguments;

    printf("%s %u - ", held ? "ok" : "not ok", ++expectations);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    failures += !held;
}

static struct pool *pool_of(const char *name)
{
    for (unsigned i = 0; i < pool_count; i++)
        if (strcmp(pools[i].name, name) == 0)
            return &pools[i];
    if (pool_count == NAMES_MAX)
        abort();
    snprintf(pools[pool_count].name, sizeof pools[pool_count].name, "%s", name);
    return &pools[pool_count++];
}

void expect_figures(const struct world *world, const char *name, double rms_ns_max)
{
    struct world_figures figures = world_figures(world);
    struct pool *pool = pool_of(name);

    pool->rms_ns_max = rms_ns_max;
    pool->readings += figures.readings;
    pool->given += figures.given;
    pool->outside += figures.outside;
    pool->backward += figures.backward;
    pool->squares += figures.rms_ns * figures.rms_ns * (double)figures.given;
    pool->most_ns = fmax(pool->most_ns, figures.max_ns);
    pool->bounds += figures.median_bound_ns * (double)figures.given;
}

void expect_coverage(const struct world *world, const char *name)
{
    expect_figures(world, name, INFINITY);
}

static void judge(const struct pool *pool)
{
    double given = (double)pool->given, rms = sqrt(pool->squares / given), bound = pool->bounds / given;
    double coverage = 1 - (double)pool->outside / given;

    printf("# %s: rms %.3f us, worst %.3f us, median bound %.3f us, %.5f %% of %.0f readings within it\n", pool->name,
           rms / 1e3, pool->most_ns / 1e3, bound / 1e3, coverage * 100, given);
    expect(pool->given > 0 && coverage >= COVERAGE_MIN, "%s: the bound holds", pool->name);
    expect(pool->backward == 0, "%s: the time never goes back", pool->name);
    if (isinf(pool->rms_ns_max))
        return;
    expect(pool->given == pool->readings, "%s: the time is always given", pool->name);
    expect(rms <= pool->rms_ns_max, "%s: rms error %.3f us, at most %.3f us", pool->name, rms / 1e3,
           pool->rms_ns_max / 1e3);
    expect(bound <= BOUND_FACTOR * rms, "%s: the median bound is %.2f times the rms error", pool->name, bound / rms);
}

void expect_time(struct world *world, const char *when)
{
    double error_ns = NAN, bound_ns = NAN;
    bool given = world_read(world, LOCKSTEP_TAI, &error_ns, &bound_ns);

    expect(given && fabs(error_ns) <= bound_ns, "%s: error %.3f us, bound %.3f us", when, error_ns / 1e3,
           bound_ns / 1e3);
}

struct world *scenario_world(uint64_t seed, double wander_ppb, int poll_log2)
{
    const struct world_config config = {.seed = seed, .wander_ppb = wander_ppb, .rate_ppb = -23456};
    struct world *world = world_create(&config);

    world_add_server(world, QUEUE_NS, poll_log2, poll_log2);
    return world;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1, seeds = argc > 2 ? strtoull(argv[2], NULL, 0) : SEEDS;

    for (uint64_t seed = first; seed < first + seeds; seed++)
        scenario(seed);
    for (unsigned i = 0; i < pool_count; i++)
        judge(&pools[i]);
    printf("1..%u\n", expectations);
    return failures > 0;
}
