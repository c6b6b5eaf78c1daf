/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/json_stream.h"

#include <math.h>
#include <string.h>

static void put(struct json_stream *json, const char *text)
{
    fputs_unlocked(text, json->out);
}

static void put_key(struct json_stream *json, const char *key)
{
    if (json->more)
        fputc_unlocked(',', json->out);
    json->more = true;
    if (!key)
        return;
    fputc_unlocked('"', json->out);
    put(json, key);
    put(json, "\":");
}

void json_begin(struct json_stream *json, const char *key, char bracket)
{
    put_key(json, key);
    fputc_unlocked(bracket, json->out);
    json->more = false;
}

void json_end(struct json_stream *json, char bracket)
{
    fputc_unlocked(bracket, json->out);
    json->more = true;
}

void json_put_text(struct json_stream *json, const char *key, const char *text)
{
    put_key(json, key);
    fputc_unlocked('"', json->out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc_unlocked('\\', json->out);
        fputc_unlocked(*text >= ' ' && *text <= '~' ? *text : '?', json->out);
    }
    fputc_unlocked('"', json->out);
}

static void put_digits(struct json_stream *json, uint64_t number)
{
    char digits[24], *first = digits + sizeof digits - 1;

    *first = '\0';
    do
        *--first = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    put(json, first);
}

void json_put_uint(struct json_stream *json, const char *key, uint64_t number)
{
    put_key(json, key);
    put_digits(json, number);
}

void json_put_int(struct json_stream *json, const char *key, int64_t number)
{
    put_key(json, key);
    if (number < 0)
        fputc_unlocked('-', json->out);
    put_digits(json, number < 0 ? -(uint64_t)number : (uint64_t)number);
}

void json_put_bool(struct json_stream *json, const char *key, bool value)
{
    json_put_raw(json, key, value ? "true" : "false");
}

void json_put_real(struct json_stream *json, const char *key, double number)
{
    char text[40] = "null";

    if (isfinite(number))
        snprintf(text, sizeof text, "%.9g", number);
    json_put_raw(json, key, text);
}

void json_put_raw(struct json_stream *json, const char *key, const char *text)
{
    put_key(json, key);
    put(json, text ? text : "null");
}
