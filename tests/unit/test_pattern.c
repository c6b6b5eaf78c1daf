/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/pattern.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "tests/unit/unit.h"

#define TITLES "class,row,size_bytes,period_ms,limit_ms\n"
#define ALL    "class,row,size_bytes,period_ms,limit_ms,sender,receiver,port,group,phase_ms,dscp,count,burst\n"

static struct pattern pattern;
static char problem[PATTERN_PROBLEM_MAX];

static int parse(const char *text)
{
    pattern_free(&pattern);
    problem[0] = '\0';
    return pattern_parse("p.csv", text, strlen(text), &pattern, problem);
}

static int release(void **state)
{
    (void)state;
    pattern_free(&pattern);
    return 0;
}

static void required_columns_are_enough(void **state)
{
    (void)state;
    assert_int_equal(
        parse("# comment\n\n" TITLES "tcp0,1,500,200,100\r\n mcast , 12 , 4000,0.25, 0.5 \nlltcp,2,10,80,10"), 0);
    assert_int_equal(pattern.count, 3);
    assert_string_equal(pattern.types[0].name, "tcp0.1");
    assert_string_equal(pattern.types[0].class_name, "tcp0");
    assert_int_equal(pattern.types[0].transport, PATTERN_STREAM);
    assert_int_equal(pattern.types[0].size, 500);
    assert_int_equal(pattern.types[0].period_ns, 200000000);
    assert_int_equal(pattern.types[0].limit_ns, 100000000);
    assert_int_equal(pattern.types[0].phase_ns, PATTERN_PHASE_BY_MODE);
    assert_int_equal(pattern.types[0].burst, 1);
    assert_int_equal(pattern.types[0].count, 0);
    assert_int_equal(pattern.types[0].receiver_count, 0);
    assert_int_equal(pattern.types[0].line, 4);
    assert_int_equal(pattern.types[1].transport, PATTERN_MULTICAST);
    assert_int_equal(pattern.types[1].period_ns, 250000);
    assert_int_equal(pattern.types[1].limit_ns, 500000);
    assert_int_equal(pattern.types[2].transport, PATTERN_LOW_LATENCY);
}

static void optional_columns_are_taken(void **state)
{
    char text[NET_ADDR_TEXT_MAX];

    (void)state;
    assert_int_equal(parse(ALL "mcast,1,1000,2.5,1,n1,n2+n3 + n4,5000,239.1.2.3,1.000001,46,100,3\n"
                               "udp,1,1000,2.5,1,,,,,,,,\n"),
                     0);
    assert_string_equal(pattern.types[0].sender, "n1");
    assert_int_equal(pattern.types[0].receiver_count, 3);
    assert_string_equal(pattern.types[0].receivers[2], "n4");
    assert_int_equal(pattern.types[0].port, 5000);
    assert_string_equal(net_addr_format(&pattern.types[0].group, text), "239.1.2.3");
    assert_int_equal(pattern.types[0].phase_ns, 1000001);
    assert_int_equal(pattern.types[0].dscp, 46);
    assert_int_equal(pattern.types[0].count, 100);
    assert_int_equal(pattern.types[0].burst, 3);
    assert_int_equal(pattern.types[1].transport, PATTERN_DATAGRAM);
    assert_string_equal(pattern.types[1].sender, "");
    assert_int_equal(pattern.types[1].phase_ns, PATTERN_PHASE_BY_MODE);
}

static void columns_come_in_any_order(void **state)
{
    (void)state;
    assert_int_equal(parse("limit_ms,burst,row,class,period_ms,size_bytes\n7,2,3,tcp,5,11\n"), 0);
    assert_string_equal(pattern.types[0].name, "tcp.3");
    assert_int_equal(pattern.types[0].limit_ns, 7000000);
    assert_int_equal(pattern.types[0].burst, 2);
    assert_int_equal(pattern.types[0].size, 11);
}

/* Every kind of mistake: its code, and where it is. */
static const struct mistake {
    const char *text;
    int err;
    const char *problem; /* how it begins */
} mistakes[] = {
    {"", LOCKSTEP_E_BAD_FORMAT, "p.csv:0:1: file: describes no"},
    {TITLES, LOCKSTEP_E_BAD_FORMAT, "p.csv:1:1: file: describes no"},
    {"class,row,size_bytes,period_ms\n", LOCKSTEP_E_BAD_FORMAT, "p.csv:1:5: limit_ms: this column is missing"},
    {"class,row,size,period_ms,limit_ms\n", LOCKSTEP_E_UNKNOWN_NAME, "p.csv:1:3: size: unknown column"},
    {"class,row,class\n", LOCKSTEP_E_CONFLICT, "p.csv:1:3: class: column given twice"},
    {"class,,row\n", LOCKSTEP_E_UNKNOWN_NAME, "p.csv:1:2: : unknown column"},
    {TITLES "tcp0,1,500,200\n", LOCKSTEP_E_BAD_FORMAT, "p.csv:2:5: limit_ms: is missing"},
    {TITLES "tcp0,1,500,200,100,7\n", LOCKSTEP_E_BAD_FORMAT, "p.csv:2:6: line: has more fields"},
    {TITLES "tcp0,1,500,200,\n", LOCKSTEP_E_BAD_FORMAT, "p.csv:2:5: limit_ms: is empty"},
    {TITLES "sctp,1,500,200,100\n", LOCKSTEP_E_UNKNOWN_NAME, "p.csv:2:1: class: \"sctp\" is not a class"},
    {TITLES "tcp123,1,500,200,100\n", LOCKSTEP_E_UNKNOWN_NAME, "p.csv:2:1: class: \"tcp123\""},
    {TITLES "TCP,1,500,200,100\n", LOCKSTEP_E_UNKNOWN_NAME, "p.csv:2:1: class: \"TCP\""},
    {TITLES "tcp,-1,500,200,100\n", LOCKSTEP_E_BAD_FORMAT, "p.csv:2:2: row: \"-1\" is not a number"},
    {TITLES "tcp,1,9,200,100\n", LOCKSTEP_E_BAD_VALUE, "p.csv:2:3: size_bytes: \"9\" must be 10 to 1000000"},
    {TITLES "tcp,1,1000001,200,100\n", LOCKSTEP_E_BAD_VALUE, "p.csv:2:3: size_bytes: \"1000001\" must be"},
    {TITLES "tcp,1,1e3,200,100\n", LOCKSTEP_E_BAD_FORMAT, "p.csv:2:3: size_bytes: \"1e3\" is not a number"},
    {TITLES "tcp,1,0x20,200,100\n", LOCKSTEP_E_BAD_FORMAT, "p.csv:2:3: size_bytes: \"0x20\" is not a number"},
    {TITLES "tcp,1,99999999999999999999,200,100\n", LOCKSTEP_E_BAD_VALUE, "p.csv:2:3: size_bytes: \"9999999999"},
    {TITLES "tcp,1,50.0,200,100\n", LOCKSTEP_E_BAD_FORMAT, "p.csv:2:3: size_bytes: \"50.0\" is not a number"},
    {TITLES "tcp,1,500,0.249999,100\n", LOCKSTEP_E_BAD_VALUE, "p.csv:2:4: period_ms: \"0.249999\" must be 0.25 to"},
    {TITLES "tcp,1,500,3600001,100\n", LOCKSTEP_E_BAD_VALUE, "p.csv:2:4: period_ms: \"3600001\" must be"},
    {TITLES "tcp,1,500,1.0000001,100\n", LOCKSTEP_E_BAD_VALUE, "p.csv:2:4: period_ms: \"1.0000001\" has too many"},
    {TITLES "tcp,1,500,.5,100\n", LOCKSTEP_E_BAD_FORMAT, "p.csv:2:4: period_ms: \".5\" is not a number"},
    {TITLES "tcp,1,500,5.,100\n", LOCKSTEP_E_BAD_FORMAT, "p.csv:2:4: period_ms: \"5.\" is not a number"},
    {TITLES "tcp,1,500,nan,100\n", LOCKSTEP_E_BAD_FORMAT, "p.csv:2:4: period_ms: \"nan\" is not a number"},
    {TITLES "tcp,1,500,200,0\n", LOCKSTEP_E_BAD_VALUE, "p.csv:2:5: limit_ms: \"0\" must be"},
    {TITLES "udp,1,65001,200,100\n", LOCKSTEP_E_BAD_VALUE, "p.csv:2:3: size_bytes: a datagram has at most 65000"},
    {TITLES "mcast,1,100000,200,100\n", LOCKSTEP_E_BAD_VALUE, "p.csv:2:3: size_bytes: a datagram has at most"},
    {TITLES "tcp,1,500,200,100\n\n#\ntcp,1,600,200,100\n", LOCKSTEP_E_CONFLICT, "p.csv:5:2: row: tcp.1 is in line 2"},
    {TITLES "tcp,\"1\",500,200,100\n", LOCKSTEP_E_BAD_FORMAT, "p.csv:2:2: row: \"\"1\"\" is not a number"},
    {ALL "tcp,1,500,200,100,n 1,,,,,,,\n", LOCKSTEP_E_BAD_FORMAT, "p.csv:2:6: sender: \"n 1\" is not a node's name"},
    {ALL "tcp,1,500,200,100,../x,,,,,,,\n", LOCKSTEP_E_BAD_FORMAT, "p.csv:2:6: sender: \"../x\" is not a node's"},
    {ALL "tcp,1,500,200,100,a,b+c,,,,,,\n", LOCKSTEP_E_BAD_VALUE, "p.csv:2:7: receiver: only multicast has several"},
    {ALL "mcast,1,500,200,100,a,b+b,,,,,,\n", LOCKSTEP_E_CONFLICT, "p.csv:2:7: receiver: \"b\" is named twice"},
    {ALL "mcast,1,500,200,100,a,b+,,,,,,\n", LOCKSTEP_E_BAD_FORMAT, "p.csv:2:7: receiver: \"\" is not a node's"},
    {ALL "mcast,1,500,200,100,a,b+a,,,,,,\n", LOCKSTEP_E_CONFLICT, "p.csv:2:7: receiver: is the sender"},
    {ALL "tcp,1,500,200,100,,,0,,,,,\n", LOCKSTEP_E_BAD_VALUE, "p.csv:2:8: port: \"0\" must be 1 to 65535"},
    {ALL "tcp,1,500,200,100,,,65536,,,,,\n", LOCKSTEP_E_BAD_VALUE, "p.csv:2:8: port: \"65536\" must be"},
    {ALL "tcp,1,500,200,100,,,7,,,,,\nlltcp,1,500,200,100,,,7,,,,,\n", LOCKSTEP_E_CONFLICT,
     "p.csv:3:8: port: 7 is the port of tcp.1 in line 2"},
    {ALL "mcast,1,500,200,100,,,,10.0.0.1,,,,\n", LOCKSTEP_E_BAD_FORMAT,
     "p.csv:2:9: group: \"10.0.0.1\" is not a multi"},
    {ALL "mcast,1,500,200,100,,,,239.1,,,,\n", LOCKSTEP_E_BAD_FORMAT, "p.csv:2:9: group: \"239.1\" is not a multi"},
    {ALL "tcp,1,500,200,100,,,,239.1.1.1,,,,\n", LOCKSTEP_E_BAD_VALUE, "p.csv:2:9: group: only multicast has a group"},
    {ALL "tcp,1,500,200,100,,,,,200,,,\n", LOCKSTEP_E_BAD_VALUE, "p.csv:2:10: phase_ms: must be less than the period"},
    {ALL "tcp,1,500,200,100,,,,,,64,,\n", LOCKSTEP_E_BAD_VALUE, "p.csv:2:11: dscp: \"64\" must be 0 to 63"},
    {ALL "tcp,1,500,200,100,,,,,,,0,\n", LOCKSTEP_E_BAD_VALUE, "p.csv:2:12: count: \"0\" must be"},
    {ALL "tcp,1,500,200,100,,,,,,,,1001\n", LOCKSTEP_E_BAD_VALUE, "p.csv:2:13: burst: \"1001\" must be 1 to 1000"},
};

static void every_mistake_is_named_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        int err = parse(mistakes[i].text);

        if (err != mistakes[i].err || strncmp(problem, mistakes[i].problem, strlen(mistakes[i].problem)) != 0)
            fail_msg("mistake %zu: got %d \"%s\", wanted %d \"%s\"", i, err, problem, mistakes[i].err,
                     mistakes[i].problem);
        assert_int_equal(pattern.count, 0);
        assert_null(pattern.types);
    }
}

static void ports_differ_by_protocol_and_receiver(void **state)
{
    (void)state;
    assert_int_equal(parse(ALL "tcp,1,500,200,100,,a,7,,,,,\nudp,1,500,200,100,,a,7,,,,,\ntcp,2,500,200,100,,b,7,,,,,\n"
                               "mcast,1,500,200,100,,a,7,239.1.1.1,,,,\nmcast,2,500,200,100,,a,7,239.1.1.2,,,,\n"),
                     0);
    assert_int_equal(pattern.count, 5);
}

static void a_nul_byte_is_a_mistake(void **state)
{
    static const char text[] = TITLES "tcp,1,5\0000,200,100\n";

    (void)state;
    pattern_free(&pattern);
    assert_int_equal(pattern_parse("p.csv", text, sizeof text - 1, &pattern, problem), LOCKSTEP_E_BAD_FORMAT);
    assert_string_equal(problem, "p.csv:2:1: line: has a NUL byte");
}

static void types_are_limited(void **state)
{
    static char text[64 * (PATTERN_TYPES_MAX + 2)];
    size_t length = (size_t)snprintf(text, sizeof text, TITLES);

    (void)state;
    for (int i = 0; i < PATTERN_TYPES_MAX; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "tcp,%d,500,200,100\n", i);
    assert_int_equal(parse(text), 0);
    assert_int_equal(pattern.count, PATTERN_TYPES_MAX);
    snprintf(text + length, sizeof text - length, "udp,1,500,200,100\n");
    assert_int_equal(parse(text), LOCKSTEP_E_EXHAUSTED);
    assert_string_equal(problem, "p.csv:514:1: class: too many types: up to 512");
}

static void the_fingerprint_tells_files_apart(void **state)
{
    uint64_t first;

    (void)state;
    assert_int_equal(parse(TITLES "tcp,1,500,200,100\n"), 0);
    first = pattern.fingerprint;
    assert_int_equal(parse(TITLES "tcp,1,500,200,101\n"), 0);
    assert_int_not_equal(first, pattern.fingerprint);
    assert_int_equal(parse(TITLES "tcp,1,500,200,100\n"), 0);
    assert_int_equal(first, pattern.fingerprint);
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    pattern_free(&pattern);
    assert_int_equal(pattern_load("/nonexistent/p.csv", &pattern, problem), -2);
    assert_string_equal(problem, "/nonexistent/p.csv: cannot read: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(required_columns_are_enough),
        cmocka_unit_test(optional_columns_are_taken),
        cmocka_unit_test(columns_come_in_any_order),
        cmocka_unit_test(every_mistake_is_named_with_its_place),
        cmocka_unit_test(ports_differ_by_protocol_and_receiver),
        cmocka_unit_test(a_nul_byte_is_a_mistake),
        cmocka_unit_test(types_are_limited),
        cmocka_unit_test(the_fingerprint_tells_files_apart),
        cmocka_unit_test(a_missing_file_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, release);
}
