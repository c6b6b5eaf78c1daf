/* SPDX-License-Identifier: BSD-2-Clause */
#include <netinet/in.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "stack/stack_private.h"

#define ROUTE_ENTRIES     4096 /* direct-mapped */
#define INTERFACE_ENTRIES 64

struct route_entry {
    bool used;
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

static struct route_entry entries[ROUTE_ENTRIES];
static struct interface_entry interfaces[INTERFACE_ENTRIES];
static struct hash_key hash_key;

uint64_t routes_generation(void)
{
    const struct state_page *page = client_state_page(stack_state.pub.client);

    return stack_state.generation_base + __atomic_load_n(&page->generation, __ATOMIC_RELAXED);
}

static struct route_entry *entry_of(const struct route_query *query)
{
    if (hash_key.word[0] == 0)
        platform_random(&hash_key, sizeof hash_key);
    return &entries[hash_bytes(&hash_key, query, sizeof *query) % ROUTE_ENTRIES];
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

/* Asks the service. While it is away an answer from before is better than none. */
static void ask(struct route_entry *entry, const struct route_query *query)
{
    const struct control_route request = {
        .destination = query->destination, .source = query->source, .ifindex = query->ifindex, .mark = query->mark};
    bool known = entry->used && memcmp(&entry->query, query, sizeof *query) == 0;
    struct control_route_reply reply = {0};
    uint64_t generation = routes_generation();
    int result = client_route(stack_state.pub.client, &request, &reply);

    if (result == LOCKSTEP_E_NO_SERVICE && known && entry->result == 0)
        return;
    entry->query = *query;
    entry->generation = generation;
    entry->result = result;
    entry->used = result != LOCKSTEP_E_NO_SERVICE;
    reply.reason[sizeof reply.reason - 1] = '\0';
    memcpy(entry->why, reply.reason, sizeof entry->why);
    if (result == 0)
        fill_route(entry, &reply);
}

int routes_find(const struct route_query *query, struct engine_route *out, const char **why)
{
    struct route_entry *entry = entry_of(query);

    if (!entry->used || entry->generation != routes_generation() || memcmp(&entry->query, query, sizeof *query) != 0)
        ask(entry, query);
    if (why)
        *why = entry->why[0] ? entry->why : error_text(entry->result);
    if (entry->result == 0)
        *out = entry->route;
    return entry->result;
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
    memset(entries, 0, sizeof entries);
    memset(interfaces, 0, sizeof interfaces);
}
