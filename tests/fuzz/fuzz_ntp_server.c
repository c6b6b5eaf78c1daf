/* SPDX-License-Identifier: BSD-2-Clause */
/* Any datagrams at the NTP server: the first byte says whether the rest is a request of its own, or what is changed in
 * a good one with a key or with NTS. */
#include <string.h>

#include "clock/ntp_keys.h"
#include "clock/ntp_server.h"
#include "clock/nts_cookies.h"
#include "tests/fuzz/fuzz.h"

#define NOW_NS 1800000000000000000ll

static struct ntp_keys *keys;
static struct nts_cookies *cookies;
static struct ntp_server *server;
static const struct nts_keys client_keys = {{1}, {2}};

static void set_up(void)
{
    static const char text[] = "1 SHA1 one\n2 AES128 HEX:000102030405060708090a0b0c0d0e0f\n";
    struct ntp_server_config config = {.clients = 8, .rate_interval_ms = 1, .rate_burst = 4, .network_count = 2};
    char problem[NTP_KEYS_PROBLEM_MAX];

    fuzz_require(ntp_keys_parse("keys", text, sizeof text - 1, &keys, problem) == 0);
    fuzz_require(nts_cookies_create(NULL, INT64_MAX / 2, 0, 0, &cookies, problem) == 0);
    config.networks[0] = (struct ntp_server_network){{net_addr_any(true), 0}, true};
    config.networks[1] = (struct ntp_server_network){{net_addr_from_v4(3), 32}, false};
    config.keys = keys;
    config.nts = cookies;
    server = ntp_server_create(&config);
    fuzz_require(server);
}

static size_t good_request(bool nts, uint8_t *packet)
{
    static const struct ntp_header header = {.version = 4, .mode = NTP_MODE_CLIENT, .transmit = 5};
    uint8_t cookie[NTS_COOKIE_LENGTH] = {0}, nonce[NTS_NONCE_LENGTH] = {0};
    size_t length = NTP_HEADER_LEN;

    ntp_encode(&header, packet);
    if (!nts)
        return ntp_keys_seal(keys, 2, packet, length, NTP_PACKET_MAX);
    length = ntp_append_field(packet, length, NTP_PACKET_MAX, NTS_FIELD_UNIQUE_ID, cookie, NTS_UNIQUE_ID_LENGTH);
    length = ntp_append_field(packet, length, NTP_PACKET_MAX, NTS_FIELD_PLACEHOLDER, cookie, sizeof cookie);
    nts_cookies_make(cookies, &client_keys, cookie);
    length = ntp_append_field(packet, length, NTP_PACKET_MAX, NTS_FIELD_COOKIE, cookie, sizeof cookie);
    return nts_fields_seal(client_keys.c2s, nonce, packet, length, NTP_PACKET_MAX, NULL, 0);
}

static void ask(const uint8_t *data, size_t length, uint8_t variant)
{
    static const struct ntp_server_clock clock = {.stratum = 1, .precision = -20};
    static int64_t now_ns = NOW_NS;
    uint8_t *exact = malloc(length ? length : 1), reply[NTP_PACKET_MAX];
    struct net_addr from = net_addr_from_v4(variant >> 2);
    struct ntp_packet decoded;
    uint32_t slot;
    size_t answer;

    memcpy(exact, data, length);
    now_ns += 300000;
    answer = ntp_server_reply(server, &clock, &from, 123, exact, length, now_ns, now_ns + 10, reply, &slot);
    fuzz_require(answer <= length);
    if (answer > 0) {
        fuzz_require(ntp_decode(reply, answer, &decoded) == 0 && decoded.header.mode == NTP_MODE_SERVER);
        fuzz_require((exact[0] & 7) == NTP_MODE_CLIENT && net_addr_to_v4(&from) != 3);
        ntp_server_sent(server, slot, now_ns + 20);
    } else {
        fuzz_require(slot == NTP_SERVER_NO_SLOT);
    }
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t packet[NTP_PACKET_MAX];
    size_t length;

    if (!server)
        set_up();
    if (size == 0)
        return 0;
    if ((data[0] & 3) < 2) {
        ask(data + 1, size - 1, data[0]);
        return 0;
    }
    /* Triples: where (16 bits) and what to flip. */
    length = good_request(data[0] & 1, packet);
    for (size_t i = 1; i + 3 <= size; i += 3)
        packet[(data[i] << 8 | data[i + 1]) % length] ^= data[i + 2];
    ask(packet, length, data[0]);
    return 0;
}
