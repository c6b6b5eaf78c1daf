/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/command.h"

#include <string.h>

const struct option_entry command_no_options[] = {{0}};

const struct command *command_find(const struct command *parent, const char *name)
{
    for (const struct command *const *sub = parent->subcommands; sub && *sub; sub++) {
        if (strcmp((*sub)->name, name) == 0)
            return *sub;
    }
    return NULL;
}

void command_print_help(const struct command *command, FILE *out)
{
    if (!command->subcommands) {
        option_print_help(command->program, out);
        return;
    }
    fprintf(out, "Usage: %s COMMAND [OPTION...]\n%s\n\nCommands:\n", command->program->name, command->program->summary);
    for (const struct command *const *sub = command->subcommands; *sub; sub++)
        fprintf(out, "  %-12s  %s\n", (*sub)->name, (*sub)->program->summary);
    fprintf(out, "\n\"%s COMMAND --help\" shows a command's options.\n", command->program->name);
}

int command_unknown(const struct command *parent, const char *name)
{
    const char *program = parent->program->name;

    fprintf(stderr, "%s: unknown command \"%.100s\"\nTry \"%s --help\".\n", program, name, program);
    return 2;
}

static int run_subcommand(const struct command *command, int argc, char **argv)
{
    const struct command *sub = argc > 1 ? command_find(command, argv[1]) : NULL;
    char unused;
    int exit_status, first;

    if (sub)
        return command_main(sub, argc - 1, argv + 1);
    if (argc < 2) {
        command_print_help(command, stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        command_print_help(command, stdout);
        return 0;
    }
    first = option_run(command->program, argc, argv, &unused, &exit_status);
    if (first < 0)
        return exit_status;
    return command_unknown(command, first < argc ? argv[first] : "");
}

int command_main(const struct command *command, int argc, char **argv)
{
    return command->subcommands ? run_subcommand(command, argc, argv) : command->main(argc, argv);
}
