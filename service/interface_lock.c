/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/interface_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "service/policy.h"

#define LOCK_TRIES    200
#define LOCK_PAUSE_US 5000

/* The file keeps its name: the interface may be another one by now. */
static struct {
    char name[16], path[96];
    int fd;
} locks[POLICY_MAX_INTERFACES];
static int lock_count;

/* Opens (create: makes) and locks the file, which another instance may be removing; its descriptor or a negative code.
 * While the lock is held the name stays the file's, for whoever removes it holds the lock first. */
static int lock_file(const char *path, bool create)
{
    for (int tries = 0;; tries++) {
        struct stat opened, present;
        int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0), 0600), result = 0;

        if (fd < 0)
            return -errno;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
            result = LOCKSTEP_E_CONFLICT;
        else if (fstat(fd, &opened) == 0 && lstat(path, &present) == 0 && opened.st_ino == present.st_ino)
            return fd;
        close(fd);
        if (result < 0 && (!create || tries >= LOCK_TRIES))
            return result;
        if (result < 0)
            usleep(LOCK_PAUSE_US); /* it may only be looked at (interface_locks_tidy), or its holder be about to end */
    }
}

int interface_lock(uint64_t namespace_cookie, const char *name, char problem[INTERFACE_LOCK_PROBLEM_MAX])
{
    unsigned ifindex = if_nametoindex(name);
    char path[sizeof(locks[0].path)];
    int fd;

    if (ifindex == 0) {
        snprintf(problem, INTERFACE_LOCK_PROBLEM_MAX, "no interface %.15s here", name);
        return LOCKSTEP_E_UNKNOWN_NAME;
    }
    snprintf(path, sizeof(path), "/run/lockstep-netd-%llu-%u.lock", (unsigned long long)namespace_cookie, ifindex);
    fd = lock_count == POLICY_MAX_INTERFACES ? LOCKSTEP_E_EXHAUSTED : lock_file(path, true);
    if (fd == LOCKSTEP_E_CONFLICT)
        snprintf(problem, INTERFACE_LOCK_PROBLEM_MAX, "another instance accelerates %.15s", name);
    else if (fd < 0)
        snprintf(problem, INTERFACE_LOCK_PROBLEM_MAX, "cannot lock %s: %s", path, error_text(fd));
    if (fd < 0)
        return fd;
    snprintf(locks[lock_count].name, sizeof(locks[0].name), "%s", name);
    memcpy(locks[lock_count].path, path, sizeof(path));
    locks[lock_count++].fd = fd;
    return 0;
}

void interface_unlock(const char *name)
{
    for (int i = lock_count - 1; i >= 0; i--) {
        if (name && strcmp(locks[i].name, name) != 0)
            continue;
        unlink(locks[i].path);
        close(locks[i].fd);
        locks[i] = locks[--lock_count];
    }
}

/* Instances that were killed leave their lock files; names are never used again once the namespace has gone. */
void interface_locks_tidy(void)
{
    glob_t found;

    if (glob("/run/lockstep-netd-*.lock", 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        int fd = lock_file(found.gl_pathv[i], false);

        if (fd < 0)
            continue;
        unlink(found.gl_pathv[i]);
        close(fd);
    }
    globfree(&found);
}
