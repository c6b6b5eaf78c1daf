/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/policy.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/error.h"
#include "base/log.h"
#include "base/option.h"
#include "divert/divert.h"
#include "service/control.h"

#define CONFIG_FILE_MAX 65536

static const char *const attach_names[] = {"auto", "xdp-native", "xdp-generic", "tc", NULL};
_Static_assert(DIVERT_MODE_AUTO == 0 && DIVERT_MODE_XDP_NATIVE == 1 && DIVERT_MODE_XDP_GENERIC == 2 &&
                   DIVERT_MODE_TC == 3,
               "names and modes are in the same order");
static const char *const injector_names[] = {"auto", "guarded", "direct", NULL};
static const char *const level_names[] = {"error", "warning", "info", "debug", NULL};

static const struct config_key config_keys[] = {
    {"interfaces", "Interface to accelerate; the key may be repeated.", {VALUE_TEXTS(struct policy, interfaces)}},
    {"attach", "How the divert is attached.", {VALUE_ENUM(struct policy, attach, attach_names), .initial = "auto"}},
    {"injector-policy",
     "auto: the direct injector for who may have it and asks; guarded: for nobody; direct: for everybody.",
     {VALUE_ENUM(struct policy, injector_policy, injector_names), .initial = "auto"}},
    {"ring-bytes",
     "Size of a lane's ring when the program does not ask for another; rounded up to a power of two.",
     {VALUE_SIZE(struct policy, ring_bytes), .initial = "4M", .min = 65536, .max = 1 << 28}},
    {"lanes-per-user",
     "Most lanes (accelerated processes) of one user other than root.",
     {VALUE_INT(struct policy, lanes_per_user), .initial = "64", .min = 1, .max = DIVERT_MAX_LANES}},
    {"flows-per-user",
     "Most flows of one user other than root.",
     {VALUE_INT(struct policy, flows_per_user), .initial = "16384", .min = 1, .max = DIVERT_MAX_FLOWS}},
    {"direct-injector-users",
     "User (name or number) other than root that gets the direct injector; the key may be repeated.",
     {VALUE_TEXTS(struct policy, direct_injector_users)}},
    {"deny-users",
     "User (name or number) whose programs stay with the kernel; the key may be repeated.",
     {VALUE_TEXTS(struct policy, deny_users)}},
    {0},
};
static const struct config_section config_sections[] = {{"netd", config_keys, NULL, NULL}, {0}};

/* What the command line may set beside the configuration file's keys. */
struct command_line {
    struct policy policy;
    char config[256];
    char attach[16], injector_policy[16]; /* empty: as the file says */
};

static const struct option_entry option_entries[] = {
    {"interface",
     'i',
     "Interface to accelerate, with the VLANs on it; may be repeated.",
     {VALUE_TEXTS(struct command_line, policy.interfaces)},
     "NAME"},
    {"runtime-dir",
     'd',
     "Directory for the control socket; one service each.",
     {VALUE_TEXT(struct command_line, policy.runtime_dir), .initial = CONTROL_DEFAULT_DIR},
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
     "Least severe messages shown: error, warning, info or debug.",
     {VALUE_ENUM(struct command_line, policy.log_level, level_names), .initial = "info"},
     "LEVEL"},
    {0},
};

static const struct option_program program = {
    .name = "lockstep-netd",
    .summary = "The service of the accelerated path: attaches the divert and hands out lanes.",
    .entries = option_entries,
};

/* Reads a whole small file; its length or a negated errno. */
static long read_file(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t length;

    if (!file)
        return -errno;
    length = fread(text, 1, size, file);
    fclose(file);
    return length == size ? -EFBIG : (long)length;
}

static int load_file(const char *path, struct policy *policy)
{
    static char text[CONFIG_FILE_MAX];
    char problem[CONFIG_PROBLEM_MAX];
    const char *name = *path ? path : POLICY_CONFIG_FILE;
    long length = read_file(name, text, sizeof(text));

    if (length == -ENOENT && !*path)
        return 0;
    if (length < 0) {
        fprintf(stderr, "lockstep-netd: cannot read %s: %s\n", name, error_text((int)length));
        return -1;
    }
    if (config_parse(config_sections, name, text, (size_t)length, policy, problem) < 0) {
        fprintf(stderr, "lockstep-netd: %s\n", problem);
        return -1;
    }
    return 0;
}

/* An option that stands for a key of the file. */
static int override(const char *name, const char *text, struct policy *policy)
{
    char problem[VALUE_PROBLEM_MAX];
    const struct config_key *key = config_keys;

    if (!*text)
        return 0;
    while (strcmp(key->name, name) != 0)
        key++;
    if (value_parse(&key->value, text, policy, problem) == 0)
        return 0;
    fprintf(stderr, "lockstep-netd: --%s: %s %s\n", name, text, problem);
    return -1;
}

/* A user's number: as it is written, or by name. False: neither. */
static bool resolve_user(const char *text, uid_t *uid)
{
    const struct passwd *entry;

    if (text[strspn(text, "0123456789")] == 0) {
        unsigned long number = strtoul(text, NULL, 10);

        *uid = (uid_t)number;
        return strlen(text) <= 10 && number < (uid_t)-1;
    }
    entry = getpwnam(text);
    if (entry)
        *uid = entry->pw_uid;
    return entry;
}

static int resolve_users(const char *key, const char users[POLICY_MAX_USERS][33], uid_t *uids, unsigned *count)
{
    for (int i = 0; i < POLICY_MAX_USERS && users[i][0]; i++) {
        if (!resolve_user(users[i], &uids[*count])) {
            fprintf(stderr, "lockstep-netd: %s: there is no user %s\n", key, users[i]);
            return -1;
        }
        ++*count;
    }
    return 0;
}

int policy_load(int argc, char *const *argv, struct policy *policy, int *exit_status)
{
    static struct command_line line;

    if (option_run(&program, argc, argv, &line, exit_status) < 0)
        return -1;
    *exit_status = 2;
    memset(policy, 0, sizeof(*policy));
    config_set_initial(config_sections, policy);
    if (load_file(line.config, policy) < 0)
        return -1;
    if (line.policy.interfaces[0][0])
        memcpy(policy->interfaces, line.policy.interfaces, sizeof(policy->interfaces));
    if (override("attach", line.attach, policy) < 0 || override("injector-policy", line.injector_policy, policy) < 0)
        return -1;
    memcpy(policy->runtime_dir, line.policy.runtime_dir, sizeof(policy->runtime_dir));
    policy->log_level = line.policy.log_level;
    if (resolve_users("direct-injector-users", policy->direct_injector_users, policy->direct_uids,
                      &policy->direct_uid_count) < 0 ||
        resolve_users("deny-users", policy->deny_users, policy->denied_uids, &policy->denied_uid_count) < 0)
        return -1;
    if (!policy->interfaces[0][0]) {
        fprintf(stderr, "lockstep-netd: no interface to accelerate: give --interface NAME, or interfaces in %s\n",
                POLICY_CONFIG_FILE);
        return -1;
    }
    *exit_status = 0;
    return 0;
}

static bool user_listed(const uid_t *uids, unsigned count, uid_t uid)
{
    for (unsigned i = 0; i < count; i++) {
        if (uids[i] == uid)
            return true;
    }
    return false;
}

bool policy_denies(const struct policy *policy, uid_t uid)
{
    return user_listed(policy->denied_uids, policy->denied_uid_count, uid);
}

bool policy_grants_direct(const struct policy *policy, uid_t uid)
{
    if (policy->injector_policy == POLICY_INJECTOR_GUARDED)
        return false;
    if (policy->injector_policy == POLICY_INJECTOR_DIRECT)
        return true;
    return uid == 0 || user_listed(policy->direct_uids, policy->direct_uid_count, uid);
}
