/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/byte_queue.h"

#include <string.h>

#include "stack/pool.h"

#define CHUNK_MIN 512
#define CHUNK_MAX (65536 - sizeof(struct byte_chunk))

void byte_queue_init(struct byte_queue *queue, uint32_t position)
{
    *queue = (struct byte_queue){.position = position};
}

void byte_queue_free(struct byte_queue *queue)
{
    while (queue->head) {
        struct byte_chunk *chunk = queue->head;
        queue->head = chunk->next;
        pool_free(chunk);
    }
    queue->tail = queue->cursor = NULL;
    queue->length = 0;
}

static void link_tail(struct byte_queue *queue, struct byte_chunk *chunk)
{
    chunk->next = NULL;
    chunk->position = queue->position + queue->length;
    if (queue->tail)
        queue->tail->next = chunk;
    else
        queue->head = chunk;
    queue->tail = chunk;
}

static struct byte_chunk *new_chunk(size_t size)
{
    size = pool_usable(size + sizeof(struct byte_chunk));
    struct byte_chunk *chunk = pool_alloc(size);
    if (!chunk)
        return NULL;
    chunk->begin = chunk->end = 0;
    chunk->capacity = (uint32_t)(size - sizeof(struct byte_chunk));
    chunk->bytes = chunk->data;
    return chunk;
}

/* A new tail: as large as what is coming, or as what is already there (a queue that fills up fills up further). */
static struct byte_chunk *add_chunk(struct byte_queue *queue, size_t wanted)
{
    size_t size = wanted > queue->length ? wanted : queue->length;
    if (size < CHUNK_MIN)
        size = CHUNK_MIN;
    if (size > CHUNK_MAX)
        size = CHUNK_MAX;
    struct byte_chunk *chunk = new_chunk(size);
    if (chunk)
        link_tail(queue, chunk);
    return chunk;
}

const struct byte_chunk *byte_queue_borrowed(const struct byte_queue *queue)
{
    const struct byte_chunk *chunk = queue->head;
    while (chunk && chunk->capacity != 0)
        chunk = chunk->next;
    return chunk;
}

bool byte_queue_append_borrowed(struct byte_queue *queue, const void *data, size_t length, uint64_t stamp_ns,
                                uint32_t order)
{
    struct byte_chunk *chunk = pool_alloc(sizeof(*chunk));
    if (!chunk)
        return false;
    chunk->begin = 0;
    chunk->end = (uint32_t)length;
    chunk->capacity = 0;
    chunk->bytes = (uint8_t *)(uintptr_t)data;
    chunk->stamp_ns = stamp_ns;
    chunk->order = order;
    link_tail(queue, chunk);
    queue->length += (uint32_t)length;
    return true;
}

bool byte_queue_settle(struct byte_queue *queue)
{
    for (struct byte_chunk **link = &queue->head; *link; link = &(*link)->next) {
        struct byte_chunk *old = *link;
        if (old->capacity != 0)
            continue;
        struct byte_chunk *chunk = new_chunk(old->end - old->begin);
        if (!chunk)
            return false;
        chunk->end = old->end - old->begin;
        memcpy(chunk->data, old->bytes + old->begin, chunk->end);
        chunk->position = old->position;
        chunk->stamp_ns = old->stamp_ns;
        chunk->next = old->next;
        if (queue->tail == old)
            queue->tail = chunk;
        if (queue->cursor == old)
            queue->cursor = NULL;
        *link = chunk;
        pool_free(old);
    }
    return true;
}

size_t byte_queue_append(struct byte_queue *queue, const void *data, size_t length, uint64_t stamp_ns)
{
    size_t done = 0;
    while (done < length) {
        struct byte_chunk *chunk = queue->tail;
        if (!chunk || chunk->end >= chunk->capacity) {
            chunk = add_chunk(queue, length - done);
            if (!chunk)
                break;
        }
        size_t part = chunk->capacity - chunk->end;
        if (part > length - done)
            part = length - done;
        memcpy(chunk->bytes + chunk->end, (const uint8_t *)data + done, part);
        chunk->end += (uint32_t)part;
        chunk->stamp_ns = stamp_ns;
        queue->length += (uint32_t)part;
        done += part;
    }
    return done;
}

size_t byte_queue_append_iov(struct byte_queue *queue, const struct iovec *iov, int iov_count, size_t skip,
                             size_t length)
{
    size_t done = 0;
    for (int i = 0; i < iov_count && done < length; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        size_t part = iov[i].iov_len - skip;
        if (part > length - done)
            part = length - done;
        size_t taken = byte_queue_append(queue, (const uint8_t *)iov[i].iov_base + skip, part, 0);
        done += taken;
        if (taken < part)
            break;
        skip = 0;
    }
    return done;
}

size_t byte_queue_peek(const struct byte_queue *queue, const struct iovec *iov, int iov_count, size_t length,
                       uint64_t *stamp_ns)
{
    const struct byte_chunk *chunk = queue->head;
    size_t offset = 0, done = 0; /* offset: into the chunk's data */
    for (int i = 0; i < iov_count && done < length; i++) {
        for (size_t filled = 0; filled < iov[i].iov_len && chunk && done < length;) {
            size_t part = chunk->end - chunk->begin - offset;
            if (part > iov[i].iov_len - filled)
                part = iov[i].iov_len - filled;
            if (part > length - done)
                part = length - done;
            memcpy((uint8_t *)iov[i].iov_base + filled, chunk->bytes + chunk->begin + offset, part);
            *stamp_ns = chunk->stamp_ns;
            filled += part;
            done += part;
            offset += part;
            if (offset == chunk->end - chunk->begin) {
                chunk = chunk->next;
                offset = 0;
            }
        }
    }
    return done;
}

size_t byte_queue_take(struct byte_queue *queue, const struct iovec *iov, int iov_count, size_t length,
                       uint64_t *stamp_ns)
{
    size_t done = byte_queue_peek(queue, iov, iov_count, length, stamp_ns);
    return byte_queue_drop(queue, done);
}

size_t byte_queue_drop(struct byte_queue *queue, size_t length)
{
    size_t done = 0;
    while (done < length && queue->head) {
        struct byte_chunk *chunk = queue->head;
        size_t part = chunk->end - chunk->begin;
        if (part > length - done) {
            part = length - done;
            chunk->begin += (uint32_t)part;
            chunk->position += (uint32_t)part;
        } else {
            queue->head = chunk->next;
            if (!queue->head)
                queue->tail = NULL;
            if (queue->cursor == chunk)
                queue->cursor = NULL;
            pool_free(chunk);
        }
        done += part;
    }
    queue->position += (uint32_t)done;
    queue->length -= (uint32_t)done;
    return done;
}

int byte_queue_map(struct byte_queue *queue, uint32_t position, size_t length, struct iovec *iov, int iov_max,
                   size_t *described)
{
    struct byte_chunk *chunk = queue->cursor;
    if (!chunk || (int32_t)(position - chunk->position) < 0)
        chunk = queue->head;
    while (chunk && position - chunk->position >= chunk->end - chunk->begin)
        chunk = chunk->next;
    int count = 0;
    size_t done = 0;
    while (chunk && done < length && count < iov_max) {
        uint32_t offset = position + (uint32_t)done - chunk->position;
        size_t part = chunk->end - chunk->begin - offset;
        if (part > length - done)
            part = length - done;
        iov[count].iov_base = chunk->bytes + chunk->begin + offset;
        iov[count].iov_len = part;
        count++;
        done += part;
        queue->cursor = chunk;
        chunk = chunk->next;
    }
    *described = done;
    return count;
}
