/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/fleet.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "platform/platform.h"
#include "testbed/json_look.h"
#include "testbed/listener.h"

#define RETRY_NS 250000000u
#define FILE_MAX (2u << 30)

struct node {
    struct channel *channel; /* NULL: not connected at present */
    bool said_hello, present, lost;
    uint64_t retry_ns;
    char problem[CHANNEL_PROBLEM_MAX];
    uint8_t *file;
    size_t file_size, file_length;
    bool file_expected;
};

struct fleet {
    const struct inventory *inventory;
    const struct channel_credentials *credentials;
    fleet_handler *handler;
    void *context;
    struct node nodes[SCHEDULE_NODES_MAX];
};

struct fleet *fleet_create(const struct inventory *inventory, const struct channel_credentials *credentials,
                           fleet_handler *handler, void *context)
{
    struct fleet *fleet = calloc(1, sizeof *fleet);

    if (fleet)
        *fleet = (struct fleet){inventory, credentials, handler, context, {{0}}};
    return fleet;
}

void fleet_destroy(struct fleet *fleet)
{
    for (unsigned i = 0; fleet && i < fleet->inventory->node_count; i++) {
        channel_destroy(fleet->nodes[i].channel);
        free(fleet->nodes[i].file);
    }
    free(fleet);
}

static int connect_socket(const struct inventory_node *where, char problem[CHANNEL_PROBLEM_MAX])
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    char port[8];
    int err, fd, on = 1;

    snprintf(port, sizeof port, "%u", (unsigned)where->control_port & 0xffff);
    err = getaddrinfo(where->control, port, &hints, &found);
    if (err) {
        snprintf(problem, CHANNEL_PROBLEM_MAX, "%s: %s", where->control, gai_strerror(err));
        return -1;
    }
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    if (fd < 0 || (connect(fd, found->ai_addr, found->ai_addrlen) < 0 && errno != EINPROGRESS)) {
        snprintf(problem, CHANNEL_PROBLEM_MAX, "cannot connect to %s: %s", where->control, strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

static void begin(struct fleet *fleet, unsigned i)
{
    struct node *node = &fleet->nodes[i];
    int fd;

    node->retry_ns = platform_now_ns() + RETRY_NS;
    fd = connect_socket(&fleet->inventory->nodes[i], node->problem);
    if (fd < 0)
        return;
    node->channel = channel_create(fd, false, fleet->credentials, fleet->inventory->nodes[i].control);
    node->said_hello = false;
}

static void close_node(struct node *node, const char *why)
{
    snprintf(node->problem, sizeof node->problem, "%s", why);
    channel_destroy(node->channel);
    node->channel = NULL;
    if (node->present)
        node->lost = true;
    node->present = false;
    node->file_expected = false;
}

/* Bytes of the file that was announced. */
static void take_data(struct node *node, const struct channel_message *raw)
{
    if (!node->file_expected || raw->length > node->file_size - node->file_length)
        return;
    memcpy(node->file + node->file_length, raw->payload, raw->length);
    node->file_length += raw->length;
}

static void expect_file(struct node *node, struct json_object *message)
{
    struct json_object *size;

    free(node->file);
    node->file = NULL;
    node->file_length = 0;
    if (!json_object_object_get_ex(message, "size", &size))
        return;
    node->file_size = (size_t)json_object_get_int64(size);
    if (node->file_size > FILE_MAX)
        return;
    node->file = malloc(node->file_size + 1);
    node->file_expected = node->file != NULL;
}

static void take_message(struct fleet *fleet, unsigned i, struct json_object *message)
{
    struct node *node = &fleet->nodes[i];
    const char *type = json_look_text(message, "type");

    if (!node->present && strcmp(type, "hello") == 0 &&
        strcmp(json_look_text(message, "node"), fleet->inventory->nodes[i].name) != 0) {
        char problem[CHANNEL_PROBLEM_MAX];

        snprintf(problem, sizeof problem, "the listener there calls itself %.60s", json_look_text(message, "node"));
        node->lost = true;
        close_node(node, problem);
        return;
    }
    if (!node->present && strcmp(type, "error") == 0) {
        node->lost = true;
        close_node(node, json_look_text(message, "text"));
        return;
    }
    if (strcmp(type, "hello") == 0)
        node->present = true;
    if (strcmp(type, "file") == 0)
        expect_file(node, message);
    fleet->handler(fleet->context, i, type, message);
}

static void work_node(struct fleet *fleet, unsigned i)
{
    struct node *node = &fleet->nodes[i];
    struct channel_message raw;
    int ended = channel_work(node->channel);

    if (channel_ready(node->channel) && !node->said_hello) {
        struct json_object *hello = fleet_message("hello");

        json_object_object_add(hello, "version", json_object_new_int(LISTENER_VERSION));
        node->said_hello = true;
        fleet_say(fleet, i, hello);
    }
    while (node->channel && channel_ready(node->channel) && channel_next(node->channel, &raw)) {
        struct json_object *message;
        struct json_tokener *tokener;

        if (raw.kind == CHANNEL_DATA) {
            take_data(node, &raw);
            continue;
        }
        tokener = json_tokener_new_ex(24);
        message = tokener ? json_tokener_parse_ex(tokener, (const char *)raw.payload, (int)raw.length) : NULL;
        json_tokener_free(tokener);
        if (message)
            take_message(fleet, i, message);
        json_object_put(message);
    }
    if (!node->channel)
        return;
    if (ended == 0)
        ended = channel_flush(node->channel);
    if (ended == LOCKSTEP_E_DENIED)
        node->lost = true; /* trying again would not help */
    if (ended < 0)
        close_node(node, channel_problem(node->channel));
}

void fleet_work(struct fleet *fleet, int timeout_ms)
{
    struct pollfd events[SCHEDULE_NODES_MAX];
    nfds_t count = 0;

    for (unsigned i = 0; i < fleet->inventory->node_count; i++) {
        struct node *node = &fleet->nodes[i];

        if (!node->channel && !node->lost && platform_now_ns() >= node->retry_ns)
            begin(fleet, i);
        if (node->channel)
            events[count++] = (struct pollfd){channel_fd(node->channel), channel_events(node->channel), 0};
    }
    if (poll(events, count, timeout_ms) < 0)
        return;
    for (unsigned i = 0; i < fleet->inventory->node_count; i++) {
        if (fleet->nodes[i].channel)
            work_node(fleet, i);
    }
}

bool fleet_present(const struct fleet *fleet, unsigned node)
{
    return fleet->nodes[node].present;
}

bool fleet_lost(const struct fleet *fleet, unsigned node)
{
    return fleet->nodes[node].lost;
}

const char *fleet_problem(const struct fleet *fleet, unsigned node)
{
    return fleet->nodes[node].problem;
}

struct json_object *fleet_message(const char *type)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "type", json_object_new_string(type));
    return object;
}

void fleet_say(struct fleet *fleet, unsigned node, struct json_object *object)
{
    struct channel *channel = fleet->nodes[node].channel;
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);

    if (channel)
        channel_send(channel, CHANNEL_JSON, text, strlen(text));
    json_object_put(object);
}

uint8_t *fleet_take_file(struct fleet *fleet, unsigned i, size_t *length)
{
    struct node *node = &fleet->nodes[i];
    uint8_t *file = node->file;

    if (!node->file_expected || node->file_length < node->file_size)
        return NULL;
    file[node->file_length] = '\0';
    *length = node->file_length;
    node->file = NULL;
    node->file_expected = false;
    return file;
}
