/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading JSON that others wrote: each member's type and range is checked, and the first thing that is wrong is kept as
 * "MEMBER: PROBLEM"; what is read after it is of no worth, but safe. Pure. */
#ifndef LOCKSTEP_TESTBED_JSON_READ_H
#define LOCKSTEP_TESTBED_JSON_READ_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_reader {
    const char *what; /* before each message: "job" */
    char *problem;
    size_t problem_size;
    int err; /* of the first mistake; 0 */
};

/* One whole document that is an object with these members "schema" and "version" (LOCKSTEP_E_BAD_VERSION if they
 * differ); the caller puts it. NULL on failure. */
struct json_object *json_read_document(struct json_reader *reader, const char *text, size_t length, const char *schema,
                                       int version);
/* Notes a mistake, if it is the first; returns reader->err. */
int json_read_fail(struct json_reader *reader, int err, const char *key, const char *what);

int64_t json_read_int(struct json_reader *reader, struct json_object *object, const char *key, int64_t min,
                      int64_t max); /* min on failure */
bool json_read_bool(struct json_reader *reader, struct json_object *object, const char *key);
/* Longer texts than fit, and control characters, are mistakes. */
void json_read_text(struct json_reader *reader, struct json_object *object, const char *key, char *out, size_t size);
/* Index in names (ends with NULL). */
int json_read_enum(struct json_reader *reader, struct json_object *object, const char *key, const char *const *names);
/* NULL on failure. */
struct json_object *json_read_object(struct json_reader *reader, struct json_object *object, const char *key);
/* *count is 0 on failure. */
struct json_object *json_read_array(struct json_reader *reader, struct json_object *object, const char *key, size_t max,
                                    size_t *count);
/* An element that is a number. */
int64_t json_read_element(struct json_reader *reader, struct json_object *array, const char *key, size_t index,
                          int64_t min, int64_t max);

#endif
