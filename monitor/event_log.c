/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/event_log.h"

#include <string.h>

#define FIELD(text) (int)strnlen(text, sizeof(text)), text

static const char *endpoint(const struct net_endpoint *endpoint, char *text)
{
    return endpoint->port ? net_endpoint_format(endpoint, text) : strcpy(text, "*");
}

static void say_text(char *out, const struct journal_text *body)
{
    if (*body->subject)
        snprintf(out, EVENT_TEXT_MAX, "%.*s: %.*s", FIELD(body->subject), FIELD(body->text));
    else
        snprintf(out, EVENT_TEXT_MAX, "%.*s", FIELD(body->text));
}

static void say_lane(char *out, const struct lane_row *row, const char *what)
{
    snprintf(out, EVENT_TEXT_MAX, "%.*s (process %u) %s", FIELD(row->program), row->pid, what);
}

static void say_kernel_socket(char *out, const struct journal_kernel_socket *socket)
{
    char local[NET_ENDPOINT_TEXT_MAX], remote[NET_ENDPOINT_TEXT_MAX];

    snprintf(out, EVENT_TEXT_MAX, "%.*s (process %u): %s - %s not accelerated: %.*s", FIELD(socket->program),
             socket->pid, endpoint(&socket->local, local), endpoint(&socket->remote, remote), FIELD(socket->reason));
}

/* Its type's name; NULL: not known. */
static const char *say(char *out, const struct journal_record *record)
{
    const void *body = journal_body(record);

    switch (record->type) {
    case JOURNAL_SERVICE:
        say_text(out, body);
        return "service";
    case JOURNAL_INTERFACE:
        say_text(out, body);
        return "interface";
    case JOURNAL_LANE_OPENED:
        say_lane(out, body, "is accelerated");
        return "lane";
    case JOURNAL_LANE_CLOSED:
        say_lane(out, body, "has ended");
        return "lane";
    case JOURNAL_KERNEL_SOCKET:
        say_kernel_socket(out, body);
        return "kernel";
    default:
        return NULL;
    }
}

void event_log_add(struct event_log *log, const struct journal_record *record)
{
    struct event event = {.realtime_ns = record->realtime_ns};

    event.type = say(event.text, record);
    if (!event.type)
        return;
    log->kernel_sockets += record->type == JOURNAL_KERNEL_SOCKET;
    if (log->count == EVENT_LOG_MAX)
        log->first = (log->first + 1) % EVENT_LOG_MAX;
    else
        log->count++;
    log->events[(log->first + log->count - 1) % EVENT_LOG_MAX] = event;
}

void event_log_write(const struct event_log *log, struct json_stream *json)
{
    json_put_uint(json, "lost", log->lost);
    json_begin(json, "events", '[');
    for (unsigned i = log->count; i > 0; i--) {
        const struct event *event = &log->events[(log->first + i - 1) % EVENT_LOG_MAX];

        json_begin(json, NULL, '{');
        json_put_int(json, "time_ms", event->realtime_ns / 1000000);
        json_put_text(json, "type", event->type);
        json_put_text(json, "text", event->text);
        json_end(json, '}');
    }
    json_end(json, ']');
}
