/* SPDX-License-Identifier: BSD-2-Clause */
/* What the NTP server's logic costs without sockets: ntp_server_bench [ROUNDS] prints, for each kind of request, the
 * nanoseconds of one and how many a second one core answers. Clients come in turn, from as many addresses as named. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock/ntp_keys.h"
#include "clock/ntp_server.h"
#include "clock/nts_cookies.h"
#include "platform/platform.h"

#define UTC_NS  1800000000000000000ll
#define ROUNDS  200000
#define CLIENTS 16384 /* of the table */

static struct ntp_keys *keys;
static struct nts_cookies *cookies;
static const struct ntp_server_clock served = {.stratum = 1, .precision = -25, .reference_ns = UTC_NS};

struct request {
    size_t length;
    uint8_t bytes[NTP_PACKET_MAX];
};

static void make_plain(struct request *request, unsigned variant)
{
    const struct ntp_header header = {.version = 4, .mode = NTP_MODE_CLIENT, .transmit = variant + 1};

    ntp_encode(&header, request->bytes);
    request->length = NTP_HEADER_LEN;
}

static void make_key(struct request *request, unsigned id)
{
    make_plain(request, 0);
    request->length = ntp_keys_seal(keys, id, request->bytes, request->length, NTP_PACKET_MAX);
}

static void make_nts(struct request *request, unsigned placeholders)
{
    static const struct nts_keys client = {{1}, {2}};
    uint8_t cookie[NTS_COOKIE_LENGTH], nonce[NTS_NONCE_LENGTH] = {3};
    size_t length = NTP_HEADER_LEN;

    make_plain(request, 0);
    nts_cookies_make(cookies, &client, cookie);
    length =
        ntp_append_field(request->bytes, length, NTP_PACKET_MAX, NTS_FIELD_UNIQUE_ID, cookie, NTS_UNIQUE_ID_LENGTH);
    length = ntp_append_field(request->bytes, length, NTP_PACKET_MAX, NTS_FIELD_COOKIE, cookie, sizeof cookie);
    for (unsigned i = 0; i < placeholders; i++)
        length = ntp_append_field(request->bytes, length, NTP_PACKET_MAX, NTS_FIELD_PLACEHOLDER, cookie, sizeof cookie);
    request->length = nts_fields_seal(client.c2s, nonce, request->bytes, length, NTP_PACKET_MAX, NULL, 0);
}

static struct ntp_server *make_server(void)
{
    struct ntp_server_config config = {.clients = CLIENTS,
                                       .rate_interval_ms = 1,
                                       .rate_burst = 1000000,
                                       .network_count = 3,
                                       .keys = keys,
                                       .nts = cookies};

    config.networks[0] = (struct ntp_server_network){{net_addr_any(true), 0}, true};
    config.networks[1] = (struct ntp_server_network){{net_addr_any(false), 0}, true};
    config.networks[2] = (struct ntp_server_network){{net_addr_from_v4(0x0100007f), 32}, false};
    return ntp_server_create(&config);
}

/* interleave: each request refers to the reply before. */
static void measure(const char *name, struct request *request, uint32_t addresses, bool interleave, unsigned rounds)
{
    struct ntp_server *server = make_server();
    uint8_t reply[NTP_PACKET_MAX];
    int64_t now_ns = UTC_NS;
    uint64_t begin = platform_now_ns(), took;
    unsigned answered = 0;
    uint32_t slot;

    if (!server)
        abort();
    for (unsigned i = 0; i < rounds; i++) {
        struct net_addr from = net_addr_from_v4(0x0a + (i % addresses << 8));

        now_ns += 10000;
        answered += ntp_server_reply(server, &served, &from, 123, request->bytes, request->length, now_ns,
                                     now_ns + 1000, reply, &slot) > 0;
        if (interleave) {
            memcpy(request->bytes + 24, reply + 32, 8);
            request->bytes[39] = (uint8_t)i;
            ntp_server_sent(server, slot, now_ns + 2000);
        }
    }
    took = platform_now_ns() - begin;
    printf("%-28s %8" PRIu32 " addresses %8.0f ns %10.0f a second%s\n", name, addresses, (double)took / rounds,
           rounds * 1e9 / (double)took, answered == rounds ? "" : " NOT ALL ANSWERED");
    ntp_server_destroy(server);
}

int main(int argc, char **argv)
{
    static const char text[] = "1 SHA1 one\n2 AES128 HEX:000102030405060708090a0b0c0d0e0f\n3 SHA512 three\n";
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : ROUNDS;
    char problem[NTP_KEYS_PROBLEM_MAX];
    struct request request;

    if (rounds == 0 || ntp_keys_parse("keys", text, sizeof text - 1, &keys, problem) < 0 ||
        nts_cookies_create(NULL, INT64_MAX / 2, 0, 0, &cookies, problem) < 0) {
        fprintf(stderr, "usage: ntp_server_bench [ROUNDS]\n");
        return 2;
    }
    make_plain(&request, 0);
    measure("plain", &request, 1, false, rounds);
    measure("plain", &request, 10000, false, rounds);
    measure("plain, more than the table", &request, 1000000, false, rounds);
    measure("interleaved", &request, 1, true, rounds);
    make_key(&request, 1);
    measure("SHA1", &request, 10000, false, rounds);
    make_key(&request, 2);
    measure("AES128", &request, 10000, false, rounds);
    make_key(&request, 3);
    measure("SHA512", &request, 10000, false, rounds);
    make_nts(&request, 0);
    measure("NTS", &request, 10000, false, rounds);
    make_nts(&request, 7);
    measure("NTS, eight cookies", &request, 10000, false, rounds);
    ntp_keys_destroy(keys);
    nts_cookies_destroy(cookies);
    return 0;
}
