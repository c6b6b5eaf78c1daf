/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/policy_facts.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "tools/program.h"

void policy_facts_note(struct policy_facts *facts, const char *format, ...)
{
    char text[PATH_MAX + 256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_object_array_add(facts->notes, json_object_new_string(text));
}

/* The kernel loads a script's interpreter, and the service sees where links lead to. */
static void look_at_file(struct policy_facts *facts, const char *name, const struct rule_query *who)
{
    static struct program file;
    int err;

    if (!*name)
        return;
    err = program_examine_for(name, who->uid, who->group_count ? who->groups[0] : getgid(), &file);
    if (err == 0 && !realpath(file.image, facts->program))
        err = -errno;
    if (err < 0) {
        snprintf(facts->program, sizeof facts->program, "%s", name);
        policy_facts_note(facts, "the program %s cannot be looked at (%s): only its name counts", name,
                          error_text(err));
        return;
    }
    facts->obstacle = program_obstacle_text(file.obstacle);
    if (strcmp(facts->program, name) != 0)
        policy_facts_note(facts, "the program of %s is %s", name, facts->program);
}

void policy_facts_init(struct policy_facts *facts, const char *dir, const char *program, const struct rule_query *who)
{
    memset(facts, 0, sizeof *facts);
    facts->notes = json_object_new_array();
    look_at_file(facts, program, who);
    if (client_connect(&facts->service, dir, "lockstep", 0, NULL) < 0)
        facts->service = NULL;
    if (facts->service && report_ask(facts->service, CONTROL_REPORT_STATUS, &facts->status) < 0) {
        client_close(facts->service);
        facts->service = NULL;
        facts->status = NULL;
    }
    if (!facts->service)
        policy_facts_note(facts, "no service at %s: routes and limits are not looked at", client_runtime_dir(dir));
}

void policy_facts_fini(struct policy_facts *facts)
{
    if (facts->service)
        client_close(facts->service);
    json_object_put(facts->status);
    json_object_put(facts->notes);
}

void policy_facts_compare(struct policy_facts *facts, const struct policy *policy)
{
    struct json_object *configuration = report_member(facts->status, "configuration");
    struct json_object *last = report_member(configuration, "last_reload");
    const char *file = report_text(configuration, "file");
    time_t read_at = time(NULL) - (time_t)report_number(facts->status, "uptime_s");
    char own[PATH_MAX], other[PATH_MAX];
    struct stat status;

    if (!facts->service)
        return;
    if (!*file || !realpath(file, other) || !realpath(policy->file, own) || strcmp(own, other) != 0) {
        policy_facts_note(facts, "the service reads %s", *file ? file : "no file");
        return;
    }
    if (last)
        read_at = (time_t)report_number(last, "time");
    if (last && json_object_get_boolean(report_member(last, "failed")))
        policy_facts_note(facts, "the service has kept its old rules, for a mistake: %s", report_text(last, "text"));
    else if (stat(own, &status) == 0 && status.st_mtime > read_at)
        policy_facts_note(facts, "the service has not read %s since it was changed: lockstep policy reload", file);
}

/* --- routes ------------------------------------------------------------------------------------------------- */

/* The interface with this address. */
static void find_interface(struct policy_facts *facts, const struct net_addr *address)
{
    struct ifaddrs *list, *entry;
    struct net_endpoint endpoint;

    if (net_addr_is_any(address) || getifaddrs(&list) < 0)
        return;
    for (entry = list; entry && !facts->interface[0]; entry = entry->ifa_next) {
        if (entry->ifa_addr &&
            net_endpoint_from_sockaddr(entry->ifa_addr, sizeof(struct sockaddr_in6), &endpoint) == 0 &&
            net_addr_equal(&endpoint.addr, address))
            snprintf(facts->interface, sizeof facts->interface, "%s", entry->ifa_name);
    }
    freeifaddrs(list);
}

static bool is_accelerated(const struct policy_facts *facts, const char *name)
{
    for (size_t i = 0; i < report_count(facts->status, "interfaces"); i++) {
        struct json_object *interface = report_element(facts->status, "interfaces", i);

        if (strcmp(report_text(interface, "name"), name) == 0)
            return true;
        for (size_t j = 0; j < report_count(interface, "vlan"); j++) {
            if (strcmp(report_text(report_element(interface, "vlan", j), "name"), name) == 0)
                return true;
        }
    }
    return false;
}

static void look_at_listener(struct policy_facts *facts, const struct rule_query *query)
{
    find_interface(facts, &query->local.addr);
    if (net_addr_is_any(&query->local.addr))
        policy_facts_note(facts, "what comes over loopback and interfaces without Lockstep is the kernel's");
    else if (!net_addr_is_loopback(&query->local.addr) && !facts->interface[0])
        policy_facts_note(facts, "no interface here has this local address");
    else if (facts->service && facts->interface[0] && !is_accelerated(facts, facts->interface))
        policy_facts_note(facts, "%s is not accelerated: what comes over it is the kernel's", facts->interface);
}

static void look_at_route(struct policy_facts *facts, struct rule_query *query)
{
    struct control_route request = {.source = query->local.addr};

    request.destination = query->direction == RULE_CONNECT ? query->remote.addr : query->local.addr;
    if (query->direction == RULE_MULTICAST)
        request.source = net_addr_any(net_addr_is_v4(&request.destination));
    if (*query->interface)
        request.ifindex = if_nametoindex(query->interface);
    facts->routed = true;
    facts->route_result = client_route(facts->service, &request, &facts->route);
    facts->route.reason[sizeof facts->route.reason - 1] = '\0';
    if (facts->route_result == 0 && !if_indextoname(facts->route.ifindex, facts->interface))
        facts->interface[0] = '\0';
}

/* A UDP socket is decided on when it gets a port: a later connect does not ask again. And answers of groups come from
 * anywhere. */
static void decide_without_peer(struct policy_facts *facts, struct rule_query *query, const char *why)
{
    policy_facts_note(facts, "%s: it is decided on as a socket without a peer (listen)", why);
    query->direction = RULE_LISTEN;
    memset(&query->remote, 0, sizeof query->remote);
    facts->interface[0] = '\0';
    find_interface(facts, &query->local.addr);
}

static void follow_route(struct policy_facts *facts, struct rule_query *query)
{
    bool bound = query->protocol == 1 && query->local.port != 0, found = facts->routed && facts->route_result == 0;

    if (found && !bound && net_addr_is_any(&query->local.addr))
        query->local.addr = facts->route.source;
    if (bound)
        decide_without_peer(facts, query, "the UDP socket is bound to a port before it connects");
    else if (found && query->protocol == 1 && facts->route.flags & (CONTROL_ROUTE_BROADCAST | CONTROL_ROUTE_MULTICAST))
        decide_without_peer(facts, query, "the peer is not one host");
}

void policy_facts_socket(struct policy_facts *facts, struct rule_query *query)
{
    const struct net_addr *to = query->direction == RULE_CONNECT ? &query->remote.addr : &query->local.addr;

    if (query->direction == RULE_LISTEN)
        look_at_listener(facts, query);
    else if (facts->service && !net_addr_is_loopback(to))
        look_at_route(facts, query);
    if (query->direction == RULE_CONNECT && !net_addr_is_loopback(to))
        follow_route(facts, query);
    if (!*query->interface)
        query->interface = facts->interface;
}

const char *policy_facts_destination(const struct policy_facts *facts, const struct rule_query *query)
{
    if (query->direction == RULE_LISTEN && !facts->routed)
        return net_addr_is_loopback(&query->local.addr) ? "loopback" : NULL;
    if (query->direction == RULE_CONNECT &&
        (net_addr_is_loopback(&query->remote.addr) || net_addr_is_any(&query->remote.addr)))
        return "loopback";
    if (!facts->routed)
        return NULL;
    if (facts->route_result < 0)
        return facts->route.reason[0] ? facts->route.reason : error_text(facts->route_result);
    if (query->protocol == 0 && facts->route.flags & (CONTROL_ROUTE_BROADCAST | CONTROL_ROUTE_MULTICAST))
        return "not a unicast address";
    return NULL;
}

/* --- limits ------------------------------------------------------------------------------------------------- */

void policy_facts_count(struct policy_facts *facts, uint32_t uid)
{
    facts->lanes = facts->flows = 0;
    for (size_t i = 0; i < report_count(facts->status, "lanes"); i++) {
        struct json_object *lane = report_element(facts->status, "lanes", i);

        if (report_number(lane, "uid") != uid)
            continue;
        facts->lanes++;
        facts->flows += (unsigned)report_number(lane, "flows");
    }
}

const char *policy_facts_limit(const struct policy_facts *facts, const struct policy *policy, uint32_t uid)
{
    if (uid == 0)
        return NULL;
    return facts->lanes >= policy->lanes_per_user   ? "lanes-per-user"
           : facts->flows >= policy->flows_per_user ? "flows-per-user"
                                                    : NULL;
}
