/* SPDX-License-Identifier: BSD-2-Clause */
/* Intrusive doubly linked list: a ring of links through its head. No allocation; callers serialise. */
#ifndef LOCKSTEP_BASE_LIST_H
#define LOCKSTEP_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

/* The structure that holds this link as `member`. */
#define list_entry(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* link runs over the list's links; the one at hand may be removed (and freed) meanwhile. */
#define list_for_each(link, head)                                                                                      \
    for (struct list *link = (head)->next, *list_next_ = link->next; link != (head);                                   \
         link = list_next_, list_next_ = link->next)

/* An empty head, or a link in no list: both point at themselves. */
static inline void list_init(struct list *list)
{
    list->next = list->prev = list;
}

/* Also tells whether a link is in no list (if it was initialised, or removed with list_remove). */
static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_insert_after(struct list *position, struct list *link)
{
    link->prev = position;
    link->next = position->next;
    position->next->prev = link;
    position->next = link;
}

static inline void list_push_front(struct list *head, struct list *link)
{
    list_insert_after(head, link);
}

static inline void list_push_back(struct list *head, struct list *link)
{
    list_insert_after(head->prev, link);
}

/* Harmless on a link in no list. */
static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* Takes the first link out; NULL if there is none. */
static inline struct list *list_pop_front(struct list *head)
{
    struct list *link = head->next;

    if (link == head)
        return NULL;
    list_remove(link);
    return link;
}

#endif
