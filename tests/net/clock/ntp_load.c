/* SPDX-License-Identifier: BSD-2-Clause */
/* ntp_load ADDRESS SECONDS [--interleaved] [--rate N]: asks an NTP server as fast as it answers (a window of requests
 * is under way), or N times a second, and prints one JSON object: requests, replies a second. With --interleaved every
 * request is one of interleaved mode, for which the server needs a stamp of each reply's departure. */
#include <arpa/inet.h>
#include <err.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH   32
#define WINDOW  256
#define SOCKETS 16 /* a client each */

static int fds[SOCKETS];
static uint8_t last[SOCKETS][48]; /* reply */
static uint64_t sent, received, interleaved_replies;
static int interleaved;

static double now_s(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void write_request(uint8_t *request, int client)
{
    static uint64_t nonce;

    memset(request, 0, 48);
    request[0] = 0x23;
    nonce += 0x9e3779b97f4a7c15ull;
    memcpy(request + 40, &nonce, 8);
    if (!interleaved)
        return;
    memcpy(request + 24, last[client] + 32, 8);
    request[32] = 1;
    memcpy(request + 33, &nonce, 7);
}

static unsigned send_batch(int client, unsigned count)
{
    static uint8_t requests[BATCH][48];
    struct mmsghdr messages[BATCH] = {0};
    struct iovec iov[BATCH];
    int result;

    for (unsigned i = 0; i < count; i++) {
        write_request(requests[i], client);
        iov[i] = (struct iovec){requests[i], 48};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    result = sendmmsg(fds[client], messages, count, MSG_DONTWAIT);
    return result > 0 ? (unsigned)result : 0;
}

static void receive(int client)
{
    static uint8_t replies[BATCH][128];
    struct mmsghdr messages[BATCH] = {0};
    struct iovec iov[BATCH];
    int count;

    for (unsigned i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){replies[i], sizeof(replies[i])};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    count = recvmmsg(fds[client], messages, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
        interleaved_replies += replies[i][24] == 1;
        memcpy(last[client], replies[i], 48);
        received++;
    }
}

static void open_sockets(const char *address)
{
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(123)};
    int size = 1 << 20;

    if (inet_pton(AF_INET, address, &server.sin_addr) != 1)
        errx(2, "not an address: %s", address);
    for (int i = 0; i < SOCKETS; i++) {
        fds[i] = socket(AF_INET, SOCK_DGRAM, 0);
        if (fds[i] < 0 || connect(fds[i], (struct sockaddr *)&server, sizeof(server)) < 0)
            err(1, "cannot ask %s", address);
        setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    }
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"interleaved", 0, 0, 'i'}, {"rate", 1, 0, 'r'}, {0}};
    double rate = 0, begin, end, lost_check;
    uint64_t under_way = 0, seen = 0;
    int which, client = 0;

    while ((which = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (which == 'i')
            interleaved = 1;
        else if (which == 'r')
            rate = atof(optarg);
        else
            return 2;
    }
    if (argc - optind != 2)
        errx(2, "usage: ntp_load ADDRESS SECONDS [--interleaved] [--rate N]");
    open_sockets(argv[optind]);
    begin = lost_check = now_s();
    end = begin + atof(argv[optind + 1]);
    while (now_s() < end) {
        client = (client + 1) % SOCKETS;
        under_way = sent - received - seen;
        if (rate > 0 ? (double)sent < (now_s() - begin) * rate : under_way < WINDOW)
            sent += send_batch(client, rate > 0 ? 1 : BATCH);
        receive(client);
        if (now_s() - lost_check > 0.05) { /* what has not come by now is lost */
            lost_check = now_s();
            if (under_way >= WINDOW && sent - received - seen == under_way)
                seen = sent - received;
        }
    }
    printf("{\"sent\": %llu, \"replies\": %llu, \"interleaved\": %llu, \"replies_per_s\": %.0f}\n",
           (unsigned long long)sent, (unsigned long long)received, (unsigned long long)interleaved_replies,
           (double)received / (now_s() - begin));
    return 0;
}
