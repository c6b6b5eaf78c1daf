/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables of connections for the tests of `lockstep top`. */
#ifndef LOCKSTEP_TESTS_TOP_RIG_H
#define LOCKSTEP_TESTS_TOP_RIG_H

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/connection_table.h"

#define RIG_REALTIME_NS 1800000000000000000 /* of moment 0 */
#define RIG_INSTANCE    42

/* Room for the rows; second: when it is made. The table owns its bytes. */
static inline struct connection_table rig_table(uint32_t lanes, uint32_t connections, double second)
{
    struct table_header header = {
        .magic = TABLE_MAGIC,
        .version = TABLE_VERSION,
        .lane_size = sizeof(struct lane_row),
        .connection_size = sizeof(struct connection_row),
        .lane_count = lanes,
        .connection_count = connections,
        .instance = RIG_INSTANCE,
        .monotonic_ns = (uint64_t)((100 + second) * 1e9),
        .realtime_ns = RIG_REALTIME_NS + (int64_t)(second * 1e9),
    };
    size_t size = sizeof header + lanes * sizeof(struct lane_row) + (size_t)connections * sizeof(struct connection_row);
    char *bytes = calloc(1, size);
    struct connection_table table;

    if (!bytes)
        abort();
    memcpy(bytes, &header, sizeof header);
    if (table_parse(bytes, size, &table) != 0)
        abort();
    table.bytes = bytes;
    return table;
}

static inline struct connection_row *rig_connection(struct connection_table *table, uint32_t i)
{
    return (struct connection_row *)(uintptr_t)table_connection(table, i);
}

static inline struct lane_row *rig_lane(struct connection_table *table, uint32_t i)
{
    return (struct lane_row *)(uintptr_t)table_lane(table, i);
}

/* An established TCP connection of 10.0.0.1:7001, opened before moment 0. */
static inline struct connection_row *rig_fill(struct connection_table *table, uint32_t i, const char *program,
                                              uint64_t key)
{
    struct connection_row *row = rig_connection(table, i);

    *row = (struct connection_row){
        .key = key,
        .flow = (uint32_t)key,
        .pid = 1000 + (uint32_t)(key % 10),
        .interface = "eth0",
        .local = {net_addr_from_v4(htonl(0x0a000001)), 7001},
        .remote = {net_addr_from_v4(htonl(0x0a000000 + 2 + (uint32_t)key % 250)), (uint16_t)(40000 + key % 20000)},
        .protocol = IPPROTO_TCP,
        .kind = CONTROL_FLOW_CONNECT,
        .tcp_state = 1,
        .since_ns = RIG_REALTIME_NS - 5000000000,
    };
    snprintf(row->program, sizeof row->program, "%s", program);
    return row;
}

static inline struct lane_row *rig_fill_lane(struct connection_table *table, uint32_t i, const char *program,
                                             uint32_t pid)
{
    struct lane_row *row = rig_lane(table, i);

    *row = (struct lane_row){
        .lane = i, .pid = pid, .device = "lks0", .since_ns = RIG_REALTIME_NS - 5000000000, .ring_bytes = 4 << 20};
    snprintf(row->program, sizeof row->program, "%s", program);
    return row;
}

#endif
