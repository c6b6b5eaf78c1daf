/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep policy: reads netd.conf as the service does, and says what it would decide and why. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "service/policy.h"
#include "tools/command.h"
#include "tools/report.h"

#define EXIT_KERNEL 3
#define GROUPS_MAX  1024

enum { ABOUT_PROGRAM, ABOUT_CONNECT, ABOUT_LISTEN, ABOUT_MULTICAST };
static const char *const about_names[] = {"none", "connect", "listen", "multicast", NULL};

struct test_options {
    char config[256], program[512], user[33], group[16][33], local[64], remote[64], interface[16];
    int protocol, direction;
    bool json;
};

static const struct option_entry test_entries[] = {
    {"config",
     'c',
     "Configuration file.",
     {VALUE_TEXT(struct test_options, config), .initial = POLICY_CONFIG_FILE},
     "FILE"},
    {"program", 'p', "Absolute path of the executable.", {VALUE_TEXT(struct test_options, program)}, "PATH"},
    {"user", 'u', "User, name or number. Default: the caller.", {VALUE_TEXT(struct test_options, user)}, "USER"},
    {"group", 'g', "Group. Default: those of the user.", {VALUE_TEXTS(struct test_options, group)}, "GROUP"},
    {"protocol",
     0,
     "Protocol.",
     {VALUE_ENUM(struct test_options, protocol, rule_protocol_names), .initial = "tcp"},
     NULL},
    {"direction",
     0,
     "What the socket does; none: as --remote or --local say, or the program as such.",
     {VALUE_ENUM(struct test_options, direction, about_names), .initial = "none"},
     NULL},
    {"local", 0, "This side; the group of multicast.", {VALUE_TEXT(struct test_options, local)}, "ADDRESS:PORT"},
    {"remote", 0, "The peer.", {VALUE_TEXT(struct test_options, remote)}, "ADDRESS:PORT"},
    {"interface", 'i', "Interface that the packets take.", {VALUE_TEXT(struct test_options, interface)}, "NAME"},
    {"json", 'j', "Print a JSON document.", {VALUE_BOOL(struct test_options, json)}, NULL},
    {0},
};

static const struct option_program test_program = {
    .name = "lockstep policy test",
    .summary = "Say what the policy decides on a program or socket, and why.",
    .entries = test_entries,
};
static const struct option_program check_program = {
    .name = "lockstep policy check",
    .summary = "Check a configuration file and print what it says.",
    .arguments = "[FILE]",
    .entries = command_no_options,
};

static int complain(int exit_status, const char *subject, const char *problem)
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
        return complain(1, "", problem);
    policy_print(&policy, stdout);
    policy_free(&policy);
    return 0;
}

/* --- the question ------------------------------------------------------------------------------------------- */

/* A name or a number. */
static bool look_up(const char *text, bool (*find)(const char *, uint32_t *), uint32_t *id)
{
    char *end;

    if (find(text, id))
        return true;
    errno = 0;
    *id = (uint32_t)strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && errno == 0 && strlen(text) <= 10;
}

/* 0, or the exit status after a message. */
static int read_who(const struct test_options *options, struct rule_query *query)
{
    static uint32_t groups[GROUPS_MAX];
    int count = GROUPS_MAX;
    const struct passwd *entry;

    query->program = options->program;
    query->uid = getuid();
    query->groups = groups;
    if (*options->user && !look_up(options->user, rule_system_names.user, &query->uid))
        return complain(2, options->user, "there is no user of this name");
    for (int i = 0; i < 16 && options->group[i][0]; i++) {
        if (!look_up(options->group[i], rule_system_names.group, &groups[query->group_count++]))
            return complain(2, options->group[i], "there is no group of this name");
    }
    entry = query->group_count ? NULL : getpwuid(query->uid);
    if (entry && getgrouplist(entry->pw_name, entry->pw_gid, groups, &count) >= 0)
        query->group_count = (size_t)count;
    return 0;
}

static int read_socket(const struct test_options *options, struct rule_query *query)
{
    int about = options->direction;

    if (about == ABOUT_PROGRAM)
        about = *options->remote ? ABOUT_CONNECT : *options->local ? ABOUT_LISTEN : ABOUT_PROGRAM;
    query->interface = options->interface;
    query->protocol = about == ABOUT_MULTICAST ? 1 : options->protocol;
    query->socket = about != ABOUT_PROGRAM;
    if (!query->socket)
        return 0;
    query->direction = (enum rule_direction)(about - ABOUT_CONNECT);
    if (*options->local && net_endpoint_parse(options->local, &query->local) < 0)
        return complain(2, options->local, "must be an address or ADDRESS:PORT ([ADDRESS]:PORT of IPv6)");
    if ((about == ABOUT_CONNECT) != (*options->remote != '\0'))
        return complain(2, "--remote", "goes with --direction connect, and only with it");
    if (about != ABOUT_CONNECT)
        return *options->local ? 0 : complain(2, "--local", "missing");
    if (net_endpoint_parse(options->remote, &query->remote) < 0 || query->remote.port == 0)
        return complain(2, options->remote, "must be ADDRESS:PORT ([ADDRESS]:PORT of IPv6)");
    if (!*options->local)
        query->local.addr = net_addr_any(net_addr_is_v4(&query->remote.addr));
    return 0;
}

/* --- the answer --------------------------------------------------------------------------------------------- */

static void put_rule(struct json_object *list, const struct rule *rule, const struct rule_query *query)
{
    static const char *const outcomes[] = {"matches", "misses", "depends"};
    struct json_object *item = json_object_new_object();
    char wanted[RULE_TEXT_MAX], found[RULE_TEXT_MAX];
    enum rule_condition which;
    enum rule_outcome outcome = rule_match(rule, query, &which);

    json_object_object_add(item, "rule", json_object_new_string(rule->name));
    json_object_object_add(item, "line", json_object_new_int(rule->line));
    json_object_object_add(item, "outcome", json_object_new_string(outcomes[outcome]));
    if (outcome != RULE_MATCHES) {
        rule_condition_text(rule, which, wanted, sizeof wanted);
        rule_query_text(query, which, found, sizeof found);
        json_object_object_add(item, "condition", json_object_new_string(rule_condition_name(which)));
        json_object_object_add(item, "wanted", json_object_new_string(wanted));
        json_object_object_add(item, "found", json_object_new_string(outcome == RULE_DEPENDS ? "" : found));
    }
    json_object_array_add(list, item);
}

/* The whole answer as a document; the text is made from it. */
static struct json_object *explain(const struct policy *policy, const struct rule_query *query,
                                   const struct policy_decision *decision)
{
    struct json_object *root = json_object_new_object(), *rules = json_object_new_array();
    unsigned last = decision->source == POLICY_RULE         ? decision->rule + 1
                    : decision->source == POLICY_DENY_USERS ? 0
                                                            : policy->rule_count;
    char reason[POLICY_REASON_MAX];

    json_object_object_add(root, "action", json_object_new_string(rule_action_names[decision->action]));
    json_object_object_add(root, "reason", json_object_new_string(policy_reason(policy, decision, reason)));
    json_object_object_add(root, "file", json_object_new_string(policy->file));
    if (decision->source == POLICY_RULE)
        json_object_object_add(root, "line", json_object_new_int(policy->rules[decision->rule].line));
    for (unsigned i = 0; i < last; i++)
        put_rule(rules, &policy->rules[i], query);
    json_object_object_add(root, "rules", rules);
    return root;
}

static void print_answer(struct json_object *answer, FILE *out)
{
    const char *file = report_text(answer, "file");

    for (size_t i = 0; i < report_count(answer, "rules"); i++) {
        struct json_object *rule = report_element(answer, "rules", i);
        const char *outcome = report_text(rule, "outcome");

        fprintf(out, "%s:%d: rule \"%s\" ", file, (int)report_number(rule, "line"), report_text(rule, "rule"));
        if (strcmp(outcome, "misses") == 0)
            fprintf(out, "does not match: %s is %s, not %s\n", report_text(rule, "condition"),
                    report_text(rule, "found"), report_text(rule, "wanted"));
        else if (strcmp(outcome, "depends") == 0)
            fprintf(out, "depends on the socket: %s %s\n", report_text(rule, "condition"), report_text(rule, "wanted"));
        else
            fputs("matches\n", out);
    }
    fprintf(out, "%s: %s", report_text(answer, "action"), report_text(answer, "reason"));
    if (report_number(answer, "line"))
        fprintf(out, " (%s:%d)", file, (int)report_number(answer, "line"));
    fputc('\n', out);
}

static int test_main(int argc, char **argv)
{
    static struct test_options options;
    struct policy policy;
    struct rule_query query = {.interface = ""};
    struct policy_decision decision;
    struct json_object *answer;
    char problem[CONFIG_PROBLEM_MAX];
    int exit_status;

    if (option_run(&test_program, argc, argv, &options, &exit_status) < 0)
        return exit_status;
    exit_status = read_who(&options, &query);
    if (exit_status == 0)
        exit_status = read_socket(&options, &query);
    if (exit_status)
        return exit_status;
    if (policy_read(options.config, &policy, problem) < 0)
        return complain(1, "", problem);
    policy_decide(&policy, &query, &decision);
    answer = explain(&policy, &query, &decision);
    if (options.json)
        report_print_json(answer, stdout);
    else
        print_answer(answer, stdout);
    json_object_put(answer);
    policy_free(&policy);
    return decision.action == RULE_KERNEL ? EXIT_KERNEL : 0;
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
        return complain(1, "reload", err == LOCKSTEP_E_DENIED ? "only root may" : error_text(err));
    reply.text[sizeof reply.text - 1] = '\0';
    if (reply.failed)
        return complain(1, "the old configuration stays", reply.text);
    puts(reply.text);
    return 0;
}

static const struct command policy_check = {"check", &check_program, check_main, NULL};
static const struct command policy_test = {"test", &test_program, test_main, NULL};
static const struct command policy_reload = {"reload", &reload_program, reload_main, NULL};
static const struct command *const subcommands[] = {&policy_check, &policy_test, &policy_reload, NULL};

static const struct option_program program = {
    .name = "lockstep policy",
    .summary = "Check the service's configuration, explain its decisions, read it again.",
    .arguments = "COMMAND [OPTION...]",
    .entries = command_no_options,
};

const struct command command_policy = {"policy", &program, NULL, subcommands};
