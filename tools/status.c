/* SPDX-License-Identifier: BSD-2-Clause */
/* What lockstep status says for people: the service, its interfaces and lanes, and what stayed with the kernel. */
#include <inttypes.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/units.h"
#include "tools/report.h"
#include "tools/text_table.h"

static void print_uptime(uint64_t seconds, FILE *out)
{
    if (seconds >= 86400)
        fprintf(out, "%" PRIu64 " d %" PRIu64 " h", seconds / 86400, seconds / 3600 % 24);
    else if (seconds >= 3600)
        fprintf(out, "%" PRIu64 " h %" PRIu64 " min", seconds / 3600, seconds / 60 % 60);
    else if (seconds >= 60)
        fprintf(out, "%" PRIu64 " min %" PRIu64 " s", seconds / 60, seconds % 60);
    else
        fprintf(out, "%" PRIu64 " s", seconds);
}

static void print_heading(struct json_object *status, FILE *out)
{
    fprintf(out, "lockstep-netd %s, process %" PRIu64 ", up ", report_text(status, "version"),
            report_number(status, "pid"));
    print_uptime(report_number(status, "uptime_s"), out);
    fputs(report_number(status, "adopting") ? "; taking lanes of an earlier instance over\n" : "\n", out);
}

/* Only if there is something to say: rules, or a file that was read again. */
static void print_configuration(struct json_object *status, FILE *out)
{
    struct json_object *configuration = report_member(status, "configuration");
    struct json_object *reload = report_member(configuration, "last_reload");
    uint64_t rules = report_number(configuration, "rules");
    bool kernel = strcmp(report_text(configuration, "default_action"), "kernel") == 0;
    time_t at = (time_t)report_number(reload, "time");
    char when[32] = "?";
    struct tm parts;

    if (rules > 0 || kernel || reload)
        fprintf(out, "Policy: %" PRIu64 " rules, then %s\n", rules, report_text(configuration, "default_action"));
    if (!reload)
        return;
    if (localtime_r(&at, &parts))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &parts);
    fprintf(out, "Configuration %s %s: %s\n", report_number(reload, "failed") ? "NOT read again" : "read again", when,
            report_text(reload, "text"));
}

/* --- interfaces --------------------------------------------------------------------------------------------- */

static void add_interface(struct text_table *table, struct json_object *interface, const char *divert)
{
    char addresses[512] = "";
    bool up = report_number(interface, "up");

    for (size_t i = 0; i < report_count(interface, "addresses"); i++) {
        struct json_object *address = report_element(interface, "addresses", i);
        size_t used = strlen(addresses);

        snprintf(addresses + used, sizeof addresses - used, "%s%s", i ? " " : "",
                 json_object_is_type(address, json_type_string) ? json_object_get_string(address) : "?");
    }
    text_table_add(table, "%s", report_text(interface, "name"));
    text_table_add(table, "%s", divert);
    text_table_add(table, "%s", !report_member(interface, "ifindex") ? "missing" : up ? "up" : "down");
    text_table_add(table, "%" PRIu64, report_number(interface, "mtu"));
    text_table_add(table, "%s", addresses);
}

static void print_interfaces(struct json_object *status, FILE *out, unsigned width)
{
    static const struct table_column columns[] = {
        {"INTERFACE", false, 0}, {"DIVERT", false, 0}, {"LINK", false, 0}, {"MTU", true, 0}, {"ADDRESSES", false, 20}};
    struct text_table *table = text_table_create(columns, sizeof columns / sizeof *columns);

    for (size_t i = 0; i < report_count(status, "interfaces"); i++) {
        struct json_object *interface = report_element(status, "interfaces", i);

        add_interface(table, interface, report_text(interface, "mode"));
        for (size_t j = 0; j < report_count(interface, "vlan"); j++) {
            struct json_object *vlan = report_element(interface, "vlan", j);
            char divert[32];

            snprintf(divert, sizeof divert, "vlan %" PRIu64, report_number(vlan, "id"));
            add_interface(table, vlan, divert);
        }
    }
    text_table_print(table, out, width);
    text_table_destroy(table);
    for (size_t i = 0; i < report_count(status, "interfaces"); i++) {
        struct json_object *interface = report_element(status, "interfaces", i);

        if (*report_text(interface, "why"))
            fprintf(out, "%s: %s: %s\n", report_text(interface, "name"), report_text(interface, "mode"),
                    report_text(interface, "why"));
    }
}

/* --- lanes -------------------------------------------------------------------------------------------------- */

static const char *user_name(uint64_t uid, char *text, size_t size)
{
    struct passwd entry, *found = NULL;
    char buffer[1024];

    if (getpwuid_r((uid_t)uid, &entry, buffer, sizeof buffer, &found) == 0 && found)
        snprintf(text, size, "%s", found->pw_name);
    else
        snprintf(text, size, "%" PRIu64, uid);
    return text;
}

static uint64_t guard_drops(struct json_object *lane)
{
    static const char *const reasons[] = {"malformed", "source", "fragment", "nexthop"};
    struct json_object *drops = report_member(lane, "guard_drops");
    uint64_t sum = 0;

    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        sum += report_number(drops, reasons[i]);
    return sum;
}

static void add_lane(struct text_table *table, struct json_object *lane)
{
    char user[64], received[UNITS_TEXT_MAX], sent[UNITS_TEXT_MAX], lost[UNITS_TEXT_MAX], refused[UNITS_TEXT_MAX];

    text_table_add(table, "%" PRIu64, report_number(lane, "lane"));
    text_table_add(table, "%" PRIu64, report_number(lane, "pid"));
    text_table_add(table, "%s", user_name(report_number(lane, "uid"), user, sizeof user));
    text_table_add(table, "%s", report_text(lane, "program"));
    text_table_add(table, "%s", report_text(lane, "injector"));
    text_table_add(table, "%" PRIu64, report_number(lane, "flows"));
    text_table_add(table, "%s", units_format_count(report_number(lane, "rx_packets"), received));
    text_table_add(table, "%s", units_format_count(report_number(lane, "tx_packets"), sent));
    text_table_add(table, "%s", units_format_count(report_number(lane, "overruns"), lost));
    text_table_add(table, "%s", units_format_count(guard_drops(lane) + report_number(lane, "bad_packets"), refused));
}

static const struct table_column lane_columns[] = {
    {"LANE", true, 0},    {"PID", true, 0},    {"USER", false, 6},  {"PROGRAM", false, 8}, {"INJECTOR", false, 0},
    {"SOCKETS", true, 0}, {"RX PKT", true, 0}, {"TX PKT", true, 0}, {"LOST", true, 0},     {"BAD", true, 0}};
static const struct report_table lane_table = {
    .key = "lanes",
    .empty = "No program is accelerated at present.",
    .columns = lane_columns,
    .column_count = sizeof lane_columns / sizeof *lane_columns,
    .add_row = add_lane,
};

/* --- totals ------------------------------------------------------------------------------------------------- */

static void print_divert(struct json_object *status, FILE *out)
{
    struct json_object *divert = report_member(status, "divert");
    char diverted[UNITS_TEXT_MAX], both[UNITS_TEXT_MAX], passed[UNITS_TEXT_MAX], lost[UNITS_TEXT_MAX];

    fprintf(out, "Packets: %s to lanes, %s to lane and kernel, %s to the kernel, %s lost because a ring was full\n",
            units_format_count(report_number(divert, "diverted"), diverted),
            units_format_count(report_number(divert, "both"), both),
            units_format_count(report_number(divert, "passed"), passed),
            units_format_count(report_number(divert, "overrun"), lost));
}

/* Only what did happen. */
static void print_events(struct json_object *status, FILE *out)
{
    static const struct {
        const char *key, *text;
    } events[] = {
        {"migrations", "connections moved to the kernel"},
        {"resets_sent", "peers reset for programs that died"},
        {"lanes_adopted", "lanes taken over from an earlier instance"},
        {"migrations_failed", "failed moves to the kernel"},
        {"accepted_failed", "accepted connections that were not registered"},
        {"clients_refused", "programs refused"},
        {"denied_requests", "requests denied"},
        {"rejected_messages", "malformed messages"},
        {"abandoned_descriptors", "descriptors that would not close"},
        {"nexthops_unresolved", "next hops without a MAC address"},
    };
    struct json_object *totals = report_member(status, "totals");
    const char *separator = "Events: ";

    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        uint64_t count = report_number(totals, events[i].key);

        if (count > 0) {
            fprintf(out, "%s%" PRIu64 " %s", separator, count, events[i].text);
            separator = ", ";
        }
    }
    if (*separator == ',')
        fputc('\n', out);
}

/* --- sockets of the kernel ---------------------------------------------------------------------------------- */

struct reason {
    const char *text;
    size_t count;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct reason *)a)->text, ((const struct reason *)b)->text);
}

static int by_count(const void *a, const void *b)
{
    const struct reason *first = a, *second = b;

    return first->count < second->count ? 1 : first->count > second->count ? -1 : by_text(a, b);
}

/* One entry a reason, the most frequent first; the caller frees it. */
static struct reason *count_reasons(struct json_object *connections, size_t *reason_count)
{
    size_t count = report_count(connections, "kernel"), used = 0;
    struct reason *reasons = calloc(count + 1, sizeof *reasons);

    for (size_t i = 0; reasons && i < count; i++)
        reasons[i] = (struct reason){report_text(report_element(connections, "kernel", i), "reason"), 1};
    *reason_count = 0;
    if (!reasons)
        return NULL;
    qsort(reasons, count, sizeof *reasons, by_text);
    for (size_t i = 0; i < count; i++) {
        if (used > 0 && strcmp(reasons[used - 1].text, reasons[i].text) == 0)
            reasons[used - 1].count++;
        else
            reasons[used++] = reasons[i];
    }
    qsort(reasons, used, sizeof *reasons, by_count);
    *reason_count = used;
    return reasons;
}

static void print_kernel(struct json_object *status, struct json_object *connections, FILE *out, unsigned width)
{
    static const struct table_column columns[] = {{"SOCKETS", true, 0}, {"WHY THEY STAYED WITH THE KERNEL", false, 40}};
    uint64_t total = report_number(report_member(status, "totals"), "kernel_sockets");
    size_t count, listed = report_count(connections, "kernel");
    struct reason *reasons;
    struct text_table *table;

    if (total < listed)
        total = listed;
    if (total == 0)
        return;
    fputc('\n', out);
    reasons = count_reasons(connections, &count);
    table = text_table_create(columns, 2);
    for (size_t i = 0; i < count; i++) {
        text_table_add(table, "%zu", reasons[i].count);
        text_table_add(table, "%s", reasons[i].text);
    }
    text_table_print(table, out, width);
    text_table_destroy(table);
    free(reasons);
    if (total > listed)
        fprintf(out, "(the latest %zu of %" PRIu64 ")\n", listed, total);
}

void status_print(struct json_object *status, struct json_object *connections, FILE *out, unsigned width)
{
    print_heading(status, out);
    print_configuration(status, out);
    fputc('\n', out);
    print_interfaces(status, out, width);
    fputc('\n', out);
    report_print_table(status, &lane_table, out, width);
    fputc('\n', out);
    print_divert(status, out);
    print_events(status, out);
    print_kernel(status, connections, out, width);
}
