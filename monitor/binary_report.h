/* SPDX-License-Identifier: BSD-2-Clause */
/* The service's binary reports, asked for and opened. */
#ifndef LOCKSTEP_MONITOR_BINARY_REPORT_H
#define LOCKSTEP_MONITOR_BINARY_REPORT_H

#include "service/connection_table.h"
#include "service/journal.h"
#include "stack/netd_client.h"

/* client_report's and table_read's errors; free with table_free. */
int table_ask(struct netd_client *client, bool histograms, struct connection_table *out);

/* client_report's and journal_reader_open's errors. The reader outlives the client and the service: what a service
 * that has ended wrote last is read as before. */
int journal_ask(struct netd_client *client, struct journal_reader *out);

#endif
