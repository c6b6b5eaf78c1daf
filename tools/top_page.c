/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/top_page.h"

#include <inttypes.h>
#include <math.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/histogram.h"
#include "base/units.h"
#include "tools/report.h"
#include "tools/top_socket.h"

#define BAR_WIDTH  40
#define DUMP_WIDTH 78
#define OCTAVE     4 /* a connection's buckets to a power of two */

void top_page_begin(FILE *out, const char *name)
{
    fprintf(out, "  %-14s ", name);
}

void top_page_line(FILE *out, const char *name, const char *format, ...)
{
    va_list arguments;

    top_page_begin(out, name);
    va_start(arguments, format);
    vfprintf(out, format, arguments);
    va_end(arguments);
    fputc('\n', out);
}

/* --- a connection ------------------------------------------------------------------------------------------- */

static const char *endpoint_text(const struct net_endpoint *endpoint, char *text)
{
    return endpoint->port || !net_addr_is_any(&endpoint->addr) ? net_endpoint_format(endpoint, text) : "*";
}

static void print_flow(const char *direction, double bytes_s, double packets_s, uint64_t bytes, uint64_t packets,
                       FILE *out)
{
    char size[UNITS_TEXT_MAX], rate[UNITS_TEXT_MAX], packet_rate[UNITS_TEXT_MAX], count[UNITS_TEXT_MAX];

    units_format_bytes(bytes, size);
    units_format_count(packets, count);
    if (isfinite(bytes_s))
        top_page_line(out, direction, "%s in %s packets; %s, %s packets/s", size, count,
                      units_format_bits_per_s(bytes_s * 8, rate), units_format_short(packets_s, packet_rate));
    else
        top_page_line(out, direction, "%s in %s packets", size, count);
}

static void print_since(const struct connection_row *row, FILE *out)
{
    time_t seconds = (time_t)(row->since_ns / 1000000000);
    char text[32] = "?";
    struct tm parts;

    if (localtime_r(&seconds, &parts))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
    top_page_line(out, "Open since", "%s", text);
}

static void print_tcp(const struct top_connection *connection, FILE *out)
{
    const struct connection_row *row = connection->row;
    char window[UNITS_TEXT_MAX], peer[UNITS_TEXT_MAX], rtt[UNITS_TEXT_MAX];

    fputs("TCP\n", out);
    if (row->srtt_us)
        top_page_line(out, "Round trip", "%s, smoothed", units_format_ns((uint64_t)row->srtt_us * 1000, rtt));
    top_page_line(out, "Windows", "congestion %s, the peer's %s", units_format_bytes(row->cwnd, window),
                  units_format_bytes(row->snd_wnd, peer));
    top_page_line(out, "Sent again", "%" PRIu32 " segments", row->retransmissions);
}

/* A bar for each power of two that has something between the first and the last. */
static void print_histogram(const uint32_t *buckets, FILE *out)
{
    enum { OCTAVES = LANE_STATS_SLOT_BUCKETS / OCTAVE };
    uint64_t sums[OCTAVES] = {0}, most = 0;
    int first = OCTAVES, last = -1;

    for (int i = 0; i < LANE_STATS_SLOT_BUCKETS; i++)
        sums[i / OCTAVE] += buckets[i];
    for (int i = 0; i < OCTAVES; i++) {
        most = sums[i] > most ? sums[i] : most;
        first = i < first && sums[i] ? i : first;
        last = sums[i] ? i : last;
    }
    for (int i = first; i <= last; i++) {
        char low[UNITS_TEXT_MAX];
        int length = (int)((sums[i] * BAR_WIDTH + most - 1) / most);
        unsigned bucket = (unsigned)i * OCTAVE * (HISTOGRAM_BUCKETS / LANE_STATS_SLOT_BUCKETS);

        fprintf(out, "  from %7s  %-*.*s %" PRIu64 "\n",
                units_format_short_ns((double)histogram_bucket_low(bucket), low), BAR_WIDTH, length,
                "########################################", sums[i]);
    }
}

static void print_latency(const struct top_connection *connection, FILE *out)
{
    const struct connection_row *row = connection->row;
    char p50[UNITS_TEXT_MAX], p90[UNITS_TEXT_MAX], p99[UNITS_TEXT_MAX], p999[UNITS_TEXT_MAX], max[UNITS_TEXT_MAX];

    fputs("Latency, from the kernel's stamp to the program taking the packet\n", out);
    if (row->latency_count == 0) {
        fputs("  no packet yet\n", out);
        return;
    }
    top_page_line(out, "Packets", "%" PRIu64, row->latency_count);
    top_page_line(out, "Latency", "50 %% %s, 90 %% %s, 99 %% %s, 99.9 %% %s, worst %s",
                  units_format_ns(row->latency_p50_ns, p50), units_format_ns(row->latency_p90_ns, p90),
                  units_format_ns(row->latency_p99_ns, p99), units_format_ns(row->latency_p999_ns, p999),
                  units_format_ns(row->latency_max_ns, max));
    if (connection->histogram)
        print_histogram(connection->histogram, out);
}

/* What the dump is about; a connection without a descriptor is in another list. */
static struct json_object *socket_of(struct json_object *dump)
{
    struct json_object *socket = report_element(dump, "sockets", 0);

    return socket ? socket : report_element(dump, "closing", 0);
}

static void print_connection(const struct top_connection *connection, const struct top_data *data, FILE *out)
{
    const struct connection_row *row = connection->row;
    char local[NET_ENDPOINT_TEXT_MAX], remote[NET_ENDPOINT_TEXT_MAX];

    fprintf(out, "%s %s - %s, %s\n", row->protocol == IPPROTO_TCP ? "tcp" : "udp", endpoint_text(&row->local, local),
            endpoint_text(&row->remote, remote), connection_state_name(row));
    top_page_line(out, "Program", "%s, process %" PRIu32 ", user %" PRIu32, row->program, row->pid, row->uid);
    if (row->flow) /* other nodes do not say */
        top_page_line(out, "Lane", "%" PRIu32 ", flow %" PRIu32, row->lane, row->flow);
    top_page_line(out, "Interface", "%s", row->interface);
    print_since(row, out);
    print_flow("Received", connection->rx_bytes, connection->rx_packets, row->rx_bytes, row->rx_packets, out);
    print_flow("Sent", connection->tx_bytes, connection->tx_packets, row->tx_bytes, row->tx_packets, out);
    top_page_line(out, "Lost", "%" PRIu64 " because the ring was full, %" PRIu32 " because the receive buffer was",
                  row->ring_drops, row->drops);
    if (isfinite(connection->spin_percent))
        top_page_line(out, "Processor", "%.1f %% of a core, which its program spins away", connection->spin_percent);
    if (!top_socket_print(socket_of(data->dump), out) && row->protocol == IPPROTO_TCP)
        print_tcp(connection, out);
    print_latency(connection, out);
    if (data->dump || data->dump_problem)
        fprintf(out, "All that its program says (lockstep dump %" PRIu32 ")\n", row->pid);
    if (data->dump)
        dump_print_sockets(data->dump, out, DUMP_WIDTH);
    else if (data->dump_problem)
        fprintf(out, "  process %" PRIu32 " %s\n", row->pid, data->dump_problem);
}

/* --- other rows --------------------------------------------------------------------------------------------- */

static const void *find_row(const struct top_data *data, enum top_view_id id, uint64_t key)
{
    const struct top_view *view = &top_views[id];
    size_t count;
    const char *first = top_data_rows(data, id, &count);

    for (size_t i = 0; i < count; i++) {
        if (view->key(first + i * view->row_size) == key)
            return first + i * view->row_size;
    }
    return NULL;
}

static void print_row(const struct top_view *view, const void *row, int64_t realtime_ns, FILE *out)
{
    char text[TOP_TEXT_MAX];

    fprintf(out, "%s %s\n", view->row, top_format(&view->columns[0], row, realtime_ns, text));
    for (size_t i = 1; i < view->column_count; i++) {
        const struct top_column *column = &view->columns[i];

        top_format(column, row, realtime_ns, text);
        if (*text)
            fprintf(out, "  %-8s %12s  %s\n", column->title, text, column->help);
    }
}

char *top_page_details(const struct top_ui *ui, const struct top_data *data)
{
    const void *row = find_row(data, ui->view, ui->detail_key);
    size_t size;
    char *text = NULL;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    if (!row)
        fprintf(out, "This %s has gone.\n", top_views[ui->view].row);
    else if (ui->view == TOP_CONNECTIONS)
        print_connection(row, data, out);
    else
        print_row(&top_views[ui->view], row, data->realtime_ns, out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* --- help --------------------------------------------------------------------------------------------------- */

static const char help_keys[] =
    "Keys\n"
    "  1 2 3, Tab      nodes, connections, programs\n"
    "  arrows, j k     select a row; also Page Up, Page Down (blank), Home (g), End (G)\n"
    "  Enter           details; of a node: show its connections and programs\n"
    "  d               details, of a node too\n"
    "  < >             sort by the column before, after (also the left and right arrow)\n"
    "  r               the other way round\n"
    "  /               filter: words that a row's texts must have; Enter keeps it, Escape does not\n"
    "  Escape          no filter; leave details and help\n"
    "  p               pause; f looks once\n"
    "  + -             look less, more often\n"
    "  Ctrl-L          draw the screen anew\n"
    "  q               quit\n";

char *top_page_help(enum top_view_id view)
{
    size_t size;
    char *text = NULL;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    fputs(help_keys, out);
    fprintf(out, "Columns of %s (as many as the screen is wide enough for; the sorted one always)\n",
            top_views[view].title);
    for (size_t i = 0; i < top_views[view].column_count; i++)
        fprintf(out, "  %-8s        %s\n", top_views[view].columns[i].title, top_views[view].columns[i].help);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}
