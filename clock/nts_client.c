/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/nts_client.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "clock/nts_records.h"
#include "clock/nts_session.h"
#include "clock/nts_tls.h"

#define NS_PER_S           1000000000ll
#define TIMEOUT_NS         (5 * NS_PER_S)
#define REFRESH_NS         (24 * 3600 * NS_PER_S)
#define RETRY_FIRST_NS     (10 * NS_PER_S) /* RFC 8915, section 4.2 */
#define RETRY_MOST_NS      (3600 * NS_PER_S)
#define REQUEST_LENGTH_MAX 64

enum phase { PHASE_NONE, PHASE_CONNECT, PHASE_HANDSHAKE, PHASE_SEND, PHASE_RECEIVE };

struct nts_client {
    struct nts_client_config config;
    gnutls_datum_t ca; /* PEM; data NULL: the system's */
    struct nts_session *session;
    bool auth_taken;
    int epoll_fd, fd; /* fd: -1 if there is no connection */
    enum phase phase;
    bool wanted;
    gnutls_certificate_credentials_t credentials;
    struct nts_tls *tls;
    int64_t deadline_ns, next_ns, retry_ns, keyed_ns;
    char ntp_name[NTS_CLIENT_NAME_MAX];
    uint16_t ntp_port;
    char problem[NTS_CLIENT_PROBLEM_MAX];
};

/* ---- creation ---- */

static int load_trust(struct nts_client *client, char *problem)
{
    gnutls_certificate_credentials_t credentials;
    char reason[NTS_TLS_PROBLEM_MAX];
    int count, err;

    if (!client->config.ca_file)
        return 0;
    err = nts_tls_load(client->config.ca_file, 0, &client->ca, reason);
    if (err < 0) {
        snprintf(problem, NTS_CLIENT_PROBLEM_MAX, "nts: %.80s: %s", client->config.name, reason);
        return err;
    }
    if (gnutls_certificate_allocate_credentials(&credentials) < 0)
        return -ENOMEM;
    count = gnutls_certificate_set_x509_trust_mem(credentials, &client->ca, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(credentials);
    if (count > 0)
        return 0;
    snprintf(problem, NTS_CLIENT_PROBLEM_MAX, "nts: %.80s: %.256s has no certificate that can be read",
             client->config.name, client->config.ca_file);
    return LOCKSTEP_E_BAD_FORMAT;
}

static int prepare(struct nts_client *client, char *problem)
{
    client->session = nts_session_create();
    client->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!client->session || client->epoll_fd < 0) {
        int err = client->session ? -errno : -ENOMEM;

        snprintf(problem, NTS_CLIENT_PROBLEM_MAX, "nts: %.80s: %s", client->config.name, error_text(err));
        return err;
    }
    return load_trust(client, problem);
}

int nts_client_create(const struct nts_client_config *config, struct nts_client **out,
                      char problem[NTS_CLIENT_PROBLEM_MAX])
{
    struct nts_client *client = calloc(1, sizeof *client);
    int err;

    problem[0] = '\0';
    if (!client) {
        snprintf(problem, NTS_CLIENT_PROBLEM_MAX, "nts: %.80s: %s", config->name, error_text(-ENOMEM));
        return -ENOMEM;
    }
    client->config = *config;
    client->config.timeout_ns = config->timeout_ns ? config->timeout_ns : TIMEOUT_NS;
    client->config.refresh_ns = config->refresh_ns ? config->refresh_ns : REFRESH_NS;
    client->retry_ns = RETRY_FIRST_NS;
    client->fd = client->epoll_fd = -1;
    client->next_ns = INT64_MIN;
    client->ntp_port = NTP_PORT;
    err = prepare(client, problem);
    client->config.ca_file = NULL; /* the caller's */
    if (err < 0) {
        nts_client_destroy(client);
        return err;
    }
    *out = client;
    return 0;
}

/* The trusted certificates of the system take megabytes: they are there during a handshake only. */
static void hang_up(struct nts_client *client)
{
    nts_tls_destroy(client->tls);
    if (client->credentials)
        gnutls_certificate_free_credentials(client->credentials);
    if (client->fd >= 0)
        close(client->fd);
    if (client->credentials && !client->ca.data)
        malloc_trim(0);
    client->tls = NULL;
    client->credentials = NULL;
    client->fd = -1;
    client->phase = PHASE_NONE;
}

void nts_client_destroy(struct nts_client *client)
{
    if (!client)
        return;
    hang_up(client);
    if (client->epoll_fd >= 0)
        close(client->epoll_fd);
    nts_session_release(client->session);
    free(client->ca.data);
    free(client);
}

struct ntp_auth *nts_client_auth(struct nts_client *client)
{
    if (client->auth_taken)
        return NULL;
    client->auth_taken = true;
    return nts_session_auth(client->session);
}

/* ---- key establishment ---- */

static void back_off(struct nts_client *client, int64_t now_ns)
{
    client->next_ns = now_ns + client->retry_ns;
    client->retry_ns += client->retry_ns / 2;
    if (client->retry_ns > RETRY_MOST_NS)
        client->retry_ns = RETRY_MOST_NS;
}

void nts_client_failed(struct nts_client *client, int64_t now_ns, const char *why)
{
    /* why may be the channel's own. */
    snprintf(client->problem, sizeof client->problem, "nts: %.128s: %.320s", client->config.name, why);
    hang_up(client);
    client->wanted = false;
    back_off(client, now_ns);
    log_warning("%s; next try in %d s", client->problem, (int)((client->next_ns - now_ns) / NS_PER_S));
}

static int prepare_tls(struct nts_client *client)
{
    int count;

    if (gnutls_certificate_allocate_credentials(&client->credentials) < 0)
        return -ENOMEM;
    if (client->ca.data)
        count = gnutls_certificate_set_x509_trust_mem(client->credentials, &client->ca, GNUTLS_X509_FMT_PEM);
    else
        count = gnutls_certificate_set_x509_system_trust(client->credentials);
    if (count <= 0)
        return LOCKSTEP_E_DENIED;
    client->tls = nts_tls_client(client->fd, client->credentials, client->config.name,
                                 client->config.ignore_validity_time, NTS_RESPONSE_MAX);
    return client->tls ? 0 : -ENOMEM;
}

int nts_client_start(struct nts_client *client, int fd, int64_t now_ns)
{
    struct epoll_event event = {.events = EPOLLOUT};
    int err;

    hang_up(client);
    client->fd = fd;
    err = epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : prepare_tls(client);
    if (err < 0) {
        nts_client_failed(client, now_ns,
                          err == LOCKSTEP_E_DENIED ? "the system has no trusted certificates: name a file of them"
                                                   : error_text(err));
        return err;
    }
    client->phase = PHASE_CONNECT;
    client->wanted = false;
    client->deadline_ns = now_ns + client->config.timeout_ns;
    return 0;
}

/* 1: connected, 0: not yet. */
static int check_connected(struct nts_client *client, char *why, size_t size)
{
    struct epoll_event event;
    int err = 0;
    socklen_t length = sizeof err;

    if (epoll_wait(client->epoll_fd, &event, 1, 0) <= 0)
        return 0;
    if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &err, &length) < 0)
        err = errno;
    if (err == 0)
        return 1;
    snprintf(why, size, "cannot connect to the key server: %s", error_text(-err));
    return -err;
}

static const char *judge(const struct nts_message *message)
{
    if (message->error == NTS_ERROR_UNKNOWN_RECORD)
        return "the key server refuses: unknown critical record";
    if (message->error == NTS_ERROR_BAD_REQUEST)
        return "the key server refuses: bad request";
    if (message->error == NTS_ERROR_INTERNAL)
        return "the key server refuses: internal error";
    if (message->error != NTS_ERROR_NONE)
        return "the key server refuses";
    if (message->warning != NTS_ERROR_NONE || message->unknown >= 0)
        return "the key server demands something that is not known here";
    if (!message->has_protocols || !message->ntpv4)
        return "the key server does not offer NTPv4";
    if (!message->has_aeads || !message->aes_siv)
        return "the key server does not offer AES-SIV-CMAC-256";
    if (message->cookie_count == 0)
        return "the key server gives no cookies";
    return NULL;
}

static void take_over(struct nts_client *client, const struct nts_message *message, const struct nts_keys *keys,
                      int64_t now_ns)
{
    nts_session_renew(client->session, keys, message);
    snprintf(client->ntp_name, sizeof client->ntp_name, "%s", message->server);
    client->ntp_port = message->port ? message->port : NTP_PORT;
    client->keyed_ns = now_ns;
    client->problem[0] = '\0';
    back_off(client, now_ns); /* keys that prove useless are not asked for again and again */
    log_info("nts: %s: new keys and %u cookies%s%s", client->config.name, nts_session_cookies(client->session),
             client->ntp_name[0] ? " for NTP server " : "", client->ntp_name);
}

static int take_response(struct nts_client *client, const uint8_t *bytes, size_t length, int64_t now_ns,
                         const char **why)
{
    struct nts_message message;
    struct nts_keys keys;
    int err = nts_message_parse(bytes, length, &message);

    *why = err < 0 ? "the key server's answer is malformed" : judge(&message);
    if (*why)
        return LOCKSTEP_E_NO_SERVICE;
    err = nts_tls_export(client->tls, &keys);
    if (err < 0) {
        *why = nts_tls_problem(client->tls);
        return err;
    }
    take_over(client, &message, &keys, now_ns);
    explicit_bzero(&keys, sizeof keys);
    nts_tls_bye(client->tls); /* politeness; nothing waits for it */
    return 1;
}

/* One phase. 1: done, 0: waits, negative: failed, why. */
static int step(struct nts_client *client, int64_t now_ns, char *text, size_t size, const char **why)
{
    uint8_t request[REQUEST_LENGTH_MAX];
    struct nts_writer writer = {.bytes = request, .size = sizeof request};
    const uint8_t *message;
    size_t length;
    int done;

    if (client->phase == PHASE_CONNECT) {
        *why = text;
        return check_connected(client, text, size);
    }
    *why = nts_tls_problem(client->tls);
    if (client->phase == PHASE_HANDSHAKE)
        return nts_tls_handshake(client->tls);
    if (client->phase == PHASE_SEND) {
        nts_write_request(&writer);
        return nts_tls_send(client->tls, request, writer.length);
    }
    done = nts_tls_receive(client->tls, &message, &length);
    return done == 1 ? take_response(client, message, length, now_ns, why) : done;
}

static const char *overdue(enum phase phase)
{
    switch (phase) {
    case PHASE_CONNECT:
        return "cannot connect to the key server: no answer in time";
    case PHASE_HANDSHAKE:
        return "TLS: no answer in time";
    default:
        return "the key server did not answer in time";
    }
}

static void advance(struct nts_client *client, int64_t now_ns)
{
    struct epoll_event event = {0};
    char text[160] = "";
    const char *why = text;
    int done = 1;

    while (done == 1 && client->phase != PHASE_NONE) {
        done = step(client, now_ns, text, sizeof text, &why);
        if (done == 1 && client->phase++ == PHASE_RECEIVE)
            hang_up(client);
    }
    if (done < 0) {
        nts_client_failed(client, now_ns, why);
    } else if (client->phase != PHASE_NONE && now_ns >= client->deadline_ns) {
        nts_client_failed(client, now_ns, overdue(client->phase));
    } else if (client->phase > PHASE_CONNECT) {
        event.events = nts_tls_events(client->tls);
        epoll_ctl(client->epoll_fd, EPOLL_CTL_MOD, client->fd, &event);
    }
}

int64_t nts_client_run(struct nts_client *client, int64_t now_ns)
{
    bool needs;

    if (client->phase != PHASE_NONE)
        advance(client, now_ns);
    if (client->phase != PHASE_NONE)
        return client->deadline_ns;
    if (nts_session_was_proven(client->session))
        client->retry_ns = RETRY_FIRST_NS;
    needs = nts_session_needs_keys(client->session) || now_ns - client->keyed_ns >= client->config.refresh_ns;
    client->wanted = needs && now_ns >= client->next_ns;
    if (client->wanted)
        return INT64_MAX; /* the next step is the caller's */
    return needs ? client->next_ns : client->keyed_ns + client->config.refresh_ns;
}

/* ---- state ---- */

enum nts_client_state nts_client_state(const struct nts_client *client)
{
    if (client->phase != PHASE_NONE)
        return NTS_CLIENT_EXCHANGES;
    if (client->wanted)
        return NTS_CLIENT_WANTED;
    return nts_session_cookies(client->session) > 0 ? NTS_CLIENT_READY : NTS_CLIENT_IDLE;
}

int nts_client_fd(const struct nts_client *client)
{
    return client->epoll_fd;
}

const char *nts_client_problem(const struct nts_client *client)
{
    return client->problem;
}

void nts_client_server(const struct nts_client *client, char name[NTS_CLIENT_NAME_MAX], uint16_t *port)
{
    memcpy(name, client->ntp_name, NTS_CLIENT_NAME_MAX);
    *port = client->ntp_port;
}

unsigned nts_client_cookies(const struct nts_client *client)
{
    return nts_session_cookies(client->session);
}
