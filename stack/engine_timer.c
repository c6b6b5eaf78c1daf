/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection's deadlines. One wheel timer stands for the earliest; deadlines that move away leave it where it is, and
 * it is set anew when it goes off, so that a message costs the wheel nothing. */
#include "stack/engine_private.h"

#include <errno.h>

#define SYN_INTERVAL_MAX_S 120

void conn_deadline(struct tcp_conn *conn, enum conn_deadline which, uint64_t at_ns)
{
    conn->deadline[which] = at_ns;
    if (at_ns != NEVER && (!wheel_armed(&conn->timer) || at_ns / WHEEL_TICK_NS < conn->timer.tick))
        wheel_arm(&conn->engine->wheel, &conn->timer, at_ns);
}

static void rearm(struct tcp_conn *conn)
{
    uint64_t first = NEVER;
    for (int i = 0; i < DEADLINE_COUNT; i++) {
        if (conn->deadline[i] < first)
            first = conn->deadline[i];
    }
    if (first != NEVER && (!wheel_armed(&conn->timer) || first / WHEEL_TICK_NS < conn->timer.tick))
        wheel_arm(&conn->engine->wheel, &conn->timer, first);
}

static bool due(struct tcp_conn *conn, enum conn_deadline which)
{
    if (conn->deadline[which] > conn->engine->now_ns)
        return false;
    conn->deadline[which] = NEVER;
    return true;
}

/* As long as Linux takes to repeat the SYN so often, from one second on; its own number is in syn_timeout_ms. */
static uint64_t syn_limit_ns(const struct tcp_conn *conn)
{
    uint64_t total = 0;
    if (conn->syn_count == 0)
        return conn->engine->config.syn_timeout_ms * MILLISECOND;
    for (unsigned i = 0; i <= conn->syn_count; i++)
        total += (i < 7 ? 1ull << i : SYN_INTERVAL_MAX_S) * SECOND;
    return total;
}

uint64_t conn_opening_until(const struct tcp_conn *conn)
{
    uint64_t limit = syn_limit_ns(conn), user = conn->user_timeout_ms * MILLISECOND;
    return conn->opened_ns + (user > 0 && user < limit ? user : limit);
}

/* What has lasted too long ends. True if the connection is gone. */
static bool state_timer(struct tcp_conn *conn)
{
    switch (conn->stage) {
    case STAGE_OPENING:
        conn_finish(conn, conn->passive ? 0 : conn->soft_error ? conn->soft_error : ETIMEDOUT);
        return true;
    case STAGE_OPEN:
        if (conn->deferred) {
            listener_ready(conn);
            return false;
        }
        conn_finish(conn, 0); /* FIN_WAIT_2 of a closed handle */
        return true;
    default:
        conn_finish(conn, 0);
        return true;
    }
}

static uint64_t syn_interval(const struct tcp_conn *conn)
{
    const struct engine_config *config = &conn->engine->config;
    uint64_t first = conn->route.flags & CONTROL_ROUTE_LOCAL_LINK ? config->rto_initial_lan_us : config->rto_initial_us;
    unsigned shift = conn->backoff < 16 ? conn->backoff : 16;
    uint64_t interval = (first * MICROSECOND) << shift;
    return interval < 60 * SECOND ? interval : 60 * SECOND;
}

static void syn_timer(struct tcp_conn *conn)
{
    if (conn->backoff < 255)
        conn->backoff++;
    conn->retransmissions++;
    conn->rtt_pending = false;
    conn_check_route(conn);
    lwip_repeat_syn(conn);
    conn_deadline(conn, DEADLINE_RETRANSMIT, conn->engine->now_ns + syn_interval(conn));
}

/* RFC 1122, 4.2.3.6; numbers and units as in tcp(7). True if the peer is gone. */
static bool keepalive_timer(struct tcp_conn *conn)
{
    struct engine *engine = conn->engine;
    if (!conn->keepalive || conn->stage != STAGE_OPEN)
        return false;
    uint64_t idle = conn->keep_idle_s * SECOND, interval = conn->keep_interval_s * SECOND;
    uint64_t due_ns = conn->last_receive_ns + idle;
    if (engine->now_ns < due_ns || conn->tx.length > 0) { /* outstanding data has timers of its own */
        conn->keep_sent = 0;
        conn_deadline(conn, DEADLINE_KEEPALIVE, engine->now_ns < due_ns ? due_ns : engine->now_ns + idle);
        return false;
    }
    if (conn->keep_sent >= conn->keep_count) {
        conn_reset(conn, conn->soft_error ? conn->soft_error : ETIMEDOUT);
        return true;
    }
    conn->keep_sent++;
    conn_send_probe(conn, conn->pcb->lastack - 1);
    conn_deadline(conn, DEADLINE_KEEPALIVE, engine->now_ns + interval);
    return false;
}

void conn_timer(struct tcp_conn *conn)
{
    if (conn->frozen)
        return;
    if (due(conn, DEADLINE_STATE) && state_timer(conn))
        return;
    if (due(conn, DEADLINE_KEEPALIVE) && keepalive_timer(conn))
        return;
    if (due(conn, DEADLINE_RETRANSMIT)) {
        if (conn->stage == STAGE_OPENING) {
            syn_timer(conn);
        } else if (conn->stage == STAGE_OPEN) {
            if (recovery_timer(conn))
                return;
        }
    }
    if (conn->stage == STAGE_OPEN) {
        if (due(conn, DEADLINE_REORDER))
            recovery_reorder_timer(conn);
        if (due(conn, DEADLINE_ACK))
            conn_send_ack(conn);
        if (due(conn, DEADLINE_HOLD)) {
            if (!conn->blocked) {
                conn->push_end = conn->tx.position + conn->tx.length;
                conn->more = false;
            }
            conn_output(conn);
        }
    }
    rearm(conn);
}
