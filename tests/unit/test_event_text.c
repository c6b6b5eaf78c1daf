/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/event_text.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/json_report.h"
#include "tests/unit/unit.h"

static union {
    struct journal_record record;
    char bytes[JOURNAL_RECORD_MAX];
} event;
static char text[EVENT_TEXT_MAX];

/* A record of that type whose body is to be filled in. */
static void *make(enum journal_type type)
{
    memset(&event, 0, sizeof event);
    event.record.type = (uint16_t)type;
    return &event.record + 1;
}

static const char *words(void)
{
    memset(text, '#', sizeof text);
    event_text(&event.record, text);
    assert_non_null(memchr(text, '\0', sizeof text));
    return text;
}

/* The caller puts it. */
static struct json_object *document(void)
{
    char *bytes = NULL;
    size_t length = 0;
    struct json_stream json = {.out = open_memstream(&bytes, &length)};
    struct json_object *object;

    json_begin(&json, NULL, '{');
    event_write(&event.record, &json);
    json_end(&json, '}');
    fclose(json.out);
    object = report_parse(bytes, length);
    assert_non_null(object);
    free(bytes);
    return object;
}

static struct connection_row *make_connection(enum journal_type type)
{
    struct connection_row *row = make(type);

    strcpy(row->program, "daq");
    row->pid = 12;
    row->protocol = IPPROTO_TCP;
    row->tcp_state = 1;
    row->accepted = 1;
    row->local = (struct net_endpoint){net_addr_from_v4(htonl(0x0a000001)), 7001};
    row->remote = (struct net_endpoint){net_addr_from_v4(htonl(0x0a000002)), 40000};
    return row;
}

static void a_connection_s_life_in_words(void **unused)
{
    struct connection_row *row = make_connection(JOURNAL_CONNECTION_OPENED);

    (void)unused;
    assert_string_equal(words(), "daq (process 12): tcp 10.0.0.1:7001 - 10.0.0.2:40000 opened");
    row = make_connection(JOURNAL_CONNECTION_CLOSED);
    row->rx_bytes = 2048;
    row->tx_bytes = 5;
    assert_string_equal(words(),
                        "daq (process 12): tcp 10.0.0.1:7001 - 10.0.0.2:40000 closed: 2.000 KiB received, 5 B sent");
    row->retransmissions = 3;
    row->drops = 1;
    row->ring_drops = 2;
    row->latency_count = 9;
    row->latency_p99_ns = 4000;
    assert_non_null(strstr(words(), ", 3 retransmitted, 3 lost, latency p99 4"));
}

static void a_connection_s_end_as_json(void **unused)
{
    struct connection_row *row = make_connection(JOURNAL_CONNECTION_CLOSED);
    struct json_object *object;

    (void)unused;
    row->rx_bytes = 2048;
    row->latency_count = 9;
    row->latency_p99_ns = 4000;
    object = document();
    assert_string_equal(report_text(object, "event"), "closed");
    assert_string_equal(report_text(object, "kind"), "accepted");
    assert_string_equal(report_text(object, "state"), "established");
    assert_string_equal(report_text(object, "remote"), "10.0.0.2:40000");
    assert_int_equal(report_number(object, "rx_bytes"), 2048);
    assert_int_equal(report_number(object, "p99_ns"), 4000);
    json_object_put(object);
}

static void a_socket_of_the_kernel(void **unused)
{
    struct journal_kernel_socket *socket = make(JOURNAL_KERNEL_SOCKET);
    struct json_object *object;

    (void)unused;
    strcpy(socket->program, "daq");
    strcpy(socket->reason, "loopback");
    socket->protocol = IPPROTO_UDP;
    socket->local = (struct net_endpoint){net_addr_from_v4(htonl(INADDR_LOOPBACK)), 9};
    socket->remote.addr = net_addr_any(true);
    assert_string_equal(words(), "daq (process 0): 127.0.0.1:9 - * not accelerated: loopback");
    object = document();
    assert_string_equal(report_text(object, "event"), "kernel");
    assert_string_equal(report_text(object, "protocol"), "udp");
    assert_string_equal(report_text(object, "reason"), "loopback");
    json_object_put(object);
}

static void texts_without_an_end_stay_in_bounds(void **unused)
{
    static const enum journal_type types[] = {
        JOURNAL_SERVICE,           JOURNAL_INTERFACE,         JOURNAL_LANE_OPENED,  JOURNAL_LANE_CLOSED,
        JOURNAL_CONNECTION_OPENED, JOURNAL_CONNECTION_CLOSED, JOURNAL_KERNEL_SOCKET};

    (void)unused;
    for (unsigned i = 0; i < sizeof types / sizeof types[0]; i++) {
        memset(make(types[i]), 0xf7, sizeof event - sizeof event.record);
        assert_non_null(event_type(&event.record));
        assert_true(strlen(words()) > 20);
        json_object_put(document());
    }
}

static void unknown_types_say_nothing(void **unused)
{
    struct json_object *object;

    (void)unused;
    make(JOURNAL_KERNEL_SOCKET + 1);
    assert_null(event_type(&event.record));
    assert_string_equal(words(), "");
    object = document();
    assert_int_equal(json_object_object_length(object), 0);
    json_object_put(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_s_life_in_words), cmocka_unit_test(a_connection_s_end_as_json),
        cmocka_unit_test(a_socket_of_the_kernel),       cmocka_unit_test(texts_without_an_end_stay_in_bounds),
        cmocka_unit_test(unknown_types_say_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
