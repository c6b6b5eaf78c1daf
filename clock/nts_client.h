/* SPDX-License-Identifier: BSD-2-Clause */
/* NTS for one association (RFC 8915): key establishment with a server (NTS-KE, TLS 1.3) and the authentication of NTP
 * packets with the keys and cookies it gave. Sockets are the caller's business up to connect(); everything is
 * non-blocking and one thread. All times are of a steady clock. How a daemon drives it:
 *
 *     client = nts_client_create(&config, problem);
 *     epoll_add(nts_client_fd(client), EPOLLIN);            // one descriptor for the client's whole life
 *     core_source_config.auth = nts_client_auth(client);    // the core owns and destroys it
 *   in the loop:
 *     deadline = nts_client_run(client, now);               // when the descriptor is readable, or at the deadline
 *     switch (nts_client_state(client)) {
 *     case NTS_CLIENT_WANTED:  resolve the name, start a non-blocking connect to nts_client_config.port, and
 *                              nts_client_start(client, fd, now); if that is not possible nts_client_failed(client,
 * now, why) case NTS_CLIENT_READY:   nts_client_server() tells which NTP server to ask
 *     }
 */
#ifndef LOCKSTEP_CLOCK_NTS_CLIENT_H
#define LOCKSTEP_CLOCK_NTS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock/ntp_auth.h"

#define NTS_PORT               4460
#define NTS_CLIENT_NAME_MAX    256
#define NTS_CLIENT_PROBLEM_MAX 512

struct nts_client;

struct nts_client_config {
    char name[NTS_CLIENT_NAME_MAX]; /* as the certificate must have it: a name or an address */
    const char *ca_file;            /* certificates to trust (PEM) instead of the system's; NULL: the system's */
    bool ignore_validity_time;      /* of certificates: for nodes that start with a wrong clock */
    int64_t timeout_ns;             /* of a whole key establishment, with connect; 0: 5 s */
    int64_t refresh_ns;             /* keys are negotiated anew when they are that old; 0: 24 h */
};

enum nts_client_state {
    NTS_CLIENT_IDLE,      /* waits (after a failure: ever longer, 10 s to 1 h) */
    NTS_CLIENT_WANTED,    /* wants a connection to the key server */
    NTS_CLIENT_EXCHANGES, /* connecting, or talking with it */
    NTS_CLIENT_READY,     /* keys and cookies are there */
};

/* 0, or a negative code with problem, which names the server and the file. */
int nts_client_create(const struct nts_client_config *config, struct nts_client **client,
                      char problem[NTS_CLIENT_PROBLEM_MAX]);
/* Closes what is open. The auth may outlive it and goes on with the cookies it has. NULL is harmless. */
void nts_client_destroy(struct nts_client *client);

/* The association's authentication, at most once; owned by the caller (the core). NULL: no memory. */
struct ntp_auth *nts_client_auth(struct nts_client *client);

int nts_client_fd(const struct nts_client *client);
/* Does what is due; returns the next deadline (INT64_MAX: none). Also to be called after the core has had a reply: a
 * NAK or the last cookie used up makes it WANTED. */
int64_t nts_client_run(struct nts_client *client, int64_t now_ns);
enum nts_client_state nts_client_state(const struct nts_client *client);

/* Takes a non-blocking TCP socket, connected or connecting (closes it in the end). 0 or a negative code. */
int nts_client_start(struct nts_client *client, int fd, int64_t now_ns);
/* No connection can be made (name not found, ...): waits before the next try. */
void nts_client_failed(struct nts_client *client, int64_t now_ns, const char *why);
/* Why the last attempt failed, with the server's name; "" if it did not. */
const char *nts_client_problem(const struct nts_client *client);

/* The NTP server that the key server named. name "": the one that the keys came from; port: 123 if it named none. */
void nts_client_server(const struct nts_client *client, char name[NTS_CLIENT_NAME_MAX], uint16_t *port);
unsigned nts_client_cookies(const struct nts_client *client); /* at hand */

#endif
