/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/gathered.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "monitor/json_report.h"

/* --- the clock ---------------------------------------------------------------------------------------------- */

static struct json_object *selected_source(struct json_object *sources)
{
    for (size_t i = 0; i < report_count(sources, "sources"); i++) {
        struct json_object *source = report_element(sources, "sources", i);

        if (strcmp(report_text(source, "state"), "selected") == 0)
            return source;
    }
    return NULL;
}

static struct json_object *source_named(struct json_object *stats, const char *name)
{
    for (size_t i = 0; i < report_count(stats, "sources"); i++) {
        struct json_object *source = report_element(stats, "sources", i);

        if (strcmp(report_text(source, "name"), name) == 0)
            return source;
    }
    return NULL;
}

void gathered_clock_point(struct json_object *status, struct json_object *sources, struct json_object *stats,
                          struct series_point *point)
{
    struct json_object *selected = selected_source(sources);

    point->offset_ns = report_real(selected, "offset_ns");
    point->measured_ns =
        selected ? report_real(source_named(stats, report_text(selected, "name")), "residual_ns") : (double)NAN;
    point->bound_ns = report_real(status, "bound_ns");
}

static void write_clock_summary(struct json_stream *json, const struct gathered *gathered)
{
    struct json_object *status = gathered->clock_status;
    static const char *const numbers[] = {"bound_ns", "bound_utc_ns", "age_ns", "frequency_ppm",
                                          "system_clock_offset_ns"};

    json_begin(json, "clock", '{');
    json_put_bool(json, "reachable", status);
    if (status) {
        json_put_text(json, "status", report_text(status, "status"));
        json_put_text(json, "source", report_text(status, "selected"));
        json_put_uint(json, "stratum", report_number(status, "stratum"));
        json_put_real(json, "offset_ns", gathered->point.offset_ns);
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
            json_put_real(json, numbers[i], report_real(status, numbers[i]));
        json_put_uint(json, "disruptions", report_number(status, "disruptions"));
        json_put_text(json, "last_disruption", report_text(status, "last_disruption"));
        json_put_text(json, "version", report_text(status, "version"));
    }
    json_end(json, '}');
}

void gathered_write_clock(FILE *out, const struct gathered *gathered)
{
    static const char *const names[] = {"status", "sources", "stats"};
    struct json_object *const reports[] = {gathered->clock_status, gathered->clock_sources, gathered->clock_stats};
    struct json_stream json = {.out = out};

    json_begin(&json, NULL, '{');
    for (int i = 0; i < 3; i++)
        json_put_raw(&json, names[i],
                     reports[i] ? json_object_to_json_string_ext(reports[i], JSON_C_TO_STRING_PLAIN) : NULL);
    json_end(&json, '}');
}

/* --- the path ----------------------------------------------------------------------------------------------- */

static void write_interfaces(struct json_stream *json, struct json_object *status)
{
    json_begin(json, "interfaces", '[');
    for (size_t i = 0; i < report_count(status, "interfaces"); i++) {
        struct json_object *interface = report_element(status, "interfaces", i);

        json_begin(json, NULL, '{');
        json_put_text(json, "name", report_text(interface, "name"));
        json_put_text(json, "mode", report_text(interface, "mode"));
        json_put_text(json, "why", report_text(interface, "why"));
        json_put_bool(json, "up", report_number(interface, "up"));
        json_end(json, '}');
    }
    json_end(json, ']');
}

static void write_netd_summary(struct json_stream *json, const struct gathered *gathered)
{
    struct json_object *status = gathered->status;

    json_begin(json, "netd", '{');
    json_put_bool(json, "reachable", status);
    if (!status) {
        json_put_text(json, "problem", error_text(gathered->netd_error));
    } else {
        json_put_text(json, "version", report_text(status, "version"));
        json_put_uint(json, "uptime_s", report_number(status, "uptime_s"));
        json_put_uint(json, "lanes", report_number(report_member(status, "totals"), "lanes"));
        json_put_uint(json, "kernel_sockets", report_number(report_member(status, "totals"), "kernel_sockets"));
        if (gathered->table_error)
            json_put_text(json, "problem", error_text(gathered->table_error));
        write_interfaces(json, status);
    }
    json_end(json, '}');
}

static void write_programs(struct json_stream *json, const struct tracker *tracker)
{
    size_t count;
    const struct program_totals *totals = tracker_totals(tracker, &count);

    json_begin(json, "programs", '[');
    for (size_t i = 0; i < count; i++) {
        json_begin(json, NULL, '{');
        json_put_text(json, "program", totals[i].program);
        json_put_uint(json, "connections", totals[i].connections);
        json_put_uint(json, "rx_bytes", totals[i].rx_bytes);
        json_put_uint(json, "tx_bytes", totals[i].tx_bytes);
        json_put_uint(json, "drops", totals[i].ring_drops + totals[i].drops);
        json_put_uint(json, "retransmissions", totals[i].retransmissions);
        json_end(json, '}');
    }
    json_end(json, ']');
}

void gathered_write_summary(struct json_stream *json, const struct gathered *gathered)
{
    json_begin(json, NULL, '{');
    json_put_text(json, "node", gathered->node);
    json_put_text(json, "version", LOCKSTEP_VERSION);
    json_put_int(json, "time_ms", gathered->realtime_ns / 1000000);
    write_netd_summary(json, gathered);
    write_clock_summary(json, gathered);
    series_write_point(&gathered->point, json, "now");
    write_programs(json, gathered->tracker);
    json_end(json, '}');
}
