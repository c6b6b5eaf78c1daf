/* SPDX-License-Identifier: BSD-2-Clause */
/* Receives messages of all types, stamps and records them, and answers echo messages. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "testbed/bench.h"
#include "testbed/crc32c.h"
#include "testbed/endpoint.h"
#include "testbed/raw_log.h"

#define CONNECTIONS_MAX 4 /* of a type at a time */
#define BUFFER_SIZE     (256 << 10)
#define READS_MAX       4 /* in a row from one stream, 64 from one datagram socket: others have their turn, too */
#define DATAGRAMS_MAX   64
#define SETTLE_NS       50000000 /* after the end, even if everything is there: duplicates may come */
#define POLL_NS         20000000

struct inflow;

struct connection {
    struct bench_source source; /* first; fd -1: free */
    struct inflow *inflow;
    struct message_stream stream;
};

struct inflow {
    struct bench_source source; /* first: the listener, or the datagram socket */
    const struct job_type *type;
    struct result_type *result;
    struct type_record *record;
    struct message_schedule schedule;
    struct record_limits limits;
    uint64_t expected; /* messages of the whole schedule, warm-up included */
    struct connection connections[CONNECTIONS_MAX];
};

struct receiver {
    struct inflow *inflows;
    size_t inflow_count;
    struct bench_source echo;
    struct raw_log *log;
    uint8_t *buffer;
    double worst_ratio; /* of the second at hand */
};

/* ---- one message ---- */

static void note_progress(struct bench *bench, const struct inflow *inflow, int64_t latency)
{
    struct receiver *receiver = bench->role;
    double ratio = (double)latency / (double)inflow->type->limit_ns;

    bench->progress.messages++;
    bench->progress.bytes += inflow->type->size;
    if (bench->progress.worst_type && ratio <= receiver->worst_ratio)
        return;
    receiver->worst_ratio = ratio;
    bench->progress.worst_type = inflow->type;
    bench->progress.worst_ns = latency;
}

static void take_message(struct bench *bench, struct inflow *inflow, const struct message *message, int64_t first_ns,
                         const struct node_time *now)
{
    static const unsigned flags[] = {[RECORD_WARMUP] = RAW_WARMUP,
                                     [RECORD_DUPLICATE] = RAW_DUPLICATE,
                                     [RECORD_OLD] = RAW_OLD,
                                     [RECORD_MEASURED] = 0};
    const struct receiver *receiver = bench->role;
    const struct arrival arrival = {.sequence = message->sequence,
                                    .planned_ns = message->planned_ns,
                                    .sent_ns = message->sent_ns,
                                    .first_ns = first_ns,
                                    .last_ns = now->tai_ns,
                                    .sender_bound_ns = message->sender_bound_ns,
                                    .receiver_bound_ns = now->bound_ns};
    enum record_outcome outcome = record_arrival(inflow->record, &inflow->limits, &arrival);

    if (outcome == RECORD_MEASURED)
        inflow->record->bytes += inflow->type->size;
    note_progress(bench, inflow, arrival_latency_ns(&arrival));
    raw_log_add(receiver->log, inflow->type->index, flags[outcome], &arrival);
}

/* Which of the messages it was is not known for sure. */
static void take_corrupt(struct bench *bench, struct inflow *inflow, int64_t first_ns, const struct node_time *now)
{
    const struct receiver *receiver = bench->role;
    const struct arrival arrival = {.first_ns = first_ns,
                                    .last_ns = now->tai_ns,
                                    .sender_bound_ns = NODE_CLOCK_BOUND_UNKNOWN,
                                    .receiver_bound_ns = now->bound_ns};

    inflow->record->corrupt++;
    raw_log_add(receiver->log, inflow->type->index, RAW_CORRUPT, &arrival);
}

/* ---- streams ---- */

static void take_stream_bytes(struct bench *bench, struct connection *connection, const uint8_t *bytes, size_t length,
                              const struct node_time *now)
{
    struct message message;
    int64_t first_ns;
    size_t used;

    while (length) {
        enum message_outcome outcome =
            message_stream_feed(&connection->stream, bytes, length, now->tai_ns, &used, &message, &first_ns);

        if (outcome == MESSAGE_WHOLE)
            take_message(bench, connection->inflow, &message, first_ns, now);
        else if (outcome == MESSAGE_CORRUPT)
            take_corrupt(bench, connection->inflow, first_ns, now);
        bytes += used;
        length -= used;
    }
}

static uint64_t seen(const struct inflow *inflow)
{
    return inflow->record->received + inflow->record->received_warmup + inflow->record->corrupt;
}

static void end_connection(struct bench *bench, struct connection *connection, int error)
{
    struct inflow *inflow = connection->inflow;
    bool in_order = !error && !connection->stream.filled && seen(inflow) >= inflow->expected;

    if (!in_order && !bench->stop) {
        inflow->result->cut = true;
        bench_problem(bench, "%s: the connection %s%s", inflow->type->name,
                      error ? "broke: " : "ended before the run's end", error ? error_text(-error) : "");
    }
    bench_drop(bench, &connection->source);
}

static void connection_ready(struct bench *bench, struct bench_source *source, uint32_t events)
{
    struct connection *connection = (struct connection *)source;
    const struct receiver *receiver = bench->role;
    struct node_time now;

    (void)events;
    for (int i = 0; i < READS_MAX; i++) {
        ssize_t length = recv(source->fd, receiver->buffer, BUFFER_SIZE, MSG_DONTWAIT);

        if (length < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (length <= 0) {
            end_connection(bench, connection, length < 0 ? errno : 0);
            return;
        }
        node_clock_now(bench->clock, &now);
        take_stream_bytes(bench, connection, receiver->buffer, (size_t)length, &now);
        if (length < BUFFER_SIZE)
            return;
    }
}

static void listener_ready(struct bench *bench, struct bench_source *source, uint32_t events)
{
    struct inflow *inflow = (struct inflow *)source;
    struct connection *free_place = NULL;
    int fd = endpoint_accept(source->fd);

    (void)events;
    if (fd < 0)
        return;
    for (int i = 0; i < CONNECTIONS_MAX && !free_place; i++)
        free_place = inflow->connections[i].source.fd < 0 ? &inflow->connections[i] : NULL;
    if (!free_place) {
        close(fd);
        bench->result->foreign++;
        return;
    }
    free_place->source = (struct bench_source){connection_ready, fd};
    free_place->inflow = inflow;
    message_stream_init(&free_place->stream, &inflow->schedule);
    inflow->result->connected = true;
    if (bench_watch(bench, &free_place->source, EPOLLIN | EPOLLRDHUP)) {
        close(fd);
        free_place->source.fd = -1;
    }
}

/* ---- datagrams ---- */

static void take_datagram(struct bench *bench, struct inflow *inflow, const uint8_t *bytes, size_t length,
                          const struct node_time *now)
{
    const struct message_schedule *schedule = &inflow->schedule;
    uint32_t header_size = message_header_size(schedule->length);
    struct message message;

    if (length != schedule->length || message_peek_type(bytes, length) != schedule->type ||
        message_decode(schedule, bytes, inflow->record->next_sequence, &message)) {
        bench->result->foreign++;
        return;
    }
    if (message_intact(schedule, bytes, crc32c(0, bytes + header_size, length - header_size)))
        take_message(bench, inflow, &message, now->tai_ns, now);
    else
        take_corrupt(bench, inflow, now->tai_ns, now);
}

static void datagram_ready(struct bench *bench, struct bench_source *source, uint32_t events)
{
    struct inflow *inflow = (struct inflow *)source;
    const struct receiver *receiver = bench->role;
    struct node_time now;

    (void)events;
    for (int i = 0; i < DATAGRAMS_MAX; i++) {
        ssize_t length = recv(source->fd, receiver->buffer, BUFFER_SIZE, MSG_DONTWAIT);

        if (length < 0)
            return;
        node_clock_now(bench->clock, &now);
        take_datagram(bench, inflow, receiver->buffer, (size_t)length, &now);
    }
}

/* ---- echo messages ---- */

static void echo_request_ready(struct bench *bench, struct bench_source *source, uint32_t events)
{
    struct sockaddr_storage from;
    socklen_t from_length = sizeof from;
    uint8_t bytes[ECHO_SIZE + 1];
    struct echo echo;
    ssize_t length = recvfrom(source->fd, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&from, &from_length);
    struct echo_stamp arrived = bench_echo_stamp(bench);

    (void)events;
    if (length < 0)
        return;
    if (echo_decode(bytes, (size_t)length, &echo) || echo.reply || echo.run != bench->job->run) {
        bench->result->foreign++;
        return;
    }
    echo.reply = true;
    echo.t2 = arrived;
    echo.t3 = bench_echo_stamp(bench);
    echo_encode(&echo, bytes);
    (void)sendto(source->fd, bytes, ECHO_SIZE, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&from, from_length);
}

static int open_echo(struct bench *bench, struct receiver *receiver)
{
    const struct net_endpoint local = {bench->job->address, bench->job->echo_port};
    char text[NET_ENDPOINT_TEXT_MAX];
    int fd;

    if (!local.port)
        return 0;
    fd = endpoint_echo_in(&local);
    if (fd < 0)
        return bench_fail(bench, fd, "cannot answer echo messages at %s: %s", net_endpoint_format(&local, text),
                          error_text(fd));
    receiver->echo = (struct bench_source){echo_request_ready, fd};
    return bench_watch(bench, &receiver->echo, EPOLLIN);
}

/* ---- opening ---- */

static int open_inflow(struct bench *bench, struct receiver *receiver, size_t index)
{
    const struct job_type *type = &bench->job->types[index];
    struct inflow *inflow = &receiver->inflows[index];
    bool stream = pattern_is_stream(type->transport);
    char text[NET_ENDPOINT_TEXT_MAX];
    int fd = stream ? endpoint_listen(&type->endpoint) : endpoint_datagram_in(type, &bench->job->address);

    inflow->type = type;
    inflow->result = &bench->result->types[index];
    inflow->record = inflow->result->received;
    inflow->schedule = job_message_schedule(bench->job, type); /* again when the start is known */
    inflow->expected = job_messages_until(type, bench->job->warmup_ns + bench->job->duration_ns);
    if (fd < 0)
        return bench_fail(bench, fd, "%s: cannot receive at %s: %s", type->name,
                          net_endpoint_format(&type->endpoint, text), error_text(fd));
    inflow->source = (struct bench_source){stream ? listener_ready : datagram_ready, fd};
    return bench_watch(bench, &inflow->source, EPOLLIN);
}

/* What messages under 40 bytes do not carry. */
static uint32_t senders_bound(const struct job *job)
{
    if (job->clock == NODE_CLOCK_SYSTEM)
        return job->clock_assumed_bound_ns;
    return job->clock_bound_limit_ns > 0 && job->clock_bound_limit_ns < NODE_CLOCK_BOUND_UNKNOWN
               ? (uint32_t)job->clock_bound_limit_ns
               : NODE_CLOCK_BOUND_UNKNOWN;
}

/* When the start is known. */
static void set_schedules(struct bench *bench, struct receiver *receiver)
{
    for (size_t i = 0; i < receiver->inflow_count; i++) {
        struct inflow *inflow = &receiver->inflows[i];

        inflow->schedule = job_message_schedule(bench->job, inflow->type);
        inflow->limits = (struct record_limits){.limit_ns = inflow->type->limit_ns,
                                                .measured_from_ns = bench_measured_ns(bench),
                                                .sender_bound_ns = senders_bound(bench->job)};
    }
}

static int open_receiver(struct bench *bench, struct receiver *receiver)
{
    size_t count = bench->job->type_count;
    int err = 0;

    receiver->buffer = malloc(BUFFER_SIZE);
    receiver->inflows = calloc(count, sizeof *receiver->inflows);
    if (bench->job->raw_entries && *bench->job->raw_path)
        receiver->log = raw_log_create(bench->job->run, bench->job->raw_entries);
    if (!receiver->buffer || !receiver->inflows || (*bench->job->raw_path && !receiver->log))
        return bench_fail(bench, -ENOMEM, "out of memory");
    memset(receiver->buffer, 0, BUFFER_SIZE); /* touched before the run */
    receiver->inflow_count = count;
    for (size_t i = 0; i < count; i++) {
        receiver->inflows[i].source.fd = -1;
        for (int k = 0; k < CONNECTIONS_MAX; k++)
            receiver->inflows[i].connections[k].source.fd = -1;
    }
    for (size_t i = 0; i < count && !err; i++)
        err = open_inflow(bench, receiver, i);
    return err ? err : open_echo(bench, receiver);
}

static void close_receiver(struct bench *bench, struct receiver *receiver)
{
    for (size_t i = 0; i < receiver->inflow_count; i++) {
        bench_drop(bench, &receiver->inflows[i].source);
        for (int k = 0; k < CONNECTIONS_MAX; k++)
            bench_drop(bench, &receiver->inflows[i].connections[k].source);
    }
    if (receiver->echo.ready)
        bench_drop(bench, &receiver->echo);
    free(receiver->inflows);
    free(receiver->buffer);
    raw_log_destroy(receiver->log);
}

/* ---- the run ---- */

static void refresh_progress(struct bench *bench)
{
    const struct receiver *receiver = bench->role;

    bench->progress.lost = 0;
    for (size_t i = 0; i < receiver->inflow_count; i++) {
        const struct inflow *inflow = &receiver->inflows[i];

        if (inflow->record->next_sequence > seen(inflow))
            bench->progress.lost += inflow->record->next_sequence - seen(inflow);
    }
}

static bool connected_now(const struct inflow *inflow)
{
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        if (inflow->connections[i].source.fd >= 0)
            return true;
    }
    return false;
}

/* Nothing more is to come: all messages are here, or their connection has ended. */
static bool complete(const struct receiver *receiver)
{
    for (size_t i = 0; i < receiver->inflow_count; i++) {
        const struct inflow *inflow = &receiver->inflows[i];

        if (pattern_is_stream(inflow->type->transport) ? connected_now(inflow) || !inflow->result->connected
                                                       : seen(inflow) < inflow->expected)
            return false;
    }
    return true;
}

static void listen_on(struct bench *bench)
{
    const struct receiver *receiver = bench->role;
    int64_t end_ns = bench_end_ns(bench), now_ns = bench_now(bench);

    while (!bench->stop && now_ns < end_ns + bench->job->grace_ns) {
        if (now_ns >= end_ns + SETTLE_NS && complete(receiver))
            return;
        now_ns = bench_wait(bench, bench->job->busy ? now_ns : now_ns + POLL_NS, 0);
    }
}

static void finish(struct bench *bench)
{
    struct receiver *receiver = bench->role;
    const char *names[PATTERN_TYPES_MAX];
    int err;

    for (size_t i = 0; i < PATTERN_TYPES_MAX; i++)
        names[i] = "";
    for (size_t i = 0; i < receiver->inflow_count; i++) {
        record_finish(receiver->inflows[i].record);
        names[receiver->inflows[i].type->index] = receiver->inflows[i].type->name;
    }
    bench->result->raw_entries = raw_log_count(receiver->log, &bench->result->raw_missing);
    if (!receiver->log)
        return;
    err = raw_log_write(receiver->log, bench->job->raw_path, names, PATTERN_TYPES_MAX);
    if (err)
        bench_problem(bench, "raw log: cannot write %s: %s", bench->job->raw_path, error_text(err));
}

int receiver_run(struct bench *bench)
{
    struct receiver receiver = {0};
    int err;

    bench->role = &receiver; /* until this function ends */ /* cppcheck-suppress autoVariables */
    bench->refresh = refresh_progress;
    err = open_receiver(bench, &receiver);
    if (!err)
        err = bench_ready(bench);
    if (!err) {
        set_schedules(bench, &receiver);
        listen_on(bench);
        finish(bench);
    }
    close_receiver(bench, &receiver);
    return err;
}
