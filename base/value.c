/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define NUMBER_TEXT_MAX     32
#define FRACTION_DIGITS_MAX 9

struct unit {
    const char *suffix;
    uint64_t scale;
};

/* Largest first; the last one is the value's own unit. */
static const struct unit size_units[] = {{"T", 1ull << 40}, {"G", 1ull << 30}, {"M", 1ull << 20},
                                         {"K", 1ull << 10}, {"", 1},           {NULL, 0}};
static const struct unit duration_units[] = {
    {"h", 3600000000000}, {"min", 60000000000}, {"s", 1000000000}, {"ms", 1000000}, {"us", 1000}, {"ns", 1}, {NULL, 0}};

static const struct unit *find_unit(const struct unit *units, const char *suffix)
{
    for (; units->suffix; units++) {
        if (strcmp(units->suffix, suffix) == 0)
            return units;
    }
    return NULL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "1.5M": the value must be a whole number of the smallest unit and fit an int64_t. */
static int parse_scaled(const char *text, const struct unit *units, int64_t *out)
{
    unsigned __int128 mantissa = 0, scaled;
    uint64_t divisor = 1;
    const struct unit *unit;

    if (!is_digit(*text))
        return LOCKSTEP_E_BAD_FORMAT;
    for (; is_digit(*text); text++) {
        mantissa = mantissa * 10 + (unsigned)(*text - '0');
        if (mantissa > INT64_MAX)
            return LOCKSTEP_E_BAD_VALUE;
    }
    if (*text == '.') {
        text++;
        for (int digits = 0; is_digit(*text); text++, digits++) {
            if (digits == FRACTION_DIGITS_MAX)
                return LOCKSTEP_E_BAD_FORMAT;
            mantissa = mantissa * 10 + (unsigned)(*text - '0');
            divisor *= 10;
        }
        if (divisor == 1)
            return LOCKSTEP_E_BAD_FORMAT;
    }
    unit = find_unit(units, text);
    /* Zero is zero in any unit. */
    if (!unit && !(mantissa == 0 && *text == '\0'))
        return LOCKSTEP_E_BAD_FORMAT;
    scaled = mantissa * (unit ? unit->scale : 1); /* < 2^63 * 10^9 * 2^42: fits */
    if (scaled % divisor != 0)
        return LOCKSTEP_E_BAD_FORMAT;
    if (scaled / divisor > INT64_MAX)
        return LOCKSTEP_E_BAD_VALUE;
    *out = (int64_t)(scaled / divisor);
    return 0;
}

static int parse_int(const char *text, int64_t *out)
{
    int saved_errno = errno;
    bool too_large;
    char *end;

    if (!is_digit(*text) && !(*text == '-' && is_digit(text[1])))
        return LOCKSTEP_E_BAD_FORMAT;
    errno = 0;
    *out = strtoll(text, &end, 10);
    too_large = errno == ERANGE;
    errno = saved_errno;
    if (*end != '\0')
        return LOCKSTEP_E_BAD_FORMAT;
    return too_large ? LOCKSTEP_E_BAD_VALUE : 0;
}

/* The shortest exact form in the type's units. */
static void format_number(enum value_type type, int64_t number, char text[NUMBER_TEXT_MAX])
{
    const struct unit *unit = type == VALUE_TYPE_SIZE ? size_units : duration_units;

    if (type == VALUE_TYPE_INT || number == 0) {
        snprintf(text, NUMBER_TEXT_MAX, "%lld", (long long)number);
        return;
    }
    while (number % (int64_t)unit->scale != 0)
        unit++;
    snprintf(text, NUMBER_TEXT_MAX, "%lld%s", (long long)(number / (int64_t)unit->scale), unit->suffix);
}

static bool has_limits(const struct value_spec *spec)
{
    return spec->min != 0 || spec->max != 0;
}

static void describe_limits(const struct value_spec *spec, char *text, size_t size)
{
    char low[NUMBER_TEXT_MAX], high[NUMBER_TEXT_MAX];

    format_number(spec->type, spec->min, low);
    format_number(spec->type, spec->max, high);
    snprintf(text, size, "%s to %s", low, high);
}

static void describe_names(const struct value_spec *spec, char *text, size_t size)
{
    size_t length = 0;

    text[0] = '\0';
    for (const char *const *name = spec->names; *name && length < size; name++)
        length += (size_t)snprintf(text + length, size - length, "%s%s", length ? "|" : "", *name);
}

const char *value_describe(const struct value_spec *spec, char *text, size_t size)
{
    text[0] = '\0';
    if (spec->type == VALUE_TYPE_ENUM)
        describe_names(spec, text, size);
    else if (has_limits(spec))
        describe_limits(spec, text, size);
    return text;
}

static int parse_number(const struct value_spec *spec, const char *text, int64_t *number, char *problem)
{
    static const char *const wrong[] = {
        [VALUE_TYPE_INT] = "is not a whole number",
        [VALUE_TYPE_SIZE] = "is not a size (a number with K, M, G, T or nothing)",
        [VALUE_TYPE_DURATION] = "is not a duration (a number with ns, us, ms, s, min or h)",
    };
    char limits[2 * NUMBER_TEXT_MAX + 8];
    int err;

    if (spec->type == VALUE_TYPE_INT)
        err = parse_int(text, number);
    else
        err = parse_scaled(text, spec->type == VALUE_TYPE_SIZE ? size_units : duration_units, number);
    if (err == LOCKSTEP_E_BAD_FORMAT) {
        snprintf(problem, VALUE_PROBLEM_MAX, "%s", wrong[spec->type]);
    } else if (has_limits(spec) && (err || *number < spec->min || *number > spec->max)) {
        describe_limits(spec, limits, sizeof limits);
        snprintf(problem, VALUE_PROBLEM_MAX, "must be %s", limits);
        err = LOCKSTEP_E_BAD_VALUE;
    } else if (err) {
        snprintf(problem, VALUE_PROBLEM_MAX, "is too large");
    }
    return err;
}

static int parse_bool(const char *text, bool *out, char *problem)
{
    static const char *const words[2][4] = {{"no", "false", "off", "0"}, {"yes", "true", "on", "1"}};

    for (int i = 0; i < 8; i++) {
        if (strcmp(text, words[i / 4][i % 4]) == 0) {
            *out = i / 4;
            return 0;
        }
    }
    snprintf(problem, VALUE_PROBLEM_MAX, "must be yes or no");
    return LOCKSTEP_E_BAD_FORMAT;
}

static int parse_enum(const struct value_spec *spec, const char *text, int *out, char *problem)
{
    char names[VALUE_PROBLEM_MAX - 16];

    for (int i = 0; spec->names[i]; i++) {
        if (strcmp(text, spec->names[i]) == 0) {
            *out = i;
            return 0;
        }
    }
    describe_names(spec, names, sizeof names);
    snprintf(problem, VALUE_PROBLEM_MAX, "must be %s", names);
    return LOCKSTEP_E_UNKNOWN_NAME;
}

static int parse_text(const struct value_spec *spec, const char *text, char *out, char *problem)
{
    size_t length = strlen(text);

    if (length >= spec->length) {
        snprintf(problem, VALUE_PROBLEM_MAX, "is longer than %zu characters", spec->length - 1);
        return LOCKSTEP_E_BAD_VALUE;
    }
    memset(out, 0, spec->length);
    memcpy(out, text, length);
    return 0;
}

static int append_text(const struct value_spec *spec, const char *text, char *out, char *problem)
{
    if (*text == '\0') {
        snprintf(problem, VALUE_PROBLEM_MAX, "must not be empty");
        return LOCKSTEP_E_BAD_VALUE;
    }
    for (size_t i = 0; i < spec->count; i++, out += spec->length) {
        if (*out == '\0')
            return parse_text(spec, text, out, problem);
    }
    snprintf(problem, VALUE_PROBLEM_MAX, "is one too many (at most %zu)", spec->count);
    return LOCKSTEP_E_EXHAUSTED;
}

/* The next item of "a, b, c" without blanks around it; its length, or -1: too long. */
static long next_item(const char **text, char item[VALUE_ITEM_MAX])
{
    size_t length = strcspn(*text, ",");
    const char *start = *text + strspn(*text, " \t"), *end = *text + length;

    *text = *end ? end + 1 : NULL;
    while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    length = end > start ? (size_t)(end - start) : 0;
    if (length >= VALUE_ITEM_MAX)
        return -1;
    memcpy(item, start, length);
    item[length] = '\0';
    return (long)length;
}

static int parse_list(const struct value_spec *spec, const char *text, void *object, char *problem)
{
    bool several = strchr(text, ',');

    while (text) {
        char item[VALUE_ITEM_MAX], reason[VALUE_PROBLEM_MAX] = "";
        long length = next_item(&text, item);
        int err;

        if (length < 0) {
            snprintf(problem, VALUE_PROBLEM_MAX, "has an item of more than %d characters", VALUE_ITEM_MAX - 1);
            return LOCKSTEP_E_BAD_VALUE;
        }
        if (length == 0) {
            snprintf(problem, VALUE_PROBLEM_MAX, several ? "has an empty item" : "must not be empty");
            return LOCKSTEP_E_BAD_VALUE;
        }
        err = spec->add(item, (char *)object + spec->offset, object, reason);
        if (err && several)
            snprintf(problem, VALUE_PROBLEM_MAX, "(at \"%.40s\") %.140s", item, reason);
        else if (err)
            snprintf(problem, VALUE_PROBLEM_MAX, "%s", reason);
        if (err)
            return err;
    }
    return 0;
}

int value_parse(const struct value_spec *spec, const char *text, void *object, char *problem)
{
    void *field = (char *)object + spec->offset;
    int64_t number;
    int err;

    switch (spec->type) {
    case VALUE_TYPE_BOOL:
        return parse_bool(text, field, problem);
    case VALUE_TYPE_TEXT:
        return parse_text(spec, text, field, problem);
    case VALUE_TYPE_TEXTS:
        return append_text(spec, text, field, problem);
    case VALUE_TYPE_ENUM:
        return parse_enum(spec, text, field, problem);
    case VALUE_TYPE_LIST:
        return parse_list(spec, text, object, problem);
    case VALUE_TYPE_INT:
    case VALUE_TYPE_SIZE:
    case VALUE_TYPE_DURATION:
        break;
    }
    err = parse_number(spec, text, &number, problem);
    if (!err)
        memcpy(field, &number, sizeof number);
    return err;
}

bool value_is_repeated(const struct value_spec *spec)
{
    return spec->type == VALUE_TYPE_TEXTS || spec->type == VALUE_TYPE_LIST;
}

static size_t field_size(const struct value_spec *spec)
{
    switch (spec->type) {
    case VALUE_TYPE_BOOL:
        return sizeof(bool);
    case VALUE_TYPE_ENUM:
        return sizeof(int);
    case VALUE_TYPE_TEXT:
    case VALUE_TYPE_LIST:
        return spec->length;
    case VALUE_TYPE_TEXTS:
        return spec->length * spec->count;
    default:
        return sizeof(int64_t);
    }
}

void value_set_initial(const struct value_spec *spec, void *object)
{
    char problem[VALUE_PROBLEM_MAX];

    memset((char *)object + spec->offset, 0, field_size(spec));
    if (spec->initial && value_parse(spec, spec->initial, object, problem) != 0) {
        fprintf(stderr, "default \"%s\" %s\n", spec->initial, problem);
        abort();
    }
}

void value_make_printable(char *text)
{
    for (; *text; text++) {
        if (*text < ' ' || *text > '~')
            *text = '?';
    }
}
