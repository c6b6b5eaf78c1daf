/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/top_remote.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/histogram.h"
#include "monitor/json_report.h"

#define ROWS_MAX 100000
#define SAME_NS  400000000u

static uint32_t number32(struct json_object *object, const char *key)
{
    uint64_t number = report_number(object, key);

    return number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
}

/* What is no endpoint ("*") is none. */
static void fill_endpoint(struct net_endpoint *out, struct json_object *object, const char *key)
{
    if (net_endpoint_parse(report_text(object, key), out) < 0)
        *out = (struct net_endpoint){0};
}

/* Finds the state by its name. */
static void fill_state(struct connection_row *row, const char *name)
{
    row->kind = strcmp(name, "connected") == 0 ? CONTROL_FLOW_CONNECT : CONTROL_FLOW_BOUND;
    for (row->tcp_state = 11; row->tcp_state > 0; row->tcp_state--) {
        if (row->protocol == IPPROTO_UDP || strcmp(connection_state_name(row), name) == 0)
            return;
    }
}

static void fill_latency(struct connection_row *row, struct json_object *object)
{
    row->latency_count = report_number(object, "messages");
    row->latency_p50_ns = number32(object, "p50_ns");
    row->latency_p90_ns = number32(object, "p90_ns");
    row->latency_p99_ns = number32(object, "p99_ns");
    row->latency_p999_ns = number32(object, "p999_ns");
    row->latency_max_ns = number32(object, "max_ns");
}

/* The report's buckets are wider than a table's: each is counted where it begins. */
static void fill_histogram(uint32_t *buckets, struct json_object *object, struct json_object *edges)
{
    struct json_object *list = report_member(object, "histogram");
    size_t count = report_count(object, "histogram"), edge_count = json_object_array_length(edges);
    uint64_t first = count ? json_object_get_uint64(json_object_array_get_idx(list, 0)) : 0;

    for (size_t i = 1; i < count && first < edge_count && first + i - 1 <= edge_count; i++) {
        size_t bucket = first + i - 1;
        uint64_t low_ns = bucket ? json_object_get_uint64(json_object_array_get_idx(edges, bucket - 1)) : 0;
        uint64_t counted = json_object_get_uint64(json_object_array_get_idx(list, i));

        buckets[histogram_index(low_ns) >> HISTOGRAM_COARSE_SHIFT] += (uint32_t)counted;
    }
}

static void fill_connection(struct connection_row *row, struct json_object *object)
{
    row->key = report_number(object, "key");
    row->pid = number32(object, "pid");
    row->uid = number32(object, "uid");
    report_copy(row->program, sizeof row->program, object, "program");
    report_copy(row->interface, sizeof row->interface, object, "interface");
    row->protocol = strcmp(report_text(object, "protocol"), "udp") == 0 ? IPPROTO_UDP : IPPROTO_TCP;
    fill_endpoint(&row->local, object, "local");
    fill_endpoint(&row->remote, object, "remote");
    fill_state(row, report_text(object, "state"));
    row->since_ns = (int64_t)(report_number(object, "since_ms") % (INT64_MAX / 1000000)) * 1000000;
    row->rx_bytes = report_number(object, "rx_bytes");
    row->tx_bytes = report_number(object, "tx_bytes");
    row->rx_packets = report_number(object, "rx_packets");
    row->tx_packets = report_number(object, "tx_packets");
    row->ring_drops = report_number(object, "ring_drops");
    row->drops = number32(object, "buffer_drops");
    row->retransmissions = number32(object, "retransmissions");
    row->srtt_us = number32(object, "rtt_us");
    row->cwnd = number32(object, "congestion_window");
    row->snd_wnd = number32(object, "send_window");
    fill_latency(row, object);
}

static void fill_lane(struct lane_row *row, struct json_object *object)
{
    static const char *const guard[] = {"malformed", "source", "fragment", "nexthop"};

    row->lane = number32(object, "lane");
    row->pid = number32(object, "pid");
    row->uid = number32(object, "uid");
    row->injector =
        strcmp(report_text(object, "injector"), "direct") == 0 ? CONTROL_INJECTOR_DIRECT : CONTROL_INJECTOR_GUARDED;
    report_copy(row->program, sizeof row->program, object, "program");
    report_copy(row->device, sizeof row->device, object, "device");
    row->since_ns = (int64_t)(report_number(object, "since") % (INT64_MAX / 1000000000)) * 1000000000;
    row->ring_bytes = report_number(object, "ring_bytes");
    row->ring_high_water = report_number(object, "ring_high_water");
    row->rx_packets = report_number(object, "rx_packets");
    row->rx_bytes = report_number(object, "rx_bytes");
    row->tx_packets = report_number(object, "tx_packets");
    row->tx_bytes = report_number(object, "tx_bytes");
    row->overruns = report_number(object, "overruns");
    row->bad_packets = report_number(object, "bad_packets");
    row->send_failures = report_number(object, "send_failures");
    row->sleeps = report_number(object, "sleeps");
    row->wakeups = report_number(object, "wakeups");
    row->spin_ns = report_number(object, "spin_ns");
    row->flows = number32(object, "flows");
    for (size_t i = 0; i < sizeof guard / sizeof *guard; i++)
        row->guard_drops += report_number(report_member(object, "guard_drops"), guard[i]);
}

/* How many elements of an array are taken. */
static uint32_t row_count(struct json_object *object, const char *key)
{
    size_t count = report_count(object, key);

    return count < ROWS_MAX ? (uint32_t)count : ROWS_MAX;
}

/* A lockstep-web asks for both at once. */
static bool of_one_moment(struct json_object *connections, struct json_object *status)
{
    uint64_t first = report_number(connections, "monotonic_ns"), second = report_number(status, "monotonic_ns");

    return !status || (first > second ? first - second : second - first) < SAME_NS;
}

int top_remote_table(struct json_object *connections, struct json_object *status, struct connection_table *out)
{
    struct json_object *edges =
        report_count(connections, "bucket_edges_ns") ? report_member(connections, "bucket_edges_ns") : NULL;
    uint32_t histogram_bytes = edges ? LANE_STATS_SLOT_BUCKETS * sizeof(uint32_t) : 0;
    const struct table_header header = {.magic = TABLE_MAGIC,
                                        .version = TABLE_VERSION,
                                        .lane_size = sizeof(struct lane_row),
                                        .histogram_buckets = edges ? LANE_STATS_SLOT_BUCKETS : 0,
                                        .connection_size = sizeof(struct connection_row) + histogram_bytes,
                                        .lane_count = row_count(status, "lanes"),
                                        .connection_count = row_count(connections, "connections"),
                                        .instance = number32(status, "pid"),
                                        .monotonic_ns = report_number(connections, "monotonic_ns"),
                                        .realtime_ns = (int64_t)report_number(connections, "time_ns")};
    size_t lane_bytes = header.lane_count * sizeof(struct lane_row);
    size_t size = sizeof header + lane_bytes + header.connection_count * (size_t)header.connection_size;
    char *bytes = calloc(1, size);
    struct lane_row *lanes;
    char *rows;
    int err;

    if (!of_one_moment(connections, status) || !bytes) {
        free(bytes);
        return bytes ? -EAGAIN : -ENOMEM;
    }
    memcpy(bytes, &header, sizeof header);
    lanes = (struct lane_row *)(void *)(bytes + sizeof header);
    rows = bytes + sizeof header + lane_bytes;
    for (uint32_t i = 0; i < header.lane_count; i++)
        fill_lane(&lanes[i], report_element(status, "lanes", i));
    for (uint32_t i = 0; i < header.connection_count; i++) {
        struct json_object *object = report_element(connections, "connections", i);
        struct connection_row *row = (void *)(rows + (size_t)i * header.connection_size);

        fill_connection(row, object);
        if (edges)
            fill_histogram((uint32_t *)(row + 1), object, edges);
    }
    err = table_parse(bytes, size, out);
    if (err < 0)
        free(bytes);
    else
        out->bytes = bytes;
    return err;
}
