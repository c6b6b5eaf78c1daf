/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/pool.h"

#include <sanitizer/asan_interface.h>
#include <string.h>
#include <sys/mman.h>

#define SPAN_BYTES   (1u << 20) /* of one size class, aligned: a block's span is found by masking its address */
#define GROW_SPANS   8          /* spans mapped at a time */
#define HEADER_BYTES 64

/* AddressSanitizer knows nothing of these blocks: it is told which are free, and there is a gap between them. */
#if defined(__SANITIZE_ADDRESS__) || (defined(__clang__) && __has_feature(address_sanitizer))
#define GAP_BYTES 32
#else
#define GAP_BYTES 0
#endif

/* Four classes for each power of two from 64 on; the last is POOL_LARGEST. */
#define CLASS_SMALLEST 64
#define CLASS_COUNT    45

struct free_block {
    struct free_block *next;
};

struct span {
    uint32_t class;
};

static struct {
    struct free_block *free[CLASS_COUNT];
    uint8_t *fresh[CLASS_COUNT]; /* not yet carved part of the newest span */
    uint8_t *fresh_end[CLASS_COUNT];
    uint8_t *spans, *spans_end; /* mapped, not given to a class */
    struct pool_usage usage;
    size_t limit;
} pool = {.limit = SIZE_MAX};

static unsigned class_of(size_t size)
{
    if (size <= CLASS_SMALLEST)
        return 0;
    unsigned power = 63 - (unsigned)__builtin_clzll(size - 1);     /* size is in (2^power, 2^(power+1)] */
    unsigned quarter = (unsigned)((size - 1) >> (power - 2)) & 3u; /* which quarter of that range */
    return (power - 6) * 4 + quarter + 1;
}

static size_t class_bytes(unsigned class)
{
    if (class == 0)
        return CLASS_SMALLEST;
    unsigned power = 6 + (class - 1) / 4;
    size_t quarter = (size_t)1 << (power - 2);
    return ((size_t)1 << power) + quarter * ((class - 1) % 4 + 1);
}

/* Maps more aligned spans. */
static int grow(void)
{
    size_t bytes = (size_t)GROW_SPANS * SPAN_BYTES;
    if (pool.limit - pool.usage.mapped < bytes || pool.usage.mapped > pool.limit)
        return -1;
    uint8_t *map =
        mmap(NULL, bytes + SPAN_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return -1;
    size_t skip = (SPAN_BYTES - ((uintptr_t)map & (SPAN_BYTES - 1))) & (SPAN_BYTES - 1);
    if (skip > 0)
        munmap(map, skip);
    if (skip < SPAN_BYTES)
        munmap(map + skip + bytes, SPAN_BYTES - skip);
    pool.spans = map + skip;
    pool.spans_end = pool.spans + bytes;
    pool.usage.mapped += bytes;
    return 0;
}

static __attribute__((noinline)) void *carve(unsigned class)
{
    size_t bytes = class_bytes(class);
    if ((size_t)(pool.fresh_end[class] - pool.fresh[class]) < bytes + GAP_BYTES) {
        if (pool.spans == pool.spans_end && grow() < 0)
            return NULL;
        struct span *span = (struct span *)pool.spans;
        pool.spans += SPAN_BYTES;
        span->class = class;
        pool.fresh[class] = (uint8_t *)span + HEADER_BYTES;
        pool.fresh_end[class] = (uint8_t *)span + SPAN_BYTES;
        ASAN_POISON_MEMORY_REGION(pool.fresh[class], SPAN_BYTES - HEADER_BYTES);
    }
    void *block = pool.fresh[class];
    ASAN_UNPOISON_MEMORY_REGION(block, bytes);
    pool.fresh[class] += bytes + GAP_BYTES;
    pool.usage.allocated += bytes;
    return block;
}

void *pool_alloc(size_t size)
{
    if (size > POOL_LARGEST)
        return NULL;
    unsigned class = class_of(size);
    struct free_block *block = pool.free[class];
    if (!block)
        return carve(class);
    ASAN_UNPOISON_MEMORY_REGION(block, class_bytes(class));
    pool.free[class] = block->next;
    pool.usage.allocated += class_bytes(class);
    return block;
}

void pool_free(void *block)
{
    if (!block)
        return;
    const struct span *span = (const struct span *)((uintptr_t)block & ~(uintptr_t)(SPAN_BYTES - 1));
    struct free_block *head = block;
    head->next = pool.free[span->class];
    pool.free[span->class] = head;
    pool.usage.allocated -= class_bytes(span->class);
    ASAN_POISON_MEMORY_REGION(block, class_bytes(span->class));
}

void *pool_zalloc(size_t size)
{
    void *block = pool_alloc(size);
    return block ? memset(block, 0, size) : NULL;
}

size_t pool_usable(size_t size)
{
    return class_bytes(class_of(size));
}

void *pool_pages_alloc(size_t size)
{
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return NULL;
    pool.usage.mapped += size;
    return pages;
}

void pool_pages_free(void *pages, size_t size)
{
    if (!pages)
        return;
    munmap(pages, size);
    pool.usage.mapped -= size;
}

void pool_usage(struct pool_usage *out)
{
    *out = pool.usage;
}

void pool_set_limit(size_t mapped)
{
    pool.limit = mapped;
}

void pool_forget(void)
{
    size_t limit = pool.limit;
    memset(&pool, 0, sizeof(pool));
    pool.limit = limit;
}
