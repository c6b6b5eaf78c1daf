/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/dump_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "monitor/json_report.h"

#define FIRST_BYTES 65536

struct received {
    char *bytes;
    size_t length, size;
};

static int make_room(struct received *received)
{
    size_t size = received->size ? received->size * 2 : FIRST_BYTES;
    char *bytes;

    if (received->length + 1 < received->size)
        return 0;
    if (size > DUMP_BYTES_MAX)
        return LOCKSTEP_E_BAD_FORMAT;
    bytes = realloc(received->bytes, size);
    if (!bytes)
        return -ENOMEM;
    received->bytes = bytes;
    received->size = size;
    return 0;
}

static int wait_readable(int fd, uint64_t timeout_ns)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int result = poll(&poll_fd, 1, timeout_ns / 1000000 > INT32_MAX ? -1 : (int)(timeout_ns / 1000000));

    if (result < 0)
        return -errno;
    return result == 0 ? -ETIMEDOUT : 0;
}

/* To the end of the stream. */
static int receive_all(int fd, uint64_t timeout_ns, struct received *received)
{
    for (;;) {
        ssize_t length;
        int err = make_room(received);

        if (err == 0)
            err = wait_readable(fd, timeout_ns);
        if (err < 0)
            return err;
        length = recv(fd, received->bytes + received->length, received->size - received->length - 1, MSG_DONTWAIT);
        if (length == 0 || (length < 0 && errno == ECONNRESET))
            break; /* reset: it hung up with our request unread */
        if (length < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        received->length += length > 0 ? (size_t)length : 0;
    }
    received->bytes[received->length] = '\0';
    return received->length > 0 ? 0 : LOCKSTEP_E_NOT_SUPPORTED;
}

struct json_object *dump_parse(const char *text, size_t length)
{
    struct json_object *document;

    for (size_t i = 0; i < length; i++) {
        if (text[i] < ' ' || text[i] > '~')
            return NULL;
    }
    document = report_parse(text, length);
    if (strcmp(report_text(document, "document"), "lockstep dump") == 0 && report_number(document, "complete"))
        return document;
    json_object_put(document);
    return NULL;
}

int dump_ask(struct netd_client *client, const struct control_dump *request, uint64_t timeout_ns,
             struct json_object **document, char **text)
{
    struct received received = {0};
    int fd, err;

    *document = NULL;
    err = client_dump(client, request, &fd);
    if (err < 0)
        return err;
    err = receive_all(fd, timeout_ns, &received);
    close(fd);
    if (err == 0)
        *document = dump_parse(received.bytes, received.length);
    if (err == 0 && !*document)
        err = LOCKSTEP_E_BAD_FORMAT;
    if (err == 0 && text)
        *text = received.bytes;
    else
        free(received.bytes);
    return err;
}

const char *dump_problem(int error)
{
    switch (error) {
    case LOCKSTEP_E_GONE:
        return "is not accelerated (`lockstep status` shows those that are)";
    case LOCKSTEP_E_DENIED:
        return "belongs to another user: only root and its own user may ask";
    case -ETIMEDOUT:
        return "does not answer in time: is it stopped, or starved of processor time?";
    case -EAGAIN:
        return "has not answered earlier requests: is it stopped?";
    case LOCKSTEP_E_NOT_SUPPORTED:
        return "gave no answer: its Lockstep library is older than this, or others are asking just now";
    case LOCKSTEP_E_BAD_FORMAT:
        return "gave no whole answer: it has ended meanwhile, or the service is older than this";
    }
    return error_text(error);
}
