/* SPDX-License-Identifier: BSD-2-Clause */
/* format_writer table|history FILE: what the Python package reads, as C lays it out. */
#include <netinet/in.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "monitor/history_histogram.h"
#include "monitor/history_schema.h"
#include "service/connection_table.h"

#define CONNECTIONS 2

struct histogram_row {
    struct connection_row row;
    uint32_t buckets[LANE_STATS_SLOT_BUCKETS];
};

static int write_table(const char *path)
{
    struct table_header header = {TABLE_MAGIC,
                                  TABLE_VERSION,
                                  LANE_STATS_SLOT_BUCKETS,
                                  sizeof(struct lane_row),
                                  sizeof(struct histogram_row),
                                  1,
                                  CONNECTIONS,
                                  77,
                                  88,
                                  99};
    struct lane_row lane = {
        .lane = 3, .pid = 500, .program = "redis-server", .rx_bytes = 1ull << 40, .spin_ns = 12, .flows = 2};
    struct histogram_row rows[CONNECTIONS] = {0};
    FILE *file = fopen(path, "wbe");

    for (int i = 0; i < CONNECTIONS; i++) {
        rows[i].row = (struct connection_row){.key = 10 + (uint64_t)i,
                                              .lane = 3,
                                              .pid = 500,
                                              .program = "redis-server",
                                              .interface = "eth0",
                                              .protocol = IPPROTO_TCP,
                                              .accepted = 1,
                                              .rx_bytes = 1000,
                                              .srtt_us = 41,
                                              .latency_p99_ns = 2500,
                                              .latency_max_ns = 9000,
                                              .latency_count = 100};
        net_addr_parse(i ? "2001:db8::7" : "192.0.2.7", &rows[i].row.local.addr);
        rows[i].row.local.port = 6379;
        net_addr_parse("192.0.2.9", &rows[i].row.remote.addr);
        rows[i].row.remote.port = (uint16_t)(40000 + i);
        rows[i].buckets[20] = 99;
        rows[i].buckets[40] = 1;
    }
    if (!file)
        return 1;
    fwrite(&header, sizeof header, 1, file);
    fwrite(&lane, sizeof lane, 1, file);
    fwrite(rows, sizeof rows[0], CONNECTIONS, file);
    return fclose(file) != 0;
}

/* The schema and one connection that is closed. */
static int write_history(const char *path)
{
    static const char insert[] =
        "INSERT INTO connections(line_s, opened_ns, closed_ns, duration_ns, ending, program, pid, uid, interface,"
        " protocol, kind, accepted, state, local, local_port, remote, remote_port, rx_bytes, tx_bytes, rx_packets,"
        " tx_packets, ring_drops, drops, retransmissions, srtt_us, latency_count, p50_ns, p99_ns, seen_ns, boot,"
        " opened_monotonic_ns, instance, key, ring_drops_before, histogram)"
        " VALUES(0, 1000000000, 3000000000, 2000000000, 1, 'redis-server', 500, 0, 'eth0', 6, 0, 1, 1, x'c0000207',"
        " 6379, x'20010db8000000000000000000000009', 40000, 10, 20, 1, 2, 0, 0, 0, 41, 100, 700, 2500, 0, '', 0, 1, 1,"
        " 0, ?)";
    uint32_t buckets[LANE_STATS_SLOT_BUCKETS] = {[20] = 99, [40] = 1, [127] = 100000};
    uint8_t packed[HISTORY_HISTOGRAM_MAX];
    size_t length = history_histogram_pack(buckets, packed);
    sqlite3_stmt *statement;
    int version, done;
    sqlite3 *db;

    if (sqlite3_open(path, &db) != SQLITE_OK || history_schema_upgrade(db, &version) != SQLITE_OK ||
        sqlite3_prepare_v2(db, insert, -1, &statement, NULL) != SQLITE_OK)
        return 1;
    sqlite3_bind_blob(statement, 1, packed, (int)length, SQLITE_STATIC);
    done = sqlite3_step(statement);
    sqlite3_finalize(statement);
    return sqlite3_close(db) != SQLITE_OK || done != SQLITE_DONE;
}

int main(int argc, char **argv)
{
    return argc != 3 ? 2 : strcmp(argv[1], "table") == 0 ? write_table(argv[2]) : write_history(argv[2]);
}
