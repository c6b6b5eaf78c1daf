/* SPDX-License-Identifier: BSD-2-Clause */
/* The commands of `lockstep` as one tree: dispatch, help and completion come from it. */
#ifndef LOCKSTEP_TOOLS_COMMAND_H
#define LOCKSTEP_TOOLS_COMMAND_H

#include <stdio.h>

#include "base/option.h"

struct command {
    const char *name;
    const struct option_program *program; /* name, summary, options */
    /* argv[0] is the command's name. Returns the exit status. NULL: it has subcommands instead. */
    int (*main)(int argc, char **argv);
    const struct command *const *subcommands; /* ends with NULL; or NULL */
};

extern const struct command command_run, command_top, command_capture, command_status, command_connections,
    command_clock, command_doctor, command_dump, command_history, command_policy, command_testbed, command_completion;

/* `lockstep` itself (main.c). */
extern const struct command command_lockstep;

/* Of programs without options. */
extern const struct option_entry command_no_options[];

/* NULL: there is none of this name. */
const struct command *command_find(const struct command *parent, const char *name);
/* Its options, or its subcommands. */
void command_print_help(const struct command *command, FILE *out);
/* Says that parent has no such command. Returns the exit status. */
int command_unknown(const struct command *parent, const char *name);
/* Runs the command, or the subcommand that argv[1] names. Returns the exit status. */
int command_main(const struct command *command, int argc, char **argv);

#endif
