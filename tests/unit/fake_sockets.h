/* SPDX-License-Identifier: BSD-2-Clause */
/* A socket layer for the tests of epoll and poll: what is ready is what the test says. Each socket has a kernel
 * descriptor behind it, one end of a socket pair, whose other end the test can write to. Include it in one file of a
 * test. */
#ifndef LOCKSTEP_TESTS_FAKE_SOCKETS_H
#define LOCKSTEP_TESTS_FAKE_SOCKETS_H

#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "platform/platform.h"
#include "stack/sock.h"
#include "stack/stack.h"
#include "stack/stack_private.h"
#include "stack/sys.h"

struct sock {
    int fd, other; /* the kernel's pair */
    unsigned references;
    uint32_t ready;
    short kernel_events;
    bool kernel;      /* moved there */
    bool kernel_seen; /* sock_kernel_readable was called */
    bool inherited;   /* touching it moves it to the kernel */
    struct list watches;
    struct sock *made_before;
};

#define FAKE_FDS 30000
static struct sock *fake_table[FAKE_FDS];
static struct sock *fake_made; /* all sockets: tests look at them after they were closed */
static pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned fake_owned; /* descriptors that the stack says are its own */

/* ---- What a test does ---- */

static int fake_open(short kernel_events)
{
    struct sock *sock = calloc(1, sizeof *sock);
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    *sock = (struct sock){
        .fd = pair[0], .other = pair[1], .kernel_events = kernel_events, .references = 1, .made_before = fake_made};
    list_init(&sock->watches);
    fake_table[pair[0]] = fake_made = sock;
    return pair[0];
}

/* The socket's readiness becomes this; what is new is an edge. */
static inline void fake_ready(int fd, uint32_t ready)
{
    struct sock *sock = fake_table[fd];
    uint32_t edges = ready & ~sock->ready;

    stack_lock();
    sock->ready = ready;
    if (edges)
        list_for_each(link, &sock->watches)
        {
            struct sock_watch *watch = list_entry(link, struct sock_watch, link);

            watch->notify(watch, edges);
        }
    stack_unlock();
}

static inline void fake_edge(int fd, uint32_t events)
{
    fake_table[fd]->ready &= ~events;
    fake_ready(fd, fake_table[fd]->ready | events);
}

static inline void fake_leave(struct sock *sock, bool now_kernel)
{
    struct list *link;

    stack_lock();
    sock->kernel = true;
    for (int fd = 0; fd < FAKE_FDS; fd++)
        if (fake_table[fd] == sock)
            fake_table[fd] = NULL;
    while ((link = list_pop_front(&sock->watches))) {
        struct sock_watch *watch = list_entry(link, struct sock_watch, link);

        watch->gone(watch, now_kernel);
    }
    stack_unlock();
}

/* The last descriptor is closed. */
static inline void fake_close(int fd)
{
    struct sock *sock = fake_table[fd];

    if (sock)
        fake_leave(sock, false);
    close(fd);
}

/* After all tests. */
static int fake_free(void **state)
{
    (void)state;
    while (fake_made) {
        struct sock *sock = fake_made;

        fake_made = sock->made_before;
        close(sock->other);
        free(sock);
    }
    return 0;
}

/* ---- The layer ---- */

void stack_lock(void)
{
    pthread_mutex_lock(&fake_lock);
}

void stack_unlock(void)
{
    pthread_mutex_unlock(&fake_lock);
}

void stack_wake(void)
{
}

void stack_progress(void)
{
}

int stack_own_fd(int fd)
{
    fake_owned += fd >= 0;
    return fd;
}

void stack_close_own_fd(int fd)
{
    fake_owned -= fd >= 0;
    if (fd >= 0)
        close(fd);
}

int stack_wait(bool (*ready)(void *arg), void *arg, struct pollfd *kernel, nfds_t kernel_count, uint64_t deadline_ns,
               const sigset_t *mask)
{
    for (;;) {
        struct timespec slice = {0, 200000};
        bool over;
        int count;

        stack_lock();
        over = ready(arg);
        stack_unlock();
        if (over)
            return 1;
        count = sys_ppoll(kernel, kernel_count, &slice, mask);
        if (count != 0)
            return count > 0 ? 1 : count;
        if (platform_now_ns() >= deadline_ns)
            return 0;
    }
}

struct sock *sock_get(int fd)
{
    struct sock *sock = fd >= 0 && fd < FAKE_FDS ? fake_table[fd] : NULL;

    if (sock)
        sock->references++;
    return sock;
}

void sock_put(struct sock *sock)
{
    sock->references--;
}

bool sock_still_at(const struct sock *sock, int fd)
{
    return fd >= 0 && fd < FAKE_FDS && fake_table[fd] == sock;
}

bool sock_known(int fd)
{
    return fd >= 0 && fd < FAKE_FDS && fake_table[fd];
}

int sock_touch(struct sock *sock, int fd)
{
    (void)fd;
    if (sock->inherited)
        fake_leave(sock, true);
    return sock->kernel ? SOCK_PASS : 0;
}

int sock_to_kernel(struct sock *sock, int fd, const char *why)
{
    (void)fd;
    (void)why;
    fake_leave(sock, true);
    return 0;
}

bool sock_is_kernel(const struct sock *sock)
{
    return sock->kernel;
}

uint32_t sock_ready(struct sock *sock)
{
    return sock->ready;
}

short sock_kernel_events(struct sock *sock)
{
    return sock->kernel_events;
}

void sock_kernel_readable(struct sock *sock)
{
    sock->kernel_seen = true;
}

void sock_watch_add(struct sock *sock, struct sock_watch *watch)
{
    list_push_back(&sock->watches, &watch->link);
}

void sock_watch_remove(struct sock_watch *watch)
{
    list_remove(&watch->link);
}

#endif
