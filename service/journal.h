/* SPDX-License-Identifier: BSD-2-Clause */
/* The service's journal: what happens to lanes and connections, in order, for recorders and live views. A memfd that
 * the service alone writes and readers map read-only (CONTROL_REPORT_JOURNAL): however slow a reader is, the service
 * does not notice. A ring of records at positions that only grow; a reader that is overtaken learns how many records it
 * lost.
 *
 * One writer thread; readers in any process. Records are aligned to 8 bytes and do not wrap around the ring's end. */
#ifndef LOCKSTEP_SERVICE_JOURNAL_H
#define LOCKSTEP_SERVICE_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "service/connection_table.h"

#define JOURNAL_MAGIC      0x4c534a4cu /* "LSJL" */
#define JOURNAL_VERSION    1
#define JOURNAL_RING_BYTES (16u << 20)
#define JOURNAL_RECORD_MAX 2048

enum journal_type {
    JOURNAL_SERVICE = 1,       /* struct journal_text: the service has started, read its configuration again, ... */
    JOURNAL_INTERFACE,         /* struct journal_text: attached, detached, with mode and reason */
    JOURNAL_LANE_OPENED,       /* struct lane_row */
    JOURNAL_LANE_CLOSED,       /* struct lane_row */
    JOURNAL_CONNECTION_OPENED, /* struct connection_row */
    JOURNAL_CONNECTION_CLOSED, /* struct connection_row, uint32_t[LANE_STATS_SLOT_BUCKETS] */
    JOURNAL_KERNEL_SOCKET,     /* struct journal_kernel_socket */
};

struct journal_record {
    uint32_t size; /* whole, a multiple of 8 */
    uint16_t type; /* enum journal_type; skip unknown ones */
    uint16_t pad;
    uint64_t sequence; /* from 1, without gaps */
    int64_t realtime_ns;
    uint64_t monotonic_ns;
    /* the body */
};
struct journal_text {
    char subject[32];
    char text[CONTROL_TEXT_MAX];
};
/* A socket that stayed with the kernel. */
struct journal_kernel_socket {
    uint32_t pid, uid;
    char program[CONTROL_NAME_MAX];
    uint32_t protocol;
    uint32_t pad;
    struct net_endpoint local, remote;
    char reason[CONTROL_TEXT_MAX];
};

/* --- the service's end --- */
struct journal;
int journal_create(struct journal **out);
/* With a ring of another size: a power of two, of four records at least. */
int journal_create_sized(struct journal **out, uint32_t ring_bytes);
void journal_destroy(struct journal *journal);
/* A read-only descriptor for readers; the journal's. */
int journal_reader_fd(const struct journal *journal);
/* Of the service, as in table_header: CLOCK_REALTIME when the journal was made. */
uint64_t journal_instance(const struct journal *journal);
/* Appends a record with the time now: a body of `size` bytes, then (may be NULL) `more_size` bytes, JOURNAL_RECORD_MAX
 * with the record's header at most. O(1), no system call. */
void journal_append(struct journal *journal, enum journal_type type, const void *body, uint32_t size, const void *more,
                    uint32_t more_size);

/* --- a reader's end --- */
struct journal_reader {
    const void *page;
    uint64_t position, sequence; /* of the next record */
    uint64_t instance;           /* of the service, as in table_header */
    uint32_t ring_bytes;
};
/* Maps it (the caller closes fd) and begins at the oldest record. LOCKSTEP_E_BAD_FORMAT, LOCKSTEP_E_BAD_VERSION. */
int journal_reader_open(struct journal_reader *reader, int fd);
void journal_reader_close(struct journal_reader *reader);
/* Copies the next record and its body to record (JOURNAL_RECORD_MAX bytes, aligned for 64 bits). True: there was one.
 * *lost grows by the records that were overwritten before they could be read; a record is whole or lost. Newer services
 * may have larger bodies, older ones smaller: missing bytes up to JOURNAL_RECORD_MAX are zero. Never blocks: whoever
 * waits for records looks again after a while. */
bool journal_next(struct journal_reader *reader, struct journal_record *record, uint64_t *lost);
static inline const void *journal_body(const struct journal_record *record)
{
    return record + 1;
}

#endif
