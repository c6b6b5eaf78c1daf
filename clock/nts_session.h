/* SPDX-License-Identifier: BSD-2-Clause */
/* What an NTS key establishment gave a client, and its use in packets (RFC 8915, section 5): keys, cookies, unique
 * identifiers. Shared by counted references between nts_client.c and the association's auth. One thread. */
#ifndef LOCKSTEP_CLOCK_NTS_SESSION_H
#define LOCKSTEP_CLOCK_NTS_SESSION_H

#include <stdbool.h>

#include "clock/ntp_auth.h"
#include "clock/nts_records.h"

struct nts_session;

/* With one reference; NULL: no memory. */
struct nts_session *nts_session_create(void);
/* The last reference wipes the keys. NULL is harmless. */
void nts_session_release(struct nts_session *session);
/* A reference in the form of an authentication; its destroy releases it. */
struct ntp_auth *nts_session_auth(struct nts_session *session);

/* New keys, and the cookies of a key server's message, in place of all that was there. */
void nts_session_renew(struct nts_session *session, const struct nts_keys *keys, const struct nts_message *message);

/* There are no keys, no cookies any more, or the server said that it does not know them (a NAK: perhaps forged, so they
 * stay in use until there are others). */
bool nts_session_needs_keys(const struct nts_session *session);
/* An authentic reply came since the last call. */
bool nts_session_was_proven(struct nts_session *session);
unsigned nts_session_cookies(const struct nts_session *session);

#endif
