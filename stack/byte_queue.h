/* SPDX-License-Identifier: BSD-2-Clause */
/* A stream of bytes with positions: what a connection has received and not yet read, or sent and not yet had
 * acknowledged. Positions are TCP sequence numbers (modulo 2^32; fewer than 2^31 bytes in a queue).
 *
 * Memory comes from the pool in chunks as large as the traffic deserves. Not thread-safe. */
#ifndef LOCKSTEP_STACK_BYTE_QUEUE_H
#define LOCKSTEP_STACK_BYTE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct byte_chunk {
    struct byte_chunk *next;
    uint32_t position;             /* of bytes[begin] */
    uint32_t begin, end, capacity; /* capacity 0: borrowed */
    uint64_t stamp_ns;             /* of the last append */
    uint32_t order;                /* borrowed: what was given with it */
    uint8_t *bytes;                /* data, or someone else's memory */
    uint8_t data[];
};

struct byte_queue {
    struct byte_chunk *head, *tail;
    struct byte_chunk *cursor; /* where byte_queue_map looked last */
    uint32_t position;         /* of the first byte */
    uint32_t length;
};

void byte_queue_init(struct byte_queue *queue, uint32_t position);
void byte_queue_free(struct byte_queue *queue);

/* Appends; returns how many bytes were taken (fewer only without memory). stamp_ns is kept with them. */
size_t byte_queue_append(struct byte_queue *queue, const void *data, size_t length, uint64_t stamp_ns);
/* Appends a reference to memory that stays as it is until byte_queue_settle. All or nothing. order: a rising number. */
bool byte_queue_append_borrowed(struct byte_queue *queue, const void *data, size_t length, uint64_t stamp_ns,
                                uint32_t order);
/* The first borrowed chunk, or NULL. */
const struct byte_chunk *byte_queue_borrowed(const struct byte_queue *queue);
/* Copies what is still borrowed. False without memory: the queue must be thrown away. */
bool byte_queue_settle(struct byte_queue *queue);
/* Appends up to length bytes of the vector, beginning `skip` bytes into it. */
size_t byte_queue_append_iov(struct byte_queue *queue, const struct iovec *iov, int iov_count, size_t skip,
                             size_t length);

/* Copies from the front into the vector without removing; returns the bytes copied. */
size_t byte_queue_peek(const struct byte_queue *queue, const struct iovec *iov, int iov_count, size_t length,
                       uint64_t *stamp_ns);
/* Copies from the front and removes. */
size_t byte_queue_take(struct byte_queue *queue, const struct iovec *iov, int iov_count, size_t length,
                       uint64_t *stamp_ns);
/* Removes up to length bytes from the front. */
size_t byte_queue_drop(struct byte_queue *queue, size_t length);

/* Describes length bytes from position on by at most iov_max entries; *described gets how many bytes these cover.
 * Returns the number of entries. position and length must lie within the queue. */
int byte_queue_map(struct byte_queue *queue, uint32_t position, size_t length, struct iovec *iov, int iov_max,
                   size_t *described);

#endif
