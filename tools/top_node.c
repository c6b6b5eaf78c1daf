/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/top_node.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/value.h"
#include "monitor/json_report.h"

static double selected_offset(struct json_object *sources)
{
    for (size_t i = 0; i < report_count(sources, "sources"); i++) {
        struct json_object *source = report_element(sources, "sources", i);

        if (strcmp(report_text(source, "state"), "selected") == 0)
            return report_real(source, "offset_ns");
    }
    return (double)NAN;
}

static void fill_clock(struct top_node *node, struct json_object *clock)
{
    struct json_object *status = report_member(clock, "status");

    report_copy(node->clock, sizeof node->clock, status, "status");
    report_copy(node->source, sizeof node->source, status, "selected");
    if (report_number(status, "local_reference"))
        snprintf(node->source, sizeof node->source, "itself");
    node->offset_ns = selected_offset(report_member(clock, "sources"));
    node->bound_ns = report_real(status, "bound_ns");
    node->rate_ppm = report_real(status, "frequency_ppm");
}

static void fill_interfaces(struct top_node *node, struct json_object *status)
{
    node->interfaces[0] = '\0';
    for (size_t i = 0; i < report_count(status, "interfaces"); i++) {
        struct json_object *interface = report_element(status, "interfaces", i);
        bool missing = !report_member(interface, "ifindex"), up = report_number(interface, "up");
        size_t used = strlen(node->interfaces);

        snprintf(node->interfaces + used, sizeof node->interfaces - used, "%s%s %s%s", i ? ", " : "",
                 report_text(interface, "name"), missing ? "missing" : report_text(interface, "mode"),
                 missing || up ? "" : " down");
    }
    value_make_printable(node->interfaces);
}

static void fill_path(struct top_node *node, struct json_object *status)
{
    struct json_object *totals = report_member(status, "totals"), *divert = report_member(status, "divert");

    report_copy(node->version, sizeof node->version, status, "version");
    node->at_ns = report_real(status, "monotonic_ns");
    node->uptime_s = report_real(status, "uptime_s");
    node->programs = report_real(totals, "lanes");
    node->sockets = report_real(totals, "flows");
    node->kernel_sockets = report_real(totals, "kernel_sockets");
    node->diverted = report_real(divert, "diverted");
    node->lost = report_real(divert, "overrun");
    fill_interfaces(node, status);
}

void top_node_fill(struct top_node *node, struct json_object *status, struct json_object *clock)
{
    fill_clock(node, clock);
    fill_path(node, status);
    node->diverted_s = node->lost_s = NAN;
}

void top_node_compare(struct top_node *node, const struct top_node *before)
{
    bool same = node->uptime_s >= before->uptime_s && node->diverted >= before->diverted && node->lost >= before->lost;
    double seconds = (node->at_ns - before->at_ns) / 1e9;

    if (seconds == 0) {
        node->diverted_s = before->diverted_s;
        node->lost_s = before->lost_s;
    } else if (same && seconds > 0) {
        node->diverted_s = (node->diverted - before->diverted) / seconds;
        node->lost_s = (node->lost - before->lost) / seconds;
    }
}

void top_node_explain(struct top_node *node, const char *path, const char *clock)
{
    if (*path && *clock && strcmp(path, clock) != 0)
        snprintf(node->problem, sizeof node->problem, "%.95s; clock: %.90s", path, clock);
    else
        snprintf(node->problem, sizeof node->problem, "%s%s", *path || !*clock ? "" : "clock: ", *path ? path : clock);
}
