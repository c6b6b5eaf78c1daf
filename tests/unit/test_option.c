/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/option.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "tests/unit/unit.h"

struct run {
    bool verbose, quiet, colour;
    int64_t lanes;
    uint64_t ring;
    char interface[4][16];
    int mode;
};

static const char *const modes[] = {"auto", "tc", NULL};
static const struct option_entry entries[] = {
    {"verbose", 'v', "Say more.", {VALUE_BOOL(struct run, verbose)}, NULL},
    {"quiet", 'q', "Say less.", {VALUE_BOOL(struct run, quiet)}, NULL},
    {"colour", 0, "Print in colour.", {VALUE_BOOL(struct run, colour), .initial = "yes"}, NULL},
    {"lanes", 'l', "Lanes at most.", {VALUE_INT(struct run, lanes), .initial = "64", .min = 1, .max = 1024}, NULL},
    {"ring_size", 'r', "Size of a *ring*.", {VALUE_SIZE(struct run, ring), .initial = "4M"}, "BYTES"},
    {"interface", 'i', "Interface to accelerate.", {VALUE_TEXTS(struct run, interface)}, "NAME"},
    {"mode", 'm', "How to attach.", {VALUE_ENUM(struct run, mode, modes), .initial = "auto"}, NULL},
    {0},
};
static const struct option_program with_arguments = {"lockstep run", "Runs a program.", "PROGRAM", entries};
static const struct option_program without_arguments = {"lockstep", "Does things.", NULL, entries};

static struct run run;
static char problem[OPTION_PROBLEM_MAX];
static int first;

/* Parses a line of words separated by single blanks. */
static int parse(const struct option_program *program, const char *line)
{
    static char words[256];
    char *argv[32] = {words};
    int argc = 1;

    snprintf(words, sizeof words, "x %s", line);
    for (char *blank = strchr(words, ' '); blank && blank[1]; blank = strchr(blank + 1, ' ')) {
        *blank = '\0';
        argv[argc++] = blank + 1;
    }
    return option_parse(program, argc, argv, &run, &first, problem);
}

static void defaults_without_options(void **state)
{
    (void)state;
    memset(&run, 0x55, sizeof run);
    assert_int_equal(parse(&with_arguments, ""), OPTION_PARSED);
    assert_false(run.verbose);
    assert_true(run.colour);
    assert_int_equal(run.lanes, 64);
    assert_int_equal(run.ring, 4 << 20);
    assert_string_equal(run.interface[0], "");
    assert_int_equal(first, 1);
}

static void every_way_of_writing_a_value(void **state)
{
    static const char *const lines[] = {"--lanes 7", "--lanes=7", "-l 7", "-l7", "-vl7", "-l 9 --lanes=7"};

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_int_equal(parse(&with_arguments, lines[i]), OPTION_PARSED);
        assert_int_equal(run.lanes, 7);
    }
}

static void switches_join_and_negate(void **state)
{
    (void)state;
    assert_int_equal(parse(&with_arguments, "-vq --no-colour"), OPTION_PARSED);
    assert_true(run.verbose && run.quiet && !run.colour);
    assert_int_equal(parse(&with_arguments, "--verbose --no-verbose"), OPTION_PARSED);
    assert_false(run.verbose);
}

static void repeated_options_fill_a_list(void **state)
{
    (void)state;
    assert_int_equal(parse(&with_arguments, "-i eth0 --interface=eth1"), OPTION_PARSED);
    assert_string_equal(run.interface[0], "eth0");
    assert_string_equal(run.interface[1], "eth1");
    assert_string_equal(run.interface[2], "");
}

static void arguments_end_the_options(void **state)
{
    (void)state;
    assert_int_equal(parse(&with_arguments, "-v nginx -q"), OPTION_PARSED);
    assert_int_equal(first, 2);
    assert_false(run.quiet);
    assert_int_equal(parse(&with_arguments, "-v -- -q"), OPTION_PARSED);
    assert_int_equal(first, 3);
    assert_false(run.quiet);
    assert_int_equal(parse(&with_arguments, "-"), OPTION_PARSED);
    assert_int_equal(first, 1);
}

static void refused(const char *line, int err, const char *expected)
{
    assert_int_equal(parse(&without_arguments, line), err);
    assert_string_equal(problem, expected);
}

static void mistakes_name_option_and_value(void **state)
{
    (void)state;
    refused("--lanes=0", LOCKSTEP_E_BAD_VALUE, "option --lanes: \"0\" must be 1 to 1024");
    refused("-l abc", LOCKSTEP_E_BAD_FORMAT, "option --lanes: \"abc\" is not a whole number");
    refused("--lanes", LOCKSTEP_E_BAD_FORMAT, "option --lanes: a value is missing");
    refused("-vl", LOCKSTEP_E_BAD_FORMAT, "option --lanes: a value is missing");
    refused("--lane=1", LOCKSTEP_E_UNKNOWN_NAME, "unknown option \"--lane=1\"");
    refused("--no-lanes", LOCKSTEP_E_UNKNOWN_NAME, "unknown option \"--no-lanes\"");
    refused("-vx", LOCKSTEP_E_UNKNOWN_NAME, "unknown option \"-vx\"");
    refused("--verbose=yes", LOCKSTEP_E_BAD_FORMAT, "option --verbose: takes no value, but got \"yes\"");
    refused("-m xdp", LOCKSTEP_E_UNKNOWN_NAME, "option --mode: \"xdp\" must be auto|tc");
    refused("-v nginx", LOCKSTEP_E_BAD_FORMAT, "unexpected argument \"nginx\"");
    refused("--no-", LOCKSTEP_E_UNKNOWN_NAME, "unknown option \"--no-\"");
}

static void help_version_and_man_are_recognised(void **state)
{
    (void)state;
    assert_int_equal(parse(&with_arguments, "-v --help --nonsense"), OPTION_HELP);
    assert_int_equal(parse(&with_arguments, "-vh"), OPTION_HELP);
    assert_int_equal(parse(&with_arguments, "-V"), OPTION_VERSION);
    assert_int_equal(parse(&with_arguments, "--version"), OPTION_VERSION);
    assert_int_equal(parse(&with_arguments, "--man"), OPTION_MAN);
    assert_int_equal(parse(&with_arguments, "nginx --help"), OPTION_PARSED);
}

/* What a printing function writes; the caller frees it. */
static char *printed(void (*print)(const struct option_program *, FILE *))
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    print(&with_arguments, out);
    fclose(out);
    return text;
}

static void help_shows_usage_defaults_and_limits(void **state)
{
    char *help = printed(option_print_help);

    (void)state;
    assert_non_null(strstr(help, "Usage: lockstep run [OPTION...] PROGRAM\nRuns a program.\n"));
    assert_non_null(strstr(help, "\n  -l, --lanes NUMBER          Lanes at most. 1 to 1024; default: 64.\n"));
    assert_non_null(strstr(help, "\n  -r, --ring_size BYTES       Size of a *ring*. Default: 4M.\n"));
    assert_non_null(strstr(help, "\n      --no-colour             Print in colour.\n"));
    assert_non_null(strstr(help, "\n  -h, --help                  Show this help.\n"));
    free(help);
}

static void man_text_escapes_markup(void **state)
{
    char *man = printed(option_print_man);

    (void)state;
    assert_non_null(strstr(man, "*-r*, *--ring_size* _BYTES_\n\tSize of a \\*ring\\*. Default: 4M.\n"));
    free(man);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_without_options),
        cmocka_unit_test(every_way_of_writing_a_value),
        cmocka_unit_test(switches_join_and_negate),
        cmocka_unit_test(repeated_options_fill_a_list),
        cmocka_unit_test(arguments_end_the_options),
        cmocka_unit_test(mistakes_name_option_and_value),
        cmocka_unit_test(help_version_and_man_are_recognised),
        cmocka_unit_test(help_shows_usage_defaults_and_limits),
        cmocka_unit_test(man_text_escapes_markup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
