/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a message of the NTS key establishment, whole and in pieces. */
#include <string.h>

#include "base/error.h"
#include "clock/nts_records.h"
#include "tests/fuzz/fuzz.h"

static void check(const uint8_t *bytes, size_t length, const struct nts_message *message)
{
    fuzz_require(message->cookie_count <= NTS_COOKIES_MAX);
    for (unsigned i = 0; i < message->cookie_count; i++) {
        const struct nts_cookie_view *cookie = &message->cookies[i];

        fuzz_require(cookie->length > 0 && cookie->length <= NTS_COOKIE_MAX);
        fuzz_require(cookie->bytes >= bytes && cookie->bytes + cookie->length <= bytes + length);
    }
    fuzz_require(strlen(message->server) < sizeof message->server);
    fuzz_require(message->has_protocols || !message->ntpv4);
    fuzz_require(message->has_aeads || !message->aes_siv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1); /* its end is watched */
    struct nts_message message;
    int length;

    memcpy(copy, data, size);
    length = nts_message_length(copy, size, NTS_RESPONSE_MAX);
    fuzz_require(length <= (int)size);
    if (length > 0) {
        for (size_t part = 0; part < (size_t)length && part < 64; part++)
            fuzz_require(nts_message_length(copy, part, NTS_RESPONSE_MAX) == 0);
        if (nts_message_parse(copy, (size_t)length, &message) == 0)
            check(copy, (size_t)length, &message);
    }
    if (nts_message_parse(copy, size, &message) == 0) {
        fuzz_require(length == (int)size || size > NTS_RESPONSE_MAX);
        check(copy, size, &message);
    }
    free(copy);
    return 0;
}
