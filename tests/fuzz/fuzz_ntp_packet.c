/* SPDX-License-Identifier: BSD-2-Clause */
/* NTP packets: what is decoded lies within the packet and covers it, and written again it gives the same bytes. */
#include <string.h>

#include "clock/ntp_packet.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t header[NTP_HEADER_LEN], again[NTP_PACKET_MAX];
    struct ntp_packet packet;
    size_t at = NTP_HEADER_LEN;

    if (ntp_decode(data, size, &packet) != 0)
        return 0;
    ntp_encode(&packet.header, header);
    fuzz_require(!memcmp(header, data, sizeof header));
    memcpy(again, header, sizeof header);
    fuzz_require(packet.field_count <= NTP_FIELDS_MAX);
    for (unsigned i = 0; i < packet.field_count; i++) {
        const struct ntp_field *field = &packet.fields[i];
        size_t end;

        fuzz_require(field->offset == at + NTP_FIELD_HEADER_LEN);
        fuzz_require(field->offset + (size_t)field->length <= size);
        end = ntp_append_field(again, at, sizeof again, field->type, data + field->offset, field->length);
        fuzz_require(end == field->offset + (size_t)field->length);
        at = end;
    }
    fuzz_require(!memcmp(again, data, at));
    fuzz_require(packet.mac_length == 0 || packet.mac_offset == at);
    fuzz_require(at + packet.mac_length == size);
    (void)ntp_to_utc_ns(packet.header.receive, (int64_t)packet.header.transmit);
    (void)ntp_short_from_ns(ntp_short_to_ns(packet.header.root_delay));
    return 0;
}
