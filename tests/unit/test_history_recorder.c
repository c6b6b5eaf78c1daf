/* SPDX-License-Identifier: BSD-2-Clause */
/* Journal records and tables become rows: with the service's own writer of journals. */
#include "monitor/history_recorder.h"

#include <errno.h>
#include <netinet/in.h>

#include "base/error.h"
#include "tests/unit/history_case.h"

static struct history_recorder *recorder;
static struct history_queue queue;
static struct journal *journal;
static struct journal_reader reader;

static int begin(void **state)
{
    int result = case_begin(state);

    recorder = history_recorder_create();
    history_queue_init(&queue, 64 << 20);
    return result || !recorder || case_open() < 0 || history_recorder_attach(recorder, case_store, &case_now) < 0;
}

static void close_journal(void)
{
    journal_reader_close(&reader);
    journal_destroy(journal);
    journal = NULL;
}

static int end(void **state)
{
    if (journal)
        close_journal();
    history_queue_clear(&queue);
    history_recorder_destroy(recorder);
    return case_end(state);
}

/* A recorder that is killed, and another that goes on with the file. */
static void restart_recorder(void)
{
    history_recorder_destroy(recorder);
    recorder = history_recorder_create();
    case_close();
    assert_int_equal(case_open(), 0);
    assert_int_equal(history_recorder_attach(recorder, case_store, &case_now), 0);
}

static void push(struct history_item *item)
{
    assert_true(history_queue_push(&queue, item));
}

/* As the daemon's reading thread does. */
static void begin_reading(void)
{
    struct history_item *item = history_item_create(HISTORY_ITEM_JOURNAL);

    assert_int_equal(journal_reader_open(&reader, journal_reader_fd(journal)), 0);
    item->journal.instance = reader.instance;
    item->journal.first = reader.sequence;
    push(item);
}

static void open_journal(uint32_t ring_bytes)
{
    assert_int_equal(journal_create_sized(&journal, ring_bytes), 0);
    begin_reading();
}

static void read_journal(void)
{
    union {
        struct journal_record record;
        char bytes[JOURNAL_RECORD_MAX];
    } got;
    uint64_t lost = 0;

    while (journal_next(&reader, &got.record, &lost))
        push(history_item_of_record(&got.record));
}

static int write_queue(void)
{
    struct list batch;
    int result;

    list_init(&batch);
    history_queue_take(&queue, &batch, 1000000);
    result = history_recorder_write(recorder, &batch, &case_now);
    history_queue_done(&queue, &batch);
    return result;
}

static void record_all(void)
{
    read_journal();
    assert_int_equal(write_queue(), 0);
    history_moment_now(&case_now);
}

static struct connection_row connection(uint64_t key)
{
    struct connection_row row = {.key = key, .pid = 100, .uid = 1000, .protocol = IPPROTO_TCP, .tcp_state = 1};

    strcpy(row.program, "daq");
    strcpy(row.interface, "eth0");
    net_addr_parse("10.0.0.1", &row.local.addr);
    net_addr_parse("10.0.0.2", &row.remote.addr);
    row.local.port = 7001;
    row.remote.port = (uint16_t)(40000 + key);
    row.since_ns = case_now.realtime_ns;
    return row;
}

static void opened(const struct connection_row *row)
{
    journal_append(journal, JOURNAL_CONNECTION_OPENED, row, sizeof *row, NULL, 0);
}

static void closed(const struct connection_row *row)
{
    uint32_t buckets[LANE_STATS_SLOT_BUCKETS] = {0};

    buckets[50] = 7;
    journal_append(journal, JOURNAL_CONNECTION_CLOSED, row, sizeof *row, buckets, sizeof buckets);
}

/* A table of these rows, made now. */
static void push_table(const struct connection_row *rows, uint32_t count)
{
    size_t size = sizeof(struct table_header) + count * sizeof *rows;
    struct history_table *shared = calloc(1, sizeof *shared);
    struct history_item *item = history_item_create(HISTORY_ITEM_TABLE);
    char *bytes = malloc(size);
    struct table_header header = {.magic = TABLE_MAGIC,
                                  .version = TABLE_VERSION,
                                  .lane_size = sizeof(struct lane_row),
                                  .connection_size = sizeof *rows,
                                  .connection_count = count,
                                  .instance = reader.instance};

    history_moment_now(&case_now);
    header.monotonic_ns = case_now.monotonic_ns;
    header.realtime_ns = case_now.realtime_ns;
    memcpy(bytes, &header, sizeof header);
    if (count)
        memcpy(bytes + sizeof header, rows, count * sizeof *rows);
    assert_int_equal(table_parse(bytes, size, &shared->table), 0);
    shared->table.bytes = bytes;
    shared->references = 1;
    item->table.shared = shared;
    item->table.to = count;
    item->table.last = true;
    push(item);
}

static void a_connection_has_its_life_counters_and_latencies(void **state)
{
    struct connection_row row = connection(1);

    (void)state;
    open_journal(65536);
    opened(&row);
    record_all();
    assert_int_equal(case_number("SELECT ending FROM connections"), HISTORY_OPEN);
    row.rx_bytes = 1000;
    row.tx_bytes = UINT64_MAX; /* from a program that lies */
    row.retransmissions = 3;
    row.latency_count = 7;
    row.latency_p99_ns = 12345;
    memcpy(row.program, "\033[31mred", 8); /* the first one counts */
    closed(&row);
    record_all();
    assert_int_equal(case_number("SELECT count(*) FROM connections"), 1);
    assert_int_equal(case_number("SELECT ending FROM connections WHERE closed_ns >= opened_ns AND duration_ns >= 0"),
                     HISTORY_CLOSED);
    assert_int_equal(case_number("SELECT rx_bytes FROM connections WHERE program = 'daq' AND interface = 'eth0'"),
                     1000);
    assert_int_equal(case_number("SELECT retransmissions FROM connections WHERE local = x'0a000001'"), 3);
    assert_int_equal(case_number("SELECT p99_ns FROM connections WHERE remote_port = 40001"), 12345);
    assert_int_equal(case_number("SELECT length(histogram) FROM connections"), 2);
}

static void a_name_that_would_drive_a_terminal_is_masked(void **state)
{
    struct connection_row row = connection(1);

    (void)state;
    memcpy(row.program, "\033[31mred\200", 10);
    open_journal(65536);
    opened(&row);
    record_all();
    assert_int_equal(case_number("SELECT program = '?[31mred?' FROM connections"), 1);
}

static void a_decision_for_the_kernel_has_its_reason(void **state)
{
    struct journal_kernel_socket socket = {.pid = 5, .protocol = IPPROTO_UDP, .program = "p", .reason = "loopback"};
    struct journal_text text = {"eth0", "attached"};

    (void)state;
    open_journal(65536);
    journal_append(journal, JOURNAL_KERNEL_SOCKET, &socket, sizeof socket, NULL, 0);
    journal_append(journal, JOURNAL_INTERFACE, &text, sizeof text, NULL, 0);
    journal_append(journal, 99, &text, sizeof text, NULL, 0); /* of a newer service */
    record_all();
    assert_int_equal(case_number("SELECT pid FROM kernel WHERE reason = 'loopback' AND protocol = 17"), 5);
    assert_int_equal(case_number("SELECT count(*) FROM events WHERE subject = 'eth0' AND text = 'attached'"), 1);
}

static void a_killed_recorder_loses_nothing_and_writes_nothing_twice(void **state)
{
    (void)state;
    open_journal(1 << 20);
    for (uint64_t key = 1; key <= 300; key++) {
        struct connection_row row = connection(key);

        opened(&row);
        if (key % 3 == 0)
            closed(&row);
        if (key == 100)
            record_all();
        if (key == 200)
            read_journal(); /* in the queue only */
    }
    history_queue_clear(&queue);
    history_queue_init(&queue, 64 << 20);
    journal_reader_close(&reader);
    restart_recorder();
    begin_reading();
    record_all();
    assert_int_equal(case_number("SELECT count(*) FROM connections"), 300);
    assert_int_equal(case_number("SELECT count(DISTINCT key) FROM connections"), 300);
    assert_int_equal(case_number("SELECT count(*) FROM connections WHERE ending = 1"), 100);
    assert_int_equal(case_number("SELECT count(*) FROM gaps"), 0);
}

static void an_overrun_is_a_gap_with_its_number_and_times(void **state)
{
    struct history_recorder_counts counts;

    (void)state;
    open_journal(65536);
    for (uint64_t key = 1; key <= 10; key++) {
        struct connection_row row = connection(key);

        opened(&row);
    }
    record_all();
    for (uint64_t key = 11; key <= 5000; key++) {
        struct connection_row row = connection(key);

        opened(&row);
    }
    record_all();
    assert_int_equal(case_number("SELECT count(*) FROM gaps WHERE what = 'journal' AND from_ns <= to_ns"), 1);
    assert_int_equal(case_number("SELECT lost + (SELECT count(*) FROM connections) FROM gaps"), 5000);
    history_recorder_get_counts(recorder, &counts);
    assert_int_equal(counts.lost + counts.connections, 5000);
}

/* Whose end was overwritten is closed when two tables do not have it; whose beginning was, comes from a table. */
static void a_table_mends_what_was_lost(void **state)
{
    struct connection_row rows[2] = {connection(1), connection(2)};

    (void)state;
    open_journal(65536);
    opened(&rows[0]);
    record_all();
    rows[1].rx_bytes = 77;
    push_table(&rows[1], 1);
    record_all();
    assert_int_equal(case_number("SELECT count(*) FROM connections WHERE ending = 0"), 2);
    assert_int_equal(case_number("SELECT rx_bytes FROM connections WHERE key = 2"), 77);
    push_table(&rows[1], 1);
    record_all();
    assert_int_equal(case_number("SELECT key FROM connections WHERE ending = 0"), 2);
    assert_int_equal(case_number("SELECT ending FROM connections WHERE key = 1"), HISTORY_UNSEEN);
    /* A table that is a moment older than the journal does not bring a closed one back. */
    closed(&rows[1]);
    record_all();
    push_table(&rows[1], 1);
    record_all();
    assert_int_equal(case_number("SELECT count(*) FROM connections"), 2);
    assert_int_equal(case_number("SELECT count(*) FROM connections WHERE ending = 0"), 0);
}

static void a_restarted_service_goes_on_with_the_same_rows(void **state)
{
    struct connection_row rows[3] = {connection(1), connection(2), connection(3)};

    (void)state;
    open_journal(65536);
    rows[0].ring_drops = 5;
    for (int i = 0; i < 3; i++)
        opened(&rows[i]);
    record_all();
    push_table(rows, 3);
    record_all();
    close_journal();
    open_journal(65536);
    rows[0].key = 8; /* other keys, and the time a little different */
    rows[0].since_ns += 1000;
    rows[0].ring_drops = 2;
    rows[0].rx_bytes = 5000;
    rows[1].key = 9;
    opened(&rows[0]);
    opened(&rows[1]);
    record_all();
    assert_int_equal(case_number("SELECT count(*) FROM connections"), 3);
    closed(&rows[0]);
    record_all();
    assert_int_equal(case_number("SELECT ring_drops FROM connections WHERE id = 1 AND ending = 1 AND rx_bytes = 5000"),
                     7);
    push_table(&rows[1], 1);
    push_table(&rows[1], 1);
    record_all();
    assert_int_equal(case_number("SELECT ending FROM connections WHERE id = 2"), HISTORY_OPEN);
    assert_int_equal(case_number("SELECT ending FROM connections WHERE id = 3"), HISTORY_SERVICE_GONE);
    assert_int_equal(case_number("SELECT count(*) FROM gaps"), 0);
}

static void a_service_that_was_restarted_unseen_is_a_gap(void **state)
{
    struct connection_row row = connection(1);

    (void)state;
    open_journal(65536);
    opened(&row);
    record_all();
    close_journal();
    restart_recorder();
    open_journal(65536);
    record_all();
    assert_int_equal(case_number("SELECT count(*) FROM gaps WHERE what = 'journal' AND lost IS NULL"), 1);
}

static void after_a_reboot_what_was_open_is_closed(void **state)
{
    struct connection_row row = connection(1);

    (void)state;
    open_journal(65536);
    opened(&row);
    record_all();
    strcpy(case_now.boot, "another");
    case_now.realtime_ns += 100 * SECOND_NS;
    restart_recorder();
    assert_int_equal(case_number("SELECT ending FROM connections WHERE closed_ns < 9223372036854775807"),
                     HISTORY_SERVICE_GONE);
    push(history_item_create(HISTORY_ITEM_EVENT));
    assert_int_equal(write_queue(), 0);
    assert_int_equal(case_number("SELECT count(*) FROM gaps WHERE what = 'recorder' AND to_ns - from_ns > 90000000000"),
                     1);
}

/* A transaction that fails leaves nothing behind: the same batch is written later, once. */
static void a_batch_that_failed_is_written_again(void **state)
{
    struct connection_row row = connection(1);
    struct list batch;
    sqlite3 *other;

    (void)state;
    open_journal(65536);
    opened(&row);
    record_all();
    closed(&row);
    row.key = 2;
    opened(&row);
    read_journal();
    list_init(&batch);
    history_queue_take(&queue, &batch, 100);
    case_exec("CREATE TRIGGER full BEFORE INSERT ON connections BEGIN SELECT raise(ABORT, 'full'); END");
    assert_true(history_recorder_write(recorder, &batch, &case_now) < 0);
    assert_int_equal(case_number("SELECT ending FROM connections"), HISTORY_OPEN);
    case_exec("DROP TRIGGER full");
    assert_int_equal(sqlite3_open(case_path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(history_recorder_write(recorder, &batch, &case_now), -EAGAIN);
    sqlite3_close(other);
    assert_int_equal(history_recorder_attach(recorder, case_store, &case_now), 0);
    assert_int_equal(history_recorder_write(recorder, &batch, &case_now), 0);
    history_queue_done(&queue, &batch);
    assert_int_equal(case_number("SELECT count(*) FROM connections"), 2);
    assert_int_equal(case_number("SELECT count(*) FROM connections WHERE ending = 1 AND key = 1"), 1);
}

/* The database is damaged and a new one is begun: the journal goes on where it was, without a gap that never was. */
static void a_new_database_goes_on_with_the_journal(void **state)
{
    struct connection_row row = connection(1);

    (void)state;
    open_journal(65536);
    for (row.key = 1; row.key <= 20; row.key++)
        opened(&row);
    record_all();
    case_close();
    assert_int_equal(unlink(case_path), 0);
    assert_int_equal(case_open(), 0);
    assert_int_equal(history_recorder_attach(recorder, case_store, &case_now), 0);
    row.key = 30;
    opened(&row);
    record_all();
    assert_int_equal(case_number("SELECT count(*) FROM connections"), 1);
    assert_int_equal(case_number("SELECT count(*) FROM gaps"), 0);
}

static void a_step_of_the_wall_clock_is_noted(void **state)
{
    (void)state;
    open_journal(65536);
    record_all();
    case_now.realtime_ns += 3600 * SECOND_NS;
    push(history_item_create(HISTORY_ITEM_EVENT));
    assert_int_equal(write_queue(), 0);
    assert_int_equal(case_number("SELECT count(*) FROM events WHERE subject = 'clock' AND text LIKE '%stepped by +3%'"),
                     1);
}

static void samples_of_counters_and_clock_are_kept(void **state)
{
    struct history_item *item = history_item_create(HISTORY_ITEM_COUNTERS);

    (void)state;
    item->counters.list = calloc(2, sizeof *item->counters.list);
    item->counters.count = 2;
    strcpy(item->counters.list[0].name, "divert/passed");
    item->counters.list[0].value = 10;
    item->counters.list[0].change = 4;
    strcpy(item->counters.list[1].name, "divert/stale");
    push(item);
    item = history_item_create(HISTORY_ITEM_CLOCK);
    item->clock = calloc(1, sizeof *item->clock);
    strcpy(item->clock->status, "synchronised");
    item->clock->bound_ns = 900;
    item->clock->frequency_ppm = (double)__builtin_nan("");
    item->clock->source_count = 1;
    strcpy(item->clock->sources[0].name, "ntp1");
    push(item);
    assert_int_equal(write_queue(), 0);
    assert_int_equal(case_number("SELECT change FROM counters JOIN series ON series.id = series"
                                 " WHERE name = 'divert/passed'"),
                     4);
    assert_int_equal(case_number("SELECT bound_ns FROM clock WHERE frequency_ppm IS NULL AND selected IS NULL"), 900);
    assert_int_equal(case_number("SELECT count(*) FROM sources WHERE name = 'ntp1'"), 1);
}

static void a_full_queue_takes_nothing(void **state)
{
    struct history_item *item;
    unsigned count = 0;

    (void)state;
    history_queue_clear(&queue);
    history_queue_init(&queue, 10 * sizeof *item);
    while (item = history_item_create(HISTORY_ITEM_EVENT), history_queue_push(&queue, item))
        count++;
    assert_int_equal(count, 10);
    assert_false(history_queue_has_room(&queue));
    history_item_free(item);
    assert_int_equal(write_queue(), 0);
    assert_true(history_queue_has_room(&queue));
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_connection_has_its_life_counters_and_latencies),
        CASE(a_name_that_would_drive_a_terminal_is_masked),
        CASE(a_decision_for_the_kernel_has_its_reason),
        CASE(a_killed_recorder_loses_nothing_and_writes_nothing_twice),
        CASE(an_overrun_is_a_gap_with_its_number_and_times),
        CASE(a_table_mends_what_was_lost),
        CASE(a_restarted_service_goes_on_with_the_same_rows),
        CASE(a_service_that_was_restarted_unseen_is_a_gap),
        CASE(after_a_reboot_what_was_open_is_closed),
        CASE(a_batch_that_failed_is_written_again),
        CASE(a_new_database_goes_on_with_the_journal),
        CASE(a_step_of_the_wall_clock_is_noted),
        CASE(samples_of_counters_and_clock_are_kept),
        CASE(a_full_queue_takes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
