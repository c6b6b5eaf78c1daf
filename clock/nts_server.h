/* SPDX-License-Identifier: BSD-2-Clause */
/* The NTS key establishment server (NTS-KE, RFC 8915, section 4) over TLS 1.3: hands out cookies that nts_cookies.h
 * opens again when they come in NTP packets. It owns its listening sockets and connections behind one descriptor:
 *
 *     nts_server_create(&config, cookies, &server, problem);
 *     nts_server_listen(server, fd);                       // for each bound, listening, non-blocking TCP socket
 *     epoll_add(nts_server_fd(server), EPOLLIN);
 *     deadline = nts_server_run(server, now, utc);         // when it is readable, or at the deadline
 *
 * Non-blocking, one thread. Connections are limited in number, for each address, in time, and in bytes; new ones wait
 * in the kernel's queue when too many handshakes come in a second. */
#ifndef LOCKSTEP_CLOCK_NTS_SERVER_H
#define LOCKSTEP_CLOCK_NTS_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "clock/nts_cookies.h"

#define NTS_SERVER_PROBLEM_MAX 512

struct nts_server;

struct nts_server_config {
    const char *certificate_file; /* PEM, with intermediate certificates */
    const char *key_file;         /* PEM */
    char ntp_name[256];           /* NTP server that clients are told to ask; "": the one they came to */
    uint16_t ntp_port;            /* 0 or 123: not told */
    unsigned connections;         /* at once; 0: 64 */
    unsigned connections_each;    /* from one address; 0: 4 */
    unsigned handshakes_per_s;    /* 0: 50 */
    int64_t timeout_ns;           /* of a connection from accept to end; 0: 2 s */
};

struct nts_server_counts {
    uint64_t accepted, refused, timed_out, failed, served;
    unsigned open;
};

/* cookies outlive it; nts_server_run runs them, too. 0, or a negative code with problem, which names the file. */
int nts_server_create(const struct nts_server_config *config, struct nts_cookies *cookies, struct nts_server **server,
                      char problem[NTS_SERVER_PROBLEM_MAX]);
void nts_server_destroy(struct nts_server *server); /* closes its sockets; NULL is harmless */

/* Reads certificate and key anew; on failure those in use stay. */
int nts_server_reload(struct nts_server *server, char problem[NTS_SERVER_PROBLEM_MAX]);

/* Takes a listening socket (closes it in the end). At most 16. */
int nts_server_listen(struct nts_server *server, int fd);
int nts_server_fd(const struct nts_server *server);
/* Does what is due, a bounded amount; returns the next deadline (steady clock, as now_ns). */
int64_t nts_server_run(struct nts_server *server, int64_t now_ns, int64_t utc_s);
void nts_server_get_counts(const struct nts_server *server, struct nts_server_counts *out);

#endif
