/* SPDX-License-Identifier: BSD-2-Clause */
/* What stays with the kernel works as ever: loopback, Unix sockets, pipes, other kinds of sockets, name resolution. */
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

static void works(int fd)
{
    EQUAL(data_send(fd, 3000, 0, 0), 3000);
    EQUAL(peer("receive 1 3000 0"), 3000);
    EQUAL(peer("send 1 3000 0"), 3000);
    EQUAL(data_receive(fd, 3000, 0, 0), 3000);
}

/* A connection within this host to the given address. */
static void connect_within(union address address, int out[2])
{
    int listener = tcp_socket();

    OK(bind(listener, SA(&address)));
    OK(listen(listener, 5));
    union address name;
    socklen_t length = sizeof(name);
    OK(getsockname(listener, &name.any, &length));
    out[0] = tcp_socket();
    OK(connect(out[0], SA(&name)));
    out[1] = OK(accept(listener, NULL, NULL));
    EQUAL(local_port(out[1]), address_port(&name));
    close(listener);
}

static void both_directions(int pair[2])
{
    for (int i = 0; i < 2; i++) {
        EQUAL(data_send(pair[i], 20000, i, 0), 20000);
        EQUAL(data_receive(pair[1 - i], 20000, i, 0), 20000);
    }
    OK(shutdown(pair[0], SHUT_WR));
    EQUAL(data_receive(pair[1], 1, 0, 0), 0);
    EQUAL(close(pair[0]), 0);
    EQUAL(close(pair[1]), 0);
}

static void loopback(void)
{
    int pair[2], fd = tcp_pair();

    connect_within(to_loopback(0), pair);
    both_directions(pair);
    works(fd);
}

/* Connections to the host's own address on the network. */
static void own_address(void)
{
    int pair[2], fd = tcp_pair();

    connect_within(to_self(0), pair);
    both_directions(pair);
    works(fd);
}

static void own_address_datagrams(void)
{
    int a = udp_bound(), b = udp_bound();
    union address to_b = to_self(local_port(b)), from;
    socklen_t length = sizeof(from);
    char buffer[100];

    EQUAL(sendto(a, "hello", 5, 0, SA(&to_b)), 5);
    EQUAL(recvfrom(b, buffer, 100, 0, &from.any, &length), 5);
    EQUAL(address_port(&from), local_port(a));
    EQUAL(sendto(b, "answer", 6, 0, SA(&from)), 6);
    EQUAL(recv(a, buffer, 100, 0), 6);
    OK(connect(a, SA(&to_b)));
    EQUAL(send(a, "again", 5, 0), 5);
    EQUAL(recv(b, buffer, 100, 0), 5);
    close(b);
    EQUAL(send(a, "nobody", 6, 0), 6);
    FAILS(recv(a, buffer, 100, 0), ECONNREFUSED);
}

static void *send_later(void *argument)
{
    sleep_ms(5);
    EQUAL(data_send(*(int *)argument, 10, 0, 0), 10);
    return NULL;
}

/* A listener at the wildcard address gets connections from both the network and this host. */
static void listener_gets_both(void)
{
    int listener = tcp_socket(), epoll = OK(epoll_create1(0));
    union address any = to_any(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};

    OK(bind(listener, SA(&any)));
    OK(listen(listener, 50));
    set_nonblocking(listener, true);
    OK(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event));
    for (int i = 0; i < 20; i++) {
        union address here = to_loopback(local_port(listener));
        int local = tcp_socket();
        if (i % 2)
            OK(connect(local, SA(&here)));
        else
            peer("dial %d %s %u", i, api.self, local_port(listener));
        EQUAL(epoll_wait(epoll, &event, 1, 3000), 1);
        int fd = OK(accept(listener, NULL, NULL));
        set_nonblocking(fd, false);
        EQUAL(data_send(fd, 10, i, 0), 10);
        EQUAL(i % 2 ? data_receive(local, 10, i, 0) : peer("receive %d 10 %d", i, i), 10);
        FAILS(accept(listener, NULL, NULL), EAGAIN);
        pthread_t thread; /* receiving waits for data that is yet to come */
        if (i % 2)
            EQUAL(pthread_create(&thread, NULL, send_later, &local), 0);
        else
            peer("bg %d later 5 send %d 10 0", i, i);
        EQUAL(data_receive(fd, 10, 0, 0), 10);
        if (i % 2)
            EQUAL(pthread_join(thread, NULL), 0);
        close(fd);
        close(local);
    }
}

static void unix_sockets(void)
{
    int pair[2], fd = tcp_pair(), listener = OK(socket(AF_UNIX, SOCK_STREAM, 0)), client;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char buffer[100];

    snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "api-%d", getpid()); /* abstract */
    OK(bind(listener, (struct sockaddr *)&name, sizeof(name)));
    OK(listen(listener, 5));
    client = OK(socket(AF_UNIX, SOCK_STREAM, 0));
    OK(connect(client, (struct sockaddr *)&name, sizeof(name)));
    pair[0] = client;
    pair[1] = OK(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    both_directions(pair);
    OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    EQUAL(send(pair[0], "12345", 5, 0), 5);
    EQUAL(send(pair[0], "67", 2, 0), 2);
    EQUAL(recv(pair[1], buffer, 100, 0), 5);
    EQUAL(recv(pair[1], buffer, 100, 0), 2);
    struct ucred credentials;
    socklen_t length = sizeof(credentials);
    OK(getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &credentials, &length));
    EQUAL(credentials.pid, getpid());
    works(fd);
}

static void pipes_and_files(void)
{
    int ends[2], fd = tcp_pair(), file;
    char buffer[100], path[] = "/tmp/api-file-XXXXXX";

    OK(pipe2(ends, O_NONBLOCK));
    FAILS(read(ends[0], buffer, 1), EAGAIN);
    EQUAL(write(ends[1], "hello", 5), 5);
    EQUAL(read(ends[0], buffer, 100), 5);
    FAILS(send(ends[1], "x", 1, 0), ENOTSOCK);
    close(ends[0]);
    file = OK(mkstemp(path));
    unlink(path);
    EQUAL(write(file, "hello world", 11), 11);
    EQUAL(pread(file, buffer, 5, 6), 5);
    CHECK(!memcmp(buffer, "world", 5));
    FAILS(accept(file, NULL, NULL), ENOTSOCK);
    works(fd);
}

/* socket() fails as the kernel's does. */
static void kinds(void)
{
    FAILS(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
    FAILS(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP), EPROTONOSUPPORT);
    FAILS(socket(AF_INET, 77, 0), EINVAL);
    FAILS(socket(9999, SOCK_STREAM, 0), EAFNOSUPPORT);
    FAILS(socket(api.family, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
    FAILS(socket(AF_UNIX, SOCK_STREAM, 77), EPROTONOSUPPORT);
    FAILS(socketpair(api.family, SOCK_STREAM, 0, (int[2]){0}), EOPNOTSUPP);
    int raw = OK(socket(api.family, SOCK_RAW, api.family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP));
    EQUAL(get_option(raw, SOL_SOCKET, SO_TYPE), SOCK_RAW);
    int netlink = OK(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
    struct sockaddr_nl name = {.nl_family = AF_NETLINK};
    OK(bind(netlink, (struct sockaddr *)&name, sizeof(name)));
}

/* A child without privileges: no raw sockets, but TCP and UDP as ever. */
static void unprivileged(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    pid_t child = fork();

    if (child == 0) {
        OK(setgid(65534));
        OK(setuid(65534));
        FAILS(socket(api.family, SOCK_RAW, IPPROTO_ICMP), EPERM);
        union address low = to_self(80);
        int fd = tcp_socket();
        FAILS(bind(fd, SA(&low)), EACCES);
        connect_to(fd, port);
        peer("accept 0 1");
        works(fd);
        FAILS(setsockopt(fd, SOL_SOCKET, SO_MARK, (&(int){1}), sizeof(int)), EPERM);
        _exit(0);
    }
    wait_child(child);
}

/* Raw sockets see and send packets beside the accelerated ones. */
static void ping(void)
{
    struct {
        uint8_t type, code;
        uint16_t checksum, id, sequence;
        char data[8];
    } request = {api.family == AF_INET6 ? 128 : 8, 0, 0, htons(77), htons(1), "lockste"};
    int raw = OK(socket(api.family, SOCK_RAW, api.family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)), fd = tcp_pair();
    union address server = to_server(0);
    char answer[200];
    uint32_t sum = 0;

    for (size_t i = 0; i < sizeof(request) / 2; i++) {
        uint16_t word;
        memcpy(&word, (char *)&request + i * 2, 2);
        sum += word;
    }
    request.checksum = ~((sum & 0xffff) + (sum >> 16));
    EQUAL(sendto(raw, &request, sizeof(request), 0, SA(&server)), sizeof(request));
    for (;;) {
        EQUAL(poll_one(raw, POLLIN, 3000), POLLIN);
        ssize_t size = OK(recv(raw, answer, sizeof(answer), 0));
        int type = api.family == AF_INET6 ? answer[0] & 0xff : answer[20] & 0xff;
        CHECK(size > 8);
        if (type == (api.family == AF_INET6 ? 129 : 0))
            break;
    }
    works(fd);
}

static void interfaces(void)
{
    struct ifaddrs *list;
    bool found = false;
    union address self = to_self(0);

    OK(getifaddrs(&list));
    for (struct ifaddrs *i = list; i; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != api.family || strcmp(i->ifa_name, api.interface))
            continue;
        if (api.family == AF_INET)
            found |= ((struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr == self.v4.sin_addr.s_addr;
        else
            found |= !memcmp(&((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, &self.v6.sin6_addr, 16);
    }
    CHECK(found);
    freeifaddrs(list);
}

/* getaddrinfo makes and connects sockets inside libc. */
static void names(void)
{
    struct addrinfo hints = {.ai_family = api.family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list;
    uint16_t port = peer("server 0 %s", api.server);
    char service[8], host[64];

    snprintf(service, sizeof(service), "%u", port);
    EQUAL(getaddrinfo(api.server, service, &hints, &list), 0);
    int fd = OK(socket(list->ai_family, list->ai_socktype, list->ai_protocol));
    OK(connect(fd, list->ai_addr, list->ai_addrlen));
    EQUAL(getnameinfo(list->ai_addr, list->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST), 0);
    CHECK(!strcmp(host, api.server));
    freeaddrinfo(list);
    EQUAL(getaddrinfo("localhost", "80", NULL, &list), 0);
    freeaddrinfo(list);
    peer("accept 0 1");
    works(fd);
}

/* From one connection to the other without the program touching the data. */
static void through_loopback(void)
{
    int pair[2], fd = tcp_pair(), ends[2];

    connect_within(to_loopback(0), pair);
    OK(pipe(ends));
    peer("send 1 4000 0");
    for (ssize_t done = 0, count; done < 4000; done += count) {
        count = OK(splice(fd, NULL, ends[1], NULL, 4000 - done, 0));
        EQUAL(splice(ends[0], NULL, pair[0], NULL, count, 0), count);
    }
    EQUAL(data_receive(pair[1], 4000, 0, 0), 4000);
    EQUAL(data_send(pair[1], 4000, 9, 0), 4000);
    for (ssize_t done = 0, count; done < 4000; done += count) {
        count = OK(splice(pair[0], NULL, ends[1], NULL, 4000 - done, 0));
        EQUAL(splice(ends[0], NULL, fd, NULL, count, 0), count);
    }
    EQUAL(peer("receive 1 4000 9"), 4000);
}

static void standard_streams(void)
{
    int fd = tcp_pair(), null = OK(open("/dev/null", O_RDWR));

    OK(dup2(fd, 0));
    OK(dup2(null, 1));
    EQUAL(printf("to nowhere\n"), 11);
    EQUAL(fflush(stdout), 0);
    OK(dup2(fd, 1));
    close(fd);
    EQUAL(puts("to the peer") >= 0, 1);
    EQUAL(fflush(stdout), 0);
    EQUAL(peer("read 1 100"), 12);
    peer("send 1 10 0");
    EQUAL(data_receive(0, 10, 0, 0), 10);
    close(0);
    close(1);
    EQUAL(peer("eof 1"), 0);
}

const struct api_case kernel_cases[] = {
    {"kernel.loopback", loopback},
    {"kernel.own_address", own_address},
    {"kernel.own_address_datagrams", own_address_datagrams},
    {"kernel.listener_gets_both", listener_gets_both},
    {"kernel.unix_sockets", unix_sockets},
    {"kernel.pipes_and_files", pipes_and_files},
    {"kernel.kinds", kinds},
    {"kernel.unprivileged", unprivileged},
    {"kernel.ping", ping},
    {"kernel.interfaces", interfaces},
    {"kernel.names", names},
    {"kernel.through_loopback", through_loopback},
    {"kernel.standard_streams", standard_streams},
    {0},
};
