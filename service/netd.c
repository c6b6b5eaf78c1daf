/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/netd.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "platform/journal_log.h"
#include "platform/platform.h"
#include "platform/service_manager.h"
#include "service/closer.h"
#include "service/events.h"
#include "service/options.h"
#include "service/server.h"
#include "service/socket_info.h"

#define ADOPT_LIMIT_NS  3000000000ull
#define CLOSER_LIMIT_MS 1000
#define LOCK_TRIES      200
#define LOCK_PAUSE_US   5000
#define FILES_WANTED    (1u << 20) /* a reservation for every flow */

static struct netd netd;
static char locks[POLICY_MAX_INTERFACES][96]; /* files held; the interfaces may be others by now */
static int lock_count;

static void raise_limits(void)
{
    struct rlimit limit = {FILES_WANTED, FILES_WANTED};

    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    limit = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_MEMLOCK, &limit); /* kernels before 5.11 account maps to it; harmless elsewhere */
}

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
            usleep(LOCK_PAUSE_US); /* it may only be looked at (remove_stale_locks), or its holder be about to end */
    }
}

static void interface_lock_path(const char *name, char path[96])
{
    snprintf(path, 96, "/run/lockstep-netd-%llu-%u.lock", (unsigned long long)netd.namespace_cookie,
             if_nametoindex(name));
}

/* One instance an interface, whatever its directory. The lock is held until the process ends. */
static int lock_interface(const char *name)
{
    char *path = locks[lock_count];
    int fd;

    if (if_nametoindex(name) == 0) {
        log_error("netd: no interface %s here", name);
        return LOCKSTEP_E_UNKNOWN_NAME;
    }
    interface_lock_path(name, path);
    fd = lock_file(path, true);
    if (fd == LOCKSTEP_E_CONFLICT)
        log_error("netd: another instance accelerates %s", name);
    else if (fd < 0)
        log_error("netd: cannot lock %s: %s", path, error_text(fd));
    if (fd < 0)
        return fd;
    lock_count++;
    return 0;
}

/* Instances that were killed leave their lock files; names are never used again once the namespace has gone. */
static void remove_stale_locks(void)
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

static int lock_interfaces(void)
{
    remove_stale_locks();
    for (int i = 0; i < POLICY_MAX_INTERFACES && netd.policy.interfaces[i][0]; i++) {
        int result = lock_interface(netd.policy.interfaces[i]);

        if (result < 0)
            return result;
    }
    return 0;
}

static void unlock_interfaces(void)
{
    while (lock_count > 0)
        unlink(locks[--lock_count]);
}

static int open_parts(void)
{
    int result = journal_create(&netd.journal);

    if (result < 0)
        log_error("netd: cannot make the journal: %s", error_text(result));
    else
        events_text(netd.journal, JOURNAL_SERVICE, "lockstep-netd", "version %s started, process %d", LOCKSTEP_VERSION,
                    (int)getpid());
    if (result == 0)
        result = segment_sender_open(&netd.sender);
    if (result == 0)
        result = netlink_open(&netd.netlink);
    if (result == 0)
        result = divert_open(&netd.divert);
    if (result == 0)
        result = flows_create(&netd.flows, netd.divert, netd.netlink);
    if (result == 0)
        result = network_create(&netd.network, &netd.policy, netd.divert, netd.netlink, netd.flows, netd.journal);
    return result;
}

static void close_parts(bool detach)
{
    network_destroy(netd.network);
    flows_destroy(netd.flows);
    if (netd.divert)
        divert_close(netd.divert, detach);
    netlink_close(netd.netlink);
    segment_sender_close(&netd.sender);
    journal_destroy(netd.journal);
}

/* Attaches now, or after the programs of an earlier instance have handed their lanes back. */
static int attach_or_adopt(void)
{
    survivors_load(&netd.survivors, netd.policy.runtime_dir);
    if (netd.survivors.count == 0)
        return network_attach(netd.network);
    log_info("netd: waiting for %u lanes of an earlier instance", netd.survivors.count);
    netd.adopting = true;
    netd.adopt_until_ns = platform_now_ns() + ADOPT_LIMIT_NS;
    return 0;
}

static int serve(struct server *server)
{
    int result = attach_or_adopt();
    bool keep;

    if (result == 0)
        result = server_listen(server);
    if (result == 0) {
        service_manager_ready();
        result = server_run(server);
        service_manager_stopping();
    }
    /* With lanes in use the attached programs stay: connections go on until the next instance takes them over. */
    keep = netd.lane_count > 0 || netd.adopting;
    events_text(netd.journal, JOURNAL_SERVICE, "lockstep-netd", "stopped; %u lanes go on without it",
                keep ? netd.lane_count : 0);
    if (keep)
        log_info("netd: %u lanes go on without the service", netd.lane_count);
    server_drop_clients(server, keep);
    close_parts(!keep);
    return result;
}

int netd_main(int argc, char **argv)
{
    struct server server;
    int exit_status, result;

    if (options_load(argc, argv, &netd.policy, &exit_status) < 0)
        return exit_status;
    log_init("lockstep-netd", (enum log_level)netd.policy.log_level);
    journal_log_open();
    service_manager_open();
    raise_limits();
    list_init(&netd.clients);
    list_init(&netd.dropped);
    list_init(&netd.users);
    list_init(&netd.claims);
    list_init(&netd.reports);
    for (int i = 0; i < REPORT_KINDS * SHARED_REPORTS; i++)
        netd.shared_reports[i / SHARED_REPORTS][i % SHARED_REPORTS] = (struct shared_report){-1, -1, 0};
    netd.started_ns = platform_now_ns();
    netd.sender = (struct segment_sender){-1, -1};
    result = socket_namespace(&netd.namespace_cookie);
    if (result < 0) {
        log_error("netd: cannot identify the network namespace: %s", error_text(result));
        return 1;
    }
    result = server_open(&server, &netd);
    if (result == 0)
        result = lock_interfaces();
    if (result == 0) {
        result = open_parts();
        if (result == 0)
            result = serve(&server);
        else
            close_parts(false);
    }
    unlock_interfaces();
    server_close(&server);
    closer_wait(CLOSER_LIMIT_MS);
    if (result < 0)
        log_error("netd: ended: %s", error_text(result));
    return result < 0 ? 1 : 0;
}
