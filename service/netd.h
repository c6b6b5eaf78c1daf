/* SPDX-License-Identifier: BSD-2-Clause */
/* The service's own state, shared by its modules: clients (connections of programs and tools), their lanes, and what is
 * counted. One thread, one epoll loop (server.h). */
#ifndef LOCKSTEP_SERVICE_NETD_H
#define LOCKSTEP_SERVICE_NETD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "divert/divert.h"
#include "service/closer.h"
#include "service/control.h"
#include "service/flows.h"
#include "service/journal.h"
#include "service/kernel_sockets.h"
#include "service/lane_stats.h"
#include "service/netlink.h"
#include "service/network.h"
#include "service/peer.h"
#include "service/policy.h"
#include "service/reload.h"
#include "service/segment.h"
#include "service/survivors.h"

struct netd;
struct client;

/* What epoll reports to. */
struct event_source {
    void (*handle)(struct netd *netd, void *object, uint32_t events);
    void *object;
};

/* Limits are per user: a program cannot get around them by running often. */
struct user {
    struct list link;
    uid_t uid;
    unsigned clients, lanes, flows, claims;
    struct closer_account closer;
    unsigned nexthops_made; /* since window_ns */
    unsigned untold;        /* connections that programs came not to tell of, looked at since window_ns */
    uint64_t window_ns;
};

struct lane {
    struct flow_owner owner; /* lane number and flows */
    struct client *client;
    uint32_t injector; /* enum control_injector */
    uint32_t ring_bytes;
    char device[IFNAMSIZ]; /* of the guarded injector */
    unsigned device_index;
    int event_fd;
    struct lane_stats *stats; /* written by the program: nothing in it is to be trusted */
    size_t stats_bytes;       /* LANE_STATS_BASE_BYTES if an older service made the page */
    int64_t since_ns;         /* CLOCK_REALTIME */
    uint64_t adopted_ns;      /* from an earlier instance; 0: this one made it */
    bool told;                /* the journal has it */
    uint64_t ends_heard;      /* number of the program's last FLOW_CLOSED */
};

/* The socket that the policy has denied last (admission.h). */
struct denial {
    uint8_t protocol;
    uint16_t port;                  /* local */
    char reason[POLICY_REASON_MAX]; /* "": none */
};

struct client {
    struct list link;
    int fd;     /* -1: dropped */
    int pid_fd; /* readable when the process has ended; -1: none */
    struct survivor process;
    uid_t uid;
    struct peer_groups groups;
    struct denial denial;
    bool greeted;
    char program[CONTROL_NAME_MAX];
    struct user *user;
    struct lane *lane;  /* NULL: none */
    uint64_t *nexthops; /* bits: those it has asked for; NULL: none yet */
    struct event_source on_socket, on_exit;
};

/* A CLAIM that waits for the owner's MIGRATE. */
struct claim {
    struct list link;
    struct client *client;
    uint32_t sequence;
    uint32_t lane, flow_id;
    uint64_t deadline_ns;
};

/* A report that users other than root get. */
#define REPORT_KINDS   (CONTROL_REPORT_HISTOGRAMS + 1)
#define SHARED_REPORTS 16
struct shared_report {
    int fd;     /* -1: none */
    int reader; /* what they get */
    uint64_t made_ns;
};

struct netd_counters {
    uint64_t clients_accepted, clients_refused;
    uint64_t rejected_messages; /* malformed: the client was disconnected */
    uint64_t denied_requests;   /* not allowed, or over a limit */
    uint64_t lanes_opened, lanes_adopted;
    uint64_t flows_added, accepted_failed;
    uint64_t resets_sent;
    uint64_t migrations, migrations_failed, claims;
};

struct netd {
    struct policy policy;
    struct divert *divert;
    struct netlink *netlink;
    struct flows *flows;
    struct network *network;
    struct journal *journal;
    struct segment_sender sender;
    uint64_t namespace_cookie;
    uint64_t started_ns;
    int epoll_fd;
    struct list clients, dropped, users, claims, reports; /* dropped: clients to be freed after the events at hand */
    struct lane *lanes[DIVERT_MAX_LANES];
    uint32_t next_lane;
    unsigned lane_count;
    struct survivors survivors;
    bool adopting; /* the divert is not attached yet, programs bring their lanes back */
    uint64_t adopt_until_ns;
    uint64_t last_adopt_ns;        /* lanes and flows are still coming */
    uint64_t listeners_checked_ns; /* of the kernel */
    bool listeners_due;            /* a multicast flow was added since */
    struct kernel_sockets kernel_sockets;
    struct shared_report shared_reports[REPORT_KINDS][SHARED_REPORTS];
    unsigned shared_next[REPORT_KINDS]; /* index of the latest */
    struct netd_counters counters;
    struct reload_result reload;
};

/* The whole program; returns its exit status. Once a process. */
int netd_main(int argc, char **argv);

#endif
