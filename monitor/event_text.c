/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/event_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/units.h"
#include "monitor/row_json.h"

#define FIELD(text) (int)strnlen(text, sizeof(text)), text
/* Texts of a record may lack their end. */
#define END(text)   ((text)[sizeof(text) - 1] = '\0')

const char *event_type(const struct journal_record *record)
{
    switch (record->type) {
    case JOURNAL_SERVICE:
        return "service";
    case JOURNAL_INTERFACE:
        return "interface";
    case JOURNAL_LANE_OPENED:
    case JOURNAL_LANE_CLOSED:
        return "lane";
    case JOURNAL_CONNECTION_OPENED:
    case JOURNAL_CONNECTION_CLOSED:
        return "connection";
    case JOURNAL_KERNEL_SOCKET:
        return "kernel";
    default:
        return NULL;
    }
}

/* --- words -------------------------------------------------------------------------------------------------- */

static void say_text(char *out, const struct journal_text *body)
{
    if (*body->subject)
        snprintf(out, EVENT_TEXT_MAX, "%.*s: %.*s", FIELD(body->subject), FIELD(body->text));
    else
        snprintf(out, EVENT_TEXT_MAX, "%.*s", FIELD(body->text));
}

static void say_lane(char *out, const struct lane_row *row, const char *what)
{
    snprintf(out, EVENT_TEXT_MAX, "%.*s (process %u) %s", FIELD(row->program), row->pid, what);
}

static void say_kernel_socket(char *out, const struct journal_kernel_socket *socket)
{
    char local[NET_ENDPOINT_TEXT_MAX], remote[NET_ENDPOINT_TEXT_MAX];

    snprintf(out, EVENT_TEXT_MAX, "%.*s (process %u): %s - %s not accelerated: %.*s", FIELD(socket->program),
             socket->pid, row_endpoint(&socket->local, local), row_endpoint(&socket->remote, remote),
             FIELD(socket->reason));
}

static void say_connection(char *out, const struct connection_row *row, const char *what)
{
    char local[NET_ENDPOINT_TEXT_MAX], remote[NET_ENDPOINT_TEXT_MAX];

    snprintf(out, EVENT_TEXT_MAX, "%.*s (process %u): %s %s - %s %s", FIELD(row->program), row->pid,
             row_protocol(row->protocol), row_endpoint(&row->local, local), row_endpoint(&row->remote, remote), what);
}

__attribute__((format(printf, 2, 3))) static void append(char *out, const char *format, ...)
{
    size_t used = strlen(out);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(out + used, EVENT_TEXT_MAX - used, format, arguments);
    va_end(arguments);
}

static void say_closed(char *out, const struct connection_row *row)
{
    uint64_t lost = row->drops + row->ring_drops;
    char received[UNITS_TEXT_MAX], sent[UNITS_TEXT_MAX], latency[UNITS_TEXT_MAX];

    say_connection(out, row, "closed");
    append(out, ": %s received, %s sent", units_format_bytes(row->rx_bytes, received),
           units_format_bytes(row->tx_bytes, sent));
    if (row->retransmissions)
        append(out, ", %u retransmitted", row->retransmissions);
    if (lost)
        append(out, ", %" PRIu64 " lost", lost);
    if (row->latency_count)
        append(out, ", latency p99 %s", units_format_ns(row->latency_p99_ns, latency));
}

void event_text(const struct journal_record *record, char *text)
{
    const void *body = journal_body(record);

    *text = '\0';
    switch (record->type) {
    case JOURNAL_SERVICE:
    case JOURNAL_INTERFACE:
        say_text(text, body);
        break;
    case JOURNAL_LANE_OPENED:
        say_lane(text, body, "is accelerated");
        break;
    case JOURNAL_LANE_CLOSED:
        say_lane(text, body, "has ended");
        break;
    case JOURNAL_CONNECTION_OPENED:
        say_connection(text, body, "opened");
        break;
    case JOURNAL_CONNECTION_CLOSED:
        say_closed(text, body);
        break;
    case JOURNAL_KERNEL_SOCKET:
        say_kernel_socket(text, body);
        break;
    }
}

/* --- JSON --------------------------------------------------------------------------------------------------- */

static void write_text(struct json_stream *json, struct journal_text body)
{
    END(body.subject);
    END(body.text);
    json_put_text(json, "subject", body.subject);
    json_put_text(json, "text", body.text);
}

static void write_lane(struct json_stream *json, struct lane_row row)
{
    END(row.program);
    END(row.device);
    json_put_uint(json, "lane", row.lane);
    json_put_text(json, "program", row.program);
    json_put_uint(json, "pid", row.pid);
    json_put_uint(json, "uid", row.uid);
    json_put_text(json, "injector", row.injector == CONTROL_INJECTOR_DIRECT ? "direct" : "guarded");
    json_put_text(json, "device", row.device);
    json_put_int(json, "since_ms", row.since_ns / 1000000);
    json_put_uint(json, "rx_packets", row.rx_packets);
    json_put_uint(json, "tx_packets", row.tx_packets);
    json_put_uint(json, "rx_bytes", row.rx_bytes);
    json_put_uint(json, "tx_bytes", row.tx_bytes);
    json_put_uint(json, "overruns", row.overruns);
    json_put_uint(json, "spin_ns", row.spin_ns);
}

static void write_connection(struct json_stream *json, struct connection_row row)
{
    END(row.program);
    END(row.interface);
    row_write(json, &row);
}

static void write_kernel_socket(struct json_stream *json, struct journal_kernel_socket socket)
{
    char text[NET_ENDPOINT_TEXT_MAX];

    END(socket.program);
    END(socket.reason);
    json_put_text(json, "program", socket.program);
    json_put_uint(json, "pid", socket.pid);
    json_put_uint(json, "uid", socket.uid);
    json_put_text(json, "protocol", row_protocol(socket.protocol));
    json_put_text(json, "local", row_endpoint(&socket.local, text));
    json_put_text(json, "remote", row_endpoint(&socket.remote, text));
    json_put_text(json, "reason", socket.reason);
}

void event_write(const struct journal_record *record, struct json_stream *json)
{
    static const char *const names[] = {
        [JOURNAL_SERVICE] = "service",          [JOURNAL_INTERFACE] = "interface",
        [JOURNAL_LANE_OPENED] = "lane-opened",  [JOURNAL_LANE_CLOSED] = "lane-closed",
        [JOURNAL_CONNECTION_OPENED] = "opened", [JOURNAL_CONNECTION_CLOSED] = "closed",
        [JOURNAL_KERNEL_SOCKET] = "kernel",
    };
    const void *body = journal_body(record);

    if (!event_type(record))
        return;
    json_put_text(json, "event", names[record->type]);
    switch (record->type) {
    case JOURNAL_SERVICE:
    case JOURNAL_INTERFACE:
        write_text(json, *(const struct journal_text *)body);
        break;
    case JOURNAL_LANE_OPENED:
    case JOURNAL_LANE_CLOSED:
        write_lane(json, *(const struct lane_row *)body);
        break;
    case JOURNAL_CONNECTION_OPENED:
    case JOURNAL_CONNECTION_CLOSED:
        write_connection(json, *(const struct connection_row *)body);
        break;
    case JOURNAL_KERNEL_SOCKET:
        write_kernel_socket(json, *(const struct journal_kernel_socket *)body);
        break;
    }
}
