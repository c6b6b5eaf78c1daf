/* SPDX-License-Identifier: BSD-2-Clause */
/* What `lockstep doctor` says of the cores that accelerated programs run on. */
#include <glob.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/doctor.h"
#include "tools/report.h"

#define ALLOWED "Cpus_allowed_list:"
#define NAMED   4 /* programs, in one finding */

/* ---- reading ---- */

static bool bound_to(const struct doctor_process *process, unsigned core)
{
    for (size_t i = 0; i < process->bound_count; i++) {
        if (process->bound[i] == core)
            return true;
    }
    return false;
}

/* Notes the core if the kernel's list ("3", "0-3,6") is of one. */
static void note_list(struct doctor_process *process, const char *list)
{
    char *end;
    unsigned long core = strtoul(list, &end, 10);

    if (end == list || (*end != '\n' && *end != '\0') || process->bound_count == DOCTOR_BOUND_MAX ||
        bound_to(process, (unsigned)core))
        return;
    process->bound[process->bound_count++] = (unsigned)core;
}

static void read_thread(const char *path, struct doctor_process *process)
{
    FILE *file = fopen(path, "re");
    char line[256];

    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, ALLOWED, strlen(ALLOWED)) == 0)
            note_list(process, line + strlen(ALLOWED) + strspn(line + strlen(ALLOWED), " \t"));
    }
    if (file)
        fclose(file);
}

/* False: it has ended meanwhile. */
static bool read_threads(const char *root, struct doctor_process *process)
{
    char pattern[PATH_MAX];
    glob_t threads;

    snprintf(pattern, sizeof pattern, "%s/proc/%" PRIu64 "/task/*/status", root, process->pid);
    if (glob(pattern, GLOB_NOSORT, NULL, &threads) != 0)
        return false;
    for (size_t i = 0; i < threads.gl_pathc; i++)
        read_thread(threads.gl_pathv[i], process);
    globfree(&threads);
    return true;
}

void doctor_read_placement(const char *root, struct json_object *status, struct doctor_placement *out)
{
    out->count = 0;
    for (size_t i = 0; i < report_count(status, "lanes") && out->count < DOCTOR_LIST_MAX; i++) {
        struct json_object *lane = report_element(status, "lanes", i);
        struct doctor_process *process = &out->list[out->count];
        bool known = false;

        memset(process, 0, sizeof *process);
        process->pid = report_number(lane, "pid");
        snprintf(process->program, sizeof process->program, "%s", report_text(lane, "program"));
        for (size_t j = 0; j < out->count; j++) /* a lane for each interface */
            known |= out->list[j].pid == process->pid;
        if (!known && read_threads(root, process))
            out->count++;
    }
}

/* ---- what is said ---- */

static void check_shared(const struct doctor_placement *placement, struct findings *findings)
{
    const struct doctor_process *list = placement->list;

    for (size_t i = 0; i < placement->count; i++) {
        for (size_t j = i + 1; j < placement->count; j++) {
            for (size_t k = 0; k < list[i].bound_count; k++) {
                if (!bound_to(&list[j], list[i].bound[k]))
                    continue;
                finding_advise(
                    findings_add(findings, "placement", FINDING_WARNING,
                                 "core %u: process %" PRIu64 " (%s) and process %" PRIu64 " (%s) are both bound to it",
                                 list[i].bound[k], list[i].pid, list[i].program, list[j].pid, list[j].program),
                    "While one spins or works the other waits, for milliseconds.",
                    "taskset -a -c -p CORE %" PRIu64 ", or the profile frugal for one of them", list[j].pid);
            }
        }
    }
}

static void check_interrupts(const struct doctor_process *process, const struct host_interface *interface,
                             struct findings *findings)
{
    for (size_t i = 0; i < interface->interrupt_count; i++) {
        const struct host_interrupt *interrupt = &interface->interrupt[i];

        for (size_t k = 0; k < process->bound_count; k++) {
            if (!host_cores_contain(interrupt->comes_to, process->bound[k]))
                continue;
            finding_advise(
                findings_add(findings, "placement", FINDING_WARNING,
                             "%s: interrupt %u comes to core %u, to which process %" PRIu64 " (%s) is bound",
                             interface->name, interrupt->number, process->bound[k], process->pid, process->program),
                "The program stands still while the kernel receives packets, its own and all others'.",
                "echo CORES > /proc/irq/%u/smp_affinity_list, with cores without such programs", interrupt->number);
            return;
        }
    }
}

static void check_distance(const struct doctor_process *process, const struct host_interface *interface,
                           struct findings *findings)
{
    for (size_t k = 0; interface->near_cores[0] && k < process->bound_count; k++) {
        if (host_cores_contain(interface->near_cores, process->bound[k]))
            continue;
        finding_advise(findings_add(findings, "placement", FINDING_WARNING,
                                    "process %" PRIu64 " (%s) is bound to core %u, far from %s", process->pid,
                                    process->program, process->bound[k], interface->name),
                       "Every packet crosses from one processor's memory to the other's.",
                       "taskset -a -c -p CORE %" PRIu64 ", with one of the cores %s", process->pid,
                       interface->near_cores);
        return;
    }
}

static void check_roaming(const struct doctor_placement *placement, struct findings *findings)
{
    char names[300] = "";
    unsigned count = 0;

    for (size_t i = 0; i < placement->count; i++) {
        size_t used = strlen(names);

        if (placement->list[i].bound_count > 0)
            continue;
        if (count < NAMED)
            snprintf(names + used, sizeof names - used, "%sprocess %" PRIu64 " (%s)", count ? ", " : "",
                     placement->list[i].pid, placement->list[i].program);
        count++;
    }
    if (count > 0)
        finding_advise(findings_add(findings, "placement", FINDING_NOTE, "bound to no core: %s%s", names,
                                    count > NAMED ? ", ..." : ""),
                       "The scheduler moves such a program now and then, which takes some microseconds and its caches.",
                       "taskset -c CORE lockstep run -- PROGRAM");
}

void doctor_check_placement(const struct doctor_placement *placement, const struct host_facts *facts,
                            const struct host_interface *interfaces, size_t count, struct findings *findings)
{
    size_t before = findings->count;

    if (facts->cores < 2 || placement->count == 0)
        return;
    check_shared(placement, findings);
    for (size_t i = 0; i < placement->count; i++) {
        for (size_t j = 0; j < count; j++) {
            check_interrupts(&placement->list[i], &interfaces[j], findings);
            check_distance(&placement->list[i], &interfaces[j], findings);
        }
    }
    check_roaming(placement, findings);
    if (findings->count == before)
        findings_add(findings, "placement", FINDING_OK, "%zu accelerated program%s, bound to cores of their own",
                     placement->count, placement->count == 1 ? "" : "s");
}
