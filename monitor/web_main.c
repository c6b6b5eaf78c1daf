/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep-web: the dashboard, and metrics for Prometheus. */
#include <errno.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "monitor/gatherer.h"
#include "monitor/web_config.h"
#include "monitor/web_server.h"
#include "platform/journal_log.h"
#include "platform/platform.h"
#include "platform/service_manager.h"
#include "platform/stop_signals.h"

#define TICK_MS     500
#define FILES_OTHER 64 /* beside the clients' */

static void raise_limit(const struct web_config *config)
{
    const rlim_t wanted = (rlim_t)config->clients + FILES_OTHER;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return;
    if (limit.rlim_max < wanted)
        log_warning("clients: %lld connections need more open files than the %llu allowed", (long long)config->clients,
                    (unsigned long long)limit.rlim_max);
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void serve(struct web_server *server, int stop)
{
    struct pollfd wait = {.fd = stop, .events = POLLIN};

    service_manager_ready();
    do {
        uint64_t now = platform_now_ns();

        web_server_tick(server, now);
        service_manager_feed(now);
    } while (poll(&wait, 1, TICK_MS) <= 0);
    service_manager_stopping();
}

int main(int argc, char **argv)
{
    static struct web_config config;
    struct gatherer *gatherer = NULL;
    struct web_server *server = NULL;
    int exit_status, err, stop;

    if (web_config_load(argc, argv, &config, &exit_status) < 0)
        return exit_status;
    log_init("lockstep-web", (enum log_level)config.log_level);
    journal_log_open();
    service_manager_open();
    raise_limit(&config);
    err = stop = platform_stop_signals();
    if (err >= 0)
        err = gatherer_start(&gatherer, config.runtime_dir, config.history);
    if (err >= 0)
        err = web_server_start(&server, &config, gatherer);
    if (err >= 0)
        serve(server, stop);
    web_server_stop(server);
    gatherer_stop(gatherer);
    if (stop >= 0)
        close(stop);
    if (err < 0)
        log_error("ended: %s", error_text(err));
    return err < 0 ? 1 : 0;
}
