/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP: half close, close, reset, linger, and ends of processes. */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

static void arrived(int fd, int length)
{
    int now = 0;

    EVENTUALLY((OK(ioctl(fd, FIONREAD, &now)), now >= length));
}

static void set_linger(int fd, int on, int seconds)
{
    struct linger linger = {on, seconds};

    OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
}

static void half_close_ours(void)
{
    int fd = tcp_pair();
    char byte = 0;

    EQUAL(data_send(fd, 1000, 0, 0), 1000);
    OK(shutdown(fd, SHUT_WR));
    FAILS(send(fd, &byte, 1, MSG_NOSIGNAL), EPIPE);
    EQUAL(peer("receive 1 2000 0"), 1000);
    EQUAL(peer("eof 1"), 0);
    peer("bg 1 send 1 500000 7");
    EQUAL(data_receive(fd, 500000, 7, 0), 500000);
    EQUAL(peer("fin 1"), 500000);
    OK(shutdown(fd, SHUT_WR)); /* again: no harm */
    peer("close 1");
    EQUAL(recv(fd, &byte, 1, 0), 0);
}

static void half_close_peer(void)
{
    int fd = tcp_pair();
    char byte;

    peer("send 1 1000 0");
    peer("shutdown 1 w");
    EQUAL(data_receive(fd, 2000, 0, 0), 1000);
    EQUAL(recv(fd, &byte, 1, 0), 0);
    EQUAL(recv(fd, &byte, 1, 0), 0);
    EQUAL(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
    peer("bg 1 receive 1 2000000 0");
    EQUAL(data_send(fd, 2000000, 0, 0), 2000000);
    EQUAL(peer("fin 1"), 2000000);
    EQUAL(close(fd), 0);
    EQUAL(peer("eof 1"), 0);
}

static void shutdown_read(void)
{
    int fd = tcp_pair();
    char buffer[100];

    OK(shutdown(fd, SHUT_RD));
    EQUAL(recv(fd, buffer, 100, 0), 0);
    CHECK(poll_one(fd, POLLIN | POLLRDHUP, 0) == (POLLIN | POLLRDHUP));
    EQUAL(data_send(fd, 10, 0, 0), 10); /* sending goes on */
    EQUAL(peer("receive 1 10 0"), 10);
    EQUAL(peer("send 1 10 0"), 10); /* the peer is told nothing */
    arrived(fd, 10);
    EQUAL(recv(fd, buffer, 100, 0), 10); /* and what it sends is still there to be read */
    EQUAL(recv(fd, buffer, 100, 0), 0);
}

static void shutdown_both(void)
{
    int fd = tcp_pair();
    char byte = 0;

    OK(shutdown(fd, SHUT_RDWR));
    EQUAL(recv(fd, &byte, 1, 0), 0);
    FAILS(send(fd, &byte, 1, MSG_NOSIGNAL), EPIPE);
    EQUAL(peer("eof 1"), 0);
    CHECK(poll_one(fd, POLLIN | POLLOUT | POLLRDHUP, 0) & POLLHUP);
    peer("close 1");
    EVENTUALLY(shutdown(fd, SHUT_RDWR) == -1 && errno == ENOTCONN);
}

static void shutdown_wrong(void)
{
    int fd = tcp_pair();

    FAILS(shutdown(fd, 17), EINVAL);
    EQUAL(data_send(fd, 10, 0, 0), 10);
    EQUAL(peer("receive 1 10 0"), 10);
}

static void reset_received(void)
{
    int fd = tcp_pair();
    char byte = 0;

    peer("reset 1");
    CHECK(poll_one(fd, POLLIN, 3000) & POLLERR);
    FAILS(recv(fd, &byte, 1, 0), ECONNRESET);
    EQUAL(recv(fd, &byte, 1, 0), 0);
    FAILS(send(fd, &byte, 1, MSG_NOSIGNAL), EPIPE);
    FAILS(shutdown(fd, SHUT_WR), ENOTCONN);
}

static void reset_told_by_send(void)
{
    int fd = tcp_pair();
    char byte = 0;

    peer("reset 1");
    int events = poll_one(fd, POLLIN | POLLOUT | POLLRDHUP, 3000);
    CHECK((events & (POLLERR | POLLHUP | POLLIN)) == (POLLERR | POLLHUP | POLLIN));
    FAILS(send(fd, &byte, 1, MSG_NOSIGNAL), ECONNRESET);
    FAILS(send(fd, &byte, 1, MSG_NOSIGNAL), EPIPE);
    EQUAL(recv(fd, &byte, 1, 0), 0);
}

static void reset_told_by_option(void)
{
    int fd = tcp_pair();
    char byte;

    peer("reset 1");
    CHECK(poll_one(fd, 0, 3000) & POLLERR);
    EQUAL(get_option(fd, SOL_SOCKET, SO_ERROR), ECONNRESET);
    EQUAL(get_option(fd, SOL_SOCKET, SO_ERROR), 0);
    EQUAL(recv(fd, &byte, 1, 0), 0);
}

static void reset_wakes_reader(void)
{
    int fd = tcp_pair();
    char byte;

    peer("bg 1 later 50 reset 1");
    FAILS(recv(fd, &byte, 1, 0), ECONNRESET);
}

/* Data that came before an RST can still be read. */
static void reset_after_data(void)
{
    int fd = tcp_pair();
    char buffer[200];

    peer("send 1 100 0");
    arrived(fd, 100);
    peer("reset 1");
    CHECK(poll_one(fd, 0, 3000) & POLLERR);
    EQUAL(recv(fd, buffer, sizeof(buffer), 0), 100);
    CHECK(data_is(buffer, 100, 0));
    FAILS(recv(fd, buffer, sizeof(buffer), 0), ECONNRESET);
    EQUAL(recv(fd, buffer, sizeof(buffer), 0), 0);
}

/* The peer closes; it answers what we then send with an RST. */
static void write_after_peer_closed(void)
{
    int fd = tcp_pair();
    char byte = 0;

    peer("close 1");
    EQUAL(recv(fd, &byte, 1, 0), 0);
    EQUAL(send(fd, &byte, 1, MSG_NOSIGNAL), 1);
    CHECK(poll_one(fd, 0, 3000) & POLLHUP);
    FAILS(send(fd, &byte, 1, MSG_NOSIGNAL), EPIPE);
    EQUAL(recv(fd, &byte, 1, 0), 0);
}

static volatile sig_atomic_t pipes;

static void on_pipe(int number)
{
    (void)number;
    pipes++;
}

static void broken_pipe_signal(void)
{
    int fd = tcp_pair();
    char byte = 0;

    signal(SIGPIPE, on_pipe);
    OK(shutdown(fd, SHUT_WR));
    FAILS(send(fd, &byte, 1, 0), EPIPE);
    EQUAL(pipes, 1);
    FAILS(write(fd, &byte, 1), EPIPE);
    EQUAL(pipes, 2);
    FAILS(send(fd, &byte, 1, MSG_NOSIGNAL), EPIPE);
    EQUAL(pipes, 2);
    signal(SIGPIPE, SIG_IGN);
    FAILS(write(fd, &byte, 1), EPIPE);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGPIPE, SIG_DFL);
        if (write(fd, &byte, 1) < 0)
            _exit(1);
        _exit(2);
    }
    int status;
    OK(waitpid(child, &status, 0));
    if (!WIFSIGNALED(status))
        FAIL("the child ended with status %d", WEXITSTATUS(status));
    EQUAL(WTERMSIG(status), SIGPIPE);
}

static void linger_zero(void)
{
    int fd = tcp_pair();

    set_linger(fd, 1, 0);
    EQUAL(close(fd), 0);
    EQUAL(peer_try("eof 1"), -ECONNRESET);
}

static void linger_zero_discards(void)
{
    int fd = tcp_pair();
    char buffer[4096] = {0};

    while (send(fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
        ;
    set_linger(fd, 1, 0);
    EQUAL(close(fd), 0);
    sleep_ms(20);
    long result;
    do
        result = peer_try("read 1 1000000");
    while (result > 0);
    EQUAL(result, -ECONNRESET);
}

/* close waits until the peer has acknowledged all. */
static void linger_waits(void)
{
    int fd = tcp_pair();
    size_t total = 0;
    char buffer[8000];
    ssize_t count;

    do {
        data_fill(buffer, sizeof(buffer), total);
        count = send(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        total += count > 0 ? count : 0;
    } while (count > 0 || poll_one(fd, POLLOUT, 100));
    set_linger(fd, 1, 8);
    int64_t begin = now_ms();
    peer("bg 1 later 300 receive 1 %zu 0", total);
    EQUAL(close(fd), 0);
    CHECK(now_ms() - begin >= 250);
    EQUAL(peer("fin 1"), total);
    EQUAL(peer("eof 1"), 0);
}

static void linger_expires(void)
{
    int fd = tcp_pair();
    char buffer[65536] = {0};

    while (send(fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0 || poll_one(fd, POLLOUT, 100))
        ;
    set_linger(fd, 1, 1);
    int64_t begin = now_ms();
    EQUAL(close(fd), 0);
    CHECK(now_ms() - begin >= 900);
}

static void linger_off_does_not_wait(void)
{
    int fd = tcp_pair();
    size_t total = 0;
    char buffer[8000];
    ssize_t count;

    do {
        data_fill(buffer, sizeof(buffer), total);
        count = send(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        total += count > 0 ? count : 0;
    } while (count > 0);
    int64_t begin = now_ms();
    EQUAL(close(fd), 0);
    CHECK(now_ms() - begin < 1000);
    EQUAL(peer("receive 1 %zu 0", total + 1), total); /* all, then the end */
}

/* Closing a socket with unread data resets the connection. */
static void close_with_unread_data(void)
{
    int fd = tcp_pair();

    peer("send 1 100 0");
    arrived(fd, 100);
    EQUAL(close(fd), 0);
    EQUAL(peer_try("eof 1"), -ECONNRESET);
}

/* Data for a socket that is closed is answered with an RST. */
static void data_after_close(void)
{
    int fd = tcp_pair();

    EQUAL(close(fd), 0);
    EQUAL(peer("eof 1"), 0);
    peer("send 1 100 0");
    CHECK(peer("wait 1 0 3000") & POLLHUP);
    EQUAL(peer_try("send 1 1 0"), -EPIPE);
}

static void both_close(void)
{
    for (int i = 0; i < 20; i++) {
        int fd = tcp_pair();
        peer("bg 1 shutdown 1 w");
        OK(shutdown(fd, SHUT_WR));
        peer("fin 1");
        EQUAL(data_receive(fd, 1, 0, 0), 0);
        EQUAL(peer("eof 1"), 0);
        EQUAL(close(fd), 0);
        peer("close 1");
        peer("close 0");
        if (api.accepted)
            peer("tcp 0");
    }
}

static void hang_up_events(void)
{
    int fd = tcp_pair(), all = POLLIN | POLLOUT | POLLRDHUP;

    EQUAL(poll_one(fd, all, 0), POLLOUT);
    peer("shutdown 1 w");
    EQUAL(poll_one(fd, POLLIN, 3000), POLLIN);
    EQUAL(poll_one(fd, all, 0), POLLIN | POLLOUT | POLLRDHUP);
    OK(shutdown(fd, SHUT_WR));
    EQUAL(poll_one(fd, all, 3000), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
}

static void exit_child(bool quick, int signal_number)
{
    int fd = tcp_pair();
    const size_t length = 1000000;

    pid_t child = fork();
    if (child == 0) {
        set_option(fd, SOL_SOCKET, SO_SNDBUF, 4000000);
        EQUAL(data_send(fd, length, 0, length), length);
        if (signal_number)
            kill(getpid(), signal_number);
        quick ? _exit(0) : exit(0);
    }
    close(fd);
    int status;
    OK(waitpid(child, &status, 0));
    EQUAL(signal_number ? WTERMSIG(status) : WEXITSTATUS(status), signal_number);
    EQUAL(peer("receive 1 %zu 0", length + 1), length);
    EQUAL(peer("eof 1"), 0);
}

/* A program ends with unsent data: all of it arrives. */
static void exit_unsent(void)
{
    exit_child(false, 0);
}

static void exit_quick_unsent(void)
{
    exit_child(true, 0);
}

static void killed_unsent(void)
{
    exit_child(true, SIGTERM);
}

/* The connection is made by the process that ends. */
static void exit_own_connection(void)
{
    uint16_t port = peer("server 0 %s", api.server);

    for (int quick = 0; quick < 2; quick++) {
        pid_t child = fork();
        if (child == 0) {
            int fd = tcp_socket();
            connect_to(fd, port);
            set_option(fd, SOL_SOCKET, SO_SNDBUF, 4000000);
            EQUAL(data_send(fd, 1000000, 0, 1000000), 1000000);
            quick ? _exit(0) : exit(0);
        }
        wait_child(child);
        peer("accept 0 1");
        EQUAL(peer("receive 1 1000001 0"), 1000000);
        EQUAL(peer("eof 1"), 0);
        peer("close 1");
    }
}

/* Closed before the exit: with data on its way, with the peer's end still to come, or in TIME_WAIT. */
static void exit_after_close(void)
{
    uint16_t port = peer("server 0 %s", api.server);

    for (int how = 0; how < 3; how++) {
        pid_t child = fork();
        if (child == 0) {
            int fd = tcp_socket();
            connect_to(fd, port);
            peer("accept 0 1");
            if (how == 0)
                set_option(fd, SOL_SOCKET, SO_SNDBUF, 4000000);
            EQUAL(data_send(fd, 50000, 0, 0), 50000);
            if (how == 0)
                EQUAL(data_send(fd, 950000, 50000, 1000000), 950000);
            if (how == 2) {
                OK(shutdown(fd, SHUT_WR));
                peer("shutdown 1 w");
                EQUAL(recv(fd, &(char){0}, 1, 0), 0);
            }
            EQUAL(close(fd), 0);
            _exit(0);
        }
        wait_child(child);
        EQUAL(peer("receive 1 1000001 0"), how == 0 ? 1000000 : 50000);
        EQUAL(peer("eof 1"), 0);
        peer("close 1");
    }
}

static void exit_with_unread_data(void)
{
    uint16_t port = peer("server 0 %s", api.server);

    pid_t child = fork();
    if (child == 0) {
        int fd = tcp_socket();
        connect_to(fd, port);
        peer("accept 0 1");
        peer("send 1 100 0");
        arrived(fd, 100);
        exit(0);
    }
    wait_child(child);
    EQUAL(peer_try("eof 1"), -ECONNRESET);
}

static void peer_killed(void)
{
    int fd = tcp_pair();
    char byte;

    EQUAL(data_send(fd, 10, 0, 0), 10);
    EQUAL(peer("receive 1 10 0"), 10);
    peer_kill();
    EQUAL(recv(fd, &byte, 1, 0), 0);
}

static void states(void)
{
    int fd = tcp_pair();
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);

    OK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length));
    EQUAL(info.tcpi_state, TCP_ESTABLISHED);
    peer("shutdown 1 w");
    CHECK(poll_one(fd, POLLRDHUP, 3000) & POLLRDHUP);
    length = sizeof(info);
    OK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length));
    EQUAL(info.tcpi_state, TCP_CLOSE_WAIT);
    OK(shutdown(fd, SHUT_WR));
    EVENTUALLY(OK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length)) == 0 && info.tcpi_state == TCP_CLOSE);
}

const struct api_case tcp_close_cases[] = {
    {"tcp.close.half_close_ours", half_close_ours, CASE_PAIR},
    {"tcp.close.half_close_peer", half_close_peer, CASE_PAIR},
    {"tcp.close.shutdown_read", shutdown_read, CASE_PAIR},
    {"tcp.close.shutdown_both", shutdown_both, CASE_PAIR},
    {"tcp.close.shutdown_wrong", shutdown_wrong},
    {"tcp.close.reset_received", reset_received, CASE_PAIR},
    {"tcp.close.reset_told_by_send", reset_told_by_send, CASE_PAIR},
    {"tcp.close.reset_told_by_option", reset_told_by_option, CASE_PAIR},
    {"tcp.close.reset_wakes_reader", reset_wakes_reader, CASE_PAIR},
    {"tcp.close.reset_after_data", reset_after_data, CASE_PAIR},
    {"tcp.close.write_after_peer_closed", write_after_peer_closed, CASE_PAIR},
    {"tcp.close.broken_pipe_signal", broken_pipe_signal, CASE_PAIR},
    {"tcp.close.linger_zero", linger_zero, CASE_PAIR},
    {"tcp.close.linger_zero_discards", linger_zero_discards, CASE_PAIR},
    {"tcp.close.linger_waits", linger_waits, CASE_PAIR},
    {"tcp.close.linger_expires", linger_expires, CASE_PAIR},
    {"tcp.close.linger_off_does_not_wait", linger_off_does_not_wait, CASE_PAIR},
    {"tcp.close.close_with_unread_data", close_with_unread_data, CASE_PAIR},
    {"tcp.close.data_after_close", data_after_close, CASE_PAIR},
    {"tcp.close.both_close", both_close, CASE_PAIR},
    {"tcp.close.hang_up_events", hang_up_events, CASE_PAIR},
    {"tcp.close.exit_unsent", exit_unsent, CASE_PAIR},
    {"tcp.close.exit_quick_unsent", exit_quick_unsent, CASE_PAIR},
    {"tcp.close.killed_unsent", killed_unsent, CASE_PAIR},
    {"tcp.close.exit_own_connection", exit_own_connection},
    {"tcp.close.exit_after_close", exit_after_close},
    {"tcp.close.exit_with_unread_data", exit_with_unread_data},
    {"tcp.close.peer_killed", peer_killed, CASE_PAIR},
    {"tcp.close.states", states, CASE_PAIR},
    {0},
};
