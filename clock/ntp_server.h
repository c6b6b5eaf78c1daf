/* SPDX-License-Identifier: BSD-2-Clause */
/* An NTP server's logic without sockets: from a request and its stamps to the reply. Basic and interleaved mode (RFC
 * 9769), access lists, rate limiting with KoD (RFC 5905), symmetric keys and NTS. No allocation after creation; one
 * thread. */
#ifndef LOCKSTEP_CLOCK_NTP_SERVER_H
#define LOCKSTEP_CLOCK_NTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/net_addr.h"
#include "clock/ntp_packet.h"

struct ntp_server;
struct ntp_keys;    /* symmetric keys: ntp_keys.h */
struct nts_cookies; /* NTS: nts_cookies.h */

/* What the served clock says of itself; the caller renews it with each update of the clock. */
struct ntp_server_clock {
    uint8_t leap, stratum;
    int8_t precision;
    uint32_t reference_id;
    int64_t reference_ns; /* UTC of the last update */
    int64_t root_delay_ns, root_dispersion_ns;
};

#define NTP_SERVER_NETWORKS_MAX 64
struct ntp_server_network {
    struct net_network network;
    bool allow; /* the longest matching prefix decides; no match: denied */
};

struct ntp_server_config {
    unsigned clients;          /* entries of the client table (interleaving, rates): a power of two, 8 to 2^20 */
    unsigned rate_interval_ms; /* mean interval allowed for a client; 0: no limit */
    unsigned rate_burst;       /* requests at once */
    unsigned network_count;
    struct ntp_server_network networks[NTP_SERVER_NETWORKS_MAX];
    const struct ntp_keys *keys; /* NULL: none */
    struct nts_cookies *nts;     /* NULL: none */
};

struct ntp_server_counts {
    uint64_t requests, replies, interleaved, malformed, denied, rate_limited, kiss_rate, not_authentic, nts, keys;
};

#define NTP_SERVER_NO_SLOT UINT32_MAX

/* NULL: no memory, or a configuration out of its limits. keys and nts outlive it. */
struct ntp_server *ntp_server_create(const struct ntp_server_config *config);
void ntp_server_destroy(struct ntp_server *server);

/* receive_ns: UTC at the request's arrival (kernel stamp); now_ns: UTC just before the reply is sent. Writes the reply
 * and returns its length, 0: none; it is never longer than the request. *slot: names the exchange for ntp_server_sent,
 * or is NTP_SERVER_NO_SLOT (no stamp wanted: the client has not asked for interleaved replies so far; its first such
 * request gets a basic reply). A clock that is not synchronised (leap 3, stratum 0 or > 15) is served as
 * such. */
size_t ntp_server_reply(struct ntp_server *server, const struct ntp_server_clock *clock, const struct net_addr *from,
                        uint16_t port, const uint8_t *request, size_t length, int64_t receive_ns, int64_t now_ns,
                        uint8_t reply[NTP_PACKET_MAX], uint32_t *slot);
/* The kernel's stamp of a reply's departure (UTC), for the next interleaved one. A slot from long ago is harmless. */
void ntp_server_sent(struct ntp_server *server, uint32_t slot, int64_t transmit_ns);

void ntp_server_get_counts(const struct ntp_server *server, struct ntp_server_counts *out);

#endif
