/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/option.h"
#include "service/control.h"

/* What the command line may set beside the configuration file's keys. */
static struct command_line {
    char interfaces[POLICY_MAX_INTERFACES][16];
    char runtime_dir[90];
    char config[256];
    char attach[16], injector_policy[16], log_level[16]; /* empty: as the file says */
} line;

static const struct option_entry option_entries[] = {
    {"interface",
     'i',
     "Interface to accelerate, with the VLANs on it; may be repeated.",
     {VALUE_TEXTS(struct command_line, interfaces)},
     "NAME"},
    {"runtime-dir",
     'd',
     "Directory for the control socket; one service each.",
     {VALUE_TEXT(struct command_line, runtime_dir), .initial = CONTROL_DEFAULT_DIR},
     "DIR"},
    {"attach",
     'a',
     "How the divert is attached: auto, xdp-native, xdp-generic or tc.",
     {VALUE_TEXT(struct command_line, attach)},
     "MODE"},
    {"injector-policy",
     0,
     "Who gets the direct injector: auto, guarded or direct.",
     {VALUE_TEXT(struct command_line, injector_policy)},
     "POLICY"},
    {"config",
     'c',
     "Configuration file (default: " POLICY_CONFIG_FILE ", if there is one).",
     {VALUE_TEXT(struct command_line, config)},
     "FILE"},
    {"log-level",
     'l',
     "Least severe messages shown: error, warning, info (the default) or debug.",
     {VALUE_TEXT(struct command_line, log_level)},
     "LEVEL"},
    {0},
};

static const struct option_program program = {
    .name = "lockstep-netd",
    .summary = "The service of the accelerated path: attaches the divert and hands out lanes.",
    .entries = option_entries,
};

/* An option that stands for a key of the file. */
static int override(const char *name, const char *text, struct policy *policy, char *problem)
{
    const struct config_key *key = policy_keys;
    char reason[VALUE_PROBLEM_MAX];
    int err;

    if (!*text)
        return 0;
    while (strcmp(key->name, name) != 0)
        key++;
    err = value_parse(&key->value, text, policy, reason);
    if (err < 0)
        snprintf(problem, CONFIG_PROBLEM_MAX, "--%s: %s %s", name, text, reason);
    return err;
}

static int apply_line(struct policy *policy, char *problem)
{
    int err = override("attach", line.attach, policy, problem);

    if (err == 0)
        err = override("injector-policy", line.injector_policy, policy, problem);
    if (err == 0)
        err = override("log-level", line.log_level, policy, problem);
    if (line.interfaces[0][0]) {
        memcpy(policy->interfaces, line.interfaces, sizeof policy->interfaces);
        memset(policy->interface_lines, 0, sizeof policy->interface_lines);
    }
    memcpy(policy->runtime_dir, line.runtime_dir, sizeof policy->runtime_dir);
    if (err == 0 && !policy->interfaces[0][0]) {
        snprintf(problem, CONFIG_PROBLEM_MAX, "no interface to accelerate: give --interface NAME, or interfaces in %s",
                 *line.config ? line.config : POLICY_CONFIG_FILE);
        err = LOCKSTEP_E_BAD_VALUE;
    }
    return err;
}

int options_reload(struct policy *out, char *problem)
{
    int err = policy_read(*line.config ? line.config : POLICY_CONFIG_FILE, out, problem);

    if (err == -ENOENT && !*line.config) {
        err = 0;
        out->file[0] = '\0';
    }
    if (err == 0)
        err = apply_line(out, problem);
    if (err < 0)
        policy_free(out);
    return err;
}

int options_load(int argc, char *const *argv, struct policy *policy, int *exit_status)
{
    char problem[CONFIG_PROBLEM_MAX];

    if (option_run(&program, argc, argv, &line, exit_status) < 0)
        return -1;
    if (options_reload(policy, problem) < 0) {
        fprintf(stderr, "lockstep-netd: %s\n", problem);
        *exit_status = 2;
        return -1;
    }
    *exit_status = 0;
    return 0;
}
