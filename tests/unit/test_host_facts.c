/* SPDX-License-Identifier: BSD-2-Clause */
/* Facts of a machine that is a directory of files, and what is said about them. */
#include "platform/host_facts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static char root[32];

static int setup(void **state)
{
    (void)state;
    strcpy(root, "/tmp/lockstep-host-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static void run(const char *format, const char *path)
{
    char command[512], arguments[400];

    snprintf(arguments, sizeof arguments, format, path);
    snprintf(command, sizeof command, "cd %s && %s", root, arguments);
    assert_int_equal(system(command), 0);
}

/* A file of the machine. */
static void put(const char *path, const char *text)
{
    char full[256];
    FILE *file;

    run("mkdir -p $(dirname .%s)", path);
    snprintf(full, sizeof full, "%s%s", root, path);
    file = fopen(full, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void a_machine_of_no_files_is_unknown(void **state)
{
    struct host_interface interface;
    struct findings findings = {0};
    struct host_facts facts;

    (void)state;
    host_facts_read(root, &facts);
    assert_int_equal(facts.cores, 0);
    assert_string_equal(facts.kernel, "");
    assert_true(facts.multi_thread == HOST_SWITCH_UNKNOWN && facts.bpf_jit == HOST_SWITCH_UNKNOWN);
    assert_int_equal(host_interface_read(root, "eth0", &interface), -ENODEV);
    host_facts_judge(&facts, &findings);
    assert_int_equal(findings_count(&findings, FINDING_OK), findings.count);
    findings_free(&findings);
}

static void facts_of_the_machine(void **state)
{
    struct host_facts facts;

    (void)state;
    put("/proc/sys/kernel/hostname", "daq7\n");
    put("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
    put("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nflags\t\t: fpu tsc\n\n"
                         "processor\t: 1\nmodel name\t: Some CPU @ 3 GHz\nflags\t\t: fpu hypervisor tsc\n");
    put("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    put("/sys/devices/system/cpu/isolated", "2-3\n");
    put("/sys/devices/system/cpu/smt/active", "1\n");
    put("/proc/sys/net/core/bpf_jit_enable", "0\n");
    host_facts_read(root, &facts);
    assert_string_equal(facts.host, "daq7");
    assert_int_equal(facts.kernel_major, 6);
    assert_int_equal(facts.kernel_minor, 1);
    assert_string_equal(facts.cpu, "Some CPU @ 3 GHz");
    assert_int_equal(facts.cores, 2);
    assert_true(facts.virtual_machine);
    assert_string_equal(facts.huge_pages, "madvise");
    assert_string_equal(facts.isolated_cores, "2-3");
    assert_true(facts.multi_thread == HOST_SWITCH_ON && facts.bpf_jit == HOST_SWITCH_OFF);
}

static void one_slow_core_is_enough(void **state)
{
    struct findings findings = {0};
    struct host_facts facts;

    (void)state;
    put("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n");
    host_facts_read(root, &facts);
    host_facts_judge(&facts, &findings);
    assert_int_equal(findings_count(&findings, FINDING_WARNING), 0);
    findings_free(&findings);
    put("/sys/devices/system/cpu/cpu11/cpufreq/scaling_governor", "powersave\n");
    host_facts_read(root, &facts);
    host_facts_judge(&facts, &findings);
    assert_int_equal(findings_count(&findings, FINDING_WARNING), 1);
    findings_sort(&findings);
    assert_string_equal(findings.list[0].text, "powersave on 1 core");
    findings_free(&findings);
}

static void the_deepest_idle_state_that_is_allowed(void **state)
{
    struct findings findings = {0};
    struct host_facts facts;

    (void)state;
    put("/sys/devices/system/cpu/cpu0/cpuidle/state1/latency", "2\n");
    put("/sys/devices/system/cpu/cpu0/cpuidle/state1/name", "C1\n");
    put("/sys/devices/system/cpu/cpu0/cpuidle/state1/disable", "0\n");
    put("/sys/devices/system/cpu/cpu1/cpuidle/state3/latency", "133\n");
    put("/sys/devices/system/cpu/cpu1/cpuidle/state3/name", "C6\n");
    put("/sys/devices/system/cpu/cpu1/cpuidle/state3/disable", "0\n");
    host_facts_read(root, &facts);
    assert_int_equal(facts.idle_us, 133);
    assert_string_equal(facts.idle_state, "C6");
    host_facts_judge(&facts, &findings);
    assert_int_equal(findings_count(&findings, FINDING_WARNING), 1);
    findings_free(&findings);
    put("/sys/devices/system/cpu/cpu1/cpuidle/state3/disable", "1\n");
    host_facts_read(root, &facts);
    assert_int_equal(facts.idle_us, 2);
    assert_string_equal(facts.idle_state, "C1");
}

static void make_card(void)
{
    put("/sys/devices/pci/virtio3/net/eth0/mtu", "9000\n");
    put("/sys/devices/pci/virtio3/net/eth0/speed", "25000\n");
    put("/sys/devices/pci/virtio3/net/eth0/carrier", "1\n");
    put("/sys/bus/virtio/drivers/virtio_net/uevent", "");
    run("mkdir -p .%s && ln -s ../../devices/pci/virtio3/net/eth0 sys/class/net/eth0", "/sys/class/net");
    run("ln -s ../../../virtio3 .%s/device", "/sys/devices/pci/virtio3/net/eth0");
    run("ln -s ../../../bus/virtio/drivers/virtio_net .%s/driver", "/sys/devices/pci/virtio3");
    put("/proc/interrupts", "           CPU0       CPU1\n"
                            " 38:          0       8663 PCI-MSIX-0000:00:03.0   1-edge      virtio3-input.0\n"
                            " 39:       5998          0 PCI-MSIX-0000:00:03.0   2-edge      eth0-tx\n"
                            " 40:          0          0 PCI-MSIX-0000:00:04.0   0-edge      virtio31-config\n"
                            " 41:          0          0 PCI-MSIX-0000:00:04.0   0-edge      myeth0\n"
                            "LOC:    9761907    9951931   Local timer interrupts of eth0\n");
    put("/proc/irq/38/smp_affinity_list", "1\n");
    put("/proc/irq/39/smp_affinity_list", "0,2-3\n");
    put("/proc/irq/39/effective_affinity_list", "2\n");
    put("/sys/devices/pci/virtio3/local_cpulist", "0-1\n");
}

static void facts_of_an_interface(void **state)
{
    struct host_interface interface;
    char text[200];

    (void)state;
    make_card();
    assert_int_equal(host_interface_read(root, "eth0", &interface), 0);
    assert_false(interface.is_virtual);
    assert_true(interface.up);
    assert_string_equal(interface.driver, "virtio_net");
    assert_string_equal(interface.speed_mbit, "25000");
    assert_int_equal(interface.mtu, 9000);
    assert_string_equal(host_interrupts_text(&interface, text, sizeof text), "38 on core 1, 39 on core 0,2-3");
    assert_string_equal(interface.interrupt[0].comes_to, "1");
    assert_string_equal(interface.interrupt[1].comes_to, "2");
    assert_string_equal(interface.near_cores, "0-1");
    assert_true(interface.segmentation == HOST_SWITCH_UNKNOWN);
    assert_int_equal(host_interface_read(root, "../../proc", &interface), -ENODEV);
    assert_int_equal(host_interface_read(root, "", &interface), -ENODEV);
}

static void interrupts_on_isolated_cores(void **state)
{
    struct host_facts facts = {.isolated_cores = "2"};
    struct host_interface interface;
    struct findings findings = {0};

    (void)state;
    make_card();
    assert_int_equal(host_interface_read(root, "eth0", &interface), 0);
    host_interface_judge(&facts, &interface, &findings);
    assert_int_equal(findings_count(&findings, FINDING_WARNING), 1);
    assert_string_equal(findings.list[0].text, "eth0: interrupt 39 may come on core 2, which is isolated");
    findings_free(&findings);
}

static void each_offload_has_its_remedy(void **state)
{
    const struct host_facts facts = {0};
    struct host_interface interface = {.name = "eth0",
                                       .segmentation = HOST_SWITCH_OFF,
                                       .receive_merge = HOST_SWITCH_OFF,
                                       .send_checksum = HOST_SWITCH_OFF,
                                       .large_receive = HOST_SWITCH_ON,
                                       .hold_back_us = 8};
    static const char *const remedies[] = {"ethtool -K eth0 tso on", "ethtool -K eth0 gro on", "ethtool -K eth0 tx on",
                                           "ethtool -K eth0 lro off", "ethtool -C eth0 rx-usecs 0"};
    struct findings findings = {0};

    (void)state;
    host_interface_judge(&facts, &interface, &findings);
    findings_sort(&findings);
    assert_int_equal(findings_count(&findings, FINDING_WARNING), 5);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(findings.list[i].remedy, remedies[i]);
        assert_true(findings.list[i].consequence[0] != '\0');
    }
    findings_free(&findings);
    interface = (struct host_interface){.name = "eth0",
                                        .segmentation = HOST_SWITCH_ON,
                                        .receive_merge = HOST_SWITCH_ON,
                                        .send_checksum = HOST_SWITCH_ON,
                                        .adaptive = HOST_SWITCH_ON};
    host_interface_judge(&facts, &interface, &findings);
    findings_sort(&findings);
    assert_int_equal(findings_count(&findings, FINDING_WARNING), 1);
    assert_non_null(strstr(findings.list[0].remedy, "adaptive-rx off"));
    findings_free(&findings);
}

static void lists_of_cores(void **state)
{
    (void)state;
    assert_true(host_cores_contain("0", 0));
    assert_true(host_cores_contain("0-3,6,8-9", 9));
    assert_true(host_cores_contain("0-3,6,8-9", 6));
    assert_false(host_cores_contain("0-3,6,8-9", 7));
    assert_false(host_cores_contain("", 0));
    assert_false(host_cores_contain("-", 0));
    assert_false(host_cores_contain("1-", 0));
}

static void the_worst_come_first(void **state)
{
    struct findings findings = {0};

    (void)state;
    findings_add(&findings, "a", FINDING_OK, "1");
    findings_add(&findings, "b", FINDING_WARNING, "2");
    findings_add(&findings, "c", FINDING_PROBLEM, "3");
    findings_add(&findings, "d", FINDING_WARNING, "4");
    finding_advise(findings_add(&findings, "e", FINDING_NOTE, "%d%%", 5), "so", "do %s", "this");
    findings_sort(&findings);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(findings.list[i].text[0], "32451"[i]);
    assert_string_equal(findings.list[3].remedy, "do this");
    assert_string_equal(finding_state_name(findings.list[0].state), "problem");
    findings_free(&findings);
    assert_int_equal(findings.count, 0);
}

#define ROOT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOT_TEST(a_machine_of_no_files_is_unknown),
        ROOT_TEST(facts_of_the_machine),
        ROOT_TEST(one_slow_core_is_enough),
        ROOT_TEST(the_deepest_idle_state_that_is_allowed),
        ROOT_TEST(facts_of_an_interface),
        ROOT_TEST(interrupts_on_isolated_cores),
        ROOT_TEST(each_offload_has_its_remedy),
        cmocka_unit_test(lists_of_cores),
        cmocka_unit_test(the_worst_come_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
