/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP segments in: which connection, whether acceptable (RFC 9293, 3.10.7; RFC 5961; RFC 7323), then lwIP, then what
 * follows from it for sending, acknowledging and the socket layer. */
#include "stack/engine_private.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define PAWS_IDLE_NS (24ull * 86400 * SECOND)
#define MOVING_NS    (100 * MILLISECOND)

/* ---- Segments that belong to no connection */

static void stray(struct engine *engine, const struct packet *packet, const struct tcp_segment *segment,
                  const struct lane_record *record)
{
    const struct engine_environment *environment = &engine->environment;
    struct engine_route route;
    if (segment->flags & SEGMENT_RST || record->flags & LANE_RECORD_MULTICAST ||
        net_addr_is_multicast(&packet->destination) || !table_port_used(engine, packet->destination_port))
        return;
    if (environment->route(environment->context, &packet->source, &packet->destination, record->ifindex, &route) == 0)
        engine_send_rst(engine, packet, segment, &route);
}

/* A SYN may take a TIME_WAIT connection's place if it is newer (RFC 6191). True: it was taken away. */
static bool replace_time_wait(struct tcp_conn *conn, const struct tcp_segment *segment)
{
    bool newer = conn->tw_timestamps && segment->has_timestamp
                     ? seq_lt(conn->tw_ts_recent, segment->timestamp) || seq_lt(conn->tw_rcv_nxt, segment->sequence)
                     : seq_lt(conn->tw_rcv_nxt, segment->sequence);
    if ((segment->flags & (SEGMENT_SYN | SEGMENT_ACK | SEGMENT_RST)) != SEGMENT_SYN || !newer || conn->handle_open)
        return false;
    conn_finish(conn, 0);
    return true;
}

/* A reset ends TIME_WAIT only (RFC 1337) as the answer to our ACK of a SYN that was not known to be newer: the peer
 * does want a new connection (RFC 9293, 3.5.1), and its next SYN is to find a listener. */
static void time_wait_input(struct tcp_conn *conn, const struct tcp_segment *segment)
{
    if (segment->flags & SEGMENT_RST) {
        if (conn->tw_syn_answered && segment->sequence == conn->tw_rcv_nxt && !conn->handle_open)
            conn_finish(conn, 0);
        return;
    }
    if (segment->flags & SEGMENT_SYN)
        conn->tw_syn_answered = true;
    if (segment->flags & SEGMENT_FIN)
        conn_deadline(conn, DEADLINE_STATE, conn->engine->now_ns + conn->engine->config.time_wait_ms * MILLISECOND);
    if (segment->payload_length > 0 || segment->flags & (SEGMENT_FIN | SEGMENT_SYN) ||
        segment->sequence != conn->tw_rcv_nxt)
        conn_challenge(conn);
}

/* ---- Acceptability */

/* RFC 7323, 5: an old duplicate by its timestamp. */
static bool too_old(const struct tcp_conn *conn, const struct tcp_segment *segment)
{
    return segment->has_timestamp && conn->pcb->flags & TF_TIMESTAMP &&
           seq_lt(segment->timestamp, conn->pcb->ts_recent) &&
           conn->engine->now_ns - conn->last_receive_ns < PAWS_IDLE_NS;
}

/* In a synchronised state: false if the segment is not to be looked at further. */
static bool acceptable(struct tcp_conn *conn, const struct tcp_segment *segment)
{
    const struct tcp_pcb *pcb = conn->pcb;
    uint32_t offset = segment->sequence - pcb->rcv_nxt;
    if (segment->flags & SEGMENT_RST) { /* RFC 5961, 3.2 */
        if (offset == 0)
            return true;
        if (offset < pcb->rcv_wnd)
            conn_challenge(conn);
        return false;
    }
    if (segment->flags & SEGMENT_SYN) { /* RFC 5961, 4.2 */
        conn_challenge(conn);
        return false;
    }
    if (!(segment->flags & SEGMENT_ACK))
        return false;
    if (too_old(conn, segment)) {
        conn_challenge(conn);
        return false;
    }
    /* RFC 5961, 5.2: an acknowledgement of what was never sent, or older than any window. */
    if (seq_lt(pcb->snd_nxt, segment->acknowledgement) ||
        seq_lt(segment->acknowledgement, pcb->lastack - max_u32(pcb->snd_wnd_max, 65536))) {
        conn_challenge(conn);
        return false;
    }
    return true;
}

/* RFC 7323, 4.3 */
static void update_timestamp(struct tcp_conn *conn, const struct tcp_segment *segment)
{
    struct tcp_pcb *pcb = conn->pcb;
    if (segment->has_timestamp && pcb->flags & TF_TIMESTAMP && seq_leq(segment->sequence, pcb->ts_lastacksent) &&
        !seq_lt(segment->timestamp, pcb->ts_recent))
        pcb->ts_recent = segment->timestamp;
}

/* ---- After lwIP */

/* An acknowledgement leaves at the end of the batch for every second full segment, when lwIP wants it (out of order,
 * FIN), and with QUICKACK; otherwise later, in the hope of data that carries it. */
static void schedule_ack(struct tcp_conn *conn)
{
    struct tcp_pcb *pcb = conn->pcb;
    if (pcb->flags & TF_ACK_DELAY) {
        uint32_t waiting = pcb->rcv_nxt - pcb->ts_lastacksent;
        uint64_t delay = conn->engine->config.delayed_ack_us * MICROSECOND;
        if (waiting >= 2 * conn->mss || conn->quickack || delay == 0)
            tcp_set_flags(pcb, TF_ENGINE_ACK_WANTED);
        else if (conn->deadline[DEADLINE_ACK] == NEVER)
            conn_deadline(conn, DEADLINE_ACK, conn->engine->now_ns + delay);
    }
    if (pcb->flags & TF_ENGINE_ACK_WANTED)
        conn_output_later(conn);
}

struct before {
    uint32_t una, window, edge, ready;
    enum tcp_state state;
    bool connected;
};

static void acknowledged(struct tcp_conn *conn, const struct tcp_segment *segment, const struct before *before)
{
    const struct tcp_pcb *pcb = conn->pcb;
    uint32_t acked = pcb->lastack - before->una;
    uint32_t edge = pcb->lastack + pcb->snd_wnd;
    if (acked > 0)
        byte_queue_drop(&conn->tx, acked); /* a FIN's number is beyond the queue's end */
    bool duplicate = acked == 0 && segment->payload_length == 0 && segment->acknowledgement == pcb->lastack &&
                     pcb->snd_nxt != pcb->lastack && edge == before->edge;
    if (acked > 0 || segment->sack_count > 0 || duplicate)
        recovery_ack(conn, segment, acked, duplicate);
    if (pcb->snd_wnd > before->window && pcb->snd_nxt == pcb->lastack) { /* a closed window has opened */
        conn->backoff = 0;
        conn->deadline[DEADLINE_RETRANSMIT] = NEVER;
    }
    if (acked > 0)
        conn_update_writable(conn);
    bool more = conn->tx.length > pcb->snd_nxt - pcb->lastack || (conn->fin_queued && !conn->fin_sent);
    if (conn->in_recovery || (more && (acked > 0 || edge != before->edge)))
        conn_output_later(conn);
    else if (acked > 0)
        recovery_rearm(conn);
}

/* True if the connection is gone. */
static bool state_changed(struct tcp_conn *conn, const struct before *before)
{
    if (!conn->pcb) {
        conn_finish(conn, conn->error);
        return true;
    }
    if (conn->data_for_nobody) {
        conn_reset(conn, conn->handle_open ? ENOMEM : 0);
        return true;
    }
    if (conn->lwip_time_wait) {
        if (conn->pcb->flags & (TF_ENGINE_ACK_WANTED | TF_ACK_DELAY))
            conn_send_ack(conn);
        conn_enter_time_wait(conn);
        conn_notify(conn, op_tcp_ready(conn));
        return true;
    }
    if (conn->pcb->state == FIN_WAIT_2 && before->state != FIN_WAIT_2 && !conn->handle_open)
        conn_deadline(conn, DEADLINE_STATE, conn->engine->now_ns + (uint64_t)conn->linger2_s * SECOND);
    return false;
}

/* ---- The usual segment */

/* Nothing special about it. */
static bool plain(const struct tcp_conn *conn, const struct tcp_segment *segment)
{
    const struct tcp_pcb *pcb = conn->pcb;
    return pcb->state == ESTABLISHED && (segment->flags & ~SEGMENT_PSH) == SEGMENT_ACK &&
           segment->acknowledgement - pcb->lastack <= pcb->snd_nxt - pcb->lastack &&
           (conn->handle_open || conn->listener);
}

/* The next in order, and nothing waiting out of order: lwIP would do what take_usual does. */
static bool usual(const struct tcp_conn *conn, const struct tcp_segment *segment)
{
    const struct tcp_pcb *pcb = conn->pcb;
    return segment->sequence == pcb->rcv_nxt && !pcb->ooseq && segment->payload_length <= pcb->rcv_wnd;
}

static bool take_payload(struct tcp_conn *conn, const void *payload, uint32_t length)
{
    struct engine *engine = conn->engine;
    if (length < BORROW_MIN || !engine->config.borrow || engine->reassembled)
        return byte_queue_append(&conn->rx, payload, length, conn->stamp_ns) == length;
    if (list_empty(&conn->borrow_link))
        list_push_back(&engine->borrowers, &conn->borrow_link);
    return byte_queue_append_borrowed(&conn->rx, payload, length, conn->stamp_ns, engine->borrow_order++);
}

/* RFC 9293, 3.10.7.4. */
static void take_acknowledgement(struct tcp_conn *conn, const struct tcp_segment *segment)
{
    struct tcp_pcb *pcb = conn->pcb;
    uint32_t window = (uint32_t)segment->window << pcb->snd_scale;
    if (seq_lt(pcb->snd_wl1, segment->sequence) || seq_lt(pcb->snd_wl2, segment->acknowledgement) ||
        (pcb->snd_wl2 == segment->acknowledgement && window > pcb->snd_wnd)) {
        pcb->snd_wnd = window;
        pcb->snd_wnd_max = max_u32(pcb->snd_wnd_max, window);
        pcb->snd_wl1 = segment->sequence;
        pcb->snd_wl2 = segment->acknowledgement;
    }
    pcb->lastack = segment->acknowledgement;
}

static void take_usual(struct tcp_conn *conn, const struct tcp_segment *segment)
{
    struct tcp_pcb *pcb = conn->pcb;
    take_acknowledgement(conn, segment);
    if (segment->payload_length == 0)
        return;
    if (!take_payload(conn, segment->payload, segment->payload_length))
        conn->data_for_nobody = true; /* no memory: the stream cannot go on */
    conn_count_received(conn, segment->payload_length);
    pcb->rcv_nxt += segment->payload_length;
    pcb->rcv_wnd -= segment->payload_length;
    tcp_update_rcv_ann_wnd(pcb);
    tcp_set_flags(pcb, TF_ACK_DELAY);
    conn->received_now = true;
}

static bool take_out_of_order(struct tcp_conn *conn, const struct packet *packet, const struct tcp_segment *segment)
{
    struct tcp_pcb *pcb = conn->pcb;
    if (segment->payload_length == 0 || !lwip_append_out_of_order(conn, packet, segment))
        return false;
    take_acknowledgement(conn, segment);
    tcp_set_flags(pcb, TF_ENGINE_ACK_WANTED);
    if (!(pcb->flags & TF_SACK))
        conn_send_ack(conn); /* a peer that counts duplicates */
    return true;
}

static void process(struct tcp_conn *conn, const struct packet *packet, const struct tcp_segment *segment,
                    bool with_options)
{
    struct tcp_pcb *pcb = conn->pcb;
    struct before before = {pcb->lastack,       pcb->snd_wnd, pcb->lastack + pcb->snd_wnd,
                            op_tcp_ready(conn), pcb->state,   conn->connected};
    conn->received_now = false;
    bool simple = !with_options && plain(conn, segment);
    if (simple && usual(conn, segment))
        take_usual(conn, segment);
    else if (!simple || !take_out_of_order(conn, packet, segment))
        lwip_input(conn, packet, segment, with_options);
    if (conn->connected && !before.connected && conn->listener)
        listener_established(conn);
    else if (conn->deferred && (conn->received_now || conn->read_end))
        listener_ready(conn);
    if (state_changed(conn, &before))
        return;
    if (conn->stage == STAGE_OPEN) {
        if (conn->window_clamp > 0 && conn->received_now)
            conn_slide_window(conn);
        if (before.connected)
            acknowledged(conn, segment, &before);
        schedule_ack(conn);
    }
    conn_update_slot(conn);
    uint32_t ready = op_tcp_ready(conn);
    if (conn->received_now || ready & ~before.ready)
        conn_notify(conn, conn->received_now ? ready & ~(uint32_t)EPOLLOUT : ready & ~before.ready);
}

/* True if the segment is left to the kernel, which the connection moves to because of urgent data. */
static bool left_to_kernel(struct tcp_conn *conn, const struct tcp_segment *segment)
{
    const struct engine_environment *environment = &conn->engine->environment;
    uint64_t now_ns = conn->engine->now_ns;
    if (segment->flags & SEGMENT_RST)
        return false;
    if (now_ns < conn->moving_until_ns)
        return true;
    if (!(segment->flags & SEGMENT_URG) || !environment->urgent || !conn->handle_open ||
        !environment->urgent(environment->context, conn->user))
        return false;
    conn->moving_until_ns = now_ns + MOVING_NS;
    return true;
}

static void conn_input(struct tcp_conn *conn, const struct packet *packet, const struct tcp_segment *segment,
                       const struct lane_record *record)
{
    enum tcp_state state = conn->pcb->state;
    if (conn->slot) {
        conn->slot->rx_packets++;
        conn->latency[conn->engine->latency]++;
    }
    conn->stamp_ns = record->stamp_ns;
    if (state == SYN_SENT) {
        if ((segment->flags & (SEGMENT_RST | SEGMENT_ACK)) == SEGMENT_RST)
            return;
        process(conn, packet, segment, true);
        return;
    }
    if (state == SYN_RCVD && segment->flags & SEGMENT_SYN) {
        if (segment->sequence == conn->pcb->rcv_nxt - 1 && !(segment->flags & (SEGMENT_RST | SEGMENT_ACK)))
            lwip_repeat_syn(conn);
        return;
    }
    if (state == SYN_RCVD && conn->listener && listener_full(conn->listener) && !(segment->flags & SEGMENT_RST))
        return;
    if (!acceptable(conn, segment) || left_to_kernel(conn, segment))
        return;
    update_timestamp(conn, segment);
    conn->last_receive_ns = conn->engine->now_ns;
    conn->keep_sent = 0;
    process(conn, packet, segment, false);
}

void tcp_segment_input(struct engine *engine, const struct packet *packet, const struct lane_record *record)
{
    struct tcp_segment segment;
    struct net_endpoint local = {packet->destination, packet->destination_port};
    struct net_endpoint remote = {packet->source, packet->source_port};
    if (packet_parse_tcp(packet, &segment) < 0) {
        engine->environment.stats->bad_packets++;
        return;
    }
    struct tcp_conn *conn = table_find(engine, &local, &remote);
    if (conn && conn->stage == STAGE_TIME_WAIT && replace_time_wait(conn, &segment))
        conn = NULL;
    if (!conn) {
        struct tcp_listener *listener =
            record->flags & LANE_RECORD_MULTICAST ? NULL : listener_find(engine, &local, &remote);
        if (listener)
            listener_input(listener, packet, &segment, record);
        else
            stray(engine, packet, &segment, record);
        return;
    }
    if (conn->stage == STAGE_TIME_WAIT)
        time_wait_input(conn, &segment);
    else if (conn->pcb && !conn->frozen)
        conn_input(conn, packet, &segment, record);
}
