/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "tools/command.h"

const struct command *const commands[] = {
    &command_run,     &command_status,  &command_connections, &command_clock,      &command_doctor,
    &command_testbed, &command_version, &command_help,        &command_completion, NULL};

static const struct command *find_command(const char *name)
{
    for (int i = 0; commands[i]; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

static int unknown_command(const char *name)
{
    fprintf(stderr, "lockstep: unknown command \"%.100s\"\nTry \"lockstep help\".\n", name);
    return 2;
}

static void print_overview(FILE *out)
{
    fputs("Usage: lockstep COMMAND [OPTION...]\nUnmodified socket programs on a user-mode TCP/IP stack.\n\nCommands:\n",
          out);
    for (int i = 0; commands[i]; i++)
        fprintf(out, "  %-12s  %s\n", commands[i]->name, commands[i]->program->summary);
    fputs("\n\"lockstep help COMMAND\" shows a command's options.\n", out);
}

static const struct option_entry no_options[] = {{0}};

static const struct option_program version_program = {
    .name = "lockstep version",
    .summary = "Show the version.",
    .entries = no_options,
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

const struct command command_version = {"version", &version_program, version_main};

static const struct option_program help_program = {
    .name = "lockstep help",
    .summary = "Show the commands, or one command's options.",
    .arguments = "[COMMAND]",
    .entries = no_options,
};

static int help_main(int argc, char **argv)
{
    const struct command *command;
    char unused;
    int exit_status, first = option_run(&help_program, argc, argv, &unused, &exit_status);

    if (first < 0)
        return exit_status;
    if (first == argc) {
        print_overview(stdout);
        return 0;
    }
    command = find_command(argv[first]);
    if (!command)
        return unknown_command(argv[first]);
    option_print_help(command->program, stdout);
    return 0;
}

const struct command command_help = {"help", &help_program, help_main};

int main(int argc, char **argv)
{
    const struct command *command;

    if (argc < 2) {
        print_overview(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        command = &command_help;
    else if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        command = &command_version;
    else
        command = find_command(argv[1]);
    if (!command)
        return unknown_command(argv[1]);
    return command->main(argc - 1, argv + 1);
}
