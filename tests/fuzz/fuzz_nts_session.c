/* SPDX-License-Identifier: BSD-2-Clause */
/* Replies to an NTS client: any bytes, and true replies in which something is changed. */
#include <string.h>

#include "base/error.h"
#include "clock/nts_cookies.h"
#include "clock/nts_session.h"
#include "tests/fuzz/fuzz.h"

static const struct nts_keys keys = {{1}, {2}};
static struct nts_cookies *cookies;
static struct nts_session *session;
static struct ntp_auth *auth;

static void set_up(void)
{
    char problem[NTS_COOKIES_PROBLEM_MAX];

    fuzz_require(nts_cookies_create(NULL, INT64_MAX / 2, 0, 0, &cookies, problem) == 0);
    session = nts_session_create();
    fuzz_require(session);
    auth = nts_session_auth(session);
}

static void renew(void)
{
    static uint8_t cookie[NTS_COOKIE_LENGTH];
    struct nts_message message = {.cookie_count = 1, .cookies = {{cookie, sizeof cookie}}};

    nts_cookies_make(cookies, &keys, cookie);
    nts_session_renew(session, &keys, &message);
}

/* A request that waits for its reply, and that reply. */
static size_t exchange(uint8_t *reply)
{
    struct ntp_header header = {.version = 4, .mode = NTP_MODE_CLIENT, .transmit = 9};
    uint8_t bytes[NTP_PACKET_MAX];
    struct nts_request request;
    struct ntp_packet decoded;
    size_t length;

    if (!auth->ops->ready(auth) || nts_session_needs_keys(session))
        renew();
    ntp_encode(&header, bytes);
    length = auth->ops->seal(auth, bytes, NTP_HEADER_LEN, sizeof bytes);
    fuzz_require(length > 0 && ntp_decode(bytes, length, &decoded) == 0);
    fuzz_require(nts_cookies_check(cookies, bytes, &decoded, &request) == 0);
    header.mode = NTP_MODE_SERVER;
    ntp_encode(&header, reply);
    length = nts_cookies_seal(cookies, &request, reply, length);
    fuzz_require(length > 0);
    return length;
}

static int check(const uint8_t *data, size_t length)
{
    uint8_t *exact = malloc(length ? length : 1); /* its end is watched */
    struct ntp_packet decoded;
    int result = LOCKSTEP_E_BAD_FORMAT;

    memcpy(exact, data, length);
    if (ntp_decode(exact, length, &decoded) == 0)
        result = auth->ops->check(auth, exact, length, &decoded);
    free(exact);
    fuzz_require(nts_session_cookies(session) <= NTS_COOKIES_MAX);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t reply[NTP_PACKET_MAX], changed[NTP_PACKET_MAX];
    size_t length;
    int result;

    if (!session)
        set_up();
    length = exchange(reply);
    fuzz_require(check(data, size) != 0);
    /* Triples: where (16 bits) and what to flip. */
    memcpy(changed, reply, length);
    for (size_t i = 0; i + 3 <= size; i += 3)
        changed[(data[i] << 8 | data[i + 1]) % length] ^= data[i + 2];
    result = check(changed, length);
    fuzz_require((result == 0) == (memcmp(changed, reply, length) == 0));
    if (result == 0)
        fuzz_require(check(reply, length) == LOCKSTEP_E_DENIED);
    else
        fuzz_require(check(reply, length) == 0); /* forgeries do not spoil the true one */
    return 0;
}
