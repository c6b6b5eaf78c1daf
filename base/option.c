/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/option.h"

#include <string.h>

#include "base/error.h"

#define HELP_INDENT     30
#define HELP_WIDTH      100
#define LABEL_MAX       128
#define DESCRIPTION_MAX 256

struct parser {
    const struct option_program *program;
    int argc;
    char *const *argv;
    int next; /* index into argv */
    void *object;
    char *problem;
};

static bool is_bool(const struct option_entry *entry)
{
    return entry->value.type == VALUE_TYPE_BOOL;
}

static bool initially_on(const struct option_entry *entry)
{
    bool on = false;
    struct value_spec spec = entry->value;

    spec.offset = 0;
    value_set_initial(&spec, &on);
    return on;
}

static const struct option_entry *find_long(const struct option_program *program, const char *name, size_t length)
{
    for (const struct option_entry *entry = program->entries; entry->name; entry++) {
        if (strlen(entry->name) == length && memcmp(entry->name, name, length) == 0)
            return entry;
    }
    return NULL;
}

static const struct option_entry *find_short(const struct option_program *program, char name)
{
    for (const struct option_entry *entry = program->entries; entry->name; entry++) {
        if (entry->short_name == name)
            return entry;
    }
    return NULL;
}

static int store(struct parser *parser, const struct option_entry *entry, const char *text)
{
    char reason[VALUE_PROBLEM_MAX];
    int err = value_parse(&entry->value, text, parser->object, reason);

    if (err)
        snprintf(parser->problem, OPTION_PROBLEM_MAX, "option --%s: \"%.200s\" %s", entry->name, text, reason);
    return err;
}

/* The value is what follows in the same argument (attached, may be NULL) or the next argument. */
static int store_value(struct parser *parser, const struct option_entry *entry, const char *attached)
{
    if (attached)
        return store(parser, entry, attached);
    if (parser->next >= parser->argc) {
        snprintf(parser->problem, OPTION_PROBLEM_MAX, "option --%s: a value is missing", entry->name);
        return LOCKSTEP_E_BAD_FORMAT;
    }
    return store(parser, entry, parser->argv[parser->next++]);
}

static int unknown_option(struct parser *parser, const char *argument)
{
    snprintf(parser->problem, OPTION_PROBLEM_MAX, "unknown option \"%.200s\"", argument);
    return LOCKSTEP_E_UNKNOWN_NAME;
}

static int parse_long_bool(struct parser *parser, const struct option_entry *entry, const char *value, bool on)
{
    if (value) {
        snprintf(parser->problem, OPTION_PROBLEM_MAX, "option --%s: takes no value, but got \"%.200s\"", entry->name,
                 value);
        return LOCKSTEP_E_BAD_FORMAT;
    }
    return store(parser, entry, on ? "yes" : "no");
}

static int parse_long(struct parser *parser, const char *argument)
{
    const char *name = argument + 2;
    const char *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const char *value = equals ? equals + 1 : NULL;
    const struct option_entry *entry = find_long(parser->program, name, length);

    if (entry && is_bool(entry))
        return parse_long_bool(parser, entry, value, true);
    if (entry)
        return store_value(parser, entry, value);
    if (strcmp(name, "help") == 0)
        return OPTION_HELP;
    if (strcmp(name, "version") == 0)
        return OPTION_VERSION;
    if (strcmp(name, "man") == 0)
        return OPTION_MAN;
    if (length > 3 && memcmp(name, "no-", 3) == 0) {
        entry = find_long(parser->program, name + 3, length - 3);
        if (entry && is_bool(entry))
            return parse_long_bool(parser, entry, value, false);
    }
    return unknown_option(parser, argument);
}

static int parse_short(struct parser *parser, const char *argument)
{
    for (const char *name = argument + 1; *name; name++) {
        const struct option_entry *entry = find_short(parser->program, *name);
        int err;

        if (!entry && *name == 'h')
            return OPTION_HELP;
        if (!entry && *name == 'V')
            return OPTION_VERSION;
        if (!entry)
            return unknown_option(parser, argument);
        if (!is_bool(entry))
            return store_value(parser, entry, name[1] ? name + 1 : NULL);
        err = store(parser, entry, "yes");
        if (err)
            return err;
    }
    return OPTION_PARSED;
}

static bool is_option(const char *argument)
{
    return argument[0] == '-' && argument[1] != '\0';
}

int option_parse(const struct option_program *program, int argc, char *const *argv, void *object, int *first,
                 char *problem)
{
    struct parser parser = {program, argc, argv, 1, object, problem};

    for (const struct option_entry *entry = program->entries; entry->name; entry++)
        value_set_initial(&entry->value, object);
    while (parser.next < argc && is_option(argv[parser.next])) {
        const char *argument = argv[parser.next++];
        int outcome;

        if (strcmp(argument, "--") == 0)
            break;
        outcome = argument[1] == '-' ? parse_long(&parser, argument) : parse_short(&parser, argument);
        if (outcome != OPTION_PARSED)
            return outcome;
    }
    *first = parser.next;
    if (!program->arguments && parser.next < argc) {
        snprintf(problem, OPTION_PROBLEM_MAX, "unexpected argument \"%.200s\"", argv[parser.next]);
        return LOCKSTEP_E_BAD_FORMAT;
    }
    return OPTION_PARSED;
}

int option_run(const struct option_program *program, int argc, char *const *argv, void *object, int *exit_status)
{
    char problem[OPTION_PROBLEM_MAX];
    int first = 0;

    *exit_status = 0;
    switch (option_parse(program, argc, argv, object, &first, problem)) {
    case OPTION_PARSED:
        return first;
    case OPTION_HELP:
        option_print_help(program, stdout);
        return -1;
    case OPTION_VERSION:
        printf("%s %s\n", program->name, LOCKSTEP_VERSION);
        return -1;
    case OPTION_MAN:
        option_print_man(program, stdout);
        return -1;
    default:
        fprintf(stderr, "%s: %s\nTry \"%s --help\".\n", program->name, problem, program->name);
        *exit_status = 2;
        return -1;
    }
}

static const char *metavar(const struct option_entry *entry)
{
    static const char *const by_type[] = {
        [VALUE_TYPE_INT] = "NUMBER", [VALUE_TYPE_SIZE] = "SIZE",  [VALUE_TYPE_DURATION] = "TIME",
        [VALUE_TYPE_TEXT] = "TEXT",  [VALUE_TYPE_TEXTS] = "TEXT", [VALUE_TYPE_ENUM] = "NAME",
        [VALUE_TYPE_LIST] = "LIST",
    };

    return entry->metavar ? entry->metavar : by_type[entry->value.type];
}

/* What follows the help text: "Default: 4M; 64K to 1G." */
static void describe(const struct option_entry *entry, char *text)
{
    const char *initial =
        entry->value.initial && entry->value.initial[0] && !is_bool(entry) ? entry->value.initial : NULL;
    char range[DESCRIPTION_MAX / 2];

    value_describe(&entry->value, range, sizeof range);
    text[0] = '\0';
    if (entry->value.type == VALUE_TYPE_TEXTS)
        snprintf(text, DESCRIPTION_MAX, " May be given up to %zu times.", entry->value.count);
    else if (initial && *range)
        snprintf(text, DESCRIPTION_MAX, " %s; default: %s.", range, initial);
    else if (initial)
        snprintf(text, DESCRIPTION_MAX, " Default: %s.", initial);
    else if (*range)
        snprintf(text, DESCRIPTION_MAX, " %s.", range);
}

static const char *negation(const struct option_entry *entry)
{
    return is_bool(entry) && initially_on(entry) ? "no-" : "";
}

/* Breaks the text at blanks into lines that start at column HELP_INDENT; column is where the cursor stands. */
static void print_wrapped(FILE *out, const char *text, int column)
{
    while (*text) {
        int word = (int)strcspn(text, " ");

        if (column > HELP_INDENT && column + 1 + word > HELP_WIDTH) {
            fputc('\n', out);
            column = 0;
        }
        if (column < HELP_INDENT)
            column += fprintf(out, "%*s", HELP_INDENT - column, "");
        else if (column > HELP_INDENT)
            column += fprintf(out, " ");
        column += fprintf(out, "%.*s", word, text);
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void print_entry(FILE *out, const char *label, const char *text)
{
    int column = fprintf(out, "%s", label);

    if (column >= HELP_INDENT - 1) {
        fputc('\n', out);
        column = 0;
    }
    print_wrapped(out, text, column);
}

static void print_option_help(FILE *out, const struct option_entry *entry)
{
    char label[LABEL_MAX], description[DESCRIPTION_MAX], text[1024];
    char dash = entry->short_name ? '-' : ' ', letter = entry->short_name ? entry->short_name : ' ';

    snprintf(label, sizeof label, "  %c%c%c --%s%s%s%s", dash, letter, entry->short_name ? ',' : ' ', negation(entry),
             entry->name, is_bool(entry) ? "" : " ", is_bool(entry) ? "" : metavar(entry));
    describe(entry, description);
    snprintf(text, sizeof text, "%s%s", entry->help, description);
    print_entry(out, label, text);
}

void option_print_help(const struct option_program *program, FILE *out)
{
    fprintf(out, "Usage: %s [OPTION...]%s%s\n%s\n\nOptions:\n", program->name, program->arguments ? " " : "",
            program->arguments ? program->arguments : "", program->summary);
    for (const struct option_entry *entry = program->entries; entry->name; entry++)
        print_option_help(out, entry);
    if (!find_short(program, 'h'))
        print_entry(out, "  -h, --help", "Show this help.");
    if (!find_short(program, 'V'))
        print_entry(out, "  -V, --version", "Show the version.");
}

/* Text in which scdoc sees no markup. */
static void print_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("\\*_#`~", *text))
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void print_option_man(FILE *out, const struct option_entry *entry)
{
    char description[DESCRIPTION_MAX];

    if (entry->short_name)
        fprintf(out, "*-%c*, ", entry->short_name);
    fprintf(out, "*--%s%s*", negation(entry), entry->name);
    if (!is_bool(entry)) {
        fputs(" _", out);
        print_escaped(out, metavar(entry));
        fputc('_', out);
    }
    fputs("\n\t", out);
    print_escaped(out, entry->help);
    describe(entry, description);
    print_escaped(out, description);
    fputs("\n\n", out);
}

void option_print_man(const struct option_program *program, FILE *out)
{
    fputs("# OPTIONS\n\n", out);
    for (const struct option_entry *entry = program->entries; entry->name; entry++)
        print_option_man(out, entry);
    fputs("*-h*, *--help*\n\tShow a summary of the options.\n\n", out);
    fputs("*-V*, *--version*\n\tShow the version.\n\n", out);
}

void option_override(char *value, size_t size, const char *given)
{
    if (*given)
        snprintf(value, size, "%s", given);
}
