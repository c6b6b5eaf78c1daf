/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON written straight to a stream, for documents of ten thousand rows: no tree, nothing to free. The caller opens and
 * ends objects and arrays in pairs. Texts may hold anything: what is not printable ASCII becomes '?'. Pure. */
#ifndef LOCKSTEP_MONITOR_JSON_STREAM_H
#define LOCKSTEP_MONITOR_JSON_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json_stream {
    FILE *out;
    bool more; /* a comma is due */
};

/* key: NULL in an array and for the document itself. bracket: '{' or '['. */
void json_begin(struct json_stream *json, const char *key, char bracket);
void json_end(struct json_stream *json, char bracket); /* '}' or ']' */
void json_put_text(struct json_stream *json, const char *key, const char *text);
void json_put_uint(struct json_stream *json, const char *key, uint64_t number);
void json_put_int(struct json_stream *json, const char *key, int64_t number);
void json_put_bool(struct json_stream *json, const char *key, bool value);
/* null if it is not finite. */
void json_put_real(struct json_stream *json, const char *key, double number);
/* A value that is JSON already; NULL is null. */
void json_put_raw(struct json_stream *json, const char *key, const char *text);

#endif
