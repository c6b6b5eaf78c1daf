/* SPDX-License-Identifier: BSD-2-Clause */
/* Hash tables of connections and of connected UDP sockets, by both endpoints. */
#include "stack/engine_private.h"

#include <errno.h>
#include <string.h>

#define TABLE_FIRST 4096

static uint32_t hash_endpoints(const struct engine *engine, const struct net_endpoint *local,
                               const struct net_endpoint *remote)
{
    uint64_t words[5];
    memcpy(words, local->addr.byte, 16);
    memcpy(words + 2, remote->addr.byte, 16);
    words[4] = (uint64_t)local->port << 16 | remote->port;
    return (uint32_t)hash_bytes(&engine->key, words, sizeof(words));
}

int table_init(struct engine *engine)
{
    engine->table_mask = engine->udp_table_mask = TABLE_FIRST - 1;
    engine->table = pool_pages_alloc(TABLE_FIRST * sizeof(void *));
    engine->udp_table = pool_pages_alloc(TABLE_FIRST * sizeof(void *));
    return engine->table && engine->udp_table ? 0 : -ENOMEM;
}

void table_fini(struct engine *engine)
{
    pool_pages_free(engine->table, ((size_t)engine->table_mask + 1) * sizeof(void *));
    pool_pages_free(engine->udp_table, ((size_t)engine->udp_table_mask + 1) * sizeof(void *));
}

struct tcp_conn *table_find(struct engine *engine, const struct net_endpoint *local, const struct net_endpoint *remote)
{
    uint32_t hash = hash_endpoints(engine, local, remote);
    struct tcp_conn *conn = engine->table[hash & engine->table_mask];
    while (conn && (conn->hash != hash || !net_endpoint_equal(&conn->remote, remote) ||
                    !net_endpoint_equal(&conn->local, local)))
        conn = conn->hash_next;
    return conn;
}

/* Doubles the table; without memory it stays as it is and chains get longer. */
static void grow(struct engine *engine)
{
    uint32_t mask = engine->table_mask * 2 + 1;
    struct tcp_conn **table = pool_pages_alloc(((size_t)mask + 1) * sizeof(void *));
    if (!table)
        return;
    for (uint32_t i = 0; i <= engine->table_mask; i++) {
        for (struct tcp_conn *conn = engine->table[i], *next; conn; conn = next) {
            next = conn->hash_next;
            conn->hash_next = table[conn->hash & mask];
            table[conn->hash & mask] = conn;
        }
    }
    pool_pages_free(engine->table, ((size_t)engine->table_mask + 1) * sizeof(void *));
    engine->table = table;
    engine->table_mask = mask;
}

int table_add(struct tcp_conn *conn)
{
    struct engine *engine = conn->engine;
    if (table_find(engine, &conn->local, &conn->remote))
        return -EADDRNOTAVAIL;
    if (engine->table_count > engine->table_mask)
        grow(engine);
    conn->hash = hash_endpoints(engine, &conn->local, &conn->remote);
    struct tcp_conn **bucket = &engine->table[conn->hash & engine->table_mask];
    conn->hash_next = *bucket;
    *bucket = conn;
    conn->in_table = true;
    engine->table_count++;
    engine->local_ports[port_bucket(conn->local.port)]++;
    return 0;
}

void table_remove(struct tcp_conn *conn)
{
    struct engine *engine = conn->engine;
    if (!conn->in_table)
        return;
    struct tcp_conn **link = &engine->table[conn->hash & engine->table_mask];
    while (*link != conn)
        link = &(*link)->hash_next;
    *link = conn->hash_next;
    conn->in_table = false;
    engine->table_count--;
    engine->local_ports[port_bucket(conn->local.port)]--;
}

uint64_t table_rank(const struct engine *engine, const struct net_endpoint *remote, const void *candidate)
{
    uint64_t words[4];
    memcpy(words, remote->addr.byte, 16);
    words[2] = remote->port;
    words[3] = (uintptr_t)candidate;
    return hash_bytes(&engine->key, words, sizeof(words));
}

bool table_port_used(const struct engine *engine, uint16_t local_port)
{
    return engine->local_ports[port_bucket(local_port)] > 0;
}

struct udp_socket *udp_table_find(struct engine *engine, const struct net_endpoint *local,
                                  const struct net_endpoint *remote)
{
    uint32_t hash = hash_endpoints(engine, local, remote);
    struct udp_socket *socket = engine->udp_table[hash & engine->udp_table_mask];
    while (socket && (socket->hash != hash || !net_endpoint_equal(&socket->remote, remote) ||
                      !net_endpoint_equal(&socket->local, local)))
        socket = socket->hash_next;
    return socket;
}

static void udp_grow(struct engine *engine)
{
    uint32_t mask = engine->udp_table_mask * 2 + 1;
    struct udp_socket **table = pool_pages_alloc(((size_t)mask + 1) * sizeof(void *));
    if (!table)
        return;
    for (uint32_t i = 0; i <= engine->udp_table_mask; i++) {
        for (struct udp_socket *socket = engine->udp_table[i], *next; socket; socket = next) {
            next = socket->hash_next;
            socket->hash_next = table[socket->hash & mask];
            table[socket->hash & mask] = socket;
        }
    }
    pool_pages_free(engine->udp_table, ((size_t)engine->udp_table_mask + 1) * sizeof(void *));
    engine->udp_table = table;
    engine->udp_table_mask = mask;
}

int udp_table_add(struct udp_socket *socket)
{
    struct engine *engine = socket->engine;
    if (engine->udp_table_count > engine->udp_table_mask)
        udp_grow(engine);
    socket->hash = hash_endpoints(engine, &socket->local, &socket->remote);
    struct udp_socket **bucket = &engine->udp_table[socket->hash & engine->udp_table_mask];
    socket->hash_next = *bucket;
    *bucket = socket;
    socket->in_table = true;
    engine->udp_table_count++;
    return 0;
}

void udp_table_remove(struct udp_socket *socket)
{
    struct engine *engine = socket->engine;
    if (!socket->in_table)
        return;
    struct udp_socket **link = &engine->udp_table[socket->hash & engine->udp_table_mask];
    while (*link != socket)
        link = &(*link)->hash_next;
    *link = socket->hash_next;
    socket->in_table = false;
    engine->udp_table_count--;
}
