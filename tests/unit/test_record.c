/* SPDX-License-Identifier: BSD-2-Clause */
/* Records of messages, the raw log, the echo check, stalls. */
#include "testbed/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "testbed/echo.h"
#include "testbed/raw_log.h"
#include "testbed/stall.h"
#include "tests/unit/unit.h"

#define START  1800000000000000000
#define MS     1000000
#define LIMIT  (10 * MS)
#define PERIOD (20 * MS)

static struct type_record record, other;
static const struct record_limits limits = {
    .limit_ns = LIMIT, .measured_from_ns = START, .sender_bound_ns = NODE_CLOCK_BOUND_UNKNOWN};

static int clear(void **state)
{
    (void)state;
    record_init(&record, START, 10000 * (int64_t)MS);
    record_init(&other, START, 10000 * (int64_t)MS);
    return 0;
}

static enum record_outcome arrive(struct type_record *to, uint32_t sequence, int64_t latency, uint32_t bound)
{
    struct arrival arrival = {.sequence = sequence,
                              .planned_ns = START + (int64_t)sequence * PERIOD,
                              .sender_bound_ns = bound,
                              .receiver_bound_ns = bound};

    arrival.sent_ns = arrival.planned_ns + 100;
    arrival.last_ns = arrival.planned_ns + latency;
    arrival.first_ns = arrival.last_ns - 50;
    return record_arrival(to, &limits, &arrival);
}

static void quantiles_span_negative_and_positive_values(void **state)
{
    static struct latency latency;

    (void)state;
    for (int i = -50; i < 50; i++)
        latency_record(&latency, i * 10);
    assert_int_equal(latency.count, 100);
    assert_int_equal(latency_quantile(&latency, 0), -500);
    assert_int_equal(latency_quantile(&latency, 10000), -500); /* the first of a hundred */
    assert_in_range(latency_quantile(&latency, 100000) + 1000, 1000 - 440, 1000 - 390);
    assert_in_range(latency_quantile(&latency, 500000) + 1000, 1000 - 12, 1000 - 9); /* the fiftieth: -10 */
    assert_in_range(latency_quantile(&latency, 900000), 380, 410);
    assert_int_equal(latency_quantile(&latency, 1000000), 490);
    assert_int_equal(latency.sum_ns, -500);
    assert_int_equal(latency_count_above(&latency, 400), 8); /* 420 to 490: 410 shares the bucket of 400 */
    assert_int_equal(latency_count_above(&latency, -1), 50);
    assert_int_equal(latency_count_above(&latency, -100000), 100);
}

static void merged_latencies_are_those_of_all(void **state)
{
    static struct latency a, b, all;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        int64_t value = (i * 7919) % 100000 - 20000;

        latency_record(i % 3 ? &a : &b, value);
        latency_record(&all, value);
    }
    latency_merge(&a, &b);
    assert_memory_equal(&a, &all, sizeof all);
    memset(&b, 0, sizeof b);
    latency_merge(&a, &b);
    assert_memory_equal(&a, &all, sizeof all);
    latency_merge(&b, &a);
    assert_memory_equal(&b, &all, sizeof all);
}

static void both_latencies_and_both_bytes_are_recorded(void **state)
{
    (void)state;
    assert_int_equal(arrive(&record, 0, 5000, 10), RECORD_MEASURED);
    assert_int_equal(record.planned_last.max_ns, 5000);
    assert_int_equal(record.planned_first.max_ns, 4950);
    assert_int_equal(record.sent_last.max_ns, 4900);
    assert_int_equal(record.sent_first.max_ns, 4850);
    assert_int_equal(record.received, 1);
    assert_int_equal(record.bound_max_ns, 20);
    assert_int_equal(record.series.slots[0].max, 5000);
}

static void negative_latencies_are_kept(void **state)
{
    (void)state;
    arrive(&record, 0, -700, 1000);
    arrive(&record, 1, 300, 1000);
    assert_int_equal(record.planned_last.min_ns, -700);
    assert_int_equal(histogram_count(record.planned_last.negative), 1);
    assert_int_equal(record.over_limit + record.near_limit, 0);
}

static void duplicates_and_reordering_are_told_apart(void **state)
{
    static const uint32_t order[] = {0, 1, 3, 2, 3, 2, 7, 5, 4, 6};

    (void)state;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        arrive(&record, order[i], 1000, 10);
    assert_int_equal(record.received, 8);
    assert_int_equal(record.duplicates, 2);
    assert_int_equal(record.reordered, 4); /* 2, 5, 4, 6 came after a later one */
    assert_int_equal(record.next_sequence, 8);
}

static void the_window_reaches_over_a_gap(void **state)
{
    (void)state;
    arrive(&record, 10, 1000, 10);
    arrive(&record, 10 + RECORD_WINDOW - 1, 1000, 10);
    assert_int_equal(arrive(&record, 10, 1000, 10), RECORD_DUPLICATE);
    assert_int_equal(arrive(&record, 11, 1000, 10), RECORD_MEASURED);
    assert_int_equal(arrive(&record, 9, 1000, 10), RECORD_OLD);
    arrive(&record, 1000000, 1000, 10);
    assert_int_equal(arrive(&record, 1000000 - RECORD_WINDOW + 1, 1000, 10), RECORD_MEASURED);
    assert_int_equal(arrive(&record, 1000000 - RECORD_WINDOW + 1, 1000, 10), RECORD_DUPLICATE);
    assert_int_equal(record.before_window, 1);
    assert_int_equal(record.received, 5);
}

static void warm_up_is_counted_but_not_timed(void **state)
{
    struct record_limits late = limits;
    struct arrival arrival = {.planned_ns = START, .last_ns = START + MS};

    (void)state;
    late.measured_from_ns = START + 1;
    assert_int_equal(record_arrival(&record, &late, &arrival), RECORD_WARMUP);
    assert_int_equal(record.received_warmup, 1);
    assert_int_equal(record.received, 0);
    assert_int_equal(record.planned_last.count, 0);
    assert_int_equal(record_arrival(&record, &late, &arrival), RECORD_DUPLICATE);
}

static void bounds_straddle_the_limit(void **state)
{
    (void)state;
    arrive(&record, 0, LIMIT - 201, 100); /* below by more than both bounds */
    assert_int_equal(record.near_limit + record.over_limit, 0);
    arrive(&record, 1, LIMIT - 199, 100);
    arrive(&record, 2, LIMIT + 200, 100);
    assert_int_equal(record.near_limit, 2);
    arrive(&record, 3, LIMIT + 201, 100);
    assert_int_equal(record.over_limit, 1);
    arrive(&record, 4, 1000, NODE_CLOCK_BOUND_UNKNOWN);
    assert_int_equal(record.bound_max_ns, NODE_CLOCK_BOUND_UNKNOWN);
    assert_int_equal(record.near_limit, 3);
}

static void the_ten_worst_are_kept(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1000; i++)
        arrive(i % 2 ? &record : &other, i, (int64_t)(i * 7919 % 1009) * 1000, 10);
    record_merge(&record, &other);
    assert_int_equal(record.worst_count, RECORD_WORST);
    for (unsigned i = 1; i < RECORD_WORST; i++)
        assert_true(arrival_latency_ns(&record.worst[i - 1]) >= arrival_latency_ns(&record.worst[i]));
    assert_int_equal(arrival_latency_ns(&record.worst[0]), record.planned_last.max_ns);
    assert_int_equal(latency_count_above(&record.planned_last, arrival_latency_ns(&record.worst[9])) <= 9, 1);
    assert_int_equal(record.received, 1000);
}

static void courses_cover_the_whole_run(void **state)
{
    static struct series series;

    (void)state;
    series_init(&series, START, 1200000000000, 100000000);
    series_record(&series, START - 5, 1);
    series_record(&series, START + 1199999999999, 7);
    series_record(&series, START + 5000000000000, -9);
    assert_int_equal(series.slots[0].count, 1);
    assert_int_equal(series.slots[SERIES_SLOTS - 1].count, 2);
    assert_int_equal(series.slots[SERIES_SLOTS - 1].min, -9);
    assert_int_equal(series.slots[SERIES_SLOTS - 1].max, 7);
    series_init(&series, START, 1000000000, 100000000);
    series_record(&series, START + 950000000, 1);
    assert_int_equal(series.slots[9].count, 1);
}

/* ---- raw log ---- */

static char *csv_of(const char *path, size_t cut, int *err, char *problem)
{
    static char bytes[100000];
    FILE *file = fopen(path, "rb");
    size_t length = fread(bytes, 1, sizeof bytes, file);
    char *text;
    size_t text_length;
    FILE *out = open_memstream(&text, &text_length);

    fclose(file);
    *err = raw_log_to_csv(bytes, length - cut, out, problem);
    fclose(out);
    return text;
}

static void the_raw_log_comes_back_as_csv(void **state)
{
    static const char *const names[] = {"tcp0.1", "mcast.2"};
    const struct arrival arrival = {7, START, START + 1, START + 2, START + 3, 40, NODE_CLOCK_BOUND_UNKNOWN};
    struct raw_log *log = raw_log_create(5, 2);
    char path[] = "/tmp/raw_log_XXXXXX", problem[RAW_LOG_PROBLEM_MAX], *text;
    int err, fd = mkstemp(path);
    uint64_t missing;

    (void)state;
    close(fd);
    raw_log_add(log, 1, 0, &arrival);
    raw_log_add(log, 0, RAW_WARMUP | RAW_CORRUPT, &arrival);
    raw_log_add(log, 0, 0, &arrival);
    assert_int_equal(raw_log_count(log, &missing), 2);
    assert_int_equal(missing, 1);
    assert_int_equal(raw_log_write(log, path, names, 2), 0);
    text = csv_of(path, 0, &err, problem);
    assert_int_equal(err, 0);
    assert_non_null(strstr(text, "\nmcast.2,7,1800000000000000000,1800000000000000001,1800000000000000002,"
                                 "1800000000000000003,40,,0,0,0,0\ntcp0.1,7,"));
    assert_non_null(strstr(text, ",40,,1,0,1,0\n"));
    free(text);
    text = csv_of(path, 1, &err, problem);
    assert_int_equal(err, LOCKSTEP_E_BAD_FORMAT);
    assert_string_equal(problem, "raw log: ends before its last entry");
    free(text);
    raw_log_add(NULL, 0, 0, &arrival);
    raw_log_destroy(log);
    unlink(path);
}

/* ---- echo ---- */

static struct echo_record echoes;

/* The peer's clock is `ahead`; the ways take `there` and `back`. */
static void exchange(int64_t ahead, int64_t there, int64_t back, uint32_t bound)
{
    static int64_t now = START;
    struct echo echo = {.t1 = {now, now - START, bound}};
    struct echo_stamp t4;

    echo.t2 = (struct echo_stamp){now + there + ahead, 5000, bound};
    echo.t3 = (struct echo_stamp){now + there + ahead + 1000, 6000, bound};
    t4 = (struct echo_stamp){now + there + 1000 + back, now - START + there + 1000 + back, bound};
    echo_record_exchange(&echoes, &echo, &t4);
    now += 50 * MS;
}

static void echoes_find_the_disagreement(void **state)
{
    char text[160];

    (void)state;
    echo_record_init(&echoes, "n2", START, 1000 * (int64_t)MS);
    exchange(3000, 40000, 20000, 5000);
    exchange(3000, 10000, 10000, 5000); /* the shortest, and symmetric: it tells */
    exchange(3000, 11000, 90000, 5000);
    assert_int_equal(echoes.received, 3);
    assert_int_equal(echoes.disagreement_ns, 3000);
    assert_int_equal(echoes.disagreement_round_trip_ns, 20000);
    assert_int_equal(echoes.forward.max_ns, 43000);
    assert_int_equal(echoes.bound_max_ns, 10000);
    assert_false(echo_failed(&echoes, text));
}

static void bounds_that_are_a_lie_are_found(void **state)
{
    char text[160];

    (void)state;
    echo_record_init(&echoes, "n2", START, 1000 * (int64_t)MS);
    exchange(-30000, 10000, 10000, 9999); /* there it took -20 us: within 2 x 9.999 us it cannot */
    assert_int_equal(echoes.impossible, 1);
    assert_true(echo_failed(&echoes, text));
    assert_string_equal(text, "to n2: 1 of 1 echoes took less than nothing by more than the bounds");
    echo_record_init(&echoes, "n2", START, 1000 * (int64_t)MS);
    exchange(-30000, 10000, 10000, 10000);
    exchange(30000, 10000, 10000, 10000);
    assert_false(echo_failed(&echoes, text));
    exchange(30000, 10000, 10000, NODE_CLOCK_BOUND_UNKNOWN);
    assert_int_equal(echoes.without_time, 1);
    assert_false(echo_failed(&echoes, text));
}

static void a_clock_that_steps_under_way_is_found(void **state)
{
    struct echo echo = {.t1 = {START, 0, 100}, .t2 = {START + 10000, 0, 100}, .t3 = {START + 11000, 1000, 100}};
    struct echo_stamp t4 = {START + 21000 + 50000, 21000, 100}; /* 50 us more by the clock than by MONOTONIC_RAW */
    char text[160];

    (void)state;
    echo_record_init(&echoes, "n2", START, 1000 * (int64_t)MS);
    echo_record_exchange(&echoes, &echo, &t4);
    assert_int_equal(echoes.inconsistent, 1);
    assert_true(echo_failed(&echoes, text));
}

static void echoes_survive_the_wire(void **state)
{
    const struct echo echo = {.run = 9,
                              .from = 2,
                              .to = 3,
                              .sequence = 77,
                              .reply = true,
                              .t1 = {START, -5, 1},
                              .t2 = {START + 1, 6, 2},
                              .t3 = {-START, 7, NODE_CLOCK_BOUND_UNKNOWN}};
    struct echo back;
    uint8_t bytes[ECHO_SIZE];

    (void)state;
    echo_encode(&echo, bytes);
    assert_int_equal(echo_decode(bytes, sizeof bytes, &back), 0);
    assert_true(back.t3.tai_ns == -START && back.t3.raw_ns == 7 && back.t3.bound_ns == NODE_CLOCK_BOUND_UNKNOWN);
    assert_int_equal(back.t1.raw_ns, -5);
    assert_int_equal(back.sequence, 77);
    assert_int_equal(back.to, 3);
    assert_true(back.reply);
    assert_int_equal(echo_decode(bytes, sizeof bytes - 1, &back), LOCKSTEP_E_BAD_FORMAT);
    bytes[0]++;
    assert_int_equal(echo_decode(bytes, sizeof bytes, &back), LOCKSTEP_E_BAD_FORMAT);
}

static void the_stall_that_a_message_met_is_found(void **state)
{
    static struct stall_report report = {.list = {{1000, 500}, {2000, 900}, {2100, 100}}, .list_count = 3};

    (void)state;
    assert_null(stall_find(&report, 0, 999));
    assert_ptr_equal(stall_find(&report, 1499, 1600), &report.list[0]);
    assert_null(stall_find(&report, 1501, 1999));
    assert_ptr_equal(stall_find(&report, 0, 5000), &report.list[1]);
}

#define TEST(name) cmocka_unit_test_setup(name, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(quantiles_span_negative_and_positive_values),
        TEST(merged_latencies_are_those_of_all),
        TEST(both_latencies_and_both_bytes_are_recorded),
        TEST(negative_latencies_are_kept),
        TEST(duplicates_and_reordering_are_told_apart),
        TEST(the_window_reaches_over_a_gap),
        TEST(warm_up_is_counted_but_not_timed),
        TEST(bounds_straddle_the_limit),
        TEST(the_ten_worst_are_kept),
        TEST(courses_cover_the_whole_run),
        TEST(the_raw_log_comes_back_as_csv),
        TEST(echoes_find_the_disagreement),
        TEST(bounds_that_are_a_lie_are_found),
        TEST(a_clock_that_steps_under_way_is_found),
        TEST(echoes_survive_the_wire),
        TEST(the_stall_that_a_message_met_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
