/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep completion: bash's completion of the commands and their options, from the tree of commands. */
#include <stdio.h>
#include <string.h>

#include "tools/command.h"

static const struct option_program program = {
    .name = "lockstep completion",
    .summary = "Print a completion script for bash.",
    .entries = command_no_options,
};

/* The command that the words before the cursor name: "" is lockstep itself, then " clock", " clock status". */
#define HEAD                                                                                                           \
    "# bash completion for lockstep; made by `lockstep completion`\n"                                                  \
    "_lockstep() {\n"                                                                                                  \
    "    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"                                  \
    "    local command= commands= options= arguments= i=1\n"                                                           \
    "    # bash takes --name=value apart\n"                                                                            \
    "    [ \"$previous\" != = ] || previous=${COMP_WORDS[COMP_CWORD-2]}\n"                                             \
    "    [ \"$word\" != = ] || word=\n"                                                                                \
    "    COMPREPLY=()\n"                                                                                               \
    "    [ \"${COMP_WORDS[1]}\" != help ] || [ \"$COMP_CWORD\" = 1 ] || i=2\n"                                         \
    "    for ((; i <= COMP_CWORD; i++)); do\n"                                                                         \
    "        case $command in\n"
#define AFTER_COMMANDS                                                                                                 \
    "        *) commands= ;;\n"                                                                                        \
    "        esac\n"                                                                                                   \
    "        [ -n \"$commands\" ] && [ \"$i\" -lt \"$COMP_CWORD\" ] || break\n"                                        \
    "        command+=\" ${COMP_WORDS[i]}\"\n"                                                                         \
    "    done\n"                                                                                                       \
    "    if [ -n \"$commands\" ]; then\n"                                                                              \
    "        COMPREPLY=($(compgen -W \"$commands --help --version\" -- \"$word\"))\n"                                  \
    "        return\n"                                                                                                 \
    "    fi\n"                                                                                                         \
    "    [ \"${COMP_WORDS[1]}\" != help ] || return\n"                                                                 \
    "    case $command in\n"
#define TAIL                                                                                                           \
    "    esac\n"                                                                                                       \
    "    case $word,$arguments in\n"                                                                                   \
    "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"                                                 \
    "    *PROGRAM*) COMPREPLY=($(compgen -c -- \"$word\") $(compgen -f -- \"$word\")) ;;\n"                            \
    "    *FILE*) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"                                                          \
    "    esac\n"                                                                                                       \
    "}\n"                                                                                                              \
    "complete -o filenames -F _lockstep lockstep\n"

#define PATH_MAX_BYTES 100 /* of "clock status" with a blank before each word */

typedef void print_function(const struct command *command, const char *path);

/* Calls print for each command below this one (without it) whose path of names begins with the given one. */
static void for_each_command(const struct command *parent, const char *path, print_function *print)
{
    for (const struct command *const *sub = parent->subcommands; sub && *sub; sub++) {
        char sub_path[PATH_MAX_BYTES];

        snprintf(sub_path, sizeof sub_path, "%s %s", path, (*sub)->name);
        print(*sub, sub_path);
        for_each_command(*sub, sub_path, print);
    }
}

static void print_subcommands(const struct command *command, const char *path)
{
    if (!command->subcommands)
        return;
    printf("        '%s') commands='", path);
    for (const struct command *const *sub = command->subcommands; *sub; sub++)
        printf("%s%s", sub == command->subcommands ? "" : " ", (*sub)->name);
    puts("' ;;");
}

/* What may follow the option. */
static void print_values(const struct option_entry *entry)
{
    printf("        --%s", entry->name);
    if (entry->short_name)
        printf(" | -%c", entry->short_name);
    fputs(") COMPREPLY=(", stdout);
    if (entry->value.type == VALUE_TYPE_ENUM) {
        fputs("$(compgen -W '", stdout);
        for (int i = 0; entry->value.names[i]; i++)
            printf("%s%s", i ? " " : "", entry->value.names[i]);
        fputs("' -- \"$word\")", stdout);
    } else if (entry->value.type == VALUE_TYPE_TEXT) {
        fputs("$(compgen -f -- \"$word\")", stdout);
    }
    fputs("); return ;;\n", stdout);
}

static void print_options(const struct command *command, const char *path)
{
    if (command->subcommands)
        return;
    printf("    '%s')\n        options='--help --version", path);
    for (const struct option_entry *entry = command->program->entries; entry->name; entry++)
        printf(" --%s", entry->name);
    printf("'\n        arguments='%s'\n        case $previous in\n",
           command->program->arguments ? command->program->arguments : "");
    for (const struct option_entry *entry = command->program->entries; entry->name; entry++) {
        if (entry->value.type != VALUE_TYPE_BOOL)
            print_values(entry);
    }
    fputs("        esac ;;\n", stdout);
}

static int completion_main(int argc, char **argv)
{
    char unused;
    int exit_status;

    if (option_run(&program, argc, argv, &unused, &exit_status) < 0)
        return exit_status;
    fputs(HEAD, stdout);
    print_subcommands(&command_lockstep, "");
    for_each_command(&command_lockstep, "", print_subcommands);
    fputs(AFTER_COMMANDS, stdout);
    for_each_command(&command_lockstep, "", print_options);
    fputs(TAIL, stdout);
    return 0;
}

const struct command command_completion = {"completion", &program, completion_main, NULL};
