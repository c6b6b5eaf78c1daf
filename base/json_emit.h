/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes a JSON document (RFC 8259) piece by piece into a buffer of the caller's: no allocation, no locale, no floating
 * point, so that it works inside any program. What does not fit sets `overflow` and is left out; the caller takes the
 * bytes away (emitter_taken) often enough.
 *
 * A key is NULL inside an array and for the outermost value. Keys are the project's own: printed as they are. Text of
 * others may be anything: bytes that are not printable ASCII appear as \u00XX. Not thread-safe. */
#ifndef LOCKSTEP_BASE_JSON_EMIT_H
#define LOCKSTEP_BASE_JSON_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EMITTER_DEPTH 32

struct emitter {
    char *buffer;
    size_t size, used;
    unsigned depth;
    uint32_t follows; /* bit d: at depth d a value has been written */
    bool overflow;
};

void emitter_init(struct emitter *out, char *buffer, size_t size);
/* The first length bytes have been taken away. */
void emitter_taken(struct emitter *out, size_t length);

void emit_object_begin(struct emitter *out, const char *key);
void emit_object_end(struct emitter *out);
void emit_array_begin(struct emitter *out, const char *key);
void emit_array_end(struct emitter *out);

void emit_unsigned(struct emitter *out, const char *key, uint64_t value);
void emit_signed(struct emitter *out, const char *key, int64_t value);
void emit_bool(struct emitter *out, const char *key, bool value);
void emit_text(struct emitter *out, const char *key, const char *value); /* NULL: null */

#endif
