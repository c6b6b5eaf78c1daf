/* SPDX-License-Identifier: BSD-2-Clause */
/* Any datagram as an NTS packet, for the server and for a client, and any bytes as what an authenticator hides. */
#include <string.h>

#include "base/error.h"
#include "clock/nts_cookies.h"
#include "tests/fuzz/fuzz.h"

static void fuzz_packet(const struct nts_cookies *cookies, const uint8_t *bytes, size_t length)
{
    static const struct nts_keys keys = {{1}, {2}};
    uint8_t plain[NTP_PACKET_MAX];
    struct ntp_packet decoded;
    struct nts_request request;
    struct nts_keys opened;
    size_t plain_length;

    if (ntp_decode(bytes, length, &decoded) < 0)
        return;
    /* Nobody guesses a tag. */
    fuzz_require(nts_fields_open(keys.s2c, bytes, &decoded, plain, &plain_length) < 0);
    fuzz_require(nts_cookies_check(cookies, bytes, &decoded, &request) < 0);
    for (unsigned i = 0; i < decoded.field_count; i++)
        fuzz_require(nts_cookies_open(cookies, bytes + decoded.fields[i].offset, decoded.fields[i].length, &opened) <
                     0);
}

static void fuzz_hidden(const uint8_t *bytes, size_t length)
{
    struct ntp_field field;
    size_t offset = 0, sum = 0;
    int more;

    while ((more = nts_fields_next(bytes, length, &offset, &field)) > 0) {
        fuzz_require(field.offset + (size_t)field.length == offset && offset <= length);
        sum += field.length + (size_t)NTP_FIELD_HEADER_LEN;
    }
    fuzz_require(more < 0 || sum == length);
}

/* What is sealed opens again, and only with its key. */
static void fuzz_seal(const uint8_t *plain, size_t length)
{
    static const struct nts_keys keys = {{1}, {2}};
    static const uint8_t nonce[NTS_NONCE_LENGTH] = {3};
    static const struct ntp_header header = {.version = 4, .mode = NTP_MODE_SERVER};
    uint8_t packet[NTP_PACKET_MAX], out[NTP_PACKET_MAX];
    struct ntp_packet decoded;
    size_t sealed, out_length = 0;

    ntp_encode(&header, packet);
    sealed = nts_fields_seal(keys.s2c, nonce, packet, NTP_HEADER_LEN, sizeof packet, plain, length);
    if (sealed == 0) {
        fuzz_require(length % 4 != 0 || NTP_HEADER_LEN + 40 + length > sizeof packet);
        return;
    }
    fuzz_require(ntp_decode(packet, sealed, &decoded) == 0);
    fuzz_require(nts_fields_open(keys.s2c, packet, &decoded, out, &out_length) == 0);
    fuzz_require(out_length == length && memcmp(out, plain, length) == 0);
    fuzz_require(nts_fields_open(keys.c2s, packet, &decoded, out, &out_length) == LOCKSTEP_E_DENIED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct nts_cookies *cookies;
    uint8_t *copy;
    char problem[NTS_COOKIES_PROBLEM_MAX];

    if (size > NTP_PACKET_MAX)
        return 0; /* offsets are of 16 bits: the caller's packets are never longer */
    if (!cookies)
        fuzz_require(nts_cookies_create(NULL, INT64_MAX / 2, 0, 0, &cookies, problem) == 0);
    copy = malloc(size ? size : 1); /* its end is watched */
    memcpy(copy, data, size);
    fuzz_packet(cookies, copy, size);
    fuzz_hidden(copy, size);
    fuzz_seal(copy, size);
    free(copy);
    return 0;
}
