/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration of lockstep-historyd: historyd.conf and the command line. */
#ifndef LOCKSTEP_MONITOR_HISTORYD_CONFIG_H
#define LOCKSTEP_MONITOR_HISTORYD_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "monitor/history_store.h"

#define HISTORYD_CONFIG_FILE "/etc/lockstep/historyd.conf"
#define HISTORYD_FILE_MAX    256

struct historyd_config {
    char database[HISTORYD_FILE_MAX], runs[HISTORYD_FILE_MAX];
    char runtime_dir[90];
    uint64_t interval_ns, connections_interval_ns;
    uint64_t size, queue;
    int64_t keep_days[HISTORY_KINDS];
    int log_level;
};

/* Parses a file's text (pure). 0, or a negative code with problem (CONFIG_PROBLEM_MAX bytes). */
int historyd_config_parse(const char *file_name, const char *text, size_t length, struct historyd_config *config,
                          char *problem);
/* Reads the command line and the file. 0; negative: the program is to end with *exit_status, and all is said. */
int historyd_config_load(int argc, char *const *argv, struct historyd_config *config, int *exit_status);

#endif
