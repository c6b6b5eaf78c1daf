/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/node_check.h"

#include <glob.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "testbed/child.h"
#include "testbed/node_clock.h"

#define STATUS_MAX     (1 << 20)
#define COMMAND_MS     3000
#define SLOW_IDLE_US   50 /* a core that sleeps this deep wakes up late */
#define CLOCK_GOOD_NS  100000
#define INTERFACE_NAME 16

struct check {
    const struct node_check_input *input;
    struct json_object *facts, *findings;
    char interface[INTERFACE_NAME];
};

static void add_fact(struct check *check, const char *key, const char *text)
{
    json_object_object_add(check->facts, key, json_object_new_string(text));
}

static void add_finding(struct check *check, const char *name, const char *state, const char *remedy,
                        const char *format, ...) __attribute__((format(printf, 5, 6)));
static void add_finding(struct check *check, const char *name, const char *state, const char *remedy,
                        const char *format, ...)
{
    struct json_object *object = json_object_new_object();
    char text[400];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_object_object_add(object, "check", json_object_new_string(name));
    json_object_object_add(object, "state", json_object_new_string(state));
    json_object_object_add(object, "finding", json_object_new_string(text));
    json_object_object_add(object, "remedy", json_object_new_string(remedy));
    json_object_array_add(check->findings, object);
}

/* The first line of a small file; "" if it cannot be read. */
static const char *read_line(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");

    text[0] = '\0';
    if (file) {
        if (fgets(text, (int)size, file))
            text[strcspn(text, "\n")] = '\0';
        fclose(file);
    }
    return text;
}

/* ---- the machine ---- */

static void check_machine(struct check *check)
{
    struct utsname names;
    char line[256], cpu[128] = "unknown";
    FILE *file = fopen("/proc/cpuinfo", "re");

    uname(&names);
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "model name : %127[^\n]", cpu) == 1)
            break;
    }
    if (file)
        fclose(file);
    add_fact(check, "host", names.nodename);
    add_fact(check, "kernel", names.release);
    add_fact(check, "cpu", cpu);
    json_object_object_add(check->facts, "cores", json_object_new_int64(sysconf(_SC_NPROCESSORS_ONLN)));
    add_fact(check, "clock_source",
             read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", line, sizeof line));
    add_fact(check, "isolated_cores", read_line("/sys/devices/system/cpu/isolated", line, sizeof line));
    add_fact(check, "transparent_huge_pages",
             read_line("/sys/kernel/mm/transparent_hugepage/enabled", line, sizeof line));
}

static void check_governor(struct check *check)
{
    char governor[64];

    read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", governor, sizeof governor);
    add_fact(check, "governor", governor[0] ? governor : "none (set by the firmware or the hypervisor)");
    if (!governor[0] || strcmp(governor, "performance") == 0)
        add_finding(check, "governor", "ok", "", "%s", governor[0] ? governor : "no frequency governor");
    else
        add_finding(check, "governor", "warning", "cpupower frequency-set -g performance",
                    "%s: cores change their frequency, which adds tens of microseconds now and then", governor);
}

static void check_idle_states(struct check *check)
{
    glob_t found;
    unsigned deepest = 0;
    char name[64] = "";

    if (glob("/sys/devices/system/cpu/cpu0/cpuidle/state*", 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            char path[300], line[64];
            unsigned latency;

            snprintf(path, sizeof path, "%s/disable", found.gl_pathv[i]);
            if (strcmp(read_line(path, line, sizeof line), "1") == 0)
                continue;
            snprintf(path, sizeof path, "%s/latency", found.gl_pathv[i]);
            latency = (unsigned)strtoul(read_line(path, line, sizeof line), NULL, 10);
            if (latency < deepest)
                continue;
            deepest = latency;
            snprintf(path, sizeof path, "%s/name", found.gl_pathv[i]);
            read_line(path, name, sizeof name);
        }
        globfree(&found);
    }
    json_object_object_add(check->facts, "deepest_idle_state_us", json_object_new_int64(deepest));
    if (deepest <= SLOW_IDLE_US)
        add_finding(check, "idle states", "ok", "", "cores wake up within %u us", deepest);
    else
        add_finding(
            check, "idle states", "warning",
            "hold /dev/cpu_dma_latency open at 0, or disable the state under /sys/devices/system/cpu/cpu*/cpuidle",
            "state %s takes %u us to leave", name, deepest);
}

/* ---- the interface ---- */

static bool find_interface(struct check *check)
{
    struct ifaddrs *all;

    if (getifaddrs(&all) < 0)
        return false;
    for (struct ifaddrs *one = all; one && !check->interface[0]; one = one->ifa_next) {
        struct net_endpoint endpoint;

        if (one->ifa_addr &&
            net_endpoint_from_sockaddr(one->ifa_addr,
                                       one->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                                                           : sizeof(struct sockaddr_storage),
                                       &endpoint) == 0 &&
            net_addr_equal(&endpoint.addr, &check->input->address))
            snprintf(check->interface, sizeof check->interface, "%s", one->ifa_name);
    }
    freeifaddrs(all);
    return check->interface[0] != '\0';
}

static void check_interface(struct check *check)
{
    char path[128], line[128], driver[256] = "virtual", address[NET_ADDR_TEXT_MAX];
    unsigned mtu;
    ssize_t length;

    if (!find_interface(check)) {
        add_finding(check, "address", "problem", "give the interface this address, or correct the inventory",
                    "no interface has the address %s", net_addr_format(&check->input->address, address));
        return;
    }
    add_fact(check, "interface", check->interface);
    snprintf(path, sizeof path, "/sys/class/net/%s/device/driver", check->interface);
    length = readlink(path, driver, sizeof driver - 1);
    if (length > 0)
        driver[length] = '\0';
    add_fact(check, "driver", strrchr(driver, '/') ? strrchr(driver, '/') + 1 : driver);
    snprintf(path, sizeof path, "/sys/class/net/%s/speed", check->interface);
    add_fact(check, "speed_mbit_per_s", read_line(path, line, sizeof line));
    snprintf(path, sizeof path, "/sys/class/net/%s/mtu", check->interface);
    mtu = (unsigned)strtoul(read_line(path, line, sizeof line), NULL, 10);
    json_object_object_add(check->facts, "mtu", json_object_new_int64(mtu));
    if (check->input->mtu == 0 || mtu == check->input->mtu)
        add_finding(check, "mtu", "ok", "", "%u on %s", mtu, check->interface);
    else
        add_finding(check, "mtu", "problem", "ip link set dev INTERFACE mtu N, or mtu in the inventory",
                    "%s has %u, the inventory says %u", check->interface, mtu, check->input->mtu);
}

static void check_interrupts(struct check *check)
{
    FILE *file = fopen("/proc/interrupts", "re");
    char line[4096], places[256] = "";
    unsigned lines = 0;

    while (file && check->interface[0] && fgets(line, sizeof line, file)) {
        char path[64], list[64];
        unsigned number;

        if (!strstr(line, check->interface) || sscanf(line, " %u:", &number) != 1)
            continue;
        snprintf(path, sizeof path, "/proc/irq/%u/smp_affinity_list", number);
        read_line(path, list, sizeof list);
        snprintf(places + strlen(places), sizeof places - strlen(places), "%s%u on core %s", lines ? ", " : "", number,
                 list);
        lines++;
    }
    if (file)
        fclose(file);
    add_fact(check, "interrupts", lines ? places : "none of its own");
    add_finding(check, "interrupts", "ok", "", "%s",
                lines ? places : "the interface has no interrupts of its own (a virtual one)");
}

static void check_offloads(struct check *check)
{
    static const char *const wanted[] = {"tcp-segmentation-offload", "generic-receive-offload", "tx-checksumming"};
    char *argv[] = {"ethtool", "-k", check->interface, NULL}, *coalesce[] = {"ethtool", "-c", check->interface, NULL};
    char text[16384];
    unsigned micros;
    const char *line;

    if (!check->interface[0])
        return;
    if (child_run(argv, COMMAND_MS, text, sizeof text) != 0) {
        add_finding(check, "offloads", "warning", "install ethtool", "cannot ask: ethtool is missing or failed");
        return;
    }
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        char pattern[64];

        snprintf(pattern, sizeof pattern, "%s: on", wanted[i]);
        if (!strstr(text, pattern))
            add_finding(check, "offloads", "warning", "ethtool -K INTERFACE tso on gro on tx on", "%s is off on %s",
                        wanted[i], check->interface);
    }
    if (child_run(coalesce, COMMAND_MS, text, sizeof text) == 0 && (line = strstr(text, "\nrx-usecs:")) != NULL &&
        sscanf(line, " rx-usecs: %u", &micros) == 1 && micros > 0)
        add_finding(check, "interrupt coalescing", "warning", "ethtool -C INTERFACE rx-usecs 0",
                    "%s holds arrivals back for up to %u us", check->interface, micros);
}

/* ---- clock and divert ---- */

static void check_clock(struct check *check)
{
    struct node_clock *clock;
    struct node_time now;
    char problem[192];

    if (node_clock_open(NODE_CLOCK_LOCKSTEP, check->input->clock_path, NODE_CLOCK_BOUND_UNKNOWN, &clock, problem) < 0) {
        add_finding(check, "clock", "problem", "start lockstep-clockd on this node", "%s", problem);
        return;
    }
    node_clock_now(clock, &now);
    node_clock_close(clock);
    if (now.status == NODE_CLOCK_NO_TIME)
        add_finding(check, "clock", "problem", "lockstep clock sources shows why", "not synchronised");
    else
        add_finding(check, "clock", now.bound_ns <= CLOCK_GOOD_NS && now.status == NODE_CLOCK_GOOD ? "ok" : "warning",
                    now.bound_ns <= CLOCK_GOOD_NS ? "" : "wait, poll more often, or look at lockstep clock stats",
                    "%s, within %" PRIu32 " ns", now.status == NODE_CLOCK_GOOD ? "synchronised" : "holdover",
                    now.bound_ns);
}

/* The interface's entry in the service's report. */
static const char *attachment(struct json_object *report, const char *interface)
{
    struct json_object *list, *name, *attach;

    if (!json_object_object_get_ex(report, "interfaces", &list) || !json_object_is_type(list, json_type_array))
        return NULL;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *one = json_object_array_get_idx(list, i);

        if (json_object_object_get_ex(one, "name", &name) && strcmp(json_object_get_string(name), interface) == 0)
            return json_object_object_get_ex(one, "mode", &attach) ? json_object_get_string(attach) : "attached";
    }
    return NULL;
}

static void check_divert(struct check *check)
{
    char *argv[6] = {(char *)check->input->lockstep_program, "status", "--json", NULL, NULL, NULL};
    char *text = malloc(STATUS_MAX);
    struct json_object *report;
    const char *attach;

    if (!text)
        return;
    if (check->input->runtime_dir[0]) {
        argv[3] = "--runtime-dir";
        argv[4] = (char *)check->input->runtime_dir;
    }
    if (child_run(argv, COMMAND_MS, text, STATUS_MAX) != 0) {
        text[strcspn(text, "\n")] = '\0';
        add_finding(check, "divert", "problem", "start lockstep-netd --interface INTERFACE on this node", "%.300s",
                    text[0] ? text : "lockstep status failed");
        free(text);
        return;
    }
    report = json_tokener_parse(text);
    free(text);
    attach = report && check->interface[0] ? attachment(report, check->interface) : NULL;
    if (attach)
        add_finding(check, "divert", "ok", "", "%s: %s", check->interface, attach);
    else
        add_finding(check, "divert", "problem", "lockstep-netd --interface INTERFACE",
                    "lockstep-netd runs, but not on the interface with this address");
    add_fact(check, "divert", attach ? attach : "none");
    json_object_put(report);
}

struct json_object *node_check(const struct node_check_input *input)
{
    struct check check = {.input = input, .facts = json_object_new_object(), .findings = json_object_new_array()};
    struct json_object *result = json_object_new_object();

    if (!check.facts || !check.findings || !result) {
        json_object_put(check.facts);
        json_object_put(check.findings);
        json_object_put(result);
        return NULL;
    }
    check_machine(&check);
    check_interface(&check);
    check_clock(&check);
    check_divert(&check);
    check_governor(&check);
    check_idle_states(&check);
    check_interrupts(&check);
    check_offloads(&check);
    json_object_object_add(result, "facts", check.facts);
    json_object_object_add(result, "findings", check.findings);
    return result;
}
