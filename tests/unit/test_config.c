/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/config.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "tests/unit/unit.h"

struct rule {
    char label[16];
    int64_t port;
    bool allow;
    int64_t sizes[4]; /* up to a zero */
};

struct netd {
    uint64_t ring;
    char interface[2][16];
    struct rule rules[2];
    int rule_count;
    int mode;
};

static const struct config_key netd_keys[] = {
    {"ring", "Size of a ring.", {VALUE_SIZE(struct netd, ring), .initial = "4M"}},
    {"interface", "Interface.", {VALUE_TEXTS(struct netd, interface)}},
    {0},
};
static int add_size(const char *item, void *field, void *object, char *problem)
{
    int64_t *sizes = field;
    unsigned i = 0;

    (void)object;
    while (i < 4 && sizes[i])
        i++;
    if (i == 4 || strlen(item) > 3) {
        snprintf(problem, VALUE_PROBLEM_MAX, i == 4 ? "is one too many" : "is too long");
        return LOCKSTEP_E_BAD_VALUE;
    }
    sizes[i] = (int64_t)strlen(item);
    return 0;
}

static const struct config_key rule_keys[] = {
    {"port", "Port.", {VALUE_INT(struct rule, port), .min = 1, .max = 65535, .initial = "80"}},
    {"allow", "Allow.", {VALUE_BOOL(struct rule, allow), .initial = "yes"}},
    {"sizes", "Lengths.", {VALUE_LIST(struct rule, sizes, add_size)}},
    {0},
};

static void *begin_rule(void *root, const char *label, int line, char *problem)
{
    struct netd *netd = root;
    struct rule *rule = &netd->rules[netd->rule_count];

    if (line == 99)
        return NULL;
    if (netd->rule_count == 2) {
        snprintf(problem, VALUE_PROBLEM_MAX, "one too many (at most 2)");
        return NULL;
    }
    netd->rule_count++;
    snprintf(rule->label, sizeof rule->label, "%s", label);
    return rule;
}

static int end_rule(void *root, void *object, char *problem)
{
    const struct rule *rule = object;

    (void)root;
    snprintf(problem, VALUE_PROBLEM_MAX, "allow: must not be yes with port 1");
    return rule->allow && rule->port == 1 ? LOCKSTEP_E_BAD_VALUE : 0;
}

static int last_line; /* of a key of [netd] */

static void note_line(void *object, int line)
{
    (void)object;
    last_line = line;
}

static const char *const modes[] = {"fast", "slow", NULL};
static const struct config_key mode_keys[] = {
    {"mode", "Mode.", {VALUE_ENUM(struct netd, mode, modes), .required = true}},
    {0},
};

static const struct config_section sections[] = {{"netd", netd_keys, NULL, NULL, note_line},
                                                 {"rule", rule_keys, begin_rule, end_rule, NULL},
                                                 {"mode", mode_keys, NULL, NULL, NULL},
                                                 {0}};

static struct netd netd;
static char problem[CONFIG_PROBLEM_MAX];

static int parse_bytes(const char *text, size_t length)
{
    memset(&netd, 0, sizeof netd);
    config_set_initial(sections, &netd);
    return config_parse(sections, "netd.conf", text, length, &netd, problem);
}

static int parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

static void refused(const char *text, int err, const char *expected)
{
    assert_int_equal(parse(text), err);
    assert_string_equal(problem, expected);
}

static void empty_text_leaves_defaults(void **state)
{
    (void)state;
    assert_int_equal(parse(""), 0);
    assert_int_equal(netd.ring, 4 << 20);
    assert_int_equal(netd.rule_count, 0);
}

static void keys_comments_and_layout(void **state)
{
    (void)state;
    assert_int_equal(parse("\xef\xbb\xbf# comment\r\n\r\n [netd] ; comment\r\n\tring = 64K ; comment\r\n"
                           "interface=eth0\n  interface = eth1\n; end"),
                     0);
    assert_int_equal(netd.ring, 65536);
    assert_string_equal(netd.interface[0], "eth0");
    assert_string_equal(netd.interface[1], "eth1");
}

static void labelled_sections_make_objects(void **state)
{
    (void)state;
    assert_int_equal(parse("[rule]\n[rule  web server ]\nport = 443\nallow = no\n[netd]\nring=1M"), 0);
    assert_int_equal(netd.rule_count, 2);
    assert_string_equal(netd.rules[0].label, "");
    assert_int_equal(netd.rules[0].port, 80);
    assert_true(netd.rules[0].allow);
    assert_string_equal(netd.rules[1].label, "web server");
    assert_int_equal(netd.rules[1].port, 443);
    assert_false(netd.rules[1].allow);
    assert_int_equal(netd.ring, 1 << 20);
}

static void the_line_of_a_key_is_told(void **state)
{
    (void)state;
    last_line = 0;
    assert_int_equal(parse("[mode]\nmode = fast\n"), 0);
    assert_int_equal(last_line, 0);
    assert_int_equal(parse("[mode]\nmode = fast\n\n[netd]\n# a comment\nring = 64K\n[rule]\nport = 1\nallow = no\n"),
                     0);
    assert_int_equal(last_line, 6);
}

static void mistakes_name_file_line_and_key(void **state)
{
    (void)state;
    refused("[netd]\n\nring = big\n", LOCKSTEP_E_BAD_FORMAT,
            "netd.conf:3: [netd] ring: \"big\" is not a size (a number with K, M, G, T or nothing)");
    refused("[rule]\nport = 0", LOCKSTEP_E_BAD_VALUE, "netd.conf:2: [rule] port: \"0\" must be 1 to 65535");
    refused("[netd]\nrings = 1", LOCKSTEP_E_UNKNOWN_NAME,
            "netd.conf:2: [netd] rings: unknown key; allowed: ring, interface");
    refused("[netd]\nring = 1K\nring = 2K", LOCKSTEP_E_CONFLICT, "netd.conf:3: [netd] ring: given twice");
    refused("ring = 1K", LOCKSTEP_E_BAD_FORMAT, "netd.conf:1: ring: not in a section");
    refused("[net]\nring = 1K", LOCKSTEP_E_UNKNOWN_NAME,
            "netd.conf:1: [net]: unknown section; allowed: netd, rule NAME, mode");
    refused("[net]", LOCKSTEP_E_UNKNOWN_NAME, "netd.conf:1: [net]: unknown section; allowed: netd, rule NAME, mode");
    refused("[netd x]", LOCKSTEP_E_BAD_VALUE, "netd.conf:1: [netd x]: this section has no label");
    refused("[rule a]\n[rule b]\n[rule c]", LOCKSTEP_E_BAD_VALUE, "netd.conf:3: [rule c]: one too many (at most 2)");
    refused("[netd]\n[rule]\n[netd]", LOCKSTEP_E_CONFLICT, "netd.conf:3: [netd]: given twice");
}

static void malformed_lines_are_refused(void **state)
{
    (void)state;
    refused("[netd]\nring\nring = 1K", LOCKSTEP_E_BAD_FORMAT, "netd.conf:2: [netd] line: expected KEY = VALUE");
    refused("[netd]\nring", LOCKSTEP_E_BAD_FORMAT, "netd.conf:2: [netd] line: expected KEY = VALUE");
    refused("[netd\nring = 1K", LOCKSTEP_E_BAD_FORMAT, "netd.conf:1: [netd: expected [SECTION]");
    refused("[netd]x", LOCKSTEP_E_BAD_FORMAT, "netd.conf:1: [netd]x: expected [SECTION]");
    assert_int_equal(parse_bytes("[netd]\nring = 1\0K\n", 18), LOCKSTEP_E_BAD_FORMAT);
    assert_string_equal(problem, "netd.conf:2: [netd] line: contains a zero byte");
}

static void nothing_after_the_first_mistake_is_set(void **state)
{
    (void)state;
    assert_int_equal(parse("[netd]\ninterface = eth0\nnonsense\nring = 1K"), LOCKSTEP_E_BAD_FORMAT);
    assert_string_equal(netd.interface[0], "eth0");
    assert_int_equal(netd.ring, 4 << 20);
}

static void long_lines_are_refused_not_split(void **state)
{
    char text[600] = "[netd]\n#";

    (void)state;
    memset(text + strlen(text), 'x', 500);
    refused(text, LOCKSTEP_E_BAD_FORMAT, "netd.conf:2: [netd] line: too long");
}

static void lists_take_items_and_are_added_to(void **state)
{
    (void)state;
    assert_int_equal(parse("[rule]\nsizes = a,\tbb , ccc\nsizes = dd\n"), 0);
    assert_int_equal(netd.rules[0].sizes[0], 1);
    assert_int_equal(netd.rules[0].sizes[1], 2);
    assert_int_equal(netd.rules[0].sizes[2], 3);
    assert_int_equal(netd.rules[0].sizes[3], 2);
    refused("[rule x]\nsizes = a, bbbb", LOCKSTEP_E_BAD_VALUE,
            "netd.conf:2: [rule x] sizes: \"a, bbbb\" (at \"bbbb\") is too long");
    refused("[rule x]\nsizes = bbbb", LOCKSTEP_E_BAD_VALUE, "netd.conf:2: [rule x] sizes: \"bbbb\" is too long");
    refused("[rule x]\nsizes = a,b\nsizes = c,d,e", LOCKSTEP_E_BAD_VALUE,
            "netd.conf:3: [rule x] sizes: \"c,d,e\" (at \"e\") is one too many");
    refused("[rule x]\nsizes = a,,b", LOCKSTEP_E_BAD_VALUE, "netd.conf:2: [rule x] sizes: \"a,,b\" has an empty item");
    refused("[rule x]\nsizes = a,", LOCKSTEP_E_BAD_VALUE, "netd.conf:2: [rule x] sizes: \"a,\" has an empty item");
    refused("[rule x]\nsizes =", LOCKSTEP_E_BAD_VALUE, "netd.conf:2: [rule x] sizes: \"\" must not be empty");
}

static void a_section_is_checked_at_its_end(void **state)
{
    (void)state;
    refused("[rule a]\nport = 1\n[rule b]", LOCKSTEP_E_BAD_VALUE,
            "netd.conf:1: [rule a] allow: must not be yes with port 1");
    refused("[rule a]\n\n[rule b]\nport = 1\n", LOCKSTEP_E_BAD_VALUE,
            "netd.conf:3: [rule b] allow: must not be yes with port 1");
    assert_int_equal(parse("[rule a]\nport = 1\nallow = no"), 0);
    refused("[netd]\n[mode]\n", LOCKSTEP_E_BAD_VALUE, "netd.conf:2: [mode] mode: missing; must be fast|slow");
    assert_int_equal(parse("[mode]\nmode = slow"), 0);
    assert_int_equal(netd.mode, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_of_a_key_is_told),
        cmocka_unit_test(empty_text_leaves_defaults),
        cmocka_unit_test(keys_comments_and_layout),
        cmocka_unit_test(labelled_sections_make_objects),
        cmocka_unit_test(mistakes_name_file_line_and_key),
        cmocka_unit_test(malformed_lines_are_refused),
        cmocka_unit_test(nothing_after_the_first_mistake_is_set),
        cmocka_unit_test(long_lines_are_refused_not_split),
        cmocka_unit_test(lists_take_items_and_are_added_to),
        cmocka_unit_test(a_section_is_checked_at_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
