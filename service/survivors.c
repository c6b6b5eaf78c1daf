/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/survivors.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"

/* Field 22 of /proc/PID/stat. */
unsigned long long survivors_start_time(pid_t pid)
{
    char path[40], line[1024];
    unsigned long long value = 0;
    const char *p;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (!file)
        return 0;
    p = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL; /* the name may hold anything */
    fclose(file);
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    if (p)
        sscanf(p, "%llu", &value);
    return value;
}

static bool is_alive(const struct survivor *owner)
{
    return owner->started != 0 && survivors_start_time(owner->pid) == owner->started;
}

void survivors_load(struct survivors *survivors, const char *dir)
{
    char path[128], line[128];
    FILE *file;

    memset(survivors, 0, sizeof(*survivors));
    snprintf(path, sizeof(path), "%s/lanes", dir);
    file = fopen(path, "re");
    if (!file)
        return;
    while (fgets(line, sizeof(line), file)) {
        struct survivor owner;
        unsigned lane;

        if (sscanf(line, "%u %d %llu %u", &lane, &owner.pid, &owner.started, &owner.device) != 4 ||
            lane >= DIVERT_MAX_LANES || owner.pid <= 0 || survivors->owner[lane].pid || !is_alive(&owner))
            continue;
        survivors->owner[lane] = owner;
        survivors->count++;
    }
    fclose(file);
}

void survivors_store(const char *dir, const struct survivor owner[DIVERT_MAX_LANES])
{
    char path[128], temporary[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/lanes", dir);
    snprintf(temporary, sizeof(temporary), "%s/lanes.new", dir);
    file = fopen(temporary, "we");
    if (!file) {
        log_warning("survivors: cannot write %s: %s", temporary, error_text(-errno));
        return;
    }
    for (unsigned lane = 0; lane < DIVERT_MAX_LANES; lane++) {
        if (owner[lane].pid)
            fprintf(file, "%u %d %llu %u\n", lane, (int)owner[lane].pid, owner[lane].started, owner[lane].device);
    }
    if (fclose(file) != 0 || rename(temporary, path) < 0)
        log_warning("survivors: cannot write %s: %s", path, error_text(-errno));
}

bool survivors_owns(const struct survivors *survivors, uint32_t lane, const struct survivor *process)
{
    const struct survivor *owner = &survivors->owner[lane];

    return owner->pid > 0 && owner->pid == process->pid && owner->started == process->started;
}

void survivors_prune(struct survivors *survivors)
{
    for (uint32_t lane = 0; lane < DIVERT_MAX_LANES && survivors->count > 0; lane++) {
        if (survivors->owner[lane].pid && !is_alive(&survivors->owner[lane]))
            survivors_remove(survivors, lane);
    }
}

void survivors_remove(struct survivors *survivors, uint32_t lane)
{
    if (!survivors->owner[lane].pid)
        return;
    survivors->owner[lane] = (struct survivor){0};
    survivors->count--;
}
