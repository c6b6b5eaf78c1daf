/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep completion: bash's completion of the commands and their options, from the option tables. */
#include <stdio.h>
#include <string.h>

#include "tools/command.h"

static const struct option_entry no_options[] = {{0}};

static const struct option_program program = {
    .name = "lockstep completion",
    .summary = "Print a completion script for bash.",
    .entries = no_options,
};

static void print_words(void)
{
    for (int i = 0; commands[i]; i++)
        printf("%s%s", i ? " " : "", commands[i]->name);
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

static void print_command(const struct command *command)
{
    printf("    %s)\n        options='--help --version", command->name);
    for (const struct option_entry *entry = command->program->entries; entry->name; entry++)
        printf(" --%s", entry->name);
    fputs("'\n        case $previous in\n", stdout);
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
    fputs("# bash completion for lockstep; made by `lockstep completion`\n"
          "_lockstep() {\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} options= commands='",
          stdout);
    print_words();
    fputs("'\n"
          "    COMPREPLY=()\n"
          "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
          "        COMPREPLY=($(compgen -W \"$commands --help --version\" -- \"$word\"))\n"
          "        return\n"
          "    fi\n"
          "    case ${COMP_WORDS[1]} in\n",
          stdout);
    for (int i = 0; commands[i]; i++)
        print_command(commands[i]);
    fputs("    esac\n"
          "    case ${COMP_WORDS[1]},$word in\n"
          "    *,-*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"
          "    help,*) COMPREPLY=($(compgen -W \"$commands\" -- \"$word\")) ;;\n"
          "    run,*) COMPREPLY=($(compgen -c -- \"$word\") $(compgen -f -- \"$word\")) ;;\n"
          "    esac\n"
          "}\n"
          "complete -o filenames -F _lockstep lockstep\n",
          stdout);
    return 0;
}

const struct command command_completion = {"completion", &program, completion_main};
