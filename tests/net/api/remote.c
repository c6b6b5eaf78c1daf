/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/net/api/remote.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define CONTROL_FD 900 /* out of the way of the descriptors that cases count on */

static FILE *control;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void control_open(void)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(where.sun_path, sizeof(where.sun_path), "%s", api.control);
    if (fd < 0 || connect(fd, (struct sockaddr *)&where, sizeof(where)))
        FAIL("no api_server at %s: %s", api.control, errno_name(errno));
    if (dup3(fd, CONTROL_FD, O_CLOEXEC) != CONTROL_FD)
        FAIL("cannot duplicate the control socket: %s", errno_name(errno));
    close(fd);
    control = fdopen(CONTROL_FD, "r+");
    setvbuf(control, NULL, _IONBF, 0);
}

static long ask(const char *format, va_list arguments)
{
    char command[512], reply[64];
    long result;

    pthread_mutex_lock(&lock);
    if (!control)
        control_open();
    int length = vsnprintf(command, sizeof(command) - 1, format, arguments);
    command[length++] = '\n';
    if (TEMP_FAILURE_RETRY(send(CONTROL_FD, command, length, MSG_NOSIGNAL)) != length ||
        !fgets(reply, sizeof(reply), control) || sscanf(reply, "%ld", &result) != 1)
        FAIL("the peer died at '%.*s'", length - 1, command);
    pthread_mutex_unlock(&lock);
    return result;
}

long peer_try(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    long result = ask(format, arguments);
    va_end(arguments);
    return result;
}

long peer_do(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    char command[512];

    case_step(file, line);
    va_start(arguments, format);
    long result = ask(format, arguments);
    va_end(arguments);
    if (result >= 0)
        return result;
    va_start(arguments, format);
    vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    case_fail(file, line, "the peer's '%s': %s", command, errno_name(-result));
}

void peer_start(void)
{
    peer("sleep 0");
}

void peer_kill(void)
{
    fclose(control);
    control = NULL;
}

union address to_text(const char *text, uint16_t port)
{
    union address address;

    if (!address_parse(&address, api.family, text, port))
        FAIL("not an address: %s", text);
    return address;
}

union address to_server(uint16_t port)
{
    return to_text(api.server, port);
}

union address to_self(uint16_t port)
{
    return to_text(api.self, port);
}

union address to_any(uint16_t port)
{
    return to_text("*", port);
}

union address to_loopback(uint16_t port)
{
    return to_text(api.family == AF_INET6 ? "::1" : "127.0.0.1", port);
}

union address to_blackhole(uint16_t port)
{
    return to_text(api.blackhole, port);
}

int tcp_socket(void)
{
    return OK(socket(api.family, SOCK_STREAM, 0));
}

int udp_socket(void)
{
    return OK(socket(api.family, SOCK_DGRAM, 0));
}

int udp_bound(void)
{
    union address self = to_self(0);
    int fd = udp_socket();

    OK(bind(fd, SA(&self)));
    return fd;
}

uint16_t local_port(int fd)
{
    union address address;
    socklen_t length = sizeof(address);

    OK(getsockname(fd, &address.any, &length));
    return address_port(&address);
}

void connect_to(int fd, uint16_t port)
{
    union address server = to_server(port);

    OK(connect(fd, SA(&server)));
}

void listen_now(int fd, int backlog)
{
    OK(listen(fd, backlog));
    EQUAL(poll_one(fd, POLLIN, 0), 0);
}

int tcp_listener(uint16_t *port)
{
    int fd = tcp_listener_unused(port);

    EQUAL(poll_one(fd, POLLIN, 0), 0);
    return fd;
}

int tcp_listener_unused(uint16_t *port)
{
    union address self = to_self(0);
    int fd = tcp_socket();

    OK(bind(fd, SA(&self)));
    OK(listen(fd, 1024));
    *port = local_port(fd);
    return fd;
}

int tcp_pair(void)
{
    uint16_t port;

    if (!api.accepted) {
        port = peer("server 0 %s", api.server);
        int fd = tcp_socket();
        connect_to(fd, port);
        peer("accept 0 1");
        return fd;
    }
    int listener = tcp_listener(&port);
    peer("bg 0 dial 1 %s %u", api.self, port);
    int fd = OK(accept(listener, NULL, NULL));
    peer("fin 0");
    close(listener);
    return fd;
}

int udp_pair(void)
{
    int fd = udp_bound();

    peer("udp 1");
    uint16_t port = peer("bind 1 %s 0", api.server);
    peer("connect 1 %s %u", api.self, local_port(fd));
    connect_to(fd, port);
    return fd;
}

ssize_t send_datagram(int fd, size_t length, uint64_t offset)
{
    static char buffer[70000];

    data_fill(buffer, length, offset);
    return send(fd, buffer, length, 0);
}

ssize_t receive_datagram(int fd, uint64_t offset)
{
    static char buffer[70000];
    ssize_t size = recv(fd, buffer, sizeof(buffer), 0);

    if (size > 0)
        CHECK(data_is(buffer, size, offset));
    return size;
}

void datagrams_both_ways(int fd)
{
    EQUAL(send_datagram(fd, 100, 1), 100);
    EQUAL(peer("datagram 1 1"), 100);
    EQUAL(peer("sendto 1 200 2"), 200);
    EQUAL(receive_datagram(fd, 2), 200);
}

int poll_one(int fd, int events, int timeout_ms)
{
    struct pollfd wait = {.fd = fd, .events = events};

    OK(poll(&wait, 1, timeout_ms));
    return wait.revents;
}

void set_nonblocking(int fd, bool on)
{
    int flags = OK(fcntl(fd, F_GETFL));

    OK(fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
}

void set_option(int fd, int level, int name, int value)
{
    OK(setsockopt(fd, level, name, &value, sizeof(value)));
}

int get_option(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof(value);

    OK(getsockopt(fd, level, name, &value, &length));
    return value;
}

int ip_level(void)
{
    return api.family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
}
