/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep clock: the daemon's reports as tables. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "tools/clock.h"
#include "tools/report.h"
#include "tools/text_table.h"

/* --- tables ------------------------------------------------------------------------------------------------- */

/* As chronyc marks them. */
static char state_mark(const char *state)
{
    static const struct {
        const char *state;
        char mark;
    } marks[] = {{"selected", '*'}, {"candidate", '+'},   {"falseticker", 'x'},
                 {"stopped", '!'},  {"unreachable", '?'}, {"measuring", '~'}};

    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (strcmp(marks[i].state, state) == 0)
            return marks[i].mark;
    }
    return ' ';
}

static void add_ns(struct text_table *table, struct json_object *object, const char *key, bool with_sign)
{
    double ns = report_real(object, key);
    char text[CLOCK_TEXT_MAX];

    text_table_add(table, "%s", with_sign ? clock_signed_ns(ns, text) : clock_ns(ns, text));
}

static void add_source(struct text_table *table, struct json_object *source)
{
    double ago_ns = report_real(source, "last_reply_ago_ns");
    char text[CLOCK_TEXT_MAX];

    text_table_add(table, "%c", state_mark(report_text(source, "state")));
    text_table_add(table, "%s", report_text(source, "name"));
    text_table_add(table, "%" PRIu64, report_number(source, "stratum"));
    text_table_add(table, "%.0f", report_real(source, "poll_log2"));
    text_table_add(table, "%03" PRIo64, report_number(source, "reach"));
    text_table_add(table, "%s", isfinite(ago_ns) ? clock_duration((int64_t)ago_ns, text) : "-");
    add_ns(table, source, "offset_ns", true);
    add_ns(table, source, "bound_ns", false);
    add_ns(table, source, "round_trip_ns", false);
    text_table_add(table, "%s", report_text(source, "stamps"));
    text_table_add(table, "%s", report_text(source, "authentication"));
    text_table_add(table, "%s%s%s", report_text(source, "state"), report_number(source, "prefer") ? ", preferred" : "",
                   report_number(source, "no_select") ? ", watched only" : "");
}

void clock_print_sources(struct json_object *sources, FILE *out, unsigned width)
{
    static const struct table_column columns[] = {{"", false, 0},       {"SOURCE", false, 12}, {"STRATUM", true, 0},
                                                  {"POLL", true, 0},    {"REACH", true, 0},    {"LAST", true, 0},
                                                  {"OFFSET", true, 0},  {"BOUND", true, 0},    {"ROUND TRIP", true, 0},
                                                  {"STAMPS", false, 0}, {"KEY", false, 0},     {"STATE", false, 8}};
    static const struct report_table what = {"sources", "No source is configured.", columns,
                                             sizeof columns / sizeof *columns, add_source};

    report_print_table(sources, &what, out, width);
}

static uint64_t drops(struct json_object *source)
{
    struct json_object *dropped = report_member(source, "dropped");
    uint64_t sum = 0;

    if (!json_object_is_type(dropped, json_type_object))
        return 0;
    json_object_object_foreach(dropped, key, value)
    {
        (void)value;
        sum += report_number(dropped, key);
    }
    return sum;
}

static void add_stats(struct text_table *table, struct json_object *source)
{
    double frequency = report_real(source, "frequency_ppm");

    text_table_add(table, "%s", report_text(source, "name"));
    text_table_add(table, "%" PRIu64, report_number(source, "used"));
    text_table_add(table, "%" PRIu64, report_number(source, "held_back"));
    text_table_add(table, "%" PRIu64, drops(source));
    if (isfinite(frequency))
        text_table_add(table, "%+.4f", frequency);
    else
        text_table_add(table, "-");
    text_table_add(table, "%.1f", report_real(source, "frequency_sigma_ppb"));
    add_ns(table, source, "sigma_ns", false);
    add_ns(table, source, "noise_ns", false);
    add_ns(table, source, "residual_ns", true);
    add_ns(table, source, "baseline_ns", false);
    add_ns(table, source, "excess_ns", false);
    text_table_add(table, "%" PRIu64 "/%" PRIu64, report_number(source, "shifts_up"),
                   report_number(source, "shifts_down"));
    text_table_add(table, "%" PRIu64, report_number(source, "restarts"));
}

static void print_drops(struct json_object *stats, FILE *out)
{
    for (size_t i = 0; i < report_count(stats, "sources"); i++) {
        struct json_object *source = report_element(stats, "sources", i);
        struct json_object *dropped = report_member(source, "dropped");
        const char *separator = ": not used: ";

        if (drops(source) == 0)
            continue;
        fputs(report_text(source, "name"), out);
        json_object_object_foreach(dropped, key, value)
        {
            (void)value;
            fprintf(out, "%s%" PRIu64 " %s", separator, report_number(dropped, key), key);
            separator = ", ";
        }
        fputc('\n', out);
    }
}

static void print_server(struct json_object *server, FILE *out)
{
    if (!json_object_is_type(server, json_type_object))
        return;
    fprintf(out,
            "Serving: %" PRIu64 " requests, %" PRIu64 " replies (%" PRIu64 " interleaved), %" PRIu64 " denied, %" PRIu64
            " over the rate, %" PRIu64 " malformed, %" PRIu64 " not authentic\n",
            report_number(server, "requests"), report_number(server, "replies"), report_number(server, "interleaved"),
            report_number(server, "denied"), report_number(server, "rate_limited"), report_number(server, "malformed"),
            report_number(server, "not_authentic"));
}

void clock_print_stats(struct json_object *stats, FILE *out, unsigned width)
{
    static const struct table_column columns[] = {
        {"SOURCE", false, 12}, {"USED", true, 0},   {"HELD", true, 0},    {"DROPPED", true, 0}, {"FREQ PPM", true, 0},
        {"+- PPB", true, 0},   {"SIGMA", true, 0},  {"NOISE", true, 0},   {"LAST", true, 0},    {"BASELINE", true, 0},
        {"EXCESS", true, 0},   {"SHIFTS", true, 0}, {"RESTARTS", true, 0}};
    static const struct report_table what = {"sources", "No source is configured.", columns,
                                             sizeof columns / sizeof *columns, add_stats};

    report_print_table(stats, &what, out, width);
    print_drops(stats, out);
    print_server(report_member(stats, "server"), out);
}
