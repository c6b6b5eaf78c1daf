/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/report.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "platform/platform.h"
#include "service/closer.h"
#include "service/rows.h"

#define NS_PER_S 1000000000ull

static void put_text(struct json_object *object, const char *key, const char *value)
{
    json_object_object_add(object, key, json_object_new_string(value));
}

static void put_number(struct json_object *object, const char *key, uint64_t value)
{
    json_object_object_add(object, key, json_object_new_uint64(value));
}

static void put_bool(struct json_object *object, const char *key, bool value)
{
    json_object_object_add(object, key, json_object_new_boolean(value));
}

static struct json_object *put_array(struct json_object *object, const char *key)
{
    struct json_object *array = json_object_new_array();

    json_object_object_add(object, key, array);
    return array;
}

static struct json_object *put_object(struct json_object *object, const char *key)
{
    struct json_object *child = json_object_new_object();

    json_object_object_add(object, key, child);
    return child;
}

static struct json_object *add_object(struct json_object *array)
{
    struct json_object *object = json_object_new_object();

    json_object_array_add(array, object);
    return object;
}

static void put_endpoint(struct json_object *object, const char *key, const struct net_endpoint *endpoint)
{
    char text[NET_ENDPOINT_TEXT_MAX];

    put_text(object, key,
             endpoint->port || !net_addr_is_any(&endpoint->addr) ? net_endpoint_format(endpoint, text) : "*");
}

static void put_mac(struct json_object *object, const uint8_t mac[6])
{
    char text[18];

    snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    put_text(object, "mac", text);
}

/* --- status ------------------------------------------------------------------------------------------------- */

static void put_addresses(struct json_object *array, const struct links *links, unsigned ifindex)
{
    for (size_t i = 0; i < links->address_count; i++) {
        char text[NET_ADDR_TEXT_MAX], with_prefix[NET_ADDR_TEXT_MAX + 8];

        if (links->address[i].ifindex != ifindex)
            continue;
        snprintf(with_prefix, sizeof(with_prefix), "%s/%u", net_addr_format(&links->address[i].address, text),
                 links->address[i].prefix);
        json_object_array_add(array, json_object_new_string(with_prefix));
    }
}

static void put_link(struct json_object *object, const struct links *links, const struct link *link)
{
    put_number(object, "ifindex", link->ifindex);
    put_number(object, "mtu", link->mtu);
    put_mac(object, link->mac);
    put_bool(object, "up", (link->flags & IFF_UP) && (link->flags & IFF_RUNNING));
    put_addresses(put_array(object, "addresses"), links, link->ifindex);
}

static void put_interfaces(struct json_object *array, const struct netd *netd)
{
    const struct links *links = network_links(netd->network);
    size_t count;
    const struct network_interface *interfaces = network_interfaces(netd->network, &count);

    for (size_t i = 0; i < count; i++) {
        const struct link *link = links_find(links, interfaces[i].ifindex);
        struct json_object *object = add_object(array), *vlans;

        put_text(object, "name", interfaces[i].name);
        put_text(object, "mode", interfaces[i].attached ? divert_mode_name(interfaces[i].mode) : "not attached");
        put_text(object, "why", interfaces[i].why);
        vlans = put_array(object, "vlan");
        if (!link)
            continue;
        put_link(object, links, link);
        for (size_t j = 0; j < links->link_count; j++) {
            struct json_object *vlan;

            if (!links->link[j].vlan || links->link[j].parent != link->ifindex)
                continue;
            vlan = add_object(vlans);
            put_text(vlan, "name", links->link[j].name);
            put_number(vlan, "id", links->link[j].vlan);
            put_link(vlan, links, &links->link[j]);
        }
    }
}

static void put_guard(struct json_object *object, const struct guard_counters *guard)
{
    struct json_object *drops = put_object(object, "guard_drops");

    put_number(object, "guard_packets", guard->packets);
    put_number(object, "guard_bytes", guard->bytes);
    put_number(drops, "malformed", guard->drops[GUARD_DROP_MALFORMED]);
    put_number(drops, "source", guard->drops[GUARD_DROP_SOURCE]);
    put_number(drops, "fragment", guard->drops[GUARD_DROP_FRAGMENT]);
    put_number(drops, "nexthop", guard->drops[GUARD_DROP_NEXTHOP]);
}

static void put_lane(struct json_object *object, const struct netd *netd, const struct lane *lane)
{
    struct guard_counters guard = {0};
    struct lane_row row;

    rows_lane(netd, lane, &row);
    put_number(object, "lane", row.lane);
    put_number(object, "pid", row.pid);
    put_number(object, "uid", row.uid);
    put_text(object, "program", row.program);
    put_text(object, "injector", row.injector == CONTROL_INJECTOR_DIRECT ? "direct" : "guarded");
    put_text(object, "device", row.device);
    put_number(object, "since", (uint64_t)row.since_ns / NS_PER_S);
    put_number(object, "flows", row.flows);
    put_number(object, "ring_bytes", row.ring_bytes);
    put_number(object, "rx_packets", row.rx_packets);
    put_number(object, "rx_bytes", row.rx_bytes);
    put_number(object, "overruns", row.overruns);
    put_number(object, "wakeups", row.wakeups);
    if (lane->injector == CONTROL_INJECTOR_GUARDED)
        divert_guard_counters(netd->divert, lane->owner.lane, &guard);
    put_guard(object, &guard);
    if (!lane->stats)
        return;
    put_number(object, "tx_packets", row.tx_packets);
    put_number(object, "tx_bytes", row.tx_bytes);
    put_number(object, "bad_packets", row.bad_packets);
    put_number(object, "ring_high_water", row.ring_high_water);
    put_number(object, "sleeps", row.sleeps);
    put_number(object, "send_failures", row.send_failures);
    put_number(object, "spin_ns", row.spin_ns);
}

static void put_counters(struct json_object *object, const struct netd *netd)
{
    const struct netd_counters *counters = &netd->counters;
    unsigned used, unresolved;

    put_number(object, "lanes", netd->lane_count);
    put_number(object, "flows", flows_count(netd->flows));
    put_number(object, "clients_accepted", counters->clients_accepted);
    put_number(object, "clients_refused", counters->clients_refused);
    put_number(object, "rejected_messages", counters->rejected_messages);
    put_number(object, "denied_requests", counters->denied_requests);
    put_number(object, "abandoned_descriptors", closer_hanging());
    put_number(object, "lanes_opened", counters->lanes_opened);
    put_number(object, "lanes_adopted", counters->lanes_adopted);
    put_number(object, "flows_added", counters->flows_added);
    put_number(object, "accepted_failed", counters->accepted_failed);
    put_number(object, "resets_sent", counters->resets_sent);
    put_number(object, "migrations", counters->migrations);
    put_number(object, "migrations_failed", counters->migrations_failed);
    put_number(object, "claims", counters->claims);
    put_number(object, "kernel_sockets", netd->kernel_sockets.total);
    nexthops_count(network_nexthops(netd->network), &used, &unresolved);
    put_number(object, "nexthops", used);
    put_number(object, "nexthops_unresolved", unresolved);
}

static void put_divert(struct json_object *object, const struct netd *netd)
{
    static const char *const names[DIVERT_STAT_COUNT] = {"passed", "diverted", "overrun", "both", "stale"};
    uint64_t stats[DIVERT_STAT_COUNT] = {0};

    divert_stats(netd->divert, stats);
    for (int i = 0; i < DIVERT_STAT_COUNT; i++)
        put_number(object, names[i], stats[i]);
}

static void put_configuration(struct json_object *object, const struct netd *netd)
{
    const struct reload_result *reload = &netd->reload;
    struct json_object *last;

    put_text(object, "file", netd->policy.file);
    put_number(object, "rules", netd->policy.rule_count);
    put_text(object, "default_action", rule_action_names[netd->policy.default_action]);
    if (reload->at == 0)
        return;
    last = put_object(object, "last_reload");
    put_number(last, "time", (uint64_t)reload->at);
    put_bool(last, "failed", reload->failed);
    put_number(last, "count", reload->count);
    put_text(last, "text", reload->text);
}

static struct json_object *make_status(const struct netd *netd)
{
    struct json_object *root = json_object_new_object(), *lanes;

    put_text(root, "version", LOCKSTEP_VERSION);
    put_number(root, "pid", (uint64_t)getpid());
    put_number(root, "monotonic_ns", platform_now_ns());
    put_number(root, "uptime_s", (platform_now_ns() - netd->started_ns) / 1000000000);
    put_number(root, "generation", nexthops_state(network_nexthops(netd->network))->generation);
    put_bool(root, "adopting", netd->adopting);
    put_configuration(put_object(root, "configuration"), netd);
    put_interfaces(put_array(root, "interfaces"), netd);
    lanes = put_array(root, "lanes");
    for (unsigned i = 0; i < DIVERT_MAX_LANES; i++) {
        if (netd->lanes[i])
            put_lane(add_object(lanes), netd, netd->lanes[i]);
    }
    put_counters(put_object(root, "totals"), netd);
    put_divert(put_object(root, "divert"), netd);
    return root;
}

/* --- connections -------------------------------------------------------------------------------------------- */

static void put_flow(struct json_object *object, const struct netd *netd, const struct lane *lane,
                     const struct flow *flow)
{
    static const char *const kinds[] = {"connect", "bound", "multicast"};
    struct divert_flow counters;
    struct row_values values;
    struct connection_row row;

    rows_read_values(netd, flow, false, &values);
    rows_connection(netd, flow, &values, &row);
    put_number(object, "lane", row.lane);
    put_number(object, "flow", row.flow);
    put_number(object, "key", row.key);
    put_number(object, "pid", row.pid);
    put_number(object, "uid", row.uid);
    put_text(object, "program", row.program);
    put_text(object, "protocol", row.protocol == IPPROTO_TCP ? "tcp" : "udp");
    put_text(object, "family", net_addr_is_v4(&row.local.addr) ? "ipv4" : "ipv6");
    put_text(object, "kind", row.accepted ? "accepted" : kinds[row.kind]);
    put_endpoint(object, "local", &row.local);
    put_endpoint(object, "remote", &row.remote);
    put_text(object, "state", connection_state_name(&row));
    put_text(object, "interface", row.interface);
    put_number(object, "since", (uint64_t)row.since_ns / NS_PER_S);
    flows_counters(netd->flows, flow, &counters);
    put_number(object, "diverted_packets", counters.packets);
    put_number(object, "diverted_bytes", counters.bytes);
    put_number(object, "ring_drops", counters.drops);
    if (!lane->stats || !values.slot.in_use)
        return;
    put_number(object, "rx_bytes", row.rx_bytes);
    put_number(object, "tx_bytes", row.tx_bytes);
    put_number(object, "rx_packets", row.rx_packets);
    put_number(object, "tx_packets", row.tx_packets);
    put_number(object, "drops", row.drops);
    if (row.latency_count > 0) {
        put_number(object, "latency_p50_ns", row.latency_p50_ns);
        put_number(object, "latency_p99_ns", row.latency_p99_ns);
        put_number(object, "latency_max_ns", row.latency_max_ns);
    }
    if (row.protocol != IPPROTO_TCP)
        return;
    put_number(object, "retransmissions", row.retransmissions);
    put_number(object, "srtt_us", row.srtt_us);
    put_number(object, "cwnd", row.cwnd);
}

static void put_kernel_socket(struct json_object *object, const struct kernel_socket *socket)
{
    put_number(object, "pid", (uint64_t)socket->pid);
    put_number(object, "uid", socket->uid);
    put_text(object, "program", socket->program);
    put_text(object, "protocol",
             socket->protocol == IPPROTO_TCP   ? "tcp"
             : socket->protocol == IPPROTO_UDP ? "udp"
                                               : "other");
    put_endpoint(object, "local", &socket->local);
    put_endpoint(object, "remote", &socket->remote);
    put_text(object, "reason", socket->reason);
    put_number(object, "since", (uint64_t)socket->since);
}

static struct json_object *make_connections(const struct netd *netd)
{
    struct json_object *root = json_object_new_object();
    struct json_object *flows = put_array(root, "flows"), *kernel = put_array(root, "kernel");
    const struct kernel_socket *socket;

    for (unsigned i = 0; i < DIVERT_MAX_LANES; i++) {
        const struct lane *lane = netd->lanes[i];

        if (!lane)
            continue;
        list_for_each(link, &lane->owner.flows)
            put_flow(add_object(flows), netd, lane, list_entry(link, struct flow, of_owner));
    }
    for (unsigned i = 0; (socket = kernel_sockets_get(&netd->kernel_sockets, i)); i++)
        put_kernel_socket(add_object(kernel), socket);
    return root;
}

/* --- the descriptor ----------------------------------------------------------------------------------------- */

int report_create(void)
{
    int fd = memfd_create("lockstep-report", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    return fd < 0 ? -errno : fd;
}

static int write_text(const char *text, size_t length, int fd)
{
    while (length > 0) {
        ssize_t written = write(fd, text, length);

        if (written <= 0)
            return -EIO;
        text += written;
        length -= (size_t)written;
    }
    lseek(fd, 0, SEEK_SET);
    return 0;
}

int report_seal(int fd)
{
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0 ? -errno : 0;
}

int report_reader(int fd)
{
    char path[40];
    int reader;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (fchmod(fd, S_IRUSR) < 0) /* nor can it be opened anew for writing */
        return -errno;
    reader = open(path, O_RDONLY | O_CLOEXEC);
    // cppcheck-suppress resourceLeak ; it is the caller's
    return reader < 0 ? -errno : reader;
}

void report_empty(int fd)
{
    if (ftruncate(fd, 0) < 0)
        log_warning("report: cannot free its memory: %s", error_text(-errno));
}

static int write_json(const struct netd *netd, uint32_t kind, int fd)
{
    struct json_object *root = kind == CONTROL_REPORT_STATUS ? make_status(netd) : make_connections(netd);
    size_t length;
    const char *text =
        json_object_to_json_string_length(root, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED, &length);
    int result = text ? write_text(text, length, fd) : -ENOMEM;

    json_object_put(root);
    return result;
}

int report_write(const struct netd *netd, uint32_t kind, int fd)
{
    if (kind == CONTROL_REPORT_TABLE || kind == CONTROL_REPORT_HISTOGRAMS)
        return rows_write_table(netd, kind == CONTROL_REPORT_HISTOGRAMS, fd);
    return write_json(netd, kind, fd);
}
