/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/events.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/probe.h"
#include "service/lanes.h"
#include "service/rows.h"

void events_text(struct journal *journal, enum journal_type type, const char *subject, const char *format, ...)
{
    struct journal_text body = {0};
    va_list arguments;

    snprintf(body.subject, sizeof(body.subject), "%s", subject);
    va_start(arguments, format);
    vsnprintf(body.text, sizeof(body.text), format, arguments);
    va_end(arguments);
    journal_append(journal, type, &body, sizeof(body), NULL, 0);
}

static void append_lane(const struct netd *netd, enum journal_type type, const struct lane *lane)
{
    struct lane_row row;

    rows_lane(netd, lane, &row);
    journal_append(netd->journal, type, &row, sizeof(row), NULL, 0);
}

void events_lane_opened(const struct netd *netd, struct lane *lane)
{
    append_lane(netd, JOURNAL_LANE_OPENED, lane);
    lane->told = true;
    PROBE(lane_opened, lane->owner.lane, lane->client->process.pid, lane->client->uid, lane->injector);
}

void events_lane_closed(const struct netd *netd, const struct lane *lane)
{
    if (!lane->told)
        return;
    append_lane(netd, JOURNAL_LANE_CLOSED, lane);
    PROBE(lane_closed, lane->owner.lane, lane->client->process.pid, lane->owner.count);
}

void events_connection_opened(const struct netd *netd, const struct flow *flow)
{
    static const struct row_values nothing;
    struct connection_row row;

    rows_connection(netd, flow, &nothing, &row);
    journal_append(netd->journal, JOURNAL_CONNECTION_OPENED, &row, sizeof(row), NULL, 0);
}

void events_connection_closed(const struct netd *netd, const struct flow *flow, const struct control_flow_closed *final)
{
    struct row_values values;
    struct connection_row row;

    rows_read_values(netd, flow, true, &values);
    if (final) {
        values.slot = final->slot;
        memcpy(values.histogram, final->latency, sizeof(values.histogram));
    }
    rows_connection(netd, flow, &values, &row);
    journal_append(netd->journal, JOURNAL_CONNECTION_CLOSED, &row, sizeof(row), values.histogram,
                   sizeof(values.histogram));
}

void events_kernel_socket(const struct netd *netd, const struct kernel_socket *item)
{
    struct journal_kernel_socket body = {
        .pid = (uint32_t)item->pid,
        .uid = item->uid,
        .protocol = item->protocol,
        .local = item->local,
        .remote = item->remote,
    };

    memcpy(body.program, item->program, sizeof(body.program));
    memcpy(body.reason, item->reason, sizeof(body.reason));
    journal_append(netd->journal, JOURNAL_KERNEL_SOCKET, &body, sizeof(body), NULL, 0);
}
