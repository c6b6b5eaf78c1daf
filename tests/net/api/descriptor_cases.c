/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors of sockets: duplicates, flags, closing, passing on. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
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

/* The connection lives until its last descriptor is closed. */
static void duplicates(void)
{
    int fd = tcp_pair(), copies[4];

    copies[0] = OK(dup(fd));
    copies[1] = OK(dup2(fd, 77));
    copies[2] = OK(fcntl(fd, F_DUPFD, 100));
    copies[3] = OK(fcntl(fd, F_DUPFD_CLOEXEC, 200));
    EQUAL(copies[1], 77);
    CHECK(copies[2] >= 100 && copies[3] >= 200);
    EQUAL(OK(fcntl(copies[3], F_GETFD)), FD_CLOEXEC);
    EQUAL(OK(fcntl(copies[2], F_GETFD)), 0);
    works(fd);
    close(fd);
    FAILS(send(fd, "x", 1, 0), EBADF);
    for (int i = 0; i < 4; i++) {
        works(copies[i]);
        EQUAL(peer("wait 1 %d 10", POLLIN), 0);
        EQUAL(close(copies[i]), 0);
    }
    EQUAL(peer("eof 1"), 0);
}

static void duplicate_over_socket(void)
{
    int fd = tcp_pair(), other = udp_bound();

    EQUAL(dup2(other, fd), fd); /* closes the connection */
    EQUAL(peer("eof 1"), 0);
    EQUAL(local_port(fd), local_port(other));
    EQUAL(get_option(fd, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
    EQUAL(dup2(fd, fd), fd);
    FAILS(dup3(fd, fd, 0), EINVAL);
    FAILS(dup2(555, fd), EBADF);
    EQUAL(local_port(fd), local_port(other));
    EQUAL(dup3(other, fd, O_CLOEXEC), fd);
    EQUAL(OK(fcntl(fd, F_GETFD)), FD_CLOEXEC);
}

static void duplicate_socket_over_file(void)
{
    int fd = tcp_pair(), file = OK(open("/dev/null", O_RDWR));

    EQUAL(dup2(fd, file), file);
    close(fd);
    works(file);
    int null = OK(open("/dev/null", O_RDWR));
    EQUAL(dup2(null, file), file); /* and a file over the socket */
    EQUAL(peer("eof 1"), 0);
    EQUAL(write(file, "x", 1), 1);
    EQUAL(read(file, &(char){0}, 1), 0);
}

/* Status flags belong to the open file, the close-on-exec flag to the descriptor. */
static void flags(void)
{
    int fd = tcp_pair(), copy = OK(dup(fd)), on = 1;
    char byte;

    EQUAL(OK(fcntl(fd, F_GETFL)), O_RDWR);
    set_nonblocking(copy, true);
    EQUAL(OK(fcntl(fd, F_GETFL)), O_RDWR | O_NONBLOCK);
    FAILS(recv(fd, &byte, 1, 0), EAGAIN);
    set_nonblocking(fd, false);
    EQUAL(OK(fcntl(copy, F_GETFL)), O_RDWR);
    OK(ioctl(fd, FIONBIO, &on));
    EQUAL(OK(fcntl(copy, F_GETFL)), O_RDWR | O_NONBLOCK);
    FAILS(read(copy, &byte, 1), EAGAIN);
    on = 0;
    OK(ioctl(copy, FIONBIO, &on));
    EQUAL(OK(fcntl(fd, F_GETFL)), O_RDWR);
    OK(ioctl(fd, FIOCLEX));
    EQUAL(OK(fcntl(fd, F_GETFD)), FD_CLOEXEC);
    EQUAL(OK(fcntl(copy, F_GETFD)), 0);
    OK(fcntl(fd, F_SETFD, 0));
    EQUAL(OK(fcntl(fd, F_GETFD)), 0);
    works(fd);
}

static void is_a_socket(void)
{
    int fd = tcp_pair();
    struct stat status;
    char path[32], link[64] = "";

    OK(fstat(fd, &status));
    CHECK(S_ISSOCK(status.st_mode));
    EQUAL(isatty(fd), 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    OK(readlink(path, link, sizeof(link) - 1));
    CHECK(!strncmp(link, "socket:[", 8));
    FAILS(open(path, O_RDWR), ENXIO);
}

static void close_range_call(void)
{
    int fd = tcp_pair(), high = OK(dup2(fd, 300)), other = OK(dup2(udp_bound(), 301));

    close(fd);
    OK(close_range(301, 310, 0));
    FAILS(send(other, "x", 1, 0), EBADF);
    works(high);
    OK(close_range(290, 310, CLOSE_RANGE_CLOEXEC));
    EQUAL(OK(fcntl(high, F_GETFD)), FD_CLOEXEC);
    works(high);
    OK(close_range(290, 310, 0));
    EQUAL(peer("eof 1"), 0);
    FAILS(send(high, "x", 1, 0), EBADF);
    FAILS(close_range(10, 9, 0), EINVAL);
}

/* What daemons do: close everything, also numbers they do not know. New sockets work afterwards. */
static void close_all(void)
{
    int fd = tcp_pair();

    EQUAL(data_send(fd, 10, 0, 0), 10);
    for (int i = 3; i < 800; i++)
        close(i);
    EQUAL(peer("receive 1 11 0"), 10);
    uint16_t port = peer("server 2 %s", api.server);
    fd = tcp_socket();
    EQUAL(fd, 3);
    connect_to(fd, port);
    peer("accept 2 1");
    works(fd);
    closefrom(880); /* peer's control at 900 goes as well */
    EQUAL(data_send(fd, 10, 0, 0), 10);
    close(fd);
}

static void lowest_number(void)
{
    int fd = udp_bound();

    close(fd);
    EQUAL(tcp_pair() >= fd, 1);
    int a = udp_socket(), b = udp_socket();
    EQUAL(b, a + 1);
    close(a);
    EQUAL(udp_socket(), a);
}

static void too_many(void)
{
    struct rlimit limit;
    int fd = tcp_pair(), count = 0, last = -1;

    OK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = 950;
    OK(setrlimit(RLIMIT_NOFILE, &limit));
    for (int next; (next = socket(api.family, SOCK_STREAM, 0)) >= 0; last = next)
        count++;
    CHECK(errno == EMFILE);
    CHECK(count > 700);
    works(fd);
    close(last);
    OK(socket(api.family, SOCK_DGRAM, 0));
}

/* Sends the descriptor over a Unix socket. */
static void pass(int channel, int fd)
{
    char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    *header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    EQUAL(sendmsg(channel, &message, 0), 1);
}

static int take(int channel)
{
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    int fd;

    EQUAL(recvmsg(channel, &message, 0), 1);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    CHECK(header && header->cmsg_type == SCM_RIGHTS);
    memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    return fd;
}

/* A connection is passed to another process, which goes on with it; data under way is not lost. */
static void passed_on(void)
{
    int channel[2];

    peer_start();
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, channel));
    pid_t child = fork();
    if (child == 0) {
        int fd = take(channel[1]);
        EQUAL(data_receive(fd, 3000, 0, 0), 3000);
        EQUAL(peer("receive 1 3000 0"), 3000);
        works(fd);
        _exit(0);
    }
    int fd = tcp_pair();
    peer("send 1 3000 0");
    EQUAL(data_send(fd, 3000, 0, 0), 3000);
    pass(channel[0], fd);
    close(fd);
    wait_child(child);
    EQUAL(peer("eof 1"), 0);
}

/* Passed on and kept: both ends of the channel may use it in turn. */
static void passed_and_kept(void)
{
    int channel[2];
    char byte;

    peer_start();
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, channel));
    pid_t child = fork();
    if (child == 0) {
        int fd = take(channel[1]);
        works(fd);
        EQUAL(write(channel[1], "y", 1), 1);
        EQUAL(read(channel[1], &byte, 1), 1);
        works(fd);
        _exit(0);
    }
    int fd = tcp_pair();
    works(fd);
    pass(channel[0], fd);
    EQUAL(read(channel[0], &byte, 1), 1);
    works(fd);
    EQUAL(write(channel[0], "z", 1), 1);
    wait_child(child);
    works(fd);
    close(fd);
    EQUAL(peer("eof 1"), 0);
}

/* A listener is passed to another process, which accepts. */
static void listener_passed_on(void)
{
    int channel[2];
    uint16_t port;

    peer_start();
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, channel));
    pid_t child = fork();
    if (child == 0) {
        int listener = take(channel[1]), fd = OK(accept(listener, NULL, NULL));
        EQUAL(read(channel[1], &(char){0}, 1), 1); /* the peer's dial is done */
        works(fd);
        _exit(0);
    }
    int listener = tcp_listener(&port);
    pass(channel[0], listener);
    close(listener);
    peer("dial 1 %s %u", api.self, port);
    EQUAL(write(channel[0], "x", 1), 1);
    wait_child(child);
    EQUAL(peer("eof 1"), 0);
}

static void datagram_socket_passed_on(void)
{
    int channel[2];

    peer_start();
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, channel));
    pid_t child = fork();
    if (child == 0) {
        int fd = take(channel[1]);
        EQUAL(send(fd, "hello", 5, 0), 5);
        EQUAL(peer("read 1 10"), 5);
        peer("sendto 1 100 0 %s %u", api.self, local_port(fd));
        char buffer[100];
        EQUAL(recv(fd, buffer, 100, 0), 100);
        _exit(0);
    }
    int fd = udp_pair();
    EQUAL(send(fd, "hello", 5, 0), 5);
    EQUAL(peer("read 1 10"), 5);
    pass(channel[0], fd);
    close(fd);
    wait_child(child);
}

/* Passed within the process: simply a duplicate. */
static void passed_to_itself(void)
{
    int channel[2], fd = tcp_pair();

    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, channel));
    works(fd);
    pass(channel[0], fd);
    int copy = take(channel[1]);
    CHECK(copy != fd);
    works(copy);
    works(fd);
    close(fd);
    works(copy);
    close(copy);
    EQUAL(peer("eof 1"), 0);
}

static void reading_and_writing_streams(void)
{
    int fd = tcp_pair();
    FILE *in = fdopen(dup(fd), "r"), *out = fdopen(fd, "w");
    char line[100];
    long total = 0;

    CHECK(in && out);
    peer("bg 1 echo 1");
    for (int i = 0; i < 2000; i++)
        total += fprintf(out, "line number %d of the stream\n", i);
    EQUAL(fflush(out), 0);
    for (int i = 0; i < 2000; i++) {
        char expected[100];
        snprintf(expected, sizeof(expected), "line number %d of the stream\n", i);
        CHECK(fgets(line, sizeof(line), in));
        CHECK(!strcmp(line, expected));
    }
    fputs("no newline, flushed by fclose", out);
    EQUAL(fclose(out), 0);
    OK(shutdown(fileno(in), SHUT_WR));
    EQUAL(fread(line, 1, sizeof(line), in), 29);
    CHECK(feof(in));
    EQUAL(peer("fin 1"), total + 29);
    EQUAL(fclose(in), 0);
}

static void stream_both_ways(void)
{
    int fd = tcp_pair();
    FILE *file = fdopen(fd, "r+");
    char buffer[1000];

    data_fill(buffer, 1000, 0);
    EQUAL(fwrite(buffer, 1, 1000, file), 1000);
    EQUAL(fflush(file), 0);
    EQUAL(peer("receive 1 1000 0"), 1000);
    peer("send 1 1000 5");
    EQUAL(fread(buffer, 1, 1000, file), 1000);
    CHECK(data_is(buffer, 1000, 5));
    peer("close 1");
    EQUAL(getc(file), EOF);
    EQUAL(fclose(file), 0);
}

static void formatted_output(void)
{
    int fd = tcp_pair();

    EQUAL(dprintf(fd, "%s %d", "number", 12345), 12);
    EQUAL(peer("read 1 100"), 12);
    FILE *file = fdopen(fd, "w");
    setvbuf(file, NULL, _IONBF, 0);
    EQUAL(fputs("hello", file) >= 0, 1);
    EQUAL(peer("read 1 100"), 5);
    setvbuf(file, NULL, _IOLBF, 1000);
    EQUAL(fputs("a line\n", file) >= 0, 1);
    long arrived = peer("read 1 100");
    while (arrived < 7) /* not necessarily in one segment */
        arrived += peer("read 1 100");
    EQUAL(arrived, 7);
}

/* A stream's unwritten buffer goes out at exit, not at _exit. */
static void stream_at_exit(void)
{
    int fd = tcp_pair();

    pid_t child = fork();
    if (child == 0) {
        FILE *file = fdopen(fd, "w");
        fputs("written at exit", file);
        exit(0);
    }
    close(fd);
    wait_child(child);
    EQUAL(peer("read 1 100"), 15);
    EQUAL(peer("eof 1"), 0);
}

const struct api_case descriptor_cases[] = {
    {"descriptor.duplicates", duplicates, CASE_PAIR},
    {"descriptor.duplicate_over_socket", duplicate_over_socket},
    {"descriptor.duplicate_socket_over_file", duplicate_socket_over_file},
    {"descriptor.flags", flags, CASE_PAIR},
    {"descriptor.is_a_socket", is_a_socket, CASE_PAIR},
    {"descriptor.close_range", close_range_call},
    {"descriptor.close_all", close_all},
    {"descriptor.lowest_number", lowest_number},
    {"descriptor.too_many", too_many},
    {"descriptor.passed_on", passed_on, CASE_PAIR},
    {"descriptor.passed_and_kept", passed_and_kept, CASE_PAIR},
    {"descriptor.listener_passed_on", listener_passed_on},
    {"descriptor.datagram_socket_passed_on", datagram_socket_passed_on},
    {"descriptor.passed_to_itself", passed_to_itself},
    {"stdio.reading_and_writing_streams", reading_and_writing_streams, CASE_PAIR},
    {"stdio.stream_both_ways", stream_both_ways, CASE_PAIR},
    {"stdio.formatted_output", formatted_output},
    {"stdio.stream_at_exit", stream_at_exit, CASE_PAIR},
    {0},
};
