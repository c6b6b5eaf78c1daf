/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep policy: reads netd.conf as the service does, and says what it would decide and why. */
#include "tools/policy.h"

#include <string.h>

#include "base/error.h"
#include "service/policy.h"
#include "tools/command.h"
#include "tools/report.h"

static const struct option_program check_program = {
    .name = "lockstep policy check",
    .summary = "Check a configuration file and print what it says.",
    .arguments = "[FILE]",
    .entries = command_no_options,
};

int policy_complain(int exit_status, const char *subject, const char *problem)
{
    fprintf(stderr, "lockstep policy: %s%s%s\n", subject, *subject ? ": " : "", problem);
    return exit_status;
}

static int check_main(int argc, char **argv)
{
    char problem[CONFIG_PROBLEM_MAX], unused;
    struct policy policy;
    int exit_status, first = option_run(&check_program, argc, argv, &unused, &exit_status);

    if (first < 0)
        return exit_status;
    if (policy_read(first < argc ? argv[first] : POLICY_CONFIG_FILE, &policy, problem) < 0)
        return policy_complain(1, "", problem);
    policy_print(&policy, stdout);
    policy_free(&policy);
    return 0;
}

/* --- reload ------------------------------------------------------------------------------------------------- */

struct reload_options {
    char runtime_dir[90];
};
static const struct option_entry reload_entries[] = {
    {"runtime-dir",
     'd',
     "The service's directory. Default: $LOCKSTEP_RUNTIME_DIR, else " CONTROL_DEFAULT_DIR ".",
     {VALUE_TEXT(struct reload_options, runtime_dir)},
     "DIR"},
    {0},
};
static const struct option_program reload_program = {
    .name = "lockstep policy reload",
    .summary = "Make the service read its configuration again (root).",
    .entries = reload_entries,
};

static int reload_main(int argc, char **argv)
{
    static struct reload_options options;
    static struct control_reload_reply reply;
    struct netd_client *client;
    int exit_status, err;

    if (option_run(&reload_program, argc, argv, &options, &exit_status) < 0)
        return exit_status;
    client = report_connect(options.runtime_dir);
    if (!client)
        return 1;
    err = client_reload(client, &reply);
    client_close(client);
    if (err < 0)
        return policy_complain(1, "reload", err == LOCKSTEP_E_DENIED ? "only root may" : error_text(err));
    reply.text[sizeof reply.text - 1] = '\0';
    if (reply.failed)
        return policy_complain(1, "the old configuration stays", reply.text);
    puts(reply.text);
    return 0;
}

static const struct command policy_check = {"check", &check_program, check_main, NULL};
static const struct command policy_reload = {"reload", &reload_program, reload_main, NULL};
static const struct command *const subcommands[] = {&policy_check, &command_policy_test, &policy_reload, NULL};

static const struct option_program program = {
    .name = "lockstep policy",
    .summary = "Check the service's configuration, explain its decisions, read it again.",
    .arguments = "COMMAND [OPTION...]",
    .entries = command_no_options,
};

const struct command command_policy = {"policy", &program, NULL, subcommands};
