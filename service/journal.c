/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/journal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "platform/platform.h"

#define PAGE_BYTES         4096
#define RING_BYTES_LEAST   (4u * JOURNAL_RECORD_MAX)
#define RING_BYTES_MOST    (1u << 30)
#define OFFSET_LOOK_NS     10000000 /* how old the distance of the clocks may be */
#define RECORD_ALIGNMENT   8
#define FILLER             0 /* type of what only fills the ring up to its end; has the first word of a record */
#define WORDS(bytes)       ((bytes) / sizeof(uint64_t))
#define ALIGNED_SIZE(size) (((size) + RECORD_ALIGNMENT - 1) & ~(size_t)(RECORD_ALIGNMENT - 1))

/* The memory shared: this, then the ring. Positions count bytes since the beginning. */
struct page {
    uint32_t magic;
    uint32_t version;
    uint32_t page_bytes; /* where the ring begins */
    uint32_t ring_bytes; /* a power of two */
    uint64_t instance;
    uint64_t tail;              /* the oldest record; raised before it is written over */
    _Alignas(64) uint64_t head; /* the next record's; raised when it is complete */
    _Alignas(64) uint64_t ring[];
};
static_assert(sizeof(struct page) <= PAGE_BYTES, "the page's header");

struct journal {
    struct page *page;
    uint64_t *ring;
    int fd;
    uint32_t ring_bytes;
    uint64_t head, tail, sequence; /* of the next record */
    int64_t realtime_offset;
    uint64_t offset_read_ns;
};

static uint64_t *ring_of(const struct page *page)
{
    return (uint64_t *)((char *)page + PAGE_BYTES);
}

/* --- the service's end -------------------------------------------------------------------------------------- */

int journal_create_sized(struct journal **out, uint32_t ring_bytes)
{
    struct journal *journal = calloc(1, sizeof(*journal));

    if (!journal)
        return -ENOMEM;
    journal->fd = platform_memfd_sealed("lockstep-journal", PAGE_BYTES + ring_bytes, true, (void **)&journal->page);
    if (journal->fd < 0) {
        int result = journal->fd;

        free(journal);
        return result;
    }
    journal->ring = ring_of(journal->page);
    journal->ring_bytes = ring_bytes;
    journal->sequence = 1;
    journal->page->version = JOURNAL_VERSION;
    journal->page->page_bytes = PAGE_BYTES;
    journal->page->ring_bytes = ring_bytes;
    journal->page->instance = platform_now_ns() + (uint64_t)platform_realtime_offset_ns();
    journal->page->magic = JOURNAL_MAGIC;
    *out = journal;
    return 0;
}

int journal_create(struct journal **out)
{
    return journal_create_sized(out, JOURNAL_RING_BYTES);
}

void journal_destroy(struct journal *journal)
{
    if (!journal)
        return;
    munmap(journal->page, PAGE_BYTES + journal->ring_bytes);
    close(journal->fd);
    free(journal);
}

int journal_reader_fd(const struct journal *journal)
{
    return journal->fd;
}

uint64_t journal_instance(const struct journal *journal)
{
    return journal->page->instance;
}

/* Words one by one, so that a reader that looks meanwhile sees some bytes, if not the right ones (it finds out). */
static void store_words(uint64_t *to, const uint64_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        __atomic_store_n(&to[i], from[i], __ATOMIC_RELAXED);
}

static void load_words(uint64_t *to, const uint64_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

static uint64_t *word_at(const struct journal *journal, uint64_t position)
{
    return &journal->ring[WORDS(position & (journal->ring_bytes - 1))];
}

/* Gives the oldest records up until `size` bytes after the head are free. */
static void make_room(struct journal *journal, uint64_t size)
{
    uint64_t first = journal->tail;

    while (journal->head + size - journal->tail > journal->ring_bytes)
        journal->tail += (uint32_t)*word_at(journal, journal->tail); /* the record's size */
    if (journal->tail == first)
        return;
    __atomic_store_n(&journal->page->tail, journal->tail, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* a reader that sees new words sees the new tail as well */
}

static void fill_up_to_the_end(struct journal *journal)
{
    uint64_t rest = journal->ring_bytes - (journal->head & (journal->ring_bytes - 1));
    const struct {
        uint32_t size;
        uint16_t type, pad;
    } filler = {(uint32_t)rest, FILLER, 0};
    uint64_t word;

    memcpy(&word, &filler, sizeof(word));
    make_room(journal, rest);
    store_words(word_at(journal, journal->head), &word, 1);
    journal->head += rest;
}

static void stamp(struct journal *journal, struct journal_record *record)
{
    uint64_t now_ns = platform_now_ns();

    if (journal->offset_read_ns == 0 || now_ns - journal->offset_read_ns > OFFSET_LOOK_NS) {
        journal->realtime_offset = platform_realtime_offset_ns();
        journal->offset_read_ns = now_ns;
    }
    record->monotonic_ns = now_ns;
    record->realtime_ns = (int64_t)now_ns + journal->realtime_offset;
}

void journal_append(struct journal *journal, enum journal_type type, const void *body, uint32_t size, const void *more,
                    uint32_t more_size)
{
    uint64_t words[WORDS(JOURNAL_RECORD_MAX)];
    struct journal_record record = {.type = (uint16_t)type, .sequence = journal->sequence++};
    size_t used = sizeof(record) + size + more_size;
    char *bytes = (char *)words;

    record.size = (uint32_t)ALIGNED_SIZE(used);
    assert(record.size <= JOURNAL_RECORD_MAX);
    stamp(journal, &record);
    memcpy(bytes, &record, sizeof(record));
    memcpy(bytes + sizeof(record), body, size);
    if (more_size > 0)
        memcpy(bytes + sizeof(record) + size, more, more_size);
    memset(bytes + used, 0, record.size - used);
    if ((journal->head & (journal->ring_bytes - 1)) + record.size > journal->ring_bytes)
        fill_up_to_the_end(journal);
    make_room(journal, record.size);
    store_words(word_at(journal, journal->head), words, WORDS(record.size));
    journal->head += record.size;
    __atomic_store_n(&journal->page->head, journal->head, __ATOMIC_RELEASE);
}

/* --- a reader's end ----------------------------------------------------------------------------------------- */

static int check_page(const struct page *page)
{
    if (page->magic != JOURNAL_MAGIC)
        return LOCKSTEP_E_BAD_FORMAT;
    if (page->version != JOURNAL_VERSION)
        return LOCKSTEP_E_BAD_VERSION;
    if (page->page_bytes != PAGE_BYTES || page->ring_bytes < RING_BYTES_LEAST || page->ring_bytes > RING_BYTES_MOST ||
        (page->ring_bytes & (page->ring_bytes - 1)) != 0)
        return LOCKSTEP_E_BAD_FORMAT;
    return 0;
}

static uint64_t oldest_position(const struct journal_reader *reader)
{
    const struct page *page = reader->page;

    return __atomic_load_n(&page->tail, __ATOMIC_ACQUIRE);
}

int journal_reader_open(struct journal_reader *reader, int fd)
{
    _Alignas(8) char bytes[JOURNAL_RECORD_MAX];
    struct journal_record *first = (struct journal_record *)bytes;
    struct journal_reader probe;
    uint64_t lost = 0;
    void *page;
    int result = platform_memfd_map(fd, PAGE_BYTES, false, &page);

    if (result < 0)
        return result;
    *reader = (struct journal_reader){.sequence = 1};
    result = check_page(page);
    reader->ring_bytes = ((const struct page *)page)->ring_bytes;
    munmap(page, PAGE_BYTES);
    if (result == 0)
        result = platform_memfd_map(fd, (size_t)PAGE_BYTES + reader->ring_bytes, false, &page);
    if (result < 0)
        return result;
    reader->page = page;
    reader->instance = ((const struct page *)page)->instance;
    reader->position = oldest_position(reader);
    probe = *reader;
    if (journal_next(&probe, first, &lost))
        reader->sequence = first->sequence;
    return 0;
}

void journal_reader_close(struct journal_reader *reader)
{
    if (reader->page)
        munmap((void *)reader->page, (size_t)PAGE_BYTES + reader->ring_bytes);
    reader->page = NULL;
}

/* The record at the reader's position, which has `available` bytes at most: true if it looks like one. */
static bool copy_record(const struct journal_reader *reader, uint64_t available, struct journal_record *record)
{
    uint32_t offset = (uint32_t)(reader->position & (reader->ring_bytes - 1));
    const uint64_t *from = ring_of(reader->page) + WORDS(offset);
    size_t size;

    load_words((uint64_t *)record, from, 1);
    size = record->size;
    if (size < sizeof(uint64_t) || size % RECORD_ALIGNMENT != 0 || size > reader->ring_bytes - offset ||
        size > available)
        return false;
    if (record->type == FILLER)
        return true;
    if (size > JOURNAL_RECORD_MAX)
        size = JOURNAL_RECORD_MAX;
    load_words((uint64_t *)record + 1, from + 1, WORDS(size) - 1);
    return size >= sizeof(*record);
}

bool journal_next(struct journal_reader *reader, struct journal_record *record, uint64_t *lost)
{
    const struct page *page = reader->page;

    for (;;) {
        uint64_t tail = oldest_position(reader), head = __atomic_load_n(&page->head, __ATOMIC_ACQUIRE);
        bool whole;

        if (reader->position < tail)
            reader->position = tail; /* overtaken: the next sequence number tells by how much */
        if (reader->position >= head)
            return false;
        whole = copy_record(reader, head - reader->position, record);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&page->tail, __ATOMIC_RELAXED) > reader->position)
            continue; /* written over meanwhile */
        reader->position = whole ? reader->position + record->size : head;
        if (whole && record->type != FILLER)
            break;
    }
    if (record->size > JOURNAL_RECORD_MAX)
        record->size = JOURNAL_RECORD_MAX;
    memset((char *)record + record->size, 0, JOURNAL_RECORD_MAX - record->size);
    *lost += record->sequence - reader->sequence;
    reader->sequence = record->sequence + 1;
    return true;
}
