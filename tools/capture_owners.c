/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/capture_owners.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "divert/divert_abi.h"
#include "monitor/json_report.h"
#include "platform/platform.h"

#define PAUSE_NS 50000000ull

/* A socket of a lane that injects directly. */
struct port {
    uint8_t protocol;
    uint32_t lane;
    struct net_endpoint local;
};

struct capture_owners {
    char runtime_dir[108];
    struct netd_client *client;
    uint64_t asked_ns;
    bool known[DIVERT_MAX_LANES], direct;
    struct capture_owner lanes[DIVERT_MAX_LANES];
    struct port *ports; /* by port number */
    size_t port_count;
};

struct capture_owners *capture_owners_create(const char *runtime_dir)
{
    struct capture_owners *owners = calloc(1, sizeof *owners);

    if (owners)
        snprintf(owners->runtime_dir, sizeof owners->runtime_dir, "%s", runtime_dir ? runtime_dir : "");
    return owners;
}

void capture_owners_destroy(struct capture_owners *owners)
{
    if (!owners)
        return;
    client_close(owners->client);
    free(owners->ports);
    free(owners);
}

/* A new connection if the service was started again. */
static struct json_object *ask(struct capture_owners *owners, uint32_t kind)
{
    struct json_object *report = NULL;

    for (int tries = 0; tries < 2 && !report; tries++) {
        if (!owners->client && client_connect(&owners->client, owners->runtime_dir, "lockstep", 0, NULL) < 0)
            return NULL;
        if (report_ask(owners->client, kind, &report) < 0) {
            client_close(owners->client);
            owners->client = NULL;
        }
    }
    return report;
}

static void take_lanes(struct capture_owners *owners, struct json_object *status)
{
    memset(owners->known, 0, sizeof owners->known);
    owners->direct = false;
    for (size_t i = 0; i < report_count(status, "lanes"); i++) {
        struct json_object *object = report_element(status, "lanes", i);
        uint64_t lane = report_number(object, "lane");
        struct capture_owner *owner;

        if (lane >= DIVERT_MAX_LANES)
            continue;
        owner = &owners->lanes[lane];
        owners->known[lane] = true;
        owner->lane = (uint32_t)lane;
        owner->pid = (uint32_t)report_number(object, "pid");
        owner->direct = strcmp(report_text(object, "injector"), "direct") == 0;
        snprintf(owner->program, sizeof owner->program, "%s", report_text(object, "program"));
        owners->direct |= owner->direct;
    }
}

static int by_port(const void *a, const void *b)
{
    const struct port *first = a, *second = b;

    return first->local.port < second->local.port ? -1 : first->local.port > second->local.port;
}

static void take_ports(struct capture_owners *owners, struct json_object *connections)
{
    size_t count = report_count(connections, "flows");
    struct port *ports = calloc(count + 1, sizeof *ports);

    if (!ports)
        return;
    free(owners->ports);
    owners->ports = ports;
    owners->port_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct json_object *flow = report_element(connections, "flows", i);
        uint64_t lane = report_number(flow, "lane");
        struct port *port = &ports[owners->port_count];

        if (lane >= DIVERT_MAX_LANES || !owners->known[lane] || !owners->lanes[lane].direct)
            continue;
        port->protocol = strcmp(report_text(flow, "protocol"), "tcp") == 0 ? IPPROTO_TCP : IPPROTO_UDP;
        port->lane = (uint32_t)lane;
        owners->port_count += net_endpoint_parse(report_text(flow, "local"), &port->local) == 0;
    }
    qsort(ports, owners->port_count, sizeof *ports, by_port);
}

bool capture_owners_refresh(struct capture_owners *owners)
{
    uint64_t now_ns = platform_now_ns();
    struct json_object *status = ask(owners, CONTROL_REPORT_STATUS), *connections = NULL;

    owners->asked_ns = now_ns;
    if (!status)
        return false;
    take_lanes(owners, status);
    if (owners->direct)
        connections = ask(owners, CONTROL_REPORT_CONNECTIONS);
    if (connections)
        take_ports(owners, connections);
    json_object_put(status);
    json_object_put(connections);
    return true;
}

const struct capture_owner *capture_owners_lane(struct capture_owners *owners, uint32_t lane)
{
    if (lane >= DIVERT_MAX_LANES)
        return NULL;
    if (!owners->known[lane] && platform_now_ns() - owners->asked_ns > PAUSE_NS)
        capture_owners_refresh(owners);
    return owners->known[lane] ? &owners->lanes[lane] : NULL;
}

uint64_t capture_owners_asked_ns(const struct capture_owners *owners)
{
    return owners->asked_ns;
}

const struct capture_owner *capture_owners_port(const struct capture_owners *owners, uint8_t protocol,
                                                const struct net_endpoint *local)
{
    const struct port wanted = {.local = {.port = local->port}};
    const struct port *port =
        owners->port_count ? bsearch(&wanted, owners->ports, owners->port_count, sizeof wanted, by_port) : NULL;

    if (!port)
        return NULL;
    while (port > owners->ports && port[-1].local.port == local->port)
        port--;
    for (; port < owners->ports + owners->port_count && port->local.port == local->port; port++) {
        if (port->protocol == protocol &&
            (net_addr_is_any(&port->local.addr) || net_addr_equal(&port->local.addr, &local->addr)))
            return &owners->lanes[port->lane];
    }
    return NULL;
}
