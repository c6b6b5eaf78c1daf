/* SPDX-License-Identifier: BSD-2-Clause */
/* NTS extension fields in NTP packets (RFC 8915, section 5) with AEAD_AES_SIV_CMAC_256 (RFC 5297): pure functions over
 * buffers, for client and server. */
#ifndef LOCKSTEP_CLOCK_NTS_FIELDS_H
#define LOCKSTEP_CLOCK_NTS_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock/ntp_packet.h"

#define NTS_FIELD_UNIQUE_ID     0x0104
#define NTS_FIELD_COOKIE        0x0204
#define NTS_FIELD_PLACEHOLDER   0x0304
#define NTS_FIELD_AUTHENTICATOR 0x0404

#define NTS_AEAD_AES_SIV_CMAC_256 15
#define NTS_KEY_LENGTH            32
#define NTS_NONCE_LENGTH          16
#define NTS_TAG_LENGTH            16
#define NTS_UNIQUE_ID_LENGTH      32
#define NTS_COOKIES_MAX           8           /* kept by a client */
#define NTS_COOKIE_MAX            256         /* bytes of one, whoever made it */
#define NTS_KISS_NAK              0x4e54534eu /* "NTSN" */

struct nts_keys {
    uint8_t c2s[NTS_KEY_LENGTH], s2c[NTS_KEY_LENGTH];
};

/* The first field of that type, NULL: none. */
const struct ntp_field *nts_field_find(const struct ntp_packet *packet, uint16_t type);
/* True if a request wants NTS: it has a cookie or an authenticator. */
bool nts_fields_present(const struct ntp_packet *packet);

/* SIV: out gets tag and ciphertext, plain_length + NTS_TAG_LENGTH bytes. */
void nts_aead_seal(const uint8_t key[NTS_KEY_LENGTH], const uint8_t *nonce, size_t nonce_length, const uint8_t *data,
                   size_t data_length, const uint8_t *plain, size_t plain_length, uint8_t *out);
/* false: not authentic. plain gets sealed_length - NTS_TAG_LENGTH bytes. */
bool nts_aead_open(const uint8_t key[NTS_KEY_LENGTH], const uint8_t *nonce, size_t nonce_length, const uint8_t *data,
                   size_t data_length, const uint8_t *sealed, size_t sealed_length, uint8_t *plain);

/* Appends the authenticator, which covers what is before it and hides plain (plain_length may be 0; a multiple of 4).
 * Returns the new length, 0: no room in size. */
size_t nts_fields_seal(const uint8_t key[NTS_KEY_LENGTH], const uint8_t nonce[NTS_NONCE_LENGTH], uint8_t *packet,
                       size_t length, size_t size, const uint8_t *plain, size_t plain_length);
/* Checks the authenticator; fields behind it are not to be believed. plain has NTP_PACKET_MAX bytes. 0,
 * LOCKSTEP_E_BAD_FORMAT (none, or its lengths make no sense), LOCKSTEP_E_DENIED (not authentic). */
int nts_fields_open(const uint8_t key[NTS_KEY_LENGTH], const uint8_t *packet, const struct ntp_packet *decoded,
                    uint8_t *plain, size_t *plain_length);

/* Walks over fields without a packet's header (what an authenticator hides): *offset from 0. 1 and field (its offset
 * within bytes), 0 at the end, LOCKSTEP_E_BAD_FORMAT. */
int nts_fields_next(const uint8_t *bytes, size_t length, size_t *offset, struct ntp_field *field);

#endif
