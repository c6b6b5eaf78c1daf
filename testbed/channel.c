/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/channel.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#define KEY_MIN       16
#define KEY_MAX       64
#define PSK_NAME      "lockstep-testbed"
#define READ_STEP     16384
#define PRIORITY_PSK  "SECURE128:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+ECDHE-PSK"
#define PRIORITY_X509 "SECURE128:-VERS-ALL:+VERS-TLS1.3"

struct bytes {
    uint8_t *data;
    size_t start, end, size;
};

struct channel_credentials {
    gnutls_psk_client_credentials_t psk_client;
    gnutls_psk_server_credentials_t psk_server;
    gnutls_certificate_credentials_t certificates;
    uint8_t key[KEY_MAX];
    unsigned key_length;
};

struct channel {
    int fd;
    bool server, ready, wants_write;
    const struct channel_credentials *credentials;
    gnutls_session_t session;
    struct bytes in, out;
    size_t taken; /* of in, by the message that channel_next gave last */
    int ended;    /* negative code */
    char problem[CHANNEL_PROBLEM_MAX];
};

/* ---- messages ---- */

long channel_parse(const uint8_t *bytes, size_t length, struct channel_message *out)
{
    size_t size;

    if (length < 4)
        return 0;
    size = (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
    if (size < 1)
        return LOCKSTEP_E_BAD_FORMAT;
    if (size > CHANNEL_MESSAGE_MAX + 1)
        return LOCKSTEP_E_BAD_VALUE;
    if (length >= CHANNEL_HEADER && bytes[4] >= CHANNEL_KINDS)
        return LOCKSTEP_E_BAD_FORMAT;
    if (length < 4 + size)
        return 0;
    *out = (struct channel_message){(enum channel_kind)bytes[4], bytes + CHANNEL_HEADER, size - 1};
    return (long)(4 + size);
}

static uint8_t *reserve(struct bytes *bytes, size_t length)
{
    if (bytes->start > 0 && bytes->end + length > bytes->size) {
        memmove(bytes->data, bytes->data + bytes->start, bytes->end - bytes->start);
        bytes->end -= bytes->start;
        bytes->start = 0;
    }
    if (bytes->end + length > bytes->size) {
        size_t size = 2 * (bytes->end + length);
        uint8_t *data = realloc(bytes->data, size);

        if (!data)
            return NULL;
        bytes->data = data;
        bytes->size = size;
    }
    return bytes->data + bytes->end;
}

static size_t waiting(const struct bytes *bytes)
{
    return bytes->end - bytes->start;
}

/* ---- credentials ---- */

static int complain(char *problem, int code, const char *format, const char *name, const char *why)
{
    snprintf(problem, CHANNEL_PROBLEM_MAX, format, name, why);
    return code;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Hexadecimal digits, then nothing but blanks. */
static int decode_key(const char *text, uint8_t key[KEY_MAX], unsigned *length)
{
    *length = 0;
    while (hex_digit(text[0]) >= 0 && hex_digit(text[1]) >= 0 && *length < KEY_MAX) {
        key[(*length)++] = (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1]));
        text += 2;
    }
    while (isspace((unsigned char)*text))
        text++;
    return *text || *length < KEY_MIN ? LOCKSTEP_E_BAD_FORMAT : 0;
}

static int check_private(const char *path, char *problem)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return complain(problem, -errno, "cannot read %s: %s", path, strerror(errno));
    if (status.st_mode & 077)
        return complain(problem, LOCKSTEP_E_DENIED, "%s: %s", path, "others can read it; chmod 600 mends that");
    return 0;
}

static int load_key(struct channel_credentials *credentials, const char *path, char *problem)
{
    char text[4 * KEY_MAX];
    ssize_t length;
    int fd, err = check_private(path, problem);

    if (err < 0)
        return err;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (length < 0)
        err = complain(problem, -errno, "cannot read %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (err < 0)
        return err;
    text[length] = '\0';
    err = decode_key(text, credentials->key, &credentials->key_length);
    explicit_bzero(text, sizeof text);
    return err < 0 ? complain(problem, err, "%s: %s", path, "not 32 to 128 hexadecimal digits") : 0;
}

static int give_key(gnutls_session_t session, const char *name, gnutls_datum_t *key)
{
    struct channel *channel = gnutls_session_get_ptr(session);

    if (strcmp(name, PSK_NAME) != 0)
        return -1;
    key->data = gnutls_malloc(channel->credentials->key_length);
    if (!key->data)
        return -1;
    memcpy(key->data, channel->credentials->key, channel->credentials->key_length);
    key->size = channel->credentials->key_length;
    return 0;
}

static int prepare_key(struct channel_credentials *credentials)
{
    gnutls_datum_t key = {credentials->key, credentials->key_length};

    if (gnutls_psk_allocate_client_credentials(&credentials->psk_client) < 0 ||
        gnutls_psk_set_client_credentials(credentials->psk_client, PSK_NAME, &key, GNUTLS_PSK_KEY_RAW) < 0 ||
        gnutls_psk_allocate_server_credentials(&credentials->psk_server) < 0)
        return -ENOMEM;
    gnutls_psk_set_server_credentials_function(credentials->psk_server, give_key);
    return 0;
}

static int load_certificates(struct channel_credentials *credentials, const struct channel_files *files, char *problem)
{
    int err;

    if (!files->certificate || !files->certificate_key || !files->authority)
        return complain(problem, LOCKSTEP_E_BAD_VALUE, "%s: %s", "control connection",
                        "needs a key file, or all of certificate, its key and the authority");
    err = check_private(files->certificate_key, problem);
    if (err < 0)
        return err;
    if (gnutls_certificate_allocate_credentials(&credentials->certificates) < 0)
        return complain(problem, -ENOMEM, "%s: %s", "control connection", "no memory");
    err = gnutls_certificate_set_x509_trust_file(credentials->certificates, files->authority, GNUTLS_X509_FMT_PEM);
    if (err <= 0)
        return complain(problem, LOCKSTEP_E_BAD_FORMAT, "cannot load the authority's certificate %s: %s",
                        files->authority, err < 0 ? gnutls_strerror(err) : "there is none in it");
    err = gnutls_certificate_set_x509_key_file(credentials->certificates, files->certificate, files->certificate_key,
                                               GNUTLS_X509_FMT_PEM);
    if (err < 0)
        return complain(problem, LOCKSTEP_E_BAD_FORMAT, "cannot load the certificate %s: %s", files->certificate,
                        gnutls_strerror(err));
    return 0;
}

int channel_credentials_load(const struct channel_files *files, struct channel_credentials **out,
                             char problem[CHANNEL_PROBLEM_MAX])
{
    struct channel_credentials *credentials = calloc(1, sizeof *credentials);
    int err;

    *out = NULL;
    if (!credentials)
        return complain(problem, -ENOMEM, "%s: %s", "control connection", "no memory");
    if (files->key_file) {
        err = load_key(credentials, files->key_file, problem);
        if (err == 0 && prepare_key(credentials) < 0)
            err = complain(problem, -ENOMEM, "%s: %s", "control connection", "no memory");
    } else {
        err = load_certificates(credentials, files, problem);
    }
    if (err < 0) {
        channel_credentials_free(credentials);
        return err;
    }
    *out = credentials;
    return 0;
}

void channel_credentials_free(struct channel_credentials *credentials)
{
    if (!credentials)
        return;
    if (credentials->psk_client)
        gnutls_psk_free_client_credentials(credentials->psk_client);
    if (credentials->psk_server)
        gnutls_psk_free_server_credentials(credentials->psk_server);
    if (credentials->certificates)
        gnutls_certificate_free_credentials(credentials->certificates);
    explicit_bzero(credentials->key, sizeof credentials->key);
    free(credentials);
}

/* ---- the session ---- */

static int set_credentials(struct channel *channel, const char *host)
{
    const struct channel_credentials *credentials = channel->credentials;
    int err;

    if (!credentials->certificates) {
        err = gnutls_priority_set_direct(channel->session, PRIORITY_PSK, NULL);
        if (err < 0)
            return err;
        return gnutls_credentials_set(channel->session, GNUTLS_CRD_PSK,
                                      channel->server ? (void *)credentials->psk_server
                                                      : (void *)credentials->psk_client);
    }
    err = gnutls_priority_set_direct(channel->session, PRIORITY_X509, NULL);
    if (err < 0)
        return err;
    if (channel->server)
        gnutls_certificate_server_set_request(channel->session, GNUTLS_CERT_REQUIRE);
    gnutls_session_set_verify_cert(channel->session, channel->server ? NULL : host, 0);
    return gnutls_credentials_set(channel->session, GNUTLS_CRD_CERTIFICATE, credentials->certificates);
}

struct channel *channel_create(int fd, bool server, const struct channel_credentials *credentials, const char *host)
{
    struct channel *channel = calloc(1, sizeof *channel);

    if (!channel) {
        close(fd);
        return NULL;
    }
    *channel = (struct channel){.fd = fd, .server = server, .credentials = credentials, .wants_write = !server};
    if (gnutls_init(&channel->session, (server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL |
                                           GNUTLS_NO_TICKETS) < 0 ||
        set_credentials(channel, host) < 0) {
        channel_destroy(channel);
        return NULL;
    }
    gnutls_session_set_ptr(channel->session, channel);
    gnutls_transport_set_int(channel->session, fd);
    gnutls_handshake_set_timeout(channel->session, CHANNEL_HANDSHAKE_MS);
    return channel;
}

void channel_destroy(struct channel *channel)
{
    if (!channel)
        return;
    if (channel->session) {
        if (channel->ready && channel->ended == 0)
            gnutls_bye(channel->session, GNUTLS_SHUT_WR);
        gnutls_deinit(channel->session);
    }
    close(channel->fd);
    free(channel->in.data);
    free(channel->out.data);
    free(channel);
}

int channel_fd(const struct channel *channel)
{
    return channel->fd;
}

short channel_events(const struct channel *channel)
{
    return (short)(POLLIN | (channel->wants_write || (channel->ready && waiting(&channel->out)) ? POLLOUT : 0));
}

bool channel_ready(const struct channel *channel)
{
    return channel->ready;
}

const char *channel_problem(const struct channel *channel)
{
    return channel->problem;
}

static int end(struct channel *channel, int code, const char *why)
{
    snprintf(channel->problem, sizeof channel->problem, "%s", why);
    channel->ended = code;
    return code;
}

/* What a failed handshake most likely means, in the operator's words. */
static int end_handshake(struct channel *channel, int err)
{
    switch (err) {
    case GNUTLS_E_DECRYPTION_FAILED:
    case GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER:
    case GNUTLS_E_NO_CIPHER_SUITES:
    case GNUTLS_E_INSUFFICIENT_CREDENTIALS:
    case GNUTLS_E_FATAL_ALERT_RECEIVED:
        return end(channel, LOCKSTEP_E_DENIED, "the other side has another key (or expects certificates)");
    case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR:
    case GNUTLS_E_CERTIFICATE_ERROR:
    case GNUTLS_E_NO_CERTIFICATE_FOUND:
    case GNUTLS_E_CERTIFICATE_REQUIRED:
        return end(channel, LOCKSTEP_E_DENIED,
                   "the other side's certificate is not from the trusted authority, or not its own");
    case GNUTLS_E_PREMATURE_TERMINATION:
    case GNUTLS_E_PULL_ERROR:
    case GNUTLS_E_PUSH_ERROR:
        return end(channel, LOCKSTEP_E_GONE, "the connection broke before both sides knew each other (another key?)");
    case GNUTLS_E_TIMEDOUT:
        return end(channel, -ETIMEDOUT, "the other side does not answer");
    default:
        return end(channel, LOCKSTEP_E_BAD_FORMAT, gnutls_strerror(err));
    }
}

static int shake_hands(struct channel *channel)
{
    socklen_t length = sizeof(int);
    int err;

    if (getsockopt(channel->fd, SOL_SOCKET, SO_ERROR, &err, &length) == 0 && err)
        return end(channel, -err, strerror(err)); /* of connect */
    err = gnutls_handshake(channel->session);
    if (err == GNUTLS_E_AGAIN || err == GNUTLS_E_INTERRUPTED) {
        channel->wants_write = gnutls_record_get_direction(channel->session) == 1;
        return 0;
    }
    if (err < 0 && !gnutls_error_is_fatal(err))
        return 0;
    if (err < 0)
        return end_handshake(channel, err);
    channel->ready = true;
    channel->wants_write = false;
    return 0;
}

static int receive(struct channel *channel)
{
    for (;;) {
        uint8_t *room;
        ssize_t length;

        if (waiting(&channel->in) > CHANNEL_MESSAGE_MAX + CHANNEL_HEADER)
            return 0; /* until the owner takes the message out */
        room = reserve(&channel->in, READ_STEP);
        if (!room)
            return end(channel, -ENOMEM, "no memory");
        length = gnutls_record_recv(channel->session, room, READ_STEP);
        if (length == GNUTLS_E_AGAIN)
            return 0;
        if (length == GNUTLS_E_INTERRUPTED || (length < 0 && !gnutls_error_is_fatal((int)length)))
            continue;
        if (length <= 0)
            return end(channel, LOCKSTEP_E_GONE,
                       length == 0 ? "closed by the other side" : gnutls_strerror((int)length));
        channel->in.end += (size_t)length;
    }
}

static int transmit(struct channel *channel)
{
    while (waiting(&channel->out)) {
        ssize_t length =
            gnutls_record_send(channel->session, channel->out.data + channel->out.start, waiting(&channel->out));

        if (length == GNUTLS_E_AGAIN)
            return 0;
        if (length == GNUTLS_E_INTERRUPTED)
            continue;
        if (length < 0)
            return end(channel, LOCKSTEP_E_GONE, gnutls_strerror((int)length));
        channel->out.start += (size_t)length;
    }
    channel->out.start = channel->out.end = 0;
    return 0;
}

/* What was received before the end is still there for channel_next. */
int channel_work(struct channel *channel)
{
    if (channel->ended < 0)
        return channel->ended;
    if (!channel->ready && shake_hands(channel) < 0)
        return channel->ended;
    if (channel->ready && transmit(channel) == 0)
        receive(channel);
    return channel->ended;
}

int channel_flush(struct channel *channel)
{
    if (channel->ended == 0 && channel->ready)
        transmit(channel);
    return channel->ended;
}

int channel_send(struct channel *channel, enum channel_kind kind, const void *payload, size_t length)
{
    uint8_t *room;

    if (length > CHANNEL_MESSAGE_MAX || waiting(&channel->out) + length > CHANNEL_QUEUE_MAX)
        return LOCKSTEP_E_EXHAUSTED;
    room = reserve(&channel->out, length + CHANNEL_HEADER);
    if (!room)
        return -ENOMEM;
    room[0] = (uint8_t)((length + 1) >> 24);
    room[1] = (uint8_t)((length + 1) >> 16);
    room[2] = (uint8_t)((length + 1) >> 8);
    room[3] = (uint8_t)(length + 1);
    room[4] = (uint8_t)kind;
    memcpy(room + CHANNEL_HEADER, payload, length);
    channel->out.end += length + CHANNEL_HEADER;
    return 0;
}

bool channel_next(struct channel *channel, struct channel_message *out)
{
    long length;

    channel->in.start += channel->taken;
    channel->taken = 0;
    length = channel_parse(channel->in.data + channel->in.start, waiting(&channel->in), out);
    if (length < 0) {
        end(channel, (int)length,
            length == LOCKSTEP_E_BAD_VALUE ? "sent a message that is too long" : "sent something that is no message");
        return false;
    }
    channel->taken = (size_t)length;
    return length > 0;
}

size_t channel_queued(const struct channel *channel)
{
    return waiting(&channel->out);
}
