/* SPDX-License-Identifier: BSD-2-Clause */
/* Signals and time-outs in blocking calls. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

static volatile sig_atomic_t seen;
static int handler_fd;
static sigjmp_buf back;

static void on_signal(int number)
{
    (void)number;
    seen++;
}

/* SIGALRM every so often (one may come before the call that it is to interrupt), with these flags of its handler. */
static void alarms(int ms, int flags)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
    struct itimerval soon = {{0, ms * 1000}, {0, ms * 1000}};

    OK(sigaction(SIGALRM, &action, NULL));
    OK(setitimer(ITIMER_REAL, &soon, NULL));
}

static void no_alarms(void)
{
    OK(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL));
}

static size_t fill(int fd)
{
    char buffer[8000];
    size_t total = 0;
    ssize_t count;

    do {
        data_fill(buffer, sizeof(buffer), total);
        count = send(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        total += count > 0 ? count : 0;
    } while (count > 0 || poll_one(fd, 4, 50));
    return total;
}

static void interrupts_receive(void)
{
    int fd = tcp_pair();
    char byte;
    struct iovec part = {&byte, 1};

    alarms(50, 0);
    FAILS(recv(fd, &byte, 1, 0), EINTR);
    FAILS(read(fd, &byte, 1), EINTR);
    FAILS(readv(fd, &part, 1), EINTR);
    no_alarms();
    CHECK(seen >= 3);
    peer("send 1 10 0");
    EQUAL(data_receive(fd, 10, 0, 0), 10);
}

static void interrupts_datagrams(void)
{
    int fd = udp_pair();
    char byte;

    alarms(50, 0);
    FAILS(recv(fd, &byte, 1, 0), EINTR);
    CHECK(seen >= 1);
}

static void restarts_receive(void)
{
    int fd = tcp_pair(), udp = udp_bound();
    char buffer[10];

    peer("udp 2");
    peer("bg 1 later 250 send 1 10 0");
    peer("bg 2 later 500 sendto 2 10 0 %s %u", api.self, local_port(udp));
    alarms(50, SA_RESTART);
    EQUAL(recv(fd, buffer, 10, 0), 10);
    CHECK(seen >= 1);
    seen = 0;
    EQUAL(recv(udp, buffer, 10, 0), 10);
    CHECK(seen >= 1);
}

/* With a time-out of the socket, a call is never restarted. */
static void no_restart_with_timeout(void)
{
    int fd = tcp_pair();
    struct timeval limit = {5, 0};
    char byte;

    OK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
    alarms(50, SA_RESTART);
    FAILS(recv(fd, &byte, 1, 0), EINTR);
}

static void interrupts_accept(void)
{
    uint16_t port;
    int listener = tcp_listener(&port);

    alarms(50, 0);
    FAILS(accept(listener, NULL, NULL), EINTR);
    no_alarms();
    seen = 0;
    peer("bg 1 later 250 dial 1 %s %u", api.self, port);
    alarms(50, SA_RESTART);
    OK(accept(listener, NULL, NULL));
    CHECK(seen >= 1);
}

static void interrupts_send(void)
{
    int fd = tcp_pair(), number;
    static char buffer[100000];
    size_t total = fill(fd);
    ssize_t more;

    alarms(50, 0);
    do { /* some of it may still fit: then that is what is told */
        data_fill(buffer, sizeof(buffer), total);
        more = send(fd, buffer, sizeof(buffer), 0);
        number = errno;
        total += more > 0 ? more : 0;
    } while (more > 0);
    no_alarms();
    EQUAL(number, EINTR);
    EQUAL(peer("receive 1 %zu 0", total), total);
    EQUAL(data_send(fd, 1000, 0, 0), 1000); /* and the connection goes on */
    EQUAL(peer("receive 1 1000 0"), 1000);
}

/* At any moment of the call, from its beginning to its sleep. */
static void interrupts_again_and_again(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    int fd = tcp_pair();
    char byte;

    OK(sigaction(SIGALRM, &action, NULL));
    for (int i = 0; i < 3000; i++) {
        struct itimerval soon = {{0, 2000}, {0, 20 + i % 200}};

        OK(setitimer(ITIMER_REAL, &soon, NULL));
        FAILS(recv(fd, &byte, 1, 0), EINTR);
    }
    no_alarms();
    CHECK(seen >= 3000);
    peer("send 1 10 0");
    EQUAL(data_receive(fd, 10, 0, 0), 10);
}

/* Part of the data was taken before the signal came: the call says how much. */
static void partial_results(void)
{
    int fd = tcp_pair();
    static char buffer[40000000];

    data_fill(buffer, sizeof(buffer), 0);
    alarms(200, 0);
    ssize_t sent = send(fd, buffer, sizeof(buffer), 0);
    no_alarms();
    CHECK(sent > 0 && sent < (ssize_t)sizeof(buffer));
    peer("bg 1 receive 1 %zd 0", sent + 1);
    OK(shutdown(fd, SHUT_WR));
    EQUAL(peer("fin 1"), sent);
    peer("send 1 100 0");
    seen = 0;
    alarms(200, 0);
    EQUAL(recv(fd, buffer, 1000, MSG_WAITALL), 100);
    CHECK(seen >= 1);
}

static void receive_timeout(void)
{
    int fd = tcp_pair();
    struct timeval limit = {0, 100000};
    char buffer[100];

    OK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
    int64_t begin = now_ms();
    FAILS(recv(fd, buffer, 1, 0), EAGAIN);
    CHECK(now_ms() - begin >= 95);
    FAILS(read(fd, buffer, 1), EAGAIN);
    peer("send 1 10 0");
    EQUAL(recv(fd, buffer, 10, 0), 10);
    peer("send 1 10 0");
    begin = now_ms();
    EQUAL(recv(fd, buffer, 100, MSG_WAITALL), 10); /* what there is when the time is up */
    CHECK(now_ms() - begin >= 95);
    limit.tv_usec = 0;
    OK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
    peer("bg 1 later 200 send 1 10 0");
    EQUAL(recv(fd, buffer, 10, 0), 10);
}

static void send_timeout(void)
{
    int fd = tcp_pair();
    struct timeval limit = {0, 100000};
    static char buffer[30000000];

    OK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)));
    data_fill(buffer, sizeof(buffer), 0);
    int64_t begin = now_ms();
    ssize_t sent = send(fd, buffer, sizeof(buffer), 0);
    CHECK(now_ms() - begin >= 95);
    CHECK(sent > 0 && sent < (ssize_t)sizeof(buffer));
    ssize_t more;
    do {
        begin = now_ms();
        more = send(fd, buffer + sent, sizeof(buffer) - sent, 0);
        sent += more > 0 ? more : 0;
    } while (more > 0);
    CHECK(errno == EAGAIN);
    CHECK(now_ms() - begin >= 95);
    EQUAL(peer("receive 1 %zd 0", sent), sent);
}

/* The handler itself uses the socket that the interrupted call waits for. */
static void answer_in_handler(int number)
{
    (void)number;
    seen++;
    if (send(handler_fd, "from the handler", 16, 0) != 16)
        _exit(9);
}

static void handler_uses_socket(void)
{
    int fd = tcp_pair();
    struct sigaction action = {.sa_handler = answer_in_handler, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 5000}, {0, 20000}};
    char buffer[16];

    handler_fd = fd;
    peer("bg 1 echo 1");
    OK(sigaction(SIGALRM, &action, NULL));
    OK(setitimer(ITIMER_REAL, &often, NULL));
    for (int i = 0; i < 20; i++) {
        EQUAL(recv(fd, buffer, 16, MSG_WAITALL), 16);
        CHECK(!memcmp(buffer, "from the handler", 16));
    }
    CHECK(seen >= 20);
}

/* A handler that does not return: siglongjmp out of a blocking call. */
static void jump_away(int number)
{
    (void)number;
    siglongjmp(back, 1);
}

static void handler_jumps_away(void)
{
    int fd = tcp_pair();
    struct sigaction action = {.sa_handler = jump_away};
    struct itimerval soon = {.it_value = {0, 30000}};
    char buffer[10];

    OK(sigaction(SIGALRM, &action, NULL));
    for (volatile int i = 0; i < 5; i++) {
        if (sigsetjmp(back, 1) == 0) {
            OK(setitimer(ITIMER_REAL, &soon, NULL));
            recv(fd, buffer, 1, 0);
            FAIL("recv returned");
        }
        peer("send 1 10 0");
        EQUAL(data_receive(fd, 10, 0, 0), 10);
        EQUAL(data_send(fd, 10, 0, 0), 10);
        EQUAL(peer("receive 1 10 0"), 10);
    }
}

/* A storm of signals while data flows. */
static void signals_under_load(void)
{
    int fd = tcp_pair();
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 500}, {0, 500}};

    OK(sigaction(SIGALRM, &action, NULL));
    OK(setitimer(ITIMER_REAL, &often, NULL));
    peer("bg 1 send 1 20000000 0");
    peer("bg 2 receive 1 20000000 0");
    EQUAL(data_receive(fd, 20000000, 0, 0), 20000000);
    EQUAL(data_send(fd, 20000000, 0, 0), 20000000);
    often = (struct itimerval){0};
    OK(setitimer(ITIMER_REAL, &often, NULL));
    EQUAL(peer("fin 1"), 20000000);
    EQUAL(peer("fin 2"), 20000000);
    CHECK(seen > 0);
}

static void *signal_thread(void *argument)
{
    pthread_t *target = argument;

    sleep_ms(200);
    EQUAL(pthread_kill(*target, SIGUSR1), 0);
    return NULL;
}

/* A signal for one thread interrupts that one. */
static void to_one_thread(void)
{
    int fd = tcp_pair();
    struct sigaction action = {.sa_handler = on_signal};
    pthread_t self = pthread_self(), thread;
    char byte;

    OK(sigaction(SIGUSR1, &action, NULL));
    EQUAL(pthread_create(&thread, NULL, signal_thread, &self), 0);
    FAILS(recv(fd, &byte, 1, 0), EINTR); /* within the thread's 200 ms */
    EQUAL(pthread_join(thread, NULL), 0);
    EQUAL(seen, 1);
}

/* What sigaction tells is what was set, not what stands in between. */
static void handlers_read_back(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, old;
    char byte;
    int fd = tcp_pair();

    FAILS(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
    OK(sigaction(SIGUSR1, &action, NULL));
    OK(sigaction(SIGUSR1, NULL, &old));
    CHECK(old.sa_handler == on_signal);
    EQUAL(old.sa_flags & (SA_RESTART | SA_SIGINFO), SA_RESTART);
    CHECK(signal(SIGUSR1, SIG_IGN) == on_signal);
    CHECK(signal(SIGUSR1, SIG_DFL) == SIG_IGN);
    FAILS(sigaction(SIGKILL, &action, NULL), EINVAL);
}

/* A stopped and continued process goes on waiting. */
static void stopped_and_continued(void)
{
    peer_start();
    pid_t child = fork();

    if (child == 0) {
        int fd = tcp_pair();
        peer("bg 1 later 300 send 1 10 0");
        EQUAL(data_receive(fd, 10, 0, 0), 10);
        _exit(0);
    }
    sleep_ms(100);
    OK(kill(child, SIGSTOP));
    sleep_ms(50);
    OK(kill(child, SIGCONT));
    wait_child(child);
}

const struct api_case signal_cases[] = {
    {"signal.interrupts_receive", interrupts_receive, CASE_PAIR},
    {"signal.interrupts_datagrams", interrupts_datagrams},
    {"signal.restarts_receive", restarts_receive, CASE_PAIR},
    {"signal.no_restart_with_timeout", no_restart_with_timeout},
    {"signal.interrupts_accept", interrupts_accept},
    {"signal.interrupts_send", interrupts_send, CASE_PAIR},
    {"signal.interrupts_again_and_again", interrupts_again_and_again, .timeout_s = 30},
    {"signal.partial_results", partial_results, CASE_PAIR},
    {"signal.receive_timeout", receive_timeout, CASE_PAIR},
    {"signal.send_timeout", send_timeout, CASE_PAIR},
    {"signal.handler_uses_socket", handler_uses_socket, CASE_PAIR},
    {"signal.handler_jumps_away", handler_jumps_away},
    {"signal.signals_under_load", signals_under_load, CASE_PAIR},
    {"signal.to_one_thread", to_one_thread},
    {"signal.handlers_read_back", handlers_read_back},
    {"signal.stopped_and_continued", stopped_and_continued, CASE_PAIR},
    {0},
};
