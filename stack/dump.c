/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/dump.h"

#include <string.h>

#include "stack/sock_private.h"

#define WAITING_MAX   4
#define PATIENCE_NS   (5 * NS_PER_S) /* a reader that takes nothing for so long has gone */
#define BUFFER_BYTES  65536
/* More than any description has, and than what else is written under one hold of the lock. */
#define PIECE_BYTES   20480
#define HOLD_SOCKETS  8   /* described under one hold of the lock */
#define HOLD_LOOKS    256 /* looked at: most are not wanted when one is asked for */
#define STEP_HOLDS    8
#define SETS_A_HOLD   16
#define ROUTES_A_HOLD 16 /* sets of four */

enum phase { PHASE_NONE, PHASE_HEAD, PHASE_SOCKETS, PHASE_CLOSING, PHASE_EPOLL, PHASE_ROUTES, PHASE_END, PHASE_FLUSH };

struct order {
    int fd;
    struct control_dump filter;
};

/* The one in progress; touched by nobody but the helper. */
static struct {
    enum phase phase;
    bool begun; /* this phase's array */
    struct order order;
    unsigned position;
    uint64_t progress_ns;
    struct emitter out;
} now = {.order.fd = -1};

static struct order waiting[WAITING_MAX];
static unsigned waiting_count;
static char buffer[BUFFER_BYTES];

const struct dump_epoll *dump_epoll;

static void give_up(int fd)
{
    sys_shutdown(fd, SHUT_WR); /* a forked child may have a copy */
    stack_close_own_fd(fd);
}

void dump_request(int fd, const struct control_dump *filter)
{
    if (fd < 0)
        return;
    if (waiting_count == WAITING_MAX) {
        give_up(fd);
        return;
    }
    waiting[waiting_count++] = (struct order){fd, *filter};
}

void dump_forget(void)
{
    for (unsigned i = 0; i < waiting_count; i++)
        stack_close_own_fd(waiting[i].fd);
    stack_close_own_fd(now.order.fd);
    waiting_count = 0;
    now.phase = PHASE_NONE;
    now.order.fd = -1;
}

int dump_fd(void)
{
    return now.order.fd;
}

/* ---- What is asked for ---- */

static bool wants_everything(void)
{
    return now.order.filter.flow_id == 0 && now.order.filter.local.port == 0;
}

static bool wanted(const struct flow *flow, const struct net_endpoint *local, const struct net_endpoint *remote)
{
    const struct control_dump *filter = &now.order.filter;

    if (filter->flow_id)
        return flow && flow->id == filter->flow_id;
    return filter->local.port == 0 || (net_endpoint_equal(&filter->local, local) &&
                                       (filter->remote.port == 0 || net_endpoint_equal(&filter->remote, remote)));
}

static bool sock_wanted(const struct sock *sock)
{
    struct net_endpoint local = sock->local, remote = sock->remote;

    if (sock->life == LIFE_CONNECTION)
        sock_ops()->tcp_addresses(sock->conn, &local, &remote);
    return wanted(sock->flow, &local, &remote);
}

/* ---- The parts ---- */

static void put_profile(struct emitter *out)
{
    const struct profile *profile = &stack_state.profile;

    emit_object_begin(out, "profile");
    emit_text(out, "name", stack_profile_name());
    if (profile->spin_us == UINT32_MAX)
        emit_text(out, "spin_us", "forever");
    else
        emit_unsigned(out, "spin_us", profile->spin_us);
    emit_bool(out, "spin_backoff", profile->spin_backoff);
    emit_signed(out, "core", profile->core);
    emit_unsigned(out, "delayed_ack_us", profile->delayed_ack_us);
    emit_unsigned(out, "coalesce_us", profile->coalesce_us);
    emit_unsigned(out, "rto_min_us", profile->rto_min_us);
    emit_unsigned(out, "helper_tick_us", profile->helper_tick_us);
    emit_object_end(out);
}

static void put_spin(struct emitter *out)
{
    const struct spin_budget *spin = &stack_state.spin;

    emit_object_begin(out, "spin_budget");
    emit_unsigned(out, "full_us", spin->full / stack_state.cycles_per_us);
    emit_unsigned(out, "limit_us", spin->limit / stack_state.cycles_per_us);
    emit_bool(out, "resting", spin->resting);
    emit_unsigned(out, "waits_to_next_trial", spin->trial_in);
    emit_unsigned(out, "failures_in_a_row", spin->failures);
    emit_unsigned(out, "successes_in_a_row", spin->successes);
    emit_unsigned(out, "cycles_per_us", stack_state.cycles_per_us);
    emit_object_end(out);
}

static void put_ring(struct emitter *out)
{
    const struct stack_state *s = &stack_state;

    emit_object_begin(out, "ring");
    emit_unsigned(out, "size_bytes", s->lane_reply.ring_bytes);
    emit_unsigned(out, "occupied_bytes", lane_occupied(s->lane));
    emit_unsigned(out, "waiting_bytes", lane_backlog(s->lane));
    emit_unsigned(out, "high_water_bytes", s->pub.stats->ring_high_water);
    emit_bool(out, "records_held_back", s->holding);
    emit_bool(out, "sleeping", lane_control(s->lane)->sleeping != 0);
    emit_object_end(out);
}

static void put_counters(struct emitter *out)
{
    const struct lane_stats *stats = stack_state.pub.stats;

    emit_object_begin(out, "counters");
    emit_unsigned(out, "received_packets", stats->rx_packets);
    emit_unsigned(out, "received_bytes", stats->rx_bytes);
    emit_unsigned(out, "sent_packets", stats->tx_packets);
    emit_unsigned(out, "sent_bytes", stats->tx_bytes);
    emit_unsigned(out, "bad_packets", stats->bad_packets);
    emit_unsigned(out, "send_failures", stats->send_failures);
    emit_unsigned(out, "sleeps", stats->sleeps);
    emit_unsigned(out, "wakeups", stats->wakeups);
    emit_unsigned(out, "spins_in_vain", stats->spins_empty);
    emit_object_end(out);
}

static unsigned waiter_count(void)
{
    unsigned count = 0;

    list_for_each(link, &stack_state.waiters) count++;
    return count;
}

static void put_threads(struct emitter *out)
{
    static const char *const modes[] = {
        [HELPER_NONE] = "none", [HELPER_TICK] = "tick", [HELPER_PARKED] = "parked", [HELPER_RING] = "ring"};
    const struct stack_state *s = &stack_state;

    emit_object_begin(out, "threads");
    emit_text(out, "helper_mode", modes[s->helper_mode]);
    emit_text(out, "ring_driver", !s->driver ? NULL : s->driver == &s->helper_mode ? "helper" : "program");
    emit_unsigned(out, "sleeping", waiter_count());
    emit_unsigned(out, "spinning", s->spinners);
    emit_unsigned(out, "polls", s->polls);
    emit_object_end(out);
}

static void put_stack(struct emitter *out)
{
    const struct stack_state *s = &stack_state;

    emit_object_begin(out, "stack");
    emit_unsigned(out, "lane", s->pub.lane);
    emit_text(out, "injector", s->lane_reply.injector == CONTROL_INJECTOR_DIRECT ? "direct" : "guarded");
    emit_bool(out, "service_connected", !s->service_lost);
    emit_unsigned(out, "routes_generation", routes_generation());
    put_profile(out);
    put_spin(out);
    put_threads(out);
    put_ring(out);
    put_counters(out);
    emit_object_begin(out, "engine");
    emit_text(out, "name", s->pub.ops->name);
    s->pub.ops->describe(s->pub.engine, out);
    emit_object_end(out);
    emit_object_end(out);
}

static bool head(struct emitter *out)
{
    uint64_t monotonic_ns = platform_now_ns();

    emit_object_begin(out, NULL);
    emit_text(out, "document", "lockstep dump");
    emit_unsigned(out, "document_version", 1);
    emit_text(out, "lockstep_version", LOCKSTEP_VERSION);
    emit_unsigned(out, "pid", (uint64_t)sys_call6(SYS_getpid, 0, 0, 0, 0, 0, 0));
    emit_text(out, "program", stack_program_name());
    emit_signed(out, "time_ns", (int64_t)monotonic_ns + platform_realtime_offset_ns());
    emit_unsigned(out, "monotonic_ns", monotonic_ns);
    put_stack(out);
    return false;
}

static bool has_room(const struct emitter *out)
{
    return out->size - out->used >= PIECE_BYTES;
}

static bool sockets(struct emitter *out)
{
    for (int looks = 0, described = 0; looks < HOLD_LOOKS && described < HOLD_SOCKETS && has_room(out); looks++) {
        const struct sock *sock = sock_walk(!now.begun);

        now.begun = true;
        if (!sock)
            return false;
        if (!sock_wanted(sock))
            continue;
        described++;
        emit_object_begin(out, NULL);
        sock_describe(sock, out);
        emit_object_end(out);
    }
    return true;
}

static void put_closing(struct emitter *out, const struct tcp_conn *conn, const struct net_endpoint *local,
                        const struct net_endpoint *remote)
{
    char text[NET_ENDPOINT_TEXT_MAX];

    emit_object_begin(out, NULL);
    emit_text(out, "protocol", "tcp");
    emit_text(out, "local", net_endpoint_format(local, text));
    emit_text(out, "remote", net_endpoint_format(remote, text));
    emit_object_begin(out, "tcp");
    sock_ops()->tcp_describe(conn, out);
    emit_object_end(out);
    emit_object_end(out);
}

static bool closing(struct emitter *out)
{
    struct net_endpoint local, remote;

    for (int looks = 0, described = 0; looks < HOLD_LOOKS && described < HOLD_SOCKETS && has_room(out); looks++) {
        const struct tcp_conn *conn;
        bool any = sock_ops()->tcp_walk(stack_state.pub.engine, !now.begun, &conn);

        now.begun = true;
        if (!any)
            return false;
        if (!conn)
            continue;
        sock_ops()->tcp_addresses(conn, &local, &remote);
        if (!wanted(sock_ops()->tcp_id(conn), &local, &remote))
            continue;
        described++;
        put_closing(out, conn, &local, &remote);
    }
    return true;
}

static bool epoll_sets(struct emitter *out)
{
    bool more = dump_epoll && wants_everything() && dump_epoll->sets(now.position, SETS_A_HOLD, out);

    now.position += SETS_A_HOLD;
    return more;
}

static bool routes(struct emitter *out)
{
    return wants_everything() && routes_describe(&now.position, ROUTES_A_HOLD, out);
}

static bool end(struct emitter *out)
{
    emit_bool(out, "complete", true);
    emit_object_end(out);
    return false;
}

/* ---- Writing ---- */

static const struct {
    bool (*write)(struct emitter *out); /* lock held; true: there is more */
    const char *array;
} parts[] = {
    [PHASE_HEAD] = {head, NULL},
    [PHASE_SOCKETS] = {sockets, "sockets"},
    [PHASE_CLOSING] = {closing, "closing"},
    [PHASE_EPOLL] = {epoll_sets, "epoll_sets"},
    [PHASE_ROUTES] = {routes, "routes"},
    [PHASE_END] = {end, NULL},
};

/* One hold of the lock. */
static void write_some(void)
{
    const char *array = parts[now.phase].array;
    bool more;

    stack_lock_quiet();
    if (array && !now.begun)
        emit_array_begin(&now.out, array);
    more = parts[now.phase].write(&now.out);
    now.begun = true;
    stack_unlock_quiet();
    if (more)
        return;
    if (array)
        emit_array_end(&now.out);
    now.phase++;
    now.begun = false;
    now.position = 0;
}

static void finish(void)
{
    give_up(now.order.fd);
    now.order.fd = -1;
    now.phase = PHASE_NONE;
}

/* False: the reader takes no more at present, or for ever. */
static bool flush(void)
{
    while (now.out.used > 0) {
        struct iovec iov = {buffer, now.out.used};
        struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
        ssize_t sent = sys_sendmsg(now.order.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent == -EINTR)
            continue;
        if (sent < 0) {
            if (sent != -EAGAIN || platform_now_ns() - now.progress_ns > PATIENCE_NS)
                finish();
            return false;
        }
        emitter_taken(&now.out, (size_t)sent);
        now.progress_ns = platform_now_ns();
    }
    return true;
}

static bool begin_next(void)
{
    if (waiting_count == 0)
        return false;
    now.order = waiting[0];
    memmove(waiting, waiting + 1, --waiting_count * sizeof *waiting);
    now.phase = PHASE_HEAD;
    now.begun = false;
    now.position = 0;
    now.progress_ns = platform_now_ns();
    emitter_init(&now.out, buffer, sizeof buffer);
    return true;
}

bool dump_step(void)
{
    if (now.phase == PHASE_NONE && !begin_next())
        return false;
    for (int i = 0; i < STEP_HOLDS && now.phase != PHASE_FLUSH && has_room(&now.out); i++)
        write_some();
    if (now.out.overflow) { /* a description longer than it may be: rather nothing than half a document */
        finish();
        return true;
    }
    if (!flush())
        return now.phase == PHASE_NONE;
    if (now.phase == PHASE_FLUSH)
        finish();
    return true;
}
