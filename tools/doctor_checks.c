/* SPDX-License-Identifier: BSD-2-Clause */
/* What `lockstep doctor` says. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/units.h"
#include "platform/counters.h"
#include "tools/clock.h"
#include "tools/doctor.h"
#include "tools/preload.h"
#include "tools/report.h"

#define KERNEL_MAJOR  6
#define KERNEL_MINOR  1
#define CLOCK_GOOD_NS 100000
#define TSC_LIMIT     1000 /* ticks */
#define FILES_LOW     4096
#define CHAINS_NAMED  4
#define XDP_BASIC     1 /* NETDEV_XDP_ACT_BASIC */

/* ---- kernel ---- */

void doctor_check_kernel(const struct host_facts *facts, struct findings *findings)
{
    if (facts->kernel_major < KERNEL_MAJOR ||
        (facts->kernel_major == KERNEL_MAJOR && facts->kernel_minor < KERNEL_MINOR))
        finding_advise(findings_add(findings, "kernel", FINDING_PROBLEM, "Linux %s", facts->kernel),
                       "lockstep-netd needs 6.1: the divert cannot be loaded.", "boot kernel 6.1 or newer");
    else
        findings_add(findings, "kernel", FINDING_OK, "Linux %s", facts->kernel);
    if (facts->bpf_jit == HOST_SWITCH_OFF)
        finding_advise(findings_add(findings, "kernel", FINDING_WARNING, "eBPF programs are interpreted"),
                       "Every packet of the accelerated interfaces takes several times as long in the divert.",
                       "sysctl net.core.bpf_jit_enable=1");
    if (access("/dev/net/tun", F_OK) < 0)
        finding_advise(
            findings_add(findings, "kernel", FINDING_PROBLEM, "there is no /dev/net/tun"),
            "The guarded injector cannot be made: only programs that may use the direct one are accelerated.",
            "modprobe tun; echo tun > /etc/modules-load.d/tun.conf");
    if (strcmp(facts->huge_pages, "always") == 0)
        finding_advise(findings_add(findings, "huge pages", FINDING_NOTE, "transparent huge pages: always"),
                       "The kernel may stop a program for milliseconds to compact memory for them.",
                       "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
}

/* ---- cores ---- */

void doctor_check_cores(const struct host_facts *facts, bool irqbalance, struct findings *findings)
{
    if (facts->cores == 1)
        finding_advise(findings_add(findings, "cores", FINDING_WARNING, "there is one core"),
                       "A program that spins takes it from the interrupts and from all others.",
                       "use the profile frugal (lockstep run --profile frugal)");
    else if (facts->isolated_cores[0])
        findings_add(findings, "cores", FINDING_OK, "%u cores, isolated: %s", facts->cores, facts->isolated_cores);
    else
        finding_advise(
            findings_add(findings, "cores", FINDING_NOTE, "%u cores, none of them isolated", facts->cores),
            "Other work may take the core of a program that waits for a packet, for a time slice.",
            "isolcpus=, nohz_full= and rcu_nocbs= on the kernel's command line, and taskset for the program");
    if (facts->multi_thread == HOST_SWITCH_ON)
        finding_advise(findings_add(findings, "cores", FINDING_NOTE, "two threads share a core (SMT)"),
                       "A thread that spins slows its neighbour down by a third or so.",
                       "give each spinning program a core of its own, or nosmt on the kernel's command line");
    if (facts->virtual_machine)
        finding_advise(findings_add(findings, "cores", FINDING_NOTE, "this is a virtual machine"),
                       "The host may take a core away for milliseconds; nothing in here can prevent it.",
                       "pin the machine's virtual cores on the host");
    if (irqbalance)
        finding_advise(
            findings_add(findings, "interrupts", FINDING_WARNING, "irqbalance moves interrupts between cores"),
            "An interface's interrupts may come to the core of a program that spins.",
            "systemctl disable --now irqbalance, or IRQBALANCE_BANNED_CPULIST in /etc/default/irqbalance");
}

/* ---- counter ---- */

void doctor_check_tsc(struct findings *findings)
{
    struct platform_tsc_skew skew;
    char source[32];
    enum platform_tsc_verdict verdict = platform_tsc_verdict(source);

    if (!platform_tsc_invariant())
        finding_advise(findings_add(findings, "tsc", FINDING_WARNING, "the counter does not run at one rate"),
                       "The clock falls back to CLOCK_MONOTONIC_RAW, which may cost a system call a reading.",
                       "on a virtual machine: pass invtsc through to the guest");
    else if (verdict == PLATFORM_TSC_REJECTED)
        finding_advise(
            findings_add(findings, "tsc", FINDING_WARNING, "the kernel found it unstable and uses %s", source),
            "The clock falls back to CLOCK_MONOTONIC_RAW; every reading of the time is a system call.",
            "dmesg | grep -i tsc says why; firmware that changes the counter needs an update");
    else if (platform_tsc_compare(TSC_LIMIT, &skew) < 0 || skew.apart)
        finding_advise(
            findings_add(findings, "tsc", FINDING_WARNING, "cores differ by %" PRIu64 " ticks", skew.skew_ticks),
            "Times of different cores do not compare to better than that.", "update the firmware");
    else if (verdict == PLATFORM_TSC_AVAILABLE)
        finding_advise(
            findings_add(findings, "tsc", FINDING_NOTE, "the kernel uses %s, but would take the TSC", source),
            "The clock is fast; the programs' clock_gettime is slower than it could be.",
            "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource");
    else
        findings_add(findings, "tsc", FINDING_OK, "invariant, used by the kernel, equal on all cores");
}

/* ---- limits ---- */

void doctor_check_limits(struct findings *findings)
{
    struct rlimit files;
    char library[PATH_MAX];

    getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < FILES_LOW)
        finding_advise(
            findings_add(findings, "limits", FINDING_NOTE, "this user's programs may open %ju files, at most %ju",
                         (uintmax_t)files.rlim_cur, (uintmax_t)files.rlim_max),
            "An accelerated socket is a descriptor, as any other; a server of many connections needs more.",
            "ulimit -n %ju, LimitNOFILE= in its unit, or /etc/security/limits.conf", (uintmax_t)files.rlim_max);
    else
        findings_add(findings, "limits", FINDING_OK, "%ju files", (uintmax_t)files.rlim_cur);
    if (preload_find(PRELOAD_LIBRARY, library, sizeof library) < 0)
        finding_advise(findings_add(findings, "installation", FINDING_PROBLEM, "there is no " PRELOAD_LIBRARY),
                       "lockstep run starts every program on the kernel's stack.", "install Lockstep again");
    else
        findings_add(findings, "installation", FINDING_OK, "%.300s", library);
}

/* ---- other programs at the interface ---- */

static const char *program_label(const struct doctor_program *program, char text[128])
{
    if (!program->name[0])
        snprintf(text, 128, "program %u (its name needs root)", program->id);
    else if (program->id)
        snprintf(text, 128, "%s (program %u)", program->name, program->id);
    else
        snprintf(text, 128, "a filter of kind %s", program->name);
    return text;
}

static void check_program(const char *interface, const struct doctor_program *program, struct findings *findings)
{
    char label[128];

    program_label(program, label);
    switch (program->place) {
    case DOCTOR_XDP:
        /* Without root its name is not known: it may be Lockstep's own. */
        if (!program->name[0])
            finding_advise(findings_add(findings, "programs", FINDING_NOTE, "%s: at XDP: %s", interface, label), "",
                           "lockstep doctor as root says whose it is");
        else
            finding_advise(
                findings_add(findings, "programs", FINDING_WARNING, "%s: at XDP: %s", interface, label),
                "The divert leaves it alone and is attached at tc, which is slower; what it drops or redirects "
                "never reaches an accelerated program.",
                "ip link set dev %s xdp off, if it is not needed", interface);
        break;
    case DOCTOR_TCX:
        finding_advise(findings_add(findings, "programs", FINDING_WARNING, "%s: at tcx: %s", interface, label),
                       "It comes before tc: what it takes never reaches a divert that is attached there.",
                       "bpftool net detach tcx_ingress dev %s, if it is not needed", interface);
        break;
    case DOCTOR_TC_INGRESS:
        finding_advise(
            findings_add(findings, "programs", FINDING_WARNING, "%s: at tc ingress, priority %u: %s", interface,
                         program->priority, label),
            "Filters of a lower priority number than Lockstep's come first and may take packets from it; later "
            "ones do not see what is diverted.",
            "tc filter show dev %s ingress; give it a number above Lockstep's", interface);
        break;
    case DOCTOR_TC_EGRESS:
        finding_advise(findings_add(findings, "programs", FINDING_NOTE, "%s: at tc egress, priority %u: %s", interface,
                                    program->priority, label),
                       "It sees what accelerated programs send as packets that have no socket.",
                       "tc filter show dev %s egress", interface);
        break;
    }
}

void doctor_check_programs(const char *interface, const struct doctor_programs *programs, struct findings *findings)
{
    for (size_t i = 0; i < programs->count; i++)
        check_program(interface, &programs->list[i], findings);
    if (programs->count == 0)
        findings_add(findings, "programs", FINDING_OK, "%s: %s", interface,
                     programs->incomplete ? "none that can be seen without root" : "no others at XDP and tc");
}

/* ---- driver ---- */

void doctor_check_driver(const struct host_interface *interface, bool known, uint64_t features,
                         struct findings *findings)
{
    const char *driver = interface->driver[0] ? interface->driver : "unknown";

    if (known && !(features & XDP_BASIC))
        finding_advise(
            findings_add(findings, "driver", FINDING_NOTE, "%s: driver %s has no native XDP", interface->name, driver),
            "The kernel makes a packet of its own of each arrival before the divert sees it.",
            "a card whose driver has it: igb, igc, ixgbe, i40e, ice, mlx5, virtio_net");
    else
        findings_add(findings, "driver", FINDING_OK, "%s: driver %s%s", interface->name, driver,
                     known ? ", native XDP" : "");
}

/* ---- firewall ---- */

static void check_chains(const struct doctor_firewall *firewall, bool output, bool diverting, struct findings *findings)
{
    char names[300] = "";
    unsigned rules = 0, chains = 0, dropping = 0;

    for (size_t i = 0; i < firewall->count; i++) {
        const struct doctor_chain *chain = &firewall->list[i];
        size_t used = strlen(names);

        if (chain->output != output)
            continue;
        if (chains < CHAINS_NAMED)
            snprintf(names + used, sizeof names - used, "%s%s", chains ? ", " : "", chain->name);
        chains++;
        dropping += chain->drops;
        rules += chain->rules;
    }
    if (chains == 0)
        return;
    finding_advise(
        findings_add(findings, "firewall", diverting ? FINDING_WARNING : FINDING_NOTE, "%s: %u rule%s%s in %s%s",
                     output ? "outgoing" : "incoming", rules, rules == 1 ? "" : "s",
                     dropping ? " and a policy to drop" : "", names, chains > CHAINS_NAMED ? ", ..." : ""),
        output ? "What accelerated programs send does not pass them."
               : "Packets of accelerated sockets do not pass them: whoever these rules keep out can reach them. "
                 "Everything else is filtered as before.",
        "let the network's firewall do it, or keep such programs with the kernel (deny-users in netd.conf)");
}

void doctor_check_firewall(const struct doctor_firewall *firewall, bool diverting, struct findings *findings)
{
    if (firewall->err == -EPERM || firewall->err == -EACCES)
        finding_advise(findings_add(findings, "firewall", FINDING_NOTE, "not known: only root may ask for it"), "",
                       "lockstep doctor as root");
    else if (firewall->err < 0)
        findings_add(findings, "firewall", FINDING_NOTE, "not known: %s", error_text(firewall->err));
    else if (firewall->count == 0)
        findings_add(findings, "firewall", FINDING_OK, "no rules that the divert would go around");
    check_chains(firewall, false, diverting, findings);
    check_chains(firewall, true, diverting, findings);
}

/* ---- service ---- */

static void check_attachment(struct json_object *interface, struct findings *findings)
{
    const char *name = report_text(interface, "name"), *mode = report_text(interface, "mode");
    const char *why = report_text(interface, "why");

    if (strcmp(mode, "not attached") == 0)
        finding_advise(findings_add(findings, "divert", FINDING_PROBLEM, "%s: not attached: %s", name, why),
                       "Sockets on this interface stay with the kernel.", "journalctl -u lockstep-netd");
    else if (strcmp(mode, "xdp-generic") == 0)
        finding_advise(findings_add(findings, "divert", FINDING_NOTE, "%s: %s: %s", name, mode, why),
                       "The kernel has made a packet out of what arrived before the divert sees it.",
                       "a card whose driver knows native XDP");
    else
        findings_add(findings, "divert", FINDING_OK, "%s: %s: %s", name, mode, why);
    if (!report_number(interface, "up"))
        finding_advise(findings_add(findings, "divert", FINDING_WARNING, "%s is down", name), "",
                       "ip link set dev %s up; cable, switch", name);
}

static void check_lanes(struct json_object *status, struct findings *findings)
{
    for (size_t i = 0; i < report_count(status, "lanes"); i++) {
        struct json_object *lane = report_element(status, "lanes", i);
        uint64_t lost = report_number(lane, "overruns");
        char text[UNITS_TEXT_MAX];

        if (lost > 0)
            finding_advise(findings_add(findings, "lanes", FINDING_WARNING,
                                        "process %" PRIu64 " (%.100s) has lost %s packets: its ring was full",
                                        report_number(lane, "pid"), report_text(lane, "program"),
                                        units_format_count(lost, text)),
                           "It did not read for longer than its ring lasts; TCP repeats them, datagrams are gone.",
                           "a larger ring (ring in its profile), or a core of its own");
    }
}

static void check_totals(struct json_object *status, struct findings *findings)
{
    static const struct {
        const char *key, *text, *consequence, *remedy;
    } totals[] = {
        {"nexthops_unresolved", "next hops have no MAC address", "What is sent to them waits or is lost.",
         "ip neigh; are the hosts up, and in this network?"},
        {"migrations_failed", "connections could not be moved to the kernel", "They were reset.",
         "journalctl -u lockstep-netd"},
        {"abandoned_descriptors", "descriptors would not close", "Their ports stay reserved.",
         "journalctl -u lockstep-netd"},
    };
    struct json_object *counts = report_member(status, "totals");

    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
        uint64_t count = report_number(counts, totals[i].key);

        if (count > 0)
            finding_advise(findings_add(findings, "service", FINDING_WARNING, "%" PRIu64 " %s", count, totals[i].text),
                           totals[i].consequence, "%s", totals[i].remedy);
    }
}

void doctor_check_service(const struct doctor_service *service, struct findings *findings)
{
    const char *version = report_text(service->status, "version");

    if (service->err < 0) {
        finding_advise(findings_add(findings, "service", FINDING_PROBLEM, "lockstep-netd at %s cannot be asked: %s",
                                    service->dir, error_text(service->err)),
                       "Programs run on the kernel's stack.",
                       "systemctl enable --now lockstep-netd, with interfaces in /etc/lockstep/netd.conf");
        return;
    }
    if (strcmp(version, LOCKSTEP_VERSION) != 0)
        finding_advise(findings_add(findings, "service", FINDING_WARNING, "lockstep-netd is version %s, this is %s",
                                    version, LOCKSTEP_VERSION),
                       "Programs that are started now may not find what they need.", "systemctl restart lockstep-netd");
    else
        findings_add(findings, "service", FINDING_OK, "lockstep-netd %s", version);
    for (size_t i = 0; i < report_count(service->status, "interfaces"); i++)
        check_attachment(report_element(service->status, "interfaces", i), findings);
    check_lanes(service->status, findings);
    check_totals(service->status, findings);
}

/* ---- clock ---- */

static void check_time(const struct doctor_clock *clock, struct findings *findings)
{
    char bound[CLOCK_TEXT_MAX];
    bool good = clock->gives_time && clock->bound_ns <= CLOCK_GOOD_NS && strcmp(clock->status, "synchronised") == 0;

    if (good)
        findings_add(findings, "clock", FINDING_OK, "%s within %s, counter %s", clock->status,
                     clock_ns((double)clock->bound_ns, bound), clock->counter);
    else if (clock->gives_time)
        finding_advise(findings_add(findings, "clock", FINDING_WARNING, "%s within %s", clock->status,
                                    clock_ns((double)clock->bound_ns, bound)),
                       "Times of two nodes compare no better than their bounds.",
                       "lockstep clock sources; a nearer server, or a shorter poll-max (clockd.conf)");
    else
        finding_advise(findings_add(findings, "clock", FINDING_PROBLEM, "%s", clock->status),
                       "Programs that ask for the time get none.", "lockstep clock sources shows why");
    if (strcmp(clock->counter, "monotonic_raw") == 0)
        finding_advise(findings_add(findings, "clock", FINDING_NOTE, "the counter is CLOCK_MONOTONIC_RAW, not the TSC"),
                       "A reading takes longer.", "lockstep clock status --json says why (daemon, counter, why)");
}

static void check_sources(struct json_object *sources, struct findings *findings)
{
    size_t count = report_count(sources, "sources");
    bool selected = false;

    for (size_t i = 0; i < count; i++) {
        struct json_object *source = report_element(sources, "sources", i);
        const char *name = report_text(source, "name"), *state = report_text(source, "state");

        selected |= strcmp(state, "selected") == 0;
        if (strcmp(state, "falseticker") == 0)
            finding_advise(
                findings_add(findings, "clock", FINDING_WARNING, "source %s disagrees with the others", name),
                "It is not used.", "correct that server's time, or remove it from clockd.conf");
        else if (strcmp(state, "unreachable") == 0 || strcmp(state, "stopped") == 0)
            finding_advise(findings_add(findings, "clock", FINDING_WARNING, "source %s is %s", name, state),
                           "It is not used.", "is UDP port 123 open? journalctl -u lockstep-clockd");
    }
    if (count > 0 && !selected)
        finding_advise(findings_add(findings, "clock", FINDING_WARNING, "no source is selected"),
                       "The error bound grows.", "lockstep clock sources");
}

void doctor_check_clock(const struct doctor_clock *clock, const char *steering, struct findings *findings)
{
    if (clock->err < 0) {
        finding_advise(findings_add(findings, "clock", FINDING_PROBLEM, "%.200s: %s", clock->path,
                                    lockstep_clock_error_text(clock->err)),
                       "There is no common time on this node.",
                       "systemctl enable --now lockstep-clockd, with sources in /etc/lockstep/clockd.conf");
        return;
    }
    check_time(clock, findings);
    if (!clock->daemon)
        finding_advise(findings_add(findings, "clock", FINDING_PROBLEM, "lockstep-clockd does not answer"),
                       "The bound grows until the time is void.", "systemctl status lockstep-clockd");
    check_sources(clock->sources, findings);
    if (report_number(clock->daemon, "disciplining") && steering[0])
        finding_advise(
            findings_add(findings, "clock", FINDING_WARNING, "%s steers the system's clock as well", steering),
            "The two pull against each other; the Lockstep clock itself is not touched.",
            "stop %s, or discipline = no in clockd.conf", steering);
}
