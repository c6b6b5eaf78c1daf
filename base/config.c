/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/config.h"

#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define BLANKS     " \t\r\v\f"
#define HEADER_MAX 96

struct parser {
    const struct config_section *sections;
    const struct config_section *section; /* NULL before the first header */
    char header[HEADER_MAX];              /* its line, for messages: "[rule office]" */
    int header_line;
    uint64_t seen; /* bit i: sections[i], which has no label, was there */
    const char *file_name;
    const char *next; /* unread text */
    const char *end;
    int line;
    void *root;
    void *object;   /* where the current section's keys go */
    uint64_t given; /* bit i: keys[i] of the current section was given */
    bool pending;   /* the line handed to inih has not come back as key and value yet */
    int err;
    char *problem;
};

static int fail_at(struct parser *parser, int line, int err, const char *subject, const char *reason)
{
    bool inside = parser->section && parser->section->name && *subject != '[';

    snprintf(parser->problem, CONFIG_PROBLEM_MAX, "%.100s:%d: %s%s%.64s%s%.200s", parser->file_name, line,
             inside ? parser->header : "", inside ? " " : "", subject, *subject ? ": " : "", reason);
    value_make_printable(parser->problem);
    parser->err = err;
    return err;
}

static int fail(struct parser *parser, int err, const char *subject, const char *reason)
{
    return fail_at(parser, parser->line, err, subject, reason);
}

static void set_initial(const struct config_key *keys, void *object)
{
    for (; keys->name; keys++)
        value_set_initial(&keys->value, object);
}

void config_set_initial(const struct config_section *sections, void *root)
{
    for (; sections->name; sections++) {
        if (!sections->begin)
            set_initial(sections->keys, root);
    }
}

/* "; allowed: a, b, c", as far as there is room. */
static void list_allowed(char *text, size_t size, const char *name, bool labelled)
{
    size_t used = strlen(text);

    snprintf(text + used, size - used, "%s%s%s", strstr(text, "; allowed: ") ? ", " : "; allowed: ", name,
             labelled ? " NAME" : "");
}

static void unknown_section(struct parser *parser, const char *header)
{
    char reason[200] = "unknown section";

    for (const struct config_section *section = parser->sections; section->name; section++)
        list_allowed(reason, sizeof reason, section->name, section->begin);
    fail(parser, LOCKSTEP_E_UNKNOWN_NAME, header, reason);
}

static void unknown_key(struct parser *parser, const char *name)
{
    char reason[200] = "unknown key";

    for (const struct config_key *key = parser->section->keys; key->name; key++)
        list_allowed(reason, sizeof reason, key->name, false);
    fail(parser, LOCKSTEP_E_UNKNOWN_NAME, name, reason);
}

/* False, with what is to be said of it: a required key is missing. */
static bool has_required(struct parser *parser)
{
    const struct config_key *keys = parser->section->keys;
    char allowed[128], reason[160];

    for (size_t i = 0; keys[i].name; i++) {
        if (!keys[i].value.required || parser->given & 1ull << i)
            continue;
        value_describe(&keys[i].value, allowed, sizeof allowed);
        snprintf(reason, sizeof reason, "missing%s%s", *allowed ? "; must be " : "", allowed);
        fail_at(parser, parser->header_line, LOCKSTEP_E_BAD_VALUE, keys[i].name, reason);
        return false;
    }
    return true;
}

/* What only the whole section tells. */
static void leave_section(struct parser *parser)
{
    char problem[VALUE_PROBLEM_MAX] = "not possible here";
    int err;

    if (parser->err || !parser->section || !has_required(parser) || !parser->section->end)
        return;
    err = parser->section->end(parser->root, parser->object, problem);
    if (err)
        fail_at(parser, parser->header_line, err, "", problem);
}

static void enter_unlabelled(struct parser *parser, const char *label)
{
    uint64_t bit = 1ull << (parser->section - parser->sections);

    parser->object = parser->root;
    if (*label)
        fail(parser, LOCKSTEP_E_BAD_VALUE, parser->header, "this section has no label");
    else if (parser->seen & bit)
        fail(parser, LOCKSTEP_E_CONFLICT, parser->header, "given twice");
    parser->seen |= bit;
}

static void enter_labelled(struct parser *parser, const char *label)
{
    char problem[VALUE_PROBLEM_MAX] = "not possible here";

    parser->object = parser->section->begin(parser->root, label, parser->line, problem);
    if (!parser->object)
        fail(parser, LOCKSTEP_E_BAD_VALUE, parser->header, problem);
    else
        set_initial(parser->section->keys, parser->object);
}

static void enter_section(struct parser *parser, const char *name, const char *label)
{
    const struct config_section *section = parser->sections;

    leave_section(parser);
    if (parser->err)
        return;
    snprintf(parser->header, sizeof parser->header, "[%.40s%s%.40s]", name, *label ? " " : "", label);
    while (section->name && strcmp(section->name, name) != 0)
        section++;
    parser->section = section;
    parser->header_line = parser->line;
    parser->given = 0;
    if (!section->name)
        unknown_section(parser, parser->header);
    else if (!section->begin)
        enter_unlabelled(parser, label);
    else
        enter_labelled(parser, label);
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

/* "[name]" or "[name label]". inih would cut long names and does not tell of sections without keys. */
static void parse_header(struct parser *parser, char *line)
{
    char *close = strchr(line, ']');
    char *name, *label;

    if (!close || (close[1] != '\0' && close[1] != ';' && close[1] != '#' && !strchr(BLANKS, close[1]))) {
        fail(parser, LOCKSTEP_E_BAD_FORMAT, line, "expected [SECTION]");
        return;
    }
    *close = '\0';
    name = trim(line + 1);
    label = name + strcspn(name, BLANKS);
    if (*label)
        *label++ = '\0';
    enter_section(parser, name, trim(label));
}

/* Copies the next line without its end into line[size]. False at the end of the text or of a line that cannot be. */
static bool next_line(struct parser *parser, char *line, size_t size)
{
    const char *end = memchr(parser->next, '\n', (size_t)(parser->end - parser->next));
    size_t length = (size_t)((end ? end : parser->end) - parser->next);

    parser->line++;
    if (length + 2 > size || memchr(parser->next, '\0', length)) {
        fail(parser, LOCKSTEP_E_BAD_FORMAT, "line", length + 2 > size ? "too long" : "contains a zero byte");
        return false;
    }
    memcpy(line, parser->next, length);
    line[length] = '\0';
    parser->next = end ? end + 1 : parser->end;
    return true;
}

/* inih's source of lines. It sees key lines only, without leading blanks (which would continue the line before). */
static char *read_line(char *buffer, int size, void *context)
{
    struct parser *parser = context;
    char *line;

    if (parser->pending)
        fail(parser, LOCKSTEP_E_BAD_FORMAT, "line", "expected KEY = VALUE");
    if (parser->err || parser->next == parser->end || !next_line(parser, buffer, (size_t)size))
        return NULL;
    line = trim(buffer);
    if (*line == '[') {
        parse_header(parser, line);
        *line = '\0';
    }
    if (*line == '#' || *line == ';')
        *line = '\0';
    parser->pending = *line != '\0';
    memmove(buffer, line, strlen(line) + 1);
    return buffer;
}

static int take_value(void *context, const char *section_name, const char *name, const char *value)
{
    struct parser *parser = context;
    const struct config_key *keys = parser->section ? parser->section->keys : NULL;
    char quoted[48 + VALUE_PROBLEM_MAX], reason[VALUE_PROBLEM_MAX];
    size_t i = 0;
    int err;

    (void)section_name;
    parser->pending = false;
    if (!keys) {
        fail(parser, LOCKSTEP_E_BAD_FORMAT, name, "not in a section");
        return 0;
    }
    while (keys[i].name && strcmp(keys[i].name, name) != 0)
        i++;
    if (!keys[i].name) {
        unknown_key(parser, name);
        return 0;
    }
    if (!value_is_repeated(&keys[i].value) && parser->given & 1ull << i) {
        fail(parser, LOCKSTEP_E_CONFLICT, name, "given twice");
        return 0;
    }
    parser->given |= 1ull << i;
    if (parser->section->at_line)
        parser->section->at_line(parser->object, parser->line);
    err = value_parse(&keys[i].value, value, parser->object, reason);
    if (err) {
        snprintf(quoted, sizeof quoted, "\"%.44s\" %s", value, reason);
        fail(parser, err, name, quoted);
    }
    return !err;
}

int config_parse(const struct config_section *sections, const char *file_name, const char *text, size_t length,
                 void *root, char *problem)
{
    struct parser parser = {
        .sections = sections,
        .file_name = file_name,
        .next = text,
        .end = text + length,
        .root = root,
        .problem = problem,
    };

    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) /* byte order mark */
        parser.next += 3;
    ini_parse_stream(read_line, &parser, take_value, &parser);
    leave_section(&parser);
    return parser.err;
}
