/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/history_item.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t realtime_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static struct history_item *create(enum history_item_type type, size_t more)
{
    struct history_item *item = calloc(1, sizeof *item + more);

    if (!item)
        return NULL;
    list_init(&item->link);
    item->type = type;
    item->bytes = sizeof *item + more;
    item->at_ns = realtime_ns();
    return item;
}

struct history_item *history_item_create(enum history_item_type type)
{
    return create(type, 0);
}

struct history_item *history_item_of_record(const struct journal_record *record)
{
    struct history_item *item = create(HISTORY_ITEM_RECORD, record->size);

    if (!item)
        return NULL;
    memcpy(item->record, record, record->size);
    item->at_ns = record->realtime_ns;
    return item;
}

void history_item_free(struct history_item *item)
{
    switch (item->type) {
    case HISTORY_ITEM_TABLE:
        if (__atomic_sub_fetch(&item->table.shared->references, 1, __ATOMIC_ACQ_REL) == 0) {
            table_free(&item->table.shared->table);
            free(item->table.shared);
        }
        break;
    case HISTORY_ITEM_COUNTERS:
        free(item->counters.list);
        break;
    case HISTORY_ITEM_CLOCK:
        free(item->clock);
        break;
    case HISTORY_ITEM_RUN:
        history_run_free(item->run.run);
        free(item->run.path);
        break;
    default:
        break;
    }
    free(item);
}

/* --- the queue ---------------------------------------------------------------------------------------------- */

void history_queue_init(struct history_queue *queue, size_t bytes_max)
{
    *queue = (struct history_queue){.bytes_max = bytes_max};
    pthread_mutex_init(&queue->lock, NULL);
    list_init(&queue->items);
}

void history_queue_clear(struct history_queue *queue)
{
    struct list *link;

    while ((link = list_pop_front(&queue->items)))
        history_item_free(list_entry(link, struct history_item, link));
    pthread_mutex_destroy(&queue->lock);
}

bool history_queue_has_room(struct history_queue *queue)
{
    bool room;

    pthread_mutex_lock(&queue->lock);
    room = queue->bytes < queue->bytes_max;
    pthread_mutex_unlock(&queue->lock);
    return room;
}

bool history_queue_push(struct history_queue *queue, struct history_item *item)
{
    bool room;

    pthread_mutex_lock(&queue->lock);
    room = queue->bytes < queue->bytes_max;
    if (room) {
        queue->bytes += item->bytes;
        list_push_back(&queue->items, &item->link);
    }
    pthread_mutex_unlock(&queue->lock);
    return room;
}

bool history_queue_empty(struct history_queue *queue)
{
    bool empty;

    pthread_mutex_lock(&queue->lock);
    empty = list_empty(&queue->items);
    pthread_mutex_unlock(&queue->lock);
    return empty;
}

static size_t rows_of(const struct history_item *item)
{
    switch (item->type) {
    case HISTORY_ITEM_TABLE:
        return item->table.to - item->table.from;
    case HISTORY_ITEM_COUNTERS:
        return item->counters.count;
    case HISTORY_ITEM_RUN:
        return item->run.run->count;
    default:
        return 1;
    }
}

void history_queue_take(struct history_queue *queue, struct list *out, unsigned rows)
{
    size_t taken = 0;
    struct list *link;

    pthread_mutex_lock(&queue->lock);
    while (taken < rows && (link = list_pop_front(&queue->items))) {
        taken += rows_of(list_entry(link, struct history_item, link));
        list_push_back(out, link);
    }
    pthread_mutex_unlock(&queue->lock);
}

void history_queue_done(struct history_queue *queue, struct list *items)
{
    size_t bytes = 0;
    struct list *link;

    while ((link = list_pop_front(items))) {
        struct history_item *item = list_entry(link, struct history_item, link);

        bytes += item->bytes;
        history_item_free(item);
    }
    pthread_mutex_lock(&queue->lock);
    queue->bytes -= bytes;
    pthread_mutex_unlock(&queue->lock);
}
