/* SPDX-License-Identifier: BSD-2-Clause */
/* The Lockstep clock: the node's common time, read from the CPU's counter without a system call.
 *
 * lockstep-clockd publishes a line (counter -> time) with an error bound in a shared segment; this library maps it
 * read-only. A handle may be used by any number of threads at once; reading allocates nothing, takes no lock and makes
 * no system call. All times are nanoseconds since 1970-01-01 00:00:00 on the named scale, in int64_t (good until 2262).
 *
 *     struct lockstep_clock *clock;
 *     struct lockstep_time now;
 *
 *     if (lockstep_clock_open(NULL, &clock) == 0 && lockstep_clock_now(clock, LOCKSTEP_UTC, &now) == 0)
 *         printf("%" PRId64 " ns, within %" PRId64 "\n", now.ns, now.latest_ns - now.ns);
 */
#ifndef LOCKSTEP_CLOCK_H
#define LOCKSTEP_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lockstep_clock;

enum lockstep_timescale {
    LOCKSTEP_TAI, /* no leap seconds; what intervals and comparisons between nodes should use */
    LOCKSTEP_UTC, /* as CLOCK_REALTIME counts: a leap second inserted shows the last second twice */
};

enum lockstep_clock_status {
    LOCKSTEP_CLOCK_UNSYNCHRONISED, /* never set since the daemon's start, or past void-after: no time is given */
    LOCKSTEP_CLOCK_SYNCHRONISED,
    LOCKSTEP_CLOCK_HOLDOVER,  /* no server at present; the bound grows */
    LOCKSTEP_CLOCK_DISRUPTED, /* the counter or the time jumped (suspend, pause, step): time is not given until the
                                 daemon has found it again; the disruption count has then risen */
};

struct lockstep_time {
    int64_t ns;                        /* best estimate */
    int64_t earliest_ns, latest_ns;    /* true time (of the server) lies between these */
    enum lockstep_clock_status status; /* SYNCHRONISED or HOLDOVER when a time is given */
    uint32_t disruptions;              /* times with different counts must not be compared as if nothing had happened */
};

/* Errors: negated errno, or one of these. lockstep_clock_error_text names either; never NULL. */
#define LOCKSTEP_CLOCK_E_FOREIGN   (-4200) /* not a clock segment, or one of another boot or counter */
#define LOCKSTEP_CLOCK_E_VERSION   (-4201) /* segment of another ABI version */
#define LOCKSTEP_CLOCK_E_TRUNCATED (-4202) /* shorter than it says */
#define LOCKSTEP_CLOCK_E_TORN      (-4203) /* its writer died in the middle of an update; a new one mends it */
#define LOCKSTEP_CLOCK_E_NO_TIME   (-4204) /* unsynchronised, disrupted, or past void-after: see status */
#define LOCKSTEP_CLOCK_E_RANGE     (-4205) /* counter value too far from the reference (see void-after) */
const char *lockstep_clock_error_text(int error);

/* path: the segment (NULL: $LOCKSTEP_CLOCK, else /run/lockstep/clock). The handle is the caller's, to be closed when no
 * thread uses it any more. Works whether or not the daemon runs at the moment; -ENOENT if it never did. A daemon that
 * is started again goes on with the same segment; should it have made a new one (another version, another counter), the
 * old becomes void, and lockstep_clock_wait and lockstep_clock_acknowledge follow to the new one. */
int lockstep_clock_open(const char *path, struct lockstep_clock **clock);
void lockstep_clock_close(struct lockstep_clock *clock);

/* 0 with *time, or LOCKSTEP_CLOCK_E_NO_TIME / _TORN with time->status set and the rest 0. One thread's successive
 * readings never go back, on whichever cores (but at an announced disruption, and in UTC at a leap second). */
int lockstep_clock_now(const struct lockstep_clock *clock, enum lockstep_timescale scale, struct lockstep_time *time);

/* The same, but the counter is read after all earlier loads: so a reading never is before one that another thread has
 * made and passed on through memory. With lockstep_clock_now the CPU may read the counter while an earlier load is
 * still under way, some 100 ns ahead. Costs about twice as much, because the CPU has to wait. */
int lockstep_clock_now_ordered(const struct lockstep_clock *clock, enum lockstep_timescale scale,
                               struct lockstep_time *time);

/* The counter of this clock (TSC, or CLOCK_MONOTONIC_RAW in ns where the TSC cannot be trusted), read now. Ordered
 * after earlier loads. Successive values on one thread never decrease. */
uint64_t lockstep_clock_counter(const struct lockstep_clock *clock);

/* The time of a counter value, of the past (up to 1000 s before the last update of the segment, with a bound that grows
 * accordingly) or of the near future (until void-after). Errors as lockstep_clock_now, and _RANGE. */
int lockstep_clock_at(const struct lockstep_clock *clock, uint64_t counter, enum lockstep_timescale scale,
                      struct lockstep_time *time);

/* The times of `count` counter values, all by one and the same state of the clock, whatever the daemon does meanwhile.
 * ns and bound_ns (may be NULL) have `count` elements; the true time lies within ns - bound to ns + bound. A value that
 * is too far from the reference gets INT64_MIN and the bound INT64_MAX; the others are converted, and the result is
 * _RANGE. *disruptions (may be NULL): the count that all of them belong to. 0, _RANGE; or LOCKSTEP_CLOCK_E_NO_TIME,
 * _TORN with nothing written. */
int lockstep_clock_at_many(const struct lockstep_clock *clock, const uint64_t *counters, size_t count,
                           enum lockstep_timescale scale, int64_t *ns, int64_t *bound_ns, uint32_t *disruptions);

/* Nanoseconds from one counter value to another by the difference clock: never jumps when the time is corrected; meant
 * for intervals below 1000 s. *error_ns (may be NULL): its bound. */
int lockstep_clock_difference(const struct lockstep_clock *clock, uint64_t from, uint64_t to, int64_t *difference_ns,
                              int64_t *error_ns);

struct lockstep_clock_info {
    enum lockstep_clock_status status;
    uint32_t disruptions;
    uint64_t updates;     /* of the segment, since it was made */
    char counter[16];     /* "tsc", "monotonic_raw", "simulated" */
    double counter_hz;    /* as estimated; 0 before the first update */
    int64_t age_ns;       /* since the last update; 0 before the first */
    int64_t bound_ns;     /* now, to the server; INT64_MAX when no time is given */
    int64_t bound_utc_ns; /* now, to UTC: with the server's own distance; INT64_MAX when unknown */
    int64_t void_in_ns;   /* until the time is void; negative: since; 0 before the first update */
    int32_t tai_utc_s;    /* TAI - UTC */
    int32_t leap;         /* +1, -1: a leap second at the end of the day; 0 none */
};
/* 0 (also when there is no time: see status), or LOCKSTEP_CLOCK_E_TORN with the status alone. */
int lockstep_clock_get_info(const struct lockstep_clock *clock, struct lockstep_clock_info *info);

/* Waits until the clock is synchronised with a bound of at most bound_ns (0: any). timeout_ms < 0: without limit.
 * 0, -ETIMEDOUT, -EINTR. Looks every 10 ms. */
int lockstep_clock_wait(struct lockstep_clock *clock, int64_t bound_ns, int timeout_ms);

/* A descriptor that becomes readable when the status or the disruption count changes (also when the daemon is gone: at
 * the time of holdover, and of void), and now and then without a change; owned by the handle. Negative: an error.
 * lockstep_clock_acknowledge makes it quiet again and returns the present status, or a negative error. */
int lockstep_clock_fd(struct lockstep_clock *clock);
int lockstep_clock_acknowledge(struct lockstep_clock *clock);

#ifdef __cplusplus
}
#endif

#endif
