/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/polling.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "stack/epoll.h"
#include "stack/epoll_set.h"
#include "stack/memory.h"
#include "stack/sock.h"
#include "stack/stack.h"
#include "stack/sys.h"

#define LOCAL        32 /* descriptors that need no allocation */
#define KERNEL_SHARE 16 /* of so many looks at a busy program's sockets, one goes to the kernel too */

/* One accelerated socket of the call. */
struct watched {
    struct sock *sock;
    nfds_t index; /* in the program's array */
    short kernel; /* events asked of its kernel side */
    nfds_t kernel_index;
};

struct call {
    struct pollfd *fds; /* the program's */
    nfds_t count;
    struct pollfd *kernel; /* of kernel descriptors and kernel sides */
    nfds_t *origin;        /* their index in fds */
    nfds_t kernel_count;
    struct watched *watched;
    nfds_t watched_count;
    bool foreign; /* kernel descriptors are among them */
    bool refresh; /* epoll descriptors with accelerated members are among them */
    bool stale;   /* a socket is the kernel's meanwhile, or is to be watched otherwise: sort again */
};

/* ---- Sorting the program's descriptors ---- */

/* More entries than there may be descriptors: the kernel refuses without looking at them. Limits seldom change. */
static bool too_many(nfds_t count)
{
    static rlim_t known = LOCAL;
    struct rlimit limit;

    if (count <= __atomic_load_n(&known, __ATOMIC_RELAXED))
        return false;
    if (sys_get_rlimit(RLIMIT_NOFILE, &limit) < 0)
        return false;
    __atomic_store_n(&known, limit.rlim_cur, __ATOMIC_RELAXED);
    return count > limit.rlim_cur;
}

bool poll_concerns(struct pollfd *fds, nfds_t count)
{
    if (too_many(count) || !memory_writable(fds, count))
        return false;
    for (nfds_t i = 0; i < count; i++)
        if (fds[i].fd >= 0 && (sock_known(fds[i].fd) || epoll_known(fds[i].fd)))
            return true;
    return false;
}

static void add_kernel(struct call *call, nfds_t index, short events)
{
    call->origin[call->kernel_count] = index;
    call->kernel[call->kernel_count++] = (struct pollfd){call->fds[index].fd, events, 0};
}

static void add_descriptor(struct call *call, nfds_t index)
{
    int fd = call->fds[index].fd;
    struct sock *sock = fd >= 0 ? sock_get(fd) : NULL;

    if (sock && sock_touch(sock, fd) == 0) {
        call->watched[call->watched_count++] = (struct watched){.sock = sock, .index = index};
        return;
    }
    if (sock)
        sock_put(sock);
    if (fd < 0)
        return;
    call->foreign = true;
    call->refresh |= epoll_expose(fd);
    add_kernel(call, index, call->fds[index].events);
}

/* What the kernel is to be asked about an accelerated socket. Lock held. */
static short kernel_side(const struct call *call, const struct watched *watched)
{
    uint32_t kernel = (uint16_t)sock_kernel_events(watched->sock);

    return kernel ? (short)(epoll_widen(kernel) & (uint16_t)call->fds[watched->index].events) | POLLERR : 0;
}

static void release(struct call *call)
{
    for (nfds_t i = 0; i < call->watched_count; i++)
        sock_put(call->watched[i].sock);
    call->watched_count = 0;
}

static void sort(struct call *call)
{
    release(call);
    call->kernel_count = 0;
    call->foreign = call->refresh = call->stale = false;
    for (nfds_t i = 0; i < call->count; i++)
        add_descriptor(call, i);
    stack_lock();
    for (nfds_t i = 0; i < call->watched_count; i++) {
        struct watched *watched = &call->watched[i];

        watched->kernel = kernel_side(call, watched);
        watched->kernel_index = call->kernel_count;
        if (watched->kernel)
            add_kernel(call, watched->index, watched->kernel);
    }
    stack_unlock();
}

/* ---- Looking ---- */

static short ready_events(const struct call *call, const struct watched *watched)
{
    uint32_t wanted = (uint16_t)call->fds[watched->index].events | POLLERR | POLLHUP;

    return (short)(epoll_widen(sock_ready(watched->sock)) & wanted);
}

static bool has_changed(const struct call *call, const struct watched *watched)
{
    return sock_is_kernel(watched->sock) || kernel_side(call, watched) != watched->kernel;
}

/* For stack_wait: lock held. */
static bool anything_ready(void *arg)
{
    struct call *call = arg;

    for (nfds_t i = 0; i < call->watched_count; i++) {
        const struct watched *watched = &call->watched[i];

        if (ready_events(call, watched))
            return true;
        if (has_changed(call, watched))
            call->stale = true;
    }
    return call->stale || (call->refresh && epoll_refresh());
}

/* Fills in revents of accelerated sockets. Lock held. */
static void look(struct call *call)
{
    for (nfds_t i = 0; i < call->watched_count; i++) {
        const struct watched *watched = &call->watched[i];

        call->fds[watched->index].revents = ready_events(call, watched);
        call->stale |= has_changed(call, watched);
    }
    if (call->refresh)
        epoll_refresh();
}

/* Adds what the kernel says. Lock held. */
static void merge_kernel(struct call *call)
{
    for (nfds_t i = 0; i < call->kernel_count; i++)
        call->fds[call->origin[i]].revents |= call->kernel[i].revents;
    for (nfds_t i = 0; i < call->watched_count; i++) {
        const struct watched *watched = &call->watched[i];

        if (watched->kernel && call->kernel[watched->kernel_index].revents & POLLIN)
            sock_kernel_readable(watched->sock);
    }
}

static int count_ready(const struct call *call)
{
    int ready = 0;

    for (nfds_t i = 0; i < call->count; i++)
        ready += call->fds[i].revents != 0;
    return ready;
}

/* Whether to ask the kernel too: not about nothing but kernel sides of sockets while others are ready anyway. */
static bool kernel_matters(const struct call *call)
{
    static unsigned looks;

    if (call->kernel_count == 0)
        return false;
    return call->foreign || __atomic_add_fetch(&looks, 1, __ATOMIC_RELAXED) % KERNEL_SHARE == 0 ||
           count_ready(call) == 0;
}

/* One complete look without waiting: how many are ready. */
static int look_at_all(struct call *call)
{
    struct timespec now = {0, 0};

    for (nfds_t i = 0; i < call->count; i++)
        call->fds[i].revents = 0;
    stack_lock();
    look(call);
    if (call->stale) {
        stack_unlock();
        sort(call);
        stack_lock();
        look(call);
    }
    if (kernel_matters(call) && sys_ppoll(call->kernel, call->kernel_count, &now, NULL) > 0)
        merge_kernel(call);
    stack_unlock();
    return count_ready(call);
}

static int wait_for_call(struct call *call, uint64_t deadline_ns, const sigset_t *mask)
{
    int ready, result;

    sort(call);
    stack_progress();
    ready = look_at_all(call);
    while (ready == 0 && deadline_ns != 0) {
        result = stack_wait(anything_ready, call, call->kernel, call->kernel_count, deadline_ns, mask);
        if (result < 0)
            return result;
        ready = look_at_all(call);
        if (result == 0)
            break;
    }
    return ready;
}

/* ---- poll ---- */

struct room {
    struct pollfd kernel[LOCAL];
    nfds_t origin[LOCAL];
    struct watched watched[LOCAL];
};

static struct call call_in(struct pollfd *fds, nfds_t count, struct room *room)
{
    return (struct call){
        .fds = fds, .count = count, .kernel = room->kernel, .origin = room->origin, .watched = room->watched};
}

static int wait_in_heap(struct pollfd *fds, nfds_t count, uint64_t deadline_ns, const sigset_t *mask)
{
    struct call call = {.fds = fds, .count = count};
    int result = -ENOMEM;

    call.kernel = malloc(count * sizeof *call.kernel);
    call.origin = malloc(count * sizeof *call.origin);
    call.watched = malloc(count * sizeof *call.watched);
    if (call.kernel && call.origin && call.watched)
        result = wait_for_call(&call, deadline_ns, mask);
    release(&call);
    free(call.kernel);
    free(call.origin);
    free(call.watched);
    return result;
}

int poll_wait(struct pollfd *fds, nfds_t count, uint64_t deadline_ns, const sigset_t *mask)
{
    struct room room;
    struct call call;
    int result;

    if (count > LOCAL)
        return wait_in_heap(fds, count, deadline_ns, mask);
    call = call_in(fds, count, &room);
    result = wait_for_call(&call, deadline_ns, mask);
    release(&call);
    return result;
}

/* ---- select ---- */

#define BITS (8 * (int)sizeof(fd_mask))

/* Sets may be longer than FD_SETSIZE: programs allocate them by number of descriptors. */
static bool is_in(int fd, const fd_set *set)
{
    return set && __FDS_BITS(set)[fd / BITS] & (fd_mask)(1ul << fd % BITS);
}

static void put_in(int fd, fd_set *set, bool on)
{
    fd_mask bit = (fd_mask)(1ul << fd % BITS);

    if (on)
        __FDS_BITS(set)[fd / BITS] |= bit;
    else if (set)
        __FDS_BITS(set)[fd / BITS] &= ~bit;
}

#define READ_EVENTS  (POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR)
#define WRITE_EVENTS (POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR)

static short wanted_events(int fd, const fd_set *readable, const fd_set *writable, const fd_set *exceptional)
{
    return (short)((is_in(fd, readable) ? READ_EVENTS : 0) | (is_in(fd, writable) ? WRITE_EVENTS : 0) |
                   (is_in(fd, exceptional) ? POLLPRI : 0));
}

static bool is_in_any(int fd, const fd_set *readable, const fd_set *writable, const fd_set *exceptional)
{
    return is_in(fd, readable) || is_in(fd, writable) || is_in(fd, exceptional);
}

static nfds_t sets_to_poll(int count, const fd_set *readable, const fd_set *writable, const fd_set *exceptional,
                           struct pollfd *out)
{
    nfds_t used = 0;

    for (int fd = 0; fd < count; fd++) {
        if (is_in_any(fd, readable, writable, exceptional))
            out[used++] = (struct pollfd){fd, wanted_events(fd, readable, writable, exceptional), 0};
    }
    return used;
}

/* The bits that a descriptor's result sets. */
static int result_bits(const struct pollfd *fd, const fd_set *readable, const fd_set *writable,
                       const fd_set *exceptional)
{
    return (is_in(fd->fd, readable) && fd->revents & READ_EVENTS) +
           (is_in(fd->fd, writable) && fd->revents & WRITE_EVENTS) +
           (is_in(fd->fd, exceptional) && fd->revents & POLLPRI);
}

static void put_result(const struct pollfd *fd, fd_set *readable, fd_set *writable, fd_set *exceptional)
{
    int number = fd->fd < 0 ? ~fd->fd : fd->fd;

    put_in(number, readable, is_in(number, readable) && fd->revents & READ_EVENTS);
    put_in(number, writable, is_in(number, writable) && fd->revents & WRITE_EVENTS);
    put_in(number, exceptional, is_in(number, exceptional) && fd->revents & POLLPRI);
}

/* poll always reports a hang-up, which makes only the readable set ready: such a descriptor is left out (by the
 * complement of its number) when it would end the wait for nothing. */
static int select_in(struct pollfd *fds, nfds_t used, fd_set *readable, fd_set *writable, fd_set *exceptional,
                     uint64_t deadline_ns, const sigset_t *mask)
{
    int result, bits = 0;

    for (;;) {
        result = poll_wait(fds, used, deadline_ns, mask);
        if (result < 0)
            return result;
        for (nfds_t i = 0; i < used; i++) {
            int own = fds[i].revents ? result_bits(&fds[i], readable, writable, exceptional) : 0;

            if (fds[i].revents & POLLNVAL)
                return -EBADF;
            if (fds[i].revents && own == 0)
                fds[i] = (struct pollfd){~fds[i].fd, fds[i].events, 0};
            bits += own;
        }
        if (result == 0 || bits > 0)
            break;
    }
    for (nfds_t i = 0; i < used; i++)
        put_result(&fds[i], readable, writable, exceptional);
    return bits;
}

bool poll_select_concerns(int count, const fd_set *readable, const fd_set *writable, const fd_set *exceptional)
{
    for (int fd = 0; fd < count; fd++)
        if (is_in_any(fd, readable, writable, exceptional) && (sock_known(fd) || epoll_known(fd)))
            return true;
    return false;
}

int poll_select(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, uint64_t deadline_ns,
                const sigset_t *mask)
{
    struct pollfd local[LOCAL], *fds = local;
    nfds_t used = 0;
    int result;

    for (int fd = 0; fd < count; fd++)
        used += is_in_any(fd, readable, writable, exceptional);
    if (used > LOCAL)
        fds = malloc(used * sizeof *fds);
    if (!fds)
        return -ENOMEM;
    sets_to_poll(count, readable, writable, exceptional, fds);
    result = select_in(fds, used, readable, writable, exceptional, deadline_ns, mask);
    if (fds != local)
        free(fds);
    return result;
}
