/* SPDX-License-Identifier: BSD-2-Clause */
/* The core in a small world of virtual time. Every scenario also holds the rig's own claim: the published time is
 * continuous and slewed within its rate, but for what is counted as a disruption. */
#include "base/error.h"
#include "tests/unit/core_rig.h"

static struct core_source_report source_of(const struct rig *rig, unsigned number)
{
    struct core_source_report report;

    assert_true(core_get_source(rig->core, number, &report));
    return report;
}

/* How often the bound may be missed is the estimator's business; here it must be about right. */
static void assert_true_time(const struct rig *rig)
{
    assert_within(rig_error(rig), 1.5 * rig_bound(rig) + 1000);
}

static void usable_within_seconds(void **state)
{
    struct rig *rig = rig_new();
    struct core_source_report report;

    (void)state;
    rig_start(rig);
    rig_add_server(rig);
    rig_run(rig, 0.01);
    assert_status(rig, UNSYNCHRONISED);
    rig_run(rig, 0.99);
    assert_status(rig, SYNCHRONISED);
    for (int i = 0; i < 1000; i++) {
        rig_run(rig, 0.1);
        assert_true_time(rig);
        if (i == 20) /* after the burst */
            assert_within(rig_bound(rig), 150000);
    }
    assert_within(rig_error(rig), 5000);
    report = source_of(rig, 0);
    assert_int_equal(report.state, SOURCE_SELECTED);
    assert_int_equal(report.reach, 0xff);
    assert_true(report.used == report.received && report.sent >= report.used);
    assert_true(report.used > 100 && report.used < 115);
    assert_int_equal(report.unstamped, 0);
    assert_int_equal(rig->values.disruptions, 0);
    rig_end(rig);
}

static void interleaved_if_the_server_can(void **state)
{
    (void)state;
    for (int can = 0; can < 2; can++) {
        struct rig *rig = rig_new();
        struct core_source_config config = rig_source_config("server");
        double mean = 0;

        config.interleaved = true;
        rig_start(rig);
        rig_add(rig, &config);
        rig->servers[0].interleaves = can;
        rig->servers[0].early_ns = 10000;
        rig_run(rig, 600);
        for (int i = 0; i < 100; i++) {
            rig_run(rig, 1);
            mean += rig_error(rig) / 100;
        }
        assert_int_equal(source_of(rig, 0).interleaved, can);
        /* Half of what basic replies are wrong by is an error that nobody can see. */
        assert_within(mean + (can ? 0 : 5000), 1500);
        rig_end(rig);
    }
}

static void interleaved_pairs_at_long_polls(void **state)
{
    struct rig *rig = rig_new();
    struct core_source_config config = rig_source_config("server");
    struct core_source_report before, after;

    (void)state;
    config.interleaved = true;
    config.poll_min_log2 = config.poll_max_log2 = 6;
    rig_start(rig);
    rig_add(rig, &config);
    rig->servers[0].interleaves = true;
    rig->servers[0].loss = 0.05;
    rig_run(rig, 1000);
    before = source_of(rig, 0);
    rig_run(rig, 6400);
    after = source_of(rig, 0);
    assert_true(after.sent - before.sent > 190 && after.sent - before.sent < 210);
    assert_true(after.used - before.used > 160);
    assert_true(rig_now(rig) - after.last_reply_ns < 200 * NS_PER_S);
    assert_true_time(rig);
    rig_end(rig);
}

static void falseticker_of_three(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig_start(rig);
    for (int i = 0; i < 3; i++)
        rig_add_server(rig);
    rig->servers[0].offset_ns = 5000000; /* and it is the one that answers first */
    rig->servers[0].delay_ns = 20000;
    for (int i = 0; i < 600; i++) {
        rig_run(rig, 0.1);
        if (rig_gives_time(&rig->values))
            assert_true_time(rig);
    }
    assert_int_equal(source_of(rig, 0).state, SOURCE_FALSETICKER);
    assert_within(source_of(rig, 0).offset_ns - 5000000, 50000);
    assert_int_equal(rig->values.disruptions, 0);
    assert_non_null(strstr(rig->log, "falseticker"));
    assert_non_null(strstr(rig->log, "[source-lost]"));
    /* Now it repents, and the selected one begins to lie by years. */
    rig->servers[0].offset_ns = 0;
    rig_run(rig, 100);
    for (unsigned i = 0; i < 3; i++)
        if (source_of(rig, i).state == SOURCE_SELECTED)
            rig->servers[i].offset_ns = 10 * 365 * 86400 * NS_PER_S;
    for (int i = 0; i < 1000; i++) {
        rig_run(rig, 0.1);
        assert_true_time(rig);
        assert_status(rig, SYNCHRONISED);
    }
    assert_int_equal(rig->values.disruptions, 0);
    rig_end(rig);
}

static void holdover_then_void_then_back(void **state)
{
    struct rig *rig = rig_new();
    double bound;

    (void)state;
    rig->config.holdover_limit_ns = 200000;
    rig_start(rig);
    rig_add_server(rig);
    rig_run(rig, 300);
    assert_status(rig, SYNCHRONISED);
    rig->servers[0].silent = true;
    rig_run(rig, 15);
    assert_status(rig, HOLDOVER);
    assert_int_equal(source_of(rig, 0).state, SOURCE_UNREACHABLE);
    bound = rig_bound(rig);
    rig_run(rig, 100);
    assert_true(rig_bound(rig) > bound + 100 * 100);
    assert_true_time(rig);
    for (int i = 0; i < 10000 && rig_gives_time(&rig->values); i++) {
        rig_run(rig, 1);
        assert_true((int64_t)(rig->values.void_after - rig_counter(rig)) >= -RIG_HZ / 100 ||
                    !rig_gives_time(&rig->values));
    }
    assert_status(rig, UNSYNCHRONISED);
    assert_non_null(strstr(rig->log, "void"));
    assert_non_null(strstr(rig->log, "[clock-synchronised]"));
    assert_non_null(strstr(rig->log, "[clock-lost]"));
    rig->servers[0].silent = false;
    rig_run(rig, 70);
    assert_status(rig, SYNCHRONISED);
    assert_true_time(rig);
    assert_int_equal(rig->values.disruptions, 0); /* it did not move */
    rig_end(rig);
}

static void small_errors_are_slewed_large_ones_announced(void **state)
{
    struct rig *rig = rig_new();
    int64_t tai_ns;

    (void)state;
    rig_start(rig);
    rig_add_server(rig);
    rig_run(rig, 100);
    rig->servers[0].offset_ns = 400000;
    rig_run(rig, 40);
    assert_within(rig_error(rig) - 400000, 20000);
    assert_int_equal(rig->values.disruptions, 0);
    assert_true(rig->worst_gap_ns < 0.5);
    rig->servers[0].offset_ns = -7000000;
    rig_run(rig, 40);
    assert_within(rig_error(rig) + 7000000, 20000);
    assert_int_equal(rig->values.disruptions, 1);
    assert_int_equal(rig->steps, 1);
    assert_non_null(strstr(rig->log, "steps by"));
    assert_non_null(strstr(rig->log, "[clock-disrupted]"));
    tai_ns = rig->values.time_ns;
    rig->servers[0].offset_ns = -20ll * 365 * 86400 * NS_PER_S; /* nobody else to ask: followed, announced */
    rig_run(rig, 60);
    assert_true(rig->values.time_ns < tai_ns - 19ll * 365 * 86400 * NS_PER_S);
    assert_int_equal(rig->values.disruptions, 2);
    rig_end(rig);
}

static void counter_jump_is_announced_and_found_again(void **state)
{
    struct rig *rig = rig_new();
    double before, after;

    (void)state;
    rig_start(rig);
    rig_add_server(rig);
    rig_run(rig, 200);
    before = source_of(rig, 0).estimate.period_ns;
    rig->counter_add = (int64_t)(-3 * RIG_HZ);
    core_disrupt(rig->core, "suspended");
    assert_status(rig, DISRUPTED);
    assert_int_equal(rig->values.disruptions, 1);
    rig_run(rig, 0.5);
    assert_status(rig, DISRUPTED);
    rig_run(rig, 2);
    assert_status(rig, SYNCHRONISED);
    assert_int_equal(rig->values.disruptions, 1);
    assert_true_time(rig);
    after = source_of(rig, 0).estimate.period_ns;
    assert_within(after / before - 1, 2e-6); /* the rate is kept */
    rig_end(rig);
}

static void resumes_without_a_step(void **state)
{
    struct rig *rig = rig_new();
    struct clock_values last;
    double bound;

    (void)state;
    rig_start(rig);
    rig_add_server(rig);
    rig_run(rig, 300);
    last = rig->values;
    last.disruptions = 7;
    core_destroy(rig->core);
    rig->event_count = 0;
    rig->now_ns += 5 * NS_PER_S;
    rig_start(rig);
    rig_set_server(rig, 0);
    assert_true(core_resume(rig->core, &last));
    rig->values.disruptions = 7;
    rig_add_server(rig);
    rig_run(rig, 0.1);
    assert_status(rig, HOLDOVER);
    bound = rig_bound(rig);
    for (int i = 0; i < 600; i++) {
        rig_run(rig, 0.1);
        assert_true(rig_gives_time(&rig->values));
        assert_true_time(rig);
        assert_true(rig_bound(rig) < bound + 100000);
    }
    assert_status(rig, SYNCHRONISED);
    assert_int_equal(rig->values.disruptions, 7);
    assert_true(rig->worst_gap_ns < 0.5);
    rig_end(rig);
}

static void a_saved_rate_is_good_from_the_first_exchange(void **state)
{
    struct rig *rig = rig_new();
    struct core_report report;

    (void)state;
    rig->config.rate_hint_ppb = rig->skew_ppm * 1000;
    rig->config.rate_hint_sigma_ppb = 50;
    rig_start(rig);
    rig_add_server(rig);
    core_get_report(rig->core, &report);
    assert_within(report.frequency_ppm - rig->skew_ppm, 1e-3);
    rig_run(rig, 0.2);
    assert_within(source_of(rig, 0).estimate.period_ns * RIG_HZ * 1e-9 * (1 + rig->skew_ppm * 1e-6) - 1, 0.2e-6);
    rig_run(rig, 2);
    assert_true_time(rig);
    rig_end(rig);
}

static void resumes_nothing_that_is_void_or_senseless(void **state)
{
    struct rig *rig = rig_new();
    struct clock_values good, values;

    (void)state;
    rig_start(rig);
    rig_add_server(rig);
    rig_run(rig, 100);
    good = rig->values;
    for (int i = 0; i < 6; i++) {
        core_destroy(rig->core);
        rig_start(rig);
        values = good;
        values.disruptions = 3;
        if (i == 0)
            values.status = LOCKSTEP_CLOCK_DISRUPTED;
        else if (i == 1)
            values.void_after = rig_counter(rig);
        else if (i == 2)
            values.period_ns = NAN;
        else if (i == 3)
            values.counter = rig_counter(rig) + 1000;
        else if (i == 4)
            values.period_ns *= 2;
        else
            values.bound_ns = -1;
        assert_false(core_resume(rig->core, &values));
        core_run(rig->core);
        assert_status(rig, UNSYNCHRONISED);
        assert_int_equal(rig->values.disruptions, 3);
    }
    rig_end(rig);
}

static void stamps_that_never_come(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig_start(rig);
    rig_add_server(rig);
    rig->servers[0].unstamped = true;
    rig_run(rig, 60);
    assert_status(rig, SYNCHRONISED);
    assert_true(source_of(rig, 0).unstamped > 50);
    assert_int_equal(source_of(rig, 0).unstamped, source_of(rig, 0).used);
    assert_true_time(rig);
    rig_end(rig);
}

static void several_servers_needed(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig->config.minimum_sources = 2;
    rig_start(rig);
    rig_add_server(rig);
    rig_add_server(rig);
    rig->servers[1].silent = true;
    rig_run(rig, 30);
    assert_status(rig, UNSYNCHRONISED);
    rig->servers[1].silent = false;
    rig_run(rig, 30);
    assert_status(rig, SYNCHRONISED);
    /* Two that disagree: neither can be believed. */
    rig->servers[1].offset_ns = 3000000;
    rig_run(rig, 60);
    assert_status(rig, HOLDOVER);
    assert_true_time(rig);
    rig_end(rig);
}

static void the_first_to_return_may_be_wrong(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig_start(rig);
    for (int i = 0; i < 3; i++)
        rig_add_server(rig);
    rig_run(rig, 100);
    for (int i = 0; i < 3; i++)
        rig->servers[i].silent = true;
    rig_run(rig, 60);
    assert_status(rig, HOLDOVER);
    rig->servers[1].silent = false;
    rig->servers[1].offset_ns = 5000000;
    for (int i = 0; i < 40; i++) {
        rig_run(rig, 1);
        assert_true_time(rig);
    }
    rig->servers[0].silent = rig->servers[2].silent = false;
    for (int i = 0; i < 200; i++) {
        rig_run(rig, 1);
        assert_true_time(rig);
    }
    assert_status(rig, SYNCHRONISED);
    assert_int_equal(source_of(rig, 1).state, SOURCE_FALSETICKER);
    assert_int_equal(rig->values.disruptions, 0);
    /* Alone for good it is believed at last. */
    rig->servers[0].silent = rig->servers[2].silent = true;
    rig_run(rig, 300);
    assert_int_equal(source_of(rig, 1).state, SOURCE_SELECTED);
    assert_within(rig_error(rig) - 5000000, 20000);
    assert_int_equal(rig->values.disruptions, 1);
    rig_end(rig);
}

static void watched_only(void **state)
{
    struct rig *rig = rig_new();
    struct core_source_config config = rig_source_config("watched");

    (void)state;
    config.no_select = true;
    rig_start(rig);
    rig_add(rig, &config);
    rig_run(rig, 30);
    assert_status(rig, UNSYNCHRONISED);
    assert_int_equal(source_of(rig, 0).state, SOURCE_MEASURING);
    rig_add_server(rig);
    rig->servers[0].offset_ns = 123000;
    rig_run(rig, 100);
    assert_status(rig, SYNCHRONISED);
    assert_int_equal(source_of(rig, 0).state, SOURCE_FALSETICKER);
    assert_within(source_of(rig, 0).offset_ns - 123000, 20000);
    assert_true_time(rig);
    rig_end(rig);
}

static void refused_service_is_not_asked_again(void **state)
{
    struct rig *rig = rig_new();
    unsigned requests;

    (void)state;
    rig_start(rig);
    rig_add_server(rig);
    rig_run(rig, 30);
    rig->servers[0].stratum = 0;
    rig->servers[0].reference_id = 0x52415445; /* RATE */
    rig_run(rig, 5);
    assert_true(source_of(rig, 0).poll_log2 >= 1);
    assert_non_null(strstr(rig->log, "less often"));
    rig->servers[0].reference_id = 0x44454e59; /* DENY */
    rig_run(rig, 60);
    assert_int_equal(source_of(rig, 0).state, SOURCE_STOPPED);
    assert_status(rig, HOLDOVER);
    requests = rig->servers[0].requests;
    rig_run(rig, 1000);
    assert_int_equal(rig->servers[0].requests, requests);
    rig_set_server(rig, 0);
    core_source_moved(rig->core, 0);
    rig_run(rig, 10);
    assert_status(rig, SYNCHRONISED);
    rig_end(rig);
}

static void a_server_that_moves_is_measured_anew(void **state)
{
    struct rig *rig = rig_new();

    (void)state;
    rig_start(rig);
    rig_add_server(rig);
    rig_run(rig, 300);
    rig->servers[0].delay_ns = 900000;
    core_source_moved(rig->core, 0);
    assert_status(rig, HOLDOVER);
    for (int i = 0; i < 100; i++) {
        rig_run(rig, 0.1);
        assert_true(rig_gives_time(&rig->values));
        assert_true_time(rig);
    }
    rig_run(rig, 100);
    assert_status(rig, SYNCHRONISED);
    assert_within(source_of(rig, 0).estimate.baseline_ns - 1800000, 30000);
    assert_int_equal(rig->values.disruptions, 0);
    rig_end(rig);
}

static void sources_come_and_go(void **state)
{
    struct rig *rig = rig_new();
    struct core_source_config config = rig_source_config("x");
    struct core_report report;

    (void)state;
    rig_start(rig);
    for (int i = 0; i < CORE_SOURCES_MAX; i++)
        assert_int_equal(rig_add_server(rig), i);
    assert_int_equal(core_add_source(rig->core, &config), LOCKSTEP_E_EXHAUSTED);
    rig_run(rig, 10);
    for (unsigned i = 1; i < CORE_SOURCES_MAX; i++)
        core_remove_source(rig->core, i);
    core_remove_source(rig->core, 99);
    rig_run(rig, 10);
    core_get_report(rig->core, &report);
    assert_int_equal(report.source_count, 1);
    assert_int_equal(report.selected, 0);
    assert_within(report.frequency_ppm - 30, 1);
    core_remove_source(rig->core, 0);
    assert_status(rig, HOLDOVER);
    config.poll_min_log2 = -5;
    assert_int_equal(core_add_source(rig->core, &config), LOCKSTEP_E_BAD_VALUE);
    config.poll_min_log2 = 3;
    config.poll_max_log2 = 2;
    assert_int_equal(core_add_source(rig->core, &config), LOCKSTEP_E_BAD_VALUE);
    assert_int_equal(rig_add_server(rig), 0);
    rig_run(rig, 70); /* the time that was held may be the better one for a while */
    assert_status(rig, SYNCHRONISED);
    rig_end(rig);
}

static void its_own_reference(void **state)
{
    struct rig *rig = rig_new();
    struct core_report report;
    struct clock_values values;

    (void)state;
    rig->config.local_reference = true;
    rig->config.rate_hint_ppb = rig->skew_ppm * 1000;
    rig->config.rate_hint_sigma_ppb = 100;
    rig_start(rig);
    rig_run(rig, 1);
    assert_status(rig, SYNCHRONISED);
    assert_within(rig_error(rig) - 3 * NS_PER_S, 1000);
    rig_run(rig, 1000);
    assert_within(rig_error(rig) - 3 * NS_PER_S, 2000);
    assert_within(rig_bound(rig), 1000);
    core_get_report(rig->core, &report);
    assert_true(report.local_reference);
    assert_true(rig->values.utc_distance_ns == INT64_MAX);
    /* Restarted, it goes on. */
    values = rig->values;
    core_destroy(rig->core);
    rig->now_ns += 2 * NS_PER_S;
    rig_start(rig);
    assert_true(core_resume(rig->core, &values));
    rig_run(rig, 5);
    assert_status(rig, SYNCHRONISED);
    assert_within(rig_error(rig) - 3 * NS_PER_S, 2000);
    /* A server knows better: announced. */
    rig_add_server(rig);
    rig_run(rig, 30);
    assert_true_time(rig);
    assert_int_equal(rig->values.disruptions, 1);
    core_get_report(rig->core, &report);
    assert_false(report.local_reference);
    rig_end(rig);
}

/* ---- everything at once ---- */

static void do_mischief(struct rig *rig)
{
    unsigned number = (unsigned)(rig_random(rig) >> 32) % 4;
    struct rig_server *server = &rig->servers[number];
    uint8_t noise[100];

    switch (rig_random(rig) >> 40 & 15) {
    case 0:
        server->silent = !server->silent;
        break;
    case 1:
        server->offset_ns = (int64_t)(rig_uniform(rig) * 4e6 - 2e6);
        break;
    case 2:
        server->offset_ns = (int64_t)rig_random(rig) / 4; /* years */
        break;
    case 3:
        server->loss = rig_uniform(rig);
        break;
    case 4:
        server->delay_ns = (int64_t)(rig_uniform(rig) * 5e6);
        server->jitter_ns = (int64_t)(rig_uniform(rig) * 5e6);
        break;
    case 5:
        rig->counter_add += (int64_t)(rig_uniform(rig) * 10 * RIG_HZ);
        core_disrupt(rig->core, "jump");
        break;
    case 6:
        core_source_moved(rig->core, number);
        break;
    case 7:
        core_remove_source(rig->core, number);
        break;
    case 8:
        server->stratum = (uint8_t)(rig_random(rig) >> 60);
        server->reference_id = rig_random(rig) & 1 ? 0x52415445 : 0x53544550;
        break;
    case 9:
        server->leap = rig_random(rig) >> 62;
        break;
    case 10:
        server->unstamped = !server->unstamped;
        server->interleaves = !server->interleaves;
        break;
    case 11:
        core_unreachable(rig->core, number);
        break;
    case 12:
        rig_fill_random(rig, noise, sizeof noise);
        core_received(rig->core, number, noise, sizeof noise, rig_counter(rig), 0, 1);
        core_sent(rig->core, number, rig_random(rig), rig_counter(rig), 0);
        break;
    case 13:
        core_set_leap(rig->core, RIG_TAI_UTC, (int)(rig_random(rig) % 3) - 1,
                      rig_true_tai(rig, rig->now_ns) + 86400 * NS_PER_S);
        break;
    default:
        rig_set_server(rig, number);
        break;
    }
}

static void survives_everything_and_recovers(void **state)
{
    struct rig *rig = rig_new();
    struct core_source_config config = rig_source_config("any");
    struct core_source_report report;

    (void)state;
    config.interleaved = true;
    config.poll_max_log2 = 4;
    rig_start(rig);
    for (int i = 0; i < 2000; i++) {
        for (unsigned j = 0; j < 4; j++)
            if (!core_get_source(rig->core, j, &report) && rig_uniform(rig) < 0.1)
                rig_add(rig, &config);
        do_mischief(rig);
        rig_run(rig, rig_uniform(rig) * (i % 100 == 0 ? 300 : 4));
        rig->log[0] = 0;
    }
    for (unsigned j = 0; j < 4; j++) {
        core_remove_source(rig->core, j);
        rig_add(rig, &config);
    }
    rig_run(rig, 300);
    for (int i = 0; i < 100; i++) {
        rig_run(rig, 1);
        assert_status(rig, SYNCHRONISED);
        assert_true_time(rig);
    }
    rig_end(rig);
}

/* ---- leap seconds: the world makes one at the end of 2026, or not; servers announce it, or not ---- */

#define YEAR_END (1798761600 * NS_PER_S) /* 2027-01-01 00:00:00 UTC */

enum leap_story { LEAP_ANNOUNCED, LEAP_UNANNOUNCED, LEAP_LEFT_OUT, LEAP_TOLD, LEAP_DELETED };

static void live_through_a_leap_second(enum leap_story story)
{
    struct rig *rig = rig_new();
    int sign = story == LEAP_DELETED ? -1 : 1;
    int announced = story == LEAP_DELETED ? NTP_LEAP_DELETE : NTP_LEAP_INSERT;

    rig->start_utc_ns = YEAR_END - 1000 * NS_PER_S;
    rig->config.initial_time_ns = rig->start_utc_ns;
    if (story != LEAP_LEFT_OUT)
        rig->leap = (struct leap_table){
            .tai_utc_s = RIG_TAI_UTC, .leap = sign, .leap_at_ns = leap_moment(RIG_TAI_UTC, YEAR_END, sign)};
    rig_start(rig);
    for (int i = 0; i < 3; i++) {
        rig_add_server(rig);
        rig->servers[i].leap = (uint8_t)(story == LEAP_UNANNOUNCED || story == LEAP_TOLD ? NTP_LEAP_NONE : announced);
    }
    rig->servers[2].leap_shift_at_utc = YEAR_END + 300 * NS_PER_S; /* one that is late */
    if (story == LEAP_TOLD)
        core_set_leap(rig->core, RIG_TAI_UTC, 1, rig->leap.leap_at_ns);
    rig_run(rig, 100);
    for (int i = 0; i < 3000; i++) {
        struct leap_table shown;
        int64_t tai_ns;

        rig_run(rig, 1);
        assert_status(rig, SYNCHRONISED);
        assert_true_time(rig);
        if (rig_true_tai(rig, rig->now_ns) > YEAR_END + (RIG_TAI_UTC - 3) * NS_PER_S)
            for (int j = 0; j < 3; j++)
                rig->servers[j].leap = i < 1500 ? rig->servers[j].leap : NTP_LEAP_NONE;
        /* UTC as a reader sees it: but for seconds after the fact where nobody told it. */
        shown = (struct leap_table){
            .tai_utc_s = rig->values.tai_utc_s, .leap = rig->values.leap, .leap_at_ns = rig->values.leap_at_ns};
        tai_ns = rig_true_tai(rig, rig->now_ns);
        if (story == LEAP_ANNOUNCED || story == LEAP_TOLD || story == LEAP_DELETED ||
            llabs(tai_ns - YEAR_END - RIG_TAI_UTC * NS_PER_S) > 10 * NS_PER_S)
            assert_true(leap_to_utc(&shown, tai_ns) == leap_to_utc(&rig->leap, tai_ns));
    }
    assert_int_equal(rig->values.tai_utc_s, RIG_TAI_UTC + (story == LEAP_LEFT_OUT ? 0 : sign));
    assert_int_equal(rig->values.leap, 0);
    assert_int_equal(rig->values.disruptions, 0);
    rig_end(rig);
}

static void leap_second_announced(void **state)
{
    (void)state;
    live_through_a_leap_second(LEAP_ANNOUNCED);
}

static void leap_second_deleted(void **state)
{
    (void)state;
    live_through_a_leap_second(LEAP_DELETED);
}

static void leap_second_unannounced(void **state)
{
    (void)state;
    live_through_a_leap_second(LEAP_UNANNOUNCED);
}

static void leap_second_left_out(void **state)
{
    (void)state;
    live_through_a_leap_second(LEAP_LEFT_OUT);
}

static void leap_second_told_by_a_table(void **state)
{
    (void)state;
    live_through_a_leap_second(LEAP_TOLD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usable_within_seconds),
        cmocka_unit_test(interleaved_if_the_server_can),
        cmocka_unit_test(interleaved_pairs_at_long_polls),
        cmocka_unit_test(falseticker_of_three),
        cmocka_unit_test(holdover_then_void_then_back),
        cmocka_unit_test(small_errors_are_slewed_large_ones_announced),
        cmocka_unit_test(counter_jump_is_announced_and_found_again),
        cmocka_unit_test(resumes_without_a_step),
        cmocka_unit_test(a_saved_rate_is_good_from_the_first_exchange),
        cmocka_unit_test(resumes_nothing_that_is_void_or_senseless),
        cmocka_unit_test(stamps_that_never_come),
        cmocka_unit_test(several_servers_needed),
        cmocka_unit_test(the_first_to_return_may_be_wrong),
        cmocka_unit_test(watched_only),
        cmocka_unit_test(refused_service_is_not_asked_again),
        cmocka_unit_test(a_server_that_moves_is_measured_anew),
        cmocka_unit_test(sources_come_and_go),
        cmocka_unit_test(its_own_reference),
        cmocka_unit_test(survives_everything_and_recovers),
        cmocka_unit_test(leap_second_announced),
        cmocka_unit_test(leap_second_deleted),
        cmocka_unit_test(leap_second_unannounced),
        cmocka_unit_test(leap_second_left_out),
        cmocka_unit_test(leap_second_told_by_a_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
