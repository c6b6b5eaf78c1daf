/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/top_socket.h"

static char *text;

static int tear_down(void **state)
{
    (void)state;
    free(text);
    text = NULL;
    return 0;
}

static bool print(const char *json)
{
    struct json_object *socket = json_tokener_parse(json);
    size_t size;
    FILE *out = open_memstream(&text, &size);
    bool printed;

    assert_non_null(socket);
    printed = top_socket_print(socket, out);
    fclose(out);
    json_object_put(socket);
    return printed;
}

static void says(const char *line)
{
    if (!strstr(text, line))
        fail_msg("no \"%s\" in:\n%s", line, text);
}

static void a_connection_says_more_than_ss(void **state)
{
    (void)state;
    assert_true(print(
        "{\"tcp\": {\"state\": \"established\", \"age_us\": 5000, \"send\": {\"queued_bytes\": 3000, \"unsent_bytes\": "
        "1000,"
        " \"buffer_bytes\": 262144, \"mss_bytes\": 1448, \"in_flight_bytes\": 2000, \"window_bytes\": 65536,"
        " \"window_max_bytes\": 131072, \"window_scale\": 8, \"blocked_by_injector\": true, \"last_sent_us_ago\": 38},"
        " \"receive\": {\"unread_bytes\": 17, \"window_limit_bytes\": 65536, \"window_fixed_by_program\": false,"
        " \"announced_window_bytes\": 64512, \"window_scale\": 7, \"out_of_order_bytes\": 2896,"
        " \"out_of_order_segments\": 2, \"last_received_us_ago\": 999116},"
        " \"congestion\": {\"state\": \"slow-start\", \"window_bytes\": 14480, \"threshold_bytes\": null,"
        " \"window_was_used_up\": true, \"smoothed_rtt_us\": 100, \"rtt_variation_us\": 6, \"rtt_min_us\": 80,"
        " \"retransmission_timeout_us\": 20000, \"backoff\": 1},"
        " \"recovery\": {\"retransmissions\": 12, \"retransmitted_bytes\": 17376, \"duplicate_acks\": 1, "
        "\"reordering_segments\": 3,"
        " \"needless_probes\": 4, \"sacked_by_peer\": [{}, {}]},"
        " \"timers\": {\"retransmit_in_us\": 19961, \"keepalive_in_us\": 7200000000},"
        " \"route\": {\"mtu_bytes\": 1500, \"path_mtu_bytes\": 1400},"
        " \"options\": {\"sack\": true, \"timestamps\": true, \"window_scale\": true, \"nodelay\": false}}}"));
    says("Round trip     100.0 us smoothed, varies by 6.000 us, least 80.00 us\n");
    says("Time-out       20.00 ms, doubled 1 times\n");
    says("Timers         retransmission in 19.96 ms, keepalive in 7200 s\n");
    says("Congestion     window 14.14 KiB (10 segments), slow-start; threshold none yet; used up\n");
    says("Can send       1.158 Gb/s: that window each round trip\n");
    says(
        "Send queue     2.930 KiB not acknowledged, of these 1000 B not sent; room for 256.0 KiB; waits for the inter");
    says("In flight      1.953 KiB; the peer's window 64.00 KiB, it was 128.0 KiB at most\n");
    says("Sent again     12 segments, 16.97 KiB, 4 probes in vain; 1 duplicate acknowledgements, reordering 3\n");
    says("Gaps           2 ranges");
    says("Receive queue  17 B not read; window 63.00 KiB, of 64.00 KiB at most\n");
    says("Out of order   2.828 KiB in 2 segments\n");
    says("Last           data sent 38.00 us ago, received never\n");
    says("Segments       1448 bytes at most; MTU 1500, of the path 1400\n");
    says("Options        Reno, SACK, timestamps, window scale 8 and 7\n");
}

static void listeners_and_datagrams_have_queues_of_their_own(void **state)
{
    (void)state;
    assert_true(
        print("{\"tcp\": {\"state\": \"listen\", \"backlog\": 128, \"half_open\": 2, \"waiting_to_be_accepted\": 5}}"));
    says("Waiting        5 connections to be accepted, 2 half open; backlog 128\n");
    free(text);
    assert_true(print("{\"udp\": {\"queued_datagrams\": 3, \"next_datagram_bytes\": 100, \"buffer_used_bytes\": 2048,"
                      " \"buffer_bytes\": 212992}}"));
    says("Receive queue  3 datagrams, the next of 100 B; 2.000 KiB of 208.0 KiB\n");
}

static void what_is_no_socket_is_not_printed(void **state)
{
    static const char *const strange[] = {"{}", "[]", "5", "{\"sockets\": []}"};
    static const char *const odd[] = {
        "{\"tcp\": 5}", "{\"udp\": []}", "{\"tcp\": {\"send\": 1, \"timers\": [], \"backlog\": {}}}",
        "{\"tcp\": {\"congestion\": {\"state\": 7}, \"recovery\": {\"sacked_by_peer\": 1}}}"};

    (void)state;
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        assert_false(print(strange[i]));
        assert_string_equal(text, "");
        free(text);
    }
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        assert_true(print(odd[i]));
        free(text);
    }
    text = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_connection_says_more_than_ss, tear_down),
        cmocka_unit_test_teardown(listeners_and_datagrams_have_queues_of_their_own, tear_down),
        cmocka_unit_test_teardown(what_is_no_socket_is_not_printed, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
