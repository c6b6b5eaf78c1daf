/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/options.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "divert/divert.h"
#include "tests/unit/unit.h"

static char file[] = "/tmp/lockstep-test-options-XXXXXX";
static struct policy policy;
static char complaint[1024];

static void write_file(const char *text)
{
    FILE *out = fopen(file, "w");

    fputs(text, out);
    fclose(out);
}

/* Loads with the file and two more arguments ("" for none); what is said on stderr goes to complaint. */
static int load(const char *first, const char *second)
{
    char *arguments[] = {"lockstep-netd", "--config", file, (char *)first, (char *)second, NULL};
    int count = 3 + (*first != 0) + (*second != 0), saved = dup(2), pipes[2], result, status = -1;
    ssize_t length;

    assert_int_equal(pipe(pipes), 0);
    dup2(pipes[1], 2);
    result = options_load(count, arguments, &policy, &status);
    dup2(saved, 2);
    close(saved);
    close(pipes[1]);
    length = read(pipes[0], complaint, sizeof(complaint) - 1);
    complaint[length > 0 ? length : 0] = 0;
    close(pipes[0]);
    assert_int_equal(status, result < 0 ? 2 : 0);
    return result;
}

static bool denies(uint32_t uid)
{
    const struct rule_query query = {.program = "", .uid = uid, .interface = ""};
    struct policy_decision decision;

    policy_decide(&policy, &query, &decision);
    return decision.action == RULE_KERNEL;
}

static bool grants_direct(uint32_t uid)
{
    const struct rule_query query = {.program = "", .uid = uid, .interface = ""};
    struct policy_lane lane;

    policy_lane(&policy, &query, &lane);
    return lane.direct;
}

static void test_defaults(void **unused)
{
    (void)unused;
    write_file("");
    assert_int_equal(load("--interface", "eth7"), 0);
    assert_string_equal(policy.interfaces[0], "eth7");
    assert_string_equal(policy.interfaces[1], "");
    assert_int_equal(policy.attach, DIVERT_MODE_AUTO);
    assert_int_equal(policy.injector_policy, RULE_INJECTOR_AUTO);
    assert_int_equal(policy.ring_bytes, 4 << 20);
    assert_int_equal(policy.lanes_per_user, 64);
    assert_int_equal(policy.flows_per_user, 16384);
    assert_string_equal(policy.runtime_dir, "/run/lockstep");
}

static void test_file_and_command_line(void **unused)
{
    (void)unused;
    write_file("[netd]\ninterfaces = eth0\ninterfaces = eth1\nattach = tc\nring-bytes = 1M\ndeny-users = 1234\n"
               "direct-injector-users = nobody\ninjector-policy = guarded\n");
    assert_int_equal(load("", ""), 0);
    assert_string_equal(policy.interfaces[1], "eth1");
    assert_int_equal(policy.attach, DIVERT_MODE_TC);
    assert_int_equal(policy.log_level, LOG_LEVEL_INFO);
    assert_int_equal(policy.ring_bytes, 1 << 20);
    assert_true(denies(1234));
    assert_false(denies(0));
    assert_false(grants_direct(0)); /* guarded for everybody */
    assert_int_equal(load("--interface=eth2", "--attach=xdp-generic"), 0);
    assert_string_equal(policy.interfaces[0], "eth2");
    assert_string_equal(policy.interfaces[1], "");
    assert_int_equal(policy.attach, DIVERT_MODE_XDP_GENERIC);
    assert_int_equal(load("--injector-policy=auto", ""), 0);
    assert_true(grants_direct(65534)); /* nobody */
    assert_false(grants_direct(65533));
    assert_true(grants_direct(0));
    assert_int_equal(load("--injector-policy=direct", ""), 0);
    assert_true(grants_direct(65533));
}

static void test_mistakes(void **unused)
{
    static const char *const texts[][2] = {
        {"[netd]\ninterfaces = eth0\nring-bytes = 1\n", ":3:"},
        {"[netd]\ninterfaces = eth0\nno-such-key = 1\n", "no-such-key"},
        {"[netd]\ninterfaces = eth0\nattach = magic\n", "attach"},
        {"[netd]\ninterfaces = eth0\ndeny-users = no-such-user-here\n", "no-such-user-here"},
        {"[netd]\ninterfaces = eth0\ndeny-users = 4294967295\n", "4294967295"},
        {"[netd]\ninterfaces = eth0\ndeny-users = 99999999999999999999\n", "9999"},
        {"[netd]\n", "--interface"},
        {"[netd]\ninterfaces = eth0\n[rule a]\naction = drop\n", ":4: [rule a] action"},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        write_file(texts[i][0]);
        assert_int_equal(load("", ""), -1);
        assert_non_null(strstr(complaint, texts[i][1]));
    }
    write_file("[netd]\ninterfaces = eth0\n");
    assert_int_equal(load("--log-level=loud", ""), -1);
    assert_non_null(strstr(complaint, "--log-level: loud must be error|warning|info|debug"));
    assert_int_equal(load("--attach=magic", ""), -1);
    assert_non_null(strstr(complaint, "--attach: magic"));
    unlink(file);
    assert_int_equal(load("", ""), -1); /* a file that was asked for must be there */
    assert_non_null(strstr(complaint, file));
}

static void test_reload(void **unused)
{
    char problem[CONFIG_PROBLEM_MAX];
    struct policy again;

    (void)unused;
    write_file("[netd]\ninterfaces = eth0\nlog-level = debug\n[rule a]\nuser = 7\naction = kernel\n");
    assert_int_equal(load("--interface=eth1", "--attach=tc"), 0);
    assert_int_equal(policy.log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(policy.rule_count, 1);
    /* The command line stays over the file. */
    write_file("[netd]\ninterfaces = eth0\nattach = xdp-native\nring-bytes = 1M\n");
    assert_int_equal(options_reload(&again, problem), 0);
    assert_string_equal(again.interfaces[0], "eth1");
    assert_int_equal(again.attach, DIVERT_MODE_TC);
    assert_int_equal(again.ring_bytes, 1 << 20);
    assert_int_equal(again.rule_count, 0);
    assert_int_equal(again.log_level, LOG_LEVEL_INFO);
    write_file("[netd]\ninterfaces = eth0\n[rule a]\n");
    assert_true(options_reload(&again, problem) < 0);
    assert_non_null(strstr(problem, ":3: [rule a] action: missing; must be accelerate|kernel"));
    policy_free(&policy);
}

static int set_up(void **unused)
{
    int fd = mkstemp(file);

    (void)unused;
    close(fd);
    return fd < 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_file_and_command_line),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_mistakes),
    };

    return cmocka_run_group_tests_name("options", tests, set_up, NULL);
}
