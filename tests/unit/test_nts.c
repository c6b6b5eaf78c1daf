/* SPDX-License-Identifier: BSD-2-Clause */
/* Key establishment between the client and the server, and packets with what it gave. */
#include "tests/unit/nts_rig.h"

#include "base/error.h"
#include "base/log.h"
#include "clock/ntp_server.h"
#include "clock/nts_client.h"
#include "clock/nts_records.h"
#include "clock/nts_server.h"
#include "clock/nts_tls.h"

#define UTC_S 1800000000ll

static int set_up(void **state)
{
    log_init("test", LOG_LEVEL_ERROR); /* the warnings are expected */
    return rig_set_up(state);
}

/* ---- both ends ---- */

struct ends {
    struct nts_cookies *cookies;
    struct nts_server *server;
    uint16_t port;
    struct nts_client *client;
};

static void start_server(struct ends *ends, const char *certificate, struct nts_server_config config)
{
    char problem[NTS_SERVER_PROBLEM_MAX], file[64], key[64];

    *ends = (struct ends){0};
    rig_ahead_ns = 0;
    snprintf(file, sizeof file, "%s.crt", certificate);
    snprintf(key, sizeof key, "%s.key", certificate);
    config.certificate_file = rig_path(file);
    config.key_file = rig_path(key);
    assert_int_equal(nts_cookies_create(NULL, DAY_S * NS_PER_S, rig_now(), UTC_S, &ends->cookies, problem), 0);
    if (nts_server_create(&config, ends->cookies, &ends->server, problem) < 0)
        fail_msg("%s", problem);
    assert_int_equal(nts_server_listen(ends->server, rig_listen(&ends->port)), 0);
}

static struct nts_client *make_client(const char *name, bool ignore_time)
{
    struct nts_client_config config = {.ca_file = rig_path("ca.crt"), .ignore_validity_time = ignore_time};
    struct nts_client *client = NULL;
    char problem[NTS_CLIENT_PROBLEM_MAX];

    snprintf(config.name, sizeof config.name, "%s", name);
    if (nts_client_create(&config, &client, problem) < 0)
        fail_msg("%s", problem);
    return client;
}

static struct nts_server_counts counts_of(const struct nts_server *server)
{
    struct nts_server_counts counts;

    nts_server_get_counts(server, &counts);
    return counts;
}

/* Until the client is through, well or not. */
static enum nts_client_state finish(struct ends *ends, struct nts_client *client)
{
    for (int i = 0; i < 500 && nts_client_state(client) == NTS_CLIENT_EXCHANGES; i++) {
        rig_wait(nts_client_fd(client), ends->server ? nts_server_fd(ends->server) : -1);
        if (ends->server)
            nts_server_run(ends->server, rig_now(), UTC_S);
        nts_client_run(client, rig_now());
    }
    return nts_client_state(client);
}

static enum nts_client_state establish(struct ends *ends, struct nts_client *client)
{
    nts_client_run(client, rig_now());
    assert_int_equal(nts_client_state(client), NTS_CLIENT_WANTED);
    assert_int_equal(nts_client_start(client, rig_connect(ends->port), rig_now()), 0);
    return finish(ends, client);
}

static void stop(struct ends *ends)
{
    nts_client_destroy(ends->client);
    nts_server_destroy(ends->server);
    nts_cookies_destroy(ends->cookies);
}

/* ---- key establishment ---- */

static void keys_and_cookies_are_given(void **state)
{
    struct ends ends;
    char name[NTS_CLIENT_NAME_MAX];
    uint16_t port;

    (void)state;
    start_server(&ends, "good", (struct nts_server_config){0});
    ends.client = make_client("ntp.example", false);
    assert_int_equal(nts_client_state(ends.client), NTS_CLIENT_IDLE);
    assert_int_equal(establish(&ends, ends.client), NTS_CLIENT_READY);
    assert_int_equal(nts_client_cookies(ends.client), NTS_COOKIES_MAX);
    assert_string_equal(nts_client_problem(ends.client), "");
    nts_client_server(ends.client, name, &port);
    assert_string_equal(name, "");
    assert_int_equal(port, 123);
    for (int i = 0; i < 100 && counts_of(ends.server).open > 0; i++) {
        nts_server_run(ends.server, rig_now(), UTC_S);
        usleep(1000);
    }
    assert_int_equal(counts_of(ends.server).served, 1);
    assert_int_equal(counts_of(ends.server).open, 0);
    assert_int_equal(counts_of(ends.server).timed_out, 0);
    stop(&ends);
}

static void another_ntp_server_can_be_named(void **state)
{
    struct ends ends;
    char name[NTS_CLIENT_NAME_MAX];
    uint16_t port;

    (void)state;
    start_server(&ends, "address", (struct nts_server_config){.ntp_name = "10.1.2.3", .ntp_port = 11123});
    ends.client = make_client("127.0.0.1", false);
    assert_int_equal(establish(&ends, ends.client), NTS_CLIENT_READY);
    nts_client_server(ends.client, name, &port);
    assert_string_equal(name, "10.1.2.3");
    assert_int_equal(port, 11123);
    stop(&ends);
}

static void assert_refused(const char *certificate, const char *name, const char *why)
{
    struct ends ends;

    start_server(&ends, certificate, (struct nts_server_config){0});
    ends.client = make_client(name, false);
    assert_int_equal(establish(&ends, ends.client), NTS_CLIENT_IDLE);
    assert_int_equal(nts_client_cookies(ends.client), 0);
    if (!strstr(nts_client_problem(ends.client), name) || !strstr(nts_client_problem(ends.client), why))
        fail_msg("'%s' has no '%s'", nts_client_problem(ends.client), why);
    stop(&ends);
}

static void wrong_certificates_are_refused_with_the_cause(void **state)
{
    char date[16];
    time_t yesterday = time(NULL) - DAY_S;
    struct tm tm;

    (void)state;
    assert_refused("good", "other.example", "its certificate is for ntp.example, not for this name");
    assert_refused("good", "127.0.0.1", "its certificate is for ntp.example, not for this name");
    strftime(date, sizeof date, "%Y-%m-%d", gmtime_r(&yesterday, &tm));
    assert_refused("expired", "ntp.example", "has expired");
    assert_refused("expired", "ntp.example", date);
    assert_refused("early", "ntp.example", "is not valid yet");
    assert_refused("foreign", "ntp.example", "not signed by a trusted authority (issuer: CN=Another authority)");
}

static void a_wrong_clock_can_be_forgiven(void **state)
{
    struct ends ends;

    (void)state;
    start_server(&ends, "expired", (struct nts_server_config){0});
    ends.client = make_client("ntp.example", true);
    assert_int_equal(establish(&ends, ends.client), NTS_CLIENT_READY);
    nts_client_destroy(ends.client);
    ends.client = make_client("other.example", true); /* but not a wrong name */
    assert_int_equal(establish(&ends, ends.client), NTS_CLIENT_IDLE);
    stop(&ends);
}

static void files_are_checked_at_the_start(void **state)
{
    struct nts_client_config client_config = {.name = "ntp.example", .ca_file = "/nowhere/ca.crt"};
    struct nts_server_config config = {.certificate_file = rig_path("good.crt"), .key_file = rig_path("early.key")};
    struct nts_client *client = NULL;
    struct nts_server *server = NULL;
    char problem[512];

    (void)state;
    assert_int_equal(nts_client_create(&client_config, &client, problem), -ENOENT);
    assert_non_null(strstr(problem, "ntp.example: cannot read /nowhere/ca.crt: No such file"));
    client_config.ca_file = rig_path("good.key");
    assert_int_equal(nts_client_create(&client_config, &client, problem), LOCKSTEP_E_BAD_FORMAT);
    assert_non_null(strstr(problem, "good.key has no certificate"));

    assert_int_equal(nts_server_create(&config, NULL, &server, problem), LOCKSTEP_E_BAD_FORMAT);
    assert_non_null(strstr(problem, "good.crt with key"));
    config.key_file = "/nowhere/key";
    assert_int_equal(nts_server_create(&config, NULL, &server, problem), -ENOENT);
    assert_non_null(strstr(problem, "/nowhere/key: No such file"));
    assert_int_equal(chmod(rig_path("good.key"), 0644), 0);
    config.key_file = rig_path("good.key");
    assert_int_equal(nts_server_create(&config, NULL, &server, problem), LOCKSTEP_E_DENIED);
    assert_non_null(strstr(problem, "chmod"));
    assert_int_equal(chmod(rig_path("good.key"), 0600), 0);
    rig_curve = GNUTLS_ECC_CURVE_SECP224R1;
    rig_issue("curve", "ntp.example", -DAY_S, DAY_S, &rig_ca);
    rig_curve = GNUTLS_ECC_CURVE_SECP256R1;
    config.certificate_file = rig_path("curve.crt");
    config.key_file = rig_path("curve.key");
    assert_int_equal(nts_server_create(&config, NULL, &server, problem), LOCKSTEP_E_NOT_SUPPORTED);
    assert_non_null(strstr(problem, "curve.crt: TLS 1.3 has no curve SECP224R1"));
    assert_null(server);
    assert_null(client);
}

/* What a peer that is no key server does. */
enum strange { CLOSES, TALKS_NONSENSE, SAYS_NOTHING };

static void meet(enum strange strange, const char *why)
{
    struct ends ends = {0};
    int listener = rig_listen(&ends.port), peer;

    ends.client = make_client("ntp.example", false);
    nts_client_run(ends.client, rig_now());
    assert_int_equal(nts_client_start(ends.client, rig_connect(ends.port), rig_now()), 0);
    for (int i = 0; (peer = accept(listener, NULL, NULL)) < 0 && i < 100; i++)
        usleep(1000);
    assert_true(peer >= 0);
    if (strange == TALKS_NONSENSE)
        assert_true(write(peer, "220 mail.example ready\r\n", 24) == 24);
    if (strange == CLOSES)
        close(peer);
    if (strange == SAYS_NOTHING) {
        nts_client_run(ends.client, rig_now());
        rig_ahead_ns += 6 * NS_PER_S;
    }
    assert_int_equal(finish(&ends, ends.client), NTS_CLIENT_IDLE);
    if (!strstr(nts_client_problem(ends.client), why))
        fail_msg("'%s' has no '%s'", nts_client_problem(ends.client), why);
    if (strange != CLOSES)
        close(peer);
    close(listener);
    stop(&ends);
}

static void strange_servers_are_told_apart(void **state)
{
    struct ends ends = {0};

    (void)state;
    meet(CLOSES, "TLS: the connection was closed");
    meet(TALKS_NONSENSE, "TLS:");
    meet(SAYS_NOTHING, "TLS: no answer in time");

    close(rig_listen(&ends.port)); /* nobody there */
    ends.client = make_client("ntp.example", false);
    assert_int_equal(establish(&ends, ends.client), NTS_CLIENT_IDLE);
    assert_non_null(strstr(nts_client_problem(ends.client), "cannot connect to the key server: Connection refused"));
    stop(&ends);
}

static void failures_are_tried_again_ever_later(void **state)
{
    struct nts_client *client = make_client("ntp.example", false);
    int64_t now = 1000 * NS_PER_S, next, wait = 0;

    (void)state;
    for (int i = 0; i < 40; i++) {
        nts_client_run(client, now);
        assert_int_equal(nts_client_state(client), NTS_CLIENT_WANTED);
        nts_client_failed(client, now, "no such name");
        assert_string_equal(nts_client_problem(client), "nts: ntp.example: no such name");
        next = nts_client_run(client, now);
        assert_int_equal(nts_client_state(client), NTS_CLIENT_IDLE);
        if (i == 0)
            assert_int_equal(next - now, 10 * NS_PER_S);
        assert_true(next - now >= wait);
        wait = next - now;
        now = next;
    }
    assert_int_equal(wait, 3600 * NS_PER_S);
    nts_client_destroy(client);
}

/* ---- a hostile world for the server ---- */

static void run_server(struct ends *ends, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        rig_wait(nts_server_fd(ends->server), -1);
        nts_server_run(ends->server, rig_now(), UTC_S);
    }
}

static void a_flood_of_connections_is_limited_and_passes(void **state)
{
    enum { FLOOD = 200 };
    struct ends ends;
    int fd[FLOOD];

    (void)state;
    start_server(&ends, "good", (struct nts_server_config){0});
    for (int i = 0; i < FLOOD; i++)
        fd[i] = rig_connect(ends.port);
    for (int i = 0; i < 100 && counts_of(ends.server).refused < FLOOD - 4; i++)
        run_server(&ends, 1);
    assert_int_equal(counts_of(ends.server).open, 4); /* from one address */
    assert_int_equal(counts_of(ends.server).refused, FLOOD - 4);
    rig_ahead_ns += 3 * NS_PER_S;
    nts_server_run(ends.server, rig_now(), UTC_S);
    assert_int_equal(counts_of(ends.server).open, 0);
    assert_int_equal(counts_of(ends.server).timed_out, 4);
    for (int i = 0; i < FLOOD; i++)
        close(fd[i]);
    ends.client = make_client("ntp.example", false);
    assert_int_equal(establish(&ends, ends.client), NTS_CLIENT_READY);
    stop(&ends);
}

static void connections_and_handshakes_a_second_are_limited(void **state)
{
    enum { CROWD = 12 };
    struct nts_server_config config = {.connections = 8, .connections_each = 100, .handshakes_per_s = 5};
    struct ends ends;
    int fd[CROWD];
    int64_t now, next;

    (void)state;
    start_server(&ends, "good", config);
    now = rig_now();
    for (int i = 0; i < CROWD; i++)
        fd[i] = rig_connect(ends.port);
    usleep(20000);
    for (int i = 0; i < 20; i++)
        next = nts_server_run(ends.server, now, UTC_S);
    assert_int_equal(counts_of(ends.server).accepted, 5); /* a second's worth; the others wait in the kernel */
    assert_int_equal(next, now + NS_PER_S / 5);
    nts_server_run(ends.server, next, UTC_S); /* watches the listener again */
    nts_server_run(ends.server, next, UTC_S);
    assert_int_equal(counts_of(ends.server).accepted, 6);
    now += NS_PER_S;
    for (int i = 0; i < 4; i++)
        next = nts_server_run(ends.server, now, UTC_S);
    assert_int_equal(counts_of(ends.server).open, 8); /* full */
    assert_true(next > now + NS_PER_S / 2 && next < now + 3 * NS_PER_S);
    assert_int_equal(counts_of(ends.server).refused, 0);
    for (int i = 0; i < CROWD; i++)
        close(fd[i]);
    stop(&ends);
}

static void nonsense_ends_a_connection(void **state)
{
    struct ends ends;
    char garbage[3000];
    int fd;

    (void)state;
    start_server(&ends, "good", (struct nts_server_config){0});
    for (int kind = 0; kind < 3; kind++) {
        memset(garbage, kind == 0 ? 0 : kind == 1 ? 0x16 : 'G', sizeof garbage);
        fd = rig_connect(ends.port);
        run_server(&ends, 1);
        assert_true(write(fd, garbage, sizeof garbage) > 0);
        for (int i = 0; i < 50 && counts_of(ends.server).failed < (uint64_t)kind + 1; i++)
            run_server(&ends, 1);
        assert_int_equal(counts_of(ends.server).failed, kind + 1);
        assert_int_equal(counts_of(ends.server).open, 0);
        close(fd);
    }
    stop(&ends);
}

/* A TLS client that may say anything. -1: the connection ended without an answer; else the answer's length. */
static int talk(struct ends *ends, const uint8_t *bytes, size_t length, struct nts_message *answer)
{
    gnutls_certificate_credentials_t credentials;
    int fd = rig_connect(ends->port), done = 0, stage = 0, result = -1;
    const uint8_t *message = NULL;
    struct nts_tls *tls;
    size_t got = 0;

    rig_require(gnutls_certificate_allocate_credentials(&credentials));
    rig_require(gnutls_certificate_set_x509_trust_file(credentials, rig_path("ca.crt"), GNUTLS_X509_FMT_PEM));
    tls = nts_tls_client(fd, credentials, "ntp.example", false, NTS_RESPONSE_MAX);
    for (int i = 0; i < 500 && done >= 0 && stage < 3; i++) {
        rig_wait(fd, nts_server_fd(ends->server));
        nts_server_run(ends->server, rig_now(), UTC_S);
        done = stage == 0   ? nts_tls_handshake(tls)
               : stage == 1 ? nts_tls_send(tls, bytes, length)
                            : nts_tls_receive(tls, &message, &got);
        stage += done == 1;
    }
    if (stage == 3) {
        assert_int_equal(nts_message_parse(message, got, answer), 0);
        result = (int)got;
    }
    nts_tls_destroy(tls);
    gnutls_certificate_free_credentials(credentials);
    close(fd);
    run_server(ends, 2);
    return result;
}

static void wrong_requests_get_their_error(void **state)
{
    static const struct {
        uint8_t bytes[32];
        size_t length;
        int error;
    } cases[] = {
        {{0x80, 0, 0, 0}, 4, NTS_ERROR_BAD_REQUEST},                       /* no protocol */
        {{0x80, 1, 0, 2, 0, 0, 0x80, 0, 0, 0}, 10, NTS_ERROR_BAD_REQUEST}, /* no algorithm */
        {{0x80, 1, 0, 1, 0, 0x80, 0, 0, 0}, 9, NTS_ERROR_BAD_REQUEST},     /* half a number */
        {{0x80, 1, 0, 2, 0, 0, 0xc0, 9, 0, 0, 0x80, 4, 0, 2, 0, 15, 0x80, 0, 0, 0}, 20, NTS_ERROR_UNKNOWN_RECORD},
        {{0x80, 1, 0, 2, 0, 0, 0x40, 9, 0, 0, 0x80, 4, 0, 2, 0, 15, 0x80, 0, 0, 0}, 20, NTS_ERROR_NONE},
        {{0x80, 1, 0, 2, 0, 0, 0x80, 4, 0, 2, 0, 30, 0x80, 0, 0, 0}, 16, NTS_ERROR_NONE}, /* an AEAD that is not here */
        {{0x80, 1, 0, 2, 0, 7, 0x80, 0, 0, 0}, 10, NTS_ERROR_NONE}, /* a protocol that is not here */
    };
    struct nts_message answer;
    struct ends ends;

    (void)state;
    start_server(&ends, "good", (struct nts_server_config){.connections_each = 100});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(talk(&ends, cases[i].bytes, cases[i].length, &answer) > 0);
        assert_int_equal(answer.error, cases[i].error);
        assert_int_equal(answer.cookie_count, i == 4 ? NTS_COOKIES_MAX : 0);
        if (i >= 4)
            assert_true(answer.has_protocols && answer.ntpv4 == (i < 6) && answer.aes_siv == (i == 4));
    }
    stop(&ends);
}

static void endless_requests_end(void **state)
{
    static uint8_t bytes[NTS_REQUEST_MAX + 500];
    struct nts_message answer;
    struct ends ends;

    (void)state;
    for (size_t i = 0; i + 4 <= sizeof bytes; i += 4)
        bytes[i + 1] = 9; /* empty records */
    start_server(&ends, "good", (struct nts_server_config){.connections_each = 100});
    assert_int_equal(talk(&ends, bytes, sizeof bytes, &answer), -1);
    memcpy(bytes, "\0\x09\xff\xff", 4);
    assert_int_equal(talk(&ends, bytes, 4, &answer), -1);
    assert_int_equal(counts_of(ends.server).failed, 2);
    assert_int_equal(counts_of(ends.server).open, 0);
    stop(&ends);
}

static void a_new_certificate_is_taken_and_a_broken_one_is_not(void **state)
{
    struct ends ends;
    char problem[NTS_SERVER_PROBLEM_MAX];

    (void)state;
    rig_issue("changing", "ntp.example", -2 * DAY_S, -DAY_S, &rig_ca);
    start_server(&ends, "changing", (struct nts_server_config){0});
    ends.client = make_client("ntp.example", false);
    assert_int_equal(establish(&ends, ends.client), NTS_CLIENT_IDLE);
    rig_issue("changing", "ntp.example", -DAY_S, DAY_S, &rig_ca);
    assert_int_equal(nts_server_reload(ends.server, problem), 0);
    rig_ahead_ns += 11 * NS_PER_S;
    assert_int_equal(establish(&ends, ends.client), NTS_CLIENT_READY);

    assert_int_equal(private_file_write(rig_path("changing.crt"), "rubbish", 7), 0);
    assert_int_equal(nts_server_reload(ends.server, problem), LOCKSTEP_E_BAD_FORMAT);
    assert_non_null(strstr(problem, "changing.crt"));
    nts_client_destroy(ends.client);
    ends.client = make_client("ntp.example", false);
    assert_int_equal(establish(&ends, ends.client), NTS_CLIENT_READY);
    stop(&ends);
}

/* ---- packets ---- */

struct packets {
    struct ends ends;
    struct ntp_auth *auth;
    struct ntp_server *server;
    uint8_t request[NTP_PACKET_MAX], reply[NTP_PACKET_MAX];
    size_t request_length, reply_length;
    struct ntp_packet decoded; /* the reply */
};

static void start_ntp(struct packets *packets)
{
    struct ntp_server_config config = {
        .clients = 64, .network_count = 1, .networks = {{.network.address = net_addr_any(true), .allow = true}}};

    config.nts = packets->ends.cookies;
    packets->server = ntp_server_create(&config);
}

static void begin(struct packets *packets)
{
    start_server(&packets->ends, "good", (struct nts_server_config){0});
    packets->ends.client = make_client("ntp.example", false);
    packets->auth = nts_client_auth(packets->ends.client);
    assert_non_null(packets->auth);
    assert_null(nts_client_auth(packets->ends.client));
    assert_string_equal(packets->auth->ops->name, "nts");
    assert_false(packets->auth->ops->ready(packets->auth));
    assert_int_equal(packets->auth->ops->seal(packets->auth, packets->request, NTP_HEADER_LEN, NTP_PACKET_MAX), 0);
    assert_int_equal(establish(&packets->ends, packets->ends.client), NTS_CLIENT_READY);
    start_ntp(packets);
}

static void end(struct packets *packets)
{
    ntp_server_destroy(packets->server);
    packets->auth->ops->destroy(packets->auth);
    stop(&packets->ends);
}

static size_t seal(struct packets *packets)
{
    struct ntp_header header = {.version = 4, .mode = NTP_MODE_CLIENT, .transmit = 77};

    ntp_encode(&header, packets->request);
    packets->request_length = packets->auth->ops->seal(packets->auth, packets->request, NTP_HEADER_LEN, NTP_PACKET_MAX);
    return packets->request_length;
}

static void answer(struct packets *packets)
{
    static const struct ntp_server_clock clock = {.stratum = 1};
    struct net_addr from = net_addr_from_v4(htonl(0x0a000001));
    uint32_t slot;

    packets->reply_length = ntp_server_reply(packets->server, &clock, &from, 123, packets->request,
                                             packets->request_length, NS_PER_S, NS_PER_S, packets->reply, &slot);
    assert_true(packets->reply_length <= packets->request_length);
}

static int check(struct packets *packets)
{
    assert_int_equal(ntp_decode(packets->reply, packets->reply_length, &packets->decoded), 0);
    return packets->auth->ops->check(packets->auth, packets->reply, packets->reply_length, &packets->decoded);
}

static void exchange(struct packets *packets)
{
    assert_true(seal(packets) > 0);
    answer(packets);
    assert_int_equal(check(packets), 0);
}

static void packets_are_authentic_and_bring_new_cookies(void **state)
{
    struct packets packets;
    size_t usual;

    (void)state;
    begin(&packets);
    exchange(&packets);
    usual = packets.request_length;
    for (int i = 0; i < 20; i++) {
        exchange(&packets);
        assert_int_equal(packets.request_length, usual);
        assert_int_equal(nts_client_cookies(packets.ends.client), NTS_COOKIES_MAX);
    }
    /* Lost ones are asked for again. */
    for (int i = 0; i < 5; i++)
        seal(&packets);
    assert_int_equal(nts_client_cookies(packets.ends.client), 3);
    exchange(&packets);
    assert_int_equal(nts_client_cookies(packets.ends.client), NTS_COOKIES_MAX);
    assert_true(packets.request_length > usual);
    /* The keys outlive the client. */
    nts_client_destroy(packets.ends.client);
    packets.ends.client = NULL;
    exchange(&packets);
    end(&packets);
}

static void no_request_is_like_another(void **state)
{
    struct packets packets;
    uint8_t first[NTP_PACKET_MAX];

    (void)state;
    begin(&packets);
    exchange(&packets);
    memcpy(first, packets.request, sizeof first);
    exchange(&packets);
    assert_memory_not_equal(first + 52, packets.request + 52, 32);  /* unique identifier */
    assert_memory_not_equal(first + 92, packets.request + 92, 100); /* cookie */
    end(&packets);
}

static void forged_and_repeated_replies_are_refused(void **state)
{
    struct packets packets, other;

    (void)state;
    begin(&packets);
    exchange(&packets);
    assert_int_equal(check(&packets), LOCKSTEP_E_DENIED); /* once more */

    seal(&packets);
    answer(&packets);
    for (size_t bit = 8; bit < packets.reply_length * 8; bit++) {
        packets.reply[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (ntp_decode(packets.reply, packets.reply_length, &packets.decoded) == 0)
            assert_int_equal(
                packets.auth->ops->check(packets.auth, packets.reply, packets.reply_length, &packets.decoded),
                LOCKSTEP_E_DENIED);
        packets.reply[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t length = NTP_HEADER_LEN; length < packets.reply_length; length++) {
        if (ntp_decode(packets.reply, length, &packets.decoded) == 0)
            assert_int_equal(packets.auth->ops->check(packets.auth, packets.reply, length, &packets.decoded),
                             LOCKSTEP_E_DENIED);
    }
    assert_int_equal(check(&packets), 0); /* the true one still counts */

    /* What belongs to another client. */
    begin(&other);
    seal(&other);
    seal(&packets);
    answer(&other);
    assert_int_equal(ntp_decode(other.reply, other.reply_length, &other.decoded), 0);
    assert_int_equal(packets.auth->ops->check(packets.auth, other.reply, other.reply_length, &other.decoded),
                     LOCKSTEP_E_DENIED);
    assert_int_equal(check(&other), 0);
    end(&other);
    end(&packets);
}

static void a_nak_leads_to_new_keys_and_a_forged_one_does_no_harm(void **state)
{
    struct packets packets;
    struct nts_client *client;
    char problem[NTS_COOKIES_PROBLEM_MAX];
    int64_t next;

    (void)state;
    begin(&packets);
    client = packets.ends.client;
    exchange(&packets);
    nts_client_run(client, rig_now());

    /* The server has lost its keys. */
    ntp_server_destroy(packets.server);
    nts_server_destroy(packets.ends.server);
    nts_cookies_destroy(packets.ends.cookies);
    packets.ends.server = NULL;
    assert_int_equal(nts_cookies_create(NULL, NS_PER_S, 0, 0, &packets.ends.cookies, problem), 0);
    start_ntp(&packets);
    seal(&packets);
    answer(&packets);
    packets.reply[60] ^= 1; /* the identifier of another request */
    assert_int_equal(check(&packets), LOCKSTEP_E_DENIED);
    nts_client_run(client, rig_now());
    assert_int_equal(nts_client_state(client), NTS_CLIENT_READY);
    packets.reply[60] ^= 1;
    assert_int_equal(check(&packets), LOCKSTEP_E_GONE);

    /* Not at once: the keys are young. They stay in use meanwhile. */
    next = nts_client_run(client, rig_now());
    assert_int_equal(nts_client_state(client), NTS_CLIENT_READY);
    assert_true(next > rig_now() + 5 * NS_PER_S && next <= rig_now() + 10 * NS_PER_S);
    assert_true(packets.auth->ops->ready(packets.auth));
    nts_client_run(client, next);
    assert_int_equal(nts_client_state(client), NTS_CLIENT_WANTED);
    end(&packets);
}

static void used_up_cookies_and_old_keys_lead_to_new_ones(void **state)
{
    struct packets packets;
    struct nts_client *client;

    (void)state;
    begin(&packets);
    client = packets.ends.client;
    for (int i = 0; i < NTS_COOKIES_MAX; i++)
        assert_true(seal(&packets) > 0);
    assert_int_equal(seal(&packets), 0);
    assert_false(packets.auth->ops->ready(packets.auth));
    nts_client_run(client, rig_now() + 11 * NS_PER_S);
    assert_int_equal(nts_client_state(client), NTS_CLIENT_WANTED);
    rig_ahead_ns += 11 * NS_PER_S;
    assert_int_equal(establish(&packets.ends, client), NTS_CLIENT_READY);
    exchange(&packets);
    assert_true(nts_client_run(client, rig_now()) > rig_now() + 86000 * NS_PER_S);
    nts_client_run(client, rig_now() + 86400 * NS_PER_S);
    assert_int_equal(nts_client_state(client), NTS_CLIENT_WANTED);
    end(&packets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_cookies_are_given),
        cmocka_unit_test(another_ntp_server_can_be_named),
        cmocka_unit_test(wrong_certificates_are_refused_with_the_cause),
        cmocka_unit_test(a_wrong_clock_can_be_forgiven),
        cmocka_unit_test(files_are_checked_at_the_start),
        cmocka_unit_test(strange_servers_are_told_apart),
        cmocka_unit_test(failures_are_tried_again_ever_later),
        cmocka_unit_test(a_flood_of_connections_is_limited_and_passes),
        cmocka_unit_test(connections_and_handshakes_a_second_are_limited),
        cmocka_unit_test(nonsense_ends_a_connection),
        cmocka_unit_test(wrong_requests_get_their_error),
        cmocka_unit_test(endless_requests_end),
        cmocka_unit_test(a_new_certificate_is_taken_and_a_broken_one_is_not),
        cmocka_unit_test(packets_are_authentic_and_bring_new_cookies),
        cmocka_unit_test(no_request_is_like_another),
        cmocka_unit_test(forged_and_repeated_replies_are_refused),
        cmocka_unit_test(a_nak_leads_to_new_keys_and_a_forged_one_does_no_harm),
        cmocka_unit_test(used_up_cookies_and_old_keys_lead_to_new_ones),
    };

    return cmocka_run_group_tests(tests, set_up, rig_tear_down);
}
