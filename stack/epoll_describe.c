/* SPDX-License-Identifier: BSD-2-Clause */
/* What there is to say about epoll sets, for `lockstep dump`. */
#include <string.h>

#include "stack/dump.h"
#include "stack/epoll_set.h"

#define EVENTS_TEXT_MAX 80

/* "in out et" */
static const char *events_text(uint32_t events, char text[EVENTS_TEXT_MAX])
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {{EPOLLIN, "in "},           {EPOLLPRI, "pri "},         {EPOLLOUT, "out "},
                 {EPOLLRDHUP, "rdhup "},     {EPOLLERR, "err "},         {EPOLLHUP, "hup "},
                 {(uint32_t)EPOLLET, "et "}, {EPOLLONESHOT, "oneshot "}, {EPOLLEXCLUSIVE, "exclusive "}};
    size_t length = 0;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!(events & names[i].bit))
            continue;
        memcpy(text + length, names[i].name, strlen(names[i].name));
        length += strlen(names[i].name);
    }
    text[length > 0 ? length - 1 : 0] = '\0';
    return text;
}

static void describe_watch(const struct sock_watch *watch, struct emitter *out)
{
    const struct epoll_item *item = epoll_item_of(watch);
    char text[EVENTS_TEXT_MAX];

    if (!item)
        return;
    emit_object_begin(out, NULL);
    emit_signed(out, "epoll_descriptor", item->set->fd);
    emit_signed(out, "descriptor", item->fd);
    emit_text(out, "events", events_text(item->events, text));
    emit_text(out, "ready", events_text(epoll_item_ready(item), text));
    emit_bool(out, "in_ready_list", !list_empty(&item->ready));
    emit_object_end(out);
}

static void describe_set(const struct epoll_set *set, struct emitter *out)
{
    emit_object_begin(out, NULL);
    emit_signed(out, "descriptor", set->fd);
    emit_unsigned(out, "descriptor_count", set->descriptors);
    emit_unsigned(out, "members", set->members);
    emit_bool(out, "kernel_members", set->kernel_members);
    emit_unsigned(out, "kernel_sides_watched", set->side_members);
    emit_bool(out, "something_in_ready_list", !list_empty(&set->ready));
    emit_unsigned(out, "calls_waiting", set->users);
    emit_unsigned(out, "calls_waiting_in_kernel", set->kernel_waiters);
    emit_unsigned(out, "collections", set->collection);
    emit_bool(out, "bell", set->bell >= 0);
    emit_bool(out, "bell_rings", set->ringing);
    emit_bool(out, "watched_by_others", set->exposed);
    emit_object_end(out);
}

static bool describe_sets(unsigned from, unsigned count, struct emitter *out)
{
    unsigned index = 0;

    list_for_each(link, epoll_sets())
    {
        if (index >= from + count)
            return true;
        if (index++ >= from)
            describe_set(list_entry(link, struct epoll_set, all), out);
    }
    return false;
}

const struct dump_epoll epoll_describer = {describe_watch, describe_sets};
