/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/rows.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/histogram.h"
#include "platform/platform.h"
#include "service/lanes.h"

#define CHUNK_BYTES     (64u << 10)
#define HISTOGRAM_BYTES (LANE_STATS_SLOT_BUCKETS * sizeof(uint32_t))

/* Reserved words of rows are zero, too: they go to other users' programs. */

static void fill_guard(const struct netd *netd, const struct lane *lane, struct lane_row *row)
{
    struct guard_counters guard = {0};

    if (lane->injector == CONTROL_INJECTOR_GUARDED)
        divert_guard_counters(netd->divert, lane->owner.lane, &guard);
    for (int i = 0; i < GUARD_DROP_REASONS; i++)
        row->guard_drops += guard.drops[i];
}

static void fill_lane_stats(const struct lane *lane, struct lane_row *row)
{
    const struct lane_stats *stats = lane->stats;

    if (!stats)
        return;
    row->tx_packets = stats->tx_packets;
    row->tx_bytes = stats->tx_bytes;
    row->ring_high_water = stats->ring_high_water;
    row->bad_packets = stats->bad_packets;
    row->send_failures = stats->send_failures;
    row->sleeps = stats->sleeps;
    if (lanes_stats_whole(lane))
        row->spin_ns = stats->spin_ns;
}

void rows_lane(const struct netd *netd, const struct lane *lane, struct lane_row *row)
{
    struct lane_control counters = {0};

    memset(row, 0, sizeof(*row));
    row->lane = lane->owner.lane;
    row->pid = (uint32_t)lane->client->process.pid;
    row->uid = lane->client->uid;
    row->injector = lane->injector;
    memcpy(row->program, lane->client->program, sizeof(row->program));
    snprintf(row->device, sizeof(row->device), "%s", lane->device);
    row->since_ns = lane->since_ns;
    row->ring_bytes = lane->ring_bytes;
    row->flows = lane->owner.count;
    divert_lane_counters(netd->divert, lane->owner.lane, &counters);
    row->rx_packets = counters.packets;
    row->rx_bytes = counters.bytes;
    row->overruns = counters.overruns;
    row->wakeups = counters.wakeups;
    fill_guard(netd, lane, row);
    fill_lane_stats(lane, row);
}

static const char *interface_of(const struct netd *netd, const struct flow *flow)
{
    unsigned ifindex = flow->ifindex ? flow->ifindex : network_interface_of(netd->network, &flow->local.addr);
    const struct link *link = links_find(network_links(netd->network), ifindex);

    return link ? link->name : "*";
}

static uint32_t saturated(uint64_t ns)
{
    return ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

static void fill_latencies(const uint32_t *histogram, struct connection_row *row)
{
    static const uint32_t per_million[] = {500000, 900000, 990000, 999000, 1000000};
    uint64_t ns[5];

    row->latency_count = histogram_coarse_quantiles(histogram, per_million, 5, ns);
    row->latency_p50_ns = saturated(ns[0]);
    row->latency_p90_ns = saturated(ns[1]);
    row->latency_p99_ns = saturated(ns[2]);
    row->latency_p999_ns = saturated(ns[3]);
    row->latency_max_ns = saturated(ns[4]);
}

static void fill_slot(const struct lane_stats_slot *slot, struct connection_row *row)
{
    row->tcp_state = slot->tcp_state;
    row->rx_bytes = slot->rx_bytes;
    row->tx_bytes = slot->tx_bytes;
    row->rx_packets = slot->rx_packets;
    row->tx_packets = slot->tx_packets;
    row->drops = slot->drops;
    row->retransmissions = slot->retransmissions;
    row->srtt_us = slot->srtt_us;
    row->cwnd = slot->cwnd;
    row->snd_wnd = slot->snd_wnd;
}

void rows_connection(const struct netd *netd, const struct flow *flow, const struct row_values *values,
                     struct connection_row *row)
{
    const struct client *client = netd->lanes[flow->owner->lane]->client;

    memset(row, 0, sizeof(*row));
    row->key = flow->key;
    row->lane = flow->owner->lane;
    row->flow = flow->id;
    row->pid = (uint32_t)client->process.pid;
    row->uid = client->uid;
    memcpy(row->program, client->program, sizeof(row->program));
    snprintf(row->interface, sizeof(row->interface), "%s", interface_of(netd, flow));
    memcpy(&row->local.addr, &flow->local.addr, sizeof(row->local.addr));
    row->local.port = flow->local.port;
    memcpy(&row->remote.addr, &flow->remote.addr, sizeof(row->remote.addr));
    row->remote.port = flow->remote.port;
    row->protocol = flow->protocol;
    row->kind = (uint8_t)flow->kind;
    row->accepted = flow->accepted;
    row->slot = flow->slot;
    row->since_ns = flow->since_ns;
    row->ring_drops = values->ring_drops;
    fill_slot(&values->slot, row);
    fill_latencies(values->histogram, row);
}

void rows_read_values(const struct netd *netd, const struct flow *flow, bool with_drops, struct row_values *out)
{
    const struct lane *lane = netd->lanes[flow->owner->lane];
    struct divert_flow counters = {0};

    if (!lanes_read_slot(lane, flow->slot, &out->slot))
        memset(&out->slot, 0, sizeof(out->slot));
    lanes_read_histogram(lane, flow->slot, out->histogram);
    if (with_drops)
        flows_counters(netd->flows, flow, &counters);
    out->ring_drops = counters.drops;
}

/* --- the table ---------------------------------------------------------------------------------------------- */

/* Rows on their way into a report. */
struct writer {
    int fd, result;
    size_t used;
    _Alignas(8) char chunk[CHUNK_BYTES];
};

static void write_out(struct writer *writer)
{
    for (size_t done = 0; writer->result == 0 && done < writer->used;) {
        ssize_t written = write(writer->fd, writer->chunk + done, writer->used - done);

        if (written <= 0)
            writer->result = -EIO;
        else
            done += (size_t)written;
    }
    writer->used = 0;
}

/* Room for a row, until the next call. */
static void *next_row(struct writer *writer, size_t size)
{
    char *row;

    if (writer->used + size > CHUNK_BYTES)
        write_out(writer);
    row = writer->chunk + writer->used;
    writer->used += size;
    return row;
}

static void add_header(struct writer *writer, const struct netd *netd, bool histograms)
{
    struct table_header *header = next_row(writer, sizeof(*header));
    uint64_t now_ns = platform_now_ns();

    *header = (struct table_header){
        .magic = TABLE_MAGIC,
        .version = TABLE_VERSION,
        .histogram_buckets = histograms ? LANE_STATS_SLOT_BUCKETS : 0,
        .lane_size = sizeof(struct lane_row),
        .connection_size = sizeof(struct connection_row) + (histograms ? HISTOGRAM_BYTES : 0),
        .lane_count = netd->lane_count,
        .connection_count = flows_count(netd->flows),
        .instance = journal_instance(netd->journal),
        .monotonic_ns = now_ns,
        .realtime_ns = (int64_t)now_ns + platform_realtime_offset_ns(),
    };
}

static void add_connection(struct writer *writer, const struct netd *netd, const struct flow *flow, bool with_drops,
                           bool histograms)
{
    struct connection_row *row = next_row(writer, sizeof(*row) + (histograms ? HISTOGRAM_BYTES : 0));
    struct row_values values;

    rows_read_values(netd, flow, with_drops, &values);
    rows_connection(netd, flow, &values, row);
    if (histograms)
        memcpy(row + 1, values.histogram, HISTOGRAM_BYTES);
}

/* A lane that never overran has dropped nothing of its flows: no system call for each. */
static bool has_overruns(const struct netd *netd, const struct lane *lane)
{
    struct lane_control counters = {0};

    divert_lane_counters(netd->divert, lane->owner.lane, &counters);
    return counters.overruns > 0;
}

int rows_write_table(const struct netd *netd, bool histograms, int fd)
{
    struct writer writer = {.fd = fd};

    add_header(&writer, netd, histograms);
    for (unsigned i = 0; i < DIVERT_MAX_LANES; i++) {
        if (netd->lanes[i])
            rows_lane(netd, netd->lanes[i], next_row(&writer, sizeof(struct lane_row)));
    }
    for (unsigned i = 0; i < DIVERT_MAX_LANES; i++) {
        const struct lane *lane = netd->lanes[i];
        bool with_drops;

        if (!lane)
            continue;
        with_drops = has_overruns(netd, lane);
        list_for_each(link, &lane->owner.flows)
            add_connection(&writer, netd, list_entry(link, struct flow, of_owner), with_drops, histograms);
    }
    write_out(&writer);
    return writer.result;
}
