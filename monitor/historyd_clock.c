/* SPDX-License-Identifier: BSD-2-Clause */
/* Watches the clock daemon, and the directory that reports of the test bed are put into. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "monitor/clock_client.h"
#include "monitor/historyd.h"
#include "monitor/historyd_sample.h"
#include "platform/platform.h"

#define LOOK_NS   200000000ull
#define RUNS_NS   2000000000ull /* between two looks at the directory */
#define TAKEN_MAX 256           /* files that are remembered */

/* A file that was taken or refused, as it was then. */
struct seen {
    char name[256];
    struct timespec changed;
};

struct watch {
    struct historyd *historyd;
    struct historyd_samples samples;
    struct seen seen[TAKEN_MAX];
    unsigned seen_next;
};

static void sample_clock(struct watch *watch)
{
    const char *dir = watch->historyd->config.runtime_dir;
    struct json_object *status = clock_fetch(dir, "status", true), *sources;
    struct history_item *item;

    if (!status)
        return;
    sources = clock_fetch(dir, "sources", true);
    item = clock_sample(status, sources);
    json_object_put(status);
    json_object_put(sources);
    if (item)
        historyd_put_sample(watch->historyd, &watch->samples, item);
}

/* --- runs --------------------------------------------------------------------------------------------------- */

static bool is_new(struct watch *watch, const char *name, const struct stat *status)
{
    struct seen *seen;

    for (unsigned i = 0; i < TAKEN_MAX; i++) {
        seen = &watch->seen[i];
        if (strcmp(seen->name, name) == 0 && seen->changed.tv_sec == status->st_mtim.tv_sec &&
            seen->changed.tv_nsec == status->st_mtim.tv_nsec)
            return false;
    }
    seen = &watch->seen[watch->seen_next++ % TAKEN_MAX];
    snprintf(seen->name, sizeof seen->name, "%s", name);
    seen->changed = status->st_mtim;
    return true;
}

static void take_run(struct watch *watch, const char *path)
{
    char problem[HISTORY_RUN_PROBLEM_MAX];
    struct history_item *item;
    struct history_run *run;

    if (history_run_read(path, &run, problem) < 0) {
        log_warning("runs: %s stays where it is: %s", path, problem);
        return;
    }
    item = history_item_create(HISTORY_ITEM_RUN);
    if (!item) {
        history_run_free(run);
        return;
    }
    item->run.run = run;
    item->run.path = strdup(path);
    item->bytes += run->count * sizeof *run->results;
    if (history_queue_push(&watch->historyd->queue, item))
        return;
    history_item_free(item);
    watch->seen[(watch->seen_next - 1) % TAKEN_MAX].name[0] = 0; /* later */
}

static void look_for_runs(struct watch *watch)
{
    const char *directory = watch->historyd->config.runs;
    DIR *stream = *directory ? opendir(directory) : NULL;
    struct dirent *entry;

    if (!stream)
        return;
    while ((entry = readdir(stream)) && !historyd_stopping(watch->historyd)) {
        const char *end = strrchr(entry->d_name, '.');
        char path[HISTORY_PATH_MAX];
        struct stat status;

        if (*entry->d_name == '.' || !end || strcmp(end, ".json") != 0 ||
            fstatat(dirfd(stream), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
            !is_new(watch, entry->d_name, &status))
            continue;
        if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, entry->d_name) < sizeof path)
            take_run(watch, path);
    }
    closedir(stream);
}

void *historyd_watch_clock(void *argument)
{
    const struct timespec pause = {0, LOOK_NS};
    uint64_t next_clock_ns = 0, next_runs_ns = 0;
    static struct watch watch;

    watch.historyd = argument;
    while (!historyd_stopping(watch.historyd)) {
        uint64_t now_ns = platform_now_ns();

        if (now_ns >= next_clock_ns) {
            sample_clock(&watch);
            next_clock_ns = now_ns + watch.historyd->config.interval_ns;
        }
        if (now_ns >= next_runs_ns) {
            look_for_runs(&watch);
            next_runs_ns = now_ns + RUNS_NS;
        }
        nanosleep(&pause, NULL);
    }
    return NULL;
}
