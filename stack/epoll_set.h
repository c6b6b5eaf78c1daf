/* SPDX-License-Identifier: BSD-2-Clause */
/* Internal to epoll: one set (epoll.c: sets, epoll_item.c: members, epoll_wait.c: events). All fields are guarded by
 * the stack lock; those read without it are marked. Sets are recycled, never freed, so that such a look can never
 * fault. */
#ifndef LOCKSTEP_STACK_EPOLL_SET_H
#define LOCKSTEP_STACK_EPOLL_SET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/list.h"
#include "stack/epoll.h"
#include "stack/sock.h"
#include "stack/sys.h"

#define EPOLL_FLAGS ((uint32_t)(EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE))

struct epoll_set;

/* A member: one socket under one descriptor, as the kernel has it. */
struct epoll_item {
    struct sock_watch watch;
    struct epoll_set *set;
    struct sock *sock;       /* no reference: the watch tells when it goes */
    struct epoll_item *next; /* in its bucket */
    struct list ready;       /* in the set's ready list, or in none */
    uint64_t data;
    uint64_t reported;   /* number of the collection that last reported it */
    uint32_t events;     /* wanted, with EPOLLERR and EPOLLHUP, and flags; only flags after EPOLLONESHOT has fired */
    uint32_t side;       /* what its kernel side is watched for; 0: not at all */
    uint32_t generation; /* tells it from earlier members with the same descriptor */
    int fd;
};

struct epoll_set {
    struct list all;
    int fd;               /* one of its descriptors */
    unsigned descriptors; /* that refer to it */
    unsigned users;       /* calls inside epoll_set_wait */
    struct epoll_item **buckets;
    size_t bucket_count; /* a power of two */
    size_t members;      /* accelerated; read without lock */
    struct list ready;   /* of epoll_item: had an edge, or were ready when last reported */
    unsigned changes;    /* of what a wait has to watch in the kernel */
    unsigned generation; /* of members */
    uint64_t collection; /* number of the current one */
    uint64_t kernel_ns;  /* when the kernel was last looked at */
    unsigned idle_polls; /* calls in a row that found nothing and did not wait */
    unsigned full_looks; /* collections in a row that were full without the kernel members */
    int side;            /* epoll descriptor with the kernel sides of members, or -1 */
    unsigned side_members;
    int bell; /* eventfd in the program's epoll descriptor, or -1: rings while something is ready */
    bool ringing;
    bool exposed;            /* watched by somebody itself */
    bool kernel_members;     /* may have some; read without lock */
    bool watches_sets;       /* has epoll descriptors among its kernel members; read without lock */
    bool stale;              /* the process has forked: members are to be touched */
    unsigned kernel_waiters; /* threads in the kernel's epoll_wait; atomic */
};

/* Data of our own members of the program's epoll descriptor. */
extern const char epoll_set_mark;

/* All with the stack lock held. */

/* epoll.c */
struct epoll_set *epoll_set_find(int epfd);
/* Frees the set when no descriptor and no call holds it. */
void epoll_set_release(struct epoll_set *set);
/* The first accelerated member has come. */
void epoll_set_activate(struct epoll_set *set);
/* Makes a descriptor of our own a member of the program's epoll: it reports the mark. */
void epoll_set_link(const struct epoll_set *set, int fd);
/* Rings or silences the bell, if there is one; closes it when it is not needed any more. */
void epoll_set_ring(struct epoll_set *set);
/* Rings it without asking the engine. */
void epoll_set_ring_up(struct epoll_set *set);

struct list *epoll_sets(void); /* all */
/* epoll_describe.c: for `lockstep dump` */
extern const struct dump_epoll epoll_describer;

/* epoll_item.c */
struct epoll_item *epoll_item_of(const struct sock_watch *watch); /* NULL: the watch is somebody else's */
struct epoll_item *epoll_set_item(const struct epoll_set *set, int fd, uint32_t generation);
struct epoll_item *epoll_set_member(const struct epoll_set *set, int fd, const struct sock *sock);
void epoll_set_each(struct epoll_set *set, void (*visit)(struct epoll_item *item));
/* 0 or the negated errno of epoll_ctl. */
int epoll_item_add(struct epoll_set *set, int fd, struct sock *sock, const struct epoll_event *event);
int epoll_item_modify(struct epoll_item *item, const struct epoll_event *event);
void epoll_item_remove(struct epoll_item *item);
/* Events that the item would report now, from the engine alone. */
uint32_t epoll_item_ready(const struct epoll_item *item);
/* Puts the item into the ready list. Does not ask the engine. */
void epoll_item_push(struct epoll_item *item);
/* Drops members from the head of the ready list that are not ready; true if one is. */
bool epoll_set_ready(struct epoll_set *set);
/* Watches the kernel side, or all members', for what is wanted now. */
void epoll_item_sync(struct epoll_item *item);
void epoll_set_sync(struct epoll_set *set);
/* Closes the side descriptor. */
void epoll_set_drop_side(struct epoll_set *set);
/* Replaces it: it reports a member that no longer exists here. */
void epoll_set_renew_side(struct epoll_set *set);

/* Whether the user-level path must be taken. No lock needed. */
bool epoll_set_mixed(const struct epoll_set *set);

/* The kernel's poll reports and understands the wide forms too. */
static inline uint32_t epoll_widen(uint32_t events)
{
    return events | (events & EPOLLIN ? EPOLLRDNORM : 0) | (events & EPOLLOUT ? EPOLLWRNORM | EPOLLWRBAND : 0);
}

static inline int sys_epoll_create(void)
{
    return (int)sys_call6(SYS_epoll_create1, EPOLL_CLOEXEC, 0, 0, 0, 0, 0);
}

static inline int sys_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    return (int)sys_call6(SYS_epoll_ctl, epfd, op, fd, (long)event, 0, 0);
}

/* Does not wait. */
static inline int sys_epoll_poll(int epfd, struct epoll_event *events, int max)
{
    return (int)sys_call6(SYS_epoll_pwait, epfd, (long)events, max, 0, 0, SYS_SIGSET_BYTES);
}

#endif
