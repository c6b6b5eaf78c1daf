/* SPDX-License-Identifier: BSD-2-Clause */
/* What history_store.c and history_prune.c share. */
#ifndef LOCKSTEP_MONITOR_HISTORY_PRIVATE_H
#define LOCKSTEP_MONITOR_HISTORY_PRIVATE_H

#include "monitor/history_store.h"

#define HISTORY_PAGE 4096

struct history_store {
    struct history_sql sql;
    struct history_limits limits;
    char path[HISTORY_PATH_MAX];
    int found_version;
    uint64_t log_max, data_max;  /* bytes */
    int64_t line_ns;             /* of the transaction at hand */
    enum history_kind next_kind; /* where pruning goes on */
};

#endif
