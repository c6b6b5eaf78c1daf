/* SPDX-License-Identifier: BSD-2-Clause */
/* Making segments of a connection's data, and deciding what may be sent. */
#include "stack/engine_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define CORK_LIMIT_NS   (200 * MILLISECOND) /* corked data leaves after this, as with Linux */
#define PATH_MTU_NS     (600 * SECOND)      /* a learned path MTU is believed for so long, as by Linux */
#define RETRY_NS        MILLISECOND         /* after the injector refused a packet */
#define RETRY_DOUBLINGS 6u
#define HEADERS_MAX     (40 + 60)

/* ---- Headers */

static void put16(uint8_t *at, uint16_t value)
{
    value = htons(value);
    memcpy(at, &value, sizeof(value));
}

static void put32(uint8_t *at, uint32_t value)
{
    value = htonl(value);
    memcpy(at, &value, sizeof(value));
}

uint32_t conn_timestamp(const struct tcp_conn *conn)
{
    return (uint32_t)(conn->engine->now_ns / MILLISECOND) + conn->timestamp_offset;
}

struct ip_fields {
    const struct net_addr *source, *destination;
    bool ipv6;
    uint8_t ttl, tos;
    uint16_t id;
};

/* Writes an IP header for length bytes of TCP; returns its length. TCP never lets itself be fragmented. */
static size_t put_ip_header(uint8_t *at, const struct ip_fields *ip, size_t length)
{
    if (ip->ipv6) {
        put32(at, 0x60000000u | (uint32_t)ip->tos << 20);
        put16(at + 4, (uint16_t)length);
        at[6] = IPPROTO_TCP;
        at[7] = ip->ttl;
        memcpy(at + 8, ip->source->byte, 16);
        memcpy(at + 24, ip->destination->byte, 16);
        return 40;
    }
    at[0] = 0x45;
    at[1] = ip->tos;
    put16(at + 2, (uint16_t)(length + 20));
    put16(at + 4, ip->id);
    put16(at + 6, 0x4000);
    at[8] = ip->ttl;
    at[9] = IPPROTO_TCP;
    memset(at + 10, 0, 2);
    memcpy(at + 12, ip->source->byte + 12, 4);
    memcpy(at + 16, ip->destination->byte + 12, 4);
    uint16_t sum = (uint16_t)~checksum_fold(checksum_words(0, at, 5));
    memcpy(at + 10, &sum, 2);
    return 20;
}

struct tcp_fields {
    uint16_t source_port, destination_port;
    uint32_t sequence, acknowledgement;
    uint16_t window;
    uint8_t flags;
    bool timestamps;
    uint32_t timestamp, echo;
};

static size_t put_tcp_header(uint8_t *at, const struct tcp_fields *tcp)
{
    size_t length = tcp->timestamps ? 32 : 20;
    put16(at, tcp->source_port);
    put16(at + 2, tcp->destination_port);
    put32(at + 4, tcp->sequence);
    put32(at + 8, tcp->acknowledgement);
    at[12] = (uint8_t)(length / 4 << 4);
    at[13] = tcp->flags;
    put16(at + 14, tcp->window);
    memset(at + 16, 0, 4);
    if (tcp->timestamps) {
        put32(at + 20, 0x0101080a);
        put32(at + 24, tcp->timestamp);
        put32(at + 28, tcp->echo);
    }
    return length;
}

/* The checksum field starts out with the pseudo-header's sum; device or kernel finish it. */
static void put_pseudo_sum(uint8_t *tcp_header, uint64_t addresses, size_t length)
{
    uint16_t sum = checksum_fold(addresses + htonl((uint32_t)length));
    memcpy(tcp_header + 16, &sum, sizeof(sum));
}

static void conn_ip_fields(const struct tcp_conn *conn, struct ip_fields *ip)
{
    *ip = (struct ip_fields){&conn->local.addr, &conn->remote.addr, conn->ipv6, conn->ttl, conn->tos, conn->ip_id};
}

static void conn_tcp_fields(const struct tcp_conn *conn, struct tcp_fields *tcp, uint32_t sequence, uint8_t flags)
{
    const struct tcp_pcb *pcb = conn->pcb;
    *tcp = (struct tcp_fields){
        .source_port = conn->local.port,
        .destination_port = conn->remote.port,
        .sequence = sequence,
        .acknowledgement = pcb->rcv_nxt,
        .window = (uint16_t)min_u32(pcb->rcv_ann_wnd >> pcb->rcv_scale, 0xffff),
        .flags = flags,
        .timestamps = (pcb->flags & TF_TIMESTAMP) != 0,
        .timestamp = conn_timestamp(conn),
        .echo = pcb->ts_recent,
    };
}

/* ---- Packets */

/* Sends headers and iov[2..] (iov[0] free, iov[1] for the headers). payload: their bytes. */
static int send_packet(struct tcp_conn *conn, uint8_t *headers, size_t ip_length, size_t tcp_length, struct iovec *iov,
                       int iov_count, size_t payload)
{
    put_pseudo_sum(headers + ip_length, conn->pseudo_sum, tcp_length + payload);
    iov[1] = (struct iovec){headers, ip_length + tcp_length};
    struct inject_packet packet = {
        .iov = iov,
        .iov_count = iov_count,
        .nexthop = conn->route.nexthop,
        .checksum_start = (uint16_t)ip_length,
        .checksum_offset = 16,
        .segment_size = payload > conn->mss ? (uint16_t)conn->mss : 0,
        .header_bytes = (uint16_t)(ip_length + tcp_length),
        .protocol = IPPROTO_TCP,
        .ipv6 = conn->ipv6,
    };
    if (conn->no_route)
        return 0;
    int rc = engine_send(conn->engine, &packet);
    if (rc == -EAGAIN || rc == -ENOBUFS)
        return rc;
    conn->refusals = 0;
    if (rc < 0)
        conn->soft_error = -rc; /* lost, as anywhere else on the way */
    conn->ip_id += (uint16_t)(payload > conn->mss ? (payload + conn->mss - 1) / conn->mss : 1);
    if (conn->slot)
        conn->slot->tx_packets++;
    return 0;
}

static void acknowledged(struct tcp_conn *conn)
{
    struct tcp_pcb *pcb = conn->pcb;
    pcb->rcv_ann_right_edge = pcb->rcv_nxt + pcb->rcv_ann_wnd;
    pcb->ts_lastacksent = pcb->rcv_nxt;
    tcp_clear_flags(pcb, TF_ACK_DELAY | TF_ACK_NOW | TF_ENGINE_ACK_WANTED);
    conn->deadline[DEADLINE_ACK] = NEVER;
}

/* One packet (cut into segments on the way) with the stream from `from` up to `to`, which may be past the FIN. */
static int send_range(struct tcp_conn *conn, uint32_t from, uint32_t *to)
{
    uint8_t headers[HEADERS_MAX];
    struct iovec iov[2 + IOV_MAX_SEGMENT];
    struct ip_fields ip;
    struct tcp_fields tcp;
    uint32_t end = conn->tx.position + conn->tx.length;
    bool fin = seq_lt(end, *to);
    size_t wanted = (fin ? end : *to) - from, payload = 0;
    int count = 2;
    if (wanted > 0)
        count += byte_queue_map(&conn->tx, from, wanted, iov + 2, IOV_MAX_SEGMENT, &payload);
    if (payload < wanted) {
        fin = false;
        *to = from + (uint32_t)payload;
    }
    uint8_t flags = SEGMENT_ACK;
    if (fin)
        flags |= SEGMENT_FIN;
    if (payload > 0 && (fin || *to == end))
        flags |= SEGMENT_PSH;
    conn_tcp_fields(conn, &tcp, from, flags);
    conn_ip_fields(conn, &ip);
    size_t tcp_length = tcp.timestamps ? 32 : 20;
    size_t ip_length = put_ip_header(headers, &ip, tcp_length + payload);
    put_tcp_header(headers + ip_length, &tcp);
    int rc = send_packet(conn, headers, ip_length, tcp_length, iov, count, payload);
    if (rc < 0)
        return rc;
    acknowledged(conn);
    conn->last_send_ns = conn->engine->now_ns;
    return 0;
}

static int send_empty(struct tcp_conn *conn, uint32_t sequence, uint8_t flags)
{
    uint8_t headers[HEADERS_MAX];
    struct iovec iov[2];
    struct ip_fields ip;
    struct tcp_fields tcp;
    conn_tcp_fields(conn, &tcp, sequence, flags);
    conn_ip_fields(conn, &ip);
    size_t tcp_length = tcp.timestamps ? 32 : 20;
    size_t ip_length = put_ip_header(headers, &ip, tcp_length);
    put_tcp_header(headers + ip_length, &tcp);
    return send_packet(conn, headers, ip_length, tcp_length, iov, 2, 0);
}

static void try_again(struct tcp_conn *conn)
{
    conn->blocked = true;
    conn_deadline(conn, DEADLINE_HOLD, conn->engine->now_ns + (RETRY_NS << min_u32(conn->refusals, RETRY_DOUBLINGS)));
    if (conn->refusals < 255)
        conn->refusals++;
}

void conn_send_ack(struct tcp_conn *conn)
{
    struct tcp_pcb *pcb = conn->pcb;
    if (!pcb || conn->frozen)
        return;
    conn_check_route(conn);
    if (LWIP_TCP_SACK_VALID(pcb, 0)) {
        lwip_enter(conn); /* lwIP knows how to write SACK options */
        tcp_send_empty_ack(pcb);
        lwip_leave(conn);
        if (pcb->flags & TF_ACK_NOW) {
            tcp_clear_flags(pcb, TF_ACK_NOW);
            tcp_set_flags(pcb, TF_ENGINE_ACK_WANTED);
            try_again(conn);
            return;
        }
    } else if (send_empty(conn, pcb->snd_nxt, SEGMENT_ACK) < 0) {
        tcp_set_flags(pcb, TF_ENGINE_ACK_WANTED);
        try_again(conn);
        return;
    }
    acknowledged(conn);
}

void conn_send_probe(struct tcp_conn *conn, uint32_t sequence)
{
    conn_check_route(conn);
    send_empty(conn, sequence, SEGMENT_ACK);
}

void conn_send_rst(struct tcp_conn *conn)
{
    if (!conn->pcb || conn->frozen)
        return;
    conn_check_route(conn);
    send_empty(conn, conn->pcb->snd_nxt, SEGMENT_RST | SEGMENT_ACK);
}

void conn_challenge(struct tcp_conn *conn)
{
    struct engine *engine = conn->engine;
    uint64_t second = engine->now_ns / SECOND;
    if (second != engine->challenge_second) {
        engine->challenge_second = second;
        engine->challenge_count = 0;
    }
    if (engine->challenge_count++ >= CHALLENGE_ACKS_PER_SECOND)
        return;
    if (conn->stage == STAGE_TIME_WAIT)
        conn_send_time_wait_ack(conn);
    else
        conn_send_ack(conn);
}

void conn_send_time_wait_ack(struct tcp_conn *conn)
{
    uint8_t headers[HEADERS_MAX];
    struct iovec iov[2];
    struct ip_fields ip;
    struct tcp_fields tcp = {
        .source_port = conn->local.port,
        .destination_port = conn->remote.port,
        .sequence = conn->tw_snd_nxt,
        .acknowledgement = conn->tw_rcv_nxt,
        .window = (uint16_t)conn->tw_window,
        .flags = SEGMENT_ACK,
        .timestamps = conn->tw_timestamps,
        .timestamp = conn_timestamp(conn),
        .echo = conn->tw_ts_recent,
    };
    conn_check_route(conn);
    conn_ip_fields(conn, &ip);
    size_t tcp_length = tcp.timestamps ? 32 : 20;
    size_t ip_length = put_ip_header(headers, &ip, tcp_length);
    put_tcp_header(headers + ip_length, &tcp);
    send_packet(conn, headers, ip_length, tcp_length, iov, 2, 0);
}

void engine_send_rst(struct engine *engine, const struct packet *packet, const struct tcp_segment *segment,
                     const struct engine_route *route)
{
    uint8_t headers[HEADERS_MAX];
    struct iovec iov[2];
    struct ip_fields ip = {&packet->destination, &packet->source, packet->ipv6, 64, 0, 0};
    struct tcp_fields tcp = {.source_port = packet->destination_port, .destination_port = packet->source_port};
    if (segment->flags & SEGMENT_ACK) { /* RFC 9293, 3.10.7.1 */
        tcp.sequence = segment->acknowledgement;
        tcp.flags = SEGMENT_RST;
    } else {
        tcp.acknowledgement = segment->sequence + segment->payload_length + ((segment->flags & SEGMENT_SYN) != 0) +
                              ((segment->flags & SEGMENT_FIN) != 0);
        tcp.flags = SEGMENT_RST | SEGMENT_ACK;
    }
    size_t ip_length = put_ip_header(headers, &ip, 20);
    put_tcp_header(headers + ip_length, &tcp);
    uint64_t sum = checksum_pseudo(ip.source, ip.destination, ip.ipv6, IPPROTO_TCP, 0);
    put_pseudo_sum(headers + ip_length, sum, 20);
    iov[1] = (struct iovec){headers, ip_length + 20};
    struct inject_packet out = {.iov = iov,
                                .iov_count = 2,
                                .nexthop = route->nexthop,
                                .checksum_start = (uint16_t)ip_length,
                                .checksum_offset = 16,
                                .header_bytes = (uint16_t)(ip_length + 20),
                                .protocol = IPPROTO_TCP,
                                .ipv6 = packet->ipv6};
    engine_send(engine, &out);
}

/* lwIP's idea of the window in a SYN is its constant; its MSS option knows nothing of TCP_MAXSEG. */
static void adjust_syn(struct tcp_conn *conn, uint8_t *tcp, size_t length)
{
    put16(tcp + 14, (uint16_t)min_u32(conn_window_most(conn), 0xffff));
    if (length >= 24 && tcp[20] == 2 && conn->mss_limit > 0) {
        uint32_t mss = (uint32_t)tcp[22] << 8 | tcp[23];
        put16(tcp + 22, (uint16_t)min_u32(mss, conn->mss_limit));
    }
}

int conn_send_raw(struct tcp_conn *conn, uint8_t *transport, size_t length)
{
    uint8_t headers[HEADERS_MAX];
    struct iovec iov[2];
    struct ip_fields ip;
    if (length < 20 || length > 60)
        return -EINVAL;
    conn_ip_fields(conn, &ip);
    size_t ip_length = put_ip_header(headers, &ip, length);
    memcpy(headers + ip_length, transport, length);
    if (transport[13] & SEGMENT_SYN)
        adjust_syn(conn, headers + ip_length, length);
    return send_packet(conn, headers, ip_length, length, iov, 2, 0);
}

/* ---- Route and segment size */

void conn_set_mss(struct tcp_conn *conn)
{
    uint32_t mss = conn->peer_mss;
    uint32_t headers = conn->ipv6 ? 60 : 40;
    mss = min_u32(mss, conn->route.mtu > headers ? conn->route.mtu - headers : MSS_MIN);
    if (conn->mss_limit > 0)
        mss = min_u32(mss, conn->mss_limit);
    mss = max_u32(mss, MSS_MIN);
    if (conn->pcb) {
        conn->pcb->mss = (u16_t)mss;
        if (conn->pcb->flags & TF_TIMESTAMP)
            mss -= 12;
    }
    conn->mss = mss;
}

void conn_check_route(struct tcp_conn *conn)
{
    const struct engine_environment *environment = &conn->engine->environment;
    if (conn->engine->silent)
        return;
    uint64_t generation = environment->generation(environment->context);
    if (generation == conn->route_generation)
        return;
    struct engine_route route;
    conn->route_generation = generation;
    int rc = environment->route(environment->context, &conn->remote.addr, &conn->local.addr, 0, &route);
    conn->no_route = rc < 0;
    if (rc < 0) {
        conn->soft_error = EHOSTUNREACH;
        return;
    }
    conn->route = route;
    conn->route_generation = route.generation; /* of an answer from before the change: asked for again */
    if (conn->path_mtu > 0 && conn->engine->now_ns < conn->path_mtu_until_ns && conn->path_mtu < route.mtu)
        conn->route.mtu = (uint16_t)conn->path_mtu;
    if (conn->stage == STAGE_OPEN)
        conn_set_mss(conn);
}

void conn_lower_mtu(struct tcp_conn *conn, uint32_t mtu)
{
    if (mtu >= conn->route.mtu)
        return;
    conn->path_mtu = mtu;
    conn->path_mtu_until_ns = conn->engine->now_ns + PATH_MTU_NS;
    conn->route.mtu = (uint16_t)mtu;
    if (conn->stage != STAGE_OPEN || !conn->pcb)
        return;
    conn_set_mss(conn);
    recovery_all_lost(conn, false);
    conn_output_later(conn);
}

/* ---- What may be sent */

/* A segment shorter than the wire's: whether it may go, or waits for more to fill it up. */
static bool partial_may_go(struct tcp_conn *conn, uint32_t end)
{
    uint32_t una = conn->pcb->lastack;
    if (conn->fin_queued || seq_leq(end, conn->push_end))
        return true;
    if (conn->cork || conn->more) {
        if (conn->deadline[DEADLINE_HOLD] == NEVER)
            conn_deadline(conn, DEADLINE_HOLD, conn->engine->now_ns + CORK_LIMIT_NS);
        return false;
    }
    bool idle = conn->pcb->snd_nxt == una;
    if (!conn->nodelay && !idle && seq_lt(una, conn->small_end))
        return false; /* Nagle, with Minshall's rule: at most one small segment outstanding */
    if (conn->engine->config.coalesce_us > 0 && !idle) {
        if (conn->deadline[DEADLINE_HOLD] == NEVER)
            conn_deadline(conn, DEADLINE_HOLD, conn->engine->now_ns + conn->engine->config.coalesce_us * MICROSECOND);
        return false;
    }
    return true;
}

/* How much of `available` new bytes goes into the next packet; 0: nothing for now. */
static uint32_t next_length(struct tcp_conn *conn, uint32_t available)
{
    const struct tcp_pcb *pcb = conn->pcb;
    uint32_t nxt = pcb->snd_nxt, edge = pcb->lastack + pcb->snd_wnd;
    uint32_t window = seq_lt(nxt, edge) ? edge - nxt : 0;
    uint32_t pipe = recovery_pipe(conn);
    uint32_t congestion = conn->cwnd > pipe ? conn->cwnd - pipe : 0;
    if (pipe == 0)
        congestion = max_u32(congestion, conn->mss);
    uint32_t length = min_u32(min_u32(available, SEGMENT_PAYLOAD_MAX), min_u32(window, congestion));
    if (congestion < min_u32(available, window) && congestion < conn->mss) {
        conn->cwnd_limited = true;
        return 0;
    }
    if (congestion < available && congestion <= window)
        conn->cwnd_limited = true;
    if (length > conn->mss && length % conn->mss != 0 && (length < available || !partial_may_go(conn, nxt + length)))
        return length - length % conn->mss;
    if (length >= conn->mss)
        return length;
    if (length == available)
        return length > 0 && partial_may_go(conn, nxt + length) ? length : 0;
    /* The peer's window leaves room for a part only: worth it for half of its largest (RFC 9293, 3.8.6.2.1). */
    return length > 0 && length >= pcb->snd_wnd_max / 2 ? length : 0;
}

/* A connection that was silent for a while knows less about the network (RFC 9293, 3.8.3; as Linux does it). */
static void restart_after_idle(struct tcp_conn *conn)
{
    uint64_t rto = max_u32(conn->rto_us, 1000) * MICROSECOND;
    uint64_t idle = conn->engine->now_ns - conn->last_send_ns;
    uint32_t floor_bytes = 10 * conn->mss;
    if (conn->pcb->snd_nxt != conn->pcb->lastack || conn->last_send_ns == 0)
        return;
    for (; idle > rto && conn->cwnd > floor_bytes; idle -= rto)
        conn->cwnd = max_u32(conn->cwnd / 2, floor_bytes);
}

static void sent_new(struct tcp_conn *conn, uint32_t from, uint32_t to)
{
    struct tcp_pcb *pcb = conn->pcb;
    uint32_t end = conn->tx.position + conn->tx.length;
    if (seq_lt(end, to)) {
        conn->fin_sent = true;
        pcb->state = pcb->state == CLOSE_WAIT ? LAST_ACK : FIN_WAIT_1;
    }
    pcb->snd_nxt = to;
    if ((to - from) % conn->mss != 0)
        conn->small_end = to;
    if (!conn->rtt_pending && !conn->in_recovery) {
        conn->rtt_pending = true;
        conn->rtt_sequence = to;
        conn->rtt_start_ns = conn->engine->now_ns;
    }
}

/* True while there may be more. */
static bool send_new(struct tcp_conn *conn)
{
    const struct tcp_pcb *pcb = conn->pcb;
    uint32_t nxt = pcb->snd_nxt, end = conn->tx.position + conn->tx.length;
    if (conn->fin_sent)
        return false;
    uint32_t available = end - nxt;
    uint32_t length = available > 0 ? next_length(conn, available) : 0;
    uint32_t to = nxt + length;
    if (length == available && conn->fin_queued)
        to++;
    if (to == nxt)
        return false;
    if (send_range(conn, nxt, &to) < 0) {
        try_again(conn);
        return false;
    }
    sent_new(conn, nxt, to);
    return true;
}

/* True while there may be more. */
static bool send_lost(struct tcp_conn *conn)
{
    uint32_t from, to;
    if (!recovery_next_lost(conn, &from, &to))
        return false;
    uint32_t pipe = recovery_pipe(conn);
    uint32_t room = conn->cwnd > pipe ? conn->cwnd - pipe : 0;
    if (conn->force_repeat)
        room = max_u32(room, conn->mss);
    uint32_t length = min_u32(to - from, SEGMENT_PAYLOAD_MAX);
    if (room < length) {
        length = room - room % conn->mss;
        if (length == 0)
            return false;
    }
    to = from + length;
    if (send_range(conn, from, &to) < 0) {
        try_again(conn);
        return false;
    }
    PROBE(retransmission, PROBE_CONN(conn), from, to - from);
    conn->force_repeat = false;
    conn->rtt_pending = false; /* Karn */
    conn->retransmissions += (to - from + conn->mss - 1) / conn->mss;
    conn->retransmitted_bytes += to - from;
    recovery_repeated(conn, to);
    return true;
}

void conn_output(struct tcp_conn *conn)
{
    if (conn->stage != STAGE_OPEN || conn->frozen || !conn->pcb)
        return;
    conn->blocked = false;
    conn_check_route(conn);
    if (conn->in_recovery) {
        while (send_lost(conn))
            ;
    }
    if (!conn->blocked && (conn->pcb->snd_nxt != conn->tx.position + conn->tx.length || conn->fin_queued)) {
        restart_after_idle(conn);
        while (send_new(conn))
            ;
    }
    if (!conn->blocked && conn->pcb->flags & TF_ENGINE_ACK_WANTED)
        conn_send_ack(conn);
    if (conn->notsent_low > 0)
        conn_update_writable(conn);
    recovery_rearm(conn);
    conn_update_slot(conn);
}

void conn_output_later(struct tcp_conn *conn)
{
    if (list_empty(&conn->flush_link))
        list_push_back(&conn->engine->flush, &conn->flush_link);
}

bool conn_send_little(struct tcp_conn *conn)
{
    const struct tcp_pcb *pcb = conn->pcb;
    uint32_t nxt = pcb->snd_nxt, end = conn->tx.position + conn->tx.length, edge = pcb->lastack + pcb->snd_wnd;
    if (conn->fin_sent || !seq_lt(nxt, end) || !seq_lt(nxt, edge))
        return false;
    conn_check_route(conn);
    uint32_t to = nxt + min_u32(min_u32(end - nxt, edge - nxt), conn->mss);
    if (send_range(conn, nxt, &to) < 0)
        try_again(conn);
    else
        sent_new(conn, nxt, to);
    return true;
}

bool conn_send_tail(struct tcp_conn *conn)
{
    const struct tcp_pcb *pcb = conn->pcb;
    uint32_t nxt = pcb->snd_nxt, una = pcb->lastack, end = conn->tx.position + conn->tx.length;
    conn_check_route(conn);
    uint32_t fresh = conn->fin_sent ? 0 : min_u32(end - nxt, conn->mss);
    if (fresh > 0 && !seq_lt(una + pcb->snd_wnd, nxt + fresh)) {
        uint32_t to = nxt + fresh;
        if (send_range(conn, nxt, &to) < 0)
            return false;
        sent_new(conn, nxt, to);
        return true;
    }
    uint32_t length = min_u32(nxt - una, conn->mss), to = nxt;
    if (send_range(conn, nxt - length, &to) < 0)
        return false;
    conn->rtt_pending = false;
    conn->retransmissions++;
    conn->retransmitted_bytes += length;
    return true;
}
