/* SPDX-License-Identifier: BSD-2-Clause */
/* The TLS 1.3 channel of an NTS key establishment, either side, over a non-blocking socket. Private to nts_client.c and
 * nts_server.c. Not thread-safe. */
#ifndef LOCKSTEP_CLOCK_NTS_TLS_H
#define LOCKSTEP_CLOCK_NTS_TLS_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "clock/nts_fields.h"

struct nts_tls;

#define NTS_TLS_PROBLEM_MAX 384

/* Reads a PEM file whole; the caller frees out->data. forbidden: permission bits that are refused. On failure problem
 * (NTS_TLS_PROBLEM_MAX) names the file. */
int nts_tls_load(const char *path, mode_t forbidden, gnutls_datum_t *out, char *problem);

/* The socket stays the caller's. name: whom the peer's certificate must be for; ignore_time: even if it is not valid
 * today. What is given must outlive the channel. receive_max: bytes of a message taken. NULL: no memory. */
struct nts_tls *nts_tls_client(int fd, gnutls_certificate_credentials_t credentials, const char *name, bool ignore_time,
                               size_t receive_max);
struct nts_tls *nts_tls_server(int fd, gnutls_certificate_credentials_t credentials, size_t receive_max);
/* NULL is harmless. Sends nothing. */
void nts_tls_destroy(struct nts_tls *tls);

/* Each returns 1: done, 0: waits for the socket (nts_tls_events), negative: failed, nts_tls_problem says why. */
int nts_tls_handshake(struct nts_tls *tls);
/* The same bytes in each call until it is done. */
int nts_tls_send(struct nts_tls *tls, const uint8_t *bytes, size_t length);
/* A whole message. */
int nts_tls_receive(struct nts_tls *tls, const uint8_t **message, size_t *length);
/* Tells the peer that nothing more comes; does not wait for its answer. */
int nts_tls_bye(struct nts_tls *tls);

uint32_t nts_tls_events(const struct nts_tls *tls); /* EPOLLIN or EPOLLOUT */
const char *nts_tls_problem(const struct nts_tls *tls);
/* The keys for packets, after the handshake (RFC 8915, section 5.1). */
int nts_tls_export(struct nts_tls *tls, struct nts_keys *keys);

#endif
