/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep-historyd: records what the services report into a database. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "monitor/historyd.h"
#include "platform/journal_log.h"
#include "platform/service_manager.h"
#include "platform/stop_signals.h"

int main(int argc, char **argv)
{
    static struct historyd historyd;
    int exit_status, stop;

    if (historyd_config_load(argc, argv, &historyd.config, &exit_status) < 0)
        return exit_status;
    journal_log_open();
    service_manager_open();
    umask(0027); /* the group may read */
    stop = platform_stop_signals();
    if (stop < 0) {
        log_error("no signals: %s", error_text(stop));
        return 1;
    }
    history_queue_init(&historyd.queue, historyd.config.queue);
    exit_status = historyd_run(&historyd, stop);
    history_queue_clear(&historyd.queue);
    close(stop);
    return exit_status;
}
