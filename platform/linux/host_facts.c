/* SPDX-License-Identifier: BSD-2-Clause */
/* Facts of the machine out of /proc and /sys (Documentation/ABI/ in the kernel's source; proc(5)). */
#include "platform/host_facts.h"

#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/linux/host_files.h"

#define CPUS "/sys/devices/system/cpu/"

const char *host_file_line(const char *root, const char *path, char *text, size_t size)
{
    char full[PATH_MAX];
    FILE *file;

    text[0] = '\0';
    if ((size_t)snprintf(full, sizeof full, "%s%s", root, path) >= sizeof full)
        return text;
    file = fopen(full, "re");
    if (!file)
        return text;
    if (fgets(text, (int)size, file))
        text[strcspn(text, "\n")] = '\0';
    fclose(file);
    return text;
}

static enum host_switch read_switch(const char *root, const char *path)
{
    char line[16];

    host_file_line(root, path, line, sizeof line);
    return !line[0] ? HOST_SWITCH_UNKNOWN : strcmp(line, "0") == 0 ? HOST_SWITCH_OFF : HOST_SWITCH_ON;
}

static void read_cpu(const char *root, struct host_facts *facts)
{
    char path[PATH_MAX], line[4096];
    FILE *file;

    snprintf(path, sizeof path, "%s/proc/cpuinfo", root);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        if (facts->cpu[0] == '\0')
            sscanf(line, "model name : %127[^\n]", facts->cpu);
        facts->cores += strncmp(line, "processor\t", 10) == 0;
        if (strncmp(line, "flags\t", 6) == 0 && strstr(line, " hypervisor"))
            facts->virtual_machine = true;
    }
    if (file)
        fclose(file);
}

/* "always [madvise] never" */
static void read_huge_pages(const char *root, struct host_facts *facts)
{
    char line[64];
    const char *chosen;

    host_file_line(root, "/sys/kernel/mm/transparent_hugepage/enabled", line, sizeof line);
    chosen = strchr(line, '[');
    if (chosen)
        snprintf(facts->huge_pages, sizeof facts->huge_pages, "%.*s", (int)strcspn(chosen + 1, "]"), chosen + 1);
}

/* Calls `each` with every path that the pattern below root finds, without root. */
static void for_each_path(const char *root, const char *pattern, struct host_facts *facts,
                          void (*each)(const char *root, const char *path, struct host_facts *facts))
{
    char full[PATH_MAX];
    glob_t found;

    snprintf(full, sizeof full, "%s%s", root, pattern);
    if (glob(full, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        each(root, found.gl_pathv[i] + strlen(root), facts);
    globfree(&found);
}

static void take_governor(const char *root, const char *path, struct host_facts *facts)
{
    char governor[32];
    bool slow;

    if (!*host_file_line(root, path, governor, sizeof governor))
        return;
    slow = strcmp(governor, "performance") != 0;
    if (facts->governor[0] == '\0' || (slow && facts->slow_governors == 0))
        strcpy(facts->governor, governor);
    facts->slow_governors += slow;
}

static void take_idle_state(const char *root, const char *directory, struct host_facts *facts)
{
    char path[PATH_MAX], line[32];
    unsigned us;

    snprintf(path, sizeof path, "%s/disable", directory);
    if (strcmp(host_file_line(root, path, line, sizeof line), "1") == 0)
        return;
    snprintf(path, sizeof path, "%s/latency", directory);
    us = (unsigned)strtoul(host_file_line(root, path, line, sizeof line), NULL, 10);
    if (us <= facts->idle_us)
        return;
    facts->idle_us = us;
    snprintf(path, sizeof path, "%s/name", directory);
    host_file_line(root, path, facts->idle_state, sizeof facts->idle_state);
}

void host_facts_read(const char *root, struct host_facts *facts)
{
    memset(facts, 0, sizeof *facts);
    host_file_line(root, "/proc/sys/kernel/hostname", facts->host, sizeof facts->host);
    host_file_line(root, "/proc/sys/kernel/osrelease", facts->kernel, sizeof facts->kernel);
    sscanf(facts->kernel, "%u.%u", &facts->kernel_major, &facts->kernel_minor);
    read_cpu(root, facts);
    host_file_line(root, "/sys/devices/system/clocksource/clocksource0/current_clocksource", facts->clock_source,
                   sizeof facts->clock_source);
    host_file_line(root, CPUS "isolated", facts->isolated_cores, sizeof facts->isolated_cores);
    read_huge_pages(root, facts);
    for_each_path(root, CPUS "cpu[0-9]*/cpufreq/scaling_governor", facts, take_governor);
    for_each_path(root, CPUS "cpu[0-9]*/cpuidle/state*", facts, take_idle_state);
    facts->multi_thread = read_switch(root, CPUS "smt/active");
    facts->bpf_jit = read_switch(root, "/proc/sys/net/core/bpf_jit_enable");
}
