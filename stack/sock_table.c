/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors to socks. The table is a sparse mapping for every possible descriptor; socks live in slabs that are never
 * unmapped, so that a lookup may touch one that was freed a moment ago and find it out by its reference count. */
#include <sys/mman.h>

#include "stack/sock_private.h"

#define SLAB_SOCKS 64

struct slot {
    struct sock *sock; /* atomic */
    int next;          /* next descriptor of the same sock, -1: last. Table lock */
};

static struct platform_lock table_lock; /* chains and the free list; taken last */
static struct slot *table;
static size_t table_size;
static struct list free_socks, all_socks;
static struct list *walk; /* the next of a walk through all_socks, NULL: none. Stack lock */

static void *map_memory(size_t bytes)
{
    void *mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return mapping == MAP_FAILED ? NULL : mapping;
}

/* Table lock held. */
static bool prepare(void)
{
    struct slot *mapping;

    if (table)
        return true;
    mapping = map_memory(stack_fd_limit() * sizeof *mapping);
    if (!mapping)
        return false;
    list_init(&free_socks);
    table = mapping;
    __atomic_store_n(&table_size, stack_fd_limit(), __ATOMIC_RELEASE);
    return true;
}

static struct slot *slot_of(int fd)
{
    return fd >= 0 && (size_t)fd < __atomic_load_n(&table_size, __ATOMIC_ACQUIRE) ? &table[fd] : NULL;
}

bool sock_known(int fd)
{
    const struct slot *slot = slot_of(fd);

    return slot && __atomic_load_n(&slot->sock, __ATOMIC_RELAXED) != NULL;
}

bool sock_still_at(const struct sock *sock, int fd)
{
    const struct slot *slot = slot_of(fd);

    return slot && __atomic_load_n(&slot->sock, __ATOMIC_RELAXED) == sock;
}

struct sock *sock_get(int fd)
{
    struct slot *slot = slot_of(fd);

    while (slot) {
        struct sock *sock = __atomic_load_n(&slot->sock, __ATOMIC_ACQUIRE);
        uint32_t refs;

        if (!sock)
            return NULL;
        refs = __atomic_load_n(&sock->refs, __ATOMIC_RELAXED);
        while (refs > 0 &&
               !__atomic_compare_exchange_n(&sock->refs, &refs, refs + 1, true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            ;
        if (refs == 0)
            continue; /* freed between the two loads: the slot has changed */
        if (__atomic_load_n(&slot->sock, __ATOMIC_ACQUIRE) == sock)
            return sock;
        sock_put(sock);
    }
    return NULL;
}

void sock_hold(struct sock *sock)
{
    __atomic_fetch_add(&sock->refs, 1, __ATOMIC_RELAXED);
}

void sock_put(struct sock *sock)
{
    if (__atomic_fetch_sub(&sock->refs, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    sock_finish(sock);
    stack_lock_quiet();
    if (walk == &sock->link)
        walk = sock->link.next;
    list_remove(&sock->link);
    stack_unlock_quiet();
    platform_lock_acquire(&table_lock);
    list_push_front(&free_socks, &sock->link);
    platform_lock_release(&table_lock);
}

static struct sock *take_free(void)
{
    struct list *link = NULL;

    platform_lock_acquire(&table_lock);
    if (prepare()) {
        if (list_empty(&free_socks)) {
            struct sock *slab = map_memory(SLAB_SOCKS * sizeof *slab);

            for (int i = 0; slab && i < SLAB_SOCKS; i++)
                list_push_back(&free_socks, &slab[i].link);
        }
        link = list_pop_front(&free_socks);
    }
    platform_lock_release(&table_lock);
    return link ? list_entry(link, struct sock, link) : NULL;
}

struct sock *sock_new(void)
{
    struct sock *sock = take_free();
    static const struct sock blank;

    if (!sock)
        return NULL;
    *sock = blank; /* refs stays 0 until all is set */
    sock->first_fd = -1;
    sock->handover[0] = sock->handover[1] = -1;
    list_init(&sock->watches);
    sock_defaults(sock);
    stack_lock_quiet();
    if (!all_socks.next)
        list_init(&all_socks);
    list_push_back(&all_socks, &sock->link);
    stack_unlock_quiet();
    __atomic_store_n(&sock->refs, 1, __ATOMIC_RELEASE);
    return sock;
}

struct list *sock_all(void)
{
    if (!all_socks.next)
        list_init(&all_socks);
    return &all_socks;
}

const struct sock *sock_walk(bool start)
{
    if (start)
        walk = sock_all()->next;
    while (walk && walk != &all_socks) {
        const struct sock *sock = list_entry(walk, struct sock, link);

        walk = walk->next;
        if (__atomic_load_n(&sock->refs, __ATOMIC_ACQUIRE) > 0)
            return sock;
    }
    walk = NULL;
    return NULL;
}

size_t sock_descriptors(const struct sock *sock, int *out, size_t max)
{
    size_t count = 0;

    platform_lock_acquire(&table_lock);
    for (int fd = sock->first_fd; fd >= 0; fd = table[fd].next, count++) {
        if (count < max)
            out[count] = fd;
    }
    platform_lock_release(&table_lock);
    return count;
}

void sock_install(struct sock *sock, int fd)
{
    struct slot *slot = slot_of(fd);

    sock_forget(fd);
    if (!slot) { /* beyond the limit that was in force at the start */
        sock_put(sock);
        return;
    }
    platform_lock_acquire(&table_lock);
    slot->next = sock->first_fd;
    __atomic_store_n(&sock->first_fd, fd, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->sock, sock, __ATOMIC_RELEASE);
    platform_lock_release(&table_lock);
}

static void unchain(struct sock *sock, int fd)
{
    int *at = &sock->first_fd;

    while (*at >= 0 && *at != fd)
        at = &table[*at].next;
    if (*at == fd)
        __atomic_store_n(at, table[fd].next, __ATOMIC_RELAXED);
    __atomic_store_n(&table[fd].sock, NULL, __ATOMIC_RELEASE);
}

struct sock *sock_uninstall(int fd, bool *last)
{
    struct slot *slot = slot_of(fd);
    struct sock *sock = NULL;

    if (!slot || !__atomic_load_n(&slot->sock, __ATOMIC_RELAXED))
        return NULL;
    platform_lock_acquire(&table_lock);
    sock = slot->sock;
    if (sock) {
        unchain(sock, fd);
        *last = sock->first_fd < 0;
    }
    platform_lock_release(&table_lock);
    return sock;
}

void sock_uninstall_all(struct sock *sock)
{
    unsigned count = 0;

    platform_lock_acquire(&table_lock);
    for (; sock->first_fd >= 0; count++)
        unchain(sock, sock->first_fd);
    platform_lock_release(&table_lock);
    while (count-- > 0)
        sock_put(sock);
}

bool sock_only_descriptor(const struct sock *sock, int fd)
{
    bool only;

    platform_lock_acquire(&table_lock);
    only = sock->first_fd == fd && table[fd].next < 0;
    platform_lock_release(&table_lock);
    return only;
}

int sock_descriptor(const struct sock *sock)
{
    return __atomic_load_n(&sock->first_fd, __ATOMIC_RELAXED);
}

void sock_duplicated(int fd, int copy)
{
    struct sock *sock = sock_get(fd);

    if (sock) {
        sock_install(sock, copy);
    } else {
        sock_forget(copy);
    }
}

void sock_table_hold(bool on)
{
    if (on)
        platform_lock_acquire(&table_lock);
    else
        platform_lock_release(&table_lock);
}
