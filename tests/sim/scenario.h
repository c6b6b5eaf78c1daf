/* SPDX-License-Identifier: BSD-2-Clause */
/* What every numbered scenario includes: a world, expectations as TAP, and a few that most scenarios share. */
#ifndef LOCKSTEP_TESTS_SIM_SCENARIO_H
#define LOCKSTEP_TESTS_SIM_SCENARIO_H

#include "tests/sim/world.h"

#define POLL_16_S  4
#define POLL_64_S  6
#define QUEUE_NS   5000.0 /* mean, each way */
#define WANDER_PPB 0.3    /* per root second, where a scenario is about something else */

/* The scenario itself, for one seed. */
void scenario(uint64_t seed);

/* A world with one server, such as most scenarios begin with. */
struct world *scenario_world(uint64_t seed, double wander_ppb, int poll_log2);

void expect(bool held, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The reader's figures since world_measure: added to those of the other seeds, and judged at the end of all of them
 * under the name: coverage of the bound (99.99 %), no step back, rms at most this. Prints them. */
void expect_figures(const struct world *world, const char *name, double rms_ns_max);
/* The same without a demand on the error (starvation, where it is the bound's to say). */
void expect_coverage(const struct world *world, const char *name);
/* A time is given now, and the truth lies within its bound. */
void expect_time(struct world *world, const char *when);

#endif
