/* SPDX-License-Identifier: BSD-2-Clause */
/* Sends each type's messages at their planned times. Types do not wait for each other: a connection that is backed up
 * keeps only its own messages waiting, and a long message is handed over in pieces, between which others get their
 * turn. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "platform/platform.h"
#include "testbed/agenda.h"
#include "testbed/bench.h"
#include "testbed/crc32c.h"
#include "testbed/endpoint.h"

#define NS_PER_MS       1000000
#define FILLERS         8 /* messages of one type have different filler: the same bytes from different places */
#define FILLER_STEP     8
#define PIECE_MAX       (128 << 10)
#define BATCH_MAX       64
#define CONNECT_WAIT_NS 10000000000
#define RETRY_NS        50000000
#define IDLE_WAIT_NS    20000000

struct flow {
    struct bench_source source; /* first */
    const struct job_type *type;
    struct send_record *record;
    struct result_type *result;
    struct message_schedule schedule;
    uint32_t filler_crc[FILLERS];
    uint64_t first_measured; /* sequence */
    uint64_t due;            /* messages whose time has come */
    uint64_t next;           /* sequence of the message at hand */
    uint32_t offset;         /* bytes of it that were handed over */
    uint8_t header[MESSAGE_HEADER_MAX];
    int64_t begun_ns; /* when its first byte was handed over */
    bool noted_blocked;
    bool waits;  /* for the socket */
    bool listed; /* has a piece to hand over at once */
    bool broken;
};

struct peer {
    struct bench_source source; /* first */
    struct echo_record *record;
    uint16_t index;
    uint32_t sequence;
    int64_t next_ns;
};

struct sender {
    struct agenda *agenda;
    struct flow *flows;
    size_t flow_count;
    struct flow **busy; /* those that are listed */
    size_t busy_count;
    struct peer *peers;
    size_t peer_count;
    uint8_t *filler;
    uint8_t headers[BATCH_MAX][MESSAGE_HEADER_MAX]; /* of a call for several messages */
};

/* ---- handing over ---- */

static bool measured(const struct flow *flow, uint64_t sequence)
{
    return sequence >= flow->first_measured;
}

static const uint8_t *filler_of(const struct sender *sender, uint64_t sequence)
{
    return sender->filler + sequence % FILLERS * FILLER_STEP;
}

/* Writes a message's header with the time of now. */
static void prepare(const struct bench *bench, const struct flow *flow, uint64_t sequence, const struct node_time *now,
                    uint8_t *header)
{
    struct message message = {.run = bench->job->run,
                              .type = flow->type->index,
                              .sequence = (uint32_t)sequence,
                              .length = flow->type->size,
                              .sent_ns = now->tai_ns,
                              .sender_bound_ns = now->bound_ns};

    message.planned_ns = message_planned_ns(&flow->schedule, message.sequence);
    message_encode(&message, flow->filler_crc[sequence % FILLERS], header);
}

static ssize_t hand_over_piece(const struct sender *sender, const struct flow *flow)
{
    uint32_t header_size = message_header_size(flow->type->size), left = flow->type->size - flow->offset;
    struct iovec parts[2];
    struct msghdr message = {.msg_iov = parts};
    int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    uint32_t filler_from = 0;

    if (pattern_is_stream(flow->type->transport) && left > PIECE_MAX) {
        left = PIECE_MAX;
        flags |= MSG_MORE;
    }
    if (flow->offset < header_size) {
        uint32_t part = header_size - flow->offset;

        parts[message.msg_iovlen++] = (struct iovec){(void *)(flow->header + flow->offset), part};
        left -= part;
    } else {
        filler_from = flow->offset - header_size;
    }
    if (left)
        parts[message.msg_iovlen++] = (struct iovec){(void *)(filler_of(sender, flow->next) + filler_from), left};
    return sendmsg(flow->source.fd, &message, flags);
}

/* Several whole messages of a stream in one call: what a burst, or a backlog, takes. */
static ssize_t hand_over_batch(const struct bench *bench, struct flow *flow, unsigned count,
                               const struct node_time *now)
{
    struct sender *sender = bench->role;
    uint32_t header_size = message_header_size(flow->type->size);
    struct iovec parts[2 * BATCH_MAX];
    struct msghdr message = {.msg_iov = parts};

    for (unsigned i = 0; i < count; i++) {
        prepare(bench, flow, flow->next + i, now, sender->headers[i]);
        parts[message.msg_iovlen++] = (struct iovec){sender->headers[i], header_size};
        parts[message.msg_iovlen++] =
            (struct iovec){(void *)filler_of(sender, flow->next + i), flow->type->size - header_size};
    }
    return sendmsg(flow->source.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* How many messages may go together now. */
static unsigned batch_size(const struct flow *flow)
{
    uint64_t waiting = flow->due - flow->next, room = PIECE_MAX / flow->type->size;

    if (flow->offset || !pattern_is_stream(flow->type->transport) || room < 2)
        return 1;
    waiting = waiting < room ? waiting : room;
    return waiting < BATCH_MAX ? (unsigned)waiting : BATCH_MAX;
}

/* The message at hand has begun: its lateness is known. */
static void note_begin(struct bench *bench, struct flow *flow)
{
    int64_t late = flow->begun_ns - message_planned_ns(&flow->schedule, (uint32_t)flow->next);

    if (!measured(flow, flow->next))
        return;
    latency_record(&flow->record->lateness, late);
    if (late > bench->job->late_ns) {
        flow->record->late++;
        bench->progress.late++;
    }
}

static void note_end(struct bench *bench, struct flow *flow)
{
    if (measured(flow, flow->next)) {
        flow->record->sent++;
        flow->record->bytes += flow->type->size;
        latency_record(&flow->record->handover, bench_now(bench) - flow->begun_ns);
    } else {
        flow->record->sent_warmup++;
    }
    bench->progress.messages++;
    bench->progress.bytes += flow->type->size;
}

static void next_message(struct flow *flow)
{
    flow->next++;
    flow->offset = 0;
    flow->noted_blocked = false;
}

static uint32_t idle_events(const struct flow *flow)
{
    return pattern_is_stream(flow->type->transport) ? EPOLLIN | EPOLLRDHUP : 0;
}

static void wait_for_room(struct bench *bench, struct flow *flow)
{
    if (!flow->noted_blocked && measured(flow, flow->next))
        flow->record->blocked++;
    flow->noted_blocked = true;
    if (!flow->waits)
        bench_rewatch(bench, &flow->source, idle_events(flow) | EPOLLOUT);
    flow->waits = true;
}

static void stop_waiting(struct bench *bench, struct flow *flow)
{
    if (flow->waits)
        bench_rewatch(bench, &flow->source, idle_events(flow));
    flow->waits = false;
}

static void break_off(struct bench *bench, struct flow *flow, int error)
{
    bench_problem(bench, "%s: the connection broke: %s", flow->type->name, error_text(-error));
    flow->broken = true;
    flow->result->cut = true;
    bench_drop(bench, &flow->source);
}

/* The stack refused the message. Returns whether the flow can go on at once. */
static bool refused(struct bench *bench, struct flow *flow, int error)
{
    if (error == EAGAIN || error == EWOULDBLOCK) {
        wait_for_room(bench, flow);
        return false;
    }
    if (error == EINTR)
        return true;
    if (pattern_is_stream(flow->type->transport)) {
        break_off(bench, flow, error);
        return false;
    }
    if (measured(flow, flow->next))
        flow->record->errors++;
    next_message(flow);
    return true;
}

static void list(struct sender *sender, struct flow *flow)
{
    if (!flow->listed)
        sender->busy[sender->busy_count++] = flow;
    flow->listed = true;
}

/* What a call took: the rest of the message at hand, whole ones, the beginning of another. */
static void account(struct bench *bench, struct flow *flow, size_t taken, unsigned batch)
{
    const struct sender *sender = bench->role;

    for (unsigned i = 0; taken && i < batch; i++) {
        size_t left = flow->type->size - flow->offset, part = taken < left ? taken : left;

        if (batch > 1)
            memcpy(flow->header, sender->headers[i], sizeof flow->header);
        if (!flow->offset)
            note_begin(bench, flow);
        flow->offset += (uint32_t)part;
        taken -= part;
        if (flow->offset == flow->type->size) {
            note_end(bench, flow);
            next_message(flow);
        }
    }
}

/* Hands over what has its turn: whole messages as long as they fit in a piece, and at most one piece of a longer one.
 */
static void pump(struct bench *bench, struct flow *flow)
{
    struct sender *sender = bench->role;
    size_t handed = 0;

    while (flow->next < flow->due && !flow->broken && handed < PIECE_MAX) {
        unsigned batch = batch_size(flow);
        struct node_time now = {0};
        ssize_t count;

        if (!flow->offset) {
            node_clock_now(bench->clock, &now);
            flow->begun_ns = now.tai_ns;
            if (batch == 1)
                prepare(bench, flow, flow->next, &now, flow->header);
        }
        count = batch > 1 ? hand_over_batch(bench, flow, batch, &now) : hand_over_piece(sender, flow);
        if (count < 0) {
            if (!refused(bench, flow, errno))
                return;
            continue;
        }
        account(bench, flow, (size_t)count, batch);
        handed += (size_t)count;
    }
    stop_waiting(bench, flow);
    if (flow->next < flow->due && !flow->broken)
        list(sender, flow);
}

static void flow_ready(struct bench *bench, struct bench_source *source, uint32_t events)
{
    struct flow *flow = (struct flow *)source;
    uint8_t byte;

    /* Receivers say nothing: whatever can be read is the connection's end. */
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) && pattern_is_stream(flow->type->transport)) {
        ssize_t count = recv(source->fd, &byte, 1, MSG_DONTWAIT);

        if (count >= 0 || (errno != EAGAIN && errno != EINTR)) {
            break_off(bench, flow, count >= 0 ? ECONNRESET : errno);
            return;
        }
    } else if (events & EPOLLERR) {
        int error = 0;
        socklen_t length = sizeof error;

        getsockopt(source->fd, SOL_SOCKET, SO_ERROR, &error, &length); /* of an earlier datagram: cleared */
    }
    if (events & EPOLLOUT || flow->waits)
        pump(bench, flow);
}

/* One piece of each flow that has more. */
static void pump_busy(struct bench *bench)
{
    struct sender *sender = bench->role;
    size_t count = sender->busy_count;

    for (size_t i = 0; i < count; i++) {
        struct flow *flow = sender->busy[i];

        flow->listed = false;
        sender->busy[i] = NULL;
        pump(bench, flow);
    }
    memmove(sender->busy, sender->busy + count, (sender->busy_count - count) * sizeof(struct flow *));
    sender->busy_count -= count;
}

/* ---- echo messages ---- */

static void send_echo(struct bench *bench, struct peer *peer)
{
    struct echo echo = {.run = bench->job->run, .from = peer->index, .sequence = peer->sequence++};
    uint8_t bytes[ECHO_SIZE];

    echo.t1 = bench_echo_stamp(bench);
    echo_encode(&echo, bytes);
    if (send(peer->source.fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof bytes)
        peer->record->sent++;
}

static void echo_ready(struct bench *bench, struct bench_source *source, uint32_t events)
{
    struct peer *peer = (struct peer *)source;
    uint8_t bytes[ECHO_SIZE + 1];
    struct echo reply;
    ssize_t length;

    (void)events;
    while ((length = recv(source->fd, bytes, sizeof bytes, MSG_DONTWAIT)) >= 0) {
        struct echo_stamp arrived = bench_echo_stamp(bench);

        if (echo_decode(bytes, (size_t)length, &reply) || !reply.reply || reply.run != bench->job->run ||
            reply.from != peer->index)
            bench->result->foreign++;
        else
            echo_record_exchange(peer->record, &reply, &arrived);
    }
}

/* Sends what is due; returns when the next one is. */
static int64_t send_echoes(struct bench *bench, int64_t now_ns)
{
    struct sender *sender = bench->role;
    int64_t next_ns = INT64_MAX;

    for (size_t i = 0; i < sender->peer_count && now_ns < bench_end_ns(bench); i++) {
        struct peer *peer = &sender->peers[i];

        if (peer->next_ns <= now_ns) {
            send_echo(bench, peer);
            while (peer->next_ns <= now_ns)
                peer->next_ns += bench->job->echo_period_ns;
        }
        next_ns = peer->next_ns < next_ns ? peer->next_ns : next_ns;
    }
    return next_ns;
}

/* Between the round times at which messages are planned, and peer after peer. */
static void start_echoes(struct bench *bench)
{
    struct sender *sender = bench->role;
    int64_t period = bench->job->echo_period_ns;

    for (size_t i = 0; i < sender->peer_count; i++)
        sender->peers[i].next_ns =
            bench_start_ns(bench) + period * 3 / 8 + period * (int64_t)i / (4 * (int64_t)sender->peer_count);
}

/* ---- opening ---- */

static int open_filler(struct bench *bench, struct sender *sender)
{
    size_t size = FILLERS * FILLER_STEP;

    for (size_t i = 0; i < bench->job->type_count; i++) {
        if (bench->job->types[i].size + (size_t)FILLERS * FILLER_STEP > size)
            size = bench->job->types[i].size + (size_t)FILLERS * FILLER_STEP;
    }
    sender->filler = malloc(size);
    if (!sender->filler)
        return bench_fail(bench, -ENOMEM, "out of memory");
    return platform_random(sender->filler, size);
}

static void flow_init(struct bench *bench, struct sender *sender, size_t index)
{
    const struct job_type *type = &bench->job->types[index];
    struct flow *flow = &sender->flows[index];
    uint32_t filler_size = type->size - message_header_size(type->size);

    flow->source = (struct bench_source){flow_ready, -1};
    flow->type = type;
    flow->result = &bench->result->types[index];
    flow->record = flow->result->sent;
    flow->first_measured = job_messages_until(type, bench->job->warmup_ns);
    for (size_t i = 0; i < FILLERS; i++)
        flow->filler_crc[i] = crc32c(0, sender->filler + i * FILLER_STEP, filler_size);
}

static int open_flow(struct bench *bench, struct flow *flow)
{
    bool stream = pattern_is_stream(flow->type->transport);
    char text[NET_ENDPOINT_TEXT_MAX];
    int fd = stream ? endpoint_connect(flow->type) : endpoint_datagram_out(flow->type, &bench->job->address);

    if (fd < 0)
        return bench_fail(bench, fd, "%s: cannot open a connection to %s: %s", flow->type->name,
                          net_endpoint_format(&flow->type->endpoint, text), error_text(fd));
    flow->source.fd = fd;
    flow->result->connected = !stream;
    return stream ? 0 : bench_watch(bench, &flow->source, 0); /* streams: when they are connected */
}

/* Waits for the connection, and tries again while the receiver is not there yet. */
static int await_connection(struct bench *bench, struct flow *flow, int64_t deadline_ns)
{
    char text[NET_ENDPOINT_TEXT_MAX];
    int err;

    while (pattern_is_stream(flow->type->transport) && (err = endpoint_connected(flow->source.fd)) != 0) {
        if (bench->stop)
            return bench_fail(bench, -ECANCELED, "stopped before the start");
        if (bench_now(bench) > deadline_ns)
            return bench_fail(bench, err, "%s: cannot connect to %s: %s", flow->type->name,
                              net_endpoint_format(&flow->type->endpoint, text),
                              error_text(err == -EINPROGRESS ? -ETIMEDOUT : err));
        bench_wait(bench, bench_now(bench) + (err == -EINPROGRESS ? NS_PER_MS : RETRY_NS), 0);
        if (err != -EINPROGRESS) {
            close(flow->source.fd);
            flow->source.fd = -1;
            err = open_flow(bench, flow);
            if (err)
                return err;
        }
    }
    if (flow->result->connected)
        return 0; /* datagrams */
    flow->result->connected = true;
    return bench_watch(bench, &flow->source, idle_events(flow));
}

static int open_peers(struct bench *bench, struct sender *sender)
{
    const struct job *job = bench->job;

    for (size_t i = 0; i < job->peer_count && job->echo_period_ns; i++) {
        struct peer *peer = &sender->peers[sender->peer_count++];
        int fd = endpoint_echo_out(&job->peers[i].endpoint);

        peer->source = (struct bench_source){echo_ready, fd};
        peer->index = (uint16_t)i;
        peer->record = &bench->result->echoes[i];
        if (fd < 0)
            return bench_fail(bench, fd, "cannot open the echo to %s: %s", job->peers[i].node, error_text(fd));
        if (bench_watch(bench, &peer->source, EPOLLIN))
            return bench_fail(bench, -EIO, "cannot watch the echo to %s", job->peers[i].node);
    }
    return 0;
}

static int open_flows(struct bench *bench, struct sender *sender)
{
    int64_t deadline_ns = bench_now(bench) + CONNECT_WAIT_NS;
    int err = open_filler(bench, sender);

    for (size_t i = 0; i < sender->flow_count && !err; i++) {
        flow_init(bench, sender, i);
        err = open_flow(bench, &sender->flows[i]);
    }
    for (size_t i = 0; i < sender->flow_count && !err; i++)
        err = await_connection(bench, &sender->flows[i], deadline_ns);
    return err;
}

static int open_sender(struct bench *bench, struct sender *sender)
{
    size_t count = bench->job->type_count;
    int err;

    sender->agenda = agenda_create(count);
    sender->flows = calloc(count, sizeof *sender->flows);
    sender->busy = calloc(2 * count, sizeof(struct flow *));
    sender->peers = calloc(bench->job->peer_count + 1, sizeof *sender->peers);
    if (!sender->agenda || !sender->flows || !sender->busy || !sender->peers)
        return bench_fail(bench, -ENOMEM, "out of memory");
    sender->flow_count = count;
    for (size_t i = 0; i < count; i++)
        sender->flows[i].source.fd = -1;
    err = open_flows(bench, sender);
    return err ? err : open_peers(bench, sender);
}

static void close_sender(struct bench *bench, struct sender *sender)
{
    for (size_t i = 0; i < sender->flow_count; i++)
        bench_drop(bench, &sender->flows[i].source);
    for (size_t i = 0; i < sender->peer_count; i++)
        bench_drop(bench, &sender->peers[i].source);
    agenda_destroy(sender->agenda);
    free(sender->flows);
    free(sender->busy);
    free(sender->peers);
    free(sender->filler);
}

/* ---- the run ---- */

static void fill_agenda(struct bench *bench, struct sender *sender)
{
    for (size_t i = 0; i < sender->flow_count; i++) {
        struct flow *flow = &sender->flows[i];
        struct agenda_entry entry = {
            .planned_ns = flow->type->phase_ns,
            .size = flow->type->size,
            .index = (uint32_t)i,
            .burst = flow->type->burst,
            .period_ns = flow->type->period_ns,
            .count = job_messages_until(flow->type, bench->job->warmup_ns + bench->job->duration_ns),
        };

        flow->schedule = job_message_schedule(bench->job, flow->type);
        if (entry.count)
            agenda_add(sender->agenda, &entry);
    }
}

/* Everything whose time has come; returns when the next one's comes. */
static int64_t send_due(struct bench *bench, int64_t now_ns)
{
    struct sender *sender = bench->role;
    const struct agenda_entry *entry;

    while ((entry = agenda_peek(sender->agenda)) != NULL && bench_start_ns(bench) + entry->planned_ns <= now_ns) {
        struct flow *flow = &sender->flows[entry->index];

        flow->due = entry->sequence + entry->burst;
        if (entry->count < flow->due)
            flow->due = entry->count;
        agenda_advance(sender->agenda);
        if (!flow->waits && !flow->listed)
            pump(bench, flow);
        now_ns = bench_now(bench);
    }
    return entry ? bench_start_ns(bench) + entry->planned_ns : INT64_MAX;
}

static bool all_handed_over(const struct sender *sender)
{
    for (size_t i = 0; i < sender->flow_count; i++) {
        if (sender->flows[i].next < sender->flows[i].due && !sender->flows[i].broken)
            return false;
    }
    return true;
}

static void play(struct bench *bench)
{
    struct sender *sender = bench->role;
    int64_t end_ns = bench_end_ns(bench), now_ns = bench_now(bench);

    while (!bench->stop) {
        int64_t next_ns = send_due(bench, now_ns), next_echo_ns;

        next_echo_ns = send_echoes(bench, now_ns);
        if (now_ns >= end_ns && next_ns == INT64_MAX && all_handed_over(sender))
            return;
        if (now_ns >= end_ns + bench->job->grace_ns)
            return;
        if (next_ns == INT64_MAX)
            next_ns = now_ns < end_ns ? end_ns : now_ns + IDLE_WAIT_NS;
        next_ns = next_echo_ns < next_ns ? next_echo_ns : next_ns;
        now_ns = bench_wait(bench, sender->busy_count ? now_ns : next_ns, bench->job->spin_ns);
        pump_busy(bench);
    }
}

/* What was planned and not handed over, when the run has ended. */
static void settle(struct bench *bench)
{
    struct sender *sender = bench->role;

    for (size_t i = 0; i < sender->flow_count; i++) {
        struct flow *flow = &sender->flows[i];
        uint64_t from = flow->next > flow->first_measured ? flow->next : flow->first_measured;

        flow->record->planned = flow->due > flow->first_measured ? flow->due - flow->first_measured : 0;
        flow->record->unsent = flow->due > from ? flow->due - from : 0;
        flow->record->late += flow->record->unsent;
    }
}

static void ended_ready(struct bench *bench, struct bench_source *source, uint32_t events)
{
    uint8_t byte;

    (void)events;
    if (recv(source->fd, &byte, 1, MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != EINTR))
        bench_drop(bench, source);
}

/* Ends the streams, and waits until the receivers have seen it. */
static void hang_up(struct bench *bench)
{
    struct sender *sender = bench->role;
    int64_t deadline_ns = bench_now(bench) + bench->job->grace_ns;
    size_t open = 1;

    for (size_t i = 0; i < sender->flow_count; i++) {
        struct flow *flow = &sender->flows[i];

        if (flow->source.fd < 0 || !pattern_is_stream(flow->type->transport))
            continue;
        flow->source.ready = ended_ready;
        bench_rewatch(bench, &flow->source, EPOLLIN | EPOLLRDHUP);
        shutdown(flow->source.fd, SHUT_WR);
    }
    while (open && bench_now(bench) < deadline_ns) {
        bench_wait(bench, bench_now(bench) + IDLE_WAIT_NS, 0);
        open = 0;
        for (size_t i = 0; i < sender->flow_count; i++)
            open += sender->flows[i].source.ready == ended_ready && sender->flows[i].source.fd >= 0;
    }
}

int sender_run(struct bench *bench)
{
    struct sender sender = {0};
    int err;

    bench->role = &sender; /* until this function ends */ /* cppcheck-suppress autoVariables */
    err = open_sender(bench, &sender);
    if (!err)
        err = bench_ready(bench);
    if (!err) {
        fill_agenda(bench, &sender);
        start_echoes(bench);
        play(bench);
        settle(bench);
        hang_up(bench);
    }
    close_sender(bench, &sender);
    return err;
}
