/* SPDX-License-Identifier: BSD-2-Clause */
/* Members of JSON that may lack them: for messages where a missing one means a default (json_read.h is for documents
 * that must be right). All accept NULL as the object. Pure. */
#ifndef LOCKSTEP_TESTBED_JSON_LOOK_H
#define LOCKSTEP_TESTBED_JSON_LOOK_H

#include <json-c/json.h>
#include <stdint.h>

/* NULL if there is none. */
struct json_object *json_look_member(struct json_object *object, const char *key);
/* "" if there is no text; valid as long as the object is. */
const char *json_look_text(struct json_object *object, const char *key);
int64_t json_look_number(struct json_object *object, const char *key, int64_t otherwise);

#endif
