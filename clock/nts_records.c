/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/nts_records.h"

#include <string.h>

#include "base/error.h"
#include "clock/ntp_bytes.h"

#define HEADER_LENGTH  4
#define CRITICAL       0x8000
#define PROTOCOL_NTPV4 0

struct record {
    bool critical;
    uint16_t type, length;
    const uint8_t *body;
};

/* The record at the beginning of bytes; false: it is not complete. */
static bool next_record(const uint8_t *bytes, size_t left, struct record *out)
{
    if (left < HEADER_LENGTH)
        return false;
    *out = (struct record){
        .critical = ntp_get_u16(bytes) & CRITICAL,
        .type = ntp_get_u16(bytes) & ~CRITICAL,
        .length = ntp_get_u16(bytes + 2),
        .body = bytes + HEADER_LENGTH,
    };
    return out->length <= left - HEADER_LENGTH;
}

int nts_message_length(const uint8_t *bytes, size_t length, size_t most)
{
    struct record record;
    size_t at = 0;

    while (next_record(bytes + at, length - at, &record)) {
        at += HEADER_LENGTH + record.length;
        if (at > most)
            return LOCKSTEP_E_BAD_FORMAT;
        if (record.type == NTS_RECORD_END)
            return (int)at;
    }
    if (length - at >= HEADER_LENGTH && at + HEADER_LENGTH + record.length > most)
        return LOCKSTEP_E_BAD_FORMAT;
    return length >= most ? LOCKSTEP_E_BAD_FORMAT : 0;
}

/* A list of 16-bit numbers: does it have this one? */
static int parse_list(const struct record *record, uint16_t wanted, bool *given, bool *found)
{
    if (*given || record->length % 2 != 0)
        return LOCKSTEP_E_BAD_FORMAT;
    *given = true;
    for (size_t i = 0; i < record->length; i += 2)
        *found |= ntp_get_u16(record->body + i) == wanted;
    return 0;
}

static int parse_code(const struct record *record, int *code)
{
    if (record->length != 2)
        return LOCKSTEP_E_BAD_FORMAT;
    *code = ntp_get_u16(record->body);
    return 0;
}

static bool is_name_character(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == ':' ||
           c == '-' || c == '_';
}

static int parse_server(const struct record *record, struct nts_message *out)
{
    if (record->length == 0 || record->length >= sizeof out->server || out->server[0])
        return LOCKSTEP_E_BAD_FORMAT;
    for (size_t i = 0; i < record->length; i++) {
        if (!is_name_character(record->body[i]))
            return LOCKSTEP_E_BAD_FORMAT;
    }
    memcpy(out->server, record->body, record->length);
    out->server[record->length] = '\0';
    return 0;
}

static int parse_port(const struct record *record, struct nts_message *out)
{
    int port = 0;

    if (parse_code(record, &port) < 0 || port == 0)
        return LOCKSTEP_E_BAD_FORMAT;
    out->port = (uint16_t)port;
    return 0;
}

static void take_cookie(const struct record *record, struct nts_message *out)
{
    if (record->length == 0 || record->length > NTS_COOKIE_MAX || out->cookie_count == NTS_COOKIES_MAX)
        return;
    out->cookies[out->cookie_count++] = (struct nts_cookie_view){record->body, record->length};
}

static int parse_record(const struct record *record, struct nts_message *out)
{
    switch (record->type) {
    case NTS_RECORD_END:
        return record->length == 0 ? 0 : LOCKSTEP_E_BAD_FORMAT;
    case NTS_RECORD_PROTOCOLS:
        return parse_list(record, PROTOCOL_NTPV4, &out->has_protocols, &out->ntpv4);
    case NTS_RECORD_ERROR:
        return parse_code(record, &out->error);
    case NTS_RECORD_WARNING:
        return parse_code(record, &out->warning);
    case NTS_RECORD_AEADS:
        return parse_list(record, NTS_AEAD_AES_SIV_CMAC_256, &out->has_aeads, &out->aes_siv);
    case NTS_RECORD_COOKIE:
        take_cookie(record, out);
        return 0;
    case NTS_RECORD_SERVER:
        return parse_server(record, out);
    case NTS_RECORD_PORT:
        return parse_port(record, out);
    default:
        if (record->critical && out->unknown < 0)
            out->unknown = record->type;
        return 0;
    }
}

int nts_message_parse(const uint8_t *bytes, size_t length, struct nts_message *out)
{
    struct record record = {.type = NTS_RECORD_ERROR};
    size_t at = 0;
    int err;

    *out = (struct nts_message){.error = NTS_ERROR_NONE, .warning = NTS_ERROR_NONE, .unknown = -1};
    while (at < length) {
        if (!next_record(bytes + at, length - at, &record))
            return LOCKSTEP_E_BAD_FORMAT;
        if ((err = parse_record(&record, out)) < 0)
            return err;
        at += HEADER_LENGTH + record.length;
        if (record.type == NTS_RECORD_END)
            return at == length ? 0 : LOCKSTEP_E_BAD_FORMAT;
    }
    return LOCKSTEP_E_BAD_FORMAT;
}

void nts_write(struct nts_writer *writer, bool critical, enum nts_record_type type, const void *body, size_t length)
{
    uint8_t *at = writer->bytes + writer->length;

    if (length > UINT16_MAX || writer->size - writer->length < HEADER_LENGTH + length) {
        writer->overflow = true;
        return;
    }
    ntp_put_u16(at, (uint16_t)(type | (critical ? CRITICAL : 0)));
    ntp_put_u16(at + 2, (uint16_t)length);
    if (length > 0)
        memcpy(at + HEADER_LENGTH, body, length);
    writer->length += HEADER_LENGTH + length;
}

void nts_write_u16(struct nts_writer *writer, bool critical, enum nts_record_type type, uint16_t value)
{
    uint8_t body[2];

    ntp_put_u16(body, value);
    nts_write(writer, critical, type, body, sizeof body);
}

void nts_write_request(struct nts_writer *writer)
{
    nts_write_u16(writer, true, NTS_RECORD_PROTOCOLS, PROTOCOL_NTPV4);
    nts_write_u16(writer, true, NTS_RECORD_AEADS, NTS_AEAD_AES_SIV_CMAC_256);
    nts_write(writer, true, NTS_RECORD_END, NULL, 0);
}
