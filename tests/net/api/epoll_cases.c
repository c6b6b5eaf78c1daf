/* SPDX-License-Identifier: BSD-2-Clause */
/* epoll on sockets. */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

static int watch(int epoll, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};

    return epoll_ctl(epoll, operation, fd, &event);
}

/* The events of fd, which must be the only ones; 0: none within timeout_ms. */
static uint32_t wait_one(int epoll, int fd, int timeout_ms)
{
    struct epoll_event events[8];
    int count = OK(epoll_wait(epoll, events, 8, timeout_ms));

    if (count == 0)
        return 0;
    EQUAL(count, 1);
    EQUAL(events[0].data.fd, fd);
    return events[0].events;
}

static int epoll_of(int fd, uint32_t events)
{
    int epoll = OK(epoll_create1(EPOLL_CLOEXEC));

    OK(watch(epoll, EPOLL_CTL_ADD, fd, events));
    return epoll;
}

static void arrived(int fd, int length)
{
    int now = 0;

    EVENTUALLY((OK(ioctl(fd, FIONREAD, &now)), now >= length));
}

static void level(void)
{
    int fd = tcp_pair(), epoll = epoll_of(fd, EPOLLIN);

    EQUAL(wait_one(epoll, fd, 20), 0);
    peer("send 1 20 0");
    arrived(fd, 20);
    for (int i = 0; i < 3; i++)
        EQUAL(wait_one(epoll, fd, 3000), EPOLLIN);
    EQUAL(data_receive(fd, 10, 0, 0), 10);
    EQUAL(wait_one(epoll, fd, 0), EPOLLIN);
    EQUAL(data_receive(fd, 10, 10, 0), 10);
    EQUAL(wait_one(epoll, fd, 0), 0);
    OK(watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT));
    EQUAL(wait_one(epoll, fd, 0), EPOLLOUT);
}

static void edge(void)
{
    int fd = tcp_pair(), epoll = epoll_of(fd, EPOLLIN | EPOLLET);

    peer("send 1 20 0");
    EQUAL(wait_one(epoll, fd, 3000), EPOLLIN);
    arrived(fd, 20);
    wait_one(epoll, fd, 0);
    EQUAL(wait_one(epoll, fd, 20), 0); /* nothing new, though there is data */
    EQUAL(data_receive(fd, 10, 0, 0), 10);
    EQUAL(wait_one(epoll, fd, 20), 0);
    peer("send 1 10 20");
    EQUAL(wait_one(epoll, fd, 3000), EPOLLIN); /* more came */
    EQUAL(data_receive(fd, 20, 10, 0), 20);
    EQUAL(wait_one(epoll, fd, 20), 0);
    peer("shutdown 1 w");
    EQUAL(wait_one(epoll, fd, 3000), EPOLLIN);
    EQUAL(wait_one(epoll, fd, 20), 0);
}

static void edge_ready_when_added(void)
{
    int fd = tcp_pair();

    peer("send 1 20 0");
    arrived(fd, 20);
    int epoll = epoll_of(fd, EPOLLIN | EPOLLOUT | EPOLLET);
    EQUAL(wait_one(epoll, fd, 3000), EPOLLIN | EPOLLOUT);
    EQUAL(wait_one(epoll, fd, 20), 0);
    OK(watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT | EPOLLET)); /* MOD looks again */
    EQUAL(wait_one(epoll, fd, 3000), EPOLLIN | EPOLLOUT);
}

/* Read until EAGAIN, the way edge-triggered programs do, while the peer keeps sending. */
static void edge_stream(void)
{
    int fd = tcp_pair(), epoll = epoll_of(fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
    size_t offset = 0;
    char buffer[3000];
    ssize_t count = 1;

    set_nonblocking(fd, true);
    peer("bg 1 send 1 5000000 0");
    while (offset < 5000000) {
        CHECK(wait_one(epoll, fd, 5000));
        while ((count = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
            CHECK(data_is(buffer, count, offset));
            offset += count;
        }
        CHECK(errno == EAGAIN);
    }
    EQUAL(peer("fin 1"), 5000000);
}

static void edge_output(void)
{
    int fd = tcp_pair(), epoll = epoll_of(fd, EPOLLOUT | EPOLLET);
    char buffer[50000];
    size_t offset = 0;

    set_nonblocking(fd, true);
    peer("bg 1 receive 1 20000000 0");
    while (offset < 20000000) {
        size_t length = 20000000 - offset < sizeof(buffer) ? 20000000 - offset : sizeof(buffer);
        data_fill(buffer, length, offset);
        ssize_t count = send(fd, buffer, length, 0);
        CHECK(count > 0 || errno == EAGAIN);
        if (count > 0)
            offset += count;
        else
            CHECK(wait_one(epoll, fd, 5000) & EPOLLOUT);
    }
    EQUAL(peer("fin 1"), 20000000);
}

static void one_shot(void)
{
    int fd = tcp_pair(), epoll = epoll_of(fd, EPOLLIN | EPOLLONESHOT);

    peer("send 1 20 0");
    EQUAL(wait_one(epoll, fd, 3000), EPOLLIN);
    EQUAL(wait_one(epoll, fd, 20), 0);
    peer("send 1 20 20");
    EQUAL(wait_one(epoll, fd, 20), 0);
    FAILS(watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN), EEXIST); /* still a member */
    OK(watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT));
    EQUAL(wait_one(epoll, fd, 3000), EPOLLIN);
    EQUAL(wait_one(epoll, fd, 20), 0);
    peer("reset 1");
    EQUAL(wait_one(epoll, fd, 50), 0); /* not even errors */
}

static void output_after_full(void)
{
    int fd = tcp_pair(), epoll = epoll_of(fd, EPOLLOUT);
    char buffer[10000] = {0};
    size_t total = 0;
    ssize_t count;

    EQUAL(wait_one(epoll, fd, 0), EPOLLOUT);
    do {
        data_fill(buffer, sizeof(buffer), total);
        count = send(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        total += count > 0 ? count : 0;
    } while (count > 0 || wait_one(epoll, fd, 100));
    EQUAL(wait_one(epoll, fd, 0), 0);
    EQUAL(peer("receive 1 %zu 0", total), total);
    EQUAL(wait_one(epoll, fd, 3000), EPOLLOUT);
}

static void hang_up(void)
{
    int fd = tcp_pair(), epoll = epoll_of(fd, EPOLLIN | EPOLLRDHUP);

    peer("shutdown 1 w");
    EQUAL(wait_one(epoll, fd, 3000), EPOLLIN | EPOLLRDHUP);
    OK(watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN));
    EQUAL(wait_one(epoll, fd, 0), EPOLLIN);
    OK(shutdown(fd, SHUT_WR));
    OK(watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLRDHUP | EPOLLOUT));
    EVENTUALLY(wait_one(epoll, fd, 100) == (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP));
}

static void reset(void)
{
    int fd = tcp_pair(), epoll = epoll_of(fd, 0);

    peer("reset 1");
    EQUAL(wait_one(epoll, fd, 3000), EPOLLERR | EPOLLHUP); /* always reported */
    EQUAL(get_option(fd, SOL_SOCKET, SO_ERROR), ECONNRESET);
    EQUAL(wait_one(epoll, fd, 0), EPOLLHUP);
}

static void connecting(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    union address server = to_server(port);
    int fd = tcp_socket(), epoll = epoll_of(fd, EPOLLOUT | EPOLLIN | EPOLLET);

    EQUAL(wait_one(epoll, fd, 0), EPOLLOUT | EPOLLHUP); /* not connected */
    set_nonblocking(fd, true);
    FAILS(connect(fd, SA(&server)), EINPROGRESS);
    EQUAL(wait_one(epoll, fd, 3000), EPOLLOUT);
    EQUAL(get_option(fd, SOL_SOCKET, SO_ERROR), 0);
    peer("accept 0 1");
    peer("send 1 10 0");
    EQUAL(wait_one(epoll, fd, 3000), EPOLLIN | EPOLLOUT);
}

static void added_while_connecting(void)
{
    uint16_t port = peer("server 9 %s", api.server);
    union address server = to_server(port);

    peer("close 9");
    int fd = tcp_socket();
    set_nonblocking(fd, true);
    FAILS(connect(fd, SA(&server)), EINPROGRESS);
    int epoll = epoll_of(fd, EPOLLOUT);
    CHECK(wait_one(epoll, fd, 3000) & EPOLLERR);
    EQUAL(get_option(fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
}

static void listener(void)
{
    uint16_t port;
    int fd = tcp_listener(&port), epoll = epoll_of(fd, EPOLLIN);

    EQUAL(wait_one(epoll, fd, 10), 0);
    peer("bg 1 later 20 dial 1 %s %u", api.self, port);
    EQUAL(wait_one(epoll, fd, 5000), EPOLLIN);
    EQUAL(wait_one(epoll, fd, 5000), EPOLLIN);
    OK(accept(fd, NULL, NULL));
    EQUAL(wait_one(epoll, fd, 10), 0);
    OK(watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET));
    for (int i = 0; i < 5; i++) {
        peer("dial %d %s %u", i, api.self, port);
        EQUAL(wait_one(epoll, fd, 3000), EPOLLIN); /* each one is an edge, though none is accepted */
    }
    EQUAL(wait_one(epoll, fd, 10), 0);
}

/* Watched before bind and listen. */
static void listener_added_early(void)
{
    int fd = tcp_socket(), epoll = epoll_of(fd, EPOLLIN | EPOLLET);
    union address self = to_self(0);

    OK(bind(fd, SA(&self)));
    OK(listen(fd, 5));
    while (wait_one(epoll, fd, 10))
        ;
    peer("dial 1 %s %u", api.self, local_port(fd));
    EQUAL(wait_one(epoll, fd, 3000), EPOLLIN);
}

static void datagrams(void)
{
    int fd = udp_pair(), epoll = epoll_of(fd, EPOLLIN | EPOLLET);
    char buffer[100];

    for (int i = 0; i < 5; i++) {
        peer("sendto 1 10 0 %s %u", api.self, local_port(fd));
        EQUAL(wait_one(epoll, fd, 3000), EPOLLIN); /* each one is an edge */
    }
    EQUAL(wait_one(epoll, fd, 20), 0);
    for (int i = 0; i < 5; i++)
        EQUAL(recv(fd, buffer, 100, 0), 10);
    OK(watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT));
    EQUAL(wait_one(epoll, fd, 0), EPOLLOUT);
}

static void errors(void)
{
    int fd = tcp_pair(), epoll = OK(epoll_create1(0)), closed = OK(dup(fd)),
        file = OK(open("/proc/self/exe", O_RDONLY));
    struct epoll_event event = {.events = EPOLLIN};

    close(closed);
    FAILS(watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN), ENOENT);
    FAILS(watch(epoll, EPOLL_CTL_DEL, fd, 0), ENOENT);
    OK(watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN));
    FAILS(watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN), EEXIST);
    OK(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL));
    FAILS(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL), ENOENT);
    FAILS(watch(epoll, EPOLL_CTL_ADD, closed, EPOLLIN), EBADF);
    FAILS(watch(epoll, EPOLL_CTL_ADD, epoll, EPOLLIN), EINVAL);
    FAILS(watch(epoll, EPOLL_CTL_ADD, file, EPOLLIN), EPERM);
    FAILS(watch(fd, EPOLL_CTL_ADD, fd, EPOLLIN), EINVAL);
    FAILS(watch(closed, EPOLL_CTL_ADD, fd, EPOLLIN), EBADF);
    FAILS(watch(epoll, 99, fd, EPOLLIN), EINVAL);
    FAILS(epoll_wait(epoll, &event, 0, 0), EINVAL);
    volatile int negative = -1; /* hidden from the compiler, which warns */
    FAILS(epoll_wait(epoll, &event, negative, 0), EINVAL);
    FAILS(epoll_wait(fd, &event, 1, 0), EINVAL);
    FAILS(epoll_wait(closed, &event, 1, 0), EBADF);
    FAILS(watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT), EINVAL);
    OK(watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE));
    FAILS(watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN), EINVAL);
}

/* The user's 64 bits come back unchanged. */
static void user_data(void)
{
    int fd = tcp_pair(), epoll = OK(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLOUT, .data.u64 = 0xfedcba9876543210}, got[2];

    OK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
    EQUAL(epoll_wait(epoll, got, 2, 0), 1);
    CHECK(got[0].data.u64 == 0xfedcba9876543210);
    event.data.u64 = 7;
    OK(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event));
    EQUAL(epoll_wait(epoll, got, 2, 0), 1);
    CHECK(got[0].data.u64 == 7);
}

/* A closed socket is no member any more; the number may come again as another socket. */
static void closed_is_removed(void)
{
    int fd = tcp_pair(), epoll = epoll_of(fd, EPOLLIN | EPOLLOUT);

    peer("send 1 10 0");
    close(fd);
    EQUAL(wait_one(epoll, fd, 20), 0);
    int again = udp_bound();
    EQUAL(again, fd);
    EQUAL(wait_one(epoll, fd, 20), 0);
    FAILS(watch(epoll, EPOLL_CTL_MOD, again, EPOLLIN), ENOENT);
    OK(watch(epoll, EPOLL_CTL_ADD, again, EPOLLOUT));
    EQUAL(wait_one(epoll, again, 20), EPOLLOUT);
}

/* Membership belongs to the open file: it goes on as long as any descriptor of it exists. */
static void duplicate_keeps_it(void)
{
    int fd = tcp_pair(), epoll = epoll_of(fd, EPOLLIN), copy = OK(dup(fd));

    close(fd);
    peer("send 1 10 0");
    EQUAL(wait_one(epoll, fd, 3000), EPOLLIN);
    EQUAL(data_receive(copy, 10, 0, 0), 10);
    EQUAL(wait_one(epoll, fd, 10), 0);
    close(copy);
    EQUAL(wait_one(epoll, fd, 20), 0);
}

/* Descriptor and its duplicate are two members. */
static void duplicate_is_another(void)
{
    int fd = tcp_pair(), epoll = epoll_of(fd, EPOLLIN), copy = OK(dup(fd));
    struct epoll_event events[4];

    OK(watch(epoll, EPOLL_CTL_ADD, copy, EPOLLIN | EPOLLOUT));
    EQUAL(wait_one(epoll, copy, 100), EPOLLOUT);
    peer("send 1 10 0");
    EVENTUALLY(OK(epoll_wait(epoll, events, 4, 3000)) == 2);
    OK(watch(epoll, EPOLL_CTL_DEL, copy, 0));
    EQUAL(wait_one(epoll, fd, 100), EPOLLIN);
}

/* One socket in two epolls. */
static void two_epolls(void)
{
    int fd = tcp_pair(), first = epoll_of(fd, EPOLLIN), second = epoll_of(fd, EPOLLIN | EPOLLET);

    peer("send 1 10 0");
    EQUAL(wait_one(first, fd, 3000), EPOLLIN);
    EQUAL(wait_one(second, fd, 3000), EPOLLIN);
    EQUAL(wait_one(first, fd, 0), EPOLLIN);
    EQUAL(wait_one(second, fd, 20), 0);
}

/* With fewer places than ready sockets, each gets its turn. */
static void fairness(void)
{
    int epoll = OK(epoll_create1(0)), seen[20] = {0}, fd[20];
    struct epoll_event event = {.events = EPOLLOUT}, events[4];

    for (int i = 0; i < 20; i++) {
        fd[i] = udp_bound();
        event.data.u32 = i;
        OK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd[i], &event));
    }
    for (int round = 0; round < 10; round++) {
        EQUAL(epoll_wait(epoll, events, 4, 0), 4);
        for (int i = 0; i < 4; i++)
            seen[events[i].data.u32]++;
    }
    for (int i = 0; i < 20; i++)
        EQUAL(seen[i], 2);
}

static void remove_then_add(void)
{
    int fd = tcp_pair(), epoll = epoll_of(fd, EPOLLIN);

    peer("send 1 10 0");
    arrived(fd, 10);
    OK(watch(epoll, EPOLL_CTL_DEL, fd, 0));
    EQUAL(wait_one(epoll, fd, 20), 0);
    OK(watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET));
    EQUAL(wait_one(epoll, fd, 3000), EPOLLIN);
    EQUAL(wait_one(epoll, fd, 20), 0);
}

const struct api_case epoll_cases[] = {
    {"epoll.level", level, CASE_PAIR},
    {"epoll.edge", edge, CASE_PAIR},
    {"epoll.edge_ready_when_added", edge_ready_when_added, CASE_PAIR},
    {"epoll.edge_stream", edge_stream, CASE_PAIR},
    {"epoll.edge_output", edge_output, CASE_PAIR},
    {"epoll.one_shot", one_shot, CASE_PAIR},
    {"epoll.output_after_full", output_after_full, CASE_PAIR},
    {"epoll.hang_up", hang_up, CASE_PAIR},
    {"epoll.reset", reset, CASE_PAIR},
    {"epoll.connecting", connecting},
    {"epoll.added_while_connecting", added_while_connecting},
    {"epoll.listener", listener},
    {"epoll.listener_added_early", listener_added_early},
    {"epoll.datagrams", datagrams},
    {"epoll.errors", errors},
    {"epoll.user_data", user_data},
    {"epoll.closed_is_removed", closed_is_removed, CASE_PAIR},
    {"epoll.duplicate_keeps_it", duplicate_keeps_it},
    {"epoll.duplicate_is_another", duplicate_is_another},
    {"epoll.two_epolls", two_epolls},
    {"epoll.fairness", fairness},
    {"epoll.remove_then_add", remove_then_add},
    {0},
};
