/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep-historyd's threads. Two watch and put items into the queue: the service's journal, tables and counters
 * (historyd_service.c), the clock and the directory of test runs (historyd_clock.c); the main thread writes
 * (historyd_writer.c). None of them waits for another: when the queue is full, the watchers stop reading, and the
 * journal, which is a ring of some seconds, overruns; what that loses is counted by its sequence numbers. */
#ifndef LOCKSTEP_MONITOR_HISTORYD_H
#define LOCKSTEP_MONITOR_HISTORYD_H

#include <stdbool.h>

#include "monitor/history_item.h"
#include "monitor/historyd_config.h"

struct historyd {
    struct historyd_config config;
    struct history_queue queue;
    bool stopping; /* atomic */
};

static inline bool historyd_stopping(const struct historyd *historyd)
{
    return __atomic_load_n(&historyd->stopping, __ATOMIC_RELAXED);
}

/* Watchers: run until stopping is set; argument: struct historyd. */
void *historyd_watch_service(void *argument);
void *historyd_watch_clock(void *argument);

/* A watcher's samples, and how many of them the queue has had no room for. */
struct historyd_samples {
    int64_t missed_since_ns; /* 0: none */
    int64_t missed;
};
/* Takes the item over. What was missed before is noted as a gap first. */
void historyd_put_sample(struct historyd *historyd, struct historyd_samples *samples, struct history_item *item);

/* Starts the watchers, writes until stop_fd is readable, ends them, and writes what is left in the queue. The exit
 * status. */
int historyd_run(struct historyd *historyd, int stop_fd);

#endif
