/* SPDX-License-Identifier: BSD-2-Clause */
/* Attaching beside what others have attached. As root; skipped otherwise. */
#include "unit.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "divert_rig.h"

#define PORT      5000
#define PEER_PORT 6000

static struct rig rig;
static enum divert_mode chosen;
static const char *why;

static int setup(void **state)
{
    (void)state;
    rig_open(&rig, DIVERT_MODE_TC);
    assert_int_equal(divert_detach(rig.divert, rig.ifindex), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

/* A program of somebody else's that lets everything through. */
static int foreign_program(enum bpf_prog_type type, int verdict)
{
    const struct bpf_insn program[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = verdict},
        {.code = BPF_JMP | BPF_EXIT},
    };
    int fd = bpf_prog_load(type, "foreign", "GPL", program, 2, NULL);

    assert_true(fd >= 0);
    return fd;
}

static int attach(enum divert_mode mode)
{
    return divert_attach(rig.divert, rig.ifindex, mode, &chosen, &why);
}

static void assert_diverts(bool expected)
{
    struct divert_flow_key key = rig_key(IPPROTO_UDP, OWN4, PORT, NULL, 0);
    struct lane *lane = rig.lanes[0] ? rig.lanes[0] : rig_lane(&rig, 0, RIG_RING);
    int peer = rig_udp(1, PEER4, PEER_PORT);

    rig_flow(&rig, &key, 0, 0, 1);
    rig_send(peer, OWN4, PORT, "x", 1);
    assert_true((expected ? rig_take(lane) != NULL : rig_nothing(lane)) == true);
    assert_int_equal(divert_flow_remove(rig.divert, &key), 0);
    close(peer);
}

static void foreign_xdp_is_respected(void **state)
{
    int fd = foreign_program(BPF_PROG_TYPE_XDP, XDP_PASS);
    static const __u32 flags[] = {XDP_FLAGS_SKB_MODE, XDP_FLAGS_DRV_MODE};

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(bpf_xdp_attach((int)rig.ifindex, fd, flags[i], NULL), 0);
        assert_int_equal(attach(DIVERT_MODE_XDP_NATIVE), LOCKSTEP_E_CONFLICT);
        assert_int_equal(attach(DIVERT_MODE_XDP_GENERIC), LOCKSTEP_E_CONFLICT);
        assert_int_equal(attach(DIVERT_MODE_TC), 0); /* which does not disturb it */
        assert_diverts(true);
        assert_int_equal(divert_detach(rig.divert, rig.ifindex), 0);
        rig_shell(0, "ip -d link show dev v0 | grep -q 'name foreign'");
        assert_int_equal(bpf_xdp_detach((int)rig.ifindex, flags[i], NULL), 0);
    }
    close(fd);
}

static void foreign_tc_filters_stay(void **state)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)rig.ifindex, .attach_point = BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 0x4c53, .priority = 1); /* at the very place that Lockstep likes */
    int fd = foreign_program(BPF_PROG_TYPE_SCHED_CLS, -1);

    (void)state;
    bpf_tc_hook_create(&hook);
    opts.prog_fd = fd;
    assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
    assert_int_equal(attach(DIVERT_MODE_TC), 0);
    assert_diverts(true);
    rig_shell(0, "tc filter show dev v0 ingress | grep -q 'name foreign'");
    assert_int_equal(divert_detach(rig.divert, rig.ifindex), 0);
    assert_diverts(false);
    rig_shell(0, "tc filter show dev v0 ingress | grep -q 'name foreign'");
    opts.prog_fd = 0;
    opts.prog_id = 0;
    opts.flags = 0;
    assert_int_equal(bpf_tc_detach(&hook, &opts), 0);
    close(fd);
}

/* One place, however often and in whatever mode. */
static void modes_replace_each_other(void **state)
{
    static const enum divert_mode modes[] = {DIVERT_MODE_TC,         DIVERT_MODE_XDP_GENERIC, DIVERT_MODE_XDP_NATIVE,
                                             DIVERT_MODE_TC,         DIVERT_MODE_TC,          DIVERT_MODE_XDP_NATIVE,
                                             DIVERT_MODE_XDP_GENERIC};

    (void)state;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        assert_int_equal(attach(modes[i]), 0);
        assert_int_equal(chosen, modes[i]);
        assert_diverts(true);
        rig_shell(0, "test $(tc filter show dev v0 ingress | grep -c lockstep_) = 1");
        if (modes[i] == DIVERT_MODE_TC)
            rig_shell(0, "! ip -d link show dev v0 | grep -q lockstep_");
    }
}

static void auto_says_why(void **state)
{
    (void)state;
    assert_int_equal(attach(DIVERT_MODE_AUTO), 0);
    assert_int_equal(chosen, DIVERT_MODE_TC);
    assert_non_null(strstr(why, "segmentation"));
}

static void missing_interfaces_are_refused(void **state)
{
    (void)state;
    assert_true(divert_attach(rig.divert, 9999, DIVERT_MODE_AUTO, &chosen, &why) < 0);
    assert_true(divert_attach(rig.divert, 9999, DIVERT_MODE_TC, &chosen, &why) < 0);
}

static void modes_have_names(void **state)
{
    enum divert_mode mode;

    (void)state;
    for (int i = DIVERT_MODE_AUTO; i <= DIVERT_MODE_TC; i++) {
        assert_int_equal(divert_mode_parse(divert_mode_name((enum divert_mode)i), &mode), 0);
        assert_int_equal(mode, i);
    }
    assert_int_equal(divert_mode_parse("xdp", &mode), LOCKSTEP_E_UNKNOWN_NAME);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(foreign_xdp_is_respected),       TEST(foreign_tc_filters_stay),
        TEST(modes_replace_each_other),       TEST(auto_says_why),
        TEST(missing_interfaces_are_refused), cmocka_unit_test(modes_have_names),
    };

    if (!rig_possible()) {
        puts("1..0 # SKIP needs root and network namespaces");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
