/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads that share sockets. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

#define THREADS 4

struct receiver {
    int fd;
    ssize_t result;
    int error;
    char buffer[100];
    size_t total;
};

static void *receive_once(void *argument)
{
    struct receiver *receiver = argument;

    receiver->result = recv(receiver->fd, receiver->buffer, sizeof(receiver->buffer), 0);
    receiver->error = receiver->result < 0 ? errno : 0;
    return NULL;
}

static void *receive_until_end(void *argument)
{
    struct receiver *receiver = argument;
    ssize_t count;

    while ((count = recv(receiver->fd, receiver->buffer, sizeof(receiver->buffer), 0)) > 0)
        receiver->total += count;
    receiver->result = count;
    return NULL;
}

static void *send_stream(void *argument)
{
    return (void *)data_send(*(int *)argument, 3000000, 0, 0);
}

/* One thread sends while another receives. */
static void one_sends_one_receives(void)
{
    int fd = tcp_pair();
    pthread_t thread;
    void *result;

    peer("bg 1 echo 1");
    EQUAL(pthread_create(&thread, NULL, send_stream, &fd), 0);
    EQUAL(data_receive(fd, 3000000, 0, 0), 3000000);
    EQUAL(pthread_join(thread, &result), 0);
    EQUAL((long)result, 3000000);
    OK(shutdown(fd, SHUT_WR));
    EQUAL(peer("fin 1"), 3000000);
}

/* Several threads receive: each byte goes to one of them, and all learn of the end. */
static void several_receive(void)
{
    static struct receiver receivers[THREADS];
    int fd = tcp_pair();
    pthread_t threads[THREADS];
    size_t total = 0;

    for (int i = 0; i < THREADS; i++) {
        receivers[i].fd = fd;
        EQUAL(pthread_create(&threads[i], NULL, receive_until_end, &receivers[i]), 0);
    }
    EQUAL(peer("send 1 500000 0 333"), 500000);
    peer("shutdown 1 w");
    for (int i = 0; i < THREADS; i++) {
        EQUAL(pthread_join(threads[i], NULL), 0);
        EQUAL(receivers[i].result, 0);
        total += receivers[i].total;
    }
    EQUAL(total, 500000);
}

#define MESSAGE  40
#define MESSAGES 150 /* so few that no call has to wait for room half-way, where the kernel lets others in */

static void *send_messages(void *argument)
{
    char message[MESSAGE];
    static atomic_int identity;

    memset(message, 'a' + identity++, sizeof(message));
    for (int i = 0; i < MESSAGES; i++)
        EQUAL(send(*(int *)argument, message, sizeof(message), 0), MESSAGE);
    return NULL;
}

/* Several threads send: no call's bytes are mixed with another's. */
static void several_send(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    int fd = tcp_socket(), seen[THREADS] = {0};
    pthread_t threads[THREADS];
    char message[MESSAGE];

    connect_to(fd, port);
    peer("accept 0 1");
    peer("bg 1 echo 1");
    for (int i = 0; i < THREADS; i++)
        EQUAL(pthread_create(&threads[i], NULL, send_messages, &fd), 0);
    for (int i = 0; i < THREADS * MESSAGES; i++) {
        EQUAL(recv(fd, message, MESSAGE, MSG_WAITALL), MESSAGE);
        for (int j = 1; j < MESSAGE; j++)
            CHECK(message[j] == message[0]);
        CHECK(message[0] >= 'a' && message[0] < 'a' + THREADS);
        seen[message[0] - 'a']++;
    }
    for (int i = 0; i < THREADS; i++) {
        EQUAL(pthread_join(threads[i], NULL), 0);
        EQUAL(seen[i], MESSAGES);
    }
}

/* shutdown wakes a thread that is blocked in recv. */
static void shutdown_wakes(void)
{
    struct receiver receiver = {tcp_pair(), 7, 7, "", 0};
    pthread_t thread;

    EQUAL(pthread_create(&thread, NULL, receive_once, &receiver), 0);
    sleep_ms(50);
    OK(shutdown(receiver.fd, SHUT_RDWR));
    EQUAL(pthread_join(thread, NULL), 0);
    EQUAL(receiver.result, 0);
    EQUAL(peer("eof 1"), 0);
}

static void shutdown_wakes_datagrams(void)
{
    struct receiver receiver = {udp_pair(), 7, 7, "", 0};
    pthread_t thread;

    EQUAL(pthread_create(&thread, NULL, receive_once, &receiver), 0);
    sleep_ms(50);
    OK(shutdown(receiver.fd, SHUT_RD));
    EQUAL(pthread_join(thread, NULL), 0);
    EQUAL(receiver.result, 0);
}

static void *accept_once(void *argument)
{
    struct receiver *receiver = argument;

    receiver->result = accept(receiver->fd, NULL, NULL);
    receiver->error = receiver->result < 0 ? errno : 0;
    return NULL;
}

static void shutdown_wakes_accept(void)
{
    uint16_t port;
    struct receiver receiver = {tcp_listener(&port), 7, 7, "", 0};
    pthread_t thread;

    EQUAL(pthread_create(&thread, NULL, accept_once, &receiver), 0);
    sleep_ms(50);
    OK(shutdown(receiver.fd, SHUT_RD));
    EQUAL(pthread_join(thread, NULL), 0);
    EQUAL(receiver.result, -1);
    EQUAL(receiver.error, EINVAL);
}

/* close does not wake a receiver: its call holds the socket open, still gets what comes, and the end comes after it. */
static void close_while_receiving(void)
{
    struct receiver receiver = {tcp_pair(), 7, 7, "", 0};
    pthread_t thread;

    EQUAL(pthread_create(&thread, NULL, receive_once, &receiver), 0);
    sleep_ms(50);
    OK(close(receiver.fd));
    EQUAL(peer("wait 1 %d 50", POLLIN | POLLRDHUP), 0); /* not closed for the peer either */
    peer("send 1 10 0");
    EQUAL(pthread_join(thread, NULL), 0);
    EQUAL(receiver.result, 10);
    CHECK(data_is(receiver.buffer, 10, 0));
    EQUAL(peer("eof 1"), 0);
}

/* The number may be used again at once; the receiver stays with the old socket. */
static void close_and_reuse_number(void)
{
    struct receiver receiver = {tcp_pair(), 7, 7, "", 0};
    pthread_t thread;

    EQUAL(pthread_create(&thread, NULL, receive_once, &receiver), 0);
    sleep_ms(50);
    OK(close(receiver.fd));
    int again = udp_bound();
    EQUAL(again, receiver.fd);
    peer("udp 3");
    peer("sendto 3 20 0 %s %u", api.self, local_port(again));
    char buffer[100];
    EQUAL(recv(again, buffer, 100, 0), 20);
    peer("send 1 10 0");
    EQUAL(pthread_join(thread, NULL), 0);
    EQUAL(receiver.result, 10);
}

static void *poll_once(void *argument)
{
    struct receiver *receiver = argument;

    receiver->result = poll_one(receiver->fd, POLLIN, 300);
    return NULL;
}

static void close_while_polling(void)
{
    struct receiver receiver = {tcp_pair(), 7, 7, "", 0};
    pthread_t thread;

    EQUAL(pthread_create(&thread, NULL, poll_once, &receiver), 0);
    sleep_ms(30);
    OK(close(receiver.fd));
    EQUAL(pthread_join(thread, NULL), 0); /* whatever it says: it ends, and the process is well */
    int fd = udp_bound();
    peer("udp 3");
    peer("sendto 3 20 0 %s %u", api.self, local_port(fd));
    EQUAL(recv(fd, receiver.buffer, 100, 0), 20);
}

static void *connection_worker(void *argument)
{
    uint16_t port = *(uint16_t *)argument;

    for (int i = 0; i < 20; i++) {
        int fd = tcp_socket();
        connect_to(fd, port);
        EQUAL(data_send(fd, 2000, i, 0), 2000);
        EQUAL(data_receive(fd, 2000, i, 0), 2000);
        EQUAL(close(fd), 0);
    }
    return NULL;
}

/* Threads with connections of their own. */
static void own_connections(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    pthread_t threads[8];

    peer("bg 1 serve 0");
    for (int i = 0; i < 8; i++)
        EQUAL(pthread_create(&threads[i], NULL, connection_worker, &port), 0);
    for (int i = 0; i < 8; i++)
        EQUAL(pthread_join(threads[i], NULL), 0);
}

static void *serve_connections(void *argument)
{
    int listener = *(int *)argument;
    char buffer[1000];
    ssize_t count;

    for (int i = 0; i < 10; i++) {
        int fd = OK(accept(listener, NULL, NULL));
        while ((count = recv(fd, buffer, sizeof(buffer), 0)) > 0)
            EQUAL(send(fd, buffer, count, 0), count);
        EQUAL(close(fd), 0);
    }
    return NULL;
}

/* Threads that share a listener. */
static void share_listener(void)
{
    uint16_t port;
    int listener = tcp_listener(&port);
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        EQUAL(pthread_create(&threads[i], NULL, serve_connections, &listener), 0);
    for (int round = 0; round < 10; round++) {
        EQUAL(peer("dialall 0 %d %s %u", THREADS, api.self, port), THREADS);
        for (int i = 0; i < THREADS; i++) /* a waiting thread serves each, in whatever order */
            EQUAL(peer("askall %d 1", i), 1);
        for (int i = 0; i < THREADS; i++)
            peer("close %d", i);
    }
    for (int i = 0; i < THREADS; i++)
        EQUAL(pthread_join(threads[i], NULL), 0);
}

/* Threads that come and go, each using a socket of another's. */
static void *use_once(void *argument)
{
    int fd = *(int *)argument;

    EQUAL(data_send(fd, 100, 0, 0), 100);
    EQUAL(data_receive(fd, 100, 0, 0), 100);
    return NULL;
}

static void short_lived(void)
{
    int fd = tcp_pair();

    peer("bg 1 echo 1");
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        EQUAL(pthread_create(&thread, NULL, use_once, &fd), 0);
        EQUAL(pthread_join(thread, NULL), 0);
    }
}

/* A thread is cancelled while it waits. */
static void cancelled(void)
{
    struct receiver receiver = {tcp_pair(), 7, 7, "", 0};
    pthread_t thread;
    void *result;

    EQUAL(pthread_create(&thread, NULL, receive_once, &receiver), 0);
    sleep_ms(50);
    EQUAL(pthread_cancel(thread), 0);
    EQUAL(pthread_join(thread, &result), 0);
    CHECK(result == PTHREAD_CANCELED);
    peer("bg 1 echo 1");
    use_once(&receiver.fd);
}

/* fork in a thread while others are inside socket calls. */
static void fork_beside_threads(void)
{
    static struct receiver receivers[THREADS];
    pthread_t threads[THREADS];
    int fd = tcp_pair();

    for (int i = 0; i < THREADS; i++) {
        receivers[i].fd = udp_bound();
        EQUAL(pthread_create(&threads[i], NULL, receive_once, &receivers[i]), 0);
    }
    sleep_ms(30);
    peer("bg 1 echo 1");
    for (int i = 0; i < 5; i++) {
        pid_t child = fork();
        if (child == 0) {
            int own = udp_socket();
            union address server = to_server(9);
            EQUAL(sendto(own, "x", 1, 0, SA(&server)), 1);
            _exit(0);
        }
        use_once(&fd);
        wait_child(child);
    }
    peer("udp 3");
    for (int i = 0; i < THREADS; i++) {
        peer("sendto 3 %d 0 %s %u", 10 + i, api.self, local_port(receivers[i].fd));
        EQUAL(pthread_join(threads[i], NULL), 0);
        EQUAL(receivers[i].result, 10 + i);
    }
}

/* One thread sleeps in a call for a silent connection; what another one sends is repeated in time when it is lost (with
 * 56_api_timers.sh, otherwise there is little to see), although nobody of the program is awake then. */
#define LATE_MS 250

static void *wait_for_end(void *argument)
{
    char byte;

    EQUAL(recv(*(int *)argument, &byte, 1, 0), 0);
    return NULL;
}

static void timers_beside_a_sleeper(void)
{
    int silent = tcp_pair(), late = 0;
    pthread_t thread;

    EQUAL(pthread_create(&thread, NULL, wait_for_end, &silent), 0);
    uint16_t port = peer("server 0 %s", api.server);
    int fd = tcp_socket();
    connect_to(fd, port);
    peer("accept 0 2");
    peer("bg 1 echo 2");
    for (int i = 0; i < 150; i++) {
        int64_t begin = now_ms();

        EQUAL(data_send(fd, 100, i * 100, 0), 100);
        EQUAL(data_receive(fd, 100, i * 100, 0), 100);
        late += now_ms() - begin > LATE_MS;
        sleep_ms(10);
    }
    CHECK(late <= 3); /* several losses in a row */
    peer("close 1");
    EQUAL(pthread_join(thread, NULL), 0);
}

const struct api_case thread_cases[] = {
    {"thread.one_sends_one_receives", one_sends_one_receives, CASE_PAIR},
    {"thread.several_receive", several_receive, CASE_PAIR},
    {"thread.several_send", several_send},
    {"thread.shutdown_wakes", shutdown_wakes, CASE_PAIR},
    {"thread.shutdown_wakes_datagrams", shutdown_wakes_datagrams},
    {"thread.shutdown_wakes_accept", shutdown_wakes_accept},
    {"thread.close_while_receiving", close_while_receiving, CASE_PAIR},
    {"thread.close_and_reuse_number", close_and_reuse_number},
    {"thread.close_while_polling", close_while_polling},
    {"thread.own_connections", own_connections},
    {"thread.share_listener", share_listener},
    {"thread.short_lived", short_lived},
    {"thread.cancelled", cancelled, CASE_PAIR},
    {"thread.timers_beside_a_sleeper", timers_beside_a_sleeper, CASE_PAIR, .timeout_s = 60},
    {"thread.fork_beside_threads", fork_beside_threads},
    {0},
};
