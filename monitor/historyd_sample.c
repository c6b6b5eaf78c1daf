/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/historyd_sample.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/history_value.h"
#include "monitor/json_report.h"

#define COUNTERS_MAX 512
#define LANES_MAX    1024
#define GUARD_COUNTS 6

static const char *const guard_names[GUARD_COUNTS] = {"packets",      "bytes",          "drops/malformed",
                                                      "drops/source", "drops/fragment", "drops/nexthop"};

/* Guards belong to lanes, which come and go: their changes are added up. */
struct lane_guard {
    uint64_t since;
    int64_t counts[GUARD_COUNTS];
};

struct counter_sampler {
    struct history_counter known[COUNTERS_MAX]; /* change: at the last sample */
    size_t count;
    struct lane_guard lanes[LANES_MAX];
    int64_t guard_totals[GUARD_COUNTS];
    bool begun;
    struct history_counter *changed; /* of the sample at hand, COUNTERS_MAX */
    size_t changed_count;
};

struct counter_sampler *counter_sampler_create(void)
{
    return calloc(1, sizeof(struct counter_sampler));
}

void counter_sampler_destroy(struct counter_sampler *sampler)
{
    free(sampler);
}

static struct history_counter *find(struct counter_sampler *sampler, const char *name)
{
    for (size_t i = 0; i < sampler->count; i++) {
        if (strcmp(sampler->known[i].name, name) == 0)
            return &sampler->known[i];
    }
    return NULL;
}

static void note(struct counter_sampler *sampler, const char *group, const char *name, int64_t value)
{
    struct history_counter counter = {.value = value}, *known;

    snprintf(counter.name, sizeof counter.name, "%.40s/%.50s", group, name);
    history_text_clean(counter.name);
    known = find(sampler, counter.name);
    if (known && known->value == value)
        return;
    if (known)
        counter.change = value < known->value ? value : value - known->value;
    else if (sampler->count == COUNTERS_MAX)
        return;
    else
        known = &sampler->known[sampler->count++];
    *known = counter;
    sampler->changed[sampler->changed_count++] = counter;
}

static void note_members(struct counter_sampler *sampler, const char *group, struct json_object *object)
{
    if (!json_object_is_type(object, json_type_object))
        return;
    json_object_object_foreach(object, name, value)
    {
        if (json_object_is_type(value, json_type_int))
            note(sampler, group, name, json_object_get_int64(value));
    }
}

static void add_guard(struct counter_sampler *sampler, struct json_object *lane)
{
    struct json_object *drops = report_member(lane, "guard_drops");
    uint64_t number = report_number(lane, "lane");
    struct lane_guard *guard, now = {.since = report_number(lane, "since")};

    if (number >= LANES_MAX)
        return;
    now.counts[0] = (int64_t)report_number(lane, "guard_packets");
    now.counts[1] = (int64_t)report_number(lane, "guard_bytes");
    for (int i = 2; i < GUARD_COUNTS; i++)
        now.counts[i] = (int64_t)report_number(drops, guard_names[i] + strlen("drops/"));
    guard = &sampler->lanes[number];
    for (int i = 0; i < GUARD_COUNTS && sampler->begun; i++) {
        bool goes_on = guard->since == now.since && guard->counts[i] <= now.counts[i];

        sampler->guard_totals[i] += now.counts[i] - (goes_on ? guard->counts[i] : 0);
    }
    *guard = now;
}

static void note_guards(struct counter_sampler *sampler, struct json_object *status)
{
    for (size_t i = 0; i < report_count(status, "lanes"); i++)
        add_guard(sampler, report_element(status, "lanes", i));
    for (int i = 0; i < GUARD_COUNTS; i++)
        note(sampler, "guard", guard_names[i], sampler->guard_totals[i]);
}

/* As /sys has it; nothing if there is no such interface here. */
static void note_interface(struct counter_sampler *sampler, const char *name)
{
    static const char *const counts[] = {"rx_packets", "tx_packets", "rx_bytes",  "tx_bytes",
                                         "rx_dropped", "tx_dropped", "rx_errors", "tx_errors"};
    char path[120], group[60];

    if (!*name || strchr(name, '/') || strlen(name) > 15)
        return;
    snprintf(group, sizeof group, "interface/%s", name);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        int64_t value;
        FILE *file;

        snprintf(path, sizeof path, "/sys/class/net/%s/statistics/%s", name, counts[i]);
        file = fopen(path, "re");
        if (file && fscanf(file, "%" SCNd64, &value) == 1)
            note(sampler, group, counts[i], value);
        if (file)
            fclose(file);
    }
}

struct history_item *counter_sampler_take(struct counter_sampler *sampler, struct json_object *status)
{
    struct history_item *item = history_item_create(HISTORY_ITEM_COUNTERS);

    sampler->changed = calloc(COUNTERS_MAX, sizeof *sampler->changed);
    sampler->changed_count = 0;
    if (!item || !sampler->changed) {
        free(item);
        free(sampler->changed);
        return NULL;
    }
    note_members(sampler, "divert", report_member(status, "divert"));
    note_members(sampler, "service", report_member(status, "totals"));
    note_guards(sampler, status);
    for (size_t i = 0; i < report_count(status, "interfaces"); i++)
        note_interface(sampler, report_text(report_element(status, "interfaces", i), "name"));
    sampler->begun = true;
    item->counters.list = sampler->changed;
    item->counters.count = sampler->changed_count;
    item->bytes += COUNTERS_MAX * sizeof *sampler->changed;
    if (item->counters.count > 0)
        return item;
    history_item_free(item);
    return NULL;
}

/* --- clock -------------------------------------------------------------------------------------------------- */

static void copy_text(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text);
    history_text_clean(out);
}

static void take_source(struct history_clock *clock, struct json_object *object)
{
    struct history_source *source;

    if (clock->source_count == sizeof clock->sources / sizeof *clock->sources)
        return;
    source = &clock->sources[clock->source_count++];
    copy_text(source->name, sizeof source->name, report_text(object, "name"));
    copy_text(source->state, sizeof source->state, report_text(object, "state"));
    source->stratum = report_real(object, "stratum");
    source->reach = report_real(object, "reach");
    source->offset_ns = report_real(object, "offset_ns");
    source->bound_ns = report_real(object, "bound_ns");
    source->round_trip_ns = report_real(object, "round_trip_ns");
    if (strcmp(source->name, clock->selected) == 0)
        clock->offset_ns = source->offset_ns;
}

struct history_item *clock_sample(struct json_object *status, struct json_object *sources)
{
    struct history_item *item = history_item_create(HISTORY_ITEM_CLOCK);
    struct history_clock *clock = item ? calloc(1, sizeof *clock) : NULL;

    if (!clock) {
        free(item);
        return NULL;
    }
    item->clock = clock;
    item->bytes += sizeof *clock;
    copy_text(clock->status, sizeof clock->status, report_text(status, "status"));
    copy_text(clock->selected, sizeof clock->selected, report_text(status, "selected"));
    clock->stratum = report_real(status, "stratum");
    clock->bound_ns = report_real(status, "bound_ns");
    clock->bound_utc_ns = report_real(status, "bound_utc_ns");
    clock->frequency_ppm = report_real(status, "frequency_ppm");
    clock->frequency_sigma_ppb = report_real(status, "frequency_sigma_ppb");
    clock->system_offset_ns = report_real(status, "system_clock_offset_ns");
    clock->root_delay_ns = report_real(status, "root_delay_ns");
    clock->root_dispersion_ns = report_real(status, "root_dispersion_ns");
    clock->disruptions = report_real(status, "disruptions");
    clock->offset_ns = (double)NAN;
    for (size_t i = 0; i < report_count(sources, "sources"); i++)
        take_source(clock, report_element(sources, "sources", i));
    return item;
}
