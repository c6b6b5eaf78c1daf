/* SPDX-License-Identifier: BSD-2-Clause */
/* clock_check --truth FILE --seconds S [--interval MS] [--series FILE] (--segment PATH [--wait S] | --ntp ADDRESS
 * PORT): reads a clock again and again, compares it with the true time (truth.h) and prints one JSON object: the error
 * (clock minus truth) as mean, rms, quantiles and extremes in ns; for a segment also how often the truth lay within the
 * published bound. --slack NS: and not more than that outside, for the real way between the stamps of the two nodes
 * (veth, bridge, cold caches), whose asymmetry no two-way method sees.
 *
 * --ptp reads what a free running ptp4l says (-m) from standard input: the offset of CLOCK_REALTIME that it has found,
 * against the true one at that moment.
 *
 * --ntp judges the clock of an NTP server on this machine (chronyd -x): its receive stamp against the truth at the
 * kernel's stamp of the request's departure, less the time that a packet takes over loopback, measured here. */
#include <arpa/inet.h>
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <math.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lockstep/clock.h"
#include "tests/net/clock/truth.h"

#define SAMPLES_MAX    4000000
#define NARROW_TICKS   600
#define READ_TRIES     8
#define LOOPBACK_TRIES 200

static struct {
    const char *truth, *segment, *series, *ntp;
    double seconds, interval_ms, wait_s, slack_ns;
    int port;
    bool ptp;
} option = {.seconds = 5, .interval_ms = 1, .wait_s = 10, .port = 123};

static struct truth truth;
static double *errors, *bounds;
static size_t count;
static uint64_t uncovered, no_time, backwards;
static FILE *series;

static void add_sample(uint64_t tsc, double error_ns, double bound_ns)
{
    if (count == SAMPLES_MAX)
        errx(1, "too many samples");
    errors[count] = error_ns;
    bounds[count++] = bound_ns;
    if (bound_ns >= 0 && fabs(error_ns) > bound_ns + option.slack_ns)
        uncovered++;
    if (series)
        fprintf(series, "%.6f %.1f %.1f\n", (double)(int64_t)(tsc - truth.file->tsc0) * truth.file->ns_per_tick / 1e9,
                error_ns, bound_ns);
}

static void pause_a_while(void)
{
    struct timespec pause = {0};
    double ns = option.interval_ms * 1e6;

    pause.tv_sec = (time_t)(ns / 1e9);
    pause.tv_nsec = (long)fmod(ns, 1e9);
    nanosleep(&pause, NULL);
}

static double elapsed_s(uint64_t since)
{
    return (double)(int64_t)(truth_tsc() - since) * truth.file->ns_per_tick / 1e9;
}

/* --- the segment -------------------------------------------------------------------------------------------- */

/* One reading between two of the counter. The first ones after a pause wait for memory, and one may be interrupted. */
static void read_segment(const struct lockstep_clock *clock, uint64_t *tsc, struct lockstep_time *time, int *result)
{
    for (int i = 0; i < READ_TRIES; i++) {
        uint64_t before = truth_tsc(), after;

        *result = lockstep_clock_now(clock, LOCKSTEP_UTC, time);
        after = truth_tsc();
        *tsc = before + (after - before) / 2;
        if (after - before < NARROW_TICKS)
            return;
    }
}

static void judge_segment(const char *path, double *first_s)
{
    struct lockstep_clock *clock;
    struct lockstep_time time, last = {0};
    uint64_t begin = truth_tsc(), tsc;
    int result;

    while ((result = lockstep_clock_open(path, &clock)) != 0) {
        if (elapsed_s(begin) > option.wait_s)
            errx(1, "cannot open %s: %s", path, lockstep_clock_error_text(result));
        usleep(1000);
    }
    result = lockstep_clock_wait(clock, 0, (int)(option.wait_s * 1000));
    if (result < 0)
        errx(1, "%s: not synchronised: %s", path, lockstep_clock_error_text(result));
    *first_s = elapsed_s(begin);
    begin = truth_tsc();
    while (elapsed_s(begin) < option.seconds) {
        double fraction;
        int64_t true_ns;

        pause_a_while();
        read_segment(clock, &tsc, &time, &result);
        if (result < 0) {
            no_time++;
            continue;
        }
        true_ns = truth_at(&truth, tsc, &fraction);
        add_sample(tsc, (double)(time.ns - true_ns) - fraction, (double)(time.latest_ns - time.ns));
        if (time.disruptions == last.disruptions && time.ns < last.ns)
            backwards++;
        last = time;
    }
    lockstep_clock_close(clock);
}

/* --- an NTP server ------------------------------------------------------------------------------------------ */

static int stamped_socket(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int flags = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE |
                SOF_TIMESTAMPING_OPT_TSONLY | SOF_TIMESTAMPING_OPT_ID;
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof(flags)) < 0)
        err(1, "socket");
    if (port) {
        if (bind(fd, (struct sockaddr *)&address, length) < 0 ||
            getsockname(fd, (struct sockaddr *)&address, &length) < 0)
            err(1, "bind");
        *port = ntohs(address.sin_port);
    }
    return fd;
}

/* A packet or (errors) a departure's stamp; its kernel stamp in CLOCK_REALTIME, 0: none came. */
static int64_t take(int fd, int flags, void *data, size_t size)
{
    struct pollfd ready = {fd, flags & MSG_ERRQUEUE ? 0 : POLLIN, 0};
    char control[256];
    struct iovec iov = {data, size};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};

    if (poll(&ready, 1, 500) != 1 || recvmsg(fd, &message, flags | MSG_DONTWAIT) < 0)
        return 0;
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message); cmsg; cmsg = CMSG_NXTHDR(&message, cmsg)) {
        struct scm_timestamping stamps;

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_TIMESTAMPING)
            continue;
        memcpy(&stamps, CMSG_DATA(cmsg), sizeof(stamps));
        return (int64_t)stamps.ts[0].tv_sec * 1000000000 + stamps.ts[0].tv_nsec;
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* What lies between the stamp of a departure and that of its arrival on loopback: median. */
static double loopback_ns(void)
{
    double times[LOOPBACK_TRIES];
    int port, receiver = stamped_socket(&port), sender = stamped_socket(NULL);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    char data[48] = {0};

    for (int i = 0; i < LOOPBACK_TRIES; i++) {
        int64_t sent, received;

        if (sendto(sender, data, sizeof(data), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
            err(1, "loopback");
        sent = take(sender, MSG_ERRQUEUE, data, sizeof(data));
        received = take(receiver, 0, data, sizeof(data));
        times[i] = (double)(received - sent);
    }
    close(receiver);
    close(sender);
    qsort(times, LOOPBACK_TRIES, sizeof(double), compare);
    return times[LOOPBACK_TRIES / 2];
}

static bool ask(int fd, double loop_ns)
{
    uint8_t request[48] = {0x23}, reply[512];
    uint64_t nonce = truth_tsc(), receive;
    struct truth_bracket bracket;
    int64_t sent_ns, true_ns;
    double fraction;
    uint64_t tsc;

    memcpy(request + 40, &nonce, sizeof(nonce));
    bracket = truth_bracket();
    if (send(fd, request, sizeof(request), 0) < 0)
        return false;
    sent_ns = take(fd, MSG_ERRQUEUE, reply, sizeof(reply));
    if (take(fd, 0, reply, sizeof(reply)) == 0 || sent_ns == 0 || memcmp(reply + 24, &nonce, sizeof(nonce)) != 0 ||
        reply[0] >> 6 == 3 || reply[1] == 0 || reply[1] > 15)
        return false;
    tsc = truth_stamp_tsc(&truth, &bracket, sent_ns) + (uint64_t)truth_ticks(&truth, loop_ns);
    true_ns = truth_at(&truth, tsc, &fraction);
    memcpy(&receive, reply + 32, sizeof(receive));
    add_sample(tsc, truth_ntp_difference_ns(be64toh(receive), truth_to_ntp(true_ns, fraction)), -1);
    return true;
}

static void judge_ntp(const char *host, double *first_s)
{
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)option.port)};
    double loop_ns = loopback_ns();
    uint64_t begin = truth_tsc();
    int fd = stamped_socket(NULL);

    if (inet_pton(AF_INET, host, &server.sin_addr) != 1 || connect(fd, (struct sockaddr *)&server, sizeof(server)) < 0)
        errx(1, "cannot ask %s", host);
    while (!ask(fd, loop_ns)) {
        if (elapsed_s(begin) > option.wait_s)
            errx(1, "%s is not synchronised", host);
        usleep(10000);
    }
    *first_s = elapsed_s(begin);
    begin = truth_tsc();
    while (elapsed_s(begin) < option.seconds) {
        pause_a_while();
        no_time += !ask(fd, loop_ns);
    }
    close(fd);
}

/* --- ptp4l ---------------------------------------------------------------------------------------------------- */

static void judge_ptp(double *first_s)
{
    uint64_t begin = truth_tsc();
    char line[512];

    while (elapsed_s(begin) < option.wait_s + option.seconds && fgets(line, sizeof(line), stdin)) {
        struct truth_bracket bracket = truth_bracket();
        const char *found = strstr(line, "master offset");
        double offset_ns, fraction;
        int64_t true_ns;

        if (!found || sscanf(found, "master offset %lf", &offset_ns) != 1)
            continue;
        if (*first_s == 0)
            *first_s = elapsed_s(begin);
        if (elapsed_s(begin) < option.wait_s)
            continue;
        true_ns = truth_at(&truth, bracket.tsc, &fraction);
        add_sample(bracket.tsc, (double)(bracket.realtime_ns - true_ns) - fraction - offset_ns, -1);
    }
}

/* --- the result --------------------------------------------------------------------------------------------- */

static double quantile(const double *sorted, double share)
{
    return sorted[(size_t)(share * (double)(count - 1))];
}

static void print_result(double first_s)
{
    double sum = 0, squares = 0;

    if (count == 0)
        errx(1, "no readings");
    for (size_t i = 0; i < count; i++) {
        sum += errors[i];
        squares += errors[i] * errors[i];
    }
    printf("{\"readings\": %zu, \"first_s\": %.3f, \"mean_ns\": %.1f, \"rms_ns\": %.1f, \"last_ns\": %.1f, ", count,
           first_s, sum / (double)count, sqrt(squares / (double)count), errors[count - 1]);
    qsort(errors, count, sizeof(double), compare);
    printf("\"min_ns\": %.1f, \"median_ns\": %.1f, \"max_ns\": %.1f, ", errors[0], quantile(errors, 0.5),
           errors[count - 1]);
    for (size_t i = 0; i < count; i++)
        errors[i] = fabs(errors[i]);
    qsort(errors, count, sizeof(double), compare);
    qsort(bounds, count, sizeof(double), compare);
    printf("\"p99_abs_ns\": %.1f, \"max_abs_ns\": %.1f, \"covered\": %.6f, \"uncovered\": %llu, "
           "\"median_bound_ns\": %.1f, \"max_bound_ns\": %.1f, \"no_time\": %llu, \"backwards\": %llu}\n",
           quantile(errors, 0.99), errors[count - 1], 1 - (double)uncovered / (double)count,
           (unsigned long long)uncovered, quantile(bounds, 0.5), bounds[count - 1], (unsigned long long)no_time,
           (unsigned long long)backwards);
}

int main(int argc, char **argv)
{
    enum { TRUTH, SEGMENT, SERIES, NTP, PORT, SECONDS, INTERVAL, WAIT, SLACK, PTP };
    static const struct option names[] = {{"truth", 1, 0, TRUTH},
                                          {"segment", 1, 0, SEGMENT},
                                          {"series", 1, 0, SERIES},
                                          {"ntp", 1, 0, NTP},
                                          {"port", 1, 0, PORT},
                                          {"seconds", 1, 0, SECONDS},
                                          {"interval", 1, 0, INTERVAL},
                                          {"wait", 1, 0, WAIT},
                                          {"slack", 1, 0, SLACK},
                                          {"ptp", 0, 0, PTP},
                                          {0}};
    double first_s = 0;
    int which;

    while ((which = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (which) {
        case TRUTH:
            option.truth = optarg;
            break;
        case SEGMENT:
            option.segment = optarg;
            break;
        case SERIES:
            option.series = optarg;
            break;
        case NTP:
            option.ntp = optarg;
            break;
        case PORT:
            option.port = atoi(optarg);
            break;
        case SECONDS:
            option.seconds = atof(optarg);
            break;
        case INTERVAL:
            option.interval_ms = atof(optarg);
            break;
        case WAIT:
            option.wait_s = atof(optarg);
            break;
        case PTP:
            option.ptp = true;
            break;
        case SLACK:
            option.slack_ns = atof(optarg);
            break;
        default:
            return 2;
        }
    }
    if (!option.truth || !!option.segment + !!option.ntp + option.ptp != 1)
        errx(2, "usage: clock_check --truth FILE (--segment PATH | --ntp ADDRESS --port N | --ptp) [--seconds S]");
    truth_open(&truth, option.truth, NULL);
    errors = malloc(SAMPLES_MAX * sizeof(double));
    bounds = malloc(SAMPLES_MAX * sizeof(double));
    series = option.series ? fopen(option.series, "w") : NULL;
    if (!errors || !bounds || (option.series && !series))
        err(1, "cannot begin");
    if (option.segment)
        judge_segment(option.segment, &first_s);
    else if (option.ptp)
        judge_ptp(&first_s);
    else
        judge_ntp(option.ntp, &first_s);
    print_result(first_s);
    if (series)
        fclose(series);
    return 0;
}
