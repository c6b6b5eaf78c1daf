/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine against a peer that is played packet by packet, in virtual time. */
#include "engine_case.h"

#include <sys/wait.h>
#include <unistd.h>

static void sack(uint32_t left, uint32_t right)
{
    uint8_t option[12] = {1, 1, 5, 10};
    script_put32(option + 4, left);
    script_put32(option + 8, right);
    peer_segment(&peer, peer.next, SEGMENT_ACK, option, 12, NULL, 0);
    ops->flush(script.engine);
}

/* ---- Handshake */

static void test_syn(void **state)
{
    (void)state;
    static uint16_t port = 41000;
    struct net_endpoint local = script_endpoint("10.0.0.1", port++), remote = script_endpoint("10.0.0.2", 81);
    struct engine_route route;
    struct tcp_conn *other;
    uint64_t start = script.now_ns;
    script_route(NULL, NULL, &local.addr, 2, &route);
    assert_int_equal(ops->tcp_connect(script.engine, &local, &remote, &route, NULL, (void *)1, NULL, &other), 0);
    assert_int_equal(ops->tcp_connect(script.engine, &local, &remote, &route, NULL, (void *)2, NULL, &other),
                     -EADDRNOTAVAIL);
    next_sent();
    assert_int_equal(segment.flags, SEGMENT_SYN);
    assert_int_equal(segment.mss, 1460);
    assert_true(segment.has_timestamp);
    assert_true(packet_checksum_ok(&packet, true));
    /* On a LAN it is repeated after 25 ms, 50 ms more, and so on, until connect gives up. */
    uint32_t sequence = segment.sequence;
    script_advance(25 * SCRIPT_MS);
    next_sent();
    assert_int_equal(segment.sequence, sequence);
    nothing_sent();
    script_advance(50 * SCRIPT_MS);
    next_sent();
    script_advance(127000 * SCRIPT_MS);
    assert_int_equal(script.gone, 1);
    assert_ptr_equal(script.gone_id, (void *)1);
    assert_int_equal(ops->tcp_error(other), ETIMEDOUT);
    assert_true(script.now_ns - start >= 127000 * SCRIPT_MS);
    ops->tcp_close(other, false);
}

static void test_initial_sequence_numbers(void **state)
{
    (void)state;
    struct peer other;
    uint32_t first = peer.expected;
    assert_non_null(script_connect(&other, &events, true));
    assert_true(other.expected - first > 100 && first - other.expected > 100);
}

static void test_syn_reset(void **state)
{
    (void)state;
    struct net_endpoint local = script_endpoint("10.0.0.1", 42000), remote = script_endpoint("10.0.0.2", 82);
    struct engine_route route;
    struct tcp_conn *other;
    uint32_t noted = 0;
    script_route(NULL, NULL, &local.addr, 2, &route);
    assert_int_equal(ops->tcp_connect(script.engine, &local, &remote, &route, &noted, (void *)1, NULL, &other), 0);
    next_sent();
    struct peer refuser = {.port = 82, .engine_port = 42000, .expected = segment.sequence + 5};
    peer_segment(&refuser, 0, SEGMENT_RST | SEGMENT_ACK, NULL, 0, NULL, 0); /* not an answer to our SYN */
    assert_int_equal(noted, 0);
    refuser.expected = segment.sequence + 1;
    peer_segment(&refuser, 0, SEGMENT_RST, NULL, 0, NULL, 0); /* without acknowledgement */
    assert_int_equal(noted, 0);
    peer_segment(&refuser, 0, SEGMENT_RST | SEGMENT_ACK, NULL, 0, NULL, 0);
    assert_true(noted & EPOLLERR);
    assert_int_equal(ops->tcp_error(other), ECONNREFUSED);
    ops->tcp_close(other, false);
}

/* ---- Data and acknowledgements */

static void test_delayed_ack(void **state)
{
    (void)state;
    char text[16];
    peer_sends(&peer, SEGMENT_ACK | SEGMENT_PSH, "hello", 5);
    ops->flush(script.engine);
    nothing_sent();
    assert_true(ops->tcp_ready(conn) & EPOLLIN);
    assert_int_equal(receive(text, sizeof(text)), 5);
    nothing_sent();
    script_advance(3 * SCRIPT_MS);
    nothing_sent();
    script_advance(2 * SCRIPT_MS);
    next_sent();
    assert_int_equal(segment.flags, SEGMENT_ACK);
    assert_int_equal(segment.acknowledgement, peer.next);
    nothing_sent();
}

static void test_ack_rides_on_data(void **state)
{
    (void)state;
    peer_sends(&peer, SEGMENT_ACK | SEGMENT_PSH, "request", 7);
    ops->flush(script.engine);
    assert_int_equal(send_bytes(100), 100);
    next_sent();
    assert_int_equal(segment.payload_length, 100);
    assert_int_equal(segment.acknowledgement, peer.next);
    assert_true(segment.flags & SEGMENT_PSH);
    acknowledge(100);
    script_advance(50 * SCRIPT_MS);
    nothing_sent();
}

static void test_second_segment_is_acknowledged(void **state)
{
    (void)state;
    peer_sends(&peer, SEGMENT_ACK, data, 1448);
    ops->flush(script.engine);
    nothing_sent();
    peer_sends(&peer, SEGMENT_ACK, data, 1448);
    nothing_sent(); /* at the end of the batch */
    ops->flush(script.engine);
    next_sent();
    assert_int_equal(segment.acknowledgement, peer.next);
    nothing_sent();
}

static void test_quickack(void **state)
{
    (void)state;
    ops->tcp_option(conn, ENGINE_TCP_QUICKACK, 1);
    peer_sends(&peer, SEGMENT_ACK, data, 10);
    ops->flush(script.engine);
    next_sent();
    assert_int_equal(segment.acknowledgement, peer.next);
}

static void test_nagle(void **state)
{
    (void)state;
    assert_int_equal(send_bytes(10), 10);
    next_sent();
    assert_int_equal(segment.payload_length, 10);
    assert_int_equal(send_bytes(10), 10);
    assert_int_equal(send_bytes(10), 10);
    nothing_sent();
    acknowledge(10);
    next_sent();
    assert_int_equal(segment.payload_length, 20);
    acknowledge(20);
    ops->tcp_option(conn, ENGINE_TCP_NODELAY, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send_bytes(10), 10);
        next_sent();
        assert_int_equal(segment.payload_length, 10);
    }
}

static void test_cork(void **state)
{
    (void)state;
    ops->tcp_option(conn, ENGINE_TCP_NODELAY, 1);
    ops->tcp_option(conn, ENGINE_TCP_CORK, 1);
    send_bytes(700);
    nothing_sent();
    send_bytes(800);
    next_sent();
    assert_int_equal(segment.payload_length, 1448);
    nothing_sent();
    ops->tcp_option(conn, ENGINE_TCP_CORK, 0);
    next_sent();
    assert_int_equal(segment.payload_length, 52);
    acknowledge(1500);
    struct iovec iov = {data, 30};
    assert_int_equal(ops->tcp_send(conn, &iov, 1, true), 30); /* MSG_MORE */
    nothing_sent();
    script_advance(199 * SCRIPT_MS);
    nothing_sent();
    script_advance(2 * SCRIPT_MS);
    next_sent();
    assert_int_equal(segment.payload_length, 30);
}

static void test_large_segments(void **state)
{
    (void)state;
    struct sent *sent = NULL;
    assert_int_equal(send_bytes(60000), 60000);
    assert_true(script_sent(&packet, &segment, &sent)); /* the initial window: ten segments in one packet */
    assert_int_equal(segment.payload_length, 10 * 1448);
    assert_int_equal(sent->segment_size, 1448);
    nothing_sent();
    acknowledge(10 * 1448);
    assert_true(script_sent(&packet, &segment, &sent));
    assert_int_equal(segment.payload_length, 20 * 1448); /* slow start */
    assert_int_equal(ops->tcp_unsent_bytes(conn), 60000 - 10 * 1448);
}

static void test_order(void **state)
{
    (void)state;
    char text[32] = "";
    uint32_t start = peer.next;
    peer_segment(&peer, start + 6, SEGMENT_ACK, NULL, 0, "world", 5);
    next_sent();
    assert_int_equal(segment.acknowledgement, start);
    assert_int_equal(segment.sack_count, 1);
    assert_int_equal(segment.sack[0].left, start + 6);
    assert_int_equal(segment.sack[0].right, start + 11);
    assert_int_equal(ops->tcp_readable_bytes(conn), 0);
    peer_segment(&peer, start + 3, SEGMENT_ACK, NULL, 0, "LO, w", 5); /* overlaps */
    peer_segment(&peer, start, SEGMENT_ACK, NULL, 0, "hel", 3);
    ops->flush(script.engine);
    assert_int_equal(receive(text, sizeof(text)), 11);
    assert_string_equal(text, "helLO,world");
    peer_segment(&peer, start, SEGMENT_ACK, NULL, 0, "hello,world!", 12); /* repeated and longer */
    ops->flush(script.engine);
    assert_int_equal(receive(text, sizeof(text)), 1);
    assert_int_equal(text[0], '!');
}

/* A FIN without data that comes before the data. */
static void test_fin_out_of_order(void **state)
{
    (void)state;
    uint32_t start = peer.next;
    char text[16] = "";
    peer_segment(&peer, start + 10, SEGMENT_ACK | SEGMENT_FIN, NULL, 0, NULL, 0);
    peer_segment(&peer, start + 5, SEGMENT_ACK, NULL, 0, "world", 5);
    assert_false(ops->tcp_ready(conn) & EPOLLRDHUP);
    peer_segment(&peer, start, SEGMENT_ACK, NULL, 0, "hello", 5);
    assert_int_equal(receive(text, sizeof(text)), 10);
    assert_string_equal(text, "helloworld");
    assert_int_equal(receive(text, sizeof(text)), 0);
    ops->flush(script.engine);
    while (script_sent(&packet, &segment, NULL))
        ;
    assert_int_equal(segment.acknowledgement, start + 11);
}

/* Many segments behind one hole, in pieces that follow each other, then others before and behind them. */
static void test_long_hole(void **state)
{
    (void)state;
    uint32_t start = peer.next;
    for (uint32_t i = 1; i < 40; i++) {
        peer_segment(&peer, start + i * 1000, SEGMENT_ACK, NULL, 0, data + i * 1000, 1000);
        if (i == 20)
            i++; /* a second hole */
    }
    ops->flush(script.engine);
    while (script_sent(&packet, &segment, NULL))
        ;
    assert_int_equal(segment.sack_count, 2);
    assert_int_equal(segment.sack[0].left, start + 22000);
    assert_int_equal(segment.sack[0].right, start + 40000);
    assert_int_equal(segment.sack[1].left, start + 1000);
    assert_int_equal(segment.sack[1].right, start + 21000);
    peer_segment(&peer, start, SEGMENT_ACK, NULL, 0, data, 1000);
    static uint8_t got[50000];
    assert_int_equal(receive(got, sizeof(got)), 21000);
    assert_memory_equal(got, data, 21000);
    peer_segment(&peer, start + 40000, SEGMENT_ACK, NULL, 0, data + 40000, 500);
    peer_segment(&peer, start + 21000, SEGMENT_ACK, NULL, 0, data + 21000, 1000);
    peer_segment(&peer, start + 40500, SEGMENT_ACK, NULL, 0, data + 40500, 500);
    assert_int_equal(receive(got, sizeof(got)), 20000);
    assert_memory_equal(got, data + 21000, 20000);
    ops->flush(script.engine);
    while (script_sent(&packet, &segment, NULL))
        ;
    assert_int_equal(segment.acknowledgement, start + 41000);
}

/* Receive buffers smaller than a segment or two must not stop the stream. */
static void test_tiny_buffer(void **state)
{
    (void)state;
    struct peer client;
    struct tcp_conn *accepted;
    static const uint8_t scaled[8] = {2, 4, 0x05, 0xb4, 1, 3, 3, 7};
    struct net_endpoint local = script_endpoint("0.0.0.0", 7100);
    struct tcp_listener *tiny;
    assert_int_equal(ops->tcp_listen(script.engine, &local, false, 5, NULL, &tiny), 0);
    assert_int_equal(ops->tcp_listener_option(tiny, ENGINE_TCP_RCVBUF, 2304), 0);
    client = (struct peer){.port = 1600, .engine_port = 7100, .next = 1, .window = 0xffff};
    peer_segment(&client, client.next, SEGMENT_SYN, scaled, 8, NULL, 0);
    client.next++;
    next_sent();
    client.expected = segment.sequence + 1;
    peer_sends(&client, SEGMENT_ACK, NULL, 0);
    assert_int_equal(ops->tcp_accept(tiny, NULL, &accepted), 0);
    conn = accepted;
    uint32_t edge = client.next + segment.window;
    for (size_t received = 0; received < 100000;) {
        uint32_t fits = edge - client.next;
        if ((int32_t)fits <= 0)
            fail_msg("the window stays closed after %zu bytes", received);
        peer_sends(&client, SEGMENT_ACK, data, fits < 1460 ? fits : 1460);
        ops->flush(script.engine);
        ssize_t n;
        while ((n = receive(data, 700)) > 0)
            received += (size_t)n;
        script_advance(5 * SCRIPT_MS);
        while (script_sent(&packet, &segment, NULL))
            edge = segment.acknowledgement + ((uint32_t)segment.window << 8);
    }
    ops->tcp_listener_close(tiny);
}

static void test_window(void **state)
{
    (void)state;
    size_t total = 0;
    while (total < 70000) { /* more than the window */
        peer_sends(&peer, SEGMENT_ACK, data, 1448);
        ops->flush(script.engine);
        total += 1448;
    }
    assert_int_equal(ops->tcp_readable_bytes(conn), 65536);
    while (script_sent(&packet, &segment, NULL))
        ;
    assert_int_equal(segment.window, 0);
    uint32_t acknowledged = segment.acknowledgement;
    assert_int_equal(receive(data, 30000), 30000);
    assert_int_equal(receive(data, 30000), 30000);
    while (script_sent(&packet, &segment, NULL))
        ;
    assert_int_equal(segment.acknowledgement, acknowledged);
    assert_true(segment.window << 8 >= 30000); /* told without being asked */
}

/* ---- Losses */

static void test_lone_segment_is_repeated(void **state)
{
    (void)state;
    script_advance(1000 * SCRIPT_MS);
    uint64_t start = script.now_ns;
    struct sent *sent = NULL;
    assert_int_equal(send_bytes(100), 100);
    next_sent();
    uint32_t sequence = segment.sequence;
    script_advance(30 * SCRIPT_MS);
    assert_true(script_sent(&packet, &segment, &sent));
    assert_int_equal(segment.sequence, sequence);
    assert_int_equal(segment.payload_length, 100);
    assert_true(sent->at_ns - start <= 30 * SCRIPT_MS);
    nothing_sent();
    /* The probe does not collapse the congestion window; timeouts then back off. */
    struct tcp_info info;
    ops->tcp_info(conn, &info);
    assert_int_equal(info.tcpi_snd_cwnd, 10);
    uint64_t last = sent->at_ns, gap = 0;
    for (int i = 0; i < 5; i++) {
        script_advance(2000 * SCRIPT_MS);
        if (!script_sent(&packet, &segment, &sent))
            break;
        if (i > 0)
            assert_true(sent->at_ns - last >= gap * 3 / 2);
        gap = sent->at_ns - last;
        last = sent->at_ns;
    }
    ops->tcp_info(conn, &info);
    assert_int_equal(info.tcpi_snd_cwnd, 1);
    acknowledge(100);
    assert_int_equal(ops->tcp_unsent_bytes(conn), 0);
    ops->tcp_info(conn, &info);
    assert_int_equal(info.tcpi_backoff, 0);
}

static void test_fast_retransmit(void **state)
{
    (void)state;
    assert_int_equal(send_bytes(10 * 1448), 10 * 1448);
    next_sent();
    uint32_t start = segment.sequence;
    sack(start + 2 * 1448, start + 3 * 1448);
    nothing_sent();
    sack(start + 2 * 1448, start + 4 * 1448);
    sack(start + 2 * 1448, start + 5 * 1448);
    next_sent(); /* the first of the two missing ones */
    assert_int_equal(segment.sequence, start);
    assert_true(segment.payload_length >= 1448 && segment.payload_length <= 2 * 1448);
    uint32_t repeated = segment.payload_length;
    sack(start + 2 * 1448, start + 6 * 1448);
    sack(start + 2 * 1448, start + 7 * 1448);
    sack(start + 2 * 1448, start + 10 * 1448);
    while (script_sent(&packet, &segment, NULL)) {
        assert_true(segment.sequence - start < 2 * 1448); /* holes only */
        repeated += segment.payload_length;
    }
    assert_int_equal(repeated, 2 * 1448);
    acknowledge(10 * 1448);
    assert_int_equal(ops->tcp_unsent_bytes(conn), 0);
    script_advance(5000 * SCRIPT_MS);
    nothing_sent();
}

static void test_tail_loss(void **state)
{
    (void)state;
    assert_int_equal(send_bytes(5 * 1448), 5 * 1448);
    next_sent();
    uint32_t start = segment.sequence;
    acknowledge(2 * 1448); /* the last three are lost */
    script_advance(10 * SCRIPT_MS);
    next_sent();
    assert_int_equal(segment.sequence, start + 4 * 1448);
    nothing_sent();
    sack(start + 4 * 1448, start + 5 * 1448); /* the probe arrived */
    script_advance(5 * SCRIPT_MS);
    next_sent();
    assert_int_equal(segment.sequence, start + 2 * 1448);
    assert_int_equal(segment.payload_length, 2 * 1448);
    acknowledge(3 * 1448);
    assert_int_equal(ops->tcp_unsent_bytes(conn), 0);
}

static void test_peer_without_sack(void **state)
{
    (void)state;
    conn = script_connect(&peer, &events, false);
    ops->tcp_option(conn, ENGINE_TCP_NODELAY, 1);
    for (int i = 0; i < 10; i++)
        assert_int_equal(send_bytes(1460), 1460);
    uint32_t start = peer.expected;
    while (script_sent(&packet, &segment, NULL))
        ;
    for (int i = 0; i < 3; i++)
        acknowledge(0);
    next_sent();
    assert_int_equal(segment.sequence, start);
    assert_int_equal(segment.payload_length, 1460);
    acknowledge(0);
    acknowledge(4 * 1460); /* partial: the fifth is missing too */
    next_sent();
    assert_int_equal(segment.sequence, start + 4 * 1460);
    acknowledge(6 * 1460);
    assert_int_equal(ops->tcp_unsent_bytes(conn), 0);
}

static void test_injector_refuses(void **state)
{
    (void)state;
    script.send_error = -EAGAIN;
    assert_int_equal(send_bytes(3000), 3000);
    nothing_sent();
    script.send_error = 0;
    script_advance(2 * SCRIPT_MS);
    next_sent();
    assert_int_equal(segment.payload_length, 3000);
    script.send_error = -ENOBUFS;
    peer_sends(&peer, SEGMENT_ACK, data, 1448);
    peer_sends(&peer, SEGMENT_ACK, data, 1448);
    ops->flush(script.engine);
    nothing_sent();
    script.send_error = 0;
    script_advance(2 * SCRIPT_MS);
    next_sent();
    assert_int_equal(segment.acknowledgement, peer.next);
}

static void test_zero_window_probe(void **state)
{
    (void)state;
    peer.window = 0;
    acknowledge(0);
    assert_int_equal(send_bytes(100), 100);
    nothing_sent();
    script_advance(1000 * SCRIPT_MS);
    next_sent();
    assert_int_equal(segment.payload_length, 0);
    assert_int_equal(segment.sequence, peer.expected - 1);
    peer.window = 1000;
    acknowledge(0);
    next_sent();
    if (segment.payload_length == 0)
        next_sent();
    assert_int_equal(segment.payload_length, 100);
}

static void test_user_timeout(void **state)
{
    (void)state;
    ops->tcp_option(conn, ENGINE_TCP_USER_TIMEOUT_MS, 3000);
    assert_int_equal(send_bytes(100), 100);
    script_advance(2900 * SCRIPT_MS);
    assert_false(ops->tcp_ready(conn) & EPOLLERR);
    script_advance(4000 * SCRIPT_MS);
    assert_true(events & EPOLLERR);
    assert_int_equal(receive(data, 10), -ETIMEDOUT);
    assert_int_equal(script.gone, 1);
}

/* A window that stays open for less than a segment gets what fits, after a while. */
static void test_small_window(void **state)
{
    (void)state;
    peer.window = 4; /* scaled by 7: 512 bytes */
    acknowledge(0);
    peer_segment(&peer, peer.next, SEGMENT_ACK, NULL, 0, NULL, 0);
    assert_int_equal(send_bytes(5000), 5000);
    nothing_sent();
    script_advance(250 * SCRIPT_MS);
    next_sent();
    assert_int_equal(segment.payload_length, 512);
    acknowledge(512);
    script_advance(250 * SCRIPT_MS);
    next_sent();
    assert_int_equal(segment.payload_length, 512);
}

/* MSG_MORE, then nothing follows: an empty send without it lets the data go. */
static void test_push_after_more(void **state)
{
    (void)state;
    struct iovec iov = {data, 30};
    assert_int_equal(ops->tcp_send(conn, &iov, 1, true), 30);
    nothing_sent();
    iov.iov_len = 0;
    assert_int_equal(ops->tcp_send(conn, &iov, 1, false), 0);
    next_sent();
    assert_int_equal(segment.payload_length, 30);
}

/* After a timeout under a small path MTU the route allows larger segments again: the stream goes on. */
static void test_larger_mss_after_timeout(void **state)
{
    (void)state;
    script.generation++;
    script.mtu = 600;
    assert_int_equal(send_bytes(400), 400);
    script_advance(1000 * SCRIPT_MS); /* timeouts: a window of one small segment */
    acknowledge(400);
    while (script_sent(&packet, &segment, NULL))
        ;
    script.generation++;
    script.mtu = 1500;
    assert_int_equal(send_bytes(3000), 3000);
    next_sent();
    assert_true(segment.payload_length > 0);
}

/* ---- What must not be believed */

static void test_reset(void **state)
{
    (void)state;
    peer_segment(&peer, peer.next + 100, SEGMENT_RST, NULL, 0, NULL, 0); /* in the window: challenged */
    next_sent();
    assert_int_equal(segment.acknowledgement, peer.next);
    peer_segment(&peer, peer.next - 1, SEGMENT_RST, NULL, 0, NULL, 0); /* outside: ignored */
    nothing_sent();
    assert_false(events & EPOLLERR);
    peer_segment(&peer, peer.next, SEGMENT_RST, NULL, 0, NULL, 0);
    assert_true(events & EPOLLERR);
    assert_int_equal(script.gone, 1);
    nothing_sent();
    assert_int_equal(ops->tcp_ready(conn) & (EPOLLIN | EPOLLHUP | EPOLLRDHUP | EPOLLERR),
                     EPOLLIN | EPOLLHUP | EPOLLRDHUP | EPOLLERR);
    assert_int_equal(receive(data, 10), -ECONNRESET);
    assert_int_equal(receive(data, 10), 0);
}

static void test_challenges(void **state)
{
    (void)state;
    peer_segment(&peer, peer.next, SEGMENT_SYN, NULL, 0, NULL, 0);
    next_sent();
    assert_int_equal(segment.flags, SEGMENT_ACK);
    peer.expected += 50000; /* acknowledges what was never sent; its data must not be taken */
    peer_segment(&peer, peer.next, SEGMENT_ACK, NULL, 0, "evil", 4);
    next_sent();
    assert_int_equal(ops->tcp_readable_bytes(conn), 0);
    peer.expected -= 50000;
    peer_segment(&peer, peer.next, 0, NULL, 0, "evil", 4); /* no ACK flag */
    assert_int_equal(ops->tcp_readable_bytes(conn), 0);
    /* PAWS */
    peer.timestamp -= 10;
    peer_segment(&peer, peer.next, SEGMENT_ACK, NULL, 0, "evil", 4);
    assert_int_equal(ops->tcp_readable_bytes(conn), 0);
    next_sent();
    assert_int_equal(segment.acknowledgement, peer.next);
    for (int i = 0; i < 5000; i++)
        peer_segment(&peer, peer.next, SEGMENT_SYN, NULL, 0, NULL, 0);
    assert_true(script.sent_total < 1100); /* challenge ACKs are limited */
}

static void test_bad_checksum(void **state)
{
    (void)state;
    uint8_t bytes[44] = {0};
    size_t length = script_ip(bytes, 6, 24);
    script_put16(bytes + 20, 80);
    script_put16(bytes + 22, peer.engine_port);
    bytes[32] = 5 << 4;
    uint64_t before = script.stats->bad_packets;
    script_input(bytes, length, 0);
    assert_int_equal(script.stats->bad_packets, before + 1);
    for (size_t cut = 0; cut < length; cut++)
        script_input(bytes, cut, 0);
    assert_int_equal(script.stats->bad_packets, before + 1 + length);
}

static void test_out_of_order_is_bounded(void **state)
{
    (void)state;
    uint32_t start = peer.next;
    for (uint32_t i = 0; i < 30000; i++) /* every other byte of the window */
        peer_segment(&peer, start + 2 + 2 * i, SEGMENT_ACK, NULL, 0, "x", 1);
    /* The engine lives and holds little; the stream goes on. */
    peer_segment(&peer, start, SEGMENT_ACK, NULL, 0, "ab", 2);
    assert_true(ops->tcp_readable_bytes(conn) >= 2);
}

/* ---- Closing */

static void test_active_close(void **state)
{
    (void)state;
    ops->tcp_close(conn, false);
    next_sent();
    assert_int_equal(segment.flags, SEGMENT_FIN | SEGMENT_ACK);
    acknowledge(1);
    nothing_sent();
    assert_int_equal(script.gone, 0);
    peer_sends(&peer, SEGMENT_FIN | SEGMENT_ACK, NULL, 0);
    ops->flush(script.engine);
    next_sent();
    assert_int_equal(segment.acknowledgement, peer.next);
    /* TIME_WAIT: the last ACK may have been lost. */
    peer_segment(&peer, peer.next - 1, SEGMENT_FIN | SEGMENT_ACK, NULL, 0, NULL, 0);
    next_sent();
    assert_int_equal(segment.acknowledgement, peer.next);
    peer_segment(&peer, peer.next, SEGMENT_RST, NULL, 0, NULL, 0); /* RFC 1337 */
    script_advance(59000 * SCRIPT_MS);
    assert_int_equal(script.gone, 0);
    script_advance(2000 * SCRIPT_MS);
    assert_int_equal(script.gone, 1);
}

static void test_passive_close(void **state)
{
    (void)state;
    peer_sends(&peer, SEGMENT_FIN | SEGMENT_ACK, "bye", 3);
    ops->flush(script.engine);
    next_sent();
    assert_int_equal(segment.acknowledgement, peer.next);
    assert_true(events & EPOLLRDHUP);
    assert_int_equal(receive(data, 10), 3);
    assert_int_equal(receive(data, 10), 0);
    assert_int_equal(send_bytes(5), 5); /* half closed */
    ops->tcp_close(conn, false);
    next_sent();
    next_sent();
    assert_int_equal(segment.flags, SEGMENT_FIN | SEGMENT_ACK);
    acknowledge(6);
    assert_int_equal(script.gone, 1); /* no TIME_WAIT on this side */
    nothing_sent();
}

static void test_lost_fin(void **state)
{
    (void)state;
    send_bytes(10);
    ops->tcp_close(conn, false);
    next_sent();
    next_sent();
    assert_true(segment.flags & SEGMENT_FIN);
    uint32_t sequence = segment.sequence;
    script_advance(30 * SCRIPT_MS);
    next_sent();
    assert_true(segment.flags & SEGMENT_FIN);
    assert_int_equal(segment.sequence + segment.payload_length, sequence);
    acknowledge(11);
    script_advance(61000 * SCRIPT_MS); /* FIN_WAIT_2 without a handle does not last */
    assert_int_equal(script.gone, 1);
}

static void test_orphan_gives_up(void **state)
{
    (void)state;
    send_bytes(10);
    ops->tcp_close(conn, false);
    script_advance(240000 * SCRIPT_MS);
    assert_int_equal(script.gone, 1);
}

static void test_data_after_close(void **state)
{
    (void)state;
    ops->tcp_close(conn, false);
    next_sent();
    peer.expected++;
    peer_sends(&peer, SEGMENT_ACK, "late", 4);
    next_sent();
    assert_true(segment.flags & SEGMENT_RST);
    assert_int_equal(script.gone, 1);
}

static void test_abort(void **state)
{
    (void)state;
    ops->tcp_close(conn, true);
    next_sent();
    assert_true(segment.flags & SEGMENT_RST);
    assert_int_equal(segment.sequence, peer.expected);
    assert_int_equal(script.gone, 1);
    /* A late packet finds nothing, and no port of ours: silence. */
    peer_sends(&peer, SEGMENT_ACK, "x", 1);
    nothing_sent();
}

static void test_simultaneous_close(void **state)
{
    (void)state;
    ops->tcp_shutdown(conn, false, true);
    next_sent();
    assert_int_equal(send_bytes(1), -EPIPE);
    peer_segment(&peer, peer.next, SEGMENT_FIN | SEGMENT_ACK, NULL, 0, NULL, 0); /* has not seen our FIN */
    peer.next++;
    ops->flush(script.engine);
    next_sent();
    acknowledge(1);
    assert_true(ops->tcp_ready(conn) & EPOLLHUP);
    ops->tcp_close(conn, false);
    assert_int_equal(script.gone, 0);
    script_advance(61000 * SCRIPT_MS);
    assert_int_equal(script.gone, 1);
}

/* The peer goes on sending after our FIN was acknowledged. */
static void test_receiving_in_fin_wait_2(void **state)
{
    (void)state;
    ops->tcp_shutdown(conn, false, true);
    next_sent();
    acknowledge(1);
    size_t received = 0;
    uint32_t edge = peer.next + 60000;
    while (received < 400000) {
        for (int i = 0; i < 10 && (int32_t)(edge - peer.next) >= 1448; i++)
            peer_sends(&peer, SEGMENT_ACK, data, 1448);
        ops->flush(script.engine);
        ssize_t n;
        size_t before = received;
        while ((n = receive(data, 5000)) > 0)
            received += (size_t)n;
        while (script_sent(&packet, &segment, NULL))
            edge = segment.acknowledgement + ((uint32_t)segment.window << 8);
        if (received == before)
            fail_msg("stalled after %zu bytes", received);
    }
}

static void test_keepalive(void **state)
{
    (void)state;
    ops->tcp_option(conn, ENGINE_TCP_KEEPIDLE_S, 10);
    ops->tcp_option(conn, ENGINE_TCP_KEEPINTVL_S, 2);
    ops->tcp_option(conn, ENGINE_TCP_KEEPCNT, 3);
    ops->tcp_option(conn, ENGINE_TCP_KEEPALIVE, 1);
    script_advance(9900 * SCRIPT_MS);
    nothing_sent();
    script_advance(200 * SCRIPT_MS);
    next_sent();
    assert_int_equal(segment.sequence, peer.expected - 1);
    acknowledge(0);
    script_advance(9900 * SCRIPT_MS);
    nothing_sent();
    script_advance(4500 * SCRIPT_MS); /* probes at 10, 12 and 14 s */
    next_sent();
    next_sent();
    next_sent();
    nothing_sent();
    script_advance(3000 * SCRIPT_MS);
    next_sent();
    assert_true(segment.flags & SEGMENT_RST);
    assert_int_equal(receive(data, 1), -ETIMEDOUT);
}

/* ---- Paths */

static void icmp_about(uint8_t type, uint8_t code, uint16_t mtu, uint32_t sequence)
{
    uint8_t bytes[20 + 8 + 28] = {0};
    script_ip(bytes + 28, 6, 1480);
    script_put32(bytes + 28 + 12, 0x0a000001);
    script_put32(bytes + 28 + 16, 0x0a000002);
    script_put16(bytes + 48, peer.engine_port);
    script_put16(bytes + 50, peer.port);
    script_put32(bytes + 52, sequence);
    bytes[20] = type;
    bytes[21] = code;
    script_put16(bytes + 26, mtu);
    uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, bytes + 20, 36));
    memcpy(bytes + 22, &sum, 2);
    size_t length = script_ip(bytes, 1, 36);
    script_input(bytes, length, LANE_RECORD_ICMP);
    ops->flush(script.engine);
}

static void test_path_mtu(void **state)
{
    (void)state;
    struct sent *sent = NULL;
    assert_int_equal(send_bytes(3000), 3000);
    next_sent();
    uint32_t start = segment.sequence;
    icmp_about(3, 4, 1200, start + 100000); /* about something that was never sent */
    nothing_sent();
    icmp_about(3, 4, 1200, start);
    assert_true(script_sent(&packet, &segment, &sent));
    assert_int_equal(segment.sequence, start);
    assert_int_equal(sent->segment_size, 1200 - 40 - 12);
    assert_int_equal(segment.payload_length, 3000);
    acknowledge(3000);
    script.generation++; /* some other route has changed: what was learned stays */
    send_bytes(3000);
    assert_true(script_sent(&packet, &segment, &sent));
    assert_int_equal(sent->segment_size, 1200 - 40 - 12);
    acknowledge(3000);
    icmp_about(3, 4, 100, peer.expected); /* nothing outstanding at that number */
    send_bytes(3000);
    assert_true(script_sent(&packet, &segment, &sent));
    assert_true(sent->segment_size >= 500);
}

static void test_unreachable(void **state)
{
    (void)state;
    send_bytes(10);
    next_sent();
    icmp_about(3, 1, 0, segment.sequence);
    assert_false(events & EPOLLERR);
    assert_int_equal(ops->tcp_error(conn), EHOSTUNREACH); /* soft */
    acknowledge(10);
    assert_int_equal(send_bytes(10), 10);
}

static void test_route_changes(void **state)
{
    (void)state;
    struct sent *sent = NULL;
    script.generation++;
    script.mtu = 1000;
    send_bytes(3000);
    assert_true(script_sent(&packet, &segment, &sent));
    assert_int_equal(sent->segment_size, 1000 - 40 - 12);
}

/* ---- Listeners */

static struct tcp_listener *listener;
static uint32_t listener_events;

static void start_listener(int backlog)
{
    struct net_endpoint local = script_endpoint("0.0.0.0", 7000);
    listener_events = 0;
    assert_int_equal(ops->tcp_listen(script.engine, &local, false, backlog, &listener_events, &listener), 0);
}

/* A client's SYN; false if it is not answered. */
static bool client_syn_with(struct peer *client, uint16_t port, const void *options, size_t options_length)
{
    *client = (struct peer){.port = port, .engine_port = 7000, .next = port * 1000u, .window = 0xffff};
    peer_segment(client, client->next, SEGMENT_SYN, options, options_length, NULL, 0);
    client->next++;
    ops->flush(script.engine);
    if (!script_sent(&packet, &segment, NULL))
        return false;
    assert_int_equal(segment.flags, SEGMENT_SYN | SEGMENT_ACK);
    assert_int_equal(packet.destination_port, port);
    client->expected = segment.sequence + 1;
    return true;
}

static bool client_syn(struct peer *client, uint16_t port)
{
    static const uint8_t mss[4] = {2, 4, 0x05, 0xb4};
    return client_syn_with(client, port, mss, 4);
}

/* The window of an accepted connection follows the buffer, not lwIP's constant. */
static void test_accepted_window(void **state)
{
    (void)state;
    static const uint8_t scaled[8] = {2, 4, 0x05, 0xb4, 1, 3, 3, 7};
    struct peer client;
    struct tcp_conn *accepted;
    start_listener(5);
    assert_int_equal(ops->tcp_listener_option(listener, ENGINE_TCP_RCVBUF, 40000), 0);
    assert_true(client_syn_with(&client, 1500, scaled, 8));
    assert_int_equal(segment.window, 20000);
    peer_sends(&client, SEGMENT_ACK, NULL, 0);
    assert_int_equal(ops->tcp_accept(listener, NULL, &accepted), 0);
    ops->tcp_option(accepted, ENGINE_TCP_QUICKACK, 1);
    peer_sends(&client, SEGMENT_ACK, data, 1000);
    ops->flush(script.engine);
    next_sent();
    assert_true(segment.window << 8 <= 19000 && segment.window << 8 > 18000);
    for (int i = 0; i < 30; i++)
        peer_sends(&client, SEGMENT_ACK, data, 1000);
    assert_int_equal(ops->tcp_readable_bytes(accepted), 20000);
    ops->tcp_close(accepted, true);
}

static void test_accept(void **state)
{
    (void)state;
    struct peer client;
    struct tcp_conn *accepted;
    uint32_t noted = 0;
    start_listener(5);
    assert_true(client_syn(&client, 1001));
    assert_int_equal(script.opened, 1);
    assert_int_equal(ops->tcp_accept(listener, &noted, &accepted), -EAGAIN);
    assert_int_equal(listener_events, 0);
    peer_sends(&client, SEGMENT_ACK, NULL, 0);
    assert_int_equal(script.opened, 1);
    assert_true(listener_events & EPOLLIN);
    peer_sends(&client, SEGMENT_ACK, "early", 5); /* before accept */
    assert_int_equal(ops->tcp_accept(listener, &noted, &accepted), 0);
    conn = accepted;
    assert_int_equal(receive(data, 10), 5);
    assert_int_equal(send_bytes(20), 20);
    next_sent();
    assert_false(segment.has_timestamp); /* the client did not offer them */
    client.expected += 20;
    peer_sends(&client, SEGMENT_ACK, NULL, 0);
    ops->tcp_listener_close(listener);
    peer_sends(&client, SEGMENT_ACK, "on", 2);
    assert_int_equal(receive(data, 10), 2);
}

static void test_backlog(void **state)
{
    (void)state;
    struct peer client;
    struct tcp_conn *accepted;
    start_listener(1);
    for (uint16_t i = 0; i < 2; i++) { /* one more than the backlog, as with Linux */
        assert_true(client_syn(&client, (uint16_t)(1100 + i)));
        peer_sends(&client, SEGMENT_ACK, NULL, 0);
    }
    assert_false(client_syn(&client, 1200));
    assert_int_equal(ops->tcp_accept(listener, NULL, &accepted), 0);
    assert_true(client_syn(&client, 1201));
    ops->tcp_close(accepted, false);
    ops->tcp_listener_close(listener); /* resets the other, and the half-open one */
    assert_int_equal(script.gone, 2);
}

static void test_syn_flood(void **state)
{
    (void)state;
    struct peer client;
    int answered = 0;
    start_listener(10);
    for (uint16_t i = 0; i < 5000; i++)
        answered += client_syn(&client, (uint16_t)(2000 + i));
    assert_int_equal(answered, 5000);
    assert_int_equal(script.gone, 5000 - 1024); /* the oldest make room */
    peer_sends(&client, SEGMENT_ACK, NULL, 0);  /* an honest one among them */
    assert_true(ops->tcp_listener_ready(listener));
    script_advance(60000 * SCRIPT_MS);
    assert_int_equal(script.gone, 4999);
    script.taken = script.sent_count;
}

static void test_syn_ack_repeated(void **state)
{
    (void)state;
    struct peer client;
    start_listener(5);
    assert_true(client_syn(&client, 1300));
    uint32_t sequence = segment.sequence;
    peer_segment(&client, client.next - 1, SEGMENT_SYN, NULL, 0, NULL, 0); /* the client repeats its SYN */
    next_sent();
    assert_int_equal(segment.flags, SEGMENT_SYN | SEGMENT_ACK);
    assert_int_equal(segment.sequence, sequence);
    script_advance(1000 * SCRIPT_MS);
    next_sent();
    assert_int_equal(segment.sequence, sequence);
    script.taken = script.sent_count;
    script_advance(SCRIPT_MS);
    peer_sends(&client, SEGMENT_ACK, NULL, 0);
    assert_int_equal(script.opened, 1);
}

static void test_stray(void **state)
{
    (void)state;
    struct peer client = {.port = 555, .engine_port = 7000, .next = 1, .expected = 2};
    start_listener(5);
    peer_segment(&client, 77, SEGMENT_ACK, NULL, 0, "x", 1);
    next_sent();
    assert_int_equal(segment.flags, SEGMENT_RST);
    assert_int_equal(segment.sequence, 2);
    peer_segment(&client, 77, SEGMENT_RST, NULL, 0, NULL, 0);
    nothing_sent();
    client.engine_port = 7001; /* not ours at all */
    peer_segment(&client, 77, SEGMENT_ACK, NULL, 0, "x", 1);
    nothing_sent();
}

/* accept returns what the peer has reset meanwhile, as Linux does. */
static void test_reset_before_accept(void **state)
{
    (void)state;
    struct peer client;
    struct tcp_conn *accepted;
    start_listener(5);
    assert_true(client_syn(&client, 1310));
    peer_sends(&client, SEGMENT_ACK, NULL, 0);
    peer_sends(&client, SEGMENT_ACK, "data", 4);
    peer_segment(&client, client.next, SEGMENT_RST, NULL, 0, NULL, 0);
    assert_int_equal(script.gone, 1);
    assert_true(ops->tcp_listener_ready(listener) & EPOLLIN);
    assert_int_equal(ops->tcp_accept(listener, &events, &accepted), 0);
    conn = accepted;
    assert_true(ops->tcp_connected(conn));
    assert_null(ops->tcp_id(conn));
    assert_int_equal(receive(data, 10), 4);
    assert_int_equal(receive(data, 10), -ECONNRESET);
    ops->tcp_close(conn, false);
    assert_true(client_syn(&client, 1311)); /* and one that is never accepted */
    peer_sends(&client, SEGMENT_ACK, NULL, 0);
    peer_segment(&client, client.next, SEGMENT_RST, NULL, 0, NULL, 0);
    ops->tcp_listener_close(listener);
    assert_int_equal(script.gone, 2);
}

/* SO_REUSEPORT within the process: connections spread. */
static void test_shared_port(void **state)
{
    (void)state;
    struct net_endpoint local = script_endpoint("0.0.0.0", 7000);
    struct tcp_listener *shared[3];
    uint32_t noted[3] = {0};
    struct peer client;
    struct tcp_conn *accepted;
    int count[3] = {0};
    for (int i = 0; i < 3; i++)
        assert_int_equal(ops->tcp_listen(script.engine, &local, false, 100, &noted[i], &shared[i]), 0);
    for (uint16_t i = 0; i < 60; i++) {
        assert_true(client_syn(&client, (uint16_t)(3000 + i)));
        peer_sends(&client, SEGMENT_ACK, NULL, 0);
    }
    for (int i = 0; i < 3; i++) {
        while (ops->tcp_accept(shared[i], NULL, &accepted) == 0)
            count[i]++;
        assert_true(count[i] > 5);
    }
    assert_int_equal(count[0] + count[1] + count[2], 60);
}

static void test_connect_options(void **state)
{
    (void)state;
    struct net_endpoint local = script_endpoint("10.0.0.1", 43000), remote = script_endpoint("10.0.0.2", 83);
    struct engine_route route;
    struct tcp_conn *other;
    script_route(NULL, NULL, &local.addr, 2, &route);
    assert_int_equal(ops->tcp_connect_option(script.engine, ENGINE_TCP_MAXSEG, 600), 0);
    assert_int_equal(ops->tcp_connect_option(script.engine, ENGINE_TCP_RCVBUF, 8192), 0);
    assert_int_equal(ops->tcp_connect(script.engine, &local, &remote, &route, NULL, (void *)1, NULL, &other), 0);
    next_sent();
    assert_int_equal(segment.mss, 600);
    assert_int_equal(segment.window, 4096);
    local.port++; /* once only */
    assert_int_equal(ops->tcp_connect(script.engine, &local, &remote, &route, NULL, (void *)2, NULL, &other), 0);
    next_sent();
    assert_int_equal(segment.mss, 1460);
}

/* A connection from port 1400 that the engine has closed first. */
static struct peer client_in_time_wait(void)
{
    struct peer client;
    struct tcp_conn *accepted;
    start_listener(5);
    assert_true(client_syn(&client, 1400));
    peer_sends(&client, SEGMENT_ACK, NULL, 0);
    assert_int_equal(ops->tcp_accept(listener, NULL, &accepted), 0);
    ops->tcp_close(accepted, false);
    next_sent();
    client.expected++;
    peer_sends(&client, SEGMENT_ACK | SEGMENT_FIN, NULL, 0);
    ops->flush(script.engine);
    script.taken = script.sent_count;
    return client;
}

/* RFC 6191: a new connection takes the place of one in TIME_WAIT. */
static void test_time_wait_reuse(void **state)
{
    (void)state;
    struct peer client = client_in_time_wait();
    struct peer again = {.port = 1400, .engine_port = 7000, .window = 1000};
    peer_segment(&again, client.next - 1000, SEGMENT_SYN, NULL, 0, NULL, 0); /* an old one */
    next_sent();
    assert_int_equal(segment.flags, SEGMENT_ACK);
    peer_segment(&again, client.next + 10, SEGMENT_SYN, NULL, 0, NULL, 0);
    next_sent();
    assert_int_equal(segment.flags, SEGMENT_SYN | SEGMENT_ACK);
    assert_int_equal(script.gone, 1);
}

/* RFC 9293, 3.5.1: a SYN that may be an old one is asked about. */
static void test_time_wait_ends_by_an_asked_reset(void **state)
{
    (void)state;
    struct peer client = client_in_time_wait();
    struct peer again = {.port = 1400, .engine_port = 7000, .window = 1000};
    peer_segment(&again, client.next, SEGMENT_RST, NULL, 0, NULL, 0); /* nobody asked */
    peer_segment(&again, client.next - 1000, SEGMENT_SYN, NULL, 0, NULL, 0);
    next_sent();
    assert_int_equal(segment.flags, SEGMENT_ACK);
    assert_int_equal(segment.acknowledgement, client.next);
    peer_segment(&again, client.next + 1, SEGMENT_RST, NULL, 0, NULL, 0); /* no answer to that */
    assert_int_equal(script.gone, 0);
    peer_segment(&again, client.next, SEGMENT_RST, NULL, 0, NULL, 0);
    assert_int_equal(script.gone, 1);
    peer_segment(&again, client.next - 1000, SEGMENT_SYN, NULL, 0, NULL, 0); /* repeated */
    next_sent();
    assert_int_equal(segment.flags, SEGMENT_SYN | SEGMENT_ACK);
}

static void test_time_wait_is_bounded(void **state)
{
    (void)state;
    start_listener(5);
    for (unsigned i = 0; i < 9000; i++) {
        struct peer client;
        struct tcp_conn *accepted;
        assert_true(client_syn(&client, (uint16_t)(i + 1)));
        peer_sends(&client, SEGMENT_ACK, NULL, 0);
        assert_int_equal(ops->tcp_accept(listener, NULL, &accepted), 0);
        ops->tcp_close(accepted, false);
        client.expected++;
        peer_sends(&client, SEGMENT_ACK | SEGMENT_FIN, NULL, 0);
        ops->flush(script.engine);
        script.taken = script.sent_count;
    }
    assert_int_equal(script.gone, 9000 - 8192);
    script_advance(61000 * SCRIPT_MS);
    assert_int_equal(script.gone, 9000);
}

/* ---- Migration */

static uint8_t exported[4096];
static size_t exported_length;

static int export_sink(void *context, const void *bytes, size_t length)
{
    (void)context;
    memcpy(exported + exported_length, bytes, length);
    exported_length += length;
    return 0;
}

static void test_export(void **state)
{
    (void)state;
    struct control_migrate migrate = {.flow_id = 7};
    peer_sends(&peer, SEGMENT_ACK, "unread", 6);
    peer.window = 2;
    acknowledge(0);
    ops->tcp_option(conn, ENGINE_TCP_NODELAY, 1);
    send_bytes(100);
    peer_segment(&peer, peer.next + 500, SEGMENT_ACK, NULL, 0, "lost in the move", 16);
    exported_length = 0;
    assert_int_equal(ops->tcp_export(conn, &migrate, export_sink, NULL), 0);
    assert_int_equal(migrate.flow_id, 7);
    assert_int_equal(migrate.receive_bytes, 6);
    assert_int_equal(migrate.send_bytes, 100);
    assert_int_equal(exported_length, 106);
    assert_memory_equal(exported, "unread", 6);
    assert_memory_equal(exported + 6, data, 100);
    assert_int_equal(migrate.rcv_nxt, peer.next);
    assert_int_equal(migrate.snd_una, peer.expected);
    assert_int_equal(migrate.snd_nxt, peer.expected + 100);
    assert_int_equal(migrate.options, 7);
    assert_int_equal(migrate.send_scale, 7);
    assert_int_equal(migrate.mss, 1460);
    assert_true(migrate.rcv_wnd > 0 && (int32_t)(migrate.rcv_wup - migrate.rcv_nxt) <= 0);
    /* Frozen, then thawed. */
    script.taken = script.sent_count;
    script_advance(500 * SCRIPT_MS);
    peer_sends(&peer, SEGMENT_ACK, "x", 1);
    nothing_sent();
    peer.next--;
    ops->tcp_migrated(conn, false);
    script_advance(100 * SCRIPT_MS);
    next_sent();
    peer_sends(&peer, SEGMENT_ACK, "more", 4);
    assert_int_equal(receive(data, 10), 10);
    assert_int_equal(ops->tcp_export(conn, &migrate, export_sink, NULL), 0);
    script.taken = script.sent_count;
    ops->tcp_migrated(conn, true);
    assert_int_equal(script.gone, 1);
    peer_sends(&peer, SEGMENT_ACK, "for the kernel", 14);
    script_advance(10000 * SCRIPT_MS);
    nothing_sent();
}

/* ---- UDP */

static void datagram(const char *to, uint16_t from_port, uint16_t to_port, const char *text, unsigned flags)
{
    uint8_t bytes[200] = {0};
    size_t length = strlen(text);
    struct net_endpoint destination = script_endpoint(to, to_port);
    script_put16(bytes + 20, from_port);
    script_put16(bytes + 22, to_port);
    script_put16(bytes + 24, (uint16_t)(8 + length));
    memcpy(bytes + 28, text, length);
    size_t total = script_ip(bytes, 17, 8 + length);
    memcpy(bytes + 16, destination.addr.byte + 12, 4);
    memset(bytes + 10, 0, 2);
    uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, bytes, 20));
    memcpy(bytes + 10, &sum, 2);
    script_checksum(bytes, 6, 17, 8 + length);
    script_input(bytes, total, flags);
}

static struct udp_socket *udp_socket_at(const char *address, uint16_t port)
{
    struct net_endpoint local = script_endpoint(address, port);
    struct udp_socket *socket;
    assert_int_equal(ops->udp_open(script.engine, &local, false, NULL, NULL, &socket), 0);
    return socket;
}

static void assert_got(struct udp_socket *socket, const char *text)
{
    char got[200];
    struct iovec iov = {got, sizeof(got)};
    struct engine_datagram info;
    ssize_t n = ops->udp_recv(socket, &iov, 1, false, &info);
    if (!text) {
        assert_int_equal(n, -EAGAIN);
        return;
    }
    assert_int_equal(n, strlen(text));
    assert_memory_equal(got, text, (size_t)n);
}

static void test_udp_demultiplexing(void **state)
{
    (void)state;
    struct udp_socket *any = udp_socket_at("0.0.0.0", 500), *bound = udp_socket_at("10.0.0.1", 500);
    struct udp_socket *connected = udp_socket_at("10.0.0.1", 500);
    struct net_endpoint remote = script_endpoint("10.0.0.2", 600);
    assert_int_equal(ops->udp_connect(connected, &remote), 0);
    datagram("10.0.0.1", 600, 500, "connected", 0);
    datagram("10.0.0.1", 601, 500, "bound", 0);
    datagram("10.0.0.9", 601, 500, "any", 0);
    datagram("10.0.0.1", 601, 501, "nobody", 0);
    assert_got(connected, "connected");
    assert_got(connected, NULL);
    assert_got(bound, "bound");
    assert_got(bound, NULL);
    assert_got(any, "any");
    assert_got(any, NULL);
    assert_int_equal(ops->udp_connect(connected, NULL), 0);
    ops->udp_close(bound);
    datagram("10.0.0.1", 600, 500, "again", 0);
    assert_got(connected, "again");
    ops->udp_close(connected);
    ops->udp_close(any);
}

static void test_multicast(void **state)
{
    (void)state;
    struct net_endpoint group = script_endpoint("239.1.2.3", 700), source = script_endpoint("10.0.0.2", 0);
    struct net_endpoint other = script_endpoint("10.0.0.77", 0), none = script_endpoint("0.0.0.0", 0);
    struct udp_socket *a = udp_socket_at("0.0.0.0", 700), *b = udp_socket_at("239.1.2.3", 700);
    struct udp_socket *c = udp_socket_at("0.0.0.0", 700), *d = udp_socket_at("0.0.0.0", 700);
    ops->udp_own_groups_only(d, true);
    ops->udp_own_groups_only(a, true);
    assert_int_equal(ops->udp_join(a, &group.addr, &none.addr, 2), 0);
    assert_int_equal(ops->udp_join(a, &group.addr, &none.addr, 2), -EADDRINUSE);
    assert_int_equal(ops->udp_join(b, &group.addr, &source.addr, 2), 0);
    assert_int_equal(ops->udp_join(c, &group.addr, &other.addr, 2), 0); /* d joins nothing */
    datagram("239.1.2.3", 800, 700, "to all", LANE_RECORD_MULTICAST);
    assert_got(a, "to all");
    assert_got(b, "to all");
    assert_got(c, NULL);
    assert_got(d, NULL);
    assert_int_equal(ops->udp_leave(a, &group.addr, &none.addr, 2), 0);
    assert_int_equal(ops->udp_leave(a, &group.addr, &none.addr, 2), -EADDRNOTAVAIL);
    datagram("239.1.2.3", 800, 700, "fewer", LANE_RECORD_MULTICAST);
    assert_got(a, NULL);
    assert_got(b, "fewer");
    /* By default others' groups are received too (IP_MULTICAST_ALL), but not groups that nobody has joined. */
    ops->udp_own_groups_only(a, false);
    datagram("239.1.2.3", 800, 700, "joined by b", LANE_RECORD_MULTICAST);
    assert_got(a, "joined by b");
    assert_got(b, "joined by b");
    assert_got(c, NULL);
    datagram("239.1.2.4", 800, 700, "joined by nobody", LANE_RECORD_MULTICAST);
    assert_got(a, NULL);
    ops->udp_own_groups_only(a, true);
    /* A copy of what this process sends itself. */
    struct engine_route route = {.mtu = 1500, .ifindex = 2, .source = source.addr};
    struct engine_udp_send how = {.to = group, .route = &route, .ttl = 1, .loop = true};
    struct iovec iov = {"mine", 4};
    unsigned sent = script.sent_count;
    ops->udp_slot(b, &script.stats->slots[SCRIPT_SLOT + 3]); /* such a copy has come through no ring */
    assert_int_equal(ops->udp_send(d, &how, &iov, 1), 4);
    assert_got(b, "mine");
    assert_int_equal(script.stats->slots[SCRIPT_SLOT + 3].rx_packets, 1);
    for (int i = 0; i < LANE_STATS_SLOT_BUCKETS; i++)
        assert_int_equal(script.stats->latency[SCRIPT_SLOT + 3][i], 0);
    assert_int_equal(script.sent_count, sent + 1);
    how.no_send = true;
    assert_int_equal(ops->udp_send(d, &how, &iov, 1), 4);
    assert_got(b, "mine");
    assert_int_equal(script.sent_count, sent + 1);
}

/* Several datagrams in one packet. */
static void test_udp_merged(void **state)
{
    (void)state;
    uint8_t bytes[20 + 8 + 2500];
    struct udp_socket *socket = udp_socket_at("10.0.0.1", 910);
    struct iovec iov = {data, sizeof(data)};
    struct engine_datagram info;
    memset(bytes, 0, sizeof(bytes));
    script_put16(bytes + 20, 1);
    script_put16(bytes + 22, 910);
    script_put16(bytes + 24, 2508);
    for (size_t i = 0; i < 2500; i++)
        bytes[28 + i] = (uint8_t)(i / 1000);
    size_t length = script_ip(bytes, 17, 2508);
    struct lane_record *record = &script_record.record;
    *record = (struct lane_record){.stamp_ns = script.now_ns,
                                   .length = (uint32_t)length,
                                   .ifindex = 2,
                                   .flags = LANE_RECORD_MERGED,
                                   .segment_size = 1000};
    memcpy(record->data, bytes, length);
    ops->input(script.engine, record, true, 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(ops->udp_recv(socket, &iov, 1, false, &info), i < 2 ? 1000 : 500);
        assert_int_equal(data[0], i);
    }
    assert_int_equal(ops->udp_recv(socket, &iov, 1, false, &info), -EAGAIN);
}

static void test_udp_buffer(void **state)
{
    (void)state;
    struct net_endpoint local = script_endpoint("10.0.0.1", 900);
    struct udp_socket *socket;
    struct lane_stats_slot *slot = &script.stats->slots[5];
    slot->drops = 0;
    assert_int_equal(ops->udp_open(script.engine, &local, false, NULL, slot, &socket), 0);
    ops->udp_receive_buffer(socket, 5000);
    for (int i = 0; i < 100; i++)
        datagram("10.0.0.1", 1, 900, "0123456789", 0);
    int kept = 0;
    char text[5];
    struct iovec iov = {text, sizeof(text)};
    struct engine_datagram info;
    while (ops->udp_recv(socket, &iov, 1, false, &info) == 5) { /* cut, and says so */
        assert_int_equal(info.length, 10);
        kept++;
    }
    assert_true(kept >= 30 && kept < 100);
    assert_int_equal(slot->drops, 100 - kept);
}

static void test_latencies_are_counted_for_each_socket(void **state)
{
    (void)state;
    struct net_endpoint local = script_endpoint("10.0.0.1", 901);
    uint32_t *of_udp = script.stats->latency[SCRIPT_SLOT + 1], *of_tcp = script.stats->latency[SCRIPT_SLOT];
    struct udp_socket *socket;
    memset(of_udp, 0, sizeof(script.stats->latency[0]));
    memset(of_tcp, 0, sizeof(script.stats->latency[0]));
    memset(&script.stats->slots[SCRIPT_SLOT], 0, sizeof(script.stats->slots[0]));
    assert_int_equal(ops->udp_open(script.engine, &local, false, NULL, &script.stats->slots[SCRIPT_SLOT + 1], &socket),
                     0);
    script.latency = 5;
    assert_non_null(script_connect(&peer, &events, true));
    assert_true(script.stats->slots[SCRIPT_SLOT].connected);
    assert_int_equal(of_tcp[5], 1); /* the peer's SYN|ACK */
    script.latency = LANE_STATS_SLOT_BUCKETS - 1;
    peer_sends(&peer, SEGMENT_ACK, "data", 4);
    peer_sends(&peer, SEGMENT_ACK, "data", 4);
    datagram("10.0.0.1", 1, 901, "text", 0);
    datagram("10.0.0.1", 1, 902, "for nobody", 0);
    script.latency = 0;
    assert_int_equal(of_tcp[LANE_STATS_SLOT_BUCKETS - 1], 2);
    assert_int_equal(of_udp[LANE_STATS_SLOT_BUCKETS - 1], 1);
    ops->udp_slot(socket, &script.stats->slots[SCRIPT_SLOT + 2]);
    datagram("10.0.0.1", 1, 901, "text", 0);
    assert_int_equal(script.stats->latency[SCRIPT_SLOT + 2][0], 1);
    assert_int_equal(of_udp[0], 0);
    ops->udp_slot(socket, NULL);
    datagram("10.0.0.1", 1, 901, "counted nowhere", 0);
}

static void fragment_of(const uint8_t *whole, size_t offset, size_t length, bool more, uint16_t id)
{
    static uint8_t bytes[70000];
    memcpy(bytes + 20, whole + offset, length);
    script_ip(bytes, 17, length);
    script_put16(bytes + 4, id);
    script_put16(bytes + 6, (uint16_t)((more ? 0x2000 : 0) | offset / 8));
    memset(bytes + 10, 0, 2);
    uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, bytes, 20));
    memcpy(bytes + 10, &sum, 2);
    script_input(bytes, 20 + length, LANE_RECORD_FRAGMENT);
}

static void test_fragments(void **state)
{
    (void)state;
    static uint8_t whole[20 + 5008];
    static char got[6000];
    struct udp_socket *socket = udp_socket_at("10.0.0.1", 950);
    struct iovec iov = {got, sizeof(got)};
    struct engine_datagram info;
    uint8_t *udp = whole + 20;
    script_put16(udp, 1);
    script_put16(udp + 2, 950);
    script_put16(udp + 4, 5008);
    memcpy(udp + 8, data, 5000);
    script_ip(whole, 17, 5008);
    script_checksum(whole, 6, 17, 5008);
    fragment_of(udp, 2960, 1480, true, 1); /* out of order, one twice */
    fragment_of(udp, 4440, 568, false, 1);
    fragment_of(udp, 0, 1480, true, 1);
    fragment_of(udp, 0, 1480, true, 1);
    assert_int_equal(ops->udp_recv(socket, &iov, 1, false, &info), -EAGAIN);
    fragment_of(udp, 1480, 1480, true, 1);
    assert_int_equal(ops->udp_recv(socket, &iov, 1, false, &info), 5000);
    assert_memory_equal(got, data, 5000);
    /* Overlapping ones void the datagram. */
    fragment_of(udp, 0, 1480, true, 2);
    fragment_of(udp, 1472, 1480, true, 2);
    fragment_of(udp, 1480, 1480, true, 2);
    fragment_of(udp, 2960, 2048, false, 2);
    assert_int_equal(ops->udp_recv(socket, &iov, 1, false, &info), -EAGAIN);
    /* So does time. */
    fragment_of(udp, 0, 1480, true, 3);
    script_advance(31000 * SCRIPT_MS);
    fragment_of(udp, 1480, 3528, false, 3);
    assert_int_equal(ops->udp_recv(socket, &iov, 1, false, &info), -EAGAIN);
    for (uint16_t id = 10; id < 2000; id++) /* a flood of beginnings does not lock others out */
        fragment_of(udp, 0, 1480, true, id);
    fragment_of(udp, 0, 1480, true, 3000);
    fragment_of(udp, 1480, 3528, false, 3000);
    assert_int_equal(ops->udp_recv(socket, &iov, 1, false, &info), 5000);
}

static void test_one_engine(void **state)
{
    (void)state;
    struct engine_config config;
    struct engine *second;
    struct engine_environment environment = {.now = script_now};
    engine_config_default(&config);
    assert_int_equal(ops->create(&second, &config, &environment), -EBUSY);
}

/* A forked child forgets its parent's connections and may have an engine of its own. */
static void test_abandon(void **state)
{
    (void)state;
    uint64_t sent = script.sent_total;
    pid_t child = fork();
    if (child == 0) {
        ops->abandon(script.engine);
        script_start(NULL);
        conn = script_connect(&peer, &events, true);
        _exit(conn && send_bytes(10) == 10 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(script.sent_total, sent);
    assert_int_equal(send_bytes(10), 10);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_syn),
        T(test_initial_sequence_numbers),
        T(test_syn_reset),
        T(test_delayed_ack),
        T(test_ack_rides_on_data),
        T(test_second_segment_is_acknowledged),
        T(test_quickack),
        T(test_nagle),
        T(test_cork),
        T(test_large_segments),
        T(test_order),
        T(test_fin_out_of_order),
        T(test_long_hole),
        T(test_tiny_buffer),
        T(test_window),
        T(test_lone_segment_is_repeated),
        T(test_fast_retransmit),
        T(test_tail_loss),
        T(test_peer_without_sack),
        T(test_injector_refuses),
        T(test_zero_window_probe),
        T(test_user_timeout),
        T(test_small_window),
        T(test_push_after_more),
        T(test_larger_mss_after_timeout),
        T(test_reset),
        T(test_challenges),
        T(test_bad_checksum),
        T(test_out_of_order_is_bounded),
        T(test_active_close),
        T(test_passive_close),
        T(test_lost_fin),
        T(test_orphan_gives_up),
        T(test_data_after_close),
        T(test_abort),
        T(test_simultaneous_close),
        T(test_receiving_in_fin_wait_2),
        T(test_keepalive),
        T(test_path_mtu),
        T(test_unreachable),
        T(test_route_changes),
        T(test_accept),
        T(test_accepted_window),
        T(test_backlog),
        T(test_syn_flood),
        T(test_syn_ack_repeated),
        T(test_stray),
        T(test_reset_before_accept),
        T(test_shared_port),
        T(test_connect_options),
        T(test_udp_merged),
        T(test_time_wait_reuse),
        T(test_time_wait_ends_by_an_asked_reset),
        T(test_time_wait_is_bounded),
        T(test_export),
        T(test_udp_demultiplexing),
        T(test_multicast),
        T(test_udp_buffer),
        T(test_latencies_are_counted_for_each_socket),
        T(test_fragments),
        T(test_one_engine),
        T(test_abandon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
