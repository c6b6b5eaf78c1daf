/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/ntp_packet.h"

#include "base/error.h"
#include "clock/ntp_bytes.h"

#define NS_PER_S        1000000000ll
#define NTP_UNIX_OFFSET 2208988800ll /* s from 1900 to 1970 */

/* Key identifier and a digest of 128, 160, 224, 256, 384 or 512 bits. */
static bool is_mac_length(size_t length)
{
    return length == 20 || length == 24 || length == 32 || length == 36 || length == 52 || length == 68;
}

static void decode_header(const uint8_t *bytes, struct ntp_header *out)
{
    *out = (struct ntp_header){
        .leap = bytes[0] >> 6,
        .version = bytes[0] >> 3 & 7,
        .mode = bytes[0] & 7,
        .stratum = bytes[1],
        .poll = (int8_t)bytes[2],
        .precision = (int8_t)bytes[3],
        .root_delay = ntp_get_u32(bytes + 4),
        .root_dispersion = ntp_get_u32(bytes + 8),
        .reference_id = ntp_get_u32(bytes + 12),
        .reference = ntp_get_u64(bytes + 16),
        .origin = ntp_get_u64(bytes + 24),
        .receive = ntp_get_u64(bytes + 32),
        .transmit = ntp_get_u64(bytes + 40),
    };
}

/* Length of the field at the beginning of bytes, with its header; 0: there is none. */
static size_t field_length(const uint8_t *bytes, size_t left)
{
    size_t length;

    if (left < NTP_FIELD_MIN)
        return 0;
    length = ntp_get_u16(bytes + 2);
    return length >= NTP_FIELD_MIN && length % 4 == 0 && length <= left ? length : 0;
}

int ntp_decode(const uint8_t *bytes, size_t length, struct ntp_packet *out)
{
    size_t at = NTP_HEADER_LEN;

    *out = (struct ntp_packet){0};
    if (length < NTP_HEADER_LEN || length > NTP_PACKET_MAX)
        return LOCKSTEP_E_BAD_FORMAT;
    decode_header(bytes, &out->header);
    if (out->header.version != 3 && out->header.version != 4)
        return LOCKSTEP_E_BAD_VERSION;
    while (at < length) {
        size_t left = length - at;
        size_t field = out->header.version == 4 ? field_length(bytes + at, left) : 0;

        if (left == NTP_CRYPTO_NAK_LEN || left == 20 || left == 24 || (field == 0 && is_mac_length(left))) {
            out->mac_offset = (uint16_t)at;
            out->mac_length = (uint16_t)left;
            return 0;
        }
        if (field == 0)
            return LOCKSTEP_E_BAD_FORMAT;
        if (out->field_count == NTP_FIELDS_MAX)
            return LOCKSTEP_E_EXHAUSTED;
        out->fields[out->field_count++] = (struct ntp_field){
            .type = ntp_get_u16(bytes + at),
            .length = (uint16_t)(field - NTP_FIELD_HEADER_LEN),
            .offset = (uint16_t)(at + NTP_FIELD_HEADER_LEN),
        };
        at += field;
    }
    return 0;
}

void ntp_encode(const struct ntp_header *header, uint8_t *bytes)
{
    bytes[0] = (uint8_t)((header->leap & 3) << 6 | (header->version & 7) << 3 | (header->mode & 7));
    bytes[1] = header->stratum;
    bytes[2] = (uint8_t)header->poll;
    bytes[3] = (uint8_t)header->precision;
    ntp_put_u32(bytes + 4, header->root_delay);
    ntp_put_u32(bytes + 8, header->root_dispersion);
    ntp_put_u32(bytes + 12, header->reference_id);
    ntp_put_u64(bytes + 16, header->reference);
    ntp_put_u64(bytes + 24, header->origin);
    ntp_put_u64(bytes + 32, header->receive);
    ntp_put_u64(bytes + 40, header->transmit);
}

size_t ntp_append_field(uint8_t *bytes, size_t length, size_t size, uint16_t type, const void *body, size_t body_length)
{
    size_t field;

    if (length % 4 != 0 || length > size || body_length > UINT16_MAX - NTP_FIELD_MIN)
        return 0;
    field = (NTP_FIELD_HEADER_LEN + body_length + 3) & ~(size_t)3;
    if (field < NTP_FIELD_MIN)
        field = NTP_FIELD_MIN;
    if (field > size - length)
        return 0;
    bytes += length;
    ntp_put_u16(bytes, type);
    ntp_put_u16(bytes + 2, (uint16_t)field);
    if (body_length > 0)
        memcpy(bytes + NTP_FIELD_HEADER_LEN, body, body_length);
    memset(bytes + NTP_FIELD_HEADER_LEN + body_length, 0, field - NTP_FIELD_HEADER_LEN - body_length);
    return length + field;
}

/* 2^32 seconds make an era: the difference of two stamps' seconds, taken modulo an era, is at most half of one. */
int64_t ntp_to_utc_ns(uint64_t stamp, int64_t around_ns)
{
    int64_t around_s = around_ns / NS_PER_S;
    int32_t distance_s = (int32_t)((uint32_t)(stamp >> 32) - (uint32_t)(around_s + NTP_UNIX_OFFSET));
    uint64_t fraction_ns = ((stamp & UINT32_MAX) * NS_PER_S + (1ull << 31)) >> 32;
    __int128 ns = (__int128)(around_s + distance_s) * NS_PER_S + (__int128)fraction_ns;

    return ns > INT64_MAX ? INT64_MAX : ns < INT64_MIN ? INT64_MIN : (int64_t)ns;
}

uint64_t ntp_from_utc_ns(int64_t utc_ns)
{
    int64_t second = utc_ns / NS_PER_S, ns = utc_ns % NS_PER_S;

    if (ns < 0) {
        ns += NS_PER_S;
        second--;
    }
    return (uint64_t)(second + NTP_UNIX_OFFSET) << 32 | (((uint64_t)ns << 32) + NS_PER_S / 2) / NS_PER_S;
}

uint32_t ntp_short_from_ns(int64_t ns)
{
    __int128 value;

    if (ns <= 0)
        return 0;
    value = (((__int128)ns << 16) + NS_PER_S - 1) / NS_PER_S;
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}
