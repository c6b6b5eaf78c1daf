/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/node_check.h"

#include <ifaddrs.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/host_facts.h"
#include "testbed/child.h"
#include "testbed/node_clock.h"

#define STATUS_MAX    (1 << 20)
#define COMMAND_MS    3000
#define CLOCK_GOOD_NS 100000

struct check {
    const struct node_check_input *input;
    struct json_object *facts;
    struct findings findings;
    struct host_facts host;
    char interface[16];
};

static void add_fact(struct check *check, const char *key, const char *text)
{
    json_object_object_add(check->facts, key, json_object_new_string(text));
}

static void add_number(struct check *check, const char *key, int64_t number)
{
    json_object_object_add(check->facts, key, json_object_new_int64(number));
}

/* ---- the machine ---- */

static void check_machine(struct check *check)
{
    const struct host_facts *host = &check->host;

    host_facts_read("", &check->host);
    add_fact(check, "host", host->host);
    add_fact(check, "kernel", host->kernel);
    add_fact(check, "cpu", host->cpu[0] ? host->cpu : "unknown");
    add_number(check, "cores", host->cores);
    add_fact(check, "clock_source", host->clock_source);
    add_fact(check, "isolated_cores", host->isolated_cores);
    add_fact(check, "transparent_huge_pages", host->huge_pages);
    add_fact(check, "governor", host->governor[0] ? host->governor : "none (set by the firmware or the hypervisor)");
    add_number(check, "deepest_idle_state_us", host->idle_us);
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

static void check_mtu(struct check *check, unsigned mtu)
{
    if (check->input->mtu == 0 || mtu == check->input->mtu)
        findings_add(&check->findings, "mtu", FINDING_OK, "%u on %s", mtu, check->interface);
    else
        finding_advise(findings_add(&check->findings, "mtu", FINDING_PROBLEM, "%s has %u, the inventory says %u",
                                    check->interface, mtu, check->input->mtu),
                       "", "ip link set dev %s mtu %u, or mtu in the inventory", check->interface, check->input->mtu);
}

static void check_interface(struct check *check)
{
    struct host_interface interface;
    char address[NET_ADDR_TEXT_MAX], text[300];

    if (!find_interface(check) || host_interface_read("", check->interface, &interface) < 0) {
        finding_advise(findings_add(&check->findings, "address", FINDING_PROBLEM, "no interface has the address %s",
                                    net_addr_format(&check->input->address, address)),
                       "", "give the interface this address, or correct the inventory");
        return;
    }
    add_fact(check, "interface", interface.name);
    add_fact(check, "driver", interface.driver);
    add_fact(check, "speed_mbit_per_s", interface.speed_mbit);
    add_number(check, "mtu", interface.mtu);
    add_fact(check, "interrupts", host_interrupts_text(&interface, text, sizeof text));
    check_mtu(check, interface.mtu);
    host_interface_judge(&check->host, &interface, &check->findings);
}

/* ---- clock and divert ---- */

static void check_clock(struct check *check)
{
    struct node_clock *clock;
    struct finding *finding;
    struct node_time now;
    char problem[192];
    bool good;

    if (node_clock_open(NODE_CLOCK_LOCKSTEP, check->input->clock_path, NODE_CLOCK_BOUND_UNKNOWN, &clock, problem) < 0) {
        finding_advise(findings_add(&check->findings, "clock", FINDING_PROBLEM, "%s", problem), "",
                       "start lockstep-clockd on this node");
        return;
    }
    node_clock_now(clock, &now);
    node_clock_close(clock);
    if (now.status == NODE_CLOCK_NO_TIME) {
        finding_advise(findings_add(&check->findings, "clock", FINDING_PROBLEM, "not synchronised"), "",
                       "lockstep clock sources shows why");
        return;
    }
    good = now.bound_ns <= CLOCK_GOOD_NS && now.status == NODE_CLOCK_GOOD;
    finding = findings_add(&check->findings, "clock", good ? FINDING_OK : FINDING_WARNING, "%s, within %" PRIu32 " ns",
                           now.status == NODE_CLOCK_GOOD ? "synchronised" : "holdover", now.bound_ns);
    if (now.bound_ns > CLOCK_GOOD_NS)
        finding_advise(finding, "", "wait, poll more often, or look at lockstep clock stats");
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
        finding_advise(
            findings_add(&check->findings, "divert", FINDING_PROBLEM, "%s", text[0] ? text : "lockstep status failed"),
            "", "start lockstep-netd --interface %s on this node",
            check->interface[0] ? check->interface : "INTERFACE");
        free(text);
        return;
    }
    report = json_tokener_parse(text);
    free(text);
    attach = report && check->interface[0] ? attachment(report, check->interface) : NULL;
    if (attach)
        findings_add(&check->findings, "divert", FINDING_OK, "%s: %s", check->interface, attach);
    else
        finding_advise(findings_add(&check->findings, "divert", FINDING_PROBLEM,
                                    "lockstep-netd runs, but not on the interface with this address"),
                       "", "lockstep-netd --interface %s", check->interface[0] ? check->interface : "INTERFACE");
    add_fact(check, "divert", attach ? attach : "none");
    json_object_put(report);
}

/* A note is nothing to do, so it is as good as ok here. */
static struct json_object *findings_object(const struct findings *findings)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->list[i];
        struct json_object *object = json_object_new_object();

        json_object_object_add(object, "check", json_object_new_string(finding->check));
        json_object_object_add(
            object, "state",
            json_object_new_string(finding_state_name(finding->state == FINDING_NOTE ? FINDING_OK : finding->state)));
        json_object_object_add(object, "finding", json_object_new_string(finding->text));
        json_object_object_add(object, "remedy", json_object_new_string(finding->remedy));
        json_object_array_add(array, object);
    }
    return array;
}

struct json_object *node_check(const struct node_check_input *input)
{
    struct check check = {.input = input, .facts = json_object_new_object()};
    struct json_object *result = json_object_new_object();

    if (!check.facts || !result) {
        json_object_put(check.facts);
        json_object_put(result);
        return NULL;
    }
    check_machine(&check);
    check_interface(&check);
    check_clock(&check);
    check_divert(&check);
    host_facts_judge(&check.host, &check.findings);
    json_object_object_add(result, "facts", check.facts);
    json_object_object_add(result, "findings", findings_object(&check.findings));
    findings_free(&check.findings);
    return result;
}
