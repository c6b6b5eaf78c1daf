/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/admission.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "platform/platform.h"
#include "service/events.h"
#include "service/peer.h"

/* A lane that an earlier instance made brings its flows back within this time. */
#define ADOPTED_NS 3000000000ull

/* The program's part; path: PATH_MAX bytes. */
static struct rule_query query_of(const struct client *client, char *path)
{
    peer_program(client->process.pid, client->pid_fd, path);
    return (struct rule_query){
        .program = path,
        .uid = client->uid,
        .groups = client->groups.list,
        .group_count = client->groups.count,
        .interface = "",
    };
}

/* The interface that the flow's packets take: "" if there are several, or it cannot be told. */
static const char *interface_of(const struct netd *netd, const struct client *client, const struct flow *flow)
{
    unsigned ifindex = flow->ifindex;
    const struct link *link;

    if (ifindex == 0 && flow->kind == CONTROL_FLOW_CONNECT)
        ifindex = network_interface_to(netd->network, &flow->local.addr, &flow->remote.addr, client->uid);
    else if (ifindex == 0)
        ifindex = network_interface_of(netd->network, &flow->local.addr);
    link = links_find(network_links(netd->network), ifindex);
    return link ? link->name : "";
}

bool admission_allows(const struct netd *netd, const struct client *client, const char *program, char *reason)
{
    char path[PATH_MAX];
    struct rule_query query = query_of(client, path);
    struct policy_decision decision;

    query.program = program;
    policy_decide(&netd->policy, &query, &decision);
    policy_reason(&netd->policy, &decision, reason);
    return decision.action == RULE_ACCELERATE;
}

/* A program asks again at its next socket, or group: it is recorded once, as long as the list remembers it.
 * False: it was. */
static bool record(struct netd *netd, const struct client *client, uint32_t protocol, const struct net_endpoint *local,
                   const char *reason)
{
    struct kernel_socket item = {.pid = client->process.pid,
                                 .uid = client->uid,
                                 .protocol = protocol,
                                 .local = *local,
                                 .remote.addr = net_addr_any(net_addr_is_v4(&local->addr)),
                                 .since = time(NULL)};
    const struct kernel_socket *other;

    memcpy(item.program, client->program, sizeof(item.program));
    snprintf(item.reason, sizeof(item.reason), "%s", reason);
    for (unsigned i = 0; (other = kernel_sockets_get(&netd->kernel_sockets, i)); i++) {
        if (other->pid == item.pid && other->protocol == protocol && strcmp(other->reason, item.reason) == 0 &&
            net_endpoint_equal(&other->local, local))
            return false;
    }
    kernel_sockets_add(&netd->kernel_sockets, &item);
    events_kernel_socket(netd, &item);
    return true;
}

static void record_program(struct netd *netd, const struct client *client, const char *reason)
{
    const struct net_endpoint none = {net_addr_any(true), 0};

    if (!record(netd, client, 0, &none, reason))
        return;
    log_limited(LOG_LEVEL_INFO,
                LOG_SUBJECT(.event = LOG_EVENT_LANE_REFUSED, .program = client->program, .pid = client->process.pid),
                "%s (process %d) stays with the kernel: %s", client->program, (int)client->process.pid, reason);
}

int admission_lane(struct netd *netd, const struct client *client, struct policy_lane *out)
{
    char path[PATH_MAX], reason[POLICY_REASON_MAX];
    struct rule_query query = query_of(client, path);
    struct policy_decision decision;

    policy_decide(&netd->policy, &query, &decision);
    if (decision.action == RULE_KERNEL) {
        record_program(netd, client, policy_reason(&netd->policy, &decision, reason));
        return LOCKSTEP_E_DENIED;
    }
    policy_lane(&netd->policy, &query, out);
    return 0;
}

static bool is_brought_back(const struct lane *lane)
{
    return lane->adopted_ns && platform_now_ns() - lane->adopted_ns < ADOPTED_NS;
}

int admission_flow(struct netd *netd, struct client *client, const struct flow *wanted)
{
    static const enum rule_direction directions[] = {
        [CONTROL_FLOW_CONNECT] = RULE_CONNECT,
        [CONTROL_FLOW_BOUND] = RULE_LISTEN,
        [CONTROL_FLOW_MULTICAST] = RULE_MULTICAST,
    };
    struct policy_decision decision;
    struct rule_query query;
    char path[PATH_MAX];

    if (!policy_has_rules(&netd->policy) || is_brought_back(client->lane))
        return 0;
    query = query_of(client, path);
    query.socket = true;
    query.protocol = wanted->protocol == IPPROTO_UDP;
    query.direction = directions[wanted->kind];
    query.local = wanted->local;
    query.remote = wanted->remote;
    if (policy_needs_interface(&netd->policy))
        query.interface = interface_of(netd, client, wanted);
    policy_decide(&netd->policy, &query, &decision);
    if (decision.action == RULE_ACCELERATE)
        return 0;
    client->denial = (struct denial){.protocol = wanted->protocol, .port = wanted->local.port};
    policy_reason(&netd->policy, &decision, client->denial.reason);
    if (wanted->kind == CONTROL_FLOW_MULTICAST) /* the socket goes on, and so the program tells of nothing */
        record(netd, client, wanted->protocol, &wanted->local, client->denial.reason);
    return LOCKSTEP_E_DENIED;
}

const char *admission_reason(const struct client *client, uint32_t protocol, const struct net_endpoint *local)
{
    const struct denial *denial = &client->denial;

    return denial->reason[0] && denial->protocol == protocol && denial->port == local->port ? denial->reason : NULL;
}
