/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/journal.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "platform/platform.h"
#include "tests/unit/unit.h"

#define RING_BYTES 65536

static struct journal *journal;
static struct journal_reader reader;
static union {
    struct journal_record record;
    char bytes[JOURNAL_RECORD_MAX];
} got;
static uint64_t lost;

static int open_both(void **state)
{
    (void)state;
    lost = 0;
    return journal_create_sized(&journal, RING_BYTES) < 0 ||
           journal_reader_open(&reader, journal_reader_fd(journal)) < 0;
}

static int close_both(void **state)
{
    (void)state;
    journal_reader_close(&reader);
    journal_destroy(journal);
    return 0;
}

static bool next(void)
{
    return journal_next(&reader, &got.record, &lost);
}

/* A body of which every byte is told by its number and length. */
static void fill(uint8_t *body, uint32_t size, uint64_t number)
{
    for (uint32_t i = 0; i < size; i++)
        body[i] = (uint8_t)(number * 31 + i * 7 + size);
}

static bool is_filled(const uint8_t *body, uint32_t size, uint64_t number)
{
    for (uint32_t i = 0; i < size; i++) {
        if (body[i] != (uint8_t)(number * 31 + i * 7 + size))
            return false;
    }
    return true;
}

static uint32_t size_of(uint64_t number)
{
    return (uint32_t)(8 + number * 40 % (JOURNAL_RECORD_MAX - sizeof(struct journal_record) - 8));
}

static void append_number(uint64_t number)
{
    uint8_t body[JOURNAL_RECORD_MAX];
    uint32_t size = size_of(number) / 8 * 8;

    fill(body, size, number);
    journal_append(journal, JOURNAL_SERVICE, body, size / 2, body + size / 2, size - size / 2);
}

static bool got_number(uint64_t number)
{
    uint32_t size = size_of(number) / 8 * 8;

    return got.record.sequence == number && got.record.size == sizeof(got.record) + size &&
           is_filled(journal_body(&got.record), size, number);
}

static void what_is_appended_is_read_in_order(void **state)
{
    static const char text[] = "seventeen bytes!";

    (void)state;
    assert_false(next());
    journal_append(journal, JOURNAL_INTERFACE, text, 5, NULL, 0);
    journal_append(journal, JOURNAL_LANE_OPENED, text, sizeof(text), text, 3);
    assert_true(next());
    assert_int_equal(got.record.type, JOURNAL_INTERFACE);
    assert_int_equal(got.record.sequence, 1);
    assert_int_equal(got.record.size, sizeof(got.record) + 8);
    assert_memory_equal(journal_body(&got.record), "seven\0\0\0", 8);
    assert_true(next());
    assert_int_equal(got.record.type, JOURNAL_LANE_OPENED);
    assert_int_equal(got.record.sequence, 2);
    assert_memory_equal(journal_body(&got.record), "seventeen bytes!\0sev\0\0\0\0", 24);
    for (size_t i = got.record.size; i < JOURNAL_RECORD_MAX; i++)
        assert_int_equal(got.bytes[i], 0);
    assert_false(next());
    assert_int_equal(lost, 0);
}

static void records_tell_the_time_by_both_clocks(void **state)
{
    uint64_t before = platform_now_ns();
    int64_t offset = platform_realtime_offset_ns();

    (void)state;
    journal_append(journal, JOURNAL_SERVICE, "", 1, NULL, 0);
    assert_true(next());
    assert_in_range(got.record.monotonic_ns, before, platform_now_ns());
    assert_in_range(got.record.realtime_ns - (int64_t)got.record.monotonic_ns, offset - 1000000000,
                    offset + 1000000000);
    assert_in_range(reader.instance, 1, got.record.realtime_ns);
    assert_int_equal(reader.instance, journal_instance(journal));
}

static void a_reader_that_keeps_up_loses_nothing(void **state)
{
    (void)state;
    for (uint64_t number = 1; number <= 20000; number++) {
        append_number(number);
        if (number % 17 == 0)
            continue; /* several at once */
        while (next())
            assert_true(got_number(reader.sequence - 1));
    }
    while (next())
        assert_true(got_number(reader.sequence - 1));
    assert_int_equal(reader.sequence, 20001);
    assert_int_equal(lost, 0);
}

static void an_overtaken_reader_learns_how_many_it_lost(void **state)
{
    uint64_t number = 0, read = 0;

    (void)state;
    append_number(++number);
    assert_true(next());
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 1000 + round; i++)
            append_number(++number);
        for (read = 0, lost = 0; next(); read++)
            assert_true(got_number(reader.sequence - 1));
        assert_int_equal(read + lost, 1000 + round);
        assert_in_range(read, 20, 1000); /* of a ring full, at most one in the way of the next is missing */
        assert_int_equal(got.record.sequence, number);
    }
}

static void a_reader_begins_at_the_oldest_record(void **state)
{
    struct journal_reader late;
    uint64_t late_lost = 0, count = 0, first = 0;

    (void)state;
    for (uint64_t number = 1; number <= 500; number++)
        append_number(number);
    assert_int_equal(journal_reader_open(&late, journal_reader_fd(journal)), 0);
    while (journal_next(&late, &got.record, &late_lost)) {
        first = first ? first : got.record.sequence;
        count++;
    }
    assert_int_equal(late_lost, 0);
    assert_true(first > 1);
    assert_int_equal(first + count, 501);
    journal_reader_close(&late);
}

/* A reader that has not begun when its first records are written over has lost nothing that it knew of. */
static void overtaken_before_the_first_record(void **state)
{
    struct journal_reader late;
    uint64_t late_lost = 0;

    (void)state;
    for (uint64_t number = 1; number <= 500; number++)
        append_number(number);
    assert_int_equal(journal_reader_open(&late, journal_reader_fd(journal)), 0);
    uint64_t oldest = late.sequence;
    for (uint64_t number = 501; number <= 1500; number++)
        append_number(number);
    assert_true(journal_next(&late, &got.record, &late_lost));
    assert_int_equal(late_lost, got.record.sequence - oldest);
    assert_true(got_number(got.record.sequence));
    journal_reader_close(&late);
}

#define THREAD_RECORDS 200000

static void *write_many(void *unused)
{
    (void)unused;
    for (uint64_t number = 1; number <= THREAD_RECORDS; number++)
        append_number(number);
    return NULL;
}

static void no_torn_record_is_delivered_while_the_writer_overtakes(void **state)
{
    uint64_t read = 0;
    pthread_t writer;

    (void)state;
    assert_int_equal(pthread_create(&writer, NULL, write_many, NULL), 0);
    while (reader.sequence <= THREAD_RECORDS) {
        uint64_t before = reader.sequence, lost_before = lost;

        if (!next())
            continue;
        read++;
        if (!got_number(before + (lost - lost_before)))
            fail_msg("record %lu is torn", (unsigned long)got.record.sequence);
    }
    pthread_join(writer, NULL);
    assert_int_equal(read + lost, THREAD_RECORDS);
    assert_true(lost > 0);
}

static void a_reader_cannot_change_the_journal(void **state)
{
    int fd = journal_reader_fd(journal);

    (void)state;
    assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    assert_int_equal(pwrite(fd, "x", 1, 0), -1);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(ftruncate(fd, 1 << 20), -1);
}

static void other_memory_is_no_journal(void **state)
{
    struct journal_reader other;
    uint32_t *words;
    int plain = memfd_create("plain", MFD_CLOEXEC),
        sealed = platform_memfd_sealed("sealed", 4096 + RING_BYTES, false, (void **)&words);

    (void)state;
    assert_int_equal(ftruncate(plain, 4096 + RING_BYTES), 0);
    assert_int_equal(journal_reader_open(&other, plain), LOCKSTEP_E_BAD_FORMAT);
    assert_int_equal(journal_reader_open(&other, sealed), LOCKSTEP_E_BAD_FORMAT);
    memcpy(words, reader.page, 4096);
    assert_int_equal(journal_reader_open(&other, sealed), 0);
    journal_reader_close(&other);
    words[3] = 2 * RING_BYTES; /* larger than the memory */
    assert_int_equal(journal_reader_open(&other, sealed), LOCKSTEP_E_BAD_FORMAT);
    words[3] = RING_BYTES - 8;
    assert_int_equal(journal_reader_open(&other, sealed), LOCKSTEP_E_BAD_FORMAT);
    words[1] = JOURNAL_VERSION + 1;
    assert_int_equal(journal_reader_open(&other, sealed), LOCKSTEP_E_BAD_VERSION);
    munmap(words, 4096 + RING_BYTES);
    close(plain);
    close(sealed);
}

/* Should a service ever write nonsense, readers go on with what comes after it. */
static void nonsense_is_passed_over(void **state)
{
    struct journal_reader other;
    uint64_t other_lost = 0, *words;
    int fd = platform_memfd_sealed("nonsense", 4096 + RING_BYTES, false, (void **)&words);

    (void)state;
    memcpy(words, reader.page, 4096);
    assert_int_equal(journal_reader_open(&other, fd), 0);
    for (uint64_t size = 0; size < 4 * JOURNAL_RECORD_MAX; size += 4) {
        uint64_t *head = &words[8];

        words[4096 / 8 + (*head % RING_BYTES) / 8] = size | (uint64_t)JOURNAL_SERVICE << 32;
        *head += JOURNAL_RECORD_MAX;
        while (journal_next(&other, &got.record, &other_lost)) {
        }
        assert_int_equal(other.position, *head);
    }
    journal_reader_close(&other);
    munmap(words, 4096 + RING_BYTES);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_appended_is_read_in_order, open_both, close_both),
        cmocka_unit_test_setup_teardown(records_tell_the_time_by_both_clocks, open_both, close_both),
        cmocka_unit_test_setup_teardown(a_reader_that_keeps_up_loses_nothing, open_both, close_both),
        cmocka_unit_test_setup_teardown(an_overtaken_reader_learns_how_many_it_lost, open_both, close_both),
        cmocka_unit_test_setup_teardown(a_reader_begins_at_the_oldest_record, open_both, close_both),
        cmocka_unit_test_setup_teardown(overtaken_before_the_first_record, open_both, close_both),
        cmocka_unit_test_setup_teardown(no_torn_record_is_delivered_while_the_writer_overtakes, open_both, close_both),
        cmocka_unit_test_setup_teardown(a_reader_cannot_change_the_journal, open_both, close_both),
        cmocka_unit_test_setup_teardown(other_memory_is_no_journal, open_both, close_both),
        cmocka_unit_test_setup_teardown(nonsense_is_passed_over, open_both, close_both),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
