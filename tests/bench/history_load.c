/* SPDX-License-Identifier: BSD-2-Clause */
/* Short connections at a steady rate, for tests/bench/history.
 * Usage: history_load server ADDRESS PORT
 *        history_load client ADDRESS PORT RATE SECONDS: prints how many connections there were, how many failed, and
 *        how many a second
 * The server closes first and the client answers with a reset, so that no end is left in TIME_WAIT. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "platform/platform.h"

#define MESSAGE  100
#define THREADS  4
#define SECOND   1000000000ull
#define PATIENCE 30 /* s */

static struct sockaddr_in address;
static uint64_t begin_ns, period_ns, per_thread;

static bool take(int fd)
{
    char bytes[MESSAGE];

    return recv(fd, bytes, sizeof bytes, MSG_WAITALL) == (ssize_t)sizeof bytes;
}

static bool give(int fd)
{
    const char bytes[MESSAGE] = {0};

    return send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) == (ssize_t)sizeof bytes;
}

static int serve(void)
{
    const int on = 1;
    int fd, listener = socket(AF_INET, SOCK_STREAM, 0);

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1024) < 0) {
        perror("history_load");
        close(listener);
        return 1;
    }
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        if (take(fd))
            give(fd);
        close(fd);
    }
    perror("history_load: accept");
    close(listener);
    return 1;
}

static bool exchange(void)
{
    const struct linger reset = {.l_onoff = 1};
    const struct timeval patience = {PATIENCE, 0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char end;
    bool good;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    good = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && give(fd) && take(fd) &&
           recv(fd, &end, 1, 0) == 0;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    return good;
}

/* Those of one thread; who is late makes up for it. */
static void *connect_all(void *argument)
{
    uint64_t failed = 0;

    for (uint64_t i = 0; i < per_thread; i++) {
        uint64_t due_ns = begin_ns + (i * THREADS + (uint64_t)(uintptr_t)argument) * period_ns;
        uint64_t now_ns = platform_now_ns();
        struct timespec pause = {.tv_nsec = 0};

        if (due_ns > now_ns) {
            pause.tv_sec = (time_t)((due_ns - now_ns) / SECOND);
            pause.tv_nsec = (long)((due_ns - now_ns) % SECOND);
            nanosleep(&pause, NULL);
        }
        failed += !exchange();
    }
    return (void *)(uintptr_t)failed;
}

static int run_client(uint64_t rate, uint64_t seconds)
{
    pthread_t threads[THREADS];
    uint64_t failed = 0, took_ns;

    period_ns = SECOND / rate;
    per_thread = rate * seconds / THREADS;
    begin_ns = platform_now_ns();
    for (uintptr_t i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, connect_all, (void *)i) != 0)
            abort();
    }
    for (int i = 0; i < THREADS; i++) {
        void *result;

        pthread_join(threads[i], &result);
        failed += (uintptr_t)result;
    }
    took_ns = platform_now_ns() - begin_ns;
    printf("%" PRIu64 " %" PRIu64 " %.1f\n", per_thread * THREADS, failed,
           (double)(per_thread * THREADS) * 1e9 / (double)took_ns);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 4 || inet_pton(AF_INET, argv[2], &address.sin_addr) != 1)
        return 2;
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)atoi(argv[3]));
    if (strcmp(argv[1], "server") == 0)
        return serve();
    return argc == 6 && atoi(argv[4]) > 0 ? run_client((uint64_t)atoi(argv[4]), (uint64_t)atoi(argv[5])) : 2;
}
