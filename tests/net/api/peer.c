/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/net/api/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tests/net/api/check.h"

#define WAIT_MS     5000
#define SOCKETS_MAX 2048
#define CHUNK       65536

struct api_place place;

/* ---- Addresses and small helpers ---- */

struct address address_of(const char *text, unsigned port)
{
    struct address address = {.length = sizeof address.v4};

    memset(&address.room, 0, sizeof address.room);
    if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons((uint16_t)port);
        return address;
    }
    CHECK_EQUAL(inet_pton(AF_INET6, text, &address.v6.sin6_addr), 1);
    address.length = sizeof address.v6;
    address.v6.sin6_family = AF_INET6;
    address.v6.sin6_port = htons((uint16_t)port);
    return address;
}

struct address address_any(int family, unsigned port)
{
    return address_of(family == AF_INET ? "0.0.0.0" : "::", port);
}

unsigned address_port(const struct address *address)
{
    return ntohs(address->v4.sin_port); /* at the same place in both */
}

static struct in6_addr as_v6(const struct address *address)
{
    struct in6_addr v6 = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

    if (address->any.sa_family == AF_INET6)
        return address->v6.sin6_addr;
    memcpy(v6.s6_addr + 12, &address->v4.sin_addr, 4);
    return v6;
}

bool address_same(const struct address *a, const struct address *b)
{
    struct in6_addr a6 = as_v6(a), b6 = as_v6(b);

    return address_port(a) == address_port(b) && memcmp(&a6, &b6, sizeof a6) == 0;
}

struct address local_name(int fd)
{
    struct address name = {.length = sizeof name.room};

    OK(getsockname(fd, &name.any, &name.length));
    return name;
}

struct address remote_name(int fd)
{
    struct address name = {.length = sizeof name.room};

    OK(getpeername(fd, &name.any, &name.length));
    return name;
}

void pattern_fill(void *data, size_t from, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ((uint8_t *)data)[i] = pattern_byte(from + i);
}

bool pattern_matches(const void *data, size_t from, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (((const uint8_t *)data)[i] != pattern_byte(from + i))
            return false;
    return true;
}

uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void sleep_ms(unsigned ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000l};

    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

void receive_all(int fd, void *data, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = OK(recv(fd, (char *)data + done, length - done, 0));

        CHECK(n > 0);
        done += (size_t)n;
    }
}

void send_all(int fd, const void *data, size_t length)
{
    for (size_t done = 0; done < length;)
        done += (size_t)OK(send(fd, (const char *)data + done, length - done, 0));
}

/* ---- Messages ---- */

enum operation {
    OP_LISTEN,
    OP_ACCEPT,
    OP_CONNECT,
    OP_TRY_CONNECT,
    OP_UDP,
    OP_FREE_PORT,
    OP_SEND,
    OP_SEND_TO,
    OP_RECEIVE,
    OP_RECEIVE_ERROR,
    OP_RECEIVE_FROM,
    OP_NOTHING,
    OP_SEND_PATTERN,
    OP_EXPECT_PATTERN,
    OP_ECHO,
    OP_ECHO_MANY,
    OP_DONE,
    OP_SHUTDOWN,
    OP_CLOSE,
    OP_RESET,
    OP_OPTION,
};

struct request {
    int32_t operation, socket;
    int64_t a, b;
    struct address address;
    uint64_t length; /* of the data that follow */
};

struct reply {
    int32_t result; /* negative: errno, the peer could not do it */
    uint32_t port;
    struct address address;
    uint64_t length; /* of the data that follow */
};

static bool read_exactly(int fd, void *data, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = read(fd, (char *)data + done, length - done);

        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static bool write_exactly(int fd, const void *data, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = send(fd, (const char *)data + done, length - done, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

/* ---- The peer itself ---- */

static int sockets[SOCKETS_MAX];
static unsigned socket_count;
static int background; /* result of the last task in the background */
static uint8_t chunk[CHUNK];

static int keep(int fd)
{
    if (fd < 0)
        return -errno;
    if (socket_count == SOCKETS_MAX) {
        close(fd);
        return -ENFILE;
    }
    sockets[socket_count] = fd;
    return (int)socket_count++;
}

static bool comes(int fd, short events, int ms)
{
    struct pollfd waited = {fd, events, 0};

    return poll(&waited, 1, ms) == 1;
}

static int do_listen(int family, struct reply *reply)
{
    struct address any = address_any(family, 0);
    int fd = socket(family, SOCK_STREAM, 0), one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, &any.any, any.length) < 0 || listen(fd, 1100) < 0)
        return -errno;
    reply->address = local_name(fd);
    return keep(fd);
}

static int do_accept(int listener, struct reply *reply)
{
    reply->address.length = sizeof reply->address.room;
    if (!comes(listener, POLLIN, WAIT_MS))
        return -ETIMEDOUT;
    return keep(accept(listener, &reply->address.any, &reply->address.length));
}

static int do_connect(const struct address *to)
{
    int fd = socket(to->any.sa_family, SOCK_STREAM, 0);

    if (fd < 0 || connect(fd, &to->any, to->length) == 0)
        return keep(fd);
    close(fd);
    return -errno;
}

static int do_try_connect(const struct address *to)
{
    int fd = socket(to->any.sa_family, SOCK_STREAM, 0);
    int result = connect(fd, &to->any, to->length) < 0 ? errno : 0;

    close(fd);
    return result;
}

static int do_udp(const struct address *at, struct reply *reply)
{
    int fd = socket(at->any.sa_family, SOCK_DGRAM, 0), one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof one);
    if (fd < 0 || bind(fd, &at->any, at->length) < 0)
        return -errno;
    reply->address = local_name(fd);
    return keep(fd);
}

static int do_free_port(int type, struct reply *reply)
{
    struct address any = address_any(AF_INET6, 0);
    int fd = socket(AF_INET6, type, 0);

    if (fd < 0 || bind(fd, &any.any, any.length) < 0)
        return -errno;
    reply->address = local_name(fd);
    close(fd);
    return 0;
}

static int do_receive(int fd, size_t length, struct reply *reply)
{
    size_t done = 0;

    while (done < length) {
        ssize_t n;

        if (!comes(fd, POLLIN, WAIT_MS))
            return -ETIMEDOUT;
        n = recv(fd, chunk + done, length - done, 0);
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    reply->length = done;
    return 0;
}

static int do_receive_error(int fd)
{
    ssize_t n;

    if (!comes(fd, POLLIN, WAIT_MS))
        return -ETIMEDOUT;
    n = recv(fd, chunk, CHUNK, MSG_DONTWAIT);
    return n < 0 ? errno : 0;
}

static int do_receive_from(int fd, struct reply *reply)
{
    ssize_t n;

    reply->address.length = sizeof reply->address.room;
    if (!comes(fd, POLLIN, WAIT_MS))
        return -ETIMEDOUT;
    n = recvfrom(fd, chunk, CHUNK, 0, &reply->address.any, &reply->address.length);
    reply->length = n > 0 ? (size_t)n : 0;
    return n < 0 ? -errno : 0;
}

static int send_pattern(int fd, size_t length)
{
    for (size_t done = 0; done < length;) {
        size_t part = length - done < CHUNK ? length - done : CHUNK;
        ssize_t n;

        pattern_fill(chunk, done, part);
        n = send(fd, chunk, part, MSG_NOSIGNAL);
        if (n <= 0)
            return -errno;
        done += (size_t)n;
    }
    return 0;
}

static int expect_pattern(int fd, size_t length, unsigned delay_ms)
{
    for (size_t done = 0; done < length;) {
        ssize_t n;

        sleep_ms(delay_ms);
        if (!comes(fd, POLLIN, WAIT_MS))
            return -ETIMEDOUT;
        n = recv(fd, chunk, length - done < CHUNK ? length - done : CHUNK, 0);
        if (n < 0)
            return -errno;
        if (n == 0)
            return -ENODATA;
        if (!pattern_matches(chunk, done, (size_t)n))
            return -EBADMSG;
        done += (size_t)n;
    }
    return 0;
}

static int echo(int fd)
{
    for (;;) {
        ssize_t n = recv(fd, chunk, CHUNK, 0);

        if (n <= 0) {
            shutdown(fd, SHUT_WR);
            return n < 0 ? -errno : 0;
        }
        if (!write_exactly(fd, chunk, (size_t)n))
            return -errno;
    }
}

/* Opens all connections, then sends a message of its own over each and checks that it comes back. */
static int echo_many(const struct address *to, unsigned connections, unsigned rounds)
{
    unsigned first = socket_count;

    for (unsigned i = 0; i < connections; i++) {
        int slot = do_connect(to);

        if (slot < 0)
            return slot;
    }
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < connections; i++) {
            uint32_t message[2] = {i, round};

            if (!write_exactly(sockets[first + i], message, sizeof message))
                return -EPIPE;
        }
        for (unsigned i = 0; i < connections; i++) {
            uint32_t message[2];

            if (!comes(sockets[first + i], POLLIN, WAIT_MS) ||
                !read_exactly(sockets[first + i], message, sizeof message))
                return -ETIMEDOUT;
            if (message[0] != i || message[1] != round)
                return -EBADMSG;
        }
    }
    for (unsigned i = 0; i < connections; i++) {
        close(sockets[first + i]);
        sockets[first + i] = -1;
    }
    return 0;
}

static int do_close(int socket, bool reset)
{
    struct linger linger = {1, 0};
    int fd = sockets[socket];

    if (reset)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    sockets[socket] = -1;
    return close(fd) < 0 ? -errno : 0;
}

static int as_result(long value)
{
    return value < 0 ? -errno : 0;
}

static int execute(const struct request *request, struct reply *reply)
{
    int fd = request->socket >= 0 && request->socket < (int)socket_count ? sockets[request->socket] : -1;

    switch ((enum operation)request->operation) {
    case OP_LISTEN:
        return do_listen((int)request->a, reply);
    case OP_ACCEPT:
        return do_accept(fd, reply);
    case OP_CONNECT:
        return do_connect(&request->address);
    case OP_TRY_CONNECT:
        return do_try_connect(&request->address);
    case OP_UDP:
        return do_udp(&request->address, reply);
    case OP_FREE_PORT:
        return do_free_port((int)request->a, reply);
    case OP_SEND:
        return write_exactly(fd, chunk, request->length) ? 0 : -errno;
    case OP_SEND_TO:
        return as_result(sendto(fd, chunk, request->length, 0, &request->address.any, request->address.length));
    case OP_RECEIVE:
        return do_receive(fd, (size_t)request->a, reply);
    case OP_RECEIVE_ERROR:
        return do_receive_error(fd);
    case OP_RECEIVE_FROM:
        return do_receive_from(fd, reply);
    case OP_NOTHING:
        return !comes(fd, POLLIN, (int)request->a);
    case OP_SHUTDOWN:
        return as_result(shutdown(fd, (int)request->a));
    case OP_CLOSE:
        return do_close(request->socket, false);
    case OP_RESET:
        return do_close(request->socket, true);
    case OP_OPTION:
        return as_result(setsockopt(fd, (int)request->a, (int)request->b, chunk, (socklen_t)request->length));
    case OP_DONE:
        return background;
    case OP_SEND_PATTERN:
    case OP_EXPECT_PATTERN:
    case OP_ECHO:
    case OP_ECHO_MANY:
        return 0;
    }
    return -ENOSYS;
}

static void execute_in_background(const struct request *request)
{
    int fd = request->socket >= 0 && request->socket < (int)socket_count ? sockets[request->socket] : -1;

    if (request->operation == OP_SEND_PATTERN)
        background = send_pattern(fd, (size_t)request->a);
    else if (request->operation == OP_EXPECT_PATTERN)
        background = expect_pattern(fd, (size_t)request->a, (unsigned)request->b);
    else if (request->operation == OP_ECHO)
        background = echo(fd);
    else if (request->operation == OP_ECHO_MANY)
        background = echo_many(&request->address, (unsigned)request->a, (unsigned)request->b);
}

static void serve_case(int control)
{
    struct request request;

    while (read_exactly(control, &request, sizeof request) && request.length <= CHUNK) {
        struct reply reply = {0};

        if (request.length > 0 && !read_exactly(control, chunk, request.length))
            break;
        reply.result = execute(&request, &reply);
        if (!write_exactly(control, &reply, sizeof reply) || !write_exactly(control, chunk, reply.length))
            break;
        execute_in_background(&request);
    }
    for (unsigned i = 0; i < socket_count; i++)
        if (sockets[i] >= 0)
            close(sockets[i]);
    socket_count = 0;
    background = 0;
}

static struct sockaddr_un control_address(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    CHECK(strlen(path) < sizeof address.sun_path);
    strcpy(address.sun_path, path);
    return address;
}

_Noreturn void peer_serve(const char *control_path)
{
    struct sockaddr_un address = control_address(control_path);
    struct rlimit limit = {4096, 4096};
    int listener = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

    setrlimit(RLIMIT_NOFILE, &limit);
    OK(bind(listener, (struct sockaddr *)&address, sizeof address));
    OK(listen(listener, 8));
    for (;;) {
        int control;

        while (!comes(listener, POLLIN, 500))
            if (access(control_path, F_OK) < 0)
                exit(0);
        control = OK(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
        serve_case(control);
        close(control);
    }
}

/* ---- The case's end ---- */

static int control = -1;

void peer_connect(const char *control_path)
{
    struct sockaddr_un address = control_address(control_path);

    control = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    OK(connect(control, (struct sockaddr *)&address, sizeof address));
}

static const char *const operation_names[] = {
    "listen", "accept", "connect", "try to connect", "open UDP", "find a port", "send", "send to", "receive",
    "receive an error", "receive a datagram", "wait for nothing", "send a pattern", "expect a pattern", "echo",
    "echo many", "end its task", "shut down", "close", "reset", "set an option",
};

/* Returns what the peer returned; a negative one ends the case. reply's data go to `data`. */
static int ask(const struct request *request, const void *sent, struct reply *reply, void *data, size_t room)
{
    struct reply own;
    char text[64];

    reply = reply ? reply : &own;
    CHECK(write_exactly(control, request, sizeof *request));
    CHECK(write_exactly(control, sent, request->length));
    CHECK(read_exactly(control, reply, sizeof *reply));
    CHECK(reply->length <= room);
    CHECK(read_exactly(control, data, reply->length));
    snprintf(text, sizeof text, "the peer could %s", operation_names[request->operation]);
    errno = -reply->result;
    check_success(reply->result < 0 ? -1 : 0, text, __FILE__, __LINE__);
    return reply->result;
}

static int order(enum operation operation, int socket, int64_t a, int64_t b)
{
    const struct request request = {.operation = operation, .socket = socket, .a = a, .b = b};

    return ask(&request, NULL, NULL, NULL, 0);
}

int peer_listen(int family, unsigned *port)
{
    const struct request request = {.operation = OP_LISTEN, .a = family};
    struct reply reply;
    int result = ask(&request, NULL, &reply, NULL, 0);

    *port = address_port(&reply.address);
    return result;
}

int peer_accept(int listener, struct address *from)
{
    const struct request request = {.operation = OP_ACCEPT, .socket = listener};
    struct reply reply;
    int result = ask(&request, NULL, &reply, NULL, 0);

    if (from)
        *from = reply.address;
    return result;
}

int peer_join_connection(const struct address *to)
{
    const struct request request = {.operation = OP_CONNECT, .address = *to};

    return ask(&request, NULL, NULL, NULL, 0);
}

int peer_try_connection(const struct address *to)
{
    const struct request request = {.operation = OP_TRY_CONNECT, .address = *to};

    return ask(&request, NULL, NULL, NULL, 0);
}

int peer_udp_at(const struct address *at)
{
    const struct request request = {.operation = OP_UDP, .address = *at};

    return ask(&request, NULL, NULL, NULL, 0);
}

int peer_udp(int family, unsigned *port)
{
    const struct request request = {.operation = OP_UDP, .address = address_any(family, 0)};
    struct reply reply;
    int result = ask(&request, NULL, &reply, NULL, 0);

    *port = address_port(&reply.address);
    return result;
}

unsigned peer_free_port(int type)
{
    const struct request request = {.operation = OP_FREE_PORT, .a = type};
    struct reply reply;

    ask(&request, NULL, &reply, NULL, 0);
    return address_port(&reply.address);
}

void peer_send(int socket, const void *data, size_t length)
{
    const struct request request = {.operation = OP_SEND, .socket = socket, .length = length};

    ask(&request, data, NULL, NULL, 0);
}

void peer_send_to(int socket, const struct address *to, const void *data, size_t length)
{
    const struct request request = {.operation = OP_SEND_TO, .socket = socket, .address = *to, .length = length};

    ask(&request, data, NULL, NULL, 0);
}

size_t peer_receive(int socket, void *data, size_t length)
{
    const struct request request = {.operation = OP_RECEIVE, .socket = socket, .a = (int64_t)length};
    struct reply reply;

    ask(&request, NULL, &reply, data, length);
    return reply.length;
}

int peer_receive_error(int socket)
{
    return order(OP_RECEIVE_ERROR, socket, 0, 0);
}

size_t peer_receive_from(int socket, void *data, size_t room, struct address *from)
{
    const struct request request = {.operation = OP_RECEIVE_FROM, .socket = socket};
    struct reply reply;

    ask(&request, NULL, &reply, data, room);
    if (from)
        *from = reply.address;
    return reply.length;
}

bool peer_nothing_comes(int socket, int ms)
{
    return order(OP_NOTHING, socket, ms, 0);
}

void peer_send_pattern(int socket, size_t length)
{
    order(OP_SEND_PATTERN, socket, (int64_t)length, 0);
}

void peer_expect_pattern(int socket, size_t length, unsigned delay_ms)
{
    order(OP_EXPECT_PATTERN, socket, (int64_t)length, delay_ms);
}

void peer_done(void)
{
    order(OP_DONE, -1, 0, 0);
}

void peer_echo(int socket)
{
    order(OP_ECHO, socket, 0, 0);
}

void peer_echo_many(const struct address *to, unsigned connections, unsigned rounds)
{
    const struct request request = {.operation = OP_ECHO_MANY, .address = *to, .a = connections, .b = rounds};

    ask(&request, NULL, NULL, NULL, 0);
}

void peer_shutdown(int socket, int how)
{
    order(OP_SHUTDOWN, socket, how, 0);
}

void peer_close(int socket)
{
    order(OP_CLOSE, socket, 0, 0);
}

void peer_reset(int socket)
{
    order(OP_RESET, socket, 0, 0);
}

void peer_set_option(int socket, int level, int name, const void *value, socklen_t length)
{
    const struct request request = {
        .operation = OP_OPTION, .socket = socket, .a = level, .b = name, .length = length};

    ask(&request, value, NULL, NULL, 0);
}

/* ---- Connections ---- */

int connected(int *peer)
{
    unsigned port;
    int listener = peer_listen(place.family, &port);
    struct address to = address_of(place.peer, port);
    int fd = OK(socket(place.family, SOCK_STREAM, 0));

    OK(connect(fd, &to.any, to.length));
    *peer = peer_accept(listener, NULL);
    peer_close(listener);
    return fd;
}

int listening(int family, struct address *at)
{
    struct address any = address_any(family, 0);
    int fd = OK(socket(family, SOCK_STREAM, 0));

    OK(bind(fd, &any.any, any.length));
    OK(listen(fd, 1100));
    any = local_name(fd);
    *at = address_of(family == place.family ? place.local : place.local4, address_port(&any));
    return fd;
}

int accepted(int *peer)
{
    struct address at;
    int listener = listening(place.family, &at), fd;

    *peer = peer_join_connection(&at);
    fd = OK(accept(listener, NULL, NULL));
    close(listener);
    return fd;
}

int udp_bound(int family, struct address *at)
{
    struct address any = address_any(family, 0);
    int fd = OK(socket(family, SOCK_DGRAM, 0));

    OK(bind(fd, &any.any, any.length));
    any = local_name(fd);
    *at = address_of(family == place.family ? place.local : place.local4, address_port(&any));
    return fd;
}
