/* SPDX-License-Identifier: BSD-2-Clause */
/* The server's side of NTS (RFC 8915) inside NTP packets: cookies, which carry a client's keys sealed with keys that
 * only this server knows (section 6), and the check and sealing of packets. The server's keys rotate; they lie in a
 * file, so that cookies stay valid over a restart. Packets cost no allocation and no system call but getrandom now and
 * then. One thread. */
#ifndef LOCKSTEP_CLOCK_NTS_COOKIES_H
#define LOCKSTEP_CLOCK_NTS_COOKIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock/ntp_packet.h"
#include "clock/nts_fields.h"

#define NTS_COOKIES_PROBLEM_MAX 512
#define NTS_COOKIE_LENGTH       104 /* of the cookies made here */
#define NTS_COOKIES_KEPT        4   /* keys: the one in use and its predecessors */
#define NTS_COOKIES_FILE_MAX    1024

struct nts_cookies;

/* One of the server's keys, and the file's text form of all of them (pure; newest first). */
struct nts_cookie_key {
    uint32_t id;
    int64_t created_s; /* since 1970 */
    uint8_t key[NTS_KEY_LENGTH];
};
/* The number of keys (at least 1), or LOCKSTEP_E_BAD_FORMAT with the *line. */
int nts_cookie_keys_parse(const char *text, size_t length, struct nts_cookie_key keys[NTS_COOKIES_KEPT],
                          unsigned *line);
/* Returns the length; size is at least NTS_COOKIES_FILE_MAX. */
size_t nts_cookie_keys_format(const struct nts_cookie_key *keys, unsigned count, char *text, size_t size);

/* path: file of the server's keys, made if it is not there, mode 0600; NULL: keys live in memory only. A file that is
 * damaged or that others may read is reported to the log and replaced by new keys (clients then negotiate anew).
 * rotation_ns: a key is replaced when it is that old; cookies stay valid for three rotations more. now_ns: steady
 * clock, utc_s: seconds since 1970. 0 or a negative code with problem, which names the file. */
int nts_cookies_create(const char *path, int64_t rotation_ns, int64_t now_ns, int64_t utc_s,
                       struct nts_cookies **cookies, char problem[NTS_COOKIES_PROBLEM_MAX]);
void nts_cookies_destroy(struct nts_cookies *cookies); /* NULL is harmless */

/* Replaces the key if it is due and writes the file (a failure goes to the log; the new key is used all the same).
 * Returns when to call again, steady clock. */
int64_t nts_cookies_run(struct nts_cookies *cookies, int64_t now_ns, int64_t utc_s);

/* Seals a client's keys. Writes NTS_COOKIE_LENGTH bytes. */
void nts_cookies_make(struct nts_cookies *cookies, const struct nts_keys *keys, uint8_t *cookie);
/* 0; LOCKSTEP_E_GONE: not made by one of the keys at hand; LOCKSTEP_E_BAD_FORMAT: wrong length. */
int nts_cookies_open(const struct nts_cookies *cookies, const uint8_t *cookie, size_t length, struct nts_keys *keys);

/* What has to be known of a request to seal its reply. Points into the request. */
struct nts_request {
    struct nts_keys keys;
    const uint8_t *unique_id;
    uint16_t unique_id_length;
    uint16_t wanted; /* cookies */
};

/* Checks a request that has an NTS field (nts_fields_present). 0; LOCKSTEP_E_GONE: authentic or not, the cookie cannot
 * be opened or the authenticator is wrong: answer with a NAK; LOCKSTEP_E_BAD_FORMAT: do not answer. */
int nts_cookies_check(const struct nts_cookies *cookies, const uint8_t *packet, const struct ntp_packet *decoded,
                      struct nts_request *request);
/* Adds the fields of a reply whose header is written: as many cookies as were wanted and fit into size (the request's
 * length: a reply is never longer). Returns the new length, 0: does not fit. */
size_t nts_cookies_seal(struct nts_cookies *cookies, const struct nts_request *request, uint8_t *packet, size_t size);
/* Adds the unique identifier only, for a NAK. */
size_t nts_cookies_seal_nak(const struct nts_request *request, uint8_t *packet, size_t size);

#endif
