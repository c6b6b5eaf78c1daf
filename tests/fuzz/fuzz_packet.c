/* SPDX-License-Identifier: BSD-2-Clause */
/* The parser of received packets: never reads beyond the buffer, and what it returns lies within it. */
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"
#include "stack/packet.h"

static void check(const struct packet *packet, const uint8_t *data, size_t size)
{
    if (packet->transport < data || packet->transport + packet->transport_length > data + size)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct packet packet;
    struct tcp_segment segment;
    struct icmp_error error;
    if (packet_parse(data, size, &packet) < 0)
        return 0;
    check(&packet, data, size);
    if (packet.fragment)
        return 0;
    if (packet.protocol == 6 || packet.protocol == 17)
        packet_checksum_ok(&packet, true);
    if (packet.protocol == 6 && packet_parse_tcp(&packet, &segment) == 0 &&
        (segment.payload < data || segment.payload + segment.payload_length > data + size || segment.sack_count > 4))
        abort();
    packet_parse_icmp_error(&packet, &error);
    return 0;
}
