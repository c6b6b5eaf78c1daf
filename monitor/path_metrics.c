/* SPDX-License-Identifier: BSD-2-Clause */
/* The metrics of the path; docs/metrics.md lists them. */
#include <math.h>
#include <string.h>

#include "base/histogram.h"
#include "monitor/clock_metrics.h"
#include "monitor/gathered.h"
#include "monitor/json_report.h"
#include "monitor/prometheus.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- netd's status ------------------------------------------------------------------------------------------ */

struct status_metric {
    const char *key, *name, *type, *help;
};

static const struct status_metric totals_metrics[] = {
    {"lanes", "lockstep_lanes", "gauge", "Lanes: accelerated processes."},
    {"flows", "lockstep_flows", "gauge", "Registered flows."},
    {"lanes_opened", "lockstep_lanes_opened_total", "counter", "Lanes opened."},
    {"flows_added", "lockstep_flows_added_total", "counter", "Flows registered."},
    {"migrations", "lockstep_migrations_total", "counter", "Connections given back to the kernel."},
    {"migrations_failed", "lockstep_migrations_failed_total", "counter", "Connections lost on the way to the kernel."},
    {"resets_sent", "lockstep_resets_sent_total", "counter", "Peers reset because their program had died."},
    {"kernel_sockets", "lockstep_kernel_sockets_total", "counter", "Sockets that stayed with the kernel."},
    {"denied_requests", "lockstep_denied_requests_total", "counter", "Requests of programs that policy denied."},
    {"rejected_messages", "lockstep_rejected_messages_total", "counter", "Malformed messages of programs."},
    {"nexthops_unresolved", "lockstep_nexthops_unresolved", "gauge", "Next hops whose MAC address is not known."},
};

static void print_totals(FILE *out, struct json_object *status)
{
    struct json_object *totals = report_member(status, "totals");

    for (size_t i = 0; i < COUNT(totals_metrics); i++)
        prometheus_single(out, totals_metrics[i].name, totals_metrics[i].type, totals_metrics[i].help,
                          report_real(totals, totals_metrics[i].key));
}

static void print_divert(FILE *out, struct json_object *status)
{
    static const char *const verdicts[] = {"passed", "diverted", "overrun", "both", "stale"};
    static const char name[] = "lockstep_divert_packets_total";

    prometheus_head(out, name, "counter", "Packets by what the divert did with them.");
    for (size_t i = 0; i < COUNT(verdicts); i++)
        prometheus_sample(out, name, report_real(report_member(status, "divert"), verdicts[i]), "verdict", verdicts[i],
                          NULL);
}

static void print_interfaces(FILE *out, struct json_object *status)
{
    static const char name[] = "lockstep_interface_accelerated";

    prometheus_head(out, name, "gauge", "1 for an interface with the divert attached, 0 without.");
    for (size_t i = 0; i < report_count(status, "interfaces"); i++) {
        struct json_object *interface = report_element(status, "interfaces", i);
        const char *mode = report_text(interface, "mode");

        prometheus_sample(out, name, strcmp(mode, "not attached") != 0, "interface", report_text(interface, "name"),
                          "mode", mode, NULL);
    }
}

/* --- lanes: sums, for there may be hundreds ------------------------------------------------------------------- */

struct lane_sums {
    double ring_bytes, ring_high_water, spin_seconds;
};

/* Of the lanes that are open: they fall when one closes, so they are gauges. */
static void print_lanes(FILE *out, const struct connection_table *table)
{
    struct lane_sums sums = {0};

    for (uint32_t i = 0; i < table->header.lane_count; i++) {
        const struct lane_row *row = table_lane(table, i);

        sums.ring_bytes += (double)row->ring_bytes;
        sums.ring_high_water =
            fmax(sums.ring_high_water, row->ring_bytes ? (double)row->ring_high_water / (double)row->ring_bytes : 0);
        sums.spin_seconds += (double)row->spin_ns * 1e-9;
    }
    prometheus_single(out, "lockstep_ring_bytes", "gauge", "Memory of all rings.", sums.ring_bytes);
    prometheus_single(out, "lockstep_ring_high_water_ratio", "gauge",
                      "Highest fill of a ring so far, as a share of its size: the worst of all lanes.",
                      sums.ring_high_water);
    prometheus_single(out, "lockstep_lanes_spin_seconds", "gauge",
                      "Processor time that the present programs' waiting threads have spun away.", sums.spin_seconds);
}

/* --- programs ----------------------------------------------------------------------------------------------- */

static const struct program_metric {
    const char *name, *help;
    size_t offset;
} program_metrics[] = {
    {"lockstep_program_connections_opened_total", "Connections opened.", offsetof(struct program_totals, opened)},
    {"lockstep_program_receive_bytes_total", "Bytes received by programs.", offsetof(struct program_totals, rx_bytes)},
    {"lockstep_program_transmit_bytes_total", "Bytes sent by programs.", offsetof(struct program_totals, tx_bytes)},
    {"lockstep_program_receive_packets_total", "Packets received.", offsetof(struct program_totals, rx_packets)},
    {"lockstep_program_transmit_packets_total", "Packets sent.", offsetof(struct program_totals, tx_packets)},
    {"lockstep_program_ring_drops_total", "Packets dropped because the lane's ring was full.",
     offsetof(struct program_totals, ring_drops)},
    {"lockstep_program_buffer_drops_total", "Datagrams dropped because the socket's buffer was full.",
     offsetof(struct program_totals, drops)},
    {"lockstep_program_retransmissions_total", "TCP segments sent again.",
     offsetof(struct program_totals, retransmissions)},
};

static void print_programs(FILE *out, const struct program_totals *totals, size_t count)
{
    static const char connections[] = "lockstep_program_connections";

    prometheus_head(out, connections, "gauge", "Connections that are open.");
    for (size_t i = 0; i < count; i++)
        prometheus_sample(out, connections, (double)totals[i].connections, "program", totals[i].program, NULL);
    for (size_t m = 0; m < COUNT(program_metrics); m++) {
        prometheus_head(out, program_metrics[m].name, "counter", program_metrics[m].help);
        for (size_t i = 0; i < count; i++)
            prometheus_sample(out, program_metrics[m].name,
                              (double)*(const uint64_t *)((const char *)&totals[i] + program_metrics[m].offset),
                              "program", totals[i].program, NULL);
    }
}

#define LE_FIRST 9  /* 2^9 ns = 512 ns */
#define LE_LAST  30 /* 1.07 s */

/* Values below 2^power are in coarse buckets below this one. */
static unsigned coarse_end(unsigned power)
{
    return (power - HISTOGRAM_SUB_BITS + 1) << (HISTOGRAM_SUB_BITS - HISTOGRAM_COARSE_SHIFT);
}

/* One histogram; the sum takes a bucket's middle for its values. (A value of exactly an edge, a nanosecond in five
 * hundred and more, counts to the next bucket.) */
static void print_histogram(FILE *out, const struct program_totals *totals)
{
    uint64_t below = 0;
    unsigned bucket = 0;
    double sum_s = 0;
    char edge[24];

    for (unsigned power = LE_FIRST; power <= LE_LAST; power++) {
        for (; bucket < coarse_end(power); bucket++)
            below += totals->latency[bucket];
        snprintf(edge, sizeof edge, "%.12g", (double)(1ull << power) * 1e-9);
        prometheus_sample(out, "lockstep_program_latency_seconds_bucket", (double)below, "program", totals->program,
                          "le", edge, NULL);
    }
    for (; bucket < LANE_STATS_SLOT_BUCKETS; bucket++)
        below += totals->latency[bucket];
    for (unsigned i = 0; i < LANE_STATS_SLOT_BUCKETS; i++)
        sum_s += (double)totals->latency[i] * 0.5e-9 *
                 ((double)histogram_bucket_low(i << HISTOGRAM_COARSE_SHIFT) +
                  (double)histogram_bucket_low(((i + 1) << HISTOGRAM_COARSE_SHIFT) - 1));
    prometheus_sample(out, "lockstep_program_latency_seconds_bucket", (double)below, "program", totals->program, "le",
                      "+Inf", NULL);
    prometheus_sample(out, "lockstep_program_latency_seconds_sum", sum_s, "program", totals->program, NULL);
    prometheus_sample(out, "lockstep_program_latency_seconds_count", (double)below, "program", totals->program, NULL);
}

static void print_latency(FILE *out, const struct program_totals *totals, size_t count)
{
    prometheus_head(out, "lockstep_program_latency_seconds", "histogram",
                    "From the kernel's stamp of a packet to the program's taking it from the ring; the sum is "
                    "approximate.");
    for (size_t i = 0; i < count; i++)
        print_histogram(out, &totals[i]);
}

/* --- all ---------------------------------------------------------------------------------------------------- */

static void print_build_info(FILE *out, const struct gathered *gathered)
{
    static const char name[] = "lockstep_build_info", up[] = "lockstep_service_up";

    prometheus_head(out, name, "gauge", "1, with the versions of the parts that run.");
    prometheus_sample(out, name, 1, "version", LOCKSTEP_VERSION, "netd", report_text(gathered->status, "version"),
                      "clockd", report_text(gathered->clock_status, "version"), NULL);
    prometheus_head(out, up, "gauge", "1 if the service answers.");
    prometheus_sample(out, up, gathered->status != NULL, "service", "netd", NULL);
    prometheus_sample(out, up, gathered->clock_status != NULL, "service", "clockd", NULL);
}

static void print_history(FILE *out, const struct past_health *health)
{
    prometheus_single(out, "lockstep_history_database_bytes", "gauge", "Size of the history's database with its log.",
                      (double)health->bytes);
    prometheus_single(out, "lockstep_history_written_timestamp_seconds", "gauge",
                      "When the history was last written to.", (double)health->written_ns * 1e-9);
    prometheus_single(out, "lockstep_history_gaps", "gauge", "Gaps that the history has noted and still keeps.",
                      (double)health->gaps);
    prometheus_single(out, "lockstep_history_lost_records", "gauge", "Records that were lost in these gaps.",
                      (double)health->lost);
    prometheus_single(out, "lockstep_testbed_runs", "gauge", "Runs of the test bed that the history keeps.",
                      (double)health->runs);
}

void gathered_write_metrics(FILE *out, const struct gathered *gathered)
{
    size_t count;
    const struct program_totals *totals = tracker_totals(gathered->tracker, &count);

    print_build_info(out, gathered);
    prometheus_single(out, "lockstep_gathered_timestamp_seconds", "gauge", "When these figures were gathered.",
                      (double)gathered->realtime_ns * 1e-9);
    if (gathered->status) {
        prometheus_single(out, "lockstep_netd_uptime_seconds", "gauge", "Time since the service was started.",
                          report_real(gathered->status, "uptime_s"));
        print_totals(out, gathered->status);
        print_divert(out, gathered->status);
        print_interfaces(out, gathered->status);
    }
    if (gathered->status && !gathered->table_error) {
        print_lanes(out, gathered->table);
        print_programs(out, totals, count);
        print_latency(out, totals, count);
    }
    if (gathered->clock_status)
        clock_print_prometheus(gathered->clock_status, gathered->clock_sources, gathered->clock_stats, out);
    if (gathered->history->available)
        print_history(out, gathered->history);
    runs_write_metrics(gathered->runs, out);
}
