/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/web_token.h"

#include <gnutls/crypto.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "monitor/web_config.h"

static const char cookie_label[] = "lockstep-web session\n";
static const char scheme[] = "Bearer ";

static int sha256(const void *data, size_t length, uint8_t digest[32])
{
    return gnutls_hash_fast(GNUTLS_DIG_SHA256, data, length, digest) < 0 ? LOCKSTEP_E_NOT_SUPPORTED : 0;
}

/* A one-way function of the token: who sees the cookie does not know it. */
static int make_cookie(const char *text, size_t length, char cookie[WEB_COOKIE_MAX])
{
    uint8_t digest[32];

    if (gnutls_hmac_fast(GNUTLS_MAC_SHA256, text, length, cookie_label, sizeof cookie_label - 1, digest) < 0)
        return LOCKSTEP_E_NOT_SUPPORTED;
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(cookie + 2 * i, 3, "%02x", digest[i]);
    return 0;
}

int web_token_parse(const char *text, size_t length, struct web_token *token, const char **problem)
{
    memset(token, 0, sizeof *token);
    if (length > 0 && text[length - 1] == '\n')
        length--;
    if (length > 0 && text[length - 1] == '\r')
        length--;
    *problem = "must be 32 to 256 characters";
    if (length < WEB_TOKEN_LEAST || length > WEB_TOKEN_MAX)
        return LOCKSTEP_E_BAD_VALUE;
    *problem = "must be one line of printable characters without spaces";
    for (size_t i = 0; i < length; i++) {
        if (text[i] <= ' ' || text[i] > '~')
            return LOCKSTEP_E_BAD_VALUE;
    }
    *problem = "cannot be hashed";
    if (sha256(text, length, token->digest) < 0 || make_cookie(text, length, token->cookie) < 0)
        return LOCKSTEP_E_BAD_VALUE;
    token->wanted = true;
    return 0;
}

/* Of the digests, so that not even the length shows. */
bool web_token_equal(const struct web_token *token, const char *given)
{
    uint8_t digest[32];

    return token->wanted && given && sha256(given, strlen(given), digest) == 0 &&
           gnutls_memcmp(digest, token->digest, sizeof digest) == 0;
}

bool web_token_bearer(const struct web_token *token, const char *authorization)
{
    if (!authorization || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
        return false;
    return web_token_equal(token, authorization + sizeof scheme - 1);
}

bool web_token_cookie(const struct web_token *token, const char *cookie)
{
    return token->wanted && cookie && strlen(cookie) == WEB_COOKIE_MAX - 1 &&
           gnutls_memcmp(cookie, token->cookie, WEB_COOKIE_MAX - 1) == 0;
}
