/* SPDX-License-Identifier: BSD-2-Clause */
/* poll, ppoll, select, pselect. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

static void readiness(void)
{
    int fd = tcp_pair();

    EQUAL(poll_one(fd, POLLIN | POLLOUT, -1), POLLOUT);
    EQUAL(poll_one(fd, POLLIN, 0), 0);
    peer("send 1 10 0");
    EQUAL(poll_one(fd, POLLIN, 3000), POLLIN);
    EQUAL(poll_one(fd, POLLIN | POLLRDNORM, -1), POLLIN | POLLRDNORM);
    EQUAL(poll_one(fd, POLLOUT | POLLWRNORM, 0), POLLOUT | POLLWRNORM);
    EQUAL(data_receive(fd, 10, 0, 0), 10);
    EQUAL(poll_one(fd, POLLIN, 0), 0);
    EQUAL(poll_one(fd, 0, 10), 0);
}

static void timeout(void)
{
    int fd = tcp_pair();
    int64_t begin = now_ms();

    EQUAL(poll_one(fd, POLLIN, 100), 0);
    CHECK(now_ms() - begin >= 99);
    struct pollfd wait = {fd, POLLIN, 0};
    struct timespec limit = {0, 50000000};
    begin = now_ms();
    EQUAL(ppoll(&wait, 1, &limit, NULL), 0);
    CHECK(now_ms() - begin >= 49);
    limit = (struct timespec){0, 0};
    EQUAL(ppoll(&wait, 1, &limit, NULL), 0);
}

static void wakes_up(void)
{
    int fd = tcp_pair();

    for (int i = 0; i < 10; i++) {
        peer("bg 1 later %d send 1 10 %d", i * 5, i);
        EQUAL(poll_one(fd, POLLIN, -1), POLLIN);
        EQUAL(data_receive(fd, 10, i, 0), 10);
        peer("fin 1");
    }
}

static void odd_entries(void)
{
    int fd = tcp_pair(), closed = OK(dup(fd));
    struct pollfd wait[4] = {{-1, POLLIN, 77}, {fd, POLLOUT, 77}, {closed, POLLIN, 0}, {fd, POLLIN, 77}};

    close(closed);
    EQUAL(poll(wait, 4, 1000), 2);
    EQUAL(wait[0].revents, 0);
    EQUAL(wait[1].revents, POLLOUT);
    EQUAL(wait[2].revents, POLLNVAL);
    EQUAL(wait[3].revents, 0);
    EQUAL(poll(wait, 1, 20), 0);
    EQUAL(poll(NULL, 0, 20), 0);
    struct pollfd bad = {-1, POLLIN, 0};
    struct timespec limit = {0, 1000000000};
    FAILS(ppoll(&bad, 1, &limit, NULL), EINVAL);
    struct rlimit most;
    OK(getrlimit(RLIMIT_NOFILE, &most));
    FAILS(poll(wait, most.rlim_cur + 1, 0), EINVAL);
}

/* Sockets, pipes, eventfd, timerfd, signalfd and a terminal's like in one call. */
static void mixed(void)
{
    int fd = tcp_pair(), udp = udp_bound(), ends[2], event = OK(eventfd(0, 0));
    int timer = OK(timerfd_create(CLOCK_MONOTONIC, 0));
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    int signals = OK(signalfd(-1, &set, 0));
    OK(pipe(ends));
    struct pollfd wait[6] = {{fd, POLLIN, 0},    {udp, POLLIN, 0},   {ends[0], POLLIN, 0},
                             {event, POLLIN, 0}, {timer, POLLIN, 0}, {signals, POLLIN, 0}};
    EQUAL(poll(wait, 6, 20), 0);
    OK(kill(getpid(), SIGUSR1));
    EQUAL(poll(wait, 6, -1), 1);
    EQUAL(wait[5].revents, POLLIN);
    EQUAL(write(ends[1], "x", 1), 1);
    EQUAL(poll(wait, 6, -1), 2);
    OK(eventfd_write(event, 1));
    EQUAL(poll(wait, 6, -1), 3);
    struct itimerspec soon = {.it_value = {0, 1000000}};
    OK(timerfd_settime(timer, 0, &soon, NULL));
    sleep_ms(5);
    EQUAL(poll(wait, 6, -1), 4);
    peer("send 1 10 0");
    EVENTUALLY(OK(poll(wait, 6, -1)) == 5);
    EQUAL(wait[0].revents, POLLIN);
    peer("udp 2");
    peer("sendto 2 10 0 %s %u", api.self, local_port(udp));
    EVENTUALLY(OK(poll(wait, 6, -1)) == 6);
}

struct write_later {
    int fd;
    unsigned ms;
};

static void *write_later(void *argument)
{
    struct write_later *task = argument;

    sleep_ms(task->ms);
    if (write(task->fd, "12345678", 8) != 8)
        FAIL("write: %s", errno_name(errno));
    return NULL;
}

/* The kernel's descriptors end a wait in which sockets are silent, and the other way round. */
static void mixed_wakes_up(void)
{
    int fd = tcp_pair(), ends[2], event = OK(eventfd(0, 0));

    OK(pipe(ends));
    struct pollfd wait[3] = {{fd, POLLIN, 0}, {ends[0], POLLIN, 0}, {event, POLLIN, 0}};
    for (int i = 0; i < 8; i++) {
        struct write_later task = {i % 2 ? ends[1] : event, i * 7};
        pthread_t thread;
        char buffer[8];
        EQUAL(pthread_create(&thread, NULL, write_later, &task), 0);
        EQUAL(poll(wait, 3, 5000), 1);
        EQUAL(wait[i % 2 ? 1 : 2].revents, POLLIN);
        EQUAL(read(i % 2 ? ends[0] : event, buffer, 8), 8);
        EQUAL(pthread_join(thread, NULL), 0);
        peer("bg 1 later %d send 1 10 0", i * 7);
        EQUAL(poll(wait, 3, 5000), 1);
        EQUAL(wait[0].revents, POLLIN);
        EQUAL(data_receive(fd, 10, 0, 0), 10);
        peer("fin 1");
    }
}

static volatile sig_atomic_t signals_seen;

static void on_signal(int number)
{
    (void)number;
    signals_seen++;
}

/* The mask of ppoll holds exactly during the wait: a signal that is pending ends it at once. */
static void signal_mask(void)
{
    int fd = tcp_pair();
    struct pollfd wait = {fd, POLLIN, 0};
    struct timespec limit = {5, 0};
    sigset_t blocked, none;

    signal(SIGUSR1, on_signal);
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &blocked, NULL));
    OK(kill(getpid(), SIGUSR1));
    EQUAL(poll_one(fd, POLLIN, 20), 0);
    EQUAL(signals_seen, 0);
    FAILS(ppoll(&wait, 1, &limit, &none), EINTR);
    EQUAL(signals_seen, 1);
    sigset_t now;
    OK(sigprocmask(SIG_SETMASK, NULL, &now));
    EQUAL(sigismember(&now, SIGUSR1), 1);
    OK(kill(getpid(), SIGUSR1));
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    FAILS(pselect(fd + 1, &set, NULL, NULL, &limit, &none), EINTR);
    EQUAL(signals_seen, 2);
}

/* Neither poll nor select are restarted, whatever SA_RESTART says. */
static void interrupted(void)
{
    int fd = tcp_pair();
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 50000}, {0, 50000}};
    struct pollfd wait = {fd, POLLIN, 0};
    fd_set set;

    OK(sigaction(SIGALRM, &action, NULL));
    OK(setitimer(ITIMER_REAL, &often, NULL));
    FAILS(poll(&wait, 1, 5000), EINTR);
    FD_ZERO(&set);
    FD_SET(fd, &set);
    FAILS(select(fd + 1, &set, NULL, NULL, &(struct timeval){5, 0}), EINTR);
    CHECK(signals_seen >= 2);
}

static void select_basics(void)
{
    int fd = tcp_pair(), other = udp_bound();
    fd_set in, out;
    struct timeval limit = {0, 50000};

    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(fd, &in);
    FD_SET(other, &in);
    int most = fd > other ? fd : other;
    int64_t begin = now_ms();
    EQUAL(select(most + 1, &in, NULL, NULL, &limit), 0);
    CHECK(now_ms() - begin >= 49);
    CHECK(!FD_ISSET(fd, &in) && !FD_ISSET(other, &in));
    EQUAL(limit.tv_sec, 0);
    EQUAL(limit.tv_usec, 0); /* the time left */
    FD_SET(fd, &in);
    FD_SET(other, &in);
    FD_SET(fd, &out);
    FD_SET(other, &out);
    EQUAL(select(most + 1, &in, &out, NULL, NULL), 2);
    CHECK(FD_ISSET(fd, &out) && FD_ISSET(other, &out) && !FD_ISSET(fd, &in));
    peer("bg 1 later 30 send 1 10 0");
    FD_ZERO(&in);
    FD_SET(fd, &in);
    FD_SET(other, &in);
    limit = (struct timeval){5, 0};
    EQUAL(select(most + 1, &in, NULL, NULL, &limit), 1);
    CHECK(FD_ISSET(fd, &in) && !FD_ISSET(other, &in));
    CHECK(limit.tv_sec < 5);
    EQUAL(data_receive(fd, 10, 0, 0), 10);
}

static void select_errors(void)
{
    int fd = tcp_pair(), closed = OK(dup(fd));
    fd_set set;

    close(closed);
    FD_ZERO(&set);
    FD_SET(fd, &set);
    FD_SET(closed, &set);
    FAILS(select(closed + 1, &set, NULL, NULL, NULL), EBADF);
    FAILS(select(-1, &set, NULL, NULL, NULL), EINVAL);
    FAILS(select(fd + 1, &set, NULL, NULL, &(struct timeval){-1, 0}), EINVAL);
    EQUAL(select(0, NULL, NULL, NULL, &(struct timeval){0, 1000}), 0);
}

static void select_out_of_band(void)
{
    int fd = tcp_pair();
    fd_set set;

    FD_ZERO(&set);
    FD_SET(fd, &set);
    EQUAL(select(fd + 1, NULL, NULL, &set, &(struct timeval){0, 10000}), 0);
    peer("oob 1");
    FD_SET(fd, &set);
    EQUAL(select(fd + 1, NULL, NULL, &set, &(struct timeval){3, 0}), 1);
}

static void select_end_of_stream(void)
{
    int fd = tcp_pair();
    fd_set in, out;

    peer("reset 1");
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(fd, &in);
    EQUAL(select(fd + 1, &in, NULL, NULL, &(struct timeval){3, 0}), 1);
    FD_SET(fd, &out);
    EQUAL(select(fd + 1, &in, &out, NULL, &(struct timeval){3, 0}), 2);
}

/* Two threads wait for the same socket: both learn that it is readable. */
static void *poll_readable(void *argument)
{
    EQUAL(poll_one(*(int *)argument, POLLIN, 5000), POLLIN);
    return NULL;
}

static void several_waiters(void)
{
    int fd = tcp_pair();
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        EQUAL(pthread_create(&threads[i], NULL, poll_readable, &fd), 0);
    sleep_ms(30);
    peer("send 1 10 0");
    for (int i = 0; i < 4; i++)
        EQUAL(pthread_join(threads[i], NULL), 0);
}

static void many_sockets(void)
{
    struct pollfd wait[200];

    for (int i = 0; i < 200; i++)
        wait[i] = (struct pollfd){udp_bound(), POLLIN, 0};
    EQUAL(poll(wait, 200, 10), 0);
    peer("udp 1");
    for (int i = 0; i < 200; i += 50)
        peer("sendto 1 %d 0 %s %u", i + 1, api.self, local_port(wait[i].fd));
    EVENTUALLY(OK(poll(wait, 200, 1000)) == 4);
    for (int i = 0; i < 200; i++)
        EQUAL(wait[i].revents, i % 50 ? 0 : POLLIN);
}

const struct api_case poll_cases[] = {
    {"poll.readiness", readiness, CASE_PAIR},
    {"poll.timeout", timeout, CASE_PAIR},
    {"poll.wakes_up", wakes_up, CASE_PAIR},
    {"poll.odd_entries", odd_entries},
    {"poll.mixed", mixed},
    {"poll.mixed_wakes_up", mixed_wakes_up},
    {"poll.signal_mask", signal_mask},
    {"poll.interrupted", interrupted},
    {"poll.select_basics", select_basics, CASE_PAIR},
    {"poll.select_errors", select_errors},
    {"poll.select_out_of_band", select_out_of_band},
    {"poll.select_end_of_stream", select_end_of_stream},
    {"poll.several_waiters", several_waiters},
    {"poll.many_sockets", many_sockets},
    {0},
};
