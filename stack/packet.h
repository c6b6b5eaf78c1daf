/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading received packets: IPv4, IPv6, TCP, UDP headers and ICMP errors. Pure functions over a buffer that may hold
 * anything; nothing is written to it (a lane's ring is mapped read-only).
 *
 * Sources: RFC 791, 8200, 9293, 768, 792, 4443, 7323, 2018. */
#ifndef LOCKSTEP_STACK_PACKET_H
#define LOCKSTEP_STACK_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/net_addr.h"

struct packet {
    struct net_addr source, destination;
    const uint8_t *transport; /* TCP, UDP or ICMP header; or the fragment's data */
    uint32_t transport_length;
    uint16_t header_length; /* IP header with options and extension headers */
    uint8_t protocol, ttl, tos;
    bool ipv6;
    bool fragment; /* the transport header is not whole or not there: reassemble */
    bool more_fragments;
    uint16_t fragment_offset; /* bytes */
    uint32_t fragment_id;
    uint16_t source_port, destination_port; /* TCP and UDP, host order; not with fragment */
};

/* 0, or LOCKSTEP_E_BAD_FORMAT: truncated, malformed, a wrong IP header checksum, or not TCP, UDP, ICMP or ICMPv6. */
int packet_parse(const void *data, size_t length, struct packet *out);

/* Fills in the ports of a transport header (as packet_parse does). Same errors. */
int packet_parse_ports(struct packet *packet);

/* Whether the transport checksum is right. partial_ok: a field that holds the sum of the pseudo-header only
 * (unfinished, between virtual interfaces of one machine) will do as well. */
bool packet_checksum_ok(const struct packet *packet, bool partial_ok);

struct tcp_segment {
    uint32_t sequence, acknowledgement;
    uint16_t window;
    uint8_t flags; /* SEGMENT_* */
    uint8_t header_length;
    uint8_t sack_count;
    bool has_timestamp;
    uint16_t mss; /* option's value, 0: none */
    uint32_t timestamp, timestamp_echo;
    struct {
        uint32_t left, right;
    } sack[4];
    const uint8_t *payload;
    uint32_t payload_length;
};
enum {
    SEGMENT_FIN = 0x01,
    SEGMENT_SYN = 0x02,
    SEGMENT_RST = 0x04,
    SEGMENT_PSH = 0x08,
    SEGMENT_ACK = 0x10,
    SEGMENT_URG = 0x20
};

/* transport must be a whole TCP segment. 0 or LOCKSTEP_E_BAD_FORMAT (a malformed option list ends the options only). */
int packet_parse_tcp(const struct packet *packet, struct tcp_segment *out);

struct icmp_error {
    int error;         /* what Linux reports for it: ECONNREFUSED, EHOSTUNREACH, EMSGSIZE ... */
    bool fatal;        /* ends a connection attempt */
    bool too_big;      /* fragmentation needed, packet too big: mtu */
    uint32_t mtu;      /* 0: the router did not say */
    uint8_t protocol;  /* of the quoted packet: TCP or UDP */
    uint32_t sequence; /* TCP, valid with has_sequence */
    bool has_sequence;
    struct net_endpoint local, remote; /* the quoted packet's source and destination */
    struct net_addr reporter;
    uint8_t type, code;
};

/* An ICMP or ICMPv6 error from the outer packet. LOCKSTEP_E_BAD_FORMAT: malformed, no error, or a quoted packet that
 * is neither TCP nor UDP. */
int packet_parse_icmp_error(const struct packet *packet, struct icmp_error *out);

/* Internet checksum (RFC 1071) in pieces: sums are native-endian and unfolded. Only the last piece may be of odd
 * length. */
uint64_t checksum_add(uint64_t sum, const void *data, size_t length);

static inline uint16_t checksum_fold(uint64_t sum)
{
    sum = (sum >> 32) + (uint32_t)sum;
    sum = (sum >> 32) + (uint32_t)sum;
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t)sum;
}

/* Sum over count 32-bit words. */
static inline uint64_t checksum_words(uint64_t sum, const void *data, unsigned count)
{
    const uint8_t *bytes = data;
    for (unsigned i = 0; i < count; i++) {
        uint32_t word;
        __builtin_memcpy(&word, bytes + 4 * i, 4);
        sum += word;
    }
    return sum;
}
/* Pseudo-header's sum; length: of transport header and payload. */
uint64_t checksum_pseudo(const struct net_addr *source, const struct net_addr *destination, bool ipv6, uint8_t protocol,
                         uint32_t length);

#endif
