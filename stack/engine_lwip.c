/* SPDX-License-Identifier: BSD-2-Clause */
/* The border to lwIP: what it calls (memory, time, initial sequence numbers, IP output) and how segments get in. */
#include "stack/engine_private.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "lwip/nd6.h"
#include "lwip/netif.h"
#include "lwip/sys.h"

struct ip_globals ip_data;
const ip_addr_t ip_addr_any_type = IPADDR_ANY_TYPE_INIT;

static struct netif the_netif; /* lwIP reads its MTU only */

/* The segment at hand for lwIP: a header of its own, since the ring is read-only, and the payload where it is. */
static struct {
    struct pbuf_custom header, payload;
    uint8_t bytes[64] __attribute__((aligned(8)));
} in_place;

/* ---- What lwIP calls */

void *engine_lwip_malloc(unsigned long size)
{
    return pool_alloc(size);
}

void *engine_lwip_calloc(unsigned long count, unsigned long size)
{
    return pool_zalloc(count * size);
}

void engine_lwip_free(void *memory)
{
    pool_free(memory);
}

void engine_lwip_assert(const char *message, const char *file, int line)
{
    static bool told;
    if (!told)
        log_warning("engine: lwIP %s:%d: assertion failed: %s", file, line, message);
    told = true;
}

u32_t sys_now(void)
{
    const struct tcp_conn *conn = engine_current ? engine_current->output_conn : NULL;
    return conn ? conn_timestamp(conn) : 0;
}

#define SIP_ROTATE(x, n) ((x) << (n) | (x) >> (64 - (n)))

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = SIP_ROTATE(v[1], 13) ^ v[0];
    v[0] = SIP_ROTATE(v[0], 32);
    v[2] += v[3];
    v[3] = SIP_ROTATE(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = SIP_ROTATE(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = SIP_ROTATE(v[1], 17) ^ v[2];
    v[2] = SIP_ROTATE(v[2], 32);
}

/* SipHash-2-4 (Aumasson and Bernstein, 2012) of whole 64-bit words: outsiders learn nothing of the key from what they
 * see. */
static uint64_t sip_hash(const uint8_t key[16], const uint64_t *words, size_t count)
{
    uint64_t k[2];
    memcpy(k, key, sizeof(k));
    uint64_t v[4] = {k[0] ^ 0x736f6d6570736575ull, k[1] ^ 0x646f72616e646f6dull, k[0] ^ 0x6c7967656e657261ull,
                     k[1] ^ 0x7465646279746573ull};
    for (size_t i = 0; i <= count; i++) {
        uint64_t word = i < count ? words[i] : (uint64_t)count << 59;
        v[3] ^= word;
        sip_round(v);
        sip_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* RFC 6528: a secret offset for each pair of endpoints, plus a clock of 4 microseconds. Leaves the connection's
 * timestamp offset (RFC 7323, 5.4) on the way. */
unsigned engine_lwip_isn(const struct ip_addr *local, unsigned short local_port, const struct ip_addr *remote,
                         unsigned short remote_port)
{
    struct engine *engine = engine_current;
    uint64_t words[5] = {0};
    memcpy(words, ip_2_ip6(local)->addr, IP_IS_V6(local) ? 16 : 4);
    memcpy(words + 2, ip_2_ip6(remote)->addr, IP_IS_V6(remote) ? 16 : 4);
    words[4] = (uint64_t)local_port << 16 | remote_port;
    uint64_t secret = sip_hash(engine->config.hash_key, words, 5);
    if (engine->output_conn)
        engine->output_conn->timestamp_offset = (uint32_t)(secret >> 32);
    return (unsigned)(secret + engine->now_ns / 4000);
}

/* Window's worth at most; and a peer that sends tiny segments must not tie up a large block for each. */
unsigned engine_lwip_ooseq_bytes(const struct tcp_pcb *pcb)
{
    return pcb->rcv_wnd;
}

unsigned short engine_lwip_ooseq_pbufs(const struct tcp_pcb *pcb)
{
    return (unsigned short)min_u32(pcb->rcv_wnd / 512 + 64, 8192);
}

void tcp_timer_needed(void)
{
}

struct netif *ip4_route(const ip4_addr_t *destination)
{
    (void)destination;
    return &the_netif;
}

struct netif *ip6_route(const ip6_addr_t *source, const ip6_addr_t *destination)
{
    (void)source;
    (void)destination;
    return &the_netif;
}

const ip_addr_t *ip6_select_source_address(struct netif *netif, const ip6_addr_t *destination)
{
    (void)netif;
    (void)destination;
    return NULL;
}

struct netif *netif_get_by_index(u8_t index)
{
    (void)index;
    return &the_netif;
}

u16_t nd6_get_destination_mtu(const ip6_addr_t *destination, struct netif *netif)
{
    (void)destination;
    return netif->mtu;
}

static err_t output(struct pbuf *p)
{
    struct tcp_conn *conn = engine_current->output_conn;
    if (!conn || p->len != p->tot_len)
        return ERR_RTE;
    return conn_send_raw(conn, p->payload, p->len) == 0 ? ERR_OK : ERR_RTE;
}

err_t ip4_output_if(struct pbuf *p, const ip4_addr_t *source, const ip4_addr_t *destination, u8_t ttl, u8_t tos,
                    u8_t protocol, struct netif *netif)
{
    (void)source, (void)destination, (void)ttl, (void)tos, (void)protocol, (void)netif;
    return output(p);
}

err_t ip6_output_if(struct pbuf *p, const ip6_addr_t *source, const ip6_addr_t *destination, u8_t ttl, u8_t tos,
                    u8_t protocol, struct netif *netif)
{
    (void)source, (void)destination, (void)ttl, (void)tos, (void)protocol, (void)netif;
    return output(p);
}

/* ---- lwIP's callbacks */

static err_t on_receive(void *argument, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
    struct tcp_conn *conn = argument;
    (void)pcb;
    (void)error;
    if (!p) {
        conn->read_end = true;
        conn->received_now = true;
        return ERR_OK;
    }
    if (conn->handle_open || conn->stage == STAGE_OPENING || conn->listener) {
        conn->received_now = true;
        conn_count_received(conn, p->tot_len);
        for (const struct pbuf *q = p; q; q = q->next) {
            if (byte_queue_append(&conn->rx, q->payload, q->len, conn->stamp_ns) < q->len)
                conn->data_for_nobody = true; /* no memory: the stream cannot go on */
        }
    } else {
        conn->data_for_nobody = true;
    }
    pbuf_free(p);
    return ERR_OK;
}

static void on_error(void *argument, err_t error)
{
    struct tcp_conn *conn = argument;
    if (!conn)
        return;
    conn->lwip_gone = true;
    if (error == ERR_RST)
        conn->error = conn->stage == STAGE_OPENING ? ECONNREFUSED : conn->pcb->state == CLOSE_WAIT ? EPIPE : ECONNRESET;
    else if (error != ERR_CLSD)
        conn->error = ECONNABORTED;
}

static err_t on_connected(void *argument, struct tcp_pcb *pcb, err_t error)
{
    struct tcp_conn *conn = argument;
    (void)pcb;
    (void)error;
    conn_established(conn);
    return ERR_OK;
}

static err_t on_accept(void *argument, struct tcp_pcb *pcb, err_t error)
{
    struct tcp_conn *conn = argument;
    (void)pcb;
    if (error == ERR_OK)
        conn_established(conn);
    return ERR_OK;
}

static void in_place_freed(struct pbuf *p)
{
    (void)p;
}

/* ---- What the engine calls */

void lwip_border_init(struct engine *engine)
{
    engine->netif = &the_netif;
    ip_data.current_netif = ip_data.current_input_netif = &the_netif;
    in_place.header.custom_free_function = in_place_freed;
    in_place.payload.custom_free_function = in_place_freed;
    tcp_active_pcbs = tcp_tw_pcbs = tcp_bound_pcbs = NULL;
    tcp_listen_pcbs.pcbs = NULL;
}

void lwip_address(ip_addr_t *out, const struct net_addr *addr)
{
    memset(out, 0, sizeof(*out));
    if (net_addr_is_v4(addr)) {
        out->type = IPADDR_TYPE_V4;
        memcpy(&out->u_addr.ip4.addr, addr->byte + 12, 4);
    } else {
        out->type = IPADDR_TYPE_V6;
        memcpy(out->u_addr.ip6.addr, addr->byte, 16);
    }
}

void lwip_enter(struct tcp_conn *conn)
{
    conn->engine->output_conn = conn;
    the_netif.mtu = conn->route.mtu;
    conn->pcb->next = NULL;
    tcp_active_pcbs = conn->pcb;
}

void lwip_leave(struct tcp_conn *conn)
{
    if (conn->lwip_gone)
        conn->pcb = NULL;
    else if (tcp_tw_pcbs == conn->pcb && conn->stage == STAGE_OPEN)
        conn->lwip_time_wait = true;
    tcp_active_pcbs = tcp_tw_pcbs = NULL;
    conn->engine->output_conn = NULL;
}

/* Copies the header (without its options if not wanted) to where lwIP may write. */
static size_t copy_header(uint8_t *to, const struct packet *packet, const struct tcp_segment *segment,
                          bool with_options)
{
    size_t length = with_options ? segment->header_length : TCP_HLEN;
    memcpy(to, packet->transport, length);
    to[12] = (uint8_t)(length / 4 << 4);
    return length;
}

static struct pbuf *custom_pbuf(struct pbuf_custom *custom, const void *data, size_t length)
{
    struct pbuf *p = &custom->pbuf;
    *p = (struct pbuf){.payload = (void *)(uintptr_t)data,
                       .tot_len = (u16_t)length,
                       .len = (u16_t)length,
                       .flags = PBUF_FLAG_IS_CUSTOM,
                       .ref = 1};
    return p;
}

/* The segment as a pbuf: pointing into the ring, or copied if lwIP may keep it. */
static struct pbuf *make_pbuf(const struct packet *packet, const struct tcp_segment *segment, bool with_options,
                              bool copy)
{
    if (copy) {
        size_t header = with_options ? segment->header_length : TCP_HLEN;
        struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)(header + segment->payload_length), PBUF_RAM);
        if (!p)
            return NULL;
        copy_header(p->payload, packet, segment, with_options);
        memcpy((uint8_t *)p->payload + header, segment->payload, segment->payload_length);
        return p;
    }
    size_t header = copy_header(in_place.bytes, packet, segment, with_options);
    struct pbuf *p = custom_pbuf(&in_place.header, in_place.bytes, header);
    if (segment->payload_length > 0) {
        p->next = custom_pbuf(&in_place.payload, segment->payload, segment->payload_length);
        p->tot_len = (u16_t)(header + segment->payload_length);
    }
    return p;
}

static void set_addresses(const struct packet *packet)
{
    lwip_address(&ip_data.current_iphdr_src, &packet->source);
    lwip_address(&ip_data.current_iphdr_dest, &packet->destination);
}

void lwip_input(struct tcp_conn *conn, const struct packet *packet, const struct tcp_segment *segment,
                bool with_options)
{
    bool copy = (segment->payload_length > 0 || segment->flags & SEGMENT_FIN) &&
                seq_lt(conn->pcb->rcv_nxt, segment->sequence); /* out of order: lwIP keeps it */
    struct pbuf *p = make_pbuf(packet, segment, with_options, copy);
    if (!p)
        return;
    conn->ooseq_last = NULL;
    lwip_enter(conn);
    ip_data.current_iphdr_src = conn->pcb->remote_ip;
    ip_data.current_iphdr_dest = conn->pcb->local_ip;
    tcp_input(p, &the_netif);
    lwip_leave(conn);
    if (conn->pcb && conn->pcb->rcv_wnd > TCP_WND) /* lwIP takes a FIN that was sent beyond the window */
        conn->pcb->rcv_wnd = conn->pcb->rcv_ann_wnd = 0;
}

/* The last segment out of order, and how many there are. */
static struct tcp_seg *find_last(struct tcp_conn *conn)
{
    struct tcp_seg *last = conn->pcb->ooseq;
    conn->ooseq_count = 1;
    for (; last->next; last = last->next)
        conn->ooseq_count++;
    return last;
}

bool lwip_append_out_of_order(struct tcp_conn *conn, const struct packet *packet, const struct tcp_segment *segment)
{
    struct tcp_pcb *pcb = conn->pcb;
    if (!pcb->ooseq)
        return false;
    if (!conn->ooseq_last)
        conn->ooseq_last = find_last(conn);
    struct tcp_seg *last = conn->ooseq_last;
    bool sacking = (pcb->flags & TF_SACK) != 0;
    if (segment->sequence != last->tcphdr->seqno + last->len || TCPH_FLAGS(last->tcphdr) & TCP_FIN ||
        segment->sequence + segment->payload_length - pcb->rcv_nxt > pcb->rcv_wnd ||
        conn->ooseq_count >= engine_lwip_ooseq_pbufs(pcb) || (sacking && pcb->rcv_sacks[0].right != segment->sequence))
        return false;
    struct pbuf *p = make_pbuf(packet, segment, false, true);
    struct tcp_seg *seg = p ? memp_malloc(MEMP_TCP_SEG) : NULL;
    if (!seg) {
        if (p)
            pbuf_free(p);
        return false;
    }
    *seg = (struct tcp_seg){.p = p, .len = (u16_t)segment->payload_length, .tcphdr = p->payload};
    seg->tcphdr->seqno = segment->sequence; /* as lwIP keeps it */
    pbuf_remove_header(p, TCP_HLEN);
    last->next = conn->ooseq_last = seg;
    conn->ooseq_count++;
    if (sacking)
        pcb->rcv_sacks[0].right += segment->payload_length;
    return true;
}

struct tcp_pcb *lwip_listen_input(struct tcp_listener *listener, struct tcp_conn *conn, const struct packet *packet,
                                  const struct tcp_segment *segment)
{
    struct pbuf *p = make_pbuf(packet, segment, true, false);
    conn->engine->output_conn = conn;
    the_netif.mtu = conn->route.mtu;
    set_addresses(packet);
    listener->lwip.next = NULL;
    listener->lwip.local_port = packet->destination_port;
    tcp_listen_pcbs.listen_pcbs = &listener->lwip;
    tcp_input(p, &the_netif);
    struct tcp_pcb *pcb = tcp_active_pcbs;
    tcp_listen_pcbs.listen_pcbs = NULL;
    tcp_active_pcbs = NULL;
    conn->engine->output_conn = NULL;
    if (!pcb)
        return NULL;
    pcb->callback_arg = conn;
    pcb->recv = on_receive;
    pcb->errf = on_error;
    return pcb;
}

void lwip_listener_init(struct tcp_listener *listener)
{
    memset(&listener->lwip, 0, sizeof(listener->lwip));
    listener->lwip.state = LISTEN;
    listener->lwip.local_ip.type = IPADDR_TYPE_ANY;
    listener->lwip.accept = on_accept;
    listener->lwip.prio = TCP_PRIO_NORMAL;
}

int lwip_connect(struct tcp_conn *conn)
{
    ip_addr_t remote;
    lwip_address(&remote, &conn->remote.addr);
    struct tcp_pcb *pcb = tcp_new_ip_type(remote.type);
    if (!pcb)
        return -ENOMEM;
    lwip_address(&pcb->local_ip, &conn->local.addr);
    pcb->local_port = conn->local.port;
    pcb->callback_arg = conn;
    pcb->recv = on_receive;
    pcb->errf = on_error;
    conn->pcb = pcb;
    conn->engine->output_conn = conn;
    the_netif.mtu = conn->route.mtu;
    err_t error = tcp_connect(pcb, &remote, conn->remote.port, on_connected);
    tcp_active_pcbs = NULL;
    conn->engine->output_conn = NULL;
    return error == ERR_OK ? 0 : -ENOBUFS;
}

void lwip_repeat_syn(struct tcp_conn *conn)
{
    lwip_enter(conn);
    if (conn->pcb->unacked)
        tcp_rexmit_rto(conn->pcb);
    else
        tcp_output(conn->pcb);
    lwip_leave(conn);
}

void lwip_discard(struct tcp_conn *conn)
{
    struct tcp_pcb *pcb = conn->pcb;
    if (!pcb)
        return;
    conn->pcb = NULL;
    tcp_pcb_purge(pcb);
    pcb->state = CLOSED;
    tcp_free(pcb);
}

uint8_t lwip_linux_state(const struct tcp_conn *conn)
{
    static const uint8_t map[] = {TCP_CLOSE,       TCP_LISTEN,    TCP_SYN_SENT,  TCP_SYN_RECV,
                                  TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_CLOSE_WAIT,
                                  TCP_CLOSING,     TCP_LAST_ACK,  TCP_TIME_WAIT};
    if (conn->stage == STAGE_TIME_WAIT)
        return TCP_TIME_WAIT;
    if (!conn->pcb)
        return TCP_CLOSE;
    if (conn->fin_queued && !conn->fin_sent)
        return conn->pcb->state == CLOSE_WAIT ? TCP_LAST_ACK : TCP_FIN_WAIT1;
    return map[conn->pcb->state];
}
