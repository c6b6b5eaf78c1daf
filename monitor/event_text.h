/* SPDX-License-Identifier: BSD-2-Clause */
/* A record of netd's journal in words and as JSON. Pure. */
#ifndef LOCKSTEP_MONITOR_EVENT_TEXT_H
#define LOCKSTEP_MONITOR_EVENT_TEXT_H

#include "monitor/json_stream.h"
#include "service/journal.h"

#define EVENT_TEXT_MAX 300

/* "service", "interface", "lane" (a program), "connection", "kernel": valid for ever. NULL: a type that is not known.
 */
const char *event_type(const struct journal_record *record);
/* What happened, in one line without its time. text: EVENT_TEXT_MAX bytes; "" for a type that is not known. */
void event_text(const struct journal_record *record, char *text);
/* Members of the object that is open: "event", and what the record holds. Nothing for a type that is not known. */
void event_write(const struct journal_record *record, struct json_stream *json);

#endif
