/* SPDX-License-Identifier: BSD-2-Clause */
/* ntp_load ADDRESS SECONDS [WINDOW]: asks an NTP server as fast as it answers, with WINDOW (64) requests under way, and
 * prints one JSON object: requests, replies and replies a second. For tests/bench; give it a core of its own. */
#include <arpa/inet.h>
#include <err.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/net_addr.h"
#include "clock/ntp_packet.h"
#include "platform/platform.h"

#define WINDOW_MAX 512
#define LOST_MS    50 /* what has not come by then is lost */

static uint8_t requests[WINDOW_MAX][NTP_HEADER_LEN], replies[WINDOW_MAX][NTP_PACKET_MAX];
static struct iovec request_parts[WINDOW_MAX], reply_parts[WINDOW_MAX];
static struct mmsghdr out[WINDOW_MAX], in[WINDOW_MAX];

static int connect_to(const char *text)
{
    struct net_endpoint endpoint = {.port = NTP_PORT};
    struct sockaddr_storage address;
    int family, fd, size = 1 << 22;
    socklen_t length;

    if (net_addr_parse(text, &endpoint.addr) < 0)
        errx(2, "%s: not an address", text);
    family = net_addr_is_v4(&endpoint.addr) ? AF_INET : AF_INET6;
    length = net_endpoint_to_sockaddr(&endpoint, family, 0, &address);
    fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, length) < 0)
        err(1, "%s", text);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    return fd;
}

static void prepare(void)
{
    for (unsigned i = 0; i < WINDOW_MAX; i++) {
        request_parts[i] = (struct iovec){requests[i], sizeof requests[i]};
        reply_parts[i] = (struct iovec){replies[i], sizeof replies[i]};
        out[i].msg_hdr = (struct msghdr){.msg_iov = &request_parts[i], .msg_iovlen = 1};
        in[i].msg_hdr = (struct msghdr){.msg_iov = &reply_parts[i], .msg_iovlen = 1};
    }
}

/* Sends so many, numbered in their transmit field. */
static void send_requests(int fd, unsigned count, uint64_t first)
{
    for (unsigned i = 0; i < count; i++) {
        const struct ntp_header header = {.version = 4, .mode = NTP_MODE_CLIENT, .transmit = first + i};

        ntp_encode(&header, requests[i]);
    }
    for (unsigned done = 0; done < count;) {
        int sent = sendmmsg(fd, out + done, count - done, 0);

        if (sent < 0)
            err(1, "sending");
        done += (unsigned)sent;
    }
}

/* Replies that came, waiting for one at least; 0: none within LOST_MS. */
static unsigned take_replies(int fd, unsigned window)
{
    struct pollfd ready = {fd, POLLIN, 0};
    unsigned good = 0;
    int count;

    if (poll(&ready, 1, LOST_MS) <= 0)
        return 0;
    count = recvmmsg(fd, in, window, MSG_DONTWAIT, NULL);
    if (count < 0)
        err(1, "receiving");
    for (int i = 0; i < count; i++) {
        struct ntp_packet packet;

        good += ntp_decode(replies[i], in[i].msg_len, &packet) == 0 && packet.header.mode == NTP_MODE_SERVER &&
                packet.header.stratum > 0;
    }
    return good;
}

int main(int argc, char **argv)
{
    unsigned window = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 64, waiting = 0;
    uint64_t begin, end, sent = 0, got = 0;
    double seconds;
    int fd;

    if (argc < 3 || (seconds = strtod(argv[2], NULL)) <= 0 || window == 0 || window > WINDOW_MAX)
        errx(2, "usage: ntp_load ADDRESS SECONDS [WINDOW]");
    fd = connect_to(argv[1]);
    prepare();
    begin = platform_now_ns();
    end = begin + (uint64_t)(seconds * 1e9);
    while (platform_now_ns() < end) {
        unsigned came;

        send_requests(fd, window - waiting, sent + 1);
        sent += window - waiting;
        came = take_replies(fd, window);
        got += came;
        waiting = came > 0 && came <= window ? window - came : 0;
    }
    seconds = (double)(platform_now_ns() - begin) / 1e9;
    printf("{\"requests\": %" PRIu64 ", \"replies\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"per_s\": %.0f}\n", sent, got,
           sent - waiting - got, (double)got / seconds);
    return 0;
}
