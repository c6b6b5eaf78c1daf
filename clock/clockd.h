/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep-clockd: the core (core.h) with sockets, files and time around it. One thread, one epoll loop. */
#ifndef LOCKSTEP_CLOCK_CLOCKD_H
#define LOCKSTEP_CLOCK_CLOCKD_H

#include <stdbool.h>
#include <stdint.h>

#include "clock/clockd_config.h"
#include "clock/core.h"
#include "clock/disruption.h"
#include "clock/resolver.h"
#include "clock/segment.h"
#include "clock/stamps.h"

struct clockd_sources;
struct clockd_server;
struct clockd_control;
struct discipline;
struct ntp_keys;

/* What a descriptor in the epoll set belongs to. urgent: handled before others that are ready at the same time. */
struct event_source {
    void (*handle)(void *object, uint32_t events);
    void *object;
    bool urgent;
};

struct clockd {
    struct clockd_config config;
    int epoll_fd, signal_fd, clock_set_fd;
    struct event_source on_signal, on_clock_set;
    bool stop;
    int64_t started_ns;

    struct counter counter;
    char counter_why[192];
    char segment_path[128];
    struct clock_segment *segment;
    struct core *core;
    struct clock_values values; /* as published last */
    bool fresh;                 /* published since the server was told */
    uint64_t updates;
    int64_t last_update_ns;
    char last_disruption[160], last_warning[160];
    int described; /* the source whose time is served; -1: none yet */
    bool sandboxed;

    struct ntp_keys *keys;
    struct stamp_interface interfaces[STAMP_INTERFACES_MAX];
    unsigned interface_count;
    struct stamp_warmer warmer;
    struct resolver resolver;
    struct clockd_sources *sources;
    struct clockd_server *server;   /* NULL: serves nobody */
    struct clockd_control *control; /* NULL: no control socket */
    struct discipline *discipline;  /* NULL: the system clock is left alone */
    struct disruption disruption;
    int64_t next_save_ns, next_leap_ns;
};

/* Steady clock of the daemon. */
int64_t clockd_now_ns(void);
/* Level-triggered. 0 or a negated errno. */
int clockd_watch(const struct clockd *clockd, int fd, uint32_t events, struct event_source *source);
int clockd_watch_again(const struct clockd *clockd, int fd, uint32_t events, struct event_source *source);

/* How the node presents itself to its clients, and to reports. */
void clockd_describe(const struct clockd *clockd, struct ntp_server_clock *out);
/* UTC by the Lockstep clock; false: no time. */
bool clockd_time(const struct clockd *clockd, uint64_t counter, struct lockstep_time *time);

/* The program. */
int clockd_main(int argc, char **argv);

#endif
