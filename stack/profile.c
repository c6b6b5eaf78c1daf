/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/profile.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/value.h"

#define LINE_MAX_BYTES 256
#define BLANKS         " \t\r"

static const struct {
    const char *name;
    struct profile profile;
} builtin[] = {
    {"latency", {1000000, true, -1, 1000, 0, 20000, 2000}},
    {"balanced", {50, true, -1, 2000, 0, 20000, 2000}},
    {"frugal", {0, true, -1, 5000, 100, 25000, 4000}},
};

/* A file's values in the types of base/value.h. */
struct text_values {
    uint64_t time_ns;
    int64_t core;
    bool backoff;
};

enum key_kind { KEY_TIME, KEY_CORE, KEY_BACKOFF };

static const struct {
    const char *name;
    enum key_kind kind;
    size_t offset; /* KEY_TIME: of the uint32_t in struct profile */
    int64_t max_ns;
} keys[] = {
    {"spin", KEY_TIME, offsetof(struct profile, spin_us), 1000000000000},
    {"spin_backoff", KEY_BACKOFF, 0, 0},
    {"core", KEY_CORE, 0, 0},
    {"delayed_ack", KEY_TIME, offsetof(struct profile, delayed_ack_us), 200000000},
    {"coalesce", KEY_TIME, offsetof(struct profile, coalesce_us), 100000000},
    {"rto_min", KEY_TIME, offsetof(struct profile, rto_min_us), 1000000000},
    {"helper_tick", KEY_TIME, offsetof(struct profile, helper_tick_us), 100000000},
};

int profile_builtin(const char *name, struct profile *out)
{
    for (size_t i = 0; i < sizeof builtin / sizeof *builtin; i++) {
        if (strcmp(builtin[i].name, name) == 0) {
            *out = builtin[i].profile;
            return 0;
        }
    }
    return LOCKSTEP_E_UNKNOWN_NAME;
}

static int parse_time(size_t key, const char *text, struct profile *out, char *problem)
{
    const struct value_spec spec = {VALUE_DURATION(struct text_values, time_ns), .min = 0, .max = keys[key].max_ns};
    struct text_values values = {0};
    uint32_t us;
    int err = 0;

    if (strcmp(keys[key].name, "spin") == 0 && strcmp(text, "forever") == 0) {
        us = UINT32_MAX;
    } else {
        err = value_parse(&spec, text, &values, problem);
        us = (uint32_t)(values.time_ns / 1000);
    }
    if (err == 0 && us == 0 && strcmp(keys[key].name, "helper_tick") == 0) {
        snprintf(problem, VALUE_PROBLEM_MAX, "must be at least 1us");
        err = LOCKSTEP_E_BAD_VALUE;
    }
    if (err == 0)
        memcpy((char *)out + keys[key].offset, &us, sizeof us);
    return err;
}

static int parse_value(size_t key, const char *text, struct profile *out, char *problem)
{
    const struct value_spec core_spec = {VALUE_INT(struct text_values, core), .min = -1, .max = 4095};
    const struct value_spec backoff_spec = {VALUE_BOOL(struct text_values, backoff)};
    struct text_values values = {0};
    int err;

    switch (keys[key].kind) {
    case KEY_TIME:
        return parse_time(key, text, out, problem);
    case KEY_CORE:
        err = value_parse(&core_spec, text, &values, problem);
        if (err == 0)
            out->core = (int32_t)values.core;
        return err;
    default:
        err = value_parse(&backoff_spec, text, &values, problem);
        if (err == 0)
            out->spin_backoff = values.backoff;
        return err;
    }
}

static char *trim(char *text)
{
    size_t length;

    text += strspn(text, BLANKS);
    length = strlen(text);
    while (length > 0 && strchr(BLANKS, text[length - 1]))
        length--;
    text[length] = '\0';
    return text;
}

/* One "key = value" line; first tells that no key came before. key is set for the message. */
static int parse_line(char *line, bool first, struct profile *out, const char **key, char *problem)
{
    char *equals = strchr(line, '=');
    char *value;

    *key = line;
    if (!equals) {
        snprintf(problem, VALUE_PROBLEM_MAX, "is not \"key = value\"");
        return LOCKSTEP_E_BAD_FORMAT;
    }
    *equals = '\0';
    *key = trim(line);
    value = trim(equals + 1);
    if (strcmp(*key, "base") == 0) {
        if (first && profile_builtin(value, out) == 0)
            return 0;
        snprintf(problem, VALUE_PROBLEM_MAX, first ? "is not a built-in profile" : "must come before all other keys");
        return LOCKSTEP_E_BAD_VALUE;
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strcmp(keys[i].name, *key) == 0)
            return parse_value(i, value, out, problem);
    }
    snprintf(problem, VALUE_PROBLEM_MAX, "unknown key");
    return LOCKSTEP_E_UNKNOWN_NAME;
}

int profile_parse(const char *file, const char *text, size_t length, struct profile *out, char *error, size_t size)
{
    struct profile result;
    bool first = true;
    int err = profile_builtin(PROFILE_DEFAULT, &result);

    for (int number = 1; length > 0 && err == 0; number++) {
        const char *end = memchr(text, '\n', length);
        size_t bytes = end ? (size_t)(end - text) : length;
        char buffer[LINE_MAX_BYTES], problem[VALUE_PROBLEM_MAX] = "", *line = buffer;
        const char *key = "line";

        if (bytes >= sizeof buffer || memchr(text, '\0', bytes)) {
            snprintf(problem, sizeof problem, "is too long or not text");
            err = LOCKSTEP_E_BAD_FORMAT;
        } else {
            memcpy(buffer, text, bytes);
            buffer[bytes] = '\0';
            line = trim(buffer);
            if (*line != '\0' && *line != '#') {
                err = parse_line(line, first, &result, &key, problem);
                first = false;
            }
        }
        if (err < 0)
            snprintf(error, size, "%s:%d: %s: %s", file, number, key, problem);
        text += bytes + (end ? 1 : 0);
        length -= bytes + (end ? 1 : 0);
    }
    if (err == 0)
        *out = result;
    return err;
}
