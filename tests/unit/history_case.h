/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of the history share: a database in a directory of its own, and moments that can be made up. */
#ifndef LOCKSTEP_TESTS_HISTORY_CASE_H
#define LOCKSTEP_TESTS_HISTORY_CASE_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/history_store.h"
#include "tests/unit/unit.h"

#define SECOND_NS 1000000000ll
#define DAY_NS    (86400 * SECOND_NS)

static char case_directory[64], case_path[80];
static struct history_limits case_limits;
static struct history_moment case_now;
static struct history_store *case_store;

static int case_remove(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static inline int case_begin(void **state)
{
    (void)state;
    strcpy(case_directory, "/tmp/lockstep-history-XXXXXX");
    if (!mkdtemp(case_directory))
        return 1;
    snprintf(case_path, sizeof case_path, "%s/history.db", case_directory);
    case_limits = (struct history_limits){.size_max = 64 << 20, .busy_ms = 20};
    history_moment_now(&case_now);
    case_store = NULL;
    return 0;
}

static inline int case_end(void **state)
{
    (void)state;
    history_store_close(case_store);
    nftw(case_directory, case_remove, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}

static inline int case_open(void)
{
    return history_store_open(case_path, &case_limits, &case_store);
}

static inline void case_close(void)
{
    history_store_close(case_store);
    case_store = NULL;
}

/* All clocks go on. */
static inline void case_pass(int64_t ns)
{
    case_now.realtime_ns += ns;
    case_now.boottime_ns += (uint64_t)ns;
    case_now.monotonic_ns += (uint64_t)ns;
}

static inline int64_t case_number(const char *sql)
{
    return history_sql_number(history_store_sql(case_store), sql, -1);
}

static inline void case_exec(const char *sql)
{
    assert_int_equal(history_sql_exec(history_store_sql(case_store), sql), 0);
}

#endif
