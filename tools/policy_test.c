/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep policy test: what would become of a program or a socket, and why. */
#include <errno.h>
#include <grp.h>
#include <net/if.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/units.h"
#include "service/policy.h"
#include "tools/policy.h"
#include "tools/policy_facts.h"
#include "tools/report.h"

#define EXIT_KERNEL 3
#define GROUPS_MAX  1024

enum { ABOUT_PROGRAM, ABOUT_CONNECT, ABOUT_LISTEN, ABOUT_MULTICAST };
static const char *const about_names[] = {"none", "connect", "listen", "multicast", NULL};

struct test_options {
    char config[256], program[512], user[33], group[16][33], local[64], remote[64], interface[16], runtime_dir[90];
    int protocol, direction;
    bool json;
};

static const struct option_entry test_entries[] = {
    {"config",
     'c',
     "Configuration file.",
     {VALUE_TEXT(struct test_options, config), .initial = POLICY_CONFIG_FILE},
     "FILE"},
    {"program",
     'p',
     "The program: a path, or a name as the shell finds it.",
     {VALUE_TEXT(struct test_options, program)},
     "PATH"},
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
    {"interface",
     'i',
     "Interface that the packets take. Default: as the routes say.",
     {VALUE_TEXT(struct test_options, interface)},
     "NAME"},
    {"runtime-dir",
     'd',
     "Directory of the service that is asked for routes and limits. Default: $LOCKSTEP_RUNTIME_DIR, "
     "else " CONTROL_DEFAULT_DIR ".",
     {VALUE_TEXT(struct test_options, runtime_dir)},
     "DIR"},
    {"json", 'j', "Print a JSON document.", {VALUE_BOOL(struct test_options, json)}, NULL},
    {0},
};

static const struct option_program test_program = {
    .name = "lockstep policy test",
    .summary = "Say what the policy decides on a program or socket, and why.",
    .entries = test_entries,
};
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

    query->uid = getuid();
    query->groups = groups;
    if (*options->user && !look_up(options->user, rule_system_names.user, &query->uid))
        return policy_complain(2, options->user, "there is no user of this name");
    for (int i = 0; i < 16 && options->group[i][0]; i++) {
        if (!look_up(options->group[i], rule_system_names.group, &groups[query->group_count++]))
            return policy_complain(2, options->group[i], "there is no group of this name");
    }
    /* cppcheck-suppress getpwuidCalled ; one thread */
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
        return policy_complain(2, options->local, "must be an address or ADDRESS:PORT ([ADDRESS]:PORT of IPv6)");
    if ((about == ABOUT_CONNECT) != (*options->remote != '\0'))
        return policy_complain(2, "--remote", "goes with --direction connect, and only with it");
    if (about != ABOUT_CONNECT)
        return *options->local ? 0 : policy_complain(2, "--local", "missing");
    if (net_endpoint_parse(options->remote, &query->remote) < 0 || query->remote.port == 0)
        return policy_complain(2, options->remote, "must be ADDRESS:PORT ([ADDRESS]:PORT of IPv6)");
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

/* What decides, in the order in which it does. */
struct verdict {
    enum rule_action action;
    char reason[512];
    int line;                /* of the rule; 0: it is none */
    struct rule_query asked; /* what the rules were asked about: the program as such, or the socket */
    unsigned rules;          /* so many were looked at */
};

static void kernel_because(struct verdict *verdict, const char *subject, const char *why)
{
    verdict->action = RULE_KERNEL;
    snprintf(verdict->reason, sizeof verdict->reason, "%.300s%s%.200s", subject, *subject ? " " : "", why);
}

static void ask_rules(struct verdict *verdict, const struct policy *policy, const struct rule_query *query)
{
    struct policy_decision decision;
    char reason[POLICY_REASON_MAX];

    policy_decide(policy, query, &decision);
    verdict->asked = *query;
    verdict->action = decision.action;
    snprintf(verdict->reason, sizeof verdict->reason, "%s", policy_reason(policy, &decision, reason));
    verdict->line = decision.source == POLICY_RULE ? policy->rules[decision.rule].line : 0;
    verdict->rules = decision.source == POLICY_RULE         ? decision.rule + 1
                     : decision.source == POLICY_DENY_USERS ? 0
                                                            : policy->rule_count;
}

/* As the preloaded library and the service go about it: first the program gets a lane, or none; then the socket. */
static void decide(const struct policy *policy, const struct policy_facts *facts, const struct rule_query *query,
                   struct verdict *verdict)
{
    const char *limit = policy_facts_limit(facts, policy, query->uid);
    const char *destination = query->socket ? policy_facts_destination(facts, query) : NULL;
    struct rule_query program = *query;

    memset(verdict, 0, sizeof *verdict);
    if (facts->obstacle) {
        kernel_because(verdict, facts->program, facts->obstacle);
        return;
    }
    program.socket = false;
    ask_rules(verdict, policy, &program);
    if (verdict->action == RULE_KERNEL)
        return;
    if (query->socket)
        ask_rules(verdict, policy, query);
    if (limit || destination)
        verdict->line = 0;
    if (limit)
        kernel_because(verdict, "the user has all of its", limit);
    else if (destination)
        kernel_because(verdict, "", destination);
}

static void put_text(struct json_object *object, const char *key, const char *text)
{
    json_object_object_add(object, key, json_object_new_string(text));
}

static void put_number(struct json_object *object, const char *key, uint64_t number)
{
    json_object_object_add(object, key, json_object_new_int64((int64_t)number));
}

static struct json_object *describe_lane(const struct policy *policy, const struct policy_facts *facts,
                                         const struct rule_query *query)
{
    struct json_object *object = json_object_new_object();
    struct policy_lane lane;

    policy_lane(policy, query, &lane);
    put_text(object, "injector", lane.direct ? "direct" : "guarded");
    put_number(object, "ring_bytes", lane.ring_bytes);
    if (!facts->service || query->uid == 0)
        return object;
    put_number(object, "user_lanes", facts->lanes);
    put_number(object, "lanes_per_user", (uint64_t)policy->lanes_per_user);
    put_number(object, "user_flows", facts->flows);
    put_number(object, "flows_per_user", (uint64_t)policy->flows_per_user);
    return object;
}

static struct json_object *describe_route(const struct policy_facts *facts)
{
    struct json_object *object = json_object_new_object();
    char source[NET_ADDR_TEXT_MAX], interface[IF_NAMESIZE] = "";

    if_indextoname(facts->route.ifindex, interface);
    put_text(object, "interface", interface);
    put_text(object, "source", net_addr_format(&facts->route.source, source));
    put_number(object, "mtu", facts->route.mtu);
    json_object_object_add(object, "gateway",
                           json_object_new_boolean(!(facts->route.flags & CONTROL_ROUTE_LOCAL_LINK)));
    return object;
}

/* The whole answer as a document; the text is made from it. */
static struct json_object *explain(const struct policy *policy, const struct policy_facts *facts,
                                   const struct rule_query *query)
{
    struct json_object *root = json_object_new_object(), *rules = json_object_new_array();
    struct verdict verdict;

    decide(policy, facts, query, &verdict);
    put_text(root, "action", rule_action_names[verdict.action]);
    put_text(root, "reason", verdict.reason);
    put_text(root, "file", policy->file);
    if (verdict.line)
        put_number(root, "line", (uint64_t)verdict.line);
    put_text(root, "program", facts->program);
    for (unsigned i = 0; i < verdict.rules; i++)
        put_rule(rules, &policy->rules[i], &verdict.asked);
    json_object_object_add(root, "rules", rules);
    if (facts->routed && facts->route_result == 0)
        json_object_object_add(root, "route", describe_route(facts));
    if (verdict.action == RULE_ACCELERATE)
        json_object_object_add(root, "lane", describe_lane(policy, facts, query));
    json_object_object_add(root, "notes", json_object_get(facts->notes));
    return root;
}

static void print_rule(struct json_object *rule, const char *file, FILE *out)
{
    const char *outcome = report_text(rule, "outcome");

    fprintf(out, "%s:%d: rule \"%s\" ", file, (int)report_number(rule, "line"), report_text(rule, "rule"));
    if (strcmp(outcome, "misses") == 0)
        fprintf(out, "does not match: %s is %s, not %s\n", report_text(rule, "condition"), report_text(rule, "found"),
                report_text(rule, "wanted"));
    else if (strcmp(outcome, "depends") == 0)
        fprintf(out, "depends on the socket: %s %s\n", report_text(rule, "condition"), report_text(rule, "wanted"));
    else
        fputs("matches\n", out);
}

static void print_route(struct json_object *route, FILE *out)
{
    if (route)
        fprintf(out, "route: from %s over %s%s\n", report_text(route, "source"), report_text(route, "interface"),
                json_object_get_boolean(report_member(route, "gateway")) ? ", by a gateway" : "");
}

static void print_lane(struct json_object *lane, FILE *out)
{
    bool direct = strcmp(report_text(lane, "injector"), "direct") == 0;
    char ring[UNITS_TEXT_MAX];

    if (!lane)
        return;
    fprintf(out, "lane: %s, ring of %s", direct ? "direct injector for the asking" : "guarded injector",
            units_format_bytes(report_number(lane, "ring_bytes"), ring));
    if (report_member(lane, "lanes_per_user"))
        fprintf(out, "; the user has %u of %u lanes, %u of %u flows", (unsigned)report_number(lane, "user_lanes"),
                (unsigned)report_number(lane, "lanes_per_user"), (unsigned)report_number(lane, "user_flows"),
                (unsigned)report_number(lane, "flows_per_user"));
    fputc('\n', out);
}

static void print_answer(struct json_object *answer, FILE *out)
{
    const char *file = report_text(answer, "file");
    struct json_object *notes = report_member(answer, "notes");

    for (size_t i = 0; i < report_count(answer, "rules"); i++)
        print_rule(report_element(answer, "rules", i), file, out);
    print_route(report_member(answer, "route"), out);
    print_lane(report_member(answer, "lane"), out);
    for (size_t i = 0; i < json_object_array_length(notes); i++)
        fprintf(out, "note: %s\n", json_object_get_string(json_object_array_get_idx(notes, i)));
    fprintf(out, "%s: %s", report_text(answer, "action"), report_text(answer, "reason"));
    if (report_number(answer, "line"))
        fprintf(out, " (%s:%d)", file, (int)report_number(answer, "line"));
    fputc('\n', out);
}

static struct json_object *answer(const struct test_options *options, const struct policy *policy,
                                  struct rule_query *query)
{
    static struct policy_facts facts;
    struct json_object *document;

    policy_facts_init(&facts, options->runtime_dir, options->program, query);
    policy_facts_compare(&facts, policy);
    query->program = facts.program;
    if (query->socket)
        policy_facts_socket(&facts, query);
    policy_facts_count(&facts, query->uid);
    document = explain(policy, &facts, query);
    policy_facts_fini(&facts);
    return document;
}

static int test_main(int argc, char **argv)
{
    static struct test_options options;
    struct policy policy;
    struct rule_query query = {.interface = ""};
    struct json_object *document;
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
        return policy_complain(1, "", problem);
    document = answer(&options, &policy, &query);
    if (strcmp(report_text(document, "action"), rule_action_names[RULE_KERNEL]) == 0)
        exit_status = EXIT_KERNEL;
    if (options.json)
        report_print_json(document, stdout);
    else
        print_answer(document, stdout);
    json_object_put(document);
    policy_free(&policy);
    return exit_status;
}

const struct command command_policy_test = {"test", &test_program, test_main, NULL};
