/* SPDX-License-Identifier: BSD-2-Clause */
/* An engine with a clock of its own and a peer that does what a test tells it, packet by packet. The engine
 * is 10.0.0.1, the peer 10.0.0.2. Nothing leaves the process. */
#ifndef LOCKSTEP_TESTS_ENGINE_SCRIPT_H
#define LOCKSTEP_TESTS_ENGINE_SCRIPT_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "stack/engine.h"
#include "stack/packet.h"

#define SCRIPT_MS 1000000ull
#define SENT_MAX  256

struct sent {
    uint8_t bytes[1600]; /* the beginning; large packets are cut off here */
    uint32_t length;
    uint16_t segment_size;
    uint64_t at_ns;
};

struct script {
    struct engine *engine;
    struct lane_stats *stats;
    unsigned latency; /* bucket of the packets that arrive */
    uint64_t now_ns;
    unsigned sent_count, taken;
    uint64_t sent_total;
    bool discard; /* count only */
    unsigned gone, opened;
    bool uncounted; /* connections get no slot */
    void *gone_id;
    uint64_t generation;
    uint16_t mtu;
    int send_error;
    uint32_t route_flags;
    bool urgent_moves;          /* the answer to urgent data */
    unsigned urgent;            /* questions */
    struct sent sent[SENT_MAX]; /* not cleared */
};

static const struct engine_ops *const ops = &engine_lwip;
static struct script script;

/* The peer's end of a connection. */
struct peer {
    uint16_t port, engine_port;
    uint32_t next, expected; /* sequence numbers */
    uint16_t window;
    bool timestamps;
    uint32_t timestamp, echo;
};

static int script_send(void *context, const struct inject_packet *packet)
{
    (void)context;
    script.sent_total++;
    if (script.send_error)
        return script.send_error;
    if (script.discard)
        return 0;
    struct sent *sent = &script.sent[script.sent_count++ % SENT_MAX];
    sent->length = 0;
    for (int i = 1; i < packet->iov_count; i++) {
        size_t room = sent->length < sizeof(sent->bytes) ? sizeof(sent->bytes) - sent->length : 0;
        size_t part = packet->iov[i].iov_len < room ? packet->iov[i].iov_len : room;
        if (part > 0)
            memcpy(sent->bytes + sent->length, packet->iov[i].iov_base, part);
        sent->length += (uint32_t)packet->iov[i].iov_len;
    }
    sent->segment_size = packet->segment_size;
    sent->at_ns = script.now_ns;
    return 0;
}

static int script_route(void *context, const struct net_addr *destination, const struct net_addr *source,
                        uint32_t ifindex, struct engine_route *out)
{
    (void)context, (void)destination;
    *out = (struct engine_route){.source = *source,
                                 .ifindex = ifindex,
                                 .mtu = script.mtu,
                                 .flags = script.route_flags,
                                 .generation = script.generation};
    return 0;
}

static uint64_t script_generation(void *context)
{
    (void)context;
    return script.generation;
}

static void script_notify(void *context, void *user, uint32_t events)
{
    (void)context;
    if (user)
        *(uint32_t *)user |= events;
}

static bool script_urgent(void *context, void *user)
{
    (void)context, (void)user;
    script.urgent++;
    return script.urgent_moves;
}

static struct lane_stats_slot *script_opened(void *context, void *listener_user, const struct net_endpoint *local,
                                             const struct net_endpoint *remote, void **connection_id)
{
    (void)context, (void)listener_user, (void)local, (void)remote;
    *connection_id = (void *)(uintptr_t)(1000 + ++script.opened);
    return &script.stats->slots[script.opened % 1000];
}

static void script_gone(void *context, void *connection_id)
{
    (void)context;
    script.gone++;
    script.gone_id = connection_id;
}

static uint64_t script_now(void *context)
{
    (void)context;
    return script.now_ns;
}

static inline void script_start(const struct engine_config *given)
{
    struct engine_config config;
    if (given)
        config = *given;
    else
        engine_config_default(&config);
    memset(config.hash_key, 9, sizeof(config.hash_key));
    config.borrow = true;
    static struct lane_stats *stats;
    if (!stats)
        stats = calloc(1, sizeof(*stats));
    memset(&script, 0, offsetof(struct script, sent));
    script.stats = stats;
    script.now_ns = 1000000 * SCRIPT_MS;
    script.mtu = 1500;
    script.generation = 1;
    script.route_flags = CONTROL_ROUTE_LOCAL_LINK;
    struct engine_environment environment = {.send = script_send,
                                             .route = script_route,
                                             .generation = script_generation,
                                             .notify = script_notify,
                                             .urgent = script_urgent,
                                             .opened = script_opened,
                                             .gone = script_gone,
                                             .now = script_now,
                                             .stats = script.stats};
    if (!script.stats || ops->create(&script.engine, &config, &environment) < 0)
        abort();
}

static inline void script_stop(void)
{
    ops->destroy(script.engine);
}

static inline struct net_endpoint script_endpoint(const char *address, uint16_t port)
{
    struct net_endpoint endpoint = {.port = port};
    if (net_addr_parse(address, &endpoint.addr) < 0)
        abort();
    return endpoint;
}

/* Time passes, timers run. */
static inline void script_advance(uint64_t ns)
{
    uint64_t end = script.now_ns + ns;
    for (;;) {
        uint64_t next = ops->timers(script.engine, script.now_ns);
        if (next > end)
            break;
        script.now_ns = next;
    }
    script.now_ns = end;
    ops->timers(script.engine, script.now_ns);
}

static union {
    struct lane_record record;
    uint8_t bytes[66000];
} script_record;

static inline void script_input(const void *packet, size_t length, unsigned flags)
{
    struct lane_record *record = &script_record.record;
    *record = (struct lane_record){
        .stamp_ns = script.now_ns, .length = (uint32_t)length, .ifindex = 2, .flags = (uint16_t)flags};
    memcpy(record->data, packet, length);
    ops->input(script.engine, record, true, script.latency);
    ops->settle(script.engine); /* the next packet takes the same place */
}

static inline void script_put16(uint8_t *at, uint16_t value)
{
    value = htons(value);
    memcpy(at, &value, 2);
}

static inline void script_put32(uint8_t *at, uint32_t value)
{
    value = htonl(value);
    memcpy(at, &value, 4);
}

/* IPv4 header for what follows; returns the whole length. */
static inline size_t script_ip(uint8_t *packet, uint8_t protocol, size_t length)
{
    memset(packet, 0, 20);
    packet[0] = 0x45;
    script_put16(packet + 2, (uint16_t)(length + 20));
    packet[8] = 64;
    packet[9] = protocol;
    script_put32(packet + 12, 0x0a000002);
    script_put32(packet + 16, 0x0a000001);
    uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, packet, 20));
    memcpy(packet + 10, &sum, 2);
    return length + 20;
}

static inline void script_checksum(uint8_t *packet, size_t at, uint8_t protocol, size_t length)
{
    uint64_t sum = htonl((uint32_t)length) + htons(protocol);
    memset(packet + 20 + at, 0, 2);
    sum = checksum_add(sum, packet + 12, 8);
    uint16_t value = (uint16_t)~checksum_fold(checksum_add(sum, packet + 20, length));
    memcpy(packet + 20 + at, &value, 2);
}

/* A segment from the peer with explicit sequence number; options: raw bytes, a multiple of 4. */
static inline void peer_segment(const struct peer *peer, uint32_t sequence, uint8_t flags, const void *options,
                                size_t options_length, const void *payload, size_t length)
{
    static uint8_t packet[66000];
    uint8_t *tcp = packet + 20;
    size_t header = 20 + options_length + (peer->timestamps && !options_length ? 12 : 0);
    memset(tcp, 0, header);
    script_put16(tcp, peer->port);
    script_put16(tcp + 2, peer->engine_port);
    script_put32(tcp + 4, sequence);
    script_put32(tcp + 8, flags & SEGMENT_ACK ? peer->expected : 0);
    tcp[12] = (uint8_t)(header / 4 << 4);
    tcp[13] = flags;
    script_put16(tcp + 14, peer->window);
    if (options_length > 0) {
        memcpy(tcp + 20, options, options_length);
    } else if (peer->timestamps) {
        script_put32(tcp + 20, 0x0101080a);
        script_put32(tcp + 24, peer->timestamp);
        script_put32(tcp + 28, peer->echo);
    }
    if (length > 0)
        memcpy(tcp + header, payload, length);
    size_t total = script_ip(packet, 6, header + length);
    script_checksum(packet, 16, 6, header + length);
    script_input(packet, total, 0);
}

static inline void peer_sends(struct peer *peer, uint8_t flags, const void *payload, size_t length)
{
    peer_segment(peer, peer->next, flags, NULL, 0, payload, length);
    peer->next += (uint32_t)length + ((flags & SEGMENT_FIN) != 0) + ((flags & SEGMENT_SYN) != 0);
}

/* The next packet that the engine sent, parsed; false: none. */
static inline bool script_sent(struct packet *packet, struct tcp_segment *segment, struct sent **out)
{
    struct sent *sent;
    if (script.sent_count - script.taken > SENT_MAX)
        script.taken = script.sent_count - SENT_MAX;
    do {
        if (script.taken == script.sent_count)
            return false;
        sent = &script.sent[script.taken++ % SENT_MAX];
    } while (segment && sent->bytes[9] != 6); /* TCP only */
    size_t kept = sent->length < sizeof(sent->bytes) ? sent->length : sizeof(sent->bytes);
    if (kept < sent->length) { /* the parser wants lengths that agree */
        uint16_t total = htons((uint16_t)kept);
        memcpy(sent->bytes + 2, &total, 2);
        memset(sent->bytes + 10, 0, 2);
        uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, sent->bytes, 20));
        memcpy(sent->bytes + 10, &sum, 2);
    }
    if (packet_parse(sent->bytes, kept, packet) < 0)
        abort();
    if (segment && packet_parse_tcp(packet, segment) < 0)
        abort();
    if (segment)
        segment->payload_length += (uint32_t)(sent->length - kept);
    if (out)
        *out = sent;
    return true;
}

#define SCRIPT_SLOT 1000 /* of the connections that the engine opens */

/* Establishes a connection that the engine opens; sack, scale, timestamps as the peer offers them. */
static inline struct tcp_conn *script_connect(struct peer *peer, uint32_t *events, bool offers)
{
    static uint16_t port = 30000;
    struct net_endpoint local = script_endpoint("10.0.0.1", port++), remote = script_endpoint("10.0.0.2", 80);
    struct engine_route route;
    struct tcp_conn *conn;
    struct packet packet;
    struct tcp_segment segment;
    script_route(NULL, NULL, &local.addr, 2, &route);
    if (ops->tcp_connect(script.engine, &local, &remote, &route, events, (void *)(uintptr_t)port,
                         script.uncounted ? NULL : &script.stats->slots[SCRIPT_SLOT], &conn) < 0)
        return NULL;
    script.taken = script.sent_count - 1;
    if (!script_sent(&packet, &segment, NULL) || segment.flags != SEGMENT_SYN)
        return NULL;
    *peer = (struct peer){.port = 80,
                          .engine_port = local.port,
                          .next = 5000,
                          .expected = segment.sequence + 1,
                          .window = 0xffff,
                          .timestamps = offers,
                          .timestamp = 1000,
                          .echo = segment.timestamp};
    uint8_t all[24] = {2, 4, 0x05, 0xb4, 1, 3, 3, 7, 1, 1, 4, 2, 1, 1, 8, 10};
    script_put32(all + 16, peer->timestamp);
    script_put32(all + 20, peer->echo);
    peer_segment(peer, peer->next, SEGMENT_SYN | SEGMENT_ACK, all, offers ? 24 : 4, NULL, 0);
    peer->next++;
    ops->flush(script.engine);
    script.taken = script.sent_count;
    return ops->tcp_connected(conn) ? conn : NULL;
}

#endif
