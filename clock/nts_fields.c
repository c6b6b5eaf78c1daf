/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/nts_fields.h"

#include <nettle/siv-cmac.h>
#include <string.h>

#include "base/error.h"
#include "clock/ntp_bytes.h"

#define LENGTHS 4 /* the two lengths at the beginning of an authenticator's body */

static size_t padded(size_t length)
{
    return (length + 3) & ~(size_t)3;
}

const struct ntp_field *nts_field_find(const struct ntp_packet *packet, uint16_t type)
{
    for (unsigned i = 0; i < packet->field_count; i++) {
        if (packet->fields[i].type == type)
            return &packet->fields[i];
    }
    return NULL;
}

bool nts_fields_present(const struct ntp_packet *packet)
{
    return nts_field_find(packet, NTS_FIELD_COOKIE) || nts_field_find(packet, NTS_FIELD_AUTHENTICATOR);
}

/* ---- AEAD_AES_SIV_CMAC_256 ---- */

void nts_aead_seal(const uint8_t key[NTS_KEY_LENGTH], const uint8_t *nonce, size_t nonce_length, const uint8_t *data,
                   size_t data_length, const uint8_t *plain, size_t plain_length, uint8_t *out)
{
    struct siv_cmac_aes128_ctx context;

    siv_cmac_aes128_set_key(&context, key);
    siv_cmac_aes128_encrypt_message(&context, nonce_length, nonce, data_length, data, plain_length + NTS_TAG_LENGTH,
                                    out, plain);
    explicit_bzero(&context, sizeof context);
}

bool nts_aead_open(const uint8_t key[NTS_KEY_LENGTH], const uint8_t *nonce, size_t nonce_length, const uint8_t *data,
                   size_t data_length, const uint8_t *sealed, size_t sealed_length, uint8_t *plain)
{
    struct siv_cmac_aes128_ctx context;
    bool authentic;

    if (sealed_length < NTS_TAG_LENGTH || nonce_length < SIV_MIN_NONCE_SIZE)
        return false;
    siv_cmac_aes128_set_key(&context, key);
    authentic = siv_cmac_aes128_decrypt_message(&context, nonce_length, nonce, data_length, data,
                                                sealed_length - NTS_TAG_LENGTH, plain, sealed) == 1;
    explicit_bzero(&context, sizeof context);
    if (!authentic)
        explicit_bzero(plain, sealed_length - NTS_TAG_LENGTH);
    return authentic;
}

/* ---- the authenticator ---- */

size_t nts_fields_seal(const uint8_t key[NTS_KEY_LENGTH], const uint8_t nonce[NTS_NONCE_LENGTH], uint8_t *packet,
                       size_t length, size_t size, const uint8_t *plain, size_t plain_length)
{
    size_t sealed = plain_length + NTS_TAG_LENGTH;
    size_t field = NTP_FIELD_HEADER_LEN + LENGTHS + NTS_NONCE_LENGTH + sealed;
    uint8_t *at = packet + length;

    if (plain_length % 4 != 0 || length > size || field > size - length || field > UINT16_MAX)
        return 0;
    ntp_put_u16(at, NTS_FIELD_AUTHENTICATOR);
    ntp_put_u16(at + 2, (uint16_t)field);
    ntp_put_u16(at + 4, NTS_NONCE_LENGTH);
    ntp_put_u16(at + 6, (uint16_t)sealed);
    at += NTP_FIELD_HEADER_LEN + LENGTHS;
    memcpy(at, nonce, NTS_NONCE_LENGTH);
    nts_aead_seal(key, nonce, NTS_NONCE_LENGTH, packet, length, plain, plain_length, at + NTS_NONCE_LENGTH);
    return length + field;
}

int nts_fields_open(const uint8_t key[NTS_KEY_LENGTH], const uint8_t *packet, const struct ntp_packet *decoded,
                    uint8_t *plain, size_t *plain_length)
{
    const struct ntp_field *field = nts_field_find(decoded, NTS_FIELD_AUTHENTICATOR);
    const uint8_t *body;
    size_t nonce, sealed;

    if (!field || field->length < LENGTHS)
        return LOCKSTEP_E_BAD_FORMAT;
    body = packet + field->offset;
    nonce = ntp_get_u16(body);
    sealed = ntp_get_u16(body + 2);
    if (nonce == 0 || sealed < NTS_TAG_LENGTH || LENGTHS + padded(nonce) + padded(sealed) > field->length ||
        sealed - NTS_TAG_LENGTH > NTP_PACKET_MAX)
        return LOCKSTEP_E_BAD_FORMAT;
    body += LENGTHS;
    if (!nts_aead_open(key, body, nonce, packet, (size_t)field->offset - NTP_FIELD_HEADER_LEN, body + padded(nonce),
                       sealed, plain))
        return LOCKSTEP_E_DENIED;
    *plain_length = sealed - NTS_TAG_LENGTH;
    return 0;
}

int nts_fields_next(const uint8_t *bytes, size_t length, size_t *offset, struct ntp_field *field)
{
    size_t left = length - *offset, size;

    if (left == 0)
        return 0;
    if (left < NTP_FIELD_HEADER_LEN)
        return LOCKSTEP_E_BAD_FORMAT;
    size = ntp_get_u16(bytes + *offset + 2);
    if (size < NTP_FIELD_HEADER_LEN || size % 4 != 0 || size > left)
        return LOCKSTEP_E_BAD_FORMAT;
    field->type = ntp_get_u16(bytes + *offset);
    field->length = (uint16_t)(size - NTP_FIELD_HEADER_LEN);
    field->offset = (uint16_t)(*offset + NTP_FIELD_HEADER_LEN);
    *offset += size;
    return 1;
}
