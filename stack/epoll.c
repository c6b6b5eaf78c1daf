/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets: which descriptors refer to them, who joins and leaves. Members are in epoll_item.c, waiting is in epoll_wait.c.
 */
#include "stack/epoll.h"

#include <stdlib.h>

#include "stack/epoll_set.h"
#include "stack/memory.h"
#include "stack/stack.h"
#include "stack/stack_private.h"

#define PAGE_ENTRIES 4096
#define PAGES        1024 /* descriptors up to 4 million */

/* Descriptors to sets, in pages that are made on demand. Entries are read without lock. */
static struct epoll_set **table[PAGES];
static struct list sets = {&sets, &sets};
static struct list spare = {&spare, &spare};
static unsigned bells; /* sets with a bell; read without lock */

const char epoll_set_mark;

/* ---- The table ---- */

static struct epoll_set **table_entry(int fd, bool make)
{
    struct epoll_set **page;

    if (fd < 0 || fd >= PAGES * PAGE_ENTRIES)
        return NULL;
    page = __atomic_load_n(&table[fd / PAGE_ENTRIES], __ATOMIC_ACQUIRE);
    if (!page && make) {
        page = calloc(PAGE_ENTRIES, sizeof *page);
        __atomic_store_n(&table[fd / PAGE_ENTRIES], page, __ATOMIC_RELEASE);
    }
    return page ? &page[fd % PAGE_ENTRIES] : NULL;
}

struct epoll_set *epoll_set_find(int epfd)
{
    struct epoll_set **entry = table_entry(epfd, false);

    return entry ? __atomic_load_n(entry, __ATOMIC_ACQUIRE) : NULL;
}

bool epoll_known(int fd)
{
    return epoll_set_find(fd) != NULL;
}

struct list *epoll_sets(void)
{
    return &sets;
}

bool epoll_used(void)
{
    return !list_empty(&sets) || !list_empty(&spare);
}

static bool table_set(int fd, struct epoll_set *set)
{
    struct epoll_set **entry = table_entry(fd, true);

    if (!entry)
        return false;
    __atomic_store_n(entry, set, __ATOMIC_RELEASE);
    set->descriptors++;
    return true;
}

/* ---- Sets ---- */

/* A set never moves between these lists and free memory: a look without the lock may come late. */
static struct epoll_set *set_new(int fd)
{
    struct list *link = list_pop_front(&spare);
    struct epoll_set *set = link ? list_entry(link, struct epoll_set, all) : calloc(1, sizeof *set);

    if (!set)
        return NULL;
    set->fd = fd;
    set->side = set->bell = -1;
    list_init(&set->ready);
    if (!table_set(fd, set)) {
        list_push_back(&spare, &set->all);
        return NULL;
    }
    list_push_back(&sets, &set->all);
    return set;
}

void epoll_set_created(int epfd)
{
    stack_lock();
    set_new(epfd);
    stack_unlock();
}

bool epoll_set_mixed(const struct epoll_set *set)
{
    return __atomic_load_n(&set->members, __ATOMIC_SEQ_CST) > 0 ||
           (__atomic_load_n(&set->watches_sets, __ATOMIC_RELAXED) && __atomic_load_n(&bells, __ATOMIC_RELAXED) > 0);
}

/* Makes our own descriptor a member of the program's: it reports the mark. */
void epoll_set_link(const struct epoll_set *set, int fd)
{
    struct epoll_event event = {EPOLLIN, {.u64 = (uintptr_t)&epoll_set_mark}};

    sys_epoll_ctl(set->fd, EPOLL_CTL_ADD, fd, &event);
}

static void bell_open(struct epoll_set *set)
{
    if (set->bell >= 0)
        return;
    set->bell = stack_own_fd(sys_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (set->bell < 0)
        return;
    set->ringing = false;
    __atomic_store_n(&bells, bells + 1, __ATOMIC_RELAXED);
    epoll_set_link(set, set->bell);
    if (set->side >= 0)
        epoll_set_link(set, set->side);
}

/* unlink: the program's descriptor is open here, and nobody else's. */
static void bell_close(struct epoll_set *set, bool unlink)
{
    if (set->bell < 0)
        return;
    if (unlink) {
        sys_epoll_ctl(set->fd, EPOLL_CTL_DEL, set->bell, NULL);
        if (set->side >= 0)
            sys_epoll_ctl(set->fd, EPOLL_CTL_DEL, set->side, NULL);
    }
    stack_close_own_fd(set->bell);
    set->bell = -1;
    __atomic_store_n(&bells, bells - 1, __ATOMIC_RELAXED);
}

static void ring(struct epoll_set *set, bool on)
{
    uint64_t count = 1;

    if (set->bell < 0 || on == set->ringing)
        return;
    set->ringing = on;
    if (on)
        sys_write(set->bell, &count, sizeof count);
    else
        sys_read(set->bell, &count, sizeof count);
}

void epoll_set_ring_up(struct epoll_set *set)
{
    ring(set, true);
}

void epoll_set_ring(struct epoll_set *set)
{
    unsigned waiters = __atomic_load_n(&set->kernel_waiters, __ATOMIC_SEQ_CST);

    if (set->bell < 0)
        return;
    if (set->exposed || waiters > 0)
        ring(set, waiters > 0 || epoll_set_ready(set));
    else
        bell_close(set, true);
}

bool epoll_refresh(void)
{
    bool news = false;

    if (bells == 0)
        return false;
    list_for_each(link, &sets)
    {
        struct epoll_set *set = list_entry(link, struct epoll_set, all);
        bool before = set->ringing;

        epoll_set_ring(set);
        news |= set->ringing && !before;
    }
    return news;
}

void epoll_set_activate(struct epoll_set *set)
{
    if (set->exposed || __atomic_load_n(&set->kernel_waiters, __ATOMIC_SEQ_CST) > 0) {
        bell_open(set);
        epoll_set_ring(set);
    }
}

/* ---- epoll_ctl ---- */

/* A set that came from elsewhere (inherited over exec, passed over a socket) is made known when first needed. */
static struct epoll_set *set_for(int epfd, int fd, int *err)
{
    struct epoll_set *set = epoll_set_find(epfd);

    if (set)
        return set;
    *err = sys_epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL);
    if (*err != -ENOENT && *err != 0)
        return NULL;
    *err = -ENOMEM;
    set = set_new(epfd);
    if (set)
        set->kernel_members = true;
    return set;
}

static int ctl_member(struct epoll_set *set, int op, int fd, struct sock *sock, const struct epoll_event *event)
{
    struct epoll_item *item;

    set->idle_polls = 0;
    if (op == EPOLL_CTL_ADD)
        return epoll_item_add(set, fd, sock, event);
    if (op == EPOLL_CTL_MOD && event->events & EPOLLEXCLUSIVE)
        return -EINVAL;
    if (op != EPOLL_CTL_MOD && op != EPOLL_CTL_DEL)
        return -EINVAL;
    item = epoll_set_member(set, fd, sock);
    if (!item)
        return -ENOENT;
    if (op == EPOLL_CTL_MOD)
        return epoll_item_modify(item, event);
    epoll_item_remove(item);
    return 0;
}

int epoll_set_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    struct sock *sock = sock_get(fd);
    struct epoll_set *set;
    int result;

    if (!sock)
        return SOCK_PASS;
    result = sock_touch(sock, fd);
    if (result == 0 && op != EPOLL_CTL_DEL && !(event && memory_readable(event, sizeof *event)))
        result = -EFAULT;
    if (result == 0) {
        stack_lock();
        set = set_for(epfd, fd, &result);
        if (set)
            result = sock_is_kernel(sock) ? SOCK_PASS : ctl_member(set, op, fd, sock, event);
        stack_unlock();
    }
    sock_put(sock);
    return result;
}

/* A set that somebody watches must be seen to be ready by the kernel. */
static void expose(struct epoll_set *set)
{
    set->exposed = true;
    if (epoll_set_mixed(set)) {
        bell_open(set);
        epoll_set_ring(set);
    }
}

void epoll_set_ctl_passed(int epfd, int op, int fd)
{
    struct epoll_set *set = epoll_set_find(epfd), *inner = epoll_set_find(fd);

    if (!set || op != EPOLL_CTL_ADD || (__atomic_load_n(&set->kernel_members, __ATOMIC_RELAXED) && !inner))
        return;
    stack_lock();
    __atomic_store_n(&set->kernel_members, true, __ATOMIC_RELAXED);
    set->changes++;
    if (inner) {
        __atomic_store_n(&set->watches_sets, true, __ATOMIC_RELAXED);
        expose(inner);
    }
    stack_wake();
    stack_unlock();
}

bool epoll_expose(int fd)
{
    struct epoll_set *set = epoll_set_find(fd);
    bool mixed;

    if (!set)
        return false;
    stack_lock();
    expose(set);
    mixed = epoll_set_mixed(set);
    stack_unlock();
    return mixed;
}

/* ---- The life of descriptors ---- */

void epoll_set_release(struct epoll_set *set)
{
    if (set->descriptors > 0 || set->users > 0)
        return;
    epoll_set_each(set, epoll_item_remove);
    bell_close(set, false);
    stack_close_own_fd(set->side);
    free(set->buckets);
    list_remove(&set->all);
    set->buckets = NULL;
    set->bucket_count = 0;
    set->side_members = 0;
    set->idle_polls = 0;
    set->full_looks = 0;
    set->exposed = set->stale = false;
    __atomic_store_n(&set->kernel_members, false, __ATOMIC_RELAXED);
    __atomic_store_n(&set->watches_sets, false, __ATOMIC_RELAXED);
    list_push_back(&spare, &set->all);
}

static int another_descriptor(const struct epoll_set *set)
{
    for (int page = 0; page < PAGES; page++)
        for (int i = 0; table[page] && i < PAGE_ENTRIES; i++)
            if (table[page][i] == set)
                return page * PAGE_ENTRIES + i;
    return -1;
}

void epoll_set_closed(int epfd)
{
    struct epoll_set *set;

    if (!epoll_set_find(epfd))
        return;
    stack_lock();
    set = epoll_set_find(epfd);
    if (set) {
        __atomic_store_n(table_entry(epfd, false), NULL, __ATOMIC_RELEASE);
        set->descriptors--;
        if (set->fd == epfd && set->descriptors > 0)
            set->fd = another_descriptor(set);
        epoll_set_release(set);
    }
    stack_unlock();
}

void epoll_set_duplicated(int fd, int copy)
{
    struct epoll_set *set;

    if (fd == copy || !epoll_set_find(fd))
        return;
    stack_lock();
    set = epoll_set_find(fd);
    if (set)
        table_set(copy, set);
    stack_unlock();
}

/* ---- fork ---- */

static void mark_stale(struct epoll_set *set)
{
    set->stale = set->members > 0;
    set->changes++;
}

/* The sockets have forgotten who watches them. */
static void watch_again(struct epoll_item *item)
{
    list_init(&item->watch.link);
    sock_watch_add(item->sock, &item->watch);
}

void epoll_fork_child(void)
{
    list_for_each(link, &sets)
    {
        struct epoll_set *set = list_entry(link, struct epoll_set, all);

        set->kernel_waiters = 0;
        set->users = 0;
        bell_close(set, false);
        if (set->side >= 0)
            epoll_set_drop_side(set);
        epoll_set_each(set, watch_again);
        mark_stale(set);
    }
}
