/* SPDX-License-Identifier: BSD-2-Clause */
/* netd.conf: what it may say, what is said of mistakes, and what is decided. */
#include "service/policy.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "tests/unit/unit.h"

static struct policy policy;
static char problem[CONFIG_PROBLEM_MAX];

/* A small world of names. */
static bool find(const char *const *names, const char *name, uint32_t *id)
{
    for (uint32_t i = 0; names[i]; i++) {
        *id = 1000 + i;
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static bool find_user(const char *name, uint32_t *id)
{
    return find((const char *const[]){"alice", "bob", "carol", NULL}, name, id);
}

static bool find_group(const char *name, uint32_t *id)
{
    return find((const char *const[]){"daq", "office", NULL}, name, id);
}

static const struct rule_names names = {find_user, find_group};

static int parse_bytes(const char *text, size_t length)
{
    policy_free(&policy);
    return policy_parse("n.conf", text, length, &names, &policy, problem);
}

static void accepted(const char *text)
{
    if (parse_bytes(text, strlen(text)) != 0)
        fail_msg("refused: %s", problem);
}

static void refused(const char *text, const char *expected)
{
    if (parse_bytes(text, strlen(text)) == 0)
        fail_msg("accepted: %s", text);
    assert_string_equal(problem, expected);
    assert_null(policy.rules);
    assert_int_equal(policy.rule_count, 0);
}

/* --- mistakes ----------------------------------------------------------------------------------------------- */

static void mistakes_name_file_line_section_and_key(void **state)
{
    static const char *const mistakes[][2] = {
        /* sections */
        {"[rules a]", "n.conf:1: [rules a]: unknown section; allowed: netd, rule NAME"},
        {"[rule]\naction = kernel", "n.conf:1: [rule]: needs a name of 1 to 32 characters: [rule NAME]"},
        {"[rule 123456789012345678901234567890123]",
         "n.conf:1: [rule 123456789012345678901234567890123]: needs a name of 1 to 32 characters: [rule NAME]"},
        {"[rule caf\xc3\xa9]",
         "n.conf:1: [rule caf??]: the name must be of printable ASCII without quotes and backslashes"},
        {"[rule \"a\"]", "n.conf:1: [rule \"a\"]: the name must be of printable ASCII without quotes and backslashes"},
        {"[rule a]\naction = kernel\n\n[rule a]\naction = kernel",
         "n.conf:4: [rule a]: there is a rule of this name already, in line 1"},
        {"[netd]\n[rule a]\naction=kernel\n[netd]", "n.conf:4: [netd]: given twice"},
        {"[netd]\r\nring-bytes = 1M\r\n\r\n[rule \x1b[2J]\r\n",
         "n.conf:4: [rule ?[2J]: the name must be of printable ASCII "
         "without quotes and backslashes"},
        {"[netd]\nring-bytes = \xff\xfe",
         "n.conf:2: [netd] ring-bytes: \"??\" is not a size (a number with K, M, G, T or nothing)"},
        {"[rule a]\r\naction = kernel\r\nuser = \xc3(\r\n",
         "n.conf:3: [rule a] user: \"?(\" is not known: there is no user of this name"},
        {"include = /etc/lockstep/more.conf", "n.conf:1: include: not in a section"},
        {"include /etc/lockstep/more.conf", "n.conf:1: line: expected KEY = VALUE"},
        {"[include]", "n.conf:1: [include]: unknown section; allowed: netd, rule NAME"},
        {"[]", "n.conf:1: []: unknown section; allowed: netd, rule NAME"},
        {"[NETD]", "n.conf:1: [NETD]: unknown section; allowed: netd, rule NAME"},
        {"[netd x]", "n.conf:1: [netd x]: this section has no label"},
        {"[rule a", "n.conf:1: [rule a: expected [SECTION]"},
        /* keys */
        {"action = kernel", "n.conf:1: action: not in a section"},
        {"[netd]\nuser = alice", "n.conf:2: [netd] user: unknown key; allowed: interfaces, attach, default-action, "
                                 "injector-policy, ring-bytes, "
                                 "lanes-per-user, flows-per-user, direct-injector-users, deny-users, log-level"},
        {"[rule a]\naction = kernel\naction = kernel", "n.conf:3: [rule a] action: given twice"},
        {"[rule a]\nuser = alice\n[rule b]\naction = kernel",
         "n.conf:1: [rule a] action: missing; must be accelerate|kernel"},
        {"[rule a]\nAction = kernel",
         "n.conf:2: [rule a] Action: unknown key; allowed: program, user, group, protocol, direction, local-port, "
         "remote-port, local-network, remote-network, interface, action, injector, ring-bytes"},
        {"[rule a]\n= kernel", "n.conf:2: [rule a] unknown key; allowed: program, user, group, protocol, direction, "
                               "local-port, remote-port, local-network, remote-network, interface, action, injector, "
                               "ring-bytes"},
        {"[netd]\nring-bytes = 1M\nring-bytes = 1M", "n.conf:3: [netd] ring-bytes: given twice"},
        {"[netd]\nlanes-per-user = 0", "n.conf:2: [netd] lanes-per-user: \"0\" must be 1 to 1024"},
        {"[netd]\nlanes-per-user = 1.5", "n.conf:2: [netd] lanes-per-user: \"1.5\" is not a whole number"},
        {"[netd]\nflows-per-user = -1", "n.conf:2: [netd] flows-per-user: \"-1\" must be 1 to 65536"},
        {"[rule a]\nuser", "n.conf:2: [rule a] line: expected KEY = VALUE"},
        {"[rule a]\naction =", "n.conf:2: [rule a] action: \"\" must be accelerate|kernel"},
        {"[rule a]\naction = deny", "n.conf:2: [rule a] action: \"deny\" must be accelerate|kernel"},
        {"[netd]\ndefault-action = drop", "n.conf:2: [netd] default-action: \"drop\" must be accelerate|kernel"},
        {"[netd]\nlog-level = loud", "n.conf:2: [netd] log-level: \"loud\" must be error|warning|info|debug"},
        {"[netd]\nring-bytes = 1", "n.conf:2: [netd] ring-bytes: \"1\" must be 64K to 256M"},
        /* programs */
        {"[rule a]\nprogram = bin/x",
         "n.conf:2: [rule a] program: \"bin/x\" is neither an absolute path nor a name without /"},
        {"[rule a]\nprogram = x, /bin/[a-z",
         "n.conf:2: [rule a] program: \"x, /bin/[a-z\" (at \"/bin/[a-z\") has a [ that no ] closes"},
        {"[rule a]\nprogram = []", "n.conf:2: [rule a] program: \"[]\" has a [ that no ] closes"},
        {"[rule a]\nprogram = [!]", "n.conf:2: [rule a] program: \"[!]\" has a [ that no ] closes"},
        {"[rule a]\nprogram =;x", "n.conf:2: [rule a] program: \";x\" has a ;, which begins a comment: write ?"},
        {"[rule a]\nprogram = a\\", "n.conf:2: [rule a] program: \"a\\\" ends in a backslash"},
        {"[rule a]\nprogram = a\x01", "n.conf:2: [rule a] program: \"a?\" has a control character"},
        {"[rule a]\nprogram = a,b,c,d,e,f,g,h,i",
         "n.conf:2: [rule a] program: \"a,b,c,d,e,f,g,h,i\" (at \"i\") is one too many (at most 8)"},
        /* users and groups */
        {"[rule a]\nuser = alice, dave",
         "n.conf:2: [rule a] user: \"alice, dave\" (at \"dave\") is not known: there is no user of this name"},
        {"[rule a]\ngroup = alice", "n.conf:2: [rule a] group: \"alice\" is not known: there is no group of this name"},
        {"[netd]\ndeny-users = dave",
         "n.conf:2: [netd] deny-users: \"dave\" is not known: there is no user of this name"},
        {"[rule a]\nuser = 4294967295",
         "n.conf:2: [rule a] user: \"4294967295\" is not a user's number: must be 0 to 4294967294"},
        {"[rule a]\ngroup = 99999999999",
         "n.conf:2: [rule a] group: \"99999999999\" is not a group's number: must be 0 to 4294967294"},
        {"[rule a]\nuser = -1", "n.conf:2: [rule a] user: \"-1\" is not known: there is no user of this name"},
        {"[rule a]\nuser = a23456789012345678901234567890123",
         "n.conf:2: [rule a] user: \"a23456789012345678901234567890123\" is longer than 32 characters"},
        {"[rule a]\nuser = ,", "n.conf:2: [rule a] user: \",\" has an empty item"},
        {"[rule a]\nuser =", "n.conf:2: [rule a] user: \"\" must not be empty"},
        /* protocol, direction */
        {"[rule a]\nprotocol = sctp", "n.conf:2: [rule a] protocol: \"sctp\" must be tcp|udp"},
        {"[rule a]\nprotocol = TCP", "n.conf:2: [rule a] protocol: \"TCP\" must be tcp|udp"},
        {"[rule a]\ndirection = in", "n.conf:2: [rule a] direction: \"in\" must be connect|listen|multicast"},
        /* ports */
        {"[rule a]\nlocal-port = 0",
         "n.conf:2: [rule a] local-port: \"0\" must be a port, 1 to 65535, or a range such as 8000-8999"},
        {"[rule a]\nremote-port = 80, 65536",
         "n.conf:2: [rule a] remote-port: \"80, 65536\" (at \"65536\") must be a port, 1 to 65535, or a range such as "
         "8000-8999"},
        {"[rule a]\nremote-port = 90-80", "n.conf:2: [rule a] remote-port: \"90-80\" ends before it begins"},
        {"[rule a]\nremote-port = 80-",
         "n.conf:2: [rule a] remote-port: \"80-\" must be a port, 1 to 65535, or a range such as 8000-8999"},
        {"[rule a]\nremote-port = -80",
         "n.conf:2: [rule a] remote-port: \"-80\" must be a port, 1 to 65535, or a range such as 8000-8999"},
        {"[rule a]\nremote-port = 1-2-3",
         "n.conf:2: [rule a] remote-port: \"1-2-3\" must be a port, 1 to 65535, or a range such as 8000-8999"},
        {"[rule a]\nremote-port = http",
         "n.conf:2: [rule a] remote-port: \"http\" must be a port, 1 to 65535, or a range such as 8000-8999"},
        {"[rule a]\nremote-port = 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
         "n.conf:2: [rule a] remote-port: \"1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17\" (at \"17\") is one too many "
         "(at most 16)"},
        /* networks */
        {"[rule a]\nlocal-network = 10.0.0.1/8",
         "n.conf:2: [rule a] local-network: \"10.0.0.1/8\" has bits behind the prefix: write 10.0.0.0/8"},
        {"[rule a]\nlocal-network = 2001:db8::1/64",
         "n.conf:2: [rule a] local-network: \"2001:db8::1/64\" has bits behind the prefix: write 2001:db8::/64"},
        {"[rule a]\nremote-network = 10.0.0.0/33", "n.conf:2: [rule a] remote-network: \"10.0.0.0/33\" must be a "
                                                   "network such as 192.0.2.0/24 or 2001:db8::/32, or "
                                                   "an address"},
        {"[rule a]\nremote-network = host.example",
         "n.conf:2: [rule a] remote-network: \"host.example\" must be a network such as 192.0.2.0/24 or 2001:db8::/32, "
         "or an address"},
        /* interfaces */
        {"[rule a]\ninterface = a/b", "n.conf:2: [rule a] interface: \"a/b\" is not an interface's name: 1 to 15 "
                                      "characters without blanks, /, ; and #"},
        {"[rule a]\ninterface = 1234567890123456", "n.conf:2: [rule a] interface: \"1234567890123456\" is not an "
                                                   "interface's name: 1 to 15 characters without blanks, /, ; and #"},
        {"[netd]\ninterfaces = 1234567890123456",
         "n.conf:2: [netd] interfaces: \"1234567890123456\" is not an interface's name: 1 to 15 characters without "
         "blanks, /, ; and #"},
        {"[netd]\ninterfaces = a\ninterfaces = b, a",
         "n.conf:3: [netd] interfaces: \"b, a\" (at \"a\") is there twice"},
        {"[netd]\ninterfaces = a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q",
         "n.conf:2: [netd] interfaces: \"a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\" (at \"q\") is one too many (at most 16)"},
        /* keys that do not go together */
        {"[rule a]\naction = kernel\ninjector = direct",
         "n.conf:1: [rule a] injector: without effect when action = kernel"},
        {"[rule a]\naction = kernel\nring-bytes = 1M",
         "n.conf:1: [rule a] ring-bytes: without effect when action = kernel"},
        {"[rule a]\naction = accelerate\nremote-port = 80\ninjector = direct",
         "n.conf:1: [rule a] injector: is a program's: not in a rule with protocol, direction, port, network or "
         "interface"},
        {"[rule a]\naction = accelerate\nprogram = /opt/daq/*\ninjector = direct",
         "n.conf:1: [rule a] injector: direct, with which a program may send and hear anything, needs user or group: "
         "anybody can run or copy a program"},
        {"[rule a]\naction = accelerate\ninterface = eth0\nring-bytes = 1M",
         "n.conf:1: [rule a] ring-bytes: is a program's: not in a rule with protocol, direction, port, network or "
         "interface"},
        {"[rule a]\naction = kernel\ndirection = listen\nremote-port = 80",
         "n.conf:1: [rule a] direction: must be connect with remote-port: other sockets have no peer yet"},
        {"[rule a]\naction = kernel\ndirection = listen, multicast\nremote-network = ::/0",
         "n.conf:1: [rule a] direction: must be connect with remote-network: other sockets have no peer yet"},
        {"[rule a]\naction = kernel\ndirection = multicast\nprotocol = tcp",
         "n.conf:1: [rule a] direction: multicast is never tcp"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++)
        refused(mistakes[i][0], mistakes[i][1]);
}

static void what_is_no_text_is_refused(void **state)
{
    char text[4096];

    (void)state;
    assert_true(parse_bytes("[netd]\nattach = t\0c\n", 20) < 0);
    assert_string_equal(problem, "n.conf:2: [netd] line: contains a zero byte");
    refused("\x7f"
            "ELF\x02\x01\x01",
            "n.conf:1: line: expected KEY = VALUE");
    assert_true(parse_bytes("\xff\xfe[\0n\0", 6) < 0); /* UTF-16 */
    assert_string_equal(problem, "n.conf:1: line: contains a zero byte");
    for (unsigned seed = 1; seed < 50; seed++) {
        srand(seed);
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = (char)rand();
        assert_true(parse_bytes(text, sizeof text) < 0);
        assert_int_equal(strncmp(problem, "n.conf:", 7), 0);
    }
    memset(text, 'x', sizeof text);
    memcpy(text, "[rule a]\nprogram = ", 19);
    text[2000] = '\0';
    refused(text, "n.conf:2: [rule a] line: too long");
}

static void too_many_rules_are_refused(void **state)
{
    char *text = calloc(1, (POLICY_MAX_RULES + 1) * 40);
    size_t used = 0;

    (void)state;
    for (int i = 0; i < POLICY_MAX_RULES; i++)
        used += (size_t)sprintf(text + used, "[rule r%d]\naction = kernel\n", i);
    accepted(text);
    assert_int_equal(policy.rule_count, POLICY_MAX_RULES);
    assert_string_equal(policy.rules[POLICY_MAX_RULES - 1].name, "r255");
    sprintf(text + used, "[rule r]\naction = kernel\n");
    refused(text, "n.conf:513: [rule r]: one rule too many (at most 256)");
    free(text);
}

static void layout_does_not_matter(void **state)
{
    (void)state;
    accepted("");
    assert_int_equal(policy.rule_count, 0);
    assert_int_equal(policy.default_action, RULE_ACCELERATE);
    accepted("\xef\xbb\xbf# mark, carriage returns, blanks\r\n  [rule  a b ] ; comment\r\n\tuser=alice,bob ; two\r\n"
             "user = 7\r\n  action = kernel\r\n");
    assert_int_equal(policy.rule_count, 1);
    assert_string_equal(policy.rules[0].name, "a b");
    assert_int_equal(policy.rules[0].line, 2);
    assert_int_equal(policy.rules[0].users.count, 3);
    assert_int_equal(policy.rules[0].users.item[1].id, 1001);
    assert_int_equal(policy.rules[0].users.item[2].id, 7);
}

static void file_refused(const char *path, const char *expected)
{
    policy_free(&policy);
    assert_true(policy_read(path, &policy, problem) < 0);
    assert_string_equal(problem, expected);
    assert_null(policy.rules);
}

static void what_is_no_file_is_refused(void **state)
{
    char directory[] = "/tmp/lockstep-policy-XXXXXX", path[64], expected[128];
    FILE *file;

    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(expected, sizeof expected, "cannot read %s: Is a directory", directory);
    file_refused(directory, expected);
    snprintf(path, sizeof path, "%s/n.conf", directory);
    snprintf(expected, sizeof expected, "cannot read %s: No such file or directory", path);
    file_refused(path, expected);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(expected, sizeof expected, "cannot read %s: it is a pipe", path);
    file_refused(path, expected);
    unlink(path);
    assert_int_equal(symlink(path, path), 0);
    snprintf(expected, sizeof expected, "cannot read %s: Too many levels of symbolic links", path);
    file_refused(path, expected);
    unlink(path);
    file = fopen(path, "w");
    for (int i = 0; i < POLICY_FILE_MAX; i++)
        fputc('#', file);
    fclose(file);
    snprintf(expected, sizeof expected, "cannot read %s: File too large", path);
    file_refused(path, expected);
    chmod(path, 0);
    if (geteuid() != 0) {
        snprintf(expected, sizeof expected, "cannot read %s: Permission denied", path);
        file_refused(path, expected);
    }
    unlink(path);
    rmdir(directory);
    assert_int_equal(policy_read("/dev/null", &policy, problem), 0);
    assert_int_equal(policy.rule_count, 0);
}

static void interfaces_know_where_they_are_named(void **state)
{
    char place[POLICY_PLACE_MAX];

    (void)state;
    accepted("# interfaces\n[netd]\ninterfaces = eth0, eth1\nattach = tc\n\ninterfaces = eth2\n");
    assert_string_equal(policy_interface_place(&policy, "eth0", place), "n.conf:3: [netd] interfaces");
    assert_string_equal(policy_interface_place(&policy, "eth1", place), "n.conf:3: [netd] interfaces");
    assert_string_equal(policy_interface_place(&policy, "eth2", place), "n.conf:6: [netd] interfaces");
    assert_string_equal(policy_interface_place(&policy, "eth3", place), "n.conf: [netd] interfaces");
    policy.interface_lines[1] = 0;
    assert_string_equal(policy_interface_place(&policy, "eth1", place), "--interface");
}

static void a_file_without_a_last_newline_is_whole(void **state)
{
    (void)state;
    accepted("[rule a]\naction = kernel\n[rule b]\naction = kernel");
    assert_int_equal(policy.rule_count, 2);
    refused("[rule a]\naction = kernel\n[rule b]\naction = kerne",
            "n.conf:4: [rule b] action: \"kerne\" must be accelerate|kernel");
    refused("[rule a]\naction = kernel\n[rule b]", "n.conf:3: [rule b] action: missing; must be accelerate|kernel");
}

/* --- decisions ---------------------------------------------------------------------------------------------- */

static struct rule_query program_query(const char *program, uint32_t uid)
{
    static const uint32_t groups[] = {100, 1001};

    return (struct rule_query){
        .program = program, .uid = uid, .groups = groups, .group_count = 2, .interface = "", .socket = false};
}

static struct rule_query socket_query(int protocol, enum rule_direction direction, const char *local,
                                      const char *remote)
{
    struct rule_query query = program_query("/usr/bin/daq", 1000);

    query.socket = true;
    query.protocol = protocol;
    query.direction = direction;
    query.interface = "eth0";
    assert_int_equal(net_endpoint_parse(local, &query.local), 0);
    if (remote)
        assert_int_equal(net_endpoint_parse(remote, &query.remote), 0);
    return query;
}

/* Who decides, and what: "rule a: kernel". */
static const char *decided(const struct rule_query *query)
{
    static char text[POLICY_REASON_MAX + 16];
    struct policy_decision decision;
    char reason[POLICY_REASON_MAX];

    policy_decide(&policy, query, &decision);
    snprintf(text, sizeof text, "%s: %s", policy_reason(&policy, &decision, reason),
             rule_action_names[decision.action]);
    return text;
}

static bool matches(const char *conditions, const struct rule_query *query)
{
    char text[1024];
    struct policy_decision decision;

    snprintf(text, sizeof text, "[rule a]\naction = kernel\n%s", conditions);
    accepted(text);
    policy_decide(&policy, query, &decision);
    assert_int_equal(decision.action == RULE_KERNEL, decision.source == POLICY_RULE);
    return decision.source == POLICY_RULE;
}

static void programs_match_by_path_or_name(void **state)
{
    struct rule_query query = program_query("/opt/daq/bin/reader", 0);

    (void)state;
    assert_true(matches("program = reader", &query));
    assert_true(matches("program = read*", &query));
    assert_true(matches("program = /opt/daq/bin/reader", &query));
    assert_true(matches("program = /opt/*", &query)); /* at any depth */
    assert_true(matches("program = */bin/*", &query));
    assert_true(matches("program = /opt/daq/bin/[a-z]?ader", &query));
    assert_true(matches("program = other, reader", &query));
    assert_true(matches("program = /opt/daq/bin/[]r]eader", &query));
    assert_false(matches("program = daq", &query));
    assert_false(matches("program = /opt/daq", &query));
    assert_false(matches("program = Reader", &query));
    assert_false(matches("program = /opt/daq/bin/[!r]eader", &query));
    query.program = ""; /* not known: no rule by program is about it */
    assert_false(matches("program = *", &query));
    assert_true(matches("user = 0", &query));
}

static void users_and_groups_match_by_number(void **state)
{
    struct rule_query query = program_query("/bin/x", 1001);

    (void)state;
    assert_true(matches("user = bob", &query));
    assert_true(matches("user = 1001", &query));
    assert_true(matches("user = alice, bob", &query));
    assert_false(matches("user = alice", &query));
    assert_true(matches("group = 100", &query));
    assert_true(matches("group = office", &query)); /* supplementary */
    assert_false(matches("group = daq", &query));
    assert_false(matches("user = bob\ngroup = daq", &query)); /* all conditions */
    query.group_count = 0;
    assert_false(matches("group = 100", &query));
}

static void sockets_match_by_ports_networks_and_interface(void **state)
{
    struct rule_query query = socket_query(0, RULE_CONNECT, "192.0.2.1:40000", "198.51.100.7:8080");

    (void)state;
    assert_true(matches("protocol = tcp", &query));
    assert_true(matches("protocol = udp, tcp", &query));
    assert_false(matches("protocol = udp", &query));
    assert_true(matches("direction = connect", &query));
    assert_false(matches("direction = listen, multicast", &query));
    assert_true(matches("remote-port = 80, 8000-8999", &query));
    assert_true(matches("remote-port = 8080", &query));
    assert_true(matches("remote-port = 8080-8080", &query));
    assert_false(matches("remote-port = 8081-9000", &query));
    assert_true(matches("local-port = 32768-60999", &query));
    assert_false(matches("local-port = 8080", &query));
    assert_true(matches("remote-network = 198.51.100.0/24", &query));
    assert_true(matches("remote-network = 198.51.100.7", &query));
    assert_true(matches("remote-network = 0.0.0.0/0", &query));
    assert_false(matches("remote-network = ::/0", &query));
    assert_true(matches("local-network = 192.0.2.0/31", &query));
    assert_false(matches("local-network = 192.0.2.2/31", &query));
    assert_true(matches("interface = eth1, eth0", &query));
    assert_false(matches("interface = eth0.5", &query));
    query.interface = "";
    assert_false(matches("interface = eth0", &query));
    query = socket_query(1, RULE_CONNECT, "[2001:db8::1]:4000", "[2001:db8:0:7::2]:53");
    assert_true(matches("protocol = udp\nremote-port = 53\nremote-network = 2001:db8::/32", &query));
    assert_false(matches("protocol = udp\nremote-port = 53\nremote-network = 2001:db8::/64", &query));
}

static void sockets_without_a_peer_match_no_remote_condition(void **state)
{
    struct rule_query query = socket_query(0, RULE_LISTEN, "0.0.0.0:80", NULL);

    (void)state;
    assert_true(matches("direction = listen\nlocal-port = 80", &query));
    assert_false(matches("remote-network = 0.0.0.0/0", &query));
    assert_false(matches("remote-port = 1-65535", &query));
    /* The wildcard address is all addresses, so only the network of all contains it. */
    assert_true(matches("local-network = 0.0.0.0/0", &query));
    assert_false(matches("local-network = 0.0.0.0/1", &query));
    assert_false(matches("local-network = ::/0", &query));
    query = socket_query(1, RULE_MULTICAST, "239.1.2.3:5000", NULL);
    assert_true(matches("direction = multicast\nlocal-network = 239.0.0.0/8\nlocal-port = 5000", &query));
    assert_false(matches("remote-network = 239.0.0.0/8", &query));
}

static void the_first_rule_that_matches_decides(void **state)
{
    struct rule_query query = socket_query(0, RULE_CONNECT, "192.0.2.1:40000", "198.51.100.7:443");

    (void)state;
    accepted("[netd]\ndeny-users = carol\ndefault-action = kernel\n"
             "[rule web]\nremote-port = 80, 443\naction = accelerate\n"
             "[rule no tls]\nremote-port = 443\naction = kernel\n"
             "[rule alice]\nuser = alice\nremote-port = 1-1023\naction = kernel\n"
             "[rule bob]\nuser = bob\naction = accelerate\n");
    assert_string_equal(decided(&query), "policy: rule \"web\": accelerate");
    query.remote.port = 22;
    assert_string_equal(decided(&query), "policy: rule \"alice\": kernel");
    query.uid = 1001;
    assert_string_equal(decided(&query), "policy: rule \"bob\": accelerate");
    query.uid = 5;
    assert_string_equal(decided(&query), "policy: default-action: kernel");
    query.remote.port = 80;
    query.uid = 1002; /* deny-users comes before all rules */
    assert_string_equal(decided(&query), "policy: deny-users: kernel");
}

static void programs_are_decided_by_what_may_come(void **state)
{
    struct rule_query query = program_query("/bin/x", 1000);

    (void)state;
    accepted("[rule a]\nuser = alice\naction = kernel\n");
    assert_string_equal(decided(&query), "policy: rule \"a\": kernel");
    /* Some of its sockets may be accelerated. */
    accepted("[rule p]\nremote-port = 80\naction = accelerate\n[rule a]\nuser = alice\naction = kernel\n");
    assert_string_equal(decided(&query), "policy: rule \"p\": accelerate");
    /* Some of them may not. */
    accepted("[rule p]\nremote-port = 80\naction = kernel\n");
    assert_string_equal(decided(&query), "policy: default-action: accelerate");
    accepted("[netd]\ndefault-action = kernel\n[rule p]\nremote-port = 80\naction = kernel\n");
    assert_string_equal(decided(&query), "policy: default-action: kernel");
    /* That of another user does not count. */
    accepted("[netd]\ndefault-action = kernel\n[rule p]\nuser = bob\nremote-port = 80\naction = accelerate\n");
    assert_string_equal(decided(&query), "policy: default-action: kernel");
}

static struct policy_lane lane_of(const char *text, uint32_t uid)
{
    struct rule_query query = program_query("/bin/x", uid);
    struct policy_lane lane;

    accepted(text);
    policy_lane(&policy, &query, &lane);
    return lane;
}

static void a_rule_gives_injector_and_ring(void **state)
{
    static const char rules[] = "[rule p]\nremote-port = 80\naction = accelerate\n"
                                "[rule a]\nuser = alice\naction = accelerate\ninjector = direct\nring-bytes = 1M\n"
                                "[rule g]\nuser = 0, bob\naction = accelerate\ninjector = guarded\n";
    char text[512];

    (void)state;
    assert_true(lane_of(rules, 1000).direct);
    assert_int_equal(lane_of(rules, 1000).ring_bytes, 1 << 20);
    assert_int_equal(lane_of(rules, 1002).ring_bytes, 4 << 20);
    assert_false(lane_of(rules, 1002).direct);
    assert_false(lane_of(rules, 0).direct);
    assert_true(lane_of("", 0).direct);
    assert_false(lane_of("", 1).direct);
    /* What holds for all comes first, then direct-injector-users, then the rules. */
    snprintf(text, sizeof text, "[netd]\ninjector-policy = guarded\n%s", rules);
    assert_false(lane_of(text, 1000).direct);
    snprintf(text, sizeof text, "[netd]\ninjector-policy = direct\n%s", rules);
    assert_true(lane_of(text, 1001).direct);
    snprintf(text, sizeof text, "[netd]\ndirect-injector-users = bob\n%s", rules);
    assert_true(lane_of(text, 1001).direct);
}

/* --- properties --------------------------------------------------------------------------------------------- */

static unsigned seed;

static unsigned below(unsigned limit)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % limit;
}

static const char *pick(const char *const *list, unsigned count)
{
    return list[below(count)];
}

#define PICK(...)                                                                                                      \
    pick((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static size_t write_rule(char *text, unsigned number)
{
    size_t used = (size_t)sprintf(text, "[rule r%u]\naction = %s\n", number, PICK("accelerate", "kernel"));

    if (below(3) == 0)
        used += (size_t)sprintf(text + used, "program = %s\n", PICK("daq", "/usr/*", "nginx, d*"));
    if (below(3) == 0)
        used += (size_t)sprintf(text + used, "user = %s\n", PICK("alice", "bob, carol", "0"));
    if (below(4) == 0)
        used += (size_t)sprintf(text + used, "group = %s\n", PICK("daq", "office", "100"));
    if (below(3) == 0)
        used += (size_t)sprintf(text + used, "protocol = %s\n", PICK("tcp", "udp"));
    if (below(3) == 0)
        used += (size_t)sprintf(text + used, "remote-port = %s\n", PICK("80", "1-1023", "8000-8999, 22"));
    if (below(3) == 0)
        used += (size_t)sprintf(text + used, "local-network = %s\n", PICK("10.0.0.0/8", "0.0.0.0/0", "192.0.2.1"));
    return used;
}

static struct rule_query random_query(void)
{
    struct rule_query query = socket_query((int)below(2), (enum rule_direction)below(3),
                                           PICK("10.1.2.3:80", "192.0.2.1:4000", "0.0.0.0:22"), "10.9.9.9:8080");

    query.program = PICK("/usr/bin/daq", "/opt/nginx", "");
    query.uid = 999 + below(5);
    query.remote.port = (uint16_t)(below(2) ? 80 : 22);
    if (query.direction != RULE_CONNECT)
        query.remote = (struct net_endpoint){{{0}}, 0};
    return query;
}

/* The first that matches, found in the plainest way. */
static unsigned first_match(const struct rule_query *query)
{
    enum rule_condition which;
    unsigned i = 0;

    while (i < policy.rule_count && rule_match(&policy.rules[i], query, &which) != RULE_MATCHES)
        i++;
    return i;
}

static void decisions_have_the_properties_that_are_promised(void **state)
{
    char text[16384];

    (void)state;
    for (seed = 1; seed < 400000000u; seed += 1000003u) {
        struct policy_decision decision, again, program;
        struct rule_query query, whole;
        size_t used = (size_t)sprintf(text, "[netd]\ndefault-action = %s\n", PICK("accelerate", "kernel"));
        unsigned rules = below(8), first;

        for (unsigned i = 0; i < rules; i++)
            used += write_rule(text + used, i);
        accepted(text);
        whole = query = random_query();
        first = first_match(&query);
        policy_decide(&policy, &query, &decision);
        /* First match wins. */
        assert_int_equal(decision.source, first < rules ? POLICY_RULE : POLICY_DEFAULT);
        if (first < rules)
            assert_int_equal(decision.rule, first);
        /* A program that is left to the kernel has no socket that would be accelerated. */
        whole.socket = false;
        policy_decide(&policy, &whole, &program);
        assert_true(program.action == RULE_ACCELERATE || decision.action == RULE_KERNEL);
        /* A rule that matches nothing changes nothing, at the beginning or at the end. */
        sprintf(text + used, "[rule none]\naction = kernel\nuser = 4000000000\n");
        accepted(text);
        policy_decide(&policy, &query, &again);
        assert_int_equal(again.action, decision.action);
        memmove(text + 45, text, used + 1);
        text[45 + used] = '\0';
        memcpy(text, "[rule none]\naction = kernel \nuser = 40000000\n\n", 45);
        accepted(text);
        policy_decide(&policy, &query, &again);
        assert_int_equal(again.action, decision.action);
    }
}

static void what_is_printed_reads_as_the_same(void **state)
{
    static const char full[] =
        "[netd]\ninterfaces = eth0\ninterfaces = eth1\nattach = tc\ndefault-action = kernel\ninjector-policy = direct\n"
        "ring-bytes = 1M\nlanes-per-user = 3\nflows-per-user = 4\nlog-level = debug\n"
        "direct-injector-users = alice, 7\ndeny-users = carol\n"
        "[rule a b]\nprogram = /opt/*/x, y[]]\nuser = alice, 12\ngroup = daq\naction = accelerate\ninjector = guarded\n"
        "ring-bytes = 128K\n"
        "[rule c]\nprotocol = udp\ndirection = listen, connect\nlocal-port = 5, 7-9\nlocal-network = ::/0\n"
        "interface = eth0.5\naction = kernel\n"
        "[rule d]\nremote-network = 10.0.0.0/8\nremote-network = 2001:db8:1111:2222:3333:4444:5555:6666\n"
        "remote-network = 2001:db8:1111:2222:3333:4444:5555:7777, 2001:db8:1111:2222:3333:4444:5555:8888\n"
        "remote-port = 1\naction = kernel\n";
    char *first = NULL, *second = NULL;
    size_t size;
    FILE *out;

    (void)state;
    accepted(full);
    out = open_memstream(&first, &size);
    policy_print(&policy, out);
    fclose(out);
    accepted(first);
    assert_int_equal(policy.rule_count, 3);
    assert_int_equal(policy.rules[2].remote_networks.count, 4);
    assert_int_equal(policy.rules[1].local_ports.item[1].last, 9);
    out = open_memstream(&second, &size);
    policy_print(&policy, out);
    fclose(out);
    assert_string_equal(first, second);
    assert_non_null(strstr(first, "# user alice is 1000\n"));
    free(first);
    free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_name_file_line_section_and_key),
        cmocka_unit_test(what_is_no_text_is_refused),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(interfaces_know_where_they_are_named),
        cmocka_unit_test(a_file_without_a_last_newline_is_whole),
        cmocka_unit_test(too_many_rules_are_refused),
        cmocka_unit_test(layout_does_not_matter),
        cmocka_unit_test(programs_match_by_path_or_name),
        cmocka_unit_test(users_and_groups_match_by_number),
        cmocka_unit_test(sockets_match_by_ports_networks_and_interface),
        cmocka_unit_test(sockets_without_a_peer_match_no_remote_condition),
        cmocka_unit_test(the_first_rule_that_matches_decides),
        cmocka_unit_test(programs_are_decided_by_what_may_come),
        cmocka_unit_test(a_rule_gives_injector_and_ring),
        cmocka_unit_test(decisions_have_the_properties_that_are_promised),
        cmocka_unit_test(what_is_printed_reads_as_the_same),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    policy_free(&policy);
    return failed;
}
