/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/requests.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/value.h"
#include "platform/platform.h"
#include "service/admission.h"
#include "service/events.h"
#include "service/lanes.h"
#include "service/repair.h"
#include "service/reporter.h"
#include "service/server.h"
#include "service/socket_info.h"

#define CLAIM_TIMEOUT_NS    500000000ull
#define LISTENERS_PAUSE_NS  20000000ull
#define CLAIMS_PER_USER     256 /* other than root */
/* What one user other than root may cause in a window. New next hops: each makes the kernel ask the network.
 * Connections that are in the pages of programs that ended only: each is two records of everybody's journal, and pages
 * say what their programs like. */
#define WINDOW_NS           10000000000ull
#define NEXTHOPS_PER_WINDOW 512
#define UNTOLD_PER_WINDOW   8192

static int handle_hello(struct netd *netd, struct request *request, struct reply *reply)
{
    const struct control_hello *body = request->body;
    struct control_hello_reply *answer = (void *)reply->body;
    const struct network_interface *interfaces;
    struct client *client = request->client;
    size_t count, used = 0;

    memcpy(client->program, body->program, sizeof(client->program) - 1);
    value_make_printable(client->program);
    client->greeted = true;
    interfaces = network_interfaces(netd->network, &count);
    answer->interface_count = (uint32_t)count;
    for (size_t i = 0; i < count && used < sizeof(answer->summary); i++) {
        int length = snprintf(answer->summary + used, sizeof(answer->summary) - used, "%s%s: %s (%s)", i ? ", " : "",
                              interfaces[i].name, divert_mode_name(interfaces[i].mode), interfaces[i].why);

        used += (size_t)length;
    }
    reply->fds[0] = nexthops_state_fd(network_nexthops(netd->network));
    reply->fd_count = reply->kept = 1;
    return 0;
}

static int handle_lane_open(struct netd *netd, struct request *request, struct reply *reply)
{
    int result = lanes_open(netd, request->client, request->body, (void *)reply->body, reply->fds);

    if (result == 0)
        reply->fd_count = LANE_FDS;
    return result;
}

static int handle_lane_adopt(struct netd *netd, struct request *request, struct reply *reply)
{
    const struct control_lane_adopt *body = request->body;
    int result = lanes_adopt(netd, request->client, body, request->fds, &reply->fds[0]);

    netd->last_adopt_ns = platform_now_ns();
    if (result < 0)
        return result;
    reply->fd_count = 1;
    *(struct control_lane_reply *)reply->body =
        (struct control_lane_reply){body->lane, body->injector, body->ring_bytes, 0};
    return 0;
}

static void renew_window(struct user *user, uint64_t now_ns)
{
    if (now_ns - user->window_ns <= WINDOW_NS)
        return;
    user->window_ns = now_ns;
    user->nexthops_made = user->untold = 0;
}

static bool nexthop_budget(struct user *user, uint64_t now_ns)
{
    renew_window(user, now_ns);
    return user->uid == 0 || user->nexthops_made < NEXTHOPS_PER_WINDOW;
}

#define NEXTHOP_WORDS (STATE_PAGE_NEXTHOPS / 64)

/* Notes who uses a next hop, so that it is looked after only as long as somebody does. */
static void hold_nexthop(struct netd *netd, struct client *client, uint16_t index, bool made)
{
    uint64_t bit = 1ull << index % 64;

    if (made) { /* the entry is another one now */
        list_for_each(link, &netd->clients)
        {
            struct client *other = list_entry(link, struct client, link);

            if (other->nexthops)
                other->nexthops[index / 64] &= ~bit;
        }
    }
    if (!client->nexthops)
        client->nexthops = calloc(NEXTHOP_WORDS, sizeof(*client->nexthops));
    if (!client->nexthops || (client->nexthops[index / 64] & bit))
        return;
    client->nexthops[index / 64] |= bit;
    nexthops_hold(network_nexthops(netd->network), index);
}

static void release_nexthops(struct netd *netd, struct client *client)
{
    for (unsigned word = 0; client->nexthops && word < NEXTHOP_WORDS; word++) {
        for (uint64_t bits = client->nexthops[word]; bits; bits &= bits - 1)
            nexthops_release(network_nexthops(netd->network), (uint16_t)(word * 64 + (unsigned)__builtin_ctzll(bits)),
                             platform_now_ns());
    }
    free(client->nexthops);
    client->nexthops = NULL;
}

static int handle_route(struct netd *netd, struct request *request, struct reply *reply)
{
    struct control_route_reply *route = (void *)reply->body;
    const struct control_route *wanted = request->body;
    struct user *user = request->client->user;
    uint64_t now_ns = platform_now_ns();
    bool made = false;
    int result;

    reply->with_body = true;
    if (!nexthop_budget(user, now_ns))
        return LOCKSTEP_E_EXHAUSTED;
    if (wanted->mark && user->uid != 0) { /* nor does the kernel let everybody choose routes by marks */
        snprintf(route->reason, sizeof(route->reason), "only root's marks count");
        return LOCKSTEP_E_NO_ROUTE;
    }
    result = network_route(netd->network, wanted, user->uid, now_ns, route, &made);
    user->nexthops_made += made;
    if (result == 0)
        hold_nexthop(netd, request->client, route->nexthop, made);
    return result;
}

/* --- flows -------------------------------------------------------------------------------------------------- */

static int check_flow_limit(const struct netd *netd, const struct client *client)
{
    if (!client->lane)
        return LOCKSTEP_E_BAD_VALUE;
    if (client->uid != 0 && (client->user->flows >= (uint64_t)netd->policy.flows_per_user ||
                             flows_entries(netd->flows) >= DIVERT_MAX_FLOWS / 4 * 3))
        return LOCKSTEP_E_EXHAUSTED; /* the last quarter of the table is root's */
    return 0;
}

static bool valid_remote(const struct net_endpoint *local, const struct net_endpoint *remote)
{
    return remote->port != 0 && !net_addr_is_any(&remote->addr) && !net_addr_is_multicast(&remote->addr) &&
           !net_addr_is_loopback(&remote->addr) && net_addr_is_v4(&remote->addr) == net_addr_is_v4(&local->addr);
}

/* Who shares the port with others (SO_REUSEADDR) must not take over a connection that the kernel has given to one of
 * them; without sharing there are no others. */
static int check_kernel_connection(struct netd *netd, const struct socket_info *info, const struct flow *flow)
{
    bool found = false;
    int result;

    if (!info->shared_port || info->protocol != IPPROTO_TCP)
        return 0;
    result = netlink_tcp_connected(netd->netlink, &flow->local, &flow->remote, info->inode, &found);
    if (result < 0)
        return result;
    return found ? LOCKSTEP_E_CONFLICT : 0;
}

static int describe_connect(struct netd *netd, const struct control_flow_add *body, const struct socket_info *info,
                            struct flow *flow)
{
    if (net_addr_is_any(&flow->local.addr)) {
        if (!network_is_local(netd->network, &body->local))
            return LOCKSTEP_E_DENIED;
        if (net_addr_is_v4(&body->local) != net_addr_is_v4(&flow->local.addr) && !info->dual_stack)
            return LOCKSTEP_E_DENIED;
        flow->local.addr = body->local;
    }
    flow->remote = body->remote;
    flow->dual_stack = false;
    flow->guard = flow->local.addr;
    if (!valid_remote(&flow->local, &flow->remote) || !network_is_local(netd->network, &flow->local.addr))
        return LOCKSTEP_E_BAD_VALUE;
    if (info->protocol == IPPROTO_TCP && info->tcp_state != TCP_CLOSE)
        return LOCKSTEP_E_BAD_VALUE;
    return check_kernel_connection(netd, info, flow);
}

static int describe_bound(const struct netd *netd, const struct socket_info *info, struct flow *flow)
{
    /* A bound socket that does not listen may share its port with one that does, and has no claim to connections. */
    if (info->protocol == IPPROTO_TCP && !info->listening)
        return LOCKSTEP_E_DENIED;
    if (net_addr_is_loopback(&flow->local.addr))
        return LOCKSTEP_E_NO_ROUTE;
    flow->guard = flow->local.addr;
    if (net_addr_is_multicast(&flow->local.addr)) {
        flow->kind = CONTROL_FLOW_MULTICAST;
        flow->guard = net_addr_any(net_addr_is_v4(&flow->local.addr));
    } else if (!net_addr_is_any(&flow->local.addr) && !network_is_local(netd->network, &flow->local.addr)) {
        /* Bound with IP_FREEBIND or IP_TRANSPARENT; or to a broadcast address, which nothing may be sent from. */
        return network_is_broadcast(netd->network, &flow->local.addr) ? LOCKSTEP_E_NO_ROUTE : LOCKSTEP_E_DENIED;
    }
    return 0;
}

static int describe_multicast(const struct netd *netd, const struct control_flow_add *body,
                              const struct socket_info *info, struct flow *flow)
{
    bool group_v4 = net_addr_is_v4(&body->group);

    if (body->ifindex) { /* where it was joined, if the socket is not bound to a device anyway */
        if (info->ifindex && info->ifindex != body->ifindex)
            return LOCKSTEP_E_DENIED;
        if (!network_is_accelerated(netd->network, body->ifindex))
            return LOCKSTEP_E_NO_ROUTE;
        flow->ifindex = body->ifindex;
    }
    if (info->protocol != IPPROTO_UDP || !net_addr_is_multicast(&body->group))
        return LOCKSTEP_E_BAD_VALUE;
    /* Bound to another group or to one address, the kernel's socket would not receive this group either. */
    if (!net_addr_is_any(&flow->local.addr) && !net_addr_equal(&flow->local.addr, &body->group))
        return LOCKSTEP_E_DENIED;
    if (group_v4 != net_addr_is_v4(&flow->local.addr) && !info->dual_stack)
        return LOCKSTEP_E_DENIED;
    flow->local.addr = body->group;
    flow->guard = net_addr_any(group_v4);
    flow->dual_stack = false;
    return 0;
}

static int describe_flow(struct netd *netd, const struct control_flow_add *body, const struct socket_info *info,
                         struct flow *flow)
{
    *flow = (struct flow){
        .kind = (enum control_flow_kind)body->kind,
        .protocol = (uint8_t)info->protocol,
        .dual_stack = info->dual_stack,
        .bulk = body->bulk,
        .slot = body->slot,
        .ifindex = info->ifindex,
        .local = info->local,
        .inode = info->inode,
        .cookie = info->cookie,
        .cookie_verified = true,
    };
    if (info->local.port == 0 || body->slot >= LANE_STATS_SLOTS)
        return LOCKSTEP_E_BAD_VALUE;
    if (info->ifindex && !network_is_accelerated(netd->network, info->ifindex))
        return LOCKSTEP_E_NO_ROUTE;
    switch (body->kind) {
    case CONTROL_FLOW_CONNECT:
        return describe_connect(netd, body, info, flow);
    case CONTROL_FLOW_BOUND:
        return describe_bound(netd, info, flow);
    case CONTROL_FLOW_MULTICAST:
        return describe_multicast(netd, body, info, flow);
    }
    return LOCKSTEP_E_BAD_VALUE;
}

/* The kernel lists all its sockets: not for each of many flows. */
void requests_check_listeners(struct netd *netd, uint64_t now_ns)
{
    netd->listeners_due = now_ns - netd->listeners_checked_ns < LISTENERS_PAUSE_NS;
    if (netd->listeners_due)
        return;
    netd->listeners_checked_ns = now_ns;
    flows_check_kernel_listeners(netd->flows);
}

static void note_added(struct netd *netd, struct client *client, const struct flow *flow)
{
    client->user->flows++;
    netd->counters.flows_added++;
    events_connection_opened(netd, flow);
}

static int handle_flow_add(struct netd *netd, struct request *request, struct reply *reply)
{
    struct client *client = request->client;
    struct socket_info info;
    struct flow wanted, *flow;
    int result = check_flow_limit(netd, client);

    netd->last_adopt_ns = platform_now_ns();
    if (result == 0)
        result = socket_info_read(request->fds[0], netd->namespace_cookie, &info);
    if (result == 0)
        result = describe_flow(netd, request->body, &info, &wanted);
    if (result == 0)
        result = admission_flow(netd, client, &wanted);
    if (result < 0)
        return result;
    wanted.since_ns = lanes_slot_since(client->lane, wanted.slot);
    result = flows_add(netd->flows, &client->lane->owner, &wanted, request->fds[0], &flow);
    if (result < 0)
        return result;
    request->fds[0] = -1; /* the reservation */
    if (flow->kind == CONTROL_FLOW_MULTICAST)
        requests_check_listeners(netd, platform_now_ns()); /* or the kernel gets a copy for its first second */
    note_added(netd, client, flow);
    *(struct control_flow_reply *)reply->body = (struct control_flow_reply){flow->id, 0};
    return 0;
}

/* After a restart the listener may be closed long since: then the earlier instance's flow table, which no program can
 * write to, tells whose the connection is. */
static bool had_before(const struct netd *netd, const struct lane *lane, const struct flow *wanted)
{
    size_t count;
    const struct network_interface *interfaces = network_interfaces(netd->network, &count);

    for (size_t i = 0; netd->adopting && i < count; i++) {
        if (flows_had(netd->flows, interfaces[i].ifindex, lane->owner.lane, wanted))
            return true;
    }
    return false;
}

/* Checks what a program says of a connection that it accepted. */
static int describe_accepted(struct netd *netd, const struct client *client, const struct control_flow_accepted *body,
                             struct flow *flow)
{
    const struct flow *listener;
    int result = check_flow_limit(netd, client);

    if (result < 0)
        return result;
    *flow = (struct flow){
        .id = body->client_id,
        .kind = CONTROL_FLOW_CONNECT,
        .protocol = IPPROTO_TCP,
        .accepted = true,
        .slot = body->slot,
        .local = body->local,
        .remote = body->remote,
        .guard = body->local.addr,
        .cookie = body->socket_cookie,
        .since_ns = lanes_slot_since(client->lane, body->slot),
    };
    if (!(body->client_id & FLOW_CLIENT_ID) || body->slot >= LANE_STATS_SLOTS ||
        !valid_remote(&body->local, &body->remote) || flows_find(netd->flows, &client->lane->owner, body->client_id))
        return LOCKSTEP_E_BAD_VALUE;
    if (!network_is_local(netd->network, &body->local.addr))
        return LOCKSTEP_E_DENIED;
    listener = flows_covering(netd->flows, &client->lane->owner, IPPROTO_TCP, &body->local);
    if (listener) {
        flow->ifindex = listener->ifindex;
        flow->bulk = listener->bulk;
    } else if (!had_before(netd, client->lane, flow)) {
        return LOCKSTEP_E_DENIED;
    }
    return 0;
}

/* The connection is known, and the socket behind it is another now. */
static int change_accepted(struct netd *netd, struct flow *flow, const struct control_flow_accepted *body)
{
    if (!flow->accepted || flow->slot != body->slot || !net_endpoint_equal(&flow->local, &body->local) ||
        !net_endpoint_equal(&flow->remote, &body->remote))
        return LOCKSTEP_E_BAD_VALUE;
    flows_set_cookie(netd->flows, flow, body->socket_cookie);
    return 0;
}

static int add_accepted(struct netd *netd, struct client *client, const struct control_flow_accepted *body)
{
    struct flow wanted, *flow = client->lane ? flows_find(netd->flows, &client->lane->owner, body->client_id) : NULL;
    int result;

    if (flow)
        return change_accepted(netd, flow, body);
    result = describe_accepted(netd, client, body, &wanted);
    if (result == 0)
        result = flows_add(netd->flows, &client->lane->owner, &wanted, -1, &flow);
    if (result == 0)
        note_added(netd, client, flow);
    return result;
}

static int handle_flow_accepted(struct netd *netd, struct request *request, struct reply *reply)
{
    int result = add_accepted(netd, request->client, request->body);

    (void)reply;
    netd->last_adopt_ns = platform_now_ns();
    if (result < 0) {
        netd->counters.accepted_failed++;
        log_debug("requests: an accepted connection of %s has no flow of its own: %s", request->client->program,
                  error_text(result));
    }
    return result;
}

static void claim_free(struct claim *claim)
{
    claim->client->user->claims--;
    list_remove(&claim->link);
    free(claim);
}

static void answer_claims(struct netd *netd, const struct lane *lane, uint32_t id, int status)
{
    list_for_each(link, &netd->claims)
    {
        struct claim *claim = list_entry(link, struct claim, link);

        if (claim->lane != lane->owner.lane || claim->flow_id != id)
            continue;
        server_reply(claim->client, CONTROL_CLAIM, claim->sequence, status);
        claim_free(claim);
    }
}

/* The flow goes, and claims on it are answered. final: as in events_connection_closed. */
static void remove_flow(struct netd *netd, struct lane *lane, struct flow *flow,
                        const struct control_flow_closed *final)
{
    uint32_t id = flow->id;
    /* A datagram socket has no state: without its flow it is the kernel's. */
    int status = flow->protocol == IPPROTO_UDP ? 0 : LOCKSTEP_E_GONE;

    events_connection_closed(netd, flow, final);
    flows_remove(netd->flows, flow);
    lane->client->user->flows--;
    answer_claims(netd, lane, id, status);
}

static int handle_flow_remove(struct netd *netd, struct request *request, struct reply *reply)
{
    const struct control_flow_remove *body = request->body;
    struct lane *lane = request->client->lane;
    struct flow *flow = lane ? flows_find(netd->flows, &lane->owner, body->flow_id) : NULL;

    (void)reply;
    if (!flow)
        return LOCKSTEP_E_GONE;
    remove_flow(netd, lane, flow, NULL);
    return 0;
}

/* A socket without a connection of its own, which was closed while there was no service: the earlier one knew it. */
static int describe_closed_socket(const struct netd *netd, const struct client *client,
                                  const struct control_flow_closed *body, struct flow *flow)
{
    const struct net_endpoint *local = &body->accepted.local, *remote = &body->accepted.remote;
    uint8_t protocol = body->slot.protocol;

    *flow = (struct flow){
        .kind = net_addr_is_multicast(&local->addr) ? CONTROL_FLOW_MULTICAST : CONTROL_FLOW_BOUND,
        .protocol = protocol,
        .slot = body->accepted.slot,
        .local = *local,
        .remote = *remote,
    };
    if ((protocol != IPPROTO_UDP && protocol != IPPROTO_TCP) || local->port == 0 || flow->slot >= LANE_STATS_SLOTS)
        return LOCKSTEP_E_BAD_VALUE;
    if (had_before(netd, client->lane, flow))
        return 0;
    flow->kind = CONTROL_FLOW_CONNECT;
    if (remote->port != 0 && had_before(netd, client->lane, flow))
        return 0;
    flow->kind = CONTROL_FLOW_BOUND; /* bound to any address, then connected */
    flow->local.addr = net_addr_any(net_addr_is_v4(&local->addr));
    return had_before(netd, client->lane, flow) ? 0 : LOCKSTEP_E_DENIED;
}

/* A connection that was opened and closed before the program came to tell of it: never a flow, but recorded. */
static int record_moment(struct netd *netd, const struct client *client, const struct control_flow_closed *body)
{
    bool is_connection = body->slot.protocol == IPPROTO_TCP && body->accepted.remote.port != 0;
    struct flow flow;
    int result = is_connection ? describe_accepted(netd, client, &body->accepted, &flow)
                               : describe_closed_socket(netd, client, body, &flow);

    if (result < 0)
        return result;
    flow.owner = &client->lane->owner;
    flow.key = flows_new_key(netd->flows);
    list_init(&flow.members);
    flow.since_ns = lanes_since(body->slot.opened_ns);
    events_connection_opened(netd, &flow);
    events_connection_closed(netd, &flow, body);
    return 0;
}

/* A slot of a program that has ended, which no flow stands for: an accepted connection that it came not to tell of? */
static void record_untold(struct netd *netd, const struct client *client, uint32_t slot)
{
    struct control_flow_closed body = {.unannounced = 1};

    if (!lanes_read_slot(client->lane, slot, &body.slot) || body.slot.protocol != IPPROTO_TCP || !body.slot.connected ||
        lanes_end_heard(client->lane, slot))
        return;
    body.accepted = (struct control_flow_accepted){
        .slot = slot,
        .client_id = FLOW_CLIENT_ID,
        .local = {body.slot.local, body.slot.local_port},
        .remote = {body.slot.remote, body.slot.remote_port},
    };
    lanes_read_histogram(client->lane, slot, body.latency);
    client->user->untold++;
    record_moment(netd, client, &body);
}

void requests_record_untold(struct netd *netd, const struct client *client)
{
    uint64_t has_flow[LANE_STATS_SLOTS / 64] = {0};
    uint32_t used = lanes_slots_used(client->lane);

    renew_window(client->user, platform_now_ns());
    list_for_each(link, &client->lane->owner.flows)
    {
        uint32_t slot = list_entry(link, struct flow, of_owner)->slot;

        has_flow[slot / 64] |= 1ull << slot % 64;
    }
    for (uint32_t slot = 0; slot < used && (client->uid == 0 || client->user->untold < UNTOLD_PER_WINDOW); slot++) {
        if (!(has_flow[slot / 64] >> slot % 64 & 1))
            record_untold(netd, client, slot);
    }
}

static int end_flow(struct netd *netd, const struct client *client, const struct control_flow_closed *body)
{
    struct flow *flow;

    if (body->unannounced)
        return record_moment(netd, client, body);
    flow = flows_find(netd->flows, &client->lane->owner, body->flow_id);
    if (!flow)
        return LOCKSTEP_E_GONE;
    remove_flow(netd, client->lane, flow, body);
    return 0;
}

static int handle_flow_closed(struct netd *netd, struct request *request, struct reply *reply)
{
    const struct control_flow_closed *body = request->body;
    const struct client *client = request->client;
    int result = client->lane ? end_flow(netd, client, body) : LOCKSTEP_E_GONE;

    (void)reply;
    if (client->lane)
        lanes_hear_end(client->lane, body->number);
    if (netd->adopting)
        netd->last_adopt_ns = platform_now_ns();
    return result;
}

static int handle_not_accelerated(struct netd *netd, struct request *request, struct reply *reply)
{
    const struct control_not_accelerated *body = request->body;
    const struct client *client = request->client;
    struct kernel_socket item = {
        .pid = client->process.pid,
        .uid = client->uid,
        .protocol = (uint8_t)body->protocol,
        .local = body->local,
        .remote = body->remote,
        .since = time(NULL),
    };
    const char *policy;

    (void)reply;
    memcpy(item.program, client->program, sizeof(item.program));
    memcpy(item.reason, body->reason, sizeof(item.reason) - 1);
    value_make_printable(item.reason);
    /* Programs know that, and not which rule it was. */
    policy = admission_reason(client, body->protocol, &body->local);
    if (policy && strcmp(item.reason, error_text(LOCKSTEP_E_DENIED)) == 0)
        snprintf(item.reason, sizeof(item.reason), "%s", policy);
    kernel_sockets_add(&netd->kernel_sockets, &item);
    events_kernel_socket(netd, &item);
    return 0;
}

/* --- migration ---------------------------------------------------------------------------------------------- */

static int migrate(struct netd *netd, struct request *request, struct lane *lane, struct flow *flow)
{
    struct control_migrate state = *(const struct control_migrate *)request->body;
    struct socket_info info;
    struct repair repair;
    uint32_t id = flow->id;
    int result = socket_info_read(request->fds[0], netd->namespace_cookie, &info);

    if (result < 0)
        return result;
    if (flow->kind != CONTROL_FLOW_CONNECT || flow->protocol != IPPROTO_TCP || info.protocol != IPPROTO_TCP)
        return LOCKSTEP_E_BAD_VALUE;
    /* Whose connection it is was settled when the flow was registered. */
    state.local = flow->local;
    state.remote = flow->remote;
    state.family = (uint32_t)info.family;
    result = repair_prepare(&repair, request->fds[0], request->fd_count > 1 ? request->fds[1] : -1, &state);
    if (result < 0)
        return result;
    events_connection_closed(netd, flow, NULL);
    flows_remove(netd->flows, flow);
    lane->client->user->flows--;
    result = repair_finish(&repair, &netd->sender);
    answer_claims(netd, lane, id, 0); /* not before: a socket under repair refuses to be used */
    return result;
}

static int handle_migrate(struct netd *netd, struct request *request, struct reply *reply)
{
    const struct control_migrate *body = request->body;
    struct lane *lane = request->client->lane;
    struct flow *flow = lane ? flows_find(netd->flows, &lane->owner, body->flow_id) : NULL;
    int result = flow ? migrate(netd, request, lane, flow) : LOCKSTEP_E_GONE;

    (void)reply;
    if (result == 0)
        netd->counters.migrations++;
    else
        netd->counters.migrations_failed++;
    return result;
}

/* Holding the kernel socket behind a flow is the right to it; where the service does not know that socket, being the
 * same user is. */
static bool may_claim(const struct netd *netd, const struct flow *flow, const struct socket_info *info, uid_t uid)
{
    const struct lane *lane = netd->lanes[flow->owner->lane];

    if (flow->cookie && flow_cookie_counts(flow, uid))
        return flow->cookie == info->cookie;
    return lane->client->uid == uid;
}

static int request_migration(struct netd *netd, struct request *request, const struct flow *flow)
{
    const struct lane *lane = netd->lanes[flow->owner->lane];
    const struct control_migrate_request message = {.flow_id = flow->id};
    struct claim *claim = calloc(1, sizeof(*claim));
    int result;

    if (!claim)
        return -ENOMEM;
    result = server_send_event(lane, CONTROL_MIGRATE_REQUEST, &message, sizeof(message), -1);
    if (result < 0) {
        free(claim);
        return result;
    }
    claim->client = request->client;
    claim->sequence = request->sequence;
    claim->lane = lane->owner.lane;
    claim->flow_id = flow->id;
    claim->deadline_ns = platform_now_ns() + CLAIM_TIMEOUT_NS;
    list_push_back(&netd->claims, &claim->link);
    claim->client->user->claims++;
    netd->counters.claims++;
    return 0;
}

static int handle_claim(struct netd *netd, struct request *request, struct reply *reply)
{
    const struct control_claim *body = request->body;
    struct socket_info info;
    const struct flow *flow;
    int result = socket_info_read(request->fds[0], netd->namespace_cookie, &info);

    if (result < 0)
        return result;
    flow = flows_find_socket(netd->flows, info.cookie, request->client->uid);
    if (!flow && body->protocol <= UINT8_MAX)
        flow = flows_find_connection(netd->flows, (uint8_t)body->protocol, &body->local, &body->remote);
    if (!flow)
        return LOCKSTEP_E_GONE;
    if (!may_claim(netd, flow, &info, request->client->uid))
        return LOCKSTEP_E_DENIED;
    if (request->client->lane && flow->owner == &request->client->lane->owner)
        return LOCKSTEP_E_BAD_VALUE;
    if (request->client->uid != 0 && request->client->user->claims >= CLAIMS_PER_USER)
        return LOCKSTEP_E_EXHAUSTED;
    result = request_migration(netd, request, flow);
    reply->deferred = result == 0;
    return result;
}

void requests_forget_client(struct netd *netd, struct client *client)
{
    release_nexthops(netd, client);
    list_for_each(link, &netd->claims)
    {
        struct claim *claim = list_entry(link, struct claim, link);

        if (claim->client == client)
            claim_free(claim);
    }
}

bool requests_pending(const struct netd *netd)
{
    return netd->listeners_due || !list_empty(&netd->claims);
}

void requests_tick(struct netd *netd, uint64_t now_ns)
{
    if (netd->listeners_due)
        requests_check_listeners(netd, now_ns);
    list_for_each(link, &netd->claims)
    {
        struct claim *claim = list_entry(link, struct claim, link);
        const struct lane *lane = netd->lanes[claim->lane];
        bool gone = !lane || !flows_find(netd->flows, &lane->owner, claim->flow_id);

        if (!gone && now_ns < claim->deadline_ns)
            continue;
        server_reply(claim->client, CONTROL_CLAIM, claim->sequence, gone ? LOCKSTEP_E_GONE : -ETIMEDOUT);
        claim_free(claim);
    }
}

static int handle_policy(struct netd *netd, struct request *request, struct reply *reply)
{
    const struct control_policy *body = request->body;
    struct control_policy_reply *answer = (void *)reply->body;
    char program[CONTROL_PATH_MAX];

    memcpy(program, body->program, sizeof(program));
    program[sizeof(program) - 1] = '\0';
    answer->kernel = !admission_allows(netd, request->client, program, answer->reason);
    return 0;
}

static int handle_reload(struct netd *netd, struct request *request, struct reply *reply)
{
    int result = LOCKSTEP_E_DENIED;

    if (request->client->uid == 0)
        result = reload_begin(netd, request->client, request->sequence);
    reply->deferred = result == 0;
    return result;
}

static int handle_report(struct netd *netd, struct request *request, struct reply *reply)
{
    const struct control_report *body = request->body;
    int result;

    if (body->kind == CONTROL_REPORT_JOURNAL) {
        reply->fds[0] = journal_reader_fd(netd->journal);
        reply->fd_count = reply->kept = 1;
        return 0;
    }
    if (body->kind >= REPORT_KINDS)
        return LOCKSTEP_E_BAD_VALUE;
    result = reporter_request(netd, request->client, request->sequence, body->kind);
    reply->deferred = result == 0;
    return result;
}

/* The first client with a lane: a process has one. */
static struct client *find_program(struct netd *netd, uint32_t pid)
{
    list_for_each(link, &netd->clients)
    {
        struct client *client = list_entry(link, struct client, link);

        if (client->lane && client->process.pid == (pid_t)pid)
            return client;
    }
    return NULL;
}

/* Puts the program in touch with who asks; what they say to each other is their affair. */
static int handle_dump(struct netd *netd, struct request *request, struct reply *reply)
{
    const struct control_dump *body = request->body;
    const struct client *program = find_program(netd, body->pid);
    int ends[2], result;

    if (!program)
        return LOCKSTEP_E_GONE;
    if (request->client->uid != 0 && request->client->uid != program->uid)
        return LOCKSTEP_E_DENIED;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    result = server_send_event(program->lane, CONTROL_DUMP_REQUEST, body, sizeof(*body), ends[1]);
    close(ends[1]);
    reply->fds[0] = ends[0];
    reply->fd_count = 1;
    return result;
}

static const struct {
    int (*handle)(struct netd *netd, struct request *request, struct reply *reply);
    int min_fds, max_fds;
} handlers[CONTROL_TYPE_COUNT] = {
    [CONTROL_HELLO] = {handle_hello, 0, 0},
    [CONTROL_LANE_OPEN] = {handle_lane_open, 0, 0},
    [CONTROL_LANE_ADOPT] = {handle_lane_adopt, 4, 4},
    [CONTROL_ROUTE] = {handle_route, 0, 0},
    [CONTROL_FLOW_ADD] = {handle_flow_add, 1, 1},
    [CONTROL_FLOW_ACCEPTED] = {handle_flow_accepted, 0, 0},
    [CONTROL_FLOW_REMOVE] = {handle_flow_remove, 0, 0},
    [CONTROL_NOT_ACCELERATED] = {handle_not_accelerated, 0, 0},
    [CONTROL_MIGRATE] = {handle_migrate, 1, 2},
    [CONTROL_CLAIM] = {handle_claim, 1, 1},
    [CONTROL_REPORT] = {handle_report, 0, 0},
    [CONTROL_DUMP] = {handle_dump, 0, 0},
    [CONTROL_FLOW_CLOSED] = {handle_flow_closed, 0, 0},
    [CONTROL_POLICY] = {handle_policy, 0, 0},
    [CONTROL_RELOAD] = {handle_reload, 0, 0},
};

int requests_handle(struct netd *netd, struct request *request, struct reply *reply)
{
    memset(reply, 0, sizeof(*reply));
    if (!handlers[request->type].handle || request->fd_count < handlers[request->type].min_fds ||
        request->fd_count > handlers[request->type].max_fds ||
        (!request->client->greeted && request->type != CONTROL_HELLO)) {
        reply->violation = true;
        return LOCKSTEP_E_BAD_FORMAT;
    }
    return handlers[request->type].handle(netd, request, reply);
}
