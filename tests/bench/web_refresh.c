/* SPDX-License-Identifier: BSD-2-Clause */
/* What a refresh of the dashboard costs with many connections: a made-up table through lockstep-web's own code, from
 * the bytes of the service's report to the document. Usage: web_refresh [CONNECTIONS [ROUNDS [LIMIT]]] */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/histogram.h"
#include "monitor/snapshot.h"
#include "monitor/tracker.h"
#include "platform/platform.h"

struct row {
    struct connection_row row;
    uint32_t histogram[LANE_STATS_SLOT_BUCKETS];
};

static size_t table_bytes(uint32_t connections)
{
    return sizeof(struct table_header) + connections * sizeof(struct row);
}

static char *make_table(uint32_t connections)
{
    char *bytes = calloc(1, table_bytes(connections));
    struct table_header *header = (struct table_header *)bytes;
    struct row *rows;

    if (!bytes)
        abort();
    rows = (struct row *)(header + 1);
    *header = (struct table_header){TABLE_MAGIC,
                                    TABLE_VERSION,
                                    LANE_STATS_SLOT_BUCKETS,
                                    sizeof(struct lane_row),
                                    sizeof(struct row),
                                    0,
                                    connections,
                                    1,
                                    1000000000,
                                    0};
    for (uint32_t i = 0; i < connections; i++) {
        struct connection_row *row = &rows[i].row;

        row->key = i + 1;
        row->pid = 1000 + i / 100;
        row->protocol = IPPROTO_TCP;
        row->tcp_state = 1;
        snprintf(row->program, sizeof row->program, "producer-%u", i / 1000);
        row->local = (struct net_endpoint){net_addr_from_v4(htonl(0x0a000001)), 7001};
        row->remote = (struct net_endpoint){net_addr_from_v4(htonl(0x0a000100 + i / 60000)), (uint16_t)(1024 + i)};
        row->latency_count = 1000;
        for (unsigned k = 0; k < 40; k++)
            rows[i].histogram[30 + k] = 25 + i % 7;
    }
    return bytes;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* One refresh: read, rates and totals, document. Returns its bytes. */
static size_t refresh(struct tracker *tracker, const char *bytes, uint32_t connections, uint32_t limit)
{
    struct snapshot *snapshot = snapshot_create();
    void *copy = malloc(table_bytes(connections)); /* as table_read makes one of the memfd */
    struct list_query query;
    struct body *body;
    size_t length;

    memcpy(copy, bytes, table_bytes(connections));
    if (table_parse(copy, table_bytes(connections), &snapshot->table) < 0)
        abort();
    snapshot->table.bytes = copy;
    snapshot->rates = calloc(connections + 1u, sizeof *snapshot->rates);
    tracker_table(tracker, &snapshot->table, snapshot->rates);
    list_query_init(&query);
    query.limit = limit;
    body = snapshot_live(snapshot, &query);
    length = body ? body->length : 0;
    body_release(body);
    snapshot_release(snapshot);
    return length;
}

int main(int argc, char **argv)
{
    const uint32_t connections = argc > 1 ? (uint32_t)atoi(argv[1]) : 10000;
    const unsigned rounds = argc > 2 && atoi(argv[2]) > 0 ? (unsigned)atoi(argv[2]) : 100;
    const uint32_t limit = argc > 3 ? (uint32_t)atoi(argv[3]) : LIST_LIMIT_DEFAULT;
    char *bytes = make_table(connections);
    double *ms = calloc(rounds, sizeof *ms);
    struct tracker *tracker = tracker_create(true);
    struct rusage usage;
    size_t length = 0;

    for (unsigned i = 0; i < rounds; i++) {
        uint64_t began = platform_now_ns();

        ((struct table_header *)bytes)->monotonic_ns += 1000000000;
        length = refresh(tracker, bytes, connections, limit);
        ms[i] = (double)(platform_now_ns() - began) * 1e-6;
    }
    qsort(ms, rounds, sizeof *ms, by_size);
    getrusage(RUSAGE_SELF, &usage);
    printf("%u connections, %u rows, %zu bytes: median %.2f ms, 99 %% %.2f ms of %u; %ld KiB at most\n", connections,
           limit, length, ms[rounds / 2], ms[rounds * 99 / 100], rounds, usage.ru_maxrss);
    tracker_destroy(tracker);
    free(ms);
    free(bytes);
    return 0;
}
