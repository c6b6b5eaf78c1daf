/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>

#include "tools/command.h"

static const struct option_program version_program = {
    .name = "lockstep version",
    .summary = "Show the version.",
    .entries = command_no_options,
};

static int version_main(int argc, char **argv)
{
    char unused;
    int exit_status;

    if (option_run(&version_program, argc, argv, &unused, &exit_status) < 0)
        return exit_status;
    puts("lockstep " LOCKSTEP_VERSION);
    return 0;
}

static const struct option_program help_program = {
    .name = "lockstep help",
    .summary = "Show the commands, or one command's options.",
    .arguments = "[COMMAND...]",
    .entries = command_no_options,
};

static int help_main(int argc, char **argv)
{
    const struct command *command = &command_lockstep;
    char unused;
    int exit_status, first = option_run(&help_program, argc, argv, &unused, &exit_status);

    if (first < 0)
        return exit_status;
    for (int i = first; i < argc; i++) {
        const struct command *parent = command;

        command = command_find(parent, argv[i]);
        if (!command)
            return command_unknown(parent, argv[i]);
    }
    command_print_help(command, stdout);
    return 0;
}

static const struct option_program program = {
    .name = "lockstep",
    .summary = "Unmodified socket programs on a user-mode TCP/IP stack.",
    .arguments = "COMMAND",
    .entries = command_no_options,
};

static const struct command command_version = {"version", &version_program, version_main, NULL};
static const struct command command_help = {"help", &help_program, help_main, NULL};

static const struct command *const commands[] = {
    &command_run,     &command_top,     &command_capture, &command_status,     &command_connections,
    &command_clock,   &command_doctor,  &command_dump,    &command_history,    &command_policy,
    &command_testbed, &command_version, &command_help,    &command_completion, NULL};

const struct command command_lockstep = {"lockstep", &program, NULL, commands};

int main(int argc, char **argv)
{
    return command_main(&command_lockstep, argc, argv);
}
