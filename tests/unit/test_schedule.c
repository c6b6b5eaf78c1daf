/* SPDX-License-Identifier: BSD-2-Clause */
/* The planner. Times are worked out by hand for 1 Gb/s: 8 ns a byte; a full frame of 1500 bytes is 1538 on the wire. */
#include "testbed/schedule.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "testbed/agenda.h"
#include "tests/unit/unit.h"

#define TITLES  "class,row,size_bytes,period_ms,limit_ms,sender,receiver,phase_ms,burst\n"
#define FRAME   12304 /* ns of a full frame */
#define GIGABIT 1e9

static struct pattern pattern;
static struct schedule_network network;
static struct schedule_placement placement[PATTERN_TYPES_MAX];
static int64_t phase_ns[PATTERN_TYPES_MAX];
static struct schedule_prediction predicted[PATTERN_TYPES_MAX];
static struct schedule_outlook outlook;
static char problem[PATTERN_PROBLEM_MAX];

static void add_node(const char *name, bool sends, bool receives)
{
    struct schedule_node *node = &network.nodes[network.count++];

    *node = (struct schedule_node){
        .sends = sends, .receives = receives, .uplink_bits_per_s = GIGABIT, .port_bits_per_s = GIGABIT};
    strcpy(node->name, name);
}

/* Senders a and b, receivers c and d. */
static int set_up(void **state)
{
    (void)state;
    memset(&network, 0, sizeof network);
    network.mtu = 1500;
    add_node("a", true, false);
    add_node("b", true, false);
    add_node("c", false, true);
    add_node("d", false, true);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pattern_free(&pattern);
    return 0;
}

static int place(const char *lines)
{
    char text[4096];

    pattern_free(&pattern);
    snprintf(text, sizeof text, TITLES "%s", lines);
    if (pattern_parse("p", text, strlen(text), &pattern, problem))
        fail_msg("%s", problem);
    return schedule_place(&pattern, &network, placement, problem);
}

static int64_t plan(enum schedule_mode mode, uint64_t seed)
{
    int64_t gap = schedule_phases(&pattern, placement, &network, mode, seed, phase_ns);

    assert_int_equal(schedule_predict(&pattern, placement, &network, phase_ns, 0, predicted, &outlook), 0);
    return gap;
}

static void agenda_keeps_the_order(void **state)
{
    struct agenda *agenda = agenda_create(3);
    static const struct {
        int64_t planned;
        uint32_t index;
        uint64_t sequence;
    } order[] = {{0, 1, 0}, {0, 0, 0}, {5, 2, 0}, {10, 1, 2}, {15, 0, 1}, {20, 1, 4}, {30, 0, 2}, {45, 0, 3}};

    (void)state;
    assert_non_null(agenda);
    agenda_add(agenda, &(struct agenda_entry){.size = 100, .index = 0, .burst = 1, .period_ns = 15});
    agenda_add(agenda, &(struct agenda_entry){.size = 50, .index = 1, .burst = 2, .period_ns = 10, .count = 5});
    agenda_add(agenda,
               &(struct agenda_entry){.planned_ns = 5, .size = 1, .index = 2, .burst = 1, .period_ns = 1, .count = 1});
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        const struct agenda_entry *entry = agenda_peek(agenda);

        assert_int_equal(entry->planned_ns, order[i].planned);
        assert_int_equal(entry->index, order[i].index);
        assert_int_equal(entry->sequence, order[i].sequence);
        agenda_advance(agenda);
    }
    agenda_destroy(agenda);
}

static void frames_have_the_wires_size(void **state)
{
    struct schedule_frames frames;

    (void)state;
    frames = schedule_frames_of(PATTERN_DATAGRAM, 10, &network); /* 38 bytes of IP: padded to 64 */
    assert_int_equal(frames.count, 1);
    assert_int_equal(frames.bytes, 84);
    frames = schedule_frames_of(PATTERN_DATAGRAM, 1472, &network);
    assert_int_equal(frames.count, 1);
    assert_int_equal(frames.bytes, 1538);
    frames = schedule_frames_of(PATTERN_MULTICAST, 1473, &network); /* one byte in a second fragment */
    assert_int_equal(frames.count, 2);
    assert_int_equal(frames.bytes, 1538 + 84);
    frames = schedule_frames_of(PATTERN_DATAGRAM, 4000, &network); /* 4008 = 1480 + 1480 + 1048 */
    assert_int_equal(frames.count, 3);
    assert_int_equal(frames.bytes, 2 * 1538 + 1048 + 20 + 38);
    frames = schedule_frames_of(PATTERN_STREAM, 1448, &network);
    assert_int_equal(frames.bytes, 1538);
    frames = schedule_frames_of(PATTERN_LOW_LATENCY, 3000, &network); /* 1448 + 1448 + 104 */
    assert_int_equal(frames.count, 3);
    assert_int_equal(frames.bytes, 2 * 1538 + 104 + 52 + 38);
    network.ipv6 = true;
    frames = schedule_frames_of(PATTERN_STREAM, 1448, &network); /* 1428 + 20 */
    assert_int_equal(frames.count, 2);
    frames = schedule_frames_of(PATTERN_DATAGRAM, 1453, &network); /* 1461 = 1448 + 13, with fragment headers */
    assert_int_equal(frames.count, 2);
    assert_int_equal(frames.bytes, 1448 + 48 + 38 + 13 + 48 + 38);
}

static void types_are_placed_by_class_and_row(void **state)
{
    (void)state;
    assert_int_equal(place("tcp0,1,100,1,1,,,,\ntcp1,1,100,1,1,,,,\ntcp2,1,100,1,1,,,,\nlltcp,1,100,1,1,,,,\n"
                           "lltcp,2,100,1,1,,,,\nmcast,1,100,1,1,,,,\nudp,1,100,1,1,b,d,,\nmcast,2,100,1,1,c,d,,\n"),
                     0);
    assert_int_equal(placement[0].sender, 0);
    assert_int_equal(placement[1].sender, 1);
    assert_int_equal(placement[2].sender, 0);
    assert_int_equal(placement[3].sender, 1); /* row 1 of two senders */
    assert_int_equal(placement[4].sender, 0);
    assert_int_equal(placement[0].receivers, 1u << 2);
    assert_int_equal(placement[1].receivers, 1u << 3);
    assert_int_equal(placement[5].receivers, 1u << 2 | 1u << 3);
    assert_int_equal(placement[6].sender, 1);
    assert_int_equal(placement[6].receivers, 1u << 3);
    assert_int_equal(placement[7].sender, 2);
}

static void unknown_nodes_are_named(void **state)
{
    (void)state;
    assert_int_equal(place("tcp,1,100,1,1,x,,,\n"), LOCKSTEP_E_UNKNOWN_NAME);
    assert_string_equal(problem, "tcp.1 (line 2): sender: no such node: x");
    assert_int_equal(place("mcast,1,100,1,1,,c+y,,\n"), LOCKSTEP_E_UNKNOWN_NAME);
    assert_string_equal(problem, "mcast.1 (line 2): receiver: no such node: y");
    network.nodes[2].receives = network.nodes[3].receives = false;
    assert_int_equal(place("tcp,1,100,1,1,,,,\n"), LOCKSTEP_E_UNKNOWN_NAME);
    assert_string_equal(problem, "tcp.1 (line 2): no node receives");
}

static void alone_a_message_waits_for_nobody(void **state)
{
    (void)state;
    assert_int_equal(place("udp,1,1472,1,1,a,c,,\nudp,2,4000,1,1,b,d,,\n"), 0);
    plan(SCHEDULE_SYNCHRONISED, 0);
    assert_int_equal(predicted[0].alone_ns, 2 * FRAME); /* stored and forwarded */
    assert_int_equal(predicted[0].worst_queueing_ns, 0);
    /* Two full frames and one of 1106 bytes; the port ends one frame after the uplink has sent the second. */
    assert_int_equal(predicted[1].alone_ns, 3 * FRAME + 1106 * 8);
    assert_int_equal(predicted[1].worst_queueing_ns, 0);
    assert_int_equal(predicted[0].messages, 2); /* two hyperperiods */
    assert_true(outlook.complete);
    assert_int_equal(outlook.hyperperiod_ns, 1000000);
    assert_false(outlook.overloaded);
}

static void two_senders_meet_at_the_port(void **state)
{
    (void)state;
    assert_int_equal(place("udp,1,1472,1,1,a,c,,\nudp,2,1472,1,1,b,c,,\n"), 0);
    plan(SCHEDULE_SYNCHRONISED, 0);
    assert_int_equal(predicted[0].worst_queueing_ns, 0);
    assert_int_equal(predicted[1].worst_queueing_ns, FRAME);
    assert_int_equal(predicted[1].worst_uplink_ns, 0);
    assert_int_equal(outlook.worst_queue_bytes[2], 1538);
    assert_true(fabs(outlook.port_load[2] * 1e6 - 2 * FRAME) < 1e-6);
}

static void a_sender_queues_behind_itself(void **state)
{
    (void)state;
    assert_int_equal(place("udp,1,1472,1,1,a,c,,\nudp,2,1472,1,1,a,d,,\n"), 0);
    plan(SCHEDULE_SYNCHRONISED, 0);
    assert_int_equal(predicted[0].worst_queueing_ns, 0);
    assert_int_equal(predicted[1].worst_queueing_ns, FRAME);
    assert_int_equal(predicted[1].worst_uplink_ns, FRAME);
    assert_int_equal(outlook.worst_queue_bytes[3], 0);
}

static void the_smaller_message_goes_first(void **state)
{
    (void)state;
    assert_int_equal(place("udp,1,1472,1,1,a,c,,\nudp,2,10,1,1,a,c,,\n"), 0);
    plan(SCHEDULE_SYNCHRONISED, 0);
    assert_int_equal(predicted[1].worst_queueing_ns, 0);
    assert_int_equal(predicted[0].worst_queueing_ns, 84 * 8);
}

static void bursts_queue_behind_their_own(void **state)
{
    (void)state;
    assert_int_equal(place("udp,1,1472,1,1,a,c,,3\n"), 0);
    plan(SCHEDULE_SYNCHRONISED, 0);
    assert_int_equal(predicted[0].worst_queueing_ns, 2 * FRAME);
    assert_int_equal(predicted[0].messages, 6);
}

static void multicast_loads_every_receivers_port(void **state)
{
    (void)state;
    assert_int_equal(place("mcast,1,1472,1,1,a,c+d,,\nudp,2,1472,1,1,b,d,,\n"), 0);
    plan(SCHEDULE_SYNCHRONISED, 0);
    assert_int_equal(predicted[1].worst_queueing_ns, FRAME);
    assert_true(fabs(outlook.port_load[2] * 1e6 - FRAME) < 1e-6);
    assert_true(fabs(outlook.port_load[3] * 1e6 - 2 * FRAME) < 1e-6);
}

/* Periods 2 and 3 ms with phases 0 and 1: they meet at 4 ms (2 * 2 = 1 + 3), not before. */
static void messages_meet_where_their_periods_do(void **state)
{
    (void)state;
    assert_int_equal(place("udp,1,1472,2,1,a,c,0,\nudp,2,1472,3,1,b,c,1,\n"), 0);
    plan(SCHEDULE_SYNCHRONISED, 0);
    assert_int_equal(outlook.hyperperiod_ns, 6000000);
    assert_int_equal(predicted[1].worst_queueing_ns, FRAME);
    assert_int_equal(schedule_predict(&pattern, placement, &network, phase_ns, 3, predicted, &outlook), 0);
    assert_false(outlook.complete); /* three frames do not show it */
    assert_int_equal(predicted[1].worst_queueing_ns, 0);
}

static void overload_is_told(void **state)
{
    (void)state;
    assert_int_equal(place("tcp,1,1000000,4,1,a,c,,\ntcp,2,1000000,10,1,b,d,,\n"), 0);
    plan(SCHEDULE_SYNCHRONISED, 0);
    assert_true(outlook.overloaded);
    assert_true(outlook.uplink_load[0] > 1 && outlook.uplink_load[1] < 1);
}

static void a_link_without_limit_takes_no_time(void **state)
{
    (void)state;
    network.nodes[0].uplink_bits_per_s = 0;
    assert_int_equal(place("udp,1,1472,1,1,a,c,,\n"), 0);
    plan(SCHEDULE_SYNCHRONISED, 0);
    assert_int_equal(predicted[0].alone_ns, FRAME);
}

/* Two messages in 1 ms, each with a frame's margin for storing and forwarding: the widest gaps are equal. */
static void staggering_keeps_two_as_far_apart_as_it_can(void **state)
{
    int64_t gap;

    (void)state;
    assert_int_equal(place("udp,1,1472,1,1,a,c,,\nudp,2,1472,1,1,b,c,,\n"), 0);
    gap = plan(SCHEDULE_STAGGERED, 0);
    assert_in_range(gap, (1000000 - 4 * FRAME) / 2 - 1000, (1000000 - 4 * FRAME) / 2);
    assert_int_equal(predicted[0].worst_queueing_ns, 0);
    assert_int_equal(predicted[1].worst_queueing_ns, 0);
}

static void staggering_leaves_others_links_alone(void **state)
{
    (void)state;
    assert_int_equal(place("udp,1,1472,1,1,a,c,,\nudp,2,1472,1,1,b,d,,\n"), 0);
    plan(SCHEDULE_STAGGERED, 0);
    assert_int_equal(phase_ns[0], 0);
    assert_int_equal(phase_ns[1], 0);
}

/* The short period leaves gaps of less than the long messages need if these are placed first and anywhere. */
static void staggering_fits_long_messages_between_short_periods(void **state)
{
    (void)state;
    assert_int_equal(place("lltcp,1,100,10,1,a,c,,\ntcp0,1,640000,80,1,b,c,,\ntcp0,2,320000,80,1,a,c,,\n"
                           "tcp0,3,150000,100,1,a,c,,\ntcp0,4,150000,100,1,b,c,,\n"),
                     0);
    assert_true(plan(SCHEDULE_STAGGERED, 0) > 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(predicted[i].worst_queueing_ns, 0);
}

static void staggering_does_its_best_where_not_all_fit(void **state)
{
    int64_t synchronised;

    (void)state;
    assert_int_equal(place("tcp,1,400000,10,1,a,c,,\ntcp,2,400000,10,1,b,c,,\ntcp,3,400000,10,1,a,c,,\n"), 0);
    plan(SCHEDULE_SYNCHRONISED, 0);
    synchronised = predicted[2].worst_queueing_ns;
    assert_int_equal(plan(SCHEDULE_STAGGERED, 0), -1);
    for (int i = 0; i < 3; i++)
        assert_true(predicted[i].worst_queueing_ns < synchronised);
}

static void fixed_phases_stay(void **state)
{
    static const enum schedule_mode modes[] = {SCHEDULE_SYNCHRONISED, SCHEDULE_STAGGERED, SCHEDULE_RANDOM};

    (void)state;
    assert_int_equal(place("udp,1,1472,1,1,a,c,0.3,\nudp,2,1472,1,1,b,c,,\nudp,3,1472,1,1,b,c,0.31,\n"), 0);
    for (int i = 0; i < 3; i++) {
        plan(modes[i], 5);
        assert_int_equal(phase_ns[0], 300000);
        assert_int_equal(phase_ns[2], 310000);
    }
    assert_int_equal(plan(SCHEDULE_STAGGERED, 0), -1); /* those two overlap, and must */
    assert_int_equal(predicted[1].worst_queueing_ns, 0);
}

static void random_phases_follow_the_seed(void **state)
{
    int64_t first[3];

    (void)state;
    assert_int_equal(place("udp,1,100,1,1,,,,\nudp,2,100,2,1,,,,\nudp,3,100,3,1,,,,\n"), 0);
    plan(SCHEDULE_RANDOM, 1);
    memcpy(first, phase_ns, sizeof first);
    for (int i = 0; i < 3; i++)
        assert_in_range(phase_ns[i], 0, pattern.types[i].period_ns - 1);
    plan(SCHEDULE_RANDOM, 2);
    assert_memory_not_equal(first, phase_ns, sizeof first);
    plan(SCHEDULE_RANDOM, 1);
    assert_memory_equal(first, phase_ns, sizeof first);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(agenda_keeps_the_order),
        TEST(frames_have_the_wires_size),
        TEST(types_are_placed_by_class_and_row),
        TEST(unknown_nodes_are_named),
        TEST(alone_a_message_waits_for_nobody),
        TEST(two_senders_meet_at_the_port),
        TEST(a_sender_queues_behind_itself),
        TEST(the_smaller_message_goes_first),
        TEST(bursts_queue_behind_their_own),
        TEST(multicast_loads_every_receivers_port),
        TEST(messages_meet_where_their_periods_do),
        TEST(overload_is_told),
        TEST(a_link_without_limit_takes_no_time),
        TEST(staggering_keeps_two_as_far_apart_as_it_can),
        TEST(staggering_leaves_others_links_alone),
        TEST(staggering_fits_long_messages_between_short_periods),
        TEST(staggering_does_its_best_where_not_all_fit),
        TEST(fixed_phases_stay),
        TEST(random_phases_follow_the_seed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
