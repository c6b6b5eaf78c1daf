/* SPDX-License-Identifier: BSD-2-Clause */
/* The divert's packet parser, outside of the kernel. The verifier keeps its accesses in bounds; here it is held to what
 * it says: a packet lies within its frame, and both ways of reading a frame agree. The input is a frame; its first byte
 * says whether a tag travels beside it. */
#include <linux/types.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The helpers are addresses in the kernel: these two are replaced. */
#define bpf_skb_load_bytes kernel_skb_load_bytes
#define bpf_xdp_load_bytes kernel_xdp_load_bytes
#include <bpf/bpf_helpers.h>
#undef bpf_skb_load_bytes
#undef bpf_xdp_load_bytes

struct input {
    const uint8_t *data;
    size_t length;
};

static long bpf_skb_load_bytes(const void *ctx, uint32_t offset, void *to, uint32_t length)
{
    const struct input *input = ctx;

    if (offset > input->length || length > input->length - offset)
        return -1;
    memcpy(to, input->data + offset, length);
    return 0;
}

#define bpf_xdp_load_bytes bpf_skb_load_bytes

#include "divert/packet.bpf.h"
#include "fuzz.h"

#define FRAME_MAX 2048

static void check_packet(const struct packet *packet, size_t frame_length)
{
    fuzz_require(packet->length > 0 && packet->offset + (size_t)packet->length <= frame_length);
    fuzz_require(packet->key.protocol == IPPROTO_TCP || packet->key.protocol == IPPROTO_UDP);
    fuzz_require(packet->kind != PACKET_LATER_FRAGMENT || (!packet->key.local_port && !packet->key.remote_port));
    fuzz_require((packet->kind == PACKET_ERROR) == !!(packet->flags & LANE_RECORD_ICMP));
    fuzz_require(packet->key.vlan <= VLAN_ID_MASK && packet->key.pad == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _Alignas(8) static uint8_t buffer[2 + FRAME_MAX]; /* as in the kernel: the IP header is aligned */
    struct input input = {buffer + 2, size - 1};
    struct packet plain = {0}, parsed = {0};
    int plain_result, result;

    if (size < 1 || input.length > FRAME_MAX)
        return 0;
    memcpy(buffer + 2, data + 1, input.length);
    plain.key.vlan = parsed.key.vlan = data[0] & 1 ? 7 : 0;
    result = parse_frame(&input, 0, (uint32_t)input.length, 0, &parsed);
    if (result == PARSE_OK)
        check_packet(&parsed, input.length);
    plain_result = parse_plain(buffer + 2, buffer + 2 + input.length, (uint32_t)input.length, &plain);
    if (plain_result == PARSE_UNUSUAL)
        return 0;
    fuzz_require(plain_result == result);
    fuzz_require(result != PARSE_OK || !memcmp(&plain, &parsed, sizeof(plain)));
    return 0;
}
