/* SPDX-License-Identifier: BSD-2-Clause */
/* One control connection between controller and listener: messages over TLS 1.3, authenticated on both sides by a
 * shared key or by certificates. Non-blocking; belongs to one thread, which polls the descriptor.
 *
 * A message on the wire: u32 length of what follows (big-endian), u8 kind, payload. */
#ifndef LOCKSTEP_TESTBED_CHANNEL_H
#define LOCKSTEP_TESTBED_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANNEL_PORT         4077
#define CHANNEL_MESSAGE_MAX  (8u << 20) /* payload */
#define CHANNEL_QUEUE_MAX    (64u << 20)
#define CHANNEL_HEADER       5
#define CHANNEL_PROBLEM_MAX  256
#define CHANNEL_HANDSHAKE_MS 5000

enum channel_kind { CHANNEL_JSON, CHANNEL_DATA, CHANNEL_KINDS };

struct channel_message {
    enum channel_kind kind;
    const uint8_t *payload;
    size_t length;
};

/* The first message in the bytes, if it is whole. Returns the bytes it takes, 0: more are needed, or a negative code:
 * not a message (LOCKSTEP_E_BAD_FORMAT: kind; LOCKSTEP_E_BAD_VALUE: too long). Pure. */
long channel_parse(const uint8_t *bytes, size_t length, struct channel_message *out);

struct channel_credentials;

/* Either key_file (one line: at least 32 hexadecimal digits), or the three others. Files with secrets must not be
 * readable by others. */
struct channel_files {
    const char *key_file;
    const char *certificate, *certificate_key, *authority;
};
int channel_credentials_load(const struct channel_files *files, struct channel_credentials **out,
                             char problem[CHANNEL_PROBLEM_MAX]);
void channel_credentials_free(struct channel_credentials *credentials);

struct channel;

/* fd: a connected (or connecting) non-blocking TCP socket, the channel's from now on. host: whose certificate the
 * client expects; NULL on the server. credentials live as long. NULL: no memory. */
struct channel *channel_create(int fd, bool server, const struct channel_credentials *credentials, const char *host);
void channel_destroy(struct channel *channel); /* says good-bye if it can */

int channel_fd(const struct channel *channel);
short channel_events(const struct channel *channel); /* for poll */
/* The handshake is done: the other side has proved that it holds the key. */
bool channel_ready(const struct channel *channel);
/* Sends and receives what goes without waiting. 0, or a negative code when the channel has ended (LOCKSTEP_E_GONE: by
 * the peer; LOCKSTEP_E_DENIED: it has another key); channel_problem says more. */
int channel_work(struct channel *channel);
/* The same, but only sends: what has come stays where poll sees it. */
int channel_flush(struct channel *channel);
const char *channel_problem(const struct channel *channel);

/* Copies the payload into the queue. LOCKSTEP_E_EXHAUSTED: too much is waiting. */
int channel_send(struct channel *channel, enum channel_kind kind, const void *payload, size_t length);
/* The next whole message, valid until the next call on the channel. */
bool channel_next(struct channel *channel, struct channel_message *out);
size_t channel_queued(const struct channel *channel); /* bytes that wait to be sent */

#endif
