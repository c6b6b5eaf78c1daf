/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine on lwIP: life, packets in, batches, time, and the table of operations. */
#include "stack/engine_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#define BORROWERS_MAX 64

struct engine *engine_current;

void engine_config_default(struct engine_config *config)
{
    *config = (struct engine_config){
        .receive_default = 131072,
        .receive_max = 6291456,
        .send_default = 16384,
        .send_max = 4194304,
        .udp_receive_default = 212992,
        .delayed_ack_us = 4000,
        .rto_min_us = 20000,
        .rto_initial_lan_us = 25000,
        .rto_initial_us = 1000000,
        .time_wait_ms = 60000,
        .syn_timeout_ms = 127000,
    };
}

static uint64_t read_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

uint64_t engine_now(struct engine *engine)
{
    uint64_t now = engine->environment.now ? engine->environment.now(engine->environment.context) : read_clock();
    if (now > engine->now_ns)
        engine->now_ns = now;
    return engine->now_ns;
}

int engine_send(struct engine *engine, const struct inject_packet *packet)
{
    if (engine->silent)
        return 0;
    int rc = engine->environment.send(engine->environment.context, packet);
    if (rc < 0)
        engine->environment.stats->send_failures++;
    return rc;
}

static int op_create(struct engine **out, const struct engine_config *config,
                     const struct engine_environment *environment)
{
    if (engine_current)
        return -EBUSY;
    struct engine *engine = pool_zalloc(sizeof(*engine));
    if (!engine)
        return -ENOMEM;
    engine->config = *config;
    engine->environment = *environment;
    memcpy(&engine->key, config->hash_key, sizeof(engine->key));
    engine_now(engine);
    wheel_init(&engine->wheel, engine->now_ns);
    options_default(&engine->connect_options);
    list_init(&engine->conns);
    for (unsigned i = 0; i < ID_BUCKETS; i++)
        list_init(&engine->ids[i]);
    list_init(&engine->time_wait);
    list_init(&engine->flush);
    list_init(&engine->borrowers);
    for (unsigned i = 0; i < PORT_BUCKETS; i++) {
        list_init(&engine->listeners[i]);
        list_init(&engine->udp[i]);
    }
    if (table_init(engine) < 0 || reassembly_init(engine) < 0) {
        table_fini(engine);
        reassembly_fini(engine);
        pool_free(engine);
        return -ENOMEM;
    }
    engine_current = engine;
    lwip_border_init(engine);
    *out = engine;
    return 0;
}

static void free_all(struct engine *engine)
{
    for (unsigned i = 0; i < PORT_BUCKETS; i++) {
        list_for_each(link, &engine->listeners[i])
        {
            op_tcp_listener_close(list_entry(link, struct tcp_listener, link));
        }
    }
    list_for_each(link, &engine->conns)
    {
        struct tcp_conn *conn = list_entry(link, struct tcp_conn, all_link);
        conn->handle_open = false;
        if (conn->stage == STAGE_CLOSED)
            conn_free(conn);
        else
            conn_finish(conn, 0);
    }
    udp_fini(engine);
    reassembly_fini(engine);
    table_fini(engine);
}

/* Peers of open connections get an RST. What the socket layer still holds becomes invalid. */
static void op_destroy(struct engine *engine)
{
    if (!engine)
        return;
    engine_now(engine);
    list_for_each(link, &engine->conns)
    {
        struct tcp_conn *conn = list_entry(link, struct tcp_conn, all_link);
        if (conn->stage == STAGE_OPEN && !conn->frozen)
            conn_send_rst(conn);
    }
    engine->silent = true;
    free_all(engine);
    engine_current = NULL;
    pool_free(engine);
}

/* In a forked child: the memory is shared with the parent until somebody writes to it, so nothing is touched. */
static void op_abandon(struct engine *engine)
{
    if (!engine)
        return;
    reassembly_forget(engine);
    table_fini(engine);
    engine_current = NULL;
    pool_forget();
}

static void dispatch(struct engine *engine, const struct packet *packet, const struct lane_record *record)
{
    if (packet->protocol == IPPROTO_TCP)
        tcp_segment_input(engine, packet, record);
    else if (packet->protocol == IPPROTO_UDP)
        udp_input(engine, packet, record);
    else
        icmp_input(engine, packet);
}

static void reassemble(struct engine *engine, const struct packet *fragment, const struct lane_record *record)
{
    struct packet whole;
    void *datagram;
    int rc = reassembly_add(engine, fragment, &whole, &datagram);
    if (rc < 0)
        engine->environment.stats->bad_packets++;
    if (rc <= 0)
        return;
    engine->reassembled = true;
    if (packet_parse_ports(&whole) == 0 && packet_checksum_ok(&whole, false))
        dispatch(engine, &whole, record);
    else
        engine->environment.stats->bad_packets++;
    engine->reassembled = false;
    reassembly_release(engine, datagram);
}

static void op_input(struct engine *engine, const struct lane_record *record, bool full_checksum, unsigned latency)
{
    struct packet packet;
    engine->latency = latency;
    if (record->stamp_ns > engine->now_ns)
        engine->now_ns = record->stamp_ns;
    if (packet_parse(record->data, record->length, &packet) < 0) {
        engine->environment.stats->bad_packets++;
        return;
    }
    if (packet.fragment) {
        if (packet.protocol == IPPROTO_UDP || packet.protocol == IPPROTO_TCP)
            reassemble(engine, &packet, record);
        return;
    }
    if (!(record->flags & LANE_RECORD_MERGED) && !packet_checksum_ok(&packet, !full_checksum)) {
        engine->environment.stats->bad_packets++;
        return;
    }
    dispatch(engine, &packet, record);
}

static void op_settle(struct engine *engine)
{
    struct list *link;
    while ((link = list_pop_front(&engine->borrowers)) != NULL) {
        struct tcp_conn *conn = list_entry(link, struct tcp_conn, borrow_link);
        if (byte_queue_settle(&conn->rx))
            continue;
        byte_queue_free(&conn->rx);
        if (conn->pcb)
            conn_reset(conn, ENOMEM);
    }
}

static const void *op_oldest_held(struct engine *engine)
{
    const struct byte_chunk *oldest = NULL;
    int looked_at = 0;
    list_for_each(link, &engine->borrowers)
    {
        const struct byte_chunk *chunk = byte_queue_borrowed(&list_entry(link, struct tcp_conn, borrow_link)->rx);
        if (!chunk) {
            list_remove(link);
            continue;
        }
        if (!oldest || (int32_t)(chunk->order - oldest->order) < 0)
            oldest = chunk;
        if (++looked_at == BORROWERS_MAX) {
            op_settle(engine); /* too many to keep in view */
            return NULL;
        }
    }
    return oldest ? oldest->bytes + oldest->begin : NULL;
}

static void op_flush(struct engine *engine)
{
    struct list *link;
    if (list_empty(&engine->flush))
        return;
    engine_now(engine);
    while ((link = list_pop_front(&engine->flush)) != NULL)
        conn_output(list_entry(link, struct tcp_conn, flush_link));
}

static uint64_t op_timers(struct engine *engine, uint64_t now_ns)
{
    struct wheel_timer *timer;
    if (now_ns > engine->now_ns)
        engine->now_ns = now_ns;
    while ((timer = wheel_expire(&engine->wheel, engine->now_ns)) != NULL)
        conn_timer(list_entry(timer, struct tcp_conn, timer));
    return wheel_next(&engine->wheel);
}

const struct engine_ops engine_lwip = {
    .name = "lwip 2.1.3",
    .create = op_create,
    .destroy = op_destroy,
    .abandon = op_abandon,
    .input = op_input,
    .oldest_held = op_oldest_held,
    .settle = op_settle,
    .flush = op_flush,
    .timers = op_timers,
    .tcp_connect_option = op_tcp_connect_option,
    .tcp_connect = op_tcp_connect,
    .tcp_listen = op_tcp_listen,
    .tcp_listener_backlog = op_tcp_listener_backlog,
    .tcp_listener_option = op_tcp_listener_option,
    .tcp_listener_ready = op_tcp_listener_ready,
    .tcp_accept = op_tcp_accept,
    .tcp_listener_close = op_tcp_listener_close,
    .tcp_send = op_tcp_send,
    .tcp_recv = op_tcp_recv,
    .tcp_ready = op_tcp_ready,
    .tcp_readable_bytes = op_tcp_readable_bytes,
    .tcp_unsent_bytes = op_tcp_unsent_bytes,
    .tcp_notsent_bytes = op_tcp_notsent_bytes,
    .tcp_shutdown = op_tcp_shutdown,
    .tcp_close = op_tcp_close,
    .tcp_option = op_tcp_option,
    .tcp_error = op_tcp_error,
    .tcp_connected = op_tcp_connected,
    .tcp_id = op_tcp_id,
    .tcp_addresses = op_tcp_addresses,
    .tcp_info = op_tcp_info,
    .tcp_drained = op_tcp_drained,
    .tcp_export = op_tcp_export,
    .tcp_migrated = op_tcp_migrated,
    .tcp_each = op_tcp_each,
    .describe = op_describe,
    .tcp_describe = op_tcp_describe,
    .tcp_listener_describe = op_tcp_listener_describe,
    .udp_describe = op_udp_describe,
    .tcp_walk = op_tcp_walk,
    .udp_open = op_udp_open,
    .udp_close = op_udp_close,
    .udp_slot = op_udp_slot,
    .udp_connect = op_udp_connect,
    .udp_join = op_udp_join,
    .udp_leave = op_udp_leave,
    .udp_own_groups_only = op_udp_own_groups_only,
    .udp_send = op_udp_send,
    .udp_recv = op_udp_recv,
    .udp_ready = op_udp_ready,
    .udp_next_bytes = op_udp_next_bytes,
    .udp_error = op_udp_error,
    .udp_receive_buffer = op_udp_receive_buffer,
};
