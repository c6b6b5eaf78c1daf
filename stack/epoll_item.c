/* SPDX-License-Identifier: BSD-2-Clause */
/* Members of epoll sets: their hash table, their readiness, and their kernel sides. */
#include <stdlib.h>

#include "stack/epoll_set.h"
#include "stack/stack.h"
#include "stack/stack_private.h"

#define FIRST_BUCKETS 16

/* ---- Table and readiness ---- */

static struct epoll_item **bucket_of(const struct epoll_set *set, int fd)
{
    return &set->buckets[(unsigned)fd & (set->bucket_count - 1)];
}

static bool grow(struct epoll_set *set)
{
    size_t old_count = set->bucket_count, count = old_count ? old_count * 2 : FIRST_BUCKETS;
    struct epoll_item **old = set->buckets, **buckets;

    if (set->members < old_count)
        return true;
    buckets = calloc(count, sizeof *buckets);
    if (!buckets)
        return old_count > 0;
    set->buckets = buckets;
    set->bucket_count = count;
    for (size_t i = 0; i < old_count; i++)
        for (struct epoll_item *item = old[i], *next; item; item = next) {
            struct epoll_item **bucket = bucket_of(set, item->fd);

            next = item->next;
            item->next = *bucket;
            *bucket = item;
        }
    free(old);
    return true;
}

struct epoll_item *epoll_set_item(const struct epoll_set *set, int fd, uint32_t generation)
{
    struct epoll_item *item = set->bucket_count ? *bucket_of(set, fd) : NULL;

    while (item && (item->fd != fd || item->generation != generation))
        item = item->next;
    return item;
}

struct epoll_item *epoll_set_member(const struct epoll_set *set, int fd, const struct sock *sock)
{
    struct epoll_item *item = set->bucket_count ? *bucket_of(set, fd) : NULL;

    while (item && (item->fd != fd || item->sock != sock))
        item = item->next;
    return item;
}

uint32_t epoll_item_ready(const struct epoll_item *item)
{
    return item->events & ~EPOLL_FLAGS ? epoll_widen(sock_ready(item->sock)) & item->events & ~EPOLL_FLAGS : 0;
}

void epoll_item_push(struct epoll_item *item)
{
    if (list_empty(&item->ready))
        list_push_back(&item->set->ready, &item->ready);
    epoll_set_ring_up(item->set);
    stack_wake();
}

bool epoll_set_ready(struct epoll_set *set)
{
    list_for_each(link, &set->ready)
    {
        if (epoll_item_ready(list_entry(link, struct epoll_item, ready)))
            return true;
        list_remove(link);
    }
    return false;
}

static void on_edge(struct sock_watch *watch, uint32_t events)
{
    struct epoll_item *item = list_entry(watch, struct epoll_item, watch);

    if (events == 0)
        epoll_item_sync(item);
    if (epoll_widen(events) & item->events & ~EPOLL_FLAGS)
        epoll_item_push(item);
}

/* ---- Kernel sides ---- */

static struct epoll_event side_event(const struct epoll_item *item, uint32_t wanted)
{
    return (struct epoll_event){wanted, {.u64 = (uint64_t)item->generation << 32 | (unsigned)item->fd}};
}

static bool side_open(struct epoll_set *set)
{
    if (set->side < 0) {
        set->side = stack_own_fd(sys_epoll_create());
        set->changes++;
        if (set->side >= 0 && set->bell >= 0)
            epoll_set_link(set, set->side);
    }
    return set->side >= 0;
}

/* The descriptor is closed (a duplicate keeps the socket), and its number stands for another socket now: the kernel
 * side cannot be named any more. */
static bool number_is_reused(const struct epoll_item *item)
{
    return sock_known(item->fd) && !sock_still_at(item->sock, item->fd);
}

static void side_remove(struct epoll_item *item)
{
    if (item->side == 0)
        return;
    sys_epoll_ctl(item->set->side, EPOLL_CTL_DEL, item->fd, NULL);
    item->side = 0;
    item->set->side_members--;
}

void epoll_item_sync(struct epoll_item *item)
{
    struct epoll_set *set = item->set;
    uint32_t kernel = (uint16_t)sock_kernel_events(item->sock), wanted = 0;
    struct epoll_event event;

    if (number_is_reused(item))
        return;
    if (kernel != 0 && item->events & ~EPOLL_FLAGS)
        wanted =
            ((epoll_widen(kernel) | EPOLLERR | EPOLLHUP) & item->events) | (item->events & (EPOLLET | EPOLLEXCLUSIVE));
    if (wanted == item->side || (wanted != 0 && !side_open(set)))
        return;
    if (wanted == 0 || wanted & EPOLLEXCLUSIVE)
        side_remove(item);
    if (wanted == 0)
        return;
    event = side_event(item, wanted);
    if (sys_epoll_ctl(set->side, item->side ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, item->fd, &event) < 0)
        return;
    set->side_members += item->side == 0;
    item->side = wanted;
}

void epoll_set_each(struct epoll_set *set, void (*visit)(struct epoll_item *item))
{
    for (size_t i = 0; i < set->bucket_count; i++)
        for (struct epoll_item *item = set->buckets[i], *next; item; item = next) {
            next = item->next;
            visit(item);
        }
}

static void forget_side(struct epoll_item *item)
{
    item->side = 0;
}

void epoll_set_drop_side(struct epoll_set *set)
{
    stack_close_own_fd(set->side);
    set->side = -1;
    set->side_members = 0;
    set->changes++;
    epoll_set_each(set, forget_side);
}

void epoll_set_sync(struct epoll_set *set)
{
    epoll_set_each(set, epoll_item_sync);
}

void epoll_set_renew_side(struct epoll_set *set)
{
    epoll_set_drop_side(set);
    epoll_set_sync(set);
}

/* ---- Joining and leaving ---- */

static void item_unlink(struct epoll_item *item)
{
    struct epoll_set *set = item->set;
    struct epoll_item **place = bucket_of(set, item->fd);
    bool reused = item->side != 0 && number_is_reused(item);

    while (*place != item)
        place = &(*place)->next;
    *place = item->next;
    list_remove(&item->ready);
    if (!reused)
        side_remove(item);
    __atomic_store_n(&set->members, set->members - 1, __ATOMIC_SEQ_CST);
    free(item);
    if (reused)
        epoll_set_renew_side(set);
}

void epoll_item_remove(struct epoll_item *item)
{
    sock_watch_remove(&item->watch);
    item_unlink(item);
}

/* The socket has become the kernel's: it goes on as a kernel member, which reports what is ready at once. */
static void hand_to_kernel(const struct epoll_item *item)
{
    struct epoll_event event = {item->events, {.u64 = item->data}};
    struct epoll_set *set = item->set;

    if (item->events & ~EPOLL_FLAGS) {
        if (sys_epoll_ctl(set->fd, EPOLL_CTL_ADD, item->fd, &event) == -EEXIST)
            sys_epoll_ctl(set->fd, EPOLL_CTL_MOD, item->fd, &event);
    } else { /* EPOLLONESHOT has fired: silent until it is armed again, which ADD alone cannot say */
        sys_epoll_ctl(set->fd, EPOLL_CTL_ADD, item->fd, &(struct epoll_event){EPOLLET, event.data});
        sys_epoll_ctl(set->fd, EPOLL_CTL_MOD, item->fd, &event);
    }
    __atomic_store_n(&set->kernel_members, true, __ATOMIC_RELAXED);
    set->changes++;
}

static void on_gone(struct sock_watch *watch, bool now_kernel)
{
    struct epoll_item *item = list_entry(watch, struct epoll_item, watch);

    if (now_kernel)
        hand_to_kernel(item);
    item_unlink(item);
    stack_wake();
}

struct epoll_item *epoll_item_of(const struct sock_watch *watch)
{
    return watch->notify == on_edge ? list_entry(watch, struct epoll_item, watch) : NULL;
}

int epoll_item_add(struct epoll_set *set, int fd, struct sock *sock, const struct epoll_event *event)
{
    const uint32_t exclusive = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
    struct epoll_item *item;

    if (event->events & EPOLLEXCLUSIVE && event->events & ~exclusive)
        return -EINVAL;
    if (epoll_set_member(set, fd, sock))
        return -EEXIST;
    if (!grow(set) || !(item = calloc(1, sizeof *item)))
        return -ENOMEM;
    item->watch.notify = on_edge;
    item->watch.gone = on_gone;
    item->set = set;
    item->sock = sock;
    item->fd = fd;
    item->data = event->data.u64;
    item->events = event->events | EPOLLERR | EPOLLHUP;
    item->generation = ++set->generation;
    list_init(&item->ready);
    item->next = *bucket_of(set, fd);
    *bucket_of(set, fd) = item;
    sock_watch_add(sock, &item->watch);
    __atomic_store_n(&set->members, set->members + 1, __ATOMIC_SEQ_CST);
    if (set->members == 1)
        epoll_set_activate(set);
    epoll_item_sync(item);
    if (epoll_item_ready(item))
        epoll_item_push(item);
    return 0;
}

int epoll_item_modify(struct epoll_item *item, const struct epoll_event *event)
{
    if ((event->events | item->events) & EPOLLEXCLUSIVE)
        return -EINVAL;
    item->events = event->events | EPOLLERR | EPOLLHUP;
    item->data = event->data.u64;
    side_remove(item); /* a kernel side that is ready must be reported again */
    epoll_item_sync(item);
    if (epoll_item_ready(item))
        epoll_item_push(item);
    return 0;
}
