/* SPDX-License-Identifier: BSD-2-Clause */
/* truth_ptp --file PATH --address LOCAL [--log-interval N]: a PTP master (IEEE 1588-2008: two steps, end to end, UDP
 * over IPv4) of the true time (truth.h), which must be there, stamped by the kernel; on an arbitrary timescale that
 * happens to be UTC. For one slave, to compare with. */
#include <arpa/inet.h>
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

#include "tests/net/clock/truth.h"

enum { SYNC = 0, DELAY_REQ = 1, FOLLOW_UP = 8, DELAY_RESP = 9, ANNOUNCE = 11 };
enum { EVENT, GENERAL };

static const uint8_t identity[10] = {0x02, 't', 'r', 0xff, 0xfe, 'u', 't', 'h', 0, 1};
static struct truth truth;
static struct sockaddr_in group[2];
static int fds[2];
static int log_interval;

static void put(uint8_t *at, uint64_t value, int bytes)
{
    while (bytes-- > 0) {
        at[bytes] = (uint8_t)value;
        value >>= 8;
    }
}

static void put_time(uint8_t *at, uint64_t tsc)
{
    int64_t ns = truth_at(&truth, tsc, NULL);

    put(at, (uint64_t)(ns / 1000000000), 6);
    put(at + 6, (uint64_t)(ns % 1000000000), 4);
}

static void write_header(uint8_t *message, int type, int length, uint16_t sequence)
{
    static const uint8_t controls[] = {[SYNC] = 0, [DELAY_REQ] = 1, [FOLLOW_UP] = 2, [DELAY_RESP] = 3, [ANNOUNCE] = 5};

    memset(message, 0, (size_t)length);
    message[0] = (uint8_t)type;
    message[1] = 2;
    put(message + 2, (uint64_t)length, 2);
    if (type == SYNC)
        message[6] = 2; /* a second step follows */
    memcpy(message + 20, identity, sizeof(identity));
    put(message + 30, sequence, 2);
    message[32] = controls[type];
    message[33] = (uint8_t)log_interval;
}

static void send_message(int socket, const uint8_t *message, int length)
{
    if (sendto(fds[socket], message, (size_t)length, 0, (struct sockaddr *)&group[socket], sizeof(group[socket])) < 0)
        warn("cannot send");
}

static int64_t stamp_of(struct msghdr *message)
{
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg; cmsg = CMSG_NXTHDR(message, cmsg)) {
        struct scm_timestamping stamps;

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_TIMESTAMPING)
            continue;
        memcpy(&stamps, CMSG_DATA(cmsg), sizeof(stamps));
        return (int64_t)stamps.ts[0].tv_sec * 1000000000 + stamps.ts[0].tv_nsec;
    }
    return 0;
}

static void send_announce(uint16_t sequence)
{
    uint8_t message[64];

    write_header(message, ANNOUNCE, sizeof(message), sequence);
    message[33] = 0;
    message[47] = 10; /* priorities and quality of a good master */
    message[48] = 6;
    message[49] = 0x21;
    put(message + 50, 0x4e5d, 2);
    message[52] = 10;
    memcpy(message + 53, identity, 8);
    message[63] = 0x90; /* time source: other */
    send_message(GENERAL, message, sizeof(message));
}

static void send_sync(uint16_t sequence)
{
    char control[256];
    struct msghdr stamp = {.msg_control = control, .msg_controllen = sizeof(control)};
    struct pollfd ready = {fds[EVENT], 0, 0};
    struct truth_bracket bracket;
    uint8_t message[44];
    int64_t sent_ns;

    write_header(message, SYNC, sizeof(message), sequence);
    send_message(EVENT, message, sizeof(message));
    if (poll(&ready, 1, 100) != 1 || recvmsg(fds[EVENT], &stamp, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
        return;
    bracket = truth_bracket();
    sent_ns = stamp_of(&stamp);
    write_header(message, FOLLOW_UP, sizeof(message), sequence);
    put_time(message + 34, truth_stamp_tsc(&truth, &bracket, sent_ns));
    send_message(GENERAL, message, sizeof(message));
}

static void answer(void)
{
    uint8_t request[256], reply[54];
    char control[256];
    struct iovec iov = {request, sizeof(request)};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    ssize_t length = recvmsg(fds[EVENT], &message, MSG_DONTWAIT);
    struct truth_bracket bracket = truth_bracket();

    if (length < 44 || (request[0] & 15) != DELAY_REQ)
        return;
    write_header(reply, DELAY_RESP, sizeof(reply), (uint16_t)(request[30] << 8 | request[31]));
    put_time(reply + 34, truth_stamp_tsc(&truth, &bracket, stamp_of(&message)));
    memcpy(reply + 44, request + 20, 10);
    send_message(GENERAL, reply, sizeof(reply));
}

static void open_socket(int which, const char *local)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(319 + which))};
    struct ip_mreq membership;
    int flags = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE |
                SOF_TIMESTAMPING_OPT_TSONLY;
    int off = 0;

    fds[which] = socket(AF_INET, SOCK_DGRAM, 0);
    inet_pton(AF_INET, "224.0.1.129", &group[which].sin_addr);
    group[which].sin_family = AF_INET;
    group[which].sin_port = any.sin_port;
    membership.imr_multiaddr = group[which].sin_addr;
    if (inet_pton(AF_INET, local, &membership.imr_interface) != 1)
        errx(2, "not an address: %s", local);
    if (bind(fds[which], (struct sockaddr *)&any, sizeof(any)) < 0 ||
        setsockopt(fds[which], SOL_IP, IP_ADD_MEMBERSHIP, &membership, sizeof(membership)) < 0 ||
        setsockopt(fds[which], SOL_IP, IP_MULTICAST_IF, &membership.imr_interface, sizeof(struct in_addr)) < 0 ||
        setsockopt(fds[which], SOL_IP, IP_MULTICAST_LOOP, &off, sizeof(off)) < 0 ||
        (which == EVENT && setsockopt(fds[which], SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof(flags)) < 0))
        err(1, "cannot open port %d", 319 + which);
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"file", 1, 0, 'f'}, {"address", 1, 0, 'a'}, {"log-interval", 1, 0, 'l'}, {0}};
    const char *file = NULL, *local = NULL;
    uint16_t sequence = 0;
    uint64_t next;
    int which;

    while ((which = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (which) {
        case 'f':
            file = optarg;
            break;
        case 'a':
            local = optarg;
            break;
        case 'l':
            log_interval = atoi(optarg);
            break;
        default:
            return 2;
        }
    }
    if (!file || !local)
        errx(2, "usage: truth_ptp --file PATH --address LOCAL [--log-interval N]");
    truth_open(&truth, file, NULL);
    open_socket(EVENT, local);
    open_socket(GENERAL, local);
    next = truth_tsc();
    for (;;) {
        struct pollfd ready = {fds[EVENT], POLLIN, 0};
        uint8_t ignored[256];

        if (poll(&ready, 1, 10) == 1)
            answer();
        while (recv(fds[GENERAL], ignored, sizeof(ignored), MSG_DONTWAIT) > 0)
            continue;
        if ((int64_t)(truth_tsc() - next) < 0)
            continue;
        next += (uint64_t)truth_ticks(&truth, 1e9 * pow(2, log_interval));
        send_announce(sequence);
        send_sync(sequence++);
    }
}
