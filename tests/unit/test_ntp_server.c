/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "clock/ntp_keys.h"
#include "clock/ntp_server.h"
#include "clock/nts_cookies.h"

#define NS_PER_S 1000000000ll
#define NOW_NS   (1800000000 * NS_PER_S) /* early in 2027 */

static const struct ntp_server_clock good_clock = {
    .stratum = 2,
    .precision = -25,
    .reference_id = 0x0a4d0001,
    .reference_ns = NOW_NS - 5 * NS_PER_S,
    .root_delay_ns = 15258,
    .root_dispersion_ns = 1000000,
};

static struct ntp_server_config open_config(void)
{
    struct ntp_server_config config = {.clients = 64, .network_count = 2};

    config.networks[0] = (struct ntp_server_network){{net_addr_any(true), 0}, true};
    config.networks[1] = (struct ntp_server_network){{net_addr_any(false), 0}, true};
    return config;
}

static struct net_addr address(const char *text)
{
    struct net_addr addr;

    assert_int_equal(net_addr_parse(text, &addr), 0);
    return addr;
}

/* One request and what came of it. */
struct exchange {
    uint8_t request[NTP_PACKET_MAX], reply[NTP_PACKET_MAX];
    size_t length;
    uint32_t slot;
    struct ntp_packet decoded; /* of the reply */
};

static size_t send_bytes(struct ntp_server *server, const char *from, struct exchange *exchange, size_t length,
                         int64_t receive_ns)
{
    struct net_addr addr = address(from);
    uint8_t *exact = malloc(length ? length : 1); /* the address sanitizer watches its end */

    memcpy(exact, exchange->request, length);
    exchange->length = ntp_server_reply(server, &good_clock, &addr, 40000, exact, length, receive_ns,
                                        receive_ns + 20000, exchange->reply, &exchange->slot);
    free(exact);
    assert_true(exchange->length <= length);
    if (exchange->length > 0)
        assert_int_equal(ntp_decode(exchange->reply, exchange->length, &exchange->decoded), 0);
    else
        assert_int_equal(exchange->slot, NTP_SERVER_NO_SLOT);
    return exchange->length;
}

static size_t ask(struct ntp_server *server, const char *from, struct exchange *exchange,
                  const struct ntp_header *header, int64_t receive_ns)
{
    ntp_encode(header, exchange->request);
    return send_bytes(server, from, exchange, NTP_HEADER_LEN, receive_ns);
}

static const struct ntp_header plain = {
    .version = 4, .mode = NTP_MODE_CLIENT, .poll = 6, .transmit = 0x1122334455667788};

static struct ntp_server_counts counts_of(const struct ntp_server *server)
{
    struct ntp_server_counts counts;

    ntp_server_get_counts(server, &counts);
    return counts;
}

/* ---- replies ---- */

static void a_basic_reply_tells_clock_and_stamps(void **state)
{
    struct ntp_server_config config = open_config();
    struct ntp_server *server = ntp_server_create(&config);
    struct ntp_header asked = plain;
    struct exchange exchange = {0};
    const struct ntp_header *reply = &exchange.decoded.header;

    (void)state;
    for (uint8_t version = 3; version <= 4; version++) {
        asked.version = version;
        assert_int_equal(ask(server, "10.0.0.1", &exchange, &asked, NOW_NS), NTP_HEADER_LEN);
        assert_int_equal(reply->version, version);
        assert_int_equal(reply->mode, NTP_MODE_SERVER);
        assert_int_equal(reply->leap, NTP_LEAP_NONE);
        assert_int_equal(reply->stratum, 2);
        assert_int_equal(reply->poll, 6);
        assert_int_equal(reply->precision, -25);
        assert_int_equal(reply->reference_id, 0x0a4d0001);
        assert_int_equal(reply->root_delay, 1);
        assert_int_equal(reply->root_dispersion, 66);
        assert_int_equal(reply->origin, plain.transmit);
        assert_int_equal(ntp_to_utc_ns(reply->reference, NOW_NS), NOW_NS - 5 * NS_PER_S);
        assert_int_equal(ntp_to_utc_ns(reply->transmit, NOW_NS), NOW_NS + 20000);
        assert_in_range(ntp_to_utc_ns(reply->receive, NOW_NS), NOW_NS, NOW_NS + 1);
    }
    assert_int_equal(counts_of(server).replies, 2);
    ntp_server_destroy(server);
}

static void a_clock_without_time_says_so(void **state)
{
    static const struct ntp_server_clock clocks[] = {{.leap = NTP_LEAP_UNSYNCHRONISED, .stratum = 2, .reference_id = 7},
                                                     {.stratum = 0, .reference_id = 7},
                                                     {.stratum = 16, .reference_id = 7},
                                                     {.stratum = 255, .reference_id = 7}};
    struct ntp_server_config config = open_config();
    struct ntp_server *server = ntp_server_create(&config);
    struct net_addr from = address("10.0.0.1");
    uint8_t request[NTP_HEADER_LEN], reply[NTP_PACKET_MAX];
    struct ntp_packet decoded;
    uint32_t slot;

    (void)state;
    ntp_encode(&plain, request);
    for (size_t i = 0; i < sizeof clocks / sizeof clocks[0]; i++) {
        assert_int_equal(
            ntp_server_reply(server, &clocks[i], &from, 123, request, sizeof request, NOW_NS, NOW_NS, reply, &slot),
            NTP_HEADER_LEN);
        assert_int_equal(ntp_decode(reply, NTP_HEADER_LEN, &decoded), 0);
        assert_int_equal(decoded.header.leap, NTP_LEAP_UNSYNCHRONISED);
        assert_int_equal(decoded.header.stratum, 0);
        assert_int_equal(decoded.header.reference_id, 0); /* no kiss code */
        assert_int_equal(decoded.header.reference, 0);
        assert_true(decoded.header.transmit != decoded.header.receive);
    }
    ntp_server_destroy(server);
}

static void other_modes_versions_and_lengths_get_nothing(void **state)
{
    struct ntp_server_config config = open_config();
    struct ntp_server *server = ntp_server_create(&config);
    struct exchange exchange = {0};

    (void)state;
    ntp_encode(&plain, exchange.request);
    for (unsigned first = 0; first < 256; first++) {
        bool good = (first & 7) == NTP_MODE_CLIENT && ((first >> 3 & 7) == 3 || (first >> 3 & 7) == 4);

        exchange.request[0] = (uint8_t)first;
        assert_int_equal(send_bytes(server, "10.0.0.1", &exchange, NTP_HEADER_LEN, NOW_NS), good ? 48 : 0);
    }
    ntp_encode(&plain, exchange.request);
    memset(exchange.request + NTP_HEADER_LEN, 0, sizeof exchange.request - NTP_HEADER_LEN);
    for (size_t length = 0; length < NTP_HEADER_LEN; length++)
        assert_int_equal(send_bytes(server, "10.0.0.1", &exchange, length, NOW_NS), 0);
    assert_int_equal(send_bytes(server, "10.0.0.1", &exchange, NTP_HEADER_LEN + 1, NOW_NS), 0);
    assert_int_equal(send_bytes(server, "10.0.0.1", &exchange, NTP_HEADER_LEN + 4, NOW_NS), 0); /* a crypto-NAK */
    ntp_server_destroy(server);
}

static void unknown_fields_are_ignored(void **state)
{
    struct ntp_server_config config = open_config();
    struct ntp_server *server = ntp_server_create(&config);
    struct exchange exchange = {0};
    size_t length = NTP_HEADER_LEN;

    (void)state;
    ntp_encode(&plain, exchange.request);
    length = ntp_append_field(exchange.request, length, NTP_PACKET_MAX, 0xf323, "abcd", 4);
    length = ntp_append_field(exchange.request, length, NTP_PACKET_MAX, NTS_FIELD_COOKIE, "abcd", 4);
    assert_int_equal(send_bytes(server, "10.0.0.1", &exchange, length, NOW_NS), NTP_HEADER_LEN);
    ntp_server_destroy(server);
}

/* ---- interleaved mode ---- */

static struct ntp_header interleaved_after(const struct ntp_header *reply)
{
    struct ntp_header header = plain;

    header.origin = reply->receive;
    header.receive = 0xaaaa;
    header.transmit = 0xbbbb;
    return header;
}

/* An exchange that is kept: one to be known, one to show that the client interleaves. */
static void begin_interleaving(struct ntp_server *server, const char *from, struct exchange *exchange,
                               int64_t receive_ns)
{
    struct ntp_header next;

    ask(server, from, exchange, &plain, receive_ns);
    assert_int_equal(exchange->slot, NTP_SERVER_NO_SLOT); /* a stamp would be wasted */
    next = interleaved_after(&exchange->decoded.header);
    ask(server, from, exchange, &next, receive_ns);
    assert_int_equal(exchange->decoded.header.origin, 0xbbbb);
    assert_true(exchange->slot != NTP_SERVER_NO_SLOT);
}

static void an_interleaved_reply_has_the_stamp_of_the_one_before(void **state)
{
    struct ntp_server_config config = open_config();
    struct ntp_server *server = ntp_server_create(&config);
    struct exchange exchange = {0};
    const struct ntp_header *reply = &exchange.decoded.header;
    struct ntp_header next;

    (void)state;
    begin_interleaving(server, "10.0.0.1", &exchange, NOW_NS);
    ntp_server_sent(server, exchange.slot, NOW_NS + 12345);
    next = interleaved_after(reply);
    ask(server, "10.0.0.1", &exchange, &next, NOW_NS + NS_PER_S);
    assert_int_equal(reply->origin, 0xaaaa);
    assert_int_equal(ntp_to_utc_ns(reply->transmit, NOW_NS), NOW_NS + 12345);
    assert_in_range(ntp_to_utc_ns(reply->receive, NOW_NS), NOW_NS + NS_PER_S, NOW_NS + NS_PER_S + 1);

    /* The kernel gave no stamp: the one before sending serves. */
    next = interleaved_after(reply);
    ask(server, "10.0.0.1", &exchange, &next, NOW_NS + 2 * NS_PER_S);
    assert_int_equal(reply->origin, 0xaaaa);
    assert_int_equal(ntp_to_utc_ns(reply->transmit, NOW_NS), NOW_NS + NS_PER_S + 20000);
    assert_int_equal(counts_of(server).interleaved, 2);

    /* Another client cannot use it; nor one whose receive and transmit fields are the same. */
    next = interleaved_after(reply);
    ask(server, "10.0.0.2", &exchange, &next, NOW_NS + 3 * NS_PER_S);
    assert_int_equal(reply->origin, 0xbbbb);
    next.receive = next.transmit;
    ask(server, "10.0.0.1", &exchange, &next, NOW_NS + 3 * NS_PER_S);
    assert_int_equal(reply->origin, 0xbbbb);
    assert_int_equal(counts_of(server).interleaved, 2);
    ntp_server_destroy(server);
}

static void programs_behind_one_address_interleave_each(void **state)
{
    struct ntp_server_config config = open_config();
    struct ntp_server *server = ntp_server_create(&config);
    struct exchange exchange[4];
    uint64_t receive[4];

    (void)state;
    begin_interleaving(server, "10.0.0.1", &exchange[0], NOW_NS);
    /* At the same moment: their receive stamps still differ. */
    for (int i = 0; i < 4; i++) {
        ask(server, "10.0.0.1", &exchange[i], &plain, NOW_NS);
        receive[i] = exchange[i].decoded.header.receive;
        for (int earlier = 0; earlier < i; earlier++)
            assert_true(receive[earlier] != receive[i]);
        ntp_server_sent(server, exchange[i].slot, NOW_NS + 1000 * i);
    }
    for (int i = 0; i < 4; i++) {
        struct ntp_header next = interleaved_after(&exchange[i].decoded.header);

        ask(server, "10.0.0.1", &exchange[i], &next, NOW_NS + NS_PER_S + i);
        assert_int_equal(exchange[i].decoded.header.origin, 0xaaaa);
        assert_in_range(ntp_to_utc_ns(exchange[i].decoded.header.transmit, NOW_NS), NOW_NS + 1000 * i,
                        NOW_NS + 1000 * i + 1);
    }
    ntp_server_destroy(server);
}

static void a_late_stamp_of_another_exchange_is_ignored(void **state)
{
    struct ntp_server_config config = open_config();
    struct ntp_server *server;
    struct exchange first, exchange;
    struct ntp_header next;

    (void)state;
    config.clients = 8;
    server = ntp_server_create(&config);
    begin_interleaving(server, "10.0.0.1", &first, NOW_NS);
    for (int i = 1; i <= 4; i++)
        ask(server, "10.0.0.1", &exchange, &plain, NOW_NS + i * NS_PER_S);
    ntp_server_sent(server, first.slot, 1);
    next = interleaved_after(&exchange.decoded.header);
    ask(server, "10.0.0.1", &exchange, &next, NOW_NS + 9 * NS_PER_S);
    assert_int_equal(exchange.decoded.header.origin, 0xaaaa);
    assert_int_equal(ntp_to_utc_ns(exchange.decoded.header.transmit, NOW_NS), NOW_NS + 4 * NS_PER_S + 20000);
    ntp_server_sent(server, NTP_SERVER_NO_SLOT, 1);
    ntp_server_sent(server, 0x3fffff, 1);
    ntp_server_destroy(server);
}

static void the_table_forgets_who_asked_least_recently(void **state)
{
    struct ntp_server_config config = open_config();
    struct ntp_server *server;
    struct exchange regular, other, exchange;
    struct ntp_header next;
    char from[32];

    (void)state;
    config.clients = 8;
    server = ntp_server_create(&config);
    begin_interleaving(server, "10.0.0.1", &other, NOW_NS);
    begin_interleaving(server, "10.0.0.2", &regular, NOW_NS);
    for (int i = 0; i < 100; i++) {
        snprintf(from, sizeof from, "10.0.1.%d", i);
        ask(server, from, &exchange, &plain, NOW_NS + i);
        next = interleaved_after(&regular.decoded.header);
        ask(server, "10.0.0.2", &regular, &next, NOW_NS + i);
        assert_int_equal(regular.decoded.header.origin, 0xaaaa);
    }
    next = interleaved_after(&other.decoded.header);
    ask(server, "10.0.0.1", &other, &next, NOW_NS + NS_PER_S);
    assert_int_equal(other.decoded.header.origin, 0xbbbb);
    ntp_server_destroy(server);
}

/* ---- access and rate ---- */

static void the_longest_prefix_decides(void **state)
{
    static const struct {
        const char *address;
        uint8_t prefix;
        bool allow;
    } rules[] = {{"10.0.0.0", 8, true}, {"10.1.0.0", 16, false}, {"10.1.2.3", 32, true}, {"10.64.0.0", 10, false},
                 {"fd00::", 16, true},  {"fd00:1::", 32, false}, {"::", 0, false}};
    static const struct {
        const char *from;
        bool allowed;
    } cases[] = {{"10.0.0.1", true},    {"10.1.0.1", false},  {"10.1.2.3", true},  {"10.1.2.4", false},
                 {"10.127.0.1", false}, {"10.128.0.1", true}, {"11.0.0.1", false}, {"fd00::5", true},
                 {"fd00:1::5", false},  {"fe80::1", false}};
    struct ntp_server_config config = {.clients = 64};
    struct ntp_server *server;
    struct exchange exchange = {0};

    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        config.networks[config.network_count++] =
            (struct ntp_server_network){{address(rules[i].address), rules[i].prefix}, rules[i].allow};
    server = ntp_server_create(&config);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if ((ask(server, cases[i].from, &exchange, &plain, NOW_NS) > 0) != cases[i].allowed)
            fail_msg("%s", cases[i].from);
    }
    assert_int_equal(counts_of(server).denied, 6);
    ntp_server_destroy(server);

    config.network_count = 0; /* nobody */
    server = ntp_server_create(&config);
    assert_int_equal(ask(server, "10.0.0.1", &exchange, &plain, NOW_NS), 0);
    ntp_server_destroy(server);
}

static void wrong_configurations_are_refused(void **state)
{
    struct ntp_server_config config = open_config();

    (void)state;
    config.clients = 24;
    assert_null(ntp_server_create(&config));
    config.clients = 4;
    assert_null(ntp_server_create(&config));
    config.clients = 1 << 21;
    assert_null(ntp_server_create(&config));
    config = open_config();
    config.rate_interval_ms = 100;
    assert_null(ntp_server_create(&config));
    config = open_config();
    config.networks[0].network.prefix = 33;
    assert_null(ntp_server_create(&config));
    config = open_config();
    config.networks[1].network.prefix = 129;
    assert_null(ntp_server_create(&config));
}

static void who_asks_too_often_is_told_and_dropped(void **state)
{
    struct ntp_server_config config = open_config();
    struct ntp_server *server;
    struct exchange exchange = {0};
    unsigned kisses = 0, served = 0;

    (void)state;
    config.rate_interval_ms = 4000;
    config.rate_burst = 8;
    server = ntp_server_create(&config);
    for (int i = 0; i < 8; i++)
        assert_int_equal(ask(server, "10.0.0.1", &exchange, &plain, NOW_NS), NTP_HEADER_LEN);
    for (int i = 0; i < 16000; i++) {
        if (ask(server, "10.0.0.1", &exchange, &plain, NOW_NS + i) == 0)
            continue;
        if (exchange.decoded.header.stratum == 0) {
            assert_int_equal(exchange.decoded.header.reference_id, 0x52415445); /* RATE */
            assert_int_equal(exchange.decoded.header.leap, NTP_LEAP_UNSYNCHRONISED);
            assert_int_equal(exchange.decoded.header.origin, plain.transmit);
            assert_int_equal(exchange.slot, NTP_SERVER_NO_SLOT);
            kisses++;
        } else {
            served++;
        }
    }
    assert_int_equal(kisses, 1000);
    assert_in_range(served, 700, 1200); /* a sixteenth of the rest leaks */
    assert_int_equal(counts_of(server).kiss_rate, 1000);
    assert_int_equal(counts_of(server).rate_limited, 16000);

    /* Others are not concerned, and after the interval it may ask again. */
    assert_int_equal(ask(server, "10.0.0.2", &exchange, &plain, NOW_NS), NTP_HEADER_LEN);
    for (int i = 1; i < 100; i++) {
        assert_int_equal(ask(server, "10.0.0.1", &exchange, &plain, NOW_NS + i * 4 * NS_PER_S), NTP_HEADER_LEN);
        assert_int_equal(exchange.decoded.header.stratum, 2);
    }
    ntp_server_destroy(server);
}

static void a_kiss_asks_for_the_poll_that_is_allowed(void **state)
{
    struct ntp_server_config config = open_config();
    struct ntp_server *server;
    struct ntp_header quick = plain;
    struct exchange exchange = {0};

    (void)state;
    config.rate_interval_ms = 3000;
    config.rate_burst = 1;
    server = ntp_server_create(&config);
    quick.poll = -2;
    ask(server, "10.0.0.1", &exchange, &quick, NOW_NS);
    assert_int_equal(exchange.decoded.header.poll, -2);
    assert_int_equal(ask(server, "10.0.0.1", &exchange, &quick, NOW_NS), NTP_HEADER_LEN);
    assert_int_equal(exchange.decoded.header.stratum, 0);
    assert_int_equal(exchange.decoded.header.poll, 2);
    /* The clock going back does not lock anybody out for long. */
    ask(server, "10.0.0.1", &exchange, &quick, NOW_NS - 3600 * NS_PER_S);
    assert_int_equal(ask(server, "10.0.0.1", &exchange, &quick, NOW_NS - 3590 * NS_PER_S), NTP_HEADER_LEN);
    assert_int_equal(exchange.decoded.header.stratum, 2);
    ntp_server_destroy(server);
}

/* ---- symmetric keys ---- */

static struct ntp_keys *some_keys(void)
{
    static const char text[] = "1 SHA1 one\n2 AES128 HEX:000102030405060708090a0b0c0d0e0f\n3 SHA512 three\n";
    struct ntp_keys *keys;
    char problem[NTP_KEYS_PROBLEM_MAX];

    assert_int_equal(ntp_keys_parse("keys", text, sizeof text - 1, &keys, problem), 0);
    return keys;
}

static void a_reply_has_the_key_of_its_request(void **state)
{
    struct ntp_server_config config = open_config();
    struct ntp_keys *keys = some_keys();
    struct ntp_server *server;
    struct exchange exchange = {0};
    size_t length;
    uint32_t id;

    (void)state;
    config.keys = keys;
    server = ntp_server_create(&config);
    for (uint32_t key = 1; key <= 3; key++) {
        ntp_encode(&plain, exchange.request);
        length = ntp_keys_seal(keys, key, exchange.request, NTP_HEADER_LEN, NTP_PACKET_MAX);
        assert_int_equal(send_bytes(server, "10.0.0.1", &exchange, length, NOW_NS), length);
        assert_int_equal(exchange.decoded.header.stratum, 2);
        assert_int_equal(
            ntp_keys_check(keys, exchange.reply, exchange.decoded.mac_offset, exchange.decoded.mac_length, &id), 0);
        assert_int_equal(id, key);
    }
    assert_int_equal(counts_of(server).keys, 3);
    /* Without a key, without a MAC. */
    assert_int_equal(ask(server, "10.0.0.1", &exchange, &plain, NOW_NS), NTP_HEADER_LEN);
    ntp_server_destroy(server);
    ntp_keys_destroy(keys);
}

static void a_wrong_key_gets_a_crypto_nak_and_no_time(void **state)
{
    struct ntp_server_config config = open_config();
    struct ntp_keys *keys = some_keys();
    struct ntp_server *server;
    struct exchange exchange = {0};
    size_t length;

    (void)state;
    for (int with_keys = 0; with_keys < 2; with_keys++) {
        config.keys = with_keys ? keys : NULL;
        server = ntp_server_create(&config);
        ntp_encode(&plain, exchange.request);
        length = ntp_keys_seal(keys, 1, exchange.request, NTP_HEADER_LEN, NTP_PACKET_MAX);
        exchange.request[NTP_HEADER_LEN - 1] ^= 1;
        assert_int_equal(send_bytes(server, "10.0.0.1", &exchange, length, NOW_NS), NTP_HEADER_LEN + 4);
        assert_int_equal(exchange.decoded.mac_length, NTP_CRYPTO_NAK_LEN);
        assert_memory_equal(exchange.reply + NTP_HEADER_LEN, "\0\0\0\0", 4);
        assert_int_equal(exchange.decoded.header.stratum, 0);
        assert_int_equal(exchange.decoded.header.transmit, 0);
        assert_int_equal(counts_of(server).not_authentic, 1);
        ntp_server_destroy(server);
    }
    ntp_keys_destroy(keys);
}

/* ---- NTS ---- */

struct nts_rig {
    struct nts_cookies *cookies;
    struct nts_keys keys;
    struct ntp_server *server;
};

static void nts_begin(struct nts_rig *rig)
{
    struct ntp_server_config config = open_config();
    char problem[NTS_COOKIES_PROBLEM_MAX];

    assert_int_equal(nts_cookies_create(NULL, 3600 * NS_PER_S, 0, 0, &rig->cookies, problem), 0);
    memset(rig->keys.c2s, 0x11, NTS_KEY_LENGTH);
    memset(rig->keys.s2c, 0x22, NTS_KEY_LENGTH);
    config.nts = rig->cookies;
    rig->server = ntp_server_create(&config);
}

static void nts_end(struct nts_rig *rig)
{
    ntp_server_destroy(rig->server);
    nts_cookies_destroy(rig->cookies);
}

static const uint8_t unique_id[NTS_UNIQUE_ID_LENGTH] = "an identifier that is never used";

static size_t nts_request(struct nts_rig *rig, uint8_t *request, unsigned placeholders)
{
    uint8_t cookie[NTS_COOKIE_LENGTH], nonce[NTS_NONCE_LENGTH] = {1};
    size_t length = NTP_HEADER_LEN;

    ntp_encode(&plain, request);
    nts_cookies_make(rig->cookies, &rig->keys, cookie);
    length = ntp_append_field(request, length, NTP_PACKET_MAX, NTS_FIELD_UNIQUE_ID, unique_id, sizeof unique_id);
    length = ntp_append_field(request, length, NTP_PACKET_MAX, NTS_FIELD_COOKIE, cookie, sizeof cookie);
    memset(cookie, 0, sizeof cookie);
    for (unsigned i = 0; i < placeholders; i++)
        length = ntp_append_field(request, length, NTP_PACKET_MAX, NTS_FIELD_PLACEHOLDER, cookie, sizeof cookie);
    return nts_fields_seal(rig->keys.c2s, nonce, request, length, NTP_PACKET_MAX, NULL, 0);
}

static void an_nts_reply_brings_as_many_cookies_as_asked_for(void **state)
{
    struct nts_rig rig;
    struct exchange exchange = {0};

    (void)state;
    nts_begin(&rig);
    for (unsigned wanted = 1; wanted <= NTS_COOKIES_MAX; wanted++) {
        size_t length = nts_request(&rig, exchange.request, wanted - 1), plain_length, offset = 0;
        uint8_t hidden[NTP_PACKET_MAX];
        struct ntp_field field;
        struct nts_keys keys;
        unsigned count = 0;

        assert_int_equal(send_bytes(rig.server, "10.0.0.1", &exchange, length, NOW_NS), length);
        assert_int_equal(exchange.decoded.header.stratum, 2);
        assert_memory_equal(exchange.reply + nts_field_find(&exchange.decoded, NTS_FIELD_UNIQUE_ID)->offset, unique_id,
                            sizeof unique_id);
        assert_int_equal(nts_fields_open(rig.keys.s2c, exchange.reply, &exchange.decoded, hidden, &plain_length), 0);
        while (nts_fields_next(hidden, plain_length, &offset, &field) > 0) {
            assert_int_equal(field.type, NTS_FIELD_COOKIE);
            assert_int_equal(nts_cookies_open(rig.cookies, hidden + field.offset, field.length, &keys), 0);
            assert_memory_equal(&keys, &rig.keys, sizeof keys);
            count++;
        }
        assert_int_equal(count, wanted);
    }
    assert_int_equal(counts_of(rig.server).nts, NTS_COOKIES_MAX);
    nts_end(&rig);
}

static void any_changed_bit_of_an_nts_request_is_refused(void **state)
{
    struct nts_rig rig;
    struct exchange exchange = {0};
    size_t length;
    unsigned naks = 0;

    (void)state;
    nts_begin(&rig);
    length = nts_request(&rig, exchange.request, 1);
    for (size_t bit = 8; bit < length * 8; bit++) {
        exchange.request[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (send_bytes(rig.server, "10.0.0.1", &exchange, length, NOW_NS) > 0 &&
            nts_field_find(&exchange.decoded, NTS_FIELD_AUTHENTICATOR))
            fail_msg("bit %zu", bit);
        if (exchange.length > 0 && exchange.decoded.header.reference_id == NTS_KISS_NAK) {
            assert_int_equal(exchange.decoded.header.stratum, 0);
            assert_memory_equal(exchange.reply + 24, exchange.request + 40, 8); /* origin */
            assert_int_equal(exchange.decoded.field_count, 1);
            naks++;
        }
        exchange.request[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(naks > length * 6);
    nts_end(&rig);
}

static void cookies_of_another_server_get_a_nak(void **state)
{
    struct nts_rig rig, other;
    struct exchange exchange = {0};
    size_t length;

    (void)state;
    nts_begin(&rig);
    nts_begin(&other);
    length = nts_request(&other, exchange.request, 7);
    assert_int_equal(send_bytes(rig.server, "10.0.0.1", &exchange, length, NOW_NS), NTP_HEADER_LEN + 36);
    assert_int_equal(exchange.decoded.header.reference_id, NTS_KISS_NAK);
    assert_int_equal(exchange.decoded.header.origin, plain.transmit);
    assert_int_equal(exchange.decoded.header.transmit, 0);
    nts_end(&rig);
    nts_end(&other);
}

static void half_an_nts_request_gets_nothing(void **state)
{
    struct nts_rig rig;
    struct exchange exchange = {0};
    uint8_t cookie[NTS_COOKIE_LENGTH], nonce[NTS_NONCE_LENGTH] = {1};
    size_t length;

    (void)state;
    nts_begin(&rig);
    nts_cookies_make(rig.cookies, &rig.keys, cookie);
    ntp_encode(&plain, exchange.request);
    /* Without an authenticator. */
    length =
        ntp_append_field(exchange.request, NTP_HEADER_LEN, NTP_PACKET_MAX, NTS_FIELD_COOKIE, cookie, sizeof cookie);
    assert_int_equal(send_bytes(rig.server, "10.0.0.1", &exchange, length, NOW_NS), 0);
    /* Without an identifier. */
    length = nts_fields_seal(rig.keys.c2s, nonce, exchange.request, length, NTP_PACKET_MAX, NULL, 0);
    assert_int_equal(send_bytes(rig.server, "10.0.0.1", &exchange, length, NOW_NS), 0);
    /* With the cookie behind the authenticator. */
    length = ntp_append_field(exchange.request, NTP_HEADER_LEN, NTP_PACKET_MAX, NTS_FIELD_UNIQUE_ID, unique_id, 32);
    length = nts_fields_seal(rig.keys.c2s, nonce, exchange.request, length, NTP_PACKET_MAX, NULL, 0);
    length = ntp_append_field(exchange.request, length, NTP_PACKET_MAX, NTS_FIELD_COOKIE, cookie, sizeof cookie);
    assert_int_equal(send_bytes(rig.server, "10.0.0.1", &exchange, length, NOW_NS), 0);
    /* With a short identifier. */
    length = ntp_append_field(exchange.request, NTP_HEADER_LEN, NTP_PACKET_MAX, NTS_FIELD_UNIQUE_ID, unique_id, 28);
    length = ntp_append_field(exchange.request, length, NTP_PACKET_MAX, NTS_FIELD_COOKIE, cookie, sizeof cookie);
    length = nts_fields_seal(rig.keys.c2s, nonce, exchange.request, length, NTP_PACKET_MAX, NULL, 0);
    assert_int_equal(send_bytes(rig.server, "10.0.0.1", &exchange, length, NOW_NS), 0);
    nts_end(&rig);
}

/* A request with fields of these sizes; hidden: bytes in the authenticator. */
static size_t sized_request(struct nts_rig *rig, uint8_t *request, size_t id, size_t cookie_length, size_t hidden)
{
    uint8_t cookie[400] = {0}, nonce[NTS_NONCE_LENGTH] = {1}, bytes[1000] = {7};
    size_t length = NTP_HEADER_LEN;

    ntp_encode(&plain, request);
    nts_cookies_make(rig->cookies, &rig->keys, cookie);
    length = ntp_append_field(request, length, NTP_PACKET_MAX, NTS_FIELD_UNIQUE_ID, bytes, id);
    length = ntp_append_field(request, length, NTP_PACKET_MAX, NTS_FIELD_COOKIE, cookie, cookie_length);
    return nts_fields_seal(rig->keys.c2s, nonce, request, length, NTP_PACKET_MAX, bytes, hidden);
}

static void long_fields_are_taken_or_refused_but_never_overrun(void **state)
{
    struct nts_rig rig;
    struct exchange exchange = {0};
    size_t length;

    (void)state;
    nts_begin(&rig);
    length = sized_request(&rig, exchange.request, 960, NTS_COOKIE_LENGTH, 0);
    assert_true(length > 1100);
    assert_int_equal(send_bytes(rig.server, "10.0.0.1", &exchange, length, NOW_NS), length);
    assert_int_equal(nts_field_find(&exchange.decoded, NTS_FIELD_UNIQUE_ID)->length, 960);
    /* What a request hides is not known here, and the reply is no longer for it. */
    length = sized_request(&rig, exchange.request, 32, NTS_COOKIE_LENGTH, 900);
    assert_int_equal(send_bytes(rig.server, "10.0.0.1", &exchange, length, NOW_NS), length - 900);
    /* Cookies that are not from here. */
    length = sized_request(&rig, exchange.request, 32, 400, 0);
    assert_true(send_bytes(rig.server, "10.0.0.1", &exchange, length, NOW_NS) > 0);
    assert_int_equal(exchange.decoded.header.reference_id, NTS_KISS_NAK);
    /* More fields than a packet may have. */
    ntp_encode(&plain, exchange.request);
    length = NTP_HEADER_LEN;
    while (length + 16 <= 600)
        length = ntp_append_field(exchange.request, length, NTP_PACKET_MAX, NTS_FIELD_PLACEHOLDER, "", 0);
    assert_int_equal(send_bytes(rig.server, "10.0.0.1", &exchange, length, NOW_NS), 0);
    nts_end(&rig);
}

/* ---- anything ---- */

static void no_mutation_makes_a_reply_longer_than_its_request(void **state)
{
    struct nts_rig rig;
    struct exchange exchange = {0};
    unsigned seed = 1;

    (void)state;
    nts_begin(&rig);
    for (int round = 0; round < 20000; round++) {
        size_t length = nts_request(&rig, exchange.request, (unsigned)round % 8);

        for (int i = 0; i < 1 + round % 4; i++)
            exchange.request[(size_t)rand_r(&seed) % length] = (uint8_t)rand_r(&seed);
        exchange.request[0] = 0x23;
        send_bytes(rig.server, "10.0.0.1", &exchange, (size_t)rand_r(&seed) % (length + 1), NOW_NS); /* asserts */
    }
    nts_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_basic_reply_tells_clock_and_stamps),
        cmocka_unit_test(a_clock_without_time_says_so),
        cmocka_unit_test(other_modes_versions_and_lengths_get_nothing),
        cmocka_unit_test(unknown_fields_are_ignored),
        cmocka_unit_test(an_interleaved_reply_has_the_stamp_of_the_one_before),
        cmocka_unit_test(programs_behind_one_address_interleave_each),
        cmocka_unit_test(a_late_stamp_of_another_exchange_is_ignored),
        cmocka_unit_test(the_table_forgets_who_asked_least_recently),
        cmocka_unit_test(the_longest_prefix_decides),
        cmocka_unit_test(wrong_configurations_are_refused),
        cmocka_unit_test(who_asks_too_often_is_told_and_dropped),
        cmocka_unit_test(a_kiss_asks_for_the_poll_that_is_allowed),
        cmocka_unit_test(a_reply_has_the_key_of_its_request),
        cmocka_unit_test(a_wrong_key_gets_a_crypto_nak_and_no_time),
        cmocka_unit_test(an_nts_reply_brings_as_many_cookies_as_asked_for),
        cmocka_unit_test(any_changed_bit_of_an_nts_request_is_refused),
        cmocka_unit_test(cookies_of_another_server_get_a_nak),
        cmocka_unit_test(half_an_nts_request_gets_nothing),
        cmocka_unit_test(long_fields_are_taken_or_refused_but_never_overrun),
        cmocka_unit_test(no_mutation_makes_a_reply_longer_than_its_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
