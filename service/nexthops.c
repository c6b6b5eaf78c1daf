/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/nexthops.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "platform/platform.h"
#include "service/table.h"

#define NUD_USABLE     (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)
#define REFRESH_NS     15000000000ull /* well within the kernel's reachable and garbage collection times */
#define RETRY_NS       1000000000ull  /* an unresolved one is asked for again, then after twice the time, ... */
#define RETRY_MAX_NS   16000000000ull /* (a packet to it makes the kernel ask as well) */
#define IDLE_NS        5000000000ull  /* without users: given up */
#define REUSE_GRACE_NS 2000000000ull  /* after a new generation: programs may still send with what they cached */

struct entry {
    struct table_node node;
    uint16_t index;
    uint8_t kind; /* enum nexthop_kind */
    bool used;
    unsigned users;
    uint64_t idle_since_ns; /* no users since then */
    uint64_t retry_ns;
    struct net_addr gateway;
    unsigned ifindex;
    uint64_t generation; /* when it was last handed out */
    uint64_t next_use_ns;
    struct divert_nexthop value;
};

struct nexthops {
    struct divert *divert;
    struct netlink *netlink;
    int state_fd;
    struct state_page *state;
    uint64_t raised_ns;
    struct table table;
    uint16_t hand; /* where the search for a free entry goes on */
    struct entry entries[STATE_PAGE_NEXTHOPS];
};

_Static_assert(STATE_PAGE_NEXTHOPS == DIVERT_MAX_NEXTHOPS, "one index names both");

struct entry_key {
    struct net_addr gateway;
    uint32_t ifindex;
    uint32_t kind;
};

static uint64_t key_hash(const struct nexthops *nexthops, unsigned kind, unsigned ifindex,
                         const struct net_addr *gateway)
{
    struct entry_key key = {*gateway, ifindex, kind};

    return table_hash(&nexthops->table, &key, sizeof(key));
}

static struct entry *find(struct nexthops *nexthops, unsigned kind, unsigned ifindex, const struct net_addr *gateway)
{
    struct table_node *node = table_first(&nexthops->table, key_hash(nexthops, kind, ifindex, gateway));

    for (; node; node = table_next(node)) {
        struct entry *entry = table_entry(node, struct entry, node);

        if (entry->kind == kind && entry->ifindex == ifindex && net_addr_equal(&entry->gateway, gateway))
            return entry;
    }
    return NULL;
}

int nexthops_create(struct nexthops **out, struct divert *divert, struct netlink *netlink)
{
    struct nexthops *nexthops = calloc(1, sizeof(*nexthops));
    int result;

    if (!nexthops)
        return -ENOMEM;
    nexthops->divert = divert;
    nexthops->netlink = netlink;
    nexthops->state_fd = -1;
    result = table_init(&nexthops->table);
    if (result == 0) {
        result = platform_memfd_sealed("lockstep-state", sizeof(struct state_page), true, (void **)&nexthops->state);
        nexthops->state_fd = result;
    }
    if (result < 0) {
        log_error("nexthops: cannot create the state page: %s", error_text(result));
        nexthops_destroy(nexthops);
        return result;
    }
    nexthops->state->magic = STATE_PAGE_MAGIC;
    nexthops->state->size = sizeof(struct state_page);
    /* Not to be mistaken for a generation of an earlier instance. */
    nexthops->state->generation = platform_now_ns();
    nexthops->state->features = CONTROL_FEATURE_FLOW_CLOSED;
    nexthops->state->heartbeat_ns = platform_now_ns();
    *out = nexthops;
    return 0;
}

void nexthops_destroy(struct nexthops *nexthops)
{
    if (!nexthops)
        return;
    if (nexthops->state)
        munmap(nexthops->state, sizeof(struct state_page));
    if (nexthops->state_fd >= 0)
        close(nexthops->state_fd);
    table_fini(&nexthops->table);
    free(nexthops);
}

int nexthops_state_fd(const struct nexthops *nexthops)
{
    return nexthops->state_fd;
}

const struct state_page *nexthops_state(const struct nexthops *nexthops)
{
    return nexthops->state;
}

void nexthops_raise_generation(struct nexthops *nexthops, uint64_t now_ns)
{
    __atomic_store_n(&nexthops->state->generation, nexthops->state->generation + 1, __ATOMIC_RELEASE);
    nexthops->raised_ns = now_ns;
}

void nexthops_heartbeat(struct nexthops *nexthops, uint64_t now_ns)
{
    __atomic_store_n(&nexthops->state->heartbeat_ns, now_ns, __ATOMIC_RELAXED);
    divert_heartbeat(nexthops->divert, now_ns);
}

/* Readers retry while the sequence is odd or has changed. */
static void publish(struct nexthops *nexthops, const struct entry *entry)
{
    struct state_nexthop *shown = &nexthops->state->nexthops[entry->index];
    uint32_t sequence = shown->sequence;
    int result;

    __atomic_store_n(&shown->sequence, sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    shown->ifindex = entry->value.ifindex;
    memcpy(shown->destination_mac, entry->value.destination_mac, 6);
    memcpy(shown->source_mac, entry->value.source_mac, 6);
    shown->resolved = entry->value.resolved;
    __atomic_store_n(&shown->sequence, sequence + 2, __ATOMIC_RELEASE);
    result = divert_nexthop_set(nexthops->divert, entry->index, &entry->value);
    if (result < 0)
        log_limited(LOG_LEVEL_WARNING, NULL, "nexthops: cannot set entry %u: %s", entry->index, error_text(result));
}

static void resolve(struct nexthops *nexthops, struct entry *entry, uint64_t now_ns)
{
    int result = netlink_neighbour_use(nexthops->netlink, entry->ifindex, &entry->gateway);

    if (result < 0)
        log_debug("nexthops: neighbour on interface %u cannot be probed: %s", entry->ifindex, error_text(result));
    if (entry->value.resolved)
        entry->retry_ns = 0;
    else
        entry->retry_ns = entry->retry_ns == 0 ? RETRY_NS : entry->retry_ns * 2;
    if (entry->retry_ns > RETRY_MAX_NS)
        entry->retry_ns = RETRY_MAX_NS;
    entry->next_use_ns = now_ns + (entry->value.resolved ? REFRESH_NS : entry->retry_ns);
}

static bool reusable(const struct nexthops *nexthops, const struct entry *entry, uint64_t now_ns)
{
    return !entry->used || (entry->users == 0 && now_ns - entry->idle_since_ns > REUSE_GRACE_NS) ||
           (entry->generation != nexthops->state->generation && now_ns - nexthops->raised_ns > REUSE_GRACE_NS);
}

static struct entry *find_free(struct nexthops *nexthops, uint64_t now_ns)
{
    for (unsigned i = 0; i < STATE_PAGE_NEXTHOPS; i++) {
        struct entry *entry;

        nexthops->hand = (uint16_t)((nexthops->hand + 1) % STATE_PAGE_NEXTHOPS);
        entry = &nexthops->entries[nexthops->hand];
        entry->index = nexthops->hand;
        if (entry->index != 0 && reusable(nexthops, entry, now_ns))
            return entry;
    }
    return NULL;
}

static void fill(struct nexthops *nexthops, struct entry *entry, const struct link *link, uint64_t now_ns)
{
    struct divert_nexthop *value = &entry->value;
    struct neighbour_info info = {0};

    memset(value, 0, sizeof(*value));
    memcpy(value->gateway.byte, entry->gateway.byte, 16);
    value->ifindex = entry->ifindex;
    memcpy(value->source_mac, link->mac, 6);
    if (entry->kind == NEXTHOP_MULTICAST) {
        multicast_mac(&entry->gateway, value->destination_mac);
    } else if (entry->kind == NEXTHOP_BROADCAST) {
        memset(value->destination_mac, 0xff, 6);
    } else {
        publish(nexthops, entry);
        if (netlink_neighbour_get(nexthops->netlink, entry->ifindex, &entry->gateway, &info) == 0)
            nexthops_neighbour(nexthops, &info);
        resolve(nexthops, entry, now_ns);
        return;
    }
    value->resolved = value->multicast = 1;
    publish(nexthops, entry);
}

int nexthops_get(struct nexthops *nexthops, enum nexthop_kind kind, const struct link *link,
                 const struct net_addr *gateway, uint64_t now_ns, uint16_t *index, bool *made)
{
    struct entry *entry = find(nexthops, kind, link->ifindex, gateway);

    *made = !entry;
    if (!entry) {
        entry = find_free(nexthops, now_ns);
        if (!entry) {
            if (now_ns - nexthops->raised_ns > 2 * REUSE_GRACE_NS)
                nexthops_raise_generation(nexthops, now_ns);
            return LOCKSTEP_E_EXHAUSTED;
        }
        if (entry->used)
            table_remove(&nexthops->table, &entry->node);
        entry->used = true;
        entry->users = 0;
        entry->idle_since_ns = now_ns;
        entry->retry_ns = 0;
        entry->kind = (uint8_t)kind;
        entry->gateway = *gateway;
        entry->ifindex = link->ifindex;
        table_insert(&nexthops->table, &entry->node, key_hash(nexthops, kind, link->ifindex, gateway));
        fill(nexthops, entry, link, now_ns);
    }
    if (kind == NEXTHOP_UNICAST && !entry->value.resolved && entry->next_use_ns > now_ns + RETRY_NS) {
        entry->retry_ns = 0; /* somebody is interested anew */
        entry->next_use_ns = now_ns;
    }
    entry->generation = nexthops->state->generation;
    *index = entry->index;
    return 0;
}

void nexthops_neighbour(struct nexthops *nexthops, const struct neighbour_info *info)
{
    struct entry *entry = find(nexthops, NEXTHOP_UNICAST, info->ifindex, &info->address);
    bool resolved = !info->removed && info->has_mac && (info->state & NUD_USABLE);

    if (!entry)
        return;
    if (entry->value.resolved == resolved && (!resolved || !memcmp(entry->value.destination_mac, info->mac, 6)))
        return;
    if (!resolved)
        entry->next_use_ns = entry->retry_ns = 0;
    entry->value.resolved = resolved;
    if (resolved)
        memcpy(entry->value.destination_mac, info->mac, 6);
    publish(nexthops, entry);
}

void nexthops_link(struct nexthops *nexthops, const struct link *link)
{
    for (unsigned i = 1; i < STATE_PAGE_NEXTHOPS; i++) {
        struct entry *entry = &nexthops->entries[i];

        if (!entry->used || entry->ifindex != link->ifindex || !memcmp(entry->value.source_mac, link->mac, 6))
            continue;
        memcpy(entry->value.source_mac, link->mac, 6);
        publish(nexthops, entry);
    }
}

void nexthops_hold(struct nexthops *nexthops, uint16_t index)
{
    nexthops->entries[index].users++;
}

void nexthops_release(struct nexthops *nexthops, uint16_t index, uint64_t now_ns)
{
    if (--nexthops->entries[index].users == 0)
        nexthops->entries[index].idle_since_ns = now_ns;
}

static void give_up(struct nexthops *nexthops, struct entry *entry)
{
    table_remove(&nexthops->table, &entry->node);
    entry->used = false;
    memset(&entry->value, 0, sizeof(entry->value));
    publish(nexthops, entry);
}

void nexthops_tick(struct nexthops *nexthops, uint64_t now_ns)
{
    for (unsigned i = 1; i < STATE_PAGE_NEXTHOPS; i++) {
        struct entry *entry = &nexthops->entries[i];

        if (entry->used && entry->users == 0 && now_ns - entry->idle_since_ns > IDLE_NS)
            give_up(nexthops, entry);
        else if (entry->used && entry->users > 0 && entry->kind == NEXTHOP_UNICAST && now_ns >= entry->next_use_ns)
            resolve(nexthops, entry, now_ns);
    }
}

void nexthops_count(const struct nexthops *nexthops, unsigned *used, unsigned *unresolved)
{
    *used = *unresolved = 0;
    for (unsigned i = 1; i < STATE_PAGE_NEXTHOPS; i++) {
        if (!nexthops->entries[i].used)
            continue;
        ++*used;
        *unresolved += !nexthops->entries[i].value.resolved;
    }
}
