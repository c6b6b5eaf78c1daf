/* SPDX-License-Identifier: BSD-2-Clause */
#include "divert/lane.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Layout of a BPF ring buffer's mapping: a page with the consumer's position (ours to write), a page with the
 * producer's, then the data twice in a row, so that no record wraps. Each record starts with 8 bytes: its length with
 * two flag bits, and a page offset for the kernel's use. Positions count up for ever. */
/* The position is made known after each eighth of the ring: whenever it is, the divert's next look at it waits for
 * another core's cache. Before sleeping it must be exact, for the kernel takes any difference for a waiting packet. */
#define RELEASE_PARTS 8

struct lane {
    uint64_t *consumer; /* shared position */
    const uint64_t *producer;
    const uint8_t *data;
    uint64_t mask;
    uint64_t position;  /* up to here lane_next has gone */
    uint64_t released;  /* up to here the caller needs nothing any more */
    uint64_t published; /* and up to here the divert knows it */
    uint64_t limit;     /* the producer's position when last looked at */
    struct lane_control *control;
    size_t ring_bytes;
    size_t page_bytes;
    void *producer_mapping;
    int ring_fd;
    int control_fd;
};

/* Not the C library's close, which may be interposed by the program that this is in. */
static void close_both(int ring_fd, int control_fd)
{
    syscall(SYS_close, ring_fd);
    syscall(SYS_close, control_fd);
}

static int lane_map(struct lane *lane)
{
    size_t page = lane->page_bytes;
    void *at;

    at = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, lane->ring_fd, 0);
    if (at == MAP_FAILED)
        return -errno;
    lane->consumer = at;
    at = mmap(NULL, page + 2 * lane->ring_bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, lane->ring_fd, (off_t)page);
    if (at == MAP_FAILED)
        return -errno;
    lane->producer_mapping = at;
    lane->producer = at;
    lane->data = (const uint8_t *)at + page;
    at = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, lane->control_fd, 0);
    if (at == MAP_FAILED)
        return -errno;
    lane->control = at;
    if (madvise(lane->consumer, page, MADV_DONTFORK) ||
        madvise(lane->producer_mapping, page + 2 * lane->ring_bytes, MADV_DONTFORK) ||
        madvise(lane->control, page, MADV_DONTFORK))
        return -errno;
    return 0;
}

int lane_open(struct lane **out, int ring_fd, size_t ring_bytes, int control_fd)
{
    struct lane *lane = calloc(1, sizeof(*lane));
    int err;

    if (!lane) {
        close_both(ring_fd, control_fd);
        return -ENOMEM;
    }
    lane->ring_fd = ring_fd;
    lane->control_fd = control_fd;
    lane->ring_bytes = ring_bytes;
    lane->mask = ring_bytes - 1;
    lane->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    err = ring_bytes & (ring_bytes - 1) || ring_bytes < lane->page_bytes ? -EINVAL : lane_map(lane);
    if (err) {
        lane_close(lane);
        return err;
    }
    lane->position = __atomic_load_n(lane->consumer, __ATOMIC_ACQUIRE);
    lane->limit = lane->position;
    lane->released = lane->position;
    lane->published = lane->position;
    *out = lane;
    return 0;
}

void lane_close(struct lane *lane)
{
    if (!lane)
        return;
    if (lane->control)
        munmap(lane->control, lane->page_bytes);
    if (lane->producer_mapping)
        munmap(lane->producer_mapping, lane->page_bytes + 2 * lane->ring_bytes);
    if (lane->consumer)
        munmap(lane->consumer, lane->page_bytes);
    close_both(lane->ring_fd, lane->control_fd);
    free(lane);
}

static uint64_t record_span(uint32_t header)
{
    uint64_t length = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

    return (length + BPF_RINGBUF_HDR_SZ + 7) & ~7ull;
}

const struct lane_record *lane_next(struct lane *lane)
{
    for (;;) {
        const uint8_t *at = lane->data + (lane->position & lane->mask);
        uint32_t header;

        if (lane->position == lane->limit) {
            lane->limit = __atomic_load_n(lane->producer, __ATOMIC_ACQUIRE);
            if (lane->position == lane->limit)
                return NULL;
        }
        header = __atomic_load_n((const uint32_t *)at, __ATOMIC_ACQUIRE);
        if (header & BPF_RINGBUF_BUSY_BIT) /* being written */
            return NULL;
        if ((header & BPF_RINGBUF_DISCARD_BIT) && lane->released == lane->position)
            lane->released += record_span(header);
        lane->position += record_span(header);
        if (!(header & BPF_RINGBUF_DISCARD_BIT))
            return (const struct lane_record *)(at + BPF_RINGBUF_HDR_SZ);
    }
}

static void publish(struct lane *lane)
{
    lane->published = lane->released;
    __atomic_store_n(lane->consumer, lane->released, __ATOMIC_RELEASE);
}

static void publish_at_times(struct lane *lane)
{
    if (lane->released - lane->published >= lane->ring_bytes / RELEASE_PARTS || lane->control->sleeping)
        publish(lane);
}

void lane_release(struct lane *lane)
{
    lane->released = lane->position;
    publish_at_times(lane);
}

void lane_release_before(struct lane *lane, const void *inside)
{
    uint64_t offset = (uint64_t)((const uint8_t *)inside - lane->data);
    uint64_t target = lane->released + ((offset - lane->released) & lane->mask);

    while (lane->released < lane->position) {
        const uint32_t *header = (const uint32_t *)(lane->data + (lane->released & lane->mask));
        uint64_t next = lane->released + record_span(*header);

        if (next > target)
            break;
        lane->released = next;
    }
    publish_at_times(lane);
}

bool lane_ready(const struct lane *lane)
{
    return __atomic_load_n(lane->producer, __ATOMIC_ACQUIRE) != __atomic_load_n(&lane->position, __ATOMIC_RELAXED);
}

size_t lane_backlog(const struct lane *lane)
{
    return __atomic_load_n(lane->producer, __ATOMIC_ACQUIRE) - __atomic_load_n(&lane->position, __ATOMIC_RELAXED);
}

size_t lane_occupied(const struct lane *lane)
{
    return __atomic_load_n(lane->producer, __ATOMIC_ACQUIRE) - lane->released;
}

void lane_set_sleeping(struct lane *lane, bool sleeping)
{
    if (sleeping)
        publish(lane);
    __atomic_store_n(&lane->control->sleeping, sleeping, __ATOMIC_RELAXED);
    /* The flag must be visible before the caller looks for packets: the divert reserves before it reads the flag. */
    if (sleeping)
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void lane_heartbeat(struct lane *lane, uint64_t now_ns)
{
    __atomic_store_n(&lane->control->heartbeat_ns, now_ns, __ATOMIC_RELAXED);
}

int lane_poll_fd(const struct lane *lane)
{
    return lane->ring_fd;
}

const struct lane_control *lane_control(const struct lane *lane)
{
    return lane->control;
}
