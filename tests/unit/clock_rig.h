/* SPDX-License-Identifier: BSD-2-Clause */
/* A clock segment in a directory of the test's own, with a simulated counter or the machine's. */
#ifndef LOCKSTEP_TESTS_CLOCK_RIG_H
#define LOCKSTEP_TESTS_CLOCK_RIG_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock/counter.h"
#include "clock/segment.h"

#define SECOND 1000000000ll

static char rig_directory[32], rig_path[64];
static uint64_t rig_now; /* the simulated counter: 2.5 GHz, 0.4 ns a tick */
static struct counter rig_counter;

static inline uint64_t rig_read(void *context)
{
    return *(uint64_t *)context;
}

static inline int rig_setup(void **state)
{
    (void)state;
    strcpy(rig_directory, "/tmp/lockstep-clock-XXXXXX");
    if (!mkdtemp(rig_directory))
        return -1;
    snprintf(rig_path, sizeof rig_path, "%s/clock", rig_directory);
    rig_now = 5000000000000;
    counter_simulated(&rig_counter, 2.5e9, rig_read, &rig_now);
    return 0;
}

static inline int rig_teardown(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", rig_directory);
    return system(command);
}

/* Synchronised at the counter's present value: slewed by 100 ppm for a second; holdover after 100 s, void after an
 * hour. */
static inline struct clock_values rig_values(void)
{
    const uint64_t hz = (uint64_t)rig_counter.nominal_hz, now = rig_counter.read(rig_counter.context);
    const double period = 1e9 / rig_counter.nominal_hz;

    return (struct clock_values){
        .status = LOCKSTEP_CLOCK_SYNCHRONISED,
        .disruptions = 3,
        .counter = now,
        .time_ns = 1800000000 * SECOND,
        .fraction = 0.25,
        .slew_period_ns = period * (1 + 100e-6),
        .period_ns = period,
        .difference_period_ns = period * (1 - 1e-9),
        .counter_switch = now + hz,
        .void_after = now + 3600 * hz,
        .holdover_after = now + 100 * hz,
        .bound_ns = 5000,
        .bound_growth_ppb = 1000,
        .utc_distance_ns = 200000,
        .tai_utc_s = 37,
    };
}

static inline struct clock_segment *rig_create(void)
{
    struct clock_segment *segment = NULL;
    int err = segment_create(rig_path, &rig_counter, &segment);

    if (err < 0) {
        fprintf(stderr, "# segment_create: %d\n", err);
        abort();
    }
    return segment;
}

#endif
