/* SPDX-License-Identifier: BSD-2-Clause */
/* Data over TCP: flags, vectors, ends of streams, errors. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <linux/sockios.h>
#include <unistd.h>

#include "tests/net/api/check.h"
#include "tests/net/api/peer.h"

#define BULK (8u << 20)

static bool readable(int fd, int ms)
{
    struct pollfd one = {fd, POLLIN, 0};

    return OK(poll(&one, 1, ms)) == 1;
}

static int error_of(int fd)
{
    int error = -1;
    socklen_t length = sizeof error;

    OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
    return error;
}

static void expect_text(int fd, const char *text)
{
    char got[64] = {0};

    receive_all(fd, got, strlen(text));
    CHECK(strcmp(got, text) == 0);
}

STREAM_CASE(echo)
{
    char text[6] = "";

    send_all(fd, "hello", 5);
    CHECK_EQUAL(peer_receive(peer, text, 5), 5);
    CHECK(strcmp(text, "hello") == 0);
    peer_send(peer, "world", 5);
    expect_text(fd, "world");
    CHECK_EQUAL(write(fd, "again", 5), 5);
    CHECK_EQUAL(peer_receive(peer, text, 5), 5);
    peer_send(peer, "!", 1);
    CHECK_EQUAL(read(fd, text, sizeof text), 1);
}

STREAM_CASE(bulk_in)
{
    uint8_t *data = malloc(BULK);

    peer_send_pattern(peer, BULK);
    receive_all(fd, data, BULK);
    CHECK(pattern_matches(data, 0, BULK));
    peer_done();
}

STREAM_CASE(bulk_out)
{
    uint8_t *data = malloc(BULK);

    pattern_fill(data, 0, BULK);
    peer_expect_pattern(peer, BULK, 0);
    CHECK_EQUAL(send(fd, data, BULK, 0), BULK); /* a blocking send takes all */
    peer_done();
}

STREAM_CASE(bulk_both_ways)
{
    size_t sent = 0, received = 0;
    uint8_t *data = malloc(BULK), *back = malloc(BULK);

    pattern_fill(data, 0, BULK);
    peer_echo(peer);
    while (received < BULK) {
        struct pollfd one = {fd, (short)(POLLIN | (sent < BULK ? POLLOUT : 0)), 0};

        CHECK_EQUAL(poll(&one, 1, 5000), 1);
        if (one.revents & POLLIN)
            received += (size_t)OK(recv(fd, back + received, BULK - received, 0));
        if (one.revents & POLLOUT && sent < BULK)
            sent += (size_t)OK(send(fd, data + sent, BULK - sent < 30000 ? BULK - sent : 30000, MSG_DONTWAIT));
    }
    CHECK(pattern_matches(back, 0, BULK));
}

STREAM_CASE(slow_reader)
{
    uint8_t *data = malloc(BULK / 4);

    pattern_fill(data, 0, BULK / 4);
    peer_expect_pattern(peer, BULK / 4, 5);
    send_all(fd, data, BULK / 4);
    peer_done();
}

STREAM_CASE(peek)
{
    char got[8] = {0};

    peer_send(peer, "abcdef", 6);
    CHECK(readable(fd, 3000));
    CHECK_EQUAL(recv(fd, got, 3, MSG_PEEK), 3);
    CHECK(memcmp(got, "abc", 3) == 0);
    CHECK_EQUAL(recv(fd, got, 8, MSG_PEEK), 6);
    CHECK_EQUAL(recv(fd, got, 8, 0), 6);
    CHECK(memcmp(got, "abcdef", 6) == 0);
    FAILS(recv(fd, got, 8, MSG_DONTWAIT | MSG_PEEK), EAGAIN);
}

STREAM_CASE(wait_for_all)
{
    uint8_t *data = malloc(300000);

    peer_send_pattern(peer, 300000);
    CHECK_EQUAL(recv(fd, data, 300000, MSG_WAITALL), 300000);
    CHECK(pattern_matches(data, 0, 300000));
    peer_send(peer, "abc", 3);
    peer_close(peer);
    CHECK_EQUAL(recv(fd, data, 100, MSG_WAITALL), 3);
    CHECK_EQUAL(recv(fd, data, 100, MSG_WAITALL), 0);
}

STREAM_CASE(wait_for_all_without_blocking)
{
    char got[8];

    peer_send(peer, "abc", 3);
    CHECK(readable(fd, 3000));
    CHECK_EQUAL(recv(fd, got, 8, MSG_WAITALL | MSG_DONTWAIT), 3);
}

STREAM_CASE(truncate_discards)
{
    char got[4] = {0};

    peer_send(peer, "abcdef", 6);
    CHECK(readable(fd, 3000));
    CHECK_EQUAL(recv(fd, NULL, 4, MSG_TRUNC), 4);
    CHECK_EQUAL(recv(fd, got, 4, 0), 2);
    CHECK(memcmp(got, "ef", 2) == 0);
}

STREAM_CASE(dont_wait)
{
    char got[4];

    FAILS(recv(fd, got, 4, MSG_DONTWAIT), EAGAIN);
    OK(fcntl(fd, F_SETFL, O_NONBLOCK));
    FAILS(read(fd, got, 4), EAGAIN);
    peer_send(peer, "ab", 2);
    CHECK(readable(fd, 3000));
    CHECK_EQUAL(read(fd, got, 4), 2);
    FAILS(read(fd, got, 4), EAGAIN);
    OK(fcntl(fd, F_SETFL, 0));
    peer_send(peer, "cd", 2);
    CHECK_EQUAL(read(fd, got, 2), 2);
}

STREAM_CASE(more_and_cork)
{
    char got[16] = {0};
    int on = 1, off = 0;

    CHECK_EQUAL(send(fd, "one ", 4, MSG_MORE), 4);
    CHECK_EQUAL(send(fd, "two ", 4, 0), 4);
    CHECK_EQUAL(peer_receive(peer, got, 8), 8);
    OK(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on));
    send_all(fd, "thr", 3);
    send_all(fd, "ee", 2);
    OK(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off));
    CHECK_EQUAL(peer_receive(peer, got, 5), 5);
    CHECK(memcmp(got, "three", 5) == 0);
    CHECK_EQUAL(send(fd, "last", 4, MSG_MORE), 4); /* leaves by itself at the latest after 200 ms, or with the end */
    OK(shutdown(fd, SHUT_WR));
    CHECK_EQUAL(peer_receive(peer, got, 16), 4);
}

STREAM_CASE(byte_counts)
{
    int count = -1;

    OK(ioctl(fd, FIONREAD, &count));
    CHECK_EQUAL(count, 0);
    peer_send(peer, "abcdef", 6);
    CHECK(readable(fd, 3000));
    OK(ioctl(fd, FIONREAD, &count));
    CHECK_EQUAL(count, 6);
    send_all(fd, "x", 1);
    CHECK_EQUAL(peer_receive(peer, (char[1]){0}, 1), 1);
    for (int i = 0; i < 100 && count != 0; i++) {
        sleep_ms(10);
        OK(ioctl(fd, SIOCOUTQ, &count));
    }
    CHECK_EQUAL(count, 0);
}

STREAM_CASE(vectors)
{
    char a[3], b[5], text[9] = "";
    struct iovec out[] = {{"ab", 2}, {NULL, 0}, {"cdef", 4}, {"gh", 2}}, in[] = {{a, 3}, {b, 5}};

    CHECK_EQUAL(writev(fd, out, 4), 8);
    CHECK_EQUAL(peer_receive(peer, text, 8), 8);
    CHECK(strcmp(text, "abcdefgh") == 0);
    peer_send(peer, text, 8);
    CHECK(readable(fd, 3000));
    CHECK_EQUAL(readv(fd, in, 2), 8);
    CHECK(memcmp(a, "abc", 3) == 0 && memcmp(b, "defgh", 5) == 0);
    FAILS(readv(fd, in, -1), EINVAL);
    FAILS(writev(fd, out, 2000), EINVAL);
    CHECK_EQUAL(writev(fd, out, 0), 0);
    CHECK_EQUAL(pwritev2(fd, out, 4, -1, 0), 8);
    CHECK_EQUAL(peer_receive(peer, text, 8), 8);
    FAILS(preadv2(fd, in, 2, -1, RWF_NOWAIT), EAGAIN);
    FAILS(pread(fd, a, 3, 0), ESPIPE);
    FAILS(lseek(fd, 0, SEEK_SET), ESPIPE);
}

STREAM_CASE(messages)
{
    char a[2], b[8], control[64];
    struct iovec iov[] = {{a, 2}, {b, 8}};
    struct address from = {.length = sizeof from.room};
    struct msghdr message = {.msg_iov = iov,
                             .msg_iovlen = 2,
                             .msg_name = &from.any,
                             .msg_namelen = from.length,
                             .msg_control = control,
                             .msg_controllen = sizeof control,
                             .msg_flags = -1};

    peer_send(peer, "message", 7);
    CHECK(readable(fd, 3000));
    CHECK_EQUAL(recvmsg(fd, &message, 0), 7);
    CHECK(memcmp(a, "me", 2) == 0 && memcmp(b, "ssage", 5) == 0);
    CHECK_EQUAL(message.msg_namelen, 0);
    CHECK_EQUAL(message.msg_controllen, 0);
    CHECK_EQUAL(message.msg_flags & ~MSG_CMSG_CLOEXEC, 0);
    iov[1].iov_len = 5;
    message.msg_name = NULL;
    CHECK_EQUAL(sendmsg(fd, &message, 0), 7);
    CHECK_EQUAL(peer_receive(peer, b, 7), 7);
    CHECK(memcmp(b, "message", 7) == 0);
}

STREAM_CASE(many_messages)
{
    struct iovec out[] = {{"ab", 2}, {"cde", 3}}, in[2];
    struct mmsghdr vector[] = {{.msg_hdr = {.msg_iov = &out[0], .msg_iovlen = 1}},
                               {.msg_hdr = {.msg_iov = &out[1], .msg_iovlen = 1}}};
    char text[6] = "", a[2], b[2];

    CHECK_EQUAL(sendmmsg(fd, vector, 2, 0), 2);
    CHECK_EQUAL(vector[0].msg_len, 2);
    CHECK_EQUAL(vector[1].msg_len, 3);
    CHECK_EQUAL(peer_receive(peer, text, 5), 5);
    CHECK(strcmp(text, "abcde") == 0);
    peer_send(peer, "wxyz", 4);
    CHECK(readable(fd, 3000));
    in[0] = (struct iovec){a, 2};
    in[1] = (struct iovec){b, 2};
    vector[0].msg_hdr = (struct msghdr){.msg_iov = &in[0], .msg_iovlen = 1};
    vector[1].msg_hdr = (struct msghdr){.msg_iov = &in[1], .msg_iovlen = 1};
    CHECK_EQUAL(recvmmsg(fd, vector, 2, 0, NULL), 2);
    CHECK(memcmp(a, "wx", 2) == 0 && memcmp(b, "yz", 2) == 0);
}

STREAM_CASE(nothing_to_send)
{
    CHECK_EQUAL(send(fd, "", 0, 0), 0);
    CHECK_EQUAL(write(fd, "", 0), 0);
    CHECK_EQUAL(read(fd, (char[1]){0}, 0), 0);
    CHECK(peer_nothing_comes(peer, 50));
}

STREAM_CASE(half_close)
{
    char got[4];

    send_all(fd, "bye", 3);
    OK(shutdown(fd, SHUT_WR));
    CHECK_EQUAL(peer_receive(peer, got, 4), 3);
    peer_send(peer, "ok", 2);
    CHECK_EQUAL(recv(fd, got, 4, 0), 2);
    FAILS(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
    peer_close(peer);
    CHECK_EQUAL(recv(fd, got, 4, 0), 0);
    CHECK_EQUAL(recv(fd, got, 4, 0), 0);
    CHECK_EQUAL(error_of(fd), 0);
}

STREAM_CASE(half_close_by_peer)
{
    char got[4];

    peer_send(peer, "bye", 3);
    peer_shutdown(peer, SHUT_WR);
    CHECK_EQUAL(recv(fd, got, 4, MSG_WAITALL), 3);
    CHECK_EQUAL(recv(fd, got, 4, 0), 0);
    send_all(fd, "still", 4);
    CHECK_EQUAL(peer_receive(peer, got, 4), 4);
    OK(close(fd));
    CHECK_EQUAL(peer_receive(peer, got, 4), 0);
}

STREAM_CASE(shut_for_reading)
{
    OK(shutdown(fd, SHUT_RD));
    CHECK_EQUAL(recv(fd, (char[1]){0}, 1, 0), 0);
    send_all(fd, "x", 1);
    CHECK_EQUAL(peer_receive(peer, (char[1]){0}, 1), 1);
    FAILS(shutdown(fd, 9), EINVAL);
}

STREAM_CASE(sends_signal_of_broken_pipe)
{
    sigset_t set;
    struct timespec none = {0, 0};

    (void)peer;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    sigprocmask(SIG_BLOCK, &set, NULL);
    OK(shutdown(fd, SHUT_WR));
    FAILS(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
    FAILS(sigtimedwait(&set, NULL, &none), EAGAIN);
    FAILS(send(fd, "x", 1, 0), EPIPE);
    CHECK_EQUAL(sigtimedwait(&set, NULL, &none), SIGPIPE);
    FAILS(write(fd, "x", 1), EPIPE);
    CHECK_EQUAL(sigtimedwait(&set, NULL, &none), SIGPIPE);
}

STREAM_CASE(reset_by_peer)
{
    peer_reset(peer);
    FAILS(recv(fd, (char[1]){0}, 1, 0), ECONNRESET);
    CHECK_EQUAL(recv(fd, (char[1]){0}, 1, 0), 0);
    CHECK_EQUAL(error_of(fd), 0);
    FAILS(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
}

STREAM_CASE(reset_by_peer_seen_by_poll)
{
    struct pollfd one = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};

    peer_reset(peer);
    for (int i = 0; i < 100 && !(one.revents & POLLERR); i++) {
        CHECK_EQUAL(poll(&one, 1, 3000), 1);
        sleep_ms(10);
    }
    CHECK_EQUAL(one.revents, POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP);
    CHECK_EQUAL(error_of(fd), ECONNRESET);
}

STREAM_CASE(linger_zero_resets)
{
    struct linger linger = {1, 0};

    OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    OK(close(fd));
    CHECK_EQUAL(peer_receive_error(peer), ECONNRESET);
}

STREAM_CASE(linger_waits)
{
    struct linger linger = {1, 10};
    uint8_t *data = malloc(BULK / 4);
    int left = -1;

    pattern_fill(data, 0, BULK / 4);
    OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    peer_expect_pattern(peer, BULK / 4, 2);
    send_all(fd, data, BULK / 4);
    OK(close(fd));
    peer_done();
    left = OK(socket(place.family, SOCK_STREAM, 0));
    OK(close(left));
}

STREAM_CASE(unread_data_reset)
{
    peer_send(peer, "unread", 6);
    CHECK(readable(fd, 3000));
    OK(close(fd));
    CHECK_EQUAL(peer_receive_error(peer), ECONNRESET);
}

STREAM_CASE(close_delivers)
{
    uint8_t *data = malloc(BULK / 4);

    pattern_fill(data, 0, BULK / 4);
    peer_expect_pattern(peer, BULK / 4, 2);
    send_all(fd, data, BULK / 4);
    OK(close(fd));
    peer_done();
    CHECK_EQUAL(peer_receive(peer, data, 1), 0);
}

/* The process ends with data that the peer takes slowly: all arrive, then the end of stream. */
static void ends_with_unsent_data(int fd, int peer, void (*end)(int status))
{
    int size = 3 << 20, status;
    uint8_t *data = malloc((size_t)size);
    ssize_t sent = 0, n;
    pid_t child;

    pattern_fill(data, 0, (size_t)size);
    OK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
    OK(fcntl(fd, F_SETFL, O_NONBLOCK));
    child = OK(fork());
    if (child == 0) {
        while (sent < 2 << 20) {
            n = send(fd, data + sent, (size_t)((2 << 20) - sent), 0);
            if (n < 0)
                break;
            sent += n;
        }
        end(sent > 100000 ? (int)(sent >> 14) : 0);
    }
    OK(close(fd));
    CHECK_EQUAL(OK(waitpid(child, &status, 0)), child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) > 0);
    peer_expect_pattern(peer, (size_t)WEXITSTATUS(status) << 14, 2);
    peer_done();
}

STREAM_CASE(exit_delivers)
{
    ends_with_unsent_data(fd, peer, exit);
}

STREAM_CASE(quick_exit_delivers)
{
    ends_with_unsent_data(fd, peer, quick_exit);
}

STREAM_CASE(immediate_exit_delivers)
{
    ends_with_unsent_data(fd, peer, _exit);
}

STREAM_CASE(receive_timeout)
{
    struct timeval limit = {0, 100000};
    uint64_t start;

    OK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    start = now_ms();
    FAILS(recv(fd, (char[1]){0}, 1, 0), EAGAIN);
    CHECK(now_ms() - start >= 95 && now_ms() - start < 2000);
    peer_send(peer, "x", 1);
    CHECK_EQUAL(recv(fd, (char[1]){0}, 1, 0), 1);
}

STREAM_CASE(send_timeout)
{
    struct timeval limit = {0, 100000};
    char *data = calloc(1, BULK);
    uint64_t start = now_ms();
    long n, total = 0;

    (void)peer;
    OK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit));
    do {
        n = send(fd, data, BULK, 0);
        total += n > 0 ? n : 0;
    } while (n > 0 && total < 64l << 20);
    CHECK_EQUAL(n, -1);
    CHECK_EQUAL(errno, EAGAIN);
    CHECK(now_ms() - start >= 95);
}

STREAM_CASE(full_buffer)
{
    struct pollfd one = {fd, POLLOUT, 0};
    uint8_t *data = malloc(BULK * 4);
    size_t sent = 0;
    ssize_t n;

    OK(fcntl(fd, F_SETFL, O_NONBLOCK));
    pattern_fill(data, 0, BULK * 4);
    for (;;) {
        n = send(fd, data + sent, 10000, 0);
        if (n < 0) {
            CHECK_EQUAL(errno, EAGAIN);
            if (poll(&one, 1, 200) == 0)
                break; /* windows and buffers of both ends are full */
            continue;
        }
        sent += (size_t)n;
        CHECK(sent < BULK * 3);
    }
    CHECK_EQUAL(poll(&one, 1, 0), 0);
    peer_expect_pattern(peer, sent, 0);
    CHECK_EQUAL(poll(&one, 1, 3000), 1);
    CHECK_EQUAL(one.revents, POLLOUT);
    peer_done();
}

static int file_with_pattern(size_t size)
{
    int file = OK(memfd_create("pattern", 0));
    uint8_t *data = malloc(size);

    pattern_fill(data, 0, size);
    CHECK_EQUAL(write(file, data, size), size);
    OK(lseek(file, 0, SEEK_SET));
    free(data);
    return file;
}

STREAM_CASE(send_file)
{
    int file = file_with_pattern(1000000);
    off_t offset = 0;
    size_t sent = 0;

    peer_expect_pattern(peer, 1000000, 0);
    while (sent < 1000000)
        sent += (size_t)OK(sendfile(fd, file, &offset, 1000000 - sent));
    CHECK_EQUAL(offset, 1000000);
    CHECK_EQUAL(lseek(file, 0, SEEK_CUR), 0);
    peer_done();
    CHECK_EQUAL(sendfile(fd, file, &offset, 10), 0);
    peer_expect_pattern(peer, 1000000, 0);
    for (sent = 0; sent < 1000000;)
        sent += (size_t)OK(sendfile(fd, file, NULL, 1000000 - sent));
    CHECK_EQUAL(lseek(file, 0, SEEK_CUR), 1000000);
    peer_done();
}

STREAM_CASE(splice_both_ways)
{
    int ends[2];
    char text[6] = "";

    OK(pipe(ends));
    peer_send(peer, "hello", 5);
    CHECK_EQUAL(splice(fd, NULL, ends[1], NULL, 5, 0), 5);
    CHECK_EQUAL(read(ends[0], text, 5), 5);
    CHECK(strcmp(text, "hello") == 0);
    CHECK_EQUAL(write(ends[1], "world", 5), 5);
    CHECK_EQUAL(splice(ends[0], NULL, fd, NULL, 5, 0), 5);
    CHECK_EQUAL(peer_receive(peer, text, 5), 5);
    CHECK(strcmp(text, "world") == 0);
    peer_send(peer, "after", 5);
    expect_text(fd, "after");
}

STREAM_CASE(address_of_a_stream)
{
    struct address from = {.length = sizeof from.room};

    peer_send(peer, "x", 1);
    CHECK_EQUAL(recvfrom(fd, (char[1]){0}, 1, 0, &from.any, &from.length), 1);
    CHECK_EQUAL(from.length, 0);
    from = remote_name(fd);
    CHECK_EQUAL(sendto(fd, "y", 1, 0, &from.any, from.length), 1);
    CHECK_EQUAL(peer_receive(peer, (char[1]){0}, 1), 1);
}

STREAM_CASE(low_water_mark)
{
    int mark = 5;
    struct pollfd one = {fd, POLLIN, 0};
    char got[8];

    OK(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof mark));
    peer_send(peer, "abc", 3);
    CHECK_EQUAL(poll(&one, 1, 100), 0);
    peer_send(peer, "de", 2);
    CHECK_EQUAL(poll(&one, 1, 3000), 1);
    CHECK_EQUAL(recv(fd, got, 8, 0), 5);
}

STREAM_CASE(urgent_byte)
{
    char got[4] = {0};

    peer_send(peer, "ab", 2);
    CHECK_EQUAL(recv(fd, got, 2, MSG_WAITALL), 2);
    CHECK_EQUAL(send(fd, "!", 1, MSG_OOB), 1);
    send_all(fd, "cd", 2);
    CHECK_EQUAL(peer_receive(peer, got, 2), 2); /* the urgent byte is not in the stream */
    CHECK(memcmp(got, "cd", 2) == 0);
    FAILS(recv(fd, got, 1, MSG_OOB), EINVAL);
}

STREAM_CASE(many_small_sends)
{
    int on = 1;

    OK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    peer_expect_pattern(peer, 20000, 0);
    for (size_t i = 0; i < 20000; i++) {
        uint8_t byte = pattern_byte(i);

        CHECK_EQUAL(send(fd, &byte, 1, 0), 1);
    }
    peer_done();
}

const struct api_case stream_cases[] = {
    STREAM_ENTRIES(echo),
    STREAM_ENTRIES(bulk_in),
    STREAM_ENTRIES(bulk_out),
    STREAM_ENTRIES(bulk_both_ways),
    STREAM_ENTRIES(slow_reader),
    STREAM_ENTRIES(peek),
    STREAM_ENTRIES(wait_for_all),
    STREAM_ENTRIES(wait_for_all_without_blocking),
    STREAM_ENTRIES(truncate_discards),
    STREAM_ENTRIES(dont_wait),
    STREAM_ENTRIES(more_and_cork),
    STREAM_ENTRIES(byte_counts),
    STREAM_ENTRIES(vectors),
    STREAM_ENTRIES(messages),
    STREAM_ENTRIES(many_messages),
    STREAM_ENTRIES(nothing_to_send),
    STREAM_ENTRIES(half_close),
    STREAM_ENTRIES(half_close_by_peer),
    STREAM_ENTRIES(shut_for_reading),
    STREAM_ENTRIES(sends_signal_of_broken_pipe),
    STREAM_ENTRIES(reset_by_peer),
    STREAM_ENTRIES(reset_by_peer_seen_by_poll),
    STREAM_ENTRIES(linger_zero_resets),
    STREAM_ENTRIES(linger_waits),
    STREAM_ENTRIES(unread_data_reset),
    STREAM_ENTRIES(close_delivers),
    STREAM_ENTRIES(exit_delivers),
    STREAM_ENTRIES(quick_exit_delivers),
    STREAM_ENTRIES(immediate_exit_delivers),
    STREAM_ENTRIES(receive_timeout),
    STREAM_ENTRIES(send_timeout),
    STREAM_ENTRIES(full_buffer),
    STREAM_ENTRIES(send_file),
    STREAM_ENTRIES(splice_both_ways),
    STREAM_ENTRIES(address_of_a_stream),
    STREAM_ENTRIES(low_water_mark),
    STREAM_ENTRIES(urgent_byte),
    STREAM_ENTRIES(many_small_sends),
    {0},
};
