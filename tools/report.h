/* SPDX-License-Identifier: BSD-2-Clause */
/* The service's reports: fetched, parsed, and read without trust in their shape (a newer or older service may give
 * other fields). Single-threaded. */
#ifndef LOCKSTEP_TOOLS_REPORT_H
#define LOCKSTEP_TOOLS_REPORT_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "stack/netd_client.h"
#include "tools/text_table.h"

/* Connects to the service at dir (NULL or "": the usual place). NULL after a message on stderr. */
struct netd_client *report_connect(const char *dir);
/* kind: enum control_report_kind. The caller puts the object; NULL after a message on stderr. */
struct json_object *report_fetch(struct netd_client *client, uint32_t kind);
/* One whole document that is an object, else NULL (pure). */
struct json_object *report_parse(const char *text, size_t length);
/* The document, indented. */
void report_print_json(struct json_object *report, FILE *out);

/* Members of an object (which may be NULL or something else): "" or 0 or an array of no elements if they are not there
 * or of another type. Text is valid while the object is. */
const char *report_text(struct json_object *object, const char *key);
uint64_t report_number(struct json_object *object, const char *key);
size_t report_count(struct json_object *object, const char *key);
struct json_object *report_element(struct json_object *object, const char *key, size_t index);
struct json_object *report_member(struct json_object *object, const char *key);

/* An array of a report as a table, a row for each element. */
struct report_table {
    const char *key;   /* of the array */
    const char *empty; /* the line to print instead if it has no elements */
    const struct table_column *columns;
    size_t column_count;
    void (*add_row)(struct text_table *table, struct json_object *element);
};
void report_print_table(struct json_object *report, const struct report_table *what, FILE *out, unsigned width);

/* The human forms (status.c, connections.c). width as for text_table_print. connections may be NULL. */
void status_print(struct json_object *status, struct json_object *connections, FILE *out, unsigned width);
void connections_print(struct json_object *connections, bool all, FILE *out, unsigned width);

#endif
