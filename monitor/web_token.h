/* SPDX-License-Identifier: BSD-2-Clause */
/* The token that clients from elsewhere must show: as "Authorization: Bearer TOKEN", or, of a browser that has signed
 * in, as a cookie that is made from it (so that the token itself is in no cookie, and a new token ends all sessions).
 * Comparisons take the same time whatever is compared. Immutable after loading: any thread. */
#ifndef LOCKSTEP_MONITOR_WEB_TOKEN_H
#define LOCKSTEP_MONITOR_WEB_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEB_COOKIE_NAME "lockstep-session"
#define WEB_COOKIE_MAX  65

struct web_token {
    bool wanted;
    uint8_t digest[32];          /* of the token */
    char cookie[WEB_COOKIE_MAX]; /* the cookie's value, hexadecimal */
};

/* From a file's text (pure): one line of 32 to 256 printable characters without spaces. 0, or LOCKSTEP_E_BAD_VALUE with
 * *problem (valid for ever). */
int web_token_parse(const char *text, size_t length, struct web_token *token, const char **problem);
/* Each may be NULL: false. */
bool web_token_equal(const struct web_token *token, const char *given);
bool web_token_bearer(const struct web_token *token, const char *authorization);
bool web_token_cookie(const struct web_token *token, const char *cookie);

#endif
