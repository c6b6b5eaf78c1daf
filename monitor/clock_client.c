/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/clock_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "clock/report.h"
#include "monitor/json_report.h"

#define ANSWER_MAX (4 << 20)
#define PATIENCE_S 5

const char *clock_status_name(enum lockstep_clock_status status)
{
    static const char *const names[] = {"unsynchronised", "synchronised", "holdover", "disrupted"};

    return (unsigned)status < sizeof names / sizeof *names ? names[status] : "unknown";
}

static int connect_to(const struct sockaddr_un *address)
{
    const struct timeval patience = {PATIENCE_S, 0};
    int err, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        return fd;
    err = -errno;
    close(fd);
    return err;
}

int clock_ask(const char *dir, const char *request, bool quiet)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char line[REPORT_LINE_MAX + 1];
    int fd, length = snprintf(line, sizeof line, "%s\n", request);

    if (!dir || !*dir)
        dir = client_runtime_dir(dir);
    if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", dir, REPORT_SOCKET_NAME) >=
        sizeof address.sun_path)
        fd = -ENAMETOOLONG;
    else
        fd = connect_to(&address);
    if (fd >= 0 && send(fd, line, (size_t)length, MSG_NOSIGNAL) != length) {
        close(fd);
        fd = -EPIPE;
    }
    if (fd < 0 && !quiet)
        fprintf(stderr, "lockstep: no clock daemon at %s: %s%s\n", dir, error_text(fd),
                fd == -ENOENT || fd == -ECONNREFUSED ? ": is lockstep-clockd running?" : "");
    return fd;
}

/* Until the end of the stream. The caller frees the text; NULL: an error or far too long. */
static char *read_all(int fd, size_t *length)
{
    const struct timeval patience = {PATIENCE_S, 0};
    size_t room = 65536;
    char *text = malloc(room);

    *length = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    while (text) {
        ssize_t got = recv(fd, text + *length, room - *length, 0);

        if (got == 0)
            return text;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || room >= ANSWER_MAX)
            break;
        *length += (size_t)got;
        if (*length == room) {
            char *larger = realloc(text, room *= 2);

            if (!larger)
                break;
            text = larger;
        }
    }
    free(text);
    return NULL;
}

struct json_object *clock_fetch(const char *dir, const char *request, bool quiet)
{
    int fd = clock_ask(dir, request, quiet);
    struct json_object *report;
    size_t length;
    char *text;

    if (fd < 0)
        return NULL;
    text = read_all(fd, &length);
    close(fd);
    report = text ? report_parse(text, length) : NULL;
    free(text);
    if (report && *report_text(report, "error")) {
        if (!quiet)
            fprintf(stderr, "lockstep: the clock daemon says: %s\n", report_text(report, "error"));
        json_object_put(report);
        return NULL;
    }
    if (!report && !quiet)
        fprintf(stderr, "lockstep: cannot read the clock daemon's report\n");
    return report;
}
