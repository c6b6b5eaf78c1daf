/* SPDX-License-Identifier: BSD-2-Clause */
/* One active TCP connection beside many idle ones: does a message's cost grow with their number? Also the
 * request-response of the loss benchmark (with no idle ones).
 *
 *   idle_conns server ADDRESS PORT                        echoes on every connection, one thread, epoll
 *   idle_conns client ADDRESS PORT IDLE BYTES SECONDS     prints one line of JSON; times in microseconds
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_MAX  65536
#define SAMPLES_MAX  20000000u
#define WARMUP_TRIPS 1000
#define EVENTS       256
#define PATIENCE_S   20

struct address {
    struct sockaddr_storage storage;
    socklen_t length;
};

static void die(const char *what)
{
    fprintf(stderr, "idle_conns: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct address parse_address(const char *text, const char *port)
{
    struct address address = {.length = sizeof(struct sockaddr_in)};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address.storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address.storage;
    uint16_t number = htons((uint16_t)strtoul(port, NULL, 10));
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = number;
    } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = number;
        address.length = sizeof(*v6);
    } else {
        errno = EINVAL;
        die(text);
    }
    return address;
}

static int tcp_socket(const struct address *address)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM, 0), on = 1;
    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    return fd;
}

static void send_all(int fd, const uint8_t *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
        if (sent < 0)
            die("send");
        data += sent;
        length -= (size_t)sent;
    }
}

static void receive_all(int fd, uint8_t *data, size_t length)
{
    while (length > 0) {
        ssize_t received = recv(fd, data, length, 0);
        if (received == 0)
            errno = ECONNRESET;
        if (received <= 0)
            die("recv");
        data += received;
        length -= (size_t)received;
    }
}

/* ---- server ---- */

static void accept_one(int epoll, int listener)
{
    int fd = accept(listener, NULL, NULL), on = 1;
    if (fd < 0)
        die("accept");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        die("epoll_ctl");
}

static void echo(int fd)
{
    static uint8_t data[MESSAGE_MAX];
    ssize_t received = recv(fd, data, sizeof(data), 0);
    if (received <= 0)
        close(fd);
    else
        send_all(fd, data, (size_t)received);
}

static _Noreturn void server(const struct address *address)
{
    int listener = tcp_socket(address), epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    if (bind(listener, (const struct sockaddr *)&address->storage, address->length) != 0)
        die("bind");
    if (listen(listener, 4096) != 0)
        die("listen");
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0)
        die("epoll");
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        if (count < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                accept_one(epoll, listener);
            else
                echo(events[i].data.fd);
        }
    }
}

/* ---- client ---- */

/* A connection that has carried one byte each way: it is accepted and known everywhere. */
static int open_connection(const struct address *address)
{
    struct timeval patience = {.tv_sec = PATIENCE_S};
    uint8_t byte = 1;
    int fd = tcp_socket(address);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (const struct sockaddr *)&address->storage, address->length) != 0)
        die("connect");
    send_all(fd, &byte, 1);
    receive_all(fd, &byte, 1);
    return fd;
}

static uint64_t round_trip(int fd, size_t bytes, uint64_t number)
{
    static uint8_t sent[MESSAGE_MAX], received[MESSAGE_MAX];
    memcpy(sent, &number, bytes < sizeof(number) ? bytes : sizeof(number));
    uint64_t begin = now_ns();
    send_all(fd, sent, bytes);
    receive_all(fd, received, bytes);
    uint64_t end = now_ns();
    if (memcmp(sent, received, bytes) != 0) {
        fprintf(stderr, "idle_conns: the echo differs from what was sent\n");
        exit(1);
    }
    return end - begin;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile(const uint32_t *sorted, size_t count, double share)
{
    return count == 0 ? 0 : sorted[(size_t)(share * (double)(count - 1))] / 1000.0;
}

static void measure(int fd, size_t bytes, double seconds, unsigned idle, double opening_s)
{
    uint32_t *samples = calloc(SAMPLES_MAX, sizeof(*samples)); /* touched as far as it is used */
    size_t count = 0;
    if (samples == NULL)
        die("memory");
    for (unsigned i = 0; i < WARMUP_TRIPS; i++)
        round_trip(fd, bytes, i);
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
    while (now_ns() < end && count < SAMPLES_MAX)
        samples[count] = (uint32_t)round_trip(fd, bytes, count), count++;
    qsort(samples, count, sizeof(*samples), compare);
    printf("{\"idle\": %u, \"bytes\": %zu, \"count\": %zu, \"opening_s\": %.3f, \"p50\": %.3f, \"p90\": %.3f, \"p99\": "
           "%.3f, "
           "\"p99.9\": %.3f, \"max\": %.3f}\n",
           idle, bytes, count, opening_s, percentile(samples, count, 0.5), percentile(samples, count, 0.9),
           percentile(samples, count, 0.99), percentile(samples, count, 0.999), percentile(samples, count, 1));
    free(samples);
}

static int client(const struct address *address, unsigned idle, size_t bytes, double seconds)
{
    uint64_t begin = now_ns();
    if (bytes == 0 || bytes > MESSAGE_MAX) {
        errno = EINVAL;
        die("message size");
    }
    for (unsigned i = 0; i < idle; i++)
        // cppcheck-suppress leakReturnValNotUsed ; stays open until the end
        open_connection(address);
    int fd = open_connection(address);
    measure(fd, bytes, seconds, idle, (double)(now_ns() - begin) / 1e9);
    return 0;
}

static void raise_limit(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    raise_limit();
    if (argc == 4 && strcmp(argv[1], "server") == 0) {
        struct address address = parse_address(argv[2], argv[3]);
        server(&address);
    }
    if (argc == 7 && strcmp(argv[1], "client") == 0) {
        struct address address = parse_address(argv[2], argv[3]);
        return client(&address, (unsigned)strtoul(argv[4], NULL, 10), strtoul(argv[5], NULL, 10),
                      strtod(argv[6], NULL));
    }
    fprintf(stderr, "usage: idle_conns server ADDRESS PORT | client ADDRESS PORT IDLE BYTES SECONDS\n");
    return 2;
}
