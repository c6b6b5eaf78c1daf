/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets and their members; see epoll_wait.c for how events are collected. */
#include "stack/epoll.h"

#include <stdlib.h>

#include "stack/epoll_set.h"
#include "stack/stack.h"
#include "stack/stack_private.h"

#define PAGE_ENTRIES  4096
#define PAGES         1024 /* descriptors up to 4 million */
#define FIRST_BUCKETS 16

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
static void link_own(const struct epoll_set *set, int fd)
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
    link_own(set, set->bell);
    if (set->side >= 0)
        link_own(set, set->side);
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

/* ---- Members ---- */

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

static struct epoll_item *find_member(const struct epoll_set *set, int fd, const struct sock *sock)
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
    ring(item->set, true);
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
            link_own(set, set->side);
    }
    return set->side >= 0;
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

static void each_item(struct epoll_set *set, void (*visit)(struct epoll_item *item))
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

static void drop_side(struct epoll_set *set)
{
    stack_close_own_fd(set->side);
    set->side = -1;
    set->side_members = 0;
    set->changes++;
    each_item(set, forget_side);
}

void epoll_set_sync(struct epoll_set *set)
{
    each_item(set, epoll_item_sync);
}

void epoll_set_renew_side(struct epoll_set *set)
{
    drop_side(set);
    epoll_set_sync(set);
}

/* ---- Joining and leaving ---- */

static void item_unlink(struct epoll_item *item)
{
    struct epoll_set *set = item->set;
    struct epoll_item **place = bucket_of(set, item->fd);

    while (*place != item)
        place = &(*place)->next;
    *place = item->next;
    list_remove(&item->ready);
    side_remove(item);
    __atomic_store_n(&set->members, set->members - 1, __ATOMIC_SEQ_CST);
    free(item);
}

static void item_remove(struct epoll_item *item)
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

static void activate(struct epoll_set *set)
{
    if (set->exposed || __atomic_load_n(&set->kernel_waiters, __ATOMIC_SEQ_CST) > 0) {
        bell_open(set);
        epoll_set_ring(set);
    }
}

static int item_add(struct epoll_set *set, int fd, struct sock *sock, const struct epoll_event *event)
{
    const uint32_t exclusive = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
    struct epoll_item *item;

    if (event->events & EPOLLEXCLUSIVE && event->events & ~exclusive)
        return -EINVAL;
    if (find_member(set, fd, sock))
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
        activate(set);
    epoll_item_sync(item);
    if (epoll_item_ready(item))
        epoll_item_push(item);
    return 0;
}

static int item_modify(struct epoll_item *item, const struct epoll_event *event)
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
        return item_add(set, fd, sock, event);
    if (op == EPOLL_CTL_MOD && event->events & EPOLLEXCLUSIVE)
        return -EINVAL;
    if (op != EPOLL_CTL_MOD && op != EPOLL_CTL_DEL)
        return -EINVAL;
    item = find_member(set, fd, sock);
    if (!item)
        return -ENOENT;
    if (op == EPOLL_CTL_MOD)
        return item_modify(item, event);
    item_remove(item);
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
    if (result == 0 && op != EPOLL_CTL_DEL && !event)
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
    each_item(set, item_remove);
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

void epoll_fork_parent(void)
{
    stack_lock();
    list_for_each(link, &sets) mark_stale(list_entry(link, struct epoll_set, all));
    stack_wake();
    stack_unlock();
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
            drop_side(set);
        each_item(set, watch_again);
        mark_stale(set);
    }
}
