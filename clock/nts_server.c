/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/nts_server.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/net_addr.h"
#include "clock/nts_records.h"
#include "clock/nts_tls.h"

#define NS_PER_S         1000000000ll
#define LISTENERS_MAX    16
#define CONNECTIONS      64
#define CONNECTIONS_EACH 4
#define CONNECTIONS_MAX  1024
#define HANDSHAKES_PER_S 50
#define TIMEOUT_NS       (2 * NS_PER_S)
#define EVENTS_A_RUN     8 /* a handshake takes about a millisecond; NTP packets shall not wait long for it */
#define ACCEPTS_A_RUN    16
#define RESPONSE_SIZE    1536
#define EVENT_LISTENER   (UINT64_C(1) << 32) /* else the event's number is a connection's */
#define PROTOCOL_NTPV4   0

enum phase { PHASE_FREE, PHASE_HANDSHAKE, PHASE_RECEIVE, PHASE_SEND, PHASE_BYE, PHASE_LINGER };

struct connection {
    enum phase phase;
    int fd;
    struct net_addr address;
    int64_t deadline_ns;
    struct nts_tls *tls;
    size_t response_length;
    uint8_t response[RESPONSE_SIZE];
};

struct nts_server {
    struct nts_server_config config;
    char *certificate_file, *key_file;
    struct nts_cookies *cookies;
    gnutls_certificate_credentials_t credentials;
    int epoll_fd;
    unsigned listener_count;
    int listener[LISTENERS_MAX];
    bool listening;      /* the listeners are watched */
    int64_t tokens_ns;   /* time that new handshakes may still take from, at most a second's */
    int64_t refilled_ns; /* INT64_MIN: never */
    struct nts_server_counts counts;
    struct connection connection[];
};

/* ---- creation ---- */

/* TLS 1.3 knows few curves; a handshake would fail for no reason that a client could see. */
static bool curve_usable(gnutls_ecc_curve_t curve)
{
    return curve == GNUTLS_ECC_CURVE_SECP256R1 || curve == GNUTLS_ECC_CURVE_SECP384R1 ||
           curve == GNUTLS_ECC_CURVE_SECP521R1;
}

/* What is not wrong in itself, but of no use to clients. */
static int check_certificate(const struct nts_server *server, const gnutls_datum_t *pem,
                             char problem[NTS_SERVER_PROBLEM_MAX])
{
    gnutls_x509_crt_t certificate;
    gnutls_ecc_curve_t curve;
    int err = 0;

    if (gnutls_x509_crt_init(&certificate) < 0)
        return -ENOMEM;
    if (gnutls_x509_crt_import(certificate, pem, GNUTLS_X509_FMT_PEM) == 0) {
        if (gnutls_x509_crt_get_pk_algorithm(certificate, NULL) == GNUTLS_PK_ECDSA &&
            gnutls_x509_crt_get_pk_ecc_raw(certificate, &curve, NULL, NULL) == 0 && !curve_usable(curve)) {
            snprintf(problem, NTS_SERVER_PROBLEM_MAX, "nts server: certificate %.256s: TLS 1.3 has no curve %s",
                     server->certificate_file, gnutls_ecc_curve_get_name(curve));
            err = LOCKSTEP_E_NOT_SUPPORTED;
        }
        if (gnutls_x509_crt_get_expiration_time(certificate) < time(NULL))
            log_warning("nts server: certificate %s has expired: clients will refuse it", server->certificate_file);
    }
    gnutls_x509_crt_deinit(certificate);
    return err;
}

static int load_pair(const struct nts_server *server, gnutls_certificate_credentials_t credentials,
                     char problem[NTS_SERVER_PROBLEM_MAX])
{
    gnutls_datum_t certificate = {0}, key = {0};
    char reason[NTS_TLS_PROBLEM_MAX];
    int err = nts_tls_load(server->certificate_file, 0, &certificate, reason);

    if (err == 0)
        err = nts_tls_load(server->key_file, S_IROTH | S_IWOTH, &key, reason);
    if (err < 0) {
        snprintf(problem, NTS_SERVER_PROBLEM_MAX, "nts server: %s", reason);
    } else {
        err = gnutls_certificate_set_x509_key_mem(credentials, &certificate, &key, GNUTLS_X509_FMT_PEM);
        if (err < 0) {
            snprintf(problem, NTS_SERVER_PROBLEM_MAX, "nts server: certificate %.160s with key %.160s: %s",
                     server->certificate_file, server->key_file, gnutls_strerror(err));
            err = LOCKSTEP_E_BAD_FORMAT;
        } else {
            err = check_certificate(server, &certificate, problem);
        }
    }
    free(certificate.data);
    if (key.data)
        explicit_bzero(key.data, key.size);
    free(key.data);
    return err < 0 ? err : 0;
}

static void drop(struct nts_server *server, struct connection *connection)
{
    nts_tls_destroy(connection->tls);
    close(connection->fd);
    connection->tls = NULL;
    connection->phase = PHASE_FREE;
    server->counts.open--;
}

static void drop_all(struct nts_server *server)
{
    for (unsigned i = 0; i < server->config.connections; i++) {
        if (server->connection[i].phase != PHASE_FREE)
            drop(server, &server->connection[i]);
    }
}

int nts_server_reload(struct nts_server *server, char problem[NTS_SERVER_PROBLEM_MAX])
{
    gnutls_certificate_credentials_t credentials;
    int err;

    problem[0] = '\0';
    if (gnutls_certificate_allocate_credentials(&credentials) < 0) {
        snprintf(problem, NTS_SERVER_PROBLEM_MAX, "nts server: %s", error_text(-ENOMEM));
        return -ENOMEM;
    }
    err = load_pair(server, credentials, problem);
    if (err < 0) {
        gnutls_certificate_free_credentials(credentials);
        return err;
    }
    /* Connections under way use the old ones; their clients come back. */
    drop_all(server);
    if (server->credentials)
        gnutls_certificate_free_credentials(server->credentials);
    server->credentials = credentials;
    return 0;
}

static unsigned or_default(unsigned value, unsigned initial)
{
    return value ? value : initial;
}

static int prepare(struct nts_server *server, const struct nts_server_config *config,
                   char problem[NTS_SERVER_PROBLEM_MAX])
{
    server->certificate_file = strdup(config->certificate_file);
    server->key_file = strdup(config->key_file);
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!server->certificate_file || !server->key_file || server->epoll_fd < 0) {
        int err = server->epoll_fd < 0 ? -errno : -ENOMEM;

        snprintf(problem, NTS_SERVER_PROBLEM_MAX, "nts server: %s", error_text(err));
        return err;
    }
    return nts_server_reload(server, problem);
}

int nts_server_create(const struct nts_server_config *config, struct nts_cookies *cookies, struct nts_server **out,
                      char problem[NTS_SERVER_PROBLEM_MAX])
{
    unsigned connections = or_default(config->connections, CONNECTIONS);
    struct nts_server *server;
    int err;

    if (connections > CONNECTIONS_MAX) {
        snprintf(problem, NTS_SERVER_PROBLEM_MAX, "nts server: more than %d connections", CONNECTIONS_MAX);
        return LOCKSTEP_E_BAD_VALUE;
    }
    server = calloc(1, sizeof *server + connections * sizeof server->connection[0]);
    if (!server) {
        snprintf(problem, NTS_SERVER_PROBLEM_MAX, "nts server: %s", error_text(-ENOMEM));
        return -ENOMEM;
    }
    server->config = *config;
    server->config.connections = connections;
    server->config.connections_each = or_default(config->connections_each, CONNECTIONS_EACH);
    server->config.handshakes_per_s = or_default(config->handshakes_per_s, HANDSHAKES_PER_S);
    server->config.timeout_ns = config->timeout_ns ? config->timeout_ns : TIMEOUT_NS;
    server->config.certificate_file = server->config.key_file = NULL; /* the caller's; copies are kept */
    server->cookies = cookies;
    server->listening = true;
    server->refilled_ns = INT64_MIN;
    err = prepare(server, config, problem);
    if (err < 0) {
        nts_server_destroy(server);
        return err;
    }
    *out = server;
    return 0;
}

void nts_server_destroy(struct nts_server *server)
{
    if (!server)
        return;
    drop_all(server);
    for (unsigned i = 0; i < server->listener_count; i++)
        close(server->listener[i]);
    if (server->credentials)
        gnutls_certificate_free_credentials(server->credentials);
    if (server->epoll_fd >= 0)
        close(server->epoll_fd);
    free(server->certificate_file);
    free(server->key_file);
    free(server);
}

static int watch(const struct nts_server *server, int operation, int fd, uint32_t events, uint64_t number)
{
    struct epoll_event event = {.events = events, .data.u64 = number};

    return epoll_ctl(server->epoll_fd, operation, fd, &event) < 0 ? -errno : 0;
}

int nts_server_listen(struct nts_server *server, int fd)
{
    int err;

    if (server->listener_count == LISTENERS_MAX)
        return LOCKSTEP_E_EXHAUSTED;
    err = watch(server, EPOLL_CTL_ADD, fd, server->listening ? EPOLLIN : 0, EVENT_LISTENER | server->listener_count);
    if (err == 0)
        server->listener[server->listener_count++] = fd;
    return err;
}

int nts_server_fd(const struct nts_server *server)
{
    return server->epoll_fd;
}

void nts_server_get_counts(const struct nts_server *server, struct nts_server_counts *out)
{
    *out = server->counts;
}

/* ---- one connection ---- */

static void write_response(struct nts_server *server, const struct nts_keys *keys, const struct nts_message *request,
                           struct nts_writer *writer)
{
    uint8_t cookie[NTS_COOKIE_LENGTH];

    if (request->ntpv4)
        nts_write_u16(writer, true, NTS_RECORD_PROTOCOLS, PROTOCOL_NTPV4);
    else
        nts_write(writer, true, NTS_RECORD_PROTOCOLS, NULL, 0);
    if (request->ntpv4 && request->aes_siv)
        nts_write_u16(writer, true, NTS_RECORD_AEADS, NTS_AEAD_AES_SIV_CMAC_256);
    else if (request->ntpv4)
        nts_write(writer, true, NTS_RECORD_AEADS, NULL, 0);
    if (!request->ntpv4 || !request->aes_siv)
        return;
    if (server->config.ntp_name[0])
        nts_write(writer, true, NTS_RECORD_SERVER, server->config.ntp_name, strlen(server->config.ntp_name));
    if (server->config.ntp_port && server->config.ntp_port != NTP_PORT)
        nts_write_u16(writer, true, NTS_RECORD_PORT, server->config.ntp_port);
    for (unsigned i = 0; i < NTS_COOKIES_MAX; i++) {
        nts_cookies_make(server->cookies, keys, cookie);
        nts_write(writer, false, NTS_RECORD_COOKIE, cookie, sizeof cookie);
    }
}

static int error_of(const struct nts_message *request)
{
    if (request->unknown >= 0)
        return NTS_ERROR_UNKNOWN_RECORD;
    if (!request->has_protocols || (request->ntpv4 && !request->has_aeads) || request->error != NTS_ERROR_NONE)
        return NTS_ERROR_BAD_REQUEST;
    return NTS_ERROR_NONE;
}

static void respond(struct nts_server *server, struct connection *connection, const uint8_t *bytes, size_t length)
{
    struct nts_writer writer = {.bytes = connection->response, .size = sizeof connection->response};
    struct nts_message request;
    struct nts_keys keys;
    int error = NTS_ERROR_BAD_REQUEST;

    if (nts_message_parse(bytes, length, &request) == 0)
        error = error_of(&request);
    if (error == NTS_ERROR_NONE && nts_tls_export(connection->tls, &keys) < 0)
        error = NTS_ERROR_INTERNAL;
    if (error == NTS_ERROR_NONE) {
        write_response(server, &keys, &request, &writer);
        server->counts.served++;
    } else {
        nts_write_u16(&writer, true, NTS_RECORD_ERROR, (uint16_t)error);
        server->counts.failed++;
    }
    nts_write(&writer, true, NTS_RECORD_END, NULL, 0);
    connection->response_length = writer.length;
    explicit_bzero(&keys, sizeof keys);
}

/* Closing with unread bytes would reset the connection, and the client might lose the response. */
static int linger(const struct connection *connection)
{
    char bytes[256];
    ssize_t got;

    for (int i = 0; i < 16; i++) {
        got = recv(connection->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (got <= 0)
            return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : 1;
    }
    return 0;
}

static int step(struct nts_server *server, struct connection *connection)
{
    const uint8_t *message;
    size_t length;
    int done;

    switch (connection->phase) {
    case PHASE_HANDSHAKE:
        return nts_tls_handshake(connection->tls);
    case PHASE_RECEIVE:
        done = nts_tls_receive(connection->tls, &message, &length);
        if (done == 1)
            respond(server, connection, message, length);
        return done;
    case PHASE_SEND:
        return nts_tls_send(connection->tls, connection->response, connection->response_length);
    case PHASE_BYE:
        done = nts_tls_bye(connection->tls);
        if (done == 1)
            shutdown(connection->fd, SHUT_WR);
        return done;
    default:
        return linger(connection);
    }
}

static void advance(struct nts_server *server, unsigned index)
{
    struct connection *connection = &server->connection[index];
    char text[NET_ADDR_TEXT_MAX];
    int done;

    while ((done = step(server, connection)) == 1) {
        if (connection->phase++ == PHASE_LINGER) {
            drop(server, connection);
            return;
        }
    }
    if (done < 0) {
        log_debug("nts server: %s: %s", net_addr_format(&connection->address, text), nts_tls_problem(connection->tls));
        server->counts.failed += connection->phase < PHASE_SEND;
        drop(server, connection);
        return;
    }
    watch(server, EPOLL_CTL_MOD, connection->fd,
          connection->phase == PHASE_LINGER ? EPOLLIN : nts_tls_events(connection->tls), index);
}

/* ---- new connections ---- */

static int64_t cost_ns(const struct nts_server *server)
{
    return NS_PER_S / server->config.handshakes_per_s;
}

static void refill(struct nts_server *server, int64_t now_ns)
{
    if (server->refilled_ns == INT64_MIN || now_ns - server->refilled_ns > NS_PER_S)
        server->tokens_ns = NS_PER_S;
    else if (now_ns > server->refilled_ns)
        server->tokens_ns += now_ns - server->refilled_ns;
    if (server->tokens_ns > NS_PER_S)
        server->tokens_ns = NS_PER_S;
    server->refilled_ns = now_ns;
}

static bool may_accept(const struct nts_server *server)
{
    return server->tokens_ns >= cost_ns(server) && server->counts.open < server->config.connections;
}

static unsigned find_free(const struct nts_server *server)
{
    unsigned index = 0;

    while (server->connection[index].phase != PHASE_FREE)
        index++;
    return index;
}

static bool too_many_of(const struct nts_server *server, const struct net_addr *address)
{
    unsigned count = 0;

    for (unsigned i = 0; i < server->config.connections; i++) {
        const struct connection *connection = &server->connection[i];

        count += connection->phase != PHASE_FREE && net_addr_equal(&connection->address, address);
    }
    return count >= server->config.connections_each;
}

static int begin(struct nts_server *server, int fd, const struct net_addr *address, int64_t now_ns)
{
    unsigned index = find_free(server);
    struct connection *connection = &server->connection[index];
    struct nts_tls *tls;

    if (too_many_of(server, address))
        return LOCKSTEP_E_EXHAUSTED;
    tls = nts_tls_server(fd, server->credentials, NTS_REQUEST_MAX);
    if (!tls)
        return -ENOMEM;
    if (watch(server, EPOLL_CTL_ADD, fd, EPOLLIN, index) < 0) {
        nts_tls_destroy(tls);
        return -ENOSPC;
    }
    connection->phase = PHASE_HANDSHAKE;
    connection->fd = fd;
    connection->address = *address;
    connection->deadline_ns = now_ns + server->config.timeout_ns;
    connection->tls = tls;
    connection->response_length = 0;
    server->counts.open++;
    server->counts.accepted++;
    server->tokens_ns -= cost_ns(server);
    return 0;
}

static void accept_some(struct nts_server *server, int listener, int64_t now_ns)
{
    for (int i = 0; i < ACCEPTS_A_RUN && may_accept(server); i++) {
        struct sockaddr_storage from;
        socklen_t length = sizeof from;
        struct net_endpoint endpoint;
        int fd = accept4(listener, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0)
            return;
        if (net_endpoint_from_sockaddr((struct sockaddr *)&from, length, &endpoint) < 0 ||
            begin(server, fd, &endpoint.addr, now_ns) < 0) {
            server->counts.refused++;
            close(fd);
        }
    }
}

/* Those that may not come in yet wait in the kernel. */
static void watch_listeners(struct nts_server *server)
{
    bool listening = may_accept(server);

    if (listening == server->listening)
        return;
    for (unsigned i = 0; i < server->listener_count; i++)
        watch(server, EPOLL_CTL_MOD, server->listener[i], listening ? EPOLLIN : 0, EVENT_LISTENER | i);
    server->listening = listening;
}

/* ---- the loop's share ---- */

static int64_t expire(struct nts_server *server, int64_t now_ns)
{
    int64_t deadline_ns = INT64_MAX;

    for (unsigned i = 0; i < server->config.connections; i++) {
        struct connection *connection = &server->connection[i];

        if (connection->phase == PHASE_FREE)
            continue;
        if (now_ns >= connection->deadline_ns) {
            server->counts.timed_out += connection->phase < PHASE_LINGER;
            drop(server, connection);
        } else if (connection->deadline_ns < deadline_ns) {
            deadline_ns = connection->deadline_ns;
        }
    }
    return deadline_ns;
}

int64_t nts_server_run(struct nts_server *server, int64_t now_ns, int64_t utc_s)
{
    struct epoll_event events[EVENTS_A_RUN];
    int64_t deadline_ns = nts_cookies_run(server->cookies, now_ns, utc_s), next_ns;
    int count = epoll_wait(server->epoll_fd, events, EVENTS_A_RUN, 0);

    refill(server, now_ns);
    for (int i = 0; i < count; i++) {
        uint64_t number = events[i].data.u64;

        if (number & EVENT_LISTENER)
            accept_some(server, server->listener[number & (EVENT_LISTENER - 1)], now_ns);
        else if (server->connection[number].phase != PHASE_FREE)
            advance(server, (unsigned)number);
    }
    next_ns = expire(server, now_ns);
    watch_listeners(server);
    if (!server->listening && server->counts.open < server->config.connections && now_ns + cost_ns(server) < next_ns)
        next_ns = now_ns + cost_ns(server);
    return next_ns < deadline_ns ? next_ns : deadline_ns;
}
