/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep clock: the daemon's reports, fetched and printed. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "clock/report.h"
#include "stack/netd_client.h"
#include "tools/clock.h"
#include "tools/report.h"
#include "tools/text_table.h"

#define ANSWER_MAX (4 << 20)
#define PATIENCE_S 5

/* --- fetching ----------------------------------------------------------------------------------------------- */

static int connect_to(const struct sockaddr_un *address)
{
    const struct timeval patience = {PATIENCE_S, 0};
    int err, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        return fd;
    err = -errno;
    close(fd);
    return err;
}

int clock_ask(const char *dir, const char *request, bool quiet)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char line[REPORT_LINE_MAX + 1];
    int fd, length = snprintf(line, sizeof line, "%s\n", request);

    if (!dir || !*dir)
        dir = client_runtime_dir(dir);
    if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", dir, REPORT_SOCKET_NAME) >=
        sizeof address.sun_path)
        fd = -ENAMETOOLONG;
    else
        fd = connect_to(&address);
    if (fd >= 0 && send(fd, line, (size_t)length, MSG_NOSIGNAL) != length) {
        close(fd);
        fd = -EPIPE;
    }
    if (fd < 0 && !quiet)
        fprintf(stderr, "lockstep: no clock daemon at %s: %s%s\n", dir, error_text(fd),
                fd == -ENOENT || fd == -ECONNREFUSED ? ": is lockstep-clockd running?" : "");
    return fd;
}

/* Until the end of the stream. The caller frees the text; NULL: an error or far too long. */
static char *read_all(int fd, size_t *length)
{
    const struct timeval patience = {PATIENCE_S, 0};
    size_t room = 65536;
    char *text = malloc(room);

    *length = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    while (text) {
        ssize_t got = recv(fd, text + *length, room - *length, 0);

        if (got == 0)
            return text;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || room >= ANSWER_MAX)
            break;
        *length += (size_t)got;
        if (*length == room) {
            char *larger = realloc(text, room *= 2);

            if (!larger)
                break;
            text = larger;
        }
    }
    free(text);
    return NULL;
}

struct json_object *clock_fetch(const char *dir, const char *request, bool quiet)
{
    int fd = clock_ask(dir, request, quiet);
    struct json_object *report;
    size_t length;
    char *text;

    if (fd < 0)
        return NULL;
    text = read_all(fd, &length);
    close(fd);
    report = text ? report_parse(text, length) : NULL;
    free(text);
    if (report && *report_text(report, "error")) {
        if (!quiet)
            fprintf(stderr, "lockstep: the clock daemon says: %s\n", report_text(report, "error"));
        json_object_put(report);
        return NULL;
    }
    if (!report && !quiet)
        fprintf(stderr, "lockstep: cannot read the clock daemon's report\n");
    return report;
}

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
    double ns = clock_number(object, key);
    char text[CLOCK_TEXT_MAX];

    text_table_add(table, "%s", with_sign ? clock_signed_ns(ns, text) : clock_ns(ns, text));
}

static void add_source(struct text_table *table, struct json_object *source)
{
    double ago_ns = clock_number(source, "last_reply_ago_ns");
    char text[CLOCK_TEXT_MAX];

    text_table_add(table, "%c", state_mark(report_text(source, "state")));
    text_table_add(table, "%s", report_text(source, "name"));
    text_table_add(table, "%" PRIu64, report_number(source, "stratum"));
    text_table_add(table, "%.0f", clock_number(source, "poll_log2"));
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
    double frequency = clock_number(source, "frequency_ppm");

    text_table_add(table, "%s", report_text(source, "name"));
    text_table_add(table, "%" PRIu64, report_number(source, "used"));
    text_table_add(table, "%" PRIu64, report_number(source, "held_back"));
    text_table_add(table, "%" PRIu64, drops(source));
    if (isfinite(frequency))
        text_table_add(table, "%+.4f", frequency);
    else
        text_table_add(table, "-");
    text_table_add(table, "%.1f", clock_number(source, "frequency_sigma_ppb"));
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

/* --- Prometheus --------------------------------------------------------------------------------------------- */

static void print_label(const char *value, FILE *out)
{
    for (; *value; value++) {
        if (*value == '\n')
            fputs("\\n", out);
        else if (*value == '"' || *value == '\\')
            fprintf(out, "\\%c", *value);
        else
            fputc(*value, out);
    }
}

static void print_head(const char *name, const char *type, const char *help, FILE *out)
{
    fprintf(out, "# HELP lockstep_clock_%s %s\n# TYPE lockstep_clock_%s %s\n", name, help, name, type);
}

struct metric {
    const char *key, *name, *type, *help;
    double scale;
};

static const struct metric status_metrics[] = {
    {"bound_ns", "bound_seconds", "gauge", "Error bound to the server.", 1e-9},
    {"bound_utc_ns", "bound_utc_seconds", "gauge", "Error bound to UTC.", 1e-9},
    {"age_ns", "age_seconds", "gauge", "Time since the last update.", 1e-9},
    {"updates", "updates_total", "counter", "Updates of the clock.", 1},
    {"disruptions", "disruptions_total", "counter", "Announced disruptions of the time.", 1},
    {"frequency_ppm", "frequency_ppm", "gauge", "Rate of the counter against its nominal rate.", 1},
    {"remaining_ns", "remaining_correction_seconds", "gauge", "Correction that is still being slewed.", 1e-9},
    {"root_delay_ns", "root_delay_seconds", "gauge", "Delay to the reference clock.", 1e-9},
    {"root_dispersion_ns", "root_dispersion_seconds", "gauge", "Dispersion to the reference clock.", 1e-9},
    {"system_clock_offset_ns", "system_clock_offset_seconds", "gauge", "CLOCK_REALTIME minus this clock.", 1e-9},
    {"tai_utc_s", "tai_utc_seconds", "gauge", "TAI minus UTC.", 1},
    {"stratum", "stratum", "gauge", "NTP stratum of this node.", 1},
};

static const struct metric source_metrics[] = {
    {"offset_ns", "source_offset_seconds", "gauge", "Source minus this clock.", 1e-9},
    {"bound_ns", "source_bound_seconds", "gauge", "Error bound to the source.", 1e-9},
    {"round_trip_ns", "source_round_trip_seconds", "gauge", "Last round trip.", 1e-9},
    {"reach", "source_reach", "gauge", "The last eight polls as bits.", 1},
    {"stratum", "source_stratum", "gauge", "NTP stratum of the source.", 1},
    {"poll_log2", "source_poll_log2_seconds", "gauge", "Poll interval, binary logarithm.", 1},
};

static const struct metric stats_metrics[] = {
    {"noise_ns", "source_noise_seconds", "gauge", "Recent rms of the residuals.", 1e-9},
    {"sigma_ns", "source_sigma_seconds", "gauge", "Standard deviation of the offset.", 1e-9},
    {"baseline_ns", "source_baseline_seconds", "gauge", "Round-trip minimum in force.", 1e-9},
    {"sent", "source_requests_total", "counter", "Requests sent.", 1},
    {"received", "source_replies_total", "counter", "Packets received.", 1},
    {"used", "source_used_total", "counter", "Exchanges used.", 1},
    {"held_back", "source_held_back_total", "counter", "Exchanges held back as outliers.", 1},
    {"restarts", "source_restarts_total", "counter", "Times the estimate was begun anew.", 1},
};

static const struct metric server_metrics[] = {
    {"requests", "server_requests_total", "counter", "NTP requests received.", 1},
    {"replies", "server_replies_total", "counter", "NTP replies sent.", 1},
    {"denied", "server_denied_total", "counter", "Requests from networks that are not allowed.", 1},
    {"rate_limited", "server_rate_limited_total", "counter", "Requests over the rate limit.", 1},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void print_plain(struct json_object *object, const struct metric *metrics, size_t count, FILE *out)
{
    for (size_t i = 0; i < count; i++) {
        double value = clock_number(object, metrics[i].key);

        if (!isfinite(value))
            continue;
        print_head(metrics[i].name, metrics[i].type, metrics[i].help, out);
        fprintf(out, "lockstep_clock_%s %.12g\n", metrics[i].name, value * metrics[i].scale);
    }
}

static void print_labelled(struct json_object *report, const struct metric *metrics, size_t count, FILE *out)
{
    for (size_t i = 0; i < count; i++) {
        print_head(metrics[i].name, metrics[i].type, metrics[i].help, out);
        for (size_t j = 0; j < report_count(report, "sources"); j++) {
            struct json_object *source = report_element(report, "sources", j);
            double value = clock_number(source, metrics[i].key);

            if (!isfinite(value))
                continue;
            fprintf(out, "lockstep_clock_%s{source=\"", metrics[i].name);
            print_label(report_text(source, "name"), out);
            fprintf(out, "\"} %.12g\n", value * metrics[i].scale);
        }
    }
}

static void print_states(struct json_object *sources, FILE *out)
{
    print_head("source_state", "gauge", "1 for the state that the source is in.", out);
    for (size_t i = 0; i < report_count(sources, "sources"); i++) {
        struct json_object *source = report_element(sources, "sources", i);

        fputs("lockstep_clock_source_state{source=\"", out);
        print_label(report_text(source, "name"), out);
        fputs("\",state=\"", out);
        print_label(report_text(source, "state"), out);
        fputs("\"} 1\n", out);
    }
}

static void print_dropped(struct json_object *stats, FILE *out)
{
    print_head("source_dropped_total", "counter", "Replies not used, by reason.", out);
    for (size_t i = 0; i < report_count(stats, "sources"); i++) {
        struct json_object *source = report_element(stats, "sources", i);
        struct json_object *dropped = report_member(source, "dropped");

        if (!json_object_is_type(dropped, json_type_object))
            continue;
        json_object_object_foreach(dropped, key, value)
        {
            (void)value;
            fputs("lockstep_clock_source_dropped_total{source=\"", out);
            print_label(report_text(source, "name"), out);
            fputs("\",reason=\"", out);
            print_label(key, out);
            fprintf(out, "\"} %" PRIu64 "\n", report_number(dropped, key));
        }
    }
}

void clock_print_prometheus(struct json_object *status, struct json_object *sources, struct json_object *stats,
                            FILE *out)
{
    print_head("status", "gauge", "1 for the status that the clock is in.", out);
    for (int i = LOCKSTEP_CLOCK_UNSYNCHRONISED; i <= LOCKSTEP_CLOCK_DISRUPTED; i++) {
        const char *name = clock_status_name((enum lockstep_clock_status)i);

        fprintf(out, "lockstep_clock_status{status=\"%s\"} %d\n", name,
                strcmp(report_text(status, "status"), name) == 0);
    }
    print_plain(status, status_metrics, COUNT(status_metrics), out);
    print_labelled(sources, source_metrics, COUNT(source_metrics), out);
    print_states(sources, out);
    print_labelled(stats, stats_metrics, COUNT(stats_metrics), out);
    print_dropped(stats, out);
    print_plain(report_member(stats, "server"), server_metrics, COUNT(server_metrics), out);
}
