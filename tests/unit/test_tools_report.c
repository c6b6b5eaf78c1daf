/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/report.h"

static const char status_text[] =
    "{\"version\": \"0.1.0\", \"pid\": 42, \"uptime_s\": 3700, \"adopting\": false,"
    " \"interfaces\": [{\"name\": \"eth0\", \"mode\": \"tc\", \"why\": \"native XDP is not there\", \"ifindex\": 2,"
    "   \"mtu\": 1500, \"up\": true, \"addresses\": [\"10.0.0.1/24\", \"fd00::1/64\"],"
    "   \"vlan\": [{\"name\": \"eth0.7\", \"id\": 7, \"ifindex\": 3, \"mtu\": 1496, \"up\": false, \"addresses\": "
    "[]}]},"
    "   {\"name\": \"eth1\", \"mode\": \"not attached\", \"why\": \"\", \"vlan\": []}],"
    " \"lanes\": [{\"lane\": 0, \"pid\": 77, \"uid\": 4294967294, \"program\": \"sockperf\", \"injector\": \"guarded\","
    "   \"flows\": 3, \"rx_packets\": 1234567, \"tx_packets\": 99, \"overruns\": 2, \"bad_packets\": 1,"
    "   \"guard_drops\": {\"malformed\": 1, \"source\": 2, \"fragment\": 3, \"nexthop\": 4}}],"
    " \"totals\": {\"kernel_sockets\": 5000, \"rejected_messages\": 12, \"resets_sent\": 0},"
    " \"divert\": {\"passed\": 5, \"diverted\": 2000000, \"overrun\": 2, \"both\": 1}}";

static const char connections_text[] =
    "{\"flows\": [{\"protocol\": \"tcp\", \"local\": \"10.0.0.1:7001\", \"remote\": \"10.0.0.2:40000\","
    "   \"state\": \"established\", \"pid\": 77, \"program\": \"sockperf\", \"rx_bytes\": 1048576, \"tx_bytes\": 12,"
    "   \"drops\": 0, \"ring_drops\": 3, \"retransmissions\": 4}],"
    " \"kernel\": [{\"protocol\": \"tcp\", \"local\": \"*\", \"remote\": \"127.0.0.1:80\", \"pid\": 5,"
    "   \"program\": \"a\\u001b[2J\", \"reason\": \"loopback\"},"
    "  {\"protocol\": \"udp\", \"local\": \"*\", \"remote\": \"127.0.0.1:80\", \"pid\": 5, \"program\": \"b\","
    "   \"reason\": \"no divert\"},"
    "  {\"protocol\": \"tcp\", \"local\": \"*\", \"remote\": \"127.0.0.1:80\", \"pid\": 5, \"program\": \"b\","
    "   \"reason\": \"loopback\"}]}";

static struct json_object *parse(const char *text)
{
    struct json_object *report = report_parse(text, strlen(text));

    assert_non_null(report);
    return report;
}

static char *print_status(const char *status, const char *connections)
{
    struct json_object *first = parse(status), *second = connections ? parse(connections) : NULL;
    size_t size;
    char *text;
    FILE *out = open_memstream(&text, &size);

    status_print(first, second, out, 80);
    fclose(out);
    json_object_put(first);
    json_object_put(second);
    return text;
}

static char *print_connections(const char *connections, bool all)
{
    struct json_object *report = parse(connections);
    size_t size;
    char *text;
    FILE *out = open_memstream(&text, &size);

    connections_print(report, all, out, 0);
    fclose(out);
    json_object_put(report);
    return text;
}

static void status_is_printed(void **state)
{
    char *text = print_status(status_text, connections_text);

    (void)state;
    assert_string_equal(
        text, "lockstep-netd 0.1.0, process 42, up 1 h 1 min\n"
              "\n"
              "INTERFACE  DIVERT        LINK      MTU  ADDRESSES\n"
              "eth0       tc            up       1500  10.0.0.1/24 fd00::1/64\n"
              "eth0.7     vlan 7        down     1496  \n"
              "eth1       not attached  missing     0  \n"
              "eth0: tc: native XDP is not there\n"
              "\n"
              "LANE  PID  USER        PROGRAM   INJECTOR  SOCKETS   RX PKT  TX PKT  LOST  BAD\n"
              "   0   77  4294967294  sockperf  guarded         3  1.235 M      99     2   11\n"
              "\n"
              "Packets: 2.000 M to lanes, 1 to lane and kernel, 5 to the kernel, 2 lost because a ring was full\n"
              "Events: 12 malformed messages\n"
              "\n"
              "SOCKETS  WHY THEY STAYED WITH THE KERNEL\n"
              "      2  loopback\n"
              "      1  no divert\n"
              "(the latest 3 of 5000)\n");
    free(text);
}

static void connections_are_printed(void **state)
{
    char *text = print_connections(connections_text, false);

    (void)state;
    assert_string_equal(
        text, "PROTO  LOCAL          REMOTE          STATE        PROGRAM             RX    TX  LOST  RETR\n"
              "tcp    10.0.0.1:7001  10.0.0.2:40000  established  77/sockperf  1.000 MiB  12 B     3     4\n");
    free(text);
}

static void sockets_of_the_kernel_are_printed_on_request(void **state)
{
    char *text = print_connections(connections_text, true);

    (void)state;
    assert_non_null(strstr(text, "\n"
                                 "PROTO  LOCAL  REMOTE        PROGRAM  WHY IT STAYED WITH THE KERNEL\n"
                                 "tcp    *      127.0.0.1:80  5/a?[2J  loopback\n"
                                 "udp    *      127.0.0.1:80  5/b      no divert\n"));
    free(text);
}

static void members_that_are_missing_or_of_another_type_do_no_harm(void **state)
{
    char *text = print_status("{\"interfaces\": 5, \"lanes\": [1, null, {\"pid\": [], \"guard_drops\": \"x\"}],"
                              "\"totals\": [], \"version\": {}}",
                              "{\"kernel\": [null, {}]}");

    (void)state;
    assert_non_null(strstr(text, "lockstep-netd , process 0"));
    free(text);
    text = print_connections("{}", true);
    assert_string_equal(text, "No socket is accelerated at present.\n\nNo socket has stayed with the kernel.\n");
    free(text);
}

static void only_whole_objects_are_reports(void **state)
{
    static const char *const wrong[] = {"", "[]", "{", "{\"a\": 1", "5", "null", "\"text\""};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_null(report_parse(wrong[i], strlen(wrong[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_is_printed),
        cmocka_unit_test(connections_are_printed),
        cmocka_unit_test(sockets_of_the_kernel_are_printed_on_request),
        cmocka_unit_test(members_that_are_missing_or_of_another_type_do_no_harm),
        cmocka_unit_test(only_whole_objects_are_reports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
