/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/connection_table.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/histogram.h"
#include "tests/unit/unit.h"

#define LANES       2
#define CONNECTIONS 3

/* A table as the service makes it, rows a little larger than this version knows. */
struct wide_connection {
    struct connection_row row;
    uint64_t of_the_future;
    uint32_t histogram[LANE_STATS_SLOT_BUCKETS];
};
static struct {
    struct table_header header;
    struct lane_row lanes[LANES];
    struct wide_connection connections[CONNECTIONS];
} made;
static struct connection_table table;

static int make(void **state)
{
    (void)state;
    memset(&made, 0, sizeof(made));
    made.header = (struct table_header){
        .magic = TABLE_MAGIC,
        .version = TABLE_VERSION,
        .histogram_buckets = LANE_STATS_SLOT_BUCKETS,
        .lane_size = sizeof(made.lanes[0]),
        .connection_size = sizeof(made.connections[0]),
        .lane_count = LANES,
        .connection_count = CONNECTIONS,
        .instance = 77,
    };
    strcpy(made.lanes[1].program, "reader");
    strcpy(made.connections[2].row.program, "writer");
    made.connections[2].row.key = 9;
    made.connections[2].histogram[5] = 1234;
    return 0;
}

static int parse(void)
{
    return table_parse(&made, sizeof(made), &table);
}

static void rows_are_found_whatever_their_size(void **state)
{
    (void)state;
    assert_int_equal(parse(), 0);
    assert_int_equal(table.header.instance, 77);
    assert_string_equal(table_lane(&table, 1)->program, "reader");
    assert_string_equal(table_connection(&table, 2)->program, "writer");
    assert_int_equal(table_connection(&table, 2)->key, 9);
    assert_int_equal(table_histogram(&table, 2)[5], 1234);
}

static void a_table_may_be_empty_and_without_histograms(void **state)
{
    (void)state;
    made.header.lane_count = made.header.connection_count = 0;
    made.header.histogram_buckets = 0;
    assert_int_equal(table_parse(&made, sizeof(made.header), &table), 0);
    assert_int_equal(table.header.connection_count, 0);
    made.header.connection_count = 1;
    made.header.connection_size = sizeof(struct connection_row);
    assert_int_equal(table_parse(&made, sizeof(made.header) + sizeof(struct connection_row), &table), 0);
    assert_null(table_histogram(&table, 0));
}

static void a_cut_table_is_refused(void **state)
{
    (void)state;
    for (size_t length = 0; length < sizeof(made); length++)
        assert_int_equal(table_parse(&made, length, &table), LOCKSTEP_E_BAD_FORMAT);
}

static void wrong_headers_are_refused(void **state)
{
#define REFUSED(field, value, error)                                                                                   \
    do {                                                                                                               \
        make(NULL);                                                                                                    \
        made.header.field = (value);                                                                                   \
        assert_int_equal(parse(), error);                                                                              \
    } while (0)
    (void)state;
    REFUSED(magic, 1, LOCKSTEP_E_BAD_FORMAT);
    REFUSED(version, TABLE_VERSION + 1, LOCKSTEP_E_BAD_VERSION);
    REFUSED(histogram_buckets, 64, LOCKSTEP_E_BAD_FORMAT);
    REFUSED(lane_size, 0, LOCKSTEP_E_BAD_FORMAT);
    REFUSED(lane_size, sizeof(struct lane_row) - 8, LOCKSTEP_E_BAD_FORMAT);
    REFUSED(lane_size, sizeof(struct lane_row) + 4, LOCKSTEP_E_BAD_FORMAT);
    REFUSED(connection_size, 0, LOCKSTEP_E_BAD_FORMAT);
    REFUSED(connection_size, sizeof(struct connection_row), LOCKSTEP_E_BAD_FORMAT);
    REFUSED(lane_count, UINT32_MAX, LOCKSTEP_E_BAD_FORMAT);
    REFUSED(connection_count, UINT32_MAX, LOCKSTEP_E_BAD_FORMAT);
    REFUSED(connection_count, CONNECTIONS - 1, LOCKSTEP_E_BAD_FORMAT);
}

static void texts_without_an_end_are_refused(void **state)
{
    (void)state;
    memset(made.lanes[0].device, 'x', sizeof(made.lanes[0].device));
    assert_int_equal(parse(), LOCKSTEP_E_BAD_FORMAT);
    make(NULL);
    memset(made.connections[1].row.program, 'x', sizeof(made.connections[1].row.program));
    assert_int_equal(parse(), LOCKSTEP_E_BAD_FORMAT);
}

static void a_table_is_read_from_its_descriptor(void **state)
{
    int fd = memfd_create("table", MFD_CLOEXEC);

    (void)state;
    assert_int_equal(write(fd, &made, sizeof(made)), sizeof(made));
    assert_int_equal(table_read(fd, &table), 0);
    assert_string_equal(table_connection(&table, 2)->program, "writer");
    table_free(&table);
    assert_int_equal(ftruncate(fd, sizeof(made) - 1), 0);
    assert_int_equal(table_read(fd, &table), LOCKSTEP_E_BAD_FORMAT);
    table_free(&table); /* does no harm */
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(table_read(fd, &table), -EIO);
    close(fd);
    assert_int_equal(table_read(fd, &table), -EBADF);
}

static void states_have_the_names_of_ss(void **state)
{
    struct connection_row row = {.protocol = IPPROTO_TCP, .kind = CONTROL_FLOW_BOUND};

    (void)state;
    assert_string_equal(connection_state_name(&row), "listen"); /* also before the program said so */
    row.kind = CONTROL_FLOW_CONNECT;
    assert_string_equal(connection_state_name(&row), "unknown");
    row.tcp_state = 1;
    assert_string_equal(connection_state_name(&row), "established");
    row.tcp_state = 11;
    assert_string_equal(connection_state_name(&row), "closing");
    row.tcp_state = 12;
    assert_string_equal(connection_state_name(&row), "unknown");
    row.protocol = IPPROTO_UDP;
    assert_string_equal(connection_state_name(&row), "connected");
    row.kind = CONTROL_FLOW_MULTICAST;
    assert_string_equal(connection_state_name(&row), "open");
}

static void quantiles_lie_in_the_value_s_bucket(void **state)
{
    static const uint64_t values[] = {0, 15, 16, 1000, 12345, 2000000, 20000000000};
    uint32_t buckets[LANE_STATS_SLOT_BUCKETS] = {0};

    (void)state;
    assert_int_equal(connection_quantile(buckets, 500000), 0);
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        memset(buckets, 0, sizeof(buckets));
        buckets[histogram_index(values[i]) >> HISTOGRAM_COARSE_SHIFT] = 1;
        assert_in_range(connection_quantile(buckets, 1000000), values[i], values[i] + values[i] / 4 + 3);
    }
    memset(buckets, 0, sizeof(buckets));
    for (uint64_t value = 1; value <= 100000; value++)
        buckets[histogram_index(value) >> HISTOGRAM_COARSE_SHIFT]++;
    assert_in_range(connection_quantile(buckets, 500000), 49000, 51000);
    assert_in_range(connection_quantile(buckets, 950000), 94000, 96000);
    assert_in_range(connection_quantile(buckets, 0), 1, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(rows_are_found_whatever_their_size, make),
        cmocka_unit_test_setup(a_table_may_be_empty_and_without_histograms, make),
        cmocka_unit_test_setup(a_cut_table_is_refused, make),
        cmocka_unit_test_setup(wrong_headers_are_refused, make),
        cmocka_unit_test_setup(texts_without_an_end_are_refused, make),
        cmocka_unit_test_setup(a_table_is_read_from_its_descriptor, make),
        cmocka_unit_test(states_have_the_names_of_ss),
        cmocka_unit_test(quantiles_lie_in_the_value_s_bucket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
