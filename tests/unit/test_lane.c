/* SPDX-License-Identifier: BSD-2-Clause */
/* The program's end of a lane, against a ring that the test writes as the kernel would: a file with the two position
 * pages and the data twice. */
#include "unit.h"

#include <errno.h>
#include <linux/bpf.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "divert/lane.h"

#define RING 4096u
#define PAGE 4096u

struct kernel {
    uint8_t *file; /* consumer page, producer page, data, data again */
    struct lane_control *control;
    uint64_t reserved;
    struct lane *lane;
};

static uint64_t *producer(struct kernel *kernel)
{
    return (uint64_t *)(kernel->file + PAGE);
}

static uint64_t consumer(const struct kernel *kernel)
{
    return *(uint64_t *)kernel->file;
}

static void write_at(struct kernel *kernel, uint64_t position, const void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        size_t at = (position + i) % RING;

        kernel->file[2 * PAGE + at] = ((const uint8_t *)data)[i];
        kernel->file[2 * PAGE + RING + at] = ((const uint8_t *)data)[i];
    }
}

static uint64_t reserve(struct kernel *kernel, uint32_t bytes)
{
    uint32_t header[2] = {bytes | BPF_RINGBUF_BUSY_BIT, 0};
    uint64_t at = kernel->reserved;

    write_at(kernel, at, header, sizeof(header));
    kernel->reserved += (bytes + 8 + 7) & ~7u;
    *producer(kernel) = kernel->reserved;
    return at;
}

static void commit(struct kernel *kernel, uint64_t at, uint32_t bytes, uint32_t flow_id, bool discard)
{
    struct lane_record record = {.length = bytes - (uint32_t)sizeof(record), .flow_id = flow_id};
    uint32_t header = bytes | (discard ? BPF_RINGBUF_DISCARD_BIT : 0);

    write_at(kernel, at + 8, &record, sizeof(record));
    write_at(kernel, at, &header, sizeof(header));
}

static void produce(struct kernel *kernel, uint32_t bytes, uint32_t flow_id)
{
    commit(kernel, reserve(kernel, bytes), bytes, flow_id, false);
}

static int setup(void **state)
{
    static struct kernel kernel;
    int ring = memfd_create("ring", 0), control = memfd_create("control", 0);
    size_t bytes = 2 * PAGE + 2 * RING;

    assert_true(ring >= 0 && control >= 0 && !ftruncate(ring, (off_t)bytes) && !ftruncate(control, PAGE));
    memset(&kernel, 0, sizeof(kernel));
    kernel.file = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0);
    kernel.control = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, control, 0);
    assert_true(kernel.file != MAP_FAILED && kernel.control != MAP_FAILED);
    assert_int_equal(lane_open(&kernel.lane, ring, RING, control), 0);
    *state = &kernel;
    return 0;
}

static int teardown(void **state)
{
    struct kernel *kernel = *state;

    lane_close(kernel->lane);
    munmap(kernel->file, 2 * PAGE + 2 * RING);
    munmap(kernel->control, PAGE);
    return 0;
}

static void packets_come_in_order(void **state)
{
    struct kernel *kernel = *state;

    assert_null(lane_next(kernel->lane));
    assert_false(lane_ready(kernel->lane));
    produce(kernel, 160, 1);
    produce(kernel, 160, 2);
    assert_true(lane_ready(kernel->lane));
    assert_int_equal(lane_backlog(kernel->lane), 2 * 168);
    assert_int_equal(lane_next(kernel->lane)->flow_id, 1);
    assert_int_equal(lane_next(kernel->lane)->flow_id, 2);
    assert_null(lane_next(kernel->lane));
    assert_false(lane_ready(kernel->lane));
    assert_int_equal(lane_backlog(kernel->lane), 0);
}

/* In eighths, because each look at the position costs the divert time. */
static void room_is_given_back_by_release_only(void **state)
{
    struct kernel *kernel = *state;

    for (int i = 0; i < 4; i++) {
        assert_int_equal(consumer(kernel), 0);
        produce(kernel, 160, 1);
        assert_non_null(lane_next(kernel->lane));
        if (i != 2)
            lane_release(kernel->lane);
    }
    assert_int_equal(consumer(kernel), 4 * 168); /* more than 4096 / 8 */
}

/* The kernel takes a position that lags behind for a packet. */
static void sleepers_give_back_all(void **state)
{
    struct kernel *kernel = *state;

    produce(kernel, 160, 1);
    assert_non_null(lane_next(kernel->lane));
    lane_release(kernel->lane);
    assert_int_equal(consumer(kernel), 0);
    lane_set_sleeping(kernel->lane, true);
    assert_int_equal(consumer(kernel), 168);
    produce(kernel, 160, 2);
    assert_non_null(lane_next(kernel->lane));
    lane_release(kernel->lane);
    assert_int_equal(consumer(kernel), 2 * 168);
}

static void a_packet_being_written_blocks_later_ones(void **state)
{
    struct kernel *kernel = *state;
    uint64_t first = reserve(kernel, 160);

    produce(kernel, 160, 2);
    assert_null(lane_next(kernel->lane));
    assert_true(lane_ready(kernel->lane)); /* so that nobody goes to sleep */
    commit(kernel, first, 160, 1, false);
    assert_int_equal(lane_next(kernel->lane)->flow_id, 1);
    assert_int_equal(lane_next(kernel->lane)->flow_id, 2);
}

static void discarded_packets_are_skipped(void **state)
{
    struct kernel *kernel = *state;

    commit(kernel, reserve(kernel, 160), 160, 1, true);
    produce(kernel, 160, 2);
    commit(kernel, reserve(kernel, 160), 160, 3, true);
    assert_int_equal(lane_next(kernel->lane)->flow_id, 2);
    assert_null(lane_next(kernel->lane));
    lane_set_sleeping(kernel->lane, true);
    assert_int_equal(consumer(kernel), 168); /* the packet is still in use */
    lane_release(kernel->lane);
    assert_int_equal(consumer(kernel), 3 * 168);
    commit(kernel, reserve(kernel, 160), 160, 4, true);
    assert_null(lane_next(kernel->lane));
    lane_set_sleeping(kernel->lane, true);
    assert_int_equal(consumer(kernel), 4 * 168); /* and this one nobody ever used */
}

static void records_run_over_the_end_of_the_ring(void **state)
{
    struct kernel *kernel = *state;

    for (uint32_t i = 1; i < 1000; i++) {
        const struct lane_record *record;

        produce(kernel, 1000 + i % 64, i);
        record = lane_next(kernel->lane);
        assert_int_equal(record->flow_id, i);
        assert_int_equal(record->length, 1000 + i % 64 - sizeof(*record));
        lane_release(kernel->lane);
        assert_int_equal(consumer(kernel), kernel->reserved);
    }
}

static void flags_reach_the_control_page(void **state)
{
    struct kernel *kernel = *state;

    lane_set_sleeping(kernel->lane, true);
    assert_int_equal(kernel->control->sleeping, 1);
    lane_set_sleeping(kernel->lane, false);
    assert_int_equal(kernel->control->sleeping, 0);
    lane_heartbeat(kernel->lane, 12345);
    assert_int_equal(kernel->control->heartbeat_ns, 12345);
    kernel->control->overruns = 7;
    assert_int_equal(lane_control(kernel->lane)->overruns, 7);
}

/* The child must not reach the parent's packets: touching them kills it. */
static void fork_does_not_inherit_the_ring(void **state)
{
    struct kernel *kernel = *state;
    int status;
    pid_t child = fork();

    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        lane_set_sleeping(kernel->lane, true);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(kernel->control->sleeping, 0);
}

static void bad_sizes_are_refused(void **state)
{
    struct lane *lane = NULL;

    (void)state;
    assert_int_equal(lane_open(&lane, dup(0), 5000, dup(0)), -EINVAL);
    assert_int_equal(lane_open(&lane, dup(0), 1024, dup(0)), -EINVAL);
    assert_null(lane);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(packets_come_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(room_is_given_back_by_release_only, setup, teardown),
        cmocka_unit_test_setup_teardown(sleepers_give_back_all, setup, teardown),
        cmocka_unit_test_setup_teardown(a_packet_being_written_blocks_later_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(discarded_packets_are_skipped, setup, teardown),
        cmocka_unit_test_setup_teardown(records_run_over_the_end_of_the_ring, setup, teardown),
        cmocka_unit_test_setup_teardown(flags_reach_the_control_page, setup, teardown),
        cmocka_unit_test_setup_teardown(fork_does_not_inherit_the_ring, setup, teardown),
        cmocka_unit_test(bad_sizes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
