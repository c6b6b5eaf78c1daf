/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/top_source.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "monitor/binary_report.h"
#include "monitor/clock_client.h"
#include "monitor/dump_client.h"
#include "monitor/json_report.h"
#include "platform/platform.h"
#include "tools/endpoint.h"
#include "tools/report.h"
#include "tools/top_remote.h"

#define DUMP_PATIENCE_NS 500000000u /* a program that does not answer holds up the thread */
#define HERE             0          /* this node */
#define END_PATIENCE_S   1
#define WAIT_MAX_MS      3600000
#define WAIT_MAX_NS      (WAIT_MAX_MS * 1000000ull)

/* What the thread knows of a node. */
struct seen {
    struct json_object *status, *clock; /* the latest */
    char problems[ENDPOINT_PARTS][ENDPOINT_PROBLEM_MAX];
    struct top_node node; /* made of them */
};

struct top_source {
    /* constant */
    char runtime_dir[108];
    size_t count;
    int event;
    pthread_t thread;
    /* the thread's */
    struct netd_client *client;
    struct endpoints *endpoints;
    struct seen *seen;
    size_t awaited; /* answers to this round */
    bool *answered; /* count * ENDPOINT_PARTS: not awaited (any more) */
    /* shared */
    pthread_mutex_t lock;
    struct top_wish wish;
    bool now, stop;
    struct top_news news; /* nodes: count of them */
    bool fresh;
};

/* --- news --------------------------------------------------------------------------------------------------- */

/* There are news; complete: of all nodes. */
static void tell(struct top_source *source, bool complete)
{
    pthread_mutex_lock(&source->lock);
    for (size_t i = 0; i < source->count; i++)
        source->news.nodes[i] = source->seen[i].node;
    source->news.rounds += complete;
    source->fresh = true;
    pthread_mutex_unlock(&source->lock);
    eventfd_write(source->event, 1);
}

/* A node's table (NULL: there is none), unless another node's is wished by now. Takes table and dump over. */
static void tell_table(struct top_source *source, size_t node, struct connection_table *table, const char *problem,
                       struct json_object *dump, const char *dump_problem)
{
    struct connection_table old = {0};

    pthread_mutex_lock(&source->lock);
    if (node != source->wish.node) {
        old = table ? *table : old;
    } else {
        if (table) {
            old = source->news.table;
            source->news.table = *table;
            source->news.has_table = true;
        }
        snprintf(source->news.problem, sizeof source->news.problem, "%s", problem);
        json_object_put(source->news.dump);
        source->news.dump = dump;
        source->news.dump_problem = dump_problem;
        dump = NULL;
    }
    pthread_mutex_unlock(&source->lock);
    table_free(&old);
    json_object_put(dump);
}

/* --- nodes -------------------------------------------------------------------------------------------------- */

/* Takes the document over. */
static void put_part(struct seen *seen, enum endpoint_part part, struct json_object *document, const char *problem)
{
    struct json_object **place = part == ENDPOINT_STATUS ? &seen->status : &seen->clock;
    const struct top_node before = seen->node;

    json_object_put(*place);
    *place = document;
    snprintf(seen->problems[part], sizeof seen->problems[part], "%s", problem);
    top_node_fill(&seen->node, seen->status, seen->clock);
    top_node_explain(&seen->node, seen->problems[ENDPOINT_STATUS], seen->problems[ENDPOINT_CLOCK]);
    top_node_compare(&seen->node, &before);
}

/* --- this node ---------------------------------------------------------------------------------------------- */

/* 0, or why there is no service. */
static int connect_here(struct top_source *source)
{
    return source->client ? 0 : client_connect(&source->client, source->runtime_dir, "lockstep", 0, NULL);
}

static void disconnect_here(struct top_source *source)
{
    if (source->client)
        client_close(source->client);
    source->client = NULL;
}

static void look_at_clock(struct top_source *source)
{
    struct json_object *status = clock_fetch(source->runtime_dir, "status", true), *clock = NULL;

    if (status) {
        clock = json_object_new_object();
        json_object_object_add(clock, "status", status);
        json_object_object_add(clock, "sources", clock_fetch(source->runtime_dir, "sources", true));
    }
    put_part(&source->seen[HERE], ENDPOINT_CLOCK, clock, "");
}

static void look_at_path(struct top_source *source, const struct top_wish *wish)
{
    struct connection_table table = {0};
    struct json_object *status = NULL;
    struct json_object *dump = NULL;
    char problem[TOP_NODE_PROBLEM_MAX] = "";
    bool wished = wish->node == HERE;
    int err = connect_here(source), dump_err = 0;

    if (err == 0)
        err = report_ask(source->client, CONTROL_REPORT_STATUS, &status);
    if (err == 0 && wished)
        err = table_ask(source->client, wish->details, &table);
    if (err == 0 && wished && wish->details)
        dump_err = dump_ask(source->client, &(struct control_dump){.pid = wish->pid, .flow_id = wish->flow},
                            DUMP_PATIENCE_NS, &dump, NULL);
    if (err < 0) {
        snprintf(problem, sizeof problem, "lockstep-netd does not answer, trying again: %s (%s)", error_text(err),
                 source->runtime_dir);
        disconnect_here(source);
    }
    put_part(&source->seen[HERE], ENDPOINT_STATUS, status, problem);
    if (wished)
        tell_table(source, HERE, err == 0 ? &table : NULL, problem, dump, dump_err < 0 ? dump_problem(dump_err) : NULL);
}

/* --- other nodes -------------------------------------------------------------------------------------------- */

static void ask(struct top_source *source, size_t node, enum endpoint_part part)
{
    bool *answered = &source->answered[node * ENDPOINT_PARTS + part];

    source->awaited += *answered;
    *answered = false;
    endpoints_ask(source->endpoints, node - 1, part);
}

/* The wished node's connections have come, or have not. */
static void put_connections(struct top_source *source, size_t node, struct json_object *connections,
                            const char *problem)
{
    struct connection_table table;
    char text[TOP_NODE_PROBLEM_MAX];
    int err = -ENODATA;

    snprintf(text, sizeof text, "%.60s does not answer, trying again: %.100s", source->seen[node].node.name, problem);
    if (connections)
        err = top_remote_table(connections, source->seen[node].status, &table);
    if (err != -EAGAIN) /* the next ones will be of one moment */
        tell_table(source, node, err == 0 ? &table : NULL, connections ? (err < 0 ? error_text(err) : "") : text, NULL,
                   NULL);
    json_object_put(connections);
}

/* True: there was one. */
static bool take_answer(struct top_source *source, size_t node, enum endpoint_part part, size_t wished)
{
    char problem[ENDPOINT_PROBLEM_MAX];
    struct json_object *document;

    /* Connections wait for the lanes of the same moment, which the status has. */
    if ((part == ENDPOINT_CONNECTIONS && !source->answered[node * ENDPOINT_PARTS + ENDPOINT_STATUS]) ||
        !endpoints_take(source->endpoints, node - 1, part, &document, problem))
        return false;
    source->awaited -= !source->answered[node * ENDPOINT_PARTS + part];
    source->answered[node * ENDPOINT_PARTS + part] = true;
    if (part != ENDPOINT_CONNECTIONS)
        put_part(&source->seen[node], part, document, problem);
    else if (node == wished)
        put_connections(source, node, document, problem);
    else
        json_object_put(document);
    return true;
}

/* --- the thread --------------------------------------------------------------------------------------------- */

/* One look at everything; other nodes' answers come later. */
static void begin_round(struct top_source *source, const struct top_wish *wish)
{
    for (size_t i = 1; i < source->count; i++) {
        ask(source, i, ENDPOINT_STATUS);
        ask(source, i, ENDPOINT_CLOCK);
        if (i == wish->node)
            ask(source, i, ENDPOINT_CONNECTIONS);
    }
    endpoints_run(source->endpoints, 0); /* they are on their way meanwhile */
    look_at_clock(source);
    look_at_path(source, wish);
}

/* What has come since: connections last, for they need their node's status. True: there was something. */
static bool take_answers(struct top_source *source, const struct top_wish *wish)
{
    bool some = false;

    for (size_t i = 1; i < source->count; i++) {
        for (int part = 0; part < ENDPOINT_PARTS; part++)
            some |= take_answer(source, i, (enum endpoint_part)part, wish->node);
    }
    return some;
}

static uint64_t ns_to_next(const struct top_wish *wish, uint64_t last_ns)
{
    uint64_t gone_ns = platform_now_ns() - last_ns;

    if (wish->paused)
        return UINT64_MAX;
    return gone_ns < wish->interval_ns ? wish->interval_ns - gone_ns : 0;
}

/* True: it is time to look. */
static bool take_wish(struct top_source *source, struct top_wish *wish, uint64_t last_ns, bool *stop)
{
    bool now;

    pthread_mutex_lock(&source->lock);
    *wish = source->wish;
    *stop = source->stop;
    now = source->now || ns_to_next(wish, last_ns) == 0;
    source->now = false;
    pthread_mutex_unlock(&source->lock);
    return now;
}

static void *run(void *context)
{
    struct top_source *source = context;
    struct top_wish wish;
    uint64_t last_ns = 0, wait_ns;
    bool complete = true, stop;

    for (;;) {
        bool now = take_wish(source, &wish, last_ns, &stop), some;

        if (stop)
            return NULL;
        if (now) {
            last_ns = platform_now_ns();
            begin_round(source, &wish);
            complete = false;
        }
        some = take_answers(source, &wish) || now;
        if (some)
            tell(source, !complete && source->awaited == 0);
        complete |= source->awaited == 0;
        wait_ns = ns_to_next(&wish, last_ns);
        endpoints_run(source->endpoints, wait_ns < WAIT_MAX_NS ? (int)((wait_ns + 999999) / 1000000) : WAIT_MAX_MS);
    }
}

/* --- the interface ------------------------------------------------------------------------------------------ */

static void name_nodes(struct top_source *source, const struct node_config *nodes)
{
    for (size_t i = 0; i < source->count; i++) {
        struct top_node *node = &source->seen[i].node;

        top_node_fill(node, NULL, NULL);
        node->key = i;
        if (i == HERE)
            gethostname(node->name, sizeof node->name - 1);
        else
            snprintf(node->name, sizeof node->name, "%s", nodes[i - 1].name);
        snprintf(node->problem, sizeof node->problem, "not asked yet");
    }
}

static void release(struct top_source *source)
{
    for (size_t i = 0; source->seen && i < source->count; i++) {
        json_object_put(source->seen[i].status);
        json_object_put(source->seen[i].clock);
    }
    disconnect_here(source);
    endpoints_destroy(source->endpoints);
    table_free(&source->news.table);
    json_object_put(source->news.dump);
    free(source->news.nodes);
    free(source->seen);
    free(source->answered);
    if (source->event >= 0)
        close(source->event);
    pthread_mutex_destroy(&source->lock);
    free(source);
}

int top_source_open(struct top_source **out, const char *runtime_dir, const struct node_config *nodes, size_t count,
                    const struct top_wish *wish)
{
    struct top_source *source = calloc(1, sizeof *source);
    int err = -ENOMEM;

    if (!source)
        return -ENOMEM;
    pthread_mutex_init(&source->lock, NULL);
    snprintf(source->runtime_dir, sizeof source->runtime_dir, "%s", client_runtime_dir(runtime_dir));
    source->wish = *wish;
    source->count = count + 1;
    source->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    source->endpoints = endpoints_create(nodes, count);
    source->seen = calloc(source->count, sizeof *source->seen);
    source->news.nodes = calloc(source->count, sizeof *source->news.nodes);
    source->answered = malloc(source->count * ENDPOINT_PARTS * sizeof *source->answered);
    if (source->event >= 0 && source->endpoints && source->seen && source->news.nodes && source->answered) {
        memset(source->answered, true, source->count * ENDPOINT_PARTS * sizeof *source->answered);
        name_nodes(source, nodes);
        err = -pthread_create(&source->thread, NULL, run, source);
    }
    if (err < 0)
        release(source);
    else
        *out = source;
    return err;
}

void top_source_close(struct top_source *source)
{
    struct timespec until;

    if (!source)
        return;
    pthread_mutex_lock(&source->lock);
    source->stop = true;
    pthread_mutex_unlock(&source->lock);
    endpoints_wake(source->endpoints);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += END_PATIENCE_S;
    if (pthread_clockjoin_np(source->thread, NULL, CLOCK_MONOTONIC, &until) == 0)
        release(source); /* else it waits for a service that says nothing, and ends with the process */
}

size_t top_source_node_count(const struct top_source *source)
{
    return source->count;
}

void top_source_wish(struct top_source *source, const struct top_wish *wish, bool now)
{
    pthread_mutex_lock(&source->lock);
    if (wish->node != source->wish.node) { /* what has come is another node's */
        table_free(&source->news.table);
        source->news.has_table = false;
        source->news.problem[0] = '\0';
    }
    source->wish = *wish;
    source->now |= now;
    pthread_mutex_unlock(&source->lock);
    endpoints_wake(source->endpoints);
}

int top_source_fd(const struct top_source *source)
{
    return source->event;
}

bool top_source_take(struct top_source *source, struct top_news *news)
{
    struct top_node *nodes = news->nodes;
    eventfd_t unused;
    bool fresh;

    pthread_mutex_lock(&source->lock);
    eventfd_read(source->event, &unused);
    fresh = source->fresh;
    if (fresh) {
        *news = source->news;
        news->nodes = nodes;
        memcpy(nodes, source->news.nodes, source->count * sizeof *nodes);
        source->news.table = (struct connection_table){0};
        source->news.has_table = false;
        source->news.dump = NULL;
        source->fresh = false;
    }
    pthread_mutex_unlock(&source->lock);
    return fresh;
}
