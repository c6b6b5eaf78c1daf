/* SPDX-License-Identifier: BSD-2-Clause */
/* epoll with sockets and other descriptors, in threads, nested, over fork. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

static int watch(int epoll, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};

    return epoll_ctl(epoll, operation, fd, &event);
}

/* Which one of the descriptors is ready, when only one is; -1: none within timeout_ms. */
static int wait_fd(int epoll, int timeout_ms)
{
    struct epoll_event events[8];
    int count = OK(epoll_wait(epoll, events, 8, timeout_ms));

    CHECK(count <= 1);
    return count ? events[0].data.fd : -1;
}

/* A socket, a UDP socket, a pipe, an eventfd, a timer, a signal descriptor: each wakes a sleeping wait. */
static void kinds(void)
{
    int fd = tcp_pair(), udp = udp_bound(), event = OK(eventfd(0, 0)), ends[2], epoll = OK(epoll_create1(0));
    int timer = OK(timerfd_create(CLOCK_MONOTONIC, 0));
    sigset_t set;
    char buffer[256];

    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    int signals = OK(signalfd(-1, &set, 0));
    OK(pipe(ends));
    int all[] = {fd, udp, event, ends[0], timer, signals};
    for (int i = 0; i < 6; i++)
        OK(watch(epoll, EPOLL_CTL_ADD, all[i], EPOLLIN));
    EQUAL(wait_fd(epoll, 10), -1);
    peer("bg 1 later 30 send 1 10 0");
    EQUAL(wait_fd(epoll, 5000), fd);
    EQUAL(data_receive(fd, 10, 0, 0), 10);
    peer("udp 2");
    peer("bg 2 later 30 sendto 2 10 0 %s %u", api.self, local_port(udp));
    EQUAL(wait_fd(epoll, 5000), udp);
    EQUAL(recv(udp, buffer, sizeof(buffer), 0), 10);
    struct itimerspec soon = {.it_value = {0, 30000000}};
    OK(timerfd_settime(timer, 0, &soon, NULL));
    EQUAL(wait_fd(epoll, 5000), timer);
    EQUAL(read(timer, buffer, 8), 8);
    struct itimerval alarm_soon = {.it_value = {0, 30000}};
    OK(setitimer(ITIMER_REAL, &alarm_soon, NULL));
    EQUAL(wait_fd(epoll, 5000), signals);
    CHECK(read(signals, buffer, sizeof(buffer)) > 0);
    OK(eventfd_write(event, 1));
    EQUAL(wait_fd(epoll, 5000), event);
    EQUAL(read(event, buffer, 8), 8);
    EQUAL(write(ends[1], "x", 1), 1);
    EQUAL(wait_fd(epoll, 5000), ends[0]);
    close(ends[1]);
    EQUAL(read(ends[0], buffer, 10), 1);
    EQUAL(wait_fd(epoll, 5000), ends[0]); /* hung up */
    EQUAL(wait_fd(epoll, 0), ends[0]);
    close(ends[0]);
    EQUAL(wait_fd(epoll, 10), -1);
}

/* A steady stream on a socket does not starve an eventfd, nor the other way round. */
static void both_get_through(void)
{
    int fd = tcp_pair(), event = OK(eventfd(0, EFD_NONBLOCK)), epoll = OK(epoll_create1(0)), seen[2] = {0};
    struct epoll_event got;
    char buffer[1000];

    OK(watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN));
    OK(watch(epoll, EPOLL_CTL_ADD, event, EPOLLIN));
    OK(eventfd_write(event, 1)); /* never read: always ready */
    peer("bg 1 send 1 200000 0");
    while (seen[1] < 200000) {
        EQUAL(epoll_wait(epoll, &got, 1, 5000), 1);
        if (got.data.fd == event)
            seen[0]++;
        else
            seen[1] += OK(recv(fd, buffer, sizeof(buffer), 0));
    }
    CHECK(seen[0] > 50);
    EQUAL(seen[1], 200000);
}

static void *wait_for_event(void *argument)
{
    struct epoll_event event;

    return (void *)(long)epoll_wait(*(int *)argument, &event, 1, 5000);
}

/* A member that is added while another thread waits counts. */
static void added_while_waiting(void)
{
    int fd = tcp_pair(), epoll = OK(epoll_create1(0));
    pthread_t thread;
    void *result;

    EQUAL(pthread_create(&thread, NULL, wait_for_event, &epoll), 0);
    sleep_ms(30);
    OK(watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN));
    sleep_ms(30);
    peer("send 1 10 0");
    EQUAL(pthread_join(thread, &result), 0);
    EQUAL((long)result, 1);
    EQUAL(data_receive(fd, 10, 0, 0), 10);
    EQUAL(pthread_create(&thread, NULL, wait_for_event, &epoll), 0);
    sleep_ms(30);
    OK(watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT));
    EQUAL(pthread_join(thread, &result), 0);
    EQUAL((long)result, 1);
}

/* One edge wakes one of the threads that wait. */
static void threads_share_edges(void)
{
    int fd = tcp_pair(), epoll = OK(epoll_create1(0));
    pthread_t threads[4];
    long woken = 0;

    OK(watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET));
    for (int i = 0; i < 4; i++)
        EQUAL(pthread_create(&threads[i], NULL, wait_for_event, &epoll), 0);
    sleep_ms(50);
    for (int i = 0; i < 4; i++) {
        peer("send 1 10 %d", i * 10);
        sleep_ms(20);
    }
    for (int i = 0; i < 4; i++) {
        void *result;
        EQUAL(pthread_join(threads[i], &result), 0);
        woken += (long)result;
    }
    EQUAL(woken, 4);
    EQUAL(data_receive(fd, 40, 0, 0), 40);
}

/* Several epolls watch a listener exclusively: every connection is taken. */
static void exclusive(void)
{
    uint16_t port;
    int listener = tcp_listener(&port), epolls[3], taken = 0;

    set_nonblocking(listener, true);
    for (int i = 0; i < 3; i++) {
        epolls[i] = OK(epoll_create1(0));
        OK(watch(epolls[i], EPOLL_CTL_ADD, listener, EPOLLIN | EPOLLEXCLUSIVE));
    }
    peer("bg 1 dialall 0 30 %s %u", api.self, port);
    for (int64_t end = now_ms() + 5000; taken < 30 && now_ms() < end;) {
        for (int i = 0; i < 3; i++)
            if (wait_fd(epolls[i], 5) == listener && accept(listener, NULL, NULL) >= 0)
                taken++;
    }
    EQUAL(taken, 30);
    EQUAL(peer("fin 1"), 30);
}

static void nested(void)
{
    int fd = tcp_pair(), inner = OK(epoll_create1(0)), outer = OK(epoll_create1(0)), ends[2];
    char buffer[10];

    OK(pipe(ends));
    OK(watch(inner, EPOLL_CTL_ADD, fd, EPOLLIN));
    OK(watch(inner, EPOLL_CTL_ADD, ends[0], EPOLLIN));
    OK(watch(outer, EPOLL_CTL_ADD, inner, EPOLLIN));
    EQUAL(wait_fd(outer, 10), -1);
    peer("bg 1 later 30 send 1 10 0");
    EQUAL(wait_fd(outer, 5000), inner);
    EQUAL(wait_fd(inner, 0), fd);
    EQUAL(data_receive(fd, 10, 0, 0), 10);
    EQUAL(wait_fd(outer, 10), -1);
    EQUAL(write(ends[1], "x", 1), 1);
    EQUAL(wait_fd(outer, 5000), inner);
    EQUAL(wait_fd(inner, 0), ends[0]);
    EQUAL(read(ends[0], buffer, 10), 1);
    FAILS(watch(inner, EPOLL_CTL_ADD, outer, EPOLLIN), ELOOP);
}

/* An epoll descriptor in poll and select. */
static void epoll_in_poll(void)
{
    int fd = tcp_pair(), epoll = OK(epoll_create1(0));
    fd_set set;

    OK(watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN));
    EQUAL(poll_one(epoll, POLLIN, 10), 0);
    peer("bg 1 later 30 send 1 10 0");
    EQUAL(poll_one(epoll, POLLIN, 5000), POLLIN);
    FD_ZERO(&set);
    FD_SET(epoll, &set);
    EQUAL(select(epoll + 1, &set, NULL, NULL, &(struct timeval){1, 0}), 1);
    EQUAL(wait_fd(epoll, 0), fd);
    EQUAL(data_receive(fd, 10, 0, 0), 10);
    EQUAL(poll_one(epoll, POLLIN, 10), 0);
    peer("bg 2 later 30 send 1 10 10");
    FD_SET(epoll, &set);
    EQUAL(select(epoll + 1, &set, NULL, NULL, &(struct timeval){5, 0}), 1);
}

/* A duplicate of the epoll descriptor is the same epoll. */
static void duplicated_epoll(void)
{
    int fd = tcp_pair(), epoll = OK(epoll_create1(0)), copy = OK(dup(epoll));

    OK(watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN));
    peer("send 1 10 0");
    EQUAL(wait_fd(copy, 3000), fd);
    close(epoll);
    EQUAL(wait_fd(copy, 3000), fd);
    OK(watch(copy, EPOLL_CTL_DEL, fd, 0));
    EQUAL(wait_fd(copy, 10), -1);
}

/* A number used again for an epoll starts empty. */
static void epoll_closed_and_made_again(void)
{
    int fd = tcp_pair(), epoll = OK(epoll_create1(0));

    OK(watch(epoll, EPOLL_CTL_ADD, fd, EPOLLOUT));
    close(epoll);
    EQUAL(epoll_create1(0), epoll);
    EQUAL(wait_fd(epoll, 10), -1);
    OK(watch(epoll, EPOLL_CTL_ADD, fd, EPOLLOUT));
    EQUAL(wait_fd(epoll, 10), fd);
}

static volatile sig_atomic_t seen;

static void on_signal(int number)
{
    (void)number;
    seen++;
}

static void signal_mask(void)
{
    int fd = tcp_pair(), epoll = OK(epoll_create1(0));
    struct epoll_event event;
    sigset_t blocked, none;

    OK(watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN));
    signal(SIGUSR1, on_signal);
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &blocked, NULL));
    OK(kill(getpid(), SIGUSR1));
    EQUAL(epoll_wait(epoll, &event, 1, 10), 0);
    FAILS(epoll_pwait(epoll, &event, 1, 5000, &none), EINTR);
    EQUAL(seen, 1);
    struct itimerval often = {{0, 30000}, {0, 30000}};
    signal(SIGALRM, on_signal); /* with SA_RESTART: no difference */
    OK(setitimer(ITIMER_REAL, &often, NULL));
    FAILS(epoll_wait(epoll, &event, 1, 5000), EINTR);
    CHECK(seen >= 2);
}

static void precise_timeout(void)
{
    int fd = tcp_pair(), epoll = OK(epoll_create1(0));
    struct epoll_event event;
    struct timespec limit = {0, 50000000};

    OK(watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN));
    int64_t begin = now_ms();
    EQUAL(epoll_pwait2(epoll, &event, 1, &limit, NULL), 0);
    CHECK(now_ms() - begin >= 49);
    peer("bg 1 later 30 send 1 10 0");
    EQUAL(epoll_pwait2(epoll, &event, 1, NULL, NULL), 1);
    limit.tv_nsec = -1;
    FAILS(epoll_pwait2(epoll, &event, 1, &limit, NULL), EINVAL);
    begin = now_ms();
    EQUAL(data_receive(fd, 10, 0, 0), 10);
    EQUAL(epoll_wait(epoll, &event, 1, 100), 0);
    CHECK(now_ms() - begin >= 99);
}

/* An epoll from before a fork: the child waits on sockets of its own with an epoll of its own. */
static void child_makes_its_own(void)
{
    int fd = tcp_pair(), epoll = OK(epoll_create1(0));

    OK(watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN));
    pid_t child = fork();
    if (child == 0) {
        close(epoll);
        close(fd);
        int own = udp_bound(), mine = OK(epoll_create1(0));
        OK(watch(mine, EPOLL_CTL_ADD, own, EPOLLIN));
        peer("udp 5");
        peer("sendto 5 10 0 %s %u", api.self, local_port(own));
        EQUAL(wait_fd(mine, 3000), own);
        _exit(0);
    }
    wait_child(child);
    peer("send 1 10 0");
    EQUAL(wait_fd(epoll, 3000), fd);
    EQUAL(data_receive(fd, 10, 0, 0), 10);
}

/* A child uses the epoll and the connection that it inherited, alone. */
static void child_inherits(void)
{
    int fd = tcp_pair(), epoll = OK(epoll_create1(0));

    OK(watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN));
    pid_t child = fork();
    if (child == 0) {
        peer("bg 1 later 30 send 1 10 0");
        EQUAL(wait_fd(epoll, 5000), fd);
        EQUAL(data_receive(fd, 10, 0, 0), 10);
        EQUAL(data_send(fd, 10, 0, 0), 10);
        EQUAL(peer("receive 1 10 0"), 10);
        _exit(0);
    }
    close(fd);
    wait_child(child);
}

const struct api_case epoll_mixed_cases[] = {
    {"epoll.mixed.kinds", kinds},
    {"epoll.mixed.both_get_through", both_get_through},
    {"epoll.mixed.added_while_waiting", added_while_waiting},
    {"epoll.mixed.threads_share_edges", threads_share_edges},
    {"epoll.mixed.exclusive", exclusive},
    {"epoll.mixed.nested", nested},
    {"epoll.mixed.epoll_in_poll", epoll_in_poll},
    {"epoll.mixed.duplicated_epoll", duplicated_epoll},
    {"epoll.mixed.epoll_closed_and_made_again", epoll_closed_and_made_again},
    {"epoll.mixed.signal_mask", signal_mask},
    {"epoll.mixed.precise_timeout", precise_timeout},
    {"epoll.mixed.child_makes_its_own", child_makes_its_own},
    {"epoll.mixed.child_inherits", child_inherits, CASE_PAIR},
    {0},
};
