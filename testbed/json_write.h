/* SPDX-License-Identifier: BSD-2-Clause */
/* Members of JSON documents and messages. Pure. */
#ifndef LOCKSTEP_TESTBED_JSON_WRITE_H
#define LOCKSTEP_TESTBED_JSON_WRITE_H

#include <json-c/json.h>
#include <stdint.h>

void json_write_int(struct json_object *object, const char *key, int64_t number);
/* NULL is written as "". */
void json_write_text(struct json_object *object, const char *key, const char *text);

#endif
