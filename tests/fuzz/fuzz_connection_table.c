/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as the service's binary table: what is accepted can be walked to its end. */
#include <string.h>

#include "service/connection_table.h"
#include "tests/fuzz/fuzz.h"

static void walk_connection(const struct connection_table *table, uint32_t i, const char *end)
{
    const struct connection_row *row = table_connection(table, i);
    const uint32_t *histogram = table_histogram(table, i);

    fuzz_require((const char *)(row + 1) <= end);
    fuzz_require(strlen(row->program) < sizeof(row->program) && strlen(row->interface) < sizeof(row->interface));
    fuzz_require(connection_state_name(row) != NULL);
    fuzz_require(!histogram || (const char *)(histogram + LANE_STATS_SLOT_BUCKETS) <= end);
    if (histogram)
        fuzz_require(connection_quantile(histogram, 500000) <= connection_quantile(histogram, 990000));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct connection_table table;
    char *copy = malloc(size ? size : 1); /* aligned, and its end is watched */

    memcpy(copy, data, size);
    if (table_parse(copy, size, &table) == 0) {
        for (uint32_t i = 0; i < table.header.lane_count; i++)
            fuzz_require(strlen(table_lane(&table, i)->program) < CONTROL_NAME_MAX);
        for (uint32_t i = 0; i < table.header.connection_count; i++)
            walk_connection(&table, i, copy + size);
    }
    free(copy);
    return 0;
}
