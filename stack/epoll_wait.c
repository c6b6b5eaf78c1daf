/* SPDX-License-Identifier: BSD-2-Clause */
/* Waiting on a set: events of accelerated members, of their kernel sides and of kernel members are merged. */
#include <stdlib.h>

#include "platform/platform.h"
#include "stack/epoll.h"
#include "stack/epoll_set.h"
#include "stack/memory.h"
#include "stack/stack.h"

#define SIDE_BATCH     64
#define KERNEL_LOOK_NS 25000 /* while accelerated members keep the program busy, the kernel is asked this often */
#define FULL_LOOKS     2     /* so many full arrays in a row without it, then it comes first */
#define IDLE_POLLS     8     /* calls that do not wait ask it each time at first: most programs do not spin */

struct collection {
    struct epoll_set *set;
    int epfd;
    struct epoll_event *events;
    int count, max;
};

static void report(struct collection *c, struct epoll_item *item, uint32_t events)
{
    c->events[c->count++] = (struct epoll_event){events, {.u64 = item->data}};
    item->reported = c->set->collection;
    if (item->events & EPOLLONESHOT) {
        item->events &= EPOLL_FLAGS;
        epoll_item_sync(item);
    } else if (!(item->events & EPOLLET)) {
        list_push_back(&c->set->ready, &item->ready);
    }
}

/* What is reported and may be ready still goes to the end: a short events array does not starve anybody. */
static void collect_ready(struct collection *c)
{
    struct list *ready = &c->set->ready, end;

    list_push_back(ready, &end);
    while (c->count < c->max && ready->next != &end) {
        struct epoll_item *item = list_entry(list_pop_front(ready), struct epoll_item, ready);
        uint32_t events = epoll_item_ready(item);

        if (item->reported == c->set->collection) { /* with its kernel side */
            if (events && !(item->events & EPOLLET))
                list_push_back(ready, &item->ready);
        } else if (events) {
            report(c, item, events);
        }
    }
    list_remove(&end);
}

/* One event of a kernel side. */
static void merge_side(struct collection *c, const struct epoll_event *event, bool *stale)
{
    struct epoll_item *item = epoll_set_item(c->set, (int)(uint32_t)event->data.u64, (uint32_t)(event->data.u64 >> 32));
    uint32_t kernel, events;

    if (!item) {
        *stale = true;
        return;
    }
    kernel = (uint16_t)sock_kernel_events(item->sock);
    if (kernel == 0) { /* decided meanwhile: the kernel side is not looked at any more */
        epoll_item_sync(item);
        return;
    }
    events = event->events & (epoll_widen(kernel) | EPOLLERR | EPOLLHUP);
    if (events & EPOLLIN)
        sock_kernel_readable(item->sock);
    events = (events | epoll_widen(sock_ready(item->sock))) & item->events & ~EPOLL_FLAGS;
    if (!events)
        return;
    list_remove(&item->ready);
    report(c, item, events);
}

static void collect_sides(struct collection *c)
{
    struct epoll_event batch[SIDE_BATCH];
    int room = c->max - c->count, count;
    bool stale = false;

    if (c->set->side_members == 0 || room <= 0)
        return;
    count = sys_epoll_poll(c->set->side, batch, room < SIDE_BATCH ? room : SIDE_BATCH);
    for (int i = 0; i < count; i++)
        merge_side(c, &batch[i], &stale);
    if (stale)
        epoll_set_renew_side(c->set);
}

/* Takes our own members' events out. */
static int filter(struct epoll_event *events, int count)
{
    int kept = 0;

    for (int i = 0; i < count; i++)
        if (events[i].data.u64 != (uintptr_t)&epoll_set_mark)
            events[kept++] = events[i];
    return kept;
}

static void collect_kernel(struct collection *c)
{
    struct epoll_event *room = c->events + c->count;
    int count;

    if (c->count == c->max || !c->set->kernel_members)
        return;
    if (c->set->watches_sets)
        epoll_refresh();
    count = sys_epoll_poll(c->epfd, room, c->max - c->count);
    c->count += filter(room, count > 0 ? count : 0);
}

static int collect(struct collection *c, bool look_at_kernel)
{
    struct epoll_set *set = c->set;
    bool kernel_first = set->full_looks >= FULL_LOOKS;

    c->count = 0;
    set->collection++;
    if (look_at_kernel) {
        set->kernel_ns = platform_now_ns();
        collect_sides(c);
        if (kernel_first)
            collect_kernel(c);
    }
    collect_ready(c);
    if (look_at_kernel && !kernel_first)
        collect_kernel(c);
    set->full_looks = c->count == c->max && !(look_at_kernel && kernel_first) ? set->full_looks + 1 : 0;
    epoll_set_ring(set);
    return c->count;
}

static bool has_kernel_part(const struct epoll_set *set)
{
    return set->kernel_members || set->side_members > 0;
}

/* The first look of a call, which costs no system call if the program asks often. */
static int collect_first(struct collection *c, bool waits)
{
    struct epoll_set *set = c->set;
    bool due =
        has_kernel_part(set) && (set->full_looks >= FULL_LOOKS || platform_now_ns() - set->kernel_ns >= KERNEL_LOOK_NS);
    int count = collect(c, due);

    if (count == 0 && !waits && !due && has_kernel_part(set) && set->idle_polls < IDLE_POLLS)
        count = collect(c, true);
    set->idle_polls = count > 0 || waits ? 0 : set->idle_polls + 1;
    return count;
}

struct set_wait {
    struct epoll_set *set;
    unsigned changes;
};

static bool wait_over(void *arg)
{
    const struct set_wait *wait = arg;
    struct epoll_set *set = wait->set;

    return set->changes != wait->changes || epoll_set_ready(set) || (set->watches_sets && epoll_refresh());
}

/* One wait. Lock held on entry and return. Result as stack_wait. */
static int wait_for_set(struct collection *c, uint64_t deadline_ns, const sigset_t *mask)
{
    struct set_wait wait = {c->set, c->set->changes};
    struct pollfd kernel[2];
    nfds_t count = 0;
    int result;

    if (c->set->kernel_members)
        kernel[count++] = (struct pollfd){c->epfd, POLLIN, 0};
    if (c->set->side_members > 0)
        kernel[count++] = (struct pollfd){c->set->side, POLLIN, 0};
    stack_unlock();
    result = stack_wait(wait_over, &wait, kernel, count, deadline_ns, mask);
    stack_lock();
    return result;
}

/* After a fork, the first use touches all members: a child claims them or gets them from the kernel, and a listener is
 * registered again by whoever still uses it. Lock held on entry and return. */
static void touch_members(struct epoll_set *set)
{
    size_t count = 0;
    int *fds = malloc(set->members * sizeof *fds);

    set->stale = false;
    if (!fds)
        return;
    for (size_t i = 0; i < set->bucket_count; i++)
        for (struct epoll_item *item = set->buckets[i]; item; item = item->next)
            fds[count++] = item->fd;
    stack_unlock();
    for (size_t i = 0; i < count; i++) {
        struct sock *sock = sock_get(fds[i]);

        if (sock) {
            sock_touch(sock, fds[i]);
            sock_put(sock);
        }
    }
    free(fds);
    stack_lock();
    epoll_set_sync(set);
}

static int wait_locked(struct collection *c, uint64_t deadline_ns, const sigset_t *mask)
{
    int count, result;

    if (c->set->stale)
        touch_members(c->set);
    count = collect_first(c, deadline_ns != 0);
    while (count == 0 && deadline_ns != 0) {
        result = wait_for_set(c, deadline_ns, mask);
        if (result < 0)
            return result;
        if (c->set->stale)
            touch_members(c->set);
        count = collect(c, true);
        if (result == 0 || !epoll_set_mixed(c->set))
            return count > 0 || result == 0 ? count : SOCK_PASS;
    }
    return count;
}

int epoll_set_wait(int epfd, struct epoll_event *events, int max, uint64_t deadline_ns, const sigset_t *mask)
{
    struct collection collection = {.epfd = epfd, .events = events, .max = max};
    int result = SOCK_PASS;

    if (max <= 0)
        return -EINVAL;
    if (!events || !memory_writable(events, sizeof *events))
        return -EFAULT;
    stack_progress();
    stack_lock();
    collection.set = epoll_set_find(epfd);
    if (collection.set && epoll_set_mixed(collection.set)) {
        collection.set->users++;
        result = wait_locked(&collection, deadline_ns, mask);
        collection.set->users--;
        epoll_set_release(collection.set);
    }
    stack_unlock();
    return result;
}

/* ---- Sets that are the kernel's alone ---- */

bool epoll_kernel_wait_begin(int epfd, struct epoll_set **set)
{
    *set = epoll_set_find(epfd);
    if (!*set)
        return true;
    __atomic_fetch_add(&(*set)->kernel_waiters, 1, __ATOMIC_SEQ_CST);
    if (!epoll_set_mixed(*set))
        return true;
    epoll_kernel_wait_abort(*set);
    return false;
}

void epoll_kernel_wait_abort(struct epoll_set *set)
{
    if (!set || __atomic_sub_fetch(&set->kernel_waiters, 1, __ATOMIC_SEQ_CST) > 0 || !epoll_set_mixed(set))
        return;
    stack_lock();
    epoll_set_ring(set);
    stack_unlock();
}

int epoll_kernel_wait_end(struct epoll_set *set, struct epoll_event *events, int count)
{
    int kept = count;

    if (set && count > 0) /* the bell may be another process's, which shares the descriptor */
        kept = filter(events, count);
    epoll_kernel_wait_abort(set);
    return count > 0 && kept == 0 ? SOCK_PASS : kept;
}
