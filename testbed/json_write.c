/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/json_write.h"

void json_write_int(struct json_object *object, const char *key, int64_t number)
{
    json_object_object_add(object, key, json_object_new_int64(number));
}

void json_write_text(struct json_object *object, const char *key, const char *text)
{
    json_object_object_add(object, key, json_object_new_string(text ? text : ""));
}
