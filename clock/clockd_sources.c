/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/clockd_sources.h"

#include <errno.h>
#include <netinet/in.h>
#include <nettle/md5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "clock/ntp_keys.h"
#include "clock/nts_client.h"

#define PACKETS_PER_TURN  16
#define UNANSWERED_LIMIT  8            /* requests in a row, then another address, or the name anew */
#define UNREACHABLE_NS    4000000000ll /* and at least that long */
#define ASK_AGAIN_MIN_NS  1000000000ll
#define ASK_AGAIN_MAX_NS  64000000000ll
#define SETTLED_NS        500000000ll
#define CHECK_INTERVAL_NS 1000000000ll

struct clock_source {
    struct clockd *clockd;
    const struct clockd_source_config *config;
    unsigned id; /* in the core */
    struct stamp_socket socket;
    struct event_source on_socket;
    enum stamp_kind stamps; /* of the latest packet */

    char name[256]; /* that is asked for */
    uint16_t port;
    struct resolver_answer addresses; /* of the name; count 0: not known yet */
    unsigned current;
    bool asking;
    int64_t ask_at_ns, ask_delay_ns;
    int64_t opened_ns;
    uint64_t sent_before; /* when the socket was opened */

    struct nts_client *nts; /* NULL: not used */
    struct event_source on_nts;
    bool nts_asking, nts_ready, nts_due;
    int64_t nts_deadline_ns;
    struct net_addr nts_address; /* of the key server, as connected */
    uint32_t nts_scope;
};

struct clockd_sources {
    struct event_source on_resolver;
    unsigned count;
    int64_t next_check_ns;
    struct clock_source sources[CORE_SOURCES_MAX];
};

/* --- packets ------------------------------------------------------------------------------------------------ */

static void drain_departures(struct clock_source *source)
{
    struct stamp stamp;
    uint64_t ticket;
    int result;

    while ((result = stamp_socket_sent(&source->socket, &ticket, &stamp)) != -EAGAIN) {
        if (result == 0 && stamp.kind != STAMP_NONE)
            core_sent(source->clockd->core, source->id, ticket, stamp.counter, stamp.error_ns);
        if (result < 0 && result != -EBADMSG)
            break;
    }
}

static void handle_socket(void *object, uint32_t events)
{
    struct clock_source *source = object;
    uint8_t packet[NTP_PACKET_MAX];
    struct stamp stamp;
    unsigned ttl;

    (void)events;
    drain_departures(source);
    for (int i = 0; i < PACKETS_PER_TURN; i++) {
        ssize_t length = stamp_socket_receive(&source->socket, packet, sizeof(packet), &stamp, &ttl);

        if (length == -EAGAIN)
            break;
        if (length == -ECONNREFUSED || length == -EHOSTUNREACH || length == -ENETUNREACH)
            core_unreachable(source->clockd->core, source->id);
        if (length < 0)
            continue;
        source->stamps = stamp.kind;
        if (stamp.kind == STAMP_NONE)
            log_debug("%s: an arrival without a usable stamp is left out", source->config->name);
        else
            core_received(source->clockd->core, source->id, packet, (size_t)length, stamp.counter, stamp.error_ns, ttl);
    }
    source->nts_due = true;
}

int clockd_sources_send(void *context, unsigned number, const uint8_t *packet, size_t length, uint64_t ticket)
{
    struct clockd *clockd = context;
    struct clock_source *source = &clockd->sources->sources[number];
    int result;

    if (number >= clockd->sources->count || source->socket.fd < 0)
        return -ENOTCONN;
    stamp_warmer_run(&clockd->warmer);
    result = stamp_socket_send(&source->socket, packet, length, ticket);
    /* An ICMP error of an earlier packet is reported, and cleared, by the next call. */
    if (result == -ECONNREFUSED)
        result = stamp_socket_send(&source->socket, packet, length, ticket);
    if (result == 0)
        drain_departures(source);
    return result;
}

/* --- addresses ---------------------------------------------------------------------------------------------- */

static struct net_endpoint endpoint_of(const struct clock_source *source)
{
    return (struct net_endpoint){source->addresses.addresses[source->current], source->port};
}

static void postpone(struct clock_source *source, int64_t now_ns)
{
    source->ask_delay_ns = source->ask_delay_ns ? source->ask_delay_ns * 2 : ASK_AGAIN_MIN_NS;
    if (source->ask_delay_ns > ASK_AGAIN_MAX_NS)
        source->ask_delay_ns = ASK_AGAIN_MAX_NS;
    source->ask_at_ns = now_ns + source->ask_delay_ns;
}

static int open_socket(struct clock_source *source, int64_t now_ns)
{
    struct clockd *clockd = source->clockd;
    struct net_endpoint server = endpoint_of(source);
    struct core_source_report report;
    char text[NET_ENDPOINT_TEXT_MAX];
    int result;

    stamp_socket_close(&source->socket);
    result = stamp_socket_open(&source->socket, &clockd->counter, &server, source->addresses.scope_ids[source->current],
                               clockd->interfaces, clockd->interface_count);
    if (result == 0)
        result = clockd_watch(clockd, source->socket.fd, EPOLLIN, &source->on_socket);
    if (result < 0) {
        log_limited(LOG_LEVEL_WARNING, LOG_SUBJECT(.source = source->config->name), "%s: cannot ask %s: %s",
                    source->config->name, net_endpoint_format(&server, text), error_text(result));
        stamp_socket_close(&source->socket);
        postpone(source, now_ns);
        return result;
    }
    source->opened_ns = now_ns;
    source->sent_before = core_get_source(clockd->core, source->id, &report) ? report.sent : 0;
    return 0;
}

/* Which of the addresses is asked; index: counted anew after the last. */
static void use_address(struct clock_source *source, unsigned index, bool moved, int64_t now_ns)
{
    struct net_endpoint server;
    char text[NET_ENDPOINT_TEXT_MAX];

    source->current = index % source->addresses.count;
    if (open_socket(source, now_ns) < 0 || !moved)
        return;
    server = endpoint_of(source);
    log_about(LOG_LEVEL_INFO, LOG_SUBJECT(.source = source->config->name), "%s: asking %s", source->config->name,
              net_endpoint_format(&server, text));
    core_source_moved(source->clockd->core, source->id);
}

static void take_addresses(struct clock_source *source, const struct resolver_answer *answer, int64_t now_ns)
{
    struct net_addr present = source->addresses.addresses[source->current];
    bool known = source->addresses.count > 0;
    unsigned next = 0;

    source->ask_delay_ns = 0;
    source->addresses = *answer;
    /* Asked anew because the present one does not answer: the next one, if there is another. */
    for (unsigned i = 0; known && i < answer->count; i++) {
        if (net_addr_equal(&answer->addresses[i], &present))
            next = (i + 1) % answer->count;
    }
    /* A numeric address is there before the first request: there is nothing to forget. */
    use_address(source, next,
                known ? !net_addr_equal(&answer->addresses[next], &present)
                      : now_ns - source->clockd->started_ns > SETTLED_NS,
                now_ns);
}

static uint32_t question_id(const struct clock_source *source, bool nts)
{
    return source->id * 2 + nts;
}

/* 0: the answer is there; 1: it will come; negative: it cannot be asked. */
static int ask(struct clock_source *source, const char *name, bool nts, struct resolver_answer *answer)
{
    int result = resolver_numeric(name, answer);

    if (result == 0)
        return 0;
    result = resolver_ask(&source->clockd->resolver, question_id(source, nts), name);
    return result < 0 ? result : 1;
}

static void ask_address(struct clock_source *source, int64_t now_ns)
{
    struct resolver_answer answer;
    int result = ask(source, source->name, false, &answer);

    source->asking = result == 1;
    if (result == 0)
        take_addresses(source, &answer, now_ns);
    else if (result < 0)
        postpone(source, now_ns);
}

/* A server that does not answer: another address of it, its name anew, at least another port of ours. */
static void check_reach(struct clock_source *source, int64_t now_ns)
{
    struct core_source_report report;

    if (source->socket.fd < 0 || source->asking || now_ns - source->opened_ns < UNREACHABLE_NS ||
        !core_get_source(source->clockd->core, source->id, &report) || report.state == SOURCE_STOPPED ||
        report.reach != 0 || report.sent - source->sent_before < UNANSWERED_LIMIT)
        return;
    source->opened_ns = now_ns;
    source->sent_before = report.sent;
    ask_address(source, now_ns);
}

/* --- NTS ---------------------------------------------------------------------------------------------------- */

static void connect_nts(struct clock_source *source, const struct resolver_answer *answer, int64_t now_ns)
{
    struct net_endpoint server = {answer->addresses[0], (uint16_t)source->config->nts_port};
    int family = net_addr_is_v4(&server.addr) ? AF_INET : AF_INET6;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), result = 0;
    struct sockaddr_storage address;
    socklen_t length = net_endpoint_to_sockaddr(&server, family, answer->scope_ids[0], &address);

    if (fd < 0 || (connect(fd, (struct sockaddr *)&address, length) < 0 && errno != EINPROGRESS)) {
        result = -errno;
        if (fd >= 0)
            close(fd);
    } else {
        result = nts_client_start(source->nts, fd, now_ns);
    }
    source->nts_address = server.addr;
    source->nts_scope = answer->scope_ids[0];
    if (result < 0)
        nts_client_failed(source->nts, now_ns, error_text(result));
}

static void take_nts_addresses(struct clock_source *source, const struct resolver_answer *answer, int64_t now_ns)
{
    source->nts_asking = false;
    source->nts_due = true;
    if (answer->error < 0)
        nts_client_failed(source->nts, now_ns, error_text(answer->error));
    else
        connect_nts(source, answer, now_ns);
}

/* The key server says whom to ask with its cookies. */
static void follow_nts(struct clock_source *source, int64_t now_ns)
{
    char name[NTS_CLIENT_NAME_MAX];
    uint16_t port;

    nts_client_server(source->nts, name, &port);
    source->port = port == NTP_PORT ? (uint16_t)source->config->port : port;
    if (*name) {
        snprintf(source->name, sizeof(source->name), "%s", name);
        ask_address(source, now_ns);
        return;
    }
    source->addresses.count = 1;
    source->addresses.addresses[0] = source->nts_address;
    source->addresses.scope_ids[0] = source->nts_scope;
    source->asking = false;
    use_address(source, 0, true, now_ns);
}

static void run_nts(struct clock_source *source, int64_t now_ns)
{
    enum nts_client_state state;
    struct resolver_answer answer;
    int result;

    if (!source->nts_due && now_ns < source->nts_deadline_ns)
        return;
    source->nts_due = false;
    source->nts_deadline_ns = nts_client_run(source->nts, now_ns);
    state = nts_client_state(source->nts);
    if (state == NTS_CLIENT_READY && !source->nts_ready)
        follow_nts(source, now_ns);
    else if (state == NTS_CLIENT_IDLE && nts_client_problem(source->nts)[0] && source->nts_ready)
        log_about(LOG_LEVEL_WARNING, LOG_SUBJECT(.source = source->config->name), "%s: %s", source->config->name,
                  nts_client_problem(source->nts));
    source->nts_ready = state == NTS_CLIENT_READY;
    if (state != NTS_CLIENT_WANTED || source->nts_asking)
        return;
    result = ask(source, source->config->address, true, &answer);
    source->nts_asking = result == 1;
    if (result == 0)
        connect_nts(source, &answer, now_ns);
    else if (result < 0)
        nts_client_failed(source->nts, now_ns, error_text(result));
    source->nts_deadline_ns = now_ns;
}

static void handle_nts(void *object, uint32_t events)
{
    struct clock_source *source = object;

    (void)events;
    source->nts_due = true;
}

static int create_nts(struct clock_source *source, struct ntp_auth **auth)
{
    char problem[NTS_CLIENT_PROBLEM_MAX] = "";
    struct nts_client_config config = {.ca_file = source->config->ca[0] ? source->config->ca : NULL,
                                       .ignore_validity_time = source->clockd->config.ignore_certificate_time};
    int result;

    snprintf(config.name, sizeof(config.name), "%s", source->config->address);
    result = nts_client_create(&config, &source->nts, problem);
    if (result < 0) {
        log_error("%s: %s", source->config->name, problem);
        return result;
    }
    source->on_nts = (struct event_source){handle_nts, source, false};
    source->nts_due = true;
    *auth = nts_client_auth(source->nts);
    result = *auth ? clockd_watch(source->clockd, nts_client_fd(source->nts), EPOLLIN, &source->on_nts) : -ENOMEM;
    if (result < 0)
        log_error("%s: NTS: %s", source->config->name, error_text(result));
    return result;
}

/* --- all of them -------------------------------------------------------------------------------------------- */

static void handle_resolver(void *object, uint32_t events)
{
    struct clockd *clockd = object;
    int64_t now_ns = clockd_now_ns();
    struct resolver_answer answer;
    int result;

    (void)events;
    while ((result = resolver_answer(&clockd->resolver, &answer)) == 0) {
        struct clock_source *source = &clockd->sources->sources[answer.id / 2 % CORE_SOURCES_MAX];

        if (answer.id % 2 && source->nts) {
            take_nts_addresses(source, &answer, now_ns);
        } else if (answer.error < 0) {
            source->asking = false;
            if (source->ask_delay_ns < ASK_AGAIN_MAX_NS)
                log_about(LOG_LEVEL_WARNING, LOG_SUBJECT(.source = source->config->name), "%s: %s: %s",
                          source->config->name, source->name,
                          answer.error == -ENOENT   ? "there is no such name"
                          : answer.error == -EAGAIN ? "the name cannot be looked up at present"
                                                    : error_text(answer.error));
            postpone(source, now_ns);
        } else {
            source->asking = false;
            take_addresses(source, &answer, now_ns);
        }
    }
    if (result != -EAGAIN) {
        log_error("resolver: ended; names cannot be looked up any more");
        resolver_close(&clockd->resolver);
    }
}

static int64_t run_source(struct clock_source *source, int64_t now_ns)
{
    int64_t deadline = INT64_MAX;

    if (source->nts) {
        run_nts(source, now_ns);
        deadline = source->nts_due ? now_ns : source->nts_deadline_ns;
    }
    if (source->socket.fd < 0 && !source->asking && (!source->nts || source->nts_ready)) {
        if (now_ns >= source->ask_at_ns)
            ask_address(source, now_ns);
        if (source->socket.fd < 0 && source->ask_at_ns < deadline)
            deadline = source->ask_at_ns;
    }
    return deadline;
}

int64_t clockd_sources_run(struct clockd *clockd, int64_t now_ns)
{
    struct clockd_sources *sources = clockd->sources;
    int64_t deadline;

    if (now_ns >= sources->next_check_ns) {
        for (unsigned i = 0; i < sources->count; i++)
            check_reach(&sources->sources[i], now_ns);
        sources->next_check_ns = now_ns + CHECK_INTERVAL_NS;
    }
    deadline = sources->next_check_ns;
    for (unsigned i = 0; i < sources->count; i++) {
        int64_t one = run_source(&sources->sources[i], now_ns);

        if (one < deadline)
            deadline = one;
    }
    return deadline;
}

static int add_source(struct clockd *clockd, const struct clockd_source_config *config, const struct clock_state *state)
{
    struct clock_source *source = &clockd->sources->sources[clockd->sources->count];
    struct core_source_config core_config = {
        .poll_min_log2 = clockd_poll_log2(config->poll_min),
        .poll_max_log2 = clockd_poll_log2(config->poll_max),
        .burst = config->burst,
        .interleaved = config->interleaved,
        .prefer = config->prefer,
        .no_select = config->no_select,
        .asymmetry_ns = (double)config->asymmetry_ns,
        .baseline_hint_ns = state_file_baseline(state, config->name),
    };
    int result = 0;

    source->clockd = clockd;
    source->config = config;
    source->socket.fd = -1;
    source->port = (uint16_t)config->port;
    source->on_socket = (struct event_source){handle_socket, source, true};
    snprintf(source->name, sizeof(source->name), "%s", config->address);
    snprintf(core_config.name, sizeof(core_config.name), "%s", config->name);
    clockd->sources->count++;
    if (config->nts) {
        result = create_nts(source, &core_config.auth);
    } else if (config->key) {
        core_config.auth = ntp_keys_auth(clockd->keys, (uint32_t)config->key);
        if (!core_config.auth) {
            log_error("%s: there is no key %u in %s", config->name, (unsigned)config->key, clockd->config.key_file);
            result = LOCKSTEP_E_UNKNOWN_NAME;
        }
    }
    if (result == 0)
        result = core_add_source(clockd->core, &core_config);
    if (result < 0)
        return result;
    source->id = (unsigned)result;
    if (source->id != clockd->sources->count - 1) /* the core numbers them in order */
        return -EBADSLT;
    return 0;
}

int clockd_sources_create(struct clockd *clockd, const struct clock_state *state)
{
    int result = 0;

    clockd->sources = calloc(1, sizeof(*clockd->sources));
    if (!clockd->sources)
        return -ENOMEM;
    clockd->sources->on_resolver = (struct event_source){handle_resolver, clockd, false};
    if (clockd->resolver.fd >= 0)
        result = clockd_watch(clockd, clockd->resolver.fd, EPOLLIN, &clockd->sources->on_resolver);
    for (unsigned i = 0; i < clockd->config.source_count && result == 0; i++) {
        result = add_source(clockd, &clockd->config.sources[i], state);
        if (result < 0)
            log_error("%s: cannot be added: %s", clockd->config.sources[i].name, error_text(result));
    }
    return result;
}

void clockd_sources_destroy(struct clockd *clockd)
{
    struct clockd_sources *sources = clockd->sources;

    if (!sources)
        return;
    for (unsigned i = 0; i < sources->count; i++) {
        stamp_socket_close(&sources->sources[i].socket);
        nts_client_destroy(sources->sources[i].nts);
    }
    free(sources);
    clockd->sources = NULL;
}

/* --- reports ------------------------------------------------------------------------------------------------ */

const struct clockd_source_config *clockd_sources_config(const struct clockd *clockd, unsigned number)
{
    return clockd->sources->sources[number].config;
}

enum stamp_kind clockd_sources_describe(const struct clockd *clockd, unsigned number, char *text)
{
    const struct clock_source *source = &clockd->sources->sources[number];

    *text = 0;
    if (source->addresses.count > 0) {
        struct net_endpoint server = endpoint_of(source);

        net_endpoint_format(&server, text);
    }
    return source->stamps;
}

uint32_t clockd_sources_reference(const struct clockd *clockd, unsigned number)
{
    const struct clock_source *source = &clockd->sources->sources[number];
    const struct net_addr *addr = &source->addresses.addresses[source->current];
    uint8_t digest[MD5_DIGEST_SIZE];
    struct md5_ctx md5;

    if (net_addr_is_v4(addr))
        return ntohl(net_addr_to_v4(addr));
    md5_init(&md5);
    md5_update(&md5, sizeof(addr->byte), addr->byte);
    md5_digest(&md5, sizeof(digest), digest);
    return (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 | digest[3];
}
