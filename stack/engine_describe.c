/* SPDX-License-Identifier: BSD-2-Clause */
/* What there is to say about the engine and its sockets, for people who look for a fault (`lockstep dump`). Members are
 * written into the object that the caller has begun; names carry units. Nothing here changes anything. */
#include "stack/engine_private.h"

#include "base/json_emit.h"

static void put_age(struct emitter *out, const char *key, uint64_t now_ns, uint64_t then_ns)
{
    emit_unsigned(out, key, now_ns > then_ns ? (now_ns - then_ns) / MICROSECOND : 0);
}

/* ---- TCP */

static const char *stage_name(const struct tcp_conn *conn)
{
    static const char *const names[] = {[STAGE_OPENING] = "opening",
                                        [STAGE_OPEN] = "open",
                                        [STAGE_TIME_WAIT] = "time-wait",
                                        [STAGE_MIGRATED] = "moved-to-kernel",
                                        [STAGE_CLOSED] = "closed"};
    return names[conn->stage];
}

static const char *state_name(const struct tcp_conn *conn)
{
    static const char *const names[] = {"?",          "established", "syn-sent",  "syn-recv",
                                        "fin-wait-1", "fin-wait-2",  "time-wait", "closed",
                                        "close-wait", "last-ack",    "listen",    "closing"};
    uint8_t state = lwip_linux_state(conn);
    return state < sizeof(names) / sizeof(*names) ? names[state] : "?";
}

static void put_ranges(struct emitter *out, const char *key, const struct sack_ranges *ranges)
{
    emit_array_begin(out, key);
    for (unsigned i = 0; ranges && i < ranges->count; i++) {
        emit_object_begin(out, NULL);
        emit_unsigned(out, "from_sequence", ranges->range[i].left);
        emit_unsigned(out, "to_sequence", ranges->range[i].right);
        emit_object_end(out);
    }
    emit_array_end(out);
}

static void put_sending(struct emitter *out, const struct tcp_conn *conn)
{
    const struct tcp_pcb *pcb = conn->pcb;
    uint32_t end = conn->tx.position + conn->tx.length;
    emit_object_begin(out, "send");
    emit_unsigned(out, "queued_bytes", conn->tx.length); /* not acknowledged yet, sent or not */
    emit_unsigned(out, "unsent_bytes", op_tcp_notsent_bytes(conn));
    emit_unsigned(out, "buffer_bytes", conn_send_limit(conn));
    emit_unsigned(out, "mss_bytes", conn->mss);
    if (pcb) {
        emit_unsigned(out, "unacknowledged_sequence", pcb->lastack);
        emit_unsigned(out, "next_sequence", pcb->snd_nxt);
        emit_unsigned(out, "queue_end_sequence", end);
        emit_unsigned(out, "in_flight_bytes", pcb->snd_nxt - pcb->lastack);
        emit_unsigned(out, "window_bytes", pcb->snd_wnd);
        emit_unsigned(out, "window_max_bytes", pcb->snd_wnd_max);
        emit_unsigned(out, "window_scale", pcb->flags & TF_WND_SCALE ? pcb->snd_scale : 0);
    }
    emit_bool(out, "writable", conn->writable);
    emit_bool(out, "blocked_by_injector", conn->blocked);
    emit_bool(out, "fin_queued", conn->fin_queued);
    emit_bool(out, "fin_sent", conn->fin_sent);
    put_age(out, "last_sent_us_ago", conn->engine->now_ns, conn->last_send_ns);
    emit_object_end(out);
}

/* What waits for a gap to be filled, and the ranges of it that acknowledgements tell the peer of. */
static void put_out_of_order(struct emitter *out, const struct tcp_pcb *pcb)
{
    uint64_t bytes = 0, segments = 0;
    for (const struct tcp_seg *segment = pcb->ooseq; segment; segment = segment->next) {
        bytes += segment->len;
        segments++;
    }
    emit_unsigned(out, "out_of_order_bytes", bytes);
    emit_unsigned(out, "out_of_order_segments", segments);
    emit_array_begin(out, "announced_sacks");
    for (unsigned i = 0; i < LWIP_TCP_MAX_SACK_NUM && LWIP_TCP_SACK_VALID(pcb, i); i++) {
        emit_object_begin(out, NULL);
        emit_unsigned(out, "from_sequence", pcb->rcv_sacks[i].left);
        emit_unsigned(out, "to_sequence", pcb->rcv_sacks[i].right);
        emit_object_end(out);
    }
    emit_array_end(out);
}

static void put_receiving(struct emitter *out, const struct tcp_conn *conn)
{
    const struct tcp_pcb *pcb = conn->pcb;
    emit_object_begin(out, "receive");
    emit_unsigned(out, "unread_bytes", conn->rx.length);
    emit_unsigned(out, "window_limit_bytes", conn->receive_limit);
    emit_bool(out, "window_fixed_by_program", conn->receive_fixed);
    if (pcb) {
        emit_unsigned(out, "next_sequence", pcb->rcv_nxt);
        emit_unsigned(out, "window_bytes", pcb->rcv_wnd);
        emit_unsigned(out, "announced_window_bytes", pcb->rcv_ann_wnd);
        emit_unsigned(out, "announced_end_sequence", pcb->rcv_ann_right_edge);
        emit_unsigned(out, "window_scale", pcb->flags & TF_WND_SCALE ? pcb->rcv_scale : 0);
        emit_bool(out, "ack_delayed", pcb->flags & TF_ACK_DELAY);
        emit_bool(out, "ack_due", pcb->flags & TF_ACK_NOW);
        put_out_of_order(out, pcb);
    }
    emit_bool(out, "borrowed_from_ring", !list_empty(&conn->borrow_link));
    emit_bool(out, "fin_received", conn->read_end);
    put_age(out, "last_received_us_ago", conn->engine->now_ns, conn->last_receive_ns);
    emit_object_end(out);
}

static const char *congestion_state(const struct tcp_conn *conn)
{
    if (conn->in_recovery)
        return conn->after_timeout ? "loss" : "recovery";
    return conn->cwnd < conn->ssthresh ? "slow-start" : "avoidance";
}

static void put_congestion(struct emitter *out, const struct tcp_conn *conn)
{
    emit_object_begin(out, "congestion");
    emit_text(out, "state", congestion_state(conn));
    emit_unsigned(out, "window_bytes", conn->cwnd);
    if (conn->ssthresh == UINT32_MAX)
        emit_text(out, "threshold_bytes", NULL);
    else
        emit_unsigned(out, "threshold_bytes", conn->ssthresh);
    emit_bool(out, "window_was_used_up", conn->cwnd_limited);
    emit_unsigned(out, "smoothed_rtt_us", conn->srtt_us);
    emit_unsigned(out, "rtt_variation_us", conn->rttvar_us);
    emit_unsigned(out, "rtt_min_us", conn->rtt_min_us);
    emit_unsigned(out, "retransmission_timeout_us", conn->rto_us);
    emit_unsigned(out, "backoff", conn->backoff);
    emit_object_end(out);
}

static void put_recovery(struct emitter *out, const struct tcp_conn *conn)
{
    emit_object_begin(out, "recovery");
    emit_unsigned(out, "retransmissions", conn->retransmissions);
    emit_unsigned(out, "retransmitted_bytes", conn->retransmitted_bytes);
    emit_unsigned(out, "duplicate_acks", conn->dupacks);
    emit_unsigned(out, "reordering_segments", conn->reordering);
    emit_unsigned(out, "needless_probes", conn->spurious);
    emit_bool(out, "tail_probe_sent", conn->probe_sent);
    if (conn->stage == STAGE_OPEN && conn->pcb)
        emit_unsigned(out, "in_network_bytes", recovery_pipe(conn));
    if (conn->in_recovery) {
        emit_unsigned(out, "until_sequence", conn->recover);
        emit_unsigned(out, "lost_below_sequence", conn->lost_edge);
        emit_unsigned(out, "repeated_below_sequence", conn->repeat_next);
    }
    put_ranges(out, "sacked_by_peer", conn->sacked);
    emit_object_end(out);
}

static void put_deadlines(struct emitter *out, const struct tcp_conn *conn)
{
    static const char *const names[] = {
        [DEADLINE_RETRANSMIT] = "retransmit_in_us", [DEADLINE_ACK] = "ack_in_us",
        [DEADLINE_REORDER] = "reorder_in_us",       [DEADLINE_KEEPALIVE] = "keepalive_in_us",
        [DEADLINE_STATE] = "state_ends_in_us",      [DEADLINE_HOLD] = "held_data_in_us"};
    emit_object_begin(out, "timers");
    for (int i = 0; i < DEADLINE_COUNT; i++) {
        if (conn->deadline[i] != NEVER)
            put_age(out, names[i], conn->deadline[i], conn->engine->now_ns);
    }
    emit_object_end(out);
}

static void put_route(struct emitter *out, const struct tcp_conn *conn)
{
    emit_object_begin(out, "route");
    emit_unsigned(out, "ifindex", conn->route.ifindex);
    emit_unsigned(out, "nexthop", conn->route.nexthop);
    emit_unsigned(out, "mtu_bytes", conn->route.mtu);
    if (conn->path_mtu != 0)
        emit_unsigned(out, "path_mtu_bytes", conn->path_mtu);
    emit_bool(out, "on_link", conn->route.flags & CONTROL_ROUTE_LOCAL_LINK);
    emit_bool(out, "missing", conn->no_route);
    emit_object_end(out);
}

static void put_tcp_options(struct emitter *out, const struct tcp_conn *conn)
{
    emit_object_begin(out, "options");
    if (conn->pcb) {
        emit_bool(out, "sack", conn->pcb->flags & TF_SACK);
        emit_bool(out, "timestamps", conn->pcb->flags & TF_TIMESTAMP);
        emit_bool(out, "window_scale", conn->pcb->flags & TF_WND_SCALE);
    }
    emit_bool(out, "nodelay", conn->nodelay);
    emit_bool(out, "cork", conn->cork);
    emit_bool(out, "quickack", conn->quickack);
    emit_bool(out, "keepalive", conn->keepalive);
    if (conn->keepalive) {
        emit_unsigned(out, "keepalive_idle_s", conn->keep_idle_s);
        emit_unsigned(out, "keepalive_interval_s", conn->keep_interval_s);
        emit_unsigned(out, "keepalive_probes", conn->keep_count);
        emit_unsigned(out, "keepalive_probes_sent", conn->keep_sent);
    }
    emit_unsigned(out, "user_timeout_ms", conn->user_timeout_ms);
    emit_unsigned(out, "notsent_low_water_bytes", conn->notsent_low);
    emit_unsigned(out, "window_clamp_bytes", conn->window_clamp);
    emit_unsigned(out, "ttl", conn->ttl);
    emit_unsigned(out, "tos", conn->tos);
    emit_object_end(out);
}

void op_tcp_describe(const struct tcp_conn *conn, struct emitter *out)
{
    emit_text(out, "state", state_name(conn));
    emit_text(out, "stage", stage_name(conn));
    emit_bool(out, "accepted", conn->passive);
    emit_bool(out, "waits_to_be_accepted", conn->listener != NULL);
    emit_bool(out, "frozen", conn->frozen);
    emit_signed(out, "error_errno", conn->error);
    emit_signed(out, "soft_error_errno", conn->soft_error);
    put_age(out, "age_us", conn->engine->now_ns, conn->opened_ns);
    put_sending(out, conn);
    put_receiving(out, conn);
    put_congestion(out, conn);
    put_recovery(out, conn);
    put_deadlines(out, conn);
    put_route(out, conn);
    put_tcp_options(out, conn);
}

void op_tcp_listener_describe(const struct tcp_listener *listener, struct emitter *out)
{
    emit_text(out, "state", "listen");
    emit_bool(out, "ipv4", listener->v4);
    emit_bool(out, "ipv6", listener->v6);
    emit_signed(out, "backlog", listener->backlog);
    emit_unsigned(out, "half_open", listener->half_open_count);
    emit_unsigned(out, "waiting_to_be_accepted", listener->ready_count);
}

/* ---- UDP */

#define MEMBERSHIPS_SHOWN 32

static void put_memberships(struct emitter *out, const struct udp_socket *socket)
{
    char text[NET_ADDR_TEXT_MAX];
    unsigned count = 0;
    emit_array_begin(out, "memberships");
    list_for_each(link, &socket->memberships)
    {
        const struct udp_membership *membership = list_entry(link, struct udp_membership, link);
        if (++count > MEMBERSHIPS_SHOWN)
            continue;
        emit_object_begin(out, NULL);
        emit_text(out, "group", net_addr_format(&membership->group, text));
        emit_text(out, "source",
                  net_addr_is_any(&membership->source) ? NULL : net_addr_format(&membership->source, text));
        emit_unsigned(out, "ifindex", membership->ifindex);
        emit_object_end(out);
    }
    emit_array_end(out);
    emit_unsigned(out, "membership_count", count);
}

void op_udp_describe(const struct udp_socket *socket, struct emitter *out)
{
    unsigned datagrams = 0;
    for (const struct udp_datagram *datagram = socket->head; datagram; datagram = datagram->next)
        datagrams++;
    emit_text(out, "state", socket->connected ? "connected" : "open");
    emit_bool(out, "ipv4", socket->v4);
    emit_bool(out, "ipv6", socket->v6);
    emit_signed(out, "error_errno", socket->error);
    emit_unsigned(out, "queued_datagrams", datagrams);
    emit_unsigned(out, "next_datagram_bytes", op_udp_next_bytes(socket));
    emit_unsigned(out, "buffer_used_bytes", socket->queued);
    emit_unsigned(out, "buffer_bytes", socket->limit);
    emit_bool(out, "own_groups_only", socket->own_groups_only);
    put_memberships(out, socket);
}

/* ---- The engine */

void op_describe(const struct engine *engine, struct emitter *out)
{
    const struct engine_config *config = &engine->config;
    uint64_t next_ns = wheel_next(&engine->wheel);
    struct pool_usage memory;
    pool_usage(&memory);
    emit_unsigned(out, "pool_mapped_bytes", memory.mapped);
    emit_unsigned(out, "pool_used_bytes", memory.allocated);
    emit_unsigned(out, "connections", engine->table_count);
    emit_unsigned(out, "time_wait", engine->time_wait_count);
    emit_unsigned(out, "datagram_sockets_connected", engine->udp_table_count);
    emit_unsigned(out, "bulk_receivers", engine->bulk_now);
    if (next_ns != UINT64_MAX)
        put_age(out, "next_timer_in_us", next_ns, engine->now_ns);
    emit_object_begin(out, "settings");
    emit_unsigned(out, "receive_default_bytes", config->receive_default);
    emit_unsigned(out, "receive_max_bytes", config->receive_max);
    emit_unsigned(out, "window_budget_bytes", config->window_budget);
    emit_unsigned(out, "send_default_bytes", config->send_default);
    emit_unsigned(out, "send_max_bytes", config->send_max);
    emit_unsigned(out, "udp_receive_default_bytes", config->udp_receive_default);
    emit_unsigned(out, "delayed_ack_us", config->delayed_ack_us);
    emit_unsigned(out, "rto_min_us", config->rto_min_us);
    emit_unsigned(out, "coalesce_us", config->coalesce_us);
    emit_unsigned(out, "time_wait_ms", config->time_wait_ms);
    emit_unsigned(out, "syn_timeout_ms", config->syn_timeout_ms);
    emit_object_end(out);
}

/* conn_free moves the walk on when it takes the next connection away. */
bool op_tcp_walk(struct engine *engine, bool start, const struct tcp_conn **out)
{
    if (start)
        engine->walk = engine->conns.next;
    *out = NULL;
    if (!engine->walk || engine->walk == &engine->conns) {
        engine->walk = NULL;
        return false;
    }
    const struct tcp_conn *conn = list_entry(engine->walk, struct tcp_conn, all_link);
    engine->walk = engine->walk->next;
    if (!conn->handle_open)
        *out = conn;
    return true;
}
