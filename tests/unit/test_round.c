/* SPDX-License-Identifier: BSD-2-Clause */
/* From a pattern over plans and jobs to results and verdicts, without a network. */
#include "testbed/round.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "tests/unit/unit.h"

#define START 1800000000000000000
#define MS    1000000
#define BOUND 1000

static const char pattern_text[] = "class,row,size_bytes,period_ms,limit_ms\n"
                                   "tcp1,1,500,10,5\nmcast,1,20,10,5\nlltcp,1,100,20,5\n";

static struct pattern pattern;
static struct schedule_network network;
static struct schedule_placement placement[8];
static int64_t phase_ns[8];
static struct net_addr addresses[3];
static struct plan plan;
static struct result *results[8];
static struct round *round_made;

/* Node a sends; b and c receive multicast, c the rest, because it is the receiver of turn 1. */
static int set_up(void **state)
{
    static const char *const names[] = {"a", "b", "c"};
    struct plan_settings settings;
    char problem[PATTERN_PROBLEM_MAX], text[NET_ADDR_TEXT_MAX];

    (void)state;
    memset(&network, 0, sizeof network);
    network.mtu = 1500;
    for (int i = 0; i < 3; i++) {
        network.nodes[i] = (struct schedule_node){.sends = i == 0, .receives = i != 0};
        strcpy(network.nodes[i].name, names[i]);
        snprintf(text, sizeof text, "10.0.0.%d", i + 1);
        net_addr_parse(text, &addresses[i]);
    }
    network.count = 3;
    assert_int_equal(pattern_parse("p", pattern_text, sizeof pattern_text - 1, &pattern, problem), 0);
    assert_int_equal(schedule_place(&pattern, &network, placement, problem), 0);
    schedule_phases(&pattern, placement, &network, SCHEDULE_SYNCHRONISED, 0, phase_ns);
    plan_settings_init(&settings);
    settings.run = 42;
    settings.stack = "kernel";
    settings.addresses = addresses;
    settings.directory = "/tmp";
    settings.raw = true;
    settings.warmup_ns = 100 * MS;
    settings.duration_ns = 1000 * MS;
    assert_int_equal(plan_create(&pattern, placement, &network, phase_ns, &settings, &plan, problem), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    round_free(round_made);
    round_made = NULL;
    plan_free(&plan);
    pattern_free(&pattern);
    return 0;
}

/* ---- plans and jobs ---- */

static void each_process_has_its_job(void **state)
{
    const struct job *job;
    char text[NET_ENDPOINT_TEXT_MAX];

    (void)state;
    assert_int_equal(plan.count, 3);
    job = &plan.jobs[0];
    assert_string_equal(job->process, "b.receive");
    assert_string_equal(job->result_path, "/tmp/b.receive.json");
    assert_string_equal(job->raw_path, "/tmp/b.receive.raw");
    assert_int_equal(job->type_count, 1); /* row 1 of two receivers: c has the streams */
    assert_string_equal(job->types[0].name, "mcast.1");
    assert_int_equal(plan.jobs[1].type_count + job->type_count, 4);
    job = &plan.jobs[2];
    assert_string_equal(job->process, "a.send");
    assert_int_equal(job->type_count, 3);
    assert_int_equal(job->peer_count, 2);
    assert_int_equal(job->peers[0].endpoint.port, plan.jobs[0].echo_port);
    assert_string_equal(net_endpoint_format(&job->types[1].endpoint, text), "239.192.77.2:20001");
    assert_true(job->stall_period_ns > 0);
}

static void jobs_survive_as_json(void **state)
{
    char problem[JOB_PROBLEM_MAX];

    (void)state;
    for (size_t i = 0; i < plan.count; i++) {
        char *text = job_to_json(&plan.jobs[i]), *again;
        struct job job;

        if (job_parse(text, strlen(text), &job, problem))
            fail_msg("%s", problem);
        again = job_to_json(&job);
        assert_string_equal(text, again);
        assert_int_equal(job.run, 42);
        free(text);
        free(again);
        job_free(&job);
    }
}

/* Replaces the first `from` in the job's text. */
static int parse_changed(const char *from, const char *to, char *problem)
{
    char *text = job_to_json(&plan.jobs[0]), changed[8192];
    const char *at = strstr(text, from);
    struct job job;
    int err;

    assert_non_null(at);
    snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    free(text);
    err = job_parse(changed, strlen(changed), &job, problem);
    if (!err)
        job_free(&job);
    return err;
}

static void bad_jobs_are_refused(void **state)
{
    char problem[JOB_PROBLEM_MAX];
    struct job job;

    (void)state;
    assert_int_equal(parse_changed("\"run\":42", "\"run\":0", problem), LOCKSTEP_E_BAD_VALUE);
    assert_string_equal(problem, "job: run: 0 is not from 1 to 4294967295");
    assert_int_equal(parse_changed("\"version\":1", "\"version\":2", problem), LOCKSTEP_E_BAD_VERSION);
    assert_int_equal(parse_changed("\"role\":\"receive\"", "\"role\":\"steal\"", problem), LOCKSTEP_E_UNKNOWN_NAME);
    assert_int_equal(parse_changed("239.192.77.2", "10.0.0.9", problem), LOCKSTEP_E_BAD_VALUE);
    assert_string_equal(problem, "job: mcast.1: transport and address do not fit");
    assert_int_equal(parse_changed("\"burst\":1", "\"burst\":\"1\"", problem), LOCKSTEP_E_BAD_FORMAT);
    assert_string_equal(problem, "job: burst: is not of type int");
    assert_int_equal(parse_changed("\"dscp\":0,", "", problem), LOCKSTEP_E_BAD_FORMAT);
    assert_string_equal(problem, "job: dscp: is missing");
    assert_int_equal(job_parse("[]", 2, &job, problem), LOCKSTEP_E_BAD_FORMAT);
    assert_int_equal(job_parse("{} x", 4, &job, problem), LOCKSTEP_E_BAD_FORMAT);
}

static void schedules_are_counted(void **state)
{
    struct job_type type = {.period_ns = 10, .phase_ns = 3, .burst = 2};

    (void)state;
    assert_int_equal(job_messages_until(&type, 3), 0);
    assert_int_equal(job_messages_until(&type, 4), 2);
    assert_int_equal(job_messages_until(&type, 13), 2);
    assert_int_equal(job_messages_until(&type, 14), 4);
    type.count = 3;
    assert_int_equal(job_messages_until(&type, 1000), 3);
}

static void clashing_ports_are_refused(void **state)
{
    static const char text[] = "class,row,size_bytes,period_ms,limit_ms,receiver,port\n"
                               "tcp1,1,500,10,5,,20001\nlltcp,1,500,10,5,c,20001\nudp,1,500,10,5,c,\n";
    struct plan_settings settings;
    struct plan other;
    char problem[PATTERN_PROBLEM_MAX];

    (void)state;
    pattern_free(&pattern);
    assert_int_equal(pattern_parse("p", text, sizeof text - 1, &pattern, problem), 0);
    assert_int_equal(schedule_place(&pattern, &network, placement, problem), 0);
    plan_settings_init(&settings);
    settings.stack = "kernel";
    settings.addresses = addresses;
    settings.directory = "/tmp";
    assert_int_equal(plan_create(&pattern, placement, &network, phase_ns, &settings, &other, problem),
                     LOCKSTEP_E_CONFLICT);
    assert_string_equal(problem, "lltcp.1 (line 3): its port is another type's, too");
    pattern.types[0].port = 20002; /* udp.1's turn: it gets the next that nobody has */
    assert_int_equal(plan_create(&pattern, placement, &network, phase_ns, &settings, &other, problem), 0);
    assert_int_equal(other.jobs[0].types[2].endpoint.port, 20005);
    plan_free(&other);
    settings.port_base = 65535;
    assert_int_equal(plan_create(&pattern, placement, &network, phase_ns, &settings, &other, problem),
                     LOCKSTEP_E_BAD_VALUE);
}

/* ---- results ---- */

static void receive_all(struct result *result, struct result_type *type, const struct job_type *job_type)
{
    uint64_t count = job_messages_until(job_type, 1100 * MS);

    for (uint32_t i = 0; i < count; i++) {
        struct arrival arrival = {.sequence = i,
                                  .planned_ns = START + (int64_t)i * job_type->period_ns,
                                  .sender_bound_ns = job_type->size < 40 ? NODE_CLOCK_BOUND_UNKNOWN : BOUND,
                                  .receiver_bound_ns = BOUND};
        struct record_limits limits = {job_type->limit_ns, START + 100 * MS, NODE_CLOCK_BOUND_UNKNOWN};

        arrival.sent_ns = arrival.planned_ns + 10000;
        arrival.first_ns = arrival.planned_ns + 50000;
        arrival.last_ns = arrival.first_ns + i;
        record_arrival(type->received, &limits, &arrival);
    }
    record_finish(type->received);
    result->clock.bound_max_ns = BOUND;
}

static void send_all(struct result *result, struct result_type *type, const struct job_type *job_type)
{
    uint64_t count = job_messages_until(job_type, 1100 * MS) - job_messages_until(job_type, 100 * MS);

    type->sent->planned = type->sent->sent = count;
    for (uint64_t i = 0; i < count; i++)
        latency_record(&type->sent->lateness, 10000);
    result->clock.bound_max_ns = BOUND;
}

/* A flawless run's results, in the order of the plan. */
static void make_results(void)
{
    for (size_t i = 0; i < plan.count; i++) {
        struct job *job = &plan.jobs[i];

        job->start_tai_ns = START;
        results[i] = result_create(job);
        assert_non_null(results[i]);
        results[i]->ended_tai_ns = START + 1200 * MS;
        for (size_t k = 0; k < job->type_count; k++) {
            if (job->role == JOB_SEND)
                send_all(results[i], &results[i]->types[k], &job->types[k]);
            else
                receive_all(results[i], &results[i]->types[k], &job->types[k]);
        }
    }
}

static const struct round *judge(size_t count)
{
    const struct round_input input = {.pattern = &pattern,
                                      .placement = placement,
                                      .network = &network,
                                      .phase_ns = phase_ns,
                                      .plan = &plan,
                                      .stack = "kernel"};

    assert_int_equal(round_create(&input, results, count, &round_made), 0);
    return round_made;
}

static void results_survive_as_json(void **state)
{
    char problem[RESULT_PROBLEM_MAX];

    (void)state;
    make_results();
    results[2]->echoes[0].received = 3;
    latency_record(&results[2]->echoes[0].forward, -17);
    results[2]->stalls->list[0] = (struct stall){START, 777};
    results[2]->stalls->list_count = 1;
    strcpy(results[1]->problem, "a \"quoted\" problem");
    for (size_t i = 0; i < plan.count; i++) {
        char *text = result_to_json(results[i]), *again;
        struct result *back;

        if (result_parse(text, strlen(text), &back, problem))
            fail_msg("%s", problem);
        again = result_to_json(back);
        assert_string_equal(text, again);
        free(text);
        free(again);
        result_free(results[i]);
        result_free(back);
    }
}

static void a_histogram_that_does_not_add_up_is_refused(void **state)
{
    char problem[RESULT_PROBLEM_MAX], *text, *at;
    struct result *back;

    (void)state;
    make_results();
    text = result_to_json(results[0]);
    at = strstr(text, "\"planned_last\":{\"count\":100");
    assert_non_null(at);
    at[strlen("\"planned_last\":{\"count\":")] = '2';
    assert_int_equal(result_parse(text, strlen(text), &back, problem), LOCKSTEP_E_BAD_VALUE);
    assert_string_equal(problem, "result: planned_last: its count and its buckets do not agree");
    assert_null(back);
    free(text);
    for (size_t i = 0; i < plan.count; i++)
        result_free(results[i]);
}

/* ---- verdicts ---- */

static void a_flawless_run_passes(void **state)
{
    const struct round *made;

    (void)state;
    make_results();
    made = judge(plan.count);
    assert_int_equal(made->verdict, VERDICT_PASS);
    assert_string_equal(made->reason, "");
    assert_int_equal(made->types[1].expected, 200); /* two receivers */
    assert_int_equal(made->types[1].received.received, 200);
    assert_int_equal(made->types[1].lost, 0);
    assert_int_equal(made->types[0].bound_ns, 2 * BOUND);
    assert_int_equal(made->types[1].bound_ns, 2 * BOUND); /* from the results: the message is too short to carry it */
    assert_true(made->types[0].requested_per_s == 100 && made->types[0].achieved_per_s == 100);
    assert_true(made->types[1].achieved_per_s == 100);
    assert_int_equal(made->outlier_count, ROUND_OUTLIERS);
    assert_int_equal(verdict_exit_status(made->verdict), 0);
}

static struct result_type *type_of(size_t process, uint16_t index)
{
    for (size_t i = 0; i < results[process]->type_count; i++) {
        if (results[process]->types[i].index == index)
            return &results[process]->types[i];
    }
    fail_msg("process %zu has no type %u", process, index);
    return NULL;
}

/* One more message of tcp1.1, with this latency. */
static void add_message(int64_t latency, uint32_t bound)
{
    struct type_record *record = type_of(1, 0)->received;
    const struct record_limits limits = {5 * MS, START, BOUND};
    struct arrival arrival = {.sequence = record->next_sequence, .sender_bound_ns = bound, .receiver_bound_ns = bound};

    arrival.planned_ns = START + (int64_t)arrival.sequence * 10 * MS;
    arrival.sent_ns = arrival.planned_ns;
    arrival.first_ns = arrival.last_ns = arrival.planned_ns + latency;
    record_arrival(record, &limits, &arrival);
    record_finish(record);
    type_of(2, 0)->sent->planned++;
    type_of(2, 0)->sent->sent++;
}

static void a_broken_limit_fails(void **state)
{
    (void)state;
    make_results();
    add_message(5 * MS + 2 * BOUND + 1, BOUND);
    assert_int_equal(judge(plan.count)->verdict, VERDICT_FAIL);
    assert_string_equal(round_made->reason, "tcp1.1: worst latency 5.002 ms, limit 5.000 ms");
    assert_int_equal(round_made->outliers[0].type, 0);
    assert_int_equal(verdict_exit_status(round_made->verdict), 1);
}

static void a_bound_that_straddles_the_limit_decides_nothing(void **state)
{
    (void)state;
    make_results();
    add_message(5 * MS - 2 * BOUND + 1, BOUND);
    assert_int_equal(judge(plan.count)->verdict, VERDICT_INCONCLUSIVE);
    assert_int_equal(verdict_exit_status(round_made->verdict), 2);
}

static void an_unknown_bound_never_passes(void **state)
{
    (void)state;
    make_results();
    add_message(1000, NODE_CLOCK_BOUND_UNKNOWN);
    assert_int_equal(judge(plan.count)->verdict, VERDICT_INCONCLUSIVE);
    assert_non_null(strstr(round_made->reason, "bound is unknown"));
}

static void a_lost_message_fails(void **state)
{
    (void)state;
    make_results();
    type_of(2, 1)->sent->sent++;
    assert_int_equal(judge(plan.count)->verdict, VERDICT_FAIL);
    assert_string_equal(round_made->reason, "mcast.1: 2 of 202 lost");
}

static void a_corrupt_message_fails(void **state)
{
    (void)state;
    make_results();
    type_of(2, 2)->sent->sent++;
    type_of(1, 2)->received->corrupt++;
    assert_int_equal(judge(plan.count)->verdict, VERDICT_FAIL);
    assert_string_equal(round_made->reason, "lltcp.1: 1 corrupt");
    assert_int_equal(round_made->types[2].lost, 0);
}

static void messages_that_were_never_sent_fail(void **state)
{
    (void)state;
    make_results();
    type_of(2, 0)->sent->planned += 3;
    type_of(2, 0)->sent->unsent = 3;
    assert_int_equal(judge(plan.count)->verdict, VERDICT_FAIL);
    assert_string_equal(round_made->reason, "tcp1.1: 3 of 103 could not be sent");
}

static void a_stopped_run_keeps_what_it_has(void **state)
{
    (void)state;
    make_results();
    results[1]->ending = RESULT_STOPPED;
    type_of(2, 0)->sent->sent += 5;
    assert_int_equal(judge(plan.count)->verdict, VERDICT_INCONCLUSIVE);
    assert_int_equal(round_made->types[0].lost, 5);
    assert_int_equal(round_made->types[0].received.received, 100);
}

static void a_missing_process_is_named(void **state)
{
    (void)state;
    make_results();
    result_free(results[1]);
    results[1] = results[2];
    assert_int_equal(judge(2)->verdict, VERDICT_INCONCLUSIVE);
    assert_string_equal(round_made->types[0].reason, "results of 0 of 1 receivers");
    assert_string_equal(round_made->types[1].reason, "results of 1 of 2 receivers");
    assert_int_equal(round_made->types[1].lost, 0);
}

static void without_a_sender_losses_are_not_claimed(void **state)
{
    (void)state;
    make_results();
    result_free(results[2]);
    assert_int_equal(judge(2)->verdict, VERDICT_INCONCLUSIVE);
    assert_int_equal(round_made->types[0].expected, 100); /* by the schedule */
    assert_string_equal(round_made->types[0].reason, "no result of its sender");
}

static void no_results_are_no_round(void **state)
{
    (void)state;
    assert_int_equal(judge(0)->verdict, VERDICT_INVALID);
    assert_int_equal(verdict_exit_status(round_made->verdict), 3);
}

static void a_failed_clock_check_makes_all_invalid(void **state)
{
    (void)state;
    make_results();
    results[2]->echoes[1].sent = results[2]->echoes[1].received = 20;
    results[2]->echoes[1].impossible = 1;
    assert_int_equal(judge(plan.count)->verdict, VERDICT_INVALID);
    assert_string_equal(round_made->reason, "clock check failed: a to c: 1 of 20 echoes took less than nothing by more "
                                            "than the bounds");
}

static void a_message_faster_than_nothing_makes_all_invalid(void **state)
{
    (void)state;
    make_results();
    add_message(-2 * BOUND, BOUND);
    assert_int_equal(judge(plan.count)->verdict, VERDICT_PASS);
    tear_down(NULL);
    set_up(NULL);
    make_results();
    add_message(-2 * BOUND - 1, BOUND);
    assert_int_equal(judge(plan.count)->verdict, VERDICT_INVALID);
}

static void a_clock_in_trouble_decides_nothing(void **state)
{
    (void)state;
    make_results();
    results[0]->clock.disruptions = 1;
    assert_int_equal(judge(plan.count)->verdict, VERDICT_INCONCLUSIVE);
    assert_string_equal(round_made->reason, "b.receive: the clock was disrupted during the run");
}

static void outliers_know_their_stall(void **state)
{
    (void)state;
    make_results();
    add_message(3 * MS, BOUND);
    results[2]->stalls->list[0] = (struct stall){START + 110 * 10 * MS + MS, MS};
    results[2]->stalls->list_count = 1;
    results[2]->stalls->stalls = 1;
    judge(plan.count);
    assert_true(round_made->stalled);
    assert_ptr_equal(round_made->outliers[0].stall, &results[2]->stalls->list[0]);
    assert_string_equal(round_made->outliers[0].stalled_node, "a");
    assert_null(round_made->outliers[1].stall);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_process_has_its_job),
        TEST(jobs_survive_as_json),
        TEST(bad_jobs_are_refused),
        TEST(schedules_are_counted),
        TEST(clashing_ports_are_refused),
        TEST(results_survive_as_json),
        TEST(a_histogram_that_does_not_add_up_is_refused),
        TEST(a_flawless_run_passes),
        TEST(a_broken_limit_fails),
        TEST(a_bound_that_straddles_the_limit_decides_nothing),
        TEST(an_unknown_bound_never_passes),
        TEST(a_lost_message_fails),
        TEST(a_corrupt_message_fails),
        TEST(messages_that_were_never_sent_fail),
        TEST(a_stopped_run_keeps_what_it_has),
        TEST(a_missing_process_is_named),
        TEST(without_a_sender_losses_are_not_claimed),
        TEST(no_results_are_no_round),
        TEST(a_failed_clock_check_makes_all_invalid),
        TEST(a_message_faster_than_nothing_makes_all_invalid),
        TEST(a_clock_in_trouble_decides_nothing),
        TEST(outliers_know_their_stall),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
