/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/netd.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "platform/journal_log.h"
#include "platform/platform.h"
#include "platform/service_manager.h"
#include "service/closer.h"
#include "service/events.h"
#include "service/interface_lock.h"
#include "service/options.h"
#include "service/reload.h"
#include "service/server.h"
#include "service/socket_info.h"

#define ADOPT_LIMIT_NS  3000000000ull
#define CLOSER_LIMIT_MS 1000
#define FILES_WANTED    (1u << 20) /* a reservation for every flow */

static struct netd netd;

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

static int lock_interfaces(void)
{
    interface_locks_tidy();
    for (int i = 0; i < POLICY_MAX_INTERFACES && netd.policy.interfaces[i][0]; i++) {
        char problem[INTERFACE_LOCK_PROBLEM_MAX], place[POLICY_PLACE_MAX];
        int result = interface_lock(netd.namespace_cookie, netd.policy.interfaces[i], problem);

        if (result < 0) {
            log_error("netd: %s: %s", policy_interface_place(&netd.policy, netd.policy.interfaces[i], place), problem);
            return result;
        }
    }
    return 0;
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
        result = reload_open(&netd);
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
    reload_close(&netd);
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
    interface_unlock(NULL);
    server_close(&server);
    closer_wait(CLOSER_LIMIT_MS);
    if (result < 0)
        log_error("netd: ended: %s", error_text(result));
    return result < 0 ? 1 : 0;
}
