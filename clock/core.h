/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's logic without an operating system: associations with servers, their estimators, selection, and the line
 * that is published. Everything comes in by calls and goes out by `struct core_env`; so clockd (sockets) and the
 * simulator (virtual time) run the same code. One thread. */
#ifndef LOCKSTEP_CLOCK_CORE_H
#define LOCKSTEP_CLOCK_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "clock/estimator.h"
#include "clock/ntp_auth.h"
#include "clock/segment.h"

#define CORE_SOURCES_MAX         16
#define CORE_STAMP_WAIT_NS       20000000ll
/* While the core runs it publishes at least this often; after four times this without an update readers may conclude
 * that the daemon is gone (holdover_after). */
#define CORE_PUBLISH_INTERVAL_NS 2000000000ll

struct core;

/* Times of the logic itself (polls, timeouts) are nanoseconds of a steady clock: now_ns. Calls back into the core from
 * within these functions: only core_sent from send. */
struct core_env {
    void *context;
    int64_t (*now_ns)(void *context);
    uint64_t (*counter)(void *context);
    /* Sends a request to the source's server. The stamp of its departure comes later by core_sent with the same ticket
     * (the request's transmit field); if none comes within CORE_STAMP_WAIT_NS of the reply, the counter before and
     * after this call take its place. A negative code: not sent. */
    int (*send)(void *context, unsigned source, const uint8_t *packet, size_t length, uint64_t ticket);
    void (*random)(void *context, void *buffer, size_t length);
    void (*publish)(void *context, const struct clock_values *values);
    /* Something an operator wants to know; severity as in base/log.h. Also by which disruptions are announced. */
    void (*log)(void *context, const struct log_site *site, int level, const struct log_subject *subject,
                const char *message);
};

struct core_config {
    double nominal_hz;
    int32_t tai_utc_s;          /* what is known at start */
    int64_t initial_time_ns;    /* UTC guess to resolve the NTP era */
    double slew_ppm;            /* largest rate of correction */
    int64_t step_limit_ns;      /* a larger correction is stepped and announced as a disruption */
    uint64_t holdover_limit_ns; /* bound at which the time becomes void */
    double drift_ppb; /* what the bound grows by at least, should no further exchange come; ppb of the elapsed time */
    double rate_hint_ppb, rate_hint_sigma_ppb; /* saved: true rate / nominal_hz - 1; NAN: none */
    unsigned minimum_sources;                  /* agreeing servers needed; 0 or 1: one is enough */
    /* This node is its LAN's reference: without a usable server the time goes on by the counter's nominal rate (or the
     * one last known) from initial_time_ns at core_create, synchronised with itself. */
    bool local_reference;
};

struct core_source_config {
    char name[64];                    /* as configured; for logs and reports */
    int poll_min_log2, poll_max_log2; /* seconds: -4 (1/16 s) to 17; adapted between them */
    bool burst;                       /* 8 exchanges at start, default */
    bool interleaved;                 /* RFC 9769, if the server can */
    bool prefer;                      /* selected whenever it agrees with the majority; decides where there is none */
    bool no_select;                   /* watched only */
    double asymmetry_ns;
    double baseline_hint_ns;
    struct ntp_auth *auth; /* owned by the core from then on; NULL: none */
};

enum core_source_state {
    SOURCE_UNREACHABLE,
    SOURCE_MEASURING,
    SOURCE_FALSETICKER,
    SOURCE_CANDIDATE,
    SOURCE_SELECTED,
    SOURCE_STOPPED,
};

/* Why a reply was not used; counted for each source. Names by core_drop_name. */
enum core_drop {
    DROP_MALFORMED,
    DROP_MODE,
    DROP_VERSION,
    DROP_ORIGIN,
    DROP_DUPLICATE,
    DROP_ZERO,
    DROP_UNSYNCHRONISED,
    DROP_STRATUM,
    DROP_DISTANCE,
    DROP_AUTH,
    DROP_KISS,
    DROP_ROUND_TRIP,
    DROP_LATE,
    DROP_NO_STAMP,
    DROP_KINDS,
};
const char *core_drop_name(enum core_drop drop);

struct core_source_report {
    char name[64];
    enum core_source_state state;
    uint8_t reach; /* last eight polls, the latest in bit 0 */
    uint8_t stratum, leap;
    uint32_t reference_id;
    int poll_log2;
    bool interleaved, authenticated;
    int64_t last_reply_ns; /* steady clock; 0: never */
    double offset_ns;      /* the source's line minus the published one, now; NAN: one of them is not known */
    double bound_ns;       /* to this source, now; NAN: not known */
    int64_t root_delay_ns, root_dispersion_ns;
    double round_trip_ns, residual_ns, excess_ns; /* of the last exchange */
    struct estimate estimate;
    struct estimator_counts counts;
    uint64_t sent, received, used, dropped[DROP_KINDS];
    uint64_t unstamped; /* replies whose request's departure was only known from the program's side */
};

struct core_report {
    struct clock_values values; /* as published last */
    int selected;               /* source, -1: none */
    unsigned source_count;
    double remaining_ns;  /* correction that is being slewed */
    double frequency_ppm; /* counter against the selected source: true rate / nominal - 1 */
    uint64_t disruptions; /* since the core was made; values.disruptions goes on over restarts */
    bool local_reference; /* in force: no server, the time is this node's own */
};

/* NULL: no memory. env and its context outlive the core. */
struct core *core_create(const struct core_config *config, const struct core_env *env);
void core_destroy(struct core *core);

/* Goes on with what an earlier daemon of the same boot and counter published last (segment_last): in holdover, without
 * a step larger than its bound. Before the first core_run. False: there was nothing to go on with (only the disruption
 * count and the leap second are taken over). */
bool core_resume(struct core *core, const struct clock_values *values);

/* The source's number (the lowest that is free), LOCKSTEP_E_EXHAUSTED, or LOCKSTEP_E_BAD_VALUE: polls out of range. On
 * an error config->auth is destroyed, too. Polling starts at core_run. */
int core_add_source(struct core *core, const struct core_source_config *config);
void core_remove_source(struct core *core, unsigned source);
/* The server's address changed (name resolved anew): forgets the path, keeps the rate. */
void core_source_moved(struct core *core, unsigned source);

/* Does what is due; returns the next deadline on the steady clock. Ask again after any other call. */
int64_t core_run(struct core *core);
/* The stamp of a request's departure (counter), error_ns: its bound. May come after the reply, or from within send. */
void core_sent(struct core *core, unsigned source, uint64_t ticket, uint64_t ta, uint32_t error_ns);
/* A packet from the source's address. tf: counter at its arrival; ttl: 0 unknown. */
void core_received(struct core *core, unsigned source, const uint8_t *packet, size_t length, uint64_t tf,
                   uint32_t error_ns, unsigned ttl);
/* A server's refusal to be reached (ICMP), for the report and faster change to others. */
void core_unreachable(struct core *core, unsigned source);

/* The environment has seen the counter stop or jump (suspend, VM pause, reset): the time is announced as disrupted and
 * found again by a burst. */
void core_disrupt(struct core *core, const char *why);

/* A leap table or the kernel knows more than the servers say. leap: +1, -1 or 0; leap_at_ns: TAI when TAI - UTC
 * changes. Outweighs the servers' announcements for two days: call it anew every day or so. Only if most servers do not
 * follow at the time, they are believed. Once there is a time, TAI - UTC of the present does not change by this: TAI
 * goes on. */
void core_set_leap(struct core *core, int32_t tai_utc_s, int32_t leap, int64_t leap_at_ns);

void core_get_report(const struct core *core, struct core_report *out);
bool core_get_source(const struct core *core, unsigned source, struct core_source_report *out);
/* For recording: called for each exchange with what the estimator said. NULL ends it. */
typedef void core_observer(void *context, unsigned source, const struct exchange *exchange,
                           enum estimator_verdict verdict, const struct estimate *estimate);
void core_observe(struct core *core, core_observer *observer, void *context);

#endif
