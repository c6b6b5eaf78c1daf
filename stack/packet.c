/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/error.h"

#define IPV6_HEADER    40
#define EXTENSIONS_MAX 8

static inline uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return ntohl(value);
}

uint64_t checksum_add(uint64_t sum, const void *data, size_t length)
{
    const uint8_t *bytes = data;
    uint64_t word, more = 0;
    for (; length >= 16; length -= 16, bytes += 16) {
        uint64_t second;
        memcpy(&word, bytes, 8);
        memcpy(&second, bytes + 8, 8);
        sum += (word >> 32) + (uint32_t)word;
        more += (second >> 32) + (uint32_t)second;
    }
    sum += more;
    if (length >= 8) {
        memcpy(&word, bytes, 8);
        sum += (word >> 32) + (uint32_t)word;
        length -= 8;
        bytes += 8;
    }
    if (length >= 4) {
        uint32_t quarter;
        memcpy(&quarter, bytes, 4);
        sum += quarter;
        length -= 4;
        bytes += 4;
    }
    if (length >= 2) {
        uint16_t half;
        memcpy(&half, bytes, 2);
        sum += half;
        length -= 2;
        bytes += 2;
    }
    if (length > 0) {
        uint8_t last[2] = {*bytes, 0};
        uint16_t half;
        memcpy(&half, last, 2);
        sum += half;
    }
    return sum;
}

uint64_t checksum_pseudo(const struct net_addr *source, const struct net_addr *destination, bool ipv6, uint8_t protocol,
                         uint32_t length)
{
    uint64_t sum = (uint64_t)htonl(length) + htons(protocol);
    if (ipv6)
        return checksum_words(checksum_words(sum, source->byte, 4), destination->byte, 4);
    return checksum_words(checksum_words(sum, source->byte + 12, 1), destination->byte + 12, 1);
}

static bool known_protocol(uint8_t protocol)
{
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

static struct net_addr mapped_v4(const uint8_t *at)
{
    struct net_addr addr = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};
    memcpy(addr.byte + 12, at, 4);
    return addr;
}

static int parse_v4(const uint8_t *data, size_t length, bool quoted, struct packet *out)
{
    if (length < 20)
        return LOCKSTEP_E_BAD_FORMAT;
    unsigned header = (data[0] & 15u) * 4;
    unsigned total = get16(data + 2);
    if (header < 20 || total < header || header > length)
        return LOCKSTEP_E_BAD_FORMAT;
    if (!quoted && (total > length || checksum_fold(checksum_words(0, data, header / 4)) != 0xffff))
        return LOCKSTEP_E_BAD_FORMAT;
    unsigned fragment = get16(data + 6);
    out->source = mapped_v4(data + 12);
    out->destination = mapped_v4(data + 16);
    out->transport = data + header;
    out->transport_length = (uint32_t)((total < length ? total : length) - header);
    out->header_length = (uint16_t)header;
    out->protocol = data[9];
    out->ttl = data[8];
    out->tos = data[1];
    out->ipv6 = false;
    out->fragment = (fragment & 0x3fff) != 0;
    out->more_fragments = (fragment & 0x2000) != 0;
    out->fragment_offset = (uint16_t)((fragment & 0x1fff) * 8);
    out->fragment_id = get16(data + 4);
    out->source_port = out->destination_port = 0;
    return 0;
}

/* Steps over one extension header. 1: there was one, 0: it is the transport header. */
static int skip_extension(const uint8_t *data, size_t end, size_t *offset, struct packet *out)
{
    const uint8_t *at = data + *offset;
    switch (out->protocol) {
    case IPPROTO_HOPOPTS:
    case IPPROTO_ROUTING:
    case IPPROTO_DSTOPTS:
        if (end - *offset < 8 || end - *offset < (at[1] + 1u) * 8)
            return LOCKSTEP_E_BAD_FORMAT;
        out->protocol = at[0];
        *offset += (at[1] + 1u) * 8;
        return 1;
    case IPPROTO_FRAGMENT:
        if (end - *offset < 8)
            return LOCKSTEP_E_BAD_FORMAT;
        out->protocol = at[0];
        out->fragment_offset = get16(at + 2) & 0xfff8;
        out->more_fragments = (at[3] & 1) != 0;
        out->fragment = out->fragment_offset != 0 || out->more_fragments; /* an atomic fragment is whole */
        out->fragment_id = get32(at + 4);
        *offset += 8;
        return out->fragment ? 0 : 1;
    default:
        return 0;
    }
}

static int parse_v6(const uint8_t *data, size_t length, bool quoted, struct packet *out)
{
    if (length < IPV6_HEADER)
        return LOCKSTEP_E_BAD_FORMAT;
    size_t end = IPV6_HEADER + (size_t)get16(data + 4);
    if (end > length) {
        if (!quoted)
            return LOCKSTEP_E_BAD_FORMAT;
        end = length;
    }
    *out = (struct packet){.ipv6 = true, .protocol = data[6], .ttl = data[7]};
    out->tos = (uint8_t)(data[0] << 4 | data[1] >> 4);
    memcpy(out->source.byte, data + 8, 16);
    memcpy(out->destination.byte, data + 24, 16);
    size_t offset = IPV6_HEADER;
    int more = 1;
    for (int i = 0; more == 1; i++) {
        if (i == EXTENSIONS_MAX)
            return LOCKSTEP_E_BAD_FORMAT;
        more = skip_extension(data, end, &offset, out);
    }
    if (more < 0)
        return more;
    out->transport = data + offset;
    out->transport_length = (uint32_t)(end - offset);
    out->header_length = (uint16_t)offset;
    return 0;
}

int packet_parse_ports(struct packet *packet)
{
    unsigned need = packet->protocol == IPPROTO_TCP ? 20 : 8;
    if (packet->transport_length < need)
        return LOCKSTEP_E_BAD_FORMAT;
    packet->source_port = get16(packet->transport);
    packet->destination_port = get16(packet->transport + 2);
    if (packet->protocol != IPPROTO_UDP)
        return 0;
    unsigned length = get16(packet->transport + 4);
    if (length < 8 || length > packet->transport_length)
        return LOCKSTEP_E_BAD_FORMAT;
    packet->transport_length = length;
    return 0;
}

int packet_parse(const void *data, size_t length, struct packet *out)
{
    if (length < 20)
        return LOCKSTEP_E_BAD_FORMAT;
    unsigned version = *(const uint8_t *)data >> 4;
    int rc = version == 4   ? parse_v4(data, length, false, out)
             : version == 6 ? parse_v6(data, length, false, out)
                            : LOCKSTEP_E_BAD_FORMAT;
    if (rc < 0)
        return rc;
    if (!known_protocol(out->protocol))
        return LOCKSTEP_E_BAD_FORMAT;
    if (out->fragment)
        return 0;
    if (out->protocol == IPPROTO_ICMP || out->protocol == IPPROTO_ICMPV6)
        return out->transport_length < 8 ? LOCKSTEP_E_BAD_FORMAT : 0;
    return packet_parse_ports(out);
}

bool packet_checksum_ok(const struct packet *packet, bool partial_ok)
{
    unsigned at = packet->protocol == IPPROTO_TCP ? 16 : packet->protocol == IPPROTO_UDP ? 6 : 2;
    uint16_t field;
    memcpy(&field, packet->transport + at, 2);
    if (packet->protocol == IPPROTO_UDP && field == 0)
        return !packet->ipv6;
    if (packet->protocol == IPPROTO_ICMP)
        return checksum_fold(checksum_add(0, packet->transport, packet->transport_length)) == 0xffff;
    uint64_t sum = checksum_pseudo(&packet->source, &packet->destination, packet->ipv6, packet->protocol,
                                   packet->transport_length);
    if (partial_ok && checksum_fold(sum) == field)
        return true;
    return checksum_fold(checksum_add(sum, packet->transport, packet->transport_length)) == 0xffff;
}

static void parse_sack(const uint8_t *at, unsigned length, struct tcp_segment *out)
{
    for (unsigned i = 2; i + 8 <= length && out->sack_count < 4; i += 8) {
        out->sack[out->sack_count].left = get32(at + i);
        out->sack[out->sack_count].right = get32(at + i + 4);
        out->sack_count++;
    }
}

static void parse_tcp_options(const uint8_t *at, const uint8_t *end, struct tcp_segment *out)
{
    while (at < end && *at != 0) {
        if (*at == 1) {
            at++;
            continue;
        }
        if (end - at < 2 || at[1] < 2 || at[1] > end - at)
            return;
        if (at[0] == 8 && at[1] == 10) {
            out->has_timestamp = true;
            out->timestamp = get32(at + 2);
            out->timestamp_echo = get32(at + 6);
        } else if (at[0] == 5) {
            parse_sack(at, at[1], out);
        } else if (at[0] == 2 && at[1] == 4) {
            out->mss = get16(at + 2);
        }
        at += at[1];
    }
}

int packet_parse_tcp(const struct packet *packet, struct tcp_segment *out)
{
    const uint8_t *at = packet->transport;
    if (packet->transport_length < 20)
        return LOCKSTEP_E_BAD_FORMAT;
    unsigned header = (at[12] >> 4) * 4u;
    if (header < 20 || header > packet->transport_length)
        return LOCKSTEP_E_BAD_FORMAT;
    out->sequence = get32(at + 4);
    out->acknowledgement = get32(at + 8);
    out->window = get16(at + 14);
    out->flags = at[13] & 0x3f;
    out->header_length = (uint8_t)header;
    out->sack_count = 0;
    out->mss = 0;
    out->payload = at + header;
    out->payload_length = packet->transport_length - header;
    /* The form nearly every segment has: NOP, NOP, timestamps. */
    static const uint8_t usual[4] = {1, 1, 8, 10};
    if (header == 32 && memcmp(at + 20, usual, 4) == 0) {
        out->has_timestamp = true;
        out->timestamp = get32(at + 24);
        out->timestamp_echo = get32(at + 28);
        return 0;
    }
    out->has_timestamp = false;
    out->timestamp = out->timestamp_echo = 0;
    parse_tcp_options(at + 20, at + header, out);
    return 0;
}

/* Linux's icmp_err_convert, RFC 1122, 3.2.2.1. */
static void unreachable_v4(uint8_t code, struct icmp_error *out)
{
    static const struct {
        int error;
        bool fatal;
    } table[16] = {{ENETUNREACH, false},  {EHOSTUNREACH, false}, {ENOPROTOOPT, true},  {ECONNREFUSED, true},
                   {EMSGSIZE, false},     {EOPNOTSUPP, false},   {ENETUNREACH, true},  {EHOSTDOWN, true},
                   {ENONET, true},        {ENETUNREACH, true},   {EHOSTUNREACH, true}, {ENETUNREACH, false},
                   {EHOSTUNREACH, false}, {EHOSTUNREACH, true},  {EHOSTUNREACH, true}, {EHOSTUNREACH, true}};
    if (code < 16) {
        out->error = table[code].error;
        out->fatal = table[code].fatal;
        out->too_big = code == 4;
    }
}

static void classify_v4(uint8_t type, uint8_t code, uint32_t rest, struct icmp_error *out)
{
    if (type == 3) {
        unreachable_v4(code, out);
        out->mtu = out->too_big ? rest & 0xffff : 0;
    } else if (type == 11) {
        out->error = EHOSTUNREACH;
    } else if (type == 12) {
        out->error = EPROTO;
        out->fatal = true;
    }
}

static void classify_v6(uint8_t type, uint8_t code, uint32_t rest, struct icmp_error *out)
{
    static const struct {
        int error;
        bool fatal;
    } table[7] = {{ENETUNREACH, false}, {EACCES, true}, {EHOSTUNREACH, false}, {EHOSTUNREACH, false},
                  {ECONNREFUSED, true}, {EACCES, true}, {EACCES, true}};
    if (type == 1 && code < 7) {
        out->error = table[code].error;
        out->fatal = table[code].fatal;
    } else if (type == 2) {
        out->error = EMSGSIZE;
        out->too_big = true;
        out->mtu = rest;
    } else if (type == 3) {
        out->error = EHOSTUNREACH;
    } else if (type == 4) {
        out->error = EPROTO;
        out->fatal = true;
    }
}

int packet_parse_icmp_error(const struct packet *packet, struct icmp_error *out)
{
    const uint8_t *at = packet->transport;
    if (packet->fragment || packet->transport_length < 8)
        return LOCKSTEP_E_BAD_FORMAT;
    *out = (struct icmp_error){.type = at[0], .code = at[1], .reporter = packet->source};
    if (packet->protocol == IPPROTO_ICMP && !packet->ipv6)
        classify_v4(at[0], at[1], get32(at + 4), out);
    else if (packet->protocol == IPPROTO_ICMPV6 && packet->ipv6)
        classify_v6(at[0], at[1], get32(at + 4), out);
    if (out->error == 0)
        return LOCKSTEP_E_BAD_FORMAT;
    struct packet quoted;
    size_t left = packet->transport_length - 8;
    int rc = packet->ipv6 ? parse_v6(at + 8, left, true, &quoted) : parse_v4(at + 8, left, true, &quoted);
    if (rc < 0)
        return rc;
    if (left == 0 || (at[8] >> 4) != (packet->ipv6 ? 6 : 4) || quoted.fragment_offset != 0 ||
        quoted.transport_length < 8 || (quoted.protocol != IPPROTO_TCP && quoted.protocol != IPPROTO_UDP))
        return LOCKSTEP_E_BAD_FORMAT;
    out->protocol = quoted.protocol;
    out->local = (struct net_endpoint){quoted.source, get16(quoted.transport)};
    out->remote = (struct net_endpoint){quoted.destination, get16(quoted.transport + 2)};
    out->sequence = get32(quoted.transport + 4);
    out->has_sequence = quoted.protocol == IPPROTO_TCP;
    return 0;
}
