/* SPDX-License-Identifier: BSD-2-Clause */
/* truth_server OPTIONS: an NTP server that serves the true time (truth.h), stamped by the kernel, over a path whose
 * delay, jitter, asymmetry and loss it makes up itself: a request counts as received later than it was, a reply as sent
 * earlier than it is. So the made-up delays are exact, however late this program wakes up.
 *
 *   --file PATH          the truth; made if it is not there, with --skew PPB, --wander X, --seed N, --ahead S
 *   --bind ADDRESS       (default: all of IPv4 and IPv6), --port N (123)
 *   --delay NS           one way; --delay-back NS the other way, if it differs
 *   --jitter NS          mean of an exponential delay more; --jitter-back NS
 *   --loss PERCENT       of the requests
 *   --lie NS             added to the time served
 *   --step NS            SIGUSR1 lets the truth jump by so much
 *   --stratum N (1), --unsynchronised, --no-interleaved, --kiss CODE (after 4 requests)
 *   --evil               forged, replayed, altered and random packets beside each reply */
#include <arpa/inet.h>
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/net/clock/truth.h"

#define PENDING_MAX 4096
#define CLIENTS_MAX 256
#define IDS         4096
#define PACKET_LEN  48

static struct {
    const char *file, *bind, *kiss;
    double skew_ppb, wander, ahead_s, delay_ns, delay_back_ns, jitter_ns, jitter_back_ns, loss_percent;
    uint64_t seed;
    int64_t lie_ns, step_ns;
    int port, stratum;
    bool unsynchronised, no_interleaved, evil;
} option = {.port = 123, .stratum = 1, .seed = 1, .delay_back_ns = -1, .jitter_back_ns = -1};

/* What interleaved mode remembers. */
struct client {
    struct sockaddr_in6 address;
    uint64_t receive, transmit; /* of the exchange before; transmit 0: no stamp yet */
    uint64_t requests;
    uint8_t last_reply[PACKET_LEN];
};

struct reply {
    uint64_t due_tsc;
    double back_ns;
    int fd;
    struct sockaddr_in6 address;
    socklen_t length;
    uint8_t packet[PACKET_LEN];
    struct client *client;
    bool interleaved;
};

static struct truth truth;
static struct client clients[CLIENTS_MAX];
static struct reply pending[PENDING_MAX];
static unsigned pending_count;
static struct {
    struct client *client;
    uint64_t receive;
    double back_ns;
} departures[2][IDS];
static uint32_t next_id[2];
static int fds[2] = {-1, -1};
static uint64_t random_state;
static volatile sig_atomic_t step_wanted;

static void put64(uint8_t *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof(value));
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return be64toh(value);
}

static uint64_t served_ntp(uint64_t tsc)
{
    double fraction;
    int64_t utc_ns = truth_at(&truth, tsc, &fraction);

    return truth_to_ntp(utc_ns + option.lie_ns, fraction);
}

/* --- sockets ------------------------------------------------------------------------------------------------ */

static int open_socket(int family, const char *bind_to)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)option.port)};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)option.port)};
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0), on = 1;
    int flags = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE |
                SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY;
    int result;

    if (bind_to && inet_pton(family, bind_to, family == AF_INET ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr) != 1)
        errx(1, "not an address: %s", bind_to);
    setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    result =
        family == AF_INET ? bind(fd, (struct sockaddr *)&v4, sizeof(v4)) : bind(fd, (struct sockaddr *)&v6, sizeof(v6));
    if (result < 0 || setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof(flags)) < 0)
        err(1, "cannot bind port %d", option.port);
    return fd;
}

static int64_t control_stamp(struct msghdr *message, uint32_t *id)
{
    int64_t stamp_ns = 0;

    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg; cmsg = CMSG_NXTHDR(message, cmsg)) {
        if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_TIMESTAMPING) {
            struct scm_timestamping stamps;

            memcpy(&stamps, CMSG_DATA(cmsg), sizeof(stamps));
            stamp_ns = (int64_t)stamps.ts[0].tv_sec * 1000000000 + stamps.ts[0].tv_nsec;
        } else if (id && ((cmsg->cmsg_level == SOL_IP && cmsg->cmsg_type == IP_RECVERR) ||
                          (cmsg->cmsg_level == SOL_IPV6 && cmsg->cmsg_type == IPV6_RECVERR))) {
            struct sock_extended_err error;

            memcpy(&error, CMSG_DATA(cmsg), sizeof(error));
            *id = error.ee_data;
        }
    }
    return stamp_ns;
}

static struct client *find_client(const struct sockaddr_in6 *address, socklen_t length)
{
    static unsigned next;

    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        if (memcmp(&clients[i].address, address, length) == 0)
            return &clients[i];
    }
    next = (next + 1) % CLIENTS_MAX;
    memset(&clients[next], 0, sizeof(clients[next]));
    memcpy(&clients[next].address, address, length);
    return &clients[next];
}

/* --- departures --------------------------------------------------------------------------------------------- */

static void take_departures(int index)
{
    for (;;) {
        char control[256];
        struct msghdr message = {.msg_control = control, .msg_controllen = sizeof(control)};
        struct truth_bracket bracket;
        uint32_t id = 0;
        int64_t stamp_ns;
        struct client *client;

        if (recvmsg(fds[index], &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            return;
        bracket = truth_bracket();
        stamp_ns = control_stamp(&message, &id);
        client = departures[index][id % IDS].client;
        if (stamp_ns && client && client->receive == departures[index][id % IDS].receive)
            client->transmit = served_ntp(truth_stamp_tsc(&truth, &bracket, stamp_ns) -
                                          (uint64_t)truth_ticks(&truth, departures[index][id % IDS].back_ns));
        departures[index][id % IDS].client = NULL;
    }
}

static void send_counted(int index, const struct reply *reply, const uint8_t *packet, struct client *client,
                         uint64_t receive)
{
    if (sendto(fds[index], packet, PACKET_LEN, 0, (const struct sockaddr *)&reply->address, reply->length) < 0)
        return;
    departures[index][next_id[index] % IDS].client = client;
    departures[index][next_id[index] % IDS].receive = receive;
    departures[index][next_id[index] % IDS].back_ns = reply->back_ns;
    next_id[index]++;
}

/* None of these may be believed. */
static void send_evil(int index, struct reply *reply)
{
    uint8_t packet[PACKET_LEN];

    send_counted(index, reply, reply->client->last_reply, NULL, 0); /* a replay */
    memcpy(packet, reply->packet, sizeof(packet));
    put64(packet + 24, truth_random(&random_state)); /* another origin, and a wrong time */
    put64(packet + 32, get64(packet + 32) + (1ull << 32));
    put64(packet + 40, get64(packet + 40) + (1ull << 32));
    send_counted(index, reply, packet, NULL, 0);
    packet[0] = 0x23; /* a request in place of a reply */
    send_counted(index, reply, packet, NULL, 0);
    for (unsigned i = 0; i < sizeof(packet); i++)
        packet[i] = (uint8_t)truth_random(&random_state);
    send_counted(index, reply, packet, NULL, 0);
}

static void send_reply(struct reply *reply)
{
    int index = reply->fd == fds[1];
    uint64_t receive = get64(reply->packet + 32);

    if (option.evil && reply->client->requests % 2)
        send_evil(index, reply);
    reply->client->receive = receive;
    if (!reply->interleaved)
        put64(reply->packet + 40, served_ntp(truth_tsc() - (uint64_t)truth_ticks(&truth, reply->back_ns)));
    reply->client->transmit = 0;
    send_counted(index, reply, reply->packet, reply->client, receive);
    if (option.evil) {
        send_evil(index, reply);
        memcpy(reply->client->last_reply, reply->packet, PACKET_LEN);
    }
    take_departures(index);
}

/* --- requests ----------------------------------------------------------------------------------------------- */

static double way_ns(double fixed_ns, double jitter_ns)
{
    return fixed_ns + (jitter_ns > 0 ? truth_exponential(&random_state, jitter_ns) : 0);
}

static void write_header(struct reply *reply, const uint8_t *request, uint64_t receive)
{
    uint8_t *packet = reply->packet;
    struct client *client = reply->client;
    int leap = option.unsynchronised ? 3 : 0;

    memset(packet, 0, PACKET_LEN);
    packet[0] = (uint8_t)(leap << 6 | 4 << 3 | 4);
    packet[1] = (uint8_t)(option.unsynchronised ? 0 : option.stratum);
    packet[2] = request[2];
    packet[3] = (uint8_t)-25;
    memcpy(packet + 12, "TRUE", 4);
    if (option.kiss && client->requests > 4) {
        packet[1] = 0;
        memcpy(packet + 12, option.kiss, 4);
    }
    put64(packet + 16, receive & ~0xffffffffull);
    reply->interleaved = !option.no_interleaved && get64(request + 24) && get64(request + 24) == client->receive &&
                         client->transmit && get64(request + 32) != get64(request + 40);
    put64(packet + 24, get64(request + (reply->interleaved ? 32 : 40)));
    put64(packet + 32, receive);
    if (reply->interleaved)
        put64(packet + 40, client->transmit);
}

static void take_request(int index)
{
    uint8_t request[2048];
    char control[256];
    struct reply *reply = &pending[pending_count];
    struct iovec iov = {request, sizeof(request)};
    struct msghdr message = {.msg_name = &reply->address,
                             .msg_namelen = sizeof(reply->address),
                             .msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    ssize_t length = recvmsg(fds[index], &message, MSG_DONTWAIT);
    struct truth_bracket bracket = truth_bracket();
    uint64_t arrival;
    double there_ns;

    if (length < PACKET_LEN || (request[0] & 7) != 3 || truth_uniform(&random_state) * 100 < option.loss_percent ||
        pending_count + 1 >= PENDING_MAX)
        return;
    arrival = truth_stamp_tsc(&truth, &bracket, control_stamp(&message, NULL));
    there_ns = way_ns(option.delay_ns, option.jitter_ns);
    reply->back_ns = way_ns(option.delay_back_ns, option.jitter_back_ns);
    reply->fd = fds[index];
    reply->length = message.msg_namelen;
    reply->client = find_client(&reply->address, reply->length);
    reply->client->requests++;
    arrival += (uint64_t)truth_ticks(&truth, there_ns);
    write_header(reply, request, served_ntp(arrival));
    reply->due_tsc = arrival + (uint64_t)truth_ticks(&truth, reply->back_ns);
    if ((int64_t)(truth_tsc() - reply->due_tsc) >= 0)
        send_reply(reply);
    else
        pending_count++;
}

/* Sends what is due; how long until the next, in ns. */
static int64_t run_pending(void)
{
    int64_t next_ns = 1000000000;

    for (unsigned i = 0; i < pending_count;) {
        int64_t left = (int64_t)(pending[i].due_tsc - truth_tsc());

        if (left <= 0) {
            struct reply reply = pending[i];

            pending[i] = pending[--pending_count];
            send_reply(&reply);
            continue;
        }
        if ((double)left * truth.file->ns_per_tick < (double)next_ns)
            next_ns = (int64_t)((double)left * truth.file->ns_per_tick);
        i++;
    }
    return next_ns;
}

/* --- main --------------------------------------------------------------------------------------------------- */

static void want_step(int signal_number)
{
    (void)signal_number;
    step_wanted = 1;
}

static void parse(int argc, char **argv)
{
    enum {
        FILE_,
        SKEW,
        WANDER,
        SEED,
        AHEAD,
        BIND,
        PORT,
        DELAY,
        DELAY_BACK,
        JITTER,
        JITTER_BACK,
        LOSS,
        LIE,
        STEP,
        STRATUM,
        UNSYNCHRONISED,
        NO_INTERLEAVED,
        KISS,
        EVIL
    };
    static const struct option names[] = {{"file", 1, 0, FILE_},
                                          {"skew", 1, 0, SKEW},
                                          {"wander", 1, 0, WANDER},
                                          {"seed", 1, 0, SEED},
                                          {"ahead", 1, 0, AHEAD},
                                          {"bind", 1, 0, BIND},
                                          {"port", 1, 0, PORT},
                                          {"delay", 1, 0, DELAY},
                                          {"delay-back", 1, 0, DELAY_BACK},
                                          {"jitter", 1, 0, JITTER},
                                          {"jitter-back", 1, 0, JITTER_BACK},
                                          {"loss", 1, 0, LOSS},
                                          {"lie", 1, 0, LIE},
                                          {"step", 1, 0, STEP},
                                          {"stratum", 1, 0, STRATUM},
                                          {"unsynchronised", 0, 0, UNSYNCHRONISED},
                                          {"no-interleaved", 0, 0, NO_INTERLEAVED},
                                          {"kiss", 1, 0, KISS},
                                          {"evil", 0, 0, EVIL},
                                          {0}};
    int which;

    while ((which = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (which) {
        case FILE_:
            option.file = optarg;
            break;
        case SKEW:
            option.skew_ppb = atof(optarg);
            break;
        case WANDER:
            option.wander = atof(optarg);
            break;
        case SEED:
            option.seed = strtoull(optarg, NULL, 10);
            break;
        case AHEAD:
            option.ahead_s = atof(optarg);
            break;
        case BIND:
            option.bind = optarg;
            break;
        case PORT:
            option.port = atoi(optarg);
            break;
        case DELAY:
            option.delay_ns = atof(optarg);
            break;
        case DELAY_BACK:
            option.delay_back_ns = atof(optarg);
            break;
        case JITTER:
            option.jitter_ns = atof(optarg);
            break;
        case JITTER_BACK:
            option.jitter_back_ns = atof(optarg);
            break;
        case LOSS:
            option.loss_percent = atof(optarg);
            break;
        case LIE:
            option.lie_ns = atoll(optarg);
            break;
        case STEP:
            option.step_ns = atoll(optarg);
            break;
        case STRATUM:
            option.stratum = atoi(optarg);
            break;
        case UNSYNCHRONISED:
            option.unsynchronised = true;
            break;
        case NO_INTERLEAVED:
            option.no_interleaved = true;
            break;
        case KISS:
            option.kiss = optarg;
            break;
        case EVIL:
            option.evil = true;
            break;
        default:
            exit(2);
        }
    }
    if (!option.file || (option.kiss && strlen(option.kiss) != 4))
        errx(2, "usage: truth_server --file PATH [OPTION...]; a kiss code has four letters");
    if (option.delay_back_ns < 0)
        option.delay_back_ns = option.delay_ns;
    if (option.jitter_back_ns < 0)
        option.jitter_back_ns = option.jitter_ns;
}

static void open_truth(void)
{
    struct truth_bracket now = truth_bracket();
    struct truth_file initial = {.magic = TRUTH_MAGIC,
                                 .tsc0 = now.tsc,
                                 .utc0_ns = now.realtime_ns + (int64_t)(option.ahead_s * 1e9),
                                 .ns_per_tick = access(option.file, F_OK) == 0 ? 1 : truth_ns_per_tick(),
                                 .skew_ppb = option.skew_ppb,
                                 .wander = option.wander,
                                 .seed = option.seed};

    truth_open(&truth, option.file, &initial);
    random_state = option.seed * 7919 + (uint64_t)getpid();
}

int main(int argc, char **argv)
{
    struct pollfd polls[2];

    parse(argc, argv);
    open_truth();
    signal(SIGUSR1, want_step);
    if (!option.bind || strchr(option.bind, '.'))
        fds[0] = open_socket(AF_INET, option.bind);
    if (!option.bind || strchr(option.bind, ':'))
        fds[1] = open_socket(AF_INET6, option.bind);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        int64_t next_ns = run_pending();
        struct timespec timeout = {next_ns / 1000000000, next_ns % 1000000000};

        for (int i = 0; i < 2; i++)
            polls[i] = (struct pollfd){fds[i], POLLIN, 0};
        ppoll(polls, 2, &timeout, NULL);
        if (step_wanted) {
            step_wanted = 0;
            truth_step(&truth, option.step_ns);
        }
        for (int i = 0; i < 2; i++) {
            if (polls[i].revents & POLLERR)
                take_departures(i);
            if (polls[i].revents & POLLIN)
                take_request(i);
        }
    }
}
