/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep doctor: what stands between this machine and low, predictable latency. */
#include <glob.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "monitor/history_store.h"
#include "platform/platform.h"
#include "tools/clock.h"
#include "tools/command.h"
#include "tools/doctor.h"
#include "tools/report.h"

#define INTERFACES_MAX 16

enum { EXIT_FINE = 0, EXIT_WARNINGS = 1, EXIT_PROBLEMS = 3 };

struct doctor_options {
    char interfaces[INTERFACES_MAX][IFNAMSIZ];
    char runtime_dir[90];
    char clock[PATH_MAX];
    char history[PATH_MAX], web[PATH_MAX];
    bool all, json;
};

static const struct option_entry entries[] = {
    {"interface",
     'i',
     "Look at this interface; may be repeated. Default: those that the service accelerates; without it all that are up "
     "and have an address.",
     {VALUE_TEXTS(struct doctor_options, interfaces)},
     "NAME"},
    {"runtime-dir",
     'd',
     "The service's directory. Default: $LOCKSTEP_RUNTIME_DIR, else " CONTROL_DEFAULT_DIR ".",
     {VALUE_TEXT(struct doctor_options, runtime_dir)},
     "DIR"},
    {"clock",
     'c',
     "The clock's segment. Default: $LOCKSTEP_CLOCK, else /run/lockstep/clock.",
     {VALUE_TEXT(struct doctor_options, clock)},
     "FILE"},
    {"history",
     0,
     "The history database.",
     {VALUE_TEXT(struct doctor_options, history), .initial = HISTORY_DEFAULT_FILE},
     "FILE"},
    {"web-config",
     0,
     "The dashboard's configuration.",
     {VALUE_TEXT(struct doctor_options, web), .initial = WEB_CONFIG_FILE},
     "FILE"},
    {"all", 'a', "Show what is well, too.", {VALUE_BOOL(struct doctor_options, all)}, NULL},
    {"json", 'j', "Print a JSON document.", {VALUE_BOOL(struct doctor_options, json)}, NULL},
    {0},
};

static const struct option_program program = {
    .name = "lockstep doctor",
    .summary = "Find what keeps this machine from low, predictable latency.",
    .entries = entries,
};

/* ---- looking ---- */

static void ask_service(const char *dir, struct doctor_service *service)
{
    struct netd_client *client;

    snprintf(service->dir, sizeof service->dir, "%s", client_runtime_dir(dir));
    service->err = client_connect(&client, dir, "lockstep", 0, NULL);
    if (service->err < 0)
        return;
    service->status = report_fetch(client, CONTROL_REPORT_STATUS);
    client_close(client);
    if (!service->status)
        service->err = LOCKSTEP_E_BAD_FORMAT;
}

/* The daemon's sockets are beside a segment that was named. */
static void ask_clock_daemon(const struct doctor_options *options, struct doctor_clock *clock)
{
    char dir[PATH_MAX];

    snprintf(dir, sizeof dir, "%s", options->clock);
    if (strrchr(dir, '/'))
        *strrchr(dir, '/') = '\0';
    clock->daemon = clock_fetch(*options->clock ? dir : options->runtime_dir, "status", true);
    clock->sources = clock_fetch(*options->clock ? dir : options->runtime_dir, "sources", true);
}

static void ask_clock(const struct doctor_options *options, struct doctor_clock *clock)
{
    const char *named = getenv("LOCKSTEP_CLOCK");
    struct lockstep_clock *handle;
    struct lockstep_clock_info info;

    snprintf(clock->path, sizeof clock->path, "%s",
             *options->clock   ? options->clock
             : named && *named ? named
                               : CONTROL_DEFAULT_DIR "/clock");
    clock->err = lockstep_clock_open(*options->clock ? options->clock : NULL, &handle);
    if (clock->err < 0)
        return;
    clock->err = lockstep_clock_get_info(handle, &info);
    lockstep_clock_close(handle);
    if (clock->err < 0)
        return;
    snprintf(clock->status, sizeof clock->status, "%s", clock_status_name(info.status));
    snprintf(clock->counter, sizeof clock->counter, "%s", info.counter);
    clock->gives_time = info.bound_ns != INT64_MAX;
    clock->bound_ns = info.bound_ns;
    ask_clock_daemon(options, clock);
}

/* The first of the names that a process has, else "". */
static const char *running(const char *const *names)
{
    const char *found = "";
    glob_t processes;

    if (glob("/proc/[0-9]*/comm", GLOB_NOSORT, NULL, &processes) != 0)
        return found;
    for (size_t i = 0; i < processes.gl_pathc && !*found; i++) {
        FILE *file = fopen(processes.gl_pathv[i], "re");
        char comm[32] = "";

        if (!file)
            continue;
        if (fgets(comm, sizeof comm, file))
            comm[strcspn(comm, "\n")] = '\0';
        fclose(file);
        for (size_t j = 0; names[j]; j++) {
            if (strcmp(comm, names[j]) == 0)
                found = names[j];
        }
    }
    globfree(&processes);
    return found;
}

/* ---- interfaces ---- */

static void add_interface(struct doctor_options *options, const char *name)
{
    for (size_t i = 0; i < INTERFACES_MAX; i++) {
        if (strcmp(options->interfaces[i], name) == 0)
            return;
        if (options->interfaces[i][0] == '\0') {
            snprintf(options->interfaces[i], IFNAMSIZ, "%s", name);
            return;
        }
    }
}

static void choose_interfaces(struct doctor_options *options, const struct doctor_service *service)
{
    struct ifaddrs *all;

    for (size_t i = 0; i < report_count(service->status, "interfaces"); i++)
        add_interface(options, report_text(report_element(service->status, "interfaces", i), "name"));
    if (options->interfaces[0][0] || getifaddrs(&all) < 0)
        return;
    for (struct ifaddrs *one = all; one; one = one->ifa_next) {
        if (one->ifa_addr && (one->ifa_addr->sa_family == AF_INET || one->ifa_addr->sa_family == AF_INET6) &&
            (one->ifa_flags & IFF_UP) && !(one->ifa_flags & IFF_LOOPBACK))
            add_interface(options, one->ifa_name);
    }
    freeifaddrs(all);
}

static void put(struct json_object *object, const char *key, const char *text)
{
    json_object_object_add(object, key, json_object_new_string(text));
}

static void describe_interface(const struct host_interface *interface, struct json_object *list)
{
    struct json_object *object = json_object_new_object();
    char text[300];

    put(object, "name", interface->name);
    put(object, "driver", interface->driver);
    put(object, "speed_mbit_per_s", interface->speed_mbit);
    json_object_object_add(object, "mtu", json_object_new_int64(interface->mtu));
    put(object, "interrupts", host_interrupts_text(interface, text, sizeof text));
    json_object_array_add(list, object);
}

static bool check_interface(const char *name, const struct host_facts *facts, struct host_interface *interface,
                            struct json_object *list, struct findings *findings)
{
    static struct doctor_programs programs;
    uint64_t features = 0;
    bool known;

    if (host_interface_read("", name, interface) < 0) {
        finding_advise(findings_add(findings, "interface", FINDING_PROBLEM, "there is no interface %s", name), "",
                       "ip link shows those that there are");
        return false;
    }
    describe_interface(interface, list);
    host_interface_judge(facts, interface, findings);
    known = doctor_read_xdp_features(if_nametoindex(name), &features) == 0;
    doctor_check_driver(interface, known, features, findings);
    doctor_read_programs(if_nametoindex(name), &programs);
    doctor_check_programs(name, &programs, findings);
    return true;
}

/* And where the accelerated programs run beside their interrupts. */
static void check_interfaces(const struct doctor_options *options, const struct host_facts *facts,
                             struct json_object *status, struct json_object *list, struct findings *findings)
{
    static struct host_interface interfaces[INTERFACES_MAX];
    static struct doctor_placement placement;
    size_t count = 0;

    for (size_t i = 0; i < INTERFACES_MAX && options->interfaces[i][0]; i++)
        count += check_interface(options->interfaces[i], facts, &interfaces[count], list, findings);
    doctor_read_placement("", status, &placement);
    doctor_check_placement(&placement, facts, interfaces, count, findings);
}

/* ---- all of it ---- */

static bool diverts(const struct doctor_service *service)
{
    for (size_t i = 0; i < report_count(service->status, "interfaces"); i++) {
        if (strcmp(report_text(report_element(service->status, "interfaces", i), "mode"), "not attached") != 0)
            return true;
    }
    return false;
}

static void examine_watchers(const struct doctor_options *options, struct findings *findings)
{
    static const char *const recorders[] = {"lockstep-histor", NULL}, *const dashboards[] = {"lockstep-web", NULL};
    static struct doctor_history history;
    static struct doctor_web web;
    int64_t now_ns = (int64_t)platform_now_ns() + platform_realtime_offset_ns();
    struct doctor_disk disk = {0};
    struct doctor_leap leap = {0};

    doctor_read_history(options->history, now_ns, &history);
    history.recorder = *running(recorders) != '\0';
    doctor_check_history(&history, now_ns, findings);
    doctor_read_disk(options->history, &disk);
    doctor_check_disk(&disk, findings);
    doctor_read_web(options->web, &web);
    web.running = *running(dashboards) != '\0';
    doctor_check_web(&web, findings);
    doctor_read_leap(now_ns / 1000000000, &leap);
    doctor_check_leap(&leap, now_ns / 1000000000, findings);
}

static void examine(struct doctor_options *options, struct host_facts *facts, struct json_object *interfaces,
                    struct findings *findings)
{
    static const char *const balancers[] = {"irqbalance", NULL};
    static const char *const time_daemons[] = {"chronyd", "ntpd", "systemd-timesyn", "ptp4l", "phc2sys", NULL};
    static struct doctor_firewall firewall;
    struct doctor_service service = {0};
    struct doctor_clock clock = {0};

    host_facts_read("", facts);
    doctor_check_kernel(facts, findings);
    doctor_check_cores(facts, *running(balancers), findings);
    host_facts_judge(facts, findings);
    doctor_check_tsc(findings);
    doctor_check_limits(findings);
    ask_service(options->runtime_dir, &service);
    doctor_check_service(&service, findings);
    if (!options->interfaces[0][0])
        choose_interfaces(options, &service);
    check_interfaces(options, facts, service.status, interfaces, findings);
    doctor_read_firewall(&firewall);
    doctor_check_firewall(&firewall, diverts(&service), findings);
    ask_clock(options, &clock);
    doctor_check_clock(&clock, running(time_daemons), findings);
    examine_watchers(options, findings);
    json_object_put(service.status);
    json_object_put(clock.daemon);
    json_object_put(clock.sources);
}

/* ---- printing ---- */

static void print_json(const struct host_facts *facts, struct json_object *interfaces, const struct findings *findings)
{
    struct json_object *root = json_object_new_object(), *list = json_object_new_array();

    put(root, "version", LOCKSTEP_VERSION);
    put(root, "host", facts->host);
    put(root, "kernel", facts->kernel);
    put(root, "cpu", facts->cpu);
    json_object_object_add(root, "cores", json_object_new_int64(facts->cores));
    json_object_object_add(root, "interfaces", json_object_get(interfaces));
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->list[i];
        struct json_object *object = json_object_new_object();

        put(object, "check", finding->check);
        put(object, "state", finding_state_name(finding->state));
        put(object, "finding", finding->text);
        put(object, "consequence", finding->consequence);
        put(object, "remedy", finding->remedy);
        json_object_array_add(list, object);
    }
    json_object_object_add(root, "findings", list);
    report_print_json(root, stdout);
    json_object_put(root);
}

/* Names may come from other programs: nothing that drives a terminal. */
static void print_plain(const char *text)
{
    for (; *text; text++)
        putchar(*text < ' ' || *text > '~' ? '?' : *text);
    putchar('\n');
}

static void print_finding(const struct finding *finding)
{
    printf("%-8s %s: ", finding_state_name(finding->state), finding->check);
    print_plain(finding->text);
    if (finding->consequence[0])
        printf("         %s\n", finding->consequence);
    if (finding->remedy[0]) {
        fputs("         > ", stdout);
        print_plain(finding->remedy);
    }
}

static void print_text(const struct host_facts *facts, const struct findings *findings, bool all)
{
    printf("%s: Linux %s, %u cores, %s\n\n", facts->host, facts->kernel, facts->cores, facts->cpu);
    for (size_t i = 0; i < findings->count; i++) {
        if (all || findings->list[i].state != FINDING_OK)
            print_finding(&findings->list[i]);
    }
    printf("\n%zu problems, %zu warnings, %zu notes, %zu checks are well\n", findings_count(findings, FINDING_PROBLEM),
           findings_count(findings, FINDING_WARNING), findings_count(findings, FINDING_NOTE),
           findings_count(findings, FINDING_OK));
}

static int doctor_main(int argc, char **argv)
{
    static struct doctor_options options;
    struct json_object *interfaces;
    struct findings findings = {0};
    struct host_facts facts;
    int exit_status;

    if (option_run(&program, argc, argv, &options, &exit_status) < 0)
        return exit_status;
    interfaces = json_object_new_array();
    examine(&options, &facts, interfaces, &findings);
    findings_sort(&findings);
    if (options.json)
        print_json(&facts, interfaces, &findings);
    else
        print_text(&facts, &findings, options.all);
    exit_status = findings_count(&findings, FINDING_PROBLEM)   ? EXIT_PROBLEMS
                  : findings_count(&findings, FINDING_WARNING) ? EXIT_WARNINGS
                                                               : EXIT_FINE;
    json_object_put(interfaces);
    findings_free(&findings);
    return exit_status;
}

const struct command command_doctor = {"doctor", &program, doctor_main, NULL};
