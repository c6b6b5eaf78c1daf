/* SPDX-License-Identifier: BSD-2-Clause */
/* Symmetric keys of NTP (RFC 5905, RFC 8573) from a file in the format that chrony reads, too:
 *
 *     # identifier  type  key
 *     1   AES128  HEX:2b7e151628aed2a6abf7158809cf4f3c
 *     20  SHA256  ASCII:a shared secret
 *
 * Types: MD5, SHA1, SHA256, SHA384, SHA512 (digest of key and packet), AES128, AES256 (CMAC); a key without a prefix is
 * ASCII; a line without a type is MD5. Digests on the wire are cut to 20 bytes. One thread, but any number of readers.
 */
#ifndef LOCKSTEP_CLOCK_NTP_KEYS_H
#define LOCKSTEP_CLOCK_NTP_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock/ntp_auth.h"

#define NTP_KEYS_MAX         1024
#define NTP_KEYS_PROBLEM_MAX 512
#define NTP_MAC_MAX          24 /* identifier and digest */

struct ntp_keys;

/* Pure. 0, or a negative code with problem "FILE:LINE: ...". No key text is ever part of a message. */
int ntp_keys_parse(const char *file_name, const char *text, size_t length, struct ntp_keys **keys,
                   char problem[NTP_KEYS_PROBLEM_MAX]);
/* Reads a file. LOCKSTEP_E_DENIED if others than owner and group may read it. Weak keys are taken, with a line in the
 * log. */
int ntp_keys_load(const char *path, struct ntp_keys **keys, char problem[NTP_KEYS_PROBLEM_MAX]);
/* NULL is harmless. Wipes the keys. */
void ntp_keys_destroy(struct ntp_keys *keys);

unsigned ntp_keys_count(const struct ntp_keys *keys);
bool ntp_keys_has(const struct ntp_keys *keys, uint32_t id);

/* Appends identifier and digest; returns the new length, 0: no such key or no room in size. */
size_t ntp_keys_seal(const struct ntp_keys *keys, uint32_t id, uint8_t *packet, size_t length, size_t size);
/* Checks the MAC that begins at mac_offset and ends with the packet. 0 and *id, or LOCKSTEP_E_DENIED (unknown key,
 * wrong length, wrong digest; compared in constant time). */
int ntp_keys_check(const struct ntp_keys *keys, const uint8_t *packet, size_t mac_offset, size_t mac_length,
                   uint32_t *id);

/* For an association: seals with key `id` and takes replies with that key only. keys outlive it. NULL: no such key, or
 * no memory. */
struct ntp_auth *ntp_keys_auth(const struct ntp_keys *keys, uint32_t id);

#endif
