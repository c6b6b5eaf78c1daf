/* SPDX-License-Identifier: BSD-2-Clause */
/* Command lines from one table: parser, --help, --version and the man page's option list come from it.
 *
 *     static const struct option_entry entries[] = {
 *         {"ring", 'r', "Size of a lane's ring.", .value = {VALUE_SIZE(struct run, ring), .initial = "4M"}},
 *         {0},
 *     };
 *
 * Written as --name VALUE, --name=VALUE, -n VALUE or -nVALUE; a bool as --name, --no-name or -n (these may be joined:
 * -vq). Options end at the first other argument or at "--". A later one overrides an earlier one, except TEXTS. */
#ifndef LOCKSTEP_BASE_OPTION_H
#define LOCKSTEP_BASE_OPTION_H

#include <stdio.h>

#include "base/value.h"

struct option_entry {
    const char *name;
    char short_name;  /* 0: none; h and V are taken */
    const char *help; /* sentences, plain text */
    struct value_spec value;
    const char *metavar; /* NULL: from the type */
};

struct option_program {
    const char *name;      /* "lockstep-netd", "lockstep run" */
    const char *summary;   /* one sentence */
    const char *arguments; /* shown in the usage line ("[--] PROGRAM [ARGUMENT...]"); NULL: none are allowed */
    const struct option_entry *entries; /* ends with a NULL name */
};

enum option_outcome { OPTION_PARSED, OPTION_HELP, OPTION_VERSION, OPTION_MAN };

#define OPTION_PROBLEM_MAX 512

/* Sets all defaults in object, then parses argv[1..argc-1] (pure). Returns an outcome, or a negative code with problem
 * (OPTION_PROBLEM_MAX bytes) naming option and value. *first: index of the first argument after the options. */
int option_parse(const struct option_program *program, int argc, char *const *argv, void *object, int *first,
                 char *problem);

/* The same for a main(): answers --help, --version and --man (the scdoc option list) on stdout, complains on stderr.
 * Returns the first argument's index, or -1 when the program is to end with *exit_status (0, or 2 for a bad line). */
int option_run(const struct option_program *program, int argc, char *const *argv, void *object, int *exit_status);

/* An option that stands for a key of a configuration: what was given, if anything, takes the place of the file's. */
void option_override(char *value, size_t size, const char *given);

void option_print_help(const struct option_program *program, FILE *out);
/* "OPTIONS" section in scdoc(5) syntax. */
void option_print_man(const struct option_program *program, FILE *out);

#endif
