/* SPDX-License-Identifier: BSD-2-Clause */
/* Listeners: half-open connections, the queue of established ones, accept. */
#include "stack/engine_private.h"

#include <errno.h>
#include <sys/epoll.h>

#define HALF_OPEN_MIN     1024
#define HALF_OPEN_MAX     4096
#define HALF_OPEN_NS      (31 * SECOND)
#define ANSWER_TIMEOUT_NS (200 * MILLISECOND)

/* How well a listener fits: its address, any address of the family, any address. 0: not at all. */
static int fit(const struct tcp_listener *listener, const struct net_endpoint *local, bool ipv6)
{
    if (listener->local.port != local->port || !(ipv6 ? listener->v6 : listener->v4))
        return 0;
    if (!listener->wildcard)
        return net_addr_equal(&listener->local.addr, &local->addr) ? 3 : 0;
    return listener->v4 && listener->v6 ? 1 : 2;
}

/* Among listeners that share an address (SO_REUSEPORT) the remote endpoint decides (rendezvous hashing). */
struct tcp_listener *listener_find(struct engine *engine, const struct net_endpoint *local,
                                   const struct net_endpoint *remote)
{
    struct tcp_listener *best = NULL;
    int best_fit = 0;
    uint64_t best_rank = 0;
    bool ipv6 = !net_addr_is_v4(&local->addr);
    list_for_each(link, &engine->listeners[port_bucket(local->port)])
    {
        struct tcp_listener *listener = list_entry(link, struct tcp_listener, link);
        int how = fit(listener, local, ipv6);
        if (how == 0 || how < best_fit)
            continue;
        if (how == best_fit) {
            uint64_t rank = table_rank(engine, remote, listener);
            if (best_rank == 0)
                best_rank = table_rank(engine, remote, best);
            if (rank < best_rank)
                continue;
            best_rank = rank;
        } else {
            best_rank = 0;
        }
        best = listener;
        best_fit = how;
    }
    return best;
}

/* As Linux: one more than the backlog may wait. */
bool listener_full(const struct tcp_listener *listener)
{
    return listener->ready_count > (unsigned)listener->backlog;
}

/* Room for one more half-open connection: the oldest goes. In a flood of SYNs whoever answers within the time that it
 * takes to fill the queue gets through. */
static void make_room(struct tcp_listener *listener)
{
    unsigned limit = (unsigned)listener->backlog;
    limit = limit < HALF_OPEN_MIN ? HALF_OPEN_MIN : limit > HALF_OPEN_MAX ? HALF_OPEN_MAX : limit;
    if (listener->half_open_count < limit)
        return;
    struct tcp_conn *oldest = list_entry(listener->half_open.next, struct tcp_conn, listener_link);
    if (oldest->deferred)
        conn_reset(oldest, 0);
    else
        conn_finish(oldest, 0);
}

static bool route_back(struct engine *engine, const struct packet *packet, uint32_t ifindex, struct engine_route *route)
{
    const struct engine_environment *environment = &engine->environment;
    return environment->route(environment->context, &packet->source, &packet->destination, ifindex, route) == 0;
}

void listener_input(struct tcp_listener *listener, const struct packet *packet, const struct tcp_segment *segment,
                    const struct lane_record *record)
{
    struct engine *engine = listener->engine;
    struct engine_route route;
    if (segment->flags & (SEGMENT_RST | SEGMENT_FIN) || !(segment->flags & (SEGMENT_SYN | SEGMENT_ACK)))
        return;
    if (segment->flags & SEGMENT_ACK) {
        if (route_back(engine, packet, record->ifindex, &route))
            engine_send_rst(engine, packet, segment, &route);
        return;
    }
    if (listener_full(listener) || !route_back(engine, packet, record->ifindex, &route))
        return;
    make_room(listener);
    struct net_endpoint local = {packet->destination, packet->destination_port};
    struct net_endpoint remote = {packet->source, packet->source_port};
    struct tcp_conn *conn = conn_new(engine, &local, &remote, &listener->options);
    if (!conn)
        return;
    conn->passive = true;
    conn->listener = listener;
    conn->route = route;
    conn->route_generation = route.generation;
    conn->pcb = lwip_listen_input(listener, conn, packet, segment);
    if (!conn->pcb || table_add(conn) < 0) {
        lwip_discard(conn);
        conn_free(conn);
        return;
    }
    list_push_back(&listener->half_open, &conn->listener_link);
    listener->half_open_count++;
    void *connection_id = NULL;
    conn_set_slot(
        conn, engine->environment.opened(engine->environment.context, listener->user, &local, &remote, &connection_id));
    conn_set_id(conn, connection_id);
    conn->rtt_pending = true;
    conn->rtt_start_ns = engine->now_ns;
    uint64_t first =
        route.flags & CONTROL_ROUTE_LOCAL_LINK ? engine->config.rto_initial_lan_us : engine->config.rto_initial_us;
    first = first * MICROSECOND > ANSWER_TIMEOUT_NS ? first * MICROSECOND : ANSWER_TIMEOUT_NS;
    conn_deadline(conn, DEADLINE_RETRANSMIT, engine->now_ns + first);
    conn_deadline(conn, DEADLINE_STATE, engine->now_ns + HALF_OPEN_NS);
}

void listener_drop(struct tcp_conn *conn)
{
    struct tcp_listener *listener = conn->listener;
    if (!listener)
        return;
    list_remove(&conn->listener_link);
    if (conn->connected && !conn->deferred)
        listener->ready_count--;
    else
        listener->half_open_count--;
    conn->listener = NULL;
}

void listener_established(struct tcp_conn *conn)
{
    uint32_t deferral_s = conn->listener->options.deferral_s;
    conn->deferred = deferral_s > 0 && conn->rx.length == 0 && !conn->read_end;
    if (conn->deferred)
        conn_deadline(conn, DEADLINE_STATE, conn->engine->now_ns + deferral_s * SECOND);
    else
        listener_ready(conn);
}

void listener_ready(struct tcp_conn *conn)
{
    struct tcp_listener *listener = conn->listener;
    struct engine *engine = conn->engine;
    if (conn->deferred)
        conn_deadline(conn, DEADLINE_STATE, NEVER);
    conn->deferred = false;
    list_remove(&conn->listener_link);
    list_push_back(&listener->ready, &conn->listener_link);
    listener->half_open_count--;
    listener->ready_count++;
    engine->environment.notify(engine->environment.context, listener->user, EPOLLIN);
}

/* ---- Operations */

int op_tcp_listen(struct engine *engine, const struct net_endpoint *local, bool dual_stack, int backlog, void *user,
                  struct tcp_listener **out)
{
    struct tcp_listener *listener = pool_zalloc(sizeof(*listener));
    if (!listener)
        return -ENOMEM;
    listener->engine = engine;
    listener->user = user;
    listener->local = *local;
    listener->wildcard = net_addr_is_any(&local->addr);
    listener->v4 = net_addr_is_v4(&local->addr) || (listener->wildcard && dual_stack);
    listener->v6 = !net_addr_is_v4(&local->addr);
    op_tcp_listener_backlog(listener, backlog);
    list_init(&listener->half_open);
    list_init(&listener->ready);
    options_default(&listener->options);
    lwip_listener_init(listener);
    list_push_back(&engine->listeners[port_bucket(local->port)], &listener->link);
    *out = listener;
    return 0;
}

void op_tcp_listener_backlog(struct tcp_listener *listener, int backlog)
{
    listener->backlog = backlog < 0 ? 0 : backlog;
}

int op_tcp_listener_option(struct tcp_listener *listener, enum engine_tcp_option option, int value)
{
    return options_set(&listener->options, option, value);
}

uint32_t op_tcp_listener_ready(const struct tcp_listener *listener)
{
    return listener->ready_count > 0 ? EPOLLIN : 0;
}

int op_tcp_accept(struct tcp_listener *listener, void *user, struct tcp_conn **out)
{
    if (list_empty(&listener->ready))
        return -EAGAIN;
    struct tcp_conn *conn = list_entry(listener->ready.next, struct tcp_conn, listener_link);
    listener_drop(conn);
    conn->user = user;
    conn->handle_open = true;
    conn_update_slot(conn);
    *out = conn;
    return 0;
}

void op_tcp_listener_close(struct tcp_listener *listener)
{
    engine_now(listener->engine);
    list_for_each(link, &listener->half_open)
    {
        conn_reset(list_entry(link, struct tcp_conn, listener_link), 0);
    }
    list_for_each(link, &listener->ready)
    {
        struct tcp_conn *conn = list_entry(link, struct tcp_conn, listener_link);
        listener_drop(conn);
        if (conn->stage == STAGE_CLOSED)
            conn_free(conn);
        else
            conn_reset(conn, 0);
    }
    list_remove(&listener->link);
    pool_free(listener);
}
