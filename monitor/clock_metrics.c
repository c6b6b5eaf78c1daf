/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/clock_metrics.h"

#include <math.h>
#include <string.h>

#include "monitor/clock_client.h"
#include "monitor/json_report.h"
#include "monitor/prometheus.h"

struct metric {
    const char *key, *name, *type, *help;
    double scale; /* 0: the value is a binary logarithm */
};

static const struct metric status_metrics[] = {
    {"bound_ns", "lockstep_clock_bound_seconds", "gauge", "Error bound to the server.", 1e-9},
    {"bound_utc_ns", "lockstep_clock_bound_utc_seconds", "gauge", "Error bound to UTC.", 1e-9},
    {"age_ns", "lockstep_clock_age_seconds", "gauge", "Time since the last update.", 1e-9},
    {"updates", "lockstep_clock_updates_total", "counter", "Updates of the clock.", 1},
    {"disruptions", "lockstep_clock_disruptions_total", "counter", "Announced disruptions of the time.", 1},
    {"frequency_ppm", "lockstep_clock_frequency_offset_ratio", "gauge",
     "Rate of the counter against its nominal rate, minus 1.", 1e-6},
    {"remaining_ns", "lockstep_clock_remaining_correction_seconds", "gauge", "Correction that is still being slewed.",
     1e-9},
    {"root_delay_ns", "lockstep_clock_root_delay_seconds", "gauge", "Delay to the reference clock.", 1e-9},
    {"root_dispersion_ns", "lockstep_clock_root_dispersion_seconds", "gauge", "Dispersion to the reference clock.",
     1e-9},
    {"system_clock_offset_ns", "lockstep_clock_system_clock_offset_seconds", "gauge",
     "CLOCK_REALTIME minus this clock.", 1e-9},
    {"tai_utc_s", "lockstep_clock_tai_utc_seconds", "gauge", "TAI minus UTC.", 1},
    {"stratum", "lockstep_clock_stratum", "gauge", "NTP stratum of this node.", 1},
};

static const struct metric source_metrics[] = {
    {"offset_ns", "lockstep_clock_source_offset_seconds", "gauge", "Source minus this clock.", 1e-9},
    {"bound_ns", "lockstep_clock_source_bound_seconds", "gauge", "Error bound to the source.", 1e-9},
    {"round_trip_ns", "lockstep_clock_source_round_trip_seconds", "gauge", "Last round trip.", 1e-9},
    {"reach", "lockstep_clock_source_reach", "gauge", "The last eight polls as bits.", 1},
    {"stratum", "lockstep_clock_source_stratum", "gauge", "NTP stratum of the source.", 1},
    {"poll_log2", "lockstep_clock_source_poll_interval_seconds", "gauge", "Time between two polls.", 0},
};

static const struct metric stats_metrics[] = {
    {"noise_ns", "lockstep_clock_source_noise_seconds", "gauge", "Recent rms of the residuals.", 1e-9},
    {"sigma_ns", "lockstep_clock_source_sigma_seconds", "gauge", "Standard deviation of the offset.", 1e-9},
    {"baseline_ns", "lockstep_clock_source_baseline_seconds", "gauge", "Round-trip minimum in force.", 1e-9},
    {"sent", "lockstep_clock_source_requests_total", "counter", "Requests sent.", 1},
    {"received", "lockstep_clock_source_replies_total", "counter", "Packets received.", 1},
    {"used", "lockstep_clock_source_used_total", "counter", "Exchanges used.", 1},
    {"held_back", "lockstep_clock_source_held_back_total", "counter", "Exchanges held back as outliers.", 1},
    {"restarts", "lockstep_clock_source_restarts_total", "counter", "Times the estimate was begun anew.", 1},
};

static const struct metric server_metrics[] = {
    {"requests", "lockstep_clock_server_requests_total", "counter", "NTP requests received.", 1},
    {"replies", "lockstep_clock_server_replies_total", "counter", "NTP replies sent.", 1},
    {"denied", "lockstep_clock_server_denied_total", "counter", "Requests from networks that are not allowed.", 1},
    {"rate_limited", "lockstep_clock_server_rate_limited_total", "counter", "Requests over the rate limit.", 1},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static double value_of(struct json_object *object, const struct metric *metric)
{
    double value = report_real(object, metric->key);

    return metric->scale > 0 ? value * metric->scale : exp2(value);
}

static void print_plain(struct json_object *object, const struct metric *metrics, size_t count, FILE *out)
{
    for (size_t i = 0; i < count; i++)
        prometheus_single(out, metrics[i].name, metrics[i].type, metrics[i].help, value_of(object, &metrics[i]));
}

static void print_labelled(struct json_object *report, const struct metric *metrics, size_t count, FILE *out)
{
    for (size_t i = 0; i < count; i++) {
        prometheus_head(out, metrics[i].name, metrics[i].type, metrics[i].help);
        for (size_t j = 0; j < report_count(report, "sources"); j++) {
            struct json_object *source = report_element(report, "sources", j);

            prometheus_sample(out, metrics[i].name, value_of(source, &metrics[i]), "source",
                              report_text(source, "name"), NULL);
        }
    }
}

static void print_states(struct json_object *sources, FILE *out)
{
    static const char name[] = "lockstep_clock_source_state";

    prometheus_head(out, name, "gauge", "1 for the state that the source is in.");
    for (size_t i = 0; i < report_count(sources, "sources"); i++) {
        struct json_object *source = report_element(sources, "sources", i);

        prometheus_sample(out, name, 1, "source", report_text(source, "name"), "state", report_text(source, "state"),
                          NULL);
    }
}

static void print_dropped(struct json_object *stats, FILE *out)
{
    static const char name[] = "lockstep_clock_source_dropped_total";

    prometheus_head(out, name, "counter", "Replies not used, by reason.");
    for (size_t i = 0; i < report_count(stats, "sources"); i++) {
        struct json_object *source = report_element(stats, "sources", i);
        struct json_object *dropped = report_member(source, "dropped");

        if (!json_object_is_type(dropped, json_type_object))
            continue;
        json_object_object_foreach(dropped, key, value)
        {
            (void)value;
            prometheus_sample(out, name, (double)report_number(dropped, key), "source", report_text(source, "name"),
                              "reason", key, NULL);
        }
    }
}

static void print_status(struct json_object *status, FILE *out)
{
    static const char name[] = "lockstep_clock_status";

    prometheus_head(out, name, "gauge", "1 for the status that the clock is in.");
    for (int i = LOCKSTEP_CLOCK_UNSYNCHRONISED; i <= LOCKSTEP_CLOCK_DISRUPTED; i++) {
        const char *state = clock_status_name((enum lockstep_clock_status)i);

        prometheus_sample(out, name, strcmp(report_text(status, "status"), state) == 0, "status", state, NULL);
    }
}

void clock_print_prometheus(struct json_object *status, struct json_object *sources, struct json_object *stats,
                            FILE *out)
{
    print_status(status, out);
    print_plain(status, status_metrics, COUNT(status_metrics), out);
    print_labelled(sources, source_metrics, COUNT(source_metrics), out);
    print_states(sources, out);
    print_labelled(stats, stats_metrics, COUNT(stats_metrics), out);
    print_dropped(stats, out);
    print_plain(report_member(stats, "server"), server_metrics, COUNT(server_metrics), out);
}
