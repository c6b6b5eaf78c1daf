/* SPDX-License-Identifier: BSD-2-Clause */
/* What is to be said about a machine's facts. Pure. */
#include <string.h>

#include "platform/host_facts.h"

#define SLOW_IDLE_US 50 /* a core that sleeps this deep wakes up late */

static void judge_governor(const struct host_facts *facts, struct findings *findings)
{
    if (facts->slow_governors == 0) {
        findings_add(findings, "governor", FINDING_OK, "%s",
                     facts->governor[0] ? facts->governor : "none: the firmware or the hypervisor sets the frequency");
        return;
    }
    finding_advise(findings_add(findings, "governor", FINDING_WARNING, "%s on %u core%s", facts->governor,
                                facts->slow_governors, facts->slow_governors == 1 ? "" : "s"),
                   "Cores change their frequency: tens of microseconds now and then, and slow cores after a pause.",
                   "cpupower frequency-set -g performance");
}

static void judge_idle_states(const struct host_facts *facts, struct findings *findings)
{
    if (facts->idle_us <= SLOW_IDLE_US) {
        findings_add(findings, "idle states", FINDING_OK, "cores wake up within %u us", facts->idle_us);
        return;
    }
    finding_advise(findings_add(findings, "idle states", FINDING_WARNING, "state %s takes %u us to leave",
                                facts->idle_state, facts->idle_us),
                   "The first packet after a pause waits that long, unless the program spins.",
                   "hold /dev/cpu_dma_latency open at 0 (tuned-adm profile network-latency does), or disable the state "
                   "under /sys/devices/system/cpu/cpu*/cpuidle");
}

void host_facts_judge(const struct host_facts *facts, struct findings *findings)
{
    judge_governor(facts, findings);
    judge_idle_states(facts, findings);
}

/* ---- interfaces ---- */

/* Interrupts on cores that were set apart for programs. */
static void judge_interrupts(const struct host_facts *facts, const struct host_interface *interface,
                             struct findings *findings)
{
    char text[300];

    for (size_t i = 0; facts->isolated_cores[0] && i < interface->interrupt_count; i++) {
        for (unsigned core = 0; core < 1024; core++) {
            if (!host_cores_contain(interface->interrupt[i].cores, core) ||
                !host_cores_contain(facts->isolated_cores, core))
                continue;
            finding_advise(findings_add(findings, "interrupts", FINDING_WARNING,
                                        "%s: interrupt %u may come on core %u, which is isolated", interface->name,
                                        interface->interrupt[i].number, core),
                           "It interrupts the program that has the core to itself.",
                           "echo CORES > /proc/irq/%u/smp_affinity_list, with cores that are not isolated",
                           interface->interrupt[i].number);
            return;
        }
    }
    findings_add(findings, "interrupts", FINDING_OK, "%s: %s", interface->name,
                 host_interrupts_text(interface, text, sizeof text));
}

static void judge_offloads(const struct host_interface *interface, struct findings *findings)
{
    const struct {
        const char *what, *option, *consequence;
        enum host_switch state;
    } wanted[] = {
        {"segmentation (tso)", "tso", "Each large write costs a packet's work for every 1448 bytes.",
         interface->segmentation},
        {"merging of received packets (gro)", "gro", "Bulk streams cost the work of every single packet.",
         interface->receive_merge},
        {"checksums of sent packets (tx)", "tx", "The CPU sums every packet that is sent; segmentation is off with it.",
         interface->send_checksum},
    };
    bool good = true;

    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (wanted[i].state != HOST_SWITCH_OFF)
            continue;
        good = false;
        finding_advise(
            findings_add(findings, "offloads", FINDING_WARNING, "%s: %s is off", interface->name, wanted[i].what),
            wanted[i].consequence, "ethtool -K %s %s on", interface->name, wanted[i].option);
    }
    if (interface->large_receive == HOST_SWITCH_ON) {
        good = false;
        finding_advise(
            findings_add(findings, "offloads", FINDING_WARNING, "%s: large receive (lro) is on", interface->name),
            "The driver refuses XDP, so the divert is attached in a slower way.", "ethtool -K %s lro off",
            interface->name);
    }
    if (good)
        findings_add(findings, "offloads", interface->segmentation ? FINDING_OK : FINDING_NOTE, "%s: %s",
                     interface->name,
                     interface->segmentation ? "segmentation, merging and checksums are on"
                                             : "the driver does not say what it does by itself");
}

static void judge_coalescing(const struct host_interface *interface, struct findings *findings)
{
    const char *consequence = "An arrival waits that long for others to be announced together with it.";

    if (interface->adaptive == HOST_SWITCH_ON)
        finding_advise(findings_add(findings, "interrupt coalescing", FINDING_WARNING,
                                    "%s adapts how long it holds arrivals back, at present %u us", interface->name,
                                    interface->hold_back_us),
                       consequence, "ethtool -C %s adaptive-rx off rx-usecs 0", interface->name);
    else if (interface->hold_back_us > 0)
        finding_advise(findings_add(findings, "interrupt coalescing", FINDING_WARNING,
                                    "%s holds arrivals back for up to %u us", interface->name, interface->hold_back_us),
                       consequence, "ethtool -C %s rx-usecs 0", interface->name);
}

void host_interface_judge(const struct host_facts *facts, const struct host_interface *interface,
                          struct findings *findings)
{
    judge_interrupts(facts, interface, findings);
    judge_offloads(interface, findings);
    judge_coalescing(interface, findings);
}
