/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/event_log.h"

void event_log_add(struct event_log *log, const struct journal_record *record)
{
    struct event event = {.realtime_ns = record->realtime_ns, .type = event_type(record)};

    if (!event.type || record->type == JOURNAL_CONNECTION_OPENED || record->type == JOURNAL_CONNECTION_CLOSED)
        return;
    event_text(record, event.text);
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
