/* SPDX-License-Identifier: BSD-2-Clause */
/* NTP packets (RFC 5905, extension fields RFC 7822): pure functions between bytes and structures. */
#ifndef LOCKSTEP_CLOCK_NTP_PACKET_H
#define LOCKSTEP_CLOCK_NTP_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NTP_PORT             123
#define NTP_HEADER_LEN       48
#define NTP_PACKET_MAX       1280 /* with extension fields and MAC */
#define NTP_FIELDS_MAX       16   /* extension fields in one packet */
#define NTP_FIELD_HEADER_LEN 4
#define NTP_FIELD_MIN        16 /* with its header */
#define NTP_CRYPTO_NAK_LEN   4  /* mac_length of a crypto-NAK: a key identifier without a digest */

enum ntp_mode { NTP_MODE_CLIENT = 3, NTP_MODE_SERVER = 4 };
enum ntp_leap { NTP_LEAP_NONE, NTP_LEAP_INSERT, NTP_LEAP_DELETE, NTP_LEAP_UNSYNCHRONISED };

struct ntp_header {
    uint8_t leap, version, mode, stratum;
    int8_t poll, precision;                        /* log2 s */
    uint32_t root_delay, root_dispersion;          /* 16.16 s */
    uint32_t reference_id;                         /* host order of the four bytes */
    uint64_t reference, origin, receive, transmit; /* 32.32 s of the NTP era */
};

struct ntp_field {
    uint16_t type;
    uint16_t length; /* of body, without the four bytes of its header, with padding */
    uint16_t offset; /* of body in the packet */
};

struct ntp_packet {
    struct ntp_header header;
    unsigned field_count;
    struct ntp_field fields[NTP_FIELDS_MAX];
    uint16_t mac_offset, mac_length; /* key identifier and digest at the end; length 0: none */
};

/* 0; LOCKSTEP_E_BAD_FORMAT: too short or long, a field that overruns, leftover bytes; LOCKSTEP_E_BAD_VERSION: not 3 or
 * 4; LOCKSTEP_E_EXHAUSTED: too many fields.
 * The end of the packet is a MAC if 4, 20 or 24 bytes are left (RFC 7822; the last field of a packet without MAC has at
 * least 28 bytes or 16), and also if what is left cannot be a field and has the length of a longer digest. Version 3
 * has no fields. */
int ntp_decode(const uint8_t *bytes, size_t length, struct ntp_packet *out);
/* Writes NTP_HEADER_LEN bytes. */
void ntp_encode(const struct ntp_header *header, uint8_t *bytes);
/* Appends a field (padded with zeros to a multiple of 4, at least 16 bytes with its header); returns the new length, 0:
 * no room in size. A last field without a MAC after it wants 28 bytes or exactly 16: 20 and 24 look like a MAC. */
size_t ntp_append_field(uint8_t *bytes, size_t length, size_t size, uint16_t type, const void *body,
                        size_t body_length);

/* NTP 32.32 <-> UTC ns since 1970. The era is the one that puts the time nearest to around_ns (UTC). */
int64_t ntp_to_utc_ns(uint64_t stamp, int64_t around_ns);
uint64_t ntp_from_utc_ns(int64_t utc_ns);
static inline int64_t ntp_short_to_ns(uint32_t value)
{
    return (int64_t)(((uint64_t)value * 1000000000u) >> 16);
}
/* Rounded up; negative gives 0, too large the largest value. */
uint32_t ntp_short_from_ns(int64_t ns);

#endif
