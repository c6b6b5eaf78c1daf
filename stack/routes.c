/* SPDX-License-Identifier: BSD-2-Clause */
#include <netinet/in.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/json_emit.h"
#include "stack/stack_private.h"

#define ROUTE_SETS        4096
#define ROUTE_WAYS        4
#define INTERFACE_ENTRIES 64

struct route_entry {
    bool used;
    uint32_t age; /* of the latest use */
    struct route_query query;
    struct engine_route route;
    int result;
    uint64_t generation;
    char why[sizeof(((struct control_route_reply *)0)->reason)];
};

struct interface_entry {
    uint32_t ifindex;
    bool full_checksum;
};

static struct route_entry sets[ROUTE_SETS][ROUTE_WAYS];
static uint32_t age;
static bool stale; /* routes of an older generation are in use */
static struct interface_entry interfaces[INTERFACE_ENTRIES];
static struct hash_key hash_key;

uint64_t routes_generation(void)
{
    const struct state_page *page = client_state_page(stack_state.pub.client);

    return stack_state.generation_base + __atomic_load_n(&page->generation, __ATOMIC_RELAXED);
}

/* The entry for this query: its own, or the one of its set that was not used for longest. */
static struct route_entry *entry_of(const struct route_query *query)
{
    struct route_entry *set, *oldest;

    if (hash_key.word[0] == 0)
        platform_random(&hash_key, sizeof hash_key);
    set = oldest = sets[hash_bytes(&hash_key, query, sizeof *query) % ROUTE_SETS];
    for (int i = 0; i < ROUTE_WAYS; i++) {
        if (set[i].used && memcmp(&set[i].query, query, sizeof *query) == 0)
            return &set[i];
        if (!set[i].used || (oldest->used && (int32_t)(set[i].age - oldest->age) < 0))
            oldest = &set[i];
    }
    return oldest;
}

static void learn_interface(uint32_t ifindex, bool full_checksum)
{
    interfaces[ifindex % INTERFACE_ENTRIES] = (struct interface_entry){ifindex, full_checksum};
}

static void fill_route(struct route_entry *entry, const struct control_route_reply *reply)
{
    entry->route = (struct engine_route){
        .source = reply->source,
        .ifindex = reply->ifindex,
        .nexthop = reply->nexthop,
        .mtu = (uint16_t)(reply->mtu > UINT16_MAX ? UINT16_MAX : reply->mtu),
        .flags = reply->flags,
        .generation = entry->generation,
    };
    learn_interface(reply->ifindex, reply->flags & CONTROL_ROUTE_FULL_CHECKSUM);
}

static int request_route(const struct route_query *query, struct control_route_reply *reply)
{
    const struct control_route request = {
        .destination = query->destination, .source = query->source, .ifindex = query->ifindex, .mark = query->mark};

    *reply = (struct control_route_reply){0};
    return client_route(stack_state.pub.client, &request, reply);
}

/* Stores an answer. Without a service an answer from before is better than none. */
static void learn(struct route_entry *entry, const struct route_query *query, int result,
                  struct control_route_reply *reply, uint64_t generation)
{
    bool known = entry->used && memcmp(&entry->query, query, sizeof *query) == 0;

    if (result == LOCKSTEP_E_NO_SERVICE && known && entry->result == 0)
        return;
    entry->query = *query;
    entry->generation = generation;
    entry->result = result;
    entry->used = result != LOCKSTEP_E_NO_SERVICE;
    reply->reason[sizeof reply->reason - 1] = '\0';
    memcpy(entry->why, reply->reason, sizeof entry->why);
    if (result == 0)
        fill_route(entry, reply);
}

static int answer(struct route_entry *entry, struct engine_route *out, const char **why)
{
    entry->age = ++age;
    if (why)
        *why = entry->why[0] ? entry->why : error_text(entry->result);
    if (entry->result == 0)
        *out = entry->route;
    return entry->result;
}

/* A route that was good a moment ago goes on being used until the helper has asked again: the service may be slow, and
 * connections must not stand still for it. */
int routes_try(const struct route_query *query, struct engine_route *out, const char **why)
{
    struct route_entry *entry = entry_of(query);
    bool known = entry->used && memcmp(&entry->query, query, sizeof *query) == 0;
    uint64_t generation = routes_generation();

    if (!known || (entry->generation != generation && entry->result != 0))
        return ROUTE_UNKNOWN;
    if (entry->generation != generation && !__atomic_load_n(&stale, __ATOMIC_RELAXED)) {
        __atomic_store_n(&stale, true, __ATOMIC_RELAXED);
        helper_kick();
    }
    return answer(entry, out, why);
}

int routes_find(const struct route_query *query, struct engine_route *out, const char **why)
{
    int result = routes_try(query, out, why);
    struct control_route_reply reply;
    struct route_entry *entry;

    if (result != ROUTE_UNKNOWN)
        return result;
    entry = entry_of(query);
    result = request_route(query, &reply);
    learn(entry, query, result, &reply, routes_generation());
    return answer(entry, out, why);
}

int routes_ask(const struct route_query *query, struct engine_route *out, const char **why)
{
    uint64_t generation = routes_generation();
    struct control_route_reply reply;
    struct route_entry *entry;
    int result;

    stack_lock();
    entry = entry_of(query);
    if (entry->used && entry->generation == generation && memcmp(&entry->query, query, sizeof *query) == 0) {
        result = answer(entry, out, why);
        stack_unlock();
        return result;
    }
    stack_unlock();
    stack_busy_begin();
    result = request_route(query, &reply);
    stack_lock();
    entry = entry_of(query);
    learn(entry, query, result, &reply, generation);
    result = answer(entry, out, why);
    stack_unlock();
    stack_busy_end();
    return result;
}

/* One entry, asked for without the lock. */
static void refresh(struct route_entry *entry, uint64_t generation)
{
    struct route_query query;
    struct control_route_reply reply;
    bool old;
    int result;

    stack_lock_quiet();
    old = entry->used && entry->result == 0 && entry->generation != generation;
    query = entry->query;
    stack_unlock_quiet();
    if (!old)
        return;
    result = request_route(&query, &reply);
    stack_lock_quiet();
    if (entry->used && memcmp(&entry->query, &query, sizeof query) == 0)
        learn(entry, &query, result, &reply, generation);
    stack_unlock_quiet();
}

void routes_refresh(void)
{
    uint64_t generation;

    if (!__atomic_load_n(&stale, __ATOMIC_RELAXED))
        return;
    __atomic_store_n(&stale, false, __ATOMIC_RELAXED);
    generation = routes_generation();
    for (int set = 0; set < ROUTE_SETS; set++) {
        for (int way = 0; way < ROUTE_WAYS; way++) {
            if (sets[set][way].used && sets[set][way].generation != generation)
                refresh(&sets[set][way], generation);
        }
    }
}

bool routes_full_checksum(uint32_t ifindex, const void *packet, size_t length)
{
    const struct interface_entry *interface = &interfaces[ifindex % INTERFACE_ENTRIES];
    const uint8_t *bytes = packet;
    struct route_query query = {.ifindex = ifindex};
    struct engine_route route;
    uint32_t v4;

    if (interface->ifindex == ifindex)
        return interface->full_checksum;
    query.source = net_addr_any(true);
    if (length >= 20 && bytes[0] >> 4 == 4) {
        memcpy(&v4, bytes + 12, sizeof v4);
        query.destination = net_addr_from_v4(v4);
    } else if (length >= 40) {
        memcpy(query.destination.byte, bytes + 8, sizeof query.destination.byte);
        query.source = net_addr_any(false);
    }
    if (routes_find(&query, &route, NULL) == 0 && route.ifindex == ifindex)
        return route.flags & CONTROL_ROUTE_FULL_CHECKSUM;
    learn_interface(ifindex, false);
    return false;
}

void routes_forget(void)
{
    memset(sets, 0, sizeof sets);
    stale = false;
    memset(interfaces, 0, sizeof interfaces);
}

static void describe(const struct route_entry *entry, struct emitter *out)
{
    char text[NET_ADDR_TEXT_MAX];

    emit_object_begin(out, NULL);
    emit_text(out, "destination", net_addr_format(&entry->query.destination, text));
    emit_text(out, "source", net_addr_format(entry->result == 0 ? &entry->route.source : &entry->query.source, text));
    emit_bool(out, "usable", entry->result == 0);
    emit_bool(out, "current", entry->generation == routes_generation());
    if (entry->result == 0) {
        emit_unsigned(out, "ifindex", entry->route.ifindex);
        emit_unsigned(out, "nexthop", entry->route.nexthop);
        emit_unsigned(out, "mtu_bytes", entry->route.mtu);
        emit_bool(out, "on_link", entry->route.flags & CONTROL_ROUTE_LOCAL_LINK);
    } else {
        emit_text(out, "reason", entry->why[0] ? entry->why : error_text(entry->result));
    }
    emit_object_end(out);
}

bool routes_describe(unsigned *position, unsigned count, struct emitter *out)
{
    for (; count > 0 && *position < ROUTE_SETS; count--, ++*position) {
        for (int way = 0; way < ROUTE_WAYS; way++) {
            if (sets[*position][way].used)
                describe(&sets[*position][way], out);
        }
    }
    return *position < ROUTE_SETS;
}
