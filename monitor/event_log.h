/* SPDX-License-Identifier: BSD-2-Clause */
/* The last things that netd's journal told, in words: of the service, interfaces, programs, and sockets that stayed
 * with the kernel. Connections, which come by the thousand, are for the history. Single-threaded. */
#ifndef LOCKSTEP_MONITOR_EVENT_LOG_H
#define LOCKSTEP_MONITOR_EVENT_LOG_H

#include <stddef.h>

#include "monitor/event_text.h"

#define EVENT_LOG_MAX 200

struct event_log {
    struct event {
        int64_t realtime_ns;
        const char *type;
        char text[EVENT_TEXT_MAX];
    } events[EVENT_LOG_MAX];
    unsigned first, count;
    uint64_t kernel_sockets, lost; /* since the beginning: sockets that stayed with the kernel, records lost */
};

/* Other types are passed over. */
void event_log_add(struct event_log *log, const struct journal_record *record);
/* "lost" and "events": newest first. */
void event_log_write(const struct event_log *log, struct json_stream *json);

#endif
