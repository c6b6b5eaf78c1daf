/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/ntp_server.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "clock/ntp_bytes.h"
#include "clock/ntp_keys.h"
#include "clock/nts_cookies.h"
#include "platform/platform.h"

#define WAYS            8 /* entries among which an address may lie */
#define CLIENTS_MIN     WAYS
#define CLIENTS_MAX     (1u << 20)
#define PAIRS           4 /* exchanges remembered for an address: that many may be under way between its programs */
#define NS_PER_MS       1000000ll
#define KISS_RATE       0x52415445u /* "RATE" */
#define KISS_EVERY      16          /* of the requests above the rate, one in so many gets a KoD, */
#define LEAK_EVERY      16          /* and one in so many, at random, an answer: others' floods shall not starve it */
#define SLOT_PAIR_BITS  22          /* CLIENTS_MAX * PAIRS */
#define SLOT_GENERATION ((1u << (32 - SLOT_PAIR_BITS)) - 1)
#define STRATUM_MAX     15
_Static_assert(CLIENTS_MAX *PAIRS == 1u << SLOT_PAIR_BITS, "a slot holds all pairs");

/* When a request came and its reply left, in the stamps that the client was shown. */
struct stamp_pair {
    uint64_t receive, transmit; /* transmit 0: not kept, the client had not shown that it interleaves */
    uint32_t generation;
};

struct client {
    struct net_addr address;
    uint32_t used; /* struct ntp_server.uses at the last request; 0: free */
    uint32_t limited;
    bool interleaves;           /* it has asked for an interleaved reply: stamps of departures are worth their cost */
    int64_t last_ns, credit_ns; /* token bucket */
    unsigned next_pair;
    struct stamp_pair pair[PAIRS];
};

struct ntp_server {
    struct ntp_server_config config;
    struct ntp_server_network networks[NTP_SERVER_NETWORKS_MAX]; /* longest prefix first */
    struct hash_key hash_key;
    uint64_t random;
    uint32_t uses;
    struct ntp_server_counts counts;
    struct client client[];
};

/* ---- creation ---- */

static bool add_network(struct ntp_server *server, unsigned count, const struct ntp_server_network *from)
{
    struct ntp_server_network *networks = server->networks;
    unsigned at = count;

    if (from->network.prefix > (net_addr_is_v4(&from->network.address) ? 32 : 128))
        return false;
    while (at > 0 && networks[at - 1].network.prefix < from->network.prefix) {
        networks[at] = networks[at - 1];
        at--;
    }
    networks[at] = *from;
    return true;
}

static bool configure(struct ntp_server *server, const struct ntp_server_config *config)
{
    server->config = *config;
    for (unsigned i = 0; i < config->network_count; i++) {
        if (!add_network(server, i, &config->networks[i]))
            return false;
    }
    return platform_random(&server->hash_key, sizeof server->hash_key) == 0 &&
           platform_random(&server->random, sizeof server->random) == 0;
}

struct ntp_server *ntp_server_create(const struct ntp_server_config *config)
{
    struct ntp_server *server;

    if (config->clients < CLIENTS_MIN || config->clients > CLIENTS_MAX || config->clients & (config->clients - 1) ||
        config->network_count > NTP_SERVER_NETWORKS_MAX || (config->rate_interval_ms && config->rate_burst == 0))
        return NULL;
    server = calloc(1, sizeof *server + config->clients * sizeof server->client[0]);
    if (server && !configure(server, config)) {
        free(server);
        return NULL;
    }
    return server;
}

void ntp_server_destroy(struct ntp_server *server)
{
    free(server);
}

void ntp_server_get_counts(const struct ntp_server *server, struct ntp_server_counts *out)
{
    *out = server->counts;
}

/* ---- who may ask, and how often ---- */

static bool is_allowed(const struct ntp_server *server, const struct net_addr *from)
{
    for (unsigned i = 0; i < server->config.network_count; i++) {
        if (net_network_contains(&server->networks[i].network, from))
            return server->networks[i].allow;
    }
    return false;
}

/* The address's entry; a new one takes the place of the one that was used least recently among its set. */
static struct client *find_client(struct ntp_server *server, const struct net_addr *from)
{
    uint64_t hash = hash_bytes(&server->hash_key, from, sizeof *from);
    struct client *set = &server->client[hash & (server->config.clients - 1) & ~(uint64_t)(WAYS - 1)];
    struct client *oldest = set;
    uint32_t now = ++server->uses ? server->uses : ++server->uses; /* 0 means free */

    for (struct client *client = set; client < set + WAYS; client++) {
        if (client->used && net_addr_equal(&client->address, from)) {
            client->used = now;
            return client;
        }
        if (oldest->used && (!client->used || now - client->used > now - oldest->used))
            oldest = client;
    }
    /* Generations go on, so that slots of the entry's former address stay harmless. */
    for (unsigned i = 0; i < PAIRS; i++)
        oldest->pair[i] = (struct stamp_pair){.generation = oldest->pair[i].generation + 1};
    oldest->address = *from;
    oldest->used = now;
    oldest->limited = 0;
    oldest->interleaves = false;
    oldest->last_ns = INT64_MIN;
    oldest->credit_ns = 0;
    return oldest;
}

enum verdict { SERVE, KISS, DROP };

static uint64_t next_random(struct ntp_server *server)
{
    server->random = hash_u64(&server->hash_key, server->random + HASH_ROOT_5);
    return server->random;
}

static enum verdict judge_rate(struct ntp_server *server, struct client *client, int64_t now_ns)
{
    int64_t cost = server->config.rate_interval_ms * NS_PER_MS, most = cost * server->config.rate_burst;

    if (cost == 0)
        return SERVE;
    if (client->last_ns == INT64_MIN || now_ns - client->last_ns > most)
        client->credit_ns = most;
    else if (now_ns > client->last_ns)
        client->credit_ns += now_ns - client->last_ns;
    if (client->credit_ns > most)
        client->credit_ns = most;
    client->last_ns = now_ns;
    if (client->credit_ns >= cost) {
        client->credit_ns -= cost;
        return SERVE;
    }
    server->counts.rate_limited++;
    if (client->limited++ % KISS_EVERY == 0)
        return KISS;
    return next_random(server) % LEAK_EVERY == 0 ? SERVE : DROP;
}

/* ---- authentication ---- */

enum auth { AUTH_NONE, AUTH_KEY, AUTH_NTS, AUTH_WRONG_KEY, AUTH_WRONG_NTS, AUTH_MALFORMED };

struct request {
    struct ntp_packet packet;
    enum auth auth;
    uint32_t key;
    struct nts_request nts;
};

static enum auth authenticate(const struct ntp_server *server, const uint8_t *bytes, struct request *request)
{
    const struct ntp_packet *packet = &request->packet;
    int err;

    if (server->config.nts && nts_fields_present(packet)) {
        err = nts_cookies_check(server->config.nts, bytes, packet, &request->nts);
        return err == 0 ? AUTH_NTS : err == LOCKSTEP_E_GONE ? AUTH_WRONG_NTS : AUTH_MALFORMED;
    }
    if (packet->mac_length == 0)
        return AUTH_NONE;
    if (packet->mac_length == NTP_CRYPTO_NAK_LEN)
        return AUTH_MALFORMED;
    if (!server->config.keys ||
        ntp_keys_check(server->config.keys, bytes, packet->mac_offset, packet->mac_length, &request->key) < 0)
        return AUTH_WRONG_KEY;
    return AUTH_KEY;
}

/* Adds to the reply what its request's kind of authentication asks for; never longer than the request. */
static size_t seal(struct ntp_server *server, const struct request *request, uint8_t *reply, size_t size)
{
    switch (request->auth) {
    case AUTH_NONE:
        return NTP_HEADER_LEN;
    case AUTH_KEY:
        return ntp_keys_seal(server->config.keys, request->key, reply, NTP_HEADER_LEN, size);
    case AUTH_NTS:
        return nts_cookies_seal(server->config.nts, &request->nts, reply, size);
    case AUTH_WRONG_NTS:
        return nts_cookies_seal_nak(&request->nts, reply, size);
    case AUTH_WRONG_KEY:
        ntp_put_u32(reply + NTP_HEADER_LEN, 0); /* a crypto-NAK; the request was longer */
        return NTP_HEADER_LEN + NTP_CRYPTO_NAK_LEN;
    case AUTH_MALFORMED:
        break;
    }
    return 0;
}

/* ---- the reply's header ---- */

static void fill_clock(const struct ntp_server_clock *clock, struct ntp_header *reply)
{
    reply->precision = clock->precision;
    if (clock->leap == NTP_LEAP_UNSYNCHRONISED || clock->stratum == 0 || clock->stratum > STRATUM_MAX) {
        reply->leap = NTP_LEAP_UNSYNCHRONISED; /* stratum 0 stands for 16; no kiss code goes with it */
    } else {
        reply->leap = clock->leap;
        reply->stratum = clock->stratum;
        reply->reference_id = clock->reference_id;
    }
    reply->root_delay = ntp_short_from_ns(clock->root_delay_ns);
    reply->root_dispersion = ntp_short_from_ns(clock->root_dispersion_ns);
    reply->reference = clock->reference_ns ? ntp_from_utc_ns(clock->reference_ns) : 0;
}

static void make_kiss(struct ntp_header *reply, uint32_t code)
{
    reply->leap = NTP_LEAP_UNSYNCHRONISED;
    reply->stratum = 0;
    reply->reference_id = code;
}

/* The poll interval that would be right. */
static int8_t rate_poll(const struct ntp_server *server, int8_t asked)
{
    int8_t poll = 0;

    while (poll < 17 && (1000ull << poll) < server->config.rate_interval_ms)
        poll++;
    return poll > asked ? poll : asked;
}

static const struct stamp_pair *find_pair(const struct client *client, uint64_t receive)
{
    for (unsigned i = 0; i < PAIRS; i++) {
        if (client->pair[i].receive == receive)
            return &client->pair[i];
    }
    return NULL;
}

/* Receive stamps name exchanges: no two of a client's are the same. */
static uint64_t unique_receive(const struct client *client, uint64_t receive)
{
    while (receive == 0 || find_pair(client, receive))
        receive++;
    return receive;
}

static uint32_t remember(struct ntp_server *server, struct client *client, uint64_t receive, uint64_t transmit)
{
    unsigned at = client->next_pair;
    struct stamp_pair *pair = &client->pair[at];

    client->next_pair = (at + 1) % PAIRS;
    *pair = (struct stamp_pair){receive, transmit, pair->generation + 1};
    return (uint32_t)((client - server->client) * PAIRS + at) | (pair->generation & SLOT_GENERATION) << SLOT_PAIR_BITS;
}

/* Interleaved if the request's origin is the receive stamp of an earlier reply (RFC 9769, section 2). The first time
 * this only tells that the client interleaves. */
static void fill_stamps(struct ntp_server *server, struct client *client, const struct ntp_header *request,
                        int64_t receive_ns, int64_t now_ns, struct ntp_header *reply, uint32_t *slot)
{
    const struct stamp_pair *earlier = NULL;
    uint64_t transmit = ntp_from_utc_ns(now_ns);
    uint32_t kept;

    if (request->origin && request->receive != request->transmit)
        earlier = find_pair(client, request->origin);
    client->interleaves |= earlier != NULL;
    if (earlier && !earlier->transmit)
        earlier = NULL;
    reply->receive = unique_receive(client, ntp_from_utc_ns(receive_ns));
    transmit += transmit == reply->receive;
    reply->origin = earlier ? request->receive : request->transmit;
    reply->transmit = earlier ? earlier->transmit : transmit;
    server->counts.interleaved += earlier != NULL;
    kept = remember(server, client, reply->receive, client->interleaves ? transmit : 0);
    if (client->interleaves)
        *slot = kept;
}

void ntp_server_sent(struct ntp_server *server, uint32_t slot, int64_t transmit_ns)
{
    unsigned index = slot & ((1u << SLOT_PAIR_BITS) - 1);
    struct stamp_pair *pair;

    if (slot == NTP_SERVER_NO_SLOT || index / PAIRS >= server->config.clients)
        return;
    pair = &server->client[index / PAIRS].pair[index % PAIRS];
    if (!pair->transmit || (pair->generation & SLOT_GENERATION) != slot >> SLOT_PAIR_BITS)
        return;
    pair->transmit = ntp_from_utc_ns(transmit_ns);
    pair->transmit += pair->transmit == pair->receive;
}

/* ---- a request ---- */

static bool decode(struct ntp_server *server, const uint8_t *bytes, size_t length, struct ntp_packet *packet)
{
    if (length < NTP_HEADER_LEN || (bytes[0] & 7) != NTP_MODE_CLIENT || ntp_decode(bytes, length, packet) < 0) {
        server->counts.malformed++;
        return false;
    }
    return true;
}

static void count(struct ntp_server_counts *counts, enum auth auth)
{
    counts->replies++;
    counts->keys += auth == AUTH_KEY;
    counts->nts += auth == AUTH_NTS;
}

size_t ntp_server_reply(struct ntp_server *server, const struct ntp_server_clock *clock, const struct net_addr *from,
                        uint16_t port, const uint8_t *bytes, size_t length, int64_t receive_ns, int64_t now_ns,
                        uint8_t reply[NTP_PACKET_MAX], uint32_t *slot)
{
    struct request request;
    struct ntp_header header;
    struct client *client;
    enum verdict verdict;

    (void)port; /* a client may ask from a new one each time (RFC 9109) */
    *slot = NTP_SERVER_NO_SLOT;
    server->counts.requests++;
    if (!is_allowed(server, from)) {
        server->counts.denied++;
        return 0;
    }
    if (!decode(server, bytes, length, &request.packet))
        return 0;
    client = find_client(server, from);
    verdict = judge_rate(server, client, now_ns);
    if (verdict == DROP)
        return 0;
    request.auth = authenticate(server, bytes, &request);
    if (request.auth >= AUTH_WRONG_KEY)
        server->counts.not_authentic++;
    if (request.auth == AUTH_MALFORMED)
        return 0;

    header = (struct ntp_header){.version = request.packet.header.version,
                                 .mode = NTP_MODE_SERVER,
                                 .poll = request.packet.header.poll,
                                 .origin = request.packet.header.transmit};
    fill_clock(clock, &header);
    if (request.auth == AUTH_WRONG_KEY || request.auth == AUTH_WRONG_NTS) {
        make_kiss(&header, request.auth == AUTH_WRONG_NTS ? NTS_KISS_NAK : 0);
    } else if (verdict == KISS) {
        make_kiss(&header, KISS_RATE);
        header.poll = rate_poll(server, header.poll);
        server->counts.kiss_rate++;
    } else {
        fill_stamps(server, client, &request.packet.header, receive_ns, now_ns, &header, slot);
    }
    ntp_encode(&header, reply);
    length = seal(server, &request, reply, length < NTP_PACKET_MAX ? length : NTP_PACKET_MAX);
    if (length > 0)
        count(&server->counts, request.auth);
    else
        *slot = NTP_SERVER_NO_SLOT;
    return length;
}
