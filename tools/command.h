/* SPDX-License-Identifier: BSD-2-Clause */
/* The subcommands of `lockstep`, one source file each. */
#ifndef LOCKSTEP_TOOLS_COMMAND_H
#define LOCKSTEP_TOOLS_COMMAND_H

#include "base/option.h"

struct command {
    const char *name;
    const struct option_program *program; /* name, summary, options */
    /* argv[0] is the subcommand's name. Returns the exit status. */
    int (*main)(int argc, char **argv);
};

extern const struct command command_run, command_status, command_connections, command_clock, command_doctor,
    command_testbed, command_version, command_help, command_completion;

/* All of them, ends with NULL (main.c). */
extern const struct command *const commands[];

#endif
