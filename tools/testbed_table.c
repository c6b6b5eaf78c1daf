/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <string.h>

#include "base/units.h"
#include "tools/report.h"
#include "tools/testbed.h"
#include "tools/text_table.h"

#define REASONS_MAX 10 /* types that are named when they did not pass */

static int64_t signed_number(struct json_object *object, const char *key)
{
    struct json_object *value = report_member(object, key);

    return value ? json_object_get_int64(value) : 0;
}

static void add_time(struct text_table *table, struct json_object *latency, const char *key)
{
    char text[UNITS_TEXT_MAX];
    int64_t ns = signed_number(latency, key);

    if (report_number(latency, "count") == 0)
        text_table_add(table, "-");
    else
        text_table_add(table, "%s%s", ns < 0 ? "-" : "", units_format_ns((uint64_t)(ns < 0 ? -ns : ns), text));
}

/* "0.41 (0.38-0.45)" */
static void add_ratio(struct text_table *table, struct json_object *row, const char *figure)
{
    struct json_object *object = report_member(row, figure), *ratio = report_member(object, "ratio");
    struct json_object *low = report_member(object, "low"), *high = report_member(object, "high");

    if (!ratio || report_number(object, "pairs") == 0)
        text_table_add(table, "%s", "");
    else if (low && high && json_object_get_double(low) > 0)
        text_table_add(table, "%.2f (%.2f-%.2f)", json_object_get_double(ratio), json_object_get_double(low),
                       json_object_get_double(high));
    else
        text_table_add(table, "%.2f", json_object_get_double(ratio));
}

/* The comparison in which this run is the second, and its row for the class. */
static struct json_object *compared(struct json_object *report, size_t run, const char *class)
{
    for (size_t i = 0; i < report_count(report, "comparisons"); i++) {
        struct json_object *comparison = report_element(report, "comparisons", i);

        if (report_number(comparison, "b") != run)
            continue;
        for (size_t j = 0; j < report_count(comparison, "classes"); j++) {
            struct json_object *row = report_element(comparison, "classes", j);

            if (strcmp(report_text(row, "name"), class) == 0)
                return row;
        }
    }
    return NULL;
}

static void add_class(struct text_table *table, struct json_object *report, size_t number, struct json_object *run,
                      struct json_object *class)
{
    struct json_object *latency = report_member(class, "latency");
    struct json_object *row = compared(report, number, report_text(class, "name"));

    text_table_add(table, "%s", report_text(class, "name"));
    text_table_add(table, "%s", report_text(run, "stack"));
    text_table_add(table, "%s", report_text(run, "phase"));
    text_table_add(table, "%" PRIu64, report_number(class, "received"));
    text_table_add(table, "%" PRIu64, report_number(class, "lost"));
    add_time(table, latency, "p50_ns");
    add_time(table, latency, "p99_ns");
    add_time(table, latency, "max_ns");
    add_ratio(table, row, "median");
    add_ratio(table, row, "worst");
    text_table_add(table, "%s", report_text(class, "verdict"));
}

static void print_classes(struct json_object *report, FILE *out, unsigned width)
{
    static const struct table_column columns[] = {{"CLASS", false, 0},   {"STACK", false, 0},  {"PHASE", false, 6},
                                                  {"MESSAGES", true, 0}, {"LOST", true, 0},    {"MEDIAN", true, 0},
                                                  {"99 %", true, 0},     {"WORST", true, 0},   {"MEDIAN x", true, 0},
                                                  {"WORST x", true, 0},  {"VERDICT", false, 0}};
    struct text_table *table = text_table_create(columns, sizeof columns / sizeof *columns);

    for (size_t i = 0; i < report_count(report, "runs"); i++) {
        struct json_object *run = report_element(report, "runs", i);

        for (size_t j = 0; j < report_count(run, "classes"); j++)
            add_class(table, report, i, run, report_element(run, "classes", j));
    }
    text_table_print(table, out, width);
    text_table_destroy(table);
}

static void print_reasons(struct json_object *report, FILE *out)
{
    unsigned left = REASONS_MAX;

    for (size_t i = 0; i < report_count(report, "runs"); i++) {
        struct json_object *run = report_element(report, "runs", i);

        for (size_t j = 0; j < report_count(run, "types"); j++) {
            struct json_object *type = report_element(run, "types", j);

            if (strcmp(report_text(type, "verdict"), "PASS") == 0)
                continue;
            if (left-- == 0) {
                fputs("  ... and more: see the report\n", out);
                return;
            }
            fprintf(out, "  %s on %s, %s: %s: %s\n", report_text(type, "name"), report_text(run, "stack"),
                    report_text(run, "phase"), report_text(type, "verdict"), report_text(type, "reason"));
        }
    }
}

void testbed_print_report(struct json_object *report, FILE *out, unsigned width)
{
    struct json_object *header = report_member(report, "header");

    print_classes(report, out, width);
    fputs("Latency from planned sending to the last byte; x: ratio to the kernel's stack over pairs of rounds.\n", out);
    print_reasons(report, out);
    for (size_t i = 0; i < report_count(header, "notes"); i++)
        fprintf(out, "Note: %s\n", json_object_get_string(report_element(header, "notes", i)));
    fprintf(out, "%s%s%s\n", report_text(report, "verdict"), *report_text(report, "reason") ? ": " : "",
            report_text(report, "reason"));
}

void testbed_print_check(struct json_object *report, FILE *out, unsigned width)
{
    static const struct table_column columns[] = {
        {"NODE", false, 0}, {"CHECK", false, 0}, {"STATE", false, 0}, {"FINDING", false, 30}, {"REMEDY", false, 20}};
    struct text_table *table = text_table_create(columns, sizeof columns / sizeof *columns);

    for (size_t i = 0; i < report_count(report, "nodes"); i++) {
        struct json_object *node = report_element(report, "nodes", i);

        for (size_t j = 0; j < report_count(node, "findings"); j++) {
            struct json_object *finding = report_element(node, "findings", j);

            text_table_add(table, "%s", report_text(node, "name"));
            text_table_add(table, "%s", report_text(finding, "check"));
            text_table_add(table, "%s", report_text(finding, "state"));
            text_table_add(table, "%s", report_text(finding, "finding"));
            text_table_add(table, "%s", report_text(finding, "remedy"));
        }
    }
    text_table_print(table, out, width);
    text_table_destroy(table);
}
