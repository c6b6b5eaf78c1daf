/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/flows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/probe.h"

#define MAX_VLANS 64

/* An entry of the divert's flow table and the flows that share it. */
struct binding {
    struct table_node node;
    struct divert_flow_key key;
    struct list members;
    bool installed;
    bool suspended; /* its local address is not there */
    bool multicast;
    bool also_kernel;
    int group; /* -1: a single lane */
    struct list of_multicast;
};

/* A flow's part in a binding. */
struct member {
    struct flow *flow;
    struct binding *binding;
    struct list of_flow, of_binding;
};

/* What lanes may send from, counted. */
struct guard {
    struct table_node node;
    struct guard_key key;
    unsigned references;
    bool suspended; /* its address is not there */
};

struct flows {
    struct divert *divert;
    struct netlink *netlink;
    struct table bindings, guards, ids, inodes, cookies;
    struct list multicast; /* bindings */
    uint32_t next_id;
    uint64_t last_key;
    struct flow_vlan vlans[MAX_VLANS];
    size_t vlan_count;
    uint32_t next_group;
    bool group_used[DIVERT_MAX_GROUPS];
};

void flow_owner_init(struct flow_owner *owner, uint32_t lane, uid_t uid, struct closer_account *closer)
{
    owner->lane = lane;
    owner->uid = uid;
    owner->closer = closer;
    owner->count = 0;
    list_init(&owner->flows);
}

int flows_create(struct flows **out, struct divert *divert, struct netlink *netlink)
{
    struct flows *flows = calloc(1, sizeof(*flows));

    if (!flows)
        return -ENOMEM;
    flows->divert = divert;
    flows->netlink = netlink;
    flows->vlan_count = 1; /* untagged */
    list_init(&flows->multicast);
    if (table_init(&flows->bindings) < 0 || table_init(&flows->guards) < 0 || table_init(&flows->ids) < 0 ||
        table_init(&flows->inodes) < 0 || table_init(&flows->cookies) < 0) {
        flows_destroy(flows);
        return -ENOMEM;
    }
    *out = flows;
    return 0;
}

static void free_flow(struct table_node *node, void *context)
{
    struct flow *flow = table_entry(node, struct flow, by_id);

    (void)context;
    list_for_each(link, &flow->members) free(list_entry(link, struct member, of_flow));
    closer_close(flow->owner->closer, flow->fd);
    free(flow);
}

static void free_binding(struct table_node *node, void *context)
{
    (void)context;
    free(table_entry(node, struct binding, node));
}

static void free_guard(struct table_node *node, void *context)
{
    (void)context;
    free(table_entry(node, struct guard, node));
}

void flows_destroy(struct flows *flows)
{
    if (!flows)
        return;
    table_each(&flows->ids, free_flow, NULL);
    table_each(&flows->bindings, free_binding, NULL);
    table_each(&flows->guards, free_guard, NULL);
    table_fini(&flows->bindings);
    table_fini(&flows->guards);
    table_fini(&flows->ids);
    table_fini(&flows->inodes);
    table_fini(&flows->cookies);
    free(flows);
}

unsigned flows_count(const struct flows *flows)
{
    return (unsigned)flows->ids.count;
}

unsigned flows_entries(const struct flows *flows)
{
    return (unsigned)flows->bindings.count;
}

/* --- groups ------------------------------------------------------------------------------------------------- */

/* Round robin, so that a packet under way never meets a group that was just given to others. */
static int group_take(struct flows *flows)
{
    for (uint32_t i = 0; i < DIVERT_MAX_GROUPS; i++) {
        uint32_t group = (flows->next_group + i) % DIVERT_MAX_GROUPS;

        if (flows->group_used[group])
            continue;
        flows->group_used[group] = true;
        flows->next_group = group + 1;
        return (int)group;
    }
    return LOCKSTEP_E_EXHAUSTED;
}

/* --- bindings ----------------------------------------------------------------------------------------------- */

static struct binding *binding_find(const struct flows *flows, const struct divert_flow_key *key)
{
    struct table_node *node = table_first(&flows->bindings, table_hash(&flows->bindings, key, sizeof(*key)));

    for (; node; node = table_next(node)) {
        struct binding *binding = table_entry(node, struct binding, node);

        if (!memcmp(&binding->key, key, sizeof(*key)))
            return binding;
    }
    return NULL;
}

/* The distinct lanes of a binding; their number, at most `max` stored. */
static unsigned binding_lanes(const struct binding *binding, uint32_t *lanes, unsigned max)
{
    unsigned count = 0;

    list_for_each(link, &binding->members)
    {
        uint32_t lane = list_entry(link, struct member, of_binding)->flow->owner->lane;
        unsigned i = 0;

        while (i < count && lanes[i] != lane)
            i++;
        if (i < count)
            continue;
        if (count == max)
            return max + 1;
        lanes[count++] = lane;
    }
    return count;
}

/* Brings the divert's entry in line with the binding's members. */
static int binding_apply(struct flows *flows, struct binding *binding)
{
    uint32_t lanes[DIVERT_MAX_MEMBERS] = {0};
    unsigned count = binding_lanes(binding, lanes, DIVERT_MAX_MEMBERS);
    const struct flow *first = list_entry(binding->members.next, struct member, of_binding)->flow;
    bool shared = binding->members.next != binding->members.prev;
    struct divert_flow value = {.target = lanes[0], .flow_id = shared ? 0 : first->id};
    int result, former_group = binding->group;

    if (count > DIVERT_MAX_MEMBERS)
        return LOCKSTEP_E_EXHAUSTED;
    if (binding->also_kernel)
        value.flags |= DIVERT_FLOW_ALSO_KERNEL;
    if (first->bulk)
        value.flags |= DIVERT_FLOW_BULK;
    if (count > 1) {
        if (binding->group < 0 && (binding->group = group_take(flows)) < 0)
            return LOCKSTEP_E_EXHAUSTED;
        result = divert_group_set(flows->divert, (uint32_t)binding->group,
                                  binding->multicast ? DIVERT_GROUP_COPY : DIVERT_GROUP_HASH, lanes, count);
        if (result < 0)
            return result;
        value.target = (uint32_t)binding->group;
        value.flags |= DIVERT_FLOW_GROUP;
    }
    if (binding->suspended)
        result = 0;
    else if (binding->installed)
        result = divert_flow_update(flows->divert, &binding->key, value.target, value.flags, value.flow_id);
    else
        result = divert_flow_add(flows->divert, &binding->key, &value);
    if (result < 0)
        return result;
    binding->installed = !binding->suspended;
    if (count == 1 && former_group >= 0) {
        flows->group_used[former_group] = false;
        binding->group = -1;
    }
    return 0;
}

static void binding_destroy(struct flows *flows, struct binding *binding)
{
    if (binding->installed)
        divert_flow_remove(flows->divert, &binding->key);
    if (binding->group >= 0)
        flows->group_used[binding->group] = false;
    list_remove(&binding->of_multicast);
    table_remove(&flows->bindings, &binding->node);
    free(binding);
}

static struct binding *binding_create(struct flows *flows, const struct divert_flow_key *key, bool multicast)
{
    struct binding *binding;

    if (flows->bindings.count >= DIVERT_MAX_FLOWS)
        return NULL;
    binding = calloc(1, sizeof(*binding));
    if (!binding)
        return NULL;
    binding->key = *key;
    binding->group = -1;
    binding->multicast = multicast;
    binding->also_kernel = multicast; /* until it has been looked for */
    list_init(&binding->members);
    list_init(&binding->of_multicast);
    if (multicast)
        list_push_back(&flows->multicast, &binding->of_multicast);
    table_insert(&flows->bindings, &binding->node, table_hash(&flows->bindings, key, sizeof(*key)));
    return binding;
}

static void member_remove(struct flows *flows, struct member *member)
{
    struct binding *binding = member->binding;

    list_remove(&member->of_flow);
    list_remove(&member->of_binding);
    free(member);
    if (list_empty(&binding->members))
        binding_destroy(flows, binding);
    else if (binding_apply(flows, binding) < 0)
        log_limited(LOG_LEVEL_WARNING, NULL, "flows: cannot update an entry of the flow table");
}

static int member_add(struct flows *flows, struct flow *flow, const struct divert_flow_key *key)
{
    struct binding *binding = binding_find(flows, key);
    struct member *member;
    int result;

    if (binding && flow->kind == CONTROL_FLOW_CONNECT)
        return LOCKSTEP_E_CONFLICT;
    if (!binding)
        binding = binding_create(flows, key, flow->kind == CONTROL_FLOW_MULTICAST);
    member = binding ? calloc(1, sizeof(*member)) : NULL;
    if (!member) {
        if (binding && list_empty(&binding->members))
            binding_destroy(flows, binding);
        return LOCKSTEP_E_EXHAUSTED;
    }
    member->flow = flow;
    member->binding = binding;
    list_push_back(&flow->members, &member->of_flow);
    list_push_back(&binding->members, &member->of_binding);
    result = binding_apply(flows, binding);
    if (result < 0)
        member_remove(flows, member);
    return result;
}

/* --- guard entries ------------------------------------------------------------------------------------------ */

static struct guard *guard_find(const struct flows *flows, const struct guard_key *key)
{
    struct table_node *node = table_first(&flows->guards, table_hash(&flows->guards, key, sizeof(*key)));

    for (; node; node = table_next(node)) {
        struct guard *guard = table_entry(node, struct guard, node);

        if (!memcmp(&guard->key, key, sizeof(*key)))
            return guard;
    }
    return NULL;
}

static int guard_take(struct flows *flows, const struct guard_key *key)
{
    struct guard *guard = guard_find(flows, key);
    int result;

    if (guard) {
        guard->references++;
        return 0;
    }
    guard = calloc(1, sizeof(*guard));
    if (!guard)
        return -ENOMEM;
    result = divert_guard_allow(flows->divert, key);
    if (result < 0) {
        free(guard);
        return result;
    }
    guard->key = *key;
    guard->references = 1;
    table_insert(&flows->guards, &guard->node, table_hash(&flows->guards, key, sizeof(*key)));
    return 0;
}

static void guard_drop(struct flows *flows, const struct guard_key *key)
{
    struct guard *guard = guard_find(flows, key);

    if (!guard || --guard->references > 0)
        return;
    if (!guard->suspended)
        divert_guard_revoke(flows->divert, key);
    table_remove(&flows->guards, &guard->node);
    free(guard);
}

/* The one or two guard entries of a flow; their number. */
static int guard_keys(const struct flow *flow, struct guard_key keys[2])
{
    memset(keys, 0, 2 * sizeof(keys[0]));
    for (int i = 0; i < 2; i++) {
        memcpy(keys[i].local.byte, flow->guard.byte, 16);
        keys[i].lane = flow->owner->lane;
        keys[i].local_port = htons(flow->local.port);
        keys[i].protocol = flow->protocol;
    }
    if (!flow->dual_stack)
        return 1;
    memcpy(keys[1].local.byte, net_addr_any(true).byte, 16);
    return 2;
}

/* --- flows -------------------------------------------------------------------------------------------------- */

static struct divert_flow_key flow_key(const struct flow *flow, bool v4_side, uint16_t vlan)
{
    struct divert_flow_key key;
    struct net_addr local = v4_side ? net_addr_any(true) : flow->local.addr;

    memset(&key, 0, sizeof(key));
    memcpy(key.local.byte, local.byte, 16);
    key.local_port = htons(flow->local.port);
    if (flow->kind == CONTROL_FLOW_CONNECT) {
        memcpy(key.remote.byte, flow->remote.addr.byte, 16);
        key.remote_port = htons(flow->remote.port);
    }
    key.vlan = vlan;
    key.protocol = flow->protocol;
    return key;
}

/* A socket bound to a VLAN device gets that VLAN only, one bound to another device untagged packets only. */
static bool on_device(const struct flows *flows, const struct flow *flow, const struct flow_vlan *vlan)
{
    if (flow->ifindex == 0)
        return true;
    for (size_t i = 0; i < flows->vlan_count; i++) {
        if (flows->vlans[i].id != 0 && flows->vlans[i].ifindex == flow->ifindex)
            return vlan->ifindex == flow->ifindex;
    }
    return vlan->id == 0;
}

static bool has_vlan(const struct flow *flow, uint16_t vlan)
{
    list_for_each(link, &flow->members)
    {
        if (list_entry(link, struct member, of_flow)->binding->key.vlan == vlan)
            return true;
    }
    return false;
}

/* Adds what is missing. */
static int flow_install(struct flows *flows, struct flow *flow)
{
    for (size_t i = 0; i < flows->vlan_count; i++) {
        const struct flow_vlan *vlan = &flows->vlans[i];

        if (!on_device(flows, flow, vlan) || has_vlan(flow, vlan->id))
            continue;
        for (int v4_side = 0; v4_side <= flow->dual_stack; v4_side++) {
            struct divert_flow_key key = flow_key(flow, v4_side, vlan->id);
            int result = member_add(flows, flow, &key);

            if (result < 0)
                return result;
        }
    }
    return 0;
}

static void flow_uninstall(struct flows *flows, struct flow *flow)
{
    list_for_each(link, &flow->members) member_remove(flows, list_entry(link, struct member, of_flow));
}

static uint64_t id_hash(const struct flows *flows, uint32_t lane, uint32_t id)
{
    uint32_t key[2] = {id, id & FLOW_CLIENT_ID ? lane : 0};

    return table_hash(&flows->ids, key, sizeof(key));
}

struct flow *flows_find(const struct flows *flows, const struct flow_owner *owner, uint32_t id)
{
    struct table_node *node = table_first(&flows->ids, id_hash(flows, owner->lane, id));

    for (; node; node = table_next(node)) {
        struct flow *flow = table_entry(node, struct flow, by_id);

        if (flow->id == id && flow->owner == owner)
            return flow;
    }
    return NULL;
}

bool flow_cookie_counts(const struct flow *flow, uid_t uid)
{
    return flow->cookie_verified || flow->owner->uid == uid || flow->owner->uid == 0;
}

struct flow *flows_find_socket(const struct flows *flows, uint64_t cookie, uid_t uid)
{
    struct table_node *node = table_first(&flows->cookies, hash_u64(&flows->cookies.key, cookie));
    struct flow *said = NULL;

    for (; node; node = table_next(node)) {
        struct flow *flow = table_entry(node, struct flow, by_cookie);

        if (flow->cookie != cookie || !flow_cookie_counts(flow, uid))
            continue;
        if (flow->cookie_verified)
            return flow;
        said = flow;
    }
    return said;
}

static uint32_t choose_id(struct flows *flows)
{
    for (;;) {
        uint32_t id = ++flows->next_id & ~FLOW_CLIENT_ID;
        struct table_node *node;

        if (id == 0)
            continue;
        node = table_first(&flows->ids, id_hash(flows, 0, id));
        while (node && table_entry(node, struct flow, by_id)->id != id)
            node = table_next(node);
        if (!node)
            return id;
    }
}

static int guards_take(struct flows *flows, const struct flow *flow)
{
    struct guard_key keys[2];
    int count = guard_keys(flow, keys);

    for (int i = 0; i < count; i++) {
        int result = guard_take(flows, &keys[i]);

        if (result < 0) {
            while (i-- > 0)
                guard_drop(flows, &keys[i]);
            return result;
        }
    }
    return 0;
}

static void guards_drop(struct flows *flows, const struct flow *flow)
{
    struct guard_key keys[2];
    int count = guard_keys(flow, keys);

    for (int i = 0; i < count; i++)
        guard_drop(flows, &keys[i]);
}

uint64_t flows_new_key(struct flows *flows)
{
    return ++flows->last_key;
}

int flows_add(struct flows *flows, struct flow_owner *owner, const struct flow *wanted, int fd, struct flow **out)
{
    struct flow *flow = malloc(sizeof(*flow));
    int result;

    if (!flow)
        return -ENOMEM;
    *flow = *wanted;
    flow->owner = owner;
    flow->fd = -1;
    list_init(&flow->members);
    if (!(flow->id & FLOW_CLIENT_ID))
        flow->id = choose_id(flows);
    result = guards_take(flows, flow);
    if (result < 0) {
        free(flow);
        return result;
    }
    result = flow_install(flows, flow);
    if (result < 0) {
        flow_uninstall(flows, flow);
        guards_drop(flows, flow);
        free(flow);
        return result;
    }
    flow->fd = fd;
    flow->key = flows_new_key(flows);
    list_push_back(&owner->flows, &flow->of_owner);
    owner->count++;
    PROBE(flow_added, flow->id, owner->lane, flow->protocol, flow->kind, flow->local.port, flow->remote.port);
    table_insert(&flows->ids, &flow->by_id, id_hash(flows, owner->lane, flow->id));
    if (flow->inode)
        table_insert(&flows->inodes, &flow->by_inode, hash_u64(&flows->inodes.key, flow->inode));
    if (flow->cookie)
        table_insert(&flows->cookies, &flow->by_cookie, hash_u64(&flows->cookies.key, flow->cookie));
    *out = flow;
    return 0;
}

void flows_set_cookie(struct flows *flows, struct flow *flow, uint64_t cookie)
{
    if (flow->cookie)
        table_remove(&flows->cookies, &flow->by_cookie);
    flow->cookie = cookie;
    if (flow->cookie)
        table_insert(&flows->cookies, &flow->by_cookie, hash_u64(&flows->cookies.key, flow->cookie));
}

void flows_remove(struct flows *flows, struct flow *flow)
{
    PROBE(flow_removed, flow->id, flow->owner->lane, flow->protocol, flow->kind, flow->local.port, flow->remote.port);
    flow_uninstall(flows, flow);
    guards_drop(flows, flow);
    table_remove(&flows->ids, &flow->by_id);
    if (flow->inode)
        table_remove(&flows->inodes, &flow->by_inode);
    if (flow->cookie)
        table_remove(&flows->cookies, &flow->by_cookie);
    list_remove(&flow->of_owner);
    flow->owner->count--;
    closer_close(flow->owner->closer, flow->fd);
    free(flow);
}

static void close_copy(struct table_node *node, void *context)
{
    const struct flow *flow = table_entry(node, struct flow, by_id);

    (void)context;
    if (flow->fd >= 0)
        close(flow->fd);
}

void flows_close_copies(struct flows *flows)
{
    table_each(&flows->ids, close_copy, NULL);
}

/* A bound flow covers its own address, or every one of its family if that is the wildcard. */
static bool covers(const struct flow *flow, uint8_t protocol, const struct net_endpoint *local)
{
    if (flow->kind != CONTROL_FLOW_BOUND || flow->protocol != protocol || flow->local.port != local->port)
        return false;
    if (!net_addr_is_any(&flow->local.addr))
        return net_addr_equal(&flow->local.addr, &local->addr);
    return flow->dual_stack || net_addr_is_v4(&flow->local.addr) == net_addr_is_v4(&local->addr);
}

/* The owner's member of the binding for this local address, if it has one. */
static struct flow *find_covering(const struct flows *flows, const struct flow_owner *owner, uint8_t protocol,
                                  const struct net_addr *key_address, const struct net_endpoint *local)
{
    struct divert_flow_key key;
    const struct binding *binding;

    memset(&key, 0, sizeof(key));
    memcpy(key.local.byte, key_address->byte, 16);
    key.local_port = htons(local->port);
    key.protocol = protocol;
    for (size_t i = 0; i < flows->vlan_count; i++) {
        key.vlan = flows->vlans[i].id;
        binding = binding_find(flows, &key);
        if (!binding)
            continue;
        list_for_each(link, &binding->members)
        {
            struct flow *flow = list_entry(link, struct member, of_binding)->flow;

            if (flow->owner == owner && covers(flow, protocol, local))
                return flow;
        }
    }
    return NULL;
}

struct flow *flows_covering(const struct flows *flows, const struct flow_owner *owner, uint8_t protocol,
                            const struct net_endpoint *local)
{
    struct net_addr any = net_addr_any(net_addr_is_v4(&local->addr));
    struct flow *flow = find_covering(flows, owner, protocol, &local->addr, local);

    return flow ? flow : find_covering(flows, owner, protocol, &any, local);
}

struct flow *flows_find_connection(const struct flows *flows, uint8_t protocol, const struct net_endpoint *local,
                                   const struct net_endpoint *remote)
{
    struct flow probe = {.kind = CONTROL_FLOW_CONNECT, .protocol = protocol, .local = *local, .remote = *remote};

    for (size_t i = 0; i < flows->vlan_count; i++) {
        struct divert_flow_key key = flow_key(&probe, false, flows->vlans[i].id);
        struct binding *binding = binding_find(flows, &key);

        if (binding)
            return list_entry(binding->members.next, struct member, of_binding)->flow;
    }
    return NULL;
}

bool flows_had(const struct flows *flows, unsigned ifindex, uint32_t lane, const struct flow *wanted)
{
    for (size_t i = 0; i < flows->vlan_count; i++) {
        struct divert_flow_key key = flow_key(wanted, false, flows->vlans[i].id);
        struct divert_flow entry;

        if (divert_previous_flow(ifindex, &key, &entry) < 0)
            continue;
        /* Of a port that several lanes share it is not known whose it was. */
        if (entry.flags & DIVERT_FLOW_GROUP ? wanted->kind != CONTROL_FLOW_CONNECT : entry.target == lane)
            return true;
    }
    return false;
}

/* --- local addresses ---------------------------------------------------------------------------------------- */

struct address_change {
    struct flows *flows;
    const struct net_addr *address;
    bool present;
};

static void change_guard(struct table_node *node, void *context)
{
    struct guard *guard = table_entry(node, struct guard, node);
    struct address_change *change = context;

    if (guard->suspended != change->present || memcmp(guard->key.local.byte, change->address->byte, 16) != 0)
        return;
    guard->suspended = !change->present;
    if (!change->present)
        divert_guard_revoke(change->flows->divert, &guard->key);
    else if (divert_guard_allow(change->flows->divert, &guard->key) < 0)
        guard->suspended = true;
}

static void change_binding(struct table_node *node, void *context)
{
    struct binding *binding = table_entry(node, struct binding, node);
    struct address_change *change = context;

    if (binding->suspended != change->present || memcmp(binding->key.local.byte, change->address->byte, 16) != 0)
        return;
    binding->suspended = !change->present;
    if (change->present && binding_apply(change->flows, binding) < 0)
        log_limited(LOG_LEVEL_WARNING, NULL, "flows: cannot restore an entry of the flow table");
    if (!change->present && binding->installed) {
        divert_flow_remove(change->flows->divert, &binding->key);
        binding->installed = false;
    }
}

void flows_address_changed(struct flows *flows, const struct net_addr *address, bool present)
{
    struct address_change change = {flows, address, present};

    table_each(&flows->guards, change_guard, &change);
    table_each(&flows->bindings, change_binding, &change);
}

/* --- VLANs -------------------------------------------------------------------------------------------------- */

static bool is_current(const struct flows *flows, const struct flow *flow, uint16_t vlan)
{
    for (size_t i = 0; i < flows->vlan_count; i++) {
        if (flows->vlans[i].id == vlan)
            return on_device(flows, flow, &flows->vlans[i]);
    }
    return false;
}

/* Without a gap for the VLANs that stay: a packet that reached the kernel meanwhile would be answered by a reset. */
static void follow_vlans(struct table_node *node, void *context)
{
    struct flows *flows = context;
    struct flow *flow = table_entry(node, struct flow, by_id);
    int result = flow_install(flows, flow);

    if (result < 0)
        log_limited(LOG_LEVEL_WARNING, NULL, "flows: flow %u cannot be extended to a new VLAN: %s", flow->id,
                    error_text(result));
    list_for_each(link, &flow->members)
    {
        struct member *member = list_entry(link, struct member, of_flow);

        if (!is_current(flows, flow, member->binding->key.vlan))
            member_remove(flows, member);
    }
}

int flows_set_vlans(struct flows *flows, const struct flow_vlan *vlans, size_t count)
{
    struct flow_vlan wanted[MAX_VLANS] = {{0, 0}};

    if (count > MAX_VLANS - 1)
        return LOCKSTEP_E_EXHAUSTED;
    memcpy(wanted + 1, vlans, count * sizeof(*vlans));
    if (flows->vlan_count == count + 1 && !memcmp(wanted, flows->vlans, (count + 1) * sizeof(*vlans)))
        return 0;
    memcpy(flows->vlans, wanted, sizeof(wanted));
    flows->vlan_count = count + 1;
    table_each(&flows->ids, follow_vlans, flows);
    return 0;
}

/* --- kernel listeners --------------------------------------------------------------------------------------- */

struct listeners {
    const struct flows *flows;
    struct net_endpoint *item;
    size_t count, room;
    bool failed;
};

static bool inode_known(const struct flows *flows, uint64_t inode)
{
    struct table_node *node = table_first(&flows->inodes, hash_u64(&flows->inodes.key, inode));

    for (; node; node = table_next(node)) {
        if (table_entry(node, struct flow, by_inode)->inode == inode)
            return true;
    }
    return false;
}

static void note_listener(void *context, const struct net_endpoint *local, uint64_t inode)
{
    struct listeners *listeners = context;

    if (!net_addr_is_any(&local->addr) && !net_addr_is_multicast(&local->addr))
        return;
    if (inode_known(listeners->flows, inode))
        return;
    if (listeners->count == listeners->room) {
        size_t room = listeners->room ? listeners->room * 2 : 64;
        struct net_endpoint *larger = realloc(listeners->item, room * sizeof(*larger));

        if (!larger) {
            listeners->failed = true;
            return;
        }
        listeners->item = larger;
        listeners->room = room;
    }
    listeners->item[listeners->count++] = *local;
}

static int compare_listeners(const void *a, const void *b)
{
    const struct net_endpoint *first = a, *second = b;

    if (first->port != second->port)
        return first->port < second->port ? -1 : 1;
    return memcmp(&first->addr, &second->addr, sizeof(first->addr));
}

static bool listens_at(const struct listeners *listeners, const struct net_addr *address, uint16_t port)
{
    const struct net_endpoint wanted = {*address, port};

    return bsearch(&wanted, listeners->item, listeners->count, sizeof(wanted), compare_listeners);
}

static bool kernel_listens(const struct listeners *listeners, const struct divert_flow_key *key)
{
    const struct net_addr any_v4 = net_addr_any(true), any_v6 = net_addr_any(false);
    uint16_t port = ntohs(key->local_port);
    struct net_addr group;

    if (listeners->count == 0)
        return false;
    memcpy(group.byte, key->local.byte, 16);
    /* A wildcard IPv6 socket may take IPv4 groups too; a copy too many does no harm. */
    return listens_at(listeners, &group, port) || listens_at(listeners, &any_v6, port) ||
           (net_addr_is_v4(&group) && listens_at(listeners, &any_v4, port));
}

void flows_check_kernel_listeners(struct flows *flows)
{
    struct listeners listeners = {.flows = flows};

    if (list_empty(&flows->multicast))
        return;
    if (netlink_udp_sockets(flows->netlink, note_listener, &listeners) < 0)
        listeners.failed = true;
    if (listeners.count > 0)
        qsort(listeners.item, listeners.count, sizeof(*listeners.item), compare_listeners);
    list_for_each(link, &flows->multicast)
    {
        struct binding *binding = list_entry(link, struct binding, of_multicast);
        bool also_kernel = listeners.failed || kernel_listens(&listeners, &binding->key);

        if (also_kernel == binding->also_kernel)
            continue;
        binding->also_kernel = also_kernel;
        if (binding_apply(flows, binding) < 0)
            log_limited(LOG_LEVEL_WARNING, NULL, "flows: cannot update a multicast entry");
    }
    free(listeners.item);
}

/* --- counters ----------------------------------------------------------------------------------------------- */

void flows_counters(const struct flows *flows, const struct flow *flow, struct divert_flow *out)
{
    memset(out, 0, sizeof(*out));
    list_for_each(link, &flow->members)
    {
        const struct member *member = list_entry(link, struct member, of_flow);
        struct divert_flow counters;

        if (divert_flow_get(flows->divert, &member->binding->key, &counters) < 0)
            continue;
        out->packets += counters.packets;
        out->bytes += counters.bytes;
        out->drops += counters.drops;
        if (counters.last_ns > out->last_ns)
            out->last_ns = counters.last_ns;
    }
}
