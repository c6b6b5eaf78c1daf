/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/history_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "base/error.h"
#include "monitor/history_histogram.h"
#include "monitor/history_run.h"
#include "tests/unit/history_case.h"
#include "tests/unit/history_version_1.h"

/* --- rows --------------------------------------------------------------------------------------------------- */

static int insert_kernel(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        int result =
            history_sql_run(history_store_sql(case_store),
                            "INSERT INTO kernel(line_s, at_ns, program, pid, uid, protocol, local, local_port,"
                            " remote, remote_port, reason) VALUES(?, ?, 'program', 1, 0, 6, x'0a000001', ?,"
                            " x'0a000002', ?, 'a reason of some length, as they are')",
                            "iiii", history_store_line_s(case_store), case_now.realtime_ns, (int64_t)i, (int64_t)i);

        if (result < 0)
            return result;
    }
    return 0;
}

static int add_kernel(unsigned count)
{
    int result = history_store_begin(case_store, &case_now);

    if (result == 0)
        result = insert_kernel(count);
    if (result < 0) {
        history_store_rollback(case_store);
        return result;
    }
    return history_store_commit(case_store);
}

static int64_t kernel_count(void)
{
    return case_number("SELECT count(*) FROM kernel");
}

static void prune_all(void)
{
    int result;

    while ((result = history_store_prune(case_store, &case_now)) > 0) {
    }
    assert_int_equal(result, 0);
}

/* --- opening ------------------------------------------------------------------------------------------------ */

static void a_new_database_is_made_and_found_again(void **state)
{
    struct stat status;

    (void)state;
    assert_int_equal(case_open(), 0);
    assert_int_equal(history_store_found_version(case_store), 0);
    assert_int_equal(add_kernel(3), 0);
    assert_int_equal(stat(case_path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    case_close();
    assert_int_equal(case_open(), 0);
    assert_int_equal(history_store_found_version(case_store), HISTORY_SCHEMA_VERSION);
    assert_int_equal(kernel_count(), 3);
}

static void write_file(const char *path, const void *bytes, size_t length, off_t at)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, length, at), length);
    close(fd);
}

static void a_version_1_file_is_brought_forward_with_its_rows(void **state)
{
    sqlite3 *db;

    (void)state;
    assert_int_equal(sqlite3_open(case_path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, history_version_1, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(case_open(), 0);
    assert_int_equal(history_store_found_version(case_store), 1);
    assert_int_equal(case_number("PRAGMA user_version"), HISTORY_SCHEMA_VERSION);
    assert_int_equal(case_number("SELECT rx_bytes FROM connections WHERE program = 'daq'"), 12345);
    assert_int_equal(case_number("SELECT count(*) FROM connections WHERE ending = 0"), 1);
    assert_int_equal(kernel_count(), 1);
    assert_int_equal(case_number("SELECT bound_ns FROM clock"), 900);
    /* And it can be gone on with. */
    assert_int_equal(add_kernel(2), 0);
    assert_int_equal(kernel_count(), 3);
    assert_int_equal(case_number("SELECT count(*) FROM sources"), 0);
}

static void a_newer_database_is_left_as_it_is(void **state)
{
    (void)state;
    assert_int_equal(case_open(), 0);
    assert_int_equal(add_kernel(1), 0);
    case_exec("PRAGMA user_version = 1000");
    case_close();
    assert_int_equal(case_open(), LOCKSTEP_E_BAD_VERSION);
    assert_null(case_store);
}

static void somebody_elses_database_is_left_as_it_is(void **state)
{
    sqlite3 *db;

    (void)state;
    assert_int_equal(sqlite3_open(case_path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t(a); PRAGMA user_version = 1", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(case_open(), LOCKSTEP_E_CONFLICT);
}

static void what_is_no_database_is_damaged_and_moved_aside(void **state)
{
    char moved[HISTORY_PATH_MAX], junk[8192], earlier[HISTORY_PATH_MAX];

    (void)state;
    memset(junk, 'x', sizeof junk);
    write_file(case_path, junk, sizeof junk, 0);
    assert_int_equal(case_open(), LOCKSTEP_E_BAD_FORMAT);
    assert_int_equal(history_store_move_aside(case_path, &case_now, moved), 0);
    assert_non_null(strstr(moved, "/history.db.corrupt-20"));
    assert_int_equal(access(moved, F_OK), 0);
    assert_int_equal(case_open(), 0);
    case_close();
    /* Only the last one is kept. */
    strcpy(earlier, moved);
    case_pass(2 * SECOND_NS);
    write_file(case_path, junk, sizeof junk, 0);
    assert_int_equal(case_open(), LOCKSTEP_E_BAD_FORMAT);
    assert_int_equal(history_store_move_aside(case_path, &case_now, moved), 0);
    assert_int_equal(access(moved, F_OK), 0);
    assert_int_equal(access(earlier, F_OK), -1);
}

static void damage_within_is_found_when_opened(void **state)
{
    char junk[4096 * 8];
    struct stat status;

    (void)state;
    assert_int_equal(case_open(), 0);
    assert_int_equal(add_kernel(20000), 0);
    case_close();
    assert_int_equal(stat(case_path, &status), 0);
    memset(junk, 0xa5, sizeof junk);
    write_file(case_path, junk, sizeof junk, status.st_size / 2 / 4096 * 4096);
    assert_int_equal(case_open(), LOCKSTEP_E_BAD_FORMAT);
}

static void damage_while_open_is_told(void **state)
{
    char junk[4096 * 4];
    int result = 0;

    (void)state;
    assert_int_equal(case_open(), 0);
    assert_int_equal(add_kernel(20000), 0);
    case_exec("PRAGMA wal_checkpoint(TRUNCATE)");
    case_exec("PRAGMA shrink_memory");
    memset(junk, 0xa5, sizeof junk);
    for (int i = 1; i < 60; i++)
        write_file(case_path, junk, sizeof junk, i * (off_t)sizeof junk);
    for (int i = 0; i < 50 && result == 0; i++)
        result = add_kernel(100);
    if (result == 0) /* its pages are still in memory: read all of it */
        result = history_sql_exec(history_store_sql(case_store), "DELETE FROM kernel WHERE pid = 1");
    assert_int_equal(result, LOCKSTEP_E_BAD_FORMAT);
}

static void a_removed_file_is_noticed(void **state)
{
    (void)state;
    assert_int_equal(case_open(), 0);
    assert_false(history_store_moved(case_store));
    assert_int_equal(unlink(case_path), 0);
    assert_true(history_store_moved(case_store));
}

/* --- locks, errors ------------------------------------------------------------------------------------------ */

static void a_writer_elsewhere_is_waited_for(void **state)
{
    sqlite3 *other;

    (void)state;
    assert_int_equal(case_open(), 0);
    assert_int_equal(sqlite3_open(case_path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(add_kernel(1), -EAGAIN);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(add_kernel(1), 0);
    assert_int_equal(kernel_count(), 1);
    sqlite3_close(other);
}

/* A reader that never ends keeps the log from beginning anew: writing stops before it has no bound. */
static void a_reader_that_stays_cannot_make_the_log_grow(void **state)
{
    uint64_t most = 0;
    sqlite3 *other;
    int result = 0;

    (void)state;
    case_limits.size_max = 16 << 20;
    assert_int_equal(case_open(), 0);
    assert_int_equal(add_kernel(1), 0);
    assert_int_equal(sqlite3_open(case_path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN; SELECT count(*) FROM kernel", NULL, NULL, NULL), SQLITE_OK);
    for (int i = 0; i < 200 && result == 0; i++) {
        result = add_kernel(500);
        most = history_store_bytes(case_store) > most ? history_store_bytes(case_store) : most;
    }
    assert_int_equal(result, -EAGAIN);
    assert_true(most < 16 << 20);
    sqlite3_close(other);
    assert_int_equal(add_kernel(500), 0);
    assert_true(history_store_bytes(case_store) < most);
}

/* A VFS that writes no more when it is told so: a full disk, or a failing one. */
static sqlite3_vfs *real_vfs, failing_vfs;
static int failing_code;
static sqlite3_io_methods failing_methods[2]; /* of the database; of all else, which has no locks */
static int (*real_write)(sqlite3_file *, const void *, int, sqlite3_int64);

static int failing_write(sqlite3_file *file, const void *bytes, int length, sqlite3_int64 at)
{
    return failing_code ? failing_code : real_write(file, bytes, length, at);
}

static int failing_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    int result = real_vfs->xOpen(vfs, name, file, flags, out);

    if (result == SQLITE_OK) {
        sqlite3_io_methods *methods = &failing_methods[flags & SQLITE_OPEN_MAIN_DB ? 0 : 1];

        *methods = *file->pMethods;
        real_write = methods->xWrite;
        methods->xWrite = failing_write;
        file->pMethods = methods;
    }
    return result;
}

static void use_failing_vfs(void)
{
    real_vfs = sqlite3_vfs_find(NULL);
    failing_vfs = *real_vfs;
    failing_vfs.zName = "failing";
    failing_vfs.xOpen = failing_open;
    failing_code = 0;
    assert_int_equal(sqlite3_vfs_register(&failing_vfs, 1), SQLITE_OK);
}

static int use_real_vfs(void **state)
{
    int result = case_end(state);

    sqlite3_vfs_register(real_vfs, 1);
    sqlite3_vfs_unregister(&failing_vfs);
    return result;
}

static void a_full_or_failing_disk_loses_one_transaction_only(void **state)
{
    static const struct {
        int sqlite, ours;
    } failures[] = {{SQLITE_FULL, -ENOSPC}, {SQLITE_IOERR_WRITE, -EIO}};

    (void)state;
    use_failing_vfs();
    assert_int_equal(case_open(), 0);
    for (unsigned i = 0; i < 2; i++) {
        int64_t before = kernel_count();

        assert_int_equal(add_kernel(10), 0);
        failing_code = failures[i].sqlite;
        assert_int_equal(add_kernel(10000), failures[i].ours);
        assert_int_equal(add_kernel(10000), failures[i].ours);
        failing_code = 0;
        assert_int_equal(kernel_count(), before + 10);
        assert_int_equal(add_kernel(10), 0);
        assert_int_equal(kernel_count(), before + 20);
    }
    case_close();
    assert_int_equal(case_open(), 0);
    assert_int_equal(kernel_count(), 40);
}

/* --- ages and sizes ----------------------------------------------------------------------------------------- */

static void rows_live_as_long_as_is_said(void **state)
{
    (void)state;
    case_limits.keep_s[HISTORY_KERNEL] = 10 * 86400;
    assert_int_equal(case_open(), 0);
    for (int day = 0; day < 30; day++) {
        assert_int_equal(add_kernel(100), 0);
        case_pass(DAY_NS);
    }
    prune_all();
    assert_int_equal(kernel_count(), 1000);
    prune_all();
    assert_int_equal(kernel_count(), 1000);
}

static void an_open_connection_is_never_too_old(void **state)
{
    (void)state;
    case_limits.keep_s[HISTORY_CONNECTIONS] = 86400;
    assert_int_equal(case_open(), 0);
    assert_int_equal(history_store_begin(case_store, &case_now), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            history_sql_run(history_store_sql(case_store),
                            "INSERT INTO connections(line_s, opened_ns, closed_ns, closed_line_s, ending, program, pid,"
                            " uid, interface, protocol, kind, accepted, state, local, local_port, remote, remote_port,"
                            " rx_bytes, tx_bytes, rx_packets, tx_packets, ring_drops, drops, retransmissions, srtt_us,"
                            " latency_count, seen_ns, boot, opened_monotonic_ns, instance, key, ring_drops_before)"
                            " VALUES(?, 1, 1, ?, ?, 'p', 1, 0, 'eth0', 6, 0, 0, 1, x'0a000001', 1, x'0a000002', 2,"
                            " 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, '', 1, 1, ?, 0)",
                            "iiii", history_store_line_s(case_store),
                            /* the last one was closed ten days later */
                            history_store_line_s(case_store) + (i == 2 ? 10 * 86400 : 0), (int64_t)(i > 0), (int64_t)i),
            0);
    assert_int_equal(history_store_commit(case_store), 0);
    case_pass(10 * DAY_NS);
    prune_all();
    assert_int_equal(case_number("SELECT count(*) FROM connections"), 2);
    assert_int_equal(case_number("SELECT count(*) FROM connections WHERE ending = 0"), 1);
}

/* The wall clock says next year for a minute, then the right time again; then 1970. */
static void a_wrong_wall_clock_removes_nothing(void **state)
{
    static const int64_t steps_ns[] = {365 * DAY_NS, -365 * DAY_NS, -50 * 365 * DAY_NS, 50 * 365 * DAY_NS};

    (void)state;
    case_limits.keep_s[HISTORY_KERNEL] = 10 * 86400;
    assert_int_equal(case_open(), 0);
    assert_int_equal(add_kernel(100), 0);
    for (unsigned i = 0; i < sizeof steps_ns / sizeof *steps_ns; i++) {
        case_now.realtime_ns += steps_ns[i];
        case_pass(60 * SECOND_NS);
        assert_int_equal(add_kernel(100), 0);
        prune_all();
        assert_int_equal(kernel_count(), 100 * (i + 2));
    }
    /* Ages go on as before: all of it is too old at its time. */
    case_pass(11 * DAY_NS);
    prune_all();
    assert_int_equal(kernel_count(), 0);
}

/* A machine that comes up with another wall clock ages by a week at most; one that was off ages by the time it was. */
static void a_reboot_ages_by_a_week_at_most(void **state)
{
    (void)state;
    case_limits.keep_s[HISTORY_KERNEL] = 10 * 86400;
    assert_int_equal(case_open(), 0);
    assert_int_equal(add_kernel(100), 0);
    strcpy(case_now.boot, "another");
    case_now.boottime_ns = 5;
    case_now.realtime_ns += 3000 * DAY_NS;
    prune_all();
    assert_int_equal(kernel_count(), 100);
    strcpy(case_now.boot, "a third");
    case_now.realtime_ns -= 3000 * DAY_NS;
    prune_all();
    assert_int_equal(kernel_count(), 100);
    strcpy(case_now.boot, "a fourth");
    case_now.realtime_ns += 4 * DAY_NS;
    prune_all();
    assert_int_equal(kernel_count(), 0);
}

static void the_size_is_kept_and_the_oldest_rows_go(void **state)
{
    uint64_t most = 0;

    (void)state;
    case_limits.size_max = 8 << 20;
    assert_int_equal(case_open(), 0);
    assert_int_equal(history_store_begin(case_store, &case_now), 0);
    case_exec("INSERT INTO events(line_s, at_ns, subject, text) VALUES(0, 0, 'kept', 'of another kind')");
    assert_int_equal(history_store_commit(case_store), 0);
    for (int i = 0; i < 400; i++) {
        assert_int_equal(add_kernel(500), 0);
        prune_all();
        most = history_store_bytes(case_store) > most ? history_store_bytes(case_store) : most;
        case_pass(SECOND_NS);
    }
    assert_true(most <= 8 << 20);
    assert_true(kernel_count() > 10000);
    assert_int_equal(case_number("SELECT max(id) FROM kernel"), 200000);
    assert_int_equal(case_number("SELECT max(id) - min(id) + 1 FROM kernel"), kernel_count());
    assert_int_equal(case_number("SELECT count(*) FROM events"), 1);
    assert_int_equal(case_number("PRAGMA quick_check"), 0); /* "ok" */
}

static void a_smaller_limit_gives_space_back(void **state)
{
    (void)state;
    case_limits.size_max = 64 << 20;
    assert_int_equal(case_open(), 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(add_kernel(2000), 0);
    assert_true(history_store_bytes(case_store) > 12 << 20);
    case_close();
    case_limits.size_max = 4 << 20;
    assert_int_equal(case_open(), 0);
    prune_all();
    case_exec("PRAGMA wal_checkpoint(TRUNCATE)");
    assert_true(history_store_bytes(case_store) <= 4 << 20);
    assert_true(kernel_count() > 1000);
    assert_int_equal(add_kernel(10), 0);
}

/* --- values ------------------------------------------------------------------------------------------------- */

static void a_histogram_comes_back_as_it_was(void **state)
{
    uint32_t buckets[LANE_STATS_SLOT_BUCKETS] = {0}, back[LANE_STATS_SLOT_BUCKETS];
    uint8_t packed[HISTORY_HISTOGRAM_MAX];
    size_t length;

    (void)state;
    assert_int_equal(history_histogram_pack(buckets, packed), 0);
    buckets[0] = 1;
    buckets[40] = 127;
    buckets[41] = 128;
    buckets[127] = UINT32_MAX;
    length = history_histogram_pack(buckets, packed);
    assert_int_equal(length, 2 + 2 + 3 + 6);
    assert_int_equal(history_histogram_unpack(packed, length, back), 0);
    assert_memory_equal(back, buckets, sizeof buckets);
    for (size_t i = 1; i < length; i++) { /* cut anywhere but between pairs */
        int result = history_histogram_unpack(packed, i, back);

        assert_true(result == LOCKSTEP_E_BAD_FORMAT || i == 2 || i == 4 || i == 7);
    }
    for (unsigned i = 0; i < LANE_STATS_SLOT_BUCKETS; i++)
        buckets[i] = UINT32_MAX;
    length = history_histogram_pack(buckets, packed);
    assert_true(length <= sizeof packed);
    assert_int_equal(history_histogram_unpack(packed, length, back), 0);
    assert_memory_equal(back, buckets, sizeof buckets);
    /* A bucket too many. */
    assert_int_equal(history_histogram_unpack("\0\1\177\1", 4, back), LOCKSTEP_E_BAD_FORMAT);
}

#define RUN                                                                                                            \
    "{\"schema\":\"lockstep-testbed-report\",\"version\":1,\"verdict\":\"FAIL\",\"reason\":\"too late\","              \
    "\"pattern\":\"daq48.csv\",\"header\":{\"title\":\"T\",\"lockstep\":\"0.1.0\",\"ended\":\"2026-11-23T10:00:00Z\"," \
    "\"rounds\":3,\"duration_s\":10.5,\"nodes\":[{},{}]},\"runs\":[{\"stack\":\"kernel\",\"phase\":\"random\","        \
    "\"verdict\":\"PASS\",\"classes\":[{\"name\":\"tcp1\",\"received\":10,\"lost\":1,\"verdict\":\"PASS\","            \
    "\"latency\":{\"count\":10,\"p50_ns\":5,\"p99_ns\":9,\"max_ns\":12}}],\"types\":[{\"name\":\"tcp1.1\","            \
    "\"class\":\"tcp1\",\"received\":10,\"lost\":1,\"verdict\":\"PASS\",\"limit_ns\":1000,\"bound_ns\":null,"          \
    "\"latency\":{\"count\":0}}]}],\"comparisons\":[]}"

static void a_run_is_read_and_kept_once(void **state)
{
    char problem[HISTORY_RUN_PROBLEM_MAX];
    struct history_run *run;

    (void)state;
    assert_int_equal(history_run_parse(RUN, strlen(RUN), &run, problem), 0);
    assert_int_equal(run->count, 3);
    assert_int_equal(run->ended_ns, 1795428000ll * SECOND_NS);
    assert_int_equal(case_open(), 0);
    assert_int_equal(history_store_begin(case_store, &case_now), 0);
    assert_int_equal(history_run_add(case_store, run, case_now.realtime_ns), 1);
    assert_int_equal(history_run_add(case_store, run, case_now.realtime_ns), 0);
    assert_int_equal(history_store_commit(case_store), 0);
    assert_int_equal(case_number("SELECT count(*) FROM runs"), 1);
    assert_int_equal(case_number("SELECT count(*) FROM run_results"), 3);
    assert_int_equal(case_number("SELECT received FROM run_results WHERE level = 0"), 10);
    assert_int_equal(case_number("SELECT p99_ns FROM run_results WHERE level = 1"), 9);
    assert_int_equal(case_number("SELECT limit_ns FROM run_results WHERE level = 2 AND p50_ns IS NULL"), 1000);
    history_run_free(run);
    /* Its results go with it. */
    case_limits.keep_s[HISTORY_RUNS] = 86400;
    case_close();
    assert_int_equal(case_open(), 0);
    case_pass(2 * DAY_NS);
    prune_all();
    assert_int_equal(case_number("SELECT (SELECT count(*) FROM runs) + (SELECT count(*) FROM run_results)"), 0);
}

static void check_refused(const char *text, const char *expected)
{
    char problem[HISTORY_RUN_PROBLEM_MAX] = "";
    struct history_run *run;

    assert_true(history_run_parse(text, strlen(text), &run, problem) < 0);
    assert_null(run);
    if (!strstr(problem, expected))
        fail_msg("\"%s\" does not say \"%s\"", problem, expected);
}

static void what_is_wrong_in_a_run_is_named(void **state)
{
    char text[sizeof RUN];

    (void)state;
    check_refused("", "not a JSON object");
    check_refused("[]", "not a JSON object");
    check_refused("{\"schema\":\"lockstep-testbench-result\",\"version\":1}", "wanted lockstep-testbed-report 1");
    check_refused("{\"schema\":\"lockstep-testbed-report\",\"version\":1}", "verdict: is missing");
    for (size_t length = 0; length < sizeof RUN - 1; length++) {
        memcpy(text, RUN, length);
        text[length] = 0;
        check_refused(text, "not a JSON object");
    }
    strcpy(text, RUN);
    memcpy(strstr(text, "2026-11-23T"), "2026-13-23T", 11);
    check_refused(text, "ended: is not a time");
    strcpy(text, RUN);
    memcpy(strstr(text, "\"received\":10"), "\"received\":-1", 13);
    check_refused(text, "received: -1 is not from 0");
}

static void a_run_comes_from_a_regular_file_only(void **state)
{
    char problem[HISTORY_RUN_PROBLEM_MAX], path[120], link[120];
    struct history_run *run;

    (void)state;
    snprintf(path, sizeof path, "%s/run.json", case_directory);
    snprintf(link, sizeof link, "%s/link.json", case_directory);
    assert_true(history_run_read(path, &run, problem) < 0);
    write_file(path, RUN, strlen(RUN), 0);
    assert_int_equal(history_run_read(path, &run, problem), 0);
    history_run_free(run);
    assert_int_equal(symlink(path, link), 0);
    assert_true(history_run_read(link, &run, problem) < 0);
    assert_string_equal(problem, "is a symbolic link");
    unlink(link);
    assert_int_equal(mkfifo(link, 0600), 0);
    assert_true(history_run_read(link, &run, problem) < 0);
    assert_string_equal(problem, "is not a regular file");
}

/* The only file of a directory. */
static const char *only_file(const char *directory)
{
    static char path[400];
    struct dirent *entry;
    DIR *stream = opendir(directory);
    int count = 0;

    while ((entry = readdir(stream))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && ++count)
            snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
    }
    closedir(stream);
    assert_int_equal(count, 1);
    return path;
}

static void a_run_is_left_for_the_recorder(void **state)
{
    char problem[HISTORY_RUN_PROBLEM_MAX], directory[100];
    mode_t mask = umask(0077);
    struct history_run *run;
    struct stat status;
    const char *path;

    (void)state;
    snprintf(directory, sizeof directory, "%s/runs", case_directory);
    assert_int_equal(history_run_leave(directory, RUN, strlen(RUN)), -ENOENT);
    write_file(case_path, "", 0, 0);
    assert_int_equal(history_run_leave(case_path, RUN, strlen(RUN)), -ENOTDIR);
    mkdir(directory, 0700);
    assert_int_equal(history_run_leave(directory, RUN, strlen(RUN)), 0);
    umask(mask);
    path = only_file(directory);
    assert_true(strrchr(path, '/')[1] != '.' && strcmp(strrchr(path, '.'), ".json") == 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
    assert_int_equal(history_run_read(path, &run, problem), 0);
    history_run_free(run);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, case_begin, case_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_new_database_is_made_and_found_again),
        CASE(a_version_1_file_is_brought_forward_with_its_rows),
        CASE(a_newer_database_is_left_as_it_is),
        CASE(somebody_elses_database_is_left_as_it_is),
        CASE(what_is_no_database_is_damaged_and_moved_aside),
        CASE(damage_within_is_found_when_opened),
        CASE(damage_while_open_is_told),
        CASE(a_removed_file_is_noticed),
        CASE(a_writer_elsewhere_is_waited_for),
        CASE(a_reader_that_stays_cannot_make_the_log_grow),
        cmocka_unit_test_setup_teardown(a_full_or_failing_disk_loses_one_transaction_only, case_begin, use_real_vfs),
        CASE(rows_live_as_long_as_is_said),
        CASE(an_open_connection_is_never_too_old),
        CASE(a_wrong_wall_clock_removes_nothing),
        CASE(a_reboot_ages_by_a_week_at_most),
        CASE(the_size_is_kept_and_the_oldest_rows_go),
        CASE(a_smaller_limit_gives_space_back),
        CASE(a_histogram_comes_back_as_it_was),
        CASE(a_run_is_read_and_kept_once),
        CASE(what_is_wrong_in_a_run_is_named),
        CASE(a_run_comes_from_a_regular_file_only),
        CASE(a_run_is_left_for_the_recorder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
