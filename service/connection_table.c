/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/connection_table.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/histogram.h"

#define HISTOGRAM_BYTES (LANE_STATS_SLOT_BUCKETS * sizeof(uint32_t))

_Static_assert(LANE_STATS_SLOT_BUCKETS == HISTOGRAM_COARSE_BUCKETS, "a connection's histogram is a coarse one");
_Static_assert(sizeof(struct table_header) % 8 == 0 && sizeof(struct lane_row) % 8 == 0, "rows are aligned");
_Static_assert(sizeof(struct connection_row) % 8 == 0, "rows are aligned");

static bool has_end(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

static int check_header(const struct table_header *header, size_t length)
{
    size_t histogram = header->histogram_buckets * sizeof(uint32_t), left = length - sizeof(*header);

    if (header->magic != TABLE_MAGIC)
        return LOCKSTEP_E_BAD_FORMAT;
    if (header->version != TABLE_VERSION)
        return LOCKSTEP_E_BAD_VERSION;
    if ((histogram != 0 && histogram != HISTOGRAM_BYTES) || header->lane_size < sizeof(struct lane_row) ||
        header->lane_size % 8 != 0 || header->connection_size < sizeof(struct connection_row) + histogram ||
        header->connection_size % 8 != 0)
        return LOCKSTEP_E_BAD_FORMAT;
    if (header->lane_count > left / header->lane_size)
        return LOCKSTEP_E_BAD_FORMAT;
    left -= (size_t)header->lane_count * header->lane_size;
    if (left / header->connection_size != header->connection_count || left % header->connection_size != 0)
        return LOCKSTEP_E_BAD_FORMAT;
    return 0;
}

static bool texts_have_ends(const struct connection_table *table)
{
    for (uint32_t i = 0; i < table->header.lane_count; i++) {
        const struct lane_row *row = table_lane(table, i);

        if (!has_end(row->program, sizeof(row->program)) || !has_end(row->device, sizeof(row->device)))
            return false;
    }
    for (uint32_t i = 0; i < table->header.connection_count; i++) {
        const struct connection_row *row = table_connection(table, i);

        if (!has_end(row->program, sizeof(row->program)) || !has_end(row->interface, sizeof(row->interface)))
            return false;
    }
    return true;
}

int table_parse(const void *bytes, size_t length, struct connection_table *out)
{
    int result;

    *out = (struct connection_table){0};
    if (length < sizeof(out->header))
        return LOCKSTEP_E_BAD_FORMAT;
    memcpy(&out->header, bytes, sizeof(out->header));
    result = check_header(&out->header, length);
    if (result < 0)
        return result;
    out->lanes = (const char *)bytes + sizeof(out->header);
    out->connections = out->lanes + (size_t)out->header.lane_count * out->header.lane_size;
    return texts_have_ends(out) ? 0 : LOCKSTEP_E_BAD_FORMAT;
}

/* pread, because the service may empty a report that many share: reading a mapping could then end the reader. */
static int read_all(int fd, char *bytes, size_t length)
{
    size_t done = 0;

    while (done < length) {
        ssize_t got = pread(fd, bytes + done, length - done, (off_t)done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EIO;
        done += (size_t)got;
    }
    return 0;
}

int table_read(int fd, struct connection_table *out)
{
    struct stat status;
    void *bytes;
    int result;

    *out = (struct connection_table){0};
    if (fstat(fd, &status) < 0)
        return -errno;
    if (status.st_size == 0)
        return -EIO;
    bytes = malloc((size_t)status.st_size);
    if (!bytes)
        return -ENOMEM;
    result = read_all(fd, bytes, (size_t)status.st_size);
    if (result == 0)
        result = table_parse(bytes, (size_t)status.st_size, out);
    if (result < 0) {
        free(bytes);
        *out = (struct connection_table){0};
        return result;
    }
    out->bytes = bytes;
    return 0;
}

void table_free(struct connection_table *table)
{
    free(table->bytes);
    *table = (struct connection_table){0};
}

const uint32_t *table_histogram(const struct connection_table *table, uint32_t i)
{
    const char *row = (const char *)table_connection(table, i);

    if (table->header.histogram_buckets == 0)
        return NULL;
    return (const uint32_t *)(row + table->header.connection_size - HISTOGRAM_BYTES);
}

const char *connection_state_name(const struct connection_row *row)
{
    static const char *const names[] = {"",           "established", "syn-sent",  "syn-recv",
                                        "fin-wait-1", "fin-wait-2",  "time-wait", "close",
                                        "close-wait", "last-ack",    "listen",    "closing"};

    if (row->protocol == IPPROTO_UDP)
        return row->kind == CONTROL_FLOW_CONNECT ? "connected" : "open";
    if (row->tcp_state > 0 && row->tcp_state < sizeof(names) / sizeof(names[0]))
        return names[row->tcp_state];
    return row->kind == CONTROL_FLOW_BOUND ? "listen" : "unknown";
}

uint64_t connection_quantile(const uint32_t *buckets, uint32_t per_million)
{
    uint64_t value;

    histogram_coarse_quantiles(buckets, &per_million, 1, &value);
    return value;
}
