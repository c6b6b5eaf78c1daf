/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/clockd_control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "clock/report.h"
#include "clock/trace.h"

#define CLIENTS_MAX     32
#define BACKLOG         16
#define LIFE_NS         5000000000ll /* of a client that asks for one document */
#define RECORD_QUEUE    (256 * 1024)
#define SOCKET_PATH_MAX sizeof(((struct sockaddr_un *)0)->sun_path)

struct control_client {
    struct clockd *clockd;
    int fd; /* -1: free */
    struct event_source on_socket;
    int64_t since_ns;
    char line[REPORT_LINE_MAX + 1];
    size_t line_length;
    char *text; /* what is being sent; NULL: the line is not complete yet */
    size_t text_length, sent;
    bool recording;
};

struct clockd_control {
    int fd;
    struct event_source on_listen;
    unsigned recording;
    struct control_client clients[CLIENTS_MAX];
};

static void observe(void *context, unsigned source, const struct exchange *exchange, enum estimator_verdict verdict,
                    const struct estimate *estimate);

static void drop(struct control_client *client)
{
    struct clockd *clockd = client->clockd;

    if (client->fd < 0)
        return;
    close(client->fd);
    client->fd = -1;
    free(client->text);
    client->text = NULL;
    if (client->recording && --clockd->control->recording == 0)
        core_observe(clockd->core, NULL, NULL);
    client->recording = false;
}

static void send_rest(struct control_client *client)
{
    ssize_t sent =
        send(client->fd, client->text + client->sent, client->text_length - client->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        drop(client);
        return;
    }
    client->sent += sent > 0 ? (size_t)sent : 0;
    if (client->sent == client->text_length)
        drop(client);
    else
        clockd_watch_again(client->clockd, client->fd, EPOLLOUT, &client->on_socket);
}

static void start_recording(struct control_client *client)
{
    struct clockd *clockd = client->clockd;
    struct trace_header header = {.nominal_hz = clockd->counter.nominal_hz};
    char text[2 * TRACE_LINE_MAX];
    int length, size = RECORD_QUEUE;

    snprintf(header.counter, sizeof(header.counter), "%s", counter_name(clockd->counter.kind));
    length = trace_write_header(text, sizeof(text), &header);
    setsockopt(client->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    if (send(client->fd, text, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL) != length) {
        drop(client);
        return;
    }
    client->recording = true;
    if (clockd->control->recording++ == 0)
        core_observe(clockd->core, observe, clockd);
}

static void answer(struct control_client *client)
{
    int kind = report_parse_request(client->line);

    if (kind == REPORT_RECORD) {
        start_recording(client);
        return;
    }
    client->text = kind < 0 ? report_write_error("unknown request: status, sources, stats or record is expected")
                            : report_write(client->clockd, (enum report_kind)kind);
    if (!client->text) {
        drop(client);
        return;
    }
    client->text_length = strlen(client->text);
    send_rest(client);
}

/* Exchanges for those that record. Who does not keep up loses its connection, not lines in the middle. */
static void observe(void *context, unsigned source, const struct exchange *exchange, enum estimator_verdict verdict,
                    const struct estimate *estimate)
{
    struct clockd *clockd = context;
    char text[TRACE_LINE_MAX];
    int length = trace_write_exchange(text, sizeof(text), source, exchange);

    (void)verdict;
    (void)estimate;
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        struct control_client *client = &clockd->control->clients[i];

        if (client->fd >= 0 && client->recording &&
            send(client->fd, text, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL) != length)
            shutdown(client->fd, SHUT_RDWR); /* dropped by its event: the core is at work now */
    }
}

static void read_line(struct control_client *client)
{
    char *end;
    ssize_t length =
        recv(client->fd, client->line + client->line_length, REPORT_LINE_MAX - client->line_length, MSG_DONTWAIT);

    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length > 0)
        client->line_length += (size_t)length;
    client->line[client->line_length] = 0;
    end = memchr(client->line, '\n', client->line_length);
    if (end) {
        *end = 0;
        answer(client);
    } else if (length <= 0 || client->line_length == REPORT_LINE_MAX) {
        drop(client);
    }
}

static void handle_client(void *object, uint32_t events)
{
    struct control_client *client = object;
    char ignored[64];

    if (client->fd < 0)
        return;
    if (client->text)
        send_rest(client);
    else if (!client->recording)
        read_line(client);
    else if (recv(client->fd, ignored, sizeof(ignored), MSG_DONTWAIT) == 0 || (events & (EPOLLERR | EPOLLHUP)))
        drop(client);
}

static struct control_client *free_client(struct clockd_control *control)
{
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        if (control->clients[i].fd < 0)
            return &control->clients[i];
    }
    return NULL;
}

static void handle_listen(void *object, uint32_t events)
{
    struct clockd *clockd = object;
    struct clockd_control *control = clockd->control;
    /* cppcheck-suppress nullPointer */
    int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct control_client *client = free_client(control);

    (void)events;
    if (fd < 0)
        return;
    if (!client) {
        close(fd);
        return;
    }
    *client = (struct control_client){
        .clockd = clockd, .fd = fd, .on_socket = {handle_client, client, false}, .since_ns = clockd_now_ns()};
    if (clockd_watch(clockd, fd, EPOLLIN, &client->on_socket) < 0)
        drop(client);
}

static int listen_at(int fd, const char path[SOCKET_PATH_MAX])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t mask;
    int result = 0;

    memcpy(address.sun_path, path, sizeof(address.sun_path));
    unlink(address.sun_path); /* left by a daemon that was killed: the segment is ours */
    mask = umask(0111);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0)
        result = -errno;
    umask(mask);
    return result;
}

static void socket_path(const struct clockd *clockd, char path[SOCKET_PATH_MAX])
{
    snprintf(path, SOCKET_PATH_MAX, "%s/%s", clockd->config.runtime_dir, REPORT_SOCKET_NAME);
}

int clockd_control_create(struct clockd *clockd)
{
    struct clockd_control *control = calloc(1, sizeof(*control));
    char path[SOCKET_PATH_MAX];
    int result;

    if (!control)
        return -ENOMEM;
    clockd->control = control;
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        control->clients[i].fd = -1;
    control->on_listen = (struct event_source){handle_listen, clockd, false};
    socket_path(clockd, path);
    control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    result = control->fd < 0 ? -errno : listen_at(control->fd, path);
    if (result == 0)
        result = clockd_watch(clockd, control->fd, EPOLLIN, &control->on_listen);
    if (result < 0)
        log_error("control: cannot listen on %s: %s", path, error_text(result));
    return result;
}

void clockd_control_destroy(struct clockd *clockd)
{
    struct clockd_control *control = clockd->control;
    char path[SOCKET_PATH_MAX];

    if (!control)
        return;
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        drop(&control->clients[i]);
    if (control->fd >= 0) {
        socket_path(clockd, path);
        unlink(path);
        close(control->fd);
    }
    free(control);
    clockd->control = NULL;
}

void clockd_control_tick(struct clockd *clockd, int64_t now_ns)
{
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        struct control_client *client = &clockd->control->clients[i];

        if (client->fd >= 0 && !client->recording && now_ns - client->since_ns > LIFE_NS)
            drop(client);
    }
}
