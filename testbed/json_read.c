/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/json_read.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define DEPTH_MAX 16

int json_read_fail(struct json_reader *reader, int err, const char *key, const char *what)
{
    if (!reader->err) {
        reader->err = err;
        snprintf(reader->problem, reader->problem_size, "%s: %.60s: %s", reader->what, key, what);
    }
    return reader->err;
}

static struct json_object *parse(const char *text, size_t length)
{
    struct json_tokener *tokener = length <= INT_MAX ? json_tokener_new_ex(DEPTH_MAX) : NULL;
    struct json_object *document;

    if (!tokener)
        return NULL;
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    document = json_tokener_parse_ex(tokener, text, (int)length);
    if (json_tokener_get_error(tokener) != json_tokener_success || (json_tokener_get_parse_end(tokener) != length) ||
        !json_object_is_type(document, json_type_object)) {
        json_object_put(document);
        document = NULL;
    }
    json_tokener_free(tokener);
    return document;
}

struct json_object *json_read_document(struct json_reader *reader, const char *text, size_t length, const char *schema,
                                       int version)
{
    struct json_object *document;
    char found[64] = "", message[96];
    int64_t found_version;

    while (length && strchr(" \n\r\t", text[length - 1]))
        length--;
    document = parse(text, length);
    if (!document) {
        json_read_fail(reader, LOCKSTEP_E_BAD_FORMAT, "document", "not a JSON object");
        return NULL;
    }
    json_read_text(reader, document, "schema", found, sizeof found);
    found_version = json_read_int(reader, document, "version", 0, INT_MAX);
    if (!reader->err && (strcmp(found, schema) != 0 || found_version != version)) {
        snprintf(message, sizeof message, "is %.30s %" PRId64 ", wanted %.30s %d", found, found_version, schema,
                 version);
        json_read_fail(reader, LOCKSTEP_E_BAD_VERSION, "schema", message);
    }
    if (reader->err) {
        json_object_put(document);
        return NULL;
    }
    return document;
}

static struct json_object *member(struct json_reader *reader, struct json_object *object, const char *key,
                                  enum json_type type)
{
    struct json_object *value = NULL;
    char message[64];

    if (reader->err)
        return NULL;
    if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, key, &value)) {
        json_read_fail(reader, LOCKSTEP_E_BAD_FORMAT, key, "is missing");
        return NULL;
    }
    if (!json_object_is_type(value, type)) {
        snprintf(message, sizeof message, "is not of type %s", json_type_to_name(type));
        json_read_fail(reader, LOCKSTEP_E_BAD_FORMAT, key, message);
        return NULL;
    }
    return value;
}

static int64_t check_range(struct json_reader *reader, struct json_object *value, const char *key, int64_t min,
                           int64_t max)
{
    int64_t number = json_object_get_int64(value);
    char message[96];

    if (number < min || number > max) {
        snprintf(message, sizeof message, "%" PRId64 " is not from %" PRId64 " to %" PRId64, number, min, max);
        json_read_fail(reader, LOCKSTEP_E_BAD_VALUE, key, message);
        return min;
    }
    return number;
}

int64_t json_read_int(struct json_reader *reader, struct json_object *object, const char *key, int64_t min, int64_t max)
{
    struct json_object *value = member(reader, object, key, json_type_int);

    return value ? check_range(reader, value, key, min, max) : min;
}

bool json_read_bool(struct json_reader *reader, struct json_object *object, const char *key)
{
    struct json_object *value = member(reader, object, key, json_type_boolean);

    return value && json_object_get_boolean(value);
}

void json_read_text(struct json_reader *reader, struct json_object *object, const char *key, char *out, size_t size)
{
    struct json_object *value = member(reader, object, key, json_type_string);
    const char *text = value ? json_object_get_string(value) : "";
    size_t length = value ? (size_t)json_object_get_string_len(value) : 0;

    out[0] = '\0';
    if (length >= size) {
        json_read_fail(reader, LOCKSTEP_E_EXHAUSTED, key, "is too long");
        return;
    }
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) {
            json_read_fail(reader, LOCKSTEP_E_BAD_FORMAT, key, "has a control character");
            return;
        }
    }
    memcpy(out, text, length);
    out[length] = '\0';
}

int json_read_enum(struct json_reader *reader, struct json_object *object, const char *key, const char *const *names)
{
    char text[32];

    json_read_text(reader, object, key, text, sizeof text);
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], text) == 0)
            return i;
    }
    json_read_fail(reader, LOCKSTEP_E_UNKNOWN_NAME, key, "is not one of the known names");
    return 0;
}

struct json_object *json_read_object(struct json_reader *reader, struct json_object *object, const char *key)
{
    return member(reader, object, key, json_type_object);
}

struct json_object *json_read_array(struct json_reader *reader, struct json_object *object, const char *key, size_t max,
                                    size_t *count)
{
    struct json_object *value = member(reader, object, key, json_type_array);

    *count = value ? json_object_array_length(value) : 0;
    if (*count > max) {
        json_read_fail(reader, LOCKSTEP_E_EXHAUSTED, key, "has too many elements");
        *count = 0;
    }
    return value;
}

int64_t json_read_element(struct json_reader *reader, struct json_object *array, const char *key, size_t index,
                          int64_t min, int64_t max)
{
    struct json_object *value =
        json_object_is_type(array, json_type_array) ? json_object_array_get_idx(array, index) : NULL;

    if (!json_object_is_type(value, json_type_int)) {
        json_read_fail(reader, LOCKSTEP_E_BAD_FORMAT, key, "an element is not a number");
        return min;
    }
    return check_range(reader, value, key, min, max);
}
