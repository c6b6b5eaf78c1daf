/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/row_json.h"

#include <netinet/in.h>
#include <string.h>

const char *row_endpoint(const struct net_endpoint *endpoint, char *text)
{
    if (!endpoint->port && net_addr_is_any(&endpoint->addr))
        return strcpy(text, "*");
    return net_endpoint_format(endpoint, text);
}

const char *row_protocol(unsigned protocol)
{
    return protocol == IPPROTO_TCP ? "tcp" : protocol == IPPROTO_UDP ? "udp" : "other";
}

static void write_latency(struct json_stream *json, const struct connection_row *row)
{
    json_put_uint(json, "messages", row->latency_count);
    if (row->latency_count == 0)
        return;
    json_put_uint(json, "p50_ns", row->latency_p50_ns);
    json_put_uint(json, "p90_ns", row->latency_p90_ns);
    json_put_uint(json, "p99_ns", row->latency_p99_ns);
    json_put_uint(json, "p999_ns", row->latency_p999_ns);
    json_put_uint(json, "max_ns", row->latency_max_ns);
}

void row_write(struct json_stream *json, const struct connection_row *row)
{
    static const char *const kinds[] = {"connect", "bound", "multicast"};
    char text[NET_ENDPOINT_TEXT_MAX];

    json_put_uint(json, "key", row->key);
    json_put_text(json, "program", row->program);
    json_put_uint(json, "pid", row->pid);
    json_put_uint(json, "uid", row->uid);
    json_put_text(json, "interface", row->interface);
    json_put_text(json, "protocol", row_protocol(row->protocol));
    json_put_text(json, "kind", row->accepted ? "accepted" : row->kind < 3 ? kinds[row->kind] : "unknown");
    json_put_text(json, "local", row_endpoint(&row->local, text));
    json_put_text(json, "remote", row_endpoint(&row->remote, text));
    json_put_text(json, "state", connection_state_name(row));
    json_put_int(json, "since_ms", row->since_ns / 1000000);
    json_put_uint(json, "rx_bytes", row->rx_bytes);
    json_put_uint(json, "tx_bytes", row->tx_bytes);
    json_put_uint(json, "rx_packets", row->rx_packets);
    json_put_uint(json, "tx_packets", row->tx_packets);
    json_put_uint(json, "drops", row->ring_drops + row->drops);
    json_put_uint(json, "ring_drops", row->ring_drops);
    json_put_uint(json, "buffer_drops", row->drops);
    json_put_uint(json, "retransmissions", row->retransmissions);
    json_put_uint(json, "rtt_us", row->srtt_us);
    json_put_uint(json, "congestion_window", row->cwnd);
    json_put_uint(json, "send_window", row->snd_wnd);
    write_latency(json, row);
}
