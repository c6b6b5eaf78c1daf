/* SPDX-License-Identifier: BSD-2-Clause */
/* Authentication of NTP packets, one interface for none, symmetric keys (RFC 5905, RFC 8573) and NTS (RFC 8915). An
 * association owns one `struct ntp_auth`; the server has its own calls (nts_server.h, ntp_keys.h). One thread. */
#ifndef LOCKSTEP_CLOCK_NTP_AUTH_H
#define LOCKSTEP_CLOCK_NTP_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock/ntp_packet.h"

struct ntp_auth;

struct ntp_auth_ops {
    const char *name; /* "none", "key", "nts" */
    /* True if a request can be sealed now (NTS: keys and a cookie are there). */
    bool (*ready)(struct ntp_auth *auth);
    /* Adds what authenticates the request; returns the new length, 0: not possible now. */
    size_t (*seal)(struct ntp_auth *auth, uint8_t *packet, size_t length, size_t size);
    /* Checks a reply (decoded from packet). NTS: takes new cookies and decrypts. 0, LOCKSTEP_E_DENIED: not authentic. A
     * crypto-NAK or NTS NAK is LOCKSTEP_E_GONE: keys must be negotiated anew. */
    int (*check)(struct ntp_auth *auth, const uint8_t *packet, size_t length, const struct ntp_packet *decoded);
    void (*destroy)(struct ntp_auth *auth);
};

/* Embedded first in each implementation. */
struct ntp_auth {
    const struct ntp_auth_ops *ops;
};

#endif
