/* SPDX-License-Identifier: BSD-2-Clause */
/* The service's reports, fetched and printed. Single-threaded. */
#ifndef LOCKSTEP_TOOLS_REPORT_H
#define LOCKSTEP_TOOLS_REPORT_H

#include <stdio.h>

#include "monitor/json_report.h"
#include "tools/text_table.h"

/* Connects to the service at dir (NULL or "": the usual place). NULL after a message on stderr. */
struct netd_client *report_connect(const char *dir);
/* kind: enum control_report_kind. The caller puts the object; NULL after a message on stderr. */
struct json_object *report_fetch(struct netd_client *client, uint32_t kind);
/* The document, indented. */
void report_print_json(struct json_object *report, FILE *out);

/* An array of a report as a table, a row for each element. */
struct report_table {
    const char *key;   /* of the array */
    const char *empty; /* the line to print instead if it has no elements */
    const struct table_column *columns;
    size_t column_count;
    void (*add_row)(struct text_table *table, struct json_object *element);
};
void report_print_table(struct json_object *report, const struct report_table *what, FILE *out, unsigned width);

/* The human forms (status.c, connections.c, dump.c). width as for text_table_print. connections may be NULL. */
void status_print(struct json_object *status, struct json_object *connections, FILE *out, unsigned width);
void dump_print(struct json_object *document, FILE *out, unsigned width);
void dump_print_sockets(struct json_object *document, FILE *out, unsigned width); /* of it */
void connections_print(struct json_object *connections, bool all, FILE *out, unsigned width);

#endif
