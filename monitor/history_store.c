/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/history_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "monitor/history_private.h"

#define APPLICATION_ID 0x4c534849 /* "LSHI" */
#define LOG_MAX        (64u << 20)
#define LOG_MIN        (1u << 20)
#define BATCH_LEAST    200
#define BATCH_MOST     2000
#define ROW_PAGES      5 /* that a row may touch, in the table and its indexes */

static int64_t clock_ns(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

static void read_boot(char *boot, size_t size)
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

    if (!file || !fgets(boot, (int)size, file))
        snprintf(boot, size, "unknown");
    if (file)
        fclose(file);
    boot[strcspn(boot, "\n")] = 0;
}

void history_moment_now(struct history_moment *moment)
{
    read_boot(moment->boot, sizeof moment->boot);
    moment->realtime_ns = clock_ns(CLOCK_REALTIME);
    moment->boottime_ns = (uint64_t)clock_ns(CLOCK_BOOTTIME);
    moment->monotonic_ns = (uint64_t)clock_ns(CLOCK_MONOTONIC);
}

/* --- opening ------------------------------------------------------------------------------------------------ */

static uint64_t whole_size(const struct history_limits *limits)
{
    return limits->size_max > HISTORY_SIZE_MIN ? limits->size_max : HISTORY_SIZE_MIN;
}

/* The log gets an eighth of the whole, and the database may use the rest. */
static uint64_t log_part(const struct history_limits *limits)
{
    uint64_t size = whole_size(limits) / 8;

    return size < LOG_MIN ? LOG_MIN : size > LOG_MAX ? LOG_MAX : size;
}

unsigned history_store_batch(const struct history_limits *limits)
{
    uint64_t rows = log_part(limits) / 2 / HISTORY_PAGE / ROW_PAGES;

    return rows < BATCH_LEAST ? BATCH_LEAST : rows < BATCH_MOST ? (unsigned)rows : BATCH_MOST;
}

static int set_pragmas(struct history_store *store)
{
    uint64_t log_pages = store->log_max / 4 / HISTORY_PAGE;
    char text[512];

    snprintf(text, sizeof text,
             "PRAGMA journal_mode = WAL;"
             "PRAGMA synchronous = NORMAL; PRAGMA secure_delete = OFF; PRAGMA temp_store = MEMORY;"
             "PRAGMA trusted_schema = OFF; PRAGMA cache_size = -16000; PRAGMA wal_autocheckpoint = %llu;"
             "PRAGMA journal_size_limit = %llu; PRAGMA max_page_count = %llu;",
             (unsigned long long)(log_pages < 1000 ? log_pages : 1000), (unsigned long long)store->log_max / 2,
             (unsigned long long)store->data_max / HISTORY_PAGE);
    return history_sql_exec(&store->sql, text);
}

/* One line, "ok", from a database without damage. */
static int check_whole(struct history_store *store)
{
    sqlite3_stmt *statement = history_sql_query(&store->sql, "PRAGMA quick_check(1)", "");
    int code, result = LOCKSTEP_E_BAD_FORMAT;

    if (!statement)
        return history_sql_error(&store->sql);
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0)
        result = 0;
    else if (code != SQLITE_ROW)
        result = history_sql_code(code);
    sqlite3_reset(statement);
    return result;
}

/* An empty file becomes ours; a database that is neither empty nor ours is left alone. */
static int check_owner(struct history_store *store)
{
    int64_t id = history_sql_number(&store->sql, "PRAGMA application_id", -1);
    int64_t objects = history_sql_number(&store->sql, "SELECT count(*) FROM sqlite_master", -1);
    char text[100];

    if (id < 0 || objects < 0)
        return history_sql_error(&store->sql);
    if (id == APPLICATION_ID)
        return 0;
    if (id != 0 || objects != 0)
        return LOCKSTEP_E_CONFLICT;
    snprintf(text, sizeof text, "PRAGMA page_size = %d; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA application_id = %d",
             HISTORY_PAGE, APPLICATION_ID);
    return history_sql_exec(&store->sql, text);
}

/* What root creates belongs to whom the directory belongs to. */
static void give_away(const char *path)
{
    char directory[HISTORY_PATH_MAX];
    struct stat status;

    snprintf(directory, sizeof directory, "%s", path);
    if (geteuid() == 0 && stat(dirname(directory), &status) == 0 && chown(path, status.st_uid, status.st_gid) < 0)
        return; /* then it is root's */
}

static int create_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

    if (fd < 0)
        return errno == EEXIST ? 0 : -errno;
    close(fd);
    give_away(path);
    return 0;
}

static int open_database(struct history_store *store, const char *path)
{
    int keep_log = 1, result = create_file(path);

    if (result < 0)
        return result;
    result = history_sql_code(sqlite3_open_v2(
        path, &store->sql.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX, NULL));
    if (result < 0)
        return result;
    sqlite3_extended_result_codes(store->sql.db, 0);
    sqlite3_busy_timeout(store->sql.db, store->limits.busy_ms);
    /* Readers without the right to write need the log to stay when the last writer goes. */
    sqlite3_file_control(store->sql.db, NULL, SQLITE_FCNTL_PERSIST_WAL, &keep_log);
    result = check_owner(store);
    if (result == 0)
        result = history_sql_code(history_schema_version(store->sql.db, &store->found_version));
    if (result == 0 && store->found_version > HISTORY_SCHEMA_VERSION)
        return LOCKSTEP_E_BAD_VERSION;
    if (result == 0)
        result = set_pragmas(store);
    if (result == 0)
        result = check_whole(store);
    if (result < 0)
        return result;
    result = history_schema_upgrade(store->sql.db, &store->found_version);
    return result > 0 ? history_sql_code(result) : result;
}

int history_store_open(const char *path, const struct history_limits *limits, struct history_store **out)
{
    struct history_store *store = calloc(1, sizeof *store);
    int result;

    if (!store)
        return -ENOMEM;
    snprintf(store->path, sizeof store->path, "%s", path);
    store->limits = *limits;
    store->log_max = log_part(limits);
    store->data_max = whole_size(limits) - store->log_max;
    result = open_database(store, path);
    if (result < 0) {
        history_store_close(store);
        return result;
    }
    *out = store;
    return 0;
}

void history_store_close(struct history_store *store)
{
    if (!store)
        return;
    history_sql_release(&store->sql);
    sqlite3_close(store->sql.db);
    free(store);
}

/* --- moving aside ------------------------------------------------------------------------------------------- */

/* Of those that were moved earlier. */
static void remove_moved(const char *path)
{
    char directory[HISTORY_PATH_MAX], name[HISTORY_PATH_MAX], pattern[HISTORY_PATH_MAX + 16];
    struct dirent *entry;
    DIR *stream;

    snprintf(directory, sizeof directory, "%s", path);
    snprintf(name, sizeof name, "%s", path);
    snprintf(pattern, sizeof pattern, "%s.corrupt-", basename(name));
    stream = opendir(dirname(directory));
    if (!stream)
        return;
    while ((entry = readdir(stream))) {
        if (strncmp(entry->d_name, pattern, strlen(pattern)) == 0)
            unlinkat(dirfd(stream), entry->d_name, 0);
    }
    closedir(stream);
}

int history_store_move_aside(const char *path, const struct history_moment *now, char *moved)
{
    char from[HISTORY_PATH_MAX + 8], to[HISTORY_PATH_MAX + 8], stamp[32];
    time_t seconds = (time_t)(now->realtime_ns / 1000000000);
    struct tm utc;

    remove_moved(path);
    gmtime_r(&seconds, &utc);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &utc);
    if (snprintf(moved, HISTORY_PATH_MAX, "%s.corrupt-%s", path, stamp) >= HISTORY_PATH_MAX)
        return -ENAMETOOLONG;
    if (rename(path, moved) < 0)
        return -errno;
    snprintf(from, sizeof from, "%s-wal", path);
    snprintf(to, sizeof to, "%s-wal", moved);
    if (rename(from, to) < 0 && errno != ENOENT)
        return -errno;
    snprintf(from, sizeof from, "%s-shm", path);
    return unlink(from) < 0 && errno != ENOENT ? -errno : 0;
}

/* --- transactions ------------------------------------------------------------------------------------------- */

struct history_sql *history_store_sql(struct history_store *store)
{
    return &store->sql;
}

int history_store_found_version(const struct history_store *store)
{
    return store->found_version;
}

bool history_store_moved(struct history_store *store)
{
    int moved = 0;

    return sqlite3_file_control(store->sql.db, NULL, SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved;
}

static uint64_t file_bytes(const struct history_store *store, const char *suffix)
{
    char path[HISTORY_PATH_MAX + 8];
    struct stat status;

    snprintf(path, sizeof path, "%s%s", store->path, suffix);
    return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

uint64_t history_store_bytes(struct history_store *store)
{
    return file_bytes(store, "") + file_bytes(store, "-wal");
}

/* A reader that stays in an old state of the database keeps the log from beginning anew. */
static int bound_log(struct history_store *store)
{
    if (file_bytes(store, "-wal") <= store->log_max)
        return 0;
    return history_sql_code(sqlite3_wal_checkpoint_v2(store->sql.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL));
}

/* The line's position now, from where it was at the last transaction. */
static int advance_line(struct history_store *store, const struct history_moment *now)
{
    sqlite3_stmt *statement =
        history_sql_query(&store->sql, "SELECT boot, boottime_ns, realtime_ns, line_ns FROM recorder", "");
    int code = statement ? sqlite3_step(statement) : SQLITE_ERROR;
    int64_t passed_ns = 0, most_ns = HISTORY_OFF_MAX_S * 1000000000ll;

    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? LOCKSTEP_E_BAD_FORMAT : history_sql_error(&store->sql);
    if (strcmp((const char *)sqlite3_column_text(statement, 0), now->boot) == 0) {
        passed_ns = (int64_t)now->boottime_ns - sqlite3_column_int64(statement, 1);
        most_ns = INT64_MAX;
    } else if (sqlite3_column_int64(statement, 2) > 0) {
        passed_ns = now->realtime_ns - sqlite3_column_int64(statement, 2);
    }
    store->line_ns = sqlite3_column_int64(statement, 3) + (passed_ns < 0         ? 0
                                                           : passed_ns > most_ns ? most_ns
                                                                                 : passed_ns);
    sqlite3_reset(statement);
    return history_sql_run(&store->sql,
                           "UPDATE recorder SET boot = ?1, boottime_ns = ?2, realtime_ns = ?3, line_ns = ?4", "tiii",
                           now->boot, (int64_t)now->boottime_ns, now->realtime_ns, store->line_ns);
}

int history_store_begin(struct history_store *store, const struct history_moment *now)
{
    int result = bound_log(store);

    if (result == 0)
        result = history_sql_exec(&store->sql, "BEGIN IMMEDIATE");
    if (result < 0)
        return result;
    result = advance_line(store, now);
    if (result < 0)
        history_store_rollback(store);
    return result;
}

int history_store_commit(struct history_store *store)
{
    int result = history_sql_exec(&store->sql, "COMMIT");

    if (result < 0)
        history_store_rollback(store);
    return result;
}

void history_store_rollback(struct history_store *store)
{
    if (!sqlite3_get_autocommit(store->sql.db))
        history_sql_exec(&store->sql, "ROLLBACK");
}

int64_t history_store_line_s(const struct history_store *store)
{
    return store->line_ns / 1000000000;
}

int history_store_position(struct history_store *store, struct history_position *out)
{
    sqlite3_stmt *statement =
        history_sql_query(&store->sql, "SELECT instance, sequence, journal_ns, realtime_ns FROM recorder", "");

    if (!statement || sqlite3_step(statement) != SQLITE_ROW)
        return history_sql_error(&store->sql);
    out->instance = (uint64_t)sqlite3_column_int64(statement, 0);
    out->sequence = (uint64_t)sqlite3_column_int64(statement, 1);
    out->journal_ns = sqlite3_column_int64(statement, 2);
    out->realtime_ns = sqlite3_column_int64(statement, 3);
    sqlite3_reset(statement);
    return 0;
}

int history_store_set_position(struct history_store *store, const struct history_position *position)
{
    return history_sql_run(&store->sql, "UPDATE recorder SET instance = ?1, sequence = ?2, journal_ns = ?3", "iii",
                           (int64_t)position->instance, (int64_t)position->sequence, position->journal_ns);
}
