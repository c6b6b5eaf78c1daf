/* SPDX-License-Identifier: BSD-2-Clause */
/* What the controller knows of the whole run, as a report in files. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "testbed/controller_private.h"

static void add_time(struct json_object *header)
{
    char text[32];
    time_t now = time(NULL);
    struct tm utc;

    gmtime_r(&now, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    json_object_object_add(header, "ended", json_object_new_string(text));
}

struct json_object *controller_nodes_json(const struct controller *controller)
{
    struct json_object *array = json_object_new_array();

    for (unsigned i = 0; i < controller->inventory.node_count; i++) {
        struct json_object *node = json_object_new_object();

        json_object_object_add(node, "name", json_object_new_string(controller->inventory.nodes[i].name));
        json_object_object_add(node, "address", json_object_new_string(controller->inventory.nodes[i].address_text));
        json_object_object_add(node, "facts", json_object_get(controller->nodes[i].facts));
        json_object_object_add(node, "findings", json_object_get(controller->nodes[i].findings));
        json_object_array_add(array, node);
    }
    return array;
}

static struct json_object *make_header(const struct controller *controller, const struct programme *programme)
{
    const struct controller_options *options = controller->options;
    struct json_object *header = json_object_new_object(), *notes = json_object_new_array();
    bool stalled = false;

    json_object_object_add(header, "title", json_object_new_string(options->title));
    json_object_object_add(header, "lockstep", json_object_new_string(LOCKSTEP_VERSION));
    add_time(header);
    json_object_object_add(header, "rounds", json_object_new_int64(options->rounds));
    json_object_object_add(header, "duration_s", json_object_new_double((double)options->duration_ns / 1e9));
    json_object_object_add(header, "warmup_s", json_object_new_double((double)options->warmup_ns / 1e9));
    json_object_object_add(header, "seed", json_object_new_int64(options->seed));
    json_object_object_add(header, "clock", json_object_new_string(node_clock_kind_names[options->clock]));
    json_object_object_add(header, "clock_limit_ns", json_object_new_int64((int64_t)options->clock_limit_ns));
    json_object_object_add(header, "late_after_ns", json_object_new_int64((int64_t)options->late_ns));
    json_object_object_add(header, "mtu", json_object_new_int64(controller->inventory.mtu));
    for (size_t i = 0; i < sizeof options->note / sizeof *options->note; i++) {
        if (options->note[i][0])
            json_object_array_add(notes, json_object_new_string(options->note[i]));
    }
    if (programme->trouble[0])
        json_object_array_add(notes, json_object_new_string(programme->trouble));
    for (size_t i = 0; i < programme->count; i++) {
        for (size_t j = 0; j < programme->series[i].count; j++)
            stalled |= programme->series[i].rounds[j]->stalled;
    }
    if (stalled)
        json_object_array_add(
            notes, json_object_new_string("A machine stood still for longer than its threshold during the run: "
                                          "see the worst messages, which name such stalls."));
    json_object_object_add(header, "notes", notes);
    json_object_object_add(header, "nodes", controller_nodes_json(controller));
    return header;
}

/* Kernel against accelerated, for each phase mode. */
static size_t compare_all(const struct controller *controller, const struct programme *programme,
                          struct comparison comparisons[CONTROLLER_PHASES],
                          struct report_comparison rows[CONTROLLER_PHASES])
{
    double level = (double)controller->options->level_percent / 100;
    size_t count = 0;

    for (size_t i = 0; programme->stack_count == 2 && i + 1 < programme->count; i += 2) {
        const struct series_of_rounds *a = &programme->series[i], *b = &programme->series[i + 1];
        size_t pairs = a->count < b->count ? a->count : b->count;

        if (pairs == 0 || compare_rounds(a->rounds, b->rounds, (unsigned)pairs, level, &comparisons[count]) < 0)
            continue;
        rows[count] = (struct report_comparison){i, i + 1, &comparisons[count], level};
        count++;
    }
    return count;
}

struct json_object *controller_make_report(const struct controller *controller, const struct programme *programme)
{
    struct report_run runs[CONTROLLER_STACKS * CONTROLLER_PHASES];
    struct comparison comparisons[CONTROLLER_PHASES];
    struct report_comparison rows[CONTROLLER_PHASES];
    struct report_input input = {.pattern = &controller->pattern,
                                 .pattern_name = controller->options->pattern,
                                 .network = &controller->network,
                                 .runs = runs,
                                 .run_count = programme->count,
                                 .comparisons = rows};
    struct json_object *report;

    for (size_t i = 0; i < programme->count; i++) {
        const struct series_of_rounds *series = &programme->series[i];

        runs[i] = (struct report_run){
            series->stack,  series->phase, series->rounds, series->count, series->has_outlook ? &series->outlook : NULL,
            series->offload};
    }
    input.comparison_count = compare_all(controller, programme, comparisons, rows);
    input.header = make_header(controller, programme);
    report = report_create(&input);
    json_object_put(input.header);
    for (size_t i = 0; i < input.comparison_count; i++)
        comparison_free(&comparisons[i]);
    return report;
}

static void write_json(struct json_object *report, FILE *out)
{
    fputs(json_object_to_json_string_ext(report, JSON_C_TO_STRING_PLAIN), out);
    fputc('\n', out);
}

int controller_write_reports(const struct controller *controller, struct json_object *report)
{
    static const struct {
        const char *name;
        void (*write)(struct json_object *report, FILE *out);
    } files[] = {{"report.json", write_json}, {"report.csv", report_write_csv}, {"report.html", report_write_html}};

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[256];
        FILE *file;

        snprintf(path, sizeof path, "%s/%s", controller->options->output, files[i].name);
        file = fopen(path, "we");
        if (file)
            files[i].write(report, file);
        if (!file || fclose(file) != 0) {
            log_error("testbed: cannot write %s: %s", path, strerror(errno));
            return -errno;
        }
    }
    return 0;
}
