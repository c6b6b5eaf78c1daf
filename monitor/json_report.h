/* SPDX-License-Identifier: BSD-2-Clause */
/* Reports of the services as JSON: fetched, parsed, and read without trust in their shape (a newer or older service may
 * give other fields). A document belongs to one thread at a time. */
#ifndef LOCKSTEP_MONITOR_JSON_REPORT_H
#define LOCKSTEP_MONITOR_JSON_REPORT_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/netd_client.h"

/* Asks the service. kind: enum control_report_kind. The caller puts *out. client_report's errors, or
 * LOCKSTEP_E_BAD_FORMAT. */
int report_ask(struct netd_client *client, uint32_t kind, struct json_object **out);
/* One whole document that is an object, else NULL (pure). */
struct json_object *report_parse(const char *text, size_t length);

/* Members of an object (which may be NULL or something else): "" or 0 or an array of no elements if they are not there
 * or of another type. Text is valid while the object is. */
const char *report_text(struct json_object *object, const char *key);
uint64_t report_number(struct json_object *object, const char *key);
size_t report_count(struct json_object *object, const char *key);
struct json_object *report_element(struct json_object *object, const char *key, size_t index);
struct json_object *report_member(struct json_object *object, const char *key);
/* The text of a member, as far as it fits, printable: bytes that could drive a terminal become '?'. */
void report_copy(char *out, size_t size, struct json_object *object, const char *key);
/* A member that is a number, else NAN. */
double report_real(struct json_object *object, const char *key);

#endif
