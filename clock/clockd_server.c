/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/clockd_server.h"

#include <errno.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "clock/nts_cookies.h"
#include "clock/nts_server.h"

#define BATCH            32
#define SEND_BATCH       8 /* replies say when they leave: what waits behind others leaves later than it says */
#define CONTROL_BYTES    256
#define RECEIVE_BUFFER   (1 << 20)
#define SLOTS            1024 /* departures whose stamps are awaited */
#define STAMPS_PER_TURN  64
#define MARK_NS          500000000
#define LEAD_INTERVAL_NS 250000000
#define LEAD_MAX_NS      50000.0
#define LEAD_SMOOTHING   0.125
#define LEAD_PART        0.8               /* rather too early than after the fact */
#define KEY_ROTATION_NS  604800000000000ll /* a week */
#define LISTEN_BACKLOG   64

struct server_departure {
    bool used, alone; /* alone: nothing was sent before it in its batch */
    uint32_t id, slot;
    int64_t read_ns; /* when the clock was read for it */
};

struct server_socket {
    struct clockd *clockd;
    int fd, family;
    struct event_source on_socket;
    uint32_t next_id;
    struct server_departure departures[SLOTS];
};

struct clockd_server {
    struct ntp_server *ntp;
    struct nts_cookies *cookies;
    struct nts_server *nts; /* NULL: no NTS */
    struct event_source on_nts;
    bool nts_due;
    int64_t nts_deadline_ns;
    struct ntp_server_clock clock;
    bool in_time; /* the Lockstep clock gives a time */
    /* CLOCK_REALTIME against the counter, half a second to a few seconds ago, and later. */
    struct counter_bracket marks[2];
    /* What it takes from the reading of the clock to a reply's departure: a running mean, learned from the stamps of
     * interleaved replies, and of others now and then. Replies of basic mode name the time that is to be expected. */
    double lead_ns;
    int64_t lead_asked_ns;
    unsigned socket_count;
    struct server_socket *sockets[2 * CLOCKD_LISTEN_MAX];
};

/* One request and its reply. */
struct server_message {
    struct sockaddr_storage from;
    struct iovec in, out;
    uint8_t request[NTP_PACKET_MAX], reply[NTP_PACKET_MAX];
    char control[CONTROL_BYTES], reply_control[CONTROL_BYTES];
    uint32_t slot;
};

/* Only one thread, and too large for its stack. */
static struct server_message messages[BATCH];
static struct mmsghdr arrivals[BATCH], replies[SEND_BATCH];
static unsigned reply_count;
static struct server_departure reply_departures[SEND_BATCH];

/* --- the clock's times of stamps ---------------------------------------------------------------------------- */

static void refresh_marks(struct clockd *clockd, const struct counter_bracket *now)
{
    struct clockd_server *server = clockd->server;
    double age = (double)(now->before - server->marks[1].before) * 1e9 / clockd->counter.nominal_hz;

    if (server->marks[1].before && age < MARK_NS)
        return;
    server->marks[0] = server->marks[1].before ? server->marks[1] : *now;
    server->marks[1] = *now;
}

/* UTC of a counter value by the clock that is served: without time of our own the system's, which is served as not
 * synchronised. */
static int64_t utc_at(const struct clockd *clockd, uint64_t counter, const struct counter_bracket *system)
{
    struct lockstep_time time;

    if (clockd->server->in_time && clockd_time(clockd, counter, &time))
        return time.ns;
    return system->clock_ns + (int64_t)((double)(int64_t)(counter - system->before) * 1e9 / clockd->counter.nominal_hz);
}

/* UTC of a kernel stamp from before `now`; false: the system clock was disturbed. */
static bool utc_of_stamp(const struct clockd *clockd, int64_t stamp_ns, const struct counter_bracket *now, int64_t *utc)
{
    struct stamp stamp;

    if (!stamp_carry(&clockd->counter, &clockd->server->marks[0], now, stamp_ns, &stamp))
        return false;
    *utc = utc_at(clockd, stamp.counter, now);
    return true;
}

static void learn_lead(struct clockd_server *server, const struct server_departure *departure, int64_t utc_ns)
{
    double lead_ns = (double)(utc_ns - departure->read_ns);

    if (departure->alone && lead_ns > 0 && lead_ns < LEAD_MAX_NS)
        server->lead_ns += (lead_ns - server->lead_ns) * LEAD_SMOOTHING;
}

/* --- departures --------------------------------------------------------------------------------------------- */

static void drain_departures(struct server_socket *socket)
{
    struct clockd *clockd = socket->clockd;
    struct counter_bracket now = {0};

    for (int i = 0; i < STAMPS_PER_TURN; i++) {
        char bytes[CONTROL_BYTES];
        struct msghdr message = {.msg_control = bytes, .msg_controllen = sizeof(bytes)};
        struct server_departure *departure;
        struct stamp_control control;
        int64_t utc_ns;

        if (recvmsg(socket->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            return;
        if (now.before == 0)
            counter_bracket(&clockd->counter, CLOCK_REALTIME, &now);
        stamp_control_read(&message, &control);
        departure = &socket->departures[control.id % SLOTS];
        if (control.error != ENOMSG || !control.kernel_ns || !departure->used || departure->id != control.id)
            continue;
        departure->used = false;
        if (!utc_of_stamp(clockd, control.kernel_ns, &now, &utc_ns))
            continue;
        learn_lead(clockd->server, departure, utc_ns);
        if (departure->slot != NTP_SERVER_NO_SLOT)
            ntp_server_sent(clockd->server->ntp, departure->slot, utc_ns);
    }
}

/* Departures are numbered as they are sent with a stamp wanted; after a failure the count is not certain. */
static void number_anew(struct server_socket *socket)
{
    int none = 0;

    setsockopt(socket->fd, SOL_SOCKET, SO_TIMESTAMPING, &none, sizeof(none));
    drain_departures(socket);
    memset(socket->departures, 0, sizeof(socket->departures));
    socket->next_id = 0;
    stamp_enable_numbered(socket->fd);
}

static void send_replies(struct server_socket *socket)
{
    unsigned done = 0;
    bool failed = false;

    for (unsigned i = 0; i < reply_count; i++) {
        if (!reply_departures[i].used)
            continue;
        reply_departures[i].id = socket->next_id;
        reply_departures[i].alone = i == 0;
        socket->departures[socket->next_id++ % SLOTS] = reply_departures[i];
    }
    while (done < reply_count) {
        int sent = sendmmsg(socket->fd, replies + done, reply_count - done, MSG_DONTWAIT | MSG_NOSIGNAL);

        failed |= sent < 0;
        done += sent > 0 ? (unsigned)sent : 1; /* who cannot be reached is left out */
    }
    if (failed)
        number_anew(socket);
    reply_count = 0;
}

/* --- arrivals ----------------------------------------------------------------------------------------------- */

static struct cmsghdr *add_control(struct msghdr *header, struct cmsghdr *after, int level, int type, const void *data,
                                   size_t size)
{
    struct cmsghdr *cmsg = after ? CMSG_NXTHDR(header, after) : CMSG_FIRSTHDR(header);

    cmsg->cmsg_level = level;
    cmsg->cmsg_type = type;
    cmsg->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(cmsg), data, size);
    return cmsg;
}

/* Now and then a reply that needs no stamp gets one. */
static bool lead_is_due(struct clockd_server *server, int64_t now_ns)
{
    if (reply_count > 0 || (now_ns - server->lead_asked_ns < LEAD_INTERVAL_NS && now_ns >= server->lead_asked_ns))
        return false;
    server->lead_asked_ns = now_ns;
    return true;
}

/* The reply leaves from the address that was asked, through the interface that the request came by if that is what its
 * address means; with a stamp if one is wanted. */
static void queue_reply(struct server_socket *socket, struct server_message *message, socklen_t from_length,
                        const struct stamp_control *arrival, size_t length, int64_t read_ns)
{
    struct msghdr *header = &replies[reply_count].msg_hdr;
    uint32_t stamp = SOF_TIMESTAMPING_TX_SOFTWARE;
    bool stamped = message->slot != NTP_SERVER_NO_SLOT || lead_is_due(socket->clockd->server, read_ns);
    struct cmsghdr *last = NULL;
    size_t used = 0;

    message->out = (struct iovec){message->reply, length};
    *header = (struct msghdr){.msg_name = &message->from,
                              .msg_namelen = from_length,
                              .msg_iov = &message->out,
                              .msg_iovlen = 1,
                              .msg_control = message->reply_control,
                              .msg_controllen = sizeof(message->reply_control)};
    memset(message->reply_control, 0, sizeof(message->reply_control));
    if (socket->family == AF_INET && !net_addr_is_any(&arrival->local)) {
        struct in_pktinfo info = {.ipi_spec_dst.s_addr = net_addr_to_v4(&arrival->local)};

        last = add_control(header, last, SOL_IP, IP_PKTINFO, &info, sizeof(info));
        used += CMSG_SPACE(sizeof(info));
    } else if (socket->family == AF_INET6 && !net_addr_is_any(&arrival->local)) {
        struct in6_pktinfo info = {.ipi6_ifindex = net_addr_is_link_local(&arrival->local) ? arrival->interface : 0};

        memcpy(&info.ipi6_addr, arrival->local.byte, sizeof(info.ipi6_addr));
        last = add_control(header, last, SOL_IPV6, IPV6_PKTINFO, &info, sizeof(info));
        used += CMSG_SPACE(sizeof(info));
    }
    if (stamped) {
        add_control(header, last, SOL_SOCKET, SO_TIMESTAMPING, &stamp, sizeof(stamp));
        used += CMSG_SPACE(sizeof(stamp));
    }
    header->msg_controllen = used;
    reply_departures[reply_count++] =
        (struct server_departure){.used = stamped, .slot = message->slot, .read_ns = read_ns};
}

static void answer(struct server_socket *socket, unsigned index, const struct counter_bracket *now)
{
    struct clockd *clockd = socket->clockd;
    struct server_message *message = &messages[index];
    const struct msghdr *header = &arrivals[index].msg_hdr;
    struct stamp_control arrival;
    struct net_endpoint from;
    int64_t receive_ns, read_ns;
    size_t length;

    stamp_control_read(header, &arrival);
    if ((header->msg_flags & MSG_TRUNC) || !arrival.kernel_ns ||
        net_endpoint_from_sockaddr((struct sockaddr *)&message->from, header->msg_namelen, &from) < 0 ||
        !utc_of_stamp(clockd, arrival.kernel_ns, now, &receive_ns))
        return;
    read_ns = utc_at(clockd, clockd->counter.read(clockd->counter.context), now);
    length = ntp_server_reply(clockd->server->ntp, &clockd->server->clock, &from.addr, from.port, message->request,
                              arrivals[index].msg_len, receive_ns,
                              read_ns + (int64_t)(clockd->server->lead_ns * LEAD_PART), message->reply, &message->slot);
    if (length == 0)
        return;
    queue_reply(socket, message, header->msg_namelen, &arrival, length, read_ns);
    if (reply_count == SEND_BATCH)
        send_replies(socket);
}

static int receive_batch(struct server_socket *socket)
{
    for (unsigned i = 0; i < BATCH; i++) {
        messages[i].in = (struct iovec){messages[i].request, sizeof(messages[i].request)};
        arrivals[i].msg_hdr = (struct msghdr){.msg_name = &messages[i].from,
                                              .msg_namelen = sizeof(messages[i].from),
                                              .msg_iov = &messages[i].in,
                                              .msg_iovlen = 1,
                                              .msg_control = messages[i].control,
                                              .msg_controllen = sizeof(messages[i].control)};
    }
    return recvmmsg(socket->fd, arrivals, BATCH, MSG_DONTWAIT, NULL);
}

static void handle_socket(void *object, uint32_t events)
{
    struct server_socket *socket = object;
    struct clockd *clockd = socket->clockd;
    struct counter_bracket now;
    int count;

    if (events & EPOLLERR)
        drain_departures(socket);
    count = receive_batch(socket);
    if (count <= 0)
        return;
    counter_bracket(&clockd->counter, CLOCK_REALTIME, &now);
    for (int i = 0; i < count; i++)
        answer(socket, (unsigned)i, &now);
    if (reply_count > 0)
        send_replies(socket);
    refresh_marks(clockd, &now);
}

/* --- opening ------------------------------------------------------------------------------------------------ */

static int bind_socket(const struct net_endpoint *local, int type)
{
    int family = net_addr_is_v4(&local->addr) ? AF_INET : AF_INET6, on = 1, result = 0;
    int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_storage address;
    socklen_t length = net_endpoint_to_sockaddr(local, family, 0, &address);

    if (fd < 0)
        return -errno;
    if (family == AF_INET6)
        setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (type == SOCK_STREAM)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, family == AF_INET ? SOL_IP : SOL_IPV6, family == AF_INET ? IP_FREEBIND : IPV6_FREEBIND, &on,
               sizeof(on));
    if (bind(fd, (struct sockaddr *)&address, length) < 0 || (type == SOCK_STREAM && listen(fd, LISTEN_BACKLOG) < 0))
        result = -errno;
    if (result < 0) {
        close(fd);
        return result;
    }
    return fd;
}

static int add_ntp_socket(struct clockd *clockd, const struct net_endpoint *local)
{
    struct clockd_server *server = clockd->server;
    int fd = bind_socket(local, SOCK_DGRAM), on = 1, size = RECEIVE_BUFFER, result;
    struct server_socket *socket;

    if (fd < 0)
        return fd;
    socket = calloc(1, sizeof(*socket));
    if (!socket) {
        close(fd);
        return -ENOMEM;
    }
    socket->clockd = clockd;
    socket->fd = fd;
    socket->family = net_addr_is_v4(&local->addr) ? AF_INET : AF_INET6;
    socket->on_socket = (struct event_source){handle_socket, socket, false};
    server->sockets[server->socket_count++] = socket;
    setsockopt(fd, socket->family == AF_INET ? SOL_IP : SOL_IPV6,
               socket->family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, &on, sizeof(on));
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    result = stamp_enable_numbered(fd);
    return result < 0 ? result : clockd_watch(clockd, fd, EPOLLIN, &socket->on_socket);
}

static int add_nts_socket(struct clockd *clockd, const struct net_endpoint *local)
{
    int fd = bind_socket(local, SOCK_STREAM);

    return fd < 0 ? fd : nts_server_listen(clockd->server->nts, fd);
}

/* A socket for each address of the configuration, or for all addresses of both families. */
static int add_sockets(struct clockd *clockd, uint16_t port,
                       int (*add)(struct clockd *clockd, const struct net_endpoint *local))
{
    const struct clockd_serve_config *config = &clockd->config.serve;
    bool all = !config->addresses[0][0];
    unsigned opened = 0;

    for (unsigned i = 0; all ? i < 2 : i < CLOCKD_LISTEN_MAX && config->addresses[i][0]; i++) {
        struct net_endpoint local = {.addr = net_addr_any(i == 0), .port = port};
        char text[NET_ENDPOINT_TEXT_MAX];
        int result;

        if (!all)
            net_addr_parse(config->addresses[i], &local.addr);
        result = add(clockd, &local);
        if (result == -EAFNOSUPPORT && all)
            continue; /* a kernel without IPv6 */
        if (result < 0) {
            log_error("server: cannot listen on %s: %s", net_endpoint_format(&local, text), error_text(result));
            return result;
        }
        opened++;
    }
    return opened > 0 ? 0 : -EAFNOSUPPORT;
}

static void handle_nts(void *object, uint32_t events)
{
    struct clockd_server *server = object;

    (void)events;
    server->nts_due = true;
}

static int open_nts(struct clockd *clockd)
{
    const struct clockd_serve_config *config = &clockd->config.serve;
    struct clockd_server *server = clockd->server;
    struct nts_server_config nts = {
        .certificate_file = config->nts_certificate, .key_file = config->nts_key, .ntp_port = (uint16_t)config->port};
    char problem[NTS_SERVER_PROBLEM_MAX];
    int result = nts_cookies_create(config->nts_cookie_file[0] ? config->nts_cookie_file : NULL, KEY_ROTATION_NS,
                                    clockd_now_ns(), time(NULL), &server->cookies, problem);

    if (result == 0)
        result = nts_server_create(&nts, server->cookies, &server->nts, problem);
    if (result < 0) {
        log_error("server: %s", problem);
        return result;
    }
    server->on_nts = (struct event_source){handle_nts, server, false};
    server->nts_due = true;
    result = add_sockets(clockd, (uint16_t)config->nts_port, add_nts_socket);
    return result < 0 ? result : clockd_watch(clockd, nts_server_fd(server->nts), EPOLLIN, &server->on_nts);
}

static int open_ntp(struct clockd *clockd)
{
    const struct clockd_serve_config *config = &clockd->config.serve;
    struct ntp_server_config ntp = {.clients = (unsigned)config->clients,
                                    .rate_interval_ms = (unsigned)(config->rate_interval_ns / 1000000),
                                    .rate_burst = (unsigned)config->rate_burst,
                                    .network_count = config->network_count,
                                    .keys = config->keys ? clockd->keys : NULL,
                                    .nts = clockd->server->cookies};
    struct counter_bracket now;
    int result;

    memcpy(ntp.networks, config->networks, sizeof(ntp.networks));
    clockd->server->ntp = ntp_server_create(&ntp);
    if (!clockd->server->ntp) {
        log_error("server: no memory, or [serve] is out of its limits");
        return -ENOMEM;
    }
    if (config->network_count == 0)
        log_warning("server: nobody is allowed: give \"allow\" in [serve]");
    result = counter_bracket(&clockd->counter, CLOCK_REALTIME, &now);
    if (result < 0)
        return result;
    refresh_marks(clockd, &now);
    return add_sockets(clockd, (uint16_t)config->port, add_ntp_socket);
}

int clockd_server_create(struct clockd *clockd)
{
    int result = 0;

    if (!clockd->config.serve.enabled)
        return 0;
    clockd->server = calloc(1, sizeof(*clockd->server));
    if (!clockd->server)
        return -ENOMEM;
    clockd->server->clock.leap = NTP_LEAP_UNSYNCHRONISED;
    if (clockd->config.serve.nts_certificate[0])
        result = open_nts(clockd);
    return result < 0 ? result : open_ntp(clockd);
}

void clockd_server_destroy(struct clockd *clockd)
{
    struct clockd_server *server = clockd->server;

    if (!server)
        return;
    for (unsigned i = 0; i < server->socket_count; i++) {
        close(server->sockets[i]->fd);
        free(server->sockets[i]);
    }
    ntp_server_destroy(server->ntp);
    nts_server_destroy(server->nts);
    nts_cookies_destroy(server->cookies);
    free(server);
    clockd->server = NULL;
}

/* --- running ------------------------------------------------------------------------------------------------ */

int64_t clockd_server_run(struct clockd *clockd, int64_t now_ns)
{
    struct clockd_server *server = clockd->server;

    if (!server || !server->nts)
        return INT64_MAX;
    if (server->nts_due || now_ns >= server->nts_deadline_ns) {
        struct lockstep_time present;
        int64_t utc_s = clockd_time(clockd, clockd->counter.read(clockd->counter.context), &present)
                            ? present.ns / 1000000000
                            : (int64_t)time(NULL);

        server->nts_due = false;
        server->nts_deadline_ns = nts_server_run(server->nts, now_ns, utc_s);
    }
    return server->nts_deadline_ns;
}

void clockd_server_update(struct clockd *clockd)
{
    struct clockd_server *server = clockd->server;
    struct counter_bracket now;

    if (!server)
        return;
    clockd_describe(clockd, &server->clock);
    server->in_time = server->clock.leap != NTP_LEAP_UNSYNCHRONISED;
    if (counter_bracket(&clockd->counter, CLOCK_REALTIME, &now) == 0)
        refresh_marks(clockd, &now);
}

void clockd_server_get_counts(const struct clockd_server *server, struct ntp_server_counts *out)
{
    ntp_server_get_counts(server->ntp, out);
}
