/* SPDX-License-Identifier: BSD-2-Clause */
/* The core's parts among themselves. core.c: what comes in; core_steer.c: from the estimates to the published line;
 * core_leap.c: leap seconds. */
#ifndef LOCKSTEP_CLOCK_CORE_PRIVATE_H
#define LOCKSTEP_CLOCK_CORE_PRIVATE_H

#include "base/log.h"
#include "clock/association.h"
#include "clock/core.h"
#include "clock/leap.h"
#include "clock/selection.h"
#include "clock/steering.h"

#define NS_PER_S 1000000000ll

struct source {
    struct core_source_config config;
    struct association *association; /* NULL: the place is free */
    struct estimator *estimator;
    struct estimate estimate; /* at the last steering */
    enum core_source_state state;
    unsigned samples; /* since it began or was disrupted */
    bool confirmed;   /* a sample since it was unreachable has agreed with its line, or set a new one */
    bool voted;       /* near a leap second: which side of it the server was on last */
    int shift;
    int64_t voted_ns; /* TAI */
};

struct core {
    struct core_config config;
    struct core_env env;
    struct source sources[CORE_SOURCES_MAX];
    unsigned source_end; /* above the highest in use */
    struct selection selection;
    struct steering steering;
    struct leap_table leap;
    bool leap_pending;
    int64_t created_ns;
    int64_t known_tai_ns, known_at_ns; /* the time as last known, and when on the steady clock */
    bool ran, local_reference;
    int64_t publish_at_ns;  /* steady clock */
    int64_t settle_by_ns;   /* until then the first selection waits for all sources */
    int64_t returned_at_ns; /* when a server could be followed again in holdover; 0: none can */
    int64_t utc_distance_ns;
    uint64_t disruptions;
    core_observer *observer;
    void *observer_context;
};

static inline int64_t core_now(const struct core *core)
{
    return core->env.now_ns(core->env.context);
}

static inline uint64_t core_counter(const struct core *core)
{
    return core->env.counter(core->env.context);
}

void core_write_log(const struct core *core, const struct log_site *site, enum log_level level,
                    const struct log_subject *subject, const char *format, ...) __attribute__((format(printf, 5, 6)));
#define core_log(core, level, ...)           core_write_log(core, LOG_SITE, level, NULL, __VA_ARGS__)
/* With what it is about, as log_about(). */
#define core_tell(core, level, subject, ...) core_write_log(core, LOG_SITE, level, subject, __VA_ARGS__)

/* Selects, steers and publishes. fresh: the source with a new sample, -1: none. */
void core_steer(struct core *core, int fresh);
/* Before the first selection, sources are given a moment to have their say. */
void core_begin_settling(struct core *core);
/* Publishes what steering has, with the time scales. */
void core_publish(struct core *core);

/* A server's UTC on TAI. tf: counter at the time; notes the side of a leap second that the server is on. */
int64_t core_to_tai(struct core *core, struct source *source, int64_t utc_ns, uint64_t tf);
/* Announcements, the leap second itself, and what servers made of it. */
void core_leap_update(struct core *core, uint64_t counter);

#endif
