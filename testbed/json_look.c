/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/json_look.h"

struct json_object *json_look_member(struct json_object *object, const char *key)
{
    struct json_object *value;

    return json_object_object_get_ex(object, key, &value) ? value : NULL;
}

const char *json_look_text(struct json_object *object, const char *key)
{
    struct json_object *value = json_look_member(object, key);

    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

int64_t json_look_number(struct json_object *object, const char *key, int64_t otherwise)
{
    struct json_object *value = json_look_member(object, key);

    return value ? json_object_get_int64(value) : otherwise;
}
