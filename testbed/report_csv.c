/* SPDX-License-Identifier: BSD-2-Clause */
/* The report as a table for spreadsheets and scripts: one line for each type of each run. */
#include "testbed/report.h"

#include <string.h>

/* Members of a type, with a dot those of a member of it. */
static const char *const columns[] = {
    "name",
    "class",
    "transport",
    "size_bytes",
    "period_ns",
    "limit_ns",
    "sender",
    "phase_ns",
    "planned",
    "sent",
    "late",
    "unsent",
    "expected",
    "received",
    "lost",
    "duplicates",
    "reordered",
    "corrupt",
    "over_limit",
    "near_limit",
    "requested_per_s",
    "achieved_per_s",
    "bound_ns",
    "latency.min_ns",
    "latency.p50_ns",
    "latency.p90_ns",
    "latency.p99_ns",
    "latency.p99_9_ns",
    "latency.p99_99_ns",
    "latency.max_ns",
    "sent_to_last_byte.p50_ns",
    "sent_to_last_byte.max_ns",
    "predicted_queueing_ns",
    "verdict",
};
#define COLUMNS (sizeof columns / sizeof *columns)

static struct json_object *member(struct json_object *object, const char *path)
{
    size_t length = strcspn(path, ".");
    char name[32];

    snprintf(name, sizeof name, "%.*s", (int)length, path);
    if (!json_object_object_get_ex(object, name, &object))
        return NULL;
    return path[length] == '.' ? member(object, path + length + 1) : object;
}

static void write_line(FILE *out, struct json_object *run, struct json_object *type)
{
    fprintf(out, "%s,%s", json_object_get_string(member(run, "stack")), json_object_get_string(member(run, "phase")));
    for (size_t i = 0; i < COLUMNS; i++) {
        struct json_object *value = member(type, columns[i]);

        fprintf(out, ",%s", value ? json_object_get_string(value) : "");
    }
    fputc('\n', out);
}

void report_write_csv(struct json_object *report, FILE *out)
{
    struct json_object *runs = member(report, "runs");

    fputs("stack,phase", out);
    for (size_t i = 0; i < COLUMNS; i++)
        fprintf(out, ",%s", columns[i]);
    fputc('\n', out);
    for (size_t i = 0; runs && i < json_object_array_length(runs); i++) {
        struct json_object *run = json_object_array_get_idx(runs, i), *types = member(run, "types");

        for (size_t j = 0; types && j < json_object_array_length(types); j++)
            write_line(out, run, json_object_array_get_idx(types, j));
    }
}
