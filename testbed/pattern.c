/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/pattern.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"

#define COLUMNS_MAX    32
#define NS_PER_MS      1000000
#define MS_DIGITS      6 /* after the point: down to a nanosecond */
#define DIGITS_MAX     12
#define FIELD_SHOWN    40
#define REASON_MAX     160
#define TYPES_AT_FIRST 64

const char *const pattern_transport_names[] = {"tcp", "lltcp", "mcast", "udp", NULL};

struct text {
    const char *start;
    size_t length;
};

/* Stores a field; on failure reason completes "FIELD: ". */
typedef int take_function(struct pattern_type *type, struct text field, char *reason);

struct column {
    const char *name;
    bool required;
    take_function *take;
};

struct parser {
    const char *file_name;
    unsigned line;
    const struct column *columns[COLUMNS_MAX]; /* of the file, in its order */
    unsigned column_count;
    struct pattern *pattern;
    size_t room;
    char *problem;
};

static int fail(struct parser *parser, int err, unsigned column, const char *field, const char *reason)
{
    snprintf(parser->problem, PATTERN_PROBLEM_MAX, "%.80s:%u:%u: %.30s: %s", parser->file_name, parser->line, column,
             field, reason);
    return err;
}

/* ---- text ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct text trim(struct text text)
{
    while (text.length && is_blank(text.start[0])) {
        text.start++;
        text.length--;
    }
    while (text.length && is_blank(text.start[text.length - 1]))
        text.length--;
    return text;
}

static bool equals(struct text text, const char *other)
{
    return strlen(other) == text.length && memcmp(text.start, other, text.length) == 0;
}

/* Takes what stands before the separator, and removes both from *rest. */
static struct text cut(struct text *rest, char separator)
{
    const char *end = rest->length ? memchr(rest->start, separator, rest->length) : NULL;
    struct text part = {rest->start, end ? (size_t)(end - rest->start) : rest->length};
    size_t used = end ? part.length + 1 : part.length;

    rest->start += used;
    rest->length -= used;
    return part;
}

/* "FIELD" in a message: printable and short. */
static const char *show(struct text field, char *shown)
{
    size_t length = field.length < FIELD_SHOWN ? field.length : FIELD_SHOWN;

    for (size_t i = 0; i < length; i++)
        shown[i] = field.start[i] >= ' ' && field.start[i] <= '~' ? field.start[i] : '?';
    shown[length] = '\0';
    return shown;
}

static int refuse(char *reason, int err, struct text field, const char *what)
{
    char shown[FIELD_SHOWN + 1];

    snprintf(reason, REASON_MAX, "\"%s\" %s", show(field, shown), what);
    return err;
}

/* ---- numbers ---- */

static bool take_digit(struct text *text, unsigned *digit)
{
    if (!text->length || text->start[0] < '0' || text->start[0] > '9')
        return false;
    *digit = (unsigned)(text->start[0] - '0');
    text->start++;
    text->length--;
    return true;
}

static unsigned take_digits(struct text *text, unsigned most, uint64_t *value)
{
    unsigned digit, count = 0;

    for (; count < most && take_digit(text, &digit); count++)
        *value = *value * 10 + digit;
    return count;
}

/* Digits with up to `decimals` (at most 6) more behind a point, as an integer scaled by 10^decimals. */
static int parse_number(struct text field, unsigned decimals, uint64_t *out, char *reason)
{
    struct text rest = field;
    uint64_t value = 0;
    unsigned digit, after = 0;
    bool good = take_digits(&rest, DIGITS_MAX, &value) > 0;

    if (take_digit(&rest, &digit))
        return refuse(reason, LOCKSTEP_E_BAD_VALUE, field, "is too large");
    if (decimals && good && rest.length && rest.start[0] == '.') {
        rest.start++;
        rest.length--;
        after = take_digits(&rest, decimals, &value);
        good = after > 0;
        if (take_digit(&rest, &digit))
            return refuse(reason, LOCKSTEP_E_BAD_VALUE, field, "has too many digits after the point");
    }
    if (!good || rest.length)
        return refuse(reason, LOCKSTEP_E_BAD_FORMAT, field, "is not a number");
    for (; after < decimals; after++)
        value *= 10;
    *out = value;
    return 0;
}

static int parse_integer(struct text field, uint64_t min, uint64_t max, uint64_t *out, char *reason)
{
    char range[64];
    int err = parse_number(field, 0, out, reason);

    if (!err && (*out < min || *out > max)) {
        snprintf(range, sizeof range, "must be %llu to %llu", (unsigned long long)min, (unsigned long long)max);
        return refuse(reason, LOCKSTEP_E_BAD_VALUE, field, range);
    }
    return err;
}

static int parse_ms(struct text field, int64_t min_ns, int64_t max_ns, int64_t *out, char *reason)
{
    char range[80];
    uint64_t ns;
    int err = parse_number(field, MS_DIGITS, &ns, reason);

    if (err)
        return err;
    if (ns > (uint64_t)max_ns || (int64_t)ns < min_ns) {
        snprintf(range, sizeof range, "must be %g to %.0f ms", (double)min_ns / NS_PER_MS, (double)max_ns / NS_PER_MS);
        return refuse(reason, LOCKSTEP_E_BAD_VALUE, field, range);
    }
    *out = (int64_t)ns;
    return 0;
}

/* ---- columns ---- */

static int take_class(struct pattern_type *type, struct text field, char *reason)
{
    struct text letters = field;
    unsigned digits = 0;

    while (letters.length && letters.start[letters.length - 1] >= '0' && letters.start[letters.length - 1] <= '9') {
        letters.length--;
        digits++;
    }
    for (int i = 0; pattern_transport_names[i] && digits <= 2; i++) {
        if (!equals(letters, pattern_transport_names[i]))
            continue;
        type->transport = (enum pattern_transport)i;
        memcpy(type->class_name, field.start, field.length);
        return 0;
    }
    return refuse(reason, LOCKSTEP_E_UNKNOWN_NAME, field,
                  "is not a class: tcp, lltcp, mcast or udp, with up to two digits behind it");
}

static int take_row(struct pattern_type *type, struct text field, char *reason)
{
    uint64_t row = 0;
    int err = parse_integer(field, 0, 99999999, &row, reason);

    type->row = (uint32_t)row;
    return err;
}

static int take_size(struct pattern_type *type, struct text field, char *reason)
{
    uint64_t size = 0;
    int err = parse_integer(field, PATTERN_SIZE_MIN, PATTERN_SIZE_MAX, &size, reason);

    type->size = (uint32_t)size;
    return err;
}

static int take_period(struct pattern_type *type, struct text field, char *reason)
{
    return parse_ms(field, PATTERN_PERIOD_MIN_NS, PATTERN_PERIOD_MAX_NS, &type->period_ns, reason);
}

static int take_limit(struct pattern_type *type, struct text field, char *reason)
{
    return parse_ms(field, 1, PATTERN_PERIOD_MAX_NS, &type->limit_ns, reason);
}

static int take_phase(struct pattern_type *type, struct text field, char *reason)
{
    return parse_ms(field, 0, PATTERN_PERIOD_MAX_NS, &type->phase_ns, reason);
}

/* Names go into file names and command lines: letters, digits, and - _ . inside. */
static bool name_valid(struct text name)
{
    if (!name.length || name.length >= PATTERN_NODE_MAX || name.start[0] == '-' || name.start[0] == '.')
        return false;
    for (size_t i = 0; i < name.length; i++) {
        char c = name.start[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
              c == '.'))
            return false;
    }
    return true;
}

static int take_node(struct text field, char *out, char *reason)
{
    if (!name_valid(field))
        return refuse(reason, LOCKSTEP_E_BAD_FORMAT, field,
                      "is not a node's name: up to 31 letters, digits, '-', '_', '.'");
    memcpy(out, field.start, field.length);
    out[field.length] = '\0';
    return 0;
}

static int take_sender(struct pattern_type *type, struct text field, char *reason)
{
    return take_node(field, type->sender, reason);
}

static int take_receiver(struct pattern_type *type, struct text field, char *reason)
{
    bool more = true;

    while (more) {
        struct text name = cut(&field, '+');
        char *place;
        int err;

        more = field.start != name.start + name.length; /* there was a separator */
        if (type->receiver_count == PATTERN_RECEIVERS_MAX)
            return refuse(reason, LOCKSTEP_E_EXHAUSTED, name, "is one receiver too many: up to 16");
        place = type->receivers[type->receiver_count];
        err = take_node(trim(name), place, reason);
        if (err)
            return err;
        for (unsigned i = 0; i < type->receiver_count; i++) {
            if (strcmp(type->receivers[i], place) == 0)
                return refuse(reason, LOCKSTEP_E_CONFLICT, name, "is named twice");
        }
        type->receiver_count++;
    }
    return 0;
}

static int take_port(struct pattern_type *type, struct text field, char *reason)
{
    uint64_t port = 0;
    int err = parse_integer(field, 1, 65535, &port, reason);

    type->port = (uint16_t)port;
    return err;
}

static int take_group(struct pattern_type *type, struct text field, char *reason)
{
    char text[NET_ADDR_TEXT_MAX] = "";

    if (field.length < sizeof text)
        memcpy(text, field.start, field.length);
    if (field.length >= sizeof text || memchr(text, 0, field.length) || net_addr_parse(text, &type->group) ||
        !net_addr_is_multicast(&type->group))
        return refuse(reason, LOCKSTEP_E_BAD_FORMAT, field, "is not a multicast address");
    return 0;
}

static int take_dscp(struct pattern_type *type, struct text field, char *reason)
{
    uint64_t dscp = 0;
    int err = parse_integer(field, 0, 63, &dscp, reason);

    type->dscp = (uint8_t)dscp;
    return err;
}

static int take_count(struct pattern_type *type, struct text field, char *reason)
{
    return parse_integer(field, 1, UINT32_MAX, &type->count, reason);
}

static int take_burst(struct pattern_type *type, struct text field, char *reason)
{
    uint64_t burst = 1;
    int err = parse_integer(field, 1, PATTERN_BURST_MAX, &burst, reason);

    type->burst = (uint32_t)burst;
    return err;
}

static const struct column known_columns[] = {
    {"class", true, take_class},        {"row", true, take_row},        {"size_bytes", true, take_size},
    {"period_ms", true, take_period},   {"limit_ms", true, take_limit}, {"sender", false, take_sender},
    {"receiver", false, take_receiver}, {"port", false, take_port},     {"group", false, take_group},
    {"phase_ms", false, take_phase},    {"dscp", false, take_dscp},     {"count", false, take_count},
    {"burst", false, take_burst},
};
#define KNOWN_COLUMNS (sizeof known_columns / sizeof *known_columns)

/* ---- the line of titles ---- */

static const struct column *find_column(struct text title)
{
    for (size_t i = 0; i < KNOWN_COLUMNS; i++) {
        if (equals(title, known_columns[i].name))
            return &known_columns[i];
    }
    return NULL;
}

/* Index in the file plus 1; 0 if the file has no such column. */
static unsigned column_of(const struct parser *parser, const char *name)
{
    for (unsigned i = 0; i < parser->column_count; i++) {
        if (strcmp(parser->columns[i]->name, name) == 0)
            return i + 1;
    }
    return 0;
}

static int parse_titles(struct parser *parser, struct text line)
{
    bool more = true;

    while (more) {
        struct text title = cut(&line, ',');
        const struct column *column;
        char shown[FIELD_SHOWN + 1];

        more = line.start != title.start + title.length;
        title = trim(title);
        column = find_column(title);
        show(title, shown);
        if (!column)
            return fail(parser, LOCKSTEP_E_UNKNOWN_NAME, parser->column_count + 1, shown, "unknown column");
        if (column_of(parser, column->name))
            return fail(parser, LOCKSTEP_E_CONFLICT, parser->column_count + 1, shown, "column given twice");
        parser->columns[parser->column_count++] = column;
    }
    for (size_t i = 0; i < KNOWN_COLUMNS; i++) {
        if (known_columns[i].required && !column_of(parser, known_columns[i].name))
            return fail(parser, LOCKSTEP_E_BAD_FORMAT, parser->column_count + 1, known_columns[i].name,
                        "this column is missing");
    }
    return 0;
}

/* ---- a type's line ---- */

static int fail_at(struct parser *parser, int err, const char *column, const char *reason)
{
    return fail(parser, err, column_of(parser, column), column, reason);
}

static bool same_receivers(const struct pattern_type *a, const struct pattern_type *b)
{
    if (a->receiver_count != b->receiver_count)
        return false;
    for (unsigned i = 0; i < a->receiver_count; i++) {
        if (strcmp(a->receivers[i], b->receivers[i]) != 0)
            return false;
    }
    return true;
}

/* What no field shows by itself. */
static int check_type(struct parser *parser, const struct pattern_type *type)
{
    bool multicast = type->transport == PATTERN_MULTICAST;

    if (!pattern_is_stream(type->transport) && type->size > PATTERN_DATAGRAM_MAX)
        return fail_at(parser, LOCKSTEP_E_BAD_VALUE, "size_bytes", "a datagram has at most 65000 bytes");
    if (!multicast && !net_addr_is_any(&type->group))
        return fail_at(parser, LOCKSTEP_E_BAD_VALUE, "group", "only multicast has a group");
    if (!multicast && type->receiver_count > 1)
        return fail_at(parser, LOCKSTEP_E_BAD_VALUE, "receiver", "only multicast has several receivers");
    if (type->phase_ns >= type->period_ns)
        return fail_at(parser, LOCKSTEP_E_BAD_VALUE, "phase_ms", "must be less than the period");
    for (unsigned i = 0; i < type->receiver_count; i++) {
        if (strcmp(type->receivers[i], type->sender) == 0)
            return fail_at(parser, LOCKSTEP_E_CONFLICT, "receiver", "is the sender, too");
    }
    return 0;
}

static bool same_port(const struct pattern_type *a, const struct pattern_type *b)
{
    bool multicast = a->transport == PATTERN_MULTICAST;

    return a->port && a->port == b->port && pattern_is_stream(a->transport) == pattern_is_stream(b->transport) &&
           multicast == (b->transport == PATTERN_MULTICAST) &&
           (multicast ? net_addr_equal(&a->group, &b->group) : same_receivers(a, b));
}

static int check_against_others(struct parser *parser, const struct pattern_type *type)
{
    char reason[REASON_MAX];

    for (size_t i = 0; i < parser->pattern->count; i++) {
        const struct pattern_type *other = &parser->pattern->types[i];

        if (strcmp(other->name, type->name) == 0) {
            snprintf(reason, sizeof reason, "%s is in line %u already", type->name, other->line);
            return fail_at(parser, LOCKSTEP_E_CONFLICT, "row", reason);
        }
        if (same_port(type, other)) {
            snprintf(reason, sizeof reason, "%u is the port of %s in line %u already", type->port, other->name,
                     other->line);
            return fail_at(parser, LOCKSTEP_E_CONFLICT, "port", reason);
        }
    }
    return 0;
}

static int add_type(struct parser *parser, const struct pattern_type *type)
{
    struct pattern *pattern = parser->pattern;

    if (pattern->count == PATTERN_TYPES_MAX)
        return fail(parser, LOCKSTEP_E_EXHAUSTED, 1, "class", "too many types: up to 512");
    if (pattern->count == parser->room) {
        size_t room = parser->room ? parser->room * 2 : TYPES_AT_FIRST;
        struct pattern_type *types = realloc(pattern->types, room * sizeof *types);

        if (!types)
            return fail(parser, -ENOMEM, 1, "class", "out of memory");
        pattern->types = types;
        parser->room = room;
    }
    pattern->types[pattern->count++] = *type;
    return 0;
}

static int take_field(struct parser *parser, unsigned index, struct text field, struct pattern_type *type)
{
    const struct column *column = parser->columns[index];
    char reason[REASON_MAX];
    int err;

    if (!field.length)
        return column->required ? fail(parser, LOCKSTEP_E_BAD_FORMAT, index + 1, column->name, "is empty") : 0;
    err = column->take(type, field, reason);
    return err ? fail(parser, err, index + 1, column->name, reason) : 0;
}

static int parse_type(struct parser *parser, struct text line)
{
    struct pattern_type type = {.phase_ns = PATTERN_PHASE_BY_MODE, .burst = 1, .line = parser->line};
    unsigned index = 0;
    bool more = true;
    int err;

    for (; more; index++) {
        struct text field = cut(&line, ',');

        more = line.start != field.start + field.length;
        if (index == parser->column_count)
            return fail(parser, LOCKSTEP_E_BAD_FORMAT, index + 1, "line", "has more fields than titles");
        err = take_field(parser, index, trim(field), &type);
        if (err)
            return err;
    }
    if (index < parser->column_count)
        return fail(parser, LOCKSTEP_E_BAD_FORMAT, index + 1, parser->columns[index]->name, "is missing");
    snprintf(type.name, sizeof type.name, "%s.%u", type.class_name, type.row);
    err = check_type(parser, &type);
    if (!err)
        err = check_against_others(parser, &type);
    return err ? err : add_type(parser, &type);
}

/* ---- the file ---- */

static int parse_line(struct parser *parser, struct text line)
{
    struct text content = trim(line);

    parser->line++;
    if (!content.length || content.start[0] == '#')
        return 0;
    if (memchr(content.start, '\0', content.length))
        return fail(parser, LOCKSTEP_E_BAD_FORMAT, 1, "line", "has a NUL byte");
    return parser->column_count ? parse_type(parser, line) : parse_titles(parser, line);
}

int pattern_parse(const char *file_name, const char *text, size_t length, struct pattern *out, char *problem)
{
    static const struct hash_key no_key = {{0, 0}};
    struct parser parser = {.file_name = file_name, .pattern = out, .problem = problem};
    struct text rest = {text, length};
    int err = 0;

    memset(out, 0, sizeof *out);
    out->fingerprint = hash_bytes(&no_key, text, length);
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* byte order mark */
        rest.start += 3;
        rest.length -= 3;
    }
    if (length > PATTERN_BYTES_MAX)
        err = fail(&parser, LOCKSTEP_E_EXHAUSTED, 0, "file", "is larger than 1 MiB");
    while (!err && rest.length)
        err = parse_line(&parser, cut(&rest, '\n'));
    if (!err && !out->count)
        err = fail(&parser, LOCKSTEP_E_BAD_FORMAT, 1, "file", "describes no message type");
    if (err)
        pattern_free(out);
    return err;
}

int pattern_load(const char *path, struct pattern *out, char *problem)
{
    char *text = malloc(PATTERN_BYTES_MAX + 1);
    FILE *file = text ? fopen(path, "re") : NULL;
    size_t length;
    int err;

    memset(out, 0, sizeof *out);
    errno = text ? errno : ENOMEM;
    if (!file)
        goto failed;
    length = fread(text, 1, PATTERN_BYTES_MAX + 1, file);
    if (ferror(file))
        goto failed;
    err = pattern_parse(path, text, length, out, problem);
    fclose(file);
    free(text);
    return err;
failed:
    err = -errno;
    snprintf(problem, PATTERN_PROBLEM_MAX, "%.150s: cannot read: %s", path, error_text(err));
    if (file)
        fclose(file);
    free(text);
    return err;
}

void pattern_free(struct pattern *pattern)
{
    free(pattern->types);
    memset(pattern, 0, sizeof *pattern);
}
