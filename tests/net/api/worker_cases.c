/* SPDX-License-Identifier: BSD-2-Clause */
/* Listeners that several processes share. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

#define WORKERS  4
#define REQUESTS 60

static int *served; /* by each worker; shared memory */

static void share_counts(void)
{
    served = mmap(NULL, WORKERS * sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(served != MAP_FAILED);
}

static void answer(int fd)
{
    char buffer[1000];
    ssize_t count;

    set_nonblocking(fd, false);
    while ((count = recv(fd, buffer, sizeof(buffer), 0)) > 0)
        EQUAL(send(fd, buffer, count, 0), count);
    close(fd);
}

/* REQUESTS connections of the peer, one after the other, a message over each. */
static void request_all(uint16_t port)
{
    for (int i = 0; i < REQUESTS; i++) {
        peer("dial 1 %s %u", api.self, port);
        EQUAL(peer("askall 1 1"), 1);
        peer("close 1");
    }
}

static void end_workers(pid_t *children)
{
    int total = 0, workers = 0, status;

    for (int i = 0; i < WORKERS; i++) {
        OK(kill(children[i], SIGTERM));
        EQUAL(waitpid(children[i], &status, 0), children[i]);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
        total += served[i];
        workers += served[i] > 0;
    }
    EQUAL(total, REQUESTS);
    CHECK(workers > 1);
}

/* Workers that block in accept. */
static void blocking_accept(void)
{
    uint16_t port;
    int listener = tcp_listener_unused(&port);
    pid_t children[WORKERS];

    share_counts();
    for (int i = 0; i < WORKERS; i++) {
        children[i] = OK(fork());
        while (children[i] == 0) {
            int fd = OK(accept(listener, NULL, NULL));
            served[i]++;
            answer(fd);
            sleep_ms(3);
        }
    }
    close(listener);
    request_all(port);
    end_workers(children);
}

/* Workers with an epoll each, as nginx has: made after the fork, the listener non-blocking. */
static void epoll_worker(int listener, int *count, uint32_t flags)
{
    int epoll = OK(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLIN | flags, .data.fd = listener};

    OK(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event));
    for (;;) {
        EQUAL(epoll_wait(epoll, &event, 1, -1), 1);
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0) {
            CHECK(errno == EAGAIN);
            continue;
        }
        (*count)++;
        answer(fd);
        sleep_ms(3);
    }
}

static void epoll_accept_with(uint32_t flags)
{
    uint16_t port;
    int listener = tcp_listener_unused(&port);
    pid_t children[WORKERS];

    share_counts();
    set_nonblocking(listener, true);
    for (int i = 0; i < WORKERS; i++) {
        children[i] = OK(fork());
        if (children[i] == 0)
            epoll_worker(listener, &served[i], flags);
    }
    request_all(port);
    end_workers(children);
}

static void epoll_accept(void)
{
    epoll_accept_with(0);
}

static void epoll_accept_exclusive(void)
{
    epoll_accept_with(EPOLLEXCLUSIVE);
}

/* Each worker has a listener of its own at the same port. */
static void reuse_port(void)
{
    union address self = to_self(0);
    int first = tcp_socket(); /* holds the port, does not listen */
    pid_t children[WORKERS];

    peer_start();
    share_counts();
    set_option(first, SOL_SOCKET, SO_REUSEPORT, 1);
    OK(bind(first, SA(&self)));
    self = to_self(local_port(first));
    int ready[2];
    OK(pipe(ready));
    for (int i = 0; i < WORKERS; i++) {
        children[i] = OK(fork());
        if (children[i])
            continue;
        close(first);
        int listener = tcp_socket();
        set_option(listener, SOL_SOCKET, SO_REUSEPORT, 1);
        OK(bind(listener, SA(&self)));
        OK(listen(listener, 64));
        EQUAL(write(ready[1], "x", 1), 1);
        for (;;) {
            int fd = OK(accept(listener, NULL, NULL));
            served[i]++;
            answer(fd);
        }
    }
    for (int i = 0; i < WORKERS; i++)
        EQUAL(read(ready[0], &(char){0}, 1), 1);
    request_all(address_port(&self));
    end_workers(children);
}

/* A worker is killed; the others go on serving. */
static void worker_killed(void)
{
    uint16_t port;
    int listener = tcp_listener_unused(&port), status;
    pid_t children[2];

    share_counts();
    for (int i = 0; i < 2; i++) {
        children[i] = OK(fork());
        while (children[i] == 0) {
            int fd = OK(accept(listener, NULL, NULL));
            served[i]++;
            answer(fd);
        }
    }
    close(listener);
    for (int i = 0; i < 10; i++) {
        peer("dial 1 %s %u", api.self, port);
        EQUAL(peer("askall 1 1"), 1);
        peer("close 1");
    }
    OK(kill(children[0], SIGKILL));
    EQUAL(waitpid(children[0], &status, 0), children[0]);
    sleep_ms(150); /* until what it had taken on is forgotten */
    for (int i = 0; i < 20; i++) {
        peer("dial 1 %s %u", api.self, port);
        EQUAL(peer("askall 1 1"), 1);
        peer("close 1");
    }
    CHECK(served[1] >= 20);
    OK(kill(children[1], SIGTERM));
    EQUAL(waitpid(children[1], &status, 0), children[1]);
}

/* The parent accepts as well, before and after the fork. */
static void parent_and_child_accept(void)
{
    uint16_t port;
    int listener = tcp_listener(&port);
    struct pollfd wait = {listener, POLLIN, 0};

    share_counts();
    set_nonblocking(listener, true);
    peer("dial 1 %s %u", api.self, port);
    peer("send 1 10 0");
    EQUAL(poll_one(listener, POLLIN, 3000), POLLIN);
    int fd = OK(accept(listener, NULL, NULL));
    set_nonblocking(fd, false);
    EQUAL(data_receive(fd, 10, 0, 0), 10);
    peer_start();
    pid_t child = fork();
    while (child == 0) {
        OK(poll(&wait, 1, -1));
        int own = accept(listener, NULL, NULL);
        if (own < 0)
            continue;
        served[1]++;
        answer(own);
    }
    peer("bg 1 dialall 100 20 %s %u", api.self, port);
    for (int64_t end = now_ms() + 1000; now_ms() < end && served[0] + served[1] < 20;) {
        int own = poll_one(listener, POLLIN, 10) ? accept(listener, NULL, NULL) : -1;
        if (own < 0)
            continue;
        served[0]++;
        set_nonblocking(own, false);
        EQUAL(data_send(own, 10, 0, 0), 10);
        close(own);
    }
    peer("fin 1");
    EQUAL(data_send(fd, 10, 0, 0), 10);
    EQUAL(peer("receive 1 10 0"), 10);
    kill(child, SIGKILL);
    EQUAL(waitpid(child, NULL, 0), child);
    CHECK(served[0] + served[1] >= 1);
}

/* Connections that wait in the queue at the time of fork can be accepted by the child. */
static void pending_with(int listener, uint16_t port)
{
    for (int i = 0; i < 3; i++) {
        peer("dial %d %s %u", i, api.self, port);
        peer("send %d 10 0", i);
    }
    sleep_ms(20);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 3; i++) {
            int fd = OK(accept(listener, NULL, NULL));
            EQUAL(data_receive(fd, 10, 0, 0), 10);
            EQUAL(data_send(fd, 10, 0, 0), 10);
        }
        _exit(0);
    }
    close(listener);
    wait_child(child);
    for (int i = 0; i < 3; i++)
        EQUAL(peer("receive %d 10 0", i), 10);
}

static void pending_at_fork(void)
{
    uint16_t port;
    int listener = tcp_listener_unused(&port);

    pending_with(listener, port);
}

/* The same with a listener that the parent has looked at before. */
static void pending_at_fork_used(void)
{
    uint16_t port;
    int listener = tcp_listener(&port);

    pending_with(listener, port);
}

const struct api_case worker_cases[] = {
    {"worker.blocking_accept", blocking_accept},
    {"worker.epoll_accept", epoll_accept},
    {"worker.epoll_accept_exclusive", epoll_accept_exclusive},
    {"worker.reuse_port", reuse_port},
    {"worker.worker_killed", worker_killed},
    {"worker.parent_and_child_accept", parent_and_child_accept},
    {"worker.pending_at_fork", pending_at_fork},
    {"worker.pending_at_fork_used", pending_at_fork_used},
    {0},
};
