/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes what the watchers have seen, about once a second, and lives with every trouble that a database can have. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "monitor/history_recorder.h"
#include "monitor/historyd.h"
#include "platform/file_lock.h"
#include "platform/platform.h"
#include "platform/service_manager.h"

#define TURN_MS       1000
#define BACK_OFF_S    30 /* at most, after a failure */
#define BUSY_MS       500
#define BATCHES_MAX   16           /* of one turn */
#define PRUNE_NS      200000000ull /* after each batch, or in a turn without one */
#define LAST_TRIES    3
#define NOT_OURS_EXIT 3 /* lockstep-historyd.service does not start it again */

struct writer {
    struct historyd *historyd;
    struct history_limits limits;
    struct history_recorder *recorder;
    struct history_store *store; /* NULL: closed */
    struct list batch;           /* what is being written */
    int trouble;                 /* of the last try; 0: none */
    uint64_t trouble_since_ns, next_try_ns, back_off_s;
};

static const char *trouble_text(int err)
{
    switch (err) {
    case -EAGAIN:
        return "it is locked by another program, or a reader does not end";
    case LOCKSTEP_E_BAD_VERSION:
        return "it was made by a newer Lockstep: nothing is written to it";
    case LOCKSTEP_E_CONFLICT:
        return "it is a database of something else: nothing is written to it";
    default:
        return error_text(err);
    }
}

/* A try has failed: what waits stays in the queue, and the next try comes later, the longer the trouble lasts. */
static void note_trouble(struct writer *writer, int err)
{
    uint64_t now_ns = platform_now_ns();

    if (writer->trouble == 0) {
        writer->trouble_since_ns = now_ns;
        writer->back_off_s = 1;
    }
    if (writer->trouble != err)
        log_error("database: cannot write %s: %s", writer->historyd->config.database, trouble_text(err));
    writer->trouble = err;
    writer->next_try_ns = now_ns + writer->back_off_s * 1000000000;
    writer->back_off_s = writer->back_off_s * 2 < BACK_OFF_S ? writer->back_off_s * 2 : BACK_OFF_S;
    if (err == -EAGAIN) /* it may end at any moment */
        writer->back_off_s = 1;
}

static void note_recovery(struct writer *writer)
{
    if (writer->trouble)
        log_info("database: writing again, after %" PRIu64 " s",
                 (platform_now_ns() - writer->trouble_since_ns) / 1000000000);
    writer->trouble = 0;
}

/* --- the database ------------------------------------------------------------------------------------------- */

static void close_store(struct writer *writer)
{
    history_store_close(writer->store);
    writer->store = NULL;
}

/* Written with the first batch of the new database. */
static void put_damage_note(struct writer *writer, const char *moved)
{
    struct history_item *item = history_item_create(HISTORY_ITEM_GAP);

    if (!item)
        return;
    item->gap.from_ns = 0;
    item->gap.lost = -1;
    snprintf(item->gap.what, sizeof item->gap.what, "database");
    snprintf(item->gap.text, sizeof item->gap.text, "it was damaged, and moved to %.120s", moved);
    item->bytes = 0; /* it never was in the queue */
    list_push_front(&writer->batch, &item->link);
}

static int replace_damaged(struct writer *writer, const struct history_moment *now)
{
    const char *path = writer->historyd->config.database;
    char moved[HISTORY_PATH_MAX];
    int err;

    close_store(writer);
    err = history_store_move_aside(path, now, moved);
    if (err < 0) {
        log_error("database: %s is damaged, and cannot be moved aside: %s", path, error_text(err));
        return err;
    }
    log_error("database: %s was damaged: moved to %s, and a new one is begun", path, moved);
    put_damage_note(writer, moved);
    return 0;
}

static int open_store(struct writer *writer, const struct history_moment *now)
{
    const char *path = writer->historyd->config.database;
    int err = history_store_open(path, &writer->limits, &writer->store), found;

    if (err == LOCKSTEP_E_BAD_FORMAT && replace_damaged(writer, now) == 0)
        err = history_store_open(path, &writer->limits, &writer->store);
    if (err < 0) {
        writer->store = NULL;
        return err;
    }
    found = history_store_found_version(writer->store);
    if (found == 0)
        log_info("database: %s is new", path);
    else if (found < HISTORY_SCHEMA_VERSION)
        log_info("database: %s brought from version %d to %d", path, found, HISTORY_SCHEMA_VERSION);
    return 0;
}

/* Open, at its path, and known to the recorder. */
static int ready_store(struct writer *writer, const struct history_moment *now)
{
    int err = 0;

    if (writer->store && history_store_moved(writer->store)) {
        log_error("database: %s was removed or replaced", writer->historyd->config.database);
        close_store(writer);
    }
    if (writer->store && writer->trouble == 0)
        return 0;
    if (!writer->store)
        err = open_store(writer, now);
    return err < 0 ? err : history_recorder_attach(writer->recorder, writer->store, now);
}

/* --- batches ------------------------------------------------------------------------------------------------ */

/* What came from files is in the database now. */
static void remove_runs(struct writer *writer)
{
    list_for_each(link, &writer->batch)
    {
        struct history_item *item = list_entry(link, struct history_item, link);

        if (item->type != HISTORY_ITEM_RUN || !item->run.path)
            continue;
        if (unlink(item->run.path) < 0)
            log_warning("runs: %s is in the history, but cannot be removed: %s", item->run.path, error_text(-errno));
        else
            log_info("runs: %s is in the history", item->run.path);
    }
}

static int prune(struct writer *writer, const struct history_moment *now)
{
    uint64_t begin_ns = platform_now_ns();
    int err = 1;

    while (err > 0 && platform_now_ns() - begin_ns < PRUNE_NS)
        err = history_store_prune(writer->store, now);
    return err < 0 ? err : 0;
}

static int write_batch(struct writer *writer, const struct history_moment *now)
{
    int err = ready_store(writer, now);

    if (err == 0)
        err = history_recorder_write(writer->recorder, &writer->batch, now);
    if (err == 0) {
        remove_runs(writer);
        history_queue_done(&writer->historyd->queue, &writer->batch);
        err = prune(writer, now);
    } else if (err == -ENOSPC && writer->store) {
        prune(writer, now); /* perhaps it is our own limit */
    }
    return err;
}

/* True if there is more to do at once. */
static bool turn(struct writer *writer)
{
    struct history_moment now;
    int err;

    if (writer->trouble && platform_now_ns() < writer->next_try_ns)
        return false;
    if (list_empty(&writer->batch))
        history_queue_take(&writer->historyd->queue, &writer->batch, history_store_batch(&writer->limits));
    history_moment_now(&now);
    err = list_empty(&writer->batch) && writer->store && !writer->trouble ? prune(writer, &now)
                                                                          : write_batch(writer, &now);
    if (err == 0) {
        note_recovery(writer);
        return !history_queue_empty(&writer->historyd->queue);
    }
    note_trouble(writer, err);
    if (err == LOCKSTEP_E_BAD_FORMAT && writer->store && replace_damaged(writer, &now) == 0)
        writer->next_try_ns = 0;
    else if (err != -EAGAIN && err != -ENOSPC)
        close_store(writer);
    return false;
}

/* --- the loop ----------------------------------------------------------------------------------------------- */

static void show_status(struct writer *writer)
{
    struct history_recorder_counts counts;

    history_recorder_get_counts(writer->recorder, &counts);
    service_manager_status("%s%" PRIu64 " records of the service, %" PRIu64 " connections, %" PRIu64 " records lost",
                           writer->trouble ? "Cannot write. " : "", counts.records, counts.connections, counts.lost);
}

static void run(struct writer *writer, int stop_fd)
{
    struct pollfd wait = {.fd = stop_fd, .events = POLLIN};

    do {
        for (int i = 0; i < BATCHES_MAX && turn(writer); i++) {
        }
        show_status(writer);
        service_manager_feed(platform_now_ns());
    } while (poll(&wait, 1, TURN_MS) <= 0);
}

static bool refuses(int err)
{
    return err == LOCKSTEP_E_BAD_VERSION || err == LOCKSTEP_E_CONFLICT;
}

/* The watchers have ended: what they have left in the queue. */
static void write_rest(struct writer *writer)
{
    for (int tries = 0;
         tries < LAST_TRIES && !(list_empty(&writer->batch) && history_queue_empty(&writer->historyd->queue));) {
        writer->next_try_ns = 0;
        if (!turn(writer) && writer->trouble)
            tries++;
    }
}

/* One recorder for a database: two would write everything twice. The descriptor keeps the lock. */
static int lock_database(const char *database)
{
    char path[HISTORY_PATH_MAX];
    int err, fd;

    snprintf(path, sizeof path, "%s.lock", database);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    err = fd < 0 ? -errno : file_lock_take(fd);
    if (err == 0)
        return fd;
    if (err == -EWOULDBLOCK)
        log_error("database: another recorder writes to %s", database);
    else
        log_error("database: cannot lock %s: %s", path, error_text(err));
    if (fd >= 0)
        close(fd);
    return err;
}

static void begin(struct writer *writer, struct historyd *historyd)
{
    writer->historyd = historyd;
    writer->recorder = history_recorder_create();
    writer->limits = (struct history_limits){.size_max = historyd->config.size, .busy_ms = BUSY_MS};
    for (int kind = 0; kind < HISTORY_KINDS; kind++)
        writer->limits.keep_s[kind] = historyd->config.keep_days[kind] * 86400;
    list_init(&writer->batch);
}

/* Between the watchers' beginning and end. */
static void write_while_watching(struct writer *writer, int stop_fd)
{
    pthread_t service, clock;

    if (pthread_create(&service, NULL, historyd_watch_service, writer->historyd) != 0) {
        log_error("cannot start a thread");
        return;
    }
    if (pthread_create(&clock, NULL, historyd_watch_clock, writer->historyd) == 0) {
        service_manager_ready();
        run(writer, stop_fd);
        service_manager_stopping();
        __atomic_store_n(&writer->historyd->stopping, true, __ATOMIC_RELAXED);
        pthread_join(clock, NULL);
    }
    __atomic_store_n(&writer->historyd->stopping, true, __ATOMIC_RELAXED);
    pthread_join(service, NULL);
    write_rest(writer);
}

int historyd_run(struct historyd *historyd, int stop_fd)
{
    int lock = lock_database(historyd->config.database), exit_status = 0;
    struct writer writer = {0};

    if (lock < 0)
        return 1;
    begin(&writer, historyd);
    if (writer.recorder)
        turn(&writer);
    if (!writer.recorder)
        exit_status = 1;
    else if (refuses(writer.trouble))
        exit_status = NOT_OURS_EXIT;
    else
        write_while_watching(&writer, stop_fd);
    close_store(&writer);
    history_queue_done(&historyd->queue, &writer.batch);
    history_recorder_destroy(writer.recorder);
    close(lock);
    return exit_status;
}
