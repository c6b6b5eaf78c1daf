/* SPDX-License-Identifier: BSD-2-Clause */
/* The lanes and connections of a moment in binary, for tools that look often (CONTROL_REPORT_TABLE, and with a
 * histogram behind each connection CONTROL_REPORT_HISTOGRAMS): the JSON report of 10,000 connections takes too long to
 * make and to read. A memfd of host byte order: table_header, then the lanes, then the connections, each row of the
 * size that the header tells; a newer service may append fields to a row. */
#ifndef LOCKSTEP_SERVICE_CONNECTION_TABLE_H
#define LOCKSTEP_SERVICE_CONNECTION_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/net_addr.h"
#include "service/control.h"
#include "service/lane_stats.h"

#define TABLE_MAGIC   0x4c535442u /* "LSTB" */
#define TABLE_VERSION 1

struct table_header {
    uint32_t magic;
    uint16_t version;
    uint16_t histogram_buckets;          /* uint32_t counters behind each connection_row (part of its size): 0, or
                                            LANE_STATS_SLOT_BUCKETS */
    uint32_t lane_size, connection_size; /* of one row, a multiple of 8 */
    uint32_t lane_count, connection_count;
    uint64_t instance;     /* of the service: CLOCK_REALTIME of its start, ns. Keys are unique within one */
    uint64_t monotonic_ns; /* when the table was made */
    int64_t realtime_ns;
};

struct lane_row {
    uint32_t lane, pid, uid;
    uint32_t injector; /* enum control_injector */
    char program[CONTROL_NAME_MAX];
    char device[16];
    int64_t since_ns; /* CLOCK_REALTIME */
    uint64_t ring_bytes, ring_high_water;
    uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
    uint64_t overruns, bad_packets, send_failures, guard_drops;
    uint64_t sleeps, wakeups;
    uint64_t spin_ns; /* processor time that waiting threads have spun away; a program of an older library: 0 */
    uint32_t flows;
    uint32_t pad;
};

/* Latencies are from the kernel's stamp to the program taking the packet from the ring; UINT32_MAX: that or more. */
struct connection_row {
    uint64_t key; /* never used again by this instance of the service */
    uint32_t lane, flow;
    uint32_t pid, uid;
    char program[CONTROL_NAME_MAX];
    char interface[16]; /* "*": all */
    struct net_endpoint local, remote;
    uint8_t protocol;  /* IPPROTO_TCP, IPPROTO_UDP */
    uint8_t kind;      /* enum control_flow_kind */
    uint8_t accepted;  /* of a listener */
    uint8_t tcp_state; /* as in lane_stats_slot */
    uint32_t slot;
    int64_t since_ns; /* CLOCK_REALTIME when it was opened, also if an earlier instance saw that */
    uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets;
    uint64_t ring_drops;             /* the ring was full */
    uint32_t drops, retransmissions; /* receive buffer full; TCP */
    uint32_t srtt_us, cwnd, snd_wnd;
    uint32_t latency_p50_ns, latency_p90_ns, latency_p99_ns, latency_p999_ns, latency_max_ns;
    uint64_t latency_count;
};

/* A table read from a memfd: owns the bytes. */
struct connection_table {
    struct table_header header;
    const char *lanes, *connections; /* rows */
    void *bytes;
};

/* Checks a whole table (pure): 0, LOCKSTEP_E_BAD_FORMAT, LOCKSTEP_E_BAD_VERSION. *out points into bytes, which the
 * caller keeps. */
int table_parse(const void *bytes, size_t length, struct connection_table *out);
/* Reads a report's memfd (the caller closes it); -EIO: it has been emptied meanwhile. Free with table_free. */
int table_read(int fd, struct connection_table *out);
void table_free(struct connection_table *table);

static inline const struct lane_row *table_lane(const struct connection_table *table, uint32_t i)
{
    return (const struct lane_row *)(table->lanes + (size_t)i * table->header.lane_size);
}
static inline const struct connection_row *table_connection(const struct connection_table *table, uint32_t i)
{
    return (const struct connection_row *)(table->connections + (size_t)i * table->header.connection_size);
}
/* Its LANE_STATS_SLOT_BUCKETS counters, or NULL if the table has none. */
const uint32_t *table_histogram(const struct connection_table *table, uint32_t i);

/* "established", "listen", "connected" ...: valid for ever. */
const char *connection_state_name(const struct connection_row *row);

/* A connection's histogram: bucket i counts what histogram_index() of base/histogram.h puts into its buckets 4i to
 * 4i + 3 (four to a power of two). Quantile as histogram_quantile(); ns. */
uint64_t connection_quantile(const uint32_t *buckets, uint32_t per_million);

#endif
