/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the files of the stack's core: stack.c (life, lock, polling), wait.c (waiting), helper.c (the helper
 * thread), routes.c (route cache) and the socket layer's registration with the service. */
#ifndef LOCKSTEP_STACK_STACK_PRIVATE_H
#define LOCKSTEP_STACK_STACK_PRIVATE_H

#include "base/list.h"
#include "divert/inject.h"
#include "divert/lane.h"
#include "platform/platform.h"
#include "stack/netd_client.h"
#include "stack/profile.h"
#include "stack/spin_budget.h"
#include "stack/stack.h"

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

/* One sleeping thread. */
struct waiter {
    struct list link;
    bool (*ready)(void *arg);
    void *arg;
    int event_fd;
    bool woken; /* event_fd has been written */
};

enum helper_mode {
    HELPER_NONE,   /* no thread */
    HELPER_TICK,   /* the program is active: a look every few milliseconds */
    HELPER_PARKED, /* a thread of the program sleeps as driver */
    HELPER_RING,   /* the program is quiet: the helper sleeps on the ring as driver */
};

struct stack_state {
    struct stack pub;
    bool open; /* set last, read without lock */
    struct platform_lock lock;
    struct lane *lane;
    struct injector *injector;
    struct client_lane_fds fds; /* duplicates of ring and control for handing back; injector is the injector's */
    struct control_lane_reply lane_reply;
    struct profile profile;
    uint64_t cycles_per_us;
    uint64_t ns_per_cycle; /* times 2^32 */
    bool service_lost;
    uint64_t service_lost_ns; /* the latest loss or return; 0: never */
    bool stats_whole;         /* the statistics page is one that the service writes to as well */
    uint64_t generation_base; /* raised with each new connection to the service */

    /* Under the lock. */
    uint64_t timer_cycles; /* when the engine's timers are due or looked at next */
    uint32_t progress;     /* counts what may make a wait come true; read without lock */
    uint32_t evaluated;    /* progress when the waiters were last asked */
    bool holding;          /* some records taken from the ring are not given back yet */
    uint32_t polls;        /* counts the program's own polls */
    struct list waiters;
    const void *driver;       /* the waiter that sleeps on the ring, &helper_mode for the helper, NULL: nobody */
    uint64_t driver_until_ns; /* until when a driver that is a waiter sleeps */
    uint32_t spinners;
    enum helper_mode helper_mode; /* read without lock by the helper */
    int helper_event_fd;
    uint64_t realtime_offset_cycles; /* when realtime_offset was taken */
    int64_t realtime_offset;

    struct spin_budget spin;
};

extern struct stack_state stack_state;

/* The program looks after the stack itself, as the helper finds out without the lock. Lock held. */
static inline void stack_count_poll(struct stack_state *s)
{
    __atomic_store_n(&s->polls, s->polls + 1, __ATOMIC_RELAXED);
}

/* The lock as the stack's own threads of control take it: without rousing the helper. */
void stack_lock_quiet(void);
bool stack_try_lock_quiet(void);
void stack_unlock_quiet(void);
/* Drain and timers, by whoever drives. Lock held. */
bool stack_drive(void);
/* Before sleeping on the ring: wake-ups on, and no record held back. Lock held. */
void stack_watch_ring(struct stack_state *s);
/* Runs the engine's timers now; the time of the next one. Lock held. */
uint64_t stack_run_timers(uint64_t now_ns);

/* As the environment had them when the library was loaded. */
const char *stack_program_name(void);
const char *stack_profile_name(void);

/* Connects to the service that the environment named when the library was loaded. */
int stack_connect(struct netd_client **out);
/* A socket stays with the kernel: the service hears of it, also if this program has no lane. Lock not held. */
void stack_tell_not_accelerated(const struct control_not_accelerated *message);

/* Marks a busy stretch outside the lock (requests to the service): signal handlers are deferred. */
void stack_busy_begin(void);
void stack_busy_end(void);

/* The process's limit for descriptor numbers (the hard one, capped): size of tables indexed by descriptor. */
size_t stack_fd_limit(void);
/* Lowest number for the stack's own descriptors. */
int stack_fd_minimum(void);
/* Moves fd up, registers it as the stack's own; returns the new number. Negative codes pass through. */
int stack_own_fd(int fd);
void stack_disown_fd(int fd); /* registration only */
void stack_close_own_fd(int fd);

/* CLOCK_REALTIME minus CLOCK_MONOTONIC, refreshed every 10 ms. Lock held. */
int64_t stack_realtime_offset(void);

/* wait.c */
void waiters_init(void);
void waiters_evaluate(void); /* lock held */
void waiters_forget(void);   /* in a forked child */
/* Wakes the sleeping driver if the engine has a timer before it gets up by itself. Lock held. */
void driver_mind_timers(void);

/* helper.c */
int helper_start(void);
void helper_rouse(void); /* lock held: back to HELPER_TICK */
void helper_kick(void);  /* makes it look at its work soon */

/* routes.c: the route cache. Lock held for all. */
struct route_query {
    struct net_addr destination;
    struct net_addr source; /* any: choose */
    uint32_t ifindex;
    uint32_t mark;
};
/* 0 and the route, or a negative code (LOCKSTEP_E_NO_ROUTE and others); *why (may be NULL) gets a phrase that stays
 * valid until the next call. O(1); asks the service only for what it does not know. After a change of addresses or
 * routes the answer may be a little old (see routes_refresh). */
int routes_find(const struct route_query *query, struct engine_route *out, const char **why);
/* The same, but never asks: ROUTE_UNKNOWN. */
#define ROUTE_UNKNOWN 1
int routes_try(const struct route_query *query, struct engine_route *out, const char **why);
/* The same with an answer that is true now, and the lock is not held (nor while the service is asked). */
int routes_ask(const struct route_query *query, struct engine_route *out, const char **why);
void routes_refresh(void); /* by the helper, without the lock */
uint64_t routes_generation(void);
/* Whether checksums of packets that arrive on an interface must be right in full; asks about an unknown interface with
 * the packet's source address. */
bool routes_full_checksum(uint32_t ifindex, const void *packet, size_t length);
void routes_forget(void);
/* An object for each cached route in the next `count` sets from *position on, which moves on; false: that was all. */
struct emitter;
bool routes_describe(unsigned *position, unsigned count, struct emitter *out);

/* Around a fork: the other locks of the socket layer, so that the child finds complete lists. Taken in this order, the
 * stack lock between the second and the third; the child (one thread) lets them go like the parent. */
void sock_decide_hold(bool on);
void flows_announce_hold(bool on);
void sock_table_hold(bool on);

/* What the socket layer provides. Lock held, from within the engine or the helper. */
void sock_engine_notify(void *context, void *user, uint32_t events);
bool sock_engine_urgent(void *context, void *user);
struct lane_stats_slot *sock_engine_opened(void *context, void *listener_user, const struct net_endpoint *local,
                                           const struct net_endpoint *remote, void **connection_id);
void sock_engine_gone(void *context, void *connection_id);

/* Called by the helper without the lock. */
void sock_move_urgent(void); /* connections with urgent data to the kernel */
void flows_announce(void);   /* sends what was queued for the service */
bool flows_announce_pending(void);
void flows_register_again(void); /* after a restart of the service */
void handover_prepare(void);     /* before a fork: what processes that share a listener hand to each other */
void multicast_refresh(void);    /* who on this host listens to groups */
bool handover_neglected(void);   /* gives away connections not accepted here; true: look again soon */
unsigned handover_watch(struct pollfd *fds, unsigned max); /* what to watch for connections from others */
void handover_seen(int fd);                                /* one of those is readable */
void sock_note_fork(void);                                 /* about to fork; lock held */
void sock_save_leftovers(void);                            /* in a forked child, before the engine is abandoned */
void sock_migrate_request(uint32_t flow_id);               /* somebody else may have this connection */

#endif
