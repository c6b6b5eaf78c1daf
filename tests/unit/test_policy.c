/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/policy.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "divert/divert.h"
#include "tests/unit/unit.h"

static char file[] = "/tmp/lockstep-test-policy-XXXXXX";
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
    result = policy_load(count, arguments, &policy, &status);
    dup2(saved, 2);
    close(saved);
    close(pipes[1]);
    length = read(pipes[0], complaint, sizeof(complaint) - 1);
    complaint[length > 0 ? length : 0] = 0;
    close(pipes[0]);
    assert_int_equal(status, result < 0 ? 2 : 0);
    return result;
}

static void test_defaults(void **unused)
{
    (void)unused;
    write_file("");
    assert_int_equal(load("--interface", "eth7"), 0);
    assert_string_equal(policy.interfaces[0], "eth7");
    assert_string_equal(policy.interfaces[1], "");
    assert_int_equal(policy.attach, DIVERT_MODE_AUTO);
    assert_int_equal(policy.injector_policy, POLICY_INJECTOR_AUTO);
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
    assert_int_equal(policy.ring_bytes, 1 << 20);
    assert_true(policy_denies(&policy, 1234));
    assert_false(policy_denies(&policy, 0));
    assert_false(policy_grants_direct(&policy, 0)); /* guarded for everybody */
    assert_int_equal(load("--interface=eth2", "--attach=xdp-generic"), 0);
    assert_string_equal(policy.interfaces[0], "eth2");
    assert_string_equal(policy.interfaces[1], "");
    assert_int_equal(policy.attach, DIVERT_MODE_XDP_GENERIC);
    assert_int_equal(load("--injector-policy=auto", ""), 0);
    assert_true(policy_grants_direct(&policy, 65534)); /* nobody */
    assert_false(policy_grants_direct(&policy, 65533));
    assert_true(policy_grants_direct(&policy, 0));
    assert_int_equal(load("--injector-policy=direct", ""), 0);
    assert_true(policy_grants_direct(&policy, 65533));
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
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        write_file(texts[i][0]);
        assert_int_equal(load("", ""), -1);
        assert_non_null(strstr(complaint, texts[i][1]));
    }
    write_file("[netd]\ninterfaces = eth0\n");
    assert_int_equal(load("--attach=magic", ""), -1);
    assert_non_null(strstr(complaint, "--attach: magic"));
    unlink(file);
    assert_int_equal(load("", ""), -1); /* a file that was asked for must be there */
    assert_non_null(strstr(complaint, file));
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
        cmocka_unit_test(test_mistakes),
    };

    return cmocka_run_group_tests_name("policy", tests, set_up, NULL);
}
