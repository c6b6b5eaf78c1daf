/* SPDX-License-Identifier: BSD-2-Clause */
/* The helper thread: looks after the stack while no thread of the program does, and talks to the service in the
 * background (announcements, requests to migrate, the service's restart). */
#include <pthread.h>

#include "base/error.h"
#include "base/log.h"
#include "stack/dump.h"
#include "stack/stack_private.h"
#include "stack/sys.h"

#define STACK_BYTES    (256 * 1024)
#define REST_NS        (500 * NS_PER_MS) /* longest sleep: the lane's heartbeat must go on */
#define QUIET_TICKS    10                /* without a poll by the program before the helper sleeps on the ring */
#define RECONNECT_NS   (50 * NS_PER_MS)
#define ROUNDS_A_TICK  64
#define OWN_WATCHES    5
#define WATCH_MAX      16
#define ACTIVE_TICK_NS (6 * NS_PER_MS) /* with a program that drives the stack all the time */

static uint32_t polls_seen;
static unsigned quiet_ticks, active_ticks;
static uint64_t reconnect_at_ns;
static bool look_soon; /* at connections that nobody accepts */

void helper_kick(void)
{
    const uint64_t one = 1;

    sys_write(stack_state.helper_event_fd, &one, sizeof one);
}

static void set_mode(struct stack_state *s, enum helper_mode mode)
{
    __atomic_store_n(&s->helper_mode, mode, __ATOMIC_RELAXED);
}

void helper_rouse(void)
{
    struct stack_state *s = &stack_state;

    if (s->driver == &s->helper_mode) {
        s->driver = NULL;
        lane_set_sleeping(s->lane, false);
    }
    set_mode(s, HELPER_TICK);
    helper_kick();
}

/* ---- The ring ---- */

/* Drives the stack, because nobody else did since the last tick. Lock held. */
static void tick(void)
{
    for (int i = 0; i < ROUNDS_A_TICK && stack_drive(); i++)
        ;
    quiet_ticks++;
}

/* While the program drives the stack itself, the helper only looks whether it still does, less and less often. */
static bool program_is_active(const struct stack_state *s)
{
    uint32_t polls = __atomic_load_n(&s->polls, __ATOMIC_RELAXED);
    bool active = polls != polls_seen && __atomic_load_n(&s->helper_mode, __ATOMIC_RELAXED) == HELPER_TICK;

    polls_seen = polls;
    active_ticks = active ? active_ticks + 1 : 0;
    if (active)
        quiet_ticks = 0;
    return active;
}

static uint64_t active_rest(const struct stack_state *s)
{
    uint64_t rest_ns = s->profile.helper_tick_us * NS_PER_US;

    return active_ticks > 2 && rest_ns < ACTIVE_TICK_NS ? ACTIVE_TICK_NS : rest_ns;
}

/* What to do until the next wake-up: the mode, and for how long at most. Lock held. */
static uint64_t choose_rest(struct stack_state *s)
{
    uint64_t next;

    if (s->driver && s->driver != &s->helper_mode && quiet_ticks > 0) {
        set_mode(s, HELPER_PARKED);
        return REST_NS;
    }
    if (s->driver != &s->helper_mode && (quiet_ticks < QUIET_TICKS || s->spinners > 0 || s->driver)) {
        set_mode(s, HELPER_TICK);
        return s->profile.helper_tick_us * NS_PER_US;
    }
    set_mode(s, HELPER_RING);
    s->driver = &s->helper_mode;
    stack_watch_ring(s);
    if (lane_ready(s->lane))
        return 0;
    next = stack_run_timers(platform_now_ns());
    if (lane_ready(s->lane))
        return 0;
    next = next > platform_now_ns() ? next - platform_now_ns() : 0;
    return next < REST_NS ? next : REST_NS;
}

/* ---- The service ---- */

static int adopt(struct stack_state *s, struct netd_client *client)
{
    const struct control_lane_adopt request = {
        .lane = s->lane_reply.lane, .injector = s->lane_reply.injector, .ring_bytes = s->lane_reply.ring_bytes};
    struct client_lane_fds fds = s->fds;
    int err;

    stack_close_own_fd(s->fds.event);
    s->fds.event = -1;
    fds.stats = s->fds.stats;
    err = client_lane_adopt(client, &request, &fds);
    if (err < 0)
        return err;
    s->fds.event = stack_own_fd(fds.event);
    stack_own_fd(client_fd(client));
    stack_lock_quiet();
    s->generation_base += (1ull << 40);
    s->pub.client = client;
    s->service_lost = false;
    __atomic_store_n(&s->service_lost_ns, platform_now_ns(), __ATOMIC_RELAXED);
    stack_unlock_quiet();
    return 0; /* the old client stays: threads may be using it and its state page, and restarts are rare */
}

/* Tries once; the program goes on with its connections meanwhile. */
static void reconnect(struct stack_state *s)
{
    struct netd_client *client;
    int err = stack_connect(&client);

    reconnect_at_ns = platform_now_ns() + (err == LOCKSTEP_E_BAD_VERSION ? NS_PER_S : RECONNECT_NS);
    if (err < 0)
        return;
    err = adopt(s, client);
    if (err == 0) {
        flows_register_again();
        flows_announce(); /* while the service still has the earlier one's flow table */
        return;
    }
    client_close(client);
    if (err != LOCKSTEP_E_NO_SERVICE) {
        log_warning("stack: the restarted service refuses this program's lane: %s", error_text(err));
        reconnect_at_ns = UINT64_MAX;
    }
}

static void look_after_service(struct stack_state *s, bool client_event, bool lane_event)
{
    struct client_event event;

    if (!s->service_lost && client_event && client_check(s->pub.client) < 0) {
        stack_lock_quiet();
        s->service_lost = true;
        __atomic_store_n(&s->service_lost_ns, platform_now_ns(), __ATOMIC_RELAXED);
        stack_unlock_quiet();
        reconnect_at_ns = 0;
    }
    if (s->service_lost) {
        if (platform_now_ns() >= reconnect_at_ns)
            reconnect(s);
        return;
    }
    flows_announce();
    routes_refresh();
    while (lane_event && s->fds.event >= 0 && client_event_read(s->fds.event, &event) == 0) {
        if (event.type == CONTROL_DUMP_REQUEST)
            dump_request(stack_own_fd(event.fd), &event.dump);
        else
            sock_migrate_request(event.flow_id);
    }
}

/* ---- The thread ---- */

/* Sleeps, then does what the service wants. */
static void rest(struct stack_state *s, uint64_t rest_ns, bool on_ring)
{
    struct pollfd fds[OWN_WATCHES + WATCH_MAX] = {
        {s->helper_event_fd, POLLIN, 0},
        {s->service_lost ? -1 : client_fd(s->pub.client), 0, 0}, /* hang-up only */
        {s->service_lost ? -1 : s->fds.event, POLLIN, 0},
        {on_ring ? lane_poll_fd(s->lane) : -1, POLLIN, 0},
        {dump_fd(), POLLOUT, 0}};
    unsigned watched = handover_watch(fds + OWN_WATCHES, WATCH_MAX);
    struct timespec timeout;
    uint64_t count;

    if ((s->service_lost || look_soon) && rest_ns > RECONNECT_NS)
        rest_ns = RECONNECT_NS;
    timeout = (struct timespec){(time_t)(rest_ns / NS_PER_S), (long)(rest_ns % NS_PER_S)};
    sys_ppoll(fds, OWN_WATCHES + watched, &timeout, NULL);
    for (unsigned i = OWN_WATCHES; i < OWN_WATCHES + watched; i++) {
        if (fds[i].revents)
            handover_seen(fds[i].fd);
    }
    look_soon = handover_neglected();
    multicast_refresh();
    sock_move_urgent();
    if (fds[0].revents)
        sys_read(s->helper_event_fd, &count, sizeof count);
    look_after_service(s, fds[1].revents != 0, fds[2].revents != 0);
}

static void *helper_main(void *argument)
{
    struct stack_state *s = argument;

    for (;;) {
        uint64_t rest_ns = active_rest(s);
        bool on_ring = false;

        /* A lock that is taken says the same as a poll: somebody is inside. */
        if (!program_is_active(s) && stack_try_lock_quiet()) {
            tick();
            rest_ns = choose_rest(s);
            on_ring = s->helper_mode == HELPER_RING;
            stack_unlock_quiet();
        }
        lane_heartbeat(s->lane, platform_now_ns());
        if (dump_step())
            rest_ns = 0;
        rest(s, rest_ns, on_ring);
    }
    return NULL;
}

int helper_start(void)
{
    struct stack_state *s = &stack_state;
    sigset_t all, old;
    pthread_attr_t attributes;
    pthread_t thread;
    int err;

    s->helper_event_fd = stack_own_fd(sys_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (s->helper_event_fd < 0)
        return s->helper_event_fd;
    quiet_ticks = 0;
    set_mode(s, HELPER_TICK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    err = -pthread_create(&thread, &attributes, helper_main, s);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err == 0)
        pthread_setname_np(thread, "lockstep");
    else
        stack_close_own_fd(s->helper_event_fd);
    return err;
}
