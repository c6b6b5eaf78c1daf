/* SPDX-License-Identifier: BSD-2-Clause */
/* One typed value in text form, as command lines and configuration files have it, described by an entry of a table and
 * stored into a field of a structure. Pure; any thread.
 *
 *     struct netd_options { int64_t lanes; uint64_t ring; uint64_t period_ns; bool verbose; int mode; char dir[108]; };
 *     {VALUE_INT(struct netd_options, lanes), .initial = "64", .min = 1, .max = 1024}
 */
#ifndef LOCKSTEP_BASE_VALUE_H
#define LOCKSTEP_BASE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum value_type {
    VALUE_TYPE_BOOL,     /* bool: yes, no, true, false, on, off, 1, 0 */
    VALUE_TYPE_INT,      /* int64_t */
    VALUE_TYPE_SIZE,     /* uint64_t, bytes; "4096", "64K", "1.5M", "2G", "1T": powers of 1024 */
    VALUE_TYPE_DURATION, /* uint64_t, nanoseconds; "250ns", "20us", "1.5ms", "2s", "1min", "1h", "0" */
    VALUE_TYPE_TEXT,     /* char[N]: longer is an error */
    VALUE_TYPE_TEXTS,    /* char[M][N]: each further value takes the next free element; an empty one ends the list */
    VALUE_TYPE_ENUM,     /* int: index into names */
    VALUE_TYPE_LIST,     /* any: add() takes each item of "a, b, c"; each further value adds more; never empty */
};

struct value_spec {
    enum value_type type;
    size_t offset; /* of the field; use the macros below, which check the field's type */
    size_t length; /* N of TEXT and TEXTS */
    size_t count;  /* M of TEXTS */
    int64_t min;   /* INT, SIZE (bytes), DURATION (nanoseconds): inclusive limits, both 0: none */
    int64_t max;
    const char *const *names; /* ENUM: ends with NULL */
    const char *initial;      /* default, in the form a user would write; NULL: all bytes zero. Not for TEXTS, LIST */
    bool required;            /* in a section of a configuration file: it must be given */
    /* LIST: adds one item, without blanks around it, to the field of object; problem as value_parse's. */
    int (*add)(const char *item, void *field, void *object, char *problem);
};

#define VALUE_FIELD(object, member, field_type)                                                                        \
    offsetof(object, member) +                                                                                         \
        0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((object *)0)->member), field_type) ? 1 : -1])
#define VALUE_BOOL(object, member)     .type = VALUE_TYPE_BOOL, .offset = VALUE_FIELD(object, member, bool)
#define VALUE_INT(object, member)      .type = VALUE_TYPE_INT, .offset = VALUE_FIELD(object, member, int64_t)
#define VALUE_SIZE(object, member)     .type = VALUE_TYPE_SIZE, .offset = VALUE_FIELD(object, member, uint64_t)
#define VALUE_DURATION(object, member) .type = VALUE_TYPE_DURATION, .offset = VALUE_FIELD(object, member, uint64_t)
#define VALUE_TEXT(object, member)                                                                                     \
    .type = VALUE_TYPE_TEXT, .offset = VALUE_FIELD(object, member, char[]), .length = sizeof((object *)0)->member
#define VALUE_TEXTS(object, member)                                                                                    \
    .type = VALUE_TYPE_TEXTS, .offset = VALUE_FIELD(object, member[0], char[]),                                        \
    .length = sizeof((object *)0)->member[0], .count = sizeof((object *)0)->member / sizeof((object *)0)->member[0]
#define VALUE_ENUM(object, member, value_names)                                                                        \
    .type = VALUE_TYPE_ENUM, .offset = VALUE_FIELD(object, member, int), .names = (value_names)

#define VALUE_LIST(object, member, add_item)                                                                           \
    .type = VALUE_TYPE_LIST, .offset = offsetof(object, member), .length = sizeof(((object *)0)->member),              \
    .add = (add_item)

#define VALUE_PROBLEM_MAX 192
#define VALUE_ITEM_MAX    256 /* of a LIST */

/* Stores text into the field of object. On failure (LOCKSTEP_E_BAD_FORMAT, LOCKSTEP_E_BAD_VALUE, LOCKSTEP_E_EXHAUSTED)
 * the field is untouched (a LIST may have got the items before the wrong one) and problem (VALUE_PROBLEM_MAX bytes)
 * completes "VALUE ...": "is not a number", "must be 1 to 64". */
int value_parse(const struct value_spec *spec, const char *text, void *object, char *problem);

/* Does each further value add to the field (TEXTS, LIST), instead of replacing what is there? */
bool value_is_repeated(const struct value_spec *spec);

/* Stores the default. A default that does not parse is a bug of the table: aborts. */
void value_set_initial(const struct value_spec *spec, void *object);

/* What a user may write: "64K to 1G", "auto|xdp|tc"; "" if anything goes. Returns text. */
const char *value_describe(const struct value_spec *spec, char *text, size_t size);

/* What comes from outside is shown on terminals and in JSON, where not every byte may be: ? for what is not printable
 * ASCII. */
void value_make_printable(char *text);

#endif
