/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/control.h"

#include "base/error.h"

static const struct {
    int request;
    int reply; /* -1: no reply of this type exists */
} body_size[CONTROL_TYPE_COUNT] = {
    [0] = {-1, -1},
    [CONTROL_HELLO] = {sizeof(struct control_hello), sizeof(struct control_hello_reply)},
    [CONTROL_LANE_OPEN] = {sizeof(struct control_lane_open), sizeof(struct control_lane_reply)},
    [CONTROL_LANE_ADOPT] = {sizeof(struct control_lane_adopt), sizeof(struct control_lane_reply)},
    [CONTROL_ROUTE] = {sizeof(struct control_route), sizeof(struct control_route_reply)},
    [CONTROL_FLOW_ADD] = {sizeof(struct control_flow_add), sizeof(struct control_flow_reply)},
    [CONTROL_FLOW_ACCEPTED] = {sizeof(struct control_flow_accepted), -1},
    [CONTROL_FLOW_REMOVE] = {sizeof(struct control_flow_remove), -1},
    [CONTROL_NOT_ACCELERATED] = {sizeof(struct control_not_accelerated), -1},
    [CONTROL_MIGRATE] = {sizeof(struct control_migrate), 0},
    [CONTROL_CLAIM] = {sizeof(struct control_claim), 0},
    [CONTROL_MIGRATE_REQUEST] = {sizeof(struct control_migrate_request), -1},
    [CONTROL_REPORT] = {sizeof(struct control_report), 0},
    [CONTROL_DUMP] = {sizeof(struct control_dump), 0},
    [CONTROL_DUMP_REQUEST] = {sizeof(struct control_dump), -1},
    [CONTROL_FLOW_CLOSED] = {sizeof(struct control_flow_closed), -1},
    [CONTROL_POLICY] = {sizeof(struct control_policy), sizeof(struct control_policy_reply)},
    [CONTROL_RELOAD] = {0, sizeof(struct control_reload_reply)},
};

int control_request_size(unsigned type)
{
    return type < CONTROL_TYPE_COUNT ? body_size[type].request : -1;
}

int control_reply_size(unsigned type)
{
    return type < CONTROL_TYPE_COUNT ? body_size[type].reply : -1;
}

int control_parse(const void *buffer, size_t length, int is_reply, const struct control_header **header,
                  const void **body)
{
    const struct control_header *h = buffer;
    int size;

    if (length < sizeof(*h) || h->magic != CONTROL_MAGIC)
        return LOCKSTEP_E_BAD_FORMAT;
    if (h->version != CONTROL_VERSION)
        return LOCKSTEP_E_BAD_VERSION;
    size = is_reply ? control_reply_size(h->type) : control_request_size(h->type);
    if (size < 0)
        return LOCKSTEP_E_BAD_FORMAT;
    *header = h;
    *body = h + 1;
    if (is_reply && h->status < 0 && length == sizeof(*h)) {
        *body = NULL;
        return 0;
    }
    return length == sizeof(*h) + (size_t)size ? 0 : LOCKSTEP_E_BAD_FORMAT;
}
