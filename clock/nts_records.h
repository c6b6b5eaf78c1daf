/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages of the NTS key establishment (RFC 8915, section 4): pure functions over buffers. */
#ifndef LOCKSTEP_CLOCK_NTS_RECORDS_H
#define LOCKSTEP_CLOCK_NTS_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock/nts_fields.h"

#define NTS_REQUEST_MAX  2048 /* bytes of a message that this side takes */
#define NTS_RESPONSE_MAX 16384
#define NTS_ALPN         "ntske/1"

enum nts_record_type {
    NTS_RECORD_END,
    NTS_RECORD_PROTOCOLS,
    NTS_RECORD_ERROR,
    NTS_RECORD_WARNING,
    NTS_RECORD_AEADS,
    NTS_RECORD_COOKIE,
    NTS_RECORD_SERVER,
    NTS_RECORD_PORT,
};

enum nts_error_code { NTS_ERROR_UNKNOWN_RECORD, NTS_ERROR_BAD_REQUEST, NTS_ERROR_INTERNAL, NTS_ERROR_NONE = -1 };

struct nts_cookie_view {
    const uint8_t *bytes; /* in the message */
    uint16_t length;
};

struct nts_message {
    bool has_protocols, has_aeads;
    bool ntpv4, aes_siv; /* among them */
    int error;           /* enum nts_error_code, or a code that is not known here */
    int warning;         /* NTS_ERROR_NONE: none */
    int unknown;         /* type of a critical record that is not known here, -1: none */
    unsigned cookie_count;
    struct nts_cookie_view cookies[NTS_COOKIES_MAX]; /* more are left out, and so are longer ones than NTS_COOKIE_MAX */
    char server[256];                                /* "": none */
    uint16_t port;                                   /* 0: none */
};

/* Length of the message at the beginning of bytes with its last record; 0: there is more to come;
 * LOCKSTEP_E_BAD_FORMAT: it cannot become one of at most `most` bytes. */
int nts_message_length(const uint8_t *bytes, size_t length, size_t most);
/* bytes: a whole message. 0 or LOCKSTEP_E_BAD_FORMAT. */
int nts_message_parse(const uint8_t *bytes, size_t length, struct nts_message *out);

struct nts_writer {
    uint8_t *bytes;
    size_t length, size;
    bool overflow; /* something did not fit and is missing */
};
void nts_write(struct nts_writer *writer, bool critical, enum nts_record_type type, const void *body, size_t length);
void nts_write_u16(struct nts_writer *writer, bool critical, enum nts_record_type type, uint16_t value);
void nts_write_request(struct nts_writer *writer);

#endif
