/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/closer.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_THREADS 64
#define STACK_BYTES 65536

static atomic_uint threads;
static unsigned abandoned;

unsigned closer_abandoned(void)
{
    return abandoned;
}

static bool inet_socket_may_linger(int fd)
{
    struct tcp_info info;
    struct linger linger = {0, 0};
    socklen_t length = sizeof(linger);

    if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length) < 0 || !linger.l_onoff || linger.l_linger == 0)
        return false;
    memset(&info, 0, sizeof(info));
    length = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
        return false; /* UDP */
    return info.tcpi_state != TCP_CLOSE && info.tcpi_state != TCP_LISTEN;
}

static bool may_block(int fd)
{
    int domain = 0;
    socklen_t length = sizeof(domain);

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0)
        return (domain != AF_INET && domain != AF_INET6) || inet_socket_may_linger(fd);
    return fcntl(fd, F_GET_SEALS) < 0; /* only memory files have seals */
}

static void *close_in_thread(void *argument)
{
    close((int)(intptr_t)argument);
    atomic_fetch_sub(&threads, 1);
    return NULL;
}

void closer_close(int fd)
{
    pthread_attr_t attributes;
    pthread_t thread;

    if (fd < 0)
        return;
    if (!may_block(fd)) {
        close(fd);
        return;
    }
    if (atomic_fetch_add(&threads, 1) >= MAX_THREADS)
        goto give_up;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (pthread_create(&thread, &attributes, close_in_thread, (void *)(intptr_t)fd) == 0) {
        pthread_attr_destroy(&attributes);
        return;
    }
    pthread_attr_destroy(&attributes);
give_up:
    atomic_fetch_sub(&threads, 1);
    abandoned++;
}
