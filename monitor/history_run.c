/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/history_run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "monitor/history_value.h"
#include "monitor/json_report.h"
#include "testbed/json_read.h"
#include "testbed/report.h"

#define SCHEMA    "lockstep-testbed-report"
#define RUNS_MAX  64
#define ITEMS_MAX 4096 /* classes or types of a run */

/* A number that may be missing or null. */
static int64_t optional_int(struct json_object *object, const char *key)
{
    struct json_object *value = report_member(object, key);
    int64_t number = json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : -1;

    return number < 0 ? -1 : number;
}

static void read_text(struct json_reader *reader, struct json_object *object, const char *key, char *out, size_t size)
{
    json_read_text(reader, object, key, out, size);
    history_text_clean(out);
}

static void read_latency(struct json_object *object, struct history_run_result *result)
{
    struct json_object *latency = report_member(object, "latency");

    result->p50_ns = optional_int(latency, "p50_ns");
    result->p99_ns = optional_int(latency, "p99_ns");
    result->p99_9_ns = optional_int(latency, "p99_9_ns");
    result->max_ns = optional_int(latency, "max_ns");
    result->limit_ns = optional_int(object, "limit_ns");
    result->bound_ns = optional_int(object, "bound_ns");
}

/* Room for one more; NULL after a note in the reader. */
static struct history_run_result *add_result(struct json_reader *reader, struct history_run *run,
                                             enum history_run_level level)
{
    struct history_run_result *result;

    if (run->count == HISTORY_RUN_RESULTS_MAX) {
        json_read_fail(reader, LOCKSTEP_E_EXHAUSTED, "runs", "have too many results");
        return NULL;
    }
    if ((run->count & (run->count - 1)) == 0) {
        struct history_run_result *larger =
            reallocarray(run->results, run->count ? run->count * 2 : 1, sizeof *run->results);

        if (!larger) {
            json_read_fail(reader, -ENOMEM, "runs", "are too many for the memory");
            return NULL;
        }
        run->results = larger;
    }
    result = &run->results[run->count++];
    memset(result, 0, sizeof *result);
    result->level = level;
    result->received = result->lost = result->limit_ns = result->bound_ns = -1;
    result->p50_ns = result->p99_ns = result->p99_9_ns = result->max_ns = -1;
    return result;
}

static void read_item(struct json_reader *reader, struct history_run *run, struct json_object *item,
                      const struct history_run_result *whole, enum history_run_level level)
{
    struct history_run_result *result = add_result(reader, run, level);

    if (!result)
        return;
    memcpy(result->stack, whole->stack, sizeof result->stack);
    memcpy(result->phase, whole->phase, sizeof result->phase);
    read_text(reader, item, "name", result->name, sizeof result->name);
    if (level == HISTORY_RUN_TYPE)
        read_text(reader, item, "class", result->class_name, sizeof result->class_name);
    read_text(reader, item, "verdict", result->verdict, sizeof result->verdict);
    result->received = json_read_int(reader, item, "received", 0, INT64_MAX);
    result->lost = json_read_int(reader, item, "lost", 0, INT64_MAX);
    read_latency(item, result);
}

static void read_run(struct json_reader *reader, struct history_run *run, struct json_object *object)
{
    static const char *const arrays[] = {"classes", "types"};
    struct history_run_result *result = add_result(reader, run, HISTORY_RUN_STACK), whole;
    int64_t received = 0, lost = 0;
    size_t index = run->count - 1;

    if (!result)
        return;
    read_text(reader, object, "stack", result->stack, sizeof result->stack);
    read_text(reader, object, "phase", result->phase, sizeof result->phase);
    read_text(reader, object, "verdict", result->verdict, sizeof result->verdict);
    whole = *result;
    for (unsigned i = 0; i < 2; i++) {
        size_t count;
        struct json_object *array = json_read_array(reader, object, arrays[i], ITEMS_MAX, &count);

        for (size_t j = 0; j < count && !reader->err; j++)
            read_item(reader, run, json_object_array_get_idx(array, j), &whole,
                      i ? HISTORY_RUN_TYPE : HISTORY_RUN_CLASS);
    }
    for (size_t i = index + 1; i < run->count; i++) {
        if (run->results[i].level == HISTORY_RUN_CLASS) {
            __builtin_add_overflow(received, run->results[i].received, &received);
            __builtin_add_overflow(lost, run->results[i].lost, &lost);
        }
    }
    run->results[index].received = received < 0 ? INT64_MAX : received;
    run->results[index].lost = lost < 0 ? INT64_MAX : lost;
}

static void read_header(struct json_reader *reader, struct json_object *document, struct history_run *run)
{
    struct json_object *header = json_read_object(reader, document, "header");
    struct tm utc = {0};
    const char *rest;
    size_t nodes;
    char ended[32];

    read_text(reader, header, "title", run->title, sizeof run->title);
    read_text(reader, header, "lockstep", run->version, sizeof run->version);
    read_text(reader, header, "ended", ended, sizeof ended);
    run->rounds = json_read_int(reader, header, "rounds", 0, 1000000);
    json_read_array(reader, header, "nodes", 1000, &nodes);
    run->nodes = (int64_t)nodes;
    run->duration_s = report_real(header, "duration_s");
    rest = strptime(ended, "%Y-%m-%dT%H:%M:%SZ", &utc);
    if (!rest || *rest)
        json_read_fail(reader, LOCKSTEP_E_BAD_FORMAT, "ended", "is not a time like 2026-11-23T10:00:00Z");
    else
        run->ended_ns = (int64_t)timegm(&utc) * 1000000000;
    if (utc.tm_year < 70 || utc.tm_year > 300)
        json_read_fail(reader, LOCKSTEP_E_BAD_VALUE, "ended", "is not between 1970 and 2200");
}

/* Without a key: the same document has the same one on each machine. */
static void take_fingerprint(struct history_run *run, const char *text, size_t length)
{
    const struct hash_key keys[2] = {{{1, 2}}, {{3, 4}}};

    snprintf(run->fingerprint, sizeof run->fingerprint, "%016" PRIx64 "%016" PRIx64, hash_bytes(&keys[0], text, length),
             hash_bytes(&keys[1], text, length));
}

static void read_document(struct json_reader *reader, struct json_object *document, struct history_run *run)
{
    struct json_object *runs;
    size_t count;

    read_text(reader, document, "verdict", run->verdict, sizeof run->verdict);
    read_text(reader, document, "reason", run->reason, sizeof run->reason);
    read_text(reader, document, "pattern", run->pattern, sizeof run->pattern);
    read_header(reader, document, run);
    runs = json_read_array(reader, document, "runs", RUNS_MAX, &count);
    for (size_t i = 0; i < count && !reader->err; i++)
        read_run(reader, run, json_object_array_get_idx(runs, i));
}

int history_run_parse(const char *text, size_t length, struct history_run **out, char *problem)
{
    struct json_reader reader = {.what = "report", .problem = problem, .problem_size = HISTORY_RUN_PROBLEM_MAX};
    struct json_object *document = json_read_document(&reader, text, length, SCHEMA, REPORT_VERSION);
    struct history_run *run;

    *out = NULL;
    if (!document)
        return reader.err;
    run = calloc(1, sizeof *run);
    if (run) {
        read_document(&reader, document, run);
        take_fingerprint(run, text, length);
    } else {
        json_read_fail(&reader, -ENOMEM, "document", "is too large for the memory");
    }
    json_object_put(document);
    if (reader.err)
        history_run_free(run);
    else
        *out = run;
    return reader.err;
}

int history_run_read(const char *path, struct history_run **out, char *problem)
{
    int result, fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    char link[40], *text = NULL;
    struct stat status;
    size_t length;

    *out = NULL;
    if (fd < 0 || fstat(fd, &status) < 0) {
        result = -errno;
        snprintf(problem, HISTORY_RUN_PROBLEM_MAX, "%s", errno == ELOOP ? "is a symbolic link" : error_text(result));
        if (fd >= 0)
            close(fd);
        return result;
    }
    if (!S_ISREG(status.st_mode) || status.st_size > HISTORY_RUN_BYTES_MAX) {
        snprintf(problem, HISTORY_RUN_PROBLEM_MAX, "%s",
                 S_ISREG(status.st_mode) ? "is larger than 32 MiB" : "is not a regular file");
        close(fd);
        return LOCKSTEP_E_BAD_FORMAT;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    result = file_read(link, HISTORY_RUN_BYTES_MAX, &text, &length);
    close(fd);
    if (result < 0)
        snprintf(problem, HISTORY_RUN_PROBLEM_MAX, "%s", error_text(result));
    else
        result = history_run_parse(text, length, out, problem);
    free(text);
    return result;
}

void history_run_free(struct history_run *run)
{
    if (run)
        free(run->results);
    free(run);
}

/* --- for the recorder --------------------------------------------------------------------------------------- */

/* The recorder looks at names that end in .json and begin with no dot, and reads a file once. */
int history_run_leave(const char *directory, const char *text, size_t length)
{
    char name[80], hidden[HISTORY_PATH_MAX], path[HISTORY_PATH_MAX];
    struct history_moment now;
    int err;

    history_moment_now(&now);
    snprintf(name, sizeof name, "testbed-%" PRId64 "-%d.json", now.realtime_ns, getpid());
    if ((size_t)snprintf(hidden, sizeof hidden, "%s/.%s", directory, name) >= sizeof hidden)
        return -ENAMETOOLONG;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    err = file_write(hidden, text, length);
    if (err < 0)
        return err;
    if (chmod(hidden, 0640) == 0 && rename(hidden, path) == 0)
        return 0;
    err = -errno;
    unlink(hidden);
    return err;
}

/* --- storing ------------------------------------------------------------------------------------------------ */

static double known(int64_t number)
{
    return number < 0 ? (double)NAN : (double)number;
}

static int add_row(struct history_sql *sql, int64_t id, const struct history_run_result *result)
{
    return history_sql_run(sql,
                           "INSERT INTO run_results(run, level, stack, phase, name, class, verdict, received, lost,"
                           " limit_ns, bound_ns, p50_ns, p99_ns, p99_9_ns, max_ns)"
                           " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                           "iitttttiidddddd", id, (int64_t)result->level, result->stack, result->phase, result->name,
                           result->class_name, result->verdict, result->received, result->lost, known(result->limit_ns),
                           known(result->bound_ns), known(result->p50_ns), known(result->p99_ns),
                           known(result->p99_9_ns), known(result->max_ns));
}

int history_run_add(struct history_store *store, const struct history_run *run, int64_t now_ns)
{
    struct history_sql *sql = history_store_sql(store);
    int64_t id;
    int result = history_sql_run(sql,
                                 "INSERT OR IGNORE INTO runs(line_s, at_ns, fingerprint, imported_ns, title, pattern,"
                                 " version, nodes, rounds, duration_s, verdict, reason)"
                                 " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ifnull(?, 0), ?, ?)",
                                 "iititttiidtt", history_store_line_s(store), run->ended_ns, run->fingerprint, now_ns,
                                 run->title, run->pattern, run->version, run->nodes, run->rounds, run->duration_s,
                                 run->verdict, run->reason);

    if (result < 0 || sqlite3_changes(sql->db) == 0)
        return result;
    id = sqlite3_last_insert_rowid(sql->db);
    for (size_t i = 0; i < run->count && result == 0; i++)
        result = add_row(sql, id, &run->results[i]);
    return result < 0 ? result : 1;
}
