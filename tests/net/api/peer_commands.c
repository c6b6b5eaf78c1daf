/* SPDX-License-Identifier: BSD-2-Clause */
#include <linux/sockios.h>

#include "tests/net/api/peer_commands.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/net/api/data.h"

#define MAX_WORDS    8
#define MAX_SOCKETS  4096
#define MAX_DATAGRAM 65536
#define ECHO_MESSAGE 64

/* The words of a command after its name; sockets' numbers become descriptors by socket_of. */
struct words {
    int family;
    int count;
    char *word[MAX_WORDS];
};

static int sockets[MAX_SOCKETS];
static union address last_sender;

static long result_of(long result)
{
    return result < 0 ? -errno : result;
}

static unsigned long number(const struct words *words, int index)
{
    return index < words->count ? strtoul(words->word[index], NULL, 0) : 0;
}

static int *slot(const struct words *words, int index)
{
    return &sockets[number(words, index) % MAX_SOCKETS];
}

static int socket_of(const struct words *words)
{
    return *slot(words, 0);
}

static union address address_of(const struct words *words, int index)
{
    union address address;

    if (index >= words->count || !address_parse(&address, words->family, words->word[index], number(words, index + 1)))
        memset(&address, 0, sizeof(address));
    return address;
}

static long port_of(int fd, bool remote)
{
    union address address;
    socklen_t length = sizeof(address);
    int result = remote ? getpeername(fd, &address.any, &length) : getsockname(fd, &address.any, &length);

    return result < 0 ? -errno : address_port(&address);
}

/* tcp N, udp N: a socket */
static long do_tcp(const struct words *words)
{
    return result_of(*slot(words, 0) = socket(words->family, SOCK_STREAM, 0));
}

static long do_udp(const struct words *words)
{
    return result_of(*slot(words, 0) = socket(words->family, SOCK_DGRAM, 0));
}

/* bind N ADDRESS PORT: the port */
static long do_bind(const struct words *words)
{
    union address address = address_of(words, 1);

    if (bind(socket_of(words), &address.any, address_length(&address)))
        return -errno;
    return port_of(socket_of(words), false);
}

/* server N ADDRESS [PORT]: a TCP listener; its port. It is looked at once, as first use makes it an accelerated one. */
static long do_server(const struct words *words)
{
    long port;

    if (do_tcp(words) < 0 || (port = do_bind(words)) < 0 || listen(socket_of(words), 1024))
        return -errno;
    struct pollfd look = {.fd = socket_of(words), .events = POLLIN};
    return poll(&look, 1, 0) < 0 ? -errno : port;
}

/* accept LISTENER N */
static long do_accept(const struct words *words)
{
    return result_of(*slot(words, 1) = accept(socket_of(words), NULL, NULL));
}

/* connect N ADDRESS PORT */
static long do_connect(const struct words *words)
{
    union address address = address_of(words, 1);

    return result_of(connect(socket_of(words), &address.any, address_length(&address)));
}

/* dial N ADDRESS PORT: tcp and connect */
static long do_dial(const struct words *words)
{
    long result = do_tcp(words);

    return result < 0 ? result : do_connect(words);
}

/* send, receive N LENGTH OFFSET [CHUNK]: bytes of the stream; how many */
static long do_send(const struct words *words)
{
    return data_send(socket_of(words), number(words, 1), number(words, 2), number(words, 3));
}

static long do_receive(const struct words *words)
{
    return data_receive(socket_of(words), number(words, 1), number(words, 2), number(words, 3));
}

/* read N LENGTH: the result of one recv */
static long do_read(const struct words *words)
{
    size_t length = number(words, 1);
    char *buffer = malloc(length);
    long result = result_of(recv(socket_of(words), buffer, length, 0));

    free(buffer);
    return result;
}

/* eof N: 0 at the end of the stream, 1 if there is data */
static long do_eof(const struct words *words)
{
    char byte;

    return result_of(recv(socket_of(words), &byte, 1, 0));
}

/* echo N: until the end of the stream, then closes; number of bytes */
static long do_echo(const struct words *words)
{
    char buffer[16384];
    ssize_t length, total = 0;

    while ((length = recv(socket_of(words), buffer, sizeof(buffer), 0)) > 0) {
        for (ssize_t sent = 0, count; sent < length; sent += count)
            if ((count = send(socket_of(words), buffer + sent, length - sent, MSG_NOSIGNAL)) < 0)
                return -errno;
        total += length;
    }
    if (length < 0)
        return -errno;
    close(socket_of(words));
    return total;
}

/* shutdown N r|w|rw */
static long do_shutdown(const struct words *words)
{
    const char *how = words->count > 1 ? words->word[1] : "";

    return result_of(shutdown(socket_of(words), !strcmp(how, "r") ? SHUT_RD : !strcmp(how, "w") ? SHUT_WR : SHUT_RDWR));
}

static long do_close(const struct words *words)
{
    return result_of(close(socket_of(words)));
}

/* reset N: closes with an RST */
static long do_reset(const struct words *words)
{
    struct linger linger = {1, 0};

    setsockopt(socket_of(words), SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    return do_close(words);
}

/* oob N: one urgent byte, '!' */
static long do_oob(const struct words *words)
{
    return result_of(send(socket_of(words), "!", 1, MSG_OOB));
}

/* unsent N: bytes that the other end has not acknowledged */
static long do_unsent(const struct words *words)
{
    int bytes;

    return ioctl(socket_of(words), SIOCOUTQ, &bytes) < 0 ? -errno : bytes;
}

/* option N LEVEL NAME VALUE, getoption N LEVEL NAME: numbers */
static long do_option(const struct words *words)
{
    int value = number(words, 3);

    return result_of(setsockopt(socket_of(words), number(words, 1), number(words, 2), &value, sizeof(value)));
}

static long do_getoption(const struct words *words)
{
    int value = 0;
    socklen_t length = sizeof(value);

    if (getsockopt(socket_of(words), number(words, 1), number(words, 2), &value, &length))
        return -errno;
    return value;
}

/* port N, peerport N */
static long do_port(const struct words *words)
{
    return port_of(socket_of(words), false);
}

static long do_peerport(const struct words *words)
{
    return port_of(socket_of(words), true);
}

/* sleep MILLISECONDS */
static long do_sleep(const struct words *words)
{
    return result_of(usleep(number(words, 0) * 1000));
}

/* wait N EVENTS MILLISECONDS: poll; revents */
static long do_wait(const struct words *words)
{
    struct pollfd wait = {.fd = socket_of(words), .events = number(words, 1)};
    long result = result_of(poll(&wait, 1, number(words, 2)));

    return result < 0 ? result : wait.revents;
}

/* sendto N LENGTH OFFSET [ADDRESS PORT]: without an address, to the sender of the last datagram, if there was one */
static long do_sendto(const struct words *words)
{
    static char buffer[MAX_DATAGRAM];
    union address to = words->count > 3 ? address_of(words, 3) : last_sender;
    size_t length = number(words, 1);

    data_fill(buffer, length % sizeof(buffer), number(words, 2));
    return result_of(sendto(socket_of(words), buffer, length, 0, to.any.sa_family ? &to.any : NULL,
                            to.any.sa_family ? address_length(&to) : 0));
}

/* flood N COUNT LENGTH ADDRESS PORT [MICROSECONDS]: datagrams one after the other, each the next bytes of the stream,
 * with pauses between them */
static long do_flood(const struct words *words)
{
    static char buffer[MAX_DATAGRAM];
    union address to = address_of(words, 3);
    size_t length = number(words, 2);

    for (unsigned long i = 0; i < number(words, 1); i++) {
        data_fill(buffer, length, i * length);
        if (sendto(socket_of(words), buffer, length, 0, &to.any, address_length(&to)) < 0)
            return -errno;
        if (words->count > 5)
            usleep(number(words, 5));
    }
    return number(words, 1);
}

/* datagram N OFFSET: receives one, checks that it is the stream from offset on; its length */
static long do_datagram(const struct words *words)
{
    static char buffer[MAX_DATAGRAM];
    socklen_t length = sizeof(last_sender);
    ssize_t size = recvfrom(socket_of(words), buffer, sizeof(buffer), 0, &last_sender.any, &length);

    if (size < 0)
        return -errno;
    return data_is(buffer, size, number(words, 1)) ? size : -EBADMSG;
}

/* control N LEVEL TYPE: receives a datagram and gives the number in that control message */
static long do_control(const struct words *words)
{
    char data[2000], control[512];
    struct iovec part = {data, sizeof(data)};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};

    if (recvmsg(socket_of(words), &message, 0) < 0)
        return -errno;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        int value;
        if (c->cmsg_level != (int)number(words, 1) || c->cmsg_type != (int)number(words, 2))
            continue;
        if (c->cmsg_len < CMSG_LEN(sizeof(value)))
            return *CMSG_DATA(c);
        memcpy(&value, CMSG_DATA(c), sizeof(value));
        return value;
    }
    return -ENOENT;
}

/* sender: the port that the last datagram came from */
static long do_sender(const struct words *words)
{
    (void)words;
    return address_port(&last_sender);
}

/* udpecho N: for ever */
static long do_udpecho(const struct words *words)
{
    static char buffer[MAX_DATAGRAM];

    for (;;) {
        union address from;
        socklen_t length = sizeof(from);
        ssize_t size = recvfrom(socket_of(words), buffer, sizeof(buffer), 0, &from.any, &length);
        if (size < 0 || sendto(socket_of(words), buffer, size, 0, &from.any, length) < 0)
            return -errno;
    }
}

/* join, leave N GROUP INTERFACE [SOURCE] */
static long membership(const struct words *words, bool join)
{
    struct group_source_req request = {.gsr_interface = number(words, 2)};
    int level = words->family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
    union address group = address_of((struct words *)words, 1);

    memcpy(&request.gsr_group, &group, sizeof(group));
    if (words->count < 4) {
        struct group_req any = {.gr_interface = request.gsr_interface, .gr_group = request.gsr_group};
        return result_of(
            setsockopt(socket_of(words), level, join ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP, &any, sizeof(any)));
    }
    union address source = address_of((struct words *)words, 3);
    memcpy(&request.gsr_source, &source, sizeof(source));
    return result_of(setsockopt(socket_of(words), level, join ? MCAST_JOIN_SOURCE_GROUP : MCAST_LEAVE_SOURCE_GROUP,
                                &request, sizeof(request)));
}

static long do_join(const struct words *words)
{
    return membership(words, true);
}

static long do_leave(const struct words *words)
{
    return membership(words, false);
}

static void echo_ready(int fd)
{
    char buffer[16384];
    ssize_t length = recv(fd, buffer, sizeof(buffer), 0);

    if (length <= 0 || send(fd, buffer, length, MSG_NOSIGNAL) != length)
        close(fd);
}

/* serve N: an echo server on a listener, with epoll, for ever */
static long do_serve(const struct words *words)
{
    struct epoll_event events[64], event = {.events = EPOLLIN, .data.fd = socket_of(words)};
    int epoll = epoll_create1(0);

    epoll_ctl(epoll, EPOLL_CTL_ADD, socket_of(words), &event);
    for (;;) {
        int count = epoll_wait(epoll, events, 64, -1);
        if (count < 0)
            return -errno;
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd != socket_of(words)) {
                echo_ready(events[i].data.fd);
                continue;
            }
            event.data.fd = accept(socket_of(words), NULL, NULL);
            epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
        }
    }
}

/* dialall FIRST COUNT ADDRESS PORT: so many connections */
static long do_dialall(const struct words *words)
{
    union address address = address_of(words, 2);

    for (unsigned long i = 0; i < number(words, 1); i++) {
        int *fd = &sockets[(number(words, 0) + i) % MAX_SOCKETS];
        *fd = socket(words->family, SOCK_STREAM, 0);
        if (*fd < 0 || connect(*fd, &address.any, address_length(&address)))
            return -errno;
    }
    return number(words, 1);
}

/* askall FIRST COUNT: a message over each of the connections, and its echo back */
static long do_askall(const struct words *words)
{
    for (int back = 0; back < 2; back++) {
        for (unsigned long i = 0; i < number(words, 1); i++) {
            int fd = sockets[(number(words, 0) + i) % MAX_SOCKETS];
            ssize_t size = back ? data_receive(fd, ECHO_MESSAGE, i * ECHO_MESSAGE, 0)
                                : data_send(fd, ECHO_MESSAGE, i * ECHO_MESSAGE, 0);
            if (size != ECHO_MESSAGE)
                return size < 0 ? size : -EPIPE;
        }
    }
    return number(words, 1);
}

static const struct command {
    const char *name;
    long (*execute)(const struct words *words);
} commands[] = {
    {"tcp", do_tcp},           {"udp", do_udp},           {"bind", do_bind},
    {"server", do_server},     {"accept", do_accept},     {"connect", do_connect},
    {"dial", do_dial},         {"send", do_send},         {"receive", do_receive},
    {"read", do_read},         {"eof", do_eof},           {"echo", do_echo},
    {"shutdown", do_shutdown}, {"close", do_close},       {"reset", do_reset},
    {"oob", do_oob},           {"option", do_option},     {"getoption", do_getoption},
    {"port", do_port},         {"peerport", do_peerport}, {"sleep", do_sleep},
    {"wait", do_wait},         {"sendto", do_sendto},     {"flood", do_flood},
    {"datagram", do_datagram}, {"sender", do_sender},     {"udpecho", do_udpecho},
    {"join", do_join},         {"leave", do_leave},       {"serve", do_serve},
    {"dialall", do_dialall},   {"askall", do_askall},     {"control", do_control},
    {"unsent", do_unsent},
};

/* later MILLISECONDS COMMAND */
static long execute_later(char *line, int family)
{
    char *command;
    unsigned long delay_ms = strtoul(line, &command, 10);

    usleep(delay_ms * 1000);
    return peer_execute(command, family);
}

long peer_execute(char *line, int family)
{
    struct words words = {.family = family};

    if (!strncmp(line, "later ", 6))
        return execute_later(line + 6, family);
    char *rest = NULL;
    const char *name = strtok_r(line, " \n", &rest);

    for (char *word; words.count < MAX_WORDS && (word = strtok_r(NULL, " \n", &rest)) != NULL;)
        words.word[words.count++] = word;
    for (size_t i = 0; name && i < sizeof(commands) / sizeof(commands[0]); i++)
        if (!strcmp(commands[i].name, name))
            return commands[i].execute(&words);
    return -ENOSYS;
}
