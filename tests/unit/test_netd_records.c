/* SPDX-License-Identifier: BSD-2-Clause */
/* What the service records: its journal and the binary table, with programs that live, die and hand their lanes back.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "base/histogram.h"
#include "service/connection_table.h"
#include "service/journal.h"
#include "tests/unit/netd_rig.h"

enum { ESTABLISHED = 1 };

static union {
    struct journal_record record;
    char bytes[JOURNAL_RECORD_MAX];
} event;
static struct netd_client *observer;
static struct journal_reader reader;
static uint64_t lost;

/* --- looking ------------------------------------------------------------------------------------------------ */

static void observe(void)
{
    int fd;

    lost = 0;
    assert_int_equal(client_connect(&observer, dir, "observer", 0, NULL), 0);
    assert_int_equal(client_report(observer, CONTROL_REPORT_JOURNAL, &fd), 0);
    assert_int_equal(journal_reader_open(&reader, fd), 0);
    close(fd);
}

static void skip_old_events(void)
{
    while (journal_next(&reader, &event.record, &lost)) {
    }
}

static void observe_no_more(void)
{
    assert_int_equal(lost, 0);
    journal_reader_close(&reader);
    client_close(observer);
}

/* The next event, which comes soon; interfaces are attached at any time and passed over if not asked for. */
static const void *expect(enum journal_type type)
{
    for (int i = 0; i < 5000; i++) {
        if (journal_next(&reader, &event.record, &lost)) {
            if (event.record.type == JOURNAL_INTERFACE && type != JOURNAL_INTERFACE)
                continue;
            assert_int_equal(event.record.type, type);
            return journal_body(&event.record);
        }
        usleep(1000);
    }
    fail_msg("no event of type %d comes", (int)type);
    return NULL;
}

static void read_table(uint32_t kind, struct connection_table *table)
{
    int fd;

    assert_int_equal(client_report(observer, kind, &fd), 0);
    assert_int_equal(table_read(fd, table), 0);
    close(fd);
}

/* All that was asked of the service so far has been done. */
static void settle(struct program *program)
{
    const struct control_route anything = {.destination = endpoint(PEER, 0).addr, .source = net_addr_any(true)};
    struct control_route_reply reply;

    client_route(program->client, &anything, &reply);
}

static void count_something(struct program *program, uint32_t slot)
{
    struct lane_stats_slot *stats = &program->stats->slots[slot];

    stats->in_use = 1;
    stats->protocol = IPPROTO_TCP;
    stats->tcp_state = ESTABLISHED;
    stats->connected = 1;
    stats->rx_bytes = 1000 + slot;
    stats->tx_bytes = 2000 + slot;
    stats->rx_packets = 10;
    stats->tx_packets = 20;
    stats->retransmissions = 3;
    stats->srtt_us = 44;
    stats->opened_ns = platform_now_ns() - 5000000000ull;
    program->stats->latency[slot][histogram_index(20000) >> HISTOGRAM_COARSE_SHIFT] = 9;
    program->stats->latency[slot][histogram_index(1000000) >> HISTOGRAM_COARSE_SHIFT] = 1;
}

static void check_counted(const struct connection_row *row, uint32_t slot)
{
    assert_int_equal(row->rx_bytes, 1000 + slot);
    assert_int_equal(row->tx_bytes, 2000 + slot);
    assert_int_equal(row->rx_packets, 10);
    assert_int_equal(row->tx_packets, 20);
    assert_int_equal(row->retransmissions, 3);
    assert_int_equal(row->srtt_us, 44);
    assert_int_equal(row->latency_count, 10);
    assert_in_range(row->latency_p50_ns, 16000, 24000);
    assert_in_range(row->latency_max_ns, 900000, 1250000);
}

static void check_histogram(const uint32_t *buckets)
{
    assert_int_equal(buckets[histogram_index(20000) >> HISTOGRAM_COARSE_SHIFT], 9);
    assert_int_equal(buckets[histogram_index(1000000) >> HISTOGRAM_COARSE_SHIFT], 1);
}

static const uint32_t *histogram_of_event(void)
{
    assert_int_equal(event.record.size,
                     sizeof(event.record) + sizeof(struct connection_row) + LANE_STATS_SLOT_BUCKETS * sizeof(uint32_t));
    return (const uint32_t *)((const struct connection_row *)journal_body(&event.record) + 1);
}

static int64_t realtime_ns(void)
{
    return (int64_t)platform_now_ns() + platform_realtime_offset_ns();
}

static int listening_socket(uint16_t port)
{
    int fd = bound_socket(0, SOCK_STREAM, HERE, port, false);

    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void accept_one(struct program *program, uint32_t listener, uint32_t number, uint16_t port)
{
    struct control_flow_accepted accepted = {.listener_flow_id = listener,
                                             .slot = number,
                                             .client_id = FLOW_CLIENT_ID | number,
                                             .local = endpoint(HERE, port),
                                             .remote = endpoint(PEER, (uint16_t)(6000 + number))};

    assert_int_equal(client_flow_accepted(program->client, &accepted), 0);
}

/* --- tests -------------------------------------------------------------------------------------------------- */

static void the_journal_begins_with_the_service(void **unused)
{
    const struct journal_text *text;

    (void)unused;
    observe();
    text = expect(JOURNAL_SERVICE);
    assert_string_equal(text->subject, "lockstep-netd");
    assert_non_null(strstr(text->text, "started"));
    assert_int_equal(event.record.sequence, 1);
    text = expect(JOURNAL_INTERFACE);
    assert_string_equal(text->subject, "v0");
    assert_non_null(strstr(text->text, "attached as"));
    observe_no_more();
}

static void lives_are_told_from_beginning_to_end(void **unused)
{
    const struct connection_row *row;
    const struct lane_row *lane;
    struct program program;
    uint32_t flow_id;
    uint64_t key;
    int fd = listening_socket(5100);

    (void)unused;
    observe();
    skip_old_events();
    program_open(&program);
    lane = expect(JOURNAL_LANE_OPENED);
    assert_int_equal(lane->pid, getpid());
    assert_int_equal(lane->lane, program.lane.lane);
    assert_string_equal(lane->program, "test");
    assert_int_equal(flow_add_bound(&program, fd, 0, &flow_id), 0);
    row = expect(JOURNAL_CONNECTION_OPENED);
    assert_int_equal(row->flow, flow_id);
    assert_string_equal(connection_state_name(row), "listen");
    assert_string_equal(row->interface, "v0");
    accept_one(&program, flow_id, 7, 5100);
    row = expect(JOURNAL_CONNECTION_OPENED);
    assert_true(row->accepted);
    assert_int_equal(row->remote.port, 6007);
    assert_in_range(row->since_ns, realtime_ns() - 1000000000, realtime_ns());
    key = row->key;
    count_something(&program, 7);
    assert_int_equal(client_flow_remove(program.client, FLOW_CLIENT_ID | 7), 0);
    row = expect(JOURNAL_CONNECTION_CLOSED);
    assert_int_equal(row->key, key);
    check_counted(row, 7);
    check_histogram(histogram_of_event());
    accept_one(&program, flow_id, 7, 5100); /* the same numbers, another life */
    row = expect(JOURNAL_CONNECTION_OPENED);
    assert_true(row->key > key);
    program_close(&program);
    expect(JOURNAL_CONNECTION_CLOSED);
    expect(JOURNAL_CONNECTION_CLOSED);
    lane = expect(JOURNAL_LANE_CLOSED);
    assert_int_equal(lane->lane, program.lane.lane);
    assert_int_equal(lane->flows, 0);
    close(fd);
    observe_no_more();
}

static struct control_flow_closed closed_message(uint32_t number)
{
    struct control_flow_closed message = {.flow_id = FLOW_CLIENT_ID | number,
                                          .slot = {.in_use = 1, .protocol = IPPROTO_TCP}};

    message.slot.tcp_state = ESTABLISHED;
    message.slot.rx_bytes = 111;
    message.slot.tx_bytes = 222;
    message.slot.opened_ns = platform_now_ns() - 2000000000;
    message.latency[17] = 5;
    return message;
}

static void a_flow_s_last_state_comes_with_its_end(void **unused)
{
    struct control_flow_closed message = closed_message(3);
    const struct connection_row *row;
    struct program program;
    uint32_t flow_id;
    int fd = listening_socket(5101);

    (void)unused;
    observe();
    program_open(&program);
    assert_true(client_has(program.client, CONTROL_FEATURE_FLOW_CLOSED));
    assert_int_equal(flow_add_bound(&program, fd, 0, &flow_id), 0);
    accept_one(&program, flow_id, 3, 5101);
    settle(&program);
    skip_old_events();
    count_something(&program, 3); /* by now somebody else's */
    assert_int_equal(client_flow_closed(program.client, &message), 0);
    row = expect(JOURNAL_CONNECTION_CLOSED);
    assert_int_equal(row->rx_bytes, 111);
    assert_int_equal(row->tx_bytes, 222);
    assert_int_equal(row->latency_count, 5);
    assert_int_equal(histogram_of_event()[17], 5);
    assert_int_equal(client_flow_closed(program.client, &message), 0); /* not there any more: nothing */
    program_close(&program);
    expect(JOURNAL_CONNECTION_CLOSED);
    expect(JOURNAL_LANE_CLOSED);
    close(fd);
    observe_no_more();
}

static void what_was_over_before_it_was_told_is_told_at_once(void **unused)
{
    struct control_flow_closed message = closed_message(4);
    const struct connection_row *row;
    struct program program;
    uint32_t flow_id;
    uint64_t key;
    int fd = listening_socket(5102);

    (void)unused;
    observe();
    program_open(&program);
    assert_int_equal(flow_add_bound(&program, fd, 0, &flow_id), 0);
    settle(&program);
    skip_old_events();
    message.unannounced = 1;
    message.accepted = (struct control_flow_accepted){.listener_flow_id = flow_id,
                                                      .slot = 4,
                                                      .client_id = FLOW_CLIENT_ID | 4,
                                                      .local = endpoint(HERE, 5999),
                                                      .remote = endpoint(PEER, 6004)};
    assert_int_equal(client_flow_closed(program.client, &message), 0); /* it has no listener there */
    message.accepted.local.port = 5102;
    assert_int_equal(client_flow_closed(program.client, &message), 0);
    row = expect(JOURNAL_CONNECTION_OPENED);
    assert_int_equal(row->remote.port, 6004);
    assert_int_equal(row->rx_bytes, 0);
    assert_in_range(row->since_ns, realtime_ns() - 20000000000, realtime_ns() - 1999000000);
    key = row->key;
    row = expect(JOURNAL_CONNECTION_CLOSED);
    assert_int_equal(row->key, key);
    assert_int_equal(row->rx_bytes, 111);
    program_close(&program);
    row = expect(JOURNAL_CONNECTION_CLOSED); /* of the listener */
    assert_int_equal(row->flow, flow_id);
    expect(JOURNAL_LANE_CLOSED);
    close(fd);
    observe_no_more();
}

/* When the program's accept comes late, it tells of the connection twice, the second time with the socket behind it. */
static void told_twice_it_is_one_connection(void **unused)
{
    struct control_flow_accepted accepted = {
        .slot = 5, .client_id = FLOW_CLIENT_ID | 5, .remote = endpoint(PEER, 6005)};
    struct control_claim claim = {.protocol = IPPROTO_TCP, .local = endpoint(HERE, 1), .remote = endpoint(PEER, 1)};
    int fd = listening_socket(5107), behind = bound_socket(0, SOCK_STREAM, HERE, 5199, false);
    socklen_t cookie_size = sizeof(accepted.socket_cookie);
    const struct connection_row *row;
    struct program program;

    (void)unused;
    observe();
    skip_old_events();
    program_open(&program);
    assert_int_equal(flow_add_bound(&program, fd, 0, &accepted.listener_flow_id), 0);
    accepted.local = endpoint(HERE, 5107);
    assert_int_equal(client_flow_accepted(program.client, &accepted), 0);
    settle(&program);
    assert_int_equal(client_claim(observer, behind, &claim), LOCKSTEP_E_GONE); /* nobody's */
    assert_int_equal(getsockopt(behind, SOL_SOCKET, SO_COOKIE, &accepted.socket_cookie, &cookie_size), 0);
    assert_int_equal(client_flow_accepted(program.client, &accepted), 0);
    accepted.slot = 6; /* nonsense: not the connection that it was */
    assert_int_equal(client_flow_accepted(program.client, &accepted), 0);
    settle(&program);
    assert_int_equal(client_claim(program.client, behind, &claim), LOCKSTEP_E_BAD_VALUE); /* its own by now */
    expect(JOURNAL_LANE_OPENED);
    expect(JOURNAL_CONNECTION_OPENED);
    expect(JOURNAL_CONNECTION_OPENED);
    program_close(&program);
    row = expect(JOURNAL_CONNECTION_CLOSED);
    assert_false(row->accepted);
    row = expect(JOURNAL_CONNECTION_CLOSED);
    assert_int_equal(row->slot, 5);
    expect(JOURNAL_LANE_CLOSED);
    close(fd);
    close(behind);
    observe_no_more();
}

/* end: number of the message about its end, 0: not sent yet. */
static void put_untold(struct program *program, uint32_t slot, uint16_t port, bool connected, uint64_t end)
{
    struct lane_stats_slot *stats = &program->stats->slots[slot];

    count_something(program, slot);
    stats->connected = connected;
    program->stats->end_told[slot] = end;
    stats->local = endpoint(HERE, port).addr;
    stats->local_port = port;
    stats->remote = endpoint(PEER, 0).addr;
    stats->remote_port = (uint16_t)(6000 + slot);
}

static void hasty_body(void *argument, int to_parent, int from_parent)
{
    const struct control_flow_closed unknown = {.flow_id = 12345, .number = 8};
    struct program program;
    uint32_t flow_id;

    program_open(&program);
    child_assert(flow_add_bound(&program, *(int *)argument, 1, &flow_id) == 0);
    put_untold(&program, 2, 5108, false, 0); /* never established */
    put_untold(&program, 3, 5108, true, 8);  /* the service has heard of it */
    put_untold(&program, 4, 5109, true, 0);  /* not its port */
    put_untold(&program, 5, 5108, true, 9);  /* killed before it came to send that */
    put_untold(&program, 6, 5108, true, 0);  /* behind what it says is in use */
    program.stats->slots_used = 6;
    child_assert(client_flow_closed(program.client, &unknown) == 0);
    settle(&program);
    child_assert(program.stats->ends_heard == 8);
    tell(to_parent);
    await(from_parent);
}

static void what_a_killed_program_came_not_to_tell_is_in_its_page(void **unused)
{
    int fd = listening_socket(5108);
    const struct connection_row *row;
    struct child child;

    (void)unused;
    observe();
    child_start(&child, NOBODY, hasty_body, &fd);
    assert_true(await(child.from_child));
    skip_old_events();
    kill(child.pid, SIGKILL);
    row = expect(JOURNAL_CONNECTION_OPENED);
    assert_int_equal(row->remote.port, 6005);
    check_counted(expect(JOURNAL_CONNECTION_CLOSED), 5);
    check_histogram(histogram_of_event());
    row = expect(JOURNAL_CONNECTION_CLOSED);
    assert_string_equal(connection_state_name(row), "listen");
    expect(JOURNAL_LANE_CLOSED);
    assert_int_equal(child_end(&child), -SIGKILL);
    close(fd);
    observe_no_more();
}

/* A page full of connections that never were: what others have recorded stays. */
static void boaster_body(void *argument, int to_parent, int from_parent)
{
    struct program program;
    uint32_t flow_id;

    program_open(&program);
    child_assert(flow_add_bound(&program, *(int *)argument, 0, &flow_id) == 0);
    for (uint32_t slot = 1; slot < LANE_STATS_SLOTS; slot++)
        put_untold(&program, slot, 5110, true, 0);
    program.stats->slots_used = LANE_STATS_SLOTS;
    tell(to_parent);
    await(from_parent);
}

static void a_killed_program_s_page_does_not_flush_the_journal(void **unused)
{
    int fd = listening_socket(5110);
    struct child child;

    (void)unused;
    observe();
    child_start(&child, NOBODY, boaster_body, &fd);
    assert_true(await(child.from_child));
    skip_old_events();
    kill(child.pid, SIGKILL);
    assert_int_equal(child_end(&child), -SIGKILL);
    do {
        while (!journal_next(&reader, &event.record, &lost))
            usleep(1000);
    } while (event.record.type != JOURNAL_LANE_CLOSED);
    close(fd);
    observe_no_more();
}

static void doomed_body(void *argument, int to_parent, int from_parent)
{
    struct program program;
    uint32_t flow_id;

    program_open(&program);
    child_assert(flow_add_bound(&program, *(int *)argument, 1, &flow_id) == 0);
    count_something(&program, 1);
    tell(to_parent);
    await(from_parent);
}

static void a_killed_program_s_counters_are_read_from_its_page(void **unused)
{
    int fd = listening_socket(5103);
    struct child child;

    (void)unused;
    observe();
    child_start(&child, NOBODY, doomed_body, &fd);
    assert_true(await(child.from_child));
    skip_old_events();
    kill(child.pid, SIGKILL);
    check_counted(expect(JOURNAL_CONNECTION_CLOSED), 1);
    check_histogram(histogram_of_event());
    expect(JOURNAL_LANE_CLOSED);
    assert_int_equal(child_end(&child), -SIGKILL);
    close(fd);
    observe_no_more();
}

static void sockets_of_the_kernel_are_told_with_the_reason(void **unused)
{
    struct control_not_accelerated item = {.protocol = IPPROTO_TCP, .reason = "loop\xc3"};
    const struct journal_kernel_socket *socket;

    (void)unused;
    item.local = endpoint("127.0.0.1", 80);
    observe();
    skip_old_events();
    assert_int_equal(client_not_accelerated(observer, &item), 0);
    socket = expect(JOURNAL_KERNEL_SOCKET);
    assert_string_equal(socket->reason, "loop?");
    assert_string_equal(socket->program, "observer");
    assert_int_equal(socket->protocol, IPPROTO_TCP);
    assert_int_equal(socket->local.port, 80);
    observe_no_more();
}

static void the_table_shows_what_there_is(void **unused)
{
    struct connection_table table;
    struct program program;
    uint32_t flow_id;
    int fd = listening_socket(5104);

    (void)unused;
    observe();
    program_open(&program);
    assert_int_equal(flow_add_bound(&program, fd, 0, &flow_id), 0);
    count_something(&program, 2);
    accept_one(&program, flow_id, 2, 5104);
    program.stats->spin_ns = 77;
    settle(&program);
    read_table(CONTROL_REPORT_TABLE, &table);
    assert_int_equal(table.header.lane_count, 1);
    assert_int_equal(table.header.connection_count, 2);
    assert_int_equal(table.header.instance, reader.instance);
    assert_int_equal(table_lane(&table, 0)->pid, getpid());
    assert_int_equal(table_lane(&table, 0)->flows, 2);
    assert_int_equal(table_lane(&table, 0)->spin_ns, 77);
    assert_string_equal(connection_state_name(table_connection(&table, 0)), "listen");
    assert_string_equal(connection_state_name(table_connection(&table, 1)), "established");
    check_counted(table_connection(&table, 1), 2);
    assert_null(table_histogram(&table, 1));
    table_free(&table);
    read_table(CONTROL_REPORT_HISTOGRAMS, &table);
    check_counted(table_connection(&table, 1), 2);
    check_histogram(table_histogram(&table, 1));
    assert_int_equal(table_histogram(&table, 0)[0], 0);
    table_free(&table);
    program_close(&program);
    close(fd);
    observe_no_more();
}

static void nobody_body(void *argument, int to_parent, int from_parent)
{
    struct connection_table table;
    int fd;

    (void)argument;
    (void)to_parent;
    (void)from_parent;
    child_assert(client_connect(&observer, dir, "nobody", 0, NULL) == 0);
    child_assert(client_report(observer, CONTROL_REPORT_JOURNAL, &fd) == 0);
    child_assert(journal_reader_open(&reader, fd) == 0);
    child_assert(journal_next(&reader, &event.record, &lost));
    // cppcheck-suppress leakReturnValNotUsed ; it must fail
    child_assert(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    child_assert(client_report(observer, CONTROL_REPORT_TABLE, &fd) == 0);
    child_assert(table_read(fd, &table) == 0);
    child_assert(pwrite(fd, "x", 1, 0) < 0 && ftruncate(fd, 0) < 0);
    child_assert(client_report(observer, CONTROL_REPORT_JOURNAL + 1, &fd) == LOCKSTEP_E_BAD_VALUE);
}

static void every_user_may_look_and_change_nothing(void **unused)
{
    struct child child;

    (void)unused;
    child_start(&child, NOBODY, nobody_body, NULL);
    assert_int_equal(child_end(&child), 0);
}

/* A statistics page as the first version of the service made it. */
static void take_old_page(struct program *program)
{
    void *page;
    int fd = platform_memfd_sealed("old", LANE_STATS_BASE_BYTES, false, &page);

    assert_true(fd >= 0);
    memcpy(page, program->stats, LANE_STATS_BASE_BYTES);
    munmap(page, LANE_STATS_BASE_BYTES);
    close(program->fds.stats);
    program->fds.stats = fd;
}

static void hand_back(struct program *program)
{
    const struct control_lane_adopt adopt = {
        .lane = program->lane.lane, .injector = program->lane.injector, .ring_bytes = program->lane.ring_bytes};

    client_close(program->client);
    close(program->fds.event);
    service_start();
    assert_int_equal(client_connect(&program->client, dir, "test", 0, NULL), 0);
    assert_int_equal(client_lane_adopt(program->client, &adopt, &program->fds), 0);
}

static void survive_restart(bool old_page)
{
    const struct connection_row *row;
    struct program program;
    uint32_t flow_id;
    int64_t opened_ns;
    int fd = listening_socket(5105);

    observe();
    program_open(&program);
    count_something(&program, 1);
    opened_ns = (int64_t)program.stats->slots[1].opened_ns + platform_realtime_offset_ns();
    assert_int_equal(flow_add_bound(&program, fd, 1, &flow_id), 0);
    observe_no_more();
    service_end(SIGKILL);
    if (old_page)
        take_old_page(&program);
    hand_back(&program);
    assert_int_equal(flow_add_bound(&program, fd, 1, &flow_id), 0);
    observe();
    expect(JOURNAL_SERVICE);
    expect(JOURNAL_LANE_OPENED);
    row = expect(JOURNAL_CONNECTION_OPENED);
    assert_in_range(row->since_ns, opened_ns - 1000000, opened_ns + 1000000);
    program_close(&program);
    row = expect(JOURNAL_CONNECTION_CLOSED);
    assert_int_equal(row->rx_bytes, 1001);
    assert_int_equal(row->latency_count, old_page ? 0 : 10);
    expect(JOURNAL_LANE_CLOSED);
    close(fd);
    observe_no_more();
}

static void after_a_restart_connections_have_their_first_beginning(void **unused)
{
    (void)unused;
    survive_restart(false);
}

static void pages_of_an_older_service_are_taken_over(void **unused)
{
    (void)unused;
    survive_restart(true);
}

#define MANY 10000

static void many_body(void *argument, int to_parent, int from_parent)
{
    struct program program;
    uint32_t flow_id;

    program_open(&program);
    child_assert(flow_add_bound(&program, *(int *)argument, 0, &flow_id) == 0);
    for (uint32_t i = 1; i <= MANY; i++) {
        count_something(&program, i);
        accept_one(&program, flow_id, i, 5106);
    }
    settle(&program);
    tell(to_parent);
    await(from_parent);
}

static void ten_thousand_connections(void **unused)
{
    static bool seen[MANY + 1];
    int fd = listening_socket(5106);
    struct connection_table table;
    struct child child;
    uint64_t began_ns;

    (void)unused;
    observe();
    skip_old_events();
    child_start(&child, 0, many_body, &fd);
    assert_true(await(child.from_child));
    for (uint32_t kind = CONTROL_REPORT_TABLE; kind <= CONTROL_REPORT_HISTOGRAMS; kind++) {
        began_ns = platform_now_ns();
        read_table(kind, &table);
        print_message("# %s read after %.1f ms\n", kind == CONTROL_REPORT_TABLE ? "table" : "table with histograms",
                      (double)(platform_now_ns() - began_ns) / 1e6);
        assert_int_equal(table.header.connection_count, MANY + 1);
        for (uint32_t i = 1; i <= MANY; i++)
            check_counted(table_connection(&table, i), table_connection(&table, i)->slot);
        table_free(&table);
    }
    expect(JOURNAL_LANE_OPENED);
    for (int i = 0; i <= MANY; i++)
        expect(JOURNAL_CONNECTION_OPENED);
    kill(child.pid, SIGKILL);
    for (int i = 0; i <= MANY; i++) {
        const struct connection_row *row = expect(JOURNAL_CONNECTION_CLOSED);

        assert_in_range(row->slot, 0, MANY);
        assert_false(seen[row->slot]);
        seen[row->slot] = true;
    }
    expect(JOURNAL_LANE_CLOSED);
    assert_int_equal(child_end(&child), -SIGKILL);
    close(fd);
    observe_no_more();
}

#define REPORTS 8

static void curious_body(void *argument, int to_parent, int from_parent)
{
    struct netd_client *client;
    int fd;

    (void)argument;
    child_assert(client_connect(&client, dir, "curious", 0, NULL) == 0);
    tell(to_parent);
    await(from_parent);
    for (int i = 0; i < REPORTS; i++) {
        child_assert(client_report(client, CONTROL_REPORT_CONNECTIONS, &fd) == 0);
        close(fd);
    }
    tell(to_parent);
    await(from_parent);
}

static bool has_said_something(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, 0) == 1;
}

/* A long report is written by a child of the service's. */
static void a_report_reserves_no_ports(void **unused)
{
    int listener = listening_socket(5106);
    struct child many, curious;
    struct program program;

    (void)unused;
    child_start(&many, 0, many_body, &listener);
    assert_true(await(many.from_child));
    child_start(&curious, 0, curious_body, NULL);
    assert_true(await(curious.from_child));
    program_open(&program);
    tell(curious.to_child);
    while (!has_said_something(curious.from_child)) {
        int fd = bound_socket(0, SOCK_DGRAM, HERE, 5111, false); /* fails if somebody has the last one's copy */
        uint32_t flow_id;

        assert_int_equal(flow_add_bound(&program, fd, 1, &flow_id), 0);
        close(fd);
        assert_int_equal(client_flow_remove(program.client, flow_id), 0);
        settle(&program);
    }
    program_close(&program);
    assert_int_equal(child_end(&curious), 0);
    assert_int_equal(child_end(&many), 0);
    close(listener);
}

/* --- reading the configuration again ------------------------------------------------------------------------ */

static void write_config(const char *path, const char *interfaces)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    fprintf(file, "[netd]\ninterfaces = %s\n", interfaces);
    assert_int_equal(fclose(file), 0);
}

/* The answer of a service that was killed and started again, with the lane of a program that is not back yet. */
static void reload_without_other(const char *path, struct control_reload_reply *reply)
{
    struct netd_client *client;

    write_config(path, "v0, other0");
    service_end(SIGKILL);
    service_start_with("--config", path);
    write_config(path, "v0");
    assert_int_equal(client_connect(&client, dir, "reloader", 0, NULL), 0);
    assert_int_equal(client_reload(client, reply), 0);
    client_close(client);
}

#define TRIES 5 /* it waits for lanes for some seconds only */

static void no_interface_goes_while_lanes_are_coming_back(void **unused)
{
    struct control_reload_reply reply = {.failed = 0};
    struct program program;
    char path[96];

    (void)unused;
    snprintf(path, sizeof(path), "%s/netd.conf", dir);
    shell("ip link add other0 type veth peer name other1; ip link set other0 up; ip link set other1 up");
    service_end(SIGTERM);
    write_config(path, "v0, other0");
    service_start_with("--config", path);
    program_open(&program);
    for (int i = 0; i < TRIES && !reply.failed; i++)
        reload_without_other(path, &reply);
    assert_non_null(strstr(reply.text, "coming back"));
    program_close(&program);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_journal_begins_with_the_service),
        cmocka_unit_test(lives_are_told_from_beginning_to_end),
        cmocka_unit_test(a_flow_s_last_state_comes_with_its_end),
        cmocka_unit_test(what_was_over_before_it_was_told_is_told_at_once),
        cmocka_unit_test(told_twice_it_is_one_connection),
        cmocka_unit_test(what_a_killed_program_came_not_to_tell_is_in_its_page),
        cmocka_unit_test(a_killed_program_s_page_does_not_flush_the_journal),
        cmocka_unit_test(a_killed_program_s_counters_are_read_from_its_page),
        cmocka_unit_test(sockets_of_the_kernel_are_told_with_the_reason),
        cmocka_unit_test(the_table_shows_what_there_is),
        cmocka_unit_test(every_user_may_look_and_change_nothing),
        cmocka_unit_test(after_a_restart_connections_have_their_first_beginning),
        cmocka_unit_test(pages_of_an_older_service_are_taken_over),
        cmocka_unit_test(ten_thousand_connections),
        cmocka_unit_test(a_report_reserves_no_ports),
        cmocka_unit_test(no_interface_goes_while_lanes_are_coming_back),
    };

    if (!namespaces_possible()) {
        puts("1..0 # SKIP needs root");
        return 0;
    }
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("netd_records", tests, rig_set_up, rig_tear_down);
}
