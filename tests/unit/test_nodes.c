/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/nodes.h"

static struct nodes_config config;
static char problem[CONFIG_PROBLEM_MAX];

static int parse(const char *text)
{
    problem[0] = '\0';
    return nodes_parse("nodes.conf", text, strlen(text), &config, problem);
}

static void nodes_have_what_is_common_unless_they_say_otherwise(void **state)
{
    (void)state;
    assert_int_equal(parse("[node early]\nurl = http://[::1]:9480/\n"
                           "[nodes]\ntoken-file = /a\nca-file = /b\ntimeout = 5s\n"
                           "[node own]\nurl = https://own.example:9480\ntoken-file = /c\ntimeout = 100ms\n"),
                     0);
    assert_int_equal(config.count, 2);
    assert_string_equal(config.nodes[0].url, "http://[::1]:9480");
    assert_string_equal(config.nodes[0].token_file, "/a");
    assert_string_equal(config.nodes[0].ca_file, "/b");
    assert_true(config.nodes[0].timeout_ns == 5000000000);
    assert_string_equal(config.nodes[1].name, "own");
    assert_string_equal(config.nodes[1].token_file, "/c");
    assert_string_equal(config.nodes[1].ca_file, "/b");
    assert_true(config.nodes[1].timeout_ns == 100000000);
}

static void an_empty_file_is_right(void **state)
{
    (void)state;
    assert_int_equal(parse("# nothing\n"), 0);
    assert_int_equal(config.count, 0);
    assert_true(config.common.timeout_ns == 2000000000);
}

static void mistakes_name_line_and_key(void **state)
{
    static const struct {
        const char *text, *problem;
    } wrong[] = {
        {"[node a]\n", "url: is missing"},
        {"[node a]\nurl = ftp://x\n", "url: must begin with https:// or http://"},
        {"[node a]\nurl = https://\n", "url: is not a URL"},
        {"[node a]\nurl = https://me:secret@x\n", "url: must not hold a name or password: use token-file"},
        {"[node a]\nurl = https://x/?token=y\n", "url: must end before ? and #"},
        {"[node a]\nurl = https://x/#y\n", "url: must end before ? and #"},
        {"[node]\nurl = https://x\n", "needs a name of 1 to 63 characters"},
        {"[node a]\nurl = https://x\n[node a]\nurl = https://y\n", "there is one of this name already"},
        {"[nodes]\ntimeout = soon\n", "nodes.conf:2:"},
        {"[nodes]\ntimeout = 1h\n", "timeout"},
        {"[nodes]\ntoken = secret\n", "nodes.conf:2:"},
        {"[other]\n", "nodes.conf:1:"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_true(parse(wrong[i].text) < 0);
        if (!strstr(problem, wrong[i].problem) || strncmp(problem, "nodes.conf:", 11) != 0)
            fail_msg("\"%s\" gives \"%s\"", wrong[i].text, problem);
    }
}

static void too_many_nodes_are_refused(void **state)
{
    size_t length;
    char *text;
    FILE *out = open_memstream(&text, &length);

    (void)state;
    for (int i = 0; i <= NODES_MAX; i++)
        fprintf(out, "[node n%d]\nurl = https://n%d\n", i, i);
    fclose(out);
    assert_true(parse(text) < 0);
    assert_non_null(strstr(problem, "there are 256 nodes already"));
    free(text);
}

static void a_node_is_found_by_name_and_by_url(void **state)
{
    struct node_config node;

    (void)state;
    assert_int_equal(parse("[nodes]\nca-file = /common\n[node a]\nurl = https://a.example:1\ntoken-file = /t\n"), 0);
    assert_int_equal(nodes_find(&config, "a", &node, problem), 0);
    assert_string_equal(node.url, "https://a.example:1");
    assert_int_equal(nodes_find(&config, "https://a.example:1/", &node, problem), 0);
    assert_string_equal(node.name, "a");
    assert_string_equal(node.token_file, "/t");
    assert_int_equal(nodes_find(&config, "https://b.example:2", &node, problem), 0);
    assert_string_equal(node.name, "b.example:2");
    assert_string_equal(node.token_file, "");
    assert_string_equal(node.ca_file, "/common");
    assert_true(nodes_find(&config, "b", &node, problem) < 0);
    assert_non_null(strstr(problem, "is no node of"));
    assert_true(nodes_find(&config, "file:///etc/passwd", &node, problem) < 0);
}

static void only_this_machine_and_tls_are_private(void **state)
{
    (void)state;
    assert_true(node_url_is_private("https://elsewhere"));
    assert_true(node_url_is_private("http://localhost:1"));
    assert_true(node_url_is_private("http://127.0.0.1:9480"));
    assert_true(node_url_is_private("http://[::1]:9480"));
    assert_false(node_url_is_private("http://192.0.2.1:9480"));
    assert_false(node_url_is_private("http://localhost.example:9480"));
    assert_false(node_url_is_private("http://127.0.0.1.example"));
    assert_false(node_url_is_private("http://[fd00::1]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_have_what_is_common_unless_they_say_otherwise),
        cmocka_unit_test(an_empty_file_is_right),
        cmocka_unit_test(mistakes_name_line_and_key),
        cmocka_unit_test(too_many_nodes_are_refused),
        cmocka_unit_test(a_node_is_found_by_name_and_by_url),
        cmocka_unit_test(only_this_machine_and_tls_are_private),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
