/* SPDX-License-Identifier: BSD-2-Clause */
/* A TCP connection's life as the socket layer sees it: connect, send, receive, shut down, close. */
#include "stack/engine_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>

/* ---- Life */

struct tcp_conn *conn_new(struct engine *engine, const struct net_endpoint *local, const struct net_endpoint *remote,
                          const struct tcp_options *options)
{
    struct tcp_conn *conn = pool_zalloc(sizeof(*conn));
    if (!conn)
        return NULL;
    conn->engine = engine;
    conn->local = *local;
    conn->remote = *remote;
    conn->ipv6 = !net_addr_is_v4(&remote->addr);
    conn->pseudo_sum = checksum_pseudo(&local->addr, &remote->addr, conn->ipv6, IPPROTO_TCP, 0);
    conn->opened_ns = conn->last_receive_ns = engine->now_ns;
    list_init(&conn->listener_link);
    list_init(&conn->flush_link);
    list_init(&conn->borrow_link);
    list_init(&conn->id_link);
    for (int i = 0; i < DEADLINE_COUNT; i++)
        conn->deadline[i] = NEVER;
    conn_apply_options(conn, options);
    recovery_init(conn);
    list_push_back(&engine->conns, &conn->all_link);
    return conn;
}

void conn_free(struct tcp_conn *conn)
{
    byte_queue_free(&conn->tx);
    byte_queue_free(&conn->rx);
    recovery_free(conn);
    wheel_cancel(&conn->engine->wheel, &conn->timer);
    list_remove(&conn->flush_link);
    list_remove(&conn->borrow_link);
    list_remove(&conn->id_link);
    list_remove(&conn->listener_link);
    if (conn->engine->walk == &conn->all_link)
        conn->engine->walk = conn->all_link.next;
    list_remove(&conn->all_link);
    pool_free(conn);
}

/* lwIP has set the window to its constant; the SYN or SYN|ACK told the peer of 64 KB at most (adjust_syn). */
static void init_window(struct tcp_conn *conn)
{
    struct tcp_pcb *pcb = conn->pcb;
    conn->receive_limit = max_u32(conn->receive_limit, 2 * pcb->mss);
    pcb->rcv_wnd = conn_window_most(conn);
    if (!(pcb->flags & TF_WND_SCALE))
        pcb->rcv_wnd = min_u32(pcb->rcv_wnd, 0xffff);
    pcb->rcv_ann_wnd = pcb->rcv_wnd;
    pcb->rcv_ann_right_edge = pcb->rcv_nxt + min_u32(pcb->rcv_wnd, 0xffff);
}

void conn_established(struct tcp_conn *conn)
{
    struct tcp_pcb *pcb = conn->pcb;
    conn->stage = STAGE_OPEN;
    conn->connected = true;
    if (conn->slot)
        conn->slot->connected = 1;
    conn->peer_mss = pcb->mss;
    conn_set_mss(conn);
    init_window(conn);
    byte_queue_init(&conn->tx, conn->passive ? pcb->snd_nxt : pcb->lastack);
    pcb->snd_nxt = conn->tx.position;
    conn->push_end = conn->small_end = conn->recover = conn->tx.position;
    conn->cwnd = 10 * conn->mss; /* RFC 6928 */
    if (conn->rtt_pending)
        recovery_rtt_sample(conn, conn->engine->now_ns - conn->rtt_start_ns);
    conn->rtt_pending = false;
    conn->backoff = 0;
    conn->progress_ns = conn->last_receive_ns = conn->engine->now_ns;
    conn->drs_start_ns = conn->engine->now_ns;
    conn_deadline(conn, DEADLINE_STATE, NEVER);
    conn_deadline(conn, DEADLINE_RETRANSMIT, NEVER);
    if (conn->keepalive)
        conn_deadline(conn, DEADLINE_KEEPALIVE, conn->engine->now_ns + conn->keep_idle_s * SECOND);
    PROBE(connection_opened, PROBE_CONN(conn), conn->passive, conn->srtt_us);
}

void conn_set_id(struct tcp_conn *conn, void *connection_id)
{
    struct engine *engine = conn->engine;
    conn->connection_id = connection_id;
    list_remove(&conn->id_link);
    if (connection_id)
        list_push_back(&engine->ids[hash_u64(&engine->key, (uintptr_t)connection_id) % ID_BUCKETS], &conn->id_link);
}

void conn_gone(struct tcp_conn *conn)
{
    struct engine *engine = conn->engine;
    void *connection_id = conn->connection_id;
    conn_set_id(conn, NULL);
    conn_set_slot(conn, NULL);
    if (connection_id && !engine->silent)
        engine->environment.gone(engine->environment.context, connection_id);
}

void conn_set_slot(struct tcp_conn *conn, struct lane_stats_slot *slot)
{
    conn->slot = slot;
    conn->latency = engine_histogram(conn->engine, slot);
}

void conn_update_slot(struct tcp_conn *conn)
{
    struct lane_stats_slot *slot = conn->slot;
    if (!slot || conn->engine->silent)
        return;
    if (conn->pcb) {
        slot->snd_nxt = conn->pcb->snd_nxt;
        slot->rcv_nxt = conn->pcb->rcv_nxt;
        slot->snd_wnd = conn->pcb->snd_wnd;
    }
    slot->tcp_state = lwip_linux_state(conn);
    slot->srtt_us = conn->srtt_us;
    slot->cwnd = conn->cwnd;
    slot->retransmissions = conn->retransmissions;
}

void conn_notify(struct tcp_conn *conn, uint32_t events)
{
    struct engine *engine = conn->engine;
    if (conn->handle_open && !engine->silent)
        engine->environment.notify(engine->environment.context, conn->user, events);
}

void conn_finish(struct tcp_conn *conn, int error)
{
    struct engine *engine = conn->engine;
    PROBE(connection_closed, PROBE_CONN(conn), error, conn->retransmissions);
    lwip_discard(conn);
    table_remove(conn);
    if (conn->stage == STAGE_TIME_WAIT) {
        list_remove(&conn->listener_link);
        engine->time_wait_count--;
    }
    conn->stage = STAGE_CLOSED;
    conn_update_slot(conn);
    conn_set_slot(conn, NULL);
    if (error)
        conn->error = error;
    conn->read_end = true;
    byte_queue_free(&conn->tx);
    wheel_cancel(&engine->wheel, &conn->timer);
    list_remove(&conn->flush_link);
    if (!conn->connected || conn->deferred)
        listener_drop(conn);
    conn_gone(conn);
    if (conn->handle_open)
        conn_notify(conn, op_tcp_ready(conn));
    else if (!conn->listener)
        conn_free(conn);
}

void conn_reset(struct tcp_conn *conn, int error)
{
    conn_send_rst(conn);
    conn_finish(conn, error);
}

/* lwIP has moved the pcb to TIME_WAIT: the engine keeps what it needs to answer and lets the pcb go. */
void conn_enter_time_wait(struct tcp_conn *conn)
{
    struct engine *engine = conn->engine;
    struct tcp_pcb *pcb = conn->pcb;
    if (engine->time_wait_count >= TIME_WAIT_MAX)
        conn_finish(list_entry(engine->time_wait.next, struct tcp_conn, listener_link), 0);
    list_push_back(&engine->time_wait, &conn->listener_link);
    engine->time_wait_count++;
    conn->stage = STAGE_TIME_WAIT;
    conn->tw_rcv_nxt = pcb->rcv_nxt;
    conn->tw_snd_nxt = pcb->snd_nxt;
    conn->tw_ts_recent = pcb->ts_recent;
    conn->tw_timestamps = (pcb->flags & TF_TIMESTAMP) != 0;
    conn->tw_window = min_u32(pcb->rcv_ann_wnd >> pcb->rcv_scale, 0xffff);
    conn_update_slot(conn);
    lwip_discard(conn);
    byte_queue_free(&conn->tx);
    recovery_free(conn);
    for (int i = 0; i < DEADLINE_COUNT; i++)
        conn->deadline[i] = NEVER;
    conn_deadline(conn, DEADLINE_STATE, conn->engine->now_ns + conn->engine->config.time_wait_ms * MILLISECOND);
    conn_update_slot(conn);
}

int op_tcp_connect_option(struct engine *engine, enum engine_tcp_option option, int value)
{
    return options_set(&engine->connect_options, option, value);
}

int op_tcp_connect(struct engine *engine, const struct net_endpoint *local, const struct net_endpoint *remote,
                   const struct engine_route *route, void *user, void *connection_id, struct lane_stats_slot *slot,
                   struct tcp_conn **out)
{
    struct tcp_options options = engine->connect_options;
    options_default(&engine->connect_options);
    engine_now(engine);
    struct tcp_conn *old = table_find(engine, local, remote);
    if (old && old->stage == STAGE_TIME_WAIT && !old->handle_open)
        conn_finish(old, 0); /* RFC 6191: our sequence numbers and timestamps have moved on */
    else if (old)
        return -EADDRNOTAVAIL;
    struct tcp_conn *conn = conn_new(engine, local, remote, &options);
    if (!conn)
        return -ENOMEM;
    conn->route = *route;
    conn->route_generation = route->generation;
    conn->user = user;
    conn->handle_open = true;
    int rc = table_add(conn);
    if (rc == 0)
        rc = lwip_connect(conn);
    if (rc < 0) {
        table_remove(conn);
        lwip_discard(conn);
        conn_free(conn);
        return rc;
    }
    conn_set_id(conn, connection_id);
    conn_set_slot(conn, slot);
    conn->rtt_pending = true;
    conn->rtt_start_ns = engine->now_ns;
    uint64_t first =
        route->flags & CONTROL_ROUTE_LOCAL_LINK ? engine->config.rto_initial_lan_us : engine->config.rto_initial_us;
    conn_deadline(conn, DEADLINE_RETRANSMIT, engine->now_ns + first * MICROSECOND);
    conn_deadline(conn, DEADLINE_STATE, conn_opening_until(conn));
    conn_update_slot(conn);
    *out = conn;
    return 0;
}

/* ---- Sending */

#define UNSENT_SEGMENTS 16 /* taken at once, however low TCP_NOTSENT_LOWAT is */

uint32_t conn_send_limit(const struct tcp_conn *conn)
{
    if (conn->send_fixed)
        return conn->send_limit;
    uint32_t most = max_u32(conn->engine->config.send_max, conn->send_limit);
    return min_u32(max_u32(conn->send_limit, 2 * min_u32(conn->cwnd, most)), most);
}

static uint32_t send_space(const struct tcp_conn *conn)
{
    uint32_t limit = conn_send_limit(conn);
    return limit > conn->tx.length ? limit - conn->tx.length : 0;
}

/* TCP_NOTSENT_LOWAT */
static bool too_much_unsent(const struct tcp_conn *conn)
{
    return conn->notsent_low > 0 && op_tcp_notsent_bytes(conn) >= conn->notsent_low;
}

bool conn_is_writable(const struct tcp_conn *conn)
{
    return send_space(conn) >= conn_send_limit(conn) / 3 && !too_much_unsent(conn);
}

void conn_update_writable(struct tcp_conn *conn)
{
    bool was = conn->writable;
    conn->writable = conn_is_writable(conn);
    if (conn->writable && !was && !conn->write_shut)
        conn_notify(conn, EPOLLOUT);
}

/* The error that a call reports, once. */
static int take_error(struct tcp_conn *conn)
{
    int error = conn->error;
    conn->error = 0;
    return -error;
}

static int send_state(struct tcp_conn *conn)
{
    if (conn->error)
        return take_error(conn);
    if (conn->write_shut || conn->stage == STAGE_CLOSED || conn->stage == STAGE_TIME_WAIT)
        return -EPIPE;
    if (conn->stage == STAGE_MIGRATED)
        return -ENOTCONN;
    return conn->stage == STAGE_OPENING || conn->frozen ? -EAGAIN : 0;
}

ssize_t op_tcp_send(struct tcp_conn *conn, const struct iovec *iov, int iov_count, bool more)
{
    int rc = send_state(conn);
    if (rc < 0)
        return rc;
    size_t done = 0;
    bool empty = conn->tx.length == 0;
    engine_now(conn->engine);
    bool released = conn->more && !more;
    conn->more = more;
    for (;;) { /* what leaves at once may make room for more */
        uint32_t space = too_much_unsent(conn) ? 0 : send_space(conn);
        if (conn->notsent_low > 0)
            space = min_u32(space, max_u32(conn->notsent_low, UNSENT_SEGMENTS * conn->mss));
        size_t taken = space == 0 ? 0 : byte_queue_append_iov(&conn->tx, iov, iov_count, done, space);
        if (taken == 0)
            break;
        if (empty)
            conn->progress_ns = conn->engine->now_ns;
        empty = false;
        done += taken;
        conn_output(conn);
    }
    if (done == 0 && released)
        conn_output(conn);
    conn->writable = conn_is_writable(conn);
    if (conn->slot)
        conn->slot->tx_bytes += done;
    if (done == 0 && iov_count > 0) {
        for (int i = 0; i < iov_count; i++) {
            if (iov[i].iov_len > 0)
                return -EAGAIN;
        }
    }
    return (ssize_t)done;
}

/* ---- Receiving */

#define BULK_PERIOD_NS (100 * MILLISECOND)
#define LONG_WAY_US    2000 /* a window's worth does not arrive all at once from there */

/* The largest window for a connection that receives bulk data: such connections share the budget. */
static uint32_t window_share(struct tcp_conn *conn)
{
    struct engine *engine = conn->engine;
    uint32_t most = min_u32(engine->config.receive_max / 2, TCP_WND);
    uint64_t period = engine->now_ns / BULK_PERIOD_NS;
    bool far = !(conn->route.flags & CONTROL_ROUTE_LOCAL_LINK) && conn->rtt_min_us > LONG_WAY_US;
    if (engine->config.window_budget == 0 || far)
        return most;
    if (period != engine->bulk_period) {
        engine->bulk_before = period == engine->bulk_period + 1 ? engine->bulk_now : 0;
        engine->bulk_now = 0;
        engine->bulk_period = period;
    }
    if (conn->bulk_period != period) {
        conn->bulk_period = period;
        engine->bulk_now++;
    }
    unsigned receivers = engine->bulk_now > engine->bulk_before ? engine->bulk_now : engine->bulk_before;
    return min_u32(most, max_u32(engine->config.window_budget / receivers, engine->config.receive_default / 2));
}

/* The window doubles when the application reads half of it within about a round trip (dynamic right-sizing). */
static void right_size(struct tcp_conn *conn, uint32_t bytes)
{
    const struct engine *engine = conn->engine;
    uint64_t interval = max_u32(2 * conn->rtt_min_us, 2000) * MICROSECOND;
    if (engine->now_ns - conn->drs_start_ns > interval) {
        conn->drs_start_ns = engine->now_ns;
        conn->drs_bytes = 0;
    }
    conn->drs_bytes += bytes;
    if (conn->drs_bytes < conn->receive_limit / 2)
        return;
    if (!conn->receive_fixed)
        conn->receive_limit = min_u32(2 * conn->receive_limit, window_share(conn));
    conn->drs_bytes = 0;
    conn->drs_start_ns = engine->now_ns;
}

uint32_t conn_window_most(const struct tcp_conn *conn)
{
    return conn->window_clamp > 0 ? min_u32(conn->receive_limit, conn->window_clamp) : conn->receive_limit;
}

/* As far as there is room. */
static void open_window(struct tcp_conn *conn)
{
    struct tcp_pcb *pcb = conn->pcb;
    uint32_t used = conn->rx.length;
    uint32_t free_now = conn->receive_limit > used ? conn->receive_limit - used : 0;
    uint32_t limit = pcb->flags & TF_WND_SCALE ? TCP_WND : 0xffff;
    pcb->rcv_wnd = min_u32(max_u32(pcb->rcv_wnd, min_u32(free_now, conn_window_most(conn))), limit);
}

/* The window is smaller than the room behind it: what has arrived leaves it as large as before. */
void conn_slide_window(struct tcp_conn *conn)
{
    struct tcp_pcb *pcb = conn->pcb;
    if (conn->read_end || conn->frozen)
        return;
    open_window(conn);
    if ((int32_t)(pcb->rcv_nxt + pcb->rcv_wnd - pcb->rcv_ann_right_edge) > 0)
        pcb->rcv_ann_wnd = pcb->rcv_wnd;
}

#define WINDOW_UPDATE_MAX 131072 /* a sender should not have to wait for more than this */

/* The application has read: opens the window, and tells the peer when it matters. */
static void window_read(struct tcp_conn *conn, uint32_t bytes)
{
    struct tcp_pcb *pcb = conn->pcb;
    if (!pcb || conn->stage != STAGE_OPEN || conn->frozen)
        return;
    right_size(conn, bytes);
    open_window(conn);
    if (conn->read_end)
        return;
    uint32_t gain = pcb->rcv_nxt + pcb->rcv_wnd - pcb->rcv_ann_right_edge, most = conn_window_most(conn);
    if ((int32_t)gain <= 0 || gain < min_u32(pcb->mss, most / 2)) /* RFC 9293, 3.8.6.2.2 */
        return;
    pcb->rcv_ann_wnd = pcb->rcv_wnd;
    uint32_t announced = pcb->rcv_ann_right_edge - pcb->rcv_nxt;
    uint32_t enough = min_u32(most / 8, WINDOW_UPDATE_MAX);
    enough = min_u32(most / 2, max_u32(2 * conn->mss, min_u32(enough, announced)));
    if (gain >= enough)
        conn_send_ack(conn);
}

ssize_t op_tcp_recv(struct tcp_conn *conn, const struct iovec *iov, int iov_count, size_t length, bool peek,
                    uint64_t *stamp_ns)
{
    uint64_t stamp = 0;
    if (conn->rx.length == 0) {
        if (conn->error)
            return take_error(conn);
        if (conn->read_end || conn->read_shut)
            return 0;
        return conn->stage == STAGE_MIGRATED ? -ENOTCONN : -EAGAIN;
    }
    if (conn->frozen)
        return -EAGAIN;
    size_t done;
    if (!iov)
        done = peek ? (length < conn->rx.length ? length : conn->rx.length) : byte_queue_drop(&conn->rx, length);
    else if (peek)
        done = byte_queue_peek(&conn->rx, iov, iov_count, length, &stamp);
    else
        done = byte_queue_take(&conn->rx, iov, iov_count, length, &stamp);
    if (stamp_ns)
        *stamp_ns = stamp;
    if (!peek && done > 0)
        window_read(conn, (uint32_t)done);
    return (ssize_t)done;
}

uint32_t op_tcp_ready(const struct tcp_conn *conn)
{
    uint32_t events = 0;
    if (conn->stage == STAGE_OPENING)
        return 0;
    bool read_over = conn->read_end || conn->read_shut;
    bool over = conn->stage == STAGE_CLOSED || conn->stage == STAGE_TIME_WAIT;
    if (over || (read_over && conn->write_shut))
        events |= EPOLLHUP;
    if (over || read_over)
        events |= EPOLLIN | EPOLLRDHUP;
    if (conn->rx.length > 0)
        events |= EPOLLIN;
    if (over || conn->write_shut || conn_is_writable(conn))
        events |= EPOLLOUT;
    if (conn->error)
        events |= EPOLLERR;
    return events;
}

/* ---- Ending */

static void queue_fin(struct tcp_conn *conn)
{
    conn->write_shut = true;
    if (conn->fin_queued || conn->stage != STAGE_OPEN)
        return;
    conn->fin_queued = true;
    conn->push_end = conn->tx.position + conn->tx.length;
    conn_output(conn);
    conn_update_slot(conn);
}

int op_tcp_shutdown(struct tcp_conn *conn, bool receive, bool send)
{
    if (conn->stage == STAGE_OPENING || (conn->stage == STAGE_CLOSED && !conn->connected))
        return -ENOTCONN;
    if (conn->stage == STAGE_CLOSED)
        return -ENOTCONN;
    engine_now(conn->engine);
    uint32_t before = op_tcp_ready(conn);
    if (receive)
        conn->read_shut = true;
    if (send)
        queue_fin(conn);
    uint32_t after = op_tcp_ready(conn);
    if (after & ~before)
        conn_notify(conn, after & ~before);
    return 0;
}

/* The handle is gone: the rest happens in the background, but not for ever. */
static void orphan(struct tcp_conn *conn)
{
    conn->keepalive = false;
    queue_fin(conn);
    if (conn->pcb && conn->pcb->state == FIN_WAIT_2)
        conn_deadline(conn, DEADLINE_STATE, conn->engine->now_ns + (uint64_t)conn->linger2_s * SECOND);
}

void op_tcp_close(struct tcp_conn *conn, bool abort)
{
    bool unread = conn->rx.length > 0;
    engine_now(conn->engine);
    conn->handle_open = false;
    conn->user = NULL;
    byte_queue_free(&conn->rx);
    switch (conn->stage) {
    case STAGE_CLOSED:
        conn_free(conn);
        break;
    case STAGE_OPENING:
        if (abort && conn->passive)
            conn_send_rst(conn);
        conn_finish(conn, 0);
        break;
    case STAGE_OPEN:
        if (abort || unread)
            conn_reset(conn, 0);
        else
            orphan(conn);
        break;
    default: /* TIME_WAIT and tombstones end by their timer */
        break;
    }
}
