/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "platform/platform.h"
#include "platform/service_manager.h"
#include "platform/stop_signals.h"
#include "testbed/json_look.h"
#include "testbed/json_write.h"
#include "testbed/listener_private.h"

#define CALLER_NS 6000000000 /* for handshake and hello */

/* ---- what is said ---- */

struct json_object *listener_message(const char *type)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "type", json_object_new_string(type));
    return object;
}

static void listener_say(struct channel *channel, struct json_object *object)
{
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);

    if (channel_send(channel, CHANNEL_JSON, text, strlen(text)) < 0)
        log_warning("listener: the controller does not read what is sent");
    json_object_put(object);
}

void listener_say_error(struct channel *channel, const char *about, const char *process, const char *text)
{
    struct json_object *object = listener_message("error");

    json_write_text(object, "text", text);
    json_write_text(object, "about", about);
    json_write_text(object, "process", process);
    listener_say(channel, object);
}

void listener_tell(struct listener *listener, struct json_object *object)
{
    if (listener->controller)
        listener_say(listener->controller->channel, object);
    else
        json_object_put(object);
}

/* ---- the controller ---- */

/* False: the caller is to go. */
static bool greet(struct listener *listener, struct caller *caller, struct json_object *object, const char *type)
{
    int64_t version = json_look_number(object, "version", 0);
    struct json_object *answer;
    char text[128];

    if (strcmp(type, "hello") != 0) {
        listener_say_error(caller->channel, type, "", "hello comes first");
        return false;
    }
    if (version != LISTENER_VERSION) {
        snprintf(text, sizeof text,
                 "the controller speaks version %" PRId64 " of the protocol, this listener version %d", version,
                 LISTENER_VERSION);
        listener_say_error(caller->channel, "hello", "", text);
        return false;
    }
    if (listener->controller) {
        listener_say_error(caller->channel, "hello", "", "another controller is at work here");
        return false;
    }
    caller->greeted = true;
    listener->controller = caller;
    answer = listener_message("hello");
    json_write_int(answer, "version", LISTENER_VERSION);
    json_write_text(answer, "node", listener->options->name);
    json_write_text(answer, "program", "lockstep " LOCKSTEP_VERSION);
    listener_say(caller->channel, answer);
    log_info("listener: a controller has come");
    return true;
}

static bool take_message(struct listener *listener, struct caller *caller, const struct channel_message *raw)
{
    struct json_tokener *tokener = json_tokener_new_ex(24);
    struct json_object *object = NULL, *type;
    bool stay = false;

    if (raw->kind == CHANNEL_JSON && tokener)
        object = json_tokener_parse_ex(tokener, (const char *)raw->payload, (int)raw->length);
    json_tokener_free(tokener);
    if (!object || !json_object_is_type(object, json_type_object) ||
        !json_object_object_get_ex(object, "type", &type) || !json_object_is_type(type, json_type_string)) {
        listener_say_error(caller->channel, "", "", "not a message: a JSON object with a type is wanted");
    } else if (caller->greeted) {
        listener_handle_request(listener, object, json_object_get_string(type));
        stay = true;
    } else {
        stay = greet(listener, caller, object, json_object_get_string(type));
    }
    json_object_put(object);
    return stay;
}

static void dismiss(struct listener *listener, struct caller *caller)
{
    if (caller == listener->controller) {
        listener->controller = NULL;
        listener_end_all(listener);
        log_info("listener: the controller has gone%s%s", channel_problem(caller->channel)[0] ? ": " : "",
                 channel_problem(caller->channel));
    } else if (channel_problem(caller->channel)[0]) {
        log_warning("listener: refused a connection: %s", channel_problem(caller->channel));
    }
    channel_destroy(caller->channel);
    caller->channel = NULL;
    caller->greeted = false;
}

static void work_caller(struct listener *listener, struct caller *caller)
{
    struct channel_message raw;
    int ended = channel_work(caller->channel);

    while (channel_ready(caller->channel) && channel_next(caller->channel, &raw)) {
        if (!take_message(listener, caller, &raw)) {
            channel_flush(caller->channel); /* what was said last */
            dismiss(listener, caller);
            return;
        }
    }
    if (caller == listener->controller)
        listener_go_on_sending(listener);
    if (ended == 0)
        ended = channel_flush(caller->channel);
    if (ended < 0 || (!caller->greeted && platform_now_ns() > caller->deadline_ns))
        dismiss(listener, caller);
}

static void accept_caller(struct listener *listener)
{
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    int fd = accept4(listener->socket, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
    struct caller *caller = NULL;

    if (fd < 0)
        return;
    for (size_t i = 0; i < CALLERS_MAX && !caller; i++)
        caller = listener->callers[i].channel ? NULL : &listener->callers[i];
    if (!caller) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    caller->channel = channel_create(fd, true, listener->credentials, NULL);
    caller->deadline_ns = platform_now_ns() + CALLER_NS;
}

/* ---- the loop ---- */

#define POLLED_MAX (2 + CALLERS_MAX + 3 * LISTENER_PROCESSES_MAX)

static nfds_t wanted(struct listener *listener, struct pollfd events[POLLED_MAX])
{
    nfds_t count = 0;

    events[count++] = (struct pollfd){listener->signals, POLLIN, 0};
    events[count++] = (struct pollfd){listener->socket, POLLIN, 0};
    for (size_t i = 0; i < CALLERS_MAX; i++) {
        struct channel *channel = listener->callers[i].channel;

        if (channel)
            events[count++] = (struct pollfd){channel_fd(channel), channel_events(channel), 0};
    }
    for (size_t i = 0; i < LISTENER_PROCESSES_MAX; i++) {
        struct process *process = &listener->processes[i];

        if (process->child.pid == 0)
            continue;
        events[count++] = (struct pollfd){process->child.pidfd, POLLIN, 0};
        if (process->out_open)
            events[count++] = (struct pollfd){process->child.out, POLLIN, 0};
        if (process->err_open)
            events[count++] = (struct pollfd){process->child.err, POLLIN, 0};
    }
    return count;
}

static void serve(struct listener *listener)
{
    struct pollfd events[POLLED_MAX];
    nfds_t count = wanted(listener, events);

    if (poll(events, count, listener->controller ? 1000 : 500) < 0 && errno != EINTR)
        return;
    if (events[0].revents)
        listener->stopping = true;
    if (events[1].revents)
        accept_caller(listener);
    for (size_t i = 0; i < LISTENER_PROCESSES_MAX; i++) {
        struct process *process = &listener->processes[i];

        if (process->child.pid == 0)
            continue;
        listener_read_process(process);
        if (child_ended(&process->child)) {
            listener_read_process(process);
            listener_end_process(process, 0);
        }
    }
    for (size_t i = 0; i < CALLERS_MAX; i++) {
        if (listener->callers[i].channel)
            work_caller(listener, &listener->callers[i]);
    }
}

static int open_socket(const struct listener_options *options, int *out)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
    char port[8];
    int fd, on = 1, err;

    snprintf(port, sizeof port, "%" PRId64, options->port);
    err = getaddrinfo(options->address[0] ? options->address : NULL, port, &hints, &found);
    if (err) {
        log_error("listener: %s: %s", options->address, gai_strerror(err));
        return -EINVAL;
    }
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, CALLERS_MAX) < 0) {
        err = -errno;
        log_error("listener: cannot listen on %s port %s: %s", options->address[0] ? options->address : "any address",
                  port, strerror(-err));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    *out = fd;
    return err;
}

static void shut(struct listener *listener)
{
    for (size_t i = 0; i < CALLERS_MAX; i++) {
        if (listener->callers[i].channel)
            dismiss(listener, &listener->callers[i]);
    }
    listener_end_all(listener);
    if (listener->clock)
        node_clock_close(listener->clock);
    channel_credentials_free(listener->credentials);
    if (listener->socket >= 0)
        close(listener->socket);
    close(listener->signals);
}

int listener_main(const struct listener_options *options)
{
    static struct listener listener;
    struct channel_files files = {options->key[0] ? options->key : NULL,
                                  options->certificate[0] ? options->certificate : NULL,
                                  options->certificate_key[0] ? options->certificate_key : NULL,
                                  options->authority[0] ? options->authority : NULL};
    char problem[CHANNEL_PROBLEM_MAX];
    int exit_status = 1;

    service_manager_open();
    listener = (struct listener){.options = options, .socket = -1, .transfer = -1, .signals = platform_stop_signals()};
    if (channel_credentials_load(&files, &listener.credentials, problem) < 0)
        log_error("listener: %s", problem);
    else if (mkdir(options->directory, 0700) < 0 && errno != EEXIST)
        log_error("listener: cannot make %s: %s", options->directory, strerror(errno));
    else if (open_socket(options, &listener.socket) == 0)
        exit_status = 0;
    if (exit_status == 0) {
        log_info("listener: %s waits for a controller on port %" PRId64, options->name, options->port);
        service_manager_ready();
    }
    while (exit_status == 0 && !listener.stopping) {
        service_manager_status("%s", listener.controller ? "Works for a controller." : "Waits for a controller.");
        service_manager_feed(platform_now_ns());
        serve(&listener);
    }
    service_manager_stopping();
    shut(&listener);
    return exit_status;
}
