/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "divert/divert.h"

static const char *const attach_names[] = {"auto", "xdp-native", "xdp-generic", "tc", NULL};
_Static_assert(DIVERT_MODE_AUTO == 0 && DIVERT_MODE_XDP_NATIVE == 1 && DIVERT_MODE_XDP_GENERIC == 2 &&
                   DIVERT_MODE_TC == 3,
               "names and modes are in the same order");
_Static_assert(LOG_LEVEL_ERROR == 0 && LOG_LEVEL_DEBUG == 3, "names and levels are in the same order");

static void note_line(void *object, int line)
{
    ((struct policy *)object)->line = line;
}

static int add_interface(const char *item, void *field, void *object, char *problem)
{
    const struct value_spec spec = {VALUE_TEXTS(struct policy, interfaces)};
    struct policy *policy = object;
    int i;

    (void)field;
    if (rule_check_interface(item, problem) < 0)
        return LOCKSTEP_E_BAD_VALUE;
    for (i = 0; i < POLICY_MAX_INTERFACES && policy->interfaces[i][0]; i++) {
        if (strcmp(policy->interfaces[i], item) == 0) {
            snprintf(problem, VALUE_PROBLEM_MAX, "is there twice");
            return LOCKSTEP_E_CONFLICT;
        }
    }
    if (i < POLICY_MAX_INTERFACES)
        policy->interface_lines[i] = policy->line;
    return value_parse(&spec, item, object, problem);
}

const struct config_key policy_keys[] = {
    {"interfaces", "Interface to accelerate.", {VALUE_LIST(struct policy, interfaces, add_interface)}},
    {"attach", "How the divert is attached.", {VALUE_ENUM(struct policy, attach, attach_names), .initial = "auto"}},
    {"default-action",
     "What becomes of what no rule matches.",
     {VALUE_ENUM(struct policy, default_action, rule_action_names), .initial = "accelerate"}},
    {"injector-policy",
     "auto: the direct injector for who may have it and asks; guarded: for nobody; direct: for everybody.",
     {VALUE_ENUM(struct policy, injector_policy, rule_injector_names), .initial = "auto"}},
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
     "User (name or number) other than root that gets the direct injector.",
     {VALUE_LIST(struct policy, direct_injector_users, rule_add_user)}},
    {"deny-users",
     "User (name or number) whose programs stay with the kernel.",
     {VALUE_LIST(struct policy, deny_users, rule_add_user)}},
    {"log-level",
     "Least severe messages shown.",
     {VALUE_ENUM(struct policy, log_level, log_level_names), .initial = "info"}},
    {0},
};

/* --- sections ----------------------------------------------------------------------------------------------- */

static const struct rule *find_rule(const struct policy *policy, const char *name)
{
    for (unsigned i = 0; i < policy->rule_count; i++) {
        if (strcmp(policy->rules[i].name, name) == 0)
            return &policy->rules[i];
    }
    return NULL;
}

static bool is_printable(const char *name)
{
    while (*name >= ' ' && *name <= '~' && *name != '"' && *name != '\\')
        name++;
    return *name == '\0';
}

/* Sets problem; false: it can be a new rule's name. */
static bool is_wrong_name(const struct policy *policy, const char *name, char *problem)
{
    const struct rule *other = find_rule(policy, name);

    if (!*name || strlen(name) >= RULE_NAME_MAX)
        snprintf(problem, VALUE_PROBLEM_MAX, "needs a name of 1 to %d characters: [rule NAME]", RULE_NAME_MAX - 1);
    else if (!is_printable(name))
        snprintf(problem, VALUE_PROBLEM_MAX, "the name must be of printable ASCII without quotes and backslashes");
    else if (other)
        snprintf(problem, VALUE_PROBLEM_MAX, "there is a rule of this name already, in line %d", other->line);
    else if (policy->rule_count == POLICY_MAX_RULES)
        snprintf(problem, VALUE_PROBLEM_MAX, "one rule too many (at most %d)", POLICY_MAX_RULES);
    else
        return false;
    return true;
}

static void *begin_rule(void *root, const char *label, int line, char *problem)
{
    struct policy *policy = root;
    struct rule *rules, *rule;

    if (is_wrong_name(policy, label, problem))
        return NULL;
    rules = realloc(policy->rules, (policy->rule_count + 1) * sizeof *rules);
    if (!rules) {
        snprintf(problem, VALUE_PROBLEM_MAX, "no memory");
        return NULL;
    }
    policy->rules = rules;
    rule = &rules[policy->rule_count++];
    memset(rule, 0, sizeof *rule);
    rule->names = policy->names;
    rule->line = line;
    snprintf(rule->name, sizeof rule->name, "%s", label);
    return rule;
}

static const struct config_section sections[] = {
    {"netd", policy_keys, NULL, NULL, note_line},
    {"rule", rule_keys, begin_rule, rule_check, NULL},
    {0},
};

/* --- the file ----------------------------------------------------------------------------------------------- */

static void set_initial(struct policy *policy, const char *file, const struct rule_names *names)
{
    memset(policy, 0, sizeof *policy);
    policy->names = names;
    snprintf(policy->file, sizeof policy->file, "%s", file);
    config_set_initial(sections, policy);
}

int policy_parse(const char *file, const char *text, size_t length, const struct rule_names *names, struct policy *out,
                 char *problem)
{
    int err;

    set_initial(out, file, names);
    err = config_parse(sections, file, text, length, out, problem);
    if (err < 0)
        policy_free(out);
    return err;
}

void policy_free(struct policy *policy)
{
    free(policy->rules);
    policy->rules = NULL;
    policy->rule_count = 0;
}

const char *policy_interface_place(const struct policy *policy, const char *interface, char *text)
{
    int i = 0;

    while (i < POLICY_MAX_INTERFACES && strcmp(policy->interfaces[i], interface) != 0)
        i++;
    if (i == POLICY_MAX_INTERFACES)
        snprintf(text, POLICY_PLACE_MAX, "%s: [netd] interfaces", policy->file);
    else if (policy->interface_lines[i])
        snprintf(text, POLICY_PLACE_MAX, "%s:%d: [netd] interfaces", policy->file, policy->interface_lines[i]);
    else
        snprintf(text, POLICY_PLACE_MAX, "--interface");
    return text;
}

/* All of it; its length or a negated errno. */
static long read_all(int fd, char *text, size_t size)
{
    size_t used = 0;
    ssize_t length;

    while ((length = read(fd, text + used, size - used)) > 0)
        used += (size_t)length;
    return length < 0 ? -errno : used == size ? -EFBIG : (long)used;
}

/* Not from a pipe, where it might wait for ever; /dev/null is an empty file. */
static long read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    long length;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) < 0)
        length = -errno;
    else if (S_ISFIFO(status.st_mode))
        length = -ESPIPE;
    else
        length = read_all(fd, text, size);
    close(fd);
    return length;
}

int policy_read(const char *file, struct policy *out, char *problem)
{
    char *text = malloc(POLICY_FILE_MAX);
    long length = text ? read_file(file, text, POLICY_FILE_MAX) : -ENOMEM;
    int err = (int)length;

    if (length >= 0) {
        err = policy_parse(file, text, (size_t)length, &rule_system_names, out, problem);
    } else {
        set_initial(out, file, &rule_system_names);
        snprintf(problem, CONFIG_PROBLEM_MAX, "cannot read %.200s: %s", file,
                 err == -ESPIPE ? "it is a pipe" : error_text(err));
    }
    free(text);
    return err;
}

void policy_print(const struct policy *policy, FILE *out)
{
    fputs("[netd]\n", out);
    for (int i = 0; i < POLICY_MAX_INTERFACES && policy->interfaces[i][0]; i++)
        fprintf(out, "interfaces = %s\n", policy->interfaces[i]);
    fprintf(out, "attach = %s\n", attach_names[policy->attach]);
    fprintf(out, "default-action = %s\n", rule_action_names[policy->default_action]);
    fprintf(out, "injector-policy = %s\n", rule_injector_names[policy->injector_policy]);
    fprintf(out, "ring-bytes = %llu\n", (unsigned long long)policy->ring_bytes);
    fprintf(out, "lanes-per-user = %lld\n", (long long)policy->lanes_per_user);
    fprintf(out, "flows-per-user = %lld\n", (long long)policy->flows_per_user);
    fprintf(out, "log-level = %s\n", log_level_names[policy->log_level]);
    rule_ids_print(out, "direct-injector-users", &policy->direct_injector_users);
    rule_ids_print(out, "deny-users", &policy->deny_users);
    for (unsigned i = 0; i < policy->rule_count; i++) {
        fputc('\n', out);
        rule_print(&policy->rules[i], out);
    }
}

/* --- decisions ---------------------------------------------------------------------------------------------- */

void policy_decide(const struct policy *policy, const struct rule_query *query, struct policy_decision *out)
{
    enum rule_condition which;

    *out = (struct policy_decision){RULE_KERNEL, POLICY_DENY_USERS, 0};
    if (rule_ids_contain(&policy->deny_users, query->uid))
        return;
    for (out->rule = 0; out->rule < policy->rule_count; out->rule++) {
        const struct rule *rule = &policy->rules[out->rule];
        enum rule_outcome outcome = rule_match(rule, query, &which);

        /* A program of which some sockets may be accelerated is. */
        if (outcome == RULE_MATCHES || (outcome == RULE_DEPENDS && rule->action == RULE_ACCELERATE)) {
            out->source = POLICY_RULE;
            out->action = (enum rule_action)rule->action;
            return;
        }
    }
    out->source = POLICY_DEFAULT;
    out->action = (enum rule_action)policy->default_action;
}

const char *policy_reason(const struct policy *policy, const struct policy_decision *decision, char *text)
{
    switch (decision->source) {
    case POLICY_DENY_USERS:
        snprintf(text, POLICY_REASON_MAX, "policy: deny-users");
        break;
    case POLICY_RULE:
        snprintf(text, POLICY_REASON_MAX, "policy: rule \"%s\"", policy->rules[decision->rule].name);
        break;
    case POLICY_DEFAULT:
        snprintf(text, POLICY_REASON_MAX, "policy: default-action");
        break;
    }
    return text;
}

void policy_lane(const struct policy *policy, const struct rule_query *query, struct policy_lane *out)
{
    struct rule_query program = *query;
    int injector = RULE_INJECTOR_AUTO;
    enum rule_condition which;

    program.socket = false;
    out->ring_bytes = policy->ring_bytes;
    for (unsigned i = 0; i < policy->rule_count; i++) {
        const struct rule *rule = &policy->rules[i];

        if (rule_match(rule, &program, &which) != RULE_MATCHES)
            continue;
        injector = rule->injector;
        if (rule->ring_bytes)
            out->ring_bytes = rule->ring_bytes;
        break;
    }
    if (policy->injector_policy != RULE_INJECTOR_AUTO)
        injector = policy->injector_policy;
    else if (rule_ids_contain(&policy->direct_injector_users, query->uid))
        injector = RULE_INJECTOR_DIRECT;
    out->direct = injector == RULE_INJECTOR_DIRECT || (injector == RULE_INJECTOR_AUTO && query->uid == 0);
}

bool policy_has_rules(const struct policy *policy)
{
    return policy->rule_count || policy->deny_users.count || policy->default_action != RULE_ACCELERATE;
}

bool policy_needs_interface(const struct policy *policy)
{
    for (unsigned i = 0; i < policy->rule_count; i++) {
        if (policy->rules[i].interfaces.count)
            return true;
    }
    return false;
}
