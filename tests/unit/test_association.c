/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "clock/association.h"
#include "tests/unit/unit.h"

#define NS_PER_S 1000000000ll
#define UTC      (1795000000 * NS_PER_S)
#define ERROR_NS 300

/* An association with a clock of its own; the counter counts ns. */
struct rig {
    struct association *association;
    int64_t now_ns;
    uint64_t random;
    uint8_t request[NTP_PACKET_MAX];
    struct ntp_header asked;
    uint64_t ticket;
    struct association_sample sample;
};

static struct rig rig_new(const struct association_config *config)
{
    struct rig rig = {.now_ns = 100 * NS_PER_S, .random = 1};

    rig.association = association_create(config, rig.now_ns);
    assert_non_null(rig.association);
    return rig;
}

static struct association_status status_of(const struct rig *rig)
{
    struct association_status status;

    association_get(rig->association, &status);
    return status;
}

/* Lets time pass until the next request, and takes it. */
static size_t ask(struct rig *rig)
{
    uint8_t random[24];
    struct ntp_packet decoded;
    size_t length;

    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)((rig->random = rig->random * 6364136223846793005u + 1442695040888963407u) >> 56);
    if (association_deadline(rig->association) > rig->now_ns)
        rig->now_ns = association_deadline(rig->association);
    length = association_request(rig->association, rig->now_ns, random, rig->request, &rig->ticket);
    if (length > 0) {
        assert_int_equal(ntp_decode(rig->request, length, &decoded), 0);
        rig->asked = decoded.header;
        assert_true(rig->ticket == rig->asked.transmit);
        association_sent(rig->association, rig->ticket, (uint64_t)rig->now_ns, (uint64_t)rig->now_ns + 4000, 1);
    }
    return length;
}

static enum association_event stamp(struct rig *rig)
{
    return association_stamped(rig->association, rig->ticket, (uint64_t)rig->now_ns + 2000, ERROR_NS, &rig->sample);
}

/* A good reply: 100 us away, 20 us in the server, whose counter is UTC. */
static struct ntp_header good_reply(const struct rig *rig)
{
    return (struct ntp_header){
        .version = 4,
        .mode = NTP_MODE_SERVER,
        .stratum = 2,
        .reference_id = 0x0a000001,
        .root_delay = 0x100,
        .root_dispersion = 0x80,
        .origin = rig->asked.transmit,
        .receive = ntp_from_utc_ns(UTC + rig->now_ns + 100000),
        .transmit = ntp_from_utc_ns(UTC + rig->now_ns + 120000),
    };
}

static enum association_event receive_as(struct rig *rig, const struct ntp_header *reply, unsigned ttl)
{
    uint8_t packet[NTP_HEADER_LEN];

    ntp_encode(reply, packet);
    return association_received(rig->association, rig->now_ns, UTC, packet, sizeof packet,
                                (uint64_t)rig->now_ns + 220000, ERROR_NS, ttl, &rig->sample);
}

static enum association_event receive(struct rig *rig, const struct ntp_header *reply)
{
    return receive_as(rig, reply, 0);
}

static void exchange(struct rig *rig)
{
    struct ntp_header reply;

    assert_int_equal(ask(rig), NTP_HEADER_LEN);
    stamp(rig);
    reply = good_reply(rig);
    assert_int_equal(receive(rig, &reply), ASSOCIATION_SAMPLE);
}

static const struct association_config plain = {.poll_min_log2 = 4, .poll_max_log2 = 4};
static const struct association_config bursting = {.poll_min_log2 = 4, .poll_max_log2 = 4, .burst = true};

static void requests_say_nothing_of_the_client(void **state)
{
    struct rig rig = rig_new(&plain);
    uint8_t expected[NTP_HEADER_LEN] = {4 << 3 | 3, 0, 0, 32};
    uint64_t before = 0;

    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(ask(&rig), NTP_HEADER_LEN);
        assert_memory_equal(rig.request, expected, 40);
        assert_true(rig.ticket != before && rig.ticket != 0);
        before = rig.ticket;
    }
    association_destroy(rig.association);
}

static void gives_the_four_stamps(void **state)
{
    struct rig rig = rig_new(&plain);
    struct ntp_header reply;

    (void)state;
    for (int stamp_first = 0; stamp_first < 2; stamp_first++) {
        assert_int_equal(ask(&rig), NTP_HEADER_LEN);
        reply = good_reply(&rig);
        if (stamp_first) {
            assert_int_equal(stamp(&rig), ASSOCIATION_NOTHING);
            assert_int_equal(receive(&rig, &reply), ASSOCIATION_SAMPLE);
        } else {
            assert_int_equal(receive(&rig, &reply), ASSOCIATION_NOTHING);
            assert_true(association_deadline(rig.association) == rig.now_ns + CORE_STAMP_WAIT_NS);
            assert_int_equal(stamp(&rig), ASSOCIATION_SAMPLE);
        }
        assert_true(rig.sample.ta == (uint64_t)rig.now_ns + 2000);
        assert_true(rig.sample.tf == (uint64_t)rig.now_ns + 220000);
        assert_true(rig.sample.tb_utc_ns == UTC + rig.now_ns + 100000);
        assert_true(rig.sample.te_utc_ns == UTC + rig.now_ns + 120000);
        assert_int_equal(rig.sample.error_ns, ERROR_NS);
        assert_false(rig.sample.interleaved);
        assert_int_equal(stamp(&rig), ASSOCIATION_NOTHING); /* once */
        assert_int_equal(association_expire(rig.association, rig.now_ns + NS_PER_S, &rig.sample), ASSOCIATION_NOTHING);
    }
    assert_int_equal(status_of(&rig).used, 2);
    assert_int_equal(status_of(&rig).reach, 3);
    association_destroy(rig.association);
}

static void sending_stands_in_for_a_missing_stamp(void **state)
{
    struct rig rig = rig_new(&plain);
    struct ntp_header reply;

    (void)state;
    ask(&rig);
    reply = good_reply(&rig);
    assert_int_equal(receive(&rig, &reply), ASSOCIATION_NOTHING);
    assert_int_equal(association_expire(rig.association, rig.now_ns + CORE_STAMP_WAIT_NS - 1, &rig.sample),
                     ASSOCIATION_NOTHING);
    assert_int_equal(association_expire(rig.association, rig.now_ns + CORE_STAMP_WAIT_NS, &rig.sample),
                     ASSOCIATION_SAMPLE);
    assert_true(rig.sample.ta == (uint64_t)rig.now_ns + 2000);
    assert_int_equal(rig.sample.error_ns, 2000);
    assert_int_equal(status_of(&rig).unstamped, 1);
    /* Held up while sending: known too badly. */
    ask(&rig);
    association_sent(rig.association, rig.ticket, (uint64_t)(rig.now_ns - NS_PER_S), (uint64_t)rig.now_ns, 1);
    reply = good_reply(&rig);
    assert_int_equal(receive(&rig, &reply), ASSOCIATION_NOTHING);
    assert_int_equal(association_expire(rig.association, rig.now_ns + NS_PER_S, &rig.sample), ASSOCIATION_NOTHING);
    assert_int_equal(status_of(&rig).dropped[DROP_NO_STAMP], 1);
    association_destroy(rig.association);
}

static void drops_what_is_wrong(void **state)
{
    static const enum core_drop reasons[] = {DROP_MODE,     DROP_VERSION,  DROP_ORIGIN,         DROP_ORIGIN,
                                             DROP_ZERO,     DROP_ZERO,     DROP_UNSYNCHRONISED, DROP_STRATUM,
                                             DROP_DISTANCE, DROP_DISTANCE, DROP_ROUND_TRIP,     DROP_KISS};
    struct rig rig = rig_new(&plain);

    (void)state;
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        struct association_status before;
        struct ntp_header reply;

        ask(&rig);
        stamp(&rig);
        reply = good_reply(&rig);
        before = status_of(&rig);
        if (i == 0)
            reply.mode = NTP_MODE_CLIENT;
        else if (i == 1)
            reply.version = 3;
        else if (i == 2)
            reply.origin ^= 1;
        else if (i == 3)
            reply.origin = 0;
        else if (i == 4)
            reply.receive = 0;
        else if (i == 5)
            reply.transmit = 0;
        else if (i == 6)
            reply.leap = NTP_LEAP_UNSYNCHRONISED;
        else if (i == 7)
            reply.stratum = 16;
        else if (i == 8)
            reply.root_dispersion = 0x18001;
        else if (i == 9)
            reply.root_delay = 0x30001;
        else if (i == 10)
            reply.transmit = reply.receive - 1000;
        else
            reply.stratum = 0;
        assert_int_equal(receive(&rig, &reply), ASSOCIATION_NOTHING);
        assert_int_equal(status_of(&rig).dropped[reasons[i]], before.dropped[reasons[i]] + 1);
        assert_int_equal(status_of(&rig).used, 0);
        assert_int_equal(status_of(&rig).reach & 1, reasons[i] == DROP_ROUND_TRIP);
        if (reasons[i] <= DROP_ORIGIN) { /* the request still waits for its answer, but is not needed here */
            reply = good_reply(&rig);
            assert_int_equal(receive(&rig, &reply), ASSOCIATION_SAMPLE);
            association_destroy(rig.association);
            rig = rig_new(&plain);
        }
    }
    association_destroy(rig.association);
}

static void drops_malformed_late_and_repeated_ones(void **state)
{
    struct rig rig = rig_new(&plain);
    struct ntp_header first, reply;

    (void)state;
    assert_int_equal(
        association_received(rig.association, rig.now_ns, UTC, (const uint8_t *)"\x24", 1, 5, 0, 0, &rig.sample),
        ASSOCIATION_NOTHING);
    assert_int_equal(status_of(&rig).dropped[DROP_MALFORMED], 1);
    exchange(&rig);
    first = good_reply(&rig);
    assert_int_equal(receive(&rig, &first), ASSOCIATION_NOTHING);
    assert_int_equal(status_of(&rig).dropped[DROP_DUPLICATE], 1);
    /* A replay with the origin of the present request, which an observer of it could make. */
    ask(&rig);
    stamp(&rig);
    first.origin = rig.asked.transmit;
    assert_int_equal(receive(&rig, &first), ASSOCIATION_NOTHING);
    assert_int_equal(status_of(&rig).dropped[DROP_DUPLICATE], 2);
    ask(&rig);
    stamp(&rig);
    reply = good_reply(&rig);
    rig.now_ns += 5 * NS_PER_S;
    assert_int_equal(receive(&rig, &reply), ASSOCIATION_NOTHING);
    assert_int_equal(status_of(&rig).dropped[DROP_LATE], 1);
    for (int i = 0; i < 9; i++)
        exchange(&rig);
    assert_int_equal(receive(&rig, &reply), ASSOCIATION_NOTHING);
    assert_int_equal(status_of(&rig).dropped[DROP_ORIGIN], 1);
    association_destroy(rig.association);
}

static void kisses_count_only_from_the_server(void **state)
{
    struct association_config config = {.poll_min_log2 = 4, .poll_max_log2 = 10, .burst = true};
    struct rig rig = rig_new(&config);
    struct ntp_header kiss;
    int64_t asked_ns;

    (void)state;
    ask(&rig);
    kiss = good_reply(&rig);
    kiss.stratum = 0;
    kiss.reference_id = 0x44454e59; /* DENY */
    kiss.origin++;
    assert_int_equal(receive(&rig, &kiss), ASSOCIATION_NOTHING);
    assert_false(status_of(&rig).stopped);
    kiss.origin--;
    kiss.reference_id = 0x52415445; /* RATE */
    asked_ns = rig.now_ns;
    assert_int_equal(receive(&rig, &kiss), ASSOCIATION_SLOWED);
    assert_int_equal(status_of(&rig).poll_log2, 5);
    assert_false(status_of(&rig).bursting);
    assert_true(association_deadline(rig.association) >= asked_ns + 30 * NS_PER_S);
    ask(&rig);
    kiss.origin = rig.asked.transmit;
    kiss.poll = 30;
    assert_int_equal(receive(&rig, &kiss), ASSOCIATION_SLOWED);
    assert_int_equal(status_of(&rig).poll_log2, 10);
    ask(&rig);
    kiss.origin = rig.asked.transmit;
    kiss.reference_id = 0x52535452; /* RSTR */
    assert_int_equal(receive(&rig, &kiss), ASSOCIATION_STOPPED);
    assert_true(association_deadline(rig.association) == INT64_MAX);
    assert_int_equal(status_of(&rig).dropped[DROP_KISS], 3);
    association_destroy(rig.association);
}

static void bursts_at_the_start_and_after_silence(void **state)
{
    struct rig rig = rig_new(&bursting);
    int64_t start_ns = rig.now_ns;

    (void)state;
    for (int i = 0; i < 8; i++) {
        assert_int_equal(status_of(&rig).bursting, true);
        exchange(&rig);
    }
    assert_true(rig.now_ns - start_ns < 2 * NS_PER_S);
    assert_int_equal(status_of(&rig).bursting, false);
    /* Then ever more slowly: 1/2, 1/2, 1, 2, 4, 8, 16, 16 seconds. */
    for (int i = 0; i < 8; i++) {
        int64_t interval_ns = NS_PER_S / 2 << (i == 0 ? 0 : i > 6 ? 5 : i - 1);

        start_ns = rig.now_ns;
        exchange(&rig);
        assert_true(rig.now_ns - start_ns > interval_ns * 15 / 16 && rig.now_ns - start_ns <= interval_ns);
    }
    for (int i = 0; i < 200; i++) {
        assert_int_equal(ask(&rig), NTP_HEADER_LEN);
        start_ns = rig.now_ns;
    }
    assert_int_equal(status_of(&rig).reach, 0);
    assert_true(association_deadline(rig.association) - start_ns <= 64 * NS_PER_S); /* and not less often */
    assert_true(association_deadline(rig.association) - start_ns > 60 * NS_PER_S);
    exchange(&rig);
    assert_int_equal(status_of(&rig).bursting, true);
    start_ns = rig.now_ns;
    for (int i = 0; i < 7; i++)
        exchange(&rig);
    assert_true(rig.now_ns - start_ns < 2 * NS_PER_S);
    association_destroy(rig.association);
}

static void a_burst_into_silence_ends(void **state)
{
    struct rig rig = rig_new(&bursting);
    int64_t start_ns = rig.now_ns;

    (void)state;
    for (int i = 0; i < 20; i++)
        ask(&rig);
    assert_true(rig.now_ns - start_ns > 30 * NS_PER_S);
    assert_false(status_of(&rig).bursting);
    exchange(&rig); /* it was only late: the burst is made up for */
    assert_true(status_of(&rig).bursting);
    association_destroy(rig.association);
}

static void refused_ports_are_given_up_sooner(void **state)
{
    struct rig rig = rig_new(&plain);

    (void)state;
    exchange(&rig);
    association_unreachable(rig.association); /* nothing was asked: forged */
    for (int i = 0; i < 3; i++) {
        assert_int_not_equal(status_of(&rig).reach, 0);
        ask(&rig);
        association_unreachable(rig.association);
    }
    assert_int_equal(status_of(&rig).reach, 0);
    association_destroy(rig.association);
}

static void poll_adapts(void **state)
{
    struct association_config config = {.poll_min_log2 = 0, .poll_max_log2 = 3};
    struct rig rig = rig_new(&config);
    int64_t before_ns;

    (void)state;
    for (int i = 0; i < 96; i++) {
        exchange(&rig);
        association_feedback(rig.association, &(struct association_feedback){.quiet = true});
        if (i == 7)
            assert_int_equal(status_of(&rig).poll_log2, 1);
    }
    assert_int_equal(status_of(&rig).poll_log2, 3);
    before_ns = rig.now_ns;
    association_feedback(rig.association, &(struct association_feedback){.surprise = true});
    assert_true(association_deadline(rig.association) <= before_ns + NS_PER_S); /* looks again */
    assert_int_equal(status_of(&rig).poll_log2, 3);
    association_feedback(rig.association, &(struct association_feedback){.surprise = true});
    assert_int_equal(status_of(&rig).poll_log2, 2);
    for (int i = 0; i < 100; i++)
        association_feedback(rig.association, &(struct association_feedback){.quiet = i % 2});
    assert_int_equal(status_of(&rig).poll_log2, 2);
    association_feedback(rig.association, &(struct association_feedback){.restart = true});
    assert_int_equal(status_of(&rig).poll_log2, 0);
    association_destroy(rig.association);
}

static void notices_another_path(void **state)
{
    struct rig rig = rig_new(&plain);
    struct ntp_header reply = {0};

    (void)state;
    for (int i = 0; i < 8; i++) {
        ask(&rig);
        stamp(&rig);
        reply = good_reply(&rig);
        reply.stratum = i >= 2 ? 3 : 2;
        reply.reference_id = i >= 4 ? 7 : 6;
        assert_int_equal(receive_as(&rig, &reply, i >= 6 ? 63 : 64), ASSOCIATION_SAMPLE);
        assert_int_equal(rig.sample.suspect_path, i == 2 || i == 4 || i == 6);
    }
    association_destroy(rig.association);
}

/* ---- interleaved ---- */

/* A reply that tells when the previous one left. */
static struct ntp_header interleaved_reply(const struct rig *rig, uint64_t left)
{
    struct ntp_header reply = good_reply(rig);

    reply.origin = rig->asked.receive;
    reply.transmit = left;
    return reply;
}

static const struct association_config interleaving = {.poll_min_log2 = 0, .poll_max_log2 = 0, .interleaved = true};

static void interleaved_exchanges(void **state)
{
    struct rig rig = rig_new(&interleaving);
    struct ntp_header reply, previous = {0};
    int64_t previous_ns = 0;

    (void)state;
    for (int i = 0; i < 20; i++) {
        ask(&rig);
        stamp(&rig);
        assert_true(rig.asked.origin == previous.receive);
        assert_int_equal(rig.asked.receive != 0, i > 0);
        assert_true(rig.asked.receive != rig.asked.transmit);
        if (i == 0) {
            previous = good_reply(&rig);
            assert_int_equal(receive(&rig, &previous), ASSOCIATION_SAMPLE);
        } else {
            reply = interleaved_reply(&rig, ntp_from_utc_ns(UTC + previous_ns + 125000));
            assert_int_equal(receive(&rig, &reply), i == 1 ? ASSOCIATION_NOTHING : ASSOCIATION_SAMPLE);
            assert_int_equal(receive(&rig, &reply), ASSOCIATION_NOTHING);
            previous = reply;
        }
        if (i > 1) {
            assert_true(rig.sample.interleaved);
            assert_true(rig.sample.ta == (uint64_t)previous_ns + 2000);
            assert_true(rig.sample.te_utc_ns == UTC + previous_ns + 125000);
        }
        previous_ns = rig.now_ns;
    }
    assert_true(status_of(&rig).interleaved);
    association_destroy(rig.association);
}

/* The next request, and a reply to it that tells when the one to the request at answered_ns left; 0: a basic reply. */
static enum association_event next_exchange(struct rig *rig, int64_t answered_ns)
{
    struct ntp_header reply;

    ask(rig);
    stamp(rig);
    reply = answered_ns ? interleaved_reply(rig, ntp_from_utc_ns(UTC + answered_ns + 125000)) : good_reply(rig);
    return receive(rig, &reply);
}

static void interleaving_survives_losses_and_falls_back(void **state)
{
    struct rig rig = rig_new(&interleaving);
    int64_t answered_ns = 0;

    (void)state;
    for (int i = 0; i < 6; i++) {
        next_exchange(&rig, answered_ns);
        answered_ns = rig.now_ns;
    }
    for (int i = 0; i < 20; i++) /* far more than are remembered, but for the one that matters */
        ask(&rig);
    assert_int_equal(next_exchange(&rig, answered_ns), ASSOCIATION_SAMPLE);
    assert_true(rig.sample.ta == (uint64_t)answered_ns + 2000);
    /* One basic reply: its stamp is not taken, the next one brings a better. */
    assert_int_equal(next_exchange(&rig, 0), ASSOCIATION_NOTHING);
    answered_ns = rig.now_ns;
    assert_int_equal(next_exchange(&rig, answered_ns), ASSOCIATION_SAMPLE);
    assert_true(rig.sample.ta == (uint64_t)answered_ns + 2000);
    /* Two: the server does not follow any more. */
    assert_int_equal(next_exchange(&rig, 0), ASSOCIATION_NOTHING);
    assert_int_equal(next_exchange(&rig, 0), ASSOCIATION_SAMPLE);
    assert_false(status_of(&rig).interleaved);
    association_destroy(rig.association);
}

static void interleaved_pairs_at_long_polls(void **state)
{
    struct association_config config = {.poll_min_log2 = 5, .poll_max_log2 = 5, .interleaved = true};
    struct rig rig = rig_new(&config);
    int64_t answered_ns = 0;

    (void)state;
    for (int i = 0; i < 20; i++) {
        int64_t before_ns = rig.now_ns;

        next_exchange(&rig, answered_ns);
        if (i > 2)
            assert_int_equal(rig.now_ns - before_ns < NS_PER_S, i % 2 == 0);
        answered_ns = rig.now_ns;
    }
    assert_int_equal(status_of(&rig).reach, 0xff);
    assert_int_equal(status_of(&rig).sent, 20);
    association_destroy(rig.association);
}

/* ---- authentication ---- */

struct fake_auth {
    struct ntp_auth base;
    bool ready, full;
    int verdict;
    unsigned sealed, checked, *destroyed;
};

static bool fake_ready(struct ntp_auth *auth)
{
    return ((struct fake_auth *)auth)->ready;
}

static size_t fake_seal(struct ntp_auth *auth, uint8_t *packet, size_t length, size_t size)
{
    struct fake_auth *fake = (struct fake_auth *)auth;

    assert_true(length == NTP_HEADER_LEN && size == NTP_PACKET_MAX);
    memset(packet + length, 0xaa, 20);
    fake->sealed++;
    return fake->full ? 0 : length + 20;
}

static int fake_check(struct ntp_auth *auth, const uint8_t *packet, size_t length, const struct ntp_packet *decoded)
{
    struct fake_auth *fake = (struct fake_auth *)auth;

    (void)packet;
    assert_true(length == NTP_HEADER_LEN && decoded->header.mode == NTP_MODE_SERVER);
    fake->checked++;
    return fake->verdict;
}

static void fake_destroy(struct ntp_auth *auth)
{
    (*((struct fake_auth *)auth)->destroyed)++;
}

static void authentication_is_asked_first(void **state)
{
    static const struct ntp_auth_ops ops = {"fake", fake_ready, fake_seal, fake_check, fake_destroy};
    unsigned destroyed = 0;
    struct fake_auth fake = {.base = {&ops}, .destroyed = &destroyed};
    struct association_config config = plain;
    struct ntp_header reply;
    int64_t start_ns;
    struct rig rig;

    (void)state;
    config.auth = &fake.base;
    rig = rig_new(&config);
    assert_int_equal(ask(&rig), 0);
    assert_true(association_deadline(rig.association) > rig.now_ns);
    fake.ready = fake.full = true;
    assert_int_equal(ask(&rig), 0);
    fake.full = false;
    assert_int_equal(ask(&rig), NTP_HEADER_LEN + 20);
    assert_int_equal(status_of(&rig).sent, 1);
    stamp(&rig);
    reply = good_reply(&rig);
    reply.origin++;
    receive(&rig, &reply);
    assert_int_equal(fake.checked, 0); /* costs nothing for what does not belong here */
    /* A forged kiss, then the genuine reply. */
    fake.verdict = LOCKSTEP_E_DENIED;
    reply = good_reply(&rig);
    reply.stratum = 0;
    reply.reference_id = 0x44454e59;
    assert_int_equal(receive(&rig, &reply), ASSOCIATION_NOTHING);
    assert_int_equal(status_of(&rig).dropped[DROP_AUTH], 1);
    assert_false(status_of(&rig).stopped);
    fake.verdict = 0;
    reply = good_reply(&rig);
    assert_int_equal(receive(&rig, &reply), ASSOCIATION_SAMPLE);
    assert_true(status_of(&rig).authenticated);
    /* Without keys it cannot be asked, and is not reachable any more after eight polls. */
    fake.ready = false;
    start_ns = rig.now_ns;
    while (status_of(&rig).reach != 0)
        assert_int_equal(ask(&rig), 0);
    assert_true(rig.now_ns - start_ns > 7 * 16 * NS_PER_S && rig.now_ns - start_ns < 9 * 16 * NS_PER_S);
    association_destroy(rig.association);
    assert_int_equal(destroyed, 1);
}

static void restart_forgets_what_is_under_way(void **state)
{
    struct rig rig = rig_new(&bursting);
    struct ntp_header reply;

    (void)state;
    for (int i = 0; i < 8; i++)
        exchange(&rig);
    ask(&rig);
    reply = good_reply(&rig);
    association_restart(rig.association, rig.now_ns, false);
    assert_int_equal(stamp(&rig), ASSOCIATION_NOTHING);
    assert_int_equal(receive(&rig, &reply), ASSOCIATION_NOTHING);
    assert_int_equal(status_of(&rig).dropped[DROP_ORIGIN], 1);
    assert_true(status_of(&rig).bursting);
    assert_true(association_deadline(rig.association) == rig.now_ns);
    association_destroy(rig.association);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_say_nothing_of_the_client),
        cmocka_unit_test(gives_the_four_stamps),
        cmocka_unit_test(sending_stands_in_for_a_missing_stamp),
        cmocka_unit_test(drops_what_is_wrong),
        cmocka_unit_test(drops_malformed_late_and_repeated_ones),
        cmocka_unit_test(kisses_count_only_from_the_server),
        cmocka_unit_test(bursts_at_the_start_and_after_silence),
        cmocka_unit_test(a_burst_into_silence_ends),
        cmocka_unit_test(refused_ports_are_given_up_sooner),
        cmocka_unit_test(poll_adapts),
        cmocka_unit_test(notices_another_path),
        cmocka_unit_test(interleaved_exchanges),
        cmocka_unit_test(interleaving_survives_losses_and_falls_back),
        cmocka_unit_test(interleaved_pairs_at_long_polls),
        cmocka_unit_test(authentication_is_asked_first),
        cmocka_unit_test(restart_forgets_what_is_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
