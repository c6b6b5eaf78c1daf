/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows of the binary table and of the journal, as service/connection_table.h lays them out. */
#ifndef LOCKSTEP_SERVICE_ROWS_H
#define LOCKSTEP_SERVICE_ROWS_H

#include "service/netd.h"

/* What is counted of a connection outside the flow database; zero: unknown. */
struct row_values {
    struct lane_stats_slot slot;
    uint32_t histogram[LANE_STATS_SLOT_BUCKETS];
    uint64_t ring_drops;
};

/* As the lane's statistics page has them now, ring_drops as the divert has (0 without with_drops). */
void rows_read_values(const struct netd *netd, const struct flow *flow, bool with_drops, struct row_values *out);

void rows_lane(const struct netd *netd, const struct lane *lane, struct lane_row *row);
/* The flow's owner is a lane of the service's. */
void rows_connection(const struct netd *netd, const struct flow *flow, const struct row_values *values,
                     struct connection_row *row);

/* Writes the whole table (CONTROL_REPORT_TABLE, _HISTOGRAMS): about 0.3 microseconds a connection. */
int rows_write_table(const struct netd *netd, bool histograms, int fd);

#endif
