/* SPDX-License-Identifier: BSD-2-Clause */
/* Options, and what there is to ask about a connection. */
#include "stack/engine_private.h"

#include <errno.h>
#include <string.h>

#define SEND_FIRST    262144u
#define RECEIVE_FLOOR 2304u /* as Linux's SOCK_MIN_RCVBUF */
#define SEND_FLOOR    4608u

void options_default(struct tcp_options *options)
{
    *options =
        (struct tcp_options){.keep_idle_s = 7200, .keep_interval_s = 75, .keep_count = 9, .linger2_s = 60, .ttl = 64};
}

int options_set(struct tcp_options *options, enum engine_tcp_option option, int value)
{
    if (value < 0 && option != ENGINE_TCP_LINGER2_S)
        return -EINVAL;
    switch (option) {
    case ENGINE_TCP_NODELAY:
        options->nodelay = value != 0;
        break;
    case ENGINE_TCP_CORK:
        options->cork = value != 0;
        break;
    case ENGINE_TCP_QUICKACK:
        options->quickack = value != 0;
        break;
    case ENGINE_TCP_KEEPALIVE:
        options->keepalive = value != 0;
        break;
    case ENGINE_TCP_KEEPIDLE_S:
        options->keep_idle_s = (uint32_t)value;
        break;
    case ENGINE_TCP_KEEPINTVL_S:
        options->keep_interval_s = (uint32_t)value;
        break;
    case ENGINE_TCP_KEEPCNT:
        options->keep_count = (uint32_t)value;
        break;
    case ENGINE_TCP_USER_TIMEOUT_MS:
        options->user_timeout_ms = (uint32_t)value;
        break;
    case ENGINE_TCP_MAXSEG:
        options->mss_limit = value == 0 ? 0 : max_u32((uint32_t)value, MSS_MIN);
        break;
    case ENGINE_TCP_RCVBUF:
        options->receive_buffer = max_u32((uint32_t)value, RECEIVE_FLOOR);
        break;
    case ENGINE_TCP_SNDBUF:
        options->send_buffer = max_u32((uint32_t)value, SEND_FLOOR);
        break;
    case ENGINE_TCP_TTL:
        if (value < 1 || value > 255)
            return -EINVAL;
        options->ttl = (uint8_t)value;
        break;
    case ENGINE_TCP_TOS:
        options->tos = (uint8_t)value;
        break;
    case ENGINE_TCP_LINGER2_S:
        options->linger2_s = value > 60 || value < 0 ? 60 : value;
        break;
    case ENGINE_TCP_SYNCNT:
        options->syn_count = (uint32_t)value;
        break;
    case ENGINE_TCP_NOTSENT_LOWAT:
        options->notsent_low = (uint32_t)value;
        break;
    case ENGINE_TCP_WINDOW_CLAMP:
        options->window_clamp = value == 0 ? 0 : max_u32((uint32_t)value, RECEIVE_FLOOR / 2);
        break;
    case ENGINE_TCP_DEFER_ACCEPT_S:
        options->deferral_s = (uint32_t)value;
        break;
    default:
        return -ENOPROTOOPT;
    }
    return 0;
}

/* Half of a receive buffer is window, as with Linux's tcp_adv_win_scale of 1. */
void conn_apply_options(struct tcp_conn *conn, const struct tcp_options *options)
{
    const struct engine_config *config = &conn->engine->config;
    conn->nodelay = options->nodelay;
    conn->cork = options->cork;
    conn->quickack = options->quickack;
    conn->keepalive = options->keepalive;
    conn->keep_idle_s = options->keep_idle_s;
    conn->keep_interval_s = options->keep_interval_s;
    conn->keep_count = options->keep_count;
    conn->user_timeout_ms = options->user_timeout_ms;
    conn->mss_limit = options->mss_limit;
    conn->linger2_s = options->linger2_s;
    conn->ttl = options->ttl;
    conn->tos = options->tos;
    conn->receive_fixed = options->receive_buffer != 0;
    conn->receive_limit = (conn->receive_fixed ? options->receive_buffer : config->receive_default) / 2;
    conn->receive_limit = min_u32(conn->receive_limit, TCP_WND);
    conn->window_clamp = options->window_clamp;
    conn->syn_count = options->syn_count;
    conn->notsent_low = options->notsent_low;
    conn->send_fixed = options->send_buffer != 0;
    conn->send_limit = conn->send_fixed ? options->send_buffer / 2
                                        : max_u32(config->send_default, min_u32(SEND_FIRST, config->send_max));
    conn->writable = true;
}

static void receive_buffer(struct tcp_conn *conn, uint32_t bytes)
{
    uint32_t limit = min_u32(max_u32(bytes, RECEIVE_FLOOR) / 2, TCP_WND);
    conn->receive_fixed = true;
    if (conn->pcb && conn->stage == STAGE_OPEN && limit > conn->receive_limit && conn->window_clamp == 0)
        conn->pcb->rcv_wnd = min_u32(conn->pcb->rcv_wnd + (limit - conn->receive_limit),
                                     conn->pcb->flags & TF_WND_SCALE ? TCP_WND : 0xffff);
    conn->receive_limit = limit;
}

int op_tcp_option(struct tcp_conn *conn, enum engine_tcp_option option, int value)
{
    struct tcp_options options = {.mss_limit = conn->mss_limit, .ttl = conn->ttl, .tos = conn->tos};
    options.nodelay = conn->nodelay;
    options.cork = conn->cork;
    options.keepalive = conn->keepalive;
    options.keep_idle_s = conn->keep_idle_s;
    options.keep_interval_s = conn->keep_interval_s;
    options.keep_count = conn->keep_count;
    options.user_timeout_ms = conn->user_timeout_ms;
    options.linger2_s = conn->linger2_s;
    options.quickack = conn->quickack;
    options.syn_count = conn->syn_count;
    options.notsent_low = conn->notsent_low;
    options.window_clamp = conn->window_clamp;
    int rc = options_set(&options, option, value);
    if (rc < 0)
        return rc;
    engine_now(conn->engine);
    bool push = (options.nodelay && !conn->nodelay) || (conn->cork && !options.cork);
    conn->nodelay = options.nodelay;
    conn->cork = options.cork;
    conn->quickack = options.quickack;
    conn->keepalive = options.keepalive;
    conn->keep_idle_s = options.keep_idle_s;
    conn->keep_interval_s = options.keep_interval_s;
    conn->keep_count = options.keep_count;
    conn->user_timeout_ms = options.user_timeout_ms;
    conn->linger2_s = options.linger2_s;
    conn->ttl = options.ttl;
    conn->tos = options.tos;
    conn->syn_count = options.syn_count;
    conn->notsent_low = options.notsent_low;
    conn->window_clamp = options.window_clamp;
    if (option == ENGINE_TCP_NOTSENT_LOWAT)
        conn_update_writable(conn);
    if ((option == ENGINE_TCP_SYNCNT || option == ENGINE_TCP_USER_TIMEOUT_MS) && conn->stage == STAGE_OPENING)
        conn_deadline(conn, DEADLINE_STATE, conn_opening_until(conn));
    if (option == ENGINE_TCP_RCVBUF)
        receive_buffer(conn, (uint32_t)value);
    if (option == ENGINE_TCP_SNDBUF) {
        conn->send_fixed = true;
        conn->send_limit = options.send_buffer / 2;
        conn_update_writable(conn);
    }
    if (option == ENGINE_TCP_MAXSEG) {
        conn->mss_limit = options.mss_limit;
        if (conn->stage == STAGE_OPEN)
            conn_set_mss(conn);
    }
    if (conn->stage == STAGE_OPEN && conn->keepalive && option >= ENGINE_TCP_KEEPALIVE && option <= ENGINE_TCP_KEEPCNT)
        conn_deadline(conn, DEADLINE_KEEPALIVE, conn->last_receive_ns + conn->keep_idle_s * SECOND);
    if (push && conn->stage == STAGE_OPEN) {
        conn->push_end = conn->tx.position + conn->tx.length;
        conn_output(conn);
    }
    if (option == ENGINE_TCP_QUICKACK && value && conn->stage == STAGE_OPEN && conn->pcb &&
        (conn->pcb->flags & TF_ACK_DELAY))
        conn_send_ack(conn);
    return 0;
}

int op_tcp_error(struct tcp_conn *conn)
{
    int error = conn->error ? conn->error : conn->soft_error;
    conn->error = conn->soft_error = 0;
    return error;
}

void *op_tcp_id(const struct tcp_conn *conn)
{
    return conn->connection_id;
}

bool op_tcp_connected(const struct tcp_conn *conn)
{
    return conn->connected;
}

void op_tcp_addresses(const struct tcp_conn *conn, struct net_endpoint *local, struct net_endpoint *remote)
{
    *local = conn->local;
    *remote = conn->remote;
}

void op_tcp_info(const struct tcp_conn *conn, struct tcp_info *info)
{
    const struct tcp_pcb *pcb = conn->pcb;
    uint64_t now = conn->engine->now_ns;
    memset(info, 0, sizeof(*info));
    info->tcpi_state = lwip_linux_state(conn);
    info->tcpi_rtt = conn->srtt_us;
    info->tcpi_rttvar = conn->rttvar_us;
    info->tcpi_rto = conn->rto_us;
    info->tcpi_ato = conn->engine->config.delayed_ack_us;
    info->tcpi_snd_mss = conn->mss;
    info->tcpi_rcv_mss = conn->mss;
    info->tcpi_advmss = conn->route.mtu - (conn->ipv6 ? 60 : 40);
    info->tcpi_pmtu = conn->route.mtu;
    info->tcpi_snd_ssthresh = conn->mss ? min_u32(conn->ssthresh / conn->mss, 0x7fffffff) : 0;
    info->tcpi_snd_cwnd = conn->mss ? conn->cwnd / conn->mss : 0;
    info->tcpi_reordering = conn->reordering;
    info->tcpi_total_retrans = conn->retransmissions;
    info->tcpi_backoff = conn->backoff;
    info->tcpi_rcv_space = conn->receive_limit;
    info->tcpi_last_data_recv = (uint32_t)((now - conn->last_receive_ns) / MILLISECOND);
    info->tcpi_last_ack_recv = info->tcpi_last_data_recv;
    info->tcpi_last_data_sent = (uint32_t)((now - conn->last_send_ns) / MILLISECOND);
    if (!pcb)
        return;
    if (pcb->flags & TF_TIMESTAMP)
        info->tcpi_options |= TCPI_OPT_TIMESTAMPS;
    if (pcb->flags & TF_SACK)
        info->tcpi_options |= TCPI_OPT_SACK;
    if (pcb->flags & TF_WND_SCALE) {
        info->tcpi_options |= TCPI_OPT_WSCALE;
        info->tcpi_snd_wscale = pcb->snd_scale & 15;
        info->tcpi_rcv_wscale = pcb->rcv_scale & 15;
    }
    if (conn->mss)
        info->tcpi_unacked = (pcb->snd_nxt - pcb->lastack + conn->mss - 1) / conn->mss;
}

size_t op_tcp_readable_bytes(const struct tcp_conn *conn)
{
    return conn->rx.length;
}

size_t op_tcp_unsent_bytes(const struct tcp_conn *conn)
{
    return conn->tx.length;
}

size_t op_tcp_notsent_bytes(const struct tcp_conn *conn)
{
    uint32_t end = conn->tx.position + conn->tx.length;
    return conn->pcb && seq_lt(conn->pcb->snd_nxt, end) ? end - conn->pcb->snd_nxt : 0;
}

bool op_tcp_drained(struct engine *engine, const void *connection_id)
{
    list_for_each(link, &engine->ids[hash_u64(&engine->key, (uintptr_t)connection_id) % ID_BUCKETS])
    {
        const struct tcp_conn *conn = list_entry(link, struct tcp_conn, id_link);
        if (conn->connection_id != connection_id)
            continue;
        return conn->stage != STAGE_OPEN ||
               (conn->tx.length == 0 && (!conn->fin_queued || !conn->pcb || conn->pcb->state == FIN_WAIT_2));
    }
    return true;
}

void op_tcp_each(struct engine *engine, void (*visit)(void *context, struct tcp_conn *conn, void *connection_id),
                 void *context)
{
    list_for_each(link, &engine->conns)
    {
        struct tcp_conn *conn = list_entry(link, struct tcp_conn, all_link);
        bool finished = conn->stage == STAGE_CLOSED || conn->stage == STAGE_TIME_WAIT || conn->stage == STAGE_MIGRATED;
        if (!finished && conn->connection_id)
            visit(context, conn, conn->connection_id);
    }
}
