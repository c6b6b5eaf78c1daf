/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/config.h"

#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define BLANKS " \t\r\v\f"

struct parser {
    const struct config_section *sections;
    const struct config_section *section; /* NULL before the first header */
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

static int fail(struct parser *parser, int err, const char *subject, const char *reason)
{
    snprintf(parser->problem, CONFIG_PROBLEM_MAX, "%.128s:%d: %.128s: %.192s", parser->file_name, parser->line, subject,
             reason);
    parser->err = err;
    return err;
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

static void enter_section(struct parser *parser, const char *name, const char *label)
{
    const struct config_section *section = parser->sections;
    char header[128];

    snprintf(header, sizeof header, "[%s%s%s]", name, *label ? " " : "", label);
    while (section->name && strcmp(section->name, name) != 0)
        section++;
    parser->section = section;
    parser->given = 0;
    if (!section->name) {
        fail(parser, LOCKSTEP_E_UNKNOWN_NAME, header, "unknown section");
    } else if (!section->begin) {
        parser->object = parser->root;
        if (*label)
            fail(parser, LOCKSTEP_E_BAD_VALUE, header, "this section has no label");
    } else {
        parser->object = section->begin(parser->root, label);
        if (!parser->object)
            fail(parser, LOCKSTEP_E_BAD_VALUE, header, "not possible here");
        else
            set_initial(section->keys, parser->object);
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
    char quoted[64 + VALUE_PROBLEM_MAX], reason[VALUE_PROBLEM_MAX];
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
        fail(parser, LOCKSTEP_E_UNKNOWN_NAME, name, "unknown key");
        return 0;
    }
    if (keys[i].value.type != VALUE_TYPE_TEXTS && parser->given & 1ull << i) {
        fail(parser, LOCKSTEP_E_CONFLICT, name, "given twice");
        return 0;
    }
    parser->given |= 1ull << i;
    err = value_parse(&keys[i].value, value, parser->object, reason);
    if (err) {
        snprintf(quoted, sizeof quoted, "\"%.60s\" %s", value, reason);
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
    return parser.err;
}
