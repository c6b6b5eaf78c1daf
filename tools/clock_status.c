/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep clock status: from the segment alone; what the daemon adds if it can be asked. */
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "base/option.h"
#include "tools/clock.h"
#include "tools/report.h"

struct status_options {
    char clock[PATH_MAX];
    char runtime_dir[90];
    bool json;
};

static const struct option_entry entries[] = {
    {"clock",
     'c',
     "The clock's segment. Default: $LOCKSTEP_CLOCK, else /run/lockstep/clock.",
     {VALUE_TEXT(struct status_options, clock)},
     "FILE"},
    {"runtime-dir",
     'd',
     "The daemon's directory. Default: that of --clock; else $LOCKSTEP_RUNTIME_DIR, else /run/lockstep.",
     {VALUE_TEXT(struct status_options, runtime_dir)},
     "DIR"},
    {"json", 'j', "Print a JSON document.", {VALUE_BOOL(struct status_options, json)}, NULL},
    {0},
};

static const struct option_program program = {
    .name = "lockstep clock status",
    .summary = "Show the time, its error bound and where it comes from.",
    .entries = entries,
};

/* What the segment says, at one moment. */
struct status {
    struct lockstep_clock_info info;
    struct lockstep_time tai, utc; /* zero without a time */
    int torn;                      /* negative: the segment's error */
    double system_ns;              /* CLOCK_REALTIME minus this clock, NAN: not known */
};

static void look(struct lockstep_clock *clock, struct status *status)
{
    struct counter counter;
    struct counter_bracket bracket;
    struct lockstep_time time;
    uint64_t now = lockstep_clock_counter(clock);

    memset(status, 0, sizeof *status);
    status->system_ns = (double)NAN;
    status->torn = lockstep_clock_get_info(clock, &status->info);
    if (status->torn < 0 || lockstep_clock_at(clock, now, LOCKSTEP_TAI, &status->tai) < 0 ||
        lockstep_clock_at(clock, now, LOCKSTEP_UTC, &status->utc) < 0)
        return;
    clock_as_counter(clock, &counter);
    if (counter_bracket(&counter, CLOCK_REALTIME, &bracket) == 0 &&
        lockstep_clock_at(clock, bracket.before / 2 + bracket.after / 2, LOCKSTEP_UTC, &time) == 0)
        status->system_ns = (double)(bracket.clock_ns - time.ns);
}

static void line(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void line(const char *name, const char *format, ...)
{
    va_list arguments;

    printf("%-16s: ", name);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

static const char *ns_or_unknown(int64_t ns, char *text)
{
    return ns == INT64_MAX ? strcpy(text, "not known") : clock_ns((double)ns, text);
}

static void print_bounds(const struct lockstep_clock_info *info)
{
    char server[CLOCK_TEXT_MAX], utc[CLOCK_TEXT_MAX];

    line("Error bound", "%s to the server, %s to UTC", ns_or_unknown(info->bound_ns, server),
         ns_or_unknown(info->bound_utc_ns, utc));
}

static void print_leap(const struct lockstep_clock_info *info)
{
    line("TAI - UTC", "%d s, %s", info->tai_utc_s,
         info->leap > 0   ? "a leap second will be inserted"
         : info->leap < 0 ? "a second will be left out"
                          : "no leap second announced");
}

static void print_segment(const struct status *status)
{
    const struct lockstep_clock_info *info = &status->info;
    char text[CLOCK_TEXT_MAX], age[CLOCK_TEXT_MAX];

    line("Status", "%s%s", clock_status_name(info->status),
         status->torn < 0 ? " (the segment is torn: its daemon died in the middle of an update)" : "");
    if (status->tai.ns) {
        line("TAI", "%s", clock_date(status->tai.ns, text));
        line("UTC", "%s", clock_date(status->utc.ns, text));
        print_bounds(info);
    }
    if (info->updates == 0)
        return;
    line("Last update", "%s ago, %" PRIu64 " updates", clock_duration(info->age_ns, age), info->updates);
    if (status->tai.ns)
        line("Void in", "%s without a further update", clock_duration(info->void_in_ns, text));
    line("Counter", "%s at %.6f MHz", info->counter, info->counter_hz / 1e6);
    print_leap(info);
    line("Disruptions", "%" PRIu32, info->disruptions);
    if (isfinite(status->system_ns))
        line("System clock", "%s %s this clock", clock_ns(fabs(status->system_ns), text),
             status->system_ns < 0 ? "behind" : "ahead of");
}

/* "192.0.2.1" or "PPS": stratum 1 has four characters, the others the address of an IPv4 server or a hash. */
static const char *reference_text(struct json_object *daemon, char text[16])
{
    uint32_t id = (uint32_t)report_number(daemon, "reference_id");
    bool letters = report_number(daemon, "stratum") <= 1 && id != 0;

    for (int i = 0; i < 4 && letters; i++) {
        char c = (char)(id >> (24 - 8 * i));

        letters = (c >= ' ' && c <= '~') || c == '\0';
        text[i] = c;
        text[i + 1] = '\0';
    }
    if (!letters)
        snprintf(text, 16, "%u.%u.%u.%u", id >> 24, id >> 16 & 255, id >> 8 & 255, id & 255);
    return text;
}

static void print_daemon(struct json_object *daemon)
{
    char text[CLOCK_TEXT_MAX], other[CLOCK_TEXT_MAX], reference[16];
    double sigma = report_real(daemon, "frequency_sigma_ppb");

    line("Source", "%s", *report_text(daemon, "selected") ? report_text(daemon, "selected") : "none selected");
    line("Stratum", "%" PRIu64 ", reference %s", report_number(daemon, "stratum"), reference_text(daemon, reference));
    if (isfinite(sigma))
        line("Frequency", "%+.4f ppm +- %.1f ppb against nominal", report_real(daemon, "frequency_ppm"), sigma);
    line("Being corrected", "%s", clock_signed_ns(report_real(daemon, "remaining_ns"), text));
    line("Root", "delay %s, dispersion %s", clock_ns(report_real(daemon, "root_delay_ns"), text),
         clock_ns(report_real(daemon, "root_dispersion_ns"), other));
    if (*report_text(daemon, "last_disruption"))
        line("Last disruption", "%s", report_text(daemon, "last_disruption"));
    line("Daemon", "%s %s, process %" PRIu64 ", up %s%s%s%s", report_text(daemon, "program"),
         report_text(daemon, "version"), report_number(daemon, "pid"),
         clock_duration((int64_t)report_number(daemon, "uptime_s") * 1000000000, text),
         report_number(daemon, "serving") ? ", serving" : "",
         report_number(daemon, "local_reference") ? ", its own reference" : "",
         report_number(daemon, "disciplining") ? ", steering the system clock" : "");
}

static void add_ns(struct json_object *object, const char *key, int64_t ns, bool known)
{
    json_object_object_add(object, key, known ? json_object_new_int64(ns) : NULL);
}

static void print_json(const struct status *status, struct json_object *daemon)
{
    const struct lockstep_clock_info *info = &status->info;
    struct json_object *object = json_object_new_object();
    const bool timed = status->tai.ns != 0, updated = info->updates > 0;

    json_object_object_add(object, "status", json_object_new_string(clock_status_name(info->status)));
    json_object_object_add(object, "torn", json_object_new_boolean(status->torn < 0));
    add_ns(object, "tai_ns", status->tai.ns, timed);
    add_ns(object, "utc_ns", status->utc.ns, timed);
    add_ns(object, "bound_ns", info->bound_ns, timed);
    add_ns(object, "bound_utc_ns", info->bound_utc_ns, timed && info->bound_utc_ns != INT64_MAX);
    add_ns(object, "age_ns", info->age_ns, updated);
    add_ns(object, "void_in_ns", info->void_in_ns, updated);
    json_object_object_add(object, "updates", json_object_new_uint64(info->updates));
    json_object_object_add(object, "disruptions", json_object_new_int64(info->disruptions));
    json_object_object_add(object, "counter", json_object_new_string(info->counter));
    clock_add_number(object, "counter_hz", updated ? info->counter_hz : (double)NAN);
    json_object_object_add(object, "tai_utc_s", json_object_new_int(info->tai_utc_s));
    json_object_object_add(object, "leap", json_object_new_int(info->leap));
    clock_add_number(object, "system_clock_offset_ns", status->system_ns);
    json_object_object_add(object, "daemon", json_object_get(daemon));
    report_print_json(object, stdout);
    json_object_put(object);
}

/* The daemon of a segment that was named has its socket beside it. */
static void choose_dir(struct status_options *options)
{
    const char *slash = strrchr(options->clock, '/');

    if (*options->runtime_dir || !slash || (size_t)(slash - options->clock) >= sizeof options->runtime_dir)
        return;
    memcpy(options->runtime_dir, options->clock, (size_t)(slash - options->clock));
}

static int status_main(int argc, char **argv)
{
    static struct status_options options;
    struct json_object *daemon;
    struct lockstep_clock *clock;
    struct status status;
    int exit_status;

    if (option_run(&program, argc, argv, &options, &exit_status) < 0)
        return exit_status;
    clock = clock_open_segment(options.clock);
    if (!clock)
        return 1;
    choose_dir(&options);
    daemon = clock_fetch(options.runtime_dir, "status", true);
    look(clock, &status);
    if (options.json) {
        print_json(&status, daemon);
    } else {
        print_segment(&status);
        if (daemon)
            print_daemon(daemon);
    }
    json_object_put(daemon);
    lockstep_clock_close(clock);
    return 0;
}

const struct command clock_status = {"status", &program, status_main, NULL};
