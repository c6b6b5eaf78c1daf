/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/gatherer.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/histogram.h"
#include "base/log.h"
#include "monitor/binary_report.h"
#include "monitor/clock_client.h"
#include "monitor/event_log.h"
#include "monitor/gathered.h"
#include "monitor/json_report.h"
#include "platform/platform.h"

#define LOOKED_AT_NS     10000000000ull /* how long somebody is expected to look again */
#define PERIOD_LIVE_NS   1000000000ull
#define PERIOD_IDLE_NS   5000000000ull
#define HISTORY_EVERY_NS 10000000000ull
#define RECORDS_MOST     100000 /* of the journal, a round */

struct gatherer {
    char runtime_dir[108], history[256], node[65];
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows up to latest */
    pthread_cond_t wake;
    bool stopping;
    uint64_t looked_at_ns;
    struct snapshot *latest; /* never NULL */
    struct series *series;
    /* The thread's own. */
    uint64_t sequence;
    struct netd_client *client;
    bool journal_open;
    int netd_error; /* of the last round, to tell of changes */
    struct journal_reader journal;
    struct tracker *tracker;
    struct event_log events;
    struct runs runs;
    struct past_health health;
    uint64_t history_read_ns; /* 0: not yet */
    /* Of the round before, with its time; 0: none. */
    struct tracker_traffic traffic;
    uint64_t latency[LANE_STATS_SLOT_BUCKETS];
    uint64_t traffic_ns;
};

/* --- netd --------------------------------------------------------------------------------------------------- */

/* Closed connections go to the totals, everything to the list of events. */
static void read_journal(struct gatherer *gatherer)
{
    static _Alignas(8) char buffer[JOURNAL_RECORD_MAX];
    struct journal_record *record = (struct journal_record *)buffer;

    for (int i = 0; gatherer->journal_open && i < RECORDS_MOST; i++) {
        if (!journal_next(&gatherer->journal, record, &gatherer->events.lost))
            return;
        event_log_add(&gatherer->events, record);
        tracker_record(gatherer->tracker, record);
    }
}

/* What the service has written last is read first. */
static void disconnect(struct gatherer *gatherer)
{
    read_journal(gatherer);
    if (gatherer->journal_open)
        journal_reader_close(&gatherer->journal);
    gatherer->journal_open = false;
    if (gatherer->client)
        client_close(gatherer->client);
    gatherer->client = NULL;
}

static int connect_netd(struct gatherer *gatherer)
{
    int err;

    if (gatherer->client && client_check(gatherer->client) == 0)
        return 0;
    disconnect(gatherer);
    err = client_connect(&gatherer->client, gatherer->runtime_dir, "lockstep-web", 0, NULL);
    if (err < 0) {
        gatherer->client = NULL;
        return err;
    }
    /* An older service has none: there are no events then. */
    gatherer->journal_open = journal_ask(gatherer->client, &gatherer->journal) == 0;
    return 0;
}

static void ask_netd(struct gatherer *gatherer, struct gathered *gathered, struct snapshot *snapshot)
{
    gathered->netd_error = connect_netd(gatherer);
    if (gathered->netd_error == 0)
        gathered->netd_error = report_ask(gatherer->client, CONTROL_REPORT_STATUS, &gathered->status);
    if (gathered->netd_error < 0) {
        disconnect(gatherer);
        gathered->table_error = gathered->netd_error;
        return;
    }
    gathered->table_error = table_ask(gatherer->client, true, &snapshot->table);
    if (gathered->table_error < 0)
        return;
    snapshot->rates = calloc(snapshot->table.header.connection_count + 1u, sizeof *snapshot->rates);
    if (!snapshot->rates) {
        table_free(&snapshot->table);
        gathered->table_error = -ENOMEM;
        return;
    }
    tracker_table(gatherer->tracker, &snapshot->table, snapshot->rates);
    read_journal(gatherer);
}

/* --- one round ---------------------------------------------------------------------------------------------- */

static void ask_clockd(const struct gatherer *gatherer, struct gathered *gathered)
{
    gathered->clock_status = clock_fetch(gatherer->runtime_dir, "status", true);
    if (!gathered->clock_status)
        return;
    gathered->clock_sources = clock_fetch(gatherer->runtime_dir, "sources", true);
    gathered->clock_stats = clock_fetch(gatherer->runtime_dir, "stats", true);
}

static void look_at_history(struct gatherer *gatherer)
{
    uint64_t now = platform_now_ns();

    if (gatherer->history_read_ns && now - gatherer->history_read_ns < HISTORY_EVERY_NS)
        return;
    runs_read(gatherer->history, &gatherer->runs);
    past_read_health(gatherer->history, &gatherer->health);
    gatherer->history_read_ns = now;
}

static double per_second(uint64_t now, uint64_t before, double seconds)
{
    return now >= before ? (double)(now - before) / seconds : (double)NAN;
}

/* Of the packets since the round before; none: not known. */
static void compute_quantiles(const uint64_t *now, const uint64_t *before, struct series_point *point)
{
    static const uint32_t per_million[] = {500000, 990000};
    uint32_t latency[LANE_STATS_SLOT_BUCKETS];
    uint64_t quantiles[2];

    for (unsigned i = 0; i < LANE_STATS_SLOT_BUCKETS; i++)
        latency[i] = now[i] < before[i] ? 0 : (uint32_t)(now[i] - before[i]);
    if (histogram_coarse_quantiles(latency, per_million, 2, quantiles) == 0)
        return;
    point->p50_ns = (double)quantiles[0];
    point->p99_ns = (double)quantiles[1];
}

static void compute_rates(struct gatherer *gatherer, struct gathered *gathered)
{
    struct tracker_traffic now = tracker_traffic(gatherer->tracker), before = gatherer->traffic;
    uint64_t latency[LANE_STATS_SLOT_BUCKETS];
    struct series_point *point = &gathered->point;
    uint64_t now_ns = gathered->table->header.monotonic_ns;
    double seconds = (double)(now_ns - gatherer->traffic_ns) * 1e-9;

    if (gathered->table_error < 0) {
        gatherer->traffic_ns = 0;
        return;
    }
    point->connections = gathered->table->header.connection_count;
    tracker_latency(gatherer->tracker, latency);
    if (gatherer->traffic_ns && now_ns > gatherer->traffic_ns) {
        point->rx_bits = 8 * per_second(now.rx_bytes, before.rx_bytes, seconds);
        point->tx_bits = 8 * per_second(now.tx_bytes, before.tx_bytes, seconds);
        point->drops = per_second(now.drops, before.drops, seconds);
        point->retransmissions = per_second(now.retransmissions, before.retransmissions, seconds);
        compute_quantiles(latency, gatherer->latency, point);
    }
    gatherer->traffic = now;
    memcpy(gatherer->latency, latency, sizeof latency);
    gatherer->traffic_ns = now_ns;
}

/* What `write` writes. NULL: no memory. */
static struct body *write_body(void (*write)(FILE *out, const void *what), const void *what)
{
    struct body_writer writer;

    if (!body_begin(&writer))
        return NULL;
    write(writer.out, what);
    return body_end(&writer);
}

static void write_summary(FILE *out, const void *gathered)
{
    struct json_stream json = {.out = out};

    gathered_write_summary(&json, gathered);
}
static void write_clock(FILE *out, const void *gathered)
{
    gathered_write_clock(out, gathered);
}
static void write_metrics(FILE *out, const void *gathered)
{
    gathered_write_metrics(out, gathered);
}
static void write_status(FILE *out, const void *gathered)
{
    fputs(json_object_to_json_string_ext(((const struct gathered *)gathered)->status, JSON_C_TO_STRING_PLAIN), out);
}
static void write_events(FILE *out, const void *events)
{
    struct json_stream json = {.out = out};

    json_begin(&json, NULL, '{');
    event_log_write(events, &json);
    json_end(&json, '}');
}

static void write_runs(FILE *out, const void *runs)
{
    struct json_stream json = {.out = out};

    runs_write(runs, &json);
}

static void write_documents(struct gatherer *gatherer, const struct gathered *gathered, struct snapshot *snapshot)
{
    snapshot->summary = write_body(write_summary, gathered);
    snapshot->clock = write_body(write_clock, gathered);
    snapshot->metrics = write_body(write_metrics, gathered);
    snapshot->events = write_body(write_events, &gatherer->events);
    snapshot->runs = write_body(write_runs, &gatherer->runs);
    if (gathered->status)
        snapshot->status = write_body(write_status, gathered);
}

/* Said when it changes, not each round. */
static void tell(struct gatherer *gatherer, int netd_error)
{
    if (netd_error == gatherer->netd_error)
        return;
    if (netd_error == 0)
        log_info("netd answers");
    else
        log_info("no answer of netd: %s", error_text(netd_error));
    gatherer->netd_error = netd_error;
}

/* NULL: no memory; the snapshot before stays then. */
static struct snapshot *gather(struct gatherer *gatherer)
{
    struct snapshot *snapshot = snapshot_create();
    struct gathered gathered = {
        .node = gatherer->node, .tracker = gatherer->tracker, .runs = &gatherer->runs, .history = &gatherer->health};

    if (!snapshot)
        return NULL;
    gathered.point = series_unknown(0);
    ask_netd(gatherer, &gathered, snapshot);
    ask_clockd(gatherer, &gathered);
    look_at_history(gatherer);
    gathered.table = &snapshot->table;
    gathered.realtime_ns = (int64_t)platform_now_ns() + platform_realtime_offset_ns();
    gathered.point.time_ms = gathered.realtime_ns / 1000000;
    gathered_clock_point(gathered.clock_status, gathered.clock_sources, gathered.clock_stats, &gathered.point);
    compute_rates(gatherer, &gathered);
    tell(gatherer, gathered.netd_error);
    snapshot->sequence = ++gatherer->sequence;
    snapshot->realtime_ns = gathered.realtime_ns;
    write_documents(gatherer, &gathered, snapshot);
    series_add(gatherer->series, &gathered.point);
    json_object_put(gathered.status);
    json_object_put(gathered.clock_status);
    json_object_put(gathered.clock_sources);
    json_object_put(gathered.clock_stats);
    return snapshot;
}

/* --- the thread --------------------------------------------------------------------------------------------- */

static void publish(struct gatherer *gatherer, struct snapshot *snapshot)
{
    struct snapshot *old;

    if (!snapshot)
        return;
    pthread_mutex_lock(&gatherer->lock);
    old = gatherer->latest;
    gatherer->latest = snapshot;
    pthread_mutex_unlock(&gatherer->lock);
    snapshot_release(old);
}

/* Until the next round is due, which is sooner when somebody begins to look. False: to stop. */
static bool wait_for_round(struct gatherer *gatherer, uint64_t last_ns)
{
    bool stopping;

    pthread_mutex_lock(&gatherer->lock);
    while (!gatherer->stopping) {
        uint64_t now = platform_now_ns();
        bool looking = gatherer->looked_at_ns && now - gatherer->looked_at_ns < LOOKED_AT_NS;
        uint64_t due = last_ns + (looking ? PERIOD_LIVE_NS : PERIOD_IDLE_NS);
        struct timespec at = {(time_t)(due / 1000000000), (long)(due % 1000000000)};

        if (now >= due)
            break;
        pthread_cond_timedwait(&gatherer->wake, &gatherer->lock, &at);
    }
    stopping = gatherer->stopping;
    pthread_mutex_unlock(&gatherer->lock);
    return !stopping;
}

static void *gatherer_run(void *context)
{
    struct gatherer *gatherer = context;
    uint64_t began_ns = platform_now_ns();

    while (wait_for_round(gatherer, began_ns)) {
        began_ns = platform_now_ns();
        publish(gatherer, gather(gatherer));
    }
    return NULL;
}

static void release(struct gatherer *gatherer)
{
    disconnect(gatherer);
    snapshot_release(gatherer->latest);
    tracker_destroy(gatherer->tracker);
    series_destroy(gatherer->series);
    pthread_cond_destroy(&gatherer->wake);
    pthread_mutex_destroy(&gatherer->lock);
    free(gatherer);
}

/* On CLOCK_MONOTONIC, as platform_now_ns is. */
static void init_wake(pthread_cond_t *wake)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

int gatherer_start(struct gatherer **out, const char *runtime_dir, const char *history)
{
    struct gatherer *gatherer = calloc(1, sizeof *gatherer);
    int err = 0;

    if (!gatherer)
        return -ENOMEM;
    snprintf(gatherer->runtime_dir, sizeof gatherer->runtime_dir, "%s", client_runtime_dir(runtime_dir));
    snprintf(gatherer->history, sizeof gatherer->history, "%s", history);
    gethostname(gatherer->node, sizeof gatherer->node - 1);
    gatherer->netd_error = 1; /* neither good nor bad: the first round tells */
    pthread_mutex_init(&gatherer->lock, NULL);
    init_wake(&gatherer->wake);
    gatherer->series = series_create();
    gatherer->tracker = tracker_create(true);
    if (gatherer->series && gatherer->tracker)
        gatherer->latest = gather(gatherer);
    if (!gatherer->latest)
        err = -ENOMEM;
    else
        err = -pthread_create(&gatherer->thread, NULL, gatherer_run, gatherer);
    if (err < 0) {
        release(gatherer);
        return err;
    }
    *out = gatherer;
    return 0;
}

void gatherer_stop(struct gatherer *gatherer)
{
    if (!gatherer)
        return;
    pthread_mutex_lock(&gatherer->lock);
    gatherer->stopping = true;
    pthread_cond_signal(&gatherer->wake);
    pthread_mutex_unlock(&gatherer->lock);
    pthread_join(gatherer->thread, NULL);
    release(gatherer);
}

struct snapshot *gatherer_snapshot(struct gatherer *gatherer, bool look)
{
    struct snapshot *snapshot;

    pthread_mutex_lock(&gatherer->lock);
    if (look) {
        gatherer->looked_at_ns = platform_now_ns();
        pthread_cond_signal(&gatherer->wake);
    }
    snapshot = snapshot_hold(gatherer->latest);
    pthread_mutex_unlock(&gatherer->lock);
    return snapshot;
}

struct series *gatherer_series(struct gatherer *gatherer)
{
    return gatherer->series;
}
