/* SPDX-License-Identifier: BSD-2-Clause */
/* Interposed: poll, select and epoll in all their forms. */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "platform/platform.h"
#include "stack/dump.h"
#include "stack/epoll.h"
#include "stack/epoll_set.h"
#include "stack/polling.h"
#include "stack/preload.h"

void __chk_fail(void) __attribute__((noreturn));
int __poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t room);
int __select(int count, fd_set *restrict readable, fd_set *restrict writable, fd_set *restrict exceptional,
             struct timeval *restrict timeout);

__attribute__((constructor)) static void set_up(void)
{
    dump_epoll = &epoll_describer;
}

/* ---- Deadlines: CLOCK_MONOTONIC nanoseconds, 0: do not wait, UINT64_MAX: for ever ---- */

static uint64_t deadline_after(uint64_t wait_ns)
{
    return wait_ns == 0 ? 0 : platform_now_ns() + wait_ns;
}

static uint64_t deadline_ms(int timeout_ms)
{
    return timeout_ms < 0 ? UINT64_MAX : deadline_after((uint64_t)timeout_ms * NS_PER_MS);
}

/* False for a time that the kernel refuses. Years of waiting are as good as for ever. */
static bool deadline_spec(const struct timespec *timeout, uint64_t *out)
{
    *out = UINT64_MAX;
    if (!timeout)
        return true;
    if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= (long)NS_PER_S)
        return false;
    if (timeout->tv_sec < INT32_MAX)
        *out = deadline_after((uint64_t)timeout->tv_sec * NS_PER_S + (uint64_t)timeout->tv_nsec);
    return true;
}

/* ---- poll ---- */

static int poll_accelerated(struct pollfd *fds, nfds_t count, uint64_t deadline_ns, const sigset_t *mask)
{
    struct preload_interruptions before;
    int result;

    do {
        preload_cancellation_point();
        before = preload_interruptions();
        stack_busy_begin();
        result = poll_wait(fds, count, deadline_ns, mask);
        stack_busy_end();
    } while (preload_only_cancelled(before, result));
    return (int)preload_result(result);
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    if (!poll_concerns(fds, count) || !preload_usable())
        return libc_real()->poll(fds, count, timeout_ms);
    return poll_accelerated(fds, count, deadline_ms(timeout_ms), NULL);
}

int __poll(struct pollfd *fds, nfds_t count, int timeout_ms) __attribute__((alias("poll")));

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t room)
{
    if (room / sizeof *fds < count)
        __chk_fail();
    return poll(fds, count, timeout_ms);
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    uint64_t deadline_ns;

    if (!poll_concerns(fds, count) || !preload_usable() || !deadline_spec(timeout, &deadline_ns))
        return libc_real()->ppoll(fds, count, timeout, mask);
    return poll_accelerated(fds, count, deadline_ns, mask);
}

int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t room)
{
    if (room / sizeof *fds < count)
        __chk_fail();
    return ppoll(fds, count, timeout, mask);
}

/* ---- select ---- */

/* As Linux does: what is left of the time is written back. */
static void write_time_left(struct timeval *timeout, uint64_t deadline_ns)
{
    uint64_t now_ns, left;

    if (!timeout || deadline_ns == 0 || deadline_ns == UINT64_MAX)
        return;
    now_ns = platform_now_ns();
    left = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    timeout->tv_sec = (time_t)(left / NS_PER_S);
    timeout->tv_usec = (suseconds_t)(left % NS_PER_S / 1000);
}

/* The kernel takes any number of microseconds. */
static bool deadline_value(const struct timeval *timeout, uint64_t *out)
{
    struct timespec spec;

    if (!timeout)
        return deadline_spec(NULL, out);
    if (timeout->tv_sec < 0 || timeout->tv_usec < 0)
        return false;
    spec.tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000;
    spec.tv_nsec = timeout->tv_usec % 1000000 * 1000;
    return deadline_spec(&spec, out);
}

static int select_accelerated(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, uint64_t deadline_ns,
                              const sigset_t *mask)
{
    struct preload_interruptions before;
    int result;

    do {
        preload_cancellation_point();
        before = preload_interruptions();
        stack_busy_begin();
        result = poll_select(count, readable, writable, exceptional, deadline_ns, mask);
        stack_busy_end();
    } while (preload_only_cancelled(before, result));
    return result;
}

int select(int count, fd_set *restrict readable, fd_set *restrict writable, fd_set *restrict exceptional,
           struct timeval *restrict timeout)
{
    uint64_t deadline_ns;
    int result = SOCK_PASS;

    if (poll_select_concerns(count, readable, writable, exceptional) && preload_usable() &&
        deadline_value(timeout, &deadline_ns))
        result = select_accelerated(count, readable, writable, exceptional, deadline_ns, NULL);
    if (result == SOCK_PASS)
        return libc_real()->select(count, readable, writable, exceptional, timeout);
    write_time_left(timeout, deadline_ns);
    return (int)preload_result(result);
}

int __select(int count, fd_set *restrict readable, fd_set *restrict writable, fd_set *restrict exceptional,
             struct timeval *restrict timeout) __attribute__((alias("select")));

int pselect(int count, fd_set *restrict readable, fd_set *restrict writable, fd_set *restrict exceptional,
            const struct timespec *restrict timeout, const sigset_t *restrict mask)
{
    uint64_t deadline_ns;
    int result = SOCK_PASS;

    if (poll_select_concerns(count, readable, writable, exceptional) && preload_usable() &&
        deadline_spec(timeout, &deadline_ns))
        result = select_accelerated(count, readable, writable, exceptional, deadline_ns, mask);
    return result == SOCK_PASS ? libc_real()->pselect(count, readable, writable, exceptional, timeout, mask)
                               : (int)preload_result(result);
}

/* ---- epoll ---- */

static int created(int fd)
{
    if (fd < 0 || !preload_usable())
        return fd;
    stack_busy_begin();
    epoll_set_created(fd);
    stack_busy_end();
    return fd;
}

int epoll_create1(int flags)
{
    int fd = libc_real()->epoll_create1(flags);

    return created(fd);
}

int epoll_create(int size)
{
    int fd = libc_real()->epoll_create(size);

    return created(fd);
}

int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    int result;

    if (!preload_usable())
        return libc_real()->epoll_ctl(epfd, op, fd, event);
    stack_busy_begin();
    result = epoll_set_ctl(epfd, op, fd, event);
    if (result == SOCK_PASS) {
        result = sys_epoll_ctl(epfd, op, fd, event);
        if (result == 0)
            epoll_set_ctl_passed(epfd, op, fd);
    }
    stack_busy_end();
    return (int)preload_result(result);
}

/* One wait in any of the forms: the kernel's function is called through `kernel` for sets that are its alone. */
struct set_call {
    int epfd;
    struct epoll_event *events;
    int max;
    int timeout_ms;
    const struct timespec *timeout;
    const sigset_t *mask;
    int (*kernel)(const struct set_call *call);
};

static int kernel_wait(const struct set_call *call)
{
    return libc_real()->epoll_wait(call->epfd, call->events, call->max, call->timeout_ms);
}

static int kernel_pwait(const struct set_call *call)
{
    return libc_real()->epoll_pwait(call->epfd, call->events, call->max, call->timeout_ms, call->mask);
}

static int kernel_pwait2(const struct set_call *call)
{
    return libc_real()->epoll_pwait2(call->epfd, call->events, call->max, call->timeout, call->mask);
}

static void cancelled(void *set)
{
    epoll_kernel_wait_abort(set);
}

/* What the kernel's function returned (with errno), or SOCK_PASS: the set has accelerated members. */
static int wait_in_kernel(const struct set_call *call)
{
    struct epoll_set *set;
    int result = SOCK_PASS;

    if (!epoll_kernel_wait_begin(call->epfd, &set))
        return SOCK_PASS;
    pthread_cleanup_push(cancelled, set);
    result = call->kernel(call);
    pthread_cleanup_pop(0);
    return epoll_kernel_wait_end(set, call->events, result);
}

static int wait_accelerated(const struct set_call *call, uint64_t deadline_ns)
{
    struct preload_interruptions before;
    int result;

    do {
        preload_cancellation_point();
        before = preload_interruptions();
        stack_busy_begin();
        result = epoll_set_wait(call->epfd, call->events, call->max, deadline_ns, call->mask);
        stack_busy_end();
    } while (preload_only_cancelled(before, result));
    return result;
}

/* A set can change its kind, or report nothing but our own member, while the kernel waits: then again, in time. */
static int wait_for_set(const struct set_call *call, uint64_t deadline_ns)
{
    if (!epoll_known(call->epfd) || !preload_usable())
        return call->kernel(call);
    for (;;) {
        int result = wait_in_kernel(call);

        if (result != SOCK_PASS)
            return result;
        result = wait_accelerated(call, deadline_ns);
        if (result != SOCK_PASS)
            return (int)preload_result(result);
        if (deadline_ns != UINT64_MAX && platform_now_ns() >= deadline_ns)
            return 0;
    }
}

int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms)
{
    const struct set_call call = {epfd, events, max, timeout_ms, NULL, NULL, kernel_wait};

    return wait_for_set(&call, deadline_ms(timeout_ms));
}

int epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout_ms, const sigset_t *mask)
{
    const struct set_call call = {epfd, events, max, timeout_ms, NULL, mask, kernel_pwait};

    return wait_for_set(&call, deadline_ms(timeout_ms));
}

int epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout, const sigset_t *mask)
{
    const struct set_call call = {epfd, events, max, 0, timeout, mask, kernel_pwait2};
    uint64_t deadline_ns;

    if (!deadline_spec(timeout, &deadline_ns))
        return (int)preload_result(-EINVAL);
    return wait_for_set(&call, deadline_ns);
}
