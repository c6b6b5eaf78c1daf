/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/json_emit.h"

#include <string.h>

void emitter_init(struct emitter *out, char *buffer, size_t size)
{
    *out = (struct emitter){.buffer = buffer, .size = size};
}

void emitter_taken(struct emitter *out, size_t length)
{
    memmove(out->buffer, out->buffer + length, out->used - length);
    out->used -= length;
}

static void put(struct emitter *out, const char *text, size_t length)
{
    if (out->overflow || length > out->size - out->used) {
        out->overflow = true;
        return;
    }
    memcpy(out->buffer + out->used, text, length);
    out->used += length;
}

static void put_char(struct emitter *out, char c)
{
    put(out, &c, 1);
}

/* Comma and key. */
static void before_value(struct emitter *out, const char *key)
{
    uint32_t bit = 1u << out->depth;

    if (out->follows & bit)
        put_char(out, ',');
    out->follows |= bit;
    if (key) {
        put_char(out, '"');
        put(out, key, strlen(key));
        put(out, "\":", 2);
    }
}

static void begin(struct emitter *out, const char *key, char bracket)
{
    before_value(out, key);
    put_char(out, bracket);
    if (out->depth + 1 >= EMITTER_DEPTH) {
        out->overflow = true;
        return;
    }
    out->depth++;
    out->follows &= ~(1u << out->depth);
}

static void end(struct emitter *out, char bracket)
{
    if (out->depth > 0)
        out->depth--;
    put_char(out, bracket);
}

void emit_object_begin(struct emitter *out, const char *key)
{
    begin(out, key, '{');
}

void emit_object_end(struct emitter *out)
{
    end(out, '}');
}

void emit_array_begin(struct emitter *out, const char *key)
{
    begin(out, key, '[');
}

void emit_array_end(struct emitter *out)
{
    end(out, ']');
}

static void put_digits(struct emitter *out, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put(out, digits + at, sizeof digits - at);
}

void emit_unsigned(struct emitter *out, const char *key, uint64_t value)
{
    before_value(out, key);
    put_digits(out, value);
}

void emit_signed(struct emitter *out, const char *key, int64_t value)
{
    before_value(out, key);
    if (value < 0)
        put_char(out, '-');
    put_digits(out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void emit_bool(struct emitter *out, const char *key, bool value)
{
    before_value(out, key);
    put(out, value ? "true" : "false", value ? 4 : 5);
}

static void put_escaped(struct emitter *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    const char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

    if (c == '"' || c == '\\') {
        put_char(out, '\\');
        put_char(out, (char)c);
    } else if (c < ' ' || c > '~') {
        put(out, escape, sizeof escape);
    } else {
        put_char(out, (char)c);
    }
}

void emit_text(struct emitter *out, const char *key, const char *value)
{
    before_value(out, key);
    if (!value) {
        put(out, "null", 4);
        return;
    }
    put_char(out, '"');
    for (; *value; value++)
        put_escaped(out, (unsigned char)*value);
    put_char(out, '"');
}
