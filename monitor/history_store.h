/* SPDX-License-Identifier: BSD-2-Clause */
/* The history database as its one recorder sees it: opened, checked and upgraded, written in transactions, kept within
 * its size and ages. Single-threaded; nothing is logged here.
 *
 * The wall clock may be stepped, by a year if it must be, and nothing may be lost for it. So rows carry a second time:
 * `line_s`, seconds on a time line of the recorder's own, which follows CLOCK_BOOTTIME within one boot of the machine,
 * and over a reboot the wall clock, but never back and at most HISTORY_OFF_MAX_S at once. Ages are taken on it: a clock
 * that was wrong can make rows live longer, never shorter than a week less than wanted. */
#ifndef LOCKSTEP_MONITOR_HISTORY_STORE_H
#define LOCKSTEP_MONITOR_HISTORY_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "monitor/history_schema.h"
#include "monitor/history_sql.h"

/* Here and not in /var/lib/lockstep itself, which belongs to root. */
#define HISTORY_DEFAULT_DIR  "/var/lib/lockstep/history"
#define HISTORY_DEFAULT_FILE HISTORY_DEFAULT_DIR "/history.db"
#define HISTORY_DEFAULT_RUNS "/var/lib/lockstep/runs"

#define HISTORY_OFF_MAX_S (7 * 86400)
#define HISTORY_SIZE_MIN  (2 << 20)
#define HISTORY_PATH_MAX  512

/* All clocks at one moment. */
struct history_moment {
    int64_t realtime_ns;
    uint64_t boottime_ns, monotonic_ns;
    char boot[40]; /* of /proc/sys/kernel/random/boot_id */
};
void history_moment_now(struct history_moment *moment);

struct history_limits {
    uint64_t size_max;             /* bytes of the file and its write-ahead log together, at least HISTORY_SIZE_MIN */
    int64_t keep_s[HISTORY_KINDS]; /* 0: for ever */
    int busy_ms;                   /* how long a call may wait for a lock of somebody else */
};

struct history_store;

/* Creates the file if there is none. 0, -EAGAIN (locked by another), LOCKSTEP_E_BAD_FORMAT (damaged:
 * history_store_move_aside and try again), LOCKSTEP_E_BAD_VERSION (of a newer Lockstep), LOCKSTEP_E_CONFLICT (somebody
 * else's database), -ENOSPC, -EIO, -EACCES, -EROFS ... */
int history_store_open(const char *path, const struct history_limits *limits, struct history_store **out);
void history_store_close(struct history_store *store);
/* Renames a damaged database and its log to PATH.corrupt-TIME (UTC), `moved` (HISTORY_PATH_MAX); an earlier one that
 * was moved is removed, so that a bad disk does not fill up with them. 0 or a negative errno. */
int history_store_move_aside(const char *path, const struct history_moment *now, char *moved);

/* For statements of the caller's, within begin and commit. */
struct history_sql *history_store_sql(struct history_store *store);
/* The version that the file had when it was opened. */
int history_store_found_version(const struct history_store *store);
/* The file is no more at its path: somebody has removed or replaced it. */
bool history_store_moved(struct history_store *store);

/* A transaction. -EAGAIN: another writer, or a reader that has kept the write-ahead log from being emptied for so long
 * that it has reached its limit. -ENOSPC also when the database is at its limit: prune. */
int history_store_begin(struct history_store *store, const struct history_moment *now);
int history_store_commit(struct history_store *store);
void history_store_rollback(struct history_store *store);
/* Of the transaction: line_s of its rows. */
int64_t history_store_line_s(const struct history_store *store);

/* What the recorder has read of which journal. */
struct history_position {
    uint64_t instance, sequence; /* of the last record that is in the database */
    int64_t journal_ns;          /* its time */
    int64_t realtime_ns;         /* of the last transaction; 0: none yet */
};
int history_store_position(struct history_store *store, struct history_position *out);
/* In a transaction. */
int history_store_set_position(struct history_store *store, const struct history_position *position);

/* Removes what is too old or, beyond the limit of the size, the oldest rows of the kind that takes most, and gives
 * space back; one short transaction. 1: there is more to do; 0; or a negative code. */
int history_store_prune(struct history_store *store, const struct history_moment *now);

/* Rows that one transaction should have at most, so that the log stays within its part of the size. */
unsigned history_store_batch(const struct history_limits *limits);

/* Bytes of the file and its log. */
uint64_t history_store_bytes(struct history_store *store);

#endif
