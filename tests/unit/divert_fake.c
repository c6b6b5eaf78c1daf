/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/divert_fake.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/error.h"
#include "base/net_addr.h"

void divert_fake_reset(struct divert *divert)
{
    memset(divert, 0, sizeof(*divert));
    divert->fail_guard_after = divert->fail_flow_after = -1;
}

static bool fails(int *countdown)
{
    if (*countdown < 0)
        return false;
    return (*countdown)-- == 0;
}

static int find(const struct divert *divert, const struct divert_flow_key *key)
{
    for (unsigned i = 0; i < divert->flow_count; i++) {
        if (!memcmp(&divert->flows[i].key, key, sizeof(*key)))
            return (int)i;
    }
    return -1;
}

const struct divert_flow *divert_fake_find(const struct divert *divert, const char *local, uint16_t local_port,
                                           const char *remote, uint16_t remote_port, uint8_t protocol, uint16_t vlan)
{
    struct divert_flow_key key;
    struct net_addr address;
    int i;

    memset(&key, 0, sizeof(key));
    if (net_addr_parse(local, &address) < 0)
        return NULL;
    memcpy(key.local.byte, address.byte, 16);
    if (*remote) {
        if (net_addr_parse(remote, &address) < 0)
            return NULL;
        memcpy(key.remote.byte, address.byte, 16);
    }
    key.local_port = htons(local_port);
    key.remote_port = htons(remote_port);
    key.protocol = protocol;
    key.vlan = vlan;
    i = find(divert, &key);
    return i < 0 ? NULL : &divert->flows[i].flow;
}

int divert_flow_add(struct divert *divert, const struct divert_flow_key *key, const struct divert_flow *flow)
{
    if (find(divert, key) >= 0)
        return LOCKSTEP_E_CONFLICT;
    if (fails(&divert->fail_flow_after) || divert->flow_count == FAKE_MAX)
        return LOCKSTEP_E_EXHAUSTED;
    divert->flows[divert->flow_count].key = *key;
    divert->flows[divert->flow_count++].flow = *flow;
    divert->flow_changes++;
    return 0;
}

int divert_flow_update(struct divert *divert, const struct divert_flow_key *key, uint32_t target, uint32_t flags,
                       uint32_t flow_id)
{
    int i = find(divert, key);

    if (i < 0)
        return LOCKSTEP_E_GONE;
    divert->flows[i].flow.target = target;
    divert->flows[i].flow.flags = flags;
    divert->flows[i].flow.flow_id = flow_id;
    divert->flow_changes++;
    return 0;
}

int divert_flow_remove(struct divert *divert, const struct divert_flow_key *key)
{
    int i = find(divert, key);

    if (i < 0)
        return LOCKSTEP_E_GONE;
    divert->flows[i] = divert->flows[--divert->flow_count];
    divert->removed_flows++;
    return 0;
}

int divert_flow_get(struct divert *divert, const struct divert_flow_key *key, struct divert_flow *out)
{
    int i = find(divert, key);

    if (i < 0)
        return LOCKSTEP_E_GONE;
    *out = divert->flows[i].flow;
    return 0;
}

int divert_previous_flow(unsigned ifindex, const struct divert_flow_key *key, struct divert_flow *out)
{
    (void)ifindex;
    (void)key;
    (void)out;
    return LOCKSTEP_E_GONE;
}

int divert_group_set(struct divert *divert, uint32_t group, uint32_t mode, const uint32_t *lanes, size_t lane_count)
{
    divert->groups[group].mode = mode;
    divert->groups[group].lane_count = lane_count;
    memcpy(divert->groups[group].lanes, lanes, lane_count * sizeof(*lanes));
    return 0;
}

int divert_guard_allow(struct divert *divert, const struct guard_key *key)
{
    if (fails(&divert->fail_guard_after) || divert->guard_count == FAKE_MAX)
        return LOCKSTEP_E_EXHAUSTED;
    divert->guards[divert->guard_count++] = *key;
    return 0;
}

int divert_guard_revoke(struct divert *divert, const struct guard_key *key)
{
    for (unsigned i = 0; i < divert->guard_count; i++) {
        if (memcmp(&divert->guards[i], key, sizeof(*key)) != 0)
            continue;
        divert->guards[i] = divert->guards[--divert->guard_count];
        return 0;
    }
    return LOCKSTEP_E_GONE;
}
