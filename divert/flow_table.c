/* SPDX-License-Identifier: BSD-2-Clause */
/* Flows and groups: the maps that the divert looks packets up in. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/error.h"
#include "divert/capture_abi.h"
#include "divert/divert.skel.h"
#include "divert/divert_private.h"

/* ---- ports in use ---- */

static bool addr_is_zero(const struct divert_addr *addr)
{
    static const struct divert_addr zero;

    return !memcmp(addr, &zero, sizeof(zero));
}

static bool addr_is_any(const struct divert_addr *addr)
{
    static const struct divert_addr any_v4 = {{[10] = 0xff, [11] = 0xff}};

    return addr_is_zero(addr) || !memcmp(addr, &any_v4, sizeof(any_v4));
}

/* Bit number in enum divert_port_kind. */
static unsigned key_kind(const struct divert_flow_key *key)
{
    if (key->remote_port || !addr_is_zero(&key->remote))
        return 0;
    return addr_is_any(&key->local) ? 2 : 1;
}

static void port_use(struct divert *divert, const struct divert_flow_key *key, int change)
{
    uint32_t index = DIVERT_PORT_INDEX(key->protocol == IPPROTO_TCP, ntohs(key->local_port));
    unsigned kind = key_kind(key);
    uint8_t *byte = (uint8_t *)divert->ports;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    byte += index;
#else
    byte += index ^ 7;
#endif
    divert->port_users[kind][index] += (uint32_t)change;
    if (divert->port_users[kind][index])
        __atomic_or_fetch(byte, 1u << kind, __ATOMIC_RELEASE);
    else
        __atomic_and_fetch(byte, ~(1u << kind), __ATOMIC_RELEASE);
}

/* ---- flows ---- */

static int flows_fd(const struct divert *divert)
{
    return bpf_map__fd(divert->bpf->maps.flows);
}

int divert_flow_add(struct divert *divert, const struct divert_flow_key *key, const struct divert_flow *flow)
{
    int err = bpf_map_update_elem(flows_fd(divert), key, flow, BPF_NOEXIST);

    if (err == -EEXIST)
        return LOCKSTEP_E_CONFLICT;
    if (err == -E2BIG || err == -ENOMEM)
        return LOCKSTEP_E_EXHAUSTED;
    if (!err)
        port_use(divert, key, 1);
    return err;
}

int divert_flow_update(struct divert *divert, const struct divert_flow_key *key, uint32_t target, uint32_t flags,
                       uint32_t flow_id)
{
    struct divert_flow flow;
    int err = bpf_map_lookup_elem(flows_fd(divert), key, &flow);

    if (err)
        return err;
    flow.target = target;
    flow.flags = flags;
    flow.flow_id = flow_id;
    return bpf_map_update_elem(flows_fd(divert), key, &flow, BPF_EXIST);
}

int divert_flow_remove(struct divert *divert, const struct divert_flow_key *key)
{
    int err = bpf_map_delete_elem(flows_fd(divert), key);

    if (!err)
        port_use(divert, key, -1);
    return err;
}

int divert_flow_get(struct divert *divert, const struct divert_flow_key *key, struct divert_flow *out)
{
    return bpf_map_lookup_elem(flows_fd(divert), key, out);
}

/* ---- groups ---- */

/* A number for each pair of bucket and lane; each bucket goes to the lane with the highest, so that one that joins or
 * leaves moves only its own share (rendezvous hashing: Thaler and Ravishankar, 1998). */
static uint32_t bucket_weight(uint32_t bucket, uint32_t lane)
{
    uint64_t x = ((uint64_t)bucket << 32 | lane) + 0x9e3779b97f4a7c15ull;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return (uint32_t)(x >> 32);
}

static uint32_t bucket_owner(uint32_t bucket, const uint32_t *lanes, size_t lane_count)
{
    uint32_t best = lanes[0];

    for (size_t i = 1; i < lane_count; i++) {
        if (bucket_weight(bucket, lanes[i]) > bucket_weight(bucket, best))
            best = lanes[i];
    }
    return best;
}

int divert_group_set(struct divert *divert, uint32_t group, uint32_t mode, const uint32_t *lanes, size_t lane_count)
{
    struct divert_group value = {.mode = mode, .member_count = (uint32_t)lane_count};

    if (group >= DIVERT_MAX_GROUPS || lane_count > DIVERT_MAX_MEMBERS)
        return LOCKSTEP_E_EXHAUSTED;
    for (size_t i = 0; i < lane_count; i++) {
        if (lanes[i] >= DIVERT_MAX_LANES)
            return -EINVAL;
        value.members[i] = lanes[i];
    }
    /* Without members the buckets name no lane: packets pass. */
    for (uint32_t bucket = 0; bucket < DIVERT_GROUP_BUCKETS; bucket++)
        value.buckets[bucket] = lane_count ? (uint16_t)bucket_owner(bucket, lanes, lane_count) : UINT16_MAX;
    return bpf_map_update_elem(bpf_map__fd(divert->bpf->maps.groups), &group, &value, BPF_ANY);
}
