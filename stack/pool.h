/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory for the engine: size classes from 64 bytes to POOL_LARGEST, carved out of large mappings that are kept for
 * ever. Nothing of it goes through malloc, so that it works inside any program and from any of its calls.
 *
 * Not thread-safe: one process-wide instance under the stack lock. Freed blocks are reused most recent first. */
#ifndef LOCKSTEP_STACK_POOL_H
#define LOCKSTEP_STACK_POOL_H

#include <stddef.h>
#include <stdint.h>

#define POOL_LARGEST 131072

/* At least size bytes, aligned to 16, or NULL: no memory, larger than POOL_LARGEST, or over the limit. Not cleared. */
void *pool_alloc(size_t size);
void *pool_zalloc(size_t size);
/* What pool_alloc returned, or NULL. */
void pool_free(void *block);
/* Usable bytes of the block that pool_alloc(size) would return. */
size_t pool_usable(size_t size);

/* Whole pages of any size, cleared, returned to the system when freed: hash tables. */
void *pool_pages_alloc(size_t size);
void pool_pages_free(void *pages, size_t size);

struct pool_usage {
    size_t mapped;    /* bytes taken from the system */
    size_t allocated; /* bytes in blocks handed out */
};
void pool_usage(struct pool_usage *out);
/* Bytes that may be mapped at most; more makes pool_alloc fail. Default: no limit. */
void pool_set_limit(size_t mapped);
/* Forgets every block and mapping at once, without touching them: a forked child that leaves them to its parent. */
void pool_forget(void);

#endif
