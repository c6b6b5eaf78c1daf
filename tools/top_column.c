/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/top_column.h"

#include <inttypes.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "tools/top_model.h"
#include "tools/top_node.h"

static void put_text(struct top_value *value, const char *text)
{
    size_t length = strlen(text), most = sizeof value->text - 1;

    value->number = 0;
    length = length < most ? length : most;
    memcpy(value->text, text, length); /* sorting does this often */
    value->text[length] = '\0';
}

/* --- connections -------------------------------------------------------------------------------------------- */

#define CONNECTION(function, expression)                                                                               \
    static void function(const void *row, struct top_value *value)                                                     \
    {                                                                                                                  \
        const struct top_connection *c = row;                                                                          \
                                                                                                                       \
        value->number = (double)(expression);                                                                          \
    }

CONNECTION(connection_pid, c->row->pid)
CONNECTION(connection_rx, c->rx_bytes)
CONNECTION(connection_tx, c->tx_bytes)
CONNECTION(connection_rx_packets, c->rx_packets)
CONNECTION(connection_tx_packets, c->tx_packets)
CONNECTION(connection_rx_total, c->row->rx_bytes)
CONNECTION(connection_tx_total, c->row->tx_bytes)
CONNECTION(connection_p50, c->row->latency_count ? c->row->latency_p50_ns : (double)NAN)
CONNECTION(connection_p90, c->row->latency_count ? c->row->latency_p90_ns : (double)NAN)
CONNECTION(connection_p99, c->row->latency_count ? c->row->latency_p99_ns : (double)NAN)
CONNECTION(connection_p999, c->row->latency_count ? c->row->latency_p999_ns : (double)NAN)
CONNECTION(connection_max, c->row->latency_count ? c->row->latency_max_ns : (double)NAN)
CONNECTION(connection_retransmissions, c->row->protocol == IPPROTO_TCP ? c->row->retransmissions : (double)NAN)
CONNECTION(connection_drops, top_connection_drops(c->row))
CONNECTION(connection_srtt, c->row->srtt_us ? c->row->srtt_us * 1e3 : (double)NAN)
CONNECTION(connection_cwnd, c->row->protocol == IPPROTO_TCP ? c->row->cwnd : (double)NAN)
CONNECTION(connection_spin, c->spin_percent)
CONNECTION(connection_since, c->row->since_ns)
CONNECTION(connection_lane, c->row->lane)

static void connection_program(const void *row, struct top_value *value)
{
    put_text(value, ((const struct top_connection *)row)->row->program);
}

static void connection_protocol(const void *row, struct top_value *value)
{
    put_text(value, ((const struct top_connection *)row)->row->protocol == IPPROTO_TCP ? "tcp" : "udp");
}

static void connection_state(const void *row, struct top_value *value)
{
    put_text(value, connection_state_name(((const struct top_connection *)row)->row));
}

static void connection_interface(const void *row, struct top_value *value)
{
    put_text(value, ((const struct top_connection *)row)->row->interface);
}

static void put_endpoint(const struct net_endpoint *endpoint, struct top_value *value)
{
    value->number = 0;
    if (endpoint->port || !net_addr_is_any(&endpoint->addr))
        net_endpoint_format(endpoint, value->text);
    else
        put_text(value, "*");
}

static void connection_local(const void *row, struct top_value *value)
{
    put_endpoint(&((const struct top_connection *)row)->row->local, value);
}

static void connection_remote(const void *row, struct top_value *value)
{
    put_endpoint(&((const struct top_connection *)row)->row->remote, value);
}

static int compare_endpoints(const struct net_endpoint *a, const struct net_endpoint *b)
{
    int order = memcmp(&a->addr, &b->addr, sizeof a->addr);

    return order ? order : (int)a->port - (int)b->port;
}

static int compare_local(const void *a, const void *b)
{
    return compare_endpoints(&((const struct top_connection *)a)->row->local,
                             &((const struct top_connection *)b)->row->local);
}

static int compare_remote(const void *a, const void *b)
{
    return compare_endpoints(&((const struct top_connection *)a)->row->remote,
                             &((const struct top_connection *)b)->row->remote);
}

static uint64_t connection_key(const void *row)
{
    return ((const struct top_connection *)row)->row->key;
}

static const struct top_column connection_columns[] = {
    {"PROGRAM", "program", "the program's name", TOP_TEXT, 10, 20, 0, connection_program, NULL},
    {"PID", "pid", "its process", TOP_PLAIN, 7, 7, 60, connection_pid, NULL},
    {"PROTO", "protocol", "tcp or udp", TOP_TEXT, 5, 5, 90, connection_protocol, NULL},
    {"LOCAL", "local", "the local address and port", TOP_ENDPOINT, 8, 47, 10, connection_local, compare_local},
    {"REMOTE", "remote", "the remote one", TOP_ENDPOINT, 15, 47, 0, connection_remote, compare_remote},
    {"STATE", "state", "of TCP; a UDP socket is open or connected", TOP_TEXT, 6, 11, 5, connection_state, NULL},
    {"IFACE", "interface", "the interface", TOP_TEXT, 5, 15, 100, connection_interface, NULL},
    {"RXb/s", "rx_bytes_per_s", "received", TOP_BYTES_PER_S, 5, 5, 0, connection_rx, NULL},
    {"TXb/s", "tx_bytes_per_s", "sent", TOP_BYTES_PER_S, 5, 5, 0, connection_tx, NULL},
    {"RXp/s", "rx_packets_per_s", "packets received", TOP_PER_S, 5, 5, 70, connection_rx_packets, NULL},
    {"TXp/s", "tx_packets_per_s", "packets sent", TOP_PER_S, 5, 5, 70, connection_tx_packets, NULL},
    {"P50", "latency_p50_ns", "latency, from the kernel's stamp to the program: median", TOP_NS, 6, 6, 4,
     connection_p50, NULL},
    {"P90", "latency_p90_ns", "90 %", TOP_NS, 6, 6, 80, connection_p90, NULL},
    {"P99", "latency_p99_ns", "99 %", TOP_NS, 6, 6, 2, connection_p99, NULL},
    {"P99.9", "latency_p999_ns", "99.9 %", TOP_NS, 6, 6, 80, connection_p999, NULL},
    {"MAX", "latency_max_ns", "the worst", TOP_NS, 6, 6, 20, connection_max, NULL},
    {"RETR", "retransmissions", "TCP segments sent again", TOP_COUNT, 4, 5, 6, connection_retransmissions, NULL},
    {"DROP", "drops", "packets lost because a buffer was full", TOP_COUNT, 4, 5, 6, connection_drops, NULL},
    {"SPIN%", "program_spin_percent", "of a core, that its program spends waiting without sleeping", TOP_PERCENT, 5, 5,
     35, connection_spin, NULL},
    {"SRTT", "srtt_ns", "TCP's smoothed round-trip time", TOP_NS, 6, 6, 40, connection_srtt, NULL},
    {"CWND", "cwnd_bytes", "TCP's congestion window", TOP_BYTES, 5, 5, 75, connection_cwnd, NULL},
    {"RX", "rx_bytes", "received in all", TOP_BYTES, 5, 5, 85, connection_rx_total, NULL},
    {"TX", "tx_bytes", "sent in all", TOP_BYTES, 5, 5, 85, connection_tx_total, NULL},
    {"LANE", "lane", "the program's lane", TOP_PLAIN, 4, 4, 110, connection_lane, NULL},
    {"AGE", "since_ns", "since it was opened", TOP_SINCE, 5, 6, 30, connection_since, NULL},
};

/* --- programs ----------------------------------------------------------------------------------------------- */

#define PROGRAM(function, expression)                                                                                  \
    static void function(const void *row, struct top_value *value)                                                     \
    {                                                                                                                  \
        const struct top_program *p = row;                                                                             \
                                                                                                                       \
        value->number = (double)(expression);                                                                          \
    }

PROGRAM(program_pid, p->row->pid)
PROGRAM(program_uid, p->row->uid)
PROGRAM(program_lane, p->row->lane)
PROGRAM(program_connections, p->row->flows)
PROGRAM(program_rx, p->rx_bytes)
PROGRAM(program_tx, p->tx_bytes)
PROGRAM(program_rx_packets, p->rx_packets)
PROGRAM(program_tx_packets, p->tx_packets)
PROGRAM(program_spin, p->spin_percent)
PROGRAM(program_ring,
        p->row->ring_bytes ? 100.0 * (double)p->row->ring_high_water / (double)p->row->ring_bytes : (double)NAN)
PROGRAM(program_ring_bytes, p->row->ring_bytes)
PROGRAM(program_overruns, p->row->overruns)
PROGRAM(program_wakeups, p->wakeups)
PROGRAM(program_sleeps, p->sleeps)
PROGRAM(program_bad, p->row->bad_packets)
PROGRAM(program_guard, p->row->guard_drops)
PROGRAM(program_failures, p->row->send_failures)
PROGRAM(program_since, p->row->since_ns)

static void program_name(const void *row, struct top_value *value)
{
    put_text(value, ((const struct top_program *)row)->row->program);
}

static void program_injector(const void *row, struct top_value *value)
{
    put_text(value, ((const struct top_program *)row)->row->injector == CONTROL_INJECTOR_DIRECT ? "direct" : "guarded");
}

static void program_device(const void *row, struct top_value *value)
{
    put_text(value, ((const struct top_program *)row)->row->device);
}

static uint64_t program_key(const void *row)
{
    const struct top_program *program = row;

    return (uint64_t)program->row->pid << 32 | program->row->lane;
}

static const struct top_column program_columns[] = {
    {"PROGRAM", "program", "the program's name", TOP_TEXT, 8, 24, 0, program_name, NULL},
    {"PID", "pid", "its process", TOP_PLAIN, 7, 7, 5, program_pid, NULL},
    {"UID", "uid", "its user", TOP_PLAIN, 5, 10, 60, program_uid, NULL},
    {"CONNS", "connections", "accelerated sockets", TOP_COUNT, 5, 5, 1, program_connections, NULL},
    {"RXb/s", "rx_bytes_per_s", "received from the ring", TOP_BYTES_PER_S, 5, 5, 0, program_rx, NULL},
    {"TXb/s", "tx_bytes_per_s", "sent", TOP_BYTES_PER_S, 5, 5, 0, program_tx, NULL},
    {"RXp/s", "rx_packets_per_s", "packets received", TOP_PER_S, 5, 5, 40, program_rx_packets, NULL},
    {"TXp/s", "tx_packets_per_s", "packets sent", TOP_PER_S, 5, 5, 40, program_tx_packets, NULL},
    {"SPIN%", "spin_percent", "of a core, spent waiting without sleeping", TOP_PERCENT, 5, 5, 0, program_spin, NULL},
    {"WAKE/s", "wakeups_per_s", "times the divert has woken it", TOP_PER_S, 6, 6, 2, program_wakeups, NULL},
    {"SLEEP/s", "sleeps_per_s", "times it went to sleep", TOP_PER_S, 7, 7, 50, program_sleeps, NULL},
    {"RING%", "ring_high_water_percent", "highest fill of its ring", TOP_PERCENT, 5, 5, 1, program_ring, NULL},
    {"RING", "ring_bytes", "size of its ring", TOP_BYTES, 5, 5, 70, program_ring_bytes, NULL},
    {"OVERRUN", "overruns", "packets lost because its ring was full", TOP_COUNT, 7, 7, 0, program_overruns, NULL},
    {"BAD", "bad_packets", "received with a wrong checksum, or malformed", TOP_COUNT, 4, 5, 10, program_bad, NULL},
    {"GUARD", "guard_drops", "sent from an address that it does not hold", TOP_COUNT, 5, 5, 10, program_guard, NULL},
    {"UNSENT", "send_failures", "packets that could not be sent", TOP_COUNT, 6, 6, 20, program_failures, NULL},
    {"INJECT", "injector", "guarded or direct", TOP_TEXT, 7, 7, 65, program_injector, NULL},
    {"DEVICE", "device", "the injector's device", TOP_TEXT, 6, 15, 80, program_device, NULL},
    {"LANE", "lane", "its lane", TOP_PLAIN, 4, 4, 75, program_lane, NULL},
    {"AGE", "since_ns", "since it was opened", TOP_SINCE, 5, 6, 30, program_since, NULL},
};

/* --- nodes -------------------------------------------------------------------------------------------------- */

#define NODE_TEXT(function, member)                                                                                    \
    static void function(const void *row, struct top_value *value)                                                     \
    {                                                                                                                  \
        put_text(value, ((const struct top_node *)row)->member);                                                       \
    }
#define NODE_NUMBER(function, member)                                                                                  \
    static void function(const void *row, struct top_value *value)                                                     \
    {                                                                                                                  \
        value->number = ((const struct top_node *)row)->member;                                                        \
    }

NODE_TEXT(node_name, name)
NODE_TEXT(node_clock, clock)
NODE_NUMBER(node_offset, offset_ns)
NODE_NUMBER(node_bound, bound_ns)
NODE_NUMBER(node_rate, rate_ppm)
NODE_TEXT(node_source, source)
NODE_TEXT(node_interfaces, interfaces)
NODE_NUMBER(node_programs, programs)
NODE_NUMBER(node_sockets, sockets)
NODE_NUMBER(node_kernel, kernel_sockets)
NODE_NUMBER(node_diverted, diverted_s)
NODE_NUMBER(node_lost, lost)
NODE_NUMBER(node_uptime, uptime_s)
NODE_TEXT(node_version, version)
NODE_TEXT(node_problem, problem)

static uint64_t node_key(const void *row)
{
    return ((const struct top_node *)row)->key;
}

static const char *node_unknown(const void *row)
{
    const struct top_node *node = row;

    return node->problem[0] && isnan(node->programs) && !node->clock[0] ? node->problem : NULL;
}

static const struct top_column node_columns[] = {
    {"NODE", "node", "the node's name", TOP_TEXT, 8, 24, 0, node_name, NULL},
    {"CLOCK", "clock", "synchronised, holdover, disrupted or unsynchronised", TOP_TEXT, 7, 14, 0, node_clock, NULL},
    {"OFFSET", "clock_offset_ns", "what its source says it is off by", TOP_SIGNED_NS, 7, 7, 1, node_offset, NULL},
    {"BOUND", "clock_bound_ns", "largest error of its time", TOP_NS, 6, 6, 1, node_bound, NULL},
    {"PPM", "clock_rate_ppm", "rate of its counter against nominal", TOP_PPM, 8, 8, 20, node_rate, NULL},
    {"SOURCE", "clock_source", "the server that its clock follows", TOP_TEXT, 6, 20, 3, node_source, NULL},
    {"PATH", "interfaces", "its interfaces, and how the divert is attached", TOP_TEXT, 12, 40, 1, node_interfaces,
     NULL},
    {"PROG", "programs", "accelerated programs", TOP_COUNT, 4, 5, 2, node_programs, NULL},
    {"SOCKS", "sockets", "accelerated sockets", TOP_COUNT, 5, 5, 2, node_sockets, NULL},
    {"KERNEL", "kernel_sockets", "sockets that have stayed with the kernel", TOP_COUNT, 6, 6, 30, node_kernel, NULL},
    {"PKT/s", "diverted_per_s", "packets diverted", TOP_PER_S, 5, 5, 10, node_diverted, NULL},
    {"LOST", "lost", "packets lost because a ring was full", TOP_COUNT, 4, 5, 4, node_lost, NULL},
    {"UP", "uptime_s", "since its service started", TOP_SECONDS, 5, 6, 15, node_uptime, NULL},
    {"VERSION", "version", "of its service", TOP_TEXT, 7, 16, 40, node_version, NULL},
    {"PROBLEM", "problem", "why it cannot be asked", TOP_TEXT, 7, 120, 5, node_problem, NULL},
};

#define COLUMNS(array) .columns = array, .column_count = sizeof array / sizeof *array

const struct top_view top_views[TOP_VIEWS] = {
    [TOP_NODES] = {.title = "nodes",
                   .row = "node",
                   COLUMNS(node_columns),
                   .row_size = sizeof(struct top_node),
                   .key = node_key,
                   .unknown = node_unknown},
    [TOP_CONNECTIONS] = {.title = "connections",
                         .row = "connection",
                         COLUMNS(connection_columns),
                         .row_size = sizeof(struct top_connection),
                         .sort = 7,
                         .descending = true,
                         .key = connection_key},
    [TOP_PROGRAMS] = {.title = "programs",
                      .row = "program",
                      COLUMNS(program_columns),
                      .row_size = sizeof(struct top_program),
                      .sort = 8,
                      .descending = true,
                      .key = program_key},
};

/* --- cells -------------------------------------------------------------------------------------------------- */

static const char *format_duration(double seconds, char *text)
{
    uint64_t s = seconds > 0 ? (uint64_t)seconds : 0;

    if (s < 60)
        snprintf(text, TOP_TEXT_MAX, "%" PRIu64 "s", s);
    else if (s < 3600)
        snprintf(text, TOP_TEXT_MAX, "%" PRIu64 "m%02" PRIu64, s / 60, s % 60);
    else if (s < 86400)
        snprintf(text, TOP_TEXT_MAX, "%" PRIu64 "h%02" PRIu64, s / 3600, s / 60 % 60);
    else
        snprintf(text, TOP_TEXT_MAX, "%" PRIu64 "d", s / 86400);
    return text;
}

static const char *format_number(enum top_unit unit, double number, int64_t realtime_ns, char *text)
{
    char size[UNITS_TEXT_MAX];

    switch (unit) {
    case TOP_PLAIN:
        snprintf(text, TOP_TEXT_MAX, "%.0f", number);
        return text;
    case TOP_BYTES_PER_S:
        return units_format_short(number * 8, text);
    case TOP_NS:
        return units_format_short_ns(number, text);
    case TOP_SIGNED_NS:
        snprintf(text, TOP_TEXT_MAX, "%c%s", number < 0 ? '-' : '+', units_format_short_ns(fabs(number), size));
        return text;
    case TOP_PPM:
        snprintf(text, TOP_TEXT_MAX, "%+.3f", number);
        return text;
    case TOP_PERCENT:
        snprintf(text, TOP_TEXT_MAX, "%.*f", number < 99.95 ? 1 : 0, number);
        return text;
    case TOP_SECONDS:
        return format_duration(number, text);
    case TOP_SINCE:
        return format_duration(((double)realtime_ns - number) / 1e9, text);
    default:
        return units_format_short(number, text);
    }
}

const char *top_format(const struct top_column *column, const void *row, int64_t realtime_ns, char *text)
{
    struct top_value value;

    column->get(row, &value);
    if (top_is_text(column))
        return strcpy(text, value.text);
    return isfinite(value.number) ? format_number(column->unit, value.number, realtime_ns, text) : strcpy(text, "-");
}

static int compare_numbers(double a, double b, bool descending)
{
    if (isnan(a) || isnan(b))
        return isnan(a) - isnan(b);
    if (a == b)
        return 0;
    return (a < b) == descending ? 1 : -1;
}

int top_compare(const struct top_column *column, bool descending, const void *a, const void *b)
{
    struct top_value first, second;
    int order;

    if (column->compare) {
        order = column->compare(a, b);
    } else {
        column->get(a, &first);
        column->get(b, &second);
        if (!top_is_text(column))
            return compare_numbers(first.number, second.number, descending);
        order = strcasecmp(first.text, second.text);
    }
    order = (order > 0) - (order < 0);
    return descending ? -order : order;
}

/* The filter's words, at most as many as there are bits. */
struct words {
    char text[256];
    const char *words[32];
    uint32_t all; /* a bit for each */
};

static void split(const char *filter, struct words *out)
{
    char *rest = out->text, *word;
    unsigned count = 0;

    snprintf(out->text, sizeof out->text, "%s", filter);
    while (count < 32 && (word = strtok_r(rest, " ", &rest)))
        out->words[count++] = word;
    out->all = count == 32 ? UINT32_MAX : (1u << count) - 1;
}

bool top_matches(const struct top_view *view, const void *row, const char *filter)
{
    struct top_value value;
    struct words words;
    uint32_t found = 0;

    split(filter, &words);
    for (size_t i = 0; i < view->column_count && found != words.all; i++) {
        if (!top_is_text(&view->columns[i]))
            continue;
        view->columns[i].get(row, &value); /* once for all words */
        for (unsigned word = 0; words.all >> word; word++) {
            if (!(found >> word & 1) && strcasestr(value.text, words.words[word]))
                found |= 1u << word;
        }
    }
    return found == words.all;
}
