/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/follow.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "monitor/binary_report.h"
#include "monitor/event_text.h"
#include "platform/platform.h"
#include "platform/stop_signals.h"
#include "tools/report.h"

#define LOOK_MS 50 /* the journal wakes nobody up */

struct follower {
    const char *dir;
    bool json, refused;
    struct netd_client *client; /* NULL: the service is away */
    struct journal_reader reader;
};

/* --- printing ----------------------------------------------------------------------------------------------- */

static void print_line(int64_t realtime_ns, const char *text)
{
    time_t seconds = (time_t)(realtime_ns / 1000000000);
    struct tm local;
    char when[40];

    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime_r(&seconds, &local));
    printf("%s.%03d  %s\n", when, (int)(realtime_ns / 1000000 % 1000), text);
}

static void print_record(const struct follower *follower, const struct journal_record *record)
{
    struct json_stream json = {.out = stdout};
    char text[EVENT_TEXT_MAX];

    if (!event_type(record))
        return; /* of a newer service */
    if (!follower->json) {
        event_text(record, text);
        print_line(record->realtime_ns, text);
        return;
    }
    json_begin(&json, NULL, '{');
    json_put_int(&json, "time_ns", record->realtime_ns);
    json_put_uint(&json, "instance", follower->reader.instance);
    json_put_uint(&json, "sequence", record->sequence);
    event_write(record, &json);
    json_end(&json, '}');
    fputc('\n', stdout);
}

/* What the journal does not say itself. records: 0, or how many are missing. */
static void print_note(const struct follower *follower, const char *event, uint64_t records, const char *text)
{
    int64_t now_ns = (int64_t)platform_now_ns() + platform_realtime_offset_ns();
    struct json_stream json = {.out = stdout};

    if (!follower->json) {
        print_line(now_ns, text);
        return;
    }
    json_begin(&json, NULL, '{');
    json_put_int(&json, "time_ns", now_ns);
    json_put_uint(&json, "instance", follower->reader.instance);
    json_put_text(&json, "event", event);
    if (records)
        json_put_uint(&json, "records", records);
    json_end(&json, '}');
    fputc('\n', stdout);
}

/* --- the journal -------------------------------------------------------------------------------------------- */

/* All that is there. False: nobody reads it. */
static bool print_journal(struct follower *follower, bool print)
{
    union {
        struct journal_record record;
        char bytes[JOURNAL_RECORD_MAX];
    } next;
    uint64_t lost = 0;

    while (journal_next(&follower->reader, &next.record, &lost)) {
        if (lost && print) {
            char text[EVENT_TEXT_MAX];

            snprintf(text, sizeof text, "%" PRIu64 " events were overwritten before they could be read", lost);
            print_note(follower, "lost", lost, text);
        }
        lost = 0;
        if (print)
            print_record(follower, &next.record);
    }
    return fflush(stdout) == 0;
}

static int connect_service(struct follower *follower)
{
    int err = client_connect(&follower->client, follower->dir, "lockstep", 0, NULL);

    if (err < 0)
        return err;
    err = journal_ask(follower->client, &follower->reader);
    if (err < 0) {
        client_close(follower->client);
        follower->client = NULL;
    }
    return err;
}

static void look_for_service(struct follower *follower)
{
    int err = connect_service(follower);

    if (err < 0 && err != LOCKSTEP_E_NO_SERVICE && !follower->refused)
        fprintf(stderr, "lockstep: the service gives no journal: %s\n", error_text(err));
    follower->refused = err < 0 && err != LOCKSTEP_E_NO_SERVICE;
}

/* The memory of its journal lives on until the reader lets it go. */
static bool leave_service(struct follower *follower)
{
    bool heard = print_journal(follower, true);

    print_note(follower, "gone", 0, "the service is gone");
    journal_reader_close(&follower->reader);
    client_close(follower->client);
    follower->client = NULL;
    return heard;
}

static bool look(struct follower *follower)
{
    if (!follower->client)
        look_for_service(follower);
    if (follower->client && client_check(follower->client) < 0)
        return leave_service(follower);
    return !follower->client || print_journal(follower, true);
}

int follow_events(const char *dir, bool json)
{
    struct follower follower = {.dir = dir, .json = json};
    struct pollfd wait[] = {{platform_stop_signals(), POLLIN, 0}, {-1, 0, 0}};

    if (wait[0].fd < 0) {
        fprintf(stderr, "lockstep: cannot take signals: %s\n", error_text(wait[0].fd));
        return 1;
    }
    follower.client = report_connect(dir);
    if (!follower.client)
        return 1;
    if (journal_ask(follower.client, &follower.reader) < 0) {
        fprintf(stderr, "lockstep: the service keeps no journal: it is older than this command\n");
        client_close(follower.client);
        return 1;
    }
    print_journal(&follower, false); /* what was before */
    while (look(&follower)) {
        wait[1].fd = follower.client ? client_fd(follower.client) : -1; /* hang-up only */
        if (poll(wait, 2, LOOK_MS) > 0 && wait[0].revents)
            break;
    }
    if (follower.client) {
        print_journal(&follower, true);
        journal_reader_close(&follower.reader);
        client_close(follower.client);
    }
    close(wait[0].fd);
    return 0;
}
