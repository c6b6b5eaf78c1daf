/* SPDX-License-Identifier: BSD-2-Clause */
/* What `lockstep doctor` says of what it is given, and how it reads the kernel's messages. */
#include <arpa/inet.h>
#include <errno.h>
#include <json-c/json.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "tests/unit/unit.h"
#include "tools/doctor.h"

static struct findings findings;

static int setup(void **state)
{
    (void)state;
    findings_free(&findings);
    return 0;
}

static int teardown(void **state)
{
    return setup(state);
}

/* The first finding of this check and state; fails if there is none. */
static const struct finding *find(const char *check, enum finding_state state)
{
    for (size_t i = 0; i < findings.count; i++) {
        if (strcmp(findings.list[i].check, check) == 0 && findings.list[i].state == state)
            return &findings.list[i];
    }
    fail_msg("no %s: %s", finding_state_name(state), check);
    return NULL;
}

/* ---- messages ---- */

static char buffer[1024];

static struct nlmsghdr *filter(unsigned ifindex, unsigned priority, const char *kind, const char *name, unsigned id)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct nlattr *options;
    struct tcmsg *head;

    message->nlmsg_type = RTM_NEWTFILTER;
    head = mnl_nlmsg_put_extra_header(message, sizeof *head);
    head->tcm_ifindex = (int)ifindex;
    head->tcm_handle = 1;
    head->tcm_info = priority << 16;
    mnl_attr_put_strz(message, TCA_KIND, kind);
    options = mnl_attr_nest_start(message, TCA_OPTIONS);
    if (name)
        mnl_attr_put_strz(message, TCA_BPF_NAME, name);
    if (id)
        mnl_attr_put_u32(message, TCA_BPF_ID, id);
    mnl_attr_nest_end(message, options);
    return message;
}

static void filters_of_others_are_found(void **state)
{
    struct doctor_programs programs = {0};

    (void)state;
    doctor_parse_filter(filter(7, 5, "bpf", "watch:[12]", 12), 7, DOCTOR_TC_INGRESS, &programs);
    doctor_parse_filter(filter(7, 9, "u32", NULL, 0), 7, DOCTOR_TC_EGRESS, &programs);
    doctor_parse_filter(filter(8, 5, "bpf", "elsewhere", 12), 7, DOCTOR_TC_INGRESS, &programs);
    assert_int_equal(programs.count, 2);
    assert_string_equal(programs.list[0].name, "watch:[12]");
    assert_true(programs.list[0].priority == 5 && programs.list[0].id == 12);
    assert_string_equal(programs.list[1].name, "u32");
    doctor_parse_filter(filter(7, 1, "bpf", "lockstep_tc:[3]", 3), 7, DOCTOR_TC_INGRESS, &programs);
    assert_int_equal(programs.count, 2);
    doctor_parse_filter(filter(7, 9, "u32", NULL, 0), 7, DOCTOR_TC_EGRESS, &programs);
    assert_int_equal(programs.count, 2);
    for (unsigned i = 0; i < DOCTOR_LIST_MAX + 5; i++)
        doctor_parse_filter(filter(7, 5, "bpf", "watch", 100 + i), 7, DOCTOR_TC_INGRESS, &programs);
    assert_int_equal(programs.count, DOCTOR_LIST_MAX);
}

static struct nlmsghdr *chain(unsigned family, int hook, int policy, unsigned rules)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct nlattr *nested;
    struct nfgenmsg *head;

    message->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN;
    head = mnl_nlmsg_put_extra_header(message, sizeof *head);
    head->nfgen_family = (uint8_t)family;
    mnl_attr_put_strz(message, NFTA_CHAIN_TABLE, "filter");
    mnl_attr_put_strz(message, NFTA_CHAIN_NAME, "input");
    if (hook >= 0) {
        nested = mnl_attr_nest_start(message, NFTA_CHAIN_HOOK);
        mnl_attr_put_u32(message, NFTA_HOOK_HOOKNUM, htonl((unsigned)hook));
        mnl_attr_nest_end(message, nested);
    }
    mnl_attr_put_u32(message, NFTA_CHAIN_POLICY, htonl((unsigned)policy));
    mnl_attr_put_u32(message, NFTA_CHAIN_USE, htonl(rules));
    return message;
}

static void chains_that_packets_would_have_passed_are_found(void **state)
{
    struct doctor_firewall firewall = {0};

    (void)state;
    doctor_parse_chain(chain(NFPROTO_INET, NF_INET_LOCAL_IN, NF_DROP, 3), &firewall);
    doctor_parse_chain(chain(NFPROTO_IPV6, NF_INET_LOCAL_OUT, NF_ACCEPT, 1), &firewall);
    doctor_parse_chain(chain(NFPROTO_INET, NF_INET_LOCAL_IN, NF_DROP, 0), &firewall);
    doctor_parse_chain(chain(NFPROTO_NETDEV, NF_NETDEV_INGRESS, NF_ACCEPT, 2), &firewall);
    assert_int_equal(firewall.count, 4);
    assert_string_equal(firewall.list[0].name, "inet filter input");
    assert_true(firewall.list[0].drops && !firewall.list[0].output && firewall.list[0].rules == 3);
    assert_true(!firewall.list[1].drops && firewall.list[1].output);
    /* Empty ones that let all pass, forwarding, bridges, and chains that are only jumped to. */
    doctor_parse_chain(chain(NFPROTO_INET, NF_INET_LOCAL_IN, NF_ACCEPT, 0), &firewall);
    doctor_parse_chain(chain(NFPROTO_INET, NF_INET_FORWARD, NF_DROP, 3), &firewall);
    doctor_parse_chain(chain(NFPROTO_BRIDGE, NF_INET_LOCAL_IN, NF_DROP, 3), &firewall);
    doctor_parse_chain(chain(NFPROTO_INET, -1, NF_ACCEPT, 3), &firewall);
    assert_int_equal(firewall.count, 4);
}

static void short_messages_are_passed_over(void **state)
{
    struct doctor_programs programs = {0};
    struct doctor_firewall firewall = {0};

    (void)state;
    for (size_t cut = 0; cut < 60; cut++) {
        struct nlmsghdr *message = filter(7, 5, "bpf", "watch", 12);

        message->nlmsg_len -= cut < message->nlmsg_len - NLMSG_HDRLEN ? (unsigned)cut : 0;
        doctor_parse_filter(message, 7, DOCTOR_TC_INGRESS, &programs);
        message = chain(NFPROTO_INET, NF_INET_LOCAL_IN, NF_DROP, 3);
        message->nlmsg_len -= cut < message->nlmsg_len - NLMSG_HDRLEN ? (unsigned)cut : 0;
        doctor_parse_chain(message, &firewall);
    }
    assert_true(programs.count < 60 && firewall.count < 60);
}

/* ---- what is said ---- */

static void an_old_kernel_is_a_problem(void **state)
{
    struct host_facts facts = {.kernel = "5.10.0", .kernel_major = 5, .kernel_minor = 10, .bpf_jit = HOST_SWITCH_OFF};

    (void)state;
    doctor_check_kernel(&facts, &findings);
    assert_non_null(strstr(find("kernel", FINDING_PROBLEM)->consequence, "6.1"));
    assert_string_equal(find("kernel", FINDING_WARNING)->remedy, "sysctl net.core.bpf_jit_enable=1");
    setup(NULL);
    facts = (struct host_facts){.kernel = "6.1.0", .kernel_major = 6, .kernel_minor = 1, .huge_pages = "always"};
    doctor_check_kernel(&facts, &findings);
    find("kernel", FINDING_OK);
    find("huge pages", FINDING_NOTE);
}

static void cores_and_those_who_move_interrupts(void **state)
{
    struct host_facts facts = {.cores = 1};

    (void)state;
    doctor_check_cores(&facts, true, &findings);
    find("cores", FINDING_WARNING);
    find("interrupts", FINDING_WARNING);
    setup(NULL);
    facts = (struct host_facts){.cores = 8, .isolated_cores = "2-7"};
    doctor_check_cores(&facts, false, &findings);
    assert_int_equal(findings_count(&findings, FINDING_OK), findings.count);
}

static void every_place_of_a_foreign_program_has_its_consequence(void **state)
{
    const struct doctor_programs programs = {.count = 4,
                                             .list = {{DOCTOR_XDP, 0, 5, "balancer"},
                                                      {DOCTOR_TCX, 0, 6, "x"},
                                                      {DOCTOR_TC_INGRESS, 3, 7, "y"},
                                                      {DOCTOR_TC_EGRESS, 4, 0, "u32"}}};
    const struct doctor_programs unnamed = {.count = 1, .list = {{DOCTOR_XDP, 0, 5, ""}}}, none = {0};

    (void)state;
    doctor_check_programs("eth0", &programs, &findings);
    assert_int_equal(findings_count(&findings, FINDING_WARNING), 3);
    assert_int_equal(findings_count(&findings, FINDING_NOTE), 1);
    for (size_t i = 0; i < findings.count; i++)
        assert_true(findings.list[i].consequence[0] && findings.list[i].remedy[0]);
    assert_string_equal(findings.list[0].text, "eth0: at XDP: balancer (program 5)");
    assert_non_null(strstr(findings.list[3].text, "priority 4: a filter of kind u32"));
    setup(NULL);
    doctor_check_programs("eth0", &unnamed, &findings);
    find("programs", FINDING_NOTE);
    setup(NULL);
    doctor_check_programs("eth0", &none, &findings);
    find("programs", FINDING_OK);
}

static void a_firewall_warns_where_packets_are_diverted(void **state)
{
    struct doctor_firewall firewall = {.count = 2,
                                       .list = {{"inet filter input", false, true, 7}, {"ip nat out", true, false, 1}}};

    (void)state;
    doctor_check_firewall(&firewall, true, &findings);
    assert_int_equal(findings_count(&findings, FINDING_WARNING), 2);
    assert_string_equal(findings.list[0].text, "incoming: 7 rules and a policy to drop in inet filter input");
    assert_string_equal(findings.list[1].text, "outgoing: 1 rule in ip nat out");
    setup(NULL);
    doctor_check_firewall(&firewall, false, &findings);
    assert_int_equal(findings_count(&findings, FINDING_NOTE), 2);
    setup(NULL);
    firewall = (struct doctor_firewall){.err = -EPERM};
    doctor_check_firewall(&firewall, true, &findings);
    assert_non_null(strstr(find("firewall", FINDING_NOTE)->text, "root"));
    setup(NULL);
    firewall.err = 0;
    doctor_check_firewall(&firewall, true, &findings);
    find("firewall", FINDING_OK);
}

static void check_status(const char *json)
{
    struct doctor_service service = {.dir = "/run/lockstep", .status = json_tokener_parse(json)};

    setup(NULL);
    doctor_check_service(&service, &findings);
    json_object_put(service.status);
}

static void the_service_and_its_interfaces(void **state)
{
    struct doctor_service absent = {.err = -ENOENT, .dir = "/run/lockstep"};

    (void)state;
    doctor_check_service(&absent, &findings);
    assert_non_null(strstr(find("service", FINDING_PROBLEM)->text, "/run/lockstep"));
    check_status("{\"version\":\"" LOCKSTEP_VERSION
                 "\",\"interfaces\":[{\"name\":\"eth0\",\"mode\":\"tc\",\"why\":\"so\",\"up\":true}]}");
    assert_int_equal(findings_count(&findings, FINDING_OK), findings.count);
    check_status("{\"version\":\"0.0.1\"}");
    find("service", FINDING_WARNING);
    check_status("{\"interfaces\":[{\"name\":\"eth0\",\"mode\":\"not attached\",\"why\":\"no driver\",\"up\":false}]}");
    assert_string_equal(find("divert", FINDING_PROBLEM)->text, "eth0: not attached: no driver");
    find("divert", FINDING_WARNING);
    check_status(
        "{\"lanes\":[{\"pid\":71,\"program\":\"daq\",\"overruns\":5}],\"totals\":{\"nexthops_unresolved\":2}}");
    assert_non_null(strstr(find("lanes", FINDING_WARNING)->text, "process 71 (daq) has lost 5 "));
    check_status("{\"interfaces\":7,\"lanes\":[3],\"totals\":\"x\"}");
}

static void the_clock_its_sources_and_its_rivals(void **state)
{
    struct doctor_clock clock = {.err = -ENOENT, .path = "/run/lockstep/clock"};

    (void)state;
    doctor_check_clock(&clock, "", &findings);
    find("clock", FINDING_PROBLEM);
    setup(NULL);
    clock = (struct doctor_clock){.status = "synchronised", .counter = "tsc", .gives_time = true, .bound_ns = 20000};
    clock.daemon = json_tokener_parse("{\"disciplining\":false}");
    clock.sources = json_tokener_parse("{\"sources\":[{\"name\":\"a\",\"state\":\"selected\"}]}");
    doctor_check_clock(&clock, "chronyd", &findings);
    assert_int_equal(findings_count(&findings, FINDING_OK), findings.count);
    setup(NULL);
    json_object_object_add(clock.daemon, "disciplining", json_object_new_boolean(true));
    doctor_check_clock(&clock, "chronyd", &findings);
    assert_non_null(strstr(find("clock", FINDING_WARNING)->text, "chronyd steers"));
    setup(NULL);
    json_object_put(clock.sources);
    clock.sources = json_tokener_parse(
        "{\"sources\":[{\"name\":\"a\",\"state\":\"falseticker\"},{\"name\":\"b\",\"state\":\"unreachable\"}]}");
    clock.bound_ns = 5000000;
    doctor_check_clock(&clock, "", &findings);
    assert_int_equal(findings_count(&findings, FINDING_WARNING), 4);
    setup(NULL);
    json_object_put(clock.daemon);
    clock.daemon = NULL;
    clock.gives_time = false;
    strcpy(clock.status, "disrupted");
    doctor_check_clock(&clock, "", &findings);
    assert_int_equal(findings_count(&findings, FINDING_PROBLEM), 2);
    json_object_put(clock.sources);
}

#define DOCTOR_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* ---- history, disk, dashboard, leap seconds ---- */

#define NOW_NS 1800000000000000000ll

static void history_that_is_written_is_fine(void **state)
{
    struct doctor_history history = {
        .path = "/h.db", .recorder = true, .version = 1, .written_ns = NOW_NS - 10000000000ll};

    (void)state;
    doctor_check_history(&history, NOW_NS, &findings);
    find("history", FINDING_OK);
    assert_int_equal(findings.count, 1);
}

static void history_that_stands_still_or_has_gaps_is_told(void **state)
{
    struct doctor_history history = {
        .path = "/h.db", .recorder = true, .version = 1, .written_ns = NOW_NS - 7200000000000ll, .gaps = 2, .lost = 31};

    (void)state;
    doctor_check_history(&history, NOW_NS, &findings);
    assert_non_null(strstr(find("history", FINDING_WARNING)->text, "ago"));
    assert_non_null(strstr(findings.list[1].text, "2 gaps in the last 24 h, 31 records lost"));
    findings_free(&findings);
    history.written_ns = NOW_NS + 7200000000000ll; /* the wall clock was stepped back */
    doctor_check_history(&history, NOW_NS, &findings);
    assert_non_null(strstr(find("history", FINDING_WARNING)->text, "in the future"));
}

static void history_is_missing_damaged_or_newer(void **state)
{
    struct doctor_history history = {.path = "/h.db", .err = -ENOENT};

    (void)state;
    doctor_check_history(&history, NOW_NS, &findings);
    find("history", FINDING_NOTE);
    findings_free(&findings);
    history.err = LOCKSTEP_E_BAD_FORMAT;
    doctor_check_history(&history, NOW_NS, &findings);
    find("history", FINDING_PROBLEM);
    findings_free(&findings);
    history = (struct doctor_history){.path = "/h.db", .recorder = true, .version = 1000};
    doctor_check_history(&history, NOW_NS, &findings);
    assert_non_null(strstr(find("history", FINDING_WARNING)->text, "newer"));
}

static void a_file_that_is_no_database_is_damaged(void **state)
{
    struct doctor_history history = {0};
    char path[] = "/tmp/lockstep-doctor-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    for (int i = 0; i < 200; i++)
        assert_int_equal(write(fd, "this is no database at all\n", 27), 27);
    close(fd);
    doctor_read_history(path, NOW_NS, &history);
    unlink(path);
    assert_int_equal(history.err, LOCKSTEP_E_BAD_FORMAT);
    doctor_read_history(path, NOW_NS, &history);
    assert_int_equal(history.err, -ENOENT);
}

static void disk_that_is_nearly_full_is_told(void **state)
{
    struct doctor_disk disk = {.path = "/var", .free_bytes = 4ull << 30, .bytes = 100ull << 30};

    (void)state;
    doctor_check_disk(&disk, &findings);
    find("disk", FINDING_WARNING);
    findings_free(&findings);
    disk.free_bytes = 40ull << 30;
    doctor_check_disk(&disk, &findings);
    find("disk", FINDING_OK);
    findings_free(&findings);
    disk = (struct doctor_disk){.path = "/small", .free_bytes = 100ull << 20, .bytes = 200ull << 20};
    doctor_check_disk(&disk, &findings);
    find("disk", FINDING_WARNING);
}

static void disk_of_what_is_not_there_yet_is_its_directorys(void **state)
{
    struct doctor_disk disk = {0};

    (void)state;
    doctor_read_disk("/tmp/not/there/yet.db", &disk);
    assert_int_equal(disk.err, 0);
    assert_string_equal(disk.path, "/tmp");
    assert_true(disk.bytes > 0);
}

static void dashboard_for_others_is_told(void **state)
{
    struct doctor_web web = {.running = true};
    static const char remote[] = "[web]\nlisten = 192.0.2.7:9480\ncertificate = a\nkey = b\ntoken-file = c\n";

    (void)state;
    assert_int_equal(web_config_parse("web.conf", "", 0, &web.config, web.problem), 0);
    doctor_check_web(&web, &findings);
    find("dashboard", FINDING_OK);
    findings_free(&findings);
    assert_int_equal(web_config_parse("web.conf", remote, sizeof remote - 1, &web.config, web.problem), 0);
    doctor_check_web(&web, &findings);
    assert_non_null(strstr(find("dashboard", FINDING_NOTE)->text, "192.0.2.7:9480"));
    findings_free(&findings);
    web.err = web_config_parse("web.conf", "[web]\nlisten = 192.0.2.7:9480\n", 30, &web.config, web.problem);
    assert_int_not_equal(web.err, 0);
    doctor_check_web(&web, &findings);
    find("dashboard", FINDING_PROBLEM);
}

static void table_of_leap_seconds_expires(void **state)
{
    struct doctor_leap leap = {.file = {.table = {.tai_utc_s = 37}, .expires_utc_s = 2000000000}};

    (void)state;
    doctor_check_leap(&leap, 1900000000, &findings);
    assert_string_equal(find("leap seconds", FINDING_OK)->text, "TAI - UTC is 37 s");
    findings_free(&findings);
    doctor_check_leap(&leap, 2000000000 - 86400, &findings);
    find("leap seconds", FINDING_NOTE);
    findings_free(&findings);
    doctor_check_leap(&leap, 2000000001, &findings);
    assert_non_null(strstr(find("leap seconds", FINDING_WARNING)->text, "has expired"));
    findings_free(&findings);
    leap.err = -ENOENT;
    doctor_check_leap(&leap, 0, &findings);
    find("leap seconds", FINDING_NOTE);
}

static void driver_without_native_xdp_is_told(void **state)
{
    struct host_interface interface = {.name = "eth0", .driver = "r8169"};

    (void)state;
    doctor_check_driver(&interface, true, 0, &findings);
    assert_string_equal(find("driver", FINDING_NOTE)->text, "eth0: driver r8169 has no native XDP");
    findings_free(&findings);
    doctor_check_driver(&interface, true, 1, &findings);
    assert_string_equal(find("driver", FINDING_OK)->text, "eth0: driver r8169, native XDP");
    findings_free(&findings);
    doctor_check_driver(&interface, false, 0, &findings);
    assert_string_equal(find("driver", FINDING_OK)->text, "eth0: driver r8169");
}

/* ---- cores ---- */

static const struct host_interface cards[] = {
    {.name = "eth0", .near_cores = "0-3", .interrupt = {{41, "0-7", "3"}, {42, "0-7", "0"}}, .interrupt_count = 2},
    {.name = "eth1"},
};
static const struct host_facts eight_cores = {.cores = 8};

static void programs_on_cores_of_their_own_are_fine(void **state)
{
    const struct doctor_placement placement = {.count = 2, .list = {{7, "daq", {1, 2}, 2}, {8, "ctl", {1}, 0}}},
                                  none = {0};
    struct doctor_placement bound = placement;

    (void)state;
    doctor_check_placement(&none, &eight_cores, cards, 2, &findings);
    assert_int_equal(findings.count, 0);
    doctor_check_placement(&placement, &eight_cores, cards, 2, &findings);
    assert_string_equal(find("placement", FINDING_NOTE)->text, "bound to no core: process 8 (ctl)");
    assert_int_equal(findings.count, 1);
    findings_free(&findings);
    bound.count = 1;
    doctor_check_placement(&bound, &eight_cores, cards, 2, &findings);
    assert_string_equal(find("placement", FINDING_OK)->text, "1 accelerated program, bound to cores of their own");
}

static void programs_that_share_a_core_or_an_interrupt_are_told(void **state)
{
    const struct doctor_placement placement = {.count = 3,
                                               .list = {{7, "daq", {2, 3}, 2}, {8, "ctl", {1}, 1}, {9, "log", {2}, 1}}};

    (void)state;
    doctor_check_placement(&placement, &eight_cores, cards, 2, &findings);
    assert_int_equal(findings.count, 2);
    assert_string_equal(findings.list[0].text, "core 2: process 7 (daq) and process 9 (log) are both bound to it");
    assert_string_equal(findings.list[1].text, "eth0: interrupt 41 comes to core 3, to which process 7 (daq) is bound");
    for (size_t i = 0; i < findings.count; i++)
        assert_true(findings.list[i].state == FINDING_WARNING && findings.list[i].consequence[0] &&
                    findings.list[i].remedy[0]);
}

static void programs_far_from_their_card_are_told(void **state)
{
    const struct doctor_placement placement = {.count = 1, .list = {{7, "daq", {5}, 1}}};

    (void)state;
    doctor_check_placement(&placement, &eight_cores, cards, 2, &findings);
    assert_string_equal(find("placement", FINDING_WARNING)->text, "process 7 (daq) is bound to core 5, far from eth0");
    assert_int_equal(findings.count, 1);
}

static void put_status(const char *dir, const char *task, const char *text)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof path, "%s/proc/7/task/%s", dir, task);
    assert_int_equal(mkdir(path, 0755), 0);
    strcat(path, "/status");
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void threads_are_looked_at_one_by_one(void **state)
{
    struct json_object *status =
        json_tokener_parse("{\"lanes\":[{\"pid\":7,\"program\":\"daq\"},{\"pid\":7,\"program\":\"daq\"},{\"pid\":9}]}");
    char dir[] = "/tmp/lockstep-doctor-XXXXXX", path[64];
    struct doctor_placement placement;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "mkdir -p %s/proc/7/task", dir);
    assert_int_equal(system(path), 0);
    put_status(dir, "7", "Name:\tdaq\nCpus_allowed_list:\t0-3\nMems_allowed_list:\t0\n");
    put_status(dir, "8", "Cpus_allowed_list:\t12\n");
    put_status(dir, "10", "Cpus_allowed_list:\t12\n");
    put_status(dir, "11", "Cpus_allowed_list:\t2,5\n");
    doctor_read_placement(dir, status, &placement);
    snprintf(path, sizeof path, "rm -r %s", dir);
    assert_int_equal(system(path), 0);
    json_object_put(status);
    assert_int_equal(placement.count, 1);
    assert_string_equal(placement.list[0].program, "daq");
    assert_int_equal(placement.list[0].bound_count, 1);
    assert_int_equal(placement.list[0].bound[0], 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DOCTOR_TEST(filters_of_others_are_found),
        DOCTOR_TEST(chains_that_packets_would_have_passed_are_found),
        DOCTOR_TEST(short_messages_are_passed_over),
        DOCTOR_TEST(an_old_kernel_is_a_problem),
        DOCTOR_TEST(cores_and_those_who_move_interrupts),
        DOCTOR_TEST(every_place_of_a_foreign_program_has_its_consequence),
        DOCTOR_TEST(a_firewall_warns_where_packets_are_diverted),
        DOCTOR_TEST(the_service_and_its_interfaces),
        DOCTOR_TEST(the_clock_its_sources_and_its_rivals),
        DOCTOR_TEST(history_that_is_written_is_fine),
        DOCTOR_TEST(history_that_stands_still_or_has_gaps_is_told),
        DOCTOR_TEST(history_is_missing_damaged_or_newer),
        DOCTOR_TEST(a_file_that_is_no_database_is_damaged),
        DOCTOR_TEST(disk_that_is_nearly_full_is_told),
        DOCTOR_TEST(disk_of_what_is_not_there_yet_is_its_directorys),
        DOCTOR_TEST(dashboard_for_others_is_told),
        DOCTOR_TEST(table_of_leap_seconds_expires),
        DOCTOR_TEST(driver_without_native_xdp_is_told),
        DOCTOR_TEST(programs_on_cores_of_their_own_are_fine),
        DOCTOR_TEST(programs_that_share_a_core_or_an_interrupt_are_told),
        DOCTOR_TEST(programs_far_from_their_card_are_told),
        DOCTOR_TEST(threads_are_looked_at_one_by_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
