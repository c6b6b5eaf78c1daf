/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/network.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "platform/platform.h"
#include "service/events.h"

#define MTU_MAX 65535

/* An address that wildcard flows match. */
struct local {
    struct net_addr address;
    bool broadcast;
};

struct network {
    struct divert *divert;
    struct netlink *netlink;
    struct flows *flows;
    struct nexthops *nexthops;
    struct links links;
    enum divert_mode wanted;
    struct journal *journal;
    bool attach;     /* interfaces are to be attached when they appear */
    int changed;     /* LINKS_CHANGED bits collected while messages are read */
    bool new_routes; /* generation to be raised */
    struct network_interface interfaces[POLICY_MAX_INTERFACES];
    size_t interface_count;
    struct local *locals; /* in the divert's table, sorted */
    size_t local_count;
};

static struct network_interface *find_interface(const struct network *network, unsigned ifindex)
{
    for (size_t i = 0; i < network->interface_count; i++) {
        if (network->interfaces[i].ifindex == ifindex && ifindex != 0)
            return (struct network_interface *)&network->interfaces[i];
    }
    return NULL;
}

/* The accelerated interface that carries this link's packets: itself, or the one below a VLAN. */
static const struct network_interface *carrier(const struct network *network, const struct link *link)
{
    const struct network_interface *interface = find_interface(network, link->ifindex);

    if (interface)
        return interface;
    return link->vlan ? find_interface(network, link->parent) : NULL;
}

unsigned network_carrier(const struct network *network, unsigned ifindex)
{
    const struct link *link = links_find(&network->links, ifindex);
    const struct network_interface *interface = link ? carrier(network, link) : NULL;

    return interface ? interface->ifindex : 0;
}

bool network_is_accelerated(const struct network *network, unsigned ifindex)
{
    return network_carrier(network, ifindex) != 0;
}

/* --- local addresses ---------------------------------------------------------------------------------------- */

/* By address, unicast before broadcast. */
static int compare_locals(const void *a, const void *b)
{
    const struct local *first = a, *second = b;
    int order = memcmp(&first->address, &second->address, sizeof(first->address));

    return order ? order : first->broadcast - second->broadcast;
}

static size_t collect_locals(const struct network *network, struct local *out)
{
    size_t count = 0, unique = 0;

    for (size_t i = 0; i < network->links.address_count; i++) {
        const struct link_address *address = &network->links.address[i];

        if (!address->usable || net_addr_is_loopback(&address->address))
            continue;
        out[count++] = (struct local){address->address, false};
        if (address->has_broadcast && network_is_accelerated(network, address->ifindex))
            out[count++] = (struct local){address->broadcast, true};
    }
    out[count++] = (struct local){net_addr_from_v4(0xffffffffu), true};
    qsort(out, count, sizeof(*out), compare_locals);
    for (size_t i = 0; i < count; i++) {
        if (unique == 0 || !net_addr_equal(&out[unique - 1].address, &out[i].address))
            out[unique++] = out[i];
    }
    return unique;
}

static void change_local(struct network *network, const struct local *local, bool add)
{
    struct divert_addr key;
    int result;

    memcpy(key.byte, local->address.byte, 16);
    if (!add)
        result = divert_local_remove(network->divert, &key);
    else if (local->broadcast)
        result = divert_local_add_broadcast(network->divert, &key);
    else
        result = divert_local_add(network->divert, &key);
    if (result < 0)
        log_warning("network: cannot %s a local address: %s", add ? "add" : "remove", error_text(result));
    if (!local->broadcast)
        flows_address_changed(network->flows, &local->address, add);
}

/* Adds (or removes) what is in one sorted list and not in the other. */
static void change_locals(struct network *network, const struct local *in, size_t in_count, const struct local *out,
                          size_t out_count, bool add)
{
    size_t j = 0;

    for (size_t i = 0; i < in_count; i++) {
        while (j < out_count && compare_locals(&out[j], &in[i]) < 0)
            j++;
        if (j == out_count || compare_locals(&out[j], &in[i]) != 0)
            change_local(network, &in[i], add);
    }
}

static void update_locals(struct network *network)
{
    struct local *wanted = calloc(network->links.address_count * 2 + 1, sizeof(*wanted));
    size_t count;

    if (!wanted)
        return;
    count = collect_locals(network, wanted);
    /* First what goes: an address may be of another kind now. */
    change_locals(network, network->locals, network->local_count, wanted, count, false);
    change_locals(network, wanted, count, network->locals, network->local_count, true);
    free(network->locals);
    network->locals = wanted;
    network->local_count = count;
}

bool network_is_local(const struct network *network, const struct net_addr *address)
{
    for (size_t i = 0; i < network->links.address_count; i++) {
        const struct link_address *known = &network->links.address[i];

        if (known->usable && net_addr_equal(&known->address, address))
            return !net_addr_is_loopback(address);
    }
    return false;
}

bool network_is_broadcast(const struct network *network, const struct net_addr *address)
{
    for (size_t i = 0; i < network->links.address_count; i++) {
        const struct link_address *known = &network->links.address[i];

        if (known->has_broadcast && net_addr_equal(&known->broadcast, address))
            return true;
    }
    return net_addr_is_v4(address) && net_addr_to_v4(address) == 0xffffffffu;
}

unsigned network_interface_of(const struct network *network, const struct net_addr *address)
{
    for (size_t i = 0; i < network->links.address_count; i++) {
        if (net_addr_equal(&network->links.address[i].address, address))
            return network->links.address[i].ifindex;
    }
    return 0;
}

/* --- interfaces --------------------------------------------------------------------------------------------- */

static void update_vlans(struct network *network)
{
    struct flow_vlan vlans[63];
    size_t count = 0;

    for (size_t i = 0; i < network->links.link_count; i++) {
        const struct link *link = &network->links.link[i];
        size_t known = 0;

        if (!link->vlan || !find_interface(network, link->parent))
            continue;
        while (known < count && vlans[known].id != link->vlan)
            known++; /* the same id on two interfaces is one key */
        if (known < count || count == sizeof(vlans) / sizeof(vlans[0]))
            continue;
        vlans[count++] = (struct flow_vlan){link->vlan, link->ifindex};
    }
    flows_set_vlans(network->flows, vlans, count);
}

static int attach(struct network *network, struct network_interface *interface)
{
    int result = divert_attach(network->divert, interface->ifindex, network->wanted, &interface->mode, &interface->why);

    if (result < 0) {
        log_about(LOG_LEVEL_ERROR, LOG_SUBJECT(.event = LOG_EVENT_NOT_ATTACHED, .interface = interface->name),
                  "network: cannot attach to %s: %s", interface->name, error_text(result));
        events_text(network->journal, JOURNAL_INTERFACE, interface->name, "cannot attach: %s", error_text(result));
        return result;
    }
    interface->attached = true;
    log_about(LOG_LEVEL_INFO, LOG_SUBJECT(.event = LOG_EVENT_ATTACHED, .interface = interface->name),
              "%s: attached as %s (%s)", interface->name, divert_mode_name(interface->mode), interface->why);
    events_text(network->journal, JOURNAL_INTERFACE, interface->name, "attached as %s (%s)",
                divert_mode_name(interface->mode), interface->why);
    return 0;
}

/* Interfaces may vanish and come back under another index. */
static void update_interfaces(struct network *network)
{
    for (size_t i = 0; i < network->interface_count; i++) {
        struct network_interface *interface = &network->interfaces[i];
        const struct link *link = links_find_name(&network->links, interface->name);

        if (link && link->ifindex == interface->ifindex)
            continue;
        if (interface->ifindex) {
            log_about(LOG_LEVEL_WARNING, LOG_SUBJECT(.event = LOG_EVENT_INTERFACE_GONE, .interface = interface->name),
                      "network: interface %s has gone", interface->name);
            events_text(network->journal, JOURNAL_INTERFACE, interface->name, "detached: the interface has gone");
            if (interface->attached)
                divert_detach(network->divert, interface->ifindex);
        }
        interface->attached = false;
        interface->ifindex = link ? link->ifindex : 0;
        if (link && network->attach)
            attach(network, interface);
    }
}

int network_attach(struct network *network)
{
    network->attach = true;
    for (size_t i = 0; i < network->interface_count; i++) {
        struct network_interface *interface = &network->interfaces[i];

        if (interface->ifindex && !interface->attached) {
            int result = attach(network, interface);

            if (result < 0)
                return result;
        }
    }
    return 0;
}

bool network_attached(const struct network *network)
{
    return network->attach;
}

const struct network_interface *network_interfaces(const struct network *network, size_t *count)
{
    *count = network->interface_count;
    return network->interfaces;
}

const struct links *network_links(const struct network *network)
{
    return &network->links;
}

struct nexthops *network_nexthops(const struct network *network)
{
    return network->nexthops;
}

/* --- events ------------------------------------------------------------------------------------------------- */

/* The lanes' own TAP devices come and go with programs; no route leads there. */
static bool is_lane_device(const struct network *network, unsigned ifindex)
{
    const struct link *link = links_find(&network->links, ifindex);

    return link && !strcmp(link->kind, "tun") && !find_interface(network, ifindex);
}

static void handle_link(struct network *network, const struct nlmsghdr *message)
{
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
    unsigned ifindex = message->nlmsg_len >= mnl_nlmsg_size(sizeof(*info)) ? (unsigned)info->ifi_index : 0;
    bool lane_device = is_lane_device(network, ifindex);
    int changed = links_apply(&network->links, message);
    const struct link *link = links_find(&network->links, ifindex);

    if (changed <= 0 || lane_device || is_lane_device(network, ifindex))
        return;
    network->changed |= changed;
    if (link)
        nexthops_link(network->nexthops, link);
}

static void handle_route(struct network *network, const struct nlmsghdr *message)
{
    struct route_info info;

    if (route_parse(message, &info) == 0 && info.ifindex && is_lane_device(network, info.ifindex))
        return;
    network->new_routes = true;
}

static void handle_message(void *context, const struct nlmsghdr *message)
{
    struct network *network = context;
    struct neighbour_info neighbour;

    switch (message->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
        handle_link(network, message);
        break;
    case RTM_NEWADDR:
    case RTM_DELADDR: {
        int changed = links_apply(&network->links, message);

        if (changed > 0)
            network->changed |= changed;
        break;
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        handle_route(network, message);
        break;
    case RTM_NEWRULE:
    case RTM_DELRULE:
        network->new_routes = true;
        break;
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
        if (neighbour_parse(message, &neighbour) == 0)
            nexthops_neighbour(network->nexthops, &neighbour);
        break;
    }
}

static int read_all(struct network *network)
{
    int result;

    links_clear(&network->links);
    result = netlink_dump(network->netlink, RTM_GETLINK, handle_message, network);
    if (result == 0)
        result = netlink_dump(network->netlink, RTM_GETADDR, handle_message, network);
    if (result == 0)
        result = netlink_dump(network->netlink, RTM_GETNEIGH, handle_message, network);
    if (result < 0)
        log_error("network: cannot read links and addresses: %s", error_text(result));
    network->changed = LINKS_CHANGED_LINK | LINKS_CHANGED_ADDRESS;
    return result;
}

static void follow_changes(struct network *network, uint64_t now_ns)
{
    if (network->changed & LINKS_CHANGED_LINK) {
        update_interfaces(network);
        update_vlans(network);
    }
    if (network->changed)
        update_locals(network);
    if (network->changed || network->new_routes)
        nexthops_raise_generation(network->nexthops, now_ns);
    network->changed = 0;
    network->new_routes = false;
}

void network_handle_events(struct network *network, uint64_t now_ns)
{
    int result = netlink_read_events(network->netlink, handle_message, network);

    if (result == -ENOBUFS) {
        log_limited(LOG_LEVEL_INFO, NULL, "network: events were lost, reading everything again");
        read_all(network);
    } else if (result < 0) {
        log_limited(LOG_LEVEL_WARNING, NULL, "network: cannot read events: %s", error_text(result));
    }
    follow_changes(network, now_ns);
}

void network_tick(struct network *network, uint64_t now_ns)
{
    nexthops_heartbeat(network->nexthops, now_ns);
    nexthops_tick(network->nexthops, now_ns);
}

/* Notes an interface of the policy; not attached yet. */
static int put_interface(struct network *network, const char *name, struct network_interface **out)
{
    const struct link *link = links_find_name(&network->links, name);

    if (!link) {
        log_about(LOG_LEVEL_ERROR, LOG_SUBJECT(.event = LOG_EVENT_NOT_ATTACHED, .interface = name),
                  "network: no interface %s here", name);
        return LOCKSTEP_E_UNKNOWN_NAME;
    }
    if (network->interface_count == POLICY_MAX_INTERFACES)
        return LOCKSTEP_E_EXHAUSTED;
    *out = &network->interfaces[network->interface_count++];
    **out = (struct network_interface){.ifindex = link->ifindex, .why = "not attached"};
    snprintf((*out)->name, sizeof((*out)->name), "%s", name);
    return 0;
}

/* What follows from the list of interfaces. */
static void interfaces_changed(struct network *network)
{
    network->changed |= LINKS_CHANGED_LINK;
    follow_changes(network, platform_now_ns());
}

int network_interface_add(struct network *network, const char *name)
{
    struct network_interface *interface;
    int result = put_interface(network, name, &interface);

    if (result < 0)
        return result;
    if (network->attach)
        result = attach(network, interface);
    if (result < 0)
        network->interface_count--;
    else
        interfaces_changed(network);
    return result;
}

void network_interface_remove(struct network *network, const char *name)
{
    for (size_t i = 0; i < network->interface_count; i++) {
        struct network_interface *interface = &network->interfaces[i];

        if (strcmp(interface->name, name) != 0)
            continue;
        if (interface->attached)
            divert_detach(network->divert, interface->ifindex);
        log_info("%s: detached", name);
        events_text(network->journal, JOURNAL_INTERFACE, name, "detached");
        memmove(interface, interface + 1, (network->interface_count - i - 1) * sizeof(*interface));
        network->interface_count--;
        interfaces_changed(network);
        return;
    }
}

int network_create(struct network **out, const struct policy *policy, struct divert *divert, struct netlink *netlink,
                   struct flows *flows, struct journal *journal)
{
    struct network *network = calloc(1, sizeof(*network));
    int result;

    if (!network)
        return -ENOMEM;
    network->divert = divert;
    network->netlink = netlink;
    network->flows = flows;
    network->journal = journal;
    network->wanted = (enum divert_mode)policy->attach;
    result = nexthops_create(&network->nexthops, divert, netlink);
    if (result == 0)
        result = read_all(network);
    for (size_t i = 0; result == 0 && i < POLICY_MAX_INTERFACES && policy->interfaces[i][0]; i++) {
        struct network_interface *unused;

        result = put_interface(network, policy->interfaces[i], &unused);
    }
    if (result < 0) {
        network_destroy(network);
        return result;
    }
    follow_changes(network, platform_now_ns());
    *out = network;
    return 0;
}

void network_destroy(struct network *network)
{
    if (!network)
        return;
    nexthops_destroy(network->nexthops);
    links_fini(&network->links);
    free(network->locals);
    free(network);
}

/* --- routes ------------------------------------------------------------------------------------------------- */

static int refuse(struct control_route_reply *reply, const char *format, const char *name)
{
    snprintf(reply->reason, sizeof(reply->reason), format, name);
    return LOCKSTEP_E_NO_ROUTE;
}

/* Drivers of machines' virtual interfaces, which hand over packets of neighbours with unfinished checksums. */
static bool driver_is_virtual(const char *interface)
{
    static const char *const drivers[] = {"virtio_net", "vif", "hv_netvsc", "vmxnet3"};
    struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
    struct ifreq request;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), result;

    if (fd < 0)
        return true;
    memset(&request, 0, sizeof(request));
    memcpy(request.ifr_name, interface, strnlen(interface, IFNAMSIZ - 1));
    request.ifr_data = (char *)&info;
    result = ioctl(fd, SIOCETHTOOL, &request);
    close(fd);
    if (result < 0)
        return true;
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        if (!strcmp(info.driver, drivers[i]))
            return true;
    }
    return false;
}

static uint32_t route_flags(const struct network *network, const struct network_interface *interface,
                            const struct route_info *info)
{
    const struct link *link = links_find(&network->links, interface->ifindex);
    uint32_t flags = 0;

    if (!info->has_gateway)
        flags |= CONTROL_ROUTE_LOCAL_LINK;
    if (info->type == RTN_BROADCAST)
        flags |= CONTROL_ROUTE_BROADCAST;
    if (info->type == RTN_MULTICAST)
        flags |= CONTROL_ROUTE_MULTICAST;
    if (link && !link->is_virtual && !driver_is_virtual(interface->name))
        flags |= CONTROL_ROUTE_FULL_CHECKSUM;
    if (interface->attached && interface->mode == DIVERT_MODE_TC)
        flags |= CONTROL_ROUTE_SEGMENT_MERGED;
    return flags;
}

/* Is the kernel's answer one that the accelerated path can follow? Fills in the reason if not. */
static int check_route(const struct route_info *info, struct control_route_reply *reply)
{
    switch (info->type) {
    case RTN_UNICAST:
    case RTN_BROADCAST:
    case RTN_MULTICAST:
        return 0;
    case RTN_LOCAL:
        return refuse(reply, "%s", "destination is this host");
    default:
        return refuse(reply, "%s", "no unicast route");
    }
}

unsigned network_interface_to(const struct network *network, const struct net_addr *from, const struct net_addr *to,
                              uint32_t uid)
{
    const struct route_query query = {.destination = *to, .source = *from, .uid = uid};
    struct route_info info = {0};

    return netlink_route(network->netlink, &query, &info) < 0 ? 0 : info.ifindex;
}

int network_route(struct network *network, const struct control_route *request, uint32_t uid, uint64_t now_ns,
                  struct control_route_reply *reply, bool *made_nexthop)
{
    struct route_query query = {request->destination, request->source, request->ifindex, request->mark, uid};
    const struct network_interface *interface;
    enum nexthop_kind kind;
    struct route_info info;
    const struct link *link;
    int result;

    memset(&info, 0, sizeof(info));
    memset(reply, 0, sizeof(*reply));
    result = netlink_route(network->netlink, &query, &info);
    *made_nexthop = false;
    reply->generation = nexthops_state(network->nexthops)->generation;
    if (result < 0)
        return refuse(reply, "%s", error_text(result));
    result = check_route(&info, reply);
    if (result < 0)
        return result;
    link = links_find(&network->links, info.ifindex);
    interface = link ? carrier(network, link) : NULL;
    if (!interface)
        return refuse(reply, "%s is not accelerated", link ? link->name : "another interface");
    if (!(link->flags & IFF_UP) || !(link->flags & IFF_RUNNING))
        return refuse(reply, "%s is down", link->name);
    kind = info.type == RTN_MULTICAST   ? NEXTHOP_MULTICAST
           : info.type == RTN_BROADCAST ? NEXTHOP_BROADCAST
                                        : NEXTHOP_UNICAST;
    result = nexthops_get(network->nexthops, kind, link,
                          info.has_gateway && kind == NEXTHOP_UNICAST ? &info.gateway : &request->destination, now_ns,
                          &reply->nexthop, made_nexthop);
    if (result < 0)
        return refuse(reply, "%s", "too many next hops");
    reply->source = info.has_source ? info.source : request->source;
    reply->ifindex = link->ifindex;
    reply->mtu = info.mtu && info.mtu < link->mtu ? info.mtu : link->mtu;
    if (reply->mtu > MTU_MAX)
        reply->mtu = MTU_MAX;
    reply->vlan = link->ifindex == interface->ifindex ? 0 : link->vlan;
    reply->flags = route_flags(network, interface, &info);
    return 0;
}
