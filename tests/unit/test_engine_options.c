/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP options and urgent data in the engine, in virtual time. */
#include "engine_case.h"

static struct tcp_listener *listener;

/* ---- Giving up on connect */

static struct tcp_conn *open_with(enum engine_tcp_option option, int value)
{
    static uint16_t port = 45000;
    struct net_endpoint local = script_endpoint("10.0.0.1", port++), remote = script_endpoint("10.0.0.2", 81);
    struct engine_route route;
    struct tcp_conn *opened;
    script_route(NULL, NULL, &local.addr, 2, &route);
    assert_int_equal(ops->tcp_connect_option(script.engine, option, value), 0);
    assert_int_equal(ops->tcp_connect(script.engine, &local, &remote, &route, NULL, (void *)1, NULL, &opened), 0);
    return opened;
}

static void gives_up_after(struct tcp_conn *opening, unsigned ms)
{
    script_advance((ms - 10) * SCRIPT_MS);
    assert_int_equal(ops->tcp_error(opening), 0);
    script_advance(20 * SCRIPT_MS);
    assert_int_equal(ops->tcp_error(opening), ETIMEDOUT);
    ops->tcp_close(opening, false);
}

/* The kernel repeats the SYN after 1, 2, 4, ... seconds and waits for an answer to the last as long again. */
static void test_syn_count(void **state)
{
    (void)state;
    gives_up_after(open_with(ENGINE_TCP_SYNCNT, 1), 3000);
    gives_up_after(open_with(ENGINE_TCP_SYNCNT, 3), 15000);
    struct tcp_conn *opening = open_with(ENGINE_TCP_SYNCNT, 5);
    assert_int_equal(ops->tcp_option(opening, ENGINE_TCP_SYNCNT, 2), 0);
    gives_up_after(opening, 7000);
}

static void test_user_timeout_of_connect(void **state)
{
    (void)state;
    gives_up_after(open_with(ENGINE_TCP_USER_TIMEOUT_MS, 700), 700);
    struct tcp_conn *opening = open_with(ENGINE_TCP_NODELAY, 1);
    assert_int_equal(ops->tcp_option(opening, ENGINE_TCP_USER_TIMEOUT_MS, 1500), 0);
    gives_up_after(opening, 1500);
}

/* ---- Sending */

static void drain_sent(void)
{
    while (script_sent(&packet, &segment, NULL))
        ;
}

/* With a closed window: what is unsent stays at about the mark, below which the connection is writable again. */
static void test_unsent_low_water(void **state)
{
    (void)state;
    peer.window = 0;
    peer_sends(&peer, SEGMENT_ACK, NULL, 0);
    assert_int_equal(ops->tcp_option(conn, ENGINE_TCP_NOTSENT_LOWAT, 50000), 0);
    assert_true(ops->tcp_ready(conn) & EPOLLOUT);
    assert_int_equal(send_bytes(30000), 30000);
    assert_true(ops->tcp_ready(conn) & EPOLLOUT);
    assert_true(send_bytes(60000) > 0);
    assert_int_equal(send_bytes(1), -EAGAIN);
    assert_false(ops->tcp_ready(conn) & EPOLLOUT);
    assert_in_range(ops->tcp_notsent_bytes(conn), 50000, 100000);
    /* The window opens by 512 KB: all of it leaves, and the program may write. */
    events = 0;
    peer.window = 4096;
    peer_sends(&peer, SEGMENT_ACK, NULL, 0);
    ops->flush(script.engine);
    drain_sent();
    acknowledge(14480);
    assert_true(ops->tcp_notsent_bytes(conn) < 80000);
    for (int i = 0; i < 20 && ops->tcp_notsent_bytes(conn) > 0; i++) {
        drain_sent();
        acknowledge(segment.sequence + segment.payload_length - peer.expected);
    }
    assert_int_equal(ops->tcp_notsent_bytes(conn), 0);
    assert_true(events & EPOLLOUT);
    assert_true(ops->tcp_ready(conn) & EPOLLOUT);
}

static void test_unsent_low_water_of_one(void **state)
{
    (void)state;
    peer.window = 0;
    peer_sends(&peer, SEGMENT_ACK, NULL, 0);
    assert_int_equal(ops->tcp_option(conn, ENGINE_TCP_NOTSENT_LOWAT, 1), 0);
    ssize_t first = send_bytes(100000);
    assert_in_range(first, 1448, 65536); /* not byte by byte */
    assert_int_equal(send_bytes(1), -EAGAIN);
    assert_int_equal(ops->tcp_option(conn, ENGINE_TCP_NOTSENT_LOWAT, 0), 0);
    assert_true(send_bytes(1000) > 0);
}

/* ---- Receiving */

static void test_window_clamp(void **state)
{
    (void)state;
    assert_int_equal(ops->tcp_option(conn, ENGINE_TCP_WINDOW_CLAMP, 5000), 0);
    for (int i = 0; i < 100; i++) { /* the window that was announced is used up, then it is small */
        peer_sends(&peer, SEGMENT_ACK, data, 1448);
        ops->flush(script.engine);
        while (receive(data, sizeof(data)) > 0)
            ;
        script_advance(10 * SCRIPT_MS);
    }
    drain_sent();
    assert_in_range(segment.window << 8, 1448, 5000);
    struct tcp_conn *opening = open_with(ENGINE_TCP_WINDOW_CLAMP, 5000);
    next_sent();
    assert_int_equal(segment.flags, SEGMENT_SYN);
    assert_int_equal(segment.window, 5000);
    ops->tcp_close(opening, true);
}

/* It bounds the window, not what may wait for the program. */
static void test_window_clamp_and_a_slow_reader(void **state)
{
    (void)state;
    struct tcp_conn *opening = open_with(ENGINE_TCP_WINDOW_CLAMP, 5000);
    next_sent();
    struct peer server = {
        .port = 81, .engine_port = packet.source_port, .next = 1, .expected = segment.sequence + 1, .window = 0xffff};
    peer_segment(&server, server.next++, SEGMENT_SYN | SEGMENT_ACK, (uint8_t[4]){2, 4, 0x05, 0xb4}, 4, NULL, 0);
    for (int i = 0; i < 30; i++) {
        peer_sends(&server, SEGMENT_ACK, data, 1400);
        script_advance(10 * SCRIPT_MS);
        drain_sent();
        assert_int_equal(segment.acknowledgement, server.next);
        assert_in_range(segment.window, 3000, 5000);
    }
    assert_int_equal(ops->tcp_readable_bytes(opening), 42000);
    ops->tcp_close(opening, true);
}

/* ---- Accepting with data only */

static void listen_deferred(int seconds)
{
    struct net_endpoint local = script_endpoint("0.0.0.0", 7200);
    assert_int_equal(ops->tcp_listen(script.engine, &local, false, 5, &events, &listener), 0);
    assert_int_equal(ops->tcp_listener_option(listener, ENGINE_TCP_DEFER_ACCEPT_S, seconds), 0);
}

static struct peer client_connects(uint16_t port)
{
    static const uint8_t options[4] = {2, 4, 0x05, 0xb4};
    struct peer client = {.port = port, .engine_port = 7200, .next = 1, .window = 0xffff};
    drain_sent();
    peer_segment(&client, client.next++, SEGMENT_SYN, options, 4, NULL, 0);
    next_sent();
    assert_int_equal(segment.flags, SEGMENT_SYN | SEGMENT_ACK);
    client.expected = segment.sequence + 1;
    events = 0;
    peer_sends(&client, SEGMENT_ACK, NULL, 0);
    ops->flush(script.engine);
    return client;
}

static void cannot_accept(void)
{
    struct tcp_conn *accepted;
    assert_int_equal(events, 0);
    assert_int_equal(ops->tcp_listener_ready(listener), 0);
    assert_int_equal(ops->tcp_accept(listener, NULL, &accepted), -EAGAIN);
}

static void can_accept(ssize_t bytes)
{
    assert_true(events & EPOLLIN);
    assert_int_equal(ops->tcp_listener_ready(listener), EPOLLIN);
    assert_int_equal(ops->tcp_accept(listener, NULL, &conn), 0);
    assert_int_equal(receive(data, sizeof(data)), bytes);
}

static void test_deferred_accept(void **state)
{
    (void)state;
    listen_deferred(3);
    struct peer client = client_connects(1700);
    cannot_accept();
    peer_sends(&client, SEGMENT_ACK, "hello", 5);
    can_accept(5);
    client = client_connects(1701); /* who says nothing is accepted in the end */
    script_advance(2900 * SCRIPT_MS);
    cannot_accept();
    script_advance(200 * SCRIPT_MS);
    can_accept(-EAGAIN);
    client = client_connects(1702); /* who only ends */
    peer_sends(&client, SEGMENT_ACK | SEGMENT_FIN, NULL, 0);
    can_accept(0);
    ops->tcp_listener_close(listener);
}

static void test_deferred_then_reset(void **state)
{
    (void)state;
    listen_deferred(3);
    struct peer client = client_connects(1710);
    unsigned gone = script.gone;
    peer_sends(&client, SEGMENT_RST, NULL, 0);
    cannot_accept();
    assert_int_equal(script.gone, gone + 1);
    client = client_connects(1711);
    drain_sent();
    ops->tcp_listener_close(listener);
    next_sent();
    assert_true(segment.flags & SEGMENT_RST);
}

/* ---- Urgent data */

static void test_urgent_data_is_left_alone(void **state)
{
    (void)state;
    char text[20];
    script.urgent_moves = true;
    peer_sends(&peer, SEGMENT_ACK | SEGMENT_URG, "abc", 3);
    ops->flush(script.engine);
    assert_int_equal(script.urgent, 1);
    assert_int_equal(receive(text, sizeof(text)), -EAGAIN);
    peer_sends(&peer, SEGMENT_ACK, "def", 3); /* nor is what comes soon after */
    ops->flush(script.engine);
    nothing_sent();
    assert_int_equal(script.urgent, 1);
    /* The move did not happen: the peer repeats it, and it is data like any other. */
    script.urgent_moves = false;
    script_advance(200 * SCRIPT_MS);
    peer.next -= 6;
    peer_sends(&peer, SEGMENT_ACK | SEGMENT_URG, "abcdef", 6);
    assert_int_equal(receive(text, sizeof(text)), 6);
}

static void test_reset_during_the_move(void **state)
{
    (void)state;
    script.urgent_moves = true;
    peer_sends(&peer, SEGMENT_ACK | SEGMENT_URG, "abc", 3);
    peer.next -= 3;
    peer_sends(&peer, SEGMENT_RST, NULL, 0);
    assert_int_equal(ops->tcp_error(conn), ECONNRESET);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_syn_count),
        T(test_user_timeout_of_connect),
        T(test_unsent_low_water),
        T(test_unsent_low_water_of_one),
        T(test_window_clamp),
        T(test_window_clamp_and_a_slow_reader),
        T(test_deferred_accept),
        T(test_deferred_then_reset),
        T(test_urgent_data_is_left_alone),
        T(test_reset_during_the_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
