/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP: the calls that send and receive. */
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

static int ioctl_value(int fd, unsigned long request)
{
    int value = -1;

    OK(ioctl(fd, request, &value));
    return value;
}

/* Until so many bytes wait to be received. */
static void arrived(int fd, int length)
{
    EVENTUALLY(ioctl_value(fd, FIONREAD) >= length);
}

static void echo(void)
{
    int fd = tcp_pair(), total = 0;

    peer("bg 1 echo 1");
    for (int size = 1; size <= 300000; total += size, size = size * 3 + 1) {
        EQUAL(data_send(fd, size, size, 0), size);
        EQUAL(data_receive(fd, size, size, 0), size);
    }
    OK(shutdown(fd, SHUT_WR));
    EQUAL(peer("fin 1"), total);
    EQUAL(data_receive(fd, 1, 0, 0), 0);
}

static void read_write(void)
{
    int fd = tcp_pair();
    char buffer[300];

    data_fill(buffer, sizeof(buffer), 0);
    EQUAL(write(fd, buffer, sizeof(buffer)), sizeof(buffer));
    EQUAL(peer("receive 1 300 0"), 300);
    peer("send 1 300 500");
    arrived(fd, 300);
    EQUAL(read(fd, buffer, 100), 100);
    CHECK(data_is(buffer, 100, 500));
    EQUAL(read(fd, buffer, sizeof(buffer)), 200);
    CHECK(data_is(buffer, 200, 600));
}

static void peek(void)
{
    int fd = tcp_pair();
    char buffer[100];

    peer("send 1 50 0");
    EQUAL(recv(fd, buffer, 10, MSG_PEEK), 10);
    CHECK(data_is(buffer, 10, 0));
    arrived(fd, 50);
    EQUAL(recv(fd, buffer, 100, MSG_PEEK), 50);
    CHECK(data_is(buffer, 50, 0));
    EQUAL(recv(fd, buffer, 20, 0), 20);
    EQUAL(recv(fd, buffer, 100, MSG_PEEK), 30);
    CHECK(data_is(buffer, 30, 20));
    peer("send 1 50 50");
    arrived(fd, 80);
    EQUAL(recv(fd, buffer, 100, MSG_PEEK), 80);
    CHECK(data_is(buffer, 80, 20));
    EQUAL(recv(fd, buffer, 100, 0), 80);
    FAILS(recv(fd, buffer, 100, MSG_PEEK | MSG_DONTWAIT), EAGAIN);
    peer("close 1");
    EQUAL(recv(fd, buffer, 100, MSG_PEEK), 0);
    EQUAL(recv(fd, buffer, 100, MSG_PEEK), 0);
}

static void wait_all(void)
{
    int fd = tcp_pair();
    char *buffer = malloc(100000);

    peer("send 1 10 0");
    arrived(fd, 10);
    peer("bg 2 later 50 send 1 99990 10 5000");
    EQUAL(recv(fd, buffer, 100000, MSG_WAITALL), 100000);
    CHECK(data_is(buffer, 100000, 0));
    peer("fin 2");
    peer("send 1 77 7");
    peer("shutdown 1 w");
    EQUAL(recv(fd, buffer, 100000, MSG_WAITALL), 77);
    CHECK(data_is(buffer, 77, 7));
    EQUAL(recv(fd, buffer, 100000, MSG_WAITALL), 0);
}

static void wait_all_nonblocking(void)
{
    int fd = tcp_pair();
    char buffer[100];

    peer("send 1 10 0");
    arrived(fd, 10);
    EQUAL(recv(fd, buffer, 100, MSG_WAITALL | MSG_DONTWAIT), 10);
    FAILS(recv(fd, buffer, 100, MSG_WAITALL | MSG_DONTWAIT), EAGAIN);
}

static void truncate_discards(void)
{
    int fd = tcp_pair();
    char buffer[100];

    peer("send 1 1000 0");
    arrived(fd, 1000);
    EQUAL(recv(fd, NULL, 900, MSG_TRUNC), 900);
    EQUAL(recv(fd, buffer, 100, 0), 100);
    CHECK(data_is(buffer, 100, 900));
}

static void dont_wait(void)
{
    int fd = tcp_pair();
    char byte;

    FAILS(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
    peer("send 1 1 0");
    arrived(fd, 1);
    EQUAL(recv(fd, &byte, 1, MSG_DONTWAIT), 1);
    FAILS(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
}

/* Bytes that go out until the buffers are full, sent in pieces of a prime length. */
static size_t fill(int fd, int flags)
{
    size_t total = 0;
    char buffer[8191];

    for (;;) {
        data_fill(buffer, sizeof(buffer), total);
        ssize_t count = send(fd, buffer, sizeof(buffer), flags | MSG_NOSIGNAL);
        if (count < 0) {
            CHECK(errno == EAGAIN);
            return total;
        }
        CHECK(count > 0);
        total += count;
    }
}

static void send_until_full(void)
{
    int fd = tcp_pair();
    size_t total = fill(fd, MSG_DONTWAIT);

    CHECK(total > 10000);
    EQUAL(poll_one(fd, POLLOUT, 0), 0);
    EQUAL(peer("receive 1 %zu 0", total), total);
    EQUAL(poll_one(fd, POLLOUT, 3000), POLLOUT);
    size_t more = fill(fd, MSG_DONTWAIT);
    peer("bg 1 receive 1 %zu 0", more + 1);
    OK(shutdown(fd, SHUT_WR));
    EQUAL(peer("fin 1"), more);
}

static void output_queue(void)
{
    int fd = tcp_pair();

    EQUAL(ioctl_value(fd, SIOCOUTQ), 0);
    set_nonblocking(fd, true);
    size_t total = fill(fd, 0);
    CHECK(ioctl_value(fd, SIOCOUTQ) > 0);
    CHECK(ioctl_value(fd, SIOCOUTQNSD) > 0);
    CHECK(ioctl_value(fd, SIOCOUTQ) >= ioctl_value(fd, SIOCOUTQNSD));
    CHECK((size_t)ioctl_value(fd, SIOCOUTQ) <= total);
    EQUAL(peer("receive 1 %zu 0", total), total);
    EVENTUALLY(ioctl_value(fd, SIOCOUTQ) == 0);
    EQUAL(ioctl_value(fd, SIOCOUTQNSD), 0);
}

static void input_queue(void)
{
    int fd = tcp_pair();
    char buffer[64];

    EQUAL(ioctl_value(fd, FIONREAD), 0);
    peer("send 1 1234 0");
    EVENTUALLY(ioctl_value(fd, FIONREAD) == 1234);
    EQUAL(recv(fd, buffer, 34, 0), 34);
    EQUAL(ioctl_value(fd, SIOCINQ), 1200);
    peer("shutdown 1 w");
    CHECK(poll_one(fd, POLLRDHUP, 3000) & POLLRDHUP);
    EQUAL(ioctl_value(fd, FIONREAD), 1200);
}

static void vectors(void)
{
    int fd = tcp_pair();
    char out[1000], in[1000];
    struct iovec parts[5] = {{out, 1}, {out + 1, 0}, {out + 1, 499}, {NULL, 0}, {out + 500, 500}};
    struct iovec room[3] = {{in, 300}, {in + 300, 1}, {in + 301, 699}};

    data_fill(out, sizeof(out), 0);
    EQUAL(writev(fd, parts, 5), 1000);
    EQUAL(peer("receive 1 1000 0"), 1000);
    peer("send 1 1000 0");
    arrived(fd, 1000);
    EQUAL(readv(fd, room, 3), 1000);
    CHECK(data_is(in, 1000, 0));
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 5};
    EQUAL(sendmsg(fd, &message, 0), 1000);
    EQUAL(peer("receive 1 1000 0"), 1000);
    peer("send 1 900 0");
    arrived(fd, 900);
    struct sockaddr_storage name;
    struct msghdr received = {.msg_iov = room, .msg_iovlen = 3, .msg_name = &name, .msg_namelen = sizeof(name)};
    EQUAL(recvmsg(fd, &received, 0), 900);
    CHECK(data_is(in, 900, 0));
    EQUAL(received.msg_namelen, 0); /* TCP names no sender */
    EQUAL(received.msg_flags, 0);
    EQUAL(received.msg_controllen, 0);
}

static void many_vectors(void)
{
    int fd = tcp_pair();
    static char data[1025 * 7];
    struct iovec parts[1025];

    data_fill(data, sizeof(data), 0);
    for (int i = 0; i < 1025; i++)
        parts[i] = (struct iovec){data + i * 7, 7};
    EQUAL(writev(fd, parts, 1024), 1024 * 7);
    EQUAL(peer("receive 1 7168 0"), 7168);
    FAILS(writev(fd, parts, 1025), EINVAL);
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 1025};
    FAILS(sendmsg(fd, &message, 0), EMSGSIZE);
}

static void several_messages(void)
{
    int fd = tcp_pair();
    char out[600], in[600];
    struct iovec part[3] = {{out, 100}, {out + 100, 200}, {out + 300, 300}};
    struct mmsghdr messages[3] = {0};

    data_fill(out, sizeof(out), 0);
    for (int i = 0; i < 3; i++)
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &part[i], .msg_iovlen = 1};
    EQUAL(sendmmsg(fd, messages, 3, 0), 3);
    EQUAL(messages[2].msg_len, 300);
    EQUAL(peer("receive 1 600 0"), 600);
    peer("send 1 600 0");
    arrived(fd, 600);
    for (int i = 0; i < 3; i++)
        part[i].iov_base = in + ((char *)part[i].iov_base - out);
    EQUAL(recvmmsg(fd, messages, 3, 0, NULL), 3);
    EQUAL(messages[0].msg_len, 100);
    EQUAL(messages[2].msg_len, 300);
    CHECK(data_is(in, 600, 0));
}

static void more(void)
{
    int fd = tcp_pair();
    char out[30];

    data_fill(out, sizeof(out), 0);
    EQUAL(send(fd, out, 10, MSG_MORE), 10);
    EQUAL(send(fd, out + 10, 10, MSG_MORE), 10);
    EQUAL(send(fd, out + 20, 10, 0), 10);
    EQUAL(peer("receive 1 30 0"), 30);
    EQUAL(send(fd, out, 10, MSG_MORE), 10); /* what is held back goes out in the end */
    EQUAL(peer("receive 1 10 0"), 10);
}

static void cork(void)
{
    int fd = tcp_pair();

    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, IPPROTO_TCP, TCP_CORK, 1);
    EQUAL(get_option(fd, IPPROTO_TCP, TCP_CORK), 1);
    EQUAL(data_send(fd, 10, 0, 0), 10);
    EQUAL(data_send(fd, 10, 10, 0), 10);
    EQUAL(peer("wait 1 %d 50", POLLIN), 0); /* held back, for up to 200 ms */
    set_option(fd, IPPROTO_TCP, TCP_CORK, 0);
    EQUAL(peer("read 1 100"), 20);
    set_option(fd, IPPROTO_TCP, TCP_CORK, 1);
    EQUAL(data_send(fd, 50000, 0, 0), 50000);
    OK(shutdown(fd, SHUT_WR));
    EQUAL(peer("receive 1 50001 0"), 50000);
}

/* A file with length bytes of the stream. */
static int data_file(size_t length)
{
    int file = OK(memfd_create("data", 0));

    OK(ftruncate(file, length));
    void *map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    CHECK(map != MAP_FAILED);
    data_fill(map, length, 0);
    munmap(map, length);
    return file;
}

static void send_file(void)
{
    int fd = tcp_pair(), file = data_file(1000000);
    off_t offset = 1000;

    peer("bg 1 receive 1 999000 1000");
    while (offset < 1000000)
        OK(sendfile(fd, file, &offset, 1000000));
    EQUAL(offset, 1000000);
    EQUAL(peer("fin 1"), 999000);
    EQUAL(lseek(file, 0, SEEK_CUR), 0);
    EQUAL(sendfile(fd, file, &offset, 10), 0);
    OK(lseek(file, 500, SEEK_SET));
    EQUAL(sendfile(fd, file, NULL, 100), 100);
    EQUAL(lseek(file, 0, SEEK_CUR), 600);
    EQUAL(peer("receive 1 100 500"), 100);
}

static void send_file_nonblocking(void)
{
    int fd = tcp_pair(), file = data_file(20000000);
    off_t offset = 0;

    set_nonblocking(fd, true);
    while (sendfile(fd, file, &offset, 20000000 - offset) > 0)
        ;
    CHECK(errno == EAGAIN);
    CHECK(offset > 0 && offset < 20000000);
    peer("bg 1 receive 1 20000000 0");
    while (offset < 20000000) {
        EQUAL(poll_one(fd, POLLOUT, 5000), POLLOUT);
        ssize_t sent = sendfile(fd, file, &offset, 20000000 - offset);
        CHECK(sent > 0 || errno == EAGAIN);
    }
    EQUAL(peer("fin 1"), 20000000);
}

static void splice_through_pipe(void)
{
    int fd = tcp_pair(), ends[2];
    char buffer[5000];

    OK(pipe(ends));
    data_fill(buffer, sizeof(buffer), 0);
    EQUAL(write(ends[1], buffer, 5000), 5000);
    EQUAL(splice(ends[0], NULL, fd, NULL, 5000, SPLICE_F_MORE), 5000);
    EQUAL(peer("receive 1 5000 0"), 5000);
    peer("send 1 3000 7");
    for (size_t done = 0; done < 3000;)
        done += OK(splice(fd, NULL, ends[1], NULL, 3000 - done, SPLICE_F_MOVE));
    EQUAL(read(ends[0], buffer, 5000), 3000);
    CHECK(data_is(buffer, 3000, 7));
    set_nonblocking(fd, true);
    FAILS(splice(fd, NULL, ends[1], NULL, 100, SPLICE_F_NONBLOCK), EAGAIN);
    peer("shutdown 1 w");
    CHECK(poll_one(fd, POLLRDHUP, 3000) & POLLRDHUP);
    EQUAL(splice(fd, NULL, ends[1], NULL, 100, 0), 0);
}

static void nothing(void)
{
    int fd = tcp_pair();
    char byte;

    EQUAL(send(fd, &byte, 0, 0), 0);
    EQUAL(write(fd, &byte, 0), 0);
    EQUAL(read(fd, &byte, 0), 0);
    EQUAL(data_send(fd, 10, 0, 0), 10);
    EQUAL(peer("receive 1 10 0"), 10);
    EQUAL(peer("wait 1 %d 0", POLLIN), 0);
}

static void not_seekable(void)
{
    int fd = tcp_pair();
    char byte;

    FAILS(lseek(fd, 0, SEEK_CUR), ESPIPE);
    FAILS(pread(fd, &byte, 1, 0), ESPIPE);
    FAILS(pwrite(fd, &byte, 1, 0), ESPIPE);
    FAILS(ftruncate(fd, 0), EINVAL);
    FAILS(fsync(fd), EINVAL);
}

static void address_is_ignored(void)
{
    int fd = tcp_pair();
    union address server = to_server(9);
    socklen_t length = sizeof(server);
    char buffer[10];

    data_fill(buffer, 10, 0);
    EQUAL(sendto(fd, buffer, 10, 0, SA(&server)), 10);
    EQUAL(peer("receive 1 10 0"), 10);
    peer("send 1 10 0");
    EQUAL(recvfrom(fd, buffer, 10, MSG_WAITALL, &server.any, &length), 10);
}

static void urgent(void)
{
    int fd = tcp_pair();
    char buffer[10];

    EQUAL(poll_one(fd, POLLPRI, 0), 0); /* who wants urgent data asks for it before it comes */
    peer("send 1 3 0");
    peer("oob 1");
    peer("send 1 3 3");
    CHECK(poll_one(fd, POLLPRI, 3000) & POLLPRI);
    EQUAL(recv(fd, buffer, 1, MSG_OOB), 1);
    EQUAL(buffer[0], '!');
    FAILS(recv(fd, buffer, 1, MSG_OOB), EINVAL);
    EQUAL(data_receive(fd, 6, 0, 0), 6);
    EQUAL(send(fd, "!", 1, MSG_OOB), 1);
    CHECK(peer("wait 1 %d 3000", POLLPRI) & POLLPRI);
}

/* Nobody has asked for it: it is no part of the stream all the same. */
static void urgent_unexpected(void)
{
    int fd = tcp_pair();
    char byte;

    peer("send 1 1000 0");
    EQUAL(data_receive(fd, 1000, 0, 0), 1000);
    peer("oob 1");
    peer("send 1 1000 1000");
    CHECK(poll_one(fd, POLLPRI, 3000) & POLLPRI);
    EQUAL(recv(fd, &byte, 1, MSG_OOB), 1);
    EQUAL(byte, '!');
    EQUAL(data_receive(fd, 1000, 1000, 0), 1000);
    EQUAL(data_send(fd, 1000, 0, 0), 1000);
    EQUAL(peer("receive 1 1000 0"), 1000);
}

static void urgent_inline(void)
{
    int fd = tcp_pair();
    char buffer[10];

    set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);
    EQUAL(get_option(fd, SOL_SOCKET, SO_OOBINLINE), 1);
    peer("send 1 3 0");
    peer("oob 1");
    arrived(fd, 4);
    CHECK(poll_one(fd, POLLPRI, 3000) & POLLPRI);
    EQUAL(sockatmark(fd), 0);
    EQUAL(recv(fd, buffer, 10, 0), 3); /* reading stops at the mark */
    EQUAL(sockatmark(fd), 1);
    EQUAL(recv(fd, buffer, 10, 0), 1);
    EQUAL(buffer[0], '!');
}

static void low_water_mark(void)
{
    int fd = tcp_pair();
    char buffer[300];

    set_option(fd, SOL_SOCKET, SO_RCVLOWAT, 100);
    EQUAL(get_option(fd, SOL_SOCKET, SO_RCVLOWAT), 100);
    peer("send 1 50 0");
    arrived(fd, 50);
    EQUAL(poll_one(fd, POLLIN, 50), 0);
    peer("send 1 60 50");
    EQUAL(poll_one(fd, POLLIN, 3000), POLLIN);
    EQUAL(recv(fd, buffer, 300, 0), 110);
    CHECK(data_is(buffer, 110, 0));
}

const struct api_case tcp_data_cases[] = {
    {"tcp.data.echo", echo, CASE_PAIR},
    {"tcp.data.read_write", read_write, CASE_PAIR},
    {"tcp.data.peek", peek, CASE_PAIR},
    {"tcp.data.wait_all", wait_all, CASE_PAIR},
    {"tcp.data.wait_all_nonblocking", wait_all_nonblocking},
    {"tcp.data.truncate_discards", truncate_discards},
    {"tcp.data.dont_wait", dont_wait, CASE_PAIR},
    {"tcp.data.send_until_full", send_until_full, CASE_PAIR},
    {"tcp.data.output_queue", output_queue, CASE_PAIR},
    {"tcp.data.input_queue", input_queue, CASE_PAIR},
    {"tcp.data.vectors", vectors, CASE_PAIR},
    {"tcp.data.many_vectors", many_vectors},
    {"tcp.data.several_messages", several_messages, CASE_PAIR},
    {"tcp.data.more", more},
    {"tcp.data.cork", cork, CASE_PAIR},
    {"tcp.data.send_file", send_file, CASE_PAIR},
    {"tcp.data.send_file_nonblocking", send_file_nonblocking},
    {"tcp.data.splice_through_pipe", splice_through_pipe, CASE_PAIR},
    {"tcp.data.nothing", nothing},
    {"tcp.data.not_seekable", not_seekable},
    {"tcp.data.address_is_ignored", address_is_ignored},
    {"tcp.data.urgent", urgent, CASE_PAIR},
    {"tcp.data.urgent_unexpected", urgent_unexpected, CASE_PAIR},
    {"tcp.data.urgent_inline", urgent_inline, CASE_PAIR},
    {"tcp.data.low_water_mark", low_water_mark},
    {0},
};
