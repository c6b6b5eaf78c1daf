/* SPDX-License-Identifier: BSD-2-Clause */
/* A world in virtual time for the clock: one node with the daemon's logic (clock/core.h) and a counter that runs off,
 * NTP servers (clock/ntp_server.h) that answer real packets, and a network between them. A reader looks at what is
 * published at random moments and knows the truth. Deterministic for a seed.
 *
 * A scenario is a program of calls: set up, run some time, change something, run on, assert. Whatever is in a public
 * structure may be changed between runs. */
#ifndef LOCKSTEP_TESTS_SIM_WORLD_H
#define LOCKSTEP_TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock/core.h"
#include "clock/ntp_server.h"
#include "tests/sim/oscillator.h"

#define WORLD_SERVERS_MAX 8
#define WORLD_EPOCH_UTC_S 1798588800 /* 2026-12-30 00:00:00 UTC: two days before a possible leap second */
#define WORLD_TAI_UTC_S   37
#define HOURS             3600.0
#define DAYS              86400.0

/* One direction of a path. */
struct world_way {
    double base_ns, queue_ns;      /* least delay; mean of the exponential queue */
    double spike_chance, spike_ns; /* now and then: a further exponential delay */
    double loss;                   /* chance */
};

enum world_kiss { KISS_NONE, KISS_RATE, KISS_DENY, KISS_RSTR };

struct world_server {
    int source; /* the core's number of it */
    int poll_min_log2, poll_max_log2;
    struct world_way out, back;
    int64_t offset_ns; /* what it lies by */
    double drift_ppb;  /* how that grows, from drift_since on */
    int64_t drift_since_ns;
    double turnaround_ns; /* mean time from receipt to transmission, exponential above 5 us */
    bool silent, announces_leap;
    enum world_kiss kiss;
    struct ntp_server_clock clock;
    struct ntp_server *logic;
    uint8_t last_reply[NTP_PACKET_MAX]; /* as the client got it, for an attacker to repeat */
    size_t last_reply_length;
    uint64_t requests;
};

struct world_config {
    uint64_t seed;
    double wander_ppb;      /* of the counter: random walk of its rate, ns/s per root second */
    double rate_ppb;        /* its rate above nominal at the start */
    double stamp_noise_ns;  /* standard deviation of the client's stamps */
    double read_interval_s; /* mean, between looks of the reader; 0: 10 s */
    unsigned minimum_sources;
    bool interleaved; /* RFC 9769: with slow polls the daemon asks twice each time, so that exchanges double */
};

/* What the reader found since world_measure. */
struct world_figures {
    uint64_t readings, given;      /* of which a time was given */
    uint64_t outside;              /* of those: the truth was not within the bound */
    uint64_t backward;             /* the time went back without a disruption */
    double coverage;               /* 1 - outside / given */
    double rms_ns, p99_ns, max_ns; /* of the error */
    double least_ns, most_ns;      /* the error, signed */
    double mean_ns;
    double median_bound_ns, most_bound_ns;
    uint64_t synchronised, holdover; /* readings */
};

struct world;

struct world *world_create(const struct world_config *config);
void world_destroy(struct world *world);

/* A server and a path with the given queues, 30 us each way, polled between the two intervals. */
unsigned world_add_server(struct world *world, double queue_ns, int poll_min_log2, int poll_max_log2);
struct world_server *world_server(struct world *world, unsigned server);
struct oscillator *world_oscillator(struct world *world);
struct core *world_core(struct world *world);

void world_run(struct world *world, double seconds);
double world_seconds(const struct world *world);

/* The daemon ends, and comes back after some time with what it published and saved. False: it had to begin anew. */
bool world_restart(struct world *world, double seconds);
/* The machine sleeps: nothing happens on it, packets are lost, and the counter stands still. The daemon is told. */
void world_suspend(struct world *world, double seconds);
/* The counter jumps ahead; the daemon is told, or has to find out. */
void world_jump_counter(struct world *world, double ns, bool told);
/* An attacker sends the packet to the client as if it came from the server. */
void world_inject(struct world *world, unsigned server, const uint8_t *packet, size_t length);
/* UTC of the true time (of all servers) has a leap second at this moment of the world: 1 or -1. */
void world_set_leap(struct world *world, int leap, double at_seconds);

/* Forgets what the reader found. */
void world_measure(struct world *world);
struct world_figures world_figures(const struct world *world);

/* Status, error and bound as of now. False: no time is given. */
bool world_read(struct world *world, enum lockstep_timescale scale, double *error_ns, double *bound_ns);
enum lockstep_clock_status world_status(struct world *world);
uint32_t world_disruptions(const struct world *world);
struct core_source_report world_source(struct world *world, unsigned server);

#endif
