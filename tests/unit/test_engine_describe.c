/* SPDX-License-Identifier: BSD-2-Clause */
/* What the engine says of itself and its sockets, in virtual time. */
#include "engine_case.h"

#include <json-c/json.h>

#include "base/json_emit.h"

#define SOCKET_BYTES 12288 /* as engine.h promises */

static struct json_object *described;
static size_t described_bytes;

static struct json_object *parse(char *buffer, struct emitter *out)
{
    emit_object_end(out);
    assert_false(out->overflow);
    described_bytes = out->used;
    buffer[out->used] = '\0';
    json_object_put(described);
    described = json_tokener_parse(buffer);
    assert_non_null(described);
    return described;
}

static struct json_object *describe(const struct tcp_conn *which)
{
    static char buffer[65536];
    struct emitter out;

    emitter_init(&out, buffer, sizeof(buffer) - 1);
    emit_object_begin(&out, NULL);
    ops->tcp_describe(which, &out);
    return parse(buffer, &out);
}

static struct json_object *member(struct json_object *object, const char *group, const char *key)
{
    struct json_object *inner = NULL, *value = NULL;

    assert_true(json_object_object_get_ex(object, group, &inner));
    assert_true(json_object_object_get_ex(inner, key, &value));
    return value;
}

static int64_t number(const char *group, const char *key)
{
    return json_object_get_int64(member(described, group, key));
}

static const char *text(const char *key)
{
    struct json_object *value = NULL;

    assert_true(json_object_object_get_ex(described, key, &value));
    return json_object_get_string(value);
}

static void what_was_sent_and_received_is_told(void **state)
{
    (void)state;
    assert_int_equal(send_bytes(1000), 1000);
    next_sent();
    peer_sends(&peer, SEGMENT_ACK, data, 700);
    describe(conn);
    assert_string_equal(text("state"), "established");
    assert_string_equal(text("stage"), "open");
    assert_int_equal(number("send", "queued_bytes"), 1000);
    assert_int_equal(number("send", "unsent_bytes"), 0);
    assert_int_equal(number("send", "in_flight_bytes"), 1000);
    assert_int_equal(number("send", "unacknowledged_sequence"), peer.expected);
    assert_int_equal(number("send", "next_sequence"), (uint32_t)(peer.expected + 1000));
    assert_int_equal(number("receive", "unread_bytes"), 700);
    assert_int_equal(number("receive", "next_sequence"), peer.next);
    assert_true(number("timers", "retransmit_in_us") > 0);
    acknowledge(1000);
    describe(conn);
    assert_int_equal(number("send", "queued_bytes"), 0);
    assert_int_equal(number("send", "in_flight_bytes"), 0);
    assert_true(json_object_get_boolean(member(described, "send", "writable")));
}

static void what_came_out_of_order_is_told(void **state)
{
    (void)state;
    uint32_t gap = peer.next;
    peer.next += 100;
    peer_sends(&peer, SEGMENT_ACK, data, 300);
    describe(conn);
    assert_int_equal(number("receive", "unread_bytes"), 0);
    assert_int_equal(number("receive", "out_of_order_bytes"), 300);
    assert_int_equal(number("receive", "out_of_order_segments"), 1);
    assert_int_equal(number("receive", "next_sequence"), gap);
    struct json_object *range = json_object_array_get_idx(member(described, "receive", "announced_sacks"), 0);
    struct json_object *from = NULL;
    assert_true(json_object_object_get_ex(range, "from_sequence", &from));
    assert_int_equal(json_object_get_int64(from), (uint32_t)(gap + 100));
}

/* Nobody answers: time-outs, back-off, and a congestion window of one segment. */
static void loss_is_told(void **state)
{
    (void)state;
    assert_int_equal(send_bytes(20000), 20000);
    while (script_sent(&packet, &segment, NULL))
        ;
    script_advance(3000 * SCRIPT_MS);
    describe(conn);
    assert_string_equal(json_object_get_string(member(described, "congestion", "state")), "loss");
    assert_true(number("congestion", "backoff") > 2);
    assert_true(number("recovery", "retransmissions") > 2);
    assert_true(number("recovery", "retransmitted_bytes") > 2 * number("send", "mss_bytes"));
    assert_true(number("recovery", "retransmitted_bytes") <=
                number("recovery", "retransmissions") * number("send", "mss_bytes"));
    assert_int_equal(number("congestion", "window_bytes"), number("send", "mss_bytes"));
    assert_true(number("congestion", "threshold_bytes") < 20000);
    assert_true(number("timers", "retransmit_in_us") > 100000);
}

/* However many gaps the peer reports. */
static void a_description_is_of_bounded_length(void **state)
{
    uint8_t options[12] = {1, 1, 5, 10};

    (void)state;
    peer.window = 0xffff;
    peer_sends(&peer, SEGMENT_ACK, NULL, 0);
    for (int i = 0; i < 60; i++) {
        script_advance(SCRIPT_MS);
        send_bytes(sizeof(data));
        while (script_sent(&packet, &segment, NULL))
            ;
    }
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t left = htonl(peer.expected + 100 + i * 200), right = htonl(peer.expected + 200 + i * 200);
        memcpy(options + 4, &left, 4);
        memcpy(options + 8, &right, 4);
        peer_segment(&peer, peer.next, SEGMENT_ACK, options, sizeof(options), NULL, 0);
    }
    describe(conn);
    assert_in_range(json_object_array_length(member(described, "recovery", "sacked_by_peer")), 1, 64);
    assert_in_range(described_bytes, 500, SOCKET_BYTES);
}

/* The next one that no handle stands for, or NULL. */
static const struct tcp_conn *walk_on(bool start)
{
    const struct tcp_conn *found = NULL;
    for (bool more = true; more && !found; start = false)
        more = ops->tcp_walk(script.engine, start, &found);
    return found;
}

static unsigned walk(const struct tcp_conn **last)
{
    unsigned count = 0;
    for (const struct tcp_conn *one = walk_on(true); one; one = walk_on(false)) {
        *last = one;
        count++;
    }
    return count;
}

static void a_walk_finds_what_the_program_has_closed(void **state)
{
    const struct tcp_conn *found = NULL;

    (void)state;
    assert_int_equal(walk(&found), 0);
    ops->tcp_close(conn, false);
    assert_int_equal(walk(&found), 1);
    describe(found);
    assert_string_equal(text("state"), "fin-wait-1");
}

/* The connection that the walk would come to next goes away in between. */
static void a_walk_survives_what_happens_meanwhile(void **state)
{
    struct net_endpoint local = script_endpoint("10.0.0.1", 46000), remote = script_endpoint("10.0.0.2", 81);
    struct engine_route route;
    struct tcp_conn *others[3];

    (void)state;
    script_route(NULL, NULL, &local.addr, 2, &route);
    for (int i = 0; i < 3; i++, local.port++) {
        assert_int_equal(ops->tcp_connect(script.engine, &local, &remote, &route, NULL, (void *)(uintptr_t)(i + 2),
                                          NULL, &others[i]),
                         0);
    }
    ops->tcp_close(conn, false);
    assert_ptr_equal(walk_on(true), conn);
    for (int i = 0; i < 3; i++)
        ops->tcp_close(others[i], true); /* gone at once */
    assert_null(walk_on(false));
    assert_null(walk_on(false));
}

static void listeners_datagrams_and_the_engine(void **state)
{
    static char buffer[16384];
    struct net_endpoint local = script_endpoint("10.0.0.1", 5353);
    struct udp_socket *socket;
    struct tcp_listener *listener;
    struct net_addr group, any = net_addr_any(true);
    struct emitter out;

    (void)state;
    assert_int_equal(ops->udp_open(script.engine, &local, false, NULL, NULL, &socket), 0);
    for (unsigned i = 0; i < 100; i++) {
        char address[32];
        snprintf(address, sizeof(address), "239.1.2.%u", i);
        net_addr_parse(address, &group);
        assert_int_equal(ops->udp_join(socket, &group, &any, 2), 0);
    }
    emitter_init(&out, buffer, SOCKET_BYTES);
    emit_object_begin(&out, NULL);
    ops->udp_describe(socket, &out);
    parse(buffer, &out);
    assert_string_equal(text("state"), "open");
    assert_string_equal(text("membership_count"), "100");
    assert_int_equal(ops->tcp_listen(script.engine, &local, false, 7, NULL, &listener), 0);
    emitter_init(&out, buffer, SOCKET_BYTES);
    emit_object_begin(&out, NULL);
    ops->tcp_listener_describe(listener, &out);
    parse(buffer, &out);
    assert_string_equal(text("backlog"), "7");
    emitter_init(&out, buffer, 2048);
    emit_object_begin(&out, NULL);
    ops->describe(script.engine, &out);
    parse(buffer, &out);
    assert_true(atoi(text("pool_used_bytes")) > 0);
    assert_string_equal(text("connections"), "1");
    ops->udp_close(socket);
    ops->tcp_listener_close(listener);
}

static int tidy(void **state)
{
    json_object_put(described);
    described = NULL;
    return teardown(state);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, tidy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_was_sent_and_received_is_told),
        T(what_came_out_of_order_is_told),
        T(loss_is_told),
        T(a_description_is_of_bounded_length),
        T(a_walk_finds_what_the_program_has_closed),
        T(a_walk_survives_what_happens_meanwhile),
        T(listeners_datagrams_and_the_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
