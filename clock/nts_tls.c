/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/nts_tls.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/error.h"
#include "clock/nts_records.h"
#include "clock/private_file.h"

#define PRIORITIES   "NORMAL:-VERS-ALL:+VERS-TLS1.3"
#define PEM_MAX      (1024 * 1024)
#define EXPORT_LABEL "EXPORTER-network-time-security"

struct nts_tls {
    gnutls_session_t session;
    const char *name; /* whom the certificate must be for; NULL: server */
    char problem[NTS_TLS_PROBLEM_MAX];
    size_t received, receive_max;
    uint8_t buffer[];
};

/* ---- what went wrong ---- */

static void format_date(time_t when, char text[16])
{
    struct tm tm;

    if (!gmtime_r(&when, &tm) || strftime(text, 16, "%Y-%m-%d", &tm) == 0)
        strcpy(text, "?");
}

/* The names in a certificate, separated by commas. */
static void list_names(gnutls_x509_crt_t certificate, char *text, size_t size)
{
    size_t length = 0;

    text[0] = '\0';
    for (unsigned i = 0; length + 2 < size; i++) {
        char name[128];
        size_t name_size = sizeof name - 1;
        int kind = gnutls_x509_crt_get_subject_alt_name(certificate, i, name, &name_size, NULL);

        if (kind == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            break;
        if (kind != GNUTLS_SAN_DNSNAME)
            continue;
        name[name_size] = '\0';
        length += (size_t)snprintf(text + length, size - length, "%s%s", length ? ", " : "", name);
    }
    if (!text[0])
        snprintf(text, size, "no name");
}

static void explain_certificate(struct nts_tls *tls, gnutls_x509_crt_t certificate, unsigned status)
{
    char words[160], date[16];
    size_t size = sizeof words;

    if (status & GNUTLS_CERT_EXPIRED) {
        format_date(gnutls_x509_crt_get_expiration_time(certificate), date);
        snprintf(tls->problem, sizeof tls->problem, "its certificate, or one above it, has expired (own: on %s)", date);
    } else if (status & GNUTLS_CERT_NOT_ACTIVATED) {
        format_date(gnutls_x509_crt_get_activation_time(certificate), date);
        snprintf(tls->problem, sizeof tls->problem, "its certificate, or one above it, is not valid yet (own: from %s)",
                 date);
    } else if (status & GNUTLS_CERT_UNEXPECTED_OWNER) {
        list_names(certificate, words, sizeof words);
        snprintf(tls->problem, sizeof tls->problem, "its certificate is for %s, not for this name", words);
    } else if (status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNER_NOT_CA)) {
        if (gnutls_x509_crt_get_issuer_dn(certificate, words, &size) < 0)
            snprintf(words, sizeof words, "?");
        snprintf(tls->problem, sizeof tls->problem, "its certificate is not signed by a trusted authority (issuer: %s)",
                 words);
    } else {
        gnutls_datum_t text = {0};

        gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0);
        snprintf(tls->problem, sizeof tls->problem, "its certificate: %s", text.data ? (char *)text.data : "refused");
        gnutls_free(text.data);
    }
}

static void explain_verification(struct nts_tls *tls)
{
    unsigned count = 0, status = gnutls_session_get_verify_cert_status(tls->session);
    const gnutls_datum_t *peer = gnutls_certificate_get_peers(tls->session, &count);
    gnutls_x509_crt_t certificate;

    snprintf(tls->problem, sizeof tls->problem, "its certificate cannot be read");
    if (!peer || count == 0 || gnutls_x509_crt_init(&certificate) < 0)
        return;
    if (gnutls_x509_crt_import(certificate, peer, GNUTLS_X509_FMT_DER) == 0)
        explain_certificate(tls, certificate, status);
    gnutls_x509_crt_deinit(certificate);
}

static int fail(struct nts_tls *tls, const char *what, int err)
{
    if (err == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
        explain_verification(tls);
    else if (err == GNUTLS_E_FATAL_ALERT_RECEIVED)
        snprintf(tls->problem, sizeof tls->problem, "%s: the other side ended it: %s", what,
                 gnutls_alert_get_name(gnutls_alert_get(tls->session)));
    else if (err == GNUTLS_E_PREMATURE_TERMINATION || err == GNUTLS_E_PULL_ERROR || err == GNUTLS_E_PUSH_ERROR)
        snprintf(tls->problem, sizeof tls->problem, "%s: the connection was closed", what);
    else if (err == GNUTLS_E_UNEXPECTED_PACKET_LENGTH || err == GNUTLS_E_UNSUPPORTED_VERSION_PACKET)
        snprintf(tls->problem, sizeof tls->problem, "%s: this is not TLS 1.3", what);
    else
        snprintf(tls->problem, sizeof tls->problem, "%s: %s", what, gnutls_strerror(err));
    return LOCKSTEP_E_NO_SERVICE;
}

static int say(struct nts_tls *tls, int err, const char *problem)
{
    snprintf(tls->problem, sizeof tls->problem, "%s", problem);
    return err;
}

const char *nts_tls_problem(const struct nts_tls *tls)
{
    return tls->problem;
}

/* ---- creation ---- */

int nts_tls_load(const char *path, mode_t forbidden, gnutls_datum_t *out, char *problem)
{
    char *text = malloc(PEM_MAX);
    long length = text ? private_file_read(path, forbidden, text, PEM_MAX) : -ENOMEM;

    if (length < 0) {
        if (length == LOCKSTEP_E_DENIED)
            snprintf(problem, NTS_TLS_PROBLEM_MAX, "%.256s: everybody may read this key: run chmod o= on it", path);
        else
            snprintf(problem, NTS_TLS_PROBLEM_MAX, "cannot read %.256s: %s", path, error_text((int)length));
        free(text);
        return (int)length;
    }
    *out = (gnutls_datum_t){(unsigned char *)realloc(text, (size_t)length + 1), (unsigned)length};
    return 0;
}

static struct nts_tls *create(int fd, gnutls_certificate_credentials_t credentials, unsigned flags, size_t receive_max)
{
    struct nts_tls *tls = calloc(1, sizeof *tls + receive_max);
    gnutls_datum_t protocol = {(unsigned char *)NTS_ALPN, sizeof NTS_ALPN - 1};

    if (!tls)
        return NULL;
    tls->receive_max = receive_max;
    if (gnutls_init(&tls->session, flags | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS) < 0) {
        free(tls);
        return NULL;
    }
    if (gnutls_priority_set_direct(tls->session, PRIORITIES, NULL) < 0 ||
        gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, credentials) < 0 ||
        gnutls_alpn_set_protocols(tls->session, &protocol, 1, GNUTLS_ALPN_MANDATORY) < 0) {
        nts_tls_destroy(tls);
        return NULL;
    }
    gnutls_handshake_set_timeout(tls->session, GNUTLS_INDEFINITE_TIMEOUT); /* the caller watches the time */
    gnutls_transport_set_int(tls->session, fd);
    return tls;
}

/* An address is no server name (RFC 6066, section 3). */
static bool is_address(const char *name)
{
    return strchr(name, ':') || name[strspn(name, "0123456789.")] == '\0';
}

struct nts_tls *nts_tls_client(int fd, gnutls_certificate_credentials_t credentials, const char *name, bool ignore_time,
                               size_t receive_max)
{
    struct nts_tls *tls = create(fd, credentials, GNUTLS_CLIENT, receive_max);

    if (!tls)
        return NULL;
    tls->name = name;
    if (!is_address(name) && gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, name, strlen(name)) < 0) {
        nts_tls_destroy(tls);
        return NULL;
    }
    gnutls_session_set_verify_cert(
        tls->session, name,
        ignore_time ? GNUTLS_VERIFY_DISABLE_TIME_CHECKS | GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS : 0);
    return tls;
}

struct nts_tls *nts_tls_server(int fd, gnutls_certificate_credentials_t credentials, size_t receive_max)
{
    return create(fd, credentials, GNUTLS_SERVER, receive_max);
}

void nts_tls_destroy(struct nts_tls *tls)
{
    if (!tls)
        return;
    gnutls_deinit(tls->session);
    free(tls);
}

/* ---- steps ---- */

static bool waits(int err)
{
    return err == GNUTLS_E_AGAIN || err == GNUTLS_E_INTERRUPTED;
}

int nts_tls_handshake(struct nts_tls *tls)
{
    gnutls_datum_t protocol;
    int err;

    do
        err = gnutls_handshake(tls->session);
    while (err < 0 && !waits(err) && !gnutls_error_is_fatal(err));
    if (waits(err))
        return 0;
    if (err < 0) {
        int told = fail(tls, "TLS", err);

        gnutls_alert_send_appropriate(tls->session, err);
        return told;
    }
    if (gnutls_alpn_get_selected_protocol(tls->session, &protocol) < 0 || protocol.size != sizeof NTS_ALPN - 1 ||
        memcmp(protocol.data, NTS_ALPN, protocol.size) != 0)
        return say(tls, LOCKSTEP_E_NOT_SUPPORTED, "TLS: the other side does not speak " NTS_ALPN);
    return 1;
}

int nts_tls_send(struct nts_tls *tls, const uint8_t *bytes, size_t length)
{
    /* One record takes all: messages are smaller than a record. */
    ssize_t sent = gnutls_record_send(tls->session, bytes, length);

    if (waits((int)sent))
        return 0;
    return sent < 0 ? fail(tls, "sending", (int)sent) : 1;
}

int nts_tls_receive(struct nts_tls *tls, const uint8_t **message, size_t *length)
{
    while (tls->received < tls->receive_max) {
        ssize_t got = gnutls_record_recv(tls->session, tls->buffer + tls->received, tls->receive_max - tls->received);
        int whole;

        if (waits((int)got))
            return 0;
        if (got == 0)
            return say(tls, LOCKSTEP_E_NO_SERVICE, "the connection was closed before the end of the message");
        if (got < 0 && !gnutls_error_is_fatal((int)got))
            continue;
        if (got < 0)
            return fail(tls, "receiving", (int)got);
        tls->received += (size_t)got;
        whole = nts_message_length(tls->buffer, tls->received, tls->receive_max);
        if (whole < 0)
            break;
        if (whole > 0) {
            *message = tls->buffer;
            *length = (size_t)whole;
            return 1;
        }
    }
    return say(tls, LOCKSTEP_E_BAD_FORMAT, "the message is malformed or too long");
}

int nts_tls_bye(struct nts_tls *tls)
{
    int err = gnutls_bye(tls->session, GNUTLS_SHUT_WR);

    if (waits(err))
        return 0;
    return err < 0 ? fail(tls, "closing", err) : 1;
}

uint32_t nts_tls_events(const struct nts_tls *tls)
{
    return gnutls_record_get_direction(tls->session) ? EPOLLOUT : EPOLLIN;
}

int nts_tls_export(struct nts_tls *tls, struct nts_keys *keys)
{
    /* Protocol NTPv4, the AEAD algorithm, and the direction. */
    char context[5] = {0, 0, 0, NTS_AEAD_AES_SIV_CMAC_256, 0};
    int err = gnutls_prf_rfc5705(tls->session, sizeof EXPORT_LABEL - 1, EXPORT_LABEL, sizeof context, context,
                                 NTS_KEY_LENGTH, (char *)keys->c2s);

    context[4] = 1;
    if (err == 0)
        err = gnutls_prf_rfc5705(tls->session, sizeof EXPORT_LABEL - 1, EXPORT_LABEL, sizeof context, context,
                                 NTS_KEY_LENGTH, (char *)keys->s2c);
    return err < 0 ? fail(tls, "keys", err) : 0;
}
