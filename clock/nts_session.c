/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/nts_session.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "clock/nts_fields.h"
#include "platform/platform.h"

#define OUTSTANDING 8 /* requests whose replies may still come */

struct cookie {
    uint16_t length;
    uint8_t bytes[NTS_COOKIE_MAX];
};

struct nts_session {
    struct ntp_auth auth;
    unsigned references;
    bool keyed, refused, proven;
    struct nts_keys keys;
    unsigned cookie_count;
    struct cookie cookie[NTS_COOKIES_MAX];
    unsigned next_id;
    bool waiting[OUTSTANDING];
    uint8_t id[OUTSTANDING][NTS_UNIQUE_ID_LENGTH];
};

static struct nts_session *session_of(struct ntp_auth *auth)
{
    return (struct nts_session *)auth; /* its first member */
}

void nts_session_release(struct nts_session *session)
{
    if (!session || --session->references > 0)
        return;
    explicit_bzero(session, sizeof *session);
    free(session);
}

static bool auth_ready(struct ntp_auth *auth)
{
    const struct nts_session *session = session_of(auth);

    return session->keyed && session->cookie_count > 0;
}

/* Placeholders for as many cookies as are missing and have room, then the authenticator. */
static size_t seal_fields(struct nts_session *session, const struct cookie *cookie, const uint8_t *id,
                          const uint8_t *nonce, uint8_t *packet, size_t length, size_t size)
{
    static const uint8_t zero[NTS_COOKIE_MAX];
    const size_t authenticator = NTP_FIELD_HEADER_LEN + 4 + NTS_NONCE_LENGTH + NTS_TAG_LENGTH;
    unsigned missing = NTS_COOKIES_MAX - 1 - session->cookie_count; /* the reply brings one without being asked */

    length = ntp_append_field(packet, length, size, NTS_FIELD_UNIQUE_ID, id, NTS_UNIQUE_ID_LENGTH);
    if (length == 0)
        return 0;
    length = ntp_append_field(packet, length, size, NTS_FIELD_COOKIE, cookie->bytes, cookie->length);
    if (length == 0)
        return 0;
    for (; missing > 0 && size - length > authenticator; missing--) {
        size_t longer =
            ntp_append_field(packet, length, size - authenticator, NTS_FIELD_PLACEHOLDER, zero, cookie->length);

        if (longer == 0)
            break;
        length = longer;
    }
    return nts_fields_seal(session->keys.c2s, nonce, packet, length, size, NULL, 0);
}

/* Each cookie is used once, and never the same identifier: nobody can link two requests. */
static size_t auth_seal(struct ntp_auth *auth, uint8_t *packet, size_t length, size_t size)
{
    struct nts_session *session = session_of(auth);
    uint8_t random[NTS_UNIQUE_ID_LENGTH + NTS_NONCE_LENGTH];
    struct cookie cookie;
    size_t sealed;

    if (!auth_ready(auth) || platform_random(random, sizeof random) < 0)
        return 0;
    cookie = session->cookie[--session->cookie_count];
    sealed = seal_fields(session, &cookie, random, random + NTS_UNIQUE_ID_LENGTH, packet, length, size);
    if (sealed == 0) {
        session->cookie_count++;
        return 0;
    }
    memcpy(session->id[session->next_id], random, NTS_UNIQUE_ID_LENGTH);
    session->waiting[session->next_id] = true;
    session->next_id = (session->next_id + 1) % OUTSTANDING;
    return sealed;
}

static int find_waiting(const struct nts_session *session, const uint8_t *packet, const struct ntp_field *field)
{
    for (int i = 0; field->length == NTS_UNIQUE_ID_LENGTH && i < OUTSTANDING; i++) {
        if (session->waiting[i] && memcmp(session->id[i], packet + field->offset, NTS_UNIQUE_ID_LENGTH) == 0)
            return i;
    }
    return -1;
}

static void add_cookie(struct nts_session *session, const uint8_t *bytes, size_t length)
{
    struct cookie *cookie = &session->cookie[session->cookie_count];

    if (session->cookie_count == NTS_COOKIES_MAX || length == 0 || length > NTS_COOKIE_MAX)
        return;
    cookie->length = (uint16_t)length;
    memcpy(cookie->bytes, bytes, length);
    session->cookie_count++;
}

static int take_cookies(struct nts_session *session, const uint8_t *plain, size_t length)
{
    struct ntp_field field;
    size_t offset = 0;
    int more;

    while ((more = nts_fields_next(plain, length, &offset, &field)) > 0) {
        if (field.type == NTS_FIELD_COOKIE)
            add_cookie(session, plain + field.offset, field.length);
    }
    return more;
}

static int auth_check(struct ntp_auth *auth, const uint8_t *packet, size_t length, const struct ntp_packet *decoded)
{
    struct nts_session *session = session_of(auth);
    const struct ntp_field *id = nts_field_find(decoded, NTS_FIELD_UNIQUE_ID);
    const struct ntp_field *authenticator = nts_field_find(decoded, NTS_FIELD_AUTHENTICATOR);
    uint8_t plain[NTP_PACKET_MAX];
    size_t plain_length;
    int waiting = id ? find_waiting(session, packet, id) : -1;

    (void)length;
    if (waiting < 0)
        return LOCKSTEP_E_DENIED;
    if (!authenticator && decoded->header.stratum == 0 && decoded->header.reference_id == NTS_KISS_NAK) {
        session->refused = true;
        return LOCKSTEP_E_GONE;
    }
    if (!authenticator || id > authenticator ||
        nts_fields_open(session->keys.s2c, packet, decoded, plain, &plain_length) < 0)
        return LOCKSTEP_E_DENIED;
    session->waiting[waiting] = false; /* a repeated reply is not authentic */
    session->proven = true;
    session->refused = false;
    return take_cookies(session, plain, plain_length) < 0 ? LOCKSTEP_E_DENIED : 0;
}

static void auth_destroy(struct ntp_auth *auth)
{
    nts_session_release(session_of(auth));
}

static const struct ntp_auth_ops nts_ops = {"nts", auth_ready, auth_seal, auth_check, auth_destroy};

/* ---- life ---- */

struct nts_session *nts_session_create(void)
{
    struct nts_session *session = calloc(1, sizeof *session);

    if (session) {
        session->auth.ops = &nts_ops;
        session->references = 1;
    }
    return session;
}

struct ntp_auth *nts_session_auth(struct nts_session *session)
{
    session->references++;
    return &session->auth;
}

void nts_session_renew(struct nts_session *session, const struct nts_keys *keys, const struct nts_message *message)
{
    session->keys = *keys;
    session->keyed = true;
    session->refused = session->proven = false;
    memset(session->waiting, 0, sizeof session->waiting); /* those were sealed with other keys */
    session->cookie_count = 0;
    for (unsigned i = 0; i < message->cookie_count; i++)
        add_cookie(session, message->cookies[i].bytes, message->cookies[i].length);
}

bool nts_session_needs_keys(const struct nts_session *session)
{
    return !session->keyed || session->cookie_count == 0 || session->refused;
}

bool nts_session_was_proven(struct nts_session *session)
{
    bool proven = session->proven;

    session->proven = false;
    return proven;
}

unsigned nts_session_cookies(const struct nts_session *session)
{
    return session->cookie_count;
}
