/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/report.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "clock/clockd.h"
#include "clock/clockd_server.h"
#include "clock/clockd_sources.h"

static const char *const kind_names[REPORT_KINDS] = {"status", "sources", "stats", "record"};

int report_parse_request(const char *line)
{
    for (int i = 0; i < REPORT_KINDS; i++) {
        if (strcmp(line, kind_names[i]) == 0)
            return i;
    }
    return LOCKSTEP_E_UNKNOWN_NAME;
}

static void add_text(struct json_object *object, const char *key, const char *text)
{
    json_object_object_add(object, key, text ? json_object_new_string(text) : NULL);
}

static void add_int(struct json_object *object, const char *key, int64_t number)
{
    json_object_object_add(object, key, json_object_new_int64(number));
}

static void add_bool(struct json_object *object, const char *key, bool value)
{
    json_object_object_add(object, key, json_object_new_boolean(value));
}

static void add_null(struct json_object *object, const char *key)
{
    json_object_object_add(object, key, NULL);
}

/* What is not a number is null. Enough digits for a counter's frequency, and no more than a reader wants. */
static void add_number(struct json_object *object, const char *key, double number)
{
    char text[40];

    if (!isfinite(number)) {
        add_null(object, key);
        return;
    }
    snprintf(text, sizeof(text), "%.12g", number);
    json_object_object_add(object, key, json_object_new_double_s(number, text));
}

/* --- status ------------------------------------------------------------------------------------------------- */

static const char *status_name(enum lockstep_clock_status status)
{
    static const char *const names[] = {"unsynchronised", "synchronised", "holdover", "disrupted"};

    return (unsigned)status < 4 ? names[status] : "unsynchronised";
}

/* CLOCK_REALTIME minus the Lockstep clock, for those who wonder. */
static void add_system_offset(struct json_object *object, const struct clockd *clockd)
{
    struct counter_bracket bracket;
    struct lockstep_time time;

    if (counter_bracket(&clockd->counter, CLOCK_REALTIME, &bracket) == 0 &&
        clockd_time(clockd, bracket.before + (bracket.after - bracket.before) / 2, &time))
        add_int(object, "system_clock_offset_ns", bracket.clock_ns - time.ns);
    else
        add_null(object, "system_clock_offset_ns");
}

static void add_time(struct json_object *object, const struct clockd *clockd)
{
    const struct clock_values *values = &clockd->values;
    uint64_t counter = clockd->counter.read(clockd->counter.context);
    struct lockstep_time time;

    if (clock_values_at(values, counter, LOCKSTEP_TAI, &time) == 0) {
        int64_t bound = time.latest_ns - time.ns;

        add_int(object, "time_tai_ns", time.ns);
        add_int(object, "bound_ns", bound);
        if (values->utc_distance_ns < INT64_MAX - bound)
            add_int(object, "bound_utc_ns", bound + values->utc_distance_ns);
        else
            add_null(object, "bound_utc_ns");
    } else {
        add_null(object, "time_tai_ns");
        add_null(object, "bound_ns");
        add_null(object, "bound_utc_ns");
    }
    add_int(object, "bound_growth_ppb", values->bound_growth_ppb);
    add_int(object, "void_in_ns",
            (int64_t)((double)(int64_t)(values->void_after - counter) * 1e9 / clockd->counter.nominal_hz));
    add_int(object, "age_ns", clockd->updates ? clockd_now_ns() - clockd->last_update_ns : 0);
    add_int(object, "updates", (int64_t)clockd->updates);
}

static void add_counter(struct json_object *object, const struct clockd *clockd)
{
    struct json_object *counter = json_object_new_object();

    add_text(counter, "name", counter_name(clockd->counter.kind));
    add_number(counter, "nominal_hz", clockd->counter.nominal_hz);
    add_number(counter, "hz", clockd->values.period_ns > 0 ? 1e9 / clockd->values.period_ns : NAN);
    add_text(counter, "why", clockd->counter_why);
    json_object_object_add(object, "counter", counter);
}

static void add_leap(struct json_object *object, const struct clock_values *values)
{
    add_int(object, "tai_utc_s", values->tai_utc_s);
    add_int(object, "leap", values->leap);
    if (values->leap)
        add_int(object, "leap_at_utc_ns", values->leap_at_ns - (int64_t)values->tai_utc_s * 1000000000);
    else
        add_null(object, "leap_at_utc_ns");
}

static struct json_object *status_report(const struct clockd *clockd)
{
    struct json_object *object = json_object_new_object();
    const struct clock_values *values = &clockd->values;
    struct core_source_report source = {.estimate.rate_sigma_ppb = NAN};
    struct ntp_server_clock description;
    struct core_report core;
    bool selected;

    core_get_report(clockd->core, &core);
    clockd_describe(clockd, &description);
    selected = core.selected >= 0 && core_get_source(clockd->core, (unsigned)core.selected, &source);
    add_text(object, "program", "lockstep-clockd");
    add_text(object, "version", LOCKSTEP_VERSION);
    add_int(object, "pid", getpid());
    add_int(object, "uptime_s", (clockd_now_ns() - clockd->started_ns) / 1000000000);
    add_text(object, "segment", clockd->segment_path);
    add_text(object, "status", status_name(values->status));
    add_int(object, "disruptions", values->disruptions);
    add_text(object, "last_disruption", clockd->last_disruption);
    add_counter(object, clockd);
    add_text(object, "selected", selected ? source.name : NULL);
    add_int(object, "stratum", description.stratum);
    add_int(object, "reference_id", description.reference_id);
    add_leap(object, values);
    add_time(object, clockd);
    add_number(object, "remaining_ns", core.remaining_ns);
    add_number(object, "frequency_ppm", core.frequency_ppm);
    add_number(object, "frequency_sigma_ppb", selected ? source.estimate.rate_sigma_ppb : NAN);
    add_int(object, "root_delay_ns", description.root_delay_ns);
    add_int(object, "root_dispersion_ns", description.root_dispersion_ns);
    add_system_offset(object, clockd);
    add_bool(object, "disciplining", clockd->discipline);
    add_bool(object, "serving", clockd->server);
    add_bool(object, "local_reference", core.local_reference);
    add_bool(object, "sandbox", clockd->sandboxed);
    return object;
}

/* --- sources ------------------------------------------------------------------------------------------------ */

static const char *state_name(enum core_source_state state)
{
    static const char *const names[] = {"unreachable", "measuring", "falseticker", "candidate", "selected", "stopped"};

    return names[state];
}

static struct json_object *source_object(const struct clockd *clockd, unsigned number,
                                         const struct core_source_report *report)
{
    const struct clockd_source_config *config = clockd_sources_config(clockd, number);
    struct json_object *object = json_object_new_object();
    char address[NET_ENDPOINT_TEXT_MAX];
    enum stamp_kind stamps = clockd_sources_describe(clockd, number, address);

    add_text(object, "name", report->name);
    add_text(object, "address", *address ? address : NULL);
    add_text(object, "state", state_name(report->state));
    add_bool(object, "prefer", config->prefer);
    add_bool(object, "no_select", config->no_select);
    add_int(object, "reach", report->reach);
    add_int(object, "stratum", report->stratum);
    add_int(object, "leap", report->leap);
    add_int(object, "reference_id", report->reference_id);
    add_int(object, "poll_log2", report->poll_log2);
    add_bool(object, "interleaved", report->interleaved);
    add_text(object, "authentication", config->nts ? "nts" : config->key ? "key" : "none");
    add_bool(object, "authenticated", report->authenticated);
    if (report->last_reply_ns)
        add_int(object, "last_reply_ago_ns", clockd_now_ns() - report->last_reply_ns);
    else
        add_null(object, "last_reply_ago_ns");
    add_number(object, "offset_ns", report->offset_ns);
    add_number(object, "bound_ns", report->bound_ns);
    add_number(object, "round_trip_ns", report->round_trip_ns);
    add_text(object, "stamps", stamp_kind_name(stamps));
    return object;
}

static struct json_object *drops_object(const struct core_source_report *report)
{
    struct json_object *object = json_object_new_object();

    for (int i = 0; i < DROP_KINDS; i++) {
        if (report->dropped[i])
            add_int(object, core_drop_name((enum core_drop)i), (int64_t)report->dropped[i]);
    }
    return object;
}

static struct json_object *stats_object(const struct clockd *clockd, unsigned number,
                                        const struct core_source_report *report)
{
    const struct estimate *estimate = &report->estimate;
    struct json_object *object = json_object_new_object();

    add_text(object, "name", report->name);
    add_number(object, "frequency_ppm",
               estimate->valid ? (1e9 / estimate->period_ns / clockd->counter.nominal_hz - 1) * 1e6 : NAN);
    (void)number;
    add_number(object, "frequency_sigma_ppb", estimate->rate_sigma_ppb);
    add_number(object, "wander_ppb", estimate->wander_ppb);
    add_number(object, "sigma_ns", estimate->sigma_ns);
    add_number(object, "noise_ns", estimate->noise_ns);
    add_number(object, "baseline_ns", estimate->baseline_ns);
    add_number(object, "residual_ns", report->residual_ns);
    add_number(object, "excess_ns", report->excess_ns);
    add_number(object, "asymmetry", estimate->asymmetry);
    add_int(object, "root_delay_ns", report->root_delay_ns);
    add_int(object, "root_dispersion_ns", report->root_dispersion_ns);
    add_int(object, "accepted", (int64_t)report->counts.accepted);
    add_int(object, "held_back", (int64_t)report->counts.held_back);
    add_int(object, "refused", (int64_t)report->counts.refused);
    add_int(object, "restarts", (int64_t)report->counts.restarts);
    add_int(object, "shifts_up", (int64_t)report->counts.shifts_up);
    add_int(object, "shifts_down", (int64_t)report->counts.shifts_down);
    add_int(object, "sent", (int64_t)report->sent);
    add_int(object, "received", (int64_t)report->received);
    add_int(object, "used", (int64_t)report->used);
    json_object_object_add(object, "dropped", drops_object(report));
    return object;
}

static struct json_object *sources_report(const struct clockd *clockd,
                                          struct json_object *(*one)(const struct clockd *clockd, unsigned number,
                                                                     const struct core_source_report *report))
{
    struct json_object *object = json_object_new_object(), *list = json_object_new_array();
    struct core_source_report report;

    for (unsigned i = 0; i < clockd->config.source_count; i++) {
        if (core_get_source(clockd->core, i, &report))
            json_object_array_add(list, one(clockd, i, &report));
    }
    json_object_object_add(object, "sources", list);
    return object;
}

static struct json_object *server_object(const struct clockd *clockd)
{
    struct json_object *object;
    struct ntp_server_counts counts;

    if (!clockd->server)
        return NULL;
    object = json_object_new_object();
    clockd_server_get_counts(clockd->server, &counts);
    add_int(object, "requests", (int64_t)counts.requests);
    add_int(object, "replies", (int64_t)counts.replies);
    add_int(object, "interleaved", (int64_t)counts.interleaved);
    add_int(object, "malformed", (int64_t)counts.malformed);
    add_int(object, "denied", (int64_t)counts.denied);
    add_int(object, "rate_limited", (int64_t)counts.rate_limited);
    add_int(object, "kiss_rate", (int64_t)counts.kiss_rate);
    add_int(object, "not_authentic", (int64_t)counts.not_authentic);
    add_int(object, "nts", (int64_t)counts.nts);
    add_int(object, "keys", (int64_t)counts.keys);
    return object;
}

/* --- text --------------------------------------------------------------------------------------------------- */

static char *to_text(struct json_object *object)
{
    size_t length;
    const char *text = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &length);
    char *copy = text ? malloc(length + 2) : NULL;

    if (copy) {
        memcpy(copy, text, length);
        memcpy(copy + length, "\n", 2);
    }
    json_object_put(object);
    return copy;
}

char *report_write(const struct clockd *clockd, enum report_kind kind)
{
    struct json_object *object;

    switch (kind) {
    case REPORT_STATUS:
        object = status_report(clockd);
        break;
    case REPORT_SOURCES:
        object = sources_report(clockd, source_object);
        break;
    case REPORT_STATS:
        object = sources_report(clockd, stats_object);
        json_object_object_add(object, "server", server_object(clockd));
        break;
    default:
        return NULL;
    }
    return to_text(object);
}

char *report_write_error(const char *message)
{
    struct json_object *object = json_object_new_object();

    add_text(object, "error", message);
    return to_text(object);
}
